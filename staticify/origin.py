"""The origin client: one anonymous, bounded fetch from WordPress, by httpx's transports.

Not by httpx's client: that keeps cookies, follows and retries, and a fetch here must do none of it; it would also
cost a third of the fetch. Not by httpx's own pool: it loses connection slots when requests are cancelled (after 60
rounds of 20 requests cancelled at random a pool of 10 never answered again), so that aiohttp carries the bytes,
without a cookie jar. httpx knows no total time-out: `asyncio.timeout` stands round each fetch.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import ssl
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import urlsplit

import brotli
import httpx

from staticify import __version__
from staticify.address import Origin
from staticify.addresses import Addresses, Turn
from staticify.brief import brief
from staticify.carrier import AiohttpTransport, AnswerBroken, aiohttp, expect_one_answer
from staticify.config import Site
from staticify.errors import (
    AnswerIncomplete,
    AnswerMalformed,
    AnswerTooLarge,
    OriginError,
    OriginPaused,
    OriginTimeout,
    OriginUnreachable,
)
from staticify.guard import Guard, retry_after_seconds
from staticify.nouns import Answer, OriginState
from staticify.signature import sign

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
MAX_FIELD_BYTES = 32 * 1024
"""Of one header field. A policy of several plugins passes the library's 8 KiB."""
MAX_FIELDS = 128
"""In one answer, and behind its last chunk. WordPress itself sends a dozen. All of them are held at once, in each
connection: the two limits together are 4 MiB."""
# What aiohttp says of a connection that failed: "ssl:default", "ssl:<ssl.SSLContext object at 0x7f...>".
_TLS_SETTINGS = re.compile(r" ssl:(?:<[^>]*>|\w+)")
_ON_CERTIFICATES = (
    "It must be for the site's name, by an authority that this machine knows (package ca-certificates); one of your "
    "own belongs among the system's (update-ca-certificates), or into a file that SSL_CERT_FILE names"
)
PIECE_BYTES = 64 * 1024
"""Of a packed body, inflated at a time: all of it at once would take twice the room of a whole body beside it."""
_OF_A_GATEWAY = frozenset({502, 503, 504})
"""Statuses of a web server whose PHP is not there."""
QUIET_INTERVALS = 1.5
"""In so many every page that is well has given a good answer, but for those of a group with a longer interval."""
_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS
MAX_MEMBERS = 1000
"""Of one gzip body. Each takes a decompressor, and a copy of what follows in the same piece."""
CRUMB_BYTES = 4 * 1024
"""What comes in smaller pieces is gathered: two bytes by themselves take the room of fifty."""
QUESTION = "staticify=changes"
"""The query by which the plugin knows a question to the journal (deploy/wordpress/PROTOCOL.md)."""
MAX_JOURNAL_BYTES = 4 * 2**20
LARGE_BYTES = 2**19
MAX_LARGE_BODIES = 2
"""So many bodies over LARGE_BYTES are read at once, within their deadlines: else memory would grow to `max_bytes` for
each of a site's fetches when an origin goes mad."""
MAX_DROPPED_BYTES = 256 * 1024
"""Of a body that nobody reads, so that its connection can be kept; as much as the page of a theme that says 404 has."""
DROP_SECONDS = 1.0
STOPPED_SECONDS = 0.5
"""So late after its deadline a fetch ends only if this process stood still: stopped, or asleep with its machine."""
LABEL_SECONDS = 60.0
KEEP_ALIVE_SECONDS = 15.0
USER_AGENT = f"staticify/{__version__} (shared cache)"
# Plugins answer JSON to who does not ask for HTML first; some hosts refuse an empty Accept.
ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Decoder(Protocol):
    """Undoes one content coding, piece by piece: whoever takes the pieces may stop at any of them."""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What the chunk comes to, in pieces of about PIECE_BYTES at most where it is packed. Raises AnswerTooLarge."""

    def is_finished(self) -> bool:
        """True if the coding's own end was seen."""


class _Identity:
    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def is_finished(self) -> bool:
        return True


class _Gzip:
    """gzip, of one member or several (RFC 1952 section 2.2)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self._members = 1

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        while True:
            piece = self._member.decompress(chunk, PIECE_BYTES)
            if piece:
                yield piece
            if self._member.eof:
                chunk = self._member.unused_data
                if not chunk:
                    return
                self._members += 1
                if self._members > MAX_MEMBERS:
                    raise AnswerTooLarge(f"the body has over {MAX_MEMBERS} gzip members")
                self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
            else:
                chunk = self._member.unconsumed_tail
                # A full piece may have left more behind, in the coding's own window.
                if not chunk and len(piece) < PIECE_BYTES:
                    return

    def is_finished(self) -> bool:
        return self._member.eof


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        # Until nothing comes: that it takes more does not mean that it has given all.
        while piece := self._stream.process(chunk, output_buffer_limit=PIECE_BYTES):
            yield piece
            chunk = b""

    def is_finished(self) -> bool:
        return bool(self._stream.is_finished())


def packed_limit(max_bytes: int) -> int:
    """How long a body of so many bytes may be in its content coding: a quarter more, and a piece.

    What cannot be packed gets an eighth longer at worst (zlib's deflateBound); what a server flushes often, some more.
    """
    return max_bytes + max_bytes // 4 + PIECE_BYTES


def decoder_of(content_encoding: str) -> Decoder:
    """The decoder for a Content-Encoding. Raises AnswerMalformed for one that staticify did not ask for."""
    match content_encoding.strip().lower():
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip":
            return _Gzip()
        case "br":
            return _Brotli()
        case other:
            raise AnswerMalformed(f"Content-Encoding is {brief(other)!r}, which nobody asked for")


class Stream:
    """An answer whose body is still on its way."""

    def __init__(self, response: httpx.Response, max_bytes: int, origin: Origin, started: float) -> None:
        self._body = _body_of(response)
        self._max_bytes = max_bytes
        self.origin = origin
        self.started = started
        """By the monotonic clock, before anything was sent."""
        self.status = response.status_code
        # Not by httpx's own look-up, which guesses the encoding of all fields anew each time.
        self.headers = tuple(_field(name, value) for name, value in response.headers.raw)

    def header(self, name: str) -> str:
        """All values of a field joined by commas; empty if absent."""
        return ", ".join(value for key, value in self.headers if key == name)

    @property
    def is_framed(self) -> bool:
        """True if the body's end is certain (RFC 9112 section 6.3)."""
        return any(name in {"content-length", "transfer-encoding"} for name, _ in self.headers)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, its content coding undone. Raises AnswerTooLarge as soon as the cap is passed."""
        decoder = decoder_of(self.header("content-encoding"))
        room = self._max_bytes
        # A coding may go on and on and give nothing.
        packed_room = packed_limit(room)
        try:
            async for raw in self._body:
                packed_room -= len(raw)
                if packed_room < 0:
                    raise AnswerTooLarge(f"the body is over {packed_limit(self._max_bytes)} bytes with its coding")
                for piece in decoder.pieces(raw):
                    room -= len(piece)
                    if room < 0:
                        raise AnswerTooLarge(f"the body is over the limit of {self._max_bytes} bytes")
                    yield piece
        except (zlib.error, brotli.error) as error:
            raise AnswerMalformed(f"the {self.header('content-encoding')} coding is broken: {error}") from None
        if not decoder.is_finished():
            raise AnswerIncomplete(f"the {self.header('content-encoding')} coding ends too early")

    def check_length(self) -> None:
        """Raise AnswerTooLarge if the body says that it will pass the cap: for who wants all of it or nothing."""
        declared = self.header("content-length")
        is_coded = self.header("content-encoding") != ""
        most = packed_limit(self._max_bytes) if is_coded else self._max_bytes
        if declared.isdigit() and int(declared) > most:
            coding = " with its coding" if is_coded else ""
            raise AnswerTooLarge(f"Content-Length {declared} is over the limit of {most} bytes{coding}")

    async def drop_body(self) -> None:
        """Let the body pass unread, whatever is wrong with it: status and header fields said all that matters."""
        room = MAX_DROPPED_BYTES
        with suppress(httpx.HTTPError, aiohttp.ClientError, OSError):  # A TimeoutError is an OSError.
            async with asyncio.timeout(DROP_SECONDS):
                async for raw in self._body:
                    room -= len(raw)
                    if room < 0:
                        return


class OriginClient:
    """Fetches from one site's origin addresses, the first that can be reached. Close it with `aclose`."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._headers = httpx.Headers(
            {
                "Host": site.base.netloc,
                "User-Agent": USER_AGENT,
                "Accept": ACCEPT,
                # Bytes between two processes of one machine are cheaper than inflating them.
                "Accept-Encoding": "identity",
                "X-Forwarded-Proto": site.base.scheme,
                "X-Forwarded-Host": site.base.netloc,
            }
        )
        # An https origin is asked by its address but shows the certificate of the public name.
        # Every address must get its turn within the deadline.
        connect_seconds = min(CONNECT_SECONDS, site.deadline_seconds / len(site.origins))
        self._extensions: dict[str, Any] = {"timeout": {"connect": connect_seconds}}
        # Whoever speaks TLS there shows the certificate of the site, wherever it is asked.
        self._extensions["sni_hostname"] = urlsplit(site.url).hostname
        self.guard = Guard(site.concurrency, QUIET_INTERVALS * site.interval_seconds)
        self._room = asyncio.Event()
        """Set when there may be room for one more fetch."""
        self._large = asyncio.Semaphore(MAX_LARGE_BODIES)
        self._transports = {str(origin): (origin, _transport(origin, site)) for origin in site.origins}
        self._addresses = Addresses([*self._transports], site.deadline_seconds)
        self._label: Mapping[str, str] = {}
        self._labelled_at = float("-inf")

    async def ask(self, body: bytes, direct: str = "") -> Answer:
        """What the site's plugin answers to a signed question. Raises OriginError. Waits for no slot: it is small.

        `direct` is the path at which it may be asked with less of WordPress, if it has named one.
        """
        path = direct or f"{self._site.base.raw_path}?{QUESTION}"
        try:
            return await self._ask(path, body)
        except OriginUnreachable:
            # The server may have closed the idle connection in the same moment. A fetch is sent again by itself; this
            # is a POST, and only its sender knows that it changes nothing.
            return await self._ask(path, body)

    async def _ask(self, path: str, body: bytes) -> Answer:
        fields = sign(self._site.secrets, secrets.token_hex(16), time.time(), body)
        async with self._stream("POST", path, MAX_JOURNAL_BYTES, fields, body, is_aside=True) as stream:
            return await _whole(stream, self._large)

    async def fetch(self, raw_path: str, *, visitor: str = "", is_aside: bool = False) -> Answer:
        """One whole answer for a percent-encoded path. Never follows a redirect. Raises OriginError.

        `visitor` is an address that WordPress is told to be the visitor's, as a proxy tells it. `is_aside` says that it
        is for no page.

        Waits for one of the slots that the guard allows, `concurrency` at most; the deadline and `Answer.seconds` begin
        after that. The body of any status but 200 is left out.
        """
        await self._sit_out()
        async with self._slot(), self.stream(raw_path, self._site.max_bytes, visitor, is_aside=is_aside) as stream:
            if stream.status == 200:
                return await _whole(stream, self._large)
            await stream.drop_body()
            return _answer(stream, b"")

    async def _sit_out(self) -> None:
        """A single pass waits for a short pause: what it leaves out, nobody tries again."""
        while not self.guard.is_armed:
            now = time.monotonic()
            pause = self.guard.pause(now)
            if pause is None or pause.until - now > self._site.deadline_seconds:
                return
            await asyncio.sleep(pause.until - now)

    @asynccontextmanager
    async def _slot(self) -> AsyncGenerator[None]:
        while not self.guard.has_room:
            self._room.clear()
            await self._room.wait()
        self.guard.start()
        try:
            yield
        finally:
            self.guard.end()
            self._room.set()

    @property
    def state(self) -> OriginState:
        """How WordPress bears what it is asked."""
        now = time.monotonic()
        pause = self.guard.pause(now)
        return OriginState(
            limit=self.guard.limit,
            most=self.guard.most,
            failures=self.guard.failures,
            paused_until=0.0 if pause is None else round(time.time() + pause.until - now),
            reason="" if pause is None else pause.reason,
            unreachable=self._addresses.last(now),
        )

    def forget(self, raw_path: str) -> None:
        """This path is no page's any more."""
        self.guard.forget(f"GET {raw_path}")

    def stream(
        self, raw_path: str, max_bytes: int, visitor: str = "", *, is_aside: bool = False
    ) -> AbstractAsyncContextManager[Stream]:
        """An answer as it comes in, all of it within the site's deadline. Leaving early closes the connection.

        With a secret the fetch is signed, so that WordPress labels its answer, and is anonymous all the same.
        """
        fields = dict(self._label_fields())
        if visitor:
            fields |= {"X-Forwarded-For": visitor, "X-Real-IP": visitor}
        return self._stream("GET", raw_path, max_bytes, fields, b"", is_aside=is_aside)

    def _label_fields(self) -> Mapping[str, str]:
        if not self._site.secrets:
            return {}
        now = time.time()
        # One signature does for a while: it says who asks, not for what.
        if abs(now - self._labelled_at) > LABEL_SECONDS:
            self._label, self._labelled_at = sign(self._site.secrets, "render", now, b""), now
        return self._label

    @asynccontextmanager
    async def _stream(
        self,
        method: str,
        raw_path: str,
        max_bytes: int,
        fields: Mapping[str, str],
        body: bytes,
        *,
        is_aside: bool,
    ) -> AsyncGenerator[Stream]:
        started = time.monotonic()
        is_question = method == "POST"
        # There are two ways to ask the same.
        name = QUESTION if is_question else f"{method} {raw_path}"
        pause = self.guard.admit(started, is_question=is_question)
        if pause is not None:
            raise OriginPaused(pause.until, pause.reason)
        stream: Stream | None = None
        try:
            async with self._guarded_stream(method, raw_path, max_bytes, fields, body, started) as stream:
                yield stream
        except OriginError as error:
            if stream is not None and isinstance(error, AnswerTooLarge):
                # A matter of the page, not of a server that has too much to do.
                self._note_answer(name, stream, started, is_aside=is_aside)
            elif self._is_in_time(started):
                # One page may take too long; that nobody is there is no matter of a page.
                is_answer = stream is not None or isinstance(error, OriginTimeout)
                self._note_failure(name, f"{error.name}: {error}", started, is_answer=is_answer)
            raise
        except Exception:
            # Of who reads: what WordPress answered counts all the same, or a probe would be used up for nothing.
            if stream is not None:
                self._note_answer(name, stream, started, is_aside=is_aside)
            raise
        self._note_answer(name, stream, started, is_aside=is_aside)

    def _is_in_time(self, started: float) -> bool:
        """False if this process stood still meanwhile: then a fetch is too late, whatever WordPress did."""
        return time.monotonic() - started < self._site.deadline_seconds + STOPPED_SECONDS

    def _note_answer(self, name: str, stream: Stream, started: float, *, is_aside: bool) -> None:
        if stream.status >= 500 or stream.status == 429:
            self._note_failure(
                name,
                f"WordPress answers {stream.status}",
                started,
                retry_after=self._retry_after(stream),
                is_of_page=stream.status != 429,
            )
        elif self.guard.succeed(
            name, started, time.monotonic() - started, is_there=stream.status == 200, is_aside=is_aside
        ):
            log.info("WordPress answers again: one fetch at a time, then more", extra={"site": self._site.url})

    @asynccontextmanager
    async def _guarded_stream(
        self, method: str, raw_path: str, max_bytes: int, fields: Mapping[str, str], body: bytes, started: float
    ) -> AsyncGenerator[Stream]:
        deadline_seconds = self._site.deadline_seconds
        asked: list[str] = []
        try:
            async with asyncio.timeout(deadline_seconds):
                response, origin = await self._send(method, raw_path, fields, body, asked)
                try:
                    yield Stream(response, max_bytes, origin, started)
                finally:
                    await _body_of(response).aclose()
        except TimeoutError:
            # One page may hang; an address that has answered nobody meanwhile does.
            if asked and not self._addresses.has_begun_since(asked[-1], started) and self._is_in_time(started):
                self._addresses.note_silent(asked[-1], raw_path, time.monotonic())
            raise OriginTimeout(f"no whole answer within {deadline_seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError) as error:
            raise _translated(error) from error

    def _note_failure(
        self,
        name: str,
        reason: str,
        started: float,
        *,
        retry_after: float = 0.0,
        is_of_page: bool = False,
        is_answer: bool = True,
    ) -> None:
        now = time.monotonic()
        begins = self.guard.fail(
            name, reason, started, now, retry_after=retry_after, is_of_page=is_of_page, is_answer=is_answer
        )
        if begins and (pause := self.guard.pause(now)):
            log.warning(
                "WordPress is left alone, but for a probe now and then; the pages in the tree stay",
                extra={"site": self._site.url, "reason": pause.reason},
            )

    def _retry_after(self, stream: Stream) -> float:
        """How long WordPress asks to be left alone, in seconds.

        Its maintenance page says ten minutes of an upgrade that takes as many seconds: of 503, an interval counts.
        """
        seconds = retry_after_seconds(stream.header("retry-after"), time.time())
        return seconds if stream.status == 429 else min(seconds, self._site.interval_seconds)

    async def _send(
        self, method: str, raw_path: str, fields: Mapping[str, str], body: bytes, asked: list[str]
    ) -> tuple[httpx.Response, Origin]:
        """The beginning of an answer, and whose it is. Each address that has all its time is in `asked` before."""
        headers = self._headers
        if fields:
            headers = httpx.Headers(headers)
            headers.update(fields)
        failures: list[str] = []
        gateways: list[tuple[str, httpx.Response]] = []
        async with AsyncExitStack() as unused:
            has_all_time = True
            for turn in self._addresses.turns(time.monotonic()):
                origin, transport = self._transports[turn.address]
                if has_all_time:
                    asked.append(turn.address)
                # Not as `content`: httpx would look for fields to add, which takes half of the time, and all are there.
                request = httpx.Request(
                    method,
                    origin.base_url + raw_path,
                    headers=headers,
                    stream=httpx.ByteStream(body),
                    extensions=self._extensions,
                )
                request.read()
                try:
                    async with asyncio.timeout(turn.patience_seconds):
                        response = await transport.handle_async_request(request)
                except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
                    has_all_time = has_all_time and not (turn.patience_seconds and isinstance(error, TimeoutError))
                    failures.append(f"{origin}: {self._passed_over(turn, raw_path, error)}")
                    continue
                self._addresses.note_begun(turn.address, time.monotonic())
                if response.status_code not in _OF_A_GATEWAY:
                    self._note_use(turn, raw_path, gateways)
                    return response, origin
                # Its PHP may be dead alone. Asking twice does no harm: a page is only read, and so is the journal.
                gateways.append((turn.address, response))
                earlier = unused.pop_all()
                unused.push_async_callback(_body_of(response).aclose)
                await earlier.aclose()
            if gateways:
                # Where all that are there answer so, it is a matter of the page, or of what stands behind them.
                address, response = gateways[-1]
                unused.pop_all()
                return response, self._transports[address][0]
        raise OriginUnreachable("; ".join(failures))

    def _note_use(self, turn: Turn, raw_path: str, gateways: list[tuple[str, httpx.Response]]) -> None:
        """An address answered: it is of use, and those that did not answer the same are not."""
        if self._addresses.note_good(turn):
            log.info("an origin address answers again", extra={"site": self._site.url, "origin": turn.address})
        for other, answered in gateways:
            self._put_last(other, f"it answers {answered.status_code}")
        for other in self._addresses.silent_to(raw_path, turn.address):
            self._put_last(other, f"it says nothing within {self._site.deadline_seconds:g} s")

    def _put_last(self, address: str, reason: str) -> None:
        if self._addresses.put_last(address, time.monotonic()):
            log.warning(
                "an origin address is of no use; the others are asked first",
                extra={"site": self._site.url, "origin": address, "reason": reason},
            )

    def _passed_over(self, turn: Turn, raw_path: str, error: Exception) -> OriginError:
        """Why the next address is asked. Raises it if that must not be.

        Only a server that was not there is passed over: one that answered badly has had the request.
        """
        translated = _translated(error)
        if turn.patience_seconds and isinstance(translated, OriginTimeout):
            self._addresses.note_silent(turn.address, raw_path, time.monotonic())
            translated = OriginUnreachable(f"still nothing within {turn.patience_seconds:g} s")
        if _is_without_connection(error):
            self._put_last(turn.address, str(translated))
        if not isinstance(translated, OriginUnreachable):
            raise translated from error
        return translated

    async def aclose(self) -> None:
        """Close every connection."""
        for _, transport in self._transports.values():
            await transport.aclose()


async def _whole(stream: Stream, large: asyncio.Semaphore) -> Answer:
    stream.check_length()
    body = Body()
    async with AsyncExitStack() as turn:
        async for piece in stream.chunks():
            if body.size <= LARGE_BYTES < body.size + len(piece):
                await turn.enter_async_context(large)
            body.add(piece)
        return _answer(stream, body.whole())


class Body:
    """A body as it comes. What grows in one piece is copied as it grows, and the room of each copy is held for a while.

    But for crumbs, which may be millions, and take more room each by itself than what they say.
    """

    def __init__(self) -> None:
        self.size = 0
        """In bytes."""
        self._pieces: list[bytes] = []
        self._crumbs = bytearray()

    def add(self, piece: bytes) -> None:
        """Append what came."""
        self.size += len(piece)
        if len(piece) >= CRUMB_BYTES:
            self._gather()
            self._pieces.append(piece)
        else:
            self._crumbs += piece
            if len(self._crumbs) >= PIECE_BYTES:
                self._gather()

    def _gather(self) -> None:
        if self._crumbs:
            self._pieces.append(bytes(self._crumbs))
            self._crumbs.clear()

    def whole(self) -> bytes:
        """All that came."""
        self._gather()
        return b"".join(self._pieces)


def _answer(stream: Stream, body: bytes) -> Answer:
    return Answer(
        status=stream.status,
        headers=stream.headers,
        body=body,
        is_framed=stream.is_framed,
        origin=str(stream.origin),
        seconds=time.monotonic() - stream.started,
    )


class _Response(aiohttp.ClientResponse):
    """An answer whose reason phrase httpx can take: it wants UTF-8, and fails on anything else with the answer open."""

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        await super().start(connection)
        try:
            (self.reason or "").encode()
        except UnicodeEncodeError:
            raise aiohttp.ClientResponseError(
                self.request_info, self.history, status=self.status, message="the reason phrase is not UTF-8"
            ) from None
        return self


def _field(name: bytes, value: bytes) -> tuple[str, str]:
    """A header field as text. Plugins and servers put a permalink into Location as it is, in UTF-8."""
    lower_name = name.decode("latin-1").lower()
    if lower_name == "location":
        try:
            return lower_name, value.decode()
        except UnicodeDecodeError:
            pass
    return lower_name, value.decode("latin-1")


def _body_of(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous transport answers with an asynchronous stream")
    return response.stream


def _transport(origin: Origin, site: Site) -> AiohttpTransport:
    connections = site.concurrency + 2  # The sitemaps are read, and the journal is asked, beside the pages.

    def session() -> aiohttp.ClientSession:
        connector: aiohttp.BaseConnector
        if origin.scheme == "unix":
            connector = aiohttp.UnixConnector(
                path=str(origin.socket_path), limit=connections, keepalive_timeout=KEEP_ALIVE_SECONDS
            )
        else:
            connector = aiohttp.TCPConnector(
                limit=connections, keepalive_timeout=KEEP_ALIVE_SECONDS, ssl=transport.ssl_context
            )
        expect_one_answer(connector, str(origin))
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            response_class=_Response,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_FIELDS,
            trace_configs=[_sent_once()],
        )

    # The system's authorities, to which a host adds its own, and not those of a package. Reading them takes time: only
    # for an origin that shows a certificate.
    verify = ssl.create_default_context() if origin.scheme == "https" else False
    transport = AiohttpTransport(client=session, verify=verify, trust_env=False)
    return transport


def _sent_once() -> aiohttp.TraceConfig:
    """Keeps aiohttp from sending a request anew that went out on a new connection: the server has had it.

    One that had been kept the server may have closed in the same moment; aiohttp makes no difference between them.
    """
    trace = aiohttp.TraceConfig()

    async def begin(_session: object, request: SimpleNamespace, _event: object) -> None:
        if getattr(request, "is_sent", False):
            raise aiohttp.ServerDisconnectedError

    async def end(_session: object, request: SimpleNamespace, _event: object) -> None:
        request.is_sent = True

    trace.on_connection_create_start.append(begin)
    trace.on_connection_create_end.append(end)
    return trace


def _cause_of(error: Exception) -> Exception:
    """What happened below httpx-aiohttp, which names some kinds wrongly."""
    return error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError | OSError) else error


def _is_without_connection(error: Exception) -> bool:
    """True if the address could not be connected to at all."""
    return isinstance(_cause_of(error), aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def _said_of_tls(cause: aiohttp.ClientSSLError, text: str) -> str:
    """What is wrong with a connection that should be encrypted, and what to do."""
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return f"{text}. {_ON_CERTIFICATES}"
    return "no TLS is spoken there: write http:// if that is meant" if "WRONG_VERSION_NUMBER" in text else text


def _translated(error: Exception) -> OriginError:
    """The foreign error in our words."""
    cause = _cause_of(error)
    text = brief(_TLS_SETTINGS.sub("", str(cause)) or type(cause).__name__)
    match cause:
        case aiohttp.ClientPayloadError():
            return AnswerIncomplete(f"the body ended too early: {text}")
        case aiohttp.ConnectionTimeoutError():
            return OriginUnreachable("no connection in time")
        case aiohttp.ServerTimeoutError() | TimeoutError() | httpx.TimeoutException():
            return OriginTimeout(text)
        case aiohttp.ServerDisconnectedError():
            return OriginUnreachable("the connection was closed before any answer")
        case aiohttp.ClientResponseError() | AnswerBroken():
            return AnswerMalformed(f"not HTTP: {brief(getattr(cause, 'message', '')) or text}")
        case aiohttp.ClientSSLError():
            return OriginUnreachable(_said_of_tls(cause, text))
        case aiohttp.ClientConnectionError() | OSError():
            return OriginUnreachable(text)
        case httpx.UnsupportedProtocol() | httpx.InvalidURL() | httpx.ProtocolError():
            return AnswerMalformed(text)
        case httpx.TransportError():
            return OriginUnreachable(text)
        case _:
            return OriginError(text)
