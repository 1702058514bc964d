"""Which pages a site has, as its sitemaps, feeds and menus say.

A sitemap is somebody else's file: nothing in it can make the reading endless, large or fatal. Every bound that is
met and every URL that is left out becomes a note; what the other sitemaps said is kept.

Formats: urlset and sitemapindex (sitemaps.org, protocol 0.9), RSS 2.0, Atom, and plain text with one URL a line;
each also as a gzip file, known by its first two bytes.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import quote, urljoin

from staticify.errors import OriginError, UrlError
from staticify.urls import Page, is_inside, parse_page

if TYPE_CHECKING:
    from lxml import etree

MAX_SITEMAP_BYTES = 50 * 1024 * 1024
"""Of one sitemap, inflated: the protocol's own limit."""
MAX_TOTAL_BYTES = 256 * 1024 * 1024
"""Of all sitemaps of one reading together, inflated."""
MAX_SITEMAPS = 500
"""Asked for in one reading, redirects included. WordPress puts 2,000 URLs into each."""
MAX_HEAD_BYTES = 256 * 1024
"""Before a sitemap's root element: declarations, style sheets, comments."""
MAX_NAME_CHARACTERS = 64 * 1024
"""Of all different names in one XML document: libxml2 keeps every name that a thread ever met."""
MAX_ELEMENT_DEPTH = 100
"""Of one XML document: what is open is kept in memory. A page quoted in a feed is far less deep."""
MAX_ELEMENTS = 1_000_000
"""In one XML document, beside those of its pages: a microsecond each. 50 MB of image entries have as many."""
MAX_TOTAL_ELEMENTS = 5_000_000
"""Of all sitemaps of one reading together."""
MAX_DEPTH = 5
"""Sitemap indexes and redirects above a sitemap. The protocol allows one index; plugins nest them."""
MIN_LOOKED_AT = 50_000
"""URLs looked at before the reading stops although few of them are pages of the site: one sitemap's worth."""
MAX_URL_CHARACTERS = 8192
"""Longer than any URL that can be a page, so that whatever is cut off here is refused later."""
MAX_LINKS = 1000
"""Taken out of one HTML page, for each kind of link."""
MAX_ROBOTS_SITEMAPS = 100
"""Sitemap lines taken out of one robots.txt."""

_PIECE_BYTES = 16 * 1024
_PAGE_ELEMENTS = 10
"""An entry has half as many with all that the protocol knows, an item of a feed about as many."""
_GZIP_MAGIC = b"\x1f\x8b"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_XML_SPACE = b" \t\r\n"
_UTF8_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")

_MENU = "nav a[href], [role='navigation'] a[href], .menu a[href], .wp-block-navigation a[href]"
# Elements that are <nav> too, but lead through a list and not through the site.
_NO_MENU = (
    ".pagination, .posts-navigation, .post-navigation, .comment-navigation, .comments-pagination, .image-navigation, "
    ".wp-block-query-pagination, .wp-block-comments-pagination, .page-links, .breadcrumbs, .breadcrumb, #wpadminbar"
)
# rel="category tag" is get_the_category_list(); the others are the Categories widget and the blocks.
_CATEGORIES = (
    "a[rel~='category'][href], .cat-item a[href], .wp-block-categories a[href], .taxonomy-category a[href], "
    ".cat-links a[href]"
)
_FEEDS = "link[rel~='alternate'][type='application/rss+xml'], link[rel~='alternate'][type='application/atom+xml']"


class Stream(Protocol):
    """An answer whose body is still on its way."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def is_framed(self) -> bool:
        """True if the body's end is certain (RFC 9112 section 6.3)."""

    def header(self, name: str) -> str:
        """A field's value; empty if absent."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body, its content coding undone. Raises OriginError."""


class Source(Protocol):
    """Whatever can be asked for a path of the site: the origin client."""

    def stream(self, raw_path: str, max_bytes: int) -> AbstractAsyncContextManager[Stream]:
        """An answer of at most `max_bytes`. Raises OriginError."""


class Site(Protocol):
    """What of a site's configuration decides about its pages."""

    @property
    def base(self) -> Page:
        """The site's address; its path ends in a slash."""

    @property
    def max_pages(self) -> int:
        """How many pages the site may have at most."""

    def is_excluded(self, page: Page) -> bool:
        """True if the page is not wanted."""


@dataclass(frozen=True, slots=True)
class Note:
    """What was left out, and why. URLs left out for one reason are counted together."""

    where: str
    """URL of the sitemap, for counted URLs that of the first."""
    message: str
    """A sentence for people, printable whatever the sitemap says."""
    name: str = ""
    """A fixed word to count by."""
    count: int = 1
    is_loss: bool = False
    """True if pages may be missing from the listing for it."""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the sitemaps say of one page."""

    page: Page
    sitemap: str
    """URL of the sitemap that named it first."""
    modified_at: float | None = None
    """Seconds since the epoch, as the sitemap claims."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What all sitemaps of one reading say."""

    pages: tuple[Page, ...] = ()
    """In the order of the documents, each once."""
    notes: tuple[Note, ...] = ()
    is_complete: bool = True
    """False if not every sitemap was read to its end: a page that is missing here may still be listed there."""
    is_cut: bool = False
    """True if there were more than `max_pages`."""
    entries: tuple[Entry, ...] = ()
    """One for each page that a sitemap named, in the same order."""
    sitemaps: tuple[str, ...] = ()
    """URLs of the sitemaps, indexes and feeds that could be read, at least in part."""


@dataclass(frozen=True, slots=True)
class Links:
    """Where an HTML page leads to, inside its site. Everything in the order of the document, without duplicates."""

    menu: tuple[Page, ...] = ()
    categories: tuple[Page, ...] = ()
    feeds: tuple[Page, ...] = ()
    canonical: Page | None = None
    """What the page calls itself (RFC 6596), inside the site or not."""
    home: Page | None = None
    """The address of WordPress's own home page, by the link to its REST API."""


async def read_sitemaps(source: Source, site: Site, urls: Iterable[str]) -> Listing:
    """Read sitemaps, indexes and feeds, and what they lead to, one after the other.

    `urls` are absolute, or paths from the root of the host. Never raises for what the origin or a sitemap says.
    """
    reading = _Reading(source, site)
    for url in urls:
        await reading.read_root(url)
    return reading.listing()


def sitemaps_of_robots(text: str) -> tuple[str, ...]:
    """The values of a robots.txt's Sitemap lines (RFC 9309 section 2.2.4), at most MAX_ROBOTS_SITEMAPS of them."""
    found: dict[str, None] = {}
    for line in text.removeprefix("\ufeff").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "sitemap" and value.strip():
            found[value.strip()[:MAX_URL_CHARACTERS]] = None
            if len(found) == MAX_ROBOTS_SITEMAPS:
                break
    return tuple(found)


def links_of(body: bytes, page: Page, base: Page) -> Links:
    """Where the HTML of `page` leads to inside the site at `base`. Links that cannot be pages are passed over."""
    from staticify.html import Document  # Only `init` needs an HTML parser here

    document = Document(body)
    start = document.tree.select_one("base[href]")
    at = _joined(page.url, _href(start)) if start is not None else page.url

    def inside(elements: Iterable[object]) -> tuple[Page, ...]:
        found: dict[Page, None] = {}
        for element in elements:
            target = _link(at, _href(element), base)
            if target is not None and is_inside(base, target):
                found[target] = None
                if len(found) == MAX_LINKS:
                    break
        return tuple(found)

    canonical = document.tree.select_one("link[rel~='canonical'][href]")
    api = document.tree.select_one("link[rel~='https://api.w.org/'][href]")
    return Links(
        menu=inside(link for link in document.tree.select(_MENU) if link.closest(_NO_MENU) is None),
        categories=inside(document.tree.select(_CATEGORIES)),
        feeds=inside(document.tree.select(_FEEDS)),
        canonical=_link(at, _href(canonical), None) if canonical is not None else None,
        home=_link(at, _above_api(_href(api)), base) if api is not None else None,
    )


def _above_api(href: str) -> str:
    """What the REST API's address begins with: HOME/wp-json/, or HOME/index.php?rest_route=/ with plain permalinks."""
    location, mark, _ = href.partition("?")
    return location.removesuffix("" if mark else "/").rpartition("/")[0] + "/"


def _href(element: object) -> str:
    # turbohtml gives a list for the attributes that HTML defines as lists; href is none of them.
    value = element.attr("href")  # type: ignore[attr-defined]
    return value.strip() if isinstance(value, str) else ""


def _link(at: str, href: str, base: Page | None) -> Page | None:
    if not href or href.startswith("#"):
        return None
    try:
        page = parse_page(_joined(at, href))
    except UrlError:
        return None
    return page if base is None else _with_scheme_of(base, page)


def _joined(at: str, text: str) -> str:
    if not text:
        raise UrlError("an entry has no URL")
    if text.startswith(("https://", "http://")):
        return text
    try:
        return urljoin(at, text)
    except ValueError as error:
        raise UrlError(f"{text!r} is not a URL: {error}") from None


def _with_scheme_of(base: Page, page: Page) -> Page:
    # Behind a proxy that ends TLS, WordPress may name its own pages by http: they are the same pages.
    return replace(page, scheme=base.scheme) if page.netloc == base.netloc and page.scheme != base.scheme else page


def _printable(text: str, max_characters: int = 200) -> str:
    """A stranger's text for terminals and logs: on one line, no control or direction characters, not long."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:max_characters])
    return shown if len(text) <= max_characters else f"{shown}..."


class _UnreadableError(Exception):
    """One sitemap cannot be read on. The message says why."""


class _FullError(Exception):
    """Nothing more is wanted, from no sitemap. The message says why."""


class _Reading:
    """All sitemaps of one call: what was found, and what may still be asked for."""

    def __init__(self, source: Source, site: Site) -> None:
        self._source = source
        self._site = site
        self._entries: dict[Page, Entry] = {}
        self._notes: dict[tuple[str, str], Note] = {}
        self._sitemaps: list[str] = []
        self._asked: set[str] = set()
        self._room_bytes = MAX_TOTAL_BYTES
        self._room_elements = MAX_TOTAL_ELEMENTS
        self._room_urls = max(MIN_LOOKED_AT, 10 * site.max_pages)
        self._is_full = False
        self._is_cut = False

    def listing(self) -> Listing:
        return Listing(
            pages=tuple(self._entries),
            notes=tuple(
                replace(note, message=f"{note.message}, and {note.count - 1} more like it") if note.count > 1 else note
                for note in self._notes.values()
            ),
            is_complete=not any(note.is_loss for note in self._notes.values()),
            is_cut=self._is_cut,
            entries=tuple(self._entries.values()),
            sitemaps=tuple(self._sitemaps),
        )

    async def read_root(self, url: str) -> None:
        await self._follow(url, self._site.base.url, (), is_needed=True)

    async def _follow(self, text: str, parent: str, trail: tuple[str, ...], *, is_needed: bool = False) -> None:
        """Read the sitemap that `parent` names. `trail` is how it was reached: raw paths, the first one first."""
        if self._is_full:
            return
        base = self._site.base
        try:
            page, raw_path = _sitemap_address(_joined(parent, text))
        except UrlError as error:
            self._note("sitemap-refused", parent, _printable(str(error)), is_loss=is_needed)
            return
        if page.netloc != base.netloc:
            reason = f"the sitemap {_printable(text)} is on another host"
            self._note("sitemap-foreign", parent, reason, is_loss=is_needed)
        elif raw_path in trail:
            reason = f"{_printable(text)} leads back to itself"
            # A redirect that ends nowhere was never read; an index that names itself was.
            self._note("sitemap-loop", parent, reason, is_loss=is_needed)
        elif raw_path not in self._asked:
            if len(trail) >= MAX_DEPTH:
                reason = f"{_printable(text)} is more than {MAX_DEPTH} levels down"
                self._note("sitemap-too-deep", parent, reason, is_loss=True)
            elif len(self._asked) >= MAX_SITEMAPS:
                reason = f"{_printable(text)} is left out: {MAX_SITEMAPS} sitemaps were asked for already"
                self._note("too-many-sitemaps", parent, reason, is_loss=True)
            else:
                self._asked.add(raw_path)
                await self._read(raw_path, trail)

    async def _read(self, raw_path: str, trail: tuple[str, ...]) -> None:
        url = f"{self._site.base.scheme}://{self._site.base.netloc}{raw_path}"
        content = _Content(
            on_page=lambda text, modified: self._add(text, modified, url),
            on_begin=lambda: self._sitemaps.append(url),
        )
        location = ""
        try:
            async with self._source.stream(raw_path, MAX_SITEMAP_BYTES) as stream:
                if stream.status in _REDIRECTS and stream.header("location"):
                    location = stream.header("location")
                else:
                    await self._read_body(stream, content)
        except _FullError as error:
            self._is_full = True
            # No loss: the bound is the operator's own, and the pages before it are all known.
            self._is_cut = True
            self._note("too-many-pages", url, str(error))
        except _UnreadableError as error:
            self._note("unreadable", url, str(error), is_loss=True, key=url)
        except OriginError as error:
            self._note(error.name, url, _printable(str(error), 500), is_loss=True, key=url)
        self._room_elements -= content.surplus_elements
        if location:
            await self._follow(location, url, (*trail, raw_path), is_needed=True)
        for child in content.children:
            await self._follow(child, url, (*trail, raw_path))

    async def _read_body(self, stream: Stream, content: _Content) -> None:
        if stream.status != 200:
            raise _UnreadableError(f"answers {stream.status}")
        if self._room_elements < 0:
            raise _FullError(f"all sitemaps so far have over {MAX_TOTAL_ELEMENTS} elements; the rest is left out")
        inflated = _Inflated(MAX_SITEMAP_BYTES)
        async for chunk in stream.chunks():
            for piece in inflated.pieces(chunk):
                self._room_bytes -= len(piece)
                if self._room_bytes < 0:
                    raise _FullError(f"all sitemaps together are over {MAX_TOTAL_BYTES} bytes; the rest is left out")
                content.feed(piece)
                # Some milliseconds of parsing and URLs at most: the event loop has other pages to serve.
                await asyncio.sleep(0)
        inflated.close()
        content.close()
        # XML and gzip files have an end of their own.
        if content.is_lines and not inflated.is_gzip and not stream.is_framed:
            raise _UnreadableError("neither Content-Length nor chunks: nobody can tell whether the list is whole")

    def _add(self, text: str, modified: str, sitemap: str) -> None:
        if self._room_urls <= 0:
            raise _FullError(f"only {len(self._entries)} of the URLs so far are pages; the rest is not looked at")
        self._room_urls -= 1
        try:
            page = _with_scheme_of(self._site.base, parse_page(_joined(sitemap, text)))
        except UrlError as error:
            self._note("url-refused", sitemap, _printable(str(error), 300))
            return
        if page in self._entries:
            return
        if not is_inside(self._site.base, page):
            self._note("url-foreign", sitemap, f"{_printable(text)} is not inside {self._site.base.url}")
        elif self._site.is_excluded(page):
            self._note("url-excluded", sitemap, f"{_printable(text)} is excluded")
        elif len(self._entries) >= self._site.max_pages:
            raise _FullError(f"more than max_pages = {self._site.max_pages} pages; the rest is left out")
        else:
            self._entries[page] = Entry(page, sitemap, _seconds_of(modified))

    def _note(self, name: str, where: str, message: str, *, is_loss: bool = False, key: str = "") -> None:
        """Notes of one name are counted as one, unless `key` keeps them apart."""
        old = self._notes.get((name, key))
        if old is None:
            self._notes[name, key] = Note(where, message, name, is_loss=is_loss)
        else:
            self._notes[name, key] = replace(old, count=old.count + 1, is_loss=old.is_loss or is_loss)


def _sitemap_address(url: str) -> tuple[Page, str]:
    """The page below a sitemap's URL, and its raw path with the query string, which a sitemap may have."""
    if len(url) > MAX_URL_CHARACTERS:
        raise UrlError(f"{url[:60]!r}... is over {MAX_URL_CHARACTERS} characters")
    location, mark, query = url.partition("#")[0].partition("?")
    page = parse_page(location)
    return page, page.raw_path + mark + quote(query, safe="/?:@!$&'()*+,;=%")


def _seconds_of(text: str) -> float | None:
    """A time as W3C, RFC 3339 or RFC 5322 write it, in seconds since the epoch; None if it is none of them."""
    if not text:
        return None
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return None


class _Inflated:
    """The bytes of a file that may be a gzip file, in small pieces and under a cap."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._room_bytes = max_bytes
        self._head = b""
        self.is_gzip: bool | None = None
        """None until the first two bytes are there."""
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def pieces(self, chunk: bytes) -> Iterable[bytes]:
        """What the chunk holds. Raises _UnreadableError over the cap, or if the gzip file is broken."""
        if self.is_gzip is None:
            chunk = self._head + chunk
            if len(chunk) < len(_GZIP_MAGIC):
                self._head = chunk
                return
            self.is_gzip = chunk.startswith(_GZIP_MAGIC)
        # Small ones go in, too: what follows a member of a gzip file is copied for every member.
        for part in _sliced(chunk):
            for piece in self._gunzipped(part) if self.is_gzip else (part,):
                self._room_bytes -= len(piece)
                if self._room_bytes < 0:
                    raise _UnreadableError(f"it is over {self._max_bytes} bytes")
                yield piece

    def close(self) -> None:
        """Raises _UnreadableError if the gzip file lacks its end, or if there was nothing to read."""
        if self.is_gzip is None:
            raise _UnreadableError("it is empty")
        if self.is_gzip and not self._stream.eof:
            raise _UnreadableError("the gzip file ends too early")

    def _gunzipped(self, rest: bytes) -> Iterable[bytes]:
        try:
            while rest:
                if self._stream.eof:  # A gzip file may have several members (RFC 1952 section 2.2).
                    if not rest.strip(b"\x00"):
                        return
                    self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
                yield self._stream.decompress(rest, _PIECE_BYTES)
                rest = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        except zlib.error as error:
            raise _UnreadableError(f"the gzip file is broken: {error}") from None


def _sliced(chunk: bytes) -> Iterable[bytes]:
    return (chunk[start : start + _PIECE_BYTES] for start in range(0, len(chunk), _PIECE_BYTES))


class _Content:
    """A sitemap's bytes as URLs, whatever the format. `children` are the sitemaps that an index names."""

    def __init__(self, on_page: Callable[[str, str], None], on_begin: Callable[[], object]) -> None:
        self.children: list[str] = []
        self._on_page = on_page
        self._on_begin = on_begin
        self._count = 0
        self._head = b""
        self._head_bytes = 0
        self._has_begun = False
        self._parser: etree.XMLParser | None = None
        self._target: _Target | None = None
        self._lines: _Lines | None = None

    @property
    def surplus_elements(self) -> int:
        """How many XML elements there were beside those of pages."""
        return self._target.surplus_elements if self._target is not None else 0

    @property
    def is_lines(self) -> bool:
        """True for plain text, whose end nothing in it tells."""
        return self._lines is not None

    def feed(self, piece: bytes) -> None:
        """Raises _UnreadableError for what is no sitemap, and whatever the callbacks raise."""
        if self._parser is None and self._lines is None:
            piece = self._begin(piece)
        if not piece:
            return
        if self._lines is not None:
            self._lines.feed(piece)
        elif self._parser is not None:
            self._parse(lambda parser: parser.feed(piece))
            self._head_bytes += len(piece)
            if not self._has_begun and self._head_bytes > MAX_HEAD_BYTES:
                # The parser keeps a DOCTYPE's text until its end is there: a gigabyte of it, if nobody says stop.
                raise _UnreadableError(f"no root element in the first {MAX_HEAD_BYTES} bytes; a DOCTYPE is not read")

    def close(self) -> None:
        """Raises _UnreadableError if the document has no proper end, or names nothing."""
        if self._lines is not None:
            self._lines.close()
        elif self._parser is not None:
            self._parse(lambda parser: parser.close())
        if not self._count:
            # A plugin that failed looks like a site without pages. WordPress itself answers 404 for an empty sitemap.
            raise _UnreadableError("it names no URL")

    def _begin(self, piece: bytes) -> bytes:
        """Decide on the format as soon as there is anything but white space."""
        # Imported here and below: many passes read no sitemap, and 30 ms of start are a tenth of theirs.
        from lxml import etree

        start = (self._head + piece).removeprefix(_UTF8_MARK).lstrip(_XML_SPACE)
        if len(start) < len(b"http"):
            self._head = start
            return b""
        if start.startswith(_WIDE_MARKS) or b"\x00" in start[:4]:
            raise _UnreadableError("it is not UTF-8")
        if start.startswith(b"<"):
            target = self._target = _Target(self._entry, self._begun)
            # A target: no tree is built, so that a document without end takes no memory, and the DOCTYPE is refused
            # when its name is read, before any entity is declared.
            self._parser = etree.XMLParser(
                target=target, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
            )
        elif start[:4].lower() == b"http":
            self._begun()
            self._lines = _Lines(lambda line: self._entry(line, "", is_sitemap=False))
        else:
            raise _UnreadableError("it is neither XML nor a list of URLs")
        return start

    def _parse(self, step: Callable[[etree.XMLParser], object]) -> None:
        from lxml import etree

        try:
            step(self._parser)
        except etree.XMLSyntaxError as error:
            raise _UnreadableError(f"the XML is broken: {_printable(str(error))}") from None

    def _begun(self) -> None:
        self._has_begun = True
        self._on_begin()

    def _entry(self, text: str, modified: str, *, is_sitemap: bool) -> None:
        self._count += 1
        if not is_sitemap:
            self._on_page(text, modified)
        elif len(self.children) <= MAX_SITEMAPS:  # One more than can be asked for, so that the note gets written.
            self.children.append(text)


class _Lines:
    """Plain text, one URL a line."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        *lines, rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line:
                self._line(line)
        self._rest = rest[: MAX_URL_CHARACTERS + 1]

    def close(self) -> None:
        self._line(self._rest)

    def _line(self, line: bytes) -> None:
        text = line[: MAX_URL_CHARACTERS + 1].decode("utf-8", "backslashreplace").strip()
        if text:
            self._on_line(text)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Where the URLs stand in one XML format; all names in the namespace of the root element."""

    entry: tuple[str, ...]
    """The element that stands for one URL, from the root down."""
    link: str
    times: tuple[str, ...]
    is_index: bool = False

    def inside(self, namespace: str) -> Self:
        return replace(
            self,
            entry=tuple(namespace + name for name in self.entry),
            link=namespace + self.link,
            times=tuple(namespace + name for name in self.times),
        )


_SHAPES: Mapping[str, _Shape] = {
    "urlset": _Shape(("urlset", "url"), "loc", ("lastmod",)),
    "sitemapindex": _Shape(("sitemapindex", "sitemap"), "loc", ("lastmod",), is_index=True),
    "rss": _Shape(("rss", "channel", "item"), "link", ("pubDate",)),
    "feed": _Shape(("feed", "entry"), "link", ("updated", "modified")),
}


class _EntryCallback(Protocol):
    def __call__(self, text: str, modified: str, *, is_sitemap: bool) -> None: ...


class _Target:
    """What lxml's parser calls. It holds one entry at a time."""

    def __init__(self, on_entry: _EntryCallback, on_begin: Callable[[], object]) -> None:
        self._on_entry = on_entry
        self._on_begin = on_begin
        self._shape: _Shape | None = None
        self._path: list[str] = []
        self._link = ""
        self._modified = ""
        self._text: list[str] | None = None
        self._text_room = 0
        self._names: set[str] = set()
        self._name_room = MAX_NAME_CHARACTERS
        self._element_room = MAX_ELEMENTS

    @property
    def surplus_elements(self) -> int:
        return max(0, MAX_ELEMENTS - self._element_room)

    def doctype(self, name: str, _public: str | None, _system: str | None) -> None:
        if name.lower() == "html":
            raise _UnreadableError("it is an HTML page, no sitemap")
        raise _UnreadableError("it has a DOCTYPE, which may declare entities: not read")

    def pi(self, name: str, _data: str | None = None) -> None:
        self._meet(name)

    def _meet(self, *names: str | None) -> None:
        for name in names:
            if name is not None and name not in self._names:
                self._names.add(name)
                self._name_room -= len(name)
        if self._name_room < 0:
            raise _UnreadableError(f"its names are over {MAX_NAME_CHARACTERS} characters")

    def start(self, tag: str, attributes: Mapping[str, str], prefixes: Mapping[str | None, str]) -> None:
        self._meet(tag, *attributes, *prefixes, *prefixes.values())
        if self._shape is None:
            self._shape = self._shape_of(tag)
        self._path.append(tag)
        if len(self._path) > MAX_ELEMENT_DEPTH:
            raise _UnreadableError(f"its elements stand more than {MAX_ELEMENT_DEPTH} deep in each other")
        self._element_room -= 1
        if self._element_room < 0:
            raise _UnreadableError(f"it has over {MAX_ELEMENTS} elements beside those of its pages")
        shape = self._shape
        depth = len(self._path) - len(shape.entry)
        if depth == 0:
            self._link = self._modified = ""
        self._text = None
        if depth == 1 and (tag == shape.link or tag in shape.times) and tuple(self._path[:-1]) == shape.entry:
            self._text, self._text_room = [], MAX_URL_CHARACTERS + 1
            # Atom has the URL in an attribute (RFC 4287 section 4.2.7).
            if tag == shape.link and not self._link and attributes.get("rel", "alternate") == "alternate":
                self._link = attributes.get("href", "").strip()[: MAX_URL_CHARACTERS + 1]

    def data(self, text: str) -> None:
        if self._text is not None and self._text_room > 0:
            self._text.append(text[: self._text_room])
            self._text_room -= len(text)

    def end(self, tag: str) -> None:
        shape = self._shape
        assert shape is not None  # noqa: S101  no end without a start
        if self._text is not None:
            text = "".join(self._text).strip()
            if tag == shape.link:
                self._link = self._link or text
            else:
                self._modified = self._modified or text
            self._text = None
        elif len(self._path) == len(shape.entry) and tuple(self._path) == shape.entry:
            if not shape.is_index:  # An index has no pages, and no need of so many entries.
                self._element_room += _PAGE_ELEMENTS
            self._on_entry(self._link, self._modified, is_sitemap=shape.is_index)
        self._path.pop()

    def close(self) -> None:
        """Demanded by lxml."""

    def _shape_of(self, tag: str) -> _Shape:
        namespace, brace, name = tag.rpartition("}")
        shape = _SHAPES.get(name)
        if shape is None:
            raise _UnreadableError(f"its root element is <{_printable(name)}>: no sitemap and no feed")
        self._on_begin()
        return shape.inside(namespace + brace)
