"""The PROXY protocol, versions 1 and 2: who the visitor is, as a load balancer says before the first byte of HTTP.

Strict where its specification (haproxy.org, doc/proxy-protocol.txt) lets a receiver choose: whatever is not exactly a
header is refused, because a guess would put an address into the log that nobody has sent from.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

MAX_V1_BYTES = 107
"""The longest line there can be, with its end."""
MAX_V2_BYTES = 2048
"""A choice: the addresses take up to 232, and what a balancer adds about TLS some hundred more."""

_V1_START = b"PROXY "
_V1_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [ -~]*)?|(TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9][0-9]*) (0|[1-9][0-9]*))\r\n"
)
_V2_START = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED_BYTES = 16
_LOCAL, _PROXY = 0x20, 0x21
_V2_ADDRESS_BYTES = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}
"""By family and transport: none, TCP over IPv4, TCP over IPv6, a stream over a unix socket."""
_TLV_FIXED_BYTES = 3


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A whole header."""

    size_bytes: int
    """How much of what came is the header."""
    visitor: str
    """The visitor's IP address; empty if the balancer speaks for itself (a health check), or does not know."""


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header that `data` begins with, or None while more has to come. Raises ValueError as soon as it is none."""
    if _V1_START.startswith(data[:6]):
        return _read_v1(data)
    if _V2_START.startswith(data[:12]):
        return _read_v2(data)
    raise ValueError("no PROXY protocol")


def _read_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\n", 0, MAX_V1_BYTES) + 1
    if not end:
        if len(data) >= MAX_V1_BYTES:
            raise ValueError(f"no end of the line within {MAX_V1_BYTES} bytes")
        return None
    match = _V1_LINE.fullmatch(data, 0, end)
    if match is None:
        raise ValueError("no line of version 1")
    family, *rest = match.groups()
    if family is None:
        return ProxyHeader(end, "")
    source, destination, *ports = (part.decode() for part in rest)
    if any(int(port) > 65535 for port in ports):
        raise ValueError("a port that does not exist")
    visitor, _ = (_address(text, 4 if family == b"TCP4" else 6) for text in (source, destination))
    return ProxyHeader(end, visitor)


def _read_v2(data: bytes) -> ProxyHeader | None:
    # Each byte as soon as it is there: who is wrong in the first ones does not keep a place until the last.
    if len(data) > 12 and data[12] not in {_LOCAL, _PROXY}:
        raise ValueError("no command of version 2")
    is_proxied = len(data) > 12 and data[12] == _PROXY
    if len(data) > 13 and is_proxied and data[13] not in _V2_ADDRESS_BYTES:
        raise ValueError("no family and transport of TCP's")
    if len(data) < _V2_FIXED_BYTES:
        return None
    size = _V2_FIXED_BYTES + int.from_bytes(data[14:16])
    if size > MAX_V2_BYTES:
        raise ValueError(f"over {MAX_V2_BYTES} bytes")
    if is_proxied and size < _V2_FIXED_BYTES + _V2_ADDRESS_BYTES[data[13]]:
        raise ValueError("too short for its addresses")
    if len(data) < size:
        return None
    if not is_proxied:
        # Whatever else it says is to be passed over.
        return ProxyHeader(size, "")
    addresses_end = _V2_FIXED_BYTES + _V2_ADDRESS_BYTES[data[13]]
    _check_tlvs(data[addresses_end:size])
    match data[13]:
        case 0x11:
            return ProxyHeader(size, str(ipaddress.IPv4Address(data[16:20])))
        case 0x21:
            return ProxyHeader(size, _plain(ipaddress.IPv6Address(data[16:32])))
        case _:
            return ProxyHeader(size, "")


def _check_tlvs(data: bytes) -> None:
    """What follows the addresses says nothing that is used here, but it must fill its place."""
    at = 0
    while at < len(data):
        at += _TLV_FIXED_BYTES + int.from_bytes(data[at + 1 : at + _TLV_FIXED_BYTES])
    if at != len(data):
        raise ValueError("what follows the addresses does not end with the header")


def _address(text: str, version: int) -> str:
    address = ipaddress.ip_address(text)
    if address.version != version:
        raise ValueError("an address of the other family")
    return _plain(address)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """One visitor has one name: an IPv4 address that came as an IPv6 one is the IPv4 address."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
