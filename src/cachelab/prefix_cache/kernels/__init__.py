"""Loops over flat arrays, which numba compiles for all but small inputs (kernel.py)."""
