"""Answers that could go out and are held back: each lacks something, until two later fetches agree on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from staticify.brief import brief
from staticify.gate import DATABASE_ERROR
from staticify.looks import Lack, is_about
from staticify.nouns import Outcome, Record, Verdict

FETCHES_THAT_AGREE = 2
"""Later ones, with an answer that is held back: then it is meant."""


def lack_with(errors: tuple[str, ...], left_bytes: int, lack: Lack | None = None) -> Lack:
    """What an answer may lack that WordPress made with errors of its database, beside what is seen to be missing."""
    others = f" and {len(errors) - 1} more" if errors[1:] else ""
    also = f", and {lack.reason}" if lack is not None else ""
    reason = f"WordPress's database refused something: {brief(errors[0])}{others}{also}"
    return Lack(DATABASE_ERROR, reason, left_bytes, is_sure=lack is not None)


def hold(
    before: Record, lack: Lack, doubt_of_shrink: Callable[[], str], what_then: str = "published"
) -> tuple[Record, Verdict] | None:
    """Hold an answer back that lacks something. None once two later fetches agreed on it: then it is meant.

    `doubt_of_shrink` is asked by then, of what is sure to have less than what stands, and says why it stays for all
    that; `what_then` becomes of the page if not.
    """
    # What may lack nothing agrees whatever its size: chance shows one thing or another, each time anew.
    left = lack.left_bytes if lack.is_sure else -1
    is_same = left < 0 or (before.held_bytes >= 0 and is_about(left, before.held_bytes))
    count = before.held_count + 1 if before.held_for == lack.name and is_same else 1
    if count > FETCHES_THAT_AGREE:
        doubt = doubt_of_shrink() if lack.is_sure else ""
        if not doubt:
            return None
        until = f"kept, because {doubt}; {what_then}"
    elif count == FETCHES_THAT_AGREE:
        until = f"{what_then} if the next fetch agrees, or"
    else:
        until = f"{what_then} if two later fetches agree, or"
    somebody = "WordPress says that it changed (`staticify purge` says so too)"
    # A change is no reason to believe in a page that was made without what the database refused.
    word = "`staticify purge URL` names it" if lack.name == DATABASE_ERROR else somebody
    held = replace(before, held_for=lack.name, held_bytes=left, held_count=count)
    return held, Verdict(lack.name, Outcome.KEPT, f"{lack.reason}; {until} if {word}")


def is_held(record: Record) -> bool:
    """True if the page's last answer is held back."""
    return record.is_published and record.outcome is Outcome.KEPT and record.verdict == record.held_for != ""
