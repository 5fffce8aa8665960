"""The values for Dagster's chart give Dagster the same instance as dagster.yaml, with each run as a Kubernetes job.

The chart is a template in another language. What it writes into dagster.yaml is restated here in `_rendered`, from its
templates `configmap-instance.yaml`, `_run-launcher.tpl` and `_postgresql.tpl`.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml  # type: ignore[import-untyped]
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config
from dagster_k8s import K8sRunLauncher
from dagster_postgres.utils import pg_url_from_config

from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import drain
from queue_pipeline.settings import Settings
from queue_pipeline.wiring import dagster_database_url
from queue_pipeline_tests.deploy.files import DEPLOY, IMAGE, document, image_environment, manifests
from queue_pipeline_tests.docs.markdown import REPOSITORY

VALUES: Any = document(DEPLOY / "helm" / "values.yaml")
OURS: Any = document(REPOSITORY / "dagster.yaml")
LAUNCHER: Any = K8sRunLauncher.config_type()  # type: ignore[no-untyped-call]


def _launcher() -> dict[str, Any]:
    given = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    run = given["runK8sConfig"]
    return {
        "load_incluster_config": True,
        "job_namespace": "default",
        "image_pull_policy": given["imagePullPolicy"],
        "service_account_name": "dagster",
        "dagster_home": VALUES["global"]["dagsterHome"],
        "instance_config_map": "dagster-instance",
        "postgres_password_secret": VALUES["global"]["postgresqlSecretName"],
        "env_secrets": [each["name"] for each in given["envSecrets"]],
        "run_k8s_config": {
            "container_config": run["containerConfig"],
            "pod_spec_config": run["podSpecConfig"],
            "job_spec_config": run["jobSpecConfig"],
        },
    }


def _postgres() -> dict[str, Any]:
    given = VALUES["postgresql"]
    return {
        "postgres_db": {
            "username": given["postgresqlUsername"],
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": given["postgresqlHost"],
            "db_name": given["postgresqlDatabase"],
            "port": given["service"]["port"],
            "params": given["postgresqlParams"],
        }
    }


def _rendered() -> dict[str, Any]:
    storages = {
        "schedule_storage": ("dagster_postgres.schedule_storage", "PostgresScheduleStorage"),
        "run_storage": ("dagster_postgres.run_storage", "PostgresRunStorage"),
        "event_log_storage": ("dagster_postgres.event_log", "PostgresEventLogStorage"),
    }
    return {
        "scheduler": {"module": "dagster._core.scheduler", "class": "DagsterDaemonScheduler"},
        **{name: {"module": m, "class": c, "config": _postgres()} for name, (m, c) in storages.items()},
        "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": _launcher()},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
        "telemetry": {"enabled": VALUES["telemetry"]["enabled"]},
        **VALUES["additionalInstanceConfig"],
    }


def test_the_instance_has_the_limits_the_monitoring_and_the_retention_of_dagster_yaml() -> None:
    elsewhere = {"storage", "telemetry"}
    assert VALUES["additionalInstanceConfig"] == {name: OURS[name] for name in OURS if name not in elsewhere}
    assert VALUES["telemetry"] == OURS["telemetry"]
    daemon = VALUES["dagsterDaemon"]
    written_by_the_chart = [daemon[name]["enabled"] for name in ("runCoordinator", "runMonitoring")]
    written_by_the_chart += [daemon[name]["useThreads"] for name in ("sensors", "schedules")]
    assert not any([*written_by_the_chart, VALUES["retention"]["enabled"]]), "a section would be there twice"


def test_dagster_accepts_the_instance_that_the_chart_writes(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(_rendered()), encoding="utf-8")
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["run_launcher"]["class"] == "K8sRunLauncher"
    assert config["concurrency"] == OURS["concurrency"]


def test_dagster_accepts_the_launcher_and_would_refuse_a_misspelled_key() -> None:
    accepted = process_config(LAUNCHER, _launcher())
    assert accepted.success, accepted.errors
    assert not process_config(LAUNCHER, {**_launcher(), "env_secret": []}).success


def test_a_dagster_run_that_is_told_to_stop_has_the_time_it_takes() -> None:
    pod = _launcher()["run_k8s_config"]["pod_spec_config"]
    takes = Limits().termination_grace_seconds + drain._ENDING_SECONDS + Limits().heartbeat_seconds * 2
    assert takes < pod["terminationGracePeriodSeconds"]


def test_the_charts_storage_and_ours_are_the_same_tables() -> None:
    (secret,) = [each["stringData"] for each in manifests("Secret")]
    ours = urlsplit(dagster_database_url(Settings(database_url=secret["QUEUE_PIPELINE_DATABASE_URL"])))
    connection = _postgres()["postgres_db"] | {"password": secret["postgresql-password"]}
    theirs = urlsplit(pg_url_from_config({"postgres_db": connection}))
    assert (theirs.netloc, theirs.path) == (ours.netloc, ours.path)
    assert parse_qs(theirs.query) == parse_qs(ours.query)


def test_the_code_location_is_this_versions_image_with_this_versions_dagster() -> None:
    (location,) = VALUES["dagster-user-deployments"]["deployments"]
    assert f"{location['image']['repository']}:{location['image']['tag']}" == IMAGE
    assert VALUES["dagsterDaemon"]["image"] == location["image"]
    assert f"--version {metadata.version('dagster')}" in (DEPLOY / "helm" / "values.yaml").read_text(encoding="utf-8")
    (known,) = document(DEPLOY / "workspace.yaml")["load_from"]
    arguments = location["dagsterApiGrpcArgs"]
    assert (location["port"], arguments[-1]) == (known["grpc_server"]["port"], known["grpc_server"]["location_name"])
    assert arguments[:2] == ["--module-name", "queue_pipeline.definitions"]


def test_dagsters_home_is_the_images_and_nobody_without_a_password_sees_the_ui() -> None:
    assert VALUES["global"]["dagsterHome"] == image_environment()["DAGSTER_HOME"]
    assert VALUES["dagsterWebserver"]["replicaCount"] == 0
    (webserver,) = [each for each in manifests("Deployment") if each["metadata"]["name"].endswith("-webserver")]
    pod = webserver["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert f"{VALUES['global']['dagsterHome']}/dagster.yaml" in {
        mount["mountPath"] for mount in container["volumeMounts"]
    }
    assert {"dagster-instance", "dagster-workspace-yaml"} == {
        v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v
    }


@pytest.mark.parametrize("name", ["dagster", "dagster-k8s", "dagster-postgres"])
def test_dagsters_family_is_of_one_release(name: str) -> None:
    assert metadata.version(name).rpartition(".")[2] == metadata.version("dagster").rpartition(".")[2]
