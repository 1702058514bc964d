"""What status and header fields allow: every verdict with its reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from staticify.gate import charset_of, decide_head, decide_kind, kind_of
from staticify.nouns import Answer, Kind, Outcome, Verdict
from staticify.rules import GateRules
from staticify.urls import parse_page

SITE = parse_page("https://a.example/")
PAGE = parse_page("https://a.example/about/")
RULES = GateRules(SITE, 1_000_000, allow_cookies=("theme_*", "country"))
OK = Verdict("ok", Outcome.PUBLISHED, "status and header fields allow it")
HTML = ("content-type", "text/html; charset=UTF-8")


def answer(*headers: tuple[str, str], status: int = 200) -> Answer:
    return Answer(status, headers, b"", origin="http://127.0.0.1:8080")


def decide(*headers: tuple[str, str], status: int = 200) -> Verdict:
    return decide_head(answer(*headers, status=status), PAGE, RULES)


def kept(name: str, reason: str) -> Verdict:
    return Verdict(name, Outcome.KEPT, reason)


def gone(name: str, reason: str) -> Verdict:
    return Verdict(name, Outcome.GONE, reason)


def refused(name: str, reason: str) -> Verdict:
    return Verdict(name, Outcome.REFUSED, reason)


# --- Content-Type ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("text/html", Kind.HTML),
        ("TEXT/HTML;charset=utf-8", Kind.HTML),
        ("application/xhtml+xml", Kind.HTML),
        ("application/rss+xml; charset=UTF-8", Kind.RSS),
        ("application/atom+xml", Kind.ATOM),
        ("application/xml; charset=UTF-8", Kind.XML),
        ("text/xml", Kind.XML),
        ("application/json", Kind.JSON),
        ("application/feed+json", Kind.JSON),
        ("text/plain; charset=utf-8", Kind.TEXT),
        ("image/png", None),
        ("application/octet-stream", None),
        ("text/html, text/html", None),
        ("", None),
    ],
)
def test_the_kind_is_what_the_content_type_says(content_type: str, kind: Kind | None) -> None:
    assert kind_of(answer(("content-type", content_type))) is kind


@pytest.mark.parametrize(("headers", "found"), [([("content-type", "image/png")], "'image/png'"), ([], "'none'")])
def test_what_has_no_place_in_the_tree(headers: list[tuple[str, str]], found: str) -> None:
    expected = refused("content-type", f"Content-Type is {found}, which has no place in the tree")
    assert decide(*headers) == expected


@pytest.mark.parametrize(
    ("path", "is_refused"),
    [
        ("/robots.txt", True),
        ("/wp-sitemap.xml", True),
        ("/Data.JSON", True),
        ("/wp-sitemap-posts-post-1.xml", True),
        ("/robots.txt/", False),
        ("/about-robots-txt/", False),
        ("/feed/", False),
        ("/", False),
    ],
)
def test_html_is_no_answer_for_a_file_of_data(path: str, *, is_refused: bool) -> None:
    name = path.rpartition("/")[2]
    expected = refused("content-type", f"HTML is no answer for {name!r}") if is_refused else OK
    assert decide_head(answer(HTML), SITE.with_path(path), RULES) == expected
    assert decide_head(answer(("content-type", "text/plain")), SITE.with_path(path), RULES) == OK


@pytest.mark.parametrize(
    ("standing", "sent", "is_other"),
    [
        (Kind.RSS, Kind.HTML, True),
        (Kind.HTML, Kind.JSON, True),
        (Kind.HTML, Kind.HTML, False),
        (Kind.XML, Kind.RSS, False),
    ],
)
def test_a_page_that_is_html_and_was_data_or_the_other_way_round(standing: Kind, sent: Kind, *, is_other: bool) -> None:
    expected = refused("kind-changed", f"the tree has this page as {standing}, WordPress sends {sent}")
    assert decide_kind(sent, standing) == (expected if is_other else None)


def test_a_content_type_that_is_repeated_says_nothing_new() -> None:
    assert decide(HTML, HTML) == OK
    assert charset_of(answer(HTML, HTML)) == "utf-8"
    assert decide(HTML, ("content-type", "text/html; charset=latin1")).name == "charset"
    assert decide(("content-type", "image/png"), HTML).name == "content-type"


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/html", ""),
        ("text/html; charset=UTF-8", "utf-8"),
        ('text/html; charset="utf-8"', "utf-8"),
        ("text/html;Charset = utf8", "utf8"),
        ("text/html; boundary=x; charset=us-ascii", "us-ascii"),
    ],
)
def test_charsets_that_are_utf_8(content_type: str, charset: str) -> None:
    assert charset_of(answer(("content-type", content_type))) == charset
    assert decide(("content-type", content_type)) == OK


@pytest.mark.parametrize("charset", ["iso-8859-1", "Windows-1252", "utf-16", "'latin1'"])
def test_other_charsets_are_refused(charset: str) -> None:
    name = charset.strip("'").lower()
    assert decide(("content-type", f"text/html; charset={charset}")) == refused(
        "charset", f"the answer is in '{name}'; the front end says UTF-8 of every page"
    )


# --- Status ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><head><title>Database\n Error</title></head>", ": 'Database Error'"),
        (b"<html><TITLE lang=de>Fehler &amp; \xff\x1b[31m</TITLE>", ": 'Fehler & \ufffd\\x1b[31m'"),
        (b"<title>" + b"x" * 301 + b"</title>", ""),
        (b"<title></title>", ""),
        (b" " * 4096 + b"<title>Late</title>", ""),
    ],
)
def test_the_title_of_an_error_says_whose_it_is(body: bytes, said: str) -> None:
    assert decide_head(Answer(500, (), body), PAGE, RULES) == kept("status", f"WordPress answers 500{said}")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, gone("gone", "WordPress answers 404")),
        (410, gone("gone", "WordPress answers 410")),
        (401, gone("not-public", "WordPress answers 401: not for everybody any more")),
        (403, gone("blocked", "WordPress answers 403: not for everybody any more")),
        (500, kept("status", "WordPress answers 500")),
        (502, kept("status", "WordPress answers 502")),
        (503, kept("status", "WordPress answers 503")),
        (429, kept("status", "WordPress answers 429")),
        (204, kept("status", "WordPress answers 204")),
        (206, kept("status", "WordPress answers 206")),
        (304, kept("status", "WordPress answers 304")),
    ],
)
def test_a_status_that_is_not_200(status: int, expected: Verdict) -> None:
    assert decide(HTML, status=status) == expected


def test_maintenance_says_when_to_come_back() -> None:
    assert decide(HTML, ("retry-after", "600"), status=503) == kept(
        "maintenance", "WordPress answers 503, Retry-After: 600"
    )


# --- Redirects -------------------------------------------------------------------------------------------------------

A = "https://a.example/"


def for_now(where: str, name: str = "redirect") -> Callable[[int], Verdict]:
    """What is said of a redirect that may pass, whatever its status."""
    return lambda status: kept(name, f"redirects ({status}) for now to {where}")


LOGIN = gone("not-public", "redirects to the login: not for everybody any more")


@pytest.mark.parametrize(
    ("status", "location", "expected"),
    [
        (301, "https://a.example/new/", gone("moved", "moved (301) to https://a.example/new/: list that instead")),
        (308, "/new/", gone("moved", "moved (308) to https://a.example/new/: list that instead")),
        (301, "../new/#top", gone("moved", "moved (301) to https://a.example/new/: list that instead")),
        (301, "/about", gone("moved", "moved (301) to https://a.example/about: list that instead")),
        (302, "/new/", for_now("https://a.example/new/")),
        (303, "/new/", for_now("https://a.example/new/")),
        (307, "/new/", for_now("https://a.example/new/")),
        (301, "https://b.example/about/", gone("moved", "moved (301) to another site: https://b.example/about/")),
        (308, "//www.a.example/about/", gone("moved", "moved (308) to another site: https://www.a.example/about/")),
        (302, "https://b.example/about/", for_now("another site: https://b.example/about/", "redirect-outside")),
        (
            301,
            "https://a.example/about/",
            kept(
                "redirect-loop",
                "redirects (301) to itself: WordPress does not see the public address; "
                "it must believe X-Forwarded-Proto (HTTPS) and Host",
            ),
        ),
        (
            302,
            "https://A.example:443/about/#x",
            kept(
                "redirect-loop",
                "redirects (302) to itself: WordPress does not see the public address; "
                "it must believe X-Forwarded-Proto (HTTPS) and Host",
            ),
        ),
        (
            301,
            "http://a.example/about/",
            kept(
                "redirect-scheme",
                "redirects (301) to http: set `url` to http:// or let WordPress believe X-Forwarded-Proto",
            ),
        ),
        (
            302,
            "https://a.example/wp-login.php?redirect_to=x",
            gone("not-public", "redirects to the login: not for everybody any more"),
        ),
        (302, "/wp-login.php", gone("not-public", "redirects to the login: not for everybody any more")),
        (302, "/login/?redirect_to=%2Fabout%2F", LOGIN),
        (303, "https://a.example/my-account/?x=1&redirect_to", LOGIN),
        (307, "https://id.example/Sign-In?redirect=/about/", LOGIN),
        (302, "/mein-konto/?redirect_to=/about/", LOGIN),
        (302, "/login/?from=/about/", LOGIN),
        (302, "/login/", LOGIN),
        (301, "/members/log-in", LOGIN),
        (302, "/my-account/", LOGIN),
        (302, "/wp-admin/", LOGIN),
        (302, "/membership-login/?redirect_to=x", LOGIN),
        (302, "/client-login/", LOGIN),
        (302, "/login-2/?redirect_to=x", LOGIN),
        (302, "/anmelden-registrieren/?redirect=x", LOGIN),
        (302, "/kundenkonto/?return_to=x", LOGIN),
        (302, "/login.aspx?ReturnUrl=x", LOGIN),
        (302, "/help/sign-in/", for_now(f"{A}help/sign-in/")),
        (302, "/blog/connexion/fibre/", for_now(f"{A}blog/connexion/fibre/")),
        (302, "/shop/?next=login", for_now(f"'{A}shop/?next=login', which is no page")),
        (302, "/?password-protected=login&redirect_to=https%3A%2F%2Fa.example%2Fabout%2F", LOGIN),
        (302, "https://login.example/common/oauth2/authorize?client_id=1&redirect_uri=https://a.example/", LOGIN),
        (302, "https://id.example/saml?SAMLRequest=x&RelayState=y", LOGIN),
        (302, "https://team.access.example/cdn-cgi/access/login/a.example?kid=1&redirect_url=%2F", LOGIN),
        (302, "/accounts/?return_to=/about/", LOGIN),
        (
            302,
            "/accounting/2026/?redirect=1",
            for_now(f"'{A}accounting/2026/?redirect=1', which is no page"),
        ),
        (
            302,
            "/how-to-log-in-to-your-router/",
            for_now(f"{A}how-to-log-in-to-your-router/"),
        ),
        (302, "/wp-admin/install.php", for_now(f"{A}wp-admin/install.php")),
        (
            302,
            "/wait/?redirect=/about/",
            for_now(f"'{A}wait/?redirect=/about/', which is no page"),
        ),
        (301, "/?page_id=2", gone("moved", f"moved (301) to '{A}?page_id=2', which is no page")),
        (308, "/about/?lang=en#x", gone("moved", f"moved (308) to '{A}about/?lang=en#x', which is no page")),
        (302, "/about/?try=2", for_now(f"'{A}about/?try=2', which is no page")),
        (301, "https://b.example/?p=1", gone("moved", "moved (301) to another site: https://b.example/?p=1")),
        (307, "https://b.example/?p=1", for_now("another site: https://b.example/?p=1", "redirect-outside")),
        (
            301,
            "http://a.example/about/?x",
            kept(
                "redirect-scheme",
                "redirects (301) to http: set `url` to http:// or let WordPress believe X-Forwarded-Proto",
            ),
        ),
        (301, "", kept("redirect", "redirects (301) without saying where to")),
        (302, "/?p=1", for_now("'https://a.example/?p=1', which is no page")),
        (301, "http://[::1", kept("redirect", "redirects (301) to 'http://[::1', which is no page")),
        (301, "javascript:x", kept("redirect", "redirects (301) to 'javascript:x', which is no page")),
        (301, "https://a.example:x/", kept("redirect", "redirects (301) to 'https://a.example:x/', which is no page")),
        (301, "/a\x07b", kept("redirect", "redirects (301) to 'https://a.example/a\\x07b', which is no page")),
    ],
)
def test_a_redirect(status: int, location: str, expected: Verdict | Callable[[int], Verdict]) -> None:
    wanted = expected if isinstance(expected, Verdict) else expected(status)
    assert decide(HTML, ("location", location), status=status) == wanted


def test_a_redirect_without_a_location() -> None:
    assert decide(HTML, status=301) == kept("redirect", "redirects (301) without saying where to")


def test_a_redirect_outside_the_sites_own_path() -> None:
    rules = GateRules(parse_page("https://a.example/blog/"), 1_000_000)
    verdict = decide_head(answer(("location", "/shop/"), status=301), parse_page("https://a.example/blog/x/"), rules)
    assert verdict == gone("moved", "moved (301) to another site: https://a.example/shop/")


@given(st.text(max_size=30) | st.text(alphabet="htps:/[]@#?.%a", max_size=30))
def test_any_location_gives_a_verdict(location: str) -> None:
    verdict = decide(("location", location), status=302)
    assert not verdict.is_publishable
    assert verdict.reason


# --- Who it is for ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["", "public", "max-age=60, public", "no-cache", "must-revalidate", "s-maxage=0", 'x="no-storefront"', "privateer"],
)
def test_cache_control_that_lets_a_page_out(value: str) -> None:
    assert decide(HTML, ("cache-control", value)) == OK


@pytest.mark.parametrize(
    ("values", "directive"),
    [
        (["private"], "private"),
        (["Private, max-age=0"], "private"),
        (['private="x"'], "private"),
        (['max-age=60,private="set-cookie, x-y"'], "private"),
        ([" private = x"], "private"),
        (["max-age=3600", "private"], "private"),
        (["no-store"], "no-store"),
        (["no-cache,NO-STORE,must-revalidate"], "no-store"),
        (["no-cache, must-revalidate, max-age=0, no-store, private"], "private"),
    ],
)
def test_cache_control_that_keeps_a_page_in(values: list[str], directive: str) -> None:
    assert decide(HTML, *(("cache-control", value) for value in values)) == refused(
        directive, f"Cache-Control: {directive}: WordPress says that the page is not for everybody"
    )


@pytest.mark.parametrize(
    "headers",
    [
        [("expires", "Wed, 11 Jan 1984 05:00:00 GMT")],
        [("expires", " Wed, 11 Jan 1984 05:00:00 GMT ")],
        [("expires", "Wed, 11 Jan 1984 05:00:00 GMT"), ("expires", "0")],
    ],
)
def test_nocache_headers_before_wordpress_6_3(headers: list[tuple[str, str]]) -> None:
    assert decide(HTML, *headers) == refused(
        "nocache", "Expires is in 1984: WordPress called nocache_headers() for this page"
    )


@pytest.mark.parametrize("value", ["0", "-1", "Thu, 01 Jan 1970 00:00:00 GMT", "Wed, 11 Jan 2034 05:00:00 GMT"])
def test_another_expires_says_nothing(value: str) -> None:
    assert decide(HTML, ("expires", value)) == OK


@pytest.mark.parametrize("values", [["*"], ["Accept-Encoding, *"], ["Cookie", " *"]])
def test_vary_star(values: list[str]) -> None:
    assert decide(HTML, *(("vary", value) for value in values)) == refused(
        "vary", "Vary: *: no two visitors get the same page (RFC 9111 section 4.1)"
    )


def test_vary_by_name_is_no_obstacle() -> None:
    assert decide(HTML, ("vary", "Accept-Encoding, Cookie")) == OK


@pytest.mark.parametrize(
    "line",
    [
        # Harmless by name.
        "AWSALB=abc; Path=/",
        "AWSALBCORS=abc; SameSite=None",
        "__cf_bm=x; HttpOnly",
        "cf_clearance=x",
        "pll_language=en; Expires=Wed, 23 Nov 2033 10:00:00 GMT",
        "wordpress_test_cookie=WP%20Cookie%20check",
        # Allowed by the operator.
        "theme_mode=dark",
        "country=GB",
        # Taken away.
        "PHPSESSID=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0; path=/",
        "PHPSESSID=; expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "x=; max-age=0",
        "x=1; MAX-AGE=-5",
        "x=1; Max-Age=3600; Max-Age=0",
        'x={"a":1}; Max-Age=0',
        "wordpress_logged_in_1=%20; expires=Tue, 23-Nov-2032 10:00:00 GMT; Max-Age=0; path=/",
    ],
)
def test_a_harmless_cookie(line: str) -> None:
    assert decide(HTML, ("set-cookie", line)) == OK


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("PHPSESSID=abc; path=/", "PHPSESSID"),
        ("woocommerce_items_in_cart=1", "woocommerce_items_in_cart"),
        ("x=1; Max-Age=3600; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "x"),
        ("x=1; Max-Age=0; Max-Age=3600", "x"),
        ("x=1; Max-Age=soon", "x"),
        ("x=1; Expires=never", "x"),
        ("x=1; Expires=", "x"),
        ("x=Max-Age=0", "x"),
        ("x=1; Expires=Wed, 23 Nov 2033 10:00:00 GMT", "x"),
        ("countryside=GB", "countryside"),
        ("awsalb=x", "awsalb"),
        ("nonsense", "nonsense"),
        ("", ""),
        ("=x", ""),
    ],
)
def test_a_personal_cookie(line: str, name: str) -> None:
    assert decide(HTML, ("set-cookie", line)) == refused(
        "set-cookie", f"sets cookie {name!r}; if it says nothing personal, name it in allow_cookies"
    )


@pytest.mark.parametrize(
    "name",
    ["wordpress_logged_in_1", "wordpress_sec_1", "wp-postpass_1", "wp-settings-time-1", "comment_author_email_1"],
)
def test_nobody_is_told_to_allow_a_cookie_of_somebody_who_is_known(name: str) -> None:
    assert decide(HTML, ("set-cookie", f"{name}=Bob; Max-Age=30000000")) == refused(
        "set-cookie", f"sets cookie {name!r}, by which WordPress knows a visitor"
    )


def test_a_number_of_thousands_of_digits_gives_a_verdict() -> None:
    """int() raises ValueError for it."""
    assert decide(HTML, ("set-cookie", f"x=1; Max-Age={'9' * 5000}")).name == "set-cookie"
    assert decide(HTML, ("set-cookie", f"x=1; Max-Age=-{'9' * 5000}")) == OK
    assert decide(HTML, ("set-cookie", f"x=1; Max-Age={'0' * 5000}")) == OK


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((("content-type", "x" * 60_000),), 200),
        ((("content-type", f"text/html; charset={'x' * 60_000}"),), 200),
        ((HTML, ("set-cookie", "x" * 60_000)), 200),
        ((HTML, ("set-cookie", f"x=1; expires={'1 ' * 30_000}")), 200),
        ((("location", f"https://b.example/{'x' * 60_000}"),), 302),
        ((("location", f"/?{'x' * 60_000}"),), 302),
        ((("retry-after", "9" * 60_000),), 503),
    ],
)
def test_a_long_field_does_not_make_a_long_reason(headers: tuple[tuple[str, str], ...], status: int) -> None:
    verdict = decide(*headers, status=status)
    assert not verdict.is_publishable
    assert len(verdict.reason) < 500


def test_every_cookie_is_looked_at() -> None:
    verdict = decide(HTML, ("set-cookie", "country=GB"), ("set-cookie", "cart=1"))
    assert verdict.name == "set-cookie"
    assert "'cart'" in verdict.reason


@given(st.text(max_size=40) | st.text(alphabet="aexpirsmg-=; 0189,:JanGMT", max_size=40))
def test_any_cookie_gives_a_verdict(line: str) -> None:
    assert decide(HTML, ("set-cookie", line)).name in {"ok", "set-cookie"}


@pytest.mark.parametrize("value", ["staticify; hit", "nginx; hit, Staticify;fwd=miss", "staticify"])
@pytest.mark.parametrize("status", [200, 404])
def test_our_own_front_end_is_no_origin(value: str, status: int) -> None:
    assert decide(HTML, ("cache-status", value), status=status) == refused(
        "origin-is-front",
        "origin http://127.0.0.1:8080 leads back to our own front end; set `origin` to WordPress's own address",
    )


def test_another_caches_mark_is_none_of_ours() -> None:
    assert decide(HTML, ("cache-status", "varnish; hit")) == OK
