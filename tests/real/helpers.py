"""What the tests of this folder do to a real WordPress, to nginx and to staticify's own command line."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from staticify.nouns import Kind, Record
from staticify.store import Store
from staticify.urls import Page, parse_page

EXAMPLE = Path(__file__).parents[2] / "examples/launch-day"
SECONDS_FOR_A_COMMAND = 180
"""A WordPress is installed in 15 s, and in over a minute where everything else is busy."""


@dataclass(frozen=True)
class Reply:
    """What a web server answered. Field names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def cache_status(self) -> str:
        return self.headers.get("cache-status", "")

    @property
    def is_hit(self) -> bool:
        """True if the answer came out of the tree."""
        return self.cache_status == "staticify; hit"


@dataclass(frozen=True)
class Post:
    """A post that a test has made."""

    number: int
    page: Page

    @property
    def path(self) -> str:
        return self.page.path


@dataclass(frozen=True)
class Stack:
    """A WordPress that examples/launch-day/stack has brought up."""

    directory: Path
    front_port: int
    origin_port: int

    @property
    def tree(self) -> Path:
        """The tree that nginx serves."""
        return self.directory / "tree"

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self.front_port}"

    @property
    def url(self) -> str:
        return f"http://{self.netloc}"

    @property
    def secret(self) -> str:
        """What its plugin and staticify share."""
        lines = (self.directory / "stack.conf").read_text().splitlines()
        return next(line.removeprefix("SECRET=") for line in lines if line.startswith("SECRET="))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.origin_port}"

    def command(self, name: str, *arguments: str, is_checked: bool = True) -> str:
        """Run a command of `stack` on this directory. What it starts would hold a pipe open: a file takes its place."""
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [EXAMPLE / "stack", name, "--dir", self.directory, *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                timeout=SECONDS_FOR_A_COMMAND, check=False,
            )  # fmt: skip
            output.seek(0)
            text = output.read()
        assert not is_checked or done.returncode == 0, f"stack {name}: exit status {done.returncode}\n{text}"
        return text

    def php(self, code: str, *arguments: str) -> str:
        """Run PHP inside the WordPress; what it prints."""
        with tempfile.NamedTemporaryFile("w", suffix=".php") as file:
            file.write(f"<?php {code}")
            file.flush()
            return self.command("php", file.name, *arguments)

    def call(self, function: str, *arguments: object) -> Any:
        """What a function of WordPress returns."""
        code = "echo json_encode( call_user_func_array( $argv[1], json_decode( $argv[2], true ) ) );"
        return json.loads(self.php(code, function, json.dumps(arguments)))

    def insert_post(self, **fields: object) -> Post:
        """A new post, published now unless the fields say otherwise."""
        defaults = {"post_status": "publish", "post_author": 1, "comment_status": "open"}
        number = self.call("wp_insert_post", defaults | fields)
        assert number > 0
        # A draft's address is the one that it would have.
        code = "$post = get_post( $argv[1] ); $post->post_status = 'publish'; echo get_permalink( $post );"
        return Post(number, parse_page(self.php(code, str(number))))

    def update_post(self, post: Post, **fields: object) -> None:
        assert self.call("wp_update_post", {"ID": post.number, **fields}) == post.number

    def insert_comment(self, post: Post, content: str, *, is_approved: bool) -> int:
        fields = {
            "comment_post_ID": post.number, "comment_author": "Bob", "comment_author_email": "bob@example.org",
            "comment_author_url": "https://bob.example/", "comment_content": content,
            "comment_approved": "1" if is_approved else "0",
        }  # fmt: skip
        number: int = self.call("wp_insert_comment", fields)
        return number

    def from_front(self, path: str, **options: Any) -> Reply:
        """One answer of the public nginx."""
        return ask(self.front_port, path, **{"host": self.netloc} | options)

    def from_origin(self, path: str, **options: Any) -> Reply:
        """One answer of plain WordPress, asked in the public name."""
        return ask(self.origin_port, path, **{"host": self.netloc} | options)

    def log_in(self, user: str, password: str) -> str:
        """The Cookie field that the login gives a browser."""
        form = urlencode({"log": user, "pwd": password, "testcookie": "1"})
        fields = {
            "Cookie": "wordpress_test_cookie=WP%20Cookie%20check",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        with closing(http.client.HTTPConnection("127.0.0.1", self.origin_port, timeout=30)) as connection:
            connection.request("POST", "/wp-login.php", form, {"Host": self.netloc} | fields)
            response = connection.getresponse()
            assert response.status == 302, response.read()
            return "; ".join(line.partition(";")[0] for line in response.headers.get_all("Set-Cookie", []))

    def make_directory(self) -> Path:
        """A new directory that whoever runs staticify may write to."""
        assert self.staticify, "by now the tree belongs to whoever that is"
        directory = Path(tempfile.mkdtemp(prefix="site-", dir=self.directory))
        owner = self.tree.stat()
        os.chown(directory, owner.st_uid, owner.st_gid)
        return directory

    @cached_property
    def staticify(self) -> tuple[str | Path, ...]:
        """How staticify's command line is called: as the unprivileged user, or as root where that user cannot reach
        this Python. Then the tree is root's too."""
        python = (sys.executable, "-m", "staticify.cli")
        unprivileged = (EXAMPLE / "stack", "exec", "--dir", self.directory, "--")
        can = subprocess.run([*unprivileged, *python, "--version"], capture_output=True, check=False).returncode == 0
        if not can:
            os.chown(self.tree, 0, 0)
        return (*unprivileged, *python) if can else python


def reason_to_skip() -> str:
    """Why no WordPress can be brought up here; empty if one can."""
    if not Path("/etc/debian_version").exists():
        return "this is no Debian, whose packages of WordPress, MariaDB, PHP-FPM and nginx these tests start"
    if os.geteuid() != 0:
        return "only root can start WordPress as an unprivileged user of its own"
    return ""


@contextmanager
def brought_up(*options: str) -> Iterator[Stack]:
    """A WordPress of its own, with the options of `stack up`. nginx's workers must be able to enter its directory, and
    pytest's own temporary ones are closed to others."""
    directory = Path(tempfile.mkdtemp(prefix="staticify-", dir="/var/tmp"))
    directory.chmod(0o755)
    stack = Stack(directory / "stack", *free_ports(2))
    ports = ("--front-port", str(stack.front_port), "--origin-port", str(stack.origin_port))
    try:
        stack.command("up", "--theme", "twentytwentyone", *ports, *options)
        yield stack
    finally:
        stack.command("down", "--purge", is_checked=False)
        shutil.rmtree(directory)


class Site:
    """A staticify with a configuration, a state and (unless it is nginx's) a tree of its own."""

    def __init__(
        self, stack: Stack, directory: Path, pages: Sequence[str], *, tree: Path | None, settings: Mapping[str, object]
    ) -> None:
        self.stack = stack
        self.tree = tree or directory / "tree"
        self.state = directory / "state"
        self.config = directory / "staticify.toml"
        self.log = directory / "run.log"
        site = {"url": stack.url, "origin": stack.origin, "pages": list(pages), **settings}
        lines = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in site.items())
        self.config.write_text(
            f'[tree]\npath = "{self.tree}"\n[state]\npath = "{self.state}"\n[[site]]\n{lines}', encoding="utf-8"
        )

    def staticify(self, command: str, *arguments: str, under: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `under` is a program that watches it."""
        return subprocess.run(
            [*under, *self.stack.staticify, command, "--config", self.config, *arguments],
            capture_output=True, text=True, timeout=SECONDS_FOR_A_COMMAND, check=False, cwd=self.stack.directory,
        )  # fmt: skip

    def render(self, *urls: str) -> dict[str, tuple[str, str]]:
        """Outcome and verdict of each page, by path, of a pass over the pages given, or all."""
        done = self.staticify("render", "--json", *(urls or ["--all"]))
        assert done.returncode in {0, 1}, done.stderr
        report = json.loads(done.stdout)
        results = {parse_page(page["url"]).path: (page["outcome"], page["verdict"]) for page in report["pages"]}
        is_good = all(outcome in {"published", "unchanged"} for outcome, _ in results.values())
        assert is_good or done.returncode == 1, "pages are not good, and the exit status does not say so"
        return results

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemon."""
        command = [*self.stack.staticify, "run", "--config", self.config]
        with self.log.open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.stack.directory)

    def status(self) -> dict[str, Any]:
        done = self.staticify("status", "--json")
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def records(self) -> dict[str, Record]:
        """What the state database says of each page, by path."""
        with closing(Store.open_for_reading(self.state)) as store:
            return {parse_page(record.url).path: record for record in store.of_site(f"{self.stack.url}/")}

    def file(self, path: str, kind: Kind = Kind.HTML) -> Path:
        """Where the identity bytes of a page live."""
        return self.tree / Page("http", self.stack.netloc, path).tree_path(kind)

    def text(self, path: str) -> str:
        """The HTML of a page in the tree; empty if it is not there."""
        try:
            return self.file(path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""


class Running:
    """Ends a daemon, whatever the test came to."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def stop(process: subprocess.Popen[bytes]) -> int:
    """The exit status after SIGTERM."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=15)


def ask(
    port: int,
    path: str,
    *,
    host: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    address: str = "127.0.0.1",
) -> Reply:
    """One request, with no header field but Host and those given."""
    with closing(http.client.HTTPConnection(address, port, timeout=30)) as connection:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        if method not in {"GET", "HEAD"}:
            connection.putheader("Content-Length", "0")
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, fields, response.read())


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def empty_directory(directory: Path) -> None:
    for entry in directory.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def snapshot(tree: Path) -> dict[str, tuple[int, int, bytes]]:
    """Inode, mtime and bytes of everything below a directory."""
    return {
        str(entry.relative_to(tree)): (
            (status := entry.stat(follow_symlinks=False)).st_ino,
            status.st_mtime_ns,
            entry.read_bytes() if entry.is_file() else b"",
        )
        for entry in tree.rglob("*")
    }


def wait_for(what: str, condition: Callable[[], object], seconds: float) -> float:
    """Seconds until the condition holds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - started
