"""What a send and a reconciliation ask is answered from indexes, whatever 20,000 messages have left behind.

Generic and custom plans: the pool's connections prepare what they run often.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from queue_pipeline.store import evidence, listing, outbound, outbox, reconcile
from queue_pipeline.store.session import SCHEMA, Direct
from queue_pipeline_tests.databases import scratch_database
from queue_pipeline_tests.store.plans import explain, indexes_of, nodes, scanned_whole

FILL_SQL = """
INSERT INTO job (kind, workspace, state, run_at, first_due_at, finished_at, payload)
SELECT 'demo', 'w' || n % 200, CASE WHEN n % 40 = 0 THEN 'DEAD' ELSE 'SUCCEEDED' END, now(), now(), now(), '{}'
FROM generate_series(1, 20000) n;
INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload, attempt, fence, function_run_id, claimed_at, deadline_at)
SELECT 'demo', 'w' || n % 200, 'RUNNING', now(), now(), '{}', 1, 100000 + n, 1, now(), now() FROM generate_series(1, 400) n;
INSERT INTO function_run (shard, host, pid, lease_until, state, ended_at, end_reason)
SELECT 'shard-00', 'nowhere.example', 1, now(), 'SUCCEEDED', now(), 'empty' FROM generate_series(1, 20000) n;
INSERT INTO lead (workspace, address) SELECT 'w' || n % 200, 'lead' || n || '@example.com' FROM generate_series(1, 20000) n;
INSERT INTO inbound_event (workspace, provider, dedupe_key, payload_sha256, lead_address, job_id)
SELECT 'w' || n % 200, 'test', n, repeat('0', 64), 'lead' || n || '@example.com', n FROM generate_series(1, 20000) n;
INSERT INTO outbound_message (workspace, job_id, trigger_key, channel, purpose, recipient, body, idempotency_key, payload_sha256,
    body_norm_sha256, state, provider, account, sent_at, not_before, lead_id, epoch, attempt, first_sending_at, deadline_at,
    unknown_since, in_doubt, reason)
SELECT 'w' || n % 200, n, 'job:' || n, 'email', 'reply', 'Lead' || n || '@example.com', 'text', md5(n::text), repeat('0', 64),
       md5(n::text), state, 'http', 'main', CASE WHEN state = 'SENT' THEN now() END, now() - interval '1 minute', n, 1, 1,
       now() - interval '10 minutes', CASE WHEN state = 'SENDING' THEN now() END,
       CASE WHEN state = 'UNKNOWN' THEN now() END, state = 'UNKNOWN',
       CASE WHEN state NOT IN ('SENT', 'SENDING', 'READY') THEN 'as it is' END
FROM (SELECT n, CASE WHEN n % 100 = 0 THEN 'READY' WHEN n % 100 = 1 THEN 'UNKNOWN' WHEN n % 500 = 2 THEN 'SENDING'
                     WHEN n % 50 = 3 THEN 'NEEDS_HUMAN' WHEN n % 20 = 4 THEN 'CANCELLED' ELSE 'SENT' END AS state
      FROM generate_series(1, 20000) n) m;
INSERT INTO send_attempt (outbound_message_id, attempt, epoch, sender, deadline_at, request_sha256, idempotency_key)
SELECT outbound_message_id, 1, 1, 'drain', now(), '', idempotency_key FROM outbound_message;
INSERT INTO provider_message (provider, account, provider_message_id, outbound_message_id, recipient, observed_via, workspace,
    idempotency_key, sent_at)
SELECT 'http', 'main', 'm-' || job_id, outbound_message_id, recipient, 'response', workspace, idempotency_key, now()
FROM outbound_message WHERE state = 'SENT';
INSERT INTO provider_message (provider, account, provider_message_id, recipient, author, observed_via)
SELECT 'mailbox', 'main', 'p-' || n, 'lead' || n || '@example.com', 'person', 'poll' FROM generate_series(1, 20000) n;
"""

ONE = {
    "outbound_message_id": 700,
    "epoch": 1,
    "state": "SENT",
    "from_state": "READY",
    "reason": None,
    "wait": 0.0,
    "by": "",
}
MOVED = {**ONE, "decided_by": "test", "seconds": 20.0}
BUSINESS = {
    "idempotency_key": "k", "workspace": "w100", "trigger_key": "job:700", "channel": "email", "purpose": "reply",
    "part_index": 0,
}  # fmt: skip
ENDED = {
    **ONE, "outcome": "accepted", "error_class": None, "error": None, "http_status": 201, "provider_message_id": "m",
}  # fmt: skip
ECHO = {
    "provider": "http", "account": "main", "recipient": "lead701@example.com", "body_norm_sha256": "x", "sent_at": None,
}  # fmt: skip
BEGUN = {
    **BUSINESS, **ONE, "attempt": 2, "sender": "s", "job_fence": 7, "job_id": 700, "request_sha256": "r",
    "deadline_at": "2031-03-04 10:00+00",
}  # fmt: skip
MANY = {"limit": 50}
OUTBOUND = "outbound_message_pkey"

#: statement: (text, values, the indexes that answer its question)
STATEMENTS: Mapping[str, tuple[str, Mapping[str, Any], set[str]]] = {
    "hold the claim": (outbound.CLAIM_HELD_SQL, {"job_id": 700, "fence": 7}, {"job_pkey"}),
    "find": (
        outbound.FIND_SQL, BUSINESS, {"outbound_message_idempotency_key_key", "outbound_once_per_trigger"},
    ),
    "get": (outbound.GET_SQL, ONE, {OUTBOUND}),
    "opted out": (outbound.LEAD_OPTED_OUT_SQL, {"lead_id": 700}, {"lead_pkey"}),
    "overtaken": (
        outbound.OVERTAKEN_SQL, {"trigger_job_id": 700}, {"inbound_event_job_id_key", "provider_message_by_recipient"},
    ),
    "begin": (outbound.BEGIN_SQL, MOVED, {OUTBOUND, "provider_message_of_outbound"}),
    "attempt": (outbound.ATTEMPT_SQL, BEGUN, {"job_pkey"}),
    "end of an attempt": (outbound.END_ATTEMPT_SQL, ENDED, {"send_attempt_outbound_message_id_epoch_key"}),
    "finish": (outbound.FINISH_SQL, ONE, {OUTBOUND}),
    "decide": (outbound.DECIDE_SQL, MOVED, {OUTBOUND}),
    "hold back": (outbound.HOLD_BACK_SQL, ONE, {OUTBOUND}),
    "overdue": (reconcile.OVERDUE_SQL, MANY, {"outbound_past_deadline"}),
    "proven": (reconcile.PROVEN_SQL, MANY, {"provider_message_of_outbound"}),
    "abandoned": (reconcile.ABANDONED_SQL, MANY, {"job_pkey"}),
    "take": (
        reconcile.TAKE_DUE_SQL, {"limit": 1, "hold": 60.0, "sends_enabled": True}, {OUTBOUND, "outbound_next_to_look_at"},
    ),
    "take, switched off": (
        reconcile.TAKE_DUE_SQL, {"limit": 1, "hold": 60.0, "sends_enabled": False}, {OUTBOUND},
    ),
    "waiting": (reconcile.WAITING_SQL, {"sends_enabled": True}, {"outbound_past_deadline"}),
    "look again": (reconcile.LOOK_AGAIN_SQL, ONE, {OUTBOUND}),
    "adopt": (evidence.ADOPT_SQL, {**MOVED, "sent_at": None}, {OUTBOUND}),
    "match": (evidence.MATCH_SQL, ECHO, {"outbound_by_recipient"}),
    "by key": (evidence.BY_KEY_SQL, {"idempotency_key": "k"}, {"outbound_message_idempotency_key_key"}),
    "outbox has": (outbox.LOOKUP_SQL, {"provider_message_id": "m-700"}, {"provider_message_pkey"}),
    "attempts of one": (listing.ATTEMPTS_SQL, {"outbound_message_id": 700}, {"send_attempt_pkey"}),
}  # fmt: skip
#: Read whole it would be the history of everybody.
LARGE = {"job", "function_run", "lead", "inbound_event", "outbound_message", "send_attempt", "provider_message"}


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
def test_a_statement_of_sends_is_answered_from_indexes(filled: Direct, name: str, mode: str) -> None:
    text, values, indexes = STATEMENTS[name]
    plan = explain(filled, text, values, mode=mode)
    assert scanned_whole(plan) & LARGE == set()
    assert indexes <= indexes_of(plan), f"reads {sorted(indexes_of(plan))}"


@pytest.mark.parametrize("name", ["proven", "abandoned", "take", "waiting"])
def test_a_reconciliation_reads_what_is_open_and_never_what_is_over(filled: Direct, name: str) -> None:
    """An index scan may be a scan all the same: of the 20,000 messages some 800 are open."""
    text, values, _ = STATEMENTS[name]
    plan = explain(filled, text, values, mode="custom")
    read = {node["Index Name"] for node in _of(plan, "outbound_message")}
    assert read <= {"outbound_unresolved", "outbound_next_to_look_at", "outbound_past_deadline", OUTBOUND}
    assert all(node["Plan Rows"] <= 1000 for node in _of(plan, "outbound_message"))


def _of(plan: Mapping[str, Any], table: str) -> list[Mapping[str, Any]]:
    named = [node for node in nodes(plan) if "Index Name" in node]
    return [node for node in named if node["Index Name"].startswith("outbound_") or node.get("Relation Name") == table]
