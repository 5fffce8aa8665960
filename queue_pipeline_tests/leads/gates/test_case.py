"""A case is liberal in what may be left out and strict in what is there."""

from typing import Any

import pytest
from pydantic import ValidationError

from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.words import RULE_VERSION, VERSION, digest
from queue_pipeline_tests.leads.gates.drafts import draft_case

LEAST = {"case_id": "a", "reference_now": "2026-02-12T10:00:00Z"}


def test_everything_but_the_id_and_the_instant_may_be_left_out() -> None:
    case = DraftCase.model_validate(LEAST | {"draft": None, "thread": None, "inbound": None, "offered_slots": None})
    assert (case.draft, case.thread, case.inbound.body, case.offered_slots) == ("", [], "", [])


def test_without_a_zone_the_lead_reads_times_at_the_offset_of_the_instant() -> None:
    case = DraftCase.model_validate(LEAST | {"reference_now": "2026-02-12T10:00:00+05:30"})
    assert case.reference_now.astimezone(case.lead_zone).hour == 10


def test_a_thread_may_name_its_authors_and_texts_in_other_words() -> None:
    thread = ["Hello", {"role": "assistant", "content": "Hi"}, {"from": "customer", "text": "Yes"}]
    assert [(t.author, t.body) for t in draft_case("", thread=thread).thread] == [
        ("lead", "Hello"),
        ("us", "Hi"),
        ("lead", "Yes"),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timezone", "Mars/Olympus"), ("timezone", "../etc/passwd"), ("reference_now", "2026-02-12T10:00:00"), ("reference_now", "soon"),
        ("offered_slots", [{"start": "2026-02-12T10:00:00"}]), ("offered_slots", [{"start": "2026-02-12T10:00:00Z", "end": "2026-02-11T10:00:00Z"}]),
        ("draft", ["a"]), ("thread", "a"), ("allowed_links", {"a": 1}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        DraftCase.model_validate(LEAST | {field: value})
    assert refused.value.errors()[0]["loc"][0] == field


def test_a_changed_word_list_needs_a_new_version() -> None:
    assert {VERSION: digest()[:12]} == {"3": "d1d6977e542e"}
    assert f"{VERSION}:{digest()[:12]}" == RULE_VERSION
