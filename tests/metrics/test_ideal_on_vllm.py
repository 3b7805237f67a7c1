"""The ideal against vLLM's own cache manager: with room for everything they agree, with less vLLM stays below."""

import random

import numpy as np
import pytest

from cachelab.engine.sim import SimEngine
from cachelab.metrics.hit_rate import first_prefill_tokens, vllm_gpu
from cachelab.metrics.ideal import ideal_hit_blocks
from cachelab.metrics.observation import Observation
from cachelab.order.all_at_once import AllAtOnce
from cachelab.order.by_conversation import ByConversation
from cachelab.order.by_turn import ByTurn
from cachelab.request import Request

pytest.importorskip("vllm")


def _requests(seed: int) -> list[Request]:
    """Twenty chats in two tokens only: unrelated prompts share blocks, and whole prompts repeat."""
    rng = random.Random(seed)
    requests = []
    for chat in range(20):
        context: list[int] = []
        follows = None
        for turn in range(rng.randint(1, 4)):
            prompt = [*context, *(rng.randrange(2) for _ in range(rng.randint(1, 8)))]
            reply = [rng.randrange(2) for _ in range(rng.randint(1, 6))]
            ids, reply_ids = np.array(prompt, np.int32), np.array(reply, np.int32)
            requests.append(
                Request(f"{chat}/{turn}", f"{chat}", turn, ids, reply_ids, (), None, 0.0, len(context), follows)
            )
            context, follows = [*prompt, *reply], f"{chat}/{turn}"
    return requests


def _observe(
    seed: int, order: ByConversation | ByTurn | AllAtOnce, *, max_num_seqs: int, num_blocks: int
) -> Observation:
    requests = _requests(seed)
    engine = SimEngine(block_size=4, max_model_len=128, max_num_seqs=max_num_seqs, num_blocks=num_blocks)
    return Observation.of(requests, engine.run(order.arrange(requests), lambda ended: None))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("order", [ByConversation(), ByTurn()])
def test_ideal_hit_blocks_is_vllm_with_room_for_everything(seed: int, order: ByConversation | ByTurn) -> None:
    observation = _observe(seed, order, max_num_seqs=1, num_blocks=2000)
    assert observation.hit_blocks.tolist() == ideal_hit_blocks(observation).tolist()
    assert observation.hit_blocks.sum() > 0
    assert vllm_gpu(observation) == first_prefill_tokens(observation)


@pytest.mark.parametrize("seed", range(3))
def test_ideal_hit_blocks_is_never_exceeded_under_evictions_and_preemptions(seed: int) -> None:
    observation = _observe(seed, AllAtOnce(), max_num_seqs=8, num_blocks=34)
    ideal = ideal_hit_blocks(observation)
    assert (observation.hit_blocks <= ideal).all()
    assert observation.hit_blocks.sum() < ideal.sum()
    assert vllm_gpu(observation) == first_prefill_tokens(observation)
