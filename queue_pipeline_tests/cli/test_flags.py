import pytest

from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command
from queue_pipeline_tests.store.rows import a_function_run, a_job

FLIP = ("flags", "set", "sends.enabled", "off")


def test_every_flag_is_listed_with_where_its_value_comes_from(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = run("flags", "--json")
    assert listed.code == 0
    assert {state["flag"]: state["value"] for state in listed.data} == {
        "sends.enabled": "on",
        "drafts.auto_send": "off",
        "drain.parallel": "on",
        "recovery.mode": "enforce",
        "rollback.mode": "enforce",
        "capacity.mode": "observe",
    }
    assert {state["source"] for state in listed.data} == {"environment"}
    assert "Messages to customers leave" in run("flags").out


def test_a_flip_says_what_it_means_and_is_listed_with_who_and_why(run: Command) -> None:
    flipped = run(*FLIP, "--who", "Mina", "--why", "the provider sends twice")
    assert flipped.code == 0
    assert "sends.enabled is off. Messages to customers are kept READY" in flipped.err + flipped.out
    (state,) = [state for state in run("flags", "--json").data if state["flag"] == "sends.enabled"]
    assert (state["value"], state["source"], state["who"]) == ("off", "database", "Mina")
    assert state["why"] == "the provider sends twice"
    assert run("flags", "set", "sends.enabled", "on", "--why", "mended", "--json").data["value"] == "on"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("flags", "set", "sends.enable", "off", "--why", "a test"), "'sends.enabled', 'drafts.auto_send'"),
        (("flags", "set", "sends.enabled", "perhaps", "--why", "a test"), "It can be on or off."),
        (("flags", "set", "recovery.mode", "on", "--why", "a test"), "It can be enforce or observe or off."),
        (FLIP, "--why"),
        ((*FLIP, "--why", "  "), "Say who flips the flag and why"),
        ((*FLIP, "--why", "a test", "--who", ""), "Say who flips the flag and why"),
    ],
)
def test_a_wrong_flip_is_a_sentence_and_changes_nothing(
    run: Command, db: Database, arguments: tuple[str, ...], named: str
) -> None:
    refused = run(*arguments)
    assert refused.code == 3
    assert named in refused.err
    assert "Traceback" not in refused.err
    with db.begin() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM control_event").scalar_one() == 0


def test_what_recovery_would_have_done_is_listed_and_the_job_left_alone(run: Command, db: Database) -> None:
    assert run("recover", "--observed", "--json").data == []
    assert run("flags", "set", "recovery.mode", "observe", "--why", "a first look").code == 0
    with db.direct() as connection:
        held_by = a_function_run(connection, shard="shard-00")
        a_job(connection, "RUNNING", function_run_id=held_by)
        connection.execute(b"UPDATE function_run SET lease_until = now() - interval '5 minutes'")
    assert "flag recovery.mode is observe" in run("recover").out
    (seen,) = run("recover", "--observed", "--json").data
    assert (seen["shard"], seen["observed_by"]) == ("shard-00", "cli")
    assert seen["would"].startswith(f"Function run {held_by} of shard-00")
    assert "its running jobs given back" in seen["would"]
    assert f"run:{held_by}:" in run("recover", "--observed").out
    with db.direct() as connection:
        assert connection.execute("SELECT state FROM job").fetchall() == [("RUNNING",)]
        connection.execute(b"UPDATE recovery_observation SET last_seen_at = now() - interval '25 hours'")
    assert run("recover", "--observed", "--json").data == []
