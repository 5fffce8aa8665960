from collections.abc import Iterator

import dagster as dg
import pytest

from queue_pipeline.defs.alerts import alert_incidents, alert_sensor
from queue_pipeline_tests.defs.conftest import Shell
from queue_pipeline_tests.engine.alerting import Trouble
from queue_pipeline_tests.integrations.slack_server import CHANNEL, TOKEN, SlackServer, slack_server


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackServer]:
    with slack_server() as server:
        monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
        monkeypatch.setenv("SLACK_CHANNEL", CHANNEL)
        monkeypatch.setenv("SLACK_API_URL", server.url)
        yield server


@pytest.fixture
def trouble(shell: Shell) -> Trouble:
    return Trouble(shell.db)


def told(shell: Shell) -> str:
    return str(shell.tick(alert_sensor).skip_reason.skip_message)


def test_a_tick_with_nothing_to_do_says_so(shell: Shell, trouble: Trouble) -> None:
    assert told(shell) == "Nothing is wrong."
    assert shell.rows("SELECT evaluated_by FROM alert_mark") == [("alert sensor",)]


def test_ticks_fire_one_root_and_say_what_they_did(shell: Shell, trouble: Trouble, slack: SlackServer) -> None:
    trouble.stale_run()
    assert told(shell) == (
        "local:stale_run:drain (generation 1): firing. root of local:stale_run:drain (generation 1): posted."
    )
    assert told(shell) == "1 incident is open; nothing changed."
    assert len(slack.roots()) == 1


def test_a_tick_delivers_what_no_handler_delivered(shell: Shell, trouble: Trouble, slack: SlackServer) -> None:
    trouble.run(
        "INSERT INTO notification (workspace, job_id, dedupe_key, text) VALUES ('acme', 1, 'k', 'a dead letter')"
    )
    assert "1 notifications were delivered that no handler had delivered." in told(shell)
    assert slack.notices() == ["a dead letter"]


def test_a_tick_survives_a_database_that_is_away(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_PIPELINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    assert "PostgreSQL is not answering" in told(shell)


def test_the_asset_shows_incidents_and_what_could_not_be_posted(
    shell: Shell, trouble: Trouble, slack: SlackServer
) -> None:
    slack.always["*"] = "not_in_channel"
    trouble.stale_run()
    told(shell)
    result = dg.materialize([alert_incidents], instance=shell.instance, resources=shell.resources)
    assert result.success
    metadata = result.asset_materializations_for_node("alert_incidents")[0].metadata
    assert metadata["firing"].value == 1
    assert metadata["not_told"].value == 1
    assert "local:stale_run:drain could not be posted: Slack refused" in str(metadata["summary"].value)
    assert TOKEN not in str(metadata)
