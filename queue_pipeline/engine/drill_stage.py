"""The stage of a drill: its drains, its jobs, its clock, and the story that it tells meanwhile."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from queue_pipeline.domain.drill import WORKSPACE
from queue_pipeline.domain.errors import QueuePipelineError
from queue_pipeline.domain.lane import shard_of
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.enqueue import NewJob, enqueue_many
from queue_pipeline.store import drill as store
from queue_pipeline.store.session import Database

_STAGE_SECONDS = 90.0
_LOOK_EVERY_SECONDS = 0.2


class DrillFailed(QueuePipelineError):
    """Recovery did not happen within the time that the drill allows; the text says which part."""


class DrainProcess(Protocol):
    """A drain in a process of its own."""

    pid: int

    def kill(self) -> None:
        """End it at once, as the kernel would (SIGKILL)."""
        ...

    def freeze(self) -> None:
        """Stop it where it is, without ending it (SIGSTOP)."""
        ...

    def stop(self) -> None:
        """Ask it to end gracefully, and wait for it; a frozen one is killed."""
        ...


class StartDrain(Protocol):
    """Starts a drain of one shard; one with a short lease is missed sooner when it hangs."""

    def __call__(self, shard: str, *, short_lease: bool = False) -> DrainProcess:
        """The started drain."""
        ...


@dataclass(frozen=True)
class LeadReport:
    """A lead of the staged incident: how it ended, whether people were told, and what its trace blames."""

    job_id: int
    lead_id: int | None
    outcome: str
    customer: str
    notified: bool
    longest_gap_seconds: float
    longest_gap_cause: str
    longest_gap_because: str


@dataclass
class DrillReport:
    """What was staged and how long each recovery took, in seconds; `leads` are those of the staged incident."""

    jobs: int = 0
    completed_once: int = 0
    seconds_to_recover: dict[str, float] = field(default_factory=dict)
    leads: list[LeadReport] = field(default_factory=list)
    explained: bool = False
    story: list[tuple[float, str]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every job ran to its end exactly once, and the trace explains the incident."""
        return self.jobs > 0 and self.completed_once == self.jobs and self.explained


class Stage:
    """What the acts of a drill share. The workspace and the job kinds are the drill's own."""

    def __init__(
        self, db: Database, *, shards: int, start_drain: StartDrain, tell: Callable[[float, str], None]
    ) -> None:
        self.db = db
        self.shards = shards
        self.limits = Limits()
        self.report = DrillReport()
        self._start_drain = start_drain
        self._tell = tell
        self._began = time.monotonic()
        self._drains: list[DrainProcess] = []
        with db.begin() as tx:
            self._first_job_id = store.next_job_id(tx)
            self.shard = store.set_quota(
                tx, workspace=WORKSPACE, shard=shard_of(WORKSPACE, shards), quota=self.limits.lane_quota_default
            )

    def enqueue(self, kind: str, payloads: list[dict[str, Any]]) -> list[int]:
        """Enqueue jobs of the drill's workspace; gives their ids."""
        with self.db.begin() as tx:
            jobs = enqueue_many(tx, kind, [NewJob(WORKSPACE, payload) for payload in payloads])
        self.report.jobs += len(payloads)
        return [job.job_id for job in jobs]

    def drain(self, *, short_lease: bool = False) -> DrainProcess:
        """Start a drain of the drill's shard."""
        drain = self._start_drain(self.shard, short_lease=short_lease)
        self._drains.append(drain)
        self.say(f"   A drain of {self.shard} starts as process {drain.pid}.")
        return drain

    def stop_drains(self) -> None:
        """End every drain that the drill has started."""
        for drain in self._drains:
            drain.stop()
        self._drains.clear()

    def set_quota(self, quota: int) -> None:
        """How many jobs of the drill's workspace may be claimed at once."""
        with self.db.begin() as tx:
            store.set_quota(tx, workspace=WORKSPACE, shard=self.shard, quota=quota)

    def progress(self, pid: int = 0) -> Any:
        """How far the drill's jobs are; `held` counts those claimed by the drain with this process id."""
        with self.db.begin() as tx:
            return store.progress(tx, workspace=WORKSPACE, since=self._first_job_id, pid=pid)

    def attempts(self) -> Sequence[Any]:
        """Every ended attempt of the drill's jobs."""
        with self.db.begin() as tx:
            return store.attempts(tx, workspace=WORKSPACE, since=self._first_job_id)

    def decisions(self, pid: int) -> list[Any]:
        """The recovery decisions about function runs of this process."""
        with self.db.begin() as tx:
            return store.decisions(tx, pid=pid)

    def all_done(self) -> bool:
        """Whether every job of the drill has succeeded. Raises DrillFailed when one cannot any more."""
        now = self.progress()
        if now.lost:
            raise DrillFailed(f"{now.lost} of the drill's jobs died or were cancelled.")
        return bool(now.succeeded == self.report.jobs)

    def until(self, holds: Callable[[], object], what: str) -> None:
        """Wait for something to be so. Raises DrillFailed when it takes longer than any recovery may."""
        deadline = time.monotonic() + _STAGE_SECONDS
        pause = threading.Event()
        while not holds():
            if time.monotonic() > deadline:
                raise DrillFailed(f"The drill waited {_STAGE_SECONDS:g} s in vain for {what}.")
            pause.wait(_LOOK_EVERY_SECONDS)

    def recovered(self, what: str, began: float, sentence: str) -> None:
        """Note how long a recovery took; `began` is of the monotonic clock."""
        seconds = time.monotonic() - began
        self.report.seconds_to_recover[what] = round(seconds, 1)
        self.say(f"   {sentence} That took {seconds:.1f} s.")

    def say(self, sentence: str) -> None:
        """Tell what happens."""
        elapsed = time.monotonic() - self._began
        self.report.story.append((round(elapsed, 1), sentence.strip()))
        self._tell(elapsed, sentence)

    def clean_up(self) -> None:
        """Remove what was staged but the incident, which stays as evidence with nothing left to do in it."""
        with self.db.begin() as tx:
            store.settle(tx, workspace=WORKSPACE)
            store.remove(tx, workspace=WORKSPACE)
