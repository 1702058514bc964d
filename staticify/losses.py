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
        self._most = ALWAYS

    def admit(self, now: float, seconds: float, standing: Callable[[], int]) -> bool:
        """Count one more page as lost, unless that would be too many within so many seconds.

        `now` is the monotonic clock's, `standing` says how many pages there are.
        """
        while self._times and now - self._times[0] >= seconds:
            self._times.popleft()
        if not self._times:
            self._most = max(ALWAYS, standing() // SHARE)
        if len(self._times) >= self._most:
            return False
        self._times.append(now)
        return True
