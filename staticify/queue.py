"""The queue of one site: which page next, and never the same page twice at once."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable

from staticify.urls import Page

log = logging.getLogger(__name__)

FOREMOST = float("-inf")
"""Due before everything else: what somebody has just changed and looks at now."""
URGENT = -1e12
"""Due before everything that is due by time. What is due later than this is not urgent."""


class Queue:
    """Pages in the order in which they are due, at most `concurrency` of them in flight.

    Of those that are not urgent, at most `most_patient`: so that what is urgent finds room at once.

    A page stands in the queue once: scheduled again, the earlier time counts. A page that becomes due while it is
    in flight is rendered again afterwards, because its fetch began before whatever made it due.

    What `render` raises is logged and ends that journey only: whether the page is tried again is for the caller to
    decide, who knows what came of it.
    """

    def __init__(self, render: Callable[[Page], Awaitable[None]], concurrency: int) -> None:
        self._render = render
        self._slots = asyncio.Semaphore(concurrency)
        self._most_patient = concurrency
        self._patient: set[Page] = set()
        """What is in flight and was not urgent."""
        self._due: dict[Page, float] = {}
        self._again: dict[Page, float] = {}
        """When to render what is in flight once more."""
        self._heap: list[tuple[float, int, Page]] = []
        self._order = itertools.count()
        self._in_flight: dict[Page, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._is_closing = False
        self._is_complete = False

    def __len__(self) -> int:
        """Pages that wait."""
        return len(self._due)

    @property
    def in_flight(self) -> int:
        """Pages whose journey is under way."""
        return len(self._in_flight)

    def behind_seconds(self) -> float:
        """For how long the first page that waits has been due by time; 0 if none is. What is urgent says nothing."""
        now = asyncio.get_running_loop().time()
        return max(0.0, now - min((due for due in self._due.values() if due > URGENT), default=now))

    def schedule(self, page: Page, due: float = URGENT) -> None:
        """Render a page at a time of the event loop's clock, or now. An earlier time that stands already stays."""
        waiting = self._again if page in self._in_flight else self._due
        if due >= waiting.get(page, float("inf")):
            return
        waiting[page] = due
        if waiting is self._due:
            heapq.heappush(self._heap, (due, next(self._order), page))
            self._changed.set()

    def let_patient(self, most: int) -> None:
        """From now on so many that are not urgent may be in flight."""
        if most != self._most_patient:
            self._most_patient = most
            self._changed.set()

    def cancel(self, page: Page) -> None:
        """Take a page out of the queue. A journey that is under way goes on."""
        self._due.pop(page, None)
        self._again.pop(page, None)

    async def run(self) -> None:
        """Render what is due until `close`, or until all is done after `finish`.

        However it ends, its journeys end too.
        """
        try:
            while not self._is_closing:
                await self._slots.acquire()
                page = await self._next()
                if page is None:
                    self._slots.release()
                    break
                task = asyncio.create_task(self._journey(page), name=page.url)
                self._in_flight[page] = task
            await self._settle()
        except BaseException:
            for task in self._in_flight.values():
                task.cancel()
            await self._settle()
            raise

    def finish(self) -> None:
        """Nothing more will be scheduled: `run` returns when all that waits is done."""
        self._is_complete = True
        self._changed.set()

    def close(self) -> None:
        """Start nothing more. `run` returns when what is in flight has ended."""
        self._is_closing = True
        self._changed.set()

    async def _next(self) -> Page | None:
        """Wait for the first page that is due; None when closing, or when all is done."""
        loop = asyncio.get_running_loop()
        while not self._is_closing:
            self._changed.clear()
            wait_seconds = self._seconds_to_first(loop.time())
            if wait_seconds is not None and wait_seconds <= 0:
                due, _, page = self._heap[0]
                if due <= URGENT or len(self._patient) < self._most_patient:
                    heapq.heappop(self._heap)
                    del self._due[page]
                    if due > URGENT:
                        self._patient.add(page)
                    return page
                wait_seconds = None  # Until one of those in flight has ended, or something urgent comes.
            if self._is_complete and not self._due and not self._in_flight:
                return None
            # Not wait_for: before Python 3.12 it swallowed a cancellation that came together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait()
        return None

    def _seconds_to_first(self, now: float) -> float | None:
        """Seconds until the first page is due, None if no page waits. Drops entries that an earlier time replaced."""
        while self._heap:
            due, _, page = self._heap[0]
            if self._due.get(page) == due:
                return due - now
            heapq.heappop(self._heap)
        return None

    async def _journey(self, page: Page) -> None:
        try:
            await self._render(page)
        except Exception:
            log.exception("a journey failed", extra={"url": page.url})
        finally:
            del self._in_flight[page]
            self._patient.discard(page)
            if page in self._again:
                self.schedule(page, self._again.pop(page))
            self._slots.release()
            self._changed.set()

    async def _settle(self) -> None:
        # Once, not until none is left: a journey that was cancelled before its first step never takes itself out.
        await asyncio.gather(*self._in_flight.values(), return_exceptions=True)
