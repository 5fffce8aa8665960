"""What a handler gets to see of its job, and what it may do under the job's claim."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.outcome import Cancel
from queue_pipeline.engine.execution import Execution
from queue_pipeline.engine.send import NewMessage, Sent, send_message
from queue_pipeline.store import handler_state
from queue_pipeline.store.session import Database

_DEFAULT_LIMITS = Limits()


class ClaimLost(Exception):
    """The job's claim is gone: it was recovered, timed out or cancelled. Let it pass; nothing more can be written."""


class JobContext:
    """Handed to every handler. All its writes are conditional on the job's claim."""

    def __init__(
        self, database: Database, execution: Execution, may_write: Callable[[], bool], limits: Limits = _DEFAULT_LIMITS
    ) -> None:
        self._database = database
        self._execution = execution
        self._may_write = may_write
        self._limits = limits
        self._memo: dict[str, Any] | None = None

    @property
    def job_id(self) -> int:
        """The job's id."""
        return self._execution.claim.job_id

    @property
    def kind(self) -> str:
        """The job's kind."""
        return self._execution.claim.kind

    @property
    def workspace(self) -> str:
        """The workspace (tenant) that the job belongs to."""
        return self._execution.claim.workspace

    @property
    def attempt(self) -> int:
        """Which attempt this is, counting from 1."""
        return self._execution.claim.attempt

    @property
    def max_attempts(self) -> int:
        """After this many attempts the job is a dead letter."""
        return self._execution.claim.max_attempts

    @property
    def deadline(self) -> datetime:
        """When the claim is revoked, by the database's clock (aware)."""
        return self._execution.claim.deadline_at

    @property
    def first_due_at(self) -> datetime:
        """When the job first became due, by the database's clock (aware)."""
        return self._execution.claim.first_due_at

    def seconds_left(self) -> float:
        """Seconds until the deadline, on this process's monotonic clock."""
        return self._execution.deadline - time.monotonic()

    def progress(self, text: str) -> None:
        """Say how far the work is; operators see the last text while the job runs, and where it died."""
        self._execution.progress = str(text)[:500]
        self._execution.progress_at = time.monotonic()

    def cancelled(self) -> bool:
        """Whether the job should stop: it was cancelled, ran past its deadline, or its claim is gone."""
        return self._execution.cancel.is_set() or not self._may_write()

    def check(self) -> None:
        """Raise Cancel when the job was asked to stop, ClaimLost when its claim is gone."""
        if self._execution.abandoned or not self._may_write():
            raise ClaimLost(f"The claim on job {self.job_id} is gone.")
        if self._execution.cancel.is_set():
            raise Cancel("cancelled while running")

    def step(self, name: str, fn: Callable[[], Any]) -> Any:
        """Run `fn` once per job: its result (any JSON value) is stored, and later attempts get it back.

        Raises InvalidInput when the result is not JSON, ClaimLost when the claim is gone.
        """
        memo = self._memo_of_earlier_attempts()
        if name in memo:
            return memo[name]
        self.check()
        outer, self._execution.step = self._execution.step, name
        result = fn()
        try:
            text = json.dumps(result, allow_nan=False, ensure_ascii=False)
            text.encode("utf-8")  # a lone surrogate is no Unicode
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"step {name!r}", type(result).__name__, f"A step returns JSON values ({error})."
            ) from None
        if "\\u0000" in text:
            raise InvalidInput(f"step {name!r}", "a NUL character", "PostgreSQL cannot store it; remove it.")
        with self._database.begin() as tx:
            stored = handler_state.store_step(
                tx, job_id=self.job_id, fence=self._execution.claim.fence, name=name, result_json=text
            )
        if not stored:
            raise ClaimLost(f"The claim on job {self.job_id} was gone when step {name!r} ended.")
        memo[name] = json.loads(text)
        self._execution.step = outer
        return memo[name]

    def send(
        self,
        *,
        channel: str,
        to: str,
        body: str,
        purpose: str,
        provider: str | None = None,
        part: int = 0,
        subject: str = "",
        trigger: str | None = None,
        lead_id: int | None = None,
        draft_id: int | None = None,
        in_reply_to: str | None = None,
    ) -> Sent:
        """Send a customer-visible message once per trigger, channel, purpose and part, whatever dies in between.

        `trigger` says what the message answers; two jobs that name the same one send one message. It defaults to this
        job. The answer says how the message stands; one that could not leave now, or is in doubt, is taken to its end
        outside this job. Calling it again returns the message that exists. Raises InvalidInput for an unknown provider
        or another content under the same key, ClaimLost when the claim is gone.
        """
        self.check()
        new = NewMessage(
            channel=channel,
            to=to,
            body=body,
            purpose=purpose,
            provider=provider,
            part=part,
            subject=subject,
            trigger=trigger,
            lead_id=lead_id,
            draft_id=draft_id,
            in_reply_to=in_reply_to,
        )
        sent = send_message(self._database, self._execution.claim, new, self._limits)
        if sent is None:
            raise ClaimLost(f"The claim on job {self.job_id} was gone; nothing was sent.")
        return sent

    def _memo_of_earlier_attempts(self) -> dict[str, Any]:
        if self._memo is None:
            with self._database.begin() as tx:
                self._memo = handler_state.steps_of(tx, self.job_id)
        return self._memo
