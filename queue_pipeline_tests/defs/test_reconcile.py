from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from queue_pipeline.definitions import defs
from queue_pipeline.defs.reconcile import reconcile_sensor
from queue_pipeline_tests.defs.conftest import Shell
from queue_pipeline_tests.sends.ledger import LOOKUP, Ledger, a_ledger


@pytest.fixture
def ledger(shell: Shell) -> Iterator[Ledger]:
    with a_ledger(shell.db) as ledger:
        yield ledger


def skipped(shell: Shell, cursor: str | None = None) -> str:
    result = shell.tick(reconcile_sensor, cursor)
    assert not result.run_requests
    return str(result.skip_reason.skip_message)


def run(shell: Shell, *, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("reconcile_sends")
    result: dg.ExecuteInProcessResult = job.execute_in_process(
        instance=shell.instance, resources=shell.resources, raise_on_error=raise_on_error
    )
    return result


def test_a_look_at_nothing_starts_nothing(shell: Shell, ledger: Ledger) -> None:
    assert skipped(shell) == "No message was due, overdue or in doubt."


def test_what_is_due_starts_one_reconciliation_and_no_second_one_soon(shell: Shell, ledger: Ledger) -> None:
    ledger.ready()
    ledger.pass_time(100)
    first = shell.tick(reconcile_sensor)
    assert [request.job_name for request in first.run_requests] == ["reconcile_sends"]
    assert "has just been" in skipped(shell, first.cursor)
    assert len(ledger.provider.parcels) == 1, "a sensor never sends"


def test_a_reconciliation_that_is_under_way_is_not_joined_by_another(
    shell: Shell, ledger: Ledger, a_run: Callable[..., dg.DagsterRun]
) -> None:
    ledger.ready()
    ledger.pass_time(100)
    a_run("reconcile_sends", dg.DagsterRunStatus.STARTED)
    assert "1 messages are due; a reconciliation is under way" in skipped(shell)


def test_the_sensor_itself_settles_what_needs_no_provider(shell: Shell, ledger: Ledger) -> None:
    ledger.provider.script = []
    sent = ledger.sent()
    ledger.run_sql(
        "UPDATE provider_message SET outbound_message_id = NULL; ALTER TABLE outbound_message DISABLE TRIGGER USER;"
        " UPDATE outbound_message SET state = 'SENDING', sent_at = NULL, deadline_at = now() - interval '1 second';"
        " ALTER TABLE outbound_message ENABLE TRIGGER USER"
    )
    result: Any = shell.tick(reconcile_sensor)
    assert ledger.state(sent.outbound_message_id) == "UNKNOWN"
    assert len(result.run_requests) == 1, "the doubt is due to be looked at"


def test_a_broken_cursor_and_a_database_that_is_away_are_survived(
    shell: Shell, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.ready()
    ledger.pass_time(100)
    assert len(shell.tick(reconcile_sensor, "nonsense").run_requests) == 1
    monkeypatch.setenv("QUEUE_PIPELINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    assert "PostgreSQL is not answering" in skipped(shell, "17.0")


def test_the_job_settles_what_is_due_and_says_so(shell: Shell, ledger: Ledger) -> None:
    number = ledger.ready()
    ledger.pass_time(100)
    result = run(shell)
    assert ledger.state(number) == "SENT"
    (output,) = [e for e in result.all_events if e.event_type_value == "STEP_OUTPUT"]
    assert output.step_output_data.metadata["summary"].value == "1 messages were tried and are SENT."


def test_what_could_not_be_settled_fails_the_run_in_a_sentence(shell: Shell, ledger: Ledger) -> None:
    number = ledger.doubtful()
    ledger.able(LOOKUP)
    ledger.provider.answer_to_lookup = ZeroDivisionError()
    ledger.pass_time(100)
    result = run(shell, raise_on_error=False)
    assert not result.success
    failure: Any = next(e for e in result.all_events if e.event_type_value == "STEP_FAILURE")
    assert f"message {number}: ZeroDivisionError" in str(failure.step_failure_data.user_failure_data.description)
