"""Changes of files are heard, on the real kernel; and where they may have been missed, that is said."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyFD

from staticify import watch as module
from staticify.errors import WatchError
from staticify.watch import MAX_PATHS, Batch, Watch

DEADLINE_SECONDS = 20
NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.1)


def write(file: Path) -> None:
    file.write_text("marker")


class Heard:
    """What a watch told, kept until it is asked for."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self._came = asyncio.Event()

    async def listen(self, watch: Watch) -> None:
        async for batch in watch:
            self.batches.append(batch)
            self._came.set()

    @property
    def paths(self) -> set[Path]:
        return {path for batch in self.batches for path in batch.paths}

    @property
    def is_lost(self) -> bool:
        return any(batch.is_lost for batch in self.batches)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not is_so():
                self._came.clear()
                await self._came.wait()

    async def until_paths(self, *paths: Path) -> None:
        await self.until(lambda: self.paths >= set(paths))

    async def until_lost(self) -> None:
        await self.until(lambda: self.is_lost)

    async def only(self, marker: Path) -> list[Batch]:
        """The batches up to the one that names the marker, which is written now: what came before has come by then."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while marker not in self.paths:
                # A batch that has its MAX_PATHS already covers the marker and does not name it.
                seen = len(self.batches)
                write(marker)
                while len(self.batches) == seen:
                    self._came.clear()
                    await self._came.wait()
        return self.take()

    def take(self) -> list[Batch]:
        taken, self.batches = self.batches, []
        return taken


@contextlib.asynccontextmanager
async def watching(
    quiet_seconds: float = 0.05,
    max_wait_seconds: float = 0.5,
    patience: dict[str, float] | None = None,
    **places: Path,
) -> AsyncIterator[Heard]:
    watch = Watch(places, quiet_seconds=quiet_seconds, max_wait_seconds=max_wait_seconds, patience=patience)
    await watch.start()
    heard = Heard()
    listener = asyncio.create_task(heard.listen(watch))
    try:
        yield heard
    finally:
        await watch.stop()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await listener


def reader_thread() -> InotifyFD:
    (reader,) = [thread for thread in threading.enumerate() if isinstance(thread, InotifyFD)]
    return reader


def overflow(reader: InotifyFD, folder: Path, meanwhile: Callable[[], object]) -> None:
    """Make the kernel drop events of what happens meanwhile: the reader is held until its queue is full."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))
    if limit > 200_000:
        pytest.skip("the kernel's queue is too long to fill it")
    one, other = str(folder / "one"), str(folder / "other")
    Path(one).touch()
    with reader._lock:
        # Two events each; and what the reader fetched before it was held.
        for _ in range(limit // 4 + 4096):
            os.rename(one, other)
            os.rename(other, one)
        meanwhile()


def test_a_batch_names_the_files_that_changed(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "old").write_text("1")
        (tmp_path / "gone").write_text("1")
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / "from").write_text("1")
        async with watching(quiet_seconds=0.3, max_wait_seconds=5, theme=tmp_path) as heard:
            (tmp_path / "new").write_text("1")
            (tmp_path / "old").write_text("2")
            (tmp_path / "gone").unlink()
            os.truncate(tmp_path / "below" / "from", 0)
            (tmp_path / "below" / "from").rename(tmp_path / "to")
            paths = {tmp_path / name for name in ("new", "old", "gone", "below/from", "to")}
            await heard.until_paths(*paths)
            assert heard.batches == [Batch("theme", frozenset(paths), is_lost=False)]

    asyncio.run(main())


def test_reading_and_attributes_are_no_change(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "file"
        file.write_text("1")
        (tmp_path / "folder").mkdir()
        async with watching(theme=tmp_path) as heard:
            file.read_text()
            with file.open("a"):
                pass  # Opened to write, and closed: as good as written.
            await heard.until_paths(file)
            heard.take()
            file.read_text()
            file.chmod(0o600)
            os.utime(file)
            os.listdir(tmp_path)
            (tmp_path / "folder").chmod(0o700)
            batches = await heard.only(tmp_path / "marker")
            assert batches == [Batch("theme", frozenset({tmp_path / "marker"}), is_lost=False)]

    asyncio.run(main())


def test_a_write_is_heard_while_the_file_is_open_and_without_opening_it(tmp_path: Path) -> None:
    async def main() -> None:
        file, log = tmp_path / "file", tmp_path / "log"
        file.write_text("1")
        with log.open("w") as stream:
            async with watching(theme=tmp_path) as heard:
                os.truncate(file, 0)
                await heard.until_paths(file)
                stream.write("1")
                stream.flush()
                await heard.until_paths(file, log)

    asyncio.run(main())


def watch_count() -> int:
    """How many folders the kernel watches for this process."""
    count = 0
    for descriptor in os.listdir("/proc/self/fdinfo"):
        with contextlib.suppress(FileNotFoundError):
            count += Path("/proc/self/fdinfo", descriptor).read_text(encoding="ascii").count("inotify wd:")
    return count


async def until_watch_count(count: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while watch_count() != count:  # noqa: ASYNC110  the kernel sends no event of this
            await asyncio.sleep(0.01)


def folder_count(folder: Path) -> int:
    return sum(len(names) for _, names, _ in os.walk(folder))


def test_exactly_the_folders_that_there_are_stay_watched(tmp_path: Path) -> None:
    def churn(place: Path) -> None:
        for number in range(150):
            folder = place / f"{number % 7}"
            if folder.exists():
                if number % 2:
                    shutil.rmtree(folder)
                else:
                    folder.rename(Path(tempfile.mkdtemp(dir=tmp_path), "away"))
            (folder / "a" / "b").mkdir(parents=True)
            (folder / "a").rename(folder / "c")
            (folder / "c" / "b" / "d").mkdir()

    async def main() -> None:
        place = tmp_path / "place"
        place.mkdir()
        async with watching(theme=place) as heard:
            for _ in range(3):
                await asyncio.to_thread(churn, place)
                # Those below the place, the place, and where its name stands.
                await until_watch_count(folder_count(place) + 2)
            await heard.only(place / "before")
            files = [Path(path) / "file" for path, _, _ in os.walk(place)]
            for file in files:
                file.write_text("1")
            await heard.until_paths(*files)
            assert heard.paths == set(files)

    asyncio.run(main())


def test_more_new_folders_at_once_than_are_kept_in_mind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(module, "MAX_PATHS", 10)
        async with watching(uploads=tmp_path) as heard:
            with reader_thread()._lock:
                for number in range(2000):
                    (tmp_path / f"{number}").mkdir()
            await heard.until_lost()
            await until_watch_count(2000 + 2)

    asyncio.run(main())


def test_a_batch_comes_when_it_is_quiet_or_after_the_longest_wait(tmp_path: Path) -> None:
    async def main() -> tuple[float, float, int]:
        async with watching(quiet_seconds=0.4, max_wait_seconds=1.0, theme=tmp_path) as heard:
            started = time.monotonic()
            (tmp_path / "file").write_text("1")
            await heard.until_paths(tmp_path / "file")
            quiet = time.monotonic() - started
            heard.take()
            started = time.monotonic()
            writes = 0
            while not heard.batches and time.monotonic() - started < DEADLINE_SECONDS:
                (tmp_path / "file").write_text("1")
                writes += 1
                await asyncio.sleep(0.02)
            return quiet, time.monotonic() - started, writes

    quiet, busy, writes = asyncio.run(main())
    assert 0.4 <= quiet < 5
    assert 1.0 <= busy < 5
    assert writes > 1


def test_places_are_told_apart_and_may_be_inside_each_other(tmp_path: Path) -> None:
    async def main() -> None:
        inner = tmp_path / "inner"
        inner.mkdir()
        async with watching(outer=tmp_path, inner=inner, same=inner) as heard:
            (inner / "file").write_text("1")
            await heard.until(lambda: {batch.name for batch in heard.batches} == {"outer", "inner", "same"})
            assert heard.paths == {inner / "file"}
            heard.take()
            (tmp_path / "file").write_text("1")
            await heard.until_paths(tmp_path / "file")
            assert {batch.name for batch in heard.batches} == {"outer"}

    asyncio.run(main())


def test_files_in_folders_made_deep_at_once_are_not_missed(tmp_path: Path) -> None:
    async def main() -> None:
        async with watching(uploads=tmp_path) as heard:
            files = [tmp_path / f"{number}" / "a" / "b" / "c" / "file" for number in range(200)]
            for file in files:
                file.parent.mkdir(parents=True)
                file.write_text("1")
            await heard.until_paths(*files)
            assert not heard.is_lost
            heard.take()
            # And from now on they are watched.
            files[-1].write_text("2")
            (files[0].parent / "other").write_text("2")
            await heard.until_paths(files[-1], files[0].parent / "other")
            assert heard.paths == {files[-1], files[0].parent / "other"}

    asyncio.run(main())


def test_a_folder_moved_in_is_told_file_by_file_and_one_moved_away_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        inside, outside = tmp_path / "in", tmp_path / "out"
        (outside / "a" / "b").mkdir(parents=True)
        (outside / "a" / "b" / "file").write_text("1")
        inside.mkdir()
        async with watching(plugins=inside) as heard:
            (outside / "a").rename(inside / "a")
            await heard.until_paths(inside / "a" / "b" / "file")
            assert not heard.is_lost
            (inside / "a").rename(inside / "z")
            await heard.until_lost()
            await heard.until_paths(inside / "z" / "b" / "file")
            heard.take()
            (inside / "z" / "b" / "file").write_text("2")
            await heard.until_paths(inside / "z" / "b" / "file")
            assert heard.paths == {inside / "z" / "b" / "file"}
            (inside / "z").rename(outside / "z")
            await heard.until_lost()
            await heard.only(inside / "before")
            (outside / "z" / "b" / "file").write_text("3")
            assert await heard.only(inside / "marker") == [
                Batch("plugins", frozenset({inside / "marker"}), is_lost=False)
            ]

    asyncio.run(main())


def test_a_folder_made_again_is_watched_again(tmp_path: Path) -> None:
    async def main() -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        async with watching(theme=tmp_path) as heard:
            for number in range(30):
                # The new folder may have the old one's inode number.
                shutil.rmtree(folder)
                folder.mkdir()
                file = folder / f"{number}"
                file.write_text("1")
                await heard.until_paths(file)
                heard.take()
                file.write_text("2")
                await heard.until_paths(file)
                heard.take()

    asyncio.run(main())


def test_a_storm_of_20000_events_is_few_batches_and_starves_nobody(tmp_path: Path) -> None:
    def storm() -> None:
        for number in range(10_000):
            folder = tmp_path / f"{number % 50}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number}").write_text("1")  # Made, written, closed.

    async def main() -> None:
        gaps = []

        async def tick() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                gaps.append(time.monotonic() - before)

        async with watching(quiet_seconds=0.5, max_wait_seconds=2.0, uploads=tmp_path) as heard:
            ticker = asyncio.create_task(tick())
            started = time.monotonic()
            await asyncio.to_thread(storm)
            took = time.monotonic() - started
            await heard.until_lost()
            # The last of it, too.
            batches = [*heard.batches, *await heard.only(tmp_path / "marker")]
            ticker.cancel()
            assert len(batches) <= took / 0.5 + 3
            assert max(len(batch.paths) for batch in batches) == MAX_PATHS
            assert max(gaps) < 1.0
            (tmp_path / "49" / "9999").write_text("2")
            await heard.until_paths(tmp_path / "49" / "9999")
            assert heard.paths == {tmp_path / "49" / "9999"}

    asyncio.run(main())


def test_a_place_may_be_waited_for_longer_than_the_others(tmp_path: Path) -> None:
    uploads, theme = tmp_path / "uploads", tmp_path / "theme"
    uploads.mkdir()
    theme.mkdir()

    async def main() -> None:
        how = {"quiet_seconds": 0.4, "max_wait_seconds": 0.5, "patience": {"theme": DEADLINE_SECONDS}}
        async with watching(**how, uploads=uploads, theme=theme) as heard:  # type: ignore[arg-type]
            # An upgrade that is being unpacked, until the other place has told three times of the same.
            while sum(batch.name == "uploads" for batch in heard.batches) < 3:
                for folder in (uploads, theme):
                    (folder / f"file{len(heard.batches)}").write_text("1")
                await asyncio.sleep(0.02)
            assert {batch.name for batch in heard.batches} == {"uploads"}
            await heard.until(lambda: any(batch.name == "theme" for batch in heard.batches))
            (whole,) = [batch for batch in heard.take() if batch.name == "theme"]
            assert len(whole.paths) == 3

    asyncio.run(main())


def test_as_many_paths_as_a_batch_may_have_are_not_lost(tmp_path: Path) -> None:
    async def main() -> None:
        files = [tmp_path / f"{number}" for number in range(MAX_PATHS)]
        async with watching(quiet_seconds=0.3, max_wait_seconds=10, uploads=tmp_path) as heard:
            for file in files:
                file.write_text("1")
            await heard.until_paths(*files)
            assert heard.take() == [Batch("uploads", frozenset(files), is_lost=False)]
            for file in [*files, tmp_path / "one more"]:
                file.write_text("2")
            await heard.until_lost()
            assert len(heard.paths) == MAX_PATHS

    asyncio.run(main())


def test_an_overflow_of_the_kernels_queue_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    noise, theme, single = tmp_path / "noise", tmp_path / "theme", tmp_path / "file"
    (theme / "old").mkdir(parents=True)
    noise.mkdir()
    single.touch()

    def meanwhile() -> None:
        (theme / "new" / "deep").mkdir(parents=True)
        shutil.rmtree(theme / "old")
        (theme / "old").mkdir()

    async def main() -> None:
        # `noise` is no folder of theirs: whose events were dropped, nobody knows.
        async with watching(noise=noise, theme=theme, single=single) as heard:
            with caplog.at_level(logging.WARNING):
                overflow(reader_thread(), noise, meanwhile)
                await heard.until(lambda: {b.name for b in heard.batches if b.is_lost} == {"noise", "theme", "single"})
            assert {vars(record).get("reason") for record in caplog.records} >= {"the queue of inotify ran over"}
            await heard.only(theme / "before")
            # Folders whose making was not heard of are watched, and so is one in whose place is another.
            (theme / "new" / "deep" / "file").write_text("1")
            (theme / "old" / "file").write_text("1")
            await heard.until_paths(theme / "new" / "deep" / "file", theme / "old" / "file")
            assert not heard.is_lost

    asyncio.run(main())


def test_an_end_of_the_reader_is_noticed_and_it_is_replaced(tmp_path: Path) -> None:
    async def main() -> None:
        async with watching(theme=tmp_path) as heard:
            reader_thread().stop()
            await heard.until_lost()
            heard.take()
            (tmp_path / "file").write_text("1")
            await heard.until_paths(tmp_path / "file")

    asyncio.run(main())


def test_a_folder_that_appears_goes_and_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        folder = tmp_path / "not" / "yet"
        async with watching(theme=folder) as heard:
            for go in (shutil.rmtree, lambda path: path.rename(tmp_path / "elsewhere")):
                folder.mkdir(parents=True)
                await heard.until_lost()
                heard.take()
                (folder / "file").write_text("1")
                await heard.until_paths(folder / "file")
                assert not heard.is_lost
                heard.take()
                caplog.clear()
                go(folder)
                await heard.until_lost()
                # What follows is looked at ten times a second, and said once.
                await asyncio.to_thread(look_ten_times)
                heard.take()
                reasons = [vars(record).get("reason", "") for record in caplog.records]
                assert sum("not there any more" in reason for reason in reasons) == 1
                folder.parent.rmdir()
            # Renamed away, it is somebody else's.
            folder.mkdir(parents=True)
            await heard.until_lost()
            heard.take()
            (tmp_path / "elsewhere" / "file").write_text("2")
            assert await heard.only(folder / "marker") == [
                Batch("theme", frozenset({folder / "marker"}), is_lost=False)
            ]

    def look_ten_times() -> None:
        threading.Event().wait(10 * module.CHECK_SECONDS)

    asyncio.run(main())


@pytest.mark.parametrize("depth", ["the place itself", "a parent"])
def test_a_deploy_by_a_change_of_links(tmp_path: Path, depth: str) -> None:
    async def main() -> None:
        releases = [tmp_path / "releases" / name / "themes" for name in ("1", "2")]
        for release in releases:
            (release / "mine").mkdir(parents=True)
        is_parent = depth == "a parent"
        current = tmp_path / "current"
        place = current / "themes" if is_parent else current
        target = [release.parent if is_parent else release for release in releases]
        current.symlink_to(target[0])
        async with watching(themes=place) as heard:
            (releases[0] / "mine" / "style.css").write_text("1")
            await heard.until_paths(place / "mine" / "style.css")
            assert not heard.is_lost
            heard.take()
            (tmp_path / "next").symlink_to(target[1])
            (tmp_path / "next").rename(current)
            await heard.until_lost()
            heard.take()
            (releases[1] / "mine" / "style.css").write_text("2")
            await heard.until_paths(place / "mine" / "style.css")
            heard.take()
            (releases[0] / "mine" / "style.css").write_text("3")
            assert await heard.only(place / "marker") == [Batch("themes", frozenset({place / "marker"}), is_lost=False)]

    asyncio.run(main())


def test_a_folder_replaced_by_another(tmp_path: Path) -> None:
    async def main() -> None:
        folder, other = tmp_path / "theme", tmp_path / "other"
        folder.mkdir()
        other.mkdir()
        async with watching(theme=folder) as heard:
            folder.rename(tmp_path / "before")
            other.rename(folder)
            await heard.until_lost()
            await heard.only(folder / "before")
            (folder / "file").write_text("1")
            await heard.until_paths(folder / "file")

    asyncio.run(main())


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    async def main() -> None:
        packaged, place = tmp_path / "usr", tmp_path / "themes"
        for name in ("one", "two"):
            (packaged / name / "inc").mkdir(parents=True)
        (packaged / "single.css").write_text("1")
        place.mkdir()
        (place / "theme").symlink_to(packaged / "one")
        (place / "single.css").symlink_to(packaged / "single.css")
        (place / "circle").symlink_to(place)
        (place / "nowhere").symlink_to(tmp_path / "nowhere")
        async with watching(themes=place) as heard:
            (packaged / "one" / "inc" / "file").write_text("1")
            (packaged / "single.css").write_text("22")
            await heard.until_paths(place / "theme" / "inc" / "file", place / "single.css")
            assert not heard.is_lost
            # A link that is changed for another.
            (place / "next").symlink_to(packaged / "two")
            (place / "next").rename(place / "theme")
            await heard.until_lost()
            await heard.only(place / "before")
            (packaged / "two" / "inc" / "file").write_text("1")
            await heard.until_paths(place / "theme" / "inc" / "file")
            heard.take()
            # The other end of a link is changed for another.
            (packaged / "two").rename(packaged / "three")
            (packaged / "two").mkdir()
            await heard.until_lost()
            await heard.only(place / "after")
            (packaged / "two" / "file").write_text("1")
            (packaged / "three" / "inc" / "file").write_text("2")
            await heard.until_paths(place / "theme" / "file")
            assert heard.paths == {place / "theme" / "file"}
            # A link that led nowhere leads somewhere, and a link that was not there is.
            (tmp_path / "nowhere").mkdir()
            (place / "late").symlink_to(packaged / "one")
            await heard.until_paths(place / "nowhere", place / "late", place / "late" / "inc" / "file")
            (tmp_path / "nowhere" / "file").write_text("1")
            await heard.until_paths(place / "nowhere" / "file")
            # A link taken away is not heard of any more.
            (place / "late").unlink()
            await heard.until_lost()
            await heard.only(place / "last")
            (packaged / "one" / "inc" / "file").write_text("3")
            assert await heard.only(place / "marker") == [Batch("themes", frozenset({place / "marker"}), is_lost=False)]

    asyncio.run(main())


def test_a_folder_that_gives_way_to_a_link_to_itself(tmp_path: Path) -> None:
    async def main() -> None:
        place, moved = tmp_path / "themes", tmp_path / "moved"
        (place / "theme").mkdir(parents=True)
        async with watching(themes=place) as heard:
            with reader_thread()._lock:
                (place / "theme").rename(moved)
                (place / "theme").symlink_to(moved)
            await heard.until_lost()
            await heard.only(place / "theme" / "before")
            # It is a link now: what it leads to may change out of sight.
            moved.rename(tmp_path / "elsewhere")
            moved.mkdir()
            await heard.until_lost()
            await heard.only(place / "theme" / "after")
            assert (moved / "after").exists()

    asyncio.run(main())


def test_a_tangle_of_links_comes_to_an_end(tmp_path: Path) -> None:
    async def main() -> None:
        place = tmp_path / "themes"
        folders = [place / f"{number}" for number in range(12)]
        for folder in folders:
            folder.mkdir(parents=True)
        for folder in folders:
            for other in folders:
                (folder / other.name).symlink_to(other)
        async with watching(themes=place) as heard:
            (folders[3] / "file").write_text("1")
            await heard.until_paths(folders[3] / "file")

    asyncio.run(main())


def replace_by_rename(file: Path) -> None:
    (file.parent / ".new").write_text("renamed")
    (file.parent / ".new").rename(file)


def edit_as_vim(file: Path) -> None:
    file.rename(file.with_name(file.name + "~"))
    file.write_text("as vim does")
    file.with_name(file.name + "~").unlink()


@pytest.mark.parametrize("edit", [replace_by_rename, edit_as_vim, Path.unlink, write])
def test_a_single_file(tmp_path: Path, edit: Callable[[Path], object]) -> None:
    async def main() -> None:
        file = tmp_path / "staticify.toml"
        file.write_text("1")
        async with watching(configuration=file) as heard:
            for number in range(3):
                (tmp_path / f"other{number}").write_text("1")
                edit(file)
                await heard.until_paths(file)
                assert set(heard.take()) == {Batch("configuration", frozenset({file}), is_lost=False)}
                if not file.exists():
                    file.write_text("again")
                    await heard.until_paths(file)
                    heard.take()

    asyncio.run(main())


def test_a_single_file_that_looks_as_before(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "staticify.toml"
        file.write_text("1")
        status = file.stat()
        async with watching(configuration=file) as heard:
            with reader_thread()._lock:
                file.write_text("2")
                os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
            await heard.until_paths(file)

    asyncio.run(main())


def test_a_single_file_that_appears_late(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "not" / "yet" / "staticify.toml"
        async with watching(configuration=file) as heard:
            file.parent.mkdir(parents=True)
            file.write_text("1")
            await heard.until_paths(file)

    asyncio.run(main())


def test_a_single_file_of_a_config_map(tmp_path: Path) -> None:
    async def main() -> None:
        # As Kubernetes does it: the file is a link through a folder that is a link, and only that is changed.
        for name in ("..1", "..2"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "staticify.toml").write_text(name)
        (tmp_path / "..data").symlink_to("..1")
        file = tmp_path / "staticify.toml"
        file.symlink_to("..data/staticify.toml")
        async with watching(configuration=file) as heard:
            (tmp_path / "..next").symlink_to("..2")
            (tmp_path / "..next").rename(tmp_path / "..data")
            await heard.until_paths(file)
            assert heard.batches == [Batch("configuration", frozenset({file}), is_lost=False)]

    asyncio.run(main())


@needs_root
def test_an_unmounted_folder(tmp_path: Path) -> None:
    def mount(folder: Path) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)

    def unmount(folder: Path) -> None:
        subprocess.run(["umount", folder], check=True)

    async def main(place: Path, mounted: Path) -> None:
        async with watching(uploads=place) as heard:
            (mounted / "file").write_text("1")
            await heard.until_paths(mounted / "file")
            assert not heard.is_lost
            await asyncio.to_thread(unmount, mounted)
            await heard.until_lost()
            await heard.only(place / "before")
            (mounted / "beneath").write_text("1")
            await heard.until_paths(mounted / "beneath")
            assert not heard.is_lost
            if place == mounted:
                # Mounted over, the folder is another one; inotify says nothing of that.
                await asyncio.to_thread(mount, mounted)
                await heard.until_lost()
                await heard.only(mounted / "after")
                assert not heard.is_lost

    for place, mounted in ((tmp_path / "itself",) * 2, (tmp_path / "above", tmp_path / "above" / "below")):
        mounted.mkdir(parents=True)
        try:
            mount(mounted)
        except subprocess.CalledProcessError:
            pytest.skip("nothing can be mounted here")
        try:
            asyncio.run(main(place, mounted))
        finally:
            subprocess.run(["umount", mounted], check=False, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def as_nobody() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        os.seteuid(0)


@needs_root
def test_folders_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    async def main(folder: Path) -> None:
        place, closed = folder / "place", folder / "closed"
        for path in (place / "a", place / "b", closed):
            path.mkdir(parents=True)
        for path in (place / "a", place / "b", closed):
            path.chmod(0o700)
        os.seteuid(NOBODY)
        async with watching(theme=place, closed=closed) as heard:
            assert {vars(record)["path"] for record in caplog.records if "cannot be read" in record.message} == {
                str(place / "a"), str(place / "b"), str(closed)
            }  # fmt: skip
            os.seteuid(0)
            await heard.until_lost()  # Now it can be.
            assert {batch.name for batch in heard.take() if batch.is_lost} == {"closed"}
            (closed / "file").write_text("1")
            (place / "file").write_text("1")
            await heard.until_paths(closed / "file", place / "file")

    with as_nobody() as folder:
        try:
            asyncio.run(main(folder))
        finally:
            os.seteuid(0)


def set_limit(name: str, count: int) -> None:
    Path("/proc/sys/user", name).write_text(str(count), encoding="ascii")


def too_many_folders(folder: Path) -> None:
    for number in range(10):
        (folder / f"{number}").mkdir()
    set_limit("max_inotify_watches", 6)
    with pytest.raises(WatchError, match=r"fs\.inotify\.max_user_watches"):
        asyncio.run(Watch({"theme": folder}).start())
    assert threading.active_count() == 1


def too_many_instances(folder: Path) -> None:
    set_limit("max_inotify_instances", 0)
    with pytest.raises(WatchError, match=r"fs\.inotify\.max_user_instances"):
        asyncio.run(Watch({"theme": folder}).start())
    assert threading.active_count() == 1


def too_many_folders_later(folder: Path) -> None:
    module.CHECK_SECONDS = module.POLL_SECONDS = 0.1
    place, other = folder / "place", folder / "other"
    place.mkdir()
    other.mkdir()
    set_limit("max_inotify_watches", 8)

    async def main() -> None:
        async with watching(theme=place, other=other) as heard:
            for number in range(10):
                (place / f"{number}").mkdir()
            await heard.until_lost()
            heard.take()
            (place / "9" / "file").write_text("1")
            await heard.until_lost()
            assert {batch.name for batch in heard.take()} == {"theme"}
            (other / "file").write_text("1")
            await heard.until_paths(other / "file")
            heard.take()
            # Watches are to be had again.
            set_limit("max_inotify_watches", 100)
            # The two places, the folder that both are in, and the ten.
            await until_watch_count(3 + 10)
            await heard.only(place / "before")
            for number in range(10):
                assert {b.is_lost for b in await heard.only(place / f"{number}" / "file") if b.name == "theme"} == {
                    False
                }

    asyncio.run(main())


@pytest.mark.parametrize("scene", [too_many_folders, too_many_instances, too_many_folders_later])
def test_the_limits_of_inotify(tmp_path: Path, scene: Callable[[Path], None]) -> None:
    # A user name space has limits of its own.
    unshare = ["unshare", "--user", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("no user name spaces here")
    script = f"import sys, pathlib, {__name__} as tests; tests.{scene.__name__}(pathlib.Path(sys.argv[1]))"
    command = [*unshare, sys.executable, "-W", "error", "-c", script, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run(command, check=True, env=environment, timeout=60)


def test_batches_are_merged_while_nobody_reads(tmp_path: Path) -> None:
    async def main() -> None:
        watch = Watch({"theme": tmp_path}, quiet_seconds=0.05)
        await watch.start()
        files = [tmp_path / name for name in ("a", "b", "c")]
        for number, file in enumerate(files, start=1):
            file.write_text("1")
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not (watch._ready and watch._ready["theme"].paths == set(files[:number])):
                    watch._news.clear()
                    await watch._news.wait()
        await watch.stop()
        assert [batch async for batch in watch] == [Batch("theme", frozenset(files), is_lost=False)]

    asyncio.run(main())


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_nothing_is_left_after_the_stop(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}").mkdir()

    async def main() -> None:
        before = open_files(), set(threading.enumerate())
        for _ in range(10):
            async with watching(theme=tmp_path, gone=tmp_path / "gone", file=tmp_path / "file") as heard:
                (tmp_path / "1" / "file").write_text("1")
                await heard.until_paths(tmp_path / "1" / "file")
            # In the middle of things, and without anybody reading.
            watch = Watch({"theme": tmp_path})
            await watch.start()
            (tmp_path / "2" / "file").write_text("1")
            await watch.stop()
            await watch.stop()
            starting = asyncio.create_task(Watch({"theme": tmp_path}).start())
            await asyncio.sleep(0)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
        assert (open_files(), set(threading.enumerate())) == before

    asyncio.run(main())


def test_a_watch_that_never_started_ends(tmp_path: Path) -> None:
    async def main() -> list[Batch]:
        watch = Watch({"theme": tmp_path})
        await watch.stop()
        return [batch async for batch in watch]

    assert asyncio.run(main()) == []
