"""What `workers` and a process of `parser` say to each other, as bytes in frames.

A question is a pickle, of who started the process. An answer is JSON and bytes: what a parser makes of a hostile page
is not to be believed more than the page.
"""

from __future__ import annotations

import json
import pickle
import struct
from typing import IO, Any

from staticify.nouns import Answer, Cut, Outcome, Prepared, Verdict
from staticify.rules import Rules

_LENGTH = struct.Struct("!Q")


def send(stream: IO[bytes], content: bytes) -> None:
    """Write one frame. Raises OSError if nobody reads it."""
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes:
    """Read one frame. Raises EOFError if there is no whole one."""
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return _exactly(stream, length)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def packed_question(answer: Answer, rules: Rules) -> bytes:
    """An answer of WordPress, and the rules for it."""
    return pickle.dumps((answer, rules), protocol=pickle.HIGHEST_PROTOCOL)


def unpacked_question(content: bytes) -> tuple[Answer, Rules]:
    """The same, in the process that was started."""
    answer, rules = pickle.loads(content)  # noqa: S301  of who started this process
    return answer, rules


def packed_answer(prepared: Prepared) -> bytes:
    """What an answer of WordPress comes to."""
    said: dict[str, Any] = {
        "name": prepared.verdict.name,
        "outcome": prepared.verdict.outcome,
        "reason": prepared.verdict.reason,
        "cuts": [(cut.start, cut.end, cut.rule) for cut in prepared.cuts],
        "output_digest": prepared.output_digest,
        "missing": prepared.missing,
    }
    head = json.dumps(said).encode()
    return _LENGTH.pack(len(head)) + head + prepared.body


def unpacked_answer(content: bytes) -> Prepared:
    """The same, in the daemon. Raises ValueError for what is none."""
    try:
        (length,) = _LENGTH.unpack_from(content)
        said = json.loads(content[_LENGTH.size : _LENGTH.size + length])
        return Prepared(
            Verdict(str(said["name"]), Outcome(said["outcome"]), str(said["reason"])),
            content[_LENGTH.size + length :],
            tuple(Cut(int(start), int(end), str(rule)) for start, end, rule in said["cuts"]),
            str(said["output_digest"]),
            tuple(map(str, said["missing"])),
        )
    except (struct.error, KeyError, TypeError) as error:
        raise ValueError(f"not an answer of a parser: {error}") from None
