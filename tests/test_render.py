"""The journey: from what the origin answers to what stands in the tree and in the record."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import brotli
import pytest
from scripted_origin import Exchange, ScriptedOrigin, answer, html
from stage import Stage, files, marks, staged

from staticify.brief import MAX_CHARACTERS, brief
from staticify.doubts import Doubts
from staticify.encode import Variants, encode
from staticify.errors import OriginPaused, TreeError
from staticify.losses import Losses
from staticify.noise import MAX_NOISE_SECONDS
from staticify.nouns import MAX_KEPT_CUTS, Answer, Cut, Kind, Outcome, Record, Result, Verdict
from staticify.render import MAX_DENSE_BYTES, Renderer, rules_of

DEADLINE_SECONDS = 2.0
Journey = Callable[[ScriptedOrigin, Stage], Awaitable[None]]


def journey(directory: Path, test: Journey, *, dense_after: int | None = None, **keys: Any) -> None:
    """Run a test on a scripted origin whose home page is good, and a renderer that has not seen it yet."""

    async def main() -> None:
        async with (
            ScriptedOrigin(pages={"/": answer(html())}).running() as origin,
            staged(directory, origin.address, dense_after=dense_after, **keys) as stage,
        ):
            await test(origin, stage)

    asyncio.run(main())


def told(result: Result) -> tuple[Outcome, str]:
    return result.outcome, result.verdict


PUBLISHED = (Outcome.PUBLISHED, "ok")
UNCHANGED = (Outcome.UNCHANGED, "ok")
KIND_CHANGED = (Outcome.REFUSED, "kind-changed")


def variants(name: str, body: bytes | str) -> dict[str, bytes]:
    """What a leaf holds, its compressed files undone."""
    content = body.encode() if isinstance(body, str) else body
    return {f"index.{name}": content, f"index.{name}.gz": content, f"index.{name}.br": content}


def undone(leaf: Path) -> dict[str, bytes]:
    found = files(leaf)
    undo = {".gz": gzip.decompress, ".br": brotli.decompress}
    return {name: undo.get(Path(name).suffix, bytes)(content) for name, content in found.items()}


# --- Published and unchanged -----------------------------------------------------------------------------------------


def test_a_good_page_is_published_and_recorded(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        result = await stage.render()
        status = (stage.leaf() / "index.html").stat()
        assert undone(stage.leaf()) == variants("html", html())
        assert (int(status.st_mtime), status.st_mode & 0o777) == (result.record.mtime, 0o644)
        assert result == Result(
            "https://example.org/", Outcome.PUBLISHED, "ok", "a whole page for everybody", 0.0, result.record
        )
        assert result.record == stage.store.get("https://example.org/")
        assert result.record == Record(
            url="https://example.org/",
            site="https://example.org/",
            kind=Kind.HTML,
            source_digest=result.record.source_digest,
            output_digest=result.record.output_digest,
            rules_digest=rules_of(stage.site).digest,
            size_bytes=len(html()),
            mtime=int(status.st_mtime),
            first_seen_at=stage.seconds,
            checked_at=stage.seconds,
            verified_at=stage.seconds,
            changed_at=stage.seconds,
            render_seconds=result.record.render_seconds,
            outcome=Outcome.PUBLISHED,
            verdict="ok",
            reason="a whole page for everybody",
            status=200,
            headers={"content-type": "text/html; charset=UTF-8", "content-length": str(len(html()))},
        )
        assert result.record.source_digest == result.record.output_digest != ""

    journey(tmp_path, test)


def test_unchanged_pages_leave_everything_on_disk_alone(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages |= {f"/{number}/": html(str(number)) for number in range(20)}
        paths = ["/", *(f"/{number}/" for number in range(20))]
        for path in paths:
            assert told(await stage.render(path)) == PUBLISHED
        before = marks(stage.tree.path)
        for _ in range(3):
            stage.seconds += 60
            for path in paths:
                assert told(await stage.render(path)) == UNCHANGED
        assert marks(stage.tree.path) == before
        record = stage.store.get("https://example.org/7/")
        assert record is not None
        assert (record.verified_at, record.changed_at, record.unchanged_count) == (
            stage.seconds, stage.seconds - 180, 3,
        )  # fmt: skip

    journey(tmp_path, test)


def test_a_changed_page_has_other_bytes_and_a_later_mtime(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        mtimes = []
        for text in ("one", "two", "one"):
            origin.pages["/"] = html(text)
            result = await stage.render()
            assert told(result) == PUBLISHED
            assert undone(stage.leaf()) == variants("html", html(text))
            mtimes.append(result.record.mtime)
        assert mtimes[0] < mtimes[1] < mtimes[2]

    journey(tmp_path, test)


KINDS = {
    "/feed/": ("rss", answer("<rss/>", content_type="application/rss+xml; charset=UTF-8")),
    "/feed/atom/": ("atom", answer("<feed/>", content_type="application/atom+xml")),
    "/wp-sitemap.xml": ("xml", answer("<urlset/>", content_type="application/xml; charset=UTF-8")),
    "/old-sitemap.xml": ("xml", answer("<urlset/>", content_type="text/xml")),
    "/robots.txt": ("txt", answer("User-agent: *\n", content_type="text/plain; charset=utf-8")),
    "/wp-json/wp/v2/posts/1": ("json", answer('{"id": 1}', content_type="application/json")),
    "/xhtml/": ("html", answer(html(), content_type="application/xhtml+xml")),
}


@pytest.mark.parametrize("path", KINDS)
def test_each_kind_has_its_own_extension(tmp_path: Path, path: str) -> None:
    name, answered = KINDS[path]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages[path] = answered
        assert told(await stage.render(path)) == PUBLISHED
        assert undone(stage.leaf(path)) == variants(name, answered.partition(b"\r\n\r\n")[2])
        assert told(await stage.render(path)) == UNCHANGED

    journey(tmp_path, test)


def test_a_page_that_becomes_a_feed_leaves_no_html_behind(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        origin.pages["/"] = answer("<rss/>", content_type="application/rss+xml")
        assert told(await stage.render()) == KIND_CHANGED
        assert told(await stage.render()) == PUBLISHED
        assert undone(stage.leaf()) == variants("rss", "<rss/>")

    journey(tmp_path, test)


def test_a_splash_page_at_every_path_replaces_no_feed_and_no_file_of_data(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        good = {path: KINDS[path][1] for path in ("/feed/", "/wp-json/wp/v2/posts/1", "/robots.txt", "/wp-sitemap.xml")}
        origin.pages |= good
        for path in good:
            assert told(await stage.render(path)) == PUBLISHED
        before = marks(stage.tree.path)
        splash = dict.fromkeys(good, answer(html("Coming soon")))
        # An error between two splash pages: they do not agree.
        for pages in (splash, good, splash, dict.fromkeys(good, answer(b"", 500)), splash):
            origin.pages |= pages
            for path in good:
                stage.seconds += 60
                result = await stage.render(path)
                if pages is splash:
                    is_data = "." in path
                    assert told(result) == ((Outcome.REFUSED, "content-type") if is_data else KIND_CHANGED)
                    assert is_data or result.reason.endswith(
                        ", WordPress sends html; published if the next fetch agrees"
                    )
        assert marks(stage.tree.path) == before
        # It goes on: then it is the page. But never where only data can be.
        assert told(await stage.render("/feed/")) == PUBLISHED
        assert undone(stage.leaf("/feed/")) == variants("html", html("Coming soon"))
        assert told(await stage.render("/robots.txt")) == (Outcome.REFUSED, "content-type")

    journey(tmp_path, test)


def test_a_splash_page_replaces_no_feed_whose_record_is_lost(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/feed/"] = KINDS["/feed/"][1]
        record = (await stage.render("/feed/")).record
        stage.store.forget([record.url])
        origin.pages["/feed/"] = html("Coming soon")
        assert told(await stage.render("/feed/")) == KIND_CHANGED
        assert undone(stage.leaf("/feed/")) == variants("rss", "<rss/>")

    journey(tmp_path, test)


def test_the_same_bytes_under_another_content_type_are_published_anew(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for content_type, name in (("application/xml", "xml"), ("application/rss+xml", "rss")):
            origin.pages["/feed/"] = answer("<rss/>", content_type=content_type)
            assert told(await stage.render("/feed/")) == PUBLISHED
            assert undone(stage.leaf("/feed/")) == variants(name, "<rss/>")

    journey(tmp_path, test)


def test_a_record_is_small_whatever_the_origin_says(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        long = "y" * 30_000
        fields = f"Location: /{long}\r\n" * 100 + "Location: /other/\r\n"
        body = html('<b class="ad">x</b>' * 9999)
        origin.pages["/"] = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n{fields}\r\n{body}"
        ).encode()
        record = (await stage.render()).record
        assert record.reason == "a whole page for everybody"
        # It is no redirect. All cuts were made, and the first are remembered.
        assert (record.location, record.cut_count, len(record.cuts)) == ("", 9999, MAX_KEPT_CUTS)
        assert (stage.leaf() / "index.html").read_bytes() == html("").encode()
        assert len({id(cut.rule) for cut in record.cuts}) == 1
        for answered, verdict in {
            f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n{fields}\r\n": "redirect",
            f"HTTP/1.1 200 OK\r\nContent-Encoding: {long}\r\nContent-Length: 0\r\n\r\n": "malformed",
        }.items():
            origin.pages["/"] = answered.encode()
            result = await stage.render()
            assert result.verdict == verdict
            assert len(result.reason) <= MAX_CHARACTERS
            assert result.reason == result.record.reason
        origin.pages["/"] = f"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n{fields}\r\n".encode()
        assert (await stage.render()).record.location == brief(f"/{long}")
        origin.pages["/"] = html("").replace("<body", '<body id="error-page"').replace("<title>", f"<title>{long * 60}")
        result = await stage.render()
        assert (result.verdict, len(result.reason) <= MAX_CHARACTERS) == ("wp-die", True)
        result = stage.renderer.fail(stage.page(), ValueError(long))
        assert len(result.record.reason) == MAX_CHARACTERS

    journey(tmp_path, test, strip=[".ad"])


def test_what_is_stripped_is_recorded(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = html('a<b class="ad">buy</b>z')
        result = await stage.render()
        start = html().index("hello") + 1
        assert told(result) == PUBLISHED
        assert undone(stage.leaf()) == variants("html", html("az"))
        assert result.record.cuts == (Cut(start, start + len('<b class="ad">buy</b>'), ".ad"),)
        origin.pages["/"] = html('a<b class="ad">buy more</b>z')
        before = marks(stage.tree.path)
        assert told(await stage.render()) == UNCHANGED
        assert marks(stage.tree.path) == before

    journey(tmp_path, test, strip=[".ad"])


# --- Everything that keeps the last good page ------------------------------------------------------------------------

HALF = html()[:-20]
PUBLIC = "https://example.org"
# What the origin answers after a good page, the verdict, and words that the reason must have.
LAST_GOOD_PAGE_STAYS: dict[str, tuple[bytes | str, Outcome, str, str]] = {
    "500": (answer(html("oops"), 500), Outcome.KEPT, "status", "500"),
    "502": (answer(b"", 502), Outcome.KEPT, "status", "502"),
    "204": (answer(b"", 204), Outcome.KEPT, "status", "204"),
    "206": (answer(html(), 206), Outcome.KEPT, "status", "206"),
    "429": (answer(b"", 429), Outcome.KEPT, "status", "429"),
    "maintenance": (answer(html(), 503, Retry_After="0"), Outcome.KEPT, "maintenance", "Retry-After: 0"),
    "302 inside": (answer(b"", 302, Location="/new/"), Outcome.KEPT, "redirect", "/new/"),
    "302 outside": (answer(b"", 302, Location="https://evil.example/"), Outcome.KEPT, "redirect-outside", "evil"),
    "301 to itself": (answer(b"", 301, Location=f"{PUBLIC}/"), Outcome.KEPT, "redirect-loop", "X-Forwarded-Proto"),
    "301 to http": (answer(b"", 301, Location="http://example.org/"), Outcome.KEPT, "redirect-scheme", "http://"),
    "301 to nowhere": (answer(b"", 301), Outcome.KEPT, "redirect", "without saying where"),
    "half a page": (answer(HALF), Outcome.REFUSED, "truncated", "</html>"),
    "empty": (answer(b" \n"), Outcome.REFUSED, "empty", "empty"),
    "image": (answer(b"GIF89a", content_type="image/gif"), Outcome.REFUSED, "content-type", "image/gif"),
    "no type": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Outcome.REFUSED, "content-type", "none"),
    "latin-1": (answer(html(), content_type="text/html; charset=ISO-8859-1"), Outcome.REFUSED, "charset", "8859"),
    "private": (answer(html(), Cache_Control="private, max-age=0"), Outcome.REFUSED, "private", "private"),
    "no-store": (answer(html(), Cache_Control="No-Store"), Outcome.REFUSED, "no-store", "no-store"),
    "cookie": (answer(html(), Set_Cookie="cart=1; Path=/"), Outcome.REFUSED, "set-cookie", "'cart'"),
    "vary": (answer(html(), Vary="Accept, *"), Outcome.REFUSED, "vary", "*"),
    "own front end": (answer(html("x"), Cache_Status="staticify; hit"), Outcome.REFUSED, "origin-is-front", "origin"),
    "logged in": (answer(html(body_class="logged-in home")), Outcome.REFUSED, "logged-in", "logged-in"),
    "database": (answer("<html><body><h1>Error establishing a database connection</h1></body></html>"),
                 Outcome.REFUSED, "database-error", "database"),
    "PHP error": (answer(html("<br />\n<b>Fatal error</b>:  Uncaught")), Outcome.REFUSED, "php-error", "PHP"),
    "not XML": (answer("<rss>", content_type="application/rss+xml"), Outcome.REFUSED, "malformed", "XML"),
    "not JSON": (answer("{", content_type="application/json"), Outcome.REFUSED, "malformed", "JSON"),
    "too large": (answer(b"x" * 20_000), Outcome.KEPT, "too-large", "20000"),
    "broken off": (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 10\r\n\r\n12", Outcome.KEPT,
                   "timeout", "0.5 s"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Outcome.KEPT, "malformed", "HTTP"),
    "gzip bomb": (answer(gzip.compress(bytes(2**20)), Content_Encoding="gzip"), Outcome.KEPT, "too-large", "limit"),
}  # fmt: skip


def test_a_fetch_that_a_pause_kept_back_is_no_last_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        good = (await stage.render()).record

        async def pause(path: str) -> Answer:
            raise OriginPaused(0.0, "8 failures in a row")

        monkeypatch.setattr(stage.renderer._origin, "fetch", pause)
        stage.seconds += 60
        result = await stage.render()
        assert told(result) == (Outcome.KEPT, "paused")
        assert result.record == replace(
            good, outcome=Outcome.KEPT, verdict="paused", reason="not asked: 8 failures in a row", failures=1
        )
        assert (await stage.render("/new/")).record.checked_at == 0

    journey(tmp_path, test)


@pytest.mark.parametrize("name", LAST_GOOD_PAGE_STAYS)
def test_the_last_good_page_stays(tmp_path: Path, name: str) -> None:
    answered, outcome, verdict, word = LAST_GOOD_PAGE_STAYS[name]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        good = (await stage.render()).record
        before = marks(stage.tree.path)
        origin.pages["/"] = answered
        for failures in (1, 2, 3):
            stage.seconds += 60
            result = await stage.render()
            assert told(result) == (outcome, verdict), result.reason
            assert word in result.reason
            assert result.record == replace(
                good,
                checked_at=stage.seconds,
                outcome=outcome,
                verdict=verdict,
                reason=result.reason,
                failures=failures,
                status=result.record.status,
                headers=result.record.headers,
                location=result.record.headers.get("location", ""),
                render_seconds=result.record.render_seconds,
            )
        assert marks(stage.tree.path) == before
        origin.pages["/"] = html()
        stage.seconds += 60
        result = await stage.render()
        assert (told(result), result.record.failures, result.record.verified_at) == (UNCHANGED, 0, stage.seconds)
        assert marks(stage.tree.path) == before

    journey(tmp_path, test, deadline="500ms", max_bytes="10KiB")


@pytest.mark.parametrize("name", LAST_GOOD_PAGE_STAYS)
def test_what_was_never_good_is_not_published(tmp_path: Path, name: str) -> None:
    answered, outcome, verdict, _ = LAST_GOOD_PAGE_STAYS[name]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = answered
        result = await stage.render()
        assert told(result) == (outcome, verdict)
        assert not result.record.is_published
        assert files(stage.tree.path) == {}

    journey(tmp_path, test, deadline="500ms", max_bytes="10KiB")


# --- Gone ------------------------------------------------------------------------------------------------------------


def test_a_site_that_loses_its_pages_loses_a_few_at_a_time(tmp_path: Path) -> None:
    """A plugin changed all addresses, say, and nobody told."""
    paths = [f"/{number}/" for number in range(80)]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", *paths):
            origin.pages[path] = html(path)
            await stage.render(path)
        for path in paths:
            origin.pages[path] = answer(b"nothing found", 404)
        results = [await stage.render(path) for path in ("/", *paths)]
        outcomes = [result.outcome for result in results]
        assert outcomes == [Outcome.UNCHANGED, *[Outcome.GONE] * 8, *[Outcome.KEPT] * 72]
        assert "many pages went at once" in results[-1].reason
        assert all(undone(stage.leaf(path)) == variants("html", html(path)) for path in ("/", *paths[8:]))
        # Later some more. That something changed is not to say that pages are gone; an operator may mean it.
        stage.renderer.brake.losses = Losses()
        for path in paths:
            stage.store.set_due(stage.page(path).url, is_told=True)
        again = Counter([(await stage.render(path)).outcome for path in paths[8:]])
        assert again == {Outcome.GONE: 7, Outcome.KEPT: 65}
        for path in paths:
            stage.store.set_due(stage.page(path).url, is_meant=True)
        assert {(await stage.render(path)).outcome for path in paths} == {Outcome.GONE}

    journey(tmp_path, test)


@pytest.mark.parametrize("count", [2, 5, 30])
@pytest.mark.parametrize(
    "home",
    [
        answer(b"", 404),
        answer(b"", 301, Location="/new/"),
        answer(b"", 301, Location="https://www.example.org/"),
        html("Nothing found."),
    ],
)
def test_a_site_that_loses_its_home_page_loses_nothing(tmp_path: Path, home: bytes | str, count: int) -> None:
    """A table of the database is gone, say: WordPress answers 404 to all that is no list, and lists nothing."""
    paths = [f"/{number}/" for number in range(count)]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = html("many words about the launch " * 20)
        await stage.render("/")
        for path in paths:
            origin.pages[path] = html(path)
            await stage.render(path)
            origin.pages[path] = answer(b"", 404)
        before, origin.pages["/"] = marks(stage.tree.path), home
        for _ in range(8):
            stage.renderer.brake.losses = Losses()
            outcomes = [(await stage.render(path)).outcome for path in ("/", *paths)]
            assert set(outcomes) == {Outcome.KEPT}
            assert marks(stage.tree.path) == before
        # An operator says that it is meant.
        for path in ("/", *paths):
            stage.store.set_due(stage.page(path).url, is_meant=True)
        results = [await stage.render(path) for path in ("/", *paths)]
        if results[0].outcome is Outcome.KEPT:  # A redirect must be seen twice.
            results = [await stage.render(path) for path in ("/", *paths)]
        assert {result.outcome for result in results} <= {Outcome.GONE, Outcome.PUBLISHED}

    journey(tmp_path, test)


def test_a_closed_home_page_holds_the_others(tmp_path: Path) -> None:
    """A wrong document root: an empty directory, which a server answers 403 for, and 404 for all that is not in it."""
    paths = [f"/{number}/" for number in range(8)]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", *paths):
            origin.pages[path] = html(path)
            await stage.render(path)
            origin.pages[path] = answer(b"", 403 if path == "/" else 404)
        seen = []
        for _ in range(4):
            seen.append([(await stage.render(path)).outcome for path in ("/", *paths)])
            stage.seconds += 1800
        assert [outcomes[0] for outcomes in seen] == [Outcome.KEPT, Outcome.KEPT, Outcome.GONE, Outcome.GONE]
        assert {outcome for outcomes in seen for outcome in outcomes[1:]} == {Outcome.KEPT}
        assert "home page" in (await stage.render(paths[0])).reason
        # Nor when it answers something else for a moment.
        for status in (500, 404, 403):
            origin.pages["/"] = answer(b"", status)
            await stage.render("/")
            assert (await stage.render(paths[0])).outcome is Outcome.KEPT
        # An operator may mean that it is closed.
        stage.store.set_due(stage.page("/").url, is_meant=True)
        await stage.render("/")
        assert (await stage.render(paths[0])).outcome is Outcome.GONE
        # A site that is closed to everybody is closed.
        for path in paths[1:]:
            origin.pages[path] = answer(b"", 401)
        assert [(await stage.render(path)).outcome for path in paths[1:] * 2] == [
            *[Outcome.KEPT] * len(paths[1:]),
            *[Outcome.GONE] * len(paths[1:]),
        ]

    journey(tmp_path, test)


@pytest.mark.parametrize("is_wordpress", [True, False])
def test_what_is_closed_together_with_the_home_page_goes_in_an_hour(tmp_path: Path, *, is_wordpress: bool) -> None:
    """A firewall takes staticify for a robot, and answers 403 to all that it asks; or WordPress says so itself."""
    paths = ["/", *(f"/{number}/" for number in range(20))]
    closed = answer(b"", 403, **({"Expires": "Wed, 11 Jan 1984 05:00:00 GMT"} if is_wordpress else {}))

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in paths:
            origin.pages[path] = html(path)
            await stage.render(path)
            origin.pages[path] = closed
        seen = []
        for minutes in (1, 58, 1, 0):
            seen.append({(await stage.render(path)).outcome for path in paths})
            stage.seconds += 60 * minutes
        kept, gone = {Outcome.KEPT}, {Outcome.GONE}
        assert seen == ([kept, gone, gone, gone] if is_wordpress else [kept, kept, kept, gone])

    journey(tmp_path, test)


def test_a_page_that_is_closed_alone_goes_at_once_and_with_the_home_page_only_if_that_is_meant(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        paths = [f"/{number}/" for number in range(20)]
        for path in ("/", *paths):
            origin.pages[path] = html(path)
            await stage.render(path)
        for path in paths[1:6]:
            origin.pages[path] = answer(b"", 403)
        for expected in (Outcome.KEPT, Outcome.GONE):
            assert {(await stage.render(path)).outcome for path in paths[1:6]} == {expected}
        # What changed, or is to be rendered anew with all others, may be a firewall's all the same.
        origin.pages["/"] = origin.pages["/0/"] = answer(b"", 403)
        stage.store.set_due(stage.page("/0/").url, is_told=True)
        for _ in range(3):
            assert (await stage.render("/0/")).outcome is Outcome.KEPT
        stage.store.set_due(stage.page("/0/").url, is_meant=True)
        assert (await stage.render("/0/")).outcome is Outcome.GONE

    journey(tmp_path, test)


def test_of_what_a_firewall_closes_but_for_the_home_page_few_go_at_once_and_the_others_in_an_hour(
    tmp_path: Path,
) -> None:
    paths = [f"/{number}/" for number in range(80)]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", *paths):
            origin.pages[path] = html(path)
            await stage.render(path)
        origin.pages.update(dict.fromkeys(paths, answer(b"", 403)))
        for path in paths:
            await stage.render(path)
        origin.requests.clear()
        results = [await stage.render(path) for path in paths]
        assert [result.outcome for result in results] == [*[Outcome.GONE] * 8, *[Outcome.KEPT] * 72]
        assert "many pages went at once; for 1 h at most" in results[-1].reason
        assert origin.paths().count("/") == 8
        stage.seconds += 3600
        assert {(await stage.render(path)).outcome for path in paths[8:]} == {Outcome.GONE}

    journey(tmp_path, test)


def test_a_home_page_that_never_went_out_is_closed_by_a_firewall_all_the_same(tmp_path: Path) -> None:
    """One that sets a cookie, say."""
    paths = [f"/{number}/" for number in range(20)]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = answer(html(), Set_Cookie="cart=1")
        await stage.render("/")
        for path in paths:
            origin.pages[path] = html(path)
            await stage.render(path)
        origin.pages.update(dict.fromkeys(("/", *paths), answer(b"", 403)))
        await stage.render("/")
        seen = []
        for minutes in (1, 58, 1, 0):
            seen.append({(await stage.render(path)).outcome for path in paths})
            stage.seconds += 60 * minutes
        assert seen == [{Outcome.KEPT}, {Outcome.KEPT}, {Outcome.KEPT}, {Outcome.GONE}]

    journey(tmp_path, test)


@pytest.mark.parametrize("name", ["away", "blocked"])
def test_a_site_that_is_closed_for_hours_is_not_asked_twice_as_often(tmp_path: Path, name: str) -> None:
    paths = [f"/{number}/" for number in range(20)]
    away, blocked = answer(b"", 302, Location="/soon/"), answer(b"", 403)

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        # What is away holds the others where it stands; what is blocked, where it never went out.
        origin.pages["/"] = html() if name == "away" else answer(html(), Set_Cookie="cart=1")
        origin.pages.update((path, html(path)) for path in paths)
        for path in ("/", *paths):
            await stage.render(path)
        origin.pages.update(dict.fromkeys(("/", *paths), away if name == "away" else blocked))
        for path in paths:
            await stage.render(path)
        stage.seconds += 3600 if name == "away" else 60
        origin.requests.clear()
        results = [await stage.render(path) for path in paths]
        assert {"so does the home page" in result.reason for result in results} == {True}
        assert origin.paths() == [paths[0], "/", *paths[1:]]

    journey(tmp_path, test)


def test_what_a_home_page_answered_that_is_out_since_holds_nothing(tmp_path: Path) -> None:
    private = answer(html("For members."), Cache_Control="private")

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", "/a/"):
            origin.pages[path] = html()
            await stage.render(path)
        origin.pages |= {"/": answer(html(), Cache_Control="private"), "/a/": private}
        await stage.render("/a/")
        stage.seconds += 3600
        assert "so does the home page" in (await stage.render("/a/")).reason
        origin.pages["/"] = answer(b"", 404)
        stage.store.set_due(stage.page("/").url, is_meant=True)
        assert (await stage.render("/")).outcome is Outcome.GONE
        assert (await stage.render("/a/")).outcome is Outcome.GONE

    journey(tmp_path, test)


@pytest.mark.parametrize(
    ("home", "outcome"),
    [
        (answer(b"", 404), Outcome.KEPT),
        (answer(b"", 403), Outcome.KEPT),
        (answer(b"", 500), Outcome.KEPT),
        (html("Nothing found."), Outcome.KEPT),
        (html("many words about the launch " * 19), Outcome.GONE),
        # It is there, whatever else is to be said of it.
        (html("many words about the launch " * 20).partition("</html>")[0], Outcome.GONE),
        (answer(html("many words about the launch " * 20), Cache_Control="private"), Outcome.GONE),
        (answer(b"", 302, Location="/en/"), Outcome.GONE),
        (answer(b"", 302, Location="/wp-admin/install.php"), Outcome.KEPT),
        # Not WordPress's: whoever stands before it.
        (answer(b"ok", content_type="text/plain"), Outcome.KEPT),
        (answer(b"ok", content_type="text/html"), Outcome.KEPT),
    ],
)
def test_before_a_page_goes_the_home_page_is_asked_for(tmp_path: Path, home: bytes | str, outcome: Outcome) -> None:
    """What the home page was when it was looked at last says nothing about what happened since."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"], origin.pages["/a/"] = html("many words about the launch " * 20), html("a")
        for path in ("/", "/a/"):
            await stage.render(path)
        before = stage.store.get(stage.page("/").url)
        origin.pages["/"], origin.pages["/a/"] = home, answer(b"", 404)
        assert (await stage.render("/a/")).outcome is outcome
        assert stage.store.get(stage.page("/").url) == before, "that one's own journey is another matter"
        stage.store.set_due(stage.page("/").url, is_told=True)
        stage.renderer.brake.forget_home()
        is_there = "Nothing found." in str(home) or home == answer(b"ok", content_type="text/html")
        assert ((await stage.render("/a/")).outcome is Outcome.GONE) is (is_there or outcome is Outcome.GONE)

    journey(tmp_path, test)


WORDPRESS = html(
    "many words about the launch " * 20
    + "".join(f'<script src="/wp-includes/js/{number}.js"></script>' for number in range(3))
)
DEFAULT_PAGE = html("<h1>It works!</h1>" + "This is the default welcome page of the web server. " * 30)


def test_a_web_servers_own_page_takes_the_place_of_none(tmp_path: Path) -> None:
    """A wrong document root: a long page in the place of the home page, and nothing in that of others."""
    paths = [f"/{number}/" for number in range(20)]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", *paths):
            origin.pages[path] = WORDPRESS
            await stage.render(path)
            origin.pages[path] = answer(b"", 404)
        before, origin.pages["/"] = marks(stage.tree.path), DEFAULT_PAGE
        for _ in range(8):
            stage.renderer.brake.losses = Losses()
            results = [await stage.render(path) for path in ("/", *paths)]
            assert {result.outcome for result in results} == {Outcome.KEPT}
            assert results[0].verdict == "not-wordpress"
            assert "home page" in results[1].reason
        assert marks(stage.tree.path) == before
        # A page alone: whoever moves it out of WordPress means it, or says so twice more.
        origin.pages["/1/"] = DEFAULT_PAGE
        origin.pages["/"] = WORDPRESS
        await stage.render("/")
        outcomes = [(await stage.render("/1/")).outcome for _ in range(3)]
        assert outcomes == [Outcome.KEPT, Outcome.KEPT, Outcome.PUBLISHED]

    journey(tmp_path, test)


@pytest.mark.parametrize("status", [301, 302])
@pytest.mark.parametrize(("there", "outcome"), [(True, Outcome.GONE), (False, Outcome.KEPT)])
def test_where_the_home_page_leads_to_a_language_that_ones_tells(
    tmp_path: Path, outcome: Outcome, status: int, *, there: bool
) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = answer(b"", status, Location="/en/")
        for path in ("/en/", "/en/a/"):
            origin.pages[path] = html(path)
        for path in ("/", "/en/", "/en/a/"):
            await stage.render(path)
        origin.pages["/en/a/"] = answer(b"", 404)
        if not there:
            origin.pages["/en/"] = answer(b"", 404)
        assert (await stage.render("/en/a/")).outcome is outcome

    journey(tmp_path, test)


@pytest.mark.parametrize("home", [answer(b"", 403), answer(b"", 404), answer(b"", 500), DEFAULT_PAGE])
def test_where_the_home_page_leads_nowhere_any_more_the_language_is_lost_too(tmp_path: Path, home: bytes | str) -> None:
    """A wrong document root, or a database that lost its tables, answers so for what led to the language as well."""
    paths = [f"/en/{number}/" for number in range(8)]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = answer(b"", 302, Location="/en/")
        origin.pages |= {"/en/": WORDPRESS} | {path: html(path) for path in paths}
        for path in ("/", "/en/", *paths):
            await stage.render(path)
        before = marks(stage.tree.path)
        origin.pages |= {path: answer(b"", 404) for path in ("/en/", *paths)}
        origin.pages["/"] = home
        for _ in range(3):
            await stage.render("/")
            assert {(await stage.render(path)).outcome for path in ("/en/", *paths)} == {Outcome.KEPT}
        assert marks(stage.tree.path) == before
        origin.pages |= {"/": WORDPRESS, "/en/": answer(b"", 301, Location="/")}
        assert [told(await stage.render(path)) for path in ("/", "/en/", "/en/")] == [
            PUBLISHED,
            (Outcome.KEPT, "moved"),
            (Outcome.GONE, "moved"),
        ]

    journey(tmp_path, test)


def test_a_language_that_lost_its_posts_goes_out_as_little_as_a_home_page(tmp_path: Path) -> None:
    paths = [f"/en/{number}/" for number in range(4)]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = answer(b"", 302, Location="/en/")
        origin.pages["/en/"] = html("many words about the launch " * 20)
        origin.pages |= {path: html(path) for path in paths}
        for path in ("/", "/en/", *paths):
            await stage.render(path)
        before = marks(stage.tree.path)
        origin.pages |= {path: answer(b"", 404) for path in paths}
        origin.pages["/en/"] = html("Nothing found.")
        for _ in range(8):
            assert {(await stage.render(path)).outcome for path in ("/en/", *paths)} == {Outcome.KEPT}
        assert marks(stage.tree.path) == before

    journey(tmp_path, test)


def test_a_home_page_that_nobody_remembers_stands_in_the_tree_all_the_same(tmp_path: Path) -> None:
    """The database was lost, and a single pass comes to the home page last."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", "/a/"):
            origin.pages[path] = html(path)
            await stage.render(path)
            origin.pages[path] = answer(b"", 404)
            stage.store.forget([stage.page(path).url])
        assert (await stage.render("/a/")).outcome is Outcome.KEPT

    journey(tmp_path, test)


def test_what_a_page_must_have_and_never_had_holds_nothing(tmp_path: Path) -> None:
    paths = ["/", "/a/", "/b/"]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in paths:
            origin.pages[path] = html(path)
            assert [(await stage.render(path)).outcome for _ in range(3)] == [
                Outcome.KEPT,
                Outcome.KEPT,
                Outcome.PUBLISHED,
            ]
        # It changes, and lacks what it lacked before.
        origin.pages["/"] = html("news")
        assert (await stage.render("/")).outcome is Outcome.PUBLISHED
        origin.pages["/a/"] = answer(b"", 404)
        assert (await stage.render("/a/")).outcome is Outcome.GONE
        # What it has got since must stay.
        origin.pages["/"] = html("news <em>with</em> it")
        assert (await stage.render("/")).outcome is Outcome.PUBLISHED
        origin.pages["/"] = html("news again")
        assert (await stage.render("/")).verdict == "required"

    journey(tmp_path, test, require=["em"])


def test_a_home_page_that_cannot_be_had_is_not_called_lost(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", "/a/"):
            origin.pages[path] = html(path)
            await stage.render(path)
        origin.pages["/"], origin.pages["/a/"] = answer(b"", 500), answer(b"", 404)
        assert "the home page cannot be asked for just now" in (await stage.render("/a/")).reason

    journey(tmp_path, test)


def test_a_home_page_that_was_shorter_once_and_leads_elsewhere_since_holds_no_other(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", "/a/"):
            origin.pages[path] = html("many words about the launch " * 20)
            await stage.render(path)
            origin.pages[path] = html("few")
        await stage.render("/")
        origin.pages["/"] = answer(b"", 302, Location="/en/")
        await stage.render("/")
        assert [(await stage.render("/a/")).outcome for _ in range(3)][-1] is Outcome.PUBLISHED

    journey(tmp_path, test)


def test_a_page_that_is_taken_back_while_its_fetch_fails_stands_in_no_record(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        page = stage.page("/a/")
        origin.pages["/a/"] = html("a")
        standing = (await stage.render("/a/")).record

        async def meanwhile(exchange: Exchange) -> None:
            stage.renderer.overtake(page)
            stage.renderer.remove(page, standing, 0.0, Verdict("revoked", Outcome.GONE, "gone"))
            await exchange.send(answer(b"", 500))

        origin.pages["/a/"] = meanwhile
        result = await stage.render("/a/")
        assert (result.outcome, result.verdict) == (Outcome.KEPT, "status")
        assert not result.record.is_published
        assert files(stage.tree.path) == {}

    journey(tmp_path, test)


def test_pages_that_go_wait_for_no_home_page_that_hangs(tmp_path: Path) -> None:
    paths = [f"/{number}/" for number in range(6)]

    async def hang(_: Exchange) -> None:
        await asyncio.Event().wait()

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", *paths):
            origin.pages[path] = html(path)
            await stage.render(path)
            origin.pages[path] = hang if path == "/" else answer(b"", 404)
        started = time.monotonic()
        results = await asyncio.gather(*map(stage.render, paths))
        assert {result.outcome for result in results} == {Outcome.KEPT}
        assert time.monotonic() - started < 2 * DEADLINE_SECONDS
        await stage.render("/")
        started = time.monotonic()
        assert (await stage.render(paths[0])).outcome is Outcome.KEPT
        assert time.monotonic() - started < DEADLINE_SECONDS

    journey(tmp_path, test, concurrency=len(paths), deadline=f"{DEADLINE_SECONDS:g}s")


def test_what_is_heard_of_a_lost_home_page_meanwhile_lets_no_page_go(tmp_path: Path) -> None:
    """Its own journey ends while others wait for what it is."""
    paths = [f"/{number}/" for number in range(5)]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", *paths):
            origin.pages[path] = html(path)
            await stage.render(path)
            origin.pages[path] = answer(b"", 404)
        together = asyncio.Barrier(2)

        async def fail(exchange: Exchange) -> None:
            await together.wait()
            origin.pages["/"] = answer(b"", 500)
            await exchange.send(answer(b"", 500))

        origin.pages["/"] = fail
        results = await asyncio.gather(*map(stage.render, (*paths, "/")))
        assert {result.outcome for result in results} == {Outcome.KEPT}

    journey(tmp_path, test, concurrency=len(paths) + 1)


def test_pages_that_go_together_ask_for_the_home_page_once(tmp_path: Path) -> None:
    paths = [f"/{number}/" for number in range(4)]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", *paths):
            origin.pages[path] = html(path)
            await stage.render(path)
        together = asyncio.Barrier(len(paths))

        async def gone(exchange: Exchange) -> None:
            await together.wait()
            await exchange.send(answer(b"", 404))

        for path in paths:
            origin.pages[path] = gone
        asked = origin.paths().count("/")
        results = await asyncio.gather(*map(stage.render, paths))
        assert {result.outcome for result in results} == {Outcome.GONE}
        assert 1 <= origin.paths().count("/") - asked <= 2
        # Nor does a home page that is lost double what is asked for.
        origin.pages["/"] = answer(b"", 404)
        for path in paths:
            origin.pages[path] = html(path)
            await stage.render(path)
            origin.pages[path] = answer(b"", 404)
        asked = origin.paths().count("/")
        assert {(await stage.render(path)).outcome for path in paths} == {Outcome.KEPT}
        assert origin.paths().count("/") - asked == 1
        origin.pages["/"] = html("/")
        await stage.render("/")
        assert {(await stage.render(path)).outcome for path in paths[:1]} == {Outcome.GONE}

    journey(tmp_path, test, concurrency=len(paths))


def test_a_home_page_that_shrank_is_published_although_a_page_or_two_are_gone(tmp_path: Path) -> None:
    """Each waits for the other, and neither for ever."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = html("many words about the launch " * 20)
        origin.pages["/a/"] = html("a")
        for path in ("/", "/a/"):
            await stage.render(path)
        origin.pages["/"], origin.pages["/a/"] = html("few"), answer(b"", 404)
        seen = [((await stage.render("/")).outcome, (await stage.render("/a/")).outcome) for _ in range(3)]
        assert seen == [*[(Outcome.KEPT, Outcome.KEPT)] * 2, (Outcome.PUBLISHED, Outcome.GONE)]

    journey(tmp_path, test)


def test_of_a_small_site_five_go_at_once(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        paths = [f"/{number}/" for number in range(8)]
        for path in paths:
            await stage.render(path)
            origin.pages[path] = html(path)
            await stage.render(path)
            origin.pages[path] = answer(b"", 410)
        outcomes = [(await stage.render(path)).outcome for path in paths]
        assert outcomes == [*[Outcome.GONE] * 5, *[Outcome.KEPT] * 3]

    journey(tmp_path, test)


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_that_wordpress_does_not_have_goes_at_once(tmp_path: Path, status: int) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/b/"] = html()
        await stage.render("/")
        first = (await stage.render("/a/b/")).record
        origin.pages["/a/b/"] = answer(b"gone", status)
        stage.seconds += 60
        result = await stage.render("/a/b/")
        assert told(result) == (Outcome.GONE, "gone")
        assert result.record == Record(
            url=first.url, site=first.site, kind=Kind.HTML, rules_digest=first.rules_digest, status=status,
            first_seen_at=stage.seconds - 60, checked_at=stage.seconds, verified_at=stage.seconds,
            changed_at=stage.seconds, render_seconds=result.record.render_seconds, outcome=Outcome.GONE,
            verdict="gone", reason=f"WordPress answers {status}", headers=result.record.headers,
        )  # fmt: skip
        assert {path.name for path in (stage.tree.path / "example.org").iterdir()} == {"@staticify"}
        origin.pages["/a/b/"] = html("back")
        assert told(await stage.render("/a/b/")) == PUBLISHED
        assert undone(stage.leaf("/a/b/")) == variants("html", html("back"))

    journey(tmp_path, test)


GONE_WITH_A_BAD_BODY = {
    "empty gzip": answer(b"", 410, Content_Encoding="gzip"),
    "broken gzip": answer(b"no gzip", 404, Content_Encoding="gzip"),
    "unknown coding": answer(b"?", 404, Content_Encoding="zstd"),
    "too large": answer(b"x" * 20_000, 404),
    "broken off": b"HTTP/1.1 410 Gone\r\nContent-Type: text/html\r\nContent-Length: 10\r\n\r\n12",
}


@pytest.mark.parametrize("name", GONE_WITH_A_BAD_BODY)
def test_a_page_goes_whatever_is_wrong_with_the_body_that_says_so(tmp_path: Path, name: str) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/"] = html()
        await stage.render("/a/")
        origin.pages["/a/"] = GONE_WITH_A_BAD_BODY[name]
        assert told(await stage.render("/a/")) == (Outcome.GONE, "gone")
        assert files(stage.tree.path) == {}

    journey(tmp_path, test, max_bytes="10KiB")


DOUBTFUL = {
    "401": (answer(b"", 401), "not-public"),
    "403": (answer(b"", 403), "blocked"),
    "WordPress's own 403": (answer(b"", 403, Expires="Wed, 11 Jan 1984 05:00:00 GMT"), "not-public"),
    "password": (answer(html('<form action="/wp-login.php?action=postpass"></form>')), "password"),
    "login": (answer(b"", 302, Location=f"{PUBLIC}/wp-login.php?redirect_to=%2F"), "not-public"),
    "moved": (answer(b"", 301, Location="/new/"), "moved"),
    "moved for good": (answer(b"", 308, Location=f"{PUBLIC}/new/"), "moved"),
    "moved to another site": (answer(b"", 301, Location="https://shop.example/"), "moved"),
    "moved to a query": (answer(b"", 301, Location="/?page_id=2"), "moved"),
    "moved, with a broken body": (answer(b"", 301, Location="/new/", Content_Encoding="gzip"), "moved"),
    "a plugin's login": (answer(b"", 302, Location="/login/?redirect_to=%2F"), "not-public"),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_doubtful_sign_must_be_seen_twice(tmp_path: Path, name: str) -> None:
    answered, verdict = DOUBTFUL[name]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/"] = html()
        await stage.render("/a/")
        before = marks(stage.tree.path)
        origin.pages["/a/"] = answered
        first = await stage.render("/a/")
        assert told(first) == (Outcome.KEPT, verdict)
        assert "removed if the next fetch agrees" in first.reason
        assert marks(stage.tree.path) == before
        assert told(await stage.render("/a/")) == (Outcome.GONE, verdict)
        assert files(stage.tree.path) == {}

    journey(tmp_path, test)


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_doubtful_sign_that_passes_removes_nothing(tmp_path: Path, name: str) -> None:
    answered, verdict = DOUBTFUL[name]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        before = marks(stage.tree.path)
        for between in (answer(html()), answer(b"", 500)):
            origin.pages["/"] = answered
            assert told(await stage.render()) == (Outcome.KEPT, verdict)
            origin.pages["/"] = between
            await stage.render()
        assert marks(stage.tree.path) == before

    journey(tmp_path, test)


def test_two_doubtful_signs_agree_whatever_lies_between_them(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        for status, expected in ((403, Outcome.KEPT), (500, Outcome.KEPT), (401, Outcome.GONE)):
            origin.pages["/"] = answer(b"", status)
            assert (await stage.render()).outcome is expected
        origin.pages["/"] = html("back")
        assert (await stage.render()).outcome is Outcome.PUBLISHED
        # A good answer wipes the doubt.
        for status, expected in ((403, Outcome.KEPT), (200, Outcome.UNCHANGED), (403, Outcome.KEPT)):
            origin.pages["/"] = answer(b"", status) if status != 200 else html("back")
            assert (await stage.render()).outcome is expected

    journey(tmp_path, test)


AWAY = {
    "inside": answer(b"", 302, Location="/membership-levels/"),
    "to no page": answer(b"", 302, Location="/?p=7"),
    "outside": answer(b"", 302, Location="https://members.example/a/"),
    "private": answer(html("For members: join us."), Cache_Control="no-cache, private"),
    "no-store": answer(html("For members: join us."), Cache_Control="no-store"),
    "nocache_headers() of old": answer(html("Join us."), Expires="Wed, 11 Jan 1984 05:00:00 GMT"),
}


@pytest.mark.parametrize("name", AWAY)
def test_what_is_not_for_everybody_for_long_leaves_the_tree(tmp_path: Path, name: str) -> None:
    """A page that became one for members only sends everybody else away, or shows them something else."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/"] = html()
        for path in ("/", "/a/"):
            await stage.render(path)
        away = AWAY[name]
        # What is good again, or in error, begins nothing and ends nothing.
        for status, seconds in ((302, 60), (200, 3600), (302, 60), (500, 2940), (302, 599)):
            origin.pages["/a/"] = away if status == 302 else html() if status == 200 else answer(b"", status)
            result = await stage.render("/a/")
            assert result.record.is_published
            assert ("removed if that lasts 1 h" in result.reason) is (status == 302)
            stage.seconds += seconds
        origin.pages["/a/"] = away
        assert (await stage.render("/a/")).outcome in {Outcome.KEPT, Outcome.REFUSED}
        stage.seconds += 1
        assert (await stage.render("/a/")).outcome is Outcome.GONE
        assert not stage.leaf("/a/").exists()

    journey(tmp_path, test)


def test_what_lasts_an_hour_is_no_single_answer_at_its_end(tmp_path: Path) -> None:
    refused = answer(html(), Set_Cookie="cart=1")

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/"] = html()
        for path in ("/", "/a/"):
            await stage.render(path)
        outcomes = []
        # Whatever comes before the second time: what is seen now and then must not stay for ever.
        for answered, seconds in ((AWAY["inside"], 60), (refused, 3600), (AWAY["inside"], 60), (refused, 60)):
            origin.pages["/a/"] = answered
            outcomes.append((await stage.render("/a/")).outcome)
            stage.seconds += seconds
        origin.pages["/a/"] = AWAY["inside"]
        outcomes.append((await stage.render("/a/")).outcome)
        assert outcomes == [Outcome.KEPT, Outcome.REFUSED, Outcome.KEPT, Outcome.REFUSED, Outcome.GONE]

    journey(tmp_path, test)


def test_an_hour_of_a_firewalls_begins_with_the_first_403(tmp_path: Path) -> None:
    """A site that redirects everything for hours loses nothing, nor by one answer of a host that closes it then."""
    paths = ["/", *(f"/{number}/" for number in range(20))]
    blocked = answer(b"", 403)

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in paths:
            origin.pages[path] = html(path)
            await stage.render(path)
        seen = []
        for answered, minutes in [
            (AWAY["inside"], 90), (blocked, 60), (AWAY["inside"], 60), (answer(b"", 500), 1),
            (blocked, 59), (blocked, 1), (blocked, 0),
        ]:  # fmt: skip
            origin.pages.update(dict.fromkeys(paths, answered))
            seen.append({(await stage.render(path)).outcome for path in paths[1:]})
            stage.seconds += 60 * minutes
        assert seen == [{Outcome.KEPT}] * 6 + [{Outcome.GONE}]

    journey(tmp_path, test)


def test_a_firewall_now_and_then_keeps_no_page_that_is_for_members_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticify.brake.LOST_SECONDS", 0.0)  # By the clock of the machine.

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages |= {"/": html(), "/a/": html()}
        for path in origin.pages:
            await stage.render(path)
        seen = []
        for minutes in range(0, 65, 5):
            is_blocked = minutes in {25, 50}
            origin.pages["/"] = answer(b"", 403) if is_blocked else html()
            origin.pages["/a/"] = answer(b"", 403) if is_blocked else AWAY["inside"]
            seen.append((await stage.render("/a/")).outcome)
            stage.seconds += 300
        assert seen == [Outcome.KEPT] * 12 + [Outcome.GONE]

    journey(tmp_path, test)


def test_an_hour_of_a_firewalls_begins_with_the_first_403_over_a_restart_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html(), "/a/": html()}).running() as origin:
            began_at = 1_000_000_000.0
            async with staged(tmp_path, origin.address, clock=began_at) as stage:
                for path in ("/", "/a/"):
                    await stage.render(path)
                for away in (AWAY["inside"], answer(b"", 403)):
                    origin.pages |= dict.fromkeys(origin.pages, away)
                    assert (await stage.render("/a/")).outcome is Outcome.KEPT
                    stage.seconds += 7200
            for seconds, outcome in ((7200 + 3599, Outcome.KEPT), (7200 + 3600, Outcome.GONE)):
                async with staged(tmp_path, origin.address, clock=began_at + seconds) as stage:
                    assert (await stage.render("/a/")).outcome is outcome

    asyncio.run(main())


def test_of_what_is_not_in_the_tree_no_doubt_is_counted(tmp_path: Path) -> None:
    """Pages come and go for years."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/"] = html()
        await stage.render("/a/")
        origin.pages["/a/"] = answer(b"", 401)
        assert [(await stage.render("/a/")).outcome for _ in range(2)] == [Outcome.KEPT, Outcome.GONE]
        assert vars(stage.renderer._doubts) == vars(Doubts(stage.renderer._doubts._monotonic))

    journey(tmp_path, test)


@pytest.mark.parametrize("jump", [3600, 365 * 86_400, -3600, -365 * 86_400])
def test_an_hour_of_doubt_is_an_hour_whatever_the_wall_clock_says(tmp_path: Path, jump: int) -> None:
    paths = ["/", "/a/", "/b/"]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in paths:
            origin.pages[path] = html()
            await stage.render(path)
        # One answers elsewhere alone; all others are closed by a firewall, until the home page is open again.
        origin.pages |= dict.fromkeys(paths, answer(b"", 403)) | {"/a/": AWAY["inside"]}
        seen = []
        for seconds in (60, 3539, 1, 0):
            seen.append([(await stage.render(path)).outcome for path in paths])
            stage.seconds += seconds
            stage.jumped_seconds = jump
        origin.pages["/"] = html()
        seen.append([(await stage.render(path)).outcome for path in paths])
        kept, gone = Outcome.KEPT, Outcome.GONE
        assert seen == [[kept] * 3, [kept] * 3, [kept] * 3, [gone, kept, gone], [Outcome.PUBLISHED, gone, gone]]

    journey(tmp_path, test)


def test_an_hour_of_doubt_goes_on_over_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": answer(html()), "/a/": answer(html())}).running() as origin:
            async with staged(tmp_path, origin.address) as stage:
                for path in ("/", "/a/"):
                    await stage.render(path)
                origin.pages["/a/"] = AWAY["inside"]
                began_at = stage.seconds
                assert (await stage.render("/a/")).outcome is Outcome.KEPT
            async with staged(tmp_path, origin.address, clock=began_at + 3599) as stage:
                assert (await stage.render("/a/")).outcome is Outcome.KEPT
            # By a clock that is behind nothing is known: the hour begins anew.
            async with staged(tmp_path, origin.address, clock=began_at - 86_400) as stage:
                for seconds, outcome in ((3599, Outcome.KEPT), (1, Outcome.KEPT), (0, Outcome.GONE)):
                    assert (await stage.render("/a/")).outcome is outcome
                    stage.seconds += seconds

    asyncio.run(main())


def test_a_redirect_for_now_of_a_page_that_was_changed_must_be_seen_twice(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/"] = html()
        for path in ("/", "/a/"):
            await stage.render(path)
        origin.pages["/a/"] = answer(b"", 302, Location="/membership-levels/")
        stage.store.set_due(stage.page("/a/").url, is_told=True)
        result = await stage.render("/a/")
        assert told(result) == (Outcome.KEPT, "redirect")
        assert "removed if the next fetch agrees" in result.reason
        assert told(await stage.render("/a/")) == (Outcome.GONE, "redirect")

    journey(tmp_path, test)


@pytest.mark.parametrize("name", AWAY)
def test_a_site_that_is_for_nobody_for_a_while_loses_nothing(tmp_path: Path, name: str) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        paths = [f"/{number}/" for number in range(20)]
        for path in ("/", *paths):
            origin.pages[path] = html(path)
            await stage.render(path)
        before = marks(stage.tree.path)
        origin.pages.update(dict.fromkeys(("/", *paths), AWAY[name]))
        for _ in range(5):
            for path in ("/", *paths):
                stage.store.set_due(stage.page(path).url, is_told=True)
                assert (await stage.render(path)).outcome in {Outcome.KEPT, Outcome.REFUSED}
            stage.seconds += 1800
        assert marks(stage.tree.path) == before
        stage.store.set_due(stage.page("/1/").url, is_told=True)
        assert "the home page" in (await stage.render("/1/")).reason

    journey(tmp_path, test)


@pytest.mark.parametrize("name", AWAY)
def test_a_splash_page_in_place_of_the_home_page_alone_takes_no_page_out(tmp_path: Path, name: str) -> None:
    """A site that is closed for a while says so on its home page, with status 200, and sends all others there."""
    paths = [f"/{number}/" for number in range(20)]

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        for path in ("/", *paths):
            origin.pages[path] = html("many words about the launch " * 20)
            await stage.render(path)
        before = marks(stage.tree.path)
        origin.pages.update(dict.fromkeys(paths, AWAY[name]))
        origin.pages["/"] = html("We will be back soon.")
        for _ in range(6):
            results = [await stage.render(path) for path in ("/", *paths)]
            stage.seconds += 1200
        assert marks(stage.tree.path) == before
        assert "WordPress has 20 other pages no more, not whole, or not for everybody" in results[0].reason
        assert "the home page" in results[1].reason

    journey(tmp_path, test)


def test_where_a_page_moved_to_is_recorded_and_forgotten(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = answer(b"", 301, Location="/new/")
        assert (await stage.render()).record.location == "/new/"
        origin.pages["/"] = html()
        assert (await stage.render()).record.location == ""

    journey(tmp_path, test)


# --- Noise -----------------------------------------------------------------------------------------------------------


def noisy(number: int) -> str:
    return html(f'<input type="hidden" name="ak_js" value="{number}"><i>render {number}</i>')


def test_noise_touches_nothing(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = noisy(1)
        await stage.render()
        before = marks(stage.tree.path)
        for number in range(2, 5):
            stage.seconds += 60
            origin.pages["/"] = noisy(number)
            assert told(await stage.render()) == UNCHANGED
        assert marks(stage.tree.path) == before

    journey(tmp_path, test, ignore=["<i>render \\d+</i>"])


@pytest.mark.parametrize("is_still_changing", [True, False])
def test_old_noise_is_published_all_the_same(tmp_path: Path, *, is_still_changing: bool) -> None:
    """A page may hide something behind its noise that expires, whether the noise goes on changing or not."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = noisy(1)
        await stage.render()
        origin.pages["/"] = noisy(2)
        stage.seconds += 60
        assert told(await stage.render()) == UNCHANGED
        stage.seconds += MAX_NOISE_SECONDS - 120
        assert told(await stage.render()) == UNCHANGED
        stage.seconds += 120
        last = noisy(3) if is_still_changing else noisy(2)
        origin.pages["/"] = last
        assert told(await stage.render()) == PUBLISHED
        assert undone(stage.leaf()) == variants("html", last)

    journey(tmp_path, test, ignore=["<i>render \\d+</i>"])


def test_noise_published_by_a_clock_that_was_ahead_is_replaced_once_when_it_is_right(tmp_path: Path) -> None:
    """Else what expires behind the noise would stand until the clock is where it was: for a year."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        right = stage.seconds
        stage.tree._now = lambda: stage.seconds
        stage.seconds += 365 * 86400
        origin.pages["/"] = noisy(1)
        assert told(await stage.render()) == PUBLISHED
        stage.seconds = right
        origin.pages["/"] = noisy(2)
        assert told(await stage.render()) == PUBLISHED
        stage.seconds += 60
        origin.pages["/"] = noisy(3)
        assert told(await stage.render()) == UNCHANGED
        assert undone(stage.leaf()) == variants("html", noisy(2))

    journey(tmp_path, test, ignore=["<i>render \\d+</i>"])


def test_an_old_page_without_noise_is_not_published_again(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        before = marks(stage.tree.path)
        stage.seconds += 10 * MAX_NOISE_SECONDS
        assert told(await stage.render()) == UNCHANGED
        assert marks(stage.tree.path) == before

    journey(tmp_path, test)


# --- Rules, records and trees that change under us -------------------------------------------------------------------


async def with_rules(directory: Path, origin: ScriptedOrigin, **keys: Any) -> Result:
    async with staged(directory, origin.address, **keys) as stage:
        return await stage.render()


def test_other_rules_mean_another_look(tmp_path: Path) -> None:
    async def main() -> None:
        page = html('a<b class="ad">buy</b>z')
        async with ScriptedOrigin(pages={"/": answer(page, Set_Cookie="lang=en")}).running() as origin:
            leaf = tmp_path / "tree/example.org/@staticify"
            assert told(await with_rules(tmp_path, origin, allow_cookies=["lang"])) == PUBLISHED
            assert undone(leaf) == variants("html", page)
            assert told(await with_rules(tmp_path, origin, allow_cookies=["lang"], strip=[".ad"])) == PUBLISHED
            assert undone(leaf) == variants("html", html("az"))
            before = marks(tmp_path / "tree")
            # A selector that matches nothing: looked at, and found to be the same.
            assert told(await with_rules(tmp_path, origin, allow_cookies=["lang"], strip=[".ad", ".no"])) == UNCHANGED
            # And rules that do not let it out any more: never worse than the last good page.
            assert told(await with_rules(tmp_path, origin, strip=[".ad"])) == (Outcome.REFUSED, "set-cookie")
            assert marks(tmp_path / "tree") == before

    asyncio.run(main())


def test_a_lost_record_is_found_again_without_a_write(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html()}).running() as origin:
            first = (await with_rules(tmp_path, origin)).record
            before = marks(tmp_path / "tree")
            shutil.rmtree(tmp_path / "state")
            result = await with_rules(tmp_path, origin)
            assert told(result) == UNCHANGED
            assert marks(tmp_path / "tree") == before
            assert result.record == replace(
                first,
                first_seen_at=result.record.first_seen_at,
                checked_at=result.record.checked_at,
                verified_at=result.record.verified_at,
                # Nobody knows when it was published; the files' own time is the best guess.
                changed_at=first.mtime,
                outcome=Outcome.UNCHANGED,
                reason="the origin says what the tree says",
                unchanged_count=1,
                render_seconds=result.record.render_seconds,
            )

    asyncio.run(main())


def test_a_pass_that_changes_nothing_does_not_touch_the_root_of_the_tree(tmp_path: Path) -> None:
    async def main() -> None:
        async with ScriptedOrigin(pages={"/": html()}).running() as origin:
            assert told(await with_rules(tmp_path, origin)) == PUBLISHED
            before = (tmp_path / "tree").stat().st_mtime_ns
            await asyncio.sleep(0.02)
            assert told(await with_rules(tmp_path, origin)) == UNCHANGED
            assert (tmp_path / "tree").stat().st_mtime_ns == before

    asyncio.run(main())


def replace_by_directory(leaf: Path) -> None:
    (leaf / "index.html").unlink()
    (leaf / "index.html").mkdir()


def replace_by_link(file: Path) -> None:
    """Of the same length and mtime, to a secret."""
    status = file.stat()
    (file.parents[1] / "secret").write_text("secret")
    file.unlink()
    file.symlink_to("../secret".replace("/", "/" * (status.st_size - 8)))
    os.utime(file, (status.st_mtime, status.st_mtime), follow_symlinks=False)


def replace_by_fifo(file: Path) -> None:
    """Of the same mtime."""
    mtime = file.stat().st_mtime
    file.unlink()
    os.mkfifo(file)
    os.utime(file, (mtime, mtime))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "leaf deleted": shutil.rmtree,
    "host deleted": lambda leaf: shutil.rmtree(leaf.parent),
    "identity deleted": lambda leaf: (leaf / "index.html").unlink(),
    "gzip deleted": lambda leaf: (leaf / "index.html.gz").unlink(),
    "brotli deleted": lambda leaf: (leaf / "index.html.br").unlink(),
    "identity changed": lambda leaf: (leaf / "index.html").write_text("defaced"),
    "identity touched": lambda leaf: os.utime(leaf / "index.html", (1, 1)),
    "leaf emptied": lambda leaf: [os.unlink(file) for file in leaf.iterdir()],  # type: ignore[func-returns-value]
    "identity is a directory": replace_by_directory,
    "identity is a link": lambda leaf: replace_by_link(leaf / "index.html"),
    "gzip is a link": lambda leaf: replace_by_link(leaf / "index.html.gz"),
    "identity is a FIFO": lambda leaf: replace_by_fifo(leaf / "index.html"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_tree_that_was_damaged_is_mended(tmp_path: Path, name: str) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        DAMAGES[name](stage.leaf())
        assert told(await stage.render()) == PUBLISHED
        assert undone(stage.leaf()) == variants("html", html())
        assert told(await stage.render()) == UNCHANGED

    journey(tmp_path, test)


def test_something_in_the_way_keeps_the_page_out_and_says_what_to_do(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/b/"] = html()
        (stage.tree.path / "example.org").mkdir()
        (stage.tree.path / "example.org/a").write_text("mine")
        result = await stage.render("/a/b/")
        assert told(result) == (Outcome.KEPT, "tree-error")
        assert f"{stage.tree.path}/example.org/a/b/@staticify: Not a directory" in result.reason
        assert "take it away" in result.reason
        assert files(stage.tree.path) == {"example.org/a": b"mine"}

    journey(tmp_path, test)


def test_a_symbolic_link_in_the_tree_is_not_followed(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/"] = html()
        outside = tmp_path / "outside"
        outside.mkdir()
        (stage.tree.path / "example.org").mkdir()
        (stage.tree.path / "example.org/a").symlink_to(outside)
        assert told(await stage.render("/a/")) == (Outcome.KEPT, "tree-error")
        assert list(outside.iterdir()) == []

    journey(tmp_path, test)


# --- Dense variants --------------------------------------------------------------------------------------------------

LONG = html("".join(f"<p>{number} {number * 7919 % 1000} words of some sort</p>" for number in range(800)))


def test_a_stable_page_gets_dense_variants_once(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = LONG
        await stage.render()
        fast = files(stage.leaf())
        for _ in range(2):
            await stage.render()
            assert files(stage.leaf()) == fast
        result = await stage.render()
        dense = files(stage.leaf())
        record = stage.store.get("https://example.org/")
        assert record is not None
        assert record.is_dense
        assert told(result) == UNCHANGED
        assert undone(stage.leaf()) == variants("html", LONG)
        assert len(dense["index.html.br"]) < len(fast["index.html.br"])
        assert stage.tree.is_holding(stage.page().place, Kind.HTML, record.mtime, len(LONG))
        assert {int(path.stat().st_mtime) for path in stage.leaf().iterdir()} == {record.mtime}
        before = marks(stage.tree.path)
        for _ in range(5):
            assert told(await stage.render()) == UNCHANGED
        assert marks(stage.tree.path) == before
        # A change starts anew.
        origin.pages["/"] = LONG.replace("words", "worts")
        result = await stage.render()
        assert (told(result), result.record.is_dense) == (PUBLISHED, False)
        assert result.record.mtime > record.mtime

    journey(tmp_path, test, dense_after=3)


def test_what_another_hand_wrote_is_not_made_dense_but_mended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of the same length and mtime: nothing else is looked at while the origin's bytes are what they were."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = LONG
        await stage.render()
        file = stage.leaf() / "index.html"
        mtime = file.stat().st_mtime
        file.write_text(LONG.replace("words", "worts"))
        os.utime(file, (mtime, mtime))
        assert told(await stage.render()) == UNCHANGED
        assert [entry.message for entry in caplog.records] == ["another hand was on a page in the tree"]
        assert told(await stage.render()) == PUBLISHED
        assert undone(stage.leaf()) == variants("html", LONG)

    journey(tmp_path, test, dense_after=1)


def test_a_large_page_keeps_its_fast_variants(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"] = html("x" * MAX_DENSE_BYTES)
        await stage.render()
        before = marks(stage.tree.path)
        for _ in range(5):
            assert not (await stage.render()).record.is_dense
        assert marks(stage.tree.path) == before

    journey(tmp_path, test, dense_after=1)


def test_who_is_told_to_stop_begins_no_dense_variants(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        stage.renderer.make_no_more_dense()
        for _ in range(3):
            result = await stage.render()
            assert (told(result), result.record.is_dense) == (UNCHANGED, False)

    journey(tmp_path, test, dense_after=1)


def test_a_journey_that_is_cancelled_before_a_thread_reads_the_page_keeps_no_descriptor(tmp_path: Path) -> None:
    """A site that is taken out while names are looked up, say, which takes a thread of the same kind."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        record = (await stage.render()).record
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as threads:
            loop.set_default_executor(threads)
            for _ in range(5):
                done = threading.Event()
                threads.submit(done.wait)
                task = asyncio.create_task(
                    stage.renderer._make_dense(stage.page(), replace(record, unchanged_count=1), 0)
                )
                await asyncio.sleep(0.01)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                done.set()
        assert [link for link in open_files() if link.endswith("index.html")] == []

    def open_files() -> list[str]:
        links = []
        for fd in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                links.append(os.readlink(f"/proc/self/fd/{fd}"))
        return links

    journey(tmp_path, test, dense_after=1)


def test_dense_variants_that_cannot_be_written_are_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        record = stage.store.get("https://example.org/")
        assert record is not None
        shutil.rmtree(stage.leaf())
        await stage.renderer._make_dense(stage.page(), replace(record, unchanged_count=1), 0)
        assert [entry.message for entry in caplog.records] == ["dense variants not written"]

    journey(tmp_path, test, dense_after=1)


def test_dense_variants_do_not_bring_back_what_was_taken_back_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        first = (await stage.render()).record

        def encode_slowly(body: bytes, *, is_dense: bool = False) -> Variants:
            # As the keeper does it when the journal says that the page is public no more.
            stage.renderer.overtake(stage.page())
            stage.renderer.remove(stage.page(), first, stage.seconds, Verdict("revoked", Outcome.GONE, ""))
            return encode(body, is_dense=is_dense)

        monkeypatch.setattr("staticify.render.encode", encode_slowly)
        await stage.render()
        assert files(stage.tree.path) == {}
        record = stage.store.get(first.url)
        assert record is not None
        assert not record.is_published

    journey(tmp_path, test, dense_after=1)


def test_a_renderer_whose_site_another_one_has_writes_and_records_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload cannot stop who waits in a thread for a parser."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        before, record = files(stage.tree.path), stage.store.get("https://example.org/")

        def encode_slowly(body: bytes, *, is_dense: bool = False) -> Variants:
            stage.renderer.retire()
            return encode(body, is_dense=is_dense)

        monkeypatch.setattr("staticify.render.encode", encode_slowly)
        origin.pages["/"] = html("from before the reload")
        assert (await stage.render()).outcome is Outcome.KEPT
        origin.pages["/"] = answer(b"", 404)
        stage.store.set_due("https://example.org/", is_meant=True)
        assert (await stage.render()).outcome is Outcome.KEPT
        assert (files(stage.tree.path), stage.store.get("https://example.org/")) == (before, record)

    journey(tmp_path, test)


def test_what_a_new_renderer_took_back_the_old_one_does_not_publish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        old = stage.renderer
        new = Renderer(stage.site, old._origin, stage.tree, stage.store, old._workers)

        def encode_slowly(body: bytes, *, is_dense: bool = False) -> Variants:
            new.overtake(stage.page())
            return encode(body, is_dense=is_dense)

        monkeypatch.setattr("staticify.render.encode", encode_slowly)
        assert told(await stage.render()) == (Outcome.GONE, "revoked")
        assert files(stage.tree.path) == {}

    journey(tmp_path, test)


def test_a_page_that_was_taken_back_goes_although_its_publishing_failed_at_the_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        real = stage.tree.publish

        def publish(*arguments: Any, **keywords: Any) -> int:
            real(*arguments, **keywords)
            stage.renderer.overtake(stage.page())
            raise TreeError("the last fsync failed")

        monkeypatch.setattr(stage.tree, "publish", publish)
        assert told(await stage.render()) == (Outcome.GONE, "revoked")
        assert files(stage.tree.path) == {}

    journey(tmp_path, test)


def test_the_record_of_a_page_that_is_out_says_so_although_its_removal_is_not_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/"] = html("a")
        for path in ("/", "/a/"):
            await stage.render(path)

        def fsync(_: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", fsync)
        origin.pages["/a/"] = answer(b"", 404)
        result = await stage.render("/a/")
        assert (result.outcome, result.record.is_published) == (Outcome.GONE, False)
        assert not stage.leaf("/a/").exists()
        assert [entry.message for entry in caplog.records] == ["a removal is not on the disk yet"]

    journey(tmp_path, test)


def test_a_tree_that_cannot_be_looked_into_ends_the_journey_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        def find(_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(stage.tree, "find", find)
        assert stage.renderer.record_of(stage.page()) is None
        assert caplog.records[-1].message == "the tree cannot be looked into"
        result = stage.renderer.fail(stage.page(), RuntimeError("a defect"))
        assert told(result) == (Outcome.KEPT, "internal-error")

    journey(tmp_path, test)


def test_a_page_that_staticify_may_not_look_at_is_no_defect_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup was put back as root, with a umask that lets nobody else in."""

    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        before, leaf, real = marks(stage.tree.path), stage.leaf().name, os.open

        def guarded(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if path == leaf:
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, flags, mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", guarded)
        origin.pages["/"] = html("changed")
        result = await stage.render()
        monkeypatch.undo()
        assert (told(result), result.reason) == (
            (Outcome.KEPT, "tree-error"),
            f"cannot look into {stage.leaf()}: Permission denied. The user that runs staticify must own the tree",
        )
        assert marks(stage.tree.path) == before
        assert told(await stage.render()) == PUBLISHED

    journey(tmp_path, test)


def test_a_list_that_lacks_the_home_page_holds_no_other_page(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/a/"] = html("a")
        home = (await stage.render()).record
        await stage.render("/a/")
        stage.store.put(replace(home, unlisted_at=1.0))
        origin.pages["/a/"] = answer(b"", 404)
        assert (await stage.render("/a/")).outcome is Outcome.GONE

    journey(tmp_path, test)


def test_what_the_home_page_was_held_back_for_once_holds_nothing_for_ever(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        origin.pages["/"], origin.pages["/a/"] = html("many words about the launch " * 20), html("a")
        await stage.render()
        await stage.render("/a/")
        origin.pages["/"], origin.pages["/a/"] = html("few"), answer(b"", 404)
        assert told(await stage.render()) == (Outcome.KEPT, "shrunk")
        assert (await stage.render("/a/")).outcome is Outcome.KEPT
        origin.pages["/"] = answer(b"", 500)
        await stage.render()
        assert (await stage.render("/a/")).outcome is Outcome.KEPT, "an error says nothing"
        origin.pages["/"] = answer(html("many words about the launch " * 20), Cache_Control="private")
        assert (await stage.render()).outcome is not Outcome.GONE
        assert (await stage.render("/a/")).outcome is Outcome.GONE

    journey(tmp_path, test)


def test_the_list_may_be_read_while_a_page_is_fetched(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        first = (await stage.render()).record

        async def slow(exchange: Exchange) -> None:
            stage.store.put(replace(first, unlisted_at=7.0))
            await exchange.send(answer(html()))

        origin.pages["/"] = slow
        assert (await stage.render()).record.unlisted_at == 7.0

    journey(tmp_path, test)


# --- Adopted from the tree -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 503])
def test_what_the_tree_has_and_the_store_has_not_is_as_safe_as_any_other(tmp_path: Path, status: int) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        before = files(stage.tree.path)
        stage.store.forget([stage.page().url])
        origin.pages["/"] = answer(b"", status)
        assert (await stage.render()).outcome is Outcome.KEPT
        stage.store.forget([stage.page().url])
        origin.pages["/"] = answer(b"", 404)
        assert (await stage.render()).outcome is Outcome.KEPT
        assert files(stage.tree.path) == before

    journey(tmp_path, test)


def test_an_adopted_page_is_known_and_stale(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        first = (await stage.render()).record
        stage.store.forget([first.url])
        (found,) = stage.tree.scan()
        stage.renderer.adopt(stage.page(), found)
        assert stage.store.get(first.url) == Record(
            url=first.url, site=first.site, kind=Kind.HTML, output_digest=first.output_digest,
            size_bytes=first.size_bytes, mtime=first.mtime, first_seen_at=first.mtime, changed_at=first.mtime,
        )  # fmt: skip
        before = marks(stage.tree.path)
        assert told(await stage.render()) == UNCHANGED
        assert marks(stage.tree.path) == before

    journey(tmp_path, test)


def test_a_defect_of_our_own_is_recorded_and_keeps_the_page(tmp_path: Path) -> None:
    async def test(origin: ScriptedOrigin, stage: Stage) -> None:
        await stage.render()
        before = marks(stage.tree.path)
        result = stage.renderer.fail(stage.page(), ZeroDivisionError("by zero"))
        assert told(result) == (Outcome.KEPT, "internal-error")
        assert result.reason == "staticify failed on this page, please report it: ZeroDivisionError: by zero"
        assert marks(stage.tree.path) == before

    journey(tmp_path, test)
