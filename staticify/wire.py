"""What `workers` and a process of `parser` say to each other, as bytes in frames on a socket.

A question is pickles and the body, of who started the process. An answer is JSON: what a parser makes of a hostile page
is not to be believed more than the page. It may say what is cut, and cannot add a byte to what goes out.
"""

from __future__ import annotations

import functools
import json
import pickle
import struct
from collections.abc import Callable
from typing import Any, Protocol

from staticify.cuts import left_of
from staticify.nouns import Answer, Cut, Outcome, Prepared, Verdict
from staticify.rules import Rules

_LENGTH = struct.Struct("!Q")
MAX_BYTES = 256 * 2**20
"""Of a frame. A longer page ends the process, and is refused by that, whatever `max_bytes` allows."""
MAX_ANSWER_BYTES = 8 * 2**20
"""Of what a parser says: where to cut, and why."""
_PIECE_BYTES = 2**20


class Peer(Protocol):
    """The socket to the other end."""

    def settimeout(self, seconds: float, /) -> None:
        """From now on raise TimeoutError from what takes longer."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""

    def recv(self, count: int, /) -> bytes:
        """Some bytes, so many at most; none at the end."""


class Pipe(Protocol):
    """What a process reads that may wait for ever: a buffered file, which asks the system once for several frames."""

    def read(self, count: int, /) -> bytes:
        """So many bytes, fewer only at the end."""


def _framed(*frames: bytes) -> bytes:
    return b"".join(part for frame in frames for part in (_LENGTH.pack(len(frame)), frame))


def _set_deadline(peer: Peer, left: Callable[[], float]) -> None:
    seconds = left()
    if seconds <= 0:
        raise TimeoutError
    peer.settimeout(seconds)


def _the_answer(peer: Peer, left: Callable[[], float]) -> bytes:
    """The one frame that answers a question, in as few calls as it takes: a thread that calls gives the GIL away.

    Raises EOFError if there is no whole one, OSError as `ask`, ValueError if it is too long or more comes with it.
    """
    pieces: list[bytes] = []
    got, end = 0, _LENGTH.size
    while got < end:
        _set_deadline(peer, left)
        piece = peer.recv(_PIECE_BYTES)
        if not piece:
            raise EOFError
        is_headless = got < _LENGTH.size
        pieces.append(piece)
        got += len(piece)
        if is_headless and got >= _LENGTH.size:
            pieces = [b"".join(pieces)]
            (length,) = _LENGTH.unpack_from(pieces[0])
            if length > MAX_ANSWER_BYTES:
                raise ValueError(f"a frame of {length} bytes")
            end += length
    if got > end:
        raise ValueError(f"{got - end} bytes more than an answer")
    return b"".join(pieces)[_LENGTH.size :]


def _received(pipe: Pipe) -> bytes:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    if length > MAX_BYTES:
        raise ValueError(f"a frame of {length} bytes")
    frame = pipe.read(length)
    if len(frame) < length:
        raise EOFError
    return frame


def ask(peer: Peer, answer: Answer, rules: Rules, left: Callable[[], float]) -> Prepared:
    """What the process at the other end makes of an answer of WordPress.

    Raises EOFError or OSError if it ends, TimeoutError if it is late, ValueError if it says what makes no sense.
    """
    head = pickle.dumps((answer.status, answer.headers, answer.is_framed), pickle.HIGHEST_PROTOCOL)
    _set_deadline(peer, left)
    peer.sendall(_framed(_packed_rules(rules), head, answer.body))
    return unpacked_answer(_the_answer(peer, left), answer.body)


def question(pipe: Pipe) -> tuple[Answer, Rules]:
    """The next one, in the process that was started.

    Raises EOFError or OSError when nobody asks any more, ValueError for one that is too long.
    """
    rules, head, body = _received(pipe), _received(pipe), _received(pipe)
    status, headers, is_framed = pickle.loads(head)  # noqa: S301  of who started this process
    return Answer(status, headers, body, is_framed), _unpacked_rules(rules)


# The same few rules go with every page, and take longer to pack and to unpack than the page does to be sent.
@functools.lru_cache(maxsize=256)
def _packed_rules(rules: Rules) -> bytes:
    return pickle.dumps(rules, pickle.HIGHEST_PROTOCOL)


@functools.lru_cache(maxsize=256)
def _unpacked_rules(content: bytes) -> Rules:
    rules: Rules = pickle.loads(content)  # noqa: S301  of who started this process
    return rules


def answer_with(peer: Peer, prepared: Prepared) -> None:
    """Say what an answer of WordPress comes to. Raises OSError if nobody listens any more."""
    peer.sendall(_framed(packed_answer(prepared)))


def packed_answer(prepared: Prepared) -> bytes:
    """What an answer of WordPress comes to, without the body: the asker has that, and cuts it."""
    said: dict[str, Any] = {
        "name": prepared.verdict.name,
        "outcome": prepared.verdict.outcome,
        "reason": prepared.verdict.reason,
        "cuts": [(cut.start, cut.end, cut.rule) for cut in prepared.cuts],
        "output_digest": prepared.output_digest,
        "missing": prepared.missing,
    }
    return json.dumps(said).encode()


def unpacked_answer(content: bytes, body: bytes) -> Prepared:
    """The same, in the daemon, which cuts its `body` itself. Raises ValueError for what is no answer."""
    try:
        said = json.loads(content)
        verdict = Verdict(str(said["name"]), Outcome(said["outcome"]), str(said["reason"]))
        cuts = tuple(Cut(int(start), int(end), str(rule)) for start, end, rule in said["cuts"])
        output_digest, missing = str(said["output_digest"]), tuple(map(str, said["missing"]))
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not an answer of a parser: {error}") from None
    if not verdict.is_publishable:
        return Prepared(verdict)
    return Prepared(verdict, left_of(body, cuts), cuts, output_digest, missing)
