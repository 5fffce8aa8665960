from collections.abc import Iterator
from pathlib import Path

import pytest

from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command
from queue_pipeline_tests.engine.rollout import Rollout
from queue_pipeline_tests.integrations.slack_server import CHANNEL, TOKEN, SlackServer, slack_server


@pytest.fixture
def rollout(db: Database) -> Iterator[Rollout]:
    with db.direct() as connection:
        yield Rollout(db, connection)


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackServer]:
    with slack_server() as server:
        monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
        monkeypatch.setenv("SLACK_CHANNEL", CHANNEL)
        monkeypatch.setenv("SLACK_API_URL", server.url)
        yield server


def test_go_exits_with_0_and_the_packet_is_found_again(run: Command, rollout: Rollout, slack: SlackServer) -> None:
    rollout.all_good()
    ran = run("rollout", "decide")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "GO")
    assert "queue_pipeline/queries/window_waits.sql" in ran.out
    name = ran.err.split("Evidence packet ")[1].split(":")[0]
    shown = run("rollout", "packet", name)
    assert shown.code == 0
    assert shown.out.startswith(f"# GO: evidence packet {name}")
    assert Path(shown.err.strip().split(" are in ")[1]).is_dir()
    assert run("rollout", "packet", "--json").data["sha256"].startswith(name)


def test_no_go_exits_with_1_and_names_the_reason(run: Command, rollout: Rollout, slack: SlackServer) -> None:
    rollout.all_good().rolled_back("40 attempts failed")
    data = run("rollout", "decide", "--json")
    assert (data.code, data.data["decision"]["verdict"]) == (1, "NO-GO")
    assert "40 attempts failed" in data.data["decision"]["reasons"][0]
    assert (Path(data.data["packet"]) / "packet.md").is_file()


def test_an_empty_installation_is_inconclusive_and_exits_with_2(run: Command) -> None:
    assert run("rollout", "decide").code == 2
    checklist = run("rollout", "checklist", "--json")
    assert (checklist.code, checklist.data["verdict"]) == (2, "INCONCLUSIVE")


def test_the_checklist_keeps_nothing(run: Command, rollout: Rollout) -> None:
    assert run("rollout", "checklist").code == 2
    assert rollout.run("SELECT count(*) FROM evidence_packet") == 0


def test_what_is_not_there_is_said_without_a_traceback(run: Command) -> None:
    for arguments in (["packet"], ["packet", "abcdef"], ["packet", "a"], ["decide", "--canary", "7"]):
        ran = run("rollout", *arguments)
        assert ran.code == 3, arguments
        assert "Error: " in ran.err


def test_a_packet_that_was_changed_says_so(run: Command, rollout: Rollout) -> None:
    run("rollout", "decide")
    rollout.run("ALTER TABLE evidence_packet DISABLE TRIGGER ALL")
    rollout.run("UPDATE evidence_packet SET png = 'x'")
    ran = run("rollout", "packet")
    assert ran.code == 1
    assert "not what it was: its chart is not the one that it names" in ran.err


def test_a_home_that_cannot_be_written_names_the_remedy(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("QUEUE_PIPELINE_HOME", str(tmp_path / "file" / "home"))
    ran = run("rollout", "decide")
    assert ran.code == 3
    assert "QUEUE_PIPELINE_HOME" in ran.err


def test_alerts_prove_says_what_was_read_back(run: Command, slack: SlackServer) -> None:
    proved = run("alerts", "prove", "--who", "olga")
    assert proved.code == 0
    assert proved.out.count("was found there again") == 2
    assert len(slack.roots()) == 2
    assert run("alerts", "prove", "--kind", "rollback").code == 3
    slack.always["*"] = "channel_not_found"
    refused = run("alerts", "prove", "--kind", "stale_run")
    assert refused.code == 1
    assert "channel_not_found" in refused.out
    assert TOKEN not in refused.out + refused.err


def test_a_console_proves_nothing_that_could_be_read_back(run: Command) -> None:
    ran = run("alerts", "prove")
    assert ran.code == 2
    assert "cannot be read back" in ran.out
