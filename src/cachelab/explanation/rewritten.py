"""A conversation with other exchanges, put into tokens again."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from cachelab.conversation import Conversation, RecordedConversation
from cachelab.explanation.common_subsequence import common_start
from cachelab.explanation.exchange import Exchange
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.tokenizer.base import Tokenizer
from cachelab.turn import RecordedTurn, Turn


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


def differ(a: Exchange, b: Exchange) -> bool:
    """Whether two exchanges differ in anything that the prompt or the reply shows, or in their isolation."""
    if a is b:
        return False
    # Equal tools may differ in the order of their keys, which the prompt shows.
    return (
        a.messages != b.messages or a.reply != b.reply or a.isolation != b.isolation or repr(a.tools) != repr(b.tools)
    )
