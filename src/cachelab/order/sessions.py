"""Concurrent users, each with one conversation after another."""

from collections.abc import Sequence
from itertools import chain

from pydantic.dataclasses import dataclass

from cachelab.errors import ConfigError
from cachelab.order.conversations import by_conversation
from cachelab.order.think_time import AnyThinkTime, think_seconds
from cachelab.request import Lane, Request, Schedule, Wait
from cachelab.strict_config import STRICT, Count


@dataclass(frozen=True, config=STRICT)
class Sessions:
    """One stage with one lane per user. Each user runs one conversation after another.

    Each conversation is assigned in advance to the user with the fewest tokens so far (prompts and replies). The lanes
    then end at about the same time, and the schedule depends only on the requests. A user sends the next turn of a
    conversation `think_s` seconds after the reply, and starts the next conversation at once.
    """

    num_users: Count = 4
    think_s: AnyThinkTime = 0.0

    def arrange(self, requests: Sequence[Request]) -> Schedule:
        """A schedule of at most `num_users` lanes: users without a conversation have none.

        With recorded think times its numbers count the turns that follow another one without a think time
        (`turns_without_think_time`): they are sent at once. Raises ConfigError if no turn has a think time.
        """
        conversations = by_conversation(requests)
        num_users = min(self.num_users, len(conversations))
        users: list[list[Lane]] = [[] for _ in range(num_users)]
        tokens = [0] * num_users
        for conversation in conversations:
            user = tokens.index(min(tokens))
            users[user].append(conversation)
            tokens[user] += sum(len(request.prompt_ids) + len(request.reply_ids) for request in conversation)
        stage = tuple(tuple(chain.from_iterable(lanes)) for lanes in users if lanes)
        think = think_seconds(requests, self.think_s)
        waits = {id: Wait(think_ns=round(seconds * 1e9)) for id, seconds in think.items() if seconds}
        if self.think_s != "recorded":
            return Schedule((stage,), waits)
        later = sum(request.follows is not None for request in requests)
        if later and not think:
            raise ConfigError(
                f"order.think_s: none of the {later} later turns has a recorded think time: set a number of seconds"
            )
        return Schedule((stage,), waits, {"turns_without_think_time": float(later - len(think))})
