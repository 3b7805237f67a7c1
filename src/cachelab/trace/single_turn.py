"""Prompts without their history."""

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from cachelab.errors import ConfigError
from cachelab.message import messages_alone
from cachelab.request import Request
from cachelab.strict_config import STRICT
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn
from cachelab.trace.base import TraceRequests, of_tokenized
from cachelab.turn import RecordedTurn, StoredMessages, StoredTurn


@dataclass(frozen=True, config=STRICT)
class SingleTurn:
    """One request per turn. Its prompt is the leading system messages and the last user message.

    Conversations, turns, ids, replies and times are those of MultiTurn, so that both can be compared request by
    request. Raises ConfigError if a turn has no such prompt: its prompt is finished, or it has no user message.
    """

    def build(self, conversations: Sequence[TokenizedConversation]) -> TraceRequests:
        requests: list[Request] = []
        for conversation in conversations:
            prompts = map(tuple, conversation.prompt_messages())
            for index, (turn, messages) in enumerate(zip(conversation.turns, prompts, strict=True)):
                places = messages_alone(messages)
                if turn.alone_ids is None or places is None:
                    raise ConfigError(f"trace single_turn: conversation {conversation.id} {_why_not(turn, index)}")
                requests.append(
                    Request(
                        id=f"{conversation.id}/{index}",
                        conversation_id=conversation.id,
                        turn_index=index,
                        prompt_ids=turn.alone_ids,
                        messages=StoredMessages(turn.source, places)
                        if isinstance(turn.source, StoredTurn)
                        else tuple(messages[place] for place in places),
                        spans=turn.alone_spans,
                        **of_tokenized(turn, len(requests)),
                    )
                )
        numbers = {
            "requests": len(requests),
            "conversations": len(conversations),
            "prompt_tokens": sum(len(request.prompt_ids) for request in requests),
            "reply_tokens": sum(len(request.reply_ids) for request in requests),
        }
        return TraceRequests(requests, numbers)


def _why_not(turn: TokenizedTurn, index: int) -> str:
    if isinstance(turn.turn, RecordedTurn):
        reason = "comes from a trace file, whose prompts are finished"
    elif turn.turn is None:
        reason = "comes from a block trace, whose prompts are finished"
    else:
        return f"turn {index} has no prompt of one user message that the chat template accepts: set trace=multi_turn"
    return f"{reason}: set trace=multi_turn, or use a dataset of messages (dataset=sample, dataset=sharegpt)"
