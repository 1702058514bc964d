"""How many pages may go in a while."""

from __future__ import annotations

from staticify.losses import ALWAYS, SHARE, Losses

SECONDS = 60.0


def admitted(losses: Losses, now: float, count: int, standing: int) -> int:
    return sum(losses.admit(now, SECONDS, lambda: standing) for _ in range(count))


def test_a_few_go_always_and_of_many_a_share() -> None:
    assert admitted(Losses(), 0, 100, 0) == ALWAYS
    assert admitted(Losses(), 0, 100, ALWAYS * SHARE + SHARE) == ALWAYS + 1
    assert admitted(Losses(), 0, 1000, 5000) == 5000 // SHARE


def test_each_makes_room_for_another_when_its_time_is_over() -> None:
    losses = Losses()
    assert admitted(losses, 0, 2, 10) == 2
    assert admitted(losses, 30, 100, 10) == ALWAYS - 2
    assert admitted(losses, 59.9, 1, 10) == 0
    assert admitted(losses, 60, 100, 10) == 2
    assert admitted(losses, 200, 100, 10) == ALWAYS


def test_what_counts_for_a_shorter_time_is_not_forgotten_for_a_longer_one() -> None:
    """The journal falls silent for a moment, and speaks again."""
    losses = Losses()
    assert admitted(losses, 0, ALWAYS, 10) == ALWAYS
    assert losses.has_room(30, 3600, lambda: 10) is False
    assert losses.has_room(90, SECONDS, lambda: 10) is True
    assert losses.has_room(100, 3600, lambda: 10) is False


def test_a_share_of_what_is_left_goes_next() -> None:
    losses = Losses()
    assert admitted(losses, 0, 1000, 2000) == 200
    losses.admit(30, SECONDS, lambda: 100)
    assert admitted(losses, 61, 1000, 100) == 100 // SHARE


def test_nothing_counts_while_an_operator_says_that_many_may_go() -> None:
    losses = Losses()
    losses.lift(10)
    assert admitted(losses, 9, 100, 10) == 100
    assert admitted(losses, 10, 100, 10) == 0


def test_how_many_there_are_is_asked_once_in_a_while() -> None:
    asked: list[int] = []

    def standing() -> int:
        asked.append(1)
        return 1000

    losses = Losses()
    for _ in range(100):
        losses.admit(0, SECONDS, standing)
    assert asked == [1]
