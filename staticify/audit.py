"""What `staticify check` finds beside faults of the file: whether it goes with the machine, and what it comes to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from staticify.config import Config
from staticify.errors import ConfigError, Fault, TreeError
from staticify.tree import Tree, is_nosymfollow
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
    if _is_foreign(config):
        yield Fault("tree.path", f"{config.tree_path} holds other files and no page: name an empty directory")
    for index, site in enumerate(config.sites):
        if not site.pages and not site.sitemaps:
            yield Fault(f"site[{index}]", f"{site.url} has neither pages nor sitemaps: there is nothing to keep")


def warnings_of(config: Config) -> Iterator[str]:
    """What works, and hardly as it was meant."""
    if config.listen is not None and not any(site.secrets for site in config.sites):
        yield f"nobody listens at {config.listen}: no site has `secrets`, so that no webhook could be believed"


def _is_foreign(config: Config) -> bool:
    """True if there is something in the tree's directory, and no page is."""
    try:
        if next(Tree(config.tree_path).scan(), None) is not None:
            return False
        return any(MARK not in name for _, _, files in os.walk(config.tree_path) for name in files)
    except (OSError, TreeError):
        return False  # Not there yet, or closed to whoever asks: `render` says so.
