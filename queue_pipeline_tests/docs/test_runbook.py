"""The runbook's commands and queries work, so that nobody finds out at night that they do not."""

from __future__ import annotations

import re

import psycopg
import pytest

import queue_pipeline.leads.inbound  # noqa: F401 - registers the kind that is enqueued here
from queue_pipeline import enqueue
from queue_pipeline.definitions import defs
from queue_pipeline.domain.recovery import Signal
from queue_pipeline.store.session import Database
from queue_pipeline_tests.docs.markdown import DOCS, blocks, commands
from queue_pipeline_tests.docs.shell import Shell
from queue_pipeline_tests.engine.canaries import Rollout

RUNBOOK = DOCS / "runbook.md"
CONSOLES = [block for block in blocks(RUNBOOK) if block.language == "console" and block.not_run is None]
QUERIES = [block for block in blocks(RUNBOOK) if block.language == "sql"]
#: Good, a measured breach, could not measure; 3 would be wrong usage.
ANSWERS = {0, 1, 2}


def test_the_commands_of_the_runbook_run(operator: Shell, db: Database) -> None:
    wrong = []
    rollout = Rollout(db)  # a rollback, for those that answer one
    rollout.watching()
    rollout.stale_run()
    rollout.tick()
    for block in CONSOLES:
        with db.begin() as tx:
            job = enqueue(tx, "lead.inbound", workspace="acme", payload={"provider": "runbook", "body": "hello"})
        operator.run(f"JOB={job.job_id} SHARD=shard-00")
        for command in commands(block):
            ended = operator.run(command.text)
            if ended.code not in ANSWERS or "Traceback" in ended.printed:
                wrong.append(f"{command.place}: {command.text}\n{ended.printed}")
    assert not wrong, "\n".join(wrong)


def test_the_queries_of_the_runbook_run(database_url: str) -> None:
    wrong = []
    with psycopg.connect(database_url, options="-c search_path=queue_pipeline", autocommit=True) as connection:
        for block in QUERIES:
            try:
                connection.execute(block.text.encode())
            except psycopg.Error as error:
                wrong.append(f"{block.place}: {error}")
    assert len(QUERIES) > 10
    assert not wrong, "\n".join(wrong)


def test_wrong_usage_would_be_noticed(operator: Shell) -> None:
    assert operator.run("queue-pipeline health --no-such-option").code not in ANSWERS


def test_every_signal_has_its_section() -> None:
    headings = re.findall(r"^## (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(Signal) <= set(headings)


def test_every_section_about_a_finding_answers_the_same_questions() -> None:
    sections = RUNBOOK.read_text(encoding="utf-8").split("\n## ")[1:]
    for section in sections:
        title = section.splitlines()[0]
        if "**Meaning.**" in section:
            for question in ("**See it.**", "**By itself.**", "**Do.**", "**Over**"):
                assert question in section, f"{title}: {question} is not answered"
        else:
            assert title in {
                "Look first",
                "Stop, restart, upgrade",
                "Change the number of shards",
                "Serve the UI to others",
            }


@pytest.mark.filterwarnings("ignore:Parameter .* is currently in beta")
def test_what_the_runbook_names_in_the_ui_exists() -> None:
    repository = defs.get_repository_def()
    checks = {key.name for key in repository.asset_graph.asset_check_keys}
    known = {
        "Dagster job": set(repository.job_names),
        "sensor": {sensor.name for sensor in repository.sensor_defs},
        "schedule": {schedule.name for schedule in repository.schedule_defs},
        "asset check": checks,
        "asset": {key.path[-1] for key in repository.asset_graph.get_all_asset_keys()},
    }
    text = " ".join(RUNBOOK.read_text(encoding="utf-8").split())
    named = re.findall(r"(Dagster job|sensor|schedule|asset check|asset) `(\w+)`", text)
    assert len(named) >= 10
    assert not [(sort, name) for sort, name in named if name not in known[sort]]
