"""What the service manager hears, over a real datagram socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from staticify import systemd


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        if request.param == "path":
            # The path of a socket is short, that of a test's directory long.
            monkeypatch.chdir(tmp_path)
            end.bind("notify")
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        else:
            name = f"staticify-test-{os.getpid()}-{time.monotonic_ns()}"
            end.bind(f"\0{name}")
            monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        end.settimeout(5)
        yield end


def test_the_manager_hears_what_is_said(manager: socket.socket) -> None:
    assert systemd.notify("READY=1", "STATUS=2 sites, é")
    assert manager.recv(4096) == "READY=1\nSTATUS=2 sites, é".encode()
    assert systemd.notify("WATCHDOG=1")
    assert manager.recv(4096) == b"WATCHDOG=1"


def test_a_reload_carries_the_monotonic_time(manager: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    assert systemd.reloading()
    first, _, microseconds = manager.recv(4096).decode().partition("\nMONOTONIC_USEC=")
    assert first == "RELOADING=1"
    assert before <= int(microseconds) <= time.monotonic_ns() // 1000


@pytest.mark.parametrize("address", [None, "", "nonsense", "vsock:2:1234", "/nowhere/notify", "@staticify-nobody"])
def test_without_a_manager_nothing_happens(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not systemd.notify("READY=1")


@pytest.mark.parametrize(
    ("microseconds", "is_ours", "seconds"),
    [
        ("30000000", None, 30.0),
        ("500000", True, 0.5),
        ("30000000", False, None),
        ("0", None, None),
        ("", None, None),
        ("-1", None, None),
        ("x", None, None),
        ("²", None, None),
        (None, None, None),
    ],
)
def test_how_often_the_watchdog_wants_to_hear(
    monkeypatch: pytest.MonkeyPatch, *, microseconds: str | None, is_ours: bool | None, seconds: float | None
) -> None:
    for name, value in (
        ("WATCHDOG_USEC", microseconds),
        ("WATCHDOG_PID", None if is_ours is None else str(os.getpid() if is_ours else 1)),
    ):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert systemd.watchdog_seconds() == seconds
