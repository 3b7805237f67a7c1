"""The conversations that lost most, of the runs in conftest.py and of a made one."""

from cachelab.engine.replay import ReplayEngine
from cachelab.metrics.observation import Observation
from cachelab.order.by_turn import ByTurn
from cachelab.pipeline import Result
from cachelab.report.worst_conversations import WorstConversation, worst_conversations, worst_section
from workloads import one_lane, random_requests, request


def test_the_run_by_hand(result: Result) -> None:
    # tests/report/test_largest_losses.py: of A's 45 tokens 28 are reused, 16 never seen, 1 lost to block rounding.
    found, never_seen = worst_conversations(result.observation)
    assert found == [WorstConversation("A", 3, 45, 28, 1, "block rounding", 1)]
    assert not never_seen
    assert worst_section(result.observation).rows == [("A", "3", "45", "62.22 %", "1", "block rounding", "1")]


def test_tokens_never_seen_count_where_nothing_else_was_lost() -> None:
    requests = [request("a", 0, [1, 2, 3, 4], [5]), request("b", 0, [6, 7], [8])]
    engine = ReplayEngine(block_size=1, max_model_len=20, num_blocks=100)
    observation = Observation.of(requests, engine.run(one_lane(requests), lambda ended: None))
    found, never_seen = worst_conversations(observation)
    assert never_seen
    assert [(one.id, one.lost_tokens, one.reason) for one in found] == [
        ("a", 4, "never seen (compulsory)"),
        ("b", 2, "never seen (compulsory)"),
    ]


def test_at_most_ten_the_largest_first() -> None:
    requests = random_requests(5, 40, vocabulary=4)
    engine = ReplayEngine(block_size=4, max_model_len=200, num_blocks=60)
    observation = Observation.of(requests, engine.run(ByTurn().arrange(requests), lambda ended: None))
    found, _ = worst_conversations(observation)
    lost = [one.lost_tokens for one in found]
    assert len(found) == 10
    assert lost == sorted(lost, reverse=True)
    assert all(one.prompt_tokens >= one.reused_tokens + one.lost_tokens >= one.reason_tokens > 0 for one in found)


def test_a_run_without_requests(all_rejected: Result) -> None:
    assert worst_section(all_rejected.observation).rows == []
