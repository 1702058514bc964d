"""Jumps of every kind, and a stop, under a daemon that runs."""

from __future__ import annotations

import pytest

from faults import clocks


@pytest.mark.alone
def test_a_clock_that_jumps_makes_no_gap_and_no_burst_and_a_stop_no_stampede() -> None:
    tally = clocks.run(len(clocks.KINDS), 1)
    assert tally.faults == []
    assert len(tally.jumps) == len(clocks.KINDS)
    assert len(tally.gaps) > 2 * clocks.PAGES
    # All pages were due at once, and were fetched as fast as may be.
    assert tally.most_under_way == clocks.CONCURRENCY
    assert len(tally.stops) == 1
