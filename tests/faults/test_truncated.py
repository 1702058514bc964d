"""The short run of `truncated`: WordPress's own pages, cut off at some bytes and at all where they seem to end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from faults.truncated import FRAMINGS, QUOTES, RealPage, examine, sample

SINGLE = (Path(__file__).parents[1] / "pages/single.html").read_bytes()
FEED = b"<rss><channel>" + b"<item><title>&lt;/rss&gt;</title></item>" * 99 + b"</channel></rss>\n"
PAGES = {
    "a post": RealPage("/post/", "text/html; charset=UTF-8", SINGLE),
    "a post that quotes the end of a page": RealPage(
        "/post/", "text/html; charset=UTF-8", SINGLE.replace(b"<p>", f"{QUOTES}<p>".encode(), 1)
    ),
    "a feed": RealPage(
        "/feed/",
        "application/rss+xml",
        FEED,
    ),
    "a page of data": RealPage("/wp-json/x", "application/json", b'[{"a": "b"}, [1, 2]]'),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_breaks_off_is_never_published(name: str) -> None:
    page = PAGES[name]
    offsets = sample(page, min(300, page.length - 20), seed=5) if page.length > 40 else list(range(page.length))
    tally = examine(page, offsets)
    assert tally.faults == []
    is_html = page.content_type.startswith("text/html")
    # It is each framing's own reason that keeps the page out.
    verdicts = tally.counts - Counter(pages=1, offsets=len(offsets))
    said = {tuple(name.split(": ")) for name in verdicts}
    assert {verdict for framing, verdict in said if framing in {"length", "chunks"}} == {"incomplete"}
    assert {verdict for framing, verdict in said if framing in {"close", "whole"}} <= {
        "truncated" if is_html else "malformed", "empty"
    }  # fmt: skip
    assert verdicts.total() == 3 * len(offsets)
    assert {framing for framing, _ in said} == {*FRAMINGS, "gate"}


def test_a_page_that_is_not_cut_off_is_a_fault_of_the_run() -> None:
    page = PAGES["a post"]
    tally = examine(page, [page.length + 1], first=FRAMINGS.index("whole") - page.length - 1)
    assert len(tally.faults) == 3
