"""What one site wants of its pages, as values: what may go out, what is cut, what does not count as a change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from staticify import __version__
from staticify.noise import Noise, digest
from staticify.urls import Page

TEXT = "text:"
"""Before the words of a marker that is no selector."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Something that a page has, or has not: an element, or words."""

    written: str
    """As in the configuration: a CSS selector, or "text:" and the words."""

    @property
    def text(self) -> str:
        """The words; empty for a selector."""
        return " ".join(self.written[len(TEXT) :].split()) if self.written.startswith(TEXT) else ""


@dataclass(frozen=True, slots=True)
class GateRules:
    """What may go out."""

    site: Page
    max_bytes: int
    require_html_end: bool = True
    allow_cookies: tuple[str, ...] = ()
    require: tuple[Marker, ...] = ()
    """What each HTML page has. One that lacks it is doubted."""
    forbid: tuple[Marker, ...] = ()
    """What no page may have."""


class Part(Enum):
    """What of an element a rule takes away."""

    ELEMENT = auto()
    ATTRIBUTE = auto()
    VALUE = auto()
    """The attribute stays, empty."""
    CLASSES = auto()
    FORBIDDEN = auto()
    """Nothing can be cut safely: the page is refused if the rules before have left such an element."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to cut."""

    selector: str
    part: Part = Part.ELEMENT
    attribute: str = ""
    classes: tuple[str, ...] = ()


# Whatever a theme calls it, this is where it leads. Another form's fields may be called `email` too.
_COMMENT_FORM = "form[action*='wp-comments-post.php']"

WORDPRESS_RULES: tuple[Rule, ...] = (
    # The toolbar: wp-includes/admin-bar.php and class-wp-admin-bar.php.
    Rule("#wpadminbar"),
    Rule("link#admin-bar-css"),
    Rule("link#admin-bar-rtl-css"),
    Rule("style#admin-bar-inline-css"),
    Rule("script#admin-bar-js"),
    Rule("script#admin-bar-js-extra"),
    Rule("script#hoverintent-js-js"),
    Rule("body", Part.CLASSES, "class", ("admin-bar", "no-customize-support", "customize-support")),
    # Ways to edit: get_edit_post_link(), edit_comment_link() and the themes' wrappers around them.
    # Twenty Twenty-One puts a line break behind the link in lists, and on pages a footer around it and nothing else.
    Rule(".edit-link:has(a[href*='/wp-admin/']) + br"),
    Rule(".entry-footer:has(> .edit-link:only-child a[href*='/wp-admin/'])"),
    Rule(".edit-link:has(a[href*='/wp-admin/'])"),
    Rule("a.post-edit-link[href*='/wp-admin/']"),
    Rule("a.comment-edit-link[href*='/wp-admin/']"),
    Rule("div.wp-block-comment-edit-link:has(a[href*='/wp-admin/'])"),
    # The comment form: comment_form() greets who is logged in and fills in who commented before.
    Rule(".logged-in-as"),
    Rule(f"{_COMMENT_FORM} input[name='author'][value]:not([value=''])", Part.VALUE, "value"),
    Rule(f"{_COMMENT_FORM} input[name='email'][value]:not([value=''])", Part.VALUE, "value"),
    Rule(f"{_COMMENT_FORM} input[name='url'][value]:not([value=''])", Part.VALUE, "value"),
    Rule("input#wp-comment-cookies-consent[checked]", Part.ATTRIBUTE, "checked"),
    Rule("input#_wp_unfiltered_html_comment_disabled"),
    # A commenter sees the own comment before the moderator does.
    Rule(".comment:has(.comment-awaiting-moderation):not(:has(.comment .comment-awaiting-moderation))"),
    Rule(".comment-awaiting-moderation", Part.FORBIDDEN),
)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of one site."""

    gate: GateRules
    strip: tuple[Rule, ...]
    noise: Noise
    digest: str
    """Changes when any of it changes, or staticify itself: then bytes that are the same are looked at anew."""

    @classmethod
    def of(cls, gate: GateRules, selectors: tuple[str, ...], noise: tuple[str, ...]) -> Rules:
        """The rules of a site with its own selectors to strip and patterns of noise."""
        cuts = (*WORDPRESS_RULES, *(Rule(selector) for selector in selectors))
        everything = repr((__version__, gate, cuts, noise))
        return cls(gate, cuts, Noise(noise), digest(everything.encode())[:16])
