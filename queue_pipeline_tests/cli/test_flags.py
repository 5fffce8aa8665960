import pytest

from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command

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
