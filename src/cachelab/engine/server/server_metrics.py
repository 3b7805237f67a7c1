"""A vLLM server's own numbers: /metrics, /v1/models, /version, and the reset of its cache."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cachelab.errors import EngineError

if TYPE_CHECKING:
    from requests import Response

_COUNTERS = {
    "queries": "vllm:prefix_cache_queries_total",
    "hits": "vllm:prefix_cache_hits_total",
    "steps": "vllm:iteration_tokens_total_count",
    "preemptions": "vllm:num_preemptions_total",
}


@dataclass(frozen=True, slots=True)
class ServerCounters:
    """The sizes of a server's cache (`num_blocks` with vLLM's null block) and its counters since it started."""

    block_size: int
    num_blocks: int
    queries: int
    hits: int
    steps: int
    preemptions: int


@dataclass(frozen=True)
class ServerPages:
    """The pages of the server at `url` (no path). `timeout_s` holds for each of them."""

    url: str
    headers: dict[str, str]
    timeout_s: float

    def counters(self) -> ServerCounters:
        """Read /metrics. Raises EngineError if it is not that of one vLLM engine."""
        text = self._get("/metrics").text
        return read_counters(text)

    def models(self) -> dict[str, int | None]:
        """The served models and the `max_model_len` of each (None: not said). Raises EngineError."""
        page: Any = self._read("/v1/models", lambda answer: answer.json())
        try:
            return {str(entry["id"]): entry.get("max_model_len") for entry in page["data"]}
        except (KeyError, TypeError, AttributeError) as error:
            raise EngineError(f"engine.url: {self.url}/v1/models is no list of models") from error

    def version(self) -> str:
        """The version of vLLM. Raises EngineError."""
        return str(self._read("/version", lambda answer: answer.json()["version"]))

    def reset_cache(self) -> bool:
        """Empty the prefix cache. Returns whether the server allows it (VLLM_SERVER_DEV_MODE=1)."""
        answer = self._answer("POST", "/reset_prefix_cache")
        return answer.ok

    def _read(self, path: str, part: Callable[["Response"], Any]) -> Any:
        answer = self._get(path)
        try:
            return part(answer)
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"engine.url: {self.url}{path} gave no JSON that vLLM gives") from error

    def _get(self, path: str) -> "Response":
        answer = self._answer("GET", path)
        if not answer.ok:
            raise EngineError(f"engine.url: {self.url}{path} answered {answer.status_code} {answer.reason}")
        return answer

    def _answer(self, method: str, path: str) -> "Response":
        import requests

        try:
            return requests.request(method, self.url + path, headers=self.headers, timeout=self.timeout_s)
        except requests.RequestException as error:
            why = type(error).__name__
            raise EngineError(f"engine.url: {self.url}{path} does not answer ({why}): is the server up?") from error


def read_counters(text: str) -> ServerCounters:
    """The counters in a page of /metrics, Prometheus text format. Raises EngineError."""
    from prometheus_client.parser import text_string_to_metric_families

    values: dict[str, list[float]] = {}
    configs: list[dict[str, str]] = []
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values.setdefault(sample.name, []).append(sample.value)
                if sample.name == "vllm:cache_config_info":
                    configs.append(sample.labels)
    except ValueError as error:
        raise EngineError(f"engine.url: /metrics cannot be read: {error}") from error
    missing = [name for name in _COUNTERS.values() if name not in values]
    if missing or not configs:
        name = missing[0] if missing else "vllm:cache_config_info"
        raise EngineError(f"engine.url: /metrics has no {name}: engine=server measures vLLM's server")
    if len(configs) > 1 or any(len(values[name]) > 1 for name in _COUNTERS.values()):
        raise EngineError("engine.url: /metrics has several engines (data parallel): measure a server with one engine")
    try:
        sizes = int(configs[0]["block_size"]), int(configs[0]["num_gpu_blocks"])
    except (KeyError, ValueError) as error:
        raise EngineError("engine.url: vllm:cache_config_info lacks block_size or num_gpu_blocks") from error
    return ServerCounters(*sizes, **{key: int(values[name][0]) for key, name in _COUNTERS.items()})
