"""`staticify run` for some minutes: how old does the oldest page ever get?

    python tests/bench/oldest_age.py --config FILE [--minutes 5]

Starts the daemon for a configuration whose WordPress is running and whose tree nobody else works on, looks at the
state every half second as `staticify status` does, and prints a table; it fails on nothing. Counting begins when every
page was found good since the start. The daemon writes the state once a second, so that an age may be shown up to a
second too high, never too low.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from staticify.config import Config, load
from staticify.errors import StoreError
from staticify.overview import PageStatus, overview

POLL_SECONDS = 0.5
SECONDS_FOR_FIRST_PASS = 180


def ages(config: Config) -> dict[str, float | None]:
    """Age in seconds of each page, by URL; None for one that the tree does not have."""
    try:
        pages: list[PageStatus] = overview(config, time.time())[0]
    except StoreError:
        return {}  # The daemon has not made it yet.
    return {page.url: page.age_seconds for page in pages}


def is_begun(config: Config, started: float) -> bool:
    """True if every page in the tree was found good since the start, and there are any."""
    known = [age for age in ages(config).values() if age is not None]
    return bool(known) and max(known) <= time.monotonic() - started


def watch(config: Config, daemon: subprocess.Popen[bytes], seconds: float) -> list[dict[str, float | None]]:
    """What each look has found, from the end of the first pass on."""
    started = time.monotonic()
    # Sitemaps are read while the first pages are rendered: two looks that find the same pages.
    before = -1
    while not (is_begun(config, started) and len(ages(config)) == before):
        before = len(ages(config))
        if daemon.poll() is not None:
            raise SystemExit("the daemon ended by itself; its words stand above")
        if time.monotonic() - started > SECONDS_FOR_FIRST_PASS:
            raise SystemExit(f"no first pass within {SECONDS_FOR_FIRST_PASS} s")
        time.sleep(2.0)
    print(f"first pass: {time.monotonic() - started:.0f} s. Watching for {seconds:.0f} s ...", flush=True)
    looks = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and daemon.poll() is None:
        looks.append(ages(config))
        time.sleep(POLL_SECONDS)
    return looks


def print_table(config: Config, looks: list[dict[str, float | None]]) -> None:
    """The oldest page at each look, and the worst page of all."""
    known = [{url: age for url, age in look.items() if age is not None} for look in looks]
    oldest = sorted(max(look.values()) for look in known if look)
    worst_age, worst_url = max((age, url) for look in known for url, age in look.items())
    intervals = sorted({site.interval_seconds for site in config.sites})
    rows = {
        "looks": f"{len(looks)}",
        "pages": f"{min(map(len, known))} to {max(map(len, known))} in the tree",
        "absent": f"{max(len(look) - len(have) for look, have in zip(looks, known, strict=True))} at most",
        "interval": ", ".join(f"{seconds:.0f} s" for seconds in intervals),
        "oldest page, median": f"{statistics.median(oldest):.1f} s",
        "oldest page, p99": f"{oldest[int(len(oldest) * 0.99)]:.1f} s",
        "oldest page, maximum": f"{worst_age:.1f} s   {worst_url}",
    }
    for name, value in rows.items():
        print(f"{name:22}{value}")


def main() -> None:
    """Start the daemon, watch it, end it, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    config = load(options.config)
    daemon = subprocess.Popen([sys.executable, "-m", "staticify.cli", "run", "--config", str(options.config)])
    try:
        looks = watch(config, daemon, options.minutes * 60)
        ended = daemon.poll()
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
    if ended is not None:
        print(f"the daemon ended by itself, with status {ended}")
    if looks:
        print_table(config, looks)


if __name__ == "__main__":
    main()
