"""An origin that fails three times in ten, then is dead for an hour, then comes back: fresh, left alone, no stampede.

Time is scaled: an interval of 1 s stands for one of 60 s, and so for the deadline, the probe's pause and the hour. A
busy machine does not shrink with them: beside the scaled bound on the age of a page, 65 s, stands one with room for it.
Everything is measured where the origin stands, by the monotonic clock.

It fails in two ways. At first it says so: an error, a connection that is reset, half an answer. Then some requests hang
instead, until the deadline; an origin that fails so often is asked for one page at a time, and the others wait for as
long: their bound is an interval and a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

from scripted_origin import Exchange, answer, html
from stage import URL, config_of, site_toml, until
from tally import Row, Tally

from faults._watched import Stalls, Watched, most_within, quantile
from staticify.daemon import Daemon
from staticify.timetable import SHORTEST

COUNT = 60

PAGES = 20
CONCURRENCY = 4
SCALE = 60.0
INTERVAL_SECONDS = 60 / SCALE
DEADLINE_SECONDS = 20 / SCALE
SCALED_SECONDS = 65 / SCALE
LATE_SECONDS = 0.5
AGE_SECONDS = SCALED_SECONDS + LATE_SECONDS
HANGING_AGE_SECONDS = AGE_SECONDS + DEADLINE_SECONDS
AGE_SHARE = 0.999
RENDER_SECONDS, COLD_SECONDS = 0.01, 0.025
"""How long a page takes, and how long after it was dead."""
MOODS = {
    "failing": {"500": 0.12, "reset": 0.09, "half": 0.09},
    "hanging": {"500": 0.11, "reset": 0.09, "half": 0.09, "hang": 0.01},
}
"""Three in ten. Few hang: each takes a slot for as long as thirty good pages."""
DEATHS = ("reset", "500", "hang")
"""Of what it is dead, one after the other."""
LEAST_DEAD = 2
LIST = "/map.xml"
NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
SCALED = ("PROBE_SECONDS", "BACKOFF_SECONDS")


@dataclass
class Died(Tally):
    """What was counted."""

    answers: Counter[str] = field(default_factory=Counter)
    ages: list[float] = field(default_factory=list)
    hanging_ages: list[float] = field(default_factory=list)
    most_failing: int = 0
    probe_seconds: float = 0.0
    opening: int = 0
    probes: int = 0
    dead_seconds: float = 0.0
    shortest_pause: float = 0.0
    noticed_seconds: float = 0.0
    whole_seconds: float = 0.0
    most_back: int = 0
    most_beside: int = 0
    ramp: list[int] = field(default_factory=list)
    longest_stall: float = 0.0

    def rows(self) -> Iterator[Row]:
        late = sum(age > SCALED_SECONDS for age in self.ages)
        yield from (
            *((f"answers: {name}", count, "") for name, count in sorted(self.answers.items())),
            ("ages of pages", len(self.ages), "whose last fetch had succeeded, while three in ten fail"),
            ("age at p50", quantile(self.ages, 0.5), f"s, the interval is {INTERVAL_SECONDS:g} s"),
            ("age at p99.9", quantile(self.ages, AGE_SHARE), f"s, at most {AGE_SECONDS:.3f}"),
            ("longest age", max(self.ages, default=0.0), "s"),
            ("over 65 s, scaled", late, f"which are {SCALED_SECONDS:.3f} s"),
            ("ages of pages", len(self.hanging_ages), "while three in a hundred of the failures hang"),
            ("age at p99.9", quantile(self.hanging_ages, AGE_SHARE), f"s, at most {HANGING_AGE_SECONDS:.3f}"),
            ("most requests begun", self.most_failing, f"in an interval then, at most {BUDGET_FAILING}"),
            ("requests until left alone", self.opening, "after it was dead"),
            ("probes", self.probes, f"in {self.dead_seconds:.1f} s, one in {self.probe_seconds:g} s at most"),
            ("shortest pause", self.shortest_pause, "s between two of them"),
            ("noticed", self.noticed_seconds, "s after it was back: the first good answer"),
            ("whole again", self.whole_seconds, "s after that: every page fetched anew"),
            ("most requests begun", self.most_back, f"in {SHORTEST:g} of an interval then, at most {BUDGET_BACK}"),
            ("most under way", self.most_beside, f"at most {CONCURRENCY}; the first: {self.ramp[:12]}"),
            ("this process late", self.longest_stall, "s at most"),
        )


BUDGET_FAILING = 3 * PAGES + CONCURRENCY
"""Every page, and each of them twice more if it fails."""
BUDGET_BACK = PAGES + CONCURRENCY


class Site:
    """Answers as its mood is."""

    def __init__(self, paths: list[str], seed: int) -> None:
        self.mood = "well"
        self.is_cold = False
        self.answers: Counter[str] = Counter()
        self._chance = random.Random(seed)
        urls = "".join(f"<url><loc>{URL}{path[1:]}</loc></url>" for path in paths)
        self._sitemap = answer(f'<urlset xmlns="{NAMESPACE}">{urls}</urlset>', content_type="application/xml")

    async def answer(self, exchange: Exchange) -> bool:
        """A page, or the list of them."""
        kind = self._kind()
        self.answers[kind] += 1
        content = self._sitemap if exchange.path == LIST else answer(html(f"This is {exchange.path}. " * 50))
        if kind == "hang":
            # No answer, on a connection that stays; counted as under way until just before the client leaves.
            await asyncio.sleep(0.9 * DEADLINE_SECONDS)
            return False
        if kind == "reset":
            exchange.writer.transport.abort()
            raise ConnectionAbortedError
        await asyncio.sleep(COLD_SECONDS if self.is_cold else RENDER_SECONDS)
        if kind == "500":
            await exchange.send(answer("broken", 500))
        elif kind == "half":
            exchange.is_last = True
            await exchange.send(content[: len(content) // 2])
        else:
            await exchange.send(content)
        return kind == "good"

    def _kind(self) -> str:
        if self.mood not in MOODS:
            return "good" if self.mood == "well" else self.mood
        shares = MOODS[self.mood]
        (kind,) = self._chance.choices(["good", *shares], [1 - sum(shares.values()), *shares.values()])
        return kind


@contextlib.contextmanager
def scaled() -> Iterator[Any]:
    """The module that guards an origin, with its times scaled."""
    guard = importlib.import_module("staticify.guard")
    with contextlib.ExitStack() as stack:
        for name in SCALED:
            stack.enter_context(mock.patch.object(guard, name, getattr(guard, name) / SCALE))
        yield guard


@contextlib.asynccontextmanager
async def daemon_of(directory: Path, origin: str, paths: list[str]) -> AsyncIterator[None]:
    """A whole daemon, in this process: the times of its guard are scaled here."""
    keys: dict[str, Any] = {
        "interval": f"{INTERVAL_SECONDS:g}s",
        "deadline": f"{DEADLINE_SECONDS * 1000:.0f}ms",
        "concurrency": CONCURRENCY,
    }
    one = Daemon(config_of(directory, site_toml(origin, pages=paths, sitemaps=[LIST], **keys)))
    life = asyncio.create_task(one.run())
    try:
        yield
        assert not life.done(), "the daemon ended by itself"
    finally:
        one._stop()
        await asyncio.wait_for(life, 15)


@dataclass
class Life:
    """When the origin was how."""

    failing: float
    hanging: float
    well: float
    dead: float
    back: float
    end: float


async def live(site: Site, watched: Watched, count: int) -> Life:
    """Three in ten fail for so many intervals, and hang for a third of that; it is well, dead as long, and back."""
    await until(lambda: len(watched.fetches) >= PAGES)
    failing, site.mood = time.monotonic(), "failing"
    await asyncio.sleep(count * INTERVAL_SECONDS)
    hanging, site.mood = time.monotonic(), "hanging"
    await asyncio.sleep(count / 3 * INTERVAL_SECONDS)
    well, site.mood = time.monotonic(), "well"
    await asyncio.sleep(INTERVAL_SECONDS)
    dead = time.monotonic()
    for site.mood in DEATHS:
        await asyncio.sleep(max(count, LEAST_DEAD) * INTERVAL_SECONDS / len(DEATHS))
    back, site.mood, site.is_cold = time.monotonic(), "well", True
    await until(lambda: {one.path for one in watched.fetches if one.is_good and one.began > back} >= {*watched.paths})
    await asyncio.sleep(INTERVAL_SECONDS if count > LEAST_DEAD else 0)
    return Life(failing, hanging, well, dead, back, time.monotonic())


def judge(tally: Died, watched: Watched, listed: Watched, life: Life, guard: Any) -> None:
    """Compare what the origin saw with what it may see."""
    tally.ages = watched.ages(since=life.failing, until=life.hanging)
    tally.hanging_ages = watched.ages(since=life.hanging, until=life.well)
    tally.most_failing = most_within(watched.begun(since=life.failing, until=life.well), INTERVAL_SECONDS)
    _judge_dead(tally, watched, listed, life, guard)
    _judge_back(tally, watched, life)
    for name, found, bound in (
        ("age at p99.9", quantile(tally.ages, AGE_SHARE), AGE_SECONDS),
        ("age at p99.9 while some hang", quantile(tally.hanging_ages, AGE_SHARE), HANGING_AGE_SECONDS),
        ("requests in an interval while three in ten fail", tally.most_failing, BUDGET_FAILING),
        ("requests in a part of an interval when it is back", tally.most_back, BUDGET_BACK),
        ("requests under way", watched.most_under_way, CONCURRENCY),
        ("seconds until it was noticed that it is back", tally.noticed_seconds, tally.probe_seconds + INTERVAL_SECONDS),
        ("seconds until every page was fetched anew", tally.whole_seconds, AGE_SECONDS),
    ):
        if found > bound:
            tally.faults.append(f"{name}: {found:.6g} is over {bound:g}")


def _judge_dead(tally: Died, watched: Watched, listed: Watched, life: Life, guard: Any) -> None:
    tally.probe_seconds, tally.dead_seconds = guard.PROBE_SECONDS, life.back - life.dead
    asked = sorted(watched.begun(since=life.dead, until=life.back) + listed.begun(since=life.dead, until=life.back))
    pauses = [later - before for before, later in pairwise(asked)]
    # Those under way when it died; and a request that is reset on a connection that had been kept is sent once more.
    most_opening = guard.FAILURES_IN_A_ROW + 2 * (CONCURRENCY + 1)
    is_short = [pause < 0.9 * tally.probe_seconds for pause in pauses]
    tally.opening = len(is_short) - is_short[::-1].index(True) + 1 if any(is_short) else 1
    tally.probes = len(asked) - tally.opening
    tally.shortest_pause = min(pauses[tally.opening - 1 :], default=0.0)
    if tally.opening > most_opening:
        tally.faults.append(f"{tally.opening} requests reached a dead origin before it was left alone")
    if tally.probes > tally.dead_seconds / tally.probe_seconds + 1:
        tally.faults.append(f"{tally.probes} probes in {tally.dead_seconds:.1f} s")
    if not tally.ages:
        tally.faults.append("no page was fetched twice while three in ten failed")
    if tally.probes < 1:
        tally.faults.append("a dead origin was not probed")


def _judge_back(tally: Died, watched: Watched, life: Life) -> None:
    back = sorted((one for one in watched.fetches if one.began >= life.back), key=lambda one: one.began)
    good = sorted(one.ended for one in back if one.is_good)
    tally.noticed_seconds = good[0] - life.back
    first = {one.path: one.ended for one in reversed(back) if one.is_good}
    tally.whole_seconds = max(first.values()) - good[0]
    tally.most_back = most_within([one.began for one in back], SHORTEST * INTERVAL_SECONDS)
    tally.most_beside = watched.most_under_way
    tally.ramp = [one.beside for one in back]
    for one in back:
        answered = sum(ended <= one.began for ended in good)
        if one.beside > 1 + answered:
            tally.faults.append(f"{one.beside} under way after {answered} good answers of an origin that was dead")


async def main(count: int, seed: int) -> Died:
    """So many intervals of failures, and as many of death."""
    tally = Died()
    watched, listed = Watched([f"/{number}/" for number in range(PAGES)]), Watched([LIST])
    site = Site(watched.paths, seed)
    origin = watched.origin(site.answer)
    origin.pages |= listed.origin(site.answer).pages
    with tempfile.TemporaryDirectory(prefix="staticify-dying-") as name, scaled() as guard:
        async with origin.running(), Stalls() as stalls, daemon_of(Path(name), origin.address, watched.paths):
            life = await live(site, watched, count)
        tally.answers, tally.longest_stall = site.answers, stalls.longest
        judge(tally, watched, listed, life, guard)
    return tally


def run(count: int, seed: int) -> Died:
    """So many intervals of failures, and as many of death."""
    # What the daemon has to say of it would fill the screen.
    log = logging.getLogger("staticify")
    silent = logging.NullHandler()
    log.addHandler(silent)
    try:
        return asyncio.run(main(count, seed))
    finally:
        log.removeHandler(silent)
