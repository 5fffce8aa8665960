"""Each retention class takes what is old and over, and leaves the rest; however often, and by however many at once."""

from typing import Any

import pytest

from queue_pipeline.domain.retention import BY_NAME, DAY_SECONDS
from queue_pipeline.engine.pruning import count_classes, prune_classes
from queue_pipeline.store import pruning
from queue_pipeline.store.session import Database, Direct
from queue_pipeline_tests.store.plans import explain, scanned_whole
from queue_pipeline_tests.store.rows import a_canary, a_function_run, a_job, a_window, insert

OLD, YOUNG = "now() - interval '11 days'", "now() - interval '9 days'"
TEN_DAYS = 10 * DAY_SECONDS


@pytest.fixture
def connection(db: Database) -> Any:
    with db.direct() as connection:
        yield connection


def rows(connection: Direct, sql: str) -> list[Any]:
    return [row[0] for row in connection.execute(sql).fetchall()]


def prune(db: Database, name: str) -> int:
    (pruned,) = prune_classes(db, {name: TEN_DAYS}, batch=2)
    assert pruned.done
    return pruned.rows


SAMPLES = {
    "handler_samples": ("handler_sample", "sampled_at", {"job_id": "{n}", "fence": "1", "running_seconds": "1"}),
    "health_samples": (
        "health_sample",
        "sampled_at",
        dict.fromkeys(
            (
                "pending_due", "scheduled", "running", "dead", "oldest_due_age_seconds", "stale_function_runs",
                "orphaned_windows", "late_writes_refused", "started_jobs", "finished_jobs",
            ),
            "0",
        ) | {"verdict": "'pass'"},
    ),
    "late_writes": ("late_write", "refused_at", {"job_id": "1", "fence": "1", "function_run_id": "1", "wanted": "'x'"}),
    "recovery_observations": (
        "recovery_observation",
        "last_seen_at",
        {"finding_key": "'k{n}'", "observed_by": "'t'", "signal": "'dead'", "would": "'x'"},
    ),
    "recovery_decisions": ("recovery_decision", "decided_at", {"swept_by": "'t'", "signal": "'dead'", "detail": "'x'"}),
    "contention_samples": (
        "contention_sample",
        "sampled_at",
        dict.fromkeys(
            ("sessions", "lock_waiting", "longest_lock_wait_seconds", "deadlocks", "connections_used", "connections_max"), "0"
        ),
    ),
    "capacity_samples": (
        "capacity_sample",
        "sampled_at",
        dict.fromkeys(
            (
                "arrivals", "finished", "failed", "retried", "handler_seconds", "due", "running", "workers",
                "active_workspaces", "sessions", "lock_waiting", "deadlocks", "claims", "claim_conflicts", "connections_used",
                "connections_max", "provider_answers", "provider_throttled", "deadlocks_total",
            ),
            "0",
        ) | {"seconds": "60", "by_shard": "'{{}}'", "run_counters": "'{{}}'"},
    ),
    "workspace_samples": (
        "workspace_sample",
        "sampled_at",
        {"workspace": "'w{n}'"}
        | dict.fromkeys(
            ("oldest_due_age_seconds", "finished", "failed", "duplicates", "sessions", "lock_waiting", "deadlocks"), "0"
        ),
    ),
    "notifications": (
        "notification",
        "delivered_at",
        {"workspace": "'w'", "job_id": "1", "dedupe_key": "'k{n}'", "text": "'t'", "sink": "'console'"},
    ),
    "attempts": (
        "job_attempt",
        "finished_at",
        {
            "job_id": "{n}", "attempt": "1", "fence": "1", "function_run_id": "1", "due_at": "now()", "claimed_at": "now()",
            "outcome": "'SNOOZED'",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_rows_that_go_by_themselves_go_when_they_are_old(db: Database, connection: Direct, name: str) -> None:
    table, at, values = SAMPLES[name]
    for n in range(8):
        age = f"{OLD} - {n} * interval '1 hour'" if n < 5 else f"{YOUNG} + {n} * interval '1 hour'"
        literals = ", ".join(text.format(n=n) for text in values.values())
        connection.execute(f"INSERT INTO {table} ({', '.join(values)}, {at}) VALUES ({literals}, {age})")
    assert count_classes(db, {name: TEN_DAYS}) == {name: 5}
    assert (prune(db, name), prune(db, name)) == (5, 0)
    assert rows(connection, f"SELECT count(*) FROM {table} WHERE {at} > {OLD}") == [3]


def test_what_is_not_over_stays_however_old(db: Database, connection: Direct) -> None:
    job = a_job(connection, "RUNNING")
    connection.execute(f"INSERT INTO handler_sample VALUES ({job}, 1, {OLD}, 1)")
    connection.execute(
        f"INSERT INTO notification (workspace, job_id, dedupe_key, text, created_at) VALUES ('w', 1, 'k', 't', {OLD})"
    )
    canary = a_canary(connection, "WATCHING")
    connection.execute(
        "INSERT INTO canary_sample SELECT %s, cohort, "
        f"{OLD}, 'WATCHING', 1, 0, 0, 0, 0, 0, NULL, 0, 0, 0 FROM unnest(ARRAY['canary', 'control']) cohort",
        (canary,),
    )
    for name in ("handler_samples", "notifications", "canary_samples"):
        assert prune(db, name) == 0
    connection.execute("UPDATE canary SET state = 'ABORTED', ended_at = now(), ended_by = 'o', end_reason = 'x'")
    assert prune(db, "canary_samples") == 2


def test_capacity_decisions_that_changed_something_stay_and_so_does_the_latest(
    db: Database, connection: Direct
) -> None:
    def decision(workers: int) -> int:
        values = {
            "mode": "enforce", "from_workers": 4, "to_workers": workers, "from_in_flight": 4, "to_in_flight": 4,
            "reason_code": "hold_ramp_window", "target": 4, "global_target": 4, "guardrails": "{}", "operator_override": False,
            "why": "x", "state": "{}", "decided_at": "2020-01-01",
        }  # fmt: skip
        return insert(connection, "capacity_decision", values, "capacity_decision_id")

    _, changed, _, latest = decision(4), decision(8), decision(4), decision(4)
    assert prune(db, "capacity_decisions") == 2
    assert rows(connection, "SELECT capacity_decision_id FROM capacity_decision ORDER BY 1") == [changed, latest]


def chain(connection: Direct, ages: list[str]) -> list[tuple[int, int]]:
    """Function runs with the window that each took; each is the successor of the one before."""
    made: list[tuple[int, int]] = []
    for at in ages:
        run = a_function_run(connection, "SUCCEEDED")
        window = a_window(connection, "CLOSED", function_run_id=run, succeeds_run_id=made[-1][0] if made else None)
        connection.execute(
            f"UPDATE function_run SET window_id = {window}, ended_at = {at} WHERE function_run_id = {run}"
        )
        connection.execute(f"UPDATE dispatch_window SET closed_at = {at} WHERE window_id = {window}")
        if made:
            connection.execute(
                f"UPDATE function_run SET successor_window_id = {window} WHERE function_run_id = {made[-1][0]}"
            )
        made.append((run, window))
    return made


def test_a_chain_of_successions_is_cut_and_keeps_its_ids(db: Database, connection: Direct) -> None:
    (_, first_window), (second, second_window), (third, third_window) = chain(connection, [OLD, OLD, YOUNG])
    living = a_function_run(connection)
    connection.execute(f"UPDATE function_run SET started_at = {OLD} WHERE function_run_id = {living}")
    assert prune(db, "drains") == 2
    assert rows(connection, "SELECT function_run_id FROM function_run WHERE state <> 'RUNNING'") == [third]
    assert living in rows(connection, "SELECT function_run_id FROM function_run WHERE state = 'RUNNING'")
    assert rows(connection, "SELECT window_id FROM dispatch_window") == [third_window]
    assert rows(connection, "SELECT succeeds_run_id FROM dispatch_window") == [second], "the id is evidence still"
    assert first_window < second_window < third_window


def test_a_drain_that_somebody_holds_does_not_keep_its_successor(db: Database, connection: Direct) -> None:
    (held, _), (second, _) = chain(connection, [OLD, OLD])
    with db.direct() as other, other.transaction():
        other.execute("SELECT FROM function_run WHERE function_run_id = %s FOR UPDATE", (held,))
        assert prune(db, "drains") == 1
        left = rows(connection, "SELECT function_run_id FROM function_run WHERE state <> 'RUNNING'")
        assert left == [held]
    assert second not in left


def test_a_drain_whose_window_is_younger_waits_for_it(db: Database, connection: Direct) -> None:
    ((_, window),) = chain(connection, [OLD])
    connection.execute(f"UPDATE dispatch_window SET closed_at = {YOUNG} WHERE window_id = {window}")
    assert (prune(db, "drains"), prune(db, "untaken_windows")) == (0, 0)


def test_windows_that_nobody_took_go_and_open_ones_stay(db: Database, connection: Direct) -> None:
    missed, waiting = a_window(connection, "MISSED"), a_window(connection)
    connection.execute(f"UPDATE dispatch_window SET opened_at = {OLD}")
    connection.execute(f"UPDATE dispatch_window SET closed_at = {OLD} WHERE window_id = {missed}")
    assert prune(db, "untaken_windows") == 1
    assert rows(connection, "SELECT window_id FROM dispatch_window") == [waiting]


def test_the_latest_incident_of_a_key_and_what_is_not_told_yet_stay(db: Database, connection: Direct) -> None:
    def incident(key: str, generation: int, **changes: Any) -> int:
        values = {
            "dedup_key": key, "generation": generation, "kind": "queue_age", "severity": "page", "status": "resolved",
            "resolved_at": "now()", **changes,
        }  # fmt: skip
        made = insert(connection, "alert_incident", values, "incident_id")
        connection.execute(
            "INSERT INTO alert_post (incident_id, seq, what, sink, outcome) VALUES (%s, 1, 'root', 'c', 'posted')",
            (made,),
        )
        return made

    gone, latest = incident("a", 1), incident("a", 2)
    untold, told_later = incident("b", 1, wanted_seq=2, posted_seq=1), incident("b", 2)
    connection.execute(f"UPDATE alert_incident SET opened_at = {OLD}, resolved_at = {OLD}")
    assert prune(db, "incidents") == 1
    assert rows(connection, "SELECT incident_id FROM alert_incident ORDER BY 1") == [latest, untold, told_later]
    assert rows(connection, "SELECT incident_id FROM alert_post ORDER BY 1") == [latest, untold, told_later]
    assert gone < latest


def finished(connection: Direct, state: str = "SUCCEEDED", at: str = OLD, **changes: Any) -> int:
    job = a_job(connection, state, **changes)
    connection.execute(f"UPDATE job SET finished_at = {at} WHERE job_id = {job}")
    return job


def brought_a_lead(connection: Direct, job: int) -> None:
    connection.execute(
        "INSERT INTO inbound_event (workspace, provider, dedupe_key, payload_sha256, job_id) "
        "VALUES ('acme', 'test', %s, repeat('0', 64), %s)",
        (str(job), job),
    )


def test_jobs_that_stay_do_not_keep_a_batch_from_those_behind_them(db: Database, connection: Direct) -> None:
    """Five leads are older than the jobs, and a batch looks at two rows: one that stopped there would delete nothing."""
    leads = [finished(connection, at="now() - interval '20 days'") for _ in range(5)]
    for lead in leads:
        brought_a_lead(connection, lead)
    jobs = [finished(connection) for _ in range(5)]
    dead = finished(connection, "DEAD")
    assert prune(db, "jobs") == len(jobs)
    assert rows(connection, "SELECT job_id FROM job ORDER BY 1") == [*leads, dead]
    assert prune(db, "lead_jobs") == len(leads)
    assert prune(db, "dead_letters") == 1


def test_jobs_that_finished_in_the_same_instant_are_all_found(db: Database, connection: Direct) -> None:
    for _ in range(7):
        a_job(connection, "SUCCEEDED")
    connection.execute("UPDATE job SET finished_at = '2020-01-01T00:00:00.123456Z'")
    assert prune(db, "jobs") == 7


def test_a_row_that_somebody_holds_is_left_to_the_next_time_and_not_waited_for(
    db: Database, connection: Direct
) -> None:
    held, free = finished(connection), finished(connection)
    with db.direct() as other, other.transaction():
        other.execute("SELECT FROM job WHERE job_id = %s FOR UPDATE", (held,))
        assert prune(db, "jobs") == 1
        assert rows(connection, "SELECT job_id FROM job") == [held]
    assert prune(db, "jobs") == 1
    assert free > held


def test_two_at_once_share_the_work(db: Database, connection: Direct) -> None:
    for _ in range(4):
        finished(connection)
    with db.begin() as one, db.begin() as other:
        first = pruning.delete(one, "jobs", age_seconds=TEN_DAYS, limit=3)
        second = pruning.delete(other, "jobs", age_seconds=TEN_DAYS, limit=4)
    assert (first.deleted, second.deleted) == (3, 1)


def test_it_stops_when_its_time_is_over_and_goes_on_the_next_time(db: Database, connection: Direct) -> None:
    for _ in range(5):
        finished(connection)
    (pruned,) = prune_classes(db, {"jobs": TEN_DAYS}, seconds=0.0, batch=2)
    assert (pruned.rows, pruned.done) == (0, False)

    def stop(_: str, rows: int) -> None:
        if rows == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune_classes(db, {"jobs": TEN_DAYS}, batch=2, on_batch=stop)
    assert rows(connection, "SELECT count(*) FROM job") == [1]
    assert prune(db, "jobs") == 1


#: Read whole on purpose: two rows a minute during canaries, and rows of handlers that run for long.
_SMALL = {"handler_sample", "canary_sample", "canary", "capacity_decision"}


def test_no_batch_reads_a_table_from_end_to_end(connection: Direct, many_old_rows: None) -> None:
    scanned = {}
    for name in BY_NAME:
        values: dict[str, Any] = {
            "age": TEN_DAYS,
            "limit": 10,
        }  # as small beside these tables as a batch beside real ones
        if name in ("jobs", "lead_jobs", "dead_letters"):
            values |= {"after": "-infinity", "after_id": 0}
        if name in ("attempts", "workspace_samples"):
            values["age"] *= (
                40  # without an order the first rows of the table may be taken; the case is that none is old
            )
        scanned[name] = scanned_whole(explain(connection, pruning.delete_sql(name), values, mode="custom")) - _SMALL
    assert {name: tables for name, tables in scanned.items() if tables} == {}


@pytest.fixture
def many_old_rows(connection: Direct) -> None:
    """Enough rows that reading a whole table is the wrong plan."""
    with connection.transaction():
        at = "now() - (n % 100) * interval '2.5 hours'"
        connection.execute(
            "INSERT INTO job (kind, workspace, state, run_at, first_due_at, finished_at, payload) "
            f"SELECT 'k', 'w', CASE WHEN n % 50 = 0 THEN 'DEAD' ELSE 'SUCCEEDED' END, now(), now(), {at}, '{{}}' FROM generate_series(1, 20000) n"
        )
        connection.execute(
            "INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, finished_at, outcome) "
            "SELECT n, 1, 1, 1, now(), now(), now() - (20000 - n) * interval '1 minute', 'SUCCEEDED' FROM generate_series(1, 20000) n"
        )
        connection.execute(
            "INSERT INTO function_run (shard, host, pid, lease_until, state, ended_at, end_reason) "
            f"SELECT 'shard-00', 'h', 1, now(), 'SUCCEEDED', {at}, 'empty' FROM generate_series(1, 20000) n"
        )
        connection.execute(
            "INSERT INTO dispatch_window (dispatch_key, shard, source, launch_by, state, closed_at, taken_at, function_run_id) "
            f"SELECT n::text, 'shard-00', 'cron', now(), 'CLOSED', {at}, now(), n FROM generate_series(1, 20000) n"
        )
        connection.execute("UPDATE function_run SET window_id = function_run_id")
        connection.execute(
            "INSERT INTO job_step (job_id, name, fence, result) SELECT n, 's', 1, '1' FROM generate_series(1, 20000) n"
        )
        connection.execute(
            "INSERT INTO inbound_event (workspace, provider, dedupe_key, payload_sha256, job_id) "
            "SELECT 'w', 'test', n::text, repeat('0', 64), n FROM generate_series(1, 20000, 3) n"
        )
        connection.execute(
            "INSERT INTO notification (workspace, job_id, dedupe_key, text, delivered_at, sink) "
            f"SELECT 'w', n, n::text, 't', {at}, 'c' FROM generate_series(1, 20000) n"
        )
        connection.execute(
            "INSERT INTO alert_incident (dedup_key, generation, kind, severity, status, opened_at, resolved_at) "
            f"SELECT 'k', n, 'queue_age', 'page', 'resolved', {at}, {at} FROM generate_series(1, 20000) n"
        )
        connection.execute(
            "INSERT INTO alert_post (incident_id, seq, what, sink, outcome) "
            "SELECT incident_id, 1, 'root', 'c', 'posted' FROM alert_incident"
        )
        for table, columns, values in (
            ("workspace_sample", "workspace, sampled_at, oldest_due_age_seconds, finished, failed, duplicates, sessions, lock_waiting, deadlocks",
             "'w' || n, now() - (20000 - n) * interval '1 minute', 0, 0, 0, 0, 0, 0, 0"),
            ("capacity_sample", "sampled_at, seconds, arrivals, finished, failed, retried, handler_seconds, due, running, workers, active_workspaces, sessions, lock_waiting, deadlocks, claims, claim_conflicts, connections_used, connections_max, provider_answers, provider_throttled, by_shard, deadlocks_total, run_counters",
             f"{at}, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '{{}}', 0, '{{}}'"),
            ("late_write", "refused_at, job_id, fence, function_run_id, wanted", f"{at}, n, 1, 1, 'x'"),
            ("recovery_decision", "decided_at, swept_by, signal, detail", f"{at}, 't', 'dead', 'x'"),
            ("recovery_observation", "last_seen_at, finding_key, observed_by, signal, would", f"{at}, n::text, 't', 'dead', 'x'"),
            ("contention_sample", "sampled_at, sessions, lock_waiting, longest_lock_wait_seconds, deadlocks, connections_used, connections_max",
             "now() - n * interval '1 minute', 0, 0, 0, 0, 0, 0"),
            ("health_sample", "sampled_at, pending_due, scheduled, running, dead, oldest_due_age_seconds, stale_function_runs, orphaned_windows, late_writes_refused, started_jobs, finished_jobs, verdict",
             f"{at}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'pass'"),
        ):  # fmt: skip
            connection.execute(f"INSERT INTO {table} ({columns}) SELECT {values} FROM generate_series(1, 20000) n")
    connection.execute("ANALYZE")
