"""The unit of `staticify config systemd`: what it allows for which configuration, and what systemd says of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from staticify import config as configuration
from staticify.config import Config
from staticify.errors import ConfigError
from staticify.recipes import recipe
from staticify.unit import unit_of
from staticify.workers import MAX_THREADS

DEPLOY = Path(__file__).parents[1] / "deploy"
SITE = '[[site]]\nurl = "https://www.example.org/"\n'
LOCAL = f'{SITE}origin = "http://127.0.0.1:8080"\n'
PLACES = '[tree]\npath = "/var/cache/staticify/tree"\n[state]\npath = "/var/lib/staticify/state"\n'


def parsed(text: str, *, source: str = "/etc/staticify/staticify.toml") -> Config:
    return configuration.parse(text, Path(source), Path(source).parent)


def settings(config: Config) -> dict[str, list[str]]:
    """The unit's lines, by name."""
    found: dict[str, list[str]] = {}
    for line in recipe("systemd", config).splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith(("#", " ")):
            found.setdefault(name, []).append(value)
    return found


def example() -> Config:
    """deploy/staticify.toml, as it is installed."""
    return replace(configuration.load(DEPLOY / "staticify.toml"), source=Path("/etc/staticify/staticify.toml"))


@pytest.mark.parametrize(
    ("kind", "file"), [("systemd", "systemd/staticify.service"), ("haproxy", "haproxy/haproxy.cfg")]
)
def test_deploy_holds_what_is_made_of_its_configuration(kind: str, file: str) -> None:
    assert (DEPLOY / file).read_text() == recipe(kind, example())


def test_the_usual_places_need_nothing_more() -> None:
    made = settings(parsed(PLACES + LOCAL))
    assert made["ExecStart"] == ["/opt/staticify/bin/staticify run --config /etc/staticify/staticify.toml"]
    assert (made["CacheDirectory"], made["StateDirectory"]) == (["staticify"], ["staticify"])
    assert (made["ProtectSystem"], made["ProtectHome"], made["PrivateTmp"]) == (["strict"], ["yes"], ["yes"])
    assert (made["IPAddressDeny"], made["IPAddressAllow"]) == (["any"], ["localhost"])
    assert not {"ReadWritePaths", "BindPaths", "BindReadOnlyPaths", "RuntimeDirectory"} & made.keys()


def test_the_unit_has_room_for_all_that_is_started() -> None:
    made = settings(parsed(f"{PLACES}{LOCAL}concurrency = 256\n"))
    # Two kinds of threads, one in the background, parsers, asyncio's own (ThreadPoolExecutor's limit), the event loop's
    # and the one that watches folders.
    most = 2 * MAX_THREADS + 1 + MAX_THREADS // 2 + 32 + 2
    assert most == 75
    assert int(made["TasksMax"][0]) > most + MAX_THREADS


def test_the_unit_runs_the_staticify_that_made_it(tmp_path: Path) -> None:
    path = tmp_path / "staticify.toml"
    path.write_text(PLACES + LOCAL)
    venv = tmp_path / "venv/bin"
    venv.mkdir(parents=True)
    (venv / "staticify").write_text("from staticify.cli import run_process\nrun_process()\n")
    for command, program in {
        (str(venv / "staticify"),): venv / "staticify",
        ("-m", "staticify.cli"): Path(sys.executable).with_name("staticify"),
    }.items():
        done = subprocess.run(
            [sys.executable, *command, "config", "systemd", "--config", path],
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"\nExecStart={program} run --config {path}\n" in done.stdout


def test_a_program_that_a_service_does_not_see_is_bound() -> None:
    text = recipe("systemd", parsed(PLACES + LOCAL), program="/home/site/venv/bin/staticify")
    assert "\nBindReadOnlyPaths=/home/site/venv\n" in text
    with pytest.raises(ConfigError, match="cannot be written"):
        recipe("systemd", parsed(PLACES + LOCAL), program="/home/my site/bin/staticify")


def test_other_places_are_opened_and_no_more() -> None:
    text = (
        '[tree]\npath = "/srv/www/tree"\n[state]\npath = "/srv/state"\n[spool]\npath = "/var/lib/staticify/spool"\n'
        '[webhook]\nlisten = "unix:/srv/hook/webhook.sock"\n'
    )
    made = settings(parsed(text + LOCAL, source="/srv/staticify.toml"))
    assert made["ExecStart"][0].endswith("--config /srv/staticify.toml")
    assert made["ReadWritePaths"] == ["/srv/hook", "/srv/state", "/srv/www/tree"]
    assert not {"BindPaths", "BindReadOnlyPaths", "RuntimeDirectory"} & made.keys()


def test_what_a_service_does_not_see_otherwise_is_bound() -> None:
    text = (
        '[tree]\npath = "/home/site/a:b/tree"\n[state]\npath = "/var/tmp/state"\n'
        f'{SITE}origin = "unix:/run/user/1000/web/php.sock"\nwp_content = "/home/site/wp-content"\n'
    )
    made = settings(parsed(text, source="/root/staticify.toml"))
    assert made["BindPaths"] == ["/home/site/a\\:b/tree", "/var/tmp/state"]
    assert made["BindReadOnlyPaths"] == ["/home/site/wp-content", "/root", "/run/user/1000/web"]
    assert made["ProtectHome"] == ["tmpfs"]
    assert "ReadWritePaths" not in made


def test_the_webhooks_socket_has_its_directory() -> None:
    made = settings(parsed(f'{PLACES}[webhook]\nlisten = "unix:/run/staticify/webhook.sock"\n{LOCAL}'))
    assert (made["RuntimeDirectory"], made["RuntimeDirectoryMode"]) == (["staticify"], ["0750"])
    assert "ReadWritePaths" not in made


def test_origins_on_other_machines_are_allowed_by_their_addresses() -> None:
    origins = '["http://192.0.2.10", "https://[2001:db8::10]:8443", "http://[::1]:8080", "http://localhost:8080"]'
    made = settings(parsed(f"{PLACES}{SITE}origin = {origins}\n"))
    assert made["IPAddressAllow"] == ["localhost", "192.0.2.10", "2001:db8::10"]
    named = parsed(f'{PLACES}{SITE}origin = ["http://backend.example", "unix:/run/php/web.sock"]\n')
    assert settings(named)["IPAddressAllow"] == ["localhost"]
    text = recipe("systemd", named)
    assert "#     IPAddressAllow=ADDRESS OF backend.example" in text
    assert "# The origin's socket, /run/php/web.sock:" in text
    assert unit_of(named).names == ("backend.example",)


@pytest.mark.parametrize("path", ["/srv/a b", "/srv/a%h", "/srv/$HOME", '/srv/a"', "/srv/a\\\\b", "/srv/日本"])
def test_a_path_that_systemd_would_read_as_another_is_refused(path: str) -> None:
    for text in (f"[tree]\npath = '{path}'\n{LOCAL}", f"[spool]\npath = '{path}'\n{LOCAL}"):
        with pytest.raises(ConfigError, match="cannot be written"):
            recipe("systemd", parsed(text))
    with pytest.raises(ConfigError, match="cannot be written"):
        recipe("systemd", parsed(LOCAL, source=f"{path}/staticify.toml"))


@pytest.fixture(params=["example", "elsewhere"])
def unit_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze")
    elsewhere = (
        '[tree]\npath = "/srv/tree"\n[state]\npath = "/home/site/state"\n'
        '[webhook]\nlisten = "unix:/run/staticify/a.sock"\n'
        f'{SITE}origin = ["http://192.0.2.10", "http://backend.example"]\n'
    )
    text = recipe("systemd", example() if request.param == "example" else parsed(elsewhere))
    path = tmp_path / "staticify.service"
    # The program is not installed here.
    path.write_text(text.replace("/opt/staticify/bin/staticify", "/bin/true"))
    return path


def analyse(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_systemd_understands_every_line(unit_file: Path) -> None:
    done = analyse("verify", "--man=no", unit_file)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_finds_little_that_is_exposed(unit_file: Path) -> None:
    done = analyse("security", "--offline=true", "--no-pager", unit_file)
    match = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert match is not None, done.stderr
    assert float(match[1]) <= 1.5
