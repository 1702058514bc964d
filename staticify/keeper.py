"""One site kept fresh: which pages it has, when each is due, and what came of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from staticify.config import Site
from staticify.discover import Listing
from staticify.errors import AnswerIncomplete, OriginPaused, OriginTimeout, OriginUnreachable
from staticify.gate import DATABASE_ERROR, STATUS
from staticify.guard import FAILURES_IN_A_ROW, backoff_seconds
from staticify.holds import is_held
from staticify.listing import list_pages
from staticify.losses import ALWAYS
from staticify.nouns import Answer, OriginState, Outcome, Record, Result, Verdict
from staticify.origin import OriginClient
from staticify.queue import FOREMOST, URGENT, Queue
from staticify.render import UNLISTED, Renderer
from staticify.store import MEANT_SECONDS, Store
from staticify.tags import TagIndex, is_concerned, is_from_visitors
from staticify.timetable import SHORTEST, Timetable
from staticify.tree import Found, Tree
from staticify.urls import Page, is_inside, parse_page
from staticify.workers import PARSER_BUSY, Workers

log = logging.getLogger(__name__)

_UNLISTED_REASON = "neither the configuration nor a sitemap lists this page any more"
COMMENT_SECONDS = 10.0
"""A page is rendered for comments once in this time at most."""
CHANGES_SECONDS = 1500.0
"""How long a change is remembered for journeys that began before it; none takes longer (`deadline` and a queue)."""
_PASSING = frozenset(
    {STATUS, PARSER_BUSY, *(kind.name for kind in (OriginUnreachable, OriginTimeout, AnswerIncomplete))}
)
"""Verdicts of answers that may be another in a moment."""
CANARY_SECONDS = 300.0
CANARY_SHARE = 0.9
"""After a start: what has just been rendered is not fetched twice."""
OTHERS_THAT_TELL = 2 * ALWAYS + 1
"""So many other pages tell whether the home page alone lost its text."""
BEHIND_SECONDS = 1.0
"""A page that has been due for so long says that there is more to fetch than can be."""
BEHIND_BACKOFF_SECONDS = 60.0
"""So long at least what failed waits then, if it is not its turn before: the turn of one in a day may be a day away."""
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
        self._index = TagIndex()
        self._followed: set[Page] = set()
        """Pages that the tree has, or rightly has not, and whose label says what would change that."""
        self._failing: set[Page] = set()
        """Pages whose last answer was an error, or none."""
        self._rendered_at: dict[Page, float] = {}
        self._canary_due: dict[Page, float] = {}
        """When each page is to be fetched for two visitors."""
        self._changes: deque[tuple[float, tuple[str, ...]]] = deque()
        """The tags of the latest changes, and when they were heard of."""
        self._suspects: dict[Page, float] = {}
        """Pages that the sweep found changed, and when: a row that names them may be on its way."""
        self.is_following = False
        """True while the journal says what changes; then only the sweep fetches the pages that are followed."""
        self._is_list_due = True
        self._listed_at = float("-inf")
        self.journeys = 0
        """How many began."""
        self._is_repeating = False
        self._running: asyncio.Task[None] | None = None
        self._listing: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._stopping: asyncio.Task[None] | None = None
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
            listing = await self._list()
            if not listing.is_complete:
                # Nobody says which pages there are: what stands is looked at too, or none would tell a loss of many.
                self._add(filter(self._is_ours, self._standing()))
            on_list(len(self._pages))
            self._queue.finish()
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return listing

    def start(self) -> asyncio.Task[None]:
        """Keep the configured pages fresh from now on; `update_list` adds those that the sitemaps name.

        What stands in the tree already is refreshed too: whether it is listed still is not known yet.
        The task ends after `stop`. Should it end before, nobody refreshes the site any more.
        """
        self._is_repeating = True
        self._origin.guard.is_armed = True
        is_urgent = not self._is_journal_known()
        self._add(self.site.pages, is_urgent=is_urgent)
        self._add(filter(self._is_ours, self._standing()), is_urgent=is_urgent)
        for page in filter(self._pages.__contains__, map(parse_page, self._store.due())):
            self._queue.schedule(page)
        self._running = asyncio.create_task(self._queue.run(), name=f"queue of {self.site.url}")
        return self._running

    def _standing(self) -> list[Page]:
        return [parse_page(record.url) for record in self._store.of_site(self.site.url) if record.is_published]

    def _is_journal_known(self) -> bool:
        """True if the journal will tell at once which pages changed since the last run; then none is fetched for it."""
        return bool(self.site.secrets and self._store.site(self.site.url).journal)

    # --- What the journal, a webhook or an operator says -----------------------------------------------------------

    def pages_of(self, tags: Iterable[str]) -> set[Page]:
        """The pages that a change with these tags concerns."""
        return self._index.pages_of(tags)

    async def pages_showing(self, texts: Iterable[str]) -> set[Page]:
        """The pages whose bytes in the tree hold one of these texts."""
        needles = [text.encode() for text in texts]
        return await self._workers.run(self._showing, [*self._pages], needles)

    def _showing(self, pages: list[Page], needles: list[bytes]) -> set[Page]:
        bodies = ((page, self._renderer.body_of(page)) for page in pages)
        return {page for page, body in bodies if any(needle in body for needle in needles)}

    def purge(
        self, pages: Iterable[Page], *, is_for_visitors: bool = False, is_told: bool = True, is_meant: bool = False
    ) -> int:
        """Render pages anew, now. Returns how many are kept here.

        `is_told` says that WordPress says that they changed, `is_meant` that an operator does.

        What visitors did (comments) waits its turn: once in COMMENT_SECONDS a page, and behind what editors did.
        """
        now = asyncio.get_running_loop().time()
        kept = [page for page in set(pages) if page in self._pages]
        if self.site.base in kept:
            self._renderer.brake.forget_home()
        for page in kept:
            self._suspects.pop(page, None)
            if page in self._followed:
                self._note_last_right(page, now)
                self._followed.discard(page)
            # What visitors do is no sign that a page may lose its text.
            self._store.set_due(page.url, is_told=is_told and not is_for_visitors, is_meant=is_meant)
            due = max(now, self._rendered_at.get(page, float("-inf")) + COMMENT_SECONDS) if is_for_visitors else URGENT
            self._queue.schedule(page, due)
        return len(kept)

    def _note_last_right(self, page: Page, now: float) -> None:
        """Remember until when no row of the journal named a page: from there on its age counts, in `status` too."""
        record = self._store.get(page.url)
        right_at = time.time() - (now - self._pages[page])
        if record is not None and record.is_published and right_at > record.verified_at:
            self._store.put(replace(record, verified_at=right_at))

    def purge_change(self, tags: tuple[str, ...], named: Iterable[Page] = ()) -> int:
        """Render the pages anew that a change with these tags concerns; foremost those that it names.

        Pages under way too, if the label that they come back with says so: what they had before may not have it.
        """
        now = asyncio.get_running_loop().time()
        self._changes.append((now, tags))
        while self._changes[0][0] < now - CHANGES_SECONDS:
            self._changes.popleft()
        pages = {*named, *self._index.pages_of(tags)}
        is_for_visitors = is_from_visitors(tags)
        if not is_for_visitors:
            # A new post changes the home page and, where all show the latest ones, every other page too.
            for page in {*named, self.site.base} & pages & self._pages.keys():
                self._queue.schedule(page, FOREMOST)
        return self.purge(pages, is_for_visitors=is_for_visitors)

    def _purge_if_overtaken(self, page: Page, record: Record, started: float) -> None:
        """Render once more if a change came while the page was fetched that concerns what the page is made of now."""
        since = itertools.takewhile(lambda change: change[0] >= started, reversed(self._changes))
        concerning = [tags for _, tags in since if is_concerned(record.tags, tags)]
        if concerning:
            self.purge([page], is_for_visitors=all(map(is_from_visitors, concerning)))

    def purge_everything(self, *, is_told: bool = False, is_meant: bool = False) -> int:
        """Render every page of the site anew, and look which pages it has.

        `is_meant` says that an operator does: then many may go, as long as the home page is well. That this one is
        missing, or has lost its posts, nobody means who does not name it: then a site has lost all.
        """
        self._is_list_due = True
        if is_meant:
            self._renderer.brake.losses.lift(time.monotonic() + MEANT_SECONDS)
        # First the home page, which shows what a broken upgrade broke.
        home = self._pages.keys() & {self.site.base}
        count = self.purge(home, is_told=is_told and not is_meant)
        return count + self.purge(self._pages.keys() - home, is_told=is_told or is_meant)

    async def revoke(self, pages: Iterable[Page]) -> None:
        """Take pages out of the tree that are public no more, now; then ask what WordPress answers for them."""
        for page in pages:
            if not self._is_ours(page):
                continue
            # Before anything is looked at: a first publication may be on its way.
            self._renderer.overtake(page)
            record = await self._workers.run(self._renderer.record_of, page)
            if record is None and page not in self._pages:
                continue
            if record is not None and record.is_published:
                verdict = Verdict("revoked", Outcome.GONE, "WordPress says that the page is public no more")
                self._report(await self._workers.run(self._renderer.remove, page, record, time.time(), verdict))
            # Named as gone: that it is missing then needs nobody's word any more.
            self.purge([page], is_meant=True)

    def discover(self, pages: Iterable[Page]) -> None:
        """Keep pages that WordPress says are new, if sitemaps say what the site's pages are; they will be listed."""
        if self.site.sitemaps:
            new = [page for page in pages if page not in self._pages and self._is_ours(page)]
            self._add(new[: max(0, self.site.max_pages - len(self._pages))])

    def confirm(self, at: float) -> None:
        """No change before a time of the event loop's clock is unknown: what is followed was right then."""
        if self.is_following:
            for page in self._followed:
                self._pages[page] = max(self._pages[page], at)

    async def restore(self) -> int:
        """Render what the tree has lost, whoever took it out, though WordPress says that it is right. Returns how much.

        Where the journal speaks nobody else would look before the sweep.
        """
        found = await self._workers.run(self._lost, [*self._followed])
        lost = [page for page in found if page in self._followed]  # It may have been let go of meanwhile.
        for page in lost:
            self._followed.discard(page)
            self._queue.schedule(page)
        return len(lost)

    def _lost(self, pages: list[Page]) -> list[Page]:
        known = ((page, self._store.get(page.url)) for page in pages)
        return [page for page, one in known if one and one.is_published and not self._renderer.is_current(page, one)]

    def follow(self, *, is_following: bool) -> None:
        """From now on the journal says what changes, or does so no more."""
        self.is_following = is_following
        # While only the sweep looks at what no row names, a loss shows as slowly.
        self._renderer.brake.loss_seconds = self.site.sweep_seconds if is_following else self.site.interval_seconds
        self._let_patient()
        now = asyncio.get_running_loop().time()
        for page in self._followed:
            self._queue.cancel(page)
            # Everything is due within an interval, or a sweep, spread over the whole of it.
            self._queue.schedule(page, self._next_due(page, now, shortest=0.0))

    def _let_patient(self) -> None:
        """While the journal speaks, comments and the sweep leave a connection for what an editor has just changed."""
        journeys = self.site.concurrency * JOURNEYS_PER_FETCH
        self._queue.let_patient(max(1, self._origin.guard.limit - 1) if self.is_following else journeys)

    def take_missed(self, asked_at: float) -> list[Page]:
        """The pages that the sweep found changed before a question, and that no row of the answer named."""
        missed = [page for page, found_at in self._suspects.items() if found_at < asked_at]
        for page in missed:
            del self._suspects[page]
        return missed

    async def ask(self, body: bytes, direct: str = "") -> Answer:
        """What the plugin answers to a signed question, at the path that it has named. Raises OriginError."""
        return await self._origin.ask(body, direct)

    async def fetch_aside(self, raw_path: str) -> Answer:
        """An answer that is for no page. Raises OriginError."""
        return await self._origin.fetch(raw_path, is_aside=True)

    def _next_due(self, page: Page, after: float, *, shortest: float = SHORTEST) -> float:
        is_swept = self.is_following and page in self._followed
        if is_swept:
            # So slow that coming early costs nothing, and what was rendered at once is spread over the first sweep.
            return self._timetable.next_due(page, self.site.sweep_seconds, after, shortest=0.0)
        return self._timetable.next_due(page, self.site.interval_for(page), after, shortest=shortest)

    # --- The list ----------------------------------------------------------------------------------------------------

    async def update_list(self) -> None:
        """Read the sitemaps anew: begin with pages that are new, let go of those that are listed no more."""
        if self._is_stopped:
            return
        now = asyncio.get_running_loop().time()
        # While the journal names what is new and what went, the list is as slow as the sweep.
        if self.is_following and not self._is_list_due and now - self._listed_at < self.site.sweep_seconds:
            return
        self._is_list_due, self._listed_at = False, now
        self._listing = asyncio.create_task(self._update_list(), name=f"list of {self.site.url}")
        try:
            await asyncio.wait([self._listing])
        finally:
            # Whoever is cancelled, the caller or (by `stop`) the reading itself, it must not go on behind our back.
            self._listing.cancel()
        if not self._listing.cancelled():
            self._listing.result()

    async def _update_list(self) -> None:
        listing = await self._list()
        # One that could not be read whole is read again at the next interval, whoever says what changes.
        self._is_list_due = self._is_list_due or not listing.is_complete
        for note in listing.notes:
            log.warning("sitemap", extra={"site": self.site.url, "where": note.where, "reason": note.message})

    async def _list(self) -> Listing:
        """Read the sitemaps: add what is new, let go of what a second whole list lacks."""
        # First of all: reading takes as long as WordPress does.
        await self._let_go_of_excluded()
        standing = frozenset(page.url for page in self._standing())
        listing = await list_pages(self._origin, self.site, self._others, standing)
        # Lists that could not be read whole take no page away: together they must not go over the bound either.
        new = [page for page in listing.pages if page not in self._pages]
        self._add(new if listing.is_complete else new[: max(0, self.site.max_pages - len(self._pages))])
        if listing.is_complete:
            await self._let_go_of_unlisted({page.url for page in listing.pages})
        return listing

    async def _let_go_of_unlisted(self, listed: set[str]) -> None:
        """Take pages out of the tree that nobody wants there any more, when two lists in a row lack them.

        After the first such list they are fetched at once: most are gone, and their own answer says so. Of many few go
        at a time: a list that lost most of them is a fault more often than not.
        """
        too_many, since = 0, time.monotonic()
        urls = [record.url for record in self._store.of_site(self.site.url)]
        # The home page last: only where all others went.
        for url in sorted(urls, key=self.site.base.url.__eq__):
            record = self._store.get(url)  # Of now: journeys go on meanwhile.
            if record is None:
                continue
            if record.url in listed:
                if record.unlisted_at:
                    self._store.put(replace(record, unlisted_at=0.0))
                continue
            page = parse_page(record.url)
            if any(is_inside(other, page) for other in self._others):
                self._drop(page)  # Another site's from now on, and that one's to remove.
            elif not record.is_published:
                self._let_go(page)
                self._store.forget([record.url])
            elif not record.unlisted_at:
                self._store.put(replace(record, unlisted_at=time.time()))
                self._add([page])
                self._queue.schedule(page)
            elif (page == self.site.base and too_many) or await self._must_stay(page, since):
                too_many += 1
        if too_many:
            left = {"site": self.site.url, "pages": too_many}
            log.warning("many pages are listed no more: a few go at a time", extra=left)

    async def _must_stay(self, page: Page, since: float) -> bool:
        """Take out a page that is listed no more, unless that may be a fault of the list's. True if it stays."""
        # That the home page alone is listed no more is no sign of a fault.
        if page != self.site.base and await self._renderer.brake.doubt_of_loss(page, since):
            return True
        record = self._store.get(page.url)
        if record is not None and record.is_published:
            await self._remove_unlisted(page, record)
        return False

    async def _let_go_of_excluded(self) -> None:
        """Take pages out of the tree that the configuration excludes. No list is needed for that."""
        for record in self._store.of_site(self.site.url):
            page = parse_page(record.url)
            if any(is_inside(other, page) for other in self._others):
                continue
            if record.is_published and self.site.is_excluded(page):
                await self._remove_unlisted(page, record)

    async def _remove_unlisted(self, page: Page, record: Record) -> None:
        self._let_go(page)
        verdict = Verdict(UNLISTED, Outcome.GONE, _UNLISTED_REASON)
        self._report(await self._workers.run(self._renderer.remove, page, record, time.time(), verdict))

    def _is_ours(self, page: Page) -> bool:
        return not self.site.is_excluded(page) and not any(is_inside(other, page) for other in self._others)

    def _let_go(self, page: Page) -> None:
        """Keep a page no more: what is being fetched of it just now must not be published after it was taken out."""
        self._renderer.overtake(page)
        self._drop(page)

    def _drop(self, page: Page) -> None:
        """Refresh a page no more."""
        self._pages.pop(page, None)
        self._index.drop(page)
        self._followed.discard(page)
        self._suspects.pop(page, None)
        self._failing.discard(page)
        self._origin.forget(page.raw_path)
        self._rendered_at.pop(page, None)
        self._canary_due.pop(page, None)
        self._store.clear_due(page.url, self._store.due_mark(page.url))
        self._queue.cancel(page)
        self._timetable.forget(page)

    def adopt(self, standing: Iterable[tuple[Page, Found]]) -> int:
        """Make records of this site's pages that stand in the tree and that the store does not know. Blocks."""
        unknown = [(page, found) for page, found in standing if not self._renderer.is_published(page)]
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

    @property
    def origin(self) -> OriginState:
        """How WordPress bears what it is asked."""
        return self._origin.state

    def __len__(self) -> int:
        """Pages that are kept."""
        return len(self._pages)

    @property
    def pending(self) -> int:
        """Pages that a change made due and that are not rendered anew yet."""
        return sum(self._store.is_due(page.url) for page in self._pages)

    async def stop(self, drain_seconds: float = 0.0) -> None:
        """Start no new journey, let those under way end within the time given, close every connection.

        Whoever comes second waits for the same end, and whoever is cancelled meanwhile does not cut it short.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(drain_seconds), name=f"end of {self.site.url}")
        await asyncio.shield(self._stopping)

    async def _stop(self, drain_seconds: float) -> None:
        self._is_stopped = True
        self._renderer.make_no_more_dense()
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
            self._renderer.retire()
            await self._origin.aclose()

    def _add(self, pages: Iterable[Page], *, is_urgent: bool = True) -> None:
        for page in pages:
            if page not in self._pages:
                record = self._store.get(page.url)
                # What stands in the tree from before is as old as it is; by the wall clock, the only one that went on.
                is_standing = record is not None and record.is_published and record.verified_at
                age_seconds = max(0.0, time.time() - self._store.right_at(record)) if record and is_standing else 0.0
                now = asyncio.get_running_loop().time()
                self._pages[page] = now - age_seconds
                if record is not None:
                    self._take_label(record, page)
                is_waiting = not is_urgent and page in self._followed
                is_waiting = is_waiting and record is not None and self._renderer.is_current(page, record)
                if is_waiting:
                    self._queue.schedule(page, self._next_due(page, now, shortest=0.0))
                else:
                    self._followed.discard(page)  # Not before it was looked at.
                    self._queue.schedule(page)

    async def _journey(self, page: Page) -> None:
        """One journey of the queue. Nothing that goes wrong with one page reaches another."""
        started = asyncio.get_running_loop().time()
        before, mark = self._store.get(page.url), self._store.due_mark(page.url)
        is_swept = self.is_following and page in self._followed
        is_twice = self._is_canary_due(page, started)
        self._let_patient()
        self._rendered_at[page] = started
        self.journeys += 1
        try:
            result = await self._renderer.render(page, is_twice=is_twice)
        except Exception as error:
            log.exception("a journey failed", extra={"url": page.url})
            result = self._renderer.fail(page, error)
        if page in self._pages:
            self._note_done(page, result, mark)
            self._take_label(result.record, page)
            if result.outcome.is_good:
                self._purge_if_overtaken(page, result.record, started)
            if result.outcome.is_good or not result.record.is_published:
                self._pages[page] = started
            if is_swept and self._is_unheard_of(page, before, result):
                self._suspects[page] = started
            is_new_hold = page == self.site.base and is_held(result.record) and result.record.held_count == 1
            if is_new_hold and self._is_repeating:
                self._look_at_others()
            if self._is_repeating:
                self._schedule_next(page, result, started)
        if result.record.unlisted_at and result.outcome.is_good:
            verdict = Verdict(UNLISTED, Outcome.KEPT, f"{_UNLISTED_REASON}; removed if the next list agrees")
            result = self._renderer.conclude(result.record, result.record.checked_at, verdict)
        self._report(result)

    def _note_done(self, page: Page, result: Result, mark: int) -> None:
        """What a journey leaves of why the page was due when it began."""
        if result.outcome.is_good or result.outcome is Outcome.GONE:
            self._store.clear_due(page.url, mark)
        elif result.verdict in (_PASSING - {PARSER_BUSY}) | {DATABASE_ERROR}:
            self._store.doubt_told(page.url, mark)

    def _look_at_others(self) -> None:
        """Ask for some other pages now: the home page lost most of its text, and may be the first to show a loss.

        Where the journal speaks, nobody else would look at them before the home page's own next answers agree.
        """
        # What is not in the tree tells nothing; what is in doubt must be seen twice, and not in the same moment.
        records = {page: self._store.get(page.url) for page in self._pages if page != self.site.base}
        others = [page for page, known in records.items() if known and known.is_published and not known.doubted_at]
        for page in random.sample(others, min(len(others), OTHERS_THAT_TELL)):
            self._followed.discard(page)
            self._queue.schedule(page)

    def _is_unheard_of(self, page: Page, before: Record | None, result: Result) -> bool:
        """True if a page was found changed, in more than its noise, and no row has named it while it was fetched."""
        return (
            result.outcome is Outcome.PUBLISHED
            and before is not None
            and before.is_published
            and before.output_digest != result.record.output_digest
            and not self._store.is_due(page.url)
        )

    def _schedule_next(self, page: Page, result: Result, started: float) -> None:
        """At its place in the interval; what may be another answer in a moment sooner than that."""
        self._queue.schedule(page, self._next_due(page, started))
        if result.verdict == OriginPaused.name:
            self._queue.schedule(page, self._after_pause(page))
            return
        is_failing = result.verdict in _PASSING
        (self._failing.add if is_failing else self._failing.discard)(page)
        if is_failing and "retry-after" not in result.record.headers:
            # If chance will have it; never together with all that failed beside it.
            longest = self.site.interval_for(page)
            # Where something is well, each that fails is its own matter.
            together = len(self._failing) if self._origin.guard.failures >= FAILURES_IN_A_ROW else 1
            wait = backoff_seconds(result.record.failures, longest, random.random(), together)  # noqa: S311  no secret
            if self._queue.behind_seconds() >= BEHIND_SECONDS:
                # While others wait that are due, each try of what fails would make those older.
                wait = max(wait, BEHIND_BACKOFF_SECONDS)
            self._queue.schedule(page, asyncio.get_running_loop().time() + wait)

    def _after_pause(self, page: Page) -> float:
        """When a page that was not asked for is asked for: first what somebody waits for, all others spread.

        Of those that somebody waits for, the ones that fail would be every probe.
        """
        now = asyncio.get_running_loop().time()
        pause = self._origin.guard.pause(now)
        is_first = self._store.is_due(page.url) and page not in self._failing
        spread = 1.0 if is_first else min(self.site.interval_for(page), self.site.interval_seconds)
        return (now if pause is None else pause.until) + random.random() * spread  # noqa: S311  no secret

    def _is_canary_due(self, page: Page, now: float) -> bool:
        """True once in a sweep's time, for each page at another moment: then it is fetched for two visitors."""
        if not self._is_repeating:
            return False
        due_at = self._canary_due.get(page)
        if due_at is None:
            due_at = self._timetable.next_due(page, self.site.sweep_seconds, now + CANARY_SECONDS, shortest=0.0)
            self._canary_due[page] = due_at
        if now < due_at:
            return False
        # A little less: its next turn in the interval may come a moment before a whole sweep is over.
        self._canary_due[page] = now + self.site.sweep_seconds * CANARY_SHARE
        return True

    def _take_label(self, record: Record, page: Page) -> None:
        """What the page was made of, and whether that is all one has to know to keep it right."""
        self._index.put(page, record.tags)
        is_right = record.outcome is not None and (record.outcome.is_good or record.outcome is Outcome.GONE)
        # What an error of the database left out of a page comes back without a row in the journal.
        is_whole = is_right and not record.database_errors
        if record.tags and is_whole and not self._store.is_due(page.url):
            self._followed.add(page)
        else:
            self._followed.discard(page)

    def _report(self, result: Result) -> None:
        self._counts[result.outcome] += 1
        self._on_result(result)
