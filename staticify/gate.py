"""May this answer be published? What its status and header fields say; `content` says the rest.

This half is asked about every answer, the other one only when the bytes are not those of the last good page. Every
refusal has a name to count by and a reason to read. Doubt means: not published.
"""

from __future__ import annotations

import re
from email.utils import parsedate_tz
from html import unescape
from urllib.parse import parse_qsl, urljoin, urlsplit

from staticify.brief import brief
from staticify.errors import UrlError
from staticify.nouns import Answer, Kind, Outcome, Record, Verdict
from staticify.rules import GateRules
from staticify.urls import Page, is_inside, parse_page

KIND_OF_CONTENT_TYPE = {
    "text/html": Kind.HTML,
    "application/xhtml+xml": Kind.HTML,
    "application/rss+xml": Kind.RSS,
    "application/atom+xml": Kind.ATOM,
    "application/xml": Kind.XML,
    "text/xml": Kind.XML,
    "application/json": Kind.JSON,
    "application/feed+json": Kind.JSON,
    "text/plain": Kind.TEXT,
}

# Cookies that say nothing about the visitor: the load balancer's, the language of the page, WordPress's own probe.
HARMLESS_COOKIES = (
    "AWSALB*",
    "SERVERID",
    "__cf_bm",
    "__cflb",
    "__cfruid",
    "__cfseq-*",
    "__cfwaitingroom",
    "_cfuvid",
    "cf_clearance",
    "cf_ob_info",
    "cf_use_ob",
    "pll_language",
    "wp-wpml_current_language",
    "wordpress_test_cookie",
)

_COOKIES_OF_WORDPRESS = ("wordpress_*", "wp-postpass_*", "wp-settings-*", "comment_author_*")
"""By which it knows who logged in, gave a password or commented: nobody is told that they may be allowed."""

# wp_get_nocache_headers(): before WordPress 6.3 this date was the only sign that a page must not be stored.
_NOCACHE_EXPIRES = "Wed, 11 Jan 1984 05:00:00 GMT"

# What WordPress answers there is a file for programs; HTML in its place is an error, a splash or a maintenance page.
_DATA_ENDINGS = (".txt", ".xml", ".json")

# How the page is called that a membership plugin or a shop sends strangers to, in the languages that most sites are
# written in: alone, or with a way back from there, which makes it clear.
_LOGIN_WORDS = (
    r"log-?in|sign-?in|log-?on|anmeld(?:en|ung)|einloggen|connexion|acceso|acceder|iniciar-sesion|accesso|accedi"
    r"|inloggen|entrar|logowanie"
)
_LOGIN = re.compile(rf"(?:[a-z]+[-_])?(?:{_LOGIN_WORDS})(?:\.[a-z]{{3,4}})?")
_LIKE_LOGIN = re.compile(rf"{_LOGIN_WORDS}|account(?!ing)|konto|compte|cuenta")
_OWN_ACCOUNTS = frozenset({"my-account", "myaccount", "mein-konto", "mon-compte", "mi-cuenta"})
_BEFORE_LOGIN = re.compile(r"[a-z]{2}(?:[-_][a-z]{2})?|members?|users?|accounts?|my-account|customers?|auth")
_WAY_BACK = re.compile(r"(?:redirect|return)(?:_?(?:to|uri|url))?|next|destination|continue|relaystate")
# What other machines are asked with to say who somebody is (SAML 2.0 bindings 3.4; RFC 6749 section 4.1.1).
_SIGN_ON = ({"samlrequest"}, {"client_id", "redirect_uri"})

KIND_CHANGED = "kind-changed"
GONE, MOVED, NOT_PUBLIC, REDIRECT = "gone", "moved", "not-public", "redirect"
OUTSIDE = "redirect-outside"
PRIVATE, NO_STORE, NOCACHE = "private", "no-store", "nocache"
ORIGIN_IS_FRONT = "origin-is-front"
BLOCKED = "blocked"
"""A 403 in which nothing of WordPress's speaks: a firewall, or a web server that finds no index.php, says so too."""
AWAY = frozenset({REDIRECT, OUTSIDE, PRIVATE, NO_STORE, NOCACHE})
"""Redirects for now, and what WordPress says is not for everybody. Where that lasts it is for members only, say."""
STATUS = "status"
FORBIDDEN = "forbidden"
ENDS_THE_PARSER = "ends-the-parser"
DATABASE_ERROR = "database-error"

_SHOWN_CHARACTERS = 300
_ERRORS, _ERROR_CHARACTERS = 10, 2000
"""The plugin says no more, and each shorter, if nobody has made one field of all."""
_TITLE = re.compile(rb"<title[^>]{0,100}>([^<]{1,300})<", re.IGNORECASE)
_TITLE_BYTES = 4096
"""An error page is short, and no parser is asked for it."""


def database_errors(answer: Answer) -> tuple[str, ...]:
    """What the database refused while WordPress made the page, each once. Its plugin says so (deploy/wordpress)."""
    errors = dict.fromkeys(error[:_ERROR_CHARACTERS] for error in answer.header_values("staticify-database-error"))
    return tuple(errors)[:_ERRORS]


def unknown_errors(answer: Answer, before: Record) -> tuple[str, ...]:
    """Those that what stands was made without: a plugin may meet one for years.

    By what they say, not by how many: one may hide the others, and a server between may make one field of several.
    """
    return tuple(error for error in database_errors(answer) if error not in before.database_errors)


def kind_of(answer: Answer) -> Kind | None:
    """What the answer says it is, or None for what staticify does not publish."""
    return KIND_OF_CONTENT_TYPE.get(_content_type(answer).partition(";")[0].strip().lower())


def _content_type(answer: Answer) -> str:
    """The field's value. Lines that repeat it (PHP and a web server in front of it, each one) say nothing new."""
    return ", ".join(dict.fromkeys(answer.header_values("content-type")))


def charset_of(answer: Answer) -> str:
    """The charset that Content-Type names, in lower case; empty if it names none."""
    for parameter in _content_type(answer).split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'").lower()
    return ""


def decide_head(answer: Answer, page: Page, rules: GateRules) -> Verdict:
    """What status and header fields allow."""
    if any(part.strip().lower().startswith("staticify") for part in answer.header("cache-status").split(",")):
        return refused(
            ORIGIN_IS_FRONT,
            f"origin {answer.origin} leads back to our own front end; set `origin` to WordPress's own address",
        )
    if answer.status != 200:
        return _decide_status(answer, page, rules)
    kind = kind_of(answer)
    if kind is None:
        found = _content_type(answer) or "none"
        return refused("content-type", f"Content-Type is {_shown(found)!r}, which has no place in the tree")
    if kind is Kind.HTML and page.path.lower().endswith(_DATA_ENDINGS):
        return refused("content-type", f"HTML is no answer for {page.path.rpartition('/')[2]!r}")
    return decide_charset(charset_of(answer)) or _decide_private(answer, rules)


def decide_charset(charset: str) -> Verdict | None:
    """Refuse what is not UTF-8. An empty name says nothing."""
    if charset.lower() in {"", "utf-8", "utf8", "us-ascii", "ascii"}:
        return None
    return refused("charset", f"the answer is in {_shown(charset)!r}; the front end says UTF-8 of every page")


def decide_kind(kind: Kind, standing: Kind) -> Verdict | None:
    """Refuse HTML in the place of a feed, a text or JSON, and those in its place: a splash page answers every path."""
    if (kind is Kind.HTML) == (standing is Kind.HTML):
        return None
    return refused(KIND_CHANGED, f"the tree has this page as {standing}, WordPress sends {kind}")


def refused(name: str, reason: str) -> Verdict:
    """An answer that may not go out."""
    return Verdict(name, Outcome.REFUSED, reason)


def _kept(name: str, reason: str) -> Verdict:
    return Verdict(name, Outcome.KEPT, reason)


def _shown(text: str) -> str:
    """What a header field says, for the reason: not all 64 KiB of it."""
    return brief(text, _SHOWN_CHARACTERS)


def _decide_status(answer: Answer, page: Page, rules: GateRules) -> Verdict:
    status = answer.status
    if status in {404, 410}:
        return Verdict(GONE, Outcome.GONE, f"WordPress answers {status}")
    if status in {401, 403}:
        # wp_die() calls that before it says 403.
        name = BLOCKED if status == 403 and not _calls_nocache(answer) else NOT_PUBLIC
        return Verdict(name, Outcome.GONE, f"WordPress answers {status}: not for everybody any more")
    if status in {301, 302, 303, 307, 308}:
        return _decide_redirect(answer, page, rules)
    if status == 503 and answer.header("retry-after"):
        return _kept("maintenance", f"WordPress answers 503, Retry-After: {_shown(answer.header('retry-after'))}")
    title = _TITLE.search(answer.body[:_TITLE_BYTES])
    # Of WordPress's own ("Database Error") and of a web server's ("502 Bad Gateway"): it says whose the fault is.
    name = _shown(unescape(" ".join(title[1].decode("utf-8", "replace").split()))) if title else ""
    return _kept(STATUS, f"WordPress answers {status}" + (f": {name!r}" if name else ""))


def _decide_redirect(answer: Answer, page: Page, rules: GateRules) -> Verdict:
    location = answer.header("location")
    if not location:
        return _kept(REDIRECT, f"redirects ({answer.status}) without saying where to")
    try:
        location = urljoin(page.url, location)
        if _is_login(location):
            return Verdict(NOT_PUBLIC, Outcome.GONE, "redirects to the login: not for everybody any more")
        address, has_query, _ = location.partition("#")[0].partition("?")
        target = parse_page(address)
    except (UrlError, ValueError):
        # urljoin raises ValueError for half an address in brackets.
        return _kept(REDIRECT, f"redirects ({answer.status}) to {_shown(location)!r}, which is no page")
    if target == page and not has_query:
        return _kept(
            "redirect-loop",
            f"redirects ({answer.status}) to itself: WordPress does not see the public address; "
            "it must believe X-Forwarded-Proto (HTTPS) and Host",
        )
    is_elsewhere = not is_inside(rules.site, target)
    if not is_elsewhere and (target.netloc, target.path) == (page.netloc, page.path) and target.scheme != page.scheme:
        return _kept(
            "redirect-scheme",
            f"redirects ({answer.status}) to {target.scheme}: set `url` to {target.scheme}:// or let WordPress "
            "believe X-Forwarded-Proto",
        )
    if is_elsewhere:
        where = f"another site: {_shown(location)}"
    elif has_query:
        # It went all the same: a plain permalink, say, where the page has no other.
        where = f"{_shown(location)!r}, which is no page"
    else:
        where = target.url
    if answer.status in {301, 308}:
        instead = ": list that instead" if where == target.url else ""
        return Verdict(MOVED, Outcome.GONE, f"moved ({answer.status}) to {where}{instead}")
    return _kept(OUTSIDE if is_elsewhere else REDIRECT, f"redirects ({answer.status}) for now to {where}")


def _is_login(location: str) -> bool:
    """True for WordPress's own login, a plugin's, and one on another machine: by its name and the way back from it."""
    parts = urlsplit(location.lower())
    *before, last = parts.path.strip("/").split("/")
    if last in {"wp-login.php", "wp-admin"} or last in _OWN_ACCOUNTS:
        return True
    if _LOGIN.fullmatch(last) and all(map(_BEFORE_LOGIN.fullmatch, before)):
        return True
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in pairs}
    if any(names >= sign_on for sign_on in _SIGN_ON):
        return True
    # ?password-protected=login, say, or ?action=login.
    asked = [text for name, value in pairs if not _WAY_BACK.fullmatch(name) for text in (name, value)]
    is_asking = any(map(_LOGIN.fullmatch, (*before, *asked))) or _LIKE_LOGIN.search(last) is not None
    return is_asking and any(map(_WAY_BACK.fullmatch, names))


def _decide_private(answer: Answer, rules: GateRules) -> Verdict:
    who = answer.header("staticify-do-not-cache")
    if who:
        # A plugin's own word for this page, which only WordPress's side can hear (deploy/wordpress).
        return Verdict("do-not-cache", Outcome.GONE, f"{_shown(who)} is set for this page: a plugin forbids caching it")
    # Plugins write semicolons too.
    directives = {part.partition("=")[0].lower() for part in re.split(r"[,;\s]+", answer.header("cache-control"))}
    for directive in (PRIVATE, NO_STORE):
        if directive in directives:
            return refused(directive, f"Cache-Control: {directive}: WordPress says that the page is not for everybody")
    if _calls_nocache(answer):
        return refused(NOCACHE, "Expires is in 1984: WordPress called nocache_headers() for this page")
    if "*" in {part.strip() for part in answer.header("vary").split(",")}:
        return refused("vary", "Vary: *: no two visitors get the same page (RFC 9111 section 4.1)")
    for line in answer.header_values("set-cookie"):
        name = _personal_cookie(line, (*HARMLESS_COOKIES, *rules.allow_cookies))
        if name is not None:
            hint = "; if it says nothing personal, name it in allow_cookies"
            if _is_among(name, _COOKIES_OF_WORDPRESS):
                hint = ", by which WordPress knows a visitor"
            return refused("set-cookie", f"sets cookie {_shown(name)!r}{hint}")
    return Verdict("ok", Outcome.PUBLISHED, "status and header fields allow it")


def _calls_nocache(answer: Answer) -> bool:
    """True if WordPress called nocache_headers()."""
    return _NOCACHE_EXPIRES in (value.strip() for value in answer.header_values("expires"))


def _personal_cookie(line: str, harmless: tuple[str, ...]) -> str | None:
    """Name of the cookie that a Set-Cookie line sets, or None if it sets nothing that could be personal."""
    pair, *rest = line.split(";")
    name = pair.partition("=")[0].strip()
    if _is_among(name, harmless):
        return None
    # RFC 6265 section 5.2: names in any case, and the last of two counts.
    attributes = {key.strip().lower(): value.strip() for key, _, value in (part.partition("=") for part in rest)}
    return None if _is_removal(attributes) else name


def _is_among(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])) for pattern in patterns)


def _is_removal(attributes: dict[str, str]) -> bool:
    """True if the cookie is taken away: it ran out before this century. Max-Age counts before Expires."""
    max_age = attributes.get("max-age", "")
    if max_age.removeprefix("-").isdecimal():
        # By its digits: a number of thousands of them is more than int() takes.
        return max_age.startswith("-") or not max_age.strip("0")
    expires = parsedate_tz(attributes.get("expires", ""))
    return expires is not None and expires[0] < 2000
