"""What `status` and `explain` know: the state of each page out of tree and store, in either mode."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_journal import SECRET, ScriptedJournal
from scripted_origin import Exchange, ScriptedOrigin, answer
from stage import Stage, config_of, site_toml, staged, write_config

from staticify import config as configuration
from staticify.errors import StaticifyError
from staticify.nouns import Mode, OriginState, SiteState
from staticify.overview import (
    PageStatus,
    SiteStatus,
    explain_page,
    overload_of,
    overview,
    problems_of,
    unwritten_seconds,
)
from staticify.store import Store

SITE = "https://example.org/"
THEN = 1_700_000_000.0
"""When everything was rendered."""
INTERVAL, BOUND = 60.0, 80.0
"""The bound is interval and deadline, as a configuration that says nothing has them."""
PATHS = ("/", "/a/", "/b/")
Test = Callable[["Seen"], Awaitable[None]]


class Seen:
    """A stage, and what other processes see of it."""

    def __init__(self, directory: Path, stage: Stage, origin: ScriptedOrigin) -> None:
        self.directory = directory
        self.stage = stage
        self.origin = origin

    def overview(self, now: float) -> tuple[dict[str, PageStatus], SiteStatus]:
        """Every page by its path, and the site."""
        self.stage.store.flush()
        pages, (site,) = overview(configuration.load(self.directory / "staticify.toml"), now)
        return {page.url.removeprefix("https://example.org"): page for page in pages}, site

    def states(self, now: float) -> dict[str, tuple[str, float | None]]:
        """State and age of every page."""
        return {path: (page.state, page.age_seconds) for path, page in self.overview(now)[0].items()}

    def remember(self, **state: Any) -> None:
        self.stage.store.put_site(SiteState(SITE, **state))


@asynccontextmanager
async def running(directory: Path, **keys: Any) -> AsyncIterator[Seen]:
    async with ScriptedOrigin().running() as origin:
        journal = ScriptedJournal(origin)
        for number, path in enumerate(PATHS):
            journal.page(path, path, f"post:{number}")
        settings = {"pages": [*PATHS], "secrets": SECRET, **keys}
        async with staged(directory, origin.address, clock=THEN, **settings) as stage:
            for path in PATHS:
                await stage.render(path)
            yield Seen(directory, stage, origin)


def seen(directory: Path, test: Test, **keys: Any) -> None:
    """Run a test when three labelled pages are published."""

    async def main() -> None:
        async with running(directory, **keys) as one:
            await test(one)

    asyncio.run(main())


# --- What the tree has -----------------------------------------------------------------------------------------------


def test_every_value_of_a_page_and_of_a_site(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        pages, site = one.overview(THEN + 10.04)
        record = one.stage.store.get(SITE)
        assert record is not None
        assert pages["/"] == PageStatus(
            url=SITE,
            site=SITE,
            state="fresh",
            age_seconds=10.0,
            changed_at=THEN,
            size_bytes=len((one.stage.leaf() / "index.html").read_bytes()),
            render_seconds=round(record.render_seconds, 4),
            outcome="published",
            verdict="ok",
            reason="a whole page for everybody",
            failures=0,
        )
        assert site == SiteStatus(
            url=SITE,
            mode=Mode.BLIND,
            reason="",
            missed=0,
            fresh=3,
            stale=0,
            absent=0,
            oldest_seconds=10.0,
            asked_at=THEN,
            origin=None,
        )

    seen(tmp_path, test)


def test_a_page_that_was_never_rendered_is_absent(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        pages, site = one.overview(THEN)
        assert pages["/new/"] == PageStatus(
            url="https://example.org/new/",
            site=SITE,
            state="absent",
            age_seconds=None,
            changed_at=None,
            size_bytes=0,
            render_seconds=0.0,
            outcome="",
            verdict="",
            reason="",
            failures=0,
        )
        assert pages["/new/"].is_good
        assert (site.fresh, site.stale, site.absent) == (3, 0, 1)

    seen(tmp_path, test, pages=[*PATHS, "/new/"])


def remove(leaf: Path) -> None:
    for file in leaf.iterdir():
        file.unlink()


def remove_a_variant(leaf: Path) -> None:
    (leaf / "index.html.br").unlink()


def overwrite(leaf: Path) -> None:
    (leaf / "index.html").write_text("somebody's")


def touch(leaf: Path) -> None:
    os.utime(leaf / "index.html.gz", (THEN + 1, THEN + 1))


@pytest.mark.parametrize(
    ("by_hand", "state"), [(remove, "absent"), (remove_a_variant, "stale"), (overwrite, "stale"), (touch, "stale")]
)
def test_a_page_that_another_hand_was_on_is_not_what_was_published(
    tmp_path: Path, by_hand: Callable[[Path], None], state: str
) -> None:
    async def test(one: Seen) -> None:
        by_hand(one.stage.leaf("/a/"))
        assert one.states(THEN + 5) == {"/": ("fresh", 5.0), "/a/": (state, None), "/b/": ("fresh", 5.0)}
        # Nor does a journal that names no change of it make it one.
        one.remember(mode=Mode.JOURNAL, polled_at=THEN + 5)
        assert one.states(THEN + 5)["/a/"] == (state, None)

    seen(tmp_path, test)


def test_a_page_that_the_state_does_not_know_is_as_old_as_it_was_written(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        for path, seconds in (("/a/", 30), ("/b/", 300)):
            one.stage.store.forget([f"https://example.org{path}"])
            for file in one.stage.leaf(path).iterdir():
                os.utime(file, (THEN - seconds, THEN - seconds))
        # It is in the tree, whether the configuration lists it or a sitemap.
        assert one.states(THEN) == {"/": ("fresh", 0.0), "/a/": ("fresh", 30.0), "/b/": ("stale", 300.0)}
        page = one.overview(THEN)[0]["/b/"]
        size_bytes = (one.stage.leaf("/b/") / "index.html").stat().st_size
        assert (page.size_bytes, page.outcome, page.verdict) == (size_bytes, "", "")
        assert one.overview(THEN)[1].stale == 1

    seen(tmp_path, test, pages=["/", "/b/"])


def test_a_page_that_is_published_and_not_yet_in_the_state_is_fresh(tmp_path: Path) -> None:
    """The daemon writes its state once a second."""

    async def test(one: Seen) -> None:
        soon = int(time.time()) + 100
        for file in one.stage.leaf("/a/").iterdir():
            os.utime(file, (soon, soon))
        assert one.states(soon + 1.0)["/a/"] == ("fresh", 1.0)

    seen(tmp_path, test)


def test_a_tree_that_is_put_aside_has_no_pages(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        (tmp_path / "tree").rename(tmp_path / "aside")
        assert one.states(THEN) == dict.fromkeys(PATHS, ("absent", None))

    seen(tmp_path, test)


def test_a_page_that_went_is_absent_and_one_that_fails_is_as_old_as_it_is(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        one.origin.pages |= {"/a/": answer(b"", 404), "/b/": answer(b"", 500)}
        one.stage.seconds = THEN + 60
        for path in PATHS:
            await one.stage.render(path)
        assert one.states(THEN + 70) == {"/": ("fresh", 10.0), "/a/": ("absent", None), "/b/": ("fresh", 70.0)}
        pages, site = one.overview(THEN + 90)
        assert {path: (page.state, page.outcome, page.failures) for path, page in pages.items()} == {
            "/": ("fresh", "unchanged", 0),
            "/a/": ("absent", "gone", 0),
            "/b/": ("stale", "kept", 1),
        }
        assert (site.fresh, site.stale, site.absent, site.oldest_seconds) == (1, 1, 1, 90.0)

    seen(tmp_path, test)


def test_what_went_as_wordpress_says_is_no_problem(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        one.origin.pages |= {"/a/": answer(b"", 404), "/b/": answer(b"", 404)}
        await one.stage.render("/a/")
        await one.stage.render("/b/")
        for path, verdict in (("/a/", "gone"), ("/a/", "personal"), ("/a/", "forbidden")):
            record = one.stage.store.get(f"https://example.org{path}")
            assert record is not None
            one.stage.store.put(replace(record, verdict=verdict))
            pages = one.overview(THEN)[0].values()
            problems = problems_of(configuration.load(tmp_path / "staticify.toml"), pages)
            named = ["https://example.org/a/"] * (verdict != "gone")
            # That one is listed.
            assert [page.url for page in problems] == [*named, "https://example.org/b/"]

    seen(tmp_path, test, pages=["/", "/b/"])


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-5.0, ("fresh", 0.0)), (0.0, ("fresh", 0.0)), (BOUND, ("fresh", BOUND)), (BOUND + 0.1, ("stale", BOUND + 0.1))],
)
def test_a_page_is_fresh_up_to_its_interval_and_one_render(
    tmp_path: Path, seconds: float, expected: tuple[str, float]
) -> None:
    async def test(one: Seen) -> None:
        assert set(one.states(THEN + seconds).values()) == {expected}

    seen(tmp_path, test)


# --- What the journal says -------------------------------------------------------------------------------------------


def test_while_the_journal_answers_the_pages_that_it_follows_are_as_young_as_its_answer(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        one.remember(mode=Mode.JOURNAL, polled_at=THEN + 1000, missed=2)
        assert one.states(THEN + 1010) == dict.fromkeys(PATHS, ("fresh", 10.0))
        _, site = one.overview(THEN + 1010)
        assert site == SiteStatus(
            url=SITE,
            mode=Mode.JOURNAL,
            reason="",
            missed=2,
            fresh=3,
            stale=0,
            absent=0,
            oldest_seconds=10.0,
            asked_at=THEN + 1000,
            origin=None,
        )
        # Nobody asks any more: the daemon is dead.
        assert one.states(THEN + 1000 + BOUND + 1) == dict.fromkeys(PATHS, ("stale", BOUND + 1))

    seen(tmp_path, test)


def test_a_fetch_after_the_last_question_counts_more(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        one.remember(mode=Mode.JOURNAL, polled_at=THEN - 1000)
        assert set(one.states(THEN + 10).values()) == {("fresh", 10.0)}

    seen(tmp_path, test)


async def hang_up(exchange: Exchange) -> None:
    exchange.writer.close()


def test_the_journal_speaks_for_no_page_that_is_due_unlabelled_or_was_not_good(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        store = one.stage.store
        store.set_due("https://example.org/")
        record = store.get("https://example.org/a/")
        assert record is not None
        store.put(replace(record, tags=()))
        # No answer at all: its label is still that of the page in the tree.
        one.origin.pages["/b/"] = hang_up
        result = await one.stage.render("/b/")
        assert (result.verdict, result.record.tags) == ("unreachable", ("site", "post:2"))
        one.remember(mode=Mode.JOURNAL, polled_at=THEN + 1000)
        assert one.states(THEN + 1010) == dict.fromkeys(PATHS, ("stale", 1010.0))
        store.clear_due("https://example.org/", store.due_mark("https://example.org/"))
        assert one.states(THEN + 1010)["/"] == ("fresh", 10.0)

    seen(tmp_path, test)


def test_a_journal_that_is_lost_spoke_for_the_time_until_then(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        one.remember(mode=Mode.BLIND, reason="the journal answers 404", polled_at=THEN + 1000, missed=1)
        assert one.states(THEN + 1010) == dict.fromkeys(PATHS, ("fresh", 10.0))
        pages, site = one.overview(THEN + 1000 + BOUND + 1)
        assert {page.state for page in pages.values()} == {"stale"}
        assert (site.mode, site.reason, site.missed, site.oldest_seconds) == (
            Mode.BLIND,
            "the journal answers 404",
            1,
            BOUND + 1,
        )

    seen(tmp_path, test)


@pytest.mark.parametrize("mode", Mode)
def test_what_the_journal_confirmed_is_no_older_for_a_fetch_that_fails_after_it(tmp_path: Path, mode: Mode) -> None:
    async def test(one: Seen) -> None:
        one.remember(mode=mode, polled_at=THEN + 1000)
        one.origin.pages |= {"/a/": answer(b"", 502), "/b/": hang_up}
        one.stage.seconds = THEN + 1005
        for _ in range(2):
            await one.stage.render("/a/")
            await one.stage.render("/b/")
        assert one.states(THEN + 1010) == dict.fromkeys(PATHS, ("fresh", 10.0))
        # What the journal confirms later is not known to be true of them.
        one.remember(mode=mode, polled_at=THEN + 1020)
        assert one.states(THEN + 1030) == {"/": ("fresh", 10.0), "/a/": ("fresh", 30.0), "/b/": ("fresh", 30.0)}

    seen(tmp_path, test)


def test_a_site_without_a_secret_is_blind_whatever_its_journal_said_last(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        one.remember(mode=Mode.JOURNAL, polled_at=THEN + 1000, missed=2)
        write_config(tmp_path, site_toml(one.origin.address, pages=[*PATHS]))
        _, site = one.overview(THEN + 1010)
        assert site == SiteStatus(
            url=SITE,
            mode=Mode.BLIND,
            reason="",
            missed=0,
            fresh=3,
            stale=0,
            absent=0,
            oldest_seconds=10.0,
            asked_at=THEN + 1000,
            origin=None,
        )

    seen(tmp_path, test)


def test_each_site_has_its_own_journal(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        one.remember(mode=Mode.JOURNAL, polled_at=THEN + 1000)
        inner = site_toml(one.origin.address, url="https://example.org/blog/", pages=["/blog/"], secrets=SECRET)
        write_config(tmp_path, site_toml(one.origin.address, pages=[*PATHS], secrets=SECRET), inner)
        one.stage.store.flush()
        _, sites = overview(configuration.load(tmp_path / "staticify.toml"), THEN + 1010)
        assert [(site.url, site.mode, site.fresh, site.absent, site.oldest_seconds) for site in sites] == [
            (SITE, Mode.JOURNAL, 3, 0, 10.0),
            ("https://example.org/blog/", Mode.BLIND, 0, 1, None),
        ]

    seen(tmp_path, test)


# --- One page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more_settings", "paused_until", "bound"),
    [
        ("", 0.0, BOUND),
        ('deadline = "5s"\n', 0.0, 65.0),
        # A page of the longest interval is the only one, say.
        ('[[site.group]]\npages = ["/a/"]\ninterval = "1h"\n', 0.0, 3620.0),
        # WordPress said when it may be asked again.
        ("", 600.0, 680.0),
        ("", -600.0, BOUND),
    ],
)
def test_a_state_that_a_daemon_would_have_written_is_said_to_be_old(
    tmp_path: Path, more_settings: str, paused_until: float, bound: float
) -> None:
    async def test(one: Seen) -> None:
        one.stage.store.put_origin(SITE, OriginState(limit=1, most=4, failures=8, paused_until=THEN + paused_until))
        with (tmp_path / "staticify.toml").open("a") as file:
            file.write(more_settings)
        config = configuration.load(tmp_path / "staticify.toml")
        _, site = one.overview(THEN)
        ages = [unwritten_seconds(config, [site], THEN, THEN + bound + more) for more in (0.0, 1.0)]
        assert ages == [None, bound + 1]

    seen(tmp_path, test)


@pytest.mark.parametrize(
    ("seconds", "changed", "overload"),
    [
        (100.0, {}, 2.5),
        (39.0, {}, 0.0),
        (100.0, {"stale": 0}, 0.0),
        # It is asked for what changed alone, or for nothing.
        (100.0, {"mode": Mode.JOURNAL}, 0.0),
        (100.0, {"origin": OriginState(limit=1, most=2, failures=8, paused_until=THEN)}, 0.0),
    ],
)
def test_pages_that_do_not_fit_into_their_interval_are_why_some_are_stale(
    tmp_path: Path, seconds: float, changed: dict[str, Any], overload: float
) -> None:
    async def test(one: Seen) -> None:
        for path in PATHS:
            record = one.stage.store.get(one.stage.page(path).url)
            assert record is not None
            one.stage.store.put(replace(record, render_seconds=seconds))
        pages, site = one.overview(THEN + 100)
        assert site.stale == len(PATHS)
        config = configuration.load(tmp_path / "staticify.toml")
        assert overload_of(config, replace(site, **changed), pages.values()) == overload

    seen(tmp_path, test, concurrency=2)


def test_a_site_without_a_page_has_nothing_that_could_be_written(tmp_path: Path) -> None:
    config = config_of(tmp_path, site_toml("http://127.0.0.1:1", sitemaps=["/wp-sitemap.xml"]))
    Store.open_for_writing(config.state_path).close()
    _, (site,) = overview(config, THEN)
    asked = [site, replace(site, mode=Mode.JOURNAL), replace(site, absent=1)]
    assert [unwritten_seconds(config, [one], THEN, THEN + 1000) for one in asked] == [None, 1000, 1000]


def test_an_explanation_says_what_the_overview_says(tmp_path: Path) -> None:
    async def test(one: Seen) -> None:
        one.remember(mode=Mode.JOURNAL, polled_at=THEN + 1000)
        remove(one.stage.leaf("/a/"))
        pages, _ = one.overview(THEN + 1010)
        config = configuration.load(tmp_path / "staticify.toml")
        for path in PATHS:
            explanation = explain_page(config, one.stage.page(path), THEN + 1010)
            assert explanation.status == pages[path]
            assert explanation.record == one.stage.store.get(pages[path].url)
            assert explanation.file == one.stage.leaf(path) / "index.html"
            assert explanation.is_in_tree == (path != "/a/")
        with pytest.raises(StaticifyError, match="nothing more is known of it"):
            explain_page(config, one.stage.page("/never/"), THEN)

    seen(tmp_path, test)
