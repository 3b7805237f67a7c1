"""The exact prefix cache without vLLM: flat arrays and compiled loops, no Python object per block."""
