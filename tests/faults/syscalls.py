"""SIGKILL before each syscall of a life that publishes, and EIO, ENOSPC, EDQUOT and EINTR from each.

A life is: open the tree, sweep it, publish over a page, close. What it asks of the kernel is traced once for each
scene; then it is lived again for each of these calls, and strace (inject) kills it there or lies to it. After each the
page is whole, old or new, in all variants; the next life repairs what was left.
"""

from __future__ import annotations

import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tally import Tally
from versions import Torn, number_in, version

from faults._publish import BEGIN, END, PLACE, REPORTED, tree_of
from staticify.encode import encode
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import MARK, Place

COUNT = 1
"""Publishes' worth: one has every call in it."""
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EINTR")
KILL = "SIGKILL"
OLD, NEW, REPAIRED = 1, 2, 3
NEIGHBOUR = Place(("a.example",), MARK)
WORKER = Path(__file__).with_name("_publish.py")
SECONDS_FOR_A_LIFE = 30
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where a tree is made a thousand times, and fsync costs nothing."""
_CALL = re.compile(r"^\d+ +(\w+)\((.*)$")
_NOT_OF_THE_TREE = frozenset({"mmap", "munmap", "mremap", "brk", "madvise", "getrandom", "futex", "rt_sigaction"})


@dataclass(frozen=True)
class Scene:
    """What a life finds, and which way it publishes."""

    name: str
    way: str
    before: str
    """The way in which the old page was published; empty if there is none."""

    @property
    def old(self) -> int | None:
        return OLD if self.before else None


SCENES = (
    Scene("exchange", "exchange", "exchange"),
    Scene("link", "link", "link"),
    Scene("from directory to link", "link", "exchange"),
    Scene("first by exchange", "exchange", ""),
    Scene("first by link", "link", ""),
)


@dataclass(frozen=True)
class Call:
    """The nth call of this name of a process, and the first that is part of its life."""

    name: str
    first: int
    number: int


@dataclass(frozen=True)
class Life:
    """How a life ended."""

    status: int
    err: str
    trace: str


def reason_to_skip() -> str:
    """Why nothing can be injected here; empty if it can."""
    if shutil.which("strace") is None:
        return "no strace"
    done = subprocess.run(["strace", "-e", "trace=none", "true"], check=False, capture_output=True, timeout=10)
    return "" if done.returncode == 0 else "processes may not be traced here"


def make(path: Path, scene: Scene) -> None:
    """The tree before the life: the page, a neighbour, and what a killed process left."""
    with closing(tree_of(path, scene.before or scene.way)) as tree:
        tree.open()
        tree.publish(NEIGHBOUR, Kind.HTML, encode(version(OLD)))
        if scene.before:
            tree.publish(PLACE, Kind.HTML, encode(version(OLD)))
    rubbish = path / "a.example" / f"{MARK}.new-0"
    rubbish.mkdir()
    (rubbish / "index.html").write_bytes(b"half")


class Worker:
    """A process that forks lives: one that begins anew costs ten times as much. Close it after use."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def live(self, path: Path, scene: Scene, *options: str) -> Life:
        """A life under strace."""
        process = self._ask(f"{path} {scene.way} {NEW}")
        trace = Path(f"{path}.trace")
        command = ["strace", "-f", "-s", "64", "-p", str(process), "-o", str(trace), *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            try:
                assert "attached" in (said := strace.stderr.readline()), said
                os.kill(process, signal.SIGCONT)
                status = self._answer()
                strace.wait(SECONDS_FOR_A_LIFE)
            finally:
                strace.kill()
        return Life(status, Path(f"{path}.err").read_text(), trace.read_text())

    def _ask(self, line: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        assert select.select([self._process.stdout], [], [], SECONDS_FOR_A_LIFE)[0], "a life without end"
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def calls_of(scene: Scene, worker: Worker) -> list[Call]:
    """Every call of a life that nobody disturbs."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        make(path := Path(name, "tree"), scene)
        life = worker.live(path, scene)
        assert life.status == 0, life.err
        assert number_in(path / PLACE.relative) == NEW
        return list(_calls_in(life.trace))


def _calls_in(trace: str) -> Iterator[Call]:
    counts: dict[str, int] = {}
    firsts: dict[str, int] = {}
    is_alive = False
    for line in trace.splitlines():
        found = _CALL.match(line)
        if found is None:
            continue
        name = found[1]
        counts[name] = counts.get(name, 0) + 1
        if is_alive and name not in _NOT_OF_THE_TREE:
            yield Call(name, firsts.setdefault(name, counts[name]), counts[name])
        is_alive = (is_alive or f'"{BEGIN}"' in line) and f'"{END}"' not in line


def names(path: Path) -> list[str]:
    """Everything in a tree, by names that are the same each time."""
    return sorted(
        re.sub(r"-[0-9a-f]{16}\b", "-*", os.path.relpath(os.path.join(directory, name), path))
        for directory, below, files in os.walk(path)
        for name in (*below, *files)
    )


class Run:
    """One after the other through every call of a scene, each on a tree of its own."""

    def __init__(self, scene: Scene, tally: Tally) -> None:
        self._scene = scene
        self._tally = tally
        with tempfile.TemporaryDirectory(dir=MEMORY) as name:
            make(path := Path(name, "tree"), scene)
            self._repair(path)
            self._clean = names(path)

    def disturb(self, worker: Worker, call: Call, how: str) -> None:
        """Live once with a call that does not do what it should, and look at what is left."""
        what = f"{self._scene.name}: {how} at {call.name} {call.number - call.first + 1}"
        with tempfile.TemporaryDirectory(dir=MEMORY) as name:
            make(path := Path(name, "tree"), self._scene)
            inject = f"inject={call.name}:{'signal' if how == KILL else 'error'}={how}:when={call.number}"
            try:
                self._look(path, worker.live(path, self._scene, "-e", f"trace={call.name}", "-e", inject), how)
            except (Torn, OSError, AssertionError) as error:
                self._tally.faults.append(f"{what}: {type(error).__name__}: {error}")

    def _look(self, path: Path, life: Life, how: str) -> None:
        counts, scene = self._tally.counts, self._scene
        if how != KILL:
            assert "(INJECTED)" in life.trace, "nothing was injected"
        allowed = {0, REPORTED} if how != KILL else {-9}
        assert life.status in allowed, f"exit status {life.status}: {life.err[-500:]}"
        found = self._number(path)
        if scene.name == "from directory to link" and found is None and how == KILL:
            counts["killed between the two renames that are no swap: missing until the next start"] += 1
        else:
            assert found in {scene.old, NEW}, f"version {found}"
        assert found == NEW or life.status != 0, f"version {found}, and nothing was said"
        counts[f"{how if how == KILL else 'errors'}, {_outcome(life.status)}: {_version(found)}"] += 1
        assert number_in(path / NEIGHBOUR.relative) == OLD
        repaired = self._repair(path)
        assert repaired == found or (found is None and repaired == scene.old), f"the sweep made {repaired} of {found}"
        assert names(path) == self._clean, f"left over: {sorted(set(names(path)) ^ set(self._clean))}"

    def _repair(self, path: Path) -> int | None:
        """What the page is after the next start's sweep; then it is published anew."""
        with closing(tree_of(path, self._scene.way)) as tree:
            tree.open()
            tree.sweep()
            found = self._number(path)
            assert tree.sweep() == 0, "a second sweep finds more"
            self._publish(tree, path)
        return found

    @staticmethod
    def _publish(tree: Tree, path: Path) -> None:
        tree.publish(PLACE, Kind.HTML, encode(version(REPAIRED)))
        assert number_in(path / PLACE.relative) == REPAIRED
        assert number_in(path / NEIGHBOUR.relative) == OLD

    @staticmethod
    def _number(path: Path) -> int | None:
        try:
            return number_in(path / PLACE.relative)
        except FileNotFoundError:
            return None


def _outcome(status: int) -> str:
    return {0: "no harm", REPORTED: "reported"}.get(status, "at once")


def _version(number: int | None) -> str:
    return {OLD: "the old page", NEW: "the new page"}.get(number or 0, "no page, as before")


def run(count: int, seed: int, *, most: int | None = None) -> Tally:
    """Every call of every scene, `count` times; of each scene at most so many, chosen by the seed."""
    tally = Tally()
    chance = random.Random(seed)
    workers: SimpleQueue[Worker] = SimpleQueue()

    def disturb(one: Run, call: Call, how: str) -> None:
        worker = workers.get()
        try:
            one.disturb(worker, call, how)
        finally:
            workers.put(worker)

    with ExitStack() as stack, ThreadPoolExecutor(os.cpu_count()) as threads:
        for _ in range(os.cpu_count() or 1):
            workers.put(stack.enter_context(closing(Worker())))
        for _ in range(count):
            for scene in SCENES:
                calls = calls_of(scene, stack.enter_context(closing(Worker())))
                tally.counts[f"calls in a life, {scene.name}"] = len(calls)
                disturbances = [(call, how) for call in calls for how in (KILL, *ERRORS)]
                if most is not None:
                    disturbances = chance.sample(disturbances, most)
                one = Run(scene, tally)
                for future in [threads.submit(disturb, one, call, how) for call, how in disturbances]:
                    future.result()
                tally.counts["lives disturbed"] += len(disturbances)
    return tally
