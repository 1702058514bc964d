"""The brake: whether a page may leave the tree, or lose most of its text, without anybody having said so.

A WordPress that lost a table, its posts or its document root answers 404 to everything, in good order. It shows on the
home page: while that is gone, closed or half empty, nothing else goes. Where it is well, few pages go at a time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from staticify.config import Site
from staticify.content import EMERGENCIES
from staticify.errors import OriginError
from staticify.gate import FORBIDDEN, GONE, MOVED, REDIRECT, decide_head, decide_kind, kind_of
from staticify.looks import lack_of
from staticify.losses import ALWAYS, Losses
from staticify.nouns import Answer, Outcome, Record
from staticify.origin import OriginClient
from staticify.rules import Rules
from staticify.store import Store
from staticify.urls import Page
from staticify.workers import Workers

LOSSES = frozenset({GONE, MOVED})
"""What a fault of WordPress may bring to all pages at once. What is private goes at once, however much it is."""
LOST_SECONDS = 10.0
"""For so long a home page that was asked for because of a loss, and is lost too, is not asked for again."""
_BROKEN = frozenset({"empty", "php-error", "wp-die", "installation", "login", FORBIDDEN, *EMERGENCIES})
"""Refusals of a home page that is not there. Whatever else is refused is there, and may not go out."""

_TOO_MANY = "many pages went at once"
_HOME_IS_LOST = "the home page is gone, closed or much shorter as well"


class Brake:
    """One site's. `rules` are the home page's, `body_of` gives the identity bytes in the tree (and blocks)."""

    def __init__(
        self,
        site: Site,
        origin: OriginClient,
        store: Store,
        workers: Workers,
        rules: Rules,
        body_of: Callable[[Page], bytes],
    ) -> None:
        self._site = site
        self._origin = origin
        self._store = store
        self._workers = workers
        self._rules = rules
        self._body_of = body_of
        self.losses = Losses()
        self.loss_seconds = site.interval_seconds
        """So long counts what a site lost: about as long as it takes until every page was looked at."""
        self._shrunk = Losses()
        """Pages whose text is less for good. They were looked at three times, so that an interval is long enough."""
        self._shrinking = threading.Lock()
        self._home_lock = asyncio.Lock()
        self._home_seen_at = float("-inf")
        """When the home page was asked for because of a loss, by the monotonic clock; `_is_home_well` is what came."""
        self._is_home_well = True
        self._forgotten = 0
        """How often that was forgotten."""

    async def doubt_of_loss(self, page: Page, since: float) -> str:
        """Why a page that goes without a word stays for now; empty if it may go, and counts as lost.

        `since` is when the loss was seen, by the monotonic clock: what the home page was before says nothing.
        """
        if page == self._site.base:
            return "it is the home page"
        if not self.losses.has_room(time.monotonic(), self.loss_seconds, self._count_standing):
            return _TOO_MANY
        if not await self._is_well(since):
            return _HOME_IS_LOST
        may_go = self.losses.admit(time.monotonic(), self.loss_seconds, self._count_standing)
        return "" if may_go else _TOO_MANY

    async def _is_well(self, since: float) -> bool:
        """True if the home page was well when it was asked for after a moment."""
        # What is lost may stay so for a while: else each page that stays would cost WordPress two fetches, and all
        # would stand in line for a home page that hangs.
        if not self._is_home_well and (
            self._home_lock.locked() or time.monotonic() - self._home_seen_at < LOST_SECONDS
        ):
            return False
        async with self._home_lock:
            if self._home_seen_at >= since and self._is_home_well:
                return True
            if not self._is_home_well and time.monotonic() - self._home_seen_at < LOST_SECONDS:
                return False
            asked_at, forgotten = time.monotonic(), self._forgotten
            is_well = await self._look_at_home()
            # What was forgotten meanwhile is true of this page alone.
            if self._forgotten == forgotten:
                self._is_home_well, self._home_seen_at = is_well, asked_at if is_well else time.monotonic()
            return is_well

    def doubt_of_shrink(self, page: Page) -> str:
        """Why a page that has less text for good stays as it was for now; empty if it may go out. Blocks."""
        if page == self._site.base:
            # Its home page is the last that a site without its posts loses: it says "nothing found" and 200.
            gone = sum(map(_is_gone_from_wordpress, self._store.of_site(self._site.url)))
            return f"WordPress has {gone} other pages no more" if gone > ALWAYS else ""
        home = self._store.get(self._site.base.url)
        if home is not None and _is_lost(home):
            return _HOME_IS_LOST
        with self._shrinking:
            may_go = self._shrunk.admit(time.monotonic(), self._site.interval_seconds, self._count_standing)
        return "" if may_go else "many pages shrank at once"

    def forget_home(self) -> None:
        """Something is known, or said, of the home page since it was asked for: the next loss asks for it anew."""
        self._forgotten += 1
        self._home_seen_at = float("-inf")
        self._is_home_well = True

    async def _look_at_home(self) -> bool:
        """False if the home page that stands is none, or another one, if it is asked for now."""
        home = self._site.base
        record = self._store.get(home.url)
        if record is None or not (record.is_published or _is_closed(record)):
            return True  # There is nothing that it could be compared with.
        try:
            answer = await self._origin.fetch(home.raw_path)
        except OriginError:
            return False
        verdict = decide_head(answer, home, self._rules.gate)
        if verdict.name == REDIRECT:
            # For now, and inside the site: to a language, say. One that is not installed sends to its installation.
            return "/wp-admin/" not in answer.header("location")
        # What may not go out may be there all the same: that is another matter.
        is_there = verdict.is_publishable or verdict.outcome is Outcome.REFUSED
        return is_there and await self._workers.run_parsing(self._is_home_whole, record, answer)

    def _is_home_whole(self, record: Record, answer: Answer) -> bool:
        """True if it is no shorter than the one that stands, or somebody says that it changed. Blocks."""
        prepared, kind = self._workers.parsers.prepare(answer, self._rules), kind_of(answer)
        if prepared.verdict.name in _BROKEN or kind is None:
            return False
        if record.kind is not None and decide_kind(kind, record.kind) is not None:
            return False
        body = prepared.body or answer.body
        is_told = self._store.is_told(record.url)
        return is_told or lack_of(replace(prepared, body=body), self._body_of(self._site.base)) is None

    def _count_standing(self) -> int:
        return sum(one.is_published for one in self._store.of_site(self._site.url))


def _is_gone_from_wordpress(record: Record) -> bool:
    """True if the page stands in the tree and WordPress says that it has it no more."""
    return record.is_published and record.outcome is Outcome.KEPT and record.verdict in LOSSES


def _is_lost(home: Record) -> bool:
    """True if the home page's own answers, whatever lists say, are those of a site that lost its posts.

    An error says nothing: what it was held back for before it stays. A refusal or a good answer ends that.
    """
    is_held_back = home.is_published and home.outcome is Outcome.KEPT and home.held_for != ""
    is_there = home.outcome is Outcome.REFUSED or home.verdict == REDIRECT
    return is_held_back or _is_gone_from_wordpress(home) or (_is_closed(home) and not is_there)


def _is_closed(home: Record) -> bool:
    """True if the home page was taken out because it is not for everybody any more, which nobody said.

    An empty document root answers 403 for it, and 404 for the rest.
    """
    return not home.is_published and home.doubted_at > 0
