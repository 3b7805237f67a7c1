"""One Claude Code session as kv-cache-tester publishes it: an object with `requests`, each a list of block ids.

A session has `id`, `block_size` (tokens), `hash_id_scope` (local: ids belong to the session; global: equal ids are
equal blocks in all sessions), `tool_tokens` and `system_tokens` (the start of its prompts). A request has `t` (seconds
from the start of the session), `model`, `in` and `out` (tokens), `hash_ids` (one for each full block of the prompt, and
optionally one for a partial last block) and `think_time` (seconds between the previous reply and this request). An
entry of type "subagent" has its own `requests`. Their times start at the entry's `t`, and their ids are the session's.
Source: github.com/callanjfox/kv-cache-tester, docs/trace_replay_tester.md.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.json_text import quoted
from cachelab.dataset.record import Record
from cachelab.errors import DatasetError

Scope = Literal["local", "global"]

SESSION_FIELDS = (
    "id", "models", "block_size", "hash_id_scope", "tool_tokens", "system_tokens", "requests", "totals",
)  # fmt: skip
AGENT_FIELDS = (
    "t", "type", "agent_id", "subagent_type", "duration_ms", "total_tokens", "tool_use_count", "status", "requests",
    "models", "tool_tokens", "system_tokens",
)  # fmt: skip
REQUEST_FIELDS = (
    "t", "type", "model", "in", "out", "hash_ids", "input_types", "output_types", "stop", "api_time", "think_time",
    "ttft",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One request. Shape: ids (prompt_tokens // block_size or one more,)."""

    at_s: float
    model: str
    prompt_tokens: int
    reply_tokens: int
    ids: npt.NDArray[np.int64]
    think_s: float | None


@dataclass(frozen=True, slots=True)
class Agent:
    """The main agent of a session (`path` "") or a sub-agent, with its requests sorted by time.

    Agents of different `kind` have different tools. `start_tokens`: tokens of its tools and system prompt; None if the
    source does not state them. `reordered`: how many requests the sorting moved.
    """

    path: str
    kind: str
    start_tokens: int | None
    calls: tuple[Call, ...]
    reordered: int


@dataclass(frozen=True, slots=True)
class Session:
    """A checked session: its main agent, then its sub-agents in the order in which they were called."""

    id: str
    where: str
    block_size: int
    scope: Scope
    agents: tuple[Agent, ...]

    @classmethod
    def of(
        cls, value: object, where: str, scope: Scope | None, ignore: Collection[str], ignored: IgnoredFields
    ) -> "Session":
        """The session that a JSON value describes. `scope` is used if the session states none.

        Raises DatasetError that names the place and the field.
        """
        record = Record.of(value, where, "a session, an object with block_size and requests")
        record.check_fields(SESSION_FIELDS, ignore, ignored)
        block_size = record.count("block_size", least=1, way_out="add the tokens per block of the session")
        return cls(
            record.text("id", blank=False, way_out="name the session"),
            where,
            block_size,
            _scope(record, scope),
            tuple(_agents(record, block_size, ignore, ignored)),
        )


def _scope(record: Record, default: Scope | None) -> Scope:
    if not record.has("hash_id_scope"):
        if default is None:
            raise DatasetError(
                f"{record.where}: field hash_id_scope is missing: set dataset.hash_id_scope to local (ids belong to "
                "their session) or global"
            )
        return default
    value = record.text("hash_id_scope")
    if value == "local":
        return "local"
    if value == "global":
        return "global"
    raise DatasetError(f"{record.where}: field hash_id_scope is {quoted(value)}, not local or global: correct it")


def _agents(session: Record, block_size: int, ignore: Collection[str], ignored: IgnoredFields) -> list[Agent]:
    """The session's agents, including sub-agents of sub-agents."""
    agents: list[Agent] = []
    waiting: list[tuple[Record, str, str, float]] = [(session, "", "main", 0.0)]
    names: set[str] = set()
    while waiting:
        of, path, kind, start_s = waiting.pop(0)
        calls: list[Call] = []
        for index, value in enumerate(of.array("requests")):
            inside = "" if of is session else f"{of.where.removeprefix(f'{session.where}: ')}."
            record = Record.of(value, f"{session.where}: {inside}requests[{index}]", "a request, an object")
            entry = record.text("type", way_out='a request has type "n" or "s", a sub-agent "subagent"')
            if entry == "subagent":
                record.check_fields(AGENT_FIELDS, ignore, ignored)
                name = record.text("agent_id", blank=False, way_out="name the sub-agent")
                inner = f"{path}/{name}"
                if inner in names:
                    raise DatasetError(
                        f"{record.where}: field agent_id: the session already has a sub-agent {quoted(name)}: rename it"
                    )
                names.add(inner)
                inner_kind = record.text("subagent_type") if record.has("subagent_type") else "subagent"
                waiting.append((record, inner, inner_kind, start_s + record.seconds("t")))
            elif entry in ("n", "s"):
                calls.append(_call(record, block_size, start_s, ignore, ignored))
            else:
                raise DatasetError(
                    f'{record.where}: field type is {quoted(entry)}, not "n", "s" or "subagent": correct it'
                )
        by_time = sorted(calls, key=lambda call: call.at_s)
        reordered = sum(call is not other for call, other in zip(calls, by_time, strict=True))
        agents.append(Agent(path, kind, _start_tokens(of), tuple(by_time), reordered))
    return agents


def _call(record: Record, block_size: int, start_s: float, ignore: Collection[str], ignored: IgnoredFields) -> Call:
    record.check_fields(REQUEST_FIELDS, ignore, ignored)
    prompt = record.count("in", least=1)
    ids = _ids(record)
    full = prompt // block_size
    if len(ids) not in (full, -(-prompt // block_size)):
        raise DatasetError(
            f"{record.where}: {prompt} tokens (in) fill {full} blocks of {block_size}, hash_ids has {len(ids)}: "
            "correct the request, or skip such sessions with dataset.on_bad_session=skip"
        )
    return Call(
        at_s=start_s + record.seconds("t"),
        model=record.text("model", blank=False, way_out="add the model's name, because each model has its own cache"),
        prompt_tokens=prompt,
        reply_tokens=record.count("out"),
        ids=ids,
        think_s=record.seconds("think_time") if record.has("think_time") else None,
    )


def _ids(record: Record) -> npt.NDArray[np.int64]:
    values = record.array("hash_ids", way_out="add the ids of the prompt's blocks")
    if set(map(type, values)) <= {int} and (not values or 0 <= min(values) <= max(values) < 1 << 63):
        return np.asarray(values, np.int64)
    index = next(i for i, value in enumerate(values) if type(value) is not int or not 0 <= value < 1 << 63)
    raise record.wrong(f"hash_ids[{index}]", values[index], "a block id (a whole number from 0 below 2^63)")


def _start_tokens(record: Record) -> int | None:
    if not record.has("tool_tokens") or not record.has("system_tokens"):
        return None
    return record.count("tool_tokens") + record.count("system_tokens")
