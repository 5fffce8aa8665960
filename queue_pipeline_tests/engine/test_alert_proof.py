from collections.abc import Iterator

import pytest

from queue_pipeline.domain.alert_proof import kind_of
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.incident import IncidentKind
from queue_pipeline.engine.alert import Alerting, turn
from queue_pipeline.engine.alert_proof import latest_proofs, prove_alert_path
from queue_pipeline.integrations.console import ConsoleSink
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.alerting import Trouble, alerting_to
from queue_pipeline_tests.integrations.slack_server import CHANNEL, SlackServer, slack_server


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with slack_server() as server:
        yield server


@pytest.fixture
def trouble(db: Database) -> Trouble:
    return Trouble(db)


def test_both_paths_are_proved_by_a_message_that_is_found_again(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    tried = prove_alert_path(db, alerting_to(slack), who="olga")
    assert [(each.kind, each.failure) for each in tried] == [("stale_run", None), ("queue_age", None)]
    proofs = latest_proofs(db, limit=5)
    assert [proof.kind for proof in proofs] == ["queue_age", "stale_run"]
    assert all(proof.seen_by_reading_back and proof.sink == f"slack:{CHANNEL}" for proof in proofs)
    assert all(proof.forced_by == "olga" and proof.reached_at >= proof.forced_at for proof in proofs)
    assert {proof.ts for proof in proofs} == {root["ts"] for root in slack.roots()}


def test_the_forced_incident_says_so_and_is_over_afterwards(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    prove_alert_path(db, alerting_to(slack), who="olga", kinds=[IncidentKind.QUEUE_AGE])
    assert trouble.incidents() == [("queue_age", 1, "resolved")]
    (root,) = slack.roots()
    assert "RESOLVED (page) Queue age: FORCED to prove the alert path; nothing is wrong" in root["text"]
    assert len(slack.replies()) == 1
    assert turn(db, alerting_to(slack), by="test").sentences() == ["Nothing is wrong."]


def test_a_proof_leaves_a_real_incident_of_the_same_kind_alone(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    trouble.stale_run()
    turn(db, alerting_to(slack), by="test")
    trouble.end_runs()
    (tried,) = prove_alert_path(db, alerting_to(slack), who="olga", kinds=[IncidentKind.STALE_RUN])
    assert tried.proof is not None
    assert trouble.run("SELECT dedup_key, status FROM alert_incident ORDER BY incident_id") == [
        ("test:stale_run:drain", "firing"),
        ("test:stale_run:proof", "resolved"),
    ]


def test_a_second_proof_is_a_message_of_its_own(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    for _ in range(2):
        prove_alert_path(db, alerting_to(slack), who="olga", kinds=[IncidentKind.QUEUE_AGE])
    assert len(slack.roots()) == 2
    assert len({proof.ts for proof in latest_proofs(db, limit=5)}) == 2


def test_a_proof_that_was_cut_off_is_ended_by_the_next(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    trouble.run(
        "INSERT INTO alert_incident (dedup_key, generation, kind, severity, status, fired_at)"
        " VALUES ('test:queue_age:proof', 1, 'queue_age', 'page', 'firing', now())"
    )
    (tried,) = prove_alert_path(db, alerting_to(slack), who="olga", kinds=[IncidentKind.QUEUE_AGE])
    assert tried.proof is not None
    assert trouble.incidents() == [("queue_age", 1, "resolved"), ("queue_age", 2, "resolved")]


def test_a_console_is_reached_but_cannot_be_read_back(db: Database, trouble: Trouble) -> None:
    tried = prove_alert_path(db, Alerting(environment="test", sink=ConsoleSink(), fallback=ConsoleSink()), who="olga")
    assert [each.proof is not None and each.proof.seen_by_reading_back for each in tried] == [False, False]
    assert "reached console" in tried[0].said
    assert "cannot be read back" in tried[0].said


def test_a_slack_that_may_not_be_read_proves_only_that_it_was_told(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    slack.always["conversations.history"] = "missing_scope"
    (tried,) = prove_alert_path(db, alerting_to(slack), who="olga", kinds=[IncidentKind.QUEUE_AGE])
    assert tried.proof is not None
    assert not tried.proof.seen_by_reading_back


def test_a_slack_that_refuses_is_no_proof_and_says_why(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    slack.always["*"] = "channel_not_found"
    (tried,) = prove_alert_path(db, alerting_to(slack), who="olga", kinds=[IncidentKind.QUEUE_AGE])
    assert tried.proof is None
    assert "channel_not_found" in tried.said
    assert latest_proofs(db, limit=5) == []
    assert trouble.incidents() == [("queue_age", 1, "resolved")]


def test_a_proof_needs_a_name_and_a_path_that_there_is(db: Database, slack: SlackServer) -> None:
    with pytest.raises(InvalidInput, match="who"):
        prove_alert_path(db, alerting_to(slack), who=" ")
    with pytest.raises(InvalidInput, match="stale_run, queue_age"):
        kind_of("rollback")
