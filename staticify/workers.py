"""The threads for what would stop the event loop: compressing, writing. Only `watch` has others.

And the processes for what would end it: a parser in C, before pages that anybody may have written.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from staticify import wire
from staticify.gate import ENDS_THE_PARSER
from staticify.nouns import Answer, Outcome, Prepared, Verdict
from staticify.rules import Rules

P = ParamSpec("P")
T = TypeVar("T")

_BACKGROUND_NICENESS = 19
PARSER = "staticify.parser"
PARSE_SECONDS = 30.0
"""A page of 8 MiB takes two."""


class Parsers:
    """Processes that prepare answers, begun when they are needed. Close them after use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._busy: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def prepare(self, answer: Answer, rules: Rules) -> Prepared:
        """What `prepare.prepare` says. An answer on which the parser ends, or goes on and on, is refused. Blocks."""
        process = self._taken()
        try:
            prepared = self._asked(process, answer, rules)
        except BaseException as error:
            # Whatever it was: another answer may be on its way, and would be taken for that of the next page.
            process.kill()
            status = process.wait()
            self._drop(process)
            if isinstance(error, OSError | EOFError | ValueError):
                return Prepared(Verdict(ENDS_THE_PARSER, Outcome.REFUSED, _reason(status)))
            raise
        self._put_back(process)
        return prepared

    def _asked(self, process: subprocess.Popen[bytes], answer: Answer, rules: Rules) -> Prepared:
        assert process.stdin is not None  # noqa: S101  pipes, both
        assert process.stdout is not None  # noqa: S101
        # All of it has one deadline: the question too is more than a pipe holds.
        is_over = threading.Event()

        def give_up() -> None:
            is_over.set()
            process.kill()

        deadline = threading.Timer(PARSE_SECONDS, give_up)
        deadline.start()
        try:
            wire.send(process.stdin, wire.packed_question(answer, rules))
            prepared = wire.unpacked_answer(wire.receive(process.stdout))
        finally:
            deadline.cancel()
            deadline.join()
        if is_over.is_set():
            raise EOFError
        return prepared

    def _taken(self) -> subprocess.Popen[bytes]:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.poll() is None:
                    self._busy.add(process)
                    return process
                _end(process)
            # Not in the directory that somebody happens to stand in, and not in the terminal's group of processes.
            command = [sys.executable, "-P", "-m", PARSER]
            process = subprocess.Popen(  # noqa: S603  ourselves
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
            self._busy.add(process)
            return process

    def _put_back(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._busy.discard(process)
            if not self._is_closed and process.poll() is None:
                self._idle.append(process)
                return
        _end(process)

    def _drop(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._busy.discard(process)
        _end(process)

    def close(self) -> None:
        """End them, those too that are being asked: nobody waits for what they say any more."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            for process in self._busy:
                process.kill()
        for process in idle:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close its pipes, on which it ends by itself, and wait for that."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    process.wait()


def _reason(status: int) -> str:
    if status == -signal.SIGKILL:
        how = f"it was killed: after {PARSE_SECONDS:.0f} s, or for want of memory"
    else:
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return f"the parser ended on this page ({how}): please report it"


class Workers:
    """Threads for journeys, for who waits for a parser, and one that yields to all else. Close them after use."""

    def __init__(self) -> None:
        self._parsers = Parsers()
        # For half of the processors: WordPress, which shares the machine, takes longer for a page than a parser does.
        self._parsing = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2), "parsing")
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, "worker")
        self._background = ThreadPoolExecutor(1, "background", initializer=_be_nice)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function as part of a journey."""
        return await _run(self._threads, function, *args, **kwargs)

    async def run_in_background(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a pure function that may take long and must slow nothing else down."""
        return await _run(self._background, function, *args, **kwargs)

    async def prepare(self, answer: Answer, rules: Rules) -> Prepared:
        """What `prepare.prepare` says, by a process of its own. What writes or removes never waits behind it."""
        return await _run(self._parsing, self._parsers.prepare, answer, rules)

    def close(self) -> None:
        """Wait for what runs, drop what has not begun. What yields to everything else could be waited for for long."""
        self._parsers.close()
        self._parsing.shutdown(wait=True, cancel_futures=True)
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
