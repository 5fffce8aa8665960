"""A day's audit reads the day, and what shares its keys: never the history of 200,000 messages."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from queue_pipeline.store import audit, audit_trail
from queue_pipeline.store.session import SCHEMA, Direct
from queue_pipeline_tests.databases import scratch_database
from queue_pipeline_tests.store.plans import explain, indexes_of, scanned_whole

#: 500 messages a day for 400 days, to 20,000 leads, half of them of drafts.
FILL_SQL = """
SET session_replication_role = replica; -- the triggers of leads are not what is measured
INSERT INTO lead (workspace, address) SELECT 'w' || n % 50, 'lead' || n || '@example.com' FROM generate_series(1, 20000) n;
INSERT INTO draft (workspace, job_id, channel, subject, body, drafter)
SELECT 'w', n, 'email', '', 'text', 'template' FROM generate_series(1, 100000) n;
INSERT INTO outbound_message (workspace, job_id, trigger_key, channel, purpose, recipient, body, idempotency_key, payload_sha256,
    body_norm_sha256, state, provider, account, created_at, sent_at, not_before, lead_id, draft_id, epoch, attempt,
    first_sending_at)
SELECT 'w' || n % 50, n, 'job:' || n, 'email', 'reply', 'lead' || n % 20000 || '@example.com', 'text ' || n, md5(n::text),
       repeat('0', 64), md5(n::text), 'SENT', 'http', 'main', at, at, at, 1 + n % 20000,
       CASE WHEN n % 2 = 0 THEN n / 2 END, 1, 1, at
FROM (SELECT n, timestamptz '2026-11-20 00:00Z' - n * interval '172.8 seconds' AS at FROM generate_series(1, 200000) n) m;
INSERT INTO send_attempt (outbound_message_id, attempt, epoch, sender, started_at, deadline_at, request_sha256, idempotency_key)
SELECT outbound_message_id, 1, 1, 'drain', sent_at, sent_at, '', idempotency_key FROM outbound_message;
INSERT INTO provider_message (provider, account, provider_message_id, outbound_message_id, recipient, observed_via, workspace,
    channel, thread_id, sent_at, first_seen_at, idempotency_key, body_norm_sha256, body_length, epoch)
SELECT CASE WHEN job_id % 2 = 0 THEN 'http' ELSE 'unipile' END, 'main', 'pm-' || job_id, outbound_message_id, recipient,
       'response', workspace, channel, 'thread-' || job_id % 20000, sent_at, sent_at,
       CASE WHEN job_id % 3 = 0 THEN idempotency_key END, body_norm_sha256, 40, 1
FROM outbound_message;
INSERT INTO inbound_event (workspace, provider, provider_event_id, dedupe_key, payload_sha256, job_id, accepted_at)
SELECT workspace, 'unipile', 'event-' || job_id, 'event-' || job_id, repeat('0', 64), job_id, sent_at FROM outbound_message;
INSERT INTO inbound_conflict (inbound_event_id, payload_sha256, payload, seen_at)
SELECT inbound_event_id, '1', '{}', accepted_at FROM inbound_event WHERE inbound_event_id % 10 = 0;
SET session_replication_role = origin;
"""

DAY: Mapping[str, Any] = {
    "since": datetime(2026, 3, 3, tzinfo=UTC), "until": datetime(2026, 3, 4, tzinfo=UTC), "settle_seconds": 120.0,
    "unknown_seconds": 1800.0, "suspect_seconds": 86_400.0, "short_suspect_seconds": 15.0, "short_text": 20, "findings_max": 200,
}  # fmt: skip
BY_TIME = {"provider_message_by_time", "provider_message_by_send"}
IDS = {"outbound_message_ids": [1, 2, 3]}
STATEMENTS: Mapping[str, tuple[str, Mapping[str, Any], set[str]]] = {
    "D1": (audit.D1_SQL, DAY, BY_TIME | {"provider_message_by_key", "provider_message_of_outbound"}),
    "D2": (audit.D2_SQL, DAY, BY_TIME | {"outbound_once_per_draft_part", "provider_message_of_outbound"}),
    "D3": (audit.D3_SQL, DAY, {"outbound_by_send", "outbound_once_per_trigger"}),
    "D4": (
        audit.D4_SQL,
        DAY,
        BY_TIME | {"provider_message_by_recipient", "outbound_of_lead", "provider_message_of_thread"},
    ),
    "D5": (audit.D5_SQL, DAY, BY_TIME),
    "D6": (audit.D6_SQL, DAY, BY_TIME | {"outbound_by_send"}),
    "D7": (audit.D7_SQL, DAY, {"inbound_by_time", "inbound_conflict_by_time"}),
    "UNKNOWN": (audit.UNKNOWN_SQL, DAY, set()),
    "rows examined": (audit.EXAMINED_SQL, DAY, BY_TIME | {"outbound_by_send", "inbound_by_time"}),
    "legacy keys": (audit.LEGACY_SQL, DAY, {"provider_message_by_time", "inbound_by_time"}),
    "duplicate keys of a day": (audit.DUPLICATE_KEYS_SQL, {"seconds": 86_400.0}, BY_TIME),
    "messages of findings": (audit_trail.OUTBOUND_SQL, IDS, {"outbound_message_pkey"}),
    "attempts of findings": (audit_trail.ATTEMPTS_SQL, IDS, {"send_attempt_pkey"}),
}


@pytest.fixture(scope="module")
def filled(server_url: str, template_database: str) -> Iterator[Direct]:
    with scratch_database(server_url, template_database) as url:
        options = f"-c search_path={SCHEMA},public"
        with psycopg.connect(make_conninfo(url, options=options), autocommit=True) as connection:
            connection.execute(FILL_SQL)
            connection.execute("VACUUM ANALYZE")
            yield connection


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize("name", list(STATEMENTS))
def test_a_question_of_the_audit_reads_its_indexes_and_no_history(filled: Direct, name: str, mode: str) -> None:
    text, values, indexes = STATEMENTS[name]
    plan = explain(filled, text, values, mode=mode)
    assert scanned_whole(plan) == set()
    assert indexes - indexes_of(plan) == set()


def test_every_statement_of_the_checks_is_looked_at() -> None:
    assert set(audit.FINDINGS_SQL) <= set(STATEMENTS)
