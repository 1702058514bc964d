"""The state database: what is known of each page, in SQLite (WAL), so that other processes can read it meanwhile.

It is a memory, not the truth: the tree is. Without the database no page is lost, and the next journey of each page
finds out again what was forgotten.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from staticify.errors import StoreError, UrlError
from staticify.nouns import Cut, Kind, Mode, OriginState, Outcome, Record, SiteState
from staticify.signature import TOLERANCE_SECONDS
from staticify.urls import parse_page

log = logging.getLogger(__name__)

FILE_NAME = "state.db"
SCHEMA_VERSION = 8
BUSY_SECONDS = 5.0
"""How long to wait for somebody else's lock when the database is opened."""
FLUSH_BUSY_SECONDS = 1.0
"""The same for a flush, which comes round again: a daemon that is told to stop has no longer time."""
MEANT_SECONDS = 6 * 3600.0
"""So long is a page that is missing meant to be: thousands may wait their turn, and a later fault is another one."""
JOURNEY_SECONDS = 3600.0
"""No journey takes longer: two fetches and a look at the home page, each within `deadline` (ten minutes at most)."""
_DIRECTORY_MODE = 0o700

_COLUMNS = tuple(field.name for field in dataclasses.fields(Record))
_SCHEMA = f"""
create table page ({", ".join(f"{name} text primary key" if name == "url" else name for name in _COLUMNS)});
create table note (kind text, name text, value text, primary key (kind, name)) without rowid;
pragma user_version = {SCHEMA_VERSION};
"""
_INSERT = f"insert or replace into page ({', '.join(_COLUMNS)}) values ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608  names of our own fields


_DUE, _SITE, _ORIGIN, _SEEN = "due", "site", "origin", "seen"
"""Kinds of notes."""
_TOLD, _MEANT = "told", "meant"

_TEXT = (str,)
_PLAIN = {"str": _TEXT, "int": (int,), "float": (float, int), "bool": (bool,)}
_PLAIN_FIELDS = {
    noun: tuple((field.name, _PLAIN[str(field.type)]) for field in dataclasses.fields(noun) if field.type in _PLAIN)
    for noun in (Record, Cut, SiteState, OriginState)
}
MAX_NUMBER = 253_402_300_799
"""The last second of the year 9999. No count and no size is larger, and no time can be shown that is later."""
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, UrlError)
"""What comes of a row that says what nobody wrote."""

_Batch = dict[str, list[tuple[Any, ...]]]
"""Statements, and the rows for each."""
_FROM_NOTHING: _Batch = {"delete from page": [()], "delete from note": [()]}


class Store:
    """All records, in memory; `flush` writes those that changed. Methods may be called from any thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        self._marks = _marks_of(path)
        """What was last seen of the files: other marks are the work of another hand."""
        self._is_closed = False
        self._lock = threading.Lock()
        # One transaction at a time: the connection has only one, whichever thread it is that speaks.
        self._writing = threading.Lock()
        self._records: dict[str, Record] = {}
        self._changed: set[str] = set()
        self._notes: dict[tuple[str, str], str] = {}
        """Everything that is not a record, by kind and name."""
        self._changed_notes: set[tuple[str, str]] = set()
        self._marks_of_due: dict[str, int] = {}
        self._overtaken_at: dict[str, float] = {}
        """When pages were taken back, by the monotonic clock; those of the last JOURNEY_SECONDS, the oldest first."""
        self._forgotten_at = float("-inf")
        self._seen_at: dict[str, float] = {}
        """When each message was heard, or read from the disk, by the monotonic clock."""
        self._seen_pruned_at = time.monotonic()
        self.set_aside: Path | None = None
        """Where `open_for_writing` put a database that could not be read."""
        self.fault: StoreError | None = None
        """Why `open_for_writing` had nothing on disk to go on with."""
        self._is_page_left_out = self._is_note_left_out = False
        self._is_other_hand_told = False
        """Whether the log says why everything is written anew, however often that is tried."""

    @classmethod
    def open_for_writing(cls, directory: Path) -> Store:
        """Open or make the database. One that is corrupt is set aside, a row that is, left out. Raises StoreError.

        Where the disk is full or fails, all stays in memory, and each `flush` tries the disk anew: a page that is
        public no more must leave the tree whether or not that can be remembered. So it does where the database can be
        read and not written. One on a read-only disk that cannot be read is an error, or one that is not there: no room
        comes there by itself, and nobody could see what a daemon does.
        """
        path = directory / FILE_NAME
        set_aside: Path | None = None
        try:
            try:
                store = cls._opened(path)
            except sqlite3.DatabaseError as error:
                set_aside = _set_aside(path, error)
                store = cls._opened(path)
        except (OSError, sqlite3.Error) as error:
            fault = _explained(error, "use", path)
            is_passing = _is_full(error, path) or _is_disk_failing(error)
            if not is_passing and not _is_read_only(error, path):
                raise fault from error
            store = cls._in_memory(path, fault, must_know=not is_passing)
        store.set_aside = set_aside
        return store

    @classmethod
    def _in_memory(cls, path: Path, fault: StoreError, *, must_know: bool) -> Store:
        """With what can still be read. Raises the fault if that is nothing, and `must_know`."""
        store = cls(sqlite3.connect(":memory:", check_same_thread=False), path)
        store.fault = fault
        store._marks = ()  # The next flush begins anew.
        try:
            with contextlib.closing(cls.open_for_reading(path.parent, is_alone=True)) as known:
                store._records, store._notes = known._records, known._notes  # noqa: SLF001  of the same class
        except StoreError:
            if must_know:
                store._connection.close()
                raise fault from None
        return store

    @classmethod
    def open_for_reading(cls, directory: Path, *, is_alone: bool = False) -> Store:
        """Open the database beside the daemon that writes it. A row that is corrupt is left out. Raises StoreError.

        `is_alone` says that there is no such daemon: who asks would be the only writer.
        """
        path = directory / FILE_NAME
        try:
            # A file without a byte is one whose disk was full before anything was in it.
            if not path.exists() or path.stat().st_size == 0:
                raise StoreError(
                    f"there is no state database {path}",
                    hint="A running daemon makes it with the next page that it fetches, or when its disk has room; "
                    "without one: staticify render --all",
                )
            # Reading beside a journal needs a file that readers and writer share. A full disk has no room for it, and
            # on a read-only one, where nobody writes, it cannot be made.
            journal = path.with_name(f"{path.name}-wal")
            is_at_rest = not journal.exists() or journal.stat().st_size == 0
            is_alone = is_alone or bool(os.statvfs(path).f_flag & os.ST_RDONLY)
            options = "mode=ro&immutable=1" if is_at_rest and is_alone else "mode=ro"
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, timeout=BUSY_SECONDS)
            if connection.execute("pragma user_version").fetchone()[0] not in {0, SCHEMA_VERSION}:
                connection.close()
                raise StoreError(
                    f"the state database {path} is of another version of staticify",
                    hint="A daemon of this version makes it anew when it starts; without one: staticify render --all",
                )
            return cls._loaded(connection, path)
        except (OSError, sqlite3.Error) as error:
            hint = "Run this as the user that runs the daemon"
            if isinstance(error, sqlite3.Error) and _is_corruption(error):
                hint = "It is corrupt: the next staticify render --all, or a daemon that starts, makes a new one"
            raise _explained(error, "read", path, hint=hint) from error

    @classmethod
    def _opened(cls, path: Path) -> Store:
        path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        return cls._loaded(cls._connected(path), path, is_to_write=True)

    @staticmethod
    def _connected(path: Path) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
        except sqlite3.Error as error:
            _raise_why(error, path)
            raise
        try:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            version = connection.execute("pragma user_version").fetchone()[0]
            if version != SCHEMA_VERSION:
                # It is a memory: another version's is forgotten rather than migrated.
                connection.executescript(f"drop table if exists page; drop table if exists note; {_SCHEMA}")
            connection.execute(f"pragma busy_timeout = {int(FLUSH_BUSY_SECONDS * 1000)}")
        except BaseException as error:
            connection.close()
            _raise_why(error, path)
            raise
        return connection

    @classmethod
    def _loaded(cls, connection: sqlite3.Connection, path: Path, *, is_to_write: bool = False) -> Store:
        store = cls(connection, path)
        try:
            store._load()
            if is_to_write:
                store._write_what_was_read()
        except BaseException:
            connection.close()
            raise
        return store

    def _load(self) -> None:
        left_out = []
        self._connection.text_factory = _decoded
        for row in self._connection.execute(f"select {', '.join(_COLUMNS)} from page"):  # noqa: S608  our own fields
            try:
                record = _record_of(row)
            except _UNREADABLE as error:
                self._is_page_left_out = True
                left_out.append(f"{row[0]!r}: {error}")
            else:
                self._records[record.url] = record
        for kind, name, value in self._connection.execute("select kind, name, value from note"):
            try:
                _check_note(kind, name, value)
            except _UNREADABLE as error:
                self._is_note_left_out = True
                left_out.append(f"{name!r}: {error}")
            else:
                self._notes[kind, name] = value
        if self._is_note_left_out:
            # It may have said what was due: no journal is taken up where it stood, so that every page is looked at.
            for name in self._named(_SITE):
                del self._notes[_SITE, name]
        if left_out:
            log.warning(
                "what cannot be read in the state database is left out",
                extra={"path": str(self.path), "rows": len(left_out), "first": left_out[0]},
            )

    def _write_what_was_read(self) -> None:
        """Write the database anew without what could not be read, if there was something."""
        if self._is_page_left_out or self._is_note_left_out:
            self._write(_FROM_NOTHING | self._batch([*self._records], [*self._notes]))
            self._marks = _marks_of(self.path)

    def get(self, url: str) -> Record | None:
        """The record of a page, or None."""
        return self._records.get(url)

    def of_site(self, site: str) -> list[Record]:
        """Every record of a site, by URL."""
        with self._lock:
            records = [record for record in self._records.values() if record.site == site]
        return sorted(records, key=lambda record: record.url)

    def put(self, record: Record) -> None:
        """Remember a record. It is on disk after the next `flush`."""
        with self._lock:
            self._records[record.url] = record
            self._changed.add(record.url)

    def forget(self, urls: Iterable[str]) -> None:
        """Drop the records of pages that are in no list and no tree any more."""
        with self._lock:
            for url in urls:
                self._records.pop(url, None)
                self._changed.add(url)

    def overtake(self, url: str) -> None:
        """Whatever was fetched of a page before this moment must not be published any more."""
        with self._lock:
            now = time.monotonic()
            self._overtaken_at.pop(url, None)
            self._overtaken_at[url] = now
            while self._overtaken_at[first := next(iter(self._overtaken_at))] < now - JOURNEY_SECONDS:
                self._forgotten_at = self._overtaken_at.pop(first)

    def is_overtaken(self, url: str, since: float) -> bool:
        """True if a page was taken back since a time of the monotonic clock, by whichever renderer.

        A reload makes a new one. Who began before what is forgotten cannot know, and counts as overtaken.
        """
        with self._lock:
            return self._overtaken_at.get(url, self._forgotten_at) >= since

    # --- What is due, and what is known of sites ---------------------------------------------------------------------

    def set_due(self, url: str, *, is_told: bool = False, is_meant: bool = False) -> None:
        """Remember that a page has to be rendered anew, restarts included.

        `is_told` says that WordPress says that the page changed: it may look quite another way. `is_meant` says that an
        operator does: it may be there no more.
        """
        with self._lock:
            self._marks_of_due[url] = self._marks_of_due.get(url, 0) + 1
            if is_meant:
                self._note(_DUE, url, f"{_MEANT} {time.time():.0f}")
            elif not self.is_meant(url):
                self._note(_DUE, url, _TOLD if is_told or self.is_told(url) else "")

    def due_mark(self, url: str) -> int:
        """What `clear_due` needs to know of the moment when a journey begins."""
        return self._marks_of_due.get(url, 0)

    def clear_due(self, url: str, mark: int) -> None:
        """Forget that a page is due, unless it became due once more since `due_mark`."""
        with self._lock:
            if self._marks_of_due.get(url, 0) == mark:
                self._marks_of_due.pop(url, None)
                self._note(_DUE, url, None)

    def is_due(self, url: str) -> bool:
        """True if the page has to be rendered anew."""
        return (_DUE, url) in self._notes

    def right_at(self, record: Record) -> float:
        """When the page was last known to be right: by its own fetch, or by a journal that named no change of it.

        What a journal said once stays true, whether it goes on to say something or not.
        """
        is_good = record.outcome is not None and record.outcome.is_good
        if not record.tags or not is_good or self.is_due(record.url):
            return record.verified_at
        polled_at = self.site(record.site).polled_at
        # By a clock that was ahead: nothing is known of what will be.
        return record.verified_at if polled_at > time.time() else max(record.verified_at, polled_at)

    def is_told(self, url: str) -> bool:
        """True if the page is due because somebody says that it changed."""
        return self._notes.get((_DUE, url)) == _TOLD or self.is_meant(url)

    def doubt_told(self, url: str, mark: int) -> None:
        """What WordPress said of a page says nothing of what it answers after an error: the page is due, no more.

        Unless it said so once more since `due_mark`.
        """
        with self._lock:
            if self._notes.get((_DUE, url)) == _TOLD and self._marks_of_due.get(url, 0) == mark:
                self._note(_DUE, url, "")

    def is_meant(self, url: str) -> bool:
        """True if an operator says so, or WordPress of a page that it names as gone; not what they meant long ago."""
        word, _, at = self._notes.get((_DUE, url), "").partition(" ")
        return word == _MEANT and abs(time.time() - float(at or 0)) < MEANT_SECONDS

    def due(self) -> list[str]:
        """Every URL that has to be rendered anew."""
        with self._lock:
            return self._named(_DUE)

    def site(self, url: str) -> SiteState:
        """What is known of a site."""
        text = self._notes.get((_SITE, url))
        return SiteState(url) if text is None else _site_of(url, text)

    def put_site(self, state: SiteState) -> None:
        """Remember the state of a site."""
        with self._lock:
            self._note(_SITE, state.url, json.dumps(dataclasses.asdict(state)))

    def origin(self, site: str) -> OriginState | None:
        """How a site's WordPress bore what it was asked, when it was last noted; None if that is not known."""
        text = self._notes.get((_ORIGIN, site))
        return None if text is None else _origin_of(text)

    def put_origin(self, site: str, state: OriginState) -> None:
        """Remember how a site's WordPress bears it."""
        if state != self.origin(site):
            with self._lock:
                self._note(_ORIGIN, site, json.dumps(dataclasses.asdict(state)))

    def take_id(self, message_id: str, now: float) -> bool:
        """Remember a message's id. False if it was taken before, as long as its time stamp could still be accepted.

        That long by two clocks: one that is set ahead, and then right again, lets nothing in twice.
        """
        with self._lock:
            heard_at = time.monotonic()
            if heard_at - self._seen_pruned_at > TOLERANCE_SECONDS:
                self._seen_pruned_at = heard_at
                for name in self._named(_SEEN):
                    is_old = self._seen_at.setdefault(name, heard_at) < heard_at - 2 * TOLERANCE_SECONDS
                    if is_old and float(self._notes[_SEEN, name]) < now - 2 * TOLERANCE_SECONDS:
                        self._note(_SEEN, name, None)
                        del self._seen_at[name]
            if (_SEEN, message_id) in self._notes:
                return False
            self._note(_SEEN, message_id, str(now))
            self._seen_at[message_id] = heard_at
            return True

    def _named(self, kind: str) -> list[str]:
        return [name for known, name in self._notes if known == kind]

    def _note(self, kind: str, name: str, value: str | None) -> None:
        """Set or drop a note. Under the lock."""
        if value is None:
            if self._notes.pop((kind, name), None) is None:
                return
        else:
            self._notes[kind, name] = value
        self._changed_notes.add((kind, name))

    # --- On disk -----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what changed, in one transaction. Raises StoreError; then it is tried again by the next flush.

        Where another hand was on the files (removed, replaced, overwritten), every record is written anew.
        """
        with self._writing:
            with self._lock:
                changed, changed_notes = self._changed, self._changed_notes
                self._changed, self._changed_notes = set(), set()
                batch = self._batch(changed, changed_notes)
            if not changed and not changed_notes and self._marks:
                return
            try:
                if not self._is_closed and _marks_of(self.path) != self._marks:
                    batch = self._begin_anew(changed, changed_notes)
                try:
                    self._write(batch)
                except sqlite3.Error as error:
                    if not _is_corruption(error):
                        if _primary_code(error) == sqlite3.SQLITE_READONLY:
                            # A connection to what could only be read stays so when the disk can be written again.
                            self._marks, self._is_other_hand_told = (), True
                        elif self._marks:  # Otherwise the next flush begins anew again.
                            # Half a transaction may have left its own marks.
                            self._marks = _marks_of(self.path)
                        raise
                    self._write(self._begin_anew(changed, changed_notes))
                self._marks = _marks_of(self.path)
                self.fault = None
                self._is_other_hand_told = False
            except (sqlite3.Error, OSError) as error:
                with self._lock:
                    self._changed |= changed
                    self._changed_notes |= changed_notes
                raise _explained(error, "write", self.path) from error

    def _batch(self, urls: Iterable[str], notes: Iterable[tuple[str, str]]) -> _Batch:
        """What the database should say of these. Under the lock."""
        return {
            _INSERT: [_row_of(self._records[url]) for url in urls if url in self._records],
            "delete from page where url = ?": [(url,) for url in urls if url not in self._records],
            "insert or replace into note values (?, ?, ?)": [
                (*key, self._notes[key]) for key in notes if key in self._notes
            ],
            "delete from note where kind = ? and name = ?": [key for key in notes if key not in self._notes],
        }

    def _write(self, batch: _Batch) -> None:
        """In one transaction: a position of the journal is never there without what it made due."""
        with self._connection:
            for statement, rows in batch.items():
                self._connection.executemany(statement, rows)

    def _begin_anew(self, changed: set[str], changed_notes: set[tuple[str, str]]) -> _Batch:
        """Open what is there by now, or make it again, and return everything that is to be written.

        The connection that was open would go on from what it remembers, and nobody else could read what it writes.
        """
        self._marks = ()  # Should the rest fail, the next flush begins here again.
        # First of all: closing takes the journal away by its name, which will be the new file's.
        self._connection.close()
        try:
            anew = Store._opened(self.path)
        except sqlite3.DatabaseError as error:
            set_aside = _set_aside(self.path, error)
            self._is_other_hand_told = True
            log.warning(
                "the state database was overwritten: it is set aside and written anew",
                extra={"path": str(set_aside)},
            )
            anew = Store._opened(self.path)
        self._connection = anew._connection  # noqa: SLF001  of the same class
        if self.fault is None and not self._is_other_hand_told:
            self._is_other_hand_told = True
            log.warning(
                "the state database was removed or changed by somebody else: it is written anew",
                extra={"path": str(self.path)},
            )
        with self._lock:
            if self.fault is not None:  # Perhaps nothing could be read when it was opened.
                for url in anew._records.keys() - self._records.keys() - self._changed - changed:  # noqa: SLF001
                    self._records[url] = anew._records[url]  # noqa: SLF001
                for key in anew._notes.keys() - self._notes.keys() - self._changed_notes - changed_notes:  # noqa: SLF001
                    self._notes[key] = anew._notes[key]  # noqa: SLF001
            # What is there may be an old copy, with records of what is long gone.
            return _FROM_NOTHING | self._batch([*self._records], [*self._notes])

    def close(self) -> None:
        """Flush what can be flushed, and close."""
        with contextlib.suppress(StoreError):
            self.flush()
        with self._writing:
            self._is_closed = True
            self._connection.close()


def written_at(directory: Path) -> float:
    """When the database of a directory was last written, in seconds since the epoch; 0 if there is none."""
    return max((mark[-1] / 1e9 for mark in _marks_of(directory / FILE_NAME) if mark is not None), default=0.0)


def _marks_of(path: Path) -> tuple[tuple[int, ...] | None, ...]:
    """By what a change of database or journal shows. Nothing is opened: closing it would drop SQLite's locks."""
    marks: list[tuple[int, ...] | None] = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            status = os.stat(file)
        except FileNotFoundError:
            marks.append(None)
        else:
            marks.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(marks)


def _row_of(record: Record) -> tuple[Any, ...]:
    values = {name: getattr(record, name) for name in _COLUMNS}
    values["headers"] = json.dumps(dict(record.headers))
    values["cuts"] = json.dumps([(cut.start, cut.end, cut.rule) for cut in record.cuts])
    values["database_errors"] = json.dumps(record.database_errors)
    values["tags"] = " ".join(record.tags)
    return tuple(values.values())


def _record_of(row: tuple[Any, ...]) -> Record:
    """The record of a row. Raises one of _UNREADABLE if that is not what was written."""
    values = dict(zip(_COLUMNS, row, strict=True))
    values["kind"] = Kind(values["kind"]) if values["kind"] else None
    values["outcome"] = Outcome(values["outcome"]) if values["outcome"] else None
    values["is_dense"] = bool(values["is_dense"])
    values["headers"] = json.loads(values["headers"])
    values["cuts"] = tuple(Cut(start, end, sys.intern(rule)) for start, end, rule in json.loads(values["cuts"]))
    values["database_errors"] = tuple(json.loads(values["database_errors"]))
    values["tags"] = tuple(values["tags"].split())
    record = Record(**values)
    _check(record)
    for cut in record.cuts:
        _check(cut)
    _check_texts(*record.tags, *record.database_errors, *(text for field in record.headers.items() for text in field))
    _check_url(record.url)
    return record


def _site_of(url: str, text: str) -> SiteState:
    values = json.loads(text)
    return SiteState(**{**values, "url": url, "mode": Mode(values["mode"])})


def _origin_of(text: str) -> OriginState:
    values = json.loads(text)
    return OriginState(**{**values, "unreachable": tuple(values["unreachable"])})


def _check_note(kind: object, name: str, value: str) -> None:
    """Raise one of _UNREADABLE if a note is not what was written."""
    _check_texts(name, value)
    if kind == _DUE:
        _check_url(name)
        word, _, at = value.partition(" ")
        if word not in {"", _TOLD, _MEANT}:
            raise ValueError(f"{name} is due as {word!r}")
        _check_number(float(at) if word == _MEANT else 0.0)
    elif kind == _SEEN:
        _check_number(float(value))
    elif kind == _SITE:
        _check(_site_of(name, value))
    elif kind == _ORIGIN:
        state = _origin_of(value)
        _check(state)
        _check_texts(*state.unreachable)
    else:
        raise ValueError(f"a note of the kind {kind!r}")


def _check(noun: Record | Cut | SiteState | OriginState) -> None:
    """Raise TypeError or ValueError unless the plain fields of a noun hold what they are said to hold."""
    for name, types in _PLAIN_FIELDS[type(noun)]:
        value = getattr(noun, name)
        if type(value) not in types:
            raise TypeError(f"{name} is {value!r}")
        if types is not _TEXT:
            _check_number(value)


def _check_number(value: float) -> None:
    if not abs(value) <= MAX_NUMBER:  # NaN is not either.
        raise ValueError(f"{value!r} is no number of ours")


def _check_texts(*values: object) -> None:
    for value in values:
        if type(value) is not str:
            raise TypeError(f"{value!r} is no text")


def _check_url(url: str) -> None:
    """Raise UrlError or ValueError unless it is a page's URL, as we write it."""
    if parse_page(url).url != url:
        raise ValueError(f"{url!r} is not how we write a URL")


def _decoded(raw: bytes) -> str | bytes:
    """Text of the database; bytes that are none stay bytes, which no field takes."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


_HINTS = {
    sqlite3.SQLITE_BUSY: "Another program holds a lock on it: a copy, a backup, an sqlite3 shell; let it end",
}
_FULL = "The disk is full: what is to be remembered stays in memory until there is room"
_FAILING = (
    "The disk fails: see the kernel's log. What is to be remembered stays in memory until the disk takes it; if it is "
    "the file alone, take it away, and a new one is made"
)
_READ_ONLY = (
    "Its file system is read-only, or is so for the unit: see the kernel's log, or make the unit anew "
    "(`staticify config systemd`)"
)


def _explained(error: Exception, what: str, path: Path, *, hint: str = "") -> StoreError:
    usual = "The user that runs staticify must own its directory; nobody else may write to it"
    hint = _HINTS.get(_primary_code(error), hint or usual)
    if _is_directory(path):
        hint = "A directory stands where the file should be; take it away"
    elif _is_full(error, path):
        hint = _FULL
    elif _is_disk_failing(error):
        hint = _FAILING
    elif _is_read_only(error, path):
        hint = _READ_ONLY
    return StoreError(f"cannot {what} the state database {path}: {error}", hint=hint)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # Nobody who may not look there has put it there.


def _primary_code(error: Exception) -> int:
    """SQLite's own code, 0 if there is none. The lower byte of an extended code is the primary one."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _raise_why(error: BaseException, path: Path) -> None:
    """Raise OSError if the disk refuses a file that SQLite says only that it cannot open. No connection may be open."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CANTOPEN:
        return
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as refused:
            if refused.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
                raise refused from error


def _is_full(error: Exception, path: Path) -> bool:
    if _primary_code(error) == sqlite3.SQLITE_CANTOPEN:  # Of a file that cannot be made it does not say why.
        with contextlib.suppress(OSError):
            disk = os.statvfs(path.parent)
            return disk.f_bavail == 0 or (disk.f_favail == 0 < disk.f_files)
    # Of the file that readers and writer share SQLite says no more than "disk I/O error".
    codes = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
    is_refused = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    return is_refused or getattr(error, "sqlite_errorcode", 0) in codes


def _is_disk_failing(error: Exception) -> bool:
    is_refused = isinstance(error, OSError) and error.errno == errno.EIO
    return is_refused or _primary_code(error) == sqlite3.SQLITE_IOERR


def _is_read_only(error: Exception, path: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.EROFS
    with contextlib.suppress(OSError):
        is_refused = _primary_code(error) in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
        return is_refused and bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    return False


def _is_corruption(error: sqlite3.Error) -> bool:
    """True if what is in the file is not what was written there."""
    # SQLITE_ERROR: the table is not there any more.
    return _primary_code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


def _set_aside(path: Path, error: sqlite3.Error) -> Path:
    """Where a corrupt database is by now. Raises the error if it is no corruption."""
    if not _is_corruption(error):
        raise error
    target = path.with_name(f"{path.name}.corrupt-{int(time.time())}")
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return target
