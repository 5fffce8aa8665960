"""What people decide about a workspace: its weight, its quota, whether it may be promoted, and escalations.

Every decision says who and why, and is a row of `quota_decision`. Nothing need have run before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.pause import PauseScope
from queue_pipeline.domain.quota import (
    Reason,
    Standing,
    Tier,
    checked_escalation,
    checked_quota,
    checked_weight,
    checked_words,
    checked_workspace,
    quota_of,
)
from queue_pipeline.engine.quota import end_expired
from queue_pipeline.store import pause as pauses
from queue_pipeline.store import quota as quotas
from queue_pipeline.store import workspace as store
from queue_pipeline.store.pause import Pause
from queue_pipeline.store.quota import NewDecision
from queue_pipeline.store.session import Database, Tx
from queue_pipeline.store.workspace import Escalation, QuotaDecision, Workspace

_DEFAULT_LIMITS = Limits()
DECISIONS_SHOWN = 10


@dataclass(frozen=True)
class WorkspaceDetail:
    """One workspace, every pause that holds it, and the latest decisions about it, newest first."""

    workspace: Workspace
    pauses: Sequence[Pause]
    decisions: Sequence[QuotaDecision]


def workspaces(db: Database, *, limit: int) -> list[Workspace]:
    """Workspaces, those that were decided about first, then the busiest. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.listed(tx, limit=limit)


def detail(db: Database, workspace: str) -> WorkspaceDetail:
    """Everything about one workspace. Raises NotFound, DatabaseUnavailable."""
    with db.begin() as tx:
        return _detail(tx, checked_workspace(workspace))


def decisions(db: Database, *, limit: int) -> list[QuotaDecision]:
    """The latest decisions about any workspace, newest first. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.decisions(tx, limit=limit)


def escalations(db: Database, *, limit: int) -> list[Escalation]:
    """Escalations that have not ended, the next to expire first. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.escalations(tx, limit=limit)


def set_weight(
    db: Database, workspace: str, weight: int, *, who: str, why: str, shards: int, limits: Limits = _DEFAULT_LIMITS
) -> WorkspaceDetail:
    """Give a workspace another weight. Raises InvalidInput, DatabaseUnavailable."""
    words = checked_words(who=who, why=why)
    checked_weight(weight)
    with db.begin() as tx:
        before = _to_change(tx, workspace, shards, limits)
        lane = _lane(tx, workspace)
        store.set_weight(tx, workspace, weight)
        said = f"The weight is {weight}; it was {lane.weight}. {words['why']}"
        _changed(tx, before, before, reason=Reason.WEIGHT_SET, said=said, who=words["who"], limits=limits)
        return _detail(tx, workspace)


def set_quota(
    db: Database, workspace: str, quota: int, *, who: str, why: str, shards: int, limits: Limits = _DEFAULT_LIMITS
) -> WorkspaceDetail:
    """Give a workspace a quota of its own, which stands above its tier until it is taken back.

    An escalation stands above both while it lasts. Raises InvalidInput, DatabaseUnavailable.
    """
    words = checked_words(who=who, why=why)
    checked_quota(quota, limits)
    with db.begin() as tx:
        before = _to_change(tx, workspace, shards, limits)
        quotas.set_own_quota(tx, workspace, quota)
        after = replace(before, own_quota=quota)
        said = f"Its own quota is {quota}. {words['why']}"
        _changed(tx, before, after, reason=Reason.QUOTA_SET, said=said, who=words["who"], limits=limits)
        return _detail(tx, workspace)


def set_eligible(
    db: Database, workspace: str, eligible: bool, *, who: str, why: str, shards: int, limits: Limits = _DEFAULT_LIMITS
) -> WorkspaceDetail:
    """Let the rules promote a workspace, or not any more, which ends a promotion at once.

    Raises InvalidInput, also when it is so already; DatabaseUnavailable.
    """
    words = checked_words(who=who, why=why)
    with db.begin() as tx:
        before = _to_change(tx, workspace, shards, limits)
        if before.eligible == eligible:
            now = "eligible" if eligible else "not eligible"
            raise InvalidInput("eligible", "on" if eligible else "off", f"The workspace is {now} already.")
        quotas.set_eligible(tx, workspace, eligible=eligible)
        after = before if eligible else replace(before, tier=Tier.STANDARD)
        if not eligible:
            quotas.answer(tx, workspace, tier=after.tier, rule_code=Reason.NOT_ELIGIBLE, duplicates=False)
        grants = "may be promoted after enough healthy windows" if eligible else "is not promoted, however healthy"
        said = f"The workspace {grants}. {words['why']}"
        _changed(tx, before, after, reason=Reason.ELIGIBILITY_SET, said=said, who=words["who"], limits=limits)
        return _detail(tx, workspace)


def escalate(
    db: Database,
    workspace: str,
    *,
    quota: int,
    hours: float,
    approver: str,
    why: str,
    who: str,
    shards: int,
    limits: Limits = _DEFAULT_LIMITS,
) -> WorkspaceDetail:
    """Raise a workspace's quota for so many hours; it returns by itself, and at once when a duplicate is heard of.

    Raises InvalidInput, also while it is escalated already; DatabaseUnavailable.
    """
    words = checked_words(who=who, approver=approver, why=why)
    with db.begin() as tx:
        before = _to_change(tx, workspace, shards, limits)
        if before.escalated_quota is not None:
            remedy = f"It is escalated to {before.escalated_quota} already; end that with `workspace return` first."
            raise InvalidInput("workspace", workspace, remedy)
        above = quota_of(before.tier, before.own_quota, None, limits)
        seconds = checked_escalation(quota, hours, above=above, limits=limits)
        until = quotas.escalate(tx, workspace, quota=quota, seconds=seconds, **words)
        for_how_long = f"for {hours:g} h, until {until:%Y-%m-%d %H:%M:%S %Z}"
        said = f"Escalated to {quota} {for_how_long}; approved by {words['approver']}. {words['why']}"
        _changed(
            tx,
            before,
            replace(before, escalated_quota=quota),
            reason=Reason.ESCALATED,
            said=said,
            who=words["who"],
            limits=limits,
        )
        return _detail(tx, workspace)


def return_quota(
    db: Database, workspace: str, *, who: str, why: str, shards: int, limits: Limits = _DEFAULT_LIMITS
) -> WorkspaceDetail:
    """End the escalation of a workspace; without one, take back the quota that a person set.

    Raises InvalidInput when there is neither; DatabaseUnavailable.
    """
    words = checked_words(who=who, why=why)
    with db.begin() as tx:
        before = _to_change(tx, workspace, shards, limits)
        if before.escalated_quota is not None:
            quotas.end_escalation(tx, workspace, **words)
            after, reason = replace(before, escalated_quota=None), Reason.ESCALATION_ENDED
            said = f"The escalation to {before.escalated_quota} was ended. {words['why']}"
        elif before.own_quota is not None:
            quotas.set_own_quota(tx, workspace, None)
            after, reason = replace(before, own_quota=None), Reason.QUOTA_UNSET
            said = f"Its own quota of {before.own_quota} was taken back. {words['why']}"
        else:
            raise InvalidInput("workspace", workspace, "It has neither an escalation nor a quota of its own.")
        _changed(tx, before, after, reason=reason, said=said, who=words["who"], limits=limits)
        return _detail(tx, workspace)


def _to_change(tx: Tx, workspace: str, shards: int, limits: Limits) -> Standing:
    """Where a workspace stands; nobody else decides about it until the transaction has ended."""
    store.ensure(tx, checked_workspace(workspace), shards=shards)
    end_expired(tx, limits=limits, only=workspace)
    (standing,) = quotas.standings(tx, [workspace])
    return standing


def _changed(tx: Tx, before: Standing, after: Standing, *, reason: Reason, said: str, who: str, limits: Limits) -> None:
    """Put what follows from a person's word into force, and on record."""
    quota = before.quota
    if after != before:
        quota = quota_of(after.tier, after.own_quota, after.escalated_quota, limits)
        if quota != before.quota and not quotas.move(tx, before.workspace, from_quota=before.quota, to_quota=quota):
            raise InvalidInput(
                "workspace", before.workspace, "Its quota was changed at the same time; look, and try again."
            )
    quotas.record(
        tx,
        NewDecision(before.workspace, before.quota, quota, before.tier, after.tier, reason, said, who),
    )


def _lane(tx: Tx, workspace: str) -> Workspace:
    found = store.get(tx, workspace)
    if found is None:
        raise NotFound("workspace", workspace, "It never had a job, and nobody decided about it; see `workspace list`.")
    return found


def _detail(tx: Tx, workspace: str) -> WorkspaceDetail:
    found = _lane(tx, workspace)
    holding = [pause for pause in pauses.open_pauses(tx) if _holds(pause, found)]
    return WorkspaceDetail(found, holding, store.decisions(tx, workspace=workspace, limit=DECISIONS_SHOWN))


def _holds(pause: Pause, lane: Workspace) -> bool:
    names = {PauseScope.EVERYTHING: "", PauseScope.SHARD: lane.shard, PauseScope.WORKSPACE: lane.workspace}
    return names.get(PauseScope(pause.scope)) == pause.name
