"""When each page is due: every page at its own place in the interval, so that the origin never sees a burst."""

from __future__ import annotations

import math
from collections.abc import Hashable

_GOLDEN = (math.sqrt(5) - 1) / 2
_ROUNDING_SECONDS = 1e-6
SHORTEST = 0.8
"""Of an interval: how soon a page may come round again while it moves to its place. After a start, when all pages are
rendered at once, the origin is asked for a quarter more during a few intervals, not for twice as much in the next."""


class Timetable:
    """Places in the interval for things that are refreshed once each interval.

    Multiples of the golden ratio spread evenly however many there are, so that nobody's place changes when others
    come and go. All times are seconds of the monotonic clock: a jump of the wall clock moves nothing.
    """

    def __init__(self) -> None:
        self._places: dict[Hashable, float] = {}
        self._count = 0

    def next_due(self, name: Hashable, interval_seconds: float, after: float, *, shortest: float = SHORTEST) -> float:
        """When `name`, refreshed at `after`, is due again: at its place in the interval, at most an interval later.

        Not sooner than `shortest` of an interval, though.
        """
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = (self._count * _GOLDEN) % 1.0
            self._count += 1
        offset = place * interval_seconds
        due = offset + math.floor((after - offset) / interval_seconds + 1) * interval_seconds
        if due <= after + _ROUNDING_SECONDS:
            # Who asks exactly when it is due means the next time; rounding put that a hair after.
            due += interval_seconds
        return max(due, after + shortest * interval_seconds)

    def forget(self, name: Hashable) -> None:
        """Give a place up."""
        self._places.pop(name, None)
