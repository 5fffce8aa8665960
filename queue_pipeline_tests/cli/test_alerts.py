from collections.abc import Iterator

import pytest

from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command
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
def trouble(db: Database) -> Trouble:
    return Trouble(db)


def test_a_queue_that_never_had_an_incident_says_so(run: Command) -> None:
    listed = run("alerts")
    assert (listed.code, listed.out) == (0, "")
    assert "never an incident" in listed.err
    assert run("alerts", "--json").data == []


def test_an_evaluation_posts_and_the_list_shows_who_was_told(
    run: Command, trouble: Trouble, slack: SlackServer
) -> None:
    trouble.stale_run()
    evaluated = run("alerts", "evaluate")
    assert evaluated.code == 0
    assert "local:stale_run:drain (generation 1): firing." in evaluated.out
    assert len(slack.roots()) == 1
    (incident,) = run("alerts", "list", "--json").data
    assert (incident["status"], incident["sink"]) == ("firing", f"slack:{CHANNEL}")
    shown = run("alerts")
    assert shown.code == 1, "while something fires, a script can see it"
    assert "local:stale_run:drain" in shown.out
    assert run("health", "--json").data["open_incidents"] == 1


def test_without_a_token_the_console_is_told(run: Command, trouble: Trouble) -> None:
    trouble.stale_run()
    evaluated = run("alerts", "evaluate")
    assert "alert: [local] FIRING (page) Stale function run" in evaluated.err
    assert run("alerts", "--json").data[0]["sink"] == "console"


def test_a_refused_post_names_the_remedy_and_fails_the_command(
    run: Command, trouble: Trouble, slack: SlackServer
) -> None:
    slack.always["*"] = "channel_not_found"
    trouble.stale_run()
    evaluated = run("alerts", "evaluate")
    assert evaluated.code == 1
    assert "channel_not_found. Set SLACK_CHANNEL" in evaluated.out
    assert "alert: [local] FIRING" in evaluated.err, "the console is told instead"
    assert "channel_not_found" in run("alerts").err
    assert TOKEN not in evaluated.out + evaluated.err


def test_the_path_can_be_proved(run: Command, slack: SlackServer) -> None:
    proved = run("alerts", "test")
    assert proved.code == 0
    assert f"Posted to {CHANNEL}" in proved.out
    assert "TEST: alerts arrive here" in slack.messages[0]["text"]
    slack.always["*"] = "invalid_auth"
    refused = run("alerts", "test")
    assert refused.code == 2
    assert "SLACK_BOT_TOKEN" in refused.err
    assert "Traceback" not in refused.err


def test_where_alerts_go_is_said_when_a_drain_starts(run: Command) -> None:
    assert "No SLACK_BOT_TOKEN and no SLACK_CHANNEL: alerts and notifications go to the console." in run(
        "drain", "--until-empty"
    ).err  # fmt: skip
