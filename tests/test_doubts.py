"""For how long pages have been in doubt."""

from __future__ import annotations

import pytest

from staticify.doubts import LASTING_SECONDS, Doubts

URL = "https://example.org/1/"
NOW = 1_000_000.0


class Clock:
    """A monotonic clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def doubts(clock: Clock) -> Doubts:
    return Doubts(clock)


def test_a_doubt_lasts_by_the_monotonic_clock_alone(clock: Clock, doubts: Doubts) -> None:
    doubts.note(URL, NOW, NOW)
    doubts.note(URL, NOW, NOW + 10 * LASTING_SECONDS)
    assert not doubts.is_lasting(URL)
    clock.now += LASTING_SECONDS - 1
    assert not doubts.is_lasting(URL)
    clock.now += 1
    assert doubts.is_lasting(URL)
    assert not doubts.is_lasting("https://example.org/2/")


def test_one_of_an_earlier_process_lasts_from_when_it_began(clock: Clock, doubts: Doubts) -> None:
    doubts.note(URL, NOW - LASTING_SECONDS + 10, NOW)
    assert not doubts.is_lasting(URL)
    clock.now += 10
    assert doubts.is_lasting(URL)


@pytest.mark.parametrize("doubted_at", [0.0, NOW + 1])
def test_one_that_ended_or_began_anew_does_not_last(clock: Clock, doubts: Doubts, doubted_at: float) -> None:
    doubts.note(URL, NOW, NOW)
    clock.now += LASTING_SECONDS
    doubts.note(URL, doubted_at, NOW + 1)
    assert not doubts.is_lasting(URL)


def test_what_is_away_for_long_goes_unless_its_last_answer_was_another(clock: Clock, doubts: Doubts) -> None:
    assert not doubts.count_away(URL, NOW, NOW, was_so=False)
    clock.now += LASTING_SECONDS
    assert not doubts.count_away(URL, NOW, NOW, was_so=False)
    assert doubts.count_away(URL, NOW, NOW, was_so=False)  # It alternates.
    assert doubts.count_away(URL, NOW, NOW, was_so=True)


def test_the_doubt_of_a_firewall_begins_with_its_first_answer(clock: Clock, doubts: Doubts) -> None:
    assert doubts.count_block(URL, 0.0, NOW, was_so=False) == 0
    doubts.note(URL, NOW, NOW)
    clock.now += LASTING_SECONDS
    # An error in between is no other answer; one that is away is.
    assert doubts.count_block(URL, NOW, NOW + 5, was_so=False) == NOW
    assert doubts.is_lasting(URL)
    doubts.count_away(URL, NOW, NOW + 6, was_so=False)
    assert doubts.count_block(URL, NOW, NOW + 7, was_so=False) == NOW + 7
    assert not doubts.is_lasting(URL)
    # Another process saw the first of them.
    assert Doubts(clock).count_block(URL, NOW, NOW + 7, was_so=True) == NOW


def test_what_a_firewall_says_between_makes_what_is_away_last_no_longer(clock: Clock, doubts: Doubts) -> None:
    doubts.count_away(URL, 0.0, NOW, was_so=False)
    doubts.note(URL, NOW, NOW)
    clock.now += LASTING_SECONDS - 60
    blocked_at = doubts.count_block(URL, NOW, NOW + LASTING_SECONDS - 60, was_so=False)
    assert not doubts.is_lasting(URL)
    clock.now += 60
    assert not doubts.count_away(URL, blocked_at, NOW + LASTING_SECONDS, was_so=False)
    assert doubts.count_away(URL, blocked_at, NOW + LASTING_SECONDS + 60, was_so=True)
    doubts.note(URL, 0.0, NOW + LASTING_SECONDS + 90)
    assert not doubts.count_away(URL, 0.0, NOW + LASTING_SECONDS + 120, was_so=False)
    assert not doubts.count_away(URL, NOW + LASTING_SECONDS + 120, NOW + LASTING_SECONDS + 180, was_so=True)
