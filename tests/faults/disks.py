"""Disks that fill up under a daemon: it says so, no page is lost or torn, and all are fresh again once there is room.

Tree and state stand on a tiny tmpfs, or on a small ext4 in an image file. Somebody else's files take all of the
blocks, or all of the inodes, and go again.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from command import Running, daemon
from scripted_origin import ScriptedOrigin
from stage import leaf_of, site_toml, until
from tally import Tally
from versions import Torn, Versions, number_in

from staticify.urls import MARK

COUNT = 40
"""How often a disk fills up."""
KINDS = ("tmpfs", "ext4")
PAGES = 12
INODES = 400
MEGABYTES = 8
SECONDS = 30.0
"""For what should take two intervals of a second."""
FULL = (
    "No space left on device. The disk is full, or has no inodes left (df -i): the pages in the tree stay as they are "
    "until there is room"
)


def _mount(kind: str, directory: Path) -> None:
    point = directory / "disk"
    point.mkdir()
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,nr_inodes={INODES}", "tmpfs"]
    else:
        image = directory / "image"
        with image.open("wb") as file:
            file.truncate(MEGABYTES << 20)
        subprocess.run(["mkfs.ext4", "-q", "-N", str(INODES), image], check=True, capture_output=True, timeout=60)
        command = ["mount", "-o", "loop", str(image)]
    subprocess.run([*command, str(point)], check=True, capture_output=True, timeout=60)


@contextmanager
def disk_of(kind: str) -> Iterator[Path]:
    """A directory, and below it as `disk` a small file system."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        _mount(kind, Path(name))
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", Path(name, "disk")], check=True, timeout=60)


def reason_to_skip(kind: str) -> str:
    """Why there can be no such disk here; empty if there can."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "only root may mount a file system"
    try:
        with disk_of(kind):
            return ""
    except (OSError, subprocess.SubprocessError) as error:
        return f"no {kind} can be mounted here: {error}"


@dataclass
class Filler:
    """Somebody else's files."""

    directory: Path
    is_by_inodes: bool
    count: int = 0

    def fill(self) -> None:
        """Take what room there is."""
        self.directory.mkdir(exist_ok=True)
        try:
            if self.is_by_inodes:
                while True:
                    (self.directory / f"empty-{self.count}").touch()
                    self.count += 1
            for size in (1 << 16, 1 << 12, 1):
                self._write(size)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def _write(self, size: int) -> None:
        with (self.directory / "large").open("ab", buffering=0) as file:
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def empty(self) -> None:
        """Give all of it back."""
        shutil.rmtree(self.directory)


@dataclass
class Watch:
    """The pages on a disk, and what became of them."""

    tree: Path
    pages: Versions
    tally: Tally
    newest: dict[str, int] = field(default_factory=dict)

    def look(self) -> dict[str, int]:
        """The version of each page. None is lost, torn or older than the last time."""
        for path in self.pages:
            try:
                number = number_in(leaf_of(self.tree, path), path)
            except (Torn, FileNotFoundError) as error:
                self.tally.faults.append(f"{path}: {type(error).__name__}: {error}")
                continue
            if number < self.newest.get(path, 0):
                self.tally.faults.append(f"{path}: version {number} after {self.newest[path]}")
            self.newest[path] = number
            self.tally.counts["pages looked at"] += 1
        return self.newest

    def is_after(self, sent: dict[str, int]) -> bool:
        """True if each page is a version that the origin gave later."""
        newest = self.look()
        return all(newest[path] > number for path, number in sent.items())


async def fill_up(running: Running, watch: Watch, filler: Filler) -> None:
    """The disk is full for two rounds of fetches, and then is not."""
    tally = watch.tally
    sent, reports = dict(watch.pages.sent), len(running.lines(FULL))

    def is_tried() -> bool:
        # What the daemon itself gives back meanwhile, such as replaced leaves, is taken too.
        filler.fill()
        watch.look()
        is_fetched = all(watch.pages.sent[path] >= number + 2 for path, number in sent.items())
        return bool(tally.faults) or (is_fetched and len(running.lines(FULL)) > reports)

    await _until("a full disk is not reported", is_tried, tally, running)
    tally.counts["reports of it"] += len(running.lines(FULL)) - reports
    sent = dict(watch.pages.sent)
    filler.empty()
    await _until("not recovered", lambda: bool(tally.faults) or watch.is_after(sent), tally, running)
    tally.counts["disks that were full of " + ("files" if filler.is_by_inodes else "bytes")] += 1


async def _until(fault: str, condition: Callable[[], bool], tally: Tally, running: Running) -> None:
    try:
        await until(condition, seconds=SECONDS)
    except AssertionError:
        tally.faults.append(f"{fault}: {running.log()[-1000:]}")


async def fill_often(kind: str, count: int, seed: int, tally: Tally) -> None:
    """A daemon on a disk that fills up so many times."""
    chance = random.Random(seed)
    pages = Versions([f"/{number}/" for number in range(PAGES)])
    with disk_of(kind) as directory:
        watch = Watch(directory / "disk/tree", pages, tally)
        async with ScriptedOrigin(pages=pages).running() as origin:
            site = site_toml(origin.address, pages=[*pages], interval="1s")
            _write_config(directory, site)
            async with daemon(directory) as running:
                await running.logged(" published ", count=PAGES)
                for number in range(count):
                    filler = Filler(directory / "disk/somebody", chance.random() < 0.5 if number > 1 else number == 1)
                    await fill_up(running, watch, filler)
                    origin.requests.clear()
                    if tally.faults:
                        return
                if (status := await running.stop()) != 0:
                    tally.faults.append(f"exit status {status}: {running.log()[-1000:]}")
                state = [len(running.lines(f" state {what}")) for what in ("not written", "written again")]
        tally.counts["reports that the state is not written"] += state[0]
        if state[0] != state[1]:
            tally.faults.append(f"the state was not written {state[0]} times, and again {state[1]} times")
        watch.look()
        left_over = [str(path) for path in watch.tree.rglob(f"{MARK}.*")]
        if left_over:
            tally.faults.append(f"left over: {left_over}")


def _write_config(directory: Path, site: str) -> None:
    tables = '[tree]\npath = "disk/tree"\n[state]\npath = "disk/state"\n'
    (directory / "staticify.toml").write_text(tables + site)


def run(count: int, seed: int, *, kinds: tuple[str, ...] = KINDS) -> Tally:
    """So many full disks, of each kind the same number."""
    tally = Tally()
    for kind in kinds:
        if reason := reason_to_skip(kind):
            tally.figures[reason] = "left out"
            continue
        asyncio.run(fill_often(kind, count // len(kinds), seed, tally))
    return tally
