"""A replay manifest, version 2: every case carries all that its draft may rest on, so that nothing is looked up."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from queue_pipeline.leads.gates.case import DraftCase, Inbound, Slot
from queue_pipeline.leads.gates.case import Turn as GateTurn
from queue_pipeline.leads.inbound_lead import InboundLead, OfferedSlot
from queue_pipeline.leads.replay.problems import sentences

CASES_MAX = 2000
BODY_MAX = 50_000

Id = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^\S(?:.*\S)?$")]
Line = Annotated[str, Field(max_length=2000)]
Body = Annotated[str, Field(max_length=BODY_MAX)]


class Strict(BaseModel):
    """A misspelled field is an error: it would silently mean nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, populate_by_name=True)


class CaseInbound(Strict):
    """The message that is answered. `automatic` says that its headers declare it to be written by a program."""

    subject: Line = ""
    body: Body = ""
    sent_at: AwareDatetime
    from_name: Line | None = None
    from_address: Annotated[str, Field(max_length=320)] | None = "lead@example.com"
    phone: Annotated[str, Field(max_length=50)] | None = None
    automatic: bool = False


class CaseTurn(Strict):
    """An earlier message of the thread; it must not be later than the message that is answered."""

    author: Literal["lead", "us"]
    body: Body = ""
    sent_at: AwareDatetime


class CaseSlot(Strict):
    """A time that was offered."""

    start: AwareDatetime
    end: AwareDatetime | None = None
    label: Line = ""


class Expected(Strict):
    """What is right for this case.

    `action`: draft, task (a person acts), or skip (no draft, whichever way). `must` and `must_not` hold phrases that
    the draft must or must not contain, or codes of invariants that it must keep. `verdict` and `failures` are a label:
    what the gate itself should find. A label never changes a verdict; the artifact says whether they agree.
    """

    action: Literal["draft", "skip", "task"] = "draft"
    must: Annotated[list[Line], Field(max_length=100)] = []
    must_not: Annotated[list[Line], Field(max_length=100)] = []
    verdict: Literal["pass", "fail"] | None = None
    failures: Annotated[list[Line], Field(max_length=100)] = []


class Case(Strict):
    """One message with its circumstances, and what is expected of the reply.

    `reference_now` is the instant at which the reply is written; `reference_draft` a stored reply, judged in place of a
    new one in a dry run or with the strategy `reference`.
    """

    case_id: Id
    tenant: Line = Field(default="", validation_alias=AliasChoices("tenant", "workspace"))
    channel: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")] = "email"
    reference_now: AwareDatetime
    timezone: Annotated[str, Field(min_length=1, max_length=100)] = "UTC"
    host_timezone: str = ""
    inbound: CaseInbound
    thread: Annotated[list[CaseTurn], Field(max_length=200)] = []
    offered_slots: Annotated[list[CaseSlot], Field(max_length=50)] = []
    allowed_links: Annotated[list[Line], Field(max_length=50)] = []
    lead_links: Annotated[list[Line], Field(max_length=50)] = []
    facts: dict[str, str | int | float | bool] = {}
    phone_known: bool = False
    expected: Expected = Expected()
    reference_draft: Body | None = None
    notes: Body = ""

    @model_validator(mode="after")
    def _is_one_moment(self) -> Self:
        if self.inbound.sent_at > self.reference_now:
            raise ValueError("inbound.sent_at is later than reference_now; a reply is not written before its message")
        for number, turn in enumerate(self.thread):
            if turn.sent_at > self.inbound.sent_at:
                raise ValueError(
                    f"thread[{number}].sent_at is later than inbound.sent_at; leave out what came afterwards"
                )
        try:
            self.message()
            self.draft_case("")
        except ValidationError as error:
            raise ValueError("; ".join(sentences(error))) from None
        return self

    def message(self) -> InboundLead:
        """The message as the handler of `lead.inbound` gets it."""
        return InboundLead(
            provider="replay",
            channel=self.channel,
            from_address=self.inbound.from_address,
            from_name=self.inbound.from_name,
            subject=self.inbound.subject,
            body=self.inbound.body,
            received_at=self.inbound.sent_at,
            offered_slots=[OfferedSlot(start=s.start, end=s.end, label=s.label) for s in self.offered_slots],
            automatic=self.inbound.automatic,
            allowed_links=self.allowed_links,
            phone=self.inbound.phone,
            timezone=self.timezone or None,
        )

    def open_slots(self) -> list[OfferedSlot]:
        """The offered slots that are still to come at `reference_now`."""
        return [slot for slot in self.message().offered_slots if slot.start > self.reference_now]

    def turns(self) -> list[dict[str, Any]]:
        """The thread as the drafter gets it."""
        return [{"author": turn.author, "body": turn.body, "at": turn.sent_at} for turn in self.thread]

    def draft_case(self, draft: str) -> DraftCase:
        """A draft of this case as the gates get it."""
        return DraftCase(
            case_id=self.case_id,
            draft=draft,
            reference_now=self.reference_now,
            timezone=self.timezone,
            host_timezone=self.host_timezone,
            channel=self.channel,
            inbound=Inbound(body=self.inbound.body, sent_at=self.inbound.sent_at),
            thread=[GateTurn(author=turn.author, body=turn.body, sent_at=turn.sent_at) for turn in self.thread],
            offered_slots=[Slot(start=slot.start, end=slot.end, label=slot.label) for slot in self.open_slots()],
            allowed_links=list(self.allowed_links),
            lead_links=list(self.lead_links),
        )


class Tiers(Strict):
    """Cases by what depends on them. Each of `critical_core` and `critical_top10` must pass, whatever the threshold."""

    critical_core: list[Id] = []
    critical_top10: list[Id] = []
    regression: list[Id] = []

    def of(self, case_id: str) -> list[str]:
        """The tiers that name this case."""
        return [name for name in type(self).model_fields if case_id in getattr(self, name)]

    def critical(self) -> list[str]:
        """The cases that must pass, each once."""
        return list(dict.fromkeys([*self.critical_core, *self.critical_top10]))

    def all(self) -> list[str]:
        """Every case that a tier names, each once."""
        return list(dict.fromkeys([*self.critical(), *self.regression]))


class Strategy(Strict):
    """How the cases are replayed.

    `drafts`: `generate` asks the drafter of production, `reference` takes the stored drafts. `threshold` is the share
    of the cases that must pass, 1 by default.
    """

    drafts: Literal["generate", "reference"] = "generate"
    threshold: Annotated[float, Field(gt=0, le=1)] = 1.0
    description: Line = ""


class Manifest(Strict):
    """The cases that decide whether the replies are good enough."""

    version: Literal[2]
    manifest_id: Id
    phase: Line = ""
    frozen_at: AwareDatetime | None = None
    strategy: Strategy | Line = Strategy()
    sources: list[Line | dict[str, str]] = []
    client_id: Line = ""
    tiers: Tiers = Tiers()
    cases: Annotated[list[Case], Field(max_length=CASES_MAX)]
    notes: Body = ""

    @model_validator(mode="after")
    def _names_each_case_once(self) -> Self:
        twice = [name for name, count in Counter(case.case_id for case in self.cases).items() if count > 1]
        if twice:
            raise ValueError(f"cases: more than one has the case_id {', '.join(twice[:5])}; give each its own")
        return self

    def plan(self) -> Strategy:
        """The strategy; a plain word other than `generate` and `reference` only describes one."""
        if isinstance(self.strategy, Strategy):
            return self.strategy
        if self.strategy == "reference":
            return Strategy(drafts="reference")
        return Strategy(description=self.strategy)

    def missing(self) -> list[str]:
        """Cases that a tier names and that are not there."""
        held = {case.case_id for case in self.cases}
        return [name for name in self.tiers.all() if name not in held]


def instant(at: datetime) -> str:
    """An instant as manifests and artifacts write it."""
    return at.isoformat(timespec="seconds")
