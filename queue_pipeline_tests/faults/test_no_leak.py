"""Secrets and people in everything that is logged, posted, measured or kept as evidence: there are none.

The real programs run end to end while the provider, the model and Slack misbehave, and the provider's errors repeat
the request with its credentials. Afterwards everything that was said is searched for what was planted.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from queue_pipeline.definitions import defs
from queue_pipeline.defs.alerts import alert_sensor
from queue_pipeline.defs.reconcile import reconcile_sensor
from queue_pipeline.defs.resources import QueueResource
from queue_pipeline.defs.watch import watch_sensor
from queue_pipeline.domain.lane import shard_names, shard_of
from queue_pipeline.store.session import Database
from queue_pipeline_tests.defs.test_definitions import ROOT
from queue_pipeline_tests.faults.planted import (
    MAIL_PASSWORD,
    MAY_HOLD,
    PEOPLE,
    SECRETS,
    echoing,
    leaks,
    surfaces_of,
    tables,
)
from queue_pipeline_tests.http.conftest import CRON, client_of, free_port
from queue_pipeline_tests.http.webhook_calls import signed
from queue_pipeline_tests.integrations.slack_server import CHANNEL, SlackServer, slack_server
from queue_pipeline_tests.leads.model_server import ModelServer, fails, replies, talks_nonsense
from queue_pipeline_tests.store.rows import a_function_run
from queue_pipeline_tests.waiting import eventually

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]

LEADS = 8
#: The second half of the leads belongs to a workspace of another shard, which Dagster drains.
OTHER = next(name for name in map("globex-{}".format, range(100)) if shard_of(name, 4) != shard_of("acme", 4))
DUE_NOW = "UPDATE outbound_message SET not_before = now() - interval '1 s' WHERE state IN ('READY', 'UNKNOWN')"
#: On an operator's terminal, and nowhere else: `trace` names the recipient of a message. Dagster's job of that name does not.
SHOWS_PEOPLE = {"trace"}
GENERIC = "/api/webhooks/generic"
WEBHOOK_SECRET = SECRETS["QUEUE_PIPELINE_WEBHOOK_SECRET_GENERIC"]


class Stage:
    """Everything that was said so far, by where it was said."""

    def __init__(self, db: Database, url: str, home: Path, slack: SlackServer) -> None:
        self.db, self.url, self.home, self.slack = db, url, home, slack
        self.said: dict[str, str] = {}

    def run(self, *arguments: str) -> None:
        """A command of `queue-pipeline`, in a process of its own."""
        ended = subprocess.run(
            [sys.executable, "-m", "queue_pipeline", *arguments], capture_output=True, text=True, timeout=180, cwd=ROOT
        )
        shown = "" if arguments[0] in SHOWS_PEOPLE else ended.stdout
        self.said[f"queue-pipeline {' '.join(arguments)}"] = shown + ended.stderr

    def sql(self, statement: str, **values: object) -> None:
        """A statement of the test's own."""
        with self.db.begin() as tx:
            tx.execute(sa.text(statement), values)

    def surfaces(self) -> dict[str, str]:
        """All that was said and all that is kept."""
        posted = {"Slack's messages": json.dumps(self.slack.messages), "posts to Slack": json.dumps(self.slack.bodies)}
        return {**self.said, **posted, **surfaces_of(self.url)}


@pytest.fixture
def stage(db: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    model = ModelServer(fails(500), talks_nonsense, replies(f"{PEOPLE['drafted text']} can be collected on Tuesday."))
    with echoing() as provider, slack_server() as slack:
        for name, value in {
            **SECRETS,
            "QUEUE_PIPELINE_DATABASE_URL": database_url, "QUEUE_PIPELINE_HOME": str(tmp_path / "home"),
            "QUEUE_PIPELINE_SEND_PROVIDER": "http", "QUEUE_PIPELINE_SEND_HTTP_URL": provider.url,
            "QUEUE_PIPELINE_SMTP_URL": f"smtp://team:{MAIL_PASSWORD}@127.0.0.1:1", "QUEUE_PIPELINE_MAIL_FROM": "team@sender.example",
            "QUEUE_PIPELINE_DRAFTS_AUTO_SEND": "true", "QUEUE_PIPELINE_LINGER_SECONDS": "0",
            "QUEUE_PIPELINE_MODEL": "small", "OPENAI_BASE_URL": model.url,
            "SLACK_CHANNEL": CHANNEL, "SLACK_API_URL": slack.url,
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield Stage(db, database_url, tmp_path, slack)
        assert provider.asked, "the provider was never asked, so this test has shown nothing"
        assert model.asked, "the model was never asked"
    model.close()


def lead(number: int, **fields: object) -> bytes:
    """A delivery of one of the planted people; every second one asks to be called."""
    call_me = f" Call me at +1 202 {PEOPLE['phone']}."
    return json.dumps({
        "workspace": "acme" if number < LEADS // 2 or number >= LEADS else OTHER, "event_id": f"evt-{number}", "channel": "email",
        "from_address": f"{PEOPLE['address']}{number}@customer.example",
        "from_name": f"{PEOPLE['first name']} {PEOPLE['last name']}", "subject": PEOPLE["subject"],
        "body": f"What does it cost to ship {PEOPLE['text']} to Oslo?{call_me if number % 2 else ''}",
        "phone": f"+1 202 {PEOPLE['phone']}", **fields,
    }).encode()  # fmt: skip


def deliveries_arrive(stage: Stage) -> None:
    """Good and bad ones, at a real ingress whose log is kept."""
    port, log = free_port(), stage.home / "ingress.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "queue_pipeline", "serve-http", "--port", str(port)]
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT)
        try:
            with client_of(port) as client:
                eventually(lambda: client.get("/healthz"), within=90, what="the ingress to answer")
                answers = [
                    client.post(GENERIC, content=lead(n), headers=signed(lead(n), secret=WEBHOOK_SECRET))
                    for n in range(LEADS)
                ]
                assert {answer.status_code for answer in answers} <= {200, 201, 202}, answers[0].text
                other = lead(0, body=f"Other {PEOPLE['text']}")
                bad = [
                    client.post(GENERIC, content=other, headers=signed(other, secret=WEBHOOK_SECRET)),
                    client.post(GENERIC, content=lead(98), headers=signed(lead(98), secret="another secret")),
                    client.post(GENERIC, content=lead(99)),
                    client.post(GENERIC, content=b"{", headers=signed(b"{", secret=WEBHOOK_SECRET)),
                    client.get(CRON, headers={"Authorization": "Bearer wrong"}),
                    client.get(CRON, headers={"Authorization": f"Bearer {SECRETS['CRON_SECRET']}"}),
                    client.get(f"/nowhere?secret={SECRETS['CRON_SECRET']}"),
                ]
                stage.said["answers of the ingress"] = "\n".join(answer.text for answer in [*answers, *bad])
                stage.said["/metrics"] = client.get("/metrics").text
        finally:
            process.terminate()
            process.wait(60)
    stage.said["the log of the ingress"] = log.read_text()


def dagster_works(stage: Stage, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """Drains, reconciliation, alerts, a story and an audit, with Dagster's records in the same database."""
    caplog.clear()  # until now it was the test itself that spoke to the ingress
    (home := stage.home / "dagster").mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    instance = dg.DagsterInstance.from_config(str(home))
    resources = {"queue": QueueResource(), "in_memory": dg.mem_io_manager}

    def execute(job: str, config: dict[str, Any] | None = None, **options: Any) -> None:
        defs.resolve_job_def(job).execute_in_process(
            run_config=config or {}, instance=instance, resources=resources, raise_on_error=False, **options
        )

    def tick(sensor: dg.SensorDefinition) -> None:
        with dg.build_sensor_context(instance, resources=resources) as context:
            stage.said[f"tick of {sensor.name}"] = str(sensor(context))

    try:
        for shard in shard_names(4):
            execute("drain", partition_key=shard)
        stage.sql(DUE_NOW)
        execute("reconcile_sends")
        for number in ("1", "lead:1"):
            execute("trace", {"ops": {"tell": {"config": {"query": number}}}})
        execute("measure_health")
        for sensor in (watch_sensor, reconcile_sensor, alert_sensor):
            tick(sensor)
    finally:
        instance.dispose()
    captured = capfd.readouterr()
    stage.said["what Dagster printed"] = captured.out + captured.err
    stage.said["what Dagster logged"] = caplog.text


def everything_happens(stage: Stage, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """The end-to-end scene."""
    stage.slack.always["*"] = "garbage"
    deliveries_arrive(stage)
    stage.run("drain", "--until-empty", "--shard", shard_of("acme", 4))
    dagster_works(stage, capfd, caplog)
    stage.slack.always["*"] = "500"
    stage.sql(DUE_NOW)
    stage.run("sends", "reconcile", "--seconds", "5")
    with stage.db.direct() as connection:
        a_function_run(connection, shard="shard-00")
    stage.sql(
        "UPDATE function_run SET progress_at = now() - interval '1 hour', lease_until = now() + interval '1 hour' WHERE state = 'RUNNING'"
    )
    stage.run("alerts", "evaluate")
    stage.slack.always.clear()
    stage.sql(
        "UPDATE notification SET next_post_at = now() - interval '1 s', posting_until = NULL WHERE delivered_at IS NULL"
    )
    stage.sql(
        "UPDATE alert_incident SET posting_until = NULL, next_post_at = now() - interval '1 s' WHERE posted_seq < wanted_seq"
    )
    stage.run("alerts", "evaluate")
    stage.run("drain", "--until-empty")  # delivers the notifications that are left
    for arguments in (("trace", "1"), ("audit", "sends"), ("health",), ("sends",), ("env",), ("check",), ("dead",)):
        stage.run(*arguments)


#: Where the scene must have left something, or the search would prove nothing.
FILLED = (
    "queue_pipeline.send_attempt", "queue_pipeline.notification", "queue_pipeline.alert_incident", "queue_pipeline.alert_post",
    "queue_pipeline.function_run", "queue_pipeline.job_attempt", "queue_pipeline.lead_outcome", "queue_pipeline.inbound_conflict",
    "queue_pipeline.draft", "dagster.runs", "dagster.event_logs", "dagster.run_tags", "the log of the ingress", "/metrics",
    "Slack's messages", "what Dagster printed",
)  # fmt: skip


def test_nothing_planted_is_said_or_kept_where_it_does_not_belong(
    stage: Stage, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    everything_happens(stage, capfd, caplog)
    surfaces = stage.surfaces()
    assert [where for where in FILLED if len(surfaces.get(where, "")) < 10] == []
    assert leaks(surfaces) == []
    held = {name: json.dumps(rows, ensure_ascii=False) for name, rows in tables(stage.url, "queue_pipeline").items()}
    assert PEOPLE["address"] in held["outbound_message"], "the people were really here"
    assert PEOPLE["text"] in held["job"]
    assert set(MAY_HOLD) <= set(held)
    secrets = {*SECRETS, "the password of mail"}
    assert [leak for leak in leaks(held) if leak.partition(" in ")[0] in secrets] == [], "secrets belong nowhere"
    the_search_can_fail(stage)


def the_search_can_fail(stage: Stage) -> None:
    """Something planted on purpose, in each kind of place, is found there and nowhere else."""
    kept = {
        "queue_pipeline.notification": "UPDATE notification SET text = text || :planted WHERE notification_id = 1",
        "queue_pipeline.function_run": "UPDATE function_run SET host = :planted WHERE function_run_id = 1",
        "queue_pipeline.send_attempt": "UPDATE send_attempt SET sender = :planted WHERE attempt = 1",
        "queue_pipeline.job": "UPDATE job SET last_error = :planted WHERE job_id = 1",
        "dagster.run_tags": "INSERT INTO dagster.run_tags (run_id, key, value) SELECT run_id, 'k', :planted FROM dagster.runs LIMIT 1",
    }
    stage.sql("ALTER TABLE send_attempt DISABLE TRIGGER USER")
    for where, statement in kept.items():
        stage.sql(statement, planted=f"for {PEOPLE['first name'].upper()}")
        assert f"first name in {where}" in leaks(stage.surfaces())
    stage.said["/metrics"] += f'sent{{to="{PEOPLE["address"]}1@customer.example"}} 1'
    stage.slack.messages.append({"text": SECRETS["SLACK_BOT_TOKEN"]})
    found = leaks(stage.surfaces())
    assert {leak.partition(" in ")[2] for leak in found} == {*kept, "/metrics", "Slack's messages"}
    assert {"address in /metrics", "SLACK_BOT_TOKEN in Slack's messages"} <= set(found)
