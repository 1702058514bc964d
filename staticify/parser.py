"""A process that prepares answers for another one: what ends the HTML parser ends this, and no daemon.

`python -P -m staticify.parser`, started by `workers` alone: questions on standard input, answers on standard output.
"""

from __future__ import annotations

import signal
import sys

from staticify import wire
from staticify.prepare import prepare


def main() -> None:
    """Answer until nobody asks any more."""
    # Who asks decides when this ends, and may still be waiting when everybody is told to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        while True:
            answer, rules = wire.unpacked_question(wire.receive(sys.stdin.buffer))
            wire.send(sys.stdout.buffer, wire.packed_answer(prepare(answer, rules)))
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
