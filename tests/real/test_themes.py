"""A page rendered for somebody, after the strip, beside the same page rendered for a stranger, theme by theme."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

import pytest

from real.conftest import MakePost
from real.helpers import Post, Reply, Stack
from staticify.gate import decide_head
from staticify.html import Document
from staticify.nouns import Answer, Outcome
from staticify.prepare import prepare
from staticify.rules import WORDPRESS_RULES, GateRules, Rules
from staticify.strip import strip
from staticify.urls import parse_page

# What the strip leaves of an administrator's page that a stranger's has not, and the other way round: selectors of
# elements, HTML comments, and one class. A test fails for anything that is not listed, and for what is listed without
# need. White space between elements does not count: cuts leave the line ends around them.
LEFT = {
    "body.logged-in": "the gate's own sign, at which it refuses the page",
    "link#dashicons-css": "the toolbar's font: themes and plugins load it for themselves as well",
}
LEFT_BY_THEME: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("twentytwentyone", "page"): {"<!-- .entry-footer -->": "says where the footer of the edit link ended"},
}
MISSING_IN_A_COMMENT_FORM = {
    ".comment-form > .comment-notes": "is said to those who must give an address",
    ".comment-form > .comment-form-author": "WordPress knows the name of who is logged in",
    ".comment-form > .comment-form-email": "and the address",
    ".comment-form > .comment-form-url": "and the web site",
    ".comment-form > .comment-form-cookies-consent": "and keeps neither in a cookie",
}
# The same for somebody who commented before.
LEFT_FOR_A_COMMENTER: Mapping[str, Mapping[str, str]] = {
    "twentytwentyone": {"<!-- #comment-## -->": "says where the comment that awaits moderation ended"},
    "twentytwentytwo": {"<!-- #comment-## -->": "says where the comment that awaits moderation ended"},
    "twentytwentythree": {"wp-container": "WordPress numbers layouts as it renders them, and gives each a style"},
}

THEMES = sorted(LEFT_FOR_A_COMMENTER)


@pytest.fixture(scope="module")
def default_theme(stack: Stack) -> Iterator[None]:
    """The theme of all other tests, afterwards."""
    yield
    stack.call("switch_theme", "twentytwentyone")


@pytest.fixture(params=THEMES)
def theme(stack: Stack, default_theme: None, request: pytest.FixtureRequest) -> str:
    name: str = request.param
    stack.call("switch_theme", name)
    return name


@pytest.fixture
def post(stack: Stack, make_post: MakePost) -> Post:
    """A post with a thread of comments and an open comment form."""
    made = make_post(post_title="Discussed", post_content="text", post_name="discussed")
    stack.insert_comment(made, "approved words", is_approved=True)
    stack.insert_comment(made, "other words", is_approved=True)
    return made


@pytest.fixture
def hidden_private_post(stack: Stack) -> Iterator[None]:
    """Lists without the private post of the seed, which an administrator's list has as one of its own."""
    change = 'global $wpdb; $wpdb->query( $wpdb->prepare( "UPDATE $wpdb->posts SET post_status = %s WHERE'
    change += " post_title = 'Private post'\", $argv[1] ) );"
    stack.php(change, "draft")
    yield
    stack.php(change, "private")


def rules_of(stack: Stack) -> Rules:
    return Rules.of(GateRules(parse_page(stack.url), 8 * 2**20), (), ())


def answer_of(reply: Reply) -> Answer:
    return Answer(reply.status, tuple(reply.headers.items()), reply.body)


def tokens(body: bytes, without: Iterable[str]) -> tuple[list[str], set[str]]:
    """The DOM as tags and texts, and which of the exceptions it had."""
    document = Document(body)
    used = set()
    comments = {item for item in without if item.startswith("<!--")}
    for selector in set(without) - comments - {"wp-container"}:
        for element in document.tree.select(selector):
            used.add(selector)
            if selector.startswith("body."):
                words = (element.attr("class") or "").split()
                element.attrs["class"] = " ".join(word for word in words if word != selector.removeprefix("body."))
            else:
                element.extract()
    parts = (" ".join(part.split()) for part in re.split(r"(<!--.*?-->|<[^>]*>)", document.tree.serialize()))
    found = [part for part in parts if part]
    used |= comments.intersection(found)
    found = [part for part in found if part not in comments]
    if "wp-container" in without:
        found = [unnumbered(part) for part in found]
        used.add("wp-container")
    return found, used


def unnumbered(token: str) -> str:
    """A class without its number; the style without the rules of numbered classes."""
    without_rules = re.sub(r"[^{}]*\.wp-container-\d+[^{}]*\{[^{}]*\}", "", token)
    return re.sub(r"wp-container-\d+", "wp-container", without_rules)


def test_an_administrators_page_after_the_strip_is_a_strangers(
    stack: Stack, theme: str, post: Post, administrator: str, hidden_private_post: None
) -> None:
    paths = {"home": "/", "post": post.path, "page": "/about/", "category": "/category/news/"}
    for kind, path in paths.items():
        strangers = stack.from_origin(path)
        own = stack.from_origin(path, headers={"Cookie": administrator})
        assert b'id="wpadminbar"' in own.body, kind
        left = {**LEFT, **LEFT_BY_THEME.get((theme, kind), {})}
        missing = MISSING_IN_A_COMMENT_FORM if kind == "post" else {}

        stripped = strip(Document(own.body), WORDPRESS_RULES)
        actual, used_left = tokens(stripped.body, left)
        expected, used_missing = tokens(strangers.body, [*missing, *(item for item in left if item.startswith("<!--"))])
        assert actual == expected, kind
        assert used_left == set(left), kind
        assert used_missing >= set(missing), kind
        for personal in (b"wpadminbar", b"/wp-admin/", b"_wpnonce", b"wp-login.php?action=logout"):
            assert (personal in stripped.body) == (personal in strangers.body), kind

        # Nobody relies on that: the gate lets no such page pass, for two reasons.
        answer = answer_of(own)
        assert decide_head(answer, parse_page(stack.url + quote(path)), rules_of(stack).gate).name == "nocache", kind
        verdict = prepare(answer, rules_of(stack)).verdict
        assert (verdict.name, verdict.outcome) == ("logged-in", Outcome.REFUSED), kind
        # A stranger's page passes, and nothing is cut.
        prepared = prepare(answer_of(strangers), rules_of(stack))
        assert (prepared.verdict.name, prepared.cuts, prepared.body) == ("ok", (), strangers.body), kind


def test_a_commenters_page_after_the_strip_is_a_strangers(stack: Stack, theme: str, post: Post) -> None:
    strangers = stack.from_origin(post.path)
    stack.insert_comment(post, "words that await moderation", is_approved=False)
    own = stack.from_origin(post.path, headers={"Cookie": cookies_of_bob(stack)})
    for personal in (b"words that await moderation", b'value="Bob"', b"bob@example.org", b"checked"):
        assert personal in own.body
        assert personal not in strangers.body

    prepared = prepare(answer_of(own), rules_of(stack))
    assert prepared.verdict.name == "ok"
    exceptions = LEFT_FOR_A_COMMENTER[theme]
    actual, used = tokens(prepared.body, exceptions)
    expected, _ = tokens(strangers.body, exceptions)
    assert actual == expected
    assert used == set(exceptions)
    for personal in (b"words that await moderation", b"bob@example.org", b'value="Bob"', b"checked"):
        assert personal not in prepared.body


def cookies_of_bob(stack: Stack) -> str:
    """What wp_set_comment_cookies() gives a browser: the names end in the digest of the site's address."""
    site = hashlib.md5(stack.url.encode()).hexdigest()
    values = {"": "Bob", "_email": "bob@example.org", "_url": "https://bob.example/"}
    return "; ".join(f"comment_author{name}_{site}={quote(value)}" for name, value in values.items())
