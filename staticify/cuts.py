"""What cuts leave of a page's bytes."""

from __future__ import annotations

from staticify.nouns import Cut


def left_of(body: bytes, cuts: tuple[Cut, ...]) -> bytes:
    """A body without what is cut; without cuts the very same object. Raises ValueError for cuts out of order."""
    if not cuts:
        return body
    pieces = []
    position = 0
    for cut in cuts:
        if not position <= cut.start <= cut.end <= len(body):
            raise ValueError(f"bytes {cut.start} to {cut.end} cannot be cut out of {len(body)} after {position}")
        pieces.append(body[position : cut.start])
        position = cut.end
    pieces.append(body[position:])
    return b"".join(pieces)
