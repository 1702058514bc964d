"""What holds for all tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--alone",
        choices=("only", "never"),
        help="run only the tests that measure seconds, which must have the machine to themselves; or only the others",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--alone")
    if wanted:
        others = [item for item in items if (item.get_closest_marker("alone") is not None) != (wanted == "only")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
