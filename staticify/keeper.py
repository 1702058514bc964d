"""One site kept fresh: which pages it has, when each is due, and what came of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from staticify.config import Site
from staticify.discover import Listing
from staticify.listing import list_pages
from staticify.nouns import Outcome, Result, Verdict
from staticify.origin import OriginClient
from staticify.queue import Queue
from staticify.render import Renderer
from staticify.store import Store
from staticify.timetable import Timetable
from staticify.tree import Found, Tree
from staticify.urls import Page, parse_page
from staticify.workers import Workers

log = logging.getLogger(__name__)

UNLISTED = "unlisted"
JOURNEYS_PER_FETCH = 2
"""While some journeys write, others fetch: `concurrency` bounds what WordPress has to do, not what the disk has."""


class Keeper:
    """Owns everything that belongs to one site: its connections, its queue and its tasks.

    The daemon calls `start`, then `update_list` once each interval; one pass is `render_once` or `render_all_once`.
    `stop` ends either.
    """

    def __init__(
        self,
        site: Site,
        tree: Tree,
        store: Store,
        workers: Workers,
        *,
        others: Sequence[Page] = (),
        on_result: Callable[[Result], None],
        dense_after: int | None = None,
    ) -> None:
        self.site = site
        self._store = store
        self._workers = workers
        self._others = others
        self._on_result = on_result
        self._origin = OriginClient(site)
        self._renderer = Renderer(site, self._origin, tree, store, workers, dense_after=dense_after)
        self._queue = Queue(self._journey, site.concurrency * JOURNEYS_PER_FETCH)
        self._timetable = Timetable()
        self._pages: dict[Page, float] = {}
        """The pages to keep, and when each was last as it should be, by the event loop's clock."""
        self._is_repeating = False
        self._running: asyncio.Task[None] | None = None
        self._listing: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._counts: Counter[str] = Counter()

    async def render_once(self, pages: Iterable[Page], on_list: Callable[[int], None]) -> None:
        """One journey for each page given."""
        pages = list(dict.fromkeys(pages))
        on_list(len(pages))
        self._add(pages)
        self._queue.finish()
        await self._queue.run()

    async def render_all_once(self, on_list: Callable[[int], None]) -> Listing:
        """One journey for each page of the site; those of the configuration begin while the sitemaps are read."""
        self._add(self.site.pages)
        running = asyncio.create_task(self._queue.run(), name=f"queue of {self.site.url}")
        try:
            listing = await list_pages(self._origin, self.site, self._others)
            on_list(len(listing.pages))
            self._add(listing.pages)
            self._queue.finish()
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if listing.is_complete:
            await self._let_go_of_unlisted(listing)
        return listing

    def start(self) -> asyncio.Task[None]:
        """Keep the configured pages fresh from now on; `update_list` adds those that the sitemaps name.

        The task ends after `stop`. Should it end before, nobody refreshes the site any more.
        """
        self._is_repeating = True
        self._add(self.site.pages)
        self._running = asyncio.create_task(self._queue.run(), name=f"queue of {self.site.url}")
        return self._running

    async def update_list(self) -> None:
        """Read the sitemaps anew: begin with pages that are new, let go of those that are listed no more."""
        if self._is_stopped:
            return
        self._listing = asyncio.create_task(self._update_list(), name=f"list of {self.site.url}")
        try:
            await asyncio.wait([self._listing])
        finally:
            # Whoever is cancelled, the caller or (by `stop`) the reading itself, it must not go on behind our back.
            self._listing.cancel()
        if not self._listing.cancelled():
            self._listing.result()

    async def _update_list(self) -> None:
        listing = await list_pages(self._origin, self.site, self._others)
        for note in listing.notes:
            log.warning("sitemap", extra={"site": self.site.url, "where": note.where, "reason": note.message})
        if listing.is_complete:
            for page in set(self._pages).difference(listing.pages):
                del self._pages[page]
                self._queue.cancel(page)
                self._timetable.forget(page)
        # Lists that could not be read whole take no page away: together they must not go over the bound either.
        new = [page for page in listing.pages if page not in self._pages]
        self._add(new[: self.site.max_pages - len(self._pages)])
        if listing.is_complete:
            await self._let_go_of_unlisted(listing)

    async def _let_go_of_unlisted(self, listing: Listing) -> None:
        """Take pages out of the tree that nobody would refresh any more, when two lists in a row lack them."""
        listed = {page.url for page in listing.pages}
        for record in self._store.of_site(self.site.url):
            if record.url in listed:
                continue
            if not record.is_published:
                self._store.forget([record.url])
                continue
            page = parse_page(record.url)
            reason = "neither the configuration nor a sitemap lists this page any more"
            if record.verdict == UNLISTED:
                verdict = Verdict(UNLISTED, Outcome.GONE, reason)
                result = await self._workers.run(self._renderer.remove, page, record, time.time(), verdict)
            else:
                verdict = Verdict(UNLISTED, Outcome.KEPT, f"{reason}; removed if the next list agrees")
                # Nothing was fetched: the time of the last fetch stays.
                result = replace(self._renderer.conclude(record, record.checked_at, verdict), seconds=0.0)
            self._report(result)

    def adopt(self, standing: Iterable[tuple[Page, Found]]) -> int:
        """Make records of this site's pages that stand in the tree and that the store does not know. Blocks."""
        unknown = [(page, found) for page, found in standing if self._store.get(page.url) is None]
        for page, found in unknown:
            self._renderer.adopt(page, found)
        return len(unknown)

    def oldest(self) -> tuple[Page, float] | None:
        """The page that has been wrong in the tree for the longest time, and for how many seconds at most.

        One that the tree does not hold is never old: there is nothing that a visitor could get.
        """
        if not self._pages:
            return None
        page = min(self._pages, key=self._pages.__getitem__)
        return page, asyncio.get_running_loop().time() - self._pages[page]

    def bound_seconds(self, page: Page) -> float:
        """The age that a page must not pass: its interval and one render."""
        return self.site.interval_for(page) + self.site.deadline_seconds

    def latest(self) -> tuple[Page, float] | None:
        """The page furthest beyond its own bound, and its age; None if none is beyond it."""
        if not self._pages:
            return None
        now = asyncio.get_running_loop().time()
        page = max(self._pages, key=lambda page: now - self._pages[page] - self.bound_seconds(page))
        age_seconds = now - self._pages[page]
        return (page, age_seconds) if age_seconds > self.bound_seconds(page) else None

    def take_counts(self) -> Counter[str]:
        """Outcomes since the last call."""
        counts, self._counts = self._counts, Counter()
        return counts

    def __len__(self) -> int:
        """Pages that are kept."""
        return len(self._pages)

    async def stop(self, drain_seconds: float = 0.0) -> None:
        """Start no new journey, let those under way end within the time given, close every connection."""
        self._is_stopped = True
        self._queue.close()
        try:
            if self._listing is not None:
                self._listing.cancel()
                await asyncio.wait([self._listing])
            if self._running is not None:
                await asyncio.wait([self._running], timeout=drain_seconds)
                self._running.cancel()
                await asyncio.wait([self._running])
        finally:
            await self._origin.aclose()

    def _add(self, pages: Iterable[Page]) -> None:
        for page in pages:
            if page not in self._pages:
                self._pages[page] = asyncio.get_running_loop().time()
                self._queue.schedule(page)

    async def _journey(self, page: Page) -> None:
        """One journey of the queue. Nothing that goes wrong with one page reaches another."""
        started = asyncio.get_running_loop().time()
        try:
            result = await self._renderer.render(page)
        except Exception as error:
            log.exception("a journey failed", extra={"url": page.url})
            result = self._renderer.fail(page, error)
        finally:
            if self._is_repeating and page in self._pages:
                due = self._timetable.next_due(page, self.site.interval_for(page), started)
                self._queue.schedule(page, due)
        if page in self._pages and (result.outcome.is_good or not result.record.is_published):
            self._pages[page] = started
        self._report(result)

    def _report(self, result: Result) -> None:
        self._counts[result.outcome] += 1
        self._on_result(result)
