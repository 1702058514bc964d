"""Every page has one place in the tree; what cannot have one is refused with its reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal
from unicodedata import normalize
from urllib.parse import quote

import pytest
from hypothesis import example, given, strategies as st

from staticify.errors import UrlError
from staticify.nouns import Kind
from staticify.urls import (
    MARK,
    MAX_COMPONENT_BYTES,
    MAX_PATH_BYTES,
    MAX_SEGMENTS,
    Page,
    Place,
    decode_path,
    is_inside,
    page_of,
    parse_page,
    without_user,
)

# URL as written, canonical URL, path of the HTML variant below the tree.
PAGES: list[tuple[str, str, str]] = [
    ("https://a.example/", "https://a.example/", "a.example/@staticify/index.html"),
    ("https://a.example", "https://a.example/", "a.example/@staticify/index.html"),
    ("https://a.example/about/", "https://a.example/about/", "a.example/about/@staticify/index.html"),
    ("https://a.example/about", "https://a.example/about", "a.example/about@staticify/index.html"),
    ("https://a.example/2024/05/x/", "https://a.example/2024/05/x/", "a.example/2024/05/x/@staticify/index.html"),
    ("https://a.example/robots.txt", "https://a.example/robots.txt", "a.example/robots.txt@staticify/index.html"),
    ("https://a.example/index.html", "https://a.example/index.html", "a.example/index.html@staticify/index.html"),
    ("https://a.example/#top", "https://a.example/", "a.example/@staticify/index.html"),
    ("https://a.example/x#a?b", "https://a.example/x", "a.example/x@staticify/index.html"),
    # Scheme, host and port.
    ("HTTPS://A.Example/A/", "https://a.example/A/", "a.example/A/@staticify/index.html"),
    ("http://a.example/", "http://a.example/", "a.example/@staticify/index.html"),
    ("https://a.example:443/", "https://a.example/", "a.example/@staticify/index.html"),
    ("http://a.example:80/", "http://a.example/", "a.example/@staticify/index.html"),
    ("https://a.example:80/", "https://a.example:80/", "a.example:80/@staticify/index.html"),
    ("http://a.example:08080/", "http://a.example:8080/", "a.example:8080/@staticify/index.html"),
    ("https://a.example:/", "https://a.example/", "a.example/@staticify/index.html"),
    ("https://a.example./", "https://a.example/", "a.example/@staticify/index.html"),
    ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/", "127.0.0.1:8080/@staticify/index.html"),
    ("http://[::1]/", "http://[::1]/", "[::1]/@staticify/index.html"),
    ("http://[2001:DB8::1]:8080/x/", "http://[2001:db8::1]:8080/x/", "[2001:db8::1]:8080/x/@staticify/index.html"),
    ("https://münchen.example/", "https://xn--mnchen-3ya.example/", "xn--mnchen-3ya.example/@staticify/index.html"),
    ("https://MÜNCHEN.example/", "https://xn--mnchen-3ya.example/", "xn--mnchen-3ya.example/@staticify/index.html"),
    (
        "https://XN--mnchen-3ya.example/",
        "https://xn--mnchen-3ya.example/",
        "xn--mnchen-3ya.example/@staticify/index.html",
    ),
    ("https://straße.example/", "https://xn--strae-oqa.example/", "xn--strae-oqa.example/@staticify/index.html"),
    ("https://日本。example/", "https://xn--wgv71a.example/", "xn--wgv71a.example/@staticify/index.html"),
    # Real sites have underscores, which no domain name that is registered has.
    ("https://my_site.a.example/", "https://my_site.a.example/", "my_site.a.example/@staticify/index.html"),
    ("https://_a.example/", "https://_a.example/", "_a.example/@staticify/index.html"),
    (
        "https://my_site.münchen.example/",
        "https://my_site.xn--mnchen-3ya.example/",
        "my_site.xn--mnchen-3ya.example/@staticify/index.html",
    ),
    # An address has one spelling.
    ("https://[0:0::1]/", "https://[::1]/", "[::1]/@staticify/index.html"),
    ("https://[2001:0DB8:0:0:0:0:0:1]/", "https://[2001:db8::1]/", "[2001:db8::1]/@staticify/index.html"),
    (f"https://{'a' * 63}.example/", f"https://{'a' * 63}.example/", f"{'a' * 63}.example/@staticify/index.html"),
    # Percent-encoding and UTF-8.
    ("https://a.example/caf%C3%A9/", "https://a.example/caf%C3%A9/", "a.example/café/@staticify/index.html"),
    ("https://a.example/caf%c3%a9/", "https://a.example/caf%C3%A9/", "a.example/café/@staticify/index.html"),
    ("https://a.example/café/", "https://a.example/caf%C3%A9/", "a.example/café/@staticify/index.html"),
    ("https://a.example/cafe%CC%81/", "https://a.example/cafe%CC%81/", "a.example/cafe\u0301/@staticify/index.html"),
    (
        "https://a.example/日本語/",
        "https://a.example/%E6%97%A5%E6%9C%AC%E8%AA%9E/",
        "a.example/日本語/@staticify/index.html",
    ),
    (
        "https://a.example/%D9%85%D8%B1%D8%AD%D8%A8%D8%A7",
        "https://a.example/%D9%85%D8%B1%D8%AD%D8%A8%D8%A7",
        "a.example/مرحبا@staticify/index.html",
    ),
    ("https://a.example/%F0%9F%98%80/", "https://a.example/%F0%9F%98%80/", "a.example/😀/@staticify/index.html"),
    ("https://a.example/%61%7E-_./", "https://a.example/a~-_./", "a.example/a~-_./@staticify/index.html"),
    ("https://a.example/a%20b+c", "https://a.example/a%20b+c", "a.example/a b+c@staticify/index.html"),
    ("https://a.example/100%25/", "https://a.example/100%25/", "a.example/100%/@staticify/index.html"),
    ("https://a.example/%2525/", "https://a.example/%2525/", "a.example/%25/@staticify/index.html"),
    ("https://a.example/%3Fp=1%23", "https://a.example/%3Fp=1%23", "a.example/?p=1#@staticify/index.html"),
    (
        "https://a.example/!$&'()*+,;=:@",
        "https://a.example/!$&'()*+,;=:@",
        "a.example/!$&'()*+,;=:@@staticify/index.html",
    ),
    ('https://a.example/<">', "https://a.example/%3C%22%3E", 'a.example/<">@staticify/index.html'),
    (
        "https://a.example/.well-known/x",
        "https://a.example/.well-known/x",
        "a.example/.well-known/x@staticify/index.html",
    ),
    ("https://a.example/.../", "https://a.example/.../", "a.example/.../@staticify/index.html"),
    # The longest that fits.
    (
        f"https://a.example/{'x' * 255}/",
        f"https://a.example/{'x' * 255}/",
        f"a.example/{'x' * 255}/@staticify/index.html",
    ),
    (f"https://a.example/{'x' * 245}", f"https://a.example/{'x' * 245}", f"a.example/{'x' * 245}@staticify/index.html"),
]


@pytest.mark.parametrize(("text", "url", "tree_path"), PAGES, ids=[row[0][:60] for row in PAGES])
def test_a_url_and_its_place_in_the_tree(text: str, url: str, tree_path: str) -> None:
    page = parse_page(text)
    assert (page.url, str(page), page.tree_path(Kind.HTML)) == (url, url, tree_path)
    assert parse_page(url) == page


def test_the_parts_of_a_page() -> None:
    page = parse_page("HTTP://A.example:8080/caf%c3%a9/x")
    assert page == Page("http", "a.example:8080", "/café/x")
    assert page.raw_path == "/caf%C3%A9/x"
    assert page.place == Place(("a.example:8080", "café"), "x@staticify")
    assert page.place.relative == "a.example:8080/café/x@staticify"
    assert (page.place.netloc, page.place.path) == ("a.example:8080", "/café/x")


def test_the_extension_says_what_the_page_is_made_of() -> None:
    page = parse_page("https://a.example/feed/")
    assert [page.tree_path(kind) for kind in Kind] == [
        "a.example/feed/@staticify/index.html",
        "a.example/feed/@staticify/index.rss",
        "a.example/feed/@staticify/index.atom",
        "a.example/feed/@staticify/index.xml",
        "a.example/feed/@staticify/index.json",
        "a.example/feed/@staticify/index.txt",
    ]


# --- Refusals --------------------------------------------------------------------------------------------------------

LONG_PATH = "/".join(["x" * 200] * 11)
REFUSALS: list[tuple[str, str]] = [
    # Not an absolute URL of the web.
    ("", "'' is not an absolute http or https URL"),
    ("/about/", "'/about/' is not an absolute http or https URL"),
    ("//a.example/", "'//a.example/' is not an absolute http or https URL"),
    ("a.example", "'a.example' is not an absolute http or https URL"),
    ("ftp://a.example/", "'ftp://a.example/' is not an absolute http or https URL"),
    ("file:///etc/passwd", "'file:///etc/passwd' is not an absolute http or https URL"),
    ("javascript:x", "'javascript:x' is not an absolute http or https URL"),
    # What a page never has.
    ("https://a.example/?p=1", "'https://a.example/?p=1' has a query string; a page is a path alone"),
    ("https://a.example/?", "'https://a.example/?' has a query string; a page is a path alone"),
    ("https://u@a.example/", "'https://…@a.example/' carries user information"),
    ("https://u:p@a.example/", "'https://…@a.example/' carries user information"),
    ("https://@a.example/", "'https://…@a.example/' carries user information"),
    ("https://a.example\\@b.example/", "'https://…@b.example/' carries user information"),
    # White space and control characters, as they are and encoded.
    (" https://a.example/", "' https://a.example/' holds white space or a control character"),
    ("https://a.example/\n", "'https://a.example/\\n' holds white space or a control character"),
    ("https://a.example/\tx", "'https://a.example/\\tx' holds white space or a control character"),
    ("https://a.example/a b", "'https://a.example/a b' holds white space or a control character"),
    ("https://a.example/\0", "'https://a.example/\\x00' holds white space or a control character"),
    ("https://a.example/\u3000", "'https://a.example/\\u3000' holds white space or a control character"),
    ("https://a.example/%00", "path '/\\x00' has a control character"),
    ("https://a.example/%0A", "path '/\\n' has a control character"),
    ("https://a.example/%7F", "path '/\\x7f' has a control character"),
    # Hosts and ports.
    ("https:///x", "'https:///x' has no usable host name"),
    ("https:a.example", "'https:a.example' has no usable host name"),
    ("https://-a.example/", "'https://-a.example/' has no usable host name"),
    ("https://a..example/", "'https://a..example/' has no usable host name"),
    ("https://.example/", "'https://.example/' has no usable host name"),
    ("https://../", "'https://../' has no usable host name"),
    ("https://a%2Fb/", "'https://a%2Fb/' has no usable host name"),
    (f"https://{'a.' * 125}a/", f"'https://{'a.' * 125}a/' has no usable host name"),
    (f"https://{'a' * 64}.example/", f"'https://{'a' * 64}.example/' has no usable host name"),
    ("https://a.example:0/", "'https://a.example:0/' has port 0, which is no port to connect to"),
    ("https://[fe80::1%25eth0]/", "'https://[fe80::1%25eth0]/' has a host that is no IPv6 address"),
    ("https://[fe80::1%eth0]/", "'https://[fe80::1%eth0]/' has a host that is no IPv6 address"),
    ("https://[v1.a]/", "'https://[v1.a]/' has a host that is no IPv6 address"),
    # Paths that no file can stand for, or more than one.
    ("https://a.example/a/../b", "path '/a/../b' has a dot segment"),
    ("https://a.example/..", "path '/..' has a dot segment"),
    ("https://a.example/.", "path '/.' has a dot segment"),
    ("https://a.example/./", "path '/./' has a dot segment"),
    ("https://a.example/%2e%2E/", "path '/../' has a dot segment"),
    ("https://a.example/.%2e", "path '/..' has a dot segment"),
    ("https://a.example//", "path '//' has an empty segment"),
    ("https://a.example/a//b", "path '/a//b' has an empty segment"),
    ("https://a.example/a\\b", "path '/a\\\\b' has a backslash"),
    ("https://a.example/a%5Cb", "path '/a\\\\b' has a backslash"),
    ("https://a.example/a%2Fb", "path '/a%2Fb' has an encoded slash"),
    ("https://a.example/a%2fb", "path '/a%2fb' has an encoded slash"),
    ("https://a.example/%", "path '/%' has a percent sign without two hex digits"),
    ("https://a.example/100%/", "path '/100%/' has a percent sign without two hex digits"),
    ("https://a.example/%zz", "path '/%zz' has a percent sign without two hex digits"),
    ("https://a.example/%u0041", "path '/%u0041' has a percent sign without two hex digits"),
    ("https://a.example/caf%E9", "path '/caf%E9' is not UTF-8"),
    ("https://a.example/%C0%AF", "path '/%C0%AF' is not UTF-8"),
    ("https://a.example/%ED%A0%80", "path '/%ED%A0%80' is not UTF-8"),
    ("https://a.example/\ud800", "path '/\\ud800' holds half a surrogate pair"),
    # The mark, however it is written.
    ("https://a.example/@staticify/", "path '/@staticify/' holds @staticify, which staticify keeps for itself"),
    ("https://a.example/x@staticify", "path '/x@staticify' holds @staticify, which staticify keeps for itself"),
    ("https://a.example/@Staticify", "path '/@Staticify' holds @staticify, which staticify keeps for itself"),
    ("https://a.example/%40static%69fy", "path '/@staticify' holds @staticify, which staticify keeps for itself"),
    ("https://a.example/@%EF%AC%86aticify", "path '/@ﬆaticify' holds @staticify, which staticify keeps for itself"),
    # Too long for a file system.
    (f"https://a.example/{'x' * 256}/", f"path '/{'x' * 59}'... has a component over 255 bytes"),
    (f"https://a.example/{'x' * 246}", f"path '/{'x' * 59}'... has a component over 255 bytes"),
    (f"https://a.example/{'é' * 128}/", f"path '/{'é' * 59}'... has a component over 255 bytes"),
    (f"https://a.example/{LONG_PATH}", f"path '/{'x' * 59}'... is over 2048 bytes"),
    (f"https://a.example/{'a/' * MAX_SEGMENTS}a", f"path '/{'a/' * 29}a'... has over 100 segments"),
    (f"https://a.example/{'a/' * (MAX_SEGMENTS + 1)}", f"path '/{'a/' * 29}a'... has over 100 segments"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSALS, ids=[ascii(row[0][:60]) for row in REFUSALS])
def test_a_refusal_says_why(text: str, reason: str) -> None:
    with pytest.raises(UrlError) as caught:
        parse_page(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://a.example:x/", "'https://a.example:x/' is not a URL: Port "),
        ("https://a.example:65536/", "'https://a.example:65536/' is not a URL: Port "),
        ("https://[::1/", "'https://[::1/' is not a URL: "),
        ("https://[::1]x/", "'https://[::1]x/' "),
        ("https://x[::1]/", "'https://x[::1]/' "),
        ("https://[1:2]/", "'https://[1:2]/' "),
        (
            f"https://{'ü' * 63}.example/",
            f"'https://{'ü' * 63}.example/' has a host that is no internationalised domain",
        ),
        ("https://a_ü.example/", "'https://a_ü.example/' has a host that is no internationalised domain name: "),
        ("https://[x]/", "'https://[x]/' is not a URL: "),
        ("https://\u2488.example/", "'https://\u2488.example/' has a host that is no internationalised domain name: "),
        ("https://\ud800/", "'https://\\ud800/' has a host that is no internationalised domain name: "),
    ],
    ids=ascii,
)
def test_a_refusal_by_a_library_gives_the_reason_in_its_words(text: str, reason: str) -> None:
    with pytest.raises(UrlError) as caught:
        parse_page(text)
    assert str(caught.value).startswith(reason)


# --- Paths and sites -------------------------------------------------------------------------------------------------

SITE = Page("https", "a.example", "/blog/")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("/", "https://a.example/"),
        ("/blog/x", "https://a.example/blog/x"),
        ("https://b.example/x", "https://b.example/x"),
        ("http://a.example/x", "https://a.example/x"),
    ],
)
def test_a_page_of_a_site_is_a_path_from_the_root_or_a_url(text: str, url: str) -> None:
    assert page_of(SITE, text).url == url


@pytest.mark.parametrize("text", ["", "x", "./x", "//b.example/", "?p=1", "#top"])
def test_nothing_else_is_a_page_of_a_site(text: str) -> None:
    with pytest.raises(UrlError, match="is not an absolute http or https URL, or a path beginning with /"):
        page_of(SITE, text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/blog/", True),
        ("https://a.example/blog/x/y", True),
        ("http://a.example/blog/", True),
        ("https://a.example:443/blog/", True),
        ("https://a.example/blog", False),
        ("https://a.example/blogs/", False),
        ("https://a.example/Blog/", False),
        ("https://a.example/", False),
        ("https://a.example:8443/blog/", False),
        ("https://www.a.example/blog/", False),
    ],
)
def test_is_inside(url: str, expected: bool) -> None:  # noqa: FBT001  a table
    assert is_inside(SITE, parse_page(url)) is expected


def test_another_path_of_the_same_host() -> None:
    assert SITE.with_path("/日本/") == Page("https", "a.example", "/日本/")
    with pytest.raises(UrlError, match="dot segment"):
        SITE.with_path("/../")
    with pytest.raises(UrlError, match="does not begin with a slash"):
        SITE.with_path("x")
    with pytest.raises(UrlError, match="half a surrogate pair"):
        SITE.with_path("/\udcff/")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("/about/", "/ABOUT/", True),
        ("/straße/", "/STRASSE/", True),
        ("/caf\u00e9/", "/cafe\u0301/", True),
        ("/CAF\u00c9/", "/cafe\u0301/", True),
        ("/σς", "/ΣΣ", True),
        ("/about/", "/about", False),
        ("/cafe/", "/caf\u00e9/", False),
        ("/\u0390", "/\u03aa\u0301", True),
    ],
)
def test_folded_is_equal_for_what_a_file_system_may_confuse(one: str, other: str, expected: bool) -> None:  # noqa: FBT001
    assert (SITE.with_path(one).folded == SITE.with_path(other).folded) is expected


@given(st.text(max_size=20))
def test_folding_what_is_folded_changes_nothing(text: str) -> None:
    folded = Page("https", "a.example", text).folded
    assert Page("https", "", folded).folded == folded
    forms: tuple[Literal["NFC"], Literal["NFD"]] = ("NFC", "NFD")
    for form in forms:
        assert Page("https", "a.example", normalize(form, text)).folded == folded


# --- Properties ------------------------------------------------------------------------------------------------------


def _is_path(text: str) -> bool:
    try:
        SITE.with_path(text)
    except UrlError:
        return False
    return True


_segments = (
    st.text(max_size=20) | st.text(alphabet="ab.%~@é /\\", max_size=6) | st.sampled_from([MARK, "..", ".", "", "%2F"])
)
_paths = st.lists(_segments, max_size=5).map(lambda segments: "/" + "/".join(segments)).filter(_is_path)
_hosts = st.sampled_from(["a.example", "a.example:8080", "b.example", "[::1]", "xn--mnchen-3ya.example"])
_pages = st.builds(Page, st.sampled_from(["http", "https"]), _hosts, _paths)


@given(_pages)
def test_the_url_of_a_page_names_the_page(page: Page) -> None:
    assert page.url.isascii()
    assert parse_page(page.url) == page
    assert decode_path(page.raw_path) == page.path


@given(_pages)
def test_a_place_names_the_page(page: Page) -> None:
    assert (page.place.netloc, page.place.path) == (page.netloc, page.path)


@given(_pages, st.sampled_from(Kind))
def test_every_part_of_a_tree_path_is_a_safe_file_name(page: Page, kind: Kind) -> None:
    *parts, leaf, index = page.tree_path(kind).split("/")
    assert index == f"index.{kind}"
    assert leaf.endswith(MARK)
    assert not any(MARK in part.casefold() for part in parts)
    for part in (*parts, leaf):
        assert part not in {"", ".", ".."}
        assert len(part.encode()) <= MAX_COMPONENT_BYTES
        assert not any(ord(character) < 0x20 or character in "/\\\x7f" for character in part)
    assert len(page.path.encode()) <= MAX_PATH_BYTES


_short_paths = st.text(alphabet="ab/%.A", max_size=4).map(lambda text: f"/{text}").filter(_is_path)
_short_pages = st.builds(Page, st.just("https"), st.sampled_from(["a.example", "b.example"]), _short_paths)


@given(_short_pages, _short_pages)
@example(Page("https", "a.example", "/a"), Page("https", "a.example", "/a/"))
def test_different_pages_have_different_places_of_which_none_is_in_another(one: Page, other: Page) -> None:
    if one == other:
        return
    assert one.place != other.place
    assert one.place.relative != other.place.relative
    assert not f"{one.place.relative}/".startswith(f"{other.place.relative}/")


_texts = (
    st.text(alphabet=st.characters())
    | st.text(alphabet=st.characters()).map(lambda text: f"https://{text}")
    | st.text(alphabet=st.characters()).map(lambda text: f"https://a.example/{text}")
    | st.text(alphabet=":/?#[]@%.\\-_xn1\u00e9\u00ad\u3002\uff0e", max_size=20).map(lambda text: f"https://{text}")
    | st.binary(max_size=20).map(lambda data: f"https://a.example/{quote(data)}")
)


@pytest.mark.parametrize("parse", [parse_page, lambda text: page_of(SITE, text)], ids=["parse_page", "page_of"])
@given(text=_texts)
def test_any_text_is_a_page_or_refused(parse: Callable[[str], Page], text: str) -> None:
    try:
        page = parse(text)
    except UrlError:
        return
    assert parse_page(page.url) == page
    assert _is_path(page.path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:p@a.example/x", "https://…@a.example/x"),
        ("https://u:p@ss@a.example/x", "https://…@a.example/x"),
        ("https://u:p/s?s#s@a.example/x", "https://…@a.example/x"),
        ("https://u:p s@a.example/", "https://…@a.example/"),
        ("ftp://u:p@a.example/", "ftp://…@a.example/"),
        ("//u:p@a.example/", "//…@a.example/"),
        ("u:p@a.example/", "…@a.example/"),
        # None of these has any.
        ("https://a.example/@u:p/", "https://a.example/@u:p/"),
        ("https://a.example:8080/@u/", "https://a.example:8080/@u/"),
        ("https://[::1]:8080/@u/", "https://[::1]:8080/@u/"),
        ("/@u/", "/@u/"),
        ("", ""),
    ],
)
def test_user_information_is_not_shown(text: str, shown: str) -> None:
    assert without_user(text) == shown


@pytest.mark.parametrize("wrong", ["", "/", " ", "?x", "[", "#", "\uff0f", ":"])
@pytest.mark.parametrize("scheme", ["https://", "ftp://", "//", ""])
def test_no_error_repeats_a_password(scheme: str, wrong: str) -> None:
    base = parse_page("https://a.example/")
    for text in (f"{scheme}user:hunter{wrong}2-secret@a.example/x/", f"{scheme}user:hunter2-secret@a.example/{wrong}/"):
        for parse in (parse_page, partial(page_of, base)):
            with pytest.raises(UrlError) as caught:
                parse(text)
            assert "hunter" not in str(caught.value)
            assert "secret" not in str(caught.value)
