"""A machine without IPv4: HAProxy, nginx, staticify, its webhook and a real WordPress, all of it on IPv6 addresses."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from real.balancing import HAProxy, OneWorker, request, send, write_config
from real.conftest import MakePost
from real.helpers import EXAMPLE, Running, Stack, stop, wait_for
from staticify.signature import parse_secret, sign

CLONE_NEWNET = 0x40000000
PUBLIC, VISITOR = "2001:db8::1", "2001:db8::7"
FRONT, BALANCER, WEBHOOK = 8180, 8181, 8182


@contextmanager
def without_ipv4() -> Iterator[None]:
    """A network of our own, for this thread and for what it starts: loopback with IPv6 addresses only."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET):
            assert ctypes.get_errno() == errno.EPERM
            pytest.skip("this machine lets nobody make a network")
        try:
            for command in (
                "link set lo up",
                "addr del 127.0.0.1/8 dev lo",
                f"addr add {PUBLIC}/128 dev lo",
                f"addr add {VISITOR}/128 dev lo",
            ):
                subprocess.run(["ip", *command.split()], check=True, timeout=10)
            yield
        finally:
            assert libc.setns(before, CLONE_NEWNET) == 0
    finally:
        os.close(before)


class Origin(OneWorker):
    """The WordPress's own nginx once more, with the addresses that this network has."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        super().__init__(directory, directory / "staticify.toml")
        self.stack = stack

    def write(self) -> None:
        theirs = self.stack.directory / "nginx"
        site = (theirs / "site.conf").read_text()
        lines = [line for line in site.splitlines(keepends=True) if "listen 127.0.0.1:" not in line]
        (self.directory / "site.conf").write_text("".join(lines))
        text = (theirs / "nginx.conf").read_text().replace(f"{theirs}/site.conf", f"{self.directory}/site.conf")
        text = text.replace(f"{self.stack.directory}/run/nginx.pid", f"{self.directory}/nginx.pid")
        text = text.replace(f"{self.stack.directory}/log/", f"{self.directory}/")
        (theirs / "ipv6.conf").write_text(f"daemon off; {text}")

    def command(self, *, is_check: bool = False) -> tuple[str | Path, ...]:
        configuration = self.stack.directory / "nginx/ipv6.conf"
        run = (EXAMPLE / "stack", "exec", "--dir", self.stack.directory, "--")
        return (*run, "nginx", "-e", self.directory / "origin.log", "-c", configuration, *(["-t"] if is_check else []))


@pytest.fixture
def directories(stack: Stack) -> Iterator[list[Path]]:
    made = [stack.make_directory() for _ in range(3)]
    for directory in made:
        directory.chmod(0o755)
    yield made
    for directory in made:
        shutil.rmtree(directory)


def test_everything_works_without_ipv4(stack: Stack, make_post: MakePost, directories: list[Path]) -> None:
    directory, origins, balancers = directories
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    post = make_post(post_title="Only six", post_content="the first words")
    tables: dict[str, dict[str, object]] = {
        "tree": {"path": str(directory / "tree")},
        "state": {"path": str(directory / "state")},
        "webhook": {"listen": f"http://[::1]:{WEBHOOK}"},
        "front": {
            "listen": [f"[::1]:{FRONT}"], "proxy_protocol_from": ["::1"], "edges": [f"[::1]:{FRONT}"],
            "served_by": "edge",
        },
        "balancer": {"listen": [f"[{PUBLIC}]:{BALANCER}"]},
        # The name is the one that this WordPress has; as an address it would lead nowhere.
        "site": {
            "url": stack.url, "origin": f"http://[::1]:{stack.origin_port}", "pages": ["/", post.path],
            "interval": "1h", "secrets": stack.secret,
        },
    }  # fmt: skip
    config = write_config(directory / "staticify.toml", tables)
    config.chmod(0o644)
    with without_ipv4(), ExitStack() as ended:
        with pytest.raises(OSError, match="unreachable"):
            socket.create_connection(("127.0.0.1", FRONT), timeout=5)
        servers = (
            (Origin(stack, origins), stack.origin_port),
            (front := OneWorker(directory, config), FRONT),
            (HAProxy(balancers, config), BALANCER),
        )
        for server, port in servers:
            ended.callback(server.stop)
            server.start(port)
        with (directory / "run.log").open("wb") as log:
            daemon = subprocess.Popen(
                [*stack.staticify, "run", "--config", config], stdout=log, stderr=log, cwd=stack.directory
            )
        ended.enter_context(Running(daemon))

        def read(path: str = post.path) -> tuple[str, bytes]:
            answer = send(BALANCER, request(path, host=stack.netloc), host=PUBLIC, source=VISITOR)
            return answer.headers.get("cache-status", ""), answer.body

        wait_for("the page is a hit", lambda: read()[0] == "staticify; hit", 30)
        assert b"the first words" in read()[1]
        status, body = read("/?s=six")
        assert (status, b"Only six" in body) == ("staticify; fwd=bypass", True), "WordPress itself"
        assert VISITOR in front.visitors()
        assert set(front.visitors()) <= {VISITOR, "::1"}, "the checks are HAProxy's own"

        stack.update_post(post, post_content="the second words")
        assert b"the first words" in read()[1], "an hour is not over"
        assert purge(stack, post.page.url) == 202
        wait_for("the purge works", lambda: b"the second words" in read()[1], 10)
        stack.update_post(post, post_content="the third words")
        done = subprocess.run(
            [*stack.staticify, "purge", "--config", config, post.page.url],
            capture_output=True, text=True, check=False, timeout=60, cwd=stack.directory,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "told: 1 page\n"), done.stderr
        wait_for("the command works", lambda: b"the third words" in read()[1], 10)
        assert read()[0] == "staticify; hit"
        assert stop(daemon) == 0, (directory / "run.log").read_text()


def purge(stack: Stack, url: str) -> int:
    """Tell the webhook as a script does; the status of its answer."""
    body = f'{{"type": "purge", "data": {{"site": "{stack.url}/", "urls": ["{url}"]}}}}'.encode()
    fields = sign([parse_secret(stack.secret)], secrets.token_hex(8), time.time(), body)
    lines = {"Host": "localhost", "Content-Length": str(len(body)), **fields}
    header = "".join(f"{name}: {text}\r\n" for name, text in lines.items())
    return send(WEBHOOK, f"POST /purge HTTP/1.1\r\n{header}\r\n".encode() + body, host="::1", source="::1").status
