"""Some passes over many pages: what is opened is closed, and memory stays within its bound."""

from __future__ import annotations

import pytest

from faults import cycles


@pytest.mark.alone
def test_a_daemon_that_runs_on_keeps_no_descriptors_and_bounded_memory() -> None:
    tally = cycles.run(5, 1)
    assert tally.faults == []
    assert len(tally.samples) == 5
    assert {"changed", "unchanged", "500", "reset", "half"} == set(tally.answers)


def test_a_slope_is_that_of_the_line_of_least_squares() -> None:
    assert cycles.slope([1, 3, 5, 7]) == 2.0
    assert cycles.slope([5, 5, 5]) == 0.0
    assert cycles.slope([0, 1, 0, 1]) == pytest.approx(0.2)
    assert cycles.slope([9]) == 0.0
