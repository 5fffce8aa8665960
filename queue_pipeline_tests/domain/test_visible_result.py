from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from queue_pipeline.domain.lead_wait import MessageFacts
from queue_pipeline.domain.visible_result import VisibleFacts, visible_result

START = datetime(2031, 3, 4, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def facts(outcome: str | None = None, **changes: Any) -> VisibleFacts:
    return replace(VisibleFacts(at(300), "SUCCEEDED", wrote_at=at(0), outcome=outcome), **changes)


def message(state: str, sent: float | None = None, purpose: str = "reply") -> MessageFacts:
    return MessageFacts(5, "http", purpose, state, at(1), None, sent_at=None if sent is None else at(sent))


SENTENCES: dict[str, tuple[VisibleFacts, str]] = {
    "sent": (facts("sent", messages=[message("SENT", 3.2)]), "the customer got one message (reply) 3.2 s after writing"),
    "drafted": (
        facts("drafted_for_review", waiting=[("draft 7", at(10))]),
        "the customer has got nothing; draft 7 has waited for a person for 4 min 50 s",
    ),
    "acknowledged and drafted": (
        facts("drafted_for_review", messages=[message("SENT", 3.2, "acknowledgement")], waiting=[("draft 7", at(10))]),
        "the customer got one message (acknowledgement) 3.2 s after writing; draft 7 has waited for a person for 4 min 50 s",
    ),
    "skipped": (
        facts("skipped", code="out_of_office"),
        "the customer has got nothing; skipped on purpose (out_of_office)",
    ),
    "in doubt": (facts("sending", messages=[message("UNKNOWN")]), "whether message 5 reached the customer is not known yet"),
    "on a person's desk": (
        facts("needs_action", messages=[message("NEEDS_HUMAN")]),
        "whether message 5 reached the customer must be found out by a person",
    ),
    "held back": (facts("sending", messages=[message("READY")]), "the customer has got nothing; message 5 waits to be sent"),
    "overtaken": (
        facts("skipped", code="send_cancelled", messages=[message("CANCELLED")], answered_by_people=1),
        (
            "the customer has got nothing; message 5 was not sent on purpose; people sent the customer 1 message"
            " themselves; skipped on purpose (send_cancelled)"
        ),
    ),
    "refused": (
        facts("failed", code="send_rejected", messages=[message("REJECTED")]),
        "the customer has got nothing; message 5 was refused by its provider; failed (send_rejected)",
    ),
    "not yet": (
        facts(job_state="PENDING"),
        "the customer has got nothing; its job is PENDING, without an outcome so far",
    ),
    "twice": (
        facts("sent", messages=[message("SENT", 65, "reply"), message("SENT", 2, "acknowledgement")]),
        "the customer got 2 messages (acknowledgement, reply) 2.0 s after writing",
    ),
    "no lead wrote": (facts(wrote_at=None, messages=[message("SENT", 3)]), "the customer got one message (reply)"),
    "nothing to see": (facts(wrote_at=None), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", list(SENTENCES))
def test_what_the_customer_saw_is_one_sentence(name: str) -> None:
    given, sentence = SENTENCES[name]
    assert visible_result(given).sentence == sentence


def test_the_reason_in_words_is_kept_apart() -> None:
    result = visible_result(facts("skipped", code="opt_out", reason="Ada asks not to be contacted"))
    assert "Ada" not in result.sentence
    assert result.said == "Ada asks not to be contacted"
