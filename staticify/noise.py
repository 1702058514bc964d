"""What differs between two renders of a page that nobody changed. It is blanked for the comparison only."""

from __future__ import annotations

import re

from blake3 import blake3

MAX_NOISE_SECONDS = 6 * 3600
"""Noise may hide what expires (a nonce lives 12 hours at least): after this time it is published all the same."""

# What runs on to an end ("[^<>]*") stops where the pattern could begin anew: else a page with many beginnings and no
# end would be read to its end from each of them.
DEFAULT_PATTERNS = (
    # Akismet: the time of the render in a hidden field of every comment form.
    r"""ak_js["'](?:(?!ak_js["'])[^<>])*\bvalue=["']\d+["']""",
    # Comments that caches and profilers write below the page.
    r"""(?x:<!--\s*(?:
        (?:Dynamic|Cached|Cache|Page)\ ?(?:page\ )?generated\ (?:in|by|on)\ [^<>]*
        |\d+\ quer(?:y|ies)\.?\ (?:in\ )?[\d.,]+\ seconds?\.?[ ]
        |Performance\ optimized\ by\ W3\ Total\ Cache[^<>]*
        |This\ website\ is\ like\ a\ Rocket[^<>]*
    )-->)""",
)


class Noise:
    """Patterns of one site, compiled: the defaults and the operator's own."""

    def __init__(self, patterns: tuple[str, ...] = ()) -> None:
        self._patterns = [re.compile(pattern.encode()) for pattern in (*DEFAULT_PATTERNS, *patterns)]

    def blank(self, body: bytes) -> bytes:
        """The body without its noise."""
        for pattern in self._patterns:
            body = pattern.sub(b"", body)
        return body

    def digest(self, body: bytes) -> str:
        """Equal for two bodies that differ in nothing but noise."""
        return digest(self.blank(body))


def digest(body: bytes) -> str:
    """BLAKE3 in hex: collisions are out of reach even for who writes the pages.

    It takes a quarter of SHA-256's time where the processor has instructions for that one, and a tenth where not.
    """
    return blake3(body).hexdigest()
