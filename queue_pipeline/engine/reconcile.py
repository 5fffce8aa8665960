"""Settle what is open about messages, outside the queue that they came from: attempts that ran past their deadline,
doubts, tries that are due. Any number of reconciliations may run at once; each move is a compare-and-set.
"""

import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from queue_pipeline.domain.errors import InvalidInput, QueuePipelineError
from queue_pipeline.domain.flag import SENDS_ENABLED
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.outbound import Doubt, OutboundState, SendOutcome, Step, resolve
from queue_pipeline.engine import flags
from queue_pipeline.engine.send_attempt import attempt, carrier, keep_acceptance, where_it_failed
from queue_pipeline.engine.send_provider import SendProvider
from queue_pipeline.store import evidence, outbound
from queue_pipeline.store import reconcile as store
from queue_pipeline.store.outbound import Message
from queue_pipeline.store.reconcile import DueMessage
from queue_pipeline.store.session import Database, Tx

log = logging.getLogger(__name__)

_DEFAULT_LIMITS = Limits()
_WORKERS = 4
#: A message that a reconciliation took and then died with is due again after this time; no try takes so long.
_HOLD_SECONDS = 60.0
#: How long a message waits whose provider, or account of it, this process does not have.
_NO_PROVIDER_WAIT_SECONDS = 60.0
_LOOKUP_FAILED_WAIT_SECONDS = 30.0


@dataclass
class ReconcileReport:
    """What was done, counted by what it was; `errors` are sentences about what could not be done."""

    done: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def sentence(self) -> str:
        """The report in one sentence."""
        if not self.done and not self.errors:
            return "No message was due, overdue or in doubt."
        told = [f"{count} {what}" for what, count in sorted(self.done.items())]
        return "; ".join([*told, *(error.rstrip(".") for error in self.errors)]) + "."


@dataclass(frozen=True)
class Waiting:
    """What reconciliation would do now: attempts past their deadline, and messages that are due."""

    overdue: int
    due: int


def waiting(db: Database) -> Waiting:
    """What is there to do. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        overdue, due = store.waiting(tx, sends_enabled=flags.is_on(tx, SENDS_ENABLED))
    return Waiting(overdue, due)


def reconcile(
    db: Database, *, by: str, limits: Limits = _DEFAULT_LIMITS, budget_seconds: float = 60.0
) -> ReconcileReport:
    """Settle everything that is due, for at most about `budget_seconds` plus one send. Raises DatabaseUnavailable."""
    report = ReconcileReport()
    until = time.monotonic() + budget_seconds
    settle(db, report, by=by, limits=limits)
    turn = _Turn(db, report, by, limits, until)
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="reconcile") as workers:
        for ended in [workers.submit(turn.work) for _ in range(_WORKERS)]:
            ended.result()
    return report


def settle(db: Database, report: ReconcileReport, *, by: str, limits: Limits = _DEFAULT_LIMITS) -> None:
    """What needs no provider: overdue attempts become doubts, evidence ends them, dead jobs give their messages up."""
    with db.begin() as tx:
        for message in store.overdue(tx, limit=limits.send_batch):
            _to_unknown(tx, message)
            report.done["attempts past their deadline are in doubt"] += 1
        for message, sent_at, via in store.proven(tx, limit=limits.send_batch):
            reason = f"the provider has it (known by {via})"
            if evidence.adopt(tx, message.outbound_message_id, sent_at=sent_at, reason=reason, decided_by=by):
                report.done["doubts were ended by evidence"] += 1
        for message, job_state in store.abandoned(tx, limit=limits.send_batch):
            cancelled = job_state == "CANCELLED"
            reason = "its job was cancelled first" if cancelled else "its job died before it could be tried"
            state = "CANCELLED" if cancelled else "NEEDS_HUMAN"
            if outbound.decide(tx, message, state=state, reason=reason, decided_by=by):
                report.done[f"messages of ended jobs are {state}"] += 1


def _to_unknown(tx: Tx, message: Message) -> None:
    error = "nobody wrote down how it ended; its sender may have died in the middle"
    number, epoch = message.outbound_message_id, message.epoch
    outbound.end_attempt(
        tx,
        outbound_message_id=number,
        epoch=epoch,
        outcome=SendOutcome.AMBIGUOUS,
        error_class="deadline",
        error=error,
    )
    reason = f"the attempt ran past its deadline: {error}"
    outbound.finish(tx, outbound_message_id=number, epoch=epoch, state="UNKNOWN", reason=reason, wait=0.0)


def decide(db: Database, outbound_message_id: int, *, to: OutboundState, who: str, why: str) -> OutboundState:
    """A person ends a doubt: SENT (it arrived), READY (it did not; send it), CANCELLED (it shall not be sent).

    READY messages can be cancelled too. Raises InvalidInput for anything else, and without a name and a reason.
    """
    for name, text in (("who", who), ("why", why)):
        if not text.strip():
            raise InvalidInput(name, text, "Say who decides and why; both are kept.")
    with db.begin() as tx:
        message = outbound.get(tx, outbound_message_id)
        if message is None:
            raise InvalidInput("message", outbound_message_id, "There is no such message; see `queue-pipeline sends`.")
        allowed = {
            OutboundState.NEEDS_HUMAN: {OutboundState.SENT, OutboundState.READY, OutboundState.CANCELLED},
            OutboundState.READY: {OutboundState.CANCELLED},
        }
        if to not in allowed.get(OutboundState(message.state), set()):
            raise InvalidInput(
                "message",
                outbound_message_id,
                f"It is {message.state}, and a person cannot make that {to}. People decide about NEEDS_HUMAN, and may "
                "cancel READY.",
            )
        if not outbound.decide(tx, message, state=to, reason=why.strip(), decided_by=who.strip()):
            raise InvalidInput("message", outbound_message_id, "It moved just now; look at it again.")
    return to


@dataclass(frozen=True)
class _Turn:
    """One reconciliation, shared by its workers."""

    db: Database
    report: ReconcileReport
    by: str
    limits: Limits
    until: float

    def work(self) -> None:
        """Take one due message after the other; what was read of it is acted on while it is fresh."""
        while time.monotonic() < self.until:
            with self.db.begin() as tx:
                enabled = flags.is_on(tx, SENDS_ENABLED)
                taken = store.take_due(tx, limit=1, hold_seconds=_HOLD_SECONDS, sends_enabled=enabled)
            if not taken:
                return
            self._count(self._guarded(taken[0], may_send=enabled))

    def _guarded(self, due: DueMessage, *, may_send: bool) -> str:
        number = due.message.outbound_message_id
        try:
            return _act(self.db, due, self.by, self.limits, may_send=may_send)
        except QueuePipelineError as error:
            self.report.errors.append(f"message {number}: {error}")
        except Exception as error:  # noqa: BLE001 - one message must not hold up the others
            log.error("message %s could not be reconciled: %s", number, where_it_failed(error))  # noqa: TRY400 - its words may hold a text
            self.report.errors.append(f"message {number}: {type(error).__name__}")
        return "could not be settled"

    def _count(self, what: str) -> None:
        with self.report.lock:
            self.report.done[what] += 1


def _act(db: Database, due: DueMessage, by: str, limits: Limits, *, may_send: bool) -> str:
    try:
        provider = carrier(db, due.message)
    except InvalidInput:
        if due.age >= limits.send_human_seconds:
            _ask_human(db, due, by, f"nobody has the account of provider {due.message.provider} that it belongs to")
        else:
            _look_again(db, due, _NO_PROVIDER_WAIT_SECONDS)
        raise
    exhausted = due.message.tries >= limits.send_attempts_max
    if due.message.state == OutboundState.READY:
        if exhausted:
            return _ask_human(db, due, by, f"it was tried {due.message.tries} times and never left")
        return _try(db, due, by, limits)
    doubt = Doubt(due.since_deadline, due.unknown_for, due.key_age)
    step, wait = resolve(doubt, provider.capabilities, limits, may_send=may_send)
    if step is Step.WAIT:
        _look_again(db, due, wait)
        return "doubts wait for their time"
    if step is Step.RETRY_SAME_KEY and not exhausted:
        return _try(db, due, by, limits)
    if step is Step.LOOK_UP:
        return _look_up(db, due, provider, by, limits)
    return _ask_human(db, due, by, _why_human(due, limits))


def _try(db: Database, due: DueMessage, by: str, limits: Limits) -> str:
    message = attempt(db, due.message, limits=limits, by=by)
    return "moved meanwhile" if message is None else f"messages were tried and are {message.state}"


def _look_up(db: Database, due: DueMessage, provider: SendProvider, by: str, limits: Limits) -> str:
    message = due.message
    seconds = limits.send_deadline_seconds - limits.send_margin_seconds
    reply = provider.lookup(message.idempotency_key, seconds=seconds)
    if reply.found is None:
        _look_again(db, due, _LOOKUP_FAILED_WAIT_SECONDS)
        return "providers could not be asked"
    with db.begin() as tx:
        if reply.found:
            keep_acceptance(tx, message, reply.provider_message_id or message.idempotency_key, via="lookup")
            reason = "the provider has it (known by lookup)"
            evidence.adopt(tx, message.outbound_message_id, sent_at=None, reason=reason, decided_by=by)
            return "doubts were ended by lookup: sent"
        reason = "the provider does not have it, and nothing can be in transit any more"
        moved = outbound.decide(tx, message, state="READY", reason=reason, decided_by=by)
    return "doubts were ended by lookup: not sent, to be tried again" if moved else "moved meanwhile"


def _ask_human(db: Database, due: DueMessage, by: str, why: str) -> str:
    with db.begin() as tx:
        moved = outbound.decide(tx, due.message, state="NEEDS_HUMAN", reason=why, decided_by=by)
    return "messages need a person" if moved else "moved meanwhile"


def _why_human(due: DueMessage, limits: Limits) -> str:
    if due.message.tries >= limits.send_attempts_max:
        return f"it was tried {due.message.tries} times and may have left; ask the provider whether it arrived"
    if due.unknown_for >= limits.send_human_seconds:
        return f"in doubt for {due.unknown_for / 60:.0f} minutes; ask the provider or the customer whether it arrived"
    return "it may have left, and the provider can neither be asked nor recognise it; ask whether it arrived"


def _look_again(db: Database, due: DueMessage, wait: float) -> None:
    with db.begin() as tx:
        store.look_again(tx, due.message, wait=wait)
