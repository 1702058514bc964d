"""Somebody who may write to the tree, and puts links where directories are, as fast as it goes.

    python _flipper.py TREE OUTSIDE COUNT FEWEST SEED

The tree has the page DIRECTORIES/LEAF of `links`. Goes on past COUNT until there were FEWEST of each sort: what is
being built can be met only while its writer stands still, which on one processor is seldom. Prints how many flips there
were of each sort, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from staticify.filesystem import exchange
from staticify.urls import MARK

SORTS = ("host", "directory", "leaf", "unfinished leaf", "file to be written")
BURST = 50
"""Flips of one sort after another: levels near the root would otherwise hide those below."""


@dataclass
class Flipper:
    """Knows the directories from the time when all of them were real, and so never leaves the tree itself."""

    outside: Path
    chance: random.Random
    tree: int
    host: int
    parent: int
    seen: set[str] = field(default_factory=set)
    """Names of leaves that are not new any more: built, or replaced."""
    counts: Counter[str] = field(default_factory=Counter)

    def flip(self, directory: int, name: str, outside: Path, what: str) -> None:
        """Swap what stands there with a link, or a link with what stood there."""
        aside = f"aside-{what}"
        if not any(_is_link(directory, one) for one in (name, aside)):
            _clear(directory, aside)
            os.symlink(outside, aside, dir_fd=directory)
        try:
            exchange(directory, aside, name)
        except FileNotFoundError:
            if _is_link(directory, aside):
                return
            os.rename(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
        self.counts[what] += 1

    def flip_host(self) -> None:
        """The first directory."""
        self.flip(self.tree, "a.example", self.outside, "host")

    def flip_directory(self) -> None:
        """One on the way."""
        self.flip(self.host, "2026", self.outside / "2026", "directory")

    def flip_leaf(self) -> None:
        """The page itself."""
        self.flip(self.parent, MARK, self.outside / "2026" / MARK, "leaf")

    def flip_unfinished(self) -> None:
        """What is being built: the directory, or a file that is not there yet."""
        names = {name for name in os.listdir(self.parent) if name.startswith(f"{MARK}.")}
        new, self.seen = names - self.seen, names
        for name in new:
            if self.chance.random() < 0.5:
                os.rename(name, f"aside-{name[1:]}", src_dir_fd=self.parent, dst_dir_fd=self.parent)
                os.symlink(self.outside / "2026" / MARK, name, dir_fd=self.parent)
                self.counts["unfinished leaf"] += 1
                _clear(self.parent, f"aside-{name[1:]}")
            else:
                built = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self.parent)
                try:
                    os.symlink(
                        self.outside / "precious", f"index.html{self.chance.choice(['', '.gz', '.br'])}", dir_fd=built
                    )
                finally:
                    os.close(built)
                self.counts["file to be written"] += 1

    def settle(self) -> None:
        """Leave directories where there were directories."""
        for directory, name, what in ((self.tree, "a.example", "host"), (self.host, "2026", "directory")):
            if _is_link(directory, name):
                os.unlink(name, dir_fd=directory)
                os.rename(f"aside-{what}", name, src_dir_fd=directory, dst_dir_fd=directory)


def _is_link(directory: int, name: str) -> bool:
    try:
        os.readlink(name, dir_fd=directory)
    except OSError:
        return False
    return True


def _clear(directory: int, name: str) -> None:
    """Take away what is the flipper's own, links as links."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        shutil.rmtree(name, dir_fd=directory)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)


def main() -> None:
    """Flip until it is enough."""
    tree, outside, count, fewest, seed = sys.argv[1:]
    root = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    host = os.open("a.example", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
    parent = os.open("2026", os.O_RDONLY | os.O_DIRECTORY, dir_fd=host)
    flipper = Flipper(Path(outside), random.Random(int(seed)), root, host, parent)
    swaps = (flipper.flip_host, flipper.flip_directory, flipper.flip_leaf)
    while flipper.counts.total() < int(count) or any(flipper.counts[sort] < int(fewest) for sort in SORTS):
        # What is being built is there for a moment only: it is looked for as often as all else.
        for flip in (flipper.chance.choice(swaps), flipper.flip_unfinished):
            for _ in range(BURST):
                # Staticify takes away what was about to be swapped.
                with contextlib.suppress(OSError):
                    flip()
            flipper.settle()
    sys.stdout.write(json.dumps(flipper.counts))


if __name__ == "__main__":
    main()
