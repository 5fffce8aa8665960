"""Switches that an operator flips while everything runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from queue_pipeline.domain.errors import InvalidInput

SENDS_ENABLED = "sends.enabled"
DRAFTS_AUTO_SEND = "drafts.auto_send"
DRAIN_PARALLEL = "drain.parallel"
RECOVERY_MODE = "recovery.mode"
ROLLBACK_MODE = "rollback.mode"
CAPACITY_MODE = "capacity.mode"

ON, OFF = "on", "off"
OBSERVE, ENFORCE = "observe", "enforce"


@dataclass(frozen=True)
class FlagSpec:
    """A flag: what each of its values means. `per_workspace`: a canary may give some workspaces another value."""

    meanings: Mapping[str, str]
    per_workspace: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """Every value that it may have."""
        return tuple(self.meanings)


#: Every flag.
FLAGS: Mapping[str, FlagSpec] = {
    SENDS_ENABLED: FlagSpec(
        {ON: "Messages to customers leave.", OFF: "Messages to customers are kept READY, and the drain goes on."}
    ),
    DRAFTS_AUTO_SEND: FlagSpec(
        {ON: "A draft that passed every gate is sent without a review.", OFF: "Every draft waits for a person."},
        per_workspace=True,
    ),
    DRAIN_PARALLEL: FlagSpec(
        {
            ON: "Jobs of one workspace run beside each other, up to its quota.",
            OFF: "Jobs of one workspace run one after the other.",
        },
        per_workspace=True,
    ),
    RECOVERY_MODE: FlagSpec(
        {
            ENFORCE: "What stands still is recovered.",
            OBSERVE: "What stands still is left alone, and what would have been done is on record.",
            OFF: "Nobody looks for what stands still.",
        }
    ),
    ROLLBACK_MODE: FlagSpec(
        {
            ENFORCE: "A rule that says so turns the canary back.",
            OBSERVE: "A rule that says so is on record, and nothing is changed.",
            OFF: "No rule is looked at.",
        }
    ),
    CAPACITY_MODE: FlagSpec(
        {
            ENFORCE: "Handlers at once and claimed jobs follow the load and the guardrails, within their bounds.",
            OBSERVE: "What would be decided is on record, and drains stay as configured or as an operator says.",
            OFF: "Nothing is measured for it or decided, and drains stay as configured.",
        }
    ),
}


def spec_of(flag: str) -> FlagSpec:
    """What is known of a flag. Raises InvalidInput for one that does not exist."""
    if flag not in FLAGS:
        raise InvalidInput("flag", flag, f"Known flags: {', '.join(FLAGS)}.")
    return FLAGS[flag]


def checked_value(flag: str, value: str) -> str:
    """The value itself. Raises InvalidInput for a flag that does not exist, or a value that it cannot have."""
    values = spec_of(flag).values
    if value not in values:
        raise InvalidInput(flag, value, f"It can be {' or '.join(values)}.")
    return value


def meaning_of(flag: str, value: str) -> str:
    """What a value means, in a sentence."""
    return spec_of(flag).meanings[value]


def spelled(on: bool) -> str:
    """The value of a flag that is only on or off."""
    return ON if on else OFF
