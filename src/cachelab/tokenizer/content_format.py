"""Finds whether a chat template takes a message's content as one text or as a list of parts.

Source: vLLM 0.32, `vllm/renderers/hf.py`, `_detect_content_format`. The rule of vLLM's server is: a list of parts
if the template has a loop over a message's content.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from cachelab.tokenizer.chat_template import environment

if TYPE_CHECKING:
    from jinja2 import nodes

ContentFormat = Literal["string", "openai"]


@lru_cache(maxsize=16)
def content_format(template: str) -> ContentFormat:
    """`openai` (a list of parts) or `string`. A template that jinja cannot parse takes strings."""
    from jinja2 import TemplateError, nodes

    try:
        root = environment().parse(template)
    except TemplateError:
        return "string"
    messages = {"messages", *_assigned(root, "messages")}
    loops = list(root.find_all(nodes.For))
    items = {_target(loop) for loop in loops if any(_reads(loop.iter, name) for name in messages)}
    in_macro: dict[int, set[str]] = {}
    for macro in root.find_all(nodes.Macro):
        parameters = set(_content_parameters(root, macro, items))
        in_macro |= {id(loop): parameters for loop in macro.find_all(nodes.For)}
    for loop in loops:
        if any(_reads(loop.iter, item, "content") for item in items):
            return "openai"
        if isinstance(loop.iter, nodes.Name):
            of_content = in_macro.get(id(loop), {"content"})
            if loop.iter.name in of_content:
                return "openai"
    return "string"


def _assigned(root: "nodes.Template", name: str) -> set[str]:
    """Names that are assigned from a variable, directly or through others."""
    from jinja2 import nodes

    found: set[str] = set()
    todo = [name]
    while todo:
        source = todo.pop()
        for assign in root.find_all(nodes.Assign):
            if isinstance(assign.target, nodes.Name) and _reads(assign.node, source):
                if assign.target.name not in found | {name}:
                    todo.append(assign.target.name)
                found.add(assign.target.name)
    return found


def _content_parameters(root: "nodes.Template", macro: "nodes.Macro", items: set[str]) -> Iterator[str]:
    """The parameters of a macro that receive a message's content in some call."""
    from jinja2 import nodes

    names = [argument.name for argument in macro.args]
    for call in root.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == macro.name:
            given = [*zip(names, call.args, strict=False), *((pair.key, pair.value) for pair in call.kwargs)]
            yield from (name for name, value in given if any(_reads(value, item, "content") for item in items))


def _target(loop: "nodes.For") -> str:
    return str(getattr(loop.target, "name", ""))


def _reads(node: "nodes.Node | None", name: str, key: str | None = None) -> bool:
    """Whether an expression is a variable, or its field `key`; filters, tests and slices of it count."""
    from jinja2 import nodes

    while isinstance(node, nodes.Filter | nodes.Test) or (
        isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice)
    ):
        node = node.node
    if key is None:
        return isinstance(node, nodes.Name) and node.ctx == "load" and node.name == name
    if isinstance(node, nodes.Getitem):
        return isinstance(node.arg, nodes.Const) and node.arg.value == key and _reads(node.node, name)
    return isinstance(node, nodes.Getattr) and node.attr == key and _reads(node.node, name)
