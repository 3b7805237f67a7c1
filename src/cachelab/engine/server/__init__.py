"""A live OpenAI-compatible server as an engine."""
