from typing import Any

import dagster as dg
import pytest

from queue_pipeline.definitions import defs
from queue_pipeline_tests.defs.conftest import Shell
from queue_pipeline_tests.engine.records import ADDRESS, Records


@pytest.fixture
def job_and_lead(shell: Shell) -> tuple[int, int]:
    """A lead whose records are full of names and words."""
    records = Records(shell.db)
    records.lane()
    run = records.run(-60)
    job = records.job(ended=62, last_error="for Ada")
    records.attempt(job, run, 60, 62, step="draft", progress="asking for Ada")
    lead = records.lead(job)
    records.draft(job, lead, 61, decided_by="mia", decided_at=records.at(70), decision="approved for Ada")
    records.message(job, lead, "NEEDS_HUMAN", 61, 90, reason="for Ada")
    records.outcome(job, lead, "needs_action", 90, code="send_needs_human", reason="for Ada")
    records.notification(job, 90, 91, text="for Ada")
    return job, lead


def told(shell: Shell, query: str, *, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
    result: dg.ExecuteInProcessResult = defs.resolve_job_def("trace").execute_in_process(
        run_config={"ops": {"tell": {"config": {"query": query}}}},
        instance=shell.instance,
        resources=shell.resources,
        raise_on_error=raise_on_error,
    )
    return result


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    return dict(event.step_output_data.metadata)


def everything_kept(shell: Shell, result: dg.ExecuteInProcessResult) -> str:
    """All that Dagster keeps of the run: events, log lines, metadata and configuration."""
    run = shell.instance.get_run_by_id(result.run_id)
    return f"{[str(entry) for entry in shell.instance.all_logs(result.run_id)]}{run}"


def test_a_story_is_told_with_its_longest_gap_and_what_the_customer_saw(
    shell: Shell, job_and_lead: tuple[int, int]
) -> None:
    job, lead = job_and_lead
    for query in (str(job), f"lead:{lead}"):
        metadata = metadata_of(told(shell, query))
        story = metadata["story"].value
        assert f"**Job {job}, lead {lead}.**" in story
        assert "whether message 1 reached the customer must be found out by a person" in story
        assert "Longest gap: " in story
        assert metadata["jobs"].value == 1
        assert metadata["longest_gap_seconds"].value == pytest.approx(60, abs=1)
        assert {"claimed", "drafted", "outcome"} <= {record.data["what"] for record in metadata["events"].records}


def test_nothing_that_names_somebody_is_kept_by_dagster(shell: Shell, job_and_lead: tuple[int, int]) -> None:
    job, _ = job_and_lead
    kept = everything_kept(shell, told(shell, f"job:{job}"))
    assert "claimed" in kept
    assert not [word for word in ("Ada", ADDRESS, "mia", "Hello", "1@example") if word in kept]


@pytest.mark.parametrize("query", ["someone@example.com", "<1@example.com>", "+15550100"])
def test_whatever_names_a_person_is_refused_with_the_reason(shell: Shell, query: str) -> None:
    result = told(shell, query, raise_on_error=False)
    assert not result.success
    failure: Any = next(e for e in result.all_events if e.event_type_value == "STEP_FAILURE")
    assert "kept for ever" in failure.step_failure_data.user_failure_data.description
    assert query not in failure.step_failure_data.user_failure_data.description


def test_an_unknown_number_is_a_sentence(shell: Shell) -> None:
    failure: Any = next(
        e for e in told(shell, "404", raise_on_error=False).all_events if e.event_type_value == "STEP_FAILURE"
    )
    assert "No job has this id" in failure.step_failure_data.user_failure_data.description
