"""Tokenises each dataset once: token ids are kept on disk by the `datasets` library, and in memory per process."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cachelab.conversation import Conversation, RecordedConversation, TokenizedConversation, TokenizedTurn, of_turn
from cachelab.dataset.base import LoadedDataset
from cachelab.disk import writing
from cachelab.errors import TokenizerError
from cachelab.stage_progress import report
from cachelab.tokenizer.base import Tokenizer
from cachelab.tokenizer.stored_table import cache_folder, made_table, stored_table

ENCODING_VERSION = 3
"""Raise it with every change of what a TokenizedTurn holds, in this package or in conversation.py."""

_ARRAYS = ("new_ids", "reply_ids", "alone_ids", "new_spans", "alone_spans")
ENCODERS = ("mistral-common", "tiktoken", "tokenizers", "transformers")
MEMO_SIZE = 4
TOKENISING = "tokenising, conversations"
"""The stage that a tokenizer reports."""

Row = dict[str, Any]
Texts = Sequence[Conversation | RecordedConversation]
Tokenized = Sequence[TokenizedConversation]

_memo: OrderedDict[str, Tokenized] = OrderedDict()


@dataclass(frozen=True)
class CachedTokenizer:
    """A tokenizer with a cache: a dataset that any process has tokenised before is read from disk.

    `cache_dir` defaults to the folder `cachelab` in the cache of `datasets` (HF_DATASETS_CACHE). Token ids are
    read-only arrays over the mapped file; the texts are the dataset's own. Several processes may share a folder: one
    tokenises while the others wait. Incomplete files of a killed process are not read.
    """

    tokenizer: Tokenizer
    cache_dir: str | None = None

    def __call__(self, dataset: LoadedDataset) -> Tokenized:
        """The dataset's conversations in token ids. Raises TokenizerError if one cannot be encoded or cached."""
        texts = [one for one in dataset.conversations if not isinstance(one, TokenizedConversation)]
        if len(texts) < len(dataset.conversations):  # a block trace, which needs no tokenizer
            return [one for one in dataset.conversations if isinstance(one, TokenizedConversation)]
        if not texts:
            return ()
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
                    rows = partial(_rows, self.tokenizer, texts)
                    table = made_table(folder, fingerprint, rows, numbers=["kept_tokens"], lists=_ARRAYS)
            turns = sum(len(conversation.turns) for conversation in texts)
            if len(table) != turns:
                raise OSError(f"it holds {len(table)} turns under {fingerprint}, the dataset {turns}")
            return _joined(texts, _arrays(table))
        except (OSError, pyarrow.ArrowException) as error:
            raise TokenizerError(
                f"cache_dir {folder}: cannot be read or written ({' '.join(str(error).split())}): "
                "delete that folder, or set cache_dir to one that can be written"
            ) from error


def _rows(tokenizer: Tokenizer, conversations: Texts) -> Iterator[Row]:
    """One row per turn, in the order of the dataset."""
    for number, conversation in enumerate(conversations):
        report(TOKENISING, number, len(conversations))
        try:
            tokenized = conversation.tokenized(tokenizer)
        except TokenizerError as error:
            raise TokenizerError(f"conversation {conversation.id}: {error}") from error
        for turn in tokenized.turns:
            yield {
                "kept_tokens": turn.kept_tokens,
                "new_ids": turn.new_ids,
                "reply_ids": turn.reply_ids,
                "alone_ids": turn.alone_ids,
                "new_spans": turn.new_spans.ravel(),
                "alone_spans": turn.alone_spans.ravel(),
            }


def _arrays(table: Any) -> Iterator[Row]:
    """The rows of a table; their ids are views of its buffers."""
    for batch in table.to_batches():
        lists = [batch.column(name) for name in _ARRAYS]
        values = [column.values.to_numpy(zero_copy_only=True) for column in lists]
        offsets = [column.offsets.to_numpy().tolist() for column in lists]
        present = batch.column("alone_ids").is_valid().to_pylist()
        for i, kept in enumerate(batch.column("kept_tokens").to_pylist()):
            row = {name: v[at[i] : at[i + 1]] for name, v, at in zip(_ARRAYS, values, offsets, strict=True)}
            spans = {name: row[name].reshape(-1, 2) for name in ("new_spans", "alone_spans")}
            yield row | spans | {"kept_tokens": kept, "alone_ids": row["alone_ids"] if present[i] else None}


def _joined(conversations: Texts, rows: Iterator[Row]) -> Tokenized:
    """The rows joined with the texts from which they were made."""
    joined: list[TokenizedConversation] = []
    for conversation in conversations:
        turns = tuple(TokenizedTurn(**next(rows), **of_turn(turn)) for turn in conversation.turns)
        joined.append(TokenizedConversation(conversation.id, turns))
    return tuple(joined)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
