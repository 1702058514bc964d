"""The spool: a folder into which any script drops a file that says what to render anew.

    echo tag:post:12 > spool/.mine && mv spool/.mine spool/mine

One item a line: an absolute http or https URL, an absolute path, `tag:TAG`, or `all`. Blank lines and lines that begin
with # say nothing. Names that begin with a dot or end in ~, .tmp or .rejected are not read: write under such a name and
rename. A file that is written in place is read when it was not written to for SETTLE_SECONDS and has content; what a
slower writer adds after that is lost to it.
"""

from __future__ import annotations

import itertools
import os
import secrets
import stat
import time
from dataclasses import dataclass, replace
from pathlib import Path

from staticify.errors import Fault, WatchError
from staticify.tags import is_tag

MAX_BYTES = 64 * 1024
MAX_FILES = 1000
"""Read at once."""
SETTLE_SECONDS = 0.2
REJECTED = ".rejected"

_TAKEN = ".taken-"
"""How the name of a file that is being read begins; the rest is by chance, so that nothing is in the way."""
_TRIES = 5
_MAX_NAME_BYTES = 255
_MAX_URL_LENGTH = 8192
"""Every character of the longest path percent-encoded, and a host; `urls` judges the rest."""
_TAG = "tag:"
_ALL = "all"


@dataclass(frozen=True, slots=True)
class Order:
    """What one file asked for. With faults, what was good in it still holds, and the file is kept as NAME.rejected."""

    name: str
    urls: tuple[str, ...] = ()
    """URLs and absolute paths as they were written; whether one is a page, and of which site, is not looked at."""
    tags: tuple[str, ...] = ()
    everything: bool = False
    faults: tuple[Fault, ...] = ()


def read_spool(folder: Path) -> list[Order]:
    """What the files in the folder ask for; they are gone from it when this returns. Blocks for a moment.

    A file that cannot be taken away is not carried out: it would be so for ever. Files written to while this waits, and
    those over MAX_FILES, stay; for whoever watches the folder, writing, and taking the others away, are events that
    come after this. A folder that does not exist is empty. Raises WatchError for one that cannot be read.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(folder, error) from None
    try:
        ages = {name: age for name in _names(descriptor) if (age := _age_seconds(descriptor, name)) is not None}
        if any(age < SETTLE_SECONDS for age in ages.values()):
            # Once, for all: who looked when an event came would not be told again that the file is old enough now.
            time.sleep(SETTLE_SECONDS)
        orders = (_read(descriptor, name) for name in itertools.islice(ages, MAX_FILES))
        return [order for order in orders if order is not None]
    except OSError as error:
        raise _unreadable(folder, error) from None
    finally:
        os.close(descriptor)


def _unreadable(folder: Path, error: OSError) -> WatchError:
    hint = "It must be a folder that the user of staticify may read and write"
    return WatchError(f"the spool {folder} cannot be read: {error.strerror}", hint=hint)


def _names(descriptor: int) -> list[str]:
    names = (name for name in os.listdir(descriptor) if not name.startswith("."))
    return sorted(name for name in names if not name.endswith(("~", ".tmp", REJECTED)))


def _age_seconds(descriptor: int, name: str) -> float | None:
    """How long ago a file was written; None for what is no regular file, is gone, or is empty: not begun."""
    try:
        status = os.lstat(name, dir_fd=descriptor)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return None
    # A time stamp that lies ahead (a clock set back, a file server's clock) says nothing: as if it were long ago, but
    # for the little that two clocks differ by.
    return abs(time.time() - status.st_mtime)


def _read(descriptor: int, name: str) -> Order | None:
    """One file's order, and the file out of the way. None if it is not to be read, or not yet."""
    age = _age_seconds(descriptor, name)
    if age is None or age < SETTLE_SECONDS:
        return None
    taken = f"{_TAKEN}{secrets.token_hex(8)}"
    try:
        # First of all: a file that gets this name from now on is another order.
        os.rename(name, taken, src_dir_fd=descriptor, dst_dir_fd=descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _faulty(name, f"cannot be taken out of the spool, and is not carried out: {error.strerror}")
    try:
        order = _parse(name, _content(descriptor, taken))
    except OSError as error:
        order = _faulty(name, f"cannot be read: {error.strerror}")
    except ValueError as error:
        order = _faulty(name, str(error))
    try:
        if order.faults:
            os.rename(taken, _kept_name(descriptor, name), src_dir_fd=descriptor, dst_dir_fd=descriptor)
        else:
            os.unlink(taken, dir_fd=descriptor)
    except OSError as error:
        fault = Fault(name, f"stays in the spool as {taken}: {error.strerror}")
        return replace(order, faults=(*order.faults, fault))
    return order


def _content(descriptor: int, taken: str) -> bytes:
    """The taken file's content. Raises OSError, and ValueError with a reason."""
    # Neither follow a link nor wait for the writer of a FIFO that got the name after it was looked at.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with open(os.open(taken, flags, dir_fd=descriptor), "rb", buffering=0) as file:
        for _ in range(_TRIES):
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise ValueError("is not a regular file")
            if abs(time.time() - before.st_mtime) < SETTLE_SECONDS:
                time.sleep(SETTLE_SECONDS)
            content = bytearray()
            file.seek(0)
            while len(content) <= MAX_BYTES and (chunk := file.read(MAX_BYTES + 1 - len(content))):
                content += chunk
            after = os.fstat(file.fileno())
            if len(content) > MAX_BYTES:
                raise ValueError(f"is over {MAX_BYTES} bytes")
            if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
                return bytes(content)
    raise ValueError("is written to all the time")


def _parse(name: str, content: bytes) -> Order:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _faulty(name, "is not UTF-8")
    urls: dict[str, None] = {}
    tags: dict[str, None] = {}
    everything = False
    faults: list[Fault] = []
    for number, line in enumerate(text.split("\n"), start=1):
        item = line.strip()
        if not item or item.startswith("#"):
            continue
        if item == _ALL:
            everything = True
        elif item.startswith(_TAG) and is_tag(item.removeprefix(_TAG)):
            tags[item.removeprefix(_TAG)] = None
        elif _is_url(item):
            urls[item] = None
        else:
            # What it says is not repeated: the log is not for what a script put into a file by mistake.
            faults.append(Fault(name, "is no URL, absolute path, tag:TAG or all", number))
    return Order(name, tuple(urls), tuple(tags), everything, tuple(faults))


def _is_url(text: str) -> bool:
    if len(text) > _MAX_URL_LENGTH or not text.isprintable() or " " in text:
        return False
    is_path = text.startswith("/") and not text.startswith("//")
    return is_path or text.lower().startswith(("http://", "https://"))


def _faulty(name: str, message: str) -> Order:
    return Order(name, faults=(Fault(name, message),))


def _kept_name(descriptor: int, name: str) -> bytes:
    """A name that is not read, and is nobody's yet."""
    ending = REJECTED
    while True:
        kept = os.fsencode(name)[: _MAX_NAME_BYTES - len(ending)] + ending.encode()
        try:
            os.lstat(kept, dir_fd=descriptor)
        except FileNotFoundError:
            return kept
        ending = f".{time.time_ns()}{REJECTED}"
