"""Days of the calendar: with a month, `3 March`, `3/4`, `2026-03-04`; or without one, `the 17th`."""

import re
from collections.abc import Collection, Iterator
from datetime import date, timedelta

from queue_pipeline.leads.gates import date_patterns as say
from queue_pipeline.leads.gates.date_mention import DateMention, Today

#: How far from today a date without a year or month is looked for.
_YEARS = (-1, 0, 1, 2)
_NEAR_PAST = timedelta(days=92)
#: So many things are counted through in a message, even where fewer slots are offered.
_ITEMS = 3
_ITEMS_IN_WORDS = 6
_LOOSE_LEADS = {"or", "and", "or the", "and the", "the"}


def numeric(text: str, today: Today) -> Iterator[DateMention]:
    """Dates in figures."""
    for match in say.ISO.finditer(text):
        yield from _day_atom(match.span(), [date_or_none(int(match["year"]), int(match["m"]), int(match["d"]))], today)
    for match in say.NUMERIC_FULL.finditer(text):
        year = int(match["year"]) + (2000 if len(match["year"]) == 2 else 0)
        first, second = int(match["a"]), int(match["b"])
        days = [date_or_none(year, second, first)]
        if match["sep"] != ".":
            days.append(date_or_none(year, first, second))
        yield from _day_atom(match.span(), days, today)
    for pattern in (say.DOTTED_SHORT, say.DOTTED_WITH_TIME):
        for match in pattern.finditer(text):
            yield from _day_atom(match.span("date"), _any_year(int(match["b"]), int(match["a"]), today), today)
    for pattern in (say.SLASHED_SHORT, say.SLASHED_WITH_TIME):
        for match in pattern.finditer(text):
            first, second = int(match["a"]), int(match["b"])
            days = [*_any_year(first, second, today), *_any_year(second, first, today)]
            yield from _day_atom(match.span("date"), days, today)


def month_days(text: str, today: Today) -> Iterator[DateMention]:
    """Dates with the name of a month."""
    for pattern in (say.YMD_RANGE, say.DMY_RANGE):
        for match in pattern.finditer(text):
            yield from _day_range(match, today)
    for pattern in (say.DAY_MONTH_YEAR_DASHED, say.MONTH_DAY, say.DAY_MONTH):
        for match in pattern.finditer(text):
            month = say.MONTH_NUMBERS[match["month"][:3]]
            if pattern is say.MONTH_DAY and _is_modal(text, match):
                continue
            days = _in_year(match, month, day_number(match["day"]), today)
            kind = "broad" if say.WEEK_OF.search(text[max(0, match.start() - 30) : match.start()]) else "day"
            if kind == "broad":
                days = [day + timedelta(days=away) for day in days if day for away in range(7)]
            yield from _day_atom(match.span(), days, today, kind)
            yield from _sibling_days(text, match, month, today)
    for match in say.LAST_OF_MONTH.finditer(text):
        yield from _last_of_month(match, today)


def _last_of_month(match: re.Match[str], today: Today) -> Iterator[DateMention]:
    """`the last day of November`, `the last Friday of the month`."""
    if match["month"]:
        some = _in_year(match, say.MONTH_NUMBERS[match["month"][:3]], 1, today)
    else:
        some = [day.replace(day=1) for day in today.days]
    firsts = [day + timedelta(days=31) for day in some if day]
    ends = [first.replace(day=1) - timedelta(days=1) for first in firsts]
    if match["what"] != "day":
        number = say.WEEKDAY_NUMBERS[match["what"][:3]]
        ends = [end - timedelta(days=(end.weekday() - number) % 7) for end in ends]
    yield from _day_atom(match.span(), ends, today)


def _sibling_days(text: str, match: re.Match[str], month: int, today: Today) -> Iterator[DateMention]:
    """The other days of `March 10, 11 or 12` and of `10 or 11 March`."""
    more = say.SECOND_DAY.match(text, match.end())
    while more:
        yield from _day_atom(more.span("day"), _in_year(match, month, day_number(more["day"]), today), today)
        more = say.SECOND_DAY.match(text, more.end("day"))
    low = max(0, match.start() - 14)
    before = say.FIRST_DAY.search(text[low : match.start()])
    if before and match["day"][0].isdecimal() and not text[match.start()].isalpha():
        start, end = before.span("day")
        yield from _day_atom((low + start, low + end), _in_year(match, month, day_number(before["day"]), today), today)


def _day_range(match: re.Match[str], today: Today) -> Iterator[DateMention]:
    month = say.MONTH_NUMBERS[match["month"][:3]]
    first, last = day_number(match["day"]), day_number(match["day2"])
    if first < last:
        days = [day for number in range(first, last + 1) for day in _in_year(match, month, number, today)]
        yield from _day_atom(match.span(), days, today, "broad")


def _is_modal(text: str, match: re.Match[str]) -> bool:
    """`you may 2 …`: a verb, not a month."""
    return match["month"] == "may" and bool(
        re.search(
            r"\b(?:you|we|i|it|they|he|she|that|this|which)[ ]\Z", text[max(0, match.start() - 8) : match.start()]
        )
    )


def _in_year(match: re.Match[str], month: int, day: int, today: Today) -> list[date | None]:
    groups = match.groupdict()
    stated = groups.get("year") or groups.get("year2")
    if stated:
        return [date_or_none(int(stated) + (2000 if len(stated) == 2 else 0), month, day)]
    return _any_year(month, day, today)


def _any_year(month: int, day: int, today: Today) -> list[date | None]:
    years = {some.year + more for some in today.days for more in _YEARS} | {some.year for some in today.spoken_of}
    return [date_or_none(year, month, day) for year in sorted(years)]


def _day_atom(
    span: tuple[int, int], days: Collection[date | None], today: Today, kind: str = "day"
) -> Iterator[DateMention]:
    known = frozenset(day for day in days if day is not None)
    if known:
        yield DateMention(*span, known, kind, near=_nearest(known, today))


def _nearest(days: frozenset[date], today: Today) -> frozenset[date]:
    """Of each month and day the one that is meant: one spoken of, else the next, or the last if it has just been."""
    spoken = days & today.spoken_of
    if spoken:
        return spoken
    found: set[date] = set()
    now = min(today.days)
    for month, day in {(d.month, d.day) for d in days}:
        same = [d for d in days if (d.month, d.day) == (month, day)]
        ahead = min((d for d in same if d >= now), default=None)
        behind = max((d for d in same if d < now), default=None)
        if ahead and not (behind and now - behind < _NEAR_PAST and ahead - now > 2 * _NEAR_PAST):
            found.add(ahead)
        elif behind:
            found.add(behind)
    return frozenset(found)


def ordinals(text: str, today: Today) -> Iterator[DateMention]:
    """`the 17th` and `Tue 17`."""
    for match in say.ORDINAL.finditer(text):
        day = day_number(match["day"])
        if _may_be_an_item(text, match, day, today):
            continue
        yield from _ordinal_atom(match.span("day"), day, today)
    for pattern in (say.WEEKDAY_NUMBER, say.WEEKDAY_LATE_NUMBER):
        for match in pattern.finditer(text):
            yield from _ordinal_atom(match.span("day"), day_number(match["day"]), today)


def _may_be_an_item(text: str, match: re.Match[str], day: int, today: Today) -> bool:
    """`the 2nd works`, `the second is better`: one of several things, unless the words around it make it a day."""
    lead, figures = match["lead"], match["day"][0].isdecimal()
    before = text[max(0, match.start() - 24) : match.start()]
    if say.WEEKDAY_BEFORE.search(before[-12:]):
        return False
    if lead == "on" and not figures:
        return True
    if lead in _LOOSE_LEADS and (not figures or day <= max(_ITEMS, today.options)):
        told = say.DAY_SAID_BEFORE.search(before) or say.DAY_SAID_AFTER.match(text, match.end())
        return not (told and (figures or say.DAY_SAID_BEFORE.search(before)))
    return lead in ("to the", "from the", "for the") and day <= _ITEMS_IN_WORDS and not figures


def _ordinal_atom(span: tuple[int, int], day: int, today: Today) -> Iterator[DateMention]:
    now = min(today.days)
    days = set()
    for ahead in range(-2, 14):
        month = now.month - 1 + ahead
        found = date_or_none(now.year + month // 12, month % 12 + 1, day)
        if found:
            days.add(found)
    spoken = {some for some in today.spoken_of if some.day == day}
    coming = min((some for some in days if some >= now), default=None)
    behind = max((some for some in days if some < now), default=None)
    near = spoken or ({coming} if coming else set()) | ({behind} if behind and (now - behind).days <= 14 else set())
    if days | spoken:
        yield DateMention(*span, frozenset(days | spoken), "ordinal", near=frozenset(near))


def day_number(text: str) -> int:
    """The number of a day such as `3`, `3rd` or `third`."""
    digits = re.match(r"\d+", text)
    return int(digits.group()) if digits else say.ORDINAL_NUMBERS[text.strip().replace(" ", "-")]


def date_or_none(year: int, month: int, day: int) -> date | None:
    """The date, or None where the calendar has none."""
    try:
        return date(year, month, day)
    except ValueError:
        return None
