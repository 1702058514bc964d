"""A short run of links.py, and what it would find."""

from __future__ import annotations

from pathlib import Path

import pytest
from tally import Tally
from versions import version

from security.links import PLACE, Step, race, run
from staticify.tree import Tree

FLIPS = 20_000


def test_nothing_is_written_outside_whatever_links_are_put_in_the_way() -> None:
    tally = run(FLIPS, 1)
    assert tally.faults == []
    flips = {name.removeprefix("flips, "): count for name, count in tally.counts.items() if name.startswith("flips, ")}
    assert sum(flips.values()) >= FLIPS
    assert flips.keys() == {"host", "directory", "leaf", "unfinished leaf", "file to be written"}
    assert tally.counts["steps done"] > 0
    assert tally.counts["steps refused"] > 0


def by_path(tree: Tree, number: int) -> None:
    (tree.path / PLACE.relative / "index.html").write_bytes(version(number))


def by_path_and_rename(tree: Tree, number: int) -> None:
    new = tree.path / PLACE.relative / "index.html.new"
    new.write_bytes(version(number))
    new.rename(new.with_suffix(""))


@pytest.mark.parametrize("careless", [by_path, by_path_and_rename])
def test_who_walks_by_paths_would_be_seen(tmp_path: Path, careless: Step) -> None:
    tally = Tally()
    race(tmp_path, 5000, 1, tally, has_exchange=True, only=careless)
    (fault,) = tally.faults
    assert fault.startswith("written outside, ")
