"""What one site wants of its pages, as values with one digest."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys

import pytest
import turbohtml

from staticify.rules import WORDPRESS_RULES, GateRules, Part, Rule, Rules
from staticify.urls import parse_page

GATE = GateRules(parse_page("https://a.example/"), 1_000_000, allow_cookies=("theme",))
RULES = Rules.of(GATE, (".ad", "#promo"), ("<!-- x -->",))


def test_the_operators_selectors_come_after_wordpresss_own_and_take_whole_elements() -> None:
    assert RULES.gate == GATE
    assert RULES.strip == (*WORDPRESS_RULES, Rule(".ad", Part.ELEMENT), Rule("#promo", Part.ELEMENT))
    assert RULES.noise.digest(b"a<!-- x -->b") == RULES.noise.digest(b"ab")


@pytest.mark.parametrize("rule", WORDPRESS_RULES, ids=lambda rule: rule.selector)
def test_each_rule_of_wordpress_can_be_used(rule: Rule) -> None:
    turbohtml.parse("<p>x</p>").select(rule.selector)
    assert bool(rule.attribute) is (rule.part in {Part.ATTRIBUTE, Part.VALUE, Part.CLASSES})
    assert bool(rule.classes) is (rule.part is Part.CLASSES)


@pytest.mark.parametrize(
    "other",
    [
        Rules.of(dataclasses.replace(GATE, max_bytes=2), (".ad", "#promo"), ("<!-- x -->",)),
        Rules.of(dataclasses.replace(GATE, require_html_end=False), (".ad", "#promo"), ("<!-- x -->",)),
        Rules.of(dataclasses.replace(GATE, allow_cookies=()), (".ad", "#promo"), ("<!-- x -->",)),
        Rules.of(dataclasses.replace(GATE, site=parse_page("https://b.example/")), (".ad", "#promo"), ("<!-- x -->",)),
        Rules.of(GATE, (".ad",), ("<!-- x -->",)),
        Rules.of(GATE, ("#promo", ".ad"), ("<!-- x -->",)),
        Rules.of(GATE, (".ad", "#promo"), ()),
        Rules.of(GATE, (".ad",), ("#promo", "<!-- x -->")),
    ],
)
def test_other_rules_have_another_digest(other: Rules) -> None:
    assert other.digest != RULES.digest


def test_the_digest_is_the_same_in_every_process() -> None:
    program = (
        "from staticify.rules import *; from staticify.urls import parse_page\n"
        "gate = GateRules(parse_page('https://a.example/'), 1_000_000, allow_cookies=('theme',))\n"
        "print(Rules.of(gate, ('.ad', '#promo'), ('<!-- x -->',)).digest)"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert digests == [RULES.digest, RULES.digest]
    assert re.fullmatch("[0-9a-f]{16}", RULES.digest)
