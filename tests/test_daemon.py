"""The daemon as a process: what it tells systemd, how it reloads, how it ends, and what it survives."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import time
from pathlib import Path

import pytest
from command import daemon, staticify
from scripted_origin import Exchange, ScriptedOrigin, answer, html, urlset
from stage import config_of, files, marks, site_toml, until, write_config

from staticify.daemon import Daemon
from staticify.errors import StaticifyError, TreeError

OTHER = "https://other.example/"


async def hang(exchange: Exchange) -> None:
    await asyncio.sleep(60)


def origin_of(count: int) -> ScriptedOrigin:
    return ScriptedOrigin(pages={f"/{number}/": html(str(number)) for number in range(count)})


def test_systemd_hears_of_ready_watchdog_reload_and_stop(tmp_path: Path) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.setblocking(False)
            heard: list[str] = []

            def listen() -> list[str]:
                try:
                    while True:
                        heard.extend(manager.recv(4096).decode().splitlines())
                except BlockingIOError:
                    return heard

            async with origin_of(1).running() as origin:
                write_config(tmp_path, site_toml(origin.address, pages=["/0/"]))
                environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
                async with daemon(tmp_path, **environment) as running:
                    await until(lambda: listen().count("WATCHDOG=1") >= 3)
                    assert [line for line in heard if line != "WATCHDOG=1"] == ["READY=1", "STATUS=1 site"]
                    running.process.send_signal(signal.SIGHUP)
                    await until(lambda: listen().count("READY=1") == 2)
                    (clock,) = (line for line in heard if line.startswith("MONOTONIC_USEC="))
                    assert abs(int(clock.partition("=")[2]) / 1e6 - time.monotonic()) < 10
                    assert heard.index("RELOADING=1") < heard.index(clock)
                    assert await running.stop() == 0
                    assert listen()[-1] == "STOPPING=1"

    asyncio.run(main())


@pytest.mark.alone
def test_a_site_that_hangs_delays_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        slow = ScriptedOrigin(pages=dict.fromkeys((*(f"/{number}/" for number in range(8)), "/map.xml"), hang))
        async with slow.running(), origin_of(10).running() as fast:
            write_config(
                tmp_path,
                site_toml(slow.address, pages=[*slow.pages][:8], sitemaps=["/map.xml"], interval="1s"),
                site_toml(fast.address, url=OTHER, pages=[*fast.pages], interval="1s"),
            )
            async with daemon(tmp_path) as running:
                await until(lambda: len(fast.requests) >= 10)
                started, before = time.monotonic(), len(fast.requests)
                await until(lambda: len(fast.requests) >= before + 20)
                # Two rounds of one second.
                assert time.monotonic() - started < 4
                assert all(fast.paths().count(path) >= 2 for path in fast.pages)
                await running.logged("cycle site=https://other.example/ pages=10")
                assert running.lines("older than the bound") == []

    asyncio.run(main())


def test_a_page_older_than_the_bound_is_an_alarm(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(2).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/0/", "/1/"], interval="1s", deadline="500ms"))
            async with daemon(tmp_path) as running:
                await running.logged(" published ", count=2)
                before = files(tmp_path / "tree")
                origin.pages["/1/"] = answer(b"", 500)
                (line, *_) = await running.logged("a page is older than the bound")
                assert " error " in line
                assert "url=https://example.org/1/" in line
                assert "bound_seconds=1.5" in line
                # What is wrong with a page is said when it begins; the cycle's line counts it from then on.
                (line,) = running.lines("WordPress answers 500")
                assert " warning kept url=https://example.org/1/ verdict=status " in line
                assert await running.stop() == 0
            assert files(tmp_path / "tree") == before

    asyncio.run(main())


def test_what_is_wrong_with_a_page_is_said_anew_when_it_is_something_else_and_by_each_daemon(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(2).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/0/", "/1/"], interval="1s"))
            async with daemon(tmp_path) as running:
                await running.logged(" published ", count=2)
                origin.pages["/1/"] = answer(b"", 500)
                await running.logged("WordPress answers 500")
                origin.pages["/1/"] = answer(html("1"), Cache_Control="private")
                (line,) = await running.logged("Cache-Control: private")
                assert " warning refused url=https://example.org/1/ verdict=private " in line
                # One that comes back is the same trouble still.
                origin.pages["/1/"] = answer(b"", 500)
                before = origin.paths().count("/1/")
                await until(lambda: origin.paths().count("/1/") > before + 1)
                assert await running.stop() == 0
                assert len(running.lines(" warning ")) == 2
            # Its log begins here, and the page has long been failing.
            async with daemon(tmp_path) as running:
                (line,) = await running.logged("WordPress answers 500")
                assert " warning kept url=https://example.org/1/ verdict=status " in line

    asyncio.run(main())


# --- Reload ----------------------------------------------------------------------------------------------------------


def test_a_reload_restarts_only_the_site_that_changed(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(2).running() as one, origin_of(2).running() as other:
            same = site_toml(one.address, pages=["/0/"])
            write_config(tmp_path, same, site_toml(other.address, url=OTHER, pages=["/0/"]))
            async with daemon(tmp_path) as running:
                await running.logged(" published ", count=2)
                write_config(tmp_path, same, site_toml(other.address, url=OTHER, pages=["/0/", "/1/"]))
                running.process.send_signal(signal.SIGHUP)
                await running.logged("configuration reloaded")
                new_page = tmp_path / "tree/other.example/1/@staticify/index.html"
                await until(new_page.exists)
                assert one.paths() == ["/0/"]
                assert sorted(other.paths()) == ["/0/", "/0/", "/1/"]
                # A site that is taken out is refreshed no more, and its pages stay.
                write_config(tmp_path, same)
                running.process.send_signal(signal.SIGHUP)
                await running.logged("configuration reloaded", count=2)
                assert (tmp_path / "tree/other.example/1/@staticify/index.html").exists()
                assert await running.stop() == 0
            assert running.lines("Traceback") == []

    asyncio.run(main())


def test_a_site_that_takes_its_time_to_end_holds_up_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": hang}).running() as one, origin_of(2).running() as other:
            slow = site_toml(one.address, pages=["/"], deadline="60s")
            write_config(tmp_path, slow)
            async with daemon(tmp_path) as running:
                await until(lambda: len(one.requests) == 1)
                added = site_toml(other.address, url=OTHER, pages=["/0/"])
                write_config(tmp_path, slow.replace("60s", "50s"), added)
                running.process.send_signal(signal.SIGHUP)
                await until((tmp_path / "tree/other.example/0/@staticify/index.html").exists, seconds=4)
                assert running.lines("configuration reloaded") == []  # The slow one still drains.
                await running.logged("configuration reloaded")
                # A site that is taken out leaves its pages, and it is said.
                write_config(tmp_path, slow.replace("60s", "50s"))
                running.process.send_signal(signal.SIGHUP)
                # Said with each reload: by the signal, and perhaps by the changed file before it.
                line, *_ = await running.logged("pages that belong to no site of the configuration")
                assert "host=other.example pages=1" in line
                assert await running.stop() == 0

    asyncio.run(main())


def test_a_bad_file_keeps_the_old_one_in_force_and_every_fault_is_logged(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(1).running() as origin:
            path = write_config(tmp_path, site_toml(origin.address, pages=["/0/"], interval="1s"))
            async with daemon(tmp_path) as running:
                await until(lambda: len(origin.requests) >= 1)
                path.write_text('[[site]]\nurl = "https://example.org/"\ninterval = 5\ncolour = "red"\n')
                running.process.send_signal(signal.SIGHUP)
                await running.logged("the old one stays in force")
                faults = await running.logged(" error fault ", count=2)
                assert "site[0].interval" in faults[0]
                assert "line 3" in faults[0]
                assert "site[0].colour" in faults[1]
                before = len(origin.requests)
                await until(lambda: len(origin.requests) >= before + 2)
                # Where the pages live cannot change while they are served.
                path.write_text('[tree]\npath = "elsewhere"\n' + site_toml(origin.address, pages=["/0/"]))
                running.process.send_signal(signal.SIGHUP)
                await running.logged("tree.path: a change needs a restart")
                path.unlink()
                running.process.send_signal(signal.SIGHUP)
                await running.logged("there is no such file")
                assert await running.stop() == 0

    asyncio.run(main())


def test_a_configuration_that_is_as_it_was_before_its_faults_is_said_to_be_good(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(1).running() as origin:
            path = write_config(tmp_path, site_toml(origin.address, pages=["/0/"]))
            good = path.read_text()
            async with daemon(tmp_path) as running:
                await running.logged(" started ")
                path.write_text(f"{good}intervall = 5\n")
                await running.logged("the old one stays in force")
                path.write_text(good)
                await running.logged("the configuration is good again, and says what it said")
                # Once; a file that is only touched is no event.
                path.touch()
                await asyncio.sleep(1)
                assert len(running.lines("good again")) == 1
                assert running.lines("configuration reloaded") == []
                assert await running.stop() == 0

    asyncio.run(main())


def test_many_reloads_at_once_are_one_after_the_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(3).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/0/"]))
            async with daemon(tmp_path) as running:
                await running.logged(" started ")
                for number in range(10):
                    write_config(tmp_path, site_toml(origin.address, pages=["/0/", f"/{number % 3}/"]))
                    running.process.send_signal(signal.SIGHUP)
                    await asyncio.sleep(0.01)
                await running.logged("configuration reloaded")
                assert await running.stop() == 0, running.log()
            assert running.lines("Traceback") == []
            assert running.log().splitlines()[-1].endswith(" info stopped")

    asyncio.run(main())


# --- The end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_reloading", [False, True])
@pytest.mark.alone
def test_sigterm_ends_a_hanging_fetch_within_ten_seconds(tmp_path: Path, *, is_reloading: bool) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": hang, "/map.xml": hang}).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/"], sitemaps=["/map.xml"], deadline="60s"))
            async with daemon(tmp_path) as running:
                await until(lambda: len(origin.requests) == 2)
                if is_reloading:
                    # Which waits for the journeys of the site that it ends, too.
                    write_config(tmp_path, site_toml(origin.address, pages=["/", "/a/"], deadline="60s"))
                    running.process.send_signal(signal.SIGHUP)
                    await asyncio.sleep(0.3)
                started = time.monotonic()
                assert await running.stop() == 0
                assert time.monotonic() - started < 10
            assert running.lines("Traceback") == []

    asyncio.run(main())


@pytest.mark.parametrize("is_reloading", [False, True])
def test_sigterm_lets_journeys_under_way_end(tmp_path: Path, *, is_reloading: bool) -> None:
    async def main() -> None:
        async def slow(exchange: Exchange) -> None:
            await asyncio.sleep(1.2 if is_reloading else 0.7)
            await exchange.send(answer(html("slow")))

        async with ScriptedOrigin(pages={"/": slow}).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/"]))
            async with daemon(tmp_path) as running:
                await until(lambda: len(origin.requests) == 1)
                if is_reloading:
                    write_config(tmp_path, site_toml(origin.address, pages=["/"], interval="2m"))
                    running.process.send_signal(signal.SIGHUP)
                    await asyncio.sleep(0.3)
                assert await running.stop() == 0
            assert (running.lines("Traceback"), running.lines("internal-error")) == ([], [])
            assert (tmp_path / "tree/example.org/@staticify/index.html").read_text() == html("slow")
            done = await staticify(tmp_path, "status", "--json")
            (page,) = json.loads(done.out)["pages"]
            assert (page["outcome"], page["verdict"]) == ("published", "ok")

    asyncio.run(main())


def test_told_twice_it_ends_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": hang}).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/"]))
            async with daemon(tmp_path) as running:
                await until(lambda: len(origin.requests) == 1)
                running.process.send_signal(signal.SIGTERM)
                await running.logged("stopping")
                assert await running.stop(seconds=2) == 1

    asyncio.run(main())


def test_a_second_instance_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(1).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/0/"]))
            async with daemon(tmp_path) as running:
                await running.logged(" published ")
                for arguments in (["run"], ["render", "--all"]):
                    done = await staticify(tmp_path, *arguments)
                    assert (done.status, done.out) == (1, "")
                    assert done.err.startswith(f"staticify: another staticify works on the tree {tmp_path}/tree.")
                    assert "stop it first" in done.err
                for arguments in (["status"], ["verify"]):
                    done = await staticify(tmp_path, *arguments)
                    assert (done.status, done.err) == (0, ""), arguments
                assert await running.stop() == 0

    asyncio.run(main())


@pytest.mark.parametrize("part", ["queue", "reload"])
def test_a_defect_ends_the_daemon_with_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Never silently idle: the service manager starts it again."""

    async def main() -> None:
        async with origin_of(1).running() as origin:
            config = config_of(tmp_path, site_toml(origin.address, pages=["/0/"], interval="1s"))
            one = Daemon(config)
            life = asyncio.create_task(one.run())
            await until(lambda: len(origin.requests) >= 1)
            if part == "queue":
                queue = one._keepers["https://example.org/"]._queue
                monkeypatch.setattr(queue, "_seconds_to_first", lambda now: now / 0)
            else:
                write_config(tmp_path, site_toml(origin.address, pages=["/0/"], interval="2s"))
                one._schedule._jobs.clear()
                one.reload()
            with pytest.raises(StaticifyError) as raised:
                await asyncio.wait_for(life, 10)
            assert "please report it" in str(raised.value)
            assert any(record.levelname == "CRITICAL" and record.exc_info for record in caplog.records)

    asyncio.run(main())


def test_a_tree_that_cannot_be_read_keeps_the_old_configuration_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")

    async def main() -> None:
        async with origin_of(2).running() as origin:
            one = Daemon(config_of(tmp_path, site_toml(origin.address, pages=["/0/"], interval="1s")))
            life = asyncio.create_task(one.run())
            await until(lambda: len(origin.requests) >= 1)

            def scan() -> None:
                raise TreeError("cannot read the tree", hint="The disk fails")

            with monkeypatch.context() as failing:
                failing.setattr(one._tree, "scan", scan)
                write_config(tmp_path, site_toml(origin.address, pages=["/0/", "/1/"], interval="1s"))
                one.reload()
                said = "the tree cannot be read; the old configuration stays in force"
                await until(lambda: said in caplog.messages)
                before = len(origin.requests)
                await until(lambda: len(origin.requests) >= before + 2)
                assert set(origin.paths()) == {"/0/"}
            one.reload()
            await until(lambda: "/1/" in origin.paths())
            one._stop()
            await asyncio.wait_for(life, 10)

    asyncio.run(main())


# --- What it survives ------------------------------------------------------------------------------------------------


async def run_until_rendered(directory: Path, origin: ScriptedOrigin) -> str:
    before = len(origin.requests)
    async with daemon(directory) as running:
        await until(lambda: len(origin.requests) >= before + len(origin.pages))
        await running.logged(" started ")
        assert await running.stop() == 0
        return running.log()


def test_without_its_database_no_page_is_lost_and_none_rewritten(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(10).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=[*origin.pages]))
            await run_until_rendered(tmp_path, origin)
            before = marks(tmp_path / "tree")
            shutil.rmtree(tmp_path / "state")
            await run_until_rendered(tmp_path, origin)
            assert marks(tmp_path / "tree") == before
            done = await staticify(tmp_path, "status", "--json")
            assert {page["outcome"] for page in json.loads(done.out)["pages"]} == {"unchanged"}

    asyncio.run(main())


def test_pages_of_a_lost_database_that_nobody_lists_are_let_go_of(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(2).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/0/", "/1/"]))
            await run_until_rendered(tmp_path, origin)
            shutil.rmtree(tmp_path / "state")
            write_config(tmp_path, site_toml(origin.address, pages=["/0/"], interval="1s"))
            async with daemon(tmp_path) as running:
                (gone,) = await running.logged(" gone ")
                assert "url=https://example.org/1/ verdict=unlisted" in gone
                await until(lambda: {path.name for path in (tmp_path / "tree/example.org").iterdir()} == {"0"})
                assert await running.stop() == 0

    asyncio.run(main())


def test_a_listed_page_that_was_never_there_is_said_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(1).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/0/", "/never/"], interval="1s"))
            async with daemon(tmp_path) as running:
                await until(lambda: origin.paths().count("/never/") >= 3)
                (gone,) = await running.logged(" gone ")
                assert "url=https://example.org/never/ verdict=gone" in gone
                assert await running.stop() == 0

    asyncio.run(main())


def test_a_page_that_is_listed_anew_is_said_anew(tmp_path: Path) -> None:
    """It never was in the tree, so that nothing else is heard of its end."""

    async def main() -> None:
        async with origin_of(1).running() as origin:
            origin.pages["/never/"] = answer(b"", 500)
            origin.pages["/map.xml"] = urlset("/never/")
            write_config(tmp_path, site_toml(origin.address, pages=["/0/"], sitemaps=["/map.xml"], interval="1s"))
            async with daemon(tmp_path) as running:
                await running.logged("WordPress answers 500")
                origin.pages["/map.xml"] = urlset("/0/")
                await running.logged("cycle site=https://example.org/ pages=1 ")
                origin.pages["/map.xml"] = urlset("/never/")
                await running.logged("WordPress answers 500", count=2)
                assert await running.stop() == 0

    asyncio.run(main())


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
def test_a_corrupt_database_is_set_aside_and_no_page_is_lost(tmp_path: Path, damage: str) -> None:
    async def main() -> None:
        async with origin_of(3).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=[*origin.pages]))
            await run_until_rendered(tmp_path, origin)
            before = marks(tmp_path / "tree")
            database = tmp_path / "state/state.db"
            if damage == "garbage":
                database.write_bytes(b"this is no database " * 500)
            else:
                os.truncate(database, database.stat().st_size // 2)
            log = await run_until_rendered(tmp_path, origin)
            assert "the state database was corrupt and is set aside" in log
            assert len(list((tmp_path / "state").glob("state.db.corrupt-*"))) >= 1
            assert marks(tmp_path / "tree") == before

    asyncio.run(main())


@pytest.mark.parametrize(
    "statement",
    [
        "update page set url = 'i' || substr(url, 2) where url like '%/1/'",
        "update page set url = replace(url, 'example', 'ex`mple')",
        "update page set kind = 'no such kind'",
        "update page set verified_at = 'x' where url like '%/1/'",
        "insert into note values ('due', 'nonsense', '')",
        "insert into note values ('due', 'https://example.org/1/', 'meant x')",
    ],
)
def test_one_wrong_value_in_the_database_ends_neither_the_daemon_nor_status(tmp_path: Path, statement: str) -> None:
    async def main() -> None:
        async with origin_of(3).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=[*origin.pages]))
            await run_until_rendered(tmp_path, origin)
            before = marks(tmp_path / "tree")
            with sqlite3.connect(tmp_path / "state/state.db") as connection:
                connection.execute(statement)
            connection.close()
            said = "what cannot be read in the state database is left out"
            done = await staticify(tmp_path, "status", "--json")
            assert (done.err, len(json.loads(done.out)["pages"])) == (f"{said}\n", 3)
            assert said in await run_until_rendered(tmp_path, origin)
            assert marks(tmp_path / "tree") == before
            done = await staticify(tmp_path, "status", "--json")
            assert (done.status, done.err) == (0, "")
            assert {page["outcome"] for page in json.loads(done.out)["pages"]} == {"unchanged"}

    asyncio.run(main())


def test_a_killed_daemon_leaves_whole_pages_and_is_cleaned_up_after(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(30).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=[*origin.pages]))
            async with daemon(tmp_path) as running:
                await until(lambda: len(origin.requests) >= 10)
                running.process.kill()
                await running.process.wait()
            left_over = tmp_path / "tree/example.org/@staticify.new-0123456789abcdef"
            left_over.mkdir()
            (left_over / "index.html").write_text("half")
            log = await run_until_rendered(tmp_path, origin)
            assert re.search(r"left_over=[1-9]", log)
            assert not left_over.exists()
            expected = {
                f"example.org/{number}/@staticify/index.html": html(str(number)).encode() for number in range(30)
            }
            found = files(tmp_path / "tree")
            assert {name: body for name, body in found.items() if name.endswith(".html")} == expected

    asyncio.run(main())


def test_a_tree_with_things_that_staticify_did_not_make(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of(1).running() as origin:
            for strange in (
                "tree/example.org/a\\b/@staticify",
                "tree/example.org/\udcff/@staticify",  # A name that is not UTF-8.
                "tree/somebody.example/x@staticify",
            ):
                (tmp_path / strange).mkdir(parents=True)
                (tmp_path / strange / "index.html").write_text("mine")
            write_config(tmp_path, site_toml(origin.address, pages=["/0/"]))
            log = await run_until_rendered(tmp_path, origin)
            assert "the tree holds pages that belong to no site of the configuration" in log
            assert "host=somebody.example" in log
            assert (tmp_path / "tree/example.org/a\\b/@staticify/index.html").read_text() == "mine"

    asyncio.run(main())
