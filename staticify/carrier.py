"""aiohttp, which carries the bytes, and its transport for httpx: imported without the certificates it never needs.

aiohttp reads all of the system's certificates twice as it is imported, for two TLS contexts of its own, which costs
40 to 57 ms of every start. Nothing here uses them: each connector is handed the context that it shall use, or none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

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

__all__ = ("AiohttpTransport", "aiohttp")
