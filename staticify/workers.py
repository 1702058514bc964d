"""The threads for what would stop the event loop: parsing, compressing, writing. Only `watch` has others."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_BACKGROUND_NICENESS = 19


class Workers:
    """Two pools: one for journeys, and one thread that yields to everything else. Close them after use."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, "worker")
        self._background = ThreadPoolExecutor(1, "background", initializer=_be_nice)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function as part of a journey."""
        return await _run(self._threads, function, *args, **kwargs)

    async def run_in_background(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a pure function that may take long and must slow nothing else down."""
        return await _run(self._background, function, *args, **kwargs)

    def close(self) -> None:
        """Wait for what runs, drop what has not begun. What yields to everything else could be waited for for long."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._background.shutdown(wait=False, cancel_futures=True)


async def _run(executor: Executor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(executor, functools.partial(function, *args, **kwargs))


def _be_nice() -> None:
    # On Linux a thread has a niceness of its own, reached by its id. A sandbox may forbid to set it, and an initializer
    # that fails would break the pool.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _BACKGROUND_NICENESS)
