from dataclasses import fields, replace
from typing import Any

import pytest

from queue_pipeline.domain.limits import REASONS, Limits, check_relations, described

#: One change for each relation that breaks it, and it alone.
BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"heartbeat_seconds": 15.0}, "two heartbeats must fit into one lease"),
    ({"fence_margin_seconds": 30.0}, "the fence margin must be shorter than the lease"),
    ({"deadline_max_seconds": 890}, "the longest deadline must end before the stale cutoff"),
    ({"sweep_every_seconds": 880.0}, "a lost lease must be found long before the stale cutoff"),
    ({"loop_stall_seconds": 880.0}, "a stalled loop must lose its lease before the stale cutoff"),
    ({"deadline_default_seconds": 841}, "the default deadline must not exceed the longest"),
    ({"backoff_base_seconds": 901.0}, "the first backoff must not exceed the longest"),
    ({"lane_quota_default": 100}, "a promotion must raise the quota"),
    ({"lane_quota_max": 100}, "a person must be able to give more than a promotion does"),
    ({"inline_recovery_after_seconds": 300.0}, "inline recovery must act before the queue age is breached"),
]


def test_the_limits_in_force_contradict_nothing() -> None:
    assert check_relations(Limits()) == []


@pytest.mark.parametrize(("change", "sentence"), BROKEN, ids=[sentence for _, sentence in BROKEN])
def test_a_broken_relation_is_named_and_no_other(change: dict[str, Any], sentence: str) -> None:
    assert check_relations(replace(Limits(), **change)) == [sentence]


def test_several_broken_relations_are_all_named() -> None:
    assert len(check_relations(replace(Limits(), heartbeat_seconds=40.0, backoff_base_seconds=1e6))) == 2


def test_every_limit_has_a_unit_and_a_reason_and_every_reason_its_limit() -> None:
    assert set(REASONS) == {field.name for field in fields(Limits)}
    for name, limit in described(Limits()).items():
        assert limit.unit, name
        assert limit.reason.endswith("."), name
        assert limit.value > 0, name


def test_the_failure_contract_is_what_was_signed() -> None:
    limits = Limits()
    assert limits.stale_cutoff_seconds == 15 * 60
    assert limits.queue_age_limit_seconds == 5 * 60
    assert limits.lease_seconds <= 60
    assert limits.heartbeat_seconds <= 10
