"""One site kept fresh: what is listed, what is let go of, when each page is due, and how it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from scripted_origin import NAMESPACE, Exchange, ScriptedOrigin, answer, html, urlset
from stage import config_of, files, marks, opened, site_toml, until

from staticify.config import Config
from staticify.discover import Listing, Note
from staticify.keeper import Keeper
from staticify.listing import list_pages, sites_inside
from staticify.losses import ALWAYS
from staticify.nouns import Outcome, Result
from staticify.origin import OriginClient
from staticify.render import UNLISTED
from staticify.store import Store
from staticify.tree import Tree
from staticify.urls import Page, page_of


def ignore(_: object) -> None:
    """What this test does not want to hear."""


PUBLIC = "https://example.org"


def origin_of(*paths: str) -> ScriptedOrigin:
    return ScriptedOrigin(pages={path: html(path) for path in paths})


@dataclass
class Kept:
    """A keeper with everything round it."""

    keeper: Keeper
    tree: Tree
    store: Store
    results: list[Result] = field(default_factory=list)

    def paths(self) -> set[str]:
        """The pages that stand in the tree."""
        return {found.place.path for found in self.tree.scan()}

    def told(self, path: str) -> list[tuple[Outcome, str]]:
        url = f"https://example.org{path}"
        return [(result.outcome, result.verdict) for result in self.results if result.url == url]


@asynccontextmanager
async def kept(directory: Path, origin: ScriptedOrigin, *, group: str = "", **keys: Any) -> AsyncIterator[Kept]:
    config = config_of(directory, site_toml(origin.address, **keys) + group)
    results: list[Result] = []
    with opened(config) as (tree, store, workers):
        keeper = Keeper(config.sites[0], tree, store, workers, on_result=results.append)
        try:
            yield Kept(keeper, tree, store, results)
        finally:
            await keeper.stop()


async def one_pass(directory: Path, origin: ScriptedOrigin, **keys: Any) -> tuple[Listing, Kept]:
    async with kept(directory, origin, **keys) as one:
        return await one.keeper.render_all_once(ignore), one


def marks_of(*names: str) -> set[str]:
    """The files of pages in the tree."""
    return {f"example.org/{name}/@staticify/index.html{suffix}" for name in names for suffix in ("", ".gz", ".br")}


def names(notes: tuple[Note, ...]) -> list[str]:
    return [note.name for note in notes]


# --- What is listed --------------------------------------------------------------------------------------------------


def test_a_pass_renders_the_configured_and_the_listed_pages_once_each(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/", "/a/", "/b/").running() as origin:
            origin.pages["/map.xml"] = urlset("/", "/a/", "/b/", "/a/")
            counts: list[int] = []
            async with kept(tmp_path, origin, pages=["/"], sitemaps=["/map.xml"]) as one:
                listing = await one.keeper.render_all_once(counts.append)
                assert [page.path for page in listing.pages] == ["/", "/a/", "/b/"]
                assert (listing.is_complete, listing.is_cut, listing.notes) == (True, False, ())
                assert counts == [3]
                assert sorted(result.url[19:] for result in one.results) == ["/", "/a/", "/b/"]
                assert one.paths() == {"/", "/a/", "/b/"}
            assert sorted(origin.paths()) == ["/", "/a/", "/b/", "/map.xml"]

    asyncio.run(main())


def test_max_pages_is_kept_and_said_and_leaves_the_list_complete(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/", "/a/", "/b/", "/c/").running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", "/b/", "/c/")
            listing, one = await one_pass(tmp_path, origin, pages=["/"], sitemaps=["/map.xml"], max_pages=3)
            assert [page.path for page in listing.pages] == ["/", "/a/", "/b/"]
            assert (listing.is_complete, listing.is_cut) == (True, True)
            assert [note.message for note in listing.notes] == ["more than max_pages = 3 pages; the rest is left out"]
            assert one.paths() == {"/", "/a/", "/b/"}

    asyncio.run(main())


def test_pages_beyond_max_pages_do_not_go_stale_in_the_tree(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/a/", "/b/", "/c/").running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", "/b/", "/c/")
            await one_pass(tmp_path, origin, sitemaps=["/map.xml"], max_pages=3)
            for expected in ({"/a/", "/b/", "/c/"}, {"/a/", "/b/"}):
                _, one = await one_pass(tmp_path, origin, sitemaps=["/map.xml"], max_pages=2)
                assert one.paths() == expected

    asyncio.run(main())


def test_pages_that_differ_in_case_only_are_not_both_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/about/", "/About/", "/ABOUT/").running() as origin:
            origin.pages["/map.xml"] = urlset("/About/", "/ABOUT/")
            listing, one = await one_pass(tmp_path, origin, pages=["/about/"], sitemaps=["/map.xml"])
            assert one.paths() == {"/about/"}
            (note,) = listing.notes
            about = (
                f"{PUBLIC}/About/ is left out: it differs from {PUBLIC}/about/ in nothing but case or Unicode form, "
            )
            assert (note.where, note.name, note.count, note.message) == (
                "https://example.org/",
                "url-folded",
                2,
                about + "and 1 more like it",
            )
            assert listing.is_complete

    asyncio.run(main())


def test_a_site_leaves_the_pages_of_a_site_inside_it_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of().running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", "/shop/", "/shop/b/", "/shopping/")
            config = config_of(
                tmp_path,
                site_toml(origin.address, sitemaps=["/map.xml"]),
                site_toml(origin.address, url="https://example.org/shop/"),
            )
            outer, inner = config.sites
            assert sites_inside(config, outer) == (inner.base,)
            assert sites_inside(config, inner) == ()
            client = OriginClient(outer)
            listing = await list_pages(client, outer, sites_inside(config, outer))
            await client.aclose()
            assert [page.path for page in listing.pages] == ["/a/", "/shopping/"]

    asyncio.run(main())


# --- What is let go of -----------------------------------------------------------------------------------------------


def test_an_unlisted_page_goes_after_two_complete_lists(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/a/", "/b/").running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", "/b/")
            await one_pass(tmp_path, origin, sitemaps=["/map.xml"])
            origin.pages["/map.xml"] = urlset("/a/")
            _, one = await one_pass(tmp_path, origin, sitemaps=["/map.xml"])
            assert one.told("/b/") == [(Outcome.KEPT, UNLISTED)]
            assert one.paths() == {"/a/", "/b/"}
            _, one = await one_pass(tmp_path, origin, sitemaps=["/map.xml"])
            assert one.told("/b/") == [(Outcome.GONE, UNLISTED)]
            assert one.paths() == {"/a/"}
            _, one = await one_pass(tmp_path, origin, sitemaps=["/map.xml"])
            assert one.told("/b/") == []
            assert one.store.get("https://example.org/b/") is None

    asyncio.run(main())


def test_a_page_that_is_listed_again_starts_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/a/", "/b/").running() as origin:
            for paths in (("/a/", "/b/"), ("/a/",), ("/a/", "/b/"), ("/a/",)):
                origin.pages["/map.xml"] = urlset(*paths)
                _, one = await one_pass(tmp_path, origin, sitemaps=["/map.xml"])
                assert one.paths() == {"/a/", "/b/"}

    asyncio.run(main())


BROKEN = {
    "absent": answer(b"", 404),
    "error": answer(b"", 500),
    "not XML": answer("<urlset", content_type="application/xml"),
    "HTML": answer(html()),
    "empty": answer(f'<urlset xmlns="{NAMESPACE}"/>', content_type="application/xml"),
    "cut short": answer(
        f'<urlset xmlns="{NAMESPACE}"><url><loc>https://example.org/a/</loc></url>', content_type="application/xml"
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_list_that_is_not_complete_removes_nothing(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with origin_of("/", "/a/", "/b/").running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", "/b/")
            await one_pass(tmp_path, origin, pages=["/"], sitemaps=["/map.xml"])
            before = marks(tmp_path / "tree")
            origin.pages["/map.xml"] = BROKEN[name]
            for _ in range(3):
                listing, one = await one_pass(tmp_path, origin, pages=["/"], sitemaps=["/map.xml"])
                assert not listing.is_complete
                assert listing.notes != ()
                # Nobody says that it is the site's still: it stands, and is looked at as well.
                assert one.told("/b/") == [("unchanged", "ok")]
            assert marks(tmp_path / "tree") == before

    asyncio.run(main())


# --- Kept fresh ------------------------------------------------------------------------------------------------------


@pytest.mark.alone
def test_every_page_comes_round_and_none_is_older_than_the_bound(tmp_path: Path) -> None:
    paths = [f"/{number}/" for number in range(40)]

    async def main() -> None:
        async with origin_of(*paths).running() as origin, kept(tmp_path, origin, pages=paths, interval="1s") as one:
            one.keeper.start()
            await until(lambda: len(one.results) >= len(paths))
            oldest_seconds = 0.0
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                oldest = one.keeper.oldest()
                assert oldest is not None
                oldest_seconds = max(oldest_seconds, oldest[1])
                await asyncio.sleep(0.02)
            # The interval and one render; the rest is room for a busy machine.
            assert oldest_seconds < 1.0 + 0.5
            counts = [origin.paths().count(path) for path in paths]
            assert min(counts) >= 2
            assert max(counts) <= 5
            assert len(one.keeper) == 40

    asyncio.run(main())


@pytest.mark.alone
def test_pages_are_spread_over_the_interval(tmp_path: Path) -> None:
    paths = [f"/{number}/" for number in range(20)]

    async def main() -> None:
        async with origin_of(*paths).running() as origin, kept(tmp_path, origin, pages=paths, interval="1s") as one:
            one.keeper.start()
            # After the first pass, which is a burst, each page moves to its place within some intervals.
            await until(lambda: len(one.results) >= 6 * len(paths))
            start = len(one.results)
            times = []
            for count in range(40):
                await until(lambda count=count: len(one.results) > start + count)  # type: ignore[misc]
                times.append(time.monotonic())
            # One burst would be twenty pages in one tenth of the interval; evenly spread there are two.
            assert max(sum(0 <= later - moment < 0.1 for later in times) for moment in times) <= 8

    asyncio.run(main())


def test_what_fails_waits_its_turn_while_others_wait_that_are_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticify.keeper.BEHIND_SECONDS", 0.02)
    well, broken = [f"/{number}/" for number in range(20)], [f"/broken/{number}/" for number in range(4)]

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.05)
        await exchange.send(answer(html(exchange.path), 500 if exchange.path in broken else 200))

    async def main() -> None:
        origin = ScriptedOrigin(pages=dict.fromkeys([*well, *broken], slow))
        # 24 pages of 50 ms do not fit into a second.
        async with (
            origin.running(),
            kept(tmp_path, origin, pages=[*well, *broken], interval="1s", concurrency=1) as one,
        ):
            one.keeper.start()
            await until(lambda: len(one.results) >= 120)
            most_often = [max(map(origin.paths().count, paths)) for paths in (well, broken)]
            assert most_often[1] <= most_often[0], most_often

    asyncio.run(main())


@pytest.mark.parametrize("is_urgent", [True, False])
def test_what_fails_by_chance_while_others_wait_is_not_left_for_a_whole_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_urgent: bool
) -> None:
    monkeypatch.setattr("staticify.keeper.BEHIND_SECONDS", 0.02)
    monkeypatch.setattr("staticify.keeper.BEHIND_BACKOFF_SECONDS", 60.0 if is_urgent else 0.5)
    others = [f"/{number}/" for number in range(20)]

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.05)
        is_first = origin.paths().count(exchange.path) == 1
        await exchange.send(answer(html(exchange.path), 500 if exchange.path == "/" and is_first else 200))

    origin = ScriptedOrigin(pages=dict.fromkeys(["/", *others], slow))

    async def main() -> None:
        async with origin.running(), kept(tmp_path, origin, pages=["/", *others], interval="1h", concurrency=1) as one:
            if not is_urgent:  # What all begin with is long due by time, then.
                monkeypatch.setattr("staticify.queue.URGENT", float("-inf"))
            one.keeper.start()
            await until(lambda: origin.paths().count("/") == 2)
            assert len(one.results) >= len(others)

    asyncio.run(main())


def test_pages_of_a_group_have_their_own_interval(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/", "/slow/").running() as origin:
            group = '[[site.group]]\npages = ["/slow/"]\ninterval = "1h"\n'
            toml = site_toml(origin.address, pages=["/", "/slow/"], interval="1s") + group
            config = config_of(tmp_path, toml)
            with opened(config) as (tree, store, workers):
                keeper = Keeper(config.sites[0], tree, store, workers, on_result=ignore)
                keeper.start()
                await until(lambda: origin.paths().count("/") >= 3)
                assert origin.paths().count("/slow/") == 1
                await keeper.stop()

    asyncio.run(main())


@pytest.mark.parametrize("concurrency", [1, 3])
def test_the_origin_is_never_asked_for_more_than_concurrency(tmp_path: Path, concurrency: int) -> None:
    paths = [f"/{number}/" for number in range(20)]

    async def main() -> None:
        under_way = highest = 0

        async def slow(exchange: Exchange) -> None:
            nonlocal under_way, highest
            under_way += 1
            highest = max(highest, under_way)
            await asyncio.sleep(0.02)
            under_way -= 1
            await exchange.send(answer(html()))

        origin = ScriptedOrigin(pages=dict.fromkeys(paths, slow))
        async with origin.running():
            await one_pass(tmp_path, origin, pages=paths, concurrency=concurrency)
        assert highest == concurrency

    asyncio.run(main())


def test_waiting_for_a_slot_does_not_count_against_the_deadline(tmp_path: Path) -> None:
    paths = [f"/{number}/" for number in range(5)]

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.2)
        await exchange.send(answer(html()))

    async def main() -> None:
        async with ScriptedOrigin(pages=dict.fromkeys(paths, slow)).running() as origin:
            _, one = await one_pass(tmp_path, origin, pages=paths, concurrency=1, deadline="700ms")
            assert [result.outcome for result in one.results] == [Outcome.PUBLISHED] * 5

    asyncio.run(main())


def test_an_unlisted_page_that_is_gone_goes_with_the_first_list(tmp_path: Path) -> None:
    """A trashed post leaves the sitemap and answers 404 at once: its own answer counts, not the second list."""

    async def main() -> None:
        async with origin_of("/a/", "/b/").running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", "/b/")
            async with kept(tmp_path, origin, sitemaps=["/map.xml"], interval="1h") as one:
                one.keeper.start()
                await one.keeper.update_list()
                await until(lambda: one.told("/b/"))
                origin.pages["/map.xml"] = urlset("/a/")
                origin.pages["/b/"] = answer(b"no", 404)
                await one.keeper.update_list()
                await until(lambda: one.told("/b/")[-1] == (Outcome.GONE, "gone"))
                assert one.paths() == {"/a/"}

    asyncio.run(main())


def test_what_is_excluded_goes_although_no_list_can_be_read(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/a/", "/b/").running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", "/b/")
            async with kept(tmp_path, origin, sitemaps=["/map.xml"], interval="1h") as one:
                one.keeper.start()
                await one.keeper.update_list()
                # Not only in the tree: a page that stands there without a record is adopted when a daemon starts.
                await until(lambda: len(one.results) == 2)
                assert one.paths() == {"/a/", "/b/"}
            origin.pages["/map.xml"] = answer(b"", 500)
            async with kept(tmp_path, origin, sitemaps=["/map.xml"], interval="1h", exclude=["/b/*"]) as one:
                one.keeper.start()
                await one.keeper.update_list()
                assert one.paths() == {"/a/"}

    asyncio.run(main())


def test_what_is_excluded_goes_before_a_slow_list_is_read(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/a/", "/b/").running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", "/b/")
            await one_pass(tmp_path, origin, sitemaps=["/map.xml"])
            origin.pages["/map.xml"] = hang
            async with kept(tmp_path, origin, sitemaps=["/map.xml"], interval="1h", exclude=["/b/*"]) as one:
                one.keeper.start()
                listing = asyncio.create_task(one.keeper.update_list())
                await until(lambda: one.paths() == {"/a/"})
                listing.cancel()
                await asyncio.gather(listing, return_exceptions=True)

    asyncio.run(main())


def test_a_single_pass_that_cannot_read_the_list_asks_the_other_pages_before_a_shrunken_home_page_goes_out(
    tmp_path: Path,
) -> None:
    """A table of the database is lost: the sitemap answers 404 and the home page says that there is nothing."""
    paths = [f"/{number}/" for number in range(4 * ALWAYS)]

    async def main() -> None:
        async with origin_of("/", *paths).running() as origin:
            origin.pages["/"] = html("many words about the launch " * 20)
            origin.pages["/map.xml"] = urlset(*paths)
            await one_pass(tmp_path, origin, pages=["/"], sitemaps=["/map.xml"])
            for path in (*paths, "/map.xml"):
                origin.pages[path] = answer(b"", 404)
            origin.pages["/"] = html("Nothing found.")
            for _ in range(5):
                _, one = await one_pass(tmp_path, origin, pages=["/"], sitemaps=["/map.xml"])
                assert one.told("/") == [("kept", "shrunk")]

    asyncio.run(main())


def test_of_many_that_are_listed_no_more_a_few_go_at_a_time(tmp_path: Path) -> None:
    """A plugin that makes the sitemap is switched off, say, and another one lists a page and nothing else."""
    paths = [f"/{number}/" for number in range(20)]

    async def main() -> None:
        async with origin_of("/a/", *paths).running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", *paths)
            async with kept(tmp_path, origin, sitemaps=["/map.xml"], interval="1h") as one:
                one.keeper.start()
                await one.keeper.update_list()
                await until(lambda: len(one.results) == 21)
                origin.pages["/map.xml"] = urlset("/a/")
                for _ in range(3):
                    await one.keeper.update_list()
                assert len(one.paths()) == 21 - ALWAYS
                # Those that are left are kept as fresh as ever.
                origin.pages["/map.xml"] = urlset("/a/", *paths)
                await one.keeper.update_list()
                await until(lambda: one.paths() == {"/a/", *paths})

    asyncio.run(main())


def test_who_purges_all_means_every_page_as_long_as_the_home_page_is_well(tmp_path: Path) -> None:
    """Whoever purges all after an upgrade does not know yet that it broke the site."""
    paths = [f"/{number}/" for number in range(3 * ALWAYS)]

    async def main() -> None:
        async with (
            origin_of("/", *paths).running() as origin,
            kept(tmp_path, origin, pages=["/", *paths], interval="1h") as one,
        ):

            async def purge_all() -> None:
                seen = len(one.results)
                assert one.keeper.purge_everything(is_meant=True) == 1 + len(paths)
                await until(lambda: len(one.results) >= seen + 1 + len(paths))

            home = origin.pages["/"] = html("many words about the launch " * 20)
            one.keeper.start()
            await until(lambda: len(one.results) == 1 + len(paths))
            for path in ("/", *paths[:-1]):
                origin.pages[path] = answer(b"", 404)
            await purge_all()
            assert one.paths() == {"/", *paths}
            origin.pages["/"] = home
            await purge_all()
            await until(lambda: one.paths() == {"/", paths[-1]})
            # That it says "nothing found" nobody means who does not name it.
            await until(lambda: one.keeper.pending == 0)
            origin.pages["/"], before = html("Nothing found."), files(tmp_path / "tree")
            origin.pages[paths[-1]] = answer(b"", 404)
            await purge_all()
            assert files(tmp_path / "tree") == before
            # The home page goes where it is named.
            origin.pages["/"] = origin.pages[paths[-1]] = answer(b"", 404)
            await purge_all()
            assert one.paths() == {"/", paths[-1]}
            one.keeper.purge([page_of(one.keeper.site.base, "/")], is_meant=True)
            await until(lambda: one.paths() == {paths[-1]})
            one.keeper.purge_everything(is_meant=True)
            await until(lambda: one.paths() == set())

    asyncio.run(main())


def test_an_unlisted_page_is_refreshed_until_it_goes(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/a/", "/b/").running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", "/b/")
            async with kept(tmp_path, origin, sitemaps=["/map.xml"], interval="1s") as one:
                one.keeper.start()
                await one.keeper.update_list()
                await until(lambda: one.told("/b/"))
                origin.pages["/map.xml"] = urlset("/a/")
                await one.keeper.update_list()
                asked = origin.paths().count("/b/")
                origin.pages["/b/"] = html("news")
                await until(lambda: origin.paths().count("/b/") >= asked + 3)
                assert b"news" in files(tmp_path / "tree")["example.org/b/@staticify/index.html"]
                # Its answers are good: a first failure after them is the first.
                assert {result.record.failures for result in one.results if result.verdict == UNLISTED} == {0}

    asyncio.run(main())


def test_what_was_being_fetched_when_its_page_was_let_go_of_is_not_published(tmp_path: Path) -> None:
    """Nobody would refresh it, and nobody would take it away."""

    async def main() -> None:
        is_held = asyncio.Event()

        async def held(exchange: Exchange) -> None:
            await is_held.wait()
            await exchange.send(answer(html("too late")))

        async with origin_of("/a/", "/b/").running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", "/b/")
            async with kept(tmp_path, origin, sitemaps=["/map.xml"], interval="60s") as one:
                one.keeper.start()
                await one.keeper.update_list()
                await until(lambda: one.told("/a/") and one.told("/b/"))
                origin.pages["/map.xml"] = urlset("/a/")
                origin.pages["/b/"] = held
                asked = origin.paths().count("/b/")
                await one.keeper.update_list()
                await until(lambda: origin.paths().count("/b/") > asked)
                await one.keeper.update_list()
                assert one.paths() == {"/a/"}
                told = len(one.told("/b/"))
                is_held.set()
                await until(lambda: len(one.told("/b/")) > told)
                assert one.paths() == {"/a/"}

    asyncio.run(main())


def test_what_stands_in_the_tree_is_refreshed_from_the_start_though_the_sitemap_is_broken(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/a/", "/b/").running() as origin:
            origin.pages["/map.xml"] = urlset("/a/", "/b/")
            await one_pass(tmp_path, origin, sitemaps=["/map.xml"])
            origin.pages["/map.xml"] = answer(b"", 500)
            origin.requests.clear()
            async with kept(tmp_path, origin, sitemaps=["/map.xml"], exclude=["/a/"]) as one:
                one.keeper.start()
                await one.keeper.update_list()
                await until(lambda: one.told("/b/"))
            assert origin.paths().count("/a/") == 0

    asyncio.run(main())


def test_of_two_spellings_the_one_in_the_tree_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/about/", "/ABOUT/").running() as origin:
            origin.pages["/map.xml"] = urlset("/about/")
            await one_pass(tmp_path, origin, sitemaps=["/map.xml"])
            origin.pages["/map.xml"] = urlset("/ABOUT/", "/about/")
            for _ in range(2):
                listing, one = await one_pass(tmp_path, origin, sitemaps=["/map.xml"])
                assert names(listing.notes) == ["url-folded"]
                assert one.told("/about/") == [(Outcome.UNCHANGED, "ok")]
                assert set(files(tmp_path / "tree")) == marks_of("about")

    asyncio.run(main())


def test_a_new_page_begins_and_an_unlisted_one_ends_with_the_list(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/a/", "/b/").running() as origin:
            origin.pages["/map.xml"] = urlset("/a/")
            async with kept(tmp_path, origin, sitemaps=["/map.xml"], interval="1s") as one:
                one.keeper.start()
                await one.keeper.update_list()
                await until(lambda: one.told("/a/"))
                origin.pages["/map.xml"] = urlset("/b/")
                await one.keeper.update_list()
                await until(lambda: one.told("/b/"))
                assert one.paths() == {"/a/", "/b/"}
                await one.keeper.update_list()
                assert one.paths() == {"/b/"}
                asked = origin.paths().count("/a/")
                await until(lambda: origin.paths().count("/b/") >= 3)
                assert origin.paths().count("/a/") == asked

    asyncio.run(main())


def test_incomplete_lists_together_do_not_go_over_max_pages(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            origin_of().running() as origin,
            kept(tmp_path, origin, sitemaps=["/map.xml", "/absent.xml"], max_pages=5) as one,
        ):
            one.keeper.start()
            for start in range(0, 20, 4):
                origin.pages["/map.xml"] = urlset(*(f"/{number}/" for number in range(start, start + 4)))
                await one.keeper.update_list()
                assert len(one.keeper) <= 5

    asyncio.run(main())


def test_a_page_that_the_tree_does_not_hold_is_never_old(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            origin_of("/").running() as origin,
            kept(tmp_path, origin, pages=["/", "/absent/"], interval="1s") as one,
        ):
            one.keeper.start()
            await until(lambda: len(one.results) >= 6)
            oldest = one.keeper.oldest()
            assert oldest is not None
            assert oldest[1] < 1.5
            origin.pages["/"] = answer(b"", 500)
            await until(lambda: (one.keeper.oldest() or (None, 0.0))[1] > 1.5)
            page, _ = one.keeper.oldest() or (None, 0.0)
            assert page == page_of(one.keeper.site.base, "/")

    asyncio.run(main())


def test_the_alarm_names_the_page_that_is_beyond_its_own_bound_not_the_oldest(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            origin_of("/slow/", "/fast/").running() as origin,
            kept(
                tmp_path,
                origin,
                pages=["/slow/", "/fast/"],
                interval="1h",
                deadline="500ms",
                group='[[site.group]]\npages = ["/fast/"]\ninterval = "1s"\n',
            ) as one,
        ):
            one.keeper.start()
            await until(lambda: one.told("/slow/") and one.told("/fast/"))
            assert one.keeper.latest() is None
            origin.pages["/fast/"] = answer(b"", 500)
            await until(lambda: one.keeper.latest() is not None)
            page, age_seconds = one.keeper.latest() or (None, 0.0)
            assert page == page_of(one.keeper.site.base, "/fast/")
            assert age_seconds > 1.5
            oldest = one.keeper.oldest()
            assert oldest is not None
            assert oldest[1] >= age_seconds

    asyncio.run(main())


def test_what_goes_wrong_with_one_page_reaches_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of our own, which no answer of an origin should be able to cause: so one is made."""

    async def main() -> None:
        async with (
            origin_of("/a/", "/b/").running() as origin,
            kept(tmp_path, origin, pages=["/a/", "/b/"], interval="1s") as one,
        ):
            render = one.keeper._renderer.render

            async def defective(page: object, **how: object) -> Result:
                if getattr(page, "path", "") == "/a/":
                    raise ZeroDivisionError("by zero")
                return await render(page, **how)  # type: ignore[arg-type]

            monkeypatch.setattr(one.keeper._renderer, "render", defective)
            one.keeper.start()
            await until(lambda: len(one.told("/a/")) >= 2 and len(one.told("/b/")) >= 2)
            assert set(one.told("/a/")) == {(Outcome.KEPT, "internal-error")}
            assert one.paths() == {"/b/"}
        assert {record.message for record in caplog.records if record.levelname == "ERROR"} == {"a journey failed"}

    asyncio.run(main())


# --- The end ---------------------------------------------------------------------------------------------------------


async def hang(exchange: Exchange) -> None:
    await asyncio.sleep(60)


def test_journeys_under_way_may_end_and_no_new_one_begins(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await release.wait()
        await exchange.send(answer(html("slow")))

    async def main() -> None:
        origin = ScriptedOrigin(pages={"/a/": slow, "/b/": html()})
        async with origin.running(), kept(tmp_path, origin, pages=["/a/", "/b/"], concurrency=1) as one:
            one.keeper.start()
            await until(lambda: origin.paths() == ["/a/"])
            stopping = asyncio.create_task(one.keeper.stop(5.0))
            await asyncio.sleep(0.05)
            release.set()
            await stopping
            assert one.told("/a/") == [(Outcome.PUBLISHED, "ok")]
            assert "/a/" in one.paths()

    asyncio.run(main())


@pytest.mark.alone
def test_a_hanging_journey_is_cancelled_after_the_drain(tmp_path: Path) -> None:
    async def main() -> None:
        origin = ScriptedOrigin(pages={"/": hang, "/map.xml": hang})
        async with origin.running(), kept(tmp_path, origin, pages=["/"], sitemaps=["/map.xml"]) as one:
            one.keeper.start()
            listing = asyncio.create_task(one.keeper.update_list())
            await until(lambda: sorted(origin.paths()) == ["/", "/map.xml"])
            started = time.monotonic()
            await one.keeper.stop(0.2)
            assert time.monotonic() - started < 1
            await asyncio.wait_for(listing, 1)
            assert one.results == []
            # Stopped is stopped: a job that comes late opens no connection.
            await one.keeper.update_list()
            assert len(origin.paths()) == 2

    asyncio.run(main())


@pytest.mark.parametrize("way", ["render_once", "render_all_once", "update_list", "stop"])
def test_a_cancelled_keeper_leaves_nothing_behind(tmp_path: Path, way: str) -> None:
    """Unclosed sessions and lost tasks are warnings, and warnings are errors here."""

    async def main() -> None:
        origin = ScriptedOrigin(pages={"/": hang, "/map.xml": hang})
        async with origin.running(), kept(tmp_path, origin, pages=["/"], sitemaps=["/map.xml"], deadline="3s") as one:
            keeper = one.keeper
            ways: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
                "render_once": lambda: keeper.render_once(keeper.site.pages, ignore),
                "render_all_once": lambda: keeper.render_all_once(ignore),
                "update_list": keeper.update_list,
                "stop": lambda: keeper.stop(60),
            }
            if way == "stop":
                keeper.start()
                await until(lambda: bool(origin.requests))
            task = asyncio.create_task(ways[way]())
            await until(lambda: bool(origin.requests))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        others = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
        assert others == set()

    asyncio.run(main())


def test_a_queue_that_dies_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with origin_of("/").running() as origin, kept(tmp_path, origin, pages=["/"], interval="1s") as one:
            running = one.keeper.start()
            await until(lambda: bool(one.results))
            monkeypatch.setattr(one.keeper._queue, "_seconds_to_first", lambda now: now / 0)
            await asyncio.wait([running], timeout=5)
            assert isinstance(running.exception(), ZeroDivisionError)

    asyncio.run(main())


def test_adopting_makes_records_of_pages_that_the_store_does_not_know(tmp_path: Path) -> None:
    async def main() -> None:
        async with origin_of("/a/", "/b/").running() as origin:
            await one_pass(tmp_path, origin, pages=["/a/", "/b/"])
            before = files(tmp_path / "tree")
            async with kept(tmp_path, origin, pages=["/a/", "/b/"]) as one:
                one.store.forget(["https://example.org/b/"])
                standing = [(page_of(one.keeper.site.base, found.place.path), found) for found in one.tree.scan()]
                assert one.keeper.adopt(standing) == 1
                record = one.store.get("https://example.org/b/")
                assert record is not None
                assert (record.is_published, record.verified_at) == (True, 0.0)
            assert files(tmp_path / "tree") == before

    asyncio.run(main())


def test_configured_sites_are_hashable_by_value(tmp_path: Path) -> None:
    one: Config = config_of(tmp_path, site_toml("http://127.0.0.1:1"))
    other: Config = config_of(tmp_path, site_toml("http://127.0.0.1:1"))
    assert one.sites[0] == other.sites[0]
    assert len({one.sites[0], other.sites[0]}) == 1


def test_a_queue_that_dies_takes_its_journeys_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        origin = ScriptedOrigin(pages={"/": hang})
        async with origin.running(), kept(tmp_path, origin, pages=["/"], interval="1s") as one:
            running = one.keeper.start()
            await until(lambda: bool(origin.requests))
            monkeypatch.setattr(one.keeper._queue, "_seconds_to_first", lambda now: now / 0)
            one.keeper._queue._changed.set()
            await asyncio.wait([running], timeout=5)
            journeys = [task for task in asyncio.all_tasks() if task.get_name() == "https://example.org/"]
            for task in journeys:
                task.cancel()
            await asyncio.gather(*journeys, return_exceptions=True)
            assert journeys == []

    asyncio.run(main())


def test_after_a_pause_those_that_fail_anyway_are_not_every_probe(tmp_path: Path) -> None:
    """First what somebody waits for; else each a moment of its own, within one interval of the site's."""
    paths = ["/edited/", "/broken/", "/rare/"]

    async def main() -> None:
        origin = origin_of("/edited/", "/rare/")
        origin.pages["/broken/"] = answer(b"", 500)
        async with origin.running() as running:
            group = '[[site.group]]\npages = ["/rare/"]\ninterval = "24h"\n'
            async with kept(tmp_path, running, pages=paths, interval="60s", group=group) as one:
                one.keeper.start()
                await until(lambda: all(map(one.told, paths)))
                edited, broken, rare = (page_of(one.keeper.site.base, path) for path in paths)
                one.keeper.purge([edited, broken])
                now = asyncio.get_running_loop().time()

                def latest(page: Page) -> float:
                    return max(one.keeper._after_pause(page) - now for _ in range(200))

                assert latest(edited) < 2
                assert 30 < latest(broken) < 62
                assert 30 < latest(rare) < 62

    asyncio.run(main())


def test_where_all_pages_of_a_large_site_begin_to_fail_each_is_not_soon_asked_for_again(tmp_path: Path) -> None:
    paths = [f"/{number}/" for number in range(40)]

    async def main() -> None:
        origin = origin_of("/", *paths)
        async with origin.running() as running, kept(tmp_path, running, pages=["/", *paths], interval="60s") as one:
            one.keeper.start()
            await until(lambda: all(map(one.told, ["/", *paths])))
            for path in paths:
                origin.pages[path] = answer(b"", 502)
            asked = len(origin.requests)
            one.keeper.purge(page_of(one.keeper.site.base, path) for path in paths)
            await asyncio.sleep(2.5)
            # Those that failed before it was clear that nothing is well are asked for again at once.
            assert 40 <= len(origin.requests) - asked < 70

    asyncio.run(main())
