"""The known name that is most like a misspelt one."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], form: str = "{}") -> str:
    """Text ": did you mean NAME?" with the nearest known name put into `form`; "" if none is near."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f": did you mean {form.format(near[0])}?" if near else ""
