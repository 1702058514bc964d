"""What would stop the event loop runs in threads, and those end."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from staticify.workers import Workers


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
