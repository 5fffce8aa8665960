"""The duplicate-send audit: what providers said, held against the ledger. Changes nothing but the record of reviews."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from typing import Any

from queue_pipeline.domain.audit import (
    AuditFinding,
    AuditLimits,
    AuditReport,
    CheckResult,
    LegacyKey,
    Period,
    Review,
    answered,
    fingerprint,
    legacy_key,
    period_of,
    reported,
)
from queue_pipeline.domain.audit_check import CHECKS, CHECKS_BY_CODE, LEGACY_KEYS, Check, sentence
from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.engine.dagster_run import database_time
from queue_pipeline.store import audit as store
from queue_pipeline.store import audit_trail
from queue_pipeline.store.session import Database, Tx

_LIMITS = AuditLimits()
#: How far back a suspect is looked for when its review names no day.
REVIEW_DAYS = 31


def audit_sends(
    db: Database,
    *,
    day: date | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    only: Collection[str] | None = None,
    limits: AuditLimits = _LIMITS,
) -> AuditReport:
    """Audit one UTC day, or what lies between two instants, or the last 24 hours; changes nothing.

    All checks see the database at one instant. `only` are the codes of the checks to run, all by default; the legacy
    keys belong to all. Raises InvalidInput, DatabaseUnavailable.
    """
    codes = _known(only)
    now = database_time(db)
    period = period_of(now, day=day, since=since, until=until, limits=limits)
    parameters = {**asdict(limits), "since": period.since, "until": period.until}
    with db.begin() as tx:
        store.read_one_instant(tx)
        examined = store.rows_examined(tx, parameters)
        checks = [_asked(tx, check, examined[check.code], parameters) for check in CHECKS if check.code in codes]
        keys = _legacy_keys(tx, parameters) if only is None else []
    return reported(period, audited_at=now, checks=checks, legacy_keys=keys)


def legacy_keys(db: Database, *, day: date | None = None, limits: AuditLimits = _LIMITS) -> list[LegacyKey]:
    """The five keys of the earlier system alone, for a UTC day or the last 24 hours. Raises as `audit_sends` does."""
    period = period_of(database_time(db), day=day, since=None, until=None, limits=limits)
    with db.begin() as tx:
        return _legacy_keys(tx, {"since": period.since, "until": period.until})


def review_finding(db: Database, name: str, *, who: str, why: str, day: date | None = None) -> AuditFinding:
    """Accept two messages that look alike: they are counted as reviewed from now on.

    `name` is the fingerprint, which an audit of `day`, or of the last 31 days, must find. Gives the finding with the
    review that stands, which is the earlier one if there was one. Raises InvalidInput, NotFound, DatabaseUnavailable.
    """
    for field, text in (("who", who), ("why", why)):
        if not text.strip():
            raise InvalidInput(field, text, "Say who reviewed the messages and why they are meant so; both are kept.")
    since = None if day else database_time(db) - timedelta(days=REVIEW_DAYS)
    reviewable = [check.code for check in CHECKS if check.reviewable]
    report = audit_sends(db, day=day, since=since, only=reviewable, limits=AuditLimits(findings_max=100_000))
    found = {finding.fingerprint: finding for check in report.checks for finding in check.findings}
    if name not in found:
        raise NotFound(
            "fingerprint",
            name,
            f"No finding that a person may accept ({', '.join(reviewable)}) has it from "
            f"{Period(report.since, report.until)}; name the day of the messages.",
        )
    with db.begin() as tx:
        audit_trail.review(tx, fingerprint=name, who=who.strip(), why=why.strip())
        return replace(found[name], review=audit_trail.reviews(tx, [name])[name])


def _known(only: Collection[str] | None) -> Collection[str]:
    for code in only or ():
        if code not in CHECKS_BY_CODE:
            raise InvalidInput("only", code, f"Known checks: {', '.join(CHECKS_BY_CODE)}.")
    return list(CHECKS_BY_CODE) if only is None else only


def _asked(tx: Tx, check: Check, rows_examined: int, parameters: Mapping[str, Any]) -> CheckResult:
    rows = store.findings(tx, check.code, parameters)
    names = {fingerprint(check.code, row["subject"]): row for row in rows}
    reviews = audit_trail.reviews(tx, list(names)) if check.reviewable and names else {}
    trail = audit_trail.trail(
        tx,
        outbound_message_ids={number for row in rows for number in row["outbound_message_ids"] or ()},
        evidence=[identity for row in rows for identity in row["evidence"] or ()],
        inbound_event_ids={number for row in rows for number in row.get("inbound_event_ids") or ()},
    )
    found = [_finding(check, name, row, trail, reviews.get(name)) for name, row in names.items()]
    return answered(check, rows_examined=rows_examined, findings=found, found=rows[0]["found"] if rows else 0)


def _finding(
    check: Check, name: str, row: Mapping[str, Any], trail: audit_trail.Trail, review: Review | None
) -> AuditFinding:
    outbound = set(row["outbound_message_ids"] or ())
    identities = {tuple(identity) for identity in row["evidence"] or ()}
    events = set(row.get("inbound_event_ids") or ())
    evidence = [message for message in trail.provider_messages if _identity(message) in identities]
    return AuditFinding(
        code=check.code,
        fingerprint=name,
        said=sentence(
            check.code,
            row["facts"],
            outbound_message_ids=sorted(outbound),
            providers=sorted({message["provider"] for message in evidence}),
            inbound_event_ids=sorted(events),
        ),
        outbound_messages=tuple(m for m in trail.outbound_messages if m["outbound_message_id"] in outbound),
        provider_messages=tuple(_each_once(evidence)),
        attempts=tuple(a for a in trail.attempts if a["outbound_message_id"] in outbound),
        inbound_events=tuple(e for e in trail.inbound_events if e["inbound_event_id"] in events),
        review=review,
    )


def _legacy_keys(tx: Tx, parameters: Mapping[str, Any]) -> list[LegacyKey]:
    recorded = store.legacy_keys(tx, parameters)
    rows = [(name, *recorded.get(name, (0, 0))) for name in LEGACY_KEYS]
    return [legacy_key(name, rows_examined=count, repeated=repeated) for name, count, repeated in rows]


def _identity(message: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return message["provider"], message["account"], message["kind"], message["provider_message_id"]


def _each_once(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list({_identity(message): message for message in messages}.values())
