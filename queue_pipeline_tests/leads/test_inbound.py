"""The lead path on a real queue: every message ends in a recorded outcome and a notification."""

from typing import Any

import pytest
import sqlalchemy as sa

from queue_pipeline import wiring
from queue_pipeline.engine import flags
from queue_pipeline.engine.enqueue import enqueue
from queue_pipeline.engine.jobs import cancel_job, replay_dead
from queue_pipeline.leads import ports
from queue_pipeline.leads.samples import SAMPLES
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database
from queue_pipeline_tests.leads.conftest import WORKSPACE, Desk

SLOTS = [
    {"start": "2031-03-04T10:00:00+01:00", "end": "2031-03-04T10:30:00+01:00"},
    {"start": "2031-03-05T15:00:00+01:00", "end": "2031-03-05T15:30:00+01:00"},
]


def test_a_first_message_is_acknowledged_and_gets_a_draft_for_review(desk: Desk) -> None:
    job_id = desk.handle("What does it cost?")
    outcome = desk.outcome(job_id)
    assert (outcome.outcome, outcome.code) == ("drafted_for_review", "reply_needed")
    assert "acknowledged" in outcome.reason
    draft = desk.draft(job_id)
    assert (draft.state, draft.is_template, draft.findings) == ("FOR_REVIEW", True, [])
    (sent,) = desk.rows("SELECT * FROM outbound_message")
    assert (sent.purpose, sent.state, sent.recipient) == ("acknowledgement", "SENT", "ada@example.com")
    wiring.finish_delivering()
    (notice,) = desk.notices(job_id)
    assert notice.sink == "console"
    assert "ada" not in notice.text.lower()


def test_a_second_message_of_the_same_person_is_not_acknowledged_again(desk: Desk) -> None:
    desk.arrive("What does it cost?")
    desk.arrive("Hello again?")
    desk.drain()
    assert len(desk.rows("SELECT * FROM draft")) == 2
    assert desk.accepted() == 1


def test_an_opt_out_is_remembered_and_nothing_is_sent_then_or_later(desk: Desk) -> None:
    desk.auto_send()
    stopped = desk.handle("STOP")
    assert desk.outcome(stopped).outcome == "skipped"
    later = desk.handle("Can we talk next week?", offered_slots=SLOTS)
    assert desk.outcome(later).code == "opted_out_wrote_again"
    assert "opted out" in desk.outcome(later).reason
    assert desk.accepted() == 0


@pytest.mark.parametrize(
    ("fields", "code", "why"),
    [
        ({"body": " "}, "empty", "no text"),
        ({"subject": "Automatic reply", "body": "Away"}, "out_of_office", "away"),
        ({"automatic": True}, "automatic", "program"),
        ({"body": "Please unsubscribe me"}, "opt_out", "not to be contacted"),
    ],
)
def test_an_intentional_skip_says_why_and_people_are_told(
    desk: Desk, fields: dict[str, Any], code: str, why: str
) -> None:
    job_id = desk.handle(**fields)
    outcome = desk.outcome(job_id)
    assert (outcome.outcome, outcome.code) == ("skipped", code)
    assert why in outcome.reason
    (notice,) = desk.notices(job_id)
    assert (notice.kind, notice.dedupe_key) == (
        "skip",
        f"draft_skip:{WORKSPACE}:{outcome.lead_id}:{job_id}:{code}",
    )
    assert "draft skipped, because" in notice.text
    assert why in notice.text
    assert desk.accepted() == 0


@pytest.mark.parametrize(
    ("body", "code", "task", "acknowledged"),
    [
        ("Please call me on +1 555 010 0199", "call_requested", "call", True),
        ("Reach out in March.", "follow_up", "follow_up", False),
        ("I no longer work there.", "wrong_person", "find_right_person", False),
    ],
)
def test_what_people_must_do_is_a_task_and_one_alert_that_stands_for_the_skip(
    desk: Desk, body: str, code: str, task: str, acknowledged: bool
) -> None:
    job_id = desk.handle(body)
    outcome = desk.outcome(job_id)
    assert (outcome.outcome, outcome.code) == ("needs_action", code)
    (kept,) = desk.rows("SELECT * FROM lead_task")
    assert (kept.kind, kept.state, kept.job_id) == (task, "OPEN", job_id)
    (notice,) = desk.notices(job_id)
    assert notice.kind == "action"
    assert "draft skipped, because" in notice.text
    assert desk.rows("SELECT * FROM draft") == []
    assert desk.accepted() == int(acknowledged)


def test_a_follow_up_is_due_on_the_day_that_the_lead_named(desk: Desk) -> None:
    job_id = desk.handle("Not now, please write again in 2 weeks.", timezone="Europe/Berlin")
    (kept,) = desk.rows("SELECT due_at, now() + interval '14 days' AS named FROM lead_task")
    assert 0 <= abs((kept.due_at - kept.named).total_seconds()) < 4 * 86_400
    assert f"{kept.due_at:%Y-%m-%d}"[:7] in desk.notices(job_id)[0].text


def test_a_wish_for_a_call_without_a_number_is_drafted_as_the_question_for_it(desk: Desk) -> None:
    job_id = desk.handle("Could you call me?")
    assert desk.outcome(job_id).code == "call_requested_without_phone"
    assert "Which number" in desk.draft(job_id).body


def test_a_number_that_was_named_once_is_known_later(desk: Desk) -> None:
    desk.handle("My number is +1 555 010 0199, what does it cost?")
    job_id = desk.handle("Could you call me?")
    assert desk.outcome(job_id).code == "call_requested"
    assert desk.rows("SELECT phone FROM lead") == [("+15550100199",)]


def test_the_number_that_a_text_message_came_from_is_known(desk: Desk) -> None:
    job_id = desk.handle("call me", channel="sms", from_address="+15550100199")
    assert desk.outcome(job_id).code == "call_requested"


def test_an_opt_out_of_nobody_in_particular_goes_to_people(desk: Desk) -> None:
    job_id = desk.handle("STOP", from_address=None)
    assert desk.outcome(job_id).outcome == "needs_action"
    assert desk.notices(job_id)[0].kind == "action"


def test_a_message_without_an_address_waits_for_review(desk: Desk) -> None:
    desk.auto_send()
    job_id = desk.handle(from_address=None, offered_slots=SLOTS, body="When can we meet?")
    assert desk.outcome(job_id).code == "no_address"
    assert desk.accepted() == 0


def test_slots_are_sent_at_once_when_that_is_switched_on(desk: Desk) -> None:
    desk.auto_send()
    job_id = desk.handle("When can we meet?", offered_slots=SLOTS, subject="A meeting")
    outcome = desk.outcome(job_id)
    assert (outcome.outcome, outcome.code) == ("sent", "send_sent")
    (reply,) = desk.replies()
    assert (reply.trigger_key, reply.subject, reply.recipient) == (f"lead:{job_id}", "Re: A meeting", "ada@example.com")
    assert "Tuesday 04 March 2031" in reply.body
    draft = desk.draft(job_id)
    assert (draft.state, draft.decided_by, reply.draft_id) == ("SENT", "auto-send", draft.draft_id)
    assert desk.accepted() == 1  # no acknowledgement beside it
    (notice,) = desk.notices(job_id)
    assert "was sent" in notice.text


@pytest.mark.parametrize(
    "fields",
    [
        {"body": "What does it cost?", "offered_slots": SLOTS},
        {"body": "When can we meet?"},
        {"body": "Is Tuesday at 10:00 still free?", "offered_slots": SLOTS},
        {"body": "When can we meet?", "offered_slots": [{"start": "2001-01-01T10:00:00+00:00"}]},
    ],
)
def test_a_template_that_may_not_answer_well_waits_for_review_even_then(desk: Desk, fields: dict[str, Any]) -> None:
    desk.auto_send()
    job_id = desk.handle(**fields)
    assert desk.outcome(job_id).outcome == "drafted_for_review"
    assert desk.replies() == []


def test_a_reply_whose_sends_are_switched_off_is_promised_and_leaves_nothing(desk: Desk) -> None:
    desk.auto_send()
    flags.flip(desk.db, "sends.enabled", "off", who="Mina", why="test")
    job_id = desk.handle("When can we meet?", offered_slots=SLOTS)
    assert desk.outcome(job_id).outcome == "sending"
    assert "switched off" in desk.outcome(job_id).reason
    assert [row.state for row in desk.rows("SELECT state FROM outbound_message")] == ["READY"]
    (notice,) = desk.notices(job_id)
    assert "will be tried again" in notice.text


def test_a_lead_that_wrote_again_gets_no_automatic_answer_to_the_first_message(desk: Desk) -> None:
    desk.auto_send()
    first = desk.arrive("When can we meet?", offered_slots=SLOTS)
    desk.arrive("Sorry, forget it. What does it cost?")
    desk.drain()
    assert desk.outcome(first).outcome == "skipped"
    assert desk.outcome(first).code == "send_cancelled"
    assert "wrote again" in desk.outcome(first).reason
    assert desk.notices(first)[0].kind == "skip"
    assert desk.replies() == []


class Stumbling:
    """A book in which one method fails the first time: what the process did before that is on record, the rest is not."""

    def __init__(self, book: ports.LeadBook, method: str, *, before: bool) -> None:
        self._book = book
        self._method = method
        self._before = before
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._book, name)
        if name != self._method:
            return method

        def stumble(**fields: Any) -> Any:
            self.calls += 1
            if self.calls > 1:
                return method(**fields)
            if not self._before:
                method(**fields)
            raise ConnectionError("the pen broke")

        return stumble


@pytest.mark.parametrize("before", [True, False], ids=["before it is written", "after it is written"])
@pytest.mark.parametrize(
    ("body", "method"),
    [
        ("What does it cost?", "remember"),
        ("What does it cost?", "save_draft"),
        ("What does it cost?", "conclude"),
        ("When can we meet?", "conclude"),
        ("When can we meet?", "release"),
        ("When can we meet?", "settle"),
        ("Please call me on +1 555 010 0199", "add_task"),
        ("STOP", "opt_out"),
    ],
)
def test_a_death_at_any_entry_of_the_book_repeats_nothing_and_loses_nothing(
    desk: Desk, body: str, method: str, before: bool
) -> None:
    desk.auto_send()
    desk.use(book=Stumbling(ports.services().book, method, before=before))
    job_id = desk.handle(body, offered_slots=SLOTS)
    desk.make_due(job_id)
    desk.drain()
    assert desk.rows("SELECT attempt, state FROM job WHERE job_id = :j", j=job_id) == [(2, "SUCCEEDED")]
    assert desk.outcome(job_id).outcome == {
        "What does it cost?": "drafted_for_review",
        "When can we meet?": "sent",
        "STOP": "skipped",
    }.get(body, "needs_action")
    assert len(desk.notices(job_id)) == 1
    assert len(desk.rows("SELECT * FROM draft")) <= 1
    assert len(desk.rows("SELECT * FROM lead_task")) <= 1
    assert desk.accepted() == (0 if body == "STOP" else 1)


def test_a_promised_send_whose_job_dies_before_it_goes_back_to_people(desk: Desk) -> None:
    desk.auto_send()
    desk.use(book=Stumbling(ports.services().book, "release", before=False))
    job_id = desk.arrive("When can we meet?", offered_slots=SLOTS)
    desk.rows("UPDATE job SET max_attempts = 1 WHERE job_id = :j RETURNING 1", j=job_id)
    desk.drain()
    outcome = desk.outcome(job_id)
    assert (outcome.outcome, outcome.code) == ("needs_action", "send_never_started")
    assert desk.draft(job_id).state == "FOR_REVIEW"
    assert [notice.kind for notice in desk.notices(job_id)] == ["failure"]
    assert desk.accepted() == 0


def test_a_lead_whose_job_dies_ends_as_failed_and_people_are_told(desk: Desk) -> None:
    job_id = desk.arrive()
    kill = "UPDATE job SET payload = '{}', max_attempts = 1 WHERE job_id = :job_id RETURNING 1"
    desk.rows(kill, job_id=job_id)
    desk.drain()
    assert (desk.outcome(job_id).outcome, desk.outcome(job_id).code) == ("failed", "dead_letter")
    (notice,) = desk.notices(job_id)
    assert notice.kind == "failure"
    assert "failed" in notice.text


def test_a_replayed_dead_letter_gets_a_new_outcome(desk: Desk) -> None:
    job_id = desk.arrive()
    desk.rows("UPDATE job SET payload = payload - 'provider' WHERE job_id = :job_id RETURNING 1", job_id=job_id)
    desk.drain()
    assert desk.outcome(job_id).outcome == "failed"
    mend = """UPDATE job SET payload = payload || '{"provider": "test"}' WHERE job_id = :job_id RETURNING 1"""
    desk.rows(mend, job_id=job_id)
    assert replay_dead(desk.db, job_ids=[job_id], why="the payload was mended") == 1
    assert desk.rows("SELECT * FROM lead_outcome") == []
    desk.drain()
    assert desk.outcome(job_id).outcome == "drafted_for_review"


def test_a_cancelled_lead_is_a_skip_on_record(desk: Desk) -> None:
    job_id = desk.arrive()
    cancel_job(desk.db, job_id, "the person called")
    assert (desk.outcome(job_id).outcome, desk.outcome(job_id).code) == ("skipped", "cancelled")
    assert "the person called" in desk.outcome(job_id).reason


def test_a_job_of_another_kind_has_no_outcome(desk: Desk) -> None:
    with desk.db.begin() as tx:
        job_id = enqueue(tx, "drill.work", workspace=WORKSPACE, payload={"seconds": 0}).job_id
    cancel_job(desk.db, job_id, "not wanted")
    assert desk.rows("SELECT * FROM lead_outcome") == []


def test_no_notice_and_no_reason_repeats_names_addresses_or_words_of_a_lead(desk: Desk) -> None:
    for number, body in enumerate(
        ["Zanzibar?", "Call me in Zanzibar", "STOP Zanzibar", "Reach out in March to Zanzibar"]
    ):
        desk.arrive(body, from_address=f"zanzibar{number}@example.com", from_name="Zanzibar", subject="Zanzibar")
    desk.drain()
    told = str(desk.rows("SELECT text, dedupe_key FROM notification")) + str(
        desk.rows("SELECT reason FROM lead_outcome")
    )
    told += str(desk.rows("SELECT why FROM lead_task"))
    assert "zanzibar" not in told.lower()


def test_the_first_start_loads_the_samples_once_and_all_of_them_end_visibly(db: Database, settings: Settings) -> None:
    loaded = wiring.first_start(settings)
    assert loaded == len(SAMPLES)
    assert wiring.first_start(settings) == 0
    desk = Desk(db, settings)
    desk.drain()
    wiring.finish_delivering(seconds=10)
    assert len(desk.rows("SELECT * FROM lead_outcome")) == loaded
    assert len(desk.rows("SELECT DISTINCT job_id FROM notification WHERE delivered_at IS NOT NULL")) == loaded
    assert len(desk.rows("SELECT DISTINCT code FROM lead_outcome")) >= 9


def test_no_samples_are_loaded_into_a_queue_that_was_used_and_pruned(db: Database, settings: Settings) -> None:
    wiring.load_registry(settings)
    with db.begin() as tx:
        enqueue(tx, "drill.work", workspace=WORKSPACE, payload={})
        tx.execute(sa.text("DELETE FROM job"))
    assert wiring.first_start(settings) == 0
