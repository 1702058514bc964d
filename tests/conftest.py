"""What holds for all tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from real.helpers import Stack, brought_up, reason_to_skip

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


@pytest.fixture(autouse=True)
def _own_memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """Who measures seconds measures no search for garbage in what five thousand tests consist of: 0.13 s at a time."""
    is_measuring = request.node.get_closest_marker("alone") is not None
    if is_measuring:
        gc.freeze()
    yield
    if is_measuring:
        gc.unfreeze()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The WordPress of most tests: 40 posts, twentytwentyone. Who stands on it is marked `real`."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    with brought_up("--posts", "40") as stack:
        yield stack
