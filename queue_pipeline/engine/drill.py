"""Stage the incident on purpose, with real processes, and watch the recovery: a hang, a kill, a queue that ages."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from queue_pipeline.domain.drill import WORKSPACE
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.domain.trace import Trace, last_frame
from queue_pipeline.engine import health
from queue_pipeline.engine.drill_incident import stage_incident
from queue_pipeline.engine.drill_stage import DrainProcess, DrillFailed, DrillReport, Stage, StartDrain
from queue_pipeline.store.session import Database

__all__ = ["DrainProcess", "Drill", "DrillFailed", "DrillReport", "StartDrain"]

#: The contract's bound is minutes; a drill that waited for it would not be run.
_AGE_LIMIT_SECONDS = 3.0


class Drill:
    """One drill. It uses a workspace and job kinds of its own; the incident that it stages stays as evidence.

    `deliver` delivers notifications that wait, as the watch sensor does; `show` gets the trace of each staged lead.
    """

    def __init__(
        self,
        db: Database,
        *,
        shards: int,
        start_drain: StartDrain,
        tell: Callable[[float, str], None],
        deliver: Callable[[], object],
        show: Callable[[Trace], None],
    ) -> None:
        self._stage = Stage(db, shards=shards, start_drain=start_drain, tell=tell)
        self._deliver = deliver
        self._show = show

    def run(self) -> DrillReport:
        """Stage everything, one act after the other. Raises DrillFailed, DatabaseUnavailable."""
        stage = self._stage
        try:
            stage.say(f"The drill uses workspace “{WORKSPACE}”, which lies in {stage.shard}.")
            first = stage.drain()
            self._hang()
            self._kill(first)
            self._age()
            stage_incident(stage, deliver=self._deliver, show=self._show)
            self._judge()
        finally:
            stage.stop_drains()
            stage.clean_up()
        return stage.report

    def _hang(self) -> None:
        stage = self._stage
        stage.say("1. A handler hangs: one job waits for an answer that never comes; its deadline is 8 s.")
        stage.enqueue("drill.hang", [{}])
        stage.enqueue("drill.work", [{"seconds": 0.5}] * 6)
        began = time.monotonic()
        stage.until(lambda: stage.progress().succeeded >= 6, "the jobs beside the hanging one to end")
        stage.say("   The six jobs beside it have ended; the hanging one holds up nobody.")
        stage.until(self._ended_by_force, "the hanging job to be ended at its deadline")
        ended = self._ended_by_force()
        stage.say(
            f"   Its claim was revoked: {ended.error or ended.outcome} Last progress: {ended.progress or 'none'}."
        )
        if ended.stack:
            stage.say(f"   It was last seen at: {last_frame(ended.stack)}")
        stage.until(stage.all_done, "the hanging job to succeed on its second attempt")
        stage.recovered("hang", began, "The job succeeded on its second attempt.")

    def _kill(self, victim: DrainProcess) -> None:
        stage = self._stage
        stage.say("2. A drain is killed with SIGKILL in the middle of its work.")
        stage.enqueue("drill.work", [{"seconds": 1.5}] * 12)
        stage.until(lambda: stage.progress(victim.pid).held > 0, "the drain to claim jobs")
        stage.drain()
        held = stage.progress(victim.pid).held
        victim.kill()
        began = time.monotonic()
        stage.say(f"   Process {victim.pid} is dead; it held {held} jobs.")
        stage.until(lambda: stage.decisions(victim.pid), "somebody to recover the killed function run")
        for decision in stage.decisions(victim.pid):
            stage.say(f"   Recovered by {decision.swept_by} ({decision.signal}): {decision.detail}")
        stage.until(stage.all_done, "the killed drain's jobs to run to their end")
        stage.recovered("kill", began, "Every job of the killed drain has run to its end.")

    def _age(self) -> None:
        stage = self._stage
        limit = stage.limits.queue_age_limit_seconds
        stage.say(
            f"3. A queue ages, because the workspace's quota is 0. The contract allows {limit:g} s, "
            f"this drill {_AGE_LIMIT_SECONDS:g} s."
        )
        stage.set_quota(0)
        stage.enqueue("drill.work", [{"seconds": 0.1}] * 3)
        began = time.monotonic()
        stage.until(self._breach, "the health snapshot to show the breach")
        stage.say(f"   Measured: {self._breach()}")
        stage.set_quota(stage.limits.lane_quota_default)
        stage.until(stage.all_done, "the aged jobs to end")
        stage.recovered("age", began, "The quota is back and the queue is empty.")

    def _judge(self) -> None:
        report = self._stage.report
        ended = [attempt.job_id for attempt in self._stage.attempts() if attempt.outcome == "SUCCEEDED"]
        report.completed_once = sum(ended.count(job_id) == 1 for job_id in set(ended))
        self._stage.say(f"{report.completed_once} of {report.jobs} jobs completed exactly once.")

    def _breach(self) -> str | None:
        limits = replace(self._stage.limits, queue_age_limit_seconds=_AGE_LIMIT_SECONDS)
        snapshot = health.measure(self._stage.db, limits=limits, shards=shard_names(self._stage.shards))
        age = snapshot.by_shard[self._stage.shard].oldest_due_age_seconds
        waited = f"the oldest due job of {self._stage.shard} has waited {age:.1f} s"
        return waited if age > _AGE_LIMIT_SECONDS else None

    def _ended_by_force(self) -> Any:
        return next((each for each in self._stage.attempts() if each.outcome in ("TIMED_OUT", "LOST")), None)
