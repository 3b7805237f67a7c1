"""Sends the requests of a run: makes the body of each, repeats what was refused, and checks what came back."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cachelab.engine.server.exchange import Answer, RequestFailed, exchange
from cachelab.engine.server.wire_message import chat_body
from cachelab.request import Request
from cachelab.secret import MASK
from cachelab.tokens import AnyTokens

if TYPE_CHECKING:
    from openai import AsyncOpenAI

Api = Literal["completions", "chat"]
_LONGEST_REASON = 400
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
_VLLM = {"ignore_eos": True, "return_token_ids": True}


@dataclass
class Sender:
    """Sends prompts to `model` at `url` (with /v1). `is_vllm`: whether the server takes vLLM's further fields.

    `retries`: how often a request that the server refused (it did not run) is sent again. `timeout_s`: the longest
    silence, `deadline_s` the longest time of one attempt (None: no limit). `repeated` counts the requests sent again.
    `other_prompts`: the requests whose prompt has other token ids on the server than here (api=chat). `unsalted` counts
    the requests whose cache salt was not sent, because only vLLM knows the field.
    """

    url: str
    model: str
    api: Api
    key: str | None
    headers: Mapping[str, str]
    is_vllm: bool
    retries: int
    timeout_s: float
    deadline_s: float | None
    repeated: int = 0
    other_prompts: list[str] = field(default_factory=list)
    unsalted: int = 0
    _client: "AsyncOpenAI | None" = None

    async def send(self, request: Request, prompt_ids: AnyTokens, reply_tokens: int) -> Answer:
        """Send a request whose prompt has these tokens, and ask for so many of reply. Raises RequestFailed."""
        try:
            body = self._body(request, prompt_ids, reply_tokens)
        except ValueError as error:
            raise RequestFailed(str(error)) from error
        further: dict[str, Any] = dict(_VLLM) if self.is_vllm else {}
        if request.isolation is not None and (salt := request.isolation.salt) is not None:
            if self.is_vllm:
                further["cache_salt"] = salt
            else:
                self.unsalted += 1
        try:
            answer = await self._try(body, further, reply_tokens)
            self._check(request, prompt_ids, reply_tokens, answer)
        except RequestFailed as failure:
            raise self._shown(failure) from None
        return answer

    def _body(self, request: Request, prompt_ids: AnyTokens, reply_tokens: int) -> dict[str, Any]:
        common = {"model": self.model, "temperature": 0.0}
        if self.api == "chat":
            return {**common, "max_completion_tokens": reply_tokens, **chat_body(request)}
        return {**common, "max_tokens": reply_tokens, "prompt": prompt_ids.tolist()}

    async def _try(self, body: Mapping[str, Any], further: Mapping[str, Any], wanted: int) -> Answer:
        for again in range(self.retries + 1):
            try:
                async with asyncio.timeout(self.deadline_s):
                    return await exchange(self._open(), body, further, wanted)
            except TimeoutError:
                raise RequestFailed(f"no whole reply within engine.deadline_s ({self.deadline_s:g} s)") from None
            except RequestFailed as failure:
                if not failure.refused or again == self.retries:
                    raise
                self.repeated += 1
                wait_s = failure.retry_after_s if failure.retry_after_s is not None else _FIRST_WAIT_S * 2**again
                await asyncio.sleep(min(wait_s, _LONGEST_WAIT_S))
        raise AssertionError

    async def __aenter__(self) -> "Sender":
        self._open()  # the import takes a second, which is not the first request's
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _open(self) -> "AsyncOpenAI":
        """The client, made inside the event loop that uses it. It must not send a request twice by itself."""
        if self._client is None:
            from openai import AsyncOpenAI

            for name in ("httpx", "httpx2"):  # a line for each request
                logging.getLogger(name).setLevel(logging.WARNING)
            self._client = AsyncOpenAI(
                base_url=self.url,
                api_key=self.key or "none",
                default_headers=dict(self.headers),
                timeout=self.timeout_s,
                max_retries=0,
            )
        return self._client

    def _shown(self, failure: RequestFailed) -> RequestFailed:
        """The failure in one line of bounded length, without the key and the values of headers."""
        text = str(failure)
        for secret in (self.key, *self.headers.values()):
            text = text.replace(secret, MASK) if secret else text
        return RequestFailed(" ".join(text.split())[:_LONGEST_REASON], refused=failure.refused)

    def _check(self, request: Request, prompt_ids: AnyTokens, reply_tokens: int, answer: Answer) -> None:
        if self.api == "chat" and answer.prompt_ids is not None:
            if not np.array_equal(answer.prompt_ids, np.asarray(prompt_ids)):
                self.other_prompts.append(request.id)
        elif answer.prompt_tokens is not None and answer.prompt_tokens != len(prompt_ids):
            here = "the tokenizer" if self.api == "chat" else "the request"
            why = ": another chat template or vocabulary?" if self.api == "chat" else ""
            raise RequestFailed(
                f"the server counted {answer.prompt_tokens:,} prompt tokens, {here} {len(prompt_ids):,}{why}"
            )
        if answer.first_token_ns is None:
            raise RequestFailed(f"the reply has no token (finish_reason {answer.finish})")
        if self.is_vllm and len(answer.output_ids or ()) != reply_tokens:
            number = len(answer.output_ids or ())
            raise RequestFailed(f"{number} of {reply_tokens} token ids came back (finish_reason {answer.finish})")
        if answer.cached_tokens is not None and answer.cached_tokens > len(answer.prompt_ids or prompt_ids):
            raise RequestFailed(f"the server says {answer.cached_tokens:,} cached tokens of a shorter prompt")
