"""For how long pages have been in doubt: each answers what may be a passing fault, or may be meant."""

from __future__ import annotations

from collections.abc import Callable

LASTING_SECONDS = 3600.0
"""So long a page stays that nobody has said to have changed, and that redirects for now, is private, or is closed
together with the home page; then it goes."""


class Doubts:
    """One site's. `monotonic` never jumps; over a restart the wall clock counts, the only one that went on.

    `doubted_at` is when a page's doubt began and `now` is now, both by the wall clock; 0 means that there is none.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: dict[str, tuple[float, float]] = {}
        """Of pages in doubt: `doubted_at`, and the same by the monotonic clock."""

    def note(self, url: str, doubted_at: float, now: float) -> None:
        """Count from here, if that is when the doubt began."""
        if not doubted_at:
            self._since.pop(url, None)
        elif self._since.get(url, (0.0, 0.0))[0] != doubted_at:
            self._since[url] = doubted_at, self._monotonic() - max(0.0, now - doubted_at)

    def is_lasting(self, url: str, doubted_at: float, now: float) -> bool:
        """True if the page has been in doubt for long."""
        self.note(url, doubted_at, now)
        return url in self._since and self._monotonic() - self._since[url][1] >= LASTING_SECONDS
