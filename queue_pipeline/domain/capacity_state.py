"""The vocabulary of capacity: its knobs, what is in force, and what a decision says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from queue_pipeline.domain.guardrail import Guardrail, GuardrailBounds, Scope


class Reason(StrEnum):
    """Why a decision is as it is."""

    OPERATOR_OVERRIDE = "operator_override"
    GUARDRAIL_STEP_DOWN = "guardrail_step_down"
    RAMP_STEP = "ramp_step"
    HOLD_TARGET_REACHED = "hold_target_reached"
    HOLD_RAMP_WINDOW = "hold_ramp_window"
    HOLD_NO_SAMPLE = "hold_no_sample"
    HOLD_AFTER_STEP_DOWN = "hold_after_step_down"
    EFFICIENCY_REVERT = "efficiency_revert"
    STEP_DOWN_IDLE = "step_down_idle"


@dataclass(frozen=True)
class CapacityPolicy:
    """The knobs of the control loop; durations are seconds, shares between 0 and 1.

    `floor` is one handler per shard, so that nothing stalls; `configured` is what drains have without any control,
    where an idle queue comes to rest, and below which failures and retries never take workers. A ramp step is
    `ramp_share` of the present number: doubling follows a tenfold rise in four samples and keeps the age of jobs below
    the contract's 300 s (half as much needs six and comes near it), and one step down takes back exactly one step up.
    A window of the in-flight cap is 300 s, that of the workers is one sample.
    """

    shards: int = 4
    floor: int = 4
    configured: int = 16
    ceiling: int = 64
    sample_seconds: float = 60.0
    smoothing_seconds: float = 300.0
    busy_share: float = 0.8
    drain_backlog_seconds: float = 300.0
    ramp_share: float = 1.0
    step_down_share: float = 0.5
    hold_windows: int = 2
    age_high_seconds: float = 60.0
    age_high_samples: int = 2
    age_low_seconds: float = 10.0
    calm_seconds: float = 600.0
    efficiency_min: float = 0.25
    efficiency_finished_min: int = 30
    efficiency_hold_samples: int = 10
    provider_rate_max: float | None = None
    in_flight_floor: int = 1024
    in_flight_per_workspace: int = 64
    in_flight_step: int = 64
    in_flight_window_seconds: float = 300.0
    guardrails: GuardrailBounds = field(default_factory=GuardrailBounds)


@dataclass(frozen=True)
class CapacityOverride:
    """What an operator set by hand; None leaves that quantity to the control loop."""

    workers: int | None = None
    in_flight_max: int | None = None


@dataclass(frozen=True)
class CapacityState:
    """What is in force, and what the loop remembers between decisions.

    Arrivals per second and mean handler seconds are moving averages, None until measured. `calm_seconds` is how long
    the queue has been without waits, `healthy_seconds` how long the in-flight cap has been healthy since its last step
    (below zero after a step down, so that it holds one window more), `hold_samples` how many samples workers hold,
    `hold_for` what the guardrail was about that they stepped down for; None where they hold for something else.
    """

    workers: int
    in_flight_max: int = 1024
    arrival_rate: float | None = None
    mean_seconds: float | None = None
    calm_seconds: float = 0.0
    healthy_seconds: float = 0.0
    hold_samples: int = 0
    hold_for: Scope | None = None
    override: CapacityOverride | None = None


@dataclass(frozen=True)
class CapacityDecision:
    """What is in force from now on, and why. `required` is what the load asks for before any bound, None if unknown.

    `target` is where workers go in the end, `in_flight_target` the same for the cap on claimed jobs.
    """

    from_workers: int
    to_workers: int
    from_in_flight: int
    to_in_flight: int
    reason: Reason
    why: str
    required: int | None
    target: int
    in_flight_target: int
    guardrails: Sequence[Guardrail]
    override_active: bool
    state: CapacityState
