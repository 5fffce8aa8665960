"""Switches that an operator flips while everything runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from queue_pipeline.domain.errors import InvalidInput

SENDS_ENABLED = "sends.enabled"
DRAFTS_AUTO_SEND = "drafts.auto_send"

#: Every flag and what it does when it is on.
FLAGS: Mapping[str, str] = {
    SENDS_ENABLED: "Messages to customers leave. Off: they are kept READY, and the drain goes on.",
    DRAFTS_AUTO_SEND: "A draft that passed every gate is sent without a review. Off: it waits for a person.",
}


@dataclass(frozen=True)
class Flip:
    """One change of a flag to be made."""

    flag: str
    on: bool
    who: str
    why: str


def spelled(on: bool) -> str:
    """A flag's value as it is stored and shown."""
    return "on" if on else "off"


def known(flag: str) -> str:
    """The flag's name. Raises InvalidInput for one that does not exist."""
    if flag not in FLAGS:
        raise InvalidInput("flag", flag, f"Known flags: {', '.join(FLAGS)}.")
    return flag
