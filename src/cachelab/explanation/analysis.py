"""The requests of one run, each with its break and with its tokens divided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cachelab.explanation.breaks import (
    Decode,
    all_differences,
    as_break,
    first_difference,
    template_difference,
)
from cachelab.explanation.difference import Difference
from cachelab.explanation.earlier_request import Compared, compared
from cachelab.explanation.exchange import Exchange, exchanges
from cachelab.explanation.prompt_break import Break
from cachelab.explanation.rendered import LineEnds, Rendered
from cachelab.explanation.result import ExplainedRequest
from cachelab.metrics.base import Ratio
from cachelab.metrics.hit_rate import first_prefill
from cachelab.metrics.losses import TERMS, losses_of
from cachelab.metrics.observation import Observation
from cachelab.price.prompt_tokens import PromptTokens
from cachelab.request import Request
from cachelab.tokenized_conversation import TokenizedConversation


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """One run: its hit rate, its prompt tokens, and its completed requests in the order of their first prefills.

    `tokens`: the prompt tokens by what the cache did with them. `lost`: the tokens of the waterfall's terms other than
    reused and never_seen, in its order. `exchanges` and `compared` belong to the requests of
    `explained`, one each.
    """

    hit_rate: Ratio
    tokens: PromptTokens
    lost: Mapping[str, int]
    explained: Sequence[ExplainedRequest]
    exchanges: Sequence[Exchange]
    compared: Sequence[Compared]


@dataclass(eq=False)
class Analyst:
    """Finds the breaks of runs that one tokenizer made. `decode` gives the text of token ids."""

    decode: Decode
    show_text: bool = True
    by: str | None = None
    line_ends: LineEnds = field(init=False)

    def __post_init__(self) -> None:
        self.line_ends = LineEnds(self.decode)

    def analysis(self, observation: Observation, conversations: Sequence[TokenizedConversation]) -> Analysis:
        """The breaks of a run, whose requests are the turns of the conversations."""
        sent = {
            (conversation.id, turn): exchange
            for conversation in conversations
            for turn, exchange in enumerate(exchanges(conversation))
        }
        records = observation.completed
        requests = [observation.requests[record.request_id] for record in records]
        known = [sent[request.conversation_id, request.turn_index] for request in requests]
        replies = [record.reply_tokens for record in records]
        losses = losses_of(observation)
        reused, never_seen = losses.reused.tolist(), losses.never_seen.tolist()
        seen = (observation.prompt_tokens - losses.never_seen).tolist()
        found = compared(requests, replies, seen, self.line_ends)
        explained: list[ExplainedRequest] = []
        for index, (request, one) in enumerate(zip(requests, found, strict=True)):
            tokens = len(request.prompt_ids)
            behind = _behind(one, seen[index])
            broken = None
            if one.token is not None and never_seen[index]:
                block_size = observation.counters.block_size
                broken = self._break(requests, replies, known, index, one, behind, block_size)
                own_behind = 0 if one.own is None else _behind(one.own, seen[index])
                if broken.kind in ("different_task", "unclassified") and one.own is not None and own_behind:
                    behind = own_behind
                    broken = self._break(requests, replies, known, index, one.own, behind, block_size)
                if broken.kind == "different_task":
                    behind = 0
                    broken = replace(broken, behind_tokens=0)
            explained.append(
                ExplainedRequest(
                    id=request.id,
                    conversation_id=request.conversation_id,
                    turn_index=request.turn_index,
                    prompt_tokens=tokens,
                    reused_tokens=reused[index],
                    other_tokens=tokens - reused[index] - never_seen[index],
                    behind_tokens=behind,
                    new_tokens=never_seen[index] - behind,
                    found=broken,
                    group=_group(request, self.by),
                )
            )
        lost = {term: int(getattr(losses, term).sum()) for term in TERMS if term not in ("reused", "never_seen")}
        return Analysis(first_prefill(observation), PromptTokens.of(observation), lost, explained, known, found)

    def _break(
        self,
        requests: Sequence[Request],
        replies: Sequence[int],
        known: Sequence[Exchange],
        index: int,
        one: Compared,
        behind: int,
        block_size: int,
    ) -> Break:
        assert one.earlier is not None
        assert one.token is not None
        request, earlier = requests[index], requests[one.earlier]
        own = request.conversation_id == earlier.conversation_id
        before, now = Rendered.whole(earlier, replies[one.earlier]), Rendered.prompt(request)
        found = all_differences(known[one.earlier], known[index], own)
        first: Difference | None = first_difference(found, before, now, one.token, isolated=one.isolated)
        if first is None:
            first = template_difference(known[one.earlier], before, now, one.token, self.decode)
        if first.kind == "unclassified" and not own and behind < block_size:  # not one block of it could be reused
            first = replace(first, kind="different_task")
        turns = request.turn_index - earlier.turn_index if own else None
        return as_break(first, one.token, earlier.id, turns, behind, show_text=self.show_text)


def _behind(one: Compared, first: int) -> int:
    """The tokens from `first` on that the earlier request held."""
    if one.held is None or one.token is None:
        return 0
    isolated = max(one.token - first, 0) if one.isolated else 0
    return isolated + int(np.count_nonzero(one.held[first:]))


def _group(request: Request, by: str | None) -> str | None:
    if by is None:
        return None
    if by == "model" and by not in request.fields:
        return request.isolation.model if request.isolation else None
    return request.fields.get(by)
