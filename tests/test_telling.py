"""What `staticify purge` says to the daemon: signed, once for each site, and what becomes of every answer."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from command import Done, daemon, staticify
from scripted_journal import SECRET, ScriptedJournal
from scripted_origin import Exchange, Script, ScriptedOrigin, answer
from stage import site_toml, until, write_config

from staticify.brief import brief
from staticify.signature import check, parse_secret

GOOD, NOT_GOOD, USAGE = 0, 1, 2
TOLD = Done(GOOD, "told: 1 page\n", "")
OTHER = "whsec_" + "b3RoZXIu" * 6
SITE = "https://example.org/"
BLOG = "https://blog.example/"
STRANGER_HINT = "End the process that listens there, or choose another [webhook] listen"


@dataclass
class Listening:
    """A daemon's webhook, as far as `purge` can tell."""

    server: ScriptedOrigin
    secret: str = SECRET
    answer: bytes = field(default_factory=lambda: answer(b'{"status": "accepted", "pages": 1}', 202))
    heard: list[tuple[str, str]] = field(default_factory=list)
    """Path and type of every message with a good signature."""
    data: list[dict[str, Any]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.server.pages["/purge"] = self._hear

    async def _hear(self, exchange: Exchange) -> None:
        assert exchange.headers["content-type"] == "application/json"
        self.ids.add(check([parse_secret(self.secret)], exchange.headers, exchange.body, time.time()))
        message = json.loads(exchange.body)
        assert message.keys() == {"type", "timestamp", "data"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|\+00:00)", message["timestamp"])
        self.heard.append((exchange.path, message["type"]))
        self.data.append(message["data"])
        await exchange.send(self.answer)


Test = Callable[[Listening], Awaitable[None]]


def scene(directory: Path, test: Test, *sites: str, listen: str = "") -> None:
    """A configuration in the directory, and a daemon that listens where it says."""

    async def main() -> None:
        server = ScriptedOrigin()
        async with server.running(**({"path": listen} if listen else {})):
            table = f'[webhook]\nlisten = "{server.address}"\n'
            write_config(directory, table, *(sites or (site_toml("http://127.0.0.1:1", secrets=SECRET),)))
            await test(Listening(server))

    asyncio.run(main())


def order(site: str = SITE, **given: Any) -> dict[str, Any]:
    return {"site": site, "urls": [], "tags": [], "all": False, **given}


# --- What is sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (["/a/"], order(urls=["https://example.org/a/"])),
        (
            ["/a/", "https://EXAMPLE.org:443/caf%c3%a9/#top"],
            order(urls=["https://example.org/a/", "https://example.org/caf%C3%A9/"]),
        ),
        (["--tag", "post:12"], order(tags=["post:12"])),
        (["--tag", "post:12", "--tag", "list:post/term:5"], order(tags=["post:12", "list:post/term:5"])),
        (["--all"], order(all=True)),
        (["--all", "--site", "https://example.org"], order(all=True)),
        (["--tag", "site", "--site", SITE], order(tags=["site"])),
    ],
    ids=str,
)
def test_one_signed_message_says_what_was_given(tmp_path: Path, arguments: list[str], sent: dict[str, Any]) -> None:
    async def test(listening: Listening) -> None:
        assert await staticify(tmp_path, "purge", *arguments) == TOLD
        assert listening.heard == [("/purge", "purge")]
        assert listening.data == [sent]

    scene(tmp_path, test)


def test_urls_of_several_sites_are_told_to_each(tmp_path: Path) -> None:
    async def test(listening: Listening) -> None:
        urls = (f"{BLOG}x/", f"{SITE}a/", f"{BLOG}y/")
        assert await staticify(tmp_path, "purge", *urls) == Done(GOOD, "told: 2 pages\n", "")
        assert listening.data == [order(BLOG, urls=[urls[0], urls[2]]), order(urls=[urls[1]])]
        assert await staticify(tmp_path, "purge", "--all", "--site", BLOG) == TOLD
        assert listening.data[2:] == [order(BLOG, all=True)]

    scene(
        tmp_path,
        test,
        site_toml("http://127.0.0.1:1", secrets=SECRET),
        site_toml("http://127.0.0.1:1", url=BLOG, secrets=SECRET),
    )


@pytest.mark.parametrize(("count", "status"), [(3, GOOD), (0, NOT_GOOD)])
def test_how_many_pages_as_json(tmp_path: Path, count: int, status: int) -> None:
    async def test(listening: Listening) -> None:
        listening.answer = answer(json.dumps({"status": "accepted", "pages": count}), 202)
        done = await staticify(tmp_path, "purge", "--all", "--json")
        assert (done.status, json.loads(done.out), done.err) == (status, {"pages": count}, "")

    scene(tmp_path, test)


@pytest.mark.parametrize(
    "content", [b'{"status": "accepted"}', b"[1]", b"well done", b'{"pages": Infinity}', b"[" * 4000]
)
def test_a_daemon_that_does_not_say_how_many_pages_is_not_understood(tmp_path: Path, content: bytes) -> None:
    async def test(listening: Listening) -> None:
        listening.answer = answer(content, 202)
        done = await staticify(tmp_path, "purge", "/a/")
        assert (done.status, done.out) == (NOT_GOOD, "")
        assert f"the daemon's answer is not understood: {brief(content.decode(), 100)}" in done.err

    scene(tmp_path, test)


def test_while_secrets_rotate_the_daemon_may_know_either(tmp_path: Path) -> None:
    async def test(listening: Listening) -> None:
        for secret in (OTHER, SECRET):
            listening.secret = secret
            assert await staticify(tmp_path, "purge", "/a/") == TOLD

    scene(tmp_path, test, site_toml("http://127.0.0.1:1", secrets=[OTHER, SECRET]))


def test_every_message_has_an_id_of_its_own(tmp_path: Path) -> None:
    async def test(listening: Listening) -> None:
        for _ in range(3):
            assert await staticify(tmp_path, "purge", "/a/") == TOLD
        assert len(listening.ids) == 3

    scene(tmp_path, test)


def test_a_daemon_that_listens_on_a_socket_is_told_there(tmp_path: Path) -> None:
    async def test(listening: Listening) -> None:
        assert await staticify(tmp_path, "purge", "--all") == TOLD
        assert listening.data == [order(all=True)]

    scene(tmp_path, test, listen=str(tmp_path / "webhook.sock"))


def test_a_proxy_of_the_environment_is_not_asked(tmp_path: Path) -> None:
    async def test(listening: Listening) -> None:
        proxies = {"http_proxy": "http://127.0.0.1:1", "no_proxy": "", "NO_PROXY": ""}
        assert await staticify(tmp_path, "purge", "/a/", **proxies) == TOLD

    scene(tmp_path, test)


# --- What goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (
            answer(b'{"status": "refused", "name": "forged", "reason": "no secret"}', 401),
            "the daemon refuses: 401 no secret. Does it run with this configuration?",
        ),
        (
            answer(b'{"status": "refused", "reason": "' + b"x" * 1000 + b'"}', 429),
            "the daemon refuses: 429 " + "x" * 1000,
        ),
        (answer(b'{"status": "failed"}', 500), "the daemon refuses: 500 failed"),
        # Somebody else has the port.
        (answer(b"x" * 1000, 500), f"500 {brief('x' * 1000, 100)}. {STRANGER_HINT}"),
        (answer(b"\x1b[2J\r\nnot for this", 404), f"404 \\x1b[2J. {STRANGER_HINT}"),
        (answer(b"hello", 200), f"200 hello. {STRANGER_HINT}"),
        (answer(b'["hello"]', 403), f'403 ["hello"]. {STRANGER_HINT}'),
        (answer(b'{"status": 404, "error": "no"}', 404), f'404 {{"status": 404, "error": "no"}}. {STRANGER_HINT}'),
        (answer(b"[" * 4000, 404), f"404 {brief('[' * 4000, 100)}. {STRANGER_HINT}"),
        (answer(b"", 302, Location="http://127.0.0.1:1/"), f"302. {STRANGER_HINT}"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_refusal_is_said_with_its_reason(tmp_path: Path, refusal: bytes, said: str) -> None:
    async def test(listening: Listening) -> None:
        listening.answer = refusal
        done = await staticify(tmp_path, "purge", "/a/")
        assert (done.status, done.out) == (NOT_GOOD, "")
        stranger = f"what answers at {listening.server.address} is no staticify: "
        assert done.err == f"staticify: {'' if said.startswith('the') else stranger}{said}\n"
        assert SECRET not in done.err
        assert len(listening.data) == 1

    scene(tmp_path, test)


def test_the_first_site_that_is_refused_ends_it(tmp_path: Path) -> None:
    async def test(listening: Listening) -> None:
        listening.answer = answer(b'{"status": "no"}', 429)
        done = await staticify(tmp_path, "purge", f"{SITE}a/", f"{BLOG}a/")
        assert done == Done(NOT_GOOD, "", "staticify: the daemon refuses: 429 no\n")
        assert [data["site"] for data in listening.data] == [SITE]

    scene(
        tmp_path,
        test,
        site_toml("http://127.0.0.1:1", secrets=SECRET),
        site_toml("http://127.0.0.1:1", url=BLOG, secrets=SECRET),
    )


async def hang_up(exchange: Exchange) -> None:
    exchange.writer.close()


async def hang(exchange: Exchange) -> None:
    await asyncio.sleep(60)


async def trickle(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 202 Accepted\r\n")
    while True:
        await exchange.send(b"X-Wait: a little\r\n")
        await asyncio.sleep(0.3)


def test_a_daemon_that_hangs_up_is_not_there(tmp_path: Path) -> None:
    async def test(listening: Listening) -> None:
        listening.server.pages["/purge"] = hang_up
        done = await staticify(tmp_path, "purge", "/a/")
        where = re.escape(listening.server.address)
        assert (done.status, done.out) == (NOT_GOOD, "")
        assert re.fullmatch(rf"staticify: nobody answers at {where}: .+\. Is `staticify run` running\?\n", done.err)

    scene(tmp_path, test)


@pytest.mark.parametrize("script", [hang, trickle])
@pytest.mark.alone
def test_a_daemon_that_takes_its_time_is_waited_for_five_seconds_in_all(tmp_path: Path, script: Script) -> None:
    async def test(listening: Listening) -> None:
        listening.server.pages["/purge"] = script
        started = time.monotonic()
        done = await staticify(tmp_path, "purge", "/a/")
        assert 5 <= time.monotonic() - started < 10
        said = f"{listening.server.address} does not answer within 5 s. Is `staticify run` running?"
        assert done == Done(NOT_GOOD, "", f"staticify: {said}\n")

    scene(tmp_path, test)


def test_a_socket_that_a_killed_daemon_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "webhook.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    write_config(tmp_path, f'[webhook]\nlisten = "unix:{path}"\n', site_toml("http://127.0.0.1:1", secrets=SECRET))
    done = asyncio.run(staticify(tmp_path, "purge", "--all"))
    assert (done.status, done.out) == (NOT_GOOD, "")
    assert done.err == f"staticify: nobody answers at unix:{path}. Is `staticify run` running?\n"


@pytest.mark.parametrize(
    "listen", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "unix:/nowhere/webhook.sock"]
)
def test_where_nobody_listens(tmp_path: Path, listen: str) -> None:
    table = f'[webhook]\nlisten = "{listen}"\n'
    write_config(tmp_path, table, site_toml("http://127.0.0.1:1", secrets=SECRET))
    done = asyncio.run(staticify(tmp_path, "purge", "--all"))
    assert (done.status, done.out) == (NOT_GOOD, "")
    assert done.err == f"staticify: nobody answers at {listen}. Is `staticify run` running?\n"


LISTENING = '[webhook]\nlisten = "http://127.0.0.1:1"\n'


@pytest.mark.parametrize(
    ("tables", "missing"),
    [
        ((site_toml("http://127.0.0.1:1", secrets=SECRET),), "[webhook] listen"),
        ((site_toml("http://127.0.0.1:1"),), "[webhook] listen"),
        ((LISTENING, site_toml("http://127.0.0.1:1")), "`secrets` of https://example.org/"),
    ],
)
def test_without_a_listener_or_a_secret_it_says_what_is_missing(
    tmp_path: Path, tables: tuple[str, ...], missing: str
) -> None:
    write_config(tmp_path, *tables)
    for arguments in (["/a/"], ["--tag", "post:1"], ["--all"]):
        assert asyncio.run(staticify(tmp_path, "purge", *arguments)) == Done(
            USAGE,
            "",
            "staticify: staticify.toml: 1 fault\n"
            f"  the daemon can only be told with {missing}. "
            "Until then: a page is fetched anew each interval by itself\n",
        )


ONE_KIND = "Error: give either URLs, --tag or --all"
SITES = f"Error: give --site with one of: {SITE}, {BLOG}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ONE_KIND),
        (["/a/", "--all"], ONE_KIND),
        (["/a/", "--tag", "post:1"], ONE_KIND),
        (["--tag", "post:1", "--all"], ONE_KIND),
        (["/a/", "--tag", "post:1", "--all"], ONE_KIND),
        (["--site", SITE], ONE_KIND),
        (["--all"], SITES),
        (["--tag", "post:1"], SITES),
        (["--all", "--site", "https://other.example/"], SITES),
        (["--site", SITE, f"{SITE}a/"], "Error: --site is for --tag and --all; a URL says of which site it is"),
        (["--tag", "post 1", "--site", SITE], "Error: 'post 1' is no tag; a tag has no white space, like post:12"),
        (["--tag", "", "--site", SITE], "Error: '' is no tag; a tag has no white space, like post:12"),
        (["--tag"], "Error: Option '--tag' requires an argument."),
        (
            ["/a/"],
            "staticify: '/a/' could be on any of 2 sites. Give the whole URL",
        ),
        (
            ["https://other.example/"],
            f"staticify: https://other.example/ is on no configured site. Configured are: {SITE}, {BLOG}",
        ),
        (
            [f"{SITE}a/?page=2"],
            "staticify: 'https://example.org/a/?page=2' has a query string; a page is a path alone",
        ),
    ],
    ids=str,
)
def test_wrong_usage_is_2_and_nobody_is_told(tmp_path: Path, arguments: list[str], said: str) -> None:
    async def test(listening: Listening) -> None:
        done = await staticify(tmp_path, "purge", *arguments)
        assert (done.status, done.out, done.err.splitlines()[-1]) == (USAGE, "", said)
        assert listening.server.requests == []

    scene(
        tmp_path,
        test,
        site_toml("http://127.0.0.1:1", secrets=SECRET),
        site_toml("http://127.0.0.1:1", url=BLOG, secrets=SECRET),
    )


# --- The daemon itself -----------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def quiet(origin: ScriptedOrigin) -> None:
    """Wait until the daemon has done what it does when it starts."""
    count = -1
    while count < len(origin.requests):
        count = len(origin.requests)
        await asyncio.sleep(0.7)


def test_a_running_daemon_renders_what_it_is_told_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin().running() as origin:
            journal = ScriptedJournal(origin)
            paths = ("/", "/a/", "/b/")
            for path in paths:
                journal.page(path, f"first {path}", f"post:{path}")
            table = f'[webhook]\nlisten = "http://127.0.0.1:{free_port()}"\n'
            site = site_toml(origin.address, pages=[*paths], secrets=SECRET, interval="1h")
            write_config(tmp_path, table, site)

            def text(path: str) -> str:
                file = tmp_path / f"tree/example.org{path}@staticify/index.html"
                return file.read_text() if file.exists() else ""

            def pages_asked() -> list[str]:
                return [path for path in origin.paths() if path in paths]

            async with daemon(tmp_path) as running:
                await running.logged("journal mode")
                await running.logged("listening for webhooks")
                await until(lambda: all(f"first {path}" in text(path) for path in paths))
                await quiet(origin)
                for path in paths:
                    journal.page(path, f"second {path}", f"post:{path}")
                before = len(pages_asked())

                assert await staticify(tmp_path, "purge", "/a/") == TOLD
                await until(lambda: "second /a/" in text("/a/"))
                assert pages_asked()[before:] == ["/a/"]
                assert await staticify(tmp_path, "purge", "--tag", "post:/b/") == TOLD
                await until(lambda: "second /b/" in text("/b/"))
                assert pages_asked()[before:] == ["/a/", "/b/"]
                assert await staticify(tmp_path, "purge", "--all") == Done(GOOD, "told: 3 pages\n", "")
                await until(lambda: "second /" in text("/"))
                await running.logged("purge", count=3)
                nowhere = await staticify(tmp_path, "purge", "/nowhere/")
                assert nowhere == Done(NOT_GOOD, "told: 0 pages: no page of the site is called so\n", "")
                untagged = await staticify(tmp_path, "purge", "--tag", "post:99999999")
                assert untagged == Done(NOT_GOOD, "told: 0 pages: no page of the site has this tag\n", "")
                assert await running.stop() == 0
                assert sorted(pages_asked()[before + 2 :]) == ["/", "/a/", "/b/"]

    asyncio.run(main())


def test_a_running_daemon_believes_no_other_secret(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin().running() as origin:
            journal = ScriptedJournal(origin)
            journal.page("/", "home", "post:1")
            table = f'[webhook]\nlisten = "http://127.0.0.1:{free_port()}"\n'
            write_config(tmp_path, table, site_toml(origin.address, pages=["/"], secrets=SECRET, interval="1h"))
            other = tmp_path / "other"
            other.mkdir()
            write_config(other, table, site_toml(origin.address, pages=["/"], secrets=OTHER, interval="1h"))
            async with daemon(tmp_path) as running:
                await running.logged("listening for webhooks")
                await running.logged("published")
                done = await staticify(other, "purge", "/")
                assert (done.status, done.out) == (NOT_GOOD, "")
                assert done.err.startswith("staticify: the daemon refuses: 401 ")
                assert done.err.endswith(". Does it run with this configuration?\n")
                assert running.lines("purge") == []

    asyncio.run(main())


# --- Where a load balancer says who asks ---


REFUSED = "our own address is none of [webhook] proxy_protocol_from"


@pytest.mark.parametrize(("balancer", "said"), [("127.0.0.1", "told: 1 page"), ("127.0.0.2", REFUSED)])
def test_behind_a_load_balancer_purge_speaks_as_one(tmp_path: Path, balancer: str, said: str) -> None:
    async def main() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        table = f'[webhook]\nlisten = "http://127.0.0.1:{port}"\nproxy_protocol_from = "{balancer}"\n'
        write_config(tmp_path, table, site_toml("http://127.0.0.1:1", pages=["/a/"], secrets=SECRET))
        async with daemon(tmp_path) as running:
            await running.logged("listening for webhooks")
            done = await staticify(tmp_path, "purge", "/a/")
            assert await running.stop() == 0
        assert done.status == (GOOD if said.startswith("told") else NOT_GOOD)
        assert said in " ".join(f"{done.out} {done.err}".split())

    asyncio.run(main())
