"""One pass and out: what `staticify render` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from staticify.config import Config, Site
from staticify.discover import Note
from staticify.errors import StoreError, UrlError
from staticify.keeper import Keeper
from staticify.listing import sites_inside
from staticify.nouns import Result
from staticify.store import Store
from staticify.tree import Tree
from staticify.urls import Page, parse_page
from staticify.workers import Workers


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass came to."""

    results: tuple[Result, ...]
    notes: tuple[Note, ...]
    is_complete: bool
    """False if a sitemap could not be read whole: pages may be missing."""
    fault: StoreError | None = None
    """Why the state could not be written; the pages are in the tree all the same."""


async def render(
    config: Config,
    pages: dict[Site, list[Page]] | None,
    *,
    on_list: Callable[[int], None],
    on_result: Callable[[Result], None],
) -> Pass:
    """Render the pages given, or all. `on_list` hears how many there are as soon as that is known.

    Raises UrlError for a page that cannot stand beside another one, TreeError (TreeLocked while a daemon runs) or
    StoreError.
    """
    fault: StoreError | None = None
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

    tree = Tree(config.tree_path, may_link=config.tree_links == "own")
    tree.open()
    try:
        store = Store.open_for_writing(config.state_path)
        if store.set_aside is not None:
            notes.append(Note(str(store.set_aside), "the state database was corrupt and is set aside", "set-aside"))
        workers = Workers()
        try:
            tree.sweep()
            for site, named in (pages or {}).items():
                _check_spelling(store, site, named)
            await asyncio.gather(*(one_site(site) for site in (pages if pages is not None else config.sites)))
            try:
                store.flush()
            except StoreError as error:
                fault = error
        finally:
            # What still writes to the store comes to its end before the store does.
            workers.close()
            store.close()
    finally:
        tree.close()
    return Pass(tuple(results), tuple(notes), is_complete=all(is_complete), fault=fault)


def _check_spelling(store: Store, site: Site, pages: list[Page]) -> None:
    """Refuse a page that a case-folding file system could not keep apart from one that is kept or asked for too."""
    standing = (parse_page(record.url) for record in store.of_site(site.url) if record.is_published)
    known: dict[str, Page] = {}
    for page in (*site.pages, *standing, *pages):
        other = known.setdefault(page.folded, page)
        if page in pages and other != page:
            raise UrlError(
                f"{page.url} differs from {other.url} in nothing but case or Unicode form",
                hint="Only one of them can be in the tree: name that one",
            )
