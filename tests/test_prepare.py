"""An answer is decided upon and stripped, or refused with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from staticify.noise import digest
from staticify.nouns import Answer, Cut, Outcome, Prepared, Verdict
from staticify.prepare import prepare
from staticify.rules import GateRules, Rules
from staticify.urls import parse_page

SINGLE = (Path(__file__).parent / "pages" / "single.html").read_bytes()
RULES = Rules.of(GateRules(parse_page("https://a.example/"), 100_000), (".ad",), ())
OK = Verdict("ok", Outcome.PUBLISHED, "a whole page for everybody")


def answer(body: bytes, content_type: str = "text/html; charset=UTF-8") -> Answer:
    return Answer(200, (("content-type", content_type),), body)


def test_a_page_with_nothing_to_strip_goes_out_as_it_came() -> None:
    assert prepare(answer(SINGLE), RULES) == Prepared(OK, SINGLE, (), digest(SINGLE))


def test_a_page_is_stripped() -> None:
    body = b"<!doctype html><html><body><p class=ad>buy</p><p>read</p></body></html>"
    left = b"<!doctype html><html><body><p>read</p></body></html>"
    assert prepare(answer(body), RULES) == Prepared(OK, left, (Cut(27, 46, ".ad"),), digest(left))


def test_what_is_not_html_is_not_stripped() -> None:
    body = b'<rss version="2.0"><channel><p class="ad">x</p></channel></rss>'
    ok = Verdict("ok", Outcome.PUBLISHED, "a whole rss document")
    assert prepare(answer(body, "application/rss+xml"), RULES) == Prepared(ok, body, (), digest(body))


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (
            b"<!doctype html><html><body><p class=ad>buy<p>read</body></html>",
            Verdict(
                "cannot-strip",
                Outcome.REFUSED,
                "the <p> of rule '.ad' has no end tag, so that its end is not certain",
            ),
        ),
        (
            SINGLE.replace(b'<body class="', b'<body class="logged-in admin-bar '),
            Verdict(
                "logged-in",
                Outcome.REFUSED,
                "rendered for somebody who is logged in: body.logged-in is in the page",
            ),
        ),
        (b"", Verdict("empty", Outcome.REFUSED, "the body is empty")),
        (
            b"x" * 100_001,
            Verdict("too-large", Outcome.REFUSED, "100001 bytes are over max_bytes = 100000"),
        ),
    ],
)
def test_what_may_not_go_out_has_no_body(body: bytes, verdict: Verdict) -> None:
    assert prepare(answer(body), RULES) == Prepared(verdict, b"", (), "")
