"""A server for tests that answers each completion or chat as its script says."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

METRICS = """\
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",num_gpu_blocks="100"} 1.0
# TYPE vllm:prefix_cache_queries counter
vllm:prefix_cache_queries_total{engine="0"} %d
# TYPE vllm:prefix_cache_hits counter
vllm:prefix_cache_hits_total{engine="0"} %d
# TYPE vllm:num_preemptions counter
vllm:num_preemptions_total{engine="0"} 0.0
# TYPE vllm:iteration_tokens_total histogram
vllm:iteration_tokens_total_bucket{engine="0",le="+Inf"} %d
vllm:iteration_tokens_total_count{engine="0"} %d
vllm:iteration_tokens_total_sum{engine="0"} 0.0
"""
STARTED = """\
# TYPE process_start_time_seconds gauge
process_start_time_seconds %d
"""
SGLANG = """\
# TYPE sglang:prompt_tokens counter
sglang:prompt_tokens_total{model_name="tiny"} %d
# TYPE sglang:cached_tokens counter
sglang:cached_tokens_total{model_name="tiny",cache_source="device"} %d
"""
CACHED = 16
STATUS = {"retry_later": 429, "busy_later": 503, "busy": 503, "fault": 500, "no_model": 404, "no_key": 401}


def cached(prompt: list[int]) -> int:
    """The tokens that the server says it has in its cache: a block, where the prompt has one before its last token."""
    return CACHED if len(prompt) > CACHED else 0


class ScriptedServer(ThreadingHTTPServer):
    """Follows `script`, one word per request; after its end every request is answered in full.

    The words: ok, hang, cut, reset, malformed, no_usage, no_cached, null, short, empty, huge, trickle, die, restart,
    and those of STATUS (with Retry-After if they end in later).
    `kind`: vllm, sglang, router (in front of vLLM), or plain. The last two have no /metrics and no /version.
    `prompt_ids`: those of a chat, as the server sees them. `has_models`: whether it has a list of models. `share`: one
    of so many engines, whose /metrics it shows.
    """

    daemon_threads = True

    def __init__(self, script: list[str], kind: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.script = list(script)
        self.kind = kind
        self.prompts: list[list[int]] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.resets = 0
        self.reset_answer = (200, "")
        self.started = 1_700_000_000
        self.prompt_ids: list[int] = []
        self.has_models = True
        self.share = 1

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        prompts = self.server.prompts[:: self.server.share]
        done, tokens, hits = len(prompts), sum(map(len, prompts)), sum(map(cached, prompts))
        owner = {"owned_by": "vllm"} if self.server.kind in ("vllm", "router") else {}
        pages = {"/v1/models": json.dumps({"data": [{"id": "tiny", "max_model_len": 256, **owner}]})}
        if not self.server.has_models:
            pages.clear()
        if self.server.kind == "vllm":
            pages["/version"] = json.dumps({"version": "0.0"})
            pages["/metrics"] = METRICS % (tokens, hits, done, done) + STARTED % self.server.started
        if self.server.kind == "sglang":
            pages["/metrics"] = SGLANG % (tokens, hits)
        self._answer(200 if self.path in pages else 404, pages.get(self.path, ""))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self.path in ("/reset_prefix_cache", "/flush_cache"):
            if self.server.kind in ("plain", "router"):
                return self._answer(404, "")
            self.server.resets += 1
            return self._answer(*self.server.reset_answer)
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.server.bodies.append(body)
        word = self.server.script.pop(0) if self.server.script else "ok"
        if word == "hang":
            time.sleep(2)
            return None
        if word == "restart":
            self.server.prompts.clear()
            self.server.started += 60
            return self._reset()
        if word == "die":
            threading.Thread(target=self._die).start()
            time.sleep(0.2)
            return self._reset()
        if word in STATUS:
            text = f"said {word} to {self.headers.get('Authorization')} of {self.headers.get('X-Team')}"
            headers = {"Retry-After": "0.2"} if word.endswith("later") else {}
            return self._answer(STATUS[word], json.dumps({"error": {"message": text}}), headers)
        try:
            return self._stream(word, body)
        except ConnectionError:  # the client gave up, as it should
            return None

    def _die(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _stream(self, word: str, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        chat = "messages" in body
        ids = self.server.kind in ("vllm", "router")
        prompt = self.server.prompt_ids if chat else body["prompt"]
        asked = body["max_completion_tokens"] if chat else body["max_tokens"]
        wanted = {"short": asked - 1, "empty": 0, "huge": 1_000_000}.get(word, asked)
        for index in range(wanted):
            choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if index == wanted - 1 else None}
            choice |= {"delta": {"content": "x"}} if chat else {"text": "x"}
            event: dict[str, Any] = {"choices": [choice | ({"token_ids": [index]} if ids else {})]}
            self._event(event | ({"prompt_token_ids": prompt} if chat and ids and index == 0 else {}))
            if word in ("cut", "malformed", "reset"):
                if word == "malformed":
                    self.wfile.write(b"data: {not json\n\n")
                return self._reset() if word == "reset" else None
            if word == "trickle":
                time.sleep(0.02)
        usage: dict[str, Any] = {"prompt_tokens": len(prompt), "completion_tokens": wanted, "total_tokens": 0}
        if word != "no_cached":
            usage["prompt_tokens_details"] = None if word == "null" else {"cached_tokens": cached(prompt)}
        if word == "empty":
            end: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
            self._event({"choices": [{"index": 0, "finish_reason": "stop", **end}]})
        if word != "no_usage":
            self._event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")
        self.server.prompts.append(prompt)
        return None

    def _event(self, data: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps({'id': 'x', 'object': 'text_completion', **data})}\n\n".encode())
        self.wfile.flush()

    def _answer(self, status: int, text: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())


@contextmanager
def scripted(*script: str, kind: str = "vllm", port: int = 0) -> Iterator[ScriptedServer]:
    """A server on a port (0: a free one), closed at the end."""
    server = ScriptedServer(list(script), kind, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
