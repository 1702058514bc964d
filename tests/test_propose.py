"""Proposals for sites as WordPress makes them, and the configuration that comes of them."""

from __future__ import annotations

import asyncio
import tomllib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from staticify import config
from staticify.errors import OriginError, OriginTimeout, OriginUnreachable, StaticifyError, UrlError
from staticify.nouns import Answer
from staticify.propose import Exclusion, Group, Proposal, Why, propose, readable_path, toml_of, try_out
from staticify.urls import Page, page_of, parse_page

BASE = parse_page("https://example.org/")
NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


class Stream:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.status = answer.status
        self.header = answer.header
        self.is_framed = answer.is_framed

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._answer.body


class Source:
    """A whole WordPress in memory: what it answers to each path, a 404 page for the others."""

    def __init__(self, answers: dict[str, Answer | OriginError]) -> None:
        self.answers = answers
        self.fetched: list[str] = []
        self.streamed: list[str] = []

    async def fetch(self, raw_path: str) -> Answer:
        self.fetched.append(raw_path)
        return self._answer(raw_path)

    @asynccontextmanager
    async def stream(self, raw_path: str, max_bytes: int) -> AsyncGenerator[Stream]:
        assert max_bytes > 0
        self.streamed.append(raw_path)
        yield Stream(self._answer(raw_path))

    def _answer(self, raw_path: str) -> Answer:
        answer = self.answers.get(raw_path, html("Not found", status=404))
        if isinstance(answer, OriginError):
            raise answer
        return answer


def answer_of(body: str, content_type: str, *, status: int = 200, seconds: float = 0.1, **headers: str) -> Answer:
    fields = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Answer(status, tuple(fields.items()), body.encode(), seconds=seconds)


def html(body: str = "", head: str = "", **options: Any) -> Answer:
    text = f"<!DOCTYPE html><html><head><title>A site</title>{head}</head><body>{body}</body></html>"
    return answer_of(text, "text/html; charset=UTF-8", **options)


def urlset(*paths: str) -> Answer:
    entries = "".join(f"<url><loc>https://example.org{path}</loc></url>" for path in paths)
    return answer_of(f'<urlset xmlns="{NAMESPACE}">{entries}</urlset>', "application/xml; charset=UTF-8")


def index(*paths: str) -> Answer:
    entries = "".join(f"<sitemap><loc>https://example.org{path}</loc></sitemap>" for path in paths)
    return answer_of(f'<sitemapindex xmlns="{NAMESPACE}">{entries}</sitemapindex>', "application/xml; charset=UTF-8")


def feed(*paths: str) -> Answer:
    items = "".join(f"<item><link>https://example.org{path}</link></item>" for path in paths)
    return answer_of(f'<rss version="2.0"><channel>{items}</channel></rss>', "application/rss+xml; charset=UTF-8")


FEED_LINKS = """<link rel="alternate" type="application/rss+xml" href="https://example.org/feed/" />
<link rel="alternate" type="application/rss+xml" href="https://example.org/comments/feed/" />
<link rel="alternate" type="application/rss+xml" href="https://example.org/post-19/feed/" />"""
MENU = """<nav class="wp-block-navigation"><a href="/about/">About</a><a href="/blog/">Blog</a><a href="/cart/">Cart</a>
<a href="/wp-login.php">Log in</a><a href="/feed/">Feed</a><a href="https://other.example/">Other</a></nav>
<a href="/category/extra/" rel="category tag">Extra</a>"""
PASSWORD_FORM = (
    '<form action="https://example.org/wp-login.php?action=postpass" class="post-password-form" method="post">'
    '<input name="post_password" type="password"></form>'
)


def wordpress(post_count: int = 20, *, seconds: float = 0.1) -> dict[str, Answer | OriginError]:
    """WordPress 6.1 with posts, pages, categories, tags and an author; a shop's basket among the pages."""
    posts = [f"/post-{number}/" for number in range(post_count)]
    answers: dict[str, Answer | OriginError] = {
        "/": html(MENU, FEED_LINKS, seconds=seconds),
        "/robots.txt": answer_of(
            "User-agent: *\nDisallow: /wp-admin/\n\nSitemap: https://example.org/wp-sitemap.xml\n",
            "text/plain; charset=utf-8",
        ),
        "/wp-sitemap.xml": index(
            "/wp-sitemap-posts-post-1.xml",
            "/wp-sitemap-posts-page-1.xml",
            "/wp-sitemap-taxonomies-category-1.xml",
            "/wp-sitemap-taxonomies-post_tag-1.xml",
            "/wp-sitemap-users-1.xml",
        ),
        "/wp-sitemap-posts-post-1.xml": urlset(*posts),
        "/wp-sitemap-posts-page-1.xml": urlset("/", "/about/", "/sample/", "/cart/", "/checkout/"),
        "/wp-sitemap-taxonomies-category-1.xml": urlset("/category/news/"),
        "/wp-sitemap-taxonomies-post_tag-1.xml": urlset("/tag/x/"),
        "/wp-sitemap-users-1.xml": urlset("/author/admin/"),
        "/feed/": feed(*posts[:-11:-1]),
    }
    for path in (*posts, "/about/", "/blog/", "/sample/", "/category/news/", "/category/extra/", "/tag/x/"):
        answers[path] = html(path, seconds=seconds)
    return answers


SITEMAP_PATHS = tuple(path for path in wordpress() if path.startswith("/wp-sitemap"))


def site_of(**options: Any) -> config.Site:
    return config.Site.model_validate({"url": BASE.url, "origin": ["http://127.0.0.1:8080"], **options})


def run(source: Source, **options: Any) -> Proposal:
    return asyncio.run(propose(source, site_of(**options)))


def paths(proposal: Proposal) -> dict[Why, list[str]]:
    return {group.why: [page.path for page in group.pages] for group in proposal.groups}


def read_back(proposal: Proposal, **options: str) -> config.Config:
    """The configuration that the proposal's text is read as. Every commented setting is tried as well."""
    text = toml_of(proposal, **options)  # type: ignore[arg-type]
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("# "))
    keys = {line.split(" = ")[0] for line in bare.splitlines() if " = " in line and not line.startswith("#")}
    free = [line[1:] for line in bare.splitlines() if line.startswith("#") and line[1:].split(" = ")[0] not in keys]
    for line in free:
        assert tomllib.loads(line)
    return config.parse(text, None, Path("/etc/staticify"))


def test_a_wordpress_whose_pages_all_fit_joins_its_sitemaps() -> None:
    source = Source(wordpress())
    proposal = run(source)
    assert paths(proposal) == {
        Why.HOME: ["/"],
        Why.MENU: ["/about/", "/blog/"],
        Why.RECENT: [f"/post-{number}/" for number in range(19, 9, -1)],
        Why.FEEDS: ["/feed/", "/comments/feed/"],
        Why.ROBOTS: ["/robots.txt"],
        Why.PAGES: ["/sample/"],
        Why.CATEGORIES: ["/category/news/", "/category/extra/"],
        Why.SITEMAPS: list(SITEMAP_PATHS),
    }
    assert proposal.sitemaps == proposal.site_sitemaps == ("https://example.org/wp-sitemap.xml",)
    assert proposal.exclude == ("/cart/*", "/checkout/*", "/author/*")
    assert len(proposal.joined) == 20 + 3 + 1 + 1
    assert (proposal.render_seconds, proposal.is_trimmed) == (0.1, False)
    # Who only reads what `init` prints learns of every pattern.
    assert list(map(str, proposal.notes)) == [
        "https://example.org/: excluded: /cart/*, /checkout/* (a visitor's own: basket, order, account)",
        "https://example.org/: excluded: /author/* (archives of authors: few visit them, and they name who may log in)",
    ]
    assert proposal.fit == "36 pages at 100 ms each, 4 at a time, take 900 ms of every 60s: that fits"
    assert len(proposal.pages) == 36
    assert source.fetched == ["/", "/robots.txt", "/about/", "/post-19/", "/sample/", "/category/news/"]


def test_the_text_keeps_exactly_the_proposed_pages() -> None:
    proposal = run(Source(wordpress()))
    (site,) = read_back(proposal).sites
    assert set(site.pages) | set(proposal.joined) == set(proposal.pages)
    assert not any(site.is_excluded(page) for page in proposal.pages)
    assert site.sitemaps == proposal.sitemaps
    assert (site.exclude, site.origins) == (proposal.exclude, proposal.site.origins)
    assert (site.interval_seconds, site.concurrency) == (60.0, 4)


def test_the_text_says_why_it_excludes() -> None:
    assert """
exclude = [
    # a visitor's own: basket, order, account
    "/cart/*",
    "/checkout/*",
    # archives of authors: few visit them, and they name who may log in
    "/author/*",
]
""" in toml_of(run(Source(wordpress())))


def test_a_page_that_was_never_kept_is_not_refused_as_one_that_was() -> None:
    answers = wordpress()
    answers["/post-3/"] = html(PASSWORD_FORM)
    answers["/post-4/"] = html(status=301, location="https://example.org/wp-login.php?a=\x85#\x7f")
    answers["/blog/"] = html(status=403)
    source = Source(answers)
    proposal = asyncio.run(try_out(source, run(source), lambda: None))
    assert proposal.exclude == ("/cart/*", "/checkout/*", "/author/*", "/post-3/", "/post-4/")
    said = {note.where.removeprefix("https://example.org"): note.message for note in proposal.notes}
    del said["/"]
    assert said == {
        "/blog/": "left out: WordPress answers 403: not for everybody",
        "/comments/feed/": "left out: WordPress answers 404",
        "/post-3/": "excluded: the page asks for a password: not for everybody",
        "/post-4/": "excluded: redirects to the login: not for everybody",
    }
    assert """
    # the page asks for a password: not for everybody
    "/post-3/",
""" in toml_of(proposal)
    read_back(proposal)


def test_a_page_with_an_error_that_may_pass_stays_and_is_said_once() -> None:
    answers = wordpress()
    answers["/about/"] = html(status=503, retry_after="600")
    answers["/post-19/"] = html("Briefly unavailable for scheduled maintenance.")
    answers["/post-3/"] = html(status=429)
    answers["/post-4/"] = html(status=500)
    answers["/sample/"] = html(status=403)
    source = Source(answers)
    after = asyncio.run(try_out(source, run(source), lambda: None))
    assert {"/about/", "/post-19/", "/post-3/", "/post-4/"} <= {page.path for page in after.pages}
    assert after.exclude == ("/cart/*", "/checkout/*", "/author/*", "/sample/")
    said = Counter(note.where.removeprefix("https://example.org") for note in after.notes)
    assert (said["/about/"], said["/post-19/"], said["/post-3/"], said["/sample/"]) == (1, 1, 0, 1)


def test_a_reason_that_quotes_the_site_stays_a_comment() -> None:
    proposal = replace(simple(), exclusions=(Exclusion("/x/", "to https://a/\nurl = 1\x7f\u2028\r"),))
    assert read_back(proposal).sites[0].exclude == ("/x/",)


def test_a_site_that_does_not_fit_is_trimmed_and_new_posts_join_by_the_feed() -> None:
    proposal = run(Source(wordpress(1000, seconds=2.0)), interval="60s", concurrency=1)
    # 0.8 of 60 s hold 24 pages of 2 s.
    assert len(proposal.pages) == 24
    assert proposal.wanted_count == 1000 + 16
    assert proposal.is_trimmed
    assert paths(proposal) == {
        Why.HOME: ["/"],
        Why.MENU: ["/about/", "/blog/"],
        Why.RECENT: [f"/post-{number}/" for number in range(999, 989, -1)],
        Why.FEEDS: ["/feed/", "/comments/feed/"],
        Why.ROBOTS: ["/robots.txt"],
        Why.PAGES: ["/sample/"],
        Why.CATEGORIES: ["/category/news/", "/category/extra/"],
        Why.SITEMAPS: list(SITEMAP_PATHS[:5]),
    }
    assert proposal.sitemaps == ("https://example.org/feed/",)
    assert proposal.fit == (
        "24 pages at 2 s each, 1 at a time, take 48 s of every 60s: that fits, with little to spare; "
        '992 less important ones are left out (interval = "43m" would be enough for all)'
    )
    (site,) = read_back(proposal).sites
    assert set(site.pages) | set(proposal.joined) == set(proposal.pages)
    assert '#sitemaps = ["https://example.org/wp-sitemap.xml"]' in toml_of(proposal)


def test_the_home_page_stays_even_if_it_alone_is_too_slow() -> None:
    proposal = run(Source({"/": html(seconds=90.0)}), concurrency=1)
    assert paths(proposal) == {Why.HOME: ["/"]}
    assert proposal.fit.endswith("take 90 s of every 60s: that does not fit, and nothing is left to leave out")
    read_back(proposal)


@pytest.mark.parametrize(
    ("tried_seconds", "fit"),
    [
        (9.0, "take 9 s of every 60s: that fits"),
        (45.0, "take 45 s of every 60s: that fits, with little to spare"),
        (90.0, 'take 90 s of every 60s: that does not fit; interval = "2m" would do'),
    ],
)
def test_what_trying_all_pages_took_can_be_followed(tried_seconds: float, fit: str) -> None:
    proposal = replace(run(Source(wordpress())), tried_seconds=tried_seconds)
    assert len(proposal.pages) == 36
    pace = {9.0: "1 s", 45.0: "5 s", 90.0: "10 s"}[tried_seconds]
    assert proposal.fit == f"36 pages at {pace} each (one by one 100 ms), 4 at a time, {fit}"


def test_a_proposal_of_which_nothing_is_left_can_be_said() -> None:
    proposal = replace(run(Source(wordpress())), groups=(), joined=(), wanted_count=0, tried_seconds=1.0)
    assert proposal.fit.startswith("0 pages at ")


def test_more_pages_than_max_pages_are_said() -> None:
    proposal = run(Source(wordpress(3000)), max_pages=2000)
    assert not proposal.is_complete
    assert [note.name for note in proposal.notes] == ["too-many-pages"]
    assert proposal.fit == (
        "19 pages at 100 ms each, 4 at a time, take 475 ms of every 60s: that fits; at least 2000 less important ones "
        "are left out"
    )
    assert proposal.sitemaps == ("https://example.org/feed/",)
    read_back(proposal)


def test_a_site_without_any_sitemap_has_its_menu_and_its_feed() -> None:
    answers = {path: answer for path, answer in wordpress().items() if not path.startswith(("/wp-sitemap", "/robots"))}
    source = Source(answers)
    proposal = run(source)
    assert source.streamed == ["/wp-sitemap.xml", "/sitemap_index.xml", "/sitemap.xml", "/feed/"]
    assert list(paths(proposal)) == [Why.HOME, Why.MENU, Why.RECENT, Why.FEEDS, Why.CATEGORIES]
    assert proposal.sitemaps == ("https://example.org/feed/",)
    assert (proposal.notes, proposal.site_sitemaps) == ((), ())
    read_back(proposal)


def test_a_site_without_anything_has_its_home_page() -> None:
    proposal = run(Source({"/": html()}))
    assert paths(proposal) == {Why.HOME: ["/"]}
    (site,) = read_back(proposal).sites
    assert (site.pages, site.sitemaps) == ((BASE,), ())


def test_a_site_without_a_feed_has_the_newest_posts_of_the_sitemap() -> None:
    answers = wordpress()
    del answers["/feed/"]
    assert paths(run(Source(answers)))[Why.RECENT] == [f"/post-{number}/" for number in range(19, 9, -1)]


def test_times_say_which_posts_are_the_newest() -> None:
    answers = wordpress()
    del answers["/feed/"]
    entries = "".join(
        f"<url><loc>https://example.org/post-{n}/</loc><lastmod>2024-01-{28 - n:02}</lastmod></url>" for n in range(20)
    )
    answers["/wp-sitemap-posts-post-1.xml"] = answer_of(f"<urlset>{entries}</urlset>", "application/xml")
    assert paths(run(Source(answers)))[Why.RECENT] == [f"/post-{number}/" for number in range(10)]


def test_yoast_is_found_behind_the_redirect() -> None:
    answers = wordpress()
    answers["/robots.txt"] = answer_of("User-agent: *\n", "text/plain")
    answers["/wp-sitemap.xml"] = html(status=301, location="https://example.org/sitemap_index.xml")
    answers["/sitemap_index.xml"] = index("/post-sitemap.xml", "/page-sitemap.xml", "/category-sitemap.xml")
    answers["/post-sitemap.xml"] = urlset("/post-1/")
    answers["/page-sitemap.xml"] = urlset("/", "/sample/")
    answers["/category-sitemap.xml"] = urlset("/category/news/")
    proposal = run(Source(answers))
    assert proposal.sitemaps == ("https://example.org/sitemap_index.xml",)
    assert paths(proposal)[Why.PAGES] == ["/sample/"]
    assert paths(proposal)[Why.SITEMAPS] == [
        "/sitemap_index.xml", "/post-sitemap.xml", "/page-sitemap.xml", "/category-sitemap.xml",
    ]  # fmt: skip
    assert proposal.notes == ()


def test_an_author_of_the_menu_stays() -> None:
    answers = wordpress()
    answers["/"] = html('<nav><a href="/author/admin/">Me</a></nav>')
    answers["/author/admin/"] = html("me")
    proposal = run(Source(answers))
    assert paths(proposal)[Why.MENU] == ["/author/admin/"]
    assert "/author/*" not in proposal.exclude
    read_back(proposal)


def test_pages_that_differ_only_in_case_are_proposed_once() -> None:
    answers = wordpress()
    answers["/"] = html('<nav><a href="/About/">A</a><a href="/about/">B</a></nav>')
    answers["/About/"] = html("about")
    proposal = run(Source(answers))
    assert paths(proposal)[Why.MENU] == ["/About/"]
    read_back(proposal)


def test_measured_pages_that_cannot_be_kept_are_not_proposed() -> None:
    answers = wordpress()
    answers["/about/"] = html(status=301, location="https://example.org/about-us/")
    answers["/post-19/"] = OriginTimeout("no whole answer within 20 s")
    proposal = run(Source(answers))
    assert paths(proposal)[Why.MENU] == ["/blog/"]
    assert "/post-19/" in paths(proposal)[Why.RECENT]
    assert [(note.where, note.name) for note in proposal.notes if note.name != "excluded"] == [
        ("https://example.org/about/", "moved"),
        ("https://example.org/post-19/", "timeout"),
    ]


def test_a_render_is_the_median_of_five() -> None:
    answers = wordpress()
    for path, seconds in (
        ("/", 9.0),
        ("/about/", 0.2),
        ("/post-19/", 0.3),
        ("/sample/", 0.1),
        ("/category/news/", 0.4),
    ):
        answers[path] = html(MENU if path == "/" else path, seconds=seconds)
    assert run(Source(answers)).render_seconds == 0.3


@pytest.mark.parametrize(
    ("home", "message"),
    [
        (html(status=500), "https://example.org/ cannot be kept: WordPress answers 500"),
        (html(status=404), "https://example.org/ cannot be kept: WordPress answers 404"),
        (
            html(status=301, location="https://www.example.org/"),
            (
                "https://example.org/ cannot be kept: moved (301) to another site: https://www.example.org/. "
                "Give the address that visitors use"
            ),
        ),
        (OriginUnreachable("http://127.0.0.1:8080: Connection refused"), "http://127.0.0.1:8080: Connection refused"),
        (html("Error establishing a database connection"), "https://example.org/ cannot be kept: the page says little"),
    ],
)
def test_a_home_page_that_cannot_be_had_ends_it(home: Answer | OriginError, message: str) -> None:
    with pytest.raises(OriginError) as caught:
        run(Source({"/": home}))
    assert str(caught.value).startswith(message)


def test_the_front_end_is_no_origin() -> None:
    with pytest.raises(OriginError, match=r"leads back to our own front end.*Name it, as in --origin http://127"):
        run(Source({"/": html(cache_status="staticify; hit")}))


def test_what_else_fails_becomes_a_note() -> None:
    answers = wordpress()
    answers["/robots.txt"] = OriginTimeout("too slow")
    answers["/wp-sitemap-posts-post-1.xml"] = OriginUnreachable("gone away")
    proposal = run(Source(answers))
    assert {(note.name, note.message) for note in proposal.notes} == {
        ("timeout", "too slow"),
        ("unreachable", "gone away"),
    }
    assert proposal.sitemaps == ("https://example.org/feed/",)
    read_back(proposal)


@pytest.mark.parametrize(
    ("url", "api", "home"),
    [
        ("http://localhost:8080/", "http://127.0.0.1:8080/wp-json/", "http://127.0.0.1:8080/"),
        ("https://example.org/", "https://www.example.org/index.php?rest_route=/", "https://www.example.org/"),
        ("https://www.example.org/", "https://example.org/?rest_route=/", "https://example.org/"),
        ("https://example.org/about/", "https://example.org/wp-json/", "https://example.org/"),
        ("https://example.org/", "https://example.org/blog/wp-json/", "https://example.org/blog/"),
        ("https://example.org/blog/", "https://example.org/blog/wp-json/", None),
        # Behind a proxy that ends TLS, WordPress may name itself by http.
        ("https://example.org/", "http://example.org/wp-json/", None),
        ("https://example.org/", "", None),
    ],
)
def test_another_home_of_wordpress_is_noted(url: str, api: str, home: str | None) -> None:
    site = site_of(url=url)
    head = f'<link rel="https://api.w.org/" href="{api}" /><link rel="canonical" href="{url}" />'
    proposal = asyncio.run(propose(Source({site.base.raw_path: html(head=head)}), site))
    assert [note.message for note in proposal.notes] == (
        [f"WordPress calls itself {home}; did you mean: staticify init {home}"] if home else []
    )


def test_another_canonical_address_is_noted() -> None:
    answers = wordpress()
    answers["/"] = html(MENU, '<link rel="canonical" href="https://www.example.org/">')
    note, *_ = run(Source(answers)).notes
    assert note.message == (
        "the home page calls itself https://www.example.org/; if visitors come by that address, name it as url"
    )


def test_a_site_below_a_path_proposes_nothing_above_it() -> None:
    answers: dict[str, Answer | OriginError] = {
        "/blog/": html(
            '<nav><a href="/">Up</a><a href="/blog/about/">About</a><a href="/blog/wp-admin/">Admin</a></nav>'
        ),
        "/blog/about/": html("about"),
        "/blog/a/": html("a"),
        "/robots.txt": answer_of("Sitemap: https://example.org/top.xml\nSitemap: /blog/wp-sitemap.xml", "text/plain"),
        "/blog/wp-sitemap.xml": urlset("/blog/", "/blog/a/", "/elsewhere/"),
        "/blog/feed/": feed("/blog/a/"),
    }
    source = Source(answers)
    proposal = asyncio.run(propose(source, site_of(url="https://example.org/blog/")))
    assert "/top.xml" not in source.streamed
    assert all(page.path.startswith("/blog/") for page in proposal.pages)
    assert list(paths(proposal)) == [Why.HOME, Why.MENU, Why.RECENT, Why.FEEDS, Why.SITEMAPS]
    read_back(proposal)


HOSTILE = (
    "/quote\"'/", "/percent%25/", "/question%3F/", "/hash%23/", "/space%20here/", "/日本語/ページ/", "/über-uns/",
    "/%E2%80%AEdesrever/", "/a%C2%A0b/", "/%F0%9F%98%80/", "/wide%E2%80%A8line/", "/'''/", "/a;b=c,d/", "/%7F", "/]/[/",
)  # fmt: skip


def simple(*pages: Page, **options: Any) -> Proposal:
    return Proposal(
        site_of(**options), (Group(Why.HOME, (BASE,)), Group(Why.MENU, pages)), 0.1, wanted_count=len(pages) + 1
    )


def test_strings_of_the_site_come_back_as_they_were() -> None:
    pages = []
    for path in HOSTILE:
        try:
            pages.append(page_of(BASE, path))
        except UrlError:
            assert path == "/%7F"
    proposal = simple(*pages)
    (site,) = read_back(proposal).sites
    assert site.pages == (BASE, *pages)
    text = toml_of(proposal)
    for readable in (
        '"/quote%22\'/"',
        '"/日本語/ページ/"',
        '"/über-uns/"',
        '"/😀/"',
        '"/%E2%80%AEdesrever/"',
        '"/a%C2%A0b/"',
    ):
        assert f"    {readable},\n" in text
    assert all(character.isprintable() or character == "\n" for character in text)


@given(st.text(max_size=30))
def test_every_page_has_a_readable_path_that_comes_back(text: str) -> None:
    try:
        page = BASE.with_path(f"/{text}")
    except (UrlError, UnicodeEncodeError):
        return
    assert page_of(BASE, readable_path(page)) == page
    assert readable_path(page).isprintable()


@pytest.mark.parametrize("path", ['/srv/the "tree"', "tree\\of", "/srv/žluťoučký", "/srv/a\u202eb", "/srv/]]\n[x"[:7]])
def test_paths_of_the_operator_come_back_as_they_were(path: str) -> None:
    parsed = read_back(simple(), tree_path=path, state_path=f"{path}.state")
    assert parsed.tree_path == Path("/etc/staticify") / path
    assert parsed.state_path == Path("/etc/staticify") / f"{path}.state"


def test_a_path_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(StaticifyError, match="is not UTF-8"):
        toml_of(simple(), tree_path="/srv/\udcff")


def test_every_setting_of_the_configuration_is_in_the_text() -> None:
    text = toml_of(run(Source(wordpress())))
    for setting in config.describe():
        assert setting.help in text.replace("\n# ", " ")
        assert any(line.lstrip("#").startswith(f"{setting.name} = ") for line in text.splitlines())


def test_the_text_with_every_comment_taken_away_is_a_configuration_too() -> None:
    text = toml_of(simple())
    everything = "\n".join(
        line[1:] if line.startswith("#") and line[1:2] != " " else line for line in text.splitlines()
    )
    (site,) = config.parse(everything, None, Path("/etc/staticify")).sites
    assert site.groups
    assert site.strip
    assert site.ignore


def test_the_public_address_as_origin_is_remarked_upon() -> None:
    remark = "# This is the public address."
    assert remark in toml_of(simple(origin=["https://example.org"]))
    assert remark not in toml_of(simple(origin=["http://127.0.0.1:8080", "unix:/run/php.sock"]))
