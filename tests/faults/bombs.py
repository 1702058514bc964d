"""Bombs, drips and storms against the client: memory and time stay bounded, and no connection slot is lost.

The origin is a process of its own, so that what it holds counts for nobody; the client's is a fresh one, whose memory
before is that of a client at work. Four clients with a connection each are bombed at once, as a site's four fetches
are, two of them over TLS, and each takes only so much of its own time. What may fill memory has the default deadline
for it. Bodies are what `max_bytes` allows by default at most.
"""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import os
import random
import socket
import struct
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import cycle, islice, product
from multiprocessing.connection import Connection
from pathlib import Path

import brotli
from authority import Authority
from scripted_origin import Exchange, Script, ScriptedOrigin, answer, html
from stage import site_of
from tally import Row, Tally

from staticify.errors import OriginError, OriginTimeout
from staticify.origin import OriginClient

COUNT = 1000
"""Bombs; ten times as many cancellations."""
CANCELLATIONS_FOR_EACH = 10
MAX_GROWTH_BYTES = 32 * 2**20
DEADLINE_SECONDS = 0.4
LONG_DEADLINE_SECONDS = 20.0
"""The default, for bombs that end by themselves long before: in 0.4 s no memory is filled in crumbs."""
MAX_LATE_SECONDS = 0.1
AT_ONCE = 4
GOOD = html("good" * 20_000)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MIB = 2**20
BOMB_MIB = (16, 64)
PATIENCE = 20
"""A good page may take longer than a bomb's deadline where the machine is busy, but not each time."""

Misdeed = Callable[[Exchange, random.Random], Awaitable[None]]


@dataclass
class Bombed(Tally):
    """What the bombs came to."""

    bombs: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """Names of what the client said; `status 302` where it was a whole answer."""
    growth_bytes: int = 0
    """The highest that the client's memory rose above what it was before the first bomb."""
    latest_seconds: float = 0.0
    """How long after its deadline a fetch ended, at most; without the time in which others had the processor."""
    cancellations: int = 0
    slots: int = 0
    """How many fetches were under way at once after all cancellations."""

    def rows(self) -> Iterator[Row]:
        yield from ((name, count, "") for name, count in sorted(self.bombs.items()))
        yield from ((f"-> {name}", count, "") for name, count in sorted(self.errors.items()))
        yield "MiB", self.growth_bytes / MIB, f"more memory, at most {MAX_GROWTH_BYTES / MIB:g}"
        yield "s", self.latest_seconds, "late at most"
        yield "cancellations", self.cancellations, ""
        yield "slots", self.slots, f"after them, of {AT_ONCE}"


# --- What the origin does --------------------------------------------------------------------------------------------


@cache
def bomb(coding: str, mebibytes: int) -> bytes:
    """So much of nothing, packed."""
    piece = bytes(MIB)
    if coding == "br":
        compressor = brotli.Compressor(quality=5)
        return bytes(b"".join(compressor.process(piece) for _ in range(mebibytes)) + compressor.finish())
    stream = zlib.compressobj(9, wbits=zlib.MAX_WBITS + 16)
    return b"".join(stream.compress(piece) for _ in range(mebibytes)) + stream.flush()


async def compressed(exchange: Exchange, chance: random.Random, coding: str) -> None:
    body = bomb(coding, chance.choice(BOMB_MIB))
    if chance.random() < 0.5:
        await exchange.send(answer(body, Content_Encoding=coding))
        return
    await exchange.send(CHUNKED[:-2] + b"Content-Encoding: %b\r\n\r\n" % coding.encode())
    size = chance.choice((100, 4096, 65536))
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        await exchange.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    await exchange.send(b"0\r\n\r\n")


async def packed_without_end(
    exchange: Exchange, chance: random.Random, coding: bytes, pieces: tuple[bytes, ...], start: bytes = b""
) -> None:
    """What comes to nothing, or to little, and never ends."""
    await exchange.send(CHUNKED[:-2] + b"Content-Encoding: %b\r\n\r\n" % coding)
    if start:
        await exchange.send(b"%x\r\n%b\r\n" % (len(start), start))
    piece = chance.choice(pieces) * chance.choice((1, 100, 3000))
    while True:
        await exchange.send(b"%x\r\n%b\r\n" % (len(piece), piece))


async def bomb_in_a_bomb(exchange: Exchange, chance: random.Random) -> None:
    await exchange.send(
        answer(gzip.compress(bomb("gzip", BOMB_MIB[-1])), Content_Encoding=chance.choice(("gzip", "gzip, gzip")))
    )


async def chunks_without_end(exchange: Exchange, chance: random.Random) -> None:
    await exchange.send(CHUNKED)
    size = chance.choice((1, 100, 0x4000, 0x40000))
    many = (b"%x\r\n%b\r\n" % (size, b"x" * size)) * max(1, 20_000 // size)
    while True:
        await exchange.send(many)


async def chunk_of_no_size(exchange: Exchange, chance: random.Random) -> None:
    """A size line without end, or an extension of it."""
    await exchange.send(CHUNKED + chance.choice((b"", b"5;x=")))
    while True:
        await exchange.send(b"0" * 60_000)


async def trailers_without_end(exchange: Exchange, chance: random.Random) -> None:
    await exchange.send(CHUNKED + b"5\r\nhello\r\n0\r\n")
    while True:
        await exchange.send(b"X-More: %b\r\n" % (b"y" * chance.choice((1, 32_000))))


async def fields_without_end(exchange: Exchange, chance: random.Random) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    size = chance.choice((1, 4000, 32_000))
    while True:
        await exchange.send(b"X-Flood: %b\r\n" % (b"y" * size))


async def field_without_end(exchange: Exchange, chance: random.Random) -> None:
    await exchange.send(chance.choice((b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 ", b"", b"HTTP/1.1 200 OK\r\nX")))
    while True:
        await exchange.send(b"z" * 60_000)


async def interim_without_end(exchange: Exchange, chance: random.Random) -> None:
    """100 Continue, 103 Early Hints, for ever."""
    while True:
        await exchange.send(
            chance.choice((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n")) * 100
        )


async def answers_without_end(exchange: Exchange, chance: random.Random) -> None:
    """One after the other, where one was asked for."""
    one = answer(b"", chance.choice((200, 204, 304)), content_type="text/html")
    while True:
        await exchange.send(one * 500)


async def body_without_end(exchange: Exchange, chance: random.Random) -> None:
    """Neither a length nor chunks, or a length that is far too long."""
    await exchange.send(
        HEAD + chance.choice((b"", b"Content-Length: 7000000\r\n", b"Content-Length: 8388608\r\n")) + b"\r\n"
    )
    while True:
        await exchange.send(b"x" * 60_000)


async def error_without_end(exchange: Exchange, chance: random.Random) -> None:
    status = chance.choice((b"404 Not Found", b"500 Oops", b"302 Found"))
    await exchange.send(b"HTTP/1.1 %b\r\nLocation: /\r\nTransfer-Encoding: chunked\r\n\r\n" % status)
    while True:
        await exchange.send(b"8000\r\n%b\r\n" % (b"x" * 0x8000))


async def drip(exchange: Exchange, chance: random.Random, start: bytes, piece: bytes) -> None:
    await exchange.send(start)
    pause = chance.choice((0.001, 0.02, 0.15))
    while True:
        await exchange.send(piece)
        await asyncio.sleep(pause)


async def drip_after_an_error(exchange: Exchange, chance: random.Random) -> None:
    await drip(exchange, chance, b"HTTP/1.1 500 Oops\r\nContent-Length: 100000\r\n\r\n", b".")


async def says_nothing(exchange: Exchange, chance: random.Random) -> None:
    await exchange.send(chance.choice((b"", b"HTTP/1.1 200 OK\r\n", HEAD + b"Content-Length: 10\r\n\r\nhello")))
    await asyncio.sleep(30)


async def reset(exchange: Exchange, chance: random.Random) -> None:
    await exchange.send(chance.choice((b"", b"HTTP/1.1 2", CHUNKED, CHUNKED + b"ff\r\nhello", answer(html())[:-9])))
    linger = struct.pack("ii", 1, 0)
    exchange.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    exchange.writer.transport.abort()


async def lies_about_its_length(exchange: Exchange, chance: random.Random) -> None:
    length = chance.choice(
        (b"0", b"1", b"5", b"9999", b"9" * 18, b"9" * 40, b"-1", b"+5", b"0x5", b"five", b"5, 5", b"5, 6", b"")
    )
    await exchange.send(HEAD + b"Content-Length: %b\r\n\r\n" % length + html().encode())


async def two_framings(exchange: Exchange, chance: random.Random) -> None:
    length = b"Content-Length: %d\r\n" % chance.randrange(50)
    coding = b"Transfer-Encoding: %b\r\n" % chance.choice((b"chunked", b"identity", b"gzip", b"gzip, chunked", b"x"))
    await exchange.send(HEAD + coding + length * chance.choice((0, 1, 2)) + b"\r\n5\r\nhello\r\n0\r\n\r\n")


async def smuggles(exchange: Exchange, chance: random.Random) -> None:
    """A second answer that nobody asked for, behind the first, whose end the client may be waiting for."""
    first = answer(html("first"))
    cut = chance.choice((0, len(first) - 20))
    await exchange.send(first[:cut])
    await asyncio.sleep(chance.choice((0, 0.01)))
    await exchange.send(first[cut:] + answer(html("smuggled")) * chance.choice((1, 50)))
    exchange.is_last = False


async def redirects(exchange: Exchange, chance: random.Random) -> None:
    location = chance.choice(
        (exchange.path, f"{exchange.path}x", "//evil.example/", "/" + "a" * 60_000, "http://[", "")
    )
    await exchange.send(answer(b"", chance.choice((301, 302, 307, 308)), Location=location))


async def storms(exchange: Exchange, chance: random.Random) -> None:
    await exchange.send(answer(b"x" * chance.choice((0, 300_000)), chance.choice((500, 502, 503, 504, 429, 599))))


async def no_http(exchange: Exchange, chance: random.Random) -> None:
    await exchange.send(chance.randbytes(chance.choice((1, 100, 200_000))))


async def switches(exchange: Exchange, chance: random.Random) -> None:
    """Another protocol, or a body where none may be."""
    status = chance.choice((b"101 Switching Protocols", b"204 No Content", b"205 Reset", b"304 Not Modified", b"000 x"))
    await exchange.send(b"HTTP/1.1 %b\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" % status + b"\0" * 60_000)


MISDEEDS: dict[str, Misdeed] = {
    "gzip bomb": partial(compressed, coding="gzip"),
    "brotli bomb": partial(compressed, coding="br"),
    "gzip members without end": partial(
        packed_without_end, coding=b"gzip", pieces=(gzip.compress(b""), gzip.compress(b"ab"))
    ),
    # An empty block of deflate; the name of a file that never ends.
    "gzip of nothing without end": partial(
        packed_without_end, coding=b"gzip", pieces=(b"\0\0\0\xff\xff",), start=gzip.compress(b"")[:10]
    ),
    "gzip name without end": partial(
        packed_without_end, coding=b"gzip", pieces=(b"name",), start=b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"
    ),
    # Blocks of no bytes of metadata each (RFC 7932 section 9.2).
    "brotli of nothing without end": partial(packed_without_end, coding=b"br", pieces=(b"\x06",), start=b"\x0c"),
    "bomb in a bomb": bomb_in_a_bomb,
    "chunks without end": chunks_without_end,
    "chunk of no size": chunk_of_no_size,
    "trailers without end": trailers_without_end,
    "fields without end": fields_without_end,
    "field without end": field_without_end,
    "interim answers without end": interim_without_end,
    "answers without end": answers_without_end,
    "body without end": body_without_end,
    "error page without end": error_without_end,
    "dripped body": partial(drip, start=HEAD + b"Content-Length: 100000\r\n\r\n", piece=b"."),
    "dripped chunks": partial(drip, start=CHUNKED, piece=b"1\r\n.\r\n"),
    "dripped fields": partial(drip, start=b"HTTP/1.1 200 OK\r\nX-Slow: ", piece=b"."),
    "dripped interim answers": partial(drip, start=b"", piece=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "drip after an error": drip_after_an_error,
    "says nothing": says_nothing,
    "reset": reset,
    "lies about its length": lies_about_its_length,
    "two framings": two_framings,
    "smuggled answer": smuggles,
    "redirect loop": redirects,
    "storm of errors": storms,
    "no HTTP": no_http,
    "another protocol": switches,
}  # fmt: skip


PATIENT = frozenset({
    "gzip bomb", "brotli bomb", "gzip members without end", "gzip of nothing without end", "gzip name without end",
    "brotli of nothing without end", "bomb in a bomb", "body without end", "trailers without end",
    "fields without end", "field without end", "error page without end",
})  # fmt: skip
"""The bombs that meet the long deadline, for what hurts only with time."""


def _path_of(name: str) -> str:
    return f"/{name.replace(' ', '-')}/"


async def _serve(ready: Connection, seed: int, authority: Authority) -> None:
    """The origin: /NUMBER/NAME is a misdeed, /slow/ a page in pieces, /together/N one that waits for N to be asked."""
    chance = random.Random(seed)
    waiting: list[asyncio.Event] = []

    async def misbehave(exchange: Exchange, name: str) -> None:
        await MISDEEDS[name](exchange, chance)

    async def slow(exchange: Exchange) -> None:
        whole = answer(html("slow" * 500))
        for piece in (whole[:60], whole[60:1000], whole[1000:]):
            await asyncio.sleep(chance.random() * 0.01)
            await exchange.send(piece)

    async def together(exchange: Exchange) -> None:
        own = asyncio.Event()
        waiting.append(own)
        if len(waiting) == AT_ONCE:
            for one in waiting:
                one.set()
            waiting.clear()
        await own.wait()
        await exchange.send(answer(html("together")))

    # Packed beforehand: whoever packs does nothing else meanwhile.
    for coding, mebibytes in product(("gzip", "br"), BOMB_MIB):
        bomb(coding, mebibytes)
    pages: dict[str, bytes | str | Script] = {_path_of(name): partial(misbehave, name=name) for name in MISDEEDS}
    good = answer(GOOD)
    pages |= {"/good/": good, "/slow/": slow, "/together/": together}
    plain, safe = ScriptedOrigin(pages=pages), ScriptedOrigin(pages=pages, tls=authority.context())
    async with plain.running(path=str(authority.directory / "origin")), safe.running():
        ready.send((plain.address, safe.address))
        # Until the other end of the pipe is closed, with the client's process at the latest.
        while not await asyncio.to_thread(ready.poll, 0.2):
            plain.requests.clear()
            safe.requests.clear()


def _origin(ready: Connection, seed: int, authority: Authority) -> None:
    asyncio.run(_serve(ready, seed, authority))


# --- What the client makes of it -------------------------------------------------------------------------------------


def run(count: int, seed: int) -> Bombed:
    """So many bombs, and ten times as many cancellations."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    client = context.Process(target=_bombed, args=(theirs, count, seed))
    client.start()
    theirs.close()
    try:
        # A bomb takes its deadline at most, and four are under way.
        if not ours.poll(120 + count):
            return Bombed(faults=["the client hangs"])
        tally: Bombed = ours.recv()
    except EOFError:
        return Bombed(faults=[f"the client died: exit status {client.exitcode}"])
    finally:
        client.kill()
        client.join()
    return tally


@contextmanager
def _running_origin(seed: int, authority: Authority) -> Iterator[tuple[str, str]]:
    """A unix socket, and an address that speaks TLS."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_origin, args=(theirs, seed, authority))
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join(5)
        process.kill()
        process.join()


def _bombed(result: Connection, count: int, seed: int) -> None:
    tally = Bombed()
    with tempfile.TemporaryDirectory() as directory:
        authority = Authority(Path(directory))
        authority.found()
        # This process is the client's alone.
        os.environ["SSL_CERT_FILE"] = str(authority.certificate)
        with _running_origin(seed, authority) as addresses:
            asyncio.run(_bomb(addresses, count, seed, tally))
            for number, address in enumerate(addresses, 1):
                asyncio.run(_cancel(address, CANCELLATIONS_FOR_EACH * count * number // 2, seed, tally))
    result.send(tally)


async def _bomb(addresses: tuple[str, str], count: int, seed: int, tally: Bombed) -> None:
    chance = random.Random(seed)
    names = list(islice(cycle(MISDEEDS), count))
    chance.shuffle(names)
    pairs = [
        tuple(
            OriginClient(site_of(address, concurrency=1, deadline=f"{seconds * 1000:.0f}ms"))
            for seconds in (DEADLINE_SECONDS, LONG_DEADLINE_SECONDS)
        )
        for address in addresses * (AT_ONCE // 2)
    ]
    clients = [client for pair in pairs for client in pair]
    # As the fetches of one client, which takes turns with large bodies; but none waits for a slot, which takes time.
    for client in clients:
        client._large = clients[0]._large
    try:
        for client in clients:
            for _ in range(20):
                assert not await _without_the_good_page(client)
        before = _forget_the_peak()
        async with asyncio.TaskGroup() as group:
            for hasty, patient in pairs:
                group.create_task(_bomb_one(hasty, patient, names, tally))
        tally.growth_bytes = _memory("VmHWM") - before
    finally:
        for client in clients:
            await client.aclose()
    if tally.growth_bytes > MAX_GROWTH_BYTES:
        tally.faults.append(f"memory grew by {tally.growth_bytes / MIB:.1f} MiB")


async def _bomb_one(hasty: OriginClient, patient: OriginClient, names: list[str], tally: Bombed) -> None:
    """One bomb after the other out of the common list, and a good page in between."""
    while names:
        name = names.pop()
        client, deadline_seconds = (patient, LONG_DEADLINE_SECONDS) if name in PATIENT else (hasty, DEADLINE_SECONDS)
        tally.bombs[name] += 1
        started, waited = time.monotonic(), _waited_seconds()
        try:
            said = f"status {(await client.fetch(_path_of(name))).status}"
        except OriginError as error:
            said = error.name
        late = time.monotonic() - started - deadline_seconds - (_waited_seconds() - waited)
        tally.errors[said] += 1
        tally.latest_seconds = max(tally.latest_seconds, late)
        if late > MAX_LATE_SECONDS:
            tally.faults.append(f"{name}: {said} {late * 1000:.0f} ms after its deadline")
        if fault := await _without_the_good_page(client):
            tally.faults.append(f"after {name}: {fault}")


async def _without_the_good_page(client: OriginClient) -> str:
    """What stands in the way of the next page; empty if nothing does."""
    for _ in range(PATIENCE):
        try:
            body = (await client.fetch("/good/")).body
        except OriginTimeout as error:
            fault = str(error)
        except OriginError as error:
            return f"the next page is not there: {error.name}: {error}"
        else:
            return "" if body == GOOD.encode() else f"the next page is another one: {body[:80]!r}"
    return f"the next page is not there, {PATIENCE} times: {fault}"


async def _cancel(address: str, count: int, seed: int, tally: Bombed) -> None:
    """Random cancellations; then as many fetches at once as there are slots, each of which waits for the others."""
    chance = random.Random(seed)
    client = OriginClient(site_of(address, concurrency=AT_ONCE, deadline="5s"))
    try:
        while tally.cancellations < count:
            fetches = [asyncio.create_task(client.fetch("/slow/")) for _ in range(10)]
            for one in fetches:
                await asyncio.sleep(chance.random() * 0.003)
                tally.cancellations += one.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)
        for _ in range(20):
            await asyncio.gather(*(client.fetch("/good/") for _ in range(AT_ONCE)))
        answers = await asyncio.gather(*(client.fetch("/together/") for _ in range(AT_ONCE)), return_exceptions=True)
    finally:
        await client.aclose()
    tally.slots = sum(not isinstance(one, BaseException) for one in answers)
    if tally.slots < AT_ONCE:
        tally.faults.append(f"after {tally.cancellations:,} cancellations: {answers}")


def _waited_seconds() -> float:
    """How long this process has waited for a processor that others had: no deadline can be kept meanwhile."""
    return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9


def _memory(name: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _forget_the_peak() -> int:
    """Let VmHWM begin anew (proc(5), clear_refs); what the process has now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _memory("VmRSS")
