"""The tree: published pages as files that the web server sends without running anything.

A page is one directory, its leaf, so that all variants change together. Readers see the whole old or the whole new
leaf, whatever happens and whenever (where the rules of durability stand, they say what they keep):

    1. the new leaf is built under a temporary name beside the old one; each file and the directory are fsynced;
    2. renameat2(RENAME_EXCHANGE) swaps the two (plain rename for the first leaf; a symbolic link to a versioned
       directory, replaced by rename, on a file system without exchange);
    3. the parent is fsynced before the old leaf is taken away.

Every step walks by directory descriptors from the tree's own and follows no symbolic link. Names that staticify
makes hold `urls.MARK`, which no page's path does.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from staticify.encode import Variants
from staticify.errors import TreeError, TreeLocked
from staticify.nouns import Kind
from staticify.urls import MARK, Place

_RENAME_EXCHANGE = 2
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = f"{MARK}.new-"
_VERSION = f"{MARK}.v-"
# Not 0o644 less the umask: the web server is another user and must be able to read what was published.
_FILE_MODE = 0o644
_DIRECTORY_MODE = 0o755
SUFFIXES = ("", ".gz", ".br")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Found:
    """A page that stands in the tree: its place and what its leaf holds."""

    place: Place
    kind: Kind
    mtime: int
    size_bytes: int


class Tree:
    """The tree at one path, held by one process. Open it before use and close it after; methods may block."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time, has_exchange: bool | None = None) -> None:
        self.path = path
        self._now = now
        self._has_exchange = has_exchange
        self._fd = -1
        # Guards the walk down to a leaf's parent against another thread that prunes it as empty.
        self._shape = threading.Lock()

    def open(self) -> None:
        """Make the tree's directory, take its lock, and see what its file system can do.

        Raises TreeLocked if another process has it, TreeError if it cannot be written.
        """
        try:
            self.path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._has_exchange is None:
                self._has_exchange = self._probe_exchange()
        except BlockingIOError:
            self.close()
            raise TreeLocked(
                f"another staticify works on the tree {self.path}",
                hint="A running daemon renders every page by itself; stop it first, or give this one another tree",
            ) from None
        except OSError as error:
            self.close()
            raise _explained(error, f"cannot use the tree {self.path}") from error

    def close(self) -> None:
        """Let go of the lock. Harmless if the tree is not open."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def has_exchange(self) -> bool:
        """True if leaves are swapped by RENAME_EXCHANGE, False if by symbolic links."""
        return bool(self._has_exchange)

    def publish(self, place: Place, kind: Kind, variants: Variants, *, mtime: int | None = None) -> int:
        """Make all variants appear at once. Returns their mtime, in whole seconds since the epoch.

        The mtime is later than the old leaf's by at least a second: nginx makes its ETag of mtime and length, so
        that a second edit within the same second and of the same length would answer a false 304. Pass `mtime`
        only where the identity bytes stay what they were. Raises TreeError; then the old leaf stands untouched.
        """
        parent = -1
        temporary = ""
        try:
            parent, temporary = self._begin(place)
            old_mtime = self._mtime_of(parent, place.leaf)
            if mtime is None:
                mtime = max(int(self._now()), old_mtime + 1)
            self._write_leaf(parent, temporary, kind, variants, mtime)
            if self._has_exchange:
                self._swap(parent, temporary, place.leaf, is_new=old_mtime == 0)
            else:
                self._link(parent, temporary, place.leaf)
            # Before the old leaf goes: a power failure may undo the swap, and must then find the old leaf.
            os.fsync(parent)
        except OSError as error:
            if parent >= 0 and temporary:
                _remove_all(parent, temporary)
            raise _explained(error, f"cannot publish {self.path / place.relative}") from error
        else:
            if self._has_exchange:
                _remove_all(parent, temporary)
            return mtime
        finally:
            if parent >= 0:
                os.close(parent)

    def remove(self, place: Place) -> bool:
        """Take a page out of the tree, and the directories that it leaves empty. False if it was not there."""
        with self._shape:
            try:
                parent = self._walk(place.directories, create=False)
            except FileNotFoundError:
                return False
            except OSError as error:
                raise _explained(error, f"cannot reach {self.path / place.relative}") from error
            try:
                temporary = _TEMPORARY + secrets.token_hex(8)
                try:
                    os.rename(place.leaf, temporary, src_dir_fd=parent, dst_dir_fd=parent)
                except FileNotFoundError:
                    return False
                os.fsync(parent)
                target = _link_target(parent, temporary)
                _remove_all(parent, temporary)
                if target:
                    _remove_all(parent, target)
            except OSError as error:
                raise _explained(error, f"cannot remove {self.path / place.relative}") from error
            finally:
                os.close(parent)
            self._prune(place.directories)
            return True

    def find(self, place: Place) -> Found | None:
        """What stands at a place, or None. Looks at names and times only."""
        leaf = self.path / place.relative
        for kind in Kind:
            try:
                status = os.stat(leaf / f"index.{kind}", follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue
            return Found(place, kind, int(status.st_mtime), status.st_size)
        return None

    def is_holding(self, place: Place, kind: Kind, mtime: int, size_bytes: int) -> bool:
        """True if every variant stands there with this mtime, and the identity one with this size."""
        base = f"{self.path}/{place.relative}/index.{kind}"
        try:
            identity = os.stat(base, follow_symlinks=False)
            return (int(identity.st_mtime), identity.st_size) == (mtime, size_bytes) and all(
                int(os.stat(base + suffix, follow_symlinks=False).st_mtime) == mtime for suffix in SUFFIXES[1:]
            )
        except OSError:
            return False

    def scan(self) -> Iterator[Found]:
        """Every page in the tree."""
        for host in _directories_of(self.path):
            yield from self._scan((host,))

    def sweep(self) -> int:
        """Take away what a killed process left half done. Returns how many directories went."""
        count = 0
        for directory, names, _ in os.walk(self.path):
            links = {os.path.basename(os.readlink(entry.path)) for entry in os.scandir(directory) if entry.is_symlink()}
            for name in [name for name in names if MARK in name]:
                names.remove(name)
                is_left_over = name.startswith(_TEMPORARY) or (name.startswith(_VERSION) and name not in links)
                if is_left_over:
                    parent = os.open(directory, _DIRECTORY_FLAGS)
                    try:
                        _remove_all(parent, name)
                    finally:
                        os.close(parent)
                    count += 1
        return count

    def _scan(self, directories: tuple[str, ...]) -> Iterator[Found]:
        for name in _directories_of(self.path.joinpath(*directories)):
            if name.endswith(MARK):
                found = self.find(Place(directories, name))
                if found is not None:
                    yield found
            elif MARK not in name:
                yield from self._scan((*directories, name))

    def _begin(self, place: Place) -> tuple[int, str]:
        """The parent's descriptor, and a temporary directory in it that keeps it from being pruned."""
        prefix = _TEMPORARY if self._has_exchange else _version_prefix(place.leaf)
        temporary = prefix + secrets.token_hex(8)
        with self._shape:
            parent = self._walk(place.directories, create=True)
            try:
                os.mkdir(temporary, _DIRECTORY_MODE, dir_fd=parent)
            except OSError:
                os.close(parent)
                raise
        return parent, temporary

    def _walk(self, directories: tuple[str, ...], *, create: bool) -> int:
        """A descriptor of the last directory. Follows no symbolic link."""
        fd = os.dup(self._fd)
        for name in directories:
            try:
                try:
                    below = os.open(name, _DIRECTORY_FLAGS, dir_fd=fd)
                except FileNotFoundError:
                    if not create:
                        raise
                    os.mkdir(name, _DIRECTORY_MODE, dir_fd=fd)
                    os.fsync(fd)
                    below = os.open(name, _DIRECTORY_FLAGS, dir_fd=fd)
            finally:
                os.close(fd)
            fd = below
        return fd

    def _write_leaf(self, parent: int, name: str, kind: Kind, variants: Variants, mtime: int) -> None:
        leaf = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
        try:
            os.fchmod(leaf, _DIRECTORY_MODE)
            for suffix, content in variants.by_suffix:
                file = os.open(f"index.{kind}{suffix}", _FILE_FLAGS, _FILE_MODE, dir_fd=leaf)
                try:
                    os.fchmod(file, _FILE_MODE)
                    _write_all(file, content)
                    os.utime(file, (mtime, mtime))
                    # A failed fsync is never tried again on the same file: the kernel may have dropped the pages.
                    os.fsync(file)
                finally:
                    os.close(file)
            os.fsync(leaf)
        finally:
            os.close(leaf)

    def _mtime_of(self, parent: int, leaf: str) -> int:
        """Latest mtime of the files of a leaf; 0 if there is none."""
        target = _link_target(parent, leaf) or leaf
        try:
            fd = os.open(target, _DIRECTORY_FLAGS, dir_fd=parent)
        except FileNotFoundError:
            return 0
        try:
            # A leaf without files (somebody emptied it) still needs the exchange: anything but 0.
            return max((int(os.stat(name, dir_fd=fd).st_mtime) for name in os.listdir(fd)), default=1)
        finally:
            os.close(fd)

    def _swap(self, parent: int, temporary: str, leaf: str, *, is_new: bool) -> None:
        if is_new:
            os.rename(temporary, leaf, src_dir_fd=parent, dst_dir_fd=parent)
        else:
            _exchange(parent, temporary, leaf)

    def _link(self, parent: int, version: str, leaf: str) -> None:
        old_target = _link_target(parent, leaf)
        link = _TEMPORARY + secrets.token_hex(8)
        os.symlink(version, link, dir_fd=parent)
        if not old_target and self._mtime_of(parent, leaf):
            # A real directory, from a file system that had exchange: the one swap that is not atomic.
            os.rename(leaf, link + ".old", src_dir_fd=parent, dst_dir_fd=parent)
        os.rename(link, leaf, src_dir_fd=parent, dst_dir_fd=parent)
        # A reader may stand between the link and the old files: they stay until the publish after this one.
        prefix = _version_prefix(leaf)
        for name in os.listdir(parent):
            if name.startswith(prefix) and name not in {version, old_target}:
                _remove_all(parent, name)
        _remove_all(parent, link + ".old")

    def _prune(self, directories: tuple[str, ...]) -> None:
        for depth in range(len(directories), 1, -1):
            try:
                above = self._walk(directories[: depth - 1], create=False)
            except OSError:
                return
            try:
                os.rmdir(directories[depth - 1], dir_fd=above)
            except OSError:
                return
            finally:
                os.close(above)

    def _probe_exchange(self) -> bool:
        names = [_TEMPORARY + secrets.token_hex(8) for _ in range(2)]
        try:
            for name in names:
                os.mkdir(name, _DIRECTORY_MODE, dir_fd=self._fd)
            _exchange(self._fd, *names)
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:
                return False
            raise
        else:
            return True
        finally:
            for name in names:
                with contextlib.suppress(OSError):
                    os.rmdir(name, dir_fd=self._fd)


def _exchange(parent: int, one: str, other: str) -> None:
    renameat2 = getattr(_libc, "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if renameat2(parent, os.fsencode(one), parent, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one)


def _version_prefix(leaf: str) -> str:
    return f"{_VERSION}{hashlib.sha256(leaf.encode()).hexdigest()[:12]}-"


def _link_target(parent: int, name: str) -> str:
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError:
        return ""


def _write_all(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def _remove_all(parent: int, name: str) -> None:
    """Remove a leaf, or what was begun of one. What cannot be removed is left to the next sweep."""
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
            return
        fd = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
        try:
            for file in os.listdir(fd):
                os.unlink(file, dir_fd=fd)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=parent)


def _directories_of(path: Path) -> list[str]:
    """Names of the directories, and of links to them, in a fixed order; none if the path is not there."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []


_HINTS = {
    errno.ENOSPC: "The disk is full: the pages in the tree stay as they are until there is room",
    errno.EDQUOT: "The quota is used up: the pages in the tree stay as they are until there is room",
    errno.EROFS: "The file system is mounted read-only",
    errno.EACCES: "The user that runs staticify must own the tree",
    errno.EPERM: "The user that runs staticify must own the tree",
    errno.EIO: "The disk fails: see the kernel's log",
    errno.ELOOP: "A symbolic link stands where a directory of the tree should be; take it away",
    errno.ENOTDIR: "A file or a symbolic link stands where a directory of the tree should be; take it away",
}


def _explained(error: OSError, what: str) -> TreeError:
    return TreeError(f"{what}: {error.strerror or error}", hint=_HINTS.get(error.errno or 0, ""))
