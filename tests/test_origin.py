"""The origin client against a server that misbehaves on command: each failure is bounded and has its name."""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
import socket
import ssl
import struct
import time
import tracemalloc
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import brotli
import pytest
from authority import Authority
from scripted_origin import Exchange, Script, ScriptedOrigin, answer, html
from stage import site_of, until

from staticify import __version__
from staticify.errors import (
    AnswerIncomplete,
    AnswerMalformed,
    AnswerTooLarge,
    OriginError,
    OriginPaused,
    OriginTimeout,
    OriginUnreachable,
)
from staticify.guard import FAILURES_IN_A_ROW, GOOD_IN_A_ROW
from staticify.nouns import Answer
from staticify.origin import (
    CRUMB_BYTES,
    LARGE_BYTES,
    MAX_DROPPED_BYTES,
    MAX_LARGE_BODIES,
    MAX_MEMBERS,
    PIECE_BYTES,
    Body,
    OriginClient,
    decoder_of,
    packed_limit,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def client_of(origin: str | list[str], **keys: Any) -> AsyncIterator[OriginClient]:
    client = OriginClient(site_of(origin, **keys))
    try:
        yield client
    finally:
        await client.aclose()


def fetch(script: bytes | str | Script, *, tls: ssl.SSLContext | None = None, **keys: Any) -> Answer:
    """One fetch of a page that is answered so."""

    async def run() -> Answer:
        async with (
            ScriptedOrigin(pages={"/": script}, tls=tls).running() as origin,
            client_of(origin.address, **keys) as client,
        ):
            return await client.fetch("/")

    return asyncio.run(run())


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    asyncio.run(main())


def unused_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def sends(*pieces: bytes, then: float = 0.0) -> Script:
    """A script that sends the pieces, waits, and closes."""

    async def script(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.send(piece)
        await asyncio.sleep(then)

    return script


# --- What is asked ---------------------------------------------------------------------------------------------------


def test_the_request_is_that_of_a_stranger_to_the_public_site() -> None:
    async def test() -> None:
        async with ScriptedOrigin(pages={"/a%20b/": html()}).running() as origin:
            async with client_of(origin.address) as client:
                await client.fetch("/a%20b/")
            assert [exchange.path for exchange in origin.requests] == ["/a%20b/"]
            assert origin.requests[0].headers == {
                "host": "example.org",
                "user-agent": f"staticify/{__version__} (shared cache)",
                "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                "accept-encoding": "identity",
                "x-forwarded-proto": "https",
                "x-forwarded-host": "example.org",
            }

    run(test)


def test_a_port_of_the_public_site_is_part_of_its_host() -> None:
    async def test() -> None:
        async with ScriptedOrigin(pages={"/": html()}).running() as origin:
            async with client_of(origin.address, url="http://example.org:8080/") as client:
                await client.fetch("/")
            assert origin.requests[0].headers["host"] == "example.org:8080"
            assert origin.requests[0].headers["x-forwarded-proto"] == "http"

    run(test)


def test_cookies_are_never_sent_back() -> None:
    async def test() -> None:
        cookies = ("wordpress_logged_in_1=admin; Path=/", "PHPSESSID=1; Path=/; HttpOnly")
        lines = "".join(f"Set-Cookie: {cookie}\r\n" for cookie in cookies).encode()
        page = b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 2\r\n\r\nhi"
        async with ScriptedOrigin(pages={"/": page}).running() as origin, client_of(origin.address) as client:
            for _ in range(3):
                answered = await client.fetch("/")
                assert answered.header_values("set-cookie") == list(cookies)
            assert [exchange.headers.get("cookie") for exchange in origin.requests] == [None] * 3

    run(test)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    async def test() -> None:
        moved = answer(b"", status, Location="/elsewhere/")
        async with ScriptedOrigin(pages={"/": moved}).running() as origin, client_of(origin.address) as client:
            answered = await client.fetch("/")
            assert (answered.status, answered.header("location")) == (status, "/elsewhere/")
            assert origin.paths() == ["/"]

    run(test)


# --- Where it is asked -----------------------------------------------------------------------------------------------


def test_a_unix_socket(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": "over a socket"}).running(path=str(tmp_path / "web.sock")) as origin,
            client_of(origin.address) as client,
        ):
            answered = await client.fetch("/")
            assert (answered.body, answered.origin) == (b"over a socket", origin.address)
            assert origin.requests[0].headers["host"] == "example.org"

    run(test)


def test_an_ipv6_address() -> None:
    async def test() -> None:
        try:
            async with (
                ScriptedOrigin(pages={"/": "over IPv6"}).running(host="::1") as origin,
                client_of(origin.address) as client,
            ):
                assert (await client.fetch("/")).body == b"over IPv6"
        except OSError:
            pytest.skip("this machine has no ::1")

    run(test)


def test_the_second_address_is_used_while_the_first_refuses() -> None:
    async def test() -> None:
        refusing = f"http://127.0.0.1:{unused_port()}"
        async with (
            ScriptedOrigin(pages={"/": "second"}).running() as origin,
            client_of([refusing, origin.address]) as client,
        ):
            answered = await client.fetch("/")
            assert (answered.body, answered.origin) == (b"second", origin.address)

    run(test)


@contextmanager
def silent_address() -> Iterator[str]:
    """A machine that is gone sends no refusal: here, a listener whose queue of connections is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_the_second_address_is_used_while_the_first_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticify.origin.CONNECT_SECONDS", 0.3)

    async def test() -> None:
        with silent_address() as silent:
            async with (
                ScriptedOrigin(pages={"/": "second"}).running() as origin,
                client_of([silent, origin.address]) as client,
            ):
                answered = await client.fetch("/")
                assert (answered.body, answered.origin) == (b"second", origin.address)

    run(test)


def test_every_address_gets_its_turn_within_the_deadline() -> None:
    async def test() -> None:
        with silent_address() as silent:
            async with (
                ScriptedOrigin(pages={"/": "second"}).running() as origin,
                client_of([silent, origin.address], deadline="1s") as client,
            ):
                assert (await client.fetch("/")).body == b"second"

    run(test)


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.getMessage(), record.__dict__["origin"]) for record in caplog.records]


LAST = "an origin address is of no use; the others are asked first"
BACK = "an origin address answers again"


@pytest.mark.alone
def test_an_address_that_says_nothing_costs_one_fetch_and_not_each(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("staticify.origin.CONNECT_SECONDS", 0.3)

    async def test() -> None:
        with silent_address() as silent:
            async with (
                ScriptedOrigin(pages={"/": "second"}).running() as origin,
                client_of([silent, origin.address]) as client,
            ):
                await asyncio.gather(*(client.fetch("/") for _ in range(4)))
                started = time.monotonic()
                for _ in range(20):
                    assert (await client.fetch("/")).origin == origin.address
                assert time.monotonic() - started < 0.3
                assert said(caplog) == [(LAST, silent)]

    run(test)


@asynccontextmanager
async def beside_one_that_is_away() -> AsyncIterator[tuple[OriginClient, str]]:
    """A client of two addresses, and the first of them, where nobody listens yet."""
    first = f"http://127.0.0.1:{unused_port()}"
    async with (
        ScriptedOrigin(pages={"/": "second"}).running() as second,
        client_of([first, second.address]) as client,
    ):
        yield client, first


def test_an_address_that_is_back_is_the_first_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("staticify.addresses.UNREACHABLE_SECONDS", 0.2)
    caplog.set_level(logging.INFO)

    async def test() -> None:
        async with beside_one_that_is_away() as (client, first):
            for _ in range(3):  # Asked again in between, it is still not there: nothing more is said.
                assert (await client.fetch("/")).body == b"second"
                await asyncio.sleep(0.25)
            async with ScriptedOrigin(pages={"/": "first"}).running(port=first.rpartition(":")[2]):
                await asyncio.sleep(0.25)
                for _ in range(2):
                    assert (await client.fetch("/")).body == b"first"
            assert said(caplog) == [(LAST, first), (BACK, first)]

    run(test)


@pytest.mark.alone
def test_one_fetch_alone_finds_out_whether_the_address_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticify.origin.CONNECT_SECONDS", 0.5)
    monkeypatch.setattr("staticify.addresses.UNREACHABLE_SECONDS", 0.6)

    async def test() -> None:
        with silent_address() as silent:
            async with (
                ScriptedOrigin(pages={"/": "second"}).running() as origin,
                client_of([silent, origin.address], concurrency=4) as client,
            ):
                await client.fetch("/")
                await asyncio.sleep(0.7)
                seconds = sorted([one.seconds for one in await asyncio.gather(*(client.fetch("/") for _ in range(4)))])
                assert seconds[2] < 0.3
                assert seconds[3] > 0.3

    run(test)


def test_when_no_address_was_there_all_are_asked_in_order() -> None:
    async def test() -> None:
        port = unused_port()
        addresses = [f"http://127.0.0.1:{unused_port()}", f"http://127.0.0.1:{port}"]
        async with client_of(addresses) as client:
            with pytest.raises(OriginUnreachable):
                await client.fetch("/")
            with pytest.raises(OriginUnreachable) as raised:
                await client.fetch("/")
            assert str(raised.value).index(addresses[0]) < str(raised.value).index(addresses[1])
            async with ScriptedOrigin(pages={"/": "second"}).running(port=str(port)):
                assert (await client.fetch("/")).body == b"second"

    run(test)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_whose_php_is_dead_is_asked_after_the_others(caplog: pytest.LogCaptureFixture, status: int) -> None:
    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": answer(b"", status)}).running() as first,
            ScriptedOrigin(pages={"/": "second"}).running() as second,
            client_of([first.address, second.address]) as client,
        ):
            assert [(await client.fetch("/")).status for _ in range(4)] == [200] * 4
            assert (len(first.requests), len(second.requests)) == (1, 4)
            assert client.state.unreachable == (first.address,)
            assert client.guard.failures == 0
        assert said(caplog) == [(LAST, first.address)]

    run(test)


def test_a_page_that_is_bad_everywhere_is_no_matter_of_the_address(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        pages: dict[str, bytes | str | Script] = {"/": "well", "/bad/": answer(b"", 502)}
        async with (
            ScriptedOrigin(pages=dict(pages)).running() as first,
            ScriptedOrigin(pages=dict(pages)).running() as second,
            client_of([first.address, second.address]) as client,
        ):
            for _ in range(3):
                assert (await client.fetch("/bad/")).status == 502
                assert (await client.fetch("/")).origin == first.address
            assert client.state.unreachable == ()
            second.pages["/bad/"] = "well again"
            assert (await client.fetch("/bad/")).body == b"well again"
        assert said(caplog) == [(LAST, first.address)]

    run(test)


def test_where_many_answers_fail_by_chance_addresses_do_not_come_and_go(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def test() -> None:
        bad = answer(b"", 502)
        async with (
            ScriptedOrigin(pages={"/a/": bad, "/b/": "well"}).running() as first,
            ScriptedOrigin(pages={"/a/": "well", "/b/": bad}).running() as second,
            client_of([first.address, second.address]) as client,
        ):
            for _ in range(20):
                assert [(await client.fetch(path)).status for path in ("/a/", "/b/")] == [200, 200]
        assert said(caplog) == [(LAST, first.address), (LAST, second.address)]

    run(test)


def test_an_address_that_hangs_is_asked_after_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """It takes connections, and its PHP has stopped."""
    caplog.set_level(logging.INFO)

    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": never}).running() as first,
            ScriptedOrigin(pages={"/": "second"}).running() as second,
            client_of([first.address, second.address], deadline="300ms") as client,
        ):
            with pytest.raises(OriginTimeout):
                await client.fetch("/")
            # It may be the page: of an address it is said when another answers.
            assert (client.state.unreachable, said(caplog)) == ((), [])
            assert [(await client.fetch("/")).body for _ in range(3)] == [b"second"] * 3
            assert client.state.unreachable == (first.address,)
            assert len(first.requests) == 1
        assert said(caplog) == [(LAST, first.address)]

    run(test)


def test_whether_an_address_that_hung_is_back_costs_no_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticify.addresses.UNREACHABLE_SECONDS", 0.2)

    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": never}).running() as first,
            ScriptedOrigin(pages={"/": "second"}).running() as second,
            client_of([first.address, second.address], deadline="1s") as client,
        ):
            with pytest.raises(OriginTimeout):
                await client.fetch("/")
            for _ in range(2):
                await asyncio.sleep(0.25)
                assert (await client.fetch("/")).body == b"second"
            assert len(first.requests) == 3
            first.pages["/"] = "first"
            await asyncio.sleep(0.25)
            assert (await client.fetch("/")).body == b"first"
            assert client.state.unreachable == ()

    run(test)


async def slow(exchange: Exchange) -> None:
    """More than half of a deadline of a second."""
    await asyncio.sleep(0.7)
    await exchange.send(answer("slow"))


def test_where_each_address_hung_once_both_have_all_their_time_again(caplog: pytest.LogCaptureFixture) -> None:
    """A page takes longer than half of the deadline: no fetch would ever end in time."""

    async def test() -> None:
        pages: dict[str, bytes | str | Script] = {"/slow/": slow, "/hangs/": never}
        async with (
            ScriptedOrigin(pages=dict(pages)).running() as first,
            ScriptedOrigin(pages=dict(pages)).running() as second,
            client_of([first.address, second.address], deadline="1s") as client,
        ):
            for _ in range(2):
                with pytest.raises(OriginTimeout):
                    await client.fetch("/hangs/")
            assert (len(first.requests), len(second.requests)) == (1, 1)
            assert [(await client.fetch("/slow/")).body for _ in range(2)] == [b"slow"] * 2
            # It was the page that hung.
            assert client.state.unreachable == ()
        assert said(caplog) == []

    run(test)


def test_after_a_trial_the_next_address_had_not_all_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticify.addresses.UNREACHABLE_SECONDS", 0.5)

    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": never}).running() as first,
            ScriptedOrigin(pages={"/": slow}).running() as second,
            client_of([first.address, second.address], deadline="1s") as client,
        ):
            with pytest.raises(OriginTimeout):
                await client.fetch("/")
            await asyncio.sleep(0.6)
            with pytest.raises(OriginTimeout):
                await client.fetch("/")
            assert (await client.fetch("/")).body == b"slow"
            assert client.state.unreachable == (first.address,)

    run(test)


def test_a_page_that_hangs_is_no_matter_of_an_address_that_answers_others() -> None:
    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": "first", "/slow/": never}).running() as first,
            ScriptedOrigin(pages={"/": "second"}).running() as second,
            client_of([first.address, second.address], deadline="300ms") as client,
        ):
            slow = asyncio.create_task(client.fetch("/slow/"))
            await until(lambda: "/slow/" in first.paths())
            assert (await client.fetch("/")).body == b"first"
            with pytest.raises(OriginTimeout):
                await slow
            assert (client.state.unreachable, second.requests) == ((), [])

    run(test)


def test_who_is_cancelled_says_nothing_of_an_address() -> None:
    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": never}).running() as first,
            client_of([first.address, f"http://127.0.0.1:{unused_port()}"]) as client,
        ):
            fetching = asyncio.create_task(client.fetch("/"))
            await until(lambda: first.paths() == ["/"])
            fetching.cancel()
            await asyncio.wait([fetching])
            assert client.state.unreachable == ()

    run(test)


def test_an_address_that_hangs_up_is_not_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("staticify.addresses.UNREACHABLE_SECONDS", 0.2)
    caplog.set_level(logging.INFO)

    async def test() -> None:
        async with beside_one_that_is_away() as (client, first):
            await client.fetch("/")
            async with ScriptedOrigin(pages={"/": sends()}).running(port=first.rpartition(":")[2]) as resetting:
                await asyncio.sleep(0.25)
                assert [(await client.fetch("/")).body for _ in range(3)] == [b"second"] * 3
                assert len(resetting.requests) == 1
        assert said(caplog) == [(LAST, first)]

    run(test)


@pytest.mark.parametrize("is_first", [True, False])
def test_what_the_only_address_that_is_there_answers_counts(*, is_first: bool) -> None:
    """An upgrade, beside a machine that is off: WordPress is there, and says for how long it asks to be left alone."""

    async def test() -> None:
        upgrade = answer(b"", 503, Retry_After="30")
        async with ScriptedOrigin(pages={"/a/": upgrade, "/b/": upgrade}).running() as origin:
            addresses = [origin.address, f"http://127.0.0.1:{unused_port()}"]
            async with client_of(addresses if is_first else addresses[::-1]) as client:
                assert [(await client.fetch(path)).status for path in ("/a/", "/b/")] == [503, 503]
                assert "it asks for 30 s" in client.state.reason
                assert client.state.unreachable == (addresses[1],)

    run(test)


def test_an_error_of_wordpress_own_is_no_matter_of_the_address() -> None:
    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": answer(b"", 500)}).running() as first,
            ScriptedOrigin(pages={"/": "second"}).running() as second,
            client_of([first.address, second.address]) as client,
        ):
            assert [(await client.fetch("/")).status for _ in range(3)] == [500] * 3

    run(test)


def test_a_single_address_is_asked_each_time_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        port = unused_port()
        async with client_of(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(OriginUnreachable):
                await client.fetch("/")
            assert client.state.unreachable == ()
            async with ScriptedOrigin(pages={"/": "there"}).running(port=str(port)):
                assert (await client.fetch("/")).body == b"there"
        assert said(caplog) == []

    caplog.set_level(logging.INFO, "staticify")
    run(test)


def test_the_second_address_is_not_asked_when_the_first_answers_badly() -> None:
    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": sends(b"this is not HTTP\r\n\r\n")}).running() as first,
            ScriptedOrigin(pages={"/": "second"}).running() as second,
            client_of([first.address, second.address]) as client,
        ):
            with pytest.raises(AnswerMalformed):
                await client.fetch("/")
            assert second.paths() == []

    run(test)


def test_nobody_there_names_every_address_that_was_tried(tmp_path: Path) -> None:
    async def test() -> None:
        addresses = [f"http://127.0.0.1:{unused_port()}", f"unix:{tmp_path}/absent.sock"]
        async with client_of(addresses) as client:
            with pytest.raises(OriginUnreachable) as raised:
                await client.fetch("/")
            assert all(address in str(raised.value) for address in addresses)
            assert "ssl:" not in str(raised.value)

    run(test)


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    founded = Authority(tmp_path_factory.mktemp("authority"))
    founded.found()
    return founded


def test_a_certificate_is_for_the_site_and_of_an_authority_that_the_system_knows(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))

    async def test() -> None:
        tls = authority.context()
        async with ScriptedOrigin(pages={"/": html("safe")}, tls=tls).running() as origin:
            # By the site's name, wherever it is asked: that is what the certificate has.
            for url in ("https://example.org/", "http://example.org/"):
                async with client_of(origin.address, url=url) as client:
                    assert (await client.fetch("/")).body == html("safe").encode()
            async with client_of(origin.address, url="https://other.example/") as client:
                with pytest.raises(OriginUnreachable, match="must be for the site's name"):
                    await client.fetch("/")

    run(test)


def test_a_certificate_of_an_unknown_authority_says_where_to_put_the_authority(authority: Authority) -> None:
    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": html("safe")}, tls=authority.context()).running() as origin,
            client_of(origin.address) as client,
        ):
            with pytest.raises(OriginUnreachable, match=r"unable to get local issuer.*\(update-ca-certificates\)"):
                await client.fetch("/")
            assert origin.paths() == []

    run(test)


# --- One answer to one request ---------------------------------------------------------------------------------------


@pytest.fixture(params=["plain", "TLS"])
def tls(request: pytest.FixtureRequest, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext | None:
    """What the origin of a test speaks, which reads otherwise by what asyncio does."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    return authority.context() if request.param == "TLS" else None


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
LONG_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 4200 + b"\r\n\r\n"


@pytest.mark.parametrize("flood", [HINTS * 500, LONG_HINTS, b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_interim_answers_without_end_end_the_fetch(flood: bytes, tls: ssl.SSLContext | None) -> None:
    """Not at its deadline: to read them takes all of the process's time."""

    async def endless(exchange: Exchange) -> None:
        while True:
            await exchange.send(flood)

    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": endless, "/good/": html("good")}, tls=tls).running() as origin,
            client_of(origin.address, deadline="60s") as client,
        ):
            with pytest.raises(AnswerMalformed, match="not HTTP: over 64 interim answers"):
                await client.fetch("/")
            assert (await client.fetch("/good/")).body == html("good").encode()

    run(test)


@pytest.mark.parametrize("framing", ["length", "close"])
def test_what_comes_behind_too_many_interim_answers_is_no_page(framing: str, tls: ssl.SSLContext | None) -> None:
    """All of it may be there at once, and must not end where it was given up."""
    page = html("x" * 40_000).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    length = b"Content-Length: %d\r\n" % len(page) if framing == "length" else b""
    with pytest.raises(AnswerMalformed, match="not HTTP: over 64 interim answers"):
        fetch(sends(HINTS * 70 + head + length + b"\r\n" + page), tls=tls)


def test_a_few_interim_answers_are_passed_over(tls: ssl.SSLContext | None) -> None:
    assert fetch(HINTS * 40 + answer(html("hinted")), tls=tls).body == html("hinted").encode()


@pytest.mark.parametrize(
    "surplus", [answer(html("smuggled")), b"HTTP/1.1 200 OK\r\nX-Half: ", b"garbage", b"x" * 40_000]
)
@pytest.mark.parametrize("size", [100, 40_000])
def test_what_comes_behind_an_answer_is_not_the_next_pages(
    surplus: bytes, size: int, tls: ssl.SSLContext | None
) -> None:
    """aiohttp gives the connection back at the body's end, and reads on."""
    first, second = html("first" * size), html("second")

    async def late(exchange: Exchange) -> None:
        exchange.is_last = False
        await exchange.send(answer(first)[:-20])
        await asyncio.sleep(0.02)
        await exchange.send(first.encode()[-20:] + surplus)

    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": late, "/b/": second}, tls=tls).running() as origin,
            client_of(origin.address, concurrency=1) as client,
        ):
            for _ in range(3):
                with suppress(AnswerMalformed):
                    assert (await client.fetch("/")).body == first.encode()
                assert (await client.fetch("/b/")).body == second.encode()

    run(test)


@pytest.mark.parametrize("gap", [0.0002, 0.0005, 0.005])
def test_a_server_that_sent_two_answers_gets_each_connection_once(
    gap: float, tls: ssl.SSLContext | None, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes when the next request is on its way is taken for its answer: once, and never again."""

    async def twice(exchange: Exchange) -> None:
        exchange.is_last = False
        await exchange.send(answer(html("first")))
        await asyncio.sleep(gap)
        await exchange.send(answer(html("smuggled")))

    async def slow(exchange: Exchange) -> None:
        exchange.is_last = False
        await asyncio.sleep(0.005)
        await exchange.send(answer(html(exchange.path)))

    async def test() -> None:
        paths = [f"/{number}/" for number in range(3)]
        pages: dict[str, bytes | str | Script] = {"/": twice, **dict.fromkeys(paths, slow)}
        async with (
            ScriptedOrigin(pages=pages, tls=tls).running() as origin,
            client_of(origin.address, concurrency=1) as client,
        ):
            wrong = 0
            for _ in range(20):
                answers = await asyncio.gather(*(client.fetch(path) for path in ("/", *paths)), return_exceptions=True)
                for path, got in zip(paths, answers[1:], strict=True):
                    wrong += isinstance(got, Answer) and got.body != html(path).encode()
            # It is noticed once nothing is asked for, which a busy machine puts off by a round; else it is each round.
            assert wrong <= 2 * len(paths)
            said = [record for record in caplog.records if "each connection is used once" in record.message]
            assert len(said) == 1

    run(test)


def test_a_server_that_says_good_bye_takes_no_page_with_it(
    tls: ssl.SSLContext | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def leaves(exchange: Exchange) -> None:
        good_bye = answer(b"too late", 408, Connection="close")
        if len(origin.requests) % 2:
            await exchange.send(answer(html("page")) + good_bye)
        else:
            await exchange.send(answer(html("page")))
            await asyncio.sleep(0.02)
            await exchange.send(good_bye)

    origin = ScriptedOrigin(pages={"/": leaves}, tls=tls)

    async def test() -> None:
        async with origin.running(), client_of(origin.address) as client:
            for _ in range(4):
                assert (await client.fetch("/")).body == html("page").encode()
                await asyncio.sleep(0.03)

    run(test)
    assert caplog.records == []


@pytest.mark.parametrize("surplus", [answer(html("smuggled")), b"garbage", b"x" * 40_000])
def test_an_answer_with_more_behind_it_is_none(surplus: bytes, tls: ssl.SSLContext | None) -> None:
    """A length that is too short cuts a page off. Line ends behind it are no more than a habit."""
    for page in (html("short"), html("x" * 40_000)):
        with pytest.raises(AnswerMalformed, match="not HTTP"):
            fetch(sends(answer(page) + surplus), tls=tls)
        assert fetch(sends(answer(page) + b"\r\n\r\n"), tls=tls).body == page.encode()


@pytest.mark.parametrize("size", [0x1000, 0x5000, 0x50000])
def test_an_error_in_the_framing_ends_a_body_that_has_begun(size: int, tls: ssl.SSLContext | None) -> None:
    with pytest.raises(AnswerMalformed, match="not HTTP"):
        fetch(sends(CHUNKED + b"%x\r\n" % size + b"y" * size + b"\r\nzz\r\n", then=5), deadline="60s", tls=tls)


# --- The answer ------------------------------------------------------------------------------------------------------


def test_the_answer_is_what_was_sent() -> None:
    answered = fetch(answer("grüß", content_type="text/plain", X_One="1", x_two="2"))
    assert (answered.status, answered.body, answered.is_framed) == (200, "grüß".encode(), True)
    assert answered.headers == (
        ("content-type", "text/plain"), ("content-length", "6"), ("x-one", "1"), ("x-two", "2"),
    )  # fmt: skip
    assert 0 < answered.seconds < 5


async def says_gone_and_no_more(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 410 Gone\r\nContent-Length: 5\r\n\r\n12")
    await asyncio.sleep(60)


async def says_gone_for_ever(exchange: Exchange) -> None:
    await exchange.send(CHUNKED.replace(b"200 OK", b"410 Gone"))
    while True:
        await exchange.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


WITH_A_BODY_THAT_NOBODY_READS: dict[str, tuple[int, bytes | Script]] = {
    "good": (404, answer(html("Not found"), 404)),
    "too large": (404, answer(b"x" * 5000, 404)),
    "much too large": (404, answer(b"x" * 3 * MAX_DROPPED_BYTES, 404)),
    "without end": (410, says_gone_for_ever),
    "late": (410, says_gone_and_no_more),
    "broken off": (410, sends(b"HTTP/1.1 410 Gone\r\nContent-Length: 100\r\n\r\n", b"half a page")),
    "an empty gzip": (301, answer(b"", 301, Content_Encoding="gzip")),
    "no gzip": (503, answer(b"no gzip", 503, Content_Encoding="gzip")),
    "unknown coding": (403, answer(b"?", 403, Content_Encoding="zstd")),
}


@pytest.mark.parametrize("name", WITH_A_BODY_THAT_NOBODY_READS)
@pytest.mark.alone
def test_of_any_status_but_200_the_body_is_left_out_whatever_is_wrong_with_it(name: str) -> None:
    status, script = WITH_A_BODY_THAT_NOBODY_READS[name]

    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/bad/": script, "/": html()}).running() as origin,
            client_of(origin.address, max_bytes="2KiB", deadline="5s", concurrency=1) as client,
        ):
            for _ in range(2):
                answered = await client.fetch("/bad/")
                assert (answered.status, answered.body) == (status, b"")
                assert answered.seconds < 3
            assert (await client.fetch("/")).body == html().encode()

    run(test)


def test_a_page_that_says_404_costs_no_new_connection() -> None:
    async def test() -> None:
        pages: dict[str, bytes | str | Script] = {"/gone/": answer(b"x" * 100_000, 404), "/": html()}
        async with ScriptedOrigin(pages=pages).running() as origin, client_of(origin.address) as client:
            for path in ("/gone/", "/", "/gone/", "/"):
                await client.fetch(path)
            assert len({exchange.writer for exchange in origin.requests}) == 1

    run(test)


def test_a_stream_that_says_that_it_is_over_the_limit_is_read_up_to_there() -> None:
    async def test() -> None:
        async def in_two_pieces(exchange: Exchange) -> None:
            await exchange.send(answer(b"x" * 5000)[:-3000])
            await asyncio.sleep(0.2)
            await exchange.send(b"x" * 3000)

        async with (
            ScriptedOrigin(pages={"/": in_two_pieces}).running() as origin,
            client_of(origin.address) as client,
            client.stream("/", 4000) as stream,
        ):
            chunks = stream.chunks()
            assert await anext(chunks) == b"x" * 2000
            with pytest.raises(AnswerTooLarge, match="the body is over the limit of 4000 bytes"):
                await anext(chunks)

    run(test)


def test_chunks_are_joined() -> None:
    answered = fetch(CHUNKED + b"5\r\nhello\r\n6;ext=1\r\n there\r\n0\r\n\r\n")
    assert (answered.body, answered.is_framed) == (b"hello there", True)


def test_a_body_that_only_the_close_ends_is_not_framed() -> None:
    answered = fetch(sends(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n", b"half or whole"))
    assert (answered.body, answered.is_framed) == (b"half or whole", False)


TEXT = b"a page that compresses well " * 1000


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        ("br", brotli.compress(TEXT)),
        ("identity", TEXT),
    ],
)
def test_a_content_coding_that_nobody_asked_for_is_undone(coding: str, body: bytes) -> None:
    assert fetch(answer(body, Content_Encoding=coding)).body == TEXT


def test_gzip_of_several_members_is_read_whole() -> None:
    assert fetch(answer(gzip.compress(TEXT) + gzip.compress(b"end"), Content_Encoding="gzip")).body == TEXT + b"end"


@pytest.mark.parametrize(
    ("sent", "location"),
    [
        ("/café/".encode(), "/café/"),
        ("/日本/".encode(), "/日本/"),
        (b"/caf%C3%A9/", "/caf%C3%A9/"),
        # Bytes of another charset stay what they are.
        (b"/caf\xe9/", "/caf\xe9/"),
    ],
)
def test_a_location_may_hold_utf_8_as_it_is(sent: bytes, location: str) -> None:
    moved = b"HTTP/1.1 301 Moved\r\nLocation: %s\r\nX-Other: caf\xc3\xa9\r\nContent-Length: 0\r\n\r\n" % sent
    answered = fetch(moved)
    assert (answered.header("location"), answered.header("x-other")) == (location, "caf\xc3\xa9")


def with_fields(*fields: str) -> bytes:
    return "\r\n".join(("HTTP/1.1 200 OK", *fields, "Content-Length: 5", "", "hello")).encode()


def test_long_header_fields_and_many_of_them() -> None:
    answered = fetch(with_fields(f"Content-Security-Policy: {'x' * 32_000}", *(f"X-{n}: {n}" for n in range(120))))
    assert answered.body == b"hello"
    assert len(answered.header("content-security-policy")) == 32_000
    assert answered.header("x-119") == "119"


@pytest.mark.parametrize(
    "fields", [[f"X-Long: {'x' * 33_000}"], [f"X-{n}: {n}" for n in range(140)]], ids=["too long", "too many"]
)
def test_header_fields_have_an_end(fields: list[str]) -> None:
    with pytest.raises(AnswerMalformed):
        fetch(with_fields(*fields))


# --- Failures --------------------------------------------------------------------------------------------------------


async def reset(exchange: Exchange) -> None:
    await exchange.send(CHUNKED + b"5\r\nhello\r\n")
    await asyncio.sleep(0.05)
    # Closing with unsent data dropped at once is a reset.
    exchange.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.writer.transport.abort()


async def never(exchange: Exchange) -> None:
    await asyncio.sleep(60)


async def drip(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2000\r\n\r\n")
    while True:
        await exchange.send(b".")
        await asyncio.sleep(0.02)


async def drip_headers(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        await exchange.send(b".")
        await asyncio.sleep(0.02)


async def chunks_without_end(exchange: Exchange) -> None:
    await exchange.send(CHUNKED)
    while True:
        await exchange.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


async def headers_without_end(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        await exchange.send(b"X-%d: %s\r\n" % (number, b"y" * 4000))


NOISE = random.Random(1).randbytes(900)

FAILURES: dict[str, tuple[bytes | Script, type[OriginError]]] = {
    "closed at once": (sends(), OriginUnreachable),
    "reset in the body": (reset, AnswerIncomplete),
    "never answers": (never, OriginTimeout),
    "drips its body": (drip, OriginTimeout),
    "drips its header": (drip_headers, OriginTimeout),
    "Content-Length not reached": (
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"half a page"), AnswerIncomplete,
    ),
    "chunk not whole": (sends(CHUNKED, b"ff\r\nhalf a page"), AnswerIncomplete),
    "last chunk missing": (sends(CHUNKED, b"5\r\nhello\r\n"), AnswerIncomplete),
    "Content-Length too large": (answer(b"x" * 5000), AnswerTooLarge),
    "chunks too large": (chunks_without_end, AnswerTooLarge),
    "garbage for a status line": (sends(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n"), AnswerMalformed),
    "a reason phrase in another charset": (
        b"HTTP/1.1 999 \xff\r\nContent-Length: 5\r\n\r\nhello", AnswerMalformed,
    ),
    "garbage for a chunk size": (CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n", AnswerMalformed),
    "garbage for a Content-Length": (b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", AnswerMalformed),
    "two Content-Lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", AnswerMalformed,
    ),
    "headers without end": (headers_without_end, AnswerMalformed),
    "gzip cut short": (answer(gzip.compress(NOISE)[:-9], Content_Encoding="gzip"), AnswerIncomplete),
    "brotli cut short": (answer(brotli.compress(NOISE)[:-9], Content_Encoding="br"), AnswerIncomplete),
    "gzip that is none": (answer(b"this is no gzip", Content_Encoding="gzip"), AnswerMalformed),
    "brotli that is none": (answer(b"this is no brotli" * 9, Content_Encoding="br"), AnswerMalformed),
    "unknown coding": (answer(b"?", Content_Encoding="zstd"), AnswerMalformed),
    "two codings": (answer(gzip.compress(gzip.compress(b"?")), Content_Encoding="gzip, gzip"), AnswerMalformed),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.alone
def test_each_failure_has_its_class(name: str) -> None:
    script, expected = FAILURES[name]
    started = time.monotonic()
    with pytest.raises(OriginError) as raised:
        fetch(script, max_bytes="2KiB", deadline="500ms")
    assert raised.type is expected, str(raised.value)
    assert time.monotonic() - started < 3
    assert str(raised.value)


@pytest.mark.parametrize("name", FAILURES)
def test_no_failure_costs_the_client_anything(name: str) -> None:
    script, _ = FAILURES[name]

    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/bad/": script, "/": html()}).running() as origin,
            client_of(origin.address, max_bytes="2KiB", deadline="300ms", concurrency=1) as client,
        ):
            for _ in range(3):
                with pytest.raises(OriginError):
                    await client.fetch("/bad/")
            assert (await client.fetch("/")).body == html().encode()

    run(test)


def bomb(coding: str) -> bytes:
    """256 MiB in a few hundred kilobytes, or much less."""
    piece, count = bytes(2**20), 256
    if coding == "br":
        compressor = brotli.Compressor(quality=9)
        return bytes(b"".join(compressor.process(piece) for _ in range(count)) + compressor.finish())
    stream = zlib.compressobj(9, wbits=zlib.MAX_WBITS + 16)
    return b"".join(stream.compress(piece) for _ in range(count)) + stream.flush()


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_a_bomb_is_never_inflated(coding: str) -> None:
    body = bomb(coding)
    assert len(body) < 512 * 1024
    tracemalloc.start()
    try:
        with pytest.raises(AnswerTooLarge):
            fetch(answer(body, Content_Encoding=coding))
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES, 2**20])
@pytest.mark.parametrize("pack", [gzip.compress, brotli.compress], ids=["gzip", "br"])
@pytest.mark.parametrize("content", [bytes, random.Random(2).randbytes], ids=["nothing", "noise"])
def test_a_packed_body_comes_whole_in_pieces(
    content: Callable[[int], bytes], pack: Callable[[bytes], bytes], size: int
) -> None:
    body, coding = content(size), "br" if pack is brotli.compress else "gzip"
    decoder = decoder_of(coding)
    packed = pack(body)
    pieces = [piece for start in range(0, len(packed), 1000) for piece in decoder.pieces(packed[start : start + 1000])]
    assert (b"".join(pieces), decoder.is_finished()) == (body, True)
    assert max(map(len, pieces), default=0) <= 2 * PIECE_BYTES


@pytest.mark.parametrize(
    ("coding", "start", "packed", "said"),
    [
        ("gzip", b"", gzip.compress(b""), "has over 1000 gzip members"),
        ("gzip", b"", gzip.compress(b"ab"), "has over 1000 gzip members"),
        # An empty stored block; a name without end.
        ("gzip", gzip.compress(b"")[:10], b"\0\0\0\xff\xff", "is over 10551296 bytes with its coding"),
        ("gzip", b"\x1f\x8b\x08\x08\0\0\0\0\0\x03", b"name", "is over 10551296 bytes with its coding"),
        # A block of metadata.
        ("br", b"\x0c", b"\x06", "is over 10551296 bytes with its coding"),
    ],
    ids=["empty members", "small members", "empty blocks", "name", "metadata"],
)
def test_what_gives_nothing_or_little_for_ever_ends_long_before_its_deadline(
    coding: str, start: bytes, packed: bytes, said: str
) -> None:
    async def without_end(exchange: Exchange) -> None:
        await exchange.send(CHUNKED[:-2] + b"Content-Encoding: %b\r\n\r\n" % coding.encode())
        piece = start
        while True:
            piece += packed * (60_000 // len(packed))
            await exchange.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            piece = b""

    tracemalloc.start()
    try:
        with pytest.raises(AnswerTooLarge, match=said):
            fetch(without_end, deadline="20s")
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_a_body_that_comes_in_crumbs_is_whole_and_takes_little_room() -> None:
    tracemalloc.start()
    try:
        body = Body()
        for number in range(200_000):
            body.add(number.to_bytes(3, "big"))
        assert tracemalloc.get_traced_memory()[0] < 2**20
    finally:
        tracemalloc.stop()
    assert body.whole() == b"".join(number.to_bytes(3, "big") for number in range(200_000))


def test_a_body_in_pieces_of_any_size_is_whole() -> None:
    chance = random.Random(7)
    pieces = [chance.randbytes(chance.choice((1, 100, CRUMB_BYTES - 1, CRUMB_BYTES, PIECE_BYTES))) for _ in range(300)]
    body = Body()
    for piece in pieces:
        body.add(piece)
    assert (body.whole(), body.size) == (b"".join(pieces), sum(map(len, pieces)))


def test_a_body_that_comes_at_once_is_not_copied() -> None:
    piece = bytes(CRUMB_BYTES)
    body = Body()
    body.add(piece)
    assert body.whole() is piece


def test_many_members_of_a_gzip_body_are_read_and_too_many_are_not() -> None:
    member = gzip.compress(b"ab")
    assert fetch(answer(member * MAX_MEMBERS, Content_Encoding="gzip")).body == b"ab" * MAX_MEMBERS
    with pytest.raises(AnswerTooLarge, match="over 1000 gzip members"):
        fetch(answer(member * (MAX_MEMBERS + 1), Content_Encoding="gzip"))


def test_noise_that_a_coding_makes_longer_is_read_up_to_the_limit() -> None:
    body = random.Random(3).randbytes(2**20)
    stream = zlib.compressobj(0, wbits=zlib.MAX_WBITS + 16, memLevel=1)
    # Flushed all the time, as PHP may.
    packed = b"".join(
        stream.compress(body[start : start + 100]) + stream.flush(zlib.Z_SYNC_FLUSH) for start in range(0, 2**20, 100)
    )
    packed += stream.flush()
    assert len(packed) > 1.1 * len(body)
    chunked = CHUNKED[:-2] + b"Content-Encoding: gzip\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    assert fetch(chunked, max_bytes="1MiB").body == body


async def fields_and_trailers(exchange: Exchange, start: bytes) -> None:
    await exchange.send(start)
    while True:
        await exchange.send(b"X-Flood: %b\r\n" % (b"y" * 30_000))


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\n", CHUNKED + b"5\r\nhello\r\n0\r\n"], ids=["before", "behind"])
def test_a_flood_of_fields_is_not_held(start: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises((AnswerMalformed, AnswerIncomplete)):
            fetch(partial(fields_and_trailers, start=start))
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()


def test_large_bodies_are_read_by_turns() -> None:
    body = b"x" * (LARGE_BYTES + 1)
    under_way: list[str] = []

    async def last_byte_later(exchange: Exchange) -> None:
        await exchange.send(answer(body)[:-1])
        # All that was sent has been taken, but for what the sockets hold of those who wait.
        under_way.append(exchange.path)
        await asyncio.sleep(0.2)
        await exchange.send(body[-1:])

    async def test() -> None:
        pages: dict[str, bytes | str | Script] = {f"/{number}/": last_byte_later for number in range(6)}
        async with (
            ScriptedOrigin(pages={**pages, "/small/": html()}).running() as origin,
            client_of(origin.address, concurrency=7, deadline="10s") as client,
        ):
            fetches = [asyncio.create_task(client.fetch(path)) for path in pages]
            await until(lambda: len(under_way) >= MAX_LARGE_BODIES)
            # One that is not large waits for none of them.
            assert (await client.fetch("/small/")).body == html().encode()
            assert [one.body for one in await asyncio.gather(*fetches)] == [body] * 6

    run(test)


def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert len(fetch(answer(b"x" * 2048), max_bytes="2KiB").body) == 2048
    assert len(fetch(answer(gzip.compress(b"x" * 2048), Content_Encoding="gzip"), max_bytes="2KiB").body) == 2048
    for answered in (answer(b"x" * 2049), answer(gzip.compress(b"x" * 2049), Content_Encoding="gzip")):
        with pytest.raises(AnswerTooLarge):
            fetch(answered, max_bytes="2KiB")


def test_a_declared_length_is_measured_by_the_limit_of_its_coding() -> None:
    """What cannot be packed is longer in its coding: it passes, framed by chunks or by its length."""
    body = random.Random(0).randbytes(2048)
    packed = gzip.compress(body)
    assert len(packed) > 2048
    assert fetch(answer(packed, Content_Encoding="gzip"), max_bytes="2KiB").body == body
    with pytest.raises(AnswerTooLarge, match=r"^Content-Length 2049 is over the limit of 2048 bytes$"):
        fetch(answer(bytes(2049)), max_bytes="2KiB")
    most = packed_limit(2048)
    too_long = f"^Content-Length {most + 1} is over the limit of {most} bytes with its coding$"
    with pytest.raises(AnswerTooLarge, match=too_long):
        fetch(answer(bytes(most + 1), Content_Encoding="gzip"), max_bytes="2KiB")


def test_a_kept_connection_that_the_server_closed_meanwhile_is_no_failure() -> None:
    async def test() -> None:
        async def answer_and_close(exchange: Exchange) -> None:
            # Says nothing of closing, so that the client keeps the connection for the next fetch.
            await exchange.send(answer(html()))

        async with (
            ScriptedOrigin(pages={"/": answer_and_close}).running() as origin,
            client_of(origin.address, concurrency=1) as client,
        ):
            for _ in range(20):
                assert (await client.fetch("/")).status == 200
            assert len(origin.requests) == 20

    run(test)


def test_connections_are_kept_and_bounded() -> None:
    async def test() -> None:
        ports = set()

        async def slow(exchange: Exchange) -> None:
            ports.add(exchange.writer.get_extra_info("peername")[1])
            await asyncio.sleep(0.01)
            await exchange.send(answer(html()))

        async with ScriptedOrigin(pages={"/": html()}).running() as origin, client_of(origin.address) as client:
            for _ in range(10):
                await client.fetch("/")
            ports = {exchange.writer.get_extra_info("peername")[1] for exchange in origin.requests}
            assert len(ports) == 1

    run(test)


def test_after_many_random_cancellations_every_connection_works() -> None:
    """httpx's own pool did not survive this."""

    async def test() -> None:
        chance = random.Random(7)

        async def sometimes_slow(exchange: Exchange) -> None:
            body = html().encode()
            head, rest = answer(body)[:60], answer(body)[60:]
            await asyncio.sleep(chance.random() * 0.01)
            await exchange.send(head)
            await asyncio.sleep(chance.random() * 0.01)
            await exchange.send(rest)

        async with (
            ScriptedOrigin(pages={"/slow/": sometimes_slow, "/": html()}).running() as origin,
            client_of(origin.address, concurrency=4, deadline="5s") as client,
        ):
            for _ in range(20):
                fetches = [asyncio.create_task(client.fetch("/slow/")) for _ in range(10)]
                for one in fetches:
                    await asyncio.sleep(chance.random() * 0.003)
                    one.cancel()
                await asyncio.gather(*fetches, return_exceptions=True)
            answers = await asyncio.gather(*(client.fetch("/") for _ in range(20)))
            assert [one.status for one in answers] == [200] * 20

    run(test)


def test_leaving_a_stream_early_closes_its_connection() -> None:
    async def test() -> None:
        closed = asyncio.Event()

        async def endless(exchange: Exchange) -> None:
            try:
                await chunks_without_end(exchange)
            except ConnectionError:
                closed.set()

        async with (
            ScriptedOrigin(pages={"/big/": endless, "/": html()}).running() as origin,
            client_of(origin.address, concurrency=1) as client,
        ):
            async with client.stream("/big/", 2**30) as stream:
                assert stream.status == 200
                async for chunk in stream.chunks():
                    assert chunk
                    break
            await until(closed.is_set)
            for _ in range(4):
                assert (await client.fetch("/")).status == 200

    run(test)


def test_an_error_of_the_reader_stays_what_it_is() -> None:
    async def test() -> None:
        async with ScriptedOrigin(pages={"/": html()}).running() as origin, client_of(origin.address) as client:
            with pytest.raises(ZeroDivisionError):
                async with client.stream("/", 1000):
                    raise ZeroDivisionError

    run(test)


def test_the_deadline_stands_round_the_reader_too() -> None:
    async def test() -> None:
        async with (
            ScriptedOrigin(pages={"/": html()}).running() as origin,
            client_of(origin.address, deadline="200ms") as client,
        ):
            with pytest.raises(OriginTimeout):
                async with client.stream("/", 1000):
                    await asyncio.sleep(10)

    run(test)


# --- What WordPress can bear -----------------------------------------------------------------------------------------


@asynccontextmanager
async def asked(
    pages: dict[str, bytes | str | Script], **keys: Any
) -> AsyncIterator[tuple[ScriptedOrigin, OriginClient]]:
    """An origin, and a client of it."""
    async with ScriptedOrigin(pages=pages).running() as origin, client_of(origin.address, **keys) as client:
        yield origin, client


def test_a_wordpress_that_always_fails_is_left_alone_and_probed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("staticify.guard.PROBE_SECONDS", 0.2)
    caplog.set_level(logging.INFO)

    async def test() -> None:
        paths = [f"/{number}/" for number in range(FAILURES_IN_A_ROW)]
        async with asked(dict.fromkeys(["/", *paths], answer(b"", 500)), concurrency=4) as (origin, client):
            client.guard.is_armed = True
            for path in paths:
                assert (await client.fetch(path)).status == 500
            for _ in range(20):
                with pytest.raises(
                    OriginPaused, match=r"\Anot asked: 8 failures in a row, the last: WordPress answers 500\Z"
                ):
                    await client.fetch("/")
            # Not the journal either, nor the sitemaps.
            with pytest.raises(OriginPaused):
                await client.ask(b"{}")
            assert len(origin.requests) == FAILURES_IN_A_ROW
            state = client.state
            assert (state.limit, state.most, state.failures) == (2, 4, FAILURES_IN_A_ROW)
            assert 0 <= state.paused_until - time.time() + 1 < 3
            await asyncio.sleep(0.25)
            origin.pages["/"] = html()
            # The next probe is the journal's, which has been refused; that it answers says nothing of pages.
            with pytest.raises(OriginPaused):
                await client.fetch("/")
            assert (await client.ask(b"{}")).status == 404
            assert len(origin.requests) == FAILURES_IN_A_ROW + 1
            with pytest.raises(OriginPaused):
                await client.fetch("/")
            await asyncio.sleep(0.25)
            for _ in range(GOOD_IN_A_ROW):
                assert client.state.reason != "", "one good answer may be chance, or a file"
                assert (await client.fetch("/")).status == 200
            assert (client.state.limit, client.state.paused_until, client.state.failures) == (1, 0, 0)
            assert (await client.fetch("/")).status == 200
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    run(test)


def test_who_stops_reading_a_failure_has_seen_it_all_the_same() -> None:
    """A sitemap that answers 500 is no sitemap, and WordPress no better for that."""

    async def test() -> None:
        async with asked({"/map.xml": answer(b"", 500)}) as (_origin, client):
            for _ in range(3):
                with pytest.raises(ValueError, match="no sitemap"):
                    async with client.stream("/map.xml", 1000):
                        raise ValueError("no sitemap")
            assert client.guard.failures == 3

    run(test)


def test_an_answer_that_is_no_failure_of_wordpress_never_makes_it_left_alone() -> None:
    too_large = answer(b"x" * 3000)

    async def test() -> None:
        async with asked({"/": too_large}, max_bytes="2KiB") as (_origin, client):
            client.guard.is_armed = True
            for _ in range(3 * FAILURES_IN_A_ROW):
                with pytest.raises(AnswerTooLarge):
                    await client.fetch("/")
            for _ in range(3 * FAILURES_IN_A_ROW):
                assert (await client.fetch("/gone/")).status == 404

    run(test)


def test_an_answer_that_is_too_large_is_an_answer_of_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticify.guard.PROBE_SECONDS", 0.1)

    async def test() -> None:
        async with asked({"/": answer(b"", 500)}, max_bytes="2KiB") as (origin, client):
            client.guard.is_armed = True
            for _ in range(FAILURES_IN_A_ROW):
                await client.fetch("/")
            origin.pages["/"] = answer(b"x" * 3000)
            await asyncio.sleep(0.15)
            for _ in range(GOOD_IN_A_ROW):
                with pytest.raises(AnswerTooLarge):
                    await client.fetch("/")
            assert client.state.paused_until == 0

    run(test)


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_request_is_sent_again_only_if_it_went_out_on_a_connection_that_had_been_kept(*, is_kept: bool) -> None:
    async def reset(exchange: Exchange) -> None:
        exchange.writer.transport.abort()

    async def test() -> None:
        async with asked({"/": html(), "/reset/": reset}) as (origin, client):
            if is_kept:
                await client.fetch("/")
            for _ in range(3):
                with pytest.raises(OriginUnreachable, match="closed before any answer"):
                    await client.fetch("/reset/")
            assert origin.paths().count("/reset/") == 3 + is_kept

    run(test)


@pytest.mark.parametrize(("still_seconds", "failures"), [(0.0, 3), (1.3, 0)])
def test_what_a_process_that_stood_still_found_too_late_is_no_failure_of_wordpress(
    still_seconds: float, failures: int
) -> None:
    async def hang(exchange: Exchange) -> None:
        await asyncio.sleep(60)

    async def test() -> None:
        async with asked({"/": hang}, deadline="200ms") as (origin, client):
            fetches = [asyncio.create_task(client.fetch("/")) for _ in range(3)]
            await until(lambda: len(origin.requests) == 3)
            asyncio.get_running_loop().call_soon(time.sleep, still_seconds)
            for fetching in fetches:
                with pytest.raises(OriginTimeout):
                    await fetching
            assert client.guard.failures == failures

    run(test)


@pytest.mark.parametrize(("status", "interval", "seconds"), [(429, "60s", 600), (503, "60s", 60)])
def test_retry_after_is_kept(status: int, interval: str, seconds: int) -> None:
    async def test() -> None:
        busy = answer(b"", status, Retry_After="600")
        async with asked({"/": busy, "/b/": busy}, interval=interval) as (origin, client):
            for page in ("/", "/", "/b/"):  # One page speaks for itself.
                await client.fetch(page)
            with pytest.raises(OriginPaused, match="Retry-After"):
                await client.fetch("/c/")
            assert len(origin.requests) == 3
            assert seconds - 3 < client.state.paused_until - time.time() < seconds + 3

    run(test)


def test_a_single_pass_sits_a_short_pause_out() -> None:
    async def test() -> None:
        busy = answer(b"", 429, Retry_After="1")
        async with asked({"/": busy, "/b/": busy, "/c/": html()}) as (_origin, client):
            for page in ("/", "/b/"):
                await client.fetch(page)
            started = time.monotonic()
            assert (await client.fetch("/c/")).status == 200
            assert time.monotonic() - started > 0.8

    run(test)


def test_failures_leave_two_fetches_at_a_time_and_good_answers_bring_the_others_back() -> None:
    most = Counter[str]()
    under_way: set[int] = set()

    async def page(exchange: Exchange) -> None:
        under_way.add(id(exchange))
        most["at once"] = max(most["at once"], len(under_way))
        await asyncio.sleep(0.01)
        under_way.discard(id(exchange))
        await exchange.send(answer(b"", 500) if exchange.path == "/bad/" else answer(html()))

    async def at_once(client: OriginClient, count: int) -> int:
        most.clear()
        await asyncio.gather(*(client.fetch("/") for _ in range(count)))
        return most["at once"]

    async def test() -> None:
        async with asked({"/": page, "/bad/": page}, concurrency=4) as (_origin, client):
            assert await at_once(client, 8) == 4
            for _ in range(3):
                await client.fetch("/bad/")
            assert client.state.limit == 2
            assert await at_once(client, 3) == 2
            assert await at_once(client, 40) == 4

    run(test)


def test_whoever_is_cancelled_leaves_its_room_to_others() -> None:
    async def test() -> None:
        async with asked({"/": html(), "/hangs/": never}, concurrency=2) as (_origin, client):
            for _ in range(20):
                tasks = [asyncio.create_task(client.fetch("/hangs/")) for _ in range(6)]
                await asyncio.sleep(0)
                for task in tasks[::-1]:
                    task.cancel()
                    await asyncio.sleep(0)
                await asyncio.gather(*tasks, return_exceptions=True)
            assert client.guard.in_flight == 0
            assert (await client.fetch("/")).status == 200

    run(test)
