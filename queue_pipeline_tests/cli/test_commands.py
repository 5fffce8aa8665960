"""What every command has in common: help, exit codes, no traceback."""

import importlib

import click
import pytest

from queue_pipeline.cli.app import MODULES
from queue_pipeline_tests.cli.conftest import Command

OURS = sorted(name for name in MODULES if name not in ("up", "down", "serve-http"))


def command_named(name: str) -> click.Command:
    commands: list[click.Command] = importlib.import_module(MODULES[name]).commands
    return next(command for command in commands if command.name == name)


def leaves(name: str) -> list[click.Command]:
    """The command, or those of a group; a group that answers by itself is one of them."""
    command = command_named(name)
    if not isinstance(command, click.Group):
        return [command]
    return [*([command] if command.invoke_without_command else []), *command.commands.values()]


@pytest.mark.parametrize("command", [command for name in OURS for command in leaves(name)], ids=lambda c: str(c.name))
def test_every_command_says_what_it_does_and_every_option_says_what_it_is(command: click.Command) -> None:
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


@pytest.mark.parametrize("command", [command for name in OURS for command in leaves(name)], ids=lambda c: str(c.name))
def test_every_command_can_speak_json(command: click.Command) -> None:
    assert "--json" in [option for parameter in command.params for option in parameter.opts]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["enqueue", "drill.work"], "--workspace"),
        (["enqueue", "drill.work", "--workspace", "w", "--payload", "{"], "--payload"),
        (["enqueue", "drill.work", "--workspace", "w", "--payload", '{"seconds": "x"}'], "seconds"),
        (["enqueue", "no.such", "--workspace", "w", "--payload", "{}"], "no.such"),
        (["enqueue", "drill.work", "--workspace", "w", "--payload", "{}", "--run-at", "soon"], "--run-at"),
        (["enqueue", "drill.work", "--workspace", "w", "--payload", "{}", "--run-at", "2031-03-04"], "offset"),
        (["enqueue", "drill.work", "--workspace", "w", "--payload", "{}", "--dedupe-window", "nan"], "dedupe.window"),
        (["enqueue", "drill.work", "--workspace", "w", "--payload", "{}", "--priority", "101"], "--priority"),
        (["enqueue", "drill.work", "--workspace", "", "--payload", "{}"], "workspace"),
        (["cancel", "1"], "job_id"),
        (["cancel", "one"], "JOB_ID"),
        (["replay-dead"], "--kind"),
        (["drain", "--shard", "shard-99"], "shard-99"),
        (["drain", "--until-empty", "--seconds", "1"], "--until-empty"),
        (["recover", "--only", "nothing"], "only"),
        (["recover", "--observed", "--dry-run"], "--dry-run and --only look now"),
        (["trace", " "], "QUERY"),
        (["trace", "nobody@example.com"], "QUERY"),
        (["ingest", "/no/such/file"], "FILE"),
        (["ingest", "/", "--format", "mbox"], "--format"),
        (["prune", "--older-than-days", "-1"], "--older-than-days"),
        (["no-such-command"], "no-such-command"),
    ],
)
def test_wrong_usage_exits_with_3_and_names_what_is_wrong(run: Command, arguments: list[str], named: str) -> None:
    ran = run(*arguments)
    assert ran.code == 3
    assert named in ran.err
    assert "Traceback" not in ran.err


NEED_A_DATABASE = [
    ["migrate"],
    ["health"],
    ["running"],
    ["jobs"],
    ["dead"],
    ["outbox"],
    ["drafts"],
    ["tasks"],
    ["shards"],
    ["recover"],
    ["recover", "--observed"],
    ["trace", "1"],
    ["prune", "--older-than-days", "1"],
    ["drain", "--until-empty"],
    ["drill"],
    ["audit", "sends"],
    ["enqueue", "drill.work", "--workspace", "w", "--payload", "{}"],
    ["check"],
]


@pytest.mark.parametrize("arguments", NEED_A_DATABASE, ids=" ".join)
def test_without_a_database_a_command_exits_with_2(
    run: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("QUEUE_PIPELINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    ran = run(*arguments)
    assert ran.code == 2
    assert "not answering" in ran.out + ran.err


def test_without_an_embedded_database_a_command_says_how_to_get_one(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUEUE_PIPELINE_DATABASE_URL")
    ran = run("jobs")
    assert ran.code == 2
    assert "queue-pipeline up" in ran.err


def test_an_empty_schema_is_named_with_its_remedy(
    run: Command, monkeypatch: pytest.MonkeyPatch, blank_database_url: str
) -> None:
    monkeypatch.setenv("QUEUE_PIPELINE_DATABASE_URL", blank_database_url)
    ran = run("jobs")
    assert ran.code == 3
    assert "queue-pipeline migrate" in ran.err
    assert run("check", "--json").code == 3
    assert run("migrate", "--json").data["applied"][:2] == ["0001", "0002"]
    assert run("migrate").code == 0
    assert run("check").code == 0


def test_check_reports_every_problem_at_once(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_PIPELINE_HANDLERS", "no_such_module")
    monkeypatch.setenv("QUEUE_PIPELINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    ran = run("check", "--json")
    problems = {check["what"] for check in ran.data["checks"] if check["problems"]}
    assert (ran.code, problems) == (3, {"handlers", "database"})
    monkeypatch.setenv("QUEUE_PIPELINE_SHARDS", "many")
    monkeypatch.setenv("QUEUE_PIPELINE_BATCH_SIZE", "0")
    (settings,) = [check for check in run("check", "--json").data["checks"] if check["what"] == "settings"]
    assert len(settings["problems"]) == 2


def test_env_prints_addresses_without_passwords(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_PIPELINE_DATABASE_URL", "postgresql://ada:planted-secret@db.example.com/queue")
    assert "planted-secret" not in run("env").out
    assert "export DAGSTER_HOME=" in run("env").out
    assert "planted-secret" in run("env", "--show-passwords", "--json").data["PSQL_URL"]


def test_limits_gives_every_bound_a_reason(run: Command) -> None:
    bounds = run("limits", "--json").data
    assert bounds["stale_cutoff_seconds"]["value"] == 900
    assert all(bound["reason"] for bound in bounds.values())
    assert "stale_cutoff_seconds" in run("limits").out


def test_check_names_addresses_that_strangers_reach_without_a_secret(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUE_PIPELINE_UI_HOST", "0.0.0.0")
    monkeypatch.setenv("QUEUE_PIPELINE_HTTP_HOST", "0.0.0.0")
    done = run("check", "--json")
    assert done.code == 3
    (problems,) = [check["problems"] for check in done.data["checks"] if check["what"] == "addresses"]
    assert any("QUEUE_PIPELINE_UI_PASSWORD" in problem for problem in problems)
    assert any("CRON_SECRET" in problem for problem in problems)
