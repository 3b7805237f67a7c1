"""Runs a schedule on one vLLM engine core, stage by stage."""

import logging

from cachelab.engine.base import EngineRun
from cachelab.engine.entry_queue import EntryQueue, wait_line
from cachelab.engine.vllm.driver import Driver
from cachelab.engine.vllm.kv_groups import kv_layout
from cachelab.request import Schedule, Stage

log = logging.getLogger(__name__)


def run_schedule(driver: Driver, schedule: Schedule) -> EngineRun:
    """Run the schedule with a new driver. Raises EngineError if the engine gets stuck or loses a request."""
    layout = kv_layout(driver.core, driver.plain_block_size)
    log.info("KV cache: %s", layout)
    log.info("engine is up: submitting the first of %d requests", len(schedule))
    if driver.timeline.kind == "wall" and (line := wait_line(schedule)) is not None:
        log.warning("%s", line)
    entries = EntryQueue(schedule.waits, driver.timeline.now_ns())
    for stage in schedule.stages:
        _run_stage(driver, stage, entries)
    log.info("engine is done after %d steps", driver.steps)
    return EngineRun(driver.ended(schedule), driver.counters(layout), driver.requests(schedule))


def _run_stage(driver: Driver, stage: Stage, entries: EntryQueue) -> None:
    for lane in stage:
        entries.add(iter(lane), driver.timeline.now_ns())
    while True:
        _submit_due(driver, entries)
        if not driver.in_flight:
            if entries.next_ns is None:
                return
            driver.timeline.wait_until(entries.next_ns)
            continue
        if driver.take_together(entries.next_ns):
            continue
        for flight in driver.take(driver.step()):
            entries.add(flight.lane, driver.records[flight.request.id].finished_ns or 0)


def _submit_due(driver: Driver, entries: EntryQueue) -> None:
    now_ns = driver.timeline.now_ns()
    while (entry := entries.pop(now_ns)) is not None:
        if (flight := driver.prepare(entry)) is not None:
            driver.submit(flight)
        else:
            entries.add(entry.lane, entry.enters_ns, entry.number)
