"""A queue in trouble, and the clock of its incidents turned forward by hand."""

from __future__ import annotations

from typing import Any

from queue_pipeline.engine.alert import Alerting, AlertTurn, turn
from queue_pipeline.integrations.console import ConsoleSink
from queue_pipeline.integrations.slack import SlackSink
from queue_pipeline.store.session import Database
from queue_pipeline_tests.integrations.slack_server import CHANNEL, TOKEN, SlackServer
from queue_pipeline_tests.store.rows import a_function_run, a_job

#: Every time of every incident; moved into the past together, as if so much time had gone by.
_TIMES = (
    "opened_at", "fired_at", "last_seen_at", "healthy_since", "next_repeat_at", "updated_at", "posting_until",
    "next_post_at",
)  # fmt: skip


class Trouble:
    """Makes things wrong and right again on a database, and lets time pass in it."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.run("INSERT INTO sweep_mark (swept_at, swept_by) VALUES (now(), 'test')")
        self.sample(0.0)

    def run(self, sql: str) -> list[Any]:
        with self.db.begin() as tx:
            result = tx.exec_driver_sql(sql)
            return list(result.fetchall()) if result.returns_rows else []

    def sample(self, age: float, *, seconds_ago: float = 0.0) -> None:
        """One health sample, so long ago, with this queue age."""
        self.run(
            "INSERT INTO health_sample (sampled_at, pending_due, scheduled, running, dead, oldest_due_age_seconds,"
            " stale_function_runs, orphaned_windows, late_writes_refused, started_jobs, finished_jobs, verdict)"
            f" VALUES (clock_timestamp() - interval '{seconds_ago} s', 0, 0, 0, 0, {age}, 0, 0, 0, 0, 0, 'pass')"
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

    def end_runs(self) -> None:
        self.run(
            "UPDATE function_run SET state = 'RECOVERED', ended_at = now(), end_reason = 'stale' WHERE state = 'RUNNING'"
        )

    def due_job(self, age: float) -> int:
        """A pending job that has been due for so many seconds."""
        with self.db.direct() as connection:
            job = a_job(connection)
        self.run(
            f"UPDATE job SET first_due_at = now() - interval '{age} s', run_at = now() - interval '{age} s' WHERE job_id = {job}"
        )
        return job

    def no_due_job(self) -> None:
        self.run("UPDATE job SET state = 'CANCELLED', finished_at = now() WHERE state = 'PENDING'")

    def pass_time(self, seconds: float, *, evaluated: bool = True) -> None:
        """As if so many seconds had gone by, in which alerts were evaluated all along (or not)."""
        moves = ", ".join(f"{name} = {name} - interval '{seconds} s'" for name in _TIMES)
        self.run(f"UPDATE alert_incident SET {moves}")
        self.run(
            f"UPDATE notification SET next_post_at = next_post_at - interval '{seconds} s', posting_until = posting_until - interval '{seconds} s'"
        )
        if not evaluated:
            self.run(f"UPDATE alert_mark SET evaluated_at = evaluated_at - interval '{seconds} s'")

    def incidents(self) -> list[tuple[str, int, str]]:
        """Kind, generation and status, oldest first."""
        rows = self.run("SELECT kind, generation, status FROM alert_incident ORDER BY incident_id")
        return [(row[0], row[1], row[2]) for row in rows]


def alerting_to(slack: SlackServer, **changes: Any) -> Alerting:
    """Alerts of the environment `test` to this Slack."""
    sink = SlackSink(TOKEN, CHANNEL, slack.url)
    return Alerting(environment="test", sink=sink, fallback=ConsoleSink(), **changes)


def tick(db: Database, alerting: Alerting, *, by: str = "test", seconds: float = 8.0) -> AlertTurn:
    """One evaluation and its posts."""
    return turn(db, alerting, by=by, seconds=seconds)
