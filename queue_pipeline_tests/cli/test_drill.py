"""The drill in real processes: what it stages is recovered, and the trace of a lead that waited explains it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command


def rows(db: Database, sql: str) -> Sequence[Any]:
    with db.begin() as tx:
        return tx.execute(sa.text(sql)).fetchall()


@pytest.mark.faults
@pytest.mark.usefixtures("environment")
def test_the_drill_recovers_what_it_stages_and_the_traces_of_its_leads_explain_it(run: Command, db: Database) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "queue_pipeline", "drill", "--json"], capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout)
    assert report["completed_once"] == report["jobs"] == 25
    assert set(report["seconds_to_recover"]) == {"hang", "kill", "age", "freeze"}
    assert report["explained"] is True
    assert "Recovered by" in process.stderr
    assert "is drained by function run" in process.stderr, "what dispatch answered while the leads waited"

    answered, skipped = report["leads"]
    assert (answered["outcome"] != "skipped", skipped["outcome"], skipped["notified"]) == (True, "skipped", True)
    assert "skipped on purpose" in skipped["customer"]
    for lead in report["leads"]:
        (story,) = run("trace", lead["job_id"], "--json").data
        gap = story["longest_gap"]
        assert gap["cause"] == lead["longest_gap_cause"] == "hung_function_run"
        assert "(drill.freeze) in step 'look up free times', last seen at" in gap["because"]
        assert "signal lease_expired" in gap["because"]
        assert "waiting for the calendar's answer" in gap["because_said"]
        told = [event["what"] for event in story["events"]]
        assert told.index("recovered") < told.index("claimed") < told.index("outcome") < told.index("notified")
    shown = run("trace", answered["job_id"]).out
    assert "Longest gap:" in shown
    assert "Customer: the customer" in shown

    evidence = rows(db, "SELECT kind, state, count(*) FROM job GROUP BY kind, state ORDER BY kind")
    assert evidence == [("drill.freeze", "SUCCEEDED", 1), ("lead.inbound", "SUCCEEDED", 2)]
    assert rows(db, "SELECT 1 FROM draft WHERE state = 'FOR_REVIEW'") == []
    assert rows(db, "SELECT 1 FROM lead_task WHERE state = 'OPEN'") == []
    assert rows(db, "SELECT 1 FROM outbound_message WHERE provider <> 'outbox'") == []
    assert rows(db, "SELECT 1 FROM function_run WHERE state = 'RUNNING'") == []
