"""A workload with causes undone: its conversations, rewritten and put into tokens again."""

from collections.abc import Sequence, Set
from dataclasses import replace
from itertools import pairwise

import numpy as np

from cachelab.conversation import (
    NO_SPANS,
    Conversation,
    RecordedConversation,
    RecordedTurn,
    Spans,
    TokenizedConversation,
    TokenizedTurn,
    Turn,
    common_prefix,
    new_spans,
    with_reply,
)
from cachelab.explanation.analysis import Analysis
from cachelab.explanation.break_class import BreakClass
from cachelab.explanation.common_subsequence import common_start
from cachelab.explanation.difference import edited
from cachelab.explanation.differences import differences
from cachelab.explanation.exchange import Exchange, exchanges
from cachelab.explanation.finished_text import undone as finished_undone
from cachelab.tokenizer.base import Tokenizer

Key = tuple[BreakClass, str]
"""A cause: class and place."""

KEPT_BY_TEMPLATE: Key = ("reasoning", "template")
"""The cause that is undone in the tokens: the chat template drops the reasoning that the messages hold."""


def undone_exchanges(analysis: Analysis, keys: Set[Key]) -> Sequence[Exchange]:
    """The exchanges with the differences of these causes undone, each against its earlier exchange, undone before it.

    So a text that changes has its first value everywhere. In the order of the analysis.
    """
    fixed: list[Exchange] = []
    for index, (now, one) in enumerate(zip(analysis.exchanges, analysis.compared, strict=True)):
        origin = one.undone_from
        if origin is None:
            fixed.append(now)
            continue
        before, earlier = fixed[origin], analysis.exchanges[origin]
        if one.token is None and one.own is None and before is earlier:
            fixed.append(now)
            continue
        if now.finished:
            fixed.append(finished_undone(earlier, before, now, frozenset(keys)))
            continue
        now = _like_earlier(now, earlier, before)
        ids = [analysis.explained[at].conversation_id for at in (index, origin)]
        found = differences(before, now, same_conversation=ids[0] == ids[1])
        edits = [difference.undo for difference in found if difference.key in keys and difference.undo is not None]
        fixed.append(edited(now, edits) if edits else now)
    return fixed


def _like_earlier(now: Exchange, earlier: Exchange, fixed: Exchange) -> Exchange:
    """The exchange, where it begins as the earlier one did, as that is now that it is fixed."""
    if earlier is fixed:
        return now
    tools = fixed.tools if repr(now.tools) == repr(earlier.tools) else now.tools
    isolation = fixed.isolation if now.isolation == earlier.isolation else now.isolation
    same = common_start(now.messages, earlier.messages)
    messages = now.messages
    if len(fixed.messages) == len(earlier.messages):
        messages = (*fixed.messages[:same], *messages[same:])
    return replace(now, messages=messages, tools=tools, isolation=isolation)


def undone_conversations(
    analysis: Analysis, conversations: Sequence[TokenizedConversation], keys: Set[Key], tokenizer: Tokenizer
) -> list[TokenizedConversation]:
    """The conversations with these causes undone; those that do not change are the given ones."""
    fixed = {
        (one.conversation_id, one.turn_index): exchange
        for one, exchange in zip(analysis.explained, undone_exchanges(analysis, keys), strict=True)
    }
    found: list[TokenizedConversation] = []
    for conversation in conversations:
        sent = exchanges(conversation)
        wanted = with_known_replies(
            [fixed.get((conversation.id, turn), exchange) for turn, exchange in enumerate(sent)]
        )
        if any(_differ(a, b) for a, b in zip(sent, wanted, strict=True)):
            conversation = rewritten(conversation, wanted, tokenizer)
        found.append(with_template_reasoning(conversation) if KEPT_BY_TEMPLATE in keys else conversation)
    return found


def with_known_replies(sent: Sequence[Exchange]) -> Sequence[Exchange]:
    """Takes a missing reply from the next prompt, if that extends the exchange's own, as `dataset=chat` does.

    A cause hides such replies: the next prompt does not extend this one before the cause is undone.
    """
    found = list(sent)
    for index, (now, following) in enumerate(pairwise(sent)):
        end = len(now.messages)
        if now.reply is None and not now.finished and following.messages[:end] == now.messages:
            reply = next(iter(following.messages[end:]), None)
            if reply is not None and reply.role == "assistant":
                found[index] = replace(now, reply=reply)
    return found


def rewritten(
    conversation: TokenizedConversation, wanted: Sequence[Exchange], tokenizer: Tokenizer
) -> TokenizedConversation:
    """The conversation with other exchanges, turn by turn, in tokens."""
    turns: list[Turn] = []
    recorded: list[RecordedTurn] = []
    context: tuple[object, ...] = ()
    for turn, exchange in zip(conversation.turns, wanted, strict=True):
        logged = turn.turn
        if isinstance(logged, RecordedTurn):
            text = exchange.messages[0].text
            same = text == logged.prompt
            recorded.append(
                replace(logged, isolation=exchange.isolation)
                if same
                else replace(logged, prompt=text, prompt_ids=None, response_ids=None, isolation=exchange.isolation)
            )
        elif isinstance(logged, Turn):
            kept = common_start(context, exchange.messages)
            turns.append(
                replace(
                    logged,
                    reply=exchange.reply,
                    kept_messages=kept,
                    new_messages=exchange.messages[kept:],
                    tools=exchange.tools,
                    isolation=exchange.isolation,
                )
            )
            context = exchange.with_reply
    if recorded:
        return RecordedConversation(conversation.id, tuple(recorded)).tokenized(tokenizer)
    return Conversation(conversation.id, tuple(turns)).tokenized(tokenizer)


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


def _differ(a: Exchange, b: Exchange) -> bool:
    if a is b:
        return False
    # Equal tools may differ in the order of their keys, which the prompt shows.
    return (
        a.messages != b.messages or a.reply != b.reply or a.isolation != b.isolation or repr(a.tools) != repr(b.tools)
    )
