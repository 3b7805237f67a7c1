"""`cachelab.explain`: the breaks of chat requests that a program holds in memory."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cachelab.errors import ConfigError, DatasetError

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
        by: A field of the calls by which they are grouped, such as "metadata.route", or "model".
        show_text: Whether the changed texts are in the result.

    Nothing is written, and neither vLLM nor MLflow is imported. Raises CachelabError: DatasetError for a call that
    cannot be read, ConfigError for a wrong argument.
    """
    from cachelab.dataset.base import LoadedDataset
    from cachelab.dataset.chat import COUNTS, Chat, ChatLog
    from cachelab.engine.replay import ReplayEngine
    from cachelab.explanation.explainer import Explainer
    from cachelab.filter.thresholds import Thresholds
    from cachelab.order.by_arrival import ByArrival
    from cachelab.pipeline import Parts, arranged, run
    from cachelab.trace.multi_turn import MultiTurn

    _check(calls, by, block_size, num_blocks)
    chosen = _tokenizer(tokenizer)
    settings = Chat(rows="request", time_field="timestamp", fields=[by] if by not in (None, "model") and by else [])
    counts = Counter(dict.fromkeys(COUNTS, 0))
    log = ChatLog(settings, counts)
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
    explanation = Explainer(by=by, show_text=show_text).explain(parts, result)
    return replace(explanation, notes=(*_left_out(counts), *explanation.notes))


def _check(calls: Sequence[Mapping[str, Any]], by: str | None, block_size: int, num_blocks: int | None) -> None:
    """Refuse arguments in words of this function, not of the settings behind it."""
    from cachelab.dataset.field_path import value_at

    if not calls:
        raise DatasetError("calls: the list is empty: give at least one request with messages")
    for index, call in enumerate(calls):
        if not isinstance(call, Mapping):
            raise DatasetError(f"calls[{index}] is of type {type(call).__name__}: give a mapping with messages")
    if not any(call.get("messages") for call in calls):
        raise DatasetError("calls: no call has messages: give requests as they are sent to a chat API")
    for index, call in enumerate(calls):
        if "messages" in call and not call["messages"]:
            raise DatasetError(f"calls[{index}]: messages is empty: leave the call out, or give its messages")
    if by is not None and by != "model" and not any(value_at({**call}, by) is not None for call in calls):
        raise ConfigError(f"by: no call has the field {by}: name a field of the calls")
    if block_size < 1:
        raise ConfigError(f"block_size: {block_size} is less than 1")
    if num_blocks is not None and num_blocks < 2:
        raise ConfigError(f"num_blocks: {num_blocks} is less than 2, and vLLM keeps one block for itself")


def _left_out(counts: Mapping[str, int]) -> tuple[str, ...]:
    """What the calls hold that is not in the prompts."""
    names = [name for name in counts if name == "failed_calls" or name.startswith("dropped_")]
    found = [f"{name.replace('_', ' ')} ({counts[name]:,})" for name in names if counts[name]]
    return (f"Left out of the calls (how often): {', '.join(found)}.",) if found else ()


def _records(calls: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The calls with a time each, which says their order."""
    for index, call in enumerate(calls):
        yield f"calls[{index}]", {**call, "timestamp": _EPOCH_S + index}


def _tokenizer(given: "Tokenizer | str | None") -> "Tokenizer":
    if given is None:
        from cachelab.tokenizer.mistral import Mistral

        return Mistral()
    if isinstance(given, str):
        from cachelab.tokenizer.huggingface import HuggingFace

        return HuggingFace(given)
    return given
