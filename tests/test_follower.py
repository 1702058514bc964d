"""What WordPress says changed: who is rendered for it, who is not, and what happens when it says nothing more."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from scripted_journal import CRON, QUESTION, SECRET, ScriptedJournal
from scripted_origin import Exchange, ScriptedOrigin, answer, html
from stage import config_of, files, opened, site_toml, until

from staticify.errors import TreeError
from staticify.follower import PAUSE_SECONDS, Follower
from staticify.guard import FAILURES_IN_A_ROW
from staticify.keeper import Keeper
from staticify.losses import ALWAYS
from staticify.nouns import Mode, Outcome, Result
from staticify.store import Store
from staticify.tree import Tree
from staticify.urls import page_of, parse_page

SITE_URL = "https://example.org/"


@dataclass
class Followed:
    """A keeper and a follower on a scripted WordPress with a journal."""

    keeper: Keeper
    follower: Follower
    store: Store
    origin: ScriptedOrigin
    journal: ScriptedJournal
    tree: Path
    results: list[Result] = field(default_factory=list)

    def is_in(self, mode: Mode) -> bool:
        return self.store.site(SITE_URL).mode is mode

    def text(self, path: str) -> str:
        """What the tree says."""
        name = f"example.org{path}@staticify/index.html"
        return files(self.tree).get(name, b"").decode()

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return self.origin.paths().count(path)

    def told(self, path: str) -> tuple[Outcome, str]:
        """What came of a path the last time."""
        url = f"https://example.org{path}"
        return next((one.outcome, one.verdict) for one in reversed(self.results) if one.url == url)

    async def read_anew(self) -> None:
        """The same, by the usual way, which says whether there is a shorter one."""
        self.follower._usual_at = float("-inf")
        await self.read()

    async def read(self) -> None:
        """Tell the follower, and wait until a round that began after it is over and the queue is empty."""
        told_at = time.time()
        self.follower.tell()
        await until(lambda: self.store.site(SITE_URL).polled_at >= told_at)
        await until(lambda: not self.store.due())


Test = Callable[[Followed], Awaitable[None]]


@asynccontextmanager
async def running(directory: Path, journal: ScriptedJournal, **keys: Any) -> AsyncIterator[Followed]:
    settings = {"interval": "60s", "secrets": [SECRET], **keys}
    config = config_of(directory, site_toml(journal.origin.address, **settings))
    results: list[Result] = []
    with opened(config) as (tree, store, workers):
        keeper = Keeper(config.sites[0], tree, store, workers, on_result=results.append)
        follower = Follower(keeper, store)
        keeper.start()
        follower.start()
        try:
            yield Followed(keeper, follower, store, journal.origin, journal, tree.path, results)
        finally:
            await follower.stop()
            await keeper.stop()


def followed(directory: Path, test: Test, **keys: Any) -> None:
    """Run a test when four labelled pages are published and the journal is followed."""

    async def main() -> None:
        async with ScriptedOrigin().running() as origin:
            journal = ScriptedJournal(origin)
            journal.page("/", "home", "list:post", "post:1", "post:2", "count:1")
            journal.page("/one/", "one", "post:1", "term:5", "comments:1", "count:1")
            journal.page("/two/", "two", "post:2", "near:2")
            journal.page("/map/", "map", "post:*")
            async with running(directory, journal, pages=["/", "/one/", "/two/", "/map/"], **keys) as one:
                await until(lambda: len(one.results) >= 4 and one.keeper.is_following and not one.store.due())
                await test(one)

    asyncio.run(main())


def renders(one: Followed, since: list[str]) -> list[str]:
    return sorted(path for path in one.origin.paths()[len(since) :] if path not in {QUESTION, DIRECT})


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (("post:1",), ["/", "/map/", "/one/"]),
        (("term:5",), ["/one/"]),
        (("list:post",), ["/"]),
        (("near:2",), ["/two/"]),
        (("post:99",), ["/map/"]),
        (("term:99", "user:3"), []),
        (("site",), ["/", "/map/", "/one/", "/two/"]),
        (("*",), ["/", "/map/", "/one/", "/two/"]),
        (("term:5", "near:2"), ["/one/", "/two/"]),
    ],
)
def test_a_row_renders_the_pages_that_it_concerns_and_no_other(
    tmp_path: Path, tags: tuple[str, ...], expected: list[str]
) -> None:
    async def test(one: Followed) -> None:
        before = one.origin.paths()
        one.journal.write(*tags)
        await one.read()
        assert renders(one, before) == expected

    followed(tmp_path, test)


def test_a_cycle_without_a_change_is_one_question(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        before = one.origin.paths()
        ages = []
        for _ in range(5):
            await one.read()
            oldest = one.keeper.oldest()
            assert oldest is not None
            ages.append(oldest[1])
        assert one.origin.paths()[len(before) :] == [QUESTION] * 5
        # Each answer says that all is as it should be.
        assert max(ages) < 1.0

    followed(tmp_path, test, interval="2s")


@pytest.mark.alone
def test_a_page_that_is_public_no_more_leaves_before_anything_is_fetched(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        async def slow(exchange: Exchange) -> None:
            await asyncio.sleep(0.5)
            await exchange.send(answer(b"", 404))

        one.origin.pages["/one/"] = slow
        one.journal.page("/", "home without one", "list:post", "post:2")
        one.journal.write("post:1", "list:post", gone=("https://example.org/one/",))
        started = time.monotonic()
        one.follower.tell()
        await until(lambda: one.text("/one/") == "")
        assert time.monotonic() - started < 0.5
        await until(lambda: one.text("/") == html("home without one"))
        await until(lambda: not one.store.due())
        assert one.text("/one/") == ""

    followed(tmp_path, test)


def test_what_was_fetched_before_it_was_taken_back_is_not_published(tmp_path: Path) -> None:
    """The old page is on its way when the journal says that it is private now."""

    async def test(one: Followed) -> None:
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def old(exchange: Exchange) -> None:
            reached.set()
            await go_on.wait()
            one.origin.pages["/one/"] = answer(b"", 404)
            await exchange.send(answer(html("secret news"), Staticify_Tags="site post:1"))

        before = one.count("/one/")
        one.origin.pages["/one/"] = old
        one.journal.write("term:5")
        one.follower.tell()
        await reached.wait()
        one.journal.write("post:1", gone=("https://example.org/one/",))
        one.follower.tell()
        await until(lambda: one.text("/one/") == "")
        go_on.set()
        await until(lambda: one.count("/one/") == before + 2 and not one.store.due())
        assert one.text("/one/") == ""
        assert "published" not in {str(result.outcome) for result in one.results[-3:] if "/one/" in result.url}

    followed(tmp_path, test)


def test_a_row_that_is_held_back_is_asked_for_again_soon(tmp_path: Path) -> None:
    """A number is missing before it, as where several databases write: it would wait for the next interval."""

    async def test(one: Followed) -> None:
        one.journal.is_held = True
        await one.read()
        asked = len(one.journal.questions)
        one.journal.write("term:5")
        before = one.count("/one/")
        await until(lambda: one.count("/one/") > before)
        assert len(one.journal.questions) >= asked + 1
        one.journal.is_held = False

    followed(tmp_path, test, interval="1h", sweep="24h")


def test_a_page_named_as_gone_goes_although_the_tree_could_not_be_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole category is deleted: by their answers alone only a few pages would go."""
    paths = [f"/{number}/" for number in range(3 * ALWAYS)]

    async def main() -> None:
        async with ScriptedOrigin().running() as origin:
            journal = ScriptedJournal(origin)
            for path in paths:
                journal.page(path, path, "post:1")
            async with running(tmp_path, journal, pages=paths) as one:
                await until(lambda: len(one.results) >= len(paths) and one.keeper.is_following and not one.store.due())

                def fail(*_: object) -> None:
                    raise TreeError("read-only for a moment")

                with monkeypatch.context() as patched:
                    patched.setattr(Tree, "remove", fail)
                    for path in paths:
                        origin.pages[path] = answer(b"", 404)
                    journal.write("post:1", gone=tuple(f"https://example.org{path}" for path in paths))
                    one.follower.tell()
                    await until(lambda: sum(result.verdict == "tree-error" for result in one.results) >= len(paths))
                one.keeper.purge_everything()
                await until(lambda: not any(one.text(path) for path in paths))

    asyncio.run(main())


def test_a_home_page_that_lost_its_text_makes_others_tell_whether_all_is_lost(tmp_path: Path) -> None:
    """In journal mode only the sweep would look at them, long after the home page went out without its posts."""
    paths = [f"/{number}/" for number in range(30)]

    async def main() -> None:
        async with ScriptedOrigin().running() as origin:
            journal = ScriptedJournal(origin)
            journal.page("/", "many words about the launch " * 20, "home")
            for path in paths:
                journal.page(path, path, "post:1")
            async with running(tmp_path, journal, pages=["/", *paths], interval="1s") as one:
                await until(lambda: len(one.results) >= 31 and one.keeper.is_following and not one.store.due())
                before = one.text("/")
                for path in paths:
                    origin.pages[path] = answer(b"", 404)
                journal.page("/", "Nothing found.", "home")
                one.keeper.purge([page_of(parse_page("https://example.org/"), "/")], is_told=False)
                await until(lambda: one.count("/") >= 6, seconds=30)
                assert one.text("/") == before
                assert all(one.text(path) for path in paths)
                assert sum(one.count(path) > 1 for path in paths) >= ALWAYS + 1

    asyncio.run(main())


@pytest.mark.parametrize(("tag", "is_kept"), [("post:1", False), ("comments:1", True)])
def test_what_visitors_do_is_no_sign_that_a_page_may_lose_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str, *, is_kept: bool
) -> None:
    monkeypatch.setattr("staticify.keeper.COMMENT_SECONDS", 0.0)

    async def test(one: Followed) -> None:
        one.journal.page("/one/", "many words about the launch " * 20, "post:1", "comments:1")
        one.journal.write("post:1")
        await one.read()
        before = one.text("/one/")
        one.journal.page("/one/", "none", "post:1", "comments:1")
        ended = len(one.results)
        one.journal.write(tag)
        one.follower.tell()
        await until(lambda: any(result.url == f"{SITE_URL}one/" for result in one.results[ended:]))
        assert one.told("/one/") == ((Outcome.KEPT, "shrunk") if is_kept else (Outcome.PUBLISHED, "ok"))
        assert (one.text("/one/") == before) is is_kept

    followed(tmp_path, test)


def test_what_was_told_before_an_error_lets_no_emptied_page_out(tmp_path: Path) -> None:
    """An editor publishes, MariaDB dies, and comes back without its posts."""

    async def test(one: Followed) -> None:
        one.journal.page("/", "many words about the launch " * 20, "home", "post:1")
        one.journal.write("post:1")
        await one.read()
        before = one.text("/")
        one.origin.pages["/"] = answer(b"", 500)
        one.journal.write("post:1")
        one.follower.tell()
        await until(lambda: one.told("/") == (Outcome.KEPT, "status"))
        one.journal.page("/", "Nothing found.", "home", "post:1")
        await until(lambda: one.told("/") == (Outcome.KEPT, "shrunk"))
        assert one.text("/") == before

    followed(tmp_path, test)


def test_what_was_told_before_an_error_of_the_database_lets_no_emptied_page_out(tmp_path: Path) -> None:
    """WordPress keeps the empty result of a query that failed in its object cache, and meets no error any more."""

    async def test(one: Followed) -> None:
        one.journal.page("/", "many words about the launch " * 20, "home", "post:1")
        one.journal.write("post:1")
        await one.read()
        before = one.text("/")
        fields = {"Staticify_Tags": "site home post:1", "Staticify_Database_Error": "Table 'wp.posts' doesn't exist"}
        one.origin.pages["/"] = answer(html("Nothing found."), **fields)  # type: ignore[arg-type]
        one.journal.write("post:1")
        one.follower.tell()
        await until(lambda: one.told("/") == (Outcome.KEPT, "database-error"))
        one.journal.page("/", "Nothing found.", "home", "post:1")
        await until(lambda: one.told("/") != (Outcome.KEPT, "database-error"))
        assert one.told("/") == (Outcome.KEPT, "shrunk")
        assert one.text("/") == before

    followed(tmp_path, test, interval="1s")


def test_a_page_that_was_made_with_an_error_of_the_database_is_fetched_each_interval(tmp_path: Path) -> None:
    """What the error left out comes back without a row."""

    async def test(one: Followed) -> None:
        fields = {"Staticify_Tags": "site post:1", "Staticify_Database_Error": "Table 'wp.terms' doesn't exist"}
        one.origin.pages["/one/"] = answer(html("all but the tags"), **fields)  # type: ignore[arg-type]
        one.journal.write("post:1")
        one.follower.tell()
        await until(lambda: "all but the tags" in one.text("/one/"), seconds=30)
        one.journal.page("/one/", "all of it", "post:1")
        await until(lambda: "all of it" in one.text("/one/"))
        count = one.count("/one/")
        # Whole again: no row names it, and nobody asks for it.
        asked = one.count(QUESTION)
        one.follower.tell()
        await until(lambda: one.count(QUESTION) > asked)
        await asyncio.sleep(2 * one.keeper.site.interval_seconds)
        assert one.count("/one/") == count

    followed(tmp_path, test, interval="1s")


def test_a_tree_that_somebody_emptied_is_filled_again_at_the_next_question(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        await one.read()
        shutil.rmtree(one.tree / "example.org/one")
        (one.tree / "example.org/@staticify/index.html").unlink()
        asked = one.count("/two/")
        await one.read()
        await until(lambda: all(map(one.text, ("/", "/one/"))))
        assert one.count("/two/") == asked

    followed(tmp_path, test)


def test_a_change_during_the_fetch_renders_once_more(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def old(exchange: Exchange) -> None:
            reached.set()
            await go_on.wait()
            await exchange.send(answer(html("old"), Staticify_Tags="site post:1 term:5"))

        before = one.count("/one/")
        one.origin.pages["/one/"] = old
        one.journal.write("term:5")
        one.follower.tell()
        await reached.wait()
        one.journal.page("/one/", "new", "post:1", "term:5")
        one.journal.write("term:5")
        asked = len(one.journal.questions)
        one.follower.tell()
        await until(lambda: len(one.journal.questions) > asked)
        go_on.set()
        await until(lambda: one.text("/one/") == html("new") and not one.store.due())
        assert one.count("/one/") == before + 2

    followed(tmp_path, test)


def test_a_change_of_what_a_page_only_now_is_made_of_renders_it_once_more(tmp_path: Path) -> None:
    """The page is being fetched for one change, shows another post from now on, and that one changes meanwhile."""

    async def test(one: Followed) -> None:
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def old(exchange: Exchange) -> None:
            reached.set()
            await go_on.wait()
            await exchange.send(answer(html("shows post 7"), Staticify_Tags="site post:7 near:2"))

        one.origin.pages["/two/"] = old
        one.journal.write("near:2")
        one.follower.tell()
        await reached.wait()
        one.journal.page("/two/", "shows the new post 7", "post:7", "near:2")
        one.journal.write("post:7")
        asked = len(one.journal.questions)
        one.follower.tell()
        await until(lambda: len(one.journal.questions) > asked)
        go_on.set()
        await until(lambda: one.text("/two/") == html("shows the new post 7") and not one.store.due())

    followed(tmp_path, test)


@pytest.mark.alone
def test_comments_render_their_page_at_once_and_then_every_ten_seconds_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticify.keeper.COMMENT_SECONDS", 1.5)

    async def test(one: Followed) -> None:
        await asyncio.sleep(1.5)  # The first render was long ago.
        started, before, others = time.monotonic(), one.count("/one/"), one.count("/two/")
        while time.monotonic() - started < 3.2:
            one.journal.write("comments:1", "count:1")
            one.follower.tell()
            await asyncio.sleep(0.02)
        assert 2 <= one.count("/one/") - before <= 4
        assert one.count("/two/") == others
        # An editor's change does not wait for the comments' turn.
        one.journal.page("/one/", "edited", "post:1", "comments:1")
        one.journal.write("post:1")
        one.follower.tell()
        edited = time.monotonic()
        await until(lambda: one.text("/one/") == html("edited"))
        assert time.monotonic() - edited < 1.0

    followed(tmp_path, test)


def test_comments_on_slow_pages_keep_no_editors_change_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticify.keeper.COMMENT_SECONDS", 0.0)

    async def test(one: Followed) -> None:
        is_slow = asyncio.Event()

        async def slow(exchange: Exchange) -> None:
            await is_slow.wait()
            await exchange.send(answer(html("slow"), Staticify_Tags="site comments:1"))

        for path in ("/", "/one/"):
            one.origin.pages[path] = slow
        one.journal.page("/two/", "edited", "near:2")
        before = len(renders(one, []))
        one.journal.write("comments:1", "count:1")
        one.follower.tell()
        await until(lambda: len(renders(one, [])) > before)
        one.journal.write("near:2")
        one.follower.tell()
        await until(lambda: one.text("/two/") == html("edited"))
        is_slow.set()

    followed(tmp_path, test, concurrency=2)


def test_a_new_page_is_kept_at_once_where_sitemaps_name_the_pages(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.journal.page("/new/", "new", "post:3")
        urls = ("https://example.org/new/", "https://other.example/x/", "https://example.org/?p=3")
        one.journal.write("post:3", "list:post", urls=urls)
        one.follower.tell()
        await until(lambda: one.text("/new/") == html("new"))
        assert {path for path in one.origin.paths() if "?p=" in path or "x" in path} == set()

    followed(tmp_path, test, sitemaps=["/map.xml"])


def test_sitemaps_that_could_not_be_read_are_read_again_at_the_next_interval(tmp_path: Path) -> None:
    """Not after the hour of the sweep: until then the site would have no more than the configured pages."""

    async def test(one: Followed) -> None:
        one.origin.pages["/map.xml"] = answer("WordPress has no database", 502)
        await one.keeper.update_list()
        one.journal.page("/new/", "new", "post:3")
        listed = (
            f"<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><url><loc>{SITE_URL}new/</loc></url></urlset>"
        )
        one.origin.pages["/map.xml"] = answer(listed, content_type="application/xml")
        await one.keeper.update_list()
        await until(lambda: one.text("/new/") == html("new"))
        before = one.count("/map.xml")
        await one.keeper.update_list()
        assert one.count("/map.xml") == before

    followed(tmp_path, test, sitemaps=["/map.xml"])


def test_a_new_page_that_nothing_lists_is_left_to_wordpress(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.journal.page("/new/", "new", "post:3")
        one.journal.write("post:3", urls=("https://example.org/new/",))
        await one.read()
        assert one.count("/new/") == 0

    followed(tmp_path, test)


def test_a_page_that_wordpress_names_by_the_other_scheme_is_the_same_page(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.origin.pages["/one/"] = answer(b"", 404)
        one.journal.write("post:1", gone=("http://example.org/one/",))
        one.follower.tell()
        await until(lambda: one.text("/one/") == "")

    followed(tmp_path, test)


def test_a_long_journal_is_read_to_its_end(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.journal.per_answer = 3
        for number in range(20):
            one.journal.write(f"post:{100 + number}" if number < 19 else "term:5")
        before = one.count("/one/")
        one.follower.tell()
        await until(lambda: one.count("/one/") > before)
        await until(lambda: one.store.site(SITE_URL).since == 20)

    followed(tmp_path, test)


def test_another_journal_or_one_that_does_not_reach_back_means_every_page(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.journal.write("nothing")
        await one.read()
        for change in ("restored", "name", "oldest"):
            before = one.origin.paths()
            if change == "restored":
                # From a backup; since then another row has come to the position that was read last.
                one.journal.rows[-1]["time"] += 60
                one.journal.write("nothing")
            elif change == "name":
                one.journal.name, one.journal.rows, one.journal.position = "incarnation-2", [], 7
            else:
                one.journal.position, one.journal.oldest = 5000, 4000
            await one.read()
            assert renders(one, before) == ["/", "/map/", "/one/", "/two/"]
            assert one.store.site(SITE_URL).since == one.journal.position
            before = one.origin.paths()
            await one.read()
            assert renders(one, before) == []

    followed(tmp_path, test)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "the journal answers 404: is the plugin installed?"),
        (401, "the plugin refuses our signature: are the secrets the same?"),
        (429, "WordPress answers 429"),
        (502, "WordPress answers 502"),
    ],
)
def test_without_the_plugin_every_page_is_fetched_each_interval_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int, reason: str
) -> None:
    async def test(one: Followed) -> None:
        one.journal.status = status
        before = one.count("/one/")
        one.follower.tell()
        await until(lambda: one.count("/one/") >= before + 2)
        assert one.is_in(Mode.BLIND)
        assert one.store.site(SITE_URL).reason == reason
        assert sum("blind mode" in record.message for record in caplog.records) == 1
        one.journal.status = 200
        one.follower.tell()
        await until(lambda: one.keeper.is_following)
        await until(lambda: not one.store.due())
        assert one.is_in(Mode.JOURNAL)
        await asyncio.sleep(0.2)
        before = one.count("/one/")
        await asyncio.sleep(2)
        assert one.count("/one/") == before

    followed(tmp_path, test, interval="1s")


def test_a_pause_in_blind_mode_is_said_once_and_hides_no_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(one: Followed) -> None:
        one.journal.status = 502
        one.follower.tell()
        await until(lambda: one.is_in(Mode.BLIND))
        guard = one.keeper._origin.guard
        for failures in range(1, 4):
            for _ in range(FAILURES_IN_A_ROW):
                guard.fail("/", f"reset {failures}", time.monotonic(), time.monotonic(), is_answer=False)
            one.follower.tell()
            await asyncio.sleep(2 * PAUSE_SECONDS)
        assert one.store.site(SITE_URL).reason == "WordPress answers 502"
        assert sum("blind mode" in record.message for record in caplog.records) == 1

    followed(tmp_path, test)


DIRECT = "/wp-content/mu-plugins/staticify/direct.php"


async def ways_of_three_questions(one: Followed) -> tuple[int, int]:
    """How often each way was gone, the shorter and the usual one, while a change was heard of."""
    before = one.origin.paths()
    one.journal.write("term:5")
    for _ in range(3):
        await one.read()
    asked = one.origin.paths()[len(before) :]
    assert asked.count("/one/") == 1
    assert one.is_in(Mode.JOURNAL)
    return asked.count(DIRECT), asked.count(QUESTION)


def test_where_the_plugin_names_a_shorter_way_the_next_questions_go_there(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.journal.open_direct(DIRECT)
        await one.read_anew()
        assert await ways_of_three_questions(one) == (3, 0)

    followed(tmp_path, test)


NO_ANSWERS_OF_THE_PLUGIN = {
    "forbidden": answer(b"no PHP here", 403),
    "gone": answer(b"", 404),
    "failed": answer(b"", 500),
    "its source": answer(b"<?php", content_type="text/plain"),
    "another one": answer(b"{}", content_type="application/json"),
    "too busy": answer(b"", 429, Retry_After="600"),
    "nothing": b"",
}


@pytest.mark.parametrize("no_answer", NO_ANSWERS_OF_THE_PLUGIN.values(), ids=NO_ANSWERS_OF_THE_PLUGIN.keys())
def test_where_the_shorter_way_leads_nowhere_nothing_is_missed(tmp_path: Path, no_answer: bytes) -> None:
    async def test(one: Followed) -> None:
        one.journal.direct = DIRECT
        # A connection that was closed without an answer is tried once more.
        one.origin.pages[DIRECT] = no_answer or hang_up
        await one.read_anew()
        assert await ways_of_three_questions(one) == (1 if no_answer else 2, 3)

    followed(tmp_path, test)


def test_a_shorter_way_that_hangs_costs_one_deadline(tmp_path: Path) -> None:
    async def hang(_: Exchange) -> None:
        await asyncio.sleep(60)

    async def test(one: Followed) -> None:
        one.journal.direct = DIRECT
        one.origin.pages[DIRECT] = hang
        await one.read_anew()
        assert await ways_of_three_questions(one) == (1, 3)

    followed(tmp_path, test, deadline="1s")


def test_a_shorter_way_to_another_blog_is_not_gone(tmp_path: Path) -> None:
    """Where a plugin chooses between tables, the file that loads no plugin may answer out of the wrong one."""

    async def test(one: Followed) -> None:
        other = ScriptedJournal(ScriptedOrigin(), name="another blog")
        one.journal.open_direct(DIRECT)
        one.origin.pages[DIRECT] = other.origin.pages[QUESTION]
        await one.read_anew()
        one.journal.write("term:5", gone=("/two/",))
        before = one.origin.paths()
        for _ in range(3):
            await one.read()
        asked = one.origin.paths()[len(before) :]
        assert asked.count(QUESTION) >= 1
        assert asked.count("/one/") == 1
        assert "/two/" in asked

    followed(tmp_path, test)


def test_a_journal_that_starts_over_is_heard_by_the_shorter_way_too(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.journal.open_direct(DIRECT)
        await one.read_anew()
        await one.read()
        one.journal.name = "incarnation-2"
        before = one.origin.paths()
        await one.read()
        await until(lambda: {"/", "/one/", "/two/", "/map/"} <= set(one.origin.paths()[len(before) :]))
        # It said the same as the usual way: it goes on being asked.
        before = one.origin.paths()
        await one.read()
        assert one.origin.paths()[len(before) :].count(DIRECT) == 1

    followed(tmp_path, test)


def test_once_in_a_while_the_usual_way_is_gone_all_the_same(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.journal.open_direct(DIRECT)
        await one.read_anew()
        before = one.origin.paths()
        await one.read()
        one.follower._usual_at = 0.0
        await one.read()
        await one.read()
        asked = [path for path in one.origin.paths()[len(before) :] if path in {DIRECT, QUESTION}]
        assert asked == [DIRECT, QUESTION, DIRECT]

    followed(tmp_path, test)


@pytest.mark.parametrize("is_ours", [True, False])
def test_whether_cron_is_ours_the_usual_answer_says(tmp_path: Path, is_ours: bool) -> None:  # noqa: FBT001
    async def test(one: Followed) -> None:
        one.origin.pages[CRON] = answer(b"")
        due = int(time.time()) + 3600
        one.journal.cron_due_at = due if is_ours else None
        one.journal.open_direct(DIRECT)
        await one.read_anew()
        one.journal.cron_due_at = int(time.time())
        await one.read()
        await asyncio.sleep(0.5)
        assert (one.count(CRON) > 0) is is_ours

    followed(tmp_path, test)


def test_one_failure_to_ask_is_chance(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.origin.pages[QUESTION] = hang_up
        for number in range(2):
            before = one.count(QUESTION)
            one.follower.tell()
            await until(lambda before=before: one.count(QUESTION) == before + 2)  # type: ignore[misc]
            await until(lambda number=number: one.is_in(Mode.BLIND) == (number == 1))  # type: ignore[misc]

    followed(tmp_path, test)


async def hang_up(exchange: Exchange) -> None:
    """Close the connection without an answer."""


def test_a_page_without_a_label_is_fetched_each_interval_all_the_same(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.origin.pages["/two/"] = answer(html("no label"))
        one.journal.write("near:2")
        await one.read()
        before, followed_before = one.count("/two/"), one.count("/map/")
        await until(lambda: one.count("/two/") >= before + 2)
        assert one.count("/map/") == followed_before

    followed(tmp_path, test, interval="1s")


def test_a_change_that_no_row_names_is_found_by_the_sweep_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(one: Followed) -> None:
        monkeypatch.setattr("staticify.follower.ROW_SECONDS", 0.0)
        one.journal.page("/two/", "changed behind our back", "post:2", "near:2")
        # The sweep's turn, an hour early.
        one.keeper._queue.schedule(one.keeper.site.base.with_path("/two/"))
        await until(lambda: one.text("/two/") == html("changed behind our back"))
        await one.read()
        await one.read()
        assert one.store.site(SITE_URL).missed == 1
        (line,) = (record for record in caplog.records if "without a word" in record.message)
        assert line.__dict__["url"] == "https://example.org/two/"
        # One whose row is only late is none.
        monkeypatch.undo()
        one.journal.page("/one/", "changed and said", "post:1")
        one.keeper._queue.schedule(one.keeper.site.base.with_path("/one/"))
        await until(lambda: one.text("/one/") == html("changed and said"))
        await one.read()
        await one.read()
        one.journal.write("post:1")
        await one.read()
        await one.read()
        assert one.store.site(SITE_URL).missed == 1

    followed(tmp_path, test)


def test_a_row_that_comes_while_its_page_is_swept_is_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(one: Followed) -> None:
        monkeypatch.setattr("staticify.follower.ROW_SECONDS", 0.0)
        asked, goes_on = asyncio.Event(), asyncio.Event()
        one.journal.page("/two/", "changed", "post:2")
        page = one.journal.origin.pages["/two/"]

        async def slowly(exchange: Exchange) -> None:
            asked.set()
            await goes_on.wait()
            assert callable(page)
            await page(exchange)

        one.journal.origin.pages["/two/"] = slowly
        one.keeper._queue.schedule(one.keeper.site.base.with_path("/two/"))
        await asked.wait()
        one.journal.write("post:2")
        one.follower.tell()
        await until(one.store.due)
        goes_on.set()
        await until(lambda: one.text("/two/") == html("changed"))
        await until(lambda: not one.store.due())
        await one.read()
        await one.read()
        assert one.store.site(SITE_URL).missed == 0

    followed(tmp_path, test)


def test_the_age_of_a_page_that_a_row_names_counts_from_the_journals_last_answer(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        url = "https://example.org/two/"
        record = one.store.get(url)
        assert record is not None
        one.store.put(replace(record, verified_at=record.verified_at - 3600))
        read_at = time.time()
        await one.read()
        one.journal.origin.pages["/two/"] = answer("no", 500)  # It cannot be rendered anew.
        one.journal.write("post:2")
        one.follower.tell()
        await until(one.store.due)
        record = one.store.get(url)
        assert record is not None
        assert read_at - 1 < record.verified_at <= time.time()

    followed(tmp_path, test)


def ages(one: Followed) -> tuple[float, float]:
    """How old the oldest page is: to the daemon, and to `status`."""
    oldest = one.keeper.oldest()
    assert oldest is not None
    return oldest[1], time.time() - min(one.store.right_at(record) for record in one.store.of_site(SITE_URL))


def test_a_journal_that_is_lost_and_a_restart_make_no_page_older(tmp_path: Path) -> None:
    paths = ("/one/", "/two/")

    async def main() -> None:
        async with ScriptedOrigin().running() as origin:
            journal = ScriptedJournal(origin)
            for path in paths:
                journal.page(path, path, "post:1")
            async with running(tmp_path, journal, pages=[*paths]) as one:
                await until(lambda: one.keeper.is_following and not one.store.due())
                for record in one.store.of_site(SITE_URL):
                    one.store.put(replace(record, verified_at=record.verified_at - 3600))
                await one.read()
                journal.status = 502
                origin.pages |= dict.fromkeys(paths, answer("no", 502))
                one.follower.tell()
                await until(lambda: one.is_in(Mode.BLIND))
                one.keeper._queue.schedule(page_of(parse_page(SITE_URL), "/two/"))
                await until(lambda: one.results[-1].outcome is Outcome.KEPT)
                assert max(ages(one)) < 20
            async with running(tmp_path, journal, pages=[*paths]) as one:
                await until(lambda: one.store.site(SITE_URL).reason)
                assert max(ages(one)) < 20

    asyncio.run(main())


def test_the_first_sweep_is_spread_over_its_hour_and_so_is_the_one_after_everything_changed(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        for _ in range(2):
            now = asyncio.get_running_loop().time()
            due = sorted(seconds - now for seconds in one.keeper._queue._due.values())
            gaps = [later - earlier for earlier, later in zip([due[-1] - 3600, *due], due, strict=False)]
            # Four pages: 900 s apart if it were perfectly even.
            assert len(gaps) == 4
            assert max(gaps) <= 1.9 * 900
            one.journal.write("*")
            await one.read()

    followed(tmp_path, test, sweep="1h")


def test_a_restart_reads_what_changed_meanwhile_and_renders_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin().running() as origin:
            journal = ScriptedJournal(origin)
            journal.page("/one/", "one", "post:1")
            journal.page("/two/", "two", "post:2")
            async with running(tmp_path, journal, pages=["/one/", "/two/"]) as one:
                await until(lambda: one.keeper.is_following and not one.store.due())
            origin.requests.clear()
            journal.page("/one/", "edited", "post:1")
            journal.write("post:1")
            async with running(tmp_path, journal, pages=["/one/", "/two/"]) as one:
                await until(lambda: one.text("/one/") == html("edited") and not one.store.due())
                assert sorted(origin.paths()) == sorted([QUESTION, "/one/"])

    asyncio.run(main())


def test_what_was_due_when_it_was_killed_is_due_after_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin().running() as origin:
            journal = ScriptedJournal(origin)
            journal.page("/one/", "one", "post:1")
            async with running(tmp_path, journal, pages=["/one/"]) as one:
                await until(lambda: one.keeper.is_following and not one.store.due())
                origin.pages["/one/"] = hang_up
                journal.write("post:1")
                one.follower.tell()
                await until(lambda: one.store.site(SITE_URL).since == 1)
            journal.page("/one/", "edited", "post:1")
            async with running(tmp_path, journal, pages=["/one/"]) as one:
                await until(lambda: one.text("/one/") == html("edited"))

    asyncio.run(main())


def test_wp_cron_is_turned_when_its_next_event_is_due(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        async def turn(exchange: Exchange) -> None:
            one.journal.cron_due_at = None
            one.journal.write("term:5")
            await exchange.send(answer(b""))

        one.origin.pages[CRON] = turn
        one.journal.cron_due_at = int(time.time()) + 2
        before = one.count("/one/")
        await one.read()
        assert one.count(CRON) == 0
        # Its doing is read at once, without a webhook.
        await until(lambda: one.count("/one/") > before)
        assert one.count(CRON) == 1

    followed(tmp_path, test)


def test_a_cron_event_that_stays_due_is_not_tried_at_each_turn(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.origin.pages[CRON] = answer(b"")
        one.journal.cron_due_at = int(time.time()) - 100
        for _ in range(10):
            await one.read()
        assert one.count(CRON) <= 2

    followed(tmp_path, test, interval="60s")


def test_a_page_that_a_plugin_forbids_to_cache_leaves_when_two_fetches_agree(tmp_path: Path) -> None:
    async def test(one: Followed) -> None:
        one.origin.pages["/two/"] = answer(
            html("cart"), Staticify_Tags="site post:2", Staticify_Do_Not_Cache="DONOTCACHEPAGE"
        )
        one.journal.write("near:2")
        one.follower.tell()

        def told() -> list[Outcome]:
            return [result.outcome for result in one.results if result.url.endswith("/two/")]

        await until(lambda: Outcome.GONE in told())
        assert told()[-2:] == [Outcome.KEPT, Outcome.GONE]
        assert one.text("/two/") == ""

    followed(tmp_path, test, interval="1s")
