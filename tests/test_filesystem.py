"""What the os module has no name for, on the file system of the tests."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staticify import filesystem
from staticify.filesystem import close, exchange, is_nosymfollow, keep_swap


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    close(fd)


def test_two_names_are_swapped(tmp_path: Path, directory: int) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    exchange(directory, "one", "other")
    keep_swap(directory)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.glob("*/*"))] == [
        "one/other",
        "other/one",
    ]


def test_what_is_not_there_is_not_swapped(tmp_path: Path, directory: int) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        exchange(directory, "one", "other")
    assert caught.value.filename == "one"


@pytest.mark.parametrize(("magic", "is_btrfs"), [(0x9123683E, True), (0xEF53, False)])
@pytest.mark.parametrize("words", ["=II", "LL"])
def test_btrfs_is_known_by_its_number_whatever_the_size_of_it(
    directory: int, monkeypatch: pytest.MonkeyPatch, words: str, magic: int, *, is_btrfs: bool
) -> None:
    committed = []

    class Libc:
        @staticmethod
        def fstatfs(_directory: int, status: Any) -> int:
            struct.pack_into(words, status, 0, magic, 4096)
            return 0

        @staticmethod
        def syncfs(directory: int) -> int:
            committed.append(directory)
            return 0

    monkeypatch.setattr(filesystem, "_libc", Libc)
    keep_swap(directory)
    assert committed == [directory] * is_btrfs


def test_a_swap_that_is_not_on_the_disk_is_an_error(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH)  # Good for a name, and for nothing else.
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        keep_swap(fd)
    close(fd)


def test_links_are_followed_where_nothing_says_otherwise(tmp_path: Path) -> None:
    assert not is_nosymfollow(tmp_path)
    assert not is_nosymfollow(tmp_path / "nothing")
