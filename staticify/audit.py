"""What `staticify check` finds beside faults of the file: whether it goes with the machine, and what it comes to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from staticify.config import Config
from staticify.errors import ConfigError, Fault, TreeError, WebhookError
from staticify.filesystem import is_nosymfollow
from staticify.holding import check_owner, has_daemon, user_name
from staticify.store import FILE_NAME
from staticify.tree import Tree
from staticify.unit import RUNTIME
from staticify.urls import MARK


def check(config: Config, path: Path) -> None:
    """Raise ConfigError with all that keeps the configuration in a file from being of use."""
    if faults := list(_faults_of(config)):
        raise ConfigError(str(path), faults)


def _faults_of(config: Config) -> Iterator[Fault]:
    if config.tree_links == "mount" and not is_nosymfollow(config.tree_path):
        yield Fault(
            "tree.links",
            f'is "mount", but {config.tree_path} is not mounted with nosymfollow: fronts follow any link. Mount it '
            '(README.md, step 1), or write links = "never" and make the fronts\' configuration anew',
        )
    if not _doubt_of_owner(config):
        if reason := _unusable(config.tree_path):
            yield Fault("tree.path", reason)
        if reason := _unusable(config.state_path) or _unusable_file(config.state_path / FILE_NAME):
            yield Fault("state.path", reason)
    if _is_foreign(config):
        yield Fault("tree.path", f"{config.tree_path} holds other files and no page: name an empty directory")
    for index, site in enumerate(config.sites):
        if not site.pages and not site.sitemaps:
            yield Fault(f"site[{index}]", f"{site.url} has neither pages nor sitemaps: there is nothing to keep")


def warnings_of(config: Config) -> Iterator[str]:
    """What works, and hardly as it was meant."""
    if doubt := _doubt_of_owner(config):
        yield f"not known whether tree and state can be written: {doubt}"
    for site in config.sites:
        if site.wp_content is not None and not os.path.isdir(site.wp_content):
            yield f"nobody hears of changed files: wp_content of {site.url}, {site.wp_content}, is no directory here"
    yield from _open_secrets(config)
    if config.listen is None:
        return
    if not any(site.secrets for site in config.sites):
        yield f"nobody listens at {config.listen}: no site has `secrets`, so that no webhook could be believed"
    elif not _is_made_by_service(config) and not has_daemon(config.tree_path):
        # Beside a daemon it is the daemon that listens there, or its log says why it does not.
        from staticify.webhook import check_address  # 40 ms, for those who listen

        try:
            check_address(config.listen)
        except WebhookError as error:
            yield f"no webhook would be heard: {error}"


def _is_made_by_service(config: Config) -> bool:
    """True for a socket in a directory that systemd makes when the service starts."""
    return config.listen is not None and Path(config.listen.socket_path).is_relative_to(RUNTIME)


def _doubt_of_owner(config: Config) -> str:
    """Why root cannot know whether the tree's owner could write there; empty if who asks can know."""
    try:
        check_owner(config.tree_path)
    except TreeError as error:
        return str(error)
    return ""


def _unusable(path: Path) -> str:
    """Why who asks could not write in a directory, or make it; empty if they could. Makes nothing."""
    there = next(one for one in (path, *path.parents) if os.access(one, os.F_OK, effective_ids=True))
    if not there.is_dir():
        return f"{there} is no directory"
    if os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        return ""
    if there == path:
        return _closed(path)
    user = user_name(os.geteuid())
    return (
        f"{path} is not there, or out of reach, and the user {user} may not write in {there}. "
        f"As root: install -d -o {user} {path}"
    )


def _unusable_file(path: Path) -> str:
    is_there = os.access(path, os.F_OK, effective_ids=True)
    return _closed(path) if is_there and not os.access(path, os.R_OK | os.W_OK, effective_ids=True) else ""


def _closed(path: Path) -> str:
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"the file system of {path} is mounted read-only"
    user, status = user_name(os.geteuid()), path.stat()
    owner = user_name(status.st_uid)
    # Made by root with a mkdir, say. staticify is not to run as root.
    is_roots = status.st_uid == 0 != os.geteuid()
    mend = (
        f"As root: chown -R {user} {path}" if is_roots else f"Run it as that user: runuser -u {owner} -- staticify ..."
    )
    return f"the user {user} may not write to {path}, which belongs to {owner}. {mend}"


def _open_secrets(config: Config) -> Iterator[str]:
    """Files with a secret in them that anybody on the machine may read, or write."""
    secrets = [secret for site in config.sites for secret in site.secrets]
    files = {Path(secret.path) for secret in secrets if secret.path}
    if config.source is not None and not all(secret.source for secret in secrets):
        files.add(config.source)
    for path in sorted(files):
        with contextlib.suppress(OSError):
            if path.stat().st_mode & 0o007:
                yield f"{path} holds a secret and is open to everybody on this machine: chmod o= {path}"


def _is_foreign(config: Config) -> bool:
    """True if there is something in the tree's directory, and no page is."""
    try:
        if next(Tree(config.tree_path).scan(), None) is not None:
            return False
        return any(MARK not in name for _, _, files in os.walk(config.tree_path) for name in files)
    except (OSError, TreeError):
        return False  # Not there yet, or closed to whoever asks: `render` says so.
