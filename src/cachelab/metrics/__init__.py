"""Numbers of a run, each declared with its name, unit and definition."""
