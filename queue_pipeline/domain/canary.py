"""A canary: candidate values of flags for some workspaces, beside all others, for a warm-up and a window."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from queue_pipeline.domain.errors import InvalidInput

Cohort = Literal["canary", "control"]
COHORTS: tuple[Cohort, ...] = ("canary", "control")
#: Workspaces fall into so many buckets; one is a hundredth of a percent.
BUCKETS = 10_000
_SAMPLE_SECONDS = 60.0
_SAMPLES_OF_A_SHORT_WINDOW = 60
#: The sensor that looks at the canary cannot look more often.
_SAMPLE_SECONDS_MIN = 5.0
#: A sample that comes so many seconds late is late, and not missing.
_SAMPLE_LATE_SECONDS = 15.0
#: The part of the expected samples that must be there: a gap hides what happened in it.
SAMPLES_SHARE_MIN = 0.9


class CanaryState(StrEnum):
    """Where a canary is. Held, its time stands still; complete, its verdict is asked for; the last three are final."""

    WARMING = "WARMING"
    WATCHING = "WATCHING"
    HELD = "HELD"
    COMPLETE = "COMPLETE"
    PROMOTED = "PROMOTED"
    ABORTED = "ABORTED"
    ROLLED_BACK = "ROLLED_BACK"


_S = CanaryState
_BACK = {_S.ABORTED, _S.ROLLED_BACK}
MOVES: Mapping[CanaryState, frozenset[CanaryState]] = {
    _S.WARMING: frozenset({_S.WATCHING, _S.HELD, *_BACK}),
    _S.WATCHING: frozenset({_S.HELD, _S.COMPLETE, *_BACK}),
    _S.HELD: frozenset({_S.WARMING, _S.WATCHING, *_BACK}),
    _S.COMPLETE: frozenset({_S.PROMOTED, *_BACK}),
    _S.PROMOTED: frozenset(),
    _S.ABORTED: frozenset(),
    _S.ROLLED_BACK: frozenset(),
}
ENDED = frozenset(state for state, after in MOVES.items() if not after)


@dataclass(frozen=True)
class CanaryContract:
    """What a canary must have shown. The defaults are the failure contract; times in seconds.

    Shorter ones serve drills; a decision about them is never GO.
    """

    warm_up_seconds: int = 600
    window_seconds: int = 3600
    samples_min: int = 55
    started_min: int = 200

    def sample_every(self) -> float:
        """Seconds between samples: a minute, or the sixtieth part of a window shorter than ten, but at least 5 s."""
        if self.window_seconds >= _SAMPLE_SECONDS * 10:
            return _SAMPLE_SECONDS
        return max(_SAMPLE_SECONDS_MIN, self.window_seconds / _SAMPLES_OF_A_SHORT_WINDOW)

    def is_sample_due(self, at: float, last_at: float | None) -> bool:
        """Whether a sample is due `at` so many seconds after the start; the last one was taken at `last_at`.

        Due is one for each interval since the start, so that looking a little late does not make them fewer.
        """
        every = self.sample_every()
        return last_at is None or at // every > last_at // every

    def missing_between(self, seconds: float) -> int:
        """How many samples are missing between two that are so many seconds apart."""
        every = self.sample_every()
        return 0 if seconds <= every + max(every / 2, _SAMPLE_LATE_SECONDS) else max(1, round(seconds / every) - 1)

    def samples_expected(self) -> int:
        """How many samples of one cohort a whole window has."""
        return int(self.window_seconds / self.sample_every())

    def shortened(self) -> list[str]:
        """How it falls short of the failure contract, one sentence each; an empty list is good."""
        full = CanaryContract()
        pairs = [
            ("warm-up", self.warm_up_seconds, full.warm_up_seconds, " s"),
            ("window", self.window_seconds, full.window_seconds, " s"),
            ("samples", self.samples_min, full.samples_min, ""),
            ("started jobs", self.started_min, full.started_min, ""),
        ]
        return [
            f"{what}: {value}{unit} instead of {bound}{unit}" for what, value, bound, unit in pairs if value < bound
        ]


@dataclass(frozen=True)
class CanaryPlan:
    """What is to be tried, and on whom: `share` in percent of all workspaces, and those of the allow-list besides."""

    candidate: Mapping[str, str]
    share: float
    allow: tuple[str, ...] = ()
    contract: CanaryContract = field(default_factory=CanaryContract)


@dataclass(frozen=True)
class CohortSample:
    """One cohort at one instant: counts of the time since the sample before, ages and waits in seconds."""

    cohort: Cohort
    sampled_at: datetime
    phase: str
    workspaces: int
    pending_due: int
    oldest_due_age_seconds: float
    started_jobs: int
    finished_jobs: int
    failed_jobs: int
    wait_p95_seconds: float | None
    late_writes_refused: int
    recoveries: int
    duplicate_sends: int


def bucket_of(workspace: str) -> int:
    """The bucket of a workspace, 0 to 9999, for ever and on every machine; PostgreSQL computes the same."""
    digest = hashlib.md5(f"canary:{workspace}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:7], 16) % BUCKETS


def buckets_below(share: float) -> int:
    """Workspaces in buckets below this number are in a canary of `share` percent."""
    return round(share * BUCKETS / 100)


def is_in(workspace: str, *, share: float, allow: Sequence[str]) -> bool:
    """Whether a workspace belongs to a canary of this share and allow-list."""
    return workspace in allow or bucket_of(workspace) < buckets_below(share)


def checked(plan: CanaryPlan) -> CanaryPlan:
    """The plan itself. Raises InvalidInput naming the field; whether its flags exist is checked with the flags."""
    contract = plan.contract
    if not plan.candidate:
        raise InvalidInput("set", "", "Name at least one flag and its candidate value, such as drafts.auto_send=on.")
    if not 0 <= plan.share <= 100:
        raise InvalidInput("share", plan.share, "Give a percentage from 0 to 100.")
    if not plan.allow and buckets_below(plan.share) == 0:
        raise InvalidInput("share", plan.share, "Give a share above 0, or workspaces, or both.")
    bounds = {
        "warm_up_seconds": (contract.warm_up_seconds, 0, 86_400),
        "window_seconds": (contract.window_seconds, 5, 7 * 86_400),
        "samples_min": (contract.samples_min, 1, 10_000),
        "started_min": (contract.started_min, 0, 10_000_000),
    }
    for workspace in plan.allow:
        if not workspace.strip() or "\0" in workspace:
            raise InvalidInput("workspace", workspace, "Give the name of a workspace.")
    for name, (value, low, high) in bounds.items():
        if not low <= value <= high:
            raise InvalidInput(name, value, f"Give {low:,} to {high:,}.")
    if contract.samples_min > contract.samples_expected():
        raise InvalidInput(
            "samples_min",
            contract.samples_min,
            f"A window of {contract.window_seconds} s has {contract.samples_expected()} samples; ask for no more.",
        )
    return plan


def phase_after(state: CanaryState, phase_seconds: float, contract: CanaryContract) -> CanaryState:
    """Where the clock takes a canary that has been in its warm-up or its window for so long, without its holds."""
    if state is _S.WARMING and phase_seconds >= contract.warm_up_seconds:
        return _S.WATCHING
    if state is _S.WATCHING and phase_seconds >= contract.window_seconds:
        return _S.COMPLETE
    return state
