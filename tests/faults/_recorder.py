"""A disk in a file that writes down, in order, what the kernel does to it: each write, and each flush.

    python _recorder.py IMAGE LOG DIRECTORY

The directory holds one file, `disk`, which is the image (FUSE), for a loop device to stand on. Ends when it is
unmounted.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mfusepy import Operations
else:
    try:
        from mfusepy import Operations
    except OSError:  # There is no libfuse here, and the run says so.
        Operations = object

NAME = "disk"
_HEAD = struct.Struct("=QI")
"""Where on the disk, and how many bytes follow; a flush has none."""


@dataclass(frozen=True, slots=True)
class Write:
    """What went to the disk at once."""

    offset: int
    content: bytes

    @property
    def is_flush(self) -> bool:
        """True for none at all: an order to keep all that came before, whatever happens."""
        return not self.content


def length_of(log: Path) -> int:
    """How far a log is by now."""
    return log.stat().st_size


def read(log: Path) -> Iterator[tuple[int, Write]]:
    """Each write, and how far the log was after it."""
    content = memoryview(log.read_bytes())
    at = 0
    while at < len(content):
        offset, size = _HEAD.unpack_from(content, at)
        at += _HEAD.size + size
        yield at, Write(offset, bytes(content[at - size : at]))


class Recorder(Operations):  # type: ignore[misc,unused-ignore]  # Any where there is no libfuse
    """The file system with the one file."""

    use_ns = True

    def __init__(self, image: Path, log: Path) -> None:
        self._image = os.open(image, os.O_RDWR)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._size = image.stat().st_size

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:  # noqa: ARG002  its library's names
        """Of the directory, or of the file."""
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path == f"/{NAME}":
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self._size}
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:  # noqa: ARG002
        """From the image."""
        return os.pread(self._image, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:  # noqa: ARG002
        """To the log, and to the image."""
        os.write(self._log, _HEAD.pack(offset, len(data)) + data)
        return os.pwrite(self._image, data, offset)

    def fsync(self, path: str, datasync: int, fh: int) -> int:  # noqa: ARG002
        """The device's order to flush its cache."""
        os.write(self._log, _HEAD.pack(0, 0))
        return 0


def main() -> None:
    """Serve until unmounted."""
    from mfusepy import FUSE

    image, log, directory = sys.argv[1:]
    FUSE(Recorder(Path(image), Path(log)), directory, foreground=True, nothreads=True)


if __name__ == "__main__":
    main()
