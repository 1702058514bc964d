"""The brake: whether a page may leave the tree, or lose most of its text, without anybody having said so.

A WordPress that lost a table, its posts or its document root answers 404 to everything, in good order. It shows on the
home page: while that is gone, closed or half empty, nothing else goes. Where it is well, few pages go at a time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from staticify.config import Site
from staticify.content import EMERGENCIES
from staticify.errors import OriginError, UrlError
from staticify.gate import (
    AWAY,
    BLOCKED,
    DATABASE_ERROR,
    FORBIDDEN,
    GONE,
    MOVED,
    REDIRECT,
    decide_head,
    decide_kind,
    kind_of,
    unknown_errors,
)
from staticify.looks import lack_of
from staticify.losses import ALWAYS, Losses
from staticify.nouns import Answer, Outcome, Record, Verdict
from staticify.origin import OriginClient
from staticify.rules import Rules
from staticify.store import Store
from staticify.urls import Page, is_inside, parse_page
from staticify.workers import Workers

LOSSES = frozenset({GONE, MOVED})
"""What a fault of WordPress may bring to all pages at once. What is said to be private goes at once."""
_MISSING = LOSSES | AWAY | {BLOCKED}
"""What a page that stands may answer where the site is gone or closed: its home page may be a splash page then."""
LOST_SECONDS = 10.0
"""For so long a home page that was asked for because of a loss, and is lost too, is not asked for again."""
_BROKEN = frozenset({"empty", "php-error", "wp-die", "installation", "login", FORBIDDEN, *EMERGENCIES})
"""Refusals of a home page that is not there. Whatever else is refused is there, and may not go out."""

_IS_HOME = "it is the home page"
_TOO_MANY = "many pages went at once"
_HOME_IS_LOST = "the home page is gone, closed, much shorter or another one as well"
_HOME_IS_AWAY = "the home page cannot be asked for just now"
_HOME_SAYS_SO = "so does the home page"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the home page was when it was asked for because of a loss."""

    doubt: str = ""
    """What is wrong with it; empty if nothing is."""
    verdict: str = ""
    """What its answer was; empty if it was none, or none that says anything of others."""

    def doubt_of(self, verdict: str) -> str:
        """Why a page of which this was said stays for now; empty if it may go."""
        is_closed_too = (self.verdict in AWAY and verdict in AWAY) or self.verdict == verdict == BLOCKED
        return self.doubt or (_HOME_SAYS_SO if is_closed_too else "")


class Brake:
    """One site's. `rules` are the home page's.

    `record_of` gives what is known of a page, `body_of` the identity bytes in the tree. Both block.
    """

    def __init__(
        self,
        site: Site,
        origin: OriginClient,
        store: Store,
        workers: Workers,
        rules: Rules,
        record_of: Callable[[Page], Record | None],
        body_of: Callable[[Page], bytes],
    ) -> None:
        self._site = site
        self._origin = origin
        self._store = store
        self._workers = workers
        self._rules = rules
        self._record_of = record_of
        self._body_of = body_of
        self.losses = Losses()
        self.loss_seconds = site.interval_seconds
        """So long counts what a site lost: about as long as it takes until every page was looked at."""
        self._shrunk = Losses()
        """Pages whose text is less for good. They were looked at three times, so that an interval is long enough."""
        self._shrinking = threading.Lock()
        self._home_lock = asyncio.Lock()
        self._home_seen_at = float("-inf")
        """When the home page was asked for because of a loss, by the monotonic clock; `_home_seen` is what came."""
        self._home_seen = _Seen()
        self._forgotten = 0
        """How often that was forgotten."""

    async def doubt_of_loss(self, page: Page, since: float, verdict: str = "") -> str:
        """Why a page that goes without a word stays for now; empty if it may go, and counts as lost.

        `since` is when the loss was seen, by the monotonic clock: what the home page was before says nothing. `verdict`
        is what the page's answer was, if that is why it goes: a site that is closed for a while answers all alike.
        """
        if page == self._site.base:
            return _IS_HOME
        if not self.losses.has_room(time.monotonic(), self.loss_seconds, self._count_standing):
            return _TOO_MANY
        if doubt := await self._doubt_of_home(since, verdict):
            return doubt
        may_go = self.losses.admit(time.monotonic(), self.loss_seconds, self._count_standing)
        return "" if may_go else _TOO_MANY

    async def _doubt_of_home(self, since: float, verdict: str) -> str:
        """Why a page stays because of the home page, asked for after a moment; empty if it may go."""
        # What is lost may stay so for a while, and what is closed: else each page that stays would cost WordPress two
        # fetches, and all would stand in line for a home page that hangs.
        if (doubt := self._home_seen.doubt_of(verdict)) and (self._home_lock.locked() or self._is_home_seen_lately()):
            return doubt
        async with self._home_lock:
            doubt = self._home_seen.doubt_of(verdict)
            if self._home_seen_at >= since and not doubt:
                return ""
            if doubt and self._is_home_seen_lately():
                return doubt
            asked_at, forgotten = time.monotonic(), self._forgotten
            seen = await self._look_at_home()
            # What was forgotten meanwhile is true of this page alone.
            if self._forgotten == forgotten:
                self._home_seen, self._home_seen_at = seen, time.monotonic() if seen.doubt else asked_at
            return seen.doubt_of(verdict)

    def _is_home_seen_lately(self) -> bool:
        return time.monotonic() - self._home_seen_at < LOST_SECONDS

    def doubt_of_shrink(self, page: Page) -> str:
        """Why a page that has less text for good stays as it was for now; empty if it may go out. Blocks."""
        home_page, home = self.find_home()
        if page in {self._site.base, home_page}:
            # Its home page is the last that a site without its posts loses: it says "nothing found" and 200.
            others = [one for one in self._store.of_site(self._site.url) if one.url != page.url and one.is_published]
            gone = sum(one.verdict in _MISSING | {DATABASE_ERROR} for one in others)
            is_much = gone > min(ALWAYS, max(1, len(others) // 2))
            return f"WordPress has {gone} other pages no more, not whole, or not for everybody" if is_much else ""
        if home is not None and _is_lost(home):
            return _HOME_IS_LOST
        with self._shrinking:
            may_go = self._shrunk.admit(time.monotonic(), self._site.interval_seconds, self._count_standing)
        return "" if may_go else "many pages shrank at once"

    def find_home(self) -> tuple[Page, Record | None]:
        """The home page, or the one that it led to: of a site in several languages, the first one's. Blocks."""
        home = self._site.base
        record = self._record_of(home)
        if record is None or record.is_published or _is_closed(record) or not record.location:
            return home, record
        try:
            page = parse_page(urljoin(home.url, record.location))
        except (UrlError, ValueError):
            return home, record
        # Whatever the home page answers by now: an error there may be the same fault.
        return (page, self._record_of(page)) if is_inside(home, page) else (home, record)

    def forget_home(self) -> None:
        """Something is known, or said, of the home page since it was asked for: the next loss asks for it anew."""
        self._forgotten += 1
        self._home_seen_at = float("-inf")
        self._home_seen = _Seen()

    async def _look_at_home(self) -> _Seen:
        """What the home page that stands is, if it is asked for now: whether it is one, and the same."""
        page, record = await self._workers.run(self.find_home)
        is_known = record is not None and (record.is_published or _is_closed(record))
        try:
            answer = await self._origin.fetch(page.raw_path)
        except OriginError:
            return _Seen(_HOME_IS_AWAY if is_known else "")
        verdict = decide_head(answer, page, self._rules.gate)
        if record is None or not is_known:
            # There is nothing that it could be compared with. One that never went out may always have been AWAY; that
            # it is blocked keeps nothing for ever.
            return _Seen(verdict=verdict.name if verdict.name == BLOCKED else "")
        return _Seen(await self._doubt_of_answer(page, record, answer, verdict), verdict.name)

    async def _doubt_of_answer(self, page: Page, record: Record, answer: Answer, verdict: Verdict) -> str:
        """Why the home page that stands is none, or another one; empty if it is well."""
        if verdict.name == REDIRECT:
            # For now, and inside the site: to a language, say. One that is not installed sends to its installation.
            return _HOME_IS_LOST if _is_of_installation(answer.header("location")) else ""
        if not verdict.is_publishable and verdict.outcome is not Outcome.REFUSED:
            return _HOME_IS_LOST if verdict.outcome is Outcome.GONE else _HOME_IS_AWAY
        # What may not go out may be there all the same: that is another matter.
        is_whole = await self._workers.run_parsing(self._is_whole, page, record, answer)
        return "" if is_whole else _HOME_IS_LOST

    def _is_whole(self, page: Page, record: Record, answer: Answer) -> bool:
        """True if it is no shorter than the one that stands, or somebody says that it changed. Blocks."""
        prepared, kind = self._workers.parsers.prepare(answer, self._rules), kind_of(answer)
        if prepared.verdict.name in _BROKEN or kind is None:
            return False
        if record.kind is not None and decide_kind(kind, record.kind) is not None:
            return False
        # What it must have keeps it from going out, and says nothing of others: it may never have had that.
        seen = replace(prepared, body=prepared.body or answer.body, missing=())
        is_told = self._store.is_told(record.url) and not unknown_errors(answer, record)
        return is_told or lack_of(seen, self._body_of(page)) is None

    def _count_standing(self) -> int:
        return sum(one.is_published for one in self._store.of_site(self._site.url))


def _is_gone_from_wordpress(record: Record) -> bool:
    """True if the page stands in the tree and WordPress says that it has it no more, or not for us."""
    return record.is_published and record.outcome is Outcome.KEPT and record.verdict in {*LOSSES, BLOCKED}


def _is_lost(home: Record) -> bool:
    """True if the home page's own answers, whatever lists say, are those of a site that lost its posts.

    An error says nothing: what it was held back for before it stays. A refusal or a good answer ends that.
    """
    is_held_back = home.is_published and home.outcome is Outcome.KEPT and home.held_for != ""
    is_elsewhere = home.verdict == REDIRECT and not _is_of_installation(home.location)
    is_there = home.outcome is Outcome.REFUSED or is_elsewhere
    return _is_gone_from_wordpress(home) or ((is_held_back or _is_closed(home)) and not is_there)


def _is_of_installation(location: str) -> bool:
    """True for where a WordPress sends to that is not installed."""
    return "/wp-admin/" in location


def _is_closed(home: Record) -> bool:
    """True if the home page was taken out because it is not for everybody any more, which nobody said.

    An empty document root answers 403 for it, and 404 for the rest.
    """
    return not home.is_published and home.doubted_at > 0
