"""Quotas in Dagster: what was decided about workspaces, and what an operator decides from the UI."""

from collections.abc import Mapping, Sequence

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import ROLE_TAG, Cell, QueueResource, table, told_plainly
from queue_pipeline.defs.sources import quota_sources
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.quota import WEIGHT_MAX
from queue_pipeline.engine import workspace as engine
from queue_pipeline.engine.workspace import WorkspaceDetail
from queue_pipeline.store.workspace import Escalation, QuotaDecision

SHOWN = 50
_LIMITS = Limits()
_TAGS = {ROLE_TAG: "operator", "dagster/max_runtime": "600"}
_DECISIONS = ["decided", "workspace", "reason", "quota", "tier", "healthy windows", "breach windows", "who", "said"]
_ESCALATIONS = ["workspace", "quota", "since", "expires", "hours left", "approved by", "why"]


class WorkspaceConfig(dg.Config):
    """Which workspace, who decides, and why."""

    workspace: str = Field(min_length=1, max_length=200, description="The workspace; it need not have had a job yet.")
    who: str = Field(min_length=2, max_length=200, description="Who decides: your name. It is kept as evidence.")
    why: str = Field(min_length=3, max_length=500, description="Why you do this; it is kept as evidence.")


class WeightConfig(WorkspaceConfig):
    """Its share beside others."""

    weight: int = Field(ge=1, le=WEIGHT_MAX, description="So many times the share of a workspace of weight 1.")


class QuotaConfig(WorkspaceConfig):
    """A quota of its own."""

    quota: int = Field(
        ge=1, le=_LIMITS.lane_quota_max, description="At most so many of its jobs run at once, whatever its tier."
    )


class EligibleConfig(WorkspaceConfig):
    """Whether the rules may promote it."""

    eligible: bool = Field(description="true: after enough healthy windows it is promoted. false: it never is.")


class EscalateConfig(QuotaConfig):
    """A higher quota for a while."""

    hours: float = Field(gt=0, le=_LIMITS.escalation_hours_max, description="It returns by itself after so many hours.")
    approver: str = Field(min_length=2, max_length=200, description="Who approved it. It is kept as evidence.")


@dg.asset(
    deps=quota_sources,
    group_name="scale",
    kinds={"postgres"},
    description=(
        "The latest decisions about quotas and weights of workspaces, by the rules and by people, and the escalations"
        " that have not ended. Changed with the Dagster jobs `escalate_quota`, `return_quota`, `set_workspace_quota`,"
        " `set_workspace_weight` and `set_workspace_eligible`, or with `queue-pipeline workspace`."
    ),
)
def quota_decisions(queue: QueueResource) -> dg.MaterializeResult[None]:
    """Read and show."""
    with told_plainly():
        decisions = engine.decisions(queue.db, limit=SHOWN)
        escalations = engine.escalations(queue.db, limit=SHOWN)
    return dg.MaterializeResult(
        metadata={
            "summary": dg.MetadataValue.md(summary_of(decisions, escalations)),
            "escalations": table(_ESCALATIONS, [_escalation(each) for each in escalations]),
            "latest_decisions": table(_DECISIONS, [_decision(each) for each in decisions]),
            "active_escalations": dg.MetadataValue.int(len(escalations)),
        }
    )


def summary_of(decisions: Sequence[QuotaDecision], escalations: Sequence[Escalation]) -> str:
    """The decisions in a few sentences of Markdown."""
    if not decisions:
        return (
            "Nobody has decided about a workspace yet: each has the default quota of"
            f" {_LIMITS.lane_quota_default} and weight 1."
        )
    latest = decisions[0]
    now = f"{len(escalations)} escalations are active" if escalations else "No escalation is active"
    return f"{now}. The latest decision, about {latest.workspace} by {latest.who}: {latest.said}"


def _decision(each: QuotaDecision) -> Mapping[str, Cell]:
    return {
        "decided": each.decided_at.isoformat(timespec="seconds"),
        "workspace": each.workspace,
        "reason": each.reason_code,
        "quota": f"{each.from_quota} → {each.to_quota}",
        "tier": f"{each.from_tier} → {each.to_tier}",
        "healthy windows": each.healthy_windows,
        "breach windows": each.breach_windows,
        "who": each.who,
        "said": each.said,
    }


def _escalation(each: Escalation) -> Mapping[str, Cell]:
    return {
        "workspace": each.workspace,
        "quota": each.quota,
        "since": each.started_at.isoformat(timespec="seconds"),
        "expires": each.expires_at.isoformat(timespec="seconds"),
        "hours left": max(0.0, each.seconds_left / 3600),
        "approved by": each.approver,
        "why": each.why,
    }


def _tell(context: dg.OpExecutionContext, found: WorkspaceDetail) -> None:
    context.log.info("%s", found.decisions[0].said)
    lane = found.workspace
    context.add_output_metadata(
        {"workspace": lane.workspace, "quota": lane.quota, "weight": lane.weight, "tier": lane.tier}
    )


@dg.op(description="Raise the quota of one workspace for some hours.")
def escalate_one(context: dg.OpExecutionContext, config: EscalateConfig, queue: QueueResource) -> None:
    """Escalate it, and say until when."""
    with told_plainly():
        found = engine.escalate(
            queue.db,
            config.workspace,
            quota=config.quota,
            hours=config.hours,
            approver=config.approver,
            who=config.who,
            why=config.why,
            shards=queue.settings.shards,
            limits=queue.limits,
        )
    _tell(context, found)


@dg.op(description="End an escalation; without one, take back the quota that a person set.")
def return_one(context: dg.OpExecutionContext, config: WorkspaceConfig, queue: QueueResource) -> None:
    """Let it return, and say to what."""
    with told_plainly():
        found = engine.return_quota(
            queue.db, config.workspace, who=config.who, why=config.why, shards=queue.settings.shards
        )
    _tell(context, found)


@dg.op(description="Give one workspace a quota of its own.")
def set_one_quota(context: dg.OpExecutionContext, config: QuotaConfig, queue: QueueResource) -> None:
    """Set it, and say what is in force."""
    with told_plainly():
        found = engine.set_quota(
            queue.db, config.workspace, config.quota, who=config.who, why=config.why, shards=queue.settings.shards
        )
    _tell(context, found)


@dg.op(description="Give one workspace another weight.")
def set_one_weight(context: dg.OpExecutionContext, config: WeightConfig, queue: QueueResource) -> None:
    """Set it, and say what it was."""
    with told_plainly():
        found = engine.set_weight(
            queue.db, config.workspace, config.weight, who=config.who, why=config.why, shards=queue.settings.shards
        )
    _tell(context, found)


@dg.op(description="Let the rules promote one workspace, or not any more.")
def set_one_eligible(context: dg.OpExecutionContext, config: EligibleConfig, queue: QueueResource) -> None:
    """Set it, and say what that means."""
    with told_plainly():
        found = engine.set_eligible(
            queue.db, config.workspace, config.eligible, who=config.who, why=config.why, shards=queue.settings.shards
        )
    _tell(context, found)


def _job(name: str, description: str, op: dg.OpDefinition) -> dg.JobDefinition:
    graph = dg.GraphDefinition(name=name, node_defs=[op])
    return graph.to_job(
        name=name,
        description=f"{description} Needs a name and a reason.",
        executor_def=dg.in_process_executor,
        tags=_TAGS,
    )


quota_jobs = [
    _job(
        "escalate_quota",
        "Raise a workspace's quota for some hours, with an approver. It returns by itself, at once after a duplicate.",
        escalate_one,
    ),
    _job("return_quota", "End a workspace's escalation, or take back the quota that a person set.", return_one),
    _job("set_workspace_quota", "Give a workspace a quota of its own, whatever its tier.", set_one_quota),
    _job("set_workspace_weight", "Give a workspace a larger or smaller share beside others.", set_one_weight),
    _job(
        "set_workspace_eligible", "Let the rules promote a workspace after healthy windows, or not.", set_one_eligible
    ),
]
