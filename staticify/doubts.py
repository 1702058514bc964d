"""For how long pages have been in doubt: each answers what may be a passing fault, or may be meant."""

from __future__ import annotations

from collections.abc import Callable

LASTING_SECONDS = 3600.0
"""So long a page stays that nobody has said to have changed, and that redirects for now, is private, or is closed
together with the home page; then it goes."""


class Doubts:
    """One site's. `monotonic` never jumps; over a restart the wall clock counts, the only one that went on.

    `doubted_at` is when a page's doubt began and `now` is now, both by the wall clock; 0 means that there is none.
    `was_so` says that the answer before this one was of its kind, too.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: dict[str, tuple[float, float]] = {}
        """Of pages in doubt: `doubted_at`, and the same by the monotonic clock."""
        self._blocked: set[str] = set()
        """Of those, the ones that were blocked since they last answered something else that is no error."""
        self._away: dict[str, float] = {}
        """When the doubt of those that were away began, by the monotonic clock, whatever a firewall said since."""
        self._to_be_seen_again: set[str] = set()
        """Of those, the ones whose doubt has lasted, and that had answered something else before."""

    def note(self, url: str, doubted_at: float, now: float) -> None:
        """Count from here, if that is when the doubt began."""
        if not doubted_at:
            self._since.pop(url, None)
            self._blocked.discard(url)
            self._away.pop(url, None)
            self._to_be_seen_again.discard(url)
        elif self._since.get(url, (0.0, 0.0))[0] != doubted_at:
            self._since[url] = doubted_at, self._monotonic() - max(0.0, now - doubted_at)

    def is_lasting(self, url: str) -> bool:
        """True if the page has been in doubt for long."""
        return url in self._since and self._monotonic() - self._since[url][1] >= LASTING_SECONDS

    def count_away(self, url: str, doubted_at: float, now: float, *, was_so: bool) -> bool:
        """Count an answer that is away. True if the page may go for it: not for a single one after a long doubt."""
        self._blocked.discard(url)  # No firewall is in the way of such an answer.
        self.note(url, doubted_at, now)
        monotonic = self._monotonic()
        began_at = self._away.setdefault(url, self._since[url][1] if url in self._since else monotonic)
        if monotonic - began_at < LASTING_SECONDS:
            return False
        if was_so or url in self._to_be_seen_again:
            return True
        self._to_be_seen_again.add(url)
        return False

    def count_block(self, url: str, doubted_at: float, now: float, *, was_so: bool) -> float:
        """Count an answer that is blocked. Returns when that doubt began: other answers say nothing of a firewall."""
        if doubted_at and not was_so and url not in self._blocked:
            doubted_at = now
        self.note(url, doubted_at, now)
        self._blocked.add(url)
        return doubted_at
