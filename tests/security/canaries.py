"""What visitors leave in a real WordPress, each with a text of its own, is never found in the tree.

A cast of 100 plays in scenes. In each scene every member has a new canary: a text that is found nowhere else.
Logged-in users have it for a name and in drafts, commenters sign an unapproved comment with it, holders of a password
read it in a protected post, shoppers have it in a cart. They ask WordPress itself and the front, at once and in random
order, while the daemon renders every page of the site each second and hears of each change. A shop (`shop.php`) keeps
carts as WooCommerce does: a cookie, a session, and a greeting by name.

Each member must meet its own canary in an answer of its own, and one text that is public must be in the tree: else
nothing was shown.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import random
import re
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import brotli
from real.helpers import Running, Site, Stack, brought_up, empty_directory, stop, wait_for
from tally import Row, Tally

from staticify.urls import MARK

COUNT = 10_000
"""Sequences: what one member of the cast does in one scene."""
CAST = 100
AT_ONCE = 4
LOOK_SECONDS = 0.3
ROLES = ("user", "commenter", "holder", "shopper")
HERE = Path(__file__).parent
CANARY = re.compile(rb"canary-[a-z]+-[0-9a-f]{12}", re.IGNORECASE)
NONCE = re.compile(rb"(?:_wpnonce=|nonce[\"']?\s*[:=]\s*[\"']|value=[\"'])([0-9a-f]{10})\b")
_TEN_HEX = re.compile(rb"\b[0-9a-f]{10}\b")


@dataclass
class Played(Tally):
    """What was done, and what was found of it."""

    sequences: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    met: int = 0
    """Sequences that met their own canary in an answer of their own."""
    nonces: int = 0
    """Different ones that members of the cast were given and strangers were not."""
    looks: int = 0
    """Times that all of the tree was searched."""
    files: int = 0
    publishes: int = 0
    """Versions of pages that were seen in the tree."""

    def rows(self) -> Iterator[Row]:
        roles = ", ".join(f"{n:,} {role}s" for role, n in sorted(self.sequences.items()))
        yield "sequences", sum(self.sequences.values()), roles
        yield "met their own text", self.met, ""
        yield "requests", self.requests, ""
        yield "personal nonces", self.nonces, ""
        yield "looks at the tree", self.looks, f"{self.files:,} files in the last one"
        yield "versions of pages", self.publishes, ""


@dataclass
class Member:
    """One of the cast. The canary is another one in each scene."""

    role: str
    cookie: str = ""
    post: int = 0
    """The draft that is its own, or the post of which it has the password."""
    path: str = ""
    """Of that post."""
    canary: str = ""


# Makes users who are logged in, a draft of each, and posts with a password; prints them.
_CAST = """
$users = $holders = array();
for ( $number = 0; $number < $argv[1]; $number++ ) {
	$user = wp_insert_user( array( 'user_login' => "cast$number", 'user_pass' => 'launch-day', 'role' => 'author' ) );
	$end = time() + DAY_IN_SECONDS;
	$token = WP_Session_Tokens::get_instance( $user )->create( $end );
	$draft = wp_insert_post( array( 'post_title' => 'x', 'post_author' => $user, 'post_status' => 'draft' ) );
	$cookie = LOGGED_IN_COOKIE . '=' . rawurlencode( wp_generate_auth_cookie( $user, $end, 'logged_in', $token ) );
	$users[] = array( $cookie, $draft, "/?p=$draft&preview=true" );
	$fields = array( 'post_title' => "Members only $number", 'post_content' => 'x', 'post_status' => 'publish' );
	$post = wp_insert_post( $fields + array( 'post_password' => "pw$number", 'post_date' => '2020-01-01 12:00:00' ) );
	$holders[] = array( "pw$number", $post, wp_make_link_relative( get_permalink( $post ) ) );
}
echo json_encode( array( $users, $holders ) );
"""
# Gives each its canary: a name and a mail address, and a text of its own.
_SCENE = """
remove_action( 'post_updated', 'wp_save_post_revision' );
kses_remove_filters();
foreach ( json_decode( $argv[1], true ) as list( $role, $post, $canary ) ) {
	wp_update_post( array( 'ID' => $post, 'post_content' => "The text of $canary.", 'post_excerpt' => '' )
		+ ( 'user' === $role ? array( 'post_title' => "A draft of $canary" ) : array() ) );
	if ( 'user' === $role ) {
		$user = (int) get_post( $post )->post_author;
		$fields = array( 'display_name' => $canary, 'user_email' => "$canary@example.org", 'user_nicename' => $canary );
		$wpdb->update( $wpdb->users, $fields, array( 'ID' => $user ) );
		clean_user_cache( $user );
	}
}
$wpdb->query( "DELETE FROM $wpdb->comments WHERE comment_author LIKE 'canary-%'" );
"""
_END = """
require_once ABSPATH . 'wp-admin/includes/user.php';
$wpdb->query( "DELETE FROM $wpdb->comments WHERE comment_author LIKE 'canary-%'" );
foreach ( get_users( array( 'search' => 'cast*', 'search_columns' => array( 'user_login' ) ) ) as $user ) {
	wp_delete_user( $user->ID );
}
foreach ( json_decode( $argv[1] ) as $post ) {
	wp_delete_post( $post, true );
}
"""
PAGES = (
    "/",
    "/feed/",
    "/comments/feed/",
    "/about/",
    "/contact/",
    "/category/news/",
    "/team/",
    "/wp-json/wp/v2/comments",
)
VISITED = ("/", "/about/", "/category/news/", "/about/team/", "/contact/")


def run(count: int, seed: int) -> Played:
    """So many sequences in a WordPress of their own."""
    with brought_up("--posts", "20") as stack:
        return play(stack, count, seed)


def play(stack: Stack, count: int, seed: int) -> Played:
    """So many sequences; what they made in the WordPress is taken out again."""
    tally, chance = Played(), random.Random(seed)
    search = Search(stack.tree, tally)
    with _shop(stack), _cast(stack, min(count, CAST)) as cast, _rendering(stack) as site:
        wait_for("the daemon renders", lambda: site.file("/about/").exists(), 30)
        sitemap = stack.from_origin("/wp-sitemap-posts-post-1.xml").body.decode()
        found = re.findall(r"http://[^/<]+(/20[^<]+)</loc>", sitemap)
        # Who has no password reads no comments either.
        posts = [path for path in found if not re.search("members-only|password-protected", path)]
        strangers = {path: stack.from_origin(path).body for path in (*VISITED, *posts)}
        while sum(tally.sequences.values()) < count:
            members = cast[: count - sum(tally.sequences.values())]
            _set_the_scene(stack, members, chance)
            chance.shuffle(members)
            visits = [Visit(stack, one, random.Random(chance.random()), posts) for one in members]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                acts = [pool.submit(visit.play) for visit in visits]
                while wait(acts, LOOK_SECONDS).not_done:
                    search.look()
            for visit, act in zip(visits, acts, strict=True):
                act.result()
                _count(visit, tally, search)
        public = f"canary-public-{chance.randbytes(6).hex()}"
        post = stack.insert_post(post_title=public, post_content="for everybody")
        try:
            wait_for("what is public is in the tree", lambda: public.encode() in search.look(), 60)
        finally:
            stack.call("wp_delete_post", post.number, True)
    search.personal -= {nonce for body in strangers.values() for nonce in NONCE.findall(body)}
    tally.nonces = len(search.personal)
    search.conclude(public.encode())
    empty_directory(stack.tree)
    return tally


def _count(visit: Visit, tally: Played, search: Search) -> None:
    role, canary = visit.member.role, visit.member.canary.encode()
    tally.sequences[role] += 1
    tally.requests += len(visit.bodies)
    has_met = any(canary in body for body in visit.bodies)
    tally.met += has_met
    if not has_met:
        tally.faults.append(f"a {role} has not met {canary.decode()}: {visit.said}")
    search.personal.update(nonce for body in visit.bodies for nonce in NONCE.findall(body))


# --- The stage -------------------------------------------------------------------------------------------------------


@contextmanager
def _shop(stack: Stack) -> Iterator[None]:
    place = stack.directory / "wordpress/wp-content/mu-plugins/shop.php"
    shutil.copyfile(HERE / "shop.php", place)
    try:
        yield
    finally:
        place.unlink()


@contextmanager
def _cast(stack: Stack, count: int) -> Iterator[list[Member]]:
    each = count // len(ROLES)
    users, holders = json.loads(stack.php(_CAST, str(each)))
    try:
        cast = [Member("user", *given) for given in users] + [Member("holder", *given) for given in holders]
        # Who has a part more than others is a shopper.
        cast += [Member("commenter") for _ in range(each)]
        yield cast + [Member("shopper") for _ in range(count - len(cast))]
    finally:
        stack.php(_END, json.dumps([post for _, post, _ in (*users, *holders)]))


@contextmanager
def _rendering(stack: Stack) -> Iterator[Site]:
    """The daemon, over the tree that the front serves."""
    directory = stack.make_directory()
    sitemaps = ["/wp-sitemap-posts-post-1.xml", "/wp-sitemap-posts-page-1.xml"]
    # One at a time: the cast wants its answers too.
    settings = {"sitemaps": sitemaps, "interval": "3s", "concurrency": 1}
    site = Site(stack, directory, PAGES, tree=stack.tree, settings=settings)
    try:
        with Running(site.start()) as daemon:
            yield site
            stop(daemon)
    finally:
        shutil.rmtree(directory)


def _set_the_scene(stack: Stack, members: list[Member], chance: random.Random) -> None:
    for one in members:
        one.canary = f"canary-{one.role}-{chance.randbytes(6).hex()}"
    stack.php(_SCENE, json.dumps([(one.role, one.post, one.canary) for one in members if one.post]))


class Visit:
    """What one member does in one scene."""

    def __init__(self, stack: Stack, member: Member, chance: random.Random, posts: list[str]) -> None:
        self.member = member
        self.bodies: list[bytes] = []
        self.said: list[str] = []
        """Each request and the status of its answer, for who looks for a fault."""
        self._stack = stack
        self._chance = chance
        self._posts = posts

    def play(self) -> None:
        """At WordPress itself; then sometimes at the front, which may not look at the cookies."""
        path, cookie = self._play()
        if self._chance.random() < 0.3:
            self._ask(path, cookie=cookie, is_at_front=True)

    def _play(self) -> tuple[str, str]:
        """The path that was asked for last, and with which cookies."""
        match self.member.role:
            case "user":
                return self._be_logged_in()
            case "commenter":
                return self._comment()
            case "holder":
                return self._hold_a_password()
            case _:
                return self._shop()

    def _be_logged_in(self) -> tuple[str, str]:
        paths = [self._chance.choice((*VISITED, *self._posts))]
        if self._chance.random() < 0.3:
            paths.append(self.member.path)
        for path in paths:
            self._ask(path, cookie=self.member.cookie)
        return paths[0], self.member.cookie

    def _comment(self) -> tuple[str, str]:
        canary, post = self.member.canary, self._chance.choice(self._posts)
        number = re.search(r"postid-(\d+)", self._ask(post)[2])
        assert number is not None, post
        form = {"author": canary, "email": f"{canary}@example.org", "url": "", "comment": f"Says {canary}."}
        form |= {"comment_post_ID": number[1], "comment_parent": "0", "wp-comment-cookies-consent": "yes"}
        location, cookie, _ = self._ask("/wp-comments-post.php", form=form)
        # With the address that WordPress sends its author to, and without: the cookie shows the comment too.
        path = location if self._chance.random() < 0.7 else post
        self._ask(path, cookie=cookie)
        return path, cookie

    def _hold_a_password(self) -> tuple[str, str]:
        password = self.member.cookie
        form = {"post_password": password, "Submit": "Enter"}
        _, cookie, _ = self._ask("/wp-login.php?action=postpass", form=form)
        self._ask(self.member.path, cookie=cookie)
        return self.member.path, cookie

    def _shop(self) -> tuple[str, str]:
        canary = self.member.canary
        _, cookie, _ = self._ask(f"/?add-to-cart={canary}&customer={canary}")
        path = self._chance.choice((*VISITED, *self._posts))
        self._ask(path, cookie=cookie)
        return path, cookie

    def _ask(
        self, path: str, *, cookie: str = "", form: Mapping[str, str] | None = None, is_at_front: bool = False
    ) -> tuple[str, str, str]:
        """Location, the cookies that are set, and the body."""
        port = self._stack.front_port if is_at_front else self._stack.origin_port
        fields = {"Host": self._stack.netloc, "Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            body = urlencode(form) if form is not None else None
            connection.request("POST" if form is not None else "GET", path, body, fields)
            response = connection.getresponse()
            self.bodies.append(response.read())
        self.said.append(f"{port} {path} {response.status}")
        cookies = (line.partition(";")[0] for line in response.headers.get_all("Set-Cookie", []))
        location = (response.headers.get("Location") or "").removeprefix(self._stack.url)
        return location.partition("#")[0], "; ".join(cookies), self.bodies[-1].decode()


# --- The tree --------------------------------------------------------------------------------------------------------


class Search:
    """Looks at every version of every file that it comes to see."""

    def __init__(self, tree: Path, tally: Played) -> None:
        self._tree = tree
        self._tally = tally
        self._seen: dict[Path, tuple[int, int]] = {}
        self._found: dict[bytes, str] = {}
        self._ten_hex: dict[bytes, str] = {}
        self.personal: set[bytes] = set()
        """Nonces that members of the cast were given."""

    def look(self) -> Mapping[bytes, str]:
        """Search what is new since the last look; all canaries found so far, and where."""
        files = 0
        # Unlike rglob it does not mind what goes while it looks.
        found = (Path(directory) / name for directory, _, names in os.walk(self._tree) for name in names)
        for path in found:
            try:
                status, content = path.stat(), path.read_bytes()
            except FileNotFoundError:
                continue
            files += 1
            mark = (status.st_ino, status.st_mtime_ns)
            if self._seen.get(path) == mark:
                continue
            try:
                body = _undone(path, content)
            except (EOFError, OSError, zlib.error, brotli.error):
                if not path.parent.name.startswith(f"{MARK}."):
                    raise
                continue  # It is being written; once it is whole it has another name.
            self._seen[path] = mark
            self._tally.publishes += path.suffix not in {".gz", ".br"}
            self._found.update(dict.fromkeys(CANARY.findall(body), str(path)))
            self._ten_hex.update(dict.fromkeys(_TEN_HEX.findall(body), str(path)))
        self._tally.looks += 1
        self._tally.files = files
        return self._found

    def conclude(self, public: bytes) -> None:
        """Tell what should not be there."""
        self.look()
        leaks = {text: path for text, path in self._found.items() if text != public}
        nonces = {text: path for text, path in self._ten_hex.items() if text in self.personal}
        for what, found in (("", leaks), ("nonce ", nonces)):
            self._tally.faults += [f"{what}{text.decode()} is in {path}" for text, path in found.items()]


def _undone(path: Path, content: bytes) -> bytes:
    match path.suffix:
        case ".gz":
            return gzip.decompress(content)
        case ".br":
            return bytes(brotli.decompress(content))
        case _:
            return content
