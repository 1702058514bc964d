"""What `staticify purge` does: tell the running daemon which pages to render anew, as WordPress tells it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import secrets
import time
from datetime import UTC, datetime

from staticify.address import Origin
from staticify.brief import brief
from staticify.carrier import aiohttp
from staticify.config import Config, Site
from staticify.errors import ConfigError, Fault, WebhookError
from staticify.orders import Order
from staticify.signature import sign

TIMEOUT_SECONDS = 5.0
"""From the first byte to the last."""
MAX_ANSWER_BYTES = 4096
_SHOWN_CHARACTERS = 100
"""Of what a stranger says."""


async def tell(config: Config, site: Site, order: Order) -> int:
    """Send an order to the daemon's webhook. Returns how many pages that is.

    Raises WebhookError if it refuses or is not there, ConfigError without one.
    """
    if config.listen is None or not site.secrets:
        missing = "[webhook] listen" if config.listen is None else f"`secrets` of {site.url}"
        raise ConfigError(
            str(config.source),
            [Fault("", f"the daemon can only be told with {missing}")],
            hint="Until then: a page is fetched anew each interval by itself",
        )
    data = {"site": site.url, "urls": order.urls, "tags": order.tags, "all": order.is_everything}
    message = {"type": "purge", "timestamp": datetime.now(UTC).isoformat(timespec="seconds"), "data": data}
    body = json.dumps(message).encode()
    fields = sign(site.secrets, secrets.token_hex(16), time.time(), body)
    try:
        fields = {"Content-Type": "application/json", **fields}
        post = _post_as_balancer if config.proxy_protocol_from and config.listen.scheme != "unix" else _post
        status, content = await post(config.listen, body, fields)
    except TimeoutError:
        raise WebhookError(f"{config.listen} does not answer within {TIMEOUT_SECONDS:.0f} s", hint=_HINT) from None
    except (aiohttp.ClientError, OSError) as error:
        raise WebhookError(f"nobody answers at {config.listen}{_why(error)}", hint=_HINT) from None
    if status != 202:
        hint = "Does it run with this configuration?" if status == 401 else ""
        if (reason := _reason_of(content)) is None:
            line = brief(content.strip().partition("\n")[0].strip(), _SHOWN_CHARACTERS)
            raise WebhookError(
                f"what answers at {config.listen} is no staticify: {status} {line}".rstrip(),
                hint="End the process that listens there, or choose another [webhook] listen",
            )
        raise WebhookError(f"the daemon refuses: {status} {reason}", hint=hint)
    try:
        return int(json.loads(content)["pages"])
    except _UNREADABLE:
        shown = brief(content, _SHOWN_CHARACTERS)
        raise WebhookError(f"the daemon's answer is not understood: {shown}", hint=_VERSION_HINT) from None


_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)
"""What comes of an answer that is not the daemon's JSON."""
_HINT = "Is `staticify run` running?"
_VERSION_HINT = "Is it of this version? Restart it after an upgrade"


def _reason_of(content: str) -> str | None:
    """What a daemon says of its refusal; None if no daemon says it."""
    try:
        said = json.loads(content)
        # A word: for others that answer in JSON it is the number of HTTP.
        return str(said.get("reason", said["status"])) if isinstance(said["status"], str) else None
    except _UNREADABLE:
        return None


def _why(error: Exception) -> str:
    """What the hint does not say: nothing, where nobody listens."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    number = cause.errno if isinstance(cause, OSError) else None
    if number in {errno.ECONNREFUSED, errno.ENOENT}:
        return ""
    return f": {os.strerror(number) if number else cause}"


async def _post(listen: Origin, body: bytes, fields: dict[str, str]) -> tuple[int, str]:
    # Not by httpx: below it, a socket that nobody listens on is never closed.
    connector = aiohttp.UnixConnector(listen.socket_path) if listen.scheme == "unix" else aiohttp.TCPConnector()
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session,
        session.post(f"{listen.base_url}/purge", data=body, headers=fields, allow_redirects=False) as answer,
    ):
        return answer.status, (await answer.content.read(MAX_ANSWER_BYTES)).decode(errors="replace")


async def _post_as_balancer(listen: Origin, body: bytes, fields: dict[str, str]) -> tuple[int, str]:
    """The same where each connection has to begin with a load balancer's header: we speak for nobody but ourselves."""
    # Nothing that speaks HTTP for us sends anything before it.
    lines = {"Host": f"localhost:{listen.port}", "Content-Length": str(len(body)), "Connection": "close", **fields}
    header = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    async with asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection(listen.host, listen.port)
        try:
            writer.write(f"PROXY UNKNOWN\r\nPOST /purge HTTP/1.1\r\n{header}\r\n".encode() + body)
            status_line = await reader.readline()
            while await reader.readline() not in {b"\r\n", b""}:
                pass
            reason = await reader.read(MAX_ANSWER_BYTES)
        except ConnectionResetError:
            status_line = b""
        finally:
            writer.close()
    if not status_line.startswith(b"HTTP/1.1 "):
        # Closed without a word, most likely.
        raise ConnectionResetError("our own address is none of [webhook] proxy_protocol_from, or it is another program")
    return int(status_line.split()[1]), reason.decode(errors="replace")
