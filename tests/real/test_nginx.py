"""deploy/nginx as it is, run by a real nginx: which requests the tree answers, with what, and which it passes on.

The pages are made by the tree itself, so that its rule of places and nginx's are proved to be the same one. What is
passed on reaches a real WordPress.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from faults import readers
from versions import DECODERS, version

from real.helpers import EXAMPLE, Reply, Stack, ask, empty_directory, free_ports, wait_for
from staticify.encode import encode
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import Page

PAGES = {
    "/": Kind.HTML,
    "/about/": Kind.HTML,
    "/about/team/": Kind.HTML,
    "/without-slash": Kind.HTML,
    "/2024/06/日本語 x?y%41&z=é/": Kind.HTML,
    f"/{'x' * 240}": Kind.HTML,
    "/feed/": Kind.RSS,
    "/comments/feed/atom/": Kind.ATOM,
    "/wp-sitemap.xml": Kind.XML,
    "/wp-json/": Kind.JSON,
    "/robots.txt": Kind.TEXT,
}
CONTENT_TYPES = {
    Kind.HTML: "text/html; charset=UTF-8",
    Kind.RSS: "application/rss+xml; charset=UTF-8",
    Kind.ATOM: "application/atom+xml; charset=UTF-8",
    Kind.XML: "application/xml; charset=UTF-8",
    Kind.JSON: "application/json; charset=UTF-8",
    Kind.TEXT: "text/plain; charset=UTF-8",
}
HTML_CODINGS = ("", "gzip", "br")
DATA_CODINGS = ("", "gzip")


@dataclass(frozen=True)
class Front:
    """nginx over a tree with one page of each sort."""

    stack: Stack
    tree: Tree

    def page(self, path: str) -> Page:
        return Page("http", self.stack.netloc, path)

    def publish(self, path: str, kind: Kind, body: bytes) -> None:
        self.tree.publish(self.page(path).place, kind, encode(body))

    def leaf(self, path: str) -> Path:
        return self.tree.path / self.page(path).place.relative

    def get(self, path: str, coding: str = "", **headers: str) -> Reply:
        """GET of a path as it goes over the wire, by somebody who accepts one content coding."""
        return self.stack.from_front(path, headers=fields(coding, headers))

    def head(self, path: str, coding: str = "", **headers: str) -> Reply:
        return self.stack.from_front(path, method="HEAD", headers=fields(coding, headers))


def fields(coding: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Header fields; in names of arguments underscores stand for hyphens."""
    accepted = {"Accept-Encoding": coding} if coding else {}
    return accepted | {name.replace("_", "-"): value for name, value in headers.items()}


def codings_of(path: str) -> tuple[str, ...]:
    """Those in which a page is sent."""
    return HTML_CODINGS if PAGES[path] is Kind.HTML else DATA_CODINGS


def body_of(path: str) -> bytes:
    return f"<p>the page {path}</p>\n".encode() * 40


@pytest.fixture(scope="session")
def published(stack: Stack) -> Path:
    """A tree of all pages, made once, to be copied."""
    directory = stack.make_directory()
    directory.chmod(0o755)
    tree = Tree(directory)
    tree.open()
    for path, kind in PAGES.items():
        Front(stack, tree).publish(path, kind, body_of(path))
    tree.close()
    return directory


@pytest.fixture
def front(stack: Stack, published: Path) -> Iterator[Front]:
    shutil.copytree(published, stack.tree, dirs_exist_ok=True)
    tree = Tree(stack.tree)
    tree.open()
    try:
        yield Front(stack, tree)
    finally:
        tree.close()
        empty_directory(stack.tree)


def assert_is_page(answer: Reply, path: str, coding: str = "") -> None:
    """A whole hit, with all that deploy/nginx says of one."""
    assert (answer.status, answer.cache_status) == (200, "staticify; hit")
    assert answer.headers.get("content-encoding", "") == coding
    assert DECODERS[coding](answer.body) == body_of(path)
    assert answer.headers["content-type"] == CONTENT_TYPES[PAGES[path]]
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["cache-control"] == "max-age=0, must-revalidate"
    assert answer.headers["x-served-by"] == "web1"  # The name in deploy/staticify.toml.
    assert answer.headers["content-length"] == str(len(answer.body))
    assert {"etag", "last-modified"} < set(answer.headers)
    assert not {"expires", "set-cookie", "x-powered-by"} & set(answer.headers)


# --- hits ---


def test_every_page_is_served_in_every_coding(front: Front) -> None:
    for path in PAGES:
        for coding in codings_of(path):
            assert_is_page(front.get(front.page(path).raw_path, coding), path, coding)


def test_head_says_what_get_says(front: Front) -> None:
    for path in PAGES:
        for coding in codings_of(path):
            get, head = (ask(front.page(path).raw_path, coding) for ask in (front.get, front.head))
            assert head.body == b""
            assert (head.status, without_date(head)) == (get.status, without_date(get))


def without_date(answer: Reply) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "date"}


# What a client accepts, and the coding that it gets.
NEGOTIATION = {
    "gzip, deflate, br": "br",
    "gzip, deflate, br, zstd": "br",
    "br;q=1.0, gzip;q=0.8, *;q=0.1": "br",
    "GZIP, BR": "br",
    "gzip, deflate": "gzip",
    "x-gzip": "gzip",
    "gzip;q=0, br;q=0": "",
    "br;q=0.0, gzip;q=0.001": "gzip",
    "br ; q=0 , gzip": "gzip",
    "br": "br",
    "identity": "",
    "deflate": "",
    "zstd, gzip": "gzip",
    "brotli, xgzip, gzipped": "",
}


@pytest.mark.parametrize("accepted", NEGOTIATION)
def test_the_best_coding_that_both_know_is_sent(front: Front, accepted: str) -> None:
    coding = NEGOTIATION[accepted]
    assert_is_page(front.get("/about/", accepted), "/about/", coding)
    # To a proxy as well.
    assert_is_page(front.get("/about/", accepted, Via="1.1 proxy"), "/about/", coding)


@pytest.mark.parametrize(
    "query", ["", "utm_source=x", "utm_source=x&utm_medium=&fbclid=a%26b", "gclid", "_ga=1&&_gl=2&"]
)
def test_a_query_that_says_where_the_visitor_came_from_changes_no_page(front: Front, query: str) -> None:
    for path in ("/", "/about/", "/feed/"):
        assert_is_page(front.get(f"{path}?{query}"), path)


# Whoever sends these gets the page that everybody gets.
@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "wordpress_logged_in_0=admin%7C1; comment_author_0=Bob; wp-postpass_0=secret"},
        {"Authorization": "Basic YWRtaW46eA=="},
        {"Cache_Control": "no-cache", "Pragma": "no-cache"},
        {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "www.example.com"},
        {"Accept": "application/json"},
        {"User_Agent": "Mozilla/5.0 (iPhone)"},
    ],
    ids="+".join,
)
def test_what_a_visitor_says_of_himself_changes_nothing(front: Front, headers: dict[str, str]) -> None:
    assert_is_page(front.get("/about/", **headers), "/about/")


# A URL may be spelled in more than one way and still be the plain one.
@pytest.mark.parametrize(
    ("target", "path"),
    [
        (quote("/2024/06/日本語 x?y%41&z=é/").lower(), "/2024/06/日本語 x?y%41&z=é/"),
        ("/%61bout/", "/about/"),
        ("/about/t%65am/", "/about/team/"),
    ],
)
def test_escapes_that_need_not_be_are_undone(front: Front, target: str, path: str) -> None:
    assert_is_page(front.get(target), path)


def test_a_visitor_with_many_cookies_gets_the_page(front: Front) -> None:
    for length in (9_000, 30_000):
        assert_is_page(front.get("/about/", Cookie="a=" + "x" * length), "/about/")


def test_the_absolute_form_is_the_same_request(front: Front) -> None:
    assert_is_page(front.get(f"{front.stack.url}/about/"), "/about/")


# --- validators ---


def test_validators_answer_304_only_if_nothing_changed(front: Front) -> None:
    for coding in HTML_CODINGS:
        whole = front.get("/about/", coding)
        tag, date = whole.headers["etag"], whole.headers["last-modified"]
        table: dict[int, list[dict[str, str]]] = {
            304: [
                {"If_None_Match": tag},
                {"If_None_Match": f'"x", {tag}'},
                {"If_None_Match": "*"},
                {"If_Modified_Since": date},
                {"If_None_Match": tag, "If_Modified_Since": date},
            ],
            200: [
                {"If_None_Match": '"x"'},
                {"If_None_Match": '"x"', "If_Modified_Since": date},
                # Exactly that date: another edge's clock is nobody's business.
                {"If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
                {"If_Modified_Since": "nonsense"},
                # RFC 9110 section 13.1.3 lets the tag alone decide; nginx wants both to agree, which is the safe side.
                {"If_None_Match": tag, "If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
            ],
        }
        for status, conditions in table.items():
            for condition in conditions:
                answer = front.get("/about/", coding, **condition)
                assert (answer.status, answer.is_hit) == (status, True), condition
                assert answer.headers["etag"] == tag
                assert answer.headers["vary"] == "Accept-Encoding"
                assert answer.headers["cache-control"] == "max-age=0, must-revalidate"
                assert (answer.body == b"") == (status == 304)


def test_each_variant_has_an_etag_of_its_own_and_all_one_time(front: Front) -> None:
    answers = [front.get("/about/", coding) for coding in HTML_CODINGS]
    assert len({answer.headers["etag"] for answer in answers}) == len(HTML_CODINGS)
    assert len({answer.headers["last-modified"] for answer in answers}) == 1


def test_an_edit_of_the_same_length_within_the_same_second_is_no_304(front: Front) -> None:
    for letter in "abcd":
        old = front.get("/about/")
        front.publish("/about/", Kind.HTML, letter.encode() * 1000)
        answer = front.get("/about/", If_None_Match=old.headers["etag"])
        assert (answer.status, answer.body) == (200, letter.encode() * 1000)
        later = front.get("/about/", If_Modified_Since=old.headers["last-modified"])
        assert later.status == 200


# --- what is passed on ---

BYPASS, MISS, METHOD = (f"staticify; fwd={why}" for why in ("bypass", "uri-miss", "method"))
HTML = "text/html; charset=UTF-8"


# Target, status of WordPress's answer, the reason why it was asked. The tree has /about/ and / in each case.
@pytest.mark.parametrize(
    ("target", "status", "cache_status"),
    [
        # A query string.
        ("/about/?a=1", 200, BYPASS),
        ("/about/?utm_source=x&a=1", 200, BYPASS),
        ("/about/?UTM_SOURCE=x", 200, BYPASS),
        ("/about/?xutm_source=x", 200, BYPASS),
        ("/about/?&utm_source=x", 200, BYPASS),
        ("/about/?utm_source[]=x", 200, BYPASS),
        ("/?p=1", 404, BYPASS),
        ("/?s=board", 200, BYPASS),
        # Other spellings.
        ("//", 200, BYPASS),
        ("//about/", 200, BYPASS),
        ("/about//", 200, BYPASS),
        ("/x/../about/", 200, BYPASS),
        ("/./about/", 200, BYPASS),
        ("/%2e/about/", 200, BYPASS),
        ("/x/%2E%2e/about/", 200, BYPASS),
        ("/about%2F", 200, BYPASS),
        ("/x/..%2fabout/", 404, BYPASS),
        # Pages that the tree has not.
        ("/contact/", 200, MISS),
        ("/no-such-page/", 404, MISS),
        ("/About/", 200, MISS),  # The database compares names without case.
        ("/without-slash/", 404, MISS),
        ("/about/team", 301, MISS),
    ],
)
def test_wordpress_answers_whatever_is_not_the_plain_url_of_a_page(
    front: Front, target: str, status: int, cache_status: str
) -> None:
    answer = front.get(target)
    assert b"<p>the page " not in answer.body
    if answer.status in {301, 302} and status == 200:
        # WordPress leads to the plain spelling.
        assert answer.headers["location"].startswith(front.stack.url)
        assert cache_status == BYPASS
    else:
        assert answer.status == status
    assert answer.cache_status == cache_status
    assert not {"etag", "last-modified"} & set(answer.headers)
    assert answer.headers.get("cache-control") != "max-age=0, must-revalidate"


def test_a_redirect_of_wordpress_names_the_public_address(front: Front) -> None:
    answer = front.get("/about")
    assert (answer.status, answer.headers["location"]) == (301, f"{front.stack.url}/about/")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_get_and_head_are_looked_up(front: Front, method: str) -> None:
    answer = front.stack.from_front("/about/", method=method)
    assert answer.cache_status == METHOD
    assert b"<p>the page " not in answer.body


@pytest.mark.parametrize(
    "target",
    [
        "/@staticify/index.html",
        "/@staticify/index.html.gz",
        "/about/@staticify/index.html",
        "/about/@staticify/index.html.br",
        "/about/@staticify/",
        "/about/@staticify",
        "/about/%40staticify/index.html",
        "/about/@%73taticify/index.html",
        "/about/@STATICIFY/index.html",
        "/robots.txt@staticify/index.txt",
        "/about/x/../@staticify/index.html",
    ],
)
def test_the_trees_own_names_are_no_pages(front: Front, target: str) -> None:
    answer = front.get(target)
    assert (answer.status in {301, 404}, answer.is_hit) == (True, False)
    assert b"<p>the page " not in answer.body


def test_not_even_a_page_that_somebody_puts_below_them_is_one(front: Front) -> None:
    for name in ("@staticify", "@STATICIFY"):
        leaf = front.leaf("/about/").parent / name / "@staticify"
        leaf.mkdir(parents=True)
        (leaf / "index.html").write_text("<p>the page below")
        answer = front.get(f"/about/{name}/")
        assert (answer.status, answer.is_hit) == (404, False)


def test_wordpress_answers_for_hosts_that_the_tree_does_not_know(front: Front) -> None:
    for host in ("www.other.example", "127.0.0.1", f"127.0.0.1:{front.stack.origin_port}", "localhost"):
        answer = front.stack.from_front("/about/", host=host)
        assert not answer.is_hit, host
        assert b"<p>the page " not in answer.body, host
    for host in ("..", "a/../b", "", "a b"):
        assert front.stack.from_front("/about/", host=host).status == 400, host


def test_the_host_is_compared_as_the_dns_does(stack: Stack) -> None:
    tree = Tree(stack.tree)
    tree.open()
    try:
        page = Page("http", f"www.example.org:{stack.front_port}", "/about/")
        tree.publish(page.place, Kind.HTML, encode(b"named"))
        for host in (page.netloc, page.netloc.upper(), f"www.example.org.:{stack.front_port}"):
            answer = stack.from_front("/about/", host=host)
            assert (answer.is_hit, answer.body) == (True, b"named"), host
        default = Page("http", "www.example.org", "/about/")
        tree.publish(default.place, Kind.HTML, encode(b"default port"))
        for host in ("www.example.org", "www.example.org:80", "www.example.org:443"):
            assert stack.from_front("/about/", host=host).body == b"default port", host
    finally:
        tree.close()
        empty_directory(stack.tree)


def test_a_visitor_over_ipv6_gets_the_same_page(front: Front) -> None:
    if not Path("/proc/net/if_inet6").exists() or "00000001 01" not in Path("/proc/net/if_inet6").read_text():
        pytest.skip("this machine has no IPv6 loopback")
    assert_is_page(front.stack.from_front("/about/", address="::1"), "/about/")


# --- what stands beside the pages ---


@pytest.mark.parametrize(
    ("target", "status", "content_type"),
    [
        ("/wp-login.php", 200, HTML),
        ("/wp-admin/", 302, HTML),
        ("/wp-includes/js/jquery/jquery.min.js", 200, "application/javascript"),
        ("/wp-includes/js/jquery/jquery.min.js?ver=1", 200, "application/javascript"),
        ("/wp-content/uploads/2024/01/board-1.jpg", 200, "image/jpeg"),
        ("/wp-content/uploads/2024/01/x.php", 404, "text/html"),
        ("/.git/config", 404, "text/html"),
        ("/wp-config.php", 200, HTML),  # Runs, and prints nothing.
    ],
)
def test_the_rest_of_wordpress_is_what_it_was(front: Front, target: str, status: int, content_type: str) -> None:
    answer = front.get(target)
    assert (answer.status, answer.headers["content-type"]) == (status, content_type)
    assert not answer.is_hit
    assert b"DB_PASSWORD" not in answer.body


def test_an_upload_is_never_a_program(front: Front) -> None:
    wordpress = front.stack.directory / "wordpress"
    programs = [wordpress / "wp-content/uploads/program.php", wordpress / "sub/wp-content/uploads/2024/program.php"]
    for program in programs:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("<?php echo 'it runs';")
    try:
        for ask in (front.stack.from_front, front.stack.from_origin):
            for program in programs:
                path = f"/{program.relative_to(wordpress)}"
                for target in (path, path.replace(".php", ".PHP"), f"{path}/x", path.replace("uploads", "%75ploads")):
                    answer = ask(target)
                    assert (answer.status, b"it runs" in answer.body) == (404, False), target
                    assert b"<?php" not in answer.body, target
    finally:
        programs[0].unlink()
        shutil.rmtree(wordpress / "sub")


@pytest.mark.parametrize(
    "name",
    [
        "wp-content/debug.log", "wp-config.php.bak", "wp-config.php~", "wp-config.php.save", "wp-config.old",
        "wp-config.php.orig", "wp-config.php.swp", "backup.sql", "wp-content/uploads/backup.SQL", "sub/error.log",
    ],
)  # fmt: skip
def test_what_somebody_left_lying_about_is_nobodys_business(front: Front, name: str) -> None:
    file = front.stack.directory / "wordpress" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("DB_PASSWORD")
    try:
        for ask in (front.stack.from_front, front.stack.from_origin):
            answer = ask(f"/{name}")
            assert (answer.status, b"DB_PASSWORD" in answer.body) == (404, False)
    finally:
        file.unlink()


def test_a_link_among_the_uploads_leads_to_nothing_of_somebody_elses(front: Front) -> None:
    """Whoever may upload may not read what nginx may."""
    uploads = front.stack.directory / "wordpress/wp-content/uploads"
    link, secret = uploads / "link.jpg", front.stack.directory / "secret"
    secret.write_text("DB_PASSWORD")
    link.symlink_to(secret)
    os.lchown(link, 65534, 65534)
    try:
        for ask in (front.stack.from_front, front.stack.from_origin):
            answer = ask("/wp-content/uploads/link.jpg")
            assert (answer.status, b"DB_PASSWORD" in answer.body) == (404, False)
    finally:
        link.unlink()
        secret.unlink()


def test_an_upload_that_is_not_there_is_wordpresss_404(front: Front) -> None:
    answer = front.get("/wp-content/uploads/2024/01/nothing.jpg?a=1")
    assert (answer.status, answer.headers["content-type"], answer.cache_status) == (404, HTML, BYPASS)
    assert b"wp-content" in answer.body


def test_nginx_does_not_say_which_one_it_is(front: Front) -> None:
    for answer in (front.get("/about/"), front.get("/.git/config"), front.stack.from_origin("/.git/config")):
        assert answer.headers["server"] == "nginx"
        assert b"nginx/" not in answer.body


def test_the_origin_never_looks_at_the_tree(front: Front) -> None:
    answer = front.stack.from_origin("/about/")
    assert answer.status == 200
    assert b"<p>the page " not in answer.body
    assert "cache-status" not in answer.headers
    assert f"{front.stack.url}/about/".encode() in answer.body
    own = front.stack.from_origin("/about/", host=f"127.0.0.1:{front.stack.origin_port}")
    assert f"{front.stack.origin}/about/".encode() in own.body


def test_the_origin_believes_the_scheme_and_the_front_does_not(front: Front) -> None:
    https = {"X-Forwarded-Proto": "https"}
    # WordPress writes its own scripts' addresses in the scheme that it believes to be asked by.
    script = f"//{front.stack.netloc}/wp-includes/"
    assert f"https:{script}".encode() in front.stack.from_origin("/about/", headers=https).body
    assert f"https:{script}".encode() not in front.stack.from_origin("/about/").body
    assert f"https:{script}".encode() not in front.get("/contact/", X_Forwarded_Proto="https").body


def test_a_long_header_of_wordpresss_is_passed_on(front: Front) -> None:
    program = front.stack.directory / "wordpress/long-header.php"
    line = "header(\"X-Long-$n: \" . str_repeat('x', 1000));"
    program.write_text(f"<?php for ($n = 0; $n < 12; $n++) {line} echo 'long';")
    try:
        answer = front.get("/long-header.php")
    finally:
        program.unlink()
    assert (answer.status, answer.body, answer.headers["x-long-11"]) == (200, b"long", "x" * 1000)


# --- a tree in a bad state ---


@pytest.mark.parametrize("name", ["index.html", "."])
def test_what_cannot_be_read_is_wordpresss_to_answer(front: Front, name: str) -> None:
    path = front.leaf("/about/") / name
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        answer = front.get("/about/")
    finally:
        path.chmod(mode)
    assert (answer.status, answer.cache_status) == (200, MISS)
    assert b"<p>the page " not in answer.body


def test_what_nginx_fails_to_open_is_wordpresss_to_answer(front: Front) -> None:
    """A socket stands for whatever is an error of nginx's own, such as too many open files."""
    for path, name in {"/about/": "index.html", "/feed/": "index.rss"}.items():
        leaf = front.leaf(path)
        for file in leaf.iterdir():
            file.unlink()
        with closing(socket.socket(socket.AF_UNIX)) as listener:
            here = Path.cwd()
            os.chdir(leaf)  # Its whole path is longer than a socket's may be.
            try:
                listener.bind(name)
            finally:
                os.chdir(here)
            (leaf / name).chmod(0o644)
            answer = front.get(path)
            assert (answer.status, answer.cache_status) == (200, MISS), path
            assert b"<p>the page " not in answer.body
            front.stack.command("stop-php")
            try:
                for query in ("", "?ref=x"):
                    answer = front.get(f"{path}{query}")
                    assert (answer.status, answer.headers["retry-after"]) == (503, "30"), path
                    assert "fwd=" in answer.cache_status
            finally:
                front.stack.command("start-php")


def test_a_variant_that_is_missing_is_not_missed(front: Front) -> None:
    (front.leaf("/about/") / "index.html.br").unlink()
    (front.leaf("/about/") / "index.html.gz").unlink()
    alone = front.get("/about/", "br, gzip")
    assert (alone.status, alone.is_hit, alone.body) == (200, True, body_of("/about/"))
    assert "content-encoding" not in alone.headers


def test_a_directory_without_a_page_is_a_miss(front: Front) -> None:
    (front.leaf("/about/").parent / "empty/@staticify").mkdir(parents=True)
    for path in ("/about/empty/", "/comments/", "/2024/06/"):
        assert not front.get(path).is_hit


def test_without_a_tree_the_site_is_what_it_was(front: Front) -> None:
    away = front.stack.tree.with_name("away")
    front.stack.tree.rename(away)
    try:
        answer = front.get("/about/")
    finally:
        away.rename(front.stack.tree)
    assert (answer.status, answer.cache_status) == (200, MISS)


def test_with_php_dead_a_page_takes_the_place_of_its_answer(front: Front) -> None:
    """PHP is asked by `try_files`, which makes /index.php of the path: what was asked for is known all the same."""
    front.stack.command("stop-php")
    try:
        for path, kind in PAGES.items():
            answer = front.get(f"{front.page(path).raw_path}?ref=newsletter")
            if kind is Kind.JSON:
                assert answer.status == 503, "a query says which data"
                continue
            assert (answer.status, answer.body) == (200, body_of(path)), path
            assert answer.cache_status == "staticify; hit; detail=origin-failed"
        for target in ("/about/?s=x", "/about/?p=1&preview=true", "/nothing/", "/nothing/?ref=x"):
            assert front.get(target).status == 503, target
    finally:
        front.stack.command("start-php")


# --- the installation that README.md describes ---

ROOT = Path(__file__).parents[2]
RELOAD = "nginx -t && systemctl reload nginx"
USUAL_SITE = """
server {
    listen 127.0.0.1:80;
    server_name 127.0.0.1;
    root /var/www/wordpress;
    index index.php;
    location / {
        try_files $uri $uri/ /index.php?$args;
    }
    location ~ \\.php$ {
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_param HTTP_HOST $http_host;
        fastcgi_pass unix:/run/php/php-fpm.sock;
    }
}
"""
"""What a WordPress behind nginx looks like before staticify, here with a port in its name."""


class Installation:
    """A private nginx with the directories of Debian's, in which the README's steps are followed word by word."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.directory = stack.make_directory()
        self.directory.chmod(0o755)
        self.etc = self.directory / "etc"
        self.tree = self.directory / "tree"
        self.front_port, self.origin_port = free_ports(2)
        for name in ("conf.d", "snippets", "sites-enabled"):
            (self.etc / name).mkdir(parents=True)
        shutil.copy("/etc/nginx/fastcgi_params", self.etc)
        temporary = "".join(
            f"{name}_temp_path {self.directory}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.etc / "nginx.conf").write_text(
            f"include /etc/nginx/modules-enabled/*.conf; pid {self.directory}/nginx.pid; events {{}}\n"
            f"http {{ include /etc/nginx/mime.types; access_log off; {temporary}\n"
            f"include {self.etc}/conf.d/*.conf; include {self.etc}/sites-enabled/*; }}\n"
        )
        self.config = self.directory / "staticify.toml"
        self.config.write_text(f'[tree]\npath = "{self.tree}"\n[[site]]\nurl = "{stack.url}"\n')
        self.site = self.etc / "sites-enabled/example"
        self.site.write_text(USUAL_SITE.replace("127.0.0.1:80;", f"127.0.0.1:{self.front_port};"))
        self._say_where_wordpress_is(self.site)

    def follow(self, number: int) -> list[str]:
        """Run the commands of a step; where it reloads nginx, do first what it says in words, and ask nginx."""
        commands = step_of_readme(number)
        for command in commands:
            if command == RELOAD:
                self.edit(number)
                self.nginx("-t")
            elif command.startswith(("cp ", "sed ", "as_staticify config ")):
                function = f'as_staticify() {{ {sys.executable} -m staticify.cli "$@" --config {self.config}; }}'
                here = f"{function}\n{command}".replace("/etc/nginx", str(self.etc))
                subprocess.run(["bash", "-euc", here], cwd=ROOT, check=True)
        return commands

    def edit(self, number: int) -> None:
        """The steps' words: root, socket and port of the origin; the site's location and include."""
        if number == 2:
            origin = self.etc / "conf.d/staticify-origin.conf"
            replace_in(origin, "127.0.0.1:8080", f"127.0.0.1:{self.origin_port}")
            replace_in(origin, "    listen [::1]:8080;\n", "")
            self._say_where_wordpress_is(origin)
            replace_in(self.etc / "conf.d/staticify.conf", "/var/cache/staticify/tree", str(self.tree))
        else:
            replace_in(self.site, "location / {", "include snippets/staticify.conf;\nlocation @wordpress {")

    def _say_where_wordpress_is(self, file: Path) -> None:
        replace_in(file, "/var/www/wordpress", str(self.stack.directory / "wordpress"))
        replace_in(file, "/run/php/php-fpm.sock", str(self.stack.directory / "run/php.sock"))

    def nginx(self, *arguments: str) -> None:
        log = self.directory / "error.log"
        command = ("nginx", "-c", f"{self.etc}/nginx.conf", "-e", f"{log}", *arguments)
        done = subprocess.run(
            [EXAMPLE / "stack", "exec", "--dir", self.stack.directory, "--", *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    @contextmanager
    def running(self) -> Iterator[None]:
        self.nginx()
        try:
            yield
        finally:
            self.nginx("-s", "stop")
            wait_for("nginx stops", lambda: not (self.directory / "nginx.pid").exists(), 10)

    def get(self, path: str, *, port: int = 0, **headers: str) -> Reply:
        """An answer of the site, asked by the name that WordPress knows; nginx itself knows it by no other."""
        return ask(port or self.front_port, path, host=self.stack.netloc, headers=fields("", headers))

    def publish(self, path: str) -> None:
        tree = Tree(self.tree)
        tree.open()
        try:
            tree.publish(Page("http", self.stack.netloc, path).place, Kind.HTML, encode(body_of(path)))
        finally:
            tree.close()


def step_of_readme(number: int) -> list[str]:
    """The commands of one of the numbered steps."""
    step = (ROOT / "README.md").read_text().partition(f"\n{number}. **")[2].partition(f"\n{number + 1}. **")[0]
    return [line.strip() for line in step.partition("\n## ")[0].splitlines() if line.startswith(" " * 7)]


def replace_in(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.fixture
def installation(stack: Stack) -> Iterator[Installation]:
    made = Installation(stack)
    yield made
    shutil.rmtree(made.directory)


def test_each_step_of_the_readme_works_when_one_reaches_it(installation: Installation) -> None:
    installation.nginx("-t")
    assert RELOAD in installation.follow(2)
    with installation.running():
        before = installation.get("/about/")
        origin = installation.get("/about/", port=installation.origin_port)
        assert (before.status, origin.status) == (200, 200)
        assert not {"cache-status"} & {*before.headers, *origin.headers}
        assert b"wp-content" in origin.body
    commands = installation.follow(5)
    assert commands.index(RELOAD) < commands.index("curl -sI https://www.example.org/ | grep -i cache-status")
    installation.publish("/about/")
    with installation.running():
        hit, miss = installation.get("/about/"), installation.get("/contact/")
        assert (hit.status, hit.cache_status, hit.body) == (200, "staticify; hit", body_of("/about/"))
        assert (miss.status, miss.cache_status) == (200, MISS)
        assert b"<p>the page " not in installation.get("/about/", port=installation.origin_port).body


def test_who_is_logged_in_gets_wordpress_if_one_wants_that(installation: Installation, administrator: str) -> None:
    installation.follow(2)
    with installation.config.open("a") as config:
        config.write('[front]\nbypass_cookies = ["wordpress_logged_in_*"]\n')
    installation.follow(5)
    installation.publish("/about/")
    with installation.running():
        for cookie in ("wordpress_logged_in_0=x", "a=1; wordpress_logged_in_0=x", "a=1;wordpress_logged_in_0=x"):
            answer = installation.get("/about/", Cookie=cookie)
            assert (answer.status, answer.cache_status) == (200, BYPASS), cookie
            assert b"<p>the page " not in answer.body, cookie
        assert b'id="wpadminbar"' in installation.get("/about/", Cookie=administrator).body
        for cookie in ("", "a=wordpress_logged_in_0", "x_wordpress_logged_in_0=1", "wordpress_test_cookie=1"):
            answer = installation.get("/about/", Cookie=cookie)
            assert (answer.cache_status, answer.body) == ("staticify; hit", body_of("/about/")), cookie


def test_wordpress_may_run_behind_another_web_server(installation: Installation) -> None:
    installation.follow(2)
    installation.follow(5)
    commented = (
        (ROOT / "deploy/nginx/example.conf").read_text().partition("as it came.\n    #\n")[2].partition("}\n\n")[0]
    )
    block = "".join(line.strip().removeprefix("#") + "\n" for line in commented.splitlines())
    installation.site.write_text(
        f"server {{ listen 127.0.0.1:{installation.front_port}; server_name 127.0.0.1;\n"
        f"include snippets/staticify.conf;\n{block}}}\n"
    )
    replace_in(installation.site, "http://127.0.0.1:8080", f"http://127.0.0.1:{installation.origin_port}")
    installation.publish("/about/")
    with installation.running():
        assert installation.get("/about/").is_hit
        for path, status in {"/contact/": 200, "/wp-login.php": 200, "/no-such-page/": 404}.items():
            answer = installation.get(path)
            assert (answer.status, answer.cache_status) == (status, MISS), path
        posted = ask(installation.front_port, "/wp-login.php", host=installation.stack.netloc, method="POST")
        assert (posted.status, posted.cache_status) == (200, METHOD)


# --- publishing under load ---

REQUESTS_PER_READER = 1500
VERSIONS = 100
SECONDS_FOR_READING = 20


def test_readers_see_whole_pages_and_never_an_older_one(front: Front) -> None:
    """Readers that mix codings: each answer is one version as a whole, and versions only go forward."""
    front.publish(readers.PATH, Kind.HTML, version(0, readers.PATH))
    is_over = threading.Event()
    latest = 0

    def publish() -> None:
        nonlocal latest
        while not is_over.is_set():
            front.publish(readers.PATH, Kind.HTML, version(latest + 1, readers.PATH))
            latest += 1

    def read() -> readers.Reading:
        end = time.monotonic() + SECONDS_FOR_READING
        asked = itertools.count()
        return readers.read(
            front.stack.front_port,
            front.stack.netloc,
            lambda: (next(asked) >= REQUESTS_PER_READER and latest >= VERSIONS) or time.monotonic() > end,
        )

    with ThreadPoolExecutor(3) as threads:
        publisher = threads.submit(publish)
        reading = [threads.submit(read) for _ in range(2)]
        try:
            faults = [fault for one in reading for fault in one.result().faults]
        finally:
            is_over.set()
        publisher.result()
    assert faults == []
    assert latest >= VERSIONS
