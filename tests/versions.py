"""Pages of numbered versions: what a reader finds is one of them as a whole, or torn."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import brotli
from scripted_origin import Script, answer, html

from staticify.nouns import Kind
from staticify.tree import SUFFIXES

DECODERS: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.decompress, "br": brotli.decompress}
"""By content coding, as in Content-Encoding."""
_DECODERS_OF_FILES = dict(zip(SUFFIXES, DECODERS.values(), strict=True))
_NUMBER = re.compile(rb"<title>(\d+) of ")


class Torn(Exception):
    """No version of the page as a whole."""


class Versions(dict[str, bytes | str | Script]):
    """Pages that change each time they are asked for, and how often each was."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(dict.fromkeys(paths, b""))
        self.sent: Counter[str] = Counter()

    def get(self, path: str, default: object = None) -> bytes | str | Script:
        """The next version of a page."""
        if path not in self:
            assert isinstance(default, bytes)
            return default
        self.sent[path] += 1
        return answer(version(self.sent[path], path))


def version(number: int, name: str = "/") -> bytes:
    """A page of one version; length and text change with it, and half of it is more than compressors can foretell."""
    text = hashlib.shake_256(f"{number} {name}".encode()).hexdigest(4000 + number % 500)
    return html(text, title=f"{number} of {name}").encode()


def number_of(body: bytes, name: str = "/") -> int:
    """Which version a body is."""
    found = _NUMBER.search(body)
    if found is None or version(number := int(found[1]), name) != body:
        raise Torn(f"{len(body)} bytes of {name} are no version: {body[:100]!r}...")
    return number


def decoded(coding: str, body: bytes) -> bytes:
    """What was encoded, if all of it is there."""
    try:
        return DECODERS[coding](body)
    except (OSError, EOFError, zlib.error, brotli.error) as error:
        raise Torn(f"{len(body)} bytes of {coding}: {error}") from error


def number_in(leaf: Path, name: str = "/") -> int:
    """The version that a leaf holds, the same in every variant. Raises FileNotFoundError if there is no leaf."""
    directory = os.open(leaf, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if sorted(os.listdir(directory)) != [f"index.{Kind.HTML}{suffix}" for suffix in sorted(SUFFIXES)]:
            raise Torn(f"{leaf} holds {os.listdir(directory)}")
        bodies = {_body(directory, suffix) for suffix in SUFFIXES}
        times = {os.stat(f"index.{Kind.HTML}{suffix}", dir_fd=directory).st_mtime_ns for suffix in SUFFIXES}
    finally:
        os.close(directory)
    if len(bodies) != 1 or len(times) != 1:
        raise Torn(f"{leaf} holds {len(bodies)} versions of {len(times)} times")
    return number_of(bodies.pop(), name)


def _body(directory: int, suffix: str) -> bytes:
    with open(os.open(f"index.{Kind.HTML}{suffix}", os.O_RDONLY, dir_fd=directory), "rb") as file:
        raw = file.read()
    try:
        return _DECODERS_OF_FILES[suffix](raw)
    except (OSError, EOFError, zlib.error, brotli.error) as error:
        raise Torn(f"index.html{suffix}: {error}") from error
