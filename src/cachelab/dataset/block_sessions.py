"""Sessions of a block trace: later rows list only the new blocks of their turn (AIPerf)."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from cachelab.dataset.block_columns import BlockColumns
from cachelab.dataset.block_row import Step
from cachelab.dataset.source_bytes import path_name
from cachelab.errors import DatasetError
from cachelab.tokenized_conversation import TokenizedTurn
from cachelab.tokens import BlockTokens, JoinedTokens

SessionRows = Literal["new", "whole"]

Run = tuple[int, int]
"""A token and the number of its consecutive repetitions."""


@dataclass(slots=True)
class _Session:
    """A session so far: its prompts and replies, the numbers of its full blocks, and the tokens after the last one."""

    place: int
    first_id: int | None = None
    pieces: list[BlockTokens] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    rest: list[Run] = field(default_factory=list)
    rows: int = 0
    time_s: float | None = None


class Sessions:
    """Makes the turns of sessions, row by row, in the file's order."""

    def __init__(self, columns: BlockColumns, rows: SessionRows) -> None:
        self._columns = columns
        self._rows = rows
        self._size = columns.block_size
        self._sessions: dict[int | str, _Session] = {}
        self._numbers: dict[tuple[Run, ...], int] = {}
        # Each row can need two numbers of its own: for its reply, and for a block of its prompt that is not listed.
        self._next = columns.num_ids + 2 * len(columns.prompt_tokens)

    @property
    def number(self) -> int:
        """The number of sessions so far."""
        return len(self._sessions)

    def place_of(self, id: int | str, next_place: int) -> int:
        """The index of the session's conversation; `next_place` if this is the session's first row."""
        return self._sessions.setdefault(id, _Session(next_place)).place

    def turn(self, row: int, step: Step, listed: TokenizedTurn) -> TokenizedTurn:
        """The turn of a row in its session. `listed` is the turn that the row's own lists give.

        Raises DatasetError that names the line.
        """
        id, delay_ms = step
        session = self._sessions[id]
        first = not session.rows
        self._check(row, session, delay_ms, listed)
        session.rows += 1
        think_s = None if delay_ms is None else delay_ms / 1000
        recorded = listed.timestamp_s
        if recorded is None and session.time_s is not None:
            recorded = session.time_s + (think_s or 0.0)
        session.time_s = recorded
        if self._rows == "whole":
            return replace(listed, timestamp_s=recorded, think_s=think_s)
        return replace(self._appended(row, session, listed, first), timestamp_s=recorded, think_s=think_s)

    def _check(self, row: int, session: _Session, delay_ms: float | None, turn: TokenizedTurn) -> None:
        where = f"{path_name(self._columns.source)}: line {int(self._columns.lines[row])}"
        prompt = turn.new_ids
        assert isinstance(prompt, BlockTokens)
        assert prompt.listed is not None
        starts_with = int(prompt.listed[0]) if len(prompt.listed) else None
        if not session.rows:
            session.first_id = starts_with
            if delay_ms is not None:
                raise DatasetError(
                    f"{where}: field delay: this is its session's first row, so there is no previous reply: remove it"
                )
        elif self._rows == "new" and starts_with is not None and starts_with == session.first_id:
            raise DatasetError(
                f"{where}: hash_ids starts with the same block as the session's first row: if the rows list whole "
                "prompts, set dataset.session_rows=whole"
            )

    def _appended(self, row: int, session: _Session, turn: TokenizedTurn, first: bool) -> TokenizedTurn:
        """The turn, with the session's earlier prompts and replies in front of its own prompt."""
        prompt, reply_tokens = turn.new_ids, len(turn.reply_ids)
        assert isinstance(prompt, BlockTokens)
        own_number = np.asarray([self._columns.num_ids + len(self._columns.prompt_tokens) + row], np.int32)
        if len(prompt) % self._size and prompt.listed is not None and len(prompt.listed) == len(prompt) // self._size:
            # The tokens after the last listed block occur in no other prompt or reply.
            prompt = replace(prompt, blocks=np.concatenate([prompt.listed, own_number]))
        self._add(session, prompt)
        tokens = sum(map(len, session.pieces))
        tail = self._number(session.rest) if session.rest else own_number[0]
        if not first:
            blocks = np.asarray([*session.blocks, tail], np.int32)
            prompt = JoinedTokens(blocks, self._size, tokens, pieces=tuple(session.pieces))
        own_reply = np.asarray([self._columns.num_ids + row], np.int32)
        reply = BlockTokens(own_reply, self._size, reply_tokens)
        self._add(session, reply)
        after = np.asarray([*session.blocks[tokens // self._size :], own_reply[0]], np.int32)
        joined = JoinedTokens(after, self._size, reply_tokens, skip=tokens % self._size, pieces=(reply,))
        return replace(turn, new_ids=prompt, reply_ids=joined)

    def _add(self, session: _Session, piece: BlockTokens) -> None:
        """Append a prompt or a reply, and number the blocks that it completes."""
        session.pieces.append(piece)
        left = len(piece)
        for number in piece.first_blocks(-(-left // self._size)).tolist():
            tokens = min(left, self._size)
            left -= tokens
            while tokens:
                room = self._size - sum(length for _, length in session.rest)
                taken = min(tokens, room)
                if session.rest and session.rest[-1][0] == number:
                    session.rest[-1] = (number, session.rest[-1][1] + taken)
                else:
                    session.rest.append((number, taken))
                tokens -= taken
                if taken == room:
                    session.blocks.append(self._number(session.rest))
                    session.rest = []

    def _number(self, runs: list[Run]) -> int:
        """The number of a block with these tokens. A block that repeats one token has that token as its number."""
        if len(runs) == 1 and runs[0][1] == self._size:
            return runs[0][0]
        key = tuple(runs)
        if key not in self._numbers:
            self._numbers[key] = self._next
            self._next += 1
        return self._numbers[key]
