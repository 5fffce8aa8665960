"""`date_mismatch`: a day on which nothing was offered or proposed, or a weekday that its date does not have."""

from collections.abc import Iterator

from queue_pipeline.leads.gates.finding import Code, Finding, finding
from queue_pipeline.leads.gates.other_times import is_no_appointment, is_refused_day, is_told_as_past
from queue_pipeline.leads.gates.reading import PlacedDate, PlacedTime
from queue_pipeline.leads.gates.support import Judged, allowed_days_shown, date_is_supported
from queue_pipeline.leads.gates.words import says

_VAGUE = {"broad", "past"}


def date_mismatches(judged: Judged) -> Iterator[Finding]:
    """The dates that nothing allows, where the draft arranges something on them; contradictions everywhere."""
    shown = allowed_days_shown(judged.allowed)
    for placed in judged.reading.dates:
        mention = placed.mention
        if mention.contradicts and not judged.inside_label(mention.start, mention.end):
            why = f"the weekday and the date contradict each other: {' or '.join(mention.readings[:3])} is another day"
        elif _is_judged(judged, placed) and not date_is_supported(judged, placed):
            why = f"nothing was offered or proposed on {' or '.join(mention.readings[:4])}"
        else:
            continue
        yield finding(
            Code.DATE_MISMATCH,
            judged.text,
            (mention.start, mention.end),
            why,
            readings=mention.readings,
            allowed=shown,
        )


def _is_judged(judged: Judged, placed: PlacedDate) -> bool:
    """Whether the draft says that something happens then, and means an appointment."""
    mention = placed.mention
    arranges = bool(judged.case.offered_slots) or judged.commits
    if mention.kind in _VAGUE or mention.bounded or not arranges:
        return False
    if is_told_as_past(judged, placed) or is_refused_day(placed):
        return False
    if placed.timed:
        return not all(is_no_appointment(judged, time) for time in _times_of(judged, placed))
    piece = placed.clause.piece(mention.start, mention.end)
    if any(says(name, piece) for name in ("errand", "reference", "hours")):
        return False
    return _is_the_day(judged, placed) if mention.kind == "today" else _is_arranged(judged, placed, piece)


def _is_arranged(judged: Judged, placed: PlacedDate, piece: str) -> bool:
    """Whether the words around a date without a time of its own promise or offer it."""
    offers = bool(judged.case.offered_slots)
    times = _times_in(judged, placed)
    if any(time.dates for time in times):
        return says("commitment", piece) or (offers and says("offer", piece))
    return placed.clause.commits or (offers and (placed.clause.offers or bool(times)))


def _is_the_day(judged: Judged, placed: PlacedDate) -> bool:
    """`today` is the day of the appointment where its clause names no other day; else it may be the day of writing."""
    if len(judged.dates_by_clause.get(placed.clause.start, ())) > 1:
        return False
    before = placed.clause.text[: placed.mention.start - placed.clause.start]
    promised = placed.clause.offers and says("day_promised", before)
    return promised or placed.clause.commits or bool(_times_in(judged, placed))


def _times_in(judged: Judged, placed: PlacedDate) -> list[PlacedTime]:
    return [time for time in judged.times_by_clause.get(placed.clause.start, ()) if not is_no_appointment(judged, time)]


def _times_of(judged: Judged, placed: PlacedDate) -> list[PlacedTime]:
    return judged.times_by_date.get(placed.mention.start, [])
