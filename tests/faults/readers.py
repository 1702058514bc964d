"""Readers through nginx that mix gzip, br and identity, while one page is published again and again.

None of their answers may be torn, older than the one before, or an error. nginx has the configuration that `staticify
config nginx` prints, and no WordPress behind it: what it does not find in the tree is an error.
"""

from __future__ import annotations

import http.client
import itertools
import multiprocessing
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Protocol

from real.fronts import Nginx, front_of
from real.helpers import free_ports
from tally import Tally
from versions import Torn, decoded, number_of, version

from staticify.encode import encode
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import parse_page

COUNT = 100_000
"""Publishes."""
READERS = 2
CODINGS = ("", "gzip", "br")
PATH = "/busy/"
PUBLISHES_PER_SECOND = 40
"""A slow machine's."""
SECONDS_TO_END = 30.0
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else "/var/tmp"
"""Where fsync costs nothing."""


@dataclass
class Reading:
    """What one reader got."""

    answers: Counter[str] = field(default_factory=Counter)
    """By content coding."""
    versions: int = 0
    """How many different ones."""
    faults: list[str] = field(default_factory=list)


def read(port: int, host: str, is_over: Callable[[], bool]) -> Reading:
    """Ask for the page until it is over, each time in another coding."""
    reading, newest = Reading(), -1
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for coding in itertools.cycle(CODINGS):
            if is_over():
                return reading
            try:
                connection.request("GET", PATH, headers={"Host": host, "Accept-Encoding": coding})
                response = connection.getresponse()
                number = number_in_answer(response, response.read())
            except (Torn, http.client.HTTPException, OSError) as error:
                reading.faults.append(f"{coding or 'identity'}: {error!r}")
                connection.close()
                continue
            reading.answers[response.headers.get("Content-Encoding", "identity")] += 1
            if number < newest:
                reading.faults.append(f"{coding or 'identity'}: {number} after {newest}")
            reading.versions += number > newest
            newest = max(number, newest)
    return reading


def number_in_answer(response: http.client.HTTPResponse, body: bytes) -> int:
    """The version that an answer has. Raises Torn if it is no whole page of the tree."""
    if response.status != 200 or response.headers["Cache-Status"] != "staticify; hit":
        raise Torn(f"no hit: {response.status} {response.headers['Cache-Status']}")
    return number_of(decoded(response.headers.get("Content-Encoding", ""), body), PATH)


def reason_to_skip() -> str:
    """Why no nginx can be started here; empty if it can."""
    if os.geteuid() != 0:
        return "only root can start nginx with workers of another user"
    return "" if shutil.which("nginx") else "no nginx"


@contextmanager
def directory() -> Iterator[Path]:
    """Where versions follow closely, and nginx may read."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def nginx_of(tree: Path, links: str) -> Iterator[tuple[int, str, Path]]:
    """nginx before a tree: its port, the site's host, and its log."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        port, nothing = free_ports(2)
        config = Path(name, "staticify.toml")
        config.write_text(
            f'[tree]\npath = "{tree}"\nlinks = "{links}"\n[front]\nlisten = "127.0.0.1:{port}"\n'
            f'[[site]]\nurl = "http://127.0.0.1:{port}/"\norigin = "http://127.0.0.1:{nothing}"\n'
        )
        front = front_of(Nginx.kind, Path(name, "nginx"), config)
        front.start(port)
        try:
            yield port, f"127.0.0.1:{port}", front.log
        finally:
            front.stop()


class _Event(Protocol):
    def is_set(self) -> bool: ...


class _Barrier(Protocol):
    def wait(self, timeout: float | None = None) -> int: ...


def _read_apart(
    port: int, host: str, begin: _Barrier, is_over: _Event, readings: multiprocessing.Queue[Reading]
) -> None:
    begin.wait(SECONDS_TO_END)
    readings.put(read(port, host, is_over.is_set))


def publish_and_read(count: int, tally: Tally, *, has_exchange: bool) -> None:
    """So many publishes under the eyes of readers, each a process of its own."""
    context = multiprocessing.get_context("spawn")
    begin, is_over, readings = context.Barrier(READERS + 1), context.Event(), context.Queue()
    deadline = time.monotonic() + SECONDS_TO_END + count / PUBLISHES_PER_SECOND
    with directory() as above:
        tree = Tree(above / "tree", may_link=not has_exchange, has_exchange=has_exchange)
        with nginx_of(tree.path, "never" if has_exchange else "own") as (port, host, log), closing(tree):
            tree.open()
            place = parse_page(f"http://{host}{PATH}").place
            tree.publish(place, Kind.HTML, encode(version(0, PATH)))
            readers = [
                context.Process(target=_read_apart, args=(port, host, begin, is_over, readings), daemon=True)
                for _ in range(READERS)
            ]
            for reader in readers:
                reader.start()
            try:
                begin.wait(SECONDS_TO_END)
                for number in range(1, count + 1):
                    tree.publish(place, Kind.HTML, encode(version(number, PATH)))
                    tally.counts["publishes"] += 1
                    if time.monotonic() > deadline:
                        tally.faults.append(f"slower than {PUBLISHES_PER_SECOND} publishes a second")
                        break
                is_over.set()
                for _ in readers:
                    _add(tally, readings.get(timeout=SECONDS_TO_END))
            except Empty:
                tally.faults.append("a reader died")
            finally:
                for reader in readers:
                    reader.kill()
                    reader.join()
            tally.faults += [line for line in log.read_text().splitlines() if _is_fault(line)]


def _is_fault(line: str) -> bool:
    # Not everybody may raise the limit of open files, and these few readers do not need it.
    return any(f"[{level}]" in line for level in ("error", "crit", "alert", "emerg")) and "setrlimit" not in line


def _add(tally: Tally, reading: Reading) -> None:
    tally.faults += reading.faults
    tally.counts["versions seen, by all readers"] += reading.versions
    tally.counts.update({f"answers, {coding}": count for coding, count in reading.answers.items()})


def run(count: int, seed: int) -> Tally:
    """So many publishes, half of them by exchange and half by links. There is no chance in it but the machine's own."""
    del seed
    tally = Tally()
    for has_exchange in (True, False):
        publish_and_read(count // 2, tally, has_exchange=has_exchange)
    return tally
