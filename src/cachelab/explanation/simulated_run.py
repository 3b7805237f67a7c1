"""The simulator's run of a workload that a real engine ran, so that the real engine is not asked for each cause."""

from dataclasses import replace

from cachelab.engine.agreement import AgreementEngine
from cachelab.engine.base import Engine
from cachelab.engine.replay import ReplayEngine
from cachelab.engine.sim import SimEngine
from cachelab.pipeline import Parts, Result, observe


def simulated_run(parts: Parts, result: Result) -> tuple[Parts, Result]:
    """The parts with the simulator as their engine, and its run of the workload with the recorded replies.

    Of an engine that is not an agreement, or whose blocks are unknown, both are returned as they are. The numbers of
    the result stay the measured ones. Raises EngineError.
    """
    counters = result.run.counters
    if not isinstance(parts.engine, AgreementEngine) or counters.num_blocks is None:
        return parts, result
    engine = _fastest(parts.engine.simulator(counters.num_blocks + 1, counters.layout))
    simulated = replace(parts, engine=engine)
    run, observation = observe(simulated, result.workload, lambda ended: None)
    return simulated, replace(result, run=run, observation=observation)


def _fastest(sim: SimEngine) -> Engine:
    """The replay where it finds the same blocks as the simulator: requests one at a time, full attention."""
    if sim.max_num_seqs > 1 or sim.layers is not None or sim.args or not sim.enable_prefix_caching:
        return sim
    return ReplayEngine(**sim.sizes())
