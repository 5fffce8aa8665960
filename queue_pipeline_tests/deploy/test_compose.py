"""The Compose file agrees with the settings, the image and the code location, and starts nothing without its secrets."""

from __future__ import annotations

from typing import Any

import pytest

from queue_pipeline.http.caller import require_a_secret_beyond_loopback
from queue_pipeline.http.ui_guard import require_a_password_beyond_loopback
from queue_pipeline.settings import Settings, load_settings
from queue_pipeline_tests.deploy.files import (
    DEPLOY,
    IMAGE,
    SETTINGS,
    document,
    image_environment,
    interpolated,
    require_that_it_can_be_run,
)

COMPOSE: Any = document(DEPLOY / "compose.yaml")
SERVICES: Any = COMPOSE["services"]
OURS = sorted(set(SERVICES) - {"postgres"})
SECRETS = {"POSTGRES_PASSWORD": "p", "QUEUE_PIPELINE_UI_PASSWORD": "u", "CRON_SECRET": "c"}


def _environment(service: str, given: dict[str, str]) -> dict[str, str]:
    return {name: interpolated(value, given) for name, value in SERVICES[service]["environment"].items()}


@pytest.mark.parametrize("missing", SECRETS)
def test_without_one_of_its_secrets_nothing_starts(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        _environment("ingress", {name: value for name, value in SECRETS.items() if name != missing})


@pytest.mark.parametrize("service", OURS)
def test_its_environment_makes_settings_that_may_listen_beyond_loopback(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = _environment(service, SECRETS)
    assert set(environment) <= SETTINGS
    for name, value in {**image_environment(), **environment}.items():
        if name in SETTINGS:
            monkeypatch.setenv(name, value)
    settings = load_settings()
    require_a_secret_beyond_loopback(settings.http_host, settings.cron_secret)
    require_a_password_beyond_loopback(settings)


def test_every_program_connects_to_the_server_that_is_started() -> None:
    server = {name: interpolated(value, SECRETS) for name, value in SERVICES["postgres"]["environment"].items()}
    expected = "postgresql://{POSTGRES_USER}:{POSTGRES_PASSWORD}@postgres:5432/{POSTGRES_DB}".format(**server)
    assert {_environment(service, SECRETS)["QUEUE_PIPELINE_DATABASE_URL"] for service in OURS} == {expected}


def test_each_waits_for_what_can_be_waited_for() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            waited_for = SERVICES[other]
            if how["condition"] == "service_healthy":
                assert not waited_for.get("healthcheck", {}).get("disable"), f"{name} waits for {other}"
            else:
                assert (how["condition"], waited_for["restart"]) == ("service_completed_successfully", "no")
    assert set(SERVICES["code-location"]["depends_on"]) == {"migrate"}, "no code runs on an old schema"


@pytest.mark.parametrize("service", OURS)
def test_it_runs_this_versions_image_read_only_with_a_command_that_exists(service: str) -> None:
    program = SERVICES[service]
    assert (program["image"], program["read_only"], program["cap_drop"]) == (IMAGE, True, ["ALL"])
    mounted = dict(volume.split(":") for volume in program["volumes"])
    assert set(mounted) <= set(COMPOSE["volumes"])
    home, dagster_home = image_environment()["QUEUE_PIPELINE_HOME"], image_environment()["DAGSTER_HOME"]
    assert set(mounted.values()) == {home, f"{dagster_home}/storage"}
    command = program.get("command", ["queue-pipeline", "serve-http"])
    words = command[-1].split(" && ")[0].split() if command[0] == "sh" else command
    require_that_it_can_be_run([str(word) for word in words])
    if "--workspace" in words:
        assert words[words.index("--workspace") + 1] == f"{dagster_home}/workspace.yaml"


def test_ports_are_those_of_the_settings_and_of_the_code_location_and_only_this_machine_reaches_them() -> None:
    fields = Settings.model_fields
    for service, port in (("ingress", fields["http_port"].default), ("webserver", fields["ui_port"].default)):
        (published,) = SERVICES[service]["ports"]
        assert interpolated(published, {}) == f"127.0.0.1:{port}:{port}"
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["webserver", "ingress"]
    (known,) = document(DEPLOY / "workspace.yaml")["load_from"]
    location = known["grpc_server"]
    command = SERVICES[location["host"]]["command"]
    assert command[command.index("--port") + 1] == str(location["port"])
    assert command[command.index("--location-name") + 1] == location["location_name"]
