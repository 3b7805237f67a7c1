"""Token ids that stand for an image or audio part."""

import hashlib
from dataclasses import dataclass

import numpy as np

from cachelab.errors import TokenizerError
from cachelab.message import Part
from cachelab.tokens import TokenIds


@dataclass(frozen=True, slots=True)
class MediaTokens:
    """Makes `tokens` ids for each part, from first_id up to, not including, end_id, from the digest of its content.

    Equal parts get equal ids. vLLM instead adds a hash of the image to the identity of the block.
    """

    tokens: int | None
    first_id: int
    end_id: int

    def ids(self, part: Part) -> TokenIds:
        """Shape: (tokens,). Raises TokenizerError if `tokens` is None."""
        if self.tokens is None:
            raise TokenizerError(
                f"it holds an image or audio part ({part.kind}): set tokenizer.image_tokens to the number of tokens "
                "that one takes"
            )
        stream = hashlib.shake_256(f"{part.kind}:{part.digest}".encode()).digest(8 * self.tokens)
        ids: TokenIds = (np.frombuffer(stream, "<u8") % np.uint64(self.end_id - self.first_id)).astype(np.int32)
        return ids + np.int32(self.first_id)
