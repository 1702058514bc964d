"""Where WordPress itself answers: an address over TCP, or a socket."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from staticify.faults import has_control_character, shown
from staticify.urls import DEFAULT_PORTS, Page

MAX_SOCKET_PATH_BYTES = 107
"""sun_path of Linux holds 108 bytes, the closing NUL among them."""

_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?))(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Origin:
    """One address at which WordPress itself answers."""

    scheme: Literal["http", "https", "unix"]
    host: str = ""
    """A name or an address, without brackets; empty for a socket."""
    port: int = 0
    """0 for a socket."""
    socket_path: str = ""

    @property
    def base_url(self) -> str:
        """What a request's path is appended to. A socket has no host of its own."""
        if self.scheme == "unix":
            return "http://localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}")

    def __str__(self) -> str:
        return f"unix:{self.socket_path}" if self.scheme == "unix" else self.base_url


def parse_origin(text: str) -> Origin:
    """The address that `text` names: http://HOST[:PORT], https://HOST[:PORT] or unix:/PATH. Raises ValueError."""
    if text.startswith("unix:"):
        return _parse_socket(text)
    if "@" in text:
        # A password may be in it, and have any character.
        address = f"…@{text.rpartition('@')[2]}"
        raise ValueError(f"{shown(address)} carries user information; the origin is asked anonymously")
    scheme, separator, authority = text.partition("://")
    if not separator or scheme not in DEFAULT_PORTS:
        raise ValueError(f"{shown(text)} does not begin with http://, https:// or unix:/")
    if re.search(r"[/?#]", authority):
        address = f"{scheme}://{re.split('[/?#]', authority)[0]}"
        raise ValueError(f"{shown(text)} is more than an address; write {shown(address)}")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise ValueError(f"{shown(text)} has no usable host and port")
    address, name, port_digits = match.groups()
    port = int(port_digits) if port_digits else DEFAULT_PORTS[scheme]
    if not 1 <= port <= 65535:
        raise ValueError(f"{shown(text)} has a port outside 1 to 65535")
    try:
        host = str(ipaddress.IPv6Address(address)) if address else _host(name)
    except ValueError:
        raise ValueError(f"{shown(text)} has an IP address that does not exist") from None
    return Origin("https" if scheme == "https" else "http", host, port)


def _host(name: str) -> str:
    looks_numeric = name.rsplit(".", 1)[-1].isdigit()
    return str(ipaddress.IPv4Address(name)) if looks_numeric else name.lower()


def _parse_socket(text: str) -> Origin:
    path = text.removeprefix("unix:")
    if not path.startswith("/") or path.startswith("//") or path.endswith("/"):
        raise ValueError(f'{shown(text)} is not the absolute path of a socket; write it like "unix:/run/web.sock"')
    if has_control_character(path):
        raise ValueError(f"{shown(text)} holds a control character")
    if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(f"{shown(text)} is over the {MAX_SOCKET_PATH_BYTES} bytes that a socket's path may have")
    return Origin("unix", socket_path=path)


def public_origin(base: Page) -> Origin:
    """The public address of a site itself, for one that names no origin."""
    parts = urlsplit(base.url)
    port = DEFAULT_PORTS[base.scheme] if parts.port is None else parts.port
    return Origin("https" if base.scheme == "https" else "http", parts.hostname or "", port)
