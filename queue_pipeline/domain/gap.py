"""Why time passed: stretches of evidence, and the rule that names a gap by the evidence that covers it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Cause(StrEnum):
    """What time went by with. Where two causes cover the same gap, the one that stands first here names it."""

    SENDS_OFF = "sends_off"
    UNKNOWN_SEND = "unknown_send"
    SLOW_PROVIDER = "slow_provider"
    SEND_BACKOFF = "send_backoff"
    HUNG_FUNCTION_RUN = "hung_function_run"
    DEAD_FUNCTION_RUN = "dead_function_run"
    HUNG_HANDLER = "hung_handler"
    NOT_LAUNCHED = "not_launched"
    NOT_DRAINED = "not_drained"
    QUOTA = "quota"
    OTHER_WORK = "other_work"
    DEAD_LETTER = "dead_letter"
    BACKOFF = "backoff"
    SCHEDULED = "scheduled"
    NO_SLOT = "no_slot"
    HANDLER = "handler"
    NOTIFICATION = "notification"
    PERSON = "person"


_RANK = {cause: place for place, cause in enumerate(Cause)}
#: A cause that covers less of a gap than this does not name it while another covers more.
_SHARE_MIN = 0.5


@dataclass(frozen=True)
class Stretch:
    """Between two instants time passed for this reason, which the records prove.

    `sentence` holds ids, codes and times only, so that it may be shown and kept anywhere. `said` is what people or
    programs wrote about it (an error, a handler's progress), which may name somebody.
    """

    since: datetime
    until: datetime
    cause: Cause
    sentence: str
    said: str = ""


def cause_of(since: datetime, until: datetime, stretches: Iterable[Stretch]) -> Stretch | None:
    """The stretch that explains the gap, or None when nothing on record covers any of it."""
    length = (until - since).total_seconds()
    if length <= 0:
        return None
    shares = [(overlap_seconds(stretch, since, until) / length, stretch) for stretch in stretches]
    covering = [stretch for share, stretch in shares if share >= _SHARE_MIN]
    if covering:
        return min(covering, key=lambda stretch: _RANK[stretch.cause])
    share, longest = max(shares, key=lambda pair: pair[0], default=(0.0, None))
    return longest if share > 0 else None


def overlap_seconds(stretch: Stretch, since: datetime, until: datetime) -> float:
    """How much of the time between two instants a stretch covers; 0 when they do not meet."""
    return max(0.0, (min(stretch.until, until) - max(stretch.since, since)).total_seconds())


def clipped(stretch: Stretch, since: datetime, until: datetime) -> list[Stretch]:
    """The part of a stretch that lies between two instants, if there is one."""
    begin, end = max(stretch.since, since), min(stretch.until, until)
    return [Stretch(begin, end, stretch.cause, stretch.sentence, stretch.said)] if end > begin else []


def uncovered(
    since: datetime, until: datetime, spans: Sequence[tuple[datetime, datetime]]
) -> list[tuple[datetime, datetime]]:
    """What is left of the time between two instants when the spans are taken out, in order."""
    left = []
    at = since
    for begin, end in sorted(spans):
        if begin > at:
            left.append((at, min(begin, until)))
        at = max(at, end)
        if at >= until:
            break
    if at < until:
        left.append((at, until))
    return [(begin, end) for begin, end in left if end > begin]
