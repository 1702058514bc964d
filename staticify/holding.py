"""Who holds a tree: one process at a time, the user that it belongs to, and whether that process is a daemon."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import struct
from pathlib import Path

from staticify.errors import TreeError, TreeLocked
from staticify.filesystem import close

DIRECTORY_MODE = 0o755

_WHOLE_FILE = struct.Struct("hhqqi4x")
"""struct flock of fcntl(2), for a lock on all of a file: its type, and nothing else that matters."""


def hold(path: Path, *, is_daemon: bool) -> int:
    """A descriptor of the directory, which is made if it is not there, and its lock. Raises TreeError."""
    fd = -1
    try:
        _make(path)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_daemon:
            # That one keeps others out, and who would ask for it has to take it; this one is there to be seen.
            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE_FILE.pack(fcntl.F_RDLCK, 0, 0, 0, 0))
        _check_writable(fd)
    except OSError as error:
        if fd >= 0:
            close(fd)
        if isinstance(error, BlockingIOError):
            raise TreeLocked(
                f"another staticify works on the tree {path}",
                hint="A running daemon renders every page by itself, and at once what `staticify purge` names; stop it "
                "first, or give this one another tree",
            ) from None
        raise TreeError.of(error, f"cannot use the tree {path}") from error
    return fd


def _make(path: Path) -> None:
    """Make the directory if it is not there, and those above it, so that the web server may enter: no umask counts."""
    for directory in (*reversed(path.parents), path):
        if not directory.is_dir():
            directory.mkdir(exist_ok=True)
            directory.chmod(DIRECTORY_MODE)


def has_daemon(path: Path) -> bool:
    """True if a daemon has the tree at a path. Takes no lock itself: one that starts meanwhile would meet it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        wanted = _WHOLE_FILE.pack(fcntl.F_WRLCK, 0, 0, 0, 0)
        found: int = _WHOLE_FILE.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, wanted))[0]
    except OSError:
        return False
    else:
        return found != fcntl.F_UNLCK
    finally:
        close(fd)


def check_owner(path: Path) -> None:
    """Raise TreeError for root where the tree is another user's, who could not replace what root makes in it."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return  # Not there yet; what else is wrong with it, `Tree.open` says.
    if os.geteuid() == 0 != owner:
        name = user_name(owner)
        raise TreeError(
            f"the tree {path} belongs to the user {name}, who could not replace what root writes there",
            hint=f"Run it as that user: runuser -u {name} -- staticify ...",
        )


def user_name(number: int) -> str:
    """What a user is called; the number itself, if that is all there is."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _check_writable(fd: int) -> None:
    """Raise OSError if nothing can be made in a directory, without making anything."""
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=fd, effective_ids=True):
        number = errno.EROFS if os.fstatvfs(fd).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(number, os.strerror(number))
