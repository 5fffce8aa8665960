"""A time mention is the set of times of day that its words may mean: `at 3` is 03:00 and 15:00, `3 pm` is 15:00."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import tzinfo

from queue_pipeline.leads.gates import clock_parts as parts
from queue_pipeline.leads.gates import clock_patterns as say
from queue_pipeline.leads.gates import clock_styles as styles
from queue_pipeline.leads.gates.zones import (
    FOR_YOU,
    OFFSET,
    ZONE,
    ZONE_BEFORE,
    offset_zone,
    zone_before,
    zones_loosely_named,
    zones_named,
)

DAY = 24 * 60
_COUNTED_WITHIN = 60
_ZONE_WITHIN = 60
#: Minutes of the day that a part of the day may mean; wide, because a wrong part of the day is rare and vague.
_PARTS = {
    "morning": (0, 13 * 60),
    "afternoon": (11 * 60 + 30, 19 * 60),
    "evening": (15 * 60, DAY),
    "night": (17 * 60, 30 * 60),
    "tonight": (16 * 60, 27 * 60),
}


@dataclass(frozen=True)
class TimeMention:
    """Times of day in minutes since midnight. A range has `until`; `bound` says that it is `after` or `before` one;
    `somewhere` that the zone was named as a place (`at 3 in London`), which may be only where it happens; `loosely`
    holds the zones whose people say `EST` in summer too; `yours` that the time is one on the lead's clock;
    `perhaps` holds readings that are not English: `half four` is 4:30, but a German may mean 3:30; `roughly` says that
    a few minutes do not matter (`4ish`); `day_number` is the day of the month that `Tuesday 3` may mean instead."""

    start: int
    end: int
    minutes: frozenset[int]
    until: frozenset[tuple[int, int]] = frozenset()
    bound: str = ""
    zones: tuple[tzinfo, ...] = ()
    loosely: tuple[tzinfo, ...] = ()
    somewhere: bool = False
    yours: bool = False
    perhaps: frozenset[int] = frozenset()
    roughly: bool = False
    day_number: int = 0

    @property
    def readings(self) -> tuple[str, ...]:
        """The readings as `15:00` or `15:00-16:00`, sorted."""
        pairs = [f"{shown(first)}-{shown(last)}" for first, last in self.until]
        return tuple(sorted(pairs or [shown(minute) for minute in self.minutes]))


def shown(minute: int) -> str:
    """A minute of the day as `HH:MM`."""
    return f"{minute // 60 % 24:02d}:{minute % 60:02d}"


def scan_times(text: str) -> list[TimeMention]:
    """The time mentions of a plain text, in order and without overlap; what is a date must be masked before."""
    offsets = {place for match in OFFSET.finditer(text) for place in range(*match.span())}
    found = _without_overlap(_candidates(text), offsets)
    return sorted((_in_context(text, mention) for mention in found), key=lambda mention: mention.start)


def _without_overlap(mentions: Iterable[TimeMention], used: set[int]) -> list[TimeMention]:
    """The mentions that touch neither a used place nor an earlier mention; earlier patterns are more specific."""
    kept = []
    for mention in mentions:
        places = range(mention.start, mention.end)
        if used.isdisjoint(places):
            used.update(places)
            kept.append(mention)
    return kept


def _candidates(text: str) -> Iterator[TimeMention]:
    for match in say.ISO_TIME.finditer(text):
        minute = _minute(match["h"], match["m"])
        if minute is not None:
            yield TimeMention(*match.span(), frozenset({minute}), zones=offset_zone(match["offset"] or ""))
    for pattern in say.RANGES:
        for match in pattern.finditer(text):
            yield from _range(match)
    for pattern in say.LISTS:
        for match in pattern.finditer(text):
            yield from _list(match)
    for pattern in say.POINTS:
        for match in pattern.finditer(text):
            if pattern not in styles.BESIDE_A_DATE or not _counts(text, match.start("time")):
                yield from _point(match)


def _counts(text: str, place: int) -> bool:
    """Whether things are counted just before this place: `3 openings Thursday and 2 Friday`."""
    return styles.COUNTED.search(text, max(0, place - _COUNTED_WITHIN), place) is not None


def _point(match: re.Match[str]) -> Iterator[TimeMention]:
    groups = match.groupdict()
    minutes = _readings(groups)
    if minutes:
        start, end = match.span("time") if groups.get("time") else match.span()
        earlier = {(minute - 60) % DAY for minute in minutes} if groups.get("halfhour") else ()
        day = int(groups["h"] or 0) if "maybe_day" in groups and (groups["h"] or "").isdecimal() else 0
        yield TimeMention(
            start,
            end,
            frozenset(minutes),
            perhaps=frozenset(earlier),
            roughly=bool(groups.get("ish")),
            day_number=day,
        )


def _list(match: re.Match[str]) -> Iterator[TimeMention]:
    """`3 or 4 pm`: the first hour is a time as well; whether it borrows the meridiem is open (`10 or 2 pm`)."""
    groups = match.groupdict()
    minutes = _readings({"h": groups["h"], "m": groups["m"]})
    if minutes:
        yield TimeMention(*match.span("time"), frozenset(minutes))


def _range(match: re.Match[str]) -> Iterator[TimeMention]:
    groups = match.groupdict()
    exact = "24" if "hhmm" in groups else None
    first = _readings({"h": groups["h"], "m": groups.get("m"), "mer": groups.get("mer"), "clock24": exact})
    last = _readings({"h": groups["h2"], "m": groups.get("m2"), "mer": groups.get("mer2"), "clock24": exact})
    pairs = {(a, b if b > a else b + DAY) for a in first for b in last if a != b}
    pairs = {(a, b) for a, b in pairs if b - a <= 12 * 60 or (groups.get("mer") and groups.get("mer2"))}
    if not pairs and first and last:
        pairs = {(a, b) for a in first for b in last if b > a}
    if pairs and (groups.get("mer2") or groups.get("mer")):
        shortest = min(b - a for a, b in pairs)
        pairs = {(a, b) for a, b in pairs if b - a == shortest}
    if pairs:
        start, end = match.span("time")
        yield TimeMention(start, end, frozenset(a for a, _ in pairs), until=frozenset(pairs))


def _readings(groups: dict[str, str | None]) -> set[int]:
    """The minutes of the day that these parts may mean; empty where they are no time."""
    word = groups.get("noon")
    if word:
        return {0} if "mid" in word and "midday" not in word else {12 * 60}
    hour = _number(groups.get("h"))
    minute = _number(groups.get("m") or "0")
    if hour is None or minute is None or hour > 24 or minute > 59:
        return set()
    if groups.get("past"):
        return _around_the_hour(groups, hour)
    if groups.get("halfhour"):
        return _both_halves(hour * 60 + 30)
    return _on_the_clock(hour, minute, groups)


def _on_the_clock(hour: int, minute: int, groups: dict[str, str | None]) -> set[int]:
    meridiem = groups.get("mer")
    if meridiem:
        return _with_meridiem(hour, minute, meridiem)
    total = (hour % 24) * 60 + minute
    exact = groups.get("clock24") or hour == 0 or hour > 12
    return {total} if exact else _both_halves(total)


def _with_meridiem(hour: int, minute: int, meridiem: str) -> set[int]:
    if hour > 12 or hour == 0:
        return {(hour % 24) * 60 + minute}
    if meridiem[0] in "nm":
        return {0 if meridiem == "midnight" else 12 * 60} if hour == 12 else set()
    return {(hour % 12 + (12 if meridiem[0] == "p" else 0)) * 60 + minute}


def _around_the_hour(groups: dict[str, str | None], hour: int) -> set[int]:
    """`quarter past 5`, `ten to four`."""
    away = parts.FRACTIONS.get(groups.get("fraction") or "") or _number(groups.get("fraction")) or 0
    if not 0 < away < 60:
        return set()
    sign = 1 if groups["past"] in ("past", "after") else -1
    total = hour * 60 + sign * away
    mer = groups.get("mer")
    if mer:
        return {(minute + sign * away) % DAY for minute in _with_meridiem(hour, 0, mer)}
    return {total % DAY} if hour > 12 else _both_halves(total)


def _both_halves(total: int) -> set[int]:
    return {total % DAY, (total + 12 * 60) % DAY}


def _minute(hour: str, minute: str) -> int | None:
    return int(hour) * 60 + int(minute) if int(hour) < 24 else None


def _number(text: str | None) -> int | None:
    if not text:
        return None
    text = text.strip().replace("-", " ")
    return int(text) if text.isdecimal() else parts.NUMBERS.get(text)


def _in_context(text: str, mention: TimeMention) -> TimeMention:
    """The mention with the zone, the part of the day and the bound that stand next to it."""
    first, end = mention.start, mention.end
    named = ZONE.match(text, end)
    if named:
        mention, end = _in_zone(mention, named), named.end()
    part = say.PART_AFTER.match(text, end) or say.PART_BEFORE.search(text, max(0, first - 30), first)
    if part:
        mention = _within_part(mention, part["part"])
        late = ZONE.match(text, part.end()) if part.start() >= end and not named else None
        mention = replace(_in_zone(mention, late), end=mention.end) if late else mention
    if not mention.zones:
        ahead = ZONE_BEFORE.search(text, max(0, first - _ZONE_WITHIN), first)
        mention = replace(mention, zones=zone_before(ahead), somewhere=True) if ahead else mention
    mention = replace(mention, yours=mention.yours or FOR_YOU.match(text, mention.end) is not None)
    before = text[max(0, first - 24) : first]
    if mention.until:
        return mention
    if styles.OR_SO.match(text, end):
        mention = replace(mention, roughly=True)
    if say.AFTER.search(before) or say.ONWARDS.match(text, end):
        return replace(mention, bound="after")
    return replace(mention, bound="before") if say.BEFORE.search(before) else mention


def _in_zone(mention: TimeMention, named: re.Match[str]) -> TimeMention:
    """The mention with the zone that stands after it."""
    return replace(
        mention,
        end=named.end(),
        zones=mention.zones or zones_named(named),
        loosely=zones_loosely_named(named),
        somewhere=bool(named["city"]),
        yours=(named["whose"] or "").startswith(("your", "in your")),
    )


def _within_part(mention: TimeMention, part: str) -> TimeMention:
    """Only the readings in that part of the day; all of them where none is, since then the words are loose."""
    low, high = _PARTS[part]

    def fits(minute: int) -> bool:
        return low <= minute < high or low <= minute + DAY < high

    minutes = frozenset(minute for minute in mention.minutes if fits(minute)) or mention.minutes
    return replace(
        mention, minutes=minutes, until=frozenset((a, b) for a, b in mention.until if a in minutes) or mention.until
    )
