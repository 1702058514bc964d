"""Which of a site's origin addresses is asked first: one that was of no use a short while ago comes last.

Decisions only; `origin` asks, and says what is news. An address is named as it is configured. All times are seconds of
the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

UNREACHABLE_SECONDS = 30.0
"""For so long an address that was of no use is asked last: each attempt may cost a whole deadline."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One address, when it is its turn in a fetch."""

    address: str
    patience_seconds: float | None = None
    """It was of no use and another is, so that trying whether it is back may take its share of the deadline alone."""
    is_due: bool = False
    """True if its time as the last one is over: an answer means that it is back."""


class Addresses:
    """One site's. Of a single address nothing is remembered: there is no other to be asked first."""

    def __init__(self, addresses: Sequence[str], deadline_seconds: float) -> None:
        self._addresses = addresses
        self._share_seconds = deadline_seconds / len(addresses)
        self._retry_at: dict[str, float] = {}
        """Of each that was of no use."""
        self._silent: dict[str, str] = {}
        """Of those, whose fault it may not be, and what they said nothing to: the page may hang wherever it is made."""
        self._at_fault_at: dict[str, float] = {}
        """When each was last of no use by its own fault."""
        self._begun_at: dict[str, float] = {}
        """When each last began an answer."""

    def last(self, now: float) -> tuple[str, ...]:
        """Those that are asked after the others by their own fault, of a short while ago: none that nobody tried since.

        Twice as long as until they are tried: that takes some time too.
        """
        known = self._retry_at.keys() - self._silent.keys()
        return tuple(sorted(one for one in known if now - self._at_fault_at[one] < 2 * UNREACHABLE_SECONDS))

    def turns(self, now: float) -> list[Turn]:
        """Every address in the configured order; last those that were of no use, the longest ago first."""
        if not self._retry_at:
            return [Turn(address) for address in self._addresses]
        later = {address: at for address, at in self._retry_at.items() if now < at}
        due = self._retry_at.keys() - later.keys()
        # One fetch tries again whether the address is there; those beside it do not wait for what it finds.
        self._retry_at.update((address, now + UNREACHABLE_SECONDS) for address in due)
        order = sorted(self._addresses, key=lambda address: later.get(address, 0.0))
        tried = self._retry_at.keys() - {order[-1]} if len(self._retry_at) < len(order) else set()
        return [Turn(one, self._share_seconds if one in tried else None, is_due=one in due) for one in order]

    def note_begun(self, address: str, now: float) -> None:
        """It began an answer, of whatever kind."""
        self._begun_at[address] = now

    def has_begun_since(self, address: str, moment: float) -> bool:
        """True if it began any answer since then."""
        return self._begun_at.get(address, float("-inf")) >= moment

    def note_good(self, turn: Turn) -> bool:
        """It answered. True if it is back, and that it was away is known.

        It is back if its time was over. Sooner it would come and go with each answer where many fail by chance.
        """
        if not turn.is_due:
            return False
        was_said = self._silent.pop(turn.address, None) is None
        return self._retry_at.pop(turn.address, None) is not None and was_said

    def silent_to(self, raw_path: str, answered: str) -> list[str]:
        """Those that said nothing to what another has answered: they are at fault, and not the page."""
        return [one for one, path in self._silent.items() if path == raw_path and one != answered]

    def put_last(self, address: str, now: float) -> bool:
        """It was of no use, and that is its fault. True if that is news."""
        if len(self._addresses) == 1:
            return False
        is_news = address not in self._retry_at or address in self._silent
        self._retry_at[address], self._at_fault_at[address] = now + UNREACHABLE_SECONDS, now
        self._silent.pop(address, None)
        return is_news

    def note_silent(self, address: str, raw_path: str, now: float) -> None:
        """It said nothing: it is asked last, but that it is its fault is known when another answers the same."""
        if len(self._addresses) == 1:
            return
        if address not in self._retry_at or address in self._silent:
            self._silent[address] = raw_path
        else:
            self._at_fault_at[address] = now
        self._retry_at[address] = now + UNREACHABLE_SECONDS
