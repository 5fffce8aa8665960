"""How people write a time of day: the patterns over plain text, the most specific first."""

import re

from queue_pipeline.leads.gates import clock_styles as styles
from queue_pipeline.leads.gates.clock_parts import (
    BARE_END,
    BARE_H,
    BARE_HW,
    END,
    FREE,
    FREE_DASH,
    HW,
    MER,
    MM,
    MW,
    NO_STREET,
    ONES,
    TO,
    UNIT,
    WEEKDAYS,
    ZONE_WORD,
    H,
)

ISO_TIME = re.compile(
    r"(?<=\d{4}-\d\d-\d\d[t ])(?P<h>\d\d):(?P<m>\d\d)(?::\d\d(?:\.\d{1,9})?)?(?P<offset>z|[+-]\d\d:?\d\d)?(?!\w)"
)

_T1 = rf"(?P<h>{H})(?:[:.h](?P<m>{MM}))?"
_T1C = rf"(?P<h>{H}):(?P<m>{MM})"
_T2 = rf"(?P<h2>{H})(?:[:.h](?P<m2>{MM}))?"
_T2C = rf"(?P<h2>{H}):(?P<m2>{MM})"
_NO_LENGTH = r"(?![ -]?(?:minutes?|mins?|stars?|%|percent)\b)"
RANGES = (
    *styles.RANGES,
    # 12-3pm, 9:30 am to 10, 9-9:30am, from noon is left to POINTS
    re.compile(rf"{FREE_DASH}(?P<time>{_T1}[ ]?(?P<mer>{MER})?{TO}{_T2}[ ]?(?P<mer2>{MER}))"),
    re.compile(rf"{FREE_DASH}(?P<time>{_T1}[ ]?(?P<mer>{MER}){TO}{_T2}(?P<mer2>)){END}(?!{UNIT})"),
    re.compile(rf"{FREE_DASH}(?P<time>{_T1C}[ ]?h?(?P<mer>){TO}{_T2}[ ]?(?:h|uhr)?(?P<mer2>)){END}{_NO_LENGTH}"),
    re.compile(rf"{FREE_DASH}(?P<time>(?P<h>{H})(?P<mer>){TO}{_T2C}(?P<mer2>)){END}{_NO_LENGTH}"),
    # between 2 and 4, from 2 to 4
    re.compile(rf"\bbetween[ \n](?P<time>{_T1}[ ]?(?P<mer>{MER})?[ \n](?:and|&|-|to)[ \n]{_T2}[ ]?(?P<mer2>{MER}))"),
    re.compile(
        rf"\bbetween[ \n](?P<time>(?P<h>{HW})(?::(?P<m>{MM}))?[ ]?(?P<mer>{MER})?[ \n](?:and|&)[ \n]"
        rf"(?P<h2>{HW})(?::(?P<m2>{MM}))?(?P<mer2>)){BARE_END}"
    ),
    re.compile(
        rf"\bfrom[ \n](?P<time>(?P<h>{BARE_HW})(?::(?P<m>{MM}))?(?P<mer>){TO}"
        rf"(?P<h2>{BARE_HW})(?::(?P<m2>{MM}))?(?P<mer2>)){BARE_END}"
    ),
    re.compile(
        rf"(?:\bat|@|\x00,?)[ ](?P<time>(?P<h>{BARE_H})(?P<mer>)(?P<m>)[ ]?-[ ]?(?P<h2>{BARE_H})(?P<m2>)(?P<mer2>))"
        rf"{BARE_END}"
    ),
)

LISTS = (
    *styles.LISTS,
    # 3 or 4 pm; 3:15 or 4:15 pm; at 2, 3 or 4 pm
    re.compile(
        rf"(?<!for ){FREE}(?P<time>(?P<h>{H})(?::(?P<m>{MM}))?)(?=(?:,[ ]\d{{1,2}}(?::\d\d)?){{0,6}}"
        rf"(?:[ ]or[ ]|,[ ]or[ ]|/){H}(?::{MM})?[ ]?(?P<mer>{MER}))"
    ),
    re.compile(
        rf"\b(?:at|from)[ ](?P<time>(?P<h>{H})(?::(?P<m>{MM}))?)(?=(?:,[ ]\d{{1,2}}(?::\d\d)?){{0,6}}"
        rf"(?:,?[ ]and[ ]|[ ]&[ ]|,[ ]){H}(?::{MM})?[ ]?(?P<mer>{MER}))"
    ),
)

_FRACTION = (
    r"(?P<fraction>half|(?:a[ ])?quarter|twenty[ -]five|twenty|ten|five|(?:[1-5]?\d)(?=[ ](?:minutes?|mins?)))"
    r"(?:[ -](?:minutes?|mins?))?"
)
POINTS = (
    *styles.EXACT,
    re.compile(
        rf"(?<![\w-]){_FRACTION}[ -](?P<past>past|after)[ -](?P<h>{HW})(?![\w:])(?:[ ]?(?P<mer>{MER}))?(?!{UNIT})"
    ),
    re.compile(
        rf"(?<![\w-])(?P<fraction>(?:a[ ])?quarter)[ -](?P<past>to|till|before|"
        rf"of)[ -](?P<h>{HW})(?![\w:])(?:[ ]?(?P<mer>{MER}))?"
        rf"(?!{UNIT})"
    ),
    re.compile(
        rf"(?<![\w-]){_FRACTION}[ -](?P<past>to|till|before|of)[ -](?P<h>{HW})(?![\w:])(?:[ ]?(?P<mer>{MER})|"
        rf"{BARE_END}|(?:[ ]o'?[ ]?clock))"
    ),
    re.compile(
        rf"(?<![\w-])(?<!second )(?<!first )(?<!other )(?P<time>(?P<halfhour>half)[ -](?P<h>{BARE_HW})){BARE_END}"
    ),
    re.compile(rf"{FREE}(?P<time>(?P<h>{H})[:.](?P<m>{MM})(?::[0-5]\d)?[ \n]?(?P<mer>{MER}))(?!\w)", re.ASCII),
    re.compile(rf"{FREE}(?P<time>(?P<h>1[0-2]|0?[1-9])[ ]?(?P<m>{MM})[ ]?(?P<mer>[ap]\.?m(?!\w)\.?))"),
    re.compile(rf"(?<![\w:.,/$€£¥#\x00+%])(?P<time>(?P<h>{H})[ \n-]?(?P<mer>{MER}))(?!\w)"),
    re.compile(
        rf"(?<![\w:.,/$€£¥#\x00]){styles.NO_DOOR}(?P<time>(?P<h>1[0-2]|0?[1-9])(?::(?P<m>{MM}))?(?P<mer>[ap]))"
        rf"(?![\w'.:/-]\w|\w|'){NO_STREET}"
    ),
    re.compile(
        rf"{FREE}(?P<time>(?P<h>{H})[:.h](?P<m>{MM})[ ]?(?P<clock24>uhr|(?:hrs|h)(?=\b)))(?![ -](?:long|session))"
    ),
    re.compile(
        rf"(?<![\w:/$€£¥#\x00+%])(?<!\d[.,])(?<!chapter )(?<!verse )(?<!version )(?<!ratio )(?<!score )(?<!sectio"
        rf"n )(?P<time>(?P<h>{H}):(?P<m>{MM})(?::[0-5]\d)?){END}"
        r"(?![ -]?(?:hours?|minutes?|mins?|long)\b)"
    ),
    re.compile(
        rf"(?<!for [1-3])(?<!a ){FREE}(?P<time>(?P<h>{H})h(?P<m>{MM}))(?!\w)(?![ -](?:long|session|call|meeting))"
    ),
    re.compile(rf"{FREE}(?P<time>(?P<h>{H})[ ](?P<clock24>uhr))\b"),
    re.compile(
        rf"(?:\bat|@|\bfrom|\bto|\buntil|\b(?:{WEEKDAYS}),?|"
        rf"\x00,?)[ ](?P<time>(?P<h>{H})(?P<clock24>h))(?!\w)"
    ),
    re.compile(rf"{FREE}(?P<time>(?P<h>[01]\d|2[0-3])(?P<m>{MM})[ ]?(?P<clock24>hours|hrs|h))\b"),
    re.compile(
        rf"(?:\bat|@|\buntil|\btill|\bby|\bbefore|\bafter|\bfrom|\baround|\x00,?)[ ](?P<time>(?P<h>(?!0\.){H})\."
        rf"(?P<m>{MM})){END}(?!{UNIT})(?![ ]?(?:%|e\b|eur|usd|chf|gbp|a[ ]head|per\b|each\b|/))"
    ),
    # 15.30 next to a date, or as a choice
    re.compile(
        rf"(?:\x00[ ]?[:,-]{{0,2}}|\bfor|\bwould|:)[ ](?P<time>(?P<h>[01]\d|2[0-3]|\d(?=\.(?:00|15|30|"
        rf"45)))\.(?P<m>{MM})){END}(?!{UNIT})"
        r"(?![ ]?(?:%|e\b|eur|usd|chf|gbp|a[ ]head|per\b|each\b|/))"
    ),
    re.compile(
        rf"{FREE}(?P<time>(?P<h>[01]\d|2[0-3])\.(?P<m>{MM}))(?=[ ](?:on[ ])?\x00|[ ](?:it[ ]is|works|"
        rf"suits)\b)"
    ),
    re.compile(
        rf"(?<![\w-])(?P<time>(?P<h>{'|'.join(ONES)})(?:[ -](?P<m>{MW}))?[ ]?(?:(?P<mer>{MER})|o'?[ ]?clock\b(?:[ ]?"
        rf"(?P<mer_>{MER}))?))"
    ),
    re.compile(rf"{FREE}(?P<time>(?P<h>{H})[ ]?o'?[ ]?clock)\b"),
    re.compile(r"(?<![\w-])(?P<time>(?:12[ ]|twelve[ ])?(?P<noon>noon|midday|midnight))\b(?!-?ish\b)"),
    re.compile(
        rf"(?:\bat|@|\bby|\baround|\bfor|\bor|\babout|\bsay|\bmake[ ]it|\bwould|\bis|"
        rf"\bat[ ]about|\bdo|\bhave|\bgot|\bprefer|\btake|\boffer|\bthen)[ ]"
        rf"(?P<time>(?P<h>{'|'.join(ONES)})[ -](?P<m>{MW}))"
        rf"{BARE_END}"
    ),
    re.compile(
        rf"(?<![\w-])(?P<time>(?P<h>{BARE_HW})(?:[ -](?P<m>{MW}))?)(?=[ ](?:in[ ]the[ ](?:morning|afternoon|evening)|"
        r"at[ ]night|tonight|(?:this|tomorrow|(?:mon|tues|wednes|thurs|fri|satur|sun)day)[ ](?:morning|afternoon|"
        r"evening|night))\b)"
    ),
    re.compile(rf"(?:\b(?:morning|afternoon|evening)(?:[ ]at)?)[ ](?P<time>(?P<h>{BARE_HW})){BARE_END}"),
    # bare hours, in words that make them times
    re.compile(
        rf"(?:(?<!rated )(?<!priced )(?<!starts )(?<!starting )\bat|@)(?:[ ](?:around|about|approximately))?[ ]?"
        rf"(?P<time>(?P<h>{BARE_HW})){BARE_END}"
    ),
    re.compile(
        rf"\b(?:how[ ]about|what[ ]about|make[ ]it|let's[ ](?:do|say)|shall[ ]we[ ]say|say|would|or[ ]at|does|"
        rf"move[ ](?:it|you|this)[ ]to|moved[ ](?:it|you|this)?[ ]?to|from[ ]\x00+[ ]to)[ ](?P<time>(?P<h>{BARE_HW}))"
        rf"{BARE_END}"
    ),
    re.compile(
        rf"(?<!option )(?<!number )(?<!slot )(?<!room )(?<!step )(?<!table )(?<!no\. )(?<!the )(?<!these )(?<!tho"
        rf"se )(?<!all )(?<!for )(?<!of )"
        rf"(?<![\w#:.,/$€£-])(?P<time>(?P<h>{BARE_H}|{'|'.join(ONES[1:])}))(?=[ ](?:instead|(?:would[ ]|"
        rf"will[ ]|does[ ]|should[ ])?(?:works?|suits?)\b(?![ ](?:on(?![ ]\x00)|as)\b)|"
        r"(?:is|'s|was)[ ](?:already[ ])?(?:free|available|open|taken|fine|good|booked|gone|full|perfect|"
        r"no[ ]longer)))"
    ),
    re.compile(
        rf"\b(?:around|about|by|before|after|until|till|from)[ ](?P<time>(?P<h>{BARE_HW}))"
        rf"(?=[ ]?[?]|[ ](?:or[ ]so|on|today|tomorrow|tonight|this|next|if|works?|would|in[ ]the|at[ ]night|"
        rf"sharp|{WEEKDAYS}|"
        rf"{ZONE_WORD})\b)"
    ),
    re.compile(
        rf"(?:\d[ ]?[ap]\.?m\.?|:\d\d|\bat[ ]\d{{1,2}})(?:,[ ]|,?[ ]or[ ]|,?[ ]and[ ]|[ ]&[ ])(?:at[ ])?"
        rf"(?P<time>(?P<h>{BARE_H})){BARE_END}"
    ),
    re.compile(rf"(?P<time>(?P<h>{BARE_H}))(?=[ ](?:{ZONE_WORD})\b(?![ ](?:scan|scans|image)))"),
    re.compile(
        rf"(?:\b(?:{WEEKDAYS})|\btoday|\btomorrow|"
        rf"\x00)[ ](?P<time>(?P<h>{BARE_H})[ ]?(?P<sharp>sharp)?(?P<maybe_day>))(?=[ ]?(?:\n|$|[?]|sharp|\.(?:\s|$)))"
    ),
    *styles.BESIDE_A_DATE,
)

PART_AFTER = re.compile(
    r",?[ ](?:(?:in[ ]the|at|of[ ]the|on|this|tomorrow|next|(?:on[ ])?(?:mon|tues|wednes|thurs|fri|satur|"
    r"sun)day)[ ]){0,3}"
    r"(?P<part>morning|afternoon|evening|night|tonight)\b"
)
PART_BEFORE = re.compile(
    r"(?<!good )\b(?P<part>morning|afternoon|evening|night|tonight)(?:,|[ ]of[ ][^,.;\n]{3,20}|[ ]\x00{3,20})?"
    r"(?:[ ](?:at|around|by|from))?[ ]\Z"
)
AFTER = re.compile(
    r"\b(?:after|past|later[ ]than|since|any[ ]?time[ ]from|beginning[ ]at|starting[ ]from|from[ ]about)[ ]\Z"
)
BEFORE = re.compile(
    r"\b(?:before|by|until|till?|prior[ ]to|no[ ]later[ ]than|earlier[ ]than|up[ ]to|not[ ]later[ ]than)[ ]\Z"
)
ONWARDS = re.compile(r"[ ](?:onwards?|or[ ]later|and[ ]later|or[ ]after|on\b(?![ ](?:the|\w+day|\d|\x00|[a-z])))|\+")
