"""The table and the file of a run's KV-cache layout."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from cachelab.engine.kv_layout import KvLayout
from cachelab.report.section import Section, count, decimal, plain


def layout_section(layout: KvLayout | None) -> Section:
    """One row for all groups that are equal."""
    columns = ("kind", "groups", "layers each", "window", "block, tokens", "block, bytes")
    if layout is None:
        return Section("KV cache", columns, ())
    rows = [
        (group.kind, *map(count, (number, group.layers, group.window, group.block_size, group.block_bytes)))
        for group, number in Counter(layout.groups).items()
    ]
    note = (
        f"{count(layout.num_blocks)} usable blocks of {count(layout.block_bytes)} bytes, {decimal(layout.gib)} GiB. "
        f"{plain(layout.bytes_per_token)} bytes per token. {count(layout.tokens_that_fit)} tokens fit in requests of "
        f"{count(layout.max_model_len)}. Hits are multiples of {count(layout.hit_alignment)} tokens."
    )
    return Section("KV cache", columns, rows, note)


def layout_data(layout: KvLayout) -> dict[str, Any]:
    """The layout as plain data."""
    derived = {"bytes_per_token": layout.bytes_per_token, "gib": layout.gib, "plain_blocks": layout.plain_blocks}
    return asdict(layout) | derived
