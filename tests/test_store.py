"""The memory of each page: whole after a restart, harmless when lost, readable by others meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from staticify import store as module
from staticify.errors import StoreError
from staticify.nouns import Cut, Kind, OriginState, Outcome, Record, SiteState
from staticify.signature import TOLERANCE_SECONDS
from staticify.store import FILE_NAME, JOURNEY_SECONDS, MEANT_SECONDS, SCHEMA_VERSION, Store

SITE = "https://a.example/"
FULL = Record(
    url="https://a.example/caf%C3%A9/",
    site=SITE,
    kind=Kind.HTML,
    source_digest="a" * 64,
    output_digest="b" * 64,
    rules_digest="c" * 16,
    size_bytes=131_072,
    mtime=1_700_000_000,
    first_seen_at=1_699_999_999.25,
    checked_at=1_700_000_060.5,
    verified_at=1_700_000_060.5,
    changed_at=1_700_000_000.125,
    render_seconds=0.1234,
    outcome=Outcome.PUBLISHED,
    verdict="ok",
    reason="a whole page for everybody: café, 日本, 'quotes' and \"more\"\n",
    failures=3,
    doubted_at=1_700_000_030.75,
    held_for="shrunk",
    held_bytes=1234,
    held_count=2,
    database_errors=("Table 'wp.posts' doesn't exist", "Deadlock found"),
    personal_at=1_700_000_045.5,
    unlisted_at=1_700_000_040.875,
    unchanged_count=7,
    is_dense=True,
    status=200,
    headers={"content-type": "text/html; charset=UTF-8", "x": "é\udce9"},
    cuts=(Cut(10, 20, "#wpadminbar"), Cut(30, 41, ".ad[title='\"é\"']")),
    cut_count=9000,
    location="https://a.example/new/",
    tags=("post-1", "term-2"),
)
EMPTY = Record("https://a.example/", SITE)


@contextmanager
def opened(directory: Path) -> Iterator[Store]:
    with closing(Store.open_for_writing(directory)) as store:
        yield store


def reread(directory: Path) -> list[Record]:
    with closing(Store.open_for_reading(directory)) as store:
        return store.of_site(SITE)


@contextmanager
def mounted(directory: Path, size: str) -> Iterator[None]:
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def lock(directory: Path) -> sqlite3.Connection:
    """Another program in the middle of a transaction."""
    connection = sqlite3.connect(directory / FILE_NAME, isolation_level=None)
    connection.execute("begin exclusive")
    return connection


def test_what_was_meant_long_ago_is_meant_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Store.open_for_writing(tmp_path)) as store:
        store.set_due("https://example.org/", is_meant=True)
        store.set_due("https://example.org/", is_told=True)
    with closing(Store.open_for_writing(tmp_path)) as store:
        assert store.is_meant("https://example.org/")
        now = time.time()
        monkeypatch.setattr("staticify.store.time.time", lambda: now + MEANT_SECONDS + 1)
        assert not store.is_meant("https://example.org/")
        assert not store.is_told("https://example.org/")
        assert store.is_due("https://example.org/")


def test_an_error_ends_what_was_told_and_not_what_was_meant(tmp_path: Path) -> None:
    told, meant = "https://example.org/told/", "https://example.org/meant/"
    with closing(Store.open_for_writing(tmp_path)) as store:
        store.set_due(told, is_told=True)
        store.set_due(meant, is_meant=True)
        for url in (told, meant):
            store.doubt_told(url, store.due_mark(url) - 1)
        assert store.is_told(told)
        for url in (told, meant):
            store.doubt_told(url, store.due_mark(url))
        assert (store.is_told(told), store.is_told(meant), store.due()) == (False, True, [told, meant])


def test_every_field_survives(tmp_path: Path) -> None:
    # A field that is not set proves nothing: each is here, but for the dataclass's own defaults.
    fields = dataclasses.fields(Record)
    assert all(getattr(FULL, field.name) != field.default for field in fields)
    with opened(tmp_path) as store:
        store.put(FULL)
        store.put(EMPTY)
    with opened(tmp_path) as store:
        assert store.set_aside is None
        assert store.get(FULL.url) == FULL
        assert store.get(EMPTY.url) == EMPTY
        assert store.get("https://a.example/other/") is None
        assert store.of_site(SITE) == [EMPTY, FULL]
        assert store.of_site("https://b.example/") == []


def test_the_columns_of_this_schema_version() -> None:
    """Another field of Record is another schema: count SCHEMA_VERSION up with it, or old databases cannot be read."""
    columns = (
        *("url", "site", "kind", "source_digest", "output_digest", "rules_digest", "size_bytes", "mtime"),
        *("first_seen_at", "checked_at", "verified_at", "changed_at", "render_seconds", "outcome", "verdict"),
        *(
            "reason",
            "failures",
            "doubted_at",
            "held_for",
            "held_bytes",
            "held_count",
            "database_errors",
            "personal_at",
            "unlisted_at",
            "unchanged_count",
            "is_dense",
            "tags",
            "status",
        ),
        *("headers", "cuts", "cut_count", "location"),
    )
    assert columns == module._COLUMNS
    assert SCHEMA_VERSION == 8


def test_what_changes_is_written_and_what_is_forgotten_goes(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.put(FULL)
        store.put(EMPTY)
        store.flush()
        assert reread(tmp_path) == [EMPTY, FULL]
        changed = dataclasses.replace(EMPTY, failures=1)
        store.put(changed)
        store.forget([FULL.url, "https://a.example/never-seen/"])
        assert reread(tmp_path) == [EMPTY, FULL]  # Until the flush.
        store.flush()
        assert reread(tmp_path) == [changed]
        store.put(FULL)
    assert reread(tmp_path) == [changed, FULL]  # Closing flushes.


def test_a_reader_beside_the_writer(tmp_path: Path) -> None:
    """A writer in another process, flushing all the time; each look sees whole rounds of it."""
    program = (
        "import sys; from pathlib import Path; from staticify.store import Store; from staticify.nouns import Record\n"
        "store = Store.open_for_writing(Path(sys.argv[1]))\n"
        "for number in range(10**9):\n"
        "    for page in range(20): store.put(Record(f'https://a.example/{page}', sys.argv[2], status=number))\n"
        "    store.flush()\n"
        "    if number == 5: print('going', flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path), SITE], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"going\n"
            last = 0
            for _ in range(50):
                records = reread(tmp_path)
                statuses = {record.status for record in records}
                assert (len(records), len(statuses)) == (20, 1)
                assert min(statuses) >= last
                last = min(statuses)
        finally:
            writer.kill()
    with opened(tmp_path) as store:  # Killed in the middle of whatever it did.
        assert len(store.of_site(SITE)) == 20


@pytest.mark.parametrize(
    "content", [b"this is no database at all, and long enough to be read" * 40, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_corrupt_database_is_set_aside_whole(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with opened(tmp_path) as store:
        assert store.set_aside is not None
        assert store.set_aside.parent == tmp_path
        assert store.set_aside.name.startswith("state.db.corrupt-")
        assert store.set_aside.read_bytes() == content
        assert store.of_site(SITE) == []
        store.put(FULL)
    assert reread(tmp_path) == [FULL]


def test_a_database_damaged_in_the_middle_is_set_aside(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(500):
            store.put(dataclasses.replace(FULL, url=f"https://a.example/{number}"))
    path = tmp_path / FILE_NAME
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\x5a" * (len(raw) - 4096)
    path.write_bytes(raw)
    with opened(tmp_path) as store:
        assert store.set_aside is not None
        assert store.set_aside.read_bytes() == bytes(raw)


def changed(directory: Path, statement: str, *values: object) -> None:
    """Another hand, or a bit of the disk's."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection, connection:
        connection.execute(statement, values)


NOT_OURS = {
    "url of another scheme": "url = 'i' || substr(url, 2)",
    "url of no host": "url = replace(url, 'a.example', 'a`example')",
    "url that we write otherwise": "url = upper(url)",
    "url that is none": "url = null",
    "url that is no text": "url = x'ff'",
    "text that is not UTF-8": "reason = cast(x'ff' as text)",
    "text that is a number": "source_digest = 5",
    "number that is text": "verified_at = 'x'",
    "number that is bytes": "mtime = x'00ff'",
    "number that is none": "failures = null",
    "number that no time is": "verified_at = 1e300",
    "number without end": "doubted_at = 9e999",
    "whole number with a fraction": "size_bytes = 1.5",
    "kind": "kind = 'htmm'",
    "outcome": "outcome = 'publisher'",
    "cuts that are no JSON": "cuts = '{'",
    "cuts without end": "cuts = replace(hex(zeroblob(100000)), '0', '[')",
    "cuts of text": """cuts = '[["a", 2, 3]]'""",
    "no header fields": "headers = null",
    "header fields in a list": "headers = '[]'",
    "header fields of numbers": """headers = '{"x": 1}'""",
    "tags that are bytes": "tags = x'6161'",
}


@pytest.mark.parametrize("name", NOT_OURS)
def test_a_record_that_nobody_wrote_is_left_out_and_the_others_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with opened(tmp_path) as store:
        store.put(FULL)
        store.put(EMPTY)
        store.set_due(EMPTY.url)
        store.put_site(SiteState(SITE, journal="j", since=5))
    changed(tmp_path, f"update page set {NOT_OURS[name]} where url = ?", FULL.url)
    assert reread(tmp_path) == [EMPTY]
    with opened(tmp_path) as store:
        assert (store.set_aside, store.of_site(SITE)) == (None, [EMPTY])
        assert (store.due(), store.site(SITE).since) == ([EMPTY.url], 5)
        store.put(FULL)
    assert [(entry.message, vars(entry)["rows"]) for entry in caplog.records] == [
        ("what cannot be read in the state database is left out", 1)
    ] * 2
    assert reread(tmp_path) == [EMPTY, FULL]
    with opened(tmp_path) as store:
        assert store.get(FULL.url) == FULL
    assert len(caplog.records) == 2, "it is gone from the disk as well"


@pytest.mark.parametrize(
    "note",
    [
        ("due", "nonsense", ""),
        ("due", FULL.url, "meant x"),
        ("due", FULL.url, "meant"),
        ("due", FULL.url, "tolt"),
        ("due", FULL.url, None),
        ("seen", "abc", "x"),
        ("seen", "abc", "nan"),
        ("site", SITE, '{"mode": "journal", "since": "x"}'),
        ("site", SITE, '{"mode": "journal", "weather": "rain"}'),
        ("site", SITE, "[]"),
        ("origin", SITE, '{"limit": 4, "most": "x", "unreachable": []}'),
        ("origin", SITE, '{"limit": 4, "most": 4, "unreachable": [1]}'),
        ("dve", FULL.url, ""),
    ],
)
def test_after_a_note_that_nobody_wrote_no_journal_is_taken_up_where_it_stood(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, note: tuple[str, str, str | None]
) -> None:
    """It may have said what was due: then every page is looked at."""
    other = "https://b.example/"
    with opened(tmp_path) as store:
        store.put(FULL)
        store.set_due(EMPTY.url, is_meant=True)
        store.put_site(SiteState(other, journal="j", since=5))
        store.put_origin(other, OriginState(4, 4, unreachable=("http://127.0.0.1:1",)))
        assert store.take_id("message", 1_700_000_000.0)
    changed(tmp_path, "insert into note values (?, ?, ?)", *note)
    assert reread(tmp_path) == [FULL]
    for _ in range(2):
        with opened(tmp_path) as store:
            assert (store.set_aside, store.of_site(SITE), store.due()) == (None, [FULL], [EMPTY.url])
            assert store.is_meant(EMPTY.url)
            assert (store.site(other), store.site(SITE)) == (SiteState(other), SiteState(SITE))
            assert store.origin(other) == OriginState(4, 4, unreachable=("http://127.0.0.1:1",))
            assert not store.take_id("message", 1_700_000_000.0)
    assert len(caplog.records) == 2, "it is gone from the disk as well"


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    with opened(tmp_path) as store:
        assert (store.set_aside, store.of_site(SITE)) == (None, [])


def test_another_schema_version_is_forgotten(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.executescript("create table page (url, weather); insert into page values ('x', 'rain');")
        connection.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
    with opened(tmp_path) as store:
        assert (store.set_aside, store.of_site(SITE)) == (None, [])
        store.put(FULL)
    assert reread(tmp_path) == [FULL]


BUSY_HINT = "Another program holds a lock on it: a copy, a backup, an sqlite3 shell; let it end"


@pytest.mark.alone
def test_a_locked_database_is_an_error_in_time_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.2)
    with opened(tmp_path) as store:
        store.put(EMPTY)
        store.flush()
        other = lock(tmp_path)
        store.put(FULL)
        started = time.monotonic()
        with pytest.raises(StoreError) as caught:
            store.flush()
        assert 0.1 < time.monotonic() - started < 3
        assert str(caught.value) == (
            f"cannot write the state database {tmp_path / FILE_NAME}: database is locked. {BUSY_HINT}"
        )
        later = dataclasses.replace(EMPTY, failures=9)
        store.put(later)
        other.close()
        store.flush()
        assert reread(tmp_path) == [later, FULL]


def test_a_directory_in_the_place_of_the_database_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    for opened in (Store.open_for_writing, Store.open_for_reading):
        with pytest.raises(StoreError, match="A directory stands where the file should be; take it away"):
            opened(tmp_path)


def test_a_locked_database_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.2)
    (tmp_path / FILE_NAME).touch()
    with closing(lock(tmp_path)), pytest.raises(StoreError) as caught:
        Store.open_for_writing(tmp_path)
    assert caught.value.hint == BUSY_HINT


def test_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    for directory in (tmp_path / "state", tmp_path / "state" / "below"):
        with pytest.raises(StoreError) as caught:
            Store.open_for_writing(directory)
        assert caught.value.hint == "The user that runs staticify must own its directory; nobody else may write to it"


def test_the_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    with opened(tmp_path / "state"):
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_reading_what_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            Store.open_for_reading(tmp_path)
        assert str(caught.value) == (
            f"there is no state database {tmp_path / FILE_NAME}. A running daemon makes it with the next page that it "
            "fetches, or when its disk has room; without one: staticify render --all"
        )
        (tmp_path / FILE_NAME).touch()
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 500)
    with pytest.raises(StoreError) as caught:
        Store.open_for_reading(tmp_path)
    assert caught.value.hint == (
        "It is corrupt: the next staticify render --all, or a daemon that starts, makes a new one"
    )
    assert (tmp_path / FILE_NAME).read_bytes() == b"no database" * 500


@pytest.mark.parametrize("names", [("state.db",), ("state.db", "state.db-wal", "state.db-shm")])
def test_a_database_deleted_under_its_writer_is_made_again(tmp_path: Path, names: tuple[str, ...]) -> None:
    with closing(Store.open_for_writing(tmp_path)) as store:
        store.put(Record("https://example.org/a/", "https://example.org/"))
        store.flush()
        for name in names:
            (tmp_path / name).unlink()
        store.flush()  # Nothing changed, nothing is written.
        store.put(Record("https://example.org/b/", "https://example.org/"))
        store.flush()
        with closing(Store.open_for_reading(tmp_path)) as reader:
            assert [record.url[-3:] for record in reader.of_site("https://example.org/")] == ["/a/", "/b/"]
        store.put(Record("https://example.org/c/", "https://example.org/"))
    with closing(Store.open_for_reading(tmp_path)) as reader:
        assert len(reader.of_site("https://example.org/")) == 3


def test_a_directory_deleted_under_its_writer_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path / "state") as store:
        store.put(EMPTY)
        store.flush()
        shutil.rmtree(tmp_path / "state")
        store.put(FULL)
        store.flush()
        assert reread(tmp_path / "state") == [EMPTY, FULL]
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
        store.put(EMPTY)
        store.flush()
    assert [(record.message, vars(record)["path"]) for record in caplog.records] == [
        (
            "the state database was removed or changed by somebody else: it is written anew",
            str(tmp_path / "state" / FILE_NAME),
        )
    ]


def test_a_database_replaced_by_an_older_copy_says_what_the_writer_knows(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.put(EMPTY)
        store.put(FULL)
        store.flush()
        checkpointed(store)
        shutil.copy(store.path, tmp_path / "copy")
        store.forget([FULL.url])
        store.flush()
        os.replace(tmp_path / "copy", store.path)
        changed = dataclasses.replace(EMPTY, failures=1)
        store.put(changed)
        store.flush()
        assert reread(tmp_path) == [changed]


def checkpointed(store: Store) -> None:
    """Nothing of the database is in its journal any more."""
    store._connection.execute("pragma wal_checkpoint(truncate)")
    store._marks = module._marks_of(store.path)


@pytest.mark.parametrize("count", [3, 300])
@pytest.mark.parametrize("name", ["state.db", "state.db-wal"])
@pytest.mark.parametrize("is_in_journal", [True, False])
def test_a_database_overwritten_under_its_writer_is_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, name: str, count: int, is_in_journal: bool
) -> None:
    with opened(tmp_path) as store:
        records = [dataclasses.replace(FULL, url=f"https://a.example/{number:03}") for number in range(count)]
        for record in records:
            store.put(record)
        store.flush()
        if not is_in_journal:
            checkpointed(store)
        file = tmp_path / name
        with file.open("r+b") as overwritten:
            overwritten.write(random.Random(0).randbytes(max(20_000, file.stat().st_size)))
        changed = dataclasses.replace(records[1], failures=99)
        store.put(changed)
        store.flush()
        assert reread(tmp_path) == [records[0], changed, *records[2:]]
        store.put(records[1])
        store.flush()
        assert reread(tmp_path) == records
    (said,) = caplog.records
    assert said.levelno == logging.WARNING
    aside = list(tmp_path.glob("state.db.corrupt-*[0-9]"))
    if aside:
        assert said.message == "the state database was overwritten: it is set aside and written anew"
        assert vars(said)["path"] == str(aside[0])
    assert aside or is_in_journal or name == "state.db-wal"
    with opened(tmp_path) as store:
        assert (store.set_aside, len(store.of_site(SITE))) == (None, len(records))


def test_corruption_that_only_a_flush_meets_is_set_aside_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody's hand shows: a clock that was set back in the meantime, say."""
    with opened(tmp_path) as store:
        store.put(FULL)
        store.flush()
        with closing(sqlite3.connect(store.path)) as other:
            other.execute("drop table page")
        store._marks = module._marks_of(store.path)
        store.put(EMPTY)
        store.flush()
        assert reread(tmp_path) == [EMPTY, FULL]
    assert [record.message for record in caplog.records] == [
        "the state database was overwritten: it is set aside and written anew"
    ]


def test_a_flush_that_fails_is_no_other_hand(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path) as store:
        store.put(EMPTY)
        store.flush()
        store._connection.execute("pragma max_page_count = 8")
        for number in range(200):
            store.put(dataclasses.replace(FULL, url=f"https://a.example/{number}"))
        with pytest.raises(StoreError) as caught:
            store.flush()
        assert caught.value.hint == "The disk is full: what is to be remembered stays in memory until there is room"
        store._connection.execute("pragma max_page_count = 100000")
        store.flush()
        assert len(reread(tmp_path)) == 201
    assert caplog.records == []


def test_a_disk_that_fails_is_no_reason_not_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as store:
        store.put(EMPTY)

    def connect(*_args: object) -> sqlite3.Connection:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
        raise error

    with monkeypatch.context() as failing:
        failing.setattr(Store, "_connected", staticmethod(connect))
        store = Store.open_for_writing(tmp_path)
        assert str(store.fault).startswith(f"cannot use the state database {tmp_path / FILE_NAME}: disk I/O error. ")
        assert "see the kernel's log" in store.fault.hint if store.fault else False
        assert store.get(EMPTY.url) == EMPTY, "what can be read is read"
        for _ in range(2):  # Though nothing is new.
            with pytest.raises(StoreError, match="see the kernel's log"):
                store.flush()
        store.put(FULL)
    store.flush()
    assert reread(tmp_path) == [EMPTY, FULL]
    store.close()
    assert (store.fault, caplog.records) == (None, [])


def remounted(directory: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", directory], check=True, timeout=10)


@pytest.mark.parametrize("is_killed", [False, True])
def test_what_is_on_a_read_only_disk_is_known_and_kept_up_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_killed: bool
) -> None:
    directory, at_work = tmp_path / "disk", tmp_path / "at-work"
    with mounted(directory, "1m"):
        with opened(at_work) as store:
            store.put(FULL)
            store.flush()
            # Who is killed leaves the journal and what readers and writer share, too.
            for file in at_work.iterdir() if is_killed else ():
                shutil.copy(file, directory)
        if not is_killed:
            shutil.copy(at_work / FILE_NAME, directory)
        remounted(directory, "ro")
        with closing(Store.open_for_writing(directory)) as store:
            assert is_killed or "Its file system is read-only" in str(store.fault)
            assert store.of_site(SITE) == [FULL]
            store.put(EMPTY)
            for _ in range(2):
                with pytest.raises(StoreError, match="Its file system is read-only"):
                    store.flush()
            assert reread(directory) == [FULL], "a reader finds what is there"
            remounted(directory, "rw")
            store.flush()
            assert (store.fault, reread(directory)) == (None, [EMPTY, FULL])
    assert caplog.records == []


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 1000])
def test_a_read_only_disk_with_nothing_to_read_is_named_as_such(tmp_path: Path, content: bytes | None) -> None:
    directory = tmp_path / "disk"
    with mounted(directory, "1m"):
        if content is not None:
            (directory / FILE_NAME).write_bytes(content)
        remounted(directory, "ro")
        for state in (directory, directory / "new"):
            with pytest.raises(StoreError) as caught:
                Store.open_for_writing(state)
            assert "Its file system is read-only" in caught.value.hint


def test_a_database_that_may_only_be_read_is_written_once_it_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as store:
        store.put(FULL)
    connect = sqlite3.connect

    def connect_to_read(name: Path, **options: Any) -> sqlite3.Connection:  # As SQLite does with somebody else's.
        connection: sqlite3.Connection = connect(f"{name.as_uri()}?mode=ro", uri=True, **options)
        return connection

    with monkeypatch.context() as closed:
        closed.setattr("staticify.store.sqlite3.connect", connect_to_read)
        store = Store.open_for_writing(tmp_path)
        store.put(EMPTY)
        for _ in range(2):
            with pytest.raises(StoreError, match="must own its directory"):
                store.flush()
    store.flush()
    assert reread(tmp_path) == [EMPTY, FULL]
    store.close()


def full(*_args: object) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


@pytest.mark.parametrize("is_readable", [True, False])
def test_what_is_on_a_full_disk_is_known_at_once_or_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, is_readable: bool
) -> None:
    def unreadable(_directory: Path, **_options: object) -> None:
        raise StoreError("cannot be read", hint="")

    directory = tmp_path / "disk"
    with mounted(directory, "256k"):
        with opened(directory) as store:
            store.put(FULL)
            store.set_due(EMPTY.url, is_told=True)
            store.put_site(SiteState(SITE, journal="j", since=5))
        filler = directory / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with monkeypatch.context() as failing:
            if not is_readable:
                failing.setattr(Store, "open_for_reading", unreadable)
            store = Store.open_for_writing(directory)
        with closing(store):
            assert store.fault is not None
            assert store.of_site(SITE) == ([FULL] if is_readable else [])
            store.put(EMPTY)
            with pytest.raises(StoreError, match="The disk is full"):
                store.flush()
            filler.unlink()
            with monkeypatch.context() as failing:  # Something else took the room.
                failing.setattr(Store, "_write", full)
                with pytest.raises(StoreError, match="The disk is full"):
                    store.flush()
            store.flush()
            assert (str(store.fault), store.due(), store.site(SITE).since) == ("None", [EMPTY.url], 5)
            assert reread(directory) == [EMPTY, FULL]
    assert caplog.records == []


def test_after_one_failure_to_write_everything_anew_everything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as store:
        store.put(EMPTY)
        store.flush()
        for file in tmp_path.iterdir():
            file.unlink()
        store.put(FULL)
        with monkeypatch.context() as failing:
            failing.setattr(Store, "_write", full)
            with pytest.raises(StoreError, match="The disk is full"):
                store.flush()
        store.flush()
        assert reread(tmp_path) == [EMPTY, FULL]


def test_beside_a_full_disk_a_corrupt_database_is_set_aside_and_a_corrupt_note_forgets_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as store:
        store.put_site(SiteState(SITE, journal="j", since=5))
    changed(tmp_path, "insert into note values ('due', 'nonsense', '')")
    with monkeypatch.context() as failing:
        failing.setattr(Store, "_write", full)
        with opened(tmp_path) as store:
            assert (store.fault is None, store.site(SITE)) == (False, SiteState(SITE))
    (tmp_path / FILE_NAME).write_bytes(b"garbage" * 1000)
    connected = Store._connected
    with monkeypatch.context() as failing:
        failing.setattr(Store, "_connected", staticmethod(lambda path: connected(path) if path.exists() else full()))
        with opened(tmp_path) as store:
            assert store.fault is not None
            assert store.set_aside is not None
            assert store.set_aside.read_bytes() == b"garbage" * 1000


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.ENOSPC, errno.EIO])
def test_a_file_that_the_disk_refuses_is_no_reason_not_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    def refuse_file(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    connection = sqlite3.connect(":memory:", check_same_thread=False)
    with monkeypatch.context() as failing:
        failing.setattr("staticify.store.os.open", refuse_file)
        failing.setattr(
            "staticify.store.sqlite3.connect", lambda name, **_: connection if name == ":memory:" else refuse()
        )
        store = Store.open_for_writing(tmp_path)
    assert os.strerror(number) in str(store.fault)
    store.close()


def test_a_journal_that_was_asked_in_the_future_confirms_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.put_site(SiteState(SITE, polled_at=time.time() + 3600))
        assert store.right_at(FULL) == FULL.verified_at
        store.put_site(SiteState(SITE, polled_at=(polled_at := time.time() - 5)))
        assert store.right_at(FULL) == polled_at


def test_a_failure_to_begin_anew_is_tried_again(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as store:
        store.put(EMPTY)
        store.flush()
        shutil.rmtree(tmp_path / "state")
        (tmp_path / "state").write_text("in the way")
        store.put(FULL)
        for _ in range(2):
            with pytest.raises(StoreError, match="cannot write the state database"):
                store.flush()
        (tmp_path / "state").unlink()
        store.flush()
        assert reread(tmp_path / "state") == [EMPTY, FULL]


def test_flushing_from_many_threads_at_once(tmp_path: Path) -> None:
    """And putting, and forgetting: the last word on each page is what stands there in the end."""
    with opened(tmp_path) as store:

        def work(thread: int) -> None:
            for number in range(40):
                store.put(Record(f"https://a.example/{thread}/{number}", SITE, status=1))
                store.flush()
                store.put(Record(f"https://a.example/{thread}/{number}", SITE, status=2))
                if number % 2:
                    store.forget([f"https://a.example/{thread}/{number}"])

        with ThreadPoolExecutor(4) as threads:
            for future in [threads.submit(work, thread) for thread in range(4)]:
                future.result()
        store.flush()
        records = reread(tmp_path)
        assert {record.url for record in records} == {
            f"https://a.example/{thread}/{number}" for thread in range(4) for number in range(0, 40, 2)
        }
        assert {record.status for record in records} == {2}


def test_a_flush_that_comes_during_another_waits_for_it(tmp_path: Path) -> None:
    """The second one fails after the first; neither commits or rolls back what the other wrote."""
    with opened(tmp_path) as store:
        store.put(EMPTY)
        store._writing.acquire()
        second = threading.Thread(target=store.flush)
        second.start()
        second.join(0.05)
        assert second.is_alive()
        assert reread(tmp_path) == []
        store.put(FULL)
        store._writing.release()
        second.join()
        assert reread(tmp_path) == [EMPTY, FULL]


def test_a_message_is_taken_once_whatever_the_wall_clock_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, ticks = 1_700_000_000.0, 1000.0
    monkeypatch.setattr("staticify.store.time.monotonic", lambda: ticks)
    with opened(tmp_path) as store:
        assert store.take_id("one", now)
        for ahead in (3600, -3600, 0):  # Set ahead, back, and right again.
            ticks += 90
            assert store.take_id(f"other {ahead}", now + ahead)
            assert not store.take_id("one", now)
    with opened(tmp_path) as store:  # How long it was down, a clock that starts anew cannot say.
        for _ in range(2):
            ticks += TOLERANCE_SECONDS + 1
            store.take_id("another", now + 3600)
            assert not store.take_id("one", now)
        ticks += TOLERANCE_SECONDS + 1
        store.take_id("another", now + 3600)
        assert store._named("seen") == ["other 3600", "another"], "old by both clocks: forgotten"
        assert set(store._seen_at) == {"other 3600", "another"}


def test_what_was_taken_back_is_known_as_long_as_a_journey_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = 1000.0
    monkeypatch.setattr("staticify.store.time.monotonic", lambda: ticks)
    with opened(tmp_path) as store:
        for number in range(1000):
            ticks += 60
            store.overtake(f"https://a.example/{number}")
            store.overtake(FULL.url)
        assert len(store._overtaken_at) == JOURNEY_SECONDS / 60 + 2
        assert store.is_overtaken(FULL.url, ticks)
        assert not store.is_overtaken(FULL.url, ticks + 1)
        assert not store.is_overtaken(EMPTY.url, ticks - JOURNEY_SECONDS)
        assert store.is_overtaken("https://a.example/999", ticks - 1)
        assert not store.is_overtaken("https://a.example/998", ticks - 1)
        assert store.is_overtaken("https://a.example/3", 1000.0), "who began before what is forgotten cannot know"


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = Store.open_for_writing(tmp_path)
    store.close()
    store.close()
    store.put(FULL)
    with pytest.raises(StoreError, match="cannot write the state database"):
        store.flush()
