"""Prompts without their history."""

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from cachelab.conversation import TokenizedConversation
from cachelab.errors import ConfigError
from cachelab.request import Request
from cachelab.strict_config import STRICT
from cachelab.trace.base import TraceRequests


@dataclass(frozen=True, config=STRICT)
class SingleTurn:
    """A request a turn whose prompt is the user message alone (after the system text, if there is one).

    Conversations, turns, ids, replies and times are those of MultiTurn, so that the two compare request by request.
    Raises ConfigError if a conversation comes from a trace file, whose finished prompts cannot be taken apart.
    """

    def build(self, conversations: Sequence[TokenizedConversation]) -> TraceRequests:
        requests: list[Request] = []
        for conversation in conversations:
            system = (conversation.system,) if conversation.system else ()
            for index, turn in enumerate(conversation.turns):
                if turn.alone_ids is None:
                    raise ConfigError(
                        f"trace single_turn: conversation {conversation.id} comes from a trace file, whose prompts are "
                        "finished: take trace=multi_turn, or a dataset of messages (dataset=sample, dataset=sharegpt)"
                    )
                requests.append(
                    Request(
                        id=f"{conversation.id}/{index}",
                        conversation_id=conversation.id,
                        turn_index=index,
                        prompt_ids=turn.alone_ids,
                        reply_ids=turn.reply_ids,
                        messages=(*system, turn.user),
                        response=turn.assistant,
                        timestamp_s=float(len(requests)) if turn.timestamp_s is None else turn.timestamp_s,
                    )
                )
        numbers = {
            "requests": len(requests),
            "conversations": len(conversations),
            "prompt_tokens": sum(len(request.prompt_ids) for request in requests),
            "reply_tokens": sum(len(request.reply_ids) for request in requests),
        }
        return TraceRequests(requests, numbers)
