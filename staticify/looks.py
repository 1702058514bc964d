"""What a reader sees of a page: how much text it is, and whether a later answer lost most of it.

By bytes, without a parser: it is asked of each changed page and of what stands in the tree, of every kind.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from staticify.nouns import Prepared

# Each alternative runs to the end where its own end is missing: every byte is looked at once.
_UNSEEN = re.compile(
    rb"<(script|style|template|noscript)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)|<(?=[a-z/!?])[^>]*(?:>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_TO_SPACES = bytes.maketrans(b"\t\n\r\f\v", b"     ")
LEAST_LEFT = 0.5
"""Of the visible text. A page that is left with less is doubted."""
_HTML = re.compile(rb"<html[\s>]", re.IGNORECASE)
_OF_WORDPRESS = re.compile(rb"/wp-(?:content|includes|json)/")
"""In the addresses of themes, scripts and the REST API, which nearly every page of WordPress's has."""
_SURE_MARKS = 3
LIKENESS, LIKENESS_BYTES = 0.1, 60
"""By how much two answers may differ that agree."""


def seen_bytes(body: bytes) -> int:
    """How much visible text a page has, in UTF-8, runs of white space as one."""
    return len(_visible(body))


def is_shrunk(left: int, before: int) -> bool:
    """True if more than half of the text is not there any more."""
    return left < before * LEAST_LEFT


@dataclass(frozen=True, slots=True)
class Lack:
    """What an answer lacks, for which it is held back."""

    name: str
    """A verdict's."""
    reason: str
    left_bytes: int
    """How much visible text it has."""
    is_sure: bool = True
    """False where it may lack nothing: the page was made with errors of the database."""


def lack_of(prepared: Prepared, standing: bytes) -> Lack | None:
    """What an answer has too little of beside the page that stands (empty if none does), or has not and must have."""
    if not standing and not prepared.missing:
        return None
    left, before = seen_bytes(prepared.body), seen_bytes(standing)
    if prepared.missing:
        return Lack("required", f"the page lacks {prepared.missing[0]!r}", left)
    if is_shrunk(left, before):
        return Lack("shrunk", f"of {before} bytes of visible text {left} are left", left)
    if _is_of_wordpress(standing) and not _OF_WORDPRESS.search(prepared.body):
        reason = "nothing on the page is WordPress's any more: a web server's own page, maybe"
        return Lack("not-wordpress", reason, left)
    return None


def _is_of_wordpress(body: bytes) -> bool:
    """True for HTML that names WordPress's own addresses more than once: a picture in a post may come and go."""
    return _HTML.search(body) is not None and len(_OF_WORDPRESS.findall(body)) >= _SURE_MARKS


def is_about(count: int, other: int) -> bool:
    """True for two answers that may be the same page: numbers, dates and quotes on it change."""
    return abs(count - other) <= max(count, other) * LIKENESS + LIKENESS_BYTES


def text_of(body: bytes) -> str:
    """The visible text, entities decoded, runs of white space as one space."""
    return " ".join(html.unescape(_visible(body).decode("utf-8", "replace")).split())


def _visible(body: bytes) -> bytes:
    # Not by split() or sub(): they make an object of each piece, and eight megabytes of short ones are hundreds.
    seen, at = bytearray(), 0
    for unseen in _UNSEEN.finditer(body):
        seen += body[at : unseen.start()]
        seen += b" "
        at = unseen.end()
    seen += body[at:]
    text = bytes(seen.translate(_TO_SPACES))
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text.strip()
