"""What the ledger of sends refuses to hold, and what it never lets anybody rewrite."""

from typing import Any

import psycopg
import pytest

from queue_pipeline.domain.flag import FLAGS
from queue_pipeline.store.session import Direct
from queue_pipeline_tests.store import rows
from queue_pipeline_tests.store.messages import a_message, an_attempt

IMPOSSIBLE: list[tuple[str, str, dict[str, Any], str]] = [
    ("being sent without a deadline", "SENDING", {"deadline_at": None}, "outbound_sending_has_deadline"),
    ("ready with a deadline", "READY", {"deadline_at": "now()"}, "outbound_sending_has_deadline"),
    ("unknown since nobody knows when", "UNKNOWN", {"unknown_since": None}, "outbound_unknown_has_time"),
    ("sent and unknown for a while", "SENT", {"unknown_since": "now()"}, "outbound_unknown_has_time"),
    ("unknown without doubt", "UNKNOWN", {"in_doubt": False}, "outbound_unknown_is_in_doubt"),
    ("ready though it may have left", "READY", {"in_doubt": True}, "outbound_ready_is_not_in_doubt"),
    ("ready for no time", "READY", {"not_before": None}, "outbound_waiting_has_time"),
    ("in doubt, never to be looked at", "UNKNOWN", {"not_before": None}, "outbound_waiting_has_time"),
    ("sent at no time", "SENT", {"sent_at": None}, "outbound_sent_has_time"),
    ("ready and sent", "READY", {"sent_at": "now()"}, "outbound_sent_has_time"),
    ("rejected for no reason", "REJECTED", {"reason": None}, "outbound_end_has_reason"),
    ("needing a person for no reason", "NEEDS_HUMAN", {"reason": None}, "outbound_end_has_reason"),
    ("cancelled for no reason", "CANCELLED", {"reason": None}, "outbound_end_has_reason"),
    ("in a state nobody knows", "LIMBO", {}, "outbound_state_known"),
    ("a part before the first", "READY", {"part_index": -1}, "outbound_counts_from_zero"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "changes", "constraint"), [i[1:] for i in IMPOSSIBLE], ids=[i[0] for i in IMPOSSIBLE]
)
def test_an_impossible_message_is_refused(
    connection: Direct, state: str, changes: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        a_message(connection, state, **changes)
    assert caught.value.diag.constraint_name == constraint


FROZEN: dict[str, Any] = {
    "workspace": "other", "job_id": 2, "trigger_key": "other", "channel": "sms", "purpose": "other", "part_index": 1,
    "recipient": "grace@example.com", "subject": "other", "body": "other", "in_reply_to": "other", "provider": "smtp",
    "account": "other", "idempotency_key": "other", "payload_sha256": "1" * 64,
}  # fmt: skip


@pytest.mark.parametrize("column", list(FROZEN))
@pytest.mark.parametrize("state", ["READY", "UNKNOWN", "SENT"])
def test_what_the_customer_would_see_and_every_part_of_the_key_is_frozen(
    connection: Direct, column: str, state: str
) -> None:
    message = a_message(connection, state)
    with pytest.raises(psycopg.errors.CheckViolation, match="outbound_message is append-only"):
        rows.update(connection, "outbound_message", "outbound_message_id", message, {column: FROZEN[column]})


def test_one_trigger_has_one_message_unless_the_other_was_cancelled(connection: Direct) -> None:
    a_message(connection, "CANCELLED", trigger_key="job:1")
    a_message(connection, "SENT", trigger_key="job:1")
    a_message(connection, "READY", trigger_key="job:1", part_index=1)
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        a_message(connection, "READY", trigger_key="job:1")
    assert caught.value.diag.constraint_name == "outbound_once_per_trigger"


def test_an_attempt_ends_once(connection: Direct) -> None:
    message = a_message(connection, "SENDING")
    an_attempt(connection, message)
    end = "UPDATE send_attempt SET outcome = %s, finished_at = now() WHERE outbound_message_id = %s"
    connection.execute(end, ("ambiguous", message))
    with pytest.raises(psycopg.errors.CheckViolation, match="send_attempt is append-only"):
        connection.execute(end, ("accepted", message))


@pytest.mark.parametrize(
    "changes",
    [{"outcome": "accepted"}, {"finished_at": "now()"}, {"outcome": "perhaps", "finished_at": "now()"}, {"epoch": 0}],
    ids=["an outcome at no time", "an end without an outcome", "an outcome nobody knows", "no epoch"],
)
def test_an_impossible_attempt_is_refused(connection: Direct, changes: dict[str, Any]) -> None:
    message = a_message(connection, "SENDING")
    with pytest.raises(psycopg.errors.CheckViolation):
        an_attempt(connection, message, **changes)


def test_one_epoch_has_one_attempt(connection: Direct) -> None:
    message = a_message(connection, "SENDING")
    an_attempt(connection, message)
    with pytest.raises(psycopg.errors.UniqueViolation):
        an_attempt(connection, message, 2, epoch=1)


def test_a_flip_of_a_flag_is_never_rewritten_and_says_who_and_why(connection: Direct) -> None:
    flip = (
        "INSERT INTO control_event (flag, from_value, to_value, who, why) VALUES ('sends.enabled', 'on', 'off', %s, %s)"
    )
    connection.execute(flip, ("Ada", "a drill"))
    with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
        connection.execute(flip, ("", "a drill"))
    with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
        connection.execute(flip, ("Ada", ""))
    with pytest.raises(psycopg.errors.CheckViolation, match="control_event is append-only"):
        connection.execute("UPDATE control_event SET why = 'another reason'")


def test_every_flag_has_its_row_before_its_first_flip_so_that_a_send_can_hold_it(connection: Direct) -> None:
    found = connection.execute("SELECT flag, value FROM control_flag").fetchall()
    assert sorted(found) == [(flag, None) for flag in sorted(FLAGS)]
