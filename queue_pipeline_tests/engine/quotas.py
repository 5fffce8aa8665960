"""A workspace that the rules watch, with planted minutes, and its clock turned forward by hand."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

from queue_pipeline.engine import workspace as engine
from queue_pipeline.engine.quota import tick
from queue_pipeline.engine.workspace import WorkspaceDetail
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.planted import planting
from queue_pipeline_tests.waiting import eventually

WORKSPACE = "acme"
WHO: dict[str, Any] = {"who": "olga", "why": "a large customer", "shards": 1}
#: What moves into the past when time passes.
_TIMES = {
    "workspace_quota": ("judged_since", "duplicates_since"),
    "quota_escalation": ("started_at", "expires_at", "ended_at"),
    "quota_decision": ("decided_at",),
    "job": ("run_at", "first_due_at", "claimed_at", "finished_at"),
    "job_attempt": ("due_at", "claimed_at", "finished_at"),
    "provider_message": ("first_seen_at", "sent_at"),
}


class Watched:
    """One database, one workspace."""

    def __init__(self, db: Database) -> None:
        self.db = db
        eventually(self._is_far_from_a_quarter, within=30, what="a quarter of an hour to begin")

    def _is_far_from_a_quarter(self) -> bool:
        """Windows are those of the clock: none may begin between what a test plants and its look."""
        ((left,),) = self.run(
            "SELECT extract(epoch FROM date_bin('15 minutes', now(), 'epoch') + interval '15 minutes' - now())"
        )
        return float(left) > 8

    def run(self, sql: str) -> list[Any]:
        """The rows of one statement."""
        with self.db.begin() as tx:
            result = tx.exec_driver_sql(sql)
            return list(result.fetchall()) if result.returns_rows else []

    def eligible(self, workspace: str = WORKSPACE) -> WorkspaceDetail:
        """Since three hours ago."""
        found = engine.set_eligible(self.db, workspace, True, **WHO)
        self.run(
            "UPDATE workspace_quota SET judged_since = judged_since - interval '3 hours',"
            f" duplicates_since = duplicates_since - interval '3 hours' WHERE workspace = '{workspace}'"
        )
        return found

    def promoted(self, workspace: str = WORKSPACE) -> None:
        """As the rules leave it."""
        self.eligible(workspace)
        self.run(
            f"UPDATE workspace_quota SET tier = 'promoted', rule_code = 'promoted' WHERE workspace = '{workspace}'"
        )
        self.run(f"UPDATE workspace_lane SET quota = 100 WHERE workspace = '{workspace}'")

    def minutes(
        self, *, since: int, until: int = 0, grid: int = 30, workspace: str = WORKSPACE, **changes: float
    ) -> None:
        """A sample of each minute from `since` to `until` minutes before the running window of `grid` minutes began."""
        values = {"oldest_due_age_seconds": 1.0, "finished": 10, "failed": 0, "duplicates": 0, "sessions": 10,
                  "lock_waiting": 0, "deadlocks": 0, **changes}  # fmt: skip
        names, numbers = ", ".join(values), ", ".join(str(value) for value in values.values())
        self.run(
            f"INSERT INTO workspace_sample (workspace, sampled_at, {names})"
            f" SELECT '{workspace}', date_bin('{grid} minutes', now(), 'epoch') - n * interval '1 minute' + interval '5 s', {numbers}"
            f" FROM generate_series({until + 1}, {since}) n ON CONFLICT (workspace, sampled_at) DO UPDATE SET"
            f" ({names}) = ROW ({numbers})"
        )

    def sent_twice(self, workspace: str = WORKSPACE, *, echo: bool = False) -> None:
        """A message that its provider has two of, heard of just now; the second by its link, or by the key alone."""
        with planting(self.db) as planted:
            row = planted.connection.execute("SELECT clock_timestamp()").fetchone()
            assert row is not None
            key = token_hex(32)
            message = planted.message(workspace=workspace, idempotency_key=key, trigger_key=f"planted:{key}")
            planted.evidence(message, at=row[0], workspace=workspace, provider_message_id=token_hex(8))
            second: dict[str, Any] = {"of": None, "idempotency_key": key} if echo else {"of": message}
            planted.evidence(at=row[0], workspace=workspace, provider_message_id=token_hex(8), **second)

    def tick(self) -> list[str]:
        """Look once; what was said."""
        return list(tick(self.db).said)

    def next_minute(self) -> list[str]:
        """Look again in the next minute."""
        self.pass_time(60)
        return self.tick()

    def pass_time(self, seconds: float) -> None:
        """As if so many seconds had gone by."""
        with self.db.begin() as tx:
            tx.exec_driver_sql("SET LOCAL session_replication_role = replica")  # without triggers: history moves too
            for table, columns in _TIMES.items():
                moves = ", ".join(f"{name} = {name} - interval '{seconds} s'" for name in columns)
                tx.exec_driver_sql(f"UPDATE {table} SET {moves}")
            for step in ("- interval '100 years'", f"+ interval '100 years' - interval '{seconds} s'"):
                tx.exec_driver_sql(f"UPDATE workspace_sample SET sampled_at = sampled_at {step}")

    def quota(self, workspace: str = WORKSPACE) -> int:
        """The one in force."""
        ((quota,),) = self.run(f"SELECT quota FROM workspace_lane WHERE workspace = '{workspace}'")
        return int(quota)

    def reasons(self, workspace: str = WORKSPACE) -> list[str]:
        """The reason codes of all decisions, oldest first."""
        rows = self.run(
            f"SELECT reason_code FROM quota_decision WHERE workspace = '{workspace}' ORDER BY quota_decision_id"
        )
        return [row[0] for row in rows]

    def latest(self) -> dict[str, Any]:
        """The latest decision."""
        with self.db.begin() as tx:
            row = tx.exec_driver_sql("SELECT * FROM quota_decision ORDER BY quota_decision_id DESC LIMIT 1").one()
            return dict(row._mapping)
