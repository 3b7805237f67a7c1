"""Prompts with their history."""

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from cachelab.conversation import RecordedTurn, TokenizedConversation, TokenizedTurn
from cachelab.request import Request
from cachelab.strict_config import STRICT
from cachelab.tokens import BlockTokens
from cachelab.trace.base import TraceRequests, of_tokenized


@dataclass(frozen=True, config=STRICT)
class MultiTurn:
    """One request per turn, whose prompt is the conversation so far and the turn's new messages.

    Recorded prompts are taken as they are. Times are the source's; without them the requests are one second apart.
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
        # A block trace does not say which tokens a reply has, so it cannot tell whether the next prompt holds them.
        if not any(isinstance(request.prompt_ids, BlockTokens) for request in requests):
            numbers["prefix_breaks"] = sum(conversation.prefix_breaks for conversation in conversations)
        return TraceRequests(requests, numbers)


def _before(conversation: TokenizedConversation, index: int) -> str | None:
    """The id of the request whose reply this turn's prompt holds."""
    if index == 0:
        return None
    before, turn = conversation.turns[index - 1], conversation.turns[index]
    if isinstance(turn.turn, RecordedTurn) and not _goes_on(before, turn.turn):
        return None
    return f"{conversation.id}/{index - 1}"


def _goes_on(before: TokenizedTurn, turn: RecordedTurn) -> bool:
    """Whether a recorded prompt holds the prompt and the reply before it; one without history does not."""
    earlier = before.turn
    if not isinstance(earlier, RecordedTurn) or not turn.prompt.startswith(earlier.prompt):
        return False
    return earlier.response in turn.prompt[len(earlier.prompt) :]
