"""examples/launch-day/stack: what `up` and `down` and these tests stand on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from real.helpers import Stack, free_ports


@pytest.fixture
def small(stacks: Callable[[str], Stack]) -> Stack:
    return stacks("gzip")


def process_ids(stack: Stack) -> dict[str, str]:
    names = ("db", "php", "nginx")
    return {name: (stack.directory / f"run/{name}.pid").read_text().strip() for name in names}


def test_up_on_what_is_up_changes_nothing(small: Stack) -> None:
    before = process_ids(small)
    home = small.from_origin("/").body
    small.command("up")
    assert process_ids(small) == before
    assert small.from_origin("/").body == home


def test_each_part_stops_and_starts_by_itself_and_twice_is_once(small: Stack) -> None:
    for part in ("nginx", "php", "db"):
        for command in (f"stop-{part}", f"stop-{part}"):
            small.command(command)
        assert f"{part} stopped" in small.command("status", is_checked=False)
        for command in (f"start-{part}", f"start-{part}"):
            small.command(command)
        assert f"{part} running" in small.command("status")
    assert small.from_origin("/").status == 200


def test_down_and_up_keep_the_content(small: Stack) -> None:
    home = small.from_origin("/").body
    small.command("down")
    small.command("down")
    with pytest.raises(ConnectionRefusedError):
        small.from_origin("/")
    small.command("up")
    assert small.from_origin("/").body == home


def test_everything_runs_unprivileged(small: Stack) -> None:
    for name, number in process_ids(small).items():
        assert Path(f"/proc/{number}").stat().st_uid != 0, name
    assert small.command("exec", "--", "id", "-u").strip() != "0"


def test_purge_removes_a_stack_and_nothing_else(small: Stack, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    assert "holds no stack" in Stack(precious, 1, 2).command("down", "--purge", is_checked=False)
    assert (precious / "file").exists()


def test_bad_arguments_make_nothing(small: Stack, tmp_path: Path) -> None:
    other = Stack(tmp_path / "other", *free_ports(2))
    for arguments, reason in {
        ("--posts", "many"): "--posts many: a number is needed",
        ("--theme", "nosuch"): "there is no theme nosuch",
        ("--variants", "zstd"): "--variants is brotli or gzip",
        ("--front-port",): "--front-port needs a value",
    }.items():
        assert reason in other.command("up", *arguments, is_checked=False)
        assert not other.directory.exists()
