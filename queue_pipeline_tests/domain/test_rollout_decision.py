from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_pipeline.domain.rollout_checklist import REQUIRED
from queue_pipeline.domain.rollout_decision import ChecklistItem, RolloutVerdict, Status, complete, decide

STATUSES: tuple[Status, ...] = ("pass", "fail", "unmeasured")


def item(name: str, status: Status) -> ChecklistItem:
    return ChecklistItem(name, status, "a value", "a bound", "a.sql")


def expected(statuses: list[Status]) -> RolloutVerdict:
    if "fail" in statuses:
        return RolloutVerdict.NO_GO
    return RolloutVerdict.INCONCLUSIVE if "unmeasured" in statuses else RolloutVerdict.GO


@pytest.mark.parametrize("statuses", list(product(STATUSES, repeat=4)), ids="-".join)
def test_every_combination_of_four_items(statuses: tuple[Status, ...]) -> None:
    names = ["a", "b", "c", "d"]
    decision = decide([item(name, status) for name, status in zip(names, statuses, strict=True)], required=names)
    assert decision.verdict is expected(list(statuses))


@given(
    st.lists(st.sampled_from(STATUSES), min_size=len(REQUIRED), max_size=len(REQUIRED)),
    st.sets(st.sampled_from(REQUIRED)),
)
def test_it_is_never_go_with_anything_unmeasured_failed_or_absent(statuses: list[Status], absent: set[str]) -> None:
    items = [item(name, status) for name, status in zip(REQUIRED, statuses, strict=True) if name not in absent]
    decision = decide(items, required=REQUIRED)
    good = not absent and set(statuses) == {"pass"}
    assert (decision.verdict is RolloutVerdict.GO) == good
    bad = [each.name for each in items if each.status != "pass"] + sorted(absent)
    assert all(any(reason.startswith(f"{name}:") for reason in decision.reasons) for name in bad)


@pytest.mark.parametrize("name", REQUIRED)
def test_each_required_item_alone_keeps_it_from_go(name: str) -> None:
    items = [item(each, "pass") for each in REQUIRED]
    assert decide(items, required=REQUIRED).verdict is RolloutVerdict.GO
    without = [each for each in items if each.name != name]
    assert decide(without, required=REQUIRED).verdict is RolloutVerdict.INCONCLUSIVE


def test_a_status_that_nobody_knows_is_no_pass() -> None:
    odd = ChecklistItem("a", "PASS", "", "", "")  # type: ignore[arg-type]
    assert decide([odd], required=["a"]).verdict is RolloutVerdict.INCONCLUSIVE


def test_an_empty_checklist_is_inconclusive() -> None:
    assert decide([], required=[]).verdict is RolloutVerdict.INCONCLUSIVE


def test_failures_come_first_among_the_reasons() -> None:
    decision = decide([item("a", "unmeasured"), item("b", "fail"), item("c", "pass")], required=[])
    assert [reason.partition(":")[0] for reason in decision.reasons] == ["b", "a"]


def test_what_is_required_and_absent_is_on_the_completed_checklist() -> None:
    assert [(each.name, each.status) for each in complete([item("a", "pass")], required=["a", "b"])] == [
        ("a", "pass"),
        ("b", "unmeasured"),
    ]
