"""How many pages a site may lose at once without a word. A database that lost a table answers 404 to everything."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

ALWAYS = 5
"""So many pages go at once, however few there are: whoever deletes some expects them to go."""
SHARE = 10
"""Of many pages, one in so many."""


class Losses:
    """What a site has lost within some time, without an operator who means it or a journal that names it as gone."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._longest = 0.0
        """Of the times that it was asked about, in seconds: what is short now may be long again."""
        self._most = ALWAYS
        self._counted_at = float("-inf")
        self._lifted_until = float("-inf")

    def lift(self, until: float) -> None:
        """Count nothing until then: an operator says that many may go."""
        self._lifted_until = until

    def has_room(self, now: float, seconds: float, standing: Callable[[], int]) -> bool:
        """True if one more page lost would not be too many within so many seconds.

        `now` is the monotonic clock's, `standing` says how many pages there are.
        """
        if now < self._lifted_until:
            return True
        self._longest = max(self._longest, seconds)
        while self._times and now - self._times[0] >= self._longest:
            self._times.popleft()
        if now - self._counted_at >= seconds:
            self._most, self._counted_at = max(ALWAYS, standing() // SHARE), now
        return sum(now - then < seconds for then in self._times) < self._most

    def admit(self, now: float, seconds: float, standing: Callable[[], int]) -> bool:
        """Count one more page as lost, if there is room."""
        has_room = self.has_room(now, seconds, standing)
        if has_room:
            self._times.append(now)
        return has_room
