"""One pass and out: what `staticify render` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from staticify.config import Config, Site
from staticify.discover import Note
from staticify.keeper import Keeper
from staticify.listing import sites_inside
from staticify.nouns import Result
from staticify.store import Store
from staticify.tree import Tree
from staticify.urls import Page
from staticify.workers import Workers


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass came to."""

    results: tuple[Result, ...]
    notes: tuple[Note, ...]
    is_complete: bool
    """False if a sitemap could not be read whole: pages may be missing."""


async def render(
    config: Config,
    pages: dict[Site, list[Page]] | None,
    *,
    on_list: Callable[[int], None],
    on_result: Callable[[Result], None],
) -> Pass:
    """Render the pages given, or all. `on_list` hears how many there are as soon as that is known.

    Raises TreeError (TreeLocked while a daemon runs) or StoreError; if the state cannot be written at the end, the
    pages are in the tree all the same.
    """
    results: list[Result] = []
    notes: list[Note] = []
    is_complete: list[bool] = []

    def report(result: Result) -> None:
        results.append(result)
        on_result(result)

    async def one_site(site: Site) -> None:
        keeper = Keeper(site, tree, store, workers, others=sites_inside(config, site), on_result=report)
        try:
            if pages is not None:
                await keeper.render_once(pages[site], on_list)
            else:
                listing = await keeper.render_all_once(on_list)
                notes.extend(listing.notes)
                is_complete.append(listing.is_complete)
        finally:
            await keeper.stop()

    tree = Tree(config.tree_path)
    tree.open()
    try:
        store = Store.open_for_writing(config.state_path)
        workers = Workers()
        try:
            tree.sweep()
            await asyncio.gather(*(one_site(site) for site in (pages if pages is not None else config.sites)))
            store.flush()
        finally:
            # What still writes to the store comes to its end before the store does.
            workers.close()
            store.close()
    finally:
        tree.close()
    return Pass(tuple(results), tuple(notes), is_complete=all(is_complete))
