"""What a site's WordPress can bear: how many fetches at once, and when none at all. Decisions only; `origin` waits.

The number at once grows by one for each round of good answers and halves when an answer fails, as TCP's window does
(RFC 5681 section 3.1); when most answers take twice as long as they use to, it shrinks by a quarter. After
FAILURES_IN_A_ROW, where nobody answers or as many pages fail and none was good for a while, nothing is asked but one
probe each PROBE_SECONDS. After a good one it is one at a time until GOOD_IN_A_ROW were good; then more.

All times are seconds of the monotonic clock.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

FAILURES_IN_A_ROW = 8
"""So many that chance hardly makes them: where 30 % fail, one in 15,000."""
PROBE_SECONDS = 30.0
GOOD_IN_A_ROW = 3
"""So many good probes end the pause."""
RESERVED_SECONDS = 5.0
PAGES_FOR_ALL = 2
"""So many pages must ask to be left alone before all are: one may be a "coming soon" page of a plugin's."""
MOST_RETRY_AFTER_SECONDS = 600.0
BACKOFF_SECONDS = 1.0
"""A page that failed once waits at most twice this long."""
LEAST = 2
"""So many at once it goes on with, as long as any answer comes: one that hangs must not hold up all others."""
_FILES = (".txt", ".xml", ".xsl", ".json", ".ico", ".gz")
"""How the names of files end that a web server may send by itself: a good one says nothing about WordPress."""
_SLOW = 2.0
"""So many times as long as usual, and WordPress is taken to have too much to do."""
_MOST_SLOW, _FEW_SLOW = 0.5, 0.35
"""Shares of the last answers. A cache in WordPress makes one in five slow, and that is no sign of anything."""
_MOST_LOOKED_AT = 1000
_MOST_USUAL = 100_000
"""Pages: a sitemap's address may change each time."""
_SLACK_SECONDS = 0.05
"""Added to both sides of the comparison: a page of 4 ms that takes 9 says nothing."""
_LONG_MEMORY, _SHORT_MEMORY = 0.05, 0.2
"""What a new answer counts for in a mean: of one page, and of how the last few pages did."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Why nothing is asked, and until when."""

    until: float
    reason: str


class Guard:
    """One site's. Whoever asks first calls `admit`; then `start` and `end`, and `succeed` or `fail`."""

    def __init__(self, most: int, quiet_seconds: float = PROBE_SECONDS) -> None:
        """Within `quiet_seconds` a page that is well has given a good answer, if it is asked for as often as most."""
        self.most = most
        self._quiet_seconds = max(PROBE_SECONDS, quiet_seconds)
        self.is_armed = False
        """While it is not, failures in a row pause nothing: one pass tries each page, whatever came of those before."""
        self.failures = 0
        """In a row."""
        self._unanswered = 0
        """So many in a row found nobody there, whatever they asked for."""
        self.in_flight = 0
        self._limit = float(most)
        self._shrunk_at = float("-inf")
        self._usual: dict[str, float] = {}
        """How long each page takes, as a mean that forgets slowly."""
        self._slow_share = 0.0
        """Of the last answers, those that took much longer than usual."""
        self._failed: set[str] = set()
        """What failed since the last good answer of a page."""
        self._has_pages = False
        """True once anything was asked for that is no file."""
        self._good_at = float("-inf")
        """When the last good answer of a page came."""
        self._asked_for_rest: set[str] = set()
        """The pages whose answers said Retry-After, since the last good one."""
        self._reserved_until = float("-inf")
        """Until then the next probe is for a question to the journal."""
        self._is_pages_turn = False
        """True if the last probe was a question: where nothing but that fails, no page would ever be asked for."""
        self._pause: Pause | None = None
        self._is_broken = False
        """True if failures made the pause: it ends with probes."""
        self._is_unanswered = False
        """True if the last of them was that nobody answered: then any answer counts."""
        self._is_page_good = False
        """True if a page was, since it looked last as if nothing were well."""
        self._good_probes = 0
        """Since it looked last as if nothing were well."""

    @property
    def limit(self) -> int:
        """How many fetches may be under way."""
        return max(1, int(self._limit))

    @property
    def has_room(self) -> bool:
        """True if one more fetch may begin."""
        return self.in_flight < self.limit

    def admit(self, now: float, *, is_question: bool = False) -> Pause | None:
        """None if something may be asked now; else why not. Once in PROBE_SECONDS the one that asks is the probe.

        A question to the journal goes first: pages, of which many wait, would always be there before it.
        """
        pause = self._pause
        if pause is None or (is_question and not self._is_broken):
            return None  # It is small, and what is public no more must be heard of.
        if is_question and self._is_pages_turn and now < pause.until + RESERVED_SECONDS:
            return Pause(pause.until + RESERVED_SECONDS, pause.reason)
        if now < pause.until or (not is_question and now < self._reserved_until):
            if is_question:
                self._reserved_until = pause.until + RESERVED_SECONDS
            return pause
        self._is_pages_turn = is_question and self._is_broken
        if is_question:
            self._reserved_until = float("-inf")
        # Those beside the probe do not wait for what it finds.
        self._pause = Pause(now + PROBE_SECONDS, pause.reason) if self._is_broken else None
        return None

    def pause(self, now: float) -> Pause | None:
        """The pause that there is."""
        return self._pause if self._pause is not None and (self._is_broken or now < self._pause.until) else None

    def start(self) -> None:
        """A fetch begins."""
        self.in_flight += 1

    def end(self) -> None:
        """A fetch has ended, however."""
        self.in_flight -= 1

    def succeed(
        self, page: str, started: float, seconds: float, *, is_there: bool = True, is_aside: bool = False
    ) -> bool:
        """A good answer. True if it is the first after a pause. One that is not `is_there` is no page any more.

        `is_aside` is one to something else than a page, which says nothing of pages: the plugin answers its questions,
        and WP-Cron runs, before WordPress makes any.
        """
        now = started + seconds
        self._unanswered = 0
        if is_aside:
            return self._is_broken and self._is_unanswered and self._count_probe()
        self._is_pages_turn = False
        is_page = self._is_page(page)
        if is_page:
            self._good_at = now
            self._asked_for_rest.clear()
            self.failures = 0
        if self._is_broken:
            if is_page:
                self._is_page_good = True
                if self._count_probe():
                    return True
            self._let_next(now)
            return False
        if is_page:
            self._failed.clear()
        self._compare(page, started, seconds, is_there=is_there)
        return False

    def _compare(self, page: str, started: float, seconds: float, *, is_there: bool) -> None:
        """Grow or shrink by how long a good answer took, beside what is usual for it."""
        usual = self._usual.pop(page, seconds)  # To the end: the first is the one that was asked for longest ago.
        if is_there:
            self._usual[page] = usual + _LONG_MEMORY * (seconds - usual)
        if len(self._usual) > _MOST_USUAL:
            self.forget(next(iter(self._usual)))
        is_slow = seconds + _SLACK_SECONDS > _SLOW * (usual + _SLACK_SECONDS)
        self._slow_share += _SHORT_MEMORY * (is_slow - self._slow_share)
        if self._slow_share > _MOST_SLOW:
            self._shrink(0.75, started, started + seconds)
        elif self._slow_share < _FEW_SLOW:
            self._limit = min(float(self.most), self._limit + 1 / self._limit)

    def forget(self, page: str) -> None:
        """It is asked for no more."""
        self._usual.pop(page, None)
        self._failed.discard(page)

    def _count_probe(self) -> bool:
        """Count a good one. True if it ends the pause."""
        self._good_probes += 1
        if self._good_probes < GOOD_IN_A_ROW:
            return False
        # One at a time, then more: all who waited would come at once.
        self._is_broken, self._is_pages_turn, self.failures = False, False, 0
        self._failed.clear()
        self._pause, self._limit, self._slow_share = None, 1.0, 0.0
        return True

    def fail(
        self,
        page: str,
        reason: str,
        started: float,
        now: float,
        *,
        retry_after: float = 0.0,
        is_of_page: bool = False,
        is_answer: bool = True,
    ) -> bool:
        """No answer, or one that says that WordPress cannot. True if a pause begins with it.

        `retry_after` is how long WordPress asks to be left alone, in seconds. `is_of_page` says that it may be this
        page alone that asks ("coming soon"), so that it counts where nothing else is well. `is_answer` is false where
        nobody was there to answer: that is no matter of the page.
        """
        self._is_page(page)
        self.failures += 1
        self._unanswered = 0 if is_answer else self._unanswered + 1
        self._failed.add(page)
        self._shrink(0.5, started, now)
        had_pause = self.pause(now) is not None
        until, why = 0.0, ""
        is_quiet = now - self._good_at >= self._quiet_seconds
        if retry_after > 0 and (is_quiet or not is_of_page):
            self._asked_for_rest.add(page)
            if len(self._asked_for_rest) >= PAGES_FOR_ALL or (is_quiet and self._are_all(self._asked_for_rest)):
                seconds = min(retry_after, MOST_RETRY_AFTER_SECONDS)
                until, why = now + seconds, f"{reason}; it asks for {seconds:.0f} s (Retry-After)"
                self._limit = 1.0
                self._asked_for_rest.clear()  # After the pause one page speaks for itself again.
        if self.is_armed and (self._unanswered >= FAILURES_IN_A_ROW or self._is_nothing_well(now)):
            self._is_broken, self._is_unanswered = True, not is_answer
            self._is_page_good, self._good_probes = False, 0
            until = max(until, now + PROBE_SECONDS)
            why = f"{self.failures} failures in a row, the last: {reason}"
        elif self._is_broken and self._is_page_good and not until:
            self._let_next(now)
        if until and (self._pause is None or until > self._pause.until):
            self._pause = Pause(until, why)
        return bool(until) and not had_pause

    def _is_nothing_well(self, now: float) -> bool:
        """Where something is well, what fails is those pages' own matter: it is WordPress's where nothing is."""
        are_many = self._is_broken or self.failures >= FAILURES_IN_A_ROW
        return are_many and now - self._good_at >= self._quiet_seconds and self._are_all(self._failed)

    def _let_next(self, now: float) -> None:
        """The next may be asked for now, and still nobody beside it."""
        self._pause = Pause(now, self._pause.reason if self._pause else "")
        self._reserved_until = float("-inf")

    def _are_all(self, pages: set[str]) -> bool:
        """True if it is not only a few pages, asked for again and again while others are not.

        Those are known that were good the last time.
        """
        if len(pages) >= FAILURES_IN_A_ROW:
            return True
        known = [page for page in itertools.islice(self._usual, _MOST_LOOKED_AT) if self._is_page(page)]
        return all(page in pages for page in known) if known else len(pages) > 1

    def _is_page(self, name: str) -> bool:
        """True if it is no file, or if the site has nothing else."""
        is_file = name.partition("?")[0].endswith(_FILES)
        self._has_pages = self._has_pages or not is_file
        return not (is_file and self._has_pages)

    def _shrink(self, factor: float, started: float, now: float) -> None:
        # Those that were under way when it shrank last say nothing about what it is now.
        if started >= self._shrunk_at:
            self._limit = min(self._limit, max(float(LEAST), self._limit * factor))
            self._shrunk_at = now


def backoff_seconds(failures: int, longest: float, chance: float, together: int = 1) -> float:
    """How long a page that failed so often in a row waits: anything up to twice as long each time ("full jitter").

    Where so many fail `together`, up to as many seconds: a large site must not be asked more densely than a small one.
    `chance` is out of [0, 1): pages that failed together do not come back together.
    """
    return chance * min(longest, BACKOFF_SECONDS * max(2.0 ** min(failures, 32), together))


def retry_after_seconds(value: str, now: float) -> float:
    """The seconds of a Retry-After field (RFC 9110 section 10.2.3); 0 for what is none. `now` is since the epoch."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0
