"""A look at the quotas reads what is due and what is new: never the history, nor the jobs of those that nobody watches."""

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from queue_pipeline.store import quota, workspace
from queue_pipeline.store.session import SCHEMA, Direct
from queue_pipeline_tests.databases import scratch_database
from queue_pipeline_tests.store.plans import explain, indexes_of, scanned_whole

#: 2,000 workspaces of which 20 are watched, each of these for a day; 60,000 finished and 20,000 pending jobs; 50,000 messages.
FILL_SQL = """
SET session_replication_role = replica; -- the triggers of sends are not what is measured
INSERT INTO workspace_lane (workspace, shard, ready) SELECT 'w' || n, 'shard-0' || (n % 4), true FROM generate_series(0, 1999) n;
INSERT INTO workspace_quota (workspace, eligible, duplicates_since, judged_since)
SELECT 'w' || n, n < 20, now() - interval '1 day', now() - interval '1 day' FROM generate_series(0, 499) n;
INSERT INTO quota_escalation (workspace, quota, started_at, expires_at, who, approver, why, ended_at, ended_by, end_reason)
SELECT 'w' || n % 2000, 300, now() - interval '3 h', now() - interval '1 h', 'olga', 'Ines', 'test', now(), 'clock', 'expired'
FROM generate_series(1, 5000) n;
INSERT INTO quota_escalation (workspace, quota, expires_at, who, approver, why)
SELECT 'w' || n, 300, now() + interval '1 h', 'olga', 'Ines', 'test' FROM generate_series(100, 104) n;
INSERT INTO quota_decision (workspace, from_quota, to_quota, from_tier, to_tier, reason_code, said, who)
SELECT 'w' || n % 500, 64, 100, 'standard', 'promoted', 'promoted', 'test', 'rules' FROM generate_series(1, 20000) n;
INSERT INTO workspace_sample (workspace, sampled_at, oldest_due_age_seconds, finished, failed, duplicates, sessions, lock_waiting, deadlocks)
SELECT 'w' || w, now() - n * interval '1 minute', 1, 1, 0, 0, 1, 0, 0 FROM generate_series(0, 19) w, generate_series(1, 1440) n;

INSERT INTO job (kind, workspace, state, run_at, first_due_at, finished_at, payload)
SELECT 'demo', 'w' || (n % 2000), 'SUCCEEDED', now() - n * interval '1 second', now(), now() - n * interval '1 second', '{}'
FROM generate_series(1, 60000) n;
INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload)
SELECT 'demo', 'w' || (n % 2000), 'PENDING', now() - n * interval '1 second', now(), '{}' FROM generate_series(1, 20000) n;
INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload)
SELECT 'demo', 'w' || (n % 200), 'SCHEDULED', now() + n * interval '1 minute', now(), '{}' FROM generate_series(-9, 2000) n;
INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, finished_at, outcome)
SELECT n, 1, n, 1, now(), now(), now() - (60000 - n) * interval '1 second', 'SUCCEEDED' FROM generate_series(1, 60000) n;
INSERT INTO outbound_message (workspace, job_id, trigger_key, channel, purpose, recipient, body, idempotency_key, payload_sha256,
    state, provider, account, created_at, sent_at, not_before, epoch, attempt, first_sending_at)
SELECT 'w' || n % 2000, n, 'job:' || n, 'email', 'reply', 'lead' || n || '@example.com', 'text', md5(n::text), repeat('0', 64),
       'SENT', 'http', 'main', at, at, at, 1, 1, at
FROM (SELECT n, now() - n * interval '60 seconds' AS at FROM generate_series(1, 50000) n) m;
INSERT INTO provider_message (provider, account, provider_message_id, outbound_message_id, observed_via, sent_at, first_seen_at, idempotency_key)
SELECT 'http', 'main', 'pm-' || job_id, outbound_message_id, 'response', sent_at, sent_at,
       CASE WHEN job_id % 3 = 0 THEN idempotency_key END
FROM outbound_message;
SET session_replication_role = origin;
"""

NUMBERS: Mapping[str, Any] = {"sessions": 3, "lock_waiting": 0, "deadlocks": 0}
SOME = {"workspaces": [f"w{n}" for n in range(20)]}
#: statement: (text, values, the indexes that answer its question)
STATEMENTS: Mapping[str, tuple[str, Mapping[str, Any], set[str]]] = {
    "sample": (
        quota.SAMPLE_SQL, NUMBERS,
        {"workspace_sample_pkey", "job_oldest_due", "job_next_in_lane", "job_next_to_promote", "attempt_by_finish", "job_pkey",
         "provider_message_by_time", "provider_message_by_key", "provider_message_of_outbound"},
    ),
    "is a sample due": (quota.IS_DUE_SQL, {}, {"workspace_sample_pkey"}),
    "unjudged": (quota.UNJUDGED_SQL, {"after": "", "limit": 50}, {"workspace_sample_pkey"}),
    "samples": (quota.SAMPLES_SQL, {**SOME, "minutes": 150}, {"workspace_sample_pkey"}),
    "expired": (quota.EXPIRED_SQL, {"limit": 100, "only": None}, {"escalation_next_to_expire"}),
    "move": (quota.MOVE_SQL, {"workspace": "w1", "from_quota": 64, "to_quota": 100}, {"workspace_lane_pkey"}),
    "one workspace": (workspace.ONE_SQL, {"workspace": "w1"}, {"workspace_lane_pkey", "job_next_in_lane"}),
    "decisions of all": (workspace.DECISIONS_SQL, {"limit": 10}, {"quota_decision_pkey"}),
    "decisions of one": (workspace.DECISIONS_OF_SQL, {"workspace": "w1", "limit": 10}, {"quota_decision_of_workspace"}),
}  # fmt: skip
#: Tables in which history piles up, or that hold what nobody watches.
LARGE = {
    "job",
    "job_attempt",
    "provider_message",
    "outbound_message",
    "workspace_sample",
    "quota_decision",
    "quota_escalation",
}


@pytest.fixture(scope="module")
def filled(server_url: str, template_database: str) -> Iterator[Direct]:
    with scratch_database(server_url, template_database) as url:
        options = f"-c search_path={SCHEMA},public"
        with psycopg.connect(make_conninfo(url, options=options), autocommit=True) as connection:
            connection.execute(FILL_SQL)
            connection.execute("VACUUM ANALYZE")
            yield connection


@pytest.mark.parametrize("mode", ["generic", "custom"])
@pytest.mark.parametrize("name", list(STATEMENTS))
def test_a_statement_of_the_quotas_reads_its_indexes_and_no_history(filled: Direct, name: str, mode: str) -> None:
    text, values, indexes = STATEMENTS[name]
    plan = explain(filled, text, values, mode=mode)
    assert scanned_whole(plan) & LARGE == set()
    assert indexes - indexes_of(plan) == set()


@pytest.mark.parametrize(
    "index", ["job_oldest_due", "job_next_in_lane", "attempt_by_finish", "provider_message_by_time"]
)
def test_without_its_index_the_sample_is_found_out(filled: Direct, index: str) -> None:
    with filled.transaction(force_rollback=True):
        filled.execute(f"DROP INDEX {index}")
        with pytest.raises(AssertionError):
            test_a_statement_of_the_quotas_reads_its_indexes_and_no_history(filled, "sample", "generic")
