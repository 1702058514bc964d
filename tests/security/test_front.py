"""A published page is bytes: no front runs anything in it, whatever else its server is set up to run. And the front
needs to read the tree, no more: it is another user than the one who writes."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import brotli
import pytest
from real.fronts import FRONTS, USER, Front, front_of
from real.helpers import Reply, ask, free_ports

from staticify.encode import encode
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import Page

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start servers as other users"),
]

T = TypeVar("T")
HOST = "example.org"
WRITER = "nobody"
"""Whom the tree belongs to: neither root nor the front's user."""
PROGRAMS = 20 * (
    '#!/bin/sh\n<!--#exec cmd="id" --><!--#echo var="DATE_LOCAL" --><!--#include virtual="/other/" -->'
    "<!--# if expr='1' --><?php echo 6 * 7; ?><?= 6 * 7 ?><% out %><script language='php'>echo 6 * 7;</script>"
    "{{ 6 | mul 7 }}{{env `HOME`}}{{.Req.Host}}{{include '/x'}}{env.HOME}{http.request.host}${HOME}%{HOSTNAME}$host"
    "<esi:include src='/'/>\n"
)
PAGES = {
    "/": Kind.HTML,
    "/about/": Kind.HTML,
    "/x.php": Kind.HTML,
    "/x.php/": Kind.HTML,
    "/index.php/about/": Kind.HTML,
    "/x.phtml": Kind.HTML,
    "/x.shtml": Kind.HTML,
    "/x.cgi": Kind.HTML,
    "/cgi-bin/x": Kind.HTML,
    "/x.lua": Kind.HTML,
    "/x.tmpl": Kind.HTML,
    "/.user.ini": Kind.HTML,
    "/$(id)/`id`/${HOME}/": Kind.HTML,
    "/{{env HOME}}/{env.HOME}/{path}/": Kind.HTML,
    "/{http.request.host}": Kind.HTML,
    "/feed/": Kind.RSS,
    "/feed/atom/": Kind.ATOM,
    "/wp-sitemap.xml": Kind.XML,
    "/wp-json/": Kind.JSON,
    "/robots.txt": Kind.TEXT,
}
DECODERS: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.decompress, "br": brotli.decompress}
MODULES = "/usr/lib/apache2/modules"
# What another site of the same server may need: a file, a place in it, and what stands there.
SURROUNDINGS = {
    "nginx": ("nginx.conf", "http {", "http { ssi on; ssi_types *; ssi_last_modified on;"),
    "apache": (
        "apache2.conf",
        "Define STATICIFY_LUA",
        (
            f"LoadModule include_module {MODULES}/mod_include.so\n"
            f"LoadModule proxy_fcgi_module {MODULES}/mod_proxy_fcgi.so\n"
            "AddType application/x-httpd-php .php .html .xml .txt\nAddHandler server-parsed .shtml .html\n"
            "AddHandler lua-script .lua .html\nAddOutputFilter INCLUDES .shtml .html .txt .xml .rss\nXBitHack full\n"
            "<Directory />\nOptions All\n</Directory>\n"
            '<FilesMatch "\\.(?:html|txt|ph(?:ar|p|tml))$">\nSetHandler "proxy:fcgi://127.0.0.1:1"\n</FilesMatch>\n'
            "Define STATICIFY_LUA"
        ),
    ),
}


@dataclass(frozen=True)
class Served:
    """A tree of programs behind one front, before a WordPress that is dead."""

    front: Front
    tree: Path
    port: int

    def get(self, target: str, coding: str = "") -> Reply:
        return ask(self.port, target, host=HOST, headers={"Accept-Encoding": coding} if coding else {})


def page_of(path: str) -> Page:
    return Page("http", HOST, path)


def body_of(path: str) -> bytes:
    return f"{PROGRAMS}{path}".encode()


def as_user(name: str, work: Callable[[], T]) -> T:
    """What a function returns in a process of another user's."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork"), _become, (name,)) as pool:
        return pool.submit(work).result(timeout=30)


def _become(name: str) -> None:
    user = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    # The worst that a service can be started with.
    os.umask(0)


def publish(path: Path) -> None:
    tree = Tree(path)
    tree.open()
    for page, kind in PAGES.items():
        # Twice: the second time a leaf takes another's place.
        for body in (b"old", body_of(page)):
            tree.publish(page_of(page).place, kind, encode(body))
    tree.close()


def with_more(front: Front, name: str, place: str, text: str) -> Front:
    """The front, with more in one of its files."""
    write = front.write

    def write_more() -> None:
        write()
        file = front.directory / name
        before = file.read_text()
        assert before.count(place) == 1
        file.write_text(before.replace(place, text))

    front.write = write_more  # type: ignore[method-assign]
    return front


def surrounded(front: Front) -> Front:
    """The front beside other sites that run all sorts of things. What is set up for one of Caddy's is for no other."""
    return with_more(front, *SURROUNDINGS[front.kind]) if front.kind in SURROUNDINGS else front


@pytest.fixture(scope="module", params=FRONTS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    directory = Path(tempfile.mkdtemp(prefix="staticify-front-", dir="/var/tmp"))
    directory.chmod(0o755)
    (port,) = free_ports(1)
    config = directory / "staticify.toml"
    config.write_text(
        f'[tree]\npath = "{directory}/tree/tree"\n[state]\npath = "{directory}/state"\n'
        f'[front]\nlisten = "127.0.0.1:{port}"\n[[site]]\nurl = "http://{HOST}"\norigin = "http://127.0.0.1:1"\n'
    )
    above = directory / "tree"
    above.mkdir()
    os.chown(above, pwd.getpwnam(WRITER).pw_uid, pwd.getpwnam(WRITER).pw_gid)
    front = surrounded(front_of(request.param, directory / "front", config))
    try:
        as_user(WRITER, partial(publish, above / "tree"))
        front.start(port)
        yield Served(front, above / "tree", port)
    finally:
        front.stop()
        shutil.rmtree(directory)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_comes_back_as_it_was_published(served: Served, path: str) -> None:
    codings = ("", "gzip", "br") if PAGES[path] is Kind.HTML else ("", "gzip")
    for coding in codings:
        answer = served.get(page_of(path).raw_path, coding)
        assert (answer.status, answer.cache_status) == (200, "staticify; hit")
        assert answer.headers.get("content-encoding", "") == coding
        assert DECODERS[coding](answer.body) == body_of(path)


@pytest.mark.parametrize("path", [path for path, kind in PAGES.items() if kind is not Kind.JSON])
def test_a_page_in_the_place_of_a_failed_answer_comes_back_as_it_was_published(served: Served, path: str) -> None:
    answer = served.get(f"{page_of(path).raw_path}?color=red")
    assert (answer.status, answer.cache_status) == (200, "staticify; hit; detail=origin-failed")
    assert answer.body == body_of(path)


@pytest.mark.parametrize("kind", SURROUNDINGS)
def test_the_surroundings_do_run_what_is_in_a_page_elsewhere(served: Served, kind: str) -> None:
    """Else the tests above would show nothing."""
    if served.front.kind != kind:
        pytest.skip("another front")
    elsewhere = served.front.directory / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.shtml").write_text('<!--#set var="a" value="run" --><!--#echo var="a" -->')
    elsewhere.chmod(0o755)
    name, place, _ = SURROUNDINGS[kind]
    if kind == "nginx":
        place += " ssi on;"
    port, other = free_ports(2)
    more = {
        "nginx": f"{place} server {{ listen 127.0.0.1:{port}; root {elsewhere}; }}",
        "apache": (
            f"Listen 127.0.0.1:{port}\n<VirtualHost 127.0.0.1:{port}>\nDocumentRoot {elsewhere}\n"
            f"<Directory {elsewhere}>\nOptions All\nRequire all granted\n</Directory>\n</VirtualHost>\n{place}"
        ),
    }[kind]

    directory = served.front.directory.parent / "beside"
    directory.mkdir()
    config = directory / "staticify.toml"
    config.write_text(served.front.config.read_text().replace(str(served.port), str(other)))
    front = with_more(surrounded(FRONTS[kind](directory, config)), name, place, more)
    try:
        front.start(port, other)
        assert ask(port, "/x.shtml", host=HOST).body == b"run"
    finally:
        front.stop()


# --- Who may do what ---


def writable(tree: Path) -> list[str]:
    """What a user could change of a tree, and who could not even read it."""
    found = []
    for name, _, files in os.walk(tree):
        path = Path(name)
        if os.access(path, os.W_OK) or not os.access(path, os.R_OK | os.X_OK):
            found.append(name)
        found += [str(path / file) for file in files if os.access(path / file, os.W_OK)]
        found += [str(path / file) for file in files if not os.access(path / file, os.R_OK)]
        try:
            (path / "new").mkdir()
        except PermissionError:
            continue
        (path / "new").rmdir()
        found.append(f"{name}/new")
    return found


def test_the_fronts_user_can_read_all_and_change_nothing(served: Served) -> None:
    assert as_user(USER, partial(writable, served.tree)) == []
    # He who wrote it can: what the line above looks for is there to be found.
    assert len(as_user(WRITER, partial(writable, served.tree))) > 2 * len(PAGES)


def test_nothing_in_the_tree_can_be_written_by_others_or_run(served: Served) -> None:
    writer = pwd.getpwnam(WRITER).pw_uid
    found = {path: path.lstat() for path in (served.tree, *served.tree.rglob("*"))}
    assert len(found) > 3 * len(PAGES)
    assert {status.st_uid for status in found.values()} == {writer}
    modes = {(path.is_dir(), status.st_mode & 0o7777) for path, status in found.items()}
    assert modes <= {(True, 0o755), (False, 0o644)}
    assert [path for path, status in found.items() if status.st_mode & 0o022] == []
