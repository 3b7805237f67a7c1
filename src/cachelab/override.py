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
    "engine.kv_cache_gib": "{} GiB",
    "order.num_users": "{} users",
    "dataset.num_conversations": "{} conversations",
}


def readable(key: str, value: str) -> str:
    """The value of a setting: groups of layers by their number and kind, all others as they are."""
    if key.rpartition(".")[2] != "layers":
        return value
    if value == "null":
        return "full attention"
    import yaml

    try:
        groups = yaml.safe_load(value.replace(":", ": "))
        return " + ".join(
            f"{group['layers']} {group['kind']}" + (f" ({group['window']:,})" if "window" in group else "")
            for group in groups
        )
    except (yaml.YAMLError, TypeError, KeyError, ValueError):  # the setting was refused for it
        return value


def setting_label(key: str, value: str) -> str:
    """A setting in few words: a group's option, a size with its unit, or the last part of the key with the value."""
    if key in _UNITS:
        return _UNITS[key].format(value)
    if (text := readable(key, value)) != value:
        return text
    return f"{key.rpartition('.')[2]}={value}" if "." in key else value
