"""Recovery and the function run that it recovers: whoever comes first, each attempt ends once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from queue_pipeline import ClaimLost, JobContext
from queue_pipeline.domain.attempt import AttemptOutcome
from queue_pipeline.domain.claim import AttemptResult, Claim
from queue_pipeline.domain.errors import DatabaseUnavailable
from queue_pipeline.domain.job import JobState
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import recovery
from queue_pipeline.engine.execution import Execution
from queue_pipeline.engine.recovery import findings, sweep
from queue_pipeline.engine.send import NewMessage, send_message
from queue_pipeline.store import claim as claims
from queue_pipeline.store.session import outages_translated
from queue_pipeline_tests.engine.kitchen import Bystander, Kitchen
from queue_pipeline_tests.races.staging import until_somebody_waits
from queue_pipeline_tests.waiting import eventually

LIMITS = replace(Limits(), database_restart_grace_seconds=0.0, presence_grace_seconds=0.0)


def success(claim: Claim) -> AttemptResult:
    return AttemptResult(claim.job_id, claim.fence, AttemptOutcome.SUCCEEDED, JobState.SUCCEEDED)


def retry(claim: Claim) -> AttemptResult:
    return AttemptResult(claim.job_id, claim.fence, AttemptOutcome.RETRY, JobState.SCHEDULED, error="busy")


def expire(kitchen: Kitchen) -> None:
    kitchen.rows("UPDATE function_run SET lease_until = now() - interval '1 second'")


def attempts(kitchen: Kitchen) -> dict[str, int]:
    return {row.outcome: row.n for row in kitchen.rows("SELECT outcome, count(*) AS n FROM job_attempt GROUP BY 1")}


def test_a_claim_that_comes_during_the_recovery_waits_and_gets_nothing(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor
) -> None:
    drain.claim(3)
    expire(kitchen)
    with kitchen.db.begin() as tx:
        tx.exec_driver_sql("SELECT 1 FROM function_run FOR UPDATE")  # recovery's first statement
        waiting = pool.submit(drain.exchange, size=5)
        until_somebody_waits(kitchen.db, waiting)
        tx.exec_driver_sql(
            "UPDATE function_run SET state = 'RECOVERED', ended_at = now(), end_reason = 'lease_expired'"
        )
    brought = waiting.result(10)
    assert (brought.living, brought.claims) == (False, [])
    assert kitchen.states() == {"PENDING": 7, "RUNNING": 3}


def test_a_recovery_that_comes_during_a_claim_waits_and_takes_that_claim_too(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor
) -> None:
    drain.claim(3)
    expire(kitchen)
    with drain.direct.transaction():
        who = {
            "function_run_id": drain.run_id,
            "run_fence": drain.begun.fence,
            "shard": "shard-00",
            "size": 5,
            "floor": claims.LOWEST,
        } | claims.NO_RULE.parameters()
        drain.direct.execute(claims.HOLD_FUNCTION_RUN_SQL, who)
        waiting = pool.submit(sweep, kitchen.db, by="test", limits=LIMITS)
        until_somebody_waits(kitchen.db, waiting)
        assert len(drain.direct.execute(claims.CLAIM_SQL, who).fetchall()) == 5
    (decision,) = waiting.result(10).decisions
    assert decision.jobs_given_back == 8
    assert kitchen.states() == {"PENDING": 10}  # none is left behind in a run that has ended


@pytest.mark.parametrize("ended", [success, retry], ids=["success", "retry"])
def test_a_result_that_comes_after_the_recovery_is_refused(kitchen: Kitchen, drain: Bystander, ended: object) -> None:
    held = drain.claim(3)
    expire(kitchen)
    sweep(kitchen.db, by="test", limits=LIMITS)
    assert callable(ended)
    brought = drain.exchange([ended(claim) for claim in held])
    assert (brought.settled, brought.living) == ({}, False)
    assert kitchen.states() == {"PENDING": 10}
    assert attempts(kitchen) == {"LOST": 3}


@pytest.mark.parametrize("ended", [success, retry], ids=["success", "retry"])
def test_a_result_that_comes_after_another_run_has_claimed_the_job_is_refused(
    kitchen: Kitchen, drain: Bystander, ended: object
) -> None:
    held = drain.claim(3)
    expire(kitchen)
    other = Bystander(kitchen.db)
    sweep(kitchen.db, by="test", limits=LIMITS)
    again = other.claim(10)
    assert {claim.job_id for claim in held} < {claim.job_id for claim in again}
    assert callable(ended)
    assert drain.exchange([ended(claim) for claim in held]).settled == {}
    assert kitchen.states() == {"RUNNING": 10}  # the other run still has them
    assert len(other.exchange([ended(claim) for claim in again]).settled) == 10
    assert kitchen.row("SELECT count(*) = count(DISTINCT (job_id, fence)) AS once FROM job_attempt")["once"]
    other.close()


@pytest.mark.parametrize("ended", [success, retry], ids=["success", "retry"])
def test_a_result_that_waits_for_a_recovery_in_progress_is_refused(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor, ended: object
) -> None:
    held = drain.claim(3)
    assert callable(ended)
    with kitchen.db.begin() as tx:
        tx.exec_driver_sql("SELECT 1 FROM job WHERE state = 'RUNNING' ORDER BY job_id FOR UPDATE")
        waiting = pool.submit(drain.exchange, [ended(claim) for claim in held])
        until_somebody_waits(kitchen.db, waiting)
        tx.exec_driver_sql(
            "UPDATE job SET state = 'PENDING', fence = NULL, function_run_id = NULL, claimed_at = NULL, deadline_at = NULL "
            "WHERE state = 'RUNNING'"
        )
    assert waiting.result(10).settled == {}
    assert kitchen.states() == {"PENDING": 10}
    assert attempts(kitchen) == {}


def test_a_recovery_that_waits_for_a_result_leaves_the_finished_job_alone(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor
) -> None:
    held = drain.claim(3)
    expire(kitchen)
    with drain.direct.transaction():
        who = {"function_run_id": drain.run_id, "run_fence": drain.begun.fence}
        drain.direct.execute(claims.HOLD_FUNCTION_RUN_SQL, who)
        columns = {"job_ids": [held[0].job_id], "fences": [held[0].fence], "starts": [0.0]}
        assert len(drain.direct.execute(claims.SETTLE_SUCCESS_SQL, columns).fetchall()) == 1
        waiting = pool.submit(sweep, kitchen.db, by="test", limits=LIMITS)
        until_somebody_waits(kitchen.db, waiting)
    (decision,) = waiting.result(10).decisions
    assert decision.jobs_given_back == 2
    assert attempts(kitchen) == {"SUCCEEDED": 1, "LOST": 2}
    assert kitchen.states() == {"SUCCEEDED": 1, "PENDING": 9}


def test_a_heartbeat_after_the_recovery_is_refused_and_revives_nothing(kitchen: Kitchen, drain: Bystander) -> None:
    assert drain.beat().living
    expire(kitchen)
    sweep(kitchen.db, by="test", limits=LIMITS)
    assert not drain.beat().living
    assert kitchen.row("SELECT state FROM function_run")["state"] == "RECOVERED"


def test_a_run_that_comes_back_to_life_before_the_recovery_acts_is_left_alone(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor
) -> None:
    drain.claim(3)
    expire(kitchen)
    with kitchen.db.begin() as tx:
        tx.exec_driver_sql(
            "UPDATE function_run SET lease_until = now() + interval '1 minute'"
        )  # a heartbeat, not yet committed
        waiting = pool.submit(sweep, kitchen.db, by="test", limits=LIMITS)
        until_somebody_waits(kitchen.db, waiting)
    (decision,) = waiting.result(10).decisions
    assert (decision.acted, decision.detail) == (False, "It came back to life in the meantime.")
    assert kitchen.states() == {"PENDING": 7, "RUNNING": 3}


def test_two_sweeps_of_one_dead_run_open_one_successor(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor
) -> None:
    drain.claim(3)
    expire(kitchen)
    with kitchen.db.begin() as tx:
        tx.exec_driver_sql("SELECT 1 FROM function_run FOR UPDATE")
        sweeps = [pool.submit(sweep, kitchen.db, by=f"sweeper {n}", limits=LIMITS) for n in range(2)]
        until_somebody_waits(kitchen.db, sweeps[0], sessions=2)
        assert len(findings(kitchen.db, limits=LIMITS)) == 1
    decisions = [decision for waiting in sweeps for decision in waiting.result(10).decisions]
    assert sorted(decision.acted for decision in decisions) == [False, True]
    assert kitchen.row("SELECT count(*) AS n FROM dispatch_window WHERE state = 'OPEN'")["n"] == 1
    assert attempts(kitchen) == {"LOST": 3}
    assert kitchen.row("SELECT count(*) AS n FROM recovery_decision")["n"] == 1


def test_a_window_that_is_taken_while_it_is_swept_is_not_missed(kitchen: Kitchen, pool: ThreadPoolExecutor) -> None:
    kitchen.rows(
        "INSERT INTO dispatch_window (dispatch_key, shard, source, launch_by) VALUES ('late', 'shard-00', 'schedule', now())"
    )
    run_id = kitchen.row("INSERT INTO function_run (shard, host, pid, lease_until) VALUES ('shard-00', 'h', 1, now() + interval '1 hour') "
                         "RETURNING function_run_id")["function_run_id"]  # fmt: skip
    with kitchen.db.begin() as tx:
        tx.exec_driver_sql(
            f"UPDATE dispatch_window SET state = 'DRAINING', taken_at = now(), function_run_id = {run_id}"
        )
        kept = replace(LIMITS, lease_seconds=1.0)
        (window,) = [found for found in findings(kitchen.db, limits=kept) if found.window_id]
        waiting = pool.submit(sweep, kitchen.db, by="test", only=window.key, limits=kept)
        until_somebody_waits(kitchen.db, waiting)
    (decision,) = waiting.result(10).decisions
    assert (decision.acted, decision.detail) == (False, "It was taken in the meantime.")


def context_of(kitchen: Kitchen, claim: Claim) -> JobContext:
    return JobContext(kitchen.db, Execution(claim, 0.0), lambda: True)  # a worker that has not heard yet


def test_a_step_and_a_send_after_the_recovery_are_refused(kitchen: Kitchen, drain: Bystander) -> None:
    (claim,) = drain.claim(1)
    context = context_of(kitchen, claim)
    context.step("before", lambda: 1)
    expire(kitchen)
    sweep(kitchen.db, by="test", limits=LIMITS)
    with pytest.raises(ClaimLost):
        context.step("after", lambda: 2)
    with pytest.raises(ClaimLost):
        context.send(channel="email", to="ada@lead.example", body="Hello", purpose="reply")
    assert [row.name for row in kitchen.rows("SELECT name FROM job_step")] == ["before"]
    assert kitchen.rows("SELECT 1 FROM outbound_message") == []
    assert kitchen.rows("SELECT 1 FROM provider_message") == []


@pytest.mark.parametrize("what", ["step", "send"])
def test_a_step_or_send_that_waits_for_the_recovery_is_refused(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor, what: str
) -> None:
    (claim,) = drain.claim(1)
    context = context_of(kitchen, claim)

    def act() -> object:
        if what == "step":
            return context.step("draft", lambda: 1)
        new = NewMessage(channel="email", to="ada@lead.example", body="Hello", purpose="reply")
        return send_message(kitchen.db, claim, new, LIMITS)

    with kitchen.db.begin() as tx:
        tx.exec_driver_sql(
            "UPDATE job SET state = 'PENDING', fence = NULL, function_run_id = NULL, claimed_at = NULL, deadline_at = NULL "
            "WHERE state = 'RUNNING'"
        )
        waiting = pool.submit(act)
        until_somebody_waits(kitchen.db, waiting)
    if what == "step":
        with pytest.raises(ClaimLost):
            waiting.result(10)
    else:
        assert waiting.result(10) is None
    assert kitchen.rows("SELECT 1 FROM job_step UNION ALL SELECT 1 FROM outbound_message") == []


@pytest.mark.parametrize("in_a_pipeline", [True, False])
def test_a_drain_that_stands_still_in_the_middle_of_an_exchange_holds_up_no_recovery(
    kitchen: Kitchen, drain: Bystander, monkeypatch: pytest.MonkeyPatch, in_a_pipeline: bool
) -> None:
    """SIGSTOP may come between two statements; the row of the function run is locked then, for as long as it lasts."""
    drain.claim(3)
    expire(kitchen)
    hold = f"SELECT 1 FROM function_run WHERE function_run_id = {drain.run_id} FOR KEY SHARE".encode()
    frozen = kitchen.db.direct()
    if in_a_pipeline:
        frozen.pgconn.enter_pipeline_mode()
        frozen.pgconn.send_query_params(b"BEGIN", None)
        frozen.pgconn.send_query_params(hold, None)
        frozen.pgconn.send_flush_request()
        frozen.pgconn.flush()
    else:
        frozen.execute("BEGIN")
        frozen.execute(hold)
    held = "SELECT 1 FROM pg_locks WHERE relation = 'function_run'::regclass AND mode = 'RowShareLock'"
    eventually(lambda: kitchen.rows(held), within=30, what="the function run to be held")
    monkeypatch.setattr(recovery, "_STUCK_SECONDS", 0.0)
    with ThreadPoolExecutor(1) as pool:
        (decision,) = pool.submit(sweep, kitchen.db, by="test", limits=LIMITS).result(20).decisions
    assert (decision.acted, decision.jobs_given_back) == (True, 3)
    frozen.close()


def test_a_drain_that_is_stopped_in_the_middle_of_an_exchange_does_not_keep_its_recovery_waiting(
    kitchen: Kitchen, drain: Bystander
) -> None:
    """A frozen process holds its locks for as long as its session lives; PostgreSQL ends that session."""
    drain.claim(3)
    expire(kitchen)
    with kitchen.db.direct() as frozen:
        frozen.execute("BEGIN")
        frozen.execute("SELECT 1 FROM function_run FOR KEY SHARE")
        (decision,) = sweep(kitchen.db, by="test", limits=LIMITS).decisions
        assert decision.jobs_given_back == 3
        with pytest.raises(DatabaseUnavailable), outages_translated():
            frozen.execute("COMMIT")
