"""Sitemaps, feeds and links as sites really write them, and as an enemy would."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import resource
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from staticify import discover
from staticify.discover import Links, Listing, links_of, read_sitemaps, sitemaps_of_robots
from staticify.errors import AnswerIncomplete, OriginError
from staticify.urls import Page, parse_page

BASE = parse_page("https://example.org/")
NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


@dataclass
class Site:
    base: Page = BASE
    max_pages: int = 1000
    excluded: frozenset[str] = frozenset()

    def is_excluded(self, page: Page) -> bool:
        return page.path in self.excluded


class Stream:
    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.status = reply.status
        self.is_framed = reply.is_framed

    def header(self, name: str) -> str:
        return self._reply.headers.get(name, "")

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._reply.body:
            self._reply.chunks_consumed += 1
            yield chunk
        if self._reply.error is not None:
            raise self._reply.error


@dataclass
class Reply:
    body: Iterable[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    error: OriginError | None = None
    is_framed: bool = True
    chunks_consumed: int = 0
    is_closed: bool = False


class Source:
    """An origin in memory: what it says to each raw path, 404 for the others."""

    def __init__(self, replies: dict[str, Reply | bytes | str]) -> None:
        self.replies = {path: as_reply(reply) for path, reply in replies.items()}
        self.asked: list[str] = []

    @asynccontextmanager
    async def stream(self, raw_path: str, max_bytes: int) -> AsyncGenerator[Stream]:
        assert max_bytes == discover.MAX_SITEMAP_BYTES
        self.asked.append(raw_path)
        reply = self.replies.get(raw_path, Reply(status=404))
        try:
            yield Stream(reply)
        finally:
            reply.is_closed = True


def as_reply(reply: Reply | bytes | str) -> Reply:
    if isinstance(reply, Reply):
        return reply
    return Reply([reply.encode() if isinstance(reply, str) else reply])


def read(source: Source, *urls: str, site: Site | None = None) -> Listing:
    return asyncio.run(read_sitemaps(source, site or Site(), urls or ("/sitemap.xml",)))


def read_one(body: Reply | bytes | str, site: Site | None = None) -> Listing:
    return read(Source({"/sitemap.xml": body}), site=site)


def paths(listing: Listing) -> list[str]:
    return [page.path for page in listing.pages]


def notes(listing: Listing) -> list[tuple[str, str]]:
    return [(note.name, note.message) for note in listing.notes]


def urlset(*urls: str) -> str:
    entries = "".join(f"<url><loc>{url}</loc></url>" for url in urls)
    return f'<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="{NAMESPACE}">{entries}</urlset>'


def index(*urls: str) -> str:
    entries = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return f'<?xml version="1.0" encoding="UTF-8"?><sitemapindex xmlns="{NAMESPACE}">{entries}</sitemapindex>'


# WordPress 6.1's own renderer: class-wp-sitemaps-renderer.php.
WORDPRESS = {
    "/wp-sitemap.xml": """<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="https://example.org/wp-sitemap-index.xsl" ?>
<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><sitemap><loc>https://example.org/wp-sitemap-posts-post-1.xml</loc></sitemap><sitemap><loc>https://example.org/wp-sitemap-posts-page-1.xml</loc></sitemap></sitemapindex>
""",
    "/wp-sitemap-posts-post-1.xml": """<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="https://example.org/wp-sitemap.xsl" ?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>https://example.org/hello-world/</loc></url><url><loc>https://example.org/%E6%97%A5%E6%9C%AC/</loc></url></urlset>
""",
    "/wp-sitemap-posts-page-1.xml": """<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="https://example.org/wp-sitemap.xsl" ?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>https://example.org/</loc></url><url><loc>https://example.org/sample-page/</loc></url></urlset>
""",
}

# Yoast SEO: images inside of the entries, times, a style sheet with a scheme-relative address, a comment at the end.
YOAST = {
    "/sitemap_index.xml": """<?xml version="1.0" encoding="UTF-8"?><?xml-stylesheet type="text/xsl" href="//example.org/wp-content/plugins/wordpress-seo/css/main-sitemap.xsl"?>
<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
	<sitemap>
		<loc>https://example.org/post-sitemap.xml</loc>
		<lastmod>2024-03-01T09:30:00+00:00</lastmod>
	</sitemap>
</sitemapindex>
<!-- XML Sitemap generated by Yoast SEO -->""",  # noqa: E501
    "/post-sitemap.xml": """<?xml version="1.0" encoding="UTF-8"?><?xml-stylesheet type="text/xsl" href="//example.org/wp-content/plugins/wordpress-seo/css/main-sitemap.xsl"?>
<urlset xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1" xsi:schemaLocation="http://www.sitemaps.org/schemas/sitemap/0.9 http://www.sitemaps.org/schemas/sitemap/0.9/sitemap.xsd" xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
	<url>
		<loc>
			https://example.org/hello-world/
		</loc>
		<lastmod>2024-03-01T09:30:00+01:00</lastmod>
		<image:image>
			<image:loc>https://example.org/wp-content/uploads/a.jpg</image:loc>
		</image:image>
	</url>
	<url><loc><![CDATA[https://example.org/caf%c3%a9/]]></loc><lastmod>2024-03-02</lastmod></url>
</urlset>
<!-- XML Sitemap generated by Yoast SEO -->""",  # noqa: E501
}

RSS = """<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom">
<channel><title>A site</title><atom:link href="https://example.org/feed/" rel="self" type="application/rss+xml" />
<link>https://example.org</link>
<image><url>https://example.org/i.png</url><link>https://example.org/image/</link></image>
<item><title>Two</title><link>https://example.org/two/</link><atom:link href="https://example.org/no/"/>
<pubDate>Fri, 01 Mar 2024 09:30:00 +0000</pubDate></item>
<item><title>One</title><link>https://example.org/one/</link><pubDate>yesterday</pubDate></item>
</channel></rss>"""

ATOM = """<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom">
<link rel="alternate" type="text/html" href="https://example.org" />
<entry><link rel="replies" href="https://example.org/two/#comments"/><link rel="alternate" href="/two/"/>
<updated>2024-03-01T09:30:00Z</updated></entry>
<entry><link href="https://example.org/one/"/></entry></feed>"""


def test_the_index_of_wordpress_itself() -> None:
    listing = read(Source(dict(WORDPRESS)), "https://example.org/wp-sitemap.xml")
    assert listing == Listing(
        pages=tuple(BASE.with_path(path) for path in ("/hello-world/", "/日本/", "/", "/sample-page/")),
        notes=(),
        is_complete=True,
        entries=(
            discover.Entry(BASE.with_path("/hello-world/"), "https://example.org/wp-sitemap-posts-post-1.xml"),
            discover.Entry(BASE.with_path("/日本/"), "https://example.org/wp-sitemap-posts-post-1.xml"),
            discover.Entry(BASE, "https://example.org/wp-sitemap-posts-page-1.xml"),
            discover.Entry(BASE.with_path("/sample-page/"), "https://example.org/wp-sitemap-posts-page-1.xml"),
        ),
        sitemaps=tuple(f"https://example.org{path}" for path in WORDPRESS),
    )


def test_the_index_of_yoast_with_images_and_times() -> None:
    listing = read(Source(dict(YOAST)), "/sitemap_index.xml")
    assert [(entry.page.path, entry.modified_at) for entry in listing.entries] == [
        ("/hello-world/", 1709281800.0),
        ("/café/", 1709337600.0),
    ]
    assert (listing.notes, listing.is_complete) == ((), True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (RSS, [("/two/", 1709285400.0), ("/one/", None)]),
        (ATOM, [("/two/", 1709285400.0), ("/one/", None)]),
        ("https://example.org/a/\r\n\nhttps://example.org/b/", [("/a/", None), ("/b/", None)]),
        ("\ufeffhttps://example.org/a/\n", [("/a/", None)]),
        ("\ufeff" + urlset("https://example.org/a/"), [("/a/", None)]),
        # Plugins that print an empty line before the XML declaration are many.
        ("\n\n" + urlset("https://example.org/a/"), [("/a/", None)]),
        ("<urlset><url><loc>https://example.org/a/</loc></url></urlset>", [("/a/", None)]),
        (f'<s:urlset xmlns:s="{NAMESPACE}"><s:url><s:loc>/a/</s:loc></s:url></s:urlset>', [("/a/", None)]),
        (
            '<?xml version="1.0" encoding="ISO-8859-1"?><urlset><url><loc>/é/</loc></url></urlset>'.encode("latin-1"),
            [("/é/", None)],
        ),
        # Behind a proxy that ends TLS: the same page, once.
        (urlset("http://example.org/a/", "https://example.org/a/", "https://EXAMPLE.org:443/%61/"), [("/a/", None)]),
    ],
)
def test_formats(body: str | bytes, expected: list[tuple[str, float | None]]) -> None:
    listing = read_one(body)
    assert [(entry.page.path, entry.modified_at) for entry in listing.entries] == expected
    assert all(page.scheme == "https" for page in listing.pages)
    assert (listing.notes, listing.is_complete) == ((), True)


@pytest.mark.parametrize(
    "body", [urlset("https://example.org/a/", "https://example.org/ü/"), RSS, "http://example.org/a"]
)
@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunks_of_any_size_say_the_same(body: str, is_gzip: bool, size: int) -> None:  # noqa: FBT001
    raw = gzip.compress(body.encode()) if is_gzip else body.encode()
    listing = read_one(Reply([raw[start : start + size] for start in range(0, len(raw), size)]))
    assert listing == read_one(body)
    assert listing.pages


def test_gzip_in_two_members() -> None:
    text = urlset("https://example.org/a/").encode()
    listing = read_one(gzip.compress(text[:40]) + gzip.compress(text[40:]) + b"\x00" * 100)
    assert (paths(listing), listing.notes) == (["/a/"], ())


def test_urls_that_are_no_pages_are_counted_with_the_first_as_example() -> None:
    listing = read_one(
        urlset(
            "https://example.org/a/",
            "https://example.org/?p=1",
            "https://example.org/?p=2",
            "https://other.example/x/",
            "https://example.org/shop/",
            "https://example.org/a/../b/",
            "https://other.example/y/",
            "http://[",
        ),
        Site(excluded=frozenset({"/shop/"})),
    )
    assert paths(listing) == ["/a/"]
    assert notes(listing) == [
        (
            "url-refused",
            "'https://example.org/?p=1' has a query string; a page is a path alone, and 3 more like it",
        ),
        ("url-foreign", "https://other.example/x/ is not inside https://example.org/, and 1 more like it"),
        ("url-excluded", "https://example.org/shop/ is excluded"),
    ]
    assert [note.count for note in listing.notes] == [4, 2, 1]
    assert listing.is_complete


def test_a_site_below_a_path_has_no_pages_above_it() -> None:
    site = Site(base=parse_page("https://example.org/blog/"))
    listing = read_one(urlset("https://example.org/blog/a/", "https://example.org/a/"), site)
    assert paths(listing) == ["/blog/a/"]
    assert [note.name for note in listing.notes] == ["url-foreign"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "it is empty"),
        (b"\n\n \n", "it names no URL"),
        (urlset(), "it names no URL"),
        ("<!DOCTYPE html><html><body>404</body></html>", "it is an HTML page, no sitemap"),
        ("<html><body/></html>", "its root element is <html>: no sitemap and no feed"),
        ('{"a": 1}', "it is neither XML nor a list of URLs"),
        (urlset("https://example.org/a/").encode("utf-16"), "it is not UTF-8"),
        (b"\x1f\x8b\x08\x00nonsense" * 9, "the gzip file is broken: Error -3 while decompressing data"),
        (gzip.compress(urlset("https://example.org/a/").encode())[:-9], "the gzip file ends too early"),
        (Reply(status=404), "answers 404"),
        (Reply(status=503), "answers 503"),
        (Reply(status=301), "answers 301"),
    ],
)
def test_what_is_no_sitemap_is_named(body: Reply | bytes | str, message: str) -> None:
    listing = read(
        Source({"/bad.xml": body, "/sitemap.xml": urlset("https://example.org/z/")}), "/bad.xml", "/sitemap.xml"
    )
    assert paths(listing)[-1] == "/z/"
    (note,) = listing.notes
    assert note.message.startswith(message)
    assert (note.where, note.name, note.is_loss) == ("https://example.org/bad.xml", "unreadable", True)
    assert not listing.is_complete


@pytest.mark.parametrize(
    ("body", "is_complete"),
    [
        (b"https://example.org/a/\nhttps://example.org/b/\n", False),
        (gzip.compress(b"https://example.org/a/\nhttps://example.org/b/\n"), True),
        (urlset("https://example.org/a/", "https://example.org/b/").encode(), True),
    ],
    ids=["lines", "gzip", "XML"],
)
def test_lines_whose_end_nothing_tells_may_be_half_a_list(body: bytes, *, is_complete: bool) -> None:
    listing = read_one(Reply([body], is_framed=False))
    assert (paths(listing), listing.is_complete) == (["/a/", "/b/"], is_complete)
    said = [("unreadable", "neither Content-Length nor chunks: nobody can tell whether the list is whole")]
    assert notes(listing) == ([] if is_complete else said)


def test_xml_that_breaks_in_the_middle_keeps_what_came_before() -> None:
    text = urlset(*(f"https://example.org/{number}/" for number in range(100)))
    broken = text[: text.index("/50/")] + "&nbsp;" + text[text.index("/50/") :]
    for body in (broken, text[: text.index("/50/")]):
        listing = read_one(body)
        assert paths(listing) == [f"/{number}/" for number in range(50)]
        assert [note.name for note in listing.notes] == ["unreadable"]
        assert listing.notes[0].message.startswith("the XML is broken: ")
        assert not listing.is_complete


def test_an_index_that_breaks_in_the_middle_still_leads_to_the_sitemaps_before() -> None:
    text = index("https://example.org/one.xml", "https://example.org/two.xml")
    source = Source({"/sitemap.xml": text[: text.index("/two")], "/one.xml": urlset("https://example.org/a/")})
    listing = read(source)
    assert (paths(listing), listing.is_complete) == (["/a/"], False)


def test_an_origin_that_breaks_off_keeps_what_came_before() -> None:
    text = urlset("https://example.org/a/", "https://example.org/b/").encode()
    reply = Reply([text[: text.index(b"/b/")]], error=AnswerIncomplete("the body ended too early"))
    listing = read_one(reply)
    assert paths(listing) == ["/a/"]
    assert notes(listing) == [("incomplete", "the body ended too early")]
    assert not listing.is_complete


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMBS = {
    "laughs": f'<!DOCTYPE u [<!ENTITY l0 "ha">{LAUGHS}]><urlset><url><loc>&l9;</loc></url></urlset>',
    "laughs in an attribute": f'<!DOCTYPE u [<!ENTITY l0 "ha">{LAUGHS}]><urlset a="&l9;"></urlset>',
    "laughs in UTF-7": '<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE u [+ADwAIQ-ENTITY a "b">]><urlset/>',
    "a file": '<!DOCTYPE u [<!ENTITY f SYSTEM "file:///etc/passwd">]><urlset><url><loc>&f;</loc></url></urlset>',
    "a parameter entity": '<!DOCTYPE u [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]><urlset/>',
    "an external DTD": '<!DOCTYPE u SYSTEM "http://127.0.0.1:9/x.dtd"><urlset/>',
}


@pytest.mark.parametrize("name", BOMBS)
def test_entities_are_refused_before_one_is_declared(name: str) -> None:
    listing = read_one(BOMBS[name])
    assert notes(listing) == [("unreadable", "it has a DOCTYPE, which may declare entities: not read")]
    assert not listing.is_complete


def test_an_entity_of_a_gigabyte_is_never_expanded() -> None:
    def bomb() -> Iterable[bytes]:
        yield b'<!DOCTYPE u [<!ENTITY a "'
        for _ in range(1024):
            yield b"a" * (1 << 20)
        yield b'">]><urlset><url><loc>&a;</loc></url></urlset>'

    reply = Reply(bomb())
    listing = read_one(reply)
    assert notes(listing) == [("unreadable", "no root element in the first 262144 bytes; a DOCTYPE is not read")]
    assert reply.chunks_consumed == 2


def test_a_gzip_bomb_ends_at_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discover, "MAX_SITEMAP_BYTES", 1 << 20)
    head = urlset("https://example.org/a/").replace("</urlset>", "").encode()
    listing = read_one(gzip.compress(head + b" " * (60 << 20), 1))
    assert paths(listing) == ["/a/"]
    assert notes(listing) == [("unreadable", "it is over 1048576 bytes")]


def test_all_sitemaps_together_have_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discover, "MAX_TOTAL_BYTES", 1000)
    source = Source({f"/{n}.xml": urlset(f"https://example.org/{n}/") for n in range(100)})
    listing = read(source, *source.replies)
    assert [note.name for note in listing.notes] == ["too-many-pages"]
    assert listing.notes[0].message == "all sitemaps together are over 1000 bytes; the rest is left out"
    assert len(source.asked) == len(listing.pages) + 1 < 10


def million(per_chunk: int = 100) -> Iterable[bytes]:
    yield f'<urlset xmlns="{NAMESPACE}">'.encode()
    for start in range(0, 1_000_000, per_chunk):
        numbers = range(start, start + per_chunk)
        yield b"".join(b"<url><loc>https://example.org/post-%d/</loc></url>" % number for number in numbers)
    yield b"</urlset>"


def test_a_million_urls_end_at_max_pages_and_say_so() -> None:
    reply = Reply(million())
    listing = read_one(reply, Site(max_pages=500))
    assert paths(listing) == [f"/post-{number}/" for number in range(500)]
    assert notes(listing) == [("too-many-pages", "more than max_pages = 500 pages; the rest is left out")]
    assert (listing.is_complete, listing.is_cut) == (True, True)
    assert reply.chunks_consumed == 1 + 6
    assert reply.is_closed


def test_exactly_max_pages_is_not_too_many() -> None:
    listing = read_one(urlset("https://example.org/a/", "https://example.org/b/", "/a/"), Site(max_pages=2))
    assert (paths(listing), listing.notes) == (["/a/", "/b/"], ())


def test_nothing_more_is_asked_for_after_max_pages() -> None:
    source = Source(
        {
            "/sitemap.xml": index("/one.xml", "/two.xml", "/three.xml"),
            "/one.xml": urlset("/a/", "/b/"),
            "/two.xml": urlset("/c/"),
            "/three.xml": urlset("/d/"),
        }
    )
    listing = read(source, "/sitemap.xml", "/four.xml", site=Site(max_pages=2))
    assert source.asked == ["/sitemap.xml", "/one.xml", "/two.xml"]
    assert paths(listing) == ["/a/", "/b/"]


def test_a_million_urls_of_which_none_is_a_page_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discover, "MIN_LOOKED_AT", 1000)
    reply = Reply(million())
    listing = read_one(reply, Site(base=parse_page("https://example.org/blog/"), max_pages=10))
    assert listing.pages == ()
    assert [(note.name, note.count) for note in listing.notes] == [("url-foreign", 1000), ("too-many-pages", 1)]
    assert reply.chunks_consumed == 1 + 11


def resident_bytes() -> int:
    # libxml2 allocates past Python: tracemalloc would not see its tree.
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_document_without_end_takes_no_memory() -> None:
    sizes = []

    def endless() -> Iterable[bytes]:
        yield b"<urlset><url><loc>https://example.org/a/</loc></url>"
        for _ in range(200):
            yield b"<url><junk>" + b"<x y='z'>text</x>" * 4000 + b"</junk></url>"
            sizes.append(resident_bytes())
        yield b"</urlset>"

    listing = read_one(Reply(endless()))
    assert paths(listing) == ["/a/"]
    assert [(note.name, note.count) for note in listing.notes] == [("url-refused", 200)]
    # As a tree, its 800,000 elements would take over 200 MB.
    assert sizes[-1] - sizes[0] < 8 << 20


@pytest.mark.parametrize("junk", ["<n{}/>", "<n a{}=''/>", "<n xmlns:a{}='b'/>", "<n xmlns='b{}'/>", "<?n{}?>"])
def test_names_without_end_are_refused(junk: str) -> None:
    reply = Reply("".join(junk.format(start + n) for n in range(1000)).encode() for start in range(0, 10**6, 1000))
    reply.body = itertools.chain([b"<urlset><url><loc>https://example.org/a/</loc></url>"], reply.body)
    listing = read_one(reply)
    assert paths(listing) == ["/a/"]
    assert notes(listing) == [("unreadable", "its names are over 65536 characters")]
    assert reply.chunks_consumed < 20


@pytest.mark.parametrize(
    ("start", "junk", "message"),
    [
        ("", "<x/>", "it has over 1000000 elements beside those of its pages"),
        ("<url>", "<loc/>", "it has over 1000000 elements beside those of its pages"),
        ("", "<x>", "its elements stand more than 100 deep in each other"),
    ],
)
def test_elements_without_end_are_refused(start: str, junk: str, message: str) -> None:
    body = "<urlset><url><loc>https://example.org/a/</loc></url>" + start + junk * (48_000_000 // len(junk))
    # In 50 KB, as gzip.
    packed = gzip.compress(body.encode())
    before, started = resident_bytes(), time.thread_time()
    listing = read_one(Reply([packed[at : at + 16_384] for at in range(0, len(packed), 16_384)]))
    assert (paths(listing), notes(listing)) == (["/a/"], [("unreadable", message)])
    assert not listing.is_complete
    # 8 to 15 s of the processor's time and, nested, 600 MB without the bound.
    assert time.thread_time() - started < 4.0
    assert resident_bytes() - before < 16 << 20


def test_an_index_of_nothing_has_an_end() -> None:
    listing = read_one("<sitemapindex>" + "<sitemap/>" * 1_100_000)
    assert [note.message for note in listing.notes if note.name == "unreadable"] == [
        "it has over 1000000 elements beside those of its pages"
    ]


def test_all_sitemaps_together_have_an_end_of_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticify.discover.MAX_TOTAL_ELEMENTS", 1000)
    body = "<urlset><url><loc>/a/</loc></url>" + "<x/>" * 600 + "</urlset>"
    source = Source({f"/{number}.xml": body for number in range(9)})
    listing = read(source, *source.replies)
    assert source.asked == ["/0.xml", "/1.xml", "/2.xml"]
    assert notes(listing) == [("too-many-pages", "all sitemaps so far have over 1000 elements; the rest is left out")]
    assert (paths(listing), listing.is_cut) == (["/a/"], True)


def test_the_elements_of_pages_are_no_surplus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticify.discover.MAX_ELEMENTS", 100)
    entries = "".join(
        f"<url><loc>/{n}</loc><lastmod/><changefreq/><priority/><image><loc/></image></url>" for n in range(1000)
    )
    listing = read_one(f"<urlset>{entries}</urlset>")
    assert (len(listing.pages), listing.notes) == (1000, ())


def test_lines_of_nothing_take_no_time() -> None:
    body = b"https://example.org/a/" + b"\n" * 40_000_000
    started = time.thread_time()
    assert paths(read_one(body)) == ["/a/"]
    assert time.thread_time() - started < 3.0


def test_members_of_a_gzip_file_are_not_copied_for_each_other() -> None:
    """16 MB at once is what a content coding on top of the file makes of 16 KB."""
    member = gzip.compress(b"")
    body = gzip.compress(urlset("/a/").encode()) + member * 100_000
    started = time.thread_time()
    assert paths(read_one(body)) == ["/a/"]
    assert time.thread_time() - started < 4.0


@pytest.mark.parametrize("depth", [300, 100_000])
def test_deep_nesting_harms_nobody(depth: int) -> None:
    body = "<urlset><url><loc>https://example.org/a/</loc></url>" + "<x>" * depth
    listing = read_one(body)
    assert paths(listing) == ["/a/"]
    assert not listing.is_complete


@pytest.mark.parametrize(
    "body",
    [
        "<urlset><url><loc>https://example.org/" + "a" * 5_000_000 + "</loc></url><url><loc>/b/</loc></url></urlset>",
        "http://example.org/" + "a" * 5_000_000 + "\nhttp://example.org/b/",
        f'<feed><entry><link href="/{"a" * 5_000_000}"/></entry><entry><link href="/b/"/></entry></feed>',
    ],
)
def test_a_url_of_megabytes_is_refused_shortly(body: str) -> None:
    listing = read_one(body)
    assert paths(listing) == ["/b/"]
    assert [note.name for note in listing.notes] == ["url-refused"]
    assert len(listing.notes[0].message) < 320


def test_sitemaps_are_read_depth_first_in_the_order_of_the_documents() -> None:
    source = Source(
        {
            "/sitemap.xml": index("/one.xml", "https://example.org/index.xml", "/three.xml"),
            "/one.xml": urlset("/a/"),
            "/index.xml": index("/two.xml"),
            "/two.xml": urlset("/b/", "/a/"),
            "/three.xml": urlset("/c/"),
        }
    )
    listing = read(source)
    assert paths(listing) == ["/a/", "/b/", "/c/"]
    assert (listing.notes, listing.is_complete) == ((), True)


def test_a_loop_among_indexes_is_said_and_harmless() -> None:
    source = Source(
        {
            "/sitemap.xml": index("/other.xml", "/one.xml", "/sitemap.xml"),
            "/other.xml": index("/sitemap.xml", "/one.xml"),
            "/one.xml": urlset("/a/"),
        }
    )
    listing = read(source)
    assert source.asked == ["/sitemap.xml", "/other.xml", "/one.xml"]
    assert paths(listing) == ["/a/"]
    assert notes(listing) == [("sitemap-loop", "/sitemap.xml leads back to itself, and 1 more like it")]
    assert listing.is_complete


def test_levels_have_an_end() -> None:
    source = Source({f"/{n}.xml": index(f"/{n + 1}.xml", f"/page-{n}.xml") for n in range(20)})
    source.replies |= {f"/page-{n}.xml": as_reply(urlset(f"/{n}/")) for n in range(20)}
    listing = read(source, "/0.xml")
    assert paths(listing) == ["/3/", "/2/", "/1/", "/0/"]
    assert notes(listing) == [("sitemap-too-deep", "/5.xml is more than 5 levels down, and 1 more like it")]
    assert not listing.is_complete


def test_child_sitemaps_have_an_end() -> None:
    source = Source({"/sitemap.xml": index(*(f"/{n}.xml" for n in range(100_000)))})
    source.replies |= {f"/{n}.xml": as_reply(urlset(f"/{n}/")) for n in range(1000)}
    listing = read(source)
    assert len(source.asked) == discover.MAX_SITEMAPS
    assert len(listing.pages) == discover.MAX_SITEMAPS - 1
    assert [note.name for note in listing.notes] == ["too-many-sitemaps"]
    assert not listing.is_complete


def test_sitemaps_of_another_host_are_not_asked_for() -> None:
    source = Source({"/sitemap.xml": index("https://other.example/s.xml", "//other.example/t.xml", "/one.xml")})
    source.replies["/one.xml"] = as_reply(urlset("/a/"))
    listing = read(source)
    assert source.asked == ["/sitemap.xml", "/one.xml"]
    assert notes(listing) == [
        ("sitemap-foreign", "the sitemap https://other.example/s.xml is on another host, and 1 more like it")
    ]
    assert listing.is_complete


@pytest.mark.parametrize(
    "url", ["https://other.example/sitemap.xml", "ftp://example.org/s.xml", "/a/../s.xml?" + "a" * 9000]
)
def test_a_configured_sitemap_that_cannot_be_asked_for_leaves_the_listing_incomplete(url: str) -> None:
    listing = read(Source({"/sitemap.xml": urlset("/a/")}), url, "/sitemap.xml")
    assert (paths(listing), listing.is_complete, len(listing.notes)) == (["/a/"], False, 1)


def test_a_sitemap_may_have_a_query_string() -> None:
    source = Source(
        {
            "/?sitemap=index": index("https://example.org/?sitemap=posts&amp;sitemap-subtype=post&amp;paged=1"),
            "/?sitemap=posts&sitemap-subtype=post&paged=1": urlset("/a/"),
        }
    )
    assert paths(read(source, "https://example.org/?sitemap=index")) == ["/a/"]


def test_redirects_inside_the_host_are_followed_and_others_are_not() -> None:
    def redirect(location: str) -> Reply:
        return Reply(status=301, headers={"location": location})

    # redirect_sitemapxml() in WordPress does this.
    source = Source(
        {
            "/sitemap.xml": redirect("https://example.org/wp-sitemap.xml"),
            "/wp-sitemap.xml": urlset("/a/"),
            "/away.xml": redirect("https://other.example/"),
            "/round.xml": redirect("/round.xml"),
        }
    )
    listing = read(source, "/sitemap.xml", "/away.xml", "/round.xml")
    assert paths(listing) == ["/a/"]
    assert [(note.name, note.is_loss) for note in listing.notes] == [("sitemap-foreign", True), ("sitemap-loop", True)]


def test_notes_can_be_printed_whatever_the_sitemap_says() -> None:
    listing = read_one(b"http://example.org/\x1b[2J\x07\nhttp://other.example/\xff\x1b]0;x\n")
    assert listing.pages == ()
    assert all(note.message.isprintable() and note.where.isprintable() for note in listing.notes)
    assert str(listing.notes[0]).startswith("https://example.org/sitemap.xml: ")


FRAGMENTS = st.sampled_from([
    "<urlset>", "</urlset>", "<url>", "</url>", "<loc>", "</loc>", "<sitemapindex>", "<sitemap>", "</sitemap>", "<rss>",
    "<channel>", "<item>", "<link>", "</link>", "https://example.org/a/", "/sitemap.xml", "\n", "<!DOCTYPE a>", "<!--",
    "-->", "&amp;", "&x;", "<![CDATA[", "]]>", "\x1f\x8b", "\x00", "é", "<?xml version='1.0'?>", "?a=b", "http://[",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=30).map("".join), st.integers(1, 40))
def test_no_sitemap_raises(text: str, size: int) -> None:
    for raw in (text.encode(), text.encode("latin-1")):
        listing = read_one(Reply([raw[start : start + size] for start in range(0, len(raw), size)]))
        assert listing.is_complete == (not any(note.is_loss for note in listing.notes))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_raise(raw: bytes) -> None:
    assert read_one(raw).pages == () or raw


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "User-agent: *\nDisallow: /wp-admin/\n\nSitemap: https://example.org/wp-sitemap.xml\n",
            ("https://example.org/wp-sitemap.xml",),
        ),
        ("sitemap:/a.xml\r\nSITEMAP :\t/b.xml \nSitemap: /a.xml\nSitemap:\n#Sitemap: /c.xml", ("/a.xml", "/b.xml")),
        ("\ufeffSitemap: /a.xml", ("/a.xml",)),
        ("", ()),
        ("".join(f"Sitemap: /{n}.xml\n" for n in range(1000)), tuple(f"/{n}.xml" for n in range(100))),
    ],
)
def test_sitemap_lines_of_robots(text: str, expected: tuple[str, ...]) -> None:
    assert sitemaps_of_robots(text) == expected


HOME = """<!DOCTYPE html><html><head><title>A site</title>
<link rel="canonical" href="https://example.org/" />
<link rel="alternate" type="application/rss+xml" title="Feed" href="https://example.org/feed/" />
<link rel="alternate" type="application/rss+xml" title="Comments" href="https://example.org/comments/feed/" />
<link rel="alternate" type="application/json" href="https://example.org/wp-json/wp/v2/pages/2" />
<link rel="alternate" hreflang="de" href="https://example.org/de/" /></head><body>
<div id="wpadminbar"><nav><a href="/wp-admin/">Admin</a></nav></div>
<nav class="wp-block-navigation"><ul><li><a href="http://example.org/about/">About</a></li>
<li><a href="contact/#form">Contact</a></li><li><a href="#">Nothing</a></li><li><a href="mailto:a@example.org">Mail</a></li>
<li><a href="https://other.example/">Other</a></li><li><a href="/?lang=de">Query</a></li><li><a href="/about/">Again</a></li>
<li><a href="http://[">Broken</a></li></ul></nav>
<ul class="menu"><li><a href="/shop/">Shop</a></li></ul>
<div role="navigation"><a href="/old/">Old</a></div>
<main><a href="/category/news/" rel="category tag">News</a> <a href="/tag/x/" rel="tag">x</a> <a href="/hello/">Hello</a>
<ul><li class="cat-item cat-item-3"><a href="/category/views/">Views</a></li></ul>
<nav class="navigation posts-navigation"><a href="/page/2/">Older</a></nav></main></body></html>"""  # noqa: E501


def test_links_of_a_home_page() -> None:
    def pages(*some: str) -> tuple[Page, ...]:
        return tuple(BASE.with_path(path) for path in some)

    assert links_of(HOME.encode(), BASE, BASE) == Links(
        menu=pages("/about/", "/contact/", "/shop/", "/old/"),
        categories=pages("/category/news/", "/category/views/"),
        feeds=pages("/feed/", "/comments/feed/"),
        canonical=BASE,
    )


def test_links_follow_the_base_element_and_have_an_end() -> None:
    links = "".join(f'<a href="{number}/">{number}</a>' for number in range(5000))
    found = links_of(f'<head><base href="/deep/"></head><nav>{links}</nav>'.encode(), BASE, BASE).menu
    assert found[0] == BASE.with_path("/deep/0/")
    assert len(found) == discover.MAX_LINKS


def test_a_canonical_link_may_lead_elsewhere() -> None:
    found = links_of(b'<link rel="canonical" href="https://www.example.org/">', BASE, BASE)
    assert found.canonical == parse_page("https://www.example.org/")
