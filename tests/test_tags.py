"""Labels: what is read of a header field, and which pages a change concerns."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, strategies as st

from staticify.tags import MAX_LABEL_BYTES, TagIndex, family, is_from_visitors, is_tag, parse_label
from staticify.urls import Page

# --- One label -------------------------------------------------------------------------------------------------------

LONGEST = "x" * 200


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", ()),
        (" \t ", ()),
        ("site", ("site",)),
        ("site post:12 term:5 user:1 list:post", ("site", "post:12", "term:5", "user:1", "list:post")),
        # A field that stands twice is joined with a comma (RFC 9110 section 5.2).
        ("site post:12, term:5,menu:3", ("site", "post:12", "term:5", "menu:3")),
        ("  post:12   post:12 term:5  post:12 ", ("post:12", "term:5")),
        ("list:post/term:5 template:twenty//home *", ("list:post/term:5", "template:twenty//home", "*")),
        ("post:*", ("post:*",)),
        (f"site {LONGEST}", ("site", LONGEST)),
        # What cannot be a tag may have been any.
        (f"site {LONGEST}x", ("*",)),
        ("site post:ü", ("*",)),
        ("site post:\x7f", ("*",)),
        ("site post:\x00 term:5", ("*",)),
        ("post:1 " * (MAX_LABEL_BYTES // 7), ("post:1",)),
        ("post:1 " * (MAX_LABEL_BYTES // 7 + 1), ("*",)),
    ],
)
def test_a_label_is_read_once_each_or_means_every_change(text: str, tags: tuple[str, ...]) -> None:
    assert parse_label(text) == tags


@given(st.text())
def test_any_text_is_a_label(text: str) -> None:
    assert all(map(is_tag, parse_label(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("post:12", True),
        ("*", True),
        ("!~", True),
        (LONGEST, True),
        ("", False),
        (LONGEST + "x", False),
        ("post 12", False),
        ("post:12\n", False),
        ("\n", False),
        ("post:é", False),
        ("post:\ud800", False),
    ],
)
def test_a_tag_is_printable_and_bounded(text: str, *, expected: bool) -> None:
    assert is_tag(text) is expected


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("post:12", "post"),
        ("list:post/term:5", "list"),
        ("template:theme//home:x", "template"),
        ("comments", "comments"),
        ("comments:12", "comments"),
        ("*", "*"),
        (":12", ""),
    ],
)
def test_the_family_stands_before_the_first_colon(tag: str, expected: str) -> None:
    assert family(tag) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (("comments", "comments:12", "count:12"), True),
        (("comments:12", "post:12"), False),
        (("site",), False),
        (("*",), False),
        (("commentsx",), False),
        ((), False),
    ],
)
def test_comments_alone_come_from_visitors(tags: tuple[str, ...], *, expected: bool) -> None:
    assert is_from_visitors(tags) is expected


# --- The index -------------------------------------------------------------------------------------------------------


def page(path: str) -> Page:
    return Page("https", "example.org", path)


LABELS = {
    "/": ("site", "list:post", "post:1", "post:2", "count:1"),
    "/one/": ("site", "post:1", "term:5", "comments:1", "count:1", "near:1"),
    "/two/": ("site", "post:2"),
    "/many/": ("site", "post:*"),
    "/lists/": ("site", "list:*"),
    "/unknown/": ("*",),
    "/unlabelled/": (),
}


def index_of(labels: dict[str, tuple[str, ...]]) -> TagIndex:
    index = TagIndex()
    for path, tags in labels.items():
        index.put(page(path), tags)
    return index


def concerned(index: TagIndex, tags: Iterable[str]) -> set[str]:
    return {one.path for one in index.pages_of(tags)}


@pytest.mark.parametrize(
    ("tags", "paths"),
    [
        ((), set()),
        (("post:1",), {"/", "/one/", "/many/", "/unknown/"}),
        (("post:99",), {"/many/", "/unknown/"}),
        (("term:5",), {"/one/", "/unknown/"}),
        (("term:5", "post:2"), {"/", "/one/", "/two/", "/many/", "/unknown/"}),
        (("list:post",), {"/", "/lists/", "/unknown/"}),
        (("list:post/term:5",), {"/lists/", "/unknown/"}),
        (("comments",), {"/unknown/"}),
        (("comments:1",), {"/one/", "/unknown/"}),
        (("count:1",), {"/", "/one/", "/unknown/"}),
        # Whole names, not their beginnings.
        (("post:",), {"/many/", "/unknown/"}),
        (("pos",), {"/unknown/"}),
        (("post:*",), {"/many/", "/unknown/"}),
        (("site",), set(LABELS)),
        (("*",), set(LABELS)),
        (("term:5", "site"), set(LABELS)),
        (iter(("term:5", "near:1")), {"/one/", "/unknown/"}),
    ],
)
def test_a_change_concerns_the_pages_that_carry_one_of_its_tags(tags: Iterable[str], paths: set[str]) -> None:
    assert concerned(index_of(LABELS), tags) == paths


def test_a_new_label_takes_the_place_of_the_old_one() -> None:
    index = index_of(LABELS)
    index.put(page("/one/"), ("site", "post:1", "term:6"))
    assert {tag: concerned(index, [tag]) - {"/unknown/"} for tag in ("term:5", "term:6", "comments:1", "post:1")} == {
        "term:5": set(),
        "term:6": {"/one/"},
        "comments:1": set(),
        "post:1": {"/", "/one/", "/many/"},
    }
    index.put(page("/one/"), ())
    index.put(page("/unknown/"), ("site",))
    assert concerned(index, ["term:6", "near:1"]) == set()
    assert concerned(index, ["site"]) == set(LABELS)


def test_a_page_that_is_dropped_is_concerned_by_nothing_any_more() -> None:
    index = index_of(LABELS)
    for path in ("/one/", "/unknown/", "/never/", "/one/"):
        index.drop(page(path))
    assert concerned(index, ["site"]) == set(LABELS) - {"/one/", "/unknown/"}
    assert concerned(index, ["post:1", "term:5", "near:1"]) == {"/", "/many/"}


def test_nothing_is_left_of_pages_and_questions_that_are_over() -> None:
    index = index_of(LABELS)
    for path in LABELS:
        concerned(index, [f"post:{path}", "user:9"])
        index.drop(page(path))
    assert (dict(index._pages), index._tags) == ({}, {})


def test_who_gets_the_pages_may_do_with_them_what_they_want() -> None:
    index = index_of(LABELS)
    for tags in (["site"], ["post:1"], ["term:5"]):
        index.pages_of(tags).clear()
        assert concerned(index, tags)
