"""What holds for all tests."""

from __future__ import annotations

import pytest

LONGEST = ("test_journal.py", "test_plugin.py", "test_wordpress.py")
"""Files that take a minute and more: begun last, one of them would have a process to itself, and the others idle."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--alone",
        choices=("only", "never"),
        help="run only the tests that measure seconds, which must have the machine to themselves; or only the others",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--alone")
    if wanted:
        others = [item for item in items if (item.get_closest_marker("alone") is not None) != (wanted == "only")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
    # After pytest-randomly, whose order stays within each of the two.
    items.sort(key=lambda item: item.path.name not in LONGEST)
