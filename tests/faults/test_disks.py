"""A short run of disks.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from stage import leaf_of
from tally import Tally
from versions import Versions, version

from faults.disks import KINDS, Watch, reason_to_skip, run
from staticify.encode import encode
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import parse_page


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_reported_costs_no_page_and_is_recovered_from(kind: str) -> None:
    if reason := reason_to_skip(kind):
        pytest.skip(reason)
    tally = run(2, 1, kinds=(kind,))
    assert tally.faults == []
    assert tally.counts["disks that were full of bytes"] == 1
    assert tally.counts["disks that were full of files"] == 1
    assert tally.counts["reports of it"] >= 2


def test_a_page_that_is_lost_or_cut_would_be_seen(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "tree")
    tree.open()
    tree.publish(parse_page("https://example.org/1/").place, Kind.HTML, encode(version(1, "/1/")))
    tree.close()
    watch = Watch(tree.path, Versions(["/1/"]), Tally())
    assert watch.look() == {"/1/": 1}
    leaf = leaf_of(tree.path, "/1/")
    with (leaf / "index.html.br").open("r+b") as file:
        file.truncate(100)
    watch.look()
    shutil.rmtree(leaf)
    watch.look()
    assert [fault.split(":")[1] for fault in watch.tally.faults] == [" Torn", " FileNotFoundError"]
