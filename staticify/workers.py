"""The threads for what would stop the event loop: compressing, writing. Only `watch` has others.

And the processes for what would end it: a parser in C, before pages that anybody may have written.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from staticify import wire
from staticify.gate import ENDS_THE_PARSER
from staticify.noise import digest
from staticify.nouns import Answer, Outcome, Prepared, Verdict
from staticify.rules import Rules

P = ParamSpec("P")
T = TypeVar("T")

_BACKGROUND_NICENESS = 19
MAX_THREADS = 16
"""Of each kind, and of parsers half as many, on however many processors: all of them share one interpreter's lock, and
the unit's TasksMax= counts each."""
PARSER = "staticify.parser"
PARSE_SECONDS = 15.0
"""A page of 8 MiB takes two."""
REMEMBERED_SECONDS = 600.0
"""For so long nobody is asked again about a page that ended parsers twice: each time may cost all others PARSE_SECONDS.

Once may be chance: where memory runs out, a parser is the first to be killed.
"""
_MOST_REMEMBERED = 1000
PARSER_BUSY = "parser-busy"
_BUSY = Prepared(Verdict(PARSER_BUSY, Outcome.KEPT, "every parser was busy with other pages for too long"))
_STOPPING = Prepared(Verdict("stopping", Outcome.KEPT, "staticify was told to stop meanwhile"))


@dataclass(frozen=True, slots=True, eq=False)
class _Parser:
    """A process of `parser`, and the socket to it."""

    process: subprocess.Popen[bytes]
    peer: socket.socket

    def end(self) -> int:
        """Close the socket, on which it ends by itself, and wait for that. Returns its exit status."""
        self.peer.close()
        return self.process.wait()


class Parsers:
    """Processes that prepare answers, begun when they are needed. Close them after use."""

    def __init__(self) -> None:
        # For half of the processors: WordPress, which shares the machine, takes longer for a page than a parser does.
        self._slots = threading.BoundedSemaphore(max(1, _threads() // 2))
        self._lock = threading.Lock()
        self._idle: list[_Parser] = []
        self._busy: set[_Parser] = set()
        self._is_closed = False
        self._ended: dict[tuple[str, str], tuple[float, Prepared]] = {}
        """What has ended a parser: until when it is not asked again, and what was said of it."""

    def prepare(self, answer: Answer, rules: Rules) -> Prepared:
        """What `prepare.prepare` says. An answer on which the parser ends, or goes on and on, is refused. Blocks."""
        if not self._slots.acquire(timeout=2 * PARSE_SECONDS):
            return _BUSY
        try:
            if self._ended and (ended := self._ended.get(_asked(answer, rules))) and time.monotonic() < ended[0]:
                return ended[1]
            parser = self._taken()
            if parser is None:
                return _STOPPING
            until = time.monotonic() + PARSE_SECONDS
            try:
                prepared = wire.ask(parser.peer, answer, rules, lambda: until - time.monotonic())
            except BaseException as error:
                # Whatever it was: another answer may be on its way, and would be taken for that of the next page.
                parser.process.kill()
                with self._lock:
                    self._busy.discard(parser)
                    is_closed = self._is_closed
                status = parser.end()
                if not isinstance(error, OSError | EOFError | ValueError):
                    raise
                return _STOPPING if is_closed else self._remember(_asked(answer, rules), _reason(status))
            self._put_back(parser)
            return prepared
        finally:
            self._slots.release()

    def _remember(self, asked: tuple[str, str], reason: str) -> Prepared:
        ended = Prepared(Verdict(ENDS_THE_PARSER, Outcome.REFUSED, reason))
        with self._lock:
            self._ended[asked] = time.monotonic() + (REMEMBERED_SECONDS if asked in self._ended else 0.0), ended
            if len(self._ended) > _MOST_REMEMBERED:
                del self._ended[next(iter(self._ended))]
        return ended

    def _taken(self) -> _Parser | None:
        """One that is asked by nobody else; none after `close`, for who has waited for one until then."""
        with self._lock:
            if self._is_closed:
                return None
            while self._idle:
                parser = self._idle.pop()
                if parser.process.poll() is None:
                    self._busy.add(parser)
                    return parser
                parser.end()
            parser = _begun()
            self._busy.add(parser)
            return parser

    def _put_back(self, parser: _Parser) -> None:
        with self._lock:
            self._busy.discard(parser)
            if not self._is_closed:
                self._idle.append(parser)
                return
        parser.end()

    def close(self) -> None:
        """End them, those too that are being asked: nobody waits for what they say any more."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            for parser in self._busy:
                parser.process.kill()
        for parser in idle:
            parser.end()


def _threads() -> int:
    return min(os.cpu_count() or 1, MAX_THREADS)


def _asked(answer: Answer, rules: Rules) -> tuple[str, str]:
    return digest(answer.body), rules.digest


def _begun() -> _Parser:
    # Not in the directory that somebody happens to stand in, and not in the terminal's group of processes.
    command = [sys.executable, "-P", "-m", PARSER]
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603  ourselves
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True
            )
        except BaseException:
            ours.close()
            raise
    return _Parser(process, ours)


def _reason(status: int) -> str:
    if status == -signal.SIGKILL:
        how = f"it was killed: after {PARSE_SECONDS:.0f} s, or for want of memory"
    else:
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return f"the parser ended on this page ({how}): please report it"


class Workers:
    """Threads for journeys, for who waits for a parser, and one that yields to all else. Close them after use."""

    def __init__(self) -> None:
        self.parsers = Parsers()
        self._parsing = ThreadPoolExecutor(_threads(), "parsing")
        self._threads = ThreadPoolExecutor(_threads(), "worker")
        self._background = ThreadPoolExecutor(1, "background", initializer=_be_nice)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function as part of a journey."""
        return await _run(self._threads, function, *args, **kwargs)

    async def run_in_background(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a pure function that may take long and must slow nothing else down."""
        return await _run(self._background, function, *args, **kwargs)

    async def run_parsing(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that asks `parsers`, which may take long: what only removes never waits behind it."""
        return await _run(self._parsing, function, *args, **kwargs)

    def close(self) -> None:
        """Wait for what runs, drop what has not begun. What yields to everything else could be waited for for long."""
        self.parsers.close()
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
