"""Good webhooks, altered: none may be accepted, and the daemon's event loop must keep its pace meanwhile.

    python tests/bench/mutate_webhook.py [--count 1000000] [--sent COUNT/20] [--seed 1]

Every mutant is judged by the function that the webhook judges by. As many as `--sent` says go over real connections
too, from another process, to a webhook without its rate limit, so that each is read to the end; between them go good
messages, which must be accepted. The ids of the originals are taken, as the store would have them. Exit status 1 if a
mutant was accepted or a good message was not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from staticify import webhook
from staticify.address import Origin
from staticify.signature import ID_FIELD, SIGNATURE_FIELD, TIMESTAMP_FIELD, Secret, sign
from staticify.webhook import Call, Kind, Refused, Webhook, read_call

SITE, BLOG = "https://example.org/", "https://blog.example/"
OLD, NEW, OTHER = (Secret(bytes([number]) * 32) for number in range(1, 4))
SECRETS = {SITE: (NEW, OLD), BLOG: (OTHER,)}
GOOD_EVERY = 200
SENDERS = 8
TICK_SECONDS = 0.01
IDLE_SECONDS = 3.0


@dataclass(frozen=True)
class Message:
    """The four parts of a message, as bytes."""

    message_id: bytes
    timestamp: bytes
    signatures: bytes
    body: bytes

    def replaced(self, place: int, part: bytes) -> Message:
        parts = [self.message_id, self.timestamp, self.signatures, self.body]
        parts[place] = part
        return Message(*parts)

    @property
    def parts(self) -> tuple[bytes, ...]:
        return (self.message_id, self.timestamp, self.signatures, self.body)

    @property
    def fields(self) -> dict[str, str]:
        """As an HTTP reader gives them: bytes as Latin-1, no white space around."""
        names = (ID_FIELD, TIMESTAMP_FIELD, SIGNATURE_FIELD)
        return {name: part.decode("latin-1").strip(" \t") for name, part in zip(names, self.parts, strict=False)}

    def request(self, kind: Kind) -> bytes:
        header = (
            f"POST {'/webhook' if kind == 'changes' else '/purge'} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n"
        ).encode()
        names = (ID_FIELD, TIMESTAMP_FIELD, SIGNATURE_FIELD)
        signed = b"".join(b"%b: %b\r\n" % (name.encode(), part) for name, part in zip(names, self.parts, strict=False))
        return header + signed + b"\r\n" + self.body


def signed(site: str, kind: Kind, message_id: str, now: float, secrets: tuple[Secret, ...]) -> Message:
    data: dict[str, object] = {"site": site, "journal": "4f1c2a90", "position": 1236}
    if kind == "purge":
        data = {"site": site, "urls": [f"{site}a/", f"{site}ü/"], "tags": ["post:12", "list:post"], "all": False}
    body = json.dumps({"type": kind, "timestamp": "2026-01-31T12:00:00Z", "data": data}, ensure_ascii=False).encode()
    fields = sign(secrets, message_id, now, body)
    return Message(fields[ID_FIELD].encode(), fields[TIMESTAMP_FIELD].encode(), fields[SIGNATURE_FIELD].encode(), body)


def originals(chooser: random.Random, now: float) -> list[tuple[Kind, Message]]:
    """Messages of each kind and site, by one secret and by two."""
    found: list[tuple[Kind, Message]] = []
    kinds: tuple[Kind, Kind] = ("changes", "purge")
    for kind in kinds:
        for site, secrets in ((SITE, (NEW,)), (SITE, (OLD,)), (SITE, (NEW, OLD)), (BLOG, (OTHER,))):
            found.append((kind, signed(site, kind, f"{chooser.getrandbits(128):032x}", now, secrets)))
    return found


# --- Mutations -------------------------------------------------------------------------------------------------------

Alter = Callable[[random.Random, bytes], bytes]


def _flip(chooser: random.Random, part: bytes) -> bytes:
    place = chooser.randrange(len(part))
    return part[:place] + bytes([part[place] ^ 1 << chooser.randrange(8)]) + part[place + 1 :]


def _overwrite(chooser: random.Random, part: bytes) -> bytes:
    place = chooser.randrange(len(part))
    return part[:place] + chooser.randbytes(chooser.randint(1, 4)) + part[place + 1 :]


def _insert(chooser: random.Random, part: bytes) -> bytes:
    place = chooser.randrange(len(part) + 1)
    piece = chooser.choice((b" ", b"\0", b"\r\n", b"\t", b"0", b",", b".", b"=", b"v1,", b"\xc3\xa4", b"\xff", b"\\"))
    return part[:place] + piece + part[place:]


def _cut(chooser: random.Random, part: bytes) -> bytes:
    first, last = sorted(chooser.choices(range(len(part) + 1), k=2))
    return part[:first] + part[last:]


def _repeat(chooser: random.Random, part: bytes) -> bytes:
    first, last = sorted(chooser.choices(range(len(part) + 1), k=2))
    return part[:last] + part[first:]


def _swap(chooser: random.Random, part: bytes) -> bytes:
    first, second = sorted(chooser.choices(range(len(part)), k=2))
    swapped = bytearray(part)
    swapped[first], swapped[second] = part[second], part[first]
    return bytes(swapped)


def _change_case(chooser: random.Random, part: bytes) -> bytes:
    place = chooser.randrange(len(part))
    return part[:place] + part[place : place + 1].swapcase() + part[place + 1 :]


def _count_up(chooser: random.Random, part: bytes) -> bytes:
    """Another number, where there is one."""
    digits = [place for place, byte in enumerate(part) if 0x30 <= byte <= 0x39]
    if not digits:
        return part[::-1]
    place = chooser.choice(digits)
    return part[:place] + b"%d" % chooser.randrange(10) + part[place + 1 :]


def _space(chooser: random.Random, part: bytes) -> bytes:
    """JSON that means the same."""
    return part.replace(b":", chooser.choice((b" :", b":  ", b":\n")), chooser.randint(1, 3))


ALTERATIONS: tuple[Alter, ...] = (
    _flip, _overwrite, _insert, _cut, _repeat, _swap, _change_case, _count_up, _space,
)  # fmt: skip


def mutants(seed: int, count: int, now: float) -> Iterator[tuple[Kind, Message, Message]]:
    """Kind, original and mutant, again and again the same for a seed. A mutant differs from its original."""
    chooser = random.Random(seed)
    good = originals(chooser, now)
    made = 0
    while made < count:
        kind, original = chooser.choice(good)
        mutant = original
        if chooser.random() < 0.1:
            # Parts of another good message, or said at the other place.
            place = chooser.randrange(5)
            other_kind, other = chooser.choice(good)
            kind, mutant = (other_kind, mutant) if place == 4 else (kind, mutant.replaced(place, other.parts[place]))
        for _ in range(chooser.choice((1, 1, 1, 2, 3))):
            place = chooser.randrange(4)
            if part := mutant.parts[place]:
                mutant = mutant.replaced(place, chooser.choice(ALTERATIONS)(chooser, part))
        if all(mutant.parts != message.parts for _, message in good):
            made += 1
            yield kind, original, mutant


def judge(kind: Kind, original: Message, mutant: Message, now: float) -> str:
    """The name by which a mutant is refused, or ACCEPTED."""
    try:
        read_call(kind, SECRETS, mutant.fields, mutant.body, now)
    except Refused as refused:
        return refused.name
    # All that was signed is as it was, and a good signature is among those that are there: the same message once more.
    same = (original.message_id, original.timestamp, original.body)
    is_same = (mutant.message_id.strip(b" \t"), mutant.timestamp.strip(b" \t"), mutant.body) == same
    return "replayed" if is_same else "ACCEPTED"


# --- Over real connections -------------------------------------------------------------------------------------------


async def ask(port: int, request: bytes) -> int:
    """The status of the answer, or 0 without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        # Whatever length the mutant claims, there is no more.
        writer.write_eof()
        line = (await reader.read()).split(b"\r\n")[0].split(b" ")
        return int(line[1]) if len(line) > 1 else 0
    except ConnectionError:
        return 0
    finally:
        writer.close()


async def send_all(port: int, seed: int, count: int, now: float) -> None:
    """The other process: send mutants, good messages between them; print what was answered."""
    statuses: Counter[int] = Counter()
    good: Counter[int] = Counter()
    slowest_seconds = 0.0
    waiting = enumerate(mutants(seed, count, now))

    async def sender() -> None:
        nonlocal slowest_seconds
        for number, (kind, _, mutant) in waiting:
            statuses[await ask(port, mutant.request(kind))] += 1
            if number % GOOD_EVERY == 0:
                message = signed(SITE, "changes", f"good-{number}", time.time(), (NEW,))
                began = time.perf_counter()
                good[await ask(port, message.request("changes"))] += 1
                slowest_seconds = max(slowest_seconds, time.perf_counter() - began)

    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    print(json.dumps({"statuses": statuses, "good": good, "slowest": slowest_seconds}))


async def pace(until: Callable[[], bool]) -> list[float]:
    """How late the loop comes back to a task that wants to run every 10 ms, in milliseconds."""
    late = []
    while not until():
        began = time.perf_counter()
        await asyncio.sleep(TICK_SECONDS)
        late.append((time.perf_counter() - began - TICK_SECONDS) * 1000)
    return late


def told(name: str, late: list[float]) -> None:
    cuts = statistics.quantiles(late, n=100)
    print(f"  {name:24} p50 {cuts[49]:6.2f} ms   p99 {cuts[98]:6.2f} ms   max {max(late):6.2f} ms")


async def receive(seed: int, count: int, now: float) -> bool:
    """Run a webhook for the mutants of another process. False if something was accepted that must not be."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    taken = {message.message_id.decode() for _, message in originals(random.Random(seed), now)}
    called: list[Call] = []

    def take_id(message_id: str, _: float) -> bool:
        is_new = message_id not in taken
        taken.add(message_id)
        return is_new

    listening = Webhook(Origin("http", "127.0.0.1", port), SECRETS, on_call=called.append, take_id=take_id, health=dict)
    await listening.start()
    ends = time.perf_counter() + IDLE_SECONDS
    idle = await pace(lambda: time.perf_counter() > ends)
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--port", str(port), "--seed", str(seed), "--sent", str(count), "--now", str(now),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    answered = asyncio.create_task(process.stdout.read())
    busy = await pace(answered.done)
    seconds = time.perf_counter() - began
    await process.wait()
    await listening.stop()
    answers = json.loads(await answered)
    good = sum(answers["good"].values())
    print(f"\nover connections: {count} mutants in {seconds:.1f} s")
    print("  answers:", ", ".join(f"{status}: {number}" for status, number in sorted(answers["statuses"].items())))
    print("  counted:", ", ".join(f"{name}: {number}" for name, number in sorted(listening.counts().items())))
    print(f"  good messages between them: {answers['good'].get('202', 0)} of {good} accepted,", end=" ")
    print(f"the slowest in {answers['slowest'] * 1000:.1f} ms")
    print("how late a task comes that wants to run every 10 ms:")
    told("nobody speaks", idle)
    told("mutants come", busy)
    accepted = answers["statuses"].get("202", 0)
    return not accepted and answers["good"] == {"202": good} and len(called) == good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--sent", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--now", type=float, default=time.time(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    sent = options.count // 20 if options.sent is None else options.sent
    if options.port:
        asyncio.run(send_all(options.port, options.seed, sent, options.now))
        return 0
    logging.disable(logging.CRITICAL)
    began = time.perf_counter()
    verdicts = Counter(
        judge(kind, original, mutant, options.now)
        for kind, original, mutant in mutants(options.seed, options.count, options.now)
    )
    print(f"judged: {verdicts.total()} mutants in {time.perf_counter() - began:.1f} s, seed {options.seed}")
    print("  " + ", ".join(f"{name}: {number}" for name, number in sorted(verdicts.items())))
    webhook.MESSAGES_PER_SECOND = webhook.MESSAGES_AT_ONCE = 1e12
    # A time stamp is good for five minutes, and judging so many may have taken longer.
    is_good = asyncio.run(receive(options.seed, sent, time.time()))
    some = "none" if is_good else "SOME"
    print(f"\naccepted: {verdicts['ACCEPTED']} of {verdicts.total()} judged, {some} of {sent} sent")
    return 0 if is_good and not verdicts["ACCEPTED"] else 1


if __name__ == "__main__":
    sys.exit(main())
