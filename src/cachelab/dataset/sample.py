"""The bundled sample: synthetic chats in ShareGPT's schema, shaped like the real file."""

from importlib.resources import files

from pydantic.dataclasses import dataclass

from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.messages import RULES, parse_messages
from cachelab.dataset.source_file import SourceFile
from cachelab.part import PART


@dataclass(frozen=True, config=PART)
class Sample:
    """99 conversations and 328 turns that come with the package (written by the seeded tools/make_sample.py)."""

    def load(self) -> LoadedDataset:
        """Read the bundled file."""
        data = files("cachelab.dataset").joinpath("sample.json").read_bytes()
        file = SourceFile.of("cachelab/dataset/sample.json", data, RULES)
        parsed = parse_messages(file.text, file.name)
        return LoadedDataset("sample", file.name, file.digest, parsed.conversations, parsed.counts, parsed.notes)
