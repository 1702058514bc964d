"""What somebody wants rendered anew: which pages that is, and that no other is fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_journal import SECRET, ScriptedJournal
from scripted_origin import ScriptedOrigin, urlset
from stage import until
from test_keeper import Kept, kept

from staticify.orders import Order, carry_out

UPLOADS = "/wp-content/uploads"
PAGES = {
    "/": ("home", "list:post", "post:1", "post:2"),
    "/one/": (f'<img src="{UPLOADS}/2026/11/a.jpg">', "post:1", "term:5"),
    "/two/": (f'<img src="{UPLOADS}/2026/11/a-150x150.jpg">', "post:2"),
    "/raw/": (f'<img src="{UPLOADS}/2026/11/größe.jpg">', "post:3"),
    "/encoded/": (f'<img src="{UPLOADS}/2026/11/gr%C3%B6%C3%9Fe.jpg"> <img src="{UPLOADS}/caf%E9.jpg">', "post:4"),
    "/unlabelled/": (f'<a href="{UPLOADS}/manual.pdf">manual</a>',),
}
Test = Callable[[Kept, ScriptedOrigin], Awaitable[None]]


def ordered(directory: Path, test: Test, **keys: Any) -> None:
    """Run a test when six pages are published, none of which is due within the hour."""

    async def main() -> None:
        async with ScriptedOrigin().running() as origin:
            journal = ScriptedJournal(origin)
            for path, (text, *tags) in PAGES.items():
                journal.page(path, text, *tags)
            settings = {"pages": [*PAGES], "interval": "1h", "secrets": SECRET, **keys}
            async with kept(directory, origin, **settings) as one:
                one.keeper.start()
                await until(lambda: len(one.results) == len(PAGES))
                assert one.paths() == set(PAGES)
                await test(one, origin)

    asyncio.run(main())


def url(path: str) -> str:
    return f"https://example.org{path}"


@pytest.mark.parametrize(
    ("order", "paths"),
    [
        (Order(), []),
        (Order(urls=(url("/one/"),)), ["/one/"]),
        (Order(urls=("/one/", "/two/", url("/one/"))), ["/one/", "/two/"]),
        (Order(urls=(url("/ra%77/#top"),)), ["/raw/"]),
        # Behind a proxy that ends TLS, WordPress may name its own pages by either scheme.
        (Order(urls=("http://example.org/one/",)), ["/one/"]),
        (Order(urls=("https://other.example/one/", "https://example.org:8443/one/")), []),
        (Order(urls=(url("/never-kept/"), url("/one"))), []),
        (Order(urls=("no url", "", "//", url("/one/?page=2"), "/a/../b", "/\ud800", url("/two/"))), ["/two/"]),
        (Order(tags=("post:1",)), ["/", "/one/"]),
        (Order(tags=("term:5", "post:3", "user:9")), ["/one/", "/raw/"]),
        (Order(tags=("user:9",)), []),
        (Order(tags=("site",)), list(PAGES)),
        (Order(tags=("*",)), list(PAGES)),
        (Order(uploads=("2026/11/a.jpg",)), ["/one/"]),
        (Order(uploads=("2026/11/größe.jpg",)), ["/raw/", "/encoded/"]),
        # Its name is no UTF-8: so Python calls the file, and so a page writes its address.
        (Order(uploads=("caf\udce9.jpg",)), ["/encoded/"]),
        (Order(uploads=("manual.pdf", "2026/11/b.jpg")), ["/unlabelled/"]),
        (Order(uploads=("a.jpg", "2025/11/a.jpg")), []),
        (Order(urls=("/two/",), tags=("term:5",), uploads=("manual.pdf",)), ["/one/", "/two/", "/unlabelled/"]),
        (Order(is_everything=True), list(PAGES)),
        (Order(urls=("/two/",), is_everything=True), list(PAGES)),
    ],
    ids=str,
)
def test_an_order_renders_what_it_names_once_and_nothing_else(tmp_path: Path, order: Order, paths: list[str]) -> None:
    async def test(one: Kept, origin: ScriptedOrigin) -> None:
        before = len(origin.requests)
        assert await carry_out(order, one.keeper) == len(paths)
        assert sorted(one.store.due()) == sorted(map(url, paths))
        await until(lambda: not one.store.due())
        assert sorted(origin.paths()[before:]) == sorted(paths)

    ordered(tmp_path, test)


def test_an_order_of_a_site_below_another_path_leaves_the_rest_of_the_host_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin().running() as origin:
            journal = ScriptedJournal(origin)
            journal.page("/blog/", "blog")
            async with kept(tmp_path, origin, url=url("/blog/"), pages=["/blog/"], interval="1h") as one:
                one.keeper.start()
                await until(lambda: len(one.results) == 1)
                assert await carry_out(Order(urls=("/", url("/"), url("/blog"))), one.keeper) == 0
                # A path begins at the root of the host.
                assert await carry_out(Order(urls=("/blog/",)), one.keeper) == 1

    asyncio.run(main())


def test_an_order_for_everything_reads_the_sitemaps_too(tmp_path: Path) -> None:
    async def test(one: Kept, origin: ScriptedOrigin) -> None:
        origin.pages["/map.xml"] = urlset(*PAGES)
        one.keeper.follow(is_following=True)
        for _ in range(3):
            await one.keeper.update_list()
        assert origin.paths().count("/map.xml") == 1
        await carry_out(Order(tags=("site",)), one.keeper)
        await one.keeper.update_list()
        assert origin.paths().count("/map.xml") == 1
        await carry_out(Order(is_everything=True), one.keeper)
        await one.keeper.update_list()
        assert origin.paths().count("/map.xml") == 2

    ordered(tmp_path, test, sitemaps=["/map.xml"])


def test_a_page_that_somebody_took_out_of_the_tree_shows_no_upload_and_comes_back_by_its_url(tmp_path: Path) -> None:
    async def test(one: Kept, origin: ScriptedOrigin) -> None:
        (one.tree.path / "example.org/one/@staticify/index.html").unlink()
        assert await carry_out(Order(uploads=("2026/11/a.jpg",)), one.keeper) == 0
        assert await carry_out(Order(urls=("/one/",)), one.keeper) == 1
        await until(lambda: not one.store.due())
        assert await carry_out(Order(uploads=("2026/11/a.jpg",)), one.keeper) == 1

    ordered(tmp_path, test)
