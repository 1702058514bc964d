"""The webhook: WordPress and operators say what to look at now; only who knows a site's secret is believed.

Everything else that a local process may send is refused by a name and a status, and costs a bounded amount of bytes,
time and work. The signatures are those of `signature`; what is said is JSON (deploy/wordpress/PROTOCOL.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import json
import logging
import math
import os
import re
import socket
import stat
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from staticify.address import Origin
from staticify.errors import SignatureRefused, UrlError, WebhookError
from staticify.proxy_protocol import read_proxy_header
from staticify.signature import ID_FIELD, SIGNATURE_FIELD, TIMESTAMP_FIELD, Secret, check
from staticify.tags import is_tag
from staticify.urls import parse_page

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 1024
MAX_HEADER_BYTES = 8 * 1024
MAX_RECEIVED_BYTES = 256 * 1024
"""Of one connection, with what is thrown away."""
READ_BYTES = 1024
"""At once, of one connection: then the others have their turn, and all that the daemon does beside."""
HEADER_SECONDS = 2.0
"""From the connection to the header's end, with what a load balancer says before it."""
BODY_SECONDS = 2.0
"""From the header's end until the connection is closed: body, answer, and what comes too late."""
STOP_SECONDS = 0.4
"""For requests that are half here when the webhook stops."""
MAX_CONNECTIONS = 256
TAKEN_IN_AT_ONCE = 64
"""New connections: few beside MAX_CONNECTIONS, so that one is read before it is among the oldest."""
MAX_WAITING = 512
"""Connections that wait in the kernel to be taken in. One more, and a sender on a socket is told to come again."""
MESSAGES_PER_SECOND, MESSAGES_AT_ONCE = 50.0, 200.0
PROBES_PER_SECOND, PROBES_AT_ONCE = 10.0, 20.0
VISITOR_PER_SECOND, VISITOR_AT_ONCE = 5.0, 20.0
"""Of all these, where a load balancer says who asks: one visitor's, who takes nothing from the others."""
MAX_VISITORS = 1024
"""Those that are remembered. Who is forgotten begins anew, within what all have together."""
VISITOR_IPV6_BITS = 64
"""What one visitor has to choose addresses from."""
MAX_ITEMS = 1000
"""URLs of one message, and tags."""
SAY_SECONDS = 60.0
"""How often a refusal of one name is logged at the most."""

SOCKET_MODE = 0o660

# Whether it is a page is for others to say. Nothing that could harm a log or a terminal, no half a surrogate pair.
_URL = re.compile("[^\x00-\x20\x7f-\x9f\ud800-\udfff]{1,8192}")
_SIGNED_FIELDS = (ID_FIELD, TIMESTAMP_FIELD, SIGNATURE_FIELD)

Kind = Literal["changes", "purge"]


@dataclass(frozen=True, slots=True)
class Call:
    """What a good message asks for."""

    site: str
    """A site's URL as it is configured."""
    kind: Kind
    urls: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    everything: bool = False


class Refused(Exception):
    """A request is not done. `name` is a fixed word to count by."""

    def __init__(self, status: int, name: str, reason: str, *, retry_seconds: int = 0, is_unread: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.name = name
        self.retry_seconds = retry_seconds
        self.is_unread = is_unread
        """The body has not ended."""


# --- What a message says ---------------------------------------------------------------------------------------------


def read_call(
    kind: Kind, secrets: Mapping[str, tuple[Secret, ...]], fields: Mapping[str, str], body: bytes, now: float
) -> tuple[str, Call]:
    """The id of a message and what it asks for. Raises Refused.

    `secrets` has those of each site: a message speaks for the sites whose secret signed it, and for no other.
    `fields` has lower-case names. Whether the id was seen before is for the caller to know.
    """
    message_id = ""
    authorised = []
    reason: SignatureRefused | None = None
    for site, its_secrets in secrets.items():
        try:
            message_id = check(its_secrets, fields, body, now)
            authorised.append(site)
        except SignatureRefused as refused:
            reason = refused
    if not authorised:
        name = reason.name if reason else "forged"
        raise Refused(401, name, str(reason))
    call = _parse(kind, body)
    for site in authorised:
        if site == call.site or _named(site) == _named(call.site):
            return message_id, replace(call, site=site)
    raise Refused(403, "other-site", "the secret that signed this is not one of the site that it names")


def _named(site: str) -> str:
    """A site without what may differ between its own name and ours: WordPress behind a proxy may think it is http."""
    try:
        page = parse_page(site)
    except UrlError:
        return site
    return f"{page.netloc}{page.path.removesuffix('/')}"


def _parse(kind: Kind, body: bytes) -> Call:
    try:
        # Of bytes, json would guess whether they are UTF-16.
        message = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise Refused(400, "not-json", "the body is not JSON in UTF-8") from None
    if not isinstance(message, dict):
        raise _wrong("the message is no object")
    if message.get("type") != kind:
        raise Refused(400, "other-type", f'"type" must be "{kind}" here')
    data = message.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("site"), str):
        raise _wrong('"data" must be an object with the "site", a text')
    if kind == "changes":
        # What else it says is not used: the journal is asked.
        return Call(data["site"], kind)
    if unknown := data.keys() - {"site", "urls", "tags", "all"}:
        raise _wrong(f'"data" has {len(unknown)} keys that nobody knows')
    everything = data.get("all", False)
    if not isinstance(everything, bool):
        raise _wrong('"all" must be true or false')
    return Call(
        data["site"],
        kind,
        _texts(data, "urls", lambda text: _URL.fullmatch(text) is not None),
        _texts(data, "tags", is_tag),
        everything,
    )


def _texts(data: Mapping[str, object], key: str, is_good: Callable[[str], bool]) -> tuple[str, ...]:
    items = data.get(key, [])
    if not isinstance(items, list) or len(items) > MAX_ITEMS:
        raise _wrong(f'"{key}" must be a list of {MAX_ITEMS} at the most')
    if not all(isinstance(item, str) and is_good(item) for item in items):
        raise _wrong(f'"{key}" holds what is none')
    return tuple(items)


def _wrong(reason: str) -> Refused:
    return Refused(400, "wrong-shape", reason)


# --- Who listens -----------------------------------------------------------------------------------------------------


class Webhook:
    """Listens at one address from `start` until `stop`.

    On a socket, mode 0660: who may write to it is PHP's user when the two share a group, either because PHP's user is
    in staticify's, or because the directory has PHP's group and the set-group-ID bit. The directory is not made here:
    who may enter it is the operator's to say.
    """

    def __init__(
        self,
        listen: Origin,
        secrets: Mapping[str, tuple[Secret, ...]],
        *,
        on_call: Callable[[Call], int | None],
        take_id: Callable[[str, float], bool],
        health: Callable[[], Mapping[str, object]],
        proxy_protocol_from: Sequence[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._listen = listen
        self._secrets = secrets
        self._on_call = on_call
        """Returns how many pages a purge is about."""
        self._take_id = take_id
        self._health = health
        self._now = now
        # A socket has no addresses: who may write to it is known by its directory.
        networks = () if listen.scheme == "unix" else proxy_protocol_from
        self._balancers = tuple(ipaddress.ip_network(network) for network in networks)
        """Who must say by the PROXY protocol who the visitor is; none: nobody is asked to."""
        self._visitors = _Visitors()
        self._tally = _Tally()
        self._messages = _Bucket(MESSAGES_PER_SECOND, MESSAGES_AT_ONCE)
        self._probes = _Bucket(PROBES_PER_SECOND, PROBES_AT_ONCE)
        self._state = ServerState()
        self._crowd: dict[_Connection, None] = {}
        """Every connection, the oldest first."""
        self._server: asyncio.Server | None = None
        self._socket_file: tuple[int, int] | None = None
        """The file that was made, if it is still there: another process may have put its own in that place."""

    async def start(self) -> None:
        """Begin to listen. Raises WebhookError."""
        if not any(self._secrets.values()):
            raise WebhookError("no site has a secret, so that no webhook could be believed", hint="Set `secrets`")
        listening = self._bound()
        try:
            config = self._configured()
            self._server = await asyncio.get_running_loop().create_server(
                lambda: _Connection(config, self._state, self._tally, self._crowd, self._balancers),
                sock=listening,
                backlog=TAKEN_IN_AT_ONCE,
            )
            # For asyncio the two are one number; it has told the kernel of the other.
            listening.listen(MAX_WAITING)
        except OSError as error:
            listening.close()
            self._remove_file()
            raise _cannot(self._listen, error) from None

    async def stop(self) -> None:
        """Listen no more. Requests that are here are answered; who is slow is cut off. Within a second."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._remove_file()
        for connection in list(self._crowd):
            if connection.cycle is None:
                connection.transport.abort()
        await self._drain()
        for connection in list(self._crowd):
            connection.transport.abort()
        # Whoever waits for the rest of a body is told now that there is none.
        await self._drain()

    def counts(self) -> Mapping[str, int]:
        """How many messages were accepted, and how many requests refused, by name."""
        return {"accepted": 0, **self._tally.counts}

    async def _drain(self) -> None:
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=STOP_SECONDS)

    # --- Requests ---

    def _configured(self) -> Config:
        """The ASGI server's part: none of its signals, logs and headers; one request a connection."""
        app = Starlette(
            routes=[
                Route("/webhook", self._changes, methods=["POST"]),
                Route("/purge", self._purge, methods=["POST"]),
                Route("/healthz", self._probe, methods=["GET"]),
            ],
            exception_handlers={
                Refused: self._refuse,
                HTTPException: self._refuse_path,
                # Nobody is there to read it. Whom we cut off is counted there.
                ClientDisconnect: lambda *_: _answer(400, {"status": "gone"}),
                Exception: self._fail,
            },
        )
        app.router.redirect_slashes = False
        config = Config(
            app,
            interface="asgi3",
            ws="none",
            lifespan="off",
            workers=1,
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            # It logs a line for each thing that is no HTTP, and our own faults a second time.
            log_level=logging.CRITICAL,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        config.load()
        return config

    async def _changes(self, request: Request) -> JSONResponse:
        return await self._take(request, "changes")

    async def _purge(self, request: Request) -> JSONResponse:
        return await self._take(request, "purge")

    async def _take(self, request: Request, kind: Kind) -> JSONResponse:
        body = await _body_of(request)
        # After the body, lest it be taken from the others by who only promises one.
        self._take_turn(request)
        self._messages.take()
        fields = {name: ", ".join(request.headers.getlist(name)) for name in _SIGNED_FIELDS}
        now = self._now()
        message_id, call = read_call(kind, self._secrets, fields, body, now)
        # Last of all: only who knows a secret can fill the memory of ids.
        if not self._take_id(message_id, now):
            raise Refused(409, "replayed", "this message was here before")
        pages = self._on_call(call)
        self._tally.counts["accepted"] += 1
        return _answer(202, {"status": "accepted"} if pages is None else {"status": "accepted", "pages": pages})

    async def _probe(self, request: Request) -> JSONResponse:
        self._take_turn(request)
        self._probes.take()
        health = self._health()
        return _answer(200 if health.get("ok", True) else 503, health)

    def _take_turn(self, request: Request) -> None:
        """Raises Refused for a visitor who asks too often. Without a load balancer all are local, and one."""
        if self._balancers and request.client:
            self._visitors.take(request.client.host)

    def _refuse(self, request: Request, refused: Exception) -> JSONResponse:
        assert isinstance(refused, Refused)  # noqa: S101  registered for it
        self._tally.refuse(refused.name, request.client.host if self._balancers and request.client else "")
        content = {"status": "refused", "name": refused.name, "reason": str(refused)}
        answer = _answer(refused.status, content, of=_Early if refused.is_unread else JSONResponse)
        if refused.retry_seconds:
            answer.headers["retry-after"] = str(refused.retry_seconds)
        return answer

    def _refuse_path(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for it
        is_method = error.status_code == 405
        name, reason = ("method", "not by this method") if is_method else ("path", "nothing is here")
        answer = self._refuse(request, Refused(error.status_code, name, reason))
        answer.headers.update(error.headers or {})
        return answer

    def _fail(self, request: Request, error: Exception) -> JSONResponse:
        del request
        if self._tally.count("failed"):
            log.error("a webhook could not be dealt with", exc_info=error)
        return _answer(500, {"status": "failed"})

    # --- The address ---

    def _bound(self) -> socket.socket:
        if self._listen.scheme == "unix":
            return self._bound_file(self._listen.socket_path)
        return _bound_port(self._listen)

    def _bound_file(self, path: str) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX)
        try:
            try:
                listening.bind(path)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                _check_socket(self._listen)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                listening.bind(path)
            found = os.lstat(path)
            self._socket_file = (found.st_dev, found.st_ino)
            # Nobody can connect before it listens, so that nobody can before this.
            os.chmod(path, SOCKET_MODE)
        except OSError as error:
            listening.close()
            self._remove_file()
            raise _cannot(self._listen, error) from None
        except WebhookError:
            listening.close()
            raise
        return listening

    def _remove_file(self) -> None:
        made, self._socket_file = self._socket_file, None
        with contextlib.suppress(OSError):
            found = os.lstat(self._listen.socket_path)
            if (found.st_dev, found.st_ino) == made:
                os.unlink(self._listen.socket_path)


def check_address(listen: Origin) -> None:
    """Raise WebhookError if nobody could listen there now. Makes nothing, and takes nothing away."""
    if listen.scheme != "unix":
        _bound_port(listen).close()
        return
    path = Path(listen.socket_path)
    try:
        if not stat.S_ISDIR(os.stat(path.parent).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if os.path.lexists(path):
            _check_socket(listen)
    except OSError as error:
        raise _cannot(listen, error) from None


def _bound_port(listen: Origin) -> socket.socket:
    # A name could lead anywhere; of this one RFC 6761 section 6.3 says where.
    host = "127.0.0.1" if listen.host == "localhost" else listen.host
    if listen.scheme != "http" or not _is_loopback(host):
        raise WebhookError(f"{listen} is not an address to listen on", hint="Write http://127.0.0.1:PORT or unix:/PATH")
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        # The connections of the process before may still be waiting for their ends.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, listen.port))
    except OSError as error:
        listening.close()
        raise _cannot(listen, error) from None
    return listening


def _check_socket(listen: Origin) -> None:
    """Raise WebhookError unless what stands at a path is the socket of a process that died. Raises OSError."""
    path = listen.socket_path
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise WebhookError(f"{path} is there, and no socket", hint="Choose another path for [webhook] listen")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except BlockingIOError:
            pass  # Somebody listens who has much to do.
    raise _cannot(listen, OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)))


def _cannot(listen: Origin, error: OSError) -> WebhookError:
    hints = {
        errno.EADDRINUSE: "Another process listens there: end it, or choose another address",
        errno.EADDRNOTAVAIL: "This machine has no such address",
        errno.ENOENT: "Make the directory: staticify's user must be able to write in it, PHP's to enter it",
        errno.ENOTDIR: "Choose a path below a directory",
        errno.EROFS: "Choose a directory that is not mounted read-only; under systemd, one of ReadWritePaths",
    }
    denied = (
        "Let staticify's user write in the directory"
        if listen.scheme == "unix"
        else "Ports below 1024 are for root: choose another one"
    )
    hint = denied if error.errno in {errno.EACCES, errno.EPERM} else hints.get(error.errno or 0, "")
    return WebhookError(f"cannot listen on {listen}: {error.strerror or error}", hint=hint)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _body_of(request: Request) -> bytes:
    """The whole body. Raises Refused, or ClientDisconnect if it did not come to its end."""
    # h11 has seen to it that it is a number.
    declared = int(request.headers.get("content-length", "0"))
    body = bytearray()
    is_unread = True
    while is_unread:
        if max(declared, len(body)) > MAX_BODY_BYTES:
            break
        message = await request.receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message["body"]
        is_unread = message["more_body"]
    if max(declared, len(body)) > MAX_BODY_BYTES:
        reason = f"over the {MAX_BODY_BYTES} bytes that a message may have"
        raise Refused(413, "too-large", reason, is_unread=is_unread)
    return bytes(body)


def _answer(status: int, content: Mapping[str, Any], *, of: type[JSONResponse] = JSONResponse) -> JSONResponse:
    # One request a connection: nobody here has a second one, and nothing hides behind the first.
    return of(
        content,
        status_code=status,
        headers={"date": formatdate(usegmt=True), "cache-control": "no-store", "connection": "close"},
    )


class _Early(JSONResponse):
    """An answer before the request's end. What is still coming is thrown away, or it would reset the connection before
    the answer was read (RFC 9112 section 9.6).
    """  # noqa: D205

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Bucket:
    """So many a second, and so many at once."""

    def __init__(self, per_second: float, at_once: float) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._left = at_once
        self._filled_at = time.monotonic()

    def take(self) -> None:
        """Take one. Raises Refused if there is none."""
        now = time.monotonic()
        self._left = min(self._at_once, self._left + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._left < 1:
            wait_seconds = math.ceil((1 - self._left) / self._per_second)
            raise Refused(429, "too-many", "more than the rate allows", retry_seconds=wait_seconds)
        self._left -= 1


class _Visitors:
    """A bucket for each visitor who was here lately."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, address: str) -> None:
        """Take one of a visitor's. Raises Refused if there is none."""
        visitor = str(ipaddress.ip_network((address, VISITOR_IPV6_BITS), strict=False)) if ":" in address else address
        bucket = self._buckets.pop(visitor, None) or _Bucket(VISITOR_PER_SECOND, VISITOR_AT_ONCE)
        self._buckets[visitor] = bucket
        if len(self._buckets) > MAX_VISITORS:
            self._buckets.popitem(last=False)
        bucket.take()


class _Tally:
    """Counts by name, and tells of each name once a minute at the most."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._said: dict[str, tuple[float, int]] = {}
        """When a name was logged last, and its count then."""

    def refuse(self, name: str, visitor: str = "") -> None:
        """Count a refusal, of a visitor where a load balancer says who it is."""
        _, before = self._said.get(name, (0.0, 0))
        if self.count(name):
            of = {"visitor": visitor} if visitor else {}
            log.warning("webhook refused", extra={"verdict": name, "count": self.counts[name] - before, **of})

    def count(self, name: str) -> bool:
        """Count. True if it is time to tell of it."""
        self.counts[name] += 1
        now = time.monotonic()
        said_at, _ = self._said.get(name, (-math.inf, 0))
        if now - said_at < SAY_SECONDS:
            return False
        self._said[name] = (now, self.counts[name])
        return True


class _Connection(H11Protocol, asyncio.BufferedProtocol):
    """One client: one request, in small reads, against a deadline.

    The server below has no time-out for a header and reads 256 KiB at once. As a BufferedProtocol this one says itself
    how much is read; its timer runs from the first moment, and is set anew once, when the header is complete.
    """

    def __init__(
        self,
        config: Config,
        state: ServerState,
        tally: _Tally,
        crowd: dict[_Connection, None],
        balancers: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...],
    ) -> None:
        super().__init__(config, state, {})
        self._balancers = balancers
        self._proxy_header = bytearray()
        """What came of it, until it is whole."""
        self._awaits_proxy_header = bool(balancers)
        self._tally = tally
        self._crowd = crowd
        self._space = bytearray(READ_BYTES)
        self._received = 0
        self._deadline: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self._crowd) >= MAX_CONNECTIONS:
            # The oldest had the most time. Were the new one refused, whoever holds many open shut all others out.
            next(iter(self._crowd)).end("crowded")
        self._crowd[self] = None
        self._deadline = self.loop.call_later(HEADER_SECONDS, self.end, "slow-header")
        if self._balancers and not self._is_balancer():
            self.end("other-address")

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        self._crowd.pop(self, None)
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> bytearray:
        del sizehint
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        self._received += nbytes
        if self._received > MAX_RECEIVED_BYTES:
            self.end("too-large")
            return
        is_header = self.cycle is None
        data = bytes(self._space[:nbytes])
        if self._awaits_proxy_header:
            data = self._without_proxy_header(data)
        if data:
            self.data_received(data)
        if is_header and self.cycle is not None:
            self._deadline.cancel()
            self._deadline = self.loop.call_later(BODY_SECONDS, self.end, "slow-body")

    def _is_balancer(self) -> bool:
        if self.client is None:
            return False
        address = ipaddress.ip_address(self.client[0])
        return any(address in network for network in self._balancers)

    def _without_proxy_header(self, data: bytes) -> bytes:
        """What follows the load balancer's header; nothing while that is not whole, or if it is none."""
        self._proxy_header += data
        try:
            header = read_proxy_header(bytes(self._proxy_header))
        except ValueError:
            self.end("no-proxy-header")
            return b""
        if header is None:
            return b""
        self._awaits_proxy_header = False
        if header.visitor and self.client:
            self.client = (header.visitor, self.client[1])
        rest = bytes(self._proxy_header[header.size_bytes :])
        self._proxy_header.clear()
        return rest

    def eof_received(self) -> bool:  # type: ignore[override]
        """True keeps the way back open: who has sent a whole request may shut down its own side."""
        return self.cycle is not None and not self.cycle.more_body

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP, or its header is too long."""
        if self.cycle is not None and self.cycle.response_started:
            self.transport.abort()
            return
        self._tally.refuse("not-http", self._visitor)
        body = json.dumps({"status": "refused", "name": "not-http", "reason": msg}).encode()
        header = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(f"{header}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    @property
    def _visitor(self) -> str:
        return self.client[0] if self._balancers and self.client else ""

    def end(self, name: str) -> None:
        """Cut the client off."""
        if self.cycle is None or not self.cycle.response_started:
            self._tally.refuse(name, self._visitor)
        # By now: whether the loop has told of the loss is another matter.
        self._crowd.pop(self, None)
        self.transport.abort()
