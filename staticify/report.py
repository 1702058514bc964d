"""What the commands say, for people on a terminal, as lines for programs that read lines, and as JSON.

Only a terminal needs rich, and each function that meets one imports it: that takes as long as ten pages.
"""

from __future__ import annotations

import datetime
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from staticify.logs import printable, printable_json
from staticify.nouns import Mode, OriginState, Outcome, Result
from staticify.overview import Explanation, PageStatus, SiteStatus
from staticify.units import counted
from staticify.urls import parse_page

if TYPE_CHECKING:
    from rich.progress import Progress

    from staticify.verify import Difference, Twice

_STYLES = {
    "published": "green",
    "unchanged": "green",
    "fresh": "green",
    "kept": "yellow",
    "stale": "yellow",
    "refused": "red",
    "gone": "red",
    "absent": "red",
}


_MOST_DIFFERENCES = 20
_BAR_WIDTH = 20
_BESIDE_LAST = 50
"""Columns of a terminal that the bar takes with its name, count and time: rendering, 20, 2000/2000 and 0:00:00."""
Span = tuple[str, str]
"""A text, and its style on a terminal."""


_LEAST_WIDTHS = {"page": 0, "state": 0, ">age": 0, ">changed": 60, ">size": 80, ">render": 80, "verdict": 50}
"""The columns of `status`, and how wide a terminal must be for each: the page's name needs the room more."""


def _say(*spans: Span | str, wraps: bool = True) -> None:
    """One line. What is to be copied from a terminal must not wrap between words there."""
    line = [(printable(span), "") if isinstance(span, str) else (printable(span[0]), span[1]) for span in spans]
    if not sys.stdout.isatty():
        sys.stdout.write("".join(text for text, _ in line) + "\n")
        return
    from rich.console import Console
    from rich.text import Text

    # As Text, never as markup: a page's title or URL may look like it.
    Console(highlight=False).print(Text.assemble(*line), soft_wrap=not wraps)


def print_json(value: object) -> None:
    """One JSON document on standard output, which may be a terminal."""
    sys.stdout.write(printable_json(json.dumps(value, ensure_ascii=False, indent=2)) + "\n")


_MODES = {
    Mode.BLIND: "every page is fetched each interval",
    Mode.JOURNAL: "WordPress is asked each interval what changed",
}


_LOST = (
    "was published, and is in the tree no more: a running daemon puts it back within an interval; without one: "
    "staticify render --all"
)


_OVERLOAD = "a longer interval, or fewer pages, would keep each within its bound"


_UNWRITTEN = "if the disk does not take it, the daemon's log says why"


def print_status(
    statuses: Sequence[PageStatus],
    sites: Sequence[SiteStatus],
    *,
    is_running: bool,
    overloads: Mapping[str, float] | None = None,
    unwritten_seconds: float | None = None,
) -> None:
    """The tables of `status`, one for each site, with why each page that is not good is not, and a line that sums up.

    What a daemon does is said only where one runs, and last of all how old the state is, if it is too old. `overloads`
    says of a site's URL how many times its interval a round takes, if it takes more than one.

    On a terminal a page is its decoded path, and a narrow one gets fewer columns. Anywhere else it is its URL, so that
    each line stands alone, and two spaces part the columns.
    """
    now = time.time()
    for site in sites:
        of_site = [status for status in statuses if status.site == site.url]
        _print_rows([_cells_of(status, now) for status in of_site])
        _print_findings([(one.outcome, one.verdict, one.reason, one.url) for one in of_site if not one.is_good])
        _print_findings([("", one.state, _LOST, one.url) for one in of_site if one.is_lost], are_named=True)
        counts = [(site.fresh, "fresh"), (site.stale, "stale"), (site.absent, "absent")]
        said = ", ".join(f"{count} {state}" for count, state in counts if count) or "nothing rendered yet"
        oldest = "" if site.oldest_seconds is None else f", oldest {_duration(site.oldest_seconds)}"
        missed = f", {counted(site.missed, 'change')} found by the sweep alone" if site.missed else ""
        _say(f"{site.url}  {said}{oldest}{missed}")
        if not is_running:
            asked = f": last fetch {_duration(now - site.asked_at)} ago" if site.asked_at else ""
            _say((f"no daemon runs here{asked}", "yellow"))
            continue
        reason = f" ({site.reason})" if site.reason else ""
        _say(f"{site.mode} mode: {_MODES[site.mode]}{reason}")
        for line in _origin_lines(site.origin, now):
            _say((line, "yellow"))
        if overload := (overloads or {}).get(site.url):
            _say((f"a round over the pages takes {overload:.1f} times the interval: {_OVERLOAD}", "yellow"))
    if unwritten_seconds is not None:
        age = _duration(unwritten_seconds)
        _say((f"the state was last written {age} ago, and what it says is as old: {_UNWRITTEN}", "yellow"))


def _cells_of(status: PageStatus, now: float) -> dict[str, Span]:
    """A row of `status`, by the names of its columns."""
    return {
        "page": (parse_page(status.url).path if sys.stdout.isatty() else status.url, ""),
        "state": (status.state, _STYLES[status.state]),
        ">age": (_duration(status.age_seconds) or ("" if status.state == "absent" else "unknown"), ""),
        ">changed": ("" if status.changed_at is None else _duration(now - status.changed_at), ""),
        ">size": (_size(status.size_bytes) if status.size_bytes else "", ""),
        ">render": (f"{status.render_seconds * 1000:.0f} ms" if status.render_seconds else "", ""),
        "verdict": (status.verdict or ("never rendered" if status.state == "absent" else "no record"), ""),
    }


def _print_rows(rows: Sequence[Mapping[str, Span]]) -> None:
    if not rows:
        return
    if not sys.stdout.isatty():
        _say("  ".join(column.removeprefix(">") for column in rows[0]))
        for row in rows:
            _say("  ".join(text or "-" for text, _ in row.values()))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    columns = [name for name, width in _LEAST_WIDTHS.items() if console.width >= width]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        if column == "page":
            table.add_column(column, overflow="fold")
        else:
            table.add_column(
                column.removeprefix(">"), justify="right" if column.startswith(">") else "left", no_wrap=True
            )
    for row in rows:
        table.add_row(*(Text(printable(text), style) for text, style in map(row.__getitem__, columns)))
    console.print(table)


def _origin_lines(origin: OriginState | None, now: float) -> Iterator[str]:
    """What is to be said of WordPress. Nothing, if it does well."""
    if origin is None:
        return
    if origin.paused_until:
        seconds = origin.paused_until - now
        again = f"again in {_duration(seconds)}" if seconds > 0 else "with the next page that is due"
        yield f"WordPress is left alone, and asked {again}: {origin.reason}"
    elif origin.limit < origin.most:
        failures = f", {origin.failures} failures in a row" if origin.failures else ""
        yield f"WordPress is spared: {origin.limit} of {origin.most} fetches at once{failures}"
    for address in origin.unreachable:
        yield f"{address} was of no use a short while ago: the other addresses are asked first"


def explanation_json(explanation: Explanation, twice: Twice | None = None) -> dict[str, Any]:
    """Everything about one page, for programs."""
    return {
        **({} if twice is None else {"twice": asdict(twice)}),
        **asdict(explanation.status),
        "file": str(explanation.file),
        "is_in_tree": explanation.is_in_tree,
        "record": asdict(explanation.record),
    }


def _twice_rows(twice: Twice) -> Iterator[tuple[str, str]]:
    """What two visitors get."""
    count = len(twice.differences)
    if twice.fault:
        yield "twice", f"cannot be compared: {twice.fault}"
    elif twice.named:
        yield "twice", f"differs in whom it names: {twice.named!r}. It is not everybody's page, and is refused"
    elif count:
        yield "twice", f"differs in {count} {'place' if count == 1 else 'places'}, none of which names anybody"
    else:
        yield "twice", "the same for two visitors"
    for piece in twice.differences[:_MOST_DIFFERENCES]:
        yield "  in one alone", piece


def print_explanation(explanation: Explanation, twice: Twice | None = None) -> None:
    """Everything about one page."""
    record, status, exists = explanation.record, explanation.status, explanation.is_in_tree
    age = _duration(status.age_seconds)
    rows: list[tuple[str, str]] = [
        ("page", record.url),
        ("tree", str(explanation.file) + ("" if exists else "  (not there)")),
        ("state", status.state + (f", verified {age} ago" if age else f": {_LOST}" if status.is_lost else "")),
        ("verdict", f"{record.outcome or 'never rendered'}: {record.verdict}"),
        ("why", record.reason),
        ("failures", f"{record.failures} in a row" if record.failures else "none"),
        ("first seen", _moment(record.first_seen_at)),
        ("last fetch", _moment(record.checked_at)),
        ("last good", _moment(record.verified_at)),
        ("last change", _moment(record.changed_at)),
        ("render", f"{record.render_seconds * 1000:.1f} ms"),
        ("size", f"{record.size_bytes} bytes, {'densest' if record.is_dense else 'fast'} variants" if exists else ""),
        ("answer", f"status {record.status}"),
        *((f"  {name}", value) for name, value in record.headers.items()),
        *(("  database", error) for error in record.database_errors),
        ("stripped", f"{counted(record.cut_count, 'range')} of the origin's bytes" if record.cut_count else "nothing"),
        *((f"  {cut.start}-{cut.end}", cut.rule) for cut in record.cuts),
        *([("  more", str(more))] if (more := record.cut_count - len(record.cuts)) else []),
        ("digest", record.output_digest or "none"),
        *(() if twice is None else _twice_rows(twice)),
    ]
    if not sys.stdout.isatty():
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            _say(f"{name:{width}}  {value}".rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(printable(value)))
    Console(highlight=False).print(table)


def print_summary(results: Sequence[Result], seconds: float, tree_path: Path, *, are_named: bool = False) -> None:
    """The end of a pass: how many of each outcome, why for each page that is not good, and where the tree is.

    `are_named` says that every page had a line of its own before.
    """
    findings = [(one.outcome, one.verdict, one.reason, one.url) for one in results if not one.outcome.is_good]
    _print_findings(findings, are_named=are_named)
    counts = Counter(result.outcome for result in results)
    line: list[Span | str] = [f"{counted(len(results), 'page')} in {seconds:.2f} s: "]
    for index, outcome in enumerate(Outcome):
        line += [
            ", " if index else "",
            (f"{counts[outcome]} {outcome}", _STYLES[outcome] if counts[outcome] else "dim"),
        ]
    _say(*line)
    _say(f"The tree is {tree_path}", wraps=False)


def summary_json(results: Sequence[Result], notes: Iterable[Any], seconds: float, tree_path: Path) -> dict[str, Any]:
    """The same for programs."""
    counts = Counter(result.outcome for result in results)
    return {
        "seconds": round(seconds, 3),
        "tree": str(tree_path),
        "counts": {str(outcome): counts[outcome] for outcome in Outcome},
        "notes": [asdict(note) for note in notes],
        "pages": [
            {
                "url": result.url,
                "outcome": str(result.outcome),
                "verdict": result.verdict,
                "reason": result.reason,
                "seconds": round(result.seconds, 4),
            }
            for result in results
        ],
    }


def print_differences(differences: Sequence[Difference], compared: int) -> None:
    """What `verify` found."""
    if not differences:
        _say(f"{counted(compared, 'page')}: the tree says what the origin says")
        return
    _print_findings([("", one.name, one.reason, one.url) for one in differences])
    count = sum(one.is_compared for one in differences)
    said = [f"{counted(count, 'difference')} in {counted(compared, 'page')}"] if count or compared else []
    if count < len(differences):  # A sitemap is no page.
        said.append(f"{counted(len(differences) - count, 'URL')} could not be compared")
    _say(", ".join(said))


def differences_json(differences: Sequence[Difference], compared: int) -> dict[str, Any]:
    """The same for programs."""
    found: dict[bool, list[dict[str, str]]] = {True: [], False: []}
    for one in differences:
        found[one.is_compared].append({"url": one.url, "name": one.name, "reason": one.reason})
    return {"compared": compared, "differences": found[True], "not_compared": found[False]}


def _print_findings(findings: Iterable[tuple[str, str, str, str]], *, are_named: bool = False) -> None:
    """Outcome, verdict, reason and URL of each: a reason is said once, with the pages that it is true of below it.

    Or with how many they are, if each was named before.
    """
    urls_by_reason: dict[tuple[str, str, str], list[str]] = {}
    for outcome, verdict, reason, url in findings:
        urls_by_reason.setdefault((outcome, verdict, reason), []).append(url)
    for (outcome, verdict, reason), urls in urls_by_reason.items():
        name = verdict if outcome in {"", verdict} else f"{outcome} ({verdict})"
        count = f" ({counted(len(urls), 'page')})" if are_named else ""
        _say((name, _STYLES.get(outcome, "yellow")), f": {reason}{count}", wraps=False)
        for url in () if are_named else urls:
            _say(f"  {url}", wraps=False)


@contextmanager
def progress(label: str, *, is_quiet: bool) -> Iterator[ProgressReport]:
    """A bar on a terminal, a line a page elsewhere, nothing at all if quiet."""
    if is_quiet or not sys.stderr.isatty():
        yield ProgressReport(None, None, is_quiet=is_quiet)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(_BAR_WIDTH),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        # What is left of the line; whoever is longer would take the others' room.
        TextColumn("{task.fields[last]}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    ) as bar:
        yield ProgressReport(bar, bar.add_task(label, total=None, last=""), is_quiet=False)


class ProgressReport:
    """Hears of pages as they come."""

    def __init__(self, bar: Progress | None, task: Any, *, is_quiet: bool) -> None:
        self._bar = bar
        self._task = task
        self._is_quiet = is_quiet
        self._total = 0

    @property
    def are_named(self) -> bool:
        """True if each page gets a line of its own."""
        return self._bar is None and not self._is_quiet

    def add_total(self, count: int) -> None:
        """So many pages more are to come."""
        self._total += count
        if self._bar is not None:
            self._bar.update(self._task, total=self._total)

    def advance(self, line: str) -> None:
        """One page is done."""
        if self._bar is not None:
            # Of a URL the end tells more than the beginning, which all have.
            text, room = printable(line), max(1, self._bar.console.width - _BESIDE_LAST)
            last = text if len(text) <= room else f"…{text[len(text) - room + 1 :]}"
            self._bar.update(self._task, advance=1, last=last)
        elif not self._is_quiet:
            try:
                sys.stdout.write(printable(line) + "\n")
            except OSError:
                # Who read along has left (`| head`), or the disk is full: the pass itself goes on.
                self._is_quiet = True


def line_of(result: Result) -> str:
    """One page of a pass on one line."""
    line = f"{result.outcome:<9} {result.seconds * 1000:6.0f} ms  {result.url}"
    return line if result.outcome.is_good else f"{line}  {result.verdict}: {result.reason}"


def _moment(seconds: float) -> str:
    if not seconds:
        return "never"
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} d"


def _size(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} KiB" if count < 1024**2 else f"{count / 1024**2:.1f} MiB"
