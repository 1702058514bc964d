"""What would stop the event loop runs in threads, and those end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from stage import until

from staticify import wire
from staticify.nouns import Answer, Cut, Outcome, Prepared, Verdict
from staticify.prepare import prepare
from staticify.rules import GateRules, Rules
from staticify.urls import parse_page
from staticify.workers import Parsers, Workers

PAGES = Path(__file__).parent / "pages"
RULES = Rules.of(GateRules(parse_page("https://a.example/"), 8 * 2**20), (".ad",), ("<!-- [0-9]+ -->",))


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_function_runs_in_another_thread_and_gives_back_what_it_returns() -> None:
    async def main() -> None:
        workers = Workers()
        try:
            assert await workers.run(lambda a, b: (a, b), 1, b=2) == (1, 2)
            assert await workers.run(threading.get_ident) != threading.get_ident()
            assert await workers.run_in_background(threading.get_ident) != threading.get_ident()
            with pytest.raises(ZeroDivisionError):
                await workers.run(lambda: 1 / 0)
        finally:
            workers.close()

    asyncio.run(main())


def test_the_background_yields_to_everything_else() -> None:
    async def main() -> tuple[int, int]:
        workers = Workers()
        try:
            return await workers.run(niceness), await workers.run_in_background(niceness)
        finally:
            workers.close()

    before = niceness()
    assert asyncio.run(main()) == (before, 19)
    assert niceness() == before


def test_the_event_loop_goes_on_meanwhile_and_long_work_in_the_background_delays_no_journey() -> None:
    async def main() -> str:
        workers = Workers()
        may_end = threading.Event()
        try:
            long = asyncio.create_task(workers.run_in_background(may_end.wait, 5))
            assert await workers.run(lambda: "quick") == "quick"
            assert not long.done()
            may_end.set()
            assert await long
        finally:
            may_end.set()
            workers.close()
        return "done"

    assert asyncio.run(main()) == "done"


def test_close_waits_for_what_runs_in_a_journey() -> None:
    async def main() -> None:
        workers, began, may_end = Workers(), threading.Event(), threading.Event()

        def work() -> bool:
            began.set()
            return may_end.wait(5)

        journey = asyncio.create_task(workers.run(work))
        await asyncio.to_thread(began.wait, 5)
        closing = asyncio.create_task(asyncio.to_thread(workers.close))
        assert not (await asyncio.wait([closing], timeout=0.1))[0]
        may_end.set()
        await closing
        assert await journey

    asyncio.run(main())


def test_close_waits_for_nothing_in_the_background_and_drops_what_has_not_begun() -> None:
    async def main() -> list[str]:
        workers, ended = Workers(), []
        began, may_end = threading.Event(), threading.Event()

        def work() -> None:
            began.set()
            may_end.wait(5)
            ended.append("first")

        first = asyncio.create_task(workers.run_in_background(work))
        second = asyncio.create_task(workers.run_in_background(ended.append, "second"))
        await asyncio.to_thread(began.wait, 5)
        workers.close()
        assert ended == []
        await asyncio.wait([second], timeout=5)
        assert second.cancelled()
        may_end.set()
        await first
        workers.close()
        return ended

    assert asyncio.run(main()) == ["first"]


# --- The parser's processes ------------------------------------------------------------------------------------------


def page(body: bytes) -> Answer:
    return Answer(200, (("content-type", "text/html; charset=UTF-8"), ("x", "\udce9")), body)


@pytest.fixture
def parsers() -> Iterator[Parsers]:
    with closing(Parsers()) as made:
        yield made


@pytest.mark.parametrize("name", sorted(path.name for path in PAGES.glob("*.html") if "ends-the" not in path.name))
def test_a_process_says_what_the_parser_says(parsers: Parsers, name: str) -> None:
    answer = page((PAGES / name).read_bytes().replace(b"<body", b"<body><p class=ad>x</p", 1))
    assert parsers.prepare(answer, RULES) == prepare(answer, RULES)


def test_a_page_that_ends_the_parser_is_refused_and_the_next_one_is_not(parsers: Parsers) -> None:
    good = page((PAGES / "single.html").read_bytes())
    assert parsers.prepare(good, RULES).verdict.name == "ok"
    refused = parsers.prepare(page((PAGES / "ends-the-parser.html").read_bytes()), RULES).verdict
    if refused.name == "ok":
        pytest.skip("this parser survives the page")
    assert (refused.name, refused.outcome) == ("ends-the-parser", Outcome.REFUSED)
    assert "SIGSEGV" in refused.reason
    assert parsers.prepare(good, RULES).verdict.name == "ok"


def test_a_parser_that_goes_on_and_on_is_ended(parsers: Parsers, monkeypatch: pytest.MonkeyPatch) -> None:
    good = page((PAGES / "single.html").read_bytes())
    parsers.prepare(good, RULES)
    monkeypatch.setattr("staticify.workers.PARSE_SECONDS", 0.2)
    (process,) = (parser.process for parser in parsers._idle)
    os.kill(process.pid, signal.SIGSTOP)
    verdict = parsers.prepare(good, RULES).verdict
    assert (verdict.name, verdict.outcome) == ("ends-the-parser", Outcome.REFUSED)
    assert process.wait(10) == -signal.SIGKILL
    monkeypatch.undo()
    assert parsers.prepare(good, RULES).verdict.name == "ok"


def test_a_parser_that_somebody_killed_costs_nothing(parsers: Parsers) -> None:
    good = page((PAGES / "single.html").read_bytes())
    parsers.prepare(good, RULES)
    (process,) = (parser.process for parser in parsers._idle)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert parsers.prepare(good, RULES).verdict.name == "ok"


def test_it_ends_when_nobody_asks_any_more_and_not_before() -> None:
    with closing(Parsers()) as parsers:
        parsers.prepare(page(b"x"), RULES)
        (process,) = (parser.process for parser in parsers._idle)
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(process.pid, number)
        parsers.prepare(page(b"x"), RULES)
        assert [parser.process for parser in parsers._idle] == [process]
    assert process.returncode == 0


def test_one_answer_is_never_taken_for_another_ones(parsers: Parsers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong after a question was sent, its answer may be on its way."""
    first, second = (page(f"<html><body><p>{name}</p></body></html>".encode()) for name in ("first", "second"))
    for error in (MemoryError(), KeyboardInterrupt(), OverflowError(), EOFError()):

        def fails(*_: object, error: BaseException = error, **__: object) -> bytes:
            raise error

        monkeypatch.setattr(wire, "_the_answer", fails)
        with contextlib.suppress(BaseException):
            parsers.prepare(first, RULES)
        monkeypatch.undo()
        # Its digest too is that of the second, which no answer to another question has.
        assert parsers.prepare(second, RULES) == prepare(second, RULES)


def test_a_question_that_nobody_reads_is_given_up_too(parsers: Parsers, monkeypatch: pytest.MonkeyPatch) -> None:
    parsers.prepare(page(b"x"), RULES)
    (process,) = (parser.process for parser in parsers._idle)
    os.kill(process.pid, signal.SIGSTOP)
    monkeypatch.setattr("staticify.workers.PARSE_SECONDS", 0.2)
    large = page(b"<html>" + b"more than a pipe holds " * 50_000)
    assert parsers.prepare(large, RULES).verdict.name == "ends-the-parser"


def test_a_page_that_ended_two_parsers_costs_no_third_for_a_while(
    parsers: Parsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = page(b"<p>bad</p>"), page(b"<p>good</p>")
    asked: list[bytes] = []
    ask = wire.ask

    def ends_on_bad(peer: wire.Peer, answer: Answer, rules: Rules, left: Callable[[], float]) -> Prepared:
        asked.append(answer.body)
        if answer == bad:
            raise EOFError
        return ask(peer, answer, rules, left)

    monkeypatch.setattr(wire, "ask", ends_on_bad)
    verdicts = [parsers.prepare(bad, RULES).verdict for _ in range(4)]
    assert [verdict.name for verdict in verdicts] == ["ends-the-parser"] * 4
    assert asked == [bad.body] * 2
    assert parsers.prepare(good, RULES) == prepare(good, RULES)
    monkeypatch.setattr("staticify.workers.time.monotonic", lambda: time.time() + 1e6)
    parsers.prepare(bad, RULES)
    assert asked == [bad.body, bad.body, good.body, bad.body]


def test_who_waits_too_long_for_a_parser_keeps_what_there_is(parsers: Parsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticify.workers.PARSE_SECONDS", 0.05)
    parsers._slots = threading.BoundedSemaphore(1)
    with parsers._slots:
        verdict = parsers.prepare(page(b"x"), RULES).verdict
    assert (verdict.name, verdict.outcome) == ("parser-busy", Outcome.KEPT)


def test_who_closes_waits_for_no_parser() -> None:
    parsers = Parsers()
    parsers.prepare(page(b"x"), RULES)
    (process,) = (parser.process for parser in parsers._idle)
    os.kill(process.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(parsers.prepare, page(b"x"), RULES)
        deadline = time.monotonic() + 10
        while not parsers._busy:
            assert time.monotonic() < deadline
        parsers.close()
        verdict = asked.result(10).verdict
        assert (verdict.name, verdict.outcome) == ("stopping", Outcome.KEPT)


def test_who_waits_for_a_parser_when_it_is_closed_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    parsers = Parsers()
    parsers.prepare(page(b"x"), RULES)
    (process,) = (parser.process for parser in parsers._idle)
    os.kill(process.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(parsers.prepare, page(b"x"), RULES) for _ in range(2)]
        deadline = time.monotonic() + 10
        while not parsers._busy:
            assert time.monotonic() < deadline
        parsers.close()
        assert [one.result(10).verdict.name for one in asked] == ["stopping"] * 2
    assert (parsers._idle, parsers._busy) == ([], set())


def test_a_page_that_takes_all_memory_is_refused(parsers: Parsers) -> None:
    """Formatting elements that are made anew in each paragraph."""
    body = "<html><body><p>" + "".join(f"<font a{number}>" for number in range(400)) + "</p>" + "<p>x</p>" * 20_000
    verdict = parsers.prepare(page(body.encode()), RULES).verdict
    assert verdict.name == "ends-the-parser"


def test_a_process_ends_with_who_started_it() -> None:
    async def main() -> None:
        code = (
            "import os, signal; from staticify.workers import Parsers; from test_workers import RULES, page;"
            "parsers = Parsers(); parsers.prepare(page(b'x'), RULES); print(parsers._idle[0].process.pid, flush=True);"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, cwd=Path(__file__).parent, stdout=asyncio.subprocess.PIPE
        )
        assert started.stdout is not None
        number = int(await started.stdout.readline())
        await started.wait()
        await until(lambda: not _is_running(number))

    asyncio.run(main())


def _is_running(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


NO_ANSWERS = (
    b"",
    b"{}",
    b"[]",
    b"\0",
    b'{"name": "ok", "outcome": "published", "reason": "", "cuts": [1], "output_digest": "", "missing": []}',
    b'{"name": "ok", "outcome": "kept", "reason": "", "cuts": [[Infinity, 1, ""]], "output_digest": "", "missing": []}',
    b"[" * 100_000,
    b'{"name": "ok", "outcome": "such", "reason": "", "cuts": [], "output_digest": "", "missing": []}',
)


@pytest.mark.parametrize("content", NO_ANSWERS)
def test_what_is_no_answer_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"answer of a parser|Expecting|valid"):
        wire.unpacked_answer(content, b"")


def test_every_field_of_an_answer_survives() -> None:
    verdict = Verdict("ok", Outcome.PUBLISHED, "caf\u00e9 \udce9")
    prepared = Prepared(verdict, b"\0ody", (Cut(1, 2, ".ad"),), "digest", ("#a", "text:b"))
    assert wire.unpacked_answer(wire.packed_answer(prepared), b"\0body") == prepared


@pytest.mark.parametrize("cuts", [((3, 2),), ((0, 6),), ((-1, 1),), ((0, 3), (2, 4)), ((3, 4), (0, 1))])
def test_a_parser_cannot_add_a_byte_to_what_goes_out(cuts: tuple[tuple[int, int], ...]) -> None:
    said = Prepared(Verdict("ok", Outcome.PUBLISHED, ""), b"evil", tuple(Cut(*cut, "") for cut in cuts), "digest")
    with pytest.raises(ValueError, match="cannot be cut"):
        wire.unpacked_answer(wire.packed_answer(said), b"01234")


def _asked_with(said: bytes, *, left: Callable[[], float] = lambda: 10.0) -> Prepared:
    """What `wire.ask` makes of a process that says this, whatever it is asked, and ends."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1) as threads:

        def say() -> None:
            with theirs.makefile("rb") as questions:
                wire.question(questions)
            theirs.sendall(said)
            theirs.shutdown(socket.SHUT_WR)

        told = threads.submit(say)
        prepared = wire.ask(ours, Answer(200, (), b"\0body"), RULES, left)
        told.result(10)
        return prepared


def _said(reason: str) -> bytes:
    return wire._framed(wire.packed_answer(Prepared(Verdict("ok", Outcome.PUBLISHED, reason))))


_SAID = _said("fine")


def test_an_answer_that_is_too_long_is_none() -> None:
    with pytest.raises(ValueError, match="a frame of"):
        _asked_with((wire.MAX_ANSWER_BYTES + 1).to_bytes(8, "big"))


def test_an_answer_longer_than_the_kernel_holds_comes_whole() -> None:
    assert len(_asked_with(_said("x" * 3 * 2**20)).verdict.reason) == 3 * 2**20


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, len(_SAID) - 1])
def test_half_an_answer_is_none(count: int) -> None:
    with pytest.raises(EOFError):
        _asked_with(_SAID[:count])


@pytest.mark.parametrize("said", [b"\xff" * 8, _SAID + b"x", wire._framed(b"{}", b"{}")])
def test_an_answer_too_long_is_none(said: bytes) -> None:
    with pytest.raises(ValueError, match=r"a frame of|bytes more"):
        _asked_with(said)


def test_an_answer_byte_by_byte_is_waited_for_no_longer_than_one_at_once() -> None:
    ours, theirs = socket.socketpair()
    seconds = iter([3.0, 2.0, 1.0, 0.0])
    with ours, theirs:
        for byte in _SAID[:2]:
            theirs.sendall(bytes([byte]))
        with pytest.raises(TimeoutError):
            wire.ask(_OneByOne(ours), Answer(200, (), b""), RULES, lambda: next(seconds))


class _OneByOne:
    """A socket on which one byte arrives at a time."""

    def __init__(self, peer: socket.socket) -> None:
        self.settimeout, self.sendall = peer.settimeout, peer.sendall
        self._peer = peer

    def recv(self, _count: int) -> bytes:
        return self._peer.recv(1)


@pytest.mark.parametrize(("processors", "threads", "parsers"), [(1, 1, 1), (2, 2, 1), (16, 16, 8), (256, 16, 8)])
def test_there_are_no_more_threads_than_the_unit_allows(
    processors: int, threads: int, parsers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    workers = Workers()
    try:
        assert (workers._threads._max_workers, workers._parsing._max_workers) == (threads, threads)
        assert workers.parsers._slots._value == parsers
    finally:
        workers.close()
