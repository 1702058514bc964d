"""Every key and list element gets its own line, whatever TOML spelling it has."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from staticify.toml_lines import Location, lines_of

TABLE: list[tuple[str, str, dict[Location, int]]] = [
    ("nothing", "", {}),
    ("comments only", "# a = 1\n\n  # [b]\n", {}),
    ("bare keys", "a = 1\nb-2 = true\n", {("a",): 1, ("b-2",): 2}),
    ("no line feed at the end", "\n\na=1", {("a",): 3}),
    ("carriage returns", "a = 1\r\n\r\nb = 2\r\n", {("a",): 1, ("b",): 3}),
    ("comments after values", "a = 1 # b = 2\nc = '#' # d\ne = 3", {("a",): 1, ("c",): 2, ("e",): 3}),
    ("dotted keys", "a . b.c = 1\na.d = 2", {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 1, ("a", "d"): 2}),
    ("quoted keys", '"a.b" = 1\n\'c"\' = 2\n"\\u0041\\"" = 3', {("a.b",): 1, ('c"',): 2, ('A"',): 3}),
    ("dates with a space", "a = 1979-05-27 07:32:00 # x\nb = 1", {("a",): 1, ("b",): 2}),
    (
        "tables",
        "[a]\nb = 1\n[ c . 'd' ]\ne = 2",
        {("a",): 1, ("a", "b"): 2, ("c",): 3, ("c", "d"): 3, ("c", "d", "e"): 4},
    ),
    (
        "arrays of tables",
        "[[site]]\nurl = 1\n\n[[site]] # second\nurl = 2\n",
        {("site",): 1, ("site", 0): 1, ("site", 0, "url"): 2, ("site", 1): 4, ("site", 1, "url"): 5},
    ),
    (
        "arrays of tables in arrays of tables",
        "[[s]]\n[[s.g]]\n[[s.g]]\na=1\n[[s]]\n[[s.g]]\n[s.t]\nb=1",
        {
            ("s",): 1,
            ("s", 0): 1,
            ("s", 0, "g"): 2,
            ("s", 0, "g", 0): 2,
            ("s", 0, "g", 1): 3,
            ("s", 0, "g", 1, "a"): 4,
            ("s", 1): 5,
            ("s", 1, "g"): 6,
            ("s", 1, "g", 0): 6,
            ("s", 1, "t"): 7,
            ("s", 1, "t", "b"): 8,
        },
    ),
    (
        "list elements",
        'a = [\n  "x", # first\n  # "not"\n  "]",\n\n  "y"\n]\nb = [1, 2,]',
        {("a",): 1, ("a", 0): 2, ("a", 1): 4, ("a", 2): 6, ("b",): 8, ("b", 0): 8, ("b", 1): 8},
    ),
    (
        "lists in lists",
        "a = [[],\n[1,\n2]]",
        {("a",): 1, ("a", 0): 1, ("a", 1): 2, ("a", 1, 0): 2, ("a", 1, 1): 3},
    ),
    (
        "inline tables",
        "a = {b = 1, c.d = '}', e = {}}\nf = [{g = 1},\n{g = 2}]",
        {
            ("a",): 1,
            ("a", "b"): 1,
            ("a", "c"): 1,
            ("a", "c", "d"): 1,
            ("a", "e"): 1,
            ("f",): 2,
            ("f", 0): 2,
            ("f", 0, "g"): 2,
            ("f", 1): 3,
            ("f", 1, "g"): 3,
        },
    ),
    ("text that looks like keys", 'a = """\nb = 1\n[c]\n"""\nd = 1', {("a",): 1, ("d",): 5}),
    ("literal text that looks like keys", "a = '''\nb = \"\"\"\n'''\nd = 1", {("a",): 1, ("d",): 4}),
    (
        "escapes",
        'a = "\\"\\\\"\nb = """\\"""\\\\"""\nc = \'\\\'\nd = """x\\\n  y"""\ne=1',
        {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4, ("e",): 6},
    ),
    (
        "quotes before the closing ones",
        'a = """x"""""\nb = \'\'\'x\'\'\'\'\'\nc = """"""\nd = ""',
        {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4},
    ),
]


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_lines(text: str, expected: dict[Location, int]) -> None:
    assert tomllib.loads(text) is not None
    assert lines_of(text) == expected


@pytest.mark.parametrize("text", ["a", "a = ", "[a", "a = [1", "a = {b = 1", "= 1", "a = 'x", "[a]]"])
def test_what_is_not_toml_ends_in_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not TOML"):
        lines_of(text)


def _locations(value: Any, location: Location = ()) -> set[Location]:
    """Where everything stands in the data that tomllib reads."""
    found = {location} if location else set()
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for name, inner in items:
        found |= _locations(inner, (*location, name))
    return found


_names = st.text(alphabet="ab-1.\"'\\ é#[]=", min_size=1, max_size=4)
_texts = st.text(alphabet="ab\"'\\\n#[]{},=é ", max_size=8)
_values = st.recursive(
    st.integers(-9, 9) | st.booleans() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)


def _written(value: Any) -> str:
    """A value in TOML, lists over several lines. JSON's strings are TOML's as well."""
    if isinstance(value, list):
        return "[" + "".join(f"\n  {_written(inner)}, # ]" for inner in value) + "\n]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_written(inner)}" for name, inner in value.items()) + "}"
    return json.dumps(value)


@given(st.dictionaries(_names, _values, max_size=3), st.lists(st.dictionaries(_names, _values, max_size=3), max_size=3))
def test_every_location_that_tomllib_reads_has_a_line_and_no_other(
    top: dict[str, Any], tables: list[dict[str, Any]]
) -> None:
    pairs = [f"{json.dumps(name)} = {_written(value)}" for name, value in top.items()]
    for table in tables:
        pairs.append("[[table]]")
        pairs.extend(f"{json.dumps(name)} = {_written(value)}" for name, value in table.items())
    text = "\n".join(pairs)

    assert set(lines_of(text)) == _locations(tomllib.loads(text))


@given(st.text(alphabet="ab.[]{}=\"',#\n\r\\1 ", max_size=40))
def test_any_text_that_tomllib_reads_has_lines(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(lines_of(text)) == _locations(data)
