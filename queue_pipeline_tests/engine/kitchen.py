"""What the tests of the engine need: handlers of one's own, jobs for them, a drain in a thread, and a look inside."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pydantic
import sqlalchemy as sa

from queue_pipeline import NewJob, enqueue_many
from queue_pipeline.domain.claim import Claim
from queue_pipeline.domain.drain import DrainOptions, DrainReport
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.drain import drain
from queue_pipeline.engine.handlers import HandlerSpec, Registry
from queue_pipeline.store import claim as claims
from queue_pipeline.store import function_run
from queue_pipeline.store.function_run import Begun
from queue_pipeline.store.session import Database, Direct
from queue_pipeline_tests.waiting import eventually

SHARD = "shard-00"
#: Everything that a test would otherwise have to wait for, shortened; the relations between the limits hold.
BRISK = Limits(heartbeat_seconds=0.1, termination_grace_seconds=0.3, sweep_every_seconds=0.2, handover_seconds=5.0)


class Kitchen:
    """One database, one registry, one shard."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.registry = Registry()
        self.drains: list[Drain] = []
        self.opened = threading.Event()

    def handle(
        self,
        kind: str,
        function: Callable[..., Any],
        *,
        payload: type[pydantic.BaseModel] | None = None,
        deadline_seconds: int = 30,
        max_attempts: int = 5,
        expected_seconds: float = 10.0,
        backoff_base_seconds: float = 0.0,
        is_async: bool = False,
    ) -> None:
        """Register a handler; retries come at once unless a base is given."""
        durations = (deadline_seconds, max_attempts, expected_seconds, backoff_base_seconds)
        self.registry.add(HandlerSpec(kind, function, payload, *durations, is_async))

    def put(
        self, kind: str, count: int = 1, *, workspace: str = "acme", payload: Any = None, **fields: Any
    ) -> list[int]:
        """Enqueue jobs and commit; returns their ids."""
        jobs = [NewJob(workspace, {} if payload is None else payload, **fields) for _ in range(count)]
        with self.db.begin() as tx:
            return [e.job_id for e in enqueue_many(tx, kind, jobs, handlers=self.registry)]

    def drain(self, **options: Any) -> DrainReport:
        """Drain until nothing is due, in this thread."""
        return self.start(until_empty=True, **options).report()

    def start(self, *, limits: Limits = BRISK, **options: Any) -> "Drain":
        """Start a drain in a thread."""
        started = Drain(self.db, self.registry, options, limits)
        self.drains.append(started)
        return started

    def rows(self, sql: str, **values: Any) -> Sequence[sa.Row[Any]]:
        """The rows of a question."""
        with self.db.begin() as tx:
            result = tx.execute(sa.text(sql), values)
            return result.fetchall() if result.returns_rows else []

    def row(self, sql: str, **values: Any) -> Mapping[str, Any]:
        """The one row of a question."""
        (row,) = self.rows(sql, **values)
        return dict(row._mapping)

    def job(self, job_id: int) -> Mapping[str, Any]:
        """A job as it stands."""
        return self.row("SELECT * FROM job WHERE job_id = :job_id", job_id=job_id)

    def state(self, job_id: int) -> str:
        """A job's state."""
        return str(self.job(job_id)["state"])

    def states(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        return {row.state: row.n for row in self.rows("SELECT state, count(*) AS n FROM job GROUP BY 1")}

    def outcomes(self, job_id: int) -> list[str]:
        """How the attempts of a job ended, in order."""
        return [r[0] for r in self.rows("SELECT outcome FROM job_attempt WHERE job_id = :j ORDER BY fence", j=job_id)]

    def attempt(self, job_id: int) -> Mapping[str, Any]:
        """The last attempt of a job."""
        return self.row("SELECT * FROM job_attempt WHERE job_id = :j ORDER BY fence DESC LIMIT 1", j=job_id)

    def until(self, job_id: int, state: str, within: float = 15) -> None:
        """Wait until a job is in this state."""
        eventually(lambda: self.state(job_id) == state, within=within, what=f"job {job_id} to be {state}")

    def close(self) -> None:
        """Let go of whatever still runs."""
        self.opened.set()
        for started in self.drains:
            started.stop.set()
        for started in self.drains:
            started.thread.join(20)


class Drain:
    """A drain in a thread of this process."""

    def __init__(self, db: Database, registry: Registry, options: dict[str, Any], limits: Limits) -> None:
        defaults = DrainOptions(SHARD, linger_seconds=60, budget_seconds=60, shards=1)
        self.options = replace(defaults, **options)
        self.stop = threading.Event()
        self._future: Future[DrainReport] = Future()

        def run() -> None:
            try:
                self._future.set_result(drain(db, registry, self.options, limits=limits, stop=self.stop))
            except BaseException as error:  # noqa: BLE001 - handed to the test
                self._future.set_exception(error)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def report(self, within: float = 60) -> DrainReport:
        """How it ended; waits for the end."""
        return self._future.result(within)

    def finish(self) -> DrainReport:
        """Stop it gracefully and wait for its end."""
        self.stop.set()
        return self.report()


class Bystander:
    """A function run with jobs in its hands and nobody behind it: a drain as the database sees it."""

    def __init__(self, db: Database, *, present: bool = True, shard: str = SHARD, lease_seconds: float = 60) -> None:
        self.db = db
        self.direct: Direct = db.direct()
        self.presence: Direct = db.direct()
        run_id = function_run.next_function_run_id(self.direct)
        if present:
            function_run.take_presence_lock(self.presence, run_id)
        key = f"test:{run_id}"
        self.direct.execute(
            "INSERT INTO dispatch_window (dispatch_key, shard, source, launch_by) VALUES (%s, %s, 'cli', now() + interval '1 minute')",
            (key, shard),
        )
        begun = function_run.begin(
            self.direct, function_run_id=run_id, dispatch_key=key, shard=shard, host="nowhere.example", pid=1,
            dagster_run_id=None, lease_seconds=lease_seconds,
        )  # fmt: skip
        assert begun is not None
        self.begun: Begun = begun
        self.claimant = claims.Claimant(begun.function_run_id, begun.fence, shard)
        claims.prepare(self.direct)

    @property
    def run_id(self) -> int:
        """The id of the function run."""
        return self.begun.function_run_id

    def claim(self, size: int = 20) -> list[Claim]:
        """Claim jobs and do nothing with them."""
        return self.exchange(size=size).claims

    def exchange(
        self,
        results: Sequence[Any] = (),
        size: int = 0,
        rule: claims.LaneRule = claims.NO_RULE,
        floor: int = claims.LOWEST,
    ) -> claims.Exchange:
        """One transaction of a drain."""
        return claims.exchange(
            self.direct,
            self.claimant,
            results=results,
            size=size,
            wake_limit=1000,
            promote_limit=1000,
            shards=1,
            rule=rule,
            floor=floor,
        )

    def beat(self) -> function_run.HeartbeatAnswer:
        """One heartbeat."""
        return function_run.heartbeat(self.presence, self.begun, lease_seconds=60, progressed=True, counters={})

    def die(self) -> None:
        """Lose all connections, as a killed process does."""
        self.presence.close()
        self.direct.close()
        with self.db.begin() as tx:
            asked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = :c AND objid = :o"
            eventually(
                lambda: tx.execute(
                    sa.text(asked), {"c": function_run.PRESENCE_CLASS, "o": self.run_id}
                ).scalar_one() == 0,
                within=30, what="the server to notice that the session is gone",
            )  # fmt: skip

    def close(self) -> None:
        """Close the connections."""
        self.presence.close()
        self.direct.close()
