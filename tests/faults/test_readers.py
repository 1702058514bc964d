"""A short run of readers.py, and what it would find."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stage import leaf_of
from versions import version

from faults.readers import CODINGS, PATH, directory, nginx_of, read, reason_to_skip, run
from staticify.encode import Variants, encode

PUBLISHES = 400
CARELESS, ATTEMPTS = 2000, 10
pytestmark = pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip() or "nginx can be started")


def test_readers_see_whole_pages_and_never_an_older_one() -> None:
    tally = run(PUBLISHES, 1)
    assert tally.faults == []
    assert tally.counts["publishes"] == PUBLISHES
    assert all(tally.counts[f"answers, {coding or 'identity'}"] > 0 for coding in CODINGS)
    assert tally.counts["versions seen, by all readers"] > 10


def in_place(leaf: Path, variants: Variants) -> None:
    for suffix, content in variants.by_suffix:
        (leaf / f"index.html{suffix}").write_bytes(content)


def one_after_the_other(leaf: Path, variants: Variants) -> None:
    for suffix, content in variants.by_suffix:
        (leaf / "new").write_bytes(content)
        (leaf / "new").rename(leaf / f"index.html{suffix}")


def anew(leaf: Path, variants: Variants) -> None:
    shutil.rmtree(leaf)
    leaf.mkdir()
    in_place(leaf, variants)


@pytest.mark.parametrize(
    ("careless", "fault"), [(in_place, "IncompleteRead("), (one_after_the_other, " after "), (anew, "no hit: ")]
)
def test_what_a_careless_writer_does_would_be_seen(careless: Callable[[Path, Variants], None], fault: str) -> None:
    with directory() as above, nginx_of(above / "tree", "never") as (port, host, _), ThreadPoolExecutor(1) as threads:
        leaf = leaf_of(above / "tree", PATH, f"http://{host}/")
        leaf.mkdir(parents=True)
        in_place(leaf, encode(version(0, PATH)))

        def is_seen(attempt: int) -> bool:
            is_over = threading.Event()
            reading = threads.submit(read, port, host, is_over.is_set)
            for number in range(1 + attempt * CARELESS, (attempt + 1) * CARELESS):
                careless(leaf, encode(version(number, PATH)))
            is_over.set()
            return any(fault in one for one in reading.result(timeout=30).faults)

        # A matter of chance, which is less kind to a reader who seldom has the processor.
        assert any(map(is_seen, range(ATTEMPTS)))
