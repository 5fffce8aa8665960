"""The replay as an asset: its checks are the gate, and its metadata names no person and quotes no draft."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from queue_pipeline.definitions import defs
from queue_pipeline.leads.gates.check import Code
from queue_pipeline_tests.defs.conftest import Shell
from queue_pipeline_tests.leads.replay.stage import LABELLED

CHECKS = {*(code.value for code in Code), "judge", "complete", "no_regression"}


def replayed(shell: Shell, *, must_succeed: bool = True, **config: Any) -> Any:
    job = defs.resolve_job_def("replay_leads")
    given = {"ops": {"replay_gate": {"config": config}}}
    return job.execute_in_process(
        instance=shell.instance, resources=shell.resources, run_config=given, raise_on_error=must_succeed
    )


def evaluations(result: Any) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def failed(result: Any) -> set[str]:
    return {name for name, evaluation in evaluations(result).items() if not evaluation.passed}


def metadata_of(result: Any) -> Any:
    (event,) = result.get_asset_materialization_events()
    return event.materialization.metadata


def manifest_of(place: Path, *names: str) -> str:
    content = json.loads(LABELLED.read_text(encoding="utf-8"))
    cases = [case for case in content["cases"] if case["case_id"] in names]
    path = place / "manifest.json"
    path.write_text(json.dumps({**content, "cases": cases, "tiers": {}}), encoding="utf-8")
    return str(path)


def test_the_shipped_manifest_passes_every_check_and_is_recorded(shell: Shell) -> None:
    result = replayed(shell)
    assert set(evaluations(result)) == CHECKS
    assert failed(result) == set()
    assert {evaluation.severity for evaluation in evaluations(result).values()} == {dg.AssetCheckSeverity.ERROR}
    metadata = metadata_of(result)
    assert (metadata["verdict"].value, metadata["passed"].value) == ("pass", 21)
    assert Path(metadata["artifact"].value).exists()
    (row,) = shell.rows("SELECT verdict, who FROM replay_run")
    assert (row.verdict, row.who) == ("pass", f"Dagster run {result.run_id}")


def test_a_fault_fails_the_check_of_its_invariant_and_the_judges(shell: Shell, tmp_path: Path) -> None:
    result = replayed(shell, manifest=manifest_of(tmp_path, "clean-price-deferred", "slot-hour-shifted"))
    assert failed(result) == {"slot_mismatch", "judge"}
    metadata = metadata_of(result)
    assert metadata["verdict"].value == "fail"
    assert [record.data["case"] for record in metadata["failing_cases"].records] == ["slot-hour-shifted"]
    shown = str({name: value.value for name, value in metadata.items() if name != "artifact"})
    assert not [word for word in ("Ada", "Hello", "11:00", "@example") if word in shown]


def test_what_could_not_be_measured_passes_no_check(shell: Shell, tmp_path: Path) -> None:
    result = replayed(shell, manifest=manifest_of(tmp_path))
    assert failed(result) == CHECKS
    assert metadata_of(result)["verdict"].value == "unmeasured"


def test_a_case_that_got_worse_since_the_last_recorded_pass_fails_no_regression(shell: Shell, tmp_path: Path) -> None:
    replayed(shell, manifest=manifest_of(tmp_path, "clean-price-deferred"))
    content = json.loads((tmp_path / "manifest.json").read_text())
    content["cases"][0]["reference_draft"] = "Hello,\n\ntwelve seats cost $49.\n\nKind regards"
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    result = replayed(shell, manifest=str(tmp_path / "manifest.json"))
    assert failed(result) == {"judge", "no_regression"}


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"manifest": "no-such-file.json"}, "no-such-file.json"),
        ({"manifest": "x", "client_id": "acme"}, "client_id"),
        ({"judge_profile": "kind"}, "kind"),
        ({"baseline": "no-such.json"}, "no-such.json"),
    ],
)
def test_wrong_configuration_fails_the_dagster_run_with_a_sentence(
    shell: Shell, config: dict[str, Any], named: str
) -> None:
    result = replayed(shell, must_succeed=False, **config)
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert named in str(event.step_failure_data.user_failure_data.description)


def test_a_workspace_without_leads_cannot_be_measured(shell: Shell) -> None:
    assert failed(replayed(shell, client_id="nobody")) == CHECKS
