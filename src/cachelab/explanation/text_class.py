"""The class of a changed text: a date or time, an id or number, a user's field, or only white space."""

import re
from collections.abc import Iterator

from cachelab.explanation.break_class import BreakClass
from cachelab.explanation.common_subsequence import common_start
from cachelab.explanation.text_gap import TextGap

_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"  # noqa: E501
_WEEKDAY = r"(?:mon|tue(?:s)?|wed(?:nes)?|thu(?:r(?:s)?)?|fri|sat(?:ur)?|sun)(?:day)?\.?"
_ORDINAL = r"\d{1,2}(?:st|nd|rd|th)?"
_ZONE = r"(?:\s?(?:z|utc|gmt|[ecmp][sd]t|cest?|[+-]\d{2}:?\d{2}))"
_CLOCK = rf"\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:[.,]\d+)?)?(?:\s?[ap]\.?m\.?)?{_ZONE}?"
_DATES = re.compile(
    "|".join(
        [
            rf"\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}(?:[t ]{_CLOCK})?",
            r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}",
            rf"{_MONTH}\s+{_ORDINAL}(?:,?\s+\d{{4}})?\b",
            rf"{_ORDINAL}\s+(?:of\s+)?{_MONTH}(?:,?\s+\d{{4}})?\b",
            rf"{_MONTH}\s+\d{{4}}",
            rf"\b{_WEEKDAY}(?!\w)",
            _CLOCK,
        ]
    ),
    re.IGNORECASE,
)
_EPOCH = re.compile(r"1\d{9}(?:\d{3}){0,3}(?:\.\d+)?")
_TIME_KEY = re.compile(
    r"(?:time|date|timestamp|now|today|clock|day|hour)\w*[\"'`*]*\s*(?:[:=(]|is|was)?[\s\"'`*(]*$", re.IGNORECASE
)
_USER_KEY = re.compile(
    r"(?:\b(?:user|customer|client|tenant|account|org|organi[sz]ation|company|workspace|member|employee|e-?mail|"
    r"name|locale|time ?zone|country|city|language|plan|tier|persona)[\w -]{0,20}[\"'`*]*\s*(?:[:=]|\bis\b|\bnamed\b)"
    r"|\b(?:assisting|helping|talking to|speaking (?:to|with)|(?:logged|signed) in as|on behalf of|user|customer|"
    r"tenant))[\s\"'`*@<]*$",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ID_KEY = re.compile(
    r"(?:\bid|_id|\buuid|token|nonce|session|request|trace|seed|key|hash|counter|version)\W{0,4}$", re.IGNORECASE
)
_LONG_ID = re.compile(r"(?=[\w-]*\d)[\w-]{8,}")
_EDGES = " \t\r\n.,;:!?()[]{}<>\"'`*"
_CONTEXT = 60


def text_class(before: str, now: str, gap: TextGap, task_text: bool) -> BreakClass | None:
    """The class of one gap between two texts; None if it is none of those that a text shows.

    `task_text`: the text is a task of its own, such as another conversation's user message. Its numbers and names are
    its content; only dates and long ids are then recognised.
    """
    old, new = before[gap.start_before : gap.end_before], now[gap.start_now : gap.end_now]
    if not old.split() and not new.split():
        return "white_space"
    if "".join(old.split()) == "".join(new.split()):
        return "white_space"
    head, tail = _common_ends(old, new)
    both = (
        (before, gap.start_before + head, gap.end_before - tail),
        (now, gap.start_now + head, gap.end_now - tail),
    )
    left = now[max(gap.start_now - _CONTEXT, 0) : gap.start_now]
    if all(_is_time(*one, left) for one in both):
        return "date_or_time"
    if task_text:
        long_ids = all(all(_LONG_ID.fullmatch(word) for word in _words(text)) for text in (old, new))
        return "id_or_number" if long_ids and old.split() and new.split() else None
    line = left.rpartition("\n")[2]
    if _USER_KEY.search(line) or all(_EMAIL.search(text) for text in (old, new)):
        return "user_field"
    inside = [_key_in(text) for text in (old, new)]
    if all(inside):
        return "user_field" if all(_USER_KEY.search(key) for key in inside) else _number(old, new, inside[0])
    return _number(old, new, line)


def _number(old: str, new: str, key: str) -> BreakClass | None:
    words = [word for text in (old, new) for word in _words(text)]
    if not words:
        return None
    if all(any(character.isdigit() for character in word) for word in words):
        return "id_or_number"
    return "id_or_number" if _ID_KEY.search(key) and len(words) == 2 else None


def _key_in(text: str) -> str:
    """The part of a word up to its value, as in `user_id=4711`; "" if it has none."""
    words = text.split()
    if len(words) != 1:
        return ""
    key = re.match(r"[\"']?[A-Za-z_][\w -]*[\"']?[:=]", words[0])
    return key.group() if key else ""


def _words(text: str) -> Iterator[str]:
    return (stripped for word in text.split() if (stripped := word.strip(_EDGES)))


def _common_ends(a: str, b: str) -> tuple[int, int]:
    """How many characters two texts share at their start and, of the rest, at their end."""
    head = common_start(a, b)
    return head, common_start(a[head:][::-1], b[head:][::-1])


def _is_time(text: str, start: int, end: int, left: str) -> bool:
    """Whether all letters and digits of a gap belong to dates and times, at least one of them."""
    if start == end:  # one text only has more characters than the other: what counts is what stands before them
        start = max(start - 1, 0)
    first = max(start - _CONTEXT, 0)
    window = text[first : end + _CONTEXT]
    rest, found = list(text[start:end]), False
    for match in _DATES.finditer(window):
        a, b = max(match.start() + first, start), min(match.end() + first, end)
        if a < b:
            found = True
            rest[a - start : b - start] = " " * (b - a)
    left_over = "".join(rest).strip(_EDGES)
    if found:
        return re.fullmatch(rf"(?:{_ZONE}|at|of|,|\s|[ap]\.?m\.?|t)*", left_over, re.IGNORECASE) is not None
    word = re.match(r"\S*", text[start:])
    whole = re.search(r"[\d.]*$", text[:start]) or word
    number = (whole.group() if whole else "") + (word.group() if word else "")
    return bool(_TIME_KEY.search(left)) and _EPOCH.fullmatch(number.strip(_EDGES)) is not None
