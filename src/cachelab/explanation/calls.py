"""`cachelab.explain`: the breaks of chat requests that a program holds in memory."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cachelab.explanation.result import Explanation
    from cachelab.tokenizer.base import Tokenizer

_EPOCH_S = 1_600_000_000


def explain(
    calls: Sequence[Mapping[str, Any]],
    *,
    tokenizer: "Tokenizer | str | None" = None,
    block_size: int = 16,
    num_blocks: int | None = None,
    by: str | None = None,
    show_text: bool = True,
) -> "Explanation":
    """Explain why the prefixes of chat requests break, and what fixing each cause gives.

    Args:
        calls: Requests as a client sends them, in the order in which they are sent: each has `messages`, and may have
            `tools`, `response`, `session_id`, `model`, `cache_salt` and every other field that `dataset=chat` reads.
            They run one after another; times are not read.
        tokenizer: The folder or hub id of a model with a tokenizer and a chat template, or a tokenizer of cachelab. By
            default Mistral's, which needs no network.
        block_size: Tokens per block of the cache.
        num_blocks: Size of the cache in blocks. By default it holds everything.
        by: A field of the calls by which they are grouped, or "model".
        show_text: Whether the changed texts are in the result.

    Nothing is written, and neither vLLM nor MLflow is imported. Raises CachelabError: DatasetError for a call that
    cannot be read, ConfigError for a wrong argument.
    """
    from cachelab.dataset.base import LoadedDataset
    from cachelab.dataset.chat import COUNTS, Chat, ChatLog
    from cachelab.engine.replay import ReplayEngine
    from cachelab.errors import DatasetError
    from cachelab.explanation.explainer import Explainer
    from cachelab.filter.thresholds import Thresholds
    from cachelab.order.by_arrival import ByArrival
    from cachelab.pipeline import Parts, arranged, run
    from cachelab.trace.multi_turn import MultiTurn

    if not calls:
        raise DatasetError("calls: the list is empty: give at least one request with messages")
    chosen = _tokenizer(tokenizer)
    settings = Chat(rows="request", time_field="timestamp", fields=[by] if by not in (None, "model") and by else [])
    log = ChatLog(settings, Counter(dict.fromkeys(COUNTS, 0)))
    conversations = log.read(_records(calls))
    dataset = LoadedDataset("calls", "calls", "", conversations, {}, log.notes)
    tokenized = [conversation.tokenized(chosen) for conversation in conversations]
    turns = [turn for conversation in tokenized for turn in conversation.turns]
    most = sum((turn.prompt_tokens + len(turn.reply_ids)) // block_size + 1 for turn in turns) + 2
    engine = ReplayEngine(block_size=block_size, num_blocks=num_blocks or 2 * most, max_model_len=None)
    parts = Parts(
        dataset=settings,
        tokenizer=chosen,
        tokenize=lambda loaded: tokenized,
        filter=Thresholds(),
        trace=MultiTurn(),
        order=ByArrival(),
        engine=engine,
        metrics=(),
    )
    result = run(parts, arranged(parts, dataset, tokenized, {}), lambda ended: None)
    return Explainer(by=by, show_text=show_text).explain(parts, result)


def _records(calls: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The calls with a time each, which says their order."""
    for index, call in enumerate(calls):
        yield f"calls[{index}]", {**call, "timestamp": _EPOCH_S + index} if isinstance(call, Mapping) else call


def _tokenizer(given: "Tokenizer | str | None") -> "Tokenizer":
    if given is None:
        from cachelab.tokenizer.mistral import Mistral

        return Mistral()
    if isinstance(given, str):
        from cachelab.tokenizer.huggingface import HuggingFace

        return HuggingFace(given)
    return given
