from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.config import dagster_instance_config
from dagster_shared.yaml_utils import load_yaml_from_path

from queue_pipeline import definitions

ROOT = Path(definitions.__file__).parent.parent


def test_the_definitions_load_with_every_reference_resolved() -> None:
    dg.Definitions.validate_loadable(definitions.defs)


def test_every_schedule_and_sensor_runs_without_being_switched_on() -> None:
    repository = definitions.defs.get_repository_def()
    clocks: list[dg.ScheduleDefinition | dg.SensorDefinition] = [*repository.schedule_defs, *repository.sensor_defs]
    assert {clock.default_status.value for clock in clocks} == {"RUNNING"}


def test_every_job_and_asset_says_what_it_is_for() -> None:
    repository = definitions.defs.get_repository_def()
    named = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    assert {job.name for job in named} == {
        "abort_canary", "acknowledge_rollback", "hold_canary", "promote_canary", "resume_canary", "start_canary", "undo_rollback",
        "override_capacity", "release_capacity", "escalate_quota", "return_quota", "set_workspace_eligible", "set_workspace_quota", "set_workspace_weight",
        "approve_draft", "audit_sends", "cancel_job", "decide_rollout", "decide_send", "drain", "flip_flag", "measure_health", "pause", "prove_alert_path",
        "reconcile_sends", "recover", "reject_draft", "relief", "replay_dead_letters", "replay_leads", "resume", "retention", "stop_drains", "trace",
    }  # fmt: skip
    assert all(job.description for job in named)
    assert all(spec.description for spec in definitions.defs.resolve_all_asset_specs())


def test_only_ordinary_drains_count_against_the_limit_on_drains() -> None:
    repository = definitions.defs.get_repository_def()
    roles = {job.name: job.tags.get("queue_pipeline/role") for job in repository.get_all_jobs()}
    assert [name for name, role in roles.items() if role == "drain"] == ["drain"]


def test_sensors_ask_for_the_shortest_interval_that_the_daemon_keeps() -> None:
    repository = definitions.defs.get_repository_def()
    assert all(1 <= (sensor.minimum_interval_seconds or 30) <= 4 for sensor in repository.sensor_defs)


def test_dagster_accepts_the_instance_file_as_it_stands() -> None:
    config, _ = dagster_instance_config(str(ROOT))
    runs = config["concurrency"]["runs"]
    drains = runs["tag_concurrency_limits"][0]["limit"]
    assert runs["max_concurrent_runs"] > drains, "drains must never be able to take every slot"
    assert config["telemetry"] == {"enabled": False}


def test_the_instance_file_holds_no_address_and_no_password() -> None:
    assert "://" not in (ROOT / "dagster.yaml").read_text()


def test_the_workspace_file_names_the_definitions() -> None:
    (target,) = load_yaml_from_path(str(ROOT / "workspace.yaml"))["load_from"]  # type: ignore[index]
    assert target["python_module"]["module_name"] == "queue_pipeline.definitions"


@pytest.mark.parametrize("path", sorted((ROOT / "queue_pipeline" / "defs").glob("*.py")), ids=lambda path: path.name)
def test_no_module_of_the_shell_postpones_its_annotations(path: Path) -> None:
    assert "from __future__ import annotations" not in path.read_text(), "Dagster reads annotations when it loads"
