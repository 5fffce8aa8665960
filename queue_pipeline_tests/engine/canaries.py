"""A canary on a real queue, and its clock turned forward by hand."""

from __future__ import annotations

from typing import Any

from queue_pipeline.domain.canary import CanaryContract, CanaryPlan
from queue_pipeline.engine import canary
from queue_pipeline.engine.canary_tick import tick
from queue_pipeline.store.canary import Canary
from queue_pipeline.store.session import Database
from queue_pipeline_tests.store.rows import a_function_run

#: Everything that a test would have to wait for, but the demands of the verdict.
SHORT = CanaryContract(warm_up_seconds=60, window_seconds=600, samples_min=5, started_min=10)
WHO: dict[str, Any] = {"who": "olga", "why": "try it"}
#: What moves into the past when time passes, besides the samples.
_TIMES = {
    "canary": ("started_at", "watching_since", "held_since"),
    "job": ("run_at", "first_due_at", "claimed_at", "finished_at"),
    "job_attempt": ("due_at", "claimed_at", "finished_at"),
    "recovery_decision": ("decided_at",),
}
INSIDE, OUTSIDE = "canary-team", "control-team"


class Rollout:
    """Starts a canary of one listed workspace, makes things happen in it, and lets time pass."""

    def __init__(self, db: Database) -> None:
        self.db = db
        for workspace in (INSIDE, OUTSIDE):
            self.run(f"INSERT INTO workspace_lane (workspace, shard) VALUES ('{workspace}', 'shard-00')")

    def run(self, sql: str) -> list[Any]:
        """The rows of one statement."""
        with self.db.begin() as tx:
            result = tx.exec_driver_sql(sql)
            return list(result.fetchall()) if result.returns_rows else []

    def start(self, *, contract: CanaryContract = SHORT, **candidate: str) -> Canary:
        """A canary of INSIDE; candidate values by flag with `_` for `.`."""
        values = {name.replace("__", "."): value for name, value in candidate.items()} or {"drafts.auto_send": "on"}
        return canary.start(self.db, CanaryPlan(values, 0.0, (INSIDE,), contract), **WHO)

    def watching(self, **changes: Any) -> Canary:
        """A canary whose window has just begun."""
        self.start(**changes)
        self.tick()
        self.pass_time(61)
        assert any("its warm-up is over" in sentence for sentence in self.tick())
        return self.canary()

    def complete(self, *, jobs: int = 40) -> Canary:
        """A canary whose window is over, with a sample of each minute, and as many good jobs in all."""
        self.watching()
        for minute in range(10):
            self.attempts(jobs // 10 if minute < 9 else jobs - 9 * (jobs // 10))
            self.pass_time(60)
            self.tick()
        self.pass_time(1)
        self.tick()
        return self.canary()

    def tick(self) -> list[str]:
        """Look once; what was said."""
        return list(tick(self.db).said)

    def canary(self) -> Canary:
        """The latest canary."""
        status = canary.status(self.db)
        assert status is not None
        return status.canary

    @property
    def state(self) -> str:
        """Where it is."""
        return self.canary().state

    def pass_time(self, seconds: float) -> None:
        """As if so many seconds had gone by."""
        with self.db.begin() as tx:
            tx.exec_driver_sql("SET LOCAL session_replication_role = replica")  # without triggers: history moves too
            for table, columns in _TIMES.items():
                moves = ", ".join(f"{name} = {name} - interval '{seconds} s'" for name in columns)
                tx.exec_driver_sql(f"UPDATE {table} SET {moves}")
            # Keys are checked row by row, so that neighbours would meet on their way.
            for table in ("canary_sample", "contention_sample"):
                for step in ("- interval '100 years'", f"+ interval '100 years' - interval '{seconds} s'"):
                    tx.exec_driver_sql(f"UPDATE {table} SET sampled_at = sampled_at {step}")

    def attempts(self, count: int, *, failed: int = 0, workspace: str = INSIDE, waited: float = 1.0) -> None:
        """Jobs of a workspace that were claimed and have ended just now."""
        self.run(
            "WITH j AS (INSERT INTO job (kind, workspace, state, attempt, run_at, first_due_at, finished_at, payload)"
            f" SELECT 'demo', '{workspace}', CASE WHEN n <= {failed} THEN 'DEAD' ELSE 'SUCCEEDED' END, 1, now(), now(),"
            f" now(), '{{}}' FROM generate_series(1, {count}) n RETURNING job_id, state)"
            " INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, finished_at, outcome)"
            f" SELECT job_id, 1, nextval('fence_seq'), 1, now() - interval '{waited} s', now(), now(),"
            " CASE state WHEN 'DEAD' THEN 'FAILED' ELSE 'SUCCEEDED' END FROM j"
        )

    def due(self, age: float, *, workspace: str = INSIDE, state: str = "PENDING", count: int = 1) -> None:
        """Jobs that have been due for so many seconds."""
        self.run(
            "INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload)"
            f" SELECT 'demo', '{workspace}', '{state}', t, t, '{{}}' FROM generate_series(1, {count}),"
            f" (SELECT now() - interval '{age} s' AS t) x"
        )

    def stale_run(self) -> int:
        """A function run without progress for 20 minutes, whose heart beats."""
        with self.db.direct() as connection:
            run = a_function_run(connection, shard="shard-00")
        self.run(
            "UPDATE function_run SET progress_at = now() - interval '20 minutes',"
            f" lease_until = now() + interval '1 hour' WHERE function_run_id = {run}"
        )
        return run

    def sent_twice(self, workspace: str = OUTSIDE) -> None:
        """A message that its provider has two of."""
        self.run(
            "WITH m AS (INSERT INTO outbound_message (workspace, job_id, channel, purpose, recipient, body, idempotency_key,"
            f" payload_sha256, provider, trigger_key, state, sent_at) VALUES ('{workspace}', 1, 'email', 'reply',"
            " 'ada@example.com', 'words', 'k1', repeat('0', 64), 'http', 't1', 'SENT', now()) RETURNING outbound_message_id)"
            " INSERT INTO provider_message (provider, account, provider_message_id, outbound_message_id, observed_via)"
            " SELECT 'http', 'main', 'p' || n, outbound_message_id, 'response' FROM m, generate_series(1, 2) n"
        )

    def rollbacks(self) -> list[tuple[str, str]]:
        """Rule and mode of everything that the rules said."""
        return [tuple(row) for row in self.run("SELECT rule, mode FROM rollback ORDER BY rollback_id")]

    def moves(self) -> list[str]:
        """Where the canary went, in order."""
        return [row[0] for row in self.run("SELECT to_state FROM canary_event ORDER BY canary_event_id")]
