"""Follows what WordPress says of itself: asks a site's journal, and tells the keeper which pages are concerned.

The journal is the truth and a webhook only a reason to ask at once: one that is lost costs an interval. As long as
the journal answers, a page that no row concerns is fresh, and is fetched only by the slow sweep.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace

from staticify.changes import Changes, Entry, parse_changes, question
from staticify.errors import AnswerMalformed, OriginError, OriginPaused, UrlError
from staticify.keeper import Keeper
from staticify.nouns import Answer, Mode
from staticify.store import Store
from staticify.tags import SITE
from staticify.urls import Page, is_inside, page_of

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.1
"""Between two rounds: a storm of webhooks is a few questions."""
HELD_SECONDS = 1.0
"""After an answer that holds a row back it is asked again."""
CRON_SECONDS = 15.0
"""Between two requests for wp-cron.php at least."""
ROW_SECONDS = 20.0
"""After what it tells of may a row come: a request writes it at its end, and a page may be seen changed before."""
MAX_ROUNDS = 100
USUAL_SECONDS = 3600.0
"""So often a site is asked the usual way, although it has named a shorter one."""
NOT_DIRECT_SECONDS = 24 * 3600.0
"""For so long it is asked in no other way, after the shorter one gave no answer or a wrong one."""
FAILURES_UNTIL_BLIND = 2
AGAIN_SECONDS = 2.0
"""After a failure that may be chance: at the next interval, every page would be older than its bound."""


class Follower:
    """One site's journal. `start`, then `tell` whenever there may be something new; `stop` ends it."""

    def __init__(self, keeper: Keeper, store: Store) -> None:
        self._site = keeper.site
        self._keeper = keeper
        self._store = store
        # Which mode it was in, the last process knew: this one begins to see.
        self._state = replace(store.site(keeper.site.url), mode=Mode.BLIND, reason="")
        self._failures = 0
        self._told = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._cron: asyncio.TimerHandle | None = None
        self._held: asyncio.TimerHandle | None = None
        self._turning: set[asyncio.Task[None]] = set()
        self._cron_asked_at = float("-inf")
        self._direct = ""
        self._usual_at = float("-inf")
        """When it is asked the usual way next, by the event loop's clock."""
        self._not_direct_until = float("-inf")
        self._is_cron_ours = False

    def start(self) -> asyncio.Task[None]:
        """Ask now, and then whenever told. The task ends after `stop`."""
        self._told.set()
        self._running = asyncio.create_task(self._run(), name=f"journal of {self._site.url}")
        return self._running

    def tell(self) -> None:
        """Ask soon."""
        self._told.set()

    def _tell_of_held(self) -> None:
        self._held = None
        self.tell()

    async def stop(self) -> None:
        """Ask no more."""
        for timer in filter(None, (self._cron, self._held)):
            timer.cancel()
        tasks = [*self._turning, *([self._running] if self._running else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._told.wait()
            self._told.clear()
            await self._round()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _round(self) -> None:
        """Read what is new, and act on it."""
        started, started_at = asyncio.get_running_loop().time(), time.time()
        try:
            async for changes in self._read():
                await self._apply(changes)
        except OriginError as error:
            self._lose(error)
            if isinstance(error, OriginPaused):
                # The next probe is ours; what is public no more is heard of as soon as WordPress answers.
                asyncio.get_running_loop().call_at(error.until, self.tell)
            return
        self._failures = 0
        missed = self._keeper.take_missed(started - ROW_SECONDS)
        for page in missed:
            log.warning("changed without a word in the journal: found by the sweep", extra={"url": page.url})
        is_new = self._state.mode is not Mode.JOURNAL
        self._remember(mode=Mode.JOURNAL, reason="", polled_at=started_at, missed=self._state.missed + len(missed))
        if is_new:
            log.info("journal mode: WordPress says what changes", extra={"site": self._site.url})
        if not self._keeper.is_following:
            self._keeper.follow(is_following=True)
        self._keeper.confirm(started)
        if lost := await self._keeper.restore():
            site = {"site": self._site.url, "pages": lost}
            log.warning("pages that the journal says are right are not in the tree: rendered anew", extra=site)

    async def _read(self) -> AsyncIterator[Changes]:
        for _ in range(MAX_ROUNDS):
            state = self._state
            changes = await self._ask(question(state.journal, state.since, state.since_time), state.journal)
            yield changes
            if not changes.is_more or not changes.entries:
                return

    async def _ask(self, body: bytes, journal: str) -> Changes:
        """Ask at the address that the plugin has named for it, and the usual way where that does not answer well."""
        now = asyncio.get_running_loop().time()
        direct = await self._ask_direct(body) if self._direct and now < self._usual_at else None
        if direct is not None and direct.journal == journal and not direct.is_start_over:
            return direct if self._is_cron_ours else replace(direct, cron_due_at=None)
        changes = _understood(await self._keeper.ask(body))
        if self._direct and now < self._usual_at and (direct is None or _is_other(direct, changes)):
            # It may even speak of another blog, where a plugin chooses between several, or of an old copy of it.
            self._not_direct_until = now + NOT_DIRECT_SECONDS
        self._usual_at = now + USUAL_SECONDS
        self._is_cron_ours = changes.cron_due_at is not None
        self._direct = changes.direct if now >= self._not_direct_until else ""
        return changes

    async def _ask_direct(self, body: bytes) -> Changes | None:
        try:
            return _understood(await self._keeper.ask(body, self._direct))
        except OriginPaused:
            raise
        except OriginError as error:
            log.info("the journal is asked by way of all of WordPress", extra=self._because(error))
            return None

    async def _apply(self, changes: Changes) -> None:
        """Act on an answer. What is due is in the store before the position is: a crash between them loses nothing."""
        if changes.is_start_over or changes.journal != self._state.journal:
            self._start_over(changes)
        for entry in changes.entries:
            # Before anything else: what is not public any more.
            await self._keeper.revoke(self._pages(entry.gone))
        for entry in changes.entries:
            self._purge(entry)
        self._turn_cron_at(changes.cron_due_at)
        if changes.is_held and self._held is None:
            self._held = asyncio.get_running_loop().call_later(HELD_SECONDS, self._tell_of_held)
        position = changes.entries[-1].position if changes.entries else changes.position
        self._remember(since=position, since_time=changes.time if position == changes.position else 0)

    def _start_over(self, changes: Changes) -> None:
        if self._state.journal:
            log.warning("the journal does not reach back: every page is checked", extra={"site": self._site.url})
        self._remember(journal=changes.journal)
        self._keeper.purge_everything()

    def _purge(self, entry: Entry) -> None:
        if SITE in entry.tags:
            self._keeper.purge_everything(is_told=True)
            return
        self._keeper.discover(self._pages(entry.urls))
        self._keeper.purge_change(entry.tags, self._pages(entry.urls))

    def _pages(self, urls: Iterable[str]) -> Sequence[Page]:
        return list(self._pages_of(urls))

    def _pages_of(self, urls: Iterable[str]) -> Iterator[Page]:
        for url in urls:
            try:
                page = page_of(self._site.base, url)
            except UrlError:
                continue  # A permalink with a query: never a page of the tree.
            if is_inside(self._site.base, page):
                yield page

    def _lose(self, error: OriginError) -> None:
        """No usable answer. One may be chance; what is no answer of the plugin is not."""
        self._failures += 1
        is_following = self._keeper.is_following
        if isinstance(error, OriginPaused) and not is_following and self._state.reason:
            return  # It was not asked: what it said before stands.
        # Not for how long: that is another number each time.
        reason = error.reason if isinstance(error, OriginPaused) else str(error)
        if is_following and self._failures < FAILURES_UNTIL_BLIND and not isinstance(error, AnswerMalformed):
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.tell)
            return
        if is_following or self._state.reason != reason:
            log.warning("blind mode: every page is fetched each interval", extra=self._because(error))
        self._remember(mode=Mode.BLIND, reason=reason)
        if is_following:
            self._keeper.follow(is_following=False)

    def _because(self, error: OriginError) -> dict[str, str]:
        return {"site": self._site.url, "reason": str(error)}

    def _remember(self, **changed: object) -> None:
        self._state = replace(self._state, **changed)  # type: ignore[arg-type]
        self._store.put_site(self._state)

    def _turn_cron_at(self, due_at: float | None) -> None:
        """Ask for wp-cron.php when its next event is due: no visitor reaches PHP to do it."""
        if self._cron is not None:
            self._cron.cancel()
            self._cron = None
        if due_at is None:
            return
        loop = asyncio.get_running_loop()
        # An event that stays due is tried again: WordPress's own lock stands for up to a minute, whoever holds it.
        due = max(loop.time() + due_at - time.time(), self._cron_asked_at + CRON_SECONDS)
        self._cron = loop.call_at(due, self._turn_cron)

    def _turn_cron(self) -> None:
        self._cron_asked_at = asyncio.get_running_loop().time()
        task = asyncio.create_task(self._ask_for_cron(), name=f"cron of {self._site.url}")
        self._turning.add(task)
        task.add_done_callback(self._turning.discard)

    async def _ask_for_cron(self) -> None:
        try:
            await self._keeper.fetch_aside(f"{self._site.base.raw_path}wp-cron.php")
        except OriginError as error:
            log.warning("WP-Cron could not be turned", extra=self._because(error))
        # What it did, and when the next event is due.
        self.tell()


def _is_other(direct: Changes, usual: Changes) -> bool:
    return direct.journal != usual.journal or (direct.is_start_over and not usual.is_start_over)


def _understood(answer: Answer) -> Changes:
    if answer.status >= 500 or answer.status == 429:
        raise OriginError(f"WordPress answers {answer.status}")  # No answer of the plugin's; it may be chance.
    if answer.status != 200:
        reason = {401: "the plugin refuses our signature: are the secrets the same?"}.get(
            answer.status, f"the journal answers {answer.status}: is the plugin installed?"
        )
        raise AnswerMalformed(reason)
    try:
        return parse_changes(answer.body)
    except AnswerMalformed as error:
        raise AnswerMalformed(f"{error}: is the plugin installed?") from None
