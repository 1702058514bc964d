"""What the renderer itself costs: passes over pages that a plain nginx answers from disk.

    python tests/bench/static_origin.py [--pages 1000] [--bytes 131072] [--rounds 5] [--concurrency 8]

Starts a private nginx on a free port of loopback, renders once (everything is published), then again and again
(nothing changed), then one page alone (what a start costs), each pass a process of its own, and prints a table. Beside
it the same fetches by httpx with its own pool, by httpx over aiohttp, and by bare aiohttp, nothing else done, in the
same run. Fails on nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NGINX = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; types {{ text/html html; }} charset utf-8; sendfile on; keepalive_requests 1000000;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
  uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  server {{ listen 127.0.0.1:{port}; root {dir}/www; }}
}}
"""
WORDS = [
    "the",
    "a",
    "launch",
    "board",
    "camera",
    "light",
    "sensor",
    "robot",
    "garden",
    "kernel",
    "server",
    "cache",
    "queue",
]


def page(number: int, size: int) -> bytes:
    """A page of so many bytes that looks like a blog and compresses like one."""
    chooser = random.Random(number)
    tail = "</body></html>"
    text = f"<!DOCTYPE html><html><head><title>Page {number}</title></head><body class='single postid-{number}'>"
    while True:
        words = " ".join(chooser.choices(WORDS, k=60))
        paragraph = f'<p class="c{chooser.random():.12f}">{words}</p>\n'
        if len(text) + len(paragraph) + len(tail) > size:
            return f"{text:{size - len(tail)}}{tail}".encode()
        text += paragraph


@contextmanager
def static_nginx(directory: Path, pages: int, size: int) -> Iterator[str]:
    """An nginx that serves generated pages; gives its address."""
    for number in range(pages):
        folder = directory / "www" / f"p{number}"
        folder.mkdir(parents=True)
        (folder / "index.html").write_bytes(page(number, size))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (directory / "nginx.conf").write_text(f"user root;{NGINX.format(dir=directory, port=port)}")
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([nginx, "-c", str(directory / "nginx.conf"), "-p", str(directory)])
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def run_pass(config: Path, what: str = "--all") -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MiB of one `staticify render` as a process."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "staticify.cli", "render", what, "--config", str(config)], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"the pass ended with exit status {process.returncode}")
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


async def fetches(fetch: Callable[[str], Awaitable[bytes]], paths: list[str], concurrency: int) -> float:
    """CPU milliseconds a page for bare fetches."""
    slots = asyncio.Semaphore(concurrency)

    async def one(path: str) -> None:
        async with slots:
            await fetch(path)

    before = time.process_time()
    await asyncio.gather(*(one(path) for path in paths))
    return (time.process_time() - before) / len(paths) * 1000


async def clients(address: str, paths: list[str], concurrency: int) -> dict[str, float]:
    """CPU milliseconds a page of three clients, with nothing done to the body."""
    import aiohttp
    import httpx
    from httpx_aiohttp import HttpxAiohttpClient

    found = {}

    async def by_httpx(client: httpx.AsyncClient) -> float:
        async def fetch(path: str) -> bytes:
            return (await client.get(address + path)).content

        return await fetches(fetch, paths, concurrency)

    async with httpx.AsyncClient(headers={"Accept-Encoding": "identity"}) as client:
        found["httpx, its own pool"] = await by_httpx(client)
    async with HttpxAiohttpClient(headers={"Accept-Encoding": "identity"}) as client:
        found["httpx over aiohttp"] = await by_httpx(client)
    async with aiohttp.ClientSession() as session:

        async def fetch(path: str) -> bytes:
            async with session.get(address + path, headers={"Accept-Encoding": "identity"}) as response:
                return await response.read()

        found["bare aiohttp"] = await fetches(fetch, paths, concurrency)
    return found


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--bytes", type=int, default=128 * 1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="staticify-bench-") as name:
        directory = Path(name)
        with static_nginx(directory, options.pages, options.bytes) as address:
            paths = [f"/p{number}/" for number in range(options.pages)]
            config = directory / "staticify.toml"
            config.write_text(
                f'[tree]\npath = "{directory}/tree"\n[state]\npath = "{directory}/state"\n[[site]]\nurl = "{address}"\n'
                f"concurrency = {options.concurrency}\npages = [{', '.join(repr(path) for path in paths)}]\n"
            )
            rows: list[tuple[str, list[tuple[float, float, float]]]] = []
            rows.append(("everything published", [run_pass(config)]))
            rows.append(("nothing changed", [run_pass(config) for _ in range(options.rounds)]))
            starts = [run_pass(config, f"{address}/p0/") for _ in range(options.rounds)]
            found = asyncio.run(clients(address, paths, options.concurrency))

    start_wall, start_cpu, _ = (statistics.median(column) for column in zip(*starts, strict=True))
    medians = f"medians of {options.rounds}"
    print(f"\n{options.pages} pages of {options.bytes} bytes, concurrency {options.concurrency}, {medians}")
    print(f"{'pass':24}{'wall s':>9}{'pages/s':>9}{'CPU ms/page':>13}{'peak MiB':>10}   (start included)")
    for label, passes in rows:
        wall, cpu, peak = (statistics.median(column) for column in zip(*passes, strict=True))
        print(f"{label:24}{wall:9.2f}{options.pages / wall:9.0f}{cpu / options.pages * 1000:13.2f}{peak:10.0f}")
    start = f"(start, a pass over one page: {start_wall:.2f} s wall, {start_cpu:.2f} s CPU)"
    print(f"{'the same, start apart':24}{'':>9}{'pages/s':>9}{'CPU ms/page':>13}   {start}")
    for label, passes in rows:
        wall, cpu, _ = (statistics.median(column) for column in zip(*passes, strict=True))
        rate = options.pages / (wall - start_wall)
        print(f"{label:24}{'':>9}{rate:9.0f}{(cpu - start_cpu) / options.pages * 1000:13.2f}")
    print("\nthe fetches alone, nothing done to the body")
    for label, milliseconds in found.items():
        print(f"{label:24}{'':>18}{milliseconds:13.2f}")


if __name__ == "__main__":
    main()
