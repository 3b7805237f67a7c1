from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from cachelab.override import quoted


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="$")))
@example("it's")
@example("a\\\\'b\\")
@example("\\\\")
def test_hydra_reads_what_was_quoted(text: str) -> None:
    assert OverridesParser.create().parse_override(f"key={quoted(text)}").value() == text
