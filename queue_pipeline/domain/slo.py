"""Service levels in numbers: percentiles, confidence in a rate, and how fast an error budget burns. Pure arithmetic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Two-sided 95 % of the standard normal distribution.
Z_95 = 1.959963984540054


def nearest_rank(values: Sequence[float], percent: float) -> float | None:
    """The percentile by nearest rank: the smallest value that `percent` % of all do not exceed; None of nothing.

    Index ceil(p/100 * n) - 1 of the sorted values, so that it is always a value that was measured.
    """
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100.0 * len(ordered)) - 1)]


@dataclass(frozen=True)
class Rate:
    """A share of events with its 95 % Wilson score interval; all between 0 and 1, 0 to 1 when nothing was counted."""

    events: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share itself; None of nothing."""
        return self.events / self.of if self.of else None


def wilson(events: int, of: int, *, z: float = Z_95) -> Rate:
    """The Wilson score interval (Wilson 1927), which holds for few events too, where the usual one says "0 to 0"."""
    if of <= 0:
        return Rate(events, of, 0.0, 1.0)
    share, z2 = events / of, z * z
    centre = share + z2 / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    scale = 1 + z2 / of
    return Rate(events, of, max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def burn_rate(bad: int, of: int, objective: float) -> float | None:
    """How many times faster than allowed the error budget is used: the bad share over 1 - objective; None of nothing.

    `objective` is the share of good minutes that is promised, such as 0.99 (Google's SRE workbook, chapter 5).
    """
    if of <= 0 or not 0 < objective < 1:
        return None
    return (bad / of) / (1.0 - objective)
