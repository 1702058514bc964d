"""Checks of single values of the configuration, beside their types.

Each takes what tomllib read and raises ValueError with a message that follows "key: ".
"""

from __future__ import annotations

import ipaddress
import re
import warnings
from functools import lru_cache
from urllib.parse import quote, unquote

from pydantic import ValidationInfo

from staticify.address import Origin, parse_origin
from staticify.credentials import read_secret
from staticify.errors import UrlError
from staticify.faults import has_control_character, shown, text_of
from staticify.rules import TEXT
from staticify.signature import Secret
from staticify.urls import Page, is_inside, page_of, parse_page, without_user

MAX_PAGES = 1_000_000
"""Of one site."""

SYSTEM_DIRECTORIES = frozenset({
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/opt", "/proc", "/root", "/run", "/sbin", "/sys", "/usr",
    "/usr/bin", "/usr/lib", "/usr/sbin", "/usr/share", "/var", "/var/cache", "/var/lib", "/var/log",
})  # fmt: skip
"""No tree can be meant to be one of them."""

# Stands in for the base of a site whose url is at fault, so that its pages can be checked all the same.
_UNKNOWN_BASE = Page("https", "site.invalid", "/")
_UNKNOWN_ROOT = _UNKNOWN_BASE.url.rstrip("/")
_FIELD_VALUE = re.compile(r"[A-Za-z0-9=,;:/. _-]*")
_PARAMETER = re.compile(r"[A-Za-z0-9_-]+\*?")
_MACHINE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62})")
_COOKIE = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]+\*?")
# What may stand in a query (RFC 3986 section 3.4) and the percent sign, which is taken to be encoded already.
_QUERY_SAFE = "%!$&'()*+,;=:@/?-._~"


def parse_base(value: object) -> Page:
    """The root of a site. Its path ends with a slash, written or not."""
    try:
        page = parse_page(text_of(value))
        return page if page.path.endswith("/") else page.with_path(f"{page.path}/")
    except UrlError as error:
        raise ValueError(str(error)) from None


def parse_page_of(base: Page, value: object) -> Page:
    """A page of a site. Behind a proxy WordPress may name its pages by http or https: the site's own scheme counts."""
    try:
        return _page_on(base, text_of(value))
    except UrlError as error:
        # Nobody wrote the address that stands in.
        raise ValueError(str(error).replace(_UNKNOWN_ROOT, "")) from None


@lru_cache(maxsize=MAX_PAGES)
def _page_on(base: Page, text: str) -> Page:
    # Asked twice for each page: by itself, and against the others.
    return page_of(base, text)


def check_page(value: object, info: ValidationInfo) -> Page:
    """A page of the site that is being read."""
    return parse_page_of(info.data.get("base", _UNKNOWN_BASE), value)


def check_sitemap(value: object, info: ValidationInfo) -> str:
    """The absolute URL of a sitemap. It may have a query string: plain permalinks have no other sitemaps."""
    base: Page = info.data.get("base", _UNKNOWN_BASE)
    location, _, _ = text_of(value).partition("#")
    location, mark, query = location.partition("?")
    page = parse_page_of(base, location)
    if base is not _UNKNOWN_BASE and not is_inside(base, page):
        raise ValueError(f"{page} is outside the site {base}")
    if any(character.isspace() for character in query) or has_control_character(query):
        raise ValueError(f"{shown(without_user(text_of(value)))} holds white space or a control character")
    return page.url + mark + quote(query, safe=_QUERY_SAFE)


def check_origin(value: object) -> Origin:
    """An address at which WordPress answers."""
    return parse_origin(text_of(value))


def check_glob(text: str) -> str:
    """A pattern that some decoded path could match."""
    if not text.startswith(("/", "*", "?", "[")):
        raise ValueError(f"{shown(text)} would match no page: it is compared with the path, which begins with /")
    decoded = unquote(text)
    if decoded != text:
        raise ValueError(f"{shown(text)} would match no page: it is compared with the decoded path, {shown(decoded)}")
    return text


def check_selector(text: str) -> str:
    """A CSS selector that leaves something of a page."""
    import turbohtml  # 40 ms, for those who have selectors

    try:
        # A document without content is <html>, <head> and <body>.
        is_cutting_everything = bool(turbohtml.parse("").select(text))
    except turbohtml.SelectorSyntaxError as error:
        reason = str(error).rpartition(": ")[2]
        raise ValueError(f"{shown(text)} is not a CSS selector: {reason}") from None
    if is_cutting_everything:
        raise ValueError(f"{shown(text)} would cut out the whole head or body of a page")
    return text


def check_marker(text: str) -> str:
    """A CSS selector, or "text:" and words."""
    import turbohtml

    if text.startswith(TEXT):
        if not text[len(TEXT) :].strip():
            raise ValueError(f"{shown(text)} has no words after {TEXT}")
        return text
    try:
        turbohtml.parse("").select(text)
    except turbohtml.SelectorSyntaxError as error:
        reason = str(error).rpartition(": ")[2]
        raise ValueError(
            f"{shown(text)} is not a CSS selector: {reason}; words are written as {shown(TEXT + text)}"
        ) from None
    return text


def check_regex(text: str) -> str:
    """A regular expression that matches no empty text."""
    with warnings.catch_warnings():
        # Python warns of an expression that its next version may read in another way.
        warnings.simplefilter("error")
        try:
            # Compared with bytes: a body may be in any encoding.
            pattern = re.compile(text.encode())
        except (re.error, RecursionError, OverflowError, Warning) as error:
            raise ValueError(f"{shown(text)} is not a regular expression: {error}") from None
    if pattern.search(b""):
        raise ValueError(f"{shown(text)} matches the empty text too, so that it could blank a whole page or nothing")
    return text


def check_cookie(text: str) -> str:
    """The name of a cookie, or its beginning and a *."""
    if not _COOKIE.fullmatch(text):
        raise ValueError(f"{shown(text)} is not the name of a cookie; a * may only stand at the end of a name")
    return text


def check_path(text: str) -> str:
    """A path as the system takes it: nothing in it is expanded."""
    if has_control_character(text):
        raise ValueError(f"{shown(text)} holds a control character")
    if text.startswith("~"):
        raise ValueError(f"{shown(text)} begins with ~, which is not expanded here; write the whole path")
    return text


def list_of_secrets(value: object) -> object:
    """One secret as a list of one. Whatever else is no list may be a secret without quotes, and is not repeated."""
    if not isinstance(value, str | list):
        raise ValueError("must be a text in quotes, or a list of them in brackets")  # noqa: TRY004  becomes a Fault
    return [value] if isinstance(value, str) else value


def check_secret(value: object, info: ValidationInfo) -> Secret:
    """A secret that is shared with WordPress, or its place. What is wrong with it is said without repeating it."""
    if not isinstance(value, str):
        raise ValueError("must be a text in quotes")  # noqa: TRY004  becomes a Fault
    return read_secret(value, is_read=bool((info.context or {}).get("reads_secrets", True)))


def check_address(value: object) -> str:
    """An address and a port to listen on or to connect to: 192.0.2.1:80 or [2001:db8::1]:80."""
    text = text_of(value)
    try:
        address = parse_origin(f"http://{text}")
    except ValueError:
        raise ValueError(
            f"{shown(without_user(text))} is no address and port, such as 192.0.2.1:80 or [2001:db8::1]:80"
        ) from None
    if not _is_ip_address(address.host) or not re.search(r":[0-9]+$", text):
        raise ValueError(f"{shown(text)} is no IP address with a port, such as 192.0.2.1:80 or [2001:db8::1]:80")
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"


def check_loopback_address(value: object) -> str | None:
    """The same, on loopback: who connects there is believed."""
    if value is None:
        return None
    address = check_address(value)
    if not _is_loopback(parse_origin(f"http://{address}").host):
        raise ValueError(f"{shown(value)} is not on loopback; write one such as 127.0.0.1:8090 or [::1]:8090")
    return address


def check_network(value: object) -> str:
    """An IP address, or a network of them: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32."""
    text = text_of(value)
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{shown(text)} is no address or network, such as 10.0.0.0/8: {error}") from None
    return str(network) if "/" in text else str(network.network_address)


def check_field_value(text: str) -> str:
    """The value of a header field, as far as every web server's configuration can hold it between quotes."""
    if not _FIELD_VALUE.fullmatch(text):
        raise ValueError(f"{shown(text)} is no value for this field: letters, digits and -=,;:/. and spaces only")
    return text


def check_parameter(text: str) -> str:
    """The name of a parameter of a query, or its beginning and a *."""
    if not _PARAMETER.fullmatch(text):
        raise ValueError(f"{shown(text)} is no name of a parameter: letters, digits, - and _, and a * at the end")
    return text


def check_cookie_of_front(text: str) -> str:
    """The name of a cookie, or its beginning and a *, as far as every web server's configuration can hold it."""
    if not _PARAMETER.fullmatch(text):
        raise ValueError(f"{shown(text)} is no name of a cookie: letters, digits, - and _, and a * at the end")
    return text


def check_machine(text: str) -> str:
    """The name of a machine, as X-Served-By shows it."""
    if not _MACHINE.fullmatch(text):
        raise ValueError(f"{shown(text)} is no name: letters, digits, dots, - and _ only")
    return text


def check_listen(value: object) -> Origin | None:
    """Where to listen: on loopback or on a socket, since whoever reaches it may try signatures."""
    if value is None:
        return None
    text = text_of(value)
    if not text.startswith(("http://", "https://", "unix:")):
        raise ValueError(f"{shown(without_user(text))} does not begin with http:// or unix:/")
    address = parse_origin(text)
    if address.scheme == "https":
        raise ValueError(f"{shown(value)} would need a certificate; write http://127.0.0.1:PORT or unix:/PATH")
    if address.scheme != "unix" and not _is_loopback(address.host):
        raise ValueError(f"{shown(value)} is not on loopback; write http://127.0.0.1:PORT or unix:/PATH")
    if address.scheme != "unix" and not re.search(r":[0-9]+\Z", text):
        raise ValueError(f"{shown(value)} names no port; write one such as http://127.0.0.1:8765")
    return address


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # A name: what it leads to is for others to say.
