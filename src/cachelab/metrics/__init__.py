"""The metrics of a run, each with its name, unit and definition."""
