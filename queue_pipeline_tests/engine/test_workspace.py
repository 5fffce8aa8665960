"""What people decide about a workspace, and what they are shown."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.domain.lane import shard_of
from queue_pipeline.engine import pause, workspace
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.kitchen import Bystander, Kitchen
from queue_pipeline_tests.engine.quotas import WHO, WORKSPACE, Watched
from queue_pipeline_tests.races.staging import until_somebody_waits

ESCALATION: dict[str, Any] = {"quota": 300, "hours": 2.0, "approver": "Ines", **WHO}


@pytest.fixture
def watched(db: Database) -> Watched:
    return Watched(db)


def test_a_workspace_that_never_had_a_job_lies_in_the_shard_of_its_first_one(db: Database, kitchen: Kitchen) -> None:
    found = workspace.set_weight(db, "new-team", 5, **{**WHO, "shards": 4}).workspace
    assert (found.shard, found.weight, found.quota) == (shard_of("new-team", 4), 5, 64)
    kitchen.handle("demo", lambda *_: None)
    kitchen.put("demo", workspace="new-team")
    bystander = Bystander(db, shard=found.shard)
    assert len(bystander.claim()) == 1, "its lane wakes like any other"
    bystander.close()
    after = workspace.detail(db, "new-team").workspace
    assert (after.weight, after.in_flight, after.pending) == (5, 1, 0)
    assert after.served_at is not None


@pytest.mark.parametrize(
    ("decide", "code", "quota", "said"),
    [
        (lambda db: workspace.set_weight(db, WORKSPACE, 3, **WHO), "weight_set", 64, "The weight is 3; it was 1."),
        (lambda db: workspace.set_quota(db, WORKSPACE, 10, **WHO), "quota_set", 10, "Its own quota is 10."),
        (lambda db: workspace.set_eligible(db, WORKSPACE, True, **WHO), "eligibility_set", 64, "may be promoted"),
        (lambda db: workspace.escalate(db, WORKSPACE, **ESCALATION), "escalated", 300, "approved by Ines."),
    ],
)  # fmt: skip
def test_every_decision_is_a_row_with_who_and_why(
    db: Database, watched: Watched, decide: Callable[[Database], Any], code: str, quota: int, said: str
) -> None:
    found = decide(db)
    (decision,) = found.decisions
    assert (decision.reason_code, decision.from_quota, decision.to_quota, decision.who) == (code, 64, quota, "olga")
    assert said in decision.said
    assert decision.said.endswith(WHO["why"])
    assert found.workspace.quota == watched.quota() == quota


def test_a_quota_of_its_own_stands_above_the_tier_and_an_escalation_above_both(db: Database, watched: Watched) -> None:
    watched.promoted()
    assert workspace.set_quota(db, WORKSPACE, 10, **WHO).workspace.quota == 10
    escalated = workspace.escalate(db, WORKSPACE, **ESCALATION).workspace
    assert (escalated.quota, escalated.own_quota, escalated.tier) == (300, 10, "promoted")
    assert workspace.set_quota(db, WORKSPACE, 20, **WHO).workspace.quota == 300
    assert watched.tick() == [], "the rules leave a person's word alone"
    assert [workspace.return_quota(db, WORKSPACE, **WHO).workspace.quota for _ in range(2)] == [20, 100]
    assert watched.reasons()[-2:] == ["escalation_ended", "quota_unset"]
    with pytest.raises(InvalidInput, match="neither an escalation nor a quota of its own"):
        workspace.return_quota(db, WORKSPACE, **WHO)


def test_an_eligibility_that_is_withdrawn_ends_a_promotion_at_once(db: Database, watched: Watched) -> None:
    watched.promoted()
    found = workspace.set_eligible(db, WORKSPACE, False, **WHO)
    assert (found.workspace.quota, found.workspace.tier) == (64, "standard")
    assert (found.decisions[0].from_tier, found.decisions[0].to_tier) == ("promoted", "standard")
    assert watched.tick() == []


def test_one_escalation_at_a_time_and_one_that_has_expired_is_none(db: Database, watched: Watched) -> None:
    workspace.escalate(db, WORKSPACE, **ESCALATION)
    with pytest.raises(InvalidInput, match="It is escalated to 300 already"):
        workspace.escalate(db, WORKSPACE, **{**ESCALATION, "quota": 400})
    watched.pass_time(2 * 3600 + 1)
    assert workspace.escalate(db, WORKSPACE, **{**ESCALATION, "quota": 400}).workspace.quota == 400
    assert watched.reasons() == ["escalated", "escalation_expired", "escalated"]
    assert len(workspace.escalations(db, limit=10)) == 1


def test_of_two_escalations_at_once_one_is_refused(db: Database, watched: Watched) -> None:
    workspace.set_weight(db, WORKSPACE, 2, **WHO)
    with ThreadPoolExecutor(2) as pool:
        with psycopg.connect(db.url, options="-c search_path=queue_pipeline") as other:
            other.execute("SELECT FROM workspace_quota FOR UPDATE")
            both = [pool.submit(workspace.escalate, db, WORKSPACE, **ESCALATION) for _ in range(2)]
            until_somebody_waits(db, both[0], sessions=2)
        refused = [error for each in both if (error := each.exception()) is not None]
    assert [type(error) for error in refused] == [InvalidInput]
    assert watched.reasons() == ["weight_set", "escalated"]


def test_what_is_refused_leaves_nothing_behind(db: Database, watched: Watched) -> None:
    refused: list[Callable[[], object]] = [
        lambda: workspace.set_weight(db, WORKSPACE, 0, **WHO),
        lambda: workspace.set_quota(db, WORKSPACE, 0, **WHO),
        lambda: workspace.set_eligible(db, WORKSPACE, False, **WHO),
        lambda: workspace.escalate(db, WORKSPACE, **{**ESCALATION, "quota": 64}),
        lambda: workspace.escalate(db, WORKSPACE, **{**ESCALATION, "hours": 73.0}),
        lambda: workspace.escalate(db, WORKSPACE, **{**ESCALATION, "approver": " "}),
        lambda: workspace.return_quota(db, WORKSPACE, **WHO),
        lambda: workspace.set_weight(db, "a\x00b", 2, **WHO),
        lambda: workspace.set_weight(db, WORKSPACE, 2, **{**WHO, "why": ""}),
    ]
    for decide in refused:
        with pytest.raises(InvalidInput):
            decide()
    assert watched.run("SELECT 1 FROM workspace_lane") == watched.run("SELECT 1 FROM quota_decision") == []
    with pytest.raises(NotFound, match="It never had a job"):
        workspace.detail(db, WORKSPACE)


def test_a_workspace_shows_what_waits_and_every_pause_that_holds_it(
    db: Database, watched: Watched, kitchen: Kitchen
) -> None:
    kitchen.handle("demo", lambda *_: None)
    kitchen.put("demo", 3, workspace=WORKSPACE)
    lane = workspace.set_weight(db, WORKSPACE, 2, **WHO).workspace
    watched.run("UPDATE job SET first_due_at = now() - interval '90 s'")
    found = workspace.detail(db, WORKSPACE).workspace
    assert (found.pending, found.in_flight, found.paused) == (3, 0, False)
    assert found.oldest_due_age_seconds is not None
    assert 90 <= found.oldest_due_age_seconds < 120
    for scope, name in (("workspace", WORKSPACE), ("workspace", "others"), ("shard", lane.shard), ("kind", "demo")):
        pause.pause(db, scope, name, **WHO)
    shown = workspace.detail(db, WORKSPACE)
    assert [(each.scope, each.name) for each in shown.pauses] == [("workspace", WORKSPACE), ("shard", lane.shard)]
    assert shown.workspace.paused


def test_those_that_were_decided_about_are_listed_first_and_then_the_busiest(
    db: Database, watched: Watched, kitchen: Kitchen
) -> None:
    kitchen.handle("demo", lambda *_: None)
    for name, count in (("quiet", 1), ("busy", 3), ("idle", 0)):
        watched.run(f"INSERT INTO workspace_lane (workspace, shard) VALUES ('{name}', 'shard-00')")
        if count:
            kitchen.put("demo", count, workspace=name)
    bystander = Bystander(db)
    bystander.claim()
    bystander.close()
    workspace.escalate(db, "vip", **ESCALATION)
    watched.promoted("large")
    assert [each.workspace for each in workspace.workspaces(db, limit=10)] == ["vip", "large", "busy", "quiet", "idle"]
    assert [each.workspace for each in workspace.workspaces(db, limit=3)] == ["vip", "large", "busy"]
