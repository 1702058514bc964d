"""Do tree and origin agree? Fetches anew and compares, and writes nothing: it may run beside the daemon."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from staticify.canary import ANOTHER_VISITOR, ONE_VISITOR, differences, personal_difference
from staticify.config import Config, Site
from staticify.errors import OriginError
from staticify.gate import decide_head, kind_of
from staticify.listing import list_pages, page_at, sites_inside
from staticify.nouns import Answer, Outcome, Prepared
from staticify.origin import OriginClient
from staticify.queue import Queue
from staticify.render import read_standing, rules_of
from staticify.rules import Rules
from staticify.tree import Tree
from staticify.urls import Page
from staticify.workers import Workers

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Difference:
    """A page on which tree and origin do not agree, or nobody knows: a word to count by, and a sentence."""

    url: str
    name: str
    reason: str
    is_compared: bool = True
    """False if one of them could not be read, or the origin says no more than that it fails."""


@dataclass(frozen=True, slots=True)
class Twice:
    """A page as two visitors get it."""

    fault: str = ""
    """Why there are no two pages to compare."""
    named: str = ""
    """Whom one of them names and the other does not."""
    differences: tuple[str, ...] = ()
    """What stands in only one of them, once what is stripped and what is noise are left out."""

    @property
    def is_good(self) -> bool:
        """True if it is everybody's page."""
        return not self.fault and not self.named


async def fetch_twice(site: Site, page: Page) -> Twice:
    """Fetch a page for two visitors, at two addresses of the network, and compare what would go out."""
    rules = rules_of(site, site.group_of(page))
    origin, workers = OriginClient(site), Workers()
    try:
        answers = [await origin.fetch(page.raw_path, visitor=visitor) for visitor in (ONE_VISITOR, ANOTHER_VISITOR)]
        bodies = []
        for answer in answers:
            prepared = await _prepared(answer, page, rules, workers)
            if not prepared.verdict.is_publishable:
                return Twice(fault=f"{prepared.verdict.name}: {prepared.verdict.reason}")
            bodies.append(rules.noise.blank(prepared.body))
    except OriginError as error:
        return Twice(fault=f"{error.name}: {error}")
    finally:
        workers.close()
        await origin.aclose()
    one, other = bodies
    return Twice(named=personal_difference(one, other), differences=tuple(differences(one, other)))


async def verify(
    config: Config,
    pages: dict[Site, list[Page]] | None,
    *,
    on_list: Callable[[int], None],
    on_page: Callable[[Difference | None], None],
) -> list[Difference]:
    """Compare the pages given, or all. Pages that agree are not in the list; sitemaps that cannot be read are.

    `on_page` hears of each page, and what was found.
    """
    workers = Workers()
    tree = Tree(config.tree_path)
    try:
        found = await asyncio.gather(
            *(
                _verify_site(config, site, pages[site] if pages is not None else None, tree, workers, on_list, on_page)
                for site in (pages if pages is not None else config.sites)
            )
        )
    finally:
        workers.close()
    return sorted((difference for differences in found for difference in differences), key=lambda one: one.url)


async def _verify_site(
    config: Config,
    site: Site,
    pages: list[Page] | None,
    tree: Tree,
    workers: Workers,
    on_list: Callable[[int], None],
    on_page: Callable[[Difference | None], None],
) -> list[Difference]:
    found = []
    origin = OriginClient(site)

    is_named = pages is not None

    async def compare(page: Page) -> None:
        try:
            difference = await _compare(page, origin, tree, rules_of(site, site.group_of(page)), workers)
            if difference is None and is_named and tree.find(page.place) is None:
                difference = Difference(page.url, "nowhere", "neither the tree nor the origin has this page")
        except OSError as error:
            difference = _not_compared(page.url, "tree-error", f"the tree cannot be read: {error}")
        except Exception as error:
            # A page that nobody could compare must not count as one that agrees.
            log.exception("a comparison failed", extra={"url": page.url})
            reason = f"staticify failed on this page, please report it: {type(error).__name__}: {error}"
            difference = _not_compared(page.url, "internal-error", reason)
        if difference is not None:
            found.append(difference)
        on_page(difference)

    try:
        if pages is None:
            listing = await list_pages(origin, site, sites_inside(config, site))
            pages = list(listing.pages)
            found.extend(_not_compared(note.where, note.name, note.message) for note in listing.notes if note.is_loss)
            if listing.is_complete:
                found.extend(_unlisted(config, site, tree, pages))
        on_list(len(pages))
        queue = Queue(compare, site.concurrency)
        for page in pages:
            queue.schedule(page)
        queue.finish()
        await queue.run()
    finally:
        await origin.aclose()
    return found


async def _prepared(answer: Answer, page: Page, rules: Rules, workers: Workers) -> Prepared:
    """What an answer would come to, if it were a journey's."""
    verdict = decide_head(answer, page, rules.gate)
    if not verdict.is_publishable:
        return Prepared(verdict)
    return await workers.run_parsing(workers.parsers.prepare, answer, rules)


async def _compare(page: Page, origin: OriginClient, tree: Tree, rules: Rules, workers: Workers) -> Difference | None:
    try:
        answer = await origin.fetch(page.raw_path)
    except OriginError as error:
        return _not_compared(page.url, error.name, str(error))
    standing = tree.find(page.place)
    prepared = await _prepared(answer, page, rules, workers)
    verdict = prepared.verdict
    if not verdict.is_publishable:
        if verdict.outcome is Outcome.GONE and standing is None:
            return None
        if verdict.outcome is Outcome.KEPT and answer.status >= 400:
            return _not_compared(page.url, verdict.name, verdict.reason)
        return Difference(page.url, verdict.name, verdict.reason)
    if standing is None:
        return Difference(page.url, "absent", "the origin has this page, the tree does not")
    if standing.kind is not kind_of(answer):
        return Difference(page.url, "kind", f"the tree has it as {standing.kind}, the origin as {kind_of(answer)}")
    body = await read_standing(tree, page.place, standing.kind)
    if rules.noise.digest(body) != prepared.output_digest:
        return Difference(page.url, "differs", "the origin says something else than the tree")
    return None


def _not_compared(url: str, name: str, reason: str) -> Difference:
    return Difference(url, name, reason, is_compared=False)


def _unlisted(config: Config, site: Site, tree: Tree, pages: list[Page]) -> list[Difference]:
    listed = {page.place for page in pages}
    return [
        Difference(page.url, "unlisted", "in the tree, but nobody refreshes it")
        for found in tree.scan()
        if found.place not in listed and (page := page_at(config, found.place)) and config.site_of(page) is site
    ]
