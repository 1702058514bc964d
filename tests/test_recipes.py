"""What `staticify config` prints: deploy/ holds it for an example, and no value gets into it that does not belong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from staticify import config as configuration
from staticify.cli import main
from staticify.config import Config
from staticify.errors import ConfigError
from staticify.queries import TRACKING, WORDPRESS, pattern_of
from staticify.recipes import RECIPES, parts_of, recipe

DEPLOY = Path(__file__).parents[1] / "deploy"
FILES = {
    "nginx/staticify.conf": ("nginx", ""),
    "nginx/staticify-http.conf": ("nginx", "http"),
    "nginx/snippets/staticify.conf": ("nginx", "server"),
    "apache/staticify.conf": ("apache", ""),
    "apache/staticify-server.conf": ("apache", "server"),
    "apache/staticify-instead.lua": ("apache", "instead"),
    "caddy/Caddyfile": ("caddy", ""),
    "haproxy/haproxy.cfg": ("haproxy", ""),
    "systemd/staticify.service": ("systemd", ""),
}


def config_of(text: str = "", front: str = "", tree: str = "/srv/tree") -> Config:
    sites = text or '[[site]]\nurl = "https://example.org"\norigin = "http://127.0.0.1:8080"\n'
    return configuration.parse(
        f'[tree]\npath = "{tree}"\n[front]\nedges = ["192.0.2.1:80"]\n{front}\n{sites}', None, Path("/etc/staticify")
    )


@pytest.mark.parametrize("name", FILES)
def test_deploy_is_what_staticify_prints_for_its_example(name: str) -> None:
    config = replace(configuration.load(DEPLOY / "staticify.toml"), source=Path("/etc/staticify/staticify.toml"))
    assert recipe(FILES[name][0], config, FILES[name][1]) == (DEPLOY / name).read_text(), "run deploy/generate"


@pytest.mark.parametrize("name", FILES)
def test_a_recipe_names_no_script_that_is_not_there(name: str) -> None:
    scripts = {path.name for path in DEPLOY.rglob("*.lua")}
    assert set(re.findall(r"[\w-]+\.lua\b", (DEPLOY / name).read_text())) <= scripts


def test_a_balancer_without_web_servers_is_told_how_to_name_them() -> None:
    config = configuration.parse(
        '[[site]]\nurl = "https://example.org"\norigin = "http://127.0.0.1:8080"\n', None, Path("/etc/staticify")
    )
    with pytest.raises(ConfigError) as caught:
        recipe("haproxy", config)
    (fault,) = caught.value.faults
    example = fault.message.partition(", as ")[2]
    assert (fault.key, example) == ("front.edges", 'edges = ["192.0.2.10:80", "192.0.2.11:80"]')


def test_every_recipe_has_its_file() -> None:
    assert sorted(FILES.values()) == sorted((kind, part) for kind in RECIPES for part in parts_of(kind))


@pytest.mark.parametrize(
    ("kind", "said"),
    [("nginx", "nginx has no part 'x'; it has http, server"), ("systemd", "systemd has no parts: leave --part out")],
)
def test_a_part_that_is_none_is_said(tmp_path: Path, kind: str, said: str) -> None:
    (tmp_path / "staticify.toml").write_text('[[site]]\nurl = "https://example.org/"\n')
    done = CliRunner().invoke(main, ["config", kind, "--part", "x", "--config", str(tmp_path / "staticify.toml")])
    assert (done.exit_code, said in done.stderr) == (2, True)


@pytest.mark.parametrize("kind", RECIPES)
@pytest.mark.parametrize("tree", ["/srv/a b", "/srv/$host", "/srv/{x}", "/srv/a;b", "/srv/日本", "/srv/%n", "/srv/a#b"])
def test_a_path_that_means_something_to_a_server_is_refused(kind: str, tree: str) -> None:
    with pytest.raises(ConfigError, match="cannot be written into"):
        recipe(kind, config_of(tree=tree))


@pytest.mark.parametrize("kind", RECIPES)
def test_of_several_sockets_each_is_looked_at(tmp_path: Path, kind: str) -> None:
    site = '[[site]]\nurl = "https://example.org/"\norigin = ["unix:/run/a%n", "unix:/run/b"]\n'
    site += '[[site.backend]]\naddress = "unix:/run/c d"\n[[site.backend]]\naddress = "unix:/run/e"\n'
    (tmp_path / "staticify.toml").write_text(site)
    with pytest.raises(ConfigError) as raised:
        recipe(kind, configuration.load(tmp_path / "staticify.toml"))
    said = str(raised.value)
    assert ("/run/a%n" in said, "/run/c d" in said, "/run/b" in said) == (True, True, False)


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ('cache_control = "a\\"b"', "no value for this field"),
        ('hsts = "x; $y"', "no value for this field"),
        ('served_by = "a b"', "no name"),
        ('tracking = ["a|b"]', "no name of a parameter"),
        ('bypass_cookies = ["a=b"]', "no name of a cookie"),
        ('listen = "example.org:80"', "no IP address with a port"),
        ('listen = "127.0.0.1"', "no IP address with a port"),
        ('proxy_protocol_from = "10.0.0.1/8"', "no address or network"),
        ('certificate = "/x.pem"', "certificate_key is missing"),
    ],
)
def test_a_value_that_no_server_could_hold_is_refused_by_check(front: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config_of(front=front)


def test_sites_of_one_host_have_one_front() -> None:
    sites = "".join(
        f'[[site]]\nurl = "http://example.org{path}"\norigin = "http://127.0.0.1:{port}"\n'
        for path, port in {"/": 8080, "/shop/": 8081}.items()
    )
    with pytest.raises(ConfigError, match="are on one host and have different origins"):
        recipe("nginx", config_of(sites))
    assert recipe("nginx", config_of(sites.replace("8081", "8080"))).count("server_name example.org;") == 1


def test_two_ports_of_one_name_need_addresses_of_their_own() -> None:
    sites = "".join(
        f'[[site]]\nurl = "http://example.org{port}"\norigin = "http://127.0.0.1:1"\n' for port in ("", ":81")
    )
    with pytest.raises(ConfigError, match="have one name, and no server could tell them apart"):
        recipe("nginx", config_of(sites, front='listen = "127.0.0.1:80"'))
    assert recipe("nginx", config_of(sites)).count("server_name example.org;") == 2


def test_caddy_is_not_said_to_believe_a_header_that_it_does_not_read() -> None:
    config = config_of(front='proxy_protocol_from = "192.0.2.1"')
    with pytest.raises(ConfigError, match="Caddy does not read the PROXY protocol"):
        recipe("caddy", config)
    assert recipe("nginx", config).count("real_ip_header proxy_protocol;") == 1


@pytest.mark.parametrize(
    ("listen", "origin"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("0.0.0.0:8080", "http://127.0.0.5:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        ("127.0.0.1:8080", "http://localhost:8080"),
        ("192.0.2.1:80", "http://192.0.2.1"),
    ],
)
@pytest.mark.parametrize("kind", ["nginx", "apache", "caddy"])
def test_a_front_does_not_pass_on_to_itself(kind: str, listen: str, origin: str) -> None:
    front = f'listen = ["192.0.2.9:81", "{listen}"]'
    for machine in (
        f'origin = ["http://192.0.2.2", "{origin}"]\n',
        f'[[site.backend]]\naddress = "http://192.0.2.2"\n[[site.backend]]\naddress = "{origin}"\n',
    ):
        config = config_of(f'[[site]]\nurl = "http://example.org"\n{machine}', front=front)
        with pytest.raises(ConfigError, match="the front itself listens there"):
            recipe(kind, config)
        # The parts are for a server block that listens wherever it does.
        for part in filter(None, parts_of(kind)):
            assert recipe(kind, config, part)


def test_nor_where_it_listens_unless_told_otherwise() -> None:
    sites = '[[site]]\nurl = "http://example.org:8080"\norigin = "http://127.0.0.1:8080"\n'
    with pytest.raises(ConfigError, match="the front itself listens there"):
        recipe("nginx", config_of(sites))


def test_an_origin_on_another_machine_or_port_is_none_of_the_front() -> None:
    for listen, origin in {
        "0.0.0.0:80": "http://192.0.2.1", "127.0.0.1:80": "http://[::1]", "[::]:80": "http://127.0.0.1",
    }.items():  # fmt: skip
        sites = f'[[site]]\nurl = "http://example.org"\norigin = ["{origin}", "http://127.0.0.1:8080", "unix:/run/x"]\n'
        assert recipe("nginx", config_of(sites, front=f'listen = "{listen}"'))


def test_haproxy_does_not_share_out_to_itself() -> None:
    sites = '[[site]]\nurl = "http://example.org"\norigin = "http://127.0.0.1:8090"\n'
    with pytest.raises(ConfigError, match="HAProxy itself listens there"):
        recipe("haproxy", config_of(f'{sites}[balancer]\nwordpress = "127.0.0.1:8090"\n'))


def test_backends_of_one_site_are_asked_in_one_way() -> None:
    backends = '[[site.backend]]\naddress = "https://10.0.0.1"\n[[site.backend]]\naddress = "http://10.0.0.2"\n'
    with pytest.raises(ConfigError, match="some addresses are https and some are not"):
        config_of(f'[[site]]\nurl = "http://example.org"\n{backends}')


def test_no_tracking_parameter_is_one_of_wordpresss_own() -> None:
    assert not set(TRACKING) & set(WORDPRESS)
    assert pattern_of(("b", "a*", "b")) == "a[A-Za-z0-9_-]*|b"


def test_a_name_that_another_ones_star_stands_for_is_left_out() -> None:
    assert pattern_of(("utm_source", "utm_*", "utm_m*", "utm", "xutm_a")) == "utm|utm_[A-Za-z0-9_-]*|xutm_a"
    assert pattern_of(("*", "a", "b*")) == "[A-Za-z0-9_-]*"
