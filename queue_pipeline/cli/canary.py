"""`canary`: try candidate values of flags on some workspaces, watch them beside all others, and decide."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import click

from queue_pipeline.cli.console import json_option, print_json, print_table, say
from queue_pipeline.cli.flags import who_option, why_option
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.canary import CanaryContract, CanaryPlan, CohortSample
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.engine import canary as engine
from queue_pipeline.engine.canary import CanaryStatus
from queue_pipeline.engine.canary_tick import tick
from queue_pipeline.store.canary import Canary

_CONTRACT = CanaryContract()
_SAMPLE_COLUMNS = (
    "When", "Cohort", "Phase", "Due", "Oldest (s)", "Wait p95 (s)", "Started", "Failed", "Ended", "Duplicates",
)  # fmt: skip
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _number(option: str, default: int, what: str) -> Callable[[_Command], _Command]:
    return click.option(option, type=int, default=default, show_default=True, metavar="N", help=what)


@click.group("canary")
def canary_group() -> None:
    """Try candidate values of flags on some workspaces, watch them beside all others, promote or abort.

    Rules look at it every few seconds and turn it back by themselves; flag rollback.mode says whether they act or tell.
    """


@canary_group.command("start")
@click.option("--set", "assignments", multiple=True, required=True, metavar="FLAG=VALUE", help="A candidate value.")
@click.option(
    "--share",
    type=float,
    default=0.0,
    show_default=True,
    metavar="P",
    help="Percent of all workspaces.",
)
@click.option("--workspace", "allow", multiple=True, metavar="W", help="Besides, this workspace (may be repeated).")
@_number("--warm-up", _CONTRACT.warm_up_seconds, "Seconds before the window, in which rules only observe.")
@_number("--window", _CONTRACT.window_seconds, "Seconds that are judged.")
@_number("--samples-min", _CONTRACT.samples_min, "Samples that the window must have.")
@_number("--started-min", _CONTRACT.started_min, "Jobs that must have started in it.")
@who_option
@why_option
@json_option
def start_command(
    *,
    assignments: tuple[str, ...],
    share: float,
    allow: tuple[str, ...],
    warm_up: int,
    window: int,
    samples_min: int,
    started_min: int,
    who: str,
    why: str,
    as_json: bool,
) -> None:
    """Begin a canary. What is shorter than the contract serves drills: a decision about it is never GO."""
    contract = CanaryContract(warm_up, window, samples_min, started_min)
    plan = CanaryPlan(_candidate(assignments), share, tuple(allow), contract)
    with opened() as session:
        canary = engine.start(session.db, plan, who=who, why=why)
    _answer(canary, as_json=as_json)
    for sentence in () if as_json else contract.shortened():
        say(f"Shorter than the contract: {sentence}.")


@canary_group.command("hold")
@who_option
@why_option
@json_option
def hold_command(*, who: str, why: str, as_json: bool) -> None:
    """Let its time stand still; candidate values stay, samples and rules go on."""
    with opened() as session:
        _answer(engine.hold(session.db, who=who, why=why), as_json=as_json)


@canary_group.command("resume")
@who_option
@why_option
@json_option
def resume_command(*, who: str, why: str, as_json: bool) -> None:
    """End a hold."""
    with opened() as session:
        _answer(engine.resume(session.db, who=who, why=why), as_json=as_json)


@canary_group.command("promote")
@click.option("--force", is_flag=True, help="In spite of a verdict that is not PASS; that is kept.")
@who_option
@why_option
@json_option
def promote_command(*, force: bool, who: str, why: str, as_json: bool) -> None:
    """Make the candidate values everybody's, when the window is over and the verdict is PASS."""
    with opened() as session:
        _answer(engine.promote(session.db, who=who, why=why, force=force), as_json=as_json)


@canary_group.command("abort")
@who_option
@why_option
@json_option
def abort_command(*, who: str, why: str, as_json: bool) -> None:
    """End it; its workspaces have the values of all others again."""
    with opened() as session:
        _answer(engine.abort(session.db, who=who, why=why), as_json=as_json)


@canary_group.command("undo")
@who_option
@why_option
@json_option
def undo_command(*, who: str, why: str, as_json: bool) -> None:
    """Take back what the latest rollback changed of the flags."""
    with opened() as session:
        rollback = engine.undo(session.db, who=who, why=why)
    if as_json:
        print_json(rollback)
        return
    flipped = ", ".join(f"{change['flag']} is {change['from_value']} again" for change in rollback.changes)
    say(f"Rollback {rollback.rollback_id} is undone: {flipped or 'it had flipped no flag'}.")


@canary_group.command("acknowledge")
@who_option
@why_option
@json_option
def acknowledge_command(*, who: str, why: str, as_json: bool) -> None:
    """Take note of the latest rollback, so that its alert ends; nothing is changed."""
    with opened() as session:
        rollback = engine.acknowledge(session.db, who=who, why=why)
    if as_json:
        print_json(rollback)
    else:
        say(f"Rollback {rollback.rollback_id} is noted.")


@canary_group.command("tick")
@json_option
def tick_command(*, as_json: bool) -> None:
    """Look at it now: sample, move on, and judge. The alert sensor, the ingress and cron do this all the time."""
    with opened() as session:
        looked = tick(session.db)
    if as_json:
        print_json(looked)
    else:
        for sentence in looked.said or ["No canary is under way, or another process is looking at it."]:
            click.echo(sentence)


@canary_group.command("status")
@click.option("--canary", "canary_id", type=int, default=None, metavar="ID", help="Another one than the latest.")
@json_option
def status_command(*, canary_id: int | None, as_json: bool) -> None:
    """Show a canary, both cohorts side by side, and its verdict so far.

    Exit code 0: PASS, 1: FAIL, 2: INCONCLUSIVE, or there never was one.
    """
    with opened() as session:
        status = engine.status(session.db, canary_id=canary_id)
    if status is None:
        say("There never was a canary.")
        raise SystemExit(2)
    if as_json:
        print_json({**asdict(status), "contract_shortened": status.contract.shortened()})
    else:
        _show(status)
    raise SystemExit({"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}[status.verdict.verdict])


@canary_group.command("samples")
@click.option("--limit", type=click.IntRange(1, 10_000), default=40, show_default=True, metavar="N", help="At most N.")
@json_option
def samples_command(*, limit: int, as_json: bool) -> None:
    """List what was measured of the latest canary, newest last."""
    with opened() as session:
        status = engine.status(session.db)
    samples = [] if status is None else list(status.samples)[-limit:]
    if as_json:
        print_json(samples)
        return
    print_table(_SAMPLE_COLUMNS, [_row(sample) for sample in samples], empty="There are no samples.")


def _candidate(assignments: Sequence[str]) -> dict[str, str]:
    found = {}
    for assignment in assignments:
        flag, equals, value = assignment.partition("=")
        if not equals:
            raise InvalidInput("set", assignment, "Write FLAG=VALUE, such as drafts.auto_send=on.")
        found[flag.strip()] = value.strip()
    return found


def _answer(canary: Canary, *, as_json: bool) -> None:
    if as_json:
        print_json(canary)
    else:
        _tell(canary)


def _tell(canary: Canary) -> None:
    say(f"Canary {canary.canary_id} is {canary.state}: {engine.said_of(canary)}.")
    if canary.end_reason:
        say(f"It was ended by {canary.ended_by}: {canary.end_reason}.")


def _show(status: CanaryStatus) -> None:
    _tell(status.canary)
    rows = [(item.name, item.status, item.value, item.bound) for item in status.verdict.items]
    print_table(("Demand", "Status", "Measured", "Bound"), rows, empty="")
    print_table(
        ("Cohort", "Workspaces", "Queue age p95 (s)", "Wait p95 (s)", "Started", "Failed", "Ended", "Recoveries",
         "Late writes", "Duplicates"),
        [tuple(vars(cohort).values()) for cohort in status.cohorts],
        empty="There are no samples yet.",
    )  # fmt: skip
    for rollback in status.rollbacks:
        done = "Rolled back" if rollback.mode == "enforce" else "Would have been rolled back"
        say(f"{done} at {rollback.decided_at:%Y-%m-%d %H:%M:%S %Z}: {rollback.why}.")
    for sentence in status.contract.shortened():
        say(f"Shorter than the contract: {sentence}.")
    say(f"Verdict: {status.verdict.verdict}.")


def _row(sample: CohortSample) -> tuple[object, ...]:
    wait = None if sample.wait_p95_seconds is None else round(sample.wait_p95_seconds, 1)
    return (
        sample.sampled_at, sample.cohort, sample.phase, sample.pending_due, round(sample.oldest_due_age_seconds, 1),
        wait, sample.started_jobs, sample.failed_jobs, sample.finished_jobs, sample.duplicate_sends,
    )  # fmt: skip


commands: list[click.Command] = [canary_group]
