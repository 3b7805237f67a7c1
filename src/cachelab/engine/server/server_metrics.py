"""What a server says of itself: /metrics, /v1/models, /version, and the reset of its cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cachelab.errors import EngineError

if TYPE_CHECKING:
    from requests import Response

Kind = Literal["vllm", "sglang"]

_COUNTERS: Mapping[Kind, Mapping[str, str]] = {
    "vllm": {
        "queries": "vllm:prefix_cache_queries_total",
        "hits": "vllm:prefix_cache_hits_total",
        "steps": "vllm:iteration_tokens_total_count",
        "preemptions": "vllm:num_preemptions_total",
    },
    "sglang": {"queries": "sglang:prompt_tokens_total", "hits": "sglang:cached_tokens_total"},
}
"""The counters of each kind of server. Source: vllm/v1/metrics/loggers.py; SGLang's page on production metrics."""

_ADVICE = {
    "InvalidURL": "write http://host:port",
    "SSLError": "does the server speak https, with a certificate that this machine trusts? Else write http://",
    "ProxyError": "the proxy of HTTP_PROXY or HTTPS_PROXY fails: name the host in NO_PROXY",
}
"""What to do about an error of the connection, by its name in requests."""


@dataclass(frozen=True, slots=True)
class ServerCounters:
    """A server's counters since it started, the sizes of its cache, vLLM's null block included, and when it started.

    None: it does not say it. `started_s`: seconds since 1970.
    """

    kind: Kind
    queries: int
    hits: int
    steps: int | None = None
    preemptions: int | None = None
    block_size: int | None = None
    num_blocks: int | None = None
    started_s: float | None = None


class ServedModel(NamedTuple):
    """A model of /v1/models. `max_model_len`: None if it is not said. `is_vllm`: vLLM is named as its owner."""

    max_model_len: int | None = None
    is_vllm: bool = False


@dataclass(frozen=True)
class ServerPages:
    """The pages of the server at `url` (no path). `timeout_s` holds for each of them."""

    url: str
    headers: Mapping[str, str]
    timeout_s: float

    def counters(self) -> ServerCounters | str:
        """The counters in /metrics, or the reason why there are none."""
        try:
            answer = self._answer("GET", "/metrics")
        except EngineError as error:
            return str(error)
        return read_counters(answer.text) if answer.ok else f"/metrics answered {answer.status_code}"

    def models(self) -> "dict[str, ServedModel] | str":
        """The served models by name, or the reason why there is no list.

        Raises EngineError if the server cannot be reached or refuses the key.
        """
        answer = self._answer("GET", "/v1/models")
        if answer.status_code in (401, 403):
            raise EngineError(f"engine.api_key_env: {self.url} refuses the key ({answer.status_code})")
        if not answer.ok:
            return f"{self.url}/v1/models answered {answer.status_code} {answer.reason}"
        try:
            page: Any = answer.json()
            return {
                str(entry["id"]): ServedModel(_length(entry.get("max_model_len")), entry.get("owned_by") == "vllm")
                for entry in page["data"]
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"{self.url}/v1/models is no list of models"

    def version(self) -> str | None:
        """The version of vLLM; None if the server does not say one."""
        try:
            answer = self._answer("GET", "/version")
            return str(answer.json()["version"]) if answer.ok else None
        except (EngineError, ValueError, KeyError, TypeError):
            return None

    def reset_cache(self) -> bool:
        """Empty the prefix cache. Returns whether the server did it (vLLM: with VLLM_SERVER_DEV_MODE=1)."""
        return any(_is_done(self._answer("POST", path)) for path in ("/reset_prefix_cache", "/flush_cache"))

    def _answer(self, method: str, path: str) -> "Response":
        import requests

        try:
            return requests.request(
                method, self.url + path, headers=dict(self.headers), timeout=self.timeout_s, allow_redirects=False
            )
        except requests.RequestException as error:
            why = type(error).__name__
            advice = _ADVICE.get(why, "is the address right, and is the server up?")
            raise EngineError(f"engine.url: {self.url}{path} does not answer ({why}): {advice}") from error


def _length(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _is_done(answer: "Response") -> bool:
    """Whether the server did what it was asked for. vLLM answers 200 with `success: false` while blocks are in use."""
    if answer.status_code != 200:
        return False
    try:
        body = answer.json()
    except ValueError:  # SGLang and earlier versions of vLLM answer with text or nothing
        return True
    return not (isinstance(body, dict) and body.get("success") is False)


def read_counters(text: str) -> ServerCounters | str:
    """The counters in a page of /metrics, Prometheus text format, or the reason why there are none."""
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
        return f"/metrics cannot be read: {error}"
    started = values.get("process_start_time_seconds", [None])[0]
    kind: Kind = "vllm" if configs else "sglang"
    names = _COUNTERS[kind]
    if kind == "sglang" and not any(name in values for name in names.values()):
        return "/metrics has no counters of vLLM or SGLang"
    if missing := [name for name in names.values() if name not in values]:
        return f"/metrics has no {missing[0]}"
    if kind == "sglang":  # several samples are the sources of one engine's hits
        queries, hits = (int(sum(values[names[key]])) for key in ("queries", "hits"))
        return ServerCounters(kind, queries, hits, started_s=started)
    if len(configs) > 1 or any(len(values[name]) > 1 for name in names.values()):
        return "/metrics has several engines (data parallel)"
    try:
        sizes = {"block_size": int(configs[0]["block_size"]), "num_blocks": int(configs[0]["num_gpu_blocks"])}
    except (KeyError, ValueError):
        return "vllm:cache_config_info lacks block_size or num_gpu_blocks"
    return ServerCounters(
        kind, **{key: int(values[name][0]) for key, name in names.items()}, **sizes, started_s=started
    )
