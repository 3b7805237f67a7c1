"""Concurrent users, each with one conversation after another."""

from collections.abc import Sequence
from itertools import chain

from pydantic.dataclasses import dataclass

from cachelab.order.conversations import by_conversation
from cachelab.request import Lane, Request, Schedule
from cachelab.strict_config import STRICT, Count


@dataclass(frozen=True, config=STRICT)
class Sessions:
    """One stage with one lane per user. Each user runs one conversation after another.

    Each conversation is assigned in advance to the user with the fewest tokens so far (prompts and replies). The lanes
    then end at about the same time, and the schedule depends only on the requests.
    """

    num_users: Count = 4

    def arrange(self, requests: Sequence[Request]) -> Schedule:
        """A schedule of at most `num_users` lanes: users without a conversation have none."""
        conversations = by_conversation(requests)
        num_users = min(self.num_users, len(conversations))
        users: list[list[Lane]] = [[] for _ in range(num_users)]
        tokens = [0] * num_users
        for conversation in conversations:
            user = tokens.index(min(tokens))
            users[user].append(conversation)
            tokens[user] += sum(len(request.prompt_ids) + len(request.reply_ids) for request in conversation)
        return Schedule((tuple(tuple(chain.from_iterable(lanes)) for lanes in users if lanes),))
