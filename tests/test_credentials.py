"""A secret may stand in a file of its own or in a credential, and no fault says a word of it."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import pytest

from staticify import audit, config
from staticify.errors import ConfigError
from staticify.recipes import recipe
from staticify.signature import parse_secret

SECRET = f"whsec_{b64encode(bytes(range(32))).decode()}"
SITE = '[[site]]\nurl = "https://example.org/"\n'


def written(directory: Path, secrets: str, *, mode: int = 0o600) -> Path:
    path = directory / "staticify.toml"
    path.write_text(f"{SITE}secrets = {secrets}\n")
    path.chmod(mode)
    return path


def secret_file(directory: Path, content: bytes = SECRET.encode(), *, mode: int = 0o600) -> Path:
    path = directory / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("end", [b"", b"\n", b" \r\n\t\n"])
def test_a_secret_is_read_from_a_file(tmp_path: Path, end: bytes) -> None:
    path = written(tmp_path, f'"file:{secret_file(tmp_path, SECRET.encode() + end)}"')
    (site,) = config.load(path).sites
    assert site.secrets == (parse_secret(SECRET),)
    assert SECRET[6:20] not in repr(site)


def test_a_changed_file_is_another_configuration(tmp_path: Path) -> None:
    path = written(tmp_path, f'"file:{secret_file(tmp_path)}"')
    before = config.load(path)
    assert config.load(path) == before
    secret_file(tmp_path, f"whsec_{b64encode(b'x' * 32).decode()}".encode())
    assert config.load(path) != before


def test_a_secret_is_read_from_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, '["credential:secret"]')
    secret_file(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert config.load(path).sites[0].secrets == (parse_secret(SECRET),)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ConfigError, match=r"line 3: site\[0\].secrets\[0\]: the credential secret is not there"):
        config.load(path)
    # For a unit, which is made before there is any; and nobody who signs with nothing is believed.
    loaded = config.load(path, reads_secrets=False)
    assert "\nLoadCredential=secret:/etc/credstore/secret\n" in recipe("systemd", loaded)
    assert loaded.sites[0].secrets[0].content != config.load(path, reads_secrets=False).sites[0].secrets[0].content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory. The user that runs staticify must"),
        (b" \n", "is empty: write the secret into it"),
        (b"hunter2" * 200, "is over 1024 bytes"),
        (b"hunter2", "holds no secret: it must be whsec_ and base64"),
        (b"whsec_aHVudGVyMg==", "holds no secret: it must hold 24 to 64 bytes, this one holds 7"),
        (b"hunter2\xff\0", "holds no secret: it must be whsec_ and base64"),
    ],
)
def test_a_fault_of_a_secrets_file_says_what_to_do(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        secret_file(tmp_path, content)
    path = written(tmp_path, f'"file:{tmp_path}/secret"')
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    (fault,) = caught.value.faults
    assert (fault.key, fault.line) == ("site[0].secrets", 3)
    assert said in fault.message
    assert "hunter2" not in str(caught.value)
    assert "aHVu" not in str(caught.value)


@pytest.mark.parametrize("kind", ["pipe", "directory"])
def test_what_is_no_regular_file_holds_no_secret_and_nobody_waits(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "secret"
    (os.mkfifo if kind == "pipe" else os.mkdir)(path)
    with pytest.raises(ConfigError, match=r"cannot be read: (it is no regular file|Is a directory)"):
        config.load(written(tmp_path, f'"file:{path}"'))


@pytest.mark.parametrize(
    "text", ["file:", "file:secret", "file:~/x", "credential:", "credential:..", "credential:a/b", "credential:a:b"]
)
def test_a_place_that_cannot_be_one(text: str) -> None:
    with pytest.raises(ConfigError, match=r"site\[0\].secrets: must name a"):
        config.parse(f'{SITE}secrets = "{text}"\n', None, Path("/etc"))


def test_check_says_which_files_with_a_secret_are_open(tmp_path: Path) -> None:
    secret = secret_file(tmp_path, mode=0o644)
    warnings = list(audit.warnings_of(config.load(written(tmp_path, f'"{SECRET}"', mode=0o644))))
    path = tmp_path / "staticify.toml"
    assert warnings == [f"{path} holds a secret and is open to everybody on this machine: chmod o= {path}"]
    warnings = list(audit.warnings_of(config.load(written(tmp_path, f'"file:{secret}"', mode=0o644))))
    assert warnings == [f"{secret} holds a secret and is open to everybody on this machine: chmod o= {secret}"]
    secret.chmod(0o640)
    assert list(audit.warnings_of(config.load(path))) == []
    assert list(audit.warnings_of(config.load(written(tmp_path, f'"{SECRET}"', mode=0o640)))) == []


def test_a_secret_in_a_place_that_is_hidden_from_a_service_is_bound(tmp_path: Path) -> None:
    text = f'{SITE}secrets = "file:/home/site/secrets/one"\n'
    made = recipe(
        "systemd", config.parse(text, Path("/etc/staticify/staticify.toml"), Path("/etc"), reads_secrets=False)
    )
    assert "\nBindReadOnlyPaths=/home/site/secrets\n" in made
    assert "LoadCredential" not in made
