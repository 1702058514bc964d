"""How fast a change is on the front, and what it costs whom: authors, WordPress at rest, who comes late; a real one.

    python tests/bench/journal.py latency [--count 50]      posts by the REST API and by wp-admin's quick edit
    python tests/bench/journal.py save [--count 50]         saving with the plugin and without, daemon up and dead
    python tests/bench/journal.py comments [--count 1000] [--seconds 60]
    python tests/bench/journal.py idle [--count 500] [--seconds 600]      so many pages, and nothing happens
    python tests/bench/journal.py unheard [--count 200]     edits while the daemon is dead; then with every webhook lost
    python tests/bench/journal.py files [--count 20000]     events of files, then a queue of the kernel's that runs over

Starts and removes a WordPress of its own (25 posts, Twenty Twenty-One) and a daemon. Prints tables; fails on nothing.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parents[1]))

from real.helpers import Stack, free_ports, stop, wait_for
from real.oracle import Watched, watched

from staticify.nouns import Kind
from staticify.urls import Page


@contextmanager
def stage(posts: int = 25, **settings: object) -> Iterator[Watched]:
    """A WordPress with the plugin, and a daemon that it tells."""
    directory = Path(tempfile.mkdtemp(prefix="staticify-bench-", dir="/var/tmp"))
    directory.chmod(0o755)
    front_port, origin_port, webhook_port = free_ports(3)
    stack = Stack(directory / "stack", front_port, origin_port)
    try:
        stack.command(
            "up", "--posts", str(posts), "--theme", "twentytwentyone", "--front-port", str(front_port),
            "--origin-port", str(origin_port), "--address", f"http://127.0.0.1:{webhook_port}",
        )  # fmt: skip
        if "wp_content" in settings:
            settings["wp_content"] = str(stack.directory / "wordpress/wp-content")
        with watched(stack, webhook_port, stack.make_directory(), **{"interval": "60s", **settings}) as one:
            yield one
    finally:
        stack.command("down", "--purge", is_checked=False)
        shutil.rmtree(directory)


class Editor:
    """Somebody who is logged in as administrator, by HTTP alone."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._cookie = stack.log_in("admin", "launch-day")
        self._rest_nonce = self._request("GET", "/wp-admin/admin-ajax.php?action=rest-nonce").decode()
        page = self._request("GET", "/wp-admin/edit.php").decode()
        found = re.search(r'id="_inline_edit"[^>]*value="([0-9a-f]+)"', page)
        if found is None:
            raise SystemExit("wp-admin shows no quick edit")
        self._quick_nonce = found[1]

    def publish_by_rest(self, title: str) -> str:
        """A new post, as the block editor saves it. Its address."""
        body = json.dumps({"title": title, "content": title, "status": "publish"}).encode()
        fields = {"Content-Type": "application/json", "X-WP-Nonce": self._rest_nonce}
        return str(json.loads(self._request("POST", "/wp-json/wp/v2/posts", body, fields))["link"])

    def save_by_rest(self, number: int, content: str) -> None:
        """Save a post anew."""
        fields = {"Content-Type": "application/json", "X-WP-Nonce": self._rest_nonce}
        self._request("POST", f"/wp-json/wp/v2/posts/{number}", json.dumps({"content": content}).encode(), fields)

    def publish_by_quick_edit(self, number: int, title: str) -> None:
        """A draft goes out by wp-admin's list of posts."""
        form = {
            "action": "inline-save", "post_type": "post", "post_ID": number, "_inline_edit": self._quick_nonce,
            "post_title": title, "post_name": title.lower(), "_status": "publish", "post_view": "list",
            "screen": "edit-post", "mm": "06", "jj": "15", "aa": "2024", "hh": "10", "mn": "00", "ss": "00",
        }  # fmt: skip
        fields = {"Content-Type": "application/x-www-form-urlencoded"}
        self._request("POST", "/wp-admin/admin-ajax.php", urlencode(form).encode(), fields)

    def comment(self, number: int, text: str) -> None:
        """A comment that is approved at once."""
        fields = {"Content-Type": "application/x-www-form-urlencoded"}
        form = urlencode({"comment": text, "comment_post_ID": number}).encode()
        self._request("POST", "/wp-comments-post.php", form, fields)

    def _request(self, method: str, path: str, body: bytes = b"", fields: dict[str, str] | None = None) -> bytes:
        headers = {"Host": self._stack.netloc, "Cookie": self._cookie, **(fields or {})}
        with closing(http.client.HTTPConnection("127.0.0.1", self._stack.origin_port, timeout=30)) as connection:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status >= 400:
                raise SystemExit(f"{method} {path}: {answer.status} {content[:300]!r}")
            return content


def seconds_of_render(stack: Stack, path: str) -> float:
    """One anonymous render, the median of five."""
    times = []
    for _ in range(5):
        started = time.monotonic()
        stack.from_origin(path)
        times.append(time.monotonic() - started)
    return statistics.median(times)


def row(name: str, seconds: Sequence[float]) -> None:
    """A line of a table: median, p95 and maximum in milliseconds."""
    ordered = sorted(seconds)
    figures = (statistics.median(ordered), ordered[int(len(ordered) * 0.95)], ordered[-1])
    print(f"{name:44}" + "".join(f"{figure * 1000:9.0f}" for figure in figures), flush=True)


def latency(count: int) -> None:
    """From the end of the author's request to the right home page, and to a hit for the post."""
    with stage() as one:
        stack, editor = one.stack, Editor(one.stack)
        times: dict[str, list[float]] = {"REST": [], "wp-admin": [], "REST, post": [], "wp-admin, post": []}
        for number in range(count):
            title, way = f"Launch{number}x", "REST" if number % 2 else "wp-admin"
            if way == "REST":
                path = editor.publish_by_rest(title).removeprefix(stack.url)
                ended = time.monotonic()
            else:
                draft = stack.insert_post(post_title="draft", post_content=title, post_status="draft")
                one.settle(0)
                # By the name that the form gives it, and today's date: a draft keeps none of its own.
                path = f"{time.strftime('/%Y/%m', time.gmtime())}/{title.lower()}/"
                editor.publish_by_quick_edit(draft.number, title)
                ended = time.monotonic()
            wanted = {way: "/", f"{way}, post": path}
            while wanted:
                if time.monotonic() - ended > 30:
                    raise SystemExit(f"not on the front within 30 s: {wanted}")
                for what, where in list(wanted.items()):
                    reply = stack.from_front(where)
                    if reply.is_hit and title.encode() in reply.body:
                        times[what].append(time.monotonic() - ended)
                        del wanted[what]
                time.sleep(0.01)
            one.settle(0)
        print(f"{count} posts, ms after the author's request ended   median      p95      max")
        row("home page right, by REST", times["REST"])
        row("the post a hit, by REST", times["REST, post"])
        row("home page right, by wp-admin", times["wp-admin"])
        row("the post a hit, by wp-admin", times["wp-admin, post"])
        both = seconds_of_render(stack, "/") + seconds_of_render(stack, path)
        print(f"one render of each: {both * 1000:.0f} ms; allowed: {both * 1000 + 300:.0f} ms")


def save(count: int) -> None:
    """Saving a post in turns with the plugin and without it; the daemon up, then dead."""
    with stage() as one:
        stack, editor = one.stack, Editor(one.stack)
        post = stack.insert_post(post_title="Saved", post_content="again and again")
        loader = stack.directory / "wordpress/wp-content/mu-plugins/staticify-loader.php"
        aside = loader.with_suffix(".aside")
        print(f"{count} pairs, ms of one save by the REST API        median      p95      max")
        for state in ("up", "dead"):
            if state == "dead":
                stop(one.process)
            times: dict[str, list[float]] = {"with": [], "without": []}
            for number in range(count):
                for kind, seconds in times.items():
                    if kind == "without":
                        loader.rename(aside)
                    try:
                        # PHP looks at the folder anew each time; what it kept of the file's code may be 2 s old.
                        started = time.monotonic()
                        editor.save_by_rest(post.number, f"{kind} {number}")
                        seconds.append(time.monotonic() - started)
                    finally:
                        if kind == "without":
                            aside.rename(loader)
                    if state == "up":
                        time.sleep(0.5)  # What it renders now is not the next author's to wait for.
            row(f"daemon {state}, without the plugin", times["without"])
            row(f"daemon {state}, with the plugin", times["with"])
            differences = [a - b for a, b in zip(times["with"], times["without"], strict=True)]
            print(f"median of the differences: {statistics.median(differences) * 1000:+.1f} ms")


def comments(count: int, seconds: float) -> None:
    """Comments to one post while a reader goes round the tree."""
    with stage() as one:
        stack = one.stack
        post = stack.insert_post(post_title="Discussed", post_content="say something")
        one.settle(0)
        while not stack.from_front(post.path).is_hit:
            time.sleep(0.1)
        paths = [Page("http", stack.netloc, path).raw_path for path in sorted(one.published())[:100]]
        seen: Counter[str] = Counter()
        is_over = threading.Event()

        def read() -> None:
            while not is_over.is_set():
                for path in paths:
                    reply = stack.from_front(path)
                    seen["error" if reply.status != 200 else "hit" if reply.is_hit else "miss"] += 1

        reader = threading.Thread(target=read)
        reader.start()
        log = one.site.log.read_text().count(f"published url={stack.url}{post.path} ")
        before = one.health()["journeys"]
        editor = Editor(stack)
        started = time.monotonic()

        def write(number: int) -> None:
            time.sleep(max(0.0, started + number * seconds / count - time.monotonic()))
            editor.comment(post.number, f"thought {number}")

        # Each is a request of its own. An administrator's: WordPress lets others comment once in 15 s.
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(write, range(count)))
        lasted = time.monotonic() - started
        time.sleep(12)
        is_over.set()
        reader.join()
        renders = one.site.log.read_text().count(f"published url={stack.url}{post.path} ") - log
        print(f"{count} comments in {lasted:.0f} s: their page rendered {renders} times,")
        print(f"{one.health()['journeys'] - before} journeys in all; a reader of {len(paths)} pages: {dict(seen)}")


def requests_in(stack: Stack, since: int) -> list[tuple[str, float]]:
    """What the origin was asked since a line of its log: method and path, and seconds."""
    lines = (stack.directory / "log/access.log").read_text().splitlines()[since:]
    parts = [line.split() for line in lines if line.startswith(f"{stack.origin_port} ")]
    return [(f"{part[4][1:]} {part[5]}", float(part[2])) for part in parts]


def is_question(what: str) -> bool:
    """True for a request to the journal, by either way."""
    return "staticify=changes" in what or "/staticify/direct.php" in what


def seconds_of_php(stack: Stack, is_meant: Callable[[str], bool], since: int) -> list[float]:
    """What each request that is meant took by PHP's own clock, since a line of its log."""
    lines = (stack.directory / "log/fpm.log").read_text().splitlines()[since:]
    return [int(line.split()[0]) / 1e6 for line in lines if is_meant(line)]


def lines_logged(stack: Stack, name: str = "access") -> int:
    """How long the log is."""
    return len((stack.directory / f"log/{name}.log").read_text().splitlines())


def idle(count: int, seconds: float) -> None:
    """What a site at rest is asked for, in journal mode."""
    with stage(posts=count) as one:
        stack = one.stack
        wait_for("every page is rendered", lambda: len(one.published()) >= count, 300)
        wait_for_rest(one)
        time.sleep(150)  # A new WordPress has events of WP-Cron that are due, and sitemaps that are read twice.
        pages = len(one.published())
        journeys, since, started = one.health()["journeys"], lines_logged(stack), time.monotonic()
        since_in_php = lines_logged(stack, "fpm")
        while time.monotonic() - started < seconds:
            time.sleep(1)
        lasted = time.monotonic() - started
        asked = requests_in(stack, since)
        swept = one.health()["journeys"] - journeys
        cycles = lasted / 60
        questions = [took for what, took in asked if is_question(what)]
        others = Counter(what for what, _ in asked if not is_question(what))
        renders = sum(others.values())
        print(f"{pages} pages, {lasted:.0f} s at rest, {cycles:.1f} cycles of 60 s")
        print(f"questions to the journal: {len(questions)}, {len(questions) / cycles:.2f} a cycle")
        row("one of them, ms (median, p95, max)", questions)
        row("the same by PHP's own clock", seconds_of_php(stack, is_question, since_in_php))
        print(f"the sweep (each page once an hour): {swept} journeys, {swept / cycles:.1f} a cycle")
        # The sweep fetches a page for a second visitor, too.
        print(f"other requests: {renders - swept}, of which for WP-Cron {others['GET /wp-cron.php']}")
        each = seconds_of_render(stack, "/")
        blind = pages * each
        spent = statistics.median(questions)
        print(f"blind mode: {pages} renders a cycle, about {blind:.1f} s of PHP; journal mode: {spent * 1000:.0f} ms")
        print(f"ratio: {pages:.0f} to {len(questions) / cycles:.1f} requests, {blind / spent:.0f} to 1 in time")


def wait_for_rest(one: Watched) -> None:
    """Until a whole round changes nothing: a new WordPress settles some things in its first minute."""
    before = -1
    while before != (before := one.health()["journeys"]):
        time.sleep(5)


def stale(one: Watched) -> list[str]:
    """Pages in the tree that are not what WordPress answers."""
    published = one.published()
    answers = one.answers(sorted(published))
    return [path for path, (_, body) in published.items() if (answers[path].status, answers[path].body) != (200, body)]


def unheard(count: int) -> None:
    """Edits that nobody hears of, and how many pages are wrong one cycle after somebody could."""
    with stage(interval="10s") as one:
        one.process.kill()
        one.process.wait()
        position = max(one.edit(70_000 + number)["position"] for number in range(count))
        before = len(stale(one))
        started = time.monotonic()
        one.restart()
        one.settle(position)
        print(f"{count} edits while the daemon was dead: {before} pages wrong when it started,")
        print(f"  {len(stale(one))} {time.monotonic() - started:.1f} s later")
        config = one.stack.directory / "wordpress/wp-config.php"
        (free,) = free_ports(1)
        config.write_text(config.read_text().replace(f"127.0.0.1:{one.webhook_port}'", f"127.0.0.1:{free}'"))
        time.sleep(3)  # PHP looks at a file again after two seconds.
        position = max(one.edit(80_000 + number)["position"] for number in range(count))
        ended = time.monotonic()
        time.sleep(10)  # One cycle.
        one.settle(position)
        print(f"{count} edits, every webhook lost (port closed), interval 10 s: {len(stale(one))} pages wrong")
        print(f"  {time.monotonic() - ended:.1f} s after the last edit")


def files(count: int) -> None:
    """Events of files in a theme's folder: while the daemon hears them, and while the kernel drops them."""
    with stage(wp_content="") as one:
        theme = one.stack.directory / "wordpress/wp-content/themes/twentytwentyone"
        wait_for("every page is rendered", lambda: len(one.published()) > 60, 120)
        pages = len(one.published())
        for what in ("heard", "more than the kernel's queue holds"):
            wait_for_rest(one)
            log, journeys, started = len(one.site.log.read_text()), one.health()["journeys"], time.monotonic()
            if what != "heard":
                one.process.send_signal(signal.SIGSTOP)
            for number in range(count):
                (theme / f"noise{number % 500}.txt").write_text(str(number))
            # And one that matters.
            style = theme / "footer.php"
            style.write_text(style.read_text().replace("</footer>", f"<!-- {what[:5]} --></footer>", 1))
            one.process.send_signal(signal.SIGCONT)
            while not all(what[:5].encode() in body for kind, body in one.published().values() if kind == Kind.HTML):
                if time.monotonic() - started > 120:
                    break
                time.sleep(0.2)
            lasted = time.monotonic() - started
            wait_for_rest(one)
            made = one.health()["journeys"] - journeys
            said = [line for line in one.site.log.read_text()[log:].splitlines() if "ran over" in line]
            print(f"{count} writes, {what}: {made} journeys for {pages} pages, right after {lasted:.1f} s,")
            print(f"  {len(stale(one))} wrong; the log says of it: {said[:1]}")


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("latency", "save", "comments", "idle", "unheard", "files"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    if options.what == "latency":
        latency(options.count or 50)
    elif options.what == "save":
        save(options.count or 50)
    elif options.what == "comments":
        comments(options.count or 1000, options.seconds or 60)
    elif options.what == "idle":
        idle(options.count or 500, options.seconds or 600)
    elif options.what == "unheard":
        unheard(options.count or 200)
    else:
        files(options.count or 20_000)


if __name__ == "__main__":
    main()
