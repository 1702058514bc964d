"""The command that runs all tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_its_help_installs_nothing(tmp_path: Path, option: str) -> None:
    # Alone, where it can find nothing that it would install or run.
    (tmp_path / "tests").mkdir()
    script = shutil.copy(Path(__file__).with_name("run"), tmp_path / "tests")
    done = subprocess.run([script, option], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tests/run [ARGUMENT...]\n")
    assert [path.name for path in tmp_path.rglob("*")] == ["tests", "run"]
