"""What a test of the journey stands on: a configuration, a real tree and a real store, before a scripted origin."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staticify import config as configuration
from staticify.config import Config, Site
from staticify.nouns import Result
from staticify.origin import OriginClient
from staticify.render import Renderer
from staticify.store import Store
from staticify.tree import Tree
from staticify.urls import Page, page_of, parse_page
from staticify.workers import Workers

URL = "https://example.org/"


def site_toml(origin: str | list[str], *, url: str = URL, **keys: Any) -> str:
    """A [[site]] as the operator writes it."""
    values = {"url": url, "origin": origin, **keys}
    return "[[site]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def write_config(directory: Path, *sites: str) -> Path:
    """A staticify.toml with tree and state beside it."""
    path = directory / "staticify.toml"
    path.write_text('[tree]\npath = "tree"\n[state]\npath = "state"\n' + "".join(sites))
    return path


def config_of(directory: Path, *sites: str) -> Config:
    return configuration.load(write_config(directory, *sites))


def site_of(origin: str | list[str], **keys: Any) -> Site:
    return configuration.parse(site_toml(origin, **keys), None, Path("/nowhere")).sites[0]


@contextmanager
def opened(config: Config) -> Iterator[tuple[Tree, Store, Workers]]:
    """Tree, store and workers, closed in order."""
    tree = Tree(config.tree_path)
    tree.open()
    try:
        with closing(Store.open_for_writing(config.state_path)) as store:
            workers = Workers()
            try:
                yield tree, store, workers
            finally:
                workers.close()
    finally:
        tree.close()


@dataclass
class Stage:
    """One site's renderer, and the clock that it goes by."""

    site: Site
    tree: Tree
    store: Store
    renderer: Renderer
    seconds: float = 1_000_000_000.0
    jumped_seconds: float = 0.0
    """By how much the wall clock went besides."""

    async def render(self, path: str = "/") -> Result:
        return await self.renderer.render(self.page(path))

    def page(self, path: str = "/") -> Page:
        return page_of(self.site.base, path)

    def leaf(self, path: str = "/") -> Path:
        return self.tree.path / self.page(path).place.relative


@asynccontextmanager
async def staged(
    directory: Path, origin: str | list[str], *, dense_after: int | None = None, clock: float | None = None, **keys: Any
) -> AsyncIterator[Stage]:
    """A renderer on a directory; the same directory again is the same tree and the same store."""
    config = config_of(directory, site_toml(origin, **keys))
    site = config.sites[0]
    with opened(config) as (tree, store, workers):
        client = OriginClient(site)
        stage = Stage(site, tree, store, None, clock or time.time())  # type: ignore[arg-type]
        stage.renderer = Renderer(
            site,
            client,
            tree,
            store,
            workers,
            now=lambda: stage.seconds + stage.jumped_seconds,
            monotonic=lambda: stage.seconds,
            dense_after=dense_after,
        )
        try:
            yield stage
        finally:
            await client.aclose()


def leaf_of(tree: Path, path: str, url: str = URL) -> Path:
    """Where a page of a site stands in a tree."""
    return tree / page_of(parse_page(url), path).place.relative


def files(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, and what it says. Looked at once more where one goes meanwhile."""
    while True:
        with suppress(FileNotFoundError):
            return {
                str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
            }


def marks(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, mtime and ctime of everything below a directory: a write of any kind shows."""
    found = {}
    for path in directory.rglob("*"):
        status = os.stat(path, follow_symlinks=False)
        found[str(path.relative_to(directory))] = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return found


async def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still waiting after {seconds} s"
        await asyncio.sleep(0.01)
