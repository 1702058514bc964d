"""A short run of strips.py, that it would see what must not be, and that the time is linear in the size."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from faults.strips import SHAPES, fault_of, run, seconds_of
from staticify.html import Document
from staticify.nouns import Cut
from staticify.rules import WORDPRESS_RULES, Part, Rule
from staticify.strip import Stripped, strip

COUNT = 5_000
SEED = int(os.environ.get("STATICIFY_SEED", "20261125"))


def test_what_is_left_of_a_page_is_the_page_less_the_cuts_or_nothing() -> None:
    tally = run(COUNT, SEED)
    assert tally.faults == []
    counts = tally.counts
    refused = sum(count for name, count in counts.items() if name.startswith("refused"))
    assert counts["cut"] + counts["nothing to cut"] + refused == COUNT
    # Most pages are cut, and the strip's own verification is needed.
    assert counts["cut"] > COUNT / 4
    assert counts["cuts"] > 2 * counts["cut"]
    assert counts["refused: what the cuts leave is another page: some element around a cut is not closed"] > 0


BODY = b"<!doctype html><html><head></head><body class='a admin-bar'><p>1</p><p class=x>2</p><p>3</p></body></html>"
RULES = (*WORDPRESS_RULES, Rule(".x"))


def good() -> Stripped:
    return strip(Document(BODY), RULES)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (good(), ""),
        (replace(good(), body=good().body.replace(b"3", b"4")), "bytes outside the cuts differ"),
        (replace(good(), cuts=good().cuts[::-1]), "cuts are out of order"),
        (replace(good(), cuts=(*good().cuts, Cut(0, 9, ""))), "cuts are out of order"),
        (Stripped(BODY, ()), "the DOM is another than the old one less the cut nodes"),
        (
            Stripped(BODY.replace(b"<p>3</p>", b""), (Cut(BODY.index(b"<p>3"), BODY.index(b"</body>"), ""),)),
            "the DOM is another than the old one less the cut nodes",
        ),
    ],
)
def test_a_wrong_cut_would_be_seen(result: Stripped, said: str) -> None:
    assert fault_of(BODY, result, RULES) == said


def test_a_page_that_should_have_been_refused_would_be_seen() -> None:
    assert fault_of(BODY, good(), (*RULES, Rule("p", Part.FORBIDDEN))) == "a page that the rules forbid went out"


@pytest.mark.xfail(strict=True, reason="turbohtml 1.15.4 ends the process on this page: SIGSEGV")
def test_no_page_ends_the_process() -> None:
    page = Path(__file__).parents[1] / "pages" / "ends-the-parser.html"
    code = "import sys, turbohtml; [turbohtml.parse(sys.argv[1], source_locations=True) for _ in range(3)]"
    done = subprocess.run([sys.executable, "-c", code, page.read_text()], check=False, timeout=60)
    assert done.returncode == 0


@pytest.mark.alone
@pytest.mark.parametrize("shape", SHAPES)
def test_the_time_is_linear_in_the_size(shape: str) -> None:
    """Eight times the size: eight times the time, and nowhere near the 64 that a square would take."""
    measured = []
    for _ in range(4):  # A machine that is busy with something else makes one of them long; a square makes all.
        small, large = (seconds_of(shape, size) for size in (100_000, 800_000))
        measured.append(f"{small:.4f} s and {large:.4f} s")
        if large < 20 * small + 0.1:
            return
    raise AssertionError(measured)
