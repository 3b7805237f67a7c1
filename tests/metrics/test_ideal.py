from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cachelab.metrics.base import AnyMetric, measure
from cachelab.metrics.ideal import ideal_hit_blocks

Tokens = st.lists(st.integers(0, 1), min_size=1, max_size=12)


def _brute_force(prompts: list[list[int]], replies: list[list[int]], block_size: int) -> list[int]:
    """Hit blocks with a cache that is the set of every prefix that was ever computed, written the long way."""
    cached: set[tuple[int, ...]] = set()
    hits = []
    for prompt, reply in zip(prompts, replies, strict=True):
        hit = 0
        while (hit + 1) * block_size <= len(prompt) - 1 and tuple(prompt[: (hit + 1) * block_size]) in cached:
            hit += 1
        hits.append(hit)
        computed = prompt + reply[:-1]
        cached |= {tuple(computed[:end]) for end in range(block_size, len(computed) + 1, block_size)}
    return hits


@given(st.lists(st.tuples(Tokens, Tokens), max_size=8), st.integers(1, 4))
def test_ideal_hit_blocks_against_set_of_prefixes(
    observe: Any, pairs: list[tuple[list[int], list[int]]], block_size: int
) -> None:
    prompts, replies = [prompt for prompt, _ in pairs], [reply for _, reply in pairs]
    observation = observe(prompts, None, replies, block_size=block_size)
    assert ideal_hit_blocks(observation).tolist() == _brute_force(prompts, replies, block_size)


def test_ideal_hit_blocks_last_prompt_token(observe: Any) -> None:
    # The same 8 tokens again: (8 - 1) // 4 = 1; with a ninth token both blocks are hit.
    prompt = [1, 2, 3, 4, 5, 6, 7, 8]
    assert ideal_hit_blocks(observe([prompt, prompt, [*prompt, 9]])).tolist() == [0, 1, 2]


def test_ideal_hit_blocks_last_reply_token(observe: Any) -> None:
    # 2 + 3 - 1 = 4 tokens fill a block; 2 + 2 - 1 = 3 do not, though 2 + 2 would.
    longer = observe([[1, 2], [1, 2, 3, 4, 5]], None, [[3, 4, 9], [0]])
    shorter = observe([[1, 2], [1, 2, 3, 4, 5]], None, [[3, 4], [0]])
    assert ideal_hit_blocks(longer).tolist() == [0, 1]
    assert ideal_hit_blocks(shorter).tolist() == [0, 0]


def test_of_ideal_nothing_to_hit(observe: Any, default_metrics: tuple[AnyMetric, ...]) -> None:
    values = measure(default_metrics, observe([[1, 2, 3, 4], [5, 6, 7, 8]])).values
    assert values["hit_rate/ideal"] == 0.0
    assert "hit_rate/of_ideal" not in values
