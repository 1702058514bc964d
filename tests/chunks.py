"""A long run in chunks: each has a seed of its own, so that it comes out the same however many processes share it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
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


def in_processes(work: Callable[[Chunk], T], parts: list[Chunk]) -> Iterator[T]:
    """What `work` makes of each part, in their order."""
    if len(parts) == 1:
        yield work(parts[0])
        return
    # Not forked: a test's process may have threads.
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, parts)
