"""With no Dagster anywhere the ingress samples, evaluates, posts, delivers and settles messages by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from queue_pipeline.engine.send_provider import send_providers
from queue_pipeline.http import background
from queue_pipeline.http.app import create_app
from queue_pipeline.integrations.http_provider import HttpProvider
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database
from queue_pipeline.wiring import teller
from queue_pipeline_tests.engine.alerting import Trouble
from queue_pipeline_tests.http.conftest import CRON, IngressProcess, served
from queue_pipeline_tests.integrations.slack_server import CHANNEL, TOKEN, SlackServer, slack_server
from queue_pipeline_tests.sends.provider_server import Provider, serving
from queue_pipeline_tests.store.messages import a_message, an_attempt
from queue_pipeline_tests.waiting import eventually


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with slack_server() as server:
        yield server


def to_slack(settings: Settings, slack: SlackServer) -> Settings:
    return Settings.model_validate(
        {**settings.model_dump(), "slack_bot_token": TOKEN, "slack_channel": CHANNEL, "slack_api_url": slack.url}
    )


@pytest.mark.faults
def test_a_silent_watchdog_is_told_by_the_ingress_alone(
    start_ingress: Callable[..., IngressProcess], database_url: str, db: Database, slack: SlackServer
) -> None:
    """The Dagster daemon is dead: nobody sweeps, nobody samples, and yet somebody is called."""
    trouble = Trouble(db)
    trouble.run("UPDATE sweep_mark SET swept_at = now() - interval '8 hours'")
    trouble.run("DELETE FROM health_sample")
    trouble.run(
        "INSERT INTO notification (workspace, job_id, dedupe_key, text) VALUES ('acme', 1, 'k', 'a dead letter')"
    )
    start_ingress(database_url, SLACK_BOT_TOKEN=TOKEN, SLACK_CHANNEL=CHANNEL, SLACK_API_URL=slack.url)
    eventually(
        lambda: trouble.incidents() == [("watchdog_silent", 1, "pending")], within=20, what="the first evaluation"
    )
    eventually(lambda: trouble.run("SELECT 1 FROM health_sample"), within=20, what="the ingress to sample")
    eventually(lambda: slack.notices() == ["a dead letter"], within=20, what="the notice to be delivered")
    trouble.pass_time(61)
    eventually(lambda: slack.generations("watchdog_silent") == [1], within=30, what="the alert")


def test_a_sample_that_somebody_took_is_not_taken_again(settings: Settings, db: Database) -> None:
    trouble = Trouble(db)
    assert not teller(settings, db).sample_if_missing()
    trouble.run("UPDATE health_sample SET sampled_at = now() - interval '2 minutes'")
    assert teller(settings, db).sample_if_missing()
    assert not teller(settings, db).sample_if_missing()


def test_one_step_that_fails_keeps_no_other_from_happening(
    settings: Settings, db: Database, slack: SlackServer
) -> None:
    trouble = Trouble(db)
    trouble.run("ALTER TABLE alert_incident RENAME TO lost")
    trouble.run(
        "INSERT INTO notification (workspace, job_id, dedupe_key, text) VALUES ('acme', 1, 'k', 'a dead letter')"
    )
    loop = background.alerts(teller(to_slack(settings, slack), db), every_seconds=0.05)
    loop.start()
    eventually(lambda: slack.notices() == ["a dead letter"], within=20, what="the notice to be delivered")
    trouble.run("ALTER TABLE lost RENAME TO alert_incident")
    trouble.stale_run()
    eventually(lambda: slack.generations("stale_run") == [1], within=20, what="the alert, after the trouble is over")
    loop.close(seconds=20)


def test_a_call_of_cron_is_a_turn_of_alerting_too(settings: Settings, db: Database, slack: SlackServer) -> None:
    trouble = Trouble(db)
    with served(create_app(to_slack(settings, slack), db)) as client:
        eventually(lambda: trouble.run("SELECT 1 FROM alert_mark"), within=20, what="the loop's first turn")
        trouble.run(
            "WITH c AS (INSERT INTO canary (state, candidate, share, warm_up_seconds, window_seconds, samples_min, started_min,"
            " started_by, why, ended_at, ended_by, end_reason) VALUES ('ROLLED_BACK', '{\"drafts.auto_send\": \"on\"}', 10, 600,"
            " 3600, 55, 200, 'olga', 'try it', now(), 'rollback', 'p95 612 s') RETURNING canary_id)"
            " INSERT INTO rollback (canary_id, mode, rule, why) SELECT canary_id, 'enforce', 'queue_age', 'p95 612 s' FROM c"
        )
        said = client.post(CRON).json()["alerts"]
    assert "local:rollback:canary (generation 1): firing." in said
    assert slack.generations("rollback") == [1]


@pytest.mark.faults
def test_messages_in_doubt_and_messages_due_are_settled_by_the_ingress_alone(
    start_ingress: Callable[..., IngressProcess], database_url: str, db: Database
) -> None:
    """Nobody drains, no daemon runs: what a killed drain left is asked for, what was to be tried again is sent."""
    provider = Provider([], honours_keys=True)
    provider.deliver("1" * 64, {"text": "Was it sent?"})
    with db.direct() as connection:
        doubtful = a_message(
            connection, "SENDING", account="default", idempotency_key="1" * 64, deadline_at="now()", epoch=1, attempt=1
        )
        an_attempt(connection, doubtful)
        due = a_message(connection, "READY", account="default", body="Later")
    with serving(provider) as url:
        start_ingress(database_url, QUEUE_PIPELINE_SEND_PROVIDER="http", QUEUE_PIPELINE_SEND_HTTP_URL=url)
        trouble = Trouble(db)
        eventually(
            lambda: (
                trouble.run("SELECT outbound_message_id, state FROM outbound_message ORDER BY 1")
                == [(doubtful, "SENT"), (due, "SENT")]
            ),
            within=30,
            what="the ingress to settle both",
        )
    assert [entry["text"] for entry in provider.delivered] == ["Was it sent?", "Later"]


def test_a_provider_that_hangs_holds_up_no_alert(settings: Settings, db: Database) -> None:
    """Alerts and messages have threads of their own."""
    provider = Provider(["hang"], honours_keys=True)
    with db.direct() as connection:
        a_message(connection, "READY", account="default")
    trouble = Trouble(db)
    with serving(provider) as url, slack_server() as slack:
        send_providers.register(HttpProvider(url), default=False)
        with served(create_app(to_slack(settings, slack), db)):
            eventually(lambda: provider.requests == 1, within=20, what="the provider to be asked")
            trouble.run(
                "INSERT INTO notification (workspace, job_id, dedupe_key, text) VALUES ('acme', 1, 'k', 'a dead letter')"
            )
            eventually(lambda: slack.notices() == ["a dead letter"], within=20, what="the notice to be delivered")
            provider.released.set()
