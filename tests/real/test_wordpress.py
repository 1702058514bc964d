"""The promises, against a real WordPress: what is published, what stays when it breaks, and what goes."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import brotli
import pytest

from real.conftest import MakePost, MakeSite
from real.helpers import Running, Site, Stack, snapshot, stop, wait_for
from staticify.nouns import Kind, Outcome
from staticify.urls import Page, parse_page

# The site as `staticify init` proposes it, without asking again.
WHOLE = ("/", "/feed/", "/comments/feed/", "/robots.txt", "/wp-sitemap.xml")
SITEMAPS = {"sitemaps": ["/wp-sitemap.xml"], "exclude": ["/author/*", "*/password-protected/"]}


@pytest.fixture(scope="session")
def rendered(stack: Stack) -> Iterator[Path]:
    """A tree and a state with every key page, rendered once, to be copied."""
    directory = stack.make_directory()
    site = Site(stack, directory, WHOLE, tree=None, settings=SITEMAPS)
    assert set(site.render().values()) == {("published", "ok")}
    # A new WordPress has chores of its own, which the first visits set going, and which change its home page once more.
    wait_for("a pass changes nothing", lambda: set(site.render().values()) == {("unchanged", "ok")}, 60)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def whole(rendered: Path, make_site: MakeSite) -> Site:
    """Every key page, in the tree that nginx serves."""
    site = make_site(*WHOLE, is_served=True, **SITEMAPS)
    subprocess.run(["cp", "-a", f"{rendered}/tree/.", site.tree], check=True)
    subprocess.run(["cp", "-a", f"{rendered}/state", site.state], check=True)
    return site


def get_page(site: Site, path: str) -> bytes:
    return site.stack.from_origin(Page("http", site.stack.netloc, path).raw_path).body


# --- one pass, and another ---


def test_init_check_render_and_verify_agree_that_every_page_is_good(stack: Stack, make_site: MakeSite) -> None:
    site = make_site("/")
    site.config.unlink()
    where = ("--tree", str(site.tree), "--state", str(site.state))
    init = site.staticify("init", stack.url, "--origin", stack.origin, *where)
    assert init.returncode == 0, init.stderr
    check = site.staticify("check")
    assert check.returncode == 0, check.stderr
    render = site.staticify("render", "--all", "--json")
    report = json.loads(render.stdout)
    count = len(report["pages"])
    assert (render.returncode, report["counts"]["published"]) == (0, count)
    assert count > 60
    verify = site.staticify("verify")
    assert (verify.returncode, verify.stdout) == (0, f"{count} pages: the tree says what the origin says\n")


CHANGES = (
    "creat,mkdir,mkdirat,rmdir,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,mknod,mknodat,"
    "truncate,ftruncate,fallocate,utime,utimes,futimesat,utimensat,chmod,fchmod,fchmodat,chown,lchown,fchown,fchownat"
)


def changes_traced(trace: Path, tree: Path) -> list[str]:
    """System calls that opened a file below the tree for writing, or changed anything there.

    strace -y writes the path behind each descriptor, so that calls relative to one are found as well.
    """
    found = []
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        if str(tree) not in line or line.endswith(" = -1 EEXIST (File exists)"):
            continue
        is_read = re.search(r"\bopen(?:at2?)?\(", line) and not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", line)
        if not is_read:
            found.append(line)
    return found


def test_a_pass_in_which_nothing_changed_writes_nothing(whole: Site, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-y", "-qq", "-s", "1000", "-o", str(trace), "-e", f"trace=open,openat,openat2,{CHANGES}")
    before = snapshot(whole.tree)
    done = whole.staticify("render", "--all", "--json", under=strace)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["counts"]
    assert counts["unchanged"] == sum(counts.values()) > 60
    # Those in the tree's own root are the business of the test after this one.
    own = f'<{whole.tree}>, "@staticify.new-'
    assert [line for line in changes_traced(trace, whole.tree) if own not in line] == []
    assert snapshot(whole.tree) == before


def test_a_pass_in_which_nothing_changed_leaves_the_trees_own_directory_alone(make_site: MakeSite) -> None:
    site = make_site("/")
    assert site.render() == {"/": ("published", "ok")}
    before = site.tree.stat().st_mtime_ns
    assert site.render() == {"/": ("unchanged", "ok")}
    assert site.tree.stat().st_mtime_ns == before


def test_the_trace_shows_a_page_that_is_written(whole: Site, make_post: MakePost, tmp_path: Path) -> None:
    # Without this the test before could not fail.
    trace = tmp_path / "trace"
    post = make_post(post_title="Traced", post_content="traced")
    strace = ("strace", "-f", "-y", "-qq", "-o", str(trace), "-e", f"trace=open,openat,openat2,{CHANGES}")
    done = whole.staticify("render", post.page.url, under=strace)
    assert done.returncode == 0, done.stderr
    lines = changes_traced(trace, whole.tree)
    assert sum("O_WRONLY" in line for line in lines) == 3


def test_where_nothing_is_stripped_the_tree_has_the_origins_own_bytes(whole: Site) -> None:
    records = whole.records()
    assert len(records) > 60
    differing = [
        path
        for path, record in records.items()
        if not record.cuts and get_page(whole, path) != whole.file(path, record.kind or Kind.HTML).read_bytes()
    ]
    assert differing == []
    # An anonymous page of WordPress's own themes has nothing to strip.
    assert [path for path, record in records.items() if record.cuts] == []


HIDDEN = {
    "draft": {"post_status": "draft"},
    "private": {"post_status": "private"},
    "scheduled": {"post_status": "future", "post_date": "2037-01-01 12:00:00"},
    "trashed": {"post_status": "trash"},
    "protected": {"post_password": "secret"},
}


def test_nothing_that_is_not_public_is_in_the_tree(
    stack: Stack, make_site: MakeSite, make_post: MakePost, administrator: str
) -> None:
    public = make_post(post_title="For everybody", post_content="HIDDEN-NOT for everybody")
    stack.insert_comment(public, "HIDDEN comment", is_approved=False)
    hidden = [
        make_post(post_title=f"A {name} one", post_name=f"{name}-one", post_content=f"HIDDEN {name}", **fields)
        for name, fields in HIDDEN.items()
    ]
    # The key pages, and the addresses of the hidden posts as well.
    site = make_site(*WHOLE, public.path, *(post.path for post in hidden), **SITEMAPS)
    results = site.render()
    assert {name: results[post.path][0] for name, post in zip(HIDDEN, hidden, strict=True)} == dict.fromkeys(
        HIDDEN, "gone"
    )
    bodies = {file: file.read_bytes() for file in site.tree.rglob("index.*") if file.suffix not in {".gz", ".br"}}
    assert len(bodies) > 60
    assert any(b"HIDDEN-NOT for everybody" in body for body in bodies.values())
    # The last three are titles of the seed's own. The title of a protected post is public in WordPress.
    secrets = [b"HIDDEN ", b"NOT-APPROVED", b"Draft post", b"Private post", b"Scheduled post"]
    assert [(file, secret) for file, body in bodies.items() for secret in secrets if secret in body] == []
    for file, body in bodies.items():
        assert gzip.decompress(Path(f"{file}.gz").read_bytes()) == body
        assert brotli.decompress(Path(f"{file}.br").read_bytes()) == body
    # An administrator does get them: they are there to be found.
    assert b"HIDDEN private" in stack.from_origin("/", headers={"Cookie": administrator}).body


# --- what breaks ---


def assert_all_kept(site: Site, before: dict[str, tuple[int, int, bytes]], *verdicts: str) -> None:
    """A pass keeps every page for these reasons, and the front goes on with all of them."""
    published = {path for path, record in site.records().items() if record.is_published}
    results = site.render(*(Page("http", site.stack.netloc, path).url for path in published))
    assert results.keys() == published
    assert set(results.values()) == {("kept", verdict) for verdict in verdicts}
    assert snapshot(site.tree) == before
    answers = {path: site.stack.from_front(Page("http", site.stack.netloc, path).raw_path) for path in published}
    assert {(answer.status, answer.is_hit) for answer in answers.values()} == {(200, True)}
    assert len(answers) > 60


def assert_all_unchanged(site: Site, before: dict[str, tuple[int, int, bytes]]) -> None:
    results = site.render()
    assert results == dict.fromkeys(results, ("unchanged", "ok"))
    assert snapshot(site.tree) == before


def test_with_the_database_stopped_every_page_stays(stack: Stack, whole: Site) -> None:
    before = snapshot(whole.tree)
    try:
        stack.command("stop-db")
        assert_all_kept(whole, before, "status")
        assert set(whole.render().values()) == {("kept", "status")}
        assert stack.from_front("/?p=1").status == 503
    finally:
        stack.command("start-db")
    assert_all_unchanged(whole, before)


def test_with_php_stopped_every_page_stays(stack: Stack, whole: Site) -> None:
    before = snapshot(whole.tree)
    try:
        stack.command("stop-php")
        assert_all_kept(whole, before, "status")
        assert stack.from_front("/?p=1").status == 503
    finally:
        stack.command("start-php")
    assert_all_unchanged(whole, before)


def test_with_the_origin_server_stopped_every_page_stays(stack: Stack, make_site: MakeSite) -> None:
    stack.from_origin("/")  # With its first visitor a new WordPress fills its sidebars.
    site = make_site("/", "/about/")
    assert set(site.render().values()) == {("published", "ok")}
    before = snapshot(site.tree)
    try:
        stack.command("stop-nginx")
        assert site.render() == dict.fromkeys(("/", "/about/"), ("kept", "unreachable"))
        assert snapshot(site.tree) == before
    finally:
        stack.command("start-nginx")
    assert_all_unchanged(site, before)


def test_in_maintenance_mode_every_page_stays(stack: Stack, whole: Site) -> None:
    before = snapshot(whole.tree)
    flag = stack.directory / "wordpress/.maintenance"
    flag.write_text("<?php $upgrading = time();")
    try:
        # WordPress asks to be left alone for a while (Retry-After): those that were not under way are not asked for.
        assert_all_kept(whole, before, "maintenance", "paused")
    finally:
        flag.unlink()
    assert_all_unchanged(whole, before)


# --- what changes ---


def test_an_edit_is_published_anew_with_a_later_time(stack: Stack, make_site: MakeSite, make_post: MakePost) -> None:
    post = make_post(post_title="Edited", post_content="the first text")
    site = make_site(post.path, is_served=True)
    assert site.render() == {post.path: ("published", "ok")}
    before = site.file(post.path).stat()
    old = stack.from_front(post.path)
    assert b"the first text" in old.body
    stack.update_post(post, post_content="the other text")  # Of the same length.
    assert site.render() == {post.path: ("published", "ok")}
    after = site.file(post.path).stat()
    assert int(after.st_mtime) > int(before.st_mtime)
    new = stack.from_front(post.path, headers={"If-None-Match": old.headers["etag"]})
    assert (new.status, new.is_hit) == (200, True)
    assert b"the other text" in new.body
    assert b"the first text" not in new.body


def test_a_comment_appears_when_it_is_approved(stack: Stack, make_site: MakeSite, make_post: MakePost) -> None:
    post = make_post(post_title="Commented", post_content="text")
    site = make_site(post.path)
    site.render()
    comment = stack.insert_comment(post, "words of a comment", is_approved=False)
    assert site.render() == {post.path: ("unchanged", "ok")}
    assert stack.call("wp_set_comment_status", comment, "approve")
    assert site.render() == {post.path: ("published", "ok")}
    assert "words of a comment" in site.text(post.path)
    assert stack.call("wp_set_comment_status", comment, "spam")
    assert site.render() == {post.path: ("published", "ok")}
    assert "words of a comment" not in site.text(post.path)


def test_a_trashed_post_leaves_the_tree_and_wordpress_answers(
    stack: Stack, make_site: MakeSite, make_post: MakePost
) -> None:
    post = make_post(post_title="Trashed", post_content="text")
    site = make_site(post.path, is_served=True)
    assert site.render() == {post.path: ("published", "ok")}
    assert stack.from_front(post.path).is_hit
    assert stack.call("wp_trash_post", post.number)
    assert site.render() == {post.path: ("gone", "gone")}
    assert not site.file(post.path).parent.exists()
    answer = stack.from_front(post.path)
    assert (answer.status, answer.cache_status) == (404, "staticify; fwd=uri-miss")


def test_a_post_made_private_leaves_the_tree(stack: Stack, make_site: MakeSite, make_post: MakePost) -> None:
    post = make_post(post_title="Made private", post_content="no longer for everybody")
    site = make_site(post.path)
    assert site.render() == {post.path: ("published", "ok")}
    stack.update_post(post, post_status="private")
    assert site.render() == {post.path: ("gone", "gone")}
    assert not site.file(post.path).parent.exists()


def test_a_post_given_a_password_leaves_the_tree_when_two_passes_agree(
    stack: Stack, make_site: MakeSite, make_post: MakePost
) -> None:
    post = make_post(post_title="Given a password", post_content="no longer for everybody")
    site = make_site(post.path)
    assert site.render() == {post.path: ("published", "ok")}
    stack.update_post(post, post_password="secret")
    assert site.render() == {post.path: ("kept", "password")}
    assert site.render() == {post.path: ("gone", "password")}
    assert not site.file(post.path).parent.exists()


def test_an_old_address_leaves_the_tree_when_two_passes_agree(
    stack: Stack, make_site: MakeSite, make_post: MakePost
) -> None:
    post = make_post(post_title="Moved", post_name="the-old-address", post_content="text")
    site = make_site(post.path, "/about/")
    assert site.render(post.path) == {post.path: ("published", "ok")}
    stack.update_post(post, post_name="the-new-address")
    new = parse_page(stack.call("get_permalink", post.number))
    assert new != post.page
    assert site.render(post.path, new.url) == {post.path: ("kept", "moved"), new.path: ("published", "ok")}
    assert site.records()[post.path].location == new.url
    assert "Moved" in site.text(post.path)
    assert site.render(post.path) == {post.path: ("gone", "moved")}
    assert not site.file(post.path).parent.exists()


def test_a_new_post_joins_by_the_sitemap(whole: Site, make_post: MakePost) -> None:
    post = make_post(post_title="A new post: 新しい", post_content="text")
    results = whole.render()
    assert results[post.path] == ("published", "ok")
    assert results["/"] == ("published", "ok")
    assert "新しい" in whole.text("/")


# --- the daemon ---


def test_when_the_posts_are_lost_no_page_goes(stack: Stack, make_site: MakeSite) -> None:
    """WordPress goes on: its home page says "nothing found", its sitemap lists no post, and all else is a good 404."""
    site = make_site(*WHOLE, is_served=True, interval="3s", **SITEMAPS)
    assert set(site.render().values()) == {("published", "ok")}
    wait_for("a pass changes nothing", lambda: set(site.render().values()) == {("unchanged", "ok")}, 60)
    pages = [path for path, record in site.records().items() if record.kind is Kind.HTML]
    standing = {path: site.file(path) for path in pages}
    before = {path: file.read_bytes() for path, file in standing.items()}
    rename = "global $wpdb; $wpdb->query( 'RENAME TABLE ' . $argv[1] . ' TO ' . $argv[2] );"
    with ExitStack() as lost:
        # Before the daemon asks for any: a page that is made at that moment lacks what comes after, and is a good one.
        stack.php(rename, "wp_posts", "wp_lost")
        lost.callback(stack.php, rename, "wp_lost", "wp_posts")
        with Running(site.start()) as daemon:
            assert stack.from_origin("/about/").status == 404
            # Held back for longer than it takes for later fetches to agree, because of the others.
            wait_for("the home page is doubted", lambda: site.records()["/"].held_count > 5, 120)
            assert {path: file.read_bytes() for path, file in standing.items() if file.exists()} == before
            assert sum(record.verdict == "gone" for record in site.records().values()) > 40
            assert (home := stack.from_front("/")).is_hit
            assert home.body == before["/"]
            lost.close()
            # What is back is right by itself.
            wait_for(
                "all is well",
                lambda: (
                    {record.outcome for record in site.records().values()} == {Outcome.UNCHANGED}
                    and all(file.exists() for file in standing.values())
                ),
                60,
            )
            assert stop(daemon) == 0
    assert {path: file.read_bytes() for path, file in standing.items()} == before


@pytest.mark.alone
def test_the_daemon_keeps_every_page_within_the_bound(stack: Stack, make_site: MakeSite, make_post: MakePost) -> None:
    post = make_post(post_title="Kept fresh", post_content="before the edit")
    site = make_site(*WHOLE, is_served=True, interval="5s", **SITEMAPS)
    expected = len(site.render())
    with Running(site.start()) as daemon:

        def is_all_fresh() -> bool:
            pages = site.status()["pages"]
            return len(pages) == expected and {page["state"] for page in pages} == {"fresh"}

        wait_for("every page is fresh", is_all_fresh, seconds=20)
        ages = []
        edited = seconds = 0.0
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < 13:
            ages.append(site.status()["sites"][0]["oldest_seconds"])
            if not edited and elapsed > 2:
                stack.update_post(post, post_content="after the edit")
                edited = time.monotonic()
            if edited and not seconds and b"after the edit" in stack.from_front(post.path).body:
                seconds = time.monotonic() - edited
        assert stop(daemon) == 0
    log = site.log.read_text()
    assert 0 < seconds < 5 + 3, log
    assert len(ages) > 10
    assert max(ages) < 5 + 2, log
    assert "older than the bound" not in log


def test_a_second_daemon_on_the_same_tree_is_refused(make_site: MakeSite) -> None:
    site = make_site("/")
    with Running(site.start()) as daemon:
        wait_for("the first one serves", lambda: site.text("/"), seconds=10)
        second = site.staticify("run")
        assert second.returncode == 1
        assert f"another staticify works on the tree {site.tree}" in second.stderr
        assert stop(daemon) == 0


def test_a_hit_of_the_front_is_no_origin(stack: Stack, make_site: MakeSite) -> None:
    site = make_site("/", is_served=True, origin=stack.url)
    assert site.render() == {"/": ("refused", "origin-is-front")}
    assert not site.file("/").exists()


def test_urls_that_are_not_ascii_reach_wordpress_and_the_visitor(
    stack: Stack, make_site: MakeSite, make_post: MakePost
) -> None:
    post = make_post(post_title="日本語 ünïcödé إطلاق", post_content="text")
    site = make_site(post.path, is_served=True)
    assert site.render() == {post.path: ("published", "ok")}
    assert "日本語" in site.text(post.path)
    # Browsers send upper-case escapes, WordPress's own links have lower-case ones.
    for spelling in (quote(post.path), quote(post.path).lower()):
        assert stack.from_front(spelling).is_hit
