"""`workspace`: see a workspace's place in the queue, and decide about its weight, its quota and escalations."""

from dataclasses import asdict
from typing import Any

import click

from queue_pipeline.cli.console import cell, json_option, print_json, print_table, say
from queue_pipeline.cli.flags import who_option, why_option
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.duration import duration
from queue_pipeline.engine import workspace as engine
from queue_pipeline.engine.workspace import WorkspaceDetail
from queue_pipeline.store.workspace import QuotaDecision, Workspace

_LISTED = (
    "Workspace", "Shard", "Weight", "Quota", "Tier", "Eligible", "Escalated until", "In flight", "Pending",
    "Oldest due (s)", "Last served", "Paused",
)  # fmt: skip
_DECISIONS = ("When", "Reason", "Quota", "Tier", "Who", "Said")
workspace_argument = click.argument("workspace", metavar="W")


@click.group("workspace")
def workspace_group() -> None:
    """See workspaces, and decide about their weights, quotas, promotions and escalations.

    Every decision is kept with who and why. It takes effect with the next claim; what runs goes on.
    """


@workspace_group.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N", help="At most N.")
@json_option
def list_command(*, limit: int, as_json: bool) -> None:
    """List workspaces: those that were decided about first, then those with most jobs in flight."""
    with opened() as session:
        found = engine.workspaces(session.db, limit=limit)
    if as_json:
        print_json(found)
        return
    print_table(_LISTED, [_row(workspace) for workspace in found], empty="No workspace has had a job yet.")


@workspace_group.command("show")
@workspace_argument
@json_option
def show_command(*, workspace: str, as_json: bool) -> None:
    """Show one workspace: its place, its quota and why, what waits and runs, pauses, and the latest decisions."""
    with opened() as session:
        found = engine.detail(session.db, workspace)
    if as_json:
        print_json(_as_data(found))
    else:
        _show(found)


@workspace_group.command("weight")
@workspace_argument
@click.argument("weight", type=int, metavar="N")
@who_option
@why_option
@json_option
def weight_command(*, workspace: str, weight: int, who: str, why: str, as_json: bool) -> None:
    """Give W the weight N: that many times the share of a workspace of weight 1, when both have due jobs."""
    with opened() as session:
        shards = session.settings.shards
        found = engine.set_weight(session.db, workspace, weight, who=who, why=why, shards=shards)
    _answer(found, as_json=as_json)


@workspace_group.command("quota")
@workspace_argument
@click.argument("quota", type=int, metavar="N")
@who_option
@why_option
@json_option
def quota_command(*, workspace: str, quota: int, who: str, why: str, as_json: bool) -> None:
    """Give W a quota of its own: at most N of its jobs run at once, whatever its tier, until `workspace return`."""
    with opened() as session:
        shards = session.settings.shards
        found = engine.set_quota(session.db, workspace, quota, who=who, why=why, shards=shards)
    _answer(found, as_json=as_json)


@workspace_group.command("eligible")
@workspace_argument
@click.argument("eligible", type=click.Choice(["on", "off"]))
@who_option
@why_option
@json_option
def eligible_command(*, workspace: str, eligible: str, who: str, why: str, as_json: bool) -> None:
    """Let the rules promote W after enough healthy windows (on), or not; off ends a promotion at once."""
    with opened() as session:
        shards = session.settings.shards
        found = engine.set_eligible(session.db, workspace, eligible == "on", who=who, why=why, shards=shards)
    _answer(found, as_json=as_json)


@workspace_group.command("escalate")
@workspace_argument
@click.option("--quota", type=int, required=True, metavar="N", help="At most N of its jobs run at once, meanwhile.")
@click.option("--hours", type=float, required=True, metavar="H", help="It returns by itself after so many hours.")
@click.option("--approver", required=True, metavar="NAME", help="Who approved it; it is kept.")
@who_option
@why_option
@json_option
def escalate_command(
    *, workspace: str, quota: int, hours: float, approver: str, who: str, why: str, as_json: bool
) -> None:
    """Raise the quota of W for some hours. A duplicate send ends it at once; `workspace return` ends it by hand."""
    with opened() as session:
        found = engine.escalate(
            session.db,
            workspace,
            quota=quota,
            hours=hours,
            approver=approver,
            who=who,
            why=why,
            shards=session.settings.shards,
        )
    _answer(found, as_json=as_json)


@workspace_group.command("return")
@workspace_argument
@who_option
@why_option
@json_option
def return_command(*, workspace: str, who: str, why: str, as_json: bool) -> None:
    """End the escalation of W; without one, take back the quota that was set by hand."""
    with opened() as session:
        found = engine.return_quota(session.db, workspace, who=who, why=why, shards=session.settings.shards)
    _answer(found, as_json=as_json)


def _answer(found: WorkspaceDetail, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_data(found))
    else:
        latest, lane = found.decisions[0], found.workspace
        say(f"{latest.said} Workspace {lane.workspace}: quota {lane.quota}, weight {lane.weight}, {lane.shard}.")


def _as_data(found: WorkspaceDetail) -> dict[str, Any]:
    return {**asdict(found.workspace), "pauses": found.pauses, "decisions": found.decisions}


def _show(found: WorkspaceDetail) -> None:
    lane = found.workspace
    facts = [
        ("Workspace", lane.workspace),
        ("Shard", lane.shard),
        ("Weight", lane.weight),
        ("Quota", f"{lane.quota}, {_because(lane)}"),
        ("Tier", lane.tier),
        ("Eligible", lane.eligible),
        ("Escalation", _escalation(lane)),
        ("In flight now", lane.in_flight),
        ("Pending", lane.pending),
        (
            "Oldest due",
            "nothing is due" if lane.oldest_due_age_seconds is None else duration(lane.oldest_due_age_seconds),
        ),
        ("Last served", lane.served_at or "never"),
        ("Paused", lane.paused),
    ]
    print_table(("Fact", "Value"), facts, empty="")
    for pause in found.pauses:
        until = "" if pause.until is None else f", until {cell(pause.until)}"
        say(f"Paused ({pause.scope}) by {pause.who} since {cell(pause.since)}{until}: {pause.why}.")
    print_table(_DECISIONS, [_decision(each) for each in found.decisions], empty="Nobody has decided about it yet.")


def _because(lane: Workspace) -> str:
    if lane.escalated_quota is not None:
        return "by escalation"
    return "set by a person" if lane.own_quota is not None else "that of its tier"


def _escalation(lane: Workspace) -> str:
    if lane.escalated_quota is None:
        return "none"
    until = cell(lane.escalated_until)
    return f"to {lane.escalated_quota} until {until}, approved by {lane.escalated_by}: {lane.escalated_why}"


def _row(lane: Workspace) -> tuple[object, ...]:
    return (
        lane.workspace, lane.shard, lane.weight, lane.quota, lane.tier, lane.eligible, lane.escalated_until,
        lane.in_flight, lane.pending, lane.oldest_due_age_seconds, lane.served_at, lane.paused,
    )  # fmt: skip


def _decision(each: QuotaDecision) -> tuple[object, ...]:
    quota = f"{each.from_quota} → {each.to_quota}" if each.from_quota != each.to_quota else each.to_quota
    tier = f"{each.from_tier} → {each.to_tier}" if each.from_tier != each.to_tier else each.to_tier
    return (each.decided_at, each.reason_code, quota, tier, each.who, each.said)


commands: list[click.Command] = [workspace_group]
