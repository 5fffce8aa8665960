"""`slot_mismatch`: a time in the draft that was neither offered nor proposed by the lead, or not on that day."""

from collections.abc import Iterator

from queue_pipeline.leads.gates.finding import Code, Finding, finding
from queue_pipeline.leads.gates.other_times import is_no_appointment
from queue_pipeline.leads.gates.reading import PlacedTime
from queue_pipeline.leads.gates.support import Judged, allowed_times_shown, time_is_supported


def slot_mismatches(judged: Judged) -> Iterator[Finding]:
    """The times that nothing allows. Without offered slots only a promise is judged."""
    if not judged.case.offered_slots and not judged.commits:
        return
    shown = allowed_times_shown(judged.allowed)
    for time in judged.reading.times:
        if is_no_appointment(judged, time) or time_is_supported(judged, time):
            continue
        yield finding(
            Code.SLOT_MISMATCH,
            judged.text,
            (time.mention.start, time.mention.end),
            _why(time),
            readings=time.mention.readings,
            allowed=shown,
        )


def _why(time: PlacedTime) -> str:
    readings = " or ".join(time.mention.readings)
    if time.dates:
        days = " or ".join(sorted({day for date in time.dates for day in date.readings[:4]})[:6])
        return f"{readings} on {days} was neither offered nor proposed by the lead"
    return f"{readings} was neither offered nor proposed by the lead"
