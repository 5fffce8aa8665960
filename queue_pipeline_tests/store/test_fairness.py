"""The claim in SQL takes what the pure rule picks, on any state of lanes and jobs, and moves the lanes as far."""

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queue_pipeline.domain import fairness
from queue_pipeline.domain.lane import VTIME_PER_JOB
from queue_pipeline.store import lane as store_lane
from queue_pipeline.store.claim import NO_CAP, LaneRule, exchange
from queue_pipeline.store.session import Database, Direct
from queue_pipeline_tests.engine.kitchen import Bystander

PER_SECOND = 1_000_000
PAUSED = "paused"


@dataclass(frozen=True)
class PlannedLane:
    """A lane as it is planted: jobs are (due so many seconds ago, priority, whether their kind is paused)."""

    vtime: int
    weight: int
    quota: int
    ready: bool
    running: int
    jobs: list[tuple[int, int, bool]]


lanes = st.builds(
    PlannedLane,
    vtime=st.integers(0, 4).map(lambda steps: steps * VTIME_PER_JOB // 2),
    weight=st.sampled_from([1, 1, 2, 3, 1000]),
    quota=st.integers(0, 6),
    ready=st.sampled_from([True, True, True, False]),
    running=st.integers(0, 3),
    jobs=st.lists(
        st.tuples(st.integers(0, 120), st.integers(-2, 2), st.sampled_from([False, False, False, True])), max_size=6
    ),
)


@dataclass(eq=False)
class Lane:
    """The same lane for the pure rule."""

    workspace: str
    vtime: int
    weight: int
    cap: int
    in_flight: int
    waiting: list[int]

    def next_jobs(self, count: int) -> list[int]:
        return self.waiting[:count]


def planted(connection: Direct, plan: list[PlannedLane], run_id: int, *, at_once: int) -> list[Lane]:
    """Write the lanes and their jobs, and give what the pure rule looks at: the ready ones in the fair order."""
    connection.execute("DELETE FROM job")
    connection.execute("DELETE FROM workspace_lane")
    (now,) = one(connection, "SELECT date_trunc('second', now())")
    known: list[Lane] = []
    for number, each in enumerate(plan):
        name = f"lane-{number:02d}"
        connection.execute(
            "INSERT INTO workspace_lane (workspace, shard, vtime, weight, quota, ready) VALUES (%s, 'shard-00', %s, %s, %s, %s)",
            (name, each.vtime, each.weight, each.quota, each.ready),
        )
        for _ in range(each.running):
            job(connection, name, now, 0, 0, run_id=run_id)
        ranked = sorted(
            (fairness.rank(-ago * PER_SECOND, priority), job(connection, name, now, ago, priority, paused=paused))
            for ago, priority, paused in each.jobs
        )
        known.append(
            Lane(
                name, each.vtime, each.weight, min(each.quota, at_once), each.running, [job_id for _, job_id in ranked]
            )
        )
    ready = [lane for lane, each in zip(known, plan, strict=True) if each.ready]
    return sorted(ready, key=lambda lane: (lane.vtime, lane.workspace))


def job(
    connection: Direct,
    workspace: str,
    now: Any,
    ago: int,
    priority: int,
    *,
    run_id: int | None = None,
    paused: bool = False,
) -> int:
    running = run_id is not None
    (job_id,) = one(
        connection,
        """INSERT INTO job (kind, workspace, state, priority, attempt, run_at, first_due_at, payload, fence, function_run_id, claimed_at, deadline_at)
           SELECT %(kind)s, %(workspace)s, %(state)s, %(priority)s, %(attempt)s, due, due, '{}', %(fence)s, %(run_id)s,
                  CASE WHEN %(running)s THEN now() END, CASE WHEN %(running)s THEN now() END
           FROM (SELECT %(now)s::timestamptz - make_interval(secs => %(ago)s) AS due) d RETURNING job_id""",
        {"kind": PAUSED if paused else "note", "workspace": workspace, "state": "RUNNING" if running else "PENDING", "priority": priority, "attempt": int(running), "fence": 1 if running else None, "run_id": run_id, "running": running, "now": now, "ago": ago},
    )  # fmt: skip
    return int(job_id)


def one(connection: Direct, sql: str, values: Any = None) -> Any:
    row = connection.execute(sql, values).fetchone()
    assert row is not None
    return row


def test_the_claim_takes_what_the_pure_rule_picks_and_moves_the_lanes_as_far(db: Database) -> None:
    bystander = Bystander(db)
    connection = bystander.direct

    @given(
        st.lists(lanes, max_size=6),
        st.integers(1, 12),
        st.sampled_from([NO_CAP, NO_CAP, 3, 8]),
        st.sampled_from([NO_CAP, NO_CAP, 2]),
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def on_any_state(plan: list[PlannedLane], size: int, in_flight_max: int, at_once: int) -> None:
        ready = planted(connection, plan, bystander.run_id, at_once=at_once)
        room = in_flight_max - sum(each.running for each in plan)
        paused = {row[0] for row in connection.execute("SELECT job_id FROM job WHERE kind = %s", (PAUSED,))}
        expected = [(lane, job_id) for lane, job_id in fairness.pick(ready, size, room=room) if job_id not in paused]
        claimed = exchange(
            connection, bystander.claimant, results=(), size=size, wake_limit=0, promote_limit=0, shards=1,
            rule=LaneRule(at_once=at_once, in_flight_max=in_flight_max, paused_kinds=[PAUSED]),
        )  # fmt: skip
        assert {claim.job_id for claim in claimed.claims} == {job_id for _, job_id in expected}
        for lane, _ in expected:
            lane.vtime += fairness.vtime_step(lane.weight)
        rows = connection.execute("SELECT workspace, vtime FROM workspace_lane WHERE ready").fetchall()
        assert {(name, vtime) for name, vtime in rows} == {(lane.workspace, lane.vtime) for lane in ready}

    on_any_state()
    bystander.close()


def test_a_lane_joins_where_the_pure_rule_says(db: Database) -> None:
    connection = db.direct()

    @given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=5), st.integers(0, 9))
    @settings(max_examples=40, deadline=None)
    def on_any_state(others: list[tuple[int, bool]], own: int) -> None:
        connection.execute("DELETE FROM workspace_lane")
        for number, (vtime, ready) in enumerate([*others, (own, False)]):
            connection.execute(
                "INSERT INTO workspace_lane (workspace, shard, vtime, ready) VALUES (%s, 'shard-00', %s, %s)",
                (f"lane-{number}", vtime, ready),
            )
        woken = f"lane-{len(others)}"
        connection.execute("INSERT INTO lane_wake (workspace) VALUES (%s)", (woken,))
        store_lane.promote_and_wake(connection, promote_limit=10, wake_limit=10, shards=1)
        now = fairness.virtual_time(
            lowest_ready=min((vtime for vtime, ready in others if ready), default=None),
            highest_resting=max((vtime for vtime, ready in [*others, (own, False)] if not ready), default=None),
        )
        row = one(connection, "SELECT ready, vtime FROM workspace_lane WHERE workspace = %s", (woken,))
        assert tuple(row) == (True, fairness.joined(own, now))

    on_any_state()
    connection.close()
