"""A long run in chunks: each has a seed of its own, so that it comes out the same however many processes share it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from random import Random
from typing import TypeVar

T = TypeVar("T")
PROCESSES = 2


@dataclass(frozen=True)
class Chunk:
    """One part of a run."""

    count: int
    seed: str
    """With it `Random(seed)` makes the same things again."""

    @property
    def chance(self) -> Random:
        """What everything in this chunk is drawn from."""
        return Random(self.seed)


def chunks(count: int, seed: int, size: int) -> list[Chunk]:
    """The parts of a run of so many."""
    return [Chunk(min(size, count - start), f"{seed}.{start // size}") for start in range(0, count, size)]


def in_processes(
    work: Callable[[Chunk], T], parts: list[Chunk], lost: Callable[[Chunk], T] | None = None
) -> Iterator[T]:
    """What `work` makes of each part, in their order; and `lost` of one that ends its process."""
    if len(parts) == 1 and lost is None:
        yield work(parts[0])
        return
    with _pool(PROCESSES) as pool:
        futures = [pool.submit(work, part) for part in parts]
        for part, future in zip(parts, futures, strict=True):
            try:
                yield future.result()
            except BrokenProcessPool:
                # All that was under way is lost with it: which part it was shows when each has a process to itself.
                yield _alone(work, part, lost)


def _alone(work: Callable[[Chunk], T], part: Chunk, lost: Callable[[Chunk], T] | None) -> T:
    with _pool(1) as pool:
        try:
            return pool.submit(work, part).result()
        except BrokenProcessPool:
            if lost is None:
                raise
            return lost(part)


def _pool(processes: int) -> ProcessPoolExecutor:
    # Not forked: a test's process may have threads.
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))
