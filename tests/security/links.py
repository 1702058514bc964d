"""Links put in place of directories, leaves and files of the tree while pages are published: 0 writes outside.

Another process swaps them with links that lead to a directory of the same shape, so that whoever follows one finds
everything as expected, and writes there. Whatever is written shows: names, bytes, mtime and ctime of all that lies
outside are what they were.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from stage import files, marks
from tally import Tally
from versions import version

from staticify.encode import encode
from staticify.errors import TreeError
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import MARK, Place

COUNT = 1_000_000
"""Flips."""
PLACE = Place(("a.example", "2026"), MARK)
FLIPPER = Path(__file__).with_name("_flipper.py")
FEWEST = 3
"""Flips of each sort."""
FLIPS_PER_SECOND = 1000
"""A slow machine's."""
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
Step = Callable[[Tree, int], object]


def publish(tree: Tree, number: int) -> None:
    """A new version."""
    tree.publish(PLACE, Kind.HTML, encode(version(number)))


STEPS: tuple[tuple[Step, int], ...] = (
    (publish, 20),
    (lambda tree, _: tree.remove(PLACE), 2),
    (lambda tree, _: tree.sweep(), 1),
    (lambda tree, _: tree.tidy(), 1),
    (lambda tree, _: list(tree.scan()), 1),
)
"""What a daemon does to a tree, and how often."""


def make_outside(outside: Path) -> None:
    """In the shape of what lies below the tree's first directory, with what a sweep or a removal would take away."""
    leaf = outside / "2026" / MARK
    leaf.mkdir(parents=True)
    for suffix in ("", ".gz", ".br"):
        (leaf / f"index.html{suffix}").write_text("precious")
    for directory in (outside, outside / "2026"):
        (directory / f"{MARK}.new-0").mkdir()
        (directory / f"{MARK}.new-0/index.html").write_text("precious")
    (outside / "precious").write_text("precious")


def race(path: Path, count: int, seed: int, tally: Tally, *, has_exchange: bool, only: Step | None = None) -> None:
    """Work on a tree until somebody else has made so many flips in it. `only` stands for what a daemon does."""
    outside, chance = path / "outside", random.Random(seed)
    make_outside(outside)
    before = files(outside), marks(outside)
    with closing(Tree(path / "tree", may_link=not has_exchange, has_exchange=has_exchange)) as tree:
        tree.open()
        publish(tree, 0)
        (path / "tree/a.example/2026/stays").touch()
        # Who does something else than a daemon may never build what there is to flip.
        fewest = FEWEST if only is None else 0
        command = [sys.executable, *map(str, (FLIPPER, tree.path, outside, count, fewest, seed))]
        deadline = time.monotonic() + 30 + count / FLIPS_PER_SECOND
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as flipper:
            try:
                number = 0
                while flipper.poll() is None:
                    number += 1
                    step = only or chance.choices(*zip(*STEPS, strict=True))[0]
                    try:
                        step(tree, number)
                    except (TreeError, OSError) as error:
                        if not isinstance(error, TreeError) and step is publish:
                            tally.faults.append(f"not reported as it should be: {error!r}")
                        tally.counts["steps refused"] += 1
                    else:
                        tally.counts["steps done"] += 1
                    if time.monotonic() > deadline:
                        tally.faults.append("the flips did not come to their end in time")
                        break
            finally:
                flipper.kill()
            out, err = flipper.communicate()
        if flipper.returncode != 0:
            tally.faults.append(f"the flips ended: {err[-500:]}")
        else:
            tally.counts.update({f"flips, {name}": flips for name, flips in json.loads(out).items()})
        if (files(outside), marks(outside)) != before:
            tally.faults.append(f"written outside, seed {seed}, exchange {has_exchange}: {sorted(files(outside))}")


def run(count: int, seed: int) -> Tally:
    """So many flips, half of them in a tree of directories, half in one of links."""
    tally = Tally()
    for has_exchange in (True, False):
        with tempfile.TemporaryDirectory(dir=MEMORY) as name:
            race(Path(name), count // 2, seed, tally, has_exchange=has_exchange)
    return tally
