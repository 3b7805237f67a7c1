"""The files of a model's folder on which its tokens depend: their digest, and the chat templates in them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NO_TOKENS = frozenset(
    {
        ".bin", ".gguf", ".gif", ".h5", ".jpeg", ".jpg", ".log", ".md", ".msgpack", ".onnx", ".onnx_data", ".ot",
        ".pdf", ".png", ".pt", ".pth", ".safetensors", ".svg",
    }
)  # fmt: skip
"""Suffixes of files that no tokenizer reads: weights, pictures and descriptions. Any other file may change tokens."""

TEMPLATES = "additional_chat_templates"


@dataclass(frozen=True)
class ModelFiles:
    """The files of a folder that can change tokens. `digest`: SHA-256 of their names and content.

    `complete`: whether there is a tokenizer.json. `has_template`: whether there is a chat template.
    """

    folder: Path
    digest: str
    complete: bool
    has_template: bool

    @classmethod
    def of(cls, folder: Path) -> "ModelFiles | None":
        """None if a file cannot be read."""
        try:
            files = [*folder.iterdir(), *(folder / TEMPLATES).glob("*.jinja")]
            digest = hashlib.sha256()
            for file in sorted(file for file in files if file.suffix.lower() not in NO_TOKENS and file.is_file()):
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{file.relative_to(folder).as_posix()}\n{content}\n".encode())
            template = chat_template(folder, json_object(folder / "tokenizer_config.json") or {})
        except (OSError, UnicodeDecodeError):
            return None
        complete = json_object(folder / "tokenizer.json") is not None
        return cls(folder, digest.hexdigest(), complete, template is not None)


def chat_template(folder: Path, config: dict[str, Any]) -> str | dict[str, str] | None:
    """The chat template of a model, or several by name; None if there is none. `config`: tokenizer_config.json.

    Template files replace the templates of the config. Source: transformers 5.19, `PreTrainedTokenizerBase`.
    Raises OSError, or UnicodeDecodeError for a file that is not UTF-8.
    """
    named = {file.stem: file.read_text(encoding="utf-8") for file in (folder / TEMPLATES).glob("*.jinja")}
    default = folder / "chat_template.jinja"
    if default.is_file():
        if not named:
            return default.read_text(encoding="utf-8")
        named = {"default": default.read_text(encoding="utf-8"), **named}
    if named:
        return named["default"] if list(named) == ["default"] else named
    found: str | dict[str, str] | list[dict[str, str]] | None = config.get("chat_template")
    return {one["name"]: one["template"] for one in found} if isinstance(found, list) else found


def json_object(file: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None if the file is missing or holds something else."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
