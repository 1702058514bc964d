"""May this answer be published? What its content says, after `gate` let its head pass.

Every refusal has a name to count by and a reason to read. Doubt means: not published.
"""

from __future__ import annotations

import json
import re

import turbohtml
from lxml import etree

from staticify.brief import brief
from staticify.gate import charset_of, decide_charset, kind_of, refused
from staticify.html import Document
from staticify.looks import text_of
from staticify.nouns import Answer, Kind, Outcome, Verdict
from staticify.rules import GateRules, Marker

_HTML_END_BEFORE_COMMENT = re.compile(rb"</html\s*>\s*<!--")
_COMMENT_START = re.compile(rb"\s*<!--")
_COMMENT_END = b"-->"
_HTML_END_WINDOW_BYTES = 64 * 1024
_PHP_ERROR = re.compile(rb"<br ?/?>\s*<b>(?:Fatal error|Parse error|Recoverable fatal error)</b>:\s")
_PHP_NOTICE_FIRST = re.compile(rb"\s*(?:<br ?/?>\s*)?<b>(?:Warning|Notice|Deprecated|Strict Standards)</b>:\s")
# The same with html_errors off, as everything but a web server's PHP has it.
_PHP_PLAIN_FIRST = re.compile(
    rb"\s*(?:PHP )?(?:(?:Fatal|Parse|Recoverable fatal) error: "
    rb"|(?:Warning|Notice|Deprecated|Strict Standards): [^\n]{1,1000} in [^\n]{1,500} on line \d)"
)
_PHP_PLAIN_ERROR = re.compile(rb"^\s*(?:PHP )?(?:Fatal|Parse) error: ", re.MULTILINE)
_PHP_PLAIN_WINDOW_BYTES = 4096
# HTML Standard, "extracting a character encoding from a meta element".
_META_CHARSET = re.compile(r"charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;\"']+))")
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
# RSS 1.0 is RDF.
_ROOTS = {Kind.RSS: ("rss", "RDF"), Kind.ATOM: ("feed",)}
_POST_CLASS = re.compile(r"(?:postid|page-id)-(\d+)")
_LIST_CLASSES = frozenset({"blog", "archive", "search"})
_SINGULAR_CLASSES = frozenset({"single", "page", "singular"})

# Sentences of WordPress's own emergency pages. A page that says one of them and little else is that page, but for one
# that a theme made: a short post about an emergency, or a list of such posts.
EMERGENCIES = {
    "database-error": ("error establishing a database connection", "error reconnecting to the database"),
    "maintenance": ("briefly unavailable for scheduled maintenance",),
    "critical-error": ("there has been a critical error on this website", "there has been a critical error on your"),
}
_EMERGENCY_MAX_CHARACTERS = 1500

_LOGGED_IN_SIGNS = (
    "body.logged-in",
    "#wp-admin-bar-my-account",
    # wp_logout_url() and a shop's, wherever the login is: for who can log out. Without a nonce it is anybody's link.
    "a[href*='action=logout'][href*='_wpnonce=']",
    "a[href*='customer-logout'][href*='_wpnonce=']",
    ".logged-in-as a[href*='profile.php']",
    # post_class() says what a post is: neither is for everybody.
    ".type-post.status-private, .type-page.status-private, .type-post.status-draft, .type-page.status-draft",
)
# What is cut where body_class() says that the page is a stranger's, as by a plugin that keeps parts of pages, and what
# a menu may say to everybody. Where the theme does not ask it, nothing says that the rest is not somebody's too.
_SIGNS_WITHOUT_CLASSES = (
    "a.post-edit-link[href*='/wp-admin/']",
    "a.comment-edit-link[href*='/wp-admin/']",
    "a[href*='wp-login.php?action=logout']",
    ".logged-in-as",
    "input#_wp_unfiltered_html_comment_disabled",
)
_CLASSES = re.compile(r"home|blog|archive|search|error404|single|page|singular|attachment|wp-.+|(?:postid|page-id)-\d+")


def decide_body(answer: Answer, document: Document | None, rules: GateRules) -> Verdict:
    """What the content allows. `document` is the parsed page for HTML, None for everything else."""
    if not answer.body.strip():
        return refused("empty", "the body is empty")
    if len(answer.body) > rules.max_bytes:
        return refused("too-large", f"{len(answer.body)} bytes are over max_bytes = {rules.max_bytes}")
    if _has_php_error(answer):
        return refused("php-error", "PHP prints an error into the page (display_errors)")
    if document is None:
        return _decide_wide(answer) or _decide_data(answer)
    return (
        _decide_wide(answer)
        or _decide_whole(answer, document, rules)
        or _decide_charset(answer, document)
        or _decide_emergency(document)
        or _decide_anonymous(document)
        or _decide_password(document)
        or Verdict("ok", Outcome.PUBLISHED, "a whole page for everybody")
    )


def standing_in(body: bytes, markers: tuple[Marker, ...], *, is_html: bool) -> frozenset[Marker]:
    """Those of the markers that a body has. Selectors are for HTML alone; words are looked for as bytes and as text."""
    if not markers:
        return frozenset()
    tree = Document(body).tree if is_html and not all(marker.text for marker in markers) else None
    text = text_of(body)

    def has(marker: Marker) -> bool:
        if marker.text:
            return marker.text in text or marker.text.encode() in body
        return tree is not None and tree.select_one(marker.written) is not None

    return frozenset(filter(has, markers))


def _has_php_error(answer: Answer) -> bool:
    body = answer.body
    if _PHP_ERROR.search(body) or _PHP_NOTICE_FIRST.match(body) or _PHP_PLAIN_FIRST.match(body):
        return True
    # A page may quote such a line. A robots.txt does not, and PHP may have died after its first ones.
    is_text = kind_of(answer) is Kind.TEXT
    return is_text and _PHP_PLAIN_ERROR.search(body, 0, _PHP_PLAIN_WINDOW_BYTES) is not None


def _decide_wide(answer: Answer) -> Verdict | None:
    """UTF-16 and UTF-32 show in the first bytes, which readers believe before any name (RFC 7303 section 3.3)."""
    is_wide = answer.body.startswith(_WIDE_MARKS) or b"\x00" in answer.body[:4]
    return decide_charset("utf-16") if is_wide else None


def _decide_data(answer: Answer) -> Verdict:
    kind = kind_of(answer)
    if kind is Kind.JSON:
        try:
            data = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            return refused("malformed", f"not JSON: {error}")
        if _is_wp_error(data):
            return refused("wp-die", "WordPress's own error, as JSON")
    elif kind is Kind.TEXT:
        if not answer.is_framed:
            return refused("unframed", "neither Content-Length nor chunks: nobody can tell whether the text is whole")
    elif (verdict := _decide_xml(answer, kind)) is not None:
        return verdict
    return Verdict("ok", Outcome.PUBLISHED, f"a whole {kind} document")


def _is_wp_error(data: object) -> bool:
    """True for what _json_wp_die_handler() and the REST API send in place of an answer."""
    if not isinstance(data, dict) or not {"code", "message"} <= data.keys():
        return False
    details = data.get("data")
    return isinstance(details, dict) and "status" in details


def _decide_xml(answer: Answer, kind: Kind | None) -> Verdict | None:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(answer.body, parser)
    except etree.XMLSyntaxError as error:
        return refused("malformed", f"not well-formed XML: {error}")
    name = etree.QName(root).localname
    if name.lower() == "html" or (kind in _ROOTS and name not in _ROOTS[kind]):
        return refused("malformed", f"the root element is <{name[:60]}>, which makes it no {kind} document")
    if name == "error" and root.find("code") is not None and root.find("message") is not None:
        # _xml_wp_die_handler(): what wp_die() makes of a feed, with whatever status it is told.
        return refused("wp-die", "WordPress's own error, as XML")
    info = root.getroottree().docinfo
    if info.internalDTD is not None and any(info.internalDTD.iterentities()):
        return refused("entities", "the XML declares entities of its own, which readers may expand without end")
    return None if charset_of(answer) else decide_charset(info.encoding or "")


def _decide_whole(answer: Answer, document: Document, rules: GateRules) -> Verdict | None:
    if rules.require_html_end and not (_has_html_end(answer.body) and document.has_html_end):
        return refused(
            "truncated",
            "the page does not end in </html>; if the theme never writes it, set require_html_end = false",
        )
    if not rules.require_html_end and not answer.is_framed:
        return refused("unframed", "neither </html> nor Content-Length nor chunks: the page may be half a page")
    return None


def _has_html_end(body: bytes) -> bool:
    """True if nothing but white space and comments follows </html>.

    From the end backwards, comment by comment, so that each byte is looked at once. Forwards, every </html> in a page
    that breaks off in a comment would be a start to try.
    """
    tail = body[-_HTML_END_WINDOW_BYTES:].rstrip().lower()
    if not tail.endswith(_COMMENT_END):
        return tail.endswith(b">") and tail[:-1].rstrip().endswith(b"</html")
    end = len(tail)
    while True:
        inner_end = end - len(_COMMENT_END)
        before = tail.rfind(_COMMENT_END, 0, inner_end)
        start = before + len(_COMMENT_END) if before >= 0 else 0
        # A comment may hold "<!--" of its own, and so may a script before </html>: any of them may be its start.
        if _HTML_END_BEFORE_COMMENT.search(tail, start, inner_end):
            return True
        if before < 0 or not _COMMENT_START.match(tail, start, inner_end):
            return False
        end = start


def _decide_charset(answer: Answer, document: Document) -> Verdict | None:
    """What the page says of itself counts where the header field says nothing (HTML Standard, encoding sniffing)."""
    if charset_of(answer):
        return None
    metas = document.tree.select("meta[charset], meta[http-equiv='content-type' i][content]")
    # The first that names one: the other kind may come before it and say text/html alone.
    return next((decide_charset(charset) for charset in map(_meta_charset, metas) if charset), None)


def _meta_charset(element: turbohtml.Element) -> str:
    charset = (element.attr("charset") or "").strip()
    if not charset and element.attr("http-equiv"):
        match = _META_CHARSET.search((element.attr("content") or "").lower())
        charset = (match[1] or match[2] or match[3] or "").strip() if match else ""
    return charset


def _decide_emergency(document: Document) -> Verdict | None:
    # The latter where PHP died in the middle of a page whose body has an id of its own.
    if document.tree.select_one("body#error-page, .wp-die-message") is not None:
        return refused("wp-die", f"WordPress's own error page: {brief(document.title or '', 200) or 'without a title'}")
    if document.tree.select_one("body.wp-core-ui form#setup") is not None:
        return refused("installation", "WordPress's installation screen")
    if document.tree.select_one("form#loginform[action*='wp-login.php']") and "login" in document.body_classes:
        return refused("login", "WordPress's login page")
    body = document.tree.select_one("body")
    text = _words(body).lower() if body is not None else ""
    said = [(name, sentence) for name, sentences in EMERGENCIES.items() for sentence in sentences if sentence in text]
    if said and not _is_themed(document):
        code = sum(len(_words(element)) for element in document.tree.select("body script, body style"))
        if len(text) - code <= _EMERGENCY_MAX_CHARACTERS:
            name, sentence = said[0]
            return refused(name, f"the page says little more than {sentence!r}")
    return None


def _is_themed(document: Document) -> bool:
    """True if the page bears marks of body_class() or wp_head(), which no emergency page gets as far as to call.

    `page`, `single` and `home` alone are no such marks: whoever writes a db-error.php by hand may choose them.
    """
    classes = document.body_classes
    return (
        bool(classes & _LIST_CLASSES)
        or any(map(_POST_CLASS.fullmatch, classes))
        or document.tree.select_one("link[rel='https://api.w.org/']") is not None
    )


def _words(element: turbohtml.Element) -> str:
    return " ".join(element.text.split())


def _decide_anonymous(document: Document) -> Verdict | None:
    is_said = any(map(_CLASSES.fullmatch, document.body_classes))
    for sign in _LOGGED_IN_SIGNS if is_said else (*_LOGGED_IN_SIGNS, *_SIGNS_WITHOUT_CLASSES):
        if document.tree.select_one(sign) is not None:
            return refused("logged-in", f"rendered for somebody who is logged in: {sign} is in the page")
    return None


def _decide_password(document: Document) -> Verdict | None:
    """Let go of a page whose own content is a password form; a list that only quotes a protected post is public."""
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
    reason = "the page asks for a password: not for everybody any more"
    return Verdict("password", Outcome.GONE, reason)
