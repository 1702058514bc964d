"""What a reader sees of a page: how much text it is, and whether a later answer lost most of it.

By bytes, without a parser: it is asked of each changed page and of what stands in the tree, of every kind.
"""

from __future__ import annotations

import hashlib
import html
import re
from dataclasses import dataclass

# Each alternative runs to the end where its own end is missing: every byte is looked at once.
_UNSEEN = re.compile(
    rb"<(script|style|template|noscript)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)|<(?=[a-z/!?])[^>]*(?:>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_DIGITS = re.compile(rb"\d+")
LEAST_LEFT = 0.5
"""Of the visible text. A page that is left with less is doubted."""


@dataclass(frozen=True, slots=True)
class Looks:
    """A page, as far as it is compared with another one."""

    seen_bytes: int
    """Of visible text, in UTF-8, runs of white space as one."""
    digest: str
    """Equal for two pages whose words are the same, whatever their numbers (clocks, counters) are."""

    def is_shrunk_from(self, other: Looks) -> bool:
        """True if more than half of the other's text is not there any more."""
        return self.seen_bytes < other.seen_bytes * LEAST_LEFT


def looks_of(body: bytes) -> Looks:
    """What a page looks like."""
    text = _visible(body)
    return Looks(len(text), hashlib.sha256(_DIGITS.sub(b"0", text)).hexdigest()[:32])


def text_of(body: bytes) -> str:
    """The visible text, entities decoded, runs of white space as one space."""
    return " ".join(html.unescape(_visible(body).decode("utf-8", "replace")).split())


def _visible(body: bytes) -> bytes:
    return b" ".join(_UNSEEN.sub(b" ", body).split())
