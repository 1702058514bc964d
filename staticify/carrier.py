"""aiohttp, which carries the bytes, and its transport for httpx, both without what costs time and is of no use here.

aiohttp reads all of the system's certificates twice as it is imported, for two TLS contexts of its own, which costs
40 to 57 ms of every start. Nothing here uses them: each connector is handed the context that it shall use, or none.

The transport would hand a body on in pieces of 16 KiB: what was read at once is cut up, copied, and sent through five
coroutines piece by piece, which took a tenth of the fetch of a page of 128 KiB.

A connection that brings more than one answer to one request is given up. aiohttp hands a connection back as soon as a
body is whole, and takes what comes behind it for the answer to the next request: another page's. And what asyncio reads
at once, up to 256 KiB, may be ten thousand interim answers, which held up everything for a tenth of a second, over TLS
for a third.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

log = logging.getLogger(__name__)

BODY_BYTES = 64 * 1024
"""Of a body in a piece."""
PARSED_BYTES = 16 * 1024
"""Given to the parser at a time: some 600 of the shortest answers, which take it 7 ms."""
MAX_INTERIM_ANSWERS = 64
"""To one request (RFC 9110, 15.2). Servers send one or two."""
_TIMED_OUT = "408 of a connection that was not used"
"""A server's good-bye (RFC 9110, 15.5.9), which is no answer to anything."""
_CERTIFICATES = "SSL_CERT_FILE"
"""OpenSSL's own name for the file that it reads instead of the system's."""


@contextmanager
def _no_certificates() -> Iterator[None]:
    before = os.environ.get(_CERTIFICATES)
    os.environ[_CERTIFICATES] = os.devnull
    try:
        yield
    finally:
        del os.environ[_CERTIFICATES]
        if before is not None:
            os.environ[_CERTIFICATES] = before


with _no_certificates():
    import aiohttp
    import httpx_aiohttp.transport
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader
    from httpx_aiohttp.transport import AiohttpTransport, map_aiohttp_exceptions


class _Stream(httpx_aiohttp.transport.AiohttpResponseStream):
    """A body in pieces that are not small, but for crumbs."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with map_aiohttp_exceptions():
            async for piece in self._aiohttp_response.content.iter_any():
                # Whoever inflates holds what is left of a piece, and copies it.
                for start in range(0, len(piece), BODY_BYTES):
                    yield piece[start : start + BODY_BYTES]
                # aiohttp never waits as long as there is something left, which may be 40,000 chunks of a byte. Others
                # get their turn between crumbs only: bodies that are inflated by turns take the room of all of them.
                if len(piece) < PARSED_BYTES:
                    await asyncio.sleep(0)


# The transport makes one for each answer, and has no other place to say which.
httpx_aiohttp.transport.AiohttpResponseStream = _Stream  # type: ignore[misc]


class AnswerBroken(aiohttp.ClientError):
    """What came is not one answer to one request."""


class _Care:
    """What the connections to one address know of each other."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.is_used_once = False
        """A server that sent more than one answer will do so again, and maybe when the next request is on its way."""

    def take(self, surplus: str) -> None:
        """Have each connection be used once from now on."""
        if not self.is_used_once:
            said = {"origin": self._address, "reason": surplus}
            log.warning("not one answer to one request: each connection is used once from now on", extra=said)
        self.is_used_once = True


class _Handler(ResponseHandler):
    """One connection, which has one answer for each request, and ends otherwise."""

    def __init__(self, loop: asyncio.AbstractEventLoop, care: _Care) -> None:
        super().__init__(loop)
        self._care = care
        self._interim_answers = 0
        self._answer: StreamReader | None = None
        """The body of the answer to the last request, which is not interim, once its header section is there."""
        self._surplus = ""
        self._is_given_up = False

    @property
    def should_close(self) -> bool:
        """True if no other request may use it."""
        return self._care.is_used_once or super().should_close

    def is_connected(self) -> bool:
        """True if it can be used. Whatever has come after an answer is no answer to the next request."""
        return super().is_connected() and not (self._is_answered() and _has_come(self.transport))

    def set_response_params(self, **params: Any) -> None:
        """Expect an answer."""
        self._interim_answers, self._answer = 0, None
        super().set_response_params(**params)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take an answer from the parser, whose body may be still to come."""
        message, body = data
        if self._answer is not None:
            is_good_bye = message.code == HTTPStatus.REQUEST_TIMEOUT
            self._surplus = _TIMED_OUT if is_good_bye else "another answer behind the answer"
        elif 100 <= message.code < 200 and message.code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._interim_answers += 1
            if self._interim_answers > MAX_INTERIM_ANSWERS:
                self._surplus = f"over {MAX_INTERIM_ANSWERS} interim answers"
        else:
            self._answer = body
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Give the parser what came, in pieces. Empty data has it go on with what it was given."""
        for start in range(0, max(1, len(data)), PARSED_BYTES):
            if self._is_given_up:
                return
            piece = data[start : start + PARSED_BYTES]
            # Line ends behind a body are an old habit (RFC 9112, 2.2).
            if self._is_answered() and piece.strip(b"\r\n"):
                self._surplus = self._surplus or (_TIMED_OUT if piece[8:13] == b" 408 " else "more than the answer")
            if not self._surplus:
                super().data_received(piece)
            fault = self.exception()
            if self._surplus or fault is not None:
                self._give_up(getattr(fault, "message", "") or self._surplus or str(fault))

    def _is_answered(self) -> bool:
        return self._answer is not None and self._answer.is_eof()

    def _give_up(self, fault: str) -> None:
        """End the connection, and whoever waits for an answer or reads one. aiohttp tells one of the two."""
        self._is_given_up = True
        self.force_close()
        if self.transport is not None:
            self.transport.abort()
        if self._surplus == _TIMED_OUT:
            return
        if self._surplus:
            self._care.take(self._surplus)
        error = AnswerBroken(fault)
        if self.exception() is None:
            self.set_exception(error)
        if self._answer is not None:
            self._answer.set_exception(error)


def _has_come(transport: asyncio.BaseTransport | None) -> bool:
    """True if there is something to read, or the end."""
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is None:
        return False
    look = select.poll()
    look.register(connection, select.POLLIN)
    return bool(look.poll(0))


def expect_one_answer(connector: aiohttp.BaseConnector, address: str) -> None:
    """Have the connections of a connector, all to one address, end that bring more than one answer to one request.

    aiohttp has no other place to say so than what it keeps to itself: a test sees whether it still does.
    """
    handler: Callable[..., ResponseHandler] = _Handler
    connector._factory = partial(handler, loop=asyncio.get_running_loop(), care=_Care(address))  # noqa: SLF001


__all__ = ("AiohttpTransport", "AnswerBroken", "aiohttp", "expect_one_answer")
