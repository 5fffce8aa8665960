"""What a queue has on record about one job, written row by row, so that a trace has something to explain.

Times are seconds since an hour ago.
"""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.session import Database

ADDRESS = "ada@example.com"
MESSAGE_ID = "<1@example.com>"
SHARD = "shard-01"


class Records:
    """Rows of one database. Each method writes one and gives its id."""

    def __init__(self, db: Database) -> None:
        self.db = db
        with db.begin() as tx:
            now: datetime = tx.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        self.start = now - timedelta(hours=1)
        self.fence = 1_000_000

    def at(self, seconds: float | None) -> datetime | None:
        """So many seconds after the beginning."""
        return None if seconds is None else self.start + timedelta(seconds=seconds)

    def write(self, table: str, returning: str, **values: Any) -> Any:
        """Insert one row."""
        names = ", ".join(values)
        places = ", ".join(
            f"CAST(:{name} AS jsonb)" if name in ("payload", "findings") else f":{name}" for name in values
        )
        with self.db.begin() as tx:
            statement = sa.text(f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING {returning}")
            return tx.execute(statement, values).scalar_one()

    def lane(self, workspace: str = "acme", quota: int = 64) -> None:
        """The workspace lies in the shard."""
        self.write("workspace_lane", "workspace", workspace=workspace, shard=SHARD, quota=quota)

    def job(
        self,
        state: str = "SUCCEEDED",
        *,
        created: float = 0,
        due: float | None = None,
        ended: float | None = None,
        **values: Any,
    ) -> int:
        """A job, created and due at the beginning."""
        due_at = self.at(created if due is None else due)
        given = {"kind": "lead.inbound", "workspace": "acme", "attempt": 1, "payload": "{}", **values}
        return int(
            self.write(
                "job", "job_id", state=state, created_at=self.at(created), run_at=due_at, first_due_at=due_at,
                finished_at=self.at(ended), **given,
            )
        )  # fmt: skip

    def run(
        self,
        started: float,
        ended: float | None = None,
        reason: str | None = None,
        *,
        heartbeat: float | None = None,
        **values: Any,
    ) -> int:
        """A function run of the shard; without an end it lives and its lease is long."""
        self.fence += 1
        beat = self.at(3600.0 if heartbeat is None and ended is None else heartbeat if heartbeat is not None else ended)
        state = (
            "RUNNING" if ended is None else "RECOVERED" if reason in ("dead", "lease_expired", "stale") else "SUCCEEDED"
        )
        given = {"progress_at": beat, "lease_until": self.at(7200), **values}
        return int(
            self.write(
                "function_run", "function_run_id", shard=SHARD, host="nowhere.example", pid=7, fence=self.fence, state=state,
                started_at=self.at(started), ended_at=self.at(ended), end_reason=reason, heartbeat_at=beat, **given,
            )
        )  # fmt: skip

    def recovered(self, run_id: int, at: float, signal: str, by: str = "drain of shard-02") -> None:
        """Somebody recovered a function run."""
        self.write(
            "recovery_decision", "decision_id", decided_at=self.at(at), swept_by=by, signal=signal, function_run_id=run_id,
            detail=f"Function run {run_id} is {signal}. 1 jobs given back, 0 dead letters.",
        )  # fmt: skip

    def window(self, key: str, source: str, opened: float, taken: float, run_id: int) -> None:
        """A window that a function run took."""
        self.write(
            "dispatch_window", "window_id", dispatch_key=key, shard=SHARD, source=source, state="DRAINING",
            opened_at=self.at(opened), launch_by=self.at(opened + 45), taken_at=self.at(taken), function_run_id=run_id,
        )  # fmt: skip

    def attempt(
        self,
        job_id: int,
        run_id: int,
        claimed: float,
        ended: float,
        outcome: str = "SUCCEEDED",
        *,
        due: float = 0,
        **values: Any,
    ) -> None:
        """An ended attempt; a lost one has no start on record."""
        self.fence += 1
        started = None if outcome == "LOST" else self.at(claimed)
        given = {"attempt": 1, **values}
        self.write(
            "job_attempt", "job_id", job_id=job_id, function_run_id=run_id, fence=self.fence, due_at=self.at(due),
            claimed_at=self.at(claimed), started_at=started, finished_at=self.at(ended), outcome=outcome, **given,
        )  # fmt: skip

    def lead(self, job_id: int, *, accepted: float = 0, workspace: str = "acme", key: str = MESSAGE_ID) -> int:
        """A lead wrote, and the job is about it; the same lead for the same workspace."""
        with self.db.begin() as tx:
            statement = sa.text(
                "INSERT INTO lead (workspace, address) VALUES (:workspace, :address)"
                " ON CONFLICT (workspace, address) DO UPDATE SET name = lead.name RETURNING lead_id"
            )
            lead_id = int(tx.execute(statement, {"workspace": workspace, "address": ADDRESS}).scalar_one())
        self.write(
            "inbound_event", "inbound_event_id", workspace=workspace, provider="test", dedupe_key=key, provider_event_id=key,
            payload_sha256="0" * 64, lead_address=ADDRESS, accepted_at=self.at(accepted), job_id=job_id,
        )  # fmt: skip
        return lead_id

    def outcome(
        self, job_id: int, lead_id: int, outcome: str, at: float, *, code: str, reason: str = "so it was decided"
    ) -> None:
        """How the lead's message ended."""
        self.write(
            "lead_outcome", "job_id", job_id=job_id, workspace="acme", lead_id=lead_id, outcome=outcome, code=code, reason=reason,
            recorded_at=self.at(at),
        )  # fmt: skip

    def draft(self, job_id: int, lead_id: int, at: float, state: str = "FOR_REVIEW", **values: Any) -> int:
        """A draft of a reply."""
        return int(
            self.write(
                "draft", "draft_id", workspace="acme", lead_id=lead_id, job_id=job_id, channel="email", subject="Re:",
                body="Hello Ada", drafter="template", state=state, created_at=self.at(at), **values,
            )
        )  # fmt: skip

    def message(
        self,
        job_id: int,
        lead_id: int,
        state: str,
        reserved: float,
        updated: float,
        *,
        sent: float | None = None,
        **values: Any,
    ) -> int:
        """A message to the lead."""
        given = {"purpose": "reply", "provider": "http", "account": "test", **values}
        return int(
            self.write(
                "outbound_message", "outbound_message_id", workspace="acme", job_id=job_id, lead_id=lead_id, channel="email",
                recipient=ADDRESS, body="Hello Ada", trigger_key=f"lead:{job_id}", idempotency_key=f"key-{job_id}-{reserved}",
                payload_sha256="0" * 64, state=state, created_at=self.at(reserved), updated_at=self.at(updated),
                sent_at=self.at(sent), **given,
            )
        )  # fmt: skip

    def send_attempt(
        self, message_id: int, number: int, started: float, ended: float | None, outcome: str | None, **values: Any
    ) -> None:
        """One try to hand a message to its provider."""
        self.write(
            "send_attempt", "attempt", outbound_message_id=message_id, attempt=number, epoch=number, sender="test",
            started_at=self.at(started), deadline_at=self.at(started + 20), request_sha256="0" * 64, idempotency_key="key",
            finished_at=self.at(ended), outcome=outcome, **values,
        )  # fmt: skip

    def notification(self, job_id: int, created: float, delivered: float | None, **values: Any) -> None:
        """People are told."""
        given = {"text": "acme: it ended", "kind": "outcome", "sink": None if delivered is None else "slack", **values}
        self.write(
            "notification", "notification_id", workspace="acme", job_id=job_id, dedupe_key=f"{job_id}-{created}",
            created_at=self.at(created), delivered_at=self.at(delivered), **given,
        )  # fmt: skip

    def flip(self, value: str, at: float, flag: str = "sends.enabled") -> None:
        """Somebody flips a switch."""
        other = "off" if value == "on" else "on"
        self.write(
            "control_event", "control_event_id", flag=flag, from_value=other, to_value=value, who="mia", why="wrong texts",
            changed_at=self.at(at),
        )  # fmt: skip
