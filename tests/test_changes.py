"""The journal's answer: a good one as a value, and anything else refused with the reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from staticify.changes import MAX_TAGS, Changes, Entry, parse_changes, question
from staticify.errors import AnswerMalformed

ROW: dict[str, Any] = {
    "position": 1235,
    "time": 1763900000,
    "tags": ["post:12", "list:post"],
    "urls": ["https://example.org/new-post/"],
    "gone": ["https://example.org/old-slug/"],
}
GOOD: dict[str, Any] = {
    "version": 1,
    "journal": "4f1c",
    "position": 1236,
    "time": 1763900001,
    "start_over": False,
    "more": False,
    "entries": [ROW],
    "cron_due_at": 1763900060,
}
ENTRY = Entry(
    position=1235,
    tags=("post:12", "list:post"),
    urls=("https://example.org/new-post/",),
    gone=("https://example.org/old-slug/",),
)


def parsed(**changed: Any) -> Changes:
    """What a good answer is with some of its fields changed."""
    return parse_changes(json.dumps(GOOD | changed).encode())


def refused(body: bytes) -> str:
    """Why an answer is refused."""
    with pytest.raises(AnswerMalformed) as caught:
        parse_changes(body)
    return str(caught.value)


def test_the_question_says_where_the_last_one_ended() -> None:
    asked = {"journal": "4f1c", "since": 1234, "time": 1763900000}
    assert json.loads(question("4f1c", 1234, 1763900000)) == asked
    assert json.loads(question("", 0)) == {"journal": "", "since": 0, "time": 0}


# --- Good answers ----------------------------------------------------------------------------------------------------


def test_a_good_answer_as_the_protocol_shows_it() -> None:
    assert parsed() == Changes(
        journal="4f1c",
        position=1236,
        time=1763900001,
        is_start_over=False,
        is_more=False,
        entries=(ENTRY,),
        cron_due_at=1763900060.0,
    )


def test_an_answer_without_rows() -> None:
    assert parsed(entries=[], position=0, time=0, start_over=True, more=True, cron_due_at=None) == Changes(
        journal="4f1c", position=0, time=0, is_start_over=True, is_more=True, entries=(), cron_due_at=None
    )


def test_a_cron_time_that_is_left_out_is_none() -> None:
    body = {key: value for key, value in GOOD.items() if key != "cron_due_at"}
    assert parse_changes(json.dumps(body).encode()).cron_due_at is None


def test_a_plugin_that_does_not_say_when_the_last_row_was_written() -> None:
    body = {key: value for key, value in GOOD.items() if key != "time"}
    assert parse_changes(json.dumps(body).encode()).time == 0


def test_what_is_unknown_is_passed_over() -> None:
    assert parsed(entries=[ROW | {"user": 5}], news="x") == parsed()


def test_rows_come_in_the_order_of_their_positions() -> None:
    rows = [ROW | {"position": position} for position in (7, 3, 2**63 - 1, 5)]
    assert [entry.position for entry in parsed(entries=rows).entries] == [3, 5, 7, 2**63 - 1]


@pytest.mark.parametrize(
    ("tags", "read"),
    [
        ([], ()),
        (["site"], ("site",)),
        (["post:12", "post:ü"], ("post:12", "*")),
        (["post 12", "term:5"], ("term:5", "*")),
        ([""], ("*",)),
        (["x" * 201], ("*",)),
        (["post:\ud800"], ("*",)),
    ],
)
def test_a_tag_that_cannot_be_one_stands_for_any(tags: list[str], read: tuple[str, ...]) -> None:
    assert parsed(entries=[ROW | {"tags": tags}]).entries[0].tags == read


def test_a_row_with_too_many_tags_is_about_everything_and_loses_no_page() -> None:
    tags = [f"post:{number}" for number in range(MAX_TAGS + 1)]
    paths = [f"/{number}/" for number in range(MAX_TAGS + 1)]
    assert parsed(entries=[ROW | {"tags": tags[1:]}]).entries[0].tags == tuple(tags[1:])
    (entry,) = parsed(entries=[ROW | {"tags": tags, "urls": paths, "gone": paths}]).entries
    assert entry == Entry(ROW["position"], ("site",), tuple(paths), tuple(paths))


# --- What is none ----------------------------------------------------------------------------------------------------

_JSON_VALUES: tuple[Any, ...] = (None, True, 5, -1, 2.5, 2**63, "x", [], ["x"], {}, {"x": 1})


def values_but(*kinds: str) -> list[Any]:
    """Every kind of JSON value but those named."""
    by_kind = dict(
        zip(
            ("null", "bool", "int", "negative", "float", "huge", "str", "list", "texts", "dict", "object"),
            _JSON_VALUES,
            strict=True,
        )
    )
    return [value for kind, value in by_kind.items() if kind not in kinds]


NUMBER = "a whole number of 0 to 9223372036854775807"
WRONG = [
    (key, value, f"{key!r} in the answer of the journal is not {wanted}")
    for key, wanted, kinds in (
        ("version", NUMBER, ("int",)),
        ("journal", "a text", ("str",)),
        ("position", NUMBER, ("int",)),
        ("start_over", "true or false", ("bool",)),
        ("more", "true or false", ("bool",)),
        ("time", NUMBER, ("int",)),
        ("entries", "a list", ("list", "texts")),
        ("cron_due_at", NUMBER, ("null", "int")),
    )
    for value in values_but(*kinds)
]
WRONG_IN_A_ROW = [
    (key, value, f"{key!r} in a row of the journal is not {wanted}")
    for key, wanted, kinds in (
        ("position", NUMBER, ("int",)),
        ("tags", "a list", ("list", "texts")),
        ("urls", "a list", ("list", "texts")),
        ("gone", "a list", ("list", "texts")),
    )
    for value in values_but(*kinds)
] + [
    (key, [value, "x"], f"{key!r} in a row of the journal is not a list of texts")
    for key in ("tags", "urls", "gone")
    for value in values_but("str")
]


def named(row: tuple[str, Any, str]) -> str:
    return f"{row[0]} {row[1]}"


@pytest.mark.parametrize(("key", "value", "reason"), WRONG, ids=map(named, WRONG))
def test_a_field_of_another_type_is_refused(key: str, value: Any, reason: str) -> None:
    assert refused(json.dumps(GOOD | {key: value}).encode()) == reason


@pytest.mark.parametrize(("key", "value", "reason"), WRONG_IN_A_ROW, ids=map(named, WRONG_IN_A_ROW))
def test_a_row_with_a_field_of_another_type_is_refused(key: str, value: Any, reason: str) -> None:
    assert refused(json.dumps(GOOD | {"entries": [ROW, ROW | {key: value}]}).encode()) == reason


@pytest.mark.parametrize("key", [key for key in GOOD if key not in {"time", "cron_due_at"}])
def test_a_field_that_is_missing_is_refused(key: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != key}
    assert refused(json.dumps(body).encode()).startswith(f"{key!r} in the answer of the journal is not ")


@pytest.mark.parametrize("key", ["position", "tags", "urls", "gone"])
def test_a_row_that_lacks_a_field_is_refused(key: str) -> None:
    row = {name: value for name, value in ROW.items() if name != key}
    reason = refused(json.dumps(GOOD | {"entries": [row]}).encode())
    assert reason.startswith(f"{key!r} in a row of the journal is not ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the journal's answer is not JSON"),
        (b"<!DOCTYPE html>", "the journal's answer is not JSON"),
        (b"\xff\xfe\xfd", "the journal's answer is not JSON"),
        (b"[" * 100_000, "the journal's answer is not JSON"),
        (b'{"version": ' + b"9" * 5000 + b"}", "the journal's answer is not JSON"),
        (json.dumps(GOOD).encode()[:-1], "the journal's answer is not JSON"),
        (json.dumps(GOOD).encode() + b"<!-- 0.1 s -->", "the journal's answer is not JSON"),
        (b"[]", "the answer of the journal is not an object"),
        (b"null", "the answer of the journal is not an object"),
        (b'"x"', "the answer of the journal is not an object"),
        (json.dumps(GOOD | {"entries": [[]]}).encode(), "a row of the journal is not an object"),
        (json.dumps(GOOD | {"entries": ["x"]}).encode(), "a row of the journal is not an object"),
        (json.dumps(GOOD | {"version": 2}).encode(), "the plugin speaks version 2 of the protocol, not 1"),
        (json.dumps({"version": 0}).encode(), "the plugin speaks version 0 of the protocol, not 1"),
        (
            json.dumps(GOOD | {"position": 10**400}).encode(),
            "'position' in the answer of the journal is not " + NUMBER,
        ),
        # Beyond what a float holds.
        (
            json.dumps(GOOD | {"cron_due_at": 10**400}).encode(),
            "'cron_due_at' in the answer of the journal is not " + NUMBER,
        ),
        (
            json.dumps(GOOD).replace("1763900060", "NaN").encode(),
            "'cron_due_at' in the answer of the journal is not " + NUMBER,
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_answer_is_refused(body: bytes, reason: str) -> None:
    assert refused(body) == reason


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(GOOD | ROW)), inner, max_size=4),
    max_leaves=8,
)


# Beside other work it may take longer to think of such an answer than to read it.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(list(GOOD)), _values), st.dictionaries(st.sampled_from(list(ROW)), _values))
def test_any_json_is_an_answer_or_malformed(changed: dict[str, Any], row: dict[str, Any]) -> None:
    body = GOOD | {"entries": [ROW | row]} | changed
    try:
        parse_changes(json.dumps(body).encode())
    except AnswerMalformed as error:
        assert "of the journal" in str(error) or "version" in str(error)  # noqa: PT017  a good answer is as good


@given(st.binary(max_size=40))
def test_any_bytes_are_malformed(body: bytes) -> None:
    assert refused(body)


@pytest.mark.parametrize(
    ("direct", "path"),
    [
        ("/wp-content/mu-plugins/staticify/direct.php", "/wp-content/mu-plugins/staticify/direct.php"),
        ("/blog/wp-content/plugins/staticify/direct.php", "/blog/wp-content/plugins/staticify/direct.php"),
        ("", ""),
        (None, ""),
        (7, ""),
        ("//elsewhere.example/direct.php", ""),
        ("http://elsewhere.example/direct.php", ""),
        ("/direct.php?x=1", ""),
        ("/direct.php\r\nHost: x", ""),
        ("/direct.php\n", ""),
        ("/" + "x" * 2000, ""),
    ],
)
def test_the_shorter_way_is_a_path_of_the_site_or_none(direct: object, path: str) -> None:
    assert parse_changes(json.dumps(GOOD | {"direct": direct}).encode()).direct == path
