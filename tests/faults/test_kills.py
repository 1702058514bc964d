"""A short run of kills.py, and what it would find."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tally import Tally
from versions import Versions, version

from faults.kills import Killer, run
from staticify.encode import Variants, encode
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import MARK, parse_page

KILLS = 5


@pytest.mark.alone
def test_every_page_is_whole_after_a_kill_and_the_next_start_is_ready_within_a_second() -> None:
    tally = run(KILLS, 3, pages=300)
    assert tally.faults == []
    assert sum(count for name, count in tally.counts.items() if name.startswith("kills of ")) == KILLS
    assert tally.counts["kills of a daemon at work"] > 0
    assert tally.counts["of them new since the last kill"] > 300
    assert tally.counts["pages looked at"] == 300 * (KILLS + 1)


@pytest.fixture
def killer(tmp_path: Path) -> Killer:
    return Killer(tmp_path, Versions(["/1/"]), random.Random(1), Tally())


def publish(killer: Killer, variants: Variants) -> None:
    tree = Tree(killer.tree)
    tree.open()
    tree.publish(parse_page("https://example.org/1/").place, Kind.HTML, variants)
    tree.close()


OLDER, NEWER, OTHER = (encode(version(number, name)) for number, name in ((1, "/1/"), (3, "/1/"), (3, "/2/")))


@pytest.mark.parametrize(
    ("variants", "fault"),
    [
        (NEWER, ""),
        (OLDER, "/1/: version 1 after 2"),
        (OTHER, "/1/: "),
        (Variants(NEWER.identity[:-9], NEWER.gzip, NEWER.brotli), "/1/: "),
        (Variants(NEWER.identity, OLDER.gzip, NEWER.brotli), "/1/: "),
        (Variants(NEWER.identity, NEWER.gzip, NEWER.brotli[:-1]), "/1/: "),
    ],
)
def test_a_torn_or_older_page_would_be_seen(killer: Killer, variants: Variants, fault: str) -> None:
    publish(killer, encode(version(2, "/1/")))
    killer.look()
    assert killer.tally.faults == []
    publish(killer, variants)
    killer.look()
    assert [one[: len(fault)] for one in killer.tally.faults] == [fault] * bool(fault)


def test_what_was_not_swept_would_be_seen(killer: Killer) -> None:
    publish(killer, encode(version(2, "/1/")))
    (killer.tree / f"{MARK}.new-0").mkdir()
    killer.look()
    killer._see_swept()
    (fault,) = killer.tally.faults
    assert fault.startswith("not swept: ")
