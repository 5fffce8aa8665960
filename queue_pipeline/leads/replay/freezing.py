"""From recorded leads to a manifest: each case as it was when its reply was drafted, with invented people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from queue_pipeline.leads.classification import classify
from queue_pipeline.leads.decision import Action, decide
from queue_pipeline.leads.inbound_lead import InboundLead
from queue_pipeline.leads.replay.manifest import (
    BODY_MAX,
    Case,
    CaseInbound,
    CaseSlot,
    CaseTurn,
    Expected,
    Manifest,
)
from queue_pipeline.leads.replay.masking import Masker

_ACTION_OF = {"drafted_for_review": "draft", "sent": "draft", "sending": "draft"}
_NOT_A_DRAFT = {"skipped": "skip", "needs_action": "skip"}


@dataclass(frozen=True)
class RecordedLead:
    """One message that the queue took in, with what became of it. `payload` is that of its job."""

    job_id: int
    workspace: str
    payload: Mapping[str, Any]
    accepted_at: datetime
    address: str | None = None
    name: str | None = None
    phone_known: bool = False
    thread: Sequence[Mapping[str, Any]] = ()
    outcome: str | None = None
    code: str | None = None
    draft: str | None = None
    drafted_at: datetime | None = None


@dataclass(frozen=True)
class Team:
    """What a reply of the team may rest on besides its message."""

    timezone: str = "UTC"
    allowed_links: Sequence[str] = ()


def freeze(
    leads: Sequence[RecordedLead], *, manifest_id: str, client_id: str, team: Team, at: datetime | None
) -> tuple[Manifest, list[str]]:
    """A manifest of these leads, and warnings about those that were left out. `at` is when it was frozen."""
    masker, warnings = Masker(), []
    cases = []
    for lead in leads:
        case = frozen_case(lead, masker, team)
        if case is None:
            warnings.append(f"job {lead.job_id} is left out: its message is no longer kept or cannot be read")
        else:
            cases.append(case)
    manifest = Manifest(
        version=2,
        manifest_id=manifest_id,
        phase="frozen",
        frozen_at=at,
        client_id=client_id,
        sources=[f"recorded leads of {client_id}"],
        cases=cases,
        notes="People are invented by rules. Read it before you pass it on: rules do not know every name.",
    )
    return manifest, warnings


def frozen_case(lead: RecordedLead, masker: Masker, team: Team, *, case_id: str | None = None) -> Case | None:
    """The case of one recorded lead; None when its message cannot be read."""
    try:
        message = InboundLead.model_validate(lead.payload)
        return _case(lead, message, masker, team, case_id or f"job-{lead.job_id}")
    except ValidationError:
        return None


def _case(lead: RecordedLead, message: InboundLead, masker: Masker, team: Team, case_id: str) -> Case:
    address, name = message.from_address or lead.address, message.from_name or lead.name
    key = f"{lead.workspace}|{address or name or lead.job_id}"
    number = masker.lead(key, name=name, address=address)
    for text in (message.subject, message.body, lead.draft or "", *(str(turn["body"]) for turn in lead.thread)):
        masker.meet(text)
    sent_at = min(message.received_at or lead.accepted_at, lead.accepted_at)
    known = lead.phone_known and lead.code != "call_requested_without_phone"
    now = max(lead.drafted_at or lead.accepted_at, sent_at)
    links = dict.fromkeys([*team.allowed_links, *message.allowed_links])
    return Case(
        case_id=case_id,
        tenant=lead.workspace,
        channel=message.channel,
        reference_now=now,
        timezone=message.timezone or team.timezone,
        host_timezone=team.timezone,
        inbound=CaseInbound(
            subject=masker.text(message.subject),
            body=masker.text(message.body)[:BODY_MAX],
            sent_at=sent_at,
            from_name=None if message.from_name is None else f"Lead {number}",
            from_address=None if message.from_address is None else masker.address(message.from_address),
            phone=None if message.phone is None else masker.text(message.phone),
            automatic=message.automatic,
        ),
        thread=[_turn(turn, masker) for turn in lead.thread if turn["at"] <= sent_at],
        offered_slots=[
            CaseSlot(start=slot.start, end=slot.end, label=masker.text(slot.label)) for slot in message.offered_slots
        ],
        allowed_links=[masker.url(link) for link in links],
        phone_known=known,
        expected=Expected(action=_expected(lead, message, known=known, now=now, timezone=team.timezone)),
        reference_draft=None if lead.draft is None else masker.text(lead.draft)[:BODY_MAX],
        notes="" if lead.outcome in _ACTION_OF | _NOT_A_DRAFT else "expected.action is what the rules decide today",
    )


def _turn(turn: Mapping[str, Any], masker: Masker) -> CaseTurn:
    return CaseTurn(author=turn["author"], body=masker.text(str(turn["body"]))[:BODY_MAX], sent_at=turn["at"])


def _expected(lead: RecordedLead, message: InboundLead, *, known: bool, now: datetime, timezone: str) -> Any:
    """What was done then. A message that came to no end then is expected to go the way that it would go today."""
    if lead.draft is not None or lead.outcome in _ACTION_OF:
        return "draft"
    if lead.outcome in _NOT_A_DRAFT:
        return _NOT_A_DRAFT[lead.outcome]
    decided = decide(
        classify(message, phone_known=known),
        lead_known=message.from_address is not None,
        open_slots=sum(slot.start > now for slot in message.offered_slots),
        body=message.body,
        now=now,
        timezone=timezone,
    )
    return "draft" if decided.action is Action.DRAFT else "skip"
