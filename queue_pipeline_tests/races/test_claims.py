"""Two claimers of one lane, two takers of one window, two openers of one shard."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from queue_pipeline.domain.dispatch_window import WindowSource
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.dispatch import open_due_windows, open_relief_window, open_successor
from queue_pipeline.store import claim as claims
from queue_pipeline_tests.engine.kitchen import SHARD, Bystander, Kitchen
from queue_pipeline_tests.races.staging import until_it_waits_or_ends, until_somebody_waits


def test_a_second_claimer_passes_over_the_lane_that_the_first_is_serving(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor
) -> None:
    kitchen.put("work", 10, workspace="globex")
    drain.exchange()
    other = Bystander(kitchen.db)
    who = {
        "function_run_id": drain.run_id,
        "run_fence": drain.begun.fence,
        "shard": SHARD,
        "size": 1,
        "floor": claims.LOWEST,
    } | claims.NO_RULE.parameters()
    with drain.direct.transaction():
        (first,) = drain.direct.execute(claims.CLAIM_SQL, who).fetchall()
        waiting = pool.submit(other.claim, 4)
        second = waiting.result(10)  # it does not wait
    assert len(second) == 4
    assert {claim.workspace for claim in second} == {"acme", "globex"} - {first[8]}
    other.close()


def test_jobs_that_another_session_has_locked_are_neither_waited_for_nor_claimed_twice(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor
) -> None:
    drain.exchange()
    with kitchen.db.begin() as tx:
        tx.exec_driver_sql("SELECT 1 FROM job WHERE job_id <= 4 FOR UPDATE")
        taken = pool.submit(drain.claim, 10).result(10)
        assert {claim.job_id for claim in taken} == {5, 6, 7, 8, 9, 10}


def test_a_job_that_was_cancelled_while_the_claim_looked_is_not_claimed(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor
) -> None:
    """The claim's snapshot is older than the rows it locks: the state is looked at again under the lock."""
    drain.exchange()
    with kitchen.db.begin() as tx:
        # The claim stands still after its snapshot was taken: its first row lock is that of the lane's update.
        tx.exec_driver_sql("LOCK TABLE workspace_lane IN SHARE MODE")
        waiting = pool.submit(drain.claim, 10)
        until_it_waits_or_ends(kitchen.db, waiting)
        tx.exec_driver_sql("UPDATE job SET state = 'CANCELLED', finished_at = now() WHERE job_id <= 3")
    assert {claim.job_id for claim in waiting.result(10)} == {4, 5, 6, 7, 8, 9, 10}
    assert kitchen.states() == {"CANCELLED": 3, "RUNNING": 7}


def test_many_claimers_at_once_claim_each_job_once(kitchen: Kitchen, pool: ThreadPoolExecutor) -> None:
    for number in range(10):
        kitchen.put("work", 30, workspace=f"workspace-{number}")
    drains = [Bystander(kitchen.db) for _ in range(4)]

    def claim_everything(bystander: Bystander) -> list[int]:
        taken: list[int] = []
        for _ in range(60):
            taken += [claim.job_id for claim in bystander.claim(7)]
        return taken

    taken = [job_id for ids in pool.map(claim_everything, drains) for job_id in ids]
    assert sorted(taken) == [row.job_id for row in kitchen.rows("SELECT job_id FROM job ORDER BY 1")]
    assert {row.attempt for row in kitchen.rows("SELECT DISTINCT attempt FROM job")} == {1}
    for bystander in drains:
        bystander.close()


def opened(kitchen: Kitchen) -> int:
    return int(kitchen.row("SELECT count(*) AS n FROM dispatch_window WHERE state = 'OPEN'")["n"])


def test_a_schedule_and_a_sensor_that_open_at_once_open_one_window(kitchen: Kitchen, pool: ThreadPoolExecutor) -> None:
    with kitchen.db.begin() as tx:
        tx.exec_driver_sql("LOCK TABLE dispatch_window IN SHARE ROW EXCLUSIVE MODE")
        asked = [
            pool.submit(open_due_windows, kitchen.db, [SHARD], source=source, window_seconds=seconds)
            for source, seconds in [(WindowSource.SCHEDULE, 60), (WindowSource.SENSOR, 5)]
        ]
        until_somebody_waits(kitchen.db, asked[0], sessions=2)
    answers = [answer for waiting in asked for answer in waiting.result(10)]
    assert sum(answer.dispatch_key is not None for answer in answers) == 1
    (refused,) = [answer.why for answer in answers if answer.dispatch_key is None]
    assert "open since" in refused
    assert opened(kitchen) == 1


def test_a_function_run_has_one_successor_however_often_it_is_asked_for(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor
) -> None:
    drain.exchange()
    keys = list(pool.map(lambda _: open_successor(kitchen.db, SHARD, drain.run_id, Limits()), range(4)))
    assert sum(key is not None for key in keys) == 1
    assert opened(kitchen) == 1


def test_relief_is_bounded(kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor) -> None:
    drain.exchange()
    answers = list(pool.map(lambda _: open_relief_window(kitchen.db, SHARD), range(4)))
    assert sum(answer.dispatch_key is not None for answer in answers) == 1
    relief = Bystander(kitchen.db)
    kitchen.rows("UPDATE dispatch_window SET state = 'MISSED', closed_at = now() WHERE state = 'OPEN'")
    assert "the most allowed" in open_relief_window(kitchen.db, SHARD).why
    relief.close()


#: The claim as it is, with a gate behind its snapshot: whatever it looks at later, it looked at the queue before.
GATED_CLAIM_SQL = claims.CLAIM_SQL.replace(
    "SELECT 1 FROM function_run\n",
    "SELECT 1 FROM function_run CROSS JOIN (SELECT pg_advisory_xact_lock(77, 77)) gate\n",
)


@pytest.mark.parametrize("urgent", [False, True])
def test_a_claim_that_looked_before_another_was_committed_still_keeps_the_quota(
    kitchen: Kitchen, drain: Bystander, pool: ThreadPoolExecutor, urgent: bool
) -> None:
    kitchen.put("work", 10, workspace="globex")
    drain.exchange()
    kitchen.rows("UPDATE workspace_lane SET quota = 3")
    other = Bystander(kitchen.db)
    who = {**claims.NO_RULE.parameters(), "function_run_id": other.run_id, "run_fence": other.begun.fence}
    assert GATED_CLAIM_SQL != claims.CLAIM_SQL
    with kitchen.db.begin() as gate:
        gate.exec_driver_sql("SELECT pg_advisory_xact_lock(77, 77)")
        waiting = pool.submit(
            other.direct.execute, GATED_CLAIM_SQL, {**who, "shard": SHARD, "size": 20, "floor": claims.LOWEST}
        )
        until_somebody_waits(kitchen.db, waiting)
        if urgent:  # not among the jobs that the claim with the older snapshot looks at
            kitchen.put("work", 2, priority=-50)
            kitchen.put("work", 2, workspace="globex", priority=-50)
        assert len(drain.claim(4)) == 4
    waiting.result(10)
    running = kitchen.rows("SELECT workspace, count(*) FROM job WHERE state = 'RUNNING' GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in running] == [("acme", 3), ("globex", 3)]
    other.close()
