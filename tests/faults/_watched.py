"""A scripted origin that writes down when it was asked for what, by the monotonic clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from scripted_origin import Exchange, ScriptedOrigin

Answering = Callable[[Exchange], Awaitable[bool]]
"""Answers a request; false if what it answered was a failure."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request, as the origin saw it."""

    path: str
    began: float
    ended: float
    is_good: bool
    beside: int
    """How many were under way when it began, itself among them."""


@dataclass
class Watched:
    """What an origin saw."""

    paths: list[str]
    fetches: list[Fetch] = field(default_factory=list)
    """In the order in which they ended."""
    under_way: int = 0
    most_under_way: int = 0

    def origin(self, answering: Answering) -> ScriptedOrigin:
        """An origin whose pages are answered by a function, and watched."""

        async def watch(exchange: Exchange) -> None:
            began = time.monotonic()
            self.under_way += 1
            beside = self.under_way
            self.most_under_way = max(self.most_under_way, beside)
            is_good = False
            exchange.is_last = False
            try:
                is_good = await answering(exchange)
            finally:
                self.under_way -= 1
                self.fetches.append(Fetch(exchange.path, began, time.monotonic(), is_good, beside))
                # Long runs have no room for what nobody reads.
                origin.requests.clear()

        origin = ScriptedOrigin(pages=dict.fromkeys(self.paths, watch))
        return origin

    def begun(self, path: str | None = None, *, since: float = 0.0, until: float = float("inf")) -> list[float]:
        """When requests began, in order: for one path, or for all."""
        return sorted(one.began for one in self.fetches if path in {None, one.path} and since <= one.began < until)

    def gaps(self, *, since: float = 0.0, until: float = float("inf")) -> list[float]:
        """Seconds from each fetch of a page to the next."""
        times: dict[str, list[float]] = {path: [] for path in self.paths}
        for one in sorted(self.fetches, key=lambda one: one.began):
            if since <= one.began < until:
                times[one.path].append(one.began)
        return [later - before for began in times.values() for before, later in pairwise(began)]

    def ages(self, *, since: float = 0.0, until: float = float("inf")) -> list[float]:
        """How old each page became whose last fetch had succeeded, from the beginning of that one.

        Until the next has ended; one that fails counts from its beginning, as the last fetch of its page failed.
        """
        fetches: dict[str, list[Fetch]] = {path: [] for path in self.paths}
        for one in sorted(self.fetches, key=lambda one: one.began):
            if since <= one.began < until:
                fetches[one.path].append(one)
        return [
            (later.ended if later.is_good else later.began) - before.began
            for of_page in fetches.values()
            for before, later in pairwise(of_page)
            if before.is_good
        ]


def most_within(times: Sequence[float], seconds: float) -> int:
    """The largest number of times that any window of so many seconds holds. They are in order."""
    most = first = 0
    for last, moment in enumerate(times):
        while moment - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which this share of the values lies; 0 if there is none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


class Stalls:
    """How late this process itself was at most: what a busy machine adds to every measured second."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            self.longest = max(self.longest, time.monotonic() - before - 0.01)
