"""The drill of a canary in real processes: it fails, the rules turn it back, and one alert says so."""

import json
import subprocess
import sys

import pytest

from queue_pipeline.domain.canary import CanaryPlan
from queue_pipeline.engine import canary, flags
from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command
from queue_pipeline_tests.cli.test_drill import rows

WHO = {"who": "olga", "why": "try it"}


@pytest.mark.faults
@pytest.mark.usefixtures("environment")
def test_a_canary_that_fails_is_turned_back_by_itself_and_told_once(run: Command, db: Database) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "queue_pipeline", "drill", "canary", "--json"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout)
    assert (report["state"], report["rule"]) == ("ROLLED_BACK", "failure_rate")
    assert report["alerts"] == ["canary 1 was rolled back by rule failure_rate"]
    assert "Its warm-up is over" in process.stderr
    assert "attempts failed, certainly more than" in process.stderr
    assert "queue-pipeline canary status --canary 1" in process.stderr

    status = run("canary", "status", "--canary", "1", "--json")
    assert (status.code, status.data["verdict"]["verdict"]) == (1, "FAIL")
    (rollback,) = [each for each in status.data["rollbacks"] if each["mode"] == "enforce"]
    assert rollback["acknowledged_by"] == "drill: it was a drill"
    assert rows(db, "SELECT kind, generation FROM alert_incident WHERE kind = 'rollback'") == [("rollback", 1)]
    assert rows(db, "SELECT 1 FROM job UNION ALL SELECT 1 FROM workspace_lane") == [], "nothing is left to do"
    assert rows(db, "SELECT 1 FROM function_run WHERE state = 'RUNNING'") == []
    assert rows(db, "SELECT value FROM control_flag WHERE value IS NOT NULL") == []
    assert run("canary", "undo", "--why", "try it").code == 0


def test_the_drill_does_not_touch_a_canary_that_is_under_way(run: Command, db: Database) -> None:
    canary.start(db, CanaryPlan({"drafts.auto_send": "on"}, 10.0), **WHO)
    refused = run("drill", "canary")
    assert refused.code == 3
    assert "Another canary is under way" in refused.err
    assert rows(db, "SELECT state FROM canary") == [("WARMING",)]
    assert rows(db, "SELECT 1 FROM workspace_lane") == []


def test_the_drill_says_why_it_would_show_nothing(run: Command, db: Database) -> None:
    flags.flip(db, "rollback.mode", "observe", **WHO)
    refused = run("drill", "canary")
    assert refused.code == 3
    assert "Nothing would be turned back; set it to enforce for the drill" in refused.err
    assert rows(db, "SELECT 1 FROM canary") == []
