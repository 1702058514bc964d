"""Real pages cut off at every byte, in every framing that happens: the last good page stays.

Each offset goes over the wire once, through the whole journey, in one of the four framings by turns; and once through
the gate alone in both forms that reach it, with an end that is certain and with none. What counts as cut off ends with
the last byte of the page that says something: white space behind it may be lost.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from real.helpers import Stack, brought_up
from scripted_origin import Exchange, ScriptedOrigin, answer
from stage import marks, site_of, staged
from tally import Tally

from staticify.content import decide_body
from staticify.gate import kind_of
from staticify.html import Document
from staticify.nouns import Answer, Kind, Outcome
from staticify.render import rules_of

COUNT = 20
"""Pages."""
FRAMINGS = ("length", "chunks", "close", "whole")
"""Content-Length that is not reached; no last chunk; nothing but the end of the connection; and a well-framed answer
whose body WordPress itself left unfinished, which only the page's own end gives away."""
PROCESSES = 2

# What quotes the end of a page long before its own: cut off right behind, a page seems to be whole.
QUOTES = """<!-- wp:html -->
<script>var end = "</body></html>";</script>
<!-- </html> -->
<textarea></html></textarea>
<p title="</html>">a title</p>
<iframe srcdoc="<html><body>framed</body></html>"></iframe>
<pre><code>&lt;/html&gt;</code></pre>
<style>p::after { content: "</html>" }</style>
<!-- /wp:html -->"""


@dataclass(frozen=True, slots=True)
class RealPage:
    """A page as WordPress sent it."""

    path: str
    content_type: str
    body: bytes
    theme: str = ""

    @property
    def length(self) -> int:
        """Of what must all be there."""
        return len(self.body.rstrip())


def run(count: int, seed: int) -> Tally:
    """Every offset of so many pages of a WordPress in three themes."""
    with brought_up("--posts", "25", "--no-plugin") as stack:
        pages = real_pages(stack)[:count]
    # The largest first, so that both processes are done at the same time.
    pages.sort(key=lambda page: -len(page.body))
    tally = Tally()
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        for part in pool.imap_unordered(_examine_all, [(page, seed + n) for n, page in enumerate(pages)]):
            tally.add(part)
    return tally


def _examine_all(given: tuple[RealPage, int]) -> Tally:
    page, first = given
    return examine(page, range(page.length), first)


def real_pages(stack: Stack) -> list[RealPage]:
    """Twenty pages: of each theme some that differ in what they are, and what is made for programs."""
    quoting = stack.insert_post(post_title="How a page ends", post_content=QUOTES, post_author=1)
    stack.insert_comment(quoting, "Mine ends in &lt;/html&gt; too", is_approved=True)
    # Short lists: the offsets of a page are as many as its bytes.
    stack.call("update_option", "posts_per_page", 2)
    stack.call("update_option", "posts_per_rss", 3)
    found = []
    for theme in ("twentytwentyone", "twentytwentytwo", "twentytwentythree"):
        stack.call("switch_theme", theme)
        paths = ("/", quoting.path, "/about/", "/category/news/", "/contact/")
        found += [_fetched(stack, path, theme) for path in paths]
    others = ("/feed/", "/comments/feed/", "/wp-sitemap.xml", "/wp-sitemap-posts-post-1.xml")
    return found + [_fetched(stack, path, "") for path in (*others, f"/wp-json/wp/v2/posts/{quoting.number}")]


def _fetched(stack: Stack, path: str, theme: str) -> RealPage:
    reply = stack.from_origin(path)
    assert reply.status == 200, (path, reply)
    return RealPage(path, reply.headers["content-type"], reply.body, theme)


def examine(page: RealPage, offsets: Sequence[int], first: int = 0) -> Tally:
    """The page cut off at each of the offsets; `first` is the framing that the turns begin with."""
    tally = Tally(Counter(pages=1, offsets=len(offsets)))
    _through_the_gate(page, offsets, tally)
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_over_the_wire(Path(directory), page, offsets, first, tally))
    return tally


def _through_the_gate(page: RealPage, offsets: Sequence[int], tally: Tally) -> None:
    rules = rules_of(site_of("http://127.0.0.1:1")).gate
    fields = (("content-type", page.content_type),)
    for offset in offsets:
        body = page.body[:offset]
        document = Document(body) if kind_of(Answer(200, fields, body)) is Kind.HTML else None
        for is_framed in (True, False):
            verdict = decide_body(Answer(200, fields, body, is_framed), document, rules)
            tally.counts[f"gate: {verdict.name}"] += 1
            if verdict.is_publishable:
                tally.faults.append(f"{page.theme}{page.path} cut at {offset} passes the gate, framed: {is_framed}")


async def _over_the_wire(directory: Path, page: RealPage, offsets: Sequence[int], first: int, tally: Tally) -> None:
    sent = b""

    async def script(exchange: Exchange) -> None:
        await exchange.send(sent)

    pages = {page.path: script}
    async with (
        ScriptedOrigin(pages=pages).running(path=str(directory / "origin")) as origin,  # type: ignore[arg-type]
        staged(directory, origin.address, secrets=[]) as stage,
    ):
        sent = answer(page.body, content_type=page.content_type)
        assert (await stage.render(page.path)).outcome is Outcome.PUBLISHED, page.path
        before = marks(stage.tree.path)
        for offset in offsets:
            framing = FRAMINGS[(offset + first) % len(FRAMINGS)]
            sent = cut(page, offset, framing)
            result = await stage.render(page.path)
            origin.requests.clear()
            tally.counts[f"{framing}: {result.verdict}"] += 1
            # What stands in the tree is looked at in the end too, for what a journey does not say of itself.
            if result.outcome not in {Outcome.KEPT, Outcome.REFUSED}:
                tally.faults.append(f"{page.theme}{page.path} cut at {offset}, {framing}: {result.outcome}")
        if marks(stage.tree.path) != before:
            tally.faults.append(f"{page.theme}{page.path}: the tree was written to")


def cut(page: RealPage, offset: int, framing: str) -> bytes:
    """The bytes on the wire of a page that breaks off."""
    body = page.body[:offset]
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {page.content_type}\r\n".encode()
    match framing:
        case "length":
            return head + b"Content-Length: %d\r\n\r\n" % len(page.body) + body
        case "chunks":
            # In pieces, as PHP-FPM's buffers come: the last piece breaks off inside or right at its end.
            pieces = [body[start : start + 8192] for start in range(0, len(body), 8192)]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + (chunks if offset % 3 else chunks[:-2])
        case "close":
            return head + b"Connection: close\r\n\r\n" + body
        case _:
            return answer(body, content_type=page.content_type)


def sample(page: RealPage, count: int, seed: int) -> list[int]:
    """Offsets for a short run: some anywhere, and all around each </html> and at the end."""
    chance = random.Random(seed)
    offsets = set(chance.sample(range(page.length), count)) | set(range(page.length - 20, page.length))
    start = -1
    while (start := page.body.find(b"</html>", start + 1)) >= 0:
        offsets |= set(range(start, min(start + 9, page.length)))
    return sorted(offsets)
