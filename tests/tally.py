"""What a run of tests/faults or tests/security came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

Row = tuple[str, float | str, str]
"""A name, a number of things or a figure, and what there is to say of it."""


@dataclass
class Tally:
    """What was counted and measured, and what must not have been. A run with more to keep has a class of its own."""

    counts: Counter[str] = field(default_factory=Counter)
    figures: dict[str, str] = field(default_factory=dict)
    """What is no number of things, with its unit."""
    faults: list[str] = field(default_factory=list)

    def add(self, other: Self) -> None:
        """Count what one part of the run came to. Parts have no figures."""
        self.counts += other.counts
        self.faults += other.faults

    def rows(self) -> Iterator[Row]:
        """The table, less its last row."""
        yield from ((name, count, "") for name, count in sorted(self.counts.items()))
        yield from ((name, figure, "") for name, figure in self.figures.items())

    def __str__(self) -> str:
        rows = [*self.rows(), ("faults", len(self.faults), "")]
        width = max((len(name) for name, _, text in rows if text), default=0)
        return "\n".join(f"  {_shown(value):>12}  {name:{width}}  {text}".rstrip() for name, value, text in rows)


def _shown(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def quantiles(seconds: list[float]) -> str:
    """Median and maximum, for a table."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    return f"{ordered[len(ordered) // 2]:.2f} s, at most {ordered[-1]:.2f} s"
