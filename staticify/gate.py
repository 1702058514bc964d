"""May this answer be published? Every refusal has a name to count by and a reason to read.

Two halves: `decide_head` needs the status and the header fields only, so that it is asked about every answer;
`decide_body` reads the content, so that it is asked only when the bytes are not those of the last good page.
Doubt means: not published.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urljoin, urlsplit

from lxml import etree

from staticify.errors import UrlError
from staticify.html import Document
from staticify.nouns import Answer, Kind, Outcome, Verdict
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
    "__cf*",
    "cf_*",
    "pll_language",
    "wp-wpml_current_language",
    "wordpress_test_cookie",
)

# wp_get_nocache_headers(): before WordPress 6.3 this date was the only sign that a page must not be stored.
_NOCACHE_EXPIRES = "Wed, 11 Jan 1984 05:00:00 GMT"

_HTML_END = re.compile(rb"</html\s*>(?:\s|<!--(?:(?!-->).)*-->)*\Z", re.IGNORECASE | re.DOTALL)
_HTML_END_WINDOW_BYTES = 64 * 1024
_PHP_ERROR = re.compile(rb"<br ?/?>\s*<b>(?:Fatal error|Parse error|Recoverable fatal error)</b>:\s")
_PHP_NOTICE_FIRST = re.compile(rb"\s*(?:<br ?/?>\s*)?<b>(?:Warning|Notice|Deprecated|Strict Standards)</b>:\s")
_POST_CLASS = re.compile(r"(?:postid|page-id)-(\d+)")
_LIST_CLASSES = frozenset({"blog", "archive", "search"})
_SINGULAR_CLASSES = frozenset({"single", "page", "singular"})

# Sentences of WordPress's own emergency pages. A page that says one of them and little else is that page.
_EMERGENCY = {
    "database-error": ("error establishing a database connection", "error reconnecting to the database"),
    "maintenance": ("briefly unavailable for scheduled maintenance",),
    "critical-error": ("there has been a critical error on this website", "there has been a critical error on your"),
}
_EMERGENCY_MAX_CHARACTERS = 1500

_LOGGED_IN_SIGNS = (
    "body.logged-in",
    "#wp-admin-bar-my-account",
    "a[href*='wp-login.php?action=logout']",
    ".logged-in-as a[href*='profile.php']",
)


@dataclass(frozen=True, slots=True)
class GateRules:
    """What one site wants of its pages."""

    site: Page
    max_bytes: int
    require_html_end: bool = True
    allow_cookies: tuple[str, ...] = ()


def kind_of(answer: Answer) -> Kind | None:
    """What the answer says it is, or None for what staticify does not publish."""
    return KIND_OF_CONTENT_TYPE.get(answer.header("content-type").partition(";")[0].strip().lower())


def decide_head(answer: Answer, page: Page, rules: GateRules) -> Verdict:
    """What status and header fields allow."""
    if any(part.strip().lower().startswith("staticify") for part in answer.header("cache-status").split(",")):
        return _refused(
            "origin-is-front",
            f"origin {answer.origin} leads back to our own front end; set `origin` to WordPress's own address",
        )
    if answer.status != 200:
        return _decide_status(answer, page, rules)
    if kind_of(answer) is None:
        found = answer.header("content-type") or "none"
        return _refused("content-type", f"Content-Type is {found!r}, which has no place in the tree")
    charset = _charset(answer)
    if charset not in {"", "utf-8", "utf8", "us-ascii"}:
        return _refused("charset", f"the answer is in {charset!r}; the front end says UTF-8 of every page")
    return _decide_private(answer, rules)


def decide_body(answer: Answer, document: Document | None, page: Page, rules: GateRules) -> Verdict:
    """What the content allows. `document` is the parsed page for HTML, None for everything else.

    The caller has asked `decide_head` before.
    """
    if not answer.body.strip():
        return _refused("empty", "the body is empty")
    if len(answer.body) > rules.max_bytes:
        return _refused("too-large", f"{len(answer.body)} bytes are over max_bytes = {rules.max_bytes}")
    php_error = _PHP_ERROR.search(answer.body)
    if php_error or _PHP_NOTICE_FIRST.match(answer.body):
        return _refused("php-error", "PHP prints an error into the page (display_errors)")
    if document is None:
        return _decide_data(answer)
    return (
        _decide_whole(answer, rules)
        or _decide_emergency(document)
        or _decide_anonymous(document)
        or _decide_password(document)
        or _published(page)
    )


def _refused(name: str, reason: str) -> Verdict:
    return Verdict(name, Outcome.REFUSED, reason)


def _kept(name: str, reason: str) -> Verdict:
    return Verdict(name, Outcome.KEPT, reason)


def _published(page: Page) -> Verdict:
    return Verdict("ok", Outcome.PUBLISHED, f"a whole public page of {page.netloc}")


def _decide_status(answer: Answer, page: Page, rules: GateRules) -> Verdict:
    status = answer.status
    if status in {404, 410}:
        return Verdict("gone", Outcome.GONE, f"WordPress answers {status}")
    if status in {401, 403}:
        return Verdict("not-public", Outcome.GONE, f"WordPress answers {status}: not for everybody any more")
    if status in {301, 302, 303, 307, 308}:
        return _decide_redirect(answer, page, rules)
    if status == 503 and answer.header("retry-after"):
        return _kept("maintenance", f"WordPress answers 503, Retry-After: {answer.header('retry-after')}")
    return _kept("status", f"WordPress answers {status}")


def _decide_redirect(answer: Answer, page: Page, rules: GateRules) -> Verdict:
    location = urljoin(page.url, answer.header("location"))
    if "wp-login.php" in urlsplit(location).path:
        return Verdict("not-public", Outcome.GONE, "redirects to the login: not for everybody any more")
    try:
        target = parse_page(location)
    except UrlError:
        return _kept("redirect", f"redirects ({answer.status}) to {location!r}, which is no page")
    if target == page:
        return _kept(
            "redirect-loop",
            f"redirects ({answer.status}) to itself: WordPress does not see the public address; "
            "it must believe X-Forwarded-Proto (HTTPS) and Host",
        )
    if not is_inside(rules.site, target):
        return _kept("redirect-outside", f"redirects ({answer.status}) to another site: {location}")
    if (target.netloc, target.path) == (page.netloc, page.path):
        return _kept(
            "redirect-scheme",
            f"redirects ({answer.status}) to {target.scheme}: set `url` to {target.scheme}:// or let WordPress "
            "believe X-Forwarded-Proto",
        )
    if answer.status in {301, 308}:
        return Verdict("moved", Outcome.GONE, f"moved ({answer.status}) to {target.url}: list that instead")
    return _kept("redirect", f"redirects ({answer.status}) for now to {target.url}")


def _charset(answer: Answer) -> str:
    for parameter in answer.header("content-type").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'").lower()
    return ""


def _decide_private(answer: Answer, rules: GateRules) -> Verdict:
    directives = {part.split("=", 1)[0].strip().lower() for part in answer.header("cache-control").split(",")}
    for directive in ("private", "no-store"):
        if directive in directives:
            return _refused(directive, f"Cache-Control: {directive}: WordPress says that the page is not for everybody")
    if answer.header("expires") == _NOCACHE_EXPIRES:
        return _refused("nocache", "Expires is in 1984: WordPress called nocache_headers() for this page")
    if "*" in {part.strip() for part in answer.header("vary").split(",")}:
        return _refused("vary", "Vary: *: no two visitors get the same page (RFC 9111 section 4.1)")
    for line in answer.header_values("set-cookie"):
        name = _personal_cookie(line, (*HARMLESS_COOKIES, *rules.allow_cookies))
        if name is not None:
            return _refused("set-cookie", f"sets cookie {name!r}; if it says nothing personal, name it in allow_cookies")
    return Verdict("ok", Outcome.PUBLISHED, "status and header fields allow it")


def _personal_cookie(line: str, harmless: tuple[str, ...]) -> str | None:
    """Name of the cookie that a Set-Cookie line sets, or None if it sets nothing that could be personal."""
    name = line.partition("=")[0].strip()
    for pattern in harmless:
        if name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])):
            return None
    try:
        morsels = SimpleCookie(line)
    except CookieError:
        return name
    for morsel in morsels.values():
        if morsel["max-age"] and morsel["max-age"].lstrip("-").isdigit() and int(morsel["max-age"]) <= 0:
            return None  # Takes a cookie away.
        if morsel["expires"]:
            try:
                if parsedate_to_datetime(morsel["expires"]).year < 2000:
                    return None
            except ValueError:
                pass
    return name


def _decide_data(answer: Answer) -> Verdict:
    kind = kind_of(answer)
    if kind is Kind.JSON:
        try:
            json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            return _refused("malformed", f"not JSON: {error}")
    elif kind is Kind.TEXT:
        if not answer.is_framed:
            return _refused("unframed", "neither Content-Length nor chunks: nobody can tell whether the text is whole")
    else:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            etree.fromstring(answer.body, parser)
        except etree.XMLSyntaxError as error:
            return _refused("malformed", f"not well-formed XML: {error}")
    return Verdict("ok", Outcome.PUBLISHED, f"a whole {kind} document")


def _decide_whole(answer: Answer, rules: GateRules) -> Verdict | None:
    if rules.require_html_end and not _HTML_END.search(answer.body, max(0, len(answer.body) - _HTML_END_WINDOW_BYTES)):
        return _refused(
            "truncated",
            "the page does not end in </html>; if the theme never writes it, set require_html_end = false",
        )
    if not rules.require_html_end and not answer.is_framed:
        return _refused("unframed", "neither </html> nor Content-Length nor chunks: the page may be half a page")
    return None


def _decide_emergency(document: Document) -> Verdict | None:
    if document.tree.select_one("body#error-page") is not None:
        return _refused("wp-die", f"WordPress's own error page: {document.title or 'without a title'}")
    if document.tree.select_one("form#setup[action*='install.php']") is not None:
        return _refused("installation", "WordPress's installation screen")
    if document.tree.select_one("form#loginform[action*='wp-login.php']") and "login" in document.body_classes:
        return _refused("login", "WordPress's login page")
    body = document.tree.select_one("body")
    text = " ".join(body.text.split()).lower() if body is not None else ""
    if len(text) <= _EMERGENCY_MAX_CHARACTERS:
        for name, sentences in _EMERGENCY.items():
            if any(sentence in text for sentence in sentences):
                return _refused(name, f"the page says little more than {next(s for s in sentences if s in text)!r}")
    return None


def _decide_anonymous(document: Document) -> Verdict | None:
    for sign in _LOGGED_IN_SIGNS:
        if document.tree.select_one(sign) is not None:
            return _refused("logged-in", f"rendered for somebody who is logged in: {sign} is in the page")
    return None


def _decide_password(document: Document) -> Verdict | None:
    """Refuse the password form as the page's own content; a list that only quotes a protected post is public."""
    forms = document.tree.select("form[action*='action=postpass']")
    if not forms:
        return None
    classes = document.body_classes
    own = {match.group(1) for name in classes if (match := _POST_CLASS.fullmatch(name))}
    is_singular = bool(classes & _SINGULAR_CLASSES)
    if classes & _LIST_CLASSES and not is_singular:
        return None
    if own and is_singular:
        fields = [form.select_one("input[name='post_password']") for form in forms]
        quoted = {(field.attr("id") or "").removeprefix("pwbox-") if field is not None else "" for field in fields}
        if all(number.isdigit() for number in quoted) and not quoted & own:
            return None
    return _refused("password", "the page asks for a password: what is behind it is not for everybody")
