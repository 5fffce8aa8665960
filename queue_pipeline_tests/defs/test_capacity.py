"""Capacity in the UI: the asset, and the operator's jobs."""

from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from queue_pipeline.definitions import defs
from queue_pipeline.defs.capacity import capacity_decisions
from queue_pipeline.defs.health import health_job
from queue_pipeline.domain.capacity import CapacityPolicy
from queue_pipeline.engine.capacity_tick import tick
from queue_pipeline_tests.defs.conftest import Shell
from queue_pipeline_tests.defs.test_operator import launched, reason_of

WHO: dict[str, Any] = {"who": "Ada", "why": "a campaign"}


def materialized(shell: Shell) -> dict[str, Any]:
    result = dg.materialize([capacity_decisions], resources=shell.resources, instance=shell.instance)
    (made,) = result.asset_materializations_for_node("capacity_decisions")
    return {name: value.value for name, value in made.metadata.items()}


def look(shell: Shell) -> None:
    with shell.db.begin() as tx:
        tx.execute(sa.text("ALTER TABLE capacity_decision DISABLE TRIGGER USER"))
        tx.execute(sa.text("UPDATE capacity_decision SET decided_at = decided_at - interval '61 seconds'"))
        tx.execute(sa.text("UPDATE capacity_sample SET sampled_at = sampled_at - interval '61 seconds'"))
    tick(shell.db, CapacityPolicy())


def test_the_asset_shows_what_holds_and_why(shell: Shell) -> None:
    assert "**capacity.mode is observe.**" in materialized(shell)["summary"]
    look(shell)
    assert materialized(shell)["last_hours"] == "The chart appears with the second decision."
    look(shell)
    shown = materialized(shell)
    assert "Latest decision: Workers stay 16, jobs in flight stay 1,024 (hold_target_reached)" in shown["summary"]
    assert shown["last_hours"].startswith("![workers, arrivals and age](data:image/png;base64,")
    assert [record.data["workers"] for record in shown["decisions"].records] == ["16 > 16", "16 > 16"]
    assert (shown["workers_desired"], shown["workers_running"]) == (16, 0)


def test_it_is_shown_each_minute_beside_the_health_snapshot() -> None:
    job = defs.resolve_job_def(health_job.name)
    assert capacity_decisions.key in job.asset_layer.selected_asset_keys


def test_an_operator_overrides_and_releases_from_the_ui(shell: Shell) -> None:
    launched(shell, "override_capacity", "override_one", workers=24, hours=2.0, **WHO)
    assert "An operator's override holds until" in materialized(shell)["summary"]
    launched(shell, "release_capacity", "release_one", **WHO)
    result = launched(shell, "release_capacity", "release_one", raise_on_error=False, **WHO)
    assert "Nothing is overridden" in reason_of(result)


@pytest.mark.parametrize("config", [{"workers": 24}, {"workers": -1, "hours": 1.0}, {"workers": 24, "hours": 100.0}])
def test_configuration_that_is_wrong_starts_nothing(shell: Shell, config: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"hours|workers"):
        launched(shell, "override_capacity", "override_one", **config, **WHO)
