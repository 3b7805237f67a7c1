"""Tokenises each dataset once: token ids are kept on disk by the `datasets` library, and in memory per process."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.stored_conversations import StoredConversations
from cachelab.disk import writing
from cachelab.errors import TokenizerError
from cachelab.mapped_array import give_back, mapped_array
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn, of_turn
from cachelab.tokenizer.base import Tokenizer
from cachelab.tokenizer.stored_table import cache_folder, made_table, numbers_of, stored_table
from cachelab.tokenizer.tokenized_rows import Sizes, Texts, tokenized_rows
from cachelab.tokens import TokenIds
from cachelab.turn import RecordedTurn, StoredTurn, Turn

ENCODING_VERSION = 4
"""Raise it with every change of what a TokenizedTurn holds, in this package or in tokenized_conversation.py."""

_COLUMNS = ("tokens", "alone", "spans", "sizes")
ENCODERS = ("mistral-common", "tiktoken", "tokenizers", "transformers")
MEMO_SIZE = 4

Tokenized = Sequence[TokenizedConversation]

_memo: OrderedDict[str, Tokenized] = OrderedDict()


@dataclass(frozen=True)
class CachedTokenizer:
    """A tokenizer with a cache: a dataset that any process has tokenised before is read from disk.

    `cache_dir` defaults to the folder `cachelab` in the cache of `datasets` (HF_DATASETS_CACHE). Token ids are
    parts of one read-only array; the texts are the dataset's own. Several processes may share a folder: one
    tokenises while the others wait. Incomplete files of a killed process are not read.
    """

    tokenizer: Tokenizer
    cache_dir: str | None = None

    def __call__(self, dataset: LoadedDataset) -> Tokenized:
        """The dataset's conversations in token ids. Raises TokenizerError if one cannot be encoded or cached."""
        if not dataset.conversations:
            return ()
        if isinstance(dataset.conversations[0], TokenizedConversation):  # a block trace, which needs no tokenizer
            return [one for one in dataset.conversations if isinstance(one, TokenizedConversation)]
        texts: Texts = cast(Texts, dataset.conversations)
        fingerprint = self.fingerprint(dataset)
        if fingerprint not in _memo:
            _memo[fingerprint] = self._through_disk(texts, fingerprint)
            while len(_memo) > MEMO_SIZE:
                _memo.popitem(last=False)
        return _memo[fingerprint]

    def fingerprint(self, dataset: LoadedDataset) -> str:
        """Digest of everything on which the token ids depend."""
        key = [dataset.digest, self.tokenizer.name, ENCODING_VERSION, [_version(package) for package in ENCODERS]]
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]

    def _through_disk(self, texts: Texts, fingerprint: str) -> Tokenized:
        import pyarrow

        folder = cache_folder() / "cachelab" if self.cache_dir is None else Path(self.cache_dir)
        try:
            with writing(folder, "set cache_dir to a folder of another disk"):
                table = stored_table(folder, fingerprint)
                if table is None:
                    table = made_table(folder, fingerprint, partial(tokenized_rows, self.tokenizer, texts), _COLUMNS)
            if len(table) != len(texts):
                raise OSError(f"it holds {len(table)} conversations under {fingerprint}, the dataset {len(texts)}")
            return tuple(_joined(texts, table, folder))
        except (OSError, pyarrow.ArrowException) as error:
            raise TokenizerError(
                f"cache_dir {folder}: cannot be read or written ({' '.join(str(error).split())}): "
                "delete that folder, or set cache_dir to one that can be written"
            ) from error


def _joined(conversations: Texts, table: Any, folder: Path) -> Iterator[TokenizedConversation]:
    """The conversations of the table's rows, joined with the texts from which they were made."""
    stored = conversations if isinstance(conversations, StoredConversations) else None
    rows = zip(*(_lists(table.column(name), folder) for name in _COLUMNS), strict=True)
    for place, (conversation, row) in enumerate(zip(conversations, rows, strict=True)):
        tokens, alone, spans, numbers = map(_Parts, row)
        sizes = [Sizes(*one) for one in numbers.whole.reshape(-1, len(Sizes._fields)).tolist()]
        logged: Sequence[Turn | RecordedTurn] = conversation.turns
        made = tuple(
            TokenizedTurn(
                kept_tokens=size.kept,
                new_ids=tokens.next(size.new),
                reply_ids=tokens.next(size.reply),
                alone_ids=None if size.alone < 0 else alone.next(size.alone),
                new_spans=spans.next(size.spans).reshape(-1, 2),
                alone_spans=spans.next(size.alone_spans).reshape(-1, 2),
                **of_turn(turn) | ({} if stored is None else {"source": StoredTurn(stored, place, index)}),
            )
            for index, (turn, size) in enumerate(zip(logged, sizes, strict=True))
        )
        yield TokenizedConversation(conversation.id, made)


@dataclass(slots=True)
class _Parts:
    """Cuts an array into parts, from the first one on."""

    whole: TokenIds
    end: int = 0

    def next(self, length: int) -> TokenIds:
        self.end += length
        return self.whole[self.end - length : self.end]


def _lists(column: Any, folder: Path) -> Iterator[TokenIds]:
    """The lists of a column, as read-only parts of ONE array. A long one is in a file in `folder`."""
    import numpy as np

    chunks = column.chunks
    whole = mapped_array(sum(len(chunk.flatten()) for chunk in chunks), folder)
    start = 0
    for chunk in chunks:
        values = numbers_of(chunk.flatten())
        whole[start : start + len(values)] = values
        start += len(values)
    give_back(whole)
    start = 0
    for chunk in chunks:
        for length in np.diff(numbers_of(chunk.offsets)).tolist():  # value_lengths() would import pyarrow.compute
            part = whole[start : start + length]
            part.flags.writeable = False  # not `whole`: numba would compile its loops for a second kind of array
            yield part
            start += length


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
