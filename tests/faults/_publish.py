"""Lives of a process with a tree: open, sweep, publish one page, close. To be watched, killed and lied to by strace.

For each line of standard input, TREE exchange|link NUMBER, a process is forked, which stops itself before its life
begins. What is printed is its id, and once it has ended its exit status: 0, or 3 after a TreeError that says why.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).parents[1]))

from versions import version

from staticify.encode import encode
from staticify.errors import TreeError
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import MARK, Place

PLACE = Place(("a.example", "2026"), MARK)
REPORTED = 3
BEGIN, END = "/begin-of-life", "/end-of-life"
"""No such files: that they are asked for shows in the trace."""


def tree_of(path: Path, way: str) -> Tree:
    """A tree that publishes in one of the two ways; the first of them finds out by itself that it may."""
    return Tree(path) if way == "exchange" else Tree(path, may_link=True, has_exchange=False)


def live(tree: Tree, number: int) -> int:
    """Everything that is to be watched."""
    variants = encode(version(number))
    _mark(BEGIN)
    try:
        tree.open()
        try:
            tree.sweep()
            tree.publish(PLACE, Kind.HTML, variants)
        finally:
            tree.close()
    except TreeError as error:
        os.write(2, str(error).encode())
        return REPORTED
    _mark(END)
    return 0


def _mark(name: str) -> None:
    with contextlib.suppress(OSError):
        os.stat(name)


def _live_and_exit(path: Path, way: str, number: int) -> NoReturn:
    status = 1
    try:
        os.dup2(os.open(f"{path}.err", os.O_WRONLY | os.O_CREAT), 2)
        tree = tree_of(path, way)
        os.kill(os.getpid(), signal.SIGSTOP)
        status = live(tree, number)
    except BaseException:  # noqa: BLE001  whatever it is, it is what is looked for
        traceback.print_exc()
    finally:
        os._exit(status)


def serve() -> None:
    """Fork for each line."""
    for line in sys.stdin:
        path, way, number = line.split()
        process = os.fork()
        if process == 0:
            _live_and_exit(Path(path), way, int(number))
        os.waitpid(process, os.WUNTRACED)
        _say(process)
        _, status = os.waitpid(process, 0)
        _say(os.waitstatus_to_exitcode(status))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
