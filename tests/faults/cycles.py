"""Eight hours of cycles at speed, under a real daemon: memory and descriptors do not grow.

The interval is the shortest that there is, and the passes follow one another as fast as the machine can. In each some
pages have changed and some fail. Memory is what the kernel says is resident; its slope is that of the line of least
squares through the last half of the passes, when what grows only once (caches, arenas of the allocator) has grown.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from command import daemon
from scripted_origin import Exchange, answer, html
from stage import site_toml, until, write_config
from tally import Row, Tally

from faults._watched import Watched, quantile

COUNT = 480

PAGES = 500
CONCURRENCY = 8
CHANGED, FAILED = 0.02, 0.02
"""Shares of the pages, in each pass."""
PASS_SECONDS = 60.0
"""So long a pass may take at most, on a busy machine."""
MAX_KIB_PER_PASS = 4.0
"""2 MiB in eight hours of passes. One record of a page, or one task, kept by mistake in each pass would be about one
KiB; something kept of each page that changed or failed, ten times the bound and more."""
LONG = 100
"""So many passes give a slope that means something: in fewer, the allocator's arenas are still growing."""
MAX_MIB = 256.0
MEMORY = Path("/dev/shm")
"""Where the tree is, if there is such a place: eight hours of waiting for a disk would show nothing."""
MEMORY_IS_THERE = MEMORY.is_dir()


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process had at the end of a pass."""

    kib: int
    descriptors: int
    threads: int


@dataclass
class Cycled(Tally):
    """What was counted."""

    answers: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def last_half(self) -> list[Sample]:
        """What counts."""
        return self.samples[len(self.samples) // 2 :]

    @property
    def kib_per_pass(self) -> float:
        """The slope of memory."""
        return slope([sample.kib for sample in self.last_half])

    @property
    def more_descriptors(self) -> int:
        """How many more may be open: in a short run, by chance, every connection to the origin."""
        return 2 if len(self.samples) >= LONG else CONCURRENCY

    def least_descriptors(self) -> tuple[int, int]:
        """The least number that were open in each half: what is leaked is never closed, so that this grows."""
        first = self.samples[len(self.samples) // 10 : len(self.samples) // 2] or self.samples
        return (
            min(sample.descriptors for sample in first),
            min(sample.descriptors for sample in self.last_half),
        )

    def rows(self) -> Iterator[Row]:
        first, last = self.least_descriptors()
        yield from (
            ("passes", len(self.samples), f"of {PAGES} pages, {self.seconds / max(1, len(self.samples)):.2f} s each"),
            *((f"answers: {name}", count, "") for name, count in sorted(self.answers.items())),
            ("memory", self.samples[0].kib, "KiB after the first pass"),
            ("memory", self.last_half[0].kib, "KiB half-way"),
            ("memory", self.samples[-1].kib, "KiB at the end"),
            ("slope of memory", self.kib_per_pass, f"KiB per pass in the last half, at most {MAX_KIB_PER_PASS:g}"),
            ("least descriptors", first, "in the first half, less its first fifth"),
            ("least descriptors", last, f"in the last half, at most {self.more_descriptors} more"),
            ("most descriptors", max(sample.descriptors for sample in self.samples), ""),
            ("most threads", max(sample.threads for sample in self.samples), ""),
        )


def slope(values: list[int]) -> float:
    """Of the line of least squares through values that are one apart; 0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    covariance = sum((index - middle) * (value - mean) for index, value in enumerate(values))
    return covariance / sum((index - middle) ** 2 for index in range(len(values)))


def sample_of(process_id: int) -> Sample:
    """What a process has now."""
    directory = Path(f"/proc/{process_id}")
    status = dict(line.split(":", 1) for line in (directory / "status").read_text().splitlines())
    return Sample(int(status["VmRSS"].split()[0]), len(list((directory / "fd").iterdir())), int(status["Threads"]))


class Site:
    """Answers as a site that is edited and sometimes fails."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._versions: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()

    async def answer(self, exchange: Exchange) -> bool:
        """One of many answers."""
        chance = self._chance.random()
        kind = "changed" if chance < CHANGED else "failed" if chance > 1 - FAILED else "unchanged"
        if kind == "failed":
            kind = self._chance.choice(["500", "reset", "half"])
        self.answers[kind] += 1
        if kind == "changed":
            self._versions[exchange.path] += 1
        content = answer(self._page(exchange.path))
        if kind == "500":
            await exchange.send(answer("broken", 500))
        elif kind == "reset":
            exchange.writer.transport.abort()
            raise ConnectionAbortedError
        elif kind == "half":
            exchange.is_last = True
            await exchange.send(content[: len(content) // 2])
        else:
            await exchange.send(content)
        return kind in {"changed", "unchanged"}

    def _page(self, path: str) -> str:
        version = self._versions[path]
        return html("".join(f"<p>Line {line} of {path}, version {version}.</p>\n" for line in range(100)))


async def main(count: int, seed: int) -> Cycled:
    """So many passes, each of them the time in which the origin was asked for as many pages as there are."""
    tally, site = Cycled(), Site(seed)
    watched = Watched([f"/{number}/" for number in range(PAGES)])
    with tempfile.TemporaryDirectory(prefix="staticify-cycles-", dir=MEMORY if MEMORY_IS_THERE else None) as name:
        directory = Path(name)
        async with watched.origin(site.answer).running() as origin:
            write_config(
                directory, site_toml(origin.address, pages=watched.paths, interval="1s", concurrency=CONCURRENCY)
            )
            async with daemon(directory) as running:
                started = time.monotonic()
                for number in range(1, count + 1):
                    await until(lambda number=number: len(watched.fetches) >= number * PAGES, seconds=PASS_SECONDS)  # type: ignore[misc]
                    tally.samples.append(sample_of(running.process.pid))
                tally.seconds = time.monotonic() - started
                status = await running.stop()
                if status != 0 or "Traceback" in running.log():
                    tally.faults.append(f"the daemon ended with status {status}: {running.log()[-1000:]}")
    tally.answers = site.answers
    judge(tally, watched)
    return tally


def judge(tally: Cycled, watched: Watched) -> None:
    """Say what grows."""
    if len(tally.samples) >= LONG and tally.kib_per_pass > MAX_KIB_PER_PASS:
        tally.faults.append(f"memory grows by {tally.kib_per_pass:.2f} KiB per pass")
    if (most := max(sample.kib for sample in tally.samples) / 1024) > MAX_MIB:
        tally.faults.append(f"memory came to {most:.0f} MiB")
    first, last = tally.least_descriptors()
    if last > first + tally.more_descriptors:
        tally.faults.append(f"at least {first} descriptors were open in the first half, and {last} in the last")
    counts = Counter(one.path for one in watched.fetches)
    least, middle = min(counts[path] for path in watched.paths), quantile(counts.values(), 0.5)
    if least < middle - max(2, middle // 10):
        tally.faults.append(f"a page was fetched {least} times, and most of them {middle:g} times")


def run(count: int, seed: int) -> Cycled:
    """So many passes."""
    return asyncio.run(main(count, seed))
