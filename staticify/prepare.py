"""What an answer comes to before it reaches the tree: decided upon and stripped. Values in, values out."""

from __future__ import annotations

from staticify.content import decide_body, standing_in
from staticify.gate import FORBIDDEN, kind_of
from staticify.html import Document
from staticify.nouns import Answer, Kind, Outcome, Prepared, Verdict
from staticify.rules import Rules
from staticify.strip import CannotCut, Stripped, strip


def prepare(answer: Answer, rules: Rules) -> Prepared:
    """Decide on the content of an answer and strip it. Pure, and too slow for the event loop."""
    document = Document(answer.body) if kind_of(answer) is Kind.HTML else None
    verdict = decide_body(answer, document, rules.gate)
    if not verdict.is_publishable:
        return Prepared(verdict)
    try:
        stripped = strip(document, rules.strip) if document is not None else Stripped(answer.body, ())
    except CannotCut as error:
        return Prepared(Verdict("cannot-strip", Outcome.REFUSED, str(error)))
    is_html, gate = document is not None, rules.gate
    if found := standing_in(stripped.body, gate.forbid, is_html=is_html):
        reason = f"the page has what must never go out: {min(marker.written for marker in found)}"
        return Prepared(Verdict(FORBIDDEN, Outcome.REFUSED, reason))
    there = standing_in(stripped.body, gate.require, is_html=True) if is_html else frozenset(gate.require)
    missing = tuple(marker.written for marker in gate.require if marker not in there)
    return Prepared(verdict, stripped.body, stripped.cuts, rules.noise.digest(stripped.body), missing)
