import pytest

from queue_pipeline.domain.alert_condition import AlertFacts, conditions
from queue_pipeline.domain.growth import DeadRows, Growth, HorizonHolder, growth_notes
from queue_pipeline.domain.incident import AlertRules, IncidentKind, Severity
from queue_pipeline.domain.limits import Limits

LIMITS = Limits()


def a_holder(*, is_old: bool, age_seconds: float | None = 700.0) -> HorizonHolder:
    return HorizonHolder("session", "4711", "psql", "idle in transaction", age_seconds, 12_000, is_old)


WRONG = {
    "an old snapshot": (Growth(horizon=a_holder(is_old=True)), "session 4711 (psql, idle in transaction) holds its snapshot for 11 min 40 s"),
    "a slot without an age": (Growth(horizon=a_holder(is_old=True, age_seconds=None)), "holds its snapshot over 12000 transactions"),
    "dead rows": (Growth(worst=DeadRows("job", 600_000, 10, None, is_too_many=True)), "Table job has 600000 dead rows beside 10 living ones (never vacuumed)"),
    "the age of transaction ids": (Growth(transaction_age=500_000_001), "500000001 transactions old"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_a_sentence_and_is_a_ticket(name: str) -> None:
    growth, said = WRONG[name]
    (note,) = growth_notes(growth, LIMITS)
    assert said in note
    held = [
        c for c in conditions(AlertFacts(growth=growth), LIMITS, AlertRules()) if c.kind is IncidentKind.VACUUM_HELD
    ]
    assert [c.severity for c in held] == [Severity.TICKET]


def test_a_young_snapshot_and_few_dead_rows_are_nothing() -> None:
    growth = Growth(
        a_holder(is_old=False), DeadRows("job", 400_000, 10, 5.0, is_too_many=False), LIMITS.transaction_age_limit
    )
    assert growth_notes(growth, LIMITS) == []
    found = conditions(AlertFacts(growth=growth), LIMITS, AlertRules())
    assert IncidentKind.VACUUM_HELD not in {condition.kind for condition in found}
