"""People review drafts: what they approve leaves once and only if it still holds, what they reject never leaves."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.domain.outbound import Capabilities, LookupBy, SendOutcome
from queue_pipeline.engine import draft as drafts
from queue_pipeline.engine import flags
from queue_pipeline.engine.jobs import cancel_job
from queue_pipeline.engine.reconcile import reconcile
from queue_pipeline.engine.send_provider import LookupReply, Parcel, ProviderReply, send_providers
from queue_pipeline.leads import ports
from queue_pipeline_tests.leads.conftest import Desk

SLOT = {"start": "2031-03-04T10:00:00+01:00", "label": "Tuesday 4 March, 10:00"}
PASSED = """
UPDATE job SET payload = jsonb_set(payload, '{offered_slots,0,start}', to_jsonb(now() - interval '1 minute'))
WHERE job_id = :job_id RETURNING 1
"""


def waiting(desk: Desk, body: str = "What does it cost?", **fields: object) -> tuple[int, int]:
    """A message and its draft that waits for review."""
    job_id = desk.handle(body, **fields)
    draft = desk.draft(job_id)
    assert draft.state == "FOR_REVIEW"
    return job_id, draft.draft_id


def test_an_approved_draft_leaves_once_and_the_decision_is_kept(desk: Desk) -> None:
    job_id, draft_id = waiting(desk, subject="Price", provider_event_id="<m1@example.com>")
    approved = drafts.approve(desk.db, draft_id, who=" Mina ")
    outcome = desk.outcome(job_id)
    assert (outcome.outcome, outcome.code) == ("sending", "approved")
    assert "Mina" in outcome.reason
    desk.drain()
    (reply,) = desk.replies()
    assert (reply.job_id, reply.trigger_key, reply.draft_id) == (approved.job_id, f"lead:{job_id}", draft_id)
    assert (reply.subject, reply.in_reply_to, reply.body) == ("Re: Price", "<m1@example.com>", desk.draft(job_id).body)
    draft = desk.draft(job_id)
    assert (draft.state, draft.decided_by, draft.decision) == ("SENT", "Mina", "approved")
    assert draft.decided_at is not None
    assert (desk.outcome(job_id).outcome, desk.outcome(job_id).code) == ("sent", "send_sent")
    told = [notice.text for notice in desk.notices(job_id) + desk.notices(approved.job_id)]
    assert len(told) == 2
    assert "was sent" in told[1]


def test_a_decision_is_made_once(desk: Desk) -> None:
    _, draft_id = waiting(desk)
    drafts.approve(desk.db, draft_id, who="Mina")
    for again in (
        lambda: drafts.approve(desk.db, draft_id, who="Noor"),
        lambda: drafts.reject(desk.db, draft_id, who="Noor", why="late"),
        lambda: drafts.edit(desk.db, draft_id, who="Noor", body="Hello"),
    ):
        with pytest.raises(NotFound, match="APPROVED already by Mina"):
            again()
    desk.drain()
    with pytest.raises(NotFound, match="SENT already by Mina"):
        drafts.approve(desk.db, draft_id, who="Noor")
    assert len(desk.replies()) == 1


def test_ten_reviewers_at_once_send_one_reply(desk: Desk) -> None:
    _, draft_id = waiting(desk)

    def approve(number: int) -> bool:
        try:
            drafts.approve(desk.db, draft_id, who=f"Reviewer {number}")
        except NotFound:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(approve, range(10))) == 1
    desk.drain()
    assert len(desk.replies()) == 1
    assert len(desk.rows("SELECT * FROM job WHERE kind = 'lead.send_draft'")) == 1


def test_a_draft_that_was_sent_by_itself_cannot_be_approved(desk: Desk) -> None:
    desk.auto_send()
    job_id = desk.handle("When can we meet?", offered_slots=[SLOT])
    with pytest.raises(NotFound, match="SENT already by auto-send"):
        drafts.approve(desk.db, desk.draft(job_id).draft_id, who="Mina")


def test_a_rejected_draft_never_leaves_and_people_are_told(desk: Desk) -> None:
    job_id, draft_id = waiting(desk)
    drafts.reject(desk.db, draft_id, who="Mina", why="answered by phone")
    outcome = desk.outcome(job_id)
    assert (outcome.outcome, outcome.code) == ("skipped", "draft_rejected")
    assert "answered by phone" in outcome.reason
    with pytest.raises(NotFound, match="REJECTED already"):
        drafts.approve(desk.db, draft_id, who="Noor")
    desk.drain()
    assert desk.replies() == []
    assert "was rejected" in desk.notices(job_id)[-1].text


@pytest.mark.parametrize(("who", "why"), [("", "late"), ("Mina", " ")])
def test_a_decision_needs_a_name_and_a_rejection_a_reason(desk: Desk, who: str, why: str) -> None:
    _, draft_id = waiting(desk)
    with pytest.raises(InvalidInput, match="kept as evidence"):
        drafts.reject(desk.db, draft_id, who=who, why=why)


def test_a_slot_that_has_passed_gives_the_draft_back_and_may_be_accepted(desk: Desk) -> None:
    job_id, draft_id = waiting(desk, "When can we meet?", offered_slots=[SLOT])
    desk.rows(PASSED, job_id=job_id)
    desk.rows("UPDATE draft SET created_at = now() - interval '2 days' WHERE draft_id = :d RETURNING 1", d=draft_id)
    approved = drafts.approve(desk.db, draft_id, who="Mina")
    desk.drain()
    assert desk.replies() == []
    draft = desk.draft(job_id)
    assert (draft.state, draft.decided_by) == ("FOR_REVIEW", None)
    codes = [finding["code"] for finding in draft.findings]
    assert "slot_passed" in codes
    outcome = desk.outcome(job_id)
    assert outcome.outcome == "drafted_for_review"
    assert outcome.code.startswith("gate_")
    notice = desk.notices(job_id)[-1]
    assert (notice.kind, "slot_passed" in notice.text) == ("action", True)
    assert desk.rows("SELECT state FROM job WHERE job_id = :j", j=approved.job_id) == [("SUCCEEDED",)]
    with pytest.raises(InvalidInput, match=r"slot_passed.*--accept-findings"):
        drafts.approve(desk.db, draft_id, who="Mina")
    drafts.approve(desk.db, draft_id, who="Mina", accept_findings=True)
    desk.drain()
    assert len(desk.replies()) == 1
    assert "approved despite" in desk.draft(job_id).decision


def test_an_edited_draft_passes_the_gates_before_it_leaves(desk: Desk) -> None:
    job_id, draft_id = waiting(desk)
    drafts.edit(
        desk.db, draft_id, who="Mina", body="Hello,\n\nbook at https://evil.example/pay please.\n\nKind regards"
    )
    drafts.approve(desk.db, draft_id, who="Mina")
    desk.drain()
    assert desk.outcome(job_id).code == "gate_fabricated_link"
    assert "evil" not in desk.notices(job_id)[-1].text
    drafts.edit(
        desk.db, draft_id, who="Mina", subject="Hello", body="Hello,\n\na colleague will answer.\n\nKind regards"
    )
    drafts.approve(desk.db, draft_id, who="Noor")
    desk.drain()
    (reply,) = desk.replies()
    assert (reply.subject, "a colleague will answer" in reply.body) == ("Hello", True)
    draft = desk.draft(job_id)
    assert (draft.drafter, draft.decided_by, draft.is_template) == ("edited by Mina", "Noor", False)


def test_a_draft_is_approved_anew_while_the_job_of_the_first_approval_has_not_ended(desk: Desk) -> None:
    job_id, draft_id = waiting(desk)
    first = drafts.approve(desk.db, draft_id, who="Mina").job_id
    give_back = (
        "UPDATE draft SET state = 'FOR_REVIEW', decided_by = NULL, decided_at = NULL WHERE draft_id = :d RETURNING 1"
    )
    desk.rows(give_back, d=draft_id)
    second = drafts.approve(desk.db, draft_id, who="Noor").job_id
    assert second != first
    desk.drain()
    (reply,) = desk.replies()
    assert reply.job_id == second
    assert desk.outcome(job_id).outcome == "sent"


def test_nothing_is_sent_to_a_lead_that_opted_out(desk: Desk) -> None:
    first, draft_of_first = waiting(desk)
    second, draft_of_second = waiting(desk, "And where are you?", from_address="ben@example.com")
    drafts.approve(desk.db, draft_of_second, who="Mina")
    desk.rows("UPDATE lead SET opted_out_at = now() RETURNING 1")
    desk.drain()
    assert (desk.outcome(second).outcome, desk.outcome(second).code) == ("skipped", "send_cancelled")
    assert desk.draft(second).state == "NOT_SENT"
    with pytest.raises(InvalidInput, match="asked not to be contacted"):
        drafts.approve(desk.db, draft_of_first, who="Mina")
    assert desk.draft(first).state == "FOR_REVIEW"
    assert desk.replies() == []


def test_a_lead_that_wrote_again_gets_no_answer_to_the_earlier_message(desk: Desk) -> None:
    job_id, draft_id = waiting(desk)
    desk.handle("Never mind, what is your address?")
    approved = drafts.approve(desk.db, draft_id, who="Mina")
    desk.drain()
    assert (desk.outcome(job_id).outcome, desk.outcome(job_id).code) == ("skipped", "send_cancelled")
    assert "wrote again" in desk.outcome(job_id).reason
    kinds = [notice.kind for notice in desk.notices(job_id) + desk.notices(approved.job_id)]
    assert kinds[-1] == "skip"
    assert desk.replies() == []


def test_a_message_without_an_address_cannot_be_answered(desk: Desk) -> None:
    _, draft_id = waiting(desk, from_address=None)
    with pytest.raises(InvalidInput, match="no address"):
        drafts.approve(desk.db, draft_id, who="Mina")


def test_an_approval_while_sends_are_off_leaves_when_they_are_on(desk: Desk) -> None:
    job_id, draft_id = waiting(desk)
    flags.flip(desk.db, "sends.enabled", "off", who="Mina", why="test")
    drafts.approve(desk.db, draft_id, who="Mina")
    desk.drain()
    assert desk.outcome(job_id).outcome == "sending"
    flags.flip(desk.db, "sends.enabled", "on", who="Mina", why="test")
    desk.rows("UPDATE outbound_message SET not_before = now() WHERE state = 'READY' RETURNING 1")
    reconcile(desk.db, by="test")
    assert (desk.outcome(job_id).outcome, desk.draft(job_id).state) == ("sent", "SENT")
    assert len(desk.replies()) == 1


class Unreadable:
    """A book that nobody can open."""

    def __getattr__(self, name: str) -> Any:
        raise ConnectionError(name)


@pytest.mark.parametrize("how", ["cancelled", "dead"])
def test_an_approval_whose_job_ends_before_it_sends_goes_back_to_the_reviewers(desk: Desk, how: str) -> None:
    job_id, draft_id = waiting(desk)
    approved = drafts.approve(desk.db, draft_id, who="Mina").job_id
    if how == "cancelled":
        cancel_job(desk.db, approved, "by mistake")
    else:
        book = ports.services().book
        desk.use(book=Unreadable())
        desk.rows("UPDATE job SET max_attempts = 1 WHERE job_id = :j RETURNING 1", j=approved)
        desk.drain()
        desk.use(book=book)
    assert (desk.outcome(job_id).outcome, desk.outcome(job_id).code) == ("needs_action", "send_never_started")
    assert desk.draft(job_id).state == "FOR_REVIEW"
    (notice,) = desk.notices(approved)
    assert (notice.kind, "waits for review again" in notice.text) == ("failure", True)
    drafts.approve(desk.db, draft_id, who="Mina")
    desk.drain()
    assert len(desk.replies()) == 1


def test_a_draft_whose_message_was_pruned_goes_back_to_the_reviewers(desk: Desk) -> None:
    job_id, draft_id = waiting(desk)
    desk.rows("DELETE FROM job WHERE job_id = :j RETURNING 1", j=job_id)
    drafts.approve(desk.db, draft_id, who="Mina")
    desk.drain()
    assert desk.outcome(job_id).code == "message_not_kept"
    assert desk.draft(job_id).state == "FOR_REVIEW"
    assert "answer by hand" in desk.notices(job_id)[-1].text
    assert desk.replies() == []


class Scripted:
    """A provider that gives one answer."""

    name = "scripted"
    account = "test"
    capabilities = Capabilities(idempotency_seconds=0.0, lookup=LookupBy.NONE, settle_seconds=0.0)

    def __init__(self) -> None:
        self.outcome = SendOutcome.ACCEPTED
        self.parcels: list[Parcel] = []

    def send(self, parcel: Parcel, *, seconds: float) -> ProviderReply:
        """The answer."""
        self.parcels.append(parcel)
        taken = self.outcome is SendOutcome.ACCEPTED
        return ProviderReply(self.outcome, provider_message_id=f"m-{len(self.parcels)}" if taken else None, error="no")

    def lookup(self, idempotency_key: str, *, seconds: float) -> LookupReply:
        """It cannot be asked."""
        return LookupReply(None)


@pytest.fixture
def provider(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """The provider that carries everything in this test."""
    scripted = Scripted()
    monkeypatch.setattr(send_providers, "_providers", {scripted.name: scripted})
    monkeypatch.setattr(send_providers, "_default", scripted.name)
    return scripted


@pytest.mark.parametrize("automatic", [True, False], ids=["sent by itself", "approved"])
@pytest.mark.parametrize(
    ("outcome", "ends", "code", "state", "kind"),
    [
        (SendOutcome.ACCEPTED, "sent", "send_sent", "SENT", "outcome"),
        (SendOutcome.REJECTED, "needs_action", "send_rejected", "NOT_SENT", "failure"),
        (SendOutcome.NOT_SENT, "sending", None, "APPROVED", None),
        (SendOutcome.AMBIGUOUS, "sending", None, "APPROVED", None),
    ],
)
def test_whatever_the_provider_says_the_lead_and_the_people_know(
    desk: Desk, provider: Scripted, automatic: bool, outcome: Any, ends: str, code: str, state: str, kind: str
) -> None:
    if automatic:
        desk.auto_send()
        provider.outcome = outcome
        job_id = desk.handle("When can we meet?", offered_slots=[SLOT])
        told = desk.notices(job_id)
    else:
        job_id, draft_id = waiting(desk)
        provider.outcome = outcome
        approved = drafts.approve(desk.db, draft_id, who="Mina").job_id
        desk.drain()
        told = [*desk.notices(job_id)[1:], *desk.notices(approved)]
    found = desk.outcome(job_id)
    assert found.outcome == ends
    assert code is None or found.code == code
    assert desk.draft(job_id).state == state
    assert kind is None or [notice.kind for notice in told] == [kind]
