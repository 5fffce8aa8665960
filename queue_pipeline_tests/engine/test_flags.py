"""A flip takes effect in what already runs: claims of a living drain, and every sweep."""

import threading
from collections import Counter

import pytest

from queue_pipeline.domain.canary import CanaryPlan
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.flag import DRAFTS_AUTO_SEND, DRAIN_PARALLEL, FLAGS, RECOVERY_MODE
from queue_pipeline.engine import canary, flags
from queue_pipeline.engine.recovery import observed, sweep
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.canaries import SHORT, WHO
from queue_pipeline_tests.engine.kitchen import Kitchen
from queue_pipeline_tests.store.rows import a_function_run, a_job
from queue_pipeline_tests.waiting import eventually


class Hob:
    """Handlers that wait until they are let go, counted by workspace; how many ran beside each other at most."""

    def __init__(self, kitchen: Kitchen) -> None:
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self._turn = threading.Condition()
        self._let_go: Counter[str] = Counter()
        kitchen.handle("slow", self._cook)

    def _cook(self, ctx: object, _payload: object) -> None:
        workspace = ctx.workspace  # type: ignore[attr-defined]
        with self._turn:
            self.running[workspace] += 1
            self.most[workspace] = max(self.most[workspace], self.running[workspace])
            self._turn.wait_for(lambda: self._let_go[workspace] > 0, timeout=25)
            self._let_go[workspace] -= 1
            self.running[workspace] -= 1
            self.done[workspace] += 1

    def finish(self, workspace: str, count: int = 1) -> None:
        """Let so many handlers of a workspace end, and wait until they have."""
        before = self.done[workspace]
        with self._turn:
            self._let_go[workspace] += count
            self._turn.notify_all()
        eventually(
            lambda: self.done[workspace] >= before + count, within=20, what=f"{count} jobs of {workspace} to end"
        )


def test_a_running_drain_sees_a_flip_of_drain_parallel_within_seconds(db: Database, kitchen: Kitchen) -> None:
    hob = Hob(kitchen)
    flags.flip(db, DRAIN_PARALLEL, "off", **WHO)
    kitchen.put("slow", 30, workspace="acme")
    kitchen.start(concurrency=4)
    eventually(lambda: hob.running["acme"] == 1, within=20, what="the first job to run")
    hob.finish("acme", 3)
    eventually(lambda: hob.running["acme"] == 1, within=20, what="the next job to run")
    assert hob.most["acme"] == 1, "one after the other"
    flags.flip(db, DRAIN_PARALLEL, "on", **WHO)
    eventually(lambda: hob.running["acme"] == 4, within=20, what="four jobs of one workspace side by side")
    flags.flip(db, DRAIN_PARALLEL, "off", **WHO)
    eventually(lambda: hob.done["acme"] and _is_serial_again(hob), within=25, what="one at a time again")


def _is_serial_again(hob: Hob) -> bool:
    hob.finish("acme")
    return hob.running["acme"] <= 1


def test_a_canary_workspace_differs_from_a_control_workspace_in_one_drain(db: Database, kitchen: Kitchen) -> None:
    hob = Hob(kitchen)
    canary.start(db, CanaryPlan({DRAIN_PARALLEL: "off"}, 0.0, ("canary-team",), SHORT), **WHO)
    kitchen.put("slow", 5, workspace="canary-team")
    kitchen.put("slow", 5, workspace="control-team")
    kitchen.start(concurrency=8)
    eventually(lambda: hob.running["control-team"] == 5, within=20, what="the control's jobs side by side")
    eventually(lambda: hob.running["canary-team"] == 1, within=20, what="the canary's first job")
    hob.finish("canary-team", 2)
    hob.finish("control-team", 5)
    assert hob.most == {"control-team": 5, "canary-team": 1}
    canary.abort(db, **WHO)
    eventually(lambda: hob.running["canary-team"] == 3, within=20, what="the canary's jobs side by side, as it is over")


def test_jobs_that_run_one_after_the_other_do_not_wait_for_the_drains_next_look(db: Database, kitchen: Kitchen) -> None:
    """Each end of a job makes room for the next; a look comes only every half second."""
    flags.flip(db, DRAIN_PARALLEL, "off", **WHO)
    kitchen.handle("quick", lambda _ctx, _payload: None)
    kitchen.put("quick", 100)
    report = kitchen.drain()
    assert report.counts["succeeded"] == 100
    assert report.seconds < 25, "100 looks would take 50 s"


def an_expired_run(db: Database) -> tuple[int, int]:
    """A function run whose lease has ended, and the job that it holds."""
    ago = "now() - interval '5 minutes'"
    with db.direct() as connection:
        run = a_function_run(connection, shard="shard-00")
        connection.execute(
            f"UPDATE function_run SET started_at = {ago}, heartbeat_at = {ago}, lease_until = {ago}".encode()
        )
        return run, a_job(connection, "RUNNING", function_run_id=run)


def test_recovery_that_observes_says_once_what_it_would_have_done_and_then_does_it(
    db: Database, kitchen: Kitchen
) -> None:
    run, job = an_expired_run(db)
    flags.flip(db, RECOVERY_MODE, "observe", **WHO)
    for who in ("watch sensor", "cron"):
        (decision,) = sweep(db, by=who).decisions
        assert not decision.acted
        assert decision.detail.startswith("nothing was done: flag recovery.mode is observe. It would be fenced")
    assert (kitchen.state(job), kitchen.rows("SELECT state FROM function_run")) == ("RUNNING", [("RUNNING",)])
    assert kitchen.rows("SELECT 1 FROM recovery_decision") == []
    (seen,) = observed(db, limit=10)
    assert (seen.observed_by, seen.signal, seen.shard) == ("watch sensor", "dead", "shard-00")
    assert seen.would.startswith(f"Function run {run} of shard-00")
    assert "its running jobs given back" in seen.would
    assert seen.last_seen_at > seen.observed_at
    assert kitchen.rows("SELECT swept_by FROM sweep_mark") == [("cron",)], "somebody looks"
    flags.flip(db, RECOVERY_MODE, "enforce", **WHO)
    (decision,) = sweep(db, by="cron").decisions
    assert (decision.acted, kitchen.state(job)) == (True, "PENDING")


def test_recovery_that_is_off_does_nothing_and_resets_no_dead_man_s_switch(db: Database, kitchen: Kitchen) -> None:
    _, job = an_expired_run(db)
    flags.flip(db, RECOVERY_MODE, "off", **WHO)
    (decision,) = sweep(db, by="cron").decisions
    assert decision.detail.startswith("nothing was done: flag recovery.mode is off. It would be fenced")
    assert kitchen.state(job) == "RUNNING"
    assert kitchen.rows("SELECT 1 FROM sweep_mark UNION ALL SELECT 1 FROM recovery_observation") == []


def test_a_living_drain_that_only_observes_leaves_what_stands_still(db: Database, kitchen: Kitchen) -> None:
    flags.flip(db, RECOVERY_MODE, "observe", **WHO)
    _, job = an_expired_run(db)
    kitchen.handle("demo", lambda _ctx, _payload: None)
    kitchen.start()
    seen = "SELECT 1 FROM recovery_observation"
    eventually(lambda: kitchen.rows(seen), within=20, what="the drain's own sweep to observe")
    assert kitchen.state(job) == "RUNNING"
    flags.flip(db, RECOVERY_MODE, "enforce", **WHO)
    kitchen.until(job, "SUCCEEDED")


@pytest.mark.parametrize("flag", FLAGS)
def test_every_value_of_every_flag_means_something_and_no_other_is_taken(db: Database, flag: str) -> None:
    for value in FLAGS[flag].values:
        assert flags.flip(db, flag, value, **WHO).meaning.endswith(".")
    with pytest.raises(InvalidInput, match="It can be"):
        flags.flip(db, flag, "perhaps", **WHO)
    with pytest.raises(InvalidInput, match="It can be"):
        flags.set_defaults({flag: "perhaps"})


def test_an_operator_sees_where_a_value_comes_from(db: Database) -> None:
    flags.set_defaults({DRAFTS_AUTO_SEND: "on"})

    def seen() -> tuple[str, str, str | None]:
        (state,) = [state for state in flags.states(db) if state.flag == DRAFTS_AUTO_SEND]
        return state.value, state.source, state.canary_value

    assert seen() == ("on", "environment", None)
    flags.flip(db, DRAFTS_AUTO_SEND, "off", **WHO)
    assert seen() == ("off", "database", None)
    canary.start(db, CanaryPlan({DRAFTS_AUTO_SEND: "on"}, 1.0), **WHO)
    assert seen() == ("off", "database", "on")
