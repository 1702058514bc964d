"""A short run of configurations.py: whatever stands in a staticify.toml, no server gets what nobody asked for."""

from __future__ import annotations

import os

import pytest

from real.configurations import run, strange_lines

COUNT = 40
SEED = int(os.environ.get("STATICIFY_SEED", "20261125"))


def test_hostile_configurations_are_refused_or_taken_by_every_server() -> None:
    tally, faults = run(COUNT, SEED)
    assert faults == []
    assert sum(tally.values()) == COUNT
    assert tally["taken"] >= COUNT / 5
    assert tally["refused by check"] > 0


@pytest.mark.parametrize("line", ["load_module x;", "    LoadModule x y", "\texec rm", "return 200 pwned;x", "}x"])
def test_a_directive_of_nobodys_would_be_seen(line: str) -> None:
    text = f"server {{\n{line}\n}}\n"
    assert strange_lines(text) == ([] if line.startswith("return") else [line])
