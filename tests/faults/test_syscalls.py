"""A short run of syscalls.py, and what it would find."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from tally import Tally

from faults.syscalls import KILL, SCENES, Run, Worker, calls_of, reason_to_skip, run
from staticify.tree import Tree

MOST = 8
pytestmark = pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip() or "can be traced")


def test_a_page_is_whole_whatever_the_kernel_does() -> None:
    tally = run(1, 1, most=MOST)
    assert tally.faults == []
    assert tally.counts["lives disturbed"] == MOST * len(SCENES)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with closing(Worker()) as worker:
        yield worker


def test_every_call_that_changes_the_tree_is_among_those_that_fail(worker: Worker) -> None:
    names = {scene.name: {call.name for call in calls_of(scene, worker)} for scene in SCENES}
    everywhere = {"openat", "mkdirat", "write", "fsync", "fchmod", "utimensat", "unlinkat", "close", "fcntl"}
    assert all(everywhere <= found for found in names.values())
    assert "renameat2" in names["exchange"]
    assert {"symlinkat", "readlinkat"} <= names["link"]


def test_what_a_start_does_not_sweep_would_be_seen(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, tally = SCENES[0], Tally()
    one = Run(scene, tally)
    (write, *_) = (call for call in calls_of(scene, worker) if call.name == "write")
    one.disturb(worker, write, KILL)
    assert tally.faults == []
    monkeypatch.setattr(Tree, "sweep", lambda _: 0)
    one.disturb(worker, write, KILL)
    (fault,) = tally.faults
    assert fault.startswith("exchange: SIGKILL at write 1: AssertionError: left over: ")
