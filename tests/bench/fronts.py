"""What a visitor waits for: staticify's front beside what people use today, in one run.

    python tests/bench/fronts.py [--stack examples/launch-day/.run] [--rounds 5] [--seconds 4]
    python tests/bench/fronts.py --apart        the servers on one core, the visitors on the other
    python tests/bench/fronts.py --connections 10000 --seconds 60 --rounds 1     many visitors, a change each second

The page is a real one of 128 KB, made in the WordPress that runs in --stack (`examples/launch-day/up` leaves one), and
everybody asks for gzip. staticify's front is there twice: its tree on a mount with nosymfollow (links = "mount"), and
as it comes, looking for symbolic links itself. Rounds are interleaved; the table has medians and ratios; it fails on
nothing. Needs Debian's varnish and wrk. Varnish and nginx's fastcgi_cache keep the page for the whole run.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from real.fronts import USER, front_of
from real.helpers import Stack, free_ports, wait_for

from staticify.encode import encode
from staticify.nouns import Kind
from staticify.tree import Tree
from staticify.urls import Page

ROOT = Path(__file__).resolve().parents[2]
PAGE_BYTES = 128 * 1024
DESCRIPTORS = 65536


@dataclass
class Contender:
    """Somebody who answers on a port, and what came of each round."""

    name: str
    port: int
    rates: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def process(command: list[str], log: Path, port: int) -> Iterator[None]:
    """A server in the foreground, until the block ends."""
    with log.open("wb") as file:
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        wait_for(f"{command[0]} listens", lambda: _listens(port), 20)
        yield
    finally:
        running.terminate()
        running.wait(timeout=20)


def _listens(port: int) -> bool:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)


def nginx_conf(directory: Path, server: str, http: str = "") -> Path:
    """An nginx as a careful operator sets it up, but for what it serves."""
    temporary = "".join(f"{name}_temp_path {directory}/{name};" for name in ("client_body", "proxy", "uwsgi", "scgi"))
    file = directory / "nginx.conf"
    file.write_text(
        f"daemon off; user {USER}; worker_processes 2; pcre_jit on; worker_rlimit_nofile {DESCRIPTORS};\n"
        f"pid {directory}/pid; error_log {directory}/log;\nevents {{ worker_connections 16384; }}\n"
        f"http {{ include /etc/nginx/mime.types; access_log off; sendfile on; tcp_nopush on;\n"
        f"keepalive_requests 1000000; {temporary} fastcgi_temp_path {directory}/fastcgi; {http}\n"
        f"server {{ {server} }} }}\n"
    )
    return file


def big_page(stack: Stack) -> str:
    """The path of a post whose page has 128 KB."""
    code = """
        $post = get_page_by_path( 'a-page-of-128-kilobytes', OBJECT, 'post' );
        $id   = $post ? $post->ID : wp_insert_post( array( 'post_title' => 'A page of 128 kilobytes',
            'post_name' => 'a-page-of-128-kilobytes', 'post_status' => 'publish', 'post_author' => 1,
            'post_content' => $argv[1] ) );
        echo get_permalink( $id );
    """
    bare = len(stack.from_origin("/").body)
    words = " ".join(f"word{number * 7919 % 10007}" for number in range(20000))
    content = "\n\n".join(re.findall(r".{1,600}(?: |$)", words[: PAGE_BYTES - min(bare, 60000)]))
    return stack.php(code, content).removeprefix(stack.url)


VCL = """vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{port}"; }}
sub vcl_recv {{ unset req.http.Cookie; }}
sub vcl_backend_response {{ set beresp.ttl = 1h; set beresp.do_gzip = true; unset beresp.http.Set-Cookie; }}
"""


@contextmanager
def our_front(stack: Stack, directory: Path, port: int, links: str) -> Iterator[Tree]:
    """An nginx with what `staticify config nginx` prints, and the tree that it serves."""
    path = directory / "tree"
    path.mkdir(parents=True)
    config = directory / "staticify.toml"
    config.write_text(
        f'[tree]\npath = "{path}"\nlinks = "{links}"\n[state]\npath = "{directory}/state"\n[front]\n'
        f'listen = "127.0.0.1:{port}"\n[[site]]\nurl = "{stack.url}"\norigin = "{stack.origin}"\n'
    )
    site = front_of("nginx", directory / "front", config).recipe().replace("server_tokens off;", "")
    (directory / "site.conf").write_text(site)
    conf = nginx_conf(directory, "listen 127.0.0.1:1;", f"include {directory}/site.conf;")
    conf.write_text(conf.read_text().replace("server { listen 127.0.0.1:1; }", ""))
    is_mounted = links == "mount"
    if is_mounted:
        subprocess.run(["mount", "-o", "bind,nosymfollow", path, path], check=True)
    tree = Tree(path)
    try:
        tree.open()
        with process(["nginx", "-c", str(conf)], directory / "nginx.log", port):
            yield tree
    finally:
        tree.close()
        if is_mounted:
            subprocess.run(["umount", path], check=True)


@contextmanager
def contenders(stack: Stack, path: str, directory: Path) -> Iterator[tuple[list[Contender], Callable[[int], None]]]:
    """All of them, running, and how the page of the first is changed."""
    body = stack.from_origin(path).body
    mounted, ours, plain, varnish, cached = free_ports(5)
    page = Page("http", stack.netloc, path)
    with ExitStack() as running:
        trees = [
            running.enter_context(our_front(stack, directory / name, port, links))
            for name, port, links in (("mounted", mounted, "mount"), ("ours", ours, "never"))
        ]

        def publish(version: int) -> None:
            changed = body.replace(b"</body>", b"<!-- %08d --></body>" % version)
            for tree in trees:
                tree.publish(page.place, Kind.HTML, encode(changed, is_dense=version == 0))

        publish(0)
        for name in ("plain", "cached", "varnish"):
            (directory / name).mkdir()
        files = directory / "plain/root" / path.strip("/")
        files.mkdir(parents=True)
        for suffix, data in encode(body, is_dense=True).by_suffix:
            (files / f"index.html{suffix}").write_bytes(data)
        conf = nginx_conf(
            directory / "plain", f"listen 127.0.0.1:{plain}; root {directory}/plain/root; gzip_static on; gzip_vary on;"
        )
        running.enter_context(process(["nginx", "-c", str(conf)], directory / "plain.log", plain))

        wordpress = stack.directory / "wordpress"
        conf = nginx_conf(
            directory / "cached",
            f"listen 127.0.0.1:{cached}; root {wordpress}; index index.php; gzip on; gzip_types *;\n"
            "location / { try_files $uri $uri/ /index.php?$args; }\n"
            "location ~ \\.php$ { include /etc/nginx/fastcgi_params; fastcgi_param HTTP_HOST $http_host;\n"
            "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n"
            f"fastcgi_pass unix:{stack.directory}/run/php.sock; fastcgi_cache pages; fastcgi_cache_valid 200 1h;\n"
            'fastcgi_cache_key "$scheme$request_method$http_host$request_uri"; }',
            f"fastcgi_cache_path {directory}/cached/cache keys_zone=pages:10m;",
        )
        running.enter_context(process(["nginx", "-c", str(conf)], directory / "cached.log", cached))

        vcl = directory / "varnish/default.vcl"
        vcl.write_text(VCL.format(port=stack.origin_port))
        command = [
            "varnishd", "-F", "-f", str(vcl), "-n", str(directory / "varnish/work"), "-s", "malloc,256m",
            "-a", f"127.0.0.1:{varnish}", "-p", "thread_pool_max=5000",
        ]  # fmt: skip
        running.enter_context(process(command, directory / "varnish.log", varnish))
        yield (
            [
                Contender("staticify, nosymfollow", mounted), Contender("staticify's front", ours),
                Contender("nginx, static files", plain), Contender("Varnish", varnish),
                Contender("nginx, fastcgi_cache", cached), Contender("WordPress, no cache", stack.origin_port),
            ],
            publish,
        )  # fmt: skip


def wrk(contender: Contender, stack: Stack, path: str, connections: int, seconds: int, core: int | None) -> None:
    """One round against one, the visitors on a core of their own if one is named."""
    command = [
        *([] if core is None else ["taskset", "--cpu-list", str(core)]),
        "wrk", "--latency", "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
        "-H", f"Host: {stack.netloc}", "-H", "Accept-Encoding: gzip", f"http://127.0.0.1:{contender.port}{path}",
    ]  # fmt: skip
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    rate = re.search(r"Requests/sec:\s*([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    contender.rates.append(float(rate[1]) if rate else 0.0)
    contender.p99_ms.append(float(p99[1]) * units[p99[2]] if p99 else 0.0)
    contender.errors += re.findall(r"(?:Socket errors|Non-2xx).*", text)
    # What was asked of WordPress is worked off before anybody else has his turn; of 10,000 visitors that takes a while.
    wait_for("WordPress answers again", lambda: _is_answering(stack), 300)


def _is_answering(stack: Stack) -> bool:
    try:
        return stack.from_origin("/").status == 200
    except OSError:
        return False


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", type=Path, default=ROOT / "examples/launch-day/.run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", type=int, default=6, help="the first so many contenders")
    parser.add_argument("--apart", action="store_true", help="visitors cost the servers nothing: a core for each")
    options = parser.parse_args()
    # Who shares both cores with the visitors is measured together with what they cost, the same for everybody.
    server_core, *_, visitor_core = sorted(os.sched_getaffinity(0)) * 2
    if options.apart:
        os.sched_setaffinity(0, {server_core})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, DESCRIPTORS) if hard > 0 else DESCRIPTORS, hard))
    choices = dict(line.split("=", 1) for line in (options.stack / "stack.conf").read_text().splitlines())
    stack = Stack(options.stack.resolve(), int(choices["FRONT_PORT"]), int(choices["ORIGIN_PORT"]))
    path = big_page(stack)
    directory = Path(tempfile.mkdtemp(prefix="staticify-fronts-", dir="/var/tmp"))
    directory.chmod(0o755)
    try:
        with contenders(stack, path, directory) as (all_of_them, publish):
            chosen = all_of_them[: options.only]
            is_over = threading.Event()

            def change() -> None:
                version = 0
                while not is_over.wait(1):
                    version += 1
                    publish(version)

            changing = threading.Thread(target=change)
            started = time.monotonic()
            if options.connections > 1000:
                changing.start()
            try:
                for _ in range(options.rounds):
                    for contender in chosen:
                        core = visitor_core if options.apart else None
                        wrk(contender, stack, path, options.connections, options.seconds, core)
            finally:
                is_over.set()
                if changing.is_alive():
                    changing.join()
            size = len(stack.from_origin(path).body)
    finally:
        shutil.rmtree(directory)
    print(f"{size / 1024:.0f} KB page, gzip, {options.connections} connections, {options.rounds} interleaved rounds of "
          f"{options.seconds} s, {time.monotonic() - started:.0f} s in all"
          + (", servers and visitors on a core each" if options.apart else ""))  # fmt: skip
    print(f"{'':22}{'requests/s':>12}{'p99 ms':>9}{'first / this':>13}  errors")
    for contender in chosen:
        rate = statistics.median(contender.rates)
        ratio = statistics.median(
            one / other for one, other in zip(chosen[0].rates, contender.rates, strict=True) if other
        )
        errors = "; ".join(contender.errors) or "none"
        print(f"{contender.name:22}{rate:12.0f}{statistics.median(contender.p99_ms):9.1f}{ratio:13.2f}  {errors}")


if __name__ == "__main__":
    main()
