"""Jobs that come round: APScheduler, with the monotonic clock beside it.

APScheduler counts by the wall clock: set back by an hour, it would stop every job for an hour. A guard looks at the
monotonic clock twice a second and starts what is overdue by that.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Awaitable, Callable

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

log = logging.getLogger(__name__)

GUARD_SECONDS = 0.5
OVERDUE_FACTOR = 1.001
"""A clock that is put right slowly runs slower by one in two thousand at most (adjtime, NTP)."""


class Schedule:
    """Runs coroutine functions every so many seconds, none of them twice at once. Needs a running event loop."""

    def __init__(self) -> None:
        # A round that takes longer than its interval is nothing to warn of each time: the daemon's own alarm tells what
        # comes late by it. The library's errors are still heard.
        library_log = logging.getLogger(f"{__name__}.apscheduler")
        library_log.setLevel(logging.ERROR)
        self._scheduler = AsyncIOScheduler(timezone=datetime.UTC, logger=library_log)
        self._jobs: dict[str, _Job] = {}
        self._rounds: set[asyncio.Task[None]] = set()
        """Under way, also of jobs that were dropped meanwhile."""
        self._guard: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Jobs may be added before and after."""
        self._scheduler.start()
        self._guard = asyncio.create_task(self._watch_clock(), name="schedule guard")

    def every(self, seconds: float, name: str, function: Callable[[], Awaitable[None]]) -> None:
        """Run a function now and then every so many seconds. A name that exists already is replaced."""
        job = _Job(name, seconds, function, self._rounds)
        self._jobs[name] = job
        self._scheduler.add_job(
            job.run,
            _Interval(seconds=seconds, timezone=datetime.UTC),
            id=name,
            replace_existing=True,
            next_run_time=_now(),
            max_instances=1,
            # Rounds that were missed (a stopped process, a clock set forward) are one round, however late.
            coalesce=True,
            misfire_grace_time=None,
        )

    def drop(self, name: str) -> None:
        """Run a job no more. A round that is under way goes on."""
        del self._jobs[name]
        self._scheduler.remove_job(name)

    async def stop(self) -> None:
        """Start nothing more; rounds under way are cancelled, and have ended when this returns."""
        if self._guard is None:
            return  # Never started; APScheduler's own shutdown would raise, and hide why.
        self._guard.cancel()
        await asyncio.gather(self._guard, return_exceptions=True)
        rounds = list(self._rounds)
        # Cancels what it started, and waits for nothing.
        self._scheduler.shutdown(wait=False)
        await asyncio.gather(*rounds, return_exceptions=True)

    async def _watch_clock(self) -> None:
        while True:
            await asyncio.sleep(GUARD_SECONDS)
            for job in self._jobs.values():
                if job.is_overdue(time.monotonic()):
                    log.warning("clock set back: a job is started by the monotonic clock", extra={"job": job.name})
                    self._scheduler.modify_job(job.name, next_run_time=_now())


class _Interval(IntervalTrigger):  # type: ignore[misc]  # the library has no types
    """An interval whose missed rounds are not gone through one by one.

    The library's own does, to throw them away after it: a clock set forward by a year would have stopped everything
    for half a minute, and taken 2 GB, for each job of a second: 31 million rounds.
    """

    def get_next_fire_time(
        self, previous_fire_time: datetime.datetime | None, now: datetime.datetime
    ) -> datetime.datetime | None:
        if previous_fire_time is not None and now > previous_fire_time:
            previous_fire_time += (now - previous_fire_time) // self.interval * self.interval
        following: datetime.datetime | None = super().get_next_fire_time(previous_fire_time, now)
        return following


class _Job:
    def __init__(
        self, name: str, seconds: float, function: Callable[[], Awaitable[None]], rounds: set[asyncio.Task[None]]
    ) -> None:
        self.name = name
        self._seconds = seconds
        self._function = function
        self._rounds = rounds
        self._is_running = False
        self._started = time.monotonic()

    async def run(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in one
        self._rounds.add(task)
        self._started = time.monotonic()
        self._is_running = True
        try:
            await self._function()
        except asyncio.CancelledError:
            # The task ends here; APScheduler would swallow the cancellation too, and report it as a failure.
            log.debug("a scheduled job was cancelled", extra={"job": self.name})
        except Exception:
            # A round that fails is one round; the next one may find things mended.
            log.exception("a scheduled job failed", extra={"job": self.name})
        finally:
            self._is_running = False
            self._rounds.discard(task)

    def is_overdue(self, now: float) -> bool:
        return not self._is_running and now - self._started > self._seconds * OVERDUE_FACTOR + GUARD_SECONDS


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
