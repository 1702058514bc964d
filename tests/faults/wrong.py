"""Wrong answers of 500 kinds over a good page, and good pages that look like them: 0 published, 1 in 10,000 refused.

Some are a real WordPress's own, in every state that a file tells a must-use plugin to break it into (`breaks.php`), by
its own nginx and once more as a server would send them that says 200 to everything; the others are scripted: heads,
bodies and framings that real sites were seen to send. Each comes three times in a row where one that agrees with
itself would otherwise be believed, and the good page after it is unchanged.

The good pages are posts about all of that, in the ways that editors and themes write them.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from itertools import groupby, islice, product
from pathlib import Path
from typing import Any

from real.helpers import Stack, brought_up
from scripted_origin import Exchange, Script, ScriptedOrigin, answer, html
from stage import Stage, files, site_of, staged
from tally import Row, Tally

from faults import _good
from staticify.gate import decide_head
from staticify.nouns import Answer, Kind, Outcome
from staticify.prepare import prepare
from staticify.render import rules_of
from staticify.urls import parse_page

COUNT = 500
"""Kinds of wrong answer."""
GOOD_FOR_EACH = 60
"""Good pages for each of them: enough to see one refusal in 10,000."""
MOST_REFUSED = 1 / 10_000
TIMES = 3
SERVERS_OWN = b"</h1></center>\r\n<hr><center>nginx"
"""nginx's own error page: not WordPress's, and never sent with 200 by itself."""
HEAD_ALONE = {"nocache", "cookie", "session", "charset", "type", "unavailable"}
"""Nothing but the head says that these are wrong."""
PAGES = Path(__file__).parents[1] / "pages"
GOOD = (PAGES / "single.html").read_bytes()
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Wrong:
    """One kind of wrong answer, as bytes on the wire."""

    name: str
    raw: bytes
    path: str = "/post/"
    times: int = TIMES
    may_go: bool = False
    """True where the site says that there is no such page, or not for everybody: then it may leave the tree."""


@dataclass
class Judged(Tally):
    """What the answers came to."""

    verdicts: Counter[str] = field(default_factory=Counter)
    real: int = 0
    """Kinds that a real WordPress made."""
    scripted: int = 0
    good: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Good pages that may not go out, by kind of page and verdict."""

    def rows(self) -> Iterator[Row]:
        yield "kinds", self.real, "of a real WordPress"
        yield "kinds", self.scripted, "scripted"
        yield from ((f"-> {name}", count, "") for name, count in sorted(self.verdicts.items()))
        yield "good pages", self.good, ""
        refused = ", ".join(f"{name}: {n}" for name, n in sorted(self.refused.items()))
        yield "refused", self.refused.total(), f"of them{refused and f' ({refused})'}"


def run(count: int, seed: int) -> Judged:
    """So many kinds: those of a real WordPress first."""
    tally = Judged()
    with brought_up("--posts", "15", "--no-plugin") as stack:
        asyncio.run(break_wordpress(stack, breaks()[:count], tally))
    examine(list(islice(scripted(), count - tally.real)), tally)
    if tally.real + tally.scripted < count:
        tally.faults.append(f"there are {tally.real + tally.scripted} kinds, and not {count}")
    look_at_good_pages(count * GOOD_FOR_EACH, seed, tally)
    return tally


# --- Scripted answers ------------------------------------------------------------------------------------------------

HTML = "text/html; charset=UTF-8"
GOOD_DATA: dict[str, tuple[str, bytes]] = {
    "/feed/": ("application/rss+xml; charset=UTF-8", b"<rss><channel><title>Site</title></channel></rss>"),
    "/wp-sitemap.xml": (
        "application/xml; charset=UTF-8",
        b"<urlset><url><loc>https://example.org/</loc></url></urlset>",
    ),
    "/wp-json/wp/v2/posts": ("application/json; charset=UTF-8", b'[{"id": 1}, {"id": 2}]'),
    "/robots.txt": ("text/plain; charset=utf-8", b"User-agent: *\nDisallow: /wp-admin/\n"),
}


def scripted() -> Iterator[Wrong]:
    """Every scripted kind, each family spread over the whole."""
    families = [list(family()) for family in (_statuses, _heads, _bodies, _redirects, _data, _broken, _for_somebody)]
    names = Counter(wrong.name for family in families for wrong in family)
    assert max(names.values()) == 1, names.most_common(3)
    longest = max(map(len, families))
    for index in range(longest):
        for family in families:
            step = index * len(family) // longest
            if index == 0 or step != (index - 1) * len(family) // longest:
                yield family[step]


def _statuses() -> Iterator[Wrong]:
    """A whole good page under a status that says that it is none."""
    may_go = {401, 403, 404, 410}
    numbers: tuple[int, ...] = (
        201,
        202,
        203,
        204,
        205,
        206,
        207,
        226,
        300,
        304,
        305,
        400,
        401,
        402,
        403,
        404,
        405,
        406,
        407,
        408,
        409,
    )
    numbers += (410, 411, 412, 413, 414, 415, 416, 418, 421, 422, 423, 425, 426, 428, 429, 431, 451, 499)
    numbers += (500, 501, 502, 503, 504, 505, 507, 508, 509, 511, 520, 521, 522, 523, 524, 525, 526, 527, 530, 598, 599)
    for status in numbers:
        yield Wrong(f"status {status}", answer(html("other"), status), may_go=status in may_go)
    for wait in ("600", "Wed, 21 Oct 2037 07:28:00 GMT"):
        yield Wrong(f"status 503, Retry-After: {wait}", answer(html("other"), 503, Retry_After=wait), times=1)


def _heads() -> Iterator[Wrong]:
    """A good page whose header says that it is not for everybody, or not a page."""
    other = html("other")
    fields = {
        "Cache-Control": (
            "private",
            "no-store",
            "max-age=60, PRIVATE",
            "no-cache, must-revalidate, max-age=0, no-store",
            "private, max-age=0, no-cache",
            'private="set-cookie"',
            "no-store,no-cache",
            "public, no-store",
        ),
        "Expires": ("Wed, 11 Jan 1984 05:00:00 GMT",),
        "Vary": ("*", "Accept, *", "Cookie, *", "*, Accept-Encoding"),
        "Staticify-Do-Not-Cache": ("DONOTCACHEPAGE",),
        "Cache-Status": ("staticify; hit", "Squid; fwd=miss, staticify; hit"),
        "Content-Encoding": ("zstd", "compress", "deflate", "gzip", "br", "gzip, br", "aes128gcm"),
        "Transfer-Encoding": ("identity", "x"),
    }
    for name, values in fields.items():
        for value in values:
            may_go = name == "Staticify-Do-Not-Cache"
            field: dict[str, Any] = {name.replace("-", "_"): value}
            yield Wrong(f"{name}: {value}", answer(other, **field), may_go=may_go)
    cookies = (
        "PHPSESSID=1",
        "wordpress_logged_in_x=admin",
        "wp-settings-1=x",
        "comment_author_x=Bob",
        "wp-postpass_x=1",
        "woocommerce_cart_hash=1",
        "woocommerce_items_in_cart=1",
        "wp_woocommerce_session_x=1",
        "edd_items=1",
        "laravel_session=1",
        "JSESSIONID=1",
        "ci_session=1",
        "_csrf=1",
        "token=1; HttpOnly",
        "user=Bob; Secure",
        "visitor=1; Max-Age=99",
        "a=1; Expires=Wed, 21 Oct 2037 07:28:00 GMT",
        "b=1; Max-Age=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "wordpress_test_cookie2=1",
        "=nameless",
        "slimstat=1",
        "mailchimp=1",
        "affwp_ref=7",
        "wpml_referer_url=x",
    )
    for cookie in cookies:
        yield Wrong(f"Set-Cookie: {cookie}", answer(other, Set_Cookie=f"{cookie}; Path=/"))
    types = (
        "image/gif",
        "image/svg+xml",
        "application/pdf",
        "application/octet-stream",
        "application/javascript",
        "text/javascript",
        "text/css",
        "video/mp4",
        "application/zip",
        "font/woff2",
        "application/x-httpd-php",
        "multipart/form-data; boundary=x",
        "message/http",
        "text/event-stream",
        "application/x-msdownload",
        "html",
        "text/html, application/json",
        "text/html; charset=UTF-8, text/plain",
        "text",
        "text/*",
        "*/*",
        "text/markdown",
        "application/wasm",
        "text/x-php",
        "application/vnd.api+json",
        "application/problem+json",
        "text/vtt",
        "text/calendar",
        "application/x-www-form-urlencoded",
        "application/manifest+json",
    )
    for content_type in types:
        yield Wrong(f"Content-Type: {content_type}", answer(other, content_type=content_type))
    charsets = (
        "ISO-8859-1",
        "iso-8859-15",
        "windows-1252",
        "Windows-1251",
        "KOI8-R",
        "Shift_JIS",
        "EUC-JP",
        "EUC-KR",
        "GBK",
        "GB2312",
        "gb18030",
        "Big5",
        "UTF-16",
        "utf-16le",
        "UTF-32",
        "UTF-7",
        "macintosh",
        "ISO-2022-JP",
        "x-user-defined",
        "none",
    )
    for charset in charsets:
        yield Wrong(f"charset {charset}", answer(other, content_type=f"text/html; charset={charset}"))
        meta = other.replace('<meta charset="UTF-8">', f'<meta charset="{charset}">')
        yield Wrong(f"meta charset {charset}", answer(meta, content_type="text/html"))


EMERGENCIES = {
    "database": "Error establishing a database connection",
    "database gone": "Error reconnecting to the database",
    "maintenance": "Briefly unavailable for scheduled maintenance. Check back in a minute.",
    "critical": "There has been a critical error on this website.",
    "critical, old words": "There has been a critical error on your website. Please check your site admin email inbox.",
}
PHP_WORDS = (
    "Fatal error",
    "Parse error",
    "Recoverable fatal error",
    "Warning",
    "Notice",
    "Deprecated",
    "Strict Standards",
)
PHP_TEXT = "Uncaught Error: Call to undefined function x() in /srv/wp-content/plugins/x/x.php on line 3"


def _bodies() -> Iterator[Wrong]:
    """200, text/html, and a body that is an error."""

    def wrong(name: str, body: str | bytes) -> Wrong:
        return Wrong(name, answer(body))

    die = (PAGES / "wp-die.html").read_text(encoding="utf-8")
    single = GOOD.decode()
    for name, sentence in EMERGENCIES.items():
        forms = {
            "bare": f"<h1>{sentence}</h1>",
            "a page": f"<html><body><h1>{sentence}</h1></body></html>",
            "in capitals": f"<html><body><h1>{sentence.upper()}</h1></body></html>",
            "in two lines": f"<html><body><h1>{sentence.replace(' ', chr(10))}</h1></body></html>",
            "with much style": f"<html><style>{'p{color:red}' * 900}</style><body><p>{sentence}</p></body></html>",
            "wp_die": die.replace(
                '<body id="error-page">', f'<body id="error-page"><div class="wp-die-message">{sentence}</div>'
            ),
            "in the middle of a page": single[:9000] + die.replace("</body>", f"{sentence}</body>"),
            "a drop-in with a logo": (
                f"<html><body class='page'><img src='/logo.png'><h1>{sentence}</h1><p>Back soon</p></body></html>"
            ),
        }
        for form, body in forms.items():
            yield wrong(f"{name}, {form}", body)
    for language in (
        "Es gab einen kritischen Fehler auf deiner Website.",
        "Il y a eu une erreur critique sur ce site.",
        "Erreur lors de la connexion à la base de données",
        "Ha habido un error crítico en esta web.",
        "このサイトで重大なエラーが発生しました。",
        "Wystąpił błąd krytyczny w tej witrynie.",
    ):
        yield wrong(f"wp_die: {language}", die.replace("</body>", f"<p>{language}</p></body>"))
    for word in PHP_WORDS:
        # A warning anywhere but at the top may be what a page is about; a fatal error may not.
        printed = f"<br />\n<b>{word}</b>:  {PHP_TEXT}<br />\n"
        plain = f"\n{word}: {PHP_TEXT}\n"
        yield wrong(f"PHP {word} at the top", printed + single)
        yield wrong(f"PHP {word} at the top, html_errors off", plain + single)
        yield wrong(f"PHP {word} at the top, by the command line", f"PHP {word}:  {PHP_TEXT}\n{single}")
        yield wrong(f"PHP {word} alone", printed)
        if "rror" in word:
            yield wrong(f"PHP {word} in the middle, closed by a minifier", single[:9000] + printed + "</body></html>")
            yield wrong(f"PHP {word} at the end", single.replace("</body>", f"{printed}</body>"))
    login, protected = (PAGES / "login.html").read_bytes(), (PAGES / "protected.html").read_bytes()
    yield wrong("the login page", login)
    yield Wrong("a password form", answer(protected), may_go=True)
    for text in (
        "",
        " ",
        "\n\n",
        "0",
        "-1",
        "1",
        "null",
        "true",
        "[]",
        "{}",
        "OK",
        "Error",
        "Access denied",
        "Loading...",
        "<html>",
        "<!DOCTYPE html>",
        "<html></html",
        "<html><body>",
        "<p>",
        "<!--",
        "Array",
        "bool(false)",
        "\ufeff",
        "No input file specified.",
        "File not found.",
        "Primary script unknown",
        "Too many connections",
        "Allowed memory size of 134217728 bytes exhausted",
        "Segmentation fault",
        "<?php echo 1;",
        "Unable to connect to the database",
        "You are blocked",
        "Rate limit exceeded",
        "<script>location='/'</script>",
        "Maximum execution time of 30 seconds exceeded",
        "<b>Fatal",
        "This site is under construction",
        "Your PHP installation appears to be missing the MySQL extension which is required by WordPress.",
    ):
        yield wrong(f"body {text[:40]!r}", text)
    screens = (
        '<form id="setup" method="post" action="?step=1">',
        '<form id="setup" method="post" action="install.php?step=2">',
    )
    for start in screens:
        yield wrong(f"installation {start}", f'<html><body class="wp-core-ui">{start}</form></body></html>')
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        yield wrong(
            f"in {encoding}",
            ("\ufeff" if encoding[-2:] in {"le", "be"} else "").encode(encoding) + html("x").encode(encoding),
        )
    yield wrong("too large", html("x" * 9 * 2**20))


def _redirects() -> Iterator[Wrong]:
    places: dict[str, str] = {
        "to itself": "/post/",
        "inside": "/other/",
        "outside": "https://evil.example/",
        "to http": "http://example.org/post/",
        "to nowhere": "",
        "to a login": "/wp-login.php?redirect_to=x",
        "to an account": "/my-account/?redirect_to=x",
        "to the installation": "/wp-admin/install.php",
        "to an upgrade": "/wp-admin/upgrade.php",
        "to a query": "/?p=7",
        "to no address": "http://[",
        "to a script": "javascript:alert(1)",
        "to data": "data:text/html,x",
        "to a file": "file:///etc/passwd",
        "with a port": "https://example.org:8443/post/",
        "with a user": "https://a:b@example.org/post/",
        "to no scheme": "//evil.example/",
        "upwards": "/../../etc/passwd",
        "to a null": "/%00",
        "to a splash": "/coming-soon/",
        "to a suspended page": "/cgi-sys/suspendedpage.cgi",
    }
    for status, where in product((301, 302, 303, 307, 308), places):
        yield Wrong(f"{status} {where}", answer(b"", status, Location=places[where]), may_go=True)


def _data() -> Iterator[Wrong]:
    """Errors in the place of feeds, sitemaps, JSON and robots.txt."""
    printed = f"<br />\n<b>Fatal error</b>:  {PHP_TEXT}<br />\n".encode()
    splash = html("Coming soon", body_class="coming-soon").encode()
    for path, (content_type, good) in GOOD_DATA.items():
        name = path.strip("/")
        is_text = content_type.startswith("text/plain")
        bodies = {
            "empty": b"",
            "blank": b" \n",
            "a fatal error": printed,
            "a page behind it": good + printed,
            "a fatal error at the top": printed + good,
            "a plain fatal error": b"\nFatal error: " + PHP_TEXT.encode(),
            "a warning at the top": b"<br />\n<b>Warning</b>:  x in <b>/x</b> on line <b>1</b><br />\n" + good,
        }
        if not is_text:
            bodies |= {
                "cut": good[:-9],
                "half": good[: len(good) // 2],
                "a splash page": splash,
                "text": b"Coming soon",
                "html": b"<!DOCTYPE html><p>x",
                "twice": good + good,
                "with text behind it": good + b"x",
                "zero": b"-",
                "latin-1": "<rss>é</rss>".encode("latin-1") if "xml" in content_type else '"é"'.encode("latin-1"),
                "the critical error": b"<p>There has been a critical error on this website.</p>x",
            }
        for what, body in bodies.items():
            yield Wrong(f"{name}: {what}", answer(body, content_type=content_type), path=path)
        # The second of two that agree is believed where HTML can be a page at all.
        yield Wrong(f"{name}: a splash page as HTML", answer(splash), path=path, times=1)
        yield Wrong(f"{name}: the login page as HTML", answer((PAGES / "login.html").read_bytes()), path=path)
        yield Wrong(f"{name}: cut, the connection closed", _closed(good[:-9], content_type), path=path)
        yield Wrong(
            f"{name}: in UTF-16",
            answer(b"\xff\xfe" + good.decode().encode("utf-16-le"), content_type=content_type),
            path=path,
        )
        yield Wrong(f"{name}: 500", answer(good, 500, content_type=content_type), path=path)
        if "xml" in content_type:
            bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + good
            yield Wrong(f"{name}: entities", answer(bomb, content_type=content_type), path=path)
            other = b"<html xmlns='http://www.w3.org/1999/xhtml'><body>Error</body></html>"
            yield Wrong(f"{name}: XHTML", answer(other, content_type=content_type), path=path)
            die = b"<error><code>wp_die</code><message>There has been a critical error</message>"
            yield Wrong(f"{name}: half of wp_die", answer(die, content_type=content_type), path=path)


def _closed(body: bytes, content_type: str = HTML) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n".encode() + body


def _broken() -> Iterator[Wrong]:
    """Answers that are broken on their way."""
    whole, head = html("other").encode(), f"HTTP/1.1 200 OK\r\nContent-Type: {HTML}\r\n".encode()
    lines = {
        "no length, half": head + b"Connection: close\r\n\r\n" + whole[:-20],
        "length too long": head + b"Content-Length: 5000\r\nConnection: close\r\n\r\n" + whole,
        "length too short": head + b"Content-Length: 50\r\n\r\n" + whole,
        "two lengths": head + b"Content-Length: 50\r\nContent-Length: 60\r\n\r\n" + whole,
        "a length that is none": head + b"Content-Length: many\r\n\r\n" + whole,
        "no last chunk": head
        + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%b\r\n" % (len(whole), whole),
        "half a chunk": head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nfff\r\n" + whole,
        "a chunk size that is none": head + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + whole,
        "no header": whole,
        "no status": b"HTTP/1.1\r\n\r\n" + whole,
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n",
        "nothing": b"",
        "half a header": b"HTTP/1.1 200 OK\r\nContent-Ty",
        "no gzip": answer(whole, Content_Encoding="gzip"),
        "a field that is too long": head + b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n" + whole,
        "a field without a colon": head + b"Nonsense\r\nContent-Length: 5\r\n\r\nhello",
        "FTP": b"220 welcome\r\n",
        "SMTP": b"554 no\r\n",
    }
    for name, raw in lines.items():
        yield Wrong(f"broken: {name}", raw)


def _for_somebody() -> Iterator[Wrong]:
    """Pages that were rendered for one visitor, in whatever head."""
    single = GOOD.decode()
    signs = {
        "body class": single.replace('<body class="', '<body class="logged-in ', 1),
        "body class and admin bar": single.replace('<body class="', '<body class="logged-in admin-bar ', 1),
        "account in the bar": single.replace("</body>", '<li id="wp-admin-bar-my-account">Howdy, Bob</li></body>'),
        "a way out": single.replace(
            "</body>", '<a href="/wp-login.php?action=logout&amp;_wpnonce=1">Log out</a></body>'
        ),
        "a comment form": single.replace(
            "</body>", '<p class="logged-in-as"><a href="/wp-admin/profile.php">Bob</a></p></body>'
        ),
        "own comment": single.replace("</body>", '<em class="comment-awaiting-moderation">Yours</em></body>'),
    }
    for name, body in signs.items():
        yield Wrong(f"for somebody: {name}", answer(body))
        yield Wrong(f"for somebody: {name}, and private", answer(body, Cache_Control="private"))
        yield Wrong(f"for somebody: {name}, and a cookie", answer(body, Set_Cookie="sid=1"))


def splashes() -> Iterator[Wrong]:
    """Whole pages of somebody else with 200. Nothing in them is wrong: only the page that they replace was another."""
    bodies = {
        "nginx": "<h1>Welcome to nginx!</h1><p>If you see this page, the web server is installed.</p>",
        "nginx 502": "<center><h1>502 Bad Gateway</h1></center><hr><center>nginx/1.22.1</center>",
        "Apache": "<h1>It works!</h1>",
        "a list of files": "<h1>Index of /</h1><ul><li><a href='wp-config.php.bak'>wp-config.php.bak</a></ul>",
        "suspended": "<h1>Account Suspended</h1><p>Contact your hosting provider for more information.</p>",
        "parked": "<h1>example.org is for sale</h1><p>Related searches</p>",
        "soon": "<h1>Coming soon</h1><p>We are working on something great.</p>",
        "challenge": "<h1>Just a moment...</h1><p>Checking if the site connection is secure</p>",
        "empty theme": "<main></main>",
        "nothing found": "<h1>Nothing here</h1><p>It seems we cannot find what you are looking for.</p>",
    }
    for name, body in bodies.items():
        yield Wrong(f"splash: {name}", answer(f"<!DOCTYPE html><html><body>{body}</body></html>"), times=1)


def examine(kinds: Sequence[Wrong], tally: Judged) -> None:
    """Each kind, between two times of the good page."""
    tally.scripted += len(kinds)
    asyncio.run(_examine(kinds, tally))


async def _examine(kinds: Sequence[Wrong], tally: Judged) -> None:
    good = {"/post/": answer(GOOD)} | {
        path: answer(body, content_type=content_type) for path, (content_type, body) in GOOD_DATA.items()
    }
    with tempfile.TemporaryDirectory() as directory:
        async with ScriptedOrigin().running() as origin, staged(Path(directory), origin.address) as common:
            for wrong in kinds:
                origin.pages = dict(good)
                if b"Retry-After" not in wrong.raw:
                    await _over_a_good_page(common, origin, wrong, tally)
                    continue
                # What asks for a pause gets a client of its own: the others are not to be left out for it.
                with tempfile.TemporaryDirectory() as place:
                    async with staged(Path(place), origin.address) as stage:
                        await _over_a_good_page(stage, origin, wrong, tally)


async def _over_a_good_page(stage: Stage, origin: ScriptedOrigin, wrong: Wrong, tally: Judged) -> None:
    stage.seconds += 60
    result = await stage.render(wrong.path)
    assert result.outcome.is_good, (wrong.name, result)
    before = files(stage.leaf(wrong.path))
    origin.pages[wrong.path] = _once(wrong.raw)
    for _ in range(wrong.times):
        stage.seconds += 60
        result = await stage.render(wrong.path)
        tally.verdicts[result.verdict] += 1
        if result.outcome.is_good:
            tally.faults.append(f"{wrong.name}: {result.outcome}")
    now = files(stage.leaf(wrong.path))
    if now != before and not (wrong.may_go and result.outcome is Outcome.GONE and not now):
        tally.faults.append(f"{wrong.name}: {result.outcome}, {result.verdict}; the tree is another one")


def _once(raw: bytes) -> Script:
    """Says it, and closes the connection."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(raw)

    return script


# --- A real WordPress, broken ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Break:
    """One state of a WordPress in which its answer is wrong."""

    name: str
    path: str = "/about/"
    plugin: Mapping[str, object] = field(default_factory=dict)
    """What `breaks.php` does."""
    state: str = ""
    """What is done to the whole WordPress."""
    may_go: bool = False


def breaks() -> list[Break]:
    """Every one of them, those that cost a stop of a server last."""
    found = []
    fatal = (
        "fatal",
        "exception",
        "memory",
        "error",
        "parse",
        "exit",
        "die",
        "wp_die",
        "wp_die_200",
        "kill",
        "database",
    )
    hooks = ("plugins_loaded", "init", "template_redirect", "wp_head", "wp_body_open", "loop_start", "wp_footer")
    for what, hook, (display, html_errors) in product(fatal, hooks, ((0, 1), (1, 1), (1, 0))):
        # What PHP prints of its errors is the same where there is none.
        if (display, html_errors) == (0, 1) or what in {"fatal", "exception", "memory", "error", "parse"}:
            found.append(_plugin_break(what, hook, "/about/", display, html_errors))
    data = {
        "/feed/": "rss2_head",
        "/wp-sitemap.xml": "init",
        "/robots.txt": "do_robotstxt",
        "/wp-json/wp/v2/posts": "rest_api_init",
    }
    for what, (path, hook), display in product(
        ("fatal", "exception", "memory", "exit", "wp_die", "wp_die_200", "kill"), data.items(), (0, 1)
    ):
        found.append(_plugin_break(what, hook, path, display, 1))
    # WordPress itself has PHP print no notices unless it is told to.
    found += [_plugin_break("warning", "init", "/about/", 1, html_errors) for html_errors in (0, 1)]
    found.append(_plugin_break("time", "wp_head", "/about/", 0, 1))
    for what in ("nocache", "cookie", "session", "charset", "type", "unavailable", "user", "busy"):
        found.append(_plugin_break(what, "template_redirect", "/about/", 0, 1))
    found.append(replace(_plugin_break("login", "template_redirect", "/about/", 0, 1), may_go=True))
    paths = ("/about/", "/", "/feed/", "/wp-sitemap.xml", "/robots.txt", "/wp-json/wp/v2/posts")
    for state in ("maintenance", "maintenance drop-in", "not installed", "no database", "database drop-in", "no php"):
        found += [Break(f"{state}: {path}", path, state=state) for path in paths]
    return found


def _plugin_break(what: str, hook: str, path: str, display: int, html_errors: int) -> Break:
    plugin = {"what": what, "hook": hook, "display": display, "html": html_errors}
    return Break(f"{what} at {hook}, display_errors {display}, html_errors {html_errors}: {path}", path, plugin)


@contextmanager
def _state(stack: Stack, name: str) -> Iterator[None]:
    """The whole WordPress in a state, and out of it again."""
    root = stack.directory / "wordpress"
    drop_in = "<html><body class='home'><h1>Back soon</h1><p>Error establishing a database connection</p></body></html>"
    content = {
        "maintenance": {".maintenance": "<?php $upgrading = time();"},
        "maintenance drop-in": {
            ".maintenance": "<?php $upgrading = time();",
            "wp-content/maintenance.php": "<p>Briefly unavailable for scheduled maintenance.</p></body></html>",
        },
        "database drop-in": {"wp-content/db-error.php": drop_in},
    }.get(name, {})
    config = root / "wp-config.php"
    before = config.read_text()
    with ExitStack() as undo:
        for file, text in content.items():
            (root / file).write_text(text)
            undo.callback((root / file).unlink)
        if name == "not installed":
            undo.callback(config.write_text, before)
            config.write_text(before.replace("$table_prefix = 'wp_'", "$table_prefix = 'none_'"))
        if name in {"no database", "database drop-in"}:
            undo.callback(stack.command, "start-db")
            stack.command("stop-db")
        if name == "no php":
            undo.callback(stack.command, "start-php")
            stack.command("stop-php")
        yield


async def break_wordpress(stack: Stack, kinds: Sequence[Break], tally: Judged) -> None:
    """Each kind once, by the server's own head; and the same body once more below a head that says that all is well."""
    plugins = stack.directory / "wordpress/wp-content/mu-plugins"
    directory = stack.make_directory()
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, directory)
        for name in ("break.json", "breaks.php"):
            undo.callback((plugins / name).unlink, missing_ok=True)
        (plugins / "breaks.php").write_bytes((HERE / "breaks.php").read_bytes())
        for state, group in groupby(kinds, key=lambda kind: kind.state):
            every = list(group)
            place = directory / (state or "plugin")
            place.mkdir()
            async with staged(place, stack.origin, url=stack.url) as stage:
                good = {}
                for path in {kind.path for kind in every}:
                    result = await stage.render(path)
                    assert result.outcome is Outcome.PUBLISHED, result
                    good[path] = stage.tree.path / stage.page(path).tree_path(result.record.kind or Kind.HTML)
            leave = undo.enter_context(ExitStack())
            leave.enter_context(_state(stack, state))
            for kind in every:
                (plugins / "break.json").write_text(json.dumps(kind.plugin))
                async with staged(place, stack.origin, url=stack.url) as stage:
                    await _break(stage, stack, kind, good[kind.path], tally)
            (plugins / "break.json").unlink()
            leave.close()


async def _break(stage: Stage, stack: Stack, kind: Break, file: Path, tally: Judged) -> None:
    before = files(stage.tree.path)
    result = await stage.render(kind.path)
    tally.real += 1
    tally.verdicts[result.verdict] += 1
    # A second sign that it is not for everybody agrees with the one of another kind before it.
    is_gone = kind.may_go and result.outcome is Outcome.GONE
    if result.outcome.is_good or (files(stage.tree.path) != before and not is_gone):
        tally.faults.append(f"{kind.name}: {result.outcome}, {result.verdict}")
    try:
        reply = stack.from_origin(kind.path)
    except (OSError, HTTPException):
        return
    if SERVERS_OWN in reply.body:
        return
    # Its body under the head of a good page: what a server says that knows no status but 200.
    content_type = HTML if file.suffix == ".html" else reply.headers.get("content-type", HTML)
    answered = Answer(200, (("content-type", content_type),), reply.body)
    rules = rules_of(stage.site)
    verdict = decide_head(answered, stage.page(kind.path), rules.gate)
    if verdict.is_publishable:
        verdict = prepare(answered, rules).verdict
    is_head_alone = kind.plugin.get("what") in HEAD_ALONE
    if verdict.is_publishable and not is_head_alone:
        tally.faults.append(f"{kind.name}, below a good head: {verdict.reason}: {reply.body[:200]!r}")


# --- Good pages ------------------------------------------------------------------------------------------------------


def look_at_good_pages(count: int, seed: int, tally: Judged) -> None:
    """How many of them may not go out."""
    rules = rules_of(site_of("http://127.0.0.1:1"))
    for kind, path, content_type, fields, body in islice(_good.pages(seed), count):
        answered = Answer(200, (("content-type", content_type), *fields), body)
        verdict = decide_head(answered, parse_page(f"https://example.org{path}"), rules.gate)
        if verdict.is_publishable:
            verdict = prepare(answered, rules).verdict
        tally.good += 1
        if not verdict.is_publishable:
            tally.refused[f"{kind}, {verdict.name}"] += 1
    if (refused := tally.refused.total()) > max(1, tally.good * MOST_REFUSED):
        tally.faults.append(f"{refused} of {tally.good:,} good pages are refused: {dict(tally.refused)}")
