"""A gate that was tampered with is caught: each mutant here would let bad replies pass, and does not."""

from pathlib import Path
from typing import Any

import pytest

from queue_pipeline.leads.gates.check import Code, check_draft
from queue_pipeline.leads.replay.judge import Reply
from queue_pipeline.leads.replay.rubric_judge import RubricJudge
from queue_pipeline.leads.replay.selection import selection_of
from queue_pipeline.leads.replay.self_test import canaries
from queue_pipeline_tests.leads.replay.stage import ScriptedJudge, bench, labelled, only, opinion, play


def test_a_judge_that_always_says_yes(tmp_path: Path) -> None:
    judge = ScriptedJudge(lambda _: opinion(score=100), canaries_too=True)
    artifact = play(only("clean-price-deferred"), tmp_path, on=bench(judge=judge))
    assert (artifact.exit_code, artifact.summary.passed, artifact.cases[0].failure_type) == (2, 0, "judge_error")
    assert len(judge.asked) == len(canaries().cases), "only the canaries are judged"


def test_a_judge_that_always_says_no(tmp_path: Path) -> None:
    judge = ScriptedJudge(lambda _: opinion("revise", score=10), canaries_too=True)
    artifact = play(only("clean-price-deferred"), tmp_path, on=bench(judge=judge))
    assert (artifact.exit_code, artifact.cases[0].failure_type) == (2, "judge_error")


@pytest.mark.parametrize("blind_to", [case.case_id for case in canaries().cases if case.expected.verdict == "fail"])
def test_a_judge_that_is_blind_to_one_kind_of_fault(blind_to: str, tmp_path: Path) -> None:
    def say(reply: Reply) -> Any:
        if reply.case.case_id == blind_to:
            return opinion(score=100)
        return RubricJudge().judge(reply, seconds=1).opinion

    artifact = play(only("clean-price-deferred"), tmp_path, on=bench(judge=ScriptedJudge(say, canaries_too=True)))
    assert (artifact.exit_code, artifact.summary.passed) == (2, 0)
    assert artifact.self_test is not None
    assert blind_to in artifact.self_test.said


def test_a_judge_that_raises(tmp_path: Path) -> None:
    judge = ScriptedJudge(lambda _: RuntimeError("bug"), canaries_too=True)
    artifact = play(only("clean-price-deferred"), tmp_path, on=bench(judge=judge))
    assert (artifact.exit_code, artifact.cases[0].failure_type) == (2, "execution_error")


def test_an_empty_manifest(tmp_path: Path) -> None:
    empty = labelled().model_copy(update={"cases": [], "tiers": type(labelled().tiers)()})
    for dry_run in (False, True):
        artifact = play(selection_of(empty, source="test"), tmp_path, dry_run=dry_run)
        assert (artifact.verdict, artifact.exit_code) == ("unmeasured", 2)
        assert "names no case" in " ".join(artifact.reasons)


@pytest.mark.parametrize("muted", list(Code))
def test_an_invariant_that_is_switched_off_is_seen_by_the_labels(muted: Code, tmp_path: Path) -> None:
    def check(case: Any) -> Any:
        return [finding for finding in check_draft(case) if finding.code != muted]

    judge = ScriptedJudge(lambda _: opinion(score=100))
    artifact = play(selection_of(labelled(), source="test"), tmp_path, on=bench(check=check, judge=judge))
    planted = {case.case_id for case in labelled().cases if muted.value in case.expected.failures}
    assert planted <= set(artifact.summary.labels.disagreements)


def test_a_drafter_that_gives_no_draft_object(tmp_path: Path) -> None:
    class Odd:
        def draft(self, request: Any) -> Any:
            return None

    artifact = play(only("clean-price-deferred", strategy="generate"), tmp_path, on=bench(drafter=Odd()))
    assert (artifact.exit_code, artifact.cases[0].failure_type) == (2, "draft_generation_error")


def test_the_self_test_has_a_canary_for_each_invariant_and_clean_ones() -> None:
    planted = {code for case in canaries().cases for code in case.expected.failures}
    assert {code.value for code in Code} <= planted
    assert sum(case.expected.verdict == "pass" for case in canaries().cases) >= 2
