"""When "later" is: the day that a lead names for being written to again."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    "january|february|march|april|may|june|july|august|september|october|november|december"
    "|jan|feb|apr|jun|jul|aug|sept?|oct|nov|dec"
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_COUNTS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "twelve": 12, "a couple of": 2, "couple of": 2, "a couple": 2, "a few": 3, "few": 3, "several": 4,
}  # fmt: skip
_COUNT = "|".join(sorted(_COUNTS, key=len, reverse=True))
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_AT_HOUR = 9
_SAFE_DAY = 28  # exists in every month


def later_in(text: str, now: datetime, timezone: str) -> tuple[str, datetime | None] | None:
    """The words in the text that name a later day, and that day at 09:00 there (a weekday); None without such words.

    The day is None for words that name none, such as "some other time".
    """
    here = now.astimezone(ZoneInfo(timezone))
    for pattern, day_of in _RULES:
        match = pattern.search(text.lower())
        if match:
            day = day_of(match, here)
            return match.group().strip(), None if day is None else _working_morning(day)
    return None


def mentions_later(text: str) -> bool:
    """Whether the text names a later day, or says "later" without one."""
    return any(pattern.search(text.lower()) for pattern, _ in _RULES)


def _working_morning(day: datetime) -> datetime:
    to_monday = timedelta(days=7 - day.weekday() if day.weekday() >= 5 else 0)
    return (day + to_monday).replace(hour=_AT_HOUR, minute=0, second=0, microsecond=0)


def _next_date(now: datetime, month: int, day: int = 1) -> datetime:
    """That day of the year, the next time that it comes."""
    this_year = now.replace(month=month, day=day)
    return this_year if this_year > now else this_year.replace(year=now.year + 1)


def _months_on(now: datetime, months: int) -> datetime:
    years, month = divmod(now.month - 1 + months, 12)
    return now.replace(year=now.year + years, month=month + 1, day=min(now.day, _SAFE_DAY))


def _month_of(name: str) -> int:
    return _MONTHS.index(name[:3]) + 1


def _in_some(match: re.Match[str], now: datetime) -> datetime:
    words, unit = match["count"], match["unit"]
    count = int(words) if words.isdigit() else _COUNTS[words]
    if unit in ("day", "week"):
        return now + timedelta(days=count * (7 if unit == "week" else 1))
    return _months_on(now, count * (12 if unit == "year" else 1))


def _next_unit(match: re.Match[str], now: datetime) -> datetime:
    unit = match["unit"]
    if unit == "week":
        return now + timedelta(days=7 - now.weekday())
    if unit == "year":
        return now.replace(year=now.year + 1, month=1, day=7)
    months = 1 if unit == "month" else 3 - (now.month - 1) % 3
    return _months_on(now, months).replace(day=1)


def _quarter(match: re.Match[str], now: datetime) -> datetime:
    month = 3 * int(match["quarter"]) - 2
    if match["year"]:
        return now.replace(year=int(match["year"]), month=month, day=1)
    return _next_date(now, month)


def _on_date(match: re.Match[str], now: datetime) -> datetime | None:
    try:
        return _next_date(now, _month_of(match["month"]), int(match["day"]))
    except ValueError:  # 31 June
        return None


def _in_month(match: re.Match[str], now: datetime) -> datetime:
    month, part = _month_of(match["month"]), match["part"]
    day = 25 if "late" in part or "end" in part else 15 if "mid" in part else 1
    if match["year"]:
        found = now.replace(year=int(match["year"]), month=month, day=day)
    elif month == now.month and day <= now.day:
        found = now + timedelta(days=7)  # "in March", said in March
    else:
        found = _next_date(now, month, day)
    return _months_on(found.replace(day=1), 1) if "after" in part else found


def _end_of(match: re.Match[str], now: datetime) -> datetime:
    months = {"month": 0, "quarter": -now.month % 3, "year": 12 - now.month}[match["unit"]]
    end = now.replace(month=now.month + months, day=20)
    return end if end > now else now + timedelta(days=1)


def _weekday(match: re.Match[str], now: datetime) -> datetime:
    return now + timedelta(days=(_DAYS.index(match["day"]) - now.weekday() - 1) % 7 + 1)


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], datetime], datetime | None]], ...] = (
    (
        re.compile(
            rf"\b(?:in|after) (?:about |around |another )?(?P<count>[1-9]\d?|{_COUNT})"
            r"(?: more)? (?P<unit>day|week|month|year)s?\b"
        ),
        _in_some,
    ),
    (re.compile(rf"\b(?P<count>[1-9]\d?|{_COUNT}) (?P<unit>day|week|month)s? (?:from now|later)\b"), _in_some),
    (re.compile(rf"\b(?P<day>[0-3]?\d)(?:st|nd|rd|th|\.)? (?:of )?(?P<month>{_MONTH})\b"), _on_date),
    (re.compile(rf"\b(?P<month>{_MONTH})\.? (?P<day>[0-3]?\d)(?:st|nd|rd|th)?\b(?![:\d]| ?[ap]\.?m)"), _on_date),
    (
        re.compile(
            r"\b(?P<part>after|in|around|by|until|till|come|early|mid|late"
            r"|(?:(?:at|by|towards?) )?the (?:end|beginning|start) of)"
            rf"[ -](?:early |mid[ -]|late )?(?P<month>{_MONTH})\b(?: (?P<year>20\d\d))?"
        ),
        _in_month,
    ),
    (re.compile(r"\bq(?P<quarter>[1-4])\b(?: (?P<year>20\d\d))?"), _quarter),
    (re.compile(r"\bnext (?P<unit>week|month|quarter|year)\b"), _next_unit),
    (
        re.compile(rf"\b(?:next|in the|in|this coming) (?P<season>{'|'.join(_SEASONS)})\b"),
        lambda match, now: _next_date(now, _SEASONS[match["season"]]),
    ),
    (
        re.compile(r"\b(?:in|after) the new year\b|\bafter (?:the )?(?:holidays|christmas|xmas|new year'?s?)\b"),
        lambda _, now: _next_date(now, 1, 7),
    ),
    (re.compile(r"\bafter (?:the )?summer\b"), lambda _, now: _next_date(now, 9)),
    (re.compile(r"\b(?:end of|later) (?:the |this )(?P<unit>month|quarter|year)\b"), _end_of),
    (re.compile(rf"\b(?:on|next|this|until|after) (?P<day>{'|'.join(_DAYS)})\b"), _weekday),
    (re.compile(r"\btomorrow\b"), lambda _, now: now + timedelta(days=1)),
    (re.compile(r"\b(?:later on|some other time|another time|at a later (?:time|date|stage))\b"), lambda *_: None),
)  # fmt: skip
