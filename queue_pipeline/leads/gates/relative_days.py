"""Days told from today: `tomorrow`, `in 3 days`, `next Thursday`, `Tuesday week`, `this weekend`."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

from queue_pipeline.leads.gates import date_patterns as say
from queue_pipeline.leads.gates.date_mention import DateMention, Today


def relative_days(text: str, today: Today) -> Iterator[DateMention]:
    """Days counted from today."""
    for match in say.TOMORROW_WEEK.finditer(text):
        yield _shifted(match, today, {8})
    for match in say.DAYS_AHEAD.finditer(text):
        yield from _days_ahead(match, today)
    for match in say.NEXT_DAY.finditer(text):
        yield _day_after(match, today)
    for match in say.DAY_BESIDE.finditer(text):
        step = timedelta(days=1 if match["side"] == "after" else -1)
        yield DateMention(*match.span(), frozenset(day + step for day in today.spoken_of | today.days), "broad")
    for match in say.WEEK_FROM_WEEKDAY.finditer(text):
        weeks = 2 if match["n"] in ("two", "2") else 1
        base = _weekday_days(match["how"] or "", say.WEEKDAY_NUMBERS[match["dow"][:3]], today)
        days = frozenset(day + timedelta(weeks=weeks) for day in base if match["how"] or day <= _week_ahead(today))
        yield DateMention(*match.span(), days, "relative")
    for pattern, away, kind in (
        (say.DAY_AFTER_TOMORROW, 2, "relative"),
        (say.LATER_TODAY, 0, "relative"),
        (say.TODAY, 0, "today"),
        (say.TOMORROW, 1, "relative"),
        (say.YESTERDAY, -1, "past"),
    ):
        for match in pattern.finditer(text):
            yield _shifted(match, today, {away}, kind)


def _day_after(match: re.Match[str], today: Today) -> DateMention:
    """`the day after`, `the next day`: the one after tomorrow, or after a day spoken of."""
    after = {day + timedelta(days=1) for day in today.spoken_of}
    return DateMention(
        *match.span(),
        frozenset(after | {day + timedelta(days=away) for day in today.days for away in (1, 2)}),
        "relative",
    )


def _shifted(match: re.Match[str], today: Today, away: set[int], kind: str = "relative") -> DateMention:
    days = frozenset(day + timedelta(days=some) for day in today.days for some in away)
    return DateMention(*match.span(), days, kind)


def _days_ahead(match: re.Match[str], today: Today) -> Iterator[DateMention]:
    if match["week"]:
        yield _shifted(match, today, {7})
        return
    stated, unit = match["n"] or match["n2"], match["unit"] or match["unit2"]
    count = int(stated) if stated.isdecimal() else say.COUNTS[stated]
    if unit.startswith("day"):
        yield _shifted(match, today, {count})
        return
    weeks = count * (2 if unit.startswith("fort") else 1)
    if match.group().endswith("today"):
        yield _shifted(match, today, {7 * weeks})
        return
    yield _shifted(match, today, set(range(7 * weeks - 3, 7 * weeks + 4)) | _calendar_week(today, weeks))


def _calendar_week(today: Today, weeks: int) -> set[int]:
    """The distances from today of the days of the calendar week that many weeks ahead, from Sunday to Sunday."""
    start = 7 * weeks - min(today.days).weekday() - 1
    return set(range(start, start + 8))


def weekdays(text: str, today: Today) -> Iterator[DateMention]:
    """Named weekdays."""
    for match in say.NAMED_WEEKDAY.finditer(text):
        if not _is_a_day(text, match):
            continue
        number = say.WEEKDAY_NUMBERS[match["dow"][:3]]
        how, tail = match["how"] or "", (match["tail"] or "").strip(" ,")
        lead = match["weeklead"] or ""
        start = match.start() if how not in {"week", "past"} else match.start("dow")
        end = match.end("dow") if not match["dot"] else match.end("dot")
        end = max(end, match.end("tail")) if tail else end
        if how in ("last", "past"):
            days = frozenset(day - timedelta(days=away) for day in today.days for away in range(1, 15))
            days, kind = frozenset(day for day in days if day.weekday() == number), "past"
        else:
            days, kind = _weekday_days(f"{lead}{how}".strip(), number, today, tail), "weekday"
            kind = "weekday" if not (how or lead or tail) else "told weekday"
        coming = _coming(number, today) if kind == "weekday" else frozenset()
        yield DateMention(start, end, days, kind, weekdays=frozenset({number}), coming=coming)


def _coming(number: int, today: Today) -> frozenset[date]:
    """The next day with that weekday; today too, where it has it."""
    return frozenset(
        now + timedelta(days=away)
        for now in today.days
        for away in ((number - now.weekday()) % 7, 7)
        if (now + timedelta(days=away)).weekday() == number
    )


def _is_a_day(text: str, match: re.Match[str]) -> bool:
    if say.NO_DAY_BEFORE.search(text[max(0, match.start() - 16) : match.start()]):
        return False
    name = match["dow"].rstrip(".")
    return name not in ("sat", "sun", "wed", "mon") or _is_a_short_day(text, match, name)


def _is_a_short_day(text: str, match: re.Match[str], name: str) -> bool:
    """Whether the words around it make a day of one that is also another word."""
    before = text[max(0, match.start() - 12) : match.start()]
    place = match.end("dow") - (1 if match["dot"] else 0)
    ahead = say.AFTER_RISKY.match(text, place)
    if say.BEFORE_SURELY.search(before) or (match["how"] or "")[:4] in ("next", "comi", "upco"):
        return True
    if say.AT_A_TIME.match(text, place) and (name in ("sun", "mon") or not say.WHO_SAT.search(before)):
        return True
    if match["how"] or say.BEFORE_PERHAPS.search(before):
        return bool(ahead or say.AFTER_SHORT.match(text, place))
    return bool(ahead and (say.BEFORE_SHORT.search(before) or _digit_or_month_next(ahead)))


def _digit_or_month_next(ahead: re.Match[str]) -> bool:
    return (
        bool(re.match(r"[ ]?[,)/&:|]?[ ]?(?:the[ ])?(?:\d|[a-z]{3,9}\b)", ahead.group())) and " at" not in ahead.group()
    )


def _weekday_days(how: str, number: int, today: Today, tail: str = "") -> frozenset[date]:
    """The days with that weekday that the words around it may mean."""
    days: set[date] = set()
    for now in today.days:
        first = (number - now.weekday()) % 7
        if tail == "week":
            away = {first + 7, first + 14} if first == 0 else {first + 7}
        elif tail == "fortnight":
            away = {first + 14}
        elif "after" in tail:
            away = {first + 7, first + 14, first + 21}
        elif how.startswith("next week") or (tail.endswith("week") and "this" not in tail):
            away = {some for some in _calendar_week(today, 1) if (now + timedelta(days=some)).weekday() == number}
        elif how == "next":
            away = {first or 7, (first or 7) + 7}
        elif how.startswith("this") or tail.startswith("this"):
            away = {0, 7} if first == 0 else {first, first - 7} if number < now.weekday() else {first}
        elif how in ("coming", "upcoming", "this coming"):
            away = {first, first or 7}
        elif how == "following":
            away = {first, first + 7, first + 14}
        else:
            away = {first, first + 7}
        days |= {now + timedelta(days=some) for some in away}
    return frozenset(days)


def _week_ahead(today: Today) -> date:
    return max(today.days) + timedelta(days=7)


def weeks_at_large(text: str, today: Today) -> Iterator[DateMention]:
    """Whole weeks and weekends: no appointment by themselves."""
    for match in say.WEEKEND.finditer(text):
        ahead = {5: 0, 6: 1}
        away = {(5 - min(today.days).weekday()) % 7 + more + 7 * week for more in ahead.values() for week in (0, 1)}
        yield _shifted(match, today, away | {0} if min(today.days).weekday() == 6 else away, "broad")
    for match in say.BROAD_WEEK.finditer(text):
        weeks = 2 if match["after"] else 0 if match["how"] == "this" else 1
        yield _shifted(match, today, _calendar_week(today, weeks) | ({-100} if weeks == 0 else set()), "broad")
