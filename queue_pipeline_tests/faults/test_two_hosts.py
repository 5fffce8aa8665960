"""Hosts with networks of their own drain one queue; some are cut off in the middle of their work and come back.

Host `left` loses its network whole, host `deaf` only what PostgreSQL sends to it. Host `right` drains all shards
beside them. Bounds are those of the failure contract, in real time.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from queue_pipeline import NewJob, enqueue_many
from queue_pipeline.domain.lane import shard_of
from queue_pipeline.domain.limits import Limits
from queue_pipeline.integrations import embedded_postgres
from queue_pipeline.store import migrate
from queue_pipeline.store.session import Database
from queue_pipeline_tests.deploy.files import DEPLOY, document
from queue_pipeline_tests.docs.markdown import REPOSITORY
from queue_pipeline_tests.faults import host_handlers  # noqa: F401 - registers the kind
from queue_pipeline_tests.faults.hosts import Host, network, program_on, server_on, why_not
from queue_pipeline_tests.faults.processes import Evidence
from queue_pipeline_tests.waiting import eventually

pytestmark = [
    pytest.mark.faults,
    pytest.mark.xdist_group("up"),  # a Dagster of its own: one at a time is enough for two cores
    pytest.mark.skipif(why_not() is not None, reason=f"no hosts can be made: {why_not()}"),
]

LIMITS = Limits()
JOBS = 10
HANDLERS = 4
DRAIN = ("queue_pipeline", "drain", "--json", "--seconds", "300")
WORK_SECONDS = 4.0
#: A workspace of each shard that one host begins with.
LEFT_SHARD, DEAF_SHARD = "shard-00", "shard-01"


def _workspace_of(shard: str) -> str:
    return next(name for name in map("host-test-{}".format, range(100)) if shard_of(name, 4) == shard)


@dataclass
class Stage:
    """What the test saw, and how to look again."""

    database: Host
    evidence: Evidence
    place: Path
    drains: dict[str, subprocess.Popen[str]]
    held: dict[str, set[int]] = field(default_factory=dict)

    def journal(self, host: str, what: str) -> Counter[int]:
        """How often each job started or ended on a host, by the host's own journal."""
        path = self.place / f"{host}.journal"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return Counter(entry["job_id"] for entry in map(json.loads, lines) if entry["what"] == what)

    def run_of(self, host: str) -> Any:
        """The id of the only function run of a host that began with a shard of its own."""
        return self.evidence.one("SELECT min(function_run_id) FROM function_run WHERE host = %s", host)

    def sessions_of(self, host: Host) -> int:
        """How many sessions PostgreSQL has for a host that may not know of them any more.

        The one that listens is left out: each notification that PostgreSQL sends to it starts its time anew.
        """
        return int(
            self.evidence.one(
                "SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s AND query NOT LIKE 'LISTEN%%'",
                host.address,
            )
        )

    def ended(self, host: str) -> list[dict[str, Any]]:
        """The reports of a host's drains, once its process has ended."""
        output, _ = self.drains[host].communicate(timeout=60)
        assert output, (self.place / f"{host}.log").read_text(encoding="utf-8")[-2000:]
        reports: list[dict[str, Any]] = json.loads(output)
        return reports


@pytest.fixture
def place(open_tmp: Path) -> Path:
    (open_tmp / "home").mkdir()
    return open_tmp


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def test_hosts_that_are_cut_off_are_taken_over_and_what_they_bring_back_is_refused(
    place: Path, stack: ExitStack
) -> None:
    left, deaf, right, server = stack.enter_context(network("left", "deaf", "right", "server"))
    url = stack.enter_context(server_on(server, place / "home"))
    local = embedded_postgres.embedded_url(place / "home")
    migrate.upgrade(local)
    stage = Stage(server, Evidence(local), place, {})
    _enqueue(local)

    for host, shard in ((left, LEFT_SHARD), (deaf, DEAF_SHARD)):
        stage.drains[host.name] = stack.enter_context(program_on(host, url, place, *DRAIN, "--shard", shard))
    for host in (left, deaf):
        name = host.name
        eventually(lambda: len(stage.journal(name, "start")) == HANDLERS, within=30, what=f"four starts on {name}")  # noqa: B023
    left.cut()
    server.stop_answering(deaf)
    cut_at = time.monotonic()
    stage.drains["right"] = stack.enter_context(program_on(right, url, place, *DRAIN))
    for host in (left, deaf):
        held = stage.evidence.ask("SELECT job_id FROM job WHERE function_run_id = %s", stage.run_of(host.name))
        stage.held[host.name] = {row[0] for row in held}
        assert stage.held[host.name] >= set(stage.journal(host.name, "start")), "what runs is held"

    _others_are_not_held_up(stage, cut_at)
    _taken_over_within_the_contract(stage, cut_at)
    stage.evidence.await_states({"SUCCEEDED": 2 * JOBS}, within=60)
    for host in (left, deaf):
        assert set(stage.journal(host.name, "end")) == set(stage.journal(host.name, "start")), "it worked on, alone"
        _no_session_is_left(stage, host, cut_at)

    left.heal()
    server.answer_again(deaf)
    _late_writes_are_refused_and_counted(stage)
    _nothing_is_lost_or_completed_twice(stage)
    print(f"all was well {time.monotonic() - cut_at:.1f} s after the cut")  # noqa: T201 - measured


def test_a_daemon_on_one_host_drains_through_a_code_location_on_another(place: Path, stack: ExitStack) -> None:
    """With the commands of deploy/compose.yaml, and the workspace of deploy/workspace.yaml but for the address."""
    code, daemon, server = stack.enter_context(network("code", "daemon", "server"))
    url = stack.enter_context(server_on(server, place / "home"))
    local = embedded_postgres.embedded_url(place / "home")
    migrate.upgrade(local)
    evidence = Evidence(local)
    commands = document(DEPLOY / "compose.yaml")["services"]
    workspace = place / "workspace.yaml"
    workspace.write_text((DEPLOY / "workspace.yaml").read_text("utf-8").replace("code-location", code.address), "utf-8")
    for host in (code, daemon):
        (place / host.name / "dagster").mkdir(parents=True)
        shutil.copy(REPOSITORY / "dagster.yaml", place / host.name / "dagster")

    location = stack.enter_context(
        program_on(code, url, place, *commands["code-location"]["command"], environment=_dagster(place, code))
    )
    health = [sys.executable, "-m", "dagster", "api", "grpc-health-check", "--host", code.address, "--port", "4000"]

    def answers() -> bool:
        asked = subprocess.run(daemon.command(health), capture_output=True, text=True)
        assert asked.returncode == 0, asked.stderr + (place / "code.log").read_text(encoding="utf-8")[-2000:]
        return True

    eventually(answers, within=90, what="the code location to answer the other host", every=0.5)
    run = ["dagster._daemon", "run", "--workspace", str(workspace)]
    stack.enter_context(program_on(daemon, url, place, *run, environment=_dagster(place, daemon)))
    _enqueue(local)
    evidence.await_states({"SUCCEEDED": 2 * JOBS}, within=150)
    assert location.poll() is None
    hosts = evidence.ask("SELECT DISTINCT host, dagster_run_id IS NOT NULL FROM function_run")
    assert hosts == [("code", True)], "Dagster runs are children of the code location"
    assert set(evidence.completions().values()) == {1}


def _dagster(place: Path, host: Host) -> dict[str, str]:
    return {"DAGSTER_HOME": str(place / host.name / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "yes"}


def _enqueue(url: str) -> None:
    database = Database(url)
    with database.begin() as tx:
        for shard in (LEFT_SHARD, DEAF_SHARD):
            jobs = [NewJob(_workspace_of(shard), {"seconds": WORK_SECONDS}) for _ in range(JOBS)]
            enqueue_many(tx, "host.work", jobs)
    database.dispose()


def _others_are_not_held_up(stage: Stage, cut_at: float) -> None:
    """What the lost hosts do not hold is done while their leases still last."""
    free = 2 * JOBS - sum(len(held) for held in stage.held.values())
    eventually(lambda: stage.evidence.states()["SUCCEEDED"] == free, within=25, what=f"{free} other jobs to end")
    print(f"{free} other jobs succeeded {time.monotonic() - cut_at:.1f} s after the cut")  # noqa: T201 - measured
    assert stage.evidence.states()["RUNNING"] == 2 * JOBS - free, "the leases still hold"


def _taken_over_within_the_contract(stage: Stage, cut_at: float) -> None:
    """Within a lease, counted from the last heartbeat that arrived, and one sweep; plus what a busy machine needs."""
    held = set.union(*stage.held.values())
    bound = LIMITS.lease_seconds + LIMITS.heartbeat_seconds + LIMITS.sweep_every_seconds + 5.0
    eventually(lambda: held <= set(stage.journal("right", "start")), within=bound, what="all jobs to be taken over")
    print(f"all {len(held)} held jobs started elsewhere {time.monotonic() - cut_at:.1f} s after the cut")  # noqa: T201 - measured
    assert time.monotonic() - cut_at < bound
    for host in ("left", "deaf"):
        state, signal = stage.evidence.ask(
            "SELECT r.state, d.signal FROM function_run r JOIN recovery_decision d USING (function_run_id) "
            "WHERE r.function_run_id = %s",
            stage.run_of(host),
        )[0]
        assert (state, signal) == ("RECOVERED", "lease_expired")


def _no_session_is_left(stage: Stage, host: Host, cut_at: float) -> None:
    """PostgreSQL itself gives up a host that is silent; Linux alone would wait for two hours."""
    bound = cut_at + LIMITS.vanished_client_seconds + 15.0 - time.monotonic()
    eventually(lambda: stage.sessions_of(host) == 0, within=bound, what=f"PostgreSQL to end {host.name}'s sessions")
    print(f"no session of {host.name} {time.monotonic() - cut_at:.1f} s after the cut")  # noqa: T201 - measured


def _late_writes_are_refused_and_counted(stage: Stage) -> None:
    for host in ("left", "deaf"):
        (report,) = stage.ended(host)
        assert stage.drains[host].returncode == 1
        assert report["end_reason"] == "fenced"
        run, held = stage.run_of(host), stage.held[host]
        late = {row[0] for row in stage.evidence.ask("SELECT job_id FROM late_write WHERE function_run_id = %s", run)}
        assert late == set(stage.journal(host, "end")) == held
        refused = stage.evidence.one("SELECT late_writes_refused FROM function_run WHERE function_run_id = %s", run)
        assert refused == len(held)
        print(f"{host}: {refused} late writes refused: {report['end_detail']}")  # noqa: T201 - measured


def _nothing_is_lost_or_completed_twice(stage: Stage) -> None:
    assert stage.evidence.states() == {"SUCCEEDED": 2 * JOBS}
    completions = stage.evidence.completions()
    assert (len(completions), set(completions.values())) == (2 * JOBS, {1})
    worked = Counter[int]()
    for host in stage.drains:
        worked += stage.journal(host, "end")
    twice = {job for job, times in worked.items() if times > 1}
    assert twice == set.union(*stage.held.values()), "only what a lost host had begun was begun again"
    assert max(worked.values()) == 2
