"""Durations and sizes, as people write them in the configuration: "1m30s", "8MiB". Counts, as they read them."""

from __future__ import annotations

import re

from staticify.faults import shown, text_of

_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SAID_IN_SECONDS_BELOW = 120
_UNIT_BYTES = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "GB": 10**9, "MB": 10**6, "kB": 1000, "KB": 1000, "B": 1}
_DURATION = re.compile(r"(?=[0-9])" + "".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in ("h", "m(?!s)", "s", "ms")))
_SIZE = re.compile(rf"([0-9]{{1,18}})({'|'.join(_UNIT_BYTES)})")


def parse_duration(value: object) -> float:
    """Seconds of a duration such as "60s" or "1m30s". Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'{value} has no unit; write "{value}s" if seconds are meant')  # noqa: TRY004  becomes a Fault
    match = _DURATION.fullmatch(text_of(value))
    if match is None:
        raise ValueError(f'{shown(value)} is not a duration; write it like "60s", "5m", "1h", "1m30s" or "500ms"')
    amounts = zip(match.groups(default="0"), _UNIT_SECONDS.values(), strict=True)
    return round(sum(int(amount) * seconds for amount, seconds in amounts), 3)


def format_duration(seconds: float) -> str:
    """The text that `parse_duration` reads back, to the millisecond. Up to two minutes people say seconds."""
    milliseconds = round(seconds * 1000)
    units = (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
    text = ""
    for unit, unit_milliseconds in units if seconds >= _SAID_IN_SECONDS_BELOW else units[2:]:
        amount, milliseconds = divmod(milliseconds, unit_milliseconds)
        text += f"{amount}{unit}" if amount else ""
    return text or "0s"


def parse_size(value: object) -> int:
    """Bytes of a size such as "8MiB" (2**20) or "8MB" (10**6). Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'{value} has no unit; write "{value}B" if bytes are meant')  # noqa: TRY004  becomes a Fault
    match = _SIZE.fullmatch(text_of(value))
    if match is None:
        raise ValueError(f'{shown(value)} is not a size; write it like "8MiB", "512KiB", "1GiB" or "100B"')
    return int(match[1]) * _UNIT_BYTES[match[2]]


def format_size(size_bytes: int) -> str:
    """The shortest text that `parse_size` reads back, exactly."""
    for unit in ("GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _UNIT_BYTES[unit] == 0:
            return f"{size_bytes // _UNIT_BYTES[unit]}{unit}"
    return f"{size_bytes}B"


def counted(count: int, noun: str) -> str:
    """How many of a thing, for people: 1 page, 2 pages."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
