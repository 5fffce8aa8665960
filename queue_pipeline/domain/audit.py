"""The answers of the duplicate-send audit and what they mean together. A finding names its messages by ids alone."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from queue_pipeline.domain.audit_check import CHECKS_BY_CODE, LEGACY_KEYS, Check
from queue_pipeline.domain.errors import InvalidInput

Verdict = Literal["pass", "breach", "inconclusive"]


@dataclass(frozen=True)
class AuditLimits:
    """The bounds of one audit; durations in seconds unless the name says otherwise.

    `settle_seconds`: evidence may come this much later than the send; before that nothing is missed.
    `suspect_seconds` and `short_suspect_seconds`: how far apart two messages that look alike are suspects, the second
    for texts shorter than `short_text` characters, which people and machines repeat innocently.
    """

    settle_seconds: float = 120.0
    unknown_seconds: float = 1800.0
    suspect_seconds: float = 86_400.0
    short_suspect_seconds: float = 15.0
    short_text: int = 20
    findings_max: int = 200
    period_days_max: int = 92


@dataclass(frozen=True)
class Period:
    """The instants from `since` until just before `until`."""

    since: datetime
    until: datetime

    def __str__(self) -> str:
        """Both instants in UTC, to the minute."""
        return f"{self.since.astimezone(UTC):%Y-%m-%d %H:%M} to {self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Review:
    """Who accepted a finding, and why."""

    fingerprint: str
    who: str
    why: str
    reviewed_at: datetime


@dataclass(frozen=True)
class AuditFinding:
    """What one check found: a sentence, and the rows concerned with their ids and times. `fingerprint` stays the same
    for the same messages, whatever period is audited."""

    code: str
    fingerprint: str
    said: str
    outbound_messages: tuple[Mapping[str, Any], ...] = ()
    provider_messages: tuple[Mapping[str, Any], ...] = ()
    attempts: tuple[Mapping[str, Any], ...] = ()
    inbound_events: tuple[Mapping[str, Any], ...] = ()
    review: Review | None = None


@dataclass(frozen=True)
class CheckResult:
    """The answer to one question. `findings` lists at most `findings_max`; `found` counts all, `open` those that
    nobody reviewed."""

    code: str
    name: str
    question: str
    gates: bool
    rows_examined: int
    found: int
    open: int
    verdict: Verdict
    said: str
    findings: tuple[AuditFinding, ...] = ()


@dataclass(frozen=True)
class LegacyKey:
    """One key of the earlier system: how often it was recorded, and how many values more than once."""

    legacy_key: str
    rows_examined: int
    repeated: int
    verdict: Literal["structural"]
    said: str


@dataclass(frozen=True)
class AuditReport:
    """Everything that one audit found, and its verdict."""

    since: datetime
    until: datetime
    audited_at: datetime
    verdict: Verdict
    said: str
    checks: tuple[CheckResult, ...]
    legacy_keys: tuple[LegacyKey, ...] = field(default=())


def period_of(
    now: datetime, *, day: date | None, since: datetime | None, until: datetime | None, limits: AuditLimits
) -> Period:
    """The period that is asked for: a UTC day, or two instants, or the last 24 hours; it ends now at the latest.

    Raises InvalidInput.
    """
    if day is not None:
        if since is not None or until is not None:
            raise InvalidInput("day", day.isoformat(), "Give either a day or since and until.")
        since = datetime(day.year, day.month, day.day, tzinfo=UTC)
        until = since + timedelta(days=1)
    for name, instant in (("since", since), ("until", until)):
        if instant is not None and instant.tzinfo is None:
            raise InvalidInput(name, instant.isoformat(), "Add an offset from UTC, such as Z or +01:00.")
    end = min(until or now, now)
    start = since or end - timedelta(days=1)
    if start >= now:
        name, value = ("day", day.isoformat()) if day else ("since", start.isoformat())
        raise InvalidInput(name, value, f"It has not begun yet; it is {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC.")
    if start >= end:
        raise InvalidInput("since", start.isoformat(), "It must be before until.")
    if end - start > timedelta(days=limits.period_days_max):
        raise InvalidInput("since", start.isoformat(), f"Audit at most {limits.period_days_max} days at once.")
    return Period(start, end)


def fingerprint(code: str, subject: str) -> str:
    """A short name for what a finding is about, the same in every audit that finds it."""
    return f"{code[:2].lower()}-{hashlib.sha256(f'v1|{code}|{subject}'.encode()).hexdigest()[:16]}"


def answered(check: Check, *, rows_examined: int, findings: Sequence[AuditFinding], found: int) -> CheckResult:
    """The answer to one question. What is found beyond the list counts as unreviewed."""
    reviewed = sum(finding.review is not None for finding in findings)
    unreviewed = found - reviewed
    verdict: Verdict = "breach" if unreviewed else "pass" if rows_examined else "inconclusive"
    seen = f"{rows_examined:,} {check.rows} examined"
    if unreviewed:
        said = f"{unreviewed:,} {check.one if unreviewed == 1 else check.many}; {seen}."
    elif rows_examined:
        said = f"Nothing found; {seen}."
    else:
        said = f"Inconclusive: 0 {check.rows} to examine, which proves nothing."
    if reviewed:
        said += f" {reviewed:,} more reviewed."
    return CheckResult(
        code=check.code,
        name=check.name,
        question=check.question,
        gates=check.gates,
        rows_examined=rows_examined,
        found=found,
        open=unreviewed,
        verdict=verdict,
        said=said,
        findings=tuple(findings),
    )


def legacy_key(name: str, *, rows_examined: int, repeated: int) -> LegacyKey:
    """One row of D8, with the sentence that says how little it proves."""
    said = (
        f"Structural: {rows_examined:,} recorded, {repeated:,} repeated. This cannot fail by construction, because the "
        f"database keeps the column UNIQUE; a repetition would have meant {LEGACY_KEYS[name]}, not sent twice."
    )
    return LegacyKey(name, rows_examined, repeated, "structural", said)


def reported(
    period: Period, *, audited_at: datetime, checks: Sequence[CheckResult], legacy_keys: Sequence[LegacyKey]
) -> AuditReport:
    """The verdict: "breach" when a check that gates found something, "inconclusive" when one had nothing to look at."""
    gates = [check for check in checks if check.gates]
    breached = [check for check in gates if check.verdict == "breach"]
    gaps = [check for check in gates if check.verdict == "inconclusive" and not CHECKS_BY_CODE[check.code].may_be_empty]
    verdict: Verdict = "breach" if breached else "inconclusive" if gaps or not gates else "pass"
    beside = [check for check in checks if not check.gates and check.verdict == "breach"]
    return AuditReport(
        since=period.since,
        until=period.until,
        audited_at=audited_at,
        verdict=verdict,
        said=" ".join([f"{verdict.upper()}, {period}.", *_reasons(breached, gaps, beside)]),
        checks=tuple(checks),
        legacy_keys=tuple(legacy_keys),
    )


def _reasons(breached: Sequence[CheckResult], gaps: Sequence[CheckResult], beside: Sequence[CheckResult]) -> list[str]:
    said = [f"{check.code}: {check.said}" for check in breached]
    if gaps:
        said.append(f"{', '.join(check.code for check in gaps)} had nothing to examine.")
    said += [f"Beside the gate, {check.code}: {check.said}" for check in beside]
    return said or ["Every check that gates examined rows and found nothing."]
