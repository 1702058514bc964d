"""Random edits on a real WordPress; after each, every page in the tree must be what WordPress answers by then.

    python tests/real/oracle.py --edits 1000 --seed 1        prints a table, exit status 1 if anything was stale

Whoever makes the edits is not staticify, and who compares asks WordPress itself, as a stranger: whether the journal
named the right pages is seen in the bytes alone. Starts and removes a WordPress of its own. Bounded: so many edits.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from real.helpers import Reply, Running, Site, Stack, empty_directory, free_ports, wait_for
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import Page

EDIT = Path(__file__).with_name("edit.php")
SECONDS_TO_SETTLE = 30.0


@dataclass
class Tally:
    """What the edits came to."""

    edits: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    stale: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    changed: int = 0
    """Pages whose answer was another one after an edit."""
    journeys: int = 0
    wasted: Counter[str] = field(default_factory=Counter)
    """Journeys beyond the pages that changed, by kind of edit."""
    settle_seconds: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return self.journeys / max(1, self.changed)


@dataclass
class Watched:
    """A staticify that follows a WordPress's journal."""

    stack: Stack
    site: Site
    webhook_port: int
    process: subprocess.Popen[bytes]

    def restart(self) -> None:
        """Start the daemon once more, after it was killed."""
        self.process = self.site.start()
        wait_for("the webhook listens", lambda: _listens(self), 20)

    def health(self) -> dict[str, Any]:
        """What the daemon says of the site."""
        while True:
            with closing(http.client.HTTPConnection("127.0.0.1", self.webhook_port, timeout=10)) as connection:
                connection.request("GET", "/healthz")
                response = connection.getresponse()
                answer: dict[str, Any] = json.loads(response.read())
            if response.status != 429:
                (of_site,) = answer["sites"].values()
                return dict(of_site)
            time.sleep(0.1)  # More often than probes may ask.

    def settle(self, position: int) -> float:
        """Wait until every row up to a position is read and nothing is due. Seconds."""

        def is_settled() -> bool:
            health = self.health()
            is_read = int(health["position"]) >= position
            return is_read and health["pending"] == 0 and health["mode"] == "journal"

        return wait_for(f"position {position} dealt with", is_settled, SECONDS_TO_SETTLE)

    def edit(self, seed: int, kind: str = "") -> dict[str, Any]:
        """One random edit, through WordPress's own functions."""
        done: dict[str, Any] = json.loads(self.stack.command("php", str(EDIT), str(seed), *([kind] if kind else [])))
        return done

    def published(self) -> dict[str, tuple[Kind, bytes]]:
        """Every page in the tree, by path."""
        tree = Tree(self.site.tree)
        return {
            found.place.path: (found.kind, (tree.path / found.place.relative / f"index.{found.kind}").read_bytes())
            for found in tree.scan()
        }

    def answers(self, paths: list[str]) -> dict[str, Reply]:
        """What WordPress answers a stranger, now."""
        with ThreadPoolExecutor(4) as threads:
            pages = [Page("http", self.stack.netloc, path) for path in paths]
            return dict(zip(paths, threads.map(lambda page: self.stack.from_origin(page.raw_path), pages), strict=True))


@contextmanager
def watched(stack: Stack, webhook_port: int, directory: Path, **settings: object) -> Iterator[Watched]:
    """A daemon in journal mode over a WordPress that tells it."""
    secret = stack.secret
    keys = {"secrets": [secret], "interval": "10s", "sitemaps": ["/wp-sitemap.xml"], "concurrency": 4, **settings}
    site = Site(stack, directory, ["/", "/feed/", "/robots.txt", "/wp-sitemap.xml"], tree=stack.tree, settings=keys)
    site.config.write_text(f'[webhook]\nlisten = "http://127.0.0.1:{webhook_port}"\n' + site.config.read_text())
    one = Watched(stack, site, webhook_port, site.start())
    try:
        wait_for("the webhook listens", lambda: _listens(one), 20)
        wait_for("journal mode", lambda: one.health()["mode"] == "journal" and one.health()["pending"] == 0, 120)
        wait_for("the first pass", lambda: len(one.published()) >= one.health()["pages"] - 8, 120)
        yield one
    except BaseException:
        print("".join(site.log.read_text().splitlines(keepends=True)[-40:]), one.health(), file=sys.stderr)
        raise
    finally:
        with Running(one.process):
            pass
        shutil.rmtree(directory)
        empty_directory(stack.tree)


def _listens(one: Watched) -> bool:
    try:
        one.health()
    except OSError:
        return False
    return True


def run(one: Watched, edits: int, seed: int, *, on_edit: Any = None) -> Tally:
    """Make the edits, one after the other, and compare after each."""
    tally = Tally()
    before = one.answers(sorted(one.published()))
    for number in range(edits):
        journeys = one.health()["journeys"]
        done = one.edit(seed + number)
        tally.settle_seconds.append(one.settle(done["position"]))
        made = one.health()["journeys"] - journeys
        published = one.published()
        after = one.answers(sorted(published.keys() | before.keys()))
        _compare(tally, done["kind"], number, published, after)
        changed = sum(_said(before.get(path)) != _said(answer) for path, answer in after.items())
        tally.edits += 1
        tally.kinds[done["kind"]] += 1
        tally.changed += changed
        tally.journeys += made
        if made > changed:
            tally.wasted[done["kind"]] += made - changed
        # What is in neither any more is not looked at again.
        before = {path: answer for path, answer in after.items() if path in published or answer.status == 200}
        if on_edit is not None:
            on_edit(tally, done["kind"], made, changed)
    return tally


def _said(answer: Reply | None) -> tuple[int, bytes] | None:
    return None if answer is None or answer.status != 200 else (answer.status, answer.body)


def _compare(
    tally: Tally, kind: str, number: int, published: dict[str, tuple[Kind, bytes]], answers: dict[str, Reply]
) -> None:
    for path, (_, body) in published.items():
        answer = answers[path]
        what = f"edit {number} ({kind}): {path}"
        if answer.status != 200:
            tally.leaks.append(f"{what}: in the tree, but WordPress answers {answer.status}")
        elif _asks_for_password(answer.body):
            tally.leaks.append(f"{what}: in the tree, but WordPress asks for a password")
        elif answer.body != body:
            tally.stale.append(f"{what}: {difference(body, answer.body)}")


def difference(old: bytes, new: bytes) -> str:
    """The first line that is another one."""
    lines = zip_longest(old.splitlines(), new.splitlines(), fillvalue=b"")
    here, there = next(((one, other) for one, other in lines if one != other), (b"", b""))
    return f"{here.strip()[:200]!r} is {there.strip()[:200]!r} by now"


def _asks_for_password(body: bytes) -> bool:
    """True for a page whose own content is a password form; a list may quote one."""
    return b"action=postpass" in body and re.search(rb'<body[^>]*class="[^"]*\bsingle\b', body) is not None


def main() -> int:
    """Run against a WordPress of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--posts", type=int, default=25)
    parser.add_argument("--theme", default="twentytwentyone")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="staticify-oracle-", dir="/var/tmp"))
    directory.chmod(0o755)
    front_port, origin_port, webhook_port = free_ports(3)
    stack = Stack(directory / "stack", front_port, origin_port)
    try:
        stack.command(
            "up", "--posts", str(options.posts), "--theme", options.theme, "--front-port", str(front_port),
            "--origin-port", str(origin_port), "--address", f"http://127.0.0.1:{webhook_port}",
        )  # fmt: skip
        with watched(stack, webhook_port, stack.make_directory()) as one:
            started = time.monotonic()

            def say(tally: Tally, kind: str, made: int, changed: int) -> None:
                counts = f"rendered {made:3} changed {changed:3} ratio {tally.ratio:.2f}"
                print(f"{tally.edits:5} {kind:20} {counts}", flush=True)
                for line in (*tally.leaks, *tally.stale):
                    if line.startswith(f"edit {tally.edits - 1} "):
                        print(f"      WRONG {line}", flush=True)

            tally = run(one, options.edits, options.seed, on_edit=say)
            missed = one.health()["missed"]
        seconds = time.monotonic() - started
        print(f"\n{tally.edits} edits of {len(tally.kinds)} kinds in {seconds:.0f} s, seed {options.seed}")
        print(f"stale {len(tally.stale)}, leaks {len(tally.leaks)}, missed by the journal {missed}")
        print(f"{tally.journeys} journeys for {tally.changed} pages that changed: {tally.ratio:.2f}")
        settled = sorted(tally.settle_seconds)
        print(
            f"settled after: median {settled[len(settled) // 2]:.2f} s, p95 {settled[int(len(settled) * 0.95)]:.2f} s"
        )
        print("most journeys in vain:", tally.wasted.most_common(8))
        for line in (*tally.leaks[:20], *tally.stale[:20]):
            print(line)
        return 1 if tally.stale or tally.leaks else 0
    finally:
        stack.command("down", "--purge", is_checked=False)
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
