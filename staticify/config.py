"""The configuration: a staticify.toml, read into frozen values, or every fault in it at once.

A setting is written once, as a field of a table below: its check, its default, its help and its documentation
(`describe`) come from there. Reading goes in three steps, and the faults of the last two are reported together:

    text -> tomllib -> each value by itself (pydantic) -> values against one another (`_cross_faults`) -> Config
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    ValidationError,
)
from pydantic_core import PydanticUndefined

from staticify.address import Origin, public_origin
from staticify.checks import (
    MAX_PAGES,
    SYSTEM_DIRECTORIES,
    check_address,
    check_cookie,
    check_cookie_of_front,
    check_field_value,
    check_glob,
    check_listen,
    check_loopback_address,
    check_machine,
    check_marker,
    check_network,
    check_origin,
    check_page,
    check_parameter,
    check_path,
    check_regex,
    check_secret,
    check_selector,
    check_sitemap,
    list_of_secrets,
    parse_base,
    parse_page_of,
)
from staticify.errors import ConfigError, Fault
from staticify.faults import Setting, key_text, located, shown, syntax_fault, value_fault
from staticify.signature import Secret
from staticify.toml_lines import Location
from staticify.units import format_duration, format_size, parse_duration, parse_size
from staticify.urls import Page, is_inside

DEFAULT_PATHS = (Path("staticify.toml"), Path("/etc/staticify/staticify.toml"))
"""Where `find` looks, in this order."""
MAX_FILE_BYTES = 16 * 2**20
MAX_TEXT_LENGTH = 1000
"""Of one glob, selector, pattern or path, in characters. URLs have limits of their own."""
MAX_LIST_LENGTH = 1000
"""Of every list but `pages`."""

_NO_SITE = 'At least one [[site]] with its url, such as url = "https://example.org/".'

# --- The settings ----------------------------------------------------------------------------------------------------


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Item = TypeVar("_Item")


def _once(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    return tuple(dict.fromkeys(items))


@dataclass(frozen=True, slots=True)
class _Form:
    """How a value is written, for people: what to call it, and how to write a given one in TOML."""

    name: str
    written: Callable[[Any], str] = json.dumps
    """JSON's texts, numbers, booleans and lists are TOML's as well."""


_Duration = Annotated[
    float, BeforeValidator(parse_duration), _Form("duration", lambda value: json.dumps(format_duration(value)))
]
_Size = Annotated[int, BeforeValidator(parse_size), _Form("size", lambda value: json.dumps(format_size(value)))]
_Number = Annotated[int, Strict(), _Form("number")]
Links = Literal["never", "own", "mount"]
"""What becomes of symbolic links in the tree."""
_Switch = Annotated[bool, Strict(), _Form("true or false")]
_ShortText = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_LENGTH)]
_PathText = Annotated[_ShortText, AfterValidator(check_path), _Form("path")]
_Globs = Annotated[
    tuple[Annotated[_ShortText, AfterValidator(check_glob)], ...],
    AfterValidator(_once),
    _Form("list of patterns"),
]


_Address = Annotated[str, PlainValidator(check_loopback_address)]
_Addresses = Annotated[
    tuple[Annotated[str, PlainValidator(check_address)], ...],
    BeforeValidator(_as_list),
    AfterValidator(_once),
    _Form("address:port or list of them"),
]
_Networks = Annotated[
    tuple[Annotated[str, PlainValidator(check_network)], ...],
    BeforeValidator(_as_list),
    AfterValidator(_once),
    _Form("address, network or list of them"),
]
_FieldValue = Annotated[
    str, Field(max_length=MAX_TEXT_LENGTH), AfterValidator(check_field_value), _Form("value of a header field")
]
_Parameters = Annotated[
    tuple[Annotated[_ShortText, AfterValidator(check_parameter)], ...],
    AfterValidator(_once),
    _Form("list of names"),
]
_Cookies = Annotated[
    tuple[Annotated[_ShortText, AfterValidator(check_cookie_of_front)], ...],
    AfterValidator(_once),
    _Form("list of names"),
]
_Machine = Annotated[str, AfterValidator(check_machine), _Form("name")]


def _written_or_nothing(value: object) -> str:
    return "" if value is None else json.dumps(str(value))


class _Table(BaseModel):
    # What pydantic would say of an input, a secret may be: only our own faults are shown.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Tree(_Table):
    path: _PathText = Field(
        default="/var/cache/staticify/tree",
        description="The directory that the web server serves; relative to this file.",
    )
    links: Annotated[Links, _Form("text")] = Field(
        default="never",
        description='Symbolic links in the tree. "never": staticify makes none, and no front follows one. "own": for a '
        "file system without RENAME_EXCHANGE (NFS), where a page is a link that staticify replaces; fronts follow "
        'those of its own. "mount": like never, and the tree is mounted with nosymfollow, which spares fronts the look '
        "at every request.",
    )


class _State(_Table):
    path: _PathText = Field(
        default="/var/lib/staticify/state",
        description="The directory of the state database; relative to this file, and outside the tree.",
    )


class _Log(_Table):
    format: Annotated[Literal["text", "json"], _Form("text")] = Field(
        default="text", description="How log lines are written: text for people, json for machines."
    )
    level: Annotated[Literal["debug", "info", "warning", "error"], _Form("text")] = Field(
        default="info", description="The least important kind of log line that is written."
    )


class _Webhook(_Table):
    listen: Annotated[Origin | None, PlainValidator(check_listen), _Form("address", _written_or_nothing)] = Field(
        default=None,
        description="Where WordPress says that something changed: http://127.0.0.1:PORT or unix:/PATH. Needs `secrets` "
        "of a site. Without it, changes are seen when the journal is asked next.",
    )
    proxy_protocol_from: _Networks = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description="The load balancers that say by the PROXY protocol who asks. With it, every connection over TCP "
        "must begin with that header, and whoever connects from another address is refused.",
    )


class _Spool(_Table):
    path: Annotated[_PathText | None, _Form("path", _written_or_nothing)] = Field(
        default=None,
        description="A folder into which scripts drop files that name pages, tags (tag:post:12) or `all`, one a line; "
        "relative to this file.",
    )


class Front(_Table):
    """The web server before the tree, as `staticify config` writes it. The daemon itself needs none of this."""

    listen: _Addresses = Field(
        default=(),
        max_length=16,
        description="Where it listens for visitors, or for a load balancer. Without it, on every address of the "
        "machine, at the port of the site's url (80 where TLS ends elsewhere).",
    )
    certificate: Annotated[_PathText | None, _Form("path", _written_or_nothing)] = Field(
        default=None,
        description="The certificate with its chain, if TLS ends here; relative to this file. {host} stands for the "
        'host of each site: "/etc/letsencrypt/live/{host}/fullchain.pem".',
    )
    certificate_key: Annotated[_PathText | None, _Form("path", _written_or_nothing)] = Field(
        default=None,
        description='Its private key: "/etc/letsencrypt/live/{host}/privkey.pem".',
    )
    redirect: _Addresses = Field(
        default=("0.0.0.0:80", "[::]:80"),
        max_length=16,
        description="Where it answers in plain text, if TLS ends here, and sends everybody on to https.",
    )
    hsts: _FieldValue = Field(
        default="",
        description='Strict-Transport-Security (RFC 6797) on every answer over TLS, such as "max-age=31536000". Not '
        "to be taken back before that age.",
    )
    proxy_protocol_from: _Networks = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description="The load balancers that say by the PROXY protocol who the visitor is. With it, every connection "
        "must begin with that header, and is believed only from these addresses.",
    )
    edges: _Addresses = Field(
        default=(),
        max_length=64,
        description="The web servers with a tree, for the load balancer before them (`staticify config haproxy`).",
    )
    cache_control: _FieldValue = Field(
        default="max-age=0, must-revalidate",
        description="Cache-Control of pages, for browsers: a browser asks each time, and gets a 304.",
    )
    cdn_cache_control: _FieldValue = Field(
        default="",
        description="CDN-Cache-Control of pages (RFC 9213), for a CDN before the front; what it allows adds to the "
        "bound.",
    )
    served_by: Annotated[_Machine | None, _Form("name", _written_or_nothing)] = Field(
        default=None,
        description="What X-Served-By says. Without it, the machine's own name.",
    )
    tracking: _Parameters = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description="Parameters of a query that say where a visitor came from, beside the well-known ones: they change "
        "no page. A name may end in *.",
    )
    query_variables: _Parameters = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description="Parameters of a query that make another page of it, beside WordPress's own: with one of them, the "
        "page in the tree would be a wrong answer even while WordPress is dead.",
    )
    bypass_cookies: _Cookies = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description="Cookies whose sender gets WordPress's own answer, made up or not, in place of the page that "
        'everybody gets, such as "wordpress_logged_in_*".',
    )
    not_found: _Switch = Field(
        default=False,
        description="Answer 404 with a small page of the front's own in place of WordPress's, except by the REST API. "
        "Only a whole front can, not nginx's part for a server block of yours.",
    )
    timeout_seconds: _Duration = Field(
        default=30.0,
        alias="timeout",
        ge=1,
        le=3600,
        description="How long a visitor waits for WordPress before the page in the tree, or an error page, takes its "
        "place. wp-admin may take ten times that.",
    )


class Balancer(_Table):
    """HAProxy, as `staticify config haproxy` writes it. The daemon itself needs none of this."""

    listen: _Addresses = Field(
        default=(),
        max_length=16,
        description="Where it listens for visitors. Without it, on every address of the machine, at the port of the "
        "site's url.",
    )
    redirect: _Addresses = Field(
        default=("0.0.0.0:80", "[::]:80"),
        max_length=16,
        description="Where it answers in plain text and sends everybody on to https.",
    )
    certificates: _PathText = Field(
        default="/etc/haproxy/certs",
        description="The directory of its certificates, each in one file with its chain and its private key; relative "
        "to this file. deploy/certbot makes them.",
    )
    wordpress: Annotated[_Address | None, _Form("address:port", _written_or_nothing)] = Field(
        default=None,
        description="Where, on loopback, it shares out what goes to WordPress among the backends, such as "
        '"127.0.0.1:8090"; where that is the origin, the web server on this machine asks it. Without it, the web '
        "server does so itself.",
    )


class Backend(_Table):
    """One of several machines with the same WordPress."""

    address: Annotated[Origin, PlainValidator(check_origin), _Form("address")] = Field(
        description="Where WordPress answers there: http://HOST:PORT, https://HOST:PORT or unix:/PATH. The first is "
        "the primary: wp-admin, uploads and whatever changes something go there alone.",
    )
    name: Annotated[_Machine | None, _Form("name", _written_or_nothing)] = Field(
        default=None,
        description="What X-Served-By calls it. Without it, backend1, backend2 and so on.",
    )
    weight: _Number = Field(
        default=1, ge=0, le=100, description="Its share of what visitors ask of WordPress, beside the others' weights."
    )


_Markers = Annotated[
    tuple[Annotated[_ShortText, AfterValidator(check_marker)], ...],
    AfterValidator(_once),
    _Form("list of CSS selectors and text:WORDS"),
]


class Group(_Table):
    """Some pages of a site that have an interval of their own."""

    pages: _Globs = Field(
        min_length=1,
        max_length=MAX_LIST_LENGTH,
        description='Patterns of decoded paths, such as "/category/*"; * matches slashes too.',
    )
    interval_seconds: _Duration = Field(
        alias="interval",
        ge=1,
        le=86400,
        description="How often these pages are fetched. The first group that matches a page counts.",
    )
    require: _Markers = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description="What these pages must have, beside what all must.",
    )
    forbid: _Markers = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description="What these pages must never have, beside what none may.",
    )


class Site(_Table):
    """One WordPress site. The names in TOML are the aliases, or the field's own."""

    base: Annotated[Page, PlainValidator(parse_base), _Form("URL")] = Field(
        alias="url",
        description="The public address of the site, as visitors see it.",
    )
    origins: Annotated[
        tuple[Annotated[Origin, PlainValidator(check_origin)], ...],
        BeforeValidator(_as_list),
        AfterValidator(_once),
        _Form("address or list of addresses"),
    ] = Field(
        alias="origin",
        default_factory=lambda fields: (public_origin(fields["base"]),),
        min_length=1,
        max_length=16,
        description="Where WordPress itself answers, past the front end: http://HOST:PORT, https://HOST:PORT or "
        "unix:/PATH. Several are tried in order. The certificate of https:// must be for the host of url, "
        "by an authority that this machine knows. Without it, the address of url.",
    )
    interval_seconds: _Duration = Field(
        default=60.0,
        alias="interval",
        ge=1,
        le=86400,
        description="How often each page is fetched: no page is older than this and one render.",
    )
    concurrency: _Number = Field(
        default=4,
        ge=1,
        le=256,
        description="How many pages are fetched at once, at most.",
    )
    pages: Annotated[
        tuple[Annotated[Page, PlainValidator(check_page)], ...],
        AfterValidator(_once),
        _Form("list of URLs or paths"),
    ] = Field(
        default=(),
        max_length=MAX_PAGES,
        description="The key pages, as URLs or as paths from the root of the host.",
    )
    sitemaps: Annotated[
        tuple[Annotated[str, PlainValidator(check_sitemap)], ...],
        AfterValidator(_once),
        _Form("list of URLs or paths"),
    ] = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description="Sitemaps, or indexes of sitemaps, whose pages are key pages too.",
    )
    exclude: _Globs = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description='Patterns of decoded paths that are never fetched, such as "/cart/*"; * matches slashes too.',
    )
    max_pages: _Number = Field(
        default=2000,
        ge=1,
        le=MAX_PAGES,
        description="How many pages the site may have in the tree; what sitemaps name beyond is left out.",
    )
    max_bytes: _Size = Field(
        default=8 * 2**20,
        ge=1024,
        le=2**30,
        description="The largest body that is published, after its content coding is undone.",
    )
    deadline_seconds: _Duration = Field(
        default=20.0,
        alias="deadline",
        ge=0.1,
        le=600,
        description="How long one fetch may take from its start to the last byte.",
    )
    require_html_end: _Switch = Field(
        default=True,
        description="Refuse a page that does not end in </html>; false for a theme whose minifier drops it.",
    )
    require: _Markers = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description='What every HTML page has, such as "#colophon" or "text:Imprint". One that lacks it is held back '
        "until two later fetches agree, or WordPress says that it changed.",
    )
    forbid: _Markers = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description='What must never go out, such as "text:Briefly out of order" or "form.checkout": such a page is '
        "refused, and one in the tree that has it is taken out.",
    )
    strip: Annotated[
        tuple[Annotated[_ShortText, AfterValidator(check_selector)], ...],
        AfterValidator(_once),
        _Form("list of CSS selectors"),
    ] = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description="Elements that are cut out of every page, beside WordPress's own.",
    )
    ignore: Annotated[
        tuple[Annotated[_ShortText, AfterValidator(check_regex)], ...],
        AfterValidator(_once),
        _Form("list of regular expressions"),
    ] = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description="Noise, such as time stamps: left out when a page is compared with its last copy, and only then.",
    )
    allow_cookies: Annotated[
        tuple[Annotated[_ShortText, AfterValidator(check_cookie)], ...],
        AfterValidator(_once),
        _Form("list of names"),
    ] = Field(
        default=(),
        max_length=MAX_LIST_LENGTH,
        description="Cookies that say nothing about a visitor: a page that sets them may be published, without them. "
        "A name may end in *.",
    )
    secrets: Annotated[
        tuple[Annotated[Secret, PlainValidator(check_secret)], ...],
        BeforeValidator(list_of_secrets),
        AfterValidator(_once),
        _Form("secret or list of secrets"),
    ] = Field(
        default=(),
        max_length=8,
        description="What staticify and WordPress's plugin sign with: whsec_ and base64, or where that stands: "
        "file:/PATH or credential:NAME (systemd's LoadCredential). With it WordPress is asked what changed, and may "
        "tell; several are for changing it.",
    )
    sweep_seconds: _Duration = Field(
        default=3600.0,
        alias="sweep",
        ge=60,
        le=604800,
        description="How often each page is fetched all the same while WordPress says what changes.",
    )
    wp_content: Annotated[_PathText | None, _Form("path", _written_or_nothing)] = Field(
        default=None,
        description="The wp-content directory, if it is on this machine; relative to this file. A changed theme or "
        "plugin renders every page anew, a changed upload those that show it.",
    )
    groups: tuple[Group, ...] = Field(
        default=(),
        alias="group",
        max_length=MAX_LIST_LENGTH,
        description="Pages with an interval of their own.",
    )
    backends: tuple[Backend, ...] = Field(
        default=(),
        alias="backend",
        max_length=64,
        description="The machines that answer what the tree does not, for the front. Without it, the addresses of "
        "origin: the first, and the others while it is dead.",
    )

    @property
    def url(self) -> str:
        """The public address. It names the site in logs, metrics and records."""
        return self.base.url

    def is_excluded(self, page: Page) -> bool:
        """True if the page must not be fetched."""
        return self.exclusion_of(page) is not None

    def exclusion_of(self, page: Page) -> str | None:
        """The pattern of `exclude` that matches the page."""
        return next((glob for glob in self.exclude if fnmatchcase(page.path, glob)), None)

    def group_of(self, page: Page) -> Group | None:
        """The first group that matches the page."""
        return next((one for one in self.groups if any(fnmatchcase(page.path, glob) for glob in one.pages)), None)

    def interval_for(self, page: Page) -> float:
        """Seconds between two fetches of the page: of the first group that matches it, or of the site."""
        group = self.group_of(page)
        return self.interval_seconds if group is None else group.interval_seconds


class _File(_Table):
    tree: _Tree = _Tree()
    state: _State = _State()
    log: _Log = _Log()
    webhook: _Webhook = _Webhook()
    spool: _Spool = _Spool()
    front: Front = Front()
    balancer: Balancer = Balancer()
    sites: tuple[Site, ...] = Field(
        alias="site",
        min_length=1,
        max_length=MAX_LIST_LENGTH,
        description=_NO_SITE,
    )


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without a fault."""

    source: Path | None
    tree_path: Path
    state_path: Path
    sites: tuple[Site, ...]
    listen: Origin | None = None
    """Of the webhook."""
    proxy_protocol_from: tuple[str, ...] = ()
    """Of the webhook too."""
    spool_path: Path | None = None
    tree_links: Links = "never"
    front: Front = field(default_factory=Front)
    balancer: Balancer = field(default_factory=Balancer)
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def site_of(self, page: Page) -> Site | None:
        """The site that the page belongs to: of those that it is inside of, the one with the longest path."""
        owners = [site for site in self.sites if is_inside(site.base, page)]
        return max(owners, key=lambda site: len(site.base.path), default=None)


# --- Reading ---------------------------------------------------------------------------------------------------------


def find(explicit: Path | None) -> Path:
    """The file to read: the one that was named, else the first of DEFAULT_PATHS that is there. Raises ConfigError."""
    if explicit is not None:
        return explicit
    for path in DEFAULT_PATHS:
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            # There, but out of reach: `load` says why.
            return path
        return path
    places = " nor ".join(map(str, DEFAULT_PATHS))
    raise ConfigError(
        "configuration",
        [Fault("", f"neither {places} is there")],
        hint="Write one with `staticify init URL`, or name one with --config",
    )


def load(path: Path, *, reads_secrets: bool = True) -> Config:
    """Read a file. Raises ConfigError with every fault in it.

    Who needs no secret may leave those that stand elsewhere unread: a credential is there for the daemon alone.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        hint = "Write one with `staticify init URL`"
        raise ConfigError(str(path), [Fault("", "there is no such file")], hint=hint) from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        is_closed = isinstance(error, PermissionError)
        hint = "The user that runs staticify must be able to read it" if is_closed else ""
        raise ConfigError(str(path), [Fault("", f"the file cannot be read: {reason}")], hint=hint) from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(str(path), [Fault("", f"the file is over {format_size(MAX_FILE_BYTES)}")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), [Fault("", f"byte 0x{data[error.start]:02x} is not UTF-8", line)]) from None
    return parse(text, path, path.parent, reads_secrets=reads_secrets)


def parse(text: str, source: Path | None, directory: Path, *, reads_secrets: bool = True) -> Config:
    """Read the text of a file. Relative paths in it are relative to `directory`. Raises ConfigError."""
    name = str(source or "configuration")
    try:
        text.encode()
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(name, [syntax_fault(text, error)]) from None
    directory = directory.absolute()
    faults: list[tuple[Location, str]] = []
    file = None
    try:
        file = _File.model_validate(data, context={"reads_secrets": reads_secrets})
    except ValidationError as error:
        found = (value_fault(data, details, describe(), _NO_SITE) for details in error.errors(include_url=False))
        faults = [fault for fault in found if fault]
    faults.extend(_cross_faults(data, directory))
    if file is None or faults:
        raise ConfigError(name, located(text, faults))
    return Config(
        source=source,
        tree_path=directory / file.tree.path,
        tree_links=file.tree.links,
        state_path=directory / file.state.path,
        sites=tuple(_located(site, directory) for site in file.sites),
        listen=file.webhook.listen,
        proxy_protocol_from=file.webhook.proxy_protocol_from,
        spool_path=directory / file.spool.path if file.spool.path else None,
        front=_front(file.front, directory),
        balancer=file.balancer.model_copy(update={"certificates": str(directory / file.balancer.certificates)}),
        log_format=file.log.format,
        log_level=file.log.level,
    )


def _front(front: Front, directory: Path) -> Front:
    """The front, with its files as they are from everywhere."""
    paths = {name: getattr(front, name) for name in ("certificate", "certificate_key")}
    return front.model_copy(update={name: str(directory / path) for name, path in paths.items() if path})


def _located(site: Site, directory: Path) -> Site:
    """The site, with its directory as it is from everywhere."""
    if site.wp_content is None:
        return site
    return site.model_copy(update={"wp_content": str(directory / site.wp_content)})


# --- Values against one another --------------------------------------------------------------------------------------
# These work on what tomllib read and pass over what is at fault by itself, so that one run reports both kinds.


@dataclass(frozen=True, slots=True)
class _ListedSite:
    index: int
    base: Page
    table: dict[str, Any]
    pages: list[tuple[int, Page]]


def _cross_faults(data: dict[str, Any], directory: Path) -> Iterator[tuple[Location, str]]:
    sites = list(_listed_sites(data))
    yield from _path_faults(data, directory)
    yield from _duplicate_sites(sites)
    yield from _page_faults(sites)
    yield from _folded_pages(sites)
    yield from _front_faults(data.get("front"))
    for site in sites:
        yield from _backend_faults(site)
        max_pages = site.table.get("max_pages", Site.model_fields["max_pages"].default)
        count = len({page for _, page in site.pages})
        if type(max_pages) is int and 1 <= max_pages < count:
            yield ("site", site.index, "pages"), f"lists {count} pages, but max_pages is {max_pages}"


def _listed_sites(data: dict[str, Any]) -> Iterator[_ListedSite]:
    for index, table in _items(data.get("site")):
        if not isinstance(table, dict):
            continue
        try:
            base = parse_base(table.get("url"))
        except ValueError:
            continue
        pages = []
        for position, text in _items(table.get("pages")):
            try:
                pages.append((position, parse_page_of(base, text)))
            except ValueError:
                continue
        yield _ListedSite(index, base, table, pages)


def _path_faults(data: dict[str, Any], directory: Path) -> Iterator[tuple[Location, str]]:
    """Faults of the directories. Symbolic links are followed where they exist."""
    real = {}
    for name, table in (("tree", _Tree), ("state", _State), ("spool", _Spool)):
        try:
            path = table.model_validate(data.get(name, {})).path
        except ValidationError:
            continue
        if path is not None:
            real[name] = Path(os.path.realpath(directory / path))
    tree, state, spool = map(real.get, ("tree", "state", "spool"))
    if tree == Path("/"):
        yield ("tree", "path"), "must not be the root directory"
        return
    if str(tree) in SYSTEM_DIRECTORIES:
        yield ("tree", "path"), f"{tree} belongs to the system; name a directory such as /var/cache/staticify/tree"
    if tree and state and state.is_relative_to(tree):
        key = ("state", "path") if "state" in data else ("tree", "path")
        yield key, f"the state, {state}, is inside the tree, {tree}: the web server would serve it"
    if tree and spool and spool.is_relative_to(tree):
        yield ("spool", "path"), f"the spool, {spool}, is inside the tree, {tree}: the web server would serve it"
    elif spool and spool in {state, Path(os.path.realpath(directory))}:
        what = "the state" if spool == state else "the configuration"
        yield ("spool", "path"), f"{spool} holds {what}: whatever lies in the spool is read as an order and taken away"


def _duplicate_sites(sites: list[_ListedSite]) -> Iterator[tuple[Location, str]]:
    first: dict[tuple[str, str], _ListedSite] = {}
    for site in sites:
        same = first.setdefault((site.base.netloc, site.base.path), site)
        if same is not site:
            yield ("site", site.index, "url"), f"{site.base} is the same site as site[{same.index}]"


def _page_faults(sites: list[_ListedSite]) -> Iterator[tuple[Location, str]]:
    """Pages that are listed where they do not belong, or that their own site excludes."""
    neighbours: dict[str, list[_ListedSite]] = {}
    for site in sorted(sites, key=lambda site: len(site.base.path), reverse=True):
        neighbours.setdefault(site.base.netloc, []).append(site)
    for site in sites:
        globs = [(index, glob) for index, glob in _items(site.table.get("exclude")) if isinstance(glob, str)]
        for position, page in site.pages:
            key = ("site", site.index, "pages", position)
            owners = (other for other in neighbours.get(page.netloc, []) if is_inside(other.base, page))
            owner = next(owners, None)
            if owner is None:
                yield key, f"{page} is outside the site {site.base}"
            elif owner.base.path != site.base.path or owner.base.netloc != site.base.netloc:
                yield key, f"{page} belongs to site[{owner.index}], {owner.base}; list it there"
            excluding = next((item for item in globs if fnmatchcase(page.path, item[1])), None)
            if excluding is not None:
                yield key, f"{page} matches exclude[{excluding[0]}], {shown(excluding[1])}"


def _folded_pages(sites: list[_ListedSite]) -> Iterator[tuple[Location, str]]:
    """Pages whose files a case-folding file system could not keep apart, of nested sites too."""
    first: dict[str, tuple[Page, Location]] = {}
    for site in sites:
        for position, page in site.pages:
            key = ("site", site.index, "pages", position)
            other, other_key = first.setdefault(page.folded, (page, key))
            if (other.netloc, other.path) != (page.netloc, page.path):
                yield key, f"{page} and {other} ({key_text(other_key)}) differ in nothing but case or Unicode form"


def _front_faults(table: object) -> Iterator[tuple[Location, str]]:
    if isinstance(table, dict) and ("certificate" in table) != ("certificate_key" in table):
        missing = "certificate_key" if "certificate" in table else "certificate"
        yield ("front",), f"{missing} is missing: TLS needs both"


def _backend_faults(site: _ListedSite) -> Iterator[tuple[Location, str]]:
    """Backends that one group of servers cannot have together."""
    tables = [table for _, table in _items(site.table.get("backend")) if isinstance(table, dict)]
    schemes = {str(table.get("address")).startswith("https:") for table in tables}
    key = ("site", site.index, "backend")
    if len(schemes) > 1:
        yield key, "some addresses are https and some are not; a front asks all in one way"
    if tables and all(table.get("weight") == 0 for table in tables):
        yield key, "every weight is 0: nobody would answer visitors"


def _items(value: object) -> list[tuple[int, Any]]:
    return list(enumerate(value)) if isinstance(value, list) else []


# --- Documentation ---------------------------------------------------------------------------------------------------


@cache
def describe() -> tuple[Setting, ...]:
    """Every key, in the order in which a file is best written. README and `staticify init` are made of this."""
    return tuple(_settings_of(_File, (), ""))


def _settings_of(model: type[BaseModel], path: tuple[str, ...], header: str) -> Iterator[Setting]:
    inner_tables = []
    for name, info in model.model_fields.items():
        here = (*path, info.alias or name)
        table = next((kind for kind in (info.annotation, *get_args(info.annotation)) if _is_table(kind)), None)
        if table is not None:
            is_array = table is not info.annotation
            inner_tables.append((table, here, f"[[{'.'.join(here)}]]" if is_array else f"[{'.'.join(here)}]"))
            continue
        form = next(item for item in info.metadata if isinstance(item, _Form))
        bounds = " to ".join(
            form.written(limit)
            for limit in (
                next((item.ge for item in info.metadata if hasattr(item, "ge")), None),
                next((item.le for item in info.metadata if hasattr(item, "le")), None),
            )
            if limit is not None
        )
        choices = " or ".join(form.written(choice) for choice in get_args(info.annotation) if isinstance(choice, str))
        yield Setting(
            path=here,
            table=header,
            form=", ".join(filter(None, (form.name, bounds, choices))),
            bounds=bounds,
            default="" if info.default is PydanticUndefined else form.written(info.default),
            is_required=info.is_required(),
            help=info.description or "",
        )
    for table, here, inner_header in inner_tables:
        yield from _settings_of(table, here, inner_header)


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, _Table)
