"""A zone token after a time says where its clock hangs: `ET`, `(UTC+01:00)`, `London time`, `your time`."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo

from queue_pipeline.leads.gates.zone_places import zones_by_place

#: A token has one zone or, where people use it for several, all of them. `EST` is said in summer too.
_FAMILIES = MappingProxyType(
    {
        "America/New_York": "et est edt eastern new%york nyc boston miami toronto",
        "America/Chicago": "ct cst cdt central chicago dallas houston austin",
        "America/Denver": "mt mst mdt mountain denver",
        "America/Phoenix": "mst phoenix arizona",
        "America/Los_Angeles": "pt pst pdt pacific los%angeles la seattle san%francisco sf",
        "America/Anchorage": "akst akdt akt alaska",
        "Pacific/Honolulu": "hst hawaii",
        "America/Halifax": "adt atlantic",
        "America/Sao_Paulo": "brt sao%paulo",
        "Europe/London": "gmt bst uk london british",
        "Europe/Dublin": "irish dublin ist",
        "Europe/Lisbon": "wet west lisbon portuguese",
        "Europe/Berlin": "cet cest berlin german paris french madrid spanish rome amsterdam vienna zurich brussels "
        "central%european munich hamburg milan stockholm oslo copenhagen prague warsaw",
        "Europe/Athens": "eet eest athens helsinki kyiv bucharest eastern%european",
        "Europe/Istanbul": "trt istanbul",
        "Europe/Moscow": "msk moscow",
        "Asia/Jerusalem": "ist idt israel",
        "Asia/Kolkata": "ist india indian mumbai delhi",
        "Asia/Dubai": "gst dubai",
        "Asia/Shanghai": "cst china beijing shanghai",
        "Asia/Singapore": "sgt singapore",
        "Asia/Hong_Kong": "hkt hong%kong",
        "Asia/Tokyo": "jst tokyo japan",
        "Asia/Seoul": "kst seoul",
        "Australia/Sydney": "aest aedt aet sydney melbourne",
        "Australia/Brisbane": "aest brisbane",
        "Australia/Perth": "awst perth",
        "Pacific/Auckland": "nzst nzdt nzt auckland",
        "UTC": "utc gmt z zulu",
    }
)
#: Offsets in hours of the tokens that name one exactly.
_FIXED = MappingProxyType(
    {
        "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7, "bst": 1, "wet": 0,
        "west": 1, "cet": 1, "cest": 2, "eet": 2, "eest": 3, "adt": -3, "ast": -4, "akst": -9, "akdt": -8, "aest": 10,
        "aedt": 11, "nzst": 12, "nzdt": 13, "idt": 3, "gmt": 0,
    }
)  # fmt: skip


def _by_token() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for zone, tokens in _FAMILIES.items():
        for token in tokens.split():
            found[token.replace("%", " ")] = (*found.get(token.replace("%", " "), ()), zone)
    for place, zones in zones_by_place().items():
        found[place] = tuple(dict.fromkeys((*found.get(place, ()), *zones)))
    return found


_ZONES_OF = MappingProxyType(_by_token())
_ABBREVIATIONS = sorted(
    {token for token in _ZONES_OF if re.fullmatch(r"[a-z]{1,4}t|utc|gmt", token)} | {"ast"}, key=len
)
_PLACES = sorted(set(_ZONES_OF) - {"z", "zulu"} - {t for t in _FIXED if t != "west"}, key=len, reverse=True)
_NAMES = "|".join(place.replace(" ", "[ -]") for place in sorted(zones_by_place(), key=len, reverse=True))
#: `UTC-05:00`, `(gmt+1)`, `(+01:00)`; in `3 pm UTC - 5 pm UTC` the dash is one between two times.
_OFFSET = (
    r"(?:(?<![a-z])(?:utc|gmt)[ ]?|(?<=[(\[])(?=[+-]\d\d:\d\d[)\]]))(?P<sign>[+-])(?:[ ](?=\d(?![\d:.])))?"
    r"(?P<hours>1[0-4]|0?\d)(?::?(?P<minutes>[0-5]\d))?(?!:?\d)(?![ ]?(?:[ap]\.?[ ]?m\b|utc|gmt))"
)
#: Where an offset stands there is no time of day.
OFFSET = re.compile(_OFFSET)
#: A zone right after a time; the groups say which kind.
ZONE = re.compile(
    rf"[ \n]?[(\[]?(?:{_OFFSET}|"
    rf"(?P<place>{'|'.join(place.replace(' ', '[ -]') for place in _PLACES)})(?:[ ](?:standard|daylight|summer))?"
    r"[ ](?:time(?:[ ]zone)?)\b|"
    rf"(?:=[ ]?)?(?:(?:in|for|at)[ ]|on[ ](?=the[ ]))?(?:the[ ]|your[ ]|our[ ])?(?P<city>{_NAMES})\b(?!'|-\w|"
    rf"[ ](?:st|street|ave|"
    r"avenue|road|rd|blvd|room|hotel|grill|house|cafe|bar|office[ ]on)\b)|"
    rf"(?P<token>{'|'.join(reversed(_ABBREVIATIONS))}|zulu|eastern|pacific|(?:central|"
    rf"mountain)(?=[ ]?(?:[),.;/?!]|$|\n|or\b)))(?![\w'])|"
    r"(?P<whose>(?:in[ ])?(?:your|our|my|local|their|the[ ]clinic's)[ ](?:local[ ])?time(?:[ ]?zone)?)\b)[)\]]?"
)


#: The place that a time right after it is for: `in Boston that is 10 am`, `Berlin: 4 pm`.
ZONE_BEFORE = re.compile(
    rf"\b(?:(?:in|for|on)[ ](?:the[ ]|your[ ]|our[ ])?(?P<city>{_NAMES})(?:[ ](?:team|office|side|folks|"
    rf"colleagues?))?,?[ ]?"
    r"(?:(?:that|it|this|which)(?:'s|'ll[ ]be|[ ](?:is|would[ ]be|will[ ]be|means))[ ]|[ ])?(?:at[ ])?|"
    rf"(?P<heading>{_NAMES})(?:[ ]time)?[ ]?:[ ]?)\Z"
)
#: `10 in the morning for you`: on the clock where the lead is.
FOR_YOU = re.compile(
    r"(?:[ ]in[ ]the[ ](?:morning|afternoon|evening))?,?[ ](?:(?:for|with)[ ]you\b(?![ ](?:to|guys))|"
    r"on[ ]your[ ](?:end|side)|"
    r"where[ ]you[ ](?:are|live)|(?:over[ ])?there\b|(?:in[ ])?your[ ](?:local[ ])?time|"
    r"in[ ]your[ ](?:time[ ]?zone|part|city))"
)
_PLACE = re.compile(rf"\b(?P<city>{_NAMES})\b")


def zones_named(match: re.Match[str]) -> tuple[tzinfo, ...]:
    """The zones that a match of `ZONE` names; none where it says `your time`, because that is one of the usual. `EST`
    names its offset all year, and `MST` Arizona, which has no summer time."""
    if match["sign"]:
        return _fixed_offset(match["sign"], match["hours"], match["minutes"])
    token = _token(match)
    named: list[tzinfo] = [ZoneInfo(zone) for zone in _ZONES_OF.get(token, ())]
    if token in _FIXED and match["token"]:
        named = [zone for zone in named if not has_summer_time(zone)]
        named.append(timezone(timedelta(hours=_FIXED[token])))
    return tuple(named)


def zones_loosely_named(match: re.Match[str]) -> tuple[tzinfo, ...]:
    """The zones whose people say `EST` in summer too; they mean it only where they are meant."""
    token = _token(match)
    if token not in _FIXED or not match["token"]:
        return ()
    return tuple(zone for zone in map(ZoneInfo, _ZONES_OF.get(token, ())) if has_summer_time(zone))


def zones_of_places(text: str) -> tuple[tzinfo, ...]:
    """The zones of the places that a plain text names."""
    found = {zone for match in _PLACE.finditer(text) for zone in _ZONES_OF[match["city"].replace("-", " ")]}
    return tuple(ZoneInfo(zone) for zone in sorted(found))


def zone_before(match: re.Match[str]) -> tuple[tzinfo, ...]:
    """The zones that a match of `ZONE_BEFORE` names."""
    name = (match["city"] or match["heading"]).replace("-", " ")
    return tuple(ZoneInfo(zone) for zone in _ZONES_OF[name])


@lru_cache(maxsize=256)
def has_summer_time(zone: tzinfo) -> bool:
    """Whether its clock changes in the course of a year."""
    return len({datetime(2026, month, 15, tzinfo=zone).utcoffset() for month in (1, 7)}) > 1


@lru_cache(maxsize=256)
def keep_the_same_clock(one: tzinfo, other: tzinfo) -> bool:
    """Whether both show the same time in winter and in summer."""
    return all(
        datetime(2026, month, 15, tzinfo=one).utcoffset() == datetime(2026, month, 15, tzinfo=other).utcoffset()
        for month in (1, 7)
    )


def _token(match: re.Match[str]) -> str:
    return (match["token"] or match["place"] or match["city"] or "").replace("-", " ")


def offset_zone(text: str) -> tuple[tzinfo, ...]:
    """The zone of an ISO offset such as `z` or `+01:00`; none for an empty one."""
    if not text:
        return ()
    if text == "z":
        return (UTC,)
    return _fixed_offset(text[0], text[1:3], text[-2:] if len(text) > 3 else None)


def _fixed_offset(sign: str, hours: str, minutes: str | None) -> tuple[tzinfo, ...]:
    distance = timedelta(hours=int(hours), minutes=int(minutes or 0))
    if distance >= timedelta(hours=24):
        return ()
    return (timezone(distance if sign == "+" else -distance),)


@lru_cache(maxsize=256)
def _known(zones: tuple[tzinfo, ...]) -> tuple[tzinfo, ...]:
    return tuple(dict.fromkeys(zones))


def distinct(zones: Iterable[tzinfo]) -> tuple[tzinfo, ...]:
    """The zones without repetition, in their order."""
    return _known(tuple(zones))
