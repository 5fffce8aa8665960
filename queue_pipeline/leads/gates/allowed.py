"""What a draft may rightly say about when: offered slots, times that the lead proposed, times spoken of before."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo

from queue_pipeline.leads.gates.case import DraftCase, Turn
from queue_pipeline.leads.gates.clock_times import DAY, TimeMention
from queue_pipeline.leads.gates.date_mention import DateMention, Today
from queue_pipeline.leads.gates.reading import PlacedTime, Reading, read
from queue_pipeline.leads.gates.words import says
from queue_pipeline.leads.gates.zones import distinct

#: A thread is read from its end; what stands further back justifies nothing any more.
_TURNS_MAX = 40
_READ_MAX = 20_000


@dataclass(frozen=True)
class AllowedTime:
    """A time that may be said: its minute of the day, the days it is on (None: any), where its clock hangs."""

    minute: int
    days: frozenset[date] | None
    ends: frozenset[int] = frozenset()


@dataclass
class Allowed:
    """What may be said about when. `zones` are those in which a time without a zone may be said; `ours` those that hold
    for every offered slot, besides its own offset; `own_day` when the lead's own day begins or ends."""

    zones: tuple[tzinfo, ...]
    ours: tuple[tzinfo, ...] = ()
    offered: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    proposed: list[tuple[frozenset[int], frozenset[date] | None, tuple[tzinfo, ...]]] = field(default_factory=list)
    windows: list[tuple[int, int, frozenset[date] | None]] = field(default_factory=list)
    known: list[tuple[frozenset[int], frozenset[date] | None, tuple[tzinfo, ...]]] = field(default_factory=list)
    offered_days: frozenset[date] = frozenset()
    proposed_days: frozenset[date] = frozenset()
    known_days: frozenset[date] = frozenset()
    own_day: frozenset[int] = frozenset()
    _views: dict[tuple[object, ...], dict[int, AllowedTime]] = field(default_factory=dict)

    @property
    def days(self) -> frozenset[date]:
        """The days on which something may be arranged."""
        return self.offered_days | self.proposed_days

    def times(self, zones: tuple[tzinfo, ...], *, known: bool) -> dict[int, AllowedTime]:
        """What may be said with one of these zones, or without any, by its minute of the day."""
        key = (zones, known)
        if key not in self._views:
            self._views[key] = _by_minute(self._seen_from(zones, known))
        return self._views[key]

    def _seen_from(self, zones: tuple[tzinfo, ...], known: bool) -> Iterator[AllowedTime]:
        for start, end in self.offered:
            for zone in zones or distinct((*self.ours, start.tzinfo or self.zones[0])):
                local = start.astimezone(zone)
                days = {local.date()} | ({start.astimezone(usual).date() for usual in self.zones} if zones else set())
                yield AllowedTime(_minute(local), frozenset(days), frozenset(self._ends(start, end, zone)))
        for minutes, days_said, said in [*self.proposed, *(self.known if known else ())]:
            for minute in minutes:
                if set(zones) == set(said) or (not zones and not said):
                    yield AllowedTime(minute, days_said)
                else:
                    yield from self._converted(minute, days_said, said, zones)

    def _ends(self, start: datetime, end: datetime | None, zone: tzinfo) -> Iterator[int]:
        """When a range that begins with this slot may end: with it, or where a later one that day ends or begins."""
        if end is None:
            return
        yield _minute(end.astimezone(zone))
        day = start.astimezone(zone).date()
        for later, later_end in self.offered:
            if later > start and later.astimezone(zone).date() == day:
                yield _minute(later.astimezone(zone))
                if later_end:
                    yield _minute(later_end.astimezone(zone))

    def _converted(
        self, minute: int, days: frozenset[date] | None, said: tuple[tzinfo, ...], zones: tuple[tzinfo, ...]
    ) -> Iterator[AllowedTime]:
        """A time that the lead said in one zone as it is said in another."""
        basis = sorted(days or self.offered_days or self.known_days or {date(2000, 1, 1)})[:4]
        for day in basis:
            for source in said or self.zones:
                instant = datetime(day.year, day.month, day.day, minute // 60 % 24, minute % 60, tzinfo=source)
                for target in zones or self.zones:
                    local = instant.astimezone(target)
                    yield AllowedTime(_minute(local), None if days is None else frozenset({local.date(), day}))


def allowed(case: DraftCase) -> Allowed:
    """Everything that the case allows its draft to say about when."""
    ours = (case.lead_zone, *(case.host_zones[:1] if case.host_timezone else ()))
    found = Allowed(zones=distinct((case.lead_zone, *case.host_zones)), ours=ours)
    for slot in case.offered_slots:
        found.offered.append((slot.start, slot.end))
    found.offered_days = frozenset(
        local.date()
        for slot in case.offered_slots
        for local in (slot.start, slot.start.astimezone(case.lead_zone), *_in_host(case, slot.start))
    )
    latest = Turn(author="lead", body=case.inbound.body, sent_at=case.inbound.sent_at)
    turns = [*case.thread[-_TURNS_MAX:], latest]
    accepted = bool(says("acceptance", " ".join(case.inbound.body[:_READ_MAX].lower().split())))
    last_ours = max((index for index, turn in enumerate(turns) if turn.author == "us"), default=-1)
    for index, turn in enumerate(turns):
        reading = _read_turn(case, turn, found.offered_days)
        _take(found, reading, proposed=turn.author == "lead" or (accepted and index == last_ours))
    return found


def today(case: DraftCase, instant: datetime, spoken_of: Iterable[date] = ()) -> Today:
    """The days that an instant is on, for the lead and for us."""
    zones = (case.lead_zone, *((case.host_zones[0],) if case.host_timezone else ()))
    days = frozenset(instant.astimezone(zone).date() for zone in zones)
    return Today(days, frozenset(spoken_of), len(case.offered_slots))


def _in_host(case: DraftCase, instant: datetime) -> list[datetime]:
    return [instant.astimezone(case.host_zones[0])] if case.host_timezone else []


def _read_turn(case: DraftCase, turn: Turn, spoken_of: frozenset[date]) -> Reading:
    return read(turn.body[:_READ_MAX], today(case, turn.sent_at or case.reference_now, spoken_of), skip_quoted=False)


def _take(found: Allowed, reading: Reading, *, proposed: bool) -> None:
    """Take over what a turn says. What it rejects is known, not proposed; so is what we said and nobody accepted."""
    said_days = frozenset(day for date_ in reading.dates if date_.mention.kind != "past" for day in date_.mention.days)
    for date_ in reading.dates:
        days = _meant(date_.mention, found)
        if date_.mention.kind == "broad" and found.offered:
            continue
        if proposed and not date_.clause.refuses(date_.mention.start, date_.mention.end):
            found.proposed_days |= days
        found.known_days |= days
    for time in reading.times:
        if _is_own_day(time):
            found.own_day |= time.mention.minutes
            continue
        refused = time.clause.refuses(time.mention.start, time.mention.end)
        entry = (_minutes(time.mention), _days_of(time, said_days, found), (*time.mention.zones, *time.mention.loosely))
        (found.proposed if proposed and not refused else found.known).append(entry)
        if proposed:
            found.windows.extend(_windows(time.mention, entry[1]))


def _is_own_day(time: PlacedTime) -> bool:
    """`I get off at 4`: the lead tells of their day and proposes nothing, unless they come back to it with `then`."""
    piece = time.clause.piece(time.mention.start, time.mention.end)
    return says("own_day", piece) and "then" not in time.clause.text


def _meant(mention: DateMention, found: Allowed) -> frozenset[date]:
    """What a date in the thread means: of its readings those that were offered, if there are any. A bare weekday is the
    coming one, or one that was spoken of."""
    if mention.coming:
        return mention.coming | (mention.days & (found.offered_days | found.proposed_days | found.known_days))
    return (mention.days & found.offered_days) or mention.near or mention.days


def _minutes(mention: TimeMention) -> frozenset[int]:
    ends = {last % DAY for _, last in mention.until}
    return mention.minutes | mention.perhaps | ends


def _days_of(time: PlacedTime, said: frozenset[date], found: Allowed) -> frozenset[date] | None:
    """The days of a time that somebody named: its date; else those of the offered slot that it repeats; else any."""
    if time.dates:
        return frozenset(day for date_ in time.dates for day in _meant(date_, found))
    days: set[date] = set()
    for start, _ in found.offered:
        for zone in distinct((*found.ours, start.tzinfo or found.zones[0])):
            if _minute(start.astimezone(zone)) in time.mention.minutes:
                days.add(start.astimezone(zone).date())
    if days:
        return frozenset(days | said)
    return None


def _windows(mention: TimeMention, days: frozenset[date] | None) -> Iterator[tuple[int, int, frozenset[date] | None]]:
    for first, last in mention.until:
        yield first, last, days
    if mention.bound == "after":
        yield max(mention.minutes), DAY, days
    if mention.bound == "before":
        yield 0, max(mention.minutes), days


def _by_minute(found: Iterable[AllowedTime]) -> dict[int, AllowedTime]:
    """One entry for each minute, with the days and the ends of all of them."""
    merged: dict[int, AllowedTime] = {}
    for one in found:
        known = merged.get(one.minute)
        if known is None:
            merged[one.minute] = one
        elif known.days is not None or one.ends:
            days = None if known.days is None or one.days is None else known.days | one.days
            merged[one.minute] = AllowedTime(one.minute, days, known.ends | one.ends)
    return merged


def _minute(local: datetime) -> int:
    return local.hour * 60 + local.minute


def date_fits(mention: DateMention, days: frozenset[date] | None) -> bool:
    """Whether some reading of the date is one of these days."""
    return days is None or not mention.days.isdisjoint(days)
