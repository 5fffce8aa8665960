"""One figure that was asked for, and what came of it."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`met` is None for a figure that is only told."""

    what: str
    wanted: str
    measured: str
    met: bool | None = None

    def row(self) -> str:
        """As a row of a Markdown table."""
        return f"| {self.what} | {self.wanted} | {self.measured} | {'' if self.met is None else 'yes' if self.met else 'NO'} |"


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def at(values: list[float], share: float) -> float:
    """The value by nearest rank, `share` in percent."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered), -int(-len(ordered) * share // 100)) - 1)]
