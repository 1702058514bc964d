"""Answers that could go out and do not: too much is gone, something must not be there, or somebody is greeted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from command import staticify
from scripted_origin import Exchange, Script, ScriptedOrigin, answer, html
from stage import Stage, site_toml, staged, until, write_config

from staticify.nouns import Answer, Outcome, Prepared, Result, Verdict
from staticify.rules import Rules

LONG = "All that the page has to say. " * 20
SHORT = "Nothing found."
CRITICAL = "<!DOCTYPE html><html><body><p>There has been a critical error on this website.</p></body></html>"
Test = Callable[[ScriptedOrigin, Stage], Awaitable[None]]


def doubting(directory: Path, test: Test, **keys: Any) -> None:
    async def main() -> None:
        async with (
            ScriptedOrigin(pages={"/": html(LONG)}).running() as origin,
            staged(directory, origin.address, **keys) as stage,
        ):
            await test(origin, stage)

    asyncio.run(main())


def told(result: Result) -> tuple[Outcome, str]:
    return result.outcome, result.verdict


def body(stage: Stage) -> str:
    return (stage.leaf() / "index.html").read_text()


def test_a_page_that_lost_half_its_text_is_published_when_two_later_fetches_agree(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        origin.pages["/"] = html(SHORT)
        first = await stage.render()
        assert told(first) == (Outcome.KEPT, "shrunk")
        assert "two later fetches agree" in first.reason
        second = await stage.render()
        assert told(second) == (Outcome.KEPT, "shrunk")
        assert "the next fetch agrees" in second.reason
        assert LONG.strip() in body(stage)
        assert told(await stage.render()) == (Outcome.PUBLISHED, "ok")
        assert SHORT in body(stage)
        record = stage.store.get("https://example.org/")
        assert record is not None
        assert (record.held_for, record.held_bytes, record.held_count) == ("", 0, 0)

    doubting(tmp_path, test)


def test_a_good_page_in_between_and_another_short_one_begin_the_count_anew(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        for text, outcome in [
            (SHORT, Outcome.KEPT), (SHORT, Outcome.KEPT), (LONG, Outcome.UNCHANGED),
            (SHORT, Outcome.KEPT), (SHORT * 15, Outcome.KEPT), (SHORT, Outcome.KEPT), (SHORT, Outcome.KEPT),
            (SHORT, Outcome.PUBLISHED),
        ]:  # fmt: skip
            origin.pages["/"] = html(text)
            assert (await stage.render()).outcome is outcome

    doubting(tmp_path, test)


def test_an_error_in_between_counts_neither_way(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        answers: list[tuple[bytes | str, Outcome]] = [
            (html(SHORT), Outcome.KEPT), (answer("no", 500), Outcome.KEPT), (html(SHORT), Outcome.KEPT),
            (html(SHORT), Outcome.PUBLISHED),
        ]  # fmt: skip
        for answered, outcome in answers:
            origin.pages["/"] = answered
            assert (await stage.render()).outcome is outcome

    doubting(tmp_path, test)


def test_what_changes_each_time_does_not_hold_a_page_for_ever(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        for quote in ("It is 12:01.", "To be or not to be.", "All the world is a stage."):
            origin.pages["/"] = html(f"{SHORT} {quote}")
            result = await stage.render()
        assert told(result) == (Outcome.PUBLISHED, "ok")

    doubting(tmp_path, test)


@pytest.mark.parametrize(("is_told", "outcome"), [(True, Outcome.PUBLISHED), (False, Outcome.KEPT)])
def test_what_wordpress_says_of_a_page_is_believed_and_a_change_of_files_is_not(
    tmp_path: Path, outcome: Outcome, *, is_told: bool
) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        origin.pages["/"] = html(SHORT)
        stage.store.set_due("https://example.org/", is_told=is_told)
        assert (await stage.render()).outcome is outcome

    doubting(tmp_path, test)


def test_half_of_the_text_and_another_half_are_no_loss(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        for text in (LONG[: len(LONG) * 6 // 10], "x " * len(LONG), LONG):
            origin.pages["/"] = html(text)
            assert (await stage.render()).outcome is Outcome.PUBLISHED

    doubting(tmp_path, test)


def test_scripts_and_styles_are_no_text(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        origin.pages["/"] = html(SHORT, head=f"<style>{LONG * 9}</style><script>'{LONG * 9}'</script>")
        assert told(await stage.render()) == (Outcome.KEPT, "shrunk")

    doubting(tmp_path, test)


def refused(body: str, *tables: str, status: int = 200) -> bytes:
    """An answer that WordPress made without these tables of its database."""
    fields = "".join(f"\r\nStaticify-Database-Error: Table 'wp.{table}' doesn't exist" for table in tables)
    return answer(body, status).replace(b"\r\n\r\n", f"{fields}\r\n\r\n".encode(), 1)


POSTS = "WordPress's database refused something: Table 'wp.posts' doesn't exist"
UNTIL = "if two later fetches agree, or if `staticify purge URL` names it"


def test_a_page_that_was_made_with_errors_of_the_database_is_held_back_whoever_says_that_it_changed(
    tmp_path: Path,
) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        origin.pages["/"] = refused(html(f"{LONG} But for one line."), "posts", "terms", "posts")
        stage.store.set_due("https://example.org/", is_told=True)
        first = await stage.render()
        assert told(first) == (Outcome.KEPT, "database-error")
        assert first.reason == f"{POSTS} and 1 more; published {UNTIL}"
        origin.pages["/"] = html(LONG)
        assert told(await stage.render()) == (Outcome.UNCHANGED, "ok")
        origin.pages["/"] = refused(html(f"{LONG} But for one line."), "posts")
        assert [told(await stage.render())[0] for _ in range(3)] == [Outcome.KEPT, Outcome.KEPT, Outcome.PUBLISHED]
        record = stage.store.get("https://example.org/")
        assert record is not None
        assert (record.database_errors, record.held_count) == (("Table 'wp.posts' doesn't exist",), 0)
        # Those that the last good page had are its own. Another is not.
        origin.pages["/"] = refused(html(f"{LONG} Another line."), "posts")
        assert told(await stage.render()) == (Outcome.PUBLISHED, "ok")
        origin.pages["/"] = refused(html(f"{LONG} Yet another line."), "posts", "terms")
        assert told(await stage.render()) == (Outcome.KEPT, "database-error")
        stage.store.set_due("https://example.org/", is_told=True, is_meant=True)
        assert told(await stage.render()) == (Outcome.PUBLISHED, "ok")

    doubting(tmp_path, test)


def test_a_page_that_is_missing_with_errors_of_the_database_stays_until_two_later_fetches_agree(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/"] = html(LONG)
        await stage.render()
        await stage.render("/a/")
        origin.pages["/a/"] = refused("not here", "posts", status=404)
        first = await stage.render("/a/")
        assert told(first) == (Outcome.KEPT, "database-error")
        assert first.reason == f"{POSTS}, and WordPress answers 404; removed {UNTIL}"
        assert told(await stage.render("/a/")) == (Outcome.KEPT, "database-error")
        assert told(await stage.render("/a/")) == (Outcome.GONE, "gone")
        record = stage.store.get("https://example.org/a/")
        assert record is not None
        assert (record.database_errors, record.is_published) == ((), False)
        # What the tree has not is no worse for it.
        origin.pages["/a/"] = refused(html(LONG), "posts")
        assert told(await stage.render("/a/")) == (Outcome.PUBLISHED, "ok")

    doubting(tmp_path, test)


def test_an_error_of_the_database_that_left_nothing_out_excuses_none_that_does(tmp_path: Path) -> None:
    """A cache had what a crashed table lacks, for a while."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = html(f"{LONG} A comment.")
        await stage.render()
        origin.pages["/"] = refused(html(f"{LONG} A comment."), "comments")
        assert told(await stage.render()) == (Outcome.UNCHANGED, "ok")
        origin.pages["/"] = refused(html(LONG), "comments")
        assert told(await stage.render()) == (Outcome.KEPT, "database-error")
        assert "A comment." in body(stage)

    doubting(tmp_path, test)


def test_an_error_of_the_database_in_place_of_a_known_one_is_no_known_one(tmp_path: Path) -> None:
    """What a plugin asks for of each post is not asked where none is found. A server between may join fields."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = refused(html(LONG), "views")
        await stage.render()
        for errors in (("posts",), ("views", "posts")):
            one_line = refused(html(SHORT), *errors).replace(b"\r\nStaticify-Database-Error: ", b", ")
            origin.pages["/"] = one_line.replace(b", Table", b"\r\nStaticify-Database-Error: Table", 1)
            stage.store.set_due("https://example.org/", is_told=True)
            assert told(await stage.render()) == (Outcome.KEPT, "database-error")
        origin.pages["/"] = refused(html(f"{LONG} Another line."), "views")
        assert told(await stage.render()) == (Outcome.PUBLISHED, "ok")

    doubting(tmp_path, test)


def test_a_page_of_two_sizes_that_is_made_with_errors_of_the_database_is_not_held_for_ever(tmp_path: Path) -> None:
    """Chance shows one thing or another. A page that lost its text, or is missing, must still be the same each time."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        outcomes = []
        for text in (LONG * 2, LONG, LONG * 2):
            origin.pages["/"] = refused(html(f"{text} A quote."), "views")
            outcomes.append((await stage.render()).outcome)
        assert outcomes == [Outcome.KEPT, Outcome.KEPT, Outcome.PUBLISHED]
        for answered in (refused(html(SHORT), "posts"), refused("not here", "posts", status=404)):
            origin.pages["/a/"] = html(LONG)
            assert (await stage.render("/a/")).outcome is not Outcome.KEPT
            for text in (LONG * 2, LONG * 3):
                origin.pages["/a/"] = refused(html(text), "posts")
                assert (await stage.render("/a/")).outcome is Outcome.KEPT
            origin.pages["/a/"] = answered
            assert (await stage.render("/a/")).outcome is Outcome.KEPT

    doubting(tmp_path, test)


def test_an_error_of_the_database_that_left_out_nothing_but_noise_excuses_none_that_does(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = html(f"{LONG} A comment.<i>0</i>")
        await stage.render()
        for number in range(1, 4):
            origin.pages["/"] = refused(html(f"{LONG} A comment.<i>{number}</i>"), "comments")
            assert told(await stage.render()) == (Outcome.UNCHANGED, "ok")
        origin.pages["/"] = refused(html(f"{LONG}<i>4</i>"), "comments")
        stage.store.set_due("https://example.org/", is_told=True)
        assert told(await stage.render()) == (Outcome.KEPT, "database-error")
        assert "A comment." in body(stage)

    doubting(tmp_path, test, ignore=["<i>\\d</i>"])


def test_what_a_page_must_have_is_missed_three_times_though_errors_of_the_database_came_before(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = html(f"{LONG} Imprint.")
        await stage.render()
        outcomes = []
        for text in ("Imprint. One.", "Imprint. Two.", "Three.", "Four.", "Five."):
            origin.pages["/"] = refused(html(f"{LONG} {text}"), "posts")
            outcomes.append((await stage.render()).outcome)
        assert outcomes == [*[Outcome.KEPT] * 4, Outcome.PUBLISHED]

    doubting(tmp_path, test, require=["text:Imprint."])


def test_a_told_page_that_leads_elsewhere_with_errors_of_the_database_stays_until_two_later_fetches_agree(
    tmp_path: Path,
) -> None:
    """Plugins send a visitor of what is missing to the home page."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/"] = html(LONG)
        await stage.render()
        await stage.render("/a/")
        away = refused("", "posts", status=302).replace(b"\r\n\r\n", b"\r\nLocation: https://example.org/\r\n\r\n", 1)
        origin.pages["/a/"] = away
        stage.store.set_due("https://example.org/a/", is_told=True)
        assert told(await stage.render("/a/")) == (Outcome.KEPT, "database-error")
        assert told(await stage.render("/a/")) == (Outcome.KEPT, "database-error")
        assert (await stage.render("/a/")).outcome is Outcome.KEPT
        assert (await stage.render("/a/")).outcome is Outcome.GONE

    doubting(tmp_path, test)


def test_a_site_that_lost_its_posts_with_errors_of_the_database_loses_nothing(tmp_path: Path) -> None:
    """A crashed table: the home page finds nothing, and all others are missing, for as long as it takes."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        paths = ["/", *(f"/{number}/" for number in range(12))]
        origin.pages.update(dict.fromkeys(paths, html(LONG)))
        for path in paths:
            await stage.render(path)
        origin.pages.update(dict.fromkeys(paths[1:], refused("not here", "posts", status=404)))
        origin.pages["/"] = refused(html(SHORT), "posts")
        for _ in range(6):
            stage.seconds += 60
            stage.store.set_due("https://example.org/", is_told=True)
            for path in paths:
                await stage.render(path)
        assert LONG.strip() in body(stage)
        assert all((stage.leaf(path) / "index.html").exists() for path in paths)

    doubting(tmp_path, test)


def test_many_pages_that_shrank_with_errors_of_the_database_do_not_go_out_at_once(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        paths = [f"/{number}/" for number in range(12)]
        origin.pages.update(dict.fromkeys(paths, html(LONG)))
        for path in ["/", *paths]:
            await stage.render(path)
        origin.pages.update(dict.fromkeys(paths, refused(html(SHORT), "postmeta")))
        for _ in range(3):
            results = [await stage.render(path) for path in paths]
        assert [one.outcome for one in results].count(Outcome.PUBLISHED) == 5

    doubting(tmp_path, test)


def test_a_feed_that_lost_half_of_it_is_held_back_too(tmp_path: Path) -> None:
    def feed(items: int) -> bytes:
        text = "".join(f"<item><title>Post {number} of the blog</title></item>" for number in range(items))
        return answer(f"<rss><channel>{text}</channel></rss>", content_type="application/rss+xml")

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/feed/"] = feed(20)
        await stage.render("/feed/")
        origin.pages["/feed/"] = feed(3)
        assert told(await stage.render("/feed/")) == (Outcome.KEPT, "shrunk")

    doubting(tmp_path, test)


@pytest.mark.parametrize("marker", ["#colophon", "text:Imprint  of Example"])
def test_a_page_without_what_it_must_have_is_held_back(tmp_path: Path, marker: str) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        lacking = html(LONG + "and more")
        origin.pages["/"] = lacking
        # Never published before: doubted all the same.
        result = await stage.render()
        assert told(result) == (Outcome.KEPT, "required")
        assert marker in result.reason
        origin.pages["/"] = html(f"{LONG} <b id=colophon>Imprint\n of Example</b>")
        assert told(await stage.render()) == (Outcome.PUBLISHED, "ok")
        origin.pages["/"] = lacking
        for outcome in (Outcome.KEPT, Outcome.KEPT, Outcome.PUBLISHED):
            assert (await stage.render()).outcome is outcome

    doubting(tmp_path, test, require=[marker])


def test_what_is_required_of_pages_is_not_required_of_feeds(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/robots.txt"] = answer("User-agent: *\n", content_type="text/plain")
        assert told(await stage.render("/robots.txt")) == (Outcome.PUBLISHED, "ok")

    doubting(tmp_path, test, require=["#colophon", "text:Imprint"])


@pytest.mark.parametrize("marker", ["form.checkout", "text:Pay  now", "text:pay_now_token"])
def test_what_must_never_go_out_does_not_whoever_agrees(tmp_path: Path, marker: str) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        origin.pages["/"] = html(f"{LONG}<form class='a checkout'>Pay\n<b>now</b><!-- pay_now_token --></form>")
        for _ in range(5):
            stage.store.set_due("https://example.org/", is_told=True)
            result = await stage.render()
            assert told(result) == (Outcome.REFUSED, "forbidden")
            assert marker in result.reason
        assert "Pay" not in body(stage)

    doubting(tmp_path, test, forbid=[marker])


def test_what_is_stripped_is_not_forbidden(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = html("some <b class=checkout>Pay now</b>")
        assert told(await stage.render()) == (Outcome.PUBLISHED, "ok")

    doubting(tmp_path, test, forbid=["b.checkout", "text:Pay now"], strip=["b.checkout"])


def test_a_page_in_the_tree_goes_when_what_it_has_is_forbidden(tmp_path: Path) -> None:
    checkout = html("<form class=checkout>Pay now</form>")

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = checkout
        assert (await stage.render()).outcome is Outcome.PUBLISHED

    async def later(origin: ScriptedOrigin, stage: Stage) -> None:
        assert stage.leaf().exists()
        origin.pages["/"] = checkout
        assert told(await stage.render()) == (Outcome.GONE, "forbidden")
        assert not stage.leaf().exists()

    doubting(tmp_path, test)
    doubting(tmp_path, later, forbid=["form.checkout"])


def test_a_group_has_markers_of_its_own_beside_the_sites(tmp_path: Path) -> None:
    async def main() -> None:
        pages: dict[str, bytes | str | Script] = {
            "/": html("home"),
            "/shop/a/": html("<b class=price>5</b>"),
            "/shop/b/": html("no price"),
        }
        async with ScriptedOrigin(pages=pages).running() as origin:
            path = write_config(tmp_path, site_toml(origin.address, pages=[*pages], forbid=["text:Sold out"]))
            group = (
                '[[site.group]]\npages = ["/shop/*"]\ninterval = "60s"\nrequire = [".price"]\nforbid = ["text:NaN"]\n'
            )
            path.write_text(path.read_text() + group)
            done = json.loads((await staticify(tmp_path, "render", "--all", "--json")).out)
            verdicts = {page["url"].removeprefix("https://example.org"): page["verdict"] for page in done["pages"]}
            assert verdicts == {"/": "ok", "/shop/a/": "ok", "/shop/b/": "required"}
            origin.pages = {
                "/": html("home NaN"),
                "/shop/a/": html("<b class=price>NaN</b>"),
                "/shop/b/": html("Sold out"),
            }
            done = json.loads((await staticify(tmp_path, "render", "--all", "--json")).out)
            verdicts = {page["url"].removeprefix("https://example.org"): page["verdict"] for page in done["pages"]}
            assert verdicts == {"/": "ok", "/shop/a/": "forbidden", "/shop/b/": "forbidden"}

    asyncio.run(main())


# --- Whom a page greets ----------------------------------------------------------------------------------------------


async def greeting(exchange: Exchange) -> None:
    """A plugin that takes the visitor's address for the visitor."""
    name = {"192.0.2.1": "Anna", "198.51.100.23": "Bert"}.get(exchange.headers.get("x-forwarded-for", ""), "stranger")
    await exchange.send(answer(html(f"{LONG} Hello {name}!")))


def test_a_page_that_greets_each_visitor_is_refused_and_asked_twice_until_it_is_everybodys(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        page = stage.page()
        await stage.renderer.render(page)
        origin.pages["/"] = greeting
        result = await stage.renderer.render(page, is_twice=True)
        assert told(result) == (Outcome.REFUSED, "personal")
        assert "Hello stranger" in result.reason
        assert "Hello" not in body(stage)
        assert told(await stage.renderer.render(page)) == (Outcome.REFUSED, "personal")
        # An error between them, of the page or of the second fetch alone, forgets nothing.
        origin.pages["/"] = answer("no", 500)
        assert told(await stage.renderer.render(page)) == (Outcome.KEPT, "status")
        origin.pages["/"] = CRITICAL
        assert told(await stage.renderer.render(page)) == (Outcome.KEPT, "personal")

        async def error_for_the_other(exchange: Exchange) -> None:
            is_second = "x-forwarded-for" in exchange.headers
            await exchange.send(answer(CRITICAL if is_second else html(f"{LONG} Hello Anna!")))

        origin.pages["/"] = error_for_the_other
        assert told(await stage.renderer.render(page)) == (Outcome.KEPT, "personal")

        async def for_one_alone(exchange: Exchange) -> None:
            is_second = "x-forwarded-for" in exchange.headers
            await exchange.send(answer("no", 503) if is_second else answer(html(f"{LONG} Hello Anna!")))

        origin.pages["/"] = for_one_alone
        assert told(await stage.renderer.render(page)) == (Outcome.KEPT, "personal")
        assert "Hello" not in body(stage)
        origin.pages["/"] = html(LONG + "and more")
        asked = len(origin.requests)
        assert told(await stage.renderer.render(page)) == (Outcome.PUBLISHED, "ok")
        assert len(origin.requests) == asked + 2
        assert told(await stage.renderer.render(page)) == (Outcome.UNCHANGED, "ok")
        assert len(origin.requests) == asked + 3

    doubting(tmp_path, test)


# What the tree greets may be neither of a pair, or its second.
@pytest.mark.parametrize("visitors", ["Anna Anna Bert Carl Dora", "Anna Bert Anna Bert Anna"])
def test_somebody_whom_the_tree_greets_is_taken_out_when_a_second_pair_agrees(tmp_path: Path, visitors: str) -> None:
    names = iter(visitors.split())

    async def mixed_up(exchange: Exchange) -> None:
        await exchange.send(answer(html(f"{LONG} Hello {next(names)}!")))

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = mixed_up
        assert told(await stage.render()) == (Outcome.PUBLISHED, "ok")
        assert told(await stage.renderer.render(stage.page(), is_twice=True)) == (Outcome.REFUSED, "personal")
        assert stage.leaf().exists()
        assert told(await stage.render()) == (Outcome.GONE, "personal")
        assert not stage.leaf().exists()

    doubting(tmp_path, test)


def test_a_greeting_that_is_cut_greets_nobody(tmp_path: Path) -> None:
    async def greeted_above(exchange: Exchange) -> None:
        name = "Bert" if "x-forwarded-for" in exchange.headers else "Anna"
        await exchange.send(answer(html(f"<p class=hello>Hello {name}!</p><p>{LONG}</p>")))

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = greeted_above
        assert told(await stage.renderer.render(stage.page(), is_twice=True)) == (Outcome.PUBLISHED, "ok")
        assert "Hello" not in body(stage)

    doubting(tmp_path, test, strip=[".hello"])


def test_a_parser_that_was_killed_says_nothing_of_the_page_that_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        origin.pages["/"] = html(f"{LONG} secret words")
        prepare, asked = stage.renderer._workers.parsers.prepare, []

        def killed_the_second_time(answered: Answer, rules: Rules) -> Prepared:
            asked.append(answered)
            if len(asked) == 2:
                return Prepared(Verdict("ends-the-parser", Outcome.REFUSED, "it was killed"))
            return prepare(answered, rules)

        monkeypatch.setattr(stage.renderer._workers.parsers, "prepare", killed_the_second_time)
        assert told(await stage.render()) == (Outcome.REFUSED, "forbidden")
        assert (len(asked), stage.leaf().exists()) == (2, True)

    doubting(tmp_path, test, forbid=["text:secret words"])


@pytest.mark.parametrize("second", [answer("no", 500), answer("no", 404), html(LONG + "2 quotes, 17 visitors")])
def test_a_second_fetch_that_says_nothing_changes_nothing(tmp_path: Path, second: bytes | str) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        async def differs(exchange: Exchange) -> None:
            is_second = "x-forwarded-for" in exchange.headers
            text = second if is_second else html(LONG + "1 quote, 16 visitors")
            await exchange.send(text if isinstance(text, bytes) else answer(text))

        origin.pages["/"] = differs
        assert told(await stage.renderer.render(stage.page(), is_twice=True)) == (Outcome.PUBLISHED, "ok")
        assert "16 visitors" in body(stage)

    doubting(tmp_path, test)


def test_the_daemon_asks_for_two_visitors_once_in_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_keeper import kept, origin_of

    async def main() -> None:
        async with origin_of("/a/").running() as origin, kept(tmp_path, origin, pages=["/a/"], interval="1s") as one:
            monkeypatch.setattr("staticify.keeper.CANARY_SECONDS", 1.0)
            site = one.keeper.site.model_copy(update={"sweep_seconds": 1.0})
            monkeypatch.setattr(one.keeper, "site", site)
            one.keeper.start()
            await until(lambda: any("x-forwarded-for" in asked.headers for asked in origin.requests))
            first = next(number for number, asked in enumerate(origin.requests) if "x-forwarded-for" in asked.headers)
            assert first >= 2  # The first journey is one fetch, and so is the next one.

    asyncio.run(main())


def test_explain_twice(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html(LONG)}).running() as origin:
            write_config(tmp_path, site_toml(origin.address, pages=["/"]))
            await staticify(tmp_path, "render", "--all")
            done = await staticify(tmp_path, "explain", "/", "--twice")
            assert (done.status, "the same for two visitors" in done.out) == (0, True)
            origin.pages["/"] = greeting
            done = await staticify(tmp_path, "explain", "/", "--twice")
            assert (done.status, "differs in whom it names: 'Hello Anna'" in done.out) == (1, True), done.out
            document = json.loads((await staticify(tmp_path, "explain", "/", "--twice", "--json")).out)
            assert document["twice"] == {"fault": "", "named": "Hello Anna", "differences": ["Anna!", "Bert!"]}
            origin.pages["/"] = answer("no", 500)
            done = await staticify(tmp_path, "explain", "/", "--twice")
            assert (done.status, "cannot be compared: status: WordPress answers 500" in done.out) == (1, True)

    asyncio.run(main())
