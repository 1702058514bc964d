"""A page's HTML as text, as a tree, and as ranges of the bytes it came in.

turbohtml counts code points of the text whose line ends are one line feed each. The origin's bytes are what gets
published, so every offset is led back to them here, and nowhere else.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property
from itertools import accumulate

import turbohtml

_CARRIAGE_RETURN_LINE_FEED = re.compile("\r\n")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARK = "\ufeff"
_STRIDE = 1024


class Document:
    """One parsed HTML page. `body` is untouched; `tree` may be changed by who owns the document."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        # A byte that is not UTF-8 (an excerpt cut in the middle of a character) stays what it is: it becomes one
        # surrogate here and the same byte on the way back. The parser sees a replacement character in its place.
        try:
            self._text = self._parsed_text = body.decode()
        except UnicodeDecodeError:
            self._text = body.decode("utf-8", "surrogateescape")
            self._parsed_text = _LONE_SURROGATES.sub("\ufffd", self._text)
        if self._parsed_text.startswith(_BYTE_ORDER_MARK):
            # Browsers drop it; this parser would begin the body with it. White space there counts for nothing.
            self._parsed_text = " " + self._parsed_text[1:]
        self.tree = turbohtml.parse(self._parsed_text, source_locations=True)

    @cached_property
    def _line_ends(self) -> list[int]:
        """Offsets, in the normalised text, of the line feeds that were two characters before."""
        return [match.start() - index for index, match in enumerate(_CARRIAGE_RETURN_LINE_FEED.finditer(self._text))]

    def byte_offset(self, offset: int) -> int:
        """The place in `body` of an offset that the parser gave."""
        stride, rest = divmod(self._text_offset(offset), _STRIDE)
        return self._strides[stride] + _byte_count(self._text[stride * _STRIDE : stride * _STRIDE + rest])

    @cached_property
    def _strides(self) -> list[int]:
        """Byte offsets of every 1024th character: else many offsets in a long page would each count from its start."""
        starts = range(0, len(self._text), _STRIDE)
        return [0, *accumulate(_byte_count(self._text[start : start + _STRIDE]) for start in starts)]

    def _text_offset(self, offset: int) -> int:
        return offset + bisect_left(self._line_ends, offset)

    def source(self, start: int, end: int) -> str:
        """The text between two offsets that the parser gave."""
        return self._text[self._text_offset(start) : self._text_offset(end)]

    @property
    def root(self) -> turbohtml.Element | None:
        """The html element."""
        return self.tree.root

    @property
    def has_html_end(self) -> bool:
        """True if there is an </html> that is a tag: not part of a comment or a script that the page breaks off in."""
        location = self.root.source_location if self.root is not None else None
        if location is not None and location.end_tag is not None:
            return True
        # The tree knows of none without its start tag, or inside a table that is not closed.
        tokens = turbohtml.tokenize(self._parsed_text)
        return any(token.type is turbohtml.TokenType.END_TAG and token.tag == "html" for token in tokens)

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


def _byte_count(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
