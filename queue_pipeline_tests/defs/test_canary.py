"""A canary from the UI: decided by op jobs, seen in two assets, ticked by the alert sensor, left alone by the watch."""

from typing import Any

import dagster as dg
import pytest

from queue_pipeline.defs.alerts import alert_sensor
from queue_pipeline.defs.canary_samples import SAMPLES_SHOWN, canary_samples, control_flags
from queue_pipeline.defs.watch import watch_sensor
from queue_pipeline.domain.flag import FLAGS
from queue_pipeline.engine import canary, flags
from queue_pipeline_tests.defs.conftest import SHARD, Shell
from queue_pipeline_tests.defs.test_operator import launched, reason_of
from queue_pipeline_tests.engine.canaries import INSIDE, Rollout
from queue_pipeline_tests.store.rows import a_function_run, a_job

WHO: dict[str, Any] = {"who": "Olga", "why": "try it"}
START: dict[str, Any] = {"candidate": {"drafts.auto_send": "on"}, "workspaces": [INSIDE], **WHO}
SHORT: dict[str, Any] = {"warm_up_seconds": 60, "window_seconds": 600, "samples_min": 5, "started_min": 10}


@pytest.fixture
def rollout(shell: Shell) -> Rollout:
    return Rollout(shell.db)


def shown(shell: Shell, asset: dg.AssetsDefinition) -> dict[str, Any]:
    result = dg.materialize([asset], instance=shell.instance, resources=shell.resources, selection=[asset])
    (event,) = result.get_asset_materialization_events()
    return {key: value.value for key, value in event.materialization.metadata.items()}


def cells(rows: Any) -> list[dict[str, str]]:
    return [dict(record.data) for record in rows.records]


def test_a_canary_is_started_held_resumed_and_aborted_from_the_ui(shell: Shell, rollout: Rollout) -> None:
    launched(shell, "start_canary", "begin_canary", **START, **SHORT)
    launched(shell, "hold_canary", "hold_one", **WHO)
    assert rollout.state == "HELD"
    launched(shell, "resume_canary", "resume_one", **WHO)
    launched(shell, "abort_canary", "abort_one", who="Mina", why="enough")
    assert rollout.moves() == ["WARMING", "HELD", "WARMING", "ABORTED"]
    ended = rollout.canary()
    assert (ended.started_by, ended.ended_by, ended.end_reason) == ("Olga", "Mina", "enough")
    assert (ended.allow, ended.window_seconds) == ([INSIDE], 600)


def test_a_canary_is_promoted_from_the_ui_when_its_verdict_is_pass(shell: Shell, rollout: Rollout) -> None:
    rollout.watching()
    refused = launched(shell, "promote_canary", "promote_one", raise_on_error=False, **WHO)
    assert "only a complete canary can be promoted" in reason_of(refused)
    canary.abort(shell.db, who="Olga", why="again")
    rollout.complete()
    launched(shell, "promote_canary", "promote_one", **WHO)
    assert rollout.state == "PROMOTED"


def test_a_rollback_is_answered_from_the_ui(shell: Shell, rollout: Rollout) -> None:
    rollout.watching()
    rollout.sent_twice()
    shell.tick(alert_sensor)
    assert rollout.state == "ROLLED_BACK", "the alert sensor looks at the canary"
    launched(shell, "acknowledge_rollback", "acknowledge_one", **WHO)
    launched(shell, "undo_rollback", "undo_one", **WHO)
    assert {state.flag: state.value for state in flags.states(shell.db)}["sends.enabled"] == "on"
    again = launched(shell, "undo_rollback", "undo_one", raise_on_error=False, **WHO)
    assert "Olga has taken it back already" in reason_of(again)


@pytest.mark.parametrize(
    ("job", "op", "config"),
    [
        ("start_canary", "begin_canary", {**START, "who": ""}),
        ("start_canary", "begin_canary", {**START, "share": 101}),
        ("start_canary", "begin_canary", {**START, "window_seconds": 1}),
        ("start_canary", "begin_canary", WHO),
        ("abort_canary", "abort_one", {"who": "Olga"}),
        ("promote_canary", "promote_one", {**WHO, "force": "perhaps"}),
        ("undo_rollback", "undo_one", {**WHO, "typo": 1}),
    ],
)
def test_configuration_that_is_wrong_starts_nothing(shell: Shell, job: str, op: str, config: dict[str, Any]) -> None:
    result: Any = None
    with pytest.raises(Exception) as refused:  # noqa: PT011 - Dagster's or pydantic's, by where it is noticed
        result = launched(shell, job, op, **config)
    assert result is None
    words = ("who", "why", "share", "window_seconds", "candidate", "force", "typo")
    assert any(word in str(refused.value) for word in words)


@pytest.mark.parametrize(
    ("candidate", "said"),
    [({"sends": "on"}, "Known flags"), ({"sends.enabled": "off"}, "whole installation"), ({}, "at least one flag")],
)
def test_a_candidate_that_cannot_be_is_a_sentence(shell: Shell, candidate: dict[str, str], said: str) -> None:
    config = {**START, "candidate": candidate}
    assert said in reason_of(launched(shell, "start_canary", "begin_canary", raise_on_error=False, **config))


def test_before_the_first_canary_the_asset_says_so(shell: Shell) -> None:
    assert shown(shell, canary_samples) == {"summary": "There never was a canary."}


def test_the_samples_are_shown_side_by_side_with_a_chart_and_the_verdict(shell: Shell, rollout: Rollout) -> None:
    rollout.complete()
    seen = shown(shell, canary_samples)
    assert seen["summary"].startswith(
        "**Canary 1 is COMPLETE, verdict PASS:** drafts.auto_send=on for canary-team. olga"
    )
    assert "Shorter than the contract: window: 600 s instead of 3600 s." in seen["summary"]
    assert seen["chart"].startswith("![queue age and failed attempts, canary and control](data:image/png;base64,")
    assert {row["demand"]: row["status"] for row in cells(seen["demands"])}["failure rate"] == "pass"
    sides = {row["measure"]: (row["canary"], row["control"]) for row in cells(seen["cohorts"])}
    assert sides["started jobs"] == ("40", "0")
    assert [row["to"] for row in cells(seen["moves"])] == ["WARMING", "WATCHING", "COMPLETE"]
    assert len(cells(seen["latest_samples"])) == SAMPLES_SHOWN
    assert seen["samples"] == 2 * 12


def test_what_the_rules_said_is_in_the_asset_whether_done_or_only_observed(shell: Shell, rollout: Rollout) -> None:
    rollout.start()
    rollout.attempts(40, failed=20)
    rollout.tick()
    rollout.sent_twice()
    rollout.tick()
    told = [
        (row["rule"], row["done"], row["flags flipped"]) for row in cells(shown(shell, canary_samples)["rollbacks"])
    ]
    assert told == [
        ("failure_rate", "only observed", ""),
        ("duplicate", "rolled back", "sends.enabled: on to off"),
    ]


def test_every_flag_is_shown_with_what_the_canary_has_instead(shell: Shell, rollout: Rollout) -> None:
    flags.flip(shell.db, "drain.parallel", "off", who="Mina", why="the provider is slow")
    rollout.start()
    seen = shown(shell, control_flags)
    rows = {row["flag"]: row for row in cells(seen["flags"])}
    assert list(rows) == list(FLAGS)
    assert (rows["drafts.auto_send"]["value"], rows["drafts.auto_send"]["canary"]) == ("off", "on")
    parallel = rows["drain.parallel"]
    assert (parallel["value"], parallel["source"], parallel["who"], parallel["why"]) == (
        "off", "database", "Mina", "the provider is slow",
    )  # fmt: skip
    assert seen["overridden"] == 1


def test_the_watch_requests_nothing_while_recovery_only_observes(shell: Shell) -> None:
    ago = "now() - interval '5 minutes'"
    with shell.db.direct() as connection:
        run = a_function_run(connection, shard=SHARD)
        a_job(connection, "RUNNING", function_run_id=run)
    shell.rows(f"UPDATE function_run SET started_at = {ago}, heartbeat_at = {ago}, lease_until = {ago}")
    flags.flip(shell.db, "recovery.mode", "observe", **WHO)
    looked = shell.tick(watch_sensor)
    assert not looked.run_requests
    assert "nothing was done: flag recovery.mode is observe" in looked.skip_reason.skip_message
    assert shell.rows("SELECT observed_by FROM recovery_observation") == [("watch sensor",)]
    assert shell.rows("SELECT swept_by FROM sweep_mark") == [("watch sensor",)]
    flags.flip(shell.db, "recovery.mode", "enforce", **WHO)
    (request,) = shell.tick(watch_sensor, looked.cursor).run_requests
    assert request.job_name == "recover"
