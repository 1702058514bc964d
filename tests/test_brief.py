"""What is too long keeps its two ends."""

from __future__ import annotations

import pytest

from staticify.brief import MAX_CHARACTERS, brief


@pytest.mark.parametrize("length", [0, 1, MAX_CHARACTERS])
def test_what_is_short_enough_stays(length: int) -> None:
    text = "x" * length
    assert brief(text) is text


@pytest.mark.parametrize("length", [MAX_CHARACTERS + 1, 5_000_000])
def test_what_is_longer_keeps_both_ends(length: int) -> None:
    said = brief(f"the page says {'x' * length}; kept until the next fetch")
    assert len(said) == MAX_CHARACTERS
    assert said.startswith("the page says xxx")
    assert " [...] " in said
    assert said.endswith("xxx; kept until the next fetch")
