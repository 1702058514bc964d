"""Where a URL lands in the tree, and which URLs cannot be a page at all.

One rule, for every front end: file = tree + host + decoded path + MARK + "/index." + extension.

    https://example.org/            example.org/@staticify/index.html
    https://example.org/about/      example.org/about/@staticify/index.html
    https://example.org/about       example.org/about@staticify/index.html       (another page)
    https://example.org/feed/       example.org/feed/@staticify/index.rss
    https://example.org/robots.txt  example.org/robots.txt@staticify/index.txt

The mapping is one to one: the mark occurs in no page's path, so that cutting it off gives the path back.

Refused, because no safe or unambiguous file stands for them: a query string, user information, another scheme;
dot segments, empty segments, control characters, a backslash, an encoded slash, percent signs without two hex
digits, bytes that are not UTF-8, the mark itself, a component over 255 bytes, a path over 2048 bytes or 100 segments;
port 0, zone identifiers, host names with a label over 63 bytes. Two pages of one site whose paths differ only in case
or in Unicode form are refused by `folded`.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

import idna

from staticify.errors import UrlError
from staticify.nouns import Kind

MARK = "@staticify"
MAX_COMPONENT_BYTES = 255
"""NAME_MAX of every file system in use."""
MAX_PATH_BYTES = 2048
"""Half of PATH_MAX: the tree's own path comes before it."""
MAX_SEGMENTS = 100
"""Each is a directory that must be opened to reach the page, and programs that copy or search a tree keep all open at
once, or call themselves for each. No permalink has a tenth of it."""
DEFAULT_PORTS = {"http": 80, "https": 443}

_PERCENT = re.compile(rb"%(..)?", re.DOTALL)
_HEX = re.compile(rb"[0-9A-Fa-f]{2}")
# RFC 1123 section 2.1, and the underscore, which the DNS allows and real sites have.
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
# Without a zone identifier (RFC 6874): it means something on one machine only.
_BRACKETS = re.compile(r"\[([^\[\]%]*)\](:[0-9]*)?")
# What RFC 3986 lets stand in a path segment beside unreserved characters. Everything else is percent-encoded.
_SEGMENT_SAFE = "!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a page lives below the tree: the directories to walk, the host's first, and the name of its leaf."""

    directories: tuple[str, ...]
    leaf: str

    @property
    def relative(self) -> str:
        """The leaf's path below the tree."""
        return "/".join((*self.directories, self.leaf))

    @property
    def netloc(self) -> str:
        """The host that the page belongs to."""
        return self.directories[0]

    @property
    def path(self) -> str:
        """The decoded path of the page that lives here: the mapping backwards."""
        return "/" + "/".join((*self.directories[1:], self.leaf.removesuffix(MARK)))


@dataclass(frozen=True, slots=True, order=True)
class Page:
    """One URL of a site, in its one canonical spelling."""

    scheme: str
    netloc: str
    """Host in lower case and punycode, with the port unless it is the scheme's own."""
    path: str
    """Decoded; begins with a slash."""

    @property
    def url(self) -> str:
        """The canonical URL."""
        return f"{self.scheme}://{self.netloc}{self.raw_path}"

    @property
    def raw_path(self) -> str:
        """The path as it goes over the wire, percent-encoded (RFC 3986 section 2.1, upper-case hex)."""
        return quote(self.path, safe="/" + _SEGMENT_SAFE)

    @property
    def folded(self) -> str:
        """Equal for two pages that a case-folding or Unicode-folding file system could not keep apart.

        Unicode's canonical caseless match (The Unicode Standard, D145): folding undoes the form that came before it.
        """
        decomposed = unicodedata.normalize("NFD", f"{self.netloc}{self.path}")
        return unicodedata.normalize("NFD", decomposed.casefold())

    @property
    def place(self) -> Place:
        """Where the page lives in the tree."""
        *directories, last = self.path.split("/")[1:]
        return Place((self.netloc, *directories), last + MARK)

    def tree_path(self, kind: Kind) -> str:
        """Path of the identity variant below the tree."""
        return f"{self.place.relative}/index.{kind}"

    def with_path(self, path: str) -> Page:
        """The page of the same host at another decoded path. Raises UrlError."""
        _check_path(path)
        return Page(self.scheme, self.netloc, path)

    def __str__(self) -> str:
        return self.url


_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*|(?!/)[^/?#]*")
_PORT = re.compile(r"[^:]*(:[0-9]*)?|\[[^\]]*\](:[0-9]*)?")


def without_user(text: str) -> str:
    """The text with "…" in place of user information: a password is in no error.

    Before an @ in the path too, if what stands for the authority can be none: a password may have a slash in it.
    """
    match = _AUTHORITY.match(text)
    authority = match.group() if match else ""
    end = len(authority) if "@" in authority else len(text)
    at = text.rfind("@", 0, end)
    scheme, slashes, rest = authority.rpartition("//")
    if at < 0 or ("@" not in authority and (not authority or _PORT.fullmatch(rest))):
        return text
    return f"{scheme}{slashes}…{text[at:]}"


def parse_page(text: str) -> Page:
    """The page that an absolute URL names. Raises UrlError with the reason if it cannot be one."""
    return _parsed(text, "an absolute http or https URL")


def _parsed(text: str, wanted: str) -> Page:
    shown = without_user(text)
    if any(character.isspace() or ord(character) < 0x20 for character in text):
        # urlsplit drops tabs and line feeds in silence; a URL that needs it is not the URL that was meant.
        raise UrlError(f"{shown!r} holds white space or a control character")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        # It may repeat a part of the password.
        reason = f": {error}" if shown == text else ""
        raise UrlError(f"{shown!r} is not a URL{reason}") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise UrlError(f"{shown!r} is not {wanted}")
    if parts.username is not None or parts.password is not None:
        raise UrlError(f"{shown!r} carries user information")
    if "?" in text.split("#", 1)[0]:
        raise UrlError(f"{text!r} has a query string; a page is a path alone")
    if port == 0:
        raise UrlError(f"{text!r} has port 0, which is no port to connect to")
    host = _address(parts.netloc, text) if "[" in parts.netloc else _name(parts.hostname or "", text)
    netloc = host if port in {None, DEFAULT_PORTS[parts.scheme]} else f"{host}:{port}"
    return Page(parts.scheme, netloc, decode_path(parts.path or "/"))


def page_of(base: Page, text: str) -> Page:
    """The page that `text` names on a site: an absolute URL, or a path from the root of the host.

    Where the host is the site's own the scheme is too: behind a proxy that ends TLS, WordPress may say either.
    """
    if text.startswith("/") and not text.startswith("//"):
        return parse_page(f"{base.scheme}://{base.netloc}{text}")
    page = _parsed(text, "an absolute http or https URL, or a path beginning with /")
    return replace(page, scheme=base.scheme) if page.netloc == base.netloc else page


def is_inside(site: Page, page: Page) -> bool:
    """True if the page belongs to the site: same host and port, at or below the site's path.

    The scheme is left out: behind a proxy that ends TLS, WordPress may name its own pages by either.
    """
    return page.netloc == site.netloc and page.path.startswith(site.path)


def decode_path(raw_path: str) -> str:
    """The path that a server sees after decoding. Raises UrlError for what cannot be a safe file name."""
    try:
        raw = raw_path.encode("utf-8")
    except UnicodeEncodeError:
        raise UrlError(f"path {raw_path!r} holds half a surrogate pair") from None

    def byte_of(match: re.Match[bytes]) -> bytes:
        digits = match.group(1)
        if digits is None or not _HEX.fullmatch(digits):
            raise UrlError(f"path {raw_path!r} has a percent sign without two hex digits")
        if digits.lower() == b"2f":
            raise UrlError(f"path {raw_path!r} has an encoded slash")
        return bytes([int(digits, 16)])

    try:
        path = _PERCENT.sub(byte_of, raw).decode("utf-8")
    except UnicodeDecodeError:
        raise UrlError(f"path {raw_path!r} is not UTF-8") from None
    _check_path(path)
    return path


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise UrlError(f"path {path!r} does not begin with a slash")
    if "\\" in path:
        raise UrlError(f"path {path!r} has a backslash")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in path):
        raise UrlError(f"path {path!r} has a control character")
    if MARK in path.casefold():
        raise UrlError(f"path {path!r} holds {MARK}, which staticify keeps for itself")
    try:
        size_bytes = len(path.encode())
    except UnicodeEncodeError:
        # A name in the tree that is not UTF-8, and that staticify did not make.
        raise UrlError(f"path {path!r} holds half a surrogate pair") from None
    if size_bytes > MAX_PATH_BYTES:
        raise UrlError(f"path {path[:60]!r}... is over {MAX_PATH_BYTES} bytes")
    _check_components(path)


def _check_components(path: str) -> None:
    *directories, last = path.split("/")[1:]
    if len(directories) + bool(last) > MAX_SEGMENTS:
        raise UrlError(f"path {path[:60]!r}... has over {MAX_SEGMENTS} segments")
    if "" in directories:
        raise UrlError(f"path {path!r} has an empty segment")
    for component in (*directories, last):
        if component in {".", ".."}:
            raise UrlError(f"path {path!r} has a dot segment")
    for component in (*directories, last + MARK):
        if len(component.encode()) > MAX_COMPONENT_BYTES:
            raise UrlError(f"path {path[:60]!r}... has a component over {MAX_COMPONENT_BYTES} bytes")


def _address(netloc: str, text: str) -> str:
    """The one spelling of an IPv6 address in brackets."""
    match = _BRACKETS.fullmatch(netloc)
    try:
        return f"[{ipaddress.IPv6Address(match.group(1) if match else '')}]"
    except ValueError:
        raise UrlError(f"{text!r} has a host that is no IPv6 address") from None


def _name(hostname: str, text: str) -> str:
    """A host name in lower case and punycode, without the dot of the root."""
    try:
        # Label by label: an underscore may stand beside a label that needs punycode, though not in it.
        labels = hostname.split(".") if hostname.isascii() else idna.uts46_remap(hostname, std3_rules=False).split(".")
        host = ".".join(label if label.isascii() else idna.alabel(label).decode("ascii") for label in labels).lower()
    except idna.IDNAError as error:
        raise UrlError(f"{text!r} has a host that is no internationalised domain name: {error}") from None
    if not _HOST.fullmatch(host) or len(host) > MAX_COMPONENT_BYTES - len(":65535"):
        raise UrlError(f"{text!r} has no usable host name")
    return host.rstrip(".")
