"""What staticify's systemd unit has to allow for one configuration, beyond what it allows every staticify."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from staticify.config import DEFAULT_PATHS, Config

MADE_BY_SYSTEMD = ("/var/cache/staticify", "/var/lib/staticify")
"""CacheDirectory= and StateDirectory=."""
RUNTIME = "/run/staticify"
"""RuntimeDirectory=, which is there only with a socket in it."""
PROGRAM = "/opt/staticify/bin/staticify"
"""Where README.md installs it."""
HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  nothing is written there
"""ProtectHome= and PrivateTmp= take these away."""

MAX_TASKS = 128
"""TasksMax=, whatever the configuration and the machine. At most there are, of what `workers` starts, 16 threads that
write, 16 that wait for parsers, one in the background, and 8 parsers of one thread each; 32 of asyncio (its own limit),
which read files and look names up; the event loop's, and one that watches folders. These are 75, whatever `concurrency`
is: fetches are no threads. The rest is for parsers that end while others begin."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Paths and addresses, each once and in order."""

    source: str
    """The configuration."""
    program: str
    """The command `staticify`."""
    writable: tuple[str, ...]
    bound: tuple[str, ...]
    """To be written to as well, and hidden otherwise."""
    bound_read_only: tuple[str, ...]
    sockets: tuple[str, ...]
    """Of origins."""
    has_runtime_directory: bool
    addresses: tuple[str, ...]
    """Of origins on other machines."""
    credentials: tuple[str, ...]
    """Secrets that systemd hands on."""
    names: tuple[str, ...]
    """The same, where somebody has to look them up."""

    @property
    def paths(self) -> tuple[str, ...]:
        """All that the unit names."""
        return (self.source, self.program, *self.writable, *self.bound, *self.bound_read_only, *self.sockets)


def unit_of(config: Config, program: str = PROGRAM) -> Unit:
    """What the unit of a configuration has to allow."""
    source = str((config.source or DEFAULT_PATHS[-1]).absolute())
    written = {str(path) for path in (config.tree_path, config.state_path, config.spool_path) if path}
    if config.listen and config.listen.socket_path:
        written.add(_parent(config.listen.socket_path))
    origins = [origin for site in config.sites for origin in site.origins]
    sockets = {origin.socket_path for origin in origins if origin.socket_path}
    watched = {site.wp_content for site in config.sites if site.wp_content}
    # The program's is the venv.
    read = {_parent(path) for path in (source, _parent(program), *sockets)} | watched
    secrets = [secret for site in config.sites for secret in site.secrets]
    read |= {_parent(secret.path) for secret in secrets if secret.path}
    remote = {origin.host for origin in origins if origin.host and not _is_here(origin.host)}
    return Unit(
        source=source,
        program=program,
        writable=_sorted(path for path in written if not _is_below(path, *MADE_BY_SYSTEMD, RUNTIME, *HIDDEN)),
        bound=_sorted(path for path in written if _is_below(path, *HIDDEN)),
        bound_read_only=_sorted(path for path in read if _is_below(path, *HIDDEN) and not _is_below(path, *written)),
        sockets=_sorted(sockets),
        has_runtime_directory=any(_is_below(path, RUNTIME) for path in written),
        addresses=_sorted(host for host in remote if _is_address(host)),
        credentials=_sorted({secret.credential for secret in secrets if secret.credential}),
        names=_sorted(host for host in remote if not _is_address(host)),
    )


def _sorted(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(paths))


def _parent(path: str) -> str:
    return str(Path(path).parent)


def _is_below(path: str, *directories: str) -> bool:
    return any(Path(path).is_relative_to(directory) for directory in directories)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_here(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
