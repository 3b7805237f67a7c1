"""Gives the blocks of Claude Code sessions numbers, with the scope of their ids and a prefix that sessions share."""

import numpy as np

from cachelab.dataset.block_numbers import BlockNumbers, Int32s, Int64s
from cachelab.dataset.claude_code_session import Agent, Call, Session


class SessionBlocks:
    """Numbers the blocks of one session after another.

    `share`: the part (0 to 1) of an agent's tools and system prompt that is the same in all sessions.
    """

    def __init__(self, name: str, share: float, share_models: bool) -> None:
        self._numbers = BlockNumbers(name)
        self._share = share
        self._share_models = share_models
        self._listed: list[Int32s] = []

    def own(self) -> int:
        """A new number that belongs to no id."""
        return self._numbers.own()

    def distinct(self) -> int:
        """The number of different blocks in the prompts."""
        seen = np.zeros(self._numbers.used, np.bool_)
        for listed in self._listed:
            seen[listed] = True
        return int(np.count_nonzero(seen))

    def of(self, session: Session) -> tuple[dict[int, Int32s], int]:
        """The block numbers of each request, by the `id()` of its Call, and how many ids became shared blocks."""
        by_model: dict[str | None, list[tuple[Agent, Call]]] = {}
        for agent in session.agents:
            for call in agent.calls:
                by_model.setdefault(None if self._share_models else call.model, []).append((agent, call))
        numbers: dict[int, Int32s] = {}
        shared = 0
        for model, pairs in by_model.items():
            lengths = [len(call.ids) for _, call in pairs]
            ids, places = np.unique(np.concatenate([call.ids for _, call in pairs]), return_inverse=True)
            if session.scope == "global":
                of_ids = self._numbers.of_space(("global", model), ids)
            else:
                of_ids = self._numbers.of_closed_space(ids)
                shared += self._share_starts(session, model, pairs, ids, of_ids)
            self._listed.append(of_ids[places])
            parts = np.split(self._listed[-1], np.cumsum(lengths)[:-1])
            numbers |= {id(call): part for (_, call), part in zip(pairs, parts, strict=True)}
        return numbers, shared

    def _share_starts(
        self, session: Session, model: str | None, pairs: list[tuple[Agent, Call]], ids: Int64s, of_ids: Int32s
    ) -> int:
        """Replace the numbers of the ids at the start of agents' prompts by numbers that all sessions share.

        The ids are those of the agent's first prompt that is long enough. An id keeps its first shared number, and two
        ids never get the same one. `of_ids` is changed in place. Returns how many ids got a shared number.
        """
        given: dict[int, int] = {}  # index of an id -> its shared number
        for agent in session.agents:
            blocks = int(self._share * (agent.start_tokens or 0)) // session.block_size
            first = next((call for of, call in pairs if of is agent and len(call.ids) >= blocks), None)
            if first is None or not blocks:
                continue
            numbers = self._numbers.of_space(("start", agent.kind, model), np.arange(blocks)).tolist()
            taken = set(given.values())
            for place, number in zip(np.searchsorted(ids, first.ids[:blocks]).tolist(), numbers, strict=True):
                if place not in given and number not in taken:
                    given[place] = number
                    taken.add(number)
        of_ids[list(given)] = list(given.values())
        return len(given)
