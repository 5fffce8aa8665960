"""One look at the canary: samples at their time, phases by the database's clock, and rules that turn it back."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from queue_pipeline.domain.canary import CanaryPlan
from queue_pipeline.domain.flag import ROLLBACK_MODE, SENDS_ENABLED
from queue_pipeline.engine import canary, canary_tick, flags
from queue_pipeline.engine.alert import Alerting
from queue_pipeline.engine.teller import Teller
from queue_pipeline.integrations.console import ConsoleSink
from queue_pipeline.store import canary as store
from queue_pipeline.store.flag import VALUE_HELD_SQL
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.canaries import INSIDE, OUTSIDE, SHORT, WHO, Rollout
from queue_pipeline_tests.waiting import eventually


@pytest.fixture
def rollout(db: Database) -> Rollout:
    """Two workspaces, one of which a canary lists."""
    return Rollout(db)


def latest(rollout: Rollout) -> dict[str, dict[str, Any]]:
    """The samples of the latest instant, by cohort."""
    status = canary.status(rollout.db)
    assert status is not None
    newest = max(sample.sampled_at for sample in status.samples)
    return {sample.cohort: vars(sample) for sample in status.samples if sample.sampled_at == newest}


def sends(db: Database) -> str:
    with db.begin() as tx:
        return flags.value(tx, SENDS_ENABLED)


def test_without_a_canary_a_look_says_nothing(db: Database) -> None:
    assert canary_tick.tick(db).said == ()


def test_both_cohorts_are_measured_at_one_instant_each_minute(rollout: Rollout) -> None:
    rollout.start()
    rollout.attempts(7, failed=2, waited=4.0)
    rollout.attempts(5, workspace=OUTSIDE, waited=9.0)
    rollout.due(30.0)
    rollout.due(50.0, state="SCHEDULED")
    rollout.due(70.0, workspace=OUTSIDE, count=3)
    (said,) = rollout.tick()
    assert said == ("Sampled 1 canary workspaces: 2 jobs due, the oldest for 50 s; 7 started, 2 of 7 attempts failed.")
    found = latest(rollout)
    counts = ("workspaces", "pending_due", "started_jobs", "finished_jobs", "failed_jobs", "phase")
    assert [found["canary"][name] for name in counts] == [1, 2, 7, 7, 2, "WARMING"]
    assert [found["control"][name] for name in counts] == [1, 3, 5, 5, 0, "WARMING"]
    assert 50 <= found["canary"]["wait_p95_seconds"] < 60, "a job that stands still is not missing from the waits"
    assert 70 <= found["control"]["oldest_due_age_seconds"] < 80
    assert rollout.tick() == [], "no second sample in the same minute"
    rollout.pass_time(60)
    rollout.tick()
    found = latest(rollout)
    assert [found["canary"][name] for name in counts[2:5]] == [0, 0, 0], "what was counted is not counted again"
    assert len(rollout.run("SELECT 1 FROM contention_sample")) == 2


def test_a_long_backlog_of_others_does_not_hide_the_canarys(rollout: Rollout) -> None:
    rollout.start()
    rollout.due(9000.0, workspace=OUTSIDE, count=50_500)
    rollout.due(500.0, count=2)
    rollout.due(400.0, workspace="unheard-of")
    rollout.tick()
    found = latest(rollout)
    assert (found["canary"]["pending_due"], found["control"]["pending_due"]) == (2, 50_000)
    assert 500 <= found["canary"]["oldest_due_age_seconds"] < 520


def test_a_workspace_that_no_drain_has_met_yet_is_counted_where_it_belongs(db: Database, rollout: Rollout) -> None:
    canary.start(db, CanaryPlan({"drain.parallel": "off"}, 0.0, ("new-team",), SHORT), **WHO)
    rollout.due(400.0, workspace="new-team")
    rollout.tick()
    assert latest(rollout)["canary"]["pending_due"] == 1


def test_eight_looks_at_once_take_one_sample(db: Database, rollout: Rollout) -> None:
    rollout.start()
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda _: canary_tick.tick(db).said, range(8)))
    assert sum(len(each) for each in said) == 1
    assert rollout.run("SELECT cohort FROM canary_sample ORDER BY cohort") == [("canary",), ("control",)]


def test_a_look_that_is_stopped_in_the_middle_loses_its_turn(db: Database, rollout: Rollout) -> None:
    rollout.start()
    with pytest.raises(Exception, match="idle-in-transaction timeout"):
        stand_still_in_the_middle(db, rollout)


def stand_still_in_the_middle(db: Database, rollout: Rollout) -> None:
    with db.begin() as frozen:
        assert store.take_turn(frozen)
        assert store.active(frozen, to_move=True) is not None
        assert rollout.tick() == [], "the others pass meanwhile"
        eventually(rollout.tick, within=20, what="somebody else's turn")
        store.active(frozen)


def test_a_sender_that_is_stopped_in_the_middle_does_not_keep_a_rollback_from_switching_sends_off(
    db: Database, rollout: Rollout
) -> None:
    rollout.watching()
    rollout.sent_twice()
    with psycopg.connect(db.url, options="-c search_path=queue_pipeline") as frozen:
        frozen.execute(VALUE_HELD_SQL.replace(":flag", "%s"), (SENDS_ENABLED,))
        eventually(lambda: rollout.tick() and sends(db) == "off", within=20, what="sends to be off")
        with pytest.raises(psycopg.Error, match="idle-in-transaction timeout"):
            frozen.execute("SELECT 1")


def test_the_warm_up_only_observes_and_says_so_once(rollout: Rollout) -> None:
    rollout.start()
    rollout.stale_run()
    assert "would be rolled back: 1 function run went stale." in rollout.tick()[-1]
    assert rollout.tick() == []
    assert (rollout.state, rollout.rollbacks()) == ("WARMING", [("stale_run", "observe")])


def test_a_hold_of_the_warm_up_is_warm_up_still(db: Database, rollout: Rollout) -> None:
    rollout.start()
    canary.hold(db, **WHO)
    rollout.attempts(40, failed=20)
    rollout.tick()
    assert (rollout.state, rollout.rollbacks()) == ("HELD", [("failure_rate", "observe")])
    canary.resume(db, **WHO)
    rollout.pass_time(61)
    rollout.tick()
    rollout.pass_time(61)
    rollout.tick()
    assert rollout.state == "WATCHING", "what failed before the window is not held against it"


def test_a_canary_that_is_held_in_its_window_is_still_turned_back(db: Database, rollout: Rollout) -> None:
    rollout.watching()
    canary.hold(db, **WHO)
    rollout.stale_run()
    rollout.tick()
    assert rollout.state == "ROLLED_BACK"


def breach_duplicate(rollout: Rollout) -> None:
    rollout.sent_twice()


def breach_stale_run(rollout: Rollout) -> None:
    rollout.stale_run()


def breach_recovered(rollout: Rollout) -> None:
    """The stale run is gone before anybody looks."""
    rollout.run(
        "INSERT INTO recovery_decision (swept_by, signal, function_run_id, detail) VALUES ('test', 'stale', 7, 'gone')"
    )


def breach_queue_age(rollout: Rollout) -> None:
    rollout.due(400.0)
    for _ in range(2):
        rollout.pass_time(60)
        rollout.tick()


def breach_queue_age_with_a_gap(rollout: Rollout) -> None:
    rollout.pass_time(60)
    rollout.tick()
    rollout.due(400.0)
    rollout.pass_time(150)
    rollout.tick()


def breach_failure_rate(rollout: Rollout) -> None:
    rollout.attempts(40, failed=20)
    rollout.pass_time(60)
    rollout.tick()


def breach_deadlocks(rollout: Rollout) -> None:
    rollout.pass_time(60)
    rollout.tick()
    rollout.run(
        "UPDATE contention_sample SET deadlocks = -1 WHERE sampled_at = (SELECT min(sampled_at) FROM contention_sample)"
    )
    rollout.run("UPDATE contention_sample SET deadlocks = -1 WHERE sampled_at <= (SELECT watching_since FROM canary)")


def breach_waiting(rollout: Rollout) -> None:
    for _ in range(2):
        rollout.pass_time(60)
        rollout.tick()
    rollout.run("UPDATE contention_sample SET sessions = 10, lock_waiting = 2")


BREACHES = [
    ("duplicate", breach_duplicate),
    ("stale_run", breach_stale_run),
    ("stale_run", breach_recovered),
    ("queue_age", breach_queue_age),
    ("queue_age", breach_queue_age_with_a_gap),
    ("failure_rate", breach_failure_rate),
    ("contention", breach_deadlocks),
    ("contention", breach_waiting),
]


@pytest.mark.parametrize(("rule", "breach"), BREACHES, ids=[breach.__name__ for _, breach in BREACHES])
def test_a_breach_in_the_window_turns_the_canary_back(db: Database, rollout: Rollout, rule: str, breach: Any) -> None:
    rollout.watching()
    breach(rollout)
    rollout.tick()
    assert (rollout.state, rollout.rollbacks()) == ("ROLLED_BACK", [(rule, "enforce")])
    ended = rollout.canary()
    assert (ended.ended_by, rollout.moves()) == ("rollback", ["WARMING", "WATCHING", "ROLLED_BACK"])
    assert sends(db) == ("off" if rule == "duplicate" else "on")
    with db.begin() as tx:
        assert flags.value(tx, "drafts.auto_send", workspace=INSIDE) == "off", "the candidate is gone"
    assert rollout.tick() == []


def test_a_duplicate_switches_sends_off_in_the_same_transaction_even_in_the_warm_up(
    db: Database, rollout: Rollout
) -> None:
    rollout.start()
    rollout.sent_twice()
    assert rollout.tick()[-1].endswith("more than one message at a provider. Sends are switched off.")
    rows = rollout.run(
        "SELECT e.flag, e.from_value, e.to_value, e.who, e.xmin = r.xmin AND c.xmin = r.xmin AS together, r.changes"
        " FROM control_event e, rollback r JOIN canary c USING (canary_id)"
    )
    change = {"flag": SENDS_ENABLED, "from_value": "on", "to_value": "off"}
    assert rows == [(SENDS_ENABLED, "on", "off", "rollback", True, [change])]


def test_sends_that_are_off_already_are_not_the_rollbacks_to_switch_on_again(db: Database, rollout: Rollout) -> None:
    flags.flip(db, SENDS_ENABLED, "off", **WHO)
    rollout.watching()
    rollout.sent_twice()
    rollout.tick()
    assert canary.undo(db, **WHO).changes == []
    assert sends(db) == "off"


@pytest.mark.parametrize(("mode", "said"), [("observe", ["duplicate", "stale_run", "failure_rate"]), ("off", [])])
def test_a_rollback_mode_that_does_not_enforce_changes_nothing(
    db: Database, rollout: Rollout, mode: str, said: list[str]
) -> None:
    flags.flip(db, ROLLBACK_MODE, mode, **WHO)
    rollout.watching()
    rollout.sent_twice()
    rollout.stale_run()
    breach_failure_rate(rollout)
    assert (rollout.state, sends(db)) == ("WATCHING", "on")
    assert rollout.rollbacks() == [(rule, "observe") for rule in said]
    flags.flip(db, ROLLBACK_MODE, "enforce", **WHO)
    rollout.tick()
    assert (rollout.state, sends(db)) == ("ROLLED_BACK", "off")


@pytest.mark.parametrize(("attempts", "failed"), [(300, 3), (28, 28)])
def test_a_few_failures_or_few_attempts_turn_nothing_back(rollout: Rollout, attempts: int, failed: int) -> None:
    rollout.watching()
    rollout.attempts(attempts, failed=failed)
    rollout.attempts(100, failed=100, workspace=OUTSIDE)
    rollout.due(9000.0, workspace=OUTSIDE)
    for _ in range(3):
        rollout.pass_time(60)
        rollout.tick()
    assert (rollout.state, rollout.rollbacks()) == ("WATCHING", [])


def test_the_phases_move_by_the_databases_clock(rollout: Rollout) -> None:
    rollout.start(contract=replace(SHORT, warm_up_seconds=0))
    assert rollout.tick()[1:] == ["Canary 1: its warm-up is over; it is WATCHING now."]
    rollout.pass_time(590)
    rollout.tick()
    assert rollout.state == "WATCHING"
    rollout.pass_time(11)
    assert "Canary 1: its window is over; it is COMPLETE now." in rollout.tick()


def test_a_canary_that_cannot_be_sampled_is_still_judged(rollout: Rollout) -> None:
    rollout.watching()
    rollout.run("ALTER TABLE late_write RENAME TO late_write_away")
    rollout.pass_time(60)
    assert rollout.tick() == ['Canary 1 could not be sampled: relation "queue_pipeline.late_write" does not exist']
    assert rollout.state == "WATCHING", "one missing sample is not two"
    rollout.pass_time(125)
    rollout.tick()
    assert (rollout.state, rollout.rollbacks()) == ("ROLLED_BACK", [("queue_age", "enforce")])


def test_a_pause_in_which_nobody_looked_turns_nothing_back(rollout: Rollout) -> None:
    rollout.watching()
    rollout.pass_time(400)
    rollout.tick()
    assert rollout.state == "WATCHING", "the first look after it takes a sample, and that one is good"


def test_a_canary_that_cannot_be_looked_at_does_not_keep_alerts_waiting(db: Database, rollout: Rollout) -> None:
    rollout.start()
    rollout.run("ALTER TABLE canary_sample RENAME TO canary_sample_away")
    alerting = Alerting(environment="test", sink=ConsoleSink(), fallback=ConsoleSink())
    turn = Teller(db, alerting, ConsoleSink(), ["shard-00"]).turn(by="test")
    assert turn.evaluated
    assert turn.changes[0] == "The canary could not be looked at; the log says why."
