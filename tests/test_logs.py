"""One line an event, whatever a site or a visitor says."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from staticify.logs import JsonFormatter, TextFormatter, printable, printable_json


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("x").makeRecord("x", logging.WARNING, "file", 1, message, (), None, extra=extra)
    made.created = datetime(2026, 11, 23, 10, 15, 0, 123_456, UTC).timestamp()
    return made


def text(message: str, **extra: object) -> str:
    return TextFormatter().format(record(message, **extra))


def test_no_field_is_long() -> None:
    message, fields = "m" * 100_000, {"reason": "r" * 5_000_000, "path": Path("p" * 100_000)}
    assert len(text(message, **fields)) < 13_000
    event = json.loads(JsonFormatter().format(record(message, **fields)))
    assert {name: len(event[name]) for name in ("message", "reason", "path")} == {
        "message": 4000, "reason": 4000, "path": 4000,
    }  # fmt: skip


HEAD = "2026-11-23T10:15:00Z warning "


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain é 日本 😀", "plain é 日本 😀"),
        ("a\nb", "a\\nb"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x00\x7f\x85\x9b", "\\x00\\x7f\\x85\\x9b"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("\u202egnp.exe\u202c", "\\u202egnp.exe\\u202c"),
        ("\u2066x\u2069\u200e\u200f\u061c", "\\u2066x\\u2069\\u200e\\u200f\\u061c"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_shown_and_not_sent(raw: str, shown: str) -> None:
    assert printable(raw) == shown
    assert text(raw) == HEAD + shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://a.example/?x=1", "https://a.example/?x=1"),
        (3, "3"),
        (None, "None"),
        ("", '""'),
        ("two words", '"two words"'),
        ('say "hi"', '"say \\"hi\\""'),
        ('"', '"\\""'),
        ("a\u00a0b", '"a\u00a0b"'),
        ("a\nlevel=error forged", '"a\\\\nlevel=error forged"'),
    ],
)
def test_what_goes_with_a_message(value: object, shown: str) -> None:
    assert text("page kept", url=value) == f"{HEAD}page kept url={shown}"


def test_several_fields_in_their_order() -> None:
    assert text("published", url="u", seconds=0.5, verdict="ok") == f"{HEAD}published url=u seconds=0.5 verdict=ok"


@given(st.text(), st.text())
def test_no_text_begins_a_line_of_its_own(message: str, value: str) -> None:
    for formatter in (TextFormatter(), JsonFormatter()):
        assert len(formatter.format(record(message, reason=value)).splitlines()) == 1


@given(st.text(), st.text())
def test_json_says_what_was_said(message: str, value: str) -> None:
    assert json.loads(JsonFormatter().format(record(message, reason=value))) == {
        "time": 1795428900.123,
        "level": "warning",
        "message": message,
        "reason": value,
    }


@given(st.text(st.characters()))
def test_a_json_document_says_the_same_and_sends_no_control_character(text: str) -> None:
    document = printable_json(json.dumps({"\u202e": [text]}, ensure_ascii=False, indent=2))
    # What is no character on its own is two halves of one.
    assert json.loads(document) == json.loads(json.dumps({"\u202e": [text]}))
    assert printable(document.replace("\n", "")) == document.replace("\n", "")
    assert document.count("\n") == 4


def test_json_of_what_json_does_not_know() -> None:
    event = json.loads(JsonFormatter().format(record("x", where={1, 2}.__class__, numbers=(1, 2), nothing=None)))
    assert event["where"] == "<class 'set'>"
    assert (event["numbers"], event["nothing"]) == ([1, 2], None)


def test_an_exception_stays_on_the_line() -> None:
    def fail() -> None:
        raise ValueError("first\nsecond")

    failed = record("failed")
    try:
        fail()
    except ValueError:
        failed.exc_info = sys.exc_info()
    line = TextFormatter().format(failed)
    assert line.startswith(f"{HEAD}failed Traceback (most recent call last):\\n")
    assert line.endswith("ValueError: first\\nsecond")
    assert len(line.splitlines()) == 1
    event = json.loads(JsonFormatter().format(failed))
    assert event["exception"].endswith("ValueError: first\nsecond")


@pytest.mark.parametrize(("log_format", "first"), [("text", "2"), ("json", "{")])
def test_the_program_logs_to_standard_error(log_format: str, first: str) -> None:
    program = (
        "import logging, sys; from staticify import logs; logs.set_up(sys.argv[1], 'info')\n"
        "logging.getLogger('a').info('hello'); logging.getLogger('a').debug('no')\n"
        "logging.getLogger('httpx').info('no')"
    )
    done = subprocess.run([sys.executable, "-c", program, log_format], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(first)
    assert "hello" in done.stderr
