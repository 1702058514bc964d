"""aiohttp, which carries the bytes, and its transport for httpx, both without what costs time and is of no use here.

aiohttp reads all of the system's certificates twice as it is imported, for two TLS contexts of its own, which costs
40 to 57 ms of every start. Nothing here uses them: each connector is handed the context that it shall use, or none.

The transport hands a body on in pieces of 16 KiB: what was read at once is cut up, copied, and sent through five
coroutines piece by piece, which took a tenth of the fetch of a page of 128 KiB.

What asyncio reads at once, up to 256 KiB, whatever a socket's buffer and TLS have, may be ten thousand answers to one
request: to read them held up everything for a tenth of a second, and over TLS for a third.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

BODY_BYTES = 64 * 1024
"""Of a body in a piece."""
PARSED_BYTES = 16 * 1024
"""Given to the parser at a time: some 600 of the shortest answers, which take it 7 ms."""
MAX_UNREAD_ANSWERS = 64
"""Of one connection. A server has one for each request, after few interim ones (RFC 9110, 15.2)."""
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
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.http_exceptions import HttpProcessingError
    from httpx_aiohttp import AiohttpTransport
    from httpx_aiohttp.transport import AiohttpResponseStream

AiohttpResponseStream.CHUNK_SIZE = BODY_BYTES


class _Handler(ResponseHandler):
    """Gives up on a server that sends answers without end."""

    def data_received(self, data: bytes) -> None:
        """Hand on what came, piece by piece."""
        for start in range(0, max(1, len(data)), PARSED_BYTES):
            super().data_received(data[start : start + PARSED_BYTES])
            if len(self) > MAX_UNREAD_ANSWERS:
                if self.transport is not None:
                    self.transport.abort()
                self.set_exception(HttpProcessingError(message=f"over {MAX_UNREAD_ANSWERS} answers to one request"))
            if self.exception() is not None:
                return


def let_no_answers_flood(connector: aiohttp.BaseConnector) -> None:
    """Have the connections of a connector end where a server sends answers without end.

    aiohttp has no other place to say so than what it keeps to itself: a test sees whether it still does.
    """
    handler: type[ResponseHandler] = _Handler
    connector._factory = partial(handler, loop=asyncio.get_running_loop())  # noqa: SLF001


__all__ = ("AiohttpTransport", "aiohttp", "let_no_answers_flood")
