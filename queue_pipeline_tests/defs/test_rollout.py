from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from queue_pipeline.definitions import defs
from queue_pipeline.defs.alert_proof import alert_proof
from queue_pipeline.defs.evidence_packet import evidence_packet
from queue_pipeline.defs.rollout_decision import rollout_decision
from queue_pipeline.defs.slo_report import slo_report
from queue_pipeline.domain.rollout_checklist import REQUIRED
from queue_pipeline_tests.defs.conftest import Shell
from queue_pipeline_tests.engine.rollout import Rollout
from queue_pipeline_tests.integrations.slack_server import CHANNEL, TOKEN, SlackServer, slack_server

CHAIN = [slo_report, alert_proof, evidence_packet, rollout_decision]


@pytest.fixture
def rollout(shell: Shell) -> Iterator[Rollout]:
    with shell.db.direct() as connection:
        yield Rollout(shell.db, connection)


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackServer]:
    with slack_server() as server:
        monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
        monkeypatch.setenv("SLACK_CHANNEL", CHANNEL)
        monkeypatch.setenv("SLACK_API_URL", server.url)
        yield server


def decided(shell: Shell) -> Any:
    return defs.resolve_job_def("decide_rollout").execute_in_process(instance=shell.instance, resources=shell.resources)


def metadata(result: Any, asset: str) -> Any:
    return result.asset_materializations_for_node(asset)[0].metadata


def checks(result: Any) -> dict[str, bool]:
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}


def test_a_good_rollout_is_go_from_the_report_to_the_decision(
    shell: Shell, rollout: Rollout, slack: SlackServer
) -> None:
    rollout.all_good()
    result = decided(shell)
    assert metadata(result, "rollout_decision")["verdict"].value == "GO"
    assert set(checks(result).values()) == {True}
    report = metadata(result, "slo_report")
    assert report["wait_p95_seconds_canary"].value == pytest.approx(1.0)
    measures = {record.data["measure"]: record.data for record in report["cohorts"].records}
    assert measures["samples: samples"]["canary"] == "60"
    assert measures["finished"]["query"] == "window_outcomes.sql"
    assert "psql" in report["queries"].value
    assert "read back" in str(metadata(result, "alert_proof")["proofs"].records[0].data)


def test_the_packet_is_shown_and_its_files_are_where_it_says(
    shell: Shell, rollout: Rollout, slack: SlackServer
) -> None:
    rollout.all_good()
    shown = metadata(decided(shell), "evidence_packet")
    folder = Path(shown["files"].value)
    assert folder.name == shown["sha256"].value[:12]
    assert sorted(path.name for path in folder.iterdir()) == ["packet.json", "packet.md", "packet.png"]
    assert (folder / "packet.png").read_bytes().startswith(b"\x89PNG")
    assert Path(shown["chart"].value) == folder / "packet.png"
    assert shown["packet"].value.startswith("# GO: evidence packet ")
    assert "](data:image/png;base64," in shown["packet"].value
    assert "](packet.png)" in (folder / "packet.md").read_text(encoding="utf-8")
    assert len(shown["checklist"].records) == len(REQUIRED)


def test_a_rollback_is_no_go_and_the_check_says_what_failed(shell: Shell, rollout: Rollout, slack: SlackServer) -> None:
    rollout.all_good().rolled_back("40 attempts failed")
    result = decided(shell)
    assert metadata(result, "rollout_decision")["verdict"].value == "NO-GO"
    evaluations = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert not evaluations["nothing_failed"].passed
    assert evaluations["nothing_failed"].severity == dg.AssetCheckSeverity.ERROR
    assert "40 attempts failed" in str(evaluations["nothing_failed"].description)
    assert evaluations["nothing_is_unmeasured"].passed


def test_an_empty_installation_is_inconclusive_and_no_check_of_the_report_passes(shell: Shell) -> None:
    result = decided(shell)
    assert metadata(result, "rollout_decision")["verdict"].value == "INCONCLUSIVE"
    told = checks(result)
    assert told.pop("nothing_failed")
    assert told.pop("packet_is_intact_and_fresh")
    assert set(told.values()) == {False}
    assert "never proved" in metadata(result, "alert_proof")["summary"].value
    assert "No canary was ever started" in metadata(result, "slo_report")["summary"].value


def test_a_decision_without_a_packet_fails_with_the_remedy(shell: Shell) -> None:
    result = dg.materialize(
        [rollout_decision], instance=shell.instance, resources=shell.resources, raise_on_error=False
    )
    assert not result.success
    assert "rollout decide" in str(result.all_events)


def test_everything_is_upstream_of_the_decision() -> None:
    graph = defs.get_repository_def().asset_graph
    upstream = {key.path[-1] for key in graph.get_ancestor_asset_keys(rollout_decision.key)}
    assert {
        "evidence_packet", "slo_report", "alert_proof", "replay_gate", "duplicate_send_audit", "queue_health_snapshot",
        "control_flags", "canary_samples", "job", "send_attempt", "alert_incident",
    } <= upstream  # fmt: skip


def test_the_path_is_proved_from_the_ui(shell: Shell, slack: SlackServer) -> None:
    config = {"ops": {"prove_paths": {"config": {"who": "olga"}}}}
    job = defs.resolve_job_def("prove_alert_path")
    assert job.execute_in_process(run_config=config, instance=shell.instance, resources=shell.resources).success
    assert shell.rows("SELECT kind, seen_by_reading_back FROM alert_proof ORDER BY 1") == [
        ("queue_age", True),
        ("stale_run", True),
    ]
    slack.always["*"] = "channel_not_found"
    failed = job.execute_in_process(
        run_config=config, instance=shell.instance, resources=shell.resources, raise_on_error=False
    )
    assert not failed.success
