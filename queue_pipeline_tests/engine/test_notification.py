"""Notifications reach a chat once, whatever it does, and no handler ever waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from queue_pipeline.domain.posting import BACKOFF_MAX_SECONDS
from queue_pipeline.engine.notification import NotificationPoster, deliver_notifications
from queue_pipeline.integrations.console import ConsoleSink
from queue_pipeline.integrations.slack import SlackSink
from queue_pipeline.store.notification import Notice
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.alerting import Trouble
from queue_pipeline_tests.integrations.slack_server import CHANNEL, TOKEN, SlackServer, slack_server
from queue_pipeline_tests.waiting import eventually


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with slack_server() as server:
        yield server


@pytest.fixture
def trouble(db: Database) -> Trouble:
    return Trouble(db)


def sink_of(slack: SlackServer, *, pause: float = 0.0) -> SlackSink:
    sink = SlackSink(TOKEN, CHANNEL, slack.url)
    sink.pause_seconds = pause
    return sink


def leave(trouble: Trouble, count: int, *, first: int = 1) -> None:
    trouble.run(
        "INSERT INTO notification (workspace, job_id, dedupe_key, text)"
        f" SELECT 'acme', n, 'lead:' || n, 'notice ' || n FROM generate_series({first}, {first + count - 1}) n"
    )


def undelivered(trouble: Trouble) -> int:
    return int(trouble.run("SELECT count(*) FROM notification WHERE delivered_at IS NULL")[0][0])


def lines(count: int) -> list[str]:
    return [f"notice {number}" for number in range(1, count + 1)]


def test_a_burst_becomes_few_messages_with_a_line_each(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    leave(trouble, 45)
    assert deliver_notifications(db, sink_of(slack), by="test", seconds=8) == 45
    assert slack.notices() == lines(45)
    assert len(slack.messages) == 3
    assert trouble.run("SELECT DISTINCT sink FROM notification") == [(f"slack:{CHANNEL}",)]


@pytest.mark.parametrize(
    "fault", ["500", "500_after", "drop", "drop_before", "hang", "garbage", "fatal_error", "429", "invalid_auth"]
)
def test_every_notice_arrives_once_whatever_the_first_post_met(
    db: Database, trouble: Trouble, slack: SlackServer, fault: str
) -> None:
    sink = sink_of(slack)
    slack.retry_after = "9"
    slack.next_answers("chat.postMessage", fault)
    leave(trouble, 3)
    assert deliver_notifications(db, sink, by="test", seconds=2) == 0
    ((error, failures),) = trouble.run("SELECT DISTINCT last_error, failures FROM notification")
    assert error
    assert failures == 1
    leave(trouble, 2, first=4)
    assert deliver_notifications(db, sink, by="test", seconds=4) == 2, "new ones do not wait for the old"
    trouble.pass_time(BACKOFF_MAX_SECONDS)
    assert deliver_notifications(db, sink, by="test", seconds=4) == 3
    assert sorted(slack.notices()) == lines(5)


def test_a_batch_in_doubt_waits_while_nobody_can_be_asked(db: Database, trouble: Trouble, slack: SlackServer) -> None:
    sink = sink_of(slack)
    slack.next_answers("chat.postMessage", "drop")
    slack.always["conversations.history"] = "500"
    leave(trouble, 2)
    for _ in range(4):
        deliver_notifications(db, sink, by="test", seconds=4)
        trouble.pass_time(BACKOFF_MAX_SECONDS)
    assert undelivered(trouble) == 2
    slack.always.clear()
    assert deliver_notifications(db, sink, by="test", seconds=4) == 2
    assert slack.notices() == lines(2)


def test_four_deliverers_at_once_deliver_each_notice_once(
    db: Database, database_url: str, trouble: Trouble, slack: SlackServer
) -> None:
    leave(trouble, 120)

    def deliver(name: str) -> int:
        mine = Database(database_url)
        try:
            return deliver_notifications(mine, sink_of(slack), by=name, seconds=20)
        finally:
            mine.dispose()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(deliver, "abcd")) == 120
    assert sorted(slack.notices()) == sorted(lines(120))


def test_a_deliverer_that_was_killed_before_its_record_is_not_repeated(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    """As a killed process leaves it: posted, leased, and not marked."""
    leave(trouble, 2)
    deliver_notifications(db, sink_of(slack), by="test", seconds=4)
    trouble.run(
        "UPDATE notification SET delivered_at = NULL, sink = NULL, posting_by = 'killed #1',"
        " posting_until = clock_timestamp() + interval '20 s'"
    )
    assert deliver_notifications(db, sink_of(slack), by="other", seconds=4) == 0, "its lease runs on"
    trouble.pass_time(30)
    assert deliver_notifications(db, sink_of(slack), by="other", seconds=4) == 2
    assert slack.notices() == lines(2)


class _Stopped:
    """A sink whose process is stopped in the middle of a post, and goes on after its lease is over."""

    name = "stopped"
    batch_max = 20
    pause_seconds = 0.0

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble
        self.then: list[int] = []

    def post_notices(self, notices: Sequence[Notice], *, seconds: float) -> None:
        self._trouble.pass_time(31)
        self.then.append(deliver_notifications(self._trouble.db, ConsoleSink(), by="other", seconds=4))

    def find_notices(self, *, since: datetime, seconds: float) -> set[int]:
        return set()


def test_a_late_deliverer_does_not_overwrite_who_took_over(db: Database, trouble: Trouble) -> None:
    leave(trouble, 1)
    stopped = _Stopped(trouble)
    assert deliver_notifications(db, stopped, by="test", seconds=4) == 0
    assert stopped.then == [1]
    assert trouble.run("SELECT sink FROM notification") == [("console",)]


def test_the_poster_delivers_in_its_own_thread_while_the_handler_goes_on(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    slack.next_answers("chat.postMessage", "hang_before")
    poster = NotificationPoster(db, sink_of(slack), by="test", seconds_per_turn=2.0)
    leave(trouble, 1)
    began = time.monotonic()
    for _ in range(100):
        poster.deliver()
    assert time.monotonic() - began < 1.0
    assert not poster.flush(seconds=0.1)
    slack.released.set()
    assert poster.flush(seconds=20)
    trouble.pass_time(BACKOFF_MAX_SECONDS)
    poster.wake()
    assert poster.close(seconds=20)
    assert slack.notices() == lines(1)


def test_what_is_left_while_the_poster_posts_goes_into_its_next_message(
    db: Database, trouble: Trouble, slack: SlackServer
) -> None:
    poster = NotificationPoster(db, sink_of(slack, pause=0.5), by="test")
    leave(trouble, 1)
    poster.wake()
    assert slack.accepted.wait(30)
    leave(trouble, 10, first=2)
    poster.wake()
    eventually(lambda: undelivered(trouble) == 0, within=20, what="all notices to be delivered")
    assert poster.close(seconds=10)
    assert slack.notices() == lines(11)
    assert len(slack.messages) == 2


def test_a_poster_that_nobody_woke_has_no_thread(db: Database, slack: SlackServer) -> None:
    before = threading.active_count()
    poster = NotificationPoster(db, sink_of(slack), by="test")
    assert poster.close(seconds=1)
    assert threading.active_count() == before


def test_a_database_that_is_away_does_not_end_the_poster(slack: SlackServer, db: Database, trouble: Trouble) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    poster = NotificationPoster(away, sink_of(slack), by="test")
    poster.wake()
    assert poster.flush(seconds=20)
    poster._database = db
    leave(trouble, 1)
    poster.wake()
    assert poster.close(seconds=20)
    assert slack.notices() == lines(1)
