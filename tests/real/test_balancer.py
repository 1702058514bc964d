"""`staticify config haproxy` and nginx, run: several back ends, the PROXY protocol, TLS and its renewal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from authority import Authority

from real.balancing import HOST, HAProxy, Machine, OneWorker, next_answer, request, send, write_config
from real.fronts import Apache, Caddy, Front
from real.helpers import Reply, free_ports, wait_for
from staticify.encode import encode
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import Page

DEPLOY = Path(__file__).parents[2] / "deploy"
HOOK = DEPLOY / "certbot/staticify-certificate"
WEIGHTS = {"primary": 5, "second": 5, "small-1": 1, "small-2": 1}
TURN = sum(WEIGHTS.values())
LISTED, OTHER = "127.0.0.2", "127.0.0.3"
CLAIM = "203.0.113.66"


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that the servers' own users may enter."""
    path = Path(tempfile.mkdtemp(prefix="staticify-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    """The seed's: a primary, a second of the same strength, and two small ones."""
    made = [Machine(name, port) for name, port in zip(WEIGHTS, free_ports(len(WEIGHTS)), strict=True)]
    for machine in made:
        machine.start()
    yield made
    for machine in made:
        machine.stop()


@pytest.fixture
def running() -> Iterator[list[Front]]:
    """What a test starts, to be ended."""
    started: list[Front] = []
    yield started
    for front in started:
        front.stop()


def backends(machines: Sequence[Machine]) -> list[dict[str, object]]:
    return [
        {"address": f"http://127.0.0.1:{machine.port}", "name": machine.name, "weight": WEIGHTS[machine.name]}
        for machine in machines
    ]


def paths(directory: Path) -> dict[str, dict[str, object]]:
    return {"tree": {"path": str(directory / "tree")}, "state": {"path": str(directory / "state")}}


# --- Several back ends ---


@dataclass
class Pool:
    """A front before the four machines, or HAProxy in the place of one."""

    front: Front
    port: int
    machines: list[Machine]

    def ask(self, path: str = "/x/", method: str = "GET", **fields: str) -> Reply:
        return send(self.port, request(path, method, **fields))

    def who_answers(self, path: str = "/x/", method: str = "GET") -> str:
        """The last name of X-Served-By; the machine itself must have been asked."""
        for machine in self.machines:
            machine.asked.clear()
        answer = self.ask(path, method)
        assert answer.status == 200, answer
        name = answer.headers["x-served-by"].rpartition(", ")[2]
        if method != "HEAD":
            assert answer.body.startswith(f"{name}\n".encode())
        assert [machine.name for machine in self.machines if machine.asked] == [name]
        return name

    def turn(self) -> Counter[str]:
        return Counter(self.who_answers() for _ in range(TURN))


@pytest.fixture(params=["nginx", "haproxy"])
def pool(request: pytest.FixtureRequest, directory: Path, machines: list[Machine], running: list[Front]) -> Pool:
    port, edge = free_ports(2)
    tables = paths(directory) | {
        "front": {"listen": [f"127.0.0.1:{port}"], "served_by": "edge", "edges": [f"127.0.0.1:{edge}"]},
        "balancer": {"wordpress": f"127.0.0.1:{port}", "listen": [f"127.0.0.1:{edge}"]},
        "site": {"url": f"http://{HOST}/", "origin": f"http://127.0.0.1:{machines[0].port}"},
    }
    config = write_config(directory / "staticify.toml", tables, *backends(machines))
    kind = OneWorker if request.param == "nginx" else HAProxy
    running.append(kind(directory, config))
    running[0].start(port)
    return Pool(running[0], port, machines)


def test_each_machine_has_its_share_and_the_small_ones_one_in_twelve(pool: Pool) -> None:
    for _ in range(5):
        assert pool.turn() == Counter(WEIGHTS)


def test_heads_are_shared_out_too(pool: Pool) -> None:
    assert Counter(pool.who_answers(method="HEAD") for _ in range(TURN)) == Counter(WEIGHTS)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/wp-admin/"),
        ("GET", "/wp-admin/edit.php?post_type=page"),
        ("GET", "/wp-login.php"),
        ("HEAD", "/wp-login.php?action=logout"),
        ("GET", "/wp-cron.php?doing_wp_cron"),
        ("GET", "/wp-content/uploads/2024/01/board.jpg"),
        ("GET", "/blog/wp-admin/"),
        ("GET", "//wp-admin/"),
        ("GET", "/wp-%61dmin/"),
        ("GET", "/wp-json/wp/v2/media"),
        ("POST", "/x/"),
        ("PUT", "/wp-json/wp/v2/posts/1"),
        ("DELETE", "/x/"),
    ],
)
def test_the_primary_alone_has_sessions_uploads_and_changes(pool: Pool, method: str, path: str) -> None:
    if (pool.front.kind, path) == ("nginx", "//wp-admin/"):
        path = "/x//wp-admin/"
    assert {pool.who_answers(path, method) for _ in range(TURN)} == {"primary"}


def test_a_dead_machine_is_left_out_and_comes_back(pool: Pool) -> None:
    dead = pool.machines[1]
    dead.stop()
    # From the first moment: who finds no connection asks another one.
    answers = Counter(pool.who_answers() for _ in range(5 * TURN))
    assert sum(answers.values()) == 5 * TURN
    assert dead.name not in answers
    if pool.front.kind == "nginx":
        assert pool.front.log.read_text().count("connect() failed") <= 20, "it was asked again and again"
    dead.start()
    wait_for("it is asked again", lambda: pool.who_answers() == dead.name, 30)
    wait_for("it has its share", lambda: pool.turn() == Counter(WEIGHTS), 30)


def test_a_machine_that_fails_in_php_is_left_out_by_haproxys_checks(pool: Pool) -> None:
    if pool.front.kind == "nginx":
        pytest.skip("nginx has no checks, and a visitor's error is no sign: any address may be one")
    sick = pool.machines[2]
    sick.status = 500
    wait_for("its state is known", lambda: f"org/{sick.name} is DOWN" in pool.front.log.read_text(), 30)
    assert sick.name not in pool.turn()
    sick.status = 200
    wait_for("it is asked again", lambda: sick.name in pool.turn(), 30)


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_some_answers_that_are_none_take_wordpress_away_from_nobody(
    kind: str, directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    """An address that is slow, or fails, belongs to whoever asks for it, not to all."""
    (port,) = free_ports(1)
    tables = paths(directory) | {
        "front": {"listen": [f"127.0.0.1:{port}"], "timeout": "1s"},
        "site": {"url": f"http://{HOST}/", "origin": f"http://127.0.0.1:{machines[0].port}"},
    }
    config = write_config(directory / "staticify.toml", tables, *backends(machines[:3]))
    running.append(OneWorker(directory, config) if kind == "nginx" else Caddy(directory, config))
    running[0].start(port)
    with ThreadPoolExecutor(16) as threads:
        # The first while no check has been made yet, the last when several have.
        for path, count in {"/late/": 1, "/status/503/": 16, "/late/?": 12, "/status/502/": 16}.items():
            answers = threads.map(partial(send, port), [request(path)] * count)
            assert {answer.status for answer in answers} == {503}
            assert [send(port, request()).status for _ in range(8)] == [200] * 8, path
    # What one visitor asks for is asked of one machine, or of those that it could not even connect to.
    assert sum(path.startswith("/status/") for machine in machines for _, path, _ in machine.asked) == 32


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_a_machine_that_stands_in_is_asked_while_the_first_is_dead(
    kind: str, directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    (port,) = free_ports(1)
    tables = paths(directory) | {
        "front": {"listen": [f"127.0.0.1:{port}"]},
        "site": {"url": f"http://{HOST}/", "origin": [f"http://127.0.0.1:{machine.port}" for machine in machines[:2]]},
    }
    config = write_config(directory / "staticify.toml", tables)
    running.append(OneWorker(directory, config) if kind == "nginx" else Caddy(directory, config))
    running[0].start(port)
    pool = Pool(running[0], port, machines)

    def is_from(body: bytes, method: str) -> bool:
        return pool.ask(method=method).body.startswith(body)

    for answers in ("primary", "second", "primary"):
        if answers == "second":
            machines[0].stop()
        elif machines[0]._server is None:
            machines[0].start()
        body = f"{answers}\n".encode()
        for method in ("GET", "POST"):
            if answers == "primary":
                wait_for("it is asked", partial(is_from, body, method), 30)
            for _ in range(5):
                assert is_from(body, method), (answers, method)


def test_who_answered_is_known_through_haproxy_too(
    directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    """One staticify.toml for both: HAProxy shares out among the backends, and is nginx's origin."""
    port, shared = free_ports(2)
    tables = paths(directory) | {
        "front": {"listen": [f"127.0.0.1:{port}"], "served_by": "edge", "edges": [f"127.0.0.1:{port}"]},
        "balancer": {"wordpress": f"127.0.0.1:{shared}", "listen": [f"127.0.0.1:{free_ports(1)[0]}"]},
        "site": {"url": f"http://{HOST}/", "origin": f"http://127.0.0.1:{shared}"},
    }
    config = write_config(directory / "staticify.toml", tables, *backends(machines))
    for kind, own in ((HAProxy, shared), (OneWorker, port)):
        running.append(kind(directory, config))
        running[-1].start(own)
    pool = Pool(running[1], port, machines)
    assert pool.turn() == Counter(WEIGHTS)
    assert pool.ask().headers["x-served-by"].startswith("edge, ")
    for machine in machines:
        machine.stop()
    answer = pool.ask()
    assert (answer.status, answer.headers["x-served-by"]) == (503, "edge")


def test_no_machine_at_all_is_a_short_503(pool: Pool) -> None:
    for machine in pool.machines:
        machine.stop()
    answer = pool.ask()
    assert (answer.status, answer.headers["retry-after"]) == (503, "30")
    assert b"Back in a moment" in answer.body


# --- The load balancer before the edges ---


def test_haproxy_accepts_what_deploy_holds(directory: Path) -> None:
    authority = Authority(directory, HOST)
    authority.found()
    certificates = directory / "certs"
    authority.issue(certificates)
    pem = (certificates / "fullchain.pem").read_text() + (certificates / "privkey.pem").read_text()
    for file in certificates.iterdir():
        file.unlink()
    (certificates / "one.pem").write_text(pem)
    text = (DEPLOY / "haproxy/haproxy.cfg").read_text()
    (directory / "haproxy.cfg").write_text(text.replace("/etc/haproxy/certs/", f"{certificates}/"))
    done = subprocess.run(
        ["haproxy", "-c", "-f", directory / "haproxy.cfg"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr


@dataclass
class Seed:
    """HAProxy before two edges with a tree each, before one WordPress."""

    balancer: HAProxy
    edges: list[OneWorker]
    wordpress: Machine
    tls_port: int
    plain_port: int
    edge_ports: list[int]
    authority: Authority
    lineage: Path

    def get(self, path: str, *, source: str = "127.0.0.1", **fields: str) -> Reply:
        """By a visitor over TLS."""
        done = curl(self.tls_port, f"https://{HOST}:{self.tls_port}{path}", self.authority, source=source, **fields)
        header, _, body = done.partition("\r\n\r\n")
        first, *lines = header.split("\r\n")
        named = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
        return Reply(int(first.split(" ")[1]), named | {"": first.split(" ")[0]}, body.encode())


def curl(port: int, url: str, authority: Authority, *, source: str = "127.0.0.1", **fields: str) -> str:
    headers = [part for name, text in fields.items() for part in ("-H", f"{name.replace('_', '-')}: {text}")]
    done = subprocess.run(
        ["curl", "-sS", "-i", "--http2", "--max-time", "20", "--interface", source, "--cacert", authority.certificate,
         "--resolve", f"{HOST}:{port}:127.0.0.1", *headers, url],
        capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture
def seed(directory: Path, machines: list[Machine], running: list[Front]) -> Seed:
    return make_seed(directory, machines, running)


def make_seed(directory: Path, machines: list[Machine], running: list[Front], **front: object) -> Seed:
    tls_port, plain_port, *edge_ports = free_ports(4)
    authority = Authority(directory, HOST)
    authority.found()
    lineage = directory / "live" / HOST
    authority.issue(lineage)
    certificates = directory / "certs"
    certificates.mkdir()
    (certificates / f"{HOST}.pem").write_text(
        (lineage / "fullchain.pem").read_text() + (lineage / "privkey.pem").read_text()
    )
    url = f"https://{HOST}:{tls_port}/"
    edges = []
    for number, port in enumerate(edge_ports):
        own = directory / f"edge{number}"
        own.mkdir()
        publish(own / "tree", url)
        tables = paths(own) | {
            "front": {"listen": [f"127.0.0.1:{port}"], "proxy_protocol_from": ["127.0.0.1"], "served_by": own.name},
            "site": {"url": url, "origin": f"http://127.0.0.1:{machines[0].port}"},
        }
        edges.append(OneWorker(own, write_config(own / "staticify.toml", tables)))
    tables = paths(directory) | {
        "front": {"edges": [f"127.0.0.1:{port}" for port in edge_ports], **front},
        "balancer": {
            "listen": [f"127.0.0.1:{tls_port}"],
            "redirect": [f"127.0.0.1:{plain_port}"],
            "certificates": str(certificates),
        },
        "site": {"url": url, "origin": f"http://127.0.0.1:{machines[0].port}"},
    }
    balancer = HAProxy(directory, write_config(directory / "staticify.toml", tables))
    for server, ports in ((edges[0], edge_ports[:1]), (edges[1], edge_ports[1:]), (balancer, [tls_port, plain_port])):
        running.append(server)
        server.start(*ports)
    return Seed(balancer, edges, machines[0], tls_port, plain_port, edge_ports, authority, lineage)


def publish(directory: Path, url: str) -> None:
    tree = Tree(directory)
    tree.open()
    try:
        page = Page("https", url.removeprefix("https://").rstrip("/"), "/key/")
        tree.publish(page.place, Kind.HTML, encode(b"<p>the key page</p>" * 100))
    finally:
        tree.close()


def _told(seed: Seed, before: list[int]) -> list[list[str]]:
    """Each edge's visitors since a line of its log. Checks are HAProxy's own."""
    return [
        [visitor for visitor in edge.visitors()[lines:] if visitor != "127.0.0.1"]
        for edge, lines in zip(seed.edges, before, strict=True)
    ]


def test_a_visitors_address_is_in_the_edges_log_and_reaches_wordpress(seed: Seed) -> None:
    before = [len(edge.visitors()) for edge in seed.edges]
    own = {
        "X_Forwarded_For": CLAIM,
        "X_Forwarded_Host": "evil.example",
        "X_Real_IP": CLAIM,
        "Forwarded": f"for={CLAIM}",
    }
    for _ in range(4):
        assert seed.get("/key/", source="127.0.0.9", **own).headers["cache-status"] == "staticify; hit"
        assert seed.get("/miss/", source="127.0.0.9", **own).status == 200
    wait_for("nginx writes what it has answered", lambda: all(len(told) >= 4 for told in _told(seed, before)), 10)
    assert _told(seed, before) == [["127.0.0.9"] * 4] * len(seed.edges)
    misses = [fields for _, path, fields in seed.wordpress.asked if path == "/miss/"]
    assert len(misses) == 4
    for fields in misses:
        assert (fields["x-forwarded-for"], fields["x-real-ip"]) == ("127.0.0.9", "127.0.0.9")
        assert fields["x-forwarded-proto"] == "https"
        assert not {"x-forwarded-host", "forwarded"} & fields.keys()
        assert CLAIM not in fields.values()


def test_the_balancer_speaks_http2_and_passes_on_who_answered(seed: Seed) -> None:
    answers = [seed.get("/key/") for _ in range(4)]
    assert {answer.headers[""] for answer in answers} == {"HTTP/2"}
    assert Counter(answer.headers["x-served-by"] for answer in answers) == {"edge0": 2, "edge1": 2}
    answered = seed.get("/miss/").headers["x-served-by"]
    assert answered in {"edge0, backend1", "edge1, backend1"}, "no address is shown to visitors"


def test_a_dead_edge_is_left_out_and_comes_back(seed: Seed) -> None:
    seed.edges[0].stop()
    for _ in range(10):
        assert seed.get("/key/").headers["x-served-by"] == "edge1"
    wait_for("HAProxy knows", lambda: "edges/edge1 is DOWN" in seed.balancer.log.read_text(), 20)
    seed.edges[0].start(seed.edge_ports[0])
    wait_for("HAProxy knows", lambda: "edges/edge1 is UP" in seed.balancer.log.read_text(), 20)
    assert {seed.get("/key/").headers["x-served-by"] for _ in range(4)} == {"edge0", "edge1"}


def test_with_wordpress_dead_no_edge_is_left_out(seed: Seed) -> None:
    seed.wordpress.stop()
    # A check every two seconds, and two of them until an edge is out.
    lines = len(seed.edges[0].visitors())
    wait_for("three checks", lambda: len(seed.edges[0].visitors()) >= lines + 3, 20)
    assert "is DOWN" not in seed.balancer.log.read_text()
    assert {seed.get("/key/").headers["x-served-by"] for _ in range(4)} == {"edge0", "edge1"}
    assert seed.get("/miss/").status == 503


# --- The PROXY protocol, and whom nginx and Apache believe ---

V1 = f"PROXY TCP4 {CLAIM} 127.0.0.1 4711 80\r\n".encode()
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes([203, 0, 113, 66, 127, 0, 0, 1]) + b"\x12\x67\x00\x50"
V2_IPV6 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24"
    + bytes.fromhex("20010db8000000000000000000000066") * 2
    + b"\x12\x67\x00\x50"
)


@pytest.fixture
def edge(directory: Path, machines: list[Machine], running: list[Front]) -> tuple[OneWorker, int, Machine]:
    """One nginx that believes LISTED."""
    (port,) = free_ports(1)
    tables = paths(directory) | {
        "front": {"listen": [f"127.0.0.1:{port}"], "proxy_protocol_from": [LISTED]},
        "site": {"url": f"http://{HOST}/", "origin": f"http://127.0.0.1:{machines[0].port}"},
    }
    nginx = OneWorker(directory, write_config(directory / "staticify.toml", tables))
    running.append(nginx)
    nginx.start(port)
    return nginx, port, machines[0]


@pytest.mark.parametrize(("header", "claim"), [(V1, CLAIM), (V2, CLAIM), (V2_IPV6, "2001:db8::66")])
@pytest.mark.parametrize("source", [LISTED, OTHER])
def test_a_header_is_believed_from_listed_addresses_only(
    edge: tuple[OneWorker, int, Machine], header: bytes, claim: str, source: str
) -> None:
    nginx, port, wordpress = edge
    visitor = claim if source == LISTED else source
    answer = send(port, header + request(X_Forwarded_For="198.51.100.1", X_Real_IP="198.51.100.2"), source=source)
    assert answer.status == 200
    wait_for("it is logged", nginx.visitors, 10)
    assert nginx.visitors() == [visitor]
    ((_, _, fields),) = wordpress.asked
    assert (fields["x-forwarded-for"], fields["x-real-ip"]) == (visitor, visitor)
    everything = (nginx.directory / "access.log").read_text() + json.dumps(fields)
    assert (claim in everything) == (source == LISTED)
    assert "198.51.100." not in everything


LOCAL_NETWORK = ["192.0.2.0/24", "2001:db8::/32", LISTED]


def test_apache_answers_nobody_else_who_claims_to_be_a_balancer(
    directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    """It believes the header of whoever connects, and so has to refuse whoever is not listed."""
    (port,) = free_ports(1)
    publish(directory / "tree", f"https://{HOST}")
    tables = paths(directory) | {
        "front": {"listen": [f"127.0.0.1:{port}"], "proxy_protocol_from": LOCAL_NETWORK},
        "site": {"url": f"http://{HOST}/", "origin": f"http://127.0.0.1:{machines[0].port}"},
    }
    apache = Apache(directory, write_config(directory / "staticify.toml", tables))
    running.append(apache)
    apache.start(port)
    for header in (V1, V2):
        for path in ("/key/", "/miss/"):
            answer = send(port, header + request(path), source=OTHER)
            assert (answer.status, "cdn-cache-control" in answer.headers) == (403, False)
            assert b"the key page" not in answer.body
    assert machines[0].asked == []
    assert send(port, V1 + request("/key/"), source=LISTED).headers["cache-status"] == "staticify; hit"
    assert send(port, V2_IPV6 + request("/miss/"), source=LISTED).status == 200
    assert [fields["x-forwarded-for"] for _, _, fields in machines[0].asked] == ["2001:db8::66"]


@pytest.mark.parametrize("source", [LISTED, OTHER])
def test_a_connection_without_a_header_is_not_answered(edge: tuple[OneWorker, int, Machine], source: str) -> None:
    _, port, wordpress = edge
    assert send(port, request(), source=source).status == 0
    assert wordpress.asked == []


# --- Several sites, several names ---


class TwoRecipes(OneWorker):
    """An nginx that includes what was made for one staticify.toml and for another."""

    def write(self) -> None:
        super().write()
        (self.directory / "other.conf").write_text(self.recipe().replace(HOST, "other.example"))
        path = self.directory / "nginx.conf"
        site = f"include {self.directory}/site.conf;"
        path.write_text(path.read_text().replace(site, f"{site} include {self.directory}/other.conf;"))


def test_two_recipes_on_one_machine_are_refused(directory: Path) -> None:
    """Their maps have the same names: the later ones would be the earlier site's as well."""
    (port,) = free_ports(1)
    tables = paths(directory) | {
        "front": {"listen": [f"127.0.0.1:{port}"]},
        "site": {"url": f"http://{HOST}/", "origin": "http://127.0.0.1:1"},
    }
    config = write_config(directory / "staticify.toml", tables)
    assert OneWorker(directory, config).check().returncode == 0
    done = TwoRecipes(directory, config).check()
    assert (done.returncode, "staticify_is_configured_once" in done.stderr) == (1, True)


def test_the_host_is_the_same_for_the_tree_and_for_wordpress(
    directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    """nginx has it twice where the target is a whole URL; RFC 9112 section 3.2.2 lets that win."""
    (port,) = free_ports(1)
    publish(directory / "tree", f"https://{HOST}:{port}")
    tables = paths(directory) | {
        "front": {"listen": [f"127.0.0.1:{port}"]},
        "site": {"url": f"http://{HOST}:{port}/", "origin": f"http://127.0.0.1:{machines[0].port}"},
    }
    nginx = OneWorker(directory, write_config(directory / "staticify.toml", tables))
    running.append(nginx)
    nginx.start(port)
    site, stranger = f"{HOST}:{port}", f"other.example:{port}"
    for target in ("/key/", f"http://{site}/key/", f"http://{HOST.upper()}:{port}/key/"):
        for host in (site, site.upper(), f"{HOST}.:{port}"):
            assert send(port, request(target, host=host)).headers["cache-status"] == "staticify; hit", (target, host)
    # Of a mixture neither half is believed; what WordPress makes of it is a redirect to its own address.
    for target, host, told in (
        (f"http://{HOST}/x/", stranger, "-"),
        (f"http://{HOST}/key/", stranger, "-"),
        ("http://other.example/key/", site, "-"),
        ("/key/", stranger, stranger),
        (f"http://{stranger}/key/", stranger, stranger),
        (f"http://{HOST}/key/", HOST, HOST),
        ("/x/", site.upper(), site),
    ):
        assert send(port, request(target, host=host)).headers["cache-status"] == "staticify; fwd=uri-miss", target
        _, _, fields = machines[0].asked[-1]
        assert fields["host"] == told, (target, host)


class Nameless(OneWorker):
    """An nginx whose one server block has no name, as one that is written by hand may have none."""

    def write(self) -> None:
        super().write()
        path = self.directory / "site.conf"
        path.write_text(path.read_text().replace(f"server_name {HOST};", ""))


def test_without_a_host_there_is_no_page(directory: Path, machines: list[Machine], running: list[Front]) -> None:
    """HTTP/1.0 needs none. The whole tree would be one site then."""
    (port,) = free_ports(1)
    publish(directory / "tree", f"https://{HOST}:{port}")
    tables = paths(directory) | {
        "front": {"listen": [f"127.0.0.1:{port}"]},
        "site": {"url": f"http://{HOST}:{port}/", "origin": f"http://127.0.0.1:{machines[0].port}"},
    }
    nginx = Nameless(directory, write_config(directory / "staticify.toml", tables))
    running.append(nginx)
    nginx.start(port)
    assert send(port, request("/key/", host=f"{HOST}:{port}")).headers["cache-status"] == "staticify; hit"
    for target in (f"/{HOST}:{port}/key/", "/key/"):
        for field in ("", "Host:\r\n"):
            answer = send(port, f"GET {target} HTTP/1.0\r\n{field}\r\n".encode())
            assert answer.headers["cache-status"] == "staticify; fwd=uri-miss"
            assert b"the key page" not in answer.body


# --- TLS ---


@dataclass
class Tls:
    """A front that ends TLS."""

    front: Front
    wordpress: Machine
    port: int
    plain_port: int
    authority: Authority
    lineage: Path
    more_plain_ports: Sequence[int] = ()

    def ask(self, path: str, **fields: str) -> tuple[str, int, dict[str, str]]:
        """Version, status and header fields of an answer."""
        answer = curl(self.port, f"https://{HOST}:{self.port}{path}", self.authority, **fields)
        first, *lines = answer.partition("\r\n\r\n")[0].split("\r\n")
        version, status = first.split(" ")[:2]
        return (
            version,
            int(status),
            {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)},
        )

    def is_spoken(self, version: ssl.TLSVersion) -> bool:
        """True if a visitor who knows no other version gets through."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            # That these versions are old is why.
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain:
                context.wrap_socket(plain, server_hostname=HOST).close()
        except (ssl.SSLError, ConnectionResetError):
            return False
        return True

    def hook(self, service: str, directory: Path) -> subprocess.CompletedProcess[str]:
        """Run certbot's hook where `service` is the one that runs, under a systemctl that knows our process."""
        assert self.front._process is not None
        reload_signal = signal.SIGHUP if service == "nginx" else signal.SIGUSR2
        programs = directory / "bin"
        programs.mkdir(exist_ok=True)
        systemctl = programs / "systemctl"
        systemctl.write_text(
            f"#!/bin/sh\n[ \"$1 $2 $3\" = 'is-active --quiet {service}' ] && exit 0\n"
            f"[ \"$1 $2\" = 'reload {service}' ] && exec kill -{int(reload_signal)} {self.front._process.pid}\nexit 3\n"
        )
        systemctl.chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "RENEWED_LINEAGE": str(self.lineage),
            "STATICIFY_HAPROXY_CERTIFICATES": str(directory / "certs"),
            "STATICIFY_HAPROXY_CONFIGURATION": str(directory / "haproxy.cfg"),
        }
        return subprocess.run([HOOK], env=environment, capture_output=True, text=True, check=False, timeout=60)


def make_tls(
    kind: str, directory: Path, machines: list[Machine], running: list[Front], hsts: str, **settings: object
) -> Tls:
    if kind == "haproxy":
        seed = make_seed(directory, machines, running, hsts=hsts)
        return Tls(seed.balancer, seed.wordpress, seed.tls_port, seed.plain_port, seed.authority, seed.lineage)
    port, plain_port, *more = free_ports(3)
    authority = Authority(directory, HOST)
    authority.found()
    lineage = directory / "live" / HOST
    authority.issue(lineage)
    publish(directory / "tree", f"https://{HOST}:{port}")
    tables = paths(directory) | {
        "front": {
            "listen": [f"127.0.0.1:{port}"],
            "redirect": [f"127.0.0.1:{one}" for one in (plain_port, *more)],
            "certificate": f"{directory}/live/{{host}}/fullchain.pem",
            "certificate_key": f"{directory}/live/{{host}}/privkey.pem",
            "hsts": hsts,
            **settings,
        },
        "site": {"url": f"https://{HOST}:{port}/", "origin": f"http://127.0.0.1:{machines[0].port}"},
    }
    kinds: dict[str, type[OneWorker | Apache | Caddy]] = {"nginx": OneWorker, "apache": Apache, "caddy": Caddy}
    front = kinds[kind](directory, write_config(directory / "staticify.toml", tables))
    running.append(front)
    front.start(port, plain_port, *more)
    return Tls(front, machines[0], port, plain_port, authority, lineage, more)


HSTS = "max-age=31536000"


@pytest.mark.parametrize("hsts", [HSTS, ""])
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_tls_ends_at_the_front(
    kind: str, hsts: str, directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    tls = make_tls(kind, directory, machines, running, hsts)
    for path, cache_status in {"/key/": "staticify; hit", "/miss/?a=1": "staticify; fwd=bypass"}.items():
        version, status, fields = tls.ask(path)
        assert (version, status, fields["cache-status"]) == ("HTTP/2", 200, cache_status)
        assert fields.get("strict-transport-security", "") == hsts
    assert tls.wordpress.asked[-1][2]["x-forwarded-proto"] == "https"
    for path in ("/key/", "/miss/?a=1&b=%2F"):
        answer = send(tls.plain_port, request(path, host=f"{HOST}:{tls.plain_port}"))
        assert (answer.status, answer.headers["location"]) == (301, f"https://{HOST}:{tls.port}{path}")
        assert "strict-transport-security" not in answer.headers, "RFC 6797 section 7.2"
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        assert not tls.is_spoken(old), old
    assert tls.is_spoken(ssl.TLSVersion.TLSv1_2)


@pytest.mark.parametrize("kind", ["nginx", "apache"])
def test_the_redirect_reads_the_proxy_protocol_too(
    kind: str, directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    """A balancer that passes on TLS as it is sends that header at both ports."""
    tls = make_tls(kind, directory, machines, running, "", proxy_protocol_from=[LISTED])
    answer = send(tls.plain_port, V1 + request("/key/?a=1"), source=LISTED)
    assert (answer.status, answer.headers["location"]) == (301, f"https://{HOST}:{tls.port}/key/?a=1")
    wait_for("it is logged", lambda: "/key/?a=1" in (directory / "access.log").read_text(), 10)
    assert (directory / "access.log").read_text().startswith(CLAIM)
    if kind == "nginx":
        assert send(tls.plain_port, V1 + request("/key/?b=2"), source=OTHER).status == 301
        wait_for("it is logged", lambda: "/key/?b=2" in (directory / "access.log").read_text(), 10)
        assert (directory / "access.log").read_text().count(CLAIM) == 1


def test_caddy_tells_strangers_that_a_host_is_not_its_own(
    directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    tls = make_tls("caddy", directory, machines, running, "")
    assert tls.ask("/key/")[2]["cache-status"] == "staticify; hit"
    for host in ("other.example", f"{HOST}.:{tls.port}", "127.0.0.1"):
        assert tls.ask("/key/", Host=host)[1] == 421
        assert send(tls.plain_port, request("/key/", host=host)).status == 421
    assert send(tls.plain_port, request("/key/")).status == 301


@pytest.mark.parametrize("kind", ["nginx", "apache", "caddy"])
def test_every_address_of_redirect_leads_to_https(
    kind: str, directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    tls = make_tls(kind, directory, machines, running, "")
    for port in (tls.plain_port, *tls.more_plain_ports):
        answer = send(port, request("/key/", Cookie="a=" + "x" * 20_000))
        assert (answer.status, answer.headers["location"]) == (301, f"https://{HOST}:{tls.port}/key/")


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_renewed_certificate_is_presented_and_no_request_is_cut_off(
    kind: str, directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    tls = make_tls(kind, directory, machines, running, "")
    old = tls.authority.serial_of(tls.lineage / "fullchain.pem")
    assert tls.authority.presented(tls.port) == old
    with closing(tls.authority.connect(tls.port)) as busy, closing(tls.authority.connect(tls.port)) as idle:
        kept = request("/key/", host=f"{HOST}:{tls.port}").replace(b"Connection: close", b"Connection: keep-alive")
        idle.sendall(kept)
        assert next_answer(idle)[0] == 200
        busy.sendall(request("/slow/", host=f"{HOST}:{tls.port}"))
        assert tls.wordpress.is_half_sent.wait(20)

        tls.authority.issue(tls.lineage)
        new = tls.authority.serial_of(tls.lineage / "fullchain.pem")
        assert new != old
        done = tls.hook(kind, directory)
        assert done.returncode == 0, done.stderr
        wait_for("the new one is presented", lambda: tls.authority.presented(tls.port) == new, 20)

        if kind == "haproxy":
            idle.sendall(kept)
            assert next_answer(idle)[0] == 200, "a connection that was idle goes on"
        else:
            # nginx closes it: in the orderly way, with TLS's own good-bye.
            assert idle.recv(65536) == b""
        tls.wordpress.may_go_on.set()
        # The request that was under way is answered to its end.
        assert next_answer(busy) == (200, b"primary\n" * 1000)


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_the_hook_changes_nothing_for_a_certificate_that_is_no_good(
    kind: str, directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    tls = make_tls(kind, directory, machines, running, "")
    old = tls.authority.presented(tls.port)
    installed = directory / "certs" / f"{HOST}.pem"
    before = installed.read_text() if installed.exists() else None
    key = (tls.lineage / "privkey.pem").read_text()
    tls.authority.issue(tls.lineage)
    (tls.lineage / "privkey.pem").write_text(key)
    done = tls.hook(kind, directory)
    assert (done.returncode, "is not the key of" in done.stderr) == (1, True)
    assert (installed.read_text() if installed.exists() else None) == before
    assert tls.authority.presented(tls.port) == old


def test_the_hook_puts_the_old_certificate_back_where_haproxy_refuses_its_configuration(
    directory: Path, machines: list[Machine], running: list[Front]
) -> None:
    tls = make_tls("haproxy", directory, machines, running, "")
    installed = directory / "certs" / f"{HOST}.pem"
    before = installed.read_text()
    (directory / "haproxy.cfg").write_text("nonsense\n")
    tls.authority.issue(tls.lineage)
    done = tls.hook("haproxy", directory)
    assert (done.returncode, "the one before is back" in done.stderr) == (1, True)
    assert installed.read_text() == before
    assert sorted(path.name for path in installed.parent.iterdir()) == [installed.name]
    assert installed.stat().st_mode & 0o077 == 0o044, "as it was"
