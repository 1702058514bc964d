"""Pages in a real directory: whole, at once, never older than before, and nothing outside."""

from __future__ import annotations

import errno
import gzip
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import brotli
import pytest

from staticify import tree as module
from staticify.encode import Variants, encode
from staticify.errors import TreeError, TreeLocked
from staticify.holding import has_daemon
from staticify.nouns import Kind
from staticify.tree import MAX_FILE_BYTES, SUFFIXES, Found, Tree
from staticify.urls import MARK, MAX_SEGMENTS, Place, parse_page

NOW = 1_700_000_000
HOME = Place(("a.example",), MARK)
DEEP = Place(("a.example", "2024", "05", "x"), MARK)
FLAT = Place(("a.example",), f"robots.txt{MARK}")


class Clock:
    """The wall clock, as the test sets it."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@contextmanager
def opened(path: Path, *, has_exchange: bool | None = None, now: Callable[[], float] = lambda: NOW) -> Iterator[Tree]:
    tree = Tree(path, may_link=has_exchange is False, now=now, has_exchange=has_exchange)
    tree.open()
    with closing(tree):
        yield tree


@pytest.fixture(autouse=True)
def _no_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaced leaves go at once, but for the tests that are about their staying."""
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[True, False], ids=["exchange", "links"])
def tree(tmp_path: Path, clock: Clock, request: pytest.FixtureRequest) -> Iterator[Tree]:
    with opened(tmp_path / "tree", has_exchange=request.param, now=clock) as tree:
        yield tree


def variants(text: str) -> Variants:
    return encode(text.encode())


def read(tree: Tree, place: Place, kind: Kind = Kind.HTML) -> str:
    """What the page says; every variant says the same."""
    leaf = tree.path / place.relative
    identity = (leaf / f"index.{kind}").read_bytes()
    assert gzip.decompress((leaf / f"index.{kind}.gz").read_bytes()) == identity
    assert brotli.decompress((leaf / f"index.{kind}.br").read_bytes()) == identity
    return identity.decode()


def names(path: Path) -> list[str]:
    """Everything below a directory, links not followed."""
    return sorted(
        os.path.relpath(os.path.join(directory, name), path)
        for directory, below, files in os.walk(path)
        for name in (*below, *files)
    )


# --- Publish ---------------------------------------------------------------------------------------------------------


def test_a_page_appears_with_all_its_variants(tmp_path: Path) -> None:
    with opened(tmp_path / "tree") as tree:
        assert tree.publish(DEEP, Kind.HTML, variants("hello")) == NOW
        assert names(tree.path) == [
            "a.example",
            "a.example/2024",
            "a.example/2024/05",
            "a.example/2024/05/x",
            f"a.example/2024/05/x/{MARK}",
            f"a.example/2024/05/x/{MARK}/index.html",
            f"a.example/2024/05/x/{MARK}/index.html.br",
            f"a.example/2024/05/x/{MARK}/index.html.gz",
        ]
        assert read(tree, DEEP) == "hello"


def test_a_page_is_replaced_and_nothing_of_the_old_one_stays(tmp_path: Path) -> None:
    with opened(tmp_path / "tree", has_exchange=True) as tree:
        tree.publish(HOME, Kind.HTML, variants("one"))
        before = names(tree.path)
        tree.publish(HOME, Kind.HTML, variants("two"))
        assert read(tree, HOME) == "two"
        assert names(tree.path) == before
        tree.publish(HOME, Kind.RSS, variants("<rss/>"))
        assert sorted(os.listdir(tree.path / HOME.relative)) == ["index.rss", "index.rss.br", "index.rss.gz"]


def test_links_lead_to_the_newest_version_and_the_one_before_goes(tmp_path: Path) -> None:
    with opened(tmp_path / "tree", has_exchange=False) as tree:
        tree.publish(FLAT, Kind.TEXT, variants("robots"))  # Another page of the same directory.
        for text in ("one", "two", "three"):
            tree.publish(HOME, Kind.HTML, variants(text))
        versions = [os.readlink(tree.path / place.relative) for place in (HOME, FLAT)]
        assert sorted(os.listdir(tree.path / "a.example")) == sorted([MARK, FLAT.leaf, *versions])
        assert (read(tree, HOME), read(tree, FLAT, Kind.TEXT)) == ("three", "robots")


def test_a_replaced_leaf_lingers_for_who_stands_in_it(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGER_SECONDS", 3600.0)
    tree.publish(HOME, Kind.HTML, variants("one"))
    reader = os.open(tree.path / HOME.relative, os.O_RDONLY | os.O_DIRECTORY)
    for text in ("two", "three", "four"):
        tree.publish(HOME, Kind.HTML, variants(text))
    assert read(tree, HOME) == "four"
    assert sorted(os.listdir(reader)) == ["index.html", "index.html.br", "index.html.gz"]
    assert list(tree.scan()) == [Found(HOME, Kind.HTML, NOW + 3, 4)]
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.0)
    tree.publish(FLAT, Kind.TEXT, variants("robots"))  # The next publish of any page takes it away.
    assert os.listdir(reader) == []
    os.close(reader)


def test_a_page_that_goes_takes_its_directories_along_once_its_old_leaf_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER_SECONDS", 3600.0)
    with opened(tmp_path / "tree", has_exchange=True) as tree:
        tree.publish(DEEP, Kind.HTML, variants("one"))
        tree.publish(DEEP, Kind.HTML, variants("two"))
        assert tree.remove(DEEP)
        assert (tree.path / "a.example/2024/05/x").is_dir()
    assert names(tmp_path / "tree") == ["a.example"]  # Closing waits for nobody.


def test_the_mtime_is_one_for_all_variants_and_moves_with_every_change(tree: Tree, clock: Clock) -> None:
    def mtimes() -> set[float]:
        return {(tree.path / HOME.relative / f"index.html{suffix}").stat().st_mtime for suffix in SUFFIXES}

    clock.now = NOW + 0.9
    assert tree.publish(HOME, Kind.HTML, variants("aaa")) == NOW
    assert mtimes() == {NOW}
    # The same second and the same length: nginx's ETag must differ all the same.
    assert tree.publish(HOME, Kind.HTML, variants("bbb")) == NOW + 1
    assert tree.publish(HOME, Kind.HTML, variants("ccc")) == NOW + 2
    assert mtimes() == {NOW + 2}
    clock.now = NOW - 3600
    assert tree.publish(HOME, Kind.HTML, variants("ddd")) == NOW + 3
    clock.now = NOW + 60
    assert tree.publish(HOME, Kind.HTML, variants("eee")) == NOW + 60


def test_a_page_that_comes_back_is_later_than_the_one_that_went(tree: Tree, clock: Clock) -> None:
    """A removal and the next page in one second, and of one length: a false 304 for who has the first."""
    assert tree.publish(HOME, Kind.HTML, variants("aaa")) == NOW
    assert tree.publish(DEEP, Kind.HTML, variants("aaa")) == NOW
    assert tree.publish(DEEP, Kind.HTML, variants("bbb")) == NOW + 1
    for place in (HOME, DEEP):
        assert tree.remove(place)
    assert tree.publish(HOME, Kind.HTML, variants("bbb")) == NOW + 1
    assert tree.publish(DEEP, Kind.HTML, variants("ccc")) == NOW + 2
    assert tree.publish(FLAT, Kind.TEXT, variants("new")) == NOW
    assert tree.remove(HOME)
    clock.now = NOW + 60
    assert tree.publish(HOME, Kind.HTML, variants("ccc")) == NOW + 60


def test_the_pages_that_went_last_are_remembered_and_no_more(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMOVED", 2)
    for place in (HOME, FLAT, HOME, DEEP):
        tree.publish(place, Kind.HTML, variants("x"))
        tree.remove(place)
    assert tree.publish(FLAT, Kind.HTML, variants("x")) == NOW
    assert tree.publish(HOME, Kind.HTML, variants("x")) == NOW + 2
    assert tree.publish(DEEP, Kind.HTML, variants("x")) == NOW + 1
    assert tree._removed == {}


def test_denser_variants_keep_the_mtime(tree: Tree, clock: Clock) -> None:
    mtime = tree.publish(HOME, Kind.HTML, variants("x" * 1000))
    clock.now += 600
    assert tree.publish(HOME, Kind.HTML, encode(b"x" * 1000, is_dense=True), mtime=mtime) == mtime
    assert tree.is_holding(HOME, Kind.HTML, mtime, 1000)


def test_a_leaf_whose_files_are_from_the_epoch_is_replaced(tree: Tree) -> None:
    """Images and archives made reproducibly carry mtime 0."""
    tree.publish(HOME, Kind.HTML, variants("one"), mtime=0)
    assert tree.publish(HOME, Kind.HTML, variants("two")) == NOW
    assert read(tree, HOME) == "two"


def test_a_leaf_that_somebody_emptied_is_replaced(tree: Tree) -> None:
    tree.publish(HOME, Kind.HTML, variants("one"))
    for name in os.listdir(tree.path / HOME.relative):
        (tree.path / HOME.relative / name).unlink()
    tree.publish(HOME, Kind.HTML, variants("two"))
    assert read(tree, HOME) == "two"


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    """The web server is another user."""
    before = os.umask(umask)
    try:
        with opened(tmp_path / "tree") as tree:
            tree.publish(DEEP, Kind.HTML, variants("x"))
    finally:
        os.umask(before)
    modes = {name: (tree.path / name).stat().st_mode & 0o7777 for name in (".", *names(tree.path))}
    assert set(modes.values()) == {0o755, 0o644}
    assert all(mode == (0o644 if "index." in name else 0o755) for name, mode in modes.items())


class Killed(BaseException):
    """What no part of a tree catches."""


def test_the_directories_above_a_tree_can_be_entered_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with opened(tmp_path / "above" / "it" / "tree"):
            pass
    finally:
        os.umask(before)
    made = [tmp_path / "above", tmp_path / "above/it", tmp_path / "above/it/tree"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o755}


def test_a_directory_can_be_entered_though_who_made_it_was_killed_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fchmod(_fd: int, _mode: int) -> None:
        raise Killed

    before = os.umask(0o077)
    try:
        with opened(tmp_path / "tree") as tree:
            monkeypatch.setattr(os, "fchmod", fchmod)
            with pytest.raises(Killed):
                tree.publish(DEEP, Kind.HTML, variants("x"))
            monkeypatch.undo()
            assert tree.sweep() == 1
            tree.publish(DEEP, Kind.HTML, variants("x"))
    finally:
        os.umask(before)
    assert all(path.stat().st_mode & 0o055 == 0o055 for path in tree.path.rglob("*") if path.is_dir())


@pytest.mark.parametrize(
    "url",
    [
        f"https://a.example/{'x' * 255}/{'y' * 245}",
        f"https://a.example/{'é' * 127}/",
        "https://a.example/日本語/ラズベリーパイ/",
        "https://a.example/%F0%9F%98%80/%D9%85%D8%B1%D8%AD%D8%A8%D8%A7",
        "https://[::1]:8080/%22%3C%3E|*%3F/",
        "https://a.example/.hidden/...",
        f"https://a.example/{'/'.join(['x' * 100] * 18)}/",
        f"https://a.example/{'a/' * MAX_SEGMENTS}",
    ],
)
def test_names_as_the_web_has_them(tree: Tree, url: str) -> None:
    page = parse_page(url)
    tree.publish(page.place, Kind.HTML, variants("one"))
    tree.publish(page.place, Kind.HTML, variants("two"))
    assert (tree.path / page.tree_path(Kind.HTML)).read_text() == "two"
    assert list(tree.scan()) == [Found(page.place, Kind.HTML, NOW + 1, 3)]
    assert tree.remove(page.place)
    assert names(tree.path) == [page.netloc]


# --- Remove, find, scan ----------------------------------------------------------------------------------------------


def test_a_removed_page_takes_its_empty_directories_with_it(tree: Tree) -> None:
    above = Place(("a.example", "2024"), MARK)
    for _ in range(3):  # So that there are versions, where there are any.
        tree.publish(DEEP, Kind.HTML, variants("deep"))
        tree.publish(above, Kind.HTML, variants("above"))
    assert tree.remove(DEEP)
    assert not (tree.path / "a.example/2024/05").exists()
    assert read(tree, above) == "above"
    assert tree.remove(above)
    assert names(tree.path) == ["a.example"]


def test_a_removed_page_takes_no_other_along_whatever_they_are_called(tree: Tree) -> None:
    """The SHA-256 of these two leaves' names begins with the same 48 bits."""
    one, other = (parse_page(f"https://example.org/{name}").place for name in ("86690b61f270", "f20c4d7bf44c"))
    for place in (one, other):
        tree.publish(place, Kind.HTML, variants(place.leaf))
    assert tree.remove(one)
    assert read(tree, other) == other.leaf
    assert tree.remove(other)
    assert names(tree.path) == ["example.org"]


def test_removing_what_is_not_there_changes_nothing(tree: Tree) -> None:
    tree.publish(HOME, Kind.HTML, variants("home"))
    before = names(tree.path)
    assert not tree.remove(DEEP)
    assert not tree.remove(FLAT)
    assert names(tree.path) == before


def test_find_and_is_holding(tree: Tree) -> None:
    assert tree.find(HOME) is None
    mtime = tree.publish(HOME, Kind.ATOM, variants("<feed/>"))
    assert tree.find(HOME) == Found(HOME, Kind.ATOM, mtime, 7)
    assert tree.is_holding(HOME, Kind.ATOM, mtime, 7)
    assert not tree.is_holding(HOME, Kind.RSS, mtime, 7)
    assert not tree.is_holding(HOME, Kind.ATOM, mtime + 1, 7)
    assert not tree.is_holding(HOME, Kind.ATOM, mtime, 8)
    assert not tree.is_holding(DEEP, Kind.ATOM, mtime, 7)


def make_large(file: Path) -> None:
    with file.open("wb") as large:
        large.truncate(MAX_FILE_BYTES + 1)


NO_PAGES: dict[str, Callable[[Path], object]] = {
    "link of the same length": lambda file: file.symlink_to(f"..{'/' * 92}secret"),
    "link to a device": lambda file: file.symlink_to("/dev/zero"),
    "FIFO": os.mkfifo,
    "directory": os.mkdir,
    "socket": lambda file: os.mknod(file, 0o600 | stat.S_IFSOCK),
    "larger than any page": make_large,
}


@pytest.mark.parametrize("name", NO_PAGES)
def test_what_is_no_regular_file_is_no_page_and_is_replaced(tree: Tree, name: str) -> None:
    mtime = tree.publish(HOME, Kind.HTML, variants("x" * 100))
    assert tree.read(HOME, Kind.HTML) == b"x" * 100
    file = tree.path / HOME.relative / "index.html"
    (tree.path / "a.example/secret").write_text("s" * 100)
    file.unlink()
    NO_PAGES[name](file)
    os.utime(file, (mtime, mtime), follow_symlinks=False)
    assert (tree.find(HOME), tree.is_holding(HOME, Kind.HTML, mtime, 100)) == (None, False)
    with pytest.raises(FileNotFoundError):
        tree.read(HOME, Kind.HTML)
    assert list(tree.scan()) == []
    assert tree.publish(HOME, Kind.HTML, variants("y" * 100)) == mtime + 1
    assert tree.read(HOME, Kind.HTML) == b"y" * 100


@pytest.mark.parametrize("planted", ["a.example", "a.example/2024", f"a.example/2024/05/x/{MARK}"])
def test_no_reader_follows_a_link_to_what_looks_like_a_page(tree: Tree, tmp_path: Path, planted: str) -> None:
    tree.publish(DEEP, Kind.HTML, variants("x"))
    target = tmp_path / "outside"
    shutil.move(tree.path / "a.example", target)
    (tree.path / planted).parent.mkdir(parents=True, exist_ok=True)
    (tree.path / planted).symlink_to(target / planted.removeprefix("a.example").removeprefix("/"))
    assert (tree.find(DEEP), tree.is_holding(DEEP, Kind.HTML, NOW, 1), list(tree.scan())) == (None, False, [])
    with pytest.raises(FileNotFoundError):
        tree.read(DEEP, Kind.HTML)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_page_that_lacks_a_variant_is_not_held(tree: Tree, suffix: str) -> None:
    mtime = tree.publish(HOME, Kind.HTML, variants("x"))
    file = tree.path / HOME.relative / f"index.html{suffix}"
    os.utime(file, (mtime + 5, mtime + 5))
    assert not tree.is_holding(HOME, Kind.HTML, mtime, 1)
    file.unlink()
    assert not tree.is_holding(HOME, Kind.HTML, mtime, 1)


def test_scan_finds_every_page_in_a_fixed_order_and_nothing_else(tree: Tree) -> None:
    other = Place(("b.example:8080", "日本"), MARK)
    for place, kind in ((other, Kind.HTML), (DEEP, Kind.HTML), (FLAT, Kind.TEXT), (HOME, Kind.RSS)):
        tree.publish(place, kind, variants("12345"))
        tree.publish(place, kind, variants("1234"))
    (tree.path / "a.example/own").mkdir()
    (tree.path / "a.example/own/index.html").write_text("somebody's")
    (tree.path / f"a.example/empty{MARK}").mkdir()
    (tree.path / "a.example/circle").symlink_to("..")
    assert list(tree.scan()) == [
        Found(DEEP, Kind.HTML, NOW + 1, 4),
        Found(HOME, Kind.RSS, NOW + 1, 4),
        Found(FLAT, Kind.TEXT, NOW + 1, 4),
        Found(other, Kind.HTML, NOW + 1, 4),
    ]


def test_a_tree_is_scanned_and_swept_however_deep_it_is(tree: Tree) -> None:
    """With fewer descriptors than a page has directories; and what no page has is let alone."""
    deepest = Place(("a.example", *["a"] * MAX_SEGMENTS), MARK)
    for place in (HOME, deepest):
        tree.publish(place, Kind.HTML, variants("x"))
    (tree.path / deepest.relative).with_name(f"{MARK}.new-0123").mkdir()
    below = (tree.path / deepest.relative).with_name("a")
    subprocess.run(["mkdir", "-p", str(below) + "/a" * 1200 + f"/{MARK}.new-0123"], check=True)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 8, limits[1]))
    try:
        assert tree.sweep() == 1
        assert [found.place for found in tree.scan()] == [HOME, deepest]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        subprocess.run(["rm", "-r", str(below)], check=True)


# --- From one file system to another ---------------------------------------------------------------------------------


def test_a_tree_moves_to_a_file_system_without_exchange_and_back(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    with opened(path, has_exchange=True) as tree:
        tree.publish(HOME, Kind.HTML, variants("one"))
    with opened(path, has_exchange=False) as tree:
        assert tree.publish(HOME, Kind.HTML, variants("two")) == NOW + 1
        assert (path / HOME.relative).is_symlink()
        assert read(tree, HOME) == "two"
        assert len(os.listdir(path / "a.example")) == 2
    with opened(path, has_exchange=True) as tree:
        assert list(tree.scan()) == [Found(HOME, Kind.HTML, NOW + 1, 3)]
        assert tree.publish(HOME, Kind.HTML, variants("three")) == NOW + 2
        assert not (path / HOME.relative).is_symlink()
        assert read(tree, HOME) == "three"
        assert tree.sweep() == 1  # The version that the link led to.
        assert os.listdir(path / "a.example") == [MARK]


def dangling(tree: Tree, place: Place) -> Path:
    """A link to a version that is gone: a backup, or a power failure, kept the one and lost the other."""
    leaf = tree.path / place.relative
    leaf.parent.mkdir(parents=True, exist_ok=True)
    leaf.symlink_to(f"{MARK}.v-0123456789abcdef")
    return leaf


def test_a_link_to_a_version_that_is_gone_is_no_page_and_is_replaced(tree: Tree) -> None:
    leaf = dangling(tree, HOME)
    assert (tree.find(HOME), list(tree.scan())) == (None, [])
    tree.publish(HOME, Kind.HTML, variants("one"))
    assert read(tree, HOME) == "one"
    tree.tidy()
    tree.publish(HOME, Kind.HTML, variants("two"))
    assert read(tree, HOME) == "two"
    tree.tidy()
    versions = [os.readlink(leaf)] if leaf.is_symlink() else []
    assert sorted(os.listdir(leaf.parent)) == sorted([MARK, *versions])


def test_a_link_to_a_version_that_is_gone_goes_like_a_page(tree: Tree) -> None:
    dangling(tree, HOME)
    dangling(tree, DEEP)
    assert tree.remove(DEEP)
    assert os.listdir(tree.path / "a.example") == [MARK]
    assert tree.sweep() == 1
    assert os.listdir(tree.path / "a.example") == []
    tree.publish(HOME, Kind.HTML, variants("one"))
    assert (tree.sweep(), read(tree, HOME)) == (0, "one")


def test_a_page_is_put_back_when_the_link_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "tree", has_exchange=True) as tree:
        tree.publish(HOME, Kind.HTML, variants("one"))
    real = os.rename

    def rename(source: str, target: str, **descriptors: int) -> None:
        if target == HOME.leaf and not source.endswith(".old"):
            raise OSError(errno.EIO, "Input/output error")
        real(source, target, **descriptors)

    with opened(tmp_path / "tree", has_exchange=False) as tree:
        monkeypatch.setattr(os, "rename", rename)
        with pytest.raises(TreeError):
            tree.publish(HOME, Kind.HTML, variants("two"))
        monkeypatch.undo()
        assert read(tree, HOME) == "one"
        assert os.listdir(tree.path / "a.example") == [MARK]


def test_what_the_file_system_can_do_is_tried_by_the_first_publish_and_by_nothing_before(tmp_path: Path) -> None:
    with opened(tmp_path / "tree"):
        pass
    before = (tmp_path / "tree").stat().st_mtime_ns
    with opened(tmp_path / "tree") as tree:
        assert (tree.sweep(), list(tree.scan()), tree.remove(HOME)) == (0, [], False)
        assert tree.path.stat().st_mtime_ns == before
        tree.publish(HOME, Kind.HTML, variants("x"))
        assert os.listdir(tree.path) == ["a.example"]
        # ext4, xfs, btrfs, tmpfs and overlayfs of this century have exchange.
        assert os.listdir(tree.path / "a.example") == [MARK]


# --- Links and files of somebody else --------------------------------------------------------------------------------

LINK_HINT = "A symbolic link stands where a directory of the tree should be; take it away"
FILE_HINT = "A file or a symbolic link stands where a directory of the tree should be; take it away"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Somebody's directory, in the shape of a leaf."""
    directory = tmp_path / "outside"
    directory.mkdir()
    for name in ("index.html", "index.html.gz", "index.html.br", "precious"):
        (directory / name).write_text("precious")
    return directory


def untouched(outside: Path) -> bool:
    return {path.name: path.read_text() for path in outside.iterdir()} == dict.fromkeys(
        ["index.html", "index.html.gz", "index.html.br", "precious"], "precious"
    )


@pytest.mark.parametrize("planted", ["a.example", "a.example/2024", "a.example/2024/05/x"])
def test_a_link_in_the_way_is_not_followed(tree: Tree, outside: Path, planted: str) -> None:
    (tree.path / planted).parent.mkdir(parents=True, exist_ok=True)
    (tree.path / planted).symlink_to(outside)
    with pytest.raises(TreeError) as caught:
        tree.publish(DEEP, Kind.HTML, variants("x"))
    assert caught.value.hint in {LINK_HINT, FILE_HINT}
    assert untouched(outside)
    if planted.endswith("x"):
        with pytest.raises(TreeError):
            tree.remove(DEEP)
    assert untouched(outside)


@pytest.mark.parametrize("is_relative", [True, False])
def test_a_link_in_place_of_a_leaf_leads_nowhere(tree: Tree, outside: Path, *, is_relative: bool) -> None:
    leaf = tree.path / HOME.relative
    leaf.parent.mkdir()
    leaf.symlink_to("../../outside" if is_relative else outside)
    with pytest.raises(TreeError) as caught:
        tree.publish(HOME, Kind.HTML, variants("x"))
    assert caught.value.hint in {LINK_HINT, FILE_HINT}
    assert untouched(outside)
    assert os.listdir(leaf.parent) == [MARK]
    assert tree.remove(HOME)
    assert untouched(outside)
    assert os.listdir(leaf.parent) == []


def test_a_sweep_follows_no_link(tree: Tree, outside: Path) -> None:
    tree.publish(HOME, Kind.HTML, variants("x"))
    (tree.path / "a.example" / f"{MARK}.new-0").symlink_to(outside)
    (tree.path / "a.example" / f"{MARK}.new-1").symlink_to("/nowhere")
    (tree.path / "a.example" / "elsewhere").symlink_to(outside)
    (outside / f"{MARK}.new-2").mkdir()
    assert tree.sweep() == 2
    assert (outside / f"{MARK}.new-2").is_dir()
    (outside / f"{MARK}.new-2").rmdir()
    assert untouched(outside)
    assert read(tree, HOME) == "x"


def test_a_file_in_the_way(tree: Tree) -> None:
    (tree.path / "a.example").write_text("somebody's")
    with pytest.raises(TreeError) as caught:
        tree.publish(DEEP, Kind.HTML, variants("x"))
    assert str(caught.value) == f"cannot publish {tree.path / DEEP.relative}: Not a directory. {FILE_HINT}"
    assert (tree.path / "a.example").read_text() == "somebody's"


# --- One at a time ---------------------------------------------------------------------------------------------------

LOCKED_HINT = (
    "A running daemon renders every page by itself, and at once what `staticify purge` names; stop it first, or give "
    "this one another tree"
)


def test_a_second_tree_of_the_same_process_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "tree"):
        with pytest.raises(TreeLocked) as caught:
            Tree(tmp_path / "tree").open()
        assert str(caught.value) == f"another staticify works on the tree {tmp_path / 'tree'}. {LOCKED_HINT}"
    with opened(tmp_path / "tree"):
        pass


@pytest.mark.parametrize("is_daemon", [True, False])
def test_whether_a_daemon_has_the_tree_is_seen_without_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_daemon: bool
) -> None:
    path = tmp_path / "tree"
    assert not has_daemon(path)
    tree = Tree(path, is_daemon=is_daemon)
    tree.open()
    with closing(tree):
        with monkeypatch.context() as patched:
            patched.delattr("fcntl.flock")
            assert has_daemon(path) == is_daemon
        # Not by the looks: nobody else is kept out longer for them.
        with pytest.raises(TreeLocked):
            Tree(path).open()
        assert list(path.iterdir()) == []
        shutil.rmtree(path)
        tree.publish(HOME, Kind.HTML, variants("x"))
        assert has_daemon(path) == is_daemon, "of the directory that took the tree's place"
    assert not has_daemon(path)


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from staticify.tree import Tree\n"
        "Tree(Path(sys.argv[1])).open(); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "tree")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(TreeLocked):
            Tree(tmp_path / "tree").open()
        other.kill()
    with opened(tmp_path / "tree"):
        pass


def test_closing_twice_is_harmless_and_a_closed_tree_says_so(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "tree")
    tree.close()
    tree.open()
    tree.close()
    tree.close()
    with pytest.raises(TreeError):
        tree.publish(HOME, Kind.HTML, variants("x"))


# --- Another directory in the tree's place ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["removed", "removed with its parent", "made anew", "moved away", "switched link"])
def test_a_tree_that_was_replaced_is_followed_with_its_lock(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "above/tree"
    if how == "switched link":
        (tmp_path / "above").mkdir()
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        path.symlink_to(tmp_path / "one")
    with opened(path) as tree:
        tree.publish(HOME, Kind.HTML, variants("old"))
        tree.publish(HOME, Kind.HTML, variants("older"))
        if how == "removed with its parent":
            shutil.rmtree(path.parent)
        elif how == "moved away":
            path.rename(tmp_path / "away")
        elif how == "switched link":
            path.unlink()
            path.symlink_to(tmp_path / "two")
        else:
            shutil.rmtree(path)
        if how == "made anew":
            path.mkdir()
        assert not tree.remove(DEEP)
        for place in (HOME, DEEP):
            tree.publish(place, Kind.HTML, variants("new"))
            assert read(tree, place) == "new"
        with pytest.raises(TreeLocked):
            Tree(path).open()
        assert tree.remove(HOME)
        assert list(tree.scan()) == [Found(DEEP, Kind.HTML, NOW, 3)]
    assert [(record.message, vars(record)["path"]) for record in caplog.records] == [
        ("the tree was removed or replaced; its new directory is used", str(path))
    ]
    with opened(path):
        pass


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ENOTCONN, errno.EIO])
def test_a_file_system_that_died_and_is_mounted_anew_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """What is said of a descriptor once a server forgot it (NFS), its daemon ended (FUSE), or XFS shut itself down."""
    path = tmp_path / "tree"
    real = os.fstat
    with opened(path) as tree:
        tree.publish(HOME, Kind.HTML, variants("one"))
        dead = [fd for fd in map(int, os.listdir("/proc/self/fd")) if is_same(fd, path)]
        path.rename(tmp_path / "away")
        path.mkdir()

        def fstat(fd: int) -> os.stat_result:
            if fd in dead:
                raise OSError(number, os.strerror(number))
            return real(fd)

        def close(fd: int) -> None:
            if fd in dead:
                dead.remove(fd)
            os.close(fd)

        monkeypatch.setattr(os, "fstat", fstat)
        monkeypatch.setattr(module, "close", close)
        tree.publish(HOME, Kind.HTML, variants("two"))
        assert read(tree, HOME) == "two"
        assert dead == []


def is_same(fd: int, path: Path) -> bool:
    """True if a descriptor of this process is that of a directory."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False


def test_a_new_tree_that_another_has_or_that_cannot_be_used_is_said_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    with opened(path) as tree:
        shutil.rmtree(path)
        what = f"the tree {path} was removed or replaced under the running staticify, and the new one cannot be used"
        with opened(path):
            with pytest.raises(TreeLocked) as caught:
                tree.publish(HOME, Kind.HTML, variants("x"))
            assert str(caught.value) == f"{what}: another staticify works on the tree {path}. {LOCKED_HINT}"
            with pytest.raises(TreeLocked):
                tree.remove(HOME)
            assert names(path) == []
        shutil.rmtree(path)
        path.write_text("somebody's")
        with pytest.raises(TreeError) as refused:
            tree.publish(HOME, Kind.HTML, variants("x"))
        assert str(refused.value) == f"{what}: cannot use the tree {path}: File exists"
        path.unlink()
        tree.publish(HOME, Kind.HTML, variants("x"))
        assert read(tree, HOME) == "x"


def test_what_the_new_file_system_can_do_is_tried_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [True, False]
    monkeypatch.setattr(Tree, "_probe_exchange", lambda _: answers.pop(0))
    tree = Tree(tmp_path / "tree", may_link=True)
    tree.open()
    try:
        for is_link in (False, True):
            for text in ("one", "two"):
                tree.publish(HOME, Kind.HTML, variants(text))
            assert (tree.path / HOME.relative).is_symlink() is is_link
            shutil.rmtree(tree.path)
    finally:
        tree.close()
    assert answers == []


def test_without_leave_no_link_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A front that follows none would find no page, and nobody would know why."""
    monkeypatch.setattr(Tree, "_probe_exchange", lambda _: False)
    with opened(tmp_path / "tree") as tree:
        with pytest.raises(TreeError, match=r'cannot swap two directories .* links = "own"'):
            tree.publish(HOME, Kind.HTML, variants("one"))
        assert list(tree.scan()) == []


def test_many_threads_follow_a_replaced_tree_together(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    with opened(path) as tree, ThreadPoolExecutor(8) as threads:
        for round_number in range(5):
            shutil.rmtree(path)
            places = [Place(("a.example", str(number)), MARK) for number in range(40)]
            text = variants(str(round_number))
            for future in [threads.submit(tree.publish, place, Kind.HTML, text) for place in places]:
                future.result()
            assert [found.place for found in tree.scan()] == sorted(places)
            assert len(os.listdir("/proc/self/fd")) < 100


# --- Disks that do not do what they should ---------------------------------------------------------------------------


@contextmanager
def mounted(path: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A small file system of its own; what is yielded mounts it anew with other options."""
    path.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a file system")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=False).returncode:
        pytest.skip("no mounts in this container")

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(path)], check=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.parametrize("has_exchange", [True, False])
def test_a_full_disk_leaves_the_old_page_whole(tmp_path: Path, *, has_exchange: bool) -> None:
    with mounted(tmp_path / "disk", "256k"), opened(tmp_path / "disk/tree", has_exchange=has_exchange) as tree:
        tree.publish(HOME, Kind.HTML, variants("the last good page"))
        before = names(tree.path)
        big = Variants(os.urandom(400_000), b"", b"")
        for place in (HOME, FLAT):
            with pytest.raises(TreeError) as caught:
                tree.publish(place, Kind.HTML, big)
            assert str(caught.value) == (
                f"cannot publish in {tree.path}: No space left on device. "
                "The disk is full, or has no inodes left (df -i): the pages in the tree stay as they are until "
                "there is room"
            )
            assert names(tree.path) == before
        assert read(tree, HOME) == "the last good page"
        tree.publish(HOME, Kind.HTML, variants("room again"))
        assert read(tree, HOME) == "room again"


def test_a_page_that_finds_no_room_for_all_of_its_directories_leaves_none(tmp_path: Path) -> None:
    place = Place(("a.example", "1", "2", "3", "4", "5", "6", "7"), MARK)
    with mounted(tmp_path / "disk", "256k,nr_inodes=12"), opened(tmp_path / "disk/tree", has_exchange=True) as tree:
        tree.publish(HOME, Kind.HTML, variants("x"))
        before = names(tree.path)
        for _ in range(3):
            with pytest.raises(TreeError, match="No space left on device"):
                tree.publish(place, Kind.HTML, variants("x"))
            assert names(tree.path) == before
        tree.publish(HOME, Kind.HTML, variants("y"))
        assert read(tree, HOME) == "y"


def test_a_read_only_disk(tmp_path: Path) -> None:
    hint = "The file system is mounted read-only"
    with mounted(tmp_path / "disk", "256k") as remount:
        with opened(tmp_path / "disk/tree") as tree:
            tree.publish(HOME, Kind.HTML, variants("the last good page"))
            remount("ro")
            with pytest.raises(TreeError) as caught:
                tree.publish(HOME, Kind.HTML, variants("x"))
            assert caught.value.hint == hint
            with pytest.raises(TreeError) as caught:
                tree.remove(HOME)
            assert caught.value.hint == hint
            assert read(tree, HOME) == "the last good page"
        with pytest.raises(TreeError) as caught:
            Tree(tmp_path / "disk/tree").open()
        assert caught.value.hint == hint
        with pytest.raises(TreeError) as caught:
            Tree(tmp_path / "disk/new").open()
        assert caught.value.hint == hint


def test_a_page_in_a_lower_layer_of_an_overlay_stays_until_it_is_removed(tmp_path: Path) -> None:
    """It came with a container's image. No directory of it can be renamed."""
    with mounted(tmp_path / "disk", "1m"):
        lower, upper, work, merged = (tmp_path / "disk" / name for name in ("lower", "upper", "work", "merged"))
        for path in (lower, upper, work, merged):
            path.mkdir()
        with opened(lower / "tree") as tree:
            for place in (HOME, DEEP):
                tree.publish(place, Kind.HTML, variants("from the image"))
        options = f"lowerdir={lower},upperdir={upper},workdir={work},redirect_dir=off"
        if subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", merged], check=False).returncode:
            pytest.skip("no overlays in this container")
        try:
            with opened(merged / "tree") as tree:
                with pytest.raises(TreeError, match="give the tree a volume"):
                    tree.publish(HOME, Kind.HTML, variants("x"))
                assert read(tree, HOME) == "from the image"
                assert tree.remove(DEEP)
                assert tree.remove(HOME)
                assert names(tree.path) == ["a.example"]
                for text in ("one", "two"):
                    tree.publish(HOME, Kind.HTML, variants(text))
                    assert read(tree, HOME) == text
        finally:
            subprocess.run(["umount", "--lazy", merged], check=True)


def test_a_directory_of_another_user(tmp_path: Path) -> None:
    """As root in a process of its own that gives its rights up."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with opened(tmp_path / "tree") as tree:
        tree.publish(HOME, Kind.HTML, variants("one"))
    program = (
        "import os, sys; from pathlib import Path; from staticify.tree import Tree\n"
        "from staticify.errors import TreeError\n"
        "os.chdir(sys.argv[1]); os.setgid(65534); os.setuid(65534)\n"
        "try: Tree(Path('tree')).open()\n"
        "except TreeError as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True)
    assert done.stdout == "The user that runs staticify must own the tree\n"


def test_a_page_stands_whole_when_only_its_last_fsync_fails(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk of no test machine fails on demand: os.fsync does, for the directory that holds the leaf."""
    tree.publish(HOME, Kind.HTML, variants("old"))
    tree.publish(HOME, Kind.HTML, variants("older"))
    parent = (tree.path / "a.example").stat().st_ino
    real = os.fsync

    def fsync(fd: int) -> None:
        if os.fstat(fd).st_ino == parent:
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(TreeError) as caught:
        tree.publish(HOME, Kind.HTML, variants("new"))
    assert caught.value.hint == "The disk fails: see the kernel's log"
    assert read(tree, HOME) == "new"
    monkeypatch.undo()
    tree.sweep()
    assert read(tree, HOME) == "new"


@pytest.mark.parametrize("step", ["mkdir", "open", "write", "utime", "symlink", "readlink", "rename", "listdir"])
def test_a_step_that_fails_leaves_the_old_page_and_no_rubbish(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    tree.publish(HOME, Kind.HTML, variants("old"))
    before = names(tree.path)

    def fail(*_args: object, **_keywords: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, step, fail)
    try:
        tree.publish(HOME, Kind.HTML, variants("new"))
    except TreeError:
        monkeypatch.undo()
        if step not in {
            "open",
            "listdir",
            "readlink",
        }:  # Without these nothing can be tidied up either; the sweep does it.
            assert names(tree.path) == before
        tree.sweep()
        assert read(tree, HOME) == "old"
        assert names(tree.path) == before
    else:
        monkeypatch.undo()
        assert read(tree, HOME) == "new"


def test_a_close_that_fails_is_no_failure(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file system over the network, say. What must last was fsynced before."""
    real = os.close

    def close(fd: int) -> None:
        real(fd)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "close", close)
    for text in ("one", "two"):
        tree.publish(HOME, Kind.HTML, variants(text))
    tree.publish(DEEP, Kind.HTML, variants("deep"))
    assert tree.remove(DEEP)
    tree.close()
    monkeypatch.undo()
    assert read(tree, HOME) == "two"


@pytest.mark.parametrize("was_exchange", [True, False])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_rename_that_is_done_although_it_failed_costs_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int, *, was_exchange: bool
) -> None:
    """Over a network the answer may be lost."""
    with opened(tmp_path / "tree", has_exchange=was_exchange) as tree:
        tree.publish(HOME, Kind.HTML, variants("one"))
    real, renames = os.rename, []

    def rename(source: str, target: str, **descriptors: int) -> None:
        real(source, target, **descriptors)
        renames.append(target)
        if len(renames) == nth:
            raise OSError(errno.ETIMEDOUT, "Connection timed out")

    with opened(tmp_path / "tree", has_exchange=False) as tree:
        monkeypatch.setattr(os, "rename", rename)
        with nullcontext() if nth > 1 and not was_exchange else pytest.raises(TreeError):
            tree.publish(HOME, Kind.HTML, variants("two"))
        monkeypatch.undo()
        assert read(tree, HOME) == ("one" if nth == 1 and was_exchange else "two")
        tree.sweep()
        assert read(tree, HOME) == ("one" if nth == 1 and was_exchange else "two")
        tree.publish(HOME, Kind.HTML, variants("three"))
        assert read(tree, HOME) == "three"


def test_a_sweep_that_cannot_read_a_link_takes_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_keywords: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with opened(tmp_path / "tree", has_exchange=False) as tree:
        tree.publish(HOME, Kind.HTML, variants("the last good page"))
        monkeypatch.setattr(os, "readlink", fail)
        assert tree.sweep() == 0
        monkeypatch.undo()
        assert tree.sweep() == 0
        assert read(tree, HOME) == "the last good page"


def test_a_directory_that_cannot_be_read_is_passed_over_and_named_once(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for place in (HOME, DEEP, FLAT):
        tree.publish(place, Kind.TEXT, variants("x"))
    for directory in ("a.example", "a.example/2024", "a.example/2024/05"):
        (tree.path / directory / f"{MARK}.new-0123").mkdir()
    bad = (tree.path / "a.example/2024").stat().st_ino
    real = os.scandir

    def scandir(directory: int) -> Iterator[os.DirEntry[str]]:
        if os.fstat(directory).st_ino == bad:
            raise OSError(errno.EIO, "Input/output error")
        return real(directory)

    monkeypatch.setattr(os, "scandir", scandir)
    assert tree.sweep() == 1
    for _ in range(2):
        assert [found.place for found in tree.scan()] == [HOME, FLAT]
    (said,) = caplog.records
    assert said.message == "a part of the tree cannot be read and is passed over"
    assert vars(said)["reason"] == (
        f"cannot read {tree.path}/a.example/2024: Input/output error. The disk fails: see the kernel's log"
    )
    monkeypatch.undo()
    assert tree.sweep() == 2
    assert [found.place for found in tree.scan()] == [DEEP, HOME, FLAT]


def test_a_tree_that_cannot_be_read_at_all(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "scandir", scandir)
    for look in (tree.sweep, lambda: list(tree.scan())):
        with pytest.raises(TreeError) as caught:
            look()
        assert caught.value.hint == "The disk fails: see the kernel's log"


# --- What a killed process leaves ------------------------------------------------------------------------------------


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    """Killed at any moment while it published; the page is whole, and after a sweep nothing else is there."""
    program = (
        "import sys; from pathlib import Path; from staticify.tree import Tree\n"
        "from staticify.urls import Place, MARK\n"
        "from staticify.encode import encode; from staticify.nouns import Kind\n"
        "has = sys.argv[2] == '1'; tree = Tree(Path(sys.argv[1]), may_link=not has, has_exchange=has); tree.open()\n"
        "for number in range(10**9):\n"
        "    tree.publish(Place(('a.example',), MARK), Kind.HTML, encode(b'%09d' % number * 1000))\n"
        "    if number == int(sys.argv[3]): print('going', flush=True)"
    )
    for has_exchange in (True, False):
        path = tmp_path / f"tree-{has_exchange}"
        for count in (0, 3):
            command = [sys.executable, "-c", program, str(path), str(int(has_exchange)), str(count)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == b"going\n"
                process.kill()
            with opened(path, has_exchange=has_exchange) as tree:
                tree.sweep()
                text = read(tree, HOME)
                assert text == text[:9] * 1000
                left = os.listdir(path / "a.example")
                assert len(left) == (1 if has_exchange else 2)  # The leaf, or a link and its version.
                assert tree.sweep() == 0


@pytest.mark.parametrize("killed_at", [1, 2])
def test_a_process_killed_while_a_directory_becomes_a_link_costs_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    with opened(tmp_path / "tree", has_exchange=True) as tree:
        tree.publish(HOME, Kind.HTML, variants("one"))
    real, renames = os.rename, []

    def rename(source: str, target: str, **descriptors: int) -> None:
        renames.append(target)
        if len(renames) == killed_at:
            raise Killed
        real(source, target, **descriptors)

    with opened(tmp_path / "tree", has_exchange=False) as tree:
        monkeypatch.setattr(os, "rename", rename)
        with pytest.raises(Killed):
            tree.publish(HOME, Kind.HTML, variants("two"))
        monkeypatch.undo()
        assert tree.sweep() == 3  # The new version, the link to it, and the note of the leaf's name.
        assert read(tree, HOME) == "one"
        assert os.listdir(tree.path / "a.example") == [MARK]
        tree.publish(HOME, Kind.HTML, variants("two"))
        assert read(tree, HOME) == "two"


def test_a_page_that_went_is_not_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while the directory that became a link lingers, after WordPress took the page back."""
    with opened(tmp_path / "tree", has_exchange=True) as tree:
        tree.publish(HOME, Kind.HTML, variants("one"))
    with opened(tmp_path / "tree", has_exchange=False) as tree, monkeypatch.context() as killed:
        killed.setattr(module, "LINGER_SECONDS", 60.0)
        tree.publish(HOME, Kind.HTML, variants("two"))
        assert tree.remove(HOME)
        assert len(os.listdir(tree.path / "a.example")) == 1
        tree.sweep()
        assert list(tree.scan()) == []
        assert os.listdir(tree.path / "a.example") == []


def test_a_page_that_went_after_its_link_was_said_to_have_failed_is_not_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a network, the rename is done and its answer lost."""
    with opened(tmp_path / "tree", has_exchange=True) as tree:
        tree.publish(HOME, Kind.HTML, variants("one"))
    real = os.rename

    def rename(source: str, target: str, **descriptors: int) -> None:
        real(source, target, **descriptors)
        if target == HOME.leaf:
            raise OSError(errno.EIO, "Input/output error")

    with opened(tmp_path / "tree", has_exchange=False) as tree:
        with monkeypatch.context() as lost:
            lost.setattr(os, "rename", rename)
            with pytest.raises(TreeError):
                tree.publish(HOME, Kind.HTML, variants("two"))
        assert read(tree, HOME) == "two"
        assert tree.remove(HOME)
        tree.sweep()
        assert list(tree.scan()) == []


def test_a_sweep_takes_what_is_left_over_and_no_page(tree: Tree) -> None:
    for place in (HOME, DEEP, FLAT):
        tree.publish(place, Kind.HTML, variants("x"))
    before = names(tree.path)
    for directory in ("", "a.example/", "a.example/2024/05/"):
        for name in (f"{MARK}.new-0123", f"{MARK}.v-0123-4567"):
            (tree.path / directory / name).mkdir()
            (tree.path / directory / name / "index.html").write_text("half")
    assert tree.sweep() == 6
    assert names(tree.path) == before
    assert tree.sweep() == 0


# --- Readers and writers at once -------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["exchange", "links"])
def fast_tree(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Tree]:
    """Where there is memory to publish to, so that fsync costs nothing and versions follow closely."""
    memory = Path("/dev/shm")
    with (
        TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as directory,
        opened(Path(directory) / "tree", has_exchange=request.param) as tree,
    ):
        yield tree


def test_readers_see_one_version_at_a_time_and_never_an_older_one(
    fast_tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths as a web server opens them: any variant at any time, each whole, each at least as new as the last."""
    tree = fast_tree
    monkeypatch.undo()  # As it runs in earnest: replaced leaves linger.
    publishes = 2000
    leaf = tree.path / HOME.relative
    decoders = (lambda raw: raw, gzip.decompress, brotli.decompress)
    done = threading.Event()
    tree.publish(HOME, Kind.HTML, variants("0 " * 500))

    def by_path() -> int:
        count, newest = 0, 0
        while not done.is_set():
            for suffix, decode in zip(SUFFIXES, decoders, strict=True):
                numbers = decode((leaf / f"index.html{suffix}").read_bytes()).split()
                assert len(numbers) == 500
                assert len(set(numbers)) == 1
                assert int(numbers[0]) >= newest
                newest = int(numbers[0])
                count += 1
        return count

    def by_directory() -> int:
        """All three of one directory, as a copy to an edge reads them."""
        count = 0
        while not done.is_set():
            fd = os.open(leaf, os.O_RDONLY | os.O_DIRECTORY)
            raw = []
            for suffix in SUFFIXES:
                with open(os.open(f"index.html{suffix}", os.O_RDONLY, dir_fd=fd), "rb") as file:
                    raw.append(file.read())
            os.close(fd)
            assert len({decode(one) for decode, one in zip(decoders, raw, strict=True)}) == 1
            count += 1
        return count

    with ThreadPoolExecutor(2) as threads:
        readers = [threads.submit(by_path), threads.submit(by_directory)]
        try:
            for number in range(1, publishes + 1):
                tree.publish(HOME, Kind.HTML, variants(f"{number} " * 500))
        finally:
            done.set()
        counts = [reader.result() for reader in readers]
    assert min(counts) > 0
    assert read(tree, HOME) == f"{publishes} " * 500


def test_pages_come_and_go_in_one_directory_at_once(fast_tree: Tree) -> None:
    """The directory is pruned while the next page is made in it, again and again."""
    tree = fast_tree
    places = [Place(("a.example", "2024", "05"), f"{name}{MARK}") for name in "abcd"]

    def come_and_go(place: Place) -> None:
        for number in range(400):
            tree.publish(place, Kind.HTML, variants(str(number)))
            assert read(tree, place) == str(number)
            assert tree.remove(place)
        tree.publish(place, Kind.HTML, variants("last"))

    with ThreadPoolExecutor(len(places)) as threads:
        for future in [threads.submit(come_and_go, place) for place in places]:
            future.result()
    assert [found.place for found in tree.scan()] == places
    for place in places:
        assert tree.remove(place)
    assert names(tree.path) == ["a.example"]
