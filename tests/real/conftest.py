"""Fixtures for tests against a real WordPress, MariaDB, PHP-FPM and nginx. One instance serves the whole session."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from real.helpers import Post, Site, Stack, empty_directory, free_ports

HERE = Path(__file__).parent
MakeSite = Callable[..., Site]
MakePost = Callable[..., Post]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = _reason_to_skip()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def _reason_to_skip() -> str:
    if not Path("/etc/debian_version").exists():
        return "this is no Debian, whose packages of WordPress, MariaDB, PHP-FPM and nginx these tests start"
    if os.geteuid() != 0:
        return "only root can start WordPress as an unprivileged user of its own"
    return ""


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The WordPress of most tests: 40 posts, twentytwentyone. nginx's workers must be able to enter its directory, and
    pytest's own temporary ones are closed to others."""
    directory = Path(tempfile.mkdtemp(prefix="staticify-", dir="/var/tmp"))
    directory.chmod(0o755)
    stack = Stack(directory / "stack", *free_ports(2))
    try:
        stack.command(
            "up", "--posts", "40", "--theme", "twentytwentyone",
            "--front-port", str(stack.front_port), "--origin-port", str(stack.origin_port),
        )  # fmt: skip
        yield stack
    finally:
        stack.command("down", "--purge", is_checked=False)
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def administrator(stack: Stack) -> str:
    """The Cookie field of somebody who is logged in as administrator."""
    return stack.log_in("admin", "launch-day")


@pytest.fixture
def make_site(stack: Stack) -> Iterator[MakeSite]:
    """Makes a staticify over the WordPress: with a tree of its own, or (`is_served`) the one that nginx serves."""
    directories: list[Path] = []

    def make(*pages: str, is_served: bool = False, **settings: object) -> Site:
        directory = stack.make_directory()
        directories.append(directory)
        return Site(stack, directory, pages, tree=stack.tree if is_served else None, settings=settings)

    yield make
    for directory in directories:
        shutil.rmtree(directory)
    empty_directory(stack.tree)


@pytest.fixture
def make_post(stack: Stack) -> Iterator[MakePost]:
    """Makes a post that is there for one test."""
    made: list[Post] = []

    def make(**fields: object) -> Post:
        made.append(stack.insert_post(**fields))
        return made[-1]

    yield make
    for post in made:
        stack.call("wp_delete_post", post.number, True)


@pytest.fixture(scope="session")
def journal_stack() -> Iterator[tuple[Stack, int]]:
    """A WordPress whose plugin knows the address of a staticify, and the port of that."""
    directory = Path(tempfile.mkdtemp(prefix="staticify-", dir="/var/tmp"))
    directory.chmod(0o755)
    front_port, origin_port, webhook_port = free_ports(3)
    stack = Stack(directory / "stack", front_port, origin_port)
    try:
        stack.command(
            "up", "--posts", "25", "--theme", "twentytwentyone", "--front-port", str(front_port),
            "--origin-port", str(origin_port), "--address", f"http://127.0.0.1:{webhook_port}",
        )  # fmt: skip
        yield stack, webhook_port
    finally:
        stack.command("down", "--purge", is_checked=False)
        shutil.rmtree(directory)
