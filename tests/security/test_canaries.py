"""The short run of `canaries`: one scene with a small cast."""

from __future__ import annotations

import pytest
from real.helpers import Stack

from security.canaries import ROLES, play


@pytest.mark.real
def test_nothing_of_one_visitor_is_in_the_tree(stack: Stack) -> None:
    tally = play(stack, 32, seed=9)
    assert tally.faults == []
    assert dict(tally.sequences) == dict.fromkeys(ROLES, 8)
    # Each saw its own text, and the logged-in and the shoppers had nonces of their own.
    assert tally.met == 32
    assert tally.nonces >= 16
    assert tally.publishes > 30
