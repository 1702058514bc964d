"""Files dropped into the spool are read once, and what is bad about them is said and kept."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from staticify.errors import Fault, WatchError
from staticify.spool import MAX_BYTES, MAX_FILES, SETTLE_SECONDS, Order, read_spool

LONG_AGO = 1_700_000_000
NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


def drop(folder: Path, name: str, content: str | bytes) -> Path:
    """A file that nobody is writing to any more."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(file, (LONG_AGO, LONG_AGO))
    return file


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_file_says_what_to_render_and_goes(tmp_path: Path) -> None:
    drop(tmp_path, "a", "# a comment\n\nhttps://example.org/about/\n  /feed/\r\ntag:post:12\n/feed/\ntag:menu:1")
    drop(tmp_path, "b", "all\n")
    assert read_spool(tmp_path) == [
        Order("a", urls=("https://example.org/about/", "/feed/"), tags=("post:12", "menu:1")),
        Order("b", everything=True),
    ]
    assert names(tmp_path) == []
    assert read_spool(tmp_path) == []


def test_a_byte_order_mark_and_names_of_any_kind(tmp_path: Path) -> None:
    drop(tmp_path, "späte Änderung", b"\xef\xbb\xbfall\n")
    drop(tmp_path, os.fsdecode(b"\xff\xfe"), "/caf\u00e9/")
    assert {(order.everything, order.urls) for order in read_spool(tmp_path)} == {(True, ()), (False, ("/caf\u00e9/",))}
    assert names(tmp_path) == []


def test_some_names_are_not_read(tmp_path: Path) -> None:
    kept = [".hidden", "draft.tmp", "editor~", "bad.rejected"]
    for name in kept:
        drop(tmp_path, name, "all")
    assert read_spool(tmp_path) == []
    assert names(tmp_path) == sorted(kept)


@pytest.mark.parametrize(
    "line",
    [
        "about", "//example.org/", "ftp://example.org/", "tag:", "tag:two words", "tag:caf\u00e9", "ALL", "all pages",
        "/with space/", "/control\x00/", "/turned\u202e/", "/" + "x" * 9000, "tag:" + "x" * 201, "tag",
    ],
)  # fmt: skip
def test_a_bad_line_is_a_fault_and_the_good_ones_hold(tmp_path: Path, line: str) -> None:
    content = f"/good/\n{line}\ntag:post:1\n"
    drop(tmp_path, "mixed", content)
    (order,) = read_spool(tmp_path)
    fault = Fault("mixed", "is no URL, absolute path, tag:TAG or all", 2)
    assert order == Order("mixed", urls=("/good/",), tags=("post:1",), faults=(fault,))
    assert names(tmp_path) == ["mixed.rejected"]
    assert (tmp_path / "mixed.rejected").read_text() == content
    # What a file said by mistake does not get into the log.
    assert line not in str(order.faults[0]) or line in {"all", "tag", "tag:"}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"/caf\xe9/\n", "is not UTF-8"), (b"/" * (MAX_BYTES + 1), f"is over {MAX_BYTES} bytes")],
)
def test_a_file_that_cannot_be_understood_is_kept(tmp_path: Path, content: bytes, message: str) -> None:
    drop(tmp_path, "bad", content)
    assert read_spool(tmp_path) == [Order("bad", faults=(Fault("bad", message),))]
    assert names(tmp_path) == ["bad.rejected"]
    assert (tmp_path / "bad.rejected").read_bytes() == content


def test_the_longest_file_is_read(tmp_path: Path) -> None:
    drop(tmp_path, "long", b"all\n" + b"#" * (MAX_BYTES - 4))
    assert read_spool(tmp_path) == [Order("long", everything=True)]


def test_no_rejected_file_takes_the_place_of_another(tmp_path: Path) -> None:
    for number in range(3):
        drop(tmp_path, "bad", f"fault {number}")
        drop(tmp_path, "x" * 255, f"fault {number}")
        assert len(read_spool(tmp_path)) == 2
    assert len(names(tmp_path)) == 6
    assert all(name.endswith(".rejected") for name in names(tmp_path))
    assert sorted(file.read_text() for file in tmp_path.iterdir()) == sorted(f"fault {n}" for n in (0, 0, 1, 1, 2, 2))


def test_nothing_that_lies_in_the_spool_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".taken").mkdir()
    drop(tmp_path, "a", "all")
    assert read_spool(tmp_path) == [Order("a", everything=True)]
    assert names(tmp_path) == [".taken"]


def test_a_file_is_read_when_it_is_no_longer_written_to(tmp_path: Path) -> None:
    started = time.monotonic()
    (tmp_path / "fresh").write_text("all")
    # It is waited for: the event that it was written has been, and there will be no other.
    assert read_spool(tmp_path) == [Order("fresh", everything=True)]
    assert time.monotonic() - started >= SETTLE_SECONDS


def test_a_file_that_is_still_written_to_stays(tmp_path: Path) -> None:
    is_done = threading.Event()

    def write() -> None:
        with (tmp_path / "slow").open("w") as file:
            while not is_done.wait(SETTLE_SECONDS / 10):
                file.write("/a/\n")
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not (tmp_path / "slow").exists() or not (tmp_path / "slow").stat().st_size:
            time.sleep(0.001)
        drop(tmp_path, "ready", "all")
        assert read_spool(tmp_path) == [Order("ready", everything=True)]
        assert names(tmp_path) == ["slow"]
    finally:
        is_done.set()
        writer.join()
    assert read_spool(tmp_path) == [Order("slow", urls=("/a/",))]


def test_an_empty_file_is_one_that_is_not_begun(tmp_path: Path) -> None:
    drop(tmp_path, "empty", "")
    assert read_spool(tmp_path) == []
    assert names(tmp_path) == ["empty"]


def test_a_time_stamp_that_lies_ahead_keeps_nothing_back(tmp_path: Path) -> None:
    file = drop(tmp_path, "ahead", "all")
    os.utime(file, (time.time() + 3600, time.time() + 3600))
    assert read_spool(tmp_path) == [Order("ahead", everything=True)]


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    spool, secret = tmp_path / "spool", tmp_path / "secret"
    spool.mkdir()
    secret.write_text("all")
    (spool / "link").symlink_to(secret)
    (spool / "nowhere").symlink_to(tmp_path / "nowhere")
    (spool / "folder").mkdir()
    os.mkfifo(spool / "fifo")
    # A FIFO without a writer holds whoever opens it.
    opener = threading.Thread(target=read_spool, args=(spool,), daemon=True)
    opener.start()
    opener.join(10)
    assert not opener.is_alive()
    assert read_spool(spool) == []
    assert names(spool) == ["fifo", "folder", "link", "nowhere"]
    assert secret.read_text() == "all"


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_takes_a_files_name_at_the_last_moment_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    spool, secret = tmp_path / "spool", tmp_path / "secret"
    spool.mkdir()
    secret.write_text("all")
    file = drop(spool, "file", "all")
    rename = os.rename

    def swap(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(os, "rename", rename)
        file.unlink()
        if kind == "link":
            file.symlink_to(secret)
        elif kind == "fifo":
            os.mkfifo(file)
        else:
            file.mkdir()
        rename(*args, **kwargs)

    monkeypatch.setattr(os, "rename", swap)
    (order,) = read_spool(spool)
    assert order.name == "file"
    assert not order.everything
    assert order.faults
    assert names(spool) == ["file.rejected"]
    assert secret.read_text() == "all"


def test_a_file_that_gets_the_name_meanwhile_is_another_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(tmp_path, "order", "/first/")
    rename = os.rename

    def then_another(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(os, "rename", rename)
        rename(*args, **kwargs)
        drop(tmp_path, "order", "/second/")

    monkeypatch.setattr(os, "rename", then_another)
    assert read_spool(tmp_path) == [Order("order", urls=("/first/",))]
    assert read_spool(tmp_path) == [Order("order", urls=("/second/",))]


def test_many_files_are_read_in_turns(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 5):
        drop(tmp_path, f"{number:04}", f"/{number}/")
    assert len(read_spool(tmp_path)) == MAX_FILES
    assert len(read_spool(tmp_path)) == 5
    assert names(tmp_path) == []


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_spool(tmp_path / "nowhere") == []


def test_a_spool_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WatchError, match=r"the spool .* cannot be read: Not a directory"):
        read_spool(tmp_path / "file")


@pytest.fixture
def unchangeable(tmp_path: Path) -> Path:
    """A folder in which nobody, root included, may remove anything."""
    folder = tmp_path / "unchangeable"
    folder.mkdir()
    drop(folder, "order", "all")
    try:
        subprocess.run(["mount", "--bind", "-o", "ro", folder, folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
    return folder


@needs_root
def test_what_cannot_be_taken_away_is_not_carried_out(unchangeable: Path) -> None:
    try:
        (order,) = read_spool(unchangeable)
    finally:
        subprocess.run(["umount", unchangeable], check=True)
    assert not order.everything
    assert [fault.message for fault in order.faults] == [
        "cannot be taken out of the spool, and is not carried out: Read-only file system"
    ]
    assert names(unchangeable) == ["order"]


@needs_root
def test_a_file_that_may_not_be_read_is_kept(tmp_path: Path) -> None:
    drop(tmp_path, "private", "all").chmod(0o600)
    drop(tmp_path, "public", "/a/").chmod(0o644)
    tmp_path.chmod(0o777)
    opened = os.open(tmp_path, os.O_RDONLY)
    spool = Path(f"/proc/self/fd/{opened}")
    os.seteuid(NOBODY)
    try:
        orders = read_spool(spool)
    finally:
        os.seteuid(0)
        os.close(opened)
    assert orders == [
        Order("private", faults=(Fault("private", "cannot be read: Permission denied"),)),
        Order("public", urls=("/a/",)),
    ]
    assert names(tmp_path) == ["private.rejected"]


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for content in ("all", b"\xff", "x" * (MAX_BYTES + 1), "bad"):
        drop(tmp_path, "file", content)
        read_spool(tmp_path)
    assert os.listdir("/proc/self/fd") == before
