"""Private nginx, Apache and Caddy with the configuration that `staticify config` prints, each on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from real.helpers import wait_for
from staticify import config as configuration
from staticify.recipes import recipe

USER = "www-data"
"""Whom a server's workers run as: somebody who may read the tree and no more."""
APACHE_MODULES = (
    "mpm_event", "alias", "authz_core", "mime", "headers", "rewrite", "lua", "proxy", "proxy_http", "proxy_balancer",
    "lbmethod_byrequests", "slotmem_shm", "socache_shmcb", "ssl", "http2", "remoteip",
)  # fmt: skip


class Front(ABC):
    """A web server with a directory of its own."""

    kind = ""

    def __init__(self, directory: Path, config: Path) -> None:
        self.directory = directory
        self.config = config
        self.log = directory / f"{self.kind}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def write(self) -> None:
        """Write the files that the server reads."""

    @abstractmethod
    def command(self, *, is_check: bool = False) -> Sequence[str | Path]:
        """How it is started, in the foreground; or how it checks its configuration."""

    def recipe(self, part: str = "") -> str:
        """What `staticify config` prints."""
        return recipe(self.kind, configuration.load(self.config), part)

    def check(self) -> subprocess.CompletedProcess[str]:
        """What the server says of its configuration."""
        self.write()
        return subprocess.run(
            self.command(is_check=True), capture_output=True, text=True, check=False, timeout=60, env=self.environment
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.directory), "XDG_DATA_HOME": str(self.directory)}

    def start(self, *ports: int) -> None:
        """Start it, and wait until it listens."""
        checked = self.check()
        assert checked.returncode == 0, checked.stdout + checked.stderr
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )
        wait_for(f"{self.kind} listens", lambda: self._is_ready(ports), 20)

    def _is_ready(self, ports: Sequence[int]) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        listening = {
            int(line.split()[1].rpartition(":")[2], 16)
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            if line.split()[3] == "0A"
        }
        return set(ports) <= listening

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None


class Nginx(Front):
    kind = "nginx"

    def write(self) -> None:
        (self.directory / "site.conf").write_text(self.recipe())
        temporary = "".join(
            f"{name}_temp_path {self.directory}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.directory / "nginx.conf").write_text(
            f"daemon off; user {USER}; worker_processes 2; worker_rlimit_nofile 65536; pcre_jit on;\n"
            f"pid {self.directory}/nginx.pid; error_log {self.log} notice;\n"
            f"events {{ worker_connections 16384; }}\n"
            f"http {{ include /etc/nginx/mime.types; sendfile on; keepalive_requests 1000000; {temporary}\n"
            # What a usual http block has, and what must not reach the tree's answers.
            "gzip on; gzip_types *; charset koi8-r; open_file_cache max=100; expires 1d;\n"
            f"access_log {self.directory}/access.log;\n"
            f"include {self.directory}/site.conf; }}\n"
        )

    def command(self, *, is_check: bool = False) -> Sequence[str | Path]:
        return ("nginx", "-e", self.log, "-c", self.directory / "nginx.conf", *(["-t"] if is_check else []))


class Apache(Front):
    kind = "apache"

    def write(self) -> None:
        (self.directory / "site.conf").write_text(self.recipe())
        (self.directory / "instead.lua").write_text(self.recipe("instead"))
        modules = "".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in APACHE_MODULES
        )
        (self.directory / "apache2.conf").write_text(
            f"{modules}ServerRoot {self.directory}\nDefaultRuntimeDir {self.directory}\nPidFile {self.directory}/pid\n"
            f"User {USER}\nGroup {USER}\nServerName localhost\nErrorLog {self.log}\n"
            f'CustomLog {self.directory}/access.log "%a %>s %r"\n'
            "TypesConfig /etc/mime.types\nAddEncoding x-gzip .gz\nAddLanguage pt .br\n"
            "<Directory />\nOptions None\nAllowOverride None\nRequire all denied\n</Directory>\n"
            f"Define STATICIFY_LUA {self.directory}/instead.lua\nInclude {self.directory}/site.conf\n"
        )

    def command(self, *, is_check: bool = False) -> Sequence[str | Path]:
        return ("apache2", "-f", self.directory / "apache2.conf", *(["-t"] if is_check else ["-D", "FOREGROUND"]))


class Caddy(Front):
    kind = "caddy"

    def write(self) -> None:
        (self.directory / "Caddyfile").write_text(self.recipe())

    def command(self, *, is_check: bool = False) -> Sequence[str | Path]:
        verb = "validate" if is_check else "run"
        return ("caddy", verb, "--config", self.directory / "Caddyfile", "--adapter", "caddyfile")


FRONTS: dict[str, type[Front]] = {front.kind: front for front in (Nginx, Apache, Caddy)}


def front_of(kind: str, directory: Path, config: Path) -> Front:
    """A front, not started; whatever was in its directory is gone."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    return FRONTS[kind](directory, config)
