"""`simulate` needs no database, writes its chart and report, and gates on the bounds that it is given."""

import json
from pathlib import Path

import pytest

from queue_pipeline_tests.cli.conftest import Command

QUICK = ("simulate", "--workspaces", 200, "--minutes", 5, "--workers", 16)


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_PIPELINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")


def test_a_simulation_shows_every_order_and_the_capacity(run: Command) -> None:
    ran = run(*QUICK, "--scenario", "burst")
    assert ran.code == 0
    for word in ("fair", "fifo", "interleaved", "burster", "Workers", "Jain's index"):
        assert word in ran.out


def test_all_scenarios_leave_a_chart_and_a_report_each(run: Command, tmp_path: Path) -> None:
    out = tmp_path / "reports"
    ran = run(*QUICK, "--scenario", "all", "--out", out, "--json")
    assert ran.code == 0
    names = [each["plan"]["scenario"] for each in ran.data["simulations"]]
    assert len(names) == 6
    for name, document in zip(names, ran.data["simulations"], strict=True):
        assert json.loads((out / f"{name}.json").read_text()) == document
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_bound_that_is_broken_gives_exit_code_1_and_its_sentence(run: Command) -> None:
    ran = run(*QUICK, "--scenario", "burst", "--capacity", "observe", "--jain-min", "1", "--json")
    assert ran.code == 1
    assert "Jain's index" in ran.data["broken"][0]
    assert run(*QUICK, "--jain-min", "0.01", "--starvation-max", "100000").code == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--scenario", "flood"], "--scenario"),
        (["--workspaces", "3"], "workspaces"),
        (["--hours", "1", "--minutes", "5"], "--hours"),
        (["--hours", "nan"], "--hours"),
        (["--hours", "0.01"], "minutes"),
        (["--workers", "1"], "workers"),
        (["--jain-min", "2"], "--jain-min"),
        (["--out", "/dev/null/here"], "--out"),
    ],
)
def test_wrong_usage_exits_with_3_and_names_what_is_wrong(run: Command, arguments: list[str], named: str) -> None:
    ran = run("simulate", *arguments)
    assert ran.code == 3
    assert named in ran.err
