"""Reads one row of a chat log: a whole conversation, or one API call and its response."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cachelab.dataset.chat_message import MessageReader
from cachelab.dataset.chat_parts import read_content
from cachelab.dataset.chat_response import Response, read_response
from cachelab.dataset.field_path import Row, first_scalar, first_value, names_of, scalar, value_at
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.json_text import kind
from cachelab.dataset.logged_usage import read_usage
from cachelab.dataset.times import TimeReader
from cachelab.dataset.tool_definitions import read_tools
from cachelab.errors import DatasetError
from cachelab.message import Isolation, LoggedUsage, Message, ToolDefinitions

Kind = Literal["conversation", "request"]

MESSAGES: Mapping[str, Kind | None] = {
    "messages": None, "conversation": "conversation", "conversations": "conversation", "traj": "conversation",
    "history": "conversation", "body.messages": "request", "request.messages": "request",
    "request.body.messages": "request",
}  # fmt: skip
"""Known fields of a row's messages, and what a row with that field is (None: the field does not decide it)."""

_TOOLS = ("tools", "functions")
_RESPONSES = ("response", "output", "completion")
_CONVERSATIONS = (
    "session_id", "sessionId", "conversation_id", "conversationId", "chat_id", "chatId", "thread_id", "threadId",
    "litellm_session_id",
)  # fmt: skip
_IDS = ("id", "conversation_id", "conversation_hash", "session_id", "uuid")
_TIMES = ("timestamp", "created", "created_at", "createdAt", "start_time", "startTime")
_ENDS = {"start_time": "end_time", "startTime": "endTime"}
"""The field of a call's end, by the field of its start."""

_LORAS = ("lora_name", "lora", "lora_request.lora_name")
_USAGES = ("usage", "usageMetadata", "usage_metadata")


@dataclass(frozen=True, slots=True)
class RowSettings:
    """Field names set by the user; None: the known names are tried. See conf/dataset/chat.yaml."""

    messages_field: str | None = None
    tools_field: str | None = None
    response_field: str | None = None
    conversation_field: str | None = None
    time_field: str | None = None
    isolation: str | None = None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRow:
    """One row. `says`: what the row is, by its fields; None if they do not decide it.

    `ended_ns` is the end of a call whose `time_ns` is its start. `times_ns` and `usages` hold the times and the usage
    that messages of a conversation have, by message index.
    """

    place: str
    says: Kind | None
    messages: tuple[Message, ...]
    reply: Message | None = None
    has_response: bool = False
    failed: bool = False
    id: str | None = None
    conversation_id: str | None = None
    tools: ToolDefinitions = ()
    time_ns: int | None = None
    ended_ns: int | None = None
    usage: LoggedUsage | None = None
    isolation: Isolation | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    times_ns: Mapping[int, int] = field(default_factory=dict)
    usages: Mapping[int, LoggedUsage] = field(default_factory=dict)


def messages_path(row: Row) -> str | None:
    """The known field that holds a list of messages (objects with a role); None if there is none."""
    for path in MESSAGES:
        found = value_at(row, path)
        if isinstance(found, list) and found and all(map(_is_message, found)):
            return path
    return None


def _is_message(item: object) -> bool:
    return isinstance(item, dict) and not item.keys().isdisjoint(("role", "from", "type"))


class RowReader:
    """Reads rows and counts what it drops."""

    def __init__(self, settings: RowSettings, times: TimeReader, counts: Counter[str], ignored: IgnoredFields) -> None:
        self._settings, self._times, self._counts, self._ignored = settings, times, counts, ignored
        self._messages = MessageReader(counts, ignored)
        given = [settings.messages_field, settings.tools_field, settings.response_field, settings.conversation_field]
        given += [settings.time_field, settings.isolation, *settings.fields]
        self._read = {name.split(".")[0] for name in given if name}
        self._read |= {*_TOOLS, *_CONVERSATIONS, *_IDS, *_TIMES, *_ENDS.values(), *_LORAS, *_USAGES, "lora_request"}
        self._read |= {"system", "instructions", "model", "cache_salt", "task_id", "trial", "metadata"}
        self._read |= {"messages", "body", "request"}

    def read(self, row: Row, place: str) -> ChatRow:
        """The row. Raises DatasetError that names the place, the field and a way out."""
        try:
            return self._row(row, place)
        except DatasetError as error:
            raise DatasetError(f"{place}: {error}") from error

    def _row(self, row: Row, place: str) -> ChatRow:
        settings = self._settings
        path, raw = self._found(row)
        container = value_at(row, path.rpartition(".")[0]) if "." in path and path not in row else row
        objects = [container, row] if container is not row else [row]
        says = MESSAGES.get(path)
        responses: tuple[str, ...] = () if says == "conversation" else _RESPONSES
        if settings.response_field:
            responses = (settings.response_field,)
        read_here = self._read | {path.split(".")[0], path.rpartition(".")[2], *responses}
        unread = ((key, value) for fields in objects for key, value in fields.items() if key not in read_here)
        self._ignored.add(key for key, value in unread if value not in (None, "", [], {}))
        if value_at(container, "previous_response_id") is not None:
            raise DatasetError("field previous_response_id: the prompt's history is on the server, not in the log")
        read = self._messages.messages(raw, path)
        system = self._system(container, [message for message, _ in read])
        response_name, logged = first_value([row], [name for name in responses if name != path])
        response = read_response(logged, response_name, self._messages) if response_name else Response()
        usage = response.usage if response.usage is not None else first_value([row], _USAGES)[1]
        shift = len(system)
        time_ns, ended_ns = self._time(objects, response.created, place)
        return ChatRow(
            place=place,
            says="request" if response_name and says is None else says,
            messages=(*system, *(message for message, _ in read)),
            reply=response.reply,
            has_response=bool(response_name),
            failed=response.failed,
            id=self._id(row),
            conversation_id=self._conversation_id(row, objects),
            tools=read_tools(*self._tools(objects)),
            time_ns=time_ns,
            ended_ns=ended_ns,
            usage=read_usage(usage, self._counts),
            isolation=self._isolation(row, objects),
            fields={name: text for name in settings.fields if (text := scalar(value_at(row, name), name)) is not None},
            times_ns={
                index + shift: ns
                for index, (_, item) in enumerate(read)
                if (ns := self._message_time(item, f"{place}: {path}[{index}]")) is not None
            },
            usages={
                index + shift: found
                for index, (_, item) in enumerate(read)
                if (found := read_usage(item.get("usage"), self._counts)) is not None
            },
        )

    def _found(self, row: Row) -> tuple[str, Any]:
        """Path and value of the messages."""
        if (given := self._settings.messages_field) is not None:
            if (value := value_at(row, given)) is None:
                raise DatasetError(f"no field {given}, which dataset.messages_field names (there are: {names_of(row)})")
            return given, value
        found = [(path, value) for path in MESSAGES if isinstance(value := value_at(row, path), list)]
        if len(found) > 1:
            names = " and ".join(path for path, _ in found)
            raise DatasetError(f"fields {names} hold messages: set dataset.messages_field to the one to read")
        if found:
            return found[0]
        for path in MESSAGES:
            if (value := value_at(row, path)) is not None:
                raise DatasetError(f"field {path} is {kind(value)}, not a list of messages")
        raise DatasetError(
            f"no field holds messages (there are: {names_of(row)}): set dataset.messages_field to the one that does"
        )

    def _system(self, container: Row, messages: list[Message]) -> tuple[Message, ...]:
        """The system text outside the messages, in Anthropic's `system` or OpenAI's `instructions`."""
        name, raw = first_value([container], ("system", "instructions"))
        if not name:
            return ()
        if messages and messages[0].role in ("system", "developer"):
            raise DatasetError(f"field {name} and the first message both hold a system text: remove one")
        found = read_content(raw, f"field {name}", self._counts)
        self._counts["system_fields"] += 1
        return (Message("system", found.content),)

    def _tools(self, objects: list[Row]) -> tuple[Any, str]:
        given = self._settings.tools_field
        name, raw = first_value(objects[-1:] if given else objects, (given,) if given else _TOOLS)
        return raw, name

    def _id(self, row: Row) -> str | None:
        name, value = first_value([row], (self._settings.conversation_field or "", *_IDS))
        if name:
            return scalar(value, name)
        parts = [scalar(row.get(key), key) for key in ("task_id", "trial")]
        return "-".join(part for part in parts if part is not None) or None

    def _conversation_id(self, row: Row, objects: list[Row]) -> str | None:
        if (given := self._settings.conversation_field) is not None:
            return scalar(value_at(row, given), given)
        places = [*objects, *(inner for fields in objects if isinstance(inner := value_at(fields, "metadata"), dict))]
        return first_scalar(places, _CONVERSATIONS)

    def _time(self, objects: list[Row], created: Any, place: str) -> tuple[int | None, int | None]:
        """The time of the call, and its end if the time is its start."""
        if (given := self._settings.time_field) is not None:
            name, value = given, value_at(objects[-1], given)
        else:
            name, value = first_value(objects[::-1], _TIMES)
            if not name:
                name, value = "response.created", created
        time_ns = self._times.ns(value, f"{place}: field {name}")
        end_name, end = first_value(objects[::-1], [_ENDS[name]] if name in _ENDS else [])
        if time_ns is None or not end_name:
            return time_ns, None
        ended_ns = self._times.ns(end, f"{place}: field {end_name}")
        if ended_ns is not None and ended_ns < time_ns:
            self._counts["unusable_end_times"] += 1
            return time_ns, None
        return time_ns, ended_ns

    def _message_time(self, item: Mapping[str, Any], place: str) -> int | None:
        name = next((name for name in _TIMES[:3] if item.get(name) is not None), None)
        return None if name is None else self._times.ns(item[name], f"{place}.{name}")

    def _isolation(self, row: Row, objects: list[Row]) -> Isolation | None:
        salt = first_scalar(objects, ("cache_salt", "extra_body.cache_salt"))
        if (given := self._settings.isolation) is not None:
            own = scalar(value_at(row, given), given)
            self._counts["rows_without_isolation"] += own is None
            salt = own if salt is None else salt if own is None else f"{salt}\n{own}"
        lora = first_scalar(objects, _LORAS)
        model = first_scalar(objects, ("model",))
        return None if (salt, lora, model) == (None, None, None) else Isolation(salt, lora, model)
