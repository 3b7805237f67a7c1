"""A text as the value of an override in Hydra's grammar."""

import re


def quoted(text: str) -> str:
    """The text in single quotes, so that Hydra reads exactly this text.

    Inside quotes Hydra keeps a backslash unchanged, except in front of a quote: there each one must be doubled.
    """
    inner = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + (r"\'" if found[2] else ""), text)
    return f"'{inner}'"


_UNITS = {
    "engine.num_blocks": "{} blocks",
    "engine.block_size": "blocks of {}",
    "engine.max_num_seqs": "{} sequences",
    "engine.host_cache_gib": "{} GiB on the host",
    "order.num_users": "{} users",
    "dataset.num_conversations": "{} conversations",
}


def setting_label(key: str, value: str) -> str:
    """A setting in few words: a group's option, a size with its unit, or the last part of the key with the value."""
    if key in _UNITS:
        return _UNITS[key].format(value)
    return f"{key.rpartition('.')[2]}={value}" if "." in key else value
