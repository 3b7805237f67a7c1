"""`cachelab.explain`: the causes of breaks in the chat requests that a program holds, without files or tracking."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cachelab.conversation import Conversation
from cachelab.explanation.result import Explanation

if TYPE_CHECKING:
    from cachelab.dataset.base import LoadedDataset
    from cachelab.tokenizer.base import Tokenizer


_TIMES = 4
"""The cache holds so many times the workload, since a workload without a cause may be longer: nothing is evicted."""


def explain(
    calls: Sequence[Mapping[str, Any]],
    tokenizer: "Tokenizer | str | None" = None,
    *,
    block_size: int = 16,
    by: str | None = None,
    max_causes: int = 20,
) -> Explanation:
    """Explain why the prompts of chat requests break, and run them again without each cause.

    Args:
        calls: Requests as sent to an OpenAI server, in the order in which they were sent: `messages` and, if the call
            has them, `tools`, `response`, `session_id` and the other fields that `dataset=chat` reads.
        tokenizer: A tokenizer, or the folder or id of a model on the hub, whose tokenizer and chat template are used
            (extra `hf`). None: the bundled one of `tokenizer=mistral`.
        block_size: Tokens per block of the cache.
        by: A field of the calls by which the requests are grouped.
        max_causes: How many causes are undone at most.

    The calls run one after another in a cache that evicts nothing (`engine=replay`). Neither vLLM nor MLflow is
    imported. Raises DatasetError for a call that cannot be read, TokenizerError, ConfigError.
    """
    from cachelab.engine.replay import ReplayEngine
    from cachelab.explanation.explainer import Explainer
    from cachelab.filter.thresholds import Thresholds
    from cachelab.order.by_arrival import ByArrival
    from cachelab.pipeline import Parts, prepare, run
    from cachelab.trace.multi_turn import MultiTurn

    chosen = _tokenizer(tokenizer)
    parts = Parts(
        dataset=_Calls(calls, by),
        tokenizer=chosen,
        tokenize=lambda loaded: [
            chat.tokenized(chosen) for chat in loaded.conversations if isinstance(chat, Conversation)
        ],
        filter=Thresholds(),
        trace=MultiTurn(),
        order=ByArrival(),
        engine=ReplayEngine(block_size=block_size, max_model_len=None),
        metrics=(),
    )
    workload = prepare(parts)
    tokens = sum(len(request.prompt_ids) + len(request.reply_ids) for request in workload.requests)
    blocks = _TIMES * (tokens // block_size + len(workload.requests)) + 1
    parts = replace(parts, engine=ReplayEngine(block_size=block_size, max_model_len=None, num_blocks=blocks))
    result = run(parts, workload, lambda ended: None)
    return Explainer(by=by, max_causes=max_causes).explain(parts, result)


@dataclass(frozen=True)
class _Calls:
    """The calls as a dataset, each one second after the one before."""

    calls: Sequence[Mapping[str, Any]]
    by: str | None

    def load(self) -> "LoadedDataset":
        from cachelab.dataset.base import LoadedDataset
        from cachelab.dataset.chat import Chat, ChatLog

        fields = [] if self.by is None or self.by == "model" else [self.by]
        counts: Counter[str] = Counter()
        log = ChatLog(Chat(path="calls", rows="request", timestamp_unit="s", fields=fields), counts)
        conversations = log.read(self._records())
        return LoadedDataset("calls", "calls", "", conversations, dict(counts), log.notes)

    def _records(self) -> Iterator[tuple[str, Any]]:
        for index, call in enumerate(self.calls):
            record = {**call, "timestamp": index} if isinstance(call, Mapping) else call
            yield f"calls[{index}]", record


def _tokenizer(given: "Tokenizer | str | None") -> "Tokenizer":
    if given is None:
        from cachelab.tokenizer.mistral import Mistral

        return Mistral()
    if isinstance(given, str):
        from cachelab.tokenizer.huggingface import HuggingFace

        return HuggingFace(given)
    return given
