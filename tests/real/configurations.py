"""Random staticify.toml files, hostile strings among them: each is refused, or every server takes what is made of it.

    python tests/real/configurations.py --count 1000 --seed 1     prints a table, exit status 1 if one was wrong

Nothing listens: the servers only check. That no value can become a directive is looked at too: each line of what is
printed must begin with a word that a line of the templates begins with.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import staticify
from real.fronts import Front, front_of
from staticify import config as configuration
from staticify.config import Config
from staticify.errors import ConfigError
from staticify.nouns import Kind
from staticify.recipes import RECIPES, parts_of, recipe

TEMPLATES = Path(staticify.__file__).parent / "templates"
HOSTILE = (
    "; return 200 pwned;", '"; load_module /tmp/x.so; "', "}\nserver { listen 81; }\n", "$host", "${HOME}", "%{ENV:X}",
    "{env.HOME}", "{$HOME}", "`id`", "$(id)", "\\", '"', "'", "#", "\t", "\r\nLoadModule x", "a\0b", "a\u2028b", "«»",
    "日本語", "a b", "../..", "%n", "%%", "<If true>", "</VirtualHost>", "import /etc/passwd", "{{ 7*7 }}",
    "<< tree >>",
    "<% include 'x' %>", "*", "?", "[a]", "a,b", "!a", "-a", "=", "a=b", "::", "x" * 300, "", " ", "~", "@x", "a|b",
    "^$",
)  # fmt: skip
Random = random.Random
Table = dict[str, Any]


def _text(chance: Random, good: Iterable[str]) -> str:
    """A good value, mostly; else one with something hostile in it."""
    value = chance.choice(list(good))
    if chance.random() < 0.06:
        hostile = chance.choice(HOSTILE)
        return chance.choice([hostile, value + hostile, hostile + value, value[:3] + hostile + value[3:]])
    return value


def _list(chance: Random, good: Iterable[str], most: int = 3) -> list[str]:
    return [_text(chance, good) for _ in range(chance.randint(0, most))]


# Of this machine: nginx tries to bind them when it checks.
ADDRESSES = ("127.0.0.1:80", "[::1]:8080", "0.0.0.0:8443", "[::]:80", "127.0.0.5:81")
ORIGINS = ("http://127.0.0.1:8080", "http://[::1]:8081", "http://10.0.0.7", "http://localhost:81", "unix:/run/wp.sock")
HOSTS = ("example.org", "www.example.org", "a.b.example.com", "127.0.0.1", "[2001:db8::2]", "bücher.example", "x_y.org")
WORDS = ("campaign", "ref", "mc_*", "a-b", "Z9", "session_*")


def random_table(chance: Random) -> Table:
    """A configuration as data."""
    front: Table = {}
    settings: Mapping[str, Callable[[], Any]] = {
        "listen": lambda: _list(chance, ADDRESSES),
        "hsts": lambda: _text(chance, ["", "max-age=31536000", "max-age=1; includeSubDomains"]),
        "proxy_protocol_from": lambda: _list(chance, ["127.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"]),
        "cache_control": lambda: _text(chance, ["max-age=0, must-revalidate", "max-age=30", "no-cache"]),
        "cdn_cache_control": lambda: _text(chance, ["", "max-age=60"]),
        "served_by": lambda: _text(chance, ["web1", "vm-2.example"]),
        "tracking": lambda: _list(chance, WORDS),
        "query_variables": lambda: _list(chance, WORDS),
        "bypass_cookies": lambda: _list(chance, WORDS),
        "not_found": lambda: chance.random() < 0.5,
        "timeout": lambda: _text(chance, ["30s", "1s", "2m"]),
    }
    for key, value in settings.items():
        if chance.random() < 0.5:
            front[key] = value()
    front["edges"] = _list(chance, ADDRESSES[:2]) or ["192.0.2.11:80"]
    sites = [_site(chance) for _ in range(chance.randint(1, 3))]
    tree = _text(chance, ["/var/cache/staticify/tree", "/srv/tree", "/srv/a-b_c.d+e@f"])
    return {"tree": {"path": tree}, "state": {"path": "/var/lib/staticify"}, "front": front, "site": sites}


def _site(chance: Random) -> Table:
    port = chance.choice(["", "", ":8080"])
    site: Table = {"url": f"http://{_text(chance, HOSTS)}{port}{chance.choice(['/', '/', '/blog/'])}"}
    site["origin"] = _list(chance, ORIGINS, 2) or [ORIGINS[0]]
    if chance.random() < 0.4:
        site["backend"] = [
            {
                "address": _text(chance, ORIGINS),
                "name": _text(chance, ["pi1", "vm-2"]),
                "weight": chance.randint(0, 100),
            }
            for _ in range(chance.randint(1, 4))
        ]
    return site


def toml_of(table: Table) -> str:
    """The configuration as a file's text."""
    lines: list[str] = []

    def write(header: str, values: Table) -> None:
        inner = {key: value for key, value in values.items() if isinstance(value, list) and key in {"site", "backend"}}
        lines.append(header)
        lines.extend(f"{key} = {_value(value)}" for key, value in values.items() if key not in inner)
        for key, tables in inner.items():
            for one in tables:
                write(f"[[{header.strip('[]')}.{key}]]", one)

    for key in ("tree", "state", "front"):
        write(f"[{key}]", table[key])
    for site in table["site"]:
        write("[[site]]", site)
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    # JSON's texts are TOML's, but for this one character.
    return json.dumps(value).replace("\x7f", "\\u007f")


# --- Looking at what comes of it -------------------------------------------------------------------------------------


@cache
def first_words() -> frozenset[str]:
    """What a line of a template may begin with."""
    texts = [re.sub(r"<%.*?%>", "\n", path.read_text(), flags=re.DOTALL) for path in TEMPLATES.glob("*.j2")]
    # What a template names after each kind of page.
    texts.append("\n".join(f"@{kind}" for kind in Kind))
    return frozenset(_first_word(line) for text in texts for line in text.splitlines())


def _first_word(line: str) -> str:
    found = re.match(r"@?[^\s;{(<=@]*", line.strip().lstrip("<"))
    return found[0] if found else ""


def strange_lines(text: str) -> list[str]:
    """Lines that begin with no word of the templates', values apart that stand on lines of their own."""
    known = first_words()
    found = [line for line in text.splitlines() if line.strip() and not line.strip().startswith(("#", "--", '"'))]
    return [line for line in found if _first_word(line) not in known and not _is_value(line)]


def _is_value(line: str) -> bool:
    """A site's address in a Caddyfile, and the snippets that are named after it."""
    snippet = r"\((?:instead|wordpress|machines)_[a-z0-9_]+\)"
    return re.fullmatch(rf"\s*(?:https?://[a-z0-9._:\[\]-]*|{snippet}) \{{", line) is not None


CHECKED = ("nginx", "apache", "caddy")


def check(config: Config, path: Path, directory: Path, kinds: Iterable[str]) -> list[str]:
    """What is wrong with the recipes of a configuration."""
    faults = []
    for kind in kinds:
        for part in parts_of(kind):
            faults += [f"{kind} {part}: strange line {line!r}" for line in strange_lines(recipe(kind, config, part))]
        said = _verdict(kind, path, directory / kind)
        faults += [f"{kind}: {said}"] if said else []
    return faults


def _verdict(kind: str, config: Path, directory: Path) -> str:
    """What the program says against its configuration."""
    if kind == "haproxy":
        directory.mkdir(exist_ok=True)
        file = directory / "haproxy.cfg"
        file.write_text(recipe(kind, configuration.load(config)))
        done = subprocess.run(["haproxy", "-c", "-f", file], capture_output=True, text=True, check=False, timeout=60)
    else:
        front: Front = front_of(kind, directory, config)
        done = front.check()
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-800:]


def _is_taken(kind: str, config: Config) -> bool:
    try:
        recipe(kind, config)
    except ConfigError:
        return False
    return True


def run(count: int, seed: int, kinds: Iterable[str] = (*CHECKED, "haproxy")) -> tuple[Counter[str], list[str]]:
    """Make so many, and look at each. What became of them, and what was wrong."""
    chance, tally, faults = Random(seed), Counter[str](), []
    with tempfile.TemporaryDirectory(prefix="staticify-configurations-", dir="/var/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        path = directory / "staticify.toml"
        for number in range(count):
            path.write_text(toml_of(random_table(chance)), encoding="utf-8")
            try:
                config = configuration.load(path)
            except ConfigError:
                tally["refused by check"] += 1
                continue
            taken = [kind for kind in RECIPES if _is_taken(kind, config)]
            if not taken:
                tally["refused by config"] += 1
                continue
            tally["taken"] += 1
            faults += [f"{number}: {fault}" for fault in check(config, path, directory, {*kinds} & {*taken})]
    return tally, faults


def main() -> int:
    """The long run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tally, faults = run(options.count, options.seed)
    print(f"{options.count} configurations, seed {options.seed}: {dict(tally)}")
    for fault in faults[:20]:
        print(fault)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
