"""A zone token after a time says where its clock hangs: `ET`, `(UTC+01:00)`, `London time`, `your time`."""

import re
from collections.abc import Iterable
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo

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
        "aedt": 11, "nzst": 12, "nzdt": 13, "idt": 3,
    }
)  # fmt: skip


def _by_token() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for zone, tokens in _FAMILIES.items():
        for token in tokens.split():
            found[token.replace("%", " ")] = (*found.get(token.replace("%", " "), ()), zone)
    return found


_ZONES_OF = MappingProxyType(_by_token())
_ABBREVIATIONS = sorted(
    {token for token in _ZONES_OF if re.fullmatch(r"[a-z]{1,4}t|utc|gmt", token)} | {"ast"}, key=len
)
_PLACES = sorted(set(_ZONES_OF) - {"z", "zulu"} - {t for t in _FIXED if t != "west"}, key=len, reverse=True)
_CITIES = [
    place for place in _PLACES if len(place) > 4 and not place.endswith(("an", "ern", "al", "ish", "ific", "ench"))
]
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
    rf"in[ ](?P<city>{'|'.join(city.replace(' ', '[ -]') for city in _CITIES)})\b|"
    rf"(?P<token>{'|'.join(reversed(_ABBREVIATIONS))}|zulu|eastern|pacific)(?![\w'])|"
    r"(?P<whose>(?:in[ ])?(?:your|our|my|local|their|the[ ]clinic's)[ ](?:local[ ])?time(?:[ ]?zone)?)\b)[)\]]?"
)


def zones_named(match: re.Match[str]) -> tuple[tzinfo, ...]:
    """The zones that a match of `ZONE` may mean; none where it says `your time`, because that is one of the usual."""
    if match["sign"]:
        return _fixed_offset(match["sign"], match["hours"], match["minutes"])
    token = match["token"] or match["place"] or match["city"]
    if not token:
        return ()
    token = token.replace("-", " ")
    named: list[tzinfo] = [ZoneInfo(zone) for zone in _ZONES_OF.get(token, ())]
    if token in _FIXED and match["token"]:
        named.append(timezone(timedelta(hours=_FIXED[token])))
    return tuple(named)


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
