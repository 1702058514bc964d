"""Fixtures for tests against a real WordPress, MariaDB, PHP-FPM and nginx. `stack` itself is in tests/conftest.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from real.helpers import Post, Site, Stack, brought_up, empty_directory, free_ports, reason_to_skip

HERE = Path(__file__).parent
MakeSite = Callable[..., Site]
MakePost = Callable[..., Post]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = reason_to_skip()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


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
    (webhook_port,) = free_ports(1)
    with brought_up("--posts", "25", "--address", f"http://127.0.0.1:{webhook_port}") as stack:
        yield stack, webhook_port
