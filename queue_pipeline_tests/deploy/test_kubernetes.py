"""The manifests are what Kubernetes accepts, and agree with the settings, the limits and the image."""

from __future__ import annotations

import copy
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from queue_pipeline.domain.lane import shard_names
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import drain
from queue_pipeline.http.app import create_app
from queue_pipeline.http.caller import require_a_secret_beyond_loopback
from queue_pipeline.http.ui_guard import require_a_password_beyond_loopback
from queue_pipeline.settings import Settings, load_settings
from queue_pipeline.store.session import Database
from queue_pipeline_tests.deploy.files import (
    IMAGE,
    SETTINGS,
    dockerfile,
    image_environment,
    manifests,
    require_that_it_can_be_run,
)
from queue_pipeline_tests.http.conftest import served

#: Resources of extensions, whose schemas are not among those that Kubernetes publishes.
EXTENSIONS = {"ScaledObject"}
ORDINARY = [each for each in manifests() if each["kind"] not in EXTENSIONS]
WORKLOADS = [each for each in manifests() if "template" in each.get("spec", {})]
OLDEST, NEWEST = "1.30", "1.37"


def _named(resource: Any) -> str:
    return f"{resource['kind']}-{resource['metadata']['name']}"


def _container(workload: Any) -> Any:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return container


def _only(kind: str, name: str) -> Any:
    (found,) = [each for each in manifests(kind) if each["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("resource", ORDINARY, ids=_named)
def test_kubernetes_accepts_it_without_an_unknown_field(resource: Any, version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_a_misspelled_field_would_be_refused() -> None:
    broken = copy.deepcopy(WORKLOADS[0])
    broken["spec"]["template"]["spec"]["terminationGraceSeconds"] = 60
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, NEWEST, strict=True)


@pytest.mark.parametrize("workload", WORKLOADS, ids=_named)
def test_it_runs_this_versions_image_as_nobody_in_particular_and_writes_only_where_it_may(workload: Any) -> None:
    pod, container = workload["spec"]["template"]["spec"], _container(workload)
    assert container["image"] == IMAGE
    (user,) = [words for name, words in dockerfile() if name == "USER"]
    identity = pod["securityContext"]
    assert f"{identity['runAsUser']}:{identity['runAsGroup']}" == user
    assert identity["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    places = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/tmp", image_environment()["QUEUE_PIPELINE_HOME"]} <= places
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("workload", WORKLOADS, ids=_named)
def test_its_command_exists(workload: Any) -> None:
    command = _container(workload)["command"]
    line = command[-1] if command[:2] == ["sh", "-c"] else shlex.join(command)
    for part in line.split("&&"):
        require_that_it_can_be_run(shlex.split(part.replace("exec ", "")))


def test_the_secret_makes_settings_that_may_listen_beyond_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = _only("Secret", "queue-pipeline")["stringData"]
    assert set(secret) <= SETTINGS | {"postgresql-password"}
    for name, value in {**image_environment(), **secret}.items():
        if name in SETTINGS:
            monkeypatch.setenv(name, value)
    settings = load_settings()
    require_a_secret_beyond_loopback(settings.http_host, settings.cron_secret)
    require_a_password_beyond_loopback(settings)
    assert f":{secret['postgresql-password']}@" in (settings.database_url or "")


def test_ports_are_those_of_the_settings() -> None:
    fields = Settings.model_fields
    for name, port in (
        ("queue-pipeline-ingress", fields["http_port"].default),
        ("queue-pipeline-webserver", fields["ui_port"].default),
    ):
        assert _container(_only("Deployment", name))["ports"] == [{"name": "http", "containerPort": port}]
        assert [each["port"] for each in _only("Service", name)["spec"]["ports"]] == [port]
    scraped = _only("Deployment", "queue-pipeline-ingress")["spec"]["template"]["metadata"]["annotations"]
    assert scraped["prometheus.io/port"] == str(fields["http_port"].default)


def test_a_drain_that_is_told_to_stop_has_the_time_it_takes() -> None:
    limits = Limits()
    takes = limits.termination_grace_seconds + drain._ENDING_SECONDS + limits.heartbeat_seconds * 2
    pod = _only("StatefulSet", "queue-pipeline-drains")["spec"]["template"]["spec"]
    assert takes < pod["terminationGracePeriodSeconds"]


def test_the_pods_share_the_shards_and_every_shard_has_one(tmp_path: Path) -> None:
    """The command runs in a real shell, with a program of that name that prints its arguments."""
    program = tmp_path / "queue-pipeline"
    program.write_text('#!/bin/sh\necho "$3"\n', encoding="ascii")
    program.chmod(0o755)
    command = _container(_only("StatefulSet", "queue-pipeline-drains"))["command"]
    shards = int(_only("Secret", "queue-pipeline")["stringData"]["QUEUE_PIPELINE_SHARDS"])
    drained = [
        subprocess.run(
            command,
            env={
                "PATH": f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin",
                "POD_INDEX": str(index),
                "QUEUE_PIPELINE_SHARDS": str(shards),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for index in range(2 * shards)
    ]
    assert drained == shard_names(shards) * 2


def test_what_keda_scales_exists_and_every_shard_keeps_a_drain() -> None:
    (scaled,) = manifests("ScaledObject")
    target = scaled["spec"]["scaleTargetRef"]
    replicas = _only(target["kind"], target["name"])["spec"]["replicas"]
    shards = int(_only("Secret", "queue-pipeline")["stringData"]["QUEUE_PIPELINE_SHARDS"])
    assert scaled["spec"]["minReplicaCount"] == scaled["spec"]["fallback"]["replicas"] == replicas == shards
    assert scaled["spec"]["maxReplicaCount"] > shards


def test_the_gauge_that_keda_asks_for_is_served(settings: Settings, db: Database) -> None:
    (scaled,) = manifests("ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    asked = set(re.findall(r"queue_pipeline_\w+", trigger["metadata"]["query"]))
    with served(create_app(settings, db)) as client:
        told = set(re.findall(r"^# TYPE (\w+) gauge", client.get("/metrics").text, re.MULTILINE))
    assert asked
    assert asked <= told
