"""The tests of the audit can fail: every clause of its statements, taken away, hides a plant or cries wolf."""

from collections.abc import Callable
from typing import Any

import pytest

from queue_pipeline.engine.audit import audit_sends
from queue_pipeline.store import audit as store
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine import audit_plants as plants
from queue_pipeline_tests.engine.planted import Planted

NEVER = "AND false"
#: code, clause, what it becomes, and the plant that is then missed
HIDES: list[tuple[str, str, str, Callable[[Planted], Any]]] = [
    ("D1", "p.outbound_message_id = o.outbound_message_id AND", f"true {NEVER} AND", plants.same_key_by_link),
    ("D1", "p.idempotency_key = k.idempotency_key AND", f"true {NEVER} AND", plants.same_key_by_echo),
    (
        "D1",
        "HAVING count(DISTINCT (p.provider, p.account, p.provider_message_id)) > 1",
        "HAVING count(DISTINCT p.provider_message_id) FILTER (WHERE p.route = 'link') > 1",
        plants.same_key_once_by_link_and_once_by_echo,
    ),
    ("D1", "WHERE s.idempotency_key IS NOT NULL", "WHERE false", plants.same_key_echoed_that_the_ledger_does_not_have),
    ("D2", "p.idempotency_key = o.idempotency_key AND", f"true {NEVER} AND", plants.same_draft_part_once_by_echo),
    ("D2", "p.outbound_message_id = o.outbound_message_id AND", f"true {NEVER} AND", plants.same_draft_part),
    ("D3", "o.lead_id IS NOT DISTINCT FROM k.lead_id", "o.lead_id = k.lead_id", plants.same_business_key_without_a_lead),
    ("D4", "WHERE recipient <> ''", "WHERE false", plants.alike_to_one_address),
    ("D4", "lower(p.recipient) = k.who", "p.recipient = k.who", plants.alike_to_one_address),
    ("D4", "WHERE lead_id IS NOT NULL", "WHERE false", plants.alike_to_one_lead_at_two_addresses),
    ("D4", "WHERE thread_id <> ''", "WHERE false", plants.alike_in_one_thread),
    (
        "D4",
        "OR p.workspace IS NULL",
        "OR false",
        plants.alike_where_the_provider_tells_neither_workspace_nor_channel,
    ),
    (
        "D4",
        "OR p.channel IS NULL",
        "OR false",
        plants.alike_where_the_provider_tells_neither_workspace_nor_channel,
    ),
    ("D4", "NOT (author = 'campaign' AND", "NOT (author = 'campaign' OR", plants.alike_by_campaign_and_automation),
    ("D4", "secs => :short_suspect_seconds", "secs => 14", plants.alike_and_short_within_seconds),
    (
        "D4",
        "coalesce(p.body_norm_sha256, o.body_norm_sha256)",
        "p.body_norm_sha256",
        plants.alike_known_by_the_text_of_the_ledger,
    ),
    (
        "D5",
        "NOT EXISTS (SELECT FROM outbound_message o WHERE o.outbound_message_id = s.outbound_message_id)",
        "s.outbound_message_id IS NULL",
        plants.unledgered_with_a_dangling_link,
    ),
    ("D6", "o.state = 'SENT' AND", "false AND", plants.sent_and_unknown_to_any_provider),
    (
        "D6",
        "p.outbound_message_id = o.outbound_message_id AND p.direction = 'outbound' AND p.author NOT IN ('person', 'lead')",
        "p.outbound_message_id = o.outbound_message_id",
        plants.sent_according_to_the_lead_alone,
    ),
    *(("D6", f"'{state}'", "'NONE'", plants.told(state, "link")) for state in ("REJECTED", "CANCELLED", "READY", "NEEDS_HUMAN")),
    ("D6", "JOIN outbound_message o USING (idempotency_key)", "JOIN outbound_message o ON false", plants.told("READY", "echo")),
    ("UNKNOWN", "secs => :unknown_seconds", "secs => 2 * :unknown_seconds", plants.unknown_for_31_minutes),
]  # fmt: skip
#: code, clause, what it becomes, and the near miss that is then reported
CRIES_WOLF: list[tuple[str, str, str, Callable[[Planted], Any]]] = [
    ("D1", "AND p.author NOT IN ('person', 'lead')", "", plants.a_person_under_our_key),
    ("D1", "p.direction = 'outbound' AND", "", plants.an_inbound_message_under_our_key),
    (
        "D1",
        "count(DISTINCT (p.provider, p.account, p.provider_message_id)) > 1",
        "count(DISTINCT (p.kind, p.provider_message_id)) > 1",
        plants.one_message_seen_by_response_and_echo,
    ),
    (
        "D2",
        "o.part_index, o.outbound_message_id",
        "0 AS part_index, o.outbound_message_id",
        plants.two_parts_of_a_draft,
    ),
    ("D3", "WHERE o.state = 'SENT'", "WHERE true", plants.one_business_key_sent_once_and_cancelled_once),
    ("D4", "AND p.author NOT IN ('person', 'lead')", "", plants.a_person_repeats_our_words),
    ("D4", "secs => :suspect_seconds", "secs => 2 * :suspect_seconds", plants.alike_25_hours_apart),
    ("D4", "< :short_text", "< 0 * :short_text", plants.alike_and_short_16_seconds_apart),
    ("D4", "AND NOT (author = 'campaign' AND before_author = 'campaign')", "", plants.a_campaign_that_repeats_itself),
    ("D4", "p.workspace = k.workspace", "true", plants.alike_from_two_workspaces),
    ("D4", "p.channel = k.channel", "true", plants.alike_on_two_channels),
    ("D5", "s.author = 'automation' AND", "", plants.sent_by_a_campaign_or_nobody_knows_whom),
    ("D5", "secs => :settle_seconds", "secs => 0 * :settle_seconds", plants.evidence_that_may_still_be_linked),
    ("D6", "secs => :settle_seconds", "secs => 0 * :settle_seconds", plants.sent_a_minute_ago),
    ("UNKNOWN", "secs => :unknown_seconds", "secs => 0 * :unknown_seconds", plants.unknown_for_29_minutes),
]


def found(db: Database, code: str) -> int:
    return sum(check.found for check in audit_sends(db, only=[code]).checks)


def mutated(monkeypatch: pytest.MonkeyPatch, code: str, clause: str, becomes: str) -> None:
    text = store.FINDINGS_SQL[code]
    assert clause in text
    monkeypatch.setattr(store, "FINDINGS_SQL", {**store.FINDINGS_SQL, code: text.replace(clause, becomes)})


@pytest.mark.parametrize(("code", "clause", "becomes", "plant"), HIDES)
def test_without_a_clause_a_plant_is_missed(
    db: Database,
    planted: Planted,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    clause: str,
    becomes: str,
    plant: Callable[[Planted], Any],
) -> None:
    plant(planted)
    assert found(db, code) == 1
    mutated(monkeypatch, code, clause, becomes)
    assert found(db, code) == 0


@pytest.mark.parametrize(("code", "clause", "becomes", "plant"), CRIES_WOLF)
def test_without_a_clause_a_near_miss_is_reported(
    db: Database,
    planted: Planted,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    clause: str,
    becomes: str,
    plant: Callable[[Planted], Any],
) -> None:
    plant(planted)
    assert found(db, code) == 0
    mutated(monkeypatch, code, clause, becomes)
    assert found(db, code) >= 1
