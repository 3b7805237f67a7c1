"""Which earlier request each prompt is compared with, and where the prompt leaves it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cachelab.explanation.held_text import held_tokens
from cachelab.explanation.rendered import LineEnds, Mask, Rendered
from cachelab.prefix_cache.block_ids import Roots
from cachelab.prefix_cache.shared_prefix import SharedPrefixes, Texts
from cachelab.request import Request
from cachelab.tokens import common_prefix


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A prompt and the earlier request that explains it best.

    `earlier`: its index (None: no earlier request shares a token). `token`: the first prompt token that differs (None:
    the prompt extends the earlier text, or is a part of it). `held`: whether each prompt token after it is text that
    the earlier request held (held_text.py). `isolated`: the earlier text cannot be reused, since its isolation differs.
    `own`: the same with the best request of the prompt's conversation, if that is another one.
    Shape of held: (prompt tokens,).
    """

    earlier: int | None
    token: int | None = None
    held: Mask | None = None
    isolated: bool = False
    own: "Compared | None" = None

    @property
    def undone_from(self) -> int | None:
        """The request by which the prompt is rewritten: of the same conversation if there is one."""
        return self.earlier if self.own is None else self.own.earlier


@dataclass(frozen=True, slots=True)
class _Candidate:
    earlier: int
    token: int
    isolated: bool


def compared(
    requests: Sequence[Request], reply_tokens: Sequence[int], seen: Sequence[int], line_ends: LineEnds
) -> list[Compared]:
    """Each prompt with the earlier request that explains it best; requests in the order in which they run.

    `seen`: how many of each prompt's first tokens are not among the waterfall's never_seen.

    There are up to four candidates: the latest request of the same conversation, the request with the longest common
    prefix in the same conversation, the one among all requests, and, if requests have different isolations, the one
    among all requests whatever their isolation. Of equal prefixes the latest counts. The candidate that holds most of
    the never-seen tokens is chosen, or one of the same conversation that holds at least half as many. Ties go to the
    longest common prefix, then to the same isolation, then to the latest. A prompt that extends the latest request of
    its conversation is compared with that. Takes time in proportion to the tokens.
    """
    texts = Texts.of(requests, reply_tokens)
    isolations = Roots.of(requests).numbers
    conversations = _numbers([(int(root), r.conversation_id) for root, r in zip(isolations, requests, strict=True)])
    anywhere = SharedPrefixes.of(texts, isolations.tolist())
    own = SharedPrefixes.of(texts, conversations)
    regardless = SharedPrefixes.of(texts, [0] * len(requests)) if len(set(isolations.tolist())) > 1 else anywhere
    latest: dict[str, int] = {}
    found: list[Compared] = []
    for index, request in enumerate(requests):
        before = latest.get(request.conversation_id)
        latest[request.conversation_id] = index
        candidates = [
            _Candidate(int(shared.earlier[index]), int(shared.tokens[index]), shared is regardless is not anywhere)
            for shared in (own, anywhere, regardless)
        ]
        if before is not None:
            isolated = isolations[before] != isolations[index]
            candidates.insert(0, _Candidate(before, _shared(texts, index, before), bool(isolated)))
        known = [one for one in candidates if one.earlier >= 0]
        found.append(_chosen(requests, reply_tokens, texts, index, known, before, seen[index], line_ends))
    return found


def _chosen(
    requests: Sequence[Request],
    reply_tokens: Sequence[int],
    texts: Texts,
    index: int,
    candidates: Sequence[_Candidate],
    latest: int | None,
    seen: int,
    line_ends: LineEnds,
) -> Compared:
    if not candidates:
        return Compared(None)
    for one in candidates:  # the latest of the conversation comes first
        whole = one.token == texts.prompts[index]
        if not one.isolated and (whole or (latest in (None, one.earlier) and _extends(texts, one))):
            return Compared(one.earlier, own=None if latest in (None, one.earlier) else Compared(latest))
    conversation = requests[index].conversation_id
    prompt = Rendered.prompt(requests[index])
    ranked: list[tuple[tuple[int, int, bool, int], bool, Compared]] = []
    for one in {(one.earlier, one.isolated): one for one in candidates}.values():
        earlier = requests[one.earlier]
        whole = Rendered.whole(earlier, reply_tokens[one.earlier])
        held = held_tokens(prompt, whole, one.token, line_ends)
        never_seen = int(held[seen:].sum()) + (max(one.token - seen, 0) if one.isolated else 0)
        rank = (never_seen, one.token, not one.isolated, one.earlier)
        own = earlier.conversation_id == conversation
        ranked.append((rank, own, Compared(one.earlier, one.token, held, one.isolated)))
    best = max(ranked, key=lambda item: (item[0], item[1]))
    best_own = max((item for item in ranked if item[1]), key=lambda item: item[0], default=None)
    if best_own is not None and best_own[0][0] and 2 * best_own[0][0] >= best[0][0]:
        best = best_own
    chosen = best[2] if best_own is None or best_own is best else replace(best[2], own=best_own[2])
    assert chosen.earlier is not None
    if not chosen.isolated and chosen.token == texts.lengths[chosen.earlier]:
        return Compared(chosen.earlier, own=chosen.own)
    return chosen


def _extends(texts: Texts, one: _Candidate) -> bool:
    return one.token == int(texts.lengths[one.earlier])


def _shared(texts: Texts, index: int, earlier: int) -> int:
    prompt = texts.tokens[texts.starts[index] :][: texts.prompts[index]]
    return common_prefix(texts.tokens[texts.starts[earlier] :][: texts.lengths[earlier]], prompt)


def _numbers(keys: Sequence[object]) -> list[int]:
    numbers: dict[object, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]
