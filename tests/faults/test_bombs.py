"""The short run of `bombs`: each once, and as many cancellations as fit into a second or two."""

from __future__ import annotations

import pytest

from faults.bombs import AT_ONCE, CANCELLATIONS_FOR_EACH, MAX_GROWTH_BYTES, MISDEEDS, run


@pytest.mark.alone
def test_memory_time_and_slots_stay_bounded() -> None:
    count = len(MISDEEDS)
    tally = run(count, seed=3)
    assert tally.faults == []
    assert dict(tally.bombs) == dict.fromkeys(MISDEEDS, 1)
    assert 0 < tally.growth_bytes <= MAX_GROWTH_BYTES
    # The bombs went off: drips used up their deadlines, what is no HTTP was none, and what went on and on was too much.
    assert {"timeout", "malformed", "too-large"} <= set(tally.errors)
    assert tally.cancellations >= CANCELLATIONS_FOR_EACH * count
    assert tally.slots == AT_ONCE
