"""CachedTokenizer: once is enough, whoever asks."""

import subprocess
import sys
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cachelab.conversation import AnyConversation, Conversation, RecordedConversation
from cachelab.dataset.base import LoadedDataset
from cachelab.errors import TokenizerError
from cachelab.spans import ONE_MESSAGE
from cachelab.tokenized_conversation import TokenizedTurn, of_turn
from cachelab.tokenizer import cached_tokenizer as cache
from cachelab.tokenizer.cached_tokenizer import CachedTokenizer
from cachelab.turn import RecordedTurn


class Codepoints:
    """One token a character, a new line before each message; counts the conversations it encodes."""

    def __init__(self, name: str = "codepoints", poisoned: bool = False) -> None:
        self.name = name
        self.poisoned = poisoned
        self.encoded = 0

    def encode_text(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))

    def encode_chat(self, conversation: Conversation) -> list[TokenizedTurn]:
        if self.poisoned:
            raise TokenizerError("poisoned:\ncannot encode")
        self.encoded += 1
        made: list[TokenizedTurn] = []
        context = 0
        for index, turn in enumerate(conversation.turns):
            assert turn.reply is not None
            new, reply = (
                np.array([10, *self.encode_text(text)], dtype=np.int32)
                for text in (turn.new_messages[-1].text, turn.reply.text)
            )
            spans = np.array([(context, 2 * index)], np.int32)
            made.append(TokenizedTurn(context, new, reply, new, spans, ONE_MESSAGE, **of_turn(turn)))
            context += len(new) + len(reply)
        return made


CHATS: list[Conversation | RecordedConversation] = [
    Conversation.of_texts("a", [("one", "two"), ("three", "")], "be kind"),
    RecordedConversation("b", (RecordedTurn("xy", "z", 7.5), RecordedTurn("xyz!", "", 9.0))),
    Conversation.of_texts("c", [("\ud83d", "日本")]),  # half of a surrogate pair, which Arrow could not store
]


def dataset(digest: str = "d1", chats: Sequence[AnyConversation] = CHATS) -> LoadedDataset:
    return LoadedDataset("test", "memory", digest, chats, {})


@pytest.fixture(autouse=True)
def _new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process: nothing in memory."""
    monkeypatch.setattr(cache, "_memo", OrderedDict())


def test_ids_and_texts_survive_the_disk(tmp_path: Path) -> None:
    read = CachedTokenizer(Codepoints(), str(tmp_path))(dataset())
    made = [chat.tokenized(Codepoints()) for chat in CHATS]
    assert [(c.id, c.prefix_breaks) for c in read] == [(c.id, c.prefix_breaks) for c in made]
    for read_turn, made_turn in zip(
        (t for c in read for t in c.turns), (t for c in made for t in c.turns), strict=True
    ):
        for name in ("kept_tokens", "turn", "timestamp_s", "think_s", "usage", "isolation", "fields"):
            assert getattr(read_turn, name) == getattr(made_turn, name)
        for name in ("new_ids", "reply_ids", "new_spans", "alone_spans"):
            np.testing.assert_array_equal(getattr(read_turn, name), getattr(made_turn, name), strict=True)
    recorded = read[1].turns
    assert [turn.alone_ids for turn in recorded] == [None, None]
    assert [turn.kept_tokens for turn in recorded] == [0, 3]
    assert read[0].turns[1].alone_ids is not None
    assert read[0].turns[1].alone_ids.tolist() == [10, *map(ord, "three")]


def test_arrays_cannot_be_written(tmp_path: Path) -> None:
    read = CachedTokenizer(Codepoints(), str(tmp_path))(dataset())
    with pytest.raises(ValueError, match="read-only"):
        read[0].turns[0].new_ids[0] = 0  # type: ignore[index]


def test_second_process_does_not_tokenise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = CachedTokenizer(Codepoints(), str(tmp_path))(dataset())
    forget(monkeypatch)
    second = CachedTokenizer(Codepoints(poisoned=True), str(tmp_path))(dataset())
    assert [c.prompts()[-1].tolist() for c in second] == [c.prompts()[-1].tolist() for c in first]


def test_same_process_does_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = CachedTokenizer(Codepoints(), str(tmp_path))(dataset())
    monkeypatch.setitem(sys.modules, "datasets", None)  # importing it now fails
    assert CachedTokenizer(Codepoints(poisoned=True), str(tmp_path / "elsewhere"))(dataset()) is first


def test_memory_holds_the_last_few_only(tmp_path: Path) -> None:
    for index in range(cache.MEMO_SIZE + 2):
        CachedTokenizer(Codepoints(), str(tmp_path))(dataset(f"d{index}"))
    assert len(cache._memo) == cache.MEMO_SIZE


def test_fingerprint_follows_dataset_tokenizer_rules_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(tokenizer: str = "t", digest: str = "d") -> str:
        return CachedTokenizer(Codepoints(tokenizer)).fingerprint(dataset(digest))

    fingerprints = [of(), of(tokenizer="u"), of(digest="e")]
    monkeypatch.setattr(cache, "ENCODING_VERSION", cache.ENCODING_VERSION + 1)
    fingerprints.append(of())
    monkeypatch.setattr(cache, "version", lambda package: "99")
    fingerprints.append(of())
    assert len(set(fingerprints)) == 5
    assert of() == fingerprints[-1]


def test_default_folder_is_in_the_cache_of_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    CachedTokenizer(Codepoints())(dataset())
    assert [folder.name for folder in tmp_path.iterdir()] == ["cachelab"]


def test_no_conversations_need_no_cache(tmp_path: Path) -> None:
    assert CachedTokenizer(Codepoints(), str(tmp_path))(dataset(chats=[])) == ()
    assert list(tmp_path.iterdir()) == []


def test_conversation_that_cannot_be_encoded_is_named_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"^conversation a: poisoned"):
        CachedTokenizer(Codepoints(poisoned=True), str(tmp_path))(dataset())
    tokenizer = Codepoints()
    assert len(CachedTokenizer(tokenizer, str(tmp_path))(dataset())) == 3
    assert tokenizer.encoded == 2  # a and c; the recorded one is encoded as text


def test_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenizerError, match=r"^cache_dir .*file.*set cache_dir to one") as caught:
        CachedTokenizer(Codepoints(), str(tmp_path / "file"))(dataset())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bytes_left", [0, 100, -30])
def test_damaged_file_is_one_line(bytes_left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CachedTokenizer(Codepoints(), str(tmp_path))(dataset())
    forget(monkeypatch)
    (file,) = tmp_path.rglob("*.arrow")
    file.write_bytes(file.read_bytes()[:bytes_left])
    with pytest.raises(TokenizerError, match=r"^cache_dir .*delete that folder") as caught:
        CachedTokenizer(Codepoints(), str(tmp_path))(dataset())
    assert "\n" not in str(caught.value)


def test_quiet_when_not_a_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from datasets.utils import are_progress_bars_disabled

    CachedTokenizer(Codepoints(), str(tmp_path))(dataset())
    assert capfd.readouterr() == ("", "")
    assert not are_progress_bars_disabled()  # nobody else's are


SCRIPT = """
import os, sys, time
import numpy as np
from cachelab.conversation import Conversation
from cachelab.tokenized_conversation import TokenizedTurn, of_turn
from cachelab.dataset.base import LoadedDataset
from cachelab.tokenizer.cached_tokenizer import CachedTokenizer

class Slow:
    name, encoded = "slow", 0
    def encode_chat(self, conversation):
        if self.encoded == int(sys.argv[2]):
            os.kill(os.getpid(), 9)
        self.encoded += 1
        time.sleep(0.05)
        ids = np.array([self.encoded], dtype=np.int32)
        return [TokenizedTurn(0, ids, ids, ids, **of_turn(t)) for t in conversation.turns]

slow = Slow()
chats = [Conversation.of_texts(str(i), [("u", "a")]) for i in range(10)]
read = CachedTokenizer(slow, sys.argv[1])(LoadedDataset("t", "t", "d", chats, {}))
print(slow.encoded, sum(int(c.turns[0].new_ids[0]) for c in read))
"""


def start(folder: Path, killed_at: int = -1) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(killed_at)], stdout=-1, text=True)


def test_two_processes_at_once_tokenise_once_and_read_the_same(tmp_path: Path) -> None:
    outputs = sorted(process.communicate()[0] for process in [start(tmp_path), start(tmp_path)])
    assert outputs == ["0 55\n", "10 55\n"]  # 1 + 2 + ... + 10 = 55


def test_what_a_killed_process_left_is_not_read(tmp_path: Path) -> None:
    killed = start(tmp_path, killed_at=5)
    killed.communicate()
    assert killed.returncode == -9
    assert any(tmp_path.rglob("*.incomplete"))  # it had begun to write
    assert start(tmp_path).communicate()[0] == "10 55\n"
