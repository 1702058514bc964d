"""Which pages a site should have in the tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from staticify.config import Config, Site
from staticify.discover import Listing, Note, read_sitemaps
from staticify.errors import UrlError
from staticify.origin import OriginClient
from staticify.urls import Page, Place, page_of


async def list_pages(origin: OriginClient, site: Site) -> Listing:
    """The pages of the configuration, then those that the sitemaps name, `max_pages` at most. Notes say what is not."""
    listing = await read_sitemaps(origin, site, site.sitemaps)
    pages = tuple(dict.fromkeys((*site.pages, *listing.pages)))
    notes = listing.notes
    if len(pages) > site.max_pages:
        notes = (*notes, Note(site.url, f"{len(pages)} pages; only the first max_pages = {site.max_pages} are kept"))
    return replace(listing, pages=pages[: site.max_pages], notes=notes)


def pages_named(config: Config, texts: Sequence[str]) -> dict[Site, list[Page]]:
    """The pages that URLs on the command line mean, by site. A path alone is enough with a single site.

    Raises UrlError for a URL of no configured site: staticify fetches and writes nothing else.
    """
    pages: dict[Site, list[Page]] = {}
    for text in texts:
        if text.startswith("/") and len(config.sites) > 1:
            raise UrlError(f"{text!r} could be on any of {len(config.sites)} sites", hint="Give the whole URL")
        page = page_of(config.sites[0].base, text)
        site = config.site_of(page)
        if site is None:
            known = ", ".join(site.url for site in config.sites)
            raise UrlError(f"{page.url} is on no configured site", hint=f"Configured are: {known}")
        pages.setdefault(site, []).append(page)
    return pages


def page_at(config: Config, place: Place) -> Page | None:
    """The page that lives at a place of the tree, or None if no site of the configuration has its host."""
    for site in config.sites:
        if place.netloc == site.base.netloc:
            page = site.base.with_path(place.path)
            return page if config.site_of(page) is not None else None
    return None
