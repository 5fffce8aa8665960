"""Whether some reading of a time or a date is something that the draft may say."""

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

from queue_pipeline.leads.gates.allowed import Allowed, AllowedTime, allowed, date_fits, today
from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.clock_times import DAY, TimeMention, shown
from queue_pipeline.leads.gates.labels import LabelPlace, label_places
from queue_pipeline.leads.gates.plain_text import PlainText, plain_text
from queue_pipeline.leads.gates.reading import PlacedDate, PlacedTime, Reading, read_plain
from queue_pipeline.leads.gates.words import says

_END_SAID = re.compile(
    r"\b(?:ends?|ending|finish(?:es)?|over|done|until|till?|to|through|up to|concludes?|hard stop|leave|wrap up|stop)"
    r"(?: at| by| around)?[ ]\Z"
)
_WIDE = 90
#: Labels that may begin before a place and still stand around it: as many as may overlap.
_LABELS_NEAR = 8


@dataclass(frozen=True)
class Judged:
    """A case with its draft read and everything that the draft may say."""

    case: DraftCase
    text: PlainText
    reading: Reading
    allowed: Allowed
    labels: tuple[LabelPlace, ...]

    @cached_property
    def times_by_clause(self) -> dict[int, list[PlacedTime]]:
        """The times of the draft by the place where their clause begins."""
        found: dict[int, list[PlacedTime]] = {}
        for time in self.reading.times:
            found.setdefault(time.clause.start, []).append(time)
        return found

    @cached_property
    def times_by_date(self) -> dict[int, list[PlacedTime]]:
        """The times that belong to one date alone, by the place where it stands."""
        found: dict[int, list[PlacedTime]] = {}
        for time in self.reading.times:
            if len(time.dates) == 1:
                found.setdefault(time.dates[0].start, []).append(time)
        return found

    @cached_property
    def half_is_before_the_hour(self) -> bool:
        """Whether `half four` may be 3:30 for the lead or for us."""
        return self.case.half_is_before_the_hour

    @cached_property
    def dates_by_clause(self) -> dict[int, list[PlacedDate]]:
        """The dates of the draft by the place where their clause begins."""
        found: dict[int, list[PlacedDate]] = {}
        for placed in self.reading.dates:
            found.setdefault(placed.clause.start, []).append(placed)
        return found

    @cached_property
    def commits(self) -> bool:
        """Whether the draft says that something is arranged, or says yes to what the lead proposed."""
        parts = self.reading.clauses
        if any(clause.commits for clause in parts):
            return True
        if not self.allowed.proposed or any(says("rejection", clause.text) for clause in parts):
            return False
        return any(says("accepted", clause.text) and not clause.question for clause in parts)

    def inside_label(self, start: int, end: int) -> LabelPlace | None:
        """The offered label that stands around this place of the draft."""
        here = bisect_right(self.labels, start, key=lambda label: label.start)
        near = self.labels[max(0, here - _LABELS_NEAR) : here]
        return next((label for label in near if end <= label.end), None)


def judge(case: DraftCase) -> Judged:
    """Read a case."""
    text = plain_text(case.draft)
    may = allowed(case)
    spoken_of = may.offered_days | {day for day in may.proposed_days if len(may.proposed_days) <= _WIDE}
    now = today(case, case.reference_now, spoken_of)
    sources = [case.inbound.body, *(turn.body for turn in case.thread if turn.author == "lead")]
    reading = read_plain(text, now, quotes_from=sources)
    return Judged(
        case, text, reading, may, tuple(sorted(label_places(case, text.plain), key=lambda label: label.start))
    )


def time_is_supported(judged: Judged, time: PlacedTime) -> bool:
    """Whether some reading of the time, with some date that it may belong to, is allowed."""
    mention = time.mention
    label = judged.inside_label(mention.start, mention.end)
    if label and (label.dated or _any_date_fits(time, label.days)):
        return True
    if _fits(judged, time):
        return True
    if mention.somewhere and _fits(judged, replace(time, mention=replace(mention, zones=()))):
        return True
    return _is_end(judged, time) or (not judged.case.offered_slots and _in_lead_window(judged.allowed, time))


def _fits(judged: Judged, time: PlacedTime) -> bool:
    mention = time.mention
    rejected = time.clause.refuses(mention.start, mention.end)
    known = judged.allowed.times(mention.zones, known=rejected or not time.clause.commits)
    if mention.until or (mention.bound and _leaves_open(time)):
        fitting = [one for one in known.values() if _any_date_fits(time, one.days)]
        return _range_is_supported(time, fitting) if mention.until else _window_holds(mention, fitting)
    minutes = mention.minutes | (mention.perhaps if judged.half_is_before_the_hour else frozenset())
    return any(minute in known and _any_date_fits(time, known[minute].days) for minute in minutes)


def _any_date_fits(time: PlacedTime, days: frozenset[date] | None) -> bool:
    return not time.dates or any(date_fits(one, days) for one in time.dates)


def _range_is_supported(time: PlacedTime, fitting: list[AllowedTime]) -> bool:
    """A range is an offered slot from its start to an end that fits, or a window in which an allowed time lies."""
    for first, last in time.mention.until:
        for one in fitting:
            if one.minute == first % DAY and (not one.ends or last % DAY in one.ends):
                return True
            if one.minute == first % DAY and any(other.minute == last % DAY for other in fitting):
                return True
            if not time.clause.commits and first <= one.minute < last:
                return True
    return False


def _window_holds(mention: TimeMention, times: list[AllowedTime]) -> bool:
    """Whether an allowed time lies after, or before, some reading; the named time itself counts too."""
    for one in times:
        for minute in mention.minutes:
            if one.minute == minute or (one.minute > minute if mention.bound == "after" else one.minute < minute):
                return True
    return False


def _is_end(judged: Judged, time: PlacedTime) -> bool:
    """`until 4 pm`, `ends at 4`: the end of an offered slot."""
    before = judged.reading.text.plain[max(0, time.mention.start - 24) : time.mention.start]
    if not _END_SAID.search(before):
        return False
    ends = {end for one in judged.allowed.times(time.mention.zones, known=True).values() for end in one.ends}
    return not ends.isdisjoint(time.mention.minutes)


def _leaves_open(time: PlacedTime) -> bool:
    """`What time after 2 works?`, `any time after 2`, `openings before noon`: the bound of a window, not a time."""
    before = time.clause.text[: time.mention.start - time.clause.start]
    asks = time.clause.question and says("asked_window", before)
    return bool(asks or says("free_window", before))


def is_no_appointment(judged: Judged, time: PlacedTime) -> bool:
    """Opening hours, the time of a message, a deadline, something past: times of something else."""
    piece = time.clause.piece(time.mention.start, time.mention.end)
    past = bool(time.dates) and all(one.kind == "past" for one in time.dates)
    until = time.mention.bound == "before" or any(one.bounded for one in time.dates)
    return (
        past
        or any(says(name, piece) for name in ("hours", "reference", "notice"))
        or (bool(time.mention.until) and says("contact_hours", time.clause.text))
        or (until and says("deadline", time.clause.text))
        or (says("early_arrival", time.clause.text) and _is_shortly_before(judged, time))
    )


def _is_shortly_before(judged: Judged, time: PlacedTime) -> bool:
    """Whether the time lies less than an hour before an allowed one on its day."""
    near = judged.allowed.times(time.mention.zones, known=False)
    longest = 60 if re.search(r"\b(?:early|earlier|beforehand|advance|ahead|before|prior)\b", time.clause.text) else 25
    return any(
        0 < one.minute - minute < longest and _any_date_fits(time, one.days)
        for one in near.values()
        for minute in time.mention.minutes
    )


def _in_lead_window(may: Allowed, time: PlacedTime) -> bool:
    """Where nothing was offered, the lead's own window allows the times in it."""
    return any(
        low <= minute <= high and _any_date_fits(time, days)
        for low, high, days in may.windows
        for minute in time.mention.minutes
    )


def date_is_supported(judged: Judged, placed: PlacedDate) -> bool:
    """Whether some reading of the date is a day on which something was offered or proposed."""
    label = judged.inside_label(placed.mention.start, placed.mention.end)
    if label:
        return True
    days = judged.allowed.days
    if placed.clause.refuses(placed.mention.start, placed.mention.end) or not placed.clause.commits:
        days |= judged.allowed.known_days
    for time in judged.times_by_date.get(placed.mention.start, ()):
        days |= {start.astimezone(zone).date() for start, _ in judged.allowed.offered for zone in time.mention.zones}
    return date_fits(placed.mention, days)


def allowed_times_shown(may: Allowed) -> tuple[str, ...]:
    """The offered and proposed times in words, for a finding."""
    zone = may.zones[0]
    offered = [f"{start.astimezone(zone):%Y-%m-%d %H:%M}" for start, _ in may.offered]
    proposed = {shown(minute) for minutes, _, _ in may.proposed for minute in minutes}
    return (*sorted(set(offered))[:12], *sorted(proposed)[:12])


def allowed_days_shown(may: Allowed) -> tuple[str, ...]:
    """The offered days, then those that the lead named, for a finding."""
    offered = sorted(may.offered_days)[:12]
    proposed = sorted(may.proposed_days - may.offered_days)[:6]
    return tuple(day.isoformat() for day in (*offered, *proposed))
