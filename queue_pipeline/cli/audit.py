"""`audit`: was anything sent twice, and who has looked at what seemed so."""

from datetime import UTC, date, datetime, timedelta

import click

from queue_pipeline.cli.console import clock, json_option, print_json, print_table, say
from queue_pipeline.cli.flags import who_option, why_option
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.audit import AuditFinding, AuditReport
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.engine.audit import audit_sends, review_finding
from queue_pipeline.engine.dagster_run import database_time
from queue_pipeline.store.session import Database

_EXIT_CODES = {"pass": 0, "breach": 1, "inconclusive": 2}
_SHOWN = 20

day_option = click.option(
    "--day", "day_text", default=None, metavar="D", help="One UTC day: 2031-03-04, today or yesterday."
)


@click.group("audit")
def audit_command() -> None:
    """Hold what providers said against the ledger: was anything sent twice?"""


@audit_command.command("sends")
@day_option
@click.option("--since", default=None, metavar="T", help="From this instant: ISO 8601 with an offset.")
@click.option("--until", default=None, metavar="T", help="Until just before this instant; now by default.")
@json_option
def sends_command(*, day_text: str | None, since: str | None, until: str | None, as_json: bool) -> None:
    """Audit the sends of one day, of a period, or of the last 24 hours.

    Exit code 0: pass; 1: something was sent twice or may have been; 2: there was nothing to examine, which proves
    nothing.
    """
    with opened() as session:
        report = audit_sends(
            session.db,
            day=_day(session.db, day_text),
            since=_instant("--since", since),
            until=_instant("--until", until),
        )
    if as_json:
        print_json(report)
    else:
        _show(report)
    raise SystemExit(_EXIT_CODES[report.verdict])


@audit_command.command("review")
@click.argument("fingerprint")
@why_option
@who_option
@day_option
@json_option
def review_command(*, fingerprint: str, why: str, who: str, day_text: str | None, as_json: bool) -> None:
    """Accept two messages that look alike (D4), so that they no longer count.

    The fingerprint is the one that `audit sends` prints. It is looked for in the last 31 days, or in the day given.
    """
    with opened() as session:
        finding = review_finding(session.db, fingerprint, who=who, why=why, day=_day(session.db, day_text))
    if as_json:
        print_json(finding)
        return
    print_table(_FINDING_COLUMNS, [_row(finding)], empty="")


_FINDING_COLUMNS = (
    "Check", "Fingerprint", "Messages", "At providers", "Attempts", "Function runs", "Dagster runs", "What", "Reviewed",
)  # fmt: skip


def _show(report: AuditReport) -> None:
    checks = [(c.code, c.rows_examined, c.found, c.open, "yes" if c.gates else "no", c.verdict, c.question)
              for c in report.checks]  # fmt: skip
    print_table(("Check", "Examined", "Found", "Open", "Gates", "Verdict", "Question"), checks, empty="")
    keys = [(key.legacy_key, key.rows_examined, key.repeated, key.verdict) for key in report.legacy_keys]
    print_table(("D8: legacy key", "Recorded", "Repeated", "Verdict"), keys, empty="")
    findings = [finding for check in report.checks for finding in check.findings]
    if findings:
        print_table(_FINDING_COLUMNS, [_row(finding) for finding in findings[:_SHOWN]], empty="")
    if len(findings) > _SHOWN:
        say(f"{len(findings) - _SHOWN} more findings: see --json.")
    say(report.said)


def _row(finding: AuditFinding) -> tuple[str, ...]:
    evidence = [f"{m['provider']} {m['provider_message_id']}" for m in finding.provider_messages]
    attempts = [f"{a['outbound_message_id']}#{a['attempt']} (epoch {a['epoch']})" for a in finding.attempts]
    runs = sorted({a["function_run_id"] for a in finding.attempts if a["function_run_id"] is not None})
    dagster_runs = sorted({a["dagster_run_id"][:8] for a in finding.attempts if a["dagster_run_id"]})
    review = finding.review
    return (
        finding.code,
        finding.fingerprint,
        ", ".join(str(m["outbound_message_id"]) for m in finding.outbound_messages),
        ", ".join(evidence),
        ", ".join(attempts),
        ", ".join(map(str, runs)),
        ", ".join(dagster_runs),
        finding.said,
        f"{review.who}, {clock(review.reviewed_at)}: {review.why}" if review else "",
    )


def _day(db: Database, text: str | None) -> date | None:
    if text is None:
        return None
    if text in ("today", "yesterday"):
        return database_time(db).astimezone(UTC).date() - timedelta(days=int(text == "yesterday"))
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("--day", text, "Give a day such as 2031-03-04, or today, or yesterday.") from error


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            option, text, "Give ISO 8601 with an offset from UTC, such as 2031-03-04T10:00:00Z."
        ) from error


commands: list[click.Command] = [audit_command]
