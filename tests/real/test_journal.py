"""The whole way of a change: editor, plugin, journal, webhook, daemon, tree, nginx; on a real WordPress."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from real.helpers import Post, Stack, free_ports, stop, wait_for
from real.oracle import Watched, difference, run, watched
from staticify.urls import Page, parse_page

EDITS = 25


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory, journal_stack: tuple[Stack, int]) -> Iterator[Watched]:
    """A daemon in journal mode, over a WordPress with the plugin that knows its address."""
    stack, port = journal_stack
    with watched(stack, port, stack.make_directory()) as one:
        yield one


def front(one: Watched, path: str) -> bytes:
    """What a visitor gets; only from the tree."""
    reply = one.stack.from_front(path)
    return reply.body if reply.status == 200 and reply.is_hit else b""


def seconds_until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> float:
    return wait_for(what, condition, seconds)


def test_no_page_is_stale_after_random_edits_and_few_are_rendered_in_vain(listening: Watched) -> None:
    tally = run(listening, EDITS, seed=20260101)
    assert (tally.leaks, tally.stale) == ([], []), listening.site.log.read_text()[-20000:]
    assert len(tally.kinds) >= 15
    # The long run comes to 1.5 at most; in so short a one, a single edit that may be on every page weighs more.
    assert tally.ratio <= 2.0, tally.wasted
    assert listening.health()["missed"] == 0


def test_a_new_post_is_on_the_front_at_once_and_a_hit(listening: Watched) -> None:
    stack = listening.stack
    post = stack.insert_post(post_title="Launched", post_content="the news of the day")
    seconds_until(lambda: b"the news of the day" in front(listening, post.path), "the post is a hit")
    seconds_until(lambda: b"Launched" in front(listening, "/"), "the home page shows it")


@pytest.mark.alone
@pytest.mark.parametrize("change", ["private", "password", "trash", "draft", "delete"])
def test_what_is_public_no_more_leaves_the_tree_within_a_second_and_so_do_its_quotes(
    listening: Watched, change: str
) -> None:
    stack = listening.stack
    # Each says something of its own: random edits of another test publish what is private or a draft again.
    secret = f"confidential {change}".encode()
    post = stack.insert_post(post_title=f"Retracted by {change}", post_content=secret.decode())
    seconds_until(lambda: secret in front(listening, post.path), "the post is a hit")
    seconds_until(lambda: secret in front(listening, "/"), "the home page quotes it")
    _retract(stack, post, change)
    # From the end of the author's request, which is over by now.
    gone = seconds_until(lambda: not listening.site.text(post.path), "the page left the tree", 5)
    quoted = seconds_until(lambda: secret not in front(listening, "/"), "the list left it out", 5)
    assert (gone < 1.0, quoted < 1.0) == (True, True), (gone, quoted)


def _retract(stack: Stack, post: Post, change: str) -> None:
    if change == "trash":
        stack.call("wp_trash_post", post.number)
    elif change == "delete":
        stack.call("wp_delete_post", post.number, True)
    elif change == "password":
        stack.update_post(post, post_password="secret")
    else:
        stack.update_post(post, post_status=change)


def test_edits_while_the_daemon_is_dead_are_there_after_one_cycle(
    journal_stack: tuple[Stack, int], listening: Watched
) -> None:
    stack, _ = journal_stack
    # The running daemon has the tree: this one's death is played by its journal position being put back.
    post = stack.insert_post(post_title="Before", post_content="before the crash")
    seconds_until(lambda: b"before the crash" in front(listening, post.path), "the post is a hit")
    process = listening.process
    process.kill()
    process.wait()
    for number in range(20):
        listening.edit(9000 + number)
    stack.update_post(post, post_content="after the crash")
    listening.restart()
    seconds_until(lambda: b"after the crash" in front(listening, post.path), "the edit is there", 20)
    listening.settle(0)
    assert _stale(listening) == []


def _stale(one: Watched) -> list[str]:
    published = one.published()
    answers = one.answers(sorted(published))
    return [
        f"{path}: {answers[path].status} {difference(body, answers[path].body)}"
        for path, (_, body) in published.items()
        if (answers[path].status, answers[path].body) != (200, body)
    ]


def test_comments_do_not_empty_the_cache(listening: Watched) -> None:
    """A hundred comments within seconds: their page is rendered at once and then waits for its turn; nothing misses."""
    stack = listening.stack
    post = stack.insert_post(post_title="Discussed", post_content="say something")
    seconds_until(lambda: b"say something" in front(listening, post.path), "the post is a hit")
    listening.settle(0)
    misses: list[str] = []
    # What the sitemap names: an archive that an earlier test has emptied is listed no more, and may leave meanwhile.
    listed = stack.from_origin("/wp-sitemap-posts-post-1.xml").body.decode()
    paths = [parse_page(url).raw_path for url in re.findall(r"<loc>(.*?)</loc>", listed)]
    published = {Page("http", stack.netloc, path).raw_path for path in listening.published()}
    paths = [path for path in paths if path in published]
    assert len(paths) >= 20
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            for path in paths:
                reply = stack.from_front(path)
                if reply.status != 200 or not reply.is_hit:
                    misses.append(path)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        journeys = listening.health()["journeys"]
        code = """
            for ( $i = 0; $i < 100; $i++ ) {
                wp_insert_comment( array( 'comment_post_ID' => (int) $argv[1], 'comment_author' => 'V',
                    'comment_author_email' => 'v@example.org', 'comment_content' => "thought $i",
                    'comment_approved' => 1 ) );
            }
        """
        stack.php(code, str(post.number))
        seconds_until(lambda: b"thought 99" in front(listening, post.path), "the last comment is there", 20)
    finally:
        is_over.set()
        reader.join()
    assert misses == []
    assert listening.health()["journeys"] - journeys <= 30


def test_newer_comments_of_a_post_that_is_not_public_hide_no_change(listening: Watched) -> None:
    """The lists of latest comments leave them out, and so must whoever counts which comment is among the latest."""
    stack = listening.stack
    shown = stack.insert_post(post_title="Shown", post_content="public")
    comment = stack.insert_comment(shown, "soon to go", is_approved=True)
    hidden = stack.insert_post(post_title="Hidden", post_content="private soon")
    code = """
        for ( $i = 1; $i <= 6; $i++ ) {
            $date = gmdate( 'Y-m-d H:i:s', time() + $i );
            wp_insert_comment( array( 'comment_post_ID' => (int) $argv[1], 'comment_author' => 'V',
                'comment_content' => "hidden $i", 'comment_approved' => 1, 'comment_date' => $date,
                'comment_date_gmt' => $date ) );
        }
    """
    stack.php(code, str(hidden.number))
    stack.update_post(hidden, post_status="private")
    listening.settle(0)
    stack.call("wp_trash_comment", comment)
    try:
        seconds_until(lambda: not _stale(listening), "nothing is stale", 40)
    except AssertionError:
        assert _stale(listening) == []
        raise


def test_what_wordpress_makes_without_a_table_of_its_database_takes_no_page_s_place(listening: Watched) -> None:
    stack = listening.stack
    rename = "$wpdb->query( 'RENAME TABLE ' . $argv[1] . ' TO ' . $argv[2] );"
    post = stack.insert_post(post_title="Table", post_content="before the loss")
    seconds_until(lambda: b"before the loss" in front(listening, post.path), "the post is a hit")
    comment = stack.insert_comment(post, "a comment that was made before", is_approved=True)
    seconds_until(lambda: b"a comment that was made" in front(listening, post.path), "the comment is there", 20)
    stack.php(rename, "wp_comments", "wp_lost")
    try:
        stack.update_post(post, post_content="after the loss")
        record = listening.site.records
        seconds_until(lambda: record()[post.path].verdict == "database-error", "it is held back", 20)
        assert b"a comment that was made" in front(listening, post.path)
    finally:
        stack.php(rename, "wp_lost", "wp_comments")
    assert comment > 0
    seconds_until(lambda: b"after the loss" in front(listening, post.path), "the edit is there", 25)
    assert b"a comment that was made" in front(listening, post.path)
    # Pages that were asked for meanwhile are whole again without a row that names them.
    seconds_until(lambda: not _stale(listening), "nothing is stale", 40)


SCHEDULE = """
    // WordPress publishes at once what is due within a minute: the day after tomorrow comes sooner than planned.
    $later = gmdate( 'Y-m-d H:i:s', time() + 2 * DAY_IN_SECONDS );
    $id    = wp_insert_post( array( 'post_title' => $argv[2], 'post_content' => 'as planned',
        'post_status' => 'future', 'post_date' => $later, 'post_date_gmt' => $later ) );
    $date  = gmdate( 'Y-m-d H:i:s', (int) $argv[1] );
    $wpdb->update( $wpdb->posts, array( 'post_date' => $date, 'post_date_gmt' => $date ), array( 'ID' => $id ) );
    wp_clear_scheduled_hook( 'publish_future_post', array( $id ) );
    if ( $argv[3] ) {
        wp_schedule_single_event( (int) $argv[1], 'publish_future_post', array( $id ) );
    }
    // The lock of the request that this script has made to WordPress when it began.
    delete_transient( 'doing_cron' );
    echo $id;
"""


@pytest.mark.parametrize(
    ("constants", "is_remembered", "title"),
    [
        ("", True, "In time"),
        ("define( 'DISABLE_WP_CRON', true ); define( 'STATICIFY_RUN_CRON', true );", True, "On time"),
        # WordPress loses an event now and then, of two requests that change the list of them: a post that is
        # scheduled while cron runs lost its own 5 times in 30.
        ("", False, "Though forgotten"),
    ],
)
def test_a_scheduled_post_goes_out_on_time_though_nobody_reaches_php(
    listening: Watched, constants: str, title: str, *, is_remembered: bool
) -> None:
    stack = listening.stack
    file = stack.directory / "wordpress/wp-content/mu-plugins/a-constants.php"
    due_at = int(time.time()) + 6
    try:
        file.write_text(f"<?php {constants}")
        assert int(stack.php(SCHEDULE, str(due_at), title, "1" if is_remembered else "")) > 0
        seconds_until(lambda: title.encode() in front(listening, "/"), "the home page shows it", 100)
    finally:
        file.unlink()
    assert time.time() >= due_at
    late_seconds = time.time() - due_at
    # WordPress begins its cron once in a minute at most (WP_CRON_LOCK_TIMEOUT), perhaps for something else before.
    assert late_seconds < 60 + 10 + 15, "an interval and a render, on a machine that has other things to do"


def test_the_order_of_an_operator_is_carried_out(listening: Watched) -> None:
    seconds_until(lambda: "/" in listening.site.records(), "the state is written")
    before = listening.site.records()["/"].checked_at
    done = listening.site.staticify("purge", "/")
    assert (done.returncode, done.stdout) == (0, "told: 1 page\n"), done.stderr
    seconds_until(lambda: listening.site.records()["/"].checked_at > before, "the home page is rendered anew")


def test_status_says_journal_mode(listening: Watched) -> None:
    report = json.loads(listening.site.staticify("status", "--json").stdout)
    (site,) = report["sites"]
    assert (site["mode"], site["stale"], site["missed"]) == ("journal", 0, 0)


def test_a_dead_webhook_costs_an_interval_and_no_more(listening: Watched) -> None:
    stack = listening.stack
    config = stack.directory / "wordpress/wp-config.php"
    whole = config.read_text()
    (free,) = free_ports(1)
    port = listening.webhook_port
    config.write_text(whole.replace(f"127.0.0.1:{port}'", f"127.0.0.1:{free}'"))
    try:
        post = stack.insert_post(post_title="Unheard", post_content="nobody told")
        seconds_until(lambda: b"nobody told" in front(listening, post.path), "the post is a hit", 10 + 5)
        listening.settle(0)
        assert _stale(listening) == []
    finally:
        config.write_text(whole)


def test_the_daemon_ends_in_order(listening: Watched) -> None:
    assert stop(listening.process) == 0
    log = Path(listening.site.log).read_text()
    listening.restart()
    assert "Traceback" not in log
    assert "internal-error" not in log
