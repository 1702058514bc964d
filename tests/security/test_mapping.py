"""A short run of mapping.py, and that it would see what must not be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from security.mapping import (
    HOSTS,
    Mapped,
    Sample,
    _entry,
    _write_buckets,
    ask_nginx,
    can_ask,
    collisions,
    fault_of,
    run,
)
from staticify.urls import Page, parse_page

COUNT = 30_000
SEED = int(os.environ.get("STATICIFY_SEED", "20261125"))


def test_every_url_is_refused_or_has_a_place_of_its_own_inside_the_tree() -> None:
    tally = run(COUNT, SEED)
    assert tally.faults == []
    counts = tally.counts
    assert counts["accepted"] + sum(count for name, count in counts.items() if name.startswith("refused")) == COUNT
    assert 0.5 * COUNT < counts["different pages"] <= counts["accepted"] < 0.95 * COUNT
    # Each rule of the mapping has refused something.
    assert {name for name in counts if name.startswith("refused")} == {
        f"refused: {reason}"
        for reason in (
            "has a query string", "holds white space or a control character", "path has a backslash",
            "path has a component over 255 bytes", "path has a control character", "path has a dot segment",
            "path has a percent sign without two hex digits", "path has an empty segment", "path has an encoded slash",
            "path holds @staticify, which staticify keeps for itself", "path is not UTF-8", "path is over 2048 bytes",
        )
    }  # fmt: skip
    if can_ask():
        assert counts["asked of nginx"] >= COUNT / 2000
        assert counts["asked of nginx though refused"] > 0


@pytest.mark.parametrize(("written", "netloc"), HOSTS)
def test_the_table_of_hosts_is_right(written: str, netloc: str) -> None:
    assert parse_page(f"http://{written}/x").netloc == netloc


@pytest.mark.parametrize(
    ("page", "path", "said"),
    [
        (Page("http", "a", "/x/../../y"), b"/x/../../y", "leaves the tree"),
        (Page("http", "a", "/x//y"), b"/x//y", "leaves the tree"),
        (Page("http", "a", "/x"), b"/X", "is another than the URL says"),
        (Page("http", "a", "/x@staticify/y"), b"/x@staticify/y", "holds what no place may hold"),
        (Page("http", "a", f"/{'x' * 256}/"), b"/" + b"x" * 256 + b"/", "has a name that no file system takes"),
        (Page("http", "a", "/x"), b"/x", ""),
    ],
)
def test_a_wrong_place_would_be_seen(page: Page, path: bytes, said: str) -> None:
    assert fault_of(page, "a", path) == said


def test_a_collision_would_be_seen(tmp_path: Path) -> None:
    _write_buckets(tmp_path, {_entry(b"a", b"1"), _entry(b"a", b"2"), _entry(b"b", b"3")})
    _write_buckets(tmp_path, {_entry(b"b", b"3"), _entry(b"c", b"4")})
    assert collisions(tmp_path) == (4, 1)


@pytest.mark.skipif(not can_ask(), reason="only root can start nginx with workers that are another user")
def test_a_page_that_nginx_does_not_find_would_be_seen() -> None:
    page = Page("http", "example.org", "/there/")
    tally = Mapped(
        samples=[Sample(page, "/there/"), Sample(page, "/elsewhere/")],
        refused=[("example.org", "/there/"), ("example.org", "/there//"), ("example.org", "/x/../there/")],
    )
    ask_nginx(tally)
    assert tally.faults == [
        "nginx does not find example.org '/elsewhere/': (503, 'staticify; fwd=uri-miss')",
        "nginx finds example.org '/there/', which has no place: (200, 'staticify; hit')",
    ]
