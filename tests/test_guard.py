"""How much WordPress is asked, and when it is not."""

from __future__ import annotations

import itertools
import random
from email.utils import formatdate

import pytest

from staticify.guard import (
    FAILURES_IN_A_ROW,
    GOOD_IN_A_ROW,
    LEAST,
    MOST_RETRY_AFTER_SECONDS,
    PROBE_SECONDS,
    RESERVED_SECONDS,
    Guard,
    backoff_seconds,
    retry_after_seconds,
)

NOW = 1_700_000_000.0


def armed(most: int = 8) -> Guard:
    guard = Guard(most)
    guard.is_armed = True
    return guard


def broken(at: float = 0.0, most: int = 8) -> Guard:
    guard = armed(most)
    began = [guard.fail(f"/{number}/", "no", at, at) for number in range(FAILURES_IN_A_ROW)]
    assert began == [False] * (FAILURES_IN_A_ROW - 1) + [True]
    return guard


def test_it_begins_with_all_that_the_operator_allows() -> None:
    assert Guard(8).limit == 8


def test_a_failure_halves_and_a_round_of_good_answers_adds_one() -> None:
    guard = Guard(8)
    guard.fail("/", "no", 1.0, 2.0)
    assert guard.limit == 4
    for number in range(4):
        guard.succeed("/", 3.0 + number, 0.1)
    assert guard.limit in {4, 5}
    for number in range(100):
        guard.succeed("/", 10.0 + number, 0.1)
    assert guard.limit == 8


def test_those_that_were_under_way_count_as_one_failure() -> None:
    guard = Guard(8)
    for _ in range(7):
        guard.fail("/", "no", 1.0, 2.0)
    assert guard.limit == 4
    guard.fail("/", "no", 2.5, 3.0)
    assert guard.limit == 2


@pytest.mark.parametrize("most", [1, 2, 4, 256])
def test_one_that_hangs_does_not_hold_up_all_others(most: int) -> None:
    guard = Guard(most)
    for number in range(50):
        guard.fail("/", "no", float(number), number + 0.5)
    assert guard.limit == min(most, LEAST)


def test_a_failure_after_the_probe_is_no_reason_for_more() -> None:
    guard = broken(at=0.0)
    for _ in range(GOOD_IN_A_ROW):
        guard.succeed("/", PROBE_SECONDS, 0.1)
    guard.fail("/", "no", PROBE_SECONDS + 1, PROBE_SECONDS + 2)
    assert guard.limit == 1


def test_answers_that_take_much_longer_than_usual_shrink_it_and_a_new_usual_lets_it_grow() -> None:
    guard = Guard(8)
    times = iter(range(10_000))
    for _ in range(50):
        guard.succeed("/", float(next(times)), 0.2)
    for _ in range(20):
        guard.succeed("/", float(next(times)), 2.0)
    assert guard.limit < 4
    for _ in range(500):
        guard.succeed("/", float(next(times)), 2.0)
    assert guard.limit == 8


def test_a_slow_page_among_fast_ones_is_no_sign_of_anything() -> None:
    guard = Guard(8)
    for number in range(300):
        guard.succeed(f"/{number % 3}/", float(number), (0.004, 0.1, 3.0)[number % 3])
    assert guard.limit == 8


def test_a_cache_in_wordpress_that_misses_now_and_then_is_none_either() -> None:
    guard = Guard(8)
    chance = random.Random(1)
    limits = []
    for number in range(2000):
        guard.succeed(f"/{number % 50}/", float(number), 2.0 if chance.random() < 0.2 else 0.01)
        limits.append(guard.limit)
    assert sum(limits) / len(limits) > 7.5


def test_after_failures_in_a_row_it_is_one_probe_at_a_time() -> None:
    guard = broken(at=100.0)
    asked = [now / 10 for now in range(1000, 13_000) if guard.admit(now / 10) is None]
    assert len(asked) == 1200 / PROBE_SECONDS - 1
    assert min(later - sooner for sooner, later in itertools.pairwise(asked)) >= PROBE_SECONDS


def test_a_failed_probe_leaves_it_broken_and_a_good_one_begins_with_one_at_a_time() -> None:
    guard = broken(at=0.0)
    assert guard.admit(PROBE_SECONDS) is None
    assert not guard.fail("/", "still no", PROBE_SECONDS, PROBE_SECONDS + 1)
    assert guard.admit(PROBE_SECONDS + 2) is not None
    assert guard.admit(2 * PROBE_SECONDS + 1) is None
    now = 2 * PROBE_SECONDS + 1
    for number in range(GOOD_IN_A_ROW):
        assert guard.admit(now + 0.05) is not None, "one at a time"
        assert guard.succeed(f"/{number}/", now, 0.1) is (number == GOOD_IN_A_ROW - 1)
        now += 0.1
        assert guard.admit(now) is None, "the next one at once"
    assert (guard.limit, guard.failures, guard.pause(now)) == (1, 0, None)


def test_a_file_that_the_server_sends_by_itself_ends_no_pause() -> None:
    """The robots.txt is well, all of PHP is dead."""
    guard, now, asked = broken(at=0.0), 0.0, 0
    while now < 100 * PROBE_SECONDS:
        if guard.admit(now) is None:
            asked += 1
            if asked % 2:
                assert not guard.succeed("/robots.txt", now, 0.001)
            else:
                guard.fail("/", "no", now, now)
        now += 0.5
    assert guard.pause(now) is not None
    assert asked <= 2 * 100


def minutes(guard: Guard, well: set[int], pages: int, count: int, since: int = 0) -> int:
    """Each page, of which the first three are files, is asked for once a minute. How many fetches were made."""
    asked = 0
    for minute in range(since, since + count):
        for page in range(pages):
            now = 60.0 * (minute + page / pages)
            if guard.admit(now) is None:
                asked += 1
                name = f"GET /{page}.txt" if page < 3 else f"GET /{page}/"
                if page in well:
                    guard.succeed(name, now, 0.01)
                else:
                    guard.fail(name, "WordPress answers 502", now, now + 0.01, is_of_page=True)
    return asked


def test_files_that_the_server_sends_by_itself_hide_no_dead_wordpress() -> None:
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    assert minutes(guard, set(range(51)), 51, 5) == 5 * 51
    # A minute and a half, and then one probe in half a minute; after a good one another at once.
    assert minutes(guard, {0, 1, 2}, 51, 600, since=5) < 2 * 51 + 2 * 600 * 4
    assert guard.pause(605 * 60.0) is not None
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    assert minutes(guard, {0, 1, 2}, 8, 10) < 8 + 2 * 10 * 4, "it was dead from the beginning, and the site is small"


@pytest.mark.parametrize("well", [{5}, {0, 5}, set(range(0, 10, 2))])
def test_one_page_that_is_well_is_enough(well: set[int]) -> None:
    """Nine of ten pages fail: the other must not wait for them."""
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    assert minutes(guard, set(range(10)), 10, 5) == 50
    assert minutes(guard, well, 10, 60, since=5) == 600


def test_where_few_are_asked_for_a_page_that_fails_again_and_again_pauses_nothing() -> None:
    """In journal mode: a thousand pages were rendered for a new theme, and then the sweep asks for 16 a minute."""
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    assert minutes(guard, set(range(1000)), 1000, 1) == 1000
    assert minutes(guard, set(range(16)), 24, 60, since=1) == 24 * 60


def test_a_site_of_files_alone_is_well_if_they_are() -> None:
    guard = armed()
    for day in range(2 * FAILURES_IN_A_ROW):
        assert not guard.fail("GET /feed.json", "no", 1000.0 * day, 1000.0 * day)
        guard.succeed("GET /feed.json", 1000.0 * day + 60, 0.1)
    assert guard.failures == 0


def test_files_end_no_pause_however_many_they_are() -> None:
    guard = broken(at=0.0)
    now = 0.0
    for page in range(5 * GOOD_IN_A_ROW):
        now += 1000.0
        assert guard.admit(now) is None
        assert not guard.succeed(f"/{page}.txt", now, 0.01)
        guard.fail("/", "no", now + 0.5, now + 0.5)
    assert guard.pause(now) is not None


def test_where_some_pages_are_well_those_that_fail_keep_no_pause_up() -> None:
    """WordPress is back, and a plugin breaks nine pages of ten."""
    guard, now, asked = broken(at=0.0), 0.0, 0
    while guard.pause(now) is not None and now < 3600:
        if guard.admit(now) is None:
            asked += 1
            if asked % 10:
                guard.fail(f"/{asked}/", "no", now, now)
            else:
                guard.succeed(f"/{asked}/", now, 0.1)
        now += 0.5
    assert now <= (10 * GOOD_IN_A_ROW + 1) * PROBE_SECONDS


def test_where_pages_come_round_slowly_a_few_that_fail_are_still_their_own_matter() -> None:
    """Of a small site eight pages fail, and are tried again and again before the one that is well has its turn."""
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    guard.succeed("/", 0.0, 0.1)
    assert not any(guard.fail(f"/{n}/", "no", float(n), float(n)) for n in range(1, 60))
    assert guard.admit(60.0) is None
    assert guard.fail("/", "no", 100.0, 100.0), "by then something well would have been seen"


@pytest.mark.parametrize(("well", "bad"), [(1, 1), (1, 5), (2, 3), (5, 30)])
def test_a_pause_ends_however_few_pages_are_well(well: int, bad: int) -> None:
    """WordPress was dead and is back, and some pages fail for good."""
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    assert minutes(guard, set(), 3 + well + bad, 60) < 60 * 5
    for since in range(60, 60 + 10 * (well + bad)):
        minutes(guard, set(range(3, 3 + well)), 3 + well + bad, 1, since=since)
        if guard.pause((since + 1) * 60.0) is None:
            break
    assert guard.pause((since + 1) * 60.0) is None


@pytest.mark.parametrize("well", [1, 5])
def test_an_edit_that_breaks_nearly_all_pages_lets_those_that_are_well_have_their_turn(well: int) -> None:
    """A large site: hundreds fail one after the other before one has its turn that is well."""
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    assert minutes(guard, set(range(350)), 350, 5) == 5 * 350
    assert minutes(guard, set(range(100, 100 + well)), 350, 10, since=5) == 10 * 350


def test_a_page_whose_connection_is_reset_each_time_keeps_no_pause_up() -> None:
    """WordPress is back, and one page of three still ends the process that makes it."""
    guard, now = broken(at=0.0), 0.0
    for _ in range(GOOD_IN_A_ROW):
        now += 2 * PROBE_SECONDS
        assert guard.admit(now) is None
        guard.succeed("/", now, 0.1)
        guard.fail("/reset/", "reset", now + 1, now + 1, is_answer=False)
        assert guard.failures == 1
    assert guard.pause(now + 1) is None


def test_a_good_probe_of_long_ago_ends_no_pause() -> None:
    guard, now = broken(at=0.0), 0.0
    for _ in range(5 * GOOD_IN_A_ROW):
        now += 2 * PROBE_SECONDS
        assert guard.admit(now) is None
        assert not guard.succeed("/", now, 0.1)
        now += 2 * PROBE_SECONDS
        assert guard.admit(now) is None
        guard.fail("/", "no", now, now)
    assert guard.pause(now) is not None


def test_a_journal_that_answers_hides_no_broken_wordpress() -> None:
    """A theme with a fatal error: the plugin answers its questions before that is loaded, each page is a 500."""
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    assert minutes(guard, set(range(30)), 30, 5) == 5 * 30
    pages = questions = 0
    question_at = 300.0
    for second in range(300, 3900):
        if second >= question_at:
            pause = guard.admit(second, is_question=True)
            question_at = second + 60 if pause is None else pause.until
            if pause is None:
                questions += 1
                guard.succeed("question", second, 0.01, is_aside=True)
        if second % 2 and guard.admit(second + 0.5) is None:
            pages += 1
            guard.fail(f"/{second // 2 % 30}/", "WordPress answers 500", second + 0.5, second + 0.6, is_of_page=True)
    assert questions > 20
    assert 40 < pages < 45 + 120
    assert guard.pause(65 * 60.0) is not None


def test_a_journal_that_answers_again_ends_a_pause() -> None:
    """At rest nothing but questions is asked."""
    guard, now = broken(at=0.0), PROBE_SECONDS
    guard.fail("question", "reset", now, now, is_answer=False)
    for number in range(GOOD_IN_A_ROW):
        now += 2 * PROBE_SECONDS
        assert guard.admit(now, is_question=True) is None
        assert guard.succeed("question", now, 0.01, is_aside=True) is (number == GOOD_IN_A_ROW - 1)
    assert guard.pause(now) is None


@pytest.mark.parametrize("gone", ["GET /wp-cron.php", "GET /deleted/", "GET /unlisted/"])
def test_what_is_asked_for_no_more_keeps_no_pause_from_beginning(gone: str) -> None:
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    guard.succeed(gone, 0.0, 0.1)
    guard.succeed(gone, 1.0, 0.1, is_there=gone != "GET /deleted/", is_aside=gone == "GET /wp-cron.php")
    if gone != "GET /deleted/":
        guard.forget(gone)
    assert minutes(guard, set(range(8)), 8, 2) == 16
    assert minutes(guard, {0, 1, 2}, 8, 60, since=2) < 8 * 3 + 60 * 5
    assert guard.pause(62 * 60.0) is not None


def test_what_is_no_page_hides_no_dead_wordpress() -> None:
    """WP-Cron runs no theme."""
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    assert minutes(guard, set(range(30)), 30, 5) == 150
    asked = 0
    for minute in range(5, 65):
        guard.succeed("GET /wp-cron.php", 60.0 * minute, 0.1, is_aside=True)
        asked += minutes(guard, set(), 30, 1, since=minute)
    assert asked < 90 + 60 * 3


def test_a_journal_that_answers_lets_no_crowd_at_pages_that_fail() -> None:
    guard = broken(at=0.0)
    guard.fail("question", "reset", PROBE_SECONDS, PROBE_SECONDS, is_answer=False)
    now = 3 * PROBE_SECONDS
    assert guard.admit(now, is_question=True) is None
    assert not guard.succeed("question", now, 0.01, is_aside=True)
    asked = 0
    for step in range(800):
        moment = now + 0.02 + step * 0.1
        if guard.admit(moment) is None:
            asked += 1
            guard.fail(f"/{step % 30}/", "no", moment, moment + 0.01)
    assert asked <= 80 / PROBE_SECONDS + 1


def test_one_page_that_fails_or_hangs_pauses_no_other() -> None:
    """In journal mode, where nothing else is due, after a start and later."""
    for known in ((), ("/a/", "/b/")):
        guard = Guard(8, quiet_seconds=90.0)
        guard.is_armed = True
        for page in known:
            guard.succeed(page, 0.0, 0.1)
        assert not any(guard.fail("/slow/", "no", 100.0 + n, 120.0 + n) for n in range(60))


def test_a_page_whose_connection_is_reset_is_no_sign_that_nobody_is_there_while_the_journal_answers() -> None:
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    for page in ("/", "/reset/"):
        guard.succeed(page, 0.0, 0.1)
    for minute in range(2, 60):
        assert guard.admit(60.0 * minute, is_question=True) is None
        guard.succeed("question", 60.0 * minute, 0.01, is_aside=True)
        for second in (10, 40):
            assert not guard.fail("/reset/", "reset", 60.0 * minute, 60.0 * minute + second, is_answer=False)
    assert guard.admit(3600.0) is None


def test_a_page_that_is_asked_for_more_often_than_others_pauses_them_not() -> None:
    """The home page fails each minute, and others, which are well, have an interval of an hour."""
    guard = Guard(8, quiet_seconds=90.0)
    guard.is_armed = True
    assert minutes(guard, set(range(20)), 20, 1) == 20
    assert not any(guard.fail("/", "no", 60.0 * minute, 60.0 * minute) for minute in range(2, 60))
    assert guard.admit(3600.0) is None


def test_one_good_answer_ends_the_count() -> None:
    guard = armed()
    for round_ in range(10):
        for _ in range(FAILURES_IN_A_ROW - 1):
            assert not guard.fail("/", "no", round_, round_)
        guard.succeed("/", round_, 0.1)
    assert guard.admit(11.0) is None


@pytest.mark.parametrize("is_answer", [True, False])
def test_pages_that_fail_beside_others_that_do_not_are_their_own_matter(*, is_answer: bool) -> None:
    """A plugin breaks every single post, the home page is well: WordPress is there. Where nobody answers it is not."""
    guard = armed()
    guard.succeed("/", 0.0, 0.1)
    began = [guard.fail(f"/{n}/", "no", n * 0.1, n * 0.1 + 0.01, is_answer=is_answer) for n in range(200)]
    assert any(began) is not is_answer
    assert guard.fail("/x/", "no", 40.0, 40.0) is is_answer  # Nothing good for too long.


def test_a_question_to_the_journal_is_the_next_probe() -> None:
    guard = broken(at=0.0)
    assert guard.admit(1.0, is_question=True) is not None
    assert guard.admit(PROBE_SECONDS) is not None, "a page"
    assert guard.admit(PROBE_SECONDS + 0.1, is_question=True) is None
    assert guard.admit(PROBE_SECONDS + 0.2) is not None
    # Nobody asks: a page may.
    assert guard.admit(PROBE_SECONDS + 1, is_question=True) is not None
    assert guard.admit(2 * PROBE_SECONDS + 0.2 + RESERVED_SECONDS) is None


def test_a_single_pass_tries_each_page() -> None:
    guard = Guard(8)
    assert not any(guard.fail("/", "no", 0.0, 0.0) for _ in range(100))
    assert guard.admit(1.0) is None


def test_one_page_that_asks_to_be_left_alone_speaks_for_itself() -> None:
    guard = armed()
    guard.succeed("/", 0.0, 0.1)
    for second in range(1, 5):
        assert not guard.fail("/soon/", "WordPress answers 503", second, second, retry_after=600)
        assert guard.admit(second) is None


def test_the_only_page_of_a_site_speaks_for_all() -> None:
    guard = armed()
    guard.succeed("/", 0.0, 0.1)
    assert not guard.fail("/", "WordPress answers 429", 20.0, 20.0, retry_after=300)
    assert guard.fail("/", "WordPress answers 429", 60.0, 60.0, retry_after=300)
    assert guard.admit(359.0) is not None
    assert guard.admit(360.0) is None


def test_pages_that_are_to_come_soon_pause_nothing_while_others_are_well() -> None:
    guard = armed()
    guard.succeed("/", 0.0, 0.1)
    for number in range(20):
        assert not guard.fail(f"/{number}/", "503", 1.0, 1.0, retry_after=600, is_of_page=True)
    assert guard.admit(2.0) is None


def test_an_upgrade_is_let_alone_when_nothing_was_well_for_a_while() -> None:
    guard = armed()
    guard.succeed("/", 0.0, 0.1)
    for page in ("/a/", "/b/"):
        guard.fail(page, "503", 40.0, 40.0, retry_after=60, is_of_page=True)
    pause = guard.admit(41.0)
    assert pause is not None
    assert "Retry-After" in pause.reason


def test_after_a_pause_one_page_speaks_for_itself_again() -> None:
    guard = armed()
    for page in ("/a/", "/b/"):
        guard.fail(page, "429", 0.0, 0.0, retry_after=20)
    assert guard.admit(20.0) is None
    assert not guard.fail("/a/", "429", 21.0, 21.0, retry_after=20)
    assert guard.admit(22.0) is None


def test_retry_after_of_two_pages_is_kept_by_a_single_pass_too_and_begins_with_one_at_a_time() -> None:
    guard = Guard(8)
    assert not guard.fail("/a/", "WordPress answers 429", 0.0, 0.0, retry_after=20)
    assert guard.fail("/b/", "WordPress answers 429", 0.0, 0.0, retry_after=20)
    assert not guard.fail("/c/", "WordPress answers 429", 0.0, 1.0, retry_after=5)
    pause = guard.admit(19.9)
    assert pause is not None
    assert "it asks for 20 s (Retry-After)" in pause.reason
    assert guard.admit(19.9, is_question=True) is None
    assert guard.admit(20.0) is None
    assert (guard.limit, guard.pause(20.0)) == (1, None)


def test_a_short_retry_after_does_not_keep_a_dead_wordpress_busy() -> None:
    guard = armed()
    for number in range(FAILURES_IN_A_ROW):
        guard.fail(f"/{number}/", "WordPress answers 503", 0.0, 0.0, retry_after=1)
    assert guard.admit(PROBE_SECONDS - 1) is not None
    assert guard.admit(PROBE_SECONDS) is None
    assert guard.admit(PROBE_SECONDS + 1) is not None


def test_retry_after_has_a_bound() -> None:
    guard = Guard(8)
    for page in ("/a/", "/b/"):
        guard.fail(page, "WordPress answers 429", 0.0, 0.0, retry_after=1e9)
    assert guard.admit(MOST_RETRY_AFTER_SECONDS) is None


def test_full_jitter_is_anything_up_to_twice_as_long_each_time() -> None:
    assert [backoff_seconds(failures, 60, 0.5) for failures in (1, 2, 3, 20, 10**9)] == [1, 2, 4, 30, 30]
    assert [backoff_seconds(1, 60, 0.5, together) for together in (1, 10, 350)] == [1, 5, 30]
    waits = [backoff_seconds(3, 60, random.Random(seed).random()) for seed in range(1000)]
    assert min(waits) < 0.5
    assert 7.5 < max(waits) < 8


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120), (" 7 ", 7), ("0", 0), ("", 0), ("-5", 0), ("soon", 0), ("9" * 1000, 999_999_999), ("1.5", 0),
        ("\u0661", 0), (formatdate(NOW + 90, usegmt=True), 90), (formatdate(NOW - 90, usegmt=True), 0),
    ],
)  # fmt: skip
def test_retry_after_in_both_of_its_forms(value: str, expected: float) -> None:
    assert retry_after_seconds(value, NOW) == expected


def test_a_question_that_fails_leaves_the_next_probe_to_a_page() -> None:
    """Where POST alone is refused, no page would ever be asked for."""
    guard = broken()
    now = PROBE_SECONDS + 1
    assert guard.admit(now, is_question=True) is None
    guard.fail("question", "reset", now, now, is_answer=False)
    pause = guard.admit(now + 1, is_question=True)
    assert pause is not None
    # It is to come when a page has had time to.
    assert pause.until > now + PROBE_SECONDS
    assert guard.admit(now + PROBE_SECONDS, is_question=True) is not None
    assert guard.admit(now + PROBE_SECONDS) is None
    guard.fail("page", "reset", now + PROBE_SECONDS, now + PROBE_SECONDS, is_answer=False)
    assert guard.admit(now + 2 * PROBE_SECONDS, is_question=True) is None


def test_a_question_goes_on_probing_where_no_page_asks() -> None:
    guard = broken()
    now, probes = PROBE_SECONDS + 1, 0
    for _ in range(10):
        pause = guard.admit(now, is_question=True)
        if pause is None:
            probes += 1
            guard.fail("question", "reset", now, now, is_answer=False)
            now += PROBE_SECONDS
        else:
            now = pause.until
    assert probes == 5
