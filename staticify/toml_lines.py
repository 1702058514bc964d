"""On which line each key of a TOML file stands: `tomllib` gives values without positions.

    [[site]]                     ("site",) and ("site", 0)
    url = "https://a.example/"   ("site", 0, "url")
    pages = ["/",                ("site", 0, "pages") and ("site", 0, "pages", 0)
        "/about/"]               ("site", 0, "pages", 1)

Only for text that `tomllib` has read without an error: nothing is checked here that it has checked already.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

Location = tuple[str | int, ...]
"""Where a value stands in the data: names of keys, and indexes of lists from 0."""

_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_LINE_STRING = r'"(?:[^"\\\n]|\\.)*"' + r"|'[^'\n]*'"
_QUOTED_KEY = re.compile(_LINE_STRING)
# A multi-line string may end in up to two quotes of its own before the three that close it. An escaped character
# may be a line feed.
_STRING = re.compile(
    r'"""(?:\\(?:.|\n)|[^\\])*?"""(?:"{0,2})' + r"|'''(?:.|\n)*?'''(?:'{0,2})" + "|" + _LINE_STRING,
)


def lines_of(text: str) -> dict[Location, int]:
    """The line, counted from 1, of every table, key and list element. Raises ValueError if the text is not TOML."""
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.lines


class _Scanner:
    """Walks over the text once. Every method leaves the position behind what it has read."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Location, int] = {}
        self._text = text
        self._position = 0
        self._line_starts = [match.end() for match in re.finditer("\n", text)]
        self._last_index: dict[Location, int] = {}
        """Of each array of tables: the index of the element that its last header began."""

    def scan(self) -> None:
        table: Location = ()
        self._skip(_GAP)
        while self._position < len(self._text):
            if self._is_at("[["):
                table = self._array_header()
            elif self._is_at("["):
                table = self._table_header()
            else:
                self._pair(table)
            self._skip(_GAP)

    def _table_header(self) -> Location:
        line = self._line
        self._expect("[")
        location = self._enter(self._key(), line)
        self._expect("]")
        return location

    def _array_header(self) -> Location:
        line = self._line
        self._expect("[[")
        *outer, name = self._key()
        array = (*self._enter(outer, line), name)
        self._expect("]]")
        index = self._last_index.get(array, -1) + 1
        self._last_index[array] = index
        self._note(array, line)
        self._note((*array, index), line)
        return (*array, index)

    def _enter(self, names: list[str], line: int) -> Location:
        """The table that a header's names lead to: inside an array of tables, its last element."""
        location: Location = ()
        for name in names:
            location = (*location, name)
            self._note(location, line)
            if location in self._last_index:
                location = (*location, self._last_index[location])
        return location

    def _pair(self, table: Location) -> None:
        line = self._line
        location = table
        for name in self._key():
            location = (*location, name)
            self._note(location, line)
        self._expect("=")
        self._skip(_BLANK)
        self._value(location)

    def _key(self) -> list[str]:
        names: list[str] = []
        while True:
            self._skip(_BLANK)
            if self._is_at('"') or self._is_at("'"):
                # tomllib undoes the escapes: the only key of a document that has one key.
                names.extend(tomllib.loads(f"{self._take(_QUOTED_KEY)} = 0"))
            else:
                names.append(self._take(_BARE_KEY))
            self._skip(_BLANK)
            if not self._is_at("."):
                return names
            self._expect(".")

    def _value(self, location: Location) -> None:
        if self._is_at("["):
            self._array(location)
        elif self._is_at("{"):
            self._inline_table(location)
        elif self._is_at('"') or self._is_at("'"):
            self._take(_STRING)
        else:
            self._take(_SCALAR)

    def _array(self, location: Location) -> None:
        self._expect("[")
        self._skip(_GAP)
        index = 0
        while not self._is_at("]"):
            self._note((*location, index), self._line)
            self._value((*location, index))
            self._skip(_GAP)
            if self._is_at(","):
                self._expect(",")
                self._skip(_GAP)
            index += 1
        self._expect("]")

    def _inline_table(self, location: Location) -> None:
        self._expect("{")
        self._skip(_GAP)
        while not self._is_at("}"):
            self._pair(location)
            self._skip(_GAP)
            if self._is_at(","):
                self._expect(",")
                self._skip(_GAP)
        self._expect("}")

    @property
    def _line(self) -> int:
        return bisect_right(self._line_starts, self._position) + 1

    def _note(self, location: Location, line: int) -> None:
        self.lines.setdefault(location, line)

    def _is_at(self, token: str) -> bool:
        return self._text.startswith(token, self._position)

    def _expect(self, token: str) -> None:
        if not self._is_at(token):
            raise ValueError(f"not TOML: no {token!r} on line {self._line}")
        self._position += len(token)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._position)
        self._position = match.end() if match else self._position

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._position)
        if match is None:
            raise ValueError(f"not TOML on line {self._line}")
        self._position = match.end()
        return match.group()
