"""Prompts with their history."""

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from cachelab.request import Request
from cachelab.strict_config import STRICT
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn
from cachelab.tokens import BlockTokens
from cachelab.trace.base import TraceRequests, of_tokenized
from cachelab.turn import RecordedTurn


@dataclass(frozen=True, config=STRICT)
class MultiTurn:
    """One request per turn. Its prompt is the conversation so far and the new messages of the turn.

    Recorded prompts are used unchanged. Times are those of the source; without them the requests are one second apart.
    """

    def build(self, conversations: Sequence[TokenizedConversation]) -> TraceRequests:
        requests: list[Request] = []
        for conversation in conversations:
            prompts = zip(conversation.prompts(), conversation.prompt_messages(), conversation.spans(), strict=True)
            for index, (turn, (prompt_ids, messages, spans)) in enumerate(
                zip(conversation.turns, prompts, strict=True)
            ):
                requests.append(
                    Request(
                        id=f"{conversation.id}/{index}",
                        conversation_id=conversation.id,
                        turn_index=index,
                        prompt_ids=prompt_ids,
                        messages=messages,
                        spans=spans,
                        kept_tokens=turn.kept_tokens,
                        follows=_before(conversation, index),
                        **of_tokenized(turn, len(requests)),
                    )
                )
        numbers = {
            "requests": len(requests),
            "conversations": len(conversations),
            "prompt_tokens": sum(len(request.prompt_ids) for request in requests),
            "reply_tokens": sum(len(request.reply_ids) for request in requests),
        }
        # A block trace does not have the tokens of replies, so it is unknown whether the next prompt contains them.
        if not any(isinstance(request.prompt_ids, BlockTokens) for request in requests):
            numbers["prefix_breaks"] = sum(conversation.prefix_breaks for conversation in conversations)
        return TraceRequests(requests, numbers)


def _before(conversation: TokenizedConversation, index: int) -> str | None:
    """The id of the request whose reply is part of this turn's prompt; None if there is none."""
    if index == 0:
        return None
    before, turn = conversation.turns[index - 1], conversation.turns[index]
    if isinstance(turn.source, RecordedTurn) and not _extends(before, turn.source):
        return None
    return f"{conversation.id}/{index - 1}"


def _extends(before: TokenizedTurn, turn: RecordedTurn) -> bool:
    """Whether a recorded prompt contains the previous prompt and reply. A prompt without history does not."""
    earlier = before.source
    if not isinstance(earlier, RecordedTurn) or not turn.prompt.startswith(earlier.prompt):
        return False
    return earlier.response in turn.prompt[len(earlier.prompt) :]
