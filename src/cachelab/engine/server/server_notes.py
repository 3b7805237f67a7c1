"""What a reader of the numbers of a server must know."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cachelab.engine.server.lanes import Lanes
from cachelab.engine.server.sender import Sender
from cachelab.engine.server.server_metrics import ServerCounters
from cachelab.request import RequestRecord

log = logging.getLogger(__name__)


class MeasuredServer(NamedTuple):
    """The server's own words before and after a run; a text instead of counters says why there are none.

    `prompt_tokens`: those of the requests that completed.
    """

    version: str | None
    before: ServerCounters | str
    after: ServerCounters | str | None
    is_reset: bool
    reset_wanted: bool
    prompt_tokens: int = 0

    def change(self) -> Mapping[str, int] | str:
        """The change of each counter during the run, or the reason why it is not known."""
        before, after = self.before, self.after
        if isinstance(before, str):
            return before
        if after is None:
            return "the run was interrupted"
        if isinstance(after, str):
            return after
        found = {
            name: getattr(after, name) - getattr(before, name)
            for name in ("queries", "hits", "steps", "preemptions")
            if getattr(before, name) is not None
        }
        if before.started_s != after.started_s or any(value < 0 for value in found.values()):
            return "the server was restarted during the run, or its /metrics are those of several engines in turn"
        if found["queries"] < self.prompt_tokens:
            return (
                f"/metrics counted {found['queries']:,} of {self.prompt_tokens:,} prompt tokens, so it is that of one "
                "of several engines"
            )
        return found

    @property
    def num_blocks(self) -> int | None:
        """The blocks of the server's cache; None if it does not say, or if it is one of several engines."""
        if isinstance(self.after, ServerCounters) and isinstance(self.change(), str):
            return None
        return self.before.num_blocks if isinstance(self.before, ServerCounters) else None


def server_notes(
    server: MeasuredServer, records: Sequence[RequestRecord], lanes: Lanes, sender: Sender
) -> Sequence[str]:
    """One sentence for each thing that limits the numbers."""
    version = f", vLLM {server.version}" if server.version and sender.is_vllm else ""
    notes = [f"The server's model: {sender.model}{version}."]
    done = [record for record in records if record.outcome == "completed"]
    if not server.is_reset:
        notes.append(_warm(server, done))
    if silent := sum(not record.cached_known for record in done):
        notes.append(
            f"{silent:,} of {len(done):,} replies do not say how many tokens were cached: the hit metrics are absent. "
            "vLLM says it with --enable-prompt-tokens-details, SGLang with --enable-cache-report."
        )
    nulls = set(lanes.null_cached)
    if zeros := sum(record.cached_known and record.request_id in nulls for record in done):
        notes.append(
            f"{zeros:,} of {len(done):,} replies have null where the others have their cached tokens: it counts as 0, "
            "which is what SGLang means by it."
        )
    if sender.unsalted:
        notes.append(
            f"{sender.unsalted:,} requests have a cache salt, which was not sent: the server does not say that it is "
            "vLLM. Requests with different salts may have shared blocks."
        )
    notes += _of_metrics(server, done)
    if lanes.unknown_ids:
        notes.append(
            "The server does not give the token ids of its replies: numbers that no prompt holds stand for them, from "
            "2,147,483,647 downwards."
        )
    if lanes.failed:
        notes.append(f"{len(lanes.failed):,} requests failed at the server; the table of requests has the reasons.")
    if sender.repeated:
        notes.append(f"The server refused requests {sender.repeated:,} times; they were sent again (engine.retries).")
    if sender.other_prompts:
        notes.append(
            f"{len(sender.other_prompts):,} prompts have other tokens on the server than from the tokenizer, the first "
            f"is {sender.other_prompts[0]}: another chat template or vocabulary. The server's tokens were measured."
        )
    return notes


def _warm(server: MeasuredServer, done: Sequence[RequestRecord]) -> str:
    why = "it does not allow a reset (vLLM: VLLM_SERVER_DEV_MODE=1)" if server.reset_wanted else "reset_cache is false"
    line = f"The server's cache may have been warm: {why}."
    first = [record for record in done if record.turn_index == 0 and record.cached_known]
    if tokens := sum(record.prompt_tokens for record in first):
        share = sum(record.cached_tokens for record in first) / tokens
        line += f" {100 * share:.2f} % of the tokens of first turns were cached."
    log.warning("%s", line)
    return line


def _of_metrics(server: MeasuredServer, done: Sequence[RequestRecord]) -> Sequence[str]:
    change = server.change()
    if isinstance(change, str):
        return [f"The server's own counters are absent: {change}."]
    notes = []
    if preemptions := change.get("preemptions"):
        notes.append(f"The server preempted {preemptions:,} times; it does not say which requests.")
    prompts = server.prompt_tokens
    hits = sum(record.cached_tokens for record in done)
    if all(record.cached_known for record in done) and (change["queries"], change["hits"]) != (prompts, hits):
        notes.append(
            f"The server's /metrics counted {change['queries']:,} tokens queried and {change['hits']:,} hit, the "
            f"replies {prompts:,} and {hits:,}: failed requests, preemptions or other clients are the difference."
        )
    return notes
