"""What keeps PostgreSQL from removing dead rows, as findings: a queue slows down long before it stands still."""

from dataclasses import dataclass

from queue_pipeline.domain.duration import duration
from queue_pipeline.domain.limits import Limits


@dataclass(frozen=True)
class HorizonHolder:
    """Who holds back the oldest snapshot. `age_seconds` is None where PostgreSQL knows no time, as for a slot."""

    holder: str
    who: str
    application_name: str | None
    state: str | None
    age_seconds: float | None
    age_transactions: int
    is_old: bool

    def sentence(self) -> str:
        """Who it is, without anything that a statement says."""
        told = ", ".join(text for text in (self.application_name, self.state) if text)
        since = "" if self.age_seconds is None else f" for {duration(self.age_seconds)},"
        return (
            f"{self.holder} {self.who}{f' ({told})' if told else ''} holds its snapshot{since}"
            f" over {self.age_transactions} transactions"
        )


@dataclass(frozen=True)
class DeadRows:
    """Dead rows of one table; `vacuumed_seconds_ago` is None when it was never vacuumed."""

    table: str
    dead: int
    live: int
    vacuumed_seconds_ago: float | None
    is_too_many: bool


@dataclass(frozen=True)
class Growth:
    """The state of dead rows at one instant. `horizon` is who holds the oldest snapshot, if anybody does.

    `worst` is the table with the most dead rows. `transaction_age` counts transactions since the oldest row that is
    not frozen.
    """

    horizon: HorizonHolder | None = None
    worst: DeadRows | None = None
    transaction_age: int = 0


def growth_notes(growth: Growth, limits: Limits) -> list[str]:
    """What is wrong, one sentence each. None of it breaks the failure contract yet; each will if it goes on."""
    found = []
    if growth.horizon is not None and growth.horizon.is_old:
        found.append(
            f"Dead rows cannot be removed: {growth.horizon.sentence()}; the limit is"
            f" {duration(limits.horizon_age_limit_seconds)}."
        )
    if growth.worst is not None and growth.worst.is_too_many:
        ago = growth.worst.vacuumed_seconds_ago
        vacuumed = "never vacuumed" if ago is None else f"vacuumed {duration(ago)} ago"
        found.append(
            f"Table {growth.worst.table} has {growth.worst.dead} dead rows beside {growth.worst.live} living ones"
            f" ({vacuumed}); the limit is {limits.dead_rows_limit}."
        )
    if growth.transaction_age > limits.transaction_age_limit:
        found.append(
            f"The oldest row that is not frozen is {growth.transaction_age} transactions old; the limit is"
            f" {limits.transaction_age_limit}, and at 2147 million PostgreSQL takes no more writes."
        )
    return found
