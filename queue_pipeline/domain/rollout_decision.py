"""GO, NO-GO or INCONCLUSIVE: what a checklist comes to. What was not measured is never a pass."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Status = Literal["pass", "fail", "unmeasured"]


class RolloutVerdict(StrEnum):
    """Whether it is safe to go on: yes, no, or not known."""

    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class ChecklistItem:
    """One demand of a rollout: what was measured, its bound, and the query or command that measured it.

    `knobs` are what an operator can turn when it is not met; nothing turns them by itself.
    """

    name: str
    status: Status
    value: str
    bound: str
    source: str
    knobs: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """The item as a reason."""
        return f"{self.name}: {self.value} ({self.status}; {self.bound})"


@dataclass(frozen=True)
class RolloutDecision:
    """A verdict, with the items that keep it from being GO as its reasons: failures first."""

    verdict: RolloutVerdict
    reasons: tuple[str, ...]


def decide(items: Sequence[ChecklistItem], *, required: Iterable[str]) -> RolloutDecision:
    """The verdict over a checklist. GO needs every item to pass, and every required one to be there."""
    whole = complete(items, required=required)
    failed = [item for item in whole if item.status == "fail"]
    open_items = [item for item in whole if item.status not in ("pass", "fail")]
    reasons = tuple(item.said for item in (*failed, *open_items))
    if failed:
        return RolloutDecision(RolloutVerdict.NO_GO, reasons)
    if open_items or not whole:
        return RolloutDecision(RolloutVerdict.INCONCLUSIVE, reasons or ("nothing was measured",))
    return RolloutDecision(RolloutVerdict.GO, (f"all {len(whole)} items of the checklist pass",))


def complete(items: Sequence[ChecklistItem], *, required: Iterable[str]) -> list[ChecklistItem]:
    """The checklist with an unmeasured item for each required one that is not on it."""
    present = {item.name for item in items}
    absent = [name for name in required if name not in present]
    return [*items, *(ChecklistItem(name, "unmeasured", "not measured", "must be measured", "none") for name in absent)]
