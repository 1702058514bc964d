"""200,000 hostile texts in log records and reports: no line, no field and no control of the terminal is forged.

Each text comes in where a URL, a header field or an error of the origin's does. Both formats of the log must say it on
one line, with the fields that were given and no other, and JSON must say it back unaltered. One in fifty goes through
everything that `status`, `explain`, `render` and `verify` print, to a pipe and to a terminal: nothing in it that a
terminal could take for more than text, and to a pipe as many lines as a harmless text makes.
"""

from __future__ import annotations

import io
import json
import logging
import re
import unicodedata
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from random import Random
from unittest.mock import patch

from chunks import Chunk, chunks, in_processes
from tally import Tally

from staticify import report
from staticify.errors import UrlError
from staticify.logs import JsonFormatter, TextFormatter
from staticify.nouns import Cut, Mode, OriginState, Outcome, Record, Result
from staticify.overview import Explanation, PageStatus, SiteStatus
from staticify.urls import Page
from staticify.verify import Difference

COUNT = 200_000
CHUNK = 10_000
REPORTED_ONE_IN = 50

# --- What is generated -----------------------------------------------------------------------------------------------

_PIECES = (
    "\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\t", "\0", "\b", "\x7f",
    "\x1b[2J", "\x1b]0;title\x07", "\x1b[31m", "\x9b31m", "\x9d0;title\x9c", "\x90", "\x1bP", "\x1b(0", "\x0e", "\x0f",
    "\u202e", "\u202d", "\u2066", "\u2067", "\u2068", "\u2069", "\u200e", "\u200f", "\u061c", "\ud800", "\udfff",
    "\udc9b",
    "\n2026-11-25T10:15:00Z error page kept url=https://example.org/", '\n{"level": "error", "message": "forged"}',
    " verdict=ok", '" verdict="ok', "\\", '\\"', '"', "'", "=", " ", "\u00a0", "\u3000", "}", "{", ",", ":", "\\n",
    "[bold red]", "[/]", "[link=https://example.com]x[/link]", ":warning:", "[", "]", "%s", "%(message)s", "{0}",
    "$HOME",
    "https://example.org/", "text", "\u00e9", "\u65e5\u672c", "\U0001f600", "e\u0301", "\U000e0041", "\ufeff",
)  # fmt: skip
_FIELDS = ("url", "reason", "seconds")
_MESSAGE = "page kept"


def generated(chance: Random) -> str:
    """A few of those pieces, and characters of any kind."""
    pieces = chance.choices(_PIECES, k=chance.randint(1, 5))
    if chance.random() < 0.3:
        pieces.append(chr(chance.randrange(0x110000 if chance.random() < 0.3 else 0x2100)))
    # Two halves of a character that meet are one: so JSON reads them back.
    return "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


# --- What is looked at -----------------------------------------------------------------------------------------------

_BIDIRECTIONAL = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_MARKS = "\u200e\u200f\u061c"
_HARMLESS = frozenset(map(chr, range(0x20, 0x7F)))
_WORD = r'[a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"]+)'
_LINE = re.compile(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ warning {_MESSAGE}((?: {_WORD})*)")


def is_control(character: str) -> bool:
    """True for what could be more than text: to a terminal, or to a reader of lines."""
    return (
        unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"}
        or unicodedata.bidirectional(character) in _BIDIRECTIONAL
        or character in _MARKS
    )


def controls(text: str) -> set[str]:
    """All of those in a text."""
    return {character for character in set(text) - _HARMLESS if is_control(character)}


def record_of(text: str) -> logging.LogRecord:
    """What is logged of a page whose origin says this."""
    extra = dict(zip(_FIELDS, (text, f"the origin says {text}", 0.5), strict=True))
    return logging.getLogger("x").makeRecord("x", logging.WARNING, "file", 1, _MESSAGE, (), None, extra=extra)


def fault_of_text(line: str) -> str:
    """What is wrong with a line of the log; nothing, mostly."""
    if controls(line):
        return f"sends {controls(line)}"
    match = _LINE.fullmatch(line)
    if match is None:
        return "cannot be read back"
    names = [word.partition("=")[0] for word in re.findall(_WORD, match[1])]
    return "" if names == list(_FIELDS) else f"has the fields {names}"


def fault_of_json(line: str, text: str) -> str:
    """The same for JSON."""
    if controls(line):
        return f"sends {controls(line)}"
    event = json.loads(line)
    said = {name: event.pop(name) for name in _FIELDS}
    if said != dict(zip(_FIELDS, (text, f"the origin says {text}", 0.5), strict=True)):
        return "says something else"
    return "" if set(event) - {"exception"} == {"time", "level", "message"} else f"has the fields {sorted(event)}"


def faults_of_log(text: str) -> list[str]:
    """What is wrong with how a text is logged."""
    record = record_of(text)
    found = [
        ("text", fault_of_text(TextFormatter().format(record))),
        ("json", fault_of_json(JsonFormatter().format(record), text)),
    ]
    record.exc_info = _raised(text)
    with_error = TextFormatter().format(record)
    found += [
        ("text of an error", f"sends {sent}" if (sent := controls(with_error)) else ""),
        ("json of an error", fault_of_json(JsonFormatter().format(record), text)),
    ]
    return [f"{where} {fault}" for where, fault in found if fault]


def _raised(text: str) -> tuple[type[BaseException], BaseException, None]:
    return ValueError, ValueError(text), None


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _reports(text: str) -> dict[str, Callable[[], None]]:
    """Everything that is printed of a page whose origin says this."""
    site = "https://example.org/"
    try:
        url = Page("https", "example.org", "/").with_path(f"/{text}").url
    except UrlError:
        url = site
    record = Record(
        url, site, outcome=Outcome.KEPT, verdict="redirect", reason=text, status=301, location=text,
        headers={"server": text, "location": text}, cuts=(Cut(0, 1, text),), cut_count=2, output_digest="0",
    )  # fmt: skip
    status = PageStatus(url, site, "stale", 70.0, 1.0, 1, 0.1, "kept", "redirect", text, 1)
    explanation = Explanation(record, status, Path("/tree/x"), is_in_tree=True)
    result = Result(url, Outcome.KEPT, "redirect", text, 0.1, record)
    difference = Difference(url, "redirect", text)
    origin = OriginState(limit=1, most=4, failures=9, paused_until=1.0, reason=text, unreachable=(text,))
    sites = [SiteStatus(site, Mode.BLIND, text, 0, 0, 1, 0, 70.0, 1.0, origin)]
    return {
        "status": lambda: report.print_status([status], sites, is_running=True),
        "status --json": lambda: report.print_json({"pages": [asdict(status)]}),
        "explain": lambda: report.print_explanation(explanation),
        "explain --json": lambda: report.print_json(report.explanation_json(explanation)),
        "render": lambda: _render(result),
        "render --json": lambda: report.print_json(report.summary_json([result], [], 0.1, Path("/tree"))),
        "verify": lambda: report.print_differences([difference], 1),
        "verify --json": lambda: report.print_json([asdict(difference)]),
    }


def _render(result: Result) -> None:
    with report.progress("rendering", is_quiet=False) as progress:
        progress.advance(report.line_of(result))
    report.print_summary([result], 0.1, Path("/tree"))


def _printed(work: Callable[[], None], output: io.StringIO) -> str:
    # No colours: what is an escape then is one that was let through. And the bar of `render` is on another stream.
    with redirect_stdout(output), patch.dict("os.environ", TERM="dumb", COLUMNS="4000"):
        work()
    return output.getvalue()


_LINES = {name: _printed(work, io.StringIO()).count("\n") for name, work in _reports("harmless").items()}


def faults_of_reports(text: str) -> list[str]:
    """What is wrong with how a text is printed."""
    found = []
    for name, work in _reports(text).items():
        for output in (io.StringIO(), _Terminal()):
            printed = _printed(work, output)
            where = f"{name} to {'a terminal' if output.isatty() else 'a pipe'}"
            if sent := controls(printed) - {"\n"}:
                found.append(f"{where} sends {sent}")
            # A terminal's lines are folded.
            if not output.isatty() and printed.count("\n") != _LINES[name]:
                found.append(f"{where} has {printed.count(chr(10))} lines and not {_LINES[name]}")
            if name.endswith("json") and text not in _texts(json.loads(printed)):
                found.append(f"{where} says something else")
    return found


def _texts(value: object) -> set[str]:
    """All texts in a JSON document."""
    if isinstance(value, str):
        return {value}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {text for one in inner for text in _texts(one)}


# --- What is counted -------------------------------------------------------------------------------------------------


def _chunk(chunk: Chunk) -> Tally:
    chance, tally = chunk.chance, Tally()
    for number in range(chunk.count):
        text = generated(chance)
        tally.counts["texts"] += 1
        tally.counts["with something to escape"] += bool(controls(text))
        tally.counts["lines of the log"] += 4
        faults = faults_of_log(text)
        if number % REPORTED_ONE_IN == 0:
            faults += faults_of_reports(text)
            tally.counts["reports"] += 2 * len(_LINES)
        tally.faults += [f"seed {chunk.seed}, number {number}, {text!r}: {fault}" for fault in faults]
    return tally


def run(count: int, seed: int) -> Tally:
    """Log and print so many texts."""
    tally = Tally()
    for part in in_processes(_chunk, chunks(count, seed, CHUNK)):
        tally.add(part)
    return tally
