from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from queue_pipeline.definitions import defs
from queue_pipeline.defs.duplicate_send_audit import (
    FIRST_DAY,
    audit_today_each_hour,
    audit_yesterday_each_night,
    days,
    duplicate_send_audit,
    duplicate_send_checks,
)
from queue_pipeline.domain.audit_check import CHECKS, LEGACY_NAME
from queue_pipeline_tests.defs.conftest import Shell
from queue_pipeline_tests.engine.audit_plants import alike_to_one_address, same_key_by_link, unledgered
from queue_pipeline_tests.engine.planted import TEXT, Planted, planting_unguarded

GATES = {check.name for check in CHECKS if check.gates}


@pytest.fixture
def planted(shell: Shell) -> Iterator[Planted]:
    with planting_unguarded(shell.db) as planted:
        yield planted


def today(planted: Planted) -> str:
    return planted.at.astimezone(UTC).date().isoformat()


def audited(shell: Shell, day: str) -> Any:
    job = defs.resolve_job_def("audit_sends")
    return job.execute_in_process(instance=shell.instance, resources=shell.resources, partition_key=day)


def evaluations(result: Any) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def metadata_of(result: Any) -> Any:
    (event,) = result.get_asset_materialization_events()
    return event.materialization.metadata


def test_a_clean_day_passes_and_says_what_was_examined(shell: Shell, planted: Planted) -> None:
    planted.sent()
    result = audited(shell, today(planted))
    metadata = metadata_of(result)
    assert metadata["verdict"].value == "pass"
    assert "examined" in str(metadata["summary"].value)
    assert metadata["rows_examined"].value > 0
    assert {name: evaluation.passed for name, evaluation in evaluations(result).items() if name in GATES} == {
        name: name != "d2_one_draft_part_one_message" for name in GATES
    }


def test_a_day_with_nothing_to_examine_is_inconclusive_and_no_check_passes(shell: Shell) -> None:
    result = audited(shell, FIRST_DAY)
    assert metadata_of(result)["verdict"].value == "inconclusive"
    told = evaluations(result)
    assert {name for name, evaluation in told.items() if evaluation.passed} == {LEGACY_NAME}
    assert {evaluation.severity for evaluation in told.values()} == {dg.AssetCheckSeverity.WARN}
    assert "Inconclusive: 0" in str(told["d1_one_key_one_message"].description)


def test_findings_are_shown_with_messages_attempts_and_runs_but_no_address_and_no_text(
    shell: Shell, planted: Planted
) -> None:
    ((message,), evidence), _ = same_key_by_link(planted), alike_to_one_address(planted)
    unledgered(planted)
    result = audited(shell, today(planted))
    metadata = metadata_of(result)
    first = metadata["findings"].records[0].data
    assert first["check"] == "D1"
    assert first["messages"] == f"{message} (SENT)"
    assert all(identity in first["at_providers"] for identity in evidence)
    assert f"{message}#2 epoch 2 by drain 2: accepted" in first["attempts"]
    assert (first["function_runs"], first["dagster_runs"]) == ("71, 72", "dagster-run-1, dagster-run-2")
    assert "(/runs/dagster-run-1)" in metadata["dagster_runs"].value
    assert metadata["open_d1"].value == metadata["open_d4"].value == metadata["open_d5"].value == 1
    events = repr([record.event_log_entry for record in shell.instance.get_records_for_run(result.run_id).records])
    assert "@example.com" not in events
    assert TEXT not in events


def test_each_check_that_gates_fails_as_an_error_and_the_others_warn(shell: Shell, planted: Planted) -> None:
    same_key_by_link(planted)
    planted.message("REJECTED")
    rejected = planted.message("REJECTED")
    planted.evidence(rejected, text="sent all the same")
    told = evaluations(audited(shell, today(planted)))
    assert not told["d1_one_key_one_message"].passed
    assert told["d1_one_key_one_message"].severity is dg.AssetCheckSeverity.ERROR
    assert not told["d6_ledger_agrees_with_providers"].passed
    assert told["d6_ledger_agrees_with_providers"].severity is dg.AssetCheckSeverity.WARN
    assert "structural" in str(told[LEGACY_NAME].description)


@pytest.mark.parametrize("name", ["d1_one_key_one_message", LEGACY_NAME])
def test_a_check_can_be_run_alone_for_the_last_24_hours(shell: Shell, planted: Planted, name: str) -> None:
    same_key_by_link(planted)
    result = dg.materialize(
        [duplicate_send_audit, duplicate_send_checks],
        selection=dg.AssetSelection.checks(dg.AssetCheckKey(duplicate_send_audit.key, name)),
        instance=shell.instance,
        resources=shell.resources,
    )
    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.check_name, evaluation.passed) == (name, name == LEGACY_NAME)
    assert "24 hours" in str(evaluation.description) or name == LEGACY_NAME


def test_a_day_that_is_audited_again_shows_the_new_state(shell: Shell, planted: Planted) -> None:
    planted.sent()
    day = today(planted)
    assert metadata_of(audited(shell, day))["verdict"].value == "pass"
    unledgered(planted)
    assert metadata_of(audited(shell, day))["verdict"].value == "breach"
    assert len(shell.instance.get_materialized_partitions(duplicate_send_audit.key)) == 1


def test_the_schedules_ask_for_today_and_for_yesterday() -> None:
    at = datetime(2026, 11, 24, 0, 40, tzinfo=UTC)
    asked = {}
    for schedule in (audit_today_each_hour, audit_yesterday_each_night):
        (request,) = (
            schedule.evaluate_tick(
                dg.build_schedule_context(scheduled_execution_time=at, repository_def=defs.get_repository_def())
            ).run_requests
            or ()
        )
        asked[schedule.name] = request.partition_key
    assert asked == {"audit_today_each_hour": "2026-11-24", "audit_yesterday_each_night": "2026-11-23"}


def test_today_has_a_partition_and_so_has_every_day_before(planted: Planted) -> None:
    assert {FIRST_DAY, today(planted)} <= set(days.get_partition_keys())


def test_lineage_runs_from_the_ledger_and_the_evidence_to_the_audit() -> None:
    graph = defs.resolve_asset_graph()
    upstream = {key.path[-1] for key in graph.get(duplicate_send_audit.key).parent_keys}
    assert upstream == {"outbound_message", "send_attempt", "provider_message", "inbound_event", "inbound_conflict"}
