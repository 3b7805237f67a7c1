"""Prompts as a chat template makes them that keeps the reasoning of earlier replies."""

from dataclasses import replace

import numpy as np

from cachelab.explanation.exchange import Exchange, exchanges
from cachelab.spans import NO_SPANS, Spans, new_spans, with_reply
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn
from cachelab.tokens import common_prefix


def with_template_reasoning(conversation: TokenizedConversation) -> TokenizedConversation:
    """The conversation as a chat template makes it that shows the earlier replies as they were generated.

    Where a prompt's messages extend those of the turn before, its tokens do too: the earlier prompt and reply, then
    the prompt's own tokens behind that reply. Other prompts are unchanged.
    """
    turns: list[TokenizedTurn] = []
    context, context_spans = np.empty(0, np.int32), NO_SPANS
    before: Exchange | None = None
    for turn, prompt, spans, now in zip(
        conversation.turns, conversation.prompts(), conversation.spans(), exchanges(conversation), strict=True
    ):
        ids = np.asarray(prompt)
        if before is not None and before.reply is not None and _extends(now, before):
            behind = _behind_message(spans, len(before.messages), len(ids))
            if behind is not None:
                if len(context) and behind < len(ids) and ids[behind] == context[-1]:
                    behind += 1  # the token that ends the reply
                shift = len(context) - behind
                rows = [(max(start, behind) + shift, source) for start, source in _rows_from(spans, behind)]
                spans = np.concatenate([context_spans, np.asarray(rows, np.int32).reshape(-1, 2)])
                ids = np.concatenate([context, ids[behind:]])
        kept = common_prefix(context, ids)
        stored = new_spans(context_spans, spans)
        turns.append(replace(turn, kept_tokens=kept, new_ids=ids[kept:], new_spans=stored))
        context = np.concatenate([ids, np.asarray(turn.reply_ids)])
        context_spans = with_reply(spans, len(ids), len(now.messages))
        before = now
    return TokenizedConversation(conversation.id, tuple(turns))


def _extends(now: Exchange, before: Exchange) -> bool:
    return now.messages[: len(before.messages) + 1] == before.with_reply


def _behind_message(spans: Spans, message: int, end: int) -> int | None:
    """The first token behind a message; None if the prompt does not show it."""
    rows = spans.tolist()
    places = [at for at, (_, source) in enumerate(rows) if source == message]
    if not places:
        return None
    last = places[-1] + 1
    return int(rows[last][0]) if last < len(rows) else end


def _rows_from(spans: Spans, token: int) -> list[tuple[int, int]]:
    """The rows of spans that hold tokens from `token` on."""
    rows = [(int(start), int(source)) for start, source in spans]
    ends = [*(start for start, _ in rows[1:]), 2**31 - 1]
    return [row for row, end in zip(rows, ends, strict=True) if end > token]
