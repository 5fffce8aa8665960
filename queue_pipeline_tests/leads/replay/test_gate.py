"""The verdict as tables: which failure names a case, and when a replay passes, fails, or could not be measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from queue_pipeline import InvalidInput
from queue_pipeline.leads.ports import DrafterFailed, DraftRequest
from queue_pipeline.leads.replay import failure
from queue_pipeline.leads.replay.artifact import CaseRecord
from queue_pipeline.leads.replay.baseline import read_baseline
from queue_pipeline.leads.replay.gate import judged_whole
from queue_pipeline.leads.replay.manifest import Strategy
from queue_pipeline_tests.leads.replay.stage import (
    ScriptedJudge,
    bench,
    broken_check,
    labelled,
    only,
    opinion,
    play,
)

A_CLEAN, B_CLEAN, A_FAULT = "clean-price-deferred", "clean-one-slot-in-words", "slot-hour-shifted"

PAIRS = [
    (failure.NotSelected, failure.EndpointAway, "selection_error"),
    (failure.EndpointAway, failure.NoDraft, "infra_error"),
    (failure.EndpointAway, failure.EvaluatorRaised, "infra_error"),
    (failure.NoDraft, failure.JudgeFailed, "draft_generation_error"),
    (failure.JudgeFailed, failure.BadDraft, "judge_error"),
    (failure.EvaluatorRaised, failure.BadDraft, "execution_error"),
    (failure.DecisionDiffers, failure.BadDraft, "decision_error"),
]


@pytest.mark.parametrize(("one", "other", "named"), PAIRS)
def test_of_several_failures_the_one_that_explains_the_others_names_the_case(
    one: type[failure.ReplayFailure], other: type[failure.ReplayFailure], named: str
) -> None:
    for both in ([one("x"), other("x")], [other("x"), one("x")]):
        found = failure.first(both)
        assert found is not None
        assert found.failure_type == named


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (DrafterFailed("model_unavailable", "x"), "infra_error"),
        (DrafterFailed("model_slow", "x"), "infra_error"),
        (DrafterFailed("model_refused", "x"), "infra_error"),
        (DrafterFailed("model_garbage", "x"), "draft_generation_error"),
        (DrafterFailed("model_empty", "x"), "draft_generation_error"),
        (DrafterFailed("model_declined", "x"), "draft_generation_error"),
        (ConnectionError("x"), "infra_error"),
        (TimeoutError("x"), "infra_error"),
        (ZeroDivisionError("this says judge_error infra_error"), "draft_generation_error"),
    ],
)
def test_what_a_drafter_raises_is_classified_by_its_class(raised: Exception, kind: str, tmp_path: Path) -> None:
    class Failing:
        def draft(self, request: DraftRequest) -> Any:
            raise raised

    selection = only(A_CLEAN, B_CLEAN, strategy="generate")
    artifact = play(selection, tmp_path, on=bench(drafter=Failing()))
    assert {case.failure_type for case in artifact.cases} == {kind}
    assert (artifact.exit_code, artifact.summary.passed, artifact.summary.unmeasured) == (2, 0, 2)


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        (failure.JudgeFailed("x"), "judge_error", 2),
        (failure.EndpointAway("x"), "infra_error", 2),
        (ZeroDivisionError("x"), "execution_error", 2),
        ("approve", "execution_error", 2),
        (opinion("revise"), "draft_quality_error", 1),
        (opinion("approve", quality=50), "draft_quality_error", 1),
        (opinion("approve", issues=["fabricated_fact"]), "draft_quality_error", 1),
        (opinion("approve", issues=["a new kind of trouble"]), "draft_quality_error", 1),
        (opinion("approve"), None, 0),
        (opinion("approve", issues=["tone"]), None, 0),
    ],
    ids=["no answer", "away", "raises", "not an opinion", "revise", "weak", "blocking", "unknown", "good", "advisory"],
)
def test_what_the_judge_says_or_raises(said: Any, kind: str | None, code: int, tmp_path: Path) -> None:
    artifact = play(only(A_CLEAN), tmp_path, on=bench(judge=ScriptedJudge(lambda _: said)))
    (case,) = artifact.cases
    assert (case.failure_type, artifact.exit_code) == (kind, code)
    assert artifact.summary.passed == (1 if code == 0 else 0)


def test_an_invariant_that_raises_is_an_evaluator_failure_and_nothing_passes(tmp_path: Path) -> None:
    artifact = play(only(A_CLEAN, B_CLEAN), tmp_path, on=bench(check=broken_check))
    assert (artifact.verdict, artifact.exit_code, artifact.summary.passed) == ("unmeasured", 2, 0)
    assert artifact.summary.evaluator_failures == 2
    assert {case.failure_type for case in artifact.cases} == {"execution_error"}
    assert all(case.judge is not None for case in artifact.cases), "the judge is asked all the same"


def test_one_case_that_could_not_be_measured_outweighs_a_measured_failure_and_every_pass(tmp_path: Path) -> None:
    def say(reply: Any) -> Any:
        return failure.JudgeFailed("x") if reply.case.case_id == B_CLEAN else opinion()

    artifact = play(only(A_CLEAN, B_CLEAN, A_FAULT), tmp_path, on=bench(judge=ScriptedJudge(say)))
    assert (artifact.verdict, artifact.exit_code) == ("unmeasured", 2)
    verdicts = {case.case_id: case.verdict for case in artifact.cases}
    assert verdicts == {A_CLEAN: "not_counted", B_CLEAN: "unmeasured", A_FAULT: "fail"}
    assert (artifact.summary.passed, artifact.summary.not_counted) == (0, 1)


def test_a_judge_that_approves_a_broken_draft_does_not_save_it(tmp_path: Path) -> None:
    artifact = play(only(A_FAULT), tmp_path, on=bench(judge=ScriptedJudge(lambda _: opinion(score=100))))
    assert artifact.exit_code == 1


def test_a_borderline_judgement_is_the_best_of_three_votes_and_each_is_kept(tmp_path: Path) -> None:
    scripts: list[tuple[list[int], bool, float]] = [
        ([75, 60, 90], True, 0.667),
        ([75, 60, 65], False, 0.667),
        ([80, 80, 80], True, 1.0),
        ([65, 90, 90], True, 0.667),
    ]
    for scores, approved, agreement in scripts:
        left = list(scores)
        judge = ScriptedJudge(scored(left))
        (case,) = play(only(A_CLEAN), tmp_path, on=bench(judge=judge)).cases
        assert case.judge is not None
        assert [vote.opinion.scores.weakest() for vote in case.judge.votes] == scores
        assert (case.judge.decision == "approve", case.judge.agreement) == (approved, agreement)
        assert case.score == sorted(scores)[1]
        assert case.judge.borderline


def test_a_clear_judgement_takes_one_vote(tmp_path: Path) -> None:
    for score in (100, 10):
        judge = ScriptedJudge(scored([score]))
        (case,) = play(only(A_CLEAN), tmp_path, on=bench(judge=judge)).cases
        assert case.judge is not None
        assert (len(case.judge.votes), len(judge.asked)) == (1, 1)


def test_an_issue_nobody_knows_blocks_even_if_two_other_votes_approve(tmp_path: Path) -> None:
    left = [opinion(issues=["???"]), opinion(), opinion()]
    artifact = play(only(A_CLEAN), tmp_path, on=bench(judge=ScriptedJudge(lambda _: left.pop(0))))
    assert artifact.exit_code == 1


@pytest.mark.parametrize(("profile", "code"), [("strict", 1), ("balanced", 1), ("lenient", 0)])
def test_the_profile_sets_the_threshold(profile: str, code: int, tmp_path: Path) -> None:
    judge = ScriptedJudge(lambda _: opinion(score=55))
    artifact = play(only(A_CLEAN), tmp_path, on=bench(judge=judge), judge_profile=profile)
    assert artifact.exit_code == code
    assert artifact.config.adjudication_band == (
        artifact.config.judge_threshold - 10,
        artifact.config.judge_threshold + 10,
    )


def test_the_judge_sees_neither_the_reference_draft_nor_a_later_message(tmp_path: Path) -> None:
    judge = ScriptedJudge(lambda _: opinion())
    play(only(A_CLEAN, strategy="generate"), tmp_path, on=bench(judge=judge))
    (reply,) = judge.asked
    assert reply.draft != reply.case.reference_draft
    from queue_pipeline.leads.replay.judge_prompt import user_message

    assert "with the price for twelve seats" not in user_message(reply)


THRESHOLDS: list[tuple[float, int, int, int]] = [(1.0, 9, 1, 1), (0.9, 9, 1, 0), (0.95, 9, 1, 1), (0.55, 11, 9, 0)]


@pytest.mark.parametrize(("threshold", "passed", "failed", "code"), THRESHOLDS)
def test_the_share_that_must_pass(threshold: float, passed: int, failed: int, code: int) -> None:
    cases = [a_case(str(n), "pass" if n < passed else "fail") for n in range(passed + failed)]
    assert gate(cases, threshold=threshold).exit_code == code


def test_a_critical_case_must_pass_whatever_the_threshold() -> None:
    cases = [a_case("a", "pass"), a_case("b", "fail")]
    assert gate(cases, threshold=0.5).exit_code == 0
    assert gate(cases, threshold=0.5, critical=["b"]).exit_code == 1
    assert gate(cases, threshold=0.5, critical=["a"]).exit_code == 0


CLOSED: list[tuple[str, Callable[[], Any]]] = [
    ("no case", lambda: gate([], named=[])),
    ("a case is missing", lambda: gate([a_case("a", "pass")], named=["a", "b"])),
    ("a case is too many", lambda: gate([a_case("a", "pass"), a_case("b", "pass")], named=["a"])),
    ("a case is there twice", lambda: gate([a_case("a", "pass")] * 2, named=["a"])),
    ("the judge is unfit", lambda: gate([a_case("a", "pass")], judge_is_fit=False)),
    ("a case was only selected", lambda: gate([a_case("a", "not_judged")])),
    ("a case without a verdict", lambda: gate([a_case("a", "unmeasured")])),
    ("an evaluator raised beside a failure", lambda: gate([a_case("a", "fail", failure_types=["execution_error"])])),
]


@pytest.mark.parametrize("made", [made for _, made in CLOSED], ids=[name for name, _ in CLOSED])
def test_the_gate_fails_closed(made: Callable[[], Any]) -> None:
    result = made()
    assert (result.verdict, result.exit_code) == ("unmeasured", 2)
    assert result.reasons


def test_a_case_that_got_worse_since_the_baseline_fails_the_replay(tmp_path: Path) -> None:
    selection = only(A_CLEAN, B_CLEAN)
    before = play(selection, tmp_path, on=bench(judge=ScriptedJudge(lambda _: opinion(score=95))))
    same = play(selection, tmp_path, on=bench(judge=ScriptedJudge(lambda _: opinion(score=91))), baseline=before)
    assert (same.exit_code, same.baseline_diff and same.baseline_diff.regressed) == (0, [])
    worse = play(selection, tmp_path, on=bench(judge=ScriptedJudge(lambda _: opinion(score=90))), baseline=before)
    assert worse.exit_code == 1
    assert worse.baseline_diff is not None
    assert [change.score_now for change in worse.baseline_diff.regressed] == [90, 90]
    better = play(selection, tmp_path, on=bench(judge=ScriptedJudge(lambda _: opinion(score=100))), baseline=before)
    assert better.baseline_diff is not None
    assert (better.exit_code, len(better.baseline_diff.improved)) == (0, 2)


def test_a_flip_is_a_regression_even_between_different_judges_and_scores_are_not(tmp_path: Path) -> None:
    selection = only(A_CLEAN, strategy=Strategy(drafts="reference", threshold=0.1).model_dump())
    before = play(selection, tmp_path)
    lower = play(selection, tmp_path, on=bench(judge=ScriptedJudge(lambda _: opinion(score=85))), baseline=before)
    assert (lower.exit_code, lower.baseline_diff and lower.baseline_diff.same_judge) == (0, False)
    flipped = play(selection, tmp_path, on=bench(judge=ScriptedJudge(lambda _: opinion("revise"))), baseline=before)
    assert flipped.exit_code == 1
    assert "worse since" in " ".join(flipped.reasons)


def test_new_and_gone_cases_are_named(tmp_path: Path) -> None:
    before = play(only(A_CLEAN), tmp_path)
    now = play(only(B_CLEAN), tmp_path, baseline=before)
    assert now.baseline_diff is not None
    assert (now.baseline_diff.added, now.baseline_diff.removed) == ([B_CLEAN], [A_CLEAN])
    assert not now.baseline_diff.same_manifest


def test_a_baseline_that_measured_nothing_or_is_none_is_refused(tmp_path: Path) -> None:
    unmeasured = play(only(A_CLEAN), tmp_path, on=bench(judge=ScriptedJudge(lambda _: failure.JudgeFailed("x"))))
    dry = play(only(A_CLEAN), tmp_path, dry_run=True)
    contents: list[Any] = [unmeasured.as_json(), dry.as_json(), {"runId": 1}, []]
    for content in contents:
        with pytest.raises(InvalidInput, match="--baseline"):
            read_baseline(content, source="x.json")


def test_a_dry_run_asks_no_model_and_no_judge_and_is_never_a_pass(tmp_path: Path) -> None:
    class Never:
        def draft(self, request: DraftRequest) -> Any:
            raise AssertionError("a dry run drafted")

    judge = ScriptedJudge(lambda _: AssertionError("asked"), canaries_too=True)
    clean = play(only(A_CLEAN, B_CLEAN), tmp_path, on=bench(drafter=Never(), judge=judge), dry_run=True)
    assert (clean.verdict, clean.exit_code, clean.summary.passed, judge.asked) == ("unmeasured", 0, 0, [])
    assert [case.verdict for case in clean.cases] == ["not_counted", "not_counted"]
    assert all(case.prompt_sha256 for case in clean.cases)
    assert play(only(A_CLEAN, A_FAULT), tmp_path, dry_run=True).exit_code == 1
    without = labelled().model_copy(
        update={"cases": [labelled().cases[0].model_copy(update={"reference_draft": None})]}
    )
    selected = play(only(labelled().cases[0].case_id, manifest=without), tmp_path, dry_run=True)
    assert (selected.exit_code, selected.summary.selected_only) == (0, 1)


def test_a_case_without_a_reference_draft_cannot_be_measured_where_drafts_are_references(tmp_path: Path) -> None:
    name = "clean-price-deferred"
    case = next(case for case in labelled().cases if case.case_id == name).model_copy(update={"reference_draft": None})
    artifact = play(only(name, manifest=labelled().model_copy(update={"cases": [case]})), tmp_path)
    assert (artifact.exit_code, artifact.cases[0].failure_type) == (2, "selection_error")


def test_a_replay_whose_time_is_over_measures_nothing(tmp_path: Path) -> None:
    import threading

    let_go = threading.Event()

    class Slow:
        def draft(self, request: DraftRequest) -> Any:
            let_go.wait(30)
            raise DrafterFailed("model_slow", "x")

    try:
        selection = only(A_CLEAN, B_CLEAN, strategy="generate")
        artifact = play(selection, tmp_path, on=bench(drafter=Slow()), timeout_seconds=0.5, concurrency=1)
    finally:
        let_go.set()
    assert (artifact.exit_code, artifact.summary.passed) == (2, 0)
    assert {case.failure_type for case in artifact.cases} == {"infra_error"}
    assert {case.status for case in artifact.cases} == {"skipped"}


def scored(scores: list[int]) -> Callable[[Any], Any]:
    """Answers that approve with these scores, one after the other."""
    return lambda _: opinion(score=scores.pop(0))


def a_case(name: str, verdict: str, **more: Any) -> CaseRecord:
    return CaseRecord.model_validate({"case_id": name, "status": "evaluated", "verdict": verdict, **more})


def gate(
    cases: list[CaseRecord], *, named: list[str] | None = None, threshold: float = 1.0, critical: list[str] | None = None,
    judge_is_fit: bool = True,
) -> Any:  # fmt: skip
    return judged_whole(
        cases,
        named=[case.case_id for case in cases] if named is None else named,
        critical=critical or [],
        threshold=threshold,
        judge_is_fit=judge_is_fit,
        baseline=None,
    )
