"""Whose the pages are that stand in a tree. What a site should have there is tested with the keeper."""

from __future__ import annotations

import time
from pathlib import Path

from stage import config_of, site_toml

from staticify.listing import Standing, standing_of
from staticify.nouns import Kind
from staticify.tree import Found
from staticify.urls import MARK, Page, Place

ORIGIN = "http://127.0.0.1:1"


def found(*directories: str) -> Found:
    return Found(Place(directories, MARK), Kind.HTML, 1, 1)


def test_each_page_belongs_to_the_innermost_site_or_to_none(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        site_toml(ORIGIN, url="https://a.example/"),
        site_toml(ORIGIN, url="https://a.example/shop/"),
        site_toml(ORIGIN, url="https://b.example/blog/"),
    )
    outer, inner = found("a.example", "x"), found("a.example", "shop", "x")
    strangers = found("b.example", "x"), found("c.example"), found("c.example", "\udcff"), found("c.example", "x")
    standing = standing_of(config, (outer, inner, *strangers))
    assert standing == Standing(
        {
            "https://a.example/": [(Page("https", "a.example", "/x/"), outer)],
            "https://a.example/shop/": [(Page("https", "a.example", "/shop/x/"), inner)],
        },
        {"b.example": 1, "c.example": 3},
    )
    assert standing.count == 6


def test_a_hundred_sites_begin_soon(tmp_path: Path) -> None:
    """Asked by each site anew, whose 20,000 pages are took 76 s, in which nothing else went on."""
    hosts = [f"s{number}.example" for number in range(100)]
    config = config_of(tmp_path, *(site_toml(ORIGIN, url=f"https://{host}/") for host in hosts))
    pages = [found(host, f"post-{number}") for host in hosts for number in range(200)]
    began_at = time.monotonic()
    assert {url: len(pages) for url, pages in standing_of(config, pages).pages.items()} == {
        f"https://{host}/": 200 for host in hosts
    }
    assert time.monotonic() - began_at < 15
