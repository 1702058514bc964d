"""When each page is due: every page at its own place in the interval, so that the origin never sees a burst."""

from __future__ import annotations

import math
from collections.abc import Hashable

_GOLDEN = (math.sqrt(5) - 1) / 2
_ROUNDING_SECONDS = 1e-6


class Timetable:
    """Places in the interval for things that are refreshed once each interval.

    Multiples of the golden ratio spread evenly however many there are, so that nobody's place changes when others
    come and go. All times are seconds of the monotonic clock: a jump of the wall clock moves nothing.
    """

    def __init__(self) -> None:
        self._places: dict[Hashable, float] = {}
        self._count = 0

    def next_due(self, name: Hashable, interval_seconds: float, after: float) -> float:
        """The first time later than `after` at the place of `name`; at most one interval later."""
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = (self._count * _GOLDEN) % 1.0
            self._count += 1
        offset = place * interval_seconds
        due = offset + math.floor((after - offset) / interval_seconds + 1) * interval_seconds
        # Who asks exactly when it is due means the next time; rounding may have put that a hair before or after.
        return due if due > after + _ROUNDING_SECONDS else due + interval_seconds

    def forget(self, name: Hashable) -> None:
        """Give a place up."""
        self._places.pop(name, None)
