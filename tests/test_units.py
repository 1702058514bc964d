"""A duration or a size is read with its unit, and written so that it reads back."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from staticify.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds", "written"),
    [
        ("60s", 60.0, "60s"),
        ("5m", 300.0, "5m"),
        ("1h", 3600.0, "1h"),
        ("500ms", 0.5, "500ms"),
        ("1m30s", 90.0, "90s"),
        ("150s", 150.0, "2m30s"),
        ("24h0m1s", 86401.0, "24h1s"),
        ("1h1ms", 3600.001, "1h1ms"),
        ("0s", 0.0, "0s"),
    ],
)
def test_durations(text: str, seconds: float, written: str) -> None:
    assert parse_duration(text) == seconds
    assert format_duration(seconds) == written


@given(st.integers(0, 10**9))
def test_durations_round_trip(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize("value", ["", "s", "60", "60 s", "1.5s", "-1s", "1s1", "1s1m", "60S", "1d", "٣s", "60s\n"])
def test_what_is_not_a_duration(value: str) -> None:
    with pytest.raises(ValueError, match='write it like "60s"'):
        parse_duration(value)


@pytest.mark.parametrize(
    ("text", "size_bytes", "written"),
    [
        ("8MiB", 8 * 2**20, "8MiB"),
        ("512KiB", 512 * 2**10, "512KiB"),
        ("1GiB", 2**30, "1GiB"),
        ("1024MiB", 2**30, "1GiB"),
        ("100B", 100, "100B"),
        ("1MB", 10**6, "1000000B"),
        ("1GB", 10**9, "1000000000B"),
        ("2kB", 2000, "2000B"),
        ("2KB", 2000, "2000B"),
        ("0B", 0, "0B"),
    ],
)
def test_sizes(text: str, size_bytes: int, written: str) -> None:
    assert parse_size(text) == size_bytes
    assert format_size(size_bytes) == written


@given(st.integers(0, 2**50))
def test_sizes_round_trip(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize("value", ["", "8", "8 MiB", "8mib", "8M", "1.5MiB", "-1B", "٣B", "B"])
def test_what_is_not_a_size(value: str) -> None:
    with pytest.raises(ValueError, match='write it like "8MiB"'):
        parse_size(value)


@pytest.mark.parametrize("value", [60, 1.5])
def test_numbers_without_a_unit_are_refused_with_the_right_form(value: float) -> None:
    with pytest.raises(ValueError, match=f'^{value} has no unit; write "{value}s"'):
        parse_duration(value)
    with pytest.raises(ValueError, match=f'^{value} has no unit; write "{value}B"'):
        parse_size(value)
