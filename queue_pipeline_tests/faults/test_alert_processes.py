"""Real processes that die between a post and its record, and a real drain while nobody answers at Slack."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

import queue_pipeline.leads.inbound  # noqa: F401 - registers the kind that is enqueued here
from queue_pipeline import enqueue
from queue_pipeline.domain.lane import shard_of
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.alerting import Trouble, alerting_to, tick
from queue_pipeline_tests.integrations.slack_server import CHANNEL, TOKEN, SlackServer, slack_server
from queue_pipeline_tests.waiting import eventually

pytestmark = pytest.mark.faults

_POSTER = """
import json, sys
from queue_pipeline.engine.alert import Alerting, turn
from queue_pipeline.integrations.console import ConsoleSink
from queue_pipeline.integrations.slack import SlackSink
from queue_pipeline.store.session import Database
url, token, channel, slack = json.loads(sys.argv[1])
turn(Database(url), Alerting("test", SlackSink(token, channel, slack), ConsoleSink()), by="killed")
"""


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with slack_server() as server:
        yield server


@pytest.fixture
def trouble(db: Database) -> Trouble:
    return Trouble(db)


@pytest.mark.parametrize("accepted", [True, False])
def test_a_poster_killed_in_the_middle_of_its_post_is_followed_by_exactly_one_root(
    db: Database, database_url: str, trouble: Trouble, slack: SlackServer, *, accepted: bool
) -> None:
    trouble.stale_run()
    slack.next_answers("chat.postMessage", "hang" if accepted else "hang_before")
    program = [sys.executable, "-c", _POSTER, json.dumps([database_url, TOKEN, CHANNEL, slack.url])]
    poster = subprocess.Popen(program, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: slack.calls, within=60, what="the process to post")
        eventually(lambda: slack.accepted.is_set() or not accepted, within=30, what="Slack to accept")
    finally:
        poster.kill()
        poster.wait()
    slack.released.set()
    assert tick(db, alerting_to(slack)).posts == (), "its lease runs on"
    trouble.pass_time(31)
    (after,) = tick(db, alerting_to(slack)).posts
    assert after.outcome == ("adopted" if accepted else "posted")
    assert slack.generations("stale_run") == [1]


@pytest.mark.parametrize("fault", ["refused", "hang_before", "500"])
def test_a_drain_of_leads_ends_in_normal_time_while_slack_does_not_answer(
    db: Database, database_url: str, trouble: Trouble, slack: SlackServer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    leads = 30
    with db.begin() as tx:
        for number in range(leads):
            payload = {
                "provider": "test",
                "body": "Can we talk about prices?",
                "from_address": f"lead{number}@example.com",
            }
            enqueue(tx, "lead.inbound", workspace="acme", payload=payload)
    slack.always["*"] = fault
    if fault == "refused":
        slack.stop()
    for name, value in {
        "QUEUE_PIPELINE_DATABASE_URL": database_url, "SLACK_BOT_TOKEN": TOKEN, "SLACK_CHANNEL": CHANNEL,
        "SLACK_API_URL": slack.url,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    command = [
        sys.executable,
        "-m",
        "queue_pipeline",
        "drain",
        "--until-empty",
        "--json",
        "--shard",
        shard_of("acme", 4),
    ]
    began = time.monotonic()
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    took = time.monotonic() - began
    assert ended.returncode == 0, ended.stderr
    (report,) = json.loads(ended.stdout)
    assert report["counts"]["succeeded"] == leads
    assert report["seconds"] < 20, "handlers did not wait for Slack"
    assert took < 60
    assert TOKEN not in ended.stdout + ended.stderr
    ((waiting,),) = trouble.run("SELECT count(*) FROM notification WHERE delivered_at IS NULL")
    assert waiting >= leads
    slack.released.set()
    slack.always.clear()
    if fault == "refused":
        slack.start()
    trouble.pass_time(600)
    monkeypatch.setenv("SLACK_API_URL", slack.url)
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    eventually(lambda: len(slack.notices()) == waiting, within=30, what="every notice to have arrived")
    assert len(set(slack.notices())) == waiting
    assert "example.com" not in str(slack.messages)
