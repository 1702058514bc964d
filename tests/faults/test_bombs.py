"""The short run of `bombs`: each twice, and as many cancellations as fit into a second or two."""

from __future__ import annotations

import pytest

from faults.bombs import AT_ONCE, CANCELLATIONS_FOR_EACH, MAX_GROWTH_BYTES, MISDEEDS, run


@pytest.mark.alone
def test_memory_time_and_slots_stay_bounded() -> None:
    count = 2 * len(MISDEEDS)
    tally = run(count, seed=3)
    assert tally.faults == []
    assert dict(tally.bombs) == dict.fromkeys(MISDEEDS, 2)
    assert 0 < tally.growth_bytes <= MAX_GROWTH_BYTES
    # The bombs went off: each kind of trouble was met, and some deadline was all used up.
    assert {"timeout", "too-large", "malformed", "incomplete", "unreachable"} <= set(tally.errors)
    assert tally.latest_seconds > 0
    assert tally.cancellations >= CANCELLATIONS_FOR_EACH * count
    assert tally.slots == AT_ONCE
