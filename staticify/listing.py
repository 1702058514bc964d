"""Which pages a site should have in the tree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from staticify.config import Config, Site
from staticify.discover import Listing, Note, read_sitemaps
from staticify.errors import UrlError
from staticify.tree import Found
from staticify.urls import Page, Place, is_inside, page_of

if TYPE_CHECKING:
    from staticify.origin import OriginClient


def sites_inside(config: Config, site: Site) -> tuple[Page, ...]:
    """The other sites of the configuration that lie below this one: their pages are theirs alone."""
    return tuple(other.base for other in config.sites if other is not site and is_inside(site.base, other.base))


async def list_pages(
    origin: OriginClient, site: Site, others: Sequence[Page] = (), standing: AbstractSet[str] = frozenset()
) -> Listing:
    """The pages of the configuration, then those that the sitemaps name, `max_pages` at most. Notes say what is not.

    Pages of the `others`, the sites inside this one, are left to them. Of pages that a case-folding or Unicode-folding
    file system could not keep apart, one of the configuration counts, else one whose URL is among the `standing` ones
    in the tree, else the first. A list that is cut is complete all the same: what is beyond
    the bound is not kept, by the operator's own word.
    """
    listing = await read_sitemaps(origin, site, site.sitemaps)
    first: dict[str, Page] = {}
    # What the operator has excluded is left out by their own word, and nothing to be told of each interval.
    notes = [note for note in listing.notes if note.name != "url-excluded"]
    folded = []
    configured = set(site.pages)
    for page in (*site.pages, *listing.pages):
        if any(is_inside(other, page) for other in others):
            continue
        known = first.setdefault(page.folded, page)
        if known == page:
            continue
        if page.url in standing and known.url not in standing and known not in configured:
            first[page.folded] = page
            folded.append(known)
        else:
            folded.append(page)
    if folded:
        one, other, count = folded[0], first[folded[0].folded], len(folded)
        more = f", and {count - 1} more like it" if count > 1 else ""
        message = f"{one} is left out: it differs from {other} in nothing but case or Unicode form{more}"
        notes.append(Note(site.url, message, "url-folded", count))
    is_cut = len(first) > site.max_pages
    if is_cut and not listing.is_cut:
        message = f"more than max_pages = {site.max_pages} pages; the rest is left out"
        notes.append(Note(site.url, message, "too-many-pages"))
    pages = tuple(islice(first.values(), site.max_pages))
    return replace(listing, pages=pages, notes=tuple(notes), is_cut=listing.is_cut or is_cut)


def pages_named(config: Config, texts: Sequence[str]) -> dict[Site, list[Page]]:
    """The pages that URLs on the command line mean, by site. A path alone is enough with a single site.

    Raises UrlError for a URL of no configured site, and for one that is excluded: staticify fetches and writes nothing
    else.
    """
    pages: dict[Site, list[Page]] = {}
    for text in texts:
        site, page = page_named(config, text)
        if pattern := site.exclusion_of(page):
            raise UrlError(f"{page.url} is excluded by {pattern!r}", hint="See `exclude` in the configuration")
        pages.setdefault(site, []).append(page)
    return pages


def page_named(config: Config, text: str) -> tuple[Site, Page]:
    """The page that one URL means, excluded or not, and its site. Raises UrlError for a URL of no configured site."""
    if text.startswith("/") and len(config.sites) > 1:
        raise UrlError(f"{text!r} could be on any of {len(config.sites)} sites", hint="Give the whole URL")
    page = page_of(config.sites[0].base, text)
    site = config.site_of(page)
    if site is None:
        known = ", ".join(site.url for site in config.sites)
        raise UrlError(f"{page.url} is on no configured site", hint=f"Configured are: {known}")
    return site, page


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands in the tree."""

    pages: Mapping[str, list[tuple[Page, Found]]]
    """By the URL of the site that they belong to."""
    strangers: Mapping[str, int]
    """How many pages of each host belong to no site of the configuration."""

    @property
    def count(self) -> int:
        """How many pages that is."""
        return sum(map(len, self.pages.values())) + sum(self.strangers.values())


def standing_of(config: Config, scan: Iterable[Found]) -> Standing:
    """Whose the pages of a tree are. Each is asked once: sites times pages would be minutes for a hundred. Blocks."""
    pages: defaultdict[str, list[tuple[Page, Found]]] = defaultdict(list)
    strangers: Counter[str] = Counter()
    for found in scan:
        page = page_at(config, found.place)
        site = config.site_of(page) if page is not None else None
        if page is None or site is None:
            strangers[found.place.netloc] += 1
        else:
            pages[site.url].append((page, found))
    return Standing(dict(pages), strangers)


def page_at(config: Config, place: Place) -> Page | None:
    """The page that lives at a place of the tree, or None if no site of the configuration has its host."""
    for site in config.sites:
        if place.netloc == site.base.netloc:
            try:
                page = site.base.with_path(place.path)
            except UrlError:
                return None  # A directory that staticify did not make.
            return page if config.site_of(page) is not None else None
    return None
