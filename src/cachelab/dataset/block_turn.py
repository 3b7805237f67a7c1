"""A turn whose blocks are known and whose tokens are not."""

import numpy as np
import numpy.typing as npt

from cachelab.tokenized_conversation import TokenizedTurn
from cachelab.tokens import BlockTokens

Int32s = npt.NDArray[np.int32]

NO_BLOCKS: Int32s = np.empty(0, np.int32)


def block_turn(
    listed: Int32s,
    prompt_tokens: int,
    reply_tokens: int,
    block_size: int,
    own: int,
    reply_blocks: Int32s = NO_BLOCKS,
    timestamp_s: float | None = None,
    think_s: float | None = None,
) -> TokenizedTurn:
    """A turn whose prompt consists of the listed blocks. `own` is the number of a block that no other turn has.

    The last block of a prompt can be partial, and then it need not be listed. `reply_blocks` are the known blocks after
    the prompt's last full block. All other blocks are `own`.
    """
    full, partial = divmod(prompt_tokens, block_size)
    blocks, after = listed, own if partial and len(listed) == full else None
    if partial and len(reply_blocks):  # the reply completes the prompt's last block
        blocks, after = listed[:full], int(reply_blocks[0])
    return TokenizedTurn(
        kept_tokens=0,
        new_ids=BlockTokens(blocks, block_size, prompt_tokens, listed=listed, own=after),
        reply_ids=BlockTokens(reply_blocks, block_size, reply_tokens, skip=partial, own=own),
        timestamp_s=timestamp_s,
        think_s=think_s,
    )
