"""The clock on the wall jumps under a daemon that runs, and the daemon is stopped and continued: no gap, no burst.

The interval is the shortest that a configuration may have, 1 s in place of 60 s. What a fetch of a page may come later
than its interval does not shrink with it, as it is a render and a busy machine: the 2 s of an interval of 60 s are 1 s
here. Gaps are measured by the monotonic clock, where the origin stands.

The budget: a page comes round after SHORTEST of its interval at the soonest, so that in so much time no more requests
can begin than there are pages; and when all have moved to their places, which takes some intervals after all were
fetched at once, no more than that in a whole interval. On top of either come the journeys that were under way: a page
that was waiting for a slot when the process was stopped is fetched when it goes on, and is due again at once, as its
journey is that old.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from command import Running, daemon
from scripted_origin import Exchange, answer, html
from stage import URL, site_toml, until, write_config
from tally import Row, Tally

from faults._watched import Stalls, Watched, most_within, quantile
from staticify.keeper import JOURNEYS_PER_FETCH
from staticify.schedule import GUARD_SECONDS
from staticify.store import Store
from staticify.timetable import SHORTEST

COUNT = 1000

PAGES = 40
CONCURRENCY = 8
JOURNEYS = CONCURRENCY * JOURNEYS_PER_FETCH
INTERVAL_SECONDS = 1.0
LATE_SECONDS = 1.0
GAP_SECONDS = INTERVAL_SECONDS + LATE_SECONDS
SETTLING_SECONDS = 6 * INTERVAL_SECONDS
DEADLINE_SECONDS = 1.0
"""Shorter than a stop: what was under way when the process was stopped is too late when it goes on."""
RENDER_SECONDS = 0.01
LIST = "/map.xml"
NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
LIST_SECONDS = INTERVAL_SECONDS + 2 * GUARD_SECONDS + LATE_SECONDS
"""What comes round by the clock on the wall waits for the guard where that was set back."""
JUMPS_PER_STOP = 200
STOP_SECONDS = 10 * INTERVAL_SECONDS
SHORT_STOP_SECONDS = 2.0 * INTERVAL_SECONDS
YEAR = 365 * 86400.0
FARTHEST = 3 * YEAR
SIZES = {
    "seconds": 7.0,
    "minutes": 600.0,
    "an hour": 3600.0,
    "a day": 86400.0,
    "weeks": 20 * 86400.0,
    "a year": YEAR,
}
ZONE = "Europe/London"
BEGINS, ENDS = (datetime.datetime(2027, month, day, 1, tzinfo=datetime.UTC) for month, day in ((3, 28), (10, 31)))
"""Summer time, there."""


@dataclass
class Jumped(Tally):
    """What was counted."""

    jumps: Counter[str] = field(default_factory=Counter)
    gaps: list[float] = field(default_factory=list)
    list_gaps: list[float] = field(default_factory=list)
    most_soon: int = 0
    most_settled: int = 0
    most_under_way: int = 0
    guarded: int = 0
    stops: list[str] = field(default_factory=list)
    longest_stall: float = 0.0

    def rows(self) -> Iterator[Row]:
        budget = PAGES + JOURNEYS
        yield from (
            ("jumps", sum(self.jumps.values()), ", ".join(f"{name} {n}" for name, n in sorted(self.jumps.items()))),
            ("fetches", len(self.gaps), f"of {PAGES} pages, interval {INTERVAL_SECONDS:g} s"),
            ("longest gap of a page", max(self.gaps, default=0.0), f"s, at most {GAP_SECONDS:g}"),
            ("at p99.9", quantile(self.gaps, 0.999), "s"),
            ("longest gap of the sitemap", max(self.list_gaps, default=0.0), f"s, at most {LIST_SECONDS:g}"),
            ("most requests begun", self.most_settled, f"in an interval, at most {budget}"),
            ("most requests begun", self.most_soon, f"in {SHORTEST:g} of one, after stops too, at most {budget}"),
            ("most under way", self.most_under_way, f"at most {CONCURRENCY}"),
            ("jobs held back", self.guarded, "by the clock on the wall, and begun by the guard"),
            ("stops", len(self.stops), "; ".join(self.stops)),
            ("this process late", self.longest_stall, "s at most"),
        )


class Wall:
    """The clock on the wall as another process sees it. The monotonic clock and files' times are left alone."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "wall"
        self.ahead_seconds = 0.0
        self.set(0.0)

    def set(self, ahead_seconds: float) -> None:
        """Put it so many seconds ahead of the true time, at once."""
        self.ahead_seconds = ahead_seconds
        new = self._path.with_suffix(".new")
        new.write_text(f"{ahead_seconds:+.3f}\n")
        new.replace(self._path)

    def environment(self) -> dict[str, str]:
        """For the process that is to see it."""
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        assert libraries, "libfaketime is not installed: apt-get install libfaketime"
        return {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # A remedy for an old glibc by which waiting for Python's own lock becomes running round in a circle.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",
            "TZ": ZONE,
        }

    @staticmethod
    def clear(process_id: int) -> None:
        """Take away what the library leaves of a process that was killed."""
        for pattern in (f"faketime_shm_{process_id}", f"sem.faketime_sem_{process_id}"):
            Path("/dev/shm", pattern).unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def daemon_under(wall: Wall, directory: Path) -> AsyncIterator[Running]:
    """A daemon that sees that clock."""
    process_id = 0
    try:
        async with daemon(directory, **wall.environment()) as running:
            process_id = running.process.pid
            yield running
    finally:
        wall.clear(process_id)


KINDS = [*((name, sign) for name in SIZES for sign in (-1, 1)), ("summer begins", 0), ("summer ends", 0)]


def jump(wall: Wall, name: str, sign: int, chance: random.Random) -> float:
    """Let the clock jump. Returns how many seconds must pass before the next jump for this one to be one."""
    if sign:
        seconds = SIZES[name] * chance.uniform(0.9, 1.1) * sign
        is_near = abs(wall.ahead_seconds + seconds) < FARTHEST
        wall.set(wall.ahead_seconds + seconds if is_near else 0.0)
        return 0.0
    moment = BEGINS if name == "summer begins" else ENDS
    wall.set(moment.timestamp() - time.time() - 0.3)
    return 0.5


def pause(number: int, chance: random.Random) -> float:
    """How long until the next jump: most come in quick succession, some leave time to see what came of it."""
    if number % 25 == 24:
        return LIST_SECONDS
    return chance.uniform(0.2, 0.6) if chance.random() < 0.4 else chance.uniform(0.02, 0.2)


@dataclass
class Run:
    """A daemon under a clock that jumps, before an origin that watches."""

    running: Running
    directory: Path
    wall: Wall
    watched: Watched
    listed: Watched
    pages: asyncio.Event
    """Set while the origin answers."""
    tally: Jumped
    since: float
    """When all pages were fetched at once: at the start, and after each stop."""
    steady: list[tuple[float, float]] = field(default_factory=list)
    """The times between stops."""

    async def jumps(self, count: int, chance: random.Random) -> None:
        """Jumps of every kind, in a random order, each as often as any other."""
        deck: list[tuple[str, int]] = []
        for number in range(count):
            deck = deck or chance.sample(KINDS, len(KINDS))
            name, sign = deck.pop()
            least_seconds = jump(self.wall, name, sign, chance)
            self.tally.jumps[f"{name} {'ahead' if sign > 0 else 'back'}" if sign else name] += 1
            await asyncio.sleep(max(least_seconds, pause(number, chance)))

    async def stop_and_continue(self, seconds: float) -> None:
        """Stop the process in the midst of as many fetches as may be, let it go on, and look how it catches up."""
        self.pages.clear()
        await asyncio.sleep(DEADLINE_SECONDS / 2)
        self.running.process.send_signal(signal.SIGSTOP)
        stopped, under_way = time.monotonic(), self.watched.under_way
        self.pages.set()
        await asyncio.sleep(seconds)
        is_stopped = not self.watched.begun(since=stopped + LATE_SECONDS)
        continued = time.monotonic()
        self.running.process.send_signal(signal.SIGCONT)
        # Every page is overdue, and is fetched; within SHORTEST of an interval none is due again.
        await asyncio.sleep(SHORTEST * INTERVAL_SECONDS)
        caught_up = [one for one in self.watched.fetches if one.began >= continued]
        counts = Counter(one.path for one in caught_up)
        took_seconds = max((one.ended for one in caught_up), default=continued) - continued
        self.tally.stops.append(f"{seconds:g} s amid {under_way} fetches, caught up in {took_seconds:.2f} s")
        self.steady.append((self.since, stopped))
        self.since = continued
        twice = [path for path, count in counts.items() if count == 2]
        wrong = {
            "it was not stopped": not is_stopped,
            f"pages not fetched in {SHORTEST:g} of an interval": [*({*self.watched.paths} - counts.keys())],
            "pages fetched more than twice in the catch-up": [path for path, count in counts.items() if count > 2],
            "pages fetched twice that were not under way": twice[CONCURRENCY:],
        }
        self.tally.faults += [f"a stop of {seconds:g} s: {what}: {found}" for what, found in wrong.items() if found]

    async def see(self) -> None:
        """Wait until the daemon writes down times of a clock that is a year ahead: it must have seen the jumps."""
        self.wall.set(YEAR)

        def ahead_seconds() -> float:
            with contextlib.closing(Store.open_for_reading(self.directory / "state")) as store:
                return max(record.checked_at for record in store.of_site(URL)) - time.time()

        await until(lambda: abs(ahead_seconds() - YEAR) < 60)
        self.tally.guarded = len(self.running.lines("clock set back"))

    def judge(self) -> None:
        """Compare what the origin saw with what it may see."""
        tally, watched = self.tally, self.watched
        for since, end in self.steady:
            tally.gaps += watched.gaps(since=since, until=end)
            tally.list_gaps += self.listed.gaps(since=since, until=end)
            settled = watched.begun(since=since + SETTLING_SECONDS, until=end)
            tally.most_settled = max(tally.most_settled, most_within(settled, INTERVAL_SECONDS))
        tally.most_soon = most_within(watched.begun(), SHORTEST * INTERVAL_SECONDS)
        tally.most_under_way = watched.most_under_way
        for name, found, bound in (
            ("longest gap of a page", max(tally.gaps, default=0.0), GAP_SECONDS),
            ("longest gap of the sitemap", max(tally.list_gaps, default=0.0), LIST_SECONDS),
            ("requests in an interval", tally.most_settled, PAGES + JOURNEYS),
            ("requests in a part of an interval", tally.most_soon, PAGES + JOURNEYS),
            ("requests under way", tally.most_under_way, CONCURRENCY),
        ):
            if found > bound:
                tally.faults.append(f"{name}: {found:.6g} is over {bound:g}")


async def main(count: int, seed: int) -> Jumped:
    """So many jumps, with a stop after each JUMPS_PER_STOP of them; a short run has a short one at its end."""
    chance = random.Random(seed)
    watched, listed, tally = Watched([f"/{number}/" for number in range(PAGES)]), Watched([LIST]), Jumped()
    urls = "".join(f"<url><loc>{URL}{path[1:]}</loc></url>" for path in watched.paths)
    sitemap = answer(f'<urlset xmlns="{NAMESPACE}">{urls}</urlset>', content_type="application/xml")
    pages = asyncio.Event()
    pages.set()

    async def page(exchange: Exchange) -> bool:
        await pages.wait()
        await asyncio.sleep(RENDER_SECONDS)
        # Another one each time, so that all of the journey is gone through.
        await exchange.send(answer(html(f"{exchange.path} at {time.monotonic_ns()}")))
        return True

    async def listing(exchange: Exchange) -> bool:
        await exchange.send(sitemap)
        return True

    origin = watched.origin(page)
    origin.pages |= listed.origin(listing).pages
    with tempfile.TemporaryDirectory(prefix="staticify-clocks-") as name:
        directory = Path(name)
        wall = Wall(directory)
        async with origin.running(), Stalls() as stalls:
            keys: dict[str, Any] = {
                "sitemaps": [LIST],
                "interval": f"{INTERVAL_SECONDS:g}s",
                "concurrency": CONCURRENCY,
                "deadline": f"{DEADLINE_SECONDS * 1000:.0f}ms",
            }
            write_config(directory, site_toml(origin.address, pages=watched.paths, **keys))
            async with daemon_under(wall, directory) as running:
                await until(lambda: len(watched.fetches) >= PAGES)
                run = Run(running, directory, wall, watched, listed, pages, tally, since=watched.fetches[0].began)
                left = count
                while left:
                    jumps = min(left, JUMPS_PER_STOP)
                    await run.jumps(jumps, chance)
                    left -= jumps
                    await run.stop_and_continue(STOP_SECONDS if jumps == JUMPS_PER_STOP else SHORT_STOP_SECONDS)
                await run.see()
                run.steady.append((run.since, time.monotonic()))
                status = await running.stop()
                if status != 0:
                    tally.faults.append(f"the daemon ended with status {status}: {running.log()[-1000:]}")
            tally.longest_stall = stalls.longest
        run.judge()
    return tally


def run(count: int, seed: int) -> Jumped:
    """Let the clock jump so many times."""
    return asyncio.run(main(count, seed))
