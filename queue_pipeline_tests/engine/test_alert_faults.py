"""Whatever the sink does with a post: one root per generation, nothing lost, and nobody waits for long."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from queue_pipeline.domain.posting import BACKOFF_MAX_SECONDS
from queue_pipeline.engine.alert import Alerting, evaluate, post
from queue_pipeline.integrations.console import ConsoleSink
from queue_pipeline.integrations.slack import SlackSink
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.alerting import Trouble, alerting_to, tick
from queue_pipeline_tests.integrations.slack_server import ACCEPTS, CHANNEL, NAME, TOKEN, SlackServer, slack_server


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with slack_server() as server:
        yield server


@pytest.fixture
def trouble(db: Database) -> Trouble:
    return Trouble(db)


FAULTS = {
    "429": "not_sent", "500": "ambiguous", "500_after": "ambiguous", "drop": "ambiguous", "drop_before": "ambiguous",
    "hang": "ambiguous", "hang_before": "ambiguous", "garbage": "ambiguous", "fatal_error": "ambiguous",
    "internal_error": "ambiguous", "ratelimited": "not_sent", "invalid_auth": "refused", "channel_not_found": "refused",
    "not_in_channel": "refused",
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_root_is_posted_once_whatever_its_first_post_met(
    db: Database, trouble: Trouble, slack: SlackServer, fault: str
) -> None:
    alerting = alerting_to(slack)
    slack.retry_after = "7"
    slack.next_answers("chat.postMessage", fault)
    trouble.stale_run()
    evaluate(db, alerting, by="test")
    began = time.monotonic()
    (first,) = post(db, alerting, by="test", seconds=2.0)
    assert time.monotonic() - began < 10
    assert first.outcome == FAULTS[fault]
    assert post(db, alerting, by="test") == [], "a failure is not repeated at once"
    trouble.pass_time(BACKOFF_MAX_SECONDS)
    (again,) = post(db, alerting, by="test")
    assert again.outcome == ("adopted" if fault in ACCEPTS else "posted")
    assert slack.generations("stale_run") == [1]
    trouble.end_runs()
    tick(db, alerting)
    trouble.pass_time(301)
    tick(db, alerting)
    (root,) = slack.roots()
    assert "RESOLVED" in root["text"]
    assert len(slack.replies()) == 1


def test_an_ambiguous_root_waits_as_long_as_nobody_can_be_asked(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    slack.next_answers("chat.postMessage", "drop")
    slack.always["conversations.history"] = "500"
    trouble.stale_run()
    tick(db, alerting)
    for _ in range(5):
        trouble.pass_time(BACKOFF_MAX_SECONDS)
        tick(db, alerting)
    assert len(slack.roots()) == 1
    assert trouble.run("SELECT root_ts FROM alert_incident") == [(None,)]
    del slack.always["conversations.history"]
    trouble.pass_time(BACKOFF_MAX_SECONDS)
    (adopted,) = tick(db, alerting).posts
    assert adopted.outcome == "adopted"
    assert len(slack.roots()) == 1


def test_a_resolve_while_the_root_was_in_doubt_still_edits_that_root(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    slack.next_answers("chat.postMessage", "drop")
    slack.always["conversations.history"] = "500"
    trouble.stale_run()
    tick(db, alerting)
    trouble.end_runs()
    tick(db, alerting)
    trouble.pass_time(301)
    tick(db, alerting)
    slack.always.clear()
    trouble.pass_time(301)
    tick(db, alerting)
    (root,) = slack.roots()
    assert "RESOLVED" in root["text"]
    assert trouble.run("SELECT posted_seq = wanted_seq FROM alert_incident") == [(True,)]


def test_where_reading_is_never_allowed_an_ambiguous_root_is_posted_again(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    """At least once: without the scope to look, silence would be worse than a copy."""
    alerting = alerting_to(slack)
    slack.next_answers("chat.postMessage", "drop")
    slack.always["conversations.history"] = "missing_scope"
    trouble.stale_run()
    tick(db, alerting)
    trouble.pass_time(BACKOFF_MAX_SECONDS)
    tick(db, alerting)
    assert len(slack.roots()) == 2


def test_an_ambiguous_reply_is_looked_for_in_its_thread(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    alerting = alerting_to(slack)
    trouble.stale_run()
    tick(db, alerting)
    trouble.pass_time(1801)
    slack.next_answers("chat.postMessage", "drop")
    assert tick(db, alerting).posts[0].outcome == "ambiguous"
    trouble.pass_time(BACKOFF_MAX_SECONDS)
    assert tick(db, alerting).posts[0].outcome == "adopted"
    assert len(slack.replies()) == 1


def test_a_channel_given_by_its_name_is_found_to_read_it(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    alerting = Alerting("test", SlackSink(TOKEN, f"#{NAME}", slack.url), ConsoleSink())
    slack.next_answers("chat.postMessage", "drop")
    trouble.stale_run()
    tick(db, alerting)
    trouble.pass_time(BACKOFF_MAX_SECONDS)
    assert tick(db, alerting).posts[0].outcome == "adopted"
    assert slack.bodies[-1]["channel"] == CHANNEL


def test_a_root_that_somebody_deleted_does_not_hold_up_the_end(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    trouble.stale_run()
    tick(db, alerting)
    trouble.end_runs()
    tick(db, alerting)
    trouble.pass_time(301)
    slack.next_answers("chat.update", "message_not_found")
    slack.next_answers("chat.postMessage", "message_not_found")
    tick(db, alerting)
    assert trouble.run("SELECT status, posted_seq = wanted_seq FROM alert_incident") == [("resolved", True)]


def test_one_incident_that_is_refused_holds_up_no_other(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    alerting = alerting_to(slack)
    trouble.stale_run()
    trouble.due_job(1000)
    slack.next_answers("chat.postMessage", "not_in_channel", "ok")
    assert [each.outcome for each in tick(db, alerting).posts] == ["refused", "posted"]


def test_one_incident_that_hangs_gives_way_to_the_others_at_the_next_tick(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    trouble.stale_run()
    trouble.due_job(1000)
    slack.next_answers("chat.postMessage", "hang_before", "ok")
    assert [each.outcome for each in tick(db, alerting, seconds=1.5).posts] == ["ambiguous"]
    assert [each.outcome for each in tick(db, alerting).posts] == ["posted"]


def test_a_message_that_is_refused_for_its_form_is_posted_in_plain_words(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    trouble.stale_run()
    slack.next_answers("chat.postMessage", "msg_too_long", "ok")
    tick(db, alerting_to(slack))
    (root,) = slack.roots()
    assert "blocks" not in root
    assert "Stale function run" in root["text"]


def test_what_slack_refuses_goes_to_the_console_at_once_and_only_once(
    db: Database, trouble: Trouble, slack: SlackServer, caplog: pytest.LogCaptureFixture
) -> None:
    alerting = alerting_to(slack)
    slack.always["chat.postMessage"] = "invalid_auth"
    trouble.stale_run()
    with caplog.at_level(logging.INFO, logger="queue_pipeline.alert"):
        tick(db, alerting)
        for _ in range(3):
            trouble.pass_time(BACKOFF_MAX_SECONDS)
            tick(db, alerting)
    told = [record.getMessage() for record in caplog.records if record.name == "queue_pipeline.alert"]
    assert len(told) == 1
    assert "FIRING (page) Stale function run" in told[0]
    ((error, failures),) = trouble.run("SELECT last_error, post_failures FROM alert_incident")
    assert "invalid_auth. Set SLACK_BOT_TOKEN" in error
    assert failures == 4
    assert trouble.run("SELECT count(*) FROM alert_post") == [(1,)], "a failure that repeats itself is one row"
    assert TOKEN not in str(told) + error + caplog.text


def test_ten_minutes_without_slack_lose_nothing_and_repeat_nothing(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    slack.stop()
    trouble.stale_run()
    trouble.due_job(1000)
    for _ in range(10):
        began = time.monotonic()
        assert all(each.outcome == "not_sent" for each in tick(db, alerting).posts)
        assert time.monotonic() - began < 8
        trouble.pass_time(60)
    slack.start()
    for _ in range(3):
        tick(db, alerting)
    assert sorted(slack.generations("stale_run") + slack.generations("queue_age")) == [1, 1]
    assert not slack.replies()


def test_what_began_and_ended_while_slack_was_away_is_one_message(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    slack.stop()
    trouble.stale_run()
    tick(db, alerting)
    trouble.end_runs()
    tick(db, alerting)
    trouble.pass_time(301)
    tick(db, alerting)
    slack.start()
    trouble.pass_time(60)
    tick(db, alerting)
    (message,) = slack.messages
    assert "RESOLVED" in message["text"]


def test_a_channel_that_is_configured_later_is_told_of_what_only_the_console_knew(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    console = Alerting("test", ConsoleSink(), ConsoleSink())
    trouble.stale_run()
    tick(db, console)
    assert trouble.run("SELECT sink, outcome FROM alert_post") == [("console", "posted")]
    tick(db, alerting_to(slack))
    assert slack.generations("stale_run") == [1]
    trouble.stale_run()
    trouble.pass_time(59)
    tick(db, console)
    trouble.pass_time(2)
    evaluate(db, console, by="console")
    assert post(db, console, by="console") == [], "what the channel began is left to the channel"
    assert post(db, alerting_to(slack), by="slack")[0].what == "update"
