"""The tree: published pages as files that the web server sends without running anything.

A page is one directory, its leaf, so that all variants change together. Readers see the whole old or the whole new
leaf, whatever happens and whenever (where the rules of durability stand, they say what they keep):

    1. the new leaf is built under a temporary name beside the old one; each file and the directory are fsynced;
    2. renameat2(RENAME_EXCHANGE) swaps the two (plain rename for the first leaf; if links may be made, a symbolic link
       to a versioned directory, replaced by rename, on a file system without exchange);
    3. the swap is put on the disk, too, before the old leaf is taken away, a second later.

Every step walks by directory descriptors from the tree's own and follows no symbolic link. Names that staticify
makes hold `urls.MARK`, which no page's path does. Who holds the tree stands in `holding`, what the kernel does for it
in `filesystem`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from staticify.encode import Variants
from staticify.errors import TreeError
from staticify.filesystem import close, exchange, keep_swap
from staticify.holding import DIRECTORY_MODE, hold
from staticify.nouns import Kind
from staticify.urls import MARK, MAX_SEGMENTS, Place

log = logging.getLogger(__name__)

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_TEMPORARY = f"{MARK}.new-"
_VERSION = f"{MARK}.v-"
_OLD, _LEAF = ".old", ".leaf"
"""Endings of temporary names while a directory becomes a link: the old leaf, and a link that holds its name."""
# Not 0o644 less the umask: the web server is another user and must be able to read what was published.
_FILE_MODE = 0o644
LINGER_SECONDS = 1.0
"""How long a replaced leaf stays under its temporary name. nginx with disable_symlinks walks to a file step by step,
and may stand in the old leaf when the new one comes: 2 of 261,534 requests found nothing when it went at once."""
SUFFIXES = ("", ".gz", ".br")
MAX_FILE_BYTES = 2**30
"""No page is larger, whatever the configuration says (`max_bytes`): such a file is somebody else's."""
MAX_REMOVED = 10_000
"""So many removed pages are remembered, with the mtime that each had."""
_NO_DIRECTORY = frozenset({errno.ENOTDIR, errno.ELOOP})
MAX_PASSED_OVER = 100
"""So many directories that cannot be read are named in the log."""

_NOT_OURS = (FileNotFoundError, NotADirectoryError, PermissionError)
"""What may be met on a walk through the tree and is passed over: a file system's root has a lost+found, say."""

_DEEPEST = 1 + MAX_SEGMENTS
"""So many directories has a page at most, the host's among them: what lies deeper is none of ours."""


@dataclass(frozen=True, slots=True)
class Found:
    """A page that stands in the tree: its place and what its leaf holds."""

    place: Place
    kind: Kind
    mtime: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Replaced:
    """An old leaf that readers may still be in."""

    at: float
    directories: tuple[str, ...]
    name: str


class Tree:
    """The tree at one path, held by one process. Open it before use and close it after; methods may block."""

    def __init__(
        self,
        path: Path,
        *,
        may_link: bool = False,
        is_daemon: bool = False,
        now: Callable[[], float] = time.time,
        has_exchange: bool | None = None,
    ) -> None:
        self.path = path
        self._may_link = may_link
        self._is_daemon = is_daemon
        """Whether `has_daemon` is to see this one while it is open."""
        self._now = now
        self._has_exchange = self._given_exchange = has_exchange
        self._fd = -1
        # Guards the walk down to a leaf's parent against another thread that prunes it as empty, and the tree's own
        # descriptor against one that finds another directory in its place.
        self._shape = threading.Lock()
        self._replaced: deque[_Replaced] = deque()
        self._removed: dict[Place, int] = {}
        self._passed_over: set[str] = set()

    def open(self) -> None:
        """Make the tree's directory and take its lock.

        Raises TreeLocked if another process has it, TreeError if it cannot be written.
        """
        self._fd = hold(self.path, is_daemon=self._is_daemon)

    def close(self) -> None:
        """Take replaced leaves away and let go of the lock. Harmless if the tree is not open."""
        if self._fd >= 0:
            self._take_away_replaced(float("inf"))
            close(self._fd)
            self._fd = -1

    def publish(self, place: Place, kind: Kind, variants: Variants, *, mtime: int | None = None) -> int:
        """Make all variants appear at once. Returns their mtime, in whole seconds since the epoch.

        The mtime is later than the old leaf's by at least a second: nginx makes its ETag of mtime and length, so
        that a second edit within the same second and of the same length would answer a false 304. The same goes for
        a page that comes back after `remove`, as long as one process does both: what a process before this one
        removed within the same second is not known. Pass `mtime` only where the identity bytes stay what they were.

        If another directory stands at the tree's path by now, it is locked and used from here on. Raises TreeError;
        then a whole leaf stands there, the old one unless only the last fsync failed.
        """
        try:
            parent, temporary = self._begin(place)
        except OSError as error:
            raise self._given_up(place, error) from error
        try:
            try:
                old_mtime = self._mtime_of(parent, place.leaf)
                if mtime is None:
                    last_mtime = self._removed.get(place) if old_mtime is None else old_mtime
                    mtime = max(int(self._now()), last_mtime + 1 if last_mtime is not None else 0)
                self._write_leaf(parent, temporary, kind, variants, mtime)
                # A link to a version that is gone is no leaf, and has the name all the same.
                is_new = old_mtime is None and not _is_there(parent, place.leaf)
                replaced = self._put_in_place(parent, temporary, place.leaf, is_new=is_new)
            except OSError:
                _take_back(parent, temporary, place.leaf)
                raise
            # Before the old leaf goes: a power failure may undo the swap, and must then find the old leaf.
            keep_swap(parent)
        except OSError as error:
            raise self._given_up(place, error) from error
        finally:
            close(parent)
        with self._shape:
            self._removed.pop(place, None)
        now = time.monotonic()
        self._replaced.extend(_Replaced(now, place.directories, name) for name in replaced)
        self._take_away_replaced(now - LINGER_SECONDS)
        return mtime

    def _given_up(self, place: Place, error: OSError) -> TreeError:
        """Why a page could not be published; the directories that were made for it go.

        What is the disk's own matter is said of every page in the same words.
        """
        with self._shape:
            self._prune(place.directories)
        what = f"in {self.path}" if error.errno in _OF_THE_DISK else self.path / place.relative
        return TreeError.of(error, f"cannot publish {what}")

    def remove(self, place: Place) -> bool:
        """Take a page out of the tree, and the directories that it leaves empty. False if it was not there.

        Raises TreeError; then the page stands there still.
        """
        with self._shape:
            try:
                self._follow_path()
                parent = self._walk(place.directories, create=False)
            except FileNotFoundError:
                return False
            except OSError as error:
                raise TreeError.of(error, f"cannot reach {self.path / place.relative}") from error
            try:
                temporary = _TEMPORARY + secrets.token_hex(8)
                mtime = None
                with contextlib.suppress(OSError):  # Whatever stands there instead of a leaf goes all the same.
                    mtime = self._mtime_of(parent, place.leaf)
                try:
                    os.rename(place.leaf, temporary, src_dir_fd=parent, dst_dir_fd=parent)
                except FileNotFoundError:
                    return False
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise
                    # Of a lower layer of an overlay (an image's) no directory can be renamed: it goes where it stands.
                    _remove(parent, place.leaf)
                if mtime is not None:
                    self._remember(place, mtime)
                # From here on it is out, whatever else fails. A power failure may bring it back: then the next start
                # finds it there, and asks WordPress.
                try:
                    os.fsync(parent)
                except OSError as error:
                    fault = TreeError.of(error, f"{self.path / place.relative} is removed, but for a power failure")
                    log.error("a removal is not on the disk yet", extra={"reason": str(fault)})  # noqa: TRY400
                version = ""
                with contextlib.suppress(OSError):
                    # The one that this leaf is a link to, and no other: names tell nothing of whose it is.
                    version = _version_of(parent, temporary)
                for name in filter(None, (temporary, version)):
                    _remove_all(parent, name)
            except OSError as error:
                raise TreeError.of(error, f"cannot remove {self.path / place.relative}") from error
            finally:
                close(parent)
            self._prune(place.directories)
            return True

    def tidy(self) -> None:
        """Take replaced leaves away whose time is over. Each publish does it too; an idle tree needs to be told."""
        self._take_away_replaced(time.monotonic() - LINGER_SECONDS)

    def find(self, place: Place) -> Found | None:
        """What stands at a place, or None. Looks at names and times only. Raises OSError if it may not."""
        try:
            with self._leaf(place) as leaf:
                for kind in Kind:
                    status = _status_of(leaf, f"index.{kind}")
                    if status is not None:
                        return Found(place, kind, int(status.st_mtime), status.st_size)
        except FileNotFoundError:
            pass
        return None

    def is_holding(self, place: Place, kind: Kind, mtime: int, size_bytes: int) -> bool:
        """True if every variant stands there with this mtime, and the identity one with this size."""
        try:
            with self._leaf(place) as leaf:
                found = [_status_of(leaf, f"index.{kind}{suffix}") for suffix in SUFFIXES]
        except OSError:
            return False
        is_size_right = found[0] is not None and found[0].st_size == size_bytes
        return is_size_right and all(status is not None and int(status.st_mtime) == mtime for status in found)

    def read(self, place: Place, kind: Kind) -> bytes:
        """The identity variant that stands at a place. Raises OSError, FileNotFoundError if there is no such page."""
        with open(self.open_to_read(place, kind), "rb") as file:
            return file.read()

    def open_to_read(self, place: Place, kind: Kind) -> int:
        """A descriptor of the same, for the caller to close.

        What is no regular file is no page, and the next journey puts one there: a link would show what only staticify
        may read, a FIFO would keep its reader for ever, and a device never ends.
        """
        name = f"index.{kind}"
        with self._leaf(place) as leaf:
            # Looked at first: opening a device may do something. And again: it may be another one by then.
            file = os.open(name, _READ_FLAGS, dir_fd=leaf) if _status_of(leaf, name) is not None else -1
        if file >= 0 and _is_page(os.fstat(file)):
            return file
        close(file)
        raise FileNotFoundError(errno.ENOENT, "No regular file", f"{self.path}/{place.relative}/{name}")

    @contextlib.contextmanager
    def _leaf(self, place: Place) -> Iterator[int]:
        """A leaf's directory, for a reader. Raises FileNotFoundError if something else is there, a link that leads out.

        Of links, those to a version beside them are followed alone, which staticify made.
        """
        try:
            parent = self._reach(place.directories)
            try:
                leaf = _opened(parent, place.leaf)
            finally:
                close(parent)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY:
                raise
            raise FileNotFoundError(errno.ENOENT, error.strerror, f"{self.path}/{place.relative}") from error
        try:
            yield leaf
        finally:
            close(leaf)

    def scan(self) -> Iterator[Found]:
        """Every page in the tree, but for those that cannot be read. Raises TreeError if nothing can be."""
        try:
            hosts, _ = self._below(())
        except OSError as error:
            raise TreeError.of(error, f"cannot read the tree {self.path}") from error
        # In a list of our own, however deep it gets: not by calls, and no directory stays open meanwhile.
        pending: list[tuple[tuple[str, ...], str]] = [((), host) for host in reversed(hosts)]
        while pending:
            above, name = pending.pop()
            try:
                if name.endswith(MARK):
                    found = self.find(Place(above, name))
                    if found is not None:
                        yield found
                elif len(above) < _DEEPEST:
                    below, ours = self._below((*above, name))
                    names = sorted((*below, *(name for name in ours if name.endswith(MARK))), reverse=True)
                    pending.extend(((*above, name), below_it) for below_it in names)
            except OSError as error:
                self._pass_over((*above, name), error)

    def sweep(self) -> int:
        """Take away what a killed process left half done, where that can be read. Returns how many names went.

        Raises TreeError if nothing can be read.
        """
        count = 0
        pending: list[tuple[str, ...]] = [()]
        while pending:
            directories = pending.pop()
            try:
                directory = self._walk(directories, create=False)
                try:
                    below, ours = _listed(directory)
                    if len(directories) < _DEEPEST:
                        pending.extend((*directories, name) for name in below)
                    _put_back(directory, ours)
                    for name in _left_over(directory, ours):
                        _remove_all(directory, name)
                        count += 1
                finally:
                    close(directory)
            except OSError as error:
                if not directories:
                    raise TreeError.of(error, f"cannot sweep the tree {self.path}") from error
                self._pass_over(directories, error)
        return count

    def _below(self, directories: tuple[str, ...]) -> tuple[list[str], list[str]]:
        """What `_listed` says of a directory."""
        directory = self._reach(directories)
        try:
            return _listed(directory)
        finally:
            close(directory)

    def _pass_over(self, names: tuple[str, ...], error: OSError) -> None:
        """Go on without what cannot be read, for one bad directory is no reason to serve no site. Say so once."""
        path = "/".join(names)
        if isinstance(error, _NOT_OURS) or path in self._passed_over or len(self._passed_over) >= MAX_PASSED_OVER:
            return
        self._passed_over.add(path)
        fault = TreeError.of(error, f"cannot read {self.path / path}")
        log.error("a part of the tree cannot be read and is passed over", extra={"reason": str(fault)})

    def _begin(self, place: Place) -> tuple[int, str]:
        """The parent's descriptor, and a temporary directory in it that keeps it from being pruned."""
        with self._shape:
            self._follow_path()
            # Not before something is to be written: a pass in which nothing changed leaves the tree alone.
            if self._has_exchange is None:
                self._has_exchange = self._probe_exchange()
            if not (self._has_exchange or self._may_link):
                raise TreeError(
                    f"the file system of {self.path} cannot swap two directories (RENAME_EXCHANGE)",
                    hint='Put the tree on ext4, XFS, Btrfs or tmpfs; or write links = "own" into [tree], and make the '
                    "configuration of the web server and of systemd anew (`staticify config`)",
                )
            temporary = (_TEMPORARY if self._has_exchange else _VERSION) + secrets.token_hex(8)
            parent = self._walk(place.directories, create=True)
            try:
                os.mkdir(temporary, DIRECTORY_MODE, dir_fd=parent)
            except OSError:
                close(parent)
                raise
        return parent, temporary

    def _follow_path(self) -> None:
        """Go over to the directory that stands at the tree's path, if it is not the one that was opened.

        Somebody removed it, or mounted another: what is written to the old one, no reader finds, and its lock keeps
        nobody out. Raises OSError if the tree is not open.
        """
        try:
            opened = os.fstat(self._fd)
        except OSError as error:
            if error.errno == errno.EBADF:
                raise
            opened = None  # Its file system is dead (NFS: ESTALE, FUSE: ENOTCONN, XFS: EIO), and alive anew, maybe.
        try:
            standing = os.stat(self.path)
            if opened is not None and os.path.samestat(standing, opened):
                return
        except FileNotFoundError:
            pass  # Made again below, as by `open`.
        try:
            fd = hold(self.path, is_daemon=self._is_daemon)
        except TreeError as error:
            what = f"the tree {self.path} was removed or replaced under the running staticify"
            raise type(error)(f"{what}, and the new one cannot be used: {error}") from error
        close(self._fd)
        self._fd = fd
        self._has_exchange = self._given_exchange
        self._replaced.clear()
        log.warning("the tree was removed or replaced; its new directory is used", extra={"path": str(self.path)})

    def _remember(self, place: Place, mtime: int) -> None:
        self._removed.pop(place, None)
        self._removed[place] = mtime
        if len(self._removed) > MAX_REMOVED:
            del self._removed[next(iter(self._removed))]

    def _take_away_replaced(self, until: float) -> None:
        """Remove what was replaced up to a time of the monotonic clock."""
        while True:
            with self._shape:
                if not self._replaced or self._replaced[0].at > until:
                    return
                replaced = self._replaced.popleft()
                try:
                    parent = self._walk(replaced.directories, create=False)
                except OSError:
                    continue  # Went with its directory.
                try:
                    _remove_all(parent, replaced.name)
                finally:
                    close(parent)
                # The page itself may have gone in between, and could not take its directories along.
                self._prune(replaced.directories)

    def _walk(self, directories: tuple[str, ...], *, create: bool) -> int:
        """A descriptor of the last directory, for who holds the tree."""
        return _walked(os.dup(self._fd), directories, create=create)

    def _reach(self, directories: tuple[str, ...]) -> int:
        """The same for a reader, who may not hold it: from the directory that stands at the tree's path by now."""
        return _walked(os.open(self.path, _DIRECTORY_FLAGS & ~os.O_NOFOLLOW), directories, create=False)

    def _write_leaf(self, parent: int, name: str, kind: Kind, variants: Variants, mtime: int) -> None:
        leaf = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
        try:
            os.fchmod(leaf, DIRECTORY_MODE)
            with contextlib.ExitStack() as open_files:
                files = []
                for suffix, content in variants.by_suffix:
                    file = os.open(f"index.{kind}{suffix}", _FILE_FLAGS, _FILE_MODE, dir_fd=leaf)
                    open_files.callback(close, file)
                    files.append(file)
                    os.fchmod(file, _FILE_MODE)
                    _write_all(file, content)
                    os.utime(file, (mtime, mtime))
                # After the last write: the file system's journal takes all files to the disk at once.
                for file in files:
                    # A failed fsync is never tried again on the same file: the kernel may have dropped the pages.
                    os.fsync(file)
            os.fsync(leaf)
        finally:
            close(leaf)

    def _mtime_of(self, parent: int, leaf: str) -> int | None:
        """Latest mtime of the files of a leaf, 0 for one that somebody emptied; None if there is no leaf."""
        try:
            fd = _opened(parent, leaf)
        except FileNotFoundError:
            return None
        try:
            statuses = (os.stat(name, dir_fd=fd, follow_symlinks=False) for name in os.listdir(fd))
            return max((int(status.st_mtime) for status in statuses), default=0)
        finally:
            close(fd)

    def _put_in_place(self, parent: int, built: str, leaf: str, *, is_new: bool) -> list[str]:
        """Make what was built the leaf. Returns the names that may go once that is on disk."""
        if not self._has_exchange:
            return self._link(parent, built, leaf, is_new=is_new)
        if is_new:
            os.rename(built, leaf, src_dir_fd=parent, dst_dir_fd=parent)
            return []
        exchange(parent, built, leaf)
        return [built]

    def _link(self, parent: int, version: str, leaf: str, *, is_new: bool) -> list[str]:
        old_version = _version_of(parent, leaf)
        link = _TEMPORARY + secrets.token_hex(8)
        os.symlink(version, link, dir_fd=parent)
        try:
            if not (is_new or old_version):
                return _convert(parent, link, leaf)
            os.rename(link, leaf, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError:
            _remove_all(parent, link)
            raise
        return [old_version] if old_version else []

    def _prune(self, directories: tuple[str, ...]) -> None:
        for depth in range(len(directories), 1, -1):
            try:
                above = self._walk(directories[: depth - 1], create=False)
                try:
                    os.rmdir(directories[depth - 1], dir_fd=above)
                finally:
                    close(above)
            except FileNotFoundError:
                continue  # Never made: those above it may have been.
            except OSError:
                return

    def _probe_exchange(self) -> bool:
        names = [_TEMPORARY + secrets.token_hex(8) for _ in range(2)]
        try:
            for name in names:
                os.mkdir(name, DIRECTORY_MODE, dir_fd=self._fd)
            exchange(self._fd, *names)
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


def _walked(fd: int, directories: tuple[str, ...], *, create: bool) -> int:
    """A descriptor of the last directory, in exchange for that of the first. Follows no symbolic link."""
    for name in directories:
        try:
            try:
                below = os.open(name, _DIRECTORY_FLAGS, dir_fd=fd)
            except FileNotFoundError:
                if not create:
                    raise
                below = _make_directory(fd, name)
        finally:
            close(fd)
        fd = below
    return fd


def _make_directory(parent: int, name: str) -> int:
    # It has its mode before its name: were the process killed in between, a strict umask would keep the web server out
    # of it for ever.
    temporary = _TEMPORARY + secrets.token_hex(8)
    os.mkdir(temporary, DIRECTORY_MODE, dir_fd=parent)
    fd = -1
    try:
        fd = os.open(temporary, _DIRECTORY_FLAGS, dir_fd=parent)
        os.fchmod(fd, DIRECTORY_MODE)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        os.fsync(parent)
    except OSError:
        close(fd)
        _remove_all(parent, temporary)
        raise
    return fd


def _convert(parent: int, link: str, leaf: str) -> list[str]:
    """Put a link where a real directory is, from a file system that had exchange: the one swap that is not atomic.

    Returns what may go then. Should the process be killed before the second rename, `_put_back` has what it needs.
    """
    old, name = link + _OLD, link + _LEAF
    os.symlink(leaf, name, dir_fd=parent)
    try:
        os.rename(leaf, old, src_dir_fd=parent, dst_dir_fd=parent)
        os.rename(link, leaf, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError:
        # Looked at, not concluded: see `_take_back`.
        if _is_there(parent, old) and not _is_there(parent, leaf):
            os.rename(old, leaf, src_dir_fd=parent, dst_dir_fd=parent)
        elif _is_there(parent, old):
            keep_swap(parent)
        # Before it goes, the leaf stands: as it was, or as the link, and then as below.
        _remove_all(parent, name)
        raise
    # No later than that is on the disk: if the page is removed before the old leaf goes, nothing may put it back.
    keep_swap(parent)
    _remove_all(parent, name)
    return [old]


def _take_back(parent: int, built: str, leaf: str) -> None:
    """Remove what was built, unless the leaf is a link to it by now.

    Over a network, a rename may be done and its answer lost. If it cannot be known, the next sweep will know.
    """
    with contextlib.suppress(OSError):
        if _version_of(parent, leaf) != built:
            _remove_all(parent, built)


def _put_back(directory: int, names: list[str]) -> None:
    """Give an old leaf its name again if nothing has taken its place."""
    for old in [name for name in names if name.startswith(_TEMPORARY) and name.endswith(_OLD)]:
        leaf = _target_of(directory, old.removesuffix(_OLD) + _LEAF)
        if leaf.endswith(MARK) and "/" not in leaf and not _is_there(directory, leaf):
            os.rename(old, leaf, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
            names.remove(old)


def _version_of(parent: int, leaf: str) -> str:
    """Name of the versioned directory that a leaf is a link to; empty if it is none, or somebody else's link."""
    target = _target_of(parent, leaf)
    return target if target.startswith(_VERSION) and "/" not in target else ""


def _opened(parent: int, leaf: str) -> int:
    """A descriptor of a leaf's directory, or of the version that it is a link to."""
    try:
        return os.open(leaf, _DIRECTORY_FLAGS, dir_fd=parent)
    except OSError as error:
        version = _version_of(parent, leaf) if error.errno in _NO_DIRECTORY else ""
        if not version:
            raise
    return os.open(version, _DIRECTORY_FLAGS, dir_fd=parent)


def _target_of(parent: int, link: str) -> str:
    """What a symbolic link holds; empty if there is none of that name."""
    try:
        return os.readlink(link, dir_fd=parent)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOENT}:
            raise  # Not "no link": a page whose link cannot be read just now would be swept away.
        return ""


def _left_over(directory: int, names: list[str]) -> list[str]:
    """Those of our own names in a directory that no page is made of, links to a version that is gone among them."""
    versions = {name: _version_of(directory, name) for name in names if not name.startswith(_TEMPORARY)}
    live = set(versions.values())
    # A list of names may lack one (NFS): before a link goes, its version is looked for.
    dead = {name for name, version in versions.items() if version and not _is_there(directory, version)}
    return [
        name
        for name in names
        if name.startswith(_TEMPORARY) or name in dead or (name.startswith(_VERSION) and name not in live)
    ]


def _write_all(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def _remove_all(parent: int, name: str) -> None:
    """Remove a leaf, or what was begun of one. What cannot be removed is left to the next sweep."""
    with contextlib.suppress(OSError):
        _remove(parent, name)


def _remove(parent: int, name: str) -> None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent)
        return
    fd = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
    try:
        for file in os.listdir(fd):
            os.unlink(file, dir_fd=fd)
    finally:
        close(fd)
    os.rmdir(name, dir_fd=parent)


def _status_of(leaf: int, name: str) -> os.stat_result | None:
    """Of a file of a page; None if there is none."""
    try:
        status = os.stat(name, dir_fd=leaf, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status if _is_page(status) else None


def _is_page(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size <= MAX_FILE_BYTES


def _is_there(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _listed(directory: int) -> tuple[list[str], list[str]]:
    """Names of the directories that lie below, no links, and of all that staticify made, whatever it is."""
    below, ours = [], []
    with os.scandir(directory) as entries:
        for entry in entries:
            if MARK in entry.name:
                ours.append(entry.name)
            elif entry.is_dir(follow_symlinks=False):
                below.append(entry.name)
    return sorted(below), sorted(ours)


_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""No page's own fault, and no other page would do better."""
