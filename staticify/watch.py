"""What changes in the file system, as hints: batches of paths, and an honest word when some may be missing.

Built on watchdog's inotify reader. Its observers are not used: above the reader they pass over a subfolder for which no
watch is left, hear neither of a folder that is renamed away nor of an unmount, and queue without a bound. So:

- One thread reads the kernel's events (watchdog's InotifyFD) and only notes them, in sets of bounded size.
- One thread does the rest: it watches new folders and then lists them (what was made before the watch stood), looks
  each second whether a place still is what is watched, and hands a batch to the event loop when its place is quiet.

The look each second notices what inotify does not tell: a link that leads elsewhere, a file system mounted over a
place, a parent renamed. Not noticed: what another host does on a network file system, what is written through mmap, a
file system mounted over a folder below a place. A sweep has to find these.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import os
import stat
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask, WatchDescriptor

from staticify.errors import WatchError

log = logging.getLogger(__name__)

MAX_PATHS = 1000
"""Of one batch; more are no longer told apart."""
CHECK_SECONDS = 1.0
"""How often a place is looked at besides its events."""
POLL_SECONDS = 60.0
"""How often a place is gone through for which no inotify watches are left."""
TICK_SECONDS = 0.05
"""Rounds of work, and with them batches, come no closer together than this."""
MAX_LINKS = 1000
"""Links to files, of one place, whose targets are looked at each second."""
MAX_NAMES = 8
"""Links of one place that are followed to the same folder: a tangle of links is finite so."""
STOP_SECONDS = 5.0

_CONTENT = (
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE
)
# One mask for all: to watch a folder again, for another place, replaces its mask.
_MASK = Mask(
    _CONTENT
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_EXCL_UNLINK
)
_LIMIT_HINT = "Raise the sysctl fs.inotify.max_user_watches (in a container: on its host)"
_INSTANCE_HINT = "Raise the sysctl fs.inotify.max_user_instances, or the number of files that the process may open"


@dataclass(frozen=True, slots=True)
class Batch:
    """What changed in one place since its last batch."""

    name: str
    paths: frozenset[Path]
    """Files that were made, written, moved or deleted, below the place's path as it was given; at most MAX_PATHS."""
    is_lost: bool
    """Events may be missing: everything in this place may have changed."""


class Watch:
    """Watches folders, with all that is in them, and single files. Started once, stopped once, read by one reader.

    What a path stands for is seen by looking, and may change. A folder that is not there, or cannot be read, is watched
    when it can be. Links are followed, and what changes behind them is told under the names that lead there.

    At a limit of inotify `start` raises. A folder that meets the limit later is gone through each POLL_SECONDS instead,
    and tells only that something changed, until watches are to be had again.
    """

    def __init__(
        self,
        places: Mapping[str, Path],
        *,
        quiet_seconds: float = 0.5,
        max_wait_seconds: float = 2.0,
        patience: Mapping[str, float] | None = None,
    ) -> None:
        """`max_wait_seconds` is for places that are never quiet; `patience` the same for some of them, by name."""
        self._wake = threading.Event()
        self._places = [_Place(name, str(path), self._wake) for name, path in places.items()]
        self._quiet_seconds = quiet_seconds
        self._max_wait_seconds = dict.fromkeys(places, max_wait_seconds) | dict(patience or {})
        self._is_stopping = threading.Event()
        self._thread: threading.Thread | None = None
        # The event loop's side. At most one batch a place waits for a reader, however slow that is.
        self._ready: dict[str, Batch] = {}
        self._news = asyncio.Event()
        self._ended = asyncio.Event()

    async def start(self) -> None:
        """Watch. What changes after this returned is heard of. Raises WatchError at a limit of inotify."""
        loop = asyncio.get_running_loop()
        started: asyncio.Future[None] = loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(loop, started), name="watch", daemon=True)
        self._thread.start()
        try:
            await started
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the threads and the iteration; what was heard of by now is still given."""
        self._is_stopping.set()
        self._wake.set()
        if self._thread is not None:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._ended.wait()
                self._thread.join()
            except TimeoutError:
                # The thread is a daemon: the process can end without it.
                log.warning("the file watch does not end; a file system may hang")
        self._end()

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self.batches()

    async def batches(self) -> AsyncIterator[Batch]:
        """The batches as they come, until the watch is stopped. Those of one place are merged while nobody reads."""
        while True:
            while self._ready:
                yield self._ready.pop(next(iter(self._ready)))
            if self._ended.is_set():
                return
            self._news.clear()
            await self._news.wait()

    def _end(self) -> None:
        self._ended.set()
        self._news.set()

    def _deliver(self, batch: Batch) -> None:
        waiting = self._ready.get(batch.name)
        self._ready[batch.name] = batch if waiting is None else _merged(waiting, batch)
        self._news.set()

    def _run(self, loop: asyncio.AbstractEventLoop, started: asyncio.Future[None]) -> None:
        """The worker thread."""

        def call(function: Callable[..., object], *args: object) -> None:
            # A loop that is closed has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(function, *args)

        kernel: _Kernel | None = None
        try:
            kernel = _Kernel(self._is_stopping)
            for place in self._places:
                kernel.look(place, is_first=True)
            call(_answer, started, None)
            while not self._is_stopping.is_set():
                self._wake.wait(self._idle_seconds())
                self._wake.clear()
                if not kernel.is_alive():
                    kernel = self._renewed(kernel)
                for batch in self._round(kernel):
                    call(self._deliver, batch)
                self._is_stopping.wait(TICK_SECONDS)
            for batch in self._pending():
                call(self._deliver, batch)
        except BaseException as error:
            if not started.done():
                call(_answer, started, error)
            else:
                log.exception("the file watch ends")
        finally:
            if kernel is not None:
                kernel.close()
            call(self._end)

    def _renewed(self, kernel: _Kernel) -> _Kernel:
        """Another hand, in place of one whose reader died: without it nothing would be heard, and nobody would know."""
        try:
            renewed = _Kernel(self._is_stopping)
        except WatchError:
            log.exception("file events cannot be read")
            self._is_stopping.wait(CHECK_SECONDS)
            return kernel
        kernel.close()
        for place in self._places:
            place.forget()
            place.lose("the reader of events ended")
        return renewed

    def _idle_seconds(self) -> float:
        now = time.monotonic()
        waits = [self._due(place) - now for place in self._places if place.is_pending]
        return max(0.0, min([CHECK_SECONDS, *waits]))

    def _due(self, place: _Place) -> float:
        return min(place.last + self._quiet_seconds, place.first + self._max_wait_seconds[place.name])

    def _pending(self) -> Iterator[Batch]:
        """What was heard and had not been quiet for long enough."""
        return (place.take() for place in self._places if place.is_pending)

    def _round(self, kernel: _Kernel) -> Iterator[Batch]:
        for place in self._places:
            try:
                kernel.tend(place)
            except Exception:
                # Whatever it was, it is one place's, and one look's.
                log.exception("a watched place cannot be looked after", extra={"place": place.name})
                place.lose("it could not be looked after")
                self._is_stopping.wait(CHECK_SECONDS)
            if place.is_pending and time.monotonic() >= self._due(place):
                yield place.take()


def _answer(started: asyncio.Future[None], error: BaseException | None) -> None:
    if started.done():
        return  # Who waited was cancelled.
    if error is None:
        started.set_result(None)
    else:
        started.set_exception(error)


def _merged(first: Batch, second: Batch) -> Batch:
    paths = first.paths | second.paths
    is_lost = first.is_lost or second.is_lost or len(paths) > MAX_PATHS
    return Batch(first.name, frozenset(itertools.islice(paths, MAX_PATHS)), is_lost)


_Identity = tuple[int, ...]
"""Of a folder: device and inode. Of anything else also size and time."""


class _Place:
    """One watched path: what is known of it, and, under the lock, what was heard since its last batch."""

    def __init__(self, name: str, path: str, wake: threading.Event) -> None:
        self.name = name
        self.path = path
        self._wake = wake
        self._lock = threading.Lock()
        # Heard, by either thread.
        self.is_pending = False
        self.first = 0.0
        self.last = 0.0
        self._paths: set[str] = set()
        self._is_lost = False
        self._reason = ""
        self._level = logging.INFO
        self._touched: dict[tuple[_Folder, str], None] = {}
        """Names in folders that may lead to a folder or a link now, or no more."""
        self._must_walk = False
        self.must_look = True
        # Known, by the worker alone.
        self.doorstep: _Doorstep | None = None
        self.root: _Folder | None = None
        self.file: _Identity | None = None
        self.next_look = 0.0
        self.unreadable: set[str] = set()
        self.linked_folders: set[_Folder] = set()
        self.linked_files: dict[tuple[_Folder, str], _Identity | None] = {}
        self.link_targets: Counter[_Identity] = Counter()
        self.next_poll: float | None = None
        """When to go through a folder that cannot be watched."""
        self.digest = 0

    def report(self, path: str) -> None:
        """A file changed."""
        with self._lock:
            if len(self._paths) < MAX_PATHS or path in self._paths:
                self._paths.add(path)
            elif not self._is_lost:
                self._lose(f"more than {MAX_PATHS} files changed", logging.INFO)
            self._begin()

    def lose(self, reason: str, level: int = logging.WARNING) -> None:
        """Events may be missing. The reason is logged with the batch."""
        with self._lock:
            self._lose(reason, level)
            self._begin()

    def overflow(self) -> None:
        """The kernel dropped events: also of new folders, and of watches that ended."""
        with self._lock:
            self._lose("the queue of inotify ran over", logging.WARNING)
            self._must_walk = True
            self.must_look = True
            self._begin()
        self._wake.set()

    def touch(self, folder: _Folder, name: str) -> None:
        """What a name in a folder leads to is to be seen anew."""
        with self._lock:
            if len(self._touched) < MAX_PATHS:
                self._touched[folder, name] = None
            else:
                self._must_walk = True
        self._wake.set()

    def look_soon(self) -> None:
        """What the place itself is may have changed."""
        self.must_look = True
        self._wake.set()

    def forget(self) -> None:
        """Know nothing of what was watched."""
        self.doorstep = self.root = self.next_poll = None
        self.linked_folders.clear()
        self.linked_files.clear()
        self.link_targets.clear()
        self.look_soon()

    def warn_unreadable(self, path: str) -> None:
        """Say, once, that a folder cannot be watched."""
        if path not in self.unreadable and len(self.unreadable) < MAX_PATHS:
            self.unreadable.add(path)
            log.warning("a folder cannot be read, and is not watched", extra={"place": self.name, "path": path})

    def take_touched(self) -> list[tuple[_Folder, str]] | None:
        """What was touched, each once; None if everything is to be seen anew."""
        with self._lock:
            touched, must_walk = self._touched, self._must_walk
            self._touched, self._must_walk = {}, False
        return None if must_walk else list(touched)

    def take(self) -> Batch:
        """What was heard, and begin anew."""
        with self._lock:
            paths, is_lost, reason, level = self._paths, self._is_lost, self._reason, self._level
            self._paths, self._is_lost, self._reason, self._level = set(), False, "", logging.INFO
            self.is_pending = False
        if is_lost:
            extra = {"place": self.name, "path": self.path, "reason": reason}
            log.log(level, "file events may be missing: everything in this place counts as changed", extra=extra)
        return Batch(self.name, frozenset(map(Path, paths)), is_lost)

    def _lose(self, reason: str, level: int) -> None:
        if not self._is_lost or level > self._level:
            self._reason, self._level = reason, level
        self._is_lost = True

    def _begin(self) -> None:
        self.last = time.monotonic()
        if not self.is_pending:
            self.first = self.last
            self.is_pending = True
            # The worker learns when to come; it asks for the time by itself from then on.
            self._wake.set()


class _Watched:
    """One folder that the kernel watches: the callback that watchdog's reader calls."""

    wd: WatchDescriptor | None = None
    callback_id = CallbackId(0)
    is_dead = False
    """The kernel watches it no more."""
    is_dropped = False
    """Nobody wants to hear of it any more."""

    def __init__(self, place: _Place, path: str, identity: _Identity | None) -> None:
        self.place = place
        self.path = path
        self.identity = identity

    def on_event(self, event: InotifyEvent) -> None:
        """An event of this folder, or of something in it."""
        if self.is_dropped:
            return
        if event.mask & InotifyConstants.IN_UNMOUNT:
            self.place.lose("its file system was unmounted")
        if event.name:
            is_folder = bool(event.mask & InotifyConstants.IN_ISDIR)
            self.hear(os.fsdecode(event.name), event.mask & _CONTENT, is_folder=is_folder)
        else:
            self.hear_of_itself()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """The folder was deleted or unmounted."""
        if wd == self.wd and not self.is_dropped:
            self.is_dead = True
            self.hear_of_itself()

    def on_queue_overflow(self) -> None:
        """The kernel dropped events; nobody knows whose."""
        if not self.is_dropped:
            self.place.overflow()

    def hear(self, name: str, what: int, *, is_folder: bool) -> None:
        """Something happened to a name in this folder."""
        raise NotImplementedError

    def hear_of_itself(self) -> None:
        """Something happened to this folder."""
        self.place.look_soon()


class _Doorstep(_Watched):
    """The folder that a place's own name is in."""

    def __init__(self, place: _Place, path: str, identity: _Identity | None, name: str) -> None:
        super().__init__(place, path, identity)
        self._name = name

    def hear(self, name: str, what: int, *, is_folder: bool) -> None:
        if name != self._name or not what:
            return
        if self.place.file is not None and not is_folder:
            # Twice in one tick of the file system's clock, at one length, looks like once.
            self.place.report(self.place.path)
        self.place.look_soon()


class _Folder(_Watched):
    """A place's folder, or one below it."""

    def __init__(
        self, place: _Place, path: str, identity: _Identity | None, parent: _Folder | None = None, name: str = ""
    ) -> None:
        super().__init__(place, path, identity)
        self.parent = parent
        self.name = name
        self.is_link = False
        self.children: dict[str, _Folder] = {}

    def hear(self, name: str, what: int, *, is_folder: bool) -> None:
        if is_folder:
            if what & InotifyConstants.IN_MOVED_FROM:
                # What was in it went without an event of its own.
                self.place.lose("a folder in it was moved away", logging.INFO)
            self.place.touch(self, name)
        elif what:
            path = f"{self.path}/{name}"
            self.place.report(path)
            is_new = what & (InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO)
            if name in self.children or (is_new and os.path.islink(path)):
                self.place.touch(self, name)

    def hear_of_itself(self) -> None:
        if self.parent is None:
            self.place.look_soon()
        else:
            self.place.touch(self.parent, self.name)

    def is_below(self, identity: _Identity) -> bool:
        """True if a folder on the way here, or this one, is the one asked for."""
        folder: _Folder | None = self
        while folder is not None and folder.identity != identity:
            folder = folder.parent
        return folder is not None


class _LimitReached(Exception):
    """The kernel gives no more watches."""


class _Kernel:
    """The worker's hand: looks at places and keeps their watches. Nothing here knows the event loop."""

    def __init__(self, is_stopping: threading.Event) -> None:
        self._is_stopping = is_stopping
        self._ids = itertools.count(1)
        try:
            self._reader = InotifyFD()
        except OSError as error:
            raise WatchError(f"inotify cannot be used: {error.strerror}", hint=_INSTANCE_HINT) from None
        self._reader.start()

    def is_alive(self) -> bool:
        """False if events are heard no more."""
        return self._reader.is_alive()

    def close(self) -> None:
        """End the reader; all watches go with it."""
        self._reader.stop()
        self._reader.join()

    def tend(self, place: _Place) -> None:
        """Do what is due for a place."""
        now = time.monotonic()
        if place.must_look or now >= place.next_look:
            place.must_look = False
            place.next_look = now + CHECK_SECONDS
            self.look(place)
        if place.next_poll is None:
            try:
                self._settle(place)
            except _LimitReached:
                self._give_up(place)
        elif now >= place.next_poll:
            self._poll(place)

    def look(self, place: _Place, *, is_first: bool = False) -> None:
        """See what the place's path stands for now. Raises WatchError at a limit, the first time."""
        self._look_at_doorstep(place)
        status = _status(place.path)
        if status is None or not stat.S_ISDIR(status.st_mode):
            if place.root is not None:
                self._drop(place.root)
                place.root = place.next_poll = None
                place.lose("it is not there any more; it is watched when it is back")
            file = _identity(status)
            if file != place.file and not is_first:
                place.report(place.path)
            place.file = file
            if is_first and file is None:
                log.info("nothing to watch yet", extra={"place": place.name, "path": place.path})
            return
        place.file = None
        root = place.root
        if root is None or root.is_dead or root.identity != _identity(status):
            self._enter(place, _identity(status), is_first=is_first)
        elif place.next_poll is None:
            self._look_at_links(place)

    def _look_at_doorstep(self, place: _Place) -> None:
        # Without this watch, and for what it cannot tell, there is the look each second.
        path, name = os.path.split(os.path.abspath(place.path))
        identity = _identity(_status(path))
        doorstep = place.doorstep
        if doorstep is not None and (doorstep.is_dead or doorstep.identity != identity):
            self._forget([doorstep])
            doorstep = place.doorstep = None
        if doorstep is None and identity is not None:
            doorstep = _Doorstep(place, path, identity, name)
            with contextlib.suppress(_LimitReached, OSError):
                self._add(doorstep)
                place.doorstep = doorstep

    def _enter(self, place: _Place, identity: _Identity | None, *, is_first: bool) -> None:
        """Watch a folder that was not there, or is another one than before."""
        is_new = place.root is None
        if place.root is not None:
            self._drop(place.root)
        place.next_poll = None
        place.root = root = _Folder(place, place.path, identity)
        try:
            is_watched = self._cover(root, is_telling=False)
        except _LimitReached:
            if is_first:
                raise WatchError(f"{place.path} has more folders than inotify may watch", hint=_LIMIT_HINT) from None
            self._give_up(place)
            return
        if not is_watched:
            self._drop(root)
            place.root = None
            if not is_new:
                place.lose("the folder that took its place cannot be watched")
            return
        place.unreadable.discard(place.path)
        if not is_first:
            place.lose("it appeared" if is_new else "another folder took its place", logging.INFO)

    def _look_at_links(self, place: _Place) -> None:
        for folder in place.linked_folders:
            if folder.parent is not None and _folder_identity(folder.path) != folder.identity:
                place.touch(folder.parent, folder.name)
        for (parent, name), known in list(place.linked_files.items()):
            path = f"{parent.path}/{name}"
            identity = _identity(_status(path))
            if identity != known:
                place.linked_files[parent, name] = identity
                place.report(path)
                place.touch(parent, name)

    def _settle(self, place: _Place) -> None:
        """Bring the watches in line with what was touched."""
        touched = place.take_touched()
        root = place.root
        if root is None:
            return
        if touched is None:
            self._cover(root, is_telling=False)
            # A batch that went out while this was under way knew nothing of what it found.
            place.lose("its folders had to be gone through", logging.INFO)
            return
        for parent, name in touched:
            if parent.is_dropped:
                continue
            path = f"{parent.path}/{name}"
            is_link = os.path.islink(path)
            identity = _folder_identity(path)
            child = parent.children.get(name)
            if child is not None:
                if not child.is_dead and (child.identity, child.is_link) == (identity, is_link):
                    continue
                if child.is_link:
                    # What was behind it went without events.
                    place.lose("a link in it leads elsewhere", logging.INFO)
                self._drop(child)
            place.linked_files.pop((parent, name), None)
            child = self._child(parent, name, identity, is_link=is_link) if identity is not None else None
            if child is not None:
                self._cover(child, is_telling=True)
            elif is_link:
                self._note_link(parent, name)

    def _cover(self, top: _Folder, *, is_telling: bool) -> bool:
        """Watch a folder and all below it; what is watched stays so. False if the folder itself cannot be.

        Each is listed when its watch stands, so that nothing falls between; `is_telling` reports the files found.
        """
        place = top.place
        is_watched = True
        waiting = [top]
        while waiting and not self._is_stopping.is_set():
            folder = waiting.pop()
            try:
                self._add(folder)
            except OSError as error:
                # One that vanished is told of by the folder above it.
                if isinstance(error, PermissionError):
                    place.warn_unreadable(folder.path)
                is_watched = is_watched and folder is not top
                continue
            waiting.extend(self._list(folder, is_telling=is_telling))
        return is_watched

    def _list(self, folder: _Folder, *, is_telling: bool) -> list[_Folder]:
        place = folder.place
        found: list[_Folder] = []
        names: set[str] = set()
        # A folder that vanishes while it is read is told of by the one above it.
        with contextlib.suppress(OSError), os.scandir(folder.path) as entries:
            for entry in entries:
                is_link = entry.is_symlink()
                identity = _folder_identity(entry.path) if is_link or entry.is_dir(follow_symlinks=False) else None
                if identity is not None:
                    child = self._child(folder, entry.name, identity, is_link=is_link)
                    if child is not None:
                        names.add(entry.name)
                        found.append(child)
                    continue
                if is_link:
                    self._note_link(folder, entry.name)
                if is_telling:
                    place.report(f"{folder.path}/{entry.name}")
        for name in folder.children.keys() - names:
            self._drop(folder.children[name])
        return found

    def _child(self, parent: _Folder, name: str, identity: _Identity, *, is_link: bool) -> _Folder | None:
        """The folder below another: the one that is known, or a new one. None for a link that leads in circles."""
        place = parent.place
        child = parent.children.get(name)
        if child is not None and child.identity == identity and child.is_link == is_link:
            return child
        if child is not None:
            self._drop(child)
        if is_link and (parent.is_below(identity) or place.link_targets[identity] >= MAX_NAMES):
            return None
        child = parent.children[name] = _Folder(place, f"{parent.path}/{name}", identity, parent, name)
        child.is_link = is_link
        if is_link:
            place.linked_folders.add(child)
            place.link_targets[identity] += 1
        return child

    def _note_link(self, parent: _Folder, name: str) -> None:
        files = parent.place.linked_files
        if len(files) < MAX_LINKS:
            files[parent, name] = _identity(_status(f"{parent.path}/{name}"))

    def _add(self, folder: _Watched) -> None:
        """Have the kernel watch a folder. Done again, it makes sure of it. Raises _LimitReached and OSError."""
        # Each time an id of its own: the kernel may know the folder still, or by another name.
        callback_id = CallbackId(next(self._ids))
        try:
            wd = self._reader.add_callback(os.fsencode(folder.path), _MASK, folder, callback_id)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.ENOMEM}:
                raise _LimitReached from None
            raise
        if wd == -1:
            # So watchdog says that permission was denied, and remembers it as if it were a watch.
            self._reader.remove_callbacks([(wd, callback_id)])
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder.path)
        before = [] if folder.wd is None else [(folder.wd, folder.callback_id)]
        folder.wd, folder.callback_id, folder.is_dead = wd, callback_id, False
        self._reader.remove_callbacks(before)

    def _give_up(self, place: _Place) -> None:
        """No watches are left for a folder: go through it from time to time."""
        if place.root is not None:
            self._drop(place.root)
        place.take_touched()
        place.next_poll = time.monotonic() + POLL_SECONDS
        place.digest = _digest(place.path)
        place.lose(f"no inotify watches are left, it is gone through each {POLL_SECONDS:.0f} s. {_LIMIT_HINT}")

    def _poll(self, place: _Place) -> None:
        """Try for watches, then see whether anything changed: in this order nothing falls between."""
        place.next_poll = time.monotonic() + POLL_SECONDS
        if place.root is None:
            return
        root = _Folder(place, place.path, place.root.identity)
        try:
            if self._cover(root, is_telling=False):
                place.root, place.next_poll = root, None
                log.info("a folder is watched again", extra={"place": place.name, "path": place.path})
            else:
                self._drop(root)
        except _LimitReached:
            self._drop(root)
        digest = _digest(place.path)
        if digest != place.digest:
            place.digest = digest
            place.lose("it was gone through, and something changed", logging.INFO)

    def _drop(self, top: _Folder) -> None:
        """Hear no more of a folder and all below it."""
        place = top.place
        if top.parent is not None:
            top.parent.children.pop(top.name, None)
        folders = [top]
        for folder in folders:
            folders.extend(folder.children.values())
        self._forget(folders)
        for folder in folders:
            if folder in place.linked_folders and folder.identity is not None:
                place.linked_folders.discard(folder)
                place.link_targets[folder.identity] -= 1
        if place.linked_files:
            gone = set(folders)
            for key in [key for key in place.linked_files if key[0] in gone]:
                del place.linked_files[key]

    def _forget(self, folders: Sequence[_Watched]) -> None:
        known = []
        for folder in folders:
            folder.is_dropped = True
            if folder.wd is not None:
                known.append((folder.wd, folder.callback_id))
                folder.wd = None
        self._reader.remove_callbacks(known)


def _status(path: str) -> os.stat_result | None:
    """What is behind a path, links followed. None if nothing is, or nothing that can be reached."""
    try:
        return os.stat(path)
    except OSError:
        return None


def _identity(status: os.stat_result | None) -> _Identity | None:
    if status is None:
        return None
    if stat.S_ISDIR(status.st_mode):
        return status.st_dev, status.st_ino
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _folder_identity(path: str) -> _Identity | None:
    """The identity of a folder; None for anything else."""
    status = _status(path)
    return _identity(status) if status is not None and stat.S_ISDIR(status.st_mode) else None


def _digest(path: str) -> int:
    """A number that is another one when a file below the folder is. In constant memory, but for the folders' names."""
    digest = 0
    waiting = [path]
    seen: set[_Identity | None] = {None}
    while waiting:
        folder = waiting.pop()
        identity = _folder_identity(folder)
        if identity in seen:
            continue
        seen.add(identity)
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                status = _status(entry.path)
                if status is not None and stat.S_ISDIR(status.st_mode):
                    waiting.append(entry.path)
                else:
                    # Added up: the order in which a folder is listed means nothing.
                    digest = (digest + hash((entry.path, _identity(status)))) % 2**64
    return digest
