from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.measurement import Measurement
from queue_pipeline.domain.slo_report import (
    CONTENTION,
    DUPLICATES,
    FAILURES,
    QUEUE_AGE,
    WAITS,
    SloReport,
    SloWindow,
    reported,
)

NOW = datetime(2031, 3, 4, 12, tzinfo=UTC)
GOOD: dict[str, list[dict[str, Any]]] = {
    "window_queue_age": [{"samples": 60, "expected": 60, "missing": 0, "p95_seconds": 12.0, "max_seconds": 40.0}],
    "window_waits": [
        {"cohort": "canary", "claimed": 200, "still_waiting": 0, "p95_seconds": 2.0, "worse": 0},
        {"cohort": "control", "claimed": 900, "still_waiting": 3, "p95_seconds": 2.5, "worse": 0},
    ],
    "window_outcomes": [
        {"cohort": "canary", "finished": 200, "failed": 1},
        {"cohort": "control", "finished": 900, "failed": 40},
    ],
    "window_duplicates": [
        {"cohort": "canary", "keys": 20, "keys_sent_twice": 0},
        {"cohort": "control", "keys": 80, "keys_sent_twice": 0},
    ],
    "canary_contention": [{"samples": 60, "high": 1, "in_a_row": 0, "deadlocks": 0}],
    "queue_age_burn": [{"look_back": "1 h", "minutes": 60, "bad": 6}],
}


def report(changes: dict[str, list[dict[str, Any]]] | None = None, *, canary_id: int | None = 1) -> SloReport:
    window = SloWindow(NOW - timedelta(hours=1), NOW, canary_id, "the window", NOW)
    measured = {name: Measurement(name, {}, rows) for name, rows in {**GOOD, **(changes or {})}.items()}
    return reported(window, measured, Limits())


def statuses(found: SloReport) -> dict[str, str]:
    return {item.name: item.status for item in found.items}


def test_a_good_window_passes_every_item_and_every_item_names_its_query() -> None:
    found = report()
    assert set(statuses(found).values()) == {"pass"}
    assert all(item.source.startswith("queue_pipeline/queries/") and item.knobs for item in found.items)
    assert found.burn_rates[0].rate == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("query", "row", "item", "status"),
    [
        ("window_queue_age", {"p95_seconds": 300.1}, QUEUE_AGE, "fail"),
        ("window_queue_age", {"p95_seconds": 300.0}, QUEUE_AGE, "pass"),
        ("window_queue_age", {"p95_seconds": None}, QUEUE_AGE, "unmeasured"),
        ("window_queue_age", {"samples": 0, "p95_seconds": None}, QUEUE_AGE, "unmeasured"),
        ("canary_contention", {"samples": 0}, CONTENTION, "unmeasured"),
        ("canary_contention", {"deadlocks": 1}, CONTENTION, "fail"),
        ("canary_contention", {"in_a_row": 1}, CONTENTION, "fail"),
    ],
)
def test_what_is_measured_of_all_workspaces(query: str, row: dict[str, Any], item: str, status: str) -> None:
    assert statuses(report({query: [{**GOOD[query][0], **row}]}))[item] == status


@pytest.mark.parametrize(
    ("query", "canary", "item", "status"),
    [
        ("window_waits", {"worse": 9}, WAITS, "pass"),
        ("window_waits", {"worse": 40}, WAITS, "fail"),
        ("window_waits", {"claimed": 0, "still_waiting": 200, "worse": 200}, WAITS, "fail"),
        ("window_waits", {"claimed": 29, "worse": 0}, WAITS, "unmeasured"),
        ("window_outcomes", {"failed": 30}, FAILURES, "fail"),
        ("window_outcomes", {"failed": 6}, FAILURES, "pass"),
        ("window_outcomes", {"finished": 29, "failed": 0}, FAILURES, "unmeasured"),
        ("window_duplicates", {"keys_sent_twice": 1}, DUPLICATES, "fail"),
    ],
)
def test_what_is_measured_of_the_canary(query: str, canary: dict[str, Any], item: str, status: str) -> None:
    rows = [{**GOOD[query][0], **canary}, GOOD[query][1]]
    assert statuses(report({query: rows}))[item] == status


def test_no_key_at_a_provider_proves_nothing() -> None:
    rows = [{"cohort": name, "keys": 0, "keys_sent_twice": 0} for name in ("canary", "control")]
    assert statuses(report({"window_duplicates": rows}))[DUPLICATES] == "unmeasured"


def test_without_a_canary_there_is_nothing_to_compare_and_all_attempts_are_judged() -> None:
    found = statuses(report(canary_id=None))
    assert found[WAITS] == "unmeasured"
    assert found[FAILURES] == "fail", "40 of 900 attempts of control failed"
