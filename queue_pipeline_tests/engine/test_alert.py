"""Incidents on a real database, told to a real HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from queue_pipeline.domain.incident import MOVES, IncidentStatus
from queue_pipeline.engine import canary
from queue_pipeline.engine.alert import evaluate, post
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.alerting import Trouble, alerting_to, tick
from queue_pipeline_tests.engine.canaries import Rollout
from queue_pipeline_tests.integrations.slack_server import SlackServer, slack_server
from queue_pipeline_tests.waiting import eventually


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with slack_server() as server:
        yield server


@pytest.fixture
def trouble(db: Database) -> Trouble:
    return Trouble(db)


def test_where_nothing_is_wrong_nothing_is_posted(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    turn = tick(db, alerting_to(slack))
    assert turn.sentences() == ["Nothing is wrong."]
    assert slack.calls == []


def test_a_stale_run_is_told_at_the_first_look(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    run = trouble.stale_run()
    turn = tick(db, alerting_to(slack, mention="<!subteam^S0ONCALL>", runbook_url="https://wiki.example.com/runbook"))
    assert [(each.what, each.outcome) for each in turn.posts] == [("root", "posted")]
    (root,) = slack.roots("stale_run")
    shown = str(root["blocks"])
    assert "[test] FIRING (page) Stale function run" in root["text"]
    for told in (
        f"Stale function run {run}",
        "<!subteam^S0ONCALL>",
        "https://wiki.example.com/runbook#stale-run",
        "Backlog",
        "generation 1",
    ):
        assert told in shown, told


def test_a_stale_run_that_recovery_took_between_two_looks_is_told_all_the_same(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    trouble.run(
        "INSERT INTO recovery_decision (swept_by, signal, shard, detail) VALUES"
        " ('drain', 'stale', 'shard-01', 'no progress for 901 s; ask ada@example.com or +49 30 1234567')"
    )
    tick(db, alerting_to(slack))
    (root,) = slack.roots("stale_run")
    assert "just recovered" in root["text"]
    assert "no progress for 901 s" in str(root["blocks"])
    assert "ada@" not in str(slack.messages)
    assert "1234567" not in str(slack.messages)


def test_a_killed_run_that_was_recovered_calls_nobody(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    trouble.run(
        "INSERT INTO recovery_decision (swept_by, signal, detail) VALUES ('drain', 'dead', 'its process is gone')"
    )
    tick(db, alerting_to(slack))
    assert trouble.incidents() == []


def test_queue_age_waits_for_a_second_sample_and_not_beyond_fifteen_minutes(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    trouble.sample(0.0, seconds_ago=60)
    trouble.due_job(310)
    tick(db, alerting)
    assert trouble.incidents() == [("queue_age", 1, "pending")]
    trouble.run("UPDATE health_sample SET oldest_due_age_seconds = 305")
    tick(db, alerting)
    assert trouble.incidents() == [("queue_age", 1, "firing")]
    assert slack.generations("queue_age") == [1]


def test_queue_age_beyond_the_outer_bound_is_told_at_once(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    trouble.sample(0.0, seconds_ago=60)
    job = trouble.due_job(901)
    tick(db, alerting_to(slack))
    (root,) = slack.roots("queue_age")
    assert f"job {job} (demo)" in str(root["blocks"])


def test_a_missing_sample_counts_as_a_bad_one(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    trouble.run("DELETE FROM health_sample")
    trouble.sample(310.0, seconds_ago=10)
    trouble.due_job(310)
    tick(db, alerting_to(slack))
    assert trouble.incidents()[0] == ("queue_age", 1, "firing")


def test_two_samples_of_the_same_minute_are_not_two_minutes(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    trouble.run("DELETE FROM health_sample")
    trouble.due_job(310)
    for ago, age in ((0, 310), (3, 307), (60, 20)):
        trouble.sample(age, seconds_ago=ago)
    tick(db, alerting_to(slack))
    assert trouble.incidents() == [("queue_age", 1, "pending")]


def test_it_is_resolved_after_five_healthy_minutes_in_the_message_that_began_it(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    trouble.stale_run()
    tick(db, alerting)
    trouble.end_runs()
    tick(db, alerting)
    trouble.pass_time(299)
    tick(db, alerting)
    assert trouble.incidents() == [("stale_run", 1, "firing")]
    trouble.pass_time(2)
    tick(db, alerting)
    assert trouble.incidents() == [("stale_run", 1, "resolved")]
    (root,) = slack.roots()
    assert root["edits"] == 1
    assert "RESOLVED" in root["text"]
    (reply,) = slack.replies()
    assert (reply["thread_ts"], "RESOLVED" in reply["text"]) == (root["ts"], True)
    tick(db, alerting)
    assert len(slack.messages) == 2


def test_a_new_breach_after_that_is_a_new_generation_with_its_own_message(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    for _ in range(2):
        trouble.stale_run()
        tick(db, alerting)
        trouble.end_runs()
        tick(db, alerting)
        trouble.pass_time(301)
        tick(db, alerting)
    assert trouble.incidents() == [("stale_run", 1, "resolved"), ("stale_run", 2, "resolved")]
    assert slack.generations("stale_run") == [1, 2]


def test_a_flap_of_ten_within_five_minutes_is_one_message(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    alerting = alerting_to(slack)
    for _ in range(10):
        trouble.stale_run()
        tick(db, alerting)
        trouble.end_runs()
        tick(db, alerting)
        trouble.pass_time(20)
    assert trouble.incidents() == [("stale_run", 1, "firing")]
    assert slack.generations("stale_run") == [1]


def test_a_hundred_ticks_of_two_evaluators_a_restart_and_a_flap_make_one_root(
    db: Database, database_url: str, trouble: Trouble, slack: SlackServer
) -> None:
    """Two daemons at once, each with its own connections; after half of the ticks both are new ones."""
    trouble.stale_run()
    trouble.due_job(1000)
    for life in range(2):
        barrier = threading.Barrier(2)

        def daemon(name: str, barrier: threading.Barrier = barrier) -> None:
            mine = Database(database_url)
            alerting = alerting_to(slack)
            for _ in range(50):
                barrier.wait(30)
                evaluate(mine, alerting, by=name)
                post(mine, alerting, by=name)
            mine.dispose()

        with ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(daemon, f"daemon {life}{side}") for side in "ab"]
            while not all(future.done() for future in futures):
                trouble.end_runs()
                trouble.stale_run()
            for future in futures:
                future.result()
    assert sorted(trouble.incidents()) == [("queue_age", 1, "firing"), ("stale_run", 1, "firing")]
    assert slack.generations("stale_run") == [1]
    assert slack.generations("queue_age") == [1]
    assert trouble.run("SELECT count(*) FROM alert_post WHERE what = 'root'") == [(2,)]


def test_what_lasts_is_repeated_in_its_thread_each_half_hour(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack, mention="<@U0ONCALL>")
    trouble.stale_run()
    tick(db, alerting)
    trouble.pass_time(1801)
    tick(db, alerting)
    tick(db, alerting)
    (root,), (reply,) = slack.roots(), slack.replies()
    assert reply["thread_ts"] == root["ts"]
    assert "STILL FIRING" in reply["text"]
    assert "<@U0ONCALL>" in reply["text"]
    trouble.pass_time(1801)
    tick(db, alerting)
    assert len(slack.replies()) == 2
    assert len(slack.roots()) == 1


def test_the_root_is_edited_when_the_evidence_is_news_and_at_most_each_minute(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack, mention="<@U0ONCALL>")
    trouble.stale_run()
    tick(db, alerting)
    trouble.pass_time(61)
    tick(db, alerting)
    assert slack.roots()[0]["edits"] == 0, "the same evidence is no news"
    second = trouble.stale_run()
    tick(db, alerting)
    trouble.stale_run()
    tick(db, alerting)
    (root,) = slack.roots()
    assert root["edits"] == 1
    assert f"Stale function run {second}" in str(root["blocks"])
    assert "<@U0ONCALL>" not in root["text"], "an edit calls nobody"
    trouble.pass_time(61)
    tick(db, alerting)
    assert slack.roots()[0]["edits"] == 2
    assert not slack.replies()


def test_health_that_nobody_watched_does_not_count(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    alerting = alerting_to(slack)
    trouble.stale_run()
    tick(db, alerting)
    trouble.end_runs()
    tick(db, alerting)
    trouble.pass_time(600, evaluated=False)
    tick(db, alerting)
    assert trouble.incidents() == [("stale_run", 1, "firing")]
    trouble.pass_time(301)
    tick(db, alerting)
    assert trouble.incidents() == [("stale_run", 1, "resolved")]


def test_a_clock_that_is_set_back_an_hour_holds_nothing_up(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    alerting = alerting_to(slack)
    trouble.stale_run()
    slack.next_answers("chat.postMessage", "drop_before")
    tick(db, alerting)
    trouble.pass_time(-3600, evaluated=False)
    tick(db, alerting)
    assert len(slack.roots()) == 1
    trouble.end_runs()
    trouble.pass_time(-3600, evaluated=False)
    tick(db, alerting)
    trouble.pass_time(301)
    tick(db, alerting)
    assert trouble.incidents() == [("stale_run", 1, "resolved")]


def test_a_clock_that_jumps_ahead_resolves_nothing_early(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    alerting = alerting_to(slack)
    trouble.stale_run()
    tick(db, alerting)
    trouble.end_runs()
    tick(db, alerting)
    trouble.pass_time(3600, evaluated=False)
    tick(db, alerting)
    assert trouble.incidents() == [("stale_run", 1, "firing")]
    assert len(slack.roots()) == 1


def test_a_silent_watchdog_gets_a_minute_to_start_and_then_calls(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    trouble.run("UPDATE sweep_mark SET swept_at = now() - interval '8 hours'")
    trouble.run("DELETE FROM health_sample")
    tick(db, alerting)
    assert trouble.incidents() == [("watchdog_silent", 1, "pending")]
    trouble.pass_time(61)
    tick(db, alerting)
    assert slack.generations("watchdog_silent") == [1]
    assert "nobody looks for stale function runs and nobody measures the queue" in slack.roots()[0]["text"]


def test_a_watchdog_that_was_off_all_night_is_not_yet_silent_in_the_morning(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    trouble.run("UPDATE sweep_mark SET swept_at = now() - interval '8 hours'")
    tick(db, alerting)
    trouble.pass_time(8 * 3600, evaluated=False)
    tick(db, alerting)
    assert trouble.incidents() == [("watchdog_silent", 1, "pending")]
    trouble.run("UPDATE sweep_mark SET swept_at = now()")
    tick(db, alerting)
    trouble.pass_time(61)
    tick(db, alerting)
    assert trouble.incidents() == [("watchdog_silent", 1, "resolved")]
    assert slack.messages == []


def test_a_send_unknown_for_too_long_and_one_that_needs_a_person_are_told(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    trouble.run(
        "INSERT INTO outbound_message (workspace, job_id, channel, purpose, recipient, body, idempotency_key, payload_sha256,"
        " provider, trigger_key, state, not_before, unknown_since, in_doubt, reason) VALUES"
        " ('acme', 1, 'email', 'reply', 'ada@example.com', 'secret words', 'k1', repeat('0', 64), 'http', 't1', 'UNKNOWN', now(),"
        " now() - interval '11 minutes', true, 'timeout'),"
        " ('acme', 1, 'email', 'reply', 'ada@example.com', 'secret words', 'k2', repeat('0', 64), 'http', 't2', 'NEEDS_HUMAN', now(),"
        " NULL, false, 'no lookup')"
    )
    tick(db, alerting_to(slack))
    (root,) = slack.roots("unknown_sends")
    assert "1 send unknown for more than 10 min, 1 send waiting for a person's decision" in root["text"]
    assert "(ticket)" in root["text"]
    assert "ada@" not in str(slack.messages)
    assert "secret words" not in str(slack.messages)


def test_a_duplicate_send_is_told_at_once(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    trouble.run(
        "WITH m AS (INSERT INTO outbound_message (workspace, job_id, channel, purpose, recipient, body, idempotency_key,"
        " payload_sha256, provider, trigger_key, state, sent_at) VALUES ('acme', 1, 'email', 'reply', 'ada@example.com', 'words',"
        " 'k1', repeat('0', 64), 'http', 't1', 'SENT', now()) RETURNING outbound_message_id)"
        " INSERT INTO provider_message (provider, account, provider_message_id, outbound_message_id, observed_via)"
        " SELECT 'http', 'main', 'p' || n, outbound_message_id, 'response' FROM m, generate_series(1, 2) n"
    )
    tick(db, alerting_to(slack))
    assert "1 idempotency key" in slack.roots("duplicate_sends")[0]["text"]


@pytest.mark.parametrize("ends", ["acknowledge", "undo", "start"])
def test_a_rollback_is_one_incident_until_a_person_has_taken_note_of_it(
    db: Database, trouble: Trouble, slack: SlackServer, ends: str
) -> None:
    """Whatever it flipped. A later canary supersedes it."""
    alerting, rollout = alerting_to(slack), Rollout(db)
    rollout.watching()
    rollout.attempts(40, failed=20)
    rollout.pass_time(60)
    rollout.tick()
    trouble.sample(0.0)
    tick(db, alerting)
    tick(db, alerting)
    (root,) = slack.roots("rollback")
    assert "canary 1 was rolled back by rule failure_rate" in root["text"]
    assert "20 of the canary's 40 attempts failed" in str(root)
    if ends == "start":
        rollout.start()
    else:
        getattr(canary, ends)(db, who="ada", why="I saw it")
    tick(db, alerting)
    trouble.pass_time(301)
    tick(db, alerting)
    assert trouble.incidents() == [("rollback", 1, "resolved")]


def test_a_rule_that_only_observed_is_no_incident(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    rollout = Rollout(db)
    rollout.start()
    rollout.attempts(40, failed=20)
    rollout.tick()
    assert rollout.rollbacks() == [("failure_rate", "observe")]
    tick(db, alerting_to(slack))
    assert trouble.incidents() == []


@pytest.mark.parametrize("before", IncidentStatus)
@pytest.mark.parametrize("after", IncidentStatus)
def test_the_database_allows_the_moves_of_the_rules_and_no_others(
    trouble: Trouble, before: IncidentStatus, after: IncidentStatus
) -> None:
    over = "CASE WHEN '{}' = 'resolved' THEN now() END"
    trouble.run(
        "INSERT INTO alert_incident (dedup_key, generation, kind, severity, status, fired_at, resolved_at)"
        f" VALUES ('k', 1, 'rollback', 'ticket', '{before}', now(), {over.format(before)})"
    )
    move = f"UPDATE alert_incident SET status = '{after}', resolved_at = {over.format(after)}"
    if before is after or after in MOVES[before]:
        trouble.run(move)
    else:
        with pytest.raises(sa.exc.IntegrityError, match="may not go from"):
            trouble.run(move)


def test_the_mark_says_who_evaluated_last(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    tick(db, alerting_to(slack), by="alert sensor")
    assert trouble.run("SELECT evaluated_by, evaluated_at > now() - interval '1 minute' FROM alert_mark") == [
        ("alert sensor", True)
    ]


def test_an_evaluator_that_stops_in_the_middle_holds_up_the_others_for_seconds_only(
    db: Database, database_url: str, trouble: Trouble, slack: SlackServer
) -> None:
    alerting = alerting_to(slack)
    trouble.stale_run()
    with db.direct() as stopped:
        stopped.execute("BEGIN")
        stopped.execute("SELECT set_config('idle_in_transaction_session_timeout', '100', true)")
        stopped.execute(
            "SELECT pg_try_advisory_xact_lock(hashtext('queue_pipeline.alert'), hashtext(current_database()))"
        )
        first = evaluate(db, alerting, by="other")
        eventually(lambda: evaluate(db, alerting, by="other").evaluated, within=30, what="the stopped session to end")
        stopped.close()
    assert not first.evaluated
    assert trouble.incidents() == [("stale_run", 1, "firing")]
