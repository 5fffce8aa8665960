"""The tests rely on a tool that may ignore what they ask of it."""

import subprocess
import sys
from pathlib import Path

TESTS = """
import os
from pathlib import Path
import pytest

@pytest.mark.parametrize("name", ["together"] * 20)
@pytest.mark.xdist_group("together")
def test_of_a_group(name):
    with Path("workers").open("a") as workers:
        workers.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")

@pytest.mark.parametrize("number", range(20))
def test_alone(number):
    pass
"""


def test_a_group_of_tests_stays_on_one_worker(tmp_path: Path) -> None:
    """Where pytest-xdist does not know how this pytest names tests it ignores groups, and says nothing."""
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    words = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider"]
    ran = subprocess.run(words, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout
    workers = (tmp_path / "workers").read_text().split()
    assert (len(workers), len(set(workers))) == (20, 1)
