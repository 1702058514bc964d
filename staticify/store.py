"""The state database: what is known of each page, in SQLite (WAL), so that other processes can read it meanwhile.

It is a memory, not the truth: the tree is. Without the database no page is lost, and the next journey of each page
finds out again what was forgotten.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from staticify.errors import StoreError
from staticify.nouns import Cut, Kind, Outcome, Record

FILE_NAME = "state.db"
SCHEMA_VERSION = 1
BUSY_SECONDS = 5.0
"""How long to wait for somebody else's lock when the database is opened."""
FLUSH_BUSY_SECONDS = 1.0
"""The same for a flush, which comes round again: a daemon that is told to stop has no longer time."""
_DIRECTORY_MODE = 0o700

_COLUMNS = tuple(field.name for field in dataclasses.fields(Record))
_SCHEMA = f"""
create table page ({", ".join(f"{name} text primary key" if name == "url" else name for name in _COLUMNS)});
pragma user_version = {SCHEMA_VERSION};
"""
_INSERT = f"insert or replace into page ({', '.join(_COLUMNS)}) values ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608  names of our own fields


class Store:
    """All records, in memory; `flush` writes those that changed. Methods may be called from any thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        self._inode = path.stat().st_ino
        self._lock = threading.Lock()
        # One transaction at a time: the connection has only one, whichever thread it is that speaks.
        self._writing = threading.Lock()
        self._records: dict[str, Record] = {}
        self._changed: set[str] = set()
        self.set_aside: Path | None = None
        """Where `open_for_writing` put a database that could not be read."""

    @classmethod
    def open_for_writing(cls, directory: Path) -> Store:
        """Open or make the database. One that is corrupt is set aside. Raises StoreError."""
        path = directory / FILE_NAME
        set_aside = None
        try:
            directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            try:
                store = cls._loaded(cls._connected(path), path)
            except sqlite3.DatabaseError as error:
                # Python says OperationalError of text that is not UTF-8 too, but gives it no code of SQLite's.
                if isinstance(error, sqlite3.OperationalError) and getattr(error, "sqlite_errorcode", None) is not None:
                    raise
                set_aside = _set_aside(path)
                store = cls._loaded(cls._connected(path), path)
        except (OSError, sqlite3.Error) as error:
            raise _explained(error, f"cannot use the state database {path}") from error
        store.set_aside = set_aside
        return store

    @classmethod
    def open_for_reading(cls, directory: Path) -> Store:
        """Open the database beside the daemon that writes it. Raises StoreError."""
        path = directory / FILE_NAME
        try:
            if not path.exists():
                raise StoreError(
                    f"there is no state database {path}", hint="Nothing was rendered yet: staticify render --all"
                )
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
            return cls._loaded(connection, path)
        except (OSError, sqlite3.Error) as error:
            raise _explained(
                error, f"cannot read the state database {path}", hint="Run this as the user that runs the daemon"
            ) from error

    @staticmethod
    def _connected(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            version = connection.execute("pragma user_version").fetchone()[0]
            if version != SCHEMA_VERSION:
                # It is a memory: another version's is forgotten rather than migrated.
                connection.executescript(f"drop table if exists page; {_SCHEMA}")
            connection.execute(f"pragma busy_timeout = {int(FLUSH_BUSY_SECONDS * 1000)}")
        except BaseException:
            connection.close()
            raise
        return connection

    @classmethod
    def _loaded(cls, connection: sqlite3.Connection, path: Path) -> Store:
        store = cls(connection, path)
        try:
            store._load()
        except BaseException:
            connection.close()
            raise
        return store

    def _load(self) -> None:
        rows = self._connection.execute(f"select {', '.join(_COLUMNS)} from page")  # noqa: S608  names of our own fields
        try:
            self._records = {record.url: record for record in map(_record_of, rows)}
        except (ValueError, TypeError, KeyError) as error:
            raise sqlite3.DatabaseError(f"a record cannot be read: {error}") from error

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

    def flush(self) -> None:
        """Write what changed, in one transaction. Raises StoreError; then it is tried again by the next flush."""
        with self._writing:
            with self._lock:
                changed = self._changed
                self._changed = set()
                rows = [_row_of(self._records[url]) for url in changed if url in self._records]
                dropped = [(url,) for url in changed if url not in self._records]
            if not changed:
                return
            try:
                if not self._is_in_place():
                    rows = self._begin_anew()
                with self._connection:
                    self._connection.executemany(_INSERT, rows)
                    self._connection.executemany("delete from page where url = ?", dropped)
            except (sqlite3.Error, OSError) as error:
                with self._lock:
                    self._changed |= changed
                raise _explained(error, f"cannot write the state database {self.path}") from error

    def _is_in_place(self) -> bool:
        """False if somebody deleted or replaced the file: what is written to the open one, nobody can read."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _begin_anew(self) -> list[tuple[Any, ...]]:
        """Make the file again, and return every record as a row."""
        with self._lock:
            rows = [_row_of(record) for record in self._records.values()]
        # First of all: closing takes the journal away by its name, which will be the new file's.
        self._connection.close()
        self._connection = self._connected(self.path)
        self._inode = self.path.stat().st_ino
        return rows

    def close(self) -> None:
        """Flush what can be flushed, and close."""
        with contextlib.suppress(StoreError):
            self.flush()
        with self._writing:
            self._connection.close()


def _row_of(record: Record) -> tuple[Any, ...]:
    values = {name: getattr(record, name) for name in _COLUMNS}
    values["headers"] = json.dumps(dict(record.headers))
    values["cuts"] = json.dumps([(cut.start, cut.end, cut.rule) for cut in record.cuts])
    return tuple(values.values())


def _record_of(row: tuple[Any, ...]) -> Record:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["kind"] = Kind(values["kind"]) if values["kind"] else None
    values["outcome"] = Outcome(values["outcome"]) if values["outcome"] else None
    values["is_dense"] = bool(values["is_dense"])
    values["headers"] = json.loads(values["headers"])
    values["cuts"] = tuple(Cut(*cut) for cut in json.loads(values["cuts"]))
    return Record(**values)


_HINTS = {
    sqlite3.SQLITE_BUSY: "Another program holds a lock on it: a copy, a backup, an sqlite3 shell; let it end",
    sqlite3.SQLITE_FULL: "The disk is full: what is to be remembered stays in memory until there is room",
}


def _explained(error: Exception, what: str, *, hint: str = "") -> StoreError:
    usual = "The user that runs staticify must own its directory; nobody else may write to it"
    # The lower byte of an extended code is the primary one.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return StoreError(f"{what}: {error}", hint=_HINTS.get(code, hint or usual))


def _set_aside(path: Path) -> Path:
    target = path.with_name(f"{path.name}.corrupt-{int(time.time())}")
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return target
