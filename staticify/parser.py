"""A process that prepares answers for another one: what ends the HTML parser ends this, and no daemon.

`python -P -m staticify.parser`, started by `workers` alone. Its standard input is the socket on which it is asked.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
from pathlib import Path

from staticify import wire
from staticify.prepare import prepare

MOST_BYTES = 768 * 2**20
"""Of addresses. A page of 130 KB can be written that takes 1 GB in the parser; one of 8 MiB takes 744 MiB at most."""

MOST_SECONDS = 60
"""For one page."""


def main() -> None:
    """Answer until nobody asks any more."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    with contextlib.suppress(OSError):
        # Where memory runs out all the same, this goes first, and no daemon.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    # Who asks decides when this ends, and may still be waiting when everybody is told to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError), socket.socket(fileno=0) as peer, peer.makefile("rb") as questions:
        while True:
            answer, rules = wire.question(questions)
            # Who asks gives up long before; but whoever was killed meanwhile does not.
            signal.alarm(MOST_SECONDS)
            wire.answer_with(peer, prepare(answer, rules))
            signal.alarm(0)


if __name__ == "__main__":
    main()
