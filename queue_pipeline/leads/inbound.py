"""The handler of `lead.inbound`: from a message to a visible outcome. Every branch is recorded and told."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from queue_pipeline import InvalidInput, JobContext, handler
from queue_pipeline.leads import phrases
from queue_pipeline.leads.classification import Classification, MessageClass, classify
from queue_pipeline.leads.decision import Action, Decision, decide
from queue_pipeline.leads.drafting import drafted
from queue_pipeline.leads.hold import Hold, why_held
from queue_pipeline.leads.inbound_lead import InboundLead
from queue_pipeline.leads.ports import DraftRequest, LeadServices, services
from queue_pipeline.leads.reply import Circumstances, circumstances, findings_in, send_reply, who
from queue_pipeline.leads.template_drafter import acknowledgement, subject_of_reply

KIND = "lead.inbound"
_NOBODY = {"lead_id": None, "opted_out": False, "phone_known": False, "wrote_before": False}


@handler(KIND, payload=InboundLead, deadline_seconds=120, max_attempts=5)
def on_inbound(ctx: JobContext, lead: InboundLead) -> None:
    """Classify, decide, then draft, skip or ask people to act; tell them. A retry repeats none of its steps."""
    _Message(ctx, lead, services()).handle()


class _Message:
    """One message on its way through the steps."""

    def __init__(self, ctx: JobContext, lead: InboundLead, use: LeadServices) -> None:
        self.ctx = ctx
        self.lead = lead
        self.use = use
        self.known: dict[str, Any] = ctx.step("remember the lead", self._remember)
        self.lead_id: int | None = self.known["lead_id"]
        self.found = _classification(ctx.step("classify", self._classify))
        self.decision = _decision(ctx.step("decide", self._decide))
        ctx.progress(f"{self.found.message_class}: {self.decision.action}")

    def handle(self) -> None:
        """Do what was decided."""
        if self.found.phone is not None and self.lead_id is not None:
            self.ctx.step("note the phone number", self._note_phone)
        match self.decision.action:
            case Action.DRAFT:
                self._draft()
            case Action.TASK:
                self._ask_people()
            case Action.SKIP:
                self._skip()
        self.use.notifier.deliver()

    def _remember(self) -> dict[str, Any]:
        if self.lead.from_address is None:
            return _NOBODY
        return self.use.book.remember(
            workspace=self.ctx.workspace,
            job_id=self.ctx.job_id,
            address=self.lead.from_address,
            name=self.lead.from_name,
        )

    def _classify(self) -> dict[str, Any]:
        return {**asdict(classify(self.lead, phone_known=self.known["phone_known"])), "phrases": phrases.VERSION}

    def _decide(self) -> dict[str, Any]:
        now = self.use.book.now()
        made = decide(
            self.found,
            lead_known=self.lead_id is not None,
            open_slots=sum(slot.start > now for slot in self.lead.offered_slots),
            body=self.lead.body,
            now=now,
            timezone=self.lead.timezone or self.use.timezone,
        )
        return {**asdict(made), "due_at": None if made.due_at is None else made.due_at.isoformat()}

    def _note_phone(self) -> None:
        assert self.lead_id is not None
        self.use.book.note_phone(lead_id=self.lead_id, phone=self.found.phone or "")

    def _draft(self) -> None:
        around = circumstances(
            self.use,
            self.lead,
            lead_id=self.lead_id,
            job_id=self.ctx.job_id,
            came_at=self.ctx.first_due_at,
            now=datetime.fromisoformat(self.ctx.step("look at the clock", lambda: self.use.book.now().isoformat())),
        )
        draft = drafted(self.ctx, self.use, lambda seconds: self._request(around, seconds))
        findings = self.ctx.step("gates", lambda: findings_in(draft["body"], around, self.use, drafted_at=around.now))
        draft_id = self.ctx.step("save the draft", lambda: self._save(draft, findings))
        held = self.ctx.step("send or hold", lambda: self._why_held(draft, findings, len(around.open_slots)))
        if held is None:
            self._send(draft_id, draft)
        else:
            self._leave_for_review(draft_id, Hold(**held))

    def _request(self, around: Circumstances, seconds: float) -> DraftRequest:
        return DraftRequest(
            message=self.lead,
            message_class=self.found.message_class,
            now=around.now,
            timezone=around.timezone,
            slots=around.open_slots,
            thread=around.thread,
            allowed_links=around.allowed_links,
            ask_for_phone=self.decision.ask_for_phone,
            seconds=seconds,
        )

    def _save(self, draft: dict[str, Any], findings: list[dict[str, Any]]) -> int:
        kept = {key: draft[key] for key in ("subject", "body", "drafter", "is_template", "usage", "why_no_model")}
        return self.use.book.save_draft(
            workspace=self.ctx.workspace,
            job_id=self.ctx.job_id,
            lead_id=self.lead_id,
            channel=self.lead.channel,
            findings=findings,
            **kept,
        )

    def _why_held(
        self, draft: dict[str, Any], findings: list[dict[str, Any]], open_slots: int
    ) -> dict[str, str] | None:
        held = why_held(
            draft,
            findings,
            decision=self.decision,
            opted_out=self.known["opted_out"],
            has_address=self.lead.from_address is not None,
            auto_send=self.use.book.auto_send(workspace=self.ctx.workspace),
            open_slots=open_slots,
        )
        return None if held is None else asdict(held)

    def _send(self, draft_id: int, draft: dict[str, Any]) -> None:
        """The outcome is promised before the send and kept by the ledger, so that a death in between is not silent."""
        reason = f"draft {draft_id} passed every gate and is about to be sent"
        self.ctx.step("promise the send", lambda: self._conclude("sending", "auto_send", reason, draft_id=draft_id))
        self.ctx.step("release the draft", lambda: self.use.book.release(draft_id=draft_id))
        ready = {
            "draft_id": draft_id,
            "job_id": self.ctx.job_id,
            "lead_id": self.lead_id,
            "channel": self.lead.channel,
            "address": self.lead.from_address,
            "subject": draft["subject"],
            "body": draft["body"],
        }
        try:
            send_reply(self.ctx, self.use, ready, self.lead)
        except InvalidInput as error:
            self._cannot_be_sent(draft_id, error.field)

    def _cannot_be_sent(self, draft_id: int, field: str) -> None:
        reason = f"draft {draft_id} cannot be sent as it is (its {field}); it waits for review"
        self.use.book.back_to_review(
            draft_id=draft_id,
            findings=[],
            code="cannot_be_sent",
            reason=reason,
            notice=f"{self.ctx.workspace}: {reason}.",
            key=f"lead:{self.ctx.job_id}:cannot_be_sent",
        )

    def _leave_for_review(self, draft_id: int, held: Hold) -> None:
        reason = f"{held.why}{self._acknowledged()}"
        notice = (
            f"{self.ctx.workspace}: draft {draft_id} for {self._whom()}: {reason}. "
            f"Read it with `queue-pipeline drafts show {draft_id}`."
        )
        self.ctx.step(
            "conclude",
            lambda: self._conclude(
                "drafted_for_review", held.code, reason, draft_id=draft_id, notice=notice, kind=held.kind
            ),
        )

    def _ask_people(self) -> None:
        task, why = self.decision.task or "answer", self.decision.why
        due = "" if self.decision.due_at is None else f", due {self.decision.due_at:%Y-%m-%d}"
        to_do = f"{_TASKS[task]}{due}"
        notice = (
            f"{self.ctx.workspace}: action needed: {to_do} ({self._whom()}); draft skipped, because {why}. "
            "See `queue-pipeline tasks`."
        )
        self.ctx.step(
            "ask people to act",
            lambda: self.use.book.add_task(
                workspace=self.ctx.workspace,
                job_id=self.ctx.job_id,
                lead_id=self.lead_id,
                kind=task,
                why=why,
                due_at=self.decision.due_at,
                notice=notice,
            ),
        )
        reason = f"no draft, because {why}; a person is to {to_do}{self._acknowledged()}"
        self.ctx.step(
            "conclude",
            lambda: self._conclude("needs_action", self.decision.code, reason, notice=self._skipped(), kind="skip"),
        )

    def _skip(self) -> None:
        if self.found.message_class is MessageClass.OPT_OUT and self.lead_id is not None:
            lead_id = self.lead_id
            self.ctx.step("opt out", lambda: self.use.book.opt_out(lead_id=lead_id))
        reason = f"no draft, because {self.decision.why} ({self.decision.code})"
        self.ctx.step(
            "conclude",
            lambda: self._conclude("skipped", self.decision.code, reason, notice=self._skipped(), kind="skip"),
        )

    def _acknowledged(self) -> str:
        """Tell a person who writes for the first time that the message has arrived; gives what became of that."""
        known, address = self.known, self.lead.from_address
        if not self.decision.acknowledge or address is None or known["opted_out"] or known["wrote_before"]:
            return ""
        sent = self.ctx.send(
            channel=self.lead.channel,
            to=address,
            body=acknowledgement(self.lead),
            subject=subject_of_reply(self.lead),
            purpose="acknowledgement",
            lead_id=self.lead_id,
        )
        if sent.state == "SENT":
            return "; the arrival of the first message was acknowledged"
        return f"; the acknowledgement of the first message is {sent.state} (message {sent.outbound_message_id})"

    def _conclude(
        self,
        outcome: str,
        code: str,
        reason: str,
        *,
        draft_id: int | None = None,
        notice: str | None = None,
        kind: str = "outcome",
    ) -> None:
        self.use.book.conclude(
            workspace=self.ctx.workspace,
            job_id=self.ctx.job_id,
            lead_id=self.lead_id,
            outcome=outcome,
            code=code,
            reason=reason,
            draft_id=draft_id,
            notice=notice,
            kind=kind,
        )

    def _skipped(self) -> str:
        why, code = self.decision.why, self.decision.code
        return f"{self.ctx.workspace}: draft skipped, because {why} ({code}; {self._whom()})."

    def _whom(self) -> str:
        return f"{who(self.lead_id)}, job {self.ctx.job_id}"


_TASKS = {
    "call": "call the sender",
    "follow_up": "write to the sender again",
    "find_right_person": "find the right person",
    "answer": "answer the sender",
}


def _classification(stored: dict[str, Any]) -> Classification:
    return Classification(MessageClass(stored["message_class"]), stored["why"], stored["phone"], stored["names_a_time"])


def _decision(stored: dict[str, Any]) -> Decision:
    due = stored["due_at"]
    return Decision(
        **{**stored, "action": Action(stored["action"]), "due_at": None if due is None else datetime.fromisoformat(due)}
    )
