"""What a run of tests/faults or tests/security came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What was counted and measured, and what must not have been."""

    counts: Counter[str] = field(default_factory=Counter)
    figures: dict[str, str] = field(default_factory=dict)
    """What is no number of things, with its unit."""
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{count:>12,}  {name}" for name, count in sorted(self.counts.items())]
        lines += [f"{figure:>12}  {name}" for name, figure in self.figures.items()]
        return "\n".join([*lines, f"{len(self.faults):>12,}  faults"])


def quantiles(seconds: list[float]) -> str:
    """Median and maximum, for a table."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    return f"{ordered[len(ordered) // 2]:.2f} s, at most {ordered[-1]:.2f} s"
