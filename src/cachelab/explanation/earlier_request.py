"""Which earlier request each prompt is compared with, and where the prompt leaves it."""

from collections.abc import Sequence
from dataclasses import dataclass

from cachelab.conversation import common_prefix
from cachelab.explanation.held_text import held_tokens
from cachelab.explanation.rendered import LineEnds, Mask, Rendered
from cachelab.prefix_cache.block_ids import Roots
from cachelab.prefix_cache.shared_prefix import SharedPrefixes, Texts
from cachelab.request import Request


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A prompt and the earlier request that holds most of it.

    `earlier`: its index (None: no earlier request shares a token). `token`: the first prompt token that differs (None:
    the prompt extends the earlier text, or is a part of it). `held`: whether each prompt token after it is text that
    the earlier request held (held_text.py). `isolated`: the earlier text cannot be reused, since its isolation differs.
    Shape of held: (prompt tokens,).
    """

    earlier: int | None
    token: int | None = None
    held: Mask | None = None
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class _Candidate:
    earlier: int
    token: int
    isolated: bool


def compared(requests: Sequence[Request], reply_tokens: Sequence[int], line_ends: LineEnds) -> list[Compared]:
    """Each prompt with the earlier request that holds most of it; requests in the order in which they run.

    The candidates are: of all requests the one with the longest common prefix, of the same conversation likewise, the
    latest of the same conversation, and, where requests have different isolations, the longest common prefix without
    regard to them. Of equal prefixes the latest counts. Chosen is the one with most tokens in the common prefix and
    held after it; of equals one of the same conversation, then the latest. Takes time in proportion to the tokens.
    """
    texts = Texts.of(requests, reply_tokens)
    isolations = Roots.of(requests).numbers
    conversations = _numbers([(int(root), r.conversation_id) for root, r in zip(isolations, requests, strict=True)])
    anywhere = SharedPrefixes.of(texts, isolations.tolist())
    own = SharedPrefixes.of(texts, conversations)
    regardless = SharedPrefixes.of(texts, [0] * len(requests)) if len(set(isolations.tolist())) > 1 else anywhere
    latest: dict[int, int] = {}
    found: list[Compared] = []
    for index in range(len(requests)):
        before = latest.get(conversations[index])
        latest[conversations[index]] = index
        candidates = [
            _Candidate(int(shared.earlier[index]), int(shared.tokens[index]), shared is regardless is not anywhere)
            for shared in (own, anywhere, regardless)
        ]
        if before is not None:
            candidates.append(_Candidate(before, _shared(texts, index, before), False))
        known = [one for one in candidates if one.earlier >= 0]
        found.append(_chosen(requests, reply_tokens, texts, index, known, line_ends))
    return found


def _chosen(
    requests: Sequence[Request],
    reply_tokens: Sequence[int],
    texts: Texts,
    index: int,
    candidates: Sequence[_Candidate],
    line_ends: LineEnds,
) -> Compared:
    if not candidates:
        return Compared(None)
    for one in candidates:  # those of the conversation come first
        if not one.isolated and one.token in (texts.prompts[index], texts.lengths[one.earlier]):
            return Compared(one.earlier)
    conversation = requests[index].conversation_id
    prompt = Rendered.prompt(requests[index])
    best: tuple[tuple[int, bool, bool, int], Compared] | None = None
    for one in {(one.earlier, one.isolated): one for one in candidates}.values():
        earlier = requests[one.earlier]
        whole = Rendered.whole(earlier, reply_tokens[one.earlier])
        held = held_tokens(prompt, whole, one.token, line_ends)
        own = earlier.conversation_id == conversation
        rank = (one.token + int(held.sum()), not one.isolated, own, one.earlier)
        if best is None or rank > best[0]:
            best = (rank, Compared(one.earlier, one.token, held, one.isolated))
    assert best is not None
    return best[1]


def _shared(texts: Texts, index: int, earlier: int) -> int:
    prompt = texts.tokens[texts.starts[index] :][: texts.prompts[index]]
    return common_prefix(texts.tokens[texts.starts[earlier] :][: texts.lengths[earlier]], prompt)


def _numbers(keys: Sequence[object]) -> list[int]:
    numbers: dict[object, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]
