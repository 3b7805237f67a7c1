"""Claude Code sessions as block traces in kv-cache-tester's format: one file, a folder or a pattern."""

import hashlib
from collections import Counter
from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from cachelab.dataset.base import LoadedDataset
from cachelab.dataset.block_fields import FormatError
from cachelab.dataset.block_numbers import Int32s
from cachelab.dataset.block_turn import block_turn
from cachelab.dataset.claude_code_blocks import SessionBlocks
from cachelab.dataset.claude_code_session import Call, Scope, Session
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.record_files import MAX_BYTES, file_records
from cachelab.dataset.source_bytes import MaxBytes
from cachelab.dataset.source_paths import source_paths
from cachelab.errors import DatasetError
from cachelab.strict_config import STRICT, FilePath, Text
from cachelab.tokenized_conversation import TokenizedConversation, TokenizedTurn

FORMAT_VERSION = "claude-code-1"
"""Version of the rules that read the format. It is part of the digest, which changes with the rules."""

Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, config=STRICT)
class ClaudeCode:
    """Sessions of a coding agent as lists of block ids. A file holds one session, or one session per line.

    The main agent of a session and each of its sub-agents is one conversation. Each model has its own cache, so a block
    belongs to its model; with `share_models` all models share a cache. `hash_id_scope` is the scope of ids in sessions
    that do not state it.

    Sessions with local ids share no block. `shared_prefix` assumes that they start with the same tools and system
    prompt: the given share (full: all) of an agent's first `tool_tokens` + `system_tokens` becomes the same blocks in
    every session, for agents of the same kind and model. Two ids of one session never become one block.

    `max_bytes` is the limit of each file.
    """

    path: FilePath
    shared_prefix: Literal["none", "full"] | Share = "none"
    share_models: bool = False
    hash_id_scope: Scope | None = None
    ignore_fields: list[Text] = field(default_factory=list)
    on_bad_session: Literal["error", "skip"] = "error"
    max_bytes: MaxBytes = MAX_BYTES

    def load(self) -> LoadedDataset:
        """Read the files. Raises DatasetError that names the file, the request of the session, and the field."""
        found = source_paths(self.path)
        reading = _Reading(self)
        for path in found.paths:
            reading.take(path)
        if not reading.conversations:
            skipped = reading.counts["bad_sessions"]
            why = f"none of its {skipped} sessions is usable" if skipped else "its sessions have no requests"
            raise DatasetError(f"{self.path}: {why}: choose other files")
        counts = _counts(
            reading.counts | Counter(skipped_files=found.skipped, distinct_blocks=reading.blocks.distinct())
        )
        counts |= reading.ignored.counts
        digest = reading.digest.hexdigest()
        return LoadedDataset("claude_code", self.path, digest, reading.conversations, counts, reading.ignored.notes)

    @property
    def share(self) -> float:
        """The share of an agent's tools and system prompt that is the same in all sessions."""
        return (
            {"none": 0.0, "full": 1.0}[self.shared_prefix]
            if isinstance(self.shared_prefix, str)
            else self.shared_prefix
        )


def _counts(found: Counter[str]) -> dict[str, int]:
    """Every count of the format, including zeros."""
    names = (
        "conversations", "turns", "sessions", "subagents", "listed_blocks", "distinct_blocks", "shared_blocks",
        "reordered_turns", "agents_without_requests", "bad_sessions", "duplicate_ids", "skipped_files",
    )  # fmt: skip
    return {name: found[name] for name in names}


class _Reading:
    """The conversations and counts so far."""

    def __init__(self, options: ClaudeCode) -> None:
        self.options = options
        self.blocks = SessionBlocks(options.path, options.share, options.share_models)
        self.counts: Counter[str] = Counter()
        self.conversations: list[TokenizedConversation] = []
        self.digest = hashlib.sha256(FORMAT_VERSION.encode() + b"\0")
        self.block_size: int | None = None
        self.ignored = IgnoredFields()
        self._names: set[str] = set()

    def take(self, path: str) -> None:
        """Read one file."""
        for where, value in file_records(path, self.options.max_bytes, self.digest):
            try:
                session = Session.of(value, where, self.options.hash_id_scope, self.options.ignore_fields, self.ignored)
                self._check(session)
            except FormatError:
                raise
            except DatasetError:
                if self.options.on_bad_session == "error":
                    raise
                self.counts["bad_sessions"] += 1
                continue
            self._add(session)

    def _check(self, session: Session) -> None:
        """Check what all sessions must have in common, and what `shared_prefix` needs. Raises DatasetError."""
        if self.block_size not in (None, session.block_size):
            raise DatasetError(
                f"{session.where}: block_size is {session.block_size}, but it was {self.block_size} in earlier "
                "sessions: a dataset has one block size, so read the files in separate runs"
            )
        if not self.options.share:
            return
        if session.scope == "global":
            raise DatasetError(
                f"{session.where}: its ids are global, so sessions already share blocks: set dataset.shared_prefix=none"
            )
        for agent in session.agents:
            if agent.calls and agent.start_tokens is None:
                raise DatasetError(
                    f"{session.where}: {agent.path or 'the session'} has no tool_tokens and system_tokens, so the "
                    "length of its shared prefix is unknown: set dataset.shared_prefix=none"
                )

    def _add(self, session: Session) -> None:
        self.block_size = session.block_size
        name, repeated = session.id, 1
        while not self._names.isdisjoint(f"{name}{agent.path}" for agent in session.agents):
            repeated += 1
            name = f"{session.id} ({repeated})"
        self._names.update(f"{name}{agent.path}" for agent in session.agents)
        numbers, shared = self.blocks.of(session)
        self.counts.update(
            sessions=1,
            subagents=len(session.agents) - 1,
            duplicate_ids=repeated > 1,
            shared_blocks=shared,
        )
        for agent in session.agents:
            turns = tuple(self._turn(call, numbers[id(call)], session.block_size) for call in agent.calls)
            self.counts.update(
                turns=len(turns),
                conversations=bool(turns),
                agents_without_requests=not turns,
                listed_blocks=sum(len(call.ids) for call in agent.calls),
                reordered_turns=agent.reordered,
            )
            if turns:
                self.conversations.append(TokenizedConversation(f"{name}{agent.path}", turns))

    def _turn(self, call: Call, listed: Int32s, block_size: int) -> TokenizedTurn:
        return block_turn(
            listed,
            call.prompt_tokens,
            call.reply_tokens,
            block_size,
            self.blocks.own(),
            timestamp_s=call.at_s,
            think_s=call.think_s,
        )
