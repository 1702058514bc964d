"""What `staticify init` does: read a site, propose, try, and write a configuration."""

from __future__ import annotations

import errno
import json
import os
import shlex
import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from staticify import config as configuration
from staticify.config import Config, Site
from staticify.errors import ConfigError, Fault, OriginTimeout, OriginUnreachable
from staticify.filesystem import is_nosymfollow
from staticify.logs import printable
from staticify.origin import OriginClient
from staticify.propose import Proposal, propose, readable_path, toml_of, try_out
from staticify.urls import Page

_FILE_MODE = 0o640
"""It will hold the secret that WordPress and staticify share."""


async def draw_up(
    url: str,
    origin: tuple[str, ...],
    *,
    interval: str,
    concurrency: int,
    tree_path: str,
    state_path: str,
    on_proposal: Callable[[int], None],
    on_page: Callable[[], None],
) -> tuple[Proposal, str]:
    """A proposal for the site at a URL, and the text of its configuration.

    Raises ConfigError for arguments that no configuration could have, OriginError if the home page cannot be kept.
    """
    config = _config(url, origin, interval, concurrency)
    site = config.sites[0]
    client = OriginClient(site)
    try:
        proposal = await _proposed(client, site, is_named=bool(origin))
        on_proposal(len(proposal.pages))
        proposal = await try_out(client, proposal, on_page)
    finally:
        await client.aclose()
    is_mounted = is_nosymfollow(Path(tree_path) if tree_path else config.tree_path)
    text = toml_of(proposal, tree_path=tree_path, state_path=state_path, is_mounted=is_mounted)
    # What init writes must be what check accepts; a fault here is a defect, and must not reach the disk.
    configuration.parse(text, None, Path.cwd())
    return proposal, text


async def _proposed(client: OriginClient, site: Site, *, is_named: bool) -> Proposal:
    """A proposal. Raises OriginError, with what to do where nobody answered."""
    try:
        return await propose(client, site)
    except (OriginUnreachable, OriginTimeout) as error:
        other = "another address" if is_named else "an address of its own, beside the public one"
        raise type(error)(
            str(error), hint=f"Where WordPress answers at {other}, name it, as in --origin http://127.0.0.1:8080"
        ) from error


def check_target(path: Path, *, force: bool) -> None:
    """Raise ConfigError if a configuration cannot be written there, or, without `force`, may not."""
    try:
        status = path.stat()
    except FileNotFoundError:
        above = path.absolute().parent
        if not above.exists():
            # Made by `write`, but no more than this one: the rest of the path is more likely a slip of the hand.
            above = above.parent
        if not above.exists():
            raise ConfigError(
                str(path),
                [Fault("", f"cannot be written: there is no directory {above}")],
                hint="Make it, or give another file with --config",
            ) from None
        if not os.access(above, os.W_OK | os.X_OK, effective_ids=True):
            raise _cannot_write(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES))) from None
    except OSError as error:
        raise _cannot_write(path, error) from error
    else:
        if stat.S_ISDIR(status.st_mode):
            raise _cannot_write(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
        if not force:
            raise ConfigError(
                str(path),
                [Fault("", "there is such a file already")],
                hint="Give --force to overwrite it, or --config for another file",
            )


def write(path: Path, text: str, *, force: bool) -> None:
    """Write the configuration, whole or not at all. Raises ConfigError; without `force`, also if the file exists."""
    temporary = ""
    try:
        path.parent.mkdir(exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), _FILE_MODE)
            file.write(text)
        if force:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
            os.unlink(temporary)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        str(path), [Fault("", f"cannot be written: {error.strerror}")], hint="Give another file with --config"
    )


def as_json(proposal: Proposal, path: Path, tree_path: Path) -> dict[str, Any]:
    """The proposal for programs."""
    return {
        "path": str(path),
        "tree": str(tree_path),
        "site": proposal.site.url,
        "render_seconds": round(proposal.render_seconds, 4),
        "pass_seconds": round(proposal.pass_seconds, 2),
        "fits": not proposal.is_trimmed,
        "groups": [{"why": str(group.why), "pages": [page.url for page in group.pages]} for group in proposal.groups],
        "sitemaps": list(proposal.sitemaps),
        "exclude": list(proposal.exclude),
        "pages": len(proposal.pages),
        "notes": [asdict(note) for note in proposal.notes],
    }


def print_proposal(proposal: Proposal, path: Path, tree_path: Path) -> None:
    """The proposal as a table: how many pages of each group, and a few of them."""
    # The examples take the room that the other columns leave.
    table = Table(box=None, header_style="bold", pad_edge=False, expand=True)
    table.add_column("why", no_wrap=True)
    table.add_column("pages", justify="right", no_wrap=True)
    table.add_column("for example", no_wrap=True, overflow="ellipsis", ratio=1)

    def add(why: str, pages: Sequence[Page]) -> None:
        table.add_row(why, str(len(pages)), Text(printable("  ".join(map(readable_path, pages[:3])))))

    for group in proposal.groups:
        add(group.why, group.pages)
    grouped = {page for group in proposal.groups for page in group.pages}
    others = [page for page in proposal.joined if page not in grouped]
    if others:
        add("others in sitemaps", others)
    console = Console(highlight=False)
    console.print(table)
    # Who reads from a pipe has no width.
    is_piped = not console.is_terminal
    console.print(Text(proposal.fit + "."), soft_wrap=is_piped)
    for note in proposal.notes:
        console.print(Text(printable(f"note: {note}")), style="yellow", soft_wrap=is_piped)
    console.print(Text(printable(f"The pages will stand in {tree_path}.")), soft_wrap=is_piped)
    console.print(Text(printable(f"Written: {path}. Next:")), soft_wrap=is_piped)
    # By itself and in one piece, to be copied.
    console.print(Text(printable(f"    staticify render --all --config {shlex.quote(str(path))}")), soft_wrap=True)


def _config(url: str, origin: tuple[str, ...], interval: str, concurrency: int) -> Config:
    """The site that the arguments name, in a configuration of its own, checked as a configuration would be."""
    text = f"[[site]]\nurl = {json.dumps(url)}\ninterval = {json.dumps(interval)}\nconcurrency = {concurrency}\n"
    if origin:
        text += f"origin = {json.dumps(origin)}\n"
    try:
        return configuration.parse(text, None, Path.cwd())
    except ConfigError as error:
        # Arguments, not lines: there is no file yet.
        faults = [Fault(_argument_of(fault.key), fault.message) for fault in error.faults]
        raise ConfigError("arguments", faults) from None


def _argument_of(key: str) -> str:
    """What an operator wrote where the file has a key: --origin for site[0].origin[0]."""
    name = key.rpartition(".")[2].partition("[")[0]
    return "URL" if name == "url" else f"--{name}"
