"""The PROXY protocol's headers: what is one, what is none, and how soon it is told."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, strategies as st

from staticify.proxy_protocol import MAX_V1_BYTES, MAX_V2_BYTES, ProxyHeader, read_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4_BLOCK = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + b"\x30\x39\x01\xbb"
V6_BLOCK = (
    ipaddress.IPv6Address("2001:db8::1").packed + ipaddress.IPv6Address("2001:db8::2").packed + b"\x30\x39\x01\xbb"
)
LONGEST = b"PROXY UNKNOWN " + b"f" * (MAX_V1_BYTES - 16) + b"\r\n"


def v2(block: bytes = V4_BLOCK, *, command: int = 0x21, family: int = 0x11, size: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, family]) + (len(block) if size is None else size).to_bytes(2) + block


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2) + value


GOOD = {
    b"PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n": "192.0.2.1",
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": "255.255.255.255",
    b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n": "0.0.0.0",
    b"PROXY TCP6 2001:db8::1 2001:DB8::2 12345 443\r\n": "2001:db8::1",
    b"PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:0001 ::2 1 2\r\n": "2001:db8::1",
    b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n": "192.0.2.1",
    b"PROXY UNKNOWN\r\n": "",
    b"PROXY UNKNOWN whatever it says\r\n": "",
    LONGEST: "",
    v2(): "192.0.2.1",
    v2(V6_BLOCK, family=0x21): "2001:db8::1",
    v2(ipaddress.IPv6Address("::ffff:192.0.2.1").packed + V6_BLOCK[16:], family=0x21): "192.0.2.1",
    v2(b"/run/a.sock".ljust(108, b"\0") * 2, family=0x31): "",
    v2(b"", family=0x00): "",
    v2(V4_BLOCK + tlv(0x01, b"h2") + tlv(0x04, b"") + tlv(0x20, b"x" * 300)): "192.0.2.1",
    v2(V4_BLOCK + tlv(0x04, b"\0" * (MAX_V2_BYTES - 31))): "192.0.2.1",
    # LOCAL: a health check. Family and content are to be passed over, whatever they are.
    v2(b"", command=0x20, family=0x00): "",
    v2(V4_BLOCK, command=0x20): "",
    v2(b"\xff" * 100, command=0x20, family=0xFF): "",
}

BAD = [
    # No header at all.
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"proxy TCP4 192.0.2.1 198.51.100.2 12345 443\r\n",
    b" PROXY UNKNOWN\r\n",
    b"PROXYTCP4",
    b"\r\nPROXY UNKNOWN\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\n",
    b"\x16\x03\x01\x02\x00",
    # A line that is none.
    b"PROXY \r\n",
    b"PROXY UNKNOWN\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY UNKNOWN \x00\r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n",
    b"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n",
    b"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1 99999999999999999999\r\n",
    b"PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n",
    b"PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100 1 2\r\n",
    b"PROXY TCP4 2001:db8::1 198.51.100.2 1 2\r\n",
    b"PROXY TCP6 192.0.2.1 2001:db8::2 1 2\r\n",
    b"PROXY TCP6 2001:db8::1 192.0.2.1 1 2\r\n",
    b"PROXY TCP6 2001:db8:::1 2001:db8::2 1 2\r\n",
    b"PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n",
    b"PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n",
    LONGEST.replace(b"\r\n", b"f\r\n"),
    b"PROXY UNKNOWN " + b"f" * MAX_V1_BYTES,
    # Version 2.
    v2(command=0x11),
    v2(command=0x22),
    v2(command=0x31),
    v2(family=0x12),
    v2(family=0x10),
    v2(family=0x22),
    v2(family=0x41),
    v2(V4_BLOCK[:-1]),
    v2(V4_BLOCK, family=0x21),
    v2(V4_BLOCK, family=0x31),
    v2(size=MAX_V2_BYTES - 15),
    v2(size=65535),
    v2(command=0x20, size=65535),
    v2(V4_BLOCK + b"\x04"),
    v2(V4_BLOCK + b"\x04\x00"),
    v2(V4_BLOCK + b"\x04\x00\x02x"),
    v2(V4_BLOCK + tlv(0x04, b"abc") + b"\x04\xff\xff"),
]


@pytest.mark.parametrize("data", GOOD)
def test_what_is_a_header(data: bytes) -> None:
    assert read_proxy_header(data) == ProxyHeader(len(data), GOOD[data])
    # What follows it is not its own.
    assert read_proxy_header(data + data) == ProxyHeader(len(data), GOOD[data])


@pytest.mark.parametrize("data", GOOD)
def test_a_part_of_a_header_waits_for_the_rest(data: bytes) -> None:
    assert {read_proxy_header(data[:end]) for end in range(len(data))} == {None}


@pytest.mark.parametrize("data", BAD)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_proxy_header(data)


@pytest.mark.parametrize("size", [65535, 12])
@pytest.mark.parametrize("family", [0x12, 0x22])
def test_who_is_wrong_is_told_at_the_first_wrong_byte(family: int, size: int) -> None:
    data = v2(family=family, size=size)
    assert read_proxy_header(data[:13]) is None
    with pytest.raises(ValueError, match="family"):
        read_proxy_header(data[:14])
    with pytest.raises(ValueError, match="no PROXY"):
        read_proxy_header(b"G")


_ports = st.integers(0, 65535)
_addresses = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)), st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6))
)
_tlvs = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=8)


def plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


@given(_addresses, _ports, _ports, _tlvs, st.binary(max_size=200))
def test_what_a_balancer_writes_is_read_back(
    addresses: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...],
    source_port: int,
    port: int,
    tlvs: list[tuple[int, bytes]],
    rest: bytes,
) -> None:
    source, destination = addresses
    line = f"PROXY TCP{source.version} {source} {destination} {source_port} {port}\r\n".encode()
    assert read_proxy_header(line + rest) == ProxyHeader(len(line), plain(source))
    block = source.packed + destination.packed + source_port.to_bytes(2) + port.to_bytes(2)
    block += b"".join(tlv(kind, value) for kind, value in tlvs)
    header = v2(block, family=0x11 if source.version == 4 else 0x21)
    assert read_proxy_header(header + rest) == ProxyHeader(len(header), plain(source))


_starts = st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY UNKNOWN", SIGNATURE, v2()[:13], v2(), V6_BLOCK])


@given(_starts, st.binary(max_size=300), st.integers(0, 300))
def test_no_bytes_do_harm(start: bytes, rest: bytes, cut: int) -> None:
    """Of anything: a header within its bounds, a wish for more that comes to an end, or a refusal that stays one."""
    data = start + rest
    verdicts = []
    for end in (min(cut, len(data)), len(data), None):
        piece = data[:end] if end is not None else data + b"\0" * MAX_V2_BYTES
        try:
            verdicts.append(read_proxy_header(piece))
        except ValueError as error:
            verdicts.append(error)  # type: ignore[arg-type]
    first, second, last = verdicts
    assert last is not None
    for earlier, later in ((first, second), (second, last)):
        if isinstance(earlier, ProxyHeader):
            assert earlier == later
            assert earlier.size_bytes <= MAX_V2_BYTES
            assert not earlier.visitor or ipaddress.ip_address(earlier.visitor)
        elif isinstance(earlier, ValueError):
            assert isinstance(later, ValueError)


@given(st.sampled_from(sorted(GOOD)), st.integers(0, 10_000), st.integers(0, 7))
def test_one_flipped_bit_never_crashes(data: bytes, position: int, bit: int) -> None:
    changed = bytearray(data)
    changed[position % len(data)] ^= 1 << bit
    try:
        header = read_proxy_header(bytes(changed))
    except ValueError:
        return
    assert header is None or header.size_bytes <= len(data)
