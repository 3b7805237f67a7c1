"""Tool definitions of a log, in the form that chat templates take: OpenAI's."""

import json
from collections.abc import Mapping
from typing import Any

from cachelab.dataset.json_text import is_unicode, kind
from cachelab.errors import DatasetError
from cachelab.message import ToolDefinitions


def read_tools(raw: Any, field: str) -> ToolDefinitions:
    """The definitions, with their order and the order of their keys.

    Brought into OpenAI's form are its older `functions`, the definitions of its responses API (flat), and Anthropic's
    (`input_schema`), as vLLM's server does. Raises DatasetError that names the field if a definition has no known form.
    """
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise DatasetError(f"field {field} is {kind(raw)}, not a list of tool definitions")
    if not is_unicode(json.dumps(raw, ensure_ascii=False, default=str)):
        raise DatasetError(f"field {field} holds half of a surrogate pair: write valid Unicode")
    return tuple(_tool(tool, f"field {field}[{index}]") for index, tool in enumerate(raw))


def _tool(raw: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise DatasetError(f"{where} is {kind(raw)}, not a tool definition")
    if isinstance(raw.get("function"), dict):
        return raw
    if not isinstance(raw.get("name"), str):
        raise DatasetError(f"{where} has no name: a tool definition needs name, description and parameters")
    if "input_schema" not in raw:
        return {"type": "function", "function": {key: value for key, value in raw.items() if key != "type"}}
    function = {"name": raw["name"], "description": raw.get("description"), "parameters": raw["input_schema"]}
    return {"type": "function", "function": {key: value for key, value in function.items() if value is not None}}
