"""The hot statements read their own index and never a whole table, whatever history has piled up.

20,000 finished, 5,000 pending, 500 scheduled and 40 running jobs of 200 workspaces; generic and custom plans.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from queue_pipeline.store import (
    claim,
    dispatch_window,
    enqueue,
    function_run,
    handler_state,
    job,
    lane,
    pause,
    recovery,
    starvation,
)  # fmt: skip
from queue_pipeline.store.session import SCHEMA, Direct
from queue_pipeline_tests.databases import scratch_database
from queue_pipeline_tests.store import rows
from queue_pipeline_tests.store.plans import explain, indexes_of, scanned_whole

FILL_SQL = """
INSERT INTO workspace_lane (workspace, shard, ready)
SELECT 'w' || n, 'shard-0' || (n % 4), n % 2 = 0 FROM generate_series(0, 199) n;

INSERT INTO function_run (shard, host, pid, lease_until, state, ended_at, end_reason)
SELECT 'shard-0' || (n % 4), 'nowhere.example', 1, now(), 'SUCCEEDED', now(), 'empty' FROM generate_series(1, 3000) n;
INSERT INTO function_run (shard, host, pid, lease_until)
SELECT 'shard-0' || n, 'nowhere.example', 1, now() + interval '1 hour' FROM generate_series(0, 3) n;

INSERT INTO dispatch_window (dispatch_key, shard, source, state, launch_by, taken_at, function_run_id, closed_at)
SELECT 'closed:' || n, 'shard-0' || (n % 4), 'schedule', 'CLOSED', now(), now(), n, now() FROM generate_series(1, 3000) n;
INSERT INTO dispatch_window (dispatch_key, shard, source, launch_by)
SELECT 'open:' || n, 'shard-0' || (n % 4), 'schedule', now() FROM generate_series(1, 8) n;

INSERT INTO job (kind, workspace, state, run_at, first_due_at, finished_at, dedupe_key, dedupe_held, payload)
SELECT 'demo', 'w' || (n % 200), CASE WHEN n % 40 = 0 THEN 'DEAD' ELSE 'SUCCEEDED' END, now() - n * interval '1 minute',
       now(), now() - n * interval '1 minute', CASE WHEN n % 10 = 0 THEN 'key-' || n / 200 END, n % 10 = 0, '{"some": "payload"}'
FROM generate_series(1, 20000) n;
INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload)
SELECT 'demo', 'w' || (n % 200), 'PENDING', now() - n * interval '1 second', now(), '{"some": "payload"}'
FROM generate_series(1, 5000) n;
INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload)
SELECT 'demo', 'w' || (n % 200), 'SCHEDULED', now() + n * interval '1 minute', now(), '{}' FROM generate_series(-9, 490) n;
INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload, attempt, fence, function_run_id, claimed_at, deadline_at)
SELECT 'demo', 'w' || n, 'RUNNING', now(), now(), '{}', 1, 100000 + n, 3001 + n % 4, now(), now() FROM generate_series(1, 40) n;

INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, finished_at, outcome)
SELECT n, 1, n, 1, now(), now(), now(), 'SUCCEEDED' FROM generate_series(1, 20000) n;
INSERT INTO lane_wake (workspace) SELECT 'w' || n FROM generate_series(1, 50) n;
INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload, parked)
SELECT CASE WHEN n % 2 = 0 THEN 'demo' ELSE 'other' END, 'w' || (n % 10), 'SCHEDULED', now(), now(), '{}', true FROM generate_series(1, 500) n;
INSERT INTO pause (scope, name, who, why) VALUES ('workspace', 'w1', 'ada', 'why'), ('kind', 'other', 'ada', 'why');
INSERT INTO pause (scope, name, who, why, ended_at, ended_by, end_reason)
SELECT scope, name, 'ada', 'why', now(), 'ada', 'why' FROM (VALUES ('workspace', 'w2'), ('kind', 'demo')) p(scope, name);
"""

RUN = {"function_run_id": 3001, "run_fence": 3001}
ENDED: dict[str, Any] = {
    "job_ids": [25_510, 25_511], "fences": [100_001, 100_002], "outcomes": ["RETRY"] * 2, "next_states": ["SCHEDULED"] * 2,
    "frees": [False] * 2, "delays": [1.0] * 2, "untils": [None] * 2, "starts": [0.1] * 2, "error_classes": ["E"] * 2,
    "errors": ["e"] * 2, "steps": [None] * 2, "progresses": [None] * 2, "stacks": [None] * 2,
}  # fmt: skip
GIVEN: dict[str, Any] = {"function_run_id": 3001, "signal": "dead", "reason": "gone", "job_id": None, "job_fence": None}


def _positional(text: str) -> str:
    """A statement with SQLAlchemy's parameters as the driver wants them."""
    return re.sub(r"(?<!:):(\w+)", r"%(\1)s", text)


#: statement: (text, values, the indexes that answer its question)
STATEMENTS: dict[str, tuple[str, Mapping[str, Any], set[str]]] = {
    "claim": (
        claim.CLAIM_SQL, {**RUN, **claim.NO_RULE.parameters(), "shard": "shard-00", "size": 20, "floor": claim.LOWEST},
        {"lane_next_to_serve", "job_running_in_lane", "job_next_in_lane", "job_pkey"},
    ),
    "settle": (claim.SETTLE_SQL, ENDED, {"job_pkey"}),
    "settle successes": (claim.SETTLE_SUCCESS_SQL, {k: ENDED[k] for k in ("job_ids", "fences", "starts")}, {"job_pkey"}),
    "settled before": (claim.SETTLED_BEFORE_SQL, {"ids": [1, 2], "fences": [1, 2]}, {"job_attempt_pkey"}),
    "held by a run": (claim.HELD_BY_RUN_SQL, {"function_run_id": 3001}, {"job_running_in_lane"}),
    "promote": (lane.PROMOTE_SQL, {"limit": 100}, {"job_next_to_promote", "job_pkey"}),
    "wake lanes": (lane.WAKE_LANES_SQL, {"limit": 100, "shard": "shard-00", "shards": 4}, {"lane_wake_pkey"}),
    "dry lanes": (lane.LOCK_DRY_LANES_SQL, {"shard": "shard-00", "limit": 100}, {"lane_next_to_serve", "job_next_in_lane"}),
    "rest lanes": (lane.REST_LANES_SQL, {"workspaces": ["w1", "w2"]}, {"job_next_in_lane"}),
    "park": (_positional(pause.PARK_SQL), {"limit": 100}, {"job_next_in_lane"}),
    "unpark": (_positional(pause.UNPARK_SQL), {"limit": 100}, {"job_parked_in_lane", "job_parked_of_kind"}),
    "starved workspaces": (starvation.STARVED_SQL, {"longer_than": 120.0}, {"job_next_in_lane", "job_running_in_lane"}),
    "living runs": (function_run.LIVING_SQL, {}, {"function_run_living"}),
    "heartbeat": (
        function_run.HEARTBEAT_SQL,
        {**dict.fromkeys((*function_run.COUNTERS, *function_run.MEASURES), 1), "lease_seconds": 30.0, "progressed": True, "function_run_id": 3001, "fence": 1},
        set(),  # by its id or by its fence, both unique
    ),
    "shard facts": (
        dispatch_window.SHARD_FACTS_SQL, {"shards": ["shard-00", "shard-01"]},
        {"lane_next_to_serve", "job_next_in_lane", "function_run_living", "window_waiting"},
    ),
    "windows waiting": (dispatch_window.WAITING_SQL, {}, {"window_waiting"}),
    "orphaned windows": (dispatch_window.ORPHANED_SQL, {"limit": 100}, {"window_waiting"}),
    "overdue jobs": (recovery.OVERDUE_SQL, {"grace_seconds": 15.0, "limit": 100}, {"job_running_in_lane"}),
    "unowned jobs": (recovery.UNOWNED_SQL, {"limit": 100}, {"job_running_in_lane"}),
    "give back": (recovery.GIVE_BACK_SQL, GIVEN, {"job_running_in_lane", "job_pkey"}),
    "cancel requested": (handler_state.CANCEL_REQUESTED_SQL, {"function_run_id": 3001}, {"job_running_in_lane"}),
    "store a step": (handler_state.STORE_STEP_SQL, {"job_id": 1, "fence": 1, "name": "s", "result": "1"}, {"job_pkey"}),
    "dead letters": (job.DEAD_LETTERS_SQL, {"kind": None, "workspace": None, "limit": 100}, {"job_dead_letters"}),
    "replay": (
        job.REPLAY_SQL, {"job_ids": None, "kind": "demo", "workspace": None, "limit": 100, "why": "w"},
        {"job_dead_letters", "job_by_idempotency_key"},
    ),
    "cancel a waiting job": (job.CANCEL_WAITING_SQL, {"why": "w", "job_id": 1}, {"job_pkey"}),
    "holder of a key": (enqueue.HOLDER_SQL, {"workspace": "w1", "kind": "demo", "key": "key-7"}, {"job_holds_idempotency_key"}),
}  # fmt: skip

#: Tables in which history piles up.
LARGE = {"job", "job_attempt", "function_run", "dispatch_window"}


@pytest.fixture(scope="module")
def filled(server_url: str, template_database: str) -> Iterator[Direct]:
    with scratch_database(server_url, template_database) as url:
        options = f"-c search_path={SCHEMA},public"
        with psycopg.connect(make_conninfo(url, options=options), autocommit=True) as connection:
            connection.execute(FILL_SQL)
            connection.execute("ANALYZE")
            yield connection


@pytest.mark.parametrize("mode", ["generic", "custom"])
@pytest.mark.parametrize("name", list(STATEMENTS))
def test_a_hot_statement_reads_its_index_and_no_history(filled: Direct, name: str, mode: str) -> None:
    text, values, indexes = STATEMENTS[name]
    plan = explain(filled, text, values, mode=mode)
    assert scanned_whole(plan) & LARGE == set()
    assert indexes - SMALL_INDEXES <= indexes_of(plan)


#: Of a table with 200 rows the planner may rightly prefer reading it whole.
SMALL_INDEXES = {"lane_next_to_serve", "lane_wake_pkey"}

#: index: the statement that misses it most. Primary keys are left out: without them nothing works at all.
MISSED = {
    "job_next_in_lane": "claim",
    "job_running_in_lane": "claim",
    "job_next_to_promote": "promote",
    "job_dead_letters": "dead letters",
    "job_holds_idempotency_key": "holder of a key",
    "function_run_living": "living runs",
    "window_waiting": "orphaned windows",
}


@pytest.mark.parametrize("index", list(MISSED))
def test_without_its_index_a_statement_is_found_out(filled: Direct, index: str) -> None:
    with filled.transaction(force_rollback=True):
        filled.execute(f"DROP INDEX {index}")
        with pytest.raises(AssertionError):
            test_a_hot_statement_reads_its_index_and_no_history(filled, MISSED[index], "generic")
    test_a_hot_statement_reads_its_index_and_no_history(filled, MISSED[index], "generic")


@pytest.mark.parametrize("name", ["claim", "settle successes", "settle", "promote", "dry lanes"])
def test_a_drain_that_started_on_an_empty_queue_has_the_right_plan_for_a_full_one(
    server_url: str, template_database: str, name: str
) -> None:
    """A drain plans each statement once, possibly when there is nothing in the tables and statistics say so."""
    text, values, _ = STATEMENTS[name]
    with scratch_database(server_url, template_database) as url:
        options = f"-c search_path={SCHEMA},public"
        with psycopg.connect(make_conninfo(url, options=options), autocommit=True) as connection:
            claim.prepare(connection)
            assert "job" not in scanned_whole(explain(connection, text, values, mode="generic"))
            rows.a_job(connection)
            connection.execute("VACUUM ANALYZE")
            assert "job" not in scanned_whole(explain(connection, text, values, mode="generic"))
