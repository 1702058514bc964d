"""Imports point down only, as the design says, and no module holds state of its own."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import staticify

PACKAGE = Path(staticify.__file__).parent

CORE = {
    "errors", "nouns", "guard", "urls", "rules", "noise", "gate", "content", "strip", "html", "encode", "prepare",
    "looks", "holds", "losses", "doubts", "addresses", "brief", "canary", "cuts", "wire",
    "signature", "tags", "changes", "proxy_protocol", "queries",
}  # fmt: skip
CONFIGURATION = ("toml_lines", "faults", "units", "address", "credentials", "checks", "config")
THE_TREE = ("filesystem", "holding", "tree")
GROUPS = (CONFIGURATION, THE_TREE)
"""Of modules about one outside thing each may import those before it."""
EDGES = {
    *CONFIGURATION, *THE_TREE, "origin", "discover", "store", "schedule", "systemd", "logs", "spool", "watch",
    "webhook", "workers", "unit", "parser", "carrier",
}  # fmt: skip
MIDDLE = {
    "brake", "render", "queue", "timetable", "listing", "keeper", "verify", "oneshot", "propose", "overview",
    "follower", "orders", "telling",
}  # fmt: skip
TOP = {"daemon", "hearing", "report", "cli", "init", "recipes", "audit"}
LAYERS = (CORE, EDGES, MIDDLE, TOP)

MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text())


def imports_of(module: str) -> set[str]:
    """The package's modules that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{module} imports relatively"
            if node.module == "staticify":
                found.update(alias.name for alias in node.names if alias.name in MODULES)
            elif node.module.startswith("staticify."):
                found.add(node.module.removeprefix("staticify."))
        elif isinstance(node, ast.Import):
            found.update(
                alias.name.removeprefix("staticify.") for alias in node.names if alias.name.startswith("staticify.")
            )
    return found


def test_every_module_has_a_layer() -> None:
    assert sorted(set().union(*LAYERS)) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    level = next(index for index, layer in enumerate(LAYERS) if module in layer)
    group = next((group for group in GROUPS if module in group), ())
    if group == CONFIGURATION:
        allowed = CORE | set(group[: group.index(module)])
    elif module in EDGES:
        # Edges know no other edge; the types of a configuration are values, and the carrier is a library's import.
        before = group[: group.index(module)] if group else ()
        allowed = CORE | {"config", "address", "carrier"} | set(before)
    else:
        allowed = set().union(*LAYERS[: level + 1])
    assert imports_of(module) - allowed == set()


def test_no_two_modules_import_each_other() -> None:
    below = {module: imports_of(module) for module in MODULES}
    while leaves := {module for module, imported in below.items() if not imported & below.keys()}:
        for module in leaves:
            del below[module]
    assert below == {}, "a circle of imports"


@pytest.mark.parametrize("module", sorted(CORE))
def test_the_core_does_no_io_and_asks_no_clock(module: str) -> None:
    names: set[str] = set()
    for node in ast.walk(parsed(module)):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await)
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    forbidden = {
        "aiofiles", "aiohttp", "asyncio", "datetime", "httpx", "logging", "os", "pathlib", "random", "secrets",
        "socket", "sqlite3", "subprocess", "threading", "time",
    }  # fmt: skip
    assert names & forbidden == set()


@pytest.mark.parametrize("module", MODULES)
def test_no_mutable_globals(module: str) -> None:
    for node in ast.walk(parsed(module)):
        assert not isinstance(node, ast.Global), f"{module} changes a global"
    for node in parsed(module).body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if value else []  # type: ignore[attr-defined]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        is_mutable = isinstance(value, ast.List | ast.Set | ast.ListComp | ast.SetComp) or (
            # Tables of constants are dictionaries; they are named like constants and nothing assigns to them.
            isinstance(value, ast.Dict | ast.DictComp) and not all(name.isupper() for name in names)
        )
        assert not is_mutable, f"{module}.{names}"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_assigns_to_a_constant_table(module: str) -> None:
    for node in ast.walk(parsed(module)):
        targets = (
            node.targets
            if isinstance(node, ast.Assign | ast.Delete)
            else [node.target]
            if isinstance(node, ast.AugAssign)
            else []
        )
        for target in targets:
            if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                assert not target.value.id.isupper(), f"{module} changes {target.value.id}"
