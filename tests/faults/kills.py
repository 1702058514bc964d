"""kill -9 at random moments of passes in which every page changes: pages whole, and ready again within a second.

The origin gives each page a new version each time, so that a process is always in the middle of many publishes. Each
kill ends a daemon that was ready and at work, one that was just starting, or a `staticify render --all`.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from command import Running, daemon
from scripted_origin import ScriptedOrigin
from stage import config_of, leaf_of, site_toml
from tally import Tally, quantiles
from versions import Torn, Versions, number_in

from staticify.errors import TreeError
from staticify.tree import Tree
from staticify.urls import MARK

COUNT = 1000
"""Kills."""
PAGES = 1000
READY_SECONDS = 1.0
"""The promise, for so many pages: from the start of the process to READY=1, on a machine that does nothing else."""
MOST_SECONDS_TO_READY = 20.0
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where fsync costs nothing: more is published between two kills, and what is written survives a kill anywhere."""
WORKING_SECONDS = 0.5
"""A daemon is killed so long after READY at most."""
STARTING_SECONDS = 0.6
RENDERING_SECONDS = 1.2


@dataclass
class Killer:
    """A tree, an origin for it, and what was found after each kill."""

    directory: Path
    pages: Versions
    chance: random.Random
    tally: Tally
    seconds_to_ready: list[float] = field(default_factory=list)
    own_seconds: list[float] = field(default_factory=list)
    """The same less what it waited for processors that others had: what a machine of its own would make of it."""
    newest: dict[str, int] = field(default_factory=dict)
    """The version of each page after the last kill."""
    left_over: set[str] = field(default_factory=set)

    @property
    def tree(self) -> Path:
        return self.directory / "tree"

    async def working(self) -> None:
        """Kill a daemon that works."""
        async with self._daemon() as (running, manager):
            if await self._ready(running, manager):
                self._see_swept()
                await asyncio.sleep(self.chance.uniform(0, WORKING_SECONDS))
                self.tally.counts["kills of a daemon at work"] += 1

    async def starting(self) -> None:
        """Kill a daemon that may not be ready yet."""
        async with self._daemon():
            await asyncio.sleep(self.chance.uniform(0, STARTING_SECONDS))
            self.tally.counts["kills of a daemon that starts"] += 1

    async def rendering(self) -> None:
        """Kill a pass."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "staticify.cli", "render", "--all",
            cwd=self.directory, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await asyncio.sleep(self.chance.uniform(0, RENDERING_SECONDS))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        self.tally.counts["kills of staticify render --all"] += 1

    @asynccontextmanager
    async def _daemon(self) -> AsyncIterator[tuple[Running, socket.socket]]:
        address = self.directory / "notify"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(address))
            manager.setblocking(False)
            async with daemon(self.directory, NOTIFY_SOCKET=str(address)) as running:
                yield running, manager

    async def _ready(self, running: Running, manager: socket.socket) -> bool:
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            said = await asyncio.wait_for(loop.sock_recv(manager, 4096), MOST_SECONDS_TO_READY)
        except TimeoutError:
            said = b""
        if not said.startswith(b"READY=1"):
            self.tally.faults.append(f"not ready: {said!r}, exit status {running.process.returncode}: {running.log()}")
            return False
        seconds = time.monotonic() - started
        self.seconds_to_ready.append(seconds)
        self.own_seconds.append(seconds - _waited_seconds(running.process.pid))
        return True

    def _see_swept(self) -> None:
        """What was left over by the last kill is gone as soon as the next process is ready."""
        standing = self.left_over & self._temporary()
        if standing:
            self.tally.faults.append(f"not swept: {sorted(standing)[:3]}")
        self.tally.counts["names left over, and swept"] += len(self.left_over)

    def _temporary(self) -> set[str]:
        return {
            os.path.join(directory, name)
            for directory, below, files in os.walk(self.tree)
            for name in (*below, *files)
            if name.startswith((f"{MARK}.new-", f"{MARK}.v-"))
        }

    def look(self) -> None:
        """Every page, now that nobody writes."""
        counts = self.tally.counts
        for path in self.pages:
            before = self.newest.get(path, 0)
            try:
                number = number_in(leaf_of(self.tree, path), path)
            except FileNotFoundError:
                number = 0
            except Torn as error:
                self.tally.faults.append(f"{path}: {error}")
                continue
            if number < before:
                self.tally.faults.append(f"{path}: version {number} after {before}")
            counts["pages looked at"] += 1
            counts["of them new since the last kill"] += number > before
            self.newest[path] = number
        self.left_over = self._temporary()
        counts["kills that left something over"] += bool(self.left_over)

    def see_usable(self) -> None:
        """At the end somebody else can use the tree, and finds every page."""
        tree = Tree(self.tree)
        try:
            tree.open()
            tree.sweep()
            found = len(list(tree.scan()))
        except TreeError as error:
            self.tally.faults.append(str(error))
        else:
            if found != sum(number > 0 for number in self.newest.values()) or self._temporary():
                self.tally.faults.append(f"at the end {found} pages, and {len(self._temporary())} names left over")
        finally:
            tree.close()


def _waited_seconds(process: int) -> float:
    """How long a process could have gone on, but for others that had the processors (proc(5), schedstat)."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9


async def kill(count: int, seed: int, pages: int) -> Tally:
    """So many kills, one after the other, on one tree."""
    tally, chance = Tally(), random.Random(seed)
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        versions = Versions([f"/{number % 20}/{number}/" for number in range(pages)])
        killer = Killer(Path(name), versions, chance, tally)
        async with ScriptedOrigin(pages=versions).running() as origin:
            site = site_toml(origin.address, pages=[*versions], interval="1s", concurrency=8)
            config_of(killer.directory, '[log]\nlevel = "warning"\n', site)
            whole = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "staticify.cli", "render", "--all",
                cwd=killer.directory, stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            assert await whole.wait() == 0
            killer.look()
            for _ in range(count):
                how = chance.choices([killer.working, killer.starting, killer.rendering], [6, 2, 2])[0]
                await how()
                killer.look()
                origin.requests.clear()
        killer.see_usable()
        log = (killer.directory / "daemon.log").read_text()
        # On a slow machine a pass takes longer than the interval of a second, and that is said.
        tally.faults += [line for line in log.splitlines() if " error " in line and "older than the bound" not in line]
    tally.figures[f"from start to ready, {pages:,} pages"] = quantiles(killer.seconds_to_ready)
    tally.figures["of these not waiting for a processor"] = quantiles(killer.own_seconds)
    if late := sum(seconds > READY_SECONDS for seconds in killer.own_seconds):
        tally.faults.append(f"{late} of {len(killer.own_seconds)} starts took longer than {READY_SECONDS} s")
    return tally


def run(count: int, seed: int, *, pages: int = PAGES) -> Tally:
    """So many kills."""
    return asyncio.run(kill(count, seed, pages))
