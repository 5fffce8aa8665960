"""Keep the book of leads: who wrote, what was drafted, what people must do, how each message ended."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from queue_pipeline.domain.flag import DRAFTS_AUTO_SEND
from queue_pipeline.engine import flags
from queue_pipeline.store import draft as drafts
from queue_pipeline.store import lead as store
from queue_pipeline.store import lead_task
from queue_pipeline.store.session import Database, Tx

_THREAD_TURNS = 10
_THREAD_LENGTH = 10_000
AUTOMATIC = "auto-send"


class LeadBook:
    """The book of leads in the queue's own database. Every entry may be made again without harm."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def now(self) -> datetime:
        """The instant by the database's clock."""
        with self._database.begin() as tx:
            return store.database_time(tx)

    def auto_send(self, *, workspace: str) -> bool:
        """Whether a workspace's drafts that passed every gate may leave without a review (flag `drafts.auto_send`)."""
        with self._database.begin() as tx:
            return flags.is_on(tx, DRAFTS_AUTO_SEND, workspace=workspace)

    def remember(self, *, workspace: str, job_id: int, address: str, name: str | None) -> dict[str, Any]:
        """Know this person from now on; gives `lead_id`, `opted_out`, `phone_known`, and `wrote_before` this job."""
        with self._database.begin() as tx:
            return store.remember(tx, workspace=workspace, job_id=job_id, address=address, name=name)

    def opt_out(self, *, lead_id: int) -> None:
        """Note that this person wants no messages."""
        with self._database.begin() as tx:
            store.opt_out(tx, lead_id=lead_id)

    def note_phone(self, *, lead_id: int, phone: str) -> None:
        """Note the telephone number that this person named."""
        with self._database.begin() as tx:
            store.note_phone(tx, lead_id=lead_id, phone=phone)

    def thread(self, *, lead_id: int, before_job_id: int) -> list[dict[str, Any]]:
        """The latest turns before a message, oldest first: `author` (`lead` or `us`), `body`, `at`."""
        with self._database.begin() as tx:
            return store.thread(tx, lead_id=lead_id, job_id=before_job_id, limit=_THREAD_TURNS, length=_THREAD_LENGTH)

    def save_draft(self, **draft: Any) -> int:
        """Keep a draft for review; gives its id."""
        with self._database.begin() as tx:
            return drafts.save(tx, **draft)

    def add_task(
        self,
        *,
        workspace: str,
        job_id: int,
        lead_id: int | None,
        kind: str,
        why: str,
        due_at: datetime | None,
        notice: str,
    ) -> int:
        """Leave a task for people together with the notification that asks for it; gives its id."""
        with self._database.begin() as tx:
            task_id = lead_task.add(
                tx, workspace=workspace, lead_id=lead_id, job_id=job_id, kind=kind, why=why, due_at=due_at
            )
            store.notify(
                tx,
                workspace=workspace,
                job_id=job_id,
                dedupe_key=f"lead:{job_id}:task:{kind}",
                text=notice,
                kind="action",
            )
            return task_id

    def conclude(
        self,
        *,
        workspace: str,
        job_id: int,
        lead_id: int | None,
        outcome: str,
        code: str,
        reason: str,
        draft_id: int | None,
        notice: str | None,
        kind: str = "outcome",
    ) -> None:
        """Record once how the message ended, with its notification; does nothing for a job that is not running.

        Without a notice somebody else will tell: the ledger, when a promised send has ended.
        """
        with self._database.begin() as tx:
            recorded = store.conclude(
                tx, job_id=job_id, lead_id=lead_id, outcome=outcome, code=code, reason=reason, draft_id=draft_id
            )
            if recorded and notice is not None:
                key = f"lead:{job_id}:{outcome}"
                if kind == "skip":
                    key = f"draft_skip:{workspace}:{lead_id or 'unknown'}:{job_id}:{code}"
                store.notify(tx, workspace=workspace, job_id=job_id, dedupe_key=key, text=notice, kind=kind)

    def release(self, *, draft_id: int) -> None:
        """Note that a draft is sent without a review."""
        with self._database.begin() as tx:
            drafts.decide(
                tx,
                draft_id,
                from_state="FOR_REVIEW",
                to_state="APPROVED",
                who=AUTOMATIC,
                decision="passed every gate",
            )

    def settle(self, *, workspace: str, job_id: int, draft_id: int, state: str, reason: str, notice: str) -> None:
        """Note how a send stands that was promised as the outcome. Whatever the ledger recorded already stays."""
        ended = {"SENT": "sent", "CANCELLED": "skipped", "REJECTED": "needs_action", "NEEDS_HUMAN": "needs_action"}
        kinds = {"SENT": "outcome", "CANCELLED": "skip", "REJECTED": "failure", "NEEDS_HUMAN": "failure"}
        with self._database.begin() as tx:
            changed = store.change_outcome(
                tx,
                draft_id=draft_id,
                from_outcomes=["sending", "drafted_for_review"],
                outcome=ended.get(state, "sending"),
                code=f"send_{state.lower()}",
                reason=reason,
            )
            if changed:
                store.notify(
                    tx,
                    workspace=workspace,
                    job_id=job_id,
                    dedupe_key=f"lead:{job_id}:send:{state}",
                    text=notice,
                    kind=kinds.get(state, "outcome"),
                )

    def draft(self, *, draft_id: int) -> dict[str, Any] | None:
        """A draft as it stands, with the address that it is for; None when there is none."""
        with self._database.begin() as tx:
            found = drafts.get(tx, draft_id)
        return None if found is None else dict(vars(found))

    def message_of(self, *, job_id: int) -> Any | None:
        """The payload of a message's job; None once it was pruned."""
        with self._database.begin() as tx:
            return store.message_of(tx, job_id)

    def back_to_review(
        self, *, draft_id: int, findings: Sequence[Mapping[str, Any]], code: str, reason: str, notice: str, key: str
    ) -> None:
        """Give an approved draft back to the reviewers and tell them why; does nothing once its message exists."""
        with self._database.begin() as tx:
            found = drafts.get(tx, draft_id)
            if found is None or drafts.back_to_review(tx, draft_id, findings=findings) is None:
                return
            _reopen(tx, draft_id, code, reason)
            store.notify(tx, workspace=found.workspace, job_id=found.job_id, dedupe_key=key, text=notice, kind="action")


def _reopen(tx: Tx, draft_id: int, code: str, reason: str) -> None:
    store.change_outcome(
        tx,
        draft_id=draft_id,
        from_outcomes=["sending", "needs_action"],
        outcome="drafted_for_review",
        code=code,
        reason=reason,
    )


def lead_flow(database: Database, *, limit: int) -> list[store.LeadStep]:
    """The latest inbound messages and how far each has come: what needs a person first. Raises DatabaseUnavailable."""
    with database.begin() as tx:
        return store.flow(tx, limit=limit)
