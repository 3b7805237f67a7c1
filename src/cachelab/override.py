"""A text as the value of an override in Hydra's grammar."""

import re


def quoted(text: str) -> str:
    """The text in single quotes, so that Hydra reads exactly this text, whatever it holds.

    In quotes Hydra takes a backslash as it is, unless backslashes stand in front of a quote: those come in pairs.
    """
    inner = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + (r"\'" if found[2] else ""), text)
    return f"'{inner}'"
