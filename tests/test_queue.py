"""Which page next, and never the same page twice at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from staticify.queue import FOREMOST, URGENT, Queue
from staticify.urls import Page

A, B, C, D = (Page("https", "a.example", f"/{name}") for name in "abcd")
PAGES = [Page("https", "a.example", f"/{number}") for number in range(50)]


class Journeys:
    """Renders under the test's control: what began, in which order, and when each may end."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.begun: list[Page] = []
        self.ended: list[Page] = []
        self.cancelled: list[Page] = []
        self.most_at_once = 0
        self._gate = asyncio.Event()
        self._arrived = asyncio.Event()
        if is_open:
            self._gate.set()

    async def render(self, page: Page) -> None:
        self.begun.append(page)
        self._arrived.set()
        assert self.now.count(page) == 1, "the same page twice at once"
        self.most_at_once = max(self.most_at_once, len(self.now))
        try:
            await self._gate.wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled.append(page)
            raise
        self.ended.append(page)

    @property
    def now(self) -> list[Page]:
        gone = [*self.ended, *self.cancelled]
        left = list(self.begun)
        for page in gone:
            left.remove(page)
        return left

    async def until_begun(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.begun) < count:
                self._arrived.clear()
                await self._arrived.wait()

    def let_all_end(self) -> None:
        self._gate.set()


async def within(awaitable: Awaitable[object]) -> None:
    async with asyncio.timeout(5):
        await awaitable


async def turns(count: int = 20) -> None:
    """Let everybody who can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


def drained(schedule: Callable[[Queue, float], None], concurrency: int = 1) -> list[Page]:
    """The order in which a queue renders what a function put into it. The function is told the time."""

    async def main() -> list[Page]:
        journeys = Journeys()
        queue = Queue(journeys.render, concurrency)
        schedule(queue, asyncio.get_running_loop().time())
        queue.finish()
        await within(queue.run())
        assert (len(queue), queue.in_flight) == (0, 0)
        return journeys.begun

    return asyncio.run(main())


# --- Order -----------------------------------------------------------------------------------------------------------


def test_pages_come_in_the_order_in_which_they_are_due() -> None:
    def schedule(queue: Queue, now: float) -> None:
        queue.schedule(C, now - 1)
        queue.schedule(A, now - 3)
        queue.schedule(D)
        queue.schedule(B, now - 2)

    assert drained(schedule) == [D, A, B, C]


def test_what_is_due_at_once_comes_in_the_order_it_was_asked_for() -> None:
    def schedule(queue: Queue, _now: float) -> None:
        for page in (C, A, B):
            queue.schedule(page)

    assert drained(schedule) == [C, A, B]


def test_a_page_stands_in_the_queue_once_and_the_earlier_time_counts() -> None:
    def schedule(queue: Queue, now: float) -> None:
        queue.schedule(A, now - 1)
        queue.schedule(B, now - 2)
        queue.schedule(A, now - 3)
        queue.schedule(B, now - 1)
        queue.schedule(A, now + 3600)
        assert len(queue) == 2

    assert drained(schedule) == [A, B]


def test_what_is_due_later_waits_for_its_time() -> None:
    async def main() -> float:
        journeys = Journeys()
        queue = Queue(journeys.render, 1)
        started = asyncio.get_running_loop().time()
        queue.schedule(A, started + 0.05)
        queue.finish()
        await within(queue.run())
        assert journeys.begun == [A]
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(main()) >= 0.05


def test_what_is_urgent_finds_room_beside_what_is_not() -> None:
    async def main() -> list[Page]:
        journeys = Journeys(is_open=False)
        queue = Queue(journeys.render, 4)
        queue.let_patient(2)
        now = asyncio.get_running_loop().time()
        for number, page in enumerate(PAGES[:5]):
            queue.schedule(page, now - 10 + number)
        running = asyncio.create_task(queue.run())
        await turns()
        assert journeys.begun == PAGES[:2]
        queue.schedule(A)
        queue.schedule(B)
        await turns()
        assert journeys.begun == [*PAGES[:2], A, B]
        journeys.let_all_end()
        queue.finish()
        await within(running)
        assert journeys.most_at_once == 4
        return journeys.begun

    assert asyncio.run(main()) == [*PAGES[:2], A, B, *PAGES[2:5]]


def test_an_urgent_page_wakes_a_queue_that_waits() -> None:
    async def main() -> list[Page]:
        journeys = Journeys()
        queue = Queue(journeys.render, 1)
        queue.schedule(A, asyncio.get_running_loop().time() + 3600)
        running = asyncio.create_task(queue.run())
        await turns()
        queue.schedule(B)
        await journeys.until_begun(1)
        queue.schedule(A, URGENT)
        await journeys.until_begun(2)
        queue.close()
        await within(running)
        return journeys.begun

    assert asyncio.run(main()) == [B, A]


def test_a_cancelled_page_is_not_rendered_until_it_is_asked_for_again() -> None:
    def schedule(queue: Queue, now: float) -> None:
        for page in (A, B, C):
            queue.schedule(page, now - 1)
        for page in (A, B, D):
            queue.cancel(page)
        queue.schedule(B, now - 1)

    assert drained(schedule) == [B, C] or drained(schedule) == [C, B]


# --- In flight -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_no_more_than_so_many_at_once(concurrency: int) -> None:
    async def main() -> Journeys:
        journeys = Journeys(is_open=False)
        queue = Queue(journeys.render, concurrency)
        for page in PAGES:
            queue.schedule(page)
        queue.finish()
        running = asyncio.create_task(queue.run())
        await journeys.until_begun(concurrency)
        await turns()
        assert (len(journeys.begun), queue.in_flight, len(queue)) == (concurrency, concurrency, 50 - concurrency)
        journeys.let_all_end()
        await within(running)
        return journeys

    journeys = asyncio.run(main())
    assert journeys.most_at_once == concurrency
    assert journeys.begun == PAGES


def test_a_change_during_a_journey_has_the_page_rendered_again_afterwards() -> None:
    async def main() -> list[Page]:
        journeys = Journeys(is_open=False)
        queue = Queue(journeys.render, 4)
        queue.schedule(A)
        running = asyncio.create_task(queue.run())
        await journeys.until_begun(1)
        for _ in range(3):
            queue.schedule(A)
        await turns()
        assert (journeys.begun, len(queue)) == ([A], 0)
        journeys.let_all_end()
        await journeys.until_begun(2)
        queue.finish()
        await within(running)
        return journeys.begun

    assert asyncio.run(main()) == [A, A]


def test_cancelling_during_a_journey_lets_it_end_and_takes_the_next_one_away() -> None:
    async def main() -> Journeys:
        journeys = Journeys(is_open=False)
        queue = Queue(journeys.render, 4)
        queue.schedule(A)
        running = asyncio.create_task(queue.run())
        await journeys.until_begun(1)
        queue.schedule(A)
        queue.cancel(A)
        queue.finish()
        journeys.let_all_end()
        await within(running)
        return journeys

    journeys = asyncio.run(main())
    assert (journeys.begun, journeys.ended) == ([A], [A])


def test_a_journey_may_schedule_its_own_page() -> None:
    async def main() -> int:
        count = 0

        async def render(page: Page) -> None:
            nonlocal count
            count += 1
            if count < 5:
                queue.schedule(page)

        queue = Queue(render, 2)
        queue.schedule(A)
        queue.finish()
        await within(queue.run())
        return count

    assert asyncio.run(main()) == 5


# --- The end ---------------------------------------------------------------------------------------------------------


def test_finish_on_an_empty_queue_ends_it() -> None:
    assert drained(lambda _queue, _now: None) == []


def test_close_lets_what_is_in_flight_end_and_starts_nothing_more() -> None:
    async def main() -> Journeys:
        journeys = Journeys(is_open=False)
        queue = Queue(journeys.render, 2)
        for page in (A, B, C, D):
            queue.schedule(page)
        running = asyncio.create_task(queue.run())
        await journeys.until_begun(2)
        queue.schedule(A)
        queue.close()
        await turns()
        assert not running.done()
        journeys.let_all_end()
        await within(running)
        return journeys

    journeys = asyncio.run(main())
    assert (journeys.begun, journeys.ended, journeys.cancelled) == ([A, B], [A, B], [])


@pytest.mark.parametrize("scheduled", [0, 1, 3, 50])
@pytest.mark.parametrize("patience", [0, 1, 5])
@pytest.mark.parametrize("gap", range(5))
def test_cancelled_at_any_turn_the_queue_cancels_its_journeys_and_ends(scheduled: int, patience: int, gap: int) -> None:
    async def main() -> Journeys:
        journeys = Journeys(is_open=False)
        queue = Queue(journeys.render, 3)
        queue.schedule(D, asyncio.get_running_loop().time() + 3600)  # So that it waits for a time, too.
        running = asyncio.create_task(queue.run())
        for _ in range(patience):
            await asyncio.sleep(0)
        for page in PAGES[:scheduled]:
            queue.schedule(page)
        for _ in range(gap):
            await asyncio.sleep(0)
        # In the turn between the event and the waking up: asyncio.wait_for swallowed this before Python 3.12.
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(running)
        await turns()
        return journeys

    journeys = asyncio.run(main())
    assert journeys.now == []
    assert journeys.begun == journeys.cancelled


@pytest.mark.parametrize("patience", range(8))
def test_cancelled_with_journeys_under_way(patience: int) -> None:
    async def main() -> Journeys:
        journeys = Journeys(is_open=False)
        queue = Queue(journeys.render, 3)
        for page in PAGES:
            queue.schedule(page)
        running = asyncio.create_task(queue.run())
        for _ in range(patience):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(running)
        assert all(task is asyncio.current_task() or task.done() for task in asyncio.all_tasks())
        return journeys

    journeys = asyncio.run(main())
    assert journeys.begun == journeys.cancelled


def test_a_journey_that_is_cancelled_before_its_first_step_does_not_hang_the_queue() -> None:
    async def main() -> None:
        journeys = Journeys(is_open=False)
        queue = Queue(journeys.render, 3)
        queue.schedule(A)
        running = asyncio.create_task(queue.run())
        while queue.in_flight == 0:
            await asyncio.sleep(0)
            for task in asyncio.all_tasks():
                if task.get_name() == A.url:
                    task.cancel()
        queue.close()
        await within(running)

    asyncio.run(main())


def test_a_queue_that_fails_itself_takes_its_journeys_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> Journeys:
        journeys = Journeys(is_open=False)
        queue = Queue(journeys.render, 3)
        queue.schedule(A)
        running = asyncio.create_task(queue.run())
        await journeys.until_begun(1)
        monkeypatch.setattr(queue, "_seconds_to_first", lambda now: now / 0)
        queue.schedule(B)
        with pytest.raises(ZeroDivisionError):
            await within(running)
        return journeys

    journeys = asyncio.run(main())
    assert journeys.cancelled == [A]


def test_what_a_journey_raises_is_logged_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[Page]:
        ended = []

        async def render(page: Page) -> None:
            await asyncio.sleep(0)
            if page in {A, C}:
                raise RuntimeError(page.path)
            ended.append(page)

        queue = Queue(render, 1)
        for page in (A, B, C, D):
            queue.schedule(page)
        queue.finish()
        await within(queue.run())
        return ended

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(main()) == [B, D]
    assert [(record.message, vars(record)["url"]) for record in caplog.records] == [
        ("a journey failed", A.url),
        ("a journey failed", C.url),
    ]
    assert all(record.exc_info for record in caplog.records)


def test_how_far_behind_it_is_shows_by_the_first_page_that_waits() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue = Queue(Journeys().render, concurrency=1)
        assert queue.behind_seconds() == 0
        queue.schedule(A, loop.time() + 60)
        assert queue.behind_seconds() == 0
        queue.schedule(B, loop.time() - 30)
        assert 30 <= queue.behind_seconds() < 60
        queue.cancel(B)
        assert queue.behind_seconds() == 0
        queue.schedule(C)
        queue.schedule(B, FOREMOST)
        assert queue.behind_seconds() == 0
        queue.schedule(A, loop.time() - 30)
        assert 30 <= queue.behind_seconds() < 60

    asyncio.run(main())
