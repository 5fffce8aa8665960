"""A date mention is the set of days that its words may mean: `3/4` is 4 March and 3 April, `next Thursday` has two."""

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class Today:
    """The days that count as today for the writer, and days already spoken about, which settle what is left out.
    `options` is how many slots may be counted through (`the 2nd one`)."""

    days: frozenset[date]
    spoken_of: frozenset[date] = frozenset()
    options: int = 0


@dataclass(frozen=True)
class DateMention:
    """Days that the words may mean. `weekday` is one that they state; it contradicts where no meant day falls on it.
    `coming` are those that a bare weekday means to somebody who proposes it: `Friday` is not the one after."""

    start: int
    end: int
    days: frozenset[date]
    kind: str
    near: frozenset[date] = field(default=frozenset())
    weekdays: frozenset[int] = frozenset(range(7))
    contradicts: bool = False
    bounded: bool = False
    coming: frozenset[date] = field(default=frozenset())

    @property
    def readings(self) -> tuple[str, ...]:
        """Up to eight readings as ISO dates, sorted."""
        return tuple(day.isoformat() for day in sorted(self.near or self.days)[:8])
