"""`capacity`: how many handlers may run at once, why, and an operator's word against it."""

import click

from queue_pipeline import wiring
from queue_pipeline.cli.console import json_option, print_json, print_table, say
from queue_pipeline.cli.flags import who_option, why_option
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.flag import CAPACITY_MODE, OFF, meaning_of
from queue_pipeline.engine import capacity
from queue_pipeline.engine.capacity import CapacityStatus
from queue_pipeline.store.capacity import Decision
from queue_pipeline.store.capacity_in_force import Override

_COLUMNS = (
    "When", "Mode", "Workers", "In flight", "Reason", "Arrivals/s", "Ended/s", "Due", "Age p95 (s)", "Why",
)  # fmt: skip


@click.group("capacity", invoke_without_command=True)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=15, show_default=True, metavar="N", help="Decisions shown."
)
@json_option
@click.pass_context
def capacity_group(ctx: click.Context, *, limit: int, as_json: bool) -> None:
    """Show what is in force and the last decisions, newest first. Flag capacity.mode says whether they act or tell."""
    if ctx.invoked_subcommand is not None:
        return
    with opened() as session:
        status = capacity.status(session.db, wiring.capacity_policy(session.settings), decisions=limit)
    if as_json:
        print_json(status)
    else:
        _show(status)


@capacity_group.command("override")
@click.option("--workers", type=int, default=None, metavar="N", help="Handlers at once in all drains.")
@click.option("--in-flight", "in_flight_max", type=int, default=None, metavar="M", help="Claimed jobs at once.")
@click.option("--hours", type=float, required=True, metavar="H", help="How long it holds, by the database's clock.")
@who_option
@why_option
@json_option
def override_command(
    *, workers: int | None, in_flight_max: int | None, hours: float, who: str, why: str, as_json: bool
) -> None:
    """Set workers, or the cap on claimed jobs, or both, by hand. It goes before guardrails and the load."""
    with opened() as session:
        policy = wiring.capacity_policy(session.settings)
        begun = capacity.override(
            session.db, policy, workers=workers, in_flight_max=in_flight_max, hours=hours, who=who, why=why
        )
        mode = capacity.status(session.db, policy, decisions=1).mode
    if as_json:
        print_json(begun)
        return
    say(_told(begun))
    if mode == OFF:
        say(f"Flag {CAPACITY_MODE} is off, so nothing obeys it: `queue-pipeline flags set {CAPACITY_MODE} observe`.")


@capacity_group.command("release")
@who_option
@why_option
@json_option
def release_command(*, who: str, why: str, as_json: bool) -> None:
    """Take the override back."""
    with opened() as session:
        ended = capacity.release(session.db, who=who, why=why)
    if as_json:
        print_json(ended)
    else:
        say(f"The override by {ended.who} is over: {ended.end_reason}.")


def _show(status: CapacityStatus) -> None:
    say(f"Flag {CAPACITY_MODE} is {status.mode}. {meaning_of(CAPACITY_MODE, status.mode)}")
    configured = f"as configured ({status.policy.configured})"
    workers = configured if status.workers is None else f"{status.workers:,}"
    cap = "no cap" if status.in_flight_max is None else f"{status.in_flight_max:,}"
    say(f"In force: workers {workers}, claimed jobs {cap}. Drains allow {status.running:,} handlers at once now.")
    if status.override is not None:
        say(_told(status.override))
    shards = [(shard, status.drains[shard], status.wanted[shard]) for shard in status.drains]
    print_table(("Shard", "Drains", "To be"), shards, empty="")
    print_table(_COLUMNS, [_row(each) for each in status.decisions], empty="There is no decision yet.")


def _row(decision: Decision) -> tuple[object, ...]:
    return (
        decision.decided_at,
        decision.mode,
        f"{decision.from_workers} > {decision.to_workers}",
        f"{decision.from_in_flight} > {decision.to_in_flight}",
        decision.reason_code,
        decision.arrivals_per_second,
        decision.finished_per_second,
        decision.due,
        decision.age_p95_seconds,
        decision.why,
    )


def _told(word: Override) -> str:
    parts = [] if word.workers is None else [f"{word.workers:,} workers"]
    parts += [] if word.in_flight_max is None else [f"{word.in_flight_max:,} claimed jobs"]
    return f"{word.who} set {' and '.join(parts)} until {word.until:%Y-%m-%d %H:%M:%S %Z}: {word.why}"


commands: list[click.Command] = [capacity_group]
