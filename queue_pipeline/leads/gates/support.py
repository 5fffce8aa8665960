"""Whether some reading of a time or a date is something that the draft may say."""

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from datetime import date, tzinfo
from functools import cached_property

from queue_pipeline.leads.gates.allowed import Allowed, AllowedTime, allowed, date_fits, today
from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.clock_times import DAY, TimeMention, shown
from queue_pipeline.leads.gates.clocks import Clocks
from queue_pipeline.leads.gates.labels import LabelPlace, label_places
from queue_pipeline.leads.gates.plain_text import PlainText, plain_text
from queue_pipeline.leads.gates.reading import PlacedDate, PlacedTime, Reading, read_plain
from queue_pipeline.leads.gates.words import says
from queue_pipeline.leads.gates.zones import distinct, zones_of_places

_END_SAID = re.compile(
    r"\b(?:ends?|ending|finish(?:es)?|over|done|until|till?|to|through|up to|concludes?|hard stop|leave|wrap up|stop)"
    r"(?: at| by| around)?[ ]\Z"
)
#: Between the start and the end of a slot in a row of a table; `_LOOSE_COLUMN` where its head has both.
_COLUMN = re.compile(r"[ ]?\|[ ]?|[ ,;|]{0,3}(?:ends?|ending|until|till|bis|finish(?:es)?)(?: at)?:? ?")
_LOOSE_COLUMN = re.compile(r"[ ,;|/]{1,3}")
_START_AND_END = re.compile(
    r"\b(?:start|begin|from|beginn|von)\w*\b[^\n]{0,30}\b(?:end|finish|to|until|till|bis|ende)\w*\b[^\n]{0,40}\n"
)
_WIDE = 90
_READ_MAX = 20_000
#: How far `4ish` may lie from the time that is meant, in minutes.
_ROUGHLY = 15
#: Labels that may begin before a place and still stand around it: as many as may overlap.
_LABELS_NEAR = 8


@dataclass(frozen=True)
class Judged:
    """A case with its draft read and everything that the draft may say."""

    case: DraftCase
    text: PlainText
    reading: Reading
    allowed: Allowed
    now: date
    places: tuple[tzinfo, ...]
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

    def time_before(self, time: PlacedTime) -> PlacedTime | None:
        """The time of the draft before this one."""
        place = bisect_left(self.reading.times, time.mention.start, key=lambda one: one.mention.start)
        return self.reading.times[place - 1] if place else None

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
    meant = Clocks(
        case, distinct(zone for source in sources for zone in zones_of_places(plain_text(source[:_READ_MAX]).plain))
    )
    reading = replace(
        reading, times=tuple(replace(time, mention=meant.named_by(time.mention)) for time in reading.times)
    )
    return Judged(
        case,
        text,
        reading,
        may,
        min(now.days),
        meant.places,
        tuple(sorted(label_places(case, text.plain), key=lambda label: label.start)),
    )


def time_is_supported(judged: Judged, time: PlacedTime) -> bool:
    """Whether some reading of the time, with some date that it may belong to, is allowed."""
    mention = time.mention
    label = judged.inside_label(mention.start, mention.end)
    if label and (label.dated or any_date_fits(time, label.days)):
        return True
    if _fits(judged, time):
        return True
    if mention.somewhere and _fits(judged, replace(time, mention=replace(mention, zones=()))):
        return True
    if mention.yours and judged.places and _fits(judged, replace(time, mention=replace(mention, zones=judged.places))):
        return True
    return (
        _is_end(judged, time)
        or _ends_its_row(judged, time)
        or (not judged.case.offered_slots and _in_lead_window(judged.allowed, time))
    )


def _fits(judged: Judged, time: PlacedTime) -> bool:
    mention = time.mention
    rejected = time.clause.refuses(mention.start, mention.end)
    known = judged.allowed.times(mention.zones, known=rejected or not time.clause.commits)
    if mention.until or (mention.bound and _leaves_open(time)):
        fitting = [one for one in known.values() if any_date_fits(time, one.days)]
        return _range_is_supported(time, fitting) if mention.until else _window_holds(mention, fitting)
    minutes = mention.minutes | (mention.perhaps if judged.half_is_before_the_hour else frozenset())
    if mention.roughly:
        minutes |= {(minute + away) % DAY for minute in minutes for away in range(-_ROUGHLY, _ROUGHLY + 1)}
    if any(minute in known and any_date_fits(time, known[minute].days) for minute in minutes):
        return True
    return bool(mention.day_number) and _is_a_day_of_month(judged, time)


def _is_a_day_of_month(judged: Judged, time: PlacedTime) -> bool:
    """`Tuesday 3` may be the third of a month on a Tuesday."""
    days = judged.allowed.days | judged.allowed.known_days
    return any(
        day.day == time.mention.day_number and day.weekday() in placed.weekdays for placed in time.dates for day in days
    )


def any_date_fits(time: PlacedTime, days: frozenset[date] | None) -> bool:
    """Whether the time may belong to one of these days; None stands for any day."""
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


def _ends_its_row(judged: Judged, time: PlacedTime) -> bool:
    """`Wed May 5 | 14:00 | 14:20`: the second time of a row is the end of the slot that the first begins."""
    first = judged.time_before(time)
    if first is None:
        return False
    gap = judged.reading.masked[first.mention.end : time.mention.start]
    if not (_COLUMN.fullmatch(gap) or (_LOOSE_COLUMN.fullmatch(gap) and _START_AND_END.search(judged.text.plain))):
        return False
    starts = judged.allowed.times(first.mention.zones, known=False)
    begun = [starts[minute] for minute in first.mention.minutes if minute in starts]
    return any(any_date_fits(first, one.days) and not one.ends.isdisjoint(time.mention.minutes) for one in begun)


def _leaves_open(time: PlacedTime) -> bool:
    """`What time after 2 works?`, `any time after 2`, `openings before noon`: the bound of a window, not a time."""
    before = time.clause.text[: time.mention.start - time.clause.start]
    asks = time.clause.question and says("asked_window", before)
    return bool(asks or says("free_window", before))


def _in_lead_window(may: Allowed, time: PlacedTime) -> bool:
    """Where nothing was offered, the lead's own window allows the times in it."""
    return any(
        low <= minute <= high and any_date_fits(time, days)
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
