"""Jobs come round by the clock on the wall, and by the other one when somebody sets that back."""

from __future__ import annotations

import asyncio
import datetime
import logging

import pytest

from staticify import schedule as module
from staticify.schedule import Schedule

SHORT = 0.02
HOUR = datetime.timedelta(hours=1)


class Rounds:
    """Counts the rounds of a job and how many there are at once."""

    def __init__(self, *, takes: float = 0.0, error: Exception | None = None) -> None:
        self.count = 0
        self.at_once = 0
        self.most_at_once = 0
        self.cancelled = 0
        self._takes = takes
        self._error = error
        self._began = asyncio.Event()

    async def run(self) -> None:
        self.count += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self._began.set()
        try:
            await asyncio.sleep(self._takes)
            if self._error:
                raise self._error
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while self.count < count:
                self._began.clear()
                await self._began.wait()


def test_a_job_runs_at_once_and_then_every_so_many_seconds() -> None:
    async def main() -> float:
        schedule, rounds = Schedule(), Rounds()
        schedule.every(SHORT, "before", rounds.run)
        schedule.start()
        started = asyncio.get_running_loop().time()
        await rounds.until(1)
        assert asyncio.get_running_loop().time() - started < 1
        await rounds.until(4)
        seconds = asyncio.get_running_loop().time() - started
        late = Rounds()
        schedule.every(3600, "after", late.run)
        await late.until(1)
        await schedule.stop()
        return seconds

    assert asyncio.run(main()) >= 2 * SHORT


def test_a_job_that_fails_is_logged_and_comes_round_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        schedule, rounds = Schedule(), Rounds(error=RuntimeError("this time"))
        schedule.start()
        schedule.every(SHORT, "fails", rounds.run)
        await rounds.until(3)
        await schedule.stop()

    asyncio.run(main())
    records = [record for record in caplog.records if record.name == module.__name__]
    assert len(records) >= 2
    assert {(record.message, vars(record)["job"]) for record in records} == {("a scheduled job failed", "fails")}
    assert all(record.exc_info and str(record.exc_info[1]) == "this time" for record in records)
    # APScheduler has nothing to add.
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == records


def test_a_round_that_takes_longer_than_the_interval_is_not_overtaken() -> None:
    async def main() -> Rounds:
        schedule, rounds = Schedule(), Rounds(takes=4 * SHORT)
        schedule.start()
        schedule.every(SHORT, "slow", rounds.run)
        await rounds.until(3)
        await schedule.stop()
        return rounds

    assert asyncio.run(main()).most_at_once == 1


def test_a_round_that_hangs_is_not_warned_of_each_time_and_errors_are_heard(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        schedule, hangs, witness = Schedule(), Rounds(takes=3600), Rounds()
        schedule.start()
        schedule.every(SHORT, "hangs", hangs.run)
        schedule.every(SHORT, "witness", witness.run)
        await witness.until(6)
        assert caplog.records == []
        refused = asyncio.Event()

        def refuse(*_: object) -> None:
            refused.set()
            raise RuntimeError("no room")

        executor = schedule._scheduler._executors["default"]
        monkeypatch.setattr(executor, "submit_job", refuse)
        await asyncio.wait_for(refused.wait(), 5)
        await schedule.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert "Error submitting job" in caplog.records[0].message


def test_a_job_of_the_same_name_takes_the_place_of_the_old_one() -> None:
    async def main() -> None:
        schedule, old, new = Schedule(), Rounds(), Rounds()
        schedule.start()
        schedule.every(SHORT, "job", old.run)
        await old.until(1)
        schedule.every(SHORT, "job", new.run)
        await new.until(1)
        before = old.count
        await new.until(4)
        assert old.count == before
        await schedule.stop()

    asyncio.run(main())


def test_a_dropped_job_runs_no_more_and_others_go_on() -> None:
    async def main() -> None:
        schedule, dropped, other = Schedule(), Rounds(), Rounds()
        schedule.start()
        schedule.every(SHORT, "dropped", dropped.run)
        schedule.every(SHORT, "other", other.run)
        await dropped.until(1)
        schedule.drop("dropped")
        before = dropped.count
        await other.until(other.count + 4)
        assert dropped.count == before
        await schedule.stop()

    asyncio.run(main())


def test_stop_cancels_what_is_under_way_and_waits_for_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        schedule, kept, dropped = Schedule(), Rounds(takes=3600), Rounds(takes=3600)
        schedule.start()
        schedule.every(SHORT, "kept", kept.run)
        schedule.every(SHORT, "dropped", dropped.run)
        await kept.until(1)
        await dropped.until(1)
        schedule.drop("dropped")
        async with asyncio.timeout(5):
            await schedule.stop()
        assert (kept.cancelled, kept.at_once, dropped.cancelled, dropped.at_once) == (1, 0, 1, 0)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(main())
    # An end in order is no error.
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_one_that_never_started_can_be_stopped() -> None:
    async def main() -> None:
        await Schedule().stop()

    asyncio.run(main())


def test_a_clock_that_was_set_back_stops_no_job(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """To APScheduler the next round lies an hour ahead, as after `date -s '1 hour ago'`; the guard finds it overdue."""
    monkeypatch.setattr(module, "GUARD_SECONDS", SHORT)

    async def main() -> None:
        schedule, rounds = Schedule(), Rounds()
        schedule.start()
        schedule.every(SHORT, "job", rounds.run)
        await rounds.until(1)
        schedule._scheduler.modify_job("job", next_run_time=datetime.datetime.now(datetime.UTC) + HOUR)
        before = rounds.count
        await rounds.until(before + 1)
        # And after that it comes round by itself again.
        count = len(caplog.records)
        await rounds.until(before + 4)
        assert len(caplog.records) == count
        await schedule.stop()

    asyncio.run(main())
    assert [(record.message, vars(record)["job"]) for record in caplog.records] == [
        ("clock set back: a job is started by the monotonic clock", "job")
    ]


def test_rounds_that_a_clock_set_forward_has_missed_are_not_gone_through_one_by_one() -> None:
    """A year of seconds would be half a minute in which nothing else goes on; a day is enough to see it."""

    async def main() -> None:
        schedule, rounds = Schedule(), Rounds()
        schedule.start()
        schedule.every(1, "job", rounds.run)
        await rounds.until(1)
        now = datetime.datetime.now(datetime.UTC)
        schedule._scheduler.modify_job("job", next_run_time=now - 24 * HOUR)
        job = schedule._scheduler.get_job("job")
        assert job._get_run_times(now) == [now - 24 * HOUR]
        assert now < job.trigger.get_next_fire_time(now - 24.0001 * HOUR, now) <= now + HOUR / 3600
        # They are one round.
        await rounds.until(2)
        assert rounds.count == 2
        await schedule.stop()

    asyncio.run(main())


def test_the_guard_leaves_a_job_alone_that_is_in_time_or_under_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "GUARD_SECONDS", 0.001)

    async def main() -> None:
        schedule, waiting, slow, witness = Schedule(), Rounds(), Rounds(takes=3600), Rounds()
        schedule.start()
        schedule.every(3600, "waiting", waiting.run)
        schedule.every(0.005, "slow", slow.run)
        schedule.every(SHORT, "witness", witness.run)
        await witness.until(6)
        assert (waiting.count, slow.count) == (1, 1)
        await schedule.stop()

    with caplog.at_level(logging.WARNING, logger=module.__name__):
        asyncio.run(main())
    assert [record for record in caplog.records if vars(record).get("job") in {"waiting", "slow"}] == []
