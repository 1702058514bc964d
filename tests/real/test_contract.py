"""What every front keeps, whatever server it is: one suite, run against nginx, Apache and Caddy as `staticify config`
sets them up, before a real WordPress and before an origin that fails on command."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import brotli
import pytest

from real.balancing import send
from real.fronts import FRONTS, Front, front_of
from real.helpers import Reply, Stack, ask, free_ports
from staticify.encode import encode
from staticify.nouns import Kind
from staticify.queries import TRACKING, WORDPRESS
from staticify.tree import Tree
from staticify.urls import Page

PAGES = {
    "/": Kind.HTML,
    "/about/": Kind.HTML,
    "/about/team/": Kind.HTML,
    "/without-slash": Kind.HTML,
    "/2024/06/日本語 x&z=é+[a]/": Kind.HTML,
    "/name;with,odd'(signs)*!$/": Kind.HTML,
    f"/{'x' * 240}": Kind.HTML,
    "/feed/": Kind.RSS,
    "/comments/feed/atom/": Kind.ATOM,
    "/wp-sitemap.xml": Kind.XML,
    "/wp-json/": Kind.JSON,
    "/robots.txt": Kind.TEXT,
}
MEDIA_TYPES = {
    Kind.HTML: "text/html",
    Kind.RSS: "application/rss+xml",
    Kind.ATOM: "application/atom+xml",
    Kind.XML: "application/xml",
    Kind.JSON: "application/json",
    Kind.TEXT: "text/plain",
}
DECODERS: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.decompress, "br": brotli.decompress}
FAILING = "failing.example.org"
"""A site whose WordPress does what the path says."""
BYPASS, MISS, METHOD = (f"staticify; fwd={why}" for why in ("bypass", "uri-miss", "method"))
HIT, INSTEAD = "staticify; hit", "staticify; hit; detail=origin-failed"


class FailingWordPress(BaseHTTPRequestHandler):
    """Answers /status/N/ with N, /slow/ not at all, and everything else with what it was asked; the header of
    /header/N/ has N fields of a kilobyte."""

    protocol_version = "HTTP/1.1"
    is_over = threading.Event()

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        sent = self.rfile.read(length).decode()
        if self.path.startswith("/slow/"):
            self.is_over.wait(20)
            return
        status = int(self.path.split("/")[2]) if self.path.startswith("/status/") else 200
        asked = {"method": self.command, "target": self.path, "headers": dict(self.headers), "body": sent}
        body = json.dumps(asked).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Served-By", "somebody")
        for number in range(int(self.path.split("/")[2]) if self.path.startswith("/header/") else 0):
            self.send_header(f"X-Long-{number}", "x" * 1000)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _answer  # noqa: N815  so http.server calls them

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Served:
    """A tree behind one front."""

    stack: Stack
    front: Front
    tree: Tree
    port: int

    def page(self, path: str, host: str = "") -> Page:
        return Page("http", host or self.stack.netloc, path)

    def leaf(self, path: str, host: str = "") -> Path:
        return self.tree.path / self.page(path, host).place.relative

    def publish(self, path: str, kind: Kind, body: bytes, host: str = "") -> None:
        # A minute ago, and later than the one before: in the first second Apache has weak validators only.
        before = self.tree.find(self.page(path, host).place)
        mtime = int(time.time()) - 60 if before is None else before.mtime + 1
        self.tree.publish(self.page(path, host).place, kind, encode(body), mtime=mtime)

    def get(self, target: str, coding: str = "", *, method: str = "GET", host: str = "", **headers: str) -> Reply:
        """An answer to a target as it goes over the wire. In names of arguments underscores stand for hyphens."""
        accepted = {"Accept-Encoding": coding} if coding else {}
        fields = accepted | {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.port, target, host=host or self.stack.netloc, method=method, headers=fields)

    def send(self, text: str) -> Reply:
        """An answer to a request as it goes over the wire, after which the connection is closed."""
        return send(self.port, text.replace("\n", "\r\n").encode())

    @property
    def is_caddy(self) -> bool:
        return self.front.kind == "caddy"


def body_of(path: str) -> bytes:
    return f"<p>the page {path}</p>\n".encode() * 40


@pytest.fixture(scope="module")
def failing() -> Iterator[int]:
    """The port of an origin that fails on command."""
    FailingWordPress.is_over.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), FailingWordPress)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    FailingWordPress.is_over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module", params=FRONTS)
def served(stack: Stack, failing: int, request: pytest.FixtureRequest) -> Iterator[Served]:
    directory = Path(tempfile.mkdtemp(prefix="staticify-front-", dir="/var/tmp"))
    directory.chmod(0o755)
    (port,) = free_ports(1)
    config = directory / "staticify.toml"
    config.write_text(
        f'[tree]\npath = "{directory}/tree"\n[state]\npath = "{directory}/state"\n'
        f'[front]\nlisten = "127.0.0.1:{port}"\ntimeout = "1s"\ncdn_cache_control = "max-age=30"\n'
        f'[[site]]\nurl = "{stack.url}"\norigin = "{stack.origin}"\n'
        f'[[site]]\nurl = "http://{FAILING}"\norigin = "http://127.0.0.1:{failing}"\n'
    )
    tree = Tree(directory / "tree")
    tree.open()
    front = front_of(request.param, directory / "front", config)
    one = Served(stack, front, tree, port)
    try:
        for path, kind in PAGES.items():
            one.publish(path, kind, body_of(path))
        for path in ("/status/500/", "/status/502/", "/status/503/", "/status/504/", "/slow/", "/about/"):
            one.publish(path, Kind.HTML, body_of(path), FAILING)
        one.publish("/status/503/feed/", Kind.RSS, body_of("/status/503/feed/"), FAILING)
        front.start(port)
        yield one
    finally:
        front.stop()
        tree.close()
        shutil.rmtree(directory)


def assert_is_page(answer: Reply, path: str, coding: str = "", cache_status: str = HIT) -> None:
    """A whole answer from the tree."""
    assert (answer.status, answer.cache_status) == (200, cache_status)
    assert answer.headers.get("content-encoding", "") == coding
    assert DECODERS[coding](answer.body) == body_of(path)
    media_type, _, charset = answer.headers["content-type"].partition(";")
    assert (media_type, charset.strip().lower()) == (MEDIA_TYPES[PAGES.get(path, Kind.HTML)], "charset=utf-8")
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["cache-control"] == "max-age=0, must-revalidate"
    # What takes the place of an answer is nothing for a CDN to keep.
    assert answer.headers.get("cdn-cache-control") == ("max-age=30" if cache_status == HIT else None)
    assert answer.headers["x-served-by"] == socket.gethostname()
    assert answer.headers["etag"].startswith('"')
    assert not {"expires", "set-cookie", "x-powered-by"} & set(answer.headers)


# --- The tree's own answers ---


def test_every_page_is_served_in_every_coding(served: Served) -> None:
    for path, kind in PAGES.items():
        for coding in ("", "gzip", "br") if kind is Kind.HTML else ("", "gzip"):
            assert_is_page(served.get(served.page(path).raw_path, coding), path, coding)


def test_head_says_what_get_says(served: Served) -> None:
    for path in PAGES:
        target = served.page(path).raw_path
        get, head = served.get(target, "gzip"), served.get(target, "gzip", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        changing = {"date", "content-length", "transfer-encoding", "keep-alive"}
        assert {k: v for k, v in head.headers.items() if k not in changing} == {
            k: v for k, v in get.headers.items() if k not in changing
        }


@pytest.mark.parametrize(
    ("accepted", "coding"),
    {
        "gzip, deflate, br": "br",
        "gzip, deflate, br, zstd": "br",
        "gzip, deflate": "gzip",
        "gzip;q=0, br;q=0": "",
        "br": "br",
        "identity": "",
        "deflate": "",
        "zstd, gzip": "gzip",
        "brotli, gzipped": "",
    }.items(),
)
def test_the_variant_is_one_that_the_browser_takes(served: Served, accepted: str, coding: str) -> None:
    assert_is_page(served.get("/about/", accepted), "/about/", coding)
    assert_is_page(served.get("/about/", accepted, Via="1.1 proxy"), "/about/", coding)


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "wordpress_logged_in_0=admin%7C1; comment_author_0=Bob; wp-postpass_0=secret"},
        {"Authorization": "Basic YWRtaW46eA=="},
        {"Cache_Control": "no-cache", "Pragma": "no-cache"},
        {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "www.example.com"},
        {"X_HTTP_Method_Override": "POST", "X_Original_URL": "/wp-admin/", "X_Rewrite_URL": "/wp-admin/"},
        {"Accept": "application/json"},
    ],
    ids="+".join,
)
def test_what_a_visitor_says_of_himself_changes_nothing(served: Served, headers: dict[str, str]) -> None:
    assert_is_page(served.get("/about/", **headers), "/about/")


def test_a_query_that_only_says_where_the_visitor_came_from_changes_no_page(served: Served) -> None:
    queries = [f"{name.replace('*', 'x_1')}=a%20b" for name in TRACKING]
    for query in ("", *queries, "gclid", "utm_source=&utm_medium=", "&".join(queries[:30]), "_ga=1&&gclid=2&"):
        assert_is_page(served.get(f"/about/?{query}"), "/about/")
    for path in ("/feed/", "/robots.txt", "/wp-sitemap.xml"):
        assert_is_page(served.get(f"{path}?utm_source=x"), path)


def test_escapes_that_need_not_be_are_undone(served: Served) -> None:
    assert_is_page(served.get("/%61bout/"), "/about/")
    odd = "/2024/06/日本語 x&z=é+[a]/"
    assert_is_page(served.get(quote(odd).lower()), odd)


def test_validators_differ_by_variant_and_answer_304_only_if_nothing_changed(served: Served) -> None:
    tags = {}
    for coding in ("", "gzip", "br"):
        whole = served.get("/about/", coding)
        tags[coding] = whole.headers["etag"]
        for field in ({"If_None_Match": tags[coding]}, {"If_None_Match": f'"x", {tags[coding]}'}):
            answer = served.get("/about/", coding, **field)
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tags[coding])
            assert answer.headers["vary"] == "Accept-Encoding"
            assert answer.headers["cache-control"] == "max-age=0, must-revalidate"
        assert served.get("/about/", coding, If_None_Match='"x"').status == 200
        by_date = served.get("/about/", coding, If_Modified_Since=whole.headers["last-modified"])
        # Apache's dates are a second too coarse, so that its recipe leaves them to the tags.
        assert by_date.status == (200 if served.front.kind == "apache" else 304)
        assert served.get("/about/", coding, If_Modified_Since="Thu, 01 Jan 1970 00:00:00 GMT").status == 200
    assert len(set(tags.values())) == 3
    assert served.get("/about/", "gzip", If_None_Match=tags["br"]).status == 200


def test_a_replaced_page_is_served_at_once_and_its_old_validators_are_void(served: Served) -> None:
    for letter in "abc":
        old = served.get("/about/team/", "gzip")
        body = letter.encode() * 1000
        served.publish("/about/team/", Kind.HTML, body)
        for field in (
            {"If_None_Match": old.headers["etag"]}, {"If_Modified_Since": old.headers["last-modified"]}, {},
        ):  # fmt: skip
            answer = served.get("/about/team/", "gzip", **field)
            assert (answer.status, gzip.decompress(answer.body)) == (200, body)
    served.publish("/about/team/", Kind.HTML, body_of("/about/team/"))


# --- What WordPress answers ---


@pytest.mark.parametrize(
    ("target", "cache_status"),
    [
        ("/about/?a=1", BYPASS),
        ("/about/?utm_source=x&a=1", BYPASS),
        ("/about/?a=1&utm_source=x", BYPASS),
        ("/about/?utm_source[]=x", BYPASS),
        ("/about/?UTM_SOURCE=x", BYPASS),
        ("/about/?%75tm_source=x", BYPASS),
        ("/?s=board", BYPASS),
        ("/?p=1", BYPASS),
        ("/?preview=true&p=1", BYPASS),
        ("/?rest_route=/", BYPASS),
        ("/contact/", MISS),
        ("/contact/?utm_source=x", MISS),
        ("/no-such-page/", MISS),
        ("/wp-login.php", MISS),
        ("/wp-admin/", MISS),
        ("/wp-json/wp/v2/posts", MISS),
        ("/wp-includes/js/jquery/jquery.min.js", MISS),
        ("/wp-content/uploads/2024/01/board-1.jpg", MISS),
    ],
)
def test_everything_else_is_wordpresss_to_answer(served: Served, target: str, cache_status: str) -> None:
    answer, own = served.get(target), served.stack.from_origin(target)
    assert answer.cache_status == cache_status
    assert (answer.status, answer.headers.get("location")) == (own.status, own.headers.get("location"))
    media_type = own.headers["content-type"].partition(";")[0]
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert answer.headers.get("cdn-cache-control") is None
    assert b"<p>the page " not in answer.body
    if media_type != "text/html":
        assert answer.body == own.body


# Each finds /about/ or / in a server that decodes, merges or folds first, and is another page, or none, to WordPress.
@pytest.mark.parametrize(
    "target",
    [
        "//", "//about/", "/about//", "/x/../about/", "/./about/", "/about/.", "/%2e/about/", "/x/%2E%2e/about/",
        "/about%2F", "/x/..%2fabout/", "/about%5c", "/About/", "/ABOUT/", "/about", "/without-slash/", "/about/team",
        "/about/%00", "/robots.txt/", "/index.php/about/", "/about/index.html", "/about/;x", "/about/%20", "/about/#x",
    ],
)  # fmt: skip
def test_another_spelling_is_never_a_second_copy_or_a_wrong_page(served: Served, target: str) -> None:
    answer = served.get(target)
    assert b"<p>the page " not in answer.body
    assert not answer.cache_status.startswith(HIT)
    if answer.status in {301, 302}:
        assert answer.headers["location"].startswith(served.stack.url)


def test_wordpress_gets_what_the_visitor_sent(served: Served) -> None:
    target = "/a%2Fb/%E6%97%A5//c%20d/?x=%2F&y=a+b"
    asked = json.loads(served.get(target, host=FAILING, Cookie="a=1; b=2", X_Forwarded_For="203.0.113.9").body)
    assert (asked["method"], asked["target"]) == ("GET", target)
    fields = {name.lower(): value for name, value in asked["headers"].items()}
    assert fields["host"] == FAILING
    assert fields["cookie"] == "a=1; b=2"
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "http"
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)) as connection:
        connection.request("POST", "/about/", b"comment=hello", {"Host": FAILING})
        response = connection.getresponse()
        assert response.headers["Cache-Status"] == METHOD
        posted = json.loads(response.read())
    assert (posted["method"], posted["body"]) == ("POST", "comment=hello")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_get_and_head_are_looked_up(served: Served, method: str) -> None:
    answer = served.get("/about/", method=method)
    assert (answer.cache_status, b"<p>the page " in answer.body) == (METHOD, False)


def test_who_answered_is_said(served: Served) -> None:
    assert served.get("/about/").headers["x-served-by"] == socket.gethostname()
    passed_on = served.get("/other/", host=FAILING).headers["x-served-by"]
    assert passed_on.split(", ")[0] == socket.gethostname()
    assert "somebody" not in passed_on


def test_hosts_that_the_tree_does_not_know_find_nothing_in_it(served: Served) -> None:
    port = served.port
    for host in ("www.other.example", "127.0.0.1", f"127.0.0.1:{port + 1 if port != 65534 else port - 1}", "localhost"):
        answer = served.get("/about/", host=host)
        assert b"<p>the page " not in answer.body, host
        assert not answer.cache_status.startswith(HIT)


# --- Nothing but pages ---


@pytest.mark.parametrize(
    "target",
    [
        "/@staticify/index.html", "/@staticify/index.html.gz", "/about/@staticify/index.html", "/about/@staticify/",
        "/about/@staticify", "/about/%40staticify/index.html", "/about/@%73taticify/index.html.br",
        "/about/@STATICIFY/index.html", "/robots.txt@staticify/index.txt", "/about/x/../@staticify/index.html",
        "/../state/state.db", "/%2e%2e/state/state.db", "/-staticify-instead", "/@staticify.tmp/index.html",
    ],
)  # fmt: skip
def test_nothing_under_the_tree_but_pages_can_be_fetched(served: Served, target: str) -> None:
    answer = served.get(target)
    assert answer.status in {301, 400, 404}
    assert b"<p>the page " not in answer.body
    assert not answer.cache_status.startswith(HIT)


def test_what_lies_about_in_the_tree_is_no_page(served: Served) -> None:
    host = served.tree.path / served.stack.netloc
    for name in (".staticify-new-x", "@staticify~old", "plain"):
        (host / name).mkdir()
        (host / name / "index.html").write_text("<p>the page that is none")
    try:
        for name in (".staticify-new-x", "@staticify~old", "plain"):
            for target in (f"/{name}/", f"/{name}/index.html", f"/{name}"):
                assert b"<p>the page " not in served.get(target).body
    finally:
        for name in (".staticify-new-x", "@staticify~old", "plain"):
            shutil.rmtree(host / name)


def test_a_link_that_somebody_else_has_made_is_not_followed(served: Served) -> None:
    if served.is_caddy:
        pytest.skip("Caddy cannot be told to: its recipe says what to do, and another test does it")
    outside = served.tree.path.parent / "outside"
    outside.mkdir()
    (outside / "index.html").write_text("SECRET")
    links = [served.leaf("/linked-leaf/"), served.leaf("/linked-file/") / "index.html"]
    try:
        for link, target in zip(links, (outside, outside / "index.html"), strict=True):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
            os.lchown(link, 65534, 65534)
        for path in ("/linked-leaf/", "/linked-file/"):
            answer = served.get(path)
            assert (b"SECRET" in answer.body, answer.status in {403, 404}) == (False, True)
    finally:
        for link in links:
            link.unlink()
        shutil.rmtree(outside)


# --- While WordPress gives no answer ---


@pytest.mark.parametrize("path", ["/status/500/", "/status/502/", "/status/503/", "/status/504/", "/slow/"])
def test_the_page_takes_the_place_of_an_answer_that_is_none(served: Served, path: str) -> None:
    # Each answer of the slow one takes the front's whole time-out.
    for query in ("?a=1", "?a=1&utm_source=x", "?ref=b%2Fc")[: 1 if path == "/slow/" else None]:
        for coding in ("", "gzip", "br"):
            assert_is_page(served.get(f"{path}{query}", coding, host=FAILING), path, coding, INSTEAD)
    head = served.get(f"{path}?a=1", method="HEAD", host=FAILING)
    assert (head.status, head.body, head.cache_status) == (200, b"", INSTEAD)
    tag = served.get(f"{path}?a=1", host=FAILING).headers["etag"]
    again = served.get(f"{path}?a=1", host=FAILING, If_None_Match=tag)
    assert again.status == 304 or again.body == body_of(path)


def test_a_feed_does_so_too(served: Served) -> None:
    answer = served.get("/status/503/feed/?a=1", host=FAILING)
    assert (answer.status, answer.cache_status, answer.body) == (200, INSTEAD, body_of("/status/503/feed/"))
    assert answer.headers["content-type"].startswith("application/rss+xml")


# Names of WordPress's own, and names that PHP would read as one of them, or may.
OTHER_PAGES = [
    *(f"{name.replace('*', 'x')}=1" for name in WORDPRESS),
    "%73=x", "s%5B%5D=x", "a.b=1", "+s=1", "a=1&s", "a%5B0%5D=1",
]  # fmt: skip


@pytest.mark.parametrize("query", OTHER_PAGES)
def test_but_not_where_the_query_asks_for_another_page(served: Served, query: str) -> None:
    answer = served.get(f"/status/503/?{query}", host=FAILING)
    assert_is_error(answer)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nor_for_another_method(served: Served, method: str) -> None:
    assert_is_error(served.get("/status/503/", host=FAILING, method=method))


def test_nor_where_the_tree_has_no_page(served: Served) -> None:
    for target in ("/status/503/other/", "/status/500/x?a=1", "/slow/x/", "//status/503/", "/status/503//?a=1"):
        assert_is_error(served.get(target, host=FAILING))


def assert_is_error(answer: Reply) -> None:
    """The short page for everything that cannot be answered."""
    assert (answer.status, answer.headers["content-type"].lower()) == (503, "text/html; charset=utf-8")
    assert int(answer.headers["retry-after"]) > 0
    assert b"<title>" in answer.body
    assert len(answer.body) < 2000
    assert b"the page " not in answer.body
    assert "fwd=" in answer.cache_status
    assert answer.headers.get("cdn-cache-control") is None


def test_answers_of_wordpress_that_are_some_are_passed_on(served: Served) -> None:
    for status in (201, 400, 401, 403, 404, 410, 418, 429):
        answer = served.get(f"/status/{status}/x/", host=FAILING)
        assert answer.status == status
        assert json.loads(answer.body)["target"] == f"/status/{status}/x/"


@pytest.mark.alone
def test_with_php_dead_pages_and_errors_are_there_at_once(served: Served) -> None:
    stack = served.stack
    pages = [path for path, kind in PAGES.items() if kind is Kind.HTML]
    stack.command("stop-php")
    try:
        seconds = []
        for path in pages * 5:
            target = served.page(path).raw_path
            for query in ("", "?utm_source=x", "?color=red"):
                began = time.perf_counter()
                answer = served.get(target + query, Cookie="wordpress_logged_in_0=admin")
                seconds.append(time.perf_counter() - began)
                assert_is_page(answer, path, "", INSTEAD if query == "?color=red" else HIT)
        for target, method in {"/?s=x": "GET", "/?p=1&preview=true": "GET", "/wp-comments-post.php": "POST"}.items():
            began = time.perf_counter()
            answer = served.get(target, method=method)
            seconds.append(time.perf_counter() - began)
            assert_is_error(answer)
    finally:
        stack.command("start-php")
    # Milliseconds, each with a connection of its own; a hundred times that would be a time-out somewhere.
    assert sorted(seconds)[len(seconds) // 2] < 0.5


def test_the_front_speaks_http_2(served: Served) -> None:
    """In plain text where the server can; over TLS in a test of its own."""
    if served.front.kind == "nginx":
        pytest.skip("nginx cannot upgrade a connection in plain text")
    done = subprocess.run(
        ["curl", "--silent", "--http2", "--output", os.devnull, "--write-out", "%{http_version} %{http_code}",
         "--header", f"Host: {served.stack.netloc}", f"http://127.0.0.1:{served.port}/about/"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    version, status = done.stdout.split()
    assert status == "200"
    assert version in {"1.1", "2"}


# --- With more than the ordinary settings, before an origin that fails on command ---

LOGGED_IN = "wordpress_logged_in_0=admin%7C1"


@pytest.fixture(scope="module", params=FRONTS)
def special(failing: int, request: pytest.FixtureRequest) -> Iterator[Served]:
    directory = Path(tempfile.mkdtemp(prefix="staticify-front-", dir="/var/tmp"))
    directory.chmod(0o755)
    (port,) = free_ports(1)
    config = directory / "staticify.toml"
    config.write_text(
        f'[tree]\npath = "{directory}/tree"\n[state]\npath = "{directory}/state"\n'
        f'[front]\nlisten = "127.0.0.1:{port}"\ntimeout = "1s"\ncdn_cache_control = "max-age=3600"\nnot_found = true\n'
        'tracking = ["utm_source", "mine"]\nbypass_cookies = ["wordpress_logged_in_*"]\n'
        f'[[site]]\nurl = "http://{FAILING}"\norigin = "http://127.0.0.1:{failing}"\n'
    )
    tree = Tree(directory / "tree")
    tree.open()
    front = front_of(request.param, directory / "front", config)
    one = Served(Stack(directory, port, failing), front, tree, port)
    try:
        for path in ("/about/", "/status/503/"):
            one.publish(path, Kind.HTML, body_of(path), FAILING)
        for path, kind in {"/status/503/feed/": Kind.RSS, "/status/503/wp-json/": Kind.JSON}.items():
            one.publish(path, kind, body_of(path), FAILING)
        front.start(port)
        yield one
    finally:
        front.stop()
        tree.close()
        shutil.rmtree(directory)


def test_a_long_header_of_wordpresss_is_passed_on(special: Served) -> None:
    answer = special.get("/header/12/", host=FAILING)
    assert (answer.status, answer.headers["x-long-11"]) == (200, "x" * 1000)


def test_a_cdn_keeps_nothing_that_takes_the_place_of_an_answer(special: Served) -> None:
    for path in ("/status/503/", "/status/503/feed/"):
        answer = special.get(f"{path}?a=1", host=FAILING)
        assert (answer.status, answer.cache_status, answer.body) == (200, INSTEAD, body_of(path))
        assert "cdn-cache-control" not in answer.headers
        hit = special.get(path, host=FAILING)
        assert (hit.cache_status, hit.headers["cdn-cache-control"]) == (HIT, "max-age=3600")
        assert special.get(path, host=FAILING, If_None_Match=hit.headers["etag"]).headers["cdn-cache-control"]


PARTIAL = [
    {"Range": "bytes=99999-"},
    {"Range": "bytes=3-10"},
    {"Range": "bytes=0-0,-1"},
    {"Range": "bytes=3-10", "If_Range": '"x"'},
    {"If_Match": '"x"'},
    {"If_Unmodified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
]


@pytest.mark.parametrize("fields", PARTIAL, ids="+".join)
@pytest.mark.parametrize("target", ["/about/", "/status/503/", "/status/503/?a=1"])
def test_whoever_asks_for_a_part_gets_the_whole_page(special: Served, target: str, fields: dict[str, str]) -> None:
    """So that no error about a page, and no piece of one, goes out with what makes a CDN keep it."""
    for coding in ("", "gzip", "br"):
        answer = special.get(target, coding, host=FAILING, **fields)
        if special.front.kind == "nginx" and "Range" not in fields:
            # It cannot be told to pass over these: what it says is an error that nobody keeps.
            assert answer.status == 412
            assert not {"cdn-cache-control", "content-encoding", "cache-control", "etag"} & set(answer.headers)
            continue
        path = target.partition("?")[0]
        assert (answer.status, DECODERS[coding](answer.body)) == (200, body_of(path)), coding
        assert answer.headers.get("content-encoding", "") == coding
        assert "accept-ranges" not in answer.headers


def test_the_sender_of_a_long_query_does_not_choose_what_it_says(special: Served) -> None:
    for count in (1, 600, 1150):
        assert_is_error(special.get(f"/status/503/?{'utm_a&' * count}s=secret", host=FAILING))
        assert special.get(f"/about/?{'utm_a=b&' * (count * 3 // 4)}", host=FAILING).cache_status == HIT


def test_a_name_that_is_listed_twice_costs_nothing(special: Served) -> None:
    for query in (f"{'utm_source=x&' * 25}!", f"{'utm_source=x&' * 25}s=1", f"{'mine&utm_source&' * 200}!"):
        began = time.perf_counter()
        answers = [special.get(f"/about/?{query}", host=FAILING) for _ in range(10)]
        # Twice the work for each further `utm_source=x` is half a second for each of these, where the servers give up.
        assert time.perf_counter() - began < 2
        assert {answer.cache_status for answer in answers} == {BYPASS}


CLAIMS = {
    "Forwarded": "host=evil.example", "Front-End-Https": "evil", "Proxy": "http://evil.example",
    "X-Forwarded-For": "evil", "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "evil",
    "X-Forwarded-Proto": "evil", "X-Forwarded-Server": "evil.example", "X-Forwarded-Ssl": "evil", "X-Real-IP": "evil",
}  # fmt: skip


def test_wordpress_hears_nothing_that_a_front_alone_could_know(special: Served) -> None:
    asked = json.loads(special.get("/other/", host=FAILING, **CLAIMS).body)
    fields = {name.lower(): value for name, value in asked["headers"].items()}
    assert "evil" not in str(fields)
    assert (fields["x-forwarded-for"], fields["x-forwarded-proto"]) == ("127.0.0.1", "http")


@pytest.mark.parametrize(
    "names",
    [
        "X-Forwarded-Proto", "close, x-forwarded-proto, X-Forwarded-For", "XX-Forwarded-a-Forwarded-Proto",
        "X-ForwX-Forwarded-aarded-Proto",
    ],
)  # fmt: skip
def test_what_the_front_says_is_not_struck_out_by_the_visitor(special: Served, names: str) -> None:
    text = f"GET /other/ HTTP/1.1\nHost: {FAILING}\nConnection: {names}\nConnection: close\n\n"
    asked = json.loads(special.send(text).body)
    fields = {name.lower(): value for name, value in asked["headers"].items()}
    assert (fields.get("x-forwarded-for"), fields.get("x-forwarded-proto")) == ("127.0.0.1", "http")


def test_a_query_of_the_block_editors_lists_is_another_page(special: Served) -> None:
    for query in ("query-1-page=2", "query-0-page=2&a=1", "query-page=2"):
        assert_is_error(special.get(f"/status/503/?{query}", host=FAILING))


def test_data_takes_the_place_of_no_answer(special: Served) -> None:
    """Whatever a query of the REST API says, it says which data; and a program takes them for what it asked."""
    for query, fields in {"?per_page=2": {}, "?_fields=id": {}, "": {"Cookie": LOGGED_IN}}.items():
        assert_is_error(special.get(f"/status/503/wp-json/{query}", host=FAILING, **fields))
    assert special.get("/status/503/wp-json/", host=FAILING).body == body_of("/status/503/wp-json/")


def test_hosts_that_no_site_has_get_no_empty_page(special: Served) -> None:
    for host in ("other.example", f"{FAILING}:{special.port}", "127.0.0.1", "localhost", "evil.example:80"):
        for target in ("/about/", "/nothing/"):
            answer = special.get(target, host=host)
            assert (answer.status == 200, b"the page " in answer.body) != (True, True)
            assert answer.body or answer.status == 421, host
    dotted = special.get("/about/", host=f"{FAILING}.")
    assert dotted.status == 421 if special.is_caddy else dotted.cache_status == HIT


@pytest.mark.parametrize(
    "cookies", [[LOGGED_IN], ["a=1", LOGGED_IN], ["a=1; b=2", f"c=3; {LOGGED_IN}"], [LOGGED_IN, "a=1"]]
)
def test_who_is_logged_in_is_known_by_any_of_the_cookie_fields(special: Served, cookies: list[str]) -> None:
    lines = "".join(f"Cookie: {cookie}\n" for cookie in cookies)
    answer = special.send(f"GET /about/ HTTP/1.1\nHost: {FAILING}\nConnection: close\n{lines}\n")
    assert (answer.cache_status, b"the page " in answer.body) == (BYPASS, False)


def test_a_404_of_wordpresss_is_a_page_of_the_fronts_for_who_reads_a_page(special: Served) -> None:
    for target in ("/status/404/", "/status/404/?a=1", "/status/404/wp-jsonx/"):
        answer = special.get(target, host=FAILING)
        assert (answer.status, b"There is no page" in answer.body, "fwd=" in answer.cache_status) == (404, True, True)
        assert answer.headers["content-type"].startswith("text/html;")
    api = ("/status/404/wp-json/wp/v2/posts/9", "/status/404/wp-json", "/status/404/?rest_route=/wp/v2/posts/9")
    for target, method in [*((target, "GET") for target in api), (api[0], "POST"), ("/status/404/", "POST")]:
        for cookie in ("", LOGGED_IN):
            answer = special.get(target, method=method, host=FAILING, Cookie=cookie)
            assert (answer.status, json.loads(answer.body)["method"]) == (404, method), (target, method)
            assert answer.headers["content-type"] == "application/json"


def test_a_visitor_with_many_cookies_gets_the_page(special: Served) -> None:
    for length in (9_000, 30_000):
        answer = special.get("/about/", host=FAILING, Cookie="a=" + "x" * length)
        assert (answer.status, answer.cache_status) == (200, HIT), length


def test_a_visitor_with_the_longest_query_is_answered_like_others(special: Served) -> None:
    answer = special.get(f"/status/503/?{'utm_a&' * 5000}s=secret", host=FAILING)
    if special.front.kind == "apache":
        assert answer.status == 414
    else:
        assert_is_error(answer)
