"""The settings of a live server, and its run."""

import asyncio
import logging
import os
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.engine.base import EngineCounters, EngineRun, Progress
from cachelab.engine.history import REAL_NOTES, HistoryName, history
from cachelab.engine.server.exchange import Answer, RequestFailed, exchange
from cachelab.engine.server.lanes import Lanes
from cachelab.engine.server.server_metrics import ServerCounters, ServerPages
from cachelab.engine.sizes import EngineSizes, ModelLength
from cachelab.errors import ConfigError, EngineError
from cachelab.request import Schedule
from cachelab.secret import MASK
from cachelab.strict_config import STRICT, Count, Text

log = logging.getLogger(__name__)

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


@dataclass(frozen=True, config=STRICT)
class ServerEngine(EngineSizes):
    """A running vLLM server, through /v1/completions with token ids; times are wall-clock times of the client.

    Exact: cached tokens per request (the server's usage), and queries and hits (the change of its /metrics, which
    counts the requests of other clients too). Not known to a client: when the server schedules a request. A request's
    `first_scheduled_ns` is the time at which it was sent, and `prefill_index` the order in which requests were sent.

    `url` has no path. `model`: a served model (None: the only one). `api_key_env`: the name of the environment variable
    with the key. `max_connections`: the most requests at once. `timeout_s`: the longest silence of the server.
    `reset_cache` empties the prefix cache first. `on_error`: `stop` the run at the first failed request, or `record` it
    as rejected. A request is never sent twice. `block_size` and `num_blocks` (None: not checked) must be the server's;
    the other sizes are those that it was started with.
    """

    url: Text = "http://127.0.0.1:8000"
    model: Text | None = None
    block_size: Annotated[int, Field(gt=0, le=1 << 20)] = 16
    max_model_len: ModelLength | None = None
    max_connections: Count = 1
    max_output_tokens: Count | None = None
    history: HistoryName = "recorded"
    api_key_env: Text | None = None
    timeout_s: Seconds = 600.0
    reset_cache: bool = True
    on_error: Literal["stop", "record"] = "stop"

    enable_prefix_caching: ClassVar[bool] = True
    host_cache_gib: ClassVar[float] = 0.0
    args: ClassVar[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"engine.url: {self.url} is no address: write http://host:port")
        if self.history == "forced":
            raise ConfigError(
                "history: a server cannot be made to emit recorded replies: use history=generated or recorded"
            )
        self.check_sizes()

    @property
    def name(self) -> str:
        return "server"

    @property
    def version(self) -> str | None:
        return None

    def run(self, schedule: Schedule, progress: Progress) -> EngineRun:
        """Run the schedule on the server. Raises EngineError if it cannot be reached, or for the first failure."""
        key = self._key()
        pages = ServerPages(self.url.rstrip("/"), {"Authorization": f"Bearer {key}"} if key else {}, self.timeout_s)
        model, max_model_len = self._model(pages.models())
        version = pages.version()
        notes = [REAL_NOTES[self.history], f"The server runs vLLM {version}."]
        if not self.reset_cache or not pages.reset_cache():
            line = "the server's cache may have been warm" + (
                ": it does not allow /reset_prefix_cache (VLLM_SERVER_DEV_MODE=1)" if self.reset_cache else ""
            )
            log.warning("%s", line)
            notes.append(f"{line[0].upper()}{line[1:]}.")
        before = pages.counters()
        self._check(before)
        lanes = Lanes(
            self._sender(model, key),
            history(self.history),
            max_model_len,
            self.max_connections,
            self.max_output_tokens,
            progress,
            self.on_error,
        )
        asyncio.run(lanes.run(schedule))
        if lanes.failed:
            notes.append(f"{len(lanes.failed)} requests failed at the server and are counted as rejected.")
        done = [record for record in lanes.records.values() if record.outcome == "completed"]
        after = pages.counters()
        counters = self._counters(before, after)
        if preemptions := after.preemptions - before.preemptions:
            notes.append(f"The server preempted {preemptions:,} times; which requests, it does not say.")
        prompts, hits = sum(one.prompt_tokens for one in done), sum(one.cached_tokens for one in done)
        if (counters.queries_tokens, counters.hits_tokens) != (prompts, hits):
            notes.append(
                f"The server's /metrics counted {counters.queries_tokens:,} tokens queried and "
                f"{counters.hits_tokens:,} hit, the replies {prompts:,} and {hits:,}: failed requests, preemptions or "
                "other clients are the difference."
            )
        order = {one.request_id: rank for rank, one in enumerate(sorted(done, key=lambda one: one.prefill_index or 0))}
        records = [replace(lanes.records[request.id], prefill_index=order.get(request.id)) for request in schedule]
        requests = [lanes.ran.get(request.id, request) for request in schedule]
        return EngineRun(records, counters, requests, notes=tuple(notes))

    def _key(self) -> str | None:
        if self.api_key_env is None:
            return None
        if not (key := os.environ.get(self.api_key_env, "").strip()):
            raise ConfigError(f"engine.api_key_env: the environment variable {self.api_key_env} is not set")
        return key

    def _model(self, served: dict[str, int | None]) -> tuple[str, int]:
        if self.model is None and len(served) != 1:
            raise EngineError(f"engine.model: the server has {', '.join(served) or 'no models'}: name one of them")
        model = self.model or next(iter(served))
        if model not in served:
            raise EngineError(f"engine.model: the server has no {model}: it has {', '.join(served)}")
        length = served[model]
        if length is None and self.max_model_len is None:
            raise EngineError("engine.max_model_len: the server does not say it: set it")
        if length is not None and self.max_model_len is not None and self.max_model_len > length:
            raise EngineError(f"engine.max_model_len: {self.max_model_len} is above the server's {length}")
        return model, self.max_model_len or length or 0

    def _check(self, counters: ServerCounters) -> None:
        for name in ("block_size", "num_blocks"):
            mine, its = getattr(self, name), getattr(counters, name)
            if mine is not None and mine != its:
                raise EngineError(f"engine.{name}: {mine}, but the server's is {its}: set engine.{name}={its}")

    def _sender(self, model: str, key: str | None) -> Any:
        from openai import AsyncOpenAI

        client: list[AsyncOpenAI] = []  # made inside the event loop that uses it

        async def send(prompt_ids: list[int], reply_tokens: int, salt: str | None) -> Answer:
            if not client:
                url = f"{self.url.rstrip('/')}/v1"
                client.append(AsyncOpenAI(base_url=url, api_key=key or "none", timeout=self.timeout_s, max_retries=0))
            try:
                return await exchange(client[0], model, prompt_ids, reply_tokens, salt)
            except RequestFailed as failure:
                raise RequestFailed(str(failure).replace(key, MASK) if key else str(failure)) from None

        return send

    def _counters(self, before: ServerCounters, after: ServerCounters) -> EngineCounters:
        if after.queries < before.queries:
            raise EngineError("engine.url: the server was restarted during the run: its counters cannot be compared")
        return EngineCounters(
            clock="wall",
            block_size=after.block_size,
            num_blocks=after.num_blocks - 1,
            steps=after.steps - before.steps,
            kv_usage_max=None,
            queries_tokens=after.queries - before.queries,
            hits_tokens=after.hits - before.hits,
            preempted_queries_tokens=0,
            preempted_hits_tokens=0,
        )
