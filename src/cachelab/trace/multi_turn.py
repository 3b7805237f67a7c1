"""Prompts with their history."""

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from cachelab.conversation import TokenizedConversation, TokenizedTurn
from cachelab.part import PART
from cachelab.request import Request
from cachelab.tokens import BlockTokens
from cachelab.trace.base import TraceRequests


@dataclass(frozen=True, config=PART)
class MultiTurn:
    """A request a turn whose prompt is the conversation so far and the user message.

    Recorded prompts are taken as they are. Times are the source's, else one second a request from 0.
    """

    def build(self, conversations: Sequence[TokenizedConversation]) -> TraceRequests:
        requests: list[Request] = []
        for conversation in conversations:
            messages = (conversation.system,) if conversation.system else ()
            for index, (turn, prompt_ids) in enumerate(zip(conversation.turns, conversation.prompts(), strict=True)):
                recorded = turn.alone_ids is None  # then the user text is a finished prompt, its history included
                messages = (turn.user,) if recorded else (*messages, turn.user)
                requests.append(
                    Request(
                        id=f"{conversation.id}/{index}",
                        conversation_id=conversation.id,
                        turn_index=index,
                        prompt_ids=prompt_ids,
                        reply_ids=turn.reply_ids,
                        messages=messages,
                        response=turn.assistant,
                        timestamp_s=float(len(requests)) if turn.timestamp_s is None else turn.timestamp_s,
                        kept_tokens=turn.kept_tokens,
                        follows=_before(conversation, index),
                    )
                )
                messages = (*messages, turn.assistant)
        numbers = {
            "requests": len(requests),
            "conversations": len(conversations),
            "prompt_tokens": sum(len(request.prompt_ids) for request in requests),
            "reply_tokens": sum(len(request.reply_ids) for request in requests),
        }
        # A block trace does not say which tokens a reply has, so it cannot tell whether the next prompt holds them.
        if not any(isinstance(request.prompt_ids, BlockTokens) for request in requests):
            numbers["prefix_breaks"] = sum(conversation.prefix_breaks for conversation in conversations)
        return TraceRequests(requests, numbers)


def _before(conversation: TokenizedConversation, index: int) -> str | None:
    """The id of the request whose reply this turn's prompt holds."""
    if index == 0:
        return None
    before, turn = conversation.turns[index - 1], conversation.turns[index]
    return f"{conversation.id}/{index - 1}" if turn.alone_ids is not None or _goes_on(before, turn) else None


def _goes_on(before: TokenizedTurn, turn: TokenizedTurn) -> bool:
    """Whether a recorded prompt holds the prompt and the reply before it; one without history does not."""
    return turn.user.startswith(before.user) and before.assistant in turn.user[len(before.user) :]
