"""The bundled sample is what its generator writes, and shaped like the real file."""

import statistics
import subprocess
import sys
from pathlib import Path

from cachelab.conversation import Conversation
from cachelab.dataset.sample import Sample
from workloads import reply_text, system_text, user_text

ROOT = Path(__file__).resolve().parents[2]


def chats() -> list[Conversation]:
    conversations = Sample().load().conversations
    return [conversation for conversation in conversations if isinstance(conversation, Conversation)]


def test_generator_writes_the_bundled_file(tmp_path: Path) -> None:
    made = tmp_path / "sample.json"
    subprocess.run([sys.executable, ROOT / "tools/make_sample.py", made], check=True)
    bundled = ROOT / "src/cachelab/dataset/sample.json"
    assert made.read_bytes() == bundled.read_bytes(), "run tools/make_sample.py"
    assert bundled.stat().st_size < 1_000_000


def test_sample_counts() -> None:
    loaded = Sample().load()
    assert len(loaded.conversations) == 99
    assert sum(len(conversation.turns) for conversation in loaded.conversations) == 328
    # 2 x 328 messages in turns, 33 leading replies, a system one, and the messes: a second human, a second gpt, and a
    # blank human with the gpt message behind it.
    assert {key: count for key, count in loaded.counts.items() if count} == {
        "conversations": 99, "turns": 328, "messages": 656 + 33 + 1 + 4, "system_messages": 1, "dropped_empty": 1,
        "dropped_leading_gpt": 33, "merged_human": 1, "merged_gpt": 2,
    }  # fmt: skip


def test_sample_is_shaped_like_the_real_file() -> None:
    # Of 694 real ones: 28.5 % with one turn; median lengths 77 (user; 105 the first) and 1,119 characters (reply).
    turns = [turn for chat in chats() for turn in chat.turns]
    assert sum(len(chat.turns) == 1 for chat in chats()) == 28
    assert 50 <= statistics.median(len(user_text(turn)) for turn in turns) <= 100
    assert 70 <= statistics.median(len(user_text(chat.turns[0])) for chat in chats()) <= 140
    assert 900 <= statistics.median(len(reply_text(turn)) for turn in turns) <= 1400


def test_sample_has_no_open_slot_and_no_equal_openings_in_bulk() -> None:
    firsts = [user_text(chat.turns[0]) for chat in chats()]
    texts = [text for chat in chats() for turn in chat.turns for text in (user_text(turn), reply_text(turn))]
    assert not [text for text in texts if "{thing" in text or "{do" in text or "{noun" in text or "{stuff" in text]
    openings = [" ".join(text.split()[:6]) for text in firsts]
    assert 90 <= len(set(openings)) < 99


def test_sample_load_is_repeatable() -> None:
    first, second = Sample().load(), Sample().load()
    assert (list(first.conversations), first.counts, first.digest) == (
        list(second.conversations), second.counts, second.digest
    )  # fmt: skip
    assert len(first.digest) == 64


def test_sample_guide_filter_keeps_about_what_the_guide_kept() -> None:
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    tekken = MistralTokenizer.v3(is_tekken=True).instruct_tokenizer.tokenizer
    kept_turns = []
    for chat in chats():
        prompts, context = [], 1 + len(tekken.encode(system_text(chat) or "", bos=False, eos=False))
        for turn in chat.turns:
            # [INST] and [/INST] around the user's message, </s> behind the reply.
            context += 2 + len(tekken.encode(user_text(turn), bos=False, eos=False))
            prompts.append(context)
            context += 1 + len(tekken.encode(reply_text(turn), bos=False, eos=False))
        if len(prompts) >= 2 and max(prompts) <= 800:
            kept_turns.append(len(prompts))
    assert 20 <= len(kept_turns) <= 35
    assert 60 <= sum(kept_turns) <= 110
