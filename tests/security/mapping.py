"""10,000,000 generated URLs: none lands outside the tree, no two pages share a place, and nginx finds what is there.

Each URL is refused, or its place is compared with one that is made here in another way: the host from a table, the
path by urllib's `unquote_to_bytes`. That no two pages have one place is looked at by digests on disk, a bucket at a
time. One in a thousand is published by the real tree and asked of a real nginx with the configuration that `staticify
config` prints, in its canonical spelling and as it was written; so is one in a thousand of those refused, which must
not be found.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Self
from unicodedata import normalize
from urllib.parse import quote_from_bytes, unquote_to_bytes

from chunks import Chunk, chunks, in_processes
from real.fronts import front_of
from real.helpers import free_ports
from tally import Tally

from staticify.encode import encode
from staticify.errors import UrlError
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import MARK, Page, parse_page

COUNT = 10_000_000
CHUNK = 100_000
ASKED_ONE_IN = 1000
BUCKETS = 64
_HALF = 8
"""Bytes of a digest. With ten million the chance of one collision that is none is one in 300,000."""

# A host as it is written, and its name in the tree.
HOSTS = (
    ("example.org", "example.org"),
    ("EXAMPLE.org:80", "example.org"),
    ("example.org.", "example.org"),
    ("example.org:", "example.org"),
    ("my_site.example.org:8080", "my_site.example.org:8080"),
    ("my_site.example.org:08080", "my_site.example.org:8080"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("BÜCHER。example", "xn--bcher-kva.example"),
    ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("[2001:DB8:0::2]", "[2001:db8::2]"),
    ("[2001:db8::2]:80", "[2001:db8::2]"),
    ("127.0.0.1", "127.0.0.1"),
)

# --- What is generated -----------------------------------------------------------------------------------------------

_SLUGS = (
    "about", "About", "ABOUT", "2026", "news", "a", "b", "index.html", "feed", "wp-json", "x.php", "straße", "日本",
)  # fmt: skip
# What is folded or composed into something else: by case, by form, or because it is not seen.
_FOLDS = (
    "\u017f\u00df\u1e9e\u0130\u0131\u212a\u212b\u03a3\u03c2\u03c3\u00e9\u00c9e\u0301\u00c5A\u030a\ufb01\ufb06\u1e9b\u0323"
    "\u1100\u1161\uac00\u200d\u00ad\ufeff\u0345"
)
_DOTS = (
    ".", "..", "...", "%2e", "%2E%2e", ".%2e", "..%00", ".. ", "%2e%2e%2f", "..%5c", ". .", "\u2024\u2024",
    "\uff0e\uff0e", "..;",
)  # fmt: skip
_RESERVED = (
    MARK, "@STATICIFY", "%40staticify", "@%73taticify", "@\u017ftaticify", "@\ufb06aticify", "@static\u00adify",
    f"{MARK}.new-0123456789abcdef", f"{MARK}.v-1", "@staticif", "staticify", "@@staticify", "@static/ify",
    "@staticify%00", "index.html.gz", "index.html.br", ".htaccess", "con", "nul", "aux.txt", "lost+found", "~", "-rf",
    "*", "|id", "$(id)",
)  # fmt: skip
_ESCAPES = (
    "%2f", "%2F", "%5c", "%25", "%2525", "%252e", "%3f", "%3F", "%23", "%00", "%0a", "%0d%0a", "%7f", "%20", "%", "%4",
    "%zz", "%u0041", "%c0%ae", "%e0%80%af", "%ed%a0%80", "%f4%90%80%80", "%ff", "%fe", "%c3", "%EF%BB%BF", "%e2%80%ae",
    "%22", "%3c", "%7b", "$host", "${x}", "{path}", "%24uri", "&", ";", "'", '"', "<", "\\", "//", "?", "#", "\t",
)  # fmt: skip


def _escaped(chance: Random, data: bytes) -> str:
    """Bytes in percent-encoding, each in upper or lower case; some that need none are encoded all the same."""
    share = chance.random()
    return "".join(
        chr(byte)
        if 0x20 < byte < 0x7F and byte not in b'%/?#\\"<>[]^`{|}' and chance.random() < share
        else (f"%{byte:02x}" if byte & 1 else f"%{byte:02X}")
        for byte in data
    )


def _letters(chance: Random) -> str:
    return "".join(chance.choices("abcdefgh-_.~!$&'()*+,;=:@", k=chance.randint(1, 9)))


def _characters(chance: Random) -> str:
    """A few of any script, and of those that a file system may take for others."""
    return "".join(
        chance.choice(_FOLDS) if chance.random() < 0.5 else chr(chance.choice((0xA1, 0x370, 0x4E00, 0x1F600)) + offset)
        for offset in chance.choices(range(60), k=chance.randint(1, 4))
    )


def _unicode(chance: Random) -> str:
    text = _characters(chance)
    if chance.random() < 0.5:
        text = normalize(chance.choice(("NFC", "NFD", "NFKC", "NFKD")), text)
    return text if chance.random() < 0.5 else _escaped(chance, text.encode())


def _long(chance: Random) -> str:
    unit = chance.choice(("x", "é", "日", "😀", "%61", "%C3%A9"))
    size = len(unquote_to_bytes(unit))
    return unit * (chance.choice((244, 245, 246, 254, 255, 256)) // size) + chance.choice(("", "x"))


_PIECES: tuple[tuple[int, Callable[[Random], str]], ...] = (
    (30, _letters),
    (20, lambda chance: chance.choice(_SLUGS)),
    (15, lambda chance: f"{chance.choice(_SLUGS)}-{chance.randrange(10_000_000)}"),
    (14, _unicode),
    (6, lambda chance: _escaped(chance, _letters(chance).encode())),
    (2, lambda chance: _escaped(chance, chance.randbytes(chance.randint(1, 4)))),
    (2, lambda chance: chance.choice(_DOTS)),
    (2, lambda chance: chance.choice(_RESERVED)),
    (3, lambda chance: chance.choice(_ESCAPES)),
    (1, _long),
    (1, lambda chance: "".join(map(chr, chance.choices(range(1, 0x3000), k=3)))),
)
_MAKERS = [maker for _, maker in _PIECES]
_WEIGHTS = [weight for weight, _ in _PIECES]


def raw_path(chance: Random) -> str:
    """The path of a URL: harmless in most, with something that is not in about one of six."""
    if chance.random() < 0.002:
        # About as long as a path may be at all.
        return "/" + "/".join(["y" * 200] * 10) + "/" + "z" * chance.randint(20, 50)
    pieces = chance.choices(_MAKERS, _WEIGHTS, k=chance.choice((1, 1, 2, 2, 3, 4, 6)))
    path = "/" + "".join(piece(chance) + ("/" if chance.random() < 0.6 else "") for piece in pieces)
    return path if chance.random() < 0.97 else path + chance.choice(("/", "//", "/.", "/..", "?", "#x", "/ "))


# --- What is counted -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """An accepted URL to be published and asked for."""

    page: Page
    written: str
    """The path, as it was generated."""


@dataclass
class Mapped(Tally):
    """What a run came to."""

    samples: list[Sample] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Host and path of some that were refused."""

    def add(self, other: Self) -> None:
        super().add(other)
        self.samples += other.samples
        self.refused += other.refused


_QUOTED = re.compile(r"""(['"]).*\1(?:\.\.\.)? """, re.DOTALL)


def _reason(error: UrlError) -> str:
    """Why a URL was refused, without the URL."""
    return "refused: " + _QUOTED.sub("", str(error)).partition(":")[0].partition(";")[0]


def fault_of(page: Page, netloc: str, path: bytes) -> str:
    """What is wrong with the place of a page whose host and decoded path these are; nothing, mostly."""
    place = page.place
    relative = place.relative.encode()
    if relative != netloc.encode() + path + MARK.encode():
        return "is another than the URL says"
    if (place.netloc, place.path) != (page.netloc, page.path):
        return "does not lead back to the page"
    if os.path.normpath(b"/tree/" + relative) != b"/tree/" + relative:
        return "leaves the tree"
    *directories, leaf = relative.split(b"/")
    if any(len(name) > 255 or not name for name in (*directories, leaf)) or len(relative) > 3000:
        return "has a name that no file system takes"
    if relative.lower().count(MARK.encode()) != 1 or re.search(rb"[\0-\x1f\x7f\\]", relative):
        return "holds what no place may hold"
    return ""


def _chunk(chunk: Chunk, directory: Path) -> Mapped:
    """Generate and look at one part; the digests of its places go to the buckets."""
    chance, tally = chunk.chance, Mapped()
    counts: Counter[str] = Counter()
    seen: set[bytes] = set()
    for number in range(chunk.count):
        written, netloc = chance.choice(HOSTS)
        raw = raw_path(chance)
        try:
            page = parse_page(f"http://{written}{raw}")
        except UrlError as error:
            counts[_reason(error)] += 1
            if counts.total() % ASKED_ONE_IN == 0:
                tally.refused.append((netloc, raw))
            continue
        counts["accepted"] += 1
        decoded = unquote_to_bytes(raw.partition("#")[0])
        fault = fault_of(page, netloc, decoded)
        if fault:
            tally.faults.append(f"seed {chunk.seed}, number {number}: the place of {written + raw!r} {fault}")
        seen.add(_entry(page.place.relative.encode(), netloc.encode() + b"\0" + decoded))
        if counts.total() % ASKED_ONE_IN == 0:
            tally.samples.append(Sample(page, raw.partition("#")[0]))
    tally.counts = counts
    _write_buckets(directory, seen)
    return tally


def _entry(place: bytes, page: bytes) -> bytes:
    return blake2b(place, digest_size=_HALF).digest() + blake2b(page, digest_size=_HALF).digest()


def _write_buckets(directory: Path, entries: set[bytes]) -> None:
    buckets: list[list[bytes]] = [[] for _ in range(BUCKETS)]
    for entry in entries:
        buckets[entry[0] % BUCKETS].append(entry)
    for number, bucket in enumerate(buckets):
        # One write to the end of the file: the processes do not get in each other's way.
        with (directory / str(number)).open("ab", buffering=0) as file:
            file.write(b"".join(bucket))


def collisions(directory: Path) -> tuple[int, int]:
    """How many different pages the buckets hold, and how many of these share their place with another."""
    pages = shared = 0
    for number in range(BUCKETS):
        data = (directory / str(number)).read_bytes()
        entries = {data[start : start + 2 * _HALF] for start in range(0, len(data), 2 * _HALF)}
        pages += len(entries)
        shared += len(entries) - len({entry[:_HALF] for entry in entries})
    return pages, shared


# --- What nginx finds ------------------------------------------------------------------------------------------------


def can_ask() -> bool:
    """True if a private nginx can be started here, with workers that are another user."""
    return os.geteuid() == 0 and shutil.which("nginx") is not None


def ask_nginx(tally: Mapped) -> None:
    """Publish the samples, and ask a real nginx for each; and for those refused, which are not there."""
    directory = Path(tempfile.mkdtemp(prefix="staticify-mapping-", dir="/var/tmp"))
    directory.chmod(0o755)
    tree = Tree(directory / "tree")
    (port,) = free_ports(1)
    sites = "".join(
        f'[[site]]\nurl = "http://{netloc}"\norigin = "http://127.0.0.1:1"\n'
        for netloc in dict.fromkeys(netloc for _, netloc in HOSTS)
    )
    config = directory / "staticify.toml"
    config.write_text(
        f'[tree]\npath = "{directory}/tree"\n[state]\npath = "{directory}/state"\n'
        f'[front]\nlisten = "127.0.0.1:{port}"\n{sites}'
    )
    front = front_of("nginx", directory / "front", config)
    try:
        tree.open()
        front.start(port)
        pages = {sample.page for sample in tally.samples}
        for page in pages:
            tree.publish(page.place, Kind.HTML, encode(_body_of(page)))
        if {found.place for found in tree.scan()} != {page.place for page in pages}:
            tally.faults.append("the tree holds other pages than were published")
        with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            for sample in tally.samples:
                _ask_for(connection, sample, tally)
            for netloc, raw in tally.refused:
                _ask_for_refused(connection, netloc, raw, tally)
    finally:
        front.stop()
        tree.close()
        shutil.rmtree(directory)


def _body_of(page: Page) -> bytes:
    return f"<p>{page.url}</p>".encode()


def _answer(connection: HTTPConnection, netloc: str, target: str) -> tuple[int, str, bytes]:
    connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", netloc)
    connection.endheaders()
    response = connection.getresponse()
    return response.status, response.headers.get("Cache-Status", ""), response.read()


def _ask_for(connection: HTTPConnection, sample: Sample, tally: Mapped) -> None:
    page = sample.page
    targets = {page.raw_path}
    if re.fullmatch(r"[!$&-;=@-Z_a-z~%]*", sample.written) and not re.search("%2e", sample.written, re.IGNORECASE):
        # A browser would send what was written as it is. (An encoded dot is WordPress's to answer: deploy/nginx.)
        targets.add(sample.written)
    for target in targets:
        tally.counts["asked of nginx"] += 1
        answer = _answer(connection, page.netloc, target)
        if answer != (200, "staticify; hit", _body_of(page)):
            tally.faults.append(f"nginx does not find {page.netloc} {target!r}: {answer[:2]}")


def _ask_for_refused(connection: HTTPConnection, netloc: str, raw: str, tally: Mapped) -> None:
    target = quote_from_bytes(raw.encode("utf-8", "surrogatepass"), safe=bytes(range(0x21, 0x7F)))
    tally.counts["asked of nginx though refused"] += 1
    answer = _answer(connection, netloc, target)
    # A query string or a fragment is no path: nginx may find the page that it belongs to.
    if answer[1].startswith("staticify; hit") and not re.search(r"[?#]", target):
        tally.faults.append(f"nginx finds {netloc} {target!r}, which has no place: {answer[:2]}")


def run(count: int, seed: int) -> Mapped:
    """Look at so many URLs."""
    tally = Mapped()
    directory = Path(tempfile.mkdtemp(prefix="staticify-mapping-"))
    try:
        for part in in_processes(partial(_chunk, directory=directory), chunks(count, seed, CHUNK)):
            tally.add(part)
        pages, shared = collisions(directory)
    finally:
        shutil.rmtree(directory)
    tally.counts["different pages"] = pages
    tally.counts["that share a place"] = shared
    if shared:
        tally.faults.append(f"{shared} pages share their place with another")
    if can_ask():
        ask_nginx(tally)
    return tally
