"""Which of several addresses is asked first, by a clock that the test sets."""

from __future__ import annotations

from staticify.addresses import UNREACHABLE_SECONDS, Addresses

FIRST, SECOND = "http://192.0.2.1", "http://192.0.2.2"
DEADLINE_SECONDS = 20.0


def test_an_address_that_is_not_needed_any_more_is_not_called_of_no_use_for_ever() -> None:
    """Nobody asks whether it is back, where the first one answers."""
    addresses = Addresses([FIRST, SECOND], DEADLINE_SECONDS)
    for one in (FIRST, SECOND):
        addresses.put_last(one, 0.0)
    said = [addresses.last(0.0)]
    for now in (UNREACHABLE_SECONDS, 2 * UNREACHABLE_SECONDS):
        turn = addresses.turns(now)[0]
        assert turn.address == FIRST
        addresses.note_good(turn)
        said.append(addresses.last(now))
    assert said == [(FIRST, SECOND), (SECOND,), ()]


def test_an_address_that_hangs_whenever_it_is_tried_is_called_so_all_the_while() -> None:
    addresses = Addresses([FIRST, SECOND], DEADLINE_SECONDS)
    addresses.note_silent(FIRST, "/a/", 0.0)
    assert addresses.last(0.0) == ()
    assert addresses.silent_to("/a/", SECOND) == [FIRST]
    addresses.put_last(FIRST, 0.0)
    now = 0.0
    for _ in range(9):
        now += UNREACHABLE_SECONDS
        assert addresses.last(now) == (FIRST,)
        turn = addresses.turns(now)[0]
        assert (turn.address, turn.patience_seconds) == (FIRST, DEADLINE_SECONDS / 2)
        now += DEADLINE_SECONDS / 2
        assert addresses.last(now) == (FIRST,)
        addresses.note_silent(FIRST, "/b/", now)
