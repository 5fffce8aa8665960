"""A replay cannot send: it is given nothing that could, and with a provider that would notice, nothing leaves."""

import ast
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from queue_pipeline.cli.app import main
from queue_pipeline.engine.replay_record import ReplayRecord
from queue_pipeline.engine.send_provider import send_providers
from queue_pipeline.store import replay as store
from queue_pipeline_tests.architecture.source import PACKAGE, imports_of
from queue_pipeline_tests.leads.conftest import Desk

REPLAY = PACKAGE / "leads" / "replay"
#: All that a replay takes of the public API: errors. No job context, no enqueue, no handler.
HARMLESS = {"InvalidInput", "QueuePipelineError"}


def reached() -> set[Path]:
    """Every module of `leads` that a replay imports, directly or not."""
    found, waiting = set(), [*REPLAY.glob("*.py")]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in imports_of(path):
            module = PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py")
            if name.startswith("queue_pipeline.leads") and module.exists():
                waiting.append(module)
    return found


def test_nothing_that_a_replay_reaches_can_send_enqueue_or_write() -> None:
    assert len(reached()) > 30
    for path in reached():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "queue_pipeline":
                assert {alias.name for alias in node.names} <= HARMLESS, path.name
        names = imports_of(path)
        assert not [n for n in names if n.startswith("queue_pipeline.") and not n.startswith("queue_pipeline.leads")]
        assert not {name.split(".")[0] for name in names} & {"smtplib", "socket", "httpx", "requests", "slack_sdk"}


class Watching:
    """A provider that would notice whatever it is asked."""

    name = "watching"

    def __getattr__(self, asked: str) -> Any:
        raise AssertionError(f"the replay asked the provider for {asked}")


def everything(desk: Desk) -> dict[str, int]:
    """How many rows there are, by table."""
    tables = desk.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'queue_pipeline'::regnamespace"
    )
    return {t.relname: desk.rows(f"SELECT count(*) AS n FROM {t.relname}")[0].n for t in tables}


def test_a_replay_of_recorded_leads_leaves_a_row_about_itself_and_nothing_else(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.handle("What does it cost?")
    desk.handle("When can we meet?", offered_slots=[{"start": "2031-03-04T10:00:00+01:00"}])
    desk.handle("STOP", channel="sms", from_address="+15550101")
    monkeypatch.setitem(send_providers._providers, "watching", Watching())
    monkeypatch.setattr(send_providers, "_default", "watching")
    before, jobs = everything(desk), desk.rows("SELECT * FROM job ORDER BY job_id")
    monkeypatch.setenv("QUEUE_PIPELINE_DATABASE_URL", str(desk.settings.database_url))
    monkeypatch.setenv("QUEUE_PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", ["queue-pipeline", "replay", "--client-id", "acme"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, capsys.readouterr().err
    after = everything(desk)
    assert {name: n - before[name] for name, n in after.items() if n != before[name]} == {"replay_run": 1}
    assert desk.rows("SELECT * FROM job ORDER BY job_id") == jobs


def test_recorded_leads_are_read_in_a_transaction_that_cannot_write(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = desk.handle("What does it cost?")
    with desk.db.begin() as tx:
        store.read_only(tx)
        with pytest.raises(sa.exc.DBAPIError, match="read-only"):
            tx.exec_driver_sql("UPDATE job SET priority = 1")
        tx.rollback()
    told: list[Any] = []
    monkeypatch.setattr(store, "read_only", told.append)
    record = ReplayRecord(desk.db)
    assert len(record.latest("acme", limit=5)) == 1
    assert set(record.resolve([str(job_id), f"job-{job_id}", "nobody"])) == {str(job_id), f"job-{job_id}"}
    assert len(told) == 2
