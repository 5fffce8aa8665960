"""The questions of the health snapshot read partial indexes, whatever history has piled up."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from queue_pipeline.store import capacity, dagster_run, health
from queue_pipeline.store.session import SCHEMA, Direct
from queue_pipeline_tests.databases import scratch_database
from queue_pipeline_tests.store.plans import explain, indexes_of, scanned_whole

FILL_SQL = """
INSERT INTO workspace_lane (workspace, shard, ready)
SELECT 'w' || n, 'shard-0' || (n % 4), true FROM generate_series(0, 199) n;
INSERT INTO function_run (shard, host, pid, lease_until, state, ended_at, end_reason, dagster_run_id)
SELECT 'shard-00', 'nowhere.example', 1, now(), 'SUCCEEDED', now(), 'empty', 'run-' || n
FROM generate_series(1, 5000) n;
INSERT INTO job (kind, workspace, state, run_at, first_due_at, finished_at, payload)
SELECT 'demo', 'w' || (n % 200), 'SUCCEEDED', now(), now(), now() - interval '1 day', '{"some": "payload"}'
FROM generate_series(1, 50000) n;
INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload)
SELECT 'demo', 'w' || (n % 200), 'PENDING', now() - n * interval '1 second', now() - n * interval '1 second', '{}'
FROM generate_series(1, 1000) n;
INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, finished_at, outcome)
SELECT n, 1, n, 1, now() - interval '1 day', now() - interval '1 day',
       now() - (60000 - n) * interval '2 seconds', 'SUCCEEDED'
FROM generate_series(1, 50000) n;
"""

#: The plan for the last minute: nearly everything is older.
LATELY = datetime(2100, 1, 1, tzinfo=UTC)
STATEMENTS: Mapping[str, tuple[str, Mapping[str, Any], set[str]]] = {
    "totals": (
        health.totals_sql(),
        {"count_max": 1000, "stale_cutoff": 900.0},
        {"function_run_living", "job_next_to_prune", "attempt_by_finish"},
    ),
    "shards": (health.shards_sql(), {"count_max": 1000, "oldest_max": 100, "shards": 4}, {"job_oldest_due"}),
    "waits": (health.waits_sql(), {"count_max": 1000, "stride": 3}, {"attempt_by_finish"}),
    "aged shards": (
        health.aged_shards_sql(),
        {"older_than": 900.0, "oldest_max": 100, "shards": 4},
        {"job_oldest_due"},
    ),
    "capacity: ended attempts": (capacity.ATTEMPTS_SQL, {"since": LATELY}, {"attempt_by_finish"}),
    "capacity: waits": (
        capacity.AGE_SQL,
        {"since": LATELY, "stride": 3, "count_max": 1000},
        {"attempt_by_finish"},
    ),
    "capacity: need": (
        capacity.NEED_SQL,
        {"shards": 4, "count_max": 1000, "late_max": 100, "quota": 64},
        {"job_next_in_lane", "job_next_to_promote", "job_running_in_lane"},
    ),
    "capacity: drains": (capacity.RUNS_SQL, {"since": LATELY}, {"function_run_living", "function_run_by_end"}),
    "last function runs": (
        str(dagster_run.last_function_run_sql()),
        {"dagster_run_ids": ["run-1", "run-2"]},
        {"function_run_by_dagster_run"},
    ),
}
LARGE = {"job", "job_attempt", "function_run"}


@pytest.fixture(scope="module")
def filled(server_url: str, template_database: str) -> Iterator[Direct]:
    with scratch_database(server_url, template_database) as url:
        options = f"-c search_path={SCHEMA},public"
        with psycopg.connect(make_conninfo(url, options=options), autocommit=True) as connection:
            connection.execute(FILL_SQL)
            connection.execute("VACUUM ANALYZE")
            yield connection


@pytest.mark.parametrize("name", list(STATEMENTS))
def test_a_question_of_health_reads_its_index_and_no_history(filled: Direct, name: str) -> None:
    text, values, indexes = STATEMENTS[name]
    plan = explain(filled, text, values, mode="custom")
    assert scanned_whole(plan) & LARGE == set()
    assert indexes <= indexes_of(plan)
