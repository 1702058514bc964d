"""Power that fails at each write to a disk: every page is whole then, old or new, and what was published is there.

Pages are published and removed on a file system of its own, whose disk writes down what the kernel sends it, each write
and each flush. From that log a disk is made as it would be had the power failed after any of the writes: all before it
are there; or, because a disk has a cache, those before the last flush, and of the others some, one of them perhaps
half. It is mounted, which replays the file system's journal, and looked at as the front would; then a process starts.

What was published or removed before the power failed must be so still. What was under way may be, as a whole, or not.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from scripted_origin import ScriptedOrigin
from stage import config_of, leaf_of, site_toml
from tally import Tally
from versions import Torn, Versions, number_in, version

from faults._powered import FILE_SYSTEMS, MEMORY, Disk, FileSystem, reason_to_skip
from faults._publish import tree_of
from faults._recorder import length_of
from staticify import oneshot
from staticify.encode import encode
from staticify.errors import StaticifyError
from staticify.nouns import Kind, Outcome
from staticify.tree import Tree
from staticify.urls import MARK, parse_page

COUNT = 6000
"""Failures."""
WAYS = ("exchange", "link")
PATHS = ("/", "/1/", "/2/", "/2026/11/3/", "/2026/11/4/", "/2026/12/5/")
THREADS = 3
WORK = 8
"""How often a thread does something to a page."""
PASSES = 4
LAST = 1000
"""A version that comes after every other."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done to a page, and how long the log was when it began and when it had been done."""

    number: int | None
    """Of the version that was published; None if the page was removed."""
    began: int
    ended: int


@dataclass
class History:
    """What was done to each page, in order."""

    log: Path
    deeds: dict[str, list[Deed]] = field(default_factory=lambda: {path: [] for path in PATHS})
    locks: dict[str, threading.Lock] = field(default_factory=lambda: {path: threading.Lock() for path in PATHS})

    def do(self, tree: Tree, path: str, *, is_removal: bool) -> None:
        """Publish the next version, or remove the page."""
        with self.locks[path]:
            deeds, place = self.deeds[path], parse_page(f"https://example.org{path}").place
            number = None if is_removal else 1 + sum(deed.number is not None for deed in deeds)
            began = length_of(self.log)
            if number is None:
                tree.remove(place)
            else:
                tree.publish(place, Kind.HTML, encode(version(number, path)))
            deeds.append(Deed(number, began, length_of(self.log)))

    def possible(self, path: str, length: int) -> set[int | None]:
        """What may be found if the power failed when the log was so long."""
        last: int | None = None
        under_way: set[int | None] = set()
        for deed in self.deeds[path]:
            if deed.ended <= length:
                last = deed.number
            elif deed.began <= length:
                under_way.add(deed.number)
        return {last, *under_way}


def work(tree: Tree, history: History, seed: int) -> None:
    """Publish and remove, several at once."""

    def one(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        for _ in range(WORK):
            history.do(tree, chance.choice(PATHS), is_removal=chance.random() < 0.2)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(THREADS)))


def look(directory: Path, history: History, length: int) -> dict[str, int | None]:
    """What the front finds of each page, which must be possible. Raises Torn if it is not."""
    found: dict[str, int | None] = {}
    for path in PATHS:
        found[path] = _found(directory, path)
        if found[path] not in (possible := history.possible(path, length)):
            raise Torn(f"{path} is {found[path]}, not one of {possible}")
    return found


def _found(directory: Path, path: str) -> int | None:
    try:
        return number_in(leaf_of(directory / "tree", path), path)
    except FileNotFoundError:
        return None


def start(directory: Path, way: str, found: dict[str, int | None]) -> None:
    """A process starts on what is left: no page changes by that, what was half done goes, and each can be published."""
    with closing(tree_of(directory / "tree", way)) as tree:
        tree.open()
        tree.sweep()
        for path in PATHS:
            if (number := _found(directory, path)) != found[path]:
                raise Torn(f"{path} was {found[path]}, and is {number} after a start")
            tree.publish(parse_page(f"https://example.org{path}").place, Kind.HTML, encode(version(LAST, path)))
            if (number := _found(directory, path)) != LAST:
                raise Torn(f"{path} cannot be published any more: it is {number}")
    names = [path.name for path in (directory / "tree").rglob(f"{MARK}.*")]
    # Each page has one version that its link leads to.
    if len(names) != (len(PATHS) if way == "link" else 0):
        raise Torn(f"left over: {names}")


def fail_often(disk: Disk, way: str, count: int, seed: int, tally: Tally) -> None:
    """Publish on a disk by several threads, and fail its power so many times."""
    history = History(disk.log)
    with disk.recorded() as directory, closing(tree_of(directory / "tree", way)) as tree:
        tree.open()
        work(tree, history, seed)

    def see(directory: Path, length: int) -> None:
        start(directory, way, look(directory, history, length))

    _fail(disk, see, count, random.Random(f"{seed} {disk.system.name} {way}"), f"{disk.system.name}, {way}", tally)


def fail_passes_often(disk: Disk, count: int, seed: int, tally: Tally) -> None:
    """The same under passes, whose state is on that disk as well; of what is left another pass is made.

    All is well if that pass publishes every page, and finds a state that can be read.
    """
    pages = Versions([*PATHS])
    sent: list[tuple[int, dict[str, int]]] = [(0, {})]

    async def one_pass(directory: Path) -> oneshot.Pass:
        async with ScriptedOrigin(pages=pages).running() as origin:
            config = config_of(directory, site_toml(origin.address, pages=[*pages]))
            return await oneshot.render(config, None, on_list=lambda _: None, on_result=lambda _: None)

    with disk.recorded() as directory:
        for _ in range(PASSES):
            asyncio.run(one_pass(directory))
            sent.append((length_of(disk.log), dict(pages.sent)))

    def see(directory: Path, length: int) -> None:
        least = max((numbers for at, numbers in sent if at <= length), key=len)
        for path in PATHS:
            number = _found(directory, path) or 0
            if not least.get(path, 0) <= number <= sent[-1][1][path]:
                raise Torn(f"{path} is {number}, after {least}")
        made = asyncio.run(one_pass(directory))
        outcomes = {result.outcome for result in made.results}
        if made.fault or made.notes or outcomes != {Outcome.PUBLISHED}:
            raise Torn(f"the next pass: {outcomes}, {made.fault}, {made.notes}")
        for path, number in pages.sent.items():
            if _found(directory, path) != number:
                raise Torn(f"{path} was not published by the next pass")

    _fail(disk, see, count, random.Random(f"{seed} {disk.system.name}"), f"{disk.system.name}, render --all", tally)


def _fail(
    disk: Disk, see: Callable[[Path, int], None], count: int, chance: random.Random, what: str, tally: Tally
) -> None:
    tally.counts["writes and flushes of the disks"] += len(disk.writes)
    for number in range(count):
        # One write after the other, each the same number of times.
        after = number * len(disk.writes) // count
        is_lossy = chance.random() < 0.7
        try:
            with disk.failed(after, chance if is_lossy else None) as directory:
                (directory / "tree").mkdir(exist_ok=True)  # Nothing may be there yet.
                see(directory, disk.lengths[after])
        except (Torn, OSError, StaticifyError, subprocess.SubprocessError) as error:
            lost = ", of what was not flushed some is lost" if is_lossy else ""
            tally.faults.append(f"{what}, after write {after}{lost}: {type(error).__name__}: {error}")
        tally.counts["failures" + (" that lost what was not flushed" if is_lossy else " that lost nothing")] += 1
        tally.counts["pages looked at"] += len(PATHS)


def run(count: int, seed: int, *, systems: tuple[FileSystem, ...] = FILE_SYSTEMS) -> Tally:
    """So many failures of power, of each file system and way the same number."""
    tally = Tally()
    each = count // len(systems) // (len(WAYS) + 1)
    for system in systems:
        if reason := reason_to_skip(system):
            tally.figures[reason] = "left out"
            continue
        for way in (*WAYS, "pass"):
            with tempfile.TemporaryDirectory(dir=MEMORY) as name:
                disk = Disk(system, Path(name))
                if way == "pass":
                    fail_passes_often(disk, each, seed, tally)
                else:
                    fail_often(disk, way, each, seed, tally)
    return tally
