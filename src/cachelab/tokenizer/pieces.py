"""Encodes growing texts: a text is cut at its special tokens, and each distinct piece is encoded once.

A fast tokenizer first splits a text at its special tokens and encodes each part separately. The tokens of a text are
therefore those of its pieces.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from cachelab.tokens import TokenIds

MAX_KEPT_CHARACTERS = 1 << 26

MEDIA_LENGTH = 66
_MEDIA_START, _MEDIA_END = "\ue003", "\ue004"
_MEDIA = f"{_MEDIA_START}[0-9a-f]{{{MEDIA_LENGTH - 2}}}{_MEDIA_END}"

Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The tokens of a text and the characters that each one covers. Shapes: (num_tokens,)."""

    ids: TokenIds
    starts: Int32s
    ends: Int32s


@dataclass(frozen=True, slots=True)
class CutText:
    """A text and the places where its pieces start, without 0."""

    text: str
    cuts: list[int]

    def pieces(self) -> list[str]:
        bounds = [0, *self.cuts, len(self.text)]
        return [self.text[a:b] for a, b in pairwise(bounds) if a < b]


@dataclass(eq=False)
class PieceEncoder:
    """Encodes with a tokenizer of transformers; keeps encoded pieces, up to MAX_KEPT_CHARACTERS."""

    tokenizer: Any
    known: dict[str, Encoded] = field(default_factory=dict)
    media: dict[str, Encoded] = field(default_factory=dict)
    kept_characters: int = 0

    def media_text(self, digest: str, ids: TokenIds) -> str:
        """A placeholder text that is always encoded as these ids; `digest` (64 hex digits) identifies them."""
        text = f"{_MEDIA_START}{digest}{_MEDIA_END}"
        places = np.zeros(len(ids), np.int32)
        self.media[text] = Encoded(ids, places, places + np.int32(len(text)))
        return text

    def cut(self, text: str, like: CutText | None = None) -> CutText:
        """The text with its cuts; the prefix that it shares with `like` is not searched again."""
        pattern, cuttable, longest = self._special
        cuts: list[int] = []
        if like is not None and like.cuts:
            shared = common_length(like.text, text) - longest
            cuts = like.cuts[: bisect_right(like.cuts, shared)]
        start = cuts[-1] if cuts else 0
        for match in pattern.finditer(text, start):
            if match.group() in self.media:
                cuts += [match.start(), match.end()]
            elif match.group() in cuttable:
                cuts.append(match.start())
        return CutText(text, [cut for n, cut in enumerate(cuts) if cut > (cuts[n - 1] if n else 0)])

    def encode(self, texts: Sequence[CutText]) -> list[Encoded]:
        """The tokens of each text, without special tokens added. Encodes the pieces that are new in one call."""
        pieces = [text.pieces() for text in texts]
        self._learn(dict.fromkeys(piece for of_text in pieces for piece in of_text))
        encoded = [self._joined(of_text) for of_text in pieces]
        if self.kept_characters > MAX_KEPT_CHARACTERS:
            self.known.clear()
            self.kept_characters = 0
        return encoded

    def _joined(self, pieces: Sequence[str]) -> Encoded:
        if not pieces:
            return Encoded(*(np.empty(0, np.int32) for _ in range(3)))
        parts = [self.media.get(piece) or self.known[piece] for piece in pieces]
        lengths = np.fromiter((len(piece) for piece in pieces), np.int32, len(pieces))
        before = np.repeat(np.cumsum(lengths, dtype=np.int32) - lengths, [len(part.ids) for part in parts])
        return Encoded(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.starts for part in parts]) + before,
            np.concatenate([part.ends for part in parts]) + before,
        )

    def _learn(self, pieces: Iterable[str]) -> None:
        new = [piece for piece in pieces if piece not in self.known and piece not in self.media]
        if not new:
            return
        made = self._encoded_pieces(new)
        for place, (piece, ids) in enumerate(zip(new, made["input_ids"], strict=True)):
            if self.tokenizer.is_fast:
                offsets = np.asarray(made["offset_mapping"][place], np.int32).reshape(-1, 2)
            else:
                offsets = self._estimated(piece, len(ids))
            self.known[piece] = Encoded(np.asarray(ids, np.int32), offsets[:, 0], offsets[:, 1])
            self.kept_characters += len(piece)

    def _encoded_pieces(self, pieces: list[str]) -> Any:
        return self.tokenizer(
            pieces,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=self.tokenizer.is_fast,
            verbose=False,
        )

    def _estimated(self, piece: str, tokens: int) -> Int32s:
        """Estimated characters of tokens, in proportion, if the tokenizer gives none. They place spans, not tokens."""
        bounds = (np.arange(tokens + 1) * len(piece) // max(tokens, 1)).astype(np.int32)
        return np.stack([bounds[:-1], bounds[1:]], axis=1)

    @cached_property
    def _special(self) -> tuple[re.Pattern[str], frozenset[str], int]:
        """The pattern of special tokens, the tokens at which a text may be cut, and the length of the longest one.

        A text is not cut at tokens that strip white space before them. If a token is single-word, no text is cut.
        """
        added = getattr(self.tokenizer, "added_tokens_decoder", {}).values() if self.tokenizer.is_fast else ()
        found = [token for token in added if not token.normalized and token.content]
        if any(token.single_word for token in found):
            found = []
        cuttable = frozenset(token.content for token in found if not token.lstrip)
        contents = sorted((token.content for token in found), key=len, reverse=True)
        pattern = "|".join([_MEDIA, *map(re.escape, contents)])
        return re.compile(pattern), cuttable, max([MEDIA_LENGTH, *map(len, contents)])


def common_length(a: str, b: str) -> int:
    """How many characters two texts share from their start."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low
