"""Configurations of web servers, load balancers and systemd, made for one staticify.toml.

What they say stands in `templates/`; what fills them is made here, each value checked against a grammar that no
server's syntax can be left with. deploy/ holds what comes of deploy/staticify.toml.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
import socket
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import jinja2

from staticify.address import Origin
from staticify.config import Backend, Config, Site
from staticify.errors import ConfigError, Fault
from staticify.nouns import Kind
from staticify.queries import TRACKING, WORDPRESS, pattern_of
from staticify.unit import MAX_TASKS, PROGRAM, unit_of
from staticify.urls import DEFAULT_PORTS, MARK

RECIPES = {
    "nginx": ("nginx.conf", "nginx-http.conf", "nginx-server.conf"),
    "apache": ("apache.conf", "apache-server.conf", "apache-instead.lua"),
    "caddy": ("Caddyfile",),
    "haproxy": ("haproxy.cfg",),
    "systemd": ("staticify.service",),
}
"""For each kind the template of the whole, and of its parts."""
MEDIA_TYPES = {
    Kind.HTML: "text/html",
    Kind.XML: "application/xml",
    Kind.RSS: "application/rss+xml",
    Kind.ATOM: "application/atom+xml",
    Kind.JSON: "application/json",
    Kind.TEXT: "text/plain",
}
"""In the order in which they are looked up: HTML is asked for most."""
RETRY_AFTER_SECONDS = 30
LISTEN_BACKLOG = 4096
"""Connections that wait to be accepted, as many as Linux allows: of thousands that come at once nginx's own 511 lose
some."""
LONG_FACTOR = 10
"""wp-admin imports, exports and upgrades: so many times as long as a visitor waits."""

CLAIMS = (
    "Forwarded", "Front-End-Https", "Proxy", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server",
    "X-Forwarded-Ssl",
)  # fmt: skip
"""Header fields that WordPress, or a plugin, would take for a front's word: no visitor's reach it."""

_SAFE = re.compile(r"[A-Za-z0-9/_.,:;@+=~ \[\]-]*")
"""What may stand between quotes in each of the languages, and means nothing in any of them."""
_SAFE_PATH = re.compile(r"/[A-Za-z0-9/_.,:@+=~-]*")
_HOST_IN_PATH = "{host}"


class Pattern(str):
    """A regular expression that was made of checked names."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Server:
    """One machine that answers for WordPress."""

    address: str
    """HOST:PORT or unix:/PATH."""
    name: str
    weight: int
    is_backup: bool
    is_balancer: bool = False
    """HAProxy, which shares out what it is asked and says who answered."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host that visitors know, and all that a front needs to answer for it."""

    name: str
    """Without a port; an IPv6 address in its brackets."""
    netloc: str
    label: str
    """The same as one word."""
    scheme: str
    listen: tuple[str, ...]
    is_tls: bool
    certificate: str
    certificate_key: str
    servers: tuple[Server, ...]
    server_scheme: str
    """How WordPress is asked."""

    @property
    def primary(self) -> Server:
        """The machine for wp-admin, uploads and whatever changes something."""
        return self.servers[0]


def recipe(kind: str, config: Config, part: str = "", *, program: str = PROGRAM) -> str:
    """The text of a configuration, or of one of its parts; `program` is the staticify that systemd shall run.

    Raises ConfigError for what cannot be written into one.
    """
    template = _environment().get_template(f"{parts_of(kind)[part]}.j2")
    return template.render(_values(config, kind, program, is_whole=not part))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("staticify"),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  no HTML: `_written` lets nothing through that would need escaping
        finalize=_written,
    )
    # For what a template has put together itself.
    environment.filters["generated"] = Pattern
    environment.filters["escaped"] = lambda text: Pattern(re.escape(text))
    return environment


def parts_of(kind: str) -> dict[str, str]:
    """The templates of a kind, by the names of its parts; the whole has none."""
    whole, *parts = RECIPES[kind]
    return {"": whole, **{name.partition("-")[2].partition(".")[0]: name for name in parts}}


def _written(value: object) -> object:
    """The last look at each value before it is written: nothing in it may mean anything to a server."""
    if isinstance(value, Pattern | jinja2.runtime.Macro) or value is None:
        return value
    if not _SAFE.fullmatch(str(value)):
        # Whoever made it should have refused it: a fault here is a defect, and no configuration comes of it.
        raise AssertionError(f"{str(value)!r} must not be written into a configuration")
    return value


def _values(config: Config, kind: str, program: str, *, is_whole: bool) -> dict[str, Any]:
    front = config.front
    faults = list(_path_faults(config, kind, program))
    hosts, host_faults = _hosts(config, kind)
    faults += host_faults
    if is_whole:
        faults += _loop_faults(config, kind, hosts)
    if kind == "haproxy" and not front.edges:
        example = 'edges = ["192.0.2.10:80", "192.0.2.11:80"]'
        faults.append(Fault("front.edges", f"is missing: HAProxy has to know the web servers behind it, as {example}"))
    if kind == "caddy" and front.proxy_protocol_from:
        faults.append(Fault("front.proxy_protocol_from", "Caddy does not read the PROXY protocol; nginx and Apache do"))
    if faults:
        raise ConfigError(str(config.source or "configuration"), faults)
    return {
        "config": config,
        "front": front,
        "tree": str(config.tree_path),
        "links": config.tree_links,
        "state": str(config.state_path),
        "hosts": hosts,
        "mark": MARK,
        "media_types": {str(kind): media_type for kind, media_type in MEDIA_TYPES.items()},
        "served_by": front.served_by or socket.gethostname(),
        "nginx_served_by": Pattern(front.served_by or "$hostname"),
        "unavailable": _page("Back in a moment", "This page cannot be shown just now. Please try again in a minute."),
        "not_found": _page("Not found", "There is no page at this address."),
        "tracking": Pattern(pattern_of((*TRACKING, *front.tracking))),
        "query_variables": Pattern(pattern_of((*WORDPRESS, *front.query_variables))),
        "lookups": list(_lookups()),
        "host_port": _host_port,
        "claims": CLAIMS,
        "member": _member,
        "port_of": _port_of,
        "address_of": _address_of,
        "by_port": _by_port,
        "strangers": list(_strangers(hosts, front.redirect)),
        "caddy_served_by": Pattern(front.served_by or "{system.hostname}"),
        "upstreams": _upstreams,
        "listen": _listen(hosts, front.redirect),
        "backlog_of": _BacklogOnce(),
        "bypass_cookies": Pattern(pattern_of(front.bypass_cookies)),
        "timeout": round(front.timeout_seconds),
        "long_timeout": round(front.timeout_seconds) * LONG_FACTOR,
        "retry_after": RETRY_AFTER_SECONDS,
        **(_haproxy_values(config, hosts) if kind == "haproxy" else {}),
        "unit": unit_of(config, program),
        "max_tasks": MAX_TASKS,
    }


@dataclass(frozen=True, slots=True)
class Lookup:
    """One file of a page's leaf, for a server that has to be told each by itself."""

    kind: str
    media_type: str
    suffix: str = ""
    coding: str = ""
    accepted: Pattern | str = ""
    """What the browser must accept for it, as a regular expression."""


def _lookups() -> Iterator[Lookup]:
    """Every file in the order in which they are looked up. As with nginx, only HTML is sent as brotli."""
    for kind, media_type in MEDIA_TYPES.items():
        if kind is Kind.HTML:
            yield Lookup(str(kind), media_type, ".br", "br", "br")
        yield Lookup(str(kind), media_type, ".gz", "gzip", Pattern("(?:x-)?gzip"))
        yield Lookup(str(kind), media_type)


def _host_port(host: Host) -> Pattern:
    """What may follow a host's name in the Host field, as a regular expression."""
    port = host.netloc.removeprefix(host.name)
    return Pattern(re.escape(port) if port else "(?::80|:443)?")


def _member(host: Host, server: Server) -> Pattern:
    """A machine as Apache writes it."""
    address = server.address
    return Pattern(
        f"{address}|http://localhost" if address.startswith("unix:") else f"{host.server_scheme}://{address}"
    )


def _upstreams(host: Host, is_primary: bool) -> Pattern:  # noqa: FBT001  a template has no keywords worth the name
    """The machines as Caddy writes them; for the primary, those that stand in for it as well."""
    servers = [server for server in host.servers if server.is_backup or server is host.primary or not is_primary]
    return Pattern(
        "".join(
            f" unix/{server.address.removeprefix('unix:')}"
            if server.address.startswith("unix:")
            # Caddy wants no scheme, or one at all of them, and a socket has none.
            else f" {'https://' if host.server_scheme == 'https' else ''}{server.address}"
            for server in servers
        )
    )


@dataclass(frozen=True, slots=True)
class Strangers:
    """Where Caddy listens at one port, for those who ask for a host that is nobody's."""

    scheme: str
    port: str
    addresses: tuple[str, ...]
    certificate: str = ""
    certificate_key: str = ""


def _strangers(hosts: list[Host], redirect: tuple[str, ...]) -> Iterator[Strangers]:
    """One for each port. Over TLS they are shown the first certificate, which is none of theirs."""
    certified = next((host for host in hosts if host.is_tls), None)
    plain = [*itertools.chain.from_iterable(host.listen for host in hosts if not host.is_tls)]
    for port, addresses in _by_port([*plain, *(redirect if certified else ())]).items():
        yield Strangers("http", port, addresses)
    if certified:
        tls = itertools.chain.from_iterable(host.listen for host in hosts if host.is_tls)
        for port, addresses in _by_port(tls).items():
            yield Strangers("https", port, addresses, certified.certificate, certified.certificate_key)


def _by_port(listening: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The addresses at each port, each once."""
    ports: dict[str, dict[str, None]] = {}
    for address in listening:
        ports.setdefault(_port_of(address), {})[_address_of(address)] = None
    return {port: tuple(addresses) for port, addresses in ports.items()}


def _port_of(address: str) -> str:
    return address.rpartition(":")[2]


def _address_of(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


class _BacklogOnce:
    """What nginx takes once for each address, where that is first named."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    def __call__(self, address: str) -> Pattern:
        is_first = address not in self._named
        self._named.add(address)
        return Pattern(f" backlog={LISTEN_BACKLOG}" if is_first else "")


def _listen(hosts: list[Host], redirect: tuple[str, ...]) -> list[str]:
    """All addresses to listen on, each once. Linux's `::` takes IPv4 too: with it, every address of IPv4 is taken."""
    addresses = {address for host in hosts for address in (*host.listen, *(redirect if host.is_tls else ()))}
    everywhere = {address.removeprefix("[::]") for address in addresses if address.startswith("[::]:")}
    return sorted(address for address in addresses if not address.endswith(tuple(everywhere)) or address[:4] == "[::]")


@dataclass(frozen=True, slots=True)
class Balanced:
    """What a load balancer answers, and where."""

    tls_hosts: tuple[Host, ...]
    plain_hosts: tuple[Host, ...]
    tls_listen: tuple[str, ...]
    plain_listen: tuple[str, ...]


def _haproxy_values(config: Config, hosts: list[Host]) -> dict[str, Any]:
    addresses = [server.address for host in hosts for server in host.servers]
    is_asked = config.balancer.wordpress is not None
    return {
        "balancer": config.balancer,
        "balanced": _balanced(config, hosts),
        "named_servers": _named_servers,
        "is_name": _is_name,
        # Below a chroot there is no path to them.
        "has_sockets": is_asked and any(_is_socket(address) for address in addresses),
        "has_resolved_names": is_asked
        and any(not _is_socket(address) and _is_name(address.rpartition(":")[0]) for address in addresses),
    }


def _balanced(config: Config, hosts: list[Host]) -> Balanced:
    balancer = config.balancer
    tls, plain = (tuple(host for host in hosts if host.scheme == scheme) for scheme in ("https", "http"))

    def everywhere(some: tuple[Host, ...]) -> tuple[str, ...]:
        ports = {host.netloc.removeprefix(host.name).removeprefix(":") or DEFAULT_PORTS[host.scheme] for host in some}
        return tuple(address for port in ports for address in (f"0.0.0.0:{port}", f"[::]:{port}"))

    if not tls:
        return Balanced((), plain, (), balancer.listen or everywhere(plain))
    listen = balancer.listen or everywhere(tls)
    return Balanced(tls, plain, listen, tuple(sorted({*balancer.redirect, *everywhere(plain)} - {*listen})))


def _is_socket(address: str) -> bool:
    return address.startswith("unix:/")


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return True
    return False


def _named_servers(host: Host) -> list[tuple[str, Server]]:
    """The machines with names that HAProxy takes: fewer characters, and no name twice."""
    named: dict[str, Server] = {}
    for server in host.servers:
        name = re.sub(r"[^A-Za-z0-9_.:-]", "", server.name)
        named[_unlike(name, "-", named)] = server
    return list(named.items())


def _page(title: str, text: str) -> Pattern:
    """A small page that stands between double quotes in a configuration."""
    style = "body{font:1.1em/1.5 system-ui,sans-serif;max-width:32em;margin:15vh auto;padding:0 1em;color:#333}"
    # A brace or a number sign means something in more than one of the languages: they are written as HTML and CSS can.
    head = "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    return Pattern(f"{head}<title>{title}</title><style>{style}</style><h1>{title}</h1><p>{text}</p></html>")


def _path_faults(config: Config, kind: str, program: str) -> Iterator[Fault]:
    paths = [("tree.path", str(config.tree_path)), ("state.path", str(config.state_path))]
    paths += [
        (f"front.{key}", path.replace(_HOST_IN_PATH, "host"))
        for key in ("certificate", "certificate_key")
        if (path := getattr(config.front, key))
    ]
    paths += [
        (f"a socket of {site.url}", origin.socket_path)
        for site in config.sites
        for origin in (*site.origins, *(backend.address for backend in site.backends))
        if origin.socket_path
    ]
    if kind == "haproxy":
        paths.append(("balancer.certificates", config.balancer.certificates))
    if kind == "systemd":
        known = {path for _, path in paths}
        paths += [(f"the path {path}", path) for path in unit_of(config, program).paths if path not in known]
    for key, path in dict.fromkeys(paths):
        if not _SAFE_PATH.fullmatch(path):
            yield Fault(
                key, f"{path!r} cannot be written into a server's configuration: letters, digits and /_.,:@+=~-"
            )


def _hosts(config: Config, kind: str) -> tuple[list[Host], list[Fault]]:
    """One for each host and port; sites below others are part of theirs."""
    # HAProxy asks the backends; a web server that has HAProxy as its origin does not.
    balancer = None if kind == "haproxy" else config.balancer.wordpress
    outermost: dict[str, Site] = {}
    faults = []
    for site in sorted(config.sites, key=lambda site: len(site.base.path)):
        first = outermost.setdefault(site.base.netloc, site)
        if _servers(first, balancer) != _servers(site, balancer):
            faults.append(
                Fault(
                    "site",
                    f"{site.url} and {first.url} are on one host and have different origins or backends; a front "
                    "cannot be written for that",
                )
            )
    hosts = _with_own_labels([_host(site, config, balancer) for site in outermost.values()])
    return hosts, [*faults, *_listen_faults(hosts)]


def _listen_faults(hosts: list[Host]) -> Iterator[Fault]:
    """A server knows hosts by their names alone: two ports of one name need addresses of their own."""
    for one, other in itertools.combinations(hosts, 2):
        if one.name == other.name and set(one.listen) & set(other.listen):
            yield Fault(
                "front.listen",
                f"{one.netloc} and {other.netloc} have one name, and no server could tell them apart at one address; "
                "leave `listen` away, and each listens at its own port",
            )


def _loop_faults(config: Config, kind: str, hosts: list[Host]) -> Iterator[Fault]:
    """What would ask itself, and that once more, until nothing is left of the machine."""
    servers = [(host, server.address) for host in hosts for server in host.servers]
    if kind == "haproxy":
        for host, address in servers:
            if address == config.balancer.wordpress:
                yield Fault(
                    "balancer.wordpress", f"HAProxy itself listens there: {host.netloc} needs a [[site.backend]]"
                )
    elif kind in {"nginx", "apache", "caddy"}:
        listening = {address for host in hosts for address in host.listen}
        for host, address in servers:
            if not _is_socket(address) and any(_is_reached(address, there, kind) for there in listening):
                yield Fault("front.listen", f"the front itself listens there: {address} is no origin of {host.netloc}")


def _is_reached(address: str, listening: str, kind: str) -> bool:
    """True if a connection to the address surely ends there. nginx's `::` takes no IPv4."""
    if _port_of(address) != _port_of(listening):
        return False
    name, there = _address_of(address), _address_of(listening)
    if name == "localhost":
        name = "::1" if there == "::1" else "127.0.0.1"
    is_ipv4 = ":" not in name
    is_everywhere = (is_ipv4 and there == "0.0.0.0") or (there == "::" and not (is_ipv4 and kind == "nginx"))  # noqa: S104
    return name == there or (is_everywhere and not _is_name(name) and ipaddress.ip_address(name).is_loopback)


def _with_own_labels(hosts: list[Host]) -> list[Host]:
    """a-b.example and a.b.example would be one word."""
    labels: list[str] = []
    for host in hosts:
        labels.append(_unlike(host.label, "_", labels))
    return [replace(host, label=label) for host, label in zip(hosts, labels, strict=True)]


def _unlike(name: str, separator: str, taken: Container[str]) -> str:
    """The name, with a number if it is taken."""
    numbered = (f"{name}{separator}{number}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([name], numbered) if candidate not in taken)


def _host(site: Site, config: Config, balancer: str | None) -> Host:
    front, parts = config.front, urlsplit(site.base.url)
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    is_tls = site.base.scheme == "https" and front.certificate is not None
    port = parts.port or DEFAULT_PORTS["https" if is_tls else "http"]

    def path_of(path: str | None) -> str:
        return (path or "").replace(_HOST_IN_PATH, name) if is_tls else ""

    return Host(
        name=name,
        netloc=site.base.netloc,
        # nginx's tables hold names of variables of some 60 bytes.
        label=re.sub(r"[^a-z0-9]", "_", site.base.netloc)[:24],
        scheme=site.base.scheme,
        listen=front.listen or (f"0.0.0.0:{port}", f"[::]:{port}"),
        is_tls=is_tls,
        certificate=path_of(front.certificate),
        certificate_key=path_of(front.certificate_key),
        servers=_servers(site, balancer),
        server_scheme="https" if _addresses(site, balancer)[0].scheme == "https" else "http",
    )


def _addresses(site: Site, balancer: str | None) -> tuple[Origin, ...]:
    return tuple(backend.address for backend in _backends(site, balancer)) or site.origins


def _backends(site: Site, balancer: str | None) -> tuple[Backend, ...]:
    is_origin = balancer is not None and balancer in map(_connect_to, site.origins)
    return () if is_origin else site.backends


def _servers(site: Site, balancer: str | None) -> tuple[Server, ...]:
    """The machines of a site; without backends its origins, of which the later ones stand in for the first."""
    backends = _backends(site, balancer)
    if not backends:
        addresses = map(_connect_to, site.origins)
        return tuple(
            Server(address, f"backend{number}", 1, is_backup=number > 1, is_balancer=address == balancer)
            for number, address in enumerate(addresses, 1)
        )
    return tuple(
        Server(_connect_to(backend.address), backend.name or f"backend{number}", backend.weight, is_backup=False)
        for number, backend in enumerate(backends, 1)
    )


def _connect_to(origin: Origin) -> str:
    if origin.scheme == "unix":
        return str(origin)
    return f"[{origin.host}]:{origin.port}" if ":" in origin.host else f"{origin.host}:{origin.port}"
