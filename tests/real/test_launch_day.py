"""examples/launch-day: `up` as the README has it, and `stack`, which it and these tests stand on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from real.helpers import EXAMPLE, Stack, free_ports, wait_for


def process_ids(stack: Stack) -> dict[str, str]:
    names = ("db", "php", "nginx")
    return {name: (stack.directory / f"run/{name}.pid").read_text().strip() for name in names}


def test_up_on_what_is_up_changes_nothing(stack: Stack) -> None:
    before = process_ids(stack)
    home = stack.from_origin("/").body
    stack.command("up")
    assert process_ids(stack) == before
    assert stack.from_origin("/").body == home


def test_each_part_stops_and_starts_by_itself_and_twice_is_once(stack: Stack) -> None:
    for part in ("nginx", "php", "db"):
        for command in (f"stop-{part}", f"stop-{part}"):
            stack.command(command)
        assert f"{part} stopped" in stack.command("status", is_checked=False)
        for command in (f"start-{part}", f"start-{part}"):
            stack.command(command)
        assert f"{part} running" in stack.command("status")
    assert stack.from_origin("/").status == 200


def test_down_and_up_keep_the_content(stack: Stack) -> None:
    home = stack.from_origin("/").body
    stack.command("down")
    stack.command("down")
    with pytest.raises(ConnectionRefusedError):
        stack.from_origin("/")
    stack.command("up")
    assert stack.from_origin("/").body == home


def test_everything_runs_unprivileged(stack: Stack) -> None:
    for name, number in process_ids(stack).items():
        assert Path(f"/proc/{number}").stat().st_uid != 0, name
    assert stack.command("exec", "--", "id", "-u").strip() != "0"


def test_purge_removes_a_stack_and_nothing_else(stack: Stack, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    assert "holds no stack" in Stack(precious, 1, 2).command("down", "--purge", is_checked=False)
    assert (precious / "file").exists()


def test_what_an_install_enables_is_disabled_and_nothing_else(tmp_path: Path) -> None:
    programs, wants = tmp_path / "bin", "/etc/systemd/system/multi-user.target.wants"
    programs.mkdir()
    for name, script in {
        "dpkg-query": "echo not-installed",
        "apt-get": f"case $1 in install) ln -s /dev/null {wants}/new.service;; esac",
        "systemctl": f'shift 2 && echo "disabled: $*" && rm "{wants}/$1"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    script = (
        "mount -t tmpfs tmpfs /etc/systemd/system && mkdir -p $0 && ln -s /dev/null $0/old.service && "
        '"$1/stack" install && ls $0'
    )
    command = ["unshare", "--mount", "sh", "-c", script, wants, str(EXAMPLE)]
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody have mounts of their own")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "disabled: new.service\nold.service\n", "")


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    other = Stack(precious, *free_ports(2))
    ports = ("--front-port", str(other.front_port), "--origin-port", str(other.origin_port))
    assert f"{precious} is not empty and holds no stack" in other.command("up", *ports, is_checked=False)
    assert [file.name for file in precious.iterdir()] == ["file"]
    file = Stack(precious / "file", other.front_port, other.origin_port)
    assert "is no directory" in file.command("up", *ports, is_checked=False)


def test_what_stops_is_said(stack: Stack) -> None:
    for expected in (f"stopped: db php nginx in {stack.directory}\n", f"stopped: nothing ran in {stack.directory}\n"):
        assert stack.command("down") == expected
    stack.command("up")


def test_a_port_that_is_taken_is_found_before_anything_starts(stack: Stack, tmp_path: Path) -> None:
    front_port, origin_port = free_ports(2)
    for ports, reason in {
        (front_port, stack.origin_port): f"port {stack.origin_port}: Address already in use; choose another with "
        "--origin-port",
        (stack.front_port, origin_port): f"port {stack.front_port}: Address already in use; choose another with "
        "--front-port",
        (front_port, front_port): f"--front-port and --origin-port are both {front_port}",
        (70000, origin_port): "port 70000: there is no such port; choose another with --front-port",
    }.items():
        options = ("--front-port", str(ports[0]), "--origin-port", str(ports[1]))
        assert reason in Stack(tmp_path / "other", *ports).command("up", *options, is_checked=False)
        assert not (tmp_path / "other").exists()


def test_an_up_that_fails_leaves_nothing_running_that_did_not_run(stack: Stack) -> None:
    stack.command("stop-php")
    stack.command("stop-nginx")
    configuration = stack.directory / "wordpress/wp-config.php"
    text = configuration.read_text()
    (stack.directory / "seeded").write_text("another theme\n")
    configuration.write_text("<?php exit( 1 );")
    try:
        stack.command("up", is_checked=False)
        status = stack.command("status", is_checked=False)
        assert "db running" in status
        assert "php stopped" in status
        assert "nginx stopped" in status
    finally:
        configuration.write_text(text)
        stack.command("up")
    assert stack.from_origin("/").status == 200


def test_a_reload_is_over_when_the_command_ends(stack: Stack) -> None:
    for _ in range(3):
        before = set(workers(stack))
        stack.command("start-nginx")
        assert before.isdisjoint(workers(stack))


def workers(stack: Stack) -> list[str]:
    """nginx's processes that take requests."""
    master = (stack.directory / "run/nginx.pid").read_text().strip()
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    titles = {child: Path(f"/proc/{child}/cmdline").read_text().strip("\0 ") for child in children}
    return [child for child, title in titles.items() if title == "nginx: worker process"]


def test_a_measurement_that_fails_says_so(stack: Stack) -> None:
    stack.command("stop-php")
    try:
        assert "502" in stack.command("measure", is_checked=False)
        with pytest.raises(AssertionError, match="exit status 22"):
            stack.command("measure")
    finally:
        stack.command("start-php")
    assert stack.command("measure").startswith("one anonymous render: home page ")


def test_staticify_is_listed_where_there_is_one(stack: Stack) -> None:
    assert "staticify" not in stack.command("status")
    configuration = stack.directory / "staticify.toml"
    configuration.touch()
    try:
        assert "staticify stopped\n" in stack.command("status", is_checked=False)
    finally:
        configuration.unlink()


def test_bad_arguments_make_nothing(stack: Stack, tmp_path: Path) -> None:
    other = Stack(tmp_path / "other", *free_ports(2))
    for arguments, reason in {
        ("--posts", "many"): "--posts many: a number is needed",
        ("--theme", "nosuch"): "there is no theme nosuch",
        ("--front-port",): "--front-port needs a value",
    }.items():
        assert reason in other.command("up", *arguments, is_checked=False)
        assert not other.directory.exists()


def run_example(name: str, *arguments: str | Path) -> tuple[int, str]:
    """Exit status and output of `up` or `down`."""
    done = subprocess.run(
        [EXAMPLE / name, *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_an_up_that_cannot_begin_says_why_and_nothing_more(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    for arguments, reason in {
        ("--posts", "many"): "stack: --posts many: a number is needed\n",
        ("--front-port", "x"): "stack: --front-port x: a number is needed\n",
        (
            "--front-port",
            "9",
            "--origin-port",
            "9",
        ): "stack: --front-port and --origin-port are both 9; two are needed\n",
    }.items():
        assert run_example("up", "--dir", directory, *arguments) == (1, reason)
        assert not directory.exists()


@pytest.mark.parametrize("name", ["up", "down", "stack"])
def test_help_is_about_the_command_itself(name: str) -> None:
    status, said = run_example(name, "--help")
    assert (status, said.splitlines()[0].split()[:2]) == (0, ["Usage:", name])


@pytest.mark.parametrize(
    "command",
    [["up", "--colour"], ["up", "--no-proof", "--colour=red"], ["down", "--colour"], ["stack", "up", "--colour"]],
)
def test_an_unknown_option_is_named(command: list[str]) -> None:
    assert run_example(*command) == (2, "stack: unknown option --colour; --help lists the options\n")


def test_a_value_may_stand_behind_an_equals_sign(tmp_path: Path) -> None:
    assert run_example("stack", "where", f"--dir={tmp_path}/a=b") == (0, f"{tmp_path}/a=b\n")
    assert run_example("down", f"--dir={tmp_path}/a=b") == (0, f"stopped: nothing ran in {tmp_path}/a=b\n")


def test_the_first_command_of_the_readme() -> None:
    """A whole launch day, small: WordPress, nginx, `init` and `run`, and WordPress tells what changes."""
    directory = Path(tempfile.mkdtemp(prefix="staticify-up-", dir="/var/tmp"))
    directory.chmod(0o755)
    front_port, origin_port = free_ports(2)
    stack = Stack(directory / "stack", front_port, origin_port)
    where = ["--dir", str(stack.directory)]
    ports = ["--front-port", str(front_port), "--origin-port", str(origin_port)]
    log = directory / "up.log"
    try:
        with log.open("wb") as output:
            command = ["up", *where, *ports, "--posts", "8", "--no-proof"]
            done = subprocess.run(
                command, executable=EXAMPLE / "up", stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
        assert done.returncode == 0, log.read_text()
        assert stack.url in log.read_text()
        for path in ("/", "/feed/", "/wp-sitemap.xml"):
            assert stack.from_front(path).is_hit, path
        post = stack.insert_post(post_title="Launched", post_content="the news of the day")
        wait_for("the post is a hit", lambda: stack.from_front(post.path).is_hit, 20)
        wait_for("the home page has it", lambda: b"the news of the day" in stack.from_front("/").body, 20)
    finally:
        with log.open("ab") as output:
            subprocess.run([EXAMPLE / "down", *where, "--purge"], stdout=output, stderr=output, check=False)
        is_left = stack.directory.exists()
        shutil.rmtree(directory)
    assert not is_left
