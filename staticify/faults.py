"""Faults of a configuration, in the operator's words: what tomllib and pydantic say, with key, line and remedy.

Nothing here knows which settings there are: their descriptions are given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import ErrorDetails

from staticify.errors import Fault
from staticify.toml_lines import Location, lines_of

_TOML_ERROR = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_TOML_HINTS = {
    "Cannot overwrite a value": "the same key stands here a second time",
    "Expected newline or end of document after a statement": "the line goes on after its value; a text needs quotes",
    "Invalid value": "no valid value; a text needs quotes, a list its closing bracket",
}


def syntax_fault(text: str, error: ValueError | RecursionError) -> Fault:
    """The one fault of a text that is no TOML at all: nothing can be said about what follows."""
    if isinstance(error, UnicodeEncodeError):
        return Fault("", "half a surrogate pair is not UTF-8", text.count("\n", 0, error.start) + 1)
    if isinstance(error, RecursionError):
        return Fault("", "not TOML that can be read: brackets are nested too deep")
    match = _TOML_ERROR.fullmatch(str(error))
    if match is None:
        # Python itself refuses integers of thousands of digits, and does not say where.
        return Fault("", "not TOML that can be read: a number has too many digits")
    message, line, column = match.groups()
    message = _TOML_HINTS.get(message, message)
    if line is None:
        return Fault("", f"not TOML: {message}, at the end of the file", text.rstrip("\n").count("\n") + 1)
    return Fault("", f"not TOML: {message}, at column {column}", int(line))


def value_fault(  # noqa: C901, PLR0912  a table
    data: dict[str, Any], details: ErrorDetails, settings: Sequence[Setting], no_site: str
) -> tuple[Location, str] | None:
    """What pydantic found about one value: where, and in words that need no knowledge of pydantic.

    None if another fault says it. `no_site` is the help for a file without a site.
    """
    location, value = _followed(data, details["loc"])
    context = details.get("ctx", {})
    match details["type"]:
        case "default_factory_not_called":
            # Only says that the site's url is at fault, which has its own fault.
            return None
        case "extra_forbidden":
            message = _unknown_key(location, settings)
        case "missing":
            message = f"is missing: {no_site if location == ('site',) else _setting(location, settings).help}"
        case "value_error":
            message = str(context["error"])
        case "string_type":
            message = f"must be a text in quotes, not {shown(value)}"
        case "int_type":
            message = f"must be a whole number, not {shown(value)}"
        case "bool_type":
            message = f"must be true or false, not {shown(value)}"
        case "tuple_type" if isinstance(value, dict) and _header(location, settings):
            message = f"may stand several times: write {_header(location, settings)} with two brackets"
        case "tuple_type":
            message = f"must be a list in brackets, not {shown(value)}"
        case "model_type" if isinstance(value, list):
            message = f"may stand only once: write {_header(location, settings)} with one bracket"
        case "model_type":
            message = f"must be a table, {_header(location, settings)}, not {shown(value)}"
        case "greater_than_equal" | "less_than_equal":
            message = f"must be {_setting(location, settings).bounds}, not {shown(value)}"
        case "too_short" if value:
            # Only says that no element is left without a fault, and each has its own.
            return None
        case "string_too_short" | "too_short":
            message = "must not be empty"
        case "string_too_long":
            message = f"must have at most {context['max_length']} characters"
        case "too_long":
            message = f"must have at most {context['max_length']} entries"
        case "literal_error":
            message = f"must be {str(context['expected']).replace(chr(39), chr(34))}, not {shown(value)}"
        case _:
            message = f"cannot be {shown(value)}"
    return location, message


def _followed(data: dict[str, Any], location: Location) -> tuple[Location, Any]:
    """The part of a location that the file itself has (a single origin is no list), and the value there.

    A key that is missing stays in: it is the fault.
    """
    value: Any = data
    for depth, step in enumerate(location):
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step]
        else:
            return location[:depth], value
    return location, value


def _unknown_key(location: Location, settings: Sequence[Setting]) -> str:
    import difflib  # 8 ms, for those who have a fault

    table, name = _names(location[:-1]), str(location[-1])
    depth = len(table)
    known = dict.fromkeys(setting.path[depth] for setting in settings if setting.path[:depth] == table)
    close = difflib.get_close_matches(name.lower(), known, n=1)
    if close:
        return f"there is no such key; did you mean {close[0]}?"
    elsewhere = [setting.table for setting in settings if setting.name == name.lower()]
    if elsewhere:
        return f"there is no such key here; it belongs into {' or '.join(elsewhere)}"
    return f"there is no such key; there are {', '.join(known)}"


def located(text: str, faults: list[tuple[Location, str]]) -> list[Fault]:
    """The faults with their lines, in the order of the file. What is missing has the line of its table."""
    lines = lines_of(text)
    found = []
    for location, message in faults:
        ends = (location[:end] for end in range(len(location), 0, -1))
        line = next((lines[end] for end in ends if end in lines), None)
        found.append(Fault(key_text(location), message, line))
    return sorted(found, key=lambda fault: fault.line or 0)


def key_text(location: Location) -> str:
    """The key as an operator would point at it: site[0].pages[3]."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", step) else shown(step))
    return text


# --- Settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the file, as documentation."""

    path: tuple[str, ...]
    """Names of the tables and of the key: ("site", "group", "interval")."""
    table: str
    """The header that it stands below: "[[site.group]]"."""
    form: str
    """What to write, in words: 'duration, "1s" to "24h"'."""
    bounds: str
    """The part of the form that is a range; empty if there is none."""
    default: str
    """In TOML; empty if there is none."""
    is_required: bool
    help: str
    """Whole sentences."""

    @property
    def key(self) -> str:
        """The key with its tables: site.group.interval."""
        return ".".join(self.path)

    @property
    def name(self) -> str:
        """The key alone."""
        return self.path[-1]


def _names(location: Location) -> tuple[str, ...]:
    return tuple(step for step in location if isinstance(step, str))


def _setting(location: Location, settings: Sequence[Setting]) -> Setting:
    return next(setting for setting in settings if setting.path == _names(location))


def _header(location: Location, settings: Sequence[Setting]) -> str:
    """How the table there begins; empty if the key is no table."""
    names = _names(location)
    return next((setting.table for setting in settings if setting.path[:-1] == names), "")


# --- Values ----------------------------------------------------------------------------------------------------------


def shown(value: object) -> str:
    """A value of the file as the operator wrote it, or what it is. Never long."""
    match value:
        case str():
            return json.dumps(value if len(value) <= 80 else f"{value[:80]}...", ensure_ascii=False)
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)[:80]
        case dict():
            return "a table"
        case list():
            return "a list"
        case None:
            return "nothing"
        case _:
            return "a date or time"


def text_of(value: object) -> str:
    """The value, if it is a text. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"must be a text in quotes, not {shown(value)}")  # noqa: TRY004  becomes a Fault
    return value


def has_control_character(text: str) -> bool:
    """True for C0 controls and DEL."""
    return any(ord(character) < 0x20 or ord(character) == 0x7F for character in text)
