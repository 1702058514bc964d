"""Every variant says the same, and the same page gives the same bytes."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import brotli
import pytest
from hypothesis import given, settings, strategies as st

from staticify.encode import encode

SINGLE = (Path(__file__).parent / "pages" / "single.html").read_bytes()


@given(st.binary(max_size=2000), st.booleans())
@settings(max_examples=50, deadline=None)
def test_every_variant_decodes_to_the_body(body: bytes, is_dense: bool) -> None:  # noqa: FBT001
    variants = encode(body, is_dense=is_dense)
    assert variants.identity is body
    assert gzip.decompress(variants.gzip) == body
    assert brotli.decompress(variants.brotli) == body


@pytest.mark.parametrize("is_dense", [False, True])
def test_the_same_body_gives_the_same_bytes(*, is_dense: bool) -> None:
    variants = encode(SINGLE, is_dense=is_dense)
    assert variants == encode(bytes(SINGLE), is_dense=is_dense)
    # RFC 1952: no time, no name.
    assert (variants.gzip[:3], variants.gzip[3], variants.gzip[4:8]) == (b"\x1f\x8b\x08", 0, b"\0\0\0\0")
    # One member, and nothing after it.
    stream = zlib.decompressobj(wbits=31)
    assert stream.decompress(variants.gzip) == SINGLE
    assert (stream.eof, stream.unused_data) == (True, b"")


def test_denser_is_smaller_and_both_are_worth_it() -> None:
    fast, dense = encode(SINGLE), encode(SINGLE, is_dense=True)
    assert len(dense.gzip) < len(fast.gzip) < len(SINGLE) / 3
    assert len(dense.brotli) < len(fast.brotli) < len(SINGLE) / 3
    assert len(dense.brotli) < len(dense.gzip)


def test_the_suffixes_are_those_that_nginx_looks_for() -> None:
    variants = encode(b"x")
    assert variants.by_suffix == (("", b"x"), (".gz", variants.gzip), (".br", variants.brotli))
