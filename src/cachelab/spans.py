"""Where the tokens of a prompt come from: the messages, the chat template, the tool definitions."""

import numpy as np
import numpy.typing as npt

TEMPLATE = -1
"""Source of tokens that the chat template adds."""

TOOLS = -2
"""Source of tokens of the tool definitions."""

Spans = npt.NDArray[np.int32]
"""Where the tokens of a prompt come from. Shape: (num_spans, 2), rows (first token, source), first tokens rising.

A span ends where the next one starts. A source from 0 is the index of a prompt message; TEMPLATE and TOOLS are below 0.
"""

NO_SPANS: Spans = np.empty((0, 2), np.int32)

ONE_MESSAGE: Spans = np.zeros((1, 2), np.int32)
"""The spans of a prompt that is one message."""


def with_reply(spans: Spans, prompt_tokens: int, messages: int) -> Spans:
    """The spans of a prompt and of the reply after it, whose source is the next index, `messages`."""
    return np.concatenate([spans, np.asarray([(prompt_tokens, messages)], np.int32)])


def new_spans(context: Spans, spans: Spans) -> Spans:
    """The part of a prompt's spans to store, given `context`, the spans of the previous prompt and reply."""
    n = min(len(context), len(spans))
    differs = np.nonzero((context[:n] != spans[:n]).any(axis=1))[0]
    same = int(differs[0]) if len(differs) else n
    if same == len(spans) or (same < len(context) and context[same, 0] < spans[same, 0]):
        same -= 1  # the first stored row marks where the rows of the context end
    return spans[max(same, 0) :]
