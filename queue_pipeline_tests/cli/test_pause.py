import pytest

from queue_pipeline_tests.cli.conftest import Command

WHY = ("--who", "Mina", "--why", "its import is broken")


def test_what_is_paused_is_listed_with_who_and_why_until_it_is_resumed(run: Command) -> None:
    begun = run("pause", "start", "workspace", "acme", "--hours", "2", *WHY)
    assert begun.code == 0
    assert "workspace acme is paused since" in begun.err
    assert "`queue-pipeline resume workspace acme`" in begun.err
    (row,) = run("pause", "list", "--json").data
    assert (row["scope"], row["name"], row["who"], row["why"]) == ("workspace", "acme", "Mina", "its import is broken")
    assert "workspace acme" in run("pause").out
    assert run("resume", "workspace", "acme", *WHY).code == 0
    assert run("pause", "list", "--json").data == []
    (row,) = run("pause", "list", "--all", "--json").data
    assert (row["ended_by"], row["end_reason"]) == ("Mina", "its import is broken")


def test_everything_needs_no_name(run: Command) -> None:
    begun = run("pause", "start", "everything", *WHY)
    assert "`queue-pipeline resume everything`" in begun.err
    assert run("resume", "everything", *WHY, "--json").data["scope"] == "everything"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("pause", "start", "queue", "x", *WHY), "'everything', 'shard', 'workspace', 'kind'"),
        (("pause", "start", "workspace", *WHY), "Name the workspace"),
        (("pause", "start", "shard", "shard-77", *WHY), "There is shard-00 to"),
        (("pause", "start", "kind", "a", "--hours", "0", *WHY), "--hours"),
        (("pause", "start", "kind", "a", "--who", "Mina"), "--why"),
        (("resume", "kind", "a", *WHY), "It is not paused"),
    ],
)
def test_what_cannot_be_is_a_sentence(run: Command, arguments: tuple[str, ...], named: str) -> None:
    refused = run(*arguments)
    assert refused.code == 3
    assert named in refused.err
    assert run("pause", "list", "--json").data == []
