"""A secret that stands elsewhere than in the configuration: in a file of its own, or in a credential of systemd's.

    secrets = "file:/etc/staticify/secret"     an absolute path
    secrets = "credential:wordpress"           $CREDENTIALS_DIRECTORY/wordpress (systemd.exec(5), LoadCredential=)

What is wrong is said without a word of the content.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from secrets import token_bytes

from staticify.faults import has_control_character, shown
from staticify.signature import CREDENTIAL, FILE, Secret, parse_secret

DIRECTORY = "CREDENTIALS_DIRECTORY"
"""The variable by which systemd says where its credentials are."""
MAX_FILE_BYTES = 1024
"""A secret has some ninety."""

_NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}")


def read_secret(text: str, *, is_read: bool = True) -> Secret:
    """The secret that `text` is, or that it says the place of. Raises ValueError.

    One that is not read is made up: it signs nothing that anybody believes, and the other way round.
    """
    path = _path_of(text, is_read=is_read)
    if path is None:
        return parse_secret(text if text.isascii() else "")
    if not is_read:
        return Secret(token_bytes(32), text)
    try:
        content = _content_of(path)
    except OSError as error:
        raise ValueError(
            f"{shown(str(path))} cannot be read: {error.strerror}. The user that runs staticify must be able to read it"
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(
            f"{shown(str(path))} is over {MAX_FILE_BYTES} bytes: write the secret into it and nothing else"
        )
    written = content.rstrip()
    if not written:
        raise ValueError(f"{shown(str(path))} is empty: write the secret into it, whsec_ and base64")
    try:
        return Secret(parse_secret(written.decode("ascii", "replace")).content, text)
    except ValueError as error:
        raise ValueError(f"{shown(str(path))} holds no secret: it {error}") from None


def _path_of(text: str, *, is_read: bool) -> Path | None:
    if text.startswith(FILE):
        path = text.removeprefix(FILE)
        if not path.startswith("/") or has_control_character(path):
            raise ValueError(f'must name an absolute path, such as "{FILE}/etc/staticify/secret"')
        return Path(path)
    if not text.startswith(CREDENTIAL):
        return None
    name = text.removeprefix(CREDENTIAL)
    if not _NAME.fullmatch(name):
        raise ValueError(f'must name a credential by letters, digits and ._-, such as "{CREDENTIAL}wordpress"')
    directory = os.environ.get(DIRECTORY, "")
    if not directory and is_read:
        raise ValueError(
            f"the credential {name} is not there: ${DIRECTORY} is not set. systemd sets it for a unit with "
            f"LoadCredential={name}:PATH; in a shell, while that runs, write {DIRECTORY}=/run/credentials/UNIT before "
            "the command"
        )
    return Path(directory, name)


def _content_of(path: Path) -> bytes:
    """What the file has, and a byte more than it may have. Raises OSError."""
    # A pipe that nobody writes to would keep us waiting.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no regular file")
        return file.read(MAX_FILE_BYTES + 1)
