"""Good pages that look like wrong ones: posts about errors, in the ways that editors and themes write them."""

from __future__ import annotations

import html as markup
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

SINGLE = (Path(__file__).parents[1] / "pages/single.html").read_text(encoding="utf-8")
HTML = "text/html; charset=UTF-8"
SENTENCES = (
    "Error establishing a database connection",
    "Error reconnecting to the database",
    "Briefly unavailable for scheduled maintenance. Check back in a minute.",
    "There has been a critical error on this website.",
    "Fatal error: Uncaught Error: Call to undefined function x() in /srv/x.php:3",
    "<br />\n<b>Fatal error</b>:  Allowed memory size exhausted in <b>/srv/x.php</b> on line <b>3</b><br />",
    "<br />\n<b>Warning</b>:  Undefined variable $a in <b>/srv/x.php</b> on line <b>12</b><br />",
    "PHP Parse error:  syntax error, unexpected end of file in /srv/x.php on line 3",
    '<body id="error-page"><div class="wp-die-message">Sorry</div></body></html>',
    '<form id="loginform" action="/wp-login.php"><input name="log"></form>',
    '<a href="/wp-login.php?action=logout">Log out</a>',
    '<form action="/wp-login.php?action=postpass"><input name="post_password"></form>',
    "404 Not Found",
    "502 Bad Gateway",
    "You are already logged in.",
    "Installation failed: </html>",
)
WORDS = {
    "en": [
        "the",
        "board",
        "measures",
        "a",
        "small",
        "greenhouse",
        "while",
        "kettle",
        "boils",
        "and",
        "nobody",
        "expected",
        "the",
        "results",
    ],
    "de": [
        "größer",
        "schneller",
        "übersichtlicher",
        "Gehäuse",
        "für",
        "Anfänger",
        "und",
        "alle",
        "die",
        "Straße",
        "überqueren",
    ],
    "ja": ["新しい基板", "本日", "発売", "気象観測所", "ラズベリー", "作る", "。"],
    "ar": ["إطلاق", "لوحة", "جديدة", "اليوم", "أخبار"],
    "he": ["חדשות", "מהמעבדה", "היום"],
    "ru": ["Плата", "для", "начинающих", "первые", "шаги", "ошибка"],
    "emoji": ["🚀", "launch", "👩‍🚀", "é́", "\u200b", "ß"],
}
Answered = tuple[str, bytes]


def pages(seed: int) -> Iterator[tuple[str, str, str, tuple[tuple[str, str], ...], bytes]]:
    """Kind, path, Content-Type, other header fields and body, without end."""
    chance = random.Random(seed)
    kinds: list[Callable[[random.Random], Answered]] = [_post, _short_post, _list, _minified, _with_comments, _shop]
    while True:
        for kind in kinds:
            content_type, body = kind(chance)
            yield kind.__name__.strip("_"), "/post/", content_type, _fields(chance), body
        for path, data in (
            ("/feed/", _feed),
            ("/feed/atom/", _atom),
            ("/wp-sitemap.xml", _sitemap),
            ("/wp-json/wp/v2/posts", _json),
            ("/robots.txt", _robots),
        ):
            content_type, body = data(chance)
            yield data.__name__.strip("_"), path, content_type, _fields(chance), body
        if chance.random() < 0.002:
            yield "huge", "/post/", HTML, (), _themed(chance, f"<p>{_text(chance, 90)}</p>\n" * 6000)


def _text(chance: random.Random, count: int) -> str:
    words = WORDS[chance.choice(list(WORDS))]
    return markup.escape(" ".join(chance.choices(words, k=chance.randrange(1, count))))


def _quotes(chance: random.Random) -> str:
    """One sentence of the trade, as a post would have it."""
    sentence = chance.choice(SENTENCES)
    escaped = markup.escape(sentence, quote=False)
    forms = (
        f"<p>{escaped}</p>",
        f"<h2>{escaped}: what to do</h2>",
        f"<pre class='wp-block-code'><code>{escaped}</code></pre>",
        f"<p>It says <code>{escaped}</code></p>",
        f"<blockquote><p>{escaped}</p></blockquote>",
        f"<p><strong>Fatal error</strong>: {escaped}</p>",
        f"<p>x<br />\n<strong>Warning</strong>: {escaped}</p>",
        f"<script type='application/ld+json'>{json.dumps({'q': sentence}).replace('<', chr(92) + 'u003c')}</script>",
        f"<textarea>{escaped}</textarea>",
        f"<p title='{markup.escape(sentence)}'>x</p>",
        f"<!-- {escaped.replace('--', '- -')} -->",
        f"<script>var text = {json.dumps(sentence).replace('</', '<' + chr(92) + '/')};</script>",
        f"<td>{escaped}</td>",
        f"<ul><li>{escaped}<li>x</ul>",
        f"<svg><title>{escaped}</title></svg>",
        f"<img alt='{markup.escape(sentence)}' src=x>",
        f"<details><summary>{escaped}</summary>x</details>",
        f"<p><b>Warning</b>: {escaped}</p>",
        f"<p><b>Notice</b>: hot</p>\n<p><b>Deprecated</b>: {escaped}</p>",
    )
    return chance.choice(forms)


def _content(chance: random.Random) -> str:
    parts = [f"<p>{_text(chance, 60)}</p>" for _ in range(chance.randrange(1, 6))]
    parts += [_quotes(chance) for _ in range(chance.randrange(4))]
    chance.shuffle(parts)
    return "\n".join(parts)


def _themed(chance: random.Random, content: str) -> bytes:
    """The post of a real theme with other content."""
    return SINGLE.replace("<p>", f"{content}<p>", 1).encode()


def _page(chance: random.Random, classes: str, content: str, *, head: str = "", end: str = "\n") -> bytes:
    body = (
        f'<!DOCTYPE html>\n<html lang="{chance.choice(("en", "de", "ja", "ar"))}"><head><meta charset="utf-8">'
        f"<title>{_text(chance, 6)}</title>{head}</head>\n<body class='{classes}'>{content}</body></html>{end}"
    )
    if chance.random() < 0.1:
        body = body.replace("\n", "\r\n")
    return body.encode("utf-8-sig" if chance.random() < 0.05 else "utf-8")


def _post(chance: random.Random) -> Answered:
    return HTML, _themed(chance, _content(chance))


def _short_post(chance: random.Random) -> Answered:
    number = chance.randrange(1, 9999)
    classes = chance.choice(
        (f"single single-post postid-{number}", f"page page-id-{number}", "home blog", "archive tag")
    )
    return chance.choice((HTML, "text/html", "text/html; charset=utf-8")), _page(chance, classes, _quotes(chance))


def _list(chance: random.Random) -> Answered:
    """A list that quotes posts with a password, and a page that quotes one."""
    forms = "".join(
        f"<article>{_content(chance)}<form action='/wp-login.php?action=postpass' method='post'>"
        f"<input name='post_password' id='pwbox-{number}' type='password'></form></article>"
        for number in chance.sample(range(1000, 9999), chance.randrange(4))
    )
    classes = chance.choice(
        ("home blog", "archive category category-3", "search search-results", "page page-id-7", "single postid-8")
    )
    login = "<form id='loginform' action='/wp-login.php' method='post'><input name='log'></form>"
    return HTML, _page(chance, classes, forms + login * chance.randrange(2) + _content(chance))


def _minified(chance: random.Random) -> Answered:
    body = SINGLE.replace("\n", " ").replace("\t", "").replace("<p>", f"{_content(chance)}<p>", 1)
    return HTML, body.strip().encode()


def _with_comments(chance: random.Random) -> Answered:
    """What caches, profilers and debuggers write below the page."""
    ends = (
        "<!-- 0.2 s, 31 queries -->",
        "<!-- Performance optimized by W3 Total Cache -->\n",
        "<!--\n-->",
        "<!-- a <!-- b -->",
        "<!-- Cached page generated by WP-Super-Cache on 2026-11-23 -->\n<!-- super cache -->",
        "<!-- </html> -->",
        "<!-- Fatal error: none -->",
        f"<!-- {'x' * 30_000} -->",
        "<!-- Page generated by LiteSpeed Cache 5.4 -->",
    )
    end = "\n".join(chance.choices(ends, k=chance.randrange(1, 4)))[:60_000]
    if not end.rstrip().endswith("-->"):
        end = "<!-- cut -->"
    return HTML, SINGLE.rstrip().replace("<p>", f"{_content(chance)}<p>", 1).encode() + f"\n{end}\n".encode()


def _shop(chance: random.Random) -> Answered:
    """A page of a shop, and of a page builder, with what theirs have."""
    content = (
        "<div class='woocommerce-notices-wrapper'></div><a href='/my-account/'>Log in</a><span>0</span>"
        f"<div class='not-logged-in logged-out'>{_content(chance)}</div><div id='setup'>{_text(chance, 20)}</div>"
        "<template><p>Hello <b class='name'></b></p></template><noscript><style>p{}</style></noscript>"
    )
    head = '<link rel="https://api.w.org/" href="https://example.org/wp-json/" />'
    classes = chance.choice(
        ("product-template-default single single-product postid-7", "woocommerce-page archive", "blank", "")
    )
    return HTML, _page(chance, classes, content, head=head)


def _fields(chance: random.Random) -> tuple[tuple[str, str], ...]:
    fields = (
        ("cache-control", "public, max-age=60"),
        ("cache-control", "max-age=0, must-revalidate"),
        ("vary", "Accept-Encoding, Cookie"),
        ("set-cookie", "pll_language=de; path=/"),
        ("set-cookie", "AWSALB=x; Path=/"),
        ("x-powered-by", "PHP/8.2"),
        ("link", '<https://example.org/wp-json/>; rel="https://api.w.org/"'),
        ("x-pingback", "https://example.org/xmlrpc.php"),
        ("expires", "Thu, 19 Nov 1981 08:52:00 GMT"),
        ("pragma", "no-cache"),
        ("set-cookie", "x=; Max-Age=0"),
        ("age", "7"),
    )
    return tuple(chance.sample(fields, chance.randrange(4)))


def _feed(chance: random.Random) -> Answered:
    items = "".join(
        f"<item><title>{markup.escape(chance.choice(SENTENCES))}</title><content:encoded><![CDATA[{_content(chance)}]]>"
        "</content:encoded></item>"
        for _ in range(chance.randrange(12))
    )
    namespace = 'xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    body = f'<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" {namespace}><channel>{items}</channel></rss>\n'
    return "application/rss+xml; charset=UTF-8", body.encode()


def _atom(chance: random.Random) -> Answered:
    body = f'<feed xmlns="http://www.w3.org/2005/Atom"><title type="html"><![CDATA[{_quotes(chance)}]]></title></feed>'
    return "application/atom+xml; charset=UTF-8", body.encode()


def _sitemap(chance: random.Random) -> Answered:
    urls = "".join(f"<url><loc>https://example.org/{number}/</loc></url>" for number in range(chance.randrange(2000)))
    return chance.choice(("application/xml; charset=UTF-8", "text/xml")), f"<urlset>{urls}</urlset>".encode()


def _json(chance: random.Random) -> Answered:
    posts = [{"id": number, "content": {"rendered": _content(chance), "protected": False}} for number in range(9)]
    return "application/json; charset=UTF-8", json.dumps(posts, ensure_ascii=chance.random() < 0.5).encode()


def _robots(chance: random.Random) -> Answered:
    lines = ["User-agent: *", "Disallow: /wp-admin/", "# Fatal mistakes: none", "Warning: be slow", "Crawl-delay: 3"]
    return "text/plain; charset=utf-8", "\n".join(chance.sample(lines, chance.randrange(1, 6))).encode()
