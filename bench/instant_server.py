"""A server for bench/server_client.py that answers every completion at once: `python bench/instant_server.py P R`.

Every prompt has P tokens and every reply R. The reply is the same bytes each time (R events, usage, `[DONE]`) in one
write, so that the client is what is measured. The first line of stdout is the port. GET /counts gives, since the last
POST /reset_prefix_cache, the completions, the seconds from the first request to the last answer, and the server's own
seconds of CPU. The other pages are those that clients of vLLM read first.
"""

import asyncio
import json
import sys
import time
from typing import Any, cast

METRICS = """\
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{{block_size="16",num_gpu_blocks="10000"}} 1.0
# TYPE vllm:prefix_cache_queries counter
vllm:prefix_cache_queries_total{{engine="0"}} {queries}
# TYPE vllm:prefix_cache_hits counter
vllm:prefix_cache_hits_total{{engine="0"}} 0
# TYPE vllm:num_preemptions counter
vllm:num_preemptions_total{{engine="0"}} 0.0
# TYPE vllm:iteration_tokens_total histogram
vllm:iteration_tokens_total_bucket{{engine="0",le="+Inf"}} {requests}
vllm:iteration_tokens_total_count{{engine="0"}} {requests}
vllm:iteration_tokens_total_sum{{engine="0"}} 0.0
"""


def main() -> None:
    """Serve until the process is killed."""
    prompt_tokens, reply_tokens = map(int, sys.argv[1:3])
    try:
        from uvloop import run
    except ImportError:
        from asyncio import run
    run(serve(prompt_tokens, reply_tokens))


async def serve(prompt_tokens: int, reply_tokens: int) -> None:
    """Listen on a free port of this machine, print it, and answer."""
    counts = Counts(prompt_tokens)
    reply = completion(prompt_tokens, reply_tokens)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(counts, reply), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def completion(prompt_tokens: int, reply_tokens: int) -> bytes:
    """The bytes of one streamed reply, HTTP headers included. Each event has one token, as vLLM sends them."""
    about = {"id": "cmpl-0", "object": "text_completion", "created": 0, "model": "instant"}
    events: list[dict[str, Any]] = []
    for index in range(reply_tokens):
        finish = "length" if index == reply_tokens - 1 else None
        choice = {"index": 0, "text": " a", "logprobs": None, "finish_reason": finish, "token_ids": [index]}
        events.append({**about, "choices": [choice]})
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": reply_tokens,
        "total_tokens": prompt_tokens + reply_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    events.append({**about, "choices": [], "usage": usage})
    lines = [*(f"data: {json.dumps(event)}\n\n".encode() for event in events), b"data: [DONE]\n\n"]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(line), line) for line in lines)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunks + b"0\r\n\r\n"


class Counts:
    """What came in since the last reset."""

    def __init__(self, prompt_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.all_requests = 0
        self.reset()

    def reset(self) -> None:
        """Start again. `all_requests` goes on, as a server's counters do."""
        self.requests, self.first_s, self.last_s, self.cpu_s = 0, 0.0, 0.0, time.process_time()

    def add(self, came_s: float) -> None:
        """Count a completion that came at this time and is answered now."""
        self.first_s = self.first_s if self.requests else came_s
        self.last_s = time.perf_counter()
        self.requests += 1
        self.all_requests += 1

    def page(self, path: str) -> str | None:
        """A page that is not a completion; None for one that this server does not have."""
        if path == "/counts":
            seconds, cpu_s = self.last_s - self.first_s, time.process_time() - self.cpu_s
            return json.dumps({"requests": self.requests, "seconds": seconds, "cpu_s": cpu_s})
        if path == "/metrics":
            return METRICS.format(queries=self.all_requests * self.prompt_tokens, requests=self.all_requests)
        if path == "/v1/models":
            model = {"id": "instant", "object": "model", "max_model_len": 1 << 20}
            return json.dumps({"object": "list", "data": [model]})
        return json.dumps({"version": "0.32.0"}) if path == "/version" else None


class Connection(asyncio.Protocol):
    """One keep-alive connection: a request is its headers and a body of Content-Length bytes."""

    def __init__(self, counts: Counts, reply: bytes) -> None:
        self.counts, self.reply, self.received = counts, reply, bytearray()
        self.came_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        if not self.received:
            self.came_s = time.perf_counter()
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.received[:end])
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.received) < end + 4 + length:
                return
            del self.received[: end + 4 + length]
            method, path, _ = head.split(b" ", 2)
            self._answer(method, path.decode())

    def _answer(self, method: bytes, path: str) -> None:
        if path == "/v1/completions":
            self.transport.write(self.reply)
            self.counts.add(self.came_s)
            return
        if method == b"POST" and path == "/reset_prefix_cache":
            self.counts.reset()
            text: str | None = ""
        else:
            text = self.counts.page(path)
        status = b"200 OK" if text is not None else b"404 Not Found"
        kind = b"text/plain" if path == "/metrics" else b"application/json"
        body = (text or "").encode()
        head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(body))
        self.transport.write(head + body)


if __name__ == "__main__":
    main()
