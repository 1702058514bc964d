"""What the store and the tree know, gathered for `status` and `explain`. Reads only: it works beside the daemon."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence, Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from staticify.canary import PERSONAL
from staticify.config import Config, Site
from staticify.errors import StaticifyError, TreeError
from staticify.gate import FORBIDDEN
from staticify.listing import page_at
from staticify.nouns import Kind, Mode, OriginState, Outcome, Record, SiteState
from staticify.store import Store
from staticify.tree import Found, Tree
from staticify.urls import Page, parse_page

_FOR_USERS = re.compile(r"/wp-(login\.php|admin(/.*)?)\Z")


@dataclass(frozen=True, slots=True)
class PageStatus:
    """One line of `status`. Times are seconds since the epoch."""

    url: str
    site: str
    state: str
    """fresh: found good within the bound. stale: in the tree, but found good longer ago, or nobody knows when. absent:
    not in the tree."""
    age_seconds: float | None
    """Since the start of the last fetch that the tree agrees with, or of the last answer of a journal that named no
    change of the page; None if that is not known, or not in the tree."""
    changed_at: float | None
    size_bytes: int
    render_seconds: float
    outcome: str
    verdict: str
    reason: str
    failures: int

    @property
    def is_good(self) -> bool:
        """True if the last journey was good, or if there was none yet."""
        return not self.outcome or Outcome(self.outcome).is_good

    @property
    def is_lost(self) -> bool:
        """True if the page was published, and is in the tree no more by no doing of staticify's."""
        return self.state == "absent" and self.outcome in {Outcome.PUBLISHED, Outcome.UNCHANGED}


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """One site in `status`."""

    url: str
    mode: Mode
    reason: str
    """Why WordPress does not say what changes, though a secret is there for it."""
    missed: int
    """Changes that WordPress did not name and the sweep found."""
    fresh: int
    stale: int
    absent: int
    oldest_seconds: float | None
    """Age of the oldest page in the tree."""
    asked_at: float | None
    """When a page or the journal was last fetched, seconds since the epoch; None if it never was."""
    origin: OriginState | None
    """How WordPress bears what the daemon asks of it; None if no daemon has asked."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one page."""

    record: Record
    status: PageStatus
    file: Path
    """Of the identity variant, in the tree."""
    is_in_tree: bool


def overview(config: Config, now: float) -> tuple[list[PageStatus], list[SiteStatus]]:
    """Every page that is known, configured or in the tree, and a line for each site. Raises StoreError or TreeError."""
    pages: list[PageStatus] = []
    sites = []
    # One that is not there has no page, and that is no fault: it may be aside for a while.
    scan = Tree(config.tree_path).scan() if config.tree_path.exists() else ()
    standing = [page for found in scan if (page := page_at(config, found.place)) is not None]
    with closing(Store.open_for_reading(config.state_path)) as store:
        for site in config.sites:
            known = store.of_site(site.url)
            rendered = {record.url for record in known}
            unrecorded = (page for page in standing if store.get(page.url) is None and config.site_of(page) is site)
            own = dict.fromkeys((*(page for page in site.pages if page.url not in rendered), *unrecorded))
            unknown = [Record(page.url, site.url) for page in own]
            of_site = [_page_status(config, store, site, record, now) for record in (*known, *unknown)]
            ages = [page.age_seconds for page in of_site if page.age_seconds is not None]
            counts = Counter(page.state for page in of_site)
            state = _state_of(store, site)
            sites.append(
                SiteStatus(
                    url=site.url,
                    mode=state.mode,
                    reason=state.reason,
                    missed=state.missed,
                    fresh=counts["fresh"],
                    stale=counts["stale"],
                    absent=counts["absent"],
                    oldest_seconds=max(ages, default=None),
                    asked_at=max([store.site(site.url).polled_at, *(record.checked_at for record in known)]) or None,
                    origin=store.origin(site.url),
                )
            )
            pages.extend(of_site)
    return pages, sites


def unwritten_seconds(config: Config, sites: Sequence[SiteStatus], written_at: float, now: float) -> float | None:
    """How old the state is, if a daemon that can write it would have done so since; else None."""
    # Who leaves WordPress alone may have nothing to remember until then.
    since = max([written_at, *(site.origin.paused_until for site in sites if site.origin is not None)])
    # Where there is neither page nor journal, there is nothing to remember.
    asked = {site.url for site in sites if site.fresh or site.stale or site.absent or site.mode is Mode.JOURNAL}
    # Within that time each page of the site is fetched, or its journal asked, and either is remembered.
    longest = (
        max([site.interval_seconds, *(group.interval_seconds for group in site.groups)]) + site.deadline_seconds
        for site in config.sites
        if site.url in asked
    )
    return now - written_at if now - since > min(longest, default=float("inf")) else None


def overload_of(config: Config, status: SiteStatus, pages: Iterable[PageStatus]) -> float:
    """How many times its interval a round over the site's pages takes, where pages are stale for that; else 0."""
    is_left_alone = status.origin is not None and status.origin.paused_until > 0
    if not status.stale or status.mode is not Mode.BLIND or is_left_alone:
        return 0.0
    site = next(site for site in config.sites if site.url == status.url)
    rounds = sum(
        page.render_seconds / site.interval_for(parse_page(page.url)) for page in pages if page.site == site.url
    )
    return share if (share := rounds / site.concurrency) > 1 else 0.0


def problems_of(config: Config, pages: Iterable[PageStatus]) -> list[PageStatus]:
    """Those that are not well. A page that went because WordPress says so is, unless the configuration lists it."""
    listed = {page.url for site in config.sites for page in site.pages}
    return [page for page in pages if not (page.state == "fresh" and page.is_good) and not _has_left(page, listed)]


def _has_left(page: PageStatus, listed: AbstractSet[str]) -> bool:
    is_gone = page.outcome == Outcome.GONE and page.state == "absent"
    return is_gone and page.verdict not in {PERSONAL, FORBIDDEN} and page.url not in listed


def explain_page(config: Config, page: Page, now: float) -> Explanation:
    """Everything about one page. Raises StoreError, or StaticifyError with what is known of one without a record."""
    site = config.site_of(page)
    with closing(Store.open_for_reading(config.state_path)) as store:
        record = store.get(page.url)
        standing = _found(Tree(config.tree_path), page)
        if record is None or site is None:
            other = _with_other_slash(page)
            is_other = other in (site.pages if site else ()) or store.get(other.url) is not None
            raise _unrecorded(config, page, standing, other if is_other else None)
        status = _page_status(config, store, site, record, now)
    kind = record.kind or Kind.HTML
    return Explanation(
        record=record,
        status=status,
        file=config.tree_path / page.tree_path(kind),
        is_in_tree=standing is not None,
    )


def _state_of(store: Store, site: Site) -> SiteState:
    """What is known of a site. Whom nobody can ask any more, no journal speaks for."""
    return store.site(site.url) if site.secrets else SiteState(site.url)


def _found(tree: Tree, page: Page) -> Found | None:
    """What stands at the page's place, or None. Raises TreeError."""
    try:
        return tree.find(page.place)
    except OSError as error:
        raise TreeError(f"cannot read the tree: {error}", hint="Run this as the user that runs the daemon") from error


def _written_at(tree: Tree, found: Found, record: Record) -> float:
    """When a page was written of which the store knows nothing yet; 0 if another hand was on it.

    The daemon publishes first and writes its state within a second. Without a state nothing else is known of the page,
    and what was right when it was written may be wrong since.
    """
    is_whole = tree.is_holding(found.place, found.kind, found.mtime, found.size_bytes)
    return float(found.mtime) if is_whole and found.mtime > record.mtime else 0.0


def _with_other_slash(page: Page) -> Page:
    """The page's URL with a slash at its end if it has none, or without it."""
    return page.with_path(page.path.rstrip("/") or "/") if page.path.endswith("/") else page.with_path(f"{page.path}/")


def _unrecorded(config: Config, page: Page, standing: Found | None, other: Page | None) -> StaticifyError:
    """What can be said of a page without a record: never rendered, or forgotten after it left list and tree.

    `other` is a known page whose URL differs in the slash at its end alone.
    """
    site = config.site_of(page)
    if standing is not None:
        return StaticifyError(
            f"{page.url} is in the tree at {config.tree_path / page.tree_path(standing.kind)}, "
            "but the state database does not know it",
            hint="A daemon that starts takes it up, and removes it if nothing lists it",
        )
    if site is not None and (pattern := site.exclusion_of(page)):
        return StaticifyError(
            f"{page.url} is not in the tree: {pattern!r} of `exclude` keeps it out",
            hint="WordPress itself answers for it",
        )
    if site is not None and page in site.pages:
        return StaticifyError(
            f"{page.url} was never rendered; the configuration lists it",
            hint="A running daemon renders it by itself; without one: staticify render --all",
        )
    if other is not None:
        return StaticifyError(f"{page.url} is not known", hint=f"Did you mean {other.url}?")
    if _FOR_USERS.search(page.path):
        return StaticifyError(
            f"{page.url} is not in the tree: it is for whoever logs in", hint="WordPress itself answers for it"
        )
    return StaticifyError(
        f"{page.url} is not in the tree, and nothing more is known of it: it was never rendered, or it was removed and "
        "nothing lists it any more",
        hint="To have it in the tree, list it under `pages` or in a sitemap",
    )


def _page_status(config: Config, store: Store, site: Site, record: Record, now: float) -> PageStatus:
    page = parse_page(record.url)
    bound_seconds = site.interval_for(page) + site.deadline_seconds
    verified_at = store.right_at(record)
    # The tree is asked, not the memory of it: what somebody took away there, no visitor gets.
    tree = Tree(config.tree_path)
    size_bytes = record.size_bytes
    is_in_tree = record.kind is not None and tree.is_holding(page.place, record.kind, record.mtime, size_bytes)
    if not is_in_tree and (found := _found(tree, page)) is not None:
        is_in_tree, size_bytes, verified_at = True, found.size_bytes, _written_at(tree, found, record)
    age_seconds = max(0.0, now - verified_at) if verified_at and is_in_tree else None
    if not is_in_tree:
        state = "absent"
    else:
        state = "fresh" if age_seconds is not None and age_seconds <= bound_seconds else "stale"
    return PageStatus(
        url=record.url,
        site=record.site,
        state=state,
        age_seconds=round(age_seconds, 1) if age_seconds is not None else None,
        changed_at=record.changed_at or None,
        size_bytes=size_bytes,
        render_seconds=round(record.render_seconds, 4),
        outcome=str(record.outcome or ""),
        verdict=record.verdict,
        reason=record.reason,
        failures=record.failures,
    )
