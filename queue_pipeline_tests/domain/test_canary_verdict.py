"""PASS only when every demand of the contract was measured and met."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from queue_pipeline.domain.canary import CanaryContract, CanaryState, CohortSample
from queue_pipeline.domain.canary_verdict import CanaryVerdict, judged, summaries
from queue_pipeline.domain.limits import Limits

BEGAN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
CONTROL = CohortSample("control", BEGAN, "WATCHING", 30, 9, 500.0, 5, 5, 5, 9.0, 3, 2, 0)
CANARY = CohortSample("canary", BEGAN, "WATCHING", 3, 1, 2.0, 5, 5, 0, 1.0, 0, 0, 0)
CALM = [(20, 1, 7)] * 61


def samples(count: int = 60, **changes: object) -> list[CohortSample]:
    """Both cohorts, minute by minute; the changes are the canary's."""
    mine = [replace(CANARY, sampled_at=BEGAN + timedelta(minutes=n), **changes) for n in range(count)]  # type: ignore[arg-type]
    others = [replace(CONTROL, sampled_at=sample.sampled_at) for sample in mine]
    return [*mine, *others]


def verdict(
    found: list[CohortSample],
    *,
    state: CanaryState = CanaryState.COMPLETE,
    contention: list[tuple[int, int, int]] | None = None,
    rolled_back: tuple[str, ...] = (),
) -> CanaryVerdict:
    return judged(
        state,
        CanaryContract(),
        found,
        CALM if contention is None else contention,
        rolled_back=rolled_back,
        limits=Limits(),
    )


def open_items(found: CanaryVerdict) -> dict[str, str]:
    return {item.name: item.status for item in found.items if item.status != "pass"}


def test_a_window_in_which_all_was_well_passes_however_the_others_fared() -> None:
    found = verdict(samples())
    assert (found.verdict, open_items(found), found.said()) == ("PASS", {}, "")


@pytest.mark.parametrize(
    ("found", "item"),
    [
        (verdict(samples(oldest_due_age_seconds=301.0)), "queue age p95"),
        (verdict(samples(failed_jobs=1)), "failure rate"),
        (verdict([*samples()[1:], replace(CANARY, duplicate_sends=1)]), "duplicate sends"),
        (verdict([*samples(), replace(CONTROL, duplicate_sends=1)]), "duplicate sends"),
        (verdict([*samples(), replace(CANARY, phase="WARMING", duplicate_sends=1)]), "duplicate sends"),
        (verdict(samples(), contention=[*CALM, (20, 1, 8)]), "contention"),
        (verdict(samples(), contention=[*CALM, (20, 3, 7), (20, 3, 7)]), "contention"),
        (verdict(samples(), rolled_back=("20 of 40 failed",)), "rolled back"),
    ],
)
def test_one_broken_demand_fails_the_whole(found: CanaryVerdict, item: str) -> None:
    assert (found.verdict, open_items(found)) == ("FAIL", {item: "fail"})
    assert found.said().startswith(item)


@pytest.mark.parametrize(
    ("found", "items"),
    [
        (verdict(samples(), state=CanaryState.WATCHING), {"window"}),
        (verdict(samples(started_jobs=3)), {"started jobs"}),
        (verdict(samples(54)), {"samples"}),
        (verdict(samples(50)), {"samples", "queue age p95"}),
        (verdict(samples(finished_jobs=0)), {"failure rate"}),
        (verdict(samples(), contention=[]), {"contention"}),
        (
            verdict([]),
            {"samples", "started jobs", "queue age p95", "failure rate", "duplicate sends"},
        ),
    ],
)
def test_what_was_not_measured_is_never_a_pass(found: CanaryVerdict, items: set[str]) -> None:
    assert (found.verdict, set(open_items(found))) == ("INCONCLUSIVE", items)


@pytest.mark.parametrize("phase", ["WARMING", "HELD", "COMPLETE"])
def test_only_the_window_counts_into_the_demands(phase: str) -> None:
    """What comes before it, in a hold, or after it makes the window neither longer nor better."""
    assert verdict(samples(phase=phase)).verdict == "INCONCLUSIVE"
    outside = [replace(sample, phase=phase, oldest_due_age_seconds=9000.0, failed_jobs=5) for sample in samples()]
    assert verdict([*samples(), *outside]).verdict == "PASS"


def test_one_lock_wait_alone_is_no_contention() -> None:
    assert verdict(samples(), contention=[*CALM, (20, 3, 7), (20, 1, 7), (20, 3, 7)]).verdict == "PASS"


def test_cohorts_stand_side_by_side_over_the_window_or_the_warm_up_before_it() -> None:
    warm = [replace(sample, phase="WARMING", wait_p95_seconds=None) for sample in samples(5)]
    (canary, control) = summaries(warm)
    assert (canary.started_jobs, canary.wait_p95_seconds, control.queue_age_p95_seconds) == (25, None, 500.0)
    (canary, control) = summaries([*warm, *samples(10)])
    assert (canary.cohort, canary.started_jobs, canary.failed_jobs, canary.wait_p95_seconds) == ("canary", 50, 0, 1.0)
    assert (control.cohort, control.failed_jobs, control.recoveries, control.late_writes_refused) == (
        "control", 50, 20, 30,
    )  # fmt: skip
