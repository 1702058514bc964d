"""The journey of a page, from WordPress to the tree."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import aiofiles

from staticify.brake import LOSSES, Brake
from staticify.brief import MAX_CHARACTERS, brief
from staticify.canary import ANOTHER_VISITOR, PERSONAL, named_only_in, personal_difference
from staticify.config import Group, Site
from staticify.doubts import LASTING_SECONDS, Doubts
from staticify.encode import Variants, encode
from staticify.errors import OriginError, OriginPaused, TreeError
from staticify.gate import (
    AWAY,
    BLOCKED,
    FORBIDDEN,
    KIND_CHANGED,
    MOVED,
    NOT_PUBLIC,
    OUTSIDE,
    REDIRECT,
    database_errors,
    decide_head,
    decide_kind,
    kind_of,
    unknown_errors,
)
from staticify.holds import hold, lack_with
from staticify.looks import Lack, lack_of, seen_bytes
from staticify.noise import MAX_NOISE_SECONDS, digest
from staticify.nouns import MAX_KEPT_CUTS, Answer, Cut, Kind, Outcome, Prepared, Record, Result, Verdict
from staticify.origin import OriginClient
from staticify.rules import GateRules, Marker, Rules
from staticify.store import Store
from staticify.tags import parse_label
from staticify.tree import Found, Tree
from staticify.urls import Page, Place
from staticify.workers import Workers

log = logging.getLogger(__name__)

DENSE_AFTER_UNCHANGED = 3
"""Journeys without a change after which a page is worth the densest variants."""
MAX_DENSE_BYTES = 256 * 1024
"""Larger pages keep their fast variants: this much takes a third of a second, and nobody can stop a compressor."""

UNLISTED = "unlisted"
"""The verdict on a page that stands, and that neither the configuration nor a sitemap lists any more."""
# Outcomes of a single answer that may be a passing fault: the page goes when the next journey agrees.
_NEEDS_CONFIRMATION = frozenset({MOVED, NOT_PUBLIC, BLOCKED, "password", "do-not-cache"})
# What WordPress may answer for a page that it does not find because its database refused something.
_LEFT_OUT = LOSSES | {REDIRECT, OUTSIDE}
# What a record says of the page in the tree.
_OF_THE_TREE = (
    "kind",
    "source_digest",
    "output_digest",
    "rules_digest",
    "cuts",
    "cut_count",
    "size_bytes",
    "mtime",
    "is_dense",
)
# Header fields that `explain` shows; the rest is the server's own business, and Set-Cookie nobody's.
_SHOWN_HEADERS = frozenset(
    {
        "cache-control",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "link",
        "location",
        "retry-after",
        "server",
        "transfer-encoding",
        "vary",
        "x-powered-by",
        "x-robots-tag",
    }
)


def rules_of(site: Site, group: Group | None = None) -> Rules:
    """The rules that a site's configuration comes to, for the pages of a group or for all others."""
    require, forbid = (
        (*site.require, *(group.require if group else ())),
        (*site.forbid, *(group.forbid if group else ())),
    )
    gate = GateRules(
        site.base,
        site.max_bytes,
        site.require_html_end,
        site.allow_cookies,
        require=tuple(map(Marker, dict.fromkeys(require))),
        forbid=tuple(map(Marker, dict.fromkeys(forbid))),
    )
    return Rules.of(gate, site.strip, site.ignore)


@dataclass(frozen=True, slots=True)
class _Journey:
    """What a journey knows from its beginning to its end."""

    page: Page
    rules: Rules
    started: float
    """By the wall clock."""
    began_at: float
    """By the monotonic clock: what was taken back since then must not go out."""
    is_told: bool
    """WordPress or an operator says that the page changed."""
    is_meant: bool
    """An operator names the page: what is found is what shall be."""


async def read_standing(tree: Tree, place: Place, kind: Kind) -> bytes:
    """The identity variant that stands at a place. Raises OSError, FileNotFoundError if there is no such page.

    It is opened in the thread that reads it: who is cancelled before that would leave a descriptor open for ever.
    """
    name = tree.path / place.relative
    async with aiofiles.open(name, "rb", opener=lambda *_: tree.open_to_read(place, kind)) as file:
        body: bytes = await file.read()
    return body


class Renderer:
    """Renders the pages of one site. One page must not be rendered twice at once: the queue sees to that."""

    def __init__(
        self,
        site: Site,
        origin: OriginClient,
        tree: Tree,
        store: Store,
        workers: Workers,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        dense_after: int | None = None,
    ) -> None:
        self.site = site
        self._origin = origin
        self._tree = tree
        self._store = store
        self._workers = workers
        self._now = now
        self._doubts = Doubts(monotonic)
        self._dense_after = dense_after
        self._dense_lock = asyncio.Lock()
        self._is_retired = False
        self._rules = {group: rules_of(site, group) for group in (None, *site.groups)}
        self.brake = Brake(site, origin, store, workers, self._rules_for(site.base), self.record_of, self.body_of)

    async def render(self, page: Page, *, is_twice: bool = False) -> Result:
        """One journey: fetch, decide, strip, encode, publish, record. Never raises for what a site can do wrong.

        `is_twice` fetches for another visitor as well, and refuses a page that greets each by name.
        """
        started = self._now()
        before = self._before(page, started)
        is_told, is_meant = self._store.is_told(page.url), self._store.is_meant(page.url)
        rules = self._rules_for(page)
        journey = _Journey(page, rules, started, time.monotonic(), is_told, is_meant)
        try:
            answer = await self._origin.fetch(page.raw_path)
        except OriginError as error:
            return self.conclude(before, started, Verdict(error.name, Outcome.KEPT, str(error)))
        seen = replace(
            before,
            status=answer.status,
            headers=_shown(answer),
            location=_location_of(answer) or before.location,
            tags=parse_label(answer.header("staticify-tags")),
            render_seconds=answer.seconds,
        )

        verdict = decide_head(answer, page, rules.gate)
        errors = () if is_meant or not seen.is_published else unknown_errors(answer, before)
        if (
            errors
            and verdict.name in _LEFT_OUT
            and (held := hold(seen, _lack_of_all(errors, verdict), lambda: "", "removed"))
        ):
            return self.conclude(held[0], started, held[1])
        seen, verdict = self._weighed(journey, seen, verdict)
        if verdict.outcome is Outcome.GONE:
            doubt = "" if is_meant else await self._doubt_of_loss(page, seen, verdict)
            return await self._workers.run(self._let_go, journey, seen, verdict, doubt)
        if not verdict.is_publishable:
            return self.conclude(seen, started, verdict)

        if is_twice or before.personal_at:
            other = await self._for_another_visitor(page, rules)
            named = await self._workers.run_parsing(self._personal, answer, other, rules)
            if named is None and before.personal_at:
                return self.conclude(seen, started, Verdict(PERSONAL, Outcome.KEPT, _UNCERTAIN))
            if named:
                bodies = (answer.body, other.body if other is not None else b"")
                return await self._workers.run(self._refuse_personal, journey, seen, named, bodies)
            if named is not None:
                seen = replace(seen, personal_at=0.0)

        source_digest = digest(answer.body)
        if source_digest == before.source_digest and self._is_in_place(page, before, kind_of(answer)):
            seen = replace(seen, database_errors=_known_errors(answer, before))
            result = self.conclude(seen, started, UNCHANGED)
            await self._make_dense(page, result.record, journey.began_at)
            return result
        return await self._workers.run_parsing(self._replace, journey, seen, answer, source_digest)

    def _weighed(self, journey: _Journey, seen: Record, verdict: Verdict) -> tuple[Record, Verdict]:
        """Since when a page is in doubt, and what its answer comes to: for how long it was so may matter."""
        page, started = journey.page, journey.started
        if verdict.name == BLOCKED:
            was_blocked = seen.verdict == BLOCKED
            doubted_at = self._doubts.count_block(page.url, seen.doubted_at, started, was_so=was_blocked)
            return replace(seen, doubted_at=doubted_at), verdict
        if verdict.name in AWAY and (journey.is_meant or page != self.site.base):
            was_away = seen.verdict in AWAY
            is_lasting = self._doubts.count_away(page.url, seen.doubted_at, started, was_so=was_away)
            return _away(seen, started, verdict, is_told=journey.is_told, is_lasting=is_lasting)
        return seen, verdict

    async def _doubt_of_loss(self, page: Page, seen: Record, verdict: Verdict) -> str:
        """Why a page stays that goes without an operator's word; empty if it may go."""
        if not seen.is_published or _is_unconfirmed(seen, verdict):
            return ""
        since = time.monotonic()
        if verdict.name in LOSSES | AWAY:
            return await self.brake.doubt_of_loss(page, since, verdict.name)
        if verdict.name == BLOCKED and not self._doubts.is_lasting(page.url):
            doubt = await self.brake.doubt_of_loss(page, since, BLOCKED)
            return doubt and f"{doubt}; for {_DOUBT_HOURS} at most"
        return ""

    def _rules_for(self, page: Page) -> Rules:
        return self._rules[self.site.group_of(page)]

    async def _for_another_visitor(self, page: Page, rules: Rules) -> Answer | None:
        """The same page as somebody else gets it, or None if that cannot be had."""
        try:
            other = await self._origin.fetch(page.raw_path, visitor=ANOTHER_VISITOR)
        except OriginError:
            return None
        return other if decide_head(other, page, rules.gate).is_publishable else None

    def _personal(self, answer: Answer, other: Answer | None, rules: Rules) -> str | None:
        """Whom one of two answers would name, if both went out, and the other not. None if not both may. Blocks."""
        if other is None:
            return None
        one, two = (self._workers.parsers.prepare(each, rules) for each in (answer, other))
        if not (one.verdict.is_publishable and two.verdict.is_publishable):
            return None
        return "" if one.body == two.body else personal_difference(*map(rules.noise.blank, (one.body, two.body)))

    def _refuse_personal(self, journey: _Journey, seen: Record, named: str, bodies: tuple[bytes, bytes]) -> Result:
        """Refuse it. What stands in the tree goes when a second pair agrees, if it names somebody too. Blocks."""
        page, started = journey.page, journey.started
        reason = (
            f"two anonymous fetches differ in whom they name, {named!r}: a plugin or a cache in WordPress mixes "
            "visitors up; if it is nobody, let `ignore` leave it out of comparisons"
        )
        blank = journey.rules.noise.blank
        standing = blank(self.body_of(page))
        # What stands there may be one of the two.
        if seen.personal_at and any(named_only_in(standing, blank(body)) for body in bodies):
            return self.remove(page, seen, started, Verdict(PERSONAL, Outcome.GONE, reason))
        return self.conclude(replace(seen, personal_at=started), started, Verdict(PERSONAL, Outcome.REFUSED, reason))

    def make_no_more_dense(self) -> None:
        """Begin no more dense variants: a daemon that is told to stop would wait for them."""
        self._dense_after = None

    def retire(self) -> None:
        """Publish and record nothing any more: another renderer has the site from now on.

        Who waits in a thread, for a parser, cannot be stopped; what it would write is from before.
        """
        self._is_retired = True

    def overtake(self, page: Page) -> None:
        """Whatever was fetched before this moment must not be published any more."""
        self._store.overtake(page.url)

    def is_current(self, page: Page, record: Record) -> bool:
        """True if the tree holds what the record says, let out by today's rules."""
        return self._is_in_place(page, record, record.kind)

    def _before(self, page: Page, started: float) -> Record:
        """What is known of the page; it may have been another site's until now."""
        record = self.record_of(page) or Record(page.url, self.site.url, first_seen_at=started)
        return record if record.site == self.site.url else replace(record, site=self.site.url)

    def is_published(self, page: Page) -> bool:
        """True if the store knows that the tree has the page."""
        record = self._store.get(page.url)
        return record is not None and record.is_published

    def record_of(self, page: Page) -> Record | None:
        """What is known of a page. What the tree has and the store has not is adopted: the tree is right. Blocks."""
        if not self.is_published(page):
            try:
                found = self._tree.find(page.place)
            except OSError as error:
                found = None  # A fault of the disk is no reason to lose a journey, or what the journal says.
                log.warning("the tree cannot be looked into", extra={"url": page.url, "reason": str(error)})
            if found is not None:
                self.adopt(page, found)
        return self._store.get(page.url)

    def _replace(self, journey: _Journey, before: Record, answer: Answer, source_digest: str) -> Result:
        """The second half of the journey: other bytes than those of the last good page. Blocks."""
        page, started, rules = journey.page, journey.started, journey.rules
        prepared = self._workers.parsers.prepare(answer, rules)
        if prepared.verdict.name == FORBIDDEN and self._has_forbidden(page, before.kind, rules):
            return self.remove(page, before, started, replace(prepared.verdict, outcome=Outcome.GONE))
        if prepared.verdict.outcome is Outcome.GONE:
            return self._let_go(journey, before, prepared.verdict)
        if not prepared.verdict.is_publishable:
            return self.conclude(before, started, prepared.verdict)
        kind = kind_of(answer) or Kind.HTML
        try:
            in_place = self._tree.find(page.place)
        except OSError as error:
            # It could not be compared with what stands there, nor take its place.
            fault = TreeError.of(error, f"cannot look into {self._tree.path / page.place.relative}")
            return self.conclude(before, started, Verdict("tree-error", Outcome.KEPT, str(fault)))
        doubt = decide_kind(kind, in_place.kind) if in_place is not None else None
        if doubt is not None and before.verdict != KIND_CHANGED:
            reason = f"{doubt.reason}; published if the next fetch agrees"
            return self.conclude(before, started, replace(doubt, reason=reason))
        standing = self._standing(page, before, in_place, kind, prepared, started)
        errors = unknown_errors(answer, before) if standing is None else ()
        doubted = errors if in_place is not None and not journey.is_meant else ()
        lack = None if journey.is_told and not doubted else self._lack(page, in_place, kind, prepared)
        if doubted:
            lack = lack_with(doubted, seen_bytes(prepared.body), lack)
        if lack is not None and (held := hold(before, lack, lambda: self.brake.doubt_of_shrink(page))):
            return self.conclude(held[0], started, held[1])
        if errors:
            log.warning(_MEETS_ERRORS, extra={"url": page.url, "reason": errors[0]})
        found = replace(
            before,
            held_for="",
            held_bytes=0,
            held_count=0,
            kind=kind,
            source_digest=source_digest,
            output_digest=prepared.output_digest,
            rules_digest=rules.digest,
            cuts=tuple(map(_kept, prepared.cuts[:MAX_KEPT_CUTS])),
            cut_count=len(prepared.cuts),
        )
        if standing is None:
            return self._publish(journey, before, replace(found, database_errors=database_errors(answer)), prepared)
        in_tree, is_same = standing
        # Where only noise differs the tree was not made of these bytes: were they remembered as its source, the
        # short way would find them unchanged for ever, and the noise in the tree would never be replaced.
        found = replace(
            found,
            database_errors=_known_errors(answer, before),
            source_digest=source_digest if is_same else before.source_digest,
            mtime=in_tree.mtime,
            size_bytes=in_tree.size_bytes,
            changed_at=before.changed_at or in_tree.mtime,
        )
        return self.conclude(found, started, UNCHANGED)

    def _publish(self, journey: _Journey, before: Record, found: Record, prepared: Prepared) -> Result:
        """Write a page, unless it was taken back since it was fetched. Blocks."""
        page, started = journey.page, journey.started
        variants = encode(prepared.body)
        if self._is_retired:
            return self.conclude(before, started, _RETIRED)
        if self._store.is_overtaken(page.url, journey.began_at):
            return self.remove(page, before, started, _OVERTAKEN)
        fault, mtime = None, 0
        try:
            mtime = self._tree.publish(page.place, found.kind or Kind.HTML, variants)
        except TreeError as error:
            fault = Verdict("tree-error", Outcome.KEPT, str(error))
        # Once more: it may have been taken back, and taken out, between that look and the publishing; and it may stand
        # there although its publishing failed at the last step.
        if self._store.is_overtaken(page.url, journey.began_at):
            return self.remove(page, before, started, _OVERTAKEN)
        if fault is not None:
            return self.conclude(before, started, fault)
        published = replace(
            found, mtime=mtime, size_bytes=len(prepared.body), changed_at=started, is_dense=False, unchanged_count=0
        )
        return self.conclude(published, started, prepared.verdict)

    def _has_forbidden(self, page: Page, kind: Kind | None, rules: Rules) -> bool:
        """True if the page in the tree has what must never go out; it may have been published before that was said."""
        body = self.body_of(page)
        return bool(body) and self._prepare_standing(body, kind, rules).verdict.name == FORBIDDEN

    def _prepare_standing(self, body: bytes, kind: Kind | None, rules: Rules) -> Prepared:
        """What today's rules make of a page in the tree. Blocks."""
        content_type = "text/html" if kind is Kind.HTML else "text/plain"
        return self._workers.parsers.prepare(Answer(200, (("content-type", content_type),), body), rules)

    def _lack(self, page: Page, in_place: Found | None, kind: Kind, prepared: Prepared) -> Lack | None:
        """What an answer lacks of the last good page's text, or of what it must have. Blocks."""
        # A home page that led to a language until now is compared with that one.
        other, _ = self.brake.find_home() if page == self.site.base else (page, None)
        standing = self.body_of(other) if in_place is None or in_place.kind is kind else b""
        if prepared.missing and standing:
            # What the page in the tree has not either is no loss.
            never = self._prepare_standing(standing, kind, self._rules_for(page)).missing
            prepared = replace(prepared, missing=tuple(one for one in prepared.missing if one not in never))
        return lack_of(prepared, standing)

    def _is_in_place(self, page: Page, record: Record, kind: Kind | None) -> bool:
        """True if the tree still holds what the record says, let out by today's rules."""
        return (
            record.is_published
            and record.kind is not None
            and record.kind is kind
            and record.rules_digest == self._rules_for(page).digest
            and self._tree.is_holding(page.place, record.kind, record.mtime, record.size_bytes)
        )

    def _standing(
        self, page: Page, before: Record, found: Found | None, kind: Kind, prepared: Prepared, now: float
    ) -> tuple[Found, bool] | None:
        """What stands in the tree, if the prepared page differs from it in noise at most, and whether in nothing."""
        if (
            found is None
            or found.kind is not kind
            or not self._tree.is_holding(page.place, kind, found.mtime, found.size_bytes)
        ):
            return None
        try:
            # The tree's own bytes are asked, whatever the record says: the tree is the truth.
            body = self._tree.read(page.place, kind)
        except OSError:
            return None
        if body == prepared.body:
            return found, True
        is_noise = self._rules_for(page).noise.digest(body) == prepared.output_digest
        # Not by the mtime alone, which stays ahead when a clock that was ahead has been put right.
        is_recent = abs(now - (before.changed_at or found.mtime)) < MAX_NOISE_SECONDS
        return (found, False) if is_noise and is_recent else None

    def _let_go(self, journey: _Journey, seen: Record, verdict: Verdict, doubt: str = "") -> Result:
        """The site does not have the page any more, or not for everybody. Doubtful signs must be seen twice. Blocks.

        Two different signs agree as well as two of a kind, and an error between them takes nothing back. `doubt` is why
        the page stays for all that.
        """
        page, started = journey.page, journey.started
        if _is_unconfirmed(seen, verdict):
            kept = Verdict(verdict.name, Outcome.KEPT, f"{verdict.reason}; removed if the next fetch agrees")
            return self.conclude(replace(seen, doubted_at=started), started, kept)
        if doubt:
            reason = f"{verdict.reason}; kept, because {doubt} (`staticify purge` says that it is meant)"
            return self.conclude(seen, started, Verdict(verdict.name, Outcome.KEPT, reason))
        # What went because it is not for everybody stays in doubt until it is, or somebody says that it shall be so.
        is_closed = verdict.name in {NOT_PUBLIC, BLOCKED} or not seen.is_published
        doubted_at = seen.doubted_at if is_closed and not journey.is_meant else 0.0
        return self.remove(page, seen, started, verdict, doubted_at=doubted_at)

    def remove(
        self, page: Page, before: Record, started: float, verdict: Verdict, *, doubted_at: float = 0.0
    ) -> Result:
        """Take the page out of the tree and record why. Blocks."""
        if self._is_retired and verdict is not _OVERTAKEN:
            return self.conclude(before, started, _RETIRED)
        try:
            self._tree.remove(page.place)
        except TreeError as error:
            return self.conclude(before, started, Verdict("tree-error", Outcome.KEPT, str(error)))
        gone = replace(
            before,
            source_digest="",
            output_digest="",
            cuts=(),
            cut_count=0,
            size_bytes=0,
            mtime=0,
            is_dense=False,
            changed_at=started if before.is_published else before.changed_at,
            doubted_at=doubted_at,
            database_errors=(),
        )
        return self.conclude(gone, started, verdict)

    def body_of(self, page: Page) -> bytes:
        """The identity bytes in the tree; empty if there are none. Blocks."""
        record = self._store.get(page.url)
        if record is None or record.kind is None or not record.is_published:
            return b""
        try:
            return self._tree.read(page.place, record.kind)
        except OSError:
            return b""

    def adopt(self, page: Page, found: Found) -> None:
        """Make a record of a page that stands in the tree. Its age is not known, so that it counts as stale. Blocks."""
        try:
            body = self._tree.read(page.place, found.kind)
        except OSError as error:
            log.warning("a page in the tree cannot be read", extra={"url": page.url, "reason": str(error)})
            return
        self._store.put(
            Record(
                page.url,
                self.site.url,
                kind=found.kind,
                output_digest=self._rules_for(page).noise.digest(body),
                size_bytes=found.size_bytes,
                mtime=found.mtime,
                first_seen_at=found.mtime,
                changed_at=found.mtime,
            )
        )

    def fail(self, page: Page, error: Exception) -> Result:
        """Record a journey that ended in a defect of staticify itself. The last good page stays."""
        started = self._now()
        before = self._before(page, started)
        reason = f"staticify failed on this page, please report it: {type(error).__name__}: {error}"
        return self.conclude(before, started, Verdict("internal-error", Outcome.KEPT, reason))

    def conclude(self, record: Record, started: float, verdict: Verdict) -> Result:
        """Record what was decided."""
        verdict = replace(verdict, reason=brief(verdict.reason))
        is_good = verdict.outcome.is_good
        is_right = is_good or verdict.outcome is Outcome.GONE
        now = self._store.get(record.url)
        record = replace(
            record,
            # What is left alone was not fetched.
            checked_at=record.checked_at if verdict.name == OriginPaused.name else started,
            verified_at=started if is_right else self._store.right_at(now or record),
            outcome=verdict.outcome,
            verdict=verdict.name,
            reason=verdict.reason,
            # What is listed no more answers well.
            failures=0 if is_right or verdict.name == UNLISTED else record.failures + 1,
            doubted_at=0.0 if is_good else record.doubted_at,
            location="" if is_good else record.location,
            held_for="" if is_good else record.held_for,
            held_bytes=0 if is_good else record.held_bytes,
            held_count=0 if is_good else record.held_count,
            unchanged_count=record.unchanged_count + 1 if verdict.outcome is Outcome.UNCHANGED else 0,
            # The list may have been read while the page was fetched.
            unlisted_at=record.unlisted_at if now is None else now.unlisted_at,
        )
        if now is not None and verdict.outcome in {Outcome.KEPT, Outcome.REFUSED}:
            # The tree was left as it is, and it may have been taken out, or made dense, while the page was fetched.
            record = replace(record, **{name: getattr(now, name) for name in _OF_THE_TREE})
        if record.url == self.site.base.url and verdict.outcome is not Outcome.KEPT:
            self.brake.forget_home()
        # For how long is asked of what stands alone.
        self._doubts.note(record.url, record.doubted_at if record.is_published else 0.0, started)
        if not self._is_retired:
            self._store.put(record)
        return Result(record.url, verdict.outcome, verdict.name, verdict.reason, self._now() - started, record)

    async def _make_dense(self, page: Page, record: Record, began_at: float) -> None:
        """Give a stable page its densest variants, one page at a time; the identity bytes and mtime stay."""
        if self._dense_after is None or record.is_dense or record.unchanged_count < self._dense_after:
            return
        if self._dense_lock.locked() or record.kind is None or record.size_bytes > MAX_DENSE_BYTES:
            return
        async with self._dense_lock:
            try:
                body = await read_standing(self._tree, page.place, record.kind)
                if len(body) != record.size_bytes or self._rules_for(page).noise.digest(body) != record.output_digest:
                    log.warning("another hand was on a page in the tree", extra={"url": page.url})
                    # The next journey must not find it unchanged: it looks at the tree, and mends it.
                    if self._store.get(page.url) == record and not self._is_retired:
                        self._store.put(replace(record, source_digest=""))
                    return
                variants = await self._workers.run_in_background(encode, body, is_dense=True)
                await self._workers.run(self._publish_dense, page, record, variants, began_at)
            except (TreeError, OSError) as error:
                log.warning("dense variants not written", extra={"url": page.url, "reason": str(error)})

    def _publish_dense(self, page: Page, record: Record, variants: Variants, began_at: float) -> None:
        """Put them in place of those that are there, unless the page was taken back meanwhile. Blocks."""
        if self._is_retired or record.kind is None or self._store.is_overtaken(page.url, began_at):
            return
        self._tree.publish(page.place, record.kind, variants, mtime=record.mtime)
        if self._store.is_overtaken(page.url, began_at):
            self._tree.remove(page.place)
            return
        now = self._store.get(page.url)
        if now is not None and now.mtime == record.mtime:
            self._store.put(replace(now, is_dense=True))


def _known_errors(answer: Answer, before: Record) -> tuple[str, ...]:
    """Those of the database that are the page's own, of an answer that says what the tree says.

    One that leaves nothing out now may do so when a cache of WordPress's forgets: it is not its own yet.
    """
    met = database_errors(answer)
    return tuple(error for error in before.database_errors if error in met)


def _lack_of_all(errors: tuple[str, ...], verdict: Verdict) -> Lack:
    """What an answer lacks that is no page."""
    return lack_with(errors, 0, Lack(verdict.name, verdict.reason, 0))


def _is_unconfirmed(seen: Record, verdict: Verdict) -> bool:
    """True if the page stands, and the sign that it should not may be a passing fault."""
    return verdict.name in _NEEDS_CONFIRMATION and not seen.doubted_at and seen.is_published


def _away(seen: Record, started: float, verdict: Verdict, *, is_told: bool, is_lasting: bool) -> tuple[Record, Verdict]:
    """What such an answer says of a page that stands: it stays, until it was so for long or somebody means it."""
    if not seen.is_published:
        return seen, verdict
    if (seen.doubted_at and is_told) or is_lasting:
        return seen, replace(verdict, outcome=Outcome.GONE)
    until = "if the next fetch agrees" if is_told else f"if that lasts {_DOUBT_HOURS}"
    stays = replace(verdict, reason=f"{verdict.reason}; removed {until}")
    return replace(seen, doubted_at=seen.doubted_at or started), stays


_DOUBT_HOURS = f"{LASTING_SECONDS / 3600:.0f} h"
_MEETS_ERRORS = (
    "WordPress's database refuses something in this page: it is fetched each interval, whatever the journal says"
)
_UNCERTAIN = "it greeted each of two visitors by another name, and it cannot be fetched for a second one just now"
_OVERTAKEN = Verdict("revoked", Outcome.GONE, "WordPress took the page back while it was fetched")
_RETIRED = Verdict("overtaken", Outcome.KEPT, "the configuration was read anew meanwhile")
UNCHANGED = Verdict("ok", Outcome.UNCHANGED, "the origin says what the tree says")


def _shown(answer: Answer) -> Mapping[str, str]:
    return {name: value[:MAX_CHARACTERS] for name, value in answer.headers if name in _SHOWN_HEADERS}


def _location_of(answer: Answer) -> str:
    """Where a redirect points to; a field of that name in any other answer is none."""
    values = answer.header_values("location") if 300 <= answer.status < 400 else []
    return brief(values[0]) if values else ""


def _kept(cut: Cut) -> Cut:
    """A cut as it is remembered: the same few rules cut thousands of pages."""
    return replace(cut, rule=sys.intern(brief(cut.rule)))
