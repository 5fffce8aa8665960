"""The service levels of the canary's window as an asset, and what gates a rollout as checks."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import Cell, QueueResource, table, told_plainly
from queue_pipeline.defs.sources import evidence_sources, lead_sources, sources
from queue_pipeline.domain.rollout_decision import ChecklistItem
from queue_pipeline.domain.slo_report import COHORTS, CONTENTION, DUPLICATES, FAILURES, QUEUE_AGE, WAITS, SloReport
from queue_pipeline.engine.slo import measure_slo

_CHECKS: Mapping[str, tuple[str, str]] = {
    "queue_age_p95_within_limit": (QUEUE_AGE, "Was the oldest due job, in 95 % of the minutes, no older than 300 s?"),
    "waits_not_worse_than_control": (WAITS, "Do the canary's jobs not certainly wait longer than those of all others?"),
    "failure_rate_within_bound": (FAILURES, "Do not certainly more than 2 % of the attempts fail?"),
    "no_key_was_sent_twice": (DUPLICATES, "Has no idempotency key more than one message at a provider?"),
    "sessions_do_not_wait": (CONTENTION, "Was there no deadlock, and did sessions not wait for each other?"),
}


class SloConfig(dg.Config):
    """Which window is measured."""

    canary: int = Field(
        default=0, ge=0, description="Number of a canary; 0 means the latest, or the last hour if there never was one."
    )


@dg.asset(
    deps=[*sources, *lead_sources, *evidence_sources],
    group_name="rollout",
    kinds={"postgres"},
    check_specs=[
        dg.AssetCheckSpec(name=name, asset="slo_report", description=question)
        for name, (_, question) in _CHECKS.items()
    ],
    description=(
        "The service levels of the canary's window, its workspaces beside all others: queue age, waits with those that"
        " still wait, time from message to notice, failures, late writes refused, recoveries, duplicates, contention."
        " Every number can be asked for again with the query that is named."
    ),
)
def slo_report(queue: QueueResource, config: SloConfig) -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster knows the bare class only, where an asset has checks
    """Measure, show, and answer the checks."""
    with told_plainly():
        report = measure_slo(queue.db, canary_id=config.canary or None, limits=queue.limits)
    return dg.MaterializeResult(
        metadata=metadata_of(report),
        check_results=[_result(name, _of(report, item)) for name, (item, _) in _CHECKS.items()],
    )


def metadata_of(report: SloReport) -> dict[str, dg.MetadataValue]:
    """What an operator reads: sentences, the cohorts side by side, burn rates, and the queries."""
    return {
        "summary": dg.MetadataValue.md(summary_of(report)),
        "cohorts": table(["measure", *COHORTS, "query"], _cohorts(report)),
        "burn_rates": table(["look_back", "bad", "minutes", "rate"], [dict(vars(rate)) for rate in report.burn_rates]),
        "queries": dg.MetadataValue.md("\n\n".join(f"`{each.command()}`" for each in report.measurements.values())),
        **_plotted(report),
    }


def summary_of(report: SloReport) -> str:
    """The report in a few lines of Markdown."""
    lines = [f"**{report.window.said}** {report.window}"]
    return "\n".join([*lines, *(f"- {item.said}." for item in report.items)])


_ROWS: Mapping[str, tuple[str, ...]] = {
    "canary_window": ("samples", "expected", "missing", "queue_age_p95_seconds", "queue_age_max_seconds"),
    "window_waits": ("claimed", "still_waiting", "p50_seconds", "p95_seconds", "max_seconds", "worse"),
    "window_end_to_end": ("leads", "nobody_told", "p50_seconds", "p95_seconds", "max_seconds"),
    "window_outcomes": ("finished", "failed", "recoveries", "late_writes_refused"),
    "window_duplicates": ("keys", "keys_sent_twice"),
}
_SHORT = {"canary_window": "samples", "window_waits": "wait", "window_end_to_end": "message to notice"}


def _cohorts(report: SloReport) -> list[Mapping[str, Cell]]:
    rows: list[Mapping[str, Cell]] = []
    for query, names in _ROWS.items():
        sides = {cohort: report.row(query, cohort) for cohort in COHORTS}
        for name in names:
            measure = f"{_SHORT[query]}: {name}" if query in _SHORT else name
            values: dict[str, Any] = {cohort: side.get(name) for cohort, side in sides.items()}
            rows.append({"measure": measure, **values, "query": f"{query}.sql"})
    for cohort, rate in report.failure_rates.items():
        said = f"{rate.low:.2%} to {rate.high:.2%}"
        rows.append({"measure": "failure rate, 95 % interval", cohort: said, "query": "window_outcomes.sql"})
    return rows


def _plotted(report: SloReport) -> dict[str, dg.MetadataValue]:
    """The numbers that the UI plots over time; what was not measured is absent."""
    found: dict[str, dg.MetadataValue] = {}
    age = report.measurements["window_queue_age"].one().get("p95_seconds")
    if age is not None:
        found["queue_age_p95_seconds"] = dg.MetadataValue.float(float(age))
    for cohort in COHORTS:
        wait = report.row("window_waits", cohort).get("p95_seconds")
        if wait is not None:
            found[f"wait_p95_seconds_{cohort}"] = dg.MetadataValue.float(float(wait))
        found[f"failed_{cohort}"] = dg.MetadataValue.int(report.failure_rates[cohort].events)
    return found


def _of(report: SloReport, name: str) -> ChecklistItem:
    return next(item for item in report.items if item.name == name)


def _result(name: str, item: ChecklistItem) -> dg.AssetCheckResult:
    """What was not measured is no pass, but a warning: it proves nothing either way."""
    return dg.AssetCheckResult(
        check_name=name,
        passed=item.status == "pass",
        severity=dg.AssetCheckSeverity.ERROR if item.status == "fail" else dg.AssetCheckSeverity.WARN,
        description=f"{item.said[0].upper()}{item.said[1:]}.",
        metadata={"status": item.status, "query": item.source},
    )
