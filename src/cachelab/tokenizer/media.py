"""Token ids that stand for an image or audio part."""

import hashlib
from dataclasses import dataclass

import numpy as np

from cachelab.errors import TokenizerError
from cachelab.message import Part
from cachelab.tokens import TokenIds


@dataclass(frozen=True, slots=True)
class MediaTokens:
    """Makes `tokens` ids of each part, from first_id up to but without end_id, from the digest of its content.

    Equal parts get equal ids. vLLM tells images apart by a hash in the block's identity; here the ids do.
    """

    tokens: int | None
    first_id: int
    end_id: int

    def ids(self, part: Part) -> TokenIds:
        """Shape: (tokens,). Raises TokenizerError if the number is not given."""
        if self.tokens is None:
            raise TokenizerError(
                f"it holds an image or audio part ({part.kind}): set tokenizer.image_tokens to the number of tokens "
                "that one takes"
            )
        stream = hashlib.shake_256(f"{part.kind}:{part.digest}".encode()).digest(8 * self.tokens)
        ids: TokenIds = (np.frombuffer(stream, "<u8") % np.uint64(self.end_id - self.first_id)).astype(np.int32)
        return ids + np.int32(self.first_id)
