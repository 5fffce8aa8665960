from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from queue_pipeline.definitions import defs
from queue_pipeline.defs import retention
from queue_pipeline.engine.dagster_run import database_time
from queue_pipeline.store.dagster_schema import forget_checks
from queue_pipeline_tests.defs.conftest import Shell


def purge(shell: Shell, **config: Any) -> dg.ExecuteInProcessResult:
    result: dg.ExecuteInProcessResult = defs.resolve_job_def("retention").execute_in_process(
        run_config={"ops": {"purge_history": {"config": config}}}, instance=shell.instance, resources=shell.resources
    )
    return result


def test_old_ended_runs_go_with_their_files_and_the_rest_stays(
    shell: Shell, a_run: Callable[..., dg.DagsterRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, living = a_run("drain", dg.DagsterRunStatus.SUCCESS), a_run("drain", dg.DagsterRunStatus.STARTED)
    files = Path(shell.instance.storage_directory()) / ended.run_id
    files.mkdir(parents=True)
    (files / "log").write_text("text")
    purge(shell)
    assert shell.instance.has_run(ended.run_id), "it is younger than a week"
    later = database_time(shell.db) + timedelta(days=8)
    monkeypatch.setattr(retention, "database_time", lambda _: later)
    purge(shell)
    assert not shell.instance.has_run(ended.run_id)
    assert not files.exists()
    assert shell.instance.has_run(living.run_id)


def test_one_purge_is_bounded(
    shell: Shell, a_run: Callable[..., dg.DagsterRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [a_run("drain", dg.DagsterRunStatus.SUCCESS) for _ in range(3)]
    monkeypatch.setattr(retention, "database_time", lambda _: datetime(2100, 1, 1, tzinfo=UTC))
    purge(shell, runs_max=2)
    assert [shell.instance.has_run(run.run_id) for run in runs] == [False, False, True]


def test_old_rows_go_by_their_classes_and_the_metadata_says_how_many(shell: Shell) -> None:
    shell.put(count=3)
    shell.rows(
        "INSERT INTO job (kind, workspace, state, run_at, first_due_at, finished_at, payload) "
        "SELECT 'k', 'w', 'SUCCEEDED', now(), now(), now() - n * interval '1 day', '{}' FROM generate_series(5, 9) n"
    )
    result = purge(shell, days={"jobs": 7, "health_samples": 1})
    (metadata,) = [event.step_output_data.metadata for event in result.all_events if event.is_successful_output]
    by_class_table = metadata["by_class"]
    assert isinstance(by_class_table, dg.TableMetadataValue)
    by_class = {row["class"]: row for row in (record.data for record in by_class_table.records)}
    assert (by_class["jobs"]["rows"], by_class["jobs"]["days"], by_class["jobs"]["done"]) == ("3", "7", "True")
    assert (by_class["health_samples"]["days"], by_class["late_writes"]["days"]) == ("1", "90")
    assert metadata["rows"].value == 3
    assert shell.states() == {"PENDING": 3, "SUCCEEDED": 2}


def test_the_operator_chooses_how_long_jobs_are_kept(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_PIPELINE_KEEP_JOBS_DAYS", "2")
    shell.rows(
        "INSERT INTO job (kind, workspace, state, run_at, first_due_at, finished_at, payload) "
        "SELECT 'k', 'w', 'SUCCEEDED', now(), now(), now() - n * interval '1 day', '{}' FROM generate_series(1, 4) n"
    )
    purge(shell)
    assert shell.states() == {"SUCCEEDED": 1}


def test_dagsters_asset_checks_go_with_their_runs_but_the_latest(shell: Shell, database_url: str) -> None:
    """In Dagster's own table, which it never prunes; the rest of the row is Dagster's and none of our business."""
    shell.rows("CREATE SCHEMA dagster")
    shell.rows("CREATE TABLE dagster.runs (run_id text)")
    shell.rows(
        "CREATE TABLE dagster.asset_check_executions (id bigserial, asset_key text, check_name text, run_id text)"
    )
    shell.rows("INSERT INTO dagster.runs VALUES ('kept')")
    shell.rows(
        "INSERT INTO dagster.asset_check_executions (asset_key, check_name, run_id) VALUES "
        "('a', 'c', 'gone'), ('a', 'c', 'kept'), ('a', 'c', 'gone'), ('a', 'c', 'kept'), ('a', 'd', 'gone'), ('a', 'd', 'gone')"
    )
    assert forget_checks(database_url, batch=2) == 3
    assert [row[0] for row in shell.rows("SELECT id FROM dagster.asset_check_executions ORDER BY 1")] == [2, 4, 6]
    assert forget_checks(database_url) == 0


def test_a_storage_without_asset_checks_is_left_alone(database_url: str) -> None:
    assert forget_checks(database_url) == 0


def test_a_period_of_no_days_is_refused(shell: Shell) -> None:
    with pytest.raises(Exception, match="dagster_runs_days"):
        purge(shell, dagster_runs_days=0)
