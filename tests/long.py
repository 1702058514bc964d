"""The long runs of what tests/faults and tests/security run shortly: one command, a seed, a count.

    python tests/long.py                                       what there is, and how much of it counts as long
    python tests/long.py kills [--count 1000] [--seed 1]       one of them
    python tests/long.py all                                   each, one after the other

Prints what was counted; exit status 1 if anything was found that must not be.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Protocol, cast

sys.path.insert(0, str(Path(__file__).parent))

PLACES = ("faults", "security")


class Tally(Protocol):
    """What a run came to. As text it is a short table."""

    faults: list[str]
    """What must not be, each with what is needed to see it again."""


class Run(Protocol):
    """A module with a run in it. Its docstring says in the first line what it shows."""

    COUNT: int
    """How much a long run does."""
    __doc__: str | None

    @staticmethod
    def run(count: int, seed: int) -> Tally:
        """Do it."""


def modules() -> dict[str, str]:
    """Each run's name, and the module that has it."""
    here = Path(__file__).parent
    return {
        path.stem: f"{place}.{path.stem}"
        for place in PLACES
        for path in sorted((here / place).glob("*.py"))
        if not path.stem.startswith(("test_", "_"))
    }


def main() -> int:
    """Run what was asked for."""
    found = modules()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", choices=[*found, "all"])
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    names = list(found) if arguments.name in {None, "all"} else [arguments.name]
    runs = {name: cast(Run, importlib.import_module(found[name])) for name in names}
    if arguments.name is None:
        for name, run in runs.items():
            print(f"{name:12} {run.COUNT:>10,}  {(run.__doc__ or '').splitlines()[0]}")
        return 0
    is_good = True
    for name, run in runs.items():
        count, started = arguments.count or run.COUNT, time.monotonic()
        tally = run.run(count, arguments.seed)
        print(
            f"{name}: count {count:,}, seed {arguments.seed}, {time.monotonic() - started:.0f} s\n{tally}", flush=True
        )
        for fault in tally.faults[:20]:
            print(f"  FAULT {fault}")
        is_good = is_good and not tally.faults
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
