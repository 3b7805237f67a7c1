"""The places where two texts differ, in whole words."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cachelab.explanation.common_subsequence import common_start, common_subsequence, gaps

_WORDS = re.compile(r"\S+|\s+")
_LETTERS = re.compile(r"\w+")
_MAX_WORDS = 2000
_AROUND = 40  # characters


@dataclass(frozen=True, slots=True)
class TextGap:
    """A place where two texts differ: characters from start up to end, of the earlier text and of the text now."""

    start_before: int
    end_before: int
    start_now: int
    end_now: int


@lru_cache(maxsize=8192)
def text_gaps(before: str, now: str) -> Sequence[TextGap]:
    """Where the texts differ: lines are aligned first, then the words of lines that differ, then both their ends.

    White space that differs is a gap too. Equal texts have none. Lines of more than 2,000 words are compared by their
    common start and end.
    """
    found: list[TextGap] = []
    for a, b, c, d in _between(_pieces(before.splitlines(keepends=True)), _pieces(now.splitlines(keepends=True))):
        words_before, words_now = _WORDS.findall(before[a:b]), _WORDS.findall(now[c:d])
        if len(words_before) + len(words_now) > _MAX_WORDS:
            ends = end_gap(before[a:b], now[c:d])
            found.append(TextGap(a + ends.start_before, a + ends.end_before, c + ends.start_now, c + ends.end_now))
            continue
        for e, f, g, h in _between(_pieces(words_before), _pieces(words_now)):
            found.append(TextGap(a + e, a + f, c + g, c + h))
    return found


@lru_cache(maxsize=8192)
def similar(before: str, now: str) -> bool:
    """Whether the texts share at least half of the longer one, in characters of words that text_gaps aligns."""
    longer = max(len(before), len(now))
    if not longer or before == now:
        return True
    if not similar_words(before, now):
        return False
    changed = sum(max(gap.end_before - gap.start_before, gap.end_now - gap.start_now) for gap in text_gaps(before, now))
    return 2 * changed <= longer


@lru_cache(maxsize=8192)
def similar_words(before: str, now: str) -> bool:
    """Whether the texts share at least half of the longer one, in characters of words in any order."""
    longer = max(len(before), len(now))
    if 2 * min(len(before), len(now)) < longer:
        return False
    shared = (_word_counts(before) & _word_counts(now)).items()
    return 2 * sum(len(word) * times for word, times in shared) >= longer


def end_gap(before: str, now: str) -> TextGap:
    """What is between the common start and the common end of two texts, in whole words."""
    words = _WORDS.findall(before), _WORDS.findall(now)
    head = common_start(*words)
    tail = common_start(words[0][head:][::-1], words[1][head:][::-1])
    start = sum(map(len, words[0][:head]))
    rest = sum(map(len, words[0][len(words[0]) - tail :]))
    return TextGap(start, len(before) - rest, start, len(now) - rest)


def same_words(before: Sequence[str], now: Sequence[str]) -> bool:
    """Whether the texts hold the same words and numbers, each as often, in any order; False if they hold none."""
    words = [Counter(word for text in texts for word in _LETTERS.findall(text)) for texts in (before, now)]
    return bool(words[0]) and words[0] == words[1]


@lru_cache(maxsize=4096)
def _word_counts(text: str) -> Counter[str]:
    return Counter(_WORDS.findall(text))


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Pieces of a text and the character at which each one starts, the end of the last one included."""

    texts: Sequence[str]
    starts: Sequence[int]


def _pieces(texts: Sequence[str]) -> _Pieces:
    starts = [0]
    for text in texts:
        starts.append(starts[-1] + len(text))
    return _Pieces(texts, starts)


def _between(before: _Pieces, now: _Pieces) -> list[tuple[int, int, int, int]]:
    """The characters between aligned pieces."""
    pairs = common_subsequence(before.texts, now.texts)
    return [
        (before.starts[a], before.starts[b], now.starts[c], now.starts[d])
        for a, b, c, d in gaps(pairs, len(before.texts), len(now.texts))
    ]


def around(text: str, start: int, end: int) -> tuple[str, str]:
    """The text before and after a part of it, as much as is shown."""
    return text[max(start - _AROUND, 0) : start], text[end : end + _AROUND]
