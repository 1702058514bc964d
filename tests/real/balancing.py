"""Private HAProxy, machines with a WordPress that only says who it is, and certificates of a local authority."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from real.fronts import Front, Nginx
from real.helpers import Reply

HOST = "www.example.org"


class OneWorker(Nginx):
    """nginx whose turns are counted by one process: each worker counts its own."""

    def write(self) -> None:
        super().write()
        path = self.directory / "nginx.conf"
        path.write_text(path.read_text().replace("worker_processes 2;", "worker_processes 1;"))

    def visitors(self) -> list[str]:
        """Who asked, line by line, by the access log."""
        return [line.partition(" ")[0] for line in (self.directory / "access.log").read_text().splitlines()]


class HAProxy(Front):
    kind = "haproxy"

    def write(self) -> None:
        (self.directory / "haproxy.cfg").write_text(self.recipe())

    def command(self, *, is_check: bool = False) -> Sequence[str | Path]:
        # A master process, as under systemd: it reloads by SIGUSR2.
        return ("haproxy", *(["-c"] if is_check else ["-W"]), "-f", self.directory / "haproxy.cfg")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _answer(self) -> None:
        machine = self.server.machine
        length = int(self.headers.get("Content-Length", "0"))
        self.rfile.read(length)
        is_refused = self.command == "GET" and self.path == "/wp-comments-post.php"
        if is_refused or (self.command == "HEAD" and self.path == "/wp-login.php" and "User-Agent" not in self.headers):
            machine.checks += 1
        else:
            machine.asked.append((self.command, self.path, {name.lower(): text for name, text in self.headers.items()}))
        if self.path.startswith("/late/"):
            machine.may_go_on.wait(20)
        body = f"{machine.name}\n".encode() * 1000
        asked_for = int(self.path.split("/")[2]) if self.path.startswith("/status/") else machine.status
        self.send_response(405 if is_refused and machine.status == 200 else asked_for)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Served-By", "an invention of PHP's")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[:100])
        self.wfile.flush()
        if self.path.startswith("/slow/"):
            machine.is_half_sent.set()
            assert machine.may_go_on.wait(20)
        self.wfile.write(body[100:])

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815  the standard library's names

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    machine: Machine

    def __init__(self, port: int, machine: Machine) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.machine = machine
        self.connections: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """Whoever hangs up is not worth a word."""


@dataclass
class Machine:
    """One machine of several with the same WordPress."""

    name: str
    port: int
    status: int = 200
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    checks: int = 0
    is_half_sent: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)
    _server: _Server | None = None

    def start(self) -> None:
        self._server = _Server(self.port, self)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.may_go_on.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
            self._server = None


def write_config(path: Path, tables: Mapping[str, Mapping[str, object]], *backends: Mapping[str, object]) -> Path:
    """A staticify.toml with these tables; `site` is the one site, with these backends."""
    lines = []
    for name, values in tables.items():
        lines.append("[[site]]" if name == "site" else f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    for backend in backends:
        lines += ["[[site.backend]]", *(f"{key} = {json.dumps(value)}" for key, value in backend.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def send(port: int, content: bytes, *, source: str = "127.0.0.1", host: str = "127.0.0.1") -> Reply:
    """An answer to bytes, which end with a request that closes the connection."""
    with closing(socket.create_connection((host, port), timeout=20, source_address=(source, 0))) as client:
        client.sendall(content)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    header, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = header.decode().split("\r\n")
    fields = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    return Reply(int(first.split(" ")[1]) if first else 0, fields, body)


def next_answer(client: socket.socket) -> tuple[int, bytes]:
    """Status and body of the answer that comes next on a connection; 0 if it was closed."""
    response = http.client.HTTPResponse(client)
    try:
        response.begin()
    except http.client.RemoteDisconnected:
        return 0, b""
    return response.status, response.read()


def request(path: str = "/x/", method: str = "GET", host: str = HOST, **fields: str) -> bytes:
    """A request for one answer; in names of arguments underscores stand for hyphens."""
    named = {"Host": host, "Connection": "close", **{name.replace("_", "-"): text for name, text in fields.items()}}
    if method not in {"GET", "HEAD"}:
        named["Content-Length"] = "0"
    lines = "".join(f"{name}: {text}\r\n" for name, text in named.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()
