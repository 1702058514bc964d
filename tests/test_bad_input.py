"""Bad input gets a clear error: what, where, what to do. And what was published before stands, byte for byte."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from command import Done, daemon, staticify
from scripted_journal import SECRET
from scripted_origin import Exchange, Script, ScriptedOrigin, answer, html
from stage import files, leaf_of, site_toml, until, write_config

from staticify import audit, config as configuration, oneshot
from staticify.discover import MAX_SITEMAP_BYTES
from staticify.errors import ConfigError
from staticify.nouns import Outcome

GOOD, NOT_GOOD, USAGE, NOT_COMPARED = 0, 1, 2, 3
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts or changes the user, which only root can")


def ignore(_: object) -> None:
    """What this test does not want to hear."""


Test = Callable[[ScriptedOrigin, dict[str, bytes]], Awaitable[None]]


def after_a_good_pass(directory: Path, test: Test, **keys: Any) -> None:
    """Publish two good pages, run the test, and see that both still stand as they were."""

    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html("home"), "/a/": html("a")}).running() as origin:
            write_config(directory, site_toml(origin.address, pages=["/", "/a/"], **keys))
            config = configuration.load(directory / "staticify.toml")
            done = await oneshot.render(config, None, on_list=ignore, on_result=ignore)
            before = files(directory / "tree")
            assert [result.outcome for result in done.results] == [Outcome.PUBLISHED] * 2
            assert len(before) == 6
            await test(origin, before)
            assert files(directory / "tree") == before

    asyncio.run(main())


def said(done: Done) -> str:
    assert "Traceback" not in done.out + done.err
    return done.out + done.err


# --- The configuration -----------------------------------------------------------------------------------------------

BAD_KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"colour": "red"}, "site[0].colour: there is no such key"),
    "wrong type": ({"concurrency": "four"}, 'site[0].concurrency: must be a whole number, not "four"'),
    "no unit": ({"interval": 60}, 'site[0].interval: 60 has no unit; write "60s" if seconds are meant'),
    "page outside the site": (
        {"pages": ["https://somebody.example/a/"]}, "https://somebody.example/a/ is outside the site",
    ),
    "page with a query": ({"pages": ["/?p=1"]}, "has a query string; a page is a path alone"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_KEYS)
def test_a_bad_configuration(tmp_path: Path, name: str) -> None:
    keys, message = BAD_KEYS[name]

    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        asked = len(origin.requests)
        write_config(tmp_path, site_toml(origin.address, **{"pages": ["/"], **keys}))
        done = await staticify(tmp_path, "run")
        assert (done.status, done.out) == (USAGE, "")
        assert message in done.err
        assert "line " in done.err
        assert len(origin.requests) == asked

    after_a_good_pass(tmp_path, test)


@pytest.mark.parametrize("command", ["check", "status", "run"])
def test_a_configuration_that_is_a_pipe_is_not_waited_for(tmp_path: Path, command: str) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        os.mkfifo(tmp_path / "pipe.toml")
        done = await staticify(tmp_path, command, "--config", "pipe.toml")
        assert (done.status, done.out) == (USAGE, "")
        assert done.err == "staticify: pipe.toml: 1 fault\n  the file cannot be read: it is no regular file\n"

    after_a_good_pass(tmp_path, test)


def test_a_configuration_out_of_the_shells_own_pipe(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        process = await asyncio.create_subprocess_shell(
            f"cat staticify.toml | {sys.executable} -m staticify.cli check --config /dev/stdin",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert (process.returncode, err) == (GOOD, b"")
        assert out.startswith(b"/dev/stdin: good.")

    after_a_good_pass(tmp_path, test)


def test_a_page_outside_the_site_on_the_command_line(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        done = await staticify(tmp_path, "render", "https://somebody.example/")
        assert (done.status, done.out) == (USAGE, "")
        assert done.err == (
            "staticify: https://somebody.example/ is on no configured site. Configured are: https://example.org/\n"
        )

    after_a_good_pass(tmp_path, test)


# --- The origin ------------------------------------------------------------------------------------------------------


async def loop(exchange: Exchange) -> None:
    await exchange.send(answer(b"", 301, Location=f"https://example.org{exchange.path}"))


ORIGINS: dict[str, tuple[bytes | str | Script, str, tuple[str, ...]]] = {
    "our own front end": (
        answer(html("x"), Cache_Status="staticify; hit"), "origin-is-front",
        ("leads back to our own front end", "set `origin` to WordPress's own address"),
    ),
    "redirect to another host": (
        answer(b"", 302, Location="https://somebody.example/"), "redirect-outside",
        ("https://somebody.example/",),
    ),
    "redirect loop": (loop, "redirect-loop", ("to itself", "X-Forwarded-Proto")),
    "body over the limit": (answer(html("x" * 40_000)), "too-large", ("over the limit of 32768 bytes",)),
    "gzip bomb": (
        answer(gzip.compress(bytes(32 * 2**20)), Content_Encoding="gzip"), "too-large",
        ("over the limit of 32768 bytes",),
    ),
    "half a page": (answer(html()[:-20]), "truncated", ("</html>", "require_html_end")),
}  # fmt: skip


@pytest.mark.parametrize("name", ORIGINS)
def test_an_origin_that_answers_badly(tmp_path: Path, name: str) -> None:
    script, verdict, words = ORIGINS[name]

    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        origin.pages["/a/"] = script
        done = await staticify(tmp_path, "render", "--all", "--json")
        assert done.status == NOT_GOOD
        (bad,) = (page for page in json.loads(done.out)["pages"] if page["url"] == "https://example.org/a/")
        assert bad["verdict"] == verdict
        assert all(word in bad["reason"] for word in words), bad["reason"]

    after_a_good_pass(tmp_path, test, max_bytes="32KiB")


def test_an_origin_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html("home")}).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/"], sitemaps=["/map.xml"]))
            await staticify(tmp_path, "render", "/")
            before = files(tmp_path / "tree")
            assert len(before) == 3
        done = await staticify(tmp_path, "render", "--all")
        assert done.status == NOT_GOOD
        assert f"kept (unreachable): {origin.address}: Cannot connect to host" in said(done)
        assert "note: https://example.org/map.xml" in said(done)
        done = await staticify(tmp_path, "verify")
        assert (done.status, done.out.splitlines()[-1]) == (NOT_COMPARED, "2 URLs could not be compared")
        assert files(tmp_path / "tree") == before

    asyncio.run(main())


# --- Sitemaps --------------------------------------------------------------------------------------------------------

SITEMAPS: dict[str, tuple[str, str]] = {
    "entities": (
        '<!DOCTYPE urlset [<!ENTITY a "https://example.org/b/">]><urlset><url><loc>&a;</loc></url></urlset>',
        "it has a DOCTYPE, which may declare entities: not read",
    ),
    "a billion laughs": (
        '<?xml version="1.0"?><!DOCTYPE urlset [<!ENTITY a0 "ha">'
        + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
        + "]><urlset><url><loc>&a9;</loc></url></urlset>",
        "it has a DOCTYPE, which may declare entities: not read",
    ),
    "broken off": ("<urlset><url><loc>https://example.org/a/</loc></url><url>", "the XML is broken"),
    "HTML": (html(), "it is an HTML page, no sitemap"),
}


@pytest.mark.parametrize("name", SITEMAPS)
def test_a_broken_sitemap(tmp_path: Path, name: str) -> None:
    body, message = SITEMAPS[name]

    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        origin.pages["/map.xml"] = answer(body, content_type="application/xml")
        write_config(tmp_path, site_toml(origin.address, pages=["/"], sitemaps=["/map.xml"]))
        for _ in range(2):
            done = await staticify(tmp_path, "render", "--all")
            assert done.status == NOT_GOOD
            assert f"note: https://example.org/map.xml: {message}" in said(done)

    after_a_good_pass(tmp_path, test)


def test_a_sitemap_of_a_million_urls_is_bounded_and_said_so(tmp_path: Path) -> None:
    sent = 0

    async def endless(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n\r\n<urlset>")
        for start in range(0, 1_000_000, 1000):
            numbers = range(start, start + 1000)
            await exchange.send(b"".join(b"<url><loc>https://example.org/%d/</loc></url>" % n for n in numbers))
            sent = start + 1000
        await exchange.send(b"</urlset>")

    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        origin.pages["/map.xml"] = endless
        write_config(tmp_path, site_toml(origin.address, pages=["/", "/a/"], sitemaps=["/map.xml"], max_pages=5))
        done = await staticify(tmp_path, "render", "--all", "--json")
        document = json.loads(done.out)
        assert [note["message"] for note in document["notes"]] == [
            "more than max_pages = 5 pages; the rest is left out"
        ]
        assert len(document["pages"]) == 5
        # Read no further than needed: what was on its way in buffers counts as sent.
        assert sent < 200_000

    after_a_good_pass(tmp_path, test)


def test_a_sitemap_of_a_million_urls_that_says_how_long_it_is_gives_its_first_pages(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        entry = b"<url><loc>https://example.org/%07d/</loc></url>"
        body = b"<urlset>" + b"".join(entry % number for number in range(1_200_000)) + b"</urlset>"
        assert len(body) > MAX_SITEMAP_BYTES
        origin.pages["/map.xml"] = answer(body, content_type="application/xml")
        write_config(tmp_path, site_toml(origin.address, pages=["/", "/a/"], sitemaps=["/map.xml"], max_pages=5))
        document = json.loads((await staticify(tmp_path, "render", "--all", "--json")).out)
        assert [note["name"] for note in document["notes"]] == ["too-many-pages"]
        assert len(document["pages"]) == 5

    after_a_good_pass(tmp_path, test)


def test_a_million_urls_that_are_all_wanted_take_bounded_memory(tmp_path: Path) -> None:
    async def lines(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        for start in range(0, 1_000_000, 5000):
            await exchange.send(b"".join(b"https://other.example/%d/\n" % n for n in range(start, start + 5000)))

    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        origin.pages["/map.txt"] = lines
        write_config(tmp_path, site_toml(origin.address, pages=["/", "/a/"], sitemaps=["/map.txt"], max_pages=100))
        out, peak_kib = await asyncio.to_thread(render_and_weigh, tmp_path)
        (counted, *rest) = json.loads(out)["notes"]
        assert "is not inside https://example.org/, and" in counted["message"]
        assert len(rest) == 1
        assert peak_kib < 250 * 1024

    after_a_good_pass(tmp_path, test)


WEIGHED = """
import re, sys
from pathlib import Path
from staticify.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


def render_and_weigh(directory: Path) -> tuple[str, int]:
    """What `render --all --json` said, and the peak memory of its process in KiB.

    The kernel's own count: ru_maxrss of a child begins with the memory of the process that started it.
    """
    command = [sys.executable, "-W", "error", "-c", WEIGHED, "render", "--all", "--json"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, int(done.stderr)


# --- Tree and state --------------------------------------------------------------------------------------------------


def run(*command: str) -> None:
    subprocess.run(command, check=True)


@contextmanager
def mounted(directory: Path, *options: str) -> Iterator[None]:
    directory.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", directory], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        yield
    finally:
        run("umount", "--lazy", str(directory))


@is_root
def test_check_and_init_know_whether_the_tree_is_mounted_with_nosymfollow(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html("home")}).running() as origin:
            path = write_config(tmp_path, site_toml(origin.address, pages=["/"]))
            path.write_text(path.read_text().replace('path = "tree"', 'path = "tree"\nlinks = "mount"'))
            (tmp_path / "tree").mkdir()
            done = await staticify(tmp_path, "check")
            assert (done.status, done.out) == (USAGE, "")
            assert f'tree.links: is "mount", but {tmp_path}/tree is not mounted with nosymfollow' in done.err
            asked = ("init", origin.address, "--origin", origin.address, "--tree", str(tmp_path / "tree"), "--config")
            assert (await staticify(tmp_path, *asked, "a.toml")).status == GOOD
            with mounted(tmp_path / "tree", "-o", "nosymfollow"):
                assert (await staticify(tmp_path, "check")).status == GOOD
                assert (await staticify(tmp_path, *asked, "b.toml")).status == GOOD
            written = [configuration.load(tmp_path / name).tree_links for name in ("a.toml", "b.toml")]
            assert written == ["never", "mount"]

    asyncio.run(main())


@is_root
def test_a_full_disk(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html("home")}).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/"]))
            assert (await staticify(tmp_path, "render", "--all")).status == GOOD
            before = files(tmp_path / "tree")
            pages = ["/", "/a/", "/b/"]
            origin.pages |= dict.fromkeys(pages, html("x" * 200_000))
            write_config(tmp_path, site_toml(origin.address, pages=pages))
            done = await staticify(tmp_path, "render", "--all")
            assert done.status == NOT_GOOD
            # Once, not once for each page.
            said_once = (
                f"kept (tree-error): cannot publish in {tmp_path}/tree: No space left on device. "
                "The disk is full, or has no inodes left (df -i): the pages in the tree stay as they are until "
                "there is room (3 pages)"
            )
            assert said(done).count(said_once) == 1
            told = (await staticify(tmp_path, "status")).out
            assert told.count("The disk is full") == 1
            assert files(tmp_path / "tree") == before
            write_config(tmp_path, site_toml(origin.address, pages=["/"]))
            # Nothing of a page is left over, and with room again all is well.
            assert {path.name for path in (tmp_path / "tree/example.org").iterdir()} == {"@staticify"}
            origin.pages["/"] = html("small")
            assert (await staticify(tmp_path, "render", "--all")).status == GOOD

    with mounted(tmp_path / "tree", "-o", "size=64k"):
        asyncio.run(main())


@is_root
def test_a_read_only_tree(tmp_path: Path) -> None:
    with mounted(tmp_path / "tree"):

        async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
            await asyncio.to_thread(run, "mount", "-o", "remount,ro", str(tmp_path / "tree"))
            for command in (["render", "--all"], ["run"]):
                done = await staticify(tmp_path, *command)
                assert (done.status, done.out) == (NOT_GOOD, "")
                assert f"cannot use the tree {tmp_path}/tree: Read-only file system" in said(done)
                assert "The file system is mounted read-only" in said(done)
            # Whoever only reads, can.
            for command in (["status"], ["explain", "/"], ["verify"]):
                assert (await staticify(tmp_path, *command)).status == GOOD

        after_a_good_pass(tmp_path, test)


def test_a_locked_state_database(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        holder = sqlite3.connect(tmp_path / "state/state.db", isolation_level=None)
        holder.execute("pragma locking_mode = exclusive")
        holder.execute("begin exclusive")
        try:
            done = await staticify(tmp_path, "render", "--all")
        finally:
            holder.close()
        assert (done.status, done.out) == (NOT_GOOD, "")
        assert f"{tmp_path}/state/state.db: database is locked" in said(done)
        assert "Another program holds a lock on it" in said(done)
        assert (await staticify(tmp_path, "render", "--all")).status == GOOD

    after_a_good_pass(tmp_path, test)


def test_a_state_database_that_is_locked_during_the_pass(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        holder = sqlite3.connect(tmp_path / "state/state.db", isolation_level=None)

        async def lock_and_answer(exchange: Exchange) -> None:
            if not holder.in_transaction:
                holder.execute("begin immediate")
            await exchange.send(answer(html("another a")))

        origin.pages["/a/"] = lock_and_answer
        try:
            done = await staticify(tmp_path, "render", "--all", "--json")
            assert (done.status, json.loads(done.out)["counts"]["published"]) == (NOT_GOOD, 1)
            assert f"cannot write the state database {tmp_path}/state/state.db: database is locked" in said(done)
            done = await staticify(tmp_path, "render", "--all")
            assert done.status == NOT_GOOD
            assert re.search(r"^2 pages in .* 0 published, 2 unchanged", done.out, re.MULTILINE)
            assert "database is locked" in said(done)
        finally:
            holder.close()
        origin.pages["/a/"] = html("a")
        assert (await staticify(tmp_path, "render", "--all")).status == GOOD

    after_a_good_pass(tmp_path, test)


def test_a_corrupt_state_database(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"state/state.db{suffix}").unlink(missing_ok=True)
        (tmp_path / "state/state.db").write_bytes(b"no database at all " * 1000)
        done = await staticify(tmp_path, "status")
        assert (done.status, done.out) == (NOT_GOOD, "")
        assert f"cannot read the state database {tmp_path}/state/state.db: file is not a database" in said(done)
        assert "It is corrupt: the next staticify render --all" in said(done)
        done = await staticify(tmp_path, "render", "--all", "--json")
        assert done.status == GOOD
        assert json.loads(done.out)["counts"]["unchanged"] == 2
        (aside,) = (tmp_path / "state").glob("state.db.corrupt-*")
        (note,) = json.loads(done.out)["notes"]
        assert (note["where"], note["message"]) == (str(aside), "the state database was corrupt and is set aside")

    after_a_good_pass(tmp_path, test)


def without_rights(directory: Path, *arguments: str) -> Done:
    """Run a command as a root to whom permissions apply: what belongs to others is closed to it."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("no setpriv (util-linux)")
    done = subprocess.run(
        [setpriv, "--bounding-set=-dac_override,-dac_read_search,-fowner,-chown",
         sys.executable, "-W", "error", "-m", "staticify.cli", *arguments],
        cwd=directory, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def give_away(path: Path, mode: int) -> None:
    os.chown(path, 65534, 65534)
    path.chmod(mode)


@is_root
def test_nobody_is_told_to_run_it_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_config(tmp_path, site_toml("http://127.0.0.1:1", pages=["/"]))
    (tmp_path / "tree").mkdir()
    (tmp_path / "state").mkdir()
    loaded = configuration.load(path)
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    monkeypatch.setattr(os, "access", lambda _, mode, **__: mode == os.F_OK)
    with pytest.raises(ConfigError) as caught:
        audit.check(loaded, path)
    assert [fault.message for fault in caught.value.faults] == [
        f"the user nobody may not write to {tmp_path}/{name}, which belongs to root. "
        f"As root: chown -R nobody {tmp_path}/{name}"
        for name in ("tree", "state")
    ]


@is_root
def test_no_permission(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        give_away(tmp_path / "state", 0o700)
        done = await asyncio.to_thread(without_rights, tmp_path, "render", "--all")
        assert (done.status, done.out) == (NOT_GOOD, "")
        assert f"cannot use the state database {tmp_path}/state/state.db: unable to open database file" in said(done)
        assert "must own its directory" in said(done)
        done = await asyncio.to_thread(without_rights, tmp_path, "status")
        assert (done.status, done.out) == (NOT_GOOD, "")
        assert f"cannot read the state database {tmp_path}/state/state.db" in said(done)
        assert "Run this as the user that runs the daemon" in said(done)
        done = await asyncio.to_thread(without_rights, tmp_path, "check")
        assert (done.status, done.out) == (USAGE, "")
        assert said(done) == (
            f"staticify: staticify.toml: 1 fault\n  state.path: the user root may not write to {tmp_path}/state, "
            "which belongs to nobody. Run it as that user: runuser -u nobody -- staticify ...\n"
        )
        give_away(tmp_path / "tree", 0o755)
        done = await asyncio.to_thread(without_rights, tmp_path, "render", "--all")
        assert (done.status, done.out) == (NOT_GOOD, "")
        assert f"the tree {tmp_path}/tree belongs to the user nobody" in said(done)
        give_away(tmp_path / "staticify.toml", 0o600)
        for named in ((), ("--config", "staticify.toml")):
            done = await asyncio.to_thread(without_rights, tmp_path, "check", *named)
            assert (done.status, done.out) == (USAGE, "")
            assert "staticify.toml: 1 fault\n  the file cannot be read: Permission denied" in said(done)
            done = await asyncio.to_thread(without_rights, tmp_path, "check", "--json", *named)
            assert (done.status, done.err) == (USAGE, "")
            (fault,) = json.loads(done.out)["faults"]
            assert fault["message"] == "the file cannot be read: Permission denied"

    after_a_good_pass(tmp_path, test)


@is_root
def test_check_knows_what_the_user_who_asks_may_do(tmp_path: Path) -> None:
    write_config(tmp_path, site_toml("http://127.0.0.1:1", pages=["/"]))
    tmp_path.chmod(0o555)
    done = without_rights(tmp_path, "check")
    assert (done.status, done.out) == (USAGE, "")
    assert done.err == "staticify: staticify.toml: 2 faults\n" + "".join(
        f"  {name}.path: {tmp_path}/{name} is not there, or out of reach, and the user root may not write in "
        f"{tmp_path}. As root: install -d -o root {tmp_path}/{name}\n"
        for name in ("tree", "state")
    )
    tmp_path.chmod(0o755)
    (tmp_path / "state").mkdir()
    (tmp_path / "state/state.db").touch(0o400)
    assert f"may not write to {tmp_path}/state/state.db" in without_rights(tmp_path, "check").err
    # What root may do, its owner may not: nobody can know by asking as root.
    (tmp_path / "tree").mkdir()
    give_away(tmp_path / "tree", 0o500)
    done = asyncio.run(staticify(tmp_path, "check"))
    assert (done.status, done.out) == (GOOD, "staticify.toml: good. 1 site, 1 page, 0 sitemaps\n")
    assert done.err == (
        "warning: not known whether tree and state can be written: "
        f"the tree {tmp_path}/tree belongs to the user nobody, who could not replace what root writes "
        "there. Run it as that user: runuser -u nobody -- staticify ...\n"
    )


@is_root
@pytest.mark.parametrize("command", [["render", "--all"], ["run"]])
def test_root_leaves_the_tree_of_another_user_alone(tmp_path: Path, command: list[str]) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        os.chown(tmp_path / "tree", 65534, 65534)
        origin.pages["/"] = html("another home")
        assert await staticify(tmp_path, *command) == Done(
            NOT_GOOD,
            "",
            f"staticify: the tree {tmp_path}/tree belongs to the user nobody, who could not replace what root writes "
            "there. Run it as that user: runuser -u nobody -- staticify ...\n",
        )

    after_a_good_pass(tmp_path, test)


@is_root
def test_one_directory_that_is_somebody_elses_keeps_only_its_own_pages_back(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        give_away(tmp_path / "tree/example.org/a", 0o755)
        origin.pages["/a/"] = html("another a")
        done = await asyncio.to_thread(without_rights, tmp_path, "render", "--all")
        assert done.status == NOT_GOOD
        place = f"{tmp_path}/tree/example.org/a/@staticify"
        assert f"kept (tree-error): cannot publish {place}: Permission denied. The user that runs" in said(done)
        assert "0 published, 1 unchanged, 1 kept" in said(done)

    after_a_good_pass(tmp_path, test)


@is_root
def test_a_directory_in_the_tree_that_is_closed_is_passed_over(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        (tmp_path / "tree/lost+found").mkdir()
        give_away(tmp_path / "tree/lost+found", 0o700)
        for command in (["render", "--all"], ["verify"]):
            assert (await asyncio.to_thread(without_rights, tmp_path, *command)).status == GOOD

    after_a_good_pass(tmp_path, test)


@pytest.mark.parametrize("name", ["x" * 300, "directory", "file/below", "there.toml", "no/such/directory/i.toml"])
def test_init_says_where_it_cannot_write_before_it_reads_the_site(tmp_path: Path, name: str) -> None:
    reasons = {
        "x" * 300: "cannot be written: File name too long",
        "directory": "cannot be written: Is a directory",
        "file/below": "cannot be written: Not a directory",
        "there.toml": "there is such a file already",
        "no/such/directory/i.toml": f"cannot be written: there is no directory {tmp_path}/no/such",
    }

    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        (tmp_path / "directory").mkdir()
        (tmp_path / "file").write_text("in the way")
        (tmp_path / "there.toml").write_text("precious")
        origin.requests.clear()
        done = await staticify(tmp_path, "init", "https://example.org/", "--origin", origin.address, "--config", name)
        assert (done.status, done.out) == (USAGE, "")
        assert f"{name}: 1 fault\n  {reasons[name]}" in said(done)
        assert origin.paths() == []
        assert (tmp_path / "there.toml").read_text() == "precious"
        assert not (tmp_path / "no").exists()

    after_a_good_pass(tmp_path, test)


def test_init_makes_the_last_directory(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html("home")}).running() as origin:
            arguments = ("init", "https://example.org/", "--origin", origin.address, "--config", "new/staticify.toml")
            done = await staticify(tmp_path, *arguments)
            assert done.status == GOOD
            assert "The pages will stand in /var/cache/staticify/tree." in done.out
            assert (await staticify(tmp_path, "check", "--config", "new/staticify.toml")).status == GOOD

    asyncio.run(main())


@is_root
def test_init_into_a_directory_without_permission(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        (tmp_path / "closed").mkdir()
        give_away(tmp_path / "closed", 0o700)
        arguments = ("init", "https://example.org/", "--origin", origin.address, "--config", "closed/staticify.toml")
        done = await asyncio.to_thread(without_rights, tmp_path, *arguments)
        assert (done.status, done.out) == (USAGE, "")
        assert "closed/staticify.toml: 1 fault\n  cannot be written: Permission denied" in said(done)

    after_a_good_pass(tmp_path, test)


def test_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, before: dict[str, bytes]) -> None:
        path = write_config(tmp_path, site_toml(origin.address, pages=["/"]))
        (tmp_path / "file").write_text("in the way")
        path.write_text(path.read_text().replace('"state"', '"file/state"'))
        for command in (["render", "--all"], ["run"]):
            done = await staticify(tmp_path, *command)
            assert (done.status, done.out) == (NOT_GOOD, "")
            assert f"cannot use the state database {tmp_path}/file/state/state.db" in said(done)

    after_a_good_pass(tmp_path, test)


async def health(socket: Path) -> dict[str, Any]:
    """What the daemon's probe says."""
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(transport=transport) as client:
        found: dict[str, Any] = (await client.get("http://localhost/healthz")).json()
        return found


@is_root
def test_a_state_database_that_becomes_unwritable_under_the_daemon(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html("home")}).running() as origin:
            listen = f'[webhook]\nlisten = "unix:{tmp_path}/socket"\n'
            keys: dict[str, Any] = {"pages": ["/"], "interval": "1s", "secrets": [SECRET]}
            write_config(tmp_path, site_toml(origin.address, **keys), listen).chmod(0o600)
            async with daemon(tmp_path) as running:
                await running.logged("published")
                assert (await health(tmp_path / "socket"))["is_state_written"] is True
                (tmp_path / "state/filler").write_bytes(b"")
                with (tmp_path / "state/filler").open("ab", buffering=0) as filler:
                    try:
                        while filler.write(bytes(4096)):
                            pass
                    except OSError:
                        pass
                (line,) = await running.logged("state not written")
                assert "disk is full" in line
                found = await health(tmp_path / "socket")
                assert (found["is_state_written"], found["ok"]) == (False, True)
                origin.pages["/"] = html("news")
                await running.logged("published", count=2)
                (tmp_path / "state/filler").unlink()
                await running.logged("state written again")
                assert (await health(tmp_path / "socket"))["is_state_written"] is True
                assert len(running.lines("state not written")) == 1
                assert running.lines("somebody else") == []
                assert await running.stop() == 0

    with mounted(tmp_path / "state", "-o", "size=256k"):
        asyncio.run(main())


@is_root
def test_a_state_directory_on_a_read_only_disk(tmp_path: Path) -> None:
    """As an ext4 is after an error: pages go on, what must leave the tree does, and it is said wherever one looks."""

    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html("home"), "/a/": html("a")}).running() as origin:
            listen = f'[webhook]\nlisten = "unix:{tmp_path}/socket"\n'
            keys: dict[str, Any] = {"pages": ["/", "/a/"], "interval": "1s", "deadline": "1s", "secrets": [SECRET]}
            write_config(tmp_path, site_toml(origin.address, **keys), listen).chmod(0o600)
            assert (await staticify(tmp_path, "render", "--all")).status == GOOD
            run("mount", "-o", "remount,ro", str(tmp_path / "state"))
            origin.pages |= {"/": html("news"), "/a/": answer(b"", 403)}
            async with daemon(tmp_path) as running:
                await running.logged(" published url=https://example.org/ ")
                await running.logged(" gone url=https://example.org/a/ ")
                (line,) = running.lines(" error ")
                assert " state not written " in line
                assert read_only in line
                found = await health(tmp_path / "socket")
                assert (found["is_state_written"], found["ok"]) == (False, True)
                await asyncio.sleep(2.5)
                done = await staticify(tmp_path, "status")
                assert done.status == NOT_GOOD
                assert re.search(unwritten, done.out.splitlines()[-1])
                done = await staticify(tmp_path, "render", "--all")
                assert "another staticify works on the tree" in said(done)
                run("mount", "-o", "remount,rw", str(tmp_path / "state"))
                await running.logged("state written again")
                done = await staticify(tmp_path, "status")
                assert (done.status, re.search(unwritten, done.out)) == (GOOD, None)
                assert await running.stop() == GOOD
            assert running.lines("somebody else") == []
            run("mount", "-o", "remount,ro", str(tmp_path / "state"))
            done = await staticify(tmp_path, "render", "/")
            assert (done.status, "1 unchanged" in done.out, read_only in said(done)) == (NOT_GOOD, True, True)

    read_only = "Its file system is read-only"
    unwritten = r"the state was last written \d+\.\d s ago, and what it says is as old: if the disk does not take it"
    with mounted(tmp_path / "state"):
        asyncio.run(main())


@is_root
@pytest.mark.parametrize("size", ["4k", "8k", "24k", "40k", "1m,nr_inodes=1", "1m,nr_inodes=2"])
def test_a_state_directory_on_a_full_disk(tmp_path: Path, size: str) -> None:
    """Whatever comes to be written first: the directory, the database, or what readers and writer share.

    What must leave the tree does so all the same, and once there is room everything is remembered.
    """

    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html("home"), "/a/": html("a")}).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/", "/a/"], interval="1s"))
            done = await staticify(tmp_path, "render", "--all")
            assert (done.status, "2 published" in done.out) == (NOT_GOOD, True)
            assert f"cannot write the state database {tmp_path}/state/state.db: " in said(done)
            assert done.err.endswith(f". {full}\n")
            origin.pages["/a/"] = answer(b"", 403)
            async with daemon(tmp_path) as running:
                await running.logged(" gone url=https://example.org/a/ ")
                assert not leaf_of(tmp_path / "tree", "/a/").exists()
                (line,) = running.lines(" error ")
                assert " state not written " in line
                assert full in line
                run("mount", "-o", "remount,size=1m,nr_inodes=100", str(tmp_path / "state"))
                await running.logged("state written again")
                assert await states(tmp_path) == {
                    "https://example.org/": "fresh",
                    "https://example.org/a/": "absent",
                }
                assert await running.stop() == GOOD
            assert running.lines("somebody else") == []

    full = "The disk is full: what is to be remembered stays in memory until there is room"
    with mounted(tmp_path / "state", "-o", f"size={size}"):
        if size == "4k":
            (tmp_path / "state/filler").write_bytes(bytes(4096))
        asyncio.run(main())


async def states(directory: Path) -> dict[str, str]:
    """What `status` says of each page; nothing if it cannot."""
    done = await staticify(directory, "status", "--json")
    return {page["url"]: page["state"] for page in json.loads(done.out)["pages"]} if done.status == GOOD else {}


@pytest.mark.parametrize("damage", ["directory removed", "overwritten"])
def test_a_state_database_that_goes_under_the_daemon_is_made_anew(tmp_path: Path, damage: str) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html("home"), "/a/": html("a")}).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/", "/a/"], interval="1s"))
            async with daemon(tmp_path) as running:
                await running.logged("published", count=2)
                if damage == "directory removed":
                    await until((tmp_path / "state/state.db").exists)
                    shutil.rmtree(tmp_path / "state")
                    (line,) = await running.logged("removed or changed by somebody else: it is written anew")
                    assert f"path={tmp_path}/state/state.db" in line
                else:
                    for name in ("state.db", "state.db-wal"):
                        with (tmp_path / "state" / name).open("r+b") as file:
                            file.write(b"\x5a" * max(20_000, (tmp_path / "state" / name).stat().st_size))
                    (line,) = await running.logged("the state database was overwritten: it is set aside")
                    assert f"path={tmp_path}/state/state.db.corrupt-" in line
                fresh = {"https://example.org/": "fresh", "https://example.org/a/": "fresh"}
                assert await states(tmp_path) == fresh
                asked = len(origin.requests)
                await until(lambda: len(origin.requests) >= asked + 4)
                assert await states(tmp_path) == fresh
                assert len(running.lines("anew")) == 1
                assert running.lines("not written") == []
                assert await running.stop() == 0

    asyncio.run(main())


def test_a_tree_that_is_removed_under_the_daemon_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html("home"), "/a/": html("a")}).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/", "/a/"], interval="1s"))
            async with daemon(tmp_path) as running:
                await running.logged("published", count=2)
                before = files(tmp_path / "tree")
                assert len(before) == 6
                shutil.rmtree(tmp_path / "tree")
                (tmp_path / "tree").mkdir()
                await running.logged("published", count=4)
                assert files(tmp_path / "tree") == before
                assert len(running.lines("the tree was removed or replaced")) == 1
                done = await staticify(tmp_path, "render", "--all")
                assert done.status == NOT_GOOD
                assert "another staticify works on the tree" in said(done)
                assert await running.stop() == 0

    asyncio.run(main())
