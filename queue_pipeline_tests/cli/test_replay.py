"""`replay` as an operator runs it: exit codes, files, and no database where none is needed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from queue_pipeline.engine.replay_record import ReplayRecord
from queue_pipeline.leads.replay.artifact import Artifact
from queue_pipeline.leads.replay.published_schema import published
from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command
from queue_pipeline_tests.leads.conftest import Desk, desk
from queue_pipeline_tests.leads.model_server import ModelServer, fails, hangs
from queue_pipeline_tests.leads.replay.stage import LABELLED, labelled, plays

__all__ = ["desk"]
PROJECT = Path(__file__).parents[2]
CLEAN = [case.case_id for case in labelled().cases if case.expected.verdict == "pass"]

#: As the test session made it: no setting of this machine.
_ENVIRONMENT = {"QUEUE_PIPELINE_ENV_FILE": "/dev/null", "PATH": "/usr/bin:/bin"}

Process = Callable[..., tuple[int, dict[str, Any] | None, str]]


def manifest_of(place: Path, *names: str, **changes: Any) -> Path:
    """A manifest file of some of the labelled cases."""
    content = json.loads(LABELLED.read_text(encoding="utf-8"))
    cases = [case for case in content["cases"] if case["case_id"] in names]
    path = place / "manifest.json"
    path.write_text(json.dumps({**content, "cases": cases, "tiers": {}, **changes}), encoding="utf-8")
    return path


@pytest.fixture
def process(tmp_path: Path) -> Process:
    """`queue-pipeline replay` in a process of its own, without any database."""

    def run(*arguments: object, **environment: str) -> tuple[int, dict[str, Any] | None, str]:
        out = tmp_path / "out.json"
        code = "from queue_pipeline.__main__ import main; main()"
        ended = subprocess.run(
            [sys.executable, "-c", code, "replay", *map(str, arguments), "--out", str(out)],
            cwd=PROJECT, capture_output=True, text=True, timeout=120,
            env={**_ENVIRONMENT, "QUEUE_PIPELINE_HOME": str(tmp_path / "home"), **environment},
        )  # fmt: skip
        assert "Traceback" not in ended.stderr
        return ended.returncode, json.loads(out.read_text()) if out.exists() else None, ended.stderr

    return run


@pytest.mark.parametrize(
    ("names", "code", "verdict"),
    [(CLEAN[:3], 0, "pass"), ([*CLEAN[:2], "slot-hour-shifted"], 1, "fail"), ([], 2, "unmeasured")],
)
def test_the_exit_code_is_the_verdict(
    process: Process, tmp_path: Path, names: list[str], code: int, verdict: str
) -> None:
    ended, artifact, said = process("--thread-ids-file", manifest_of(tmp_path, *names))
    assert artifact is not None
    assert (ended, artifact["exitCode"], artifact["verdict"]) == (code, code, verdict)
    assert "not recorded in the database" in said
    assert Artifact.model_validate(artifact).as_json() == artifact


@pytest.mark.parametrize("fault", ["slow", "401", "dies midway", "not there"])
def test_an_endpoint_in_trouble_is_2_and_nothing_passed(process: Process, tmp_path: Path, fault: str) -> None:
    bad = {"slow": hangs, "401": fails(401), "dies midway": fails(500), "not there": fails(500)}[fault]
    server = ModelServer(plays(draft=bad, judge=bad, spare=14 if fault == "dies midway" else 0))
    try:
        if fault == "not there":
            server.close()
        manifest = manifest_of(tmp_path, "clean-price-deferred", "clean-linkedin", strategy="generate")
        ended, artifact, _ = process(
            "--thread-ids-file", manifest, "--concurrency", 2, OPENAI_BASE_URL=server.url, QUEUE_PIPELINE_MODEL="small",
            OPENAI_API_KEY="key-of-nobody", QUEUE_PIPELINE_DRAFT_TIMEOUT_SECONDS="1",
        )  # fmt: skip
    finally:
        server.close()
    assert artifact is not None
    assert (ended, artifact["verdict"], artifact["summary"]["passed"]) == (2, "unmeasured", 0)
    assert not [case for case in artifact["cases"] if case["verdict"] == "pass"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--thread-ids-file"),
        (["--thread-ids-file", "sample", "--client-id", "acme"], "either"),
        (["--thread-ids-file", "no-such-file.json"], "no-such-file.json"),
        (["--thread-ids-file", "sample", "--resume"], "--out"),
        (["--thread-ids-file", "sample", "--baseline", "no-such.json"], "no-such.json"),
        (["--thread-ids-file", "sample", "--baseline", "x", "--dry-run"], "--dry-run"),
        (["--thread-ids-file", "sample", "--judge-profile", "kind"], "kind"),
        (["--thread-ids-file", "sample", "--concurrency", "0"], "--concurrency"),
        (["--thread-ids-file", "sample", "--timeout", "0"], "--timeout"),
        (["--client-id", "acme", "--limit", "0"], "--limit"),
        (["freeze"], "--client-id"),
        (["schema", "nothing"], "nothing"),
    ],
)
def test_wrong_usage_is_3_and_names_what_is_wrong(run: Command, arguments: list[str], named: str) -> None:
    ran = run("replay", *arguments)
    assert ran.code == 3
    assert named in ran.err
    assert "Traceback" not in ran.err


def test_a_place_that_cannot_be_written_is_3(run: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = run("replay", "--thread-ids-file", "sample", "--out", tmp_path / "file" / "a.json")
    assert (ran.code, "--out" in ran.err) == (3, True)


def test_a_finished_replay_is_recorded_once_and_can_be_loaded(run: Command, db: Database, tmp_path: Path) -> None:
    ran = run("replay", "--thread-ids-file", "sample", "--json", "--out", tmp_path / "a.json")
    assert ran.code == 0
    record = ReplayRecord(db)
    (row,) = record.runs()
    assert (row.verdict, row.exit_code, row.manifest_id) == ("pass", 0, "queue-pipeline-sample-1")
    assert row.summary["passed"] == ran.data["summary"]["count"]
    assert record.load(row.run_id) == ran.data == record.last_pass("queue-pipeline-sample-1")
    record.save(ran.data, who="again")
    assert len(record.runs()) == 1
    assert run("replay", "--thread-ids-file", "sample", "--dry-run").code == 0
    assert len(record.runs()) == 1, "a dry run proves nothing and leaves no row"
    again = run("replay", "--thread-ids-file", "sample", "--baseline", tmp_path / "a.json", "--json")
    assert (again.code, again.data["baselineDiff"]["regressed"]) == (0, [])
    assert len(list((tmp_path / "home" / ".artifacts" / "replay").glob("run-*.json"))) == 2


def test_the_latest_leads_of_a_workspace_are_replayed_and_frozen_without_their_people(
    run: Command, desk: Desk, tmp_path: Path
) -> None:
    jobs = [
        desk.handle("What does it cost? My name is Ada Okafor.", thread_id="thread-1"),
        desk.handle("When can we meet?", offered_slots=[{"start": "2031-03-04T10:00:00+01:00"}]),
        desk.handle("Please remove me from your list."),
    ]
    ran = run("replay", "--client-id", "acme", "--json")
    assert (ran.code, ran.data["summary"]["count"]) == (0, 3), ran.err
    assert "Ada" not in ran.out, "a hash may hold the letters, in lower case"
    assert "okafor" not in ran.out.lower()
    assert [case["decidedAction"] for case in ran.data["cases"]] == ["draft", "draft", "skip"]
    frozen = tmp_path / "frozen.json"
    assert run("replay", "freeze", "--client-id", "acme", "--out", frozen, "--json").data["cases"] == 3
    text = frozen.read_text(encoding="utf-8")
    assert "okafor" not in text.lower()
    assert "ada@" not in text.lower()
    assert run("replay", "--thread-ids-file", frozen).code == 0
    assert run("replay", "--thread-ids-file", frozen, "--dry-run").code == 0
    ids = tmp_path / "ids.json"
    ids.write_text(json.dumps({"threadIds": ["thread-1", f"job-{jobs[1]}:email"], "criticalCore3": [str(jobs[2])]}))
    by_id = run("replay", "--thread-ids-file", ids, "--json")
    assert (by_id.code, [case["caseId"] for case in by_id.data["cases"]]) == (
        0,
        ["thread-1", f"job-{jobs[1]}:email", str(jobs[2])],
    )
    ids.write_text(json.dumps(["thread-1:sms", "thread-1"]))
    wrong = run("replay", "--thread-ids-file", ids, "--json")
    assert (wrong.code, wrong.data["selection"]["missing"]) == (2, ["thread-1:sms"])
    assert run("replay", "--client-id", "nobody").code == 2


def test_without_a_database_ids_cannot_be_measured_and_a_workspace_cannot_be_asked(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QUEUE_PIPELINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    ids = tmp_path / "ids.json"
    ids.write_text('["thread-1"]')
    ran = run("replay", "--thread-ids-file", ids, "--json")
    assert (ran.code, ran.data["cases"][0]["failureType"]) == (2, "selection_error")
    assert "could not be looked up" in ran.err
    assert run("replay", "--client-id", "acme").code == 2
    assert run("replay", "--thread-ids-file", "sample").code == 0


def test_schemas_are_printed(run: Command) -> None:
    assert run("replay", "schema").out == published("manifest")
    assert run("replay", "schema", "artifact").out == published("artifact")
