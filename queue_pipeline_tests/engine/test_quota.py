"""The rules at work on a real database: samples, promotion, demotion, escalations that expire, and who looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import quota as engine
from queue_pipeline.engine import workspace as people
from queue_pipeline.engine.quota import tick
from queue_pipeline.settings import Settings
from queue_pipeline.store import quota as store
from queue_pipeline.store.session import Database
from queue_pipeline.wiring import teller
from queue_pipeline_tests.engine.alerting import Trouble
from queue_pipeline_tests.engine.canaries import Rollout
from queue_pipeline_tests.engine.kitchen import Bystander, Kitchen
from queue_pipeline_tests.engine.quotas import WHO, WORKSPACE, Watched
from queue_pipeline_tests.races.staging import until_somebody_waits
from queue_pipeline_tests.sends.ledger import KIND, a_ledger
from queue_pipeline_tests.waiting import eventually


@pytest.fixture
def watched(db: Database) -> Watched:
    return Watched(db)


@pytest.fixture
def claimer(db: Database) -> Iterator[Bystander]:
    bystander = Bystander(db)
    yield bystander
    bystander.close()


def escalate(watched: Watched, quota: int = 300, *, hours: float = 2.0) -> None:
    people.escalate(watched.db, WORKSPACE, quota=quota, hours=hours, approver="Ines", **WHO)


def test_nobody_is_watched_and_nothing_is_said_until_a_person_decides(watched: Watched) -> None:
    watched.run("INSERT INTO workspace_lane (workspace, shard) VALUES ('acme', 'shard-00')")
    assert watched.tick() == []
    assert watched.run("SELECT 1 FROM workspace_sample") == []


def test_four_healthy_windows_promote_an_eligible_workspace_and_its_row_says_why(watched: Watched) -> None:
    watched.eligible()
    watched.minutes(since=120)
    (said,) = watched.tick()
    assert "(promoted): 64 to 100 jobs. The latest 4 windows of 30 minutes were healthy." in said
    assert WORKSPACE not in said, "what is logged names no workspace"
    assert watched.quota() == 100
    decision = watched.latest()
    assert (decision["from_quota"], decision["to_quota"], decision["from_tier"], decision["to_tier"]) == (
        64, 100, "standard", "promoted",
    )  # fmt: skip
    assert (decision["reason_code"], decision["healthy_windows"], decision["who"]) == ("promoted", 4, "rules")
    assert decision["signals"] == {
        "queue_age_p95_seconds": 1.0, "failure_rate_percent": 0.0, "contention_breached": False, "duplicate_send_count": 0,
        "finished": 300, "failed": 0, "missing_samples": 0, "duplicates_now": 0,
    }  # fmt: skip
    assert watched.next_minute() == [], "an answer that did not change is no news"
    assert watched.reasons() == ["eligibility_set", "promoted"]


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        (lambda w: w.minutes(since=118), "windows_counting"),
        (lambda w: w.minutes(since=90), "windows_counting"),
        (lambda w: (w.minutes(since=120), w.minutes(since=2, oldest_due_age_seconds=180)), "window_unhealthy"),
        (lambda w: (w.minutes(since=120), w.minutes(since=1, failed=2)), "window_unhealthy"),
        (lambda w: (w.minutes(since=120), w.minutes(since=100, until=99, duplicates=1)), "windows_counting"),
        (lambda w: (w.minutes(since=120), w.minutes(since=10, until=8, lock_waiting=5)), "window_unhealthy"),
        (lambda w: w.minutes(since=120, until=30), "window_unhealthy"),
    ],
    ids=["two minutes missing", "three windows", "too old", "failures", "a duplicate", "lock waits", "nothing lately"],
)
def test_anything_less_does_not_promote(watched: Watched, plant: Callable[[Watched], Any], code: str) -> None:
    watched.eligible()
    plant(watched)
    watched.tick()
    assert watched.quota() == 64
    assert watched.latest()["reason_code"] == code


def test_one_missing_minute_in_a_window_is_borne(watched: Watched) -> None:
    watched.eligible()
    watched.minutes(since=119)
    watched.tick()
    assert watched.quota() == 100


def test_eligible_is_not_granted_and_not_eligible_is_never_promoted(watched: Watched) -> None:
    watched.minutes(since=120)
    people.set_weight(watched.db, WORKSPACE, 2, **WHO)
    escalate(watched)
    watched.tick()
    people.return_quota(watched.db, WORKSPACE, **WHO)
    assert watched.tick() == []
    assert watched.quota() == 64


@pytest.mark.parametrize("echo", [False, True])
def test_a_duplicate_demotes_at_once_and_is_answered_once(watched: Watched, echo: bool) -> None:
    watched.promoted()
    watched.minutes(since=120)
    assert watched.tick() == []
    watched.sent_twice(echo=echo)
    (said,) = watched.next_minute()
    assert "(demoted_duplicate): 100 to 64 jobs. 1 idempotency key has more than one message at a provider." in said
    assert watched.quota() == 64
    assert watched.latest()["signals"]["duplicates_now"] == 1
    watched.next_minute()
    assert watched.run("SELECT duplicates FROM workspace_sample ORDER BY sampled_at DESC LIMIT 1") == [(0,)]
    assert watched.reasons() == ["eligibility_set", "demoted_duplicate", "windows_counting"]
    ((since,),) = watched.run("SELECT now() - judged_since FROM workspace_quota")
    assert since.total_seconds() < 130, "the way back is four new windows"


def test_a_duplicate_of_another_workspace_demotes_nobody_else(watched: Watched) -> None:
    watched.promoted()
    watched.promoted("others")
    watched.sent_twice("others")
    watched.tick()
    assert (watched.quota(), watched.quota("others")) == (100, 64)


def test_a_second_message_of_an_old_one_counts_when_it_is_heard_of(watched: Watched) -> None:
    watched.promoted()
    watched.sent_twice()
    watched.run("UPDATE provider_message SET first_seen_at = now() - interval '8 hours'")
    watched.tick()
    assert watched.quota() == 100, "what was heard of before it was watched is the audit's"
    watched.run(
        "UPDATE provider_message SET first_seen_at = clock_timestamp(), sent_at = now() - interval '8 hours'"
        " WHERE ctid IN (SELECT ctid FROM provider_message LIMIT 1)"
    )
    watched.next_minute()
    assert watched.quota() == 64


@pytest.mark.parametrize(
    ("change", "code"), [({"failed": 1}, "demoted_failures"), ({"lock_waiting": 5}, "demoted_contention")]
)
def test_two_bad_quarters_of_an_hour_demote_and_one_does_not(
    watched: Watched, change: dict[str, Any], code: str
) -> None:
    watched.promoted()
    watched.minutes(since=60, grid=15)
    watched.minutes(since=15, grid=15, **change)
    assert watched.tick() == []
    assert watched.quota() == 100
    watched.run("UPDATE workspace_quota SET judged_at = '-infinity'")
    watched.minutes(since=30, grid=15, **change)
    (said,) = watched.tick()
    assert f"({code}): 100 to 64 jobs." in said
    assert (watched.quota(), watched.latest()["breach_windows"]) == (64, 2)


def test_a_minute_is_sampled_once_with_what_happened_since_the_one_before(db: Database, watched: Watched) -> None:
    rollout = Rollout(db)
    watched.eligible()
    rollout.attempts(7, failed=2, workspace=WORKSPACE)
    rollout.attempts(5, workspace="others")
    rollout.due(30.0, workspace=WORKSPACE)
    rollout.due(50.0, workspace=WORKSPACE, state="SCHEDULED")
    rollout.due(70.0, workspace="others")
    watched.tick()
    asked = "SELECT finished, failed, oldest_due_age_seconds::int / 10 FROM workspace_sample ORDER BY sampled_at"
    assert watched.run(asked) == [(7, 2, 5)]
    assert watched.tick() == []
    watched.next_minute()
    assert watched.run(asked) == [(7, 2, 5), (0, 0, 11)]


def test_jobs_that_a_lost_function_run_holds_and_parked_ones(
    watched: Watched, claimer: Bystander, kitchen: Kitchen
) -> None:
    watched.eligible()
    kitchen.handle("demo", lambda *_: None)
    kitchen.put("demo", workspace=WORKSPACE)
    assert len(claimer.claim()) == 1
    watched.run("UPDATE job SET first_due_at = now() - interval '500 s'")
    asked = "SELECT oldest_due_age_seconds::int / 100 FROM workspace_sample ORDER BY sampled_at DESC LIMIT 1"
    watched.tick()
    assert watched.run(asked) == [(0,)], "a job that runs does not wait"
    watched.run("UPDATE function_run SET lease_until = now() - interval '1 s'")
    watched.next_minute()
    assert watched.run(asked) == [(5,)]
    watched.run(
        "UPDATE job SET state = 'SCHEDULED', parked = true, fence = NULL, function_run_id = NULL, claimed_at = NULL, deadline_at = NULL"
    )
    watched.next_minute()
    assert watched.run(asked) == [(0,)], "what is paused is not late"


def test_an_escalation_expires_by_the_databases_clock(watched: Watched) -> None:
    escalate(watched, hours=1.0)
    assert watched.quota() == 300
    watched.pass_time(3598)
    assert watched.tick() == []
    assert watched.quota() == 300
    watched.pass_time(3)
    (said,) = watched.tick()
    assert "(escalation_expired): 300 to 64 jobs. The escalation to 300 has expired; 64 is in force again." in said
    assert watched.quota() == 64
    assert watched.reasons() == ["escalated", "escalation_expired"]
    assert watched.latest()["who"] == "clock"
    assert watched.run("SELECT ended_by, end_reason FROM quota_escalation") == [("clock", "it has expired")]
    assert watched.tick() == []


def test_an_expired_escalation_returns_to_what_the_rules_say_by_then(watched: Watched) -> None:
    watched.eligible()
    escalate(watched, hours=1.0)
    watched.minutes(since=120)
    watched.tick()
    assert (watched.latest()["to_tier"], watched.quota()) == ("promoted", 300)
    watched.pass_time(3601)
    watched.tick()
    assert watched.quota() == 100


def test_a_duplicate_ends_an_escalation_and_one_that_was_known_before_does_not(watched: Watched) -> None:
    watched.eligible()
    watched.sent_twice()
    watched.tick()
    assert watched.latest()["reason_code"] == "window_unhealthy"
    escalate(watched)
    watched.next_minute()
    assert watched.quota() == 300, "whoever escalated knew"
    watched.sent_twice()
    (said,) = watched.next_minute()
    assert "(demoted_duplicate): 300 to 64 jobs." in said
    assert "The escalation ends with it." in said
    assert watched.run("SELECT ended_by FROM quota_escalation") == [("rules",)]


def test_a_duplicate_that_came_before_the_escalation_and_after_the_last_look_is_not_lost(watched: Watched) -> None:
    watched.promoted()
    watched.tick()
    watched.sent_twice()
    escalate(watched)
    watched.next_minute()
    assert (watched.quota(), watched.latest()["reason_code"]) == (64, "demoted_duplicate")


def test_eight_looks_at_once_make_one_decision(db: Database, watched: Watched) -> None:
    watched.eligible()
    watched.minutes(since=120)
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda _: tick(db).said, range(8)))
    assert sum(len(each) for each in said) == 1
    assert watched.reasons() == ["eligibility_set", "promoted"]


def test_a_quota_that_somebody_changes_meanwhile_is_left_alone_and_looked_at_again(
    db: Database, watched: Watched
) -> None:
    watched.eligible()
    watched.minutes(since=120)
    with psycopg.connect(db.url, options="-c search_path=queue_pipeline") as other, ThreadPoolExecutor(1) as pool:
        other.execute("UPDATE workspace_lane SET quota = 7")
        look = pool.submit(tick, db)
        until_somebody_waits(db, look)
        other.commit()
        assert look.result().said == []
    assert watched.quota() == 7
    watched.next_minute()
    assert watched.quota() == 100, "the next look starts from what it finds"


def test_a_lane_that_stays_locked_keeps_no_other_workspace_waiting(db: Database, watched: Watched) -> None:
    for workspace in (WORKSPACE, "others"):
        watched.eligible(workspace)
        watched.minutes(since=120, workspace=workspace)
    with psycopg.connect(db.url, options="-c search_path=queue_pipeline") as frozen:
        frozen.execute("SELECT FROM workspace_lane WHERE workspace = 'acme' FOR UPDATE")
        said = watched.tick()
    assert any("lock timeout" in sentence for sentence in said), "it waits for a second and no longer"
    assert (watched.quota(), watched.quota("others")) == (64, 100)
    watched.next_minute()
    assert watched.quota() == 100


def test_samples_that_cannot_be_taken_keep_no_escalation_from_ending(watched: Watched) -> None:
    escalate(watched)
    watched.run("ALTER TABLE job_attempt RENAME TO lost")
    watched.run("UPDATE quota_escalation SET started_at = now() - interval '3 h', expires_at = now() - interval '1 h'")
    watched.run("UPDATE workspace_quota SET eligible = true")
    said = watched.tick()
    assert watched.quota() == 64
    assert any("failed and is tried again" in sentence for sentence in said)


def test_quotas_that_cannot_be_looked_at_keep_no_alert_waiting(
    db: Database, settings: Settings, watched: Watched
) -> None:
    Trouble(db).stale_run()
    watched.run("ALTER TABLE workspace_quota RENAME TO lost")
    turn = teller(settings, db).turn(by="test")
    assert (turn.evaluated, turn.open) == (True, 1)
    assert "The quotas could not be looked at; the log says why." in turn.changes
    watched.run("ALTER TABLE lost RENAME TO workspace_quota")
    escalate(watched, hours=1.0)
    watched.pass_time(3601)
    assert any("(escalation_expired)" in sentence for sentence in teller(settings, db).turn(by="test").changes)


def test_a_claim_obeys_the_quota_in_force_at_once(watched: Watched, claimer: Bystander, kitchen: Kitchen) -> None:
    kitchen.handle("demo", lambda *_: None)
    kitchen.put("demo", 200, workspace=WORKSPACE)
    assert len(claimer.claim(size=200)) == 64
    assert claimer.claim(size=200) == []
    escalate(watched, 80)
    assert len(claimer.claim(size=200)) == 16
    people.return_quota(watched.db, WORKSPACE, **WHO)
    assert claimer.claim(size=200) == [], "what runs goes on, and nothing is added"
    people.set_quota(watched.db, WORKSPACE, 81, **WHO)
    assert len(claimer.claim(size=200)) == 1


def test_a_promotion_lets_a_drain_that_stands_at_the_cap_go_on(
    watched: Watched, claimer: Bystander, kitchen: Kitchen
) -> None:
    kitchen.handle("demo", lambda *_: None)
    kitchen.put("demo", 120, workspace=WORKSPACE)
    watched.eligible()
    watched.minutes(since=120)
    assert len(claimer.claim(size=200)) == 64
    with watched.db.direct() as listener:
        listener.execute("LISTEN queue_pipeline")
        watched.tick()
        assert "due" in [each.payload for each in listener.notifies(timeout=30, stop_after=1)]
    assert len(claimer.claim(size=200)) == 36


def test_idempotency_keys_hold_across_promotion_escalation_demotion_and_return(db: Database, watched: Watched) -> None:
    with a_ledger(db) as ledger:
        first = ledger.sent(trigger="order:7")
        (job,) = ledger.kitchen.put(KIND, workspace=WORKSPACE, dedupe_key="order:7")

        def hold() -> None:
            again = ledger.sent(trigger="order:7")
            assert (again.outbound_message_id, again.repeated) == (first.outbound_message_id, True)
            assert ledger.kitchen.put(KIND, workspace=WORKSPACE, dedupe_key="order:7") == [job]
            assert len(ledger.provider.parcels) == 1, "the customer has one message"

        watched.run("UPDATE job SET run_at = now() + interval '1 day', state = 'SCHEDULED' WHERE state = 'PENDING'")
        hold()
        watched.eligible()
        watched.minutes(since=120)
        watched.tick()
        assert watched.quota() == 100
        hold()
        escalate(watched)
        hold()
        watched.sent_twice()
        watched.next_minute()
        assert (watched.quota(), watched.latest()["reason_code"]) == (64, "demoted_duplicate")
        hold()
        escalate(watched)
        hold()
        people.return_quota(db, WORKSPACE, **WHO)
        hold()
        assert watched.reasons() == [
            "eligibility_set", "promoted", "escalated", "demoted_duplicate", "escalated", "escalation_ended",
        ]  # fmt: skip


def test_a_decision_cannot_be_rewritten(watched: Watched) -> None:
    watched.eligible()
    with pytest.raises(Exception, match="quota_decision is append-only"):
        watched.run("UPDATE quota_decision SET said = 'otherwise'")


def test_a_look_that_is_stopped_in_the_middle_loses_its_turn(db: Database, watched: Watched) -> None:
    watched.eligible()
    with pytest.raises(Exception, match="idle-in-transaction timeout"):
        stand_still_in_the_middle(db, watched)


def stand_still_in_the_middle(db: Database, watched: Watched) -> None:
    with db.begin() as frozen:
        assert store.take_turn(frozen)
        store.standings(frozen, [WORKSPACE])
        assert watched.tick() == [], "the others pass meanwhile"
        eventually(lambda: watched.tick() or watched.run("SELECT 1 FROM workspace_sample"), within=20, what="a turn")
        store.standings(frozen, [WORKSPACE])


def test_more_workspaces_than_one_batch_are_all_judged(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH", 2)
    for name in "abcde":
        watched.eligible(name)
        watched.minutes(since=120, workspace=name)
    assert len(watched.tick()) == 5
    assert [watched.quota(name) for name in "abcde"] == [Limits().lane_quota_promoted] * 5
