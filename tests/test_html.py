"""Offsets of the parser lead back to the bytes of the origin."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from staticify.html import Document

PIECES = ["a", "é", "日", "😀", "\r\n", "\r", "\n", "\n\r", "\0", "\ufeff", "&amp;", "<br>", "<!-- x -->", "x" * 1023]


def ranges(body: bytes) -> list[bytes]:
    """The bytes of each <i> of a page."""
    document = Document(body)
    found = []
    for element in document.tree.select("i"):
        location = element.source_location
        assert location is not None
        assert location.start_tag is not None
        assert location.end_tag is not None
        start, end = location.start_tag.start_offset, location.end_tag.end_offset
        found.append(body[document.byte_offset(start) : document.byte_offset(end)])
        assert document.source(start, end).encode("utf-8", "surrogateescape") == found[-1]
    return found


@pytest.mark.parametrize(
    "before",
    [
        "",
        "x",
        "é",
        "日本",
        "😀",
        "\r\n",
        "\r",
        "\r\r\n\n",
        "\0",
        "\ufeff",
        "\ufeff<!doctype html>\r\n",
        "x" * 1023,
        "x" * 1024,
        "é" * 2048,
        "\r\n" * 1025,
    ],
)
def test_an_element_is_found_in_the_bytes(before: str) -> None:
    assert ranges(f"{before}<i>é</i>{before}<i>\r\n</i>".encode()) == ["<i>é</i>".encode(), b"<i>\r\n</i>"]


@pytest.mark.parametrize("broken", [b"\xff", b"\xc3", b"\xe6\x97", b"\xed\xa0\x80", b"\xf0\x9f\x98"])
def test_bytes_that_are_not_utf_8_stay_what_they_are(broken: bytes) -> None:
    assert ranges(broken + b"<i>" + broken + b"</i>" + broken) == [b"<i>" + broken + b"</i>"]


@given(
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=3).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
)
@settings(max_examples=100, deadline=None)
def test_every_element_is_found_in_any_text(pieces: list[str]) -> None:
    text = "".join(f"{piece.replace('<i', '')}<i>{number}</i>" for number, piece in enumerate(pieces))
    body = text.encode("utf-8", "surrogateescape")
    if "<" in text.replace("<i>", "").replace("</i>", "").replace("<br>", "").replace("<!-- x -->", ""):
        return  # Something else than what is looked for was begun.
    assert ranges(body) == [f"<i>{number}</i>".encode() for number in range(len(pieces))]


def test_the_end_of_the_text_is_the_end_of_the_bytes() -> None:
    for count in (0, 1, 1023, 1024, 1025, 2048):
        assert Document(b"x" * count).byte_offset(count) == count
        assert Document("é".encode() * count).byte_offset(count) == 2 * count


def test_a_byte_order_mark_is_no_text() -> None:
    body = "\ufeff<!doctype html><html><head><title>Hi</title></head><body class='a b'></body></html>".encode()
    assert Document(body).title == "Hi"
    assert Document(body).tree.equals(Document(body[3:]).tree)


@pytest.mark.parametrize(
    ("body", "title", "classes"),
    [
        (b"<title> A &amp; B\n</title><body class='x  y\tx'>", "A & B", {"x", "y"}),
        (b"<body><svg><title>no</title></svg>", "", set()),
        (b"", "", set()),
        (b"plain text", "", set()),
        (b"<body CLASS=x>", "", {"x"}),
    ],
)
def test_title_and_classes(body: bytes, title: str, classes: set[str]) -> None:
    document = Document(body)
    assert (document.title, set(document.body_classes)) == (title, classes)
