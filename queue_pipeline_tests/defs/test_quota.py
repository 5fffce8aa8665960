from typing import Any

import dagster as dg
import pytest

from queue_pipeline.definitions import defs
from queue_pipeline.defs.health import health_job
from queue_pipeline.defs.quota import quota_decisions
from queue_pipeline_tests.defs.conftest import WORKSPACE, Shell
from queue_pipeline_tests.defs.test_operator import launched, reason_of

WHO: dict[str, Any] = {"workspace": WORKSPACE, "who": "olga", "why": "a large customer"}
ESCALATION: dict[str, Any] = {**WHO, "quota": 300, "hours": 2.0, "approver": "Ines"}


def lane(shell: Shell) -> tuple[int, int]:
    ((quota, weight),) = shell.rows("SELECT quota, weight FROM workspace_lane")
    return quota, weight


def shown(shell: Shell) -> Any:
    result = dg.materialize([quota_decisions], resources={"queue": shell.resource}, instance=shell.instance)
    return result.asset_materializations_for_node("quota_decisions")[0].metadata


def test_an_operator_decides_from_the_ui_and_the_asset_shows_it(shell: Shell) -> None:
    assert "Nobody has decided about a workspace yet" in shown(shell)["summary"].value
    launched(shell, "set_workspace_weight", "set_one_weight", **WHO, weight=4)
    launched(shell, "set_workspace_quota", "set_one_quota", **WHO, quota=70)
    launched(shell, "set_workspace_eligible", "set_one_eligible", **WHO, eligible=True)
    launched(shell, "escalate_quota", "escalate_one", **ESCALATION)
    assert lane(shell) == (300, 4)
    metadata = shown(shell)
    assert metadata["active_escalations"].value == 1
    (escalation,) = metadata["escalations"].value.records
    assert (escalation.data["workspace"], escalation.data["quota"], escalation.data["approved by"]) == (
        "acme",
        "300",
        "Ines",
    )
    latest = metadata["latest_decisions"].value.records
    assert [row.data["reason"] for row in latest] == ["escalated", "eligibility_set", "quota_set", "weight_set"]
    assert latest[0].data["quota"] == "70 → 300"
    launched(shell, "return_quota", "return_one", **WHO)
    assert lane(shell) == (70, 4)
    assert "No escalation is active. The latest decision, about acme by olga" in shown(shell)["summary"].value


def test_a_decision_that_cannot_be_is_a_sentence(shell: Shell) -> None:
    result = launched(shell, "return_quota", "return_one", raise_on_error=False, **WHO)
    assert "neither an escalation nor a quota of its own" in reason_of(result)


@pytest.mark.parametrize(
    ("job", "op", "config"),
    [
        ("escalate_quota", "escalate_one", {**ESCALATION, "hours": 73.0}),
        ("escalate_quota", "escalate_one", {**ESCALATION, "hours": 0.0}),
        ("escalate_quota", "escalate_one", {**ESCALATION, "quota": 1025}),
        ("escalate_quota", "escalate_one", {**ESCALATION, "approver": ""}),
        ("set_workspace_weight", "set_one_weight", {**WHO, "weight": 0}),
        ("set_workspace_quota", "set_one_quota", {**WHO, "quota": 0}),
        ("set_workspace_eligible", "set_one_eligible", {**WHO}),
        ("return_quota", "return_one", {**WHO, "why": ""}),
    ],
)
def test_configuration_that_is_wrong_starts_nothing(shell: Shell, job: str, op: str, config: dict[str, Any]) -> None:
    result: Any = None
    with pytest.raises(Exception) as refused:  # noqa: PT011 - Dagster's or pydantic's, by where it is noticed
        result = launched(shell, job, op, **config)
    assert result is None
    assert any(word in str(refused.value) for word in ("hours", "quota", "approver", "weight", "eligible", "why"))
    assert shell.rows("SELECT 1 FROM quota_decision") == []


@pytest.mark.filterwarnings("ignore:Parameter .* is currently in beta")
def test_the_decisions_are_shown_each_minute() -> None:
    job = defs.resolve_job_def(health_job.name)
    assert quota_decisions.key in job.asset_layer.selected_asset_keys
