"""Which pages of a site are worth keeping, and the configuration that keeps them: what `staticify init` says.

The site itself is asked: robots.txt, sitemaps, the home page with its menus, the main feed. Then a few pages are
fetched one after the other to learn what a render costs, and the proposal is cut to what fits into the interval.
"""

from __future__ import annotations

import asyncio
import glob
import json
import math
import re
import textwrap
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import zip_longest
from secrets import token_bytes
from statistics import median
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from staticify.config import Site, describe
from staticify.content import EMERGENCIES
from staticify.discover import (
    Entry,
    Links,
    Listing,
    Note,
    Source as SitemapSource,
    links_of,
    read_sitemaps,
    sitemaps_of_robots,
)
from staticify.errors import OriginError, StaticifyError, UrlError
from staticify.faults import Setting
from staticify.gate import ORIGIN_IS_FRONT, decide_head, kind_of
from staticify.nouns import Answer, Kind, Verdict
from staticify.prepare import prepare
from staticify.render import rules_of
from staticify.units import counted, format_duration
from staticify.urls import Page, is_inside, page_of

RECENT_POSTS = 10
"""As many as WordPress puts into a feed, for a site that has none."""
MAX_RECENT_POSTS = 50
"""Taken from a feed."""
MAX_FEEDS = 5
MEASURED_PAGES = 5
MAX_MEASURE_TRIES = 10
INTERVAL_SHARE = 0.8
"""Of the interval that refreshing everything may take: the rest is for purges, and for renders that get slower when
several run at once."""
SPARE_SHARE = 0.7
"""Of the interval that refreshing everything may take before that is worth a word."""
SITEMAP_PATHS = ("wp-sitemap.xml", "sitemap_index.xml", "sitemap.xml")
"""WordPress's own, that of Yoast and Rank Math, and everybody else's."""

_PROGRAMS = "for programs, or for somebody who is logged in"
_PERSONAL = "a visitor's own: basket, order, account"
_DETAILS = "of one picture, one search, one embedded post: many, and few visit them"
_AUTHORS = "archives of authors: few visit them, and they name who may log in"
_SINGLE_FEEDS = "feeds of single posts and lists: many, and few read them"

# First segments of paths whose pages are not proposed, and why.
_UNWANTED = {
    **dict.fromkeys(("wp-admin", "wp-content", "wp-includes", "wp-json"), _PROGRAMS),
    **dict.fromkeys(("cart", "checkout", "my-account"), _PERSONAL),
    **dict.fromkeys(("attachment", "search", "embed"), _DETAILS),
}
_SITEMAP_TYPES = (
    # WordPress: wp-sitemap-posts-page-1.xml, wp-sitemap-taxonomies-category-1.xml, wp-sitemap-users-1.xml.
    re.compile(r"wp-sitemap-(?:posts|taxonomies)-([a-z0-9_-]+)-\d+\.xml|wp-sitemap-(users)-\d+\.xml"),
    # XML Sitemaps: sitemap-pt-post-2024-03.xml, sitemap-tax-category.xml.
    re.compile(r"sitemap-(?:pt|tax)-([a-z0-9_]+)(?:-.*)?\.xml"),
    # Yoast SEO, Rank Math, All in One SEO: page-sitemap2.xml.
    re.compile(r"([a-z0-9_-]+)-sitemap\d*\.xml"),
)


class Source(SitemapSource, Protocol):
    """Whatever can be asked for a path of the site: the origin client."""

    async def fetch(self, raw_path: str) -> Answer:
        """One whole answer. Raises OriginError."""


class Why(StrEnum):
    """Why a page is proposed. The order is that of importance: what does not fit is dropped from the end."""

    HOME = "home"
    MENU = "menu"
    RECENT = "recent posts"
    FEEDS = "feeds"
    ROBOTS = "robots.txt"
    PAGES = "pages"
    CATEGORIES = "categories"
    SITEMAPS = "sitemaps"


@dataclass(frozen=True, slots=True)
class Group:
    """Pages that are proposed for one reason."""

    why: Why
    pages: tuple[Page, ...]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A pattern of `exclude`, and why its pages should not be kept."""

    pattern: str
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """The key pages of one site, and what keeping them costs."""

    site: Site
    groups: tuple[Group, ...]
    """The most important first; every page stands in one group only, and no group is empty."""
    render_seconds: float
    """Of one page: the median of a few fetches, one after the other."""
    sitemaps: tuple[str, ...] = ()
    """What new posts join by: the whole sitemaps if all their pages fit, else the main feed."""
    joined: tuple[Page, ...] = ()
    """The pages that `sitemaps` names today."""
    exclusions: tuple[Exclusion, ...] = ()
    """Of pages that `sitemaps` names and that should not be kept."""
    site_sitemaps: tuple[str, ...] = ()
    """The site's sitemaps, whether they fit or not."""
    wanted_count: int = 0
    """Pages that would be kept if everything fitted."""
    is_complete: bool = True
    """False if not all that the site's sitemaps name is known."""
    notes: tuple[Note, ...] = ()
    tried_seconds: float = 0.0
    """What fetching all pages once did take; 0 if nobody tried."""

    @property
    def pages(self) -> tuple[Page, ...]:
        """All pages that would be kept today."""
        return tuple(dict.fromkeys((*(page for group in self.groups for page in group.pages), *self.joined)))

    @property
    def exclude(self) -> tuple[str, ...]:
        """The patterns alone, as the configuration has them."""
        return tuple(exclusion.pattern for exclusion in self.exclusions)

    @property
    def pass_seconds(self) -> float:
        """What fetching all pages once takes at the chosen concurrency."""
        return self.tried_seconds or _pass_seconds(len(self.pages), self.render_seconds, self.site.concurrency)

    @property
    def is_trimmed(self) -> bool:
        """True if not everything fitted into the interval."""
        return self.wanted_count > len(self.pages)

    @property
    def pace_seconds(self) -> float:
        """Of one page among those that are fetched at once: as it was when all were tried, else as of one alone."""
        count = len(self.pages)
        if not self.tried_seconds or not count:
            return self.render_seconds
        return self.tried_seconds * min(self.site.concurrency, count) / count

    @property
    def fit(self) -> str:
        """Whether the list fits into the interval, in one sentence."""
        site, count, alone = self.site, len(self.pages), _short(self.render_seconds)
        pace = f"{_short(self.pace_seconds)} each (one by one {alone})" if self.tried_seconds else f"{alone} each"
        share = self.pass_seconds / site.interval_seconds
        fits = "does not fit" if share > 1 else "fits, with little to spare" if share > SPARE_SHARE else "fits"
        said = (
            f"{counted(count, 'page')} at {pace}, {site.concurrency} at a time, take "
            f"{_short(self.pass_seconds)} of every {format_duration(site.interval_seconds)}: that {fits}"
        )
        all_seconds = _pass_seconds(self.wanted_count, self.pace_seconds, site.concurrency)
        enough = format_duration(60 * math.ceil(all_seconds / INTERVAL_SHARE / 60))
        if not self.is_trimmed:
            if share <= 1:
                return said
            return (
                f"{said}, and nothing is left to leave out" if count == 1 else f'{said}; interval = "{enough}" would do'
            )
        left_out = f"{'' if self.is_complete else 'at least '}{self.wanted_count - count}"
        if (
            _pass_seconds(self.wanted_count, self.render_seconds, site.concurrency)
            <= INTERVAL_SHARE * site.interval_seconds
        ):
            why = f"max_pages is {site.max_pages}" if self.is_complete else "the sitemaps could not be read whole"
            return f"{said}; {left_out} more that the sitemaps name are left out because {why}"
        hint = f' (interval = "{enough}" would be enough for all)' if self.is_complete else ""
        return f"{said}; {left_out} less important ones are left out{hint}"


async def propose(source: Source, site: Site) -> Proposal:
    """Ask the site for its key pages. `site` needs no pages yet: address, origin, interval and concurrency count.

    Raises OriginError if the home page cannot be had or may not be published; everything else that goes wrong
    becomes a note.
    """
    survey = _Survey(source, site)
    home = await survey.fetch_home()
    await survey.fetch_robots()
    await survey.read_sitemaps()
    links = links_of(home.body, site.base, site.base)
    survey.note_other_name(links)
    await survey.read_feed(links)
    groups = survey.groups(links)
    render_seconds, refused = await survey.measure(home, groups)
    groups = [Group(group.why, tuple(page for page in group.pages if page not in refused)) for group in groups]
    return survey.fitted(groups, render_seconds)


async def try_out(source: Source, proposal: Proposal, on_page: Callable[[], None]) -> Proposal:
    """Fetch every proposed page once, at the chosen concurrency, and leave out what cannot be kept.

    A page that a sitemap names anew each time goes into `exclude`. One that gave no answer, or an error that may pass,
    stays: it may have a better one the next time.
    """
    rules = rules_of(proposal.site)
    refused: dict[Page, Verdict] = {}
    slots = asyncio.Semaphore(proposal.site.concurrency)

    async def try_page(page: Page) -> None:
        async with slots:
            try:
                answer = await source.fetch(page.raw_path)
            except OriginError:
                return
            verdict = decide_head(answer, page, rules.gate)
            if verdict.is_publishable:
                verdict = (await asyncio.to_thread(prepare, answer, rules)).verdict
            if not verdict.is_publishable and not _may_pass(answer, verdict):
                refused[page] = verdict
            on_page()

    started = time.monotonic()
    await asyncio.gather(*(try_page(page) for page in proposal.pages))
    tried_seconds = time.monotonic() - started
    named = [Exclusion(glob.escape(page.path), _why_not(refused[page])) for page in proposal.joined if page in refused]
    # A pattern with a percent sign would be taken for an encoded path; such a page is reported as refused instead.
    named = [exclusion for exclusion in named if unquote(exclusion.pattern) == exclusion.pattern]
    excluded = {exclusion.pattern for exclusion in named}

    def note_of(page: Page) -> Note:
        what = "excluded" if glob.escape(page.path) in excluded else "left out"
        return Note(page.url, f"{what}: {_why_not(refused[page])}", refused[page].name)

    # What was noted of a page when a few were measured is said once, as what became of it.
    said = {(page.url, verdict.name) for page, verdict in refused.items()}
    before = (note for note in proposal.notes if (note.where, note.name) not in said)
    groups = [Group(group.why, tuple(page for page in group.pages if page not in refused)) for group in proposal.groups]
    return replace(
        proposal,
        groups=tuple(group for group in groups if group.pages),
        joined=tuple(page for page in proposal.joined if page not in refused),
        exclusions=(*proposal.exclusions, *named),
        wanted_count=proposal.wanted_count - len(refused),
        tried_seconds=tried_seconds,
        notes=(*before, *(note_of(page) for page in proposal.pages if page in refused)),
    )


class _Survey:
    """What was learnt of one site so far."""

    def __init__(self, source: Source, site: Site) -> None:
        self._source = source
        self._site = site
        self._base = site.base
        self._rules = rules_of(site)
        self._notes: list[Note] = []
        self._robots: Page | None = None
        self._robots_sitemaps: tuple[str, ...] = ()
        self._listing = Listing()
        self._roots: list[str] = []
        self._feed = Listing()
        self._feed_url = ""

    async def fetch_home(self) -> Answer:
        answer = await self._source.fetch(self._base.raw_path)
        verdict = self._verdict(answer, self._base)
        if not verdict.is_publishable:
            hint = "Give the address that visitors use" if 300 <= answer.status < 400 else ""
            if verdict.name == ORIGIN_IS_FRONT:
                hint = "Name it, as in --origin http://127.0.0.1:8080"
            raise OriginError(f"{self._base.url} cannot be kept: {_why_not(verdict)}", hint=hint)
        return answer

    def note_other_name(self, links: Links) -> None:
        """Whoever names the site as WordPress does not gets few of its pages, or another site's."""
        if links.home is not None and links.home != self._base:
            message = f"WordPress calls itself {links.home.url}; did you mean: staticify init {links.home.url}"
            self._notes.append(Note(self._base.url, message, "other-home"))
            return
        page = links.canonical
        if page is not None and page != self._base:
            message = f"the home page calls itself {page.url}; if visitors come by that address, name it as url"
            self._notes.append(Note(self._base.url, message, "canonical"))

    def _verdict(self, answer: Answer, page: Page) -> Verdict:
        verdict = decide_head(answer, page, self._rules.gate)
        return prepare(answer, self._rules).verdict if verdict.is_publishable else verdict

    async def fetch_robots(self) -> None:
        """It stands at the root of the host (RFC 9309 section 2.3), which may be above the site."""
        page = self._base.with_path("/robots.txt")
        try:
            answer = await self._source.fetch(page.raw_path)
        except OriginError as error:
            self._notes.append(Note(page.url, str(error), error.name))
            return
        verdict = self._verdict(answer, page)
        if not verdict.is_publishable or kind_of(answer) is not Kind.TEXT:
            return
        lines = sitemaps_of_robots(answer.body.decode("utf-8", "replace"))
        self._robots_sitemaps = tuple(url for url in lines if self._is_own_sitemap(url))
        if is_inside(self._base, page):
            self._robots = page

    def _is_own_sitemap(self, url: str) -> bool:
        try:
            return is_inside(self._base, page_of(self._base, url.partition("#")[0].partition("?")[0]))
        except UrlError:
            return False

    async def read_sitemaps(self) -> None:
        """Those that robots.txt names; if there are none, the usual ones, until one can be read."""
        for url in self._robots_sitemaps:
            await self._read_root(url)
        for path in SITEMAP_PATHS:
            if self._roots:
                return
            await self._read_root(self._base.with_path(self._base.path + path).url, is_guess=True)

    async def _read_root(self, url: str, *, is_guess: bool = False) -> None:
        listing = await read_sitemaps(self._source, self._site, [url])
        if listing.sitemaps:
            # The first that could be read: /sitemap.xml itself may be only a redirect.
            root = listing.sitemaps[0]
            if root not in self._listing.sitemaps and self._is_own_sitemap(root):
                self._roots.append(root)
            self._listing = _together(self._listing, listing)
        elif not is_guess:
            self._notes.extend(listing.notes)

    async def read_feed(self, links: Links) -> None:
        """The main feed: at /feed/ in WordPress, or the first that the home page names."""
        usual = self._base.with_path(f"{self._base.path}feed/")
        for page in dict.fromkeys((usual, *links.feeds[:1]) if usual in links.feeds else (*links.feeds[:1], usual)):
            listing = await read_sitemaps(self._source, self._site, [page.url])
            if listing.sitemaps:
                self._feed, self._feed_url = listing, page.url
                return

    def groups(self, links: Links) -> list[Group]:
        """All that is worth keeping, whether it fits or not."""
        by_type: dict[str, list[Entry]] = {}
        for entry in self._listing.entries:
            by_type.setdefault(_type_of(entry.sitemap), []).append(entry)

        def named(*types: str) -> Iterator[Page]:
            return (entry.page for name in types for entry in by_type.get(name, ()))

        recent = self._feed.pages[:MAX_RECENT_POSTS] or _newest(by_type.get("post", []))
        singles = {*named("post", "page"), *recent} - {self._base}
        feeds = [page for page in links.feeds if not self._is_feed_of(page, singles)]
        if self._feed_url:
            feeds.insert(0, page_of(self._base, self._feed_url))
        proposed: dict[Why, Iterable[Page]] = {
            Why.HOME: [self._base],
            Why.MENU: (page for page in links.menu if self._unwanted(page, with_authors=False) is None),
            Why.RECENT: (page for page in recent if self._unwanted(page) is None),
            Why.FEEDS: list(dict.fromkeys(feeds))[:MAX_FEEDS],
            Why.ROBOTS: [self._robots] if self._robots is not None else [],
            Why.PAGES: (page for page in named("page", "") if self._unwanted(page) is None),
            Why.CATEGORIES: (page for page in (*named("category"), *links.categories) if self._unwanted(page) is None),
            Why.SITEMAPS: self._sitemap_pages(),
        }
        taken: set[str] = set()
        groups = []
        for why, pages in proposed.items():
            # Two pages that differ only in case cannot both be in the tree: the configuration refuses that.
            own = []
            for page in pages:
                if page.folded not in taken:
                    taken.add(page.folded)
                    own.append(page)
            groups.append(Group(why, tuple(own)))
        return groups

    def _sitemap_pages(self) -> Iterator[Page]:
        for url in self._listing.sitemaps:
            try:
                page = page_of(self._base, url)
            except UrlError:
                continue  # It has a query string.
            if is_inside(self._base, page) and not page.path.endswith(".gz"):
                yield page

    def _is_feed_of(self, feed: Page, singles: set[Page]) -> bool:
        parent = feed.path.rstrip("/").rpartition("/")[0] + "/"
        return any(page.path.rstrip("/") + "/" == parent for page in singles)

    def _unwanted(self, page: Page, *, with_authors: bool = True) -> Exclusion | None:
        """What would exclude pages like this one, which are never proposed; None if it is wanted."""
        root = glob.escape(self._base.path)
        first, slash, rest = page.path.removeprefix(self._base.path).partition("/")
        why = _UNWANTED.get(first.casefold()) or (_AUTHORS if with_authors and _is_author(first, rest) else None)
        if why is not None:
            return Exclusion(f"{root}{glob.escape(first)}{'/*' if slash else ''}", why)
        if page.path.endswith(".php"):
            return Exclusion(f"{root}*.php", _PROGRAMS)
        if "/attachment/" in page.path:
            return Exclusion(f"{root}*/attachment/*", _DETAILS)
        if page.path.rstrip("/").endswith("/feed"):
            return Exclusion(f"{root}*/feed/*", _SINGLE_FEEDS)
        return None

    async def measure(self, home: Answer, groups: list[Group]) -> tuple[float, set[Page]]:
        """Seconds of one render, and the pages among those tried that cannot be kept."""
        seconds = [home.seconds]
        refused: set[Page] = set()
        wanted = {Why.MENU, Why.RECENT, Why.PAGES, Why.CATEGORIES}
        in_turn = zip_longest(*(group.pages[:MAX_MEASURE_TRIES] for group in groups if group.why in wanted))
        pages = [page for turn in in_turn for page in turn if page is not None]
        for page in pages[:MAX_MEASURE_TRIES]:
            if len(seconds) == MEASURED_PAGES:
                break
            try:
                answer = await self._source.fetch(page.raw_path)
            except OriginError as error:
                # It may be there the next time: no reason to leave the page out.
                self._notes.append(Note(page.url, str(error), error.name))
                continue
            verdict = self._verdict(answer, page)
            if verdict.is_publishable:
                seconds.append(answer.seconds)
            elif _may_pass(answer, verdict):
                self._notes.append(Note(page.url, verdict.reason, verdict.name))
            else:
                self._notes.append(Note(page.url, f"not proposed: {_why_not(verdict)}", verdict.name))
                refused.add(page)
        return median(seconds), refused

    def fitted(self, groups: list[Group], render_seconds: float) -> Proposal:
        """Cut the proposal to what one interval can hold."""
        site = self._site
        notes = (*self._notes, *self._listing.notes)
        room = _affordable(render_seconds, site)
        every = [page for group in groups for page in group.pages]
        kept = set(every)
        exclusions = _usable(filter(None, map(self._unwanted, self._listing.pages)), every)
        joined = [
            page
            for page in self._listing.pages
            if not any(fnmatchcase(page.path, exclusion.pattern) for exclusion in exclusions)
        ]
        whole = dict.fromkeys((*every, *joined))
        is_known = self._listing.is_complete and not self._listing.is_cut
        if self._roots and is_known and len(whole) <= min(room, site.max_pages):
            return Proposal(
                site=site,
                groups=tuple(group for group in groups if group.pages),
                render_seconds=render_seconds,
                sitemaps=tuple(self._roots),
                joined=tuple(joined),
                exclusions=exclusions,
                site_sitemaps=tuple(self._roots),
                wanted_count=len(whole),
                notes=(*notes, *_notes_of(exclusions, site)),
            )
        feed_pages = tuple(page for page in self._feed.pages if page in kept)
        trimmed = _trimmed(groups, min(room, site.max_pages))
        listed = {page for group in trimmed for page in group.pages}
        can_join = bool(feed_pages) and listed.issuperset(feed_pages) and len(feed_pages) == len(self._feed.pages)
        return Proposal(
            site=site,
            groups=trimmed,
            render_seconds=render_seconds,
            sitemaps=(self._feed_url,) if can_join else (),
            joined=feed_pages if can_join else (),
            site_sitemaps=tuple(self._roots),
            wanted_count=len(whole),
            is_complete=is_known,
            notes=notes,
        )


def _may_pass(answer: Answer, verdict: Verdict) -> bool:
    """True if the page may well be good the next time: WordPress was overloaded, out of order or under maintenance."""
    return answer.status == 429 or answer.status >= 500 or verdict.name in EMERGENCIES


def _is_author(first: str, rest: str) -> bool:
    return first.casefold() == "author" and bool(rest)


def _usable(exclusions: Iterable[Exclusion], pages: list[Page]) -> tuple[Exclusion, ...]:
    """Those that hit no page of the proposal and that the configuration can express."""
    return tuple(
        exclusion
        for exclusion in dict.fromkeys(exclusions)
        if unquote(exclusion.pattern) == exclusion.pattern
        and not any(fnmatchcase(page.path, exclusion.pattern) for page in pages)
    )


def _by_why(exclusions: Iterable[Exclusion]) -> dict[str, list[str]]:
    patterns: dict[str, list[str]] = {}
    for exclusion in exclusions:
        patterns.setdefault(exclusion.why, []).append(exclusion.pattern)
    return patterns


def _notes_of(exclusions: Iterable[Exclusion], site: Site) -> Iterator[Note]:
    """Who reads what `init` prints learns of every pattern that it excludes."""
    for why, patterns in _by_why(exclusions).items():
        yield Note(site.url, f"excluded: {', '.join(patterns)} ({why})", "excluded", len(patterns))


def _why_not(verdict: Verdict) -> str:
    """The reason for people who have not kept the page yet: it cannot be "not for everybody any more"."""
    return verdict.reason.removesuffix(" any more")


def toml_of(proposal: Proposal, *, tree_path: str = "", state_path: str = "", is_mounted: bool = False) -> str:
    """The text of a staticify.toml that keeps the proposed pages: every setting, its help, and a value or a sample.

    A path that is empty stands for its default; `is_mounted` says that the tree is mounted with nosymfollow. Raises
    StaticifyError for a path that TOML cannot hold.
    """
    values = _values(proposal, tree_path, state_path)
    if is_mounted:
        values["tree", "links"] = ['links = "mount"']
    tables = {path[:-1] for path in values}
    lines = _comment(f"The key pages of {proposal.site.url}, as `staticify init` found them. {proposal.fit}.")
    header = ""
    for setting in describe():
        if setting.table != header:
            header = setting.table
            lines.extend(("", header if setting.path[:-1] in tables else f"#{header}"))
        lines.extend(("", *_comment(setting.help)))
        lines.extend(values.get(setting.path) or [f"#{setting.name} = {_sample(setting)}"])
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)]


def _values(proposal: Proposal, tree_path: str, state_path: str) -> dict[tuple[str, ...], list[str]]:
    """The lines of every setting that the proposal has a value for."""
    site = proposal.site
    values: dict[tuple[str, ...], list[str]] = {
        ("tree", "path"): _path_lines(tree_path, ("tree", "path")),
        ("state", "path"): _path_lines(state_path, ("state", "path")),
        ("site", "url"): [f"url = {_text(site.url)}"],
        ("site", "origin"): [f"origin = {_list(str(origin) for origin in site.origins)}"],
        ("site", "interval"): [f"interval = {_text(format_duration(site.interval_seconds))}"],
        ("site", "concurrency"): [f"concurrency = {site.concurrency}"],
        ("site", "pages"): ["pages = [", *_page_lines(proposal), "]"],
        ("site", "sitemaps"): list(_sitemap_lines(proposal)),
    }
    if any(urlsplit(origin.base_url).netloc == site.base.netloc for origin in site.origins):
        values["site", "origin"].insert(
            0, "# This is the public address. Once the front end serves the tree there, WordPress needs one of its own."
        )
    if proposal.exclusions:
        values["site", "exclude"] = ["exclude = [", *_exclude_lines(proposal), "]"]
    return values


def _path_lines(path: str, key: tuple[str, ...]) -> list[str]:
    return [f"path = {_text(path) if path else next(setting.default for setting in describe() if setting.path == key)}"]


def _page_lines(proposal: Proposal) -> Iterator[str]:
    """The pages below their reasons, less those that come by the sitemaps anyway."""
    joined = set(proposal.joined)
    for group in proposal.groups:
        is_listed = group.why in {Why.HOME, Why.MENU}
        pages = [page for page in group.pages if is_listed or page not in joined]
        elsewhere = len(group.pages) - len(pages)
        yield f"    # {group.why}" + (f": {elsewhere} by the sitemaps below" if elsewhere else "")
        for page in pages:
            yield f"    {_text(readable_path(page))},"


def _exclude_lines(proposal: Proposal) -> Iterator[str]:
    for why, patterns in _by_why(proposal.exclusions).items():
        for line in _comment(_in_comment(why)):
            yield f"    {line}"
        for pattern in patterns:
            yield f"    {_text(pattern)},"


def _in_comment(text: str) -> str:
    """A reason may quote the site, and TOML's comments hold no control characters."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _sitemap_lines(proposal: Proposal) -> Iterator[str]:
    own = proposal.site_sitemaps
    if proposal.sitemaps == own:
        yield "# New posts join by themselves." if own else "# None was found."
    elif proposal.sitemaps:
        yield "# The main feed: new posts join by themselves, and leave when the feed has them no more."
    yield f"{'' if proposal.sitemaps else '#'}sitemaps = {_list(proposal.sitemaps)}"
    if own and proposal.sitemaps != own:
        yield "# The site's own sitemaps name more than fits into the interval, or could not be read whole:"
        yield f"#sitemaps = {_list(own)}"


_SAMPLES = {
    "webhook.listen": '"http://127.0.0.1:8765"',
    "webhook.proxy_protocol_from": '["192.0.2.1"]',
    "spool.path": '"/var/lib/staticify/spool"',
    "front.listen": '["192.0.2.11:80"]',
    "front.certificate": '"/etc/letsencrypt/live/{host}/fullchain.pem"',
    "front.certificate_key": '"/etc/letsencrypt/live/{host}/privkey.pem"',
    "front.hsts": '"max-age=31536000"',
    "front.proxy_protocol_from": '["192.0.2.1"]',
    "front.edges": '["192.0.2.11:80", "192.0.2.12:80"]',
    "front.cdn_cache_control": '"max-age=60"',
    "front.served_by": '"web1"',
    "front.tracking": '["campaign"]',
    "front.query_variables": '["variant"]',
    "front.bypass_cookies": '["wordpress_logged_in_*"]',
    "balancer.listen": '["192.0.2.1:443"]',
    "balancer.wordpress": '"127.0.0.1:8090"',
    "site.exclude": '["/cart/*", "/checkout/*"]',
    "site.require": '["#colophon", "text:Imprint"]',
    "site.forbid": '["text:Briefly out of order", "form.checkout"]',
    "site.strip": '[".recently-viewed"]',
    "site.ignore": "['<!-- generated in [0-9.]+ s -->']",
    "site.allow_cookies": '["pll_language"]',
    "site.wp_content": '"/var/www/html/wp-content"',
    "site.group.pages": '["/category/*"]',
    "site.group.interval": '"5m"',
    "site.group.require": '[".products li"]',
    "site.group.forbid": '["text:Nothing found"]',
    "site.backend.address": '"http://192.0.2.21:8080"',
    "site.backend.name": '"vm2"',
}
"""For settings whose default does not show how a value is written."""


def _sample(setting: Setting) -> str:
    if setting.name == "secrets":
        # A new one each time: a sample that is the same everywhere would be used as it stands.
        return f'["whsec_{b64encode(token_bytes(32)).decode()}"]'
    return setting.default if setting.default not in {"", "[]"} else _SAMPLES.get(setting.key, '""')


def readable_path(page: Page) -> str:
    """The page's path for people: other scripts as they are, percent-encoded only what would not come back.

    `urls.page_of` reads it back as the same page.
    """

    def readable(match: re.Match[str]) -> str:
        text = unquote(match.group(), errors="strict")
        return "".join(character if character.isprintable() else quote(character) for character in text)

    return re.sub(r"(?:%[89A-F][0-9A-F])+", readable, page.raw_path)


def _text(value: str) -> str:
    """A TOML basic string. JSON's escapes are TOML's too; DEL and invisible characters need some more."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise StaticifyError(f"{value!r} is not UTF-8, and TOML is nothing else") from None
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else f"\\U{ord(character):08X}" for character in quoted)


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _type_of(sitemap: str) -> str:
    """The post type or taxonomy that a sitemap's name speaks of, empty if it speaks of none."""
    name = urlsplit(sitemap).path.rpartition("/")[2].lower()
    for pattern in _SITEMAP_TYPES:
        match = pattern.fullmatch(name)
        if match is not None:
            return next(part for part in match.groups() if part is not None)
    return ""


def _newest(entries: list[Entry]) -> tuple[Page, ...]:
    """The newest posts first. WordPress lists posts by their number, and before version 6.5 without times."""
    by_time = sorted(enumerate(entries), key=lambda item: (item[1].modified_at or 0.0, item[0]), reverse=True)
    return tuple(entry.page for _, entry in by_time[:RECENT_POSTS])


def _together(one: Listing, other: Listing) -> Listing:
    entries = {entry.page: entry for entry in (*other.entries, *one.entries)}
    pages = tuple(dict.fromkeys((*one.pages, *other.pages)))
    return Listing(
        pages=pages,
        notes=tuple(dict.fromkeys((*one.notes, *other.notes))),
        is_complete=one.is_complete and other.is_complete,
        is_cut=one.is_cut or other.is_cut,
        entries=tuple(entries[page] for page in pages),
        sitemaps=tuple(dict.fromkeys((*one.sitemaps, *other.sitemaps))),
    )


def _affordable(render_seconds: float, site: Site) -> int:
    """How many pages can be refreshed in every interval; the home page always can."""
    if render_seconds <= 0:
        return site.max_pages
    return max(1, int(INTERVAL_SHARE * site.interval_seconds * site.concurrency / render_seconds))


def _trimmed(groups: Iterable[Group], room: int) -> tuple[Group, ...]:
    trimmed = []
    for group in groups:
        pages = group.pages[:room]
        room -= len(pages)
        if pages:
            trimmed.append(Group(group.why, pages))
    return tuple(trimmed)


def _pass_seconds(count: int, render_seconds: float, concurrency: int) -> float:
    return count * render_seconds / concurrency


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"
