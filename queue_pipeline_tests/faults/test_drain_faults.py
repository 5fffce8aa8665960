"""A drain's process is killed, frozen, or filled with handlers that hang: the work goes on."""

import signal

import pytest

from queue_pipeline import NewJob, enqueue_many
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import recovery
from queue_pipeline.store.session import Database
from queue_pipeline_tests.faults import fault_handlers  # noqa: F401 - registers the kinds
from queue_pipeline_tests.faults.processes import SHARD, WORKSPACE, Evidence, drain_process
from queue_pipeline_tests.waiting import eventually

QUICK_LEASE = Limits(
    lease_seconds=3.0, heartbeat_seconds=0.5, fence_margin_seconds=0.5, database_restart_grace_seconds=0.0
)


def _enqueue(db: Database, kind: str, count: int, seconds: float = 0.0, workspace: str = WORKSPACE) -> None:
    with db.begin() as tx:
        enqueue_many(tx, kind, [NewJob(workspace, {"seconds": seconds}) for _ in range(count)])


@pytest.fixture
def evidence(database_url: str) -> Evidence:
    return Evidence(database_url)


@pytest.mark.parametrize("round_", range(3))
def test_after_sigkill_in_mid_batch_the_next_drain_runs_the_orphans_first_and_nothing_completes_twice(
    db: Database, database_url: str, evidence: Evidence, round_: int
) -> None:
    _enqueue(db, "fault.work", 20, 0.5)
    with drain_process(database_url) as first:
        eventually(
            lambda: evidence.one("SELECT count(*) FROM public.evidence WHERE what = 'end'") >= 4,
            within=30,
            what="four ends",
        )
        eventually(lambda: evidence.states()["RUNNING"] > 0, within=30, what="jobs in hand")
        first.kill()
        first.wait()
    orphans = {row[0] for row in evidence.ask("SELECT job_id FROM job WHERE state = 'RUNNING'")}
    assert orphans
    with drain_process(database_url):
        evidence.await_states({"SUCCEEDED": 20}, within=60)
    assert set(evidence.completions().values()) == {1}
    lost = {
        row[0] for row in evidence.ask("SELECT job_id FROM job_attempt WHERE outcome = 'LOST' AND error_class = 'dead'")
    }
    assert lost == orphans
    later = evidence.ask(
        "SELECT job_id FROM public.evidence WHERE pid <> %s AND what = 'start' ORDER BY at LIMIT %s",
        first.pid,
        len(orphans),
    )
    assert {row[0] for row in later} == orphans, "the orphans kept their place in the queue"
    (decision,) = evidence.ask(
        "SELECT signal, jobs_given_back FROM recovery_decision WHERE function_run_id IS NOT NULL"
    )
    assert decision == ("dead", len(orphans))


def test_a_drain_frozen_beyond_its_lease_is_recovered_and_its_late_writes_are_refused_and_counted(
    db: Database, database_url: str, evidence: Evidence
) -> None:
    _enqueue(db, "fault.work", 4, 2.0)
    with drain_process(database_url, limits=QUICK_LEASE) as frozen:
        eventually(
            lambda: evidence.one("SELECT count(*) FROM public.evidence WHERE what = 'start'") == 4,
            within=30,
            what="starts",
        )
        frozen.send_signal(signal.SIGSTOP)
        eventually(
            lambda: [d for d in recovery.sweep(db, by="test", limits=QUICK_LEASE).decisions if d.acted],
            within=30,
            what="the frozen run to be recovered",
        )
        assert evidence.one("SELECT end_reason FROM function_run WHERE state = 'RECOVERED'") == "lease_expired"
        with drain_process(database_url, limits=QUICK_LEASE):
            eventually(
                lambda: evidence.one("SELECT count(*) FROM job WHERE attempt = 2") == 4,
                within=30,
                what="the jobs to be claimed again",
            )
            frozen.send_signal(signal.SIGCONT)
            evidence.await_states({"SUCCEEDED": 4}, within=30)
            eventually(
                lambda: evidence.one("SELECT count(*) FROM late_write") == 4, within=20, what="four refused late writes"
            )
        frozen.wait(timeout=30)
    assert set(evidence.completions().values()) == {1}
    assert evidence.one("SELECT late_writes_refused FROM function_run WHERE state = 'RECOVERED'") == 4


def test_handlers_that_never_return_in_every_slot_hold_neither_their_shard_nor_another(
    db: Database, database_url: str, evidence: Evidence
) -> None:
    _enqueue(db, "fault.hang", 4)
    with drain_process(database_url, limits=QUICK_LEASE) as process:
        eventually(lambda: evidence.states()["RUNNING"] == 4, within=30, what="four hanging handlers")
        _enqueue(db, "fault.work", 4, 0.01)
        eventually(
            lambda: (
                evidence.one(
                    "SELECT count(*) FROM handler_sample WHERE stack LIKE '%%in hang%%' AND progress LIKE 'waiting%%'"
                )
                == 4
            ),
            within=30,
            what="a sample of each hanging handler",
        )
        evidence.await_states({"SUCCEEDED": 8}, within=30)
        assert process.poll() is None
        assert evidence.one("SELECT count(*) FROM function_run") == 1, "in the same function run"
    timed_out = evidence.ask("SELECT error, stack, progress FROM job_attempt WHERE outcome = 'TIMED_OUT'")
    assert len(timed_out) == 4
    assert all(
        "deadline of 3 s" in error and "in hang" in stack and "never comes" in progress
        for error, stack, progress in timed_out
    )


def test_too_many_hanging_handlers_end_the_function_run_and_a_successor_window_is_open(
    db: Database, database_url: str, evidence: Evidence
) -> None:
    few = Limits(abandoned_threads_max=1, termination_grace_seconds=0.2)
    _enqueue(db, "fault.hang", 4)
    _enqueue(db, "fault.quick", 100, 0.2)
    with drain_process(database_url, limits=few, hand_over=True) as process:
        output, _ = process.communicate(timeout=60)
    assert "slots_hung" in output
    assert evidence.ask("SELECT source, shard, state FROM dispatch_window ORDER BY window_id DESC LIMIT 1") == [
        ("successor", SHARD, "OPEN")
    ]
    assert evidence.states()["RUNNING"] == 0


def test_sigterm_gives_back_what_was_not_started_and_lets_handlers_finish(
    db: Database, database_url: str, evidence: Evidence
) -> None:
    _enqueue(db, "fault.work", 12, 1.0)
    with drain_process(database_url) as process:
        eventually(
            lambda: evidence.one("SELECT count(*) FROM public.evidence WHERE what = 'start'") >= 4,
            within=30,
            what="starts",
        )
        process.terminate()
        output, errors = process.communicate(timeout=30)
    assert "stopped" in output, errors
    states = evidence.states()
    assert states["RUNNING"] == 0
    assert states["SUCCEEDED"] + states["PENDING"] == 12
    assert states["SUCCEEDED"] >= 4
    assert evidence.one("SELECT count(*) FROM job_attempt WHERE outcome = 'LOST'") == 0
    assert evidence.one("SELECT max(attempt) FROM job WHERE state = 'PENDING'") == 0
