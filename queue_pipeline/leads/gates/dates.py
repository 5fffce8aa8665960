"""Every date mention of a text; what stands together about one day, `tomorrow (Friday)`, is one mention."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

from queue_pipeline.leads.gates import date_patterns as say
from queue_pipeline.leads.gates.calendar_days import month_days, numeric, ordinals
from queue_pipeline.leads.gates.date_mention import DateMention, Today
from queue_pipeline.leads.gates.relative_days import relative_days, weekdays, weeks_at_large

#: Kinds that may be parts of one date, in either order.
_DAY_KINDS = {"day", "ordinal"}
#: More days than this in one mention, such as `in two weeks`, are a stretch of time.
_SOME_DAYS = 4


def scan_dates(text: str, today: Today) -> list[DateMention]:
    """The date mentions of a plain text, in order and without overlap."""
    atoms: list[DateMention] = []
    used: set[int] = set()
    for atom in _atoms(text, today):
        places = range(atom.start, atom.end)
        if used.isdisjoint(places):
            used.update(places)
            atoms.append(atom)
    atoms.sort(key=lambda atom: atom.start)
    anchors = {day for atom in atoms if atom.kind == "day" for day in atom.near} | _far_slots(today)
    around = frozenset(anchor + timedelta(days=away) for anchor in anchors for away in range(-6, 7))
    by_weekday = {number: frozenset(day for day in around if day.weekday() == number) for number in range(7)}
    weeks = {day for atom in atoms if atom.kind == "broad" or len(atom.days) > _SOME_DAYS for day in atom.days}
    atoms = [_with_anchors(atom, by_weekday, weeks) for atom in atoms]
    return [_bounded(text, mention) for mention in _merged(text, atoms)]


def _far_slots(today: Today) -> set[date]:
    """Days spoken of, when all of them are weeks away: then a bare weekday means one of their weeks."""
    latest = max(today.days) + timedelta(days=13)
    ahead = {day for day in today.spoken_of if day >= min(today.days)}
    return ahead if ahead and min(ahead) > latest else set()


def _with_anchors(atom: DateMention, by_weekday: dict[int, frozenset[date]], weeks: set[date]) -> DateMention:
    """A bare weekday may also mean one in the weeks of the dates around it, or of the week that is named."""
    if atom.kind != "weekday":
        return atom
    around = frozenset().union(*(by_weekday[number] for number in atom.weekdays))
    named = frozenset(day for day in weeks if day.weekday() in atom.weekdays)
    return replace(atom, days=atom.days | around, coming=atom.coming | around | (named & (atom.days | around)))


def _atoms(text: str, today: Today) -> Iterator[DateMention]:
    yield from numeric(text, today)
    yield from month_days(text, today)
    yield from relative_days(text, today)
    yield from weekdays(text, today)
    yield from ordinals(text, today)
    yield from weeks_at_large(text, today)


def _merged(text: str, atoms: list[DateMention]) -> Iterator[DateMention]:
    position = 0
    while position < len(atoms):
        mention = atoms[position]
        position += 1
        kinds = {mention.kind}
        while position < len(atoms) and _belong(text, mention, kinds, atoms, position):
            kinds.add(atoms[position].kind)
            mention = _joined(text, mention, atoms[position])
            position += 1
        yield mention


def _belong(text: str, mention: DateMention, kinds: set[str], atoms: list[DateMention], position: int) -> bool:
    """Whether the atom at this position says more about the same day."""
    following = atoms[position]
    gap = text[mention.end : following.start]
    if "(" in gap and not re.match(r"[ ]?[),]", text[following.end :][:2]):
        return False
    if "on " in gap and "weekday" in following.kind:
        return False
    if len(gap) > 10 or not say.JOINT.fullmatch(gap) or not _may_join(kinds, following.kind):
        return False
    if "weekday" in following.kind and "(" not in gap:
        if position + 1 < len(atoms):
            after = atoms[position + 1]
            between = text[following.end : after.start]
            if len(between) <= 8 and say.JOINT.fullmatch(between) and _may_join({following.kind}, after.kind):
                return "today" in kinds or "relative" in kinds
        if kinds & {"today", "relative"} and "," in gap:
            return not re.match(r",?[ ](?:or|and|,)[ ]|,[ ]?\w+day", text[following.end : following.end + 12])
    return not (kinds & {"today", "relative"} and "-" in gap)


def _may_join(kinds: set[str], kind: str) -> bool:
    groups = [{"day", "ordinal"}, {"weekday", "told weekday"}, {"today", "relative"}, {"broad"}]
    group = next((group for group in groups if kind in group), None)
    return group is not None and not kinds & group and "past" not in kinds


def _joined(text: str, first: DateMention, second: DateMention) -> DateMention:
    """Both as one mention: the days that fit both; where none does, the words contradict each other."""
    end = second.end + (1 if text[second.end : second.end + 1] == ")" else 0)
    dated = second if second.kind in _DAY_KINDS else first
    other = first if dated is second else second
    if "weekday" in dated.kind:
        dated, other = other, dated
    weekdays = first.weekdays & second.weekdays
    if "weekday" in other.kind:
        days = frozenset(day for day in dated.days if day.weekday() in other.weekdays)
        near = frozenset(day for day in (dated.near or dated.days) if day.weekday() in other.weekdays)
        contradicts = not near and dated.kind != "broad"
    else:
        days = dated.days & other.days
        near = (dated.near or dated.days) & other.days
        contradicts = not days and other.kind != "broad" and dated.kind != "broad"
    return replace(
        dated,
        start=first.start,
        end=end,
        days=days or dated.days,
        near=near or dated.near,
        weekdays=weekdays or dated.weekdays,
        contradicts=first.contradicts or contradicts,
    )


def _bounded(text: str, mention: DateMention) -> DateMention:
    before = text[max(0, mention.start - 40) : mention.start]
    return replace(mention, bounded=True) if mention.kind == "past" or say.BOUNDED.search(before) else mention
