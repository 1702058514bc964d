"""A page's HTML as text, as a tree, and as ranges of the bytes it came in.

turbohtml counts code points of the text whose line ends are one line feed each. The origin's bytes are what gets
published, so every offset is led back to them here, and nowhere else.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property

import turbohtml

_CARRIAGE_RETURN_LINE_FEED = re.compile("\r\n")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


class Document:
    """One parsed HTML page. `body` is untouched; `tree` may be changed by who owns the document."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        # A byte that is not UTF-8 (an excerpt cut in the middle of a character) stays what it is: it becomes one
        # surrogate here and the same byte on the way back. The parser sees a replacement character in its place.
        self._text = body.decode("utf-8", "surrogateescape")
        self.tree = turbohtml.parse(_LONE_SURROGATES.sub("\ufffd", self._text), source_locations=True)

    @cached_property
    def _line_ends(self) -> list[int]:
        """Offsets, in the normalised text, of the line feeds that were two characters before."""
        return [match.start() - index for index, match in enumerate(_CARRIAGE_RETURN_LINE_FEED.finditer(self._text))]

    def byte_offset(self, offset: int) -> int:
        """The place in `body` of an offset that the parser gave."""
        return len(self._text[: self._text_offset(offset)].encode("utf-8", "surrogateescape"))

    def _text_offset(self, offset: int) -> int:
        if "\r" not in self._text:
            return offset
        return offset + bisect_left(self._line_ends, offset)

    def source(self, start: int, end: int) -> str:
        """The text between two offsets that the parser gave."""
        return self._text[self._text_offset(start) : self._text_offset(end)]

    @property
    def root(self) -> turbohtml.Element | None:
        """The html element."""
        return self.tree.root

    @property
    def body_classes(self) -> frozenset[str]:
        """The classes of the body element, as WordPress's body_class() writes them."""
        element = self.tree.select_one("body")
        return frozenset((element.attr("class") or "").split()) if element is not None else frozenset()

    @property
    def title(self) -> str:
        """Text of the title element, or nothing."""
        element = self.tree.select_one("head > title")
        return element.text.strip() if element is not None else ""
