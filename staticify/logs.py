"""One log line an event, as text or JSON. What a site or a visitor says can never begin a line of its own."""

from __future__ import annotations

import json
import logging
import re
import sys
import time

from staticify.brief import brief

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Everything that a terminal or a line-based reader could take for more than text; marks that turn the direction.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_PLAIN = re.compile(r'[^\s"]+')


_MAX_CHARACTERS = 4000
"""Of one field, or of a message: a reason has 500, the list of a configuration's faults may have more."""


def printable(text: str) -> str:
    """The text on one line, its control characters escaped."""
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], text)


def printable_json(document: str) -> str:
    """A JSON document that says the same with such characters escaped; its own line ends stay."""
    return "\n".join(_CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", line) for line in document.split("\n"))


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class TextFormatter(logging.Formatter):
    """`2026-11-23T10:15:00Z warning page kept url=... reason="..."`."""

    def format(self, record: logging.LogRecord) -> str:  # noqa: D102  inherited
        words = [
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            record.levelname.lower(),
            printable(brief(record.getMessage(), _MAX_CHARACTERS)),
        ]
        for name, value in _extras(record).items():
            text = printable(brief(str(value), _MAX_CHARACTERS))
            words.append(f"{name}={text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)}")
        if record.exc_info:
            words.append(printable(self.formatException(record.exc_info)))
        return " ".join(words)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:  # noqa: D102  inherited
        event: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "message": brief(record.getMessage(), _MAX_CHARACTERS),
            **{name: _bounded(value) for name, value in _extras(record).items()},
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, default=lambda value: brief(str(value), _MAX_CHARACTERS))


def _bounded(value: object) -> object:
    return brief(value, _MAX_CHARACTERS) if isinstance(value, str) else value


def set_up(log_format: str, level: str) -> None:
    """Send the program's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their warnings matter, their running commentary does not.
    for name in ("httpx", "apscheduler", "asyncio", "aiohttp"):
        logging.getLogger(name).setLevel(logging.WARNING)
