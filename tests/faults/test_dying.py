"""An origin that fails, dies and comes back, in a few scaled intervals."""

from __future__ import annotations

import pytest

from faults import dying


@pytest.mark.alone
def test_an_origin_that_fails_and_dies_is_left_alone_and_comes_back_without_a_stampede() -> None:
    tally = dying.run(2, 1)
    assert tally.faults == []
    assert {"good", "500", "reset", "half"} <= set(tally.answers)
    assert len(tally.ages) > dying.PAGES / 2
    assert tally.probes >= 2
    assert tally.ramp[0] == 1
