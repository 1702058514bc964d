"""What is a reader's own on a page that is everybody's, in a real browser: who edits, who has commented, a stranger."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import http.client
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from real.conftest import MakePost, MakeSite
from real.helpers import Post, Reply, Site, Stack, wait_for
from staticify.html import Document

SCRIPT = Path(__file__).parents[2] / "deploy/wordpress/staticify/reader.js"
ASK = "/wp-admin/admin-ajax.php?action=staticify_reader"
SECONDS_FOR_A_PAGE = 30
# All but the first are for a machine without a display, a sandbox or a way to the world.
SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip
# As WordPress keeps it: HTML. As HTML it would be an image.
NAME_AS_KEPT = 'Ada &lt;img src=x&gt; &amp; "Co" ü'
NAME = 'Ada <img src=x> & "Co" ü'
COMMENTER = {
    "author": "Zoë O'Neil & Co +1",
    "email": "zoe+1@example.org",
    "url": "https://zoe.example/?a=1&b=2",
}


@dataclass(frozen=True)
class Visit:
    """What came of opening a page: every request that the browser began until it had loaded, and what answered."""

    requests: tuple[str, ...]
    cache_status: str

    @property
    def is_hit(self) -> bool:
        return self.cache_status == "staticify; hit"

    @property
    def questions(self) -> list[str]:
        """The requests to WordPress's programs."""
        return [url for url in self.requests if ".php" in urlsplit(url).path]


class Visitor:
    """Somebody with a browser and cookies of their own."""

    def __init__(self, stack: Stack, profile: Path) -> None:
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for switch in (*SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.stack = stack
        self.driver = WebDriver(options, Service("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(SECONDS_FOR_A_PAGE)

    def open(self, path: str) -> Visit:
        self.events()
        self.driver.get(self.stack.url + path)
        requests = []
        statuses = {}
        for event in self.events():
            parameters = event["params"]
            # The browser's own first tab asks for things too.
            is_of_page = parameters.get("documentURL", "").startswith(self.stack.url)
            if event["method"] == "Network.requestWillBeSent" and is_of_page:
                requests.append(parameters["request"]["url"])
            elif event["method"] == "Network.responseReceived" and parameters["type"] == "Document":
                headers = {name.lower(): value for name, value in parameters["response"]["headers"].items()}
                statuses[parameters["response"]["url"]] = headers.get("cache-status", "")
        return Visit(tuple(requests), statuses[self.driver.current_url.partition("#")[0]])

    def events(self) -> list[dict[str, Any]]:
        """What happened in the browser since the last time."""
        log: list[dict[str, str]] = self.driver.get_log("performance")  # type: ignore[no-untyped-call]
        return [json.loads(entry["message"])["message"] for entry in log]

    def errors(self) -> list[str]:
        """What the console has as an error since the last time."""
        log: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def script(self, code: str, *arguments: object) -> Any:
        return self.driver.execute_script(code, *arguments)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def has(self, selector: str) -> bool:
        return bool(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def wait_for_path(self, start: str) -> None:
        """Until the browser is on an address that begins like this, and has loaded it."""

        def is_there() -> bool:
            is_loaded = self.script("return document.readyState") == "complete"
            return is_loaded and self.driver.current_url.startswith(self.stack.url + start)

        wait_for(f"the browser is on {start}", is_there, SECONDS_FOR_A_PAGE)

    @property
    def text(self) -> str:
        return self.find("body").text

    @property
    def form(self) -> dict[str, str]:
        """What the comment form has in it."""
        return {name: str(self.find(f"#commentform [name={name}]").get_property("value")) for name in COMMENTER}

    def log_in(self, user: str, path: str) -> None:
        """By WordPress's own form, which leads to a page. Its script moves the cursor: the fields are set at once."""
        self.driver.get(f"{self.stack.url}/wp-login.php?{urlencode({'redirect_to': self.stack.url + path})}")
        code = "user_login.value = arguments[0]; user_pass.value = arguments[1]; loginform.submit();"
        self.script(code, user, "launch-day")
        self.wait_for_path(path)

    def bar(self) -> dict[str, WebElement]:
        """The bar's links by their texts, when it is there."""
        wait_for("the bar is there", lambda: self.has("#staticify-bar"), SECONDS_FOR_A_PAGE)
        links = self.find("#staticify-bar").shadow_root.find_elements(By.CSS_SELECTOR, "a")
        return {link.text: link for link in links}

    def follow(self, text: str) -> None:
        """Click on a link of the bar. WebDriver's own click does not find its way into a shadow root."""
        ActionChains(self.driver).click(self.bar()[text]).perform()

    def screenshot(self, name: str) -> None:
        """Kept where STATICIFY_SCREENSHOTS says, for somebody to look at."""
        if directory := os.environ.get("STATICIFY_SCREENSHOTS"):
            assert self.driver.get_screenshot_as_file(str(Path(directory) / f"{name}.png"))


MakeVisitor = Callable[[], Visitor]


@pytest.fixture
def visitor(stack: Stack, tmp_path: Path) -> Iterator[MakeVisitor]:
    """Starts a browser for each visitor."""
    visitors: list[Visitor] = []

    def make() -> Visitor:
        visitors.append(Visitor(stack, tmp_path / f"profile-{len(visitors)}"))
        return visitors[-1]

    yield make
    for one in visitors:
        one.driver.quit()


@pytest.fixture(scope="module", autouse=True)
def users(stack: Stack) -> Iterator[dict[str, int]]:
    """An editor and a subscriber, for these tests."""
    made = {}
    for role in ("editor", "subscriber"):
        fields = {"user_login": role, "user_pass": "launch-day", "user_email": f"{role}@example.org", "role": role}
        made[role] = stack.call("wp_insert_user", fields)
    # Past what WordPress refuses in a name.
    code = """
        global $wpdb;
        $wpdb->update( $wpdb->users, array( 'display_name' => $argv[1] ), array( 'ID' => $argv[2] ) );
        clean_user_cache( (int) $argv[2] );
    """
    stack.php(code, NAME_AS_KEPT, str(made["editor"]))
    yield made
    for number in made.values():
        stack.php("require ABSPATH . 'wp-admin/includes/user.php'; wp_delete_user( (int) $argv[1] );", str(number))


@pytest.fixture
def moderated(stack: Stack) -> Iterator[None]:
    """Every comment awaits moderation."""
    before = stack.call("get_option", "comment_moderation")
    stack.call("update_option", "comment_moderation", "1")
    yield
    stack.call("update_option", "comment_moderation", before)


@pytest.fixture
def mu_plugin(stack: Stack) -> Iterator[Callable[[str], None]]:
    """Adds PHP to WordPress, before staticify's plugin is loaded."""
    file = stack.directory / "wordpress/wp-content/mu-plugins/a-test.php"
    yield lambda code: (file.write_text(f"<?php {code}"), None)[1]
    file.unlink(missing_ok=True)


@pytest.fixture
def post(make_post: MakePost) -> Post:
    return make_post(post_title="Read by many", post_name="read-by-many", post_content="<p>For everybody.</p>")


@pytest.fixture
def site(make_site: MakeSite, post: Post) -> Site:
    """The post and a page, in the tree that nginx serves."""
    site = make_site(post.path, "/about/", is_served=True)
    assert site.render() == dict.fromkeys((post.path, "/about/"), ("published", "ok"))
    return site


def hint(visitor: Visitor) -> dict[str, Any] | None:
    """The cookie that says that asking is worth while."""
    found = [cookie for cookie in visitor.driver.get_cookies() if cookie["name"].startswith("staticify_reader_")]
    assert len(found) < 2
    return found[0] if found else None


def cookies_set(stack: Stack, path: str, cookie: str = "") -> list[str]:
    """The Set-Cookie fields of an answer of WordPress's."""
    with closing(http.client.HTTPConnection("127.0.0.1", stack.origin_port, timeout=30)) as connection:
        connection.request("GET", path, headers={"Host": stack.netloc, "Cookie": cookie})
        response = connection.getresponse()
        response.read()
        return response.headers.get_all("Set-Cookie", [])


# --- the script ---


def test_the_script_takes_less_than_two_kilobytes() -> None:
    assert len(gzip.compress(SCRIPT.read_bytes(), 9)) < 2048


def test_everybody_gets_the_same_page(stack: Stack, site: Site, post: Post, administrator: str) -> None:
    body = site.file(post.path).read_bytes()
    (tag,) = Document(body).tree.select("script#staticify-reader")
    assert tag.attrs["data-post"] == str(post.number)
    assert stack.from_front((tag.attr("src") or "").removeprefix(stack.url)).body == SCRIPT.read_bytes()
    commenter = f"comment_author_{tag.attrs['data-hash']}=Zoe"
    for cookie in ("", administrator, commenter, f"staticify_reader_{tag.attrs['data-hash']}=1"):
        answer = stack.from_front(post.path, headers={"Cookie": cookie})
        assert (answer.is_hit, answer.body) == (True, body)
    assert stack.from_origin(post.path).body == body
    (logged_in,) = Document(stack.from_origin(post.path, headers={"Cookie": administrator}).body).tree.select(
        "script#staticify-reader"
    )
    assert logged_in.attrs == tag.attrs


# --- in the browser ---


@pytest.mark.parametrize("background", ["ffffff", "10131a"], ids=["light", "dark"])
def test_an_editor_finds_the_way_to_edit(
    stack: Stack, make_site: MakeSite, post: Post, visitor: MakeVisitor, background: str
) -> None:
    stack.call("set_theme_mod", "background_color", background)
    try:
        site = make_site(post.path, is_served=True)
        assert site.render() == {post.path: ("published", "ok")}
        editor = visitor()
        editor.log_in("editor", post.path)
        visit = editor.open(post.path)
        links = editor.bar()
        editor.screenshot(f"editor-{background}")
        assert visit.is_hit
        assert visit.questions == [f"{stack.url}{ASK}&post={post.number}"]
        assert list(links) == ["Edit Post", "Dashboard", "Log Out"]
        bar = editor.find("#staticify-bar")
        assert bar.shadow_root.find_element(By.CSS_SELECTOR, "span").text == f"Logged in as {NAME}."
        assert bar.shadow_root.find_elements(By.CSS_SELECTOR, "img") == []
        assert editor.errors() == []
        editor.follow("Edit Post")
        editor.wait_for_path(f"/wp-admin/post.php?post={post.number}&action=edit")
        assert editor.has("body.wp-admin #editor")
    finally:
        stack.call("remove_theme_mod", "background_color")


def test_a_logged_in_readers_comment_is_that_readers(
    stack: Stack, site: Site, post: Post, visitor: MakeVisitor, users: dict[str, int]
) -> None:
    editor = visitor()
    editor.log_in("editor", post.path)
    assert editor.open(post.path).is_hit
    editor.bar()
    assert [name for name in COMMENTER if editor.find(f"[name={name}]").is_displayed()] == []
    assert editor.find("#commentform .logged-in-as").text == f"Logged in as {NAME}."
    editor.screenshot("editor-comments")
    assert editor.errors() == []
    editor.find("#comment").send_keys("What an editor says")
    editor.find("#submit").click()
    editor.wait_for_path(f"{post.path}?unapproved=")
    # Public at once, although the tree does not have it yet.
    assert "What an editor says" in editor.text
    assert "What an editor says" not in site.text(post.path)
    (comment,) = stack.call("get_comments", {"post_id": post.number})
    assert (int(comment["user_id"]), comment["comment_approved"]) == (users["editor"], "1")
    # WordPress's own page for the editor has the toolbar and needs no other.
    assert editor.has("#wpadminbar")
    assert not editor.has("#staticify-bar")


def test_a_commenter_sees_the_comment_and_is_remembered(
    stack: Stack, site: Site, post: Post, visitor: MakeVisitor, moderated: None
) -> None:
    commenter, stranger = visitor(), visitor()
    assert commenter.open(post.path).is_hit
    for name, value in COMMENTER.items():
        commenter.find(f"#commentform [name={name}]").send_keys(value)
    commenter.find("#comment").send_keys("What a commenter says")
    commenter.find("#wp-comment-cookies-consent").click()
    commenter.find("#submit").click()
    commenter.wait_for_path(f"{post.path}?unapproved=")
    commenter.screenshot("commenter-awaits-moderation")
    assert "What a commenter says" in commenter.text
    assert "Your comment is awaiting moderation." in commenter.text
    # Everybody else does not see it, neither now nor after the next render.
    assert stranger.open(post.path).is_hit
    assert "What a commenter says" not in stranger.text
    assert site.render(post.page.url) == {post.path: ("unchanged", "ok")}
    visit = commenter.open(post.path)
    commenter.screenshot("commenter-remembered")
    assert visit.is_hit
    assert visit.questions == []
    assert commenter.form == COMMENTER
    assert commenter.find("#wp-comment-cookies-consent").is_selected()
    # The same as WordPress fills in by itself.
    assert not commenter.open(f"{post.path}?order=ASC").is_hit
    assert commenter.form == COMMENTER
    assert stranger.form == dict.fromkeys(COMMENTER, "")
    assert not stranger.find("#wp-comment-cookies-consent").is_selected()
    assert commenter.errors() == stranger.errors() == []
    (comment,) = stack.call("get_comments", {"post_id": post.number})
    assert stack.call("wp_set_comment_status", comment["comment_ID"], "approve")
    assert site.render(post.page.url) == {post.path: ("published", "ok")}
    assert stranger.open(post.path).is_hit
    assert "What a commenter says" in stranger.text


def test_a_cookie_that_is_not_wordpresss_fills_in_nothing(site: Site, post: Post, visitor: MakeVisitor) -> None:
    somebody = visitor()
    somebody.open(post.path)
    cookie_hash = somebody.find("#staticify-reader").get_dom_attribute("data-hash")
    made_up = {"": "%E4%", "_email": "", "_url": f"{quote('<b>&amp;lt;</b>')}+{quote('&unknown;&#39;')}"}
    for name, value in made_up.items():
        somebody.script(f"document.cookie = 'comment_author{name}_{cookie_hash}={value}'")
    assert somebody.open(post.path).is_hit
    assert somebody.form == {"author": "", "email": "", "url": "<b>&lt;</b> &unknown;'"}
    assert somebody.errors() == []


def test_a_stranger_sees_nothing_and_asks_for_nothing(
    stack: Stack, site: Site, post: Post, visitor: MakeVisitor
) -> None:
    stranger = visitor()
    for path in (post.path, "/about/"):
        visit = stranger.open(path)
        assert visit.is_hit
        # The page, what it names (WordPress's scripts do it in JSON), and the icon that browsers ask for by themselves,
        # wherever WordPress sends them for it.
        icons = f"{stack.url}/favicon.ico {stack.url}/wp-includes/images/w-logo-blue-white-bg.png"
        expected = html.unescape(site.text(path)).replace("\\/", "/") + f"{stack.url}{path} {icons}"
        assert [url for url in visit.requests if url not in expected] == []
        assert visit.requests[0] == stack.url + path
        assert any(urlsplit(url).path.endswith("/reader.js") for url in visit.requests)
        assert visit.questions == []
        assert not stranger.has("#staticify-bar")
        assert stranger.errors() == []
    stranger.screenshot("stranger")
    assert stranger.driver.get_cookies() == []


def test_who_is_logged_in_no_more_asks_once(
    stack: Stack, site: Site, post: Post, visitor: MakeVisitor, users: dict[str, int]
) -> None:
    reader = visitor()
    reader.log_in("editor", post.path)
    code = "WP_Session_Tokens::get_instance( (int) $argv[1] )->destroy_all();"
    stack.php(code, str(users["editor"]))
    assert hint(reader) is not None
    visit = reader.open(post.path)
    assert (visit.is_hit, len(visit.questions)) == (True, 1)
    wait_for("the hint is gone", lambda: hint(reader) is None, SECONDS_FOR_A_PAGE)
    assert reader.open(post.path).questions == []
    assert not reader.has("#staticify-bar")
    assert reader.errors() == []


def test_the_bar_logs_out(site: Site, post: Post, visitor: MakeVisitor) -> None:
    reader = visitor()
    reader.log_in("editor", "/about/")
    cookie = hint(reader)
    assert cookie is not None
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"], cookie["value"]) == (False, "Lax", "/", "1")
    reader.open(post.path)
    reader.follow("Log Out")
    reader.wait_for_path(post.path)
    assert not reader.has("#staticify-bar")
    assert hint(reader) is None
    assert [cookie for cookie in reader.driver.get_cookies() if "logged_in" in cookie["name"]] == []
    assert reader.open(post.path).questions == []
    assert reader.errors() == []


def test_without_javascript_the_page_is_everybodys(site: Site, post: Post, visitor: MakeVisitor) -> None:
    reader, stranger = visitor(), visitor()
    reader.log_in("editor", post.path)
    pictures = []
    for one in (reader, stranger):
        one.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        visit = one.open(post.path)
        assert (visit.is_hit, visit.questions) == (True, [])
        assert not one.has("#staticify-bar")
        assert one.find("#author").is_displayed()
        assert one.errors() == []
        pictures.append(one.driver.get_screenshot_as_png())
    reader.screenshot("without-javascript")
    assert hint(reader) is not None
    assert reader.text == stranger.text
    assert pictures[0] == pictures[1]


def policy_for(page: str) -> str:
    """The strictest Content-Security-Policy under which a page's own parts work: what a theme has written into it is
    allowed by what it says, so that nothing else of its kind is."""
    tree = Document(page.encode()).tree
    scripts = [element.text for element in tree.select("script:not([src])")]
    styles = [element.text for element in tree.select("style")]
    styles += [element.attr("style") or "" for element in tree.select("[style]")]
    script_hashes, style_hashes = (
        " ".join(
            sorted({f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts})
        )
        for texts in (scripts, styles)
    )
    return (
        "default-src 'none'; base-uri 'none'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
        f"script-src 'self' {script_hashes}; style-src 'self' 'unsafe-hashes' {style_hashes}; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def test_under_a_strict_policy(site: Site, post: Post, visitor: MakeVisitor, mu_plugin: Callable[[str], None]) -> None:
    # The script that makes images of emoji needs more than such a policy allows.
    code = "add_action( 'init', fn() => remove_action( 'wp_head', 'print_emoji_detection_script', 7 ) );"
    mu_plugin(code)
    site.render(post.page.url)
    policy = policy_for(site.text(post.path))
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    mu_plugin(f"{code} add_action( 'wp_head', static function () {{ echo {json.dumps(meta)}; }}, -1 );")
    assert site.render(post.page.url) == {post.path: ("published", "ok")}
    reader = visitor()
    reader.log_in("editor", post.path)
    reader.errors()
    assert reader.open(post.path).is_hit
    assert "Edit Post" in reader.bar()
    reader.screenshot("policy")
    assert reader.find("#staticify-bar").value_of_css_property("position") == "fixed"
    assert not reader.find("#author").is_displayed()
    assert reader.errors() == []
    # Without this the test could not fail.
    reader.script("try { document.body.appendChild(document.createElement('script')).text = '1' } catch (refusal) { }")
    assert reader.errors() != []


# --- what WordPress answers ---


def ask(stack: Stack, post: Post, cookie: str = "", **headers: str) -> Reply:
    return stack.from_front(f"{ASK}&post={post.number}", headers={"Cookie": cookie, **headers})


def test_nobody_gets_nothing(stack: Stack, post: Post) -> None:
    reply = ask(stack, post, Origin="https://elsewhere.example")
    assert (reply.status, reply.body, reply.headers["cache-control"]) == (200, b"{}", "no-store")
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "the site's own"])
def test_no_other_origin_may_read_who_reads(
    stack: Stack, post: Post, administrator: str, mu_plugin: Callable[[str], None], origin: str
) -> None:
    mu_plugin("add_filter( 'allowed_http_origins', fn( $all ) => array( ...$all, 'https://elsewhere.example' ) );")
    reply = ask(stack, post, administrator, Origin=origin.replace("the site's own", stack.url))
    assert list(json.loads(reply.body)) == ["greeting", "links"]
    assert [name for name in reply.headers if name.startswith("access-control-")] == []


def test_who_may_not_edit_gets_no_way_to(stack: Stack, post: Post) -> None:
    cookie = stack.log_in("subscriber", "launch-day")
    assert [text for text, _ in json.loads(ask(stack, post, cookie).body)["links"]] == ["Dashboard", "Log Out"]
    for number in ("0", "-1", "999999999", "x", f"{post.number}&post[]=1"):
        reply = stack.from_front(f"{ASK}&post={number}", headers={"Cookie": cookie})
        assert [text for text, _ in json.loads(reply.body)["links"]] == ["Dashboard", "Log Out"]


def test_who_was_logged_in_before_the_plugin_came_gets_the_hint(stack: Stack) -> None:
    cookies = stack.log_in("editor", "launch-day")
    without = "; ".join(cookie for cookie in cookies.split("; ") if not cookie.startswith("staticify_reader_"))
    assert without != cookies
    (given,) = (field for field in cookies_set(stack, "/wp-admin/profile.php", without) if "staticify" in field)
    assert re.fullmatch(r"staticify_reader_[0-9a-f]{32}=1; expires=[^;]+; Max-Age=\d+; path=/; SameSite=Lax", given)
    assert not any("staticify" in field for field in cookies_set(stack, "/wp-admin/profile.php", cookies))


def test_a_constant_takes_the_script_away(stack: Stack, post: Post, mu_plugin: Callable[[str], None]) -> None:
    mu_plugin("define( 'STATICIFY_READER', false );")
    assert b"staticify-reader" not in stack.from_origin(post.path).body
    assert ask(stack, post).status == 400


def test_the_settings_screen_takes_it_away_and_every_page_is_told(stack: Stack, post: Post, administrator: str) -> None:
    path = "/wp-admin/options-general.php?page=staticify"
    seen = stack.php("echo Staticify\\Journal::bounds()[1] ?? 0;")
    try:
        for is_wanted in (True, False, False, True):
            page = stack.from_origin(path, headers={"Cookie": administrator}).body.decode()
            fields = {"option_page": "staticify", "action": "update", "_wp_http_referer": path}
            found = re.search(r'name="_wpnonce" value="([0-9a-f]+)"', page)
            assert found
            fields["_wpnonce"] = found[1]
            form = [*fields.items(), ("staticify[address]", ""), ("staticify[reader]", "0")]
            form += [("staticify[reader]", "1")] * is_wanted
            with closing(http.client.HTTPConnection("127.0.0.1", stack.origin_port, timeout=30)) as connection:
                kind = {"Content-Type": "application/x-www-form-urlencoded"}
                headers = {"Host": stack.netloc, "Cookie": administrator, **kind}
                connection.request("POST", "/wp-admin/options.php", urlencode(form), headers)
                assert connection.getresponse().status == 302
            assert (b"staticify-reader" in stack.from_origin(post.path).body) is is_wanted
        code = "echo json_encode( Staticify\\Journal::read( Staticify\\Journal::id(), (int) $argv[1] ) );"
        rows = json.loads(stack.php(code, seen))["entries"]
        assert [row["tags"] for row in rows] == [["site"], ["site"]]
    finally:
        stack.call("delete_option", "staticify")
