"""The replay of recorded leads as an asset: its metadata is the report, its checks are the gate."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import ROLE_TAG, Cell, QueueResource, table, told_plainly
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.engine.replay_record import ReplayRecord
from queue_pipeline.leads.gates.check import Code
from queue_pipeline.leads.replay import files
from queue_pipeline.leads.replay.artifact import Artifact, CaseRecord
from queue_pipeline.leads.replay.baseline import read_baseline
from queue_pipeline.leads.replay.chosen import SAMPLE, from_file, from_workspace
from queue_pipeline.leads.replay.report import summary_lines
from queue_pipeline.leads.replay.selection import Selection
from queue_pipeline.leads.replay.session import Options, replay
from queue_pipeline.wiring import replay_benchmark, replay_team

CASES_SHOWN = 100
JUDGE, COMPLETE, NO_REGRESSION = "judge", "complete", "no_regression"

_CHECKS: Mapping[str, str] = {
    **{code.value: f"Did every draft hold the invariant {code.value}?" for code in Code},
    JUDGE: "Did the judge pass its self-test and approve every draft?",
    COMPLETE: "Was every case that the manifest names measured?",
    NO_REGRESSION: "Is no case worse than in the last replay of this manifest that passed?",
}


class ReplayConfig(dg.Config):
    """What is replayed."""

    manifest: str = Field(
        default="", description=f"Path of a manifest on this machine; `{SAMPLE}`, or nothing, is the shipped one."
    )
    client_id: str = Field(default="", description="A workspace: its latest recorded leads instead of a manifest.")
    limit: int = Field(default=20, ge=1, le=2000, description="How many of its latest leads.")
    baseline: str = Field(
        default="", description="Path of an earlier artifact; nothing means the last recorded pass of this manifest."
    )
    judge_profile: str = Field(default="strict", description="strict (72), balanced (62) or lenient (52).")
    concurrency: int = Field(default=3, ge=1, le=32, description="Cases side by side.")
    timeout_seconds: float = Field(default=1500.0, gt=0, le=86_400, description="Seconds for the whole.")


@dg.asset(
    group_name="rollout",
    kinds={"postgres"},
    check_specs=[
        dg.AssetCheckSpec(name=name, asset="replay_gate", description=question) for name, question in _CHECKS.items()
    ],
    description=(
        "Recorded leads drafted again, looked at by every invariant and by a judge: are the replies good enough?"
        " Nothing is sent. Ids and counts only; the report with its quotations is a file of this installation. The"
        " command line has the same: `queue-pipeline replay`."
    ),
)
def replay_gate(context: dg.AssetExecutionContext, queue: QueueResource, config: ReplayConfig) -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster knows the bare class only, where an asset has checks
    """Replay, keep the artifact, and answer the checks."""
    with told_plainly():
        artifact, path = _replayed(queue, config, who=f"Dagster run {context.run.run_id}")
    return dg.MaterializeResult(metadata=_metadata(artifact, path), check_results=list(check_results(artifact)))


replay_gate_job = dg.define_asset_job(
    name="replay_leads",
    selection=dg.AssetSelection.assets(replay_gate),
    description="Replay recorded leads: draft the replies again and let invariants and a judge look. Nothing is sent.",
    executor_def=dg.in_process_executor,
    tags={ROLE_TAG: "replay", "dagster/max_runtime": "1800"},
)


def _replayed(queue: QueueResource, config: ReplayConfig, *, who: str) -> tuple[Artifact, Path]:
    settings, record = queue.settings, ReplayRecord(queue.db)
    options = Options(
        concurrency=config.concurrency,
        judge_profile=config.judge_profile,
        timeout_seconds=config.timeout_seconds,
        call_seconds=float(settings.draft_timeout_seconds),
    )
    selection = _selected(queue, config, record)
    now = record.now()
    path = files.default_path(settings.home, now)
    artifact = replay(
        selection,
        replay_benchmark(settings),
        options,
        created_at=now,
        journal=files.journal_path(path),
        baseline=_baseline(config, record, selection.manifest.manifest_id),
    )
    files.write(artifact, path)
    record.save(artifact.as_json(), who=who)
    return artifact, path


def _selected(queue: QueueResource, config: ReplayConfig, record: ReplayRecord) -> Selection:
    team = replay_team(queue.settings)
    if config.client_id and config.manifest:
        raise InvalidInput("client_id", config.client_id, "Give a manifest or a client_id, not both.")
    if config.client_id:
        return from_workspace(config.client_id, limit=config.limit, leads=record, team=team)
    return from_file(Path(config.manifest or SAMPLE), recorded=record.resolve, team=team)


def _baseline(config: ReplayConfig, record: ReplayRecord, manifest_id: str) -> Artifact | None:
    if not config.baseline:
        last = record.last_pass(manifest_id)
        return None if last is None else read_baseline(last, source="the last recorded pass")
    try:
        content = json.loads(Path(config.baseline).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput("baseline", config.baseline, f"It cannot be read ({type(error).__name__}).") from None
    return read_baseline(content, source=config.baseline)


def check_results(artifact: Artifact) -> Iterator[dg.AssetCheckResult]:
    """The answer of each check. What was not measured is no pass."""
    measured = artifact.verdict != "unmeasured"
    counts = artifact.summary.critical_invariant_counts
    looked = [case for case in artifact.cases if case.draft is not None]
    for code in Code:
        broken = counts[code.value]
        said = f"{broken} of {len(looked)} drafts break it" if looked else "no draft was looked at"
        yield _result(code.value, passed=measured and not broken, said=said)
    tested, refused = artifact.self_test, artifact.summary.failed_judge
    fit = tested is not None and tested.passed
    said = f"{tested.said if tested else 'the judge was not asked'}; it refused {refused} drafts"
    yield _result(JUDGE, passed=measured and fit and not refused, said=said)
    whole = "every case was measured" if measured else "; ".join(artifact.reasons)
    yield _result(COMPLETE, passed=measured, said=whole)
    yield _no_regression(artifact, measured=measured)


def _no_regression(artifact: Artifact, *, measured: bool) -> dg.AssetCheckResult:
    difference = artifact.baseline_diff
    if difference is None:
        return _result(NO_REGRESSION, passed=measured, said="there is no earlier replay to compare with")
    worse = ", ".join(change.case_id for change in difference.regressed)
    said = f"since {difference.run_id} {f'worse: {worse}' if worse else 'nothing got worse'}"
    return _result(NO_REGRESSION, passed=measured and not worse, said=said)


def _result(name: str, *, passed: bool, said: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{said[0].upper()}{said[1:]}.",
    )


def _metadata(artifact: Artifact, path: Path) -> dict[str, Any]:
    bad = [case for case in artifact.cases if case.verdict != "pass"]
    summary = artifact.summary
    return {
        "summary": dg.MetadataValue.md("\n".join(summary_lines(artifact))),
        "verdict": dg.MetadataValue.text(artifact.verdict),
        "failing_cases": _failing(bad[:CASES_SHOWN]),
        "run_id": dg.MetadataValue.text(artifact.run_id),
        "manifest_sha256": dg.MetadataValue.text(artifact.manifest_sha256),
        "artifact": dg.MetadataValue.path(str(path)),
        "cases": dg.MetadataValue.int(summary.count),
        "passed": dg.MetadataValue.int(summary.passed),
        "failed": dg.MetadataValue.int(summary.failed),
        "unmeasured": dg.MetadataValue.int(summary.unmeasured),
        **({} if summary.average_score is None else {"average_score": dg.MetadataValue.float(summary.average_score)}),
    }


def _failing(cases: Sequence[CaseRecord]) -> dg.MetadataValue:
    """Ids, codes and scores: no word of a message, a draft or a judge."""
    rows: list[Mapping[str, Cell]] = [
        {
            "case": case.case_id,
            "verdict": case.verdict,
            "failure_type": case.failure_type,
            "tiers": ", ".join(case.tiers),
            "findings": ", ".join(dict.fromkeys(finding.code for finding in case.findings)),
            "expected": case.expected_action,
            "decided": case.decided_action,
            "score": case.score,
        }
        for case in cases
    ]
    columns = ["case", "verdict", "failure_type", "tiers", "findings", "expected", "decided", "score"]
    return table(columns, rows)
