"""A server for tests that answers each completion as its script says."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
CACHED = 16


class ScriptedServer(ThreadingHTTPServer):
    """Follows `script`, one word per completion; after its end every completion is answered in full.

    The words: ok, hang, cut, malformed, no_usage, no_cached, short, trickle, retry_later, fault, no_key.
    """

    daemon_threads = True

    def __init__(self, script: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = list(script)
        self.prompts: list[list[int]] = []
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.resets = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        done = len(self.server.prompts)
        pages = {
            "/version": json.dumps({"version": "0.0"}),
            "/v1/models": json.dumps({"data": [{"id": "tiny", "max_model_len": 256}]}),
            "/metrics": METRICS % (sum(map(len, self.server.prompts)), CACHED * done, done, done),
        }
        self._answer(200, pages[self.path])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self.path == "/reset_prefix_cache":
            self.server.resets += 1
            return self._answer(200, "")
        self.server.keys.append(self.headers.get("Authorization"))
        self.server.bodies.append(body)
        word = self.server.script.pop(0) if self.server.script else "ok"
        if word == "hang":
            time.sleep(2)
            return None
        status = {"retry_later": 429, "fault": 500, "no_key": 401}.get(word)
        if status is not None:
            text = f"said {word} to {self.headers.get('Authorization')}"
            return self._answer(status, json.dumps({"error": {"message": text}}))
        return self._stream(word, body)

    def _stream(self, word: str, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        wanted = body["max_tokens"] - (word == "short")
        for index in range(wanted):
            finish = "length" if index == wanted - 1 else None
            self._event({"choices": [{"index": 0, "text": "", "token_ids": [index], "finish_reason": finish}]})
            if word in ("cut", "malformed"):
                if word == "malformed":
                    self.wfile.write(b"data: {not json\n\n")
                return
            if word == "trickle":
                time.sleep(0.02)
        usage: dict[str, Any] = {"prompt_tokens": len(body["prompt"]), "completion_tokens": wanted, "total_tokens": 0}
        if word != "no_cached":
            usage["prompt_tokens_details"] = {"cached_tokens": CACHED}
        if word != "no_usage":
            self._event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")
        self.server.prompts.append(body["prompt"])

    def _event(self, data: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps({'id': 'x', 'object': 'text_completion', **data})}\n\n".encode())
        self.wfile.flush()

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


@contextmanager
def scripted(*script: str) -> Iterator[ScriptedServer]:
    """A server on a free port, closed at the end."""
    server = ScriptedServer(list(script))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
