"""The short run of `wrong`: one scripted kind in four, a few of a real WordPress, and some good pages."""

from __future__ import annotations

import asyncio
from itertools import islice

import pytest
from real.helpers import Stack

from faults.wrong import COUNT, Judged, break_wordpress, breaks, examine, look_at_good_pages, scripted, splashes


def test_no_wrong_answer_is_published_over_a_good_page() -> None:
    tally = Judged()
    examine(list(islice(scripted(), 0, None, 4)), tally)
    assert tally.faults == []
    assert tally.scripted > 80
    # Each is told by what is wrong with it: one verdict for all would show nothing.
    assert len(tally.verdicts) >= 20


def test_no_splash_page_is_published_over_a_good_page() -> None:
    tally = Judged()
    examine(list(splashes()), tally)
    assert tally.faults == []


def test_there_are_as_many_kinds_as_are_counted() -> None:
    assert sum(1 for _ in scripted()) + len(breaks()) >= COUNT


def test_good_pages_are_not_refused() -> None:
    tally = Judged()
    look_at_good_pages(1500, 8, tally)
    assert (tally.good, dict(tally.refused), tally.faults) == (1500, {}, [])


@pytest.mark.real
def test_what_a_broken_wordpress_says_is_not_published(stack: Stack) -> None:
    tally = Judged()
    kinds = [kind for kind in breaks() if not kind.state]
    asyncio.run(break_wordpress(stack, kinds[:: len(kinds) // 20], tally))
    assert tally.faults == []
    assert tally.real >= 20
