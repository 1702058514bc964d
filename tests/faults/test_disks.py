"""A short run of disks.py."""

from __future__ import annotations

import pytest

from faults.disks import KINDS, reason_to_skip, run


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_reported_costs_no_page_and_is_recovered_from(kind: str) -> None:
    if reason := reason_to_skip(kind):
        pytest.skip(reason)
    tally = run(2, 1, kinds=(kind,))
    assert tally.faults == []
    assert tally.counts["disks that were full of bytes"] == 1
    assert tally.counts["disks that were full of files"] == 1
    assert tally.counts["reports of it"] >= 2
