"""A ledger to be tested: claims to send under, a provider that answers by script, and time that can be made to pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any

import sqlalchemy as sa

from queue_pipeline.domain.claim import Claim
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.outbound import Capabilities, LookupBy, SendOutcome, idempotency_key, normalised_sha256
from queue_pipeline.engine.reconcile import ReconcileReport, reconcile
from queue_pipeline.engine.send import NewMessage, Sent, payload_sha256, send_message
from queue_pipeline.engine.send_provider import LookupReply, Parcel, ProviderReply, send_providers
from queue_pipeline.store import outbound
from queue_pipeline.store.outbound import Message
from queue_pipeline.store.session import Database, Tx
from queue_pipeline_tests.engine.kitchen import Bystander, Kitchen

KIND = "test.send"
WORKSPACE = "acme"
ADDRESS = "ada.lovelace@customer.example"
TEXT = "We can collect the pallets on Tuesday."
KEY = Capabilities(idempotency_seconds=86_400.0)
LOOKUP = Capabilities(lookup=LookupBy.KEY, settle_seconds=60.0)
NOTHING = Capabilities()
ACCEPTED = ProviderReply(SendOutcome.ACCEPTED, provider_message_id="m-1", http_status=201)
REJECTED = ProviderReply(SendOutcome.REJECTED, http_status=422, error="the provider refuses the message")
NOT_SENT = ProviderReply(SendOutcome.NOT_SENT, http_status=429, error="refused for now")
AMBIGUOUS = ProviderReply(SendOutcome.AMBIGUOUS, error_class="ReadTimeout", error="no answer")


class Scripted:
    """A provider that answers by script, then accepts; `parcels` is what it was asked to deliver."""

    account = "test"

    def __init__(self, capabilities: Capabilities = NOTHING) -> None:
        self.name = f"scripted-{token_hex(4)}"
        self.capabilities = capabilities
        self.script: list[ProviderReply | Exception] = []
        self.parcels: list[Parcel] = []
        self.during: Callable[[Parcel], Any] = lambda _: None
        self.answer_to_lookup: LookupReply | Exception = LookupReply(None, error="not asked for in this test")
        self.lookups = 0

    def send(self, parcel: Parcel, *, seconds: float) -> ProviderReply:
        """The next answer of the script; an exception in it is raised."""
        assert seconds > 0
        self.parcels.append(parcel)
        self.during(parcel)
        answer = self.script.pop(0) if self.script else None
        if isinstance(answer, Exception):
            raise answer
        return answer or ProviderReply(SendOutcome.ACCEPTED, f"m-{parcel.idempotency_key[:12]}", 201)

    def lookup(self, idempotency_key: str, *, seconds: float) -> LookupReply:
        """What the test said."""
        self.lookups += 1
        if isinstance(self.answer_to_lookup, Exception):
            raise self.answer_to_lookup
        return self.answer_to_lookup


class Ledger:
    """One database, one provider, one function run whose claims the tests send under."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.provider = Scripted()
        send_providers.register(self.provider)
        self.kitchen = Kitchen(db)
        self.kitchen.handle(KIND, lambda *_: None)
        self.run = Bystander(db)

    def close(self) -> None:
        """Let go of the connections."""
        self.run.close()
        self.kitchen.close()

    def able(self, capabilities: Capabilities) -> None:
        """Let the provider declare this from now on."""
        self.provider.capabilities = capabilities

    def claim(self, workspace: str = WORKSPACE) -> Claim:
        """A claim on a new job."""
        (job_id,) = self.kitchen.put(KIND, workspace=workspace)
        (claim,) = self.run.claim()
        assert claim.job_id == job_id
        return claim

    def send(self, claim: Claim | None = None, *, limits: Limits | None = None, **fields: Any) -> Sent | None:
        """Send as a handler does."""
        new = {"channel": "email", "to": ADDRESS, "body": TEXT, "purpose": "reply", "provider": self.provider.name}
        return send_message(self.db, claim or self.claim(), NewMessage(**{**new, **fields}), limits or Limits())

    def sent(self, claim: Claim | None = None, **fields: Any) -> Sent:
        """Send as a handler does, with a claim that stands."""
        sent = self.send(claim, **fields)
        assert sent is not None
        return sent

    def reserve(self, tx: Tx, job_id: int, trigger: str = "order:7") -> int:
        """What `send` writes first, in a transaction of the test's own."""
        business = {"workspace": WORKSPACE, "channel": "email", "purpose": "reply"}
        made = outbound.reserve(
            tx,
            **business,
            job_id=job_id,
            trigger_key=trigger,
            part_index=0,
            recipient=ADDRESS,
            subject="",
            body=TEXT,
            in_reply_to=None,
            lead_id=None,
            draft_id=None,
            provider=self.provider.name,
            account=self.provider.account,
            idempotency_key=idempotency_key(**business, account=self.provider.account, trigger=trigger, part=0),
            payload_sha256=payload_sha256(NewMessage("email", ADDRESS, TEXT, "reply")),
            body_norm_sha256=normalised_sha256(TEXT),
        )
        assert made is not None
        return made.outbound_message_id

    def doubtful(self, **fields: Any) -> int:
        """A message in UNKNOWN after one attempt; its job has succeeded."""
        self.provider.script = [AMBIGUOUS]
        claim = self.claim()
        sent = self.sent(claim, **fields)
        assert sent.state == "UNKNOWN"
        self.end_job(claim.job_id)
        return sent.outbound_message_id

    def ready(self, **fields: Any) -> int:
        """A message in READY that a provider refused once; its job has succeeded."""
        self.provider.script = [NOT_SENT]
        claim = self.claim()
        sent = self.sent(claim, **fields)
        assert sent.state == "READY"
        self.end_job(claim.job_id)
        return sent.outbound_message_id

    def needing_a_person(self) -> int:
        """A message in NEEDS_HUMAN."""
        number = self.doubtful()
        self.pass_time(40)
        self.reconcile()
        assert self.state(number) == "NEEDS_HUMAN"
        return number

    def end_job(self, job_id: int, state: str = "SUCCEEDED") -> None:
        """Let the job end without its handler."""
        self.run_sql(
            "UPDATE job SET state = :state, finished_at = clock_timestamp(), fence = NULL, function_run_id = NULL,"
            " claimed_at = NULL, deadline_at = NULL WHERE job_id = :job_id",
            state=state,
            job_id=job_id,
        )

    def reconcile(self, limits: Limits | None = None) -> ReconcileReport:
        """One reconciliation, as the job of that name does."""
        return reconcile(self.db, by="test", limits=limits or Limits(), budget_seconds=20.0)

    def message(self, number: int) -> Message:
        """The message as it stands."""
        with self.db.begin() as tx:
            found = outbound.get(tx, number)
        assert found is not None
        return found

    def state(self, number: int) -> str:
        """Where the message stands."""
        return self.message(number).state

    def outcomes(self, number: int) -> list[str | None]:
        """How its attempts ended, in order."""
        asked = "SELECT outcome FROM send_attempt WHERE outbound_message_id = :number ORDER BY attempt"
        return [row[0] for row in self.run_sql(asked, number=number)]

    def evidence(self, number: int) -> list[str]:
        """How we know that a provider has it."""
        asked = "SELECT observed_via FROM provider_message WHERE outbound_message_id = :number ORDER BY first_seen_at"
        return [row[0] for row in self.run_sql(asked, number=number)]

    def run_sql(self, text: str, **values: Any) -> list[Any]:
        """The rows of a statement."""
        return [tuple(row) for row in self.kitchen.rows(text, **values)]

    def pass_time(self, seconds: float) -> None:
        """Everything on record about messages happened so much earlier."""
        step = "make_interval(secs => :seconds)"
        columns = ("deadline_at", "unknown_since", "first_sending_at", "not_before", "created_at")
        moved = ", ".join(f"{column} = {column} - {step}" for column in columns)
        with self.db.begin() as tx:
            tx.execute(sa.text(f"UPDATE outbound_message SET {moved}"), {"seconds": seconds})
            tx.execute(sa.text("ALTER TABLE send_attempt DISABLE TRIGGER send_attempt_ends_once"))
            tx.execute(sa.text(f"UPDATE send_attempt SET deadline_at = deadline_at - {step}"), {"seconds": seconds})
            tx.execute(sa.text("ALTER TABLE send_attempt ENABLE TRIGGER send_attempt_ends_once"))


@contextmanager
def a_ledger(db: Database) -> Iterator[Ledger]:
    """A ledger for one test."""
    ledger = Ledger(db)
    try:
        yield ledger
    finally:
        ledger.close()
