"""From what a case came to, to its record."""

from collections.abc import Sequence
from dataclasses import asdict

from queue_pipeline.leads.gates.check import Finding
from queue_pipeline.leads.replay.adjudication import Judgement
from queue_pipeline.leads.replay.artifact import (
    CaseRecord,
    CaseVerdict,
    FindingRecord,
    JudgeRecord,
    LabelRecord,
    VoteRecord,
)
from queue_pipeline.leads.replay.evaluation import Evaluated
from queue_pipeline.leads.replay.failure import FailureType, ReplayFailure
from queue_pipeline.leads.replay.manifest import Case, Tiers


def recorded(case: Case, found: Evaluated, tiers: Tiers) -> CaseRecord:
    """The record of a case that was evaluated, as far as it came."""
    named = found.failure
    draft, decision = found.draft, found.decision
    return CaseRecord(
        case_id=case.case_id,
        tenant=case.tenant,
        channel=case.channel,
        tiers=tiers.of(case.case_id),
        status="selected_only" if found.only_selected else "evaluated" if found.measured else "failed",
        verdict=_verdict(found),
        failure_type=None if named is None else named.failure_type,
        failure_types=list(dict.fromkeys(one.failure_type for one in found.failures)),
        failure_reasons=[str(one) for one in found.failures],
        expected_action=case.expected.action,
        decided_action=None if decision is None else decision.action.value,
        decision_code=None if decision is None else decision.code,
        drafter=None if draft is None else draft.drafter,
        draft_subject=None if draft is None else draft.subject,
        draft=None if draft is None else draft.body,
        draft_usage=None if draft is None or draft.usage is None else dict(draft.usage),
        prompt_sha256=found.prompt_sha256,
        findings=[_finding(one) for one in found.findings],
        judge=None if found.judgement is None else _judge(found.judgement),
        score=None if found.judgement is None else found.judgement.score,
        label=_label(case, found),
        seconds=found.seconds,
    )


def missing(case_id: str, why: str, tiers: Tiers) -> CaseRecord:
    """The record of a case that is named and that nobody has."""
    return _unmeasured(case_id, FailureType.SELECTION_ERROR, why, tiers, status="failed")


def not_run(case: Case, failure: ReplayFailure, tiers: Tiers) -> CaseRecord:
    """The record of a case that was not evaluated, because the replay ended before it."""
    return _unmeasured(case.case_id, failure.failure_type, str(failure), tiers, status="skipped")


def _unmeasured(case_id: str, kind: FailureType, why: str, tiers: Tiers, *, status: str) -> CaseRecord:
    return CaseRecord(
        case_id=case_id,
        tiers=tiers.of(case_id),
        status="skipped" if status == "skipped" else "failed",
        verdict="unmeasured",
        failure_type=kind,
        failure_types=[kind],
        failure_reasons=[why],
    )


def _verdict(found: Evaluated) -> CaseVerdict:
    if found.only_selected:
        return "not_judged"
    if not found.measured:
        return "unmeasured"
    return "pass" if found.passed else "fail"


def _finding(one: Finding) -> FindingRecord:
    return FindingRecord(**{**asdict(one), "readings": list(one.readings), "allowed": list(one.allowed)})


def _judge(found: Judgement) -> JudgeRecord:
    return JudgeRecord(
        decision="approve" if found.approved else "revise",
        score=found.score,
        issues=list(dict.fromkeys(issue for vote in found.votes for issue in vote.opinion.issues)),
        borderline=found.borderline,
        agreement=found.agreement,
        votes=[
            VoteRecord(
                opinion=vote.opinion,
                approves=vote.approves,
                objections=list(vote.objections),
                usage=None if vote.usage is None else dict(vote.usage),
            )
            for vote in found.votes
        ],
    )


def _label(case: Case, found: Evaluated) -> LabelRecord | None:
    """It agrees when the verdict is the stated one, every stated failure was seen, and no other invariant spoke."""
    label = case.expected
    if label.verdict is None:
        return None
    codes = {finding.code for finding in found.findings}
    issues: Sequence[str] = (
        [] if found.judgement is None else [i for v in found.judgement.votes for i in v.opinion.issues]
    )
    seen = {*codes, *issues, *(one.failure_type.value for one in found.failures)}
    agrees = (
        found.measured
        and found.passed == (label.verdict == "pass")
        and set(label.failures) <= seen
        and codes <= set(label.failures)
    )
    return LabelRecord(verdict=label.verdict, failures=label.failures, agrees=agrees)
