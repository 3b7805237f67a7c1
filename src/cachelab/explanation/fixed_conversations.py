"""The conversations of a run with causes fixed."""

from collections.abc import Mapping, Sequence, Set

from cachelab.explanation.analysis import Analysis
from cachelab.explanation.exchange import Exchange, exchanges
from cachelab.explanation.kept_reasoning import with_template_reasoning
from cachelab.explanation.other_fix import other_fix
from cachelab.explanation.rewritten import differ, rewritten, with_known_replies
from cachelab.explanation.undo import KEPT_BY_TEMPLATE, Key, Undone, undone_exchanges
from cachelab.tokenized_conversation import TokenizedConversation
from cachelab.tokenizer.base import Tokenizer

Turn = tuple[str, int]
"""The id of a conversation, and the index of a turn."""


def undone_conversations(
    analysis: Analysis, conversations: Sequence[TokenizedConversation], keys: Set[Key], tokenizer: Tokenizer
) -> list[TokenizedConversation]:
    """The conversations with these causes undone; those that do not change are the given ones."""
    wanted = {turn: one.exchange for turn, one in _undone(analysis, keys).items()}
    found = _with(conversations, wanted, tokenizer)
    return [with_template_reasoning(one) for one in found] if KEPT_BY_TEMPLATE in keys else found


def other_conversations(
    analysis: Analysis, conversations: Sequence[TokenizedConversation], key: Key, tokenizer: Tokenizer
) -> list[TokenizedConversation] | None:
    """The conversations with one cause fixed in its second way (other_fix.py); None if it has none."""
    undone = _undone(analysis, {key})
    wanted = {turn: one.exchange for turn, one in undone.items()}
    changed = False
    for conversation in conversations:
        turns = [turn for turn in ((conversation.id, at) for at in range(len(conversation.turns))) if turn in undone]
        other = other_fix(key, [undone[turn] for turn in turns])
        if other is not None:
            changed = True
            wanted |= zip(turns, other, strict=True)
    return _with(conversations, wanted, tokenizer) if changed else None


def _undone(analysis: Analysis, keys: Set[Key]) -> Mapping[Turn, Undone]:
    return {
        (one.conversation_id, one.turn_index): undone
        for one, undone in zip(analysis.explained, undone_exchanges(analysis, keys), strict=True)
    }


def _with(
    conversations: Sequence[TokenizedConversation], wanted: Mapping[Turn, Exchange], tokenizer: Tokenizer
) -> list[TokenizedConversation]:
    """The conversations with these exchanges instead of their own."""
    found: list[TokenizedConversation] = []
    for conversation in conversations:
        sent = exchanges(conversation)
        turns = [wanted.get((conversation.id, turn), exchange) for turn, exchange in enumerate(sent)]
        known = with_known_replies(turns)
        changed = any(differ(a, b) for a, b in zip(sent, known, strict=True))
        found.append(rewritten(conversation, known, tokenizer) if changed else conversation)
    return found
