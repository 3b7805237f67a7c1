"""A text as the value of an override in Hydra's grammar."""

import re


def quoted(text: str) -> str:
    """The text in single quotes, so that Hydra reads exactly this text.

    Inside quotes Hydra keeps a backslash unchanged, except in front of a quote: there each one must be doubled.
    """
    inner = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + (r"\'" if found[2] else ""), text)
    return f"'{inner}'"
