import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cachelab import mapped_array as module
from cachelab.errors import StorageError
from cachelab.mapped_array import give_back, mapped_array
from cachelab.prefix_cache.block_ids import BlockIds


def test_a_long_array_is_in_a_file_without_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "MAPPED_FROM", 100)
    array = mapped_array(100_000, tmp_path)
    assert isinstance(array.base, np.memmap)
    assert list(tmp_path.iterdir()) == []
    array[:] = np.arange(100_000)
    for part in (array, array[5:9]):
        give_back(part)
        assert array[[0, 7, 99_999]].tolist() == [0, 7, 99_999]


def test_a_short_array_is_in_memory(tmp_path: Path) -> None:
    array = mapped_array(3, tmp_path)
    array[:] = 7
    give_back(array)
    assert (array.base, array.tolist()) == (None, [7, 7, 7])


def test_blocks_of_mapped_tokens_are_those_of_tokens_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tokens = np.arange(60, dtype=np.int32) % 7
    parts = [(0, 30), (0, 42), (42, 60), (7, 37)]
    wanted = BlockIds.of([tokens[start:end] for start, end in parts], 4)
    monkeypatch.setattr(module, "MAPPED_FROM", 1)
    mapped = mapped_array(60, tmp_path)
    mapped[:] = tokens
    found = BlockIds.of([mapped[start:end] for start, end in parts], 4)
    assert found.tokens is mapped
    assert (found.ids.tolist(), found.parents.tolist()) == (wanted.ids.tolist(), wanted.parents.tolist())
    assert found.digests(range(found.num_ids)) == wanted.digests(range(wanted.num_ids))


def test_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*args: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "MAPPED_FROM", 100)
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(StorageError, match=r"No space left on device.*set cache_dir to a folder of another disk"):
        mapped_array(100_000, tmp_path)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries give freed memory back themselves")
def test_freed_memory_goes_back_to_the_system() -> None:
    code = (
        "from cachelab.mapped_array import give_back_freed\n"
        "import numpy as np\n"
        "resident = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "np.ones(30 << 17)\n"  # from now on, the C library keeps freed arrays of up to 30 MB
        "held = [np.ones(1 << 17) for _ in range(200)]\n"
        "last = held[-1]\n"  # at the end of the heap
        "del held\n"
        "before = resident()\n"
        "give_back_freed()\n"
        "print(before - resident() > 150 << 20)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "True"
