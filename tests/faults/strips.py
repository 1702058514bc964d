"""1,000,000 generated pages: the strip takes its cuts out of the bytes and nothing else, or refuses the page.

Each page is made of WordPress's personal markup and of everything that makes parsers differ: misnested and unclosed
elements, tables, templates, scripts and comments that hold markup, SVG and MathML, attributes without quotes, NUL,
line ends, bytes that are no UTF-8. What comes of it is compared with the origin's bytes, range by range, and its DOM
with one from which the same was taken by a second, simpler reading of the rules. What the strip's own verification
refused is counted.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random

import turbohtml
from chunks import Chunk, chunks, in_processes
from tally import Tally

from staticify.html import Document
from staticify.rules import WORDPRESS_RULES, Part, Rule
from staticify.strip import CannotCut, Stripped, strip

COUNT = 1_000_000
CHUNK = 20_000

# --- What is generated -----------------------------------------------------------------------------------------------

TOOLBAR_STYLE = (
    "html { margin-top: 32px !important; }\n"
    "@media screen and ( max-width: 782px ) { html { margin-top: 46px !important; } }"
)
TOOLBAR_SCRIPT = (
    "(function() { var request, b = document.body, c = 'className', cs = 'customize-support',"
    " rcs = 1; b[c] += cs; }());"
)
NONCE_SCRIPT = (
    "(function(){if(window===window.parent){document.getElementById('_wp_unfiltered_html_comment_disabled')"
    ".name='_wp_unfiltered_html_comment';}})();"
)
_NAMELESS = {TOOLBAR_STYLE: "style", TOOLBAR_SCRIPT: "script", NONCE_SCRIPT: "script"}
"""What WordPress prints without an id. The second reading knows it by what this file has written."""

_PERSONAL = (
    "<div id=wpadminbar class='nojq'><ul><li>Zo\u00eb</li></ul></div>",
    '<div id="wpadminbar"><p>Howdy<p>you</div>', "<link rel=stylesheet id='admin-bar-css' href=x>",
    "<style id=admin-bar-inline-css>a > b { }</style>", "<script id='admin-bar-js' src=x></script>",
    f"<style>{TOOLBAR_STYLE}</style>", f"<script>{TOOLBAR_SCRIPT}</script>", f"<script>{NONCE_SCRIPT}</script>",
    (
        '<span class="edit-link"><a class="post-edit-link"'
        ' href="/wp-admin/post.php?post=1&#038;action=edit">Edit</a></span><br>'
    ),
    "<footer class=entry-footer><span class=edit-link><a href=/wp-admin/>Edit</a></span></footer>",
    "<a class=comment-edit-link href='https://a.example/wp-admin/comment.php'>(Edit)</a>",
    "<p class='logged-in-as'>Logged in as admin.</p>",
    (
        "<form action=/wp-comments-post.php><input id=author name=author value='Zo\u00eb &amp; I'>"
        '<input id=email name=email value=z@b.example><input id=url name=url value = "https://b.example" ></form>'
    ),
    "<form action='/wp-comments-post.php'><input id=author name=author value=Z&eacute; /></form>",
    "<input id=wp-comment-cookies-consent type=checkbox checked>",
    '<input id=wp-comment-cookies-consent checked="checked"/>',
    "<input type=hidden id=_wp_unfiltered_html_comment_disabled value=1>",
    "<li class='comment'><em class=comment-awaiting-moderation>mine</em></li>",
    "<div class=comment><div class=comment><em class='comment-awaiting-moderation'>mine</em></div></div>",
    "<em class=comment-awaiting-moderation>mine</em>", "<b class=x>", "<i class='y x z'>cut</i>", "<p class=x>cut",
)  # fmt: skip
_LEAVES = (
    "text", " ", "\n", "\r\n", "\r", "\u00e9", "\u65e5\u672c", "\U0001f600", "&amp;", "&", "&notit;", "&#0;", "&#x80;",
    "<", ">", '"', "\0", "\ufeff", "\f", "\u00a0", "]]>", "<![CDATA[<b class=x>]]>", "<!-- c -->", "<!--", "-->",
    "--!>", "<!-- <b class=x>no</b> -->", "<!-->", "<!>", "<?php echo 1 ?>", "</>", "<!doctype html>",
    "<body class=admin-bar>", "<br class=x>", "<br/>", "</br>", "</p>", "<hr>", "<img id='a&amp;b' src=x>",
    "<image class=x>", "<input>", "<input type=hidden>", "<svg class=x/>",
    "<svg><title class=x>t</title><path class=x /></svg>", "<svg><![CDATA[<i>]]><style>a<b</style></svg>",
    "<math><mi>x</mi><annotation-xml encoding=text/html><p class=x>y</p></annotation-xml></math>",
    "<svg><foreignObject><div class=x>y</div></foreignObject></svg>", "<svg><p>out", "<math><b class=x>out",
    "<script>'<b class=x>'</script>", "<script><!-- <script> </script> --></script>", "<script>", "</script>",
    "<style>", "<textarea>\n<b class=x></textarea>", "<title class=x>t</title>", "<xmp><b class=x></xmp>",
    "<plaintext>", "<noscript>", "<noembed><p></noembed>", "<iframe><b class=x></iframe>",
    "<template><b class=x>y</b></template>", "</template>", "<table><b class=x>foster</b><tr><td>1",
    "<table class=x><tr><td>1</td></tr></table>", "</table>", "<caption class=x>", "<col class=x>",
    "<select><option class=x>1<option>2</select>", "<frameset class=x>", "</body>", "</html>", "<html id=x>", "<head>",
    "</head>", "<a href=x class=x><a>", "<nobr><nobr>", "<button><button>", "<h1><h2 class=x></h1>", "<dd><dt>",
    "<ruby><rt class=x><rp>", "<form><form>", "<isindex>", "<keygen class=x>", "<object><param class=x></object>",
    "</div>", "<pre>\n<i class=x>a</i>\nb</pre>", "<listing>\r\n</listing>", "</b></i>", "<p class=x/>", "<b/class=x>",
    "<b\nclass\n=\nx>", "<b class=x class=y>", "<b CLASS=X>", "<b class='x", "<a b='>' c=\">\" d=>", "<div =x>",
    "<div\0>", "<d\u00efv class=x>",
)  # fmt: skip
_TAGS = (
    "div", "div", "div", "section", "p", "b", "i", "a", "span", "em", "table", "tbody", "tr", "td", "th", "ul", "li",
    "dl", "svg", "g", "math", "mtext", "pre", "template", "select", "option", "noscript", "form", "button", "h1",
    "object", "nobr", "font", "u", "article", "figure", "details", "label", "marquee", "applet", "center", "ruby",
    "rt",
)  # fmt: skip
_ATTRIBUTES = (
    "", "", "", "", " class=x", ' class="y x"', " class='&#120;'", " id=a class=x title='a > b'", " data-a=\"'\"",
    " class = x ", "\r\nclass='x'\r\n", " hidden", " =", " a/b", ' class="x\r\ny"', " class=''", " /",
)  # fmt: skip
_BODY_TAGS = (
    "<body>", "<body class='home admin-bar'>", '<body class="x">', "<body class=admin-bar>",
    "<body id=a class='a\tadmin-bar '>", "<body class='&#97;dmin-bar'>",
)  # fmt: skip
_HEADS = ("", "", "", "\r\n", "<title class=x>t</title>", "<meta charset=utf-8><link class=x>", "\u00e9", "<noscript>")
SELECTORS = (
    ".x",
    "i",
    "p",
    "table",
    "tr",
    "b > *",
    "div:has(.x)",
    "[title]",
    "svg *",
    "li:nth-child(2)",
    "body > *",
    "a",
)


def _pieces(chance: Random, depth: int) -> str:
    """A few nodes, some of them with nodes in them."""
    return "".join(_piece(chance, depth) for _ in range(chance.choice((1, 1, 2, 2, 3, 4))))


def _piece(chance: Random, depth: int) -> str:
    kind = chance.random()
    if depth == 0 or kind < 0.35:
        return chance.choice(_LEAVES)
    if kind < 0.5:
        return chance.choice(_PERSONAL)
    tag = chance.choice(_TAGS)
    inner = _pieces(chance, depth - 1)
    end = (
        f"</{tag}>" if chance.random() < 0.85 else chance.choice(("", "", f"</{chance.choice(_TAGS)}>", f"</{tag} x>"))
    )
    return f"<{tag}{chance.choice(_ATTRIBUTES)}>{inner}{end}"


def generated(chance: Random) -> bytes:
    """A page, whole more often than not."""
    text = _pieces(chance, chance.choice((1, 2, 3, 3, 4)))
    if chance.random() < 0.02:
        # A part of it many times: the offsets have to be right far from the start too.
        text += chance.choice((text, _piece(chance, 1), "\r\n\u00e9")) * chance.randint(50, 400)
    if chance.random() < 0.7:
        body_tag = chance.choice(_BODY_TAGS)
        text = f"<!doctype html>\n<html><head>{chance.choice(_HEADS)}</head>\n{body_tag}{text}</body></html>\n"
    body = text.encode("utf-8", "surrogatepass")
    # Not in what is known by all that it says: whether an altered one is still one, the pattern alone knows.
    if chance.random() < 0.1 and not any(known in text for known in _NAMELESS):
        place = chance.randrange(len(body) + 1)
        body = body[:place] + chance.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0", b"\r")) + body[place:]
    if chance.random() < 0.03:
        body = body[: chance.randrange(len(body) + 1)]
    return body


# --- What is compared ------------------------------------------------------------------------------------------------


class MustRefuse(Exception):
    """The rules forbid the page."""


def _classes(element: turbohtml.Element) -> list[str]:
    return (element.attr("class") or "").translate(str.maketrans("\t\n\f\r", "    ")).split(" ")


def less_the_nodes(body: bytes, rules: tuple[Rule, ...]) -> Document:
    """The DOM of a page, less what the rules name. Raises MustRefuse."""
    document = Document(body)
    for rule in rules:
        for element in document.tree.select(rule.selector):
            if document.tree not in element.ancestors:
                continue
            if rule.part is Part.FORBIDDEN:
                raise MustRefuse
            _take(element, rule)
    for element in document.tree.select("style, script"):
        if element.attr("id") is None and element.attr("src") is None and element.tag == _NAMELESS.get(element.text):
            element.extract()
    return _normal(document)


def _take(element: turbohtml.Element, rule: Rule) -> None:
    if rule.part is Part.ELEMENT:
        element.extract()
    elif rule.part is Part.ATTRIBUTE:
        del element.attrs[rule.attribute]
    elif rule.part is Part.VALUE:
        element.attrs[rule.attribute] = ""
    elif element.attr("class") is not None:
        element.attrs["class"] = " ".join(name for name in _classes(element) if name not in rule.classes)


def _normal(document: Document) -> Document:
    """One text where two meet, and the classes of the body as words."""
    for element in document.tree.select("body[class]"):
        element.attrs["class"] = " ".join(filter(None, _classes(element)))
    if document.root is not None:
        document.root.normalize()
    return document


def fault_of(body: bytes, result: Stripped, rules: tuple[Rule, ...]) -> str:
    """What is wrong with a stripped page; nothing, mostly."""
    left, position = [], 0
    for cut in result.cuts:
        if not position <= cut.start <= cut.end <= len(body):
            return "cuts are out of order"
        left.append(body[position : cut.start])
        position = cut.end
    if result.body != b"".join(left) + body[position:]:
        return "bytes outside the cuts differ"
    try:
        expected = less_the_nodes(body, rules)
    except MustRefuse:
        return "a page that the rules forbid went out"
    if not _normal(Document(result.body)).tree.equals(expected.tree):
        return "the DOM is another than the old one less the cut nodes"
    return ""


# --- What is counted -------------------------------------------------------------------------------------------------


_QUOTED = re.compile(r"""".*"|'.*'|<.*?>""")


def _chunk(chunk: Chunk) -> Tally:
    chance, tally = chunk.chance, Tally()
    for number in range(chunk.count):
        body = generated(chance)
        rules = WORDPRESS_RULES if chance.random() < 0.5 else (*WORDPRESS_RULES, Rule(chance.choice(SELECTORS)))
        tally.counts["bytes"] += len(body)
        try:
            result = strip(Document(body), rules)
        except CannotCut as error:
            tally.counts["refused: " + _QUOTED.sub("...", str(error))] += 1
            continue
        except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
            tally.faults.append(f"seed {chunk.seed}, number {number}: {error!r}: {rules[-1].selector} {body!r}")
            continue
        tally.counts["cut" if result.cuts else "nothing to cut"] += 1
        tally.counts["cuts"] += len(result.cuts)
        fault = fault_of(body, result, rules)
        if fault:
            tally.faults.append(f"seed {chunk.seed}, number {number}: {fault}: {rules[-1].selector} {body!r}")
    return tally


def _lost(chunk: Chunk) -> Tally:
    fault = f"seed {chunk.seed}: one of these {chunk.count} pages ends the process"
    return Tally(Counter(lost=chunk.count), faults=[fault])


def run(count: int, seed: int) -> Tally:
    """Strip so many pages, and look at each."""
    tally = Tally()
    for part in in_processes(_chunk, chunks(count, seed, CHUNK), _lost):
        tally.add(part)
    return tally


# --- Time ------------------------------------------------------------------------------------------------------------

SHAPES: dict[str, Callable[[int], str]] = {
    "elements to cut, side by side": lambda size: "<p class=x>y</p>" * (size // 16),
    "elements to cut, one in another": lambda size: "<div class=x>" * (size // 19) + "</div>" * (size // 19),
    "comments, one in another": lambda size: "<div class=comment>" * (size // 25) + "</div>" * (size // 25),
    "comments, the innermost not approved": lambda size: (
        "<div class=comment>" * (size // 25) + "<i class=comment-awaiting-moderation>" + "</div>" * (size // 25)
    ),
    "edit links that are none": lambda size: "<p class=edit-link>y</p><br>" * (size // 28),
    "footers, one in another": lambda size: "<div class=entry-footer>" * (size // 30) + "</div>" * (size // 30),
    "fields of one form": lambda size: (
        "<form action=/wp-comments-post.php>" + "<input id=author name=author value=x>" * (size // 37) + "</form>"
    ),
    "attributes of one element": lambda size: "<b " + " ".join(f"a{n}=1" for n in range(size // 8)) + " class=x></b>",
    "elements moved out of a table": lambda size: "<table>" + "<b class=x>f</b>" * (size // 16) + "</table>",
    "formatting that is not closed": lambda size: "<b>" * (size // 3),
    "formatting taken up in each paragraph": lambda size: "<p><b class=z>" * (size // 14),
    "tables that are not closed": lambda size: "<table><tr><td>" * (size // 15),
    "line ends of two characters": lambda size: "<p class=x>\r\n</p>\r\n" * (size // 19),
    "characters of four bytes": lambda size: "<p class=x>\U0001f600</p>" * (size // 19),
    "a comment that does not end": lambda size: "<!--" + "- <p class=x>" * (size // 13),
    "scripts in comments of a script": lambda size: "<script>" + "<!--<script>" * (size // 12),
    "a script that mentions the toolbar": lambda size: f"<script>{'/* ' * (size // 3)}'customize-support'</script>",
    "references": lambda size: "&notit;&amp;&#x26" * (size // 17),
}
"""What could take longer than its size says."""


def seconds_of(shape: str, size: int) -> float:
    """Processor time for the parsing and the strip of a page of so many bytes, the best of two."""
    body = f"<!doctype html><html><body>{SHAPES[shape](size)}</body></html>".encode()
    seconds = []
    for _ in range(2):
        started = time.thread_time()
        with suppress(CannotCut):
            strip(Document(body), (*WORDPRESS_RULES, Rule(".x")))
        seconds.append(time.thread_time() - started)
    return min(seconds)
