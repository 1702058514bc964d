"""What belongs to one visitor is cut out of the origin's bytes. Nothing is parsed and written out again.

A rule names elements by a CSS selector and says what of them goes: the element, an attribute, what an attribute
says, or some of its classes. After the cut the page is parsed anew: its DOM must be the old DOM less what was cut.
If it is not (an unclosed paragraph before the element, say, would now run on), the page is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import turbohtml

from staticify.cuts import left_of
from staticify.html import Document
from staticify.nouns import Cut
from staticify.rules import Part, Rule

# Parts of the toolbar, by all that they say: wp_admin_bar_header(),
# _admin_bar_bump_cb() and wp_customize_support_script(). A theme's style that merely mentions the toolbar stays.
_TOOLBAR_STYLE = re.compile(
    r"\s*(?:#wpadminbar\s*\{\s*display:\s*none;?\s*\}"
    r"|html\s*\{\s*margin-top:\s*32px\s*!important;?\s*\}"
    r"\s*(?:\*\s*html\s+body\s*\{[^{}]*\}\s*)?"
    r"@media[^{}]*\{\s*html\s*\{\s*margin-top:\s*46px\s*!important;?\s*\}"
    r"\s*(?:\*\s*html\s+body\s*\{[^{}]*\}\s*)?\})\s*"
)
# Nothing that was read is given back: a comment that could also run on to the end of the next one would be tried both
# ways, twenty comments a million ways, and code between two comments would count as a comment.
_TOOLBAR_SCRIPT = re.compile(
    r"(?>\s+|/\*.*?\*/)*+\(function\(\)\s*+\{\s*+"
    r"var request, b = document\.body, c = 'className', cs = 'customize-support',"
    r"(?>.*?\}\(\)\);)(?>\s+|/\*.*?\*/|//[^\n]*)*+",
    re.DOTALL,
)

# wp_comment_form_unfiltered_html_nonce() writes it beside its field, which is cut.
_NONCE_SCRIPT = re.compile(
    r"\(function\(\)\{if\(window===window\.parent\)\{"
    r"document\.getElementById\('_wp_unfiltered_html_comment_disabled'\)\.name='_wp_unfiltered_html_comment';"
    r"\}\}\)\(\);"
)

# Parts that WordPress prints without an id, known by what they say and nothing else: words to look for first, because
# most styles and scripts are not worth a pattern, and the pattern.
_NAMELESS = (
    ("style:not([id])", ("#wpadminbar", "margin-top"), _TOOLBAR_STYLE, "toolbar style"),
    ("script:not([id], [src])", ("'customize-support'",), _TOOLBAR_SCRIPT, "toolbar script"),
    ("script:not([id], [src])", ("_wp_unfiltered_html_comment",), _NONCE_SCRIPT, "nonce script"),
)

_SPACE = " \t\n\f\r"
"""ASCII white space of HTML."""
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)


MAX_CUTS = 10_000
"""Of one page."""


class CannotCut(Exception):
    """The page cannot be published without what the rule should take away. The message is the reason."""


@dataclass(frozen=True, slots=True)
class Stripped:
    """The bytes that may go out, and what was left out of the origin's."""

    body: bytes
    cuts: tuple[Cut, ...]


def strip(document: Document, rules: tuple[Rule, ...]) -> Stripped:
    """Cut what the rules name. Changes `document.tree`. Raises CannotCut if the rest would be another page.

    For a page on which no rule matches, the list of cuts is empty and the body is the very same object.
    """
    found: list[Cut] = []
    for rule in rules:
        for element in document.tree.select(rule.selector):
            if _is_in(document, element):
                found.extend(_cut(document, element, rule))
    found.extend(_cut_nameless(document))
    if not found:
        return Stripped(document.body, ())
    cuts = _merged(found)
    if len(cuts) > MAX_CUTS:
        raise CannotCut(f"there are {len(cuts)} places to cut; more than {MAX_CUTS} are no page of WordPress's")
    body = left_of(document.body, cuts)
    _verify(document, Document(body))
    return Stripped(body, cuts)


def _is_in(document: Document, element: turbohtml.Element) -> bool:
    """False if the element went with another one around it."""
    return document.tree in element.ancestors


def _cut(document: Document, element: turbohtml.Element, rule: Rule) -> list[Cut]:
    if rule.part is Part.FORBIDDEN:
        raise CannotCut(f"an element that matches {rule.selector!r} cannot be told from the rest of the page")
    if rule.part is Part.ELEMENT:
        return [_cut_element(document, element, rule.selector)]
    if rule.part is Part.CLASSES:
        return _cut_classes(document, element, rule)
    return _cut_attribute(document, element, rule)


def _cut_element(document: Document, element: turbohtml.Element, name: str) -> Cut:
    location = element.source_location
    if location is None or location.start_tag is None:
        raise CannotCut(f"the element of rule {name!r} is not written in the page")
    if location.end_tag is None and not _is_void(document, element, location.start_tag):
        raise CannotCut(f"the <{element.tag}> of rule {name!r} has no end tag, so that its end is not certain")
    end = location.end_tag or location.start_tag
    start_byte = document.byte_offset(location.start_tag.start_offset)
    end_byte = document.byte_offset(end.end_offset)
    element.extract()
    return Cut(start_byte, end_byte, name)


def _is_void(document: Document, element: turbohtml.Element, start_tag: turbohtml.SourceSpan) -> bool:
    """True if the start tag is all there is: <br>, or <path/> in an SVG image."""
    if element.namespace is turbohtml.Namespace.HTML:
        return element.tag in _VOID
    return document.source(start_tag.start_offset, start_tag.end_offset).endswith("/>")


def _cut_attribute(document: Document, element: turbohtml.Element, rule: Rule) -> list[Cut]:
    start, text = _attribute_source(document, element, rule.attribute, rule.selector)
    name = f"{rule.selector}@{rule.attribute}"
    if rule.part is Part.ATTRIBUTE:
        del element.attrs[rule.attribute]
        return [Cut(document.byte_offset(start), document.byte_offset(start + len(text)), name)]
    value_start, value_end = _value_range(text)
    element.attrs[rule.attribute] = ""
    value_start = _emptied_from(text, value_start)
    return [Cut(document.byte_offset(start + value_start), document.byte_offset(start + value_end), name)]


def _cut_classes(document: Document, element: turbohtml.Element, rule: Rule) -> list[Cut]:
    if not set(rule.classes).intersection(_words(element)):
        return []
    start, text = _attribute_source(document, element, "class", rule.selector)
    value_start, value_end = _value_range(text)
    kept = " ".join(name for name in _words(element) if name not in rule.classes)
    cuts = []
    for match in re.finditer(rf"([^{_SPACE}]+)[{_SPACE}]*", text[value_start:value_end]):
        word = match[1]
        if word in rule.classes:
            # Without quotes there is one word only.
            first, last = _emptied_from(text, value_start) + match.start(), value_start + match.end()
            cuts.append(Cut(document.byte_offset(start + first), document.byte_offset(start + last), f".{word}"))
    if not cuts:
        raise CannotCut(f"the classes of rule {rule.selector!r} are written with character references")
    # What is left may have other white space between the words than `kept`: the verification compares words.
    element.attrs["class"] = kept
    return cuts


def _attribute_source(document: Document, element: turbohtml.Element, attribute: str, name: str) -> tuple[int, str]:
    location = element.source_location
    if location is None or attribute not in location.attrs:
        raise CannotCut(f"attribute {attribute!r} of rule {name!r} is not written in the page")
    span = location.attrs[attribute]
    text = document.source(span.start_offset, span.end_offset)
    if "\r" in text:
        raise CannotCut(f"attribute {attribute!r} of rule {name!r} runs over a line end")
    return span.start_offset, text


def _words(element: turbohtml.Element) -> list[str]:
    """The classes of an element (DOM Standard, ordered set parser: a no-break space is part of a name)."""
    return [name for name in re.split(f"[{_SPACE}]+", element.attr("class") or "") if name]


def _emptied_from(text: str, start: int) -> int:
    """Where to begin to cut what an attribute says. Without quotes the equals sign must go too, or `value= id=x`."""
    return start if text[start - 1] in "\"'" else text.index("=")


def _value_range(text: str) -> tuple[int, int]:
    """Where the value stands in the source of an attribute, without its quotes."""
    start = text.index("=") + 1
    start += len(text[start:]) - len(text[start:].lstrip(_SPACE))
    if text[start] in "\"'":
        return start + 1, len(text) - 1
    return start, len(text)


def _cut_nameless(document: Document) -> list[Cut]:
    return [
        _cut_element(document, element, name)
        for selector, words, pattern, name in _NAMELESS
        for element in document.tree.select(selector)
        if _is_all(pattern, words, element.text)
    ]


def _is_all(pattern: re.Pattern[str], words: tuple[str, ...], text: str) -> bool:
    return any(word in text for word in words) and pattern.fullmatch(text) is not None


def _merged(cuts: list[Cut]) -> tuple[Cut, ...]:
    """The cuts in order, those inside others left out."""
    merged: list[Cut] = []
    for cut in sorted(cuts, key=lambda cut: (cut.start, -cut.end)):
        if merged and cut.start < merged[-1].end:
            if cut.end > merged[-1].end:
                raise CannotCut(f"rules {merged[-1].rule!r} and {cut.rule!r} overlap")
            continue
        merged.append(cut)
    return tuple(merged)


def _verify(expected: Document, actual: Document) -> None:
    for document in (expected, actual):
        for element in document.tree.select("body[class]"):
            element.attrs["class"] = " ".join(_words(element))
        if document.root is not None:
            document.root.normalize()
    if not expected.tree.equals(actual.tree):
        raise CannotCut("what the cuts leave is another page: some element around a cut is not closed")
