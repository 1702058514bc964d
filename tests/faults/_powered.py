"""File systems whose disk writes down what is done to it, and what is left of them when its power fails."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults._recorder import NAME, Write, read

SECTOR_BYTES = 4096
"""A disk writes so much as a whole or not at all: ext4 and Btrfs rely on it for their superblocks."""
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
_RECORDER = Path(__file__).with_name("_recorder.py")


@dataclass(frozen=True)
class FileSystem:
    """One that the tree may stand on."""

    name: str
    make: tuple[str, ...]
    megabytes: int
    options: str = "loop"


FILE_SYSTEMS = (
    FileSystem("ext4", ("mkfs.ext4", "-q"), 16),
    # Data of a file may come to the disk after its name.
    FileSystem("ext4, data=writeback", ("mkfs.ext4", "-q"), 16, "loop,data=writeback"),
    FileSystem("xfs", ("mkfs.xfs", "-q"), 300, "loop,nouuid"),
    FileSystem("btrfs", ("mkfs.btrfs", "-q", "-d", "single", "-m", "single"), 120),
)


def call(*command: str | Path) -> None:
    """Run a program that says nothing. Raises CalledProcessError."""
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@contextmanager
def mounted(image: Path, system: FileSystem) -> Iterator[Path]:
    """The file system in an image."""
    with tempfile.TemporaryDirectory() as name:
        call("mount", "-o", system.options, image, name)
        try:
            yield Path(name)
        finally:
            call("umount", name)


@contextmanager
def recorded(image: Path, log: Path, system: FileSystem) -> Iterator[Path]:
    """The same, on a disk that writes down what is done to it."""
    with (
        tempfile.TemporaryDirectory() as name,
        subprocess.Popen([sys.executable, _RECORDER, image, log, name], stderr=subprocess.PIPE) as recorder,
    ):
        try:
            _wait_for(Path(name, NAME), recorder)
            with mounted(Path(name, NAME), system) as directory:
                yield directory
        finally:
            # Its device goes once the kernel has let go of the file system, which may be a moment later.
            subprocess.run(["umount", "--lazy", name], check=False, capture_output=True, timeout=60)
            try:
                recorder.wait(60)
            finally:
                recorder.kill()


def _wait_for(file: Path, recorder: subprocess.Popen[bytes]) -> None:
    for _ in range(1000):
        if file.exists():
            return
        if recorder.poll() is not None:
            assert recorder.stderr is not None
            raise OSError(recorder.stderr.read().decode()[-300:])
        time.sleep(0.01)
    raise OSError("the disk did not come up")


def make(image: Path, system: FileSystem) -> None:
    """An empty file system."""
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(system.megabytes << 20)
    call(*system.make, image)
    # A journal of 64 MB of zeros is copied with every failure.
    call("fallocate", "--dig-holes", image)


def reason_to_skip(system: FileSystem) -> str:
    """Why there can be no such disk here; empty if there can."""
    if os.geteuid() != 0 or shutil.which("mount") is None or not Path("/dev/fuse").exists():
        return "only root may mount a file system, and needs FUSE"
    if shutil.which(system.make[0]) is None:
        return f"no {system.make[0]}"
    try:
        with tempfile.TemporaryDirectory(dir=MEMORY) as name:
            make(image := Path(name, "image"), system)
            with recorded(image, Path(name, "log"), system):
                return ""
    except (OSError, subprocess.SubprocessError) as error:
        return f"no {system.name} can be recorded here: {error}"


class Disk:
    """A file system in an image, what was written to it once, and what would be left of that."""

    def __init__(self, system: FileSystem, directory: Path) -> None:
        self.system = system
        self.log = directory / "log"
        self.writes: list[Write] = []
        self.lengths = [0]
        """How long the log was after so many writes."""
        self._before, self._image, self._failed = directory / "before", directory / "image", directory / "failed"
        make(self._before, system)

    @contextmanager
    def recorded(self) -> Iterator[Path]:
        """The file system, to be worked on this once."""
        call("cp", "--sparse=always", self._before, self._image)
        with recorded(self._image, self.log, self.system) as directory:
            yield directory
        for length, write in read(self.log):
            self.lengths.append(length)
            self.writes.append(write)

    @contextmanager
    def failed(self, count: int, chance: random.Random | None) -> Iterator[Path]:
        """What is left if the power fails after so many writes; by chance, without what was not flushed."""
        with mounted(self.after(count, chance), self.system) as directory:
            yield directory

    def after(self, count: int, chance: random.Random | None) -> Path:
        """An image of that."""
        call("cp", "--sparse=always", self._before, self._failed)
        with self._failed.open("r+b", buffering=0) as file:
            for write in left_of(self.writes[:count], chance):
                file.seek(write.offset)
                file.write(write.content)
        return self._failed


def left_of(writes: list[Write], chance: random.Random | None) -> Iterator[Write]:
    """What is on the disk once its power fails: all, or, by chance, not all that was written after the last flush."""
    flushed = max((number for number, write in enumerate(writes) if write.is_flush), default=0)
    for number, write in enumerate(writes):
        size = len(write.content)
        if number > flushed and chance is not None:
            size = chance.choices([size, 0, SECTOR_BYTES * chance.randrange(1 + size // SECTOR_BYTES)], [5, 4, 1])[0]
        if size:
            yield Write(write.offset, write.content[:size])
