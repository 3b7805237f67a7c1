"""One request to a server, and the stream of its reply."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from cachelab.engine.server.usage import cached_tokens, is_null, prompt_tokens
from cachelab.error_format import reason

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_SHOWN = 80  # characters of what a server sent instead of what it should send
_LETTERS_PER_TOKEN = 1024
"""More letters per token that was asked for than any vocabulary gives."""


class RequestFailed(Exception):
    """The server did not answer a request in full. The text is the reason, in one line.

    `refused`: the request certainly did not run (no connection, 429, 503 with Retry-After), so it may be sent again.
    `retry_after_s`: the wait that the server asked for, seconds.
    """

    def __init__(self, text: str, *, refused: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.refused, self.retry_after_s = refused, retry_after_s


@dataclass(slots=True)
class Answer:
    """What the server sent back. Times are monotonic nanoseconds; `None`: the server did not say it.

    `prompt_ids` and `output_ids`: the token ids that the server used and generated. `pieces`: the events with text.
    `is_null`: the usage has a place for the cached tokens and nothing in it.
    """

    sent_ns: int
    first_token_ns: int | None = None
    finished_ns: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    is_null: bool = False
    completion_tokens: int | None = None
    prompt_ids: list[int] | None = None
    output_ids: list[int] | None = None
    pieces: int = 0
    finish: str | None = None
    has_usage: bool = False
    _letters: int = field(default=0, repr=False)

    @property
    def reply_tokens(self) -> int:
        """The tokens of the reply: its ids, else the usage, else the events with text."""
        if self.output_ids is not None:
            return len(self.output_ids)
        return self.pieces if self.completion_tokens is None else self.completion_tokens

    def take(self, event: object) -> None:
        """Read one event of the stream, plain data of a form that only the server chose. Raises RequestFailed."""
        if not isinstance(event, Mapping):
            raise RequestFailed(f"the stream has {type(event).__name__} {str(event)[:_SHOWN]} where an object must be")
        if isinstance(usage := event.get("usage"), Mapping):
            self.has_usage = True
            self.prompt_tokens, self.cached_tokens = prompt_tokens(usage), cached_tokens(usage)
            self.is_null = is_null(usage)
            number = usage.get("completion_tokens")
            if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
                self.completion_tokens = number
        self.prompt_ids = _ids(event, "prompt_token_ids") or self.prompt_ids
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, Mapping):
                raise RequestFailed(f"the stream has a choice that is no object: {str(choice)[:_SHOWN]}")
            self.prompt_ids = _ids(choice, "prompt_token_ids") or self.prompt_ids
            self.finish = choice.get("finish_reason") or self.finish
            new, text = _ids(choice, "token_ids"), _text_of(choice)
            if new or text:
                self.first_token_ns = self.first_token_ns or time.monotonic_ns()
                self.pieces += 1
            if new:
                self.output_ids = self.output_ids or []
                self.output_ids += new
            self._letters += len(text)

    def is_beyond(self, wanted: int) -> bool:
        """Whether the reply is longer than `wanted` tokens can be."""
        if self.output_ids is not None:
            return len(self.output_ids) > wanted
        if (self.completion_tokens or 0) > wanted:
            return True
        return self._letters > wanted * _LETTERS_PER_TOKEN


async def exchange(client: "AsyncOpenAI", body: Mapping[str, Any], further: Mapping[str, Any], wanted: int) -> Answer:
    """Send a completion (`prompt`) or a chat (`messages`) once and read its stream. Raises RequestFailed.

    `further`: fields beyond OpenAI's API. `wanted`: the tokens of reply that the body asks for.
    """
    from openai import AsyncStream

    path = "/chat/completions" if "messages" in body else "/completions"
    whole = {**body, **further, "stream": True, "stream_options": {"include_usage": True}}
    answer = Answer(time.monotonic_ns())
    try:
        # Plain data in both directions: the methods of the endpoints check each token id of the prompt and make typed
        # objects of each event, which takes six times as much CPU in all (bench/server_client.py).
        stream = await client.post(path, cast_to=object, body=whole, stream=True, stream_cls=AsyncStream[object])
        async for event in stream:
            answer.take(event)
            if answer.is_beyond(wanted):
                await stream.close()
                limit = "max_completion_tokens" if "messages" in body else "max_tokens"
                raise RequestFailed(f"the reply is longer than the {wanted} tokens that were asked for ({limit})")
    except RequestFailed:
        raise
    except Exception as error:  # the client lets the errors of its HTTP and JSON libraries through, whatever they are
        raise failed(error) from error
    answer.finished_ns = time.monotonic_ns()
    if answer.finish is None:
        raise RequestFailed("the stream ended before the reply did")
    return answer


def failed(error: Exception) -> RequestFailed:
    """The reason of an error of the client, in one line, and whether the request can have run."""
    text = " ".join(reason(error).split()) or type(error).__name__
    cause = error.__cause__
    if cause is not None and (inner := " ".join(str(cause).split()) or type(cause).__name__) not in text:
        text = f"{text} ({inner})"
    status = getattr(error, "status_code", None)
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    retry_after_s = _seconds(headers.get("retry-after", ""))
    # A proxy also answers 503 where the connection to its server broke, so the request may have run. A server that says
    # when to come again has not taken it.
    refused = (
        status == 429
        or (status == 503 and retry_after_s is not None)
        or type(cause).__name__ in ("ConnectError", "ConnectTimeout")
    )
    return RequestFailed(f"{type(error).__name__}: {text}", refused=refused, retry_after_s=retry_after_s)


def _seconds(text: str) -> float | None:
    """The seconds of Retry-After, 0 or more: a number, or the time left until a date. None for any other text."""
    try:
        value = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return max(0.0, (aware - datetime.now(UTC)).total_seconds())
    return value if 0 <= value < math.inf else None


def _ids(source: Mapping[str, Any], name: str) -> list[int] | None:
    """The token ids under this name; None if there are none. Raises RequestFailed for other data."""
    ids = source.get(name)
    if ids is not None and not (isinstance(ids, list) and all(map(_is_id, ids))):
        raise RequestFailed(f"{name} of the reply is no list of token ids: {str(ids)[:_SHOWN]}")
    return ids or None


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def _text_of(choice: Mapping[str, Any]) -> str:
    """The text of a completion's choice, or the reply, the reasoning and the tool calls of a chat's."""
    delta = choice.get("delta")
    source = delta if isinstance(delta, Mapping) else choice
    parts = (source.get(name) for name in ("text", "content", "reasoning", "reasoning_content"))
    calls = source.get("tool_calls")
    return "".join(text for text in parts if isinstance(text, str)) + (str(calls) if calls else "")
