"""Every page at its own place in the interval."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from staticify.timetable import Timetable

INTERVALS = st.floats(min_value=0.5, max_value=86_400, allow_nan=False)
TIMES = st.floats(min_value=0, max_value=1e6, allow_nan=False)


def settled(timetable: Timetable, name: object, interval: float, after: float) -> float:
    """When it is due after some rounds, when it has come to its place."""
    for _ in range(6):
        after = timetable.next_due(name, interval, after)
    return after


@given(st.lists(INTERVALS, min_size=1, max_size=20), TIMES)
def test_due_after_now_and_within_one_interval(intervals: list[float], after: float) -> None:
    timetable = Timetable()
    for name, interval in enumerate(intervals):
        due = timetable.next_due(name, interval, after)
        assert after + 0.79 * interval < due <= after + interval + 2e-6


@given(INTERVALS, TIMES)
def test_after_a_start_each_moves_to_its_place_within_some_intervals(interval: float, after: float) -> None:
    timetable = Timetable()
    for name in range(10):
        due = settled(timetable, name, interval, after)
        assert timetable.next_due(name, interval, due) == pytest.approx(due + interval, abs=1e-3 * interval)


@given(INTERVALS, st.floats(min_value=0, max_value=1e7))
def test_round_after_round_keeps_its_place(interval: float, after: float) -> None:
    timetable = Timetable()
    timetable.next_due("first", interval, after)
    first = settled(timetable, "page", interval, after)
    due = first
    for count in range(1, 20):
        due = timetable.next_due("page", interval, due)
        assert due == pytest.approx(first + count * interval, abs=1e-6)


def test_asked_twice_the_answer_is_the_same() -> None:
    timetable = Timetable()
    assert timetable.next_due("page", 60, 1000.0) == timetable.next_due("page", 60, 1000.0)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100, 1000])
def test_pages_are_spread_evenly_however_many_there_are(count: int) -> None:
    """Multiples of the golden ratio: no gap is over 1.9 times, none under 0.4 times the even one."""
    timetable = Timetable()
    places = sorted(settled(timetable, name, 60, 6000.0) % 60 for name in range(count))
    gaps = [later - earlier for earlier, later in zip(places, [*places[1:], places[0] + 60], strict=True)]
    even = 60 / count
    assert max(gaps) <= 1.9 * even
    assert min(gaps) >= 0.4 * even


def test_nobody_moves_when_others_come_and_go() -> None:
    timetable = Timetable()
    before = [settled(timetable, name, 60, 0.0) for name in range(10)]
    for name in range(5):
        timetable.forget(name)
    timetable.forget("never there")
    for name in range(100, 120):
        timetable.next_due(name, 60, 0.0)
    assert [settled(timetable, name, 60, 0.0) for name in range(5, 10)] == before[5:]


def test_one_second_holds_no_burst() -> None:
    timetable = Timetable()
    places = [settled(timetable, name, 60, 0.0) % 60 for name in range(600)]
    most = max(sum(second <= place < second + 1 for place in places) for second in range(60))
    assert most <= 12
