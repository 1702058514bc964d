"""The things staticify speaks about, as values. Nothing here does any I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a page is made of. The value is its extension in the tree: it decides the Content-Type at the front."""

    HTML = "html"
    RSS = "rss"
    ATOM = "atom"
    XML = "xml"
    JSON = "json"
    TEXT = "txt"


class Mode(StrEnum):
    """How staticify learns what changed on a site."""

    BLIND = "blind"
    """By fetching every page each interval."""
    JOURNAL = "journal"
    """By asking WordPress's journal each interval."""


@dataclass(frozen=True, slots=True)
class SiteState:
    """What the store knows of a site, beside its pages."""

    url: str
    mode: Mode = Mode.BLIND
    reason: str = ""
    """Why the site is in blind mode, if it has a secret for the other."""
    journal: str = ""
    """The incarnation of the journal that was read last; empty if none was."""
    since: int = 0
    """Every row of it up to here is dealt with."""
    since_time: int = 0
    """When that row was written; 0 if that is not known."""
    polled_at: float = 0.0
    """Start of the last round that the journal answered, seconds since the epoch."""
    missed: int = 0
    """Changes that the sweep found and no row had named."""


@dataclass(frozen=True, slots=True)
class OriginState:
    """How a site's WordPress bears what staticify asks of it."""

    limit: int
    """How many fetches may be under way just now."""
    most: int
    """The same at best: `concurrency`."""
    failures: int = 0
    """In a row, whatever the page."""
    paused_until: float = 0.0
    """When something is asked again, seconds since the epoch; 0 if nothing keeps it."""
    reason: str = ""
    """Why it is paused."""
    unreachable: tuple[str, ...] = ()
    """Addresses that are asked last, because they were of no use a short while ago."""


class Outcome(StrEnum):
    """What one journey did to the tree."""

    PUBLISHED = "published"
    """New bytes stand in the tree, in every variant."""
    UNCHANGED = "unchanged"
    """The origin says what the tree says; nothing was touched."""
    KEPT = "kept"
    """No usable answer; the last good page, if there is one, stays."""
    REFUSED = "refused"
    """An answer that may not be published; the last good page, if there is one, stays."""
    GONE = "gone"
    """The page is not in the tree any more: the site does not have it, or not for everybody."""

    @property
    def is_good(self) -> bool:
        """True if the tree now holds what the origin says."""
        return self in {Outcome.PUBLISHED, Outcome.UNCHANGED}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision about one answer. `name` is a fixed word to count by, `reason` a sentence for people."""

    name: str
    outcome: Outcome
    reason: str

    @property
    def is_publishable(self) -> bool:
        """True if the answer may go out."""
        return self.outcome is Outcome.PUBLISHED


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer of the origin, its content coding undone."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Field names in lower case, in the order received; repeated fields are repeated."""
    body: bytes
    is_framed: bool = True
    """False if only the closing of the connection ended the body (RFC 9112 section 6.3, case 8)."""
    origin: str = ""
    seconds: float = 0.0

    def header(self, name: str) -> str:
        """All values of a field joined by commas (RFC 9110 section 5.2); empty if absent."""
        return ", ".join(value for key, value in self.headers if key == name)

    def header_values(self, name: str) -> list[str]:
        """Each line of a field by itself, for those that cannot be joined (Set-Cookie)."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True)
class Cut:
    """One range of the origin's bytes that was left out, and the rule that wanted it."""

    start: int
    end: int
    rule: str


MAX_KEPT_CUTS = 50
"""With the record of a page: all of 10,000 on each of 2,000 pages would be 4 GB."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an answer comes to before it reaches the tree: the verdict, and if it is good what may go out."""

    verdict: Verdict
    body: bytes = b""
    cuts: tuple[Cut, ...] = ()
    output_digest: str = ""
    missing: tuple[str, ...] = ()
    """What the page should have and has not."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the store knows of a page. Times are seconds since the epoch; 0 means never."""

    url: str
    site: str
    kind: Kind | None = None
    source_digest: str = ""
    """Digest of the origin's bytes that the tree's page was made of; empty if unknown."""
    output_digest: str = ""
    """Digest of the identity bytes in the tree; empty if the page is not in the tree."""
    rules_digest: str = ""
    """Digest of the gate and strip rules that let it out: other rules, another look."""
    size_bytes: int = 0
    mtime: int = 0
    """Of the files in the tree, whole seconds."""
    first_seen_at: float = 0.0
    checked_at: float = 0.0
    """Start of the last fetch, however it ended."""
    verified_at: float = 0.0
    """When the tree was last known to agree with WordPress: the start of a fetch, or of the journal's last answer that
    came before the row that named the page. The age of a page counts from here."""
    changed_at: float = 0.0
    render_seconds: float = 0.0
    outcome: Outcome | None = None
    verdict: str = ""
    reason: str = ""
    failures: int = 0
    """Journeys in a row that did not tell what the tree should hold."""
    doubted_at: float = 0.0
    """When an answer first said that the page may not be public any more; 0 since the last good one. It stays when the
    page went for that, and nobody had said so."""
    held_for: str = ""
    """Why an answer is held back that could go out (a verdict); empty if none is."""
    held_bytes: int = 0
    """How much visible text it has; -1 if it may lack nothing, and that does not matter."""
    held_count: int = 0
    """How many fetches in a row agreed on it."""
    database_errors: tuple[str, ...] = ()
    """Those that WordPress met while it made what stands; an answer that meets another is doubted."""
    personal_at: float = 0.0
    """When two fetches last differed in whom they name; 0 once two that were both good did not."""
    unlisted_at: float = 0.0
    """When a whole list first lacked the page; 0 while it is listed."""
    unchanged_count: int = 0
    """Journeys in a row that found nothing new; a stable page may get denser variants."""
    is_dense: bool = False
    tags: tuple[str, ...] = ()
    """What WordPress says that the page was made of; empty if it says nothing."""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    cuts: tuple[Cut, ...] = ()
    """The first MAX_KEPT_CUTS of them."""
    cut_count: int = 0
    """How many there are."""
    location: str = ""
    """Where the page last redirected to; empty once it was there itself."""

    @property
    def is_published(self) -> bool:
        """True if the tree holds this page."""
        return bool(self.output_digest)


@dataclass(frozen=True, slots=True)
class Result:
    """One journey: what was decided, what it did, and the record it left."""

    url: str
    outcome: Outcome
    verdict: str
    reason: str
    seconds: float
    record: Record
