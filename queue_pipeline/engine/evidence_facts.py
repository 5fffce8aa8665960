"""What a rollout is decided on, gathered from everywhere. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from queue_pipeline.domain.alert_condition import without_addresses
from queue_pipeline.domain.audit import AuditReport
from queue_pipeline.domain.errors import SchemaTooNew, SchemaTooOld
from queue_pipeline.domain.evidence_packet import utc
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.measurement import Measurement, Parameter
from queue_pipeline.domain.rollout_checklist import MODES, AuditFacts, RolloutFacts
from queue_pipeline.domain.slo_report import SloReport
from queue_pipeline.engine import canary as canaries
from queue_pipeline.engine import flags
from queue_pipeline.engine.audit import audit_sends
from queue_pipeline.engine.canary import CanaryStatus
from queue_pipeline.engine.slo import measure_slo
from queue_pipeline.store import audit as audit_store
from queue_pipeline.store import migrate
from queue_pipeline.store import slo as slo_store
from queue_pipeline.store.session import Database


@dataclass(frozen=True)
class Installation:
    """What a packet says about where it was made. `drafter` is the configured one, None when it cannot be asked."""

    environment: str
    sink: str
    drafter: str | None
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Evidence:
    """Everything that was read. `others` are the measurements that belong to no window; `audit_command` asks again."""

    measured_at: datetime
    status: CanaryStatus | None
    slo: SloReport
    others: Mapping[str, Measurement]
    audit: AuditReport
    audit_command: str
    flags: Sequence[Mapping[str, Any]]
    schema_problem: str | None


def read(db: Database, *, canary_id: int | None, limits: Limits) -> Evidence:
    """Read everything. Raises NotFound, DatabaseUnavailable."""
    status = canaries.status(db, canary_id=canary_id, limits=limits)
    slo = measure_slo(db, canary_id=None if status is None else status.canary.canary_id, limits=limits)
    now, others = _measured(db, slo, limits)
    first = slo.window.since if status is None else status.canary.started_at
    audit = _audited(db, first, now)
    command = f"queue-pipeline audit sends --since {utc(audit.since)} --until {utc(audit.until)}"
    return Evidence(now, status, slo, others, audit, command, _flags(db), _schema_problem(db))


def facts_of(evidence: Evidence, installation: Installation) -> RolloutFacts:
    """What the checklist looks at."""
    status, others, audit = evidence.status, evidence.others, evidence.audit
    return RolloutFacts(
        verdict=None if status is None else status.verdict,
        contract=None if status is None else status.contract,
        slo=evidence.slo,
        rollbacks=others["canary_rollbacks"],
        audit=AuditFacts(audit.verdict, audit.said, evidence.audit_command),
        unknown_sends=others["overdue_unknown_sends"],
        replay=others["latest_replay"],
        drafter=installation.drafter,
        proofs=others["latest_alert_proofs"],
        sink=installation.sink,
        modes={flag["flag"]: flag["value"] for flag in evidence.flags if flag["flag"] in MODES},
        schema=others["schema_revision"],
        schema_problem=evidence.schema_problem,
        pages=others["open_pages"],
    )


def audit_as_json(evidence: Evidence) -> dict[str, Any]:
    """The audit without its findings: counts and verdicts."""
    report = evidence.audit
    checks = [
        {"check": check.code, "rows_examined": check.rows_examined, "open": check.open, "verdict": check.verdict}
        for check in report.checks
    ]
    return {"verdict": report.verdict, "said": report.said, "command": evidence.audit_command, "checks": checks}


def canary_as_json(status: CanaryStatus) -> dict[str, Any]:
    """The canary with its moves and rollbacks; what people wrote is without addresses."""
    canary = status.canary
    return {
        "canary_id": canary.canary_id,
        "state": str(canary.state),
        "candidate": dict(canary.candidate),
        "share": canary.share,
        "workspaces_named": len(canary.allow),
        "shortened": status.contract.shortened(),
        "contract": dict(vars(status.contract)),
        "why": without_addresses(canary.why),
        "started_by": without_addresses(canary.started_by),
        "started_at": utc(canary.started_at),
        "verdict": status.verdict.verdict,
        "moves": [
            {
                "at": utc(move.at),
                "from": move.from_state,
                "to": move.to_state,
                "who": without_addresses(move.who),
                "why": without_addresses(move.why),
            }
            for move in status.moves
        ],
        "rollbacks": [
            {"at": utc(each.decided_at), "rule": each.rule, "mode": each.mode, "why": without_addresses(each.why)}
            for each in status.rollbacks
        ],
    }


def _measured(db: Database, slo: SloReport, limits: Limits) -> tuple[datetime, dict[str, Measurement]]:
    """What belongs to no window, at one instant."""
    with db.begin() as tx:
        audit_store.read_one_instant(tx)
        now = slo_store.instant(tx)
        at: dict[str, Parameter] = {"at": now}
        asked: dict[str, dict[str, Parameter]] = {
            "canary_rollbacks": {"canary_id": slo.window.canary_id},
            "overdue_unknown_sends": {**at, "older_seconds": limits.send_human_seconds},
            "latest_replay": at,
            "latest_alert_proofs": at,
            "open_pages": {},
            "latest_health_sample": at,
            "schema_revision": {},
        }
        return now, {query: slo_store.measured(tx, query, parameters) for query, parameters in asked.items()}


def _audited(db: Database, first: datetime, now: datetime) -> AuditReport:
    """The audit from the beginning of the canary's first day until now: evidence may come later than its send."""
    return audit_sends(db, since=datetime.combine(first.astimezone(UTC).date(), time.min, UTC), until=now)


def _schema_problem(db: Database) -> str | None:
    try:
        migrate.check(db)
    except (SchemaTooOld, SchemaTooNew) as error:
        return str(error)
    return None


def _flags(db: Database) -> list[dict[str, Any]]:
    """Every flag as it stands; `canary` is what the workspaces of the canary have instead."""
    return [
        {
            "flag": state.flag,
            "value": state.value,
            "canary": state.canary_value,
            "source": state.source,
            "who": None if state.who is None else without_addresses(state.who),
            "why": None if state.why is None else without_addresses(state.why),
            "since": None if state.changed_at is None else utc(state.changed_at),
        }
        for state in flags.states(db)
    ]
