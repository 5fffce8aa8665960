"""Times and dates in a draft that are no appointment: opening hours, what has been, deadlines, the lead's own day."""

import re

from queue_pipeline.leads.gates.date_patterns import WEEKDAY
from queue_pipeline.leads.gates.reading import PlacedDate, PlacedTime
from queue_pipeline.leads.gates.support import Judged, any_date_fits
from queue_pipeline.leads.gates.words import pattern, says

#: What may stand between the head of a list of opening hours and one of its later entries.
_HOURS_LISTED = re.compile(
    r"(?:[\x00\d ,;:/|&()\n+*•-]|\.(?! )|\b(?:and|to|from|closed|until|till|through|thru|on|also|then|am|pm|"
    r"weekdays?|weekends?|"
    r"(?:public |bank )?holidays?|by appointment|only|uhr|hrs|h)\b)*"
)
_HOURS_WITHIN = 240
_HEADS_MAX = 4
_OFFERED = re.compile(r"\b(?:can|could|may|have|got|how about|offer|propose|suggest)\b")
_DAYS_THROUGH = re.compile(rf"\b{WEEKDAY}\b\.?[ ]?(?:-|to|through|thru|till)[ ]?{WEEKDAY}\b")
#: What may stand between `his last visit` and the date that it was on.
_TOLD_DATE = re.compile(
    r"(?:[ :(,\x00-]|\b(?:was|were|on|in|at|from|back|of|as|is|the|for|dated|date|took place|happened|here|us|"
    r"with|around|"
    r"about|a|this|that|it|down|listed|recorded)\b)*"
)
_TOLD_WITHIN = 100
_DATES_LISTED = re.compile(r"\x00+(?:[ ]?(?:,[ ]?(?:and |or )?|/|&|and|or|nor)[ ]?(?:on )?(?:the )?\x00+)*")


def is_no_appointment(judged: Judged, time: PlacedTime) -> bool:
    """Opening hours, the time of a message, a deadline, something past: times of something else."""
    mention = time.mention
    piece = time.clause.piece(mention.start, mention.end)
    past = bool(time.dates) and all(one.kind == "past" for one in time.dates)
    until = mention.bound == "before" or any(one.bounded for one in time.dates)
    return (
        past
        or any(says(name, piece) for name in ("hours", "reference", "notice"))
        or (bool(mention.until or mention.bound) and _in_a_list_of_hours(judged, time))
        or (bool(mention.until) and says("contact_hours", time.clause.text))
        or (until and says("deadline", time.clause.text))
        or (says("early_arrival", time.clause.text) and _is_shortly_before(judged, time))
        or _is_of_their_day(judged, time)
        or any(is_told_as_past(judged, placed) for placed in _placed(judged, time))
    )


def is_told_as_past(judged: Judged, placed: PlacedDate) -> bool:
    """`his last visit was on March 3rd`, `born on 4/12/2014`: a day that has been and is told as such."""
    if not any(day < judged.now for day in placed.mention.days):
        return False
    clause, start = placed.clause, placed.mention.start - placed.clause.start
    piece = clause.piece(placed.mention.start, placed.mention.end)
    if says("commitment", piece):
        return False
    before = clause.text[max(0, start - _TOLD_WITHIN) : start]
    told = [match.end() for match in pattern("past_event").finditer(before)]
    return bool(told and _TOLD_DATE.fullmatch(before, told[-1])) or says("past_event", piece)


def is_refused_day(placed: PlacedDate) -> bool:
    """`Tuesday week isn't available`: a day that will not be, alone or in a list of such days."""
    start, end = placed.mention.start - placed.clause.start, placed.mention.end - placed.clause.start
    listed = [match.span() for match in _DATES_LISTED.finditer(placed.clause.text)]
    low, high = next((span for span in listed if span[0] <= start and end <= span[1]), (start, end))
    piece = placed.clause.piece(placed.clause.start + low, placed.clause.start + high)
    promised = says("commitment", piece) and not says("no_commitment", piece)
    return says("refused_day", piece) and not promised


def _placed(judged: Judged, time: PlacedTime) -> list[PlacedDate]:
    """The dates that the time may belong to, each in its clause; none where it may belong to several."""
    if len(time.dates) != 1:
        return []
    place = judged.reading.clauses.at(time.dates[0].start)
    return [one for one in judged.dates_by_clause.get(place.start, ()) if one.mention.start == time.dates[0].start]


def _in_a_list_of_hours(judged: Judged, time: PlacedTime) -> bool:
    """`Open Mon-Fri 8-18, Sat 9-13`: a later entry of a list that begins as opening hours."""
    low, high = max(0, time.mention.start - _HOURS_WITHIN), time.mention.start
    before = judged.reading.masked[low:high]
    heads = [match.end() for match in pattern("hours").finditer(before)]
    for match in _DAYS_THROUGH.finditer(judged.text.plain[low:high]):
        line = before[before.rfind("\n", 0, match.start()) + 1 : match.start()]
        heads += [] if says("offer", line) or _OFFERED.search(line) else [match.end()]
    return any(_HOURS_LISTED.fullmatch(before, head) for head in heads[-_HEADS_MAX:])


def _is_of_their_day(judged: Judged, time: PlacedTime) -> bool:
    """`Since you're off at 4`: what the lead said about their own day is told back."""
    may, minutes = judged.allowed, time.mention.minutes
    if time.mention.bound and minutes & may.own_day:
        return True
    before = time.clause.text[: time.mention.start - time.clause.start]
    if not says("their_constraint", before):
        return False
    said = frozenset[int]().union(*(entry[0] for entry in (*may.proposed, *may.known)))
    return bool(minutes & may.own_day) or (not time.clause.commits and not time.dates and bool(minutes & said))


def _is_shortly_before(judged: Judged, time: PlacedTime) -> bool:
    """Whether the time lies less than an hour before an allowed one on its day."""
    near = judged.allowed.times(time.mention.zones, known=False)
    longest = 60 if re.search(r"\b(?:early|earlier|beforehand|advance|ahead|before|prior)\b", time.clause.text) else 25
    return any(
        0 < one.minute - minute < longest and any_date_fits(time, one.days)
        for one in near.values()
        for minute in time.mention.minutes
    )
