"""What Linux's file systems can do, and the os module has no name for."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from pathlib import Path

_RENAME_EXCHANGE = 2  # linux/fs.h
_BTRFS_MAGIC = 0x9123683E  # linux/magic.h
_ST_NOSYMFOLLOW = 0x2000  # linux/statfs.h

_libc = ctypes.CDLL(None, use_errno=True)


def is_nosymfollow(path: Path) -> bool:
    """True if the kernel follows no symbolic link at or below this directory (mount(8), nosymfollow; Linux 5.10)."""
    try:
        return bool(os.statvfs(path).f_flag & _ST_NOSYMFOLLOW)
    except OSError:
        return False


def exchange(parent: int, one: str, other: str) -> None:
    """Swap two names of a directory at once (renameat2(2), RENAME_EXCHANGE). Raises OSError."""
    renameat2 = getattr(_libc, "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if renameat2(parent, os.fsencode(one), parent, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one)


def keep_swap(parent: int) -> None:
    """Put the names in a directory on the disk, after one was swapped. Raises OSError.

    Btrfs writes what is fsynced to a log of its own, and one with some swaps in it Linux 6.18 cannot replay: after a
    power failure the whole file system could not be mounted (`python tests/long.py power`). So there a transaction is
    committed, which needs no log, at the price of writing what else is to be written on that file system.
    """
    if not _is_btrfs(parent):
        os.fsync(parent)
    elif _libc.syncfs(parent) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _is_btrfs(directory: int) -> bool:
    status = ctypes.create_string_buffer(256)  # struct statfs, of 120 bytes at most
    if _libc.fstatfs(directory, status) != 0:
        return False
    # What it begins with has the 64 bits of a long, or 32: on 32-bit processors, where it may be negative, and s390x.
    return _BTRFS_MAGIC in {size.from_buffer(status).value for size in (ctypes.c_ulong, ctypes.c_uint32)}


def close(fd: int) -> None:
    """Close a descriptor. Whatever is said of that changes nothing: what must last was fsynced before."""
    with contextlib.suppress(OSError):
        os.close(fd)
