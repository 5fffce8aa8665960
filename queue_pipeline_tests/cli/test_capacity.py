"""`capacity`: what is in force and why, in words and as JSON; override and release."""

import pytest

from queue_pipeline.domain.capacity import CapacityPolicy
from queue_pipeline.engine.capacity_tick import tick
from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command

WHO = ("--who", "Ada", "--why", "a campaign")


def test_before_anything_was_decided_drains_are_as_configured(run: Command) -> None:
    shown = run("capacity")
    assert shown.code == 0
    assert "Flag capacity.mode is observe." in shown.err
    assert "workers as configured (16), claimed jobs no cap" in shown.err
    assert "There is no decision yet." in shown.err
    assert run("capacity", "--json").data["decisions"] == []


def test_decisions_are_listed_with_their_reasons(run: Command, db: Database) -> None:
    tick(db, CapacityPolicy())
    shown = run("capacity")
    assert "hold_target_reached" in shown.out
    (decision,) = run("capacity", "--limit", 1, "--json").data["decisions"]
    assert (decision["from_workers"], decision["to_workers"], decision["mode"]) == (16, 16, "observe")


def test_an_override_holds_until_it_is_released(run: Command) -> None:
    begun = run("capacity", "override", "--workers", 24, "--in-flight", 2048, "--hours", 2, *WHO)
    assert begun.code == 0
    assert "Ada set 24 workers and 2,048 claimed jobs until" in begun.err
    shown = run("capacity", "--json").data
    assert (shown["workers"], shown["in_flight_max"], shown["override"]["who"]) == (24, 2048, "Ada")
    assert "is over: a campaign" in run("capacity", "release", *WHO).err
    assert run("capacity", "--json").data["workers"] is None


def test_an_override_that_nothing_obeys_says_so(run: Command) -> None:
    run("flags", "set", "capacity.mode", "off", "--why", "a test")
    assert "nothing obeys it" in run("capacity", "override", "--workers", 24, "--hours", 2, *WHO).err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("override", "--workers", 65, "--hours", 1, *WHO), "QUEUE_PIPELINE_WORKERS_MAX"),
        (("override", "--workers", 3, "--hours", 1, *WHO), "4 (one per shard)"),
        (("override", "--in-flight", 10, "--hours", 1, *WHO), "The floor is 1024."),
        (("override", "--hours", 1, *WHO), "Say how many workers"),
        (("override", "--workers", 20, *WHO), "--hours"),
        (("override", "--workers", 20, "--hours", 1, "--who", "Ada"), "--why"),
        (("release", *WHO), "Nothing is overridden"),
    ],
)
def test_a_wrong_word_is_a_sentence(run: Command, arguments: tuple[object, ...], named: str) -> None:
    refused = run("capacity", *arguments)
    assert refused.code == 3
    assert named in refused.err
