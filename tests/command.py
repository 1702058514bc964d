"""The command as a user starts it: a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stage import until


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    status: int | None
    out: str
    err: str


async def staticify(directory: Path, *arguments: str, **environment: str) -> Done:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "staticify.cli", *arguments,
        cwd=directory,
        env=os.environ | {"COLUMNS": "100"} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Done(process.returncode, out.decode(), err.decode())


@dataclass
class Running:
    """A daemon that runs."""

    process: asyncio.subprocess.Process
    log_path: Path

    def log(self) -> str:
        return self.log_path.read_text()

    def lines(self, word: str) -> list[str]:
        return [line for line in self.log().splitlines() if word in line]

    async def logged(self, word: str, *, count: int = 1) -> list[str]:
        """Wait until so many lines of the log hold the word."""
        await until(lambda: len(self.lines(word)) >= count or self.process.returncode is not None)
        assert len(self.lines(word)) >= count, self.log()
        return self.lines(word)

    async def stop(self, *, seconds: float = 15.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), seconds)


@asynccontextmanager
async def daemon(directory: Path, **environment: str) -> AsyncIterator[Running]:
    """`staticify run` on the configuration in the directory, ended by force if the test did not end it."""
    log_path = directory / "daemon.log"
    with log_path.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-m", "staticify.cli", "run",
            cwd=directory, env=os.environ | environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield Running(process, log_path)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
