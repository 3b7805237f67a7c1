"""Explains a run: its breaks, their causes, and what undoing each cause gives in the same engine."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.step_cost import StepCost
from cachelab.errors import ConfigError
from cachelab.explanation.analysis import Analysis, Analyst
from cachelab.explanation.break_class import BreakClass
from cachelab.explanation.causes import Found, find_causes
from cachelab.explanation.fixed_conversations import other_conversations, undone_conversations
from cachelab.explanation.result import ExplainedRequest, Explanation, Group
from cachelab.explanation.simulated_run import simulated_run
from cachelab.explanation.undo import KEPT_BY_TEMPLATE, Key
from cachelab.metrics.base import Ratio
from cachelab.metrics.hit_rate import first_prefill
from cachelab.metrics.observation import Observation
from cachelab.pipeline import Parts, Result, Workload, arranged, observe
from cachelab.prefix_cache.request_blocks import is_block_trace
from cachelab.strict_config import STRICT, Text
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.tokenizer.base import Tokenizer
from cachelab.trace.multi_turn import MultiTurn
from cachelab.turn import Turn

_REPLIES = 10
_SIMULATED = (
    "The numbers of the explanation are those of the simulator with the real engine's blocks and the recorded prompts "
    "and replies. The real engine ran only the original workload."
)


@dataclass(frozen=True, config=STRICT)
class Explainer:
    """Finds the causes of breaks. `by` is a field of the log by which the requests are grouped, or `model`.

    `show_text`: whether changed texts are kept. `max_causes`: how many causes are undone at most; each one runs the
    workload two or three times.
    """

    by: Text | None = None
    show_text: bool = True
    max_causes: Annotated[int, Field(ge=0, le=100)] = 20

    def explain(self, parts: Parts, result: Result) -> Explanation:
        """The explanation of a run; if it compared a real engine with the simulator, of the simulator.

        Raises ConfigError if the workload has no text, if its prompts are not multi-turn, if the engine changed them,
        or if no request has the field `by`.
        """
        self.check(parts, result.workload)
        measured = result
        parts, result = simulated_run(parts, result)
        if result.run.requests is not None and any(
            ran.prompt_ids is not sent.prompt_ids
            for ran, sent in zip(result.run.requests, result.workload.schedule, strict=True)
        ):
            raise ConfigError("explain: the engine changed the prompts: set history=recorded")
        analyst = Analyst(parts.tokenizer.decode, self.show_text, self.by)
        conversations = result.workload.conversations
        original = analyst.analysis(result.observation, conversations)

        def observed(fixed: Sequence[TokenizedConversation]) -> Observation:
            workload = arranged(parts, result.workload.dataset, fixed, {})
            return observe(parts, workload, lambda ended: None)[1]

        def run(keys: Sequence[Key]) -> tuple[Analysis, Sequence[TokenizedConversation]]:
            fixed = undone_conversations(original, conversations, frozenset(keys), parts.tokenizer)
            return analyst.analysis(observed(fixed), fixed), fixed

        def run_other(key: Key) -> Ratio | None:
            fixed = other_conversations(original, conversations, key, parts.tokenizer)
            return None if fixed is None else first_prefill(observed(fixed))

        found = find_causes(original, run, run_other, self.max_causes)
        cost = getattr(parts.engine, "cost", None)
        return Explanation(
            hit_rate=original.hit_rate,
            hit_rate_all_fixed=found.hit_rate_all_fixed,
            requests=original.explained,
            causes=found.causes,
            groups=groups(original.explained) if self.by is not None else (),
            notes=_notes(len(result.workload.requests) - len(original.explained), found)
            + _hidden_reasoning(conversations, parts.tokenizer)
            + (() if result is measured else (_SIMULATED,)),
            shows_text=self.show_text,
            fixed=found.conversations,
            prefill_token_s=cost.prefill_token_s if isinstance(cost, StepCost) else None,
            price=parts.price,
            lost=original.lost,
            simulated=result is not measured,
        )

    def check(self, parts: Parts, workload: Workload) -> None:
        """Check that the workload can be explained, before an engine runs it. Raises ConfigError as `explain` does."""
        requests = workload.requests
        if any(is_block_trace([request]) for request in requests):
            raise ConfigError("explain: a block trace has no text to compare: choose a dataset of messages or prompts")
        if not isinstance(parts.trace, MultiTurn):
            raise ConfigError("explain: prompts without history do not break: set trace=multi_turn")
        if self.by is not None and self.by != "model" and not any(self.by in request.fields for request in requests):
            raise ConfigError(f"explain.by: no request has the field {self.by}: name a field of the log's rows")


def groups(explained: Sequence[ExplainedRequest]) -> list[Group]:
    """The requests by their group, most requests first; those without a value are the group ""."""
    by_value: dict[str, list[ExplainedRequest]] = {}
    for request in explained:
        by_value.setdefault(request.group or "", []).append(request)
    found = [_group(value, requests) for value, requests in by_value.items()]
    return sorted(found, key=lambda group: -group.requests)


def _group(value: str, requests: Sequence[ExplainedRequest]) -> Group:
    by_cause: Counter[tuple[BreakClass, str]] = Counter()
    first_tokens: Counter[int] = Counter()
    for request in requests:
        if (one := request.found) is not None and one.kind != "different_task":
            by_cause[one.kind, one.place.label] += one.behind_tokens
            first_tokens[1 << math.ceil(math.log2(one.token + 1))] += 1
    return Group(
        value=value,
        requests=len(requests),
        prompt_tokens=sum(request.prompt_tokens for request in requests),
        reused_tokens=sum(request.reused_tokens for request in requests),
        behind_tokens=sum(request.behind_tokens for request in requests),
        new_tokens=sum(request.new_tokens for request in requests),
        by_cause=by_cause,
        first_tokens=dict(sorted(first_tokens.items())),
    )


def _notes(rejected: int, found: Found) -> tuple[str, ...]:
    """What a reader must know; `rejected` is how many requests did not run."""
    notes: list[str] = []
    if rejected:
        notes.append(f"Requests that did not run, since they are too long for the engine: {rejected:,}.")
    if found.too_long:
        notes.append(
            f"Requests that are too long for the engine with these causes undone: {found.too_long:,}. They are not in "
            "that hit rate, which is no measure of what a fix gives: allow longer requests or a larger cache."
        )
    if any((cause.kind, cause.place) == KEPT_BY_TEMPLATE for cause in found.causes):
        notes.append(
            "The chat template drops reasoning that the messages hold. Undone, the earlier prompt and reply stay as "
            "they were generated; fixed.jsonl.gz does not show this, since its messages are the same."
        )
    return tuple(notes)


def _hidden_reasoning(conversations: Sequence[TokenizedConversation], tokenizer: Tokenizer) -> tuple[str, ...]:
    """A note if the log's replies hold reasoning that the chat template shows in none of them; looks at ten replies."""
    replies = (
        (turn.turn.reply.reasoning, turn.reply_ids)
        for conversation in conversations
        for turn in conversation.turns
        if isinstance(turn.turn, Turn) and turn.turn.reply is not None and turn.turn.reply.reasoning
    )
    shown = [reasoning.strip() in tokenizer.decode(list(ids)) for reasoning, ids in islice(replies, _REPLIES)]
    if any(shown) or not shown:
        return ()
    return (
        "The replies hold reasoning, and the chat template shows none of it: changes of reasoning are not found, and "
        "its tokens are not counted. Use the model's own template (tokenizer=huggingface tokenizer.model=...).",
    )
