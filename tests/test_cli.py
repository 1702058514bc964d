"""The command line as a process: exit status, what is said where, and what machines get."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from command import Done, staticify
from scripted_journal import SECRET
from scripted_origin import Exchange, Script, ScriptedOrigin, answer, html
from stage import files, site_toml, until, write_config

from staticify import __version__, config as configuration
from staticify.cli import main
from staticify.nouns import Mode, OriginState, SiteState
from staticify.store import Store
from staticify.tree import Tree

GOOD, NOT_GOOD, USAGE, NOT_COMPARED = 0, 1, 2, 3
COMMANDS = ("init", "render", "run", "purge", "status", "explain", "verify", "check")
FIXED_PAGES: dict[str, bytes | str | Script] = {
    "/": html("home"),
    "/a/": html("a"),
    "/feed/": answer("<rss/>", content_type="application/rss+xml"),
}


def scene(directory: Path, test: Callable[[ScriptedOrigin], Awaitable[None]], **keys: Any) -> None:
    """A configuration in the directory, with an origin of three good pages behind it."""

    async def main() -> None:
        async with ScriptedOrigin(pages=dict(FIXED_PAGES)).running() as origin:
            write_config(directory, site_toml(origin.address, **{"pages": [*FIXED_PAGES], **keys}))
            await test(origin)

    asyncio.run(main())


def as_json(done: Done) -> dict[str, object]:
    document = json.loads(done.out)
    assert isinstance(document, dict)
    assert done.err == ""
    return document


# --- Help ------------------------------------------------------------------------------------------------------------


@pytest.mark.alone
def test_help_comes_at_once_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from staticify.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'httpx', 'aiohttp', 'pydantic', 'turbohtml', 'lxml', 'rich', 'apscheduler', 'sqlite3', 'brotli'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # 0.3 s are promised on an idle machine, and measured elsewhere; this one runs tests at the same time.
    assert time.monotonic() - started < 2
    for command in COMMANDS:
        assert re.search(rf"^  {command} +[A-Z]", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = CliRunner().invoke(main, [command, "--help"])
    assert (done.exit_code, done.stderr) == (GOOD, "")
    assert "--config" in done.stdout


def test_the_version() -> None:
    done = CliRunner().invoke(main, ["--version"])
    assert (done.exit_code, done.stdout) == (GOOD, f"staticify, version {__version__}\n")


# --- Exit status -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["render"],
        ["render", "--all", "/a/"],
        ["render", "--no-such-option"],
        ["no-such-command"],
        ["explain"],
        ["explain", "https://somebody.example/"],
        ["render", "/a/?page=2"],
        ["render", "/a/../b/"],
        ["verify", "ftp://example.org/"],
        ["render", "/cart/"],
        ["verify", "/cart/"],
        ["purge", "/cart/"],
        ["purge"],
        ["purge", "/a/", "--all"],
        ["purge", "/a/"],
        ["status", "--config", "absent.toml"],
        ["init", "not a url"],
    ],
)
def test_usage_faults_are_2_and_nothing_is_fetched_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    async def test(origin: ScriptedOrigin) -> None:
        done = await asyncio.to_thread(CliRunner().invoke, main, arguments)
        assert (done.exit_code, done.stdout) == (USAGE, "")
        assert done.stderr
        assert isinstance(done.exception, SystemExit)
        assert origin.requests == []
        assert not (tmp_path / "tree").exists()

    scene(tmp_path, test, exclude=["/cart/*"])


def test_an_excluded_page_is_not_rendered_and_can_be_explained(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        write_config(tmp_path, site_toml(origin.address, pages=["/"], exclude=["/a/*"]))
        done = await staticify(tmp_path, "render", "/", "/a/")
        assert (done.status, done.out) == (USAGE, "")
        assert (
            done.err == "staticify: https://example.org/a/ is excluded by '/a/*'. See `exclude` in the configuration\n"
        )
        assert json.loads((await staticify(tmp_path, "explain", "/a/", "--json")).out)["state"] == "fresh"

    scene(tmp_path, test)


def test_render_is_0_only_if_every_page_is_good(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        assert (await staticify(tmp_path, "render", "--all")).status == GOOD
        assert (await staticify(tmp_path, "render", "/", "https://example.org/a/")).status == GOOD
        origin.pages["/a/"] = answer(b"", 500)
        assert (await staticify(tmp_path, "render", "--all")).status == NOT_GOOD
        assert (await staticify(tmp_path, "render", "/")).status == GOOD
        assert (await staticify(tmp_path, "render", "/a/")).status == NOT_GOOD
        assert (await staticify(tmp_path, "render", "/absent/")).status == NOT_GOOD

    scene(tmp_path, test)


def test_render_is_1_if_a_sitemap_cannot_be_read(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        done = await staticify(tmp_path, "render", "--all")
        assert done.status == NOT_GOOD
        assert "note: https://example.org/map.xml: answers 404" in done.out
        assert (tmp_path / "tree/example.org/a/@staticify/index.html").exists()

    scene(tmp_path, test, sitemaps=["/map.xml"])


def test_verify_is_1_where_tree_and_origin_differ(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        done = await staticify(tmp_path, "verify")
        assert done == Done(GOOD, "3 pages: the tree says what the origin says\n", "")
        origin.pages["/a/"] = html("another a")
        origin.pages["/feed/"] = answer("<feed/>", content_type="application/atom+xml")
        origin.pages["/"] = answer(html("half")[:-30])
        (tmp_path / "tree/example.org/b/@staticify").mkdir(parents=True)
        (tmp_path / "tree/example.org/b/@staticify/index.html").write_text("nobody's")
        done = await staticify(tmp_path, "verify", "--json")
        assert done.status == NOT_GOOD
        assert as_json(done)["compared"] == 3
        assert [(one["url"], one["name"]) for one in json.loads(done.out)["differences"]] == [
            ("https://example.org/", "truncated"),
            ("https://example.org/a/", "differs"),
            ("https://example.org/b/", "unlisted"),
            ("https://example.org/feed/", "kind"),
        ]
        done = await staticify(tmp_path, "verify", "/a/", "/absent/")
        assert (done.status, done.err) == (NOT_GOOD, "")
        assert "https://example.org/a/" in done.out
        assert "the origin says something else than the tree" in done.out
        assert "nowhere: neither the tree nor the origin has this page\n  https://example.org/absent/\n" in done.out
        assert done.out.endswith("2 differences in 2 pages\n")
        await staticify(tmp_path, "render", "--all")
        assert await staticify(tmp_path, "verify", "/a/") == Done(
            GOOD, "1 page: the tree says what the origin says\n", ""
        )
        done = await staticify(tmp_path, "verify", "/absent/")
        assert (done.status, done.out.splitlines()[-1]) == (NOT_GOOD, "1 difference in 1 page")

    scene(tmp_path, test)


def test_verify_agrees_where_neither_the_tree_nor_everybody_has_the_page(tmp_path: Path) -> None:
    form = html('<form class="post-password-form" action="/wp-login.php?action=postpass"></form>')

    async def test(origin: ScriptedOrigin) -> None:
        origin.pages |= {"/a/": form, "/feed/": answer(b"", 404)}
        await staticify(tmp_path, "render", "--all")
        done = await staticify(tmp_path, "verify")
        assert done == Done(GOOD, "3 pages: the tree says what the origin says\n", "")
        # What the tree still has of it is a difference.
        origin.pages["/a/"] = html("a")
        await staticify(tmp_path, "render", "/a/")
        origin.pages["/a/"] = form
        done = await staticify(tmp_path, "verify", "--json")
        assert done.status == NOT_GOOD
        assert [one["name"] for one in json.loads(done.out)["differences"]] == ["password"]

    scene(tmp_path, test)


@pytest.mark.parametrize("status", [500, 503, 429, None])
def test_verify_is_3_where_wordpress_is_down(tmp_path: Path, status: int | None) -> None:
    async def hang_up(_: Exchange) -> None:
        """Say nothing, and close."""

    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        down = hang_up if status is None else answer(html("down"), status)
        origin.pages |= {"/a/": down, "/feed/": down}
        done = await staticify(tmp_path, "verify")
        assert (done.status, done.err) == (NOT_COMPARED, "")
        assert done.out.endswith(
            "\n  https://example.org/a/\n  https://example.org/feed/\n"
            "0 differences in 1 page, 2 URLs could not be compared\n"
        )
        done = await staticify(tmp_path, "verify", "/a/", "--json")
        found = as_json(done)
        assert (done.status, found["compared"], found["differences"]) == (NOT_COMPARED, 0, [])
        assert [one["url"] for one in found["not_compared"]] == ["https://example.org/a/"]  # type: ignore[attr-defined]
        # What differs counts more; and a redirect says something else than the tree.
        origin.pages["/"] = answer(b"", 302, Location="/a/")
        done = await staticify(tmp_path, "verify")
        assert (done.status, done.out.splitlines()[-1]) == (
            NOT_GOOD,
            "1 difference in 1 page, 2 URLs could not be compared",
        )

    scene(tmp_path, test)


def test_verify_is_1_if_a_page_differs_and_a_sitemap_cannot_be_read(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        leaf = tmp_path / "tree/example.org/a/@staticify/index.html"
        leaf.rename(tmp_path / "same")
        leaf.symlink_to(tmp_path / "same")
        done = await staticify(tmp_path, "verify", "--json")
        assert (done.status, as_json(done)["compared"]) == (NOT_GOOD, 3)
        found = {
            kind: [(one["url"], one["name"]) for one in json.loads(done.out)[kind]]
            for kind in ("differences", "not_compared")
        }
        assert found == {
            "differences": [("https://example.org/a/", "absent")],
            "not_compared": [("https://example.org/map.xml", "unreadable")],
        }

    scene(tmp_path, test, sitemaps=["/map.xml"])


def test_check_prints_all_faults_with_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "staticify.toml"
    path.write_text('[tree]\npath = 5\n[[site]]\nurl = "https://example.org/"\nintervall = "60s"\nconcurrency = 0\n')
    done = asyncio.run(staticify(tmp_path, "check"))
    assert (done.status, done.out) == (USAGE, "")
    first, *faults = done.err.splitlines()
    assert first == "staticify: staticify.toml: 3 faults"
    assert [fault.split(":")[:2] for fault in faults] == [
        ["  line 2", " tree.path"], ["  line 5", " site[0].intervall"], ["  line 6", " site[0].concurrency"],
    ]  # fmt: skip
    assert "did you mean interval?" in faults[1]
    document = as_json(asyncio.run(staticify(tmp_path, "check", "--json")))
    assert [(fault["key"], fault["line"]) for fault in document["faults"]] == [  # type: ignore[attr-defined]
        ("tree.path", 2), ("site[0].intervall", 5), ("site[0].concurrency", 6),
    ]  # fmt: skip


def test_check_finds_what_would_come_to_nothing(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "uploads").mkdir(parents=True)
    empty = site_toml("http://127.0.0.1:1")
    path = write_config(tmp_path, empty)
    nothing = "site[0]: https://example.org/ has neither pages nor sitemaps: there is nothing to keep"
    assert asyncio.run(staticify(tmp_path, "check")).err == f"staticify: staticify.toml: 1 fault\n  {nothing}\n"
    (tree / "uploads/precious.txt").touch()
    assert asyncio.run(staticify(tmp_path, "check")).err == (
        "staticify: staticify.toml: 2 faults\n"
        f"  tree.path: {tree} holds other files and no page: name an empty directory\n  {nothing}\n"
    )
    (tree / "uploads/precious.txt").unlink()
    listening = '[webhook]\nlisten = "http://127.0.0.1:8765"\n'
    path.write_text(path.read_text().replace("[[site]]", f'{listening}[[site]]\npages = ["/"]'))
    assert asyncio.run(staticify(tmp_path, "check")) == Done(
        GOOD,
        "staticify.toml: good. 1 site, 1 page, 0 sitemaps\n",
        "warning: nobody listens at http://127.0.0.1:8765: "
        "no site has `secrets`, so that no webhook could be believed\n",
    )


def test_check_finds_directories_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "wp-content").touch()
    (tmp_path / "tree").touch()
    (tmp_path / "file").touch()
    path = write_config(tmp_path, site_toml("http://127.0.0.1:1", pages=["/"], wp_content="wp-content"))
    path.write_text(path.read_text().replace('"state"', '"file/state"'))
    unheard = f"wp_content of https://example.org/, {tmp_path}/wp-content, is no directory here"
    assert asyncio.run(staticify(tmp_path, "check")) == Done(
        USAGE,
        "",
        "staticify: staticify.toml: 2 faults\n"
        f"  tree.path: {tmp_path}/tree is no directory\n  state.path: {tmp_path}/file is no directory\n",
    )
    (tmp_path / "tree").unlink()
    path.write_text(path.read_text().replace('"file/state"', '"not/yet"'))
    document = as_json(asyncio.run(staticify(tmp_path, "check", "--json")))
    assert document["warnings"] == [f"nobody hears of changed files: {unheard}"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "staticify.toml", "wp-content"]


def test_check_finds_an_address_that_somebody_else_has(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, closing(socket.socket(socket.AF_UNIX)) as another:
        another.bind(str(tmp_path / "taken"))
        another.listen()
        (tmp_path / "text").touch()
        with closing(socket.socket(socket.AF_UNIX)) as dead:
            dead.bind(str(tmp_path / "dead"))
        before = sorted(tmp_path.iterdir())
        port = f"http://127.0.0.1:{other.getsockname()[1]}"
        in_use = "Address already in use. Another process listens there: end it, or choose another address"
        for listen, reason in (
            (port, f"cannot listen on {port}: {in_use}"),
            (f"unix:{tmp_path}/taken", f"cannot listen on unix:{tmp_path}/taken: {in_use}"),
            (f"unix:{tmp_path}/text", f"{tmp_path}/text is there, and no socket. Choose another path for [webhook]"),
            (f"unix:{tmp_path}/no/socket", f"cannot listen on unix:{tmp_path}/no/socket: No such file or directory"),
            (f"unix:{tmp_path}/dead", ""),
            (f"unix:{tmp_path}/new", ""),
            ("unix:/run/staticify/made-by-systemd", ""),
        ):
            path = write_config(tmp_path, site_toml("http://127.0.0.1:1", pages=["/"], secrets=SECRET))
            path.write_text(f'[webhook]\nlisten = "{listen}"\n{path.read_text()}')
            path.chmod(0o640)
            done = asyncio.run(staticify(tmp_path, "check"))
            assert (done.status, done.out) == (GOOD, "staticify.toml: good. 1 site, 1 page, 0 sitemaps\n")
            assert done.err.startswith(f"warning: no webhook would be heard: {reason}" if reason else "")
            assert bool(done.err) == bool(reason)
            path.unlink()
            assert sorted(tmp_path.iterdir()) == before
            # What a daemon has is its own.
            path = write_config(tmp_path, site_toml("http://127.0.0.1:1", pages=["/"], secrets=SECRET))
            path.write_text(f'[webhook]\nlisten = "{listen}"\n{path.read_text()}')
            path.chmod(0o640)
            with worked_on(tmp_path):
                assert asyncio.run(staticify(tmp_path, "check")).err == ""
            path.unlink()
            (tmp_path / "tree").rmdir()


def test_check_of_a_good_file_asks_nobody(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        done = await staticify(tmp_path, "check")
        assert done.status == GOOD
        assert done.out.startswith("staticify.toml: good.")
        assert as_json(await staticify(tmp_path, "check", "--json")) == {
            "path": "staticify.toml", "faults": [], "warnings": []
        }  # fmt: skip
        assert origin.requests == []
        assert list(files(tmp_path)) == ["staticify.toml"]

    scene(tmp_path, test)


def test_a_page_that_differs_from_one_in_the_tree_in_case_only_is_refused(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        origin.pages["/A/"] = origin.pages["/a/"]
        assert (await staticify(tmp_path, "render", "/a/")).status == GOOD
        done = await staticify(tmp_path, "render", "/A/")
        assert (done.status, done.out) == (USAGE, "")
        assert "https://example.org/A/ differs from https://example.org/a/ in nothing but case" in done.err
        assert not (tmp_path / "tree/example.org/A").exists()

    scene(tmp_path, test)


def test_a_site_without_a_page_in_the_tree_is_no_good_site(tmp_path: Path) -> None:
    """A monitor that asks `status` must not be content with a site that never had a page."""
    write_config(tmp_path, site_toml("http://127.0.0.1:1", pages=["/"]))
    assert asyncio.run(staticify(tmp_path, "render", "--all")).status == NOT_GOOD
    assert asyncio.run(staticify(tmp_path, "status")).status == NOT_GOOD


def test_no_configuration_says_what_to_do(tmp_path: Path) -> None:
    done = asyncio.run(staticify(tmp_path, "status"))
    assert done.status == USAGE
    assert "staticify init URL" in done.err
    done = asyncio.run(staticify(tmp_path, "check", "--json"))
    assert done.status == USAGE
    assert as_json(done) == {
        "path": None,
        "faults": [
            {"key": "", "message": "neither staticify.toml nor /etc/staticify/staticify.toml is there", "line": None}
        ],
    }


def test_before_anything_was_rendered(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        for arguments in (["status"], ["explain", "/"], ["status", "--json"]):
            done = await staticify(tmp_path, *arguments)
            assert (done.status, done.out) == (NOT_GOOD, "")
            assert done.err == (
                f"staticify: there is no state database {tmp_path}/state/state.db. "
                "A running daemon makes it with the next page that it fetches, or when its disk has room; "
                "without one: staticify render --all\n"
            )
        # Reading makes nothing.
        assert list(files(tmp_path)) == ["staticify.toml"]

    scene(tmp_path, test)


def test_a_page_that_was_never_rendered(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "/")
        done = await staticify(tmp_path, "explain", "/a/")
        assert (done.status, done.out) == (NOT_GOOD, "")
        assert done.err == (
            "staticify: https://example.org/a/ was never rendered; the configuration lists it. "
            "A running daemon renders it by itself; without one: staticify render --all\n"
        )
        statuses = json.loads((await staticify(tmp_path, "status", "--json")).out)
        assert {page["url"]: (page["state"], page["outcome"]) for page in statuses["pages"]} == {
            "https://example.org/": ("fresh", "published"),
            "https://example.org/a/": ("absent", ""),
            "https://example.org/feed/": ("absent", ""),
        }
        # Nobody can get it; that is no alarm.
        done = await staticify(tmp_path, "status")
        assert (done.status, "never rendered" in done.out) == (GOOD, True)

    scene(tmp_path, test)


def test_a_page_that_somebody_took_out_of_the_tree(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        (tmp_path / "tree/example.org/a").rename(tmp_path / "aside")
        lost = "was published, and is in the tree no more: a running daemon puts it back within an interval"
        for arguments in (("status",), ("status", "--problems")):
            done = await staticify(tmp_path, *arguments)
            told = done.out
            assert done.status == NOT_GOOD
            assert told.count(f"\nabsent: {lost}") == told.count("absent: ") == 1
            assert "staticify render --all (1 page)\n" in told
        told = (await staticify(tmp_path, "explain", "/a/")).out
        assert re.search(rf"^state +absent: {lost}", told, re.MULTILINE)

    scene(tmp_path, test)


def test_a_page_that_was_removed_and_is_listed_no_more(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        write_config(tmp_path, site_toml(origin.address, pages=["/"]))
        for _ in range(3):
            await staticify(tmp_path, "render", "--all")
        done = await staticify(tmp_path, "explain", "/a/")
        assert (done.status, done.out) == (NOT_GOOD, "")
        assert done.err == (
            "staticify: https://example.org/a/ is not in the tree, and nothing more is known of it: it was never "
            "rendered, or it was removed and nothing lists it any more. "
            "To have it in the tree, list it under `pages` or in a sitemap\n"
        )
        stranger = tmp_path / "tree/example.org/b/@staticify/index.html"
        stranger.parent.mkdir(parents=True)
        stranger.write_text("somebody's")
        done = await staticify(tmp_path, "explain", "/b/")
        assert (done.status, done.out) == (NOT_GOOD, "")
        assert f"https://example.org/b/ is in the tree at {stranger}, but the state database does not know" in done.err

    scene(tmp_path, test)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/cart/mine/", "is not in the tree: '/cart/*' of `exclude` keeps it out. WordPress itself answers for it"),
        ("/a", "is not known. Did you mean https://example.org/a/?"),
        ("/unslashed/", "is not known. Did you mean https://example.org/unslashed?"),
        ("/wp-login.php", "is not in the tree: it is for whoever logs in. WordPress itself answers for it"),
        ("/wp-admin/edit.php", "is not in the tree: it is for whoever logs in. WordPress itself answers for it"),
    ],
)
def test_why_a_page_is_not_known(tmp_path: Path, path: str, said: str) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "/")
        done = await staticify(tmp_path, "explain", path)
        assert done == Done(NOT_GOOD, "", f"staticify: https://example.org{path} {said}\n")

    scene(tmp_path, test, pages=["/", "/a/", "/unslashed"], exclude=["/cart/*"])


# --- A proposal ------------------------------------------------------------------------------------------------------


def test_what_is_to_be_copied_after_init_is_a_line_of_its_own(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        name = f"a configuration whose name is {'very ' * 15}long.toml"
        arguments = ("init", "https://example.org/", "--origin", origin.address, "--config", name, "--force")
        done = await staticify(tmp_path, *arguments, COLUMNS="80")
        assert (done.status, done.err) == (GOOD, "")
        command = f"    staticify render --all --config '{name}'"
        assert done.out.splitlines()[-2:] == [f"Written: {name}. Next:", command]
        _, said = await asyncio.to_thread(on_terminal, tmp_path, *arguments, columns=80)
        assert command in said.splitlines()

    scene(tmp_path, test)


def test_paths_given_to_init_begin_where_the_shell_is(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        arguments = ("init", "https://example.org/", "--origin", origin.address, "--config", "etc/site.toml")
        assert (await staticify(tmp_path, *arguments, "--tree", "tree", "--state", "../state")).status == GOOD
        written = configuration.load(tmp_path / "etc/site.toml")
        assert written.tree_path == tmp_path / "tree"
        assert written.state_path.resolve() == tmp_path.parent / "state"

    scene(tmp_path, test)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ["http://127.0.0.1:1/"],
            NOT_GOOD,
            "Where WordPress answers at an address of its own, beside the public one, name it, as in --origin http://",
        ),
        (
            ["https://example.org/", "--origin", "http://127.0.0.1:1"],
            NOT_GOOD,
            "Where WordPress answers at another address, name it, as in --origin http://127.0.0.1:8080\n",
        ),
        (
            ["https://example.org/", "--origin", "127.0.0.1:1"],
            USAGE,
            'arguments: 1 fault\n  --origin: "127.0.0.1:1" does not begin with http://',
        ),
        (["https://example.org/", "--interval", "60"], USAGE, "arguments: 1 fault\n  --interval: "),
        (["nothing"], USAGE, "arguments: 1 fault\n  URL: "),
    ],
)
def test_init_says_what_to_write_instead(tmp_path: Path, arguments: list[str], status: int, said: str) -> None:
    done = asyncio.run(staticify(tmp_path, "init", *arguments))
    assert (done.status, done.out) == (status, "")
    assert said in done.err


def test_init_says_that_an_address_speaks_no_tls(tmp_path: Path) -> None:
    async def main() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            address = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            done = await staticify(tmp_path, "init", address)
        assert (done.status, done.out) == (NOT_GOOD, "")
        assert f"{address}: no TLS is spoken there: write http:// if that is meant. " in done.err

    asyncio.run(main())


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_render_as_json(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        origin.pages["/a/"] = answer(b"", 500)
        document = as_json(await staticify(tmp_path, "render", "--all", "--json"))
        assert document.keys() >= {"seconds", "counts", "notes", "pages"}
        assert document["counts"] == {"published": 2, "unchanged": 0, "kept": 1, "refused": 0, "gone": 0}
        assert document["notes"] == []
        assert document["tree"] == str(tmp_path / "tree")
        (bad,) = (page for page in document["pages"] if page["outcome"] == "kept")  # type: ignore[attr-defined]
        assert bad == {
            "url": "https://example.org/a/",
            "outcome": "kept",
            "verdict": "status",
            "reason": "WordPress answers 500",
            "seconds": bad["seconds"],
        }

    scene(tmp_path, test)


def test_status_as_json(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        document = as_json(await staticify(tmp_path, "status", "--json"))
        (site,) = document["sites"]  # type: ignore[misc]
        assert site == {  # type: ignore[has-type]
            "url": "https://example.org/", "mode": "blind", "reason": "", "missed": 0,
            "fresh": 3, "stale": 0, "absent": 0,
            "oldest_seconds": site["oldest_seconds"],  # type: ignore[has-type]
            "asked_at": site["asked_at"],  # type: ignore[has-type]
            "origin": None,
        }  # fmt: skip
        assert site["oldest_seconds"] < 20  # type: ignore[has-type]
        assert time.time() - 20 < document["state_written_at"] < time.time()  # type: ignore[operator]
        assert time.time() - 20 < site["asked_at"] < time.time()  # type: ignore[has-type]
        page = document["pages"][0]  # type: ignore[index]
        assert page == {
            "url": "https://example.org/", "site": "https://example.org/", "state": "fresh",
            "age_seconds": page["age_seconds"], "changed_at": page["changed_at"], "size_bytes": len(html("home")),
            "render_seconds": page["render_seconds"], "outcome": "published", "verdict": "ok",
            "reason": "a whole page for everybody", "failures": 0,
        }  # fmt: skip

    scene(tmp_path, test)


def test_explain_shows_the_first_of_many_cuts_and_how_many_there_are(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        origin.pages["/a/"] = html('<b class="ad">x</b>' * 1234)
        await staticify(tmp_path, "render", "--all")
        said = (await staticify(tmp_path, "explain", "/a/")).out
        assert re.search(r"^stripped +1234 ranges of the origin's bytes$", said, re.MULTILINE)
        assert len(re.findall(r"^  \d+-\d+ +\.ad$", said, re.MULTILINE)) == 50
        assert re.search(r"^  more +1184$", said, re.MULTILINE)

    scene(tmp_path, test, strip=[".ad"])


def test_explain_shows_what_the_database_refused_while_the_page_was_made(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        error = "Table 'wp.views' doesn't exist"
        origin.pages["/a/"] = answer(html(), Staticify_Database_Error=error)
        await staticify(tmp_path, "render", "/a/")
        said = (await staticify(tmp_path, "explain", "/a/")).out
        assert re.search(rf"^  database +{re.escape(error)}$", said, re.MULTILINE)
        document = as_json(await staticify(tmp_path, "explain", "/a/", "--json"))
        record = document["record"]
        assert isinstance(record, dict)
        assert record["database_errors"] == [error]

    scene(tmp_path, test)


def test_explain_shows_where_the_last_answer_leads_and_not_one_before(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        for fields in ({"Location": "/one/"}, {}):
            origin.pages["/a/"] = answer(b"", 302, **fields)
            await staticify(tmp_path, "render", "--all")
            said = (await staticify(tmp_path, "explain", "/a/")).out
            assert re.search(r"^answer +status 302", said, re.MULTILINE)
            assert ("/one/" in said) is bool(fields)

    scene(tmp_path, test)


def test_explain_as_json_and_for_people(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        origin.pages["/a/"] = html('x<b class="ad">buy [bold]now[/bold]</b>')
        await staticify(tmp_path, "render", "--all")
        document = as_json(await staticify(tmp_path, "explain", "/a/", "--json"))
        file = tmp_path / "tree/example.org/a/@staticify/index.html"
        assert (document["file"], document["is_in_tree"], document["state"]) == (str(file), True, "fresh")
        record = document["record"]
        assert isinstance(record, dict)
        start = html().index("hello") + 1
        assert record["cuts"] == [{"start": start, "end": start + 38, "rule": ".ad"}]
        assert record["cut_count"] == 1
        assert record["headers"]["content-type"] == "text/html; charset=UTF-8"
        people = (await staticify(tmp_path, "explain", "https://example.org/a/")).out
        for word in (str(file), "published: ok", "a whole page for everybody", f"{start}-{start + 38}", ".ad"):
            assert word in people

    scene(tmp_path, test, strip=[".ad"])


def test_names_that_look_like_markup_are_only_text(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        origin.pages["/%5Bred%5D/"] = answer(b"", 301, Location="https://evil.example/[bold]x[/nope]")
        for arguments in (["render", "/[red]/"], ["status"], ["explain", "/[red]/"]):
            done = await staticify(tmp_path, *arguments)
            assert "%5Bred%5D" in done.out
            assert "[bold]x[/nope]" in done.out
            assert "\x1b" not in done.out + done.err

    scene(tmp_path, test)


# --- People ----------------------------------------------------------------------------------------------------------


def test_a_pass_is_plain_lines_where_nobody_looks(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        origin.pages |= {"/a/": answer(b"", 500), "/b/": answer(b"", 500), "/c/": answer(html()[:-20])}
        done = await staticify(tmp_path, "render", "/", "/a/", "/b/", "/c/", "/absent/")
        lines = done.out.splitlines()
        assert (done.status, done.err) == (NOT_GOOD, "")
        truncated = "the page does not end in </html>; if the theme never writes it, set require_html_end = false"
        assert sorted(re.sub(r" +\d+ ms +", " ", line) for line in lines[:5]) == [
            "gone https://example.org/absent/  gone: WordPress answers 404",
            "kept https://example.org/a/  status: WordPress answers 500",
            "kept https://example.org/b/  status: WordPress answers 500",
            "published https://example.org/",
            f"refused https://example.org/c/  truncated: {truncated}",
        ]
        # Each reason once, with how many pages it is true of: each was named.
        assert sorted(lines[5:8]) == [
            "gone: WordPress answers 404 (1 page)",
            "kept (status): WordPress answers 500 (2 pages)",
            f"refused (truncated): {truncated} (1 page)",
        ]
        assert re.fullmatch(r"5 pages in \d+\.\d\d s: 1 published, 0 unchanged, 2 kept, 1 refused, 1 gone", lines[8])
        assert lines[9:] == [f"The tree is {tmp_path / 'tree'}"]

    scene(tmp_path, test)


def test_status_is_one_whole_line_a_page_where_nobody_looks(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        long = f"/{'very-' * 40}long/"
        origin.pages[long] = html()
        await staticify(tmp_path, "render", "--all")
        await staticify(tmp_path, "render", long)
        lines = (await staticify(tmp_path, "status", COLUMNS="80")).out.splitlines()
        assert [line.split()[0] for line in lines] == [
            "page", "https://example.org/", "https://example.org/a/", "https://example.org/feed/",
            f"https://example.org{long}", "https://example.org/", "no",
        ]  # fmt: skip
        assert re.split("  +", lines[0]) == ["page", "state", "age", "changed", "size", "render", "verdict"]
        assert all(re.search(r"/  fresh  .*[^ ]  ok$", line) and "   " not in line for line in lines[1:5])
        assert re.fullmatch(r"https://example.org/  4 fresh, oldest \d+\.\d s", lines[5])
        assert re.fullmatch(r"no daemon runs here: last fetch \d+\.\d s ago", lines[6])

    scene(tmp_path, test)


def test_status_of_problems_names_no_page_that_is_well(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        lines = (await staticify(tmp_path, "status", "--problems")).out.splitlines()
        assert [line.split()[0] for line in lines] == ["https://example.org/", "no"]
        origin.pages["/a/"] = answer(b"", 500)
        write_config(tmp_path, site_toml(origin.address, pages=["/", "/a/", "/feed/", "/absent/"]))
        await staticify(tmp_path, "render", "/a/", "/absent/", "/deleted/")
        gone = json.loads((await staticify(tmp_path, "explain", "/deleted/", "--json")).out)
        assert (gone["outcome"], gone["failures"]) == ("gone", 0)
        done = await staticify(tmp_path, "status", "--problems")
        assert [line.split()[0] for line in done.out.splitlines()] == [
            "page", "https://example.org/a/", "https://example.org/absent/",
            "kept", "https://example.org/a/", "gone:", "https://example.org/absent/",
            "https://example.org/", "no",
        ]  # fmt: skip
        document = json.loads((await staticify(tmp_path, "status", "--problems", "--json")).out)
        assert [page["url"] for page in document["pages"]] == [
            "https://example.org/a/", "https://example.org/absent/",
        ]  # fmt: skip

    scene(tmp_path, test)


def test_status_is_1_for_pages_of_unknown_age(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        past = time.time() - 3600
        for file in (tmp_path / "tree/example.org/a/@staticify").iterdir():
            os.utime(file, (past, past))
        for file in (tmp_path / "state").iterdir():
            file.unlink()
        os.utime(tmp_path / "tree/example.org/feed/@staticify/index.rss", (past, past))
        # The configuration need not list them: a sitemap may.
        write_config(tmp_path, site_toml(origin.address, pages=["/"]))
        await staticify(tmp_path, "render", "/")
        done = await staticify(tmp_path, "status")
        assert (done.status, done.err) == (NOT_GOOD, "")
        assert re.search(r"^https://example.org/a/ +stale +1\.0 h .* no record *$", done.out, re.MULTILINE)
        assert re.search(r"^https://example.org/feed/ +stale +unknown .* no record *$", done.out, re.MULTILINE)
        assert "  1 fresh, 2 stale, oldest 1.0 h" in done.out

    scene(tmp_path, test)


@dataclass
class Known:
    """What a daemon that ran before has left in the store."""

    store: Store

    def age(self, path: str, seconds: float, **changed: Any) -> None:
        """Make the last good fetch of a page as old as this."""
        record = self.store.get(f"https://example.org{path}")
        assert record is not None
        self.store.put(replace(record, verified_at=time.time() - seconds, **changed))

    def site(self, **state: Any) -> None:
        self.store.put_site(SiteState("https://example.org/", **state))


@contextmanager
def worked_on(directory: Path) -> Iterator[None]:
    """As while a daemon runs: it has the tree."""
    tree = Tree(directory / "tree", is_daemon=True)
    tree.open()
    try:
        yield
    finally:
        tree.close()


def known(directory: Path, change: Callable[[Known], None], *arguments: str, **keys: Any) -> Done:
    """What a command says beside a daemon when three pages were rendered, and the store was changed after that."""
    said: list[Done] = []

    async def test(origin: ScriptedOrigin) -> None:
        await staticify(directory, "render", "--all")
        with closing(Store.open_for_writing(directory / "state")) as store:
            change(Known(store))
        with worked_on(directory):
            said.append(await staticify(directory, *arguments))

    scene(directory, test, **keys)
    return said[0]


def test_status_is_1_if_a_page_in_the_tree_is_older_than_its_bound(tmp_path: Path) -> None:
    def change(known: Known) -> None:
        known.age("/a/", 200)

    done = known(tmp_path, change, "status")
    assert (done.status, done.err) == (NOT_GOOD, "")
    assert re.search(r"^https://example.org/a/ +stale +3\.\d min .* ok *$", done.out, re.MULTILINE)
    assert re.search(r"^https://example.org/  2 fresh, 1 stale, oldest 3\.\d min$", done.out, re.MULTILINE)


def test_status_says_that_the_pages_do_not_fit_into_the_interval(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        with closing(Store.open_for_writing(tmp_path / "state")) as store:
            for record in store.of_site("https://example.org/"):
                store.put(replace(record, verified_at=time.time() - 400, render_seconds=200.0))
        said = "\na round over the pages takes 2.5 times the interval: a longer interval, or fewer pages, would keep"
        assert "a round" not in (await staticify(tmp_path, "status")).out
        with worked_on(tmp_path):
            assert said in (await staticify(tmp_path, "status")).out
            assert said in (await staticify(tmp_path, "status", "--problems")).out

    scene(tmp_path, test)


def test_status_says_that_no_daemon_runs(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        with closing(Store.open_for_writing(tmp_path / "state")) as store:
            store.put_site(SiteState("https://example.org/", mode=Mode.JOURNAL, polled_at=time.time() - 300))
            store.put_origin("https://example.org/", OriginState(limit=1, most=4, failures=3))
            for record in store.of_site("https://example.org/"):
                store.put(replace(record, checked_at=time.time() - 400))
        without = await staticify(tmp_path, "status")
        assert re.search(r"oldest .*\nno daemon runs here: last fetch 5\.\d min ago\n\Z", without.out)
        assert as_json(await staticify(tmp_path, "status", "--json"))["is_daemon_running"] is False
        with worked_on(tmp_path):
            beside = await staticify(tmp_path, "status")
            assert "\njournal mode: WordPress is asked each interval what changed\nWordPress is spared" in beside.out
            assert "no daemon" not in beside.out
            assert as_json(await staticify(tmp_path, "status", "--json"))["is_daemon_running"] is True

    scene(tmp_path, test, secrets=SECRET)


def test_status_takes_a_render_under_way_for_no_daemon(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        may_end = asyncio.Event()

        async def wait(exchange: Exchange) -> None:
            await may_end.wait()
            await exchange.send(answer(html("a")))

        origin.pages["/a/"] = wait
        origin.requests.clear()
        render = asyncio.create_task(staticify(tmp_path, "render", "--all"))
        try:
            await until(lambda: "/a/" in origin.paths())
            assert re.search(r"\nno daemon runs here: last fetch .* ago\n\Z", (await staticify(tmp_path, "status")).out)
            assert as_json(await staticify(tmp_path, "status", "--json"))["is_daemon_running"] is False
        finally:
            may_end.set()
            await render

    scene(tmp_path, test)


def test_status_is_1_if_another_hand_took_a_page_away(tmp_path: Path) -> None:
    def change(known: Known) -> None:
        known.age("/a/", 1000)
        (tmp_path / "tree/example.org/a/@staticify/index.html").unlink()

    done = known(tmp_path, change, "status")
    assert (done.status, done.err) == (NOT_GOOD, "")
    assert re.search(r"^https://example.org/a/ +absent ", done.out, re.MULTILINE)
    assert re.search(r"^https://example.org/  2 fresh, 1 absent, oldest \d+\.\d s$", done.out, re.MULTILINE)


def follow(known: Known) -> None:
    """An hour after every page was fetched, the journal was asked ten seconds ago; one page has no label."""
    for path, tags in (("/", ("post:1",)), ("/a/", ("post:2",)), ("/feed/", ())):
        known.age(path, 3600, tags=tags)
    known.site(mode=Mode.JOURNAL, polled_at=time.time() - 10, missed=2)


def lose(known: Known) -> None:
    known.site(mode=Mode.BLIND, reason="the journal answers 404: is the plugin [bold]installed[/bold]?", missed=1)


def test_status_says_how_changes_are_learned_and_how_many_were_missed(tmp_path: Path) -> None:
    done = known(tmp_path, follow, "status", secrets=SECRET)
    assert (done.status, done.err) == (NOT_GOOD, "")
    *pages, site, mode = done.out.splitlines()
    assert [line.split()[:2] for line in pages[1:]] == [
        ["https://example.org/", "fresh"], ["https://example.org/a/", "fresh"], ["https://example.org/feed/", "stale"],
    ]  # fmt: skip
    assert site == "https://example.org/  2 fresh, 1 stale, oldest 1.0 h, 2 changes found by the sweep alone"
    assert mode == "journal mode: WordPress is asked each interval what changed"


PROBED_IN = 25


@pytest.mark.parametrize(
    ("state", "lines"),
    [
        (OriginState(limit=4, most=4), []),
        (OriginState(limit=4, most=4, failures=1), []),
        (
            OriginState(limit=1, most=4, failures=3),
            ["WordPress is spared: 1 of 4 fetches at once, 3 failures in a row"],
        ),
        (
            OriginState(limit=4, most=4, unreachable=("http://127.0.0.1:9",)),
            ["http://127.0.0.1:9 was of no use a short while ago: the other addresses are asked first"],
        ),
        (
            OriginState(
                limit=1, most=4, failures=8, paused_until=PROBED_IN, reason="8 failures in a row, the last: no"
            ),
            [r"WordPress is left alone, and asked again in \d+\.\d s: 8 failures in a row, the last: no"],
        ),
        (
            OriginState(limit=1, most=4, paused_until=-10, reason="8 failures in a row, the last: no"),
            ["WordPress is left alone, and asked with the next page that is due: 8 failures in a row, the last: no"],
        ),
    ],
)
def test_status_says_how_wordpress_bears_it(tmp_path: Path, state: OriginState, lines: list[str]) -> None:
    def note(known: Known) -> None:
        until = time.time() + state.paused_until if state.paused_until else 0.0
        known.store.put_origin("https://example.org/", replace(state, paused_until=until))

    said = known(tmp_path, note, "status").out.splitlines()
    mode = next(number for number, line in enumerate(said) if line.startswith("blind mode"))
    assert len(said) == mode + 1 + len(lines)
    assert all(re.fullmatch(wanted, line) for wanted, line in zip(lines, said[mode + 1 :], strict=True))
    (site,) = json.loads(known(tmp_path, note, "status", "--json").out)["sites"]
    assert (site["origin"]["limit"], site["origin"]["failures"]) == (state.limit, state.failures)


def test_status_says_why_a_site_with_a_secret_is_blind(tmp_path: Path) -> None:
    done = known(tmp_path, lose, "status", secrets=SECRET)
    assert (done.status, done.err) == (GOOD, "")
    *_, site, mode = done.out.splitlines()
    assert re.fullmatch(r"https://example.org/  3 fresh, oldest \d+\.\d s, 1 change found by the sweep alone", site)
    assert mode == (
        "blind mode: every page is fetched each interval "
        "(the journal answers 404: is the plugin [bold]installed[/bold]?)"
    )


def test_status_as_json_has_mode_reason_and_missed_changes(tmp_path: Path) -> None:
    done = known(tmp_path, follow, "status", "--json", secrets=SECRET)
    document = json.loads(done.out)
    (site,) = document["sites"]
    assert (done.status, done.err) == (NOT_GOOD, "")
    assert site == {
        "url": "https://example.org/", "mode": "journal", "reason": "", "missed": 2,
        "fresh": 2, "stale": 1, "absent": 0, "oldest_seconds": site["oldest_seconds"],
        "asked_at": site["asked_at"], "origin": None,
    }  # fmt: skip
    assert 3600 <= site["oldest_seconds"] < 3700
    assert [page["state"] for page in document["pages"]] == ["fresh", "fresh", "stale"]
    assert all(10 <= page["age_seconds"] < 40 for page in document["pages"][:2])


def test_status_as_json_says_why_a_site_is_blind(tmp_path: Path) -> None:
    (site,) = json.loads(known(tmp_path, lose, "status", "--json", secrets=SECRET).out)["sites"]
    assert {name: site[name] for name in ("mode", "reason", "missed")} == {
        "mode": "blind",
        "reason": "the journal answers 404: is the plugin [bold]installed[/bold]?",
        "missed": 1,
    }


def on_terminal(directory: Path, *arguments: str, columns: int) -> tuple[int, str]:
    """Run a command on a terminal of its own; its exit status, and what the terminal got, without colours."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "staticify.cli", *arguments],
        cwd=directory, stdin=child, stdout=child, stderr=child, env=environment | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(child)
    said = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:
            # Linux says EIO when the last process has closed its end.
            break
        said += piece
    os.close(parent)
    return process.wait(30), re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode()).replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [80, 160])
def test_on_a_terminal_nothing_is_wider_than_it(tmp_path: Path, columns: int) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        path = "/2024/05/a-reader-from-osaka-rewrites-the-first-ten-thousand-boards/"
        origin.pages |= {path: html(), "/absent/": answer(b"", 404)}
        write_config(tmp_path, site_toml(origin.address, pages=["/", path, "/absent/"]))
        status, said = await asyncio.to_thread(on_terminal, tmp_path, "render", "--all", columns=columns)
        assert status == NOT_GOOD
        assert "gone: WordPress answers 404\n  https://example.org/absent/\n3 pages in " in said
        assert "2 published, 0 unchanged, 0 kept, 0 refused, 1 gone" in said
        status, said = await asyncio.to_thread(on_terminal, tmp_path, "status", columns=columns)
        assert status == GOOD
        assert max(len(line) for line in said.splitlines()) <= columns
        # The site's address is said once, below; nothing of a page's path is lost.
        assert said.count("https://example.org/") == 2
        folded = "".join(line.split()[0] for line in said.splitlines()[2:] if not line.startswith("/absent"))
        assert path in said if columns == 160 else folded.startswith(path[:20])
        status, said = await asyncio.to_thread(on_terminal, tmp_path, "explain", path, columns=columns)
        assert status == GOOD
        assert max(len(line) for line in said.splitlines()) <= columns
        status, said = await asyncio.to_thread(on_terminal, tmp_path, "verify", columns=columns)
        assert (status, said.splitlines()[-1]) == (GOOD, "3 pages: the tree says what the origin says")

    scene(tmp_path, test)


@pytest.mark.parametrize("columns", [60, 80])
def test_on_a_narrow_terminal_count_and_time_of_a_pass_are_whole(tmp_path: Path, columns: int) -> None:
    paths = [f"/2024/05/a-reader-from-osaka-rewrites-the-first-ten-thousand-boards-{number}/" for number in range(12)]

    async def test(origin: ScriptedOrigin) -> None:
        async def late(exchange: Exchange) -> None:
            await asyncio.sleep(0.5)
            await exchange.send(answer(html()))

        origin.pages |= dict.fromkeys(paths, late)
        write_config(tmp_path, site_toml(origin.address, pages=paths))
        status, said = await asyncio.to_thread(on_terminal, tmp_path, "render", "--all", columns=columns)
        assert status == GOOD
        shown = [line.rstrip() for line in re.split(r"[\r\n]+", said) if line.startswith("rendering ")]
        assert any(re.fullmatch(r"rendering [━╸╺ ]+ +[1-9]\d?/12 +0:00:0\d …\S*boards-\d+/", line) for line in shown), (
            shown
        )
        assert max(map(len, shown)) <= columns

    scene(tmp_path, test)


@pytest.mark.parametrize(
    ("columns", "heads"),
    [
        (40, "page state age"),
        (50, "page state age verdict"),
        (60, "page state age changed verdict"),
        (80, "page state age changed size render verdict"),
    ],
)
def test_status_on_a_narrow_terminal_has_fewer_columns(tmp_path: Path, columns: int, heads: str) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        path = "/2024/05/a-reader-from-osaka-rewrites-the-first-ten-thousand-boards/"
        origin.pages |= {path: html()}
        write_config(tmp_path, site_toml(origin.address, pages=["/", path, "/never/"]))
        await staticify(tmp_path, "render", "/", path)
        status, said = await asyncio.to_thread(on_terminal, tmp_path, "status", columns=columns)
        lines = said.splitlines()
        assert status == GOOD
        assert max(len(line) for line in lines) <= columns
        assert lines[0].split() == heads.split()
        # Nothing of a page's name is lost: what is folded stands below.
        assert path in "".join(line.split()[0] for line in lines[2:-1])
        assert "…" not in said
        assert len(lines) <= 10

    scene(tmp_path, test)


SAYING = ("status", "status --json", "explain /", "check", "check --json", "verify /", "render /", "--help")


@pytest.mark.parametrize("command", SAYING)
def test_an_output_that_cannot_be_written_is_one_clear_line(tmp_path: Path, command: str) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        await staticify(tmp_path, "render", "--all")
        for redirection, reason in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
            process = await asyncio.create_subprocess_shell(
                f"{sys.executable} -W error -m staticify.cli {command} {redirection}",
                cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert await process.communicate() == (
                b"", f"staticify: standard output cannot be written: {reason}\n".encode(),
            )  # fmt: skip
            assert process.returncode == NOT_GOOD

    scene(tmp_path, test)


def test_what_a_character_set_lacks_is_spelled_out(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        origin.pages["/%C3%A4/"] = answer(html(), X_Robots_Tag="ü")
        for arguments in (("render", "/ä/"), ("explain", "/ä/"), ("status",), ("verify", "/ä/")):
            done = await staticify(tmp_path, *arguments, PYTHONIOENCODING="ascii")
            assert (done.status, done.err) == (GOOD, "")
        said = (await staticify(tmp_path, "explain", "/ä/", PYTHONIOENCODING="ascii")).out
        assert re.search(r"^  x-robots-tag +\\xfc$", said, re.MULTILINE)

    scene(tmp_path, test)


@pytest.mark.parametrize("redirection", [">&- 2>&-", ">/dev/full 2>/dev/full", "2>&- >/dev/full"])
def test_where_nobody_can_be_told_the_exit_status_is_right(tmp_path: Path, redirection: str) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        for command in ("render --all", "status"):
            line = f"{sys.executable} -W error -m staticify.cli {command} {redirection}"
            process = await asyncio.create_subprocess_shell(line, cwd=tmp_path)
            assert await process.wait() == NOT_GOOD
        # The pass was not stopped by it.
        assert len(list((tmp_path / "tree").rglob("index.html"))) == 2

    scene(tmp_path, test)


def test_a_defect_is_not_taken_for_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    code = (
        "from staticify import cli, config\n"
        "def load(path): raise OSError(28, 'No space left on device')\n"
        "config.load = load\n"
        "cli.run_process()"
    )
    (tmp_path / "staticify.toml").touch()
    done = subprocess.run(
        [sys.executable, "-c", code, "check"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == NOT_GOOD
    assert "Traceback" in done.stderr
    assert "standard output" not in done.stderr


def test_a_daemon_that_dies_of_a_url_has_not_the_status_of_a_wrong_configuration(tmp_path: Path) -> None:
    """With that one, nobody starts it again."""
    code = (
        "from staticify import cli, daemon\n"
        "from staticify.errors import UrlError\n"
        "async def run(self): raise UrlError('nonsense')\n"
        "daemon.Daemon.run = run\n"
        "cli.run_process()"
    )
    write_config(tmp_path, site_toml("http://127.0.0.1:1", pages=["/"]))
    done = subprocess.run(
        [sys.executable, "-c", code, "run"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        NOT_GOOD,
        "staticify: the daemon died: nonsense. This is a defect: please report it\n",
    )


def test_a_reader_that_leaves_does_not_stop_the_pass(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin) -> None:
        origin.pages |= {f"/{number}/": html() for number in range(30)}
        write_config(tmp_path, site_toml(origin.address, pages=[f"/{number}/" for number in range(30)]))
        process = await asyncio.create_subprocess_shell(
            f"{sys.executable} -m staticify.cli render --all | head -n 1",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert out.count(b"\n") == 1
        assert err == b""
        assert len(list((tmp_path / "tree").rglob("index.html"))) == 30

    scene(tmp_path, test)


def test_an_interrupted_pass_ends_at_once_and_cleanly(tmp_path: Path) -> None:
    async def hang(exchange: Exchange) -> None:
        await asyncio.sleep(60)

    async def test(origin: ScriptedOrigin) -> None:
        origin.pages["/a/"] = hang
        # Where the tests run in a shell's background the signal is ignored, and whoever they start inherits that.
        inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-W", "error", "-m", "staticify.cli", "render", "--all",
                cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        finally:
            signal.signal(signal.SIGINT, inherited)
        await until(lambda: "/a/" in origin.paths())
        await until(lambda: len(list((tmp_path / "tree").rglob("index.html"))) == 1)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 5)
        assert process.returncode == 130
        assert b"Traceback" not in err
        assert b"Unclosed" not in err

    scene(tmp_path, test)
