"""`staticify render --all` beside `curl --parallel`, on the same URLs of a real WordPress, in one run.

    python tests/bench/same_urls.py [--config examples/launch-day/.run/staticify.toml] [--rounds 5]

Takes origin, concurrency and pages from a configuration whose WordPress is running (`examples/launch-day/up` leaves
one). Each round is a pair for a pass in which nothing changes and a pair for one in which everything is published, into
a tree that was never there: a file system that has just been told to remove another one is slow to make files. Start
of the program included. Prints a table and fails on nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from staticify.config import load


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a process."""
    # What pip installs is compiled; a checkout may stand where the environment forbids to keep what is.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"exit status {process.returncode}: {' '.join(command)[:200]}")
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Run the rounds and print the table."""
    default = Path(__file__).resolve().parents[2] / "examples/launch-day/.run/staticify.toml"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=default)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    site = load(options.config).sites[0]
    origin = site.origins[0].base_url
    staticify = [sys.executable, "-m", "staticify.cli"]

    with tempfile.TemporaryDirectory(prefix="staticify-bench-") as name:
        directory = Path(name)
        listed = directory / "listed.toml"
        paths = f'[tree]\npath = "{directory}/tree"\n[state]\npath = "{directory}/state"\n'
        text = options.config.read_text()
        listed.write_text(paths + text[text.index("[[site]]") :])
        first = subprocess.run(
            [*staticify, "render", "--all", "--json", "--config", str(listed)], capture_output=True, check=False
        )
        pages = [page["url"] for page in json.loads(first.stdout)["pages"] if page["outcome"] == "published"]

        def render_into(number: int) -> list[str]:
            config = directory / f"{number}.toml"
            config.write_text(
                f'[tree]\npath = "{directory}/tree{number}"\n[state]\npath = "{directory}/state{number}"\n'
                f'[[site]]\nurl = "{site.url}"\norigin = "{origin}"\nconcurrency = {site.concurrency}\n'
                f"pages = {json.dumps(pages)}\n"
            )
            return [*staticify, "render", "--all", "--config", str(config)]

        urls = directory / "curl.cfg"
        asked = [url.replace(site.url.rstrip("/"), origin) for url in pages]
        urls.write_text("".join(f"url={url}\noutput=/dev/null\n" for url in asked))
        curl = ["curl", "--silent", "--no-progress-meter", "--parallel", "--parallel-max", str(site.concurrency)]
        curl += ["--header", f"Host: {site.base.netloc}", "--config", str(urls)]

        standing = render_into(0)
        timed(standing)
        rows: dict[str, list[tuple[float, float]]] = {"unchanged": [], "published": []}
        beside: dict[str, list[tuple[float, float]]] = {"unchanged": [], "published": []}
        for number in range(1, options.rounds + 1):
            for kind, passes in rows.items():
                ours = standing if kind == "unchanged" else render_into(number)
                # Each first as often as the other: what drifts must not count for one of them.
                for command in (curl, ours) if number % 2 else (ours, curl):
                    (beside[kind] if command is curl else passes).append(timed(command))

    print(f"{len(pages)} pages, concurrency {site.concurrency}, medians of {options.rounds} interleaved pairs")
    print("ratio: the median of the pairs' own; the machine is another one from minute to minute")
    print(f"{'pass':12}{'render s':>10}{'curl s':>10}{'CPU s':>8}{'ratio':>8}   ratios of the pairs")
    for kind, passes in rows.items():
        ours, cpu = (statistics.median(column) for column in zip(*passes, strict=True))
        theirs = statistics.median(wall for wall, _ in beside[kind])
        pairs = [one[0] / other[0] for one, other in zip(passes, beside[kind], strict=True)]
        each = " ".join(f"{pair:.2f}" for pair in pairs)
        print(f"{kind:12}{ours:10.2f}{theirs:10.2f}{cpu:8.2f}{statistics.median(pairs):8.2f}   {each}")


if __name__ == "__main__":
    main()
