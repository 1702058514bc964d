"""What somebody wants rendered anew: a webhook, a script's file in the spool, a change of files, or an operator."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from staticify.errors import UrlError
from staticify.keeper import Keeper
from staticify.urls import Page, page_of


@dataclass(frozen=True, slots=True)
class Order:
    """Pages by their URLs, by their tags, by the uploads that they show, or all of a site."""

    urls: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    uploads: tuple[str, ...] = ()
    """Paths below wp-content/uploads."""
    is_everything: bool = False
    is_hint: bool = False
    """A change of files: pages may have changed, and a broken upgrade may have broken them."""


async def carry_out(order: Order, keeper: Keeper) -> int:
    """Purge what an order names, of one site. Returns how many pages that is: what the site does not keep is none."""
    if order.is_everything or not order.uploads:
        return carry_out_at_once(order, keeper)
    return _purge(order, keeper, await keeper.pages_showing(_spellings(order.uploads)))


def carry_out_at_once(order: Order, keeper: Keeper) -> int:
    """The same without uploads, for which the tree has to be searched."""
    if order.is_everything:
        return keeper.purge_everything(is_told=not order.is_hint, is_meant=not order.is_hint)
    return _purge(order, keeper, set())


def _purge(order: Order, keeper: Keeper, showing: set[Page]) -> int:
    """That a page is missing only who names it means: a tag is on the home page too."""
    named = set()
    for url in order.urls:
        # What is no page could not be in the tree either.
        with contextlib.suppress(UrlError):
            named.add(page_of(keeper.site.base, url))
    others = (keeper.pages_of(order.tags) | showing) - named
    is_told = not order.is_hint
    return keeper.purge(named, is_told=is_told, is_meant=is_told) + keeper.purge(others, is_told=is_told)


def _spellings(uploads: Iterable[str]) -> Iterator[str]:
    """How pages write the addresses of uploads: percent-encoded, or as the files are called."""
    for path in uploads:
        name = os.fsencode(f"/uploads/{path}")
        yield quote(name)
        with contextlib.suppress(UnicodeDecodeError):  # Such a name stands in no page as it is.
            yield name.decode()
