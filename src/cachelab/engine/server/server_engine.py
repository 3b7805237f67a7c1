"""The settings of a live server, and its run."""

import asyncio
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.base import EngineCounters, EngineRun, Progress, RunInterrupted
from cachelab.engine.entry_queue import wait_line
from cachelab.engine.history import REAL_NOTES, HistoryName, history
from cachelab.engine.server.lanes import Lanes
from cachelab.engine.server.sender import Api, Sender
from cachelab.engine.server.server_metrics import ServedModel, ServerCounters, ServerPages
from cachelab.engine.server.server_notes import MeasuredServer, server_notes
from cachelab.engine.sizes import EngineSizes, ModelLength
from cachelab.error_format import cut
from cachelab.errors import ConfigError, EngineError
from cachelab.request import RequestRecord, Schedule
from cachelab.strict_config import STRICT, Count, Text

log = logging.getLogger(__name__)

_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


@dataclass(frozen=True, config=STRICT)
class ServerEngine(EngineSizes):
    """A running OpenAI-compatible server; times are wall-clock times of the client.

    Exact: cached tokens per request (the server's usage), and queries and hits (the change of its /metrics, which
    counts the requests of other clients too). What the server does not say is absent. Not known to a client: when the
    server schedules a request. A request's `first_scheduled_ns` is the time at which it was sent, and `prefill_index`
    the order in which requests were sent.

    `url` has no path. `model`: a served model (None: the only one). `api`: `completions` sends token ids, `chat`
    messages. `api_key_env`: the name of the environment variable with the key. `headers`: further ones, name -> name of
    the environment variable with the value. `max_connections`: the most requests at once. `timeout_s`: the longest
    silence of the server, `deadline_s` the longest time of one attempt. `retries`: how often a request that the server
    refused (429, 503 with Retry-After, no connection) is sent again; one that may have run is not. `reset_cache`
    empties the prefix cache first. `on_error`: `stop` the run at the first failed request, or `record` it. `block_size`
    and `num_blocks` (None: as the server says) must be the server's. `max_num_seqs` and `max_num_batched_tokens` are
    those that it was started with: they are recorded, and nothing is sent or computed from them.
    """

    url: Text = "http://127.0.0.1:8000"
    model: Text | None = None
    api: Api = "completions"
    block_size: Annotated[int, Field(gt=0, le=1 << 20)] = 16
    max_model_len: ModelLength | None = None
    max_connections: Count = 1
    max_output_tokens: Count | None = None
    history: HistoryName = "recorded"
    api_key_env: Text | None = None
    headers: dict[str, str] = field(default_factory=dict)
    timeout_s: Seconds = 600.0
    deadline_s: Seconds | None = None
    retries: Annotated[int, Field(ge=0, le=100)] = 3
    reset_cache: bool = True
    on_error: Literal["stop", "record"] = "stop"

    enable_prefix_caching: ClassVar[bool] = True
    host_cache_gib: ClassVar[float] = 0.0
    args: ClassVar[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"engine.url: {self.url} is no address: write http://host:port")
        if "@" in self.url:
            raise ConfigError("engine.url: write it without user and password: engine.api_key_env takes the key")
        if "v1" in urlsplit(self.url).path.split("/"):
            raise ConfigError(f"engine.url: {self.url}: write it without /v1 and what follows: cachelab adds the path")
        variables = {"api_key_env": self.api_key_env} | {f"headers.{name}": env for name, env in self.headers.items()}
        for setting, variable in variables.items():  # refused before a record or a tracked run can hold the value
            if variable is not None and not _VARIABLE.fullmatch(variable):
                raise ConfigError(f"engine.{setting}: write the name of an environment variable, not the value itself")
            self._secret(setting, variable)  # refused before the dataset is read
        if self.history == "forced":
            raise ConfigError(
                "history: a server cannot be made to emit recorded replies: use history=generated or recorded"
            )
        if self.history == "generated" and self.api == "chat":
            raise ConfigError("history: engine.api=chat sends the recorded messages: use history=recorded")
        self.check_sizes()

    @property
    def name(self) -> str:
        return "server"

    @property
    def version(self) -> str | None:
        return None

    def run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run the schedule on the server.

        A run that stops at a failed request, or of which no request completed, has `failure`. Raises EngineError if the
        server cannot be reached, ConfigError if `api` cannot send the requests, and RunInterrupted, with what had
        ended, for a signal.
        """
        if self.api == "chat" and (bare := next((one.id for one in schedule if not one.messages), None)) is not None:
            raise ConfigError(
                f"engine.api: chat sends messages, and request {bare} has none, as in block traces and synthetic data: "
                "set engine.api=completions, or use a dataset of messages"
            )
        key = self._secret("api_key_env", self.api_key_env)
        headers = {name: self._secret(f"headers.{name}", env) or "" for name, env in self.headers.items()}
        pages_headers = headers | ({"Authorization": f"Bearer {key}"} if key else {})
        pages = ServerPages(self.url.rstrip("/"), pages_headers, min(self.timeout_s, 60.0))
        model, served = self._model(pages.models())
        is_reset = self.reset_cache and pages.reset_cache()
        before = pages.counters()
        # A router in front of vLLM has other counters, or none, and mostly passes the list of models on.
        is_vllm = served.is_vllm or (isinstance(before, ServerCounters) and before.kind == "vllm")
        self._check(before)
        if self.history == "generated" and not is_vllm:
            raise EngineError("history: only vLLM's server gives the ids of its replies back: use history=recorded")
        if (line := wait_line(schedule)) is not None:
            log.info("%s", line)
        sender = Sender(
            f"{self.url.rstrip('/')}/v1", model, self.api, key, headers, is_vllm, self.retries, self.timeout_s,
            self.deadline_s,
        )  # fmt: skip
        lanes = Lanes(
            sender.send, history(self.history), self.max_model_len or served.max_model_len, self.max_connections,
            self.max_output_tokens, progress, self.on_error,
        )  # fmt: skip
        server = MeasuredServer(pages.version(), before, None, is_reset, self.reset_cache)
        try:
            asyncio.run(_whole(lanes, sender, schedule))
        except KeyboardInterrupt as interrupt:
            raise RunInterrupted(self._ended(schedule, lanes, sender, server)) from interrupt
        return self._ended(schedule, lanes, sender, server._replace(after=pages.counters()))

    def _ended(self, schedule: Schedule, lanes: Lanes, sender: Sender, server: MeasuredServer) -> EngineRun:
        records, requests = lanes.in_order(schedule)
        completed = sum(record.prompt_tokens for record in records if record.outcome == "completed")
        server = server._replace(prompt_tokens=completed)
        notes = [REAL_NOTES[self.history], *server_notes(server, records, lanes, sender)]
        counters = self._counters(server)
        failure = lanes.failure or _nothing_completed(records)
        return EngineRun(records, counters, requests, notes=tuple(notes), failure=failure)

    def _secret(self, setting: str, variable: str | None) -> str | None:
        if variable is None:
            return None
        name = cut(variable, 100)
        if not (value := os.environ.get(variable, "").strip()):
            raise ConfigError(f"engine.{setting}: the environment variable {name} is not set")
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(f"engine.{setting}: the value of {name} has characters that no header can hold")
        return value

    def _model(self, served: dict[str, ServedModel] | str) -> tuple[str, ServedModel]:
        if isinstance(served, str):
            if self.model is None:
                raise EngineError(f"engine.model: {served}: name the model")
            log.info("%s: engine.model and engine.max_model_len are taken as they are set", served)
            return self.model, ServedModel()
        if self.model is None and len(served) != 1:
            raise EngineError(f"engine.model: the server has {', '.join(served) or 'no models'}: name one of them")
        model = self.model or next(iter(served))
        if model not in served:
            raise EngineError(f"engine.model: the server has no {model}: it has {', '.join(served)}")
        length = served[model].max_model_len
        if length is not None and self.max_model_len is not None and self.max_model_len > length:
            raise EngineError(f"engine.max_model_len: {self.max_model_len} is above the server's {length}")
        return model, served[model]

    def _check(self, counters: ServerCounters | str) -> None:
        for name in ("block_size", "num_blocks"):
            mine, its = getattr(self, name), getattr(counters, name, None)
            if mine is not None and its is not None and mine != its:
                raise EngineError(f"engine.{name}: {mine}, but the server's is {its}: set engine.{name}={its}")

    def _counters(self, server: MeasuredServer) -> EngineCounters:
        blocks = server.num_blocks or self.num_blocks
        found = server.change()
        change = {} if isinstance(found, str) else found
        return EngineCounters(
            clock="wall",
            block_size=self.block_size,
            num_blocks=None if blocks is None else blocks - 1,
            steps=change.get("steps"),
            kv_usage_max=None,
            queries_tokens=change.get("queries"),
            hits_tokens=change.get("hits"),
            preempted_queries_tokens=None,
            preempted_hits_tokens=None,
        )


def _nothing_completed(records: Sequence[RequestRecord]) -> str | None:
    """Why a run of which no request completed is a failed one; None for any other run."""
    if not records or any(record.outcome == "completed" for record in records):
        return None
    return f"0 of {len(records):,} requests completed; the first one, {records[0].request_id}: {records[0].reason}"


async def _whole(lanes: Lanes, sender: Sender, schedule: Schedule) -> None:
    async with sender:
        await lanes.run(schedule)
