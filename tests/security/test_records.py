"""A short run of records.py, that it would see what must not be, and that a secret is in nothing that is said."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest
from command import daemon, staticify
from scripted_origin import ScriptedOrigin, answer, html
from stage import files, site_toml, write_config

from security.records import controls, fault_of_json, fault_of_text, faults_of_log, faults_of_reports, run
from staticify import config as configuration
from staticify.errors import ConfigError, Fault
from staticify.logs import JsonFormatter, TextFormatter
from staticify.recipes import RECIPES, parts_of, recipe

COUNT = 3_000
SEED = int(os.environ.get("STATICIFY_SEED", "20261125"))


def test_no_text_forges_a_record_or_a_report() -> None:
    tally = run(COUNT, SEED)
    assert tally.faults == []
    assert tally.counts["texts"] == COUNT
    assert tally.counts["with something to escape"] > COUNT / 2
    assert tally.counts["reports"] > COUNT / 10


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('url=x reason="a b" seconds=0.5', ""),
        ('url=x reason="a b" seconds=0.5 verdict=ok', "has the fields ['url', 'reason', 'seconds', 'verdict']"),
        ("url=x reason=a b seconds=0.5", "cannot be read back"),
        ('url=x reason="a" b" seconds=0.5', "cannot be read back"),
        ("url=x\x1b[31m reason=a seconds=0.5", "sends {'\\x1b'}"),
        ("url=x\n2026-11-25T10:15:00Z warning page kept reason=a", "sends {'\\n'}"),
    ],
)
def test_a_forged_record_would_be_seen(line: str, said: str) -> None:
    assert fault_of_text(f"2026-11-25T10:15:00Z warning page kept {line}") == said


def test_a_forged_object_would_be_seen() -> None:
    event = {"time": 1, "level": "warning", "message": "x", "url": "a", "reason": "the origin says a", "seconds": 0.5}
    assert fault_of_json(json.dumps(event), "a") == ""
    assert fault_of_json(json.dumps(event), "b") == "says something else"
    assert fault_of_json(json.dumps(event | {"verdict": "ok"}), "a").startswith("has the fields")
    assert controls("\u202e\u2028\x9b\ud800\x1b\r a\u00e9\u65e5\U0001f600") == set("\u202e\u2028\x9b\ud800\x1b\r")


@pytest.mark.parametrize("text", ["\x9b31m", "\u202e", "\n{}", "\u2028", "\x7f", "\ud800", "[red]x[/]", ":warning:"])
def test_what_must_be_escaped_everywhere(text: str) -> None:
    assert faults_of_log(text) + faults_of_reports(text) == []


# --- Secrets ---

CONTENT = bytes(range(200, 232))
SECRET = "whsec_" + base64.b64encode(CONTENT).decode()
SHAPES = (
    SECRET.removeprefix("whsec_")[:12], SECRET.removeprefix("whsec_")[20:32], CONTENT.hex(), repr(CONTENT)[2:-1],
    base64.urlsafe_b64encode(CONTENT).decode(), quote(CONTENT), str(list(CONTENT))[1:-1],
)  # fmt: skip
"""What a secret would look like, wherever it went."""


def leaks(text: str | bytes) -> list[str]:
    """In which shapes the secret is there."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return [shape for shape in (*SHAPES, CONTENT[:8].decode("latin-1")) if shape.encode("latin-1") in data]


def test_a_leak_would_be_seen() -> None:
    for text in (SECRET, f"x{CONTENT!r}", CONTENT.hex(), CONTENT, SECRET[6:20]):
        assert leaks(text) != [], text
    assert leaks("whsec_ and nothing of it") == []


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_secret_is_in_nothing_that_staticify_says_or_writes(tmp_path: Path, log_format: str) -> None:
    async def test() -> None:
        async with ScriptedOrigin().running() as origin:
            origin.pages |= {"/": html("hello"), "/a/": answer(b"", 500), "/b/": "HTTP/1.1 200 broken\r\n\r\n<html>"}
            site = site_toml(origin.address, pages=["/", "/a/", "/b/"], secrets=[SECRET], interval="1s")
            more = f'[webhook]\nlisten = "unix:{tmp_path}/hook"\n[log]\nformat = "{log_format}"\nlevel = "debug"\n'
            path = write_config(tmp_path, more, site)
            as_json = ["--json"] if log_format == "json" else []
            said = {}
            for command in (
                ["check"], ["render", "--all"], ["status"], ["explain", "/"], ["explain", "/a/"], ["verify"],
                ["init", "https://example.org", "--origin", origin.address, "--force", "--config", "other.toml"],
            ):  # fmt: skip
                done = await staticify(tmp_path, *command, *as_json)
                said[" ".join(command)] = done.out + done.err
            for command in (["purge", "--all"], ["config", "nginx"], ["config", "systemd"], ["config", "haproxy"]):
                done = await staticify(tmp_path, *command)
                said[" ".join(command)] = done.out + done.err
            async with daemon(tmp_path) as running:
                await running.logged("cycle")
                said["purge told"] = (await staticify(tmp_path, "purge", "--all")).out
                # A reload with a fault in it, beside the secret.
                path.write_text(path.read_text().replace(SECRET, f"{SECRET}!"))
                await running.logged("fault")
                assert await running.stop() == 0
            assert {name: found for name, text in said.items() if (found := leaks(text))} == {}
            assert said["purge told"] == "told: 3 pages\n"
            # The origin got signatures, and no secret either.
            assert any("webhook-signature" in request.headers for request in origin.requests)
            assert [one for one in origin.requests if leaks(repr(one.headers).encode() + one.body)] == []
        written = files(tmp_path)
        assert {"daemon.log", "state/state.db"} < set(written)
        assert [name for name, content in written.items() if leaks(content)] == ["staticify.toml"]

    asyncio.run(test())


def wrong_files() -> Iterator[str]:
    """Configurations with the secret in them, and something wrong: with it, or beside it."""
    site = '[[site]]\nurl = "https://example.org/"\norigin = "http://127.0.0.1:1"\n'
    written = (
        SECRET, f"'{SECRET}", f'"{SECRET}', f'"{SECRET}" x', f'["{SECRET}",, ]', f'{{ x = "{SECRET}" }}',
        f'[["{SECRET}"]]', f'"{SECRET}!"', f'" {SECRET}"', f'"{SECRET[6:]}"', f'"whsec-{SECRET[6:]}"',
        f'"{SECRET * 3}"', f'"{SECRET}\\n"', f'"{SECRET}\u00e9"', f'"{SECRET[:-5]}"', f'"""{SECRET}', f'"{SECRET}\\q"',
        f'["{SECRET}", 5]', f'"{SECRET[:30]}"', f"{{ {SECRET[:24]} = 1 }}", f"[{{ a = '{SECRET}' }}]",
    )  # fmt: skip
    for value in written:
        for key in ("secrets", "secret", "secrets.x"):
            yield f"{site}{key} = {value}\n"
    for other in ("interval = 5", "nonsense = 1", 'pages = ["?"]', "[[site]]", "x", '[webhook]\nsecrets = "x"'):
        yield f'{site}secrets = "{SECRET}"\n{other}\n'
    yield f'{site}[webhook]\nsecrets = "{SECRET}"\n'
    yield f'secrets = "{SECRET}"\n{site}'
    chance = Random(SEED)
    good = f'{site}secrets = ["{SECRET}"]\n'
    for _ in range(300):
        # A character more, or less, or another, anywhere.
        place = chance.randrange(len(good))
        yield good[:place] + chance.choice(('"', "'", "[", "]", "\n", "#", "=", "", "\\", "\0")) + good[place + 1 :]


def test_no_fault_of_a_configuration_says_a_secret() -> None:
    refused = 0
    for text in wrong_files():
        try:
            config = configuration.parse(text, Path("/etc/staticify.toml"), Path("/etc"))
        except ConfigError as error:
            refused += 1
            # A key is the operator's own word, and is said.
            told = "".join(traceback.format_exception(error)) + repr(error) + repr(error.faults) + str(error)
            assert leaks(told) == [], text
        else:
            assert leaks(repr(config) + str(config)) == [], text
    assert refused > 150


def test_a_secret_is_in_no_log_of_the_values_that_hold_it() -> None:
    site = f'[[site]]\nurl = "https://example.org/"\norigin = "http://127.0.0.1:1"\nsecrets = "{SECRET}"\n'
    config = configuration.parse(site, None, Path("/etc"))
    for value in (config, config.sites, config.sites[0].secrets, config.sites[0].secrets[0], Fault("x", str(config))):
        record = logging.getLogger("x").makeRecord("x", 30, "f", 1, "%s", (value,), None, extra={"value": value})
        for formatter in (TextFormatter(), JsonFormatter()):
            assert leaks(formatter.format(record)) == []
    for kind in RECIPES:
        if kind != "haproxy":
            assert leaks("".join(recipe(kind, config, part) for part in parts_of(kind))) == []
    # It is there to be found: what nothing above says.
    assert leaks(pickle.dumps(config.sites[0].secrets[0])) != []
