import pytest

from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command

WHO = ("--who", "olga", "--why", "a large customer")
ESCALATE = ("workspace", "escalate", "acme", "--quota", 300, "--hours", 2, "--approver", "Ines")


def test_a_workspace_is_decided_about_and_shown_with_why(run: Command) -> None:
    assert run("workspace", "list").err.strip() == "No workspace has had a job yet."
    weighed = run("workspace", "weight", "acme", 3, *WHO)
    assert weighed.code == 0
    assert "The weight is 3; it was 1. a large customer Workspace acme: quota 64, weight 3" in weighed.err
    assert run("workspace", "eligible", "acme", "on", *WHO, "--json").data["eligible"] is True
    assert run("workspace", "quota", "acme", 70, *WHO, "--json").data["quota"] == 70
    escalated = run(*ESCALATE, *WHO, "--json").data
    assert (escalated["quota"], escalated["own_quota"], escalated["escalated_by"]) == (300, 70, "Ines")
    shown = run("workspace", "show", "acme")
    assert shown.code == 0
    assert "300, by escalation" in shown.out
    assert "approved by Ines: a large customer" in shown.out
    assert [each["reason_code"] for each in run("workspace", "show", "acme", "--json").data["decisions"]] == [
        "escalated", "quota_set", "eligibility_set", "weight_set",
    ]  # fmt: skip
    assert [row["workspace"] for row in run("workspace", "list", "--json").data] == ["acme"]
    assert "acme" in run("workspace", "list", "--limit", 1).out
    assert "The escalation to 300 was ended." in run("workspace", "return", "acme", *WHO).err
    assert run("workspace", "return", "acme", *WHO, "--json").data["quota"] == 64
    assert "64, that of its tier" in run("workspace", "show", "acme").out


def test_a_pause_is_shown_with_who_and_why(run: Command, db: Database) -> None:
    run("workspace", "weight", "acme", 3, *WHO)
    with db.begin() as tx:
        tx.exec_driver_sql("INSERT INTO pause (scope, name, who, why) VALUES ('workspace', 'acme', 'Mina', 'audit')")
        tx.exec_driver_sql("UPDATE workspace_lane SET paused = true")
    shown = run("workspace", "show", "acme")
    assert "Paused (workspace) by Mina" in shown.err
    assert run("workspace", "show", "acme", "--json").data["pauses"][0]["why"] == "audit"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("workspace", "show", "nobody"), "It never had a job"),
        (("workspace", "weight", "acme", 0, *WHO), "Use 1 to 1000"),
        (("workspace", "weight", "acme", "many", *WHO), "many"),
        (("workspace", "weight", "acme", 3), "--why"),
        (("workspace", "quota", "acme", 0, *WHO), "pause the workspace instead"),
        (("workspace", "quota", "acme", 2000, *WHO), "Use 1 to 1024"),
        (("workspace", "eligible", "acme", "perhaps", *WHO), "perhaps"),
        (("workspace", "eligible", "acme", "off", *WHO), "not eligible already"),
        ((*ESCALATE[:-2], *WHO), "--approver"),
        (("workspace", "escalate", "acme", "--quota", 300, "--approver", "Ines", *WHO), "--hours"),
        ((*ESCALATE[:6], 100, *ESCALATE[7:], *WHO), "at most 72 hours"),
        ((*ESCALATE[:4], 64, *ESCALATE[5:], *WHO), "64 is in force without it"),
        ((*ESCALATE, "--why", " "), "Say who decides and why"),
        (("workspace", "return", "acme", *WHO), "neither an escalation nor a quota of its own"),
    ],
)
def test_a_wrong_decision_is_a_sentence_and_changes_nothing(
    run: Command, db: Database, arguments: tuple[object, ...], named: str
) -> None:
    refused = run(*arguments)
    assert refused.code == 3
    assert named in refused.err
    assert "Traceback" not in refused.err
    with db.begin() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM quota_decision").scalar_one() == 0
