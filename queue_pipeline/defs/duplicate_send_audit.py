"""The duplicate-send audit as an asset by day, and each of its questions as a check that can be run alone."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, timedelta

import dagster as dg

from queue_pipeline.defs.resources import ROLE_TAG, Cell, QueueResource, table, told_plainly
from queue_pipeline.defs.sources import audit_sources
from queue_pipeline.domain.audit import AuditFinding, AuditReport, CheckResult, LegacyKey
from queue_pipeline.domain.audit_check import CHECKS, LEGACY_CODE, LEGACY_NAME, Check
from queue_pipeline.engine.audit import audit_sends, legacy_keys

#: No send is older. Any other day can be audited with `queue-pipeline audit sends --day D`.
FIRST_DAY = "2026-11-01"
#: Today has a partition too: its audit is repeated while it lasts.
days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone="UTC", end_offset=1)
FINDINGS_SHOWN = 50


@dg.asset(
    deps=audit_sources,
    partitions_def=days,
    group_name="sends",
    kinds={"postgres"},
    description=(
        "What providers said they accepted on one UTC day, held against the ledger: was anything sent twice? A"
        " duplicate across midnight is found by both days. Ids, numbers and times only; the command line has the same:"
        " `queue-pipeline audit sends --day D`."
    ),
)
def duplicate_send_audit(context: dg.AssetExecutionContext, queue: QueueResource) -> dg.MaterializeResult[None]:
    """Audit the day, and show what was found."""
    with told_plainly():
        report = audit_sends(queue.db, day=date.fromisoformat(context.partition_key))
    findings = [finding for check in report.checks for finding in check.findings]
    return dg.MaterializeResult(
        metadata={
            "summary": dg.MetadataValue.md(summary_of(report)),
            "checks": table(
                ["check", "question", "rows_examined", "found", "open", "gates", "verdict"],
                [_check_row(check) for check in report.checks],
            ),
            "findings": findings_table(findings[:FINDINGS_SHOWN]),
            "dagster_runs": dg.MetadataValue.md(_links(findings)),
            "legacy_keys": table(
                ["legacy_key", "rows_examined", "repeated", "verdict", "said"],
                [_legacy_row(key) for key in report.legacy_keys],
            ),
            **{f"open_{check.code.lower()}": dg.MetadataValue.int(check.open) for check in report.checks},
            "rows_examined": dg.MetadataValue.int(sum(check.rows_examined for check in report.checks)),
            "verdict": dg.MetadataValue.text(report.verdict),
        }
    )


audit_job = dg.define_asset_job(
    name="audit_sends",
    selection=dg.AssetSelection.assets(duplicate_send_audit),
    description="Audit the sends of one UTC day: hold what providers said against the ledger, and judge each question.",
    executor_def=dg.in_process_executor,
    tags={ROLE_TAG: "audit", "dagster/max_runtime": "600"},
)


@dg.schedule(
    job=audit_job,
    cron_schedule="7 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Each hour: the audit of today so far.",
)
def audit_today_each_hour(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Ask for today's partition."""
    today = context.scheduled_execution_time.astimezone(UTC).date()
    return dg.RunRequest(partition_key=today.isoformat())


@dg.schedule(
    job=audit_job,
    cron_schedule="40 0 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Each night at 00:40 UTC, when evidence has come and doubts are 30 minutes old: all of yesterday.",
)
def audit_yesterday_each_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Ask for yesterday's partition."""
    yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
    return dg.RunRequest(partition_key=yesterday.isoformat())


_CHECKS: Mapping[str, Check] = {check.name: check for check in CHECKS}


@dg.multi_asset_check(
    name="duplicate_send_checks",
    specs=[
        *(
            dg.AssetCheckSpec(name=check.name, asset=duplicate_send_audit, description=check.question)
            for check in CHECKS
        ),
        dg.AssetCheckSpec(
            name=LEGACY_NAME,
            asset=duplicate_send_audit,
            description="The five keys of the earlier system. They cannot fail by construction and prove nothing.",
        ),
    ],
    can_subset=True,
)
def duplicate_send_checks(
    context: dg.AssetCheckExecutionContext, queue: QueueResource
) -> Iterable[dg.AssetCheckResult]:
    """Ask the selected questions, of the partition's day or, when run alone, of the last 24 hours."""
    run = context.op_execution_context
    day = date.fromisoformat(run.partition_key) if run.has_partition_key else None
    names = {key.name for key in context.selected_asset_check_keys}
    codes = [check.code for check in CHECKS if check.name in names]
    with told_plainly():
        report = audit_sends(queue.db, day=day, only=codes) if codes else None
        keys = legacy_keys(queue.db, day=day) if LEGACY_NAME in names else []
    for check in report.checks if report else ():
        yield result_of(check, report.since.date() if report and day else None)
    if keys:
        yield _legacy_result(keys)


def result_of(check: CheckResult, day: date | None) -> dg.AssetCheckResult:
    """A check's answer. Nothing to examine is no pass, but a warning: it proves nothing either way."""
    gates = check.gates and check.verdict == "breach"
    return dg.AssetCheckResult(
        asset_key=duplicate_send_audit.key,
        check_name=check.name,
        passed=check.verdict == "pass",
        severity=dg.AssetCheckSeverity.ERROR if gates else dg.AssetCheckSeverity.WARN,
        description=f"{day or 'The last 24 hours'}: {check.said}",
        metadata={
            "verdict": check.verdict,
            "rows_examined": check.rows_examined,
            "open": check.open,
            "findings": findings_table(check.findings[:FINDINGS_SHOWN]),
        },
    )


def _legacy_result(keys: Sequence[LegacyKey]) -> dg.AssetCheckResult:
    repeated = sum(key.repeated for key in keys)
    return dg.AssetCheckResult(
        asset_key=duplicate_send_audit.key,
        check_name=LEGACY_NAME,
        passed=not repeated,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{LEGACY_CODE} is structural: these columns are UNIQUE, so this cannot fail and proves nothing.",
        metadata={
            "legacy_keys": table(["legacy_key", "rows_examined", "repeated", "said"], [_legacy_row(k) for k in keys])
        },
    )


def summary_of(report: AuditReport) -> str:
    """The audit in a few lines of Markdown."""
    lines = [f"**{report.said}**", *(f"- {check.code}, {check.verdict}: {check.said}" for check in report.checks)]
    lines.append(
        f"- {LEGACY_CODE}, structural: {len(report.legacy_keys)} legacy keys, which cannot fail by construction."
    )
    return "\n".join(lines)


_FINDING_COLUMNS = [
    "check", "fingerprint", "workspace", "lead", "job", "messages", "at_providers", "attempts", "function_runs",
    "dagster_runs", "inbound_events", "first", "last", "said", "reviewed",
]  # fmt: skip


def findings_table(findings: Sequence[AuditFinding]) -> dg.MetadataValue:
    """Findings with the ids of what they are about: no addresses, no texts."""
    return table(_FINDING_COLUMNS, [_finding_row(finding) for finding in findings])


def _finding_row(finding: AuditFinding) -> Mapping[str, Cell]:
    messages, attempts = finding.outbound_messages, finding.attempts
    evidence, events = finding.provider_messages, finding.inbound_events
    seen = [m["sent_at"] or m["first_seen_at"] for m in evidence] or [m["sent_at"] or m["created_at"] for m in messages]
    times = sorted(time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") for time in seen)
    return {
        "check": finding.code,
        "fingerprint": finding.fingerprint,
        "workspace": _joined(m["workspace"] for m in (*messages, *events)),
        "lead": _joined(m["lead_id"] for m in messages),
        "job": _joined(m["job_id"] for m in (*messages, *events)),
        "messages": _joined(f"{m['outbound_message_id']} ({m['state']})" for m in messages),
        "at_providers": _joined(f"{m['provider']} {m['provider_message_id']} ({m['observed_via']})" for m in evidence),
        "attempts": _joined(
            f"{a['outbound_message_id']}#{a['attempt']} epoch {a['epoch']} by {a['sender']}: {a['outcome'] or 'open'}"
            for a in attempts
        ),
        "function_runs": _joined(a["function_run_id"] for a in attempts),
        "dagster_runs": _joined(a["dagster_run_id"] for a in attempts),
        "inbound_events": _joined(e["inbound_event_id"] for e in events),
        "first": times[0] if times else None,
        "last": times[-1] if times else None,
        "said": finding.said,
        "reviewed": finding.review.reviewed_at.isoformat() if finding.review else None,
    }


def _joined(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))


def _links(findings: Sequence[AuditFinding]) -> str:
    runs = dict.fromkeys(a["dagster_run_id"] for f in findings for a in f.attempts if a["dagster_run_id"])
    links = ", ".join(f"[{run_id[:8]}](/runs/{run_id})" for run_id in list(runs)[:FINDINGS_SHOWN])
    return links or "No Dagster run had a part in a finding."


def _check_row(check: CheckResult) -> Mapping[str, Cell]:
    return {
        "check": check.code,
        "question": check.question,
        "rows_examined": check.rows_examined,
        "found": check.found,
        "open": check.open,
        "gates": "yes" if check.gates else "no",
        "verdict": check.verdict,
    }


def _legacy_row(key: LegacyKey) -> Mapping[str, Cell]:
    return {
        "legacy_key": key.legacy_key,
        "rows_examined": key.rows_examined,
        "repeated": key.repeated,
        "verdict": key.verdict,
        "said": key.said,
    }
