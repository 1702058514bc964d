"""A configuration is read whole, or every fault in it is reported with its key and line."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from staticify import config
from staticify.address import Origin
from staticify.config import Backend, Balancer, Config, Front, Group, Site
from staticify.errors import ConfigError, Fault
from staticify.signature import Secret, parse_secret
from staticify.units import format_duration
from staticify.urls import Page, parse_page

HERE = Path("/etc/staticify")
SITE = '[[site]]\nurl = "https://a.example/"\n'
SECRET, OTHER = (f"whsec_{b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))


def faults_of(text: str, directory: Path = HERE) -> list[Fault]:
    """What is wrong with a text."""
    with pytest.raises(ConfigError) as caught:
        config.parse(text, None, directory)
    return caught.value.faults


# --- A good file -----------------------------------------------------------------------------------------------------


def test_the_least_file_has_the_documented_defaults() -> None:
    read = config.parse(SITE, None, HERE)

    (site,) = read.sites
    assert read == Config(
        source=None,
        tree_path=Path("/var/cache/staticify/tree"),
        state_path=Path("/var/lib/staticify/state"),
        sites=(site,),
        listen=None,
        spool_path=None,
        log_format="text",
        log_level="info",
    )
    assert dict(site) == {
        "base": Page("https", "a.example", "/"),
        "origins": (Origin("https", "a.example", 443),),
        "interval_seconds": 60.0,
        "concurrency": 4,
        "pages": (),
        "sitemaps": (),
        "exclude": (),
        "max_pages": 2000,
        "max_bytes": 8 * 1024 * 1024,
        "deadline_seconds": 20.0,
        "require_html_end": True,
        "require": (),
        "forbid": (),
        "strip": (),
        "ignore": (),
        "allow_cookies": (),
        "secrets": (),
        "sweep_seconds": 3600.0,
        "wp_content": None,
        "groups": (),
        "backends": (),
    }


def test_every_key_is_read() -> None:
    text = f"""
[tree]
path = "tree"
links = "own"
[state]
path = "/srv/state"
[log]
format = "json"
level = "debug"
[webhook]
listen = "http://[::1]:8082"
proxy_protocol_from = ["192.0.2.1", "2001:DB8::/32", "192.0.2.1"]
[spool]
path = "spool"
[front]
listen = ["192.0.2.10:80", "[2001:DB8::10]:80"]
certificate = "certs/{{host}}.pem"
certificate_key = "/etc/keys/{{host}}.pem"
redirect = "192.0.2.10:8080"
hsts = "max-age=31536000; includeSubDomains"
proxy_protocol_from = "10.0.0.0/8"
edges = ["192.0.2.11:80", "[2001:db8::11]:80"]
cache_control = "max-age=5"
cdn_cache_control = "max-age=60"
served_by = "edge-1"
tracking = ["ref", "mk_*"]
query_variables = ["product"]
bypass_cookies = ["wordpress_logged_in_*"]
not_found = true
timeout = "10s"
[balancer]
listen = "192.0.2.20:443"
redirect = ["192.0.2.20:80"]
certificates = "haproxy"
wordpress = "[0:0:0:0:0:0:0:1]:8090"

[[site]]
url = "https://A.example:443/blog"
origin = ["http://127.0.0.1:8080", "http://[::1]:8080", "unix:/run/web.sock", "http://127.0.0.1:8080"]
interval = "1m30s"
concurrency = 8
pages = ["/blog/", "https://a.example/blog/caf%c3%a9/", "http://a.example/blog/", "/blog/about"]
sitemaps = ["/blog/wp-sitemap.xml", "https://a.example/blog/?sitemap=index&x=é#top"]
exclude = ["/blog/cart/*", "*.php", "/blog/cart/*"]
max_pages = 50
max_bytes = "512KiB"
deadline = "500ms"
require_html_end = false
require = ["#colophon", "text: Imprint  & more ", "#colophon"]
forbid = ["form.checkout"]
strip = [".ad > b", ".ad > b"]
ignore = ['<!-- took [0-9.]+ s -->']
allow_cookies = ["pll_language", "PHPSESSID*"]
secrets = ["{SECRET}", "{OTHER}", "{SECRET}"]
sweep = "15m"
wp_content = "../../var/www/wp-content"

[[site.group]]
pages = ["/blog/category/*"]
interval = "5m"
require = [".products li"]
forbid = ["text:Sold out"]

[[site.backend]]
address = "http://[2001:db8::30]:8080"
name = "primary"
weight = 5
[[site.backend]]
address = "http://192.0.2.31:8080"
"""
    read = config.parse(text, HERE / "staticify.toml", HERE)

    (site,) = read.sites
    assert read == Config(
        source=HERE / "staticify.toml",
        tree_path=HERE / "tree",
        state_path=Path("/srv/state"),
        sites=(site,),
        listen=Origin("http", "::1", 8082),
        proxy_protocol_from=("192.0.2.1", "2001:db8::/32"),
        spool_path=HERE / "spool",
        tree_links="own",
        front=Front(
            listen=("192.0.2.10:80", "[2001:db8::10]:80"),
            certificate="/etc/staticify/certs/{host}.pem",
            certificate_key="/etc/keys/{host}.pem",
            redirect=("192.0.2.10:8080",),
            hsts="max-age=31536000; includeSubDomains",
            proxy_protocol_from=("10.0.0.0/8",),
            edges=("192.0.2.11:80", "[2001:db8::11]:80"),
            cache_control="max-age=5",
            cdn_cache_control="max-age=60",
            served_by="edge-1",
            tracking=("ref", "mk_*"),
            query_variables=("product",),
            bypass_cookies=("wordpress_logged_in_*",),
            not_found=True,
            timeout="10s",  # type: ignore[arg-type]  # as in TOML
        ),
        balancer=Balancer(
            listen=("192.0.2.20:443",),
            redirect=("192.0.2.20:80",),
            certificates="/etc/staticify/haproxy",
            wordpress="[::1]:8090",
        ),
        log_format="json",
        log_level="debug",
    )
    assert dict(site) == {
        "base": Page("https", "a.example", "/blog/"),
        "origins": (
            Origin("http", "127.0.0.1", 8080),
            Origin("http", "::1", 8080),
            Origin("unix", socket_path="/run/web.sock"),
        ),
        "interval_seconds": 90.0,
        "concurrency": 8,
        "pages": (
            Page("https", "a.example", "/blog/"),
            Page("https", "a.example", "/blog/café/"),
            Page("https", "a.example", "/blog/about"),
        ),
        "sitemaps": (
            "https://a.example/blog/wp-sitemap.xml",
            "https://a.example/blog/?sitemap=index&x=%C3%A9",
        ),
        "exclude": ("/blog/cart/*", "*.php"),
        "max_pages": 50,
        "max_bytes": 512 * 1024,
        "deadline_seconds": 0.5,
        "require_html_end": False,
        "require": ("#colophon", "text: Imprint  & more "),
        "forbid": ("form.checkout",),
        "strip": (".ad > b",),
        "ignore": ("<!-- took [0-9.]+ s -->",),
        "allow_cookies": ("pll_language", "PHPSESSID*"),
        "secrets": (Secret(b"\1" * 32), Secret(b"\2" * 32)),
        "sweep_seconds": 900.0,
        "wp_content": "/etc/staticify/../../var/www/wp-content",
        "groups": (
            Group(
                pages=("/blog/category/*",),
                interval="5m",  # type: ignore[arg-type]  # as in TOML
                require=(".products li",),
                forbid=("text:Sold out",),
            ),
        ),
        "backends": (
            Backend.model_validate({"address": "http://[2001:db8::30]:8080", "name": "primary", "weight": 5}),
            Backend.model_validate({"address": "http://192.0.2.31:8080"}),
        ),
    }
    assert site.url == "https://a.example/blog/"


def test_values_cannot_be_changed_and_are_keys_of_dictionaries() -> None:
    read = config.parse(SITE + '[[site.group]]\npages = ["/x"]\ninterval = "5m"\n', None, HERE)
    with pytest.raises(Exception, match="frozen"):
        read.sites[0].concurrency = 9
    assert {read.sites[0]: 1} == {config.parse(read_again(read), None, HERE).sites[0]: 1}


def read_again(read: Config) -> str:
    """The text that the last test was made of, from what was read."""
    (site,) = read.sites
    (group,) = site.groups
    interval = format_duration(group.interval_seconds)
    return f'[[site]]\nurl = "{site.url}"\n[[site.group]]\npages = ["{group.pages[0]}"]\ninterval = "{interval}"\n'


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example/", (Origin("http", "a.example", 80),)),
        ("https://a.example:8443/blog/", (Origin("https", "a.example", 8443),)),
        ("http://[::1]:8080/", (Origin("http", "::1", 8080),)),
        ("https://münchen.example/", (Origin("https", "xn--mnchen-3ya.example", 443),)),
    ],
)
def test_without_an_origin_the_public_address_is_asked(url: str, expected: tuple[Origin, ...]) -> None:
    assert config.parse(f'[[site]]\nurl = "{url}"', None, HERE).sites[0].origins == expected


def test_excludes_and_groups_compare_decoded_paths() -> None:
    text = SITE + (
        'exclude = ["/cart/*", "/[xy]", "/CASE"]\n'
        '[[site.group]]\npages = ["/日本/*"]\ninterval = "5m"\n'
        '[[site.group]]\npages = ["/feed/", "*/feed/", "/日本/neu/"]\ninterval = "10m"\n'
    )
    (site,) = config.parse(text, None, HERE).sites

    def page(path: str) -> Page:
        return parse_page(f"https://a.example{path}")

    paths = ["/", "/cart/", "/cart/a/b", "/cart", "/x", "/xy", "/case"]
    assert [path for path in paths if site.is_excluded(page(path))] == ["/cart/", "/cart/a/b", "/x"]
    intervals = {
        path: site.interval_for(page(path)) for path in ("/", "/%E6%97%A5%E6%9C%AC/neu/", "/feed/", "/a/b/feed/")
    }
    assert intervals == {"/": 60.0, "/%E6%97%A5%E6%9C%AC/neu/": 300.0, "/feed/": 600.0, "/a/b/feed/": 600.0}


def test_a_page_belongs_to_the_site_with_the_longest_path() -> None:
    text = "".join(
        f'[[site]]\nurl = "{url}"\n'
        for url in (
            "https://a.example/",
            "https://a.example/blog/old/",
            "https://a.example/blog/",
            "https://b.example/x/",
        )
    )
    read = config.parse(text, None, HERE)
    expected = {
        "https://a.example/": "https://a.example/",
        "https://a.example/blog": "https://a.example/",
        "http://a.example/blog/": "https://a.example/blog/",
        "https://a.example/blog/old/x/": "https://a.example/blog/old/",
        "https://b.example/": None,
        "https://a.example:8443/": None,
    }
    found = {url: read.site_of(parse_page(url)) for url in expected}
    assert {url: site.url if site else None for url, site in found.items()} == expected


# --- Faults ----------------------------------------------------------------------------------------------------------

SITE_KEYS = (
    "url, origin, interval, concurrency, pages, sitemaps, exclude, max_pages, max_bytes, deadline, require_html_end, "
    "require, forbid, strip, ignore, allow_cookies, secrets, sweep, wp_content, group, backend"
)
TOP_KEYS = "tree, state, log, webhook, spool, front, balancer, site"
HELP = {setting.key: setting.help for setting in config.describe()}
NO_SITE = Fault("site", 'is missing: At least one [[site]] with its url, such as url = "https://example.org/".')

# Lines 1 and 2 are SITE's.
SITE_FAULTS: list[tuple[str, str, str, int]] = [
    ("interval = 60", "interval", '60 has no unit; write "60s" if seconds are meant', 3),
    ("interval = true", "interval", "must be a text in quotes, not true", 3),
    ("interval = 1979-05-27", "interval", "must be a text in quotes, not a date or time", 3),
    (
        'interval = "often"',
        "interval",
        '"often" is not a duration; write it like "60s", "5m", "1h", "1m30s" or "500ms"',
        3,
    ),
    ('interval = "999ms"', "interval", 'must be "1s" to "24h", not "999ms"', 3),
    ('interval = "25h"', "interval", 'must be "1s" to "24h", not "25h"', 3),
    ('deadline = "99ms"', "deadline", 'must be "100ms" to "10m", not "99ms"', 3),
    ('deadline = "11m"', "deadline", 'must be "100ms" to "10m", not "11m"', 3),
    ("concurrency = 0", "concurrency", "must be 1 to 256, not 0", 3),
    ("concurrency = 257", "concurrency", "must be 1 to 256, not 257", 3),
    (f"concurrency = {10**90}", "concurrency", f"must be 1 to 256, not 1{'0' * 79}", 3),
    ("concurrency = 4.0", "concurrency", "must be a whole number, not 4.0", 3),
    ("concurrency = true", "concurrency", "must be a whole number, not true", 3),
    ('concurrency = "4"', "concurrency", 'must be a whole number, not "4"', 3),
    ("concurrency = [4]", "concurrency", "must be a whole number, not a list", 3),
    ("max_pages = 0", "max_pages", "must be 1 to 1000000, not 0", 3),
    ("max_pages = 1_000_001", "max_pages", "must be 1 to 1000000, not 1000001", 3),
    ("max_bytes = 8388608", "max_bytes", '8388608 has no unit; write "8388608B" if bytes are meant', 3),
    ('max_bytes = "8"', "max_bytes", '"8" is not a size; write it like "8MiB", "512KiB", "1GiB" or "100B"', 3),
    ('max_bytes = "1023B"', "max_bytes", 'must be "1KiB" to "1GiB", not "1023B"', 3),
    ('max_bytes = "2GiB"', "max_bytes", 'must be "1KiB" to "1GiB", not "2GiB"', 3),
    ("require_html_end = 1", "require_html_end", "must be true or false, not 1", 3),
    ('require_html_end = "yes"', "require_html_end", 'must be true or false, not "yes"', 3),
    ("origin = []", "origin", "must not be empty", 3),
    ("origin = 5", "origin", "must be a list in brackets, not 5", 3),
    ('origin = "ftp://x"', "origin", '"ftp://x" does not begin with http://, https:// or unix:/', 3),
    ('origin = ["http://x",\n  "x"]', "origin[1]", '"x" does not begin with http://, https:// or unix:/', 4),
    ("origin = [7]", "origin[0]", "must be a text in quotes, not 7", 3),
    ('pages = "/"', "pages", 'must be a list in brackets, not "/"', 3),
    ('pages = [\n  "/",\n  # home\n  7 ]', "pages[1]", "must be a text in quotes, not 7", 6),
    (
        'pages = ["/", "/?p=1"]',
        "pages[1]",
        "'https://a.example/?p=1' has a query string; a page is a path alone",
        3,
    ),
    ('pages = ["about"]', "pages[0]", "'about' is not an absolute http or https URL, or a path beginning with /", 3),
    ('pages = ["/a/../b"]', "pages[0]", "path '/a/../b' has a dot segment", 3),
    (
        'pages = [\n"https://b.example/"]',
        "pages[0]",
        "https://b.example/ is outside the site https://a.example/",
        4,
    ),
    (
        'pages = ["/About/",\n"/x",\n"/about/"]',
        "pages[2]",
        (
            "https://a.example/about/ and https://a.example/About/ (site[0].pages[0]) "
            "differ in nothing but case or Unicode form"
        ),
        5,
    ),
    (
        'pages = ["/caf\u00e9", "/cafe\u0301"]',
        "pages[1]",
        (
            "https://a.example/cafe%CC%81 and https://a.example/caf%C3%A9 (site[0].pages[0]) "
            "differ in nothing but case or Unicode form"
        ),
        3,
    ),
    (
        'exclude = ["/x", "/cart/*"]\npages = ["/", "/cart/"]',
        "pages[1]",
        'https://a.example/cart/ matches exclude[1], "/cart/*"',
        4,
    ),
    ('max_pages = 1\npages = ["/", "/a", "/"]', "pages", "lists 2 pages, but max_pages is 1", 4),
    (
        'sitemaps = ["wp.xml"]',
        "sitemaps[0]",
        "'wp.xml' is not an absolute http or https URL, or a path beginning with /",
        3,
    ),
    (
        'sitemaps = ["https://b.example/s.xml?x"]',
        "sitemaps[0]",
        "https://b.example/s.xml is outside the site https://a.example/",
        3,
    ),
    (
        'sitemaps = ["/s.xml?a b"]',
        "sitemaps[0]",
        '"/s.xml?a b" holds white space or a control character',
        3,
    ),
    (
        'exclude = ["cart"]',
        "exclude[0]",
        '"cart" would match no page: it is compared with the path, which begins with /',
        3,
    ),
    (
        'exclude = ["/caf%C3%A9/*"]',
        "exclude[0]",
        '"/caf%C3%A9/*" would match no page: it is compared with the decoded path, "/café/*"',
        3,
    ),
    ('exclude = [""]', "exclude[0]", "must not be empty", 3),
    (f'exclude = ["/{"x" * 1000}"]', "exclude[0]", "must have at most 1000 characters", 3),
    ('exclude = ["/x"' + ', "/x"' * 1000 + "]", "exclude", "must have at most 1000 entries", 3),
    ("exclude = [5]", "exclude[0]", "must be a text in quotes, not 5", 3),
    ('strip = ["body"]', "strip[0]", '"body" would cut out the whole head or body of a page', 3),
    (
        'ignore = [".*"]',
        "ignore[0]",
        '".*" matches the empty text too, so that it could blank a whole page or nothing',
        3,
    ),
    (
        'allow_cookies = ["*"]',
        "allow_cookies[0]",
        '"*" is not the name of a cookie; a * may only stand at the end of a name',
        3,
    ),
    (
        'allow_cookies = ["a*b"]',
        "allow_cookies[0]",
        '"a*b" is not the name of a cookie; a * may only stand at the end of a name',
        3,
    ),
    ('sweep = "59s"', "sweep", 'must be "60s" to "168h", not "59s"', 3),
    ('sweep = "169h"', "sweep", 'must be "60s" to "168h", not "169h"', 3),
    ("sweep = 3600", "sweep", '3600 has no unit; write "3600s" if seconds are meant', 3),
    ('wp_content = ""', "wp_content", "must not be empty", 3),
    ("wp_content = 5", "wp_content", "must be a text in quotes, not 5", 3),
    ('wp_content = ["/x"]', "wp_content", "must be a text in quotes, not a list", 3),
    (
        'wp_content = "~/x"',
        "wp_content",
        '"~/x" begins with ~, which is not expanded here; write the whole path',
        3,
    ),
    ('wp_content = "a\\u0000"', "wp_content", '"a\\u0000" holds a control character', 3),
    (f'wp_content = "/{"x" * 1000}"', "wp_content", "must have at most 1000 characters", 3),
    ('wp-content = "/x"', "wp-content", "there is no such key; did you mean wp_content?", 3),
    (f'secret = "{SECRET}"', "secret", "there is no such key; did you mean secrets?", 3),
    ('intervall = "60s"', "intervall", "there is no such key; did you mean interval?", 3),
    ('interval_seconds = "60s"', "interval_seconds", "there is no such key; did you mean interval?", 3),
    ('level = "info"', "level", "there is no such key here; it belongs into [log]", 3),
    ("zzz = 1", "zzz", f"there is no such key; there are {SITE_KEYS}", 3),
    ('"a b\\n" = 1', '"a b\\n"', f"there is no such key; there are {SITE_KEYS}", 3),
    ('group = "x"', "group", 'must be a list in brackets, not "x"', 3),
    ('[site.pages]\nx = "/"', "pages", "must be a list in brackets, not a table", 3),
    ("[site.group]", "group", "may stand several times: write [[site.group]] with two brackets", 3),
    ("group = [5]", "group[0]", "must be a table, [[site.group]], not 5", 3),
    ('[[site.group]]\ninterval = "5m"', "group[0].pages", f"is missing: {HELP['site.group.pages']}", 3),
    ('[[site.group]]\npages = ["/x"]', "group[0].interval", f"is missing: {HELP['site.group.interval']}", 3),
    ('[[site.group]]\ninterval = "5m"\npages = []', "group[0].pages", "must not be empty", 5),
    (
        '[[site.group]]\ninterval = "5m"\npages = ["/x"]\n[[site.group]]\npages = ["/y"]\ninterval = "0s"',
        "group[1].interval",
        'must be "1s" to "24h", not "0s"',
        8,
    ),
    (
        '[[site.group]]\ninterval = "5m"\npages = ["/x"]\nurl = 1',
        "group[0].url",
        "there is no such key here; it belongs into [[site]]",
        6,
    ),
]


@pytest.mark.parametrize(("text", "key", "message", "line"), SITE_FAULTS, ids=[row[0][:40] for row in SITE_FAULTS])
def test_a_fault_of_a_site(text: str, key: str, message: str, line: int) -> None:
    assert faults_of(SITE + text) == [Fault(f"site[0].{key}", message, line)]


@pytest.mark.parametrize(
    ("text", "key", "beginning"),
    [
        ('require = [".x",\n"a["]', "require[1]", '"a[" is not a CSS selector: expected '),
        ('forbid = [".x",\n"text:  "]', "forbid[1]", '"text:  " has no words after text:'),
        ('strip = [".x",\n"a["]', "strip[1]", '"a[" is not a CSS selector: expected '),
        ('strip = [".x",\n"p:foo"]', "strip[1]", '"p:foo" is not a CSS selector: unknown '),
        ('ignore = ["x",\n"("]', "ignore[1]", '"(" is not a regular expression: missing )'),
        ('ignore = ["x",\n"[[]x"]', "ignore[1]", '"[[]x" is not a regular expression: Possible nested set'),
        ('ignore = ["x",\n"a{5000000000}"]', "ignore[1]", '"a{5000000000}" is not a regular expression: '),
        ('ignore = ["x",\n"\\\\u1234"]', "ignore[1]", '"\\\\u1234" is not a regular expression: bad escape'),
    ],
)
def test_a_fault_that_a_library_finds_is_told_in_its_words(text: str, key: str, beginning: str) -> None:
    (fault,) = faults_of(SITE + text)
    assert (fault.key, fault.line) == (f"site[0].{key}", 4)
    assert fault.message.startswith(beginning)
    assert "\n" not in fault.message


TEXT = "must be a text in quotes, not "
TAKEN_AWAY = "whatever lies in the spool is read as an order and taken away"
FAULTS: list[tuple[str, str, list[Fault]]] = [
    ("nothing", "", [NO_SITE]),
    ("no site", "[tree]\n", [NO_SITE]),
    ("no sites", "site = []", [Fault("site", "must not be empty", 1)]),
    (
        "one bracket",
        '[site]\nurl = "x"',
        [Fault("site", "may stand several times: write [[site]] with two brackets", 1)],
    ),
    ("a site that is no table", "site = [5]", [Fault("site[0]", "must be a table, [[site]], not 5", 1)]),
    ("two brackets", SITE + "[[log]]", [Fault("log", "may stand only once: write [log] with one bracket", 3)]),
    ("a table that is a value", "tree = 5\n" + SITE, [Fault("tree", "must be a table, [tree], not 5", 1)]),
    ("no url", "\n[[site]]\n", [Fault("site[0].url", f"is missing: {HELP['site.url']}", 2)]),
    ("a url of another type", "[[site]]\nurl = 5", [Fault("site[0].url", "must be a text in quotes, not 5", 2)]),
    (
        "a url that is a path",
        '[[site]]\nurl = "/"',
        [Fault("site[0].url", "'/' is not an absolute http or https URL", 2)],
    ),
    (
        "a url with a query",
        '[[site]]\nurl = "https://a.example/?x"',
        [Fault("site[0].url", "'https://a.example/?x' has a query string; a page is a path alone", 2)],
    ),
    (
        "a page beside a url at fault is checked all the same",
        '[[site]]\nurl = "a"\npages = ["/ok", "/a//b", "/?p=1"]\nsitemaps = ["/s.xml", "https://a.example/s.xml"]',
        [
            Fault("site[0].url", "'a' is not an absolute http or https URL", 2),
            Fault("site[0].pages[1]", "path '/a//b' has an empty segment", 3),
            Fault("site[0].pages[2]", "'/?p=1' has a query string; a page is a path alone", 3),
        ],
    ),
    (
        "one site twice",
        SITE + '[[site]]\nurl = "http://a.example"\n',
        [Fault("site[1].url", "http://a.example/ is the same site as site[0]", 4)],
    ),
    (
        "a page of a nested site",
        SITE + 'pages = ["/", "/blog/x/"]\n[[site]]\nurl = "https://a.example/blog/"\n',
        [
            Fault(
                "site[0].pages[1]",
                "https://a.example/blog/x/ belongs to site[1], https://a.example/blog/; list it there",
                3,
            )
        ],
    ),
    (
        "a page of another site",
        SITE + 'pages = ["https://b.example/"]\n[[site]]\nurl = "https://b.example/"\n',
        [Fault("site[0].pages[0]", "https://b.example/ belongs to site[1], https://b.example/; list it there", 3)],
    ),
    (
        "pages of nested sites that a file system could not keep apart",
        SITE + 'pages = ["/Blog/x"]\n[[site]]\nurl = "https://a.example/blog/"\npages = ["/blog/x"]',
        [
            Fault(
                "site[1].pages[0]",
                "https://a.example/blog/x and https://a.example/Blog/x (site[0].pages[0]) "
                "differ in nothing but case or Unicode form",
                6,
            )
        ],
    ),
    (
        "state in the tree",
        SITE + '[tree]\npath = "/srv/t"\n[state]\npath = "/srv/x/../t/state"',
        [
            Fault(
                "state.path",
                "the state, /srv/t/state, is inside the tree, /srv/t: the web server would serve it",
                6,
            )
        ],
    ),
    (
        "state and tree in one place",
        SITE + '[state]\npath = "/var/cache/staticify/tree"',
        [
            Fault(
                "state.path",
                "the state, /var/cache/staticify/tree, is inside the tree, /var/cache/staticify/tree: "
                "the web server would serve it",
                4,
            )
        ],
    ),
    (
        "the default state in the tree",
        SITE + '[tree]\npath = "/var/lib/staticify"',
        [
            Fault(
                "tree.path",
                "the state, /var/lib/staticify/state, is inside the tree, /var/lib/staticify: "
                "the web server would serve it",
                4,
            )
        ],
    ),
    ("the root directory", SITE + '[tree]\npath = "/"', [Fault("tree.path", "must not be the root directory", 4)]),
    (
        "a directory of the system",
        SITE + '[tree]\npath = "/etc"',
        [Fault("tree.path", "/etc belongs to the system; name a directory such as /var/cache/staticify/tree", 4)],
    ),
    ("an empty path", SITE + '[tree]\npath = ""', [Fault("tree.path", "must not be empty", 4)]),
    ("a path of another type", SITE + "[tree]\npath = 5", [Fault("tree.path", "must be a text in quotes, not 5", 4)]),
    ("a NUL", SITE + '[state]\npath = "a\\u0000"', [Fault("state.path", '"a\\u0000" holds a control character', 4)]),
    (
        "a home directory",
        SITE + '[state]\npath = "~/state"',
        [Fault("state.path", '"~/state" begins with ~, which is not expanded here; write the whole path', 4)],
    ),
    ("a log format", SITE + '[log]\nformat = "xml"', [Fault("log.format", 'must be "text" or "json", not "xml"', 4)]),
    (
        "a log level",
        SITE + "[log]\nlevel = 5",
        [Fault("log.level", 'must be "debug", "info", "warning" or "error", not 5', 4)],
    ),
    (
        "listening where others are",
        SITE + '[webhook]\nlisten = "http://0.0.0.0:8082"',
        [
            Fault(
                "webhook.listen",
                '"http://0.0.0.0:8082" is not on loopback; write http://127.0.0.1:PORT or unix:/PATH',
                4,
            )
        ],
    ),
    (
        "listening on a name",
        SITE + '[webhook]\nlisten = "http://a.example:8082"',
        [
            Fault(
                "webhook.listen",
                '"http://a.example:8082" is not on loopback; write http://127.0.0.1:PORT or unix:/PATH',
                4,
            )
        ],
    ),
    (
        "listening with TLS",
        SITE + '[webhook]\nlisten = "https://127.0.0.1:8082"',
        [
            Fault(
                "webhook.listen",
                '"https://127.0.0.1:8082" would need a certificate; write http://127.0.0.1:PORT or unix:/PATH',
                4,
            )
        ],
    ),
    (
        "listening on a port without a host",
        SITE + '[webhook]\nlisten = "8082"',
        [Fault("webhook.listen", '"8082" does not begin with http:// or unix:/', 4)],
    ),
    (
        "listening on an address without a scheme",
        SITE + '[webhook]\nlisten = "0.0.0.0:8765"',
        [Fault("webhook.listen", '"0.0.0.0:8765" does not begin with http:// or unix:/', 4)],
    ),
    (
        "listening without a port",
        SITE + '[webhook]\nlisten = "http://[::1]"',
        [Fault("webhook.listen", '"http://[::1]" names no port; write one such as http://127.0.0.1:8765', 4)],
    ),
    (
        "listening on a path",
        SITE + '[webhook]\nlisten = "http://127.0.0.1:8082/webhook"',
        [
            Fault(
                "webhook.listen",
                '"http://127.0.0.1:8082/webhook" is more than an address; write "http://127.0.0.1:8082"',
                4,
            )
        ],
    ),
    (
        "listening on a number",
        SITE + "[webhook]\nlisten = 8082",
        [Fault("webhook.listen", "must be a text in quotes, not 8082", 4)],
    ),
    (
        "load balancers that are none",
        SITE + '[webhook]\nproxy_protocol_from = ["10.0.0.1/8", "a.example"]',
        [
            Fault(
                "webhook.proxy_protocol_from[0]",
                '"10.0.0.1/8" is no address or network, such as 10.0.0.0/8: 10.0.0.1/8 has host bits set',
                4,
            ),
            Fault(
                "webhook.proxy_protocol_from[1]",
                '"a.example" is no address or network, such as 10.0.0.0/8: '
                "'a.example' does not appear to be an IPv4 or IPv6 network",
                4,
            ),
        ],
    ),
    (
        "a share-out that everybody reaches",
        SITE + '[balancer]\nwordpress = "192.0.2.1:8090"',
        [
            Fault(
                "balancer.wordpress",
                '"192.0.2.1:8090" is not on loopback; write one such as 127.0.0.1:8090 or [::1]:8090',
                4,
            )
        ],
    ),
    (
        "a share-out without a port",
        SITE + '[balancer]\nwordpress = "127.0.0.1"',
        [
            Fault(
                "balancer.wordpress",
                '"127.0.0.1" is no IP address with a port, such as 192.0.2.1:80 or [2001:db8::1]:80',
                4,
            )
        ],
    ),
    (
        "secrets of the webhook",
        SITE + f'[webhook]\nsecrets = ["{SECRET}"]',
        [Fault("webhook.secrets", "there is no such key here; it belongs into [[site]]", 4)],
    ),
    ("an empty spool", SITE + '[spool]\npath = ""', [Fault("spool.path", "must not be empty", 4)]),
    ("a spool of another type", SITE + "[spool]\npath = []", [Fault("spool.path", TEXT + "a list", 4)]),
    (
        "a spool in the tree",
        SITE + '[tree]\npath = "/srv/t"\n[spool]\npath = "/srv/t/spool"',
        [
            Fault(
                "spool.path",
                "the spool, /srv/t/spool, is inside the tree, /srv/t: the web server would serve it",
                6,
            )
        ],
    ),
    (
        "a spool that holds the state",
        SITE + '[state]\npath = "/srv/s"\n[spool]\npath = "/srv/x/../s"',
        [Fault("spool.path", f"/srv/s holds the state: {TAKEN_AWAY}", 6)],
    ),
    (
        "a spool that holds the configuration",
        SITE + '[spool]\npath = "."',
        [Fault("spool.path", f"/etc/staticify holds the configuration: {TAKEN_AWAY}", 4)],
    ),
    (
        "a spool at fault beside a state in the tree",
        SITE + '[spool]\npath = 5\n[tree]\npath = "/srv/t"\n[state]\npath = "/srv/t"',
        [
            Fault("spool.path", TEXT + "5", 4),
            Fault("state.path", "the state, /srv/t, is inside the tree, /srv/t: the web server would serve it", 8),
        ],
    ),
    ("a table in plural", SITE + "[sites]", [Fault("sites", "there is no such key; did you mean site?", 3)]),
    (
        "a key above its table",
        'url = "x"\n' + SITE,
        [Fault("url", "there is no such key here; it belongs into [[site]]", 1)],
    ),
    (
        "a key of two tables above both",
        'path = "x"\n' + SITE,
        [Fault("path", "there is no such key here; it belongs into [tree] or [state] or [spool]", 1)],
    ),
    (
        "an unknown key of a table that is short",
        SITE + "[log]\nzzz.y = 1",
        [Fault("log.zzz", "there is no such key; there are format, level", 4)],
    ),
    (
        "text without quotes",
        "[log]\nlevel = debug",
        [Fault("", "not TOML: no valid value; a text needs quotes, a list its closing bracket, at column 9", 2)],
    ),
    (
        "number with a unit without quotes",
        "[[site]]\ninterval = 60s",
        [Fault("", "not TOML: the line goes on after its value; a text needs quotes, at column 14", 2)],
    ),
    (
        "a key twice",
        "a = 1\na = 2",
        [Fault("", "not TOML: the same key stands here a second time, at the end of the file", 2)],
    ),
    (
        "a list without an end",
        "a = [\n1,\n",
        [
            Fault(
                "",
                "not TOML: no valid value; a text needs quotes, a list its closing bracket, at the end of the file",
                2,
            )
        ],
    ),
    ("a table twice", "[a]\r\n[a]\r\n", [Fault("", "not TOML: Cannot declare ('a',) twice, at column 3", 2)]),
    (
        "brackets without end",
        "a = " + "[" * 5000,
        [Fault("", "not TOML that can be read: brackets are nested too deep")],
    ),
    (
        "digits without end",
        "a = " + "9" * 5000,
        [Fault("", "not TOML that can be read: a number has too many digits")],
    ),
    ("half a surrogate pair", "a = 1\n# \ud800", [Fault("", "half a surrogate pair is not UTF-8", 2)]),
]


@pytest.mark.parametrize(("text", "faults"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_faults(text: str, faults: list[Fault]) -> None:
    assert faults_of(text) == faults


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("http://127.0.0.1:8082", Origin("http", "127.0.0.1", 8082)),
        ("http://127.1.2.3:8082", Origin("http", "127.1.2.3", 8082)),
        ("http://[::1]:8082", Origin("http", "::1", 8082)),
        ("http://localhost:8082", Origin("http", "localhost", 8082)),
        ("unix:/run/staticify/webhook.sock", Origin("unix", socket_path="/run/staticify/webhook.sock")),
    ],
)
def test_the_webhook_listens_on_loopback_or_on_a_socket(listen: str, address: Origin) -> None:
    assert config.parse(f'{SITE}[webhook]\nlisten = "{listen}"', None, HERE).listen == address


# --- Secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "secrets"),
    [
        (f'"{SECRET}"', (SECRET,)),
        (f'["{SECRET}"]', (SECRET,)),
        # While one is replaced: the first one signs.
        (f'["{OTHER}", "{SECRET}"]', (OTHER, SECRET)),
        (f'["{OTHER}", "{SECRET}", "{OTHER}"]', (OTHER, SECRET)),
        ("[]", ()),
        (f'"whsec_{b64encode(b"x" * 24).decode()}"', (f"whsec_{b64encode(b'x' * 24).decode()}",)),
        (f'"whsec_{b64encode(b"x" * 64).decode()}"', (f"whsec_{b64encode(b'x' * 64).decode()}",)),
    ],
)
def test_secrets_are_one_text_or_a_list(written: str, secrets: tuple[str, ...]) -> None:
    (site,) = config.parse(f"{SITE}secrets = {written}", None, HERE).sites
    assert site.secrets == tuple(map(parse_secret, secrets))


NO_SECRET = "must be whsec_ and base64; this makes one: printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\""
NO_LIST = "must be a text in quotes, or a list of them in brackets"
SECRET_FAULTS = [
    ('"hunter2hunter2hunter2hunter2"', "secrets", NO_SECRET),
    (f'"{SECRET.removeprefix("whsec_")}"', "secrets", NO_SECRET),
    ('"whsec_hunter2!hunter2!hunter2!"', "secrets", NO_SECRET),
    ('"whsec_hunter2é"', "secrets", NO_SECRET),
    ('"whsec_"', "secrets", NO_SECRET),
    ('""', "secrets", NO_SECRET),
    ('"whsec_aHVudGVyMg=="', "secrets", "must hold 24 to 64 bytes, this one holds 7"),
    (f'"whsec_{b64encode(b"x" * 23).decode()}"', "secrets", "must hold 24 to 64 bytes, this one holds 23"),
    (f'"whsec_{b64encode(b"x" * 65).decode()}"', "secrets", "must hold 24 to 64 bytes, this one holds 65"),
    (f'["{SECRET}", "whsec_aHVudGVyMg=="]', "secrets[1]", "must hold 24 to 64 bytes, this one holds 7"),
    ("98765432109876543210", "secrets", NO_LIST),
    ("1234.56789", "secrets", NO_LIST),
    ("{whsec_aHVudGVyMg = 1}", "secrets", NO_LIST),
    ("[98765432109876543210]", "secrets[0]", "must be a text in quotes"),
    ('[["whsec_aHVudGVyMg=="]]', "secrets[0]", "must be a text in quotes"),
    ("[" + ", ".join(f'"whsec_{b64encode(bytes([i]) * 24).decode()}"' for i in range(9)) + "]",
     "secrets", "must have at most 8 entries"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "key", "message"), SECRET_FAULTS, ids=[row[0][:40] for row in SECRET_FAULTS])
def test_a_fault_of_a_secret_does_not_repeat_it(written: str, key: str, message: str) -> None:
    assert faults_of(f"{SITE}secrets = {written}") == [Fault(f"site[0].{key}", message, 3)]


@pytest.mark.parametrize(
    "line",
    [
        "secrets = whsec_aHVudGVyMg==",
        "whsec_aHVudGVyMg==",
        'secrets = "whsec_aHVudGVyMg==',
        'secrets = "\\q_aHVudGVyMg"',
    ],
)
def test_a_secret_in_a_line_that_is_no_toml_is_not_repeated(line: str) -> None:
    (fault,) = faults_of(SITE + line)
    assert fault.message.startswith("not TOML: ")
    assert "aHVudGVyMg" not in str(fault)


def test_nothing_that_is_printed_of_a_configuration_holds_a_secret() -> None:
    read = config.parse(f'{SITE}secrets = ["{SECRET}", "{OTHER}"]', None, HERE)
    (site,) = read.sites
    for said in (repr(read), str(read), repr(site), str(site), f"{dict(site)}", f"{site.secrets}"):
        assert "Secret(...), Secret(...)" in said
        for secret in (SECRET, OTHER):
            assert secret.removeprefix("whsec_") not in said
            assert repr(parse_secret(secret).content)[2:-1] not in said


def test_a_site_that_is_made_of_bad_values_does_not_repeat_them() -> None:
    with pytest.raises(ValueError, match="secrets") as caught:
        Site.model_validate({"url": "https://a.example", "secrets": ["whsec_aHVudGVyMg=="]})
    assert "aHVudGVyMg" not in str(caught.value)


def test_all_faults_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
colour = "red"

[tree]
path = "state"

[state]
path = "state/db"

[log]
format = "xml"

[[site]]
url = "https://a.example/blog/"
origin = "127.0.0.1"
interval = 60
pages = [
  "/blog/",
  "/shop/",
  "/blog/",
  "/Blog/X",
  "/blog/cart/",
  "/blog/\\u0000",
]
exclude = ["/blog/cart/*"]

[[site.group]]
pages = ["/blog/feed/"]

[[site]]
url = "https://a.example/blog"
concurrency = 1000
"""
    site = "https://a.example/blog/"
    assert faults_of(text) == [
        Fault("colour", f"there is no such key; there are {TOP_KEYS}", 1),
        Fault(
            "state.path",
            "the state, /etc/staticify/state/db, is inside the tree, /etc/staticify/state: "
            "the web server would serve it",
            7,
        ),
        Fault("log.format", 'must be "text" or "json", not "xml"', 10),
        Fault("site[0].origin", '"127.0.0.1" does not begin with http://, https:// or unix:/', 14),
        Fault("site[0].interval", '60 has no unit; write "60s" if seconds are meant', 15),
        Fault("site[0].pages[1]", f"https://a.example/shop/ is outside the site {site}", 18),
        Fault("site[0].pages[3]", f"https://a.example/Blog/X is outside the site {site}", 20),
        Fault("site[0].pages[4]", f'{site}cart/ matches exclude[0], "/blog/cart/*"', 21),
        Fault(
            "site[0].pages[5]",
            "'https://a.example/blog/\\x00' holds white space or a control character",
            22,
        ),
        Fault("site[0].group[0].interval", f"is missing: {HELP['site.group.interval']}", 26),
        Fault("site[1].url", f"{site} is the same site as site[0]", 30),
        Fault("site[1].concurrency", "must be 1 to 256, not 1000", 31),
    ]


def test_a_state_that_a_symbolic_link_puts_into_the_tree_is_found(tmp_path: Path) -> None:
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "state").symlink_to("tree/inner")

    text = SITE + '[tree]\npath = "tree"\n[state]\npath = "state"\n'
    tree = (tmp_path / "tree").resolve()
    assert faults_of(text, tmp_path) == [
        Fault("state.path", f"the state, {tree}/inner, is inside the tree, {tree}: the web server would serve it", 6)
    ]


def test_no_fault_speaks_of_pydantic_or_python() -> None:
    messages = " ".join(fault.message for text, *_ in SITE_FAULTS for fault in faults_of(SITE + text))
    for word in ("pydantic", "Input should", "Value error", "tuple", "dict", "None", "NoneType", "int ", "str "):
        assert word not in messages


_keys = st.sampled_from([setting.name for setting in config.describe()] + ["site", "group", "tree", "x"])
_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        [
            "/",
            "/a/../b",
            "https://a.example/",
            "https://a.example/x?y",
            "https://1.2.3/",
            "https://a:0/",
            "60s",
            "1B",
            "*",
            "a[",
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


def _written(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{key} = {_written(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_written, value)) + "]"
        case str():
            return '"' + "".join(f"\\U{ord(character):08X}" for character in value) + '"'
        case bool():
            return str(value).lower()
        case None:
            return "1979-05-27T07:32:00"
        case _:
            return str(value)


@settings(deadline=None)
@given(st.text() | st.text(alphabet="[]{}=.,\"'#\n\\ site.urlpages0/", max_size=60))
def test_any_text_is_a_configuration_or_a_config_error(text: str) -> None:
    try:
        config.parse(text, None, HERE)
    except ConfigError as error:
        assert error.faults  # noqa: PT017  a text that is a configuration is as good


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(_keys, _values, max_size=3), st.lists(st.dictionaries(_keys, _values, max_size=6), max_size=2))
def test_any_toml_is_a_configuration_or_faults_with_lines(top: dict[str, Any], sites: list[dict[str, Any]]) -> None:
    top = {key: value for key, value in top.items() if key != "site"}
    tables = [top, *sites]
    text = "\n[[site]]\n".join(
        "\n".join(f"{key} = {_written(value)}" for key, value in table.items()) for table in tables
    )
    try:
        config.parse(text, None, HERE)
    except ConfigError as error:
        assert [fault for fault in error.faults if fault.line is None and fault != NO_SITE] == []  # noqa: PT017


# --- Files -----------------------------------------------------------------------------------------------------------


def test_a_file_is_read_and_its_directory_is_the_base_of_its_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SITE.encode() + b'[tree]\r\npath = "out/tree"\r\n')

    read = config.load(path)
    assert (read.source, read.tree_path) == (path, tmp_path / "out" / "tree")


def test_paths_of_a_relative_file_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(SITE + '[tree]\npath = "tree"')
    assert config.load(Path("a.toml")).tree_path == tmp_path / "tree"


def test_wp_content_and_spool_are_relative_to_the_file_as_the_tree_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "a.toml"
    path.write_text(f'{SITE}wp_content = "../www/wp-content"\n[spool]\npath = "spool"\n')
    monkeypatch.chdir(tmp_path)

    for read in (config.load(path), config.load(Path("etc/a.toml"))):
        (site,) = read.sites
        assert (site.wp_content, read.spool_path) == (f"{tmp_path}/etc/../www/wp-content", tmp_path / "etc" / "spool")
    path.write_text(f'{SITE}wp_content = "/srv/wp-content"\n[spool]\npath = "/srv/spool"\n')
    read = config.load(path)
    assert (read.sites[0].wp_content, read.spool_path) == ("/srv/wp-content", Path("/srv/spool"))


def load_error(path: Path) -> tuple[str, list[Fault], str]:
    """What `load` says of a file."""
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    return caught.value.source, caught.value.faults, caught.value.hint


@pytest.mark.parametrize("name", ["none.toml", "file/none.toml"])
def test_a_missing_file_names_the_way_to_get_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / name
    assert load_error(path) == (str(path), [Fault("", "there is no such file")], "Write one with `staticify init URL`")


UNREADABLE_HINT = "The user that runs staticify must be able to read it"


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    fault = Fault("", "the file cannot be read: Is a directory")
    assert load_error(tmp_path) == (str(tmp_path), [fault], "")


def test_a_name_that_no_file_can_have() -> None:
    path = Path("a\0b")
    assert load_error(path) == (str(path), [Fault("", "the file cannot be read: embedded null byte")], "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(SITE)
    path.chmod(0)
    fault = Fault("", "the file cannot be read: Permission denied")
    assert load_error(path) == (str(path), [fault], UNREADABLE_HINT)


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(SITE.encode() + b"# caf\xe9\n")
    assert load_error(path) == (str(path), [Fault("", "byte 0xe9 is not UTF-8", 3)], "")


def test_a_file_without_bounds(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    with path.open("wb") as file:
        file.truncate(config.MAX_FILE_BYTES + 1)
    assert load_error(path) == (str(path), [Fault("", "the file is over 16MiB")], "")


def test_faults_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("x = 1")
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert str(caught.value) == (
        f"{path}: 2 faults\n  {NO_SITE}\n  line 1: x: there is no such key; there are {TOP_KEYS}"
    )


def test_the_file_that_was_named_is_read_even_if_it_is_not_there() -> None:
    assert config.find(Path("/none/x.toml")) == Path("/none/x.toml")


def test_the_first_default_path_that_is_there_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = (Path("staticify.toml"), tmp_path / "etc" / "staticify.toml")
    assert (Path("staticify.toml"), Path("/etc/staticify/staticify.toml")) == config.DEFAULT_PATHS
    monkeypatch.setattr(config, "DEFAULT_PATHS", paths)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        config.find(None)
    assert str(caught.value) == (
        f"configuration: 1 fault\n  neither staticify.toml nor {paths[1]} is there. "
        "Write one with `staticify init URL`, or name one with --config"
    )
    paths[1].parent.mkdir()
    paths[1].touch()
    assert config.find(None) == paths[1]
    paths[0].touch()
    assert config.find(None) == paths[0]


# --- Documentation ---------------------------------------------------------------------------------------------------


def test_every_key_is_described() -> None:
    described = [
        (setting.table, setting.key, setting.form, setting.default, setting.is_required)
        for setting in config.describe()
    ]
    assert described == [
        ("[tree]", "tree.path", "path", '"/var/cache/staticify/tree"', False),
        ("[tree]", "tree.links", 'text, "never" or "own" or "mount"', '"never"', False),
        ("[state]", "state.path", "path", '"/var/lib/staticify/state"', False),
        ("[log]", "log.format", 'text, "text" or "json"', '"text"', False),
        ("[log]", "log.level", 'text, "debug" or "info" or "warning" or "error"', '"info"', False),
        ("[webhook]", "webhook.listen", "address", "", False),
        ("[webhook]", "webhook.proxy_protocol_from", "address, network or list of them", "[]", False),
        ("[spool]", "spool.path", "path", "", False),
        ("[front]", "front.listen", "address:port or list of them", "[]", False),
        ("[front]", "front.certificate", "path", "", False),
        ("[front]", "front.certificate_key", "path", "", False),
        ("[front]", "front.redirect", "address:port or list of them", '["0.0.0.0:80", "[::]:80"]', False),
        ("[front]", "front.hsts", "value of a header field", '""', False),
        ("[front]", "front.proxy_protocol_from", "address, network or list of them", "[]", False),
        ("[front]", "front.edges", "address:port or list of them", "[]", False),
        ("[front]", "front.cache_control", "value of a header field", '"max-age=0, must-revalidate"', False),
        ("[front]", "front.cdn_cache_control", "value of a header field", '""', False),
        ("[front]", "front.served_by", "name", "", False),
        ("[front]", "front.tracking", "list of names", "[]", False),
        ("[front]", "front.query_variables", "list of names", "[]", False),
        ("[front]", "front.bypass_cookies", "list of names", "[]", False),
        ("[front]", "front.not_found", "true or false", "false", False),
        ("[front]", "front.timeout", 'duration, "1s" to "1h"', '"30s"', False),
        ("[balancer]", "balancer.listen", "address:port or list of them", "[]", False),
        ("[balancer]", "balancer.redirect", "address:port or list of them", '["0.0.0.0:80", "[::]:80"]', False),
        ("[balancer]", "balancer.certificates", "path", '"/etc/haproxy/certs"', False),
        ("[balancer]", "balancer.wordpress", "address:port", "", False),
        ("[[site]]", "site.url", "URL", "", True),
        ("[[site]]", "site.origin", "address or list of addresses", "", False),
        ("[[site]]", "site.interval", 'duration, "1s" to "24h"', '"60s"', False),
        ("[[site]]", "site.concurrency", "number, 1 to 256", "4", False),
        ("[[site]]", "site.pages", "list of URLs or paths", "[]", False),
        ("[[site]]", "site.sitemaps", "list of URLs or paths", "[]", False),
        ("[[site]]", "site.exclude", "list of patterns", "[]", False),
        ("[[site]]", "site.max_pages", "number, 1 to 1000000", "2000", False),
        ("[[site]]", "site.max_bytes", 'size, "1KiB" to "1GiB"', '"8MiB"', False),
        ("[[site]]", "site.deadline", 'duration, "100ms" to "10m"', '"20s"', False),
        ("[[site]]", "site.require_html_end", "true or false", "true", False),
        ("[[site]]", "site.require", "list of CSS selectors and text:WORDS", "[]", False),
        ("[[site]]", "site.forbid", "list of CSS selectors and text:WORDS", "[]", False),
        ("[[site]]", "site.strip", "list of CSS selectors", "[]", False),
        ("[[site]]", "site.ignore", "list of regular expressions", "[]", False),
        ("[[site]]", "site.allow_cookies", "list of names", "[]", False),
        ("[[site]]", "site.secrets", "secret or list of secrets", "[]", False),
        ("[[site]]", "site.sweep", 'duration, "60s" to "168h"', '"1h"', False),
        ("[[site]]", "site.wp_content", "path", "", False),
        ("[[site.group]]", "site.group.pages", "list of patterns", "", True),
        ("[[site.group]]", "site.group.interval", 'duration, "1s" to "24h"', "", True),
        ("[[site.group]]", "site.group.require", "list of CSS selectors and text:WORDS", "[]", False),
        ("[[site.group]]", "site.group.forbid", "list of CSS selectors and text:WORDS", "[]", False),
        ("[[site.backend]]", "site.backend.address", "address", "", True),
        ("[[site.backend]]", "site.backend.name", "name", "", False),
        ("[[site.backend]]", "site.backend.weight", "number, 0 to 100", "1", False),
    ]
    assert [setting.key for setting in config.describe() if not setting.help.endswith(".")] == []


def test_a_file_of_all_described_defaults_is_the_least_file() -> None:
    lines: list[str] = []
    for setting in config.describe():
        if not setting.key.startswith(("site.group.", "site.backend.")):
            header = setting.table if f"\n{setting.table}" not in "\n" + "\n".join(lines) else ""
            value = '"https://a.example/"' if setting.key == "site.url" else setting.default
            lines += [header, f"{setting.name} = {value}" if value else ""]

    assert config.parse("\n".join(lines), None, HERE) == config.parse(SITE, None, HERE)


def test_a_site_can_be_made_of_values() -> None:
    made = Site.model_validate({"url": "https://a.example", "pages": ["/"]})
    assert (made.base, made.pages) == (Page("https", "a.example", "/"), (Page("https", "a.example", "/"),))


@pytest.mark.parametrize(
    "line",
    [
        'url = "https://wp:hunter2-secret@example.org/"',
        'origin = "http://wp:hunter2-secret@127.0.0.1:8080"',
        'pages = ["https://wp:hunter2-secret@example.org/x/"]',
        'sitemaps = ["https://wp:hunter2-secret@example.org/sitemap.xml"]',
        '[[site.backend]]\naddress = "http://wp:hunter2-secret@10.0.0.1"',
        '[webhook]\nlisten = "wp:hunter2-secret@127.0.0.1:8765"',
        '[front]\nlisten = "wp:hunter2-secret@127.0.0.1:80"',
    ],
)
def test_no_fault_repeats_a_password(line: str) -> None:
    url = "" if line.startswith("url") else 'url = "https://example.org/"\n'
    with pytest.raises(ConfigError) as caught:
        config.parse(f"[[site]]\n{url}{line}\n", None, Path("/etc"))
    assert "hunter2" not in str(caught.value)
    assert len(caught.value.faults) == 1
