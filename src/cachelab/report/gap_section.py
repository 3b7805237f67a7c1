"""The gap of the hit rate: what a real engine hit, and what its requests would hit under other conditions."""

from cachelab.pipeline import Result
from cachelab.report.section import Section, count, percent, points

_MEASURED = "hit_rate/first_prefill"
_CONDITIONS = (
    ("agreement/hit_rate", "the simulator"),
    ("hit_rate/opt", "the best eviction (Belady)"),
    ("hit_rate/depth_first", "common prefixes together"),
    ("hit_rate/ideal", "an unlimited cache"),
)
"""Each hit rate next to the measured one, and what differs."""

_NO_GAIN = "nothing to gain"


def gap(result: Result) -> Section:
    """Hit rates of the same requests, each with what moves it; no rows if no second engine ran."""
    values = result.numbers.values
    title = "Gap of the hit rate"
    measured = values.get(_MEASURED)
    if measured is None or "agreement/hit_rate" not in values:
        return Section(title, (), [])
    advice = _advice(result)
    rows = [("measured", percent(measured), "", "")]
    for name, label in _CONDITIONS:
        if (value := values.get(name)) is None:
            continue
        gain = points(100 * (value - measured))
        nothing = name != "agreement/hit_rate" and float(gain) == 0
        rows.append((label, percent(value), gain, _NO_GAIN if nothing else advice[name]))
    missed = percent(1 - values["hit_rate/ideal"]) if "hit_rate/ideal" in values else None
    note = "The last three are simulated, one request at a time."
    if missed is not None:
        note += (
            f" An unlimited cache misses the other {missed}: new text, broken prefixes (explain=causes) and, with "
            "history=recorded, the recorded replies that prompts repeat: the real engine generated other ones."
        )
    return Section(title, ("same requests", "hit rate", "points", "what moves it"), rows, note, frozenset({0, 3}))


def _advice(result: Result) -> dict[str, str]:
    values = result.numbers.values
    mismatches = values.get("agreement/mismatches", 0.0)
    simulated = "nothing: no request differs"
    if mismatches:
        simulated = f"{count(mismatches)} differ: other clients, a warm cache, settings"
    memory = "memory: a larger KV cache, fp8, a host tier"
    if (knee := values.get("capacity/knee_blocks")) is not None:
        memory = f"memory: the knee is {count(knee)} blocks"
    return {
        "agreement/hit_rate": simulated,
        "hit_rate/opt": "the eviction policy",
        "hit_rate/depth_first": "the order, a router",
        "hit_rate/ideal": memory,
    }
