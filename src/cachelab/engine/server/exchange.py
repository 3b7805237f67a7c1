"""One request to a server: token ids out, the stream of the reply and its usage back."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cachelab.error_format import reason

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import CompletionUsage

_LONGEST_REASON = 400


class RequestFailed(Exception):
    """The server did not answer a request in full. The text is the reason, in one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sent back. `output_ids`: the token ids of the reply. Times are monotonic nanoseconds."""

    prompt_tokens: int
    cached_tokens: int
    output_ids: list[int]
    sent_ns: int
    first_token_ns: int
    finished_ns: int


async def exchange(
    client: "AsyncOpenAI", model: str, prompt_ids: list[int], reply_tokens: int, cache_salt: str | None
) -> Answer:
    """Send one prompt to /v1/completions and read its stream. It is sent once. Raises RequestFailed."""
    further: dict[str, Any] = {"ignore_eos": True, "return_token_ids": True}
    if cache_salt is not None:
        further["cache_salt"] = cache_salt
    output_ids: list[int] = []
    usage: CompletionUsage | None = None
    finish: str | None = None
    first_token_ns: int | None = None
    sent_ns = time.monotonic_ns()
    try:
        stream = await client.completions.create(
            model=model,
            prompt=prompt_ids,
            max_tokens=reply_tokens,
            temperature=0.0,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=further,
        )
        async for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                if new := (choice.model_extra or {}).get("token_ids"):
                    first_token_ns = first_token_ns or time.monotonic_ns()
                    output_ids += new
    except Exception as error:  # the client lets the errors of its HTTP and JSON libraries through, whatever they are
        raise RequestFailed(_why(error)) from error
    finished_ns = time.monotonic_ns()
    if finish is None:
        raise RequestFailed("the stream ended before the reply did")
    if usage is None:
        raise RequestFailed("the reply has no usage: the server must support stream_options.include_usage")
    if usage.prompt_tokens != len(prompt_ids):
        raise RequestFailed(f"the server counted {usage.prompt_tokens} prompt tokens, but {len(prompt_ids)} were sent")
    if first_token_ns is None or len(output_ids) != reply_tokens:
        raise RequestFailed(f"{len(output_ids)} of {reply_tokens} token ids came back (finish_reason {finish})")
    details = usage.prompt_tokens_details
    if details is None or details.cached_tokens is None:
        raise RequestFailed("usage has no cached_tokens: start the server with --enable-prompt-tokens-details")
    return Answer(usage.prompt_tokens, details.cached_tokens, output_ids, sent_ns, first_token_ns, finished_ns)


def _why(error: Exception) -> str:
    text = " ".join(reason(error).split()) or type(error).__name__
    cause = error.__cause__
    if cause is not None and (inner := " ".join(str(cause).split())) and inner not in text:
        text = f"{text} ({inner})"
    return f"{type(error).__name__}: {text}"[:_LONGEST_REASON]
