"""Tags: labels that say what a page was made of, and which pages a change of it concerns (deploy/wordpress)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable

from staticify.urls import Page

SITE = "site"
"""In a change: every page of the site."""
ANY = "*"
"""On a page: every change."""
COMMENT_FAMILIES = frozenset({"comments", "count"})
"""Tags of changes that come from visitors, many at a time."""
MAX_LABEL_BYTES = 8192
MAX_TAG_LENGTH = 200

_TAG = re.compile(rf"[!-~]{{1,{MAX_TAG_LENGTH}}}")


def parse_label(text: str) -> tuple[str, ...]:
    """The tags of a Staticify-Tags header field; none if there are none. What is no tag makes the page concern ANY."""
    if len(text) > MAX_LABEL_BYTES:
        return (ANY,)
    tags = tuple(dict.fromkeys(text.replace(",", " ").split()))
    return tags if all(map(is_tag, tags)) else (ANY,)


def is_tag(text: str) -> bool:
    """True for printable ASCII without white space, of bounded length."""
    return _TAG.fullmatch(text) is not None


def family(tag: str) -> str:
    """`post` of `post:12`."""
    return tag.partition(":")[0]


def is_from_visitors(tags: Collection[str]) -> bool:
    """True if a change is about comments alone."""
    return bool(tags) and all(family(tag) in COMMENT_FAMILIES for tag in tags)


def is_concerned(label: Collection[str], tags: Iterable[str]) -> bool:
    """True if a change with these tags concerns a page with this label."""
    return any(tag in {SITE, ANY} or not _answers_to(tag).isdisjoint(label) for tag in tags)


def _answers_to(tag: str) -> set[str]:
    """What a label may hold that a change with this tag concerns."""
    return {tag, f"{family(tag)}:*", ANY}


class TagIndex:
    """Which pages carry a tag."""

    def __init__(self) -> None:
        self._pages: defaultdict[str, set[Page]] = defaultdict(set)
        self._tags: dict[Page, tuple[str, ...]] = {}

    def put(self, page: Page, tags: tuple[str, ...]) -> None:
        """Remember the label of a page, in place of the one before."""
        if self._tags.get(page) == tags:
            return
        self.drop(page)
        self._tags[page] = tags
        for tag in tags:
            self._pages[tag].add(page)

    def drop(self, page: Page) -> None:
        """Forget a page."""
        for tag in self._tags.pop(page, ()):
            pages = self._pages[tag]
            pages.discard(page)
            if not pages:
                del self._pages[tag]

    def pages_of(self, tags: Iterable[str]) -> set[Page]:
        """The pages that a change with these tags concerns."""
        found: set[Page] = set()
        for tag in tags:
            if tag in {SITE, ANY}:
                return set(self._tags)
            for name in _answers_to(tag):
                found |= self._pages.get(name, set())
        return found
