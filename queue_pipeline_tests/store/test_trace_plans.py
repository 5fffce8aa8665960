"""What a trace asks is answered from indexes: the history of 20,000 other jobs is not read for the story of one."""

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from queue_pipeline.store import drill, queue_wait, trace
from queue_pipeline.store.session import SCHEMA, Direct
from queue_pipeline_tests.databases import scratch_database
from queue_pipeline_tests.store.plans import explain, indexes_of, scanned_whole

FILL_SQL = """
INSERT INTO workspace_lane (workspace, shard) SELECT 'w' || n, 'shard-0' || (n % 4) FROM generate_series(0, 199) n;

INSERT INTO function_run (shard, host, pid, started_at, lease_until, state, ended_at, end_reason)
SELECT 'shard-0' || (n % 4), 'nowhere.example', 1, now() - n * interval '1 minute', now(), 'SUCCEEDED', now() - n * interval '1 minute',
       'empty'
FROM generate_series(1, 20000) n;
INSERT INTO dispatch_window (dispatch_key, shard, source, state, opened_at, launch_by, taken_at, function_run_id, closed_at)
SELECT 'closed:' || n, 'shard-0' || (n % 4), 'schedule', 'CLOSED', now() - n * interval '1 minute', now(), now(), n, now()
FROM generate_series(1, 20000) n;
INSERT INTO recovery_decision (swept_by, signal, function_run_id, job_id, detail)
SELECT 'drain', 'dead', n, CASE WHEN n % 2 = 0 THEN n END, 'd' FROM generate_series(1, 20000) n;

INSERT INTO job (kind, workspace, state, run_at, first_due_at, finished_at, dedupe_key, payload)
SELECT 'lead.inbound', 'w' || (n % 200), 'SUCCEEDED', now(), now(), now(), 'key-' || n, '{}' FROM generate_series(1, 20000) n;
INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, finished_at, outcome)
SELECT n, 1, n, n, now(), now(), now() - (20000 - n) * interval '1 minute', CASE WHEN n % 20 = 0 THEN 'LOST' ELSE 'SUCCEEDED' END
FROM generate_series(1, 20000) n;
INSERT INTO late_write (job_id, fence, function_run_id, wanted) SELECT n, n, n, 'SUCCEEDED' FROM generate_series(1, 20000) n;

INSERT INTO lead (workspace, address) SELECT 'w' || (n % 200), 'lead-' || n || '@example.com' FROM generate_series(1, 20000) n;
INSERT INTO inbound_event (workspace, provider, provider_event_id, dedupe_key, payload_sha256, lead_address, job_id)
SELECT 'w' || (n % 200), 'test', 'event-' || n, 'event-' || n, repeat('0', 64), 'lead-' || n || '@example.com', n
FROM generate_series(1, 20000) n;
INSERT INTO draft (workspace, lead_id, job_id, channel, subject, body, drafter)
SELECT 'w' || (n % 200), n, n, 'email', '', 'b', 'template' FROM generate_series(1, 20000) n;
INSERT INTO outbound_message (workspace, job_id, channel, purpose, recipient, body, trigger_key, idempotency_key, payload_sha256, state,
                              provider, lead_id, draft_id, sent_at)
SELECT 'w' || (n % 200), n, 'email', 'reply', 'lead-' || n || '@example.com', 'b', 'lead:' || n, 'key-' || n, repeat('0', 64), 'SENT',
       'outbox', n, n, now()
FROM generate_series(1, 20000) n;
INSERT INTO send_attempt (outbound_message_id, attempt, epoch, sender, deadline_at, request_sha256, idempotency_key)
SELECT n, 1, 1, 's', now(), 'r', 'k' FROM generate_series(1, 20000) n;
INSERT INTO provider_message (provider, provider_message_id, outbound_message_id, recipient, observed_via)
SELECT 'outbox', 'message-' || n, n, 'lead-' || n || '@example.com', 'response' FROM generate_series(1, 20000) n;
INSERT INTO notification (workspace, job_id, dedupe_key, text) SELECT 'w', n, 'key-' || n, 't' FROM generate_series(1, 20000) n;
INSERT INTO lead_outcome (job_id, workspace, outcome, reason) SELECT n, 'w', 'skipped', 'r' FROM generate_series(1, 20000) n;
INSERT INTO lead_task (workspace, job_id, kind, why) SELECT 'w', n, 'call', 'w' FROM generate_series(1, 20000) n;
INSERT INTO job_step (job_id, name, fence, result) SELECT n, 's', n, '1' FROM generate_series(1, 20000) n;
"""

JOB = {"job_id": 700}
JOBS = {"job_ids": [700, 701]}
RUNS = {"function_run_ids": [700, 701]}
WHO = {"workspace": "w100", "address": "lead-700@example.com", "after": "2031-03-04 10:00+00"}
MEANT = {
    "number": 700, "text": "key-700", "names": ["event-700"], "addresses": ["lead-700@example.com"], "limit": 20,
}  # fmt: skip
SPAN = {"since": "2031-03-04 10:00+00", "until": "2031-03-04 10:30+00"}

STATEMENTS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "jobs meant": (trace.JOBS_MEANT_SQL, MEANT),
    "jobs of a lead": (trace.JOBS_OF_LEAD_SQL, {"lead_id": 700, "limit": 20}),
    "jobs of a story": (trace.JOBS_OF_STORY_SQL, JOB),
    "job": (trace.JOB_SQL, JOB),
    "attempts": (trace.ATTEMPTS_SQL, JOB),
    "steps": (trace.STEPS_SQL, JOB),
    "sample": (trace.SAMPLE_SQL, JOB),
    "late writes": (trace.LATE_WRITES_SQL, JOB),
    "inbound": (trace.INBOUND_SQL, JOB),
    "conflicts": (trace.CONFLICTS_SQL, JOB),
    "next inbound": (trace.NEXT_INBOUND_SQL, WHO),
    "lead": (trace.LEAD_SQL, WHO),
    "sent by others": (trace.SENT_BY_OTHERS_SQL, {**WHO, "until": "2031-03-04 11:00+00"}),
    "drafts": (trace.DRAFTS_SQL, JOB),
    "tasks": (trace.TASKS_SQL, JOB),
    "outcome": (trace.OUTCOME_SQL, JOB),
    "notifications": (trace.NOTIFICATIONS_SQL, JOBS),
    "messages": (trace.MESSAGES_SQL, JOBS),
    "send attempts": (trace.SEND_ATTEMPTS_SQL, JOBS),
    "evidence": (trace.EVIDENCE_SQL, JOBS),
    "runs of a shard": (queue_wait.RUNS_SQL, {"shard": "shard-01", **SPAN}),
    "runs by id": (queue_wait.RUN_SQL, RUNS),
    "windows of a shard": (queue_wait.WINDOWS_SQL, {"shard": "shard-01", **SPAN}),
    "held": (queue_wait.HELD_SQL, RUNS),
    "still held": (queue_wait.STILL_HELD_SQL, RUNS),
    "decisions": (queue_wait.DECISIONS_SQL, {**JOB, **RUNS}),
    "ended meanwhile": (queue_wait.ENDED_MEANWHILE_SQL, {**JOB, **RUNS, **SPAN, "workspace": "w100"}),
    "progress of a drill": (drill.PROGRESS_SQL, {"since": 19_990, "workspace": "drill", "pid": 7}),
    "attempts of a drill": (drill.ATTEMPTS_SQL, {"since": 19_990, "workspace": "drill"}),
}

#: Read whole it would be the history of everybody.
LARGE = {
    "job", "job_attempt", "job_step", "function_run", "dispatch_window", "recovery_decision", "late_write", "lead",
    "inbound_event", "draft", "outbound_message", "send_attempt", "provider_message", "notification", "lead_outcome",
    "lead_task",
}  # fmt: skip


@pytest.fixture(scope="module")
def filled(server_url: str, template_database: str) -> Iterator[Direct]:
    with scratch_database(server_url, template_database) as url:
        options = f"-c search_path={SCHEMA},public"
        with psycopg.connect(make_conninfo(url, options=options), autocommit=True) as connection:
            connection.execute(FILL_SQL)
            connection.execute("VACUUM ANALYZE")
            yield connection


@pytest.mark.parametrize("name", list(STATEMENTS))
def test_a_story_is_read_through_indexes(filled: Direct, name: str) -> None:
    text, values = STATEMENTS[name]
    plan = explain(filled, text, values, mode="custom")
    assert scanned_whole(plan) & LARGE == set()


#: index: the statement that misses it
MISSED = {
    "recovery_decision_of_run": "decisions",
    "recovery_decision_of_job": "decisions",
    "function_run_by_shard": "runs of a shard",
    "window_by_shard": "windows of a shard",
    "attempt_that_hung": "held",
    "late_write_of_job": "late writes",
}


@pytest.mark.parametrize("index", list(MISSED))
def test_without_its_index_a_story_would_read_everything(filled: Direct, index: str) -> None:
    text, values = STATEMENTS[MISSED[index]]
    assert index in indexes_of(explain(filled, text, values, mode="custom"))
    with filled.transaction(force_rollback=True):
        filled.execute(f"DROP INDEX {index}")
        assert scanned_whole(explain(filled, text, values, mode="custom")) & LARGE
