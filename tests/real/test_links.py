"""What becomes of symbolic links in the tree (`links` of [tree]), at each front. What never follows one is in the
contract."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from real.fronts import front_of
from real.helpers import Reply, Stack, ask, free_ports
from staticify.encode import encode
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import Page

SECRET = b"what nginx may read and staticify may not"


class Linked:
    """A front over a tree in which links lie."""

    def __init__(self, stack: Stack, tree: Tree, port: int) -> None:
        self.stack, self.tree, self.port = stack, tree, port

    def page(self, path: str) -> Page:
        return Page("http", self.stack.netloc, path)

    def publish(self, path: str, text: str) -> Path:
        """The page's leaf."""
        self.tree.publish(self.page(path).place, Kind.HTML, encode(text.encode()))
        return self.tree.path / self.page(path).place.relative

    def get(self, path: str, coding: str = "") -> Reply:
        return ask(self.port, path, host=self.stack.netloc, headers={"Accept-Encoding": coding} if coding else {})


@contextmanager
def linked(stack: Stack, kind: str, links: str, *, has_exchange: bool) -> Iterator[Linked]:
    directory = Path(tempfile.mkdtemp(prefix="staticify-links-", dir="/var/tmp"))
    directory.chmod(0o755)
    (port,) = free_ports(1)
    config = directory / "staticify.toml"
    config.write_text(
        f'[tree]\npath = "{directory}/tree"\nlinks = "{links}"\n[state]\npath = "{directory}/state"\n'
        f'[front]\nlisten = "127.0.0.1:{port}"\n[[site]]\nurl = "{stack.url}"\norigin = "{stack.origin}"\n'
    )
    path = directory / "tree"
    path.mkdir()
    is_mounted = links == "mount"
    if is_mounted:
        # As README.md has it.
        subprocess.run(["mount", "-o", "bind,nosymfollow", path, path], check=True)
    tree = Tree(path, may_link=links == "own", has_exchange=has_exchange)
    front = front_of(kind, directory / "front", config)
    try:
        tree.open()
        front.start(port)
        yield Linked(stack, tree, port)
    finally:
        front.stop()
        tree.close()
        if is_mounted:
            subprocess.run(["umount", path], check=True)
        shutil.rmtree(directory)


def plant(one: Linked, owner: int) -> list[str]:
    """Links to somebody else's page, in the place of a leaf and of a file, as this user's. The paths."""
    outside = one.tree.path.parent / "outside"
    outside.mkdir()
    (outside / "index.html").write_bytes(SECRET)
    leaf = one.tree.path / one.page("/linked-leaf/").place.relative
    file = one.tree.path / one.page("/linked-file/").place.relative / "index.html"
    for link, target in ((leaf, outside), (file, outside / "index.html")):
        link.parent.mkdir(parents=True)
        link.symlink_to(target)
        os.lchown(link, owner, owner)
    return ["/linked-leaf/", "/linked-file/"]


@pytest.mark.parametrize("kind", ["nginx", "apache"])
def test_staticifys_own_links_are_followed_and_nobody_elses(stack: Stack, kind: str) -> None:
    """Where the file system has no RENAME_EXCHANGE, a leaf is a link to one of its versions."""
    with linked(stack, kind, "own", has_exchange=False) as one:
        for number in range(3):
            assert one.publish("/versions/", f"version {number}").is_symlink()
            answer = one.get("/versions/")
            assert (answer.is_hit, answer.body) == (True, b"version %d" % number)
            assert one.get("/versions/", "gzip").headers["content-encoding"] == "gzip"
        for path in plant(one, owner=65534):
            answer = one.get(path)
            assert (SECRET in answer.body, answer.status in {403, 404}) == (False, True)


@pytest.mark.parametrize("kind", ["nginx", "apache", "caddy"])
def test_on_a_mount_that_follows_no_link_none_is_followed(stack: Stack, kind: str) -> None:
    with linked(stack, kind, "mount", has_exchange=True) as one:
        for number in range(2):
            one.publish("/versions/", f"version {number}")
            answer = one.get("/versions/", "br")
            assert (answer.is_hit, answer.headers["content-encoding"]) == (True, "br")
            assert one.get("/versions/").body == b"version %d" % number
        # Not even those of the files' own owner.
        for path in plant(one, owner=0):
            answer = one.get(path)
            assert (SECRET in answer.body, answer.status in {403, 404}) == (False, True), path
