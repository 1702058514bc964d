"""The WordPress plugin: what it journals, what it labels, who gets an answer, and what all of it costs an author."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import pytest

from real.helpers import Reply, Stack, free_ports, wait_for
from staticify.urls import Page, parse_page

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "deploy/wordpress"
WORLDS = Path(__file__).parents[1] / "php/worlds.php"


# --- what staticify does ---


class Wordpress:
    """A WordPress with the plugin, as staticify sees it."""

    def __init__(self, stack: Stack, listener_port: int) -> None:
        self.stack = stack
        self.listener_port = listener_port
        choices = (stack.directory / "stack.conf").read_text().splitlines()
        self.secret = dict(line.split("=", 1) for line in choices)["SECRET"]

    def signed(self, identifier: str, body: bytes = b"", *, secret: str = "", seconds_ago: int = 0) -> dict[str, str]:
        stamp = str(int(time.time()) - seconds_ago)
        key = base64.b64decode((secret or self.secret).removeprefix("whsec_"))
        digest = hmac.new(key, f"{identifier}.{stamp}.".encode() + body, hashlib.sha256).digest()
        return {
            "webhook-id": identifier,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }

    def send(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        with closing(http.client.HTTPConnection("127.0.0.1", self.stack.origin_port, timeout=30)) as connection:
            connection.request(method, path, body, {"Host": self.stack.netloc, **(headers or {})})
            response = connection.getresponse()
            fields: dict[str, str] = {}
            for name, value in response.getheaders():
                fields[name.lower()] = f"{fields[name.lower()]}, {value}" if name.lower() in fields else value
            return Reply(response.status, fields, response.read())

    def ask(self, question: object, path: str = "/?staticify=changes", **signing: Any) -> Reply:
        body = json.dumps(question).encode()
        return self.send("POST", path, body, self.signed(f"ask-{time.monotonic_ns()}", body, **signing))

    def changes(self, journal: str, since: int) -> dict[str, Any]:
        reply = self.ask({"journal": journal, "since": since})
        assert reply.status == 200, reply.body
        answer: dict[str, Any] = json.loads(reply.body)
        return answer

    def now(self) -> tuple[str, int]:
        """The journal's name and last position."""
        answer = self.changes("", 0)
        return answer["journal"], answer["position"]

    def since(self, then: tuple[str, int]) -> list[dict[str, Any]]:
        answer = self.changes(*then)
        assert not answer["start_over"]
        entries: list[dict[str, Any]] = answer["entries"]
        return entries

    def render(self, path: str) -> Reply:
        """What staticify gets when it asks for a page."""
        return self.send("GET", Page("http", self.stack.netloc, path).raw_path, headers=self.signed("render"))

    def label(self, path: str) -> set[str]:
        reply = self.render(path)
        assert reply.status == 200
        return set(reply.headers["staticify-tags"].split())


@pytest.fixture(scope="module")
def wordpress() -> Iterator[Wordpress]:
    """One of our own: some of these tests change settings of the whole site."""
    directory = Path(tempfile.mkdtemp(prefix="staticify-plugin-", dir="/var/tmp"))
    directory.chmod(0o755)
    front, origin, listener = free_ports(3)
    stack = Stack(directory / "stack", front, origin)
    try:
        stack.command(
            "up", "--posts", "60", "--theme", "twentytwentyone", "--front-port", str(front),
            "--origin-port", str(origin), "--address", f"http://127.0.0.1:{listener}",
        )  # fmt: skip
        # WordPress ends a change of theme with the first request after it.
        assert stack.from_origin("/").status == 200
        yield Wordpress(stack, listener)
    finally:
        stack.command("down", "--purge", is_checked=False)
        shutil.rmtree(directory)


# --- the endpoint ---


def test_a_reader_who_knows_nothing_starts_over(wordpress: Wordpress) -> None:
    append(wordpress, 1)
    journal, position = wordpress.now()
    answer = wordpress.changes("", 0)
    assert re.fullmatch("[0-9a-f]{32}", journal)
    due = answer.pop("cron_due_at")
    assert abs(answer.pop("time") - time.time()) < 100_000
    assert answer == {
        "version": 1, "journal": journal, "position": position, "start_over": True, "more": False, "held": False,
        "entries": [], "direct": "/wp-content/mu-plugins/staticify/direct.php",
    }  # fmt: skip
    assert abs(due - time.time()) < 100_000


def test_a_reader_who_is_up_to_date_gets_nothing(wordpress: Wordpress) -> None:
    journal, position = wordpress.now()
    answer = wordpress.changes(journal, position)
    assert (answer["start_over"], answer["entries"], answer["position"]) == (False, [], position)


@pytest.mark.parametrize("ahead", [1, 1_000_000])
def test_a_position_that_was_never_reached_means_start_over(wordpress: Wordpress, ahead: int) -> None:
    journal, position = wordpress.now()
    assert wordpress.changes(journal, position + ahead)["start_over"] is True


def test_another_journal_means_start_over(wordpress: Wordpress) -> None:
    _, position = wordpress.now()
    assert wordpress.changes("another", position)["start_over"] is True


def append(wordpress: Wordpress, count: int) -> None:
    code = "for ( $i = 0; $i < $argv[1]; $i++ ) { Staticify\\Journal::append( array( 'many' ), array(), array() ); }"
    wordpress.stack.php(code, str(count))


def test_more_rows_than_one_answer_holds_come_in_several(wordpress: Wordpress) -> None:
    then = wordpress.now()
    append(wordpress, 1001)
    counts: list[int] = []
    tags: list[str] = []
    more = True
    while more:
        answer = wordpress.changes(*then)
        more = answer["more"]
        counts.append(len(answer["entries"]))
        # WordPress's cron may have something to tell as well.
        tags += [tag for entry in answer["entries"] for tag in entry["tags"]]
        then = (then[0], answer["position"])
    assert counts[:2] == [500, 500]
    assert (len(counts), tags.count("many")) == (3, 1001)


def test_a_journal_that_does_not_reach_back_means_start_over(wordpress: Wordpress) -> None:
    then = wordpress.now()
    append(wordpress, 3)
    wordpress.stack.php(
        'global $wpdb; $wpdb->query( "DELETE FROM {$wpdb->prefix}staticify_journal WHERE position <= $argv[1]" );',
        str(then[1] + 1),
    )
    assert wordpress.changes(*then)["start_over"] is True
    answer = wordpress.changes(then[0], then[1] + 1)
    assert (answer["start_over"], len(answer["entries"])) == (False, 2)


def test_a_journal_that_came_back_from_a_backup_means_start_over(wordpress: Wordpress) -> None:
    append(wordpress, 5)
    answer = wordpress.changes("", 0)
    known = {"journal": answer["journal"], "since": answer["position"], "time": answer["time"]}
    assert json.loads(wordpress.ask(known).body)["start_over"] is False
    code = """
        global $wpdb;
        $table = $wpdb->prefix . 'staticify_journal';
        $wpdb->query( "DELETE FROM $table WHERE position > $argv[1] - 4" );
        $wpdb->query( "ALTER TABLE $table AUTO_INCREMENT = 1" );
        sleep( 1 );
    """
    wordpress.stack.php(code, str(known["since"]))
    append(wordpress, 5)
    assert json.loads(wordpress.ask(known).body)["start_over"] is True
    answer = json.loads(wordpress.ask(known | {"since": known["since"] + 1, "time": 0}).body)
    assert (answer["start_over"], answer["position"]) == (False, known["since"] + 1)
    answer = json.loads(wordpress.ask(known | {"since": known["since"] - 1, "time": 0}).body)
    assert [entry["time"] for entry in answer["entries"]][-1] == answer["time"]


def test_a_table_that_is_gone_is_made_again_under_another_name(wordpress: Wordpress) -> None:
    then = wordpress.now()
    wordpress.stack.php('global $wpdb; $wpdb->query( "DROP TABLE {$wpdb->prefix}staticify_journal" );')
    answer = wordpress.changes(*then)
    assert (answer["start_over"], answer["position"]) == (True, 0)
    assert answer["journal"] != then[0]
    wordpress.stack.php('global $wpdb; $wpdb->query( "DROP TABLE {$wpdb->prefix}staticify_journal" );')
    append(wordpress, 1)
    assert wordpress.now()[1] == 1


def test_the_journal_keeps_ten_thousand_rows(wordpress: Wordpress) -> None:
    code = """
        global $wpdb;
        $table = $wpdb->prefix . 'staticify_journal';
        $wpdb->query( "ALTER TABLE $table AUTO_INCREMENT = 20000" );
        Staticify\\Journal::append( array( 'old' ), array(), array() );
        $wpdb->query( "ALTER TABLE $table AUTO_INCREMENT = 40000" );
        Staticify\\Journal::append( array( 'new' ), array(), array() );
        echo $wpdb->get_var( "SELECT COUNT(*) FROM $table" );
    """
    assert wordpress.stack.php(code) == "1"


def test_a_row_that_is_being_written_holds_back_those_after_it(wordpress: Wordpress) -> None:
    append(wordpress, 1)
    then = wordpress.now()
    code = """
        global $wpdb;
        $table = $wpdb->prefix . 'staticify_journal';
        $wpdb->query( 'START TRANSACTION' );
        Staticify\\Journal::append( array( 'slow' ), array(), array() );
        file_put_contents( ABSPATH . 'begun', '' );
        while ( ! file_exists( ABSPATH . 'end' ) ) { usleep( 10000 ); clearstatcache(); }
        $wpdb->query( 'COMMIT' );
    """
    begun, end = (wordpress.stack.directory / "wordpress" / name for name in ("begun", "end"))
    slow = threading.Thread(target=wordpress.stack.php, args=(code,))
    try:
        slow.start()
        wait_for("the slow one has begun", begun.exists, seconds=10)
        append(wordpress, 1)
        held = wordpress.changes(*then)
        end.touch()
        slow.join()
        assert (held["position"], held["entries"], held["held"]) == (then[1], [], True)
        assert wordpress.changes(*then)["held"] is False
        assert [entry["tags"] for entry in wordpress.since(then)] == [["slow"], ["many"]]
    finally:
        end.touch()
        slow.join()
        begun.unlink()
        end.unlink()


def test_a_number_that_nobody_used_holds_back_nothing_for_long(wordpress: Wordpress) -> None:
    append(wordpress, 1)
    then = wordpress.now()
    code = """
        global $wpdb;
        $table = $wpdb->prefix . 'staticify_journal';
        $wpdb->query( "INSERT INTO $table (position, time, entry) VALUES ($argv[1] + 3, UNIX_TIMESTAMP() - 6, '{}')" );
    """
    wordpress.stack.php(code, str(then[1]))
    assert [entry["position"] for entry in wordpress.since(then)] == [then[1] + 3]


BAD = {
    "another secret": {"secret": "whsec_" + base64.b64encode(b"x" * 32).decode()},
    "too old": {"seconds_ago": 301},
    "too new": {"seconds_ago": -301},
}


@pytest.mark.parametrize("signing", BAD.values(), ids=BAD)
def test_nobody_else_gets_an_answer(wordpress: Wordpress, signing: Any) -> None:
    reply = wordpress.ask({"journal": "", "since": 0}, **signing)
    assert (reply.status, list(json.loads(reply.body))) == (401, ["error"])
    assert reply.headers["cache-control"] == "no-store"


def test_what_is_not_signed_gets_no_answer(wordpress: Wordpress) -> None:
    body = json.dumps({"journal": "", "since": 0}).encode()
    good = wordpress.signed("one", body)
    for method, content, headers in (
        ("POST", body, {}),
        ("GET", b"", {}),
        ("GET", b"", wordpress.signed("two")),
        ("POST", body + b" ", good),
        ("POST", body, good | {"webhook-id": "other"}),
        ("POST", body, good | {"webhook-id": "o n e"}),
        ("POST", body, good | {"webhook-signature": ""}),
        ("POST", body, good | {"webhook-signature": good["webhook-signature"].removeprefix("v1,")}),
        ("POST", body, {name: value for name, value in good.items() if name != "webhook-timestamp"}),
    ):
        assert wordpress.send(method, "/?staticify=changes", content, headers).status == 401


def test_the_second_of_two_signatures_may_be_the_good_one(wordpress: Wordpress) -> None:
    body = json.dumps({"journal": "", "since": 0}).encode()
    good = wordpress.signed("one", body)
    headers = good | {"webhook-signature": f"v1,{'A' * 43}= {good['webhook-signature']}"}
    assert wordpress.send("POST", "/?staticify=changes", body, headers).status == 200


@pytest.mark.parametrize("question", [{}, [], 1, {"journal": "", "since": -1}, {"journal": None, "since": 0}])
def test_a_question_that_is_none_is_refused(wordpress: Wordpress, question: object) -> None:
    assert wordpress.ask(question).status == 400


def test_the_answer_takes_a_small_part_of_a_render(wordpress: Wordpress) -> None:
    """No theme, no front end of plugins: side by side, so that a busy machine slows both down."""
    then = wordpress.now()
    answers, renders = [], []
    for _ in range(30):
        began = time.perf_counter()
        wordpress.changes(*then)
        half = time.perf_counter()
        wordpress.send("GET", "/about/")
        answers.append(half - began)
        renders.append(time.perf_counter() - half)
    assert sorted(answers)[15] < sorted(renders)[15] / 2


@pytest.fixture
def direct(wordpress: Wordpress) -> str:
    """The path at which the plugin says that it answers with less of WordPress."""
    path: str = wordpress.changes("", 0)["direct"]
    return path


def test_the_shorter_way_answers_the_same_without_loading_plugins(wordpress: Wordpress, direct: str) -> None:
    assert direct == "/wp-content/mu-plugins/staticify/direct.php"
    append(wordpress, 3)
    journal, position = wordpress.now()
    # The third is a backup's: the row of that number is of another time.
    for question in ((journal, position), (journal, position - 3), (journal, position, 1), ("", 0), (journal, 10**9)):
        asked = dict(zip(("journal", "since", "time"), question, strict=False))
        usual, short = (wordpress.ask(asked, path) for path in ("/?staticify=changes", direct))
        assert (short.status, short.headers["content-type"]) == (200, "application/json")
        assert short.headers["cache-control"] == "no-store"
        said, expected = json.loads(short.body), json.loads(usual.body) | {"direct": ""}
        # WP-Cron may have turned between the two.
        assert said | {"cron_due_at": 0} == expected | {"cron_due_at": 0}
        assert type(said["cron_due_at"]) is type(expected["cron_due_at"])
    files = wordpress.stack.directory / "wordpress/wp-content/mu-plugins/loaded.php"
    files.write_text("<?php header( 'Loaded: yes' );")
    try:
        assert wordpress.ask({"journal": "", "since": 0}).headers["loaded"] == "yes"
        assert "loaded" not in wordpress.ask({"journal": "", "since": 0}, direct).headers
    finally:
        files.unlink()


def test_the_shorter_way_too_answers_nobody_else(wordpress: Wordpress, direct: str) -> None:
    body = json.dumps({"journal": "", "since": 0}).encode()
    # Before it loads anything.
    assert wordpress.send("GET", direct).body == b""
    assert wordpress.send("GET", direct, b"", wordpress.signed("one")).status == 401
    assert (wordpress.send("POST", direct, body).status, wordpress.send("POST", direct, body).body) == (401, b"")
    assert wordpress.send("POST", direct, body + b" ", wordpress.signed("one", body)).status == 401
    assert wordpress.ask({}, direct).status == 400


def test_a_plugin_that_wordpress_does_not_load_says_nothing_by_the_shorter_way(
    wordpress: Wordpress, direct: str
) -> None:
    """It writes no journal: an answer would say that nothing changes."""
    plugins = wordpress.stack.directory / "wordpress/wp-content/mu-plugins"
    loader = plugins / "staticify-loader.php"
    loader.rename(plugins / "away")
    try:
        wait_for(
            "PHP sees that the loader is gone",
            lambda: wordpress.ask({"journal": "", "since": 0}, direct).status == 404,
            seconds=10,
        )
    finally:
        (plugins / "away").rename(loader)
    assert wordpress.ask({"journal": "", "since": 0}, direct).status == 200


def test_the_shorter_way_makes_no_journal(wordpress: Wordpress, direct: str) -> None:
    name, _ = wordpress.now()
    wordpress.stack.php("global $wpdb; $wpdb->query( 'DROP TABLE ' . Staticify\\Journal::table() );")
    refused = wordpress.ask({"journal": name, "since": 0}, direct)
    assert (refused.status, json.loads(refused.body)) == (404, {"error": "the journal is not made yet"})
    anew = wordpress.changes(name, 0)
    assert (anew["start_over"], anew["journal"] != name) == (True, True)
    assert wordpress.ask({"journal": anew["journal"], "since": 0}, direct).status == 200


def test_where_plugins_are_elsewhere_no_shorter_way_is_named(wordpress: Wordpress) -> None:
    code = """
        require_once WPMU_PLUGIN_DIR . '/staticify/endpoint.php';
        echo json_encode( array_map( 'Staticify\\is_plugin_loaded', json_decode( $argv[1] ) ) );
    """
    content = wordpress.stack.directory / "wordpress/wp-content"
    folders = [content / "mu-plugins", content / "plugins", content / "themes", content.parent / "mu-plugins"]
    answers = wordpress.stack.php(code, json.dumps([str(folder) for folder in folders]))
    assert json.loads(answers) == [True, False, False, False]


def test_the_shorter_way_tells_the_next_event_whoever_turns_cron(wordpress: Wordpress, direct: str) -> None:
    due = wordpress.changes("", 0)["cron_due_at"]
    elsewhere = wordpress.stack.directory / "wordpress/wp-content/mu-plugins/elsewhere.php"
    elsewhere.write_text("<?php define( 'DISABLE_WP_CRON', true );")
    try:
        assert wordpress.changes("", 0)["cron_due_at"] is None
        assert json.loads(wordpress.ask({"journal": "", "since": 0}, direct).body)["cron_due_at"] == due
    finally:
        elsewhere.unlink()


def test_plain_permalinks_do_as_well(wordpress: Wordpress) -> None:
    assert wordpress.ask({"journal": "", "since": 0}, "/index.php?staticify=changes").status == 200


def test_the_next_event_of_cron_is_told(wordpress: Wordpress) -> None:
    # Not due yet: WordPress itself would run it, at once, in a request of its own.
    due = int(time.time()) + 60

    def is_told() -> bool:
        wordpress.stack.php("wp_schedule_single_event( (int) $argv[1], 'nothing_of_note' );", str(due))
        return bool(0 < wordpress.changes("", 0)["cron_due_at"] <= due)

    # WordPress may lose it, if its cron runs meanwhile.
    wait_for("the event is told", is_told, 40)
    wordpress.stack.php("wp_clear_scheduled_hook( 'nothing_of_note' );")


# Posts scheduled for so many seconds from now, whose events WordPress has lost, of types of which the second is never
# published: which get an event, and in how many seconds cron is to be turned next if nothing else is due.
FORGOTTEN = """
    $wpdb->query( 'START TRANSACTION' );
    register_post_type( 'to_come', array( 'public' => true ) );
    remove_action( 'future_to_come', '_future_post_hook', 5 );
    $ids = array();
    foreach ( json_decode( $argv[1] ) as $type => $offsets ) {
        foreach ( $offsets as $offset ) {
            $date = gmdate( 'Y-m-d H:i:s', time() + $offset );
            $wpdb->insert( $wpdb->posts, array( 'post_status' => 'future', 'post_type' => $type,
                'post_date' => $date, 'post_date_gmt' => $date ) );
            $ids[] = $wpdb->insert_id;
        }
    }
    Staticify\\remember_scheduled_posts();
    $events = array();
    foreach ( $ids as $id ) {
        $events[] = (bool) wp_next_scheduled( 'publish_future_post', array( $id ) );
    }
    update_option( 'cron', array( 'version' => 2 ) );
    $due = Staticify\\next_event_at() - time();
    $wpdb->query( 'ROLLBACK' );
    echo json_encode( array( $events, $due ) );
"""


@pytest.mark.parametrize(
    ("offsets", "events", "due"),
    [
        # Due now, an hour ago, and what its author has seen for two days; what is not due has time.
        ({"post": [-2, -3600, -2 * 86400, 3600]}, [True, True, False, False], -2),
        # Not once in fifteen seconds for ever, for what is never published.
        ({"post": [-3600, 3600]}, [True, False], 3600),
        ({"to_come": [-2, 3600]}, [False, False], -2),
    ],
)
def test_scheduled_posts_are_remembered_though_wordpress_has_lost_their_events(
    wordpress: Wordpress, offsets: dict[str, list[int]], events: list[bool], due: int
) -> None:
    answer = json.loads(wordpress.stack.php(FORGOTTEN, json.dumps(offsets)))
    assert answer == [events, pytest.approx(due, abs=5)]


def test_a_forgotten_post_is_due_now_though_the_time_zone_is_another_one_since_it_was_scheduled(
    wordpress: Wordpress,
) -> None:
    # What is due already comes first: one whose publishing ends cron would keep all else from its turn.
    code = """
        $wpdb->query( 'START TRANSACTION' );
        $date = gmdate( 'Y-m-d H:i:s', time() - 60 );
        $wpdb->insert( $wpdb->posts, array( 'post_status' => 'future', 'post_type' => 'post',
            'post_date' => $date, 'post_date_gmt' => $date ) );
        $id = $wpdb->insert_id;
        update_option( 'timezone_string', 'America/Sao_Paulo' );
        Staticify\\remember_scheduled_posts();
        echo wp_next_scheduled( 'publish_future_post', array( $id ) ) - time();
        $wpdb->query( 'ROLLBACK' );
    """
    assert int(wordpress.stack.php(code)) == pytest.approx(0, abs=5)


def test_the_journal_answers_without_a_table_of_posts_though_errors_are_shown(wordpress: Wordpress) -> None:
    file = mu_plugin(wordpress, "$GLOBALS['wpdb']->show_errors();")
    wordpress.stack.php(RENAME, "wp_posts", "wp_lost")
    try:
        answer = wordpress.ask({"journal": "", "since": 0})
    finally:
        wordpress.stack.php(RENAME, "wp_lost", "wp_posts")
        file.unlink()
    assert answer.status == 200
    assert json.loads(answer.body)["version"] == 1


@pytest.mark.parametrize(("constants", "is_told"), [("", False), ("define( 'STATICIFY_RUN_CRON', true );", True)])
def test_cron_is_somebody_elses_unless_the_plugin_is_asked(
    wordpress: Wordpress, constants: str, *, is_told: bool
) -> None:
    file = wordpress.stack.directory / "wordpress/wp-content/mu-plugins/a-constants.php"
    try:
        file.write_text(f"<?php define( 'DISABLE_WP_CRON', true ); {constants}")
        assert (wordpress.changes("", 0)["cron_due_at"] is not None) is is_told
    finally:
        file.unlink()


# --- the journal: forty kinds of edits and more ---

# A post in the middle of three of its author and category: content, name, place in lists, neighbours.
CONTENT = "post:{p} list:post/any"
NAME = f"{CONTENT} name:{{p}}"
TERMS = "list:post/term:{b} list:post/term:{a} terms:category/count"
DATES = "list:post/date:{y} list:post/date:{y}-02"
PLACE = f"list:post list:post/parent:0 list:post/user:{{u}} {DATES} list:post/months {TERMS}"
NEIGHBOURS = "near:{p1} near:{p3}"
COMES_OR_GOES = f"{NAME} {PLACE} {NEIGHBOURS} users"
PAGE = "post:{g} list:page/any"
CHILD = "post:{h} list:page/any"
P3 = "post:{p3} list:post/any name:{p3}"
NOTHING = ""


@dataclass(frozen=True)
class Edit:
    """PHP with the numbers of tests/php/worlds.php as variables, and what the journal must say of it, exactly."""

    code: str
    tags: str = NOTHING
    urls: str = ""
    gone: str = ""


UPDATE = "wp_update_post( array( 'ID' => $p, {} ) );"
EDITS = {
    # Posts.
    "content": Edit(UPDATE.format("'post_content' => 'other'"), CONTENT, "{purl}"),
    "excerpt": Edit(UPDATE.format("'post_excerpt' => 'other'"), CONTENT, "{purl}"),
    "comments closed": Edit(UPDATE.format("'comment_status' => 'closed'"), CONTENT, "{purl}"),
    "title": Edit(UPDATE.format("'post_title' => 'other'"), NAME, "{purl}"),
    "slug": Edit(UPDATE.format("'post_name' => 'moved-' . $p"), NAME, "http://{host}/{y}/02/moved-{p}/", "{purl}"),
    "author": Edit(
        UPDATE.format("'post_author' => $v"), f"{NAME} users list:post/user:{{u}} list:post/user:{{v}}", "{purl}"
    ),
    "date": Edit(
        UPDATE.format("'post_date' => \"$y-02-07 10:00:00\", 'edit_date' => true"),
        f"{NAME} {PLACE} {NEIGHBOURS} near:{{p}}", "{purl}",
    ),
    "category": Edit(
        "wp_set_post_categories( $p, array( $c ) );",
        f"{CONTENT} {TERMS} list:post/term:{{c}} terms:category terms:category/any",
        "{purl} http://{host}/category/other-{number}/",
    ),
    "tag": Edit(
        "wp_set_object_terms( $p, array( $t ), 'post_tag', true );",
        f"{CONTENT} list:post/term:{{t}} terms:post_tag terms:post_tag/any terms:post_tag/count",
        "{purl} http://{host}/tag/tag-{number}/",
    ),
    "category and back": Edit("wp_set_post_categories( $p, array( $c ) ); wp_set_post_categories( $p, array( $b ) );"),
    "publish": Edit(
        "wp_update_post( array( 'ID' => $e, 'post_status' => 'publish', 'post_date' => \"$y-02-06 10:00:00\","
        " 'edit_date' => true ) );",
        f"post:{{e}} name:{{e}} list:post/any list:post list:post/parent:0 list:post/user:{{u}} {DATES} "
        f"{TERMS} near:{{p}} near:{{p3}} users", "{eurl}",
    ),
    "publish a draft by wp_publish_post": Edit(
        "wp_publish_post( $e );",
        f"post:{{e}} name:{{e}} list:post/any list:post list:post/parent:0 list:post/user:{{u}} {DATES} "
        f"{TERMS} near:{{p}} near:{{p3}} users", "{eurl}",
    ),
    "unpublish": Edit(UPDATE.format("'post_status' => 'draft'"), COMES_OR_GOES, "", "{purl}"),
    "private": Edit(UPDATE.format("'post_status' => 'private'"), COMES_OR_GOES, "", "{purl}"),
    "schedule": Edit(
        UPDATE.format("'post_status' => 'future', 'post_date' => '2037-01-01 00:00:00',"
        " 'post_date_gmt' => '2037-01-01 00:00:00', 'edit_date' => true"),
        COMES_OR_GOES, "", "{purl}",
    ),
    "password": Edit(UPDATE.format("'post_password' => 'secret'"), f"{NAME} {PLACE}", "", "{purl}"),
    "trash": Edit("wp_trash_post( $p );", COMES_OR_GOES, "", "{purl}"),
    "trash with comments": Edit(
        "wp_trash_post( $p3 );",
        "post:{p3} name:{p3} list:post/any list:post list:post/parent:0 list:post/user:{u} list:post/date:{y} "
        "list:post/date:{y}-03 "
        f"list:post/months {TERMS} near:{{p}} near:{{next}} users comments comments:{{p3}}", "", "{p3url}",
    ),
    "delete": Edit("wp_delete_post( $p, true );", COMES_OR_GOES, "", "{purl}"),
    "sticky": Edit("stick_post( $p );", f"{CONTENT} list:post", "{purl}"),
    "featured image": Edit("update_post_meta( $p, '_thumbnail_id', $i );", CONTENT, "{purl}"),
    "meta field": Edit("update_post_meta( $p, 'colour', 'red' );", CONTENT, "{purl}"),
    "no more pages": Edit(
        UPDATE.format("'post_content' => 'a<!--nextpage-->b'"), CONTENT, "{purl}",
    ),
    # Pages.
    "page content": Edit("wp_update_post( array( 'ID' => $g, 'post_content' => 'other' ) );", PAGE, "{gurl}"),
    "page slug": Edit(
        "wp_update_post( array( 'ID' => $g, 'post_name' => 'moved-' . $g ) );",
        f"{PAGE} name:{{g}} post:{{h}} name:{{h}}",
        "http://{host}/moved-{g}/ http://{host}/moved-{g}/child-{number}/", "{gurl} {hurl}",
    ),
    "page order": Edit(
        "wp_update_post( array( 'ID' => $h, 'menu_order' => 9 ) );",
        f"{CHILD} name:{{h}} list:page list:page/parent:{{g}}", "{hurl}",
    ),
    "page trashed": Edit(
        "wp_trash_post( $g );",
        f"{PAGE} name:{{g}} list:page list:page/parent:0 list:page/user:{{u}} list:page/date:{{y}}"
        " list:page/date:{y}-02 near:{h} users"
        " near:{beforeg} post:{h} name:{h}",
        "http://{host}/page-{number}__trashed/child-{number}/", "{gurl} {hurl}",
    ),
    # What blocks show.
    "reusable block": Edit(
        "wp_update_post( array( 'ID' => $w, 'post_content' => 'other' ) );", "post:{w} list:wp_block/any"
    ),
    "template": Edit(
        "wp_insert_post( array( 'post_type' => 'wp_template', 'post_name' => 'single', 'post_title' => 'x',"
        " 'post_content' => 'x', 'post_status' => 'publish' ) );",
        "template:single",
    ),
    "global styles": Edit(
        "wp_insert_post( array( 'post_type' => 'wp_global_styles', 'post_name' => 'x', 'post_title' => 'x',"
        " 'post_content' => '{{}}', 'post_status' => 'publish' ) );",
        "site",
    ),
    "additional css": Edit("wp_update_custom_css_post( 'b { color: red }' );", "site"),
    "attachment": Edit(
        "wp_update_post( array( 'ID' => $i, 'post_title' => 'other' ) );",
        "post:{i} name:{i} list:attachment/any",
    ),
    "alternative text": Edit(
        "update_post_meta( $i, '_wp_attachment_image_alt', 'other' );", "post:{i} list:attachment/any"
    ),
    # Terms.
    "term made": Edit("wp_insert_term( 'New', 'category' );", "terms:category/any"),
    "term renamed": Edit(
        "wp_update_term( $b, 'category', array( 'name' => 'Other' ) );", "term:{b} terms:category/any", "{burl}"
    ),
    "term saved as it was": Edit("wp_update_term( $b, 'category', array() );"),
    "term moved": Edit(
        "wp_update_term( $a, 'category', array( 'slug' => \"moved-$a\" ) );", "term:{a} terms:category/any term:{b}",
        "http://{host}/category/moved-{a}/ http://{host}/category/moved-{a}/below-{number}/", "{aurl} {burl}",
    ),
    "term deleted": Edit(
        "wp_delete_term( $t, 'post_tag' );", "term:{t} terms:post_tag/any list:post/term:{t}", "",
        "{turl}",
    ),
    # Menus and widgets.
    "menu item": Edit(
        "wp_update_nav_menu_item( $m, $n, array( 'menu-item-status' => 'publish', 'menu-item-title' => 'y' ) );",
        "menu:{m}",
    ),
    "menu item as a post": Edit("wp_update_post( array( 'ID' => $n, 'post_title' => 'z' ) );", "menu:{m}"),
    "menu item's class": Edit("update_post_meta( $n, '_menu_item_classes', array( 'red' ) );", "menu:{m}"),
    "menu item deleted": Edit("wp_delete_post( $n, true );", "menu:{m}"),
    "menu deleted": Edit("wp_delete_nav_menu( $m );", "menu:{m} terms:nav_menu terms:nav_menu/any"),
    "widget": Edit("update_option( 'widget_text', array( 2 => array( 'text' => $p ) ) );", "site"),
    # Users.
    "display name": Edit(
        "wp_update_user( array( 'ID' => $u, 'display_name' => 'Other' ) );", "user:{u} users", "{uurl}"
    ),
    "biography": Edit("update_user_meta( $u, 'description', 'Other' );", "user:{u} users", "{uurl}"),
    "nice name": Edit(
        "wp_update_user( array( 'ID' => $u, 'user_nicename' => \"moved$u\" ) );", "user:{u} users",
        "http://{host}/author/moved{u}/", "{uurl}",
    ),
    "user deleted, posts inherited": Edit(
        "require_once ABSPATH . 'wp-admin/includes/user.php';"
        "wp_update_post( array( 'ID' => $p1, 'post_author' => $v ) );"
        "foreach ( array( $g, $h, $i, $p3 ) as $other ) { wp_delete_post( $other, true ); }"
        "Staticify\\Changes::write(); wp_delete_user( $u, $v );",
        f"{NAME} users user:{{u}} list:post/user:{{u}} list:post/user:{{v}}", "{purl}", "{uurl}",
    ),
    # Comments.
    "comment": Edit(
        "wp_insert_comment( array( 'comment_post_ID' => $p3, 'comment_content' => 'new', 'comment_approved' => 1 ) );",
        "comments comments:{p3} count:{p3}",
    ),
    "comment approved": Edit("wp_set_comment_status( $q, 'approve' );", "comments comments:{p3} count:{p3}"),
    "comment unapproved": Edit("wp_set_comment_status( $k, 'hold' );", "comments comments:{p3} count:{p3}"),
    "comment edited": Edit(
        "wp_update_comment( array( 'comment_ID' => $k, 'comment_content' => 'other' ) );", "comments comments:{p3}"
    ),
    "comment trashed": Edit("wp_trash_comment( $k );", "comments comments:{p3} count:{p3}"),
    "comment spammed": Edit("wp_spam_comment( $k );", "comments comments:{p3} count:{p3}"),
    "comment deleted": Edit("wp_delete_comment( $k, true );", "comments comments:{p3} count:{p3}"),
    # The whole site.
    "site title": Edit("update_option( 'blogname', \"Title $p\" );", "site"),
    "posts per page": Edit("update_option( 'posts_per_page', 9 ); update_option( 'posts_per_page', 10 );", "site"),
    "theme setting": Edit("set_theme_mod( 'colour', $p );", "site"),
    # The last of it WordPress does in the next request: in this one, so that it is in no other edit's row.
    "theme": Edit(
        "switch_theme( 'twentytwentytwo' ); switch_theme( 'twentytwentyone' ); check_theme_switched();", "site"
    ),
    "plugin": Edit(
        "do_action( 'activated_plugin', 'x/x.php', false );", "site",
    ),
    "upgrade": Edit("do_action( 'upgrader_process_complete', null, array() );", "site"),
    # What changes no page.
    "nothing": Edit("get_post( $p );"),
    "draft": Edit("wp_update_post( array( 'ID' => $d, 'post_content' => 'other', 'post_title' => 'other' ) );"),
    "draft deleted": Edit("wp_delete_post( $d, true );"),
    "autosave": Edit(
        "require_once ABSPATH . 'wp-admin/includes/post.php'; wp_set_current_user( 1 );"
        "wp_create_post_autosave("
        " array( 'post_ID' => $p, 'post_content' => 'x', 'post_title' => 'x', 'post_type' => 'post' ) );"
    ),
    "revision": Edit("wp_save_post_revision( $p );"),
    "auto-draft": Edit(
        "require_once ABSPATH . 'wp-admin/includes/post.php'; get_default_post_to_edit( 'post', true );"
    ),
    "lock": Edit("update_post_meta( $p, '_edit_lock', time() . ':1' );"),
    "transient": Edit("set_transient( 'x', $p ); set_site_transient( 'x', $p );"),
    "cron event": Edit("wp_schedule_single_event( time() + 3600, 'x', array( $p ) );"),
    "pending comment": Edit(
        "wp_insert_comment( array( 'comment_post_ID' => $p3, 'comment_content' => 'new', 'comment_approved' => 0 ) );"
    ),
    "pending comment edited": Edit("wp_update_comment( array( 'comment_ID' => $q, 'comment_content' => 'other' ) );"),
    "pending comment deleted": Edit("wp_delete_comment( $q, true );"),
    "spam deleted": Edit("wp_spam_comment( $q ); wp_delete_comment( $q, true );"),
    "comment counted": Edit("wp_update_comment_count_now( $p3 );"),
    "login": Edit("wp_set_current_user( $u ); WP_Session_Tokens::get_instance( $u )->create( time() + 60 );"),
    "preferences": Edit("update_user_meta( $u, 'wp_user-settings', 'x' ); update_user_meta( $u, 'admin_color', 'x' );"),
    "an option of no page": Edit("update_option( 'something_of_a_plugin', $p );"),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(wordpress: Wordpress) -> dict[str, dict[str, Any]]:
    """For each edit a small world of its own, in a year of its own."""
    ids: dict[str, dict[str, Any]] = json.loads(wordpress.stack.command("php", str(WORLDS), json.dumps(list(EDITS))))
    names = list(EDITS)
    for number, name in enumerate(names):
        later, earlier = names[(number + 1) % len(names)], names[number - 1]
        ids[name] |= {
            "number": number, "host": wordpress.stack.netloc, "next": ids[later]["p1"], "beforeg": ids[earlier]["h"],
        }  # fmt: skip
    return ids


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_journalled_as_what_it_changed(
    wordpress: Wordpress, made: dict[str, dict[str, Any]], name: str
) -> None:
    edit, ids = EDITS[name], made[name]
    then = wordpress.now()
    wordpress.stack.php(f"extract( json_decode( $argv[1], true ) ); {edit.code}", json.dumps(ids))
    entries = wordpress.since(then)
    if not edit.tags:
        assert entries == []
        return
    entry = entries[-1]
    told = {key: set(entry[key]) for key in ("tags", "urls", "gone")}
    # How far back in the latest comments a comment is depends on the others; a test of its own looks at that.
    told["tags"] -= {tag for tag in told["tags"] if tag.startswith("comments:first/")}
    expected = {key: set(getattr(edit, key).format(**ids).split()) for key in ("tags", "urls", "gone")}
    assert told == expected
    assert abs(entry["time"] - time.time()) < 60


def test_the_table_is_long_enough() -> None:
    assert len(EDITS) > 40


def test_a_scheduled_post_goes_out_by_cron(wordpress: Wordpress) -> None:
    post = wordpress.stack.insert_post(
        post_title="Scheduled to go out", post_status="future", post_date="2037-05-05 10:00:00"
    )
    code = """
        global $wpdb;
        $date = '2001-05-05 10:00:00';
        $dates = array( 'post_date' => $date, 'post_date_gmt' => $date );
        $wpdb->update( $wpdb->posts, $dates, array( 'ID' => $argv[1] ) );
        wp_clear_scheduled_hook( 'publish_future_post', array( (int) $argv[1] ) );
        wp_schedule_single_event( time() - 1, 'publish_future_post', array( (int) $argv[1] ) );
        delete_transient( 'doing_cron' ); // WordPress's own lock, of a run that a request before this one began.
        """
    wordpress.stack.php(code, str(post.number))
    then = wordpress.now()
    assert wordpress.changes(*then)["cron_due_at"] < time.time()
    assert wordpress.send("GET", "/wp-cron.php").status == 200
    wait_for("the post is out", lambda: wordpress.since(then), seconds=10)
    (entry,) = wordpress.since(then)
    assert {f"post:{post.number}", "list:post", "list:post/date:2001-05"} <= set(entry["tags"])
    assert f"{wordpress.stack.url}/2001/05/scheduled-to-go-out/" in entry["urls"]


def test_a_request_that_dies_is_journalled_all_the_same(wordpress: Wordpress) -> None:
    post = wordpress.stack.insert_post(post_title="Edited by one who dies")
    then = wordpress.now()
    code = f"wp_update_post( array( 'ID' => {post.number}, 'post_content' => 'x' ) ); nobody_has_this_function();"
    with pytest.raises(AssertionError):
        wordpress.stack.php(code)
    (entry,) = wordpress.since(then)
    assert entry["tags"] == [f"post:{post.number}", "list:post/any"]


def test_a_request_that_takes_long_tells_as_it_goes(wordpress: Wordpress) -> None:
    posts = [wordpress.stack.insert_post(post_title="Edited slowly") for _ in range(3)]
    then = wordpress.now()
    code = """
        foreach ( array_slice( $argv, 1 ) as $one ) {
            wp_update_post( array( 'ID' => $one, 'post_content' => 'x' ) );
            usleep( 1050000 );
            usleep( 1050000 );
        }
    """
    wordpress.stack.php(code, *(str(post.number) for post in posts))
    told = [tag for entry in wordpress.since(then) for tag in entry["tags"]]
    assert len(wordpress.since(then)) > 1
    assert [tag for tag in told if tag.startswith("post:")] == [f"post:{post.number}" for post in posts]


def test_a_bulk_edit_is_told_in_rows_of_a_bounded_size(wordpress: Wordpress) -> None:
    then = wordpress.now()
    code = """
        wp_defer_term_counting( true );
        $common = array( 'post_title' => 'bulk', 'post_status' => 'publish', 'post_type' => 'page' );
        for ( $i = 0; $i < 500; $i++ ) {
            $all[] = wp_insert_post( $common + array( 'post_name' => "bulk-$i" ) );
        }
        echo json_encode( $all );
        """
    made = json.loads(wordpress.stack.php(code))
    entries = wordpress.since(then)
    assert {tag for entry in entries for tag in entry["tags"]} >= {f"post:{number}" for number in made}
    assert sum(len(entry["urls"]) for entry in entries) >= 500
    assert max(len(entry["tags"]) for entry in entries) < 2000
    then = wordpress.now()
    wordpress.stack.php(
        "foreach ( json_decode( $argv[1] ) as $one ) { wp_delete_post( $one, true ); }", json.dumps(made)
    )
    gone = {url for entry in wordpress.since(then) for url in entry["gone"]}
    assert gone == {f"{wordpress.stack.url}/bulk-{number}/" for number in range(500)}


def test_an_import_that_leaves_the_caches_alone_is_seen(wordpress: Wordpress) -> None:
    post = wordpress.stack.insert_post(post_title="Imported anew")
    then = wordpress.now()
    code = (
        "wp_suspend_cache_invalidation( true ); wp_update_post( array( 'ID' => $argv[1], 'post_content' => 'other' ) );"
    )
    wordpress.stack.php(code, str(post.number))
    assert [entry["urls"] for entry in wordpress.since(then)] == [[post.page.url]]


# --- edits over HTTP ---


@pytest.fixture(scope="module")
def password(wordpress: Wordpress) -> str:
    """The Authorization field of an administrator's application password."""
    code = """
        add_filter( 'wp_is_application_passwords_available', '__return_true' );
        echo WP_Application_Passwords::create_new_application_password( 1, array( 'name' => 'test' ) )[0];
    """
    file = wordpress.stack.directory / "wordpress/wp-content/mu-plugins/passwords.php"
    file.write_text("<?php add_filter( 'wp_is_application_passwords_available', '__return_true' );")
    return "Basic " + base64.b64encode(f"admin:{wordpress.stack.php(code)}".encode()).decode()


def rest(wordpress: Wordpress, password: str, method: str, path: str, **fields: object) -> dict[str, Any]:
    headers = {"Authorization": password, "Content-Type": "application/json"}
    reply = wordpress.send(method, f"/wp-json/wp/v2{path}", json.dumps(fields).encode(), headers)
    assert reply.status in {200, 201}, reply.body
    answer: dict[str, Any] = json.loads(reply.body)
    return answer


def test_the_block_editors_way(wordpress: Wordpress, password: str) -> None:
    then = wordpress.now()
    draft = rest(wordpress, password, "POST", "/posts", title="By REST", content="text", status="draft")
    assert wordpress.since(then) == []
    # In the journal by the time that the author hears of it.
    post = rest(wordpress, password, "POST", f"/posts/{draft['id']}", status="publish")
    (entry,) = wordpress.since(then)
    # And the archive of its category, if it is the first one there.
    assert [url for url in entry["urls"] if "/category/" not in url] == [post["link"]]
    assert {f"post:{post['id']}", "list:post", "list:post/first:5", "list:post/user:1"} <= set(entry["tags"])
    then = wordpress.now()
    rest(wordpress, password, "POST", f"/posts/{draft['id']}/autosaves", title="By REST, later", content="x")
    assert wordpress.since(then) == []
    rest(wordpress, password, "DELETE", f"/posts/{draft['id']}")
    assert [entry["gone"] for entry in wordpress.since(then)] == [[post["link"]]]


def test_a_registered_setting_by_rest_is_on_every_page(wordpress: Wordpress, password: str) -> None:
    file = mu_plugin(
        wordpress,
        "add_action( 'init', static function () {"
        " register_setting( 'shop', 'shop_hours', array( 'type' => 'string', 'show_in_rest' => true ) ); } );",
    )
    try:
        then = wordpress.now()
        rest(wordpress, password, "POST", "/settings", shop_hours="nine to five")
        assert [entry["tags"] for entry in wordpress.since(then)] == [["site"]]
        then = wordpress.now()
        rest(wordpress, password, "POST", "/settings", default_category=1)
        assert wordpress.since(then) == []
    finally:
        file.unlink()


def test_an_option_set_on_the_command_line_is_on_every_page(wordpress: Wordpress) -> None:
    runner = "define( 'WP_CLI', true ); class WP_CLI { static $arguments = array(); static function get_runner() {"
    runner += " return (object) array( 'arguments' => self::$arguments ); } } WP_CLI::$arguments = array( $argv[1] );"
    for command, option, is_told in (
        ("option", "shop_hours", True), ("shop", "shop_hours", True), ("post", "shop_hours", False),
        ("option", "_transient_x", False), ("option", "category_children", False), ("option", "admin_email", False),
    ):  # fmt: skip
        then = wordpress.now()
        wordpress.stack.php(f"{runner} update_option( $argv[2], uniqid() );", command, option)
        assert [entry["tags"] for entry in wordpress.since(then)] == ([["site"]] if is_told else []), (command, option)


def test_a_visitors_comment_is_no_event_until_it_is_approved(wordpress: Wordpress, password: str) -> None:
    post = wordpress.stack.insert_post(post_title="To be commented on")
    wordpress.stack.php("update_option( 'comment_moderation', '1' );")
    then = wordpress.now()
    form = f"comment_post_ID={post.number}&author=Bob&email=bob%40example.org&comment=words".encode()
    posted = wordpress.send(
        "POST", "/wp-comments-post.php", form, {"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert posted.status == 302
    assert wordpress.since(then) == []
    (comment,) = json.loads(wordpress.stack.php(
        "echo json_encode( get_comments( array( 'post_id' => $argv[1], 'status' => 'all', 'fields' => 'ids' ) ) );",
        str(post.number),
    ))  # fmt: skip
    rest(wordpress, password, "POST", f"/comments/{comment}", status="approved")
    (entry,) = wordpress.since(then)
    assert (set(entry["tags"]), entry["urls"], entry["gone"]) == (
        {"comments", *LATEST, f"comments:{post.number}", f"count:{post.number}"}, [], [],
    )  # fmt: skip


LATEST = ("comments:first/5", "comments:first/10", "comments:first/20", "comments:first/50")


def test_an_old_comment_is_not_among_the_latest(wordpress: Wordpress) -> None:
    code = """
        $post = wp_insert_post( array( 'post_title' => 'Of the future', 'post_status' => 'publish' ) );
        for ( $i = 0; $i < 60; $i++ ) {
            $date = gmdate( 'Y-m-d H:i:s', 2300000000 - $i );
            $fields = array( 'comment_post_ID' => $post, 'comment_content' => $date, 'comment_approved' => 1 );
            wp_insert_comment( $fields + array( 'comment_date' => $date, 'comment_date_gmt' => $date ) );
            $dates[] = $date;
        }
        foreach ( array( 0, 4, 5, 19, 49, 50 ) as $newer ) {
            $tags[ $newer ] = Staticify\\tags_of_latest_comments( $dates[ $newer ] );
        }
        wp_delete_post( $post, true );
        echo json_encode( $tags );
    """
    lengths = {newer: len(tags) for newer, tags in json.loads(wordpress.stack.php(code)).items()}
    assert lengths == {"0": 5, "4": 5, "5": 4, "19": 3, "49": 2, "50": 1}


def test_wp_admins_own_way(wordpress: Wordpress) -> None:
    cookie = wordpress.stack.log_in("admin", "launch-day")
    post = wordpress.stack.insert_post(post_title="By wp-admin", post_content="before")
    form = wordpress.send(
        "GET", f"/wp-admin/post.php?post={post.number}&action=edit&classic-editor", headers={"Cookie": cookie}
    )
    nonce = re.search(rb'name="_wpnonce" value="([0-9a-f]+)"', form.body)
    assert nonce
    then = wordpress.now()
    fields = urlencode(
        {
            "_wpnonce": nonce[1].decode(), "action": "editpost", "post_ID": post.number, "post_type": "post",
            "post_title": "By wp-admin", "content": "after", "post_status": "publish",
            "original_post_status": "publish",
        }
    )  # fmt: skip
    saved = wordpress.send(
        "POST",
        "/wp-admin/post.php",
        fields.encode(),
        {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert saved.status == 302
    (entry,) = wordpress.since(then)
    assert f"post:{post.number}" in entry["tags"]
    assert not any(tag.startswith("list:post/first") for tag in entry["tags"])


# --- labels ---


def test_what_pages_are_made_of(wordpress: Wordpress) -> None:
    code = """
        $u = wp_insert_user( array( 'user_login' => 'labels', 'user_pass' => 'x', 'role' => 'author' ) );
        $c = wp_insert_term( 'Labels', 'category' )['term_id'];
        foreach ( array( 'before', 'it', 'after' ) as $day => $name ) {
            $fields = array( 'post_title' => "Labels $name", 'post_date' => '2002-02-0' . ( $day + 1 ) . ' 10:00:00' );
            $fields += array( 'post_author' => $u, 'post_category' => array( $c ) );
            $x[ $name ] = wp_insert_post( $fields + array( 'post_status' => 'publish', 'comment_status' => 'open' ) );
        }
        $x += array( 'u' => $u, 'c' => $c, 'url' => get_permalink( $x['it'] ) );
        $x += array( 'author' => get_author_posts_url( $u ), 'category' => get_term_link( $c ) );
        wp_insert_comment( array( 'comment_post_ID' => $x['it'], 'comment_content' => 'x', 'comment_approved' => 1 ) );
        echo json_encode( $x );
    """
    x = json.loads(wordpress.stack.php(code))
    everywhere = {"site", "list:post/first:5", "list:post/months", "terms:category", "comments:first/5"}

    post = wordpress.label(parse_page(x["url"]).path)
    assert post >= everywhere | {
        f"post:{x['it']}", f"near:{x['it']}", f"name:{x['before']}", f"name:{x['after']}", f"user:{x['u']}",
        f"term:{x['c']}", f"comments:{x['it']}",
    }  # fmt: skip
    assert not post & {"list:post", "list:post/any", "*", f"post:{x['before']}", f"post:{x['after']}"}

    three = {f"post:{x[name]}" for name in ("before", "it", "after")}
    author = wordpress.label(parse_page(x["author"]).path)
    assert author >= everywhere | three | {f"user:{x['u']}", f"list:post/user:{x['u']}"}
    assert not author & {"list:post", "list:post/any"}
    category = wordpress.label(parse_page(x["category"]).path)
    assert category >= everywhere | three | {f"term:{x['c']}", f"list:post/term:{x['c']}"}
    assert not category & {"list:post", "list:post/any"}
    assert wordpress.label("/2002/02/") >= everywhere | three | {"list:post/date:2002-02"}
    home = wordpress.label("/")
    assert home >= everywhere | {"list:post"}
    assert len([tag for tag in home if tag.startswith("post:")]) >= 10
    page = wordpress.label("/about/")
    assert page >= everywhere
    assert not page & {"list:post", "list:post/any"}
    assert len([tag for tag in page if tag.startswith("post:")]) == 1
    assert len([tag for tag in page if tag.startswith("menu:")]) == 1
    feed = wordpress.label("/feed/")
    assert feed >= {"site", "list:post/first:10"}
    assert not feed & {"list:post", "list:post/any", "list:page/any"}
    assert wordpress.label("/comments/feed/") >= {"site", "comments:first/10"}
    assert wordpress.label("/wp-sitemap.xml") == {"site", "users", "list:post", "list:page"} | {
        tag for tag in wordpress.label("/wp-sitemap.xml") if tag.startswith(("terms:", "term:", "user:"))
    }
    posts = wordpress.label("/wp-sitemap-posts-post-1.xml")
    assert posts >= {"site", "list:post"}
    assert "name:*" in posts or f"name:{x['it']}" in posts
    assert not any(tag.startswith("post:") for tag in posts)
    assert wordpress.label("/wp-sitemap-taxonomies-category-1.xml") >= {"site", "terms:category", f"term:{x['c']}"}
    assert wordpress.label("/wp-sitemap-users-1.xml") >= {"site", "users", f"user:{x['u']}"}
    assert wordpress.label("/robots.txt") == {"site"}


UNSEEN_BY_FILTERS = {
    "the text of a page that is read by its path": (
        "$p = get_page_by_path( 'about' ); echo apply_filters( 'the_content', $p->post_content );", "post:{about}",
    ),
    "its address alone": ("echo get_permalink( {about} );", ""),
    "posts by comments": ("get_posts( array( 'orderby' => 'comment_count' ) );", "comments list:post/any"),
    "posts with one": ("get_posts( array( 'comment_count' => array( 'value' => 1 ) ) );", "comments list:post/any"),
    "how many posts a category has": (
        "foreach ( get_categories() as $c ) { echo $c->count; }", "terms:category terms:category/count",
    ),
    "categories without numbers": ("wp_list_categories();", "terms:category"),
    "names of categories": ("echo implode( get_terms( array( 'fields' => 'names' ) ) );", "terms:category"),
    "categories with numbers": ("wp_list_categories( 'show_count=1' );", "terms:category/count"),
    "pages in the order of their last change": ("wp_list_pages( 'sort_column=post_modified' );", "list:page/any"),
    "pages with a field": ("get_pages( array( 'meta_key' => 'colour' ) );", "list:page/any"),
    "pages of an author": ("get_pages( array( 'authors' => '1' ) );", "list:page/any"),
    "the first pages": ("get_pages( array( 'number' => 2 ) );", "list:page/any post:{about}"),
    "when anything was changed last": ("echo get_lastpostmodified( 'GMT' );", "list:post/any list:page/any"),
    "pages in their order": ("wp_list_pages();", "list:page"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSEEN_BY_FILTERS)
def test_what_is_shown_without_the_usual_filters_is_labelled_too(wordpress: Wordpress, name: str) -> None:
    code, expected = UNSEEN_BY_FILTERS[name]
    about = wordpress.stack.php("echo get_page_by_path( 'about' )->ID;")
    code, expected = code.replace("{about}", about), expected.format(about=about)
    path = wordpress.stack.insert_post(post_title=name, post_content=name).path
    file = mu_plugin(wordpress, "")
    try:
        plain = wordpress.label(path)
        file.write_text(f"<?php add_action( 'wp_footer', static function () {{ {code} }} );")
        added = wordpress.label(path) - plain
    finally:
        file.unlink()
    # What the theme's own widgets carry already is expected, and not added.
    assert added | plain >= set(expected.split())
    heavy = {f"post:{about}", "comments", "terms:category/count", "list:page/any", "list:post/any"}
    assert added & heavy == set(expected.split()) & heavy - plain


def test_the_comment_feed_of_a_private_post_is_made_of_anything(wordpress: Wordpress) -> None:
    post = wordpress.stack.insert_post(post_title="Fed", post_content="x")
    assert "*" not in wordpress.label(f"{post.path}feed/")
    wordpress.stack.update_post(post, post_status="private")
    assert "*" in wordpress.label(f"{post.path}feed/")


def test_pages_of_a_block_theme(wordpress: Wordpress) -> None:
    block = wordpress.stack.insert_post(post_title="Shared", post_type="wp_block", post_content="<p>x</p>")
    post = wordpress.stack.insert_post(
        post_title="With a block", post_content=f'<!-- wp:block {{"ref":{block.number}}} /-->'
    )
    wordpress.stack.php("switch_theme( 'twentytwentythree' );")
    try:
        wordpress.stack.from_origin("/")
        label = wordpress.label(post.path)
        assert {"template:single-post", "template:single", "template:header", "template:footer"} <= label
        assert {f"post:{post.number}", f"post:{block.number}"} <= label
        assert {"template:home", "template:index", "list:post"} <= wordpress.label("/")
    finally:
        wordpress.stack.php("switch_theme( 'twentytwentyone' );")
        wordpress.stack.from_origin("/")


def test_a_label_that_is_too_long_is_folded(wordpress: Wordpress) -> None:
    code = """
        require_once WPMU_PLUGIN_DIR . '/staticify/lists.php';
        $tags = array( 'site' => true, 'list:post' => true );
        for ( $i = 0; $i < 200; $i++ ) {
            $tags += array( "post:1000$i" => true, "name:1000$i" => true, "name:2000$i" => true );
        }
        $out[] = Staticify\\label( $tags );
        for ( $i = 0; $i < 500; $i++ ) { $all[ "lonely$i" ] = true; }
        $out[] = Staticify\\label( $all );
        $out[] = Staticify\\label( array( 'post:1' => true, 'name:1' => true, 'name:2' => true ) );
        echo json_encode( $out );
    """
    assert json.loads(wordpress.stack.php(code)) == ["site list:post post:*", "*", "post:1 name:2"]


KEY_PATHS = (
    "/", "/about/", "/feed/", "/comments/feed/", "/robots.txt", "/wp-sitemap.xml", "/wp-sitemap-posts-post-1.xml",
    "/author/author1/", "/category/news/", "/2024/06/",
)  # fmt: skip


@pytest.mark.parametrize("path", KEY_PATHS)
def test_a_labelled_page_is_the_same_and_a_visitors_has_no_label(wordpress: Wordpress, path: str) -> None:
    plain = wordpress.send("GET", path)
    labelled = wordpress.render(path)
    assert plain.status == labelled.status == 200
    assert plain.body == labelled.body
    extra = {name for name in labelled.headers if name not in plain.headers}
    assert extra == {"staticify-tags"}
    assert 0 < len(labelled.headers["staticify-tags"]) <= 2000
    assert not [name for name in plain.headers if name.startswith("staticify")]


def test_who_has_no_good_signature_gets_no_label(wordpress: Wordpress) -> None:
    good = wordpress.signed("render")
    for headers in (
        wordpress.signed("render", seconds_ago=400),
        wordpress.signed("render", secret="whsec_" + "A" * 44),
        wordpress.signed("other"),
        good | {"webhook-signature": "v1,"},
        {"webhook-id": "render"},
    ):
        reply = wordpress.send("GET", "/about/", headers=headers)
        assert (reply.status, [name for name in reply.headers if name.startswith("staticify")]) == (200, [])


def mu_plugin(wordpress: Wordpress, code: str) -> Path:
    file = wordpress.stack.directory / "wordpress/wp-content/mu-plugins/a-test.php"
    file.write_text(f"<?php {code}")
    return file


RENAME = "global $wpdb; $wpdb->query( 'RENAME TABLE ' . $argv[1] . ' TO ' . $argv[2] );"


def test_what_the_database_refused_is_said_once_and_to_staticify_alone(wordpress: Wordpress) -> None:
    assert "staticify-database-error" not in wordpress.render("/about/").headers
    wordpress.stack.php(RENAME, "wp_comments", "wp_lost")
    try:
        reply = wordpress.render("/about/")
        assert (reply.status, reply.headers["staticify-database-error"]) == (
            200, "Table 'wordpress.wp_comments' doesn't exist",
        )  # fmt: skip
        assert "staticify-database-error" not in wordpress.send("GET", "/about/").headers
    finally:
        wordpress.stack.php(RENAME, "wp_lost", "wp_comments")
    # What a plugin asks for twice, with what no field may have, and more of them than anybody reads.
    code = """add_action( 'wp_footer', function () { global $wpdb; $wpdb->suppress_errors();
        $wpdb->query( "no\\n\\xc3\\xa9" );
        $wpdb->query( "SELECT ST_GeomFromText( 'visitor@example.org', 1 )" );
        $wpdb->query( "INSERT INTO $wpdb->users ( ID, user_login ) VALUES ( 1, 'visitor@example.org' )" );
        foreach ( array_merge( range( 1, 20 ), range( 1, 20 ) ) as $i ) {
            $wpdb->query( 'SELECT 1 FROM no_table_of_any_plugin_that_ever_was_' . $i );
        } } );"""
    file = mu_plugin(wordpress, code)
    try:
        errors = wordpress.render("/about/").headers["staticify-database-error"]
        assert errors.isascii()
        assert "Duplicate entry '...'" in errors
        assert "visitor" not in errors
        assert 700 < len(errors) <= 10 * 122
    finally:
        file.unlink()


def test_errors_of_the_database_and_a_long_label_fit_together_into_what_nginx_takes(wordpress: Wordpress) -> None:
    code = """add_action( 'wp_footer', function () { global $wpdb; $wpdb->suppress_errors();
        foreach ( range( 10, 29 ) as $i ) { $wpdb->query( str_repeat( "$i no ", 50 ) ); }
        foreach ( range( 10000, 10129 ) as $id ) { apply_filters( 'the_title', 'x', $id ); } } );"""
    file = mu_plugin(wordpress, code)
    try:
        reply = wordpress.render("/about/")
        assert reply.status == 200
        fields = {name: value for name, value in reply.headers.items() if name.startswith("staticify")}
        assert fields.keys() == {"staticify-tags", "staticify-database-error"}
        assert sum(map(len, fields.values())) <= 2000
    finally:
        file.unlink()


@pytest.mark.parametrize("ends", ["ob_end_flush", "ob_end_clean"])
def test_errors_of_the_database_are_said_of_a_page_flushed_or_begun_anew_too(wordpress: Wordpress, ends: str) -> None:
    code = f"""add_action( 'wp_head', function () {{ global $wpdb; $wpdb->suppress_errors(); $wpdb->query( 'no' );
        while ( ob_get_level() ) {{ {ends}(); }} }} );"""
    file = mu_plugin(wordpress, code)
    try:
        assert "SQL syntax" in wordpress.render("/about/").headers["staticify-database-error"]
    finally:
        file.unlink()


def test_donotcachepage_is_passed_on(wordpress: Wordpress) -> None:
    file = mu_plugin(wordpress, "add_action( 'wp_footer', function () { define( 'DONOTCACHEPAGE', true ); } );")
    try:
        assert wordpress.render("/about/").headers["staticify-do-not-cache"] == "DONOTCACHEPAGE"
        assert "staticify-do-not-cache" not in wordpress.send("GET", "/about/").headers
    finally:
        file.unlink()


def test_a_page_flushed_before_its_end_is_made_of_anything(wordpress: Wordpress) -> None:
    file = mu_plugin(
        wordpress, "add_action( 'wp_head', function () { while ( ob_get_level() ) { ob_end_flush(); } } );"
    )
    try:
        assert "*" in wordpress.label("/about/")
    finally:
        file.unlink()


def test_a_counter_of_views_is_no_edit(wordpress: Wordpress) -> None:
    code = """
        add_action( 'wp_head', function () {
            update_post_meta( get_the_ID(), 'views', 1 + (int) get_post_meta( get_the_ID(), 'views', true ) );
        } );
    """
    file = mu_plugin(wordpress, code)
    try:
        then = wordpress.now()
        wordpress.render("/about/")
        wordpress.send("GET", "/about/")
        assert wordpress.since(then) == []
    finally:
        file.unlink()


# --- the webhook ---


class Listener:
    """Takes what comes, says 202 after a while, and remembers."""

    def __init__(self, port: int, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.heard: list[tuple[float, bytes]] = []
        self._server = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                request = connection.recv(65536)
                self.heard.append((time.monotonic(), request))
                time.sleep(self.seconds)
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def positions(self) -> list[int]:
        """What was told of the journal; a request before may tell it only now, because its author has not waited."""
        bodies = (json.loads(request.partition(b"\r\n\r\n")[2]) for _, request in self.heard)
        return [body["data"]["position"] for body in bodies if body["type"] == "changes"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


def save(wordpress: Wordpress, password: str, number: int) -> float:
    began = time.monotonic()
    rest(wordpress, password, "POST", f"/posts/{number}", content=f"saved at {began}")
    return time.monotonic() - began


@pytest.mark.alone
def test_staticify_is_told_when_the_author_has_the_answer(wordpress: Wordpress, password: str) -> None:
    post = wordpress.stack.insert_post(post_title="Told")
    with Listener(wordpress.listener_port, seconds=0.4) as listener:
        seconds = save(wordpress, password, post.number)
        wait_for("staticify is told", lambda: listener.heard, seconds=5)
    assert seconds < 0.35
    head, _, body = listener.heard[0][1].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /webhook HTTP/1.1"
    fields = dict(
        line.lower().split(": ", 1) if not line.lower().startswith("webhook-signature") else line.split(": ", 1)
        for line in lines[1:]
    )
    journal, position = wordpress.now()
    told = json.loads(body)
    assert told.pop("timestamp")
    assert told == {
        "type": "changes", "data": {"site": f"{wordpress.stack.url}/", "journal": journal, "position": position},
    }  # fmt: skip
    key = base64.b64decode(wordpress.secret.removeprefix("whsec_"))
    content = f"{fields['webhook-id']}.{fields['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert fields["webhook-signature"] == f"v1,{expected}"
    assert int(fields["content-length"]) == len(body)


def test_what_changes_nothing_is_not_told(wordpress: Wordpress, password: str) -> None:
    _, position = wordpress.now()
    with Listener(wordpress.listener_port) as listener:
        rest(wordpress, password, "POST", "/posts", title="A draft", status="draft")
        time.sleep(0.3)
    assert [told for told in listener.positions() if told > position] == []


@pytest.mark.alone
def test_a_dead_listener_costs_nothing(wordpress: Wordpress, password: str) -> None:
    post = wordpress.stack.insert_post(post_title="Saved again and again")
    seconds: dict[str, list[float]] = {"dead": [], "alive": [], "silent": []}
    save(wordpress, password, post.number)
    for _ in range(12):
        seconds["dead"].append(save(wordpress, password, post.number))
        with Listener(wordpress.listener_port):
            seconds["alive"].append(save(wordpress, password, post.number))
            time.sleep(0.05)
        # One that takes the connection and says nothing.
        with socket.create_server(("127.0.0.1", wordpress.listener_port)):
            seconds["silent"].append(save(wordpress, password, post.number))
    medians = [sorted(values)[len(values) // 2] for values in seconds.values()]
    assert max(medians) - min(medians) < 0.010 + 0.2 * min(medians)


@pytest.mark.alone
def test_where_php_cannot_let_go_the_author_waits_ten_milliseconds_at_most(wordpress: Wordpress) -> None:
    code = """
        $began = microtime( true );
        echo Staticify\\send( '/webhook', 'changes', array(), Staticify\\SECONDS_IN_THE_WAY, false );
        echo ' ', microtime( true ) - $began;
    """
    result, seconds = wordpress.stack.php(code).rsplit(" ", 1)
    assert (result, float(seconds) < 0.012) == ("Connection refused", True)
    with socket.create_server(("127.0.0.1", wordpress.listener_port)):
        result, seconds = wordpress.stack.php(code).rsplit(" ", 1)
    assert (result, float(seconds) < 0.012) == ("sent", True)


def test_which_addresses_only_a_name_server_knows(wordpress: Wordpress) -> None:
    """Where the author waits they are not asked for: no time-out holds for a dead name server."""
    addresses = {
        "http://127.0.0.1:8765": False, "http://[::1]:8765": False, "http://localhost:8765": False,
        "unix:/run/staticify/webhook.sock": False, "http://cache.example:8765": True, "http://cache:8765": True,
    }  # fmt: skip
    code = "echo json_encode( array_map( 'Staticify\\is_to_be_resolved', json_decode( $argv[1] ) ) );"
    answer = json.loads(wordpress.stack.php(code, json.dumps(list(addresses))))
    assert dict(zip(addresses, answer, strict=True)) == addresses


def test_over_a_unix_socket(wordpress: Wordpress) -> None:
    path = wordpress.stack.directory / "run/told.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o777)
        server.listen()
        code = """
            $target = Staticify\\socket_of( 'unix:' . $argv[1] )[0];
            stream_socket_client( $target ) || exit( 1 );
            echo $target;
        """
        assert f"unix://{path}" in wordpress.stack.php(code, str(path))
    path.unlink()


# --- wp-admin and WP-CLI ---


def admin_page(wordpress: Wordpress, path: str, cookie: str) -> str:
    reply = wordpress.send("GET", path, headers={"Cookie": cookie})
    assert reply.status == 200, reply.body[:500]
    return reply.body.decode()


def test_the_settings_screen_shows_the_state_and_no_secret(wordpress: Wordpress) -> None:
    cookie = wordpress.stack.log_in("admin", "launch-day")
    text = admin_page(wordpress, "/wp-admin/options-general.php?page=staticify", cookie)
    assert f"http://127.0.0.1:{wordpress.listener_port}" in text
    assert wordpress.secret not in text
    assert "Set in wp-config.php." in text
    nonce = re.search(
        r'name="_wpnonce" value="([0-9a-f]+)" ?/?><input type="hidden" name="_wp_http_referer"[^>]*>\s*<button', text
    )
    assert nonce
    form = f"_wpnonce={nonce[1]}&staticify_action=test".encode()
    fields = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    with Listener(wordpress.listener_port) as listener:
        tested = wordpress.send("POST", "/wp-admin/options-general.php?page=staticify", form, fields)
    assert b"staticify says: 202 Accepted" in tested.body
    assert wordpress.now()[1] in listener.positions()


def test_an_author_may_neither_see_the_settings_nor_refresh(wordpress: Wordpress) -> None:
    cookie = wordpress.stack.log_in("author1", "launch-day")
    assert (
        wordpress.send("GET", "/wp-admin/options-general.php?page=staticify", headers={"Cookie": cookie}).status == 403
    )
    assert "staticify_refresh" not in admin_page(wordpress, "/about/", cookie)


def test_the_admin_bar_has_a_page_rendered_anew(wordpress: Wordpress) -> None:
    cookie = wordpress.stack.log_in("admin", "launch-day")
    link = re.search(r'href=[\'"]([^\'"]*staticify_refresh[^\'"]*)', admin_page(wordpress, "/about/?x=y", cookie))
    assert link
    target = link[1].replace("&#038;", "&").replace("&amp;", "&").removeprefix(wordpress.stack.url)
    with Listener(wordpress.listener_port) as listener:
        done = wordpress.send("GET", target, headers={"Cookie": cookie})
        forged = wordpress.send("GET", re.sub("_wpnonce=[0-9a-f]+", "_wpnonce=0", target), headers={"Cookie": cookie})
    assert (done.status, done.headers["location"], forged.status) == (302, f"{wordpress.stack.url}/about/", 403)
    (request,) = (request for _, request in listener.heard if request.startswith(b"POST /purge HTTP/1.1"))
    body = json.loads(request.partition(b"\r\n\r\n")[2])
    assert (body["type"], body["data"]) == (
        "purge",
        {"site": f"{wordpress.stack.url}/", "urls": [f"{wordpress.stack.url}/about/"], "tags": [], "all": False},
    )  # fmt: skip


def test_site_health_says_what_is_wrong(wordpress: Wordpress) -> None:
    code = "require_once WPMU_PLUGIN_DIR . '/staticify/health.php'; echo json_encode( Staticify\\health() );"
    dead = json.loads(wordpress.stack.php(code))
    assert dead["status"] == "recommended"
    assert "does not answer" in dead["description"]


CLI = """
    define( 'WP_CLI', true );
    class WP_CLI {
        public static $command;
        public static function add_command( $name, $class ) { self::$command = new $class(); }
        public static function line( $text ) { echo "$text\n"; }
        public static function success( $text ) { echo "Success: $text\n"; }
        public static function error( $text ) { echo "Error: $text\n"; exit; }
    }
    require WPMU_PLUGIN_DIR . '/staticify/cli.php';
"""


def test_the_commands_of_wp_cli(wordpress: Wordpress) -> None:
    append(wordpress, 2)
    journal, position = wordpress.now()
    status = wordpress.stack.php(f"{CLI} WP_CLI::$command->status();")
    assert f"journal  {journal}, positions" in status
    assert "Error: staticify does not answer: Connection refused" in status
    changes = wordpress.stack.php(f"{CLI} WP_CLI::$command->changes( array(), array( 'since' => {position - 1} ) );")
    assert json.loads(changes)["position"] == position
    with Listener(wordpress.listener_port) as listener:
        purged = wordpress.stack.php(f"{CLI} WP_CLI::$command->purge( array(), array( 'tag' => 'post:1,post:2' ) );")
    assert purged == "Success: 202 Accepted\n"
    assert any(b'"tags":["post:1","post:2"]' in request for _, request in listener.heard)
    assert wordpress.stack.php(f"{CLI} WP_CLI::$command->purge( array(), array() );").startswith("Error")


def test_uninstalling_leaves_nothing(wordpress: Wordpress) -> None:
    code = """
        define( 'WP_UNINSTALL_PLUGIN', 'x' );
        require WPMU_PLUGIN_DIR . '/staticify/uninstall.php';
        global $wpdb;
        $left[] = $wpdb->get_col( "SHOW TABLES LIKE '%staticify%'" );
        $left[] = $wpdb->get_col( "SELECT option_name FROM $wpdb->options WHERE option_name LIKE 'staticify%'" );
        echo json_encode( $left );
    """
    assert json.loads(wordpress.stack.php(code)) == [[], []]
    wordpress.now()


# --- the source ---

SOURCES = sorted(PLUGIN.rglob("*.php"))


def test_every_file_is_good_php() -> None:
    assert len(SOURCES) > 10
    for source in SOURCES:
        done = subprocess.run(["/usr/bin/php8.2", "-l", source], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", ["7.4", "8.5"])
def test_every_file_is_good_php_in_the_oldest_and_the_newest(version: str, tmp_path: Path) -> None:
    wasm = ROOT / ".cache/php/node_modules/.bin/php-wasm-cli"
    if not wasm.exists():
        pytest.skip("there is no npm, by which tests/run installs PHP of other versions")
    for source in SOURCES:
        done = subprocess.run(
            [wasm, "-l", source], capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "PHP": version, "TMPDIR": str(tmp_path)},
        )  # fmt: skip
        assert "No syntax errors" in done.stdout, done.stdout + done.stderr
