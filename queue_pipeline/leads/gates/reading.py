"""A text read once: its clauses, its dates and times, and which time belongs to which date."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from queue_pipeline.leads.gates.clock_times import TimeMention, scan_times
from queue_pipeline.leads.gates.date_mention import DateMention, Today
from queue_pipeline.leads.gates.dates import scan_dates
from queue_pipeline.leads.gates.links import Link, links_in
from queue_pipeline.leads.gates.plain_text import PlainText, plain_text, quoted
from queue_pipeline.leads.gates.speech import Clause, Clauses, clauses
from queue_pipeline.leads.gates.words import says

#: `Tuesday at 3`, `Tuesday, 3 pm`, `Tuesday: 3 pm`; and `3 pm on Tuesday`, `3 pm (Tuesday)`.
_DATE_THEN_TIME = re.compile(
    r"[ ]?[,:(-]{0,2}[ \n]?(?:(?:at|from|between|@|around|about|by|after|before|for|is|starting|starting at|"
    r",)[ ]?){0,2}(?:\x00+[ ]?)?"
    r"(?:(?:in the )?(?:morning|afternoon|evening|night)(?:,? (?:at|from|around))?[ ]?)?"
)
_TIME_THEN_DATE = re.compile(
    r"[ ]?[,(-]{0,2}[ \n]?(?:(?:in the )?(?:morning|afternoon|evening|night),?[ ]?)?(?:(?:on|for|this|of|the|"
    r",)[ ]?){0,2}(?:\()?"
)
_HEADING = re.compile(r"[ ]?:?[ ]?\n[ ]?[-*•]?[ ]?")
_RANGE_GAP = re.compile(r"[ ]?(?:-|to|till?|until|through|thru)[ ]?(?:on )?(?:the )?")
#: A sentence that is nothing but a date.
_ONLY_A_DATE = re.compile(r"[ ]?(?:(?:on|for|the|so|that's|this is|it's|is)[ ])*\x00+[ ]?[.!?)]*[ ]?")
_LIST_GAP = re.compile(r"[ ]?(?:,|/|or|and|&|,[ ]or|,[ ]and|either|at|\x00|[ ]|\n|-|\*|•|:|\|)*[ ]?")

_DATE_LIST_GAP = re.compile(r",?[ ](?:and|or|&)[ ](?:on[ ])?(?:the[ ])?|,[ ]|[ ]?/[ ]?")
#: How many sentences a date is remembered.
_CARRIED_MAX = 3
#: Kinds of dates that tell one day.
_TOLD_KINDS = {"day", "ordinal", "weekday", "told weekday", "relative"}


@dataclass(frozen=True)
class PlacedTime:
    """A time mention with the dates that it may belong to: one where the words bind it, none, or several."""

    mention: TimeMention
    clause: Clause
    dates: tuple[DateMention, ...]


@dataclass(frozen=True)
class PlacedDate:
    """A date mention in its clause; `timed` says that a time belongs to it."""

    mention: DateMention
    clause: Clause
    timed: bool


@dataclass(frozen=True)
class Reading:
    """Everything that a text says about when. `masked` is its text without links, quotes, dates and times."""

    text: PlainText
    masked: str
    links: tuple[Link, ...]
    clauses: Clauses
    times: tuple[PlacedTime, ...]
    dates: tuple[PlacedDate, ...]


def read(original: str, today: Today, *, quotes_from: Iterable[str] = (), skip_quoted: bool = True) -> Reading:
    """Read a text. What it quotes, and its links, say nothing about when."""
    return read_plain(plain_text(original), today, quotes_from=quotes_from, skip_quoted=skip_quoted)


def read_plain(text: PlainText, today: Today, *, quotes_from: Iterable[str] = (), skip_quoted: bool = True) -> Reading:
    """As `read`, for a text whose plain form is known."""
    links = links_in(text)
    hidden = [(link.start, link.end) for link in links]
    if skip_quoted:
        hidden += quoted(text) + _inline_quotes(text.plain, list(quotes_from))
    shown = text.masked(hidden)
    dates = scan_dates(shown.plain, today)
    without_dates = shown.masked([(date.start, date.end) for date in dates])
    times = scan_times(without_dates.plain)
    masked = without_dates.masked([(time.start, time.end) for time in times]).plain
    whole = [*((date.start, date.end) for date in dates), *((time.start, time.end) for time in times)]
    parts = Clauses([replace(part, text=masked[part.start : part.end]) for part in clauses(shown.plain, shown, whole)])
    placed = _placed_times(masked, parts, times, dates)
    bound = {id(date) for time in placed for date in time.dates if len(time.dates) == 1}
    return Reading(
        shown,
        masked,
        tuple(links),
        parts,
        tuple(placed),
        tuple(PlacedDate(date, parts.at(date.start), id(date) in bound) for date in dates),
    )


def _inline_quotes(plain: str, sources: list[str]) -> list[tuple[int, int]]:
    """Quoted words of the lead, such as `You wrote "tomorrow at 3"`."""
    known = " ".join(" ".join(plain_text(source).plain.split()) for source in sources)
    found = re.finditer(r'"([^"\n]{8,400})"', plain)
    return [match.span() for match in found if " ".join(match[1].split()).strip(" .,!?") in known]


def _placed_times(masked: str, parts: Clauses, times: list[TimeMention], dates: list[DateMention]) -> list[PlacedTime]:
    by_clause: dict[int, list[DateMention]] = {}
    for date in dates:
        by_clause.setdefault(parts.at(date.start).start, []).append(date)
    first_time: dict[int, int] = {}
    touched: set[int] = set()
    for time in reversed(times):
        clause = parts.at(time.start)
        first_time[clause.start] = time.start
        touched |= {date.start for date in _touching(masked, time, by_clause.get(clause.start, []))}
    placed = []
    for time in times:
        clause = parts.at(time.start)
        own = by_clause.get(clause.start, [])
        if own:
            chosen = _dates_of(masked, clause, time, own, first_time.get(clause.start, 0))
            chosen = _on_its_side(masked, time, chosen, touched)
            chosen = _with_range(masked, clause, own, chosen)
        else:
            known = _heading_of(masked, clause, by_clause) or _carried_over(clause, by_clause, parts)
            chosen = tuple(date for date in (known, _afterthought(clause, by_clause, parts)) if date)
        placed.append(PlacedTime(time, clause, chosen))
    return placed


def _touching(masked: str, time: TimeMention, own: list[DateMention]) -> list[DateMention]:
    """The dates that the words bind to the time at once."""
    before = next((date for date in reversed(own) if date.end <= time.start), None)
    after = next((date for date in own if date.start >= time.end), None)
    found = [before] if before and _DATE_THEN_TIME.fullmatch(masked[before.end : time.start]) else []
    return [*found, after] if after and _TIME_THEN_DATE.fullmatch(masked[time.end : after.start]) else found


def _on_its_side(
    masked: str, time: TimeMention, chosen: tuple[DateMention, ...], touched: set[int]
) -> tuple[DateMention, ...]:
    """`at one, or Tuesday at 9`: not a date after the `or` that has a time of its own."""
    return tuple(
        date
        for date in chosen
        if date.start < time.end
        or date.start not in touched
        or not re.search(r"\bor\b|;|\n", masked[time.end : date.start])
        or "\x00" in masked[time.end : date.start]
    )


def _dates_of(
    masked: str, clause: Clause, time: TimeMention, own: list[DateMention], first_time: int
) -> tuple[DateMention, ...]:
    left = [date for date in own if date.end <= time.start]
    right = [date for date in own if date.start >= time.end]
    before, after = left[-1] if left else None, right[0] if right else None
    bound_before = before and _DATE_THEN_TIME.fullmatch(masked[before.end : time.start])
    bound_after = after and _TIME_THEN_DATE.fullmatch(masked[time.end : after.start])
    listed = before and after and _separated(masked, time, after) and _through_list(masked, before, time)
    if (bound_before or listed) and bound_after:
        return (_by_order(own, first_time, before, after),)
    if bound_after and after:
        return (after,)
    if bound_before and before:
        return (before,)
    if before and _through_list(masked, before, time):
        return (before,) if not (after and _reaches(masked, time, after)) else (before, after)
    if after and _reaches(masked, time, after):
        return (after,)
    near = tuple(date for date in (*_listed_with(masked, left), after) if date and not _apart(clause, date, time))
    return near if len(near) != 1 or _speaks_of(near[0], time) else ()


def _with_range(
    masked: str, clause: Clause, own: list[DateMention], chosen: tuple[DateMention, ...]
) -> tuple[DateMention, ...]:
    """These dates; both ends of `from the 9th to the 14th`, which may have the time in common, for the last of them."""
    last = next((place for place, date in enumerate(own) if chosen and date is chosen[0]), 0)
    first = own[last - 1]
    if last == 0 or not _RANGE_GAP.fullmatch(masked[first.end : own[last].start]):
        return chosen
    return chosen if clause.refuses(first.start, first.end) else (first, *chosen)


def _by_order(
    own: list[DateMention], first_time: int, before: DateMention | None, after: DateMention | None
) -> DateMention:
    """Between two dates that both touch the time, the order of the clause decides: dates first or times first."""
    chosen = before if own[0].start < first_time else after
    assert chosen is not None
    return chosen


def _through_list(masked: str, date: DateMention, time: TimeMention) -> bool:
    """`Tuesday at 3, 4 or 5`: only times and list words stand between."""
    return time.start - date.end < 200 and bool(_LIST_GAP.fullmatch(masked[date.end : time.start]))


def _listed_with(masked: str, left: list[DateMention]) -> list[DateMention]:
    """The last of these dates and those listed with it: `both Tuesday and Wednesday have space: 3 and 4`."""
    listed = left[-1:]
    for date in reversed(left[:-1]):
        if not _DATE_LIST_GAP.fullmatch(masked[date.end : listed[0].start]):
            break
        listed.insert(0, date)
    return listed


def _separated(masked: str, time: TimeMention, date: DateMention) -> bool:
    """`9:30 / 2, Thu 11`: a comma or a line end stands before the date."""
    return bool(re.search(r"[,\n;]", masked[time.end : date.start]))


def _reaches(masked: str, time: TimeMention, date: DateMention) -> bool:
    """`3, 4 or 5 on Tuesday`."""
    gap = masked[time.end : date.start]
    return len(gap) < 80 and bool(re.fullmatch(r"[ ]?(?:,|or|and|&|\x00|[ ]|at)*(?:on[ ])?", gap)) and "\x00" in gap


def _apart(clause: Clause, date: DateMention, time: TimeMention) -> bool:
    """Whether a conjunction that opens another thought stands between them."""
    low, high = sorted(((date.start, date.end), (time.start, time.end)))
    gap = clause.text[low[1] - clause.start : high[0] - clause.start]
    return (
        bool(
            re.search(
                r"\b(?:because|since|if|when|while|although|though|whereas|so|however)\b|,[ ](?:how|what|would|"
                r"and i|and we|i|we|is|are|do)\b",
                gap,
            )
        )
        or len(gap) > 120
    )


def _speaks_of(date: DateMention, time: TimeMention) -> bool:
    """`today` far from a time is usually the day of writing, not the day of the time."""
    return date.kind != "today" or abs(date.start - time.end) < 8 or abs(time.start - date.end) < 8


def _carried_over(clause: Clause, by_clause: dict[int, list[DateMention]], parts: Clauses) -> DateMention | None:
    """`I can book you for the 5th. It starts at 8.`: the one date of the sentence before, unless it was refused."""
    if says("otherwise", clause.text):
        return None
    for part in parts.before(clause, _CARRIED_MAX):
        dates = by_clause.get(part.start, [])
        if not dates:
            continue
        refused = says("rejection", part.text) or says("otherwise", part.text)
        told = dates[0].kind in _TOLD_KINDS and not dates[0].bounded
        spoken = says("errand", part.text) or says("reference", part.text)
        return dates[0] if len(dates) == 1 and told and not refused and not spoken else None
    return None


def _afterthought(clause: Clause, by_clause: dict[int, list[DateMention]], parts: Clauses) -> DateMention | None:
    """`Your table is at 8. On the 17th.`: a sentence that is only a date tells the day of the one before."""
    following = parts.after(clause)
    if following is None or "\n" in following.text.strip(" ") or not _ONLY_A_DATE.fullmatch(following.text):
        return None
    dates = by_clause.get(following.start, [])
    return dates[0] if len(dates) == 1 and dates[0].kind in _TOLD_KINDS else None


def _heading_of(masked: str, clause: Clause, by_clause: dict[int, list[DateMention]]) -> DateMention | None:
    """The date in the line above a list item that has none."""
    if not re.match(r"\n[ ]?[-*•]|[ ]?[-*•][ ]", masked[clause.start - 1 : clause.start + 3]):
        return None
    above = [dates[-1] for start, dates in by_clause.items() if start < clause.start]
    last = max(above, key=lambda date: date.end, default=None)
    if last is None:
        return None
    return last if re.match(r"[ ]?:?\)?[ ]?\n", masked[last.end : last.end + 5]) else None
