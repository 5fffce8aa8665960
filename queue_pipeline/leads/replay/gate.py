"""The verdict of a replay. It fails closed: what was not measured, of each case that was named, is never a pass."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from queue_pipeline.leads.gates.check import Code
from queue_pipeline.leads.replay.artifact import BaselineDiff, CaseRecord, LabelSummary, Summary, Verdict
from queue_pipeline.leads.replay.failure import FailureType

_SHOWN = 5


@dataclass(frozen=True)
class GateResult:
    """The verdict, the exit code, and why."""

    verdict: Verdict
    exit_code: Literal[0, 1, 2]
    reasons: tuple[str, ...]


def judged_whole(
    cases: Sequence[CaseRecord],
    *,
    named: Sequence[str],
    critical: Sequence[str],
    threshold: float,
    judge_is_fit: bool,
    baseline: BaselineDiff | None,
) -> GateResult:
    """The verdict of a replay over the cases that the manifest names. Not measured outweighs measured and bad."""
    unmeasured = _not_measured(cases, named, judge_is_fit=judge_is_fit)
    bad = _measured_bad(cases, critical, threshold, baseline)
    if unmeasured:
        return GateResult("unmeasured", 2, (*unmeasured, *bad))
    return GateResult("fail", 1, tuple(bad)) if bad else GateResult("pass", 0, ())


def looked_at(cases: Sequence[CaseRecord], *, named: Sequence[str]) -> GateResult:
    """The result of a dry run: it may find something, and it never passes, because no judge was asked."""
    unmeasured = _unmeasured_cases([case for case in cases if case.verdict != "not_judged"])
    if not named:
        unmeasured.append("the manifest names no case")
    failed = [case.case_id for case in cases if case.verdict == "fail"]
    bad = [f"{_count(failed)} did not hold what can be checked without a model: {_some(failed)}"] if failed else []
    exit_code: Literal[0, 1, 2] = 2 if unmeasured else 1 if bad else 0
    proves = "a dry run asks no model and no judge, and proves nothing about the replies"
    return GateResult("unmeasured", exit_code, (proves, *unmeasured, *bad))


def uncounted(case: CaseRecord) -> CaseRecord:
    """A case of a replay that could not be measured: nothing counts as passed."""
    return case.model_copy(update={"verdict": "not_counted"}) if case.verdict == "pass" else case


def summarised(cases: Sequence[CaseRecord], *, critical: Sequence[str]) -> Summary:
    """The counts behind the verdict."""
    verdicts = Counter(case.verdict for case in cases)
    statuses = Counter(case.status for case in cases)
    scores = [case.score for case in cases if case.score is not None]
    types = Counter(case.failure_type.value for case in cases if case.failure_type is not None)
    invariants = Counter(code for case in cases for code in {finding.code for finding in case.findings})
    passed = {case.case_id for case in cases if case.verdict == "pass"}
    labels = [case for case in cases if case.label is not None]
    agreed = [case for case in labels if case.label is not None and case.label.agrees]
    return Summary(
        count=len(cases),
        selected_only=statuses["selected_only"],
        skipped=statuses["skipped"],
        evaluated=statuses["evaluated"],
        passed=verdicts["pass"],
        failed=verdicts["fail"],
        failed_judge=sum(case.judge is not None and case.judge.decision == "revise" for case in cases),
        unmeasured=verdicts["unmeasured"],
        not_counted=verdicts["not_counted"],
        evaluator_failures=_evaluator_failures(cases),
        average_score=round(sum(scores) / len(scores), 1) if scores else None,
        failure_type_counts={kind.value: types[kind.value] for kind in FailureType},
        critical_invariant_counts={**{code.value: invariants[code.value] for code in Code}, **invariants},
        critical_misses=[name for name in critical if name not in passed],
        labels=LabelSummary(
            stated=len(labels),
            agreed=len(agreed),
            disagreements=[case.case_id for case in labels if case not in agreed],
        ),
    )


def _not_measured(cases: Sequence[CaseRecord], named: Sequence[str], *, judge_is_fit: bool) -> list[str]:
    reasons = [] if named else ["the manifest names no case"]
    if not judge_is_fit:
        reasons.append("the judge did not pass its self-test, so its word is worth nothing")
    if Counter(case.case_id for case in cases) != Counter(named):
        reasons.append("the cases that were evaluated are not those that the manifest names")
    return [*reasons, *_unmeasured_cases(cases)]


def _unmeasured_cases(cases: Sequence[CaseRecord]) -> list[str]:
    reasons = []
    open_cases = [case for case in cases if case.verdict not in ("pass", "fail")]
    for kind in FailureType:
        of_kind = [case.case_id for case in open_cases if case.failure_type is kind]
        if of_kind:
            reasons.append(f"{_count(of_kind)} could not be measured ({kind}): {_some(of_kind)}")
    unexplained = [case.case_id for case in open_cases if case.failure_type is None]
    if unexplained:
        reasons.append(f"{_count(unexplained)} got no verdict: {_some(unexplained)}")
    raised = _evaluator_failures(cases)
    if raised:
        reasons.append(f"evaluators raised in {raised} cases")
    return reasons


def _measured_bad(
    cases: Sequence[CaseRecord], critical: Sequence[str], threshold: float, baseline: BaselineDiff | None
) -> list[str]:
    reasons = []
    failed = {case.case_id for case in cases if case.verdict == "fail"}
    missed = [name for name in critical if name in failed]
    if missed:
        reasons.append(f"{_count(missed)} of a critical tier failed: {_some(missed)}")
    passed = sum(case.verdict == "pass" for case in cases)
    if cases and failed and passed < round(threshold * len(cases), 6):
        reasons.append(f"{passed} of {len(cases)} passed, {threshold:.0%} must: {_some(sorted(failed))} failed")
    if baseline is not None and baseline.regressed:
        worse = [change.case_id for change in baseline.regressed]
        reasons.append(f"{_count(worse)} got worse since {baseline.run_id}: {_some(worse)}")
    return reasons


def _evaluator_failures(cases: Sequence[CaseRecord]) -> int:
    return sum(FailureType.EXECUTION_ERROR in case.failure_types for case in cases)


def _count(names: Sequence[str]) -> str:
    return "1 case" if len(names) == 1 else f"{len(names)} cases"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
