"""A canary that went well, with everything that a rollout asks for, planted row by row; and what spoils it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from queue_pipeline.domain.canary import CanaryContract, is_in
from queue_pipeline.engine.evidence_facts import Installation
from queue_pipeline.leads.template_drafter import NAME
from queue_pipeline.store.session import Database, Direct
from queue_pipeline_tests.engine.planted import Planted

SINK = "slack:C0ALERTS"
HERE = Installation("local", SINK, NAME, {"queue-pipeline": "1"})
SHARE = 25.0
#: Minutes ago: the canary was started, its window began, and ended.
_STARTED, _WATCHING, _COMPLETE = 75, 65, 5
_ENDS = f"now() - interval '{_COMPLETE} minutes'"


def png(*_: object) -> bytes:
    """A chart that is quick to draw."""
    return b"a chart"


class Rollout:
    """Plants into one database."""

    def __init__(self, db: Database, connection: Direct, contract: CanaryContract | None = None) -> None:
        self.db = db
        self.connection = connection
        self.planted = Planted(connection)
        self.contract = contract or CanaryContract()
        self.workspaces = [f"team-{number}" for number in range(40)]
        self.canary_id = 0

    def run(self, sql: str, *values: Any) -> Any:
        """One statement; its first column if there is one."""
        cursor = self.connection.execute(sql.encode(), values)
        row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]

    def all_good(self) -> Rollout:
        """Everything as it must be for GO."""
        self.lanes()
        self.canary()
        self.samples()
        self.health()
        self.jobs("canary", 300)
        self.jobs("control", 900)
        self.planted.sent(workspace=self.one_of("canary"))
        self.planted.sent(workspace=self.one_of("control"))
        self.replay()
        self.proofs()
        return self

    def lanes(self) -> None:
        for workspace in self.workspaces:
            self.run("INSERT INTO workspace_lane (workspace, shard) VALUES (%s, 'shard-00')", workspace)

    def one_of(self, cohort: str) -> str:
        """A workspace of the cohort."""
        return next(each for each in self.workspaces if is_in(each, share=SHARE, allow=()) == (cohort == "canary"))

    def canary(self) -> None:
        plan = self.contract
        self.canary_id = self.run(
            "INSERT INTO canary (state, candidate, share, warm_up_seconds, window_seconds, samples_min, started_min, started_at,"
            " started_by, why, watching_since) VALUES ('COMPLETE', '{\"drafts.auto_send\": \"on\"}', %s, %s, %s, %s, %s,"
            f" now() - interval '{_STARTED} minutes', 'olga', 'try it', now() - interval '{_WATCHING} minutes')"
            " RETURNING canary_id",
            SHARE, plan.warm_up_seconds, plan.window_seconds, plan.samples_min, plan.started_min,
        )  # fmt: skip
        moves = [(None, "WARMING", _STARTED), ("WARMING", "WATCHING", _WATCHING), ("WATCHING", "COMPLETE", _COMPLETE)]
        for before, after, ago in moves:
            self.run(
                "INSERT INTO canary_event (canary_id, at, from_state, to_state, who, why)"
                " VALUES (%s, now() - make_interval(mins => %s), %s, %s, 'clock', 'it is time')",
                self.canary_id, ago, before, after,
            )  # fmt: skip

    def samples(self, count: int = 60, *, age: float = 3.0, failed: int = 0, duplicates: int = 0) -> None:
        """One sample of each cohort per minute of the window, and one of the database."""
        begun = self.now() - timedelta(minutes=_WATCHING - 1, seconds=1)
        for minute in range(count):
            at = begun + timedelta(minutes=minute)
            for cohort in ("canary", "control"):
                self.run(
                    "INSERT INTO canary_sample (canary_id, cohort, sampled_at, phase, workspaces, pending_due, oldest_due_age_seconds,"
                    " started_jobs, finished_jobs, failed_jobs, wait_p95_seconds, late_writes_refused, recoveries, duplicate_sends)"
                    " VALUES (%s, %s, %s, 'WATCHING', 10, 1, %s, 5, 5, %s, 1.0, 0, 0, %s)",
                    self.canary_id, cohort, at, age + minute / 60, failed, duplicates,
                )  # fmt: skip
            self.run("INSERT INTO contention_sample VALUES (%s, 10, 0, 0, 7, 12, 300)", at)

    def health(self, minutes: int = 70, *, age: float = 4.0) -> None:
        """One health sample per minute until now."""
        self.run(
            "INSERT INTO health_sample (sampled_at, pending_due, scheduled, running, dead, oldest_due_age_seconds,"
            " stale_function_runs, orphaned_windows, late_writes_refused, started_jobs, finished_jobs, verdict)"
            " SELECT now() - make_interval(mins => n, secs => 1), 0, 0, 0, 0, %s + n / 70.0, 0, 0, 0, 0, 0, 'pass'"
            " FROM generate_series(0, %s - 1) n",
            age, minutes,
        )  # fmt: skip

    def jobs(self, cohort: str, count: int, *, waited: float = 1.0, outcome: str = "SUCCEEDED") -> None:
        """Jobs that were claimed in the window after so many seconds."""
        self.run(
            "WITH j AS (INSERT INTO job (kind, workspace, state, attempt, run_at, first_due_at, finished_at, payload)"
            " SELECT 'demo', %s, 'SUCCEEDED', 1, t, t, t + interval '1 minute', '{}' FROM ("
            f"   SELECT {_ENDS} - make_interval(mins => 1 + n %% 50) AS t FROM generate_series(1, %s) n) x"
            " RETURNING job_id, run_at)"
            " INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, finished_at, outcome)"
            " SELECT job_id, 1, nextval('fence_seq'), 1, run_at, run_at + make_interval(secs => %s),"
            " run_at + make_interval(secs => %s + 0.5), %s FROM j",
            self.one_of(cohort), count, waited, waited, outcome,
        )  # fmt: skip

    def waiting(self, cohort: str, count: int, *, minutes: int) -> None:
        """Jobs that are due for so long and that nobody claims."""
        self.run(
            "INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload)"
            " SELECT 'demo', %s, 'PENDING', t, t, '{}' FROM generate_series(1, %s),"
            " (SELECT now() - make_interval(mins => %s) AS t) x",
            self.one_of(cohort), count, minutes,
        )  # fmt: skip

    def replay(self, *, exit_code: int = 0, drafter: str = NAME, dry_run: bool = False, hours_ago: float = 1.0) -> None:
        artifact = {
            "config": {"dryRun": dry_run, "drafter": drafter, "drafts": "generate", "judge": "rubric"},
            "summary": {"count": 60, "passed": 60 if exit_code == 0 else 0},
        }
        number = self.run("SELECT count(*) FROM replay_run")
        self.run(
            "INSERT INTO replay_run (run_id, created_at, recorded_at, manifest_id, manifest_sha256, verdict, exit_code, summary,"
            " artifact, artifact_sha256, who) VALUES (%s, now(), now() - make_interval(secs => %s), 'sample', repeat('a', 64),"
            " (ARRAY['pass', 'fail', 'unmeasured'])[%s], %s, '{}', %s, repeat('b', 64), 'olga')",
            f"run-{number}", hours_ago * 3600, exit_code + 1, exit_code, json.dumps(artifact),
        )  # fmt: skip

    def proofs(self, *, read_back: bool = True, sink: str = SINK, hours_ago: float = 1.0) -> None:
        for kind in ("stale_run", "queue_age"):
            self.run(
                "INSERT INTO alert_proof (kind, incident_id, forced_at, forced_by, reached_at, sink, ts, seen_by_reading_back)"
                " VALUES (%s, 1, now() - make_interval(secs => %s), 'olga', now() - make_interval(secs => %s), %s, '1.2', %s)",
                kind, hours_ago * 3600, hours_ago * 3600 - 1, sink, read_back,
            )  # fmt: skip

    def rolled_back(self, why: str = "planted") -> None:
        self.run(
            "INSERT INTO rollback (canary_id, mode, rule, why) VALUES (%s, 'enforce', 'failure_rate', %s)",
            self.canary_id, why,
        )  # fmt: skip

    def now(self) -> datetime:
        found: datetime = self.run("SELECT now()")
        return found
