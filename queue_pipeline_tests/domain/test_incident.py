"""The rules of incidents, without a database: what fires when, and what is worth telling."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_pipeline.domain.alert_condition import AlertFacts, RunFact, SampleFact, conditions, without_addresses
from queue_pipeline.domain.alert_text import NEXT, TITLES
from queue_pipeline.domain.incident import (
    MOVES,
    SEVERITIES,
    AlertRules,
    Condition,
    Incident,
    IncidentKind,
    IncidentStatus,
    dedup_key,
    observed,
    opened,
)
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.posting import Ambiguous, NotSent, Refused, retry_in
from queue_pipeline_tests.docs.markdown import DOCS

NOW = datetime(2031, 3, 4, 10, tzinfo=UTC)
RULES = AlertRules()
LIMITS = Limits()
WELL = AlertFacts(last_sweep_age=1.0, samples=(SampleFact(30, 0, 0), SampleFact(90, 0, 0)))


def a_condition(**changes: Any) -> Condition:
    made = Condition(IncidentKind.STALE_RUN, "drain", due=True, material="run 1", evidence={})
    return replace(made, **changes)


def samples(*ages: tuple[float, float]) -> tuple[SampleFact, ...]:
    return tuple(SampleFact(age, oldest, 0) for age, oldest in ages)


def queue_age(oldest: float, *taken: tuple[float, float]) -> Condition | None:
    found = conditions(replace(WELL, oldest_due_age=oldest, samples=samples(*taken)), LIMITS, RULES)
    return next((each for each in found if each.kind is IncidentKind.QUEUE_AGE), None)


def test_a_well_queue_has_nothing_wrong() -> None:
    assert conditions(WELL, LIMITS, RULES) == []


@pytest.mark.parametrize(
    ("oldest", "taken", "due"),
    [
        (300, [(5, 300), (65, 300)], None),
        (301, [(5, 240), (65, 180)], False),
        (301, [(5, 301), (65, 180)], False),
        (301, [(5, 301), (65, 301)], True),
        (0, [(5, 301), (65, 301)], True),
        (0, [(5, 0), (65, 301)], None),
        (901, [(5, 0), (65, 0)], True),
        (301, [], True),
        (301, [(5, 301)], True),
        (301, [(5, 301), (120, 0)], True),
        (301, [(95, 0), (155, 0)], False),
        (301, [(200, 0), (260, 0)], True),
        (0, [(200, 400), (260, 400)], None),
    ],
)
def test_queue_age_is_due_after_two_bad_or_missing_samples(
    oldest: float, taken: list[tuple[float, float]], due: bool | None
) -> None:
    condition = queue_age(oldest, *taken)
    assert (None if condition is None else condition.due) is due


def test_the_key_holds_no_number_that_changes() -> None:
    facts = replace(WELL, runs=(RunFact(17, "shard-00", 1, 1300, 20, is_stale=True),))
    (condition,) = conditions(facts, LIMITS, RULES)
    assert dedup_key("prod", condition.kind, condition.scope) == "prod:stale_run:drain"


def test_pending_is_told_only_when_its_debounce_is_over() -> None:
    waiting = opened(a_condition(due=False, held_for=60.0), NOW, RULES)
    assert (waiting.incident.status, waiting.tell) == (IncidentStatus.PENDING, False)
    later = observed(
        waiting.incident, a_condition(due=False, held_for=60.0), NOW + timedelta(seconds=61), RULES, interrupted=False
    )
    assert (later.incident.status, later.tell) == (IncidentStatus.FIRING, True)


def test_pending_begins_anew_after_a_pause_of_the_evaluators() -> None:
    condition = a_condition(due=False, held_for=60.0)
    waiting = opened(condition, NOW, RULES).incident
    later = observed(waiting, condition, NOW + timedelta(hours=8), RULES, interrupted=True)
    assert later.incident.status is IncidentStatus.PENDING


def test_what_waits_to_be_told_is_not_asked_for_again() -> None:
    fired = opened(a_condition(), NOW, RULES).incident
    later = NOW + timedelta(hours=2)
    news = a_condition(material="run 2")
    assert not observed(replace(fired, waiting=True), news, later, RULES, interrupted=False).tell
    assert observed(fired, news, later, RULES, interrupted=False).tell


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(-600, 4000)), max_size=60),
)
def test_every_history_keeps_to_the_moves_and_tells_once_per_beginning(history: list[tuple[bool, bool, int]]) -> None:
    """Whatever is observed whenever, also with a clock that goes back: one telling to fire, one to resolve."""
    incident: Incident | None = None
    now, fired, resolved, told = NOW, 0, 0, 0
    for wrong, interrupted, seconds in history:
        now += timedelta(seconds=seconds)
        condition = a_condition() if wrong else None
        if incident is None:
            if condition is None:
                continue
            change = opened(condition, now, RULES)
            fired += 1
        else:
            change = observed(incident, condition, now, RULES, interrupted=interrupted)
            before, after = incident.status, change.incident.status
            assert before is after or after in MOVES[before]
            resolved += after is IncidentStatus.RESOLVED
        told += change.tell
        incident = None if change.incident.status is IncidentStatus.RESOLVED else change.incident
    assert fired - resolved in (0, 1)
    assert told >= fired + resolved


def test_resolved_needs_five_minutes_of_health_that_somebody_saw() -> None:
    fired = opened(a_condition(), NOW, RULES).incident
    healthy = observed(fired, None, NOW, RULES, interrupted=False).incident
    assert observed(healthy, None, NOW + timedelta(seconds=299), RULES, interrupted=False).incident.status == "firing"
    assert observed(healthy, None, NOW + timedelta(seconds=400), RULES, interrupted=True).incident.status == "firing"
    over = observed(healthy, None, NOW + timedelta(seconds=300), RULES, interrupted=False)
    assert (over.incident.status, over.tell) == (IncidentStatus.RESOLVED, True)


def test_every_kind_has_a_title_a_severity_a_next_step_and_a_section_in_the_runbook() -> None:
    assert set(TITLES) == set(NEXT) == set(SEVERITIES) == set(IncidentKind)
    headings = (DOCS / "runbook.md").read_text(encoding="utf-8").splitlines()
    assert [kind for kind in IncidentKind if f"## {kind.replace('_', '-')}" not in headings] == []


@pytest.mark.parametrize(
    "text", ["ask ada@example.com", "call +49 (30) 123-4567", "015 112 34567 rings", "(555) 123-4567"]
)
def test_addresses_are_removed_from_what_others_wrote(text: str) -> None:
    assert "[removed]" in without_addresses(text)


@pytest.mark.parametrize(
    "text",
    [
        "no progress for 1203 s",
        "run 118 of shard-02, heartbeat 3 s ago",
        "p95 612.5 s",
        "job 123456789 died",
        "0.5 s ago",
    ],
)
def test_numbers_of_ours_stay(text: str) -> None:
    assert without_addresses(text) == text


def test_the_wait_grows_to_a_minute_and_respects_what_the_sink_asks_for() -> None:
    waits = [retry_in(failures, NotSent("down")) for failures in range(6)]
    assert waits == [5, 10, 20, 40, 60, 60]
    assert retry_in(0, Ambiguous("lost")) == 15
    assert retry_in(0, NotSent("limited", retry_after=90)) == 90
    assert retry_in(0, Refused("no", retry_after=10**6)) == 600
