"""A live OpenAI-compatible vLLM server as an engine."""
