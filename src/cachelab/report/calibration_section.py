"""The table of measured scheduler steps: how well they predict steps that were held out."""

from collections.abc import Mapping

from cachelab.report.section import Section, count, percent


def calibration(values: Mapping[str, float]) -> Section:
    """The errors of a cost table made of this run's steps; empty if steps were not measured."""
    if "calibration/steps" not in values:
        return Section("Measured scheduler steps", (), ())
    labels = {
        "held_out_error_p50": "error of the table on held-out steps, median",
        "held_out_error_p95": "error of the table on held-out steps, 95th percentile",
        "held_out_bias": "all held-out steps together, table against measured",
        "linear_error_p50": "error of a linear fit on the same steps, median",
        "held_out_outside": "held-out steps outside of the others, which take the linear fit",
    }
    rows = [("measured steps", count(values["calibration/steps"]))]
    rows += [(label, percent(values.get(f"calibration/{name}"))) for name, label in labels.items()]
    note = (
        "step_costs.csv holds the points of all steps: engine=sim engine/cost=table engine.cost.path=FILE simulates "
        "with them. They hold for this engine, this model and this machine only."
    )
    return Section("Measured scheduler steps", ("number", "value"), rows, note)
