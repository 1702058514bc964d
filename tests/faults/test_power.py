"""A short run of power.py, and what it would find."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

import pytest
from tally import Tally
from versions import Torn, version

from faults._powered import FILE_SYSTEMS, SECTOR_BYTES, Disk, FileSystem, left_of, reason_to_skip
from faults._recorder import Write
from faults.power import Deed, History, fail_often, look, run
from staticify.encode import encode
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import parse_page


@pytest.mark.parametrize("system", FILE_SYSTEMS, ids=lambda system: system.name)
def test_every_page_is_whole_and_what_was_published_is_there_after_the_power_failed(system: FileSystem) -> None:
    if reason := reason_to_skip(system):
        pytest.skip(reason)
    tally = run(45, 1, systems=(system,))
    assert tally.faults == []
    assert tally.counts["failures that lost nothing"] > 5
    assert tally.counts["failures that lost what was not flushed"] > 20
    assert tally.counts["writes and flushes of the disks"] > 300


@pytest.mark.parametrize("what", ["files", "directories"])
def test_what_is_not_put_on_the_disk_would_be_seen(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = FILE_SYSTEMS[0]
    if reason := reason_to_skip(system):
        pytest.skip(reason)
    fsync = os.fsync

    def some(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode) != (what == "directories"):
            fsync(file)

    monkeypatch.setattr("os.fsync", some)
    tally = Tally()
    fail_often(Disk(system, tmp_path), "exchange", 60, 1, tally)
    assert {fault.split(": ")[1] for fault in tally.faults} == {"Torn"}


def test_a_page_that_went_back_or_came_too_early_would_be_seen(tmp_path: Path) -> None:
    history = History(tmp_path / "log")
    history.deeds["/"] = [Deed(1, 0, 10), Deed(2, 20, 30), Deed(None, 40, 50)]
    assert [history.possible("/", at) for at in (0, 10, 20, 30, 45, 50)] == [
        {None, 1},
        {1},
        {1, 2},
        {2},
        {2, None},
        {None},
    ]
    standing = Tree(tmp_path / "tree")
    standing.open()
    standing.publish(parse_page("https://example.org/").place, Kind.HTML, encode(version(2)))
    standing.close()
    assert look(tmp_path, history, 30)["/"] == 2
    for length in (10, 50):
        with pytest.raises(Torn, match=r"\A/ is 2, not one of "):
            look(tmp_path, history, length)


def test_what_was_not_flushed_may_be_lost_as_a_whole_or_by_the_sector() -> None:
    flushed, small, large = Write(0, b"a" * 100), Write(5000, b"b" * 100), Write(9000, b"c" * 3 * SECTOR_BYTES)
    writes = [flushed, Write(0, b""), small, large]
    assert list(left_of(writes, None)) == [flushed, small, large]
    kept: dict[int, set[int]] = {flushed.offset: set(), small.offset: set(), large.offset: set()}
    for seed in range(200):
        left = {write.offset: len(write.content) for write in left_of(writes, random.Random(seed))}
        for offset, sizes in kept.items():
            sizes.add(left.get(offset, 0))
    assert kept == {0: {100}, 5000: {0, 100}, 9000: {SECTOR_BYTES * number for number in range(4)}}
