"""The sixty labelled cases: clean, one fault of each kind, adversarial. The gate finds what they say, offline."""

from pathlib import Path

import pytest

from queue_pipeline.leads.gates.check import Code
from queue_pipeline.leads.replay.chosen import sample
from queue_pipeline.leads.replay.manifest import Manifest
from queue_pipeline.leads.replay.selection import select, selection_of
from queue_pipeline_tests.leads.replay.stage import labelled, only, play

MANIFEST = labelled()
CLEAN = [case.case_id for case in MANIFEST.cases if case.expected.verdict == "pass"]
FAULTS = [case.case_id for case in MANIFEST.cases if case.expected.verdict == "fail"]


def test_there_are_sixty_cases_and_every_invariant_is_planted_alone() -> None:
    assert len(MANIFEST.cases) == 60
    assert len(CLEAN) >= 20
    planted = [tuple(case.expected.failures) for case in MANIFEST.cases if case.expected.verdict == "fail"]
    for code in Code:
        assert (code.value,) in planted


def test_the_gate_finds_in_each_case_what_its_label_says(tmp_path: Path) -> None:
    artifact = play(selection_of(MANIFEST, source="test"), tmp_path)
    assert artifact.summary.labels.disagreements == []
    assert artifact.summary.labels.stated == 60
    assert (artifact.verdict, artifact.exit_code) == ("fail", 1)
    assert (artifact.summary.passed, artifact.summary.failed) == (len(CLEAN), len(FAULTS))
    assert artifact.summary.evaluated == 60


def test_the_clean_cases_alone_pass(tmp_path: Path) -> None:
    artifact = play(only(*CLEAN), tmp_path)
    assert (artifact.verdict, artifact.exit_code, artifact.reasons) == ("pass", 0, [])
    assert artifact.summary.passed == len(CLEAN)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_fails_the_replay_of_an_otherwise_clean_manifest(fault: str, tmp_path: Path) -> None:
    artifact = play(only(*CLEAN[:2], fault), tmp_path)
    assert (artifact.verdict, artifact.exit_code) == ("fail", 1)
    assert fault in artifact.reasons[0]
    (bad,) = [case for case in artifact.cases if case.verdict != "pass"]
    assert bad.case_id == fault
    assert bad.failure_type in ("draft_quality_error", "decision_error")


def test_the_same_replay_again_gives_the_same_artifact(tmp_path: Path) -> None:
    first, second = (play(selection_of(MANIFEST, source="test"), tmp_path, concurrency=n) for n in (1, 8))
    timeless = [[case.model_copy(update={"seconds": 0.0}) for case in one.cases] for one in (first, second)]
    assert timeless[0] == timeless[1]
    assert first.summary == second.summary


def test_the_shipped_manifest_passes_with_the_template_drafter(tmp_path: Path) -> None:
    selection = select(sample().encode(), source="sample", resolve=lambda _: {})
    assert selection.manifest.plan().drafts == "generate"
    artifact = play(selection, tmp_path)
    assert (artifact.exit_code, artifact.reasons) == (0, [])
    assert artifact.summary.labels.disagreements == []
    assert artifact.summary.critical_misses == []
    assert artifact.config.judge_is_model is False
    assert "not a language model" in artifact.config.judge


def test_manifests_hold_invented_people_only() -> None:
    for manifest in (MANIFEST, Manifest.model_validate_json(sample())):
        addresses = [c.inbound.from_address for c in manifest.cases if c.inbound.from_address]
        assert all(
            a.endswith((".example", "example.com", "example.org", "example.net")) or a.startswith("+1555")
            for a in addresses
        )
