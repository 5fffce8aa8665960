"""Messages in any state, with the fields that the state demands filled in."""

from secrets import token_hex
from typing import Any

from queue_pipeline.store.session import Direct
from queue_pipeline_tests.store.rows import insert

KEEPS_REASON = ("REJECTED", "UNKNOWN", "NEEDS_HUMAN", "CANCELLED")


def message_fields(state: str) -> dict[str, Any]:
    """What a message in this state must and must not have."""
    return {
        "state": state,
        "deadline_at": "now()" if state == "SENDING" else None,
        "sent_at": "now()" if state == "SENT" else None,
        "unknown_since": "now()" if state == "UNKNOWN" else None,
        "not_before": "now()",
        "in_doubt": state == "UNKNOWN",
        "reason": "as it is" if state in KEEPS_REASON else None,
    }


def a_message(connection: Direct, state: str = "READY", **changes: Any) -> int:
    """A message in any state; returns its id."""
    values = {
        "workspace": "acme", "job_id": 1, "channel": "email", "purpose": "reply", "recipient": "ada@example.com",
        "body": "Hello", "idempotency_key": token_hex(32), "trigger_key": token_hex(8), "payload_sha256": "0" * 64,
        "provider": "http",
    }  # fmt: skip
    return insert(connection, "outbound_message", {**values, **message_fields(state), **changes}, "outbound_message_id")


def an_attempt(connection: Direct, message_id: int, attempt: int = 1, **changes: Any) -> int:
    """An attempt that is under way; returns its number."""
    values = {
        "outbound_message_id": message_id, "attempt": attempt, "epoch": attempt, "sender": "test", "deadline_at": "now()",
        "request_sha256": "0" * 64, "idempotency_key": "0" * 64,
    }  # fmt: skip
    return insert(connection, "send_attempt", {**values, **changes}, "attempt")
