"""A request as it was sent, with its reply: what two requests are compared by."""

from collections.abc import Sequence
from dataclasses import dataclass

from cachelab.message import Isolation, Message, ToolDefinitions
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.turn import RecordedTurn, Turn


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """The messages of a prompt, oldest first, and everything else that was sent.

    `finished`: the source holds the prompt as one text, which is the only message; the reply's text continues it.
    """

    messages: tuple[Message, ...]
    reply: Message | None
    tools: ToolDefinitions = ()
    isolation: Isolation | None = None
    finished: bool = False

    @property
    def with_reply(self) -> tuple[Message, ...]:
        """The messages and the reply."""
        return self.messages if self.reply is None else (*self.messages, self.reply)


def exchanges(conversation: TokenizedConversation) -> Sequence[Exchange]:
    """The exchanges of a conversation, turn by turn."""
    found: list[Exchange] = []
    for turn, messages in zip(conversation.turns, map(tuple, conversation.prompt_messages()), strict=True):
        logged = turn.turn
        if isinstance(logged, RecordedTurn):
            reply = Message("assistant", logged.response) if logged.response else None
            found.append(Exchange(messages, reply, isolation=turn.isolation, finished=True))
        else:
            reply, tools = (logged.reply, logged.tools) if isinstance(logged, Turn) else (None, ())
            found.append(Exchange(messages, reply, tools, turn.isolation))
    return found
