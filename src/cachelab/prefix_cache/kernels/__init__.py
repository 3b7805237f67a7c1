"""Compiled loops over flat arrays. Each module imports numba: import it only inside the functions that use it."""
