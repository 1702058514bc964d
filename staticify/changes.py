"""What the journal of a WordPress says (deploy/wordpress/PROTOCOL.md): its rows as values, checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from staticify.errors import AnswerMalformed
from staticify.tags import ANY, SITE, is_tag

VERSION = 1
MAX_TAGS = 5000
"""Of one row. One with more is read as if everything had changed."""
_PATH = re.compile(r"/(?!/)[A-Za-z0-9._~%/@:+,=-]{1,1000}")
_MAX_NUMBER = 2**63 - 1
"""MySQL's largest signed integer. Python's own have no end, and its floats do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: what one request to WordPress changed."""

    position: int
    tags: tuple[str, ...]
    urls: tuple[str, ...]
    """Public now, and new or changed."""
    gone: tuple[str, ...]
    """Public no more."""


@dataclass(frozen=True, slots=True)
class Changes:
    """One answer of the journal."""

    journal: str
    """Which incarnation of the table this is."""
    position: int
    time: int
    """When the row at that position was written, in WordPress's seconds; 0 if that is not known."""
    is_start_over: bool
    """True if rows may be missing between what was asked for and the first one given."""
    is_more: bool
    entries: tuple[Entry, ...]
    cron_due_at: float | None
    """Seconds since the epoch."""
    direct: str = ""
    """The path at which the same is answered with less of WordPress; empty if the plugin names none."""
    is_held: bool = False
    """True if there is a row that is not told yet, because one with a smaller number may still come."""


def question(journal: str, since: int, since_time: int = 0) -> bytes:
    """The body of a request for changes. WordPress compares the time of the last row read, if it is known."""
    return json.dumps({"journal": journal, "since": since, "time": since_time}).encode()


def parse_changes(body: bytes) -> Changes:
    """An answer as a value. Raises AnswerMalformed for anything else."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise AnswerMalformed("the journal's answer is not JSON") from None
    answer = _Table(data, "the answer")
    if answer.integer("version") != VERSION:
        raise AnswerMalformed(f"the plugin speaks version {answer.integer('version')} of the protocol, not {VERSION}")
    rows = answer.items("entries")
    cron_due_at = data.get("cron_due_at")
    return Changes(
        journal=answer.text("journal"),
        position=answer.integer("position"),
        time=answer.integer("time") if "time" in data else 0,
        is_start_over=answer.flag("start_over"),
        is_more=answer.flag("more"),
        entries=tuple(sorted((_entry(row) for row in rows), key=lambda entry: entry.position)),
        is_held=answer.flag("held") if "held" in data else False,
        cron_due_at=None if cron_due_at is None else float(answer.integer("cron_due_at")),
        direct=_path(data.get("direct")),
    )


def _path(value: object) -> str:
    """A path on the site's own host; what is none is not asked for, and nothing is lost."""
    return value if isinstance(value, str) and _PATH.fullmatch(value) else ""


def _entry(row: object) -> Entry:
    table = _Table(row, "a row")
    tags = table.texts("tags")
    return Entry(
        position=table.integer("position"),
        tags=_readable(tags),
        urls=table.texts("urls"),
        gone=table.texts("gone"),
    )


def _readable(tags: tuple[str, ...]) -> tuple[str, ...]:
    """What no tag can be, or too many, must not be lost: it stands for whatever it was."""
    if len(tags) > MAX_TAGS:
        return (SITE,)
    return tags if all(map(is_tag, tags)) else (*filter(is_tag, tags), ANY)


class _Table:
    """A JSON object whose fields must have the right types."""

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, Mapping):
            raise AnswerMalformed(f"{what} of the journal is not an object")
        self._value = value
        self._what = what

    def integer(self, name: str) -> int:
        value = self._value.get(name)
        if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
            raise self._wrong(name, f"a whole number of 0 to {_MAX_NUMBER}")
        return value

    def flag(self, name: str) -> bool:
        value = self._value.get(name)
        if type(value) is not bool:
            raise self._wrong(name, "true or false")
        return value

    def text(self, name: str) -> str:
        value = self._value.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def items(self, name: str) -> list[object]:
        value = self._value.get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        items = self.items(name)
        if not all(isinstance(item, str) for item in items):
            raise self._wrong(name, "a list of texts")
        return tuple(map(str, items))

    def _wrong(self, name: str, wanted: str) -> AnswerMalformed:
        return AnswerMalformed(f"{name!r} in {self._what} of the journal is not {wanted}")
