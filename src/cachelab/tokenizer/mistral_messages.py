"""Messages in the token ids of mistral-common's v3 template, each encoded once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from cachelab.conversation import TEMPLATE, TOOLS, Spans, TokenIds
from cachelab.errors import TokenizerError
from cachelab.message import Message, Part, ToolDefinitions
from cachelab.tokenizer.media import MediaTokens
from cachelab.tokenizer.served_chat import served_tools

Pieces = list[tuple[int, TokenIds]]
"""Sources and their token ids, in the order of the prompt."""

JOINED_BY = "\n\n"
"""What mistral-common puts between neighbours of one role, and between text parts."""

LONGEST_CALL_ID = 9


@dataclass
class MistralEncoder:
    """Encodes the prompts of one conversation; remembers the pieces of every group of neighbours of one role.

    `reasoning` are the ids of the messages whose reasoning was left out.
    """

    instruct: Any
    image_tokens: int | None
    reasoning: set[int] = field(default_factory=set)
    known: dict[tuple[int, ...], Pieces] = field(default_factory=dict)

    def prompt(self, messages: Sequence[Message], tools: ToolDefinitions) -> tuple[TokenIds, Spans]:
        """The prompt and its spans."""
        pieces: Pieces = [(TEMPLATE, _ids(self.instruct.start()))]
        system = [index for index, message in enumerate(messages) if message.role in ("system", "developer")]
        rest = [index for index in range(len(messages)) if index not in set(system)]
        groups = [list(group) for _, group in groupby(rest, key=lambda index: _kind(messages[index]))]
        if not groups or messages[groups[0][0]].role != "user":
            groups.insert(0, [])  # mistral-common starts with an empty user message then
        for place, group in enumerate(groups):
            first = place == 0
            # The first group holds the system messages and the tools too.
            key = (id(tools) if first else 0, *(id(messages[index]) for index in [*(system if first else ()), *group]))
            if key not in self.known:
                if first:
                    self.known[key] = [*self._tools(tools), *self._user(messages, system, group)]
                else:
                    self.known[key] = self._group(messages, group)
            pieces += self.known[key]
        ids = np.concatenate([ids for _, ids in pieces])
        rows: list[tuple[int, int]] = []
        at = 0
        for source, of_source in pieces:
            if len(of_source) and (not rows or rows[-1][1] != source):
                rows.append((at, source))
            at += len(of_source)
        return ids, np.asarray(rows, np.int32)

    def reply(self, message: Message) -> TokenIds:
        """The reply as the model makes it, its end-of-sequence token included."""
        return np.concatenate([ids for _, ids in self._assistant([message], [0])])

    def _group(self, messages: Sequence[Message], group: list[int]) -> Pieces:
        kind = _kind(messages[group[0]])
        if kind == "user":
            return self._user(messages, [], group)
        if kind == "assistant":
            return self._assistant(messages, group)
        return [piece for index in group for piece in self._tool(messages[index], index)]

    def _user(self, messages: Sequence[Message], system: list[int], group: list[int]) -> Pieces:
        """[INST] the system texts and the user's, a blank line between them [/INST]."""
        from mistral_common.protocol.instruct.messages import UserMessage

        parts = [
            (index, part)
            for index in group
            for part in self._parts(messages[index])
            if part.kind != "text" or part.text
        ]
        head = [(index, text) for index in system if (text := self._text(messages[index]))]
        empty = self.instruct.encode_user_message(UserMessage(content=""), None, False, False)[0]
        start, end = _ids(empty[:1]), _ids(empty[-1:])
        if all(part.kind == "text" for _, part in parts):
            texts = [*head, *((index, part.text) for index, part in parts)]
            if head and not parts:
                texts.append((head[-1][0], ""))
            return [(TEMPLATE, start), *self._texts(texts), (TEMPLATE, end)]
        # With images, mistral-common encodes each text by itself, the system text with the blank line after it.
        pieces: Pieces = self._texts([*head, (head[-1][0], "")]) if head else []
        for is_text, run in groupby(parts, key=lambda pair: pair[1].kind == "text"):
            if is_text:
                pieces += self._texts([(index, part.text) for index, part in run])
            else:
                pieces += [(index, self._media(part)) for index, part in run]
        return [(TEMPLATE, start), *pieces, (TEMPLATE, end)]

    def _assistant(self, messages: Sequence[Message], group: list[int]) -> Pieces:
        """The texts, then the tool calls, then the end of the sequence."""
        from mistral_common.protocol.instruct.messages import AssistantMessage
        from mistral_common.protocol.instruct.tool_calls import FunctionCall, ToolCall

        self.reasoning |= {id(messages[index]) for index in group if messages[index].reasoning}
        texts = [(index, text) for index in group if (text := self._text(messages[index]))]
        pieces: Pieces = []
        if texts:
            whole = JOINED_BY.join(text for _, text in texts)
            ids = self.instruct.encode_assistant_message(AssistantMessage(content=whole), False)
            pieces += self._split(ids[:-1], texts)
        calls = [(index, call) for index in group for call in messages[index].tool_calls]
        if calls:
            made = [
                ToolCall(
                    id=(call.id or "null")[-LONGEST_CALL_ID:],
                    function=FunctionCall(name=call.name, arguments=call.arguments or "{}"),
                )
                for _, call in calls
            ]
            ids = self.instruct.encode_assistant_message(AssistantMessage(tool_calls=made), False)
            pieces.append((calls[0][0], _ids(ids[:-1])))
        return [*pieces, (TEMPLATE, _ids([self.instruct.tokenizer.eos_id]))]

    def _tool(self, message: Message, index: int) -> Pieces:
        from mistral_common.protocol.instruct.messages import ToolMessage

        call_id = (message.tool_call_id or "null")[-LONGEST_CALL_ID:]
        made = ToolMessage(content=self._text(message) or "{}", tool_call_id=call_id, name=message.name)
        ids = _ids(self.instruct.encode_tool_message(made, False)[0])
        return [(TEMPLATE, ids[:1]), (index, ids[1:-1]), (TEMPLATE, ids[-1:])]

    def _tools(self, tools: ToolDefinitions) -> Pieces:
        from mistral_common.protocol.instruct.messages import UserMessage
        from mistral_common.protocol.instruct.tool_calls import Tool

        if not (served := served_tools(tools)):
            return []
        made = [Tool.from_openai(tool) for tool in served]
        user = UserMessage(content="")
        with_tools = self.instruct.encode_user_message(user, made, True, True)[0]
        without = self.instruct.encode_user_message(user, None, True, True)[0]
        ids = _ids(with_tools[: len(with_tools) - len(without)])
        return [(TEMPLATE, ids[:1]), (TOOLS, ids[1:-1]), (TEMPLATE, ids[-1:])]

    def _texts(self, texts: list[tuple[int, str]]) -> Pieces:
        """Texts encoded as one, a blank line between them."""
        whole = JOINED_BY.join(text for _, text in texts)
        return self._split(self.instruct.tokenizer.encode(whole, bos=False, eos=False), texts)

    def _split(self, ids: list[int], texts: list[tuple[int, str]]) -> Pieces:
        """The tokens of joined texts, told apart by their bytes; one that two share belongs to the earlier."""
        if len(texts) < 2:
            return [(index, _ids(ids)) for index, _ in texts]
        vocabulary = self.instruct.tokenizer
        lengths = [len(vocabulary.id_to_byte_piece(token)) for token in ids]
        ends = np.cumsum([len((text + JOINED_BY).encode()) for _, text in texts])
        cuts = np.searchsorted(np.cumsum([0, *lengths[:-1]]), ends[:-1], "left")
        return [(index, part) for (index, _), part in zip(texts, np.split(_ids(ids), cuts), strict=True)]

    def _media(self, part: Part) -> TokenIds:
        vocabulary = self.instruct.tokenizer
        return MediaTokens(self.image_tokens, vocabulary.num_special_tokens, vocabulary.n_words).ids(part)

    def _parts(self, message: Message) -> Sequence[Part]:
        if message.content is None or isinstance(message.content, str):
            return (Part("text", message.content or ""),)
        return message.content

    def _text(self, message: Message) -> str:
        parts = self._parts(message)
        if other := next((part.kind for part in parts if part.kind != "text"), None):
            raise TokenizerError(
                f"it has {other} in a message of role {message.role}, for which mistral-common's v3 has no form: "
                "take tokenizer=huggingface"
            )
        return JOINED_BY.join(part.text for part in parts if part.text)


def _kind(message: Message) -> str:
    return "tool" if message.role in ("tool", "function") else message.role


def _ids(ids: list[int]) -> TokenIds:
    return np.asarray(ids, dtype=np.int32)
