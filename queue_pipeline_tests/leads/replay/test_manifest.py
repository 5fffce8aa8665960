"""Manifests: version 2 holds everything and tolerates no typo, version 1 names ids, and nothing wrong is silent."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from queue_pipeline import InvalidInput
from queue_pipeline.leads.replay.artifact import Artifact
from queue_pipeline.leads.replay.manifest import Case, Manifest
from queue_pipeline.leads.replay.published_schema import GENERATE, published
from queue_pipeline.leads.replay.selection import Selection, canonical_sha256, select
from queue_pipeline_tests.leads.replay.stage import LABELLED, labelled, only, play

SMALL: dict[str, Any] = {
    "version": 2,
    "manifest_id": "small",
    "cases": [
        {
            "case_id": "a",
            "tenant": "acme",
            "channel": "email",
            "reference_now": "2031-03-03T09:00:00+01:00",
            "timezone": "Europe/Berlin",
            "inbound": {"subject": "Price", "body": "What does it cost?", "sent_at": "2031-03-03T08:40:00+01:00"},
            "thread": [{"author": "us", "body": "Hello", "sent_at": "2031-03-02T08:00:00+01:00"}],
        }
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(SMALL))
    *way, last = path.split(".")
    place: Any = content
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[int(last) if last.isdigit() else last] = value
    return content


def read(content: Any, resolve: Any = lambda _: {}) -> Selection:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return select(data, source="manifest.json", resolve=resolve)


WRONG: list[tuple[Any, str]] = [
    (changed("caes", []), "caes"),
    (changed("cases.0.refernce_draft", "x"), "refernce_draft"),
    (changed("cases.0.expected", {"acton": "skip"}), "acton"),
    (changed("cases.0.inbound.sendt_at", "x"), "sendt_at"),
    (changed("cases.0.offered_slots", [{"start": "2031-03-04T10:00:00"}]), "offered_slots.0.start"),
    (changed("cases.0.offered_slots", [{"start": "2031-03-04T10:00:00Z", "strat": 1}]), "strat"),
    (changed("cases.0.thread.0.sent_at", "2031-03-03T08:50:00+01:00"), r"case a, .*thread\[0\].sent_at is later"),
    (changed("cases.0.inbound.sent_at", "2031-03-03T09:50:00+01:00"), "later than reference_now"),
    (changed("cases.0.timezone", "Mars/Olympus"), "IANA"),
    (changed("cases.0.timezone", ""), "timezone"),
    (changed("cases.0.inbound.from_address", "two words"), "from_address"),
    (changed("cases.0.case_id", " "), "case_id"),
    (changed("cases.0.inbound.body", "x" * 50_001), "body"),
    (changed("cases", SMALL["cases"] * 2), "more than one has the case_id a"),
    (changed("cases", SMALL["cases"] * 2001), "at most 2000"),
    (changed("version", 3), "version"),
    (changed("strategy", {"drafts": "refrence"}), "drafts"),
    (changed("strategy", {"threshold": 0}), "threshold"),
    (b"{", "JSON"),
    (b"\xff\xfe", "JSON"),
    (b"[" * 100_000, "JSON"),
    ({}, "threadIds"),
    ("text", "threadIds"),
    ({"threadIds": "a"}, "threadIds"),
    ({"threadIds": [1]}, "threadIds"),
    ({"threadIds": [""]}, "threadIds"),
    ({"threadIds": [str(n) for n in range(2001)]}, "at most 2000"),
]


@pytest.mark.parametrize(("content", "named"), WRONG, ids=[named for _, named in WRONG])
def test_a_wrong_manifest_is_refused_with_the_field_and_the_remedy(content: Any, named: str) -> None:
    with pytest.raises(InvalidInput, match=rf"(?s)manifest.json.*{named}"):
        read(content)


def test_every_problem_is_told_at_once() -> None:
    content = changed("cases.0.timezone", "Mars/Olympus")
    content["cases"].append({"case_id": "b"})
    content["tpyo"] = 1
    with pytest.raises(InvalidInput) as refused:
        read(content)
    assert all(word in str(refused.value) for word in ("IANA", "case b, ", "reference_now", "tpyo"))


def test_a_whole_manifest_is_read_with_its_sha256_of_the_canonical_form() -> None:
    selection = read(SMALL)
    assert selection.case_ids == ["a"]
    assert selection.sha256 == canonical_sha256(SMALL)
    assert read(json.dumps(SMALL, indent=7).encode()).sha256 == selection.sha256
    assert read(changed("cases.0.inbound.body", "other")).sha256 != selection.sha256
    assert read(b"\xef\xbb\xbf" + json.dumps(SMALL).encode()).sha256 == selection.sha256


def test_a_case_that_only_a_tier_names_cannot_be_measured(tmp_path: Path) -> None:
    selection = read(changed("tiers", {"critical_core": ["a", "gone"]}))
    assert selection.case_ids == ["a", "gone"]
    artifact = play(selection, tmp_path)
    assert (artifact.exit_code, artifact.summary.failure_type_counts["selection_error"]) == (2, 1)
    assert artifact.summary.critical_misses == ["a", "gone"], "nothing counts as passed"


def test_a_word_that_is_no_strategy_is_a_description_and_said_to_be_one() -> None:
    selection = read(changed("strategy", "frozen snapshot"))
    assert selection.manifest.plan().drafts == "generate"
    assert "frozen snapshot" in selection.warnings[0]
    assert read(changed("strategy", "reference")).manifest.plan().drafts == "reference"


V1: list[tuple[Any, list[str], dict[str, list[str]]]] = [
    (["x", "y"], ["x", "y"], {}),
    ({"threadIds": ["x", "y", "x"]}, ["x", "y"], {}),
    ({"caseIds": ["x"], "threadIds": ["y"]}, ["y", "x"], {}),
    ({"criticalCore3": ["x"], "criticalTop10": ["x", "y"]}, ["x", "y"], {"critical_core": ["x"], "critical_top10": ["x", "y"]}),
    ({"version": 1, "phase": "p", "threadIds": ["0b5e:email"], "clientId": "c", "notes": "n"}, ["0b5e:email"], {}),
]  # fmt: skip


@pytest.mark.parametrize(("content", "ids", "tiers"), V1)
def test_version_1_names_ids_that_recorded_leads_answer(
    content: Any, ids: list[str], tiers: dict[str, list[str]]
) -> None:
    asked: list[str] = []

    def resolve(names: Sequence[str]) -> Mapping[str, Case]:
        asked.extend(names)
        return {name: Case.model_validate({**SMALL["cases"][0], "case_id": name}) for name in names}

    selection = read(content, resolve)
    assert (asked, selection.case_ids, dict(selection.missing)) == (ids, ids, {})
    assert {name: held for name, held in selection.manifest.tiers.model_dump().items() if held} == tiers


def test_ids_that_nobody_has_cannot_be_measured(tmp_path: Path) -> None:
    for dry_run in (False, True):
        artifact = play(read({"criticalCore3": ["x"], "threadIds": ["y"]}), tmp_path, dry_run=dry_run)
        assert artifact.exit_code == 2
        assert {case.failure_type for case in artifact.cases} == {"selection_error"}
        assert artifact.selection.missing == ["y", "x"]


def test_a_key_of_version_1_that_nobody_knows_is_named() -> None:
    assert "'treadIds'" in read({"threadIds": ["x"], "treadIds": ["y"]}).warnings[0]


@pytest.mark.parametrize("name", sorted(GENERATE))
def test_the_published_schemas_are_those_of_the_models(name: str) -> None:
    assert json.loads(published(name)) == GENERATE[name](), "run: python -m queue_pipeline_tests.leads.replay.publish"


def test_the_published_schemas_name_what_readers_rely_on(tmp_path: Path) -> None:
    artifact = json.loads(published("artifact"))
    assert {"runId", "createdAt", "config", "selection", "summary", "cases", "baselineDiff", "selfTest", "manifestSha256", "versions"} <= set(artifact["properties"])  # fmt: skip
    written = play(only("clean-price-deferred"), tmp_path).as_json()
    assert set(written) == set(artifact["properties"])
    assert {"judgePromptKey", "judgeSystemPrompt", "judgeModel", "judgeProfile", "judgeThreshold", "adjudicationBand"} <= set(written["config"])  # fmt: skip
    assert {"evaluated", "passed", "failed", "failureTypeCounts", "criticalMisses", "criticalInvariantCounts", "averageScore"} <= set(written["summary"])  # fmt: skip
    assert Artifact.model_validate(written).as_json() == written


def test_the_manifest_schema_names_every_field_of_the_contract() -> None:
    schema = json.loads(published("manifest"))
    assert {"version", "manifest_id", "phase", "frozen_at", "strategy", "sources", "tiers", "cases"} <= set(schema["properties"])  # fmt: skip
    case = schema["$defs"]["Case"]["properties"]
    assert {"case_id", "tenant", "channel", "reference_now", "timezone", "inbound", "thread", "offered_slots", "allowed_links", "lead_links", "facts", "expected"} <= set(case)  # fmt: skip
    assert schema["$defs"]["Case"]["additionalProperties"] is False


def test_what_a_manifest_demands_of_a_draft_besides_the_invariants(tmp_path: Path) -> None:
    base = labelled().cases[7]
    for must, must_not, codes in (
        (["A  colleague\nwill"], [], []),
        (["the price is"], [], ["must_missing"]),
        ([], ["TWELVE SEATS"], ["must_not_present"]),
        (["slot_mismatch"], ["fabricated_link"], []),
        (["price ("], ["[x"], ["must_missing"]),
    ):
        expected = base.expected.model_copy(update={"must": must, "must_not": must_not})
        case = base.model_copy(update={"expected": expected})
        artifact = play(only(case.case_id, manifest=labelled().model_copy(update={"cases": [case]})), tmp_path)
        assert [finding.code for finding in artifact.cases[0].findings] == codes


def test_the_labelled_manifest_is_read_from_its_file_as_operators_give_it() -> None:
    assert isinstance(read(LABELLED.read_bytes()).manifest, Manifest)
