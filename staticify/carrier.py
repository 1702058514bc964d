"""aiohttp, which carries the bytes, and its transport for httpx, both without what costs time and is of no use here.

aiohttp reads all of the system's certificates twice as it is imported, for two TLS contexts of its own, which costs
40 to 57 ms of every start. Nothing here uses them: each connector is handed the context that it shall use, or none.

The transport hands a body on in pieces of 16 KiB: what was read at once is cut up, copied, and sent through five
coroutines piece by piece, which took a tenth of the fetch of a page of 128 KiB.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

READ_BYTES = 64 * 1024
"""From a connection at a time, and of a body in a piece."""
READ_BYTES_OF_FIELDS = 16 * 1024
"""The same until the header section is there: asyncio's 256 KiB are ten thousand interim answers, which hold up
everything for a tenth of a second."""
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
    from httpx_aiohttp import AiohttpTransport
    from httpx_aiohttp.transport import AiohttpResponseStream

AiohttpResponseStream.CHUNK_SIZE = READ_BYTES

__all__ = ("READ_BYTES", "READ_BYTES_OF_FIELDS", "AiohttpTransport", "aiohttp")
