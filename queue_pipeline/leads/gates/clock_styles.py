"""Casual, military and European ways to write a time of day, beside those in `clock_patterns`."""

import re

from queue_pipeline.leads.gates.clock_parts import (
    BARE_END,
    END,
    FOLLOWER,
    FREE,
    FREE_DASH,
    MM,
    MW,
    NO_STREET,
    ONES,
    TO,
    UNIT,
    H,
)

_HOUR = r"(?:1[0-2]|0?[1-9])"
_WORD = "|".join(ONES)
#: After `the Friday`, `one` is no hour.
_PLURAL = "|".join(ONES[1:])
_HHMM = r"(?:[01]\d|2[0-3])[0-5]\d"
_HRS = r"[ ]?(?:hrs?|hours|h)\b"
_MORE_HHMM = rf"(?:(?:[ ]?(?:,|and|or|&|/)[ ]?){{1,2}}{_HHMM}(?:[ ]?-[ ]?{_HHMM})?){{1,5}}"
#: What makes `2a` a door.
NO_DOOR = "".join(
    f"(?<!{word} )"
    for word in (
        "flat", "apt", r"apt\.", "apartment", "unit", "suite", "room", "gate", "door", r"no\.", "number", "seat", "row",
        "class", "section", "option", "platform", "street", "st", r"st\.", "building", "terminal", "level", "floor",
        "hall", "house", "bay", "lot", "pier", "studio", "exhibit", "figure", "appendix", "phase", "size", "grade",
        "year", "block",
    )
)  # fmt: skip
_NO_LENGTH = r"(?![ -](?:long|session|call|meeting|slot|drive|flight|visit|tour|of|per|job|appointment|class)\b)"

RANGES = (
    # Sat 9.00-13.00
    re.compile(
        rf"(?:\x00[ ]?[:,]{{0,2}}|\bat|\bfrom|\bbetween|"
        rf":)[ ](?P<time>(?P<h>{H})\.(?P<m>{MM})(?:[ ]?uhr)?{TO}(?P<h2>{H})"
        rf"\.(?P<m2>{MM})){END}(?!{UNIT})(?![ ]?(?:%|e\b|eur|usd|chf|gbp|a[ ]head|per\b|each\b|/))"
    ),
    # 12-1p, 9a-10:30a
    re.compile(
        rf"{FREE_DASH}{NO_DOOR}(?P<time>(?P<h>{_HOUR})(?::(?P<m>{MM}))?(?P<mer>[ap])?{TO}(?P<h2>{_HOUR})"
        rf"(?::(?P<m2>{MM}))?(?P<mer2>[ap]))(?![\w'])(?![.:/-]\w){NO_STREET}"
    ),
    # 1215-1245 hrs, and without the word in a list that has it or right after a date
    re.compile(
        rf"{FREE}(?P<time>(?P<h>[01]\d|2[0-3])(?P<m>{MM})(?P<hhmm>)[ ]?(?:-|to|until|till)[ ]?(?P<h2>[01]\d|"
        rf"2[0-4])(?P<m2>{MM}))"
        rf"(?={_HRS}|{_MORE_HHMM}{_HRS})"
    ),
    re.compile(
        rf"(?:\x00[ ,:]{{1,2}}(?:from[ ]|between[ ]|at[ ])?|\bhrs[ ]?(?:,|and|or|&)[ ])(?P<time>(?P<h>[01]\d|"
        rf"2[0-3])(?P<m>{MM})"
        rf"(?P<hhmm>)[ ]?(?:-|to|until|till)[ ]?(?P<h2>[01]\d|2[0-4])(?P<m2>{MM}))(?![\w-])(?!{UNIT})"
    ),
)
LISTS = (re.compile(rf"{FREE}(?P<time>(?P<h>[01]\d|2[0-3])(?P<m>{MM}))(?={_MORE_HHMM}{_HRS})"),)

_EUROPEAN = r"(?:klo|kl\.?|um|om|alle(?:[ ]ore)?|às|à|a[ ]las|gegen|godz\.?)"
#: Before the other patterns for a single time.
EXACT = (
    # 9ish, four-ish, 9:30ish, noonish on Friday
    re.compile(
        rf"{FREE}(?<!e is )(?<!e's )(?<!aged )(?P<time>(?P<h>{_HOUR}|{_WORD})(?:[:. -](?P<m>{MM}|"
        rf"{MW}))?[ ]?(?P<mer>[ap]\.?m\.?)?(?P<ish>[ -]?ish))\b"
        rf"(?!{UNIT}){FOLLOWER}"
    ),
    re.compile(
        r"\x00[ ,]{1,2}(?:at[ ]|around[ ]|about[ ])?(?P<time>(?P<noon>noon|midday|midnight)(?P<ish>[ -]?ish))\b"
    ),
    re.compile(
        r"(?<![\w-])(?P<time>(?P<noon>noon|midday|midnight)(?P<ish>[ -]?ish))(?=[ ](?:on[ ]|this[ ]|next[ ])?\x00)"
    ),
    # klo 8.00, um 17 Uhr, alle 9:30, om 8 uur, 8u30, 17 h
    re.compile(
        rf"(?<![\w'-]){_EUROPEAN}[ ](?P<time>(?P<h>{H})(?:[:.hu](?P<m>{MM}))?(?:[ ]?(?:uhr|uur|h|"
        rf"u)\b)?)(?![\w%€$£])(?![.,:]\d)"
        rf"(?!{UNIT})"
    ),
    re.compile(rf"(?:\bat|@|\bfrom|\bvan|\btot|\x00,?)[ ](?P<time>(?P<h>{H})u(?P<m>{MM}))(?!\w)"),
    re.compile(rf"{FREE}(?P<time>(?P<h>{H})(?:[:.](?P<m>{MM}))?[ ](?P<clock24>uur))\b"),
    re.compile(
        rf"(?:\bat|@|\bfrom|\bto|\buntil|"
        rf"\x00,?)[ ](?P<time>(?P<h>{H})(?P<clock24>[ ]?[hu]))(?!\w){_NO_LENGTH}"
    ),
    # at 1400
    re.compile(
        r"(?:(?:\bat|@)[ ]?|\b(?:from|until|till|by)[ ](?!(?:19|20)\d\d))(?P<time>(?P<clock24>(?P<h>[01]\d|2[0-3])"
        r"(?P<m>[0-5][05])))(?=[ ]?(?:[,;?!)]|\.(?!\d)|$|\n)|[ ](?:or|and|for|then|sharp)\b|[ ]on[ ]\x00|[ ]\x00)"
    ),
    re.compile(
        r"\x00[ ,]{1,2}(?P<time>(?!(?:19|20)\d\d)(?P<clock24>(?P<h>[01]\d|"
        r"2[0-3])(?P<m>[0-5][05])))(?=[ ]?(?:[,;?!)]|\.(?!\d)|$|\n)|"
        r"[ ](?:or|and)\b)"
    ),
    # seven thirty on Thursday; Thursday, seven thirty
    re.compile(rf"(?<![\w-])(?P<time>(?P<h>{_WORD})[ -](?P<m>{MW}))(?=[ ](?:on[ ]|this[ ]|next[ ])?\x00)"),
    re.compile(rf"\x00[ ,]{{1,2}}(?P<time>(?P<h>{_WORD})[ -](?P<m>{MW})){BARE_END}"),
)

_OPENS = r"(?:\A|\n|[;:(?!/,-][ ]|[(/]|\.[ ]|\b(?:or|and|so|either|say|maybe|perhaps|then|&)[ ])"
#: Hours that nothing but the date beside them makes a time; `_counted` asks whether things are counted instead.
BESIDE_A_DATE = (
    # 2 Friday? so 5 on Monday; but no `1 Tuesday at 3` in a numbered list
    re.compile(
        rf"{_OPENS}(?P<time>(?P<h>{_HOUR}|{_PLURAL}))(?=[ ](?:on[ ])?\x00+(?!\x00|[ ]?(?:at[ ]|@[ ]?|from[ ]|-[ ]|"
        rf":[ ])?\d))"
    ),
    # fri 1, sat 9
    re.compile(
        rf"\x00[ ](?P<time>(?P<h>{_HOUR}|{_PLURAL})(?P<maybe_day>))(?=[ ]?[,;)/?](?!\d)|[ ]?\.?(?:$|\n)|"
        rf"[ ](?:or|and|&|-)[ ]|\.[ ])"
        rf"(?![ ](?:or|and|&|-)[ ]\w+{UNIT})"
    ),
    re.compile(rf"\bso[ ](?P<time>(?P<h>{_HOUR}|{_PLURAL}))(?=[ ](?:gives|leaves|works|suits|it[ ]is|sharp)\b)"),
)
#: `3 openings Thursday and 2 Friday`: things are counted.
COUNTED = re.compile(
    rf"\b(?:\d{{1,3}}|{_WORD}|some|few|several|more|many|the|which|both|all)[ ](?:\w+[ ])?(?:slots?|openings?|"
    rf"spots?|times|"
    r"appointments?|tables?|rooms?|seats?|visits?|sessions?|calls?|people|guests|adults|kids|children|tickets?|class|"
    r"classes|options?|units?|cars?|shifts?|left)\b"
)
OR_SO = re.compile(r",?[ ](?:or[ ]so|or[ ]thereabouts|give[ ]or[ ]take|ish)\b")
