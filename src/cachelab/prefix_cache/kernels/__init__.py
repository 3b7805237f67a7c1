"""Compiled loops. Each module imports numba: import them only inside the functions that use them."""
