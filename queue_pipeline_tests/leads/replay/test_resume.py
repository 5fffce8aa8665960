"""A replay that is killed goes on where it was, and comes to the same artifact."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from queue_pipeline import InvalidInput
from queue_pipeline.leads.replay import files
from queue_pipeline.leads.replay.failure import JudgeFailed
from queue_pipeline_tests.leads.replay.stage import LABELLED, ScriptedJudge, bench, only, opinion, play

PROJECT = Path(__file__).parents[3]
#: A replay in a process that is gone after its twentieth case, as with a power cut.
KILLED = """
import os, signal, sys
from queue_pipeline.leads.replay.journal import Journal
add = Journal.add
count = 0
def die(journal, case):
    global count
    add(journal, case)
    count += 1
    if count == 20:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.add = die
sys.argv = ["queue-pipeline", "replay", *{arguments!r}]
from queue_pipeline.__main__ import main
main()
"""
CASES = ("clean-price-deferred", "clean-linkedin", "slot-hour-shifted")


def comparable(path: Path) -> dict[str, Any]:
    """An artifact without what tells one start from another."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name in ("runId", "createdAt"):
        del content[name]
    for case in content["cases"]:
        del case["seconds"]
    return content


@pytest.mark.faults
def test_a_killed_replay_resumes_to_the_same_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_PIPELINE_HOME", str(tmp_path / "home"))
    killed, whole = tmp_path / "killed.json", tmp_path / "whole.json"

    def run(code: str) -> int:
        return subprocess.run([sys.executable, "-c", code], cwd=PROJECT, timeout=120, capture_output=True).returncode

    def command(*arguments: str) -> str:
        return f"import sys; sys.argv = ['queue-pipeline', 'replay', *{arguments!r}]; from queue_pipeline.__main__ import main; main()"

    manifest = ["--thread-ids-file", str(LABELLED)]
    assert run(KILLED.format(arguments=[*manifest, "--out", str(killed)])) == -signal.SIGKILL
    assert not killed.exists()
    journal = files.journal_path(killed)
    lines = journal.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 21
    with journal.open("a", encoding="utf-8") as file:
        file.write('{"caseId": "torn in the mid')
    assert run(command(*manifest, "--out", str(killed), "--resume")) == 1
    assert run(command(*manifest, "--out", str(whole))) == 1
    assert comparable(killed) == comparable(whole)
    assert json.loads(killed.read_text())["runId"] == json.loads(lines[0])["runId"]
    assert files.report_path(killed).exists()
    assert len(journal.read_text(encoding="utf-8").splitlines()) == 61


def test_cases_that_were_measured_are_not_judged_again_and_the_others_are(tmp_path: Path) -> None:
    def say(reply: Any) -> Any:
        return JudgeFailed("x") if reply.case.case_id == "clean-linkedin" else opinion()

    first = play(only(*CASES), tmp_path, on=bench(judge=ScriptedJudge(say)))
    assert (first.exit_code, first.summary.passed) == (2, 0)
    judge = ScriptedJudge(lambda _: opinion())
    second = play(only(*CASES), tmp_path, on=bench(judge=judge), resume=True)
    assert [reply.case.case_id for reply in judge.asked] == ["clean-linkedin"]
    assert {case.case_id: case.verdict for case in second.cases} == {
        "clean-price-deferred": "pass", "clean-linkedin": "pass", "slot-hour-shifted": "fail",
    }  # fmt: skip
    assert second.run_id == first.run_id


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"selection": only("clean-linkedin")}, "another manifest"),
        ({"judge_profile": "lenient"}, "another configuration"),
        ({"on": bench(judge=ScriptedJudge(lambda _: opinion()))}, "another configuration"),
        ({"dry_run": True}, "another configuration"),
    ],
)
def test_another_manifest_or_configuration_is_not_resumed(change: dict[str, Any], named: str, tmp_path: Path) -> None:
    play(only(*CASES), tmp_path)
    given = {"selection": only(*CASES), **change}
    with pytest.raises(InvalidInput, match=named):
        play(given.pop("selection"), tmp_path, resume=True, **given)


def test_a_file_that_is_no_journal_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "run.json.cases.jsonl").write_text("hello\n")
    with pytest.raises(InvalidInput, match="no journal"):
        play(only(*CASES), tmp_path, resume=True)


def test_without_a_journal_resuming_is_starting(tmp_path: Path) -> None:
    assert play(only(*CASES), tmp_path, resume=True).summary.evaluated == 3


def test_a_fresh_replay_forgets_an_earlier_journal(tmp_path: Path) -> None:
    play(only(*CASES), tmp_path)
    play(only("clean-linkedin"), tmp_path)
    assert len((tmp_path / "run.json.cases.jsonl").read_text().splitlines()) == 2


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.json"
    files.replace_with(target, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.replace_with(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
