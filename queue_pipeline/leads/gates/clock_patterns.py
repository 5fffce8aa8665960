"""How people write a time of day: the patterns over plain text, the most specific first."""

import re
from types import MappingProxyType

_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_MINUTES = MappingProxyType(
    {
        "five": 5, "oh five": 5, "o five": 5, "ten": 10, "fifteen": 15, "twenty": 20, "twenty five": 25, "thirty": 30,
        "thirty five": 35, "forty": 40, "forty five": 45, "fifty": 50, "fifty five": 55,
    }
)  # fmt: skip
NUMBERS = MappingProxyType({**{word: number for number, word in enumerate(_ONES, 1)}, **_MINUTES})
FRACTIONS = MappingProxyType({"half": 30, "quarter": 15, "a quarter": 15})

_H = r"(?:2[0-4]|1\d|0?\d)"
_HW = rf"(?:{_H}|{'|'.join(_ONES)})"
_MM = r"[0-5]\d"
_MW = r"(?:(?:oh|o)[ -]five|(?:twenty|thirty|forty|fifty)(?:[ -]five)?|fifteen|ten)"
_MER = r"(?:[ap]\.[ ]?m\.(?![\w'])|[ap]\.?[ ]?m(?![\w'])|noon\b|midday\b|midnight\b)"
#: Nothing before a number that would make it a part of something else.
_FREE = r"(?<![\w:.,/$€£¥#\x00+%])(?<!\d-)(?<!\w')"
_FREE_DASH = r"(?<![\w:./$€£¥#\x00+%])(?<!\d,)(?<!\w')"
_END = r"(?![\w%€$£\x00])(?![.,:/]\d)(?![ ]?(?:%|€|\$|£|°))"
_UNIT = (
    r"(?:[ -]?(?:hours?|hrs?|minutes?|mins?|seconds?|secs?|days?|weeks?|months?|years?|yrs?|people|persons?|guests?|"
    r"percent|per[ ]cent|pct|stars?|euros?|dollars?|pounds?|usd|eur|gbp|chf|bucks|miles?|km|kilometers?|kilometres?|"
    r"meters?|metres?|points?|options?|slots?|seats?|tickets?|rooms?|bed|bedrooms?|baths?|times|x\b|pages?|sq|degrees?|"
    r"mm|cm|kg|lbs?|gb|mb|adults?|kids|children|of|out[ ]of|more|other|others|locations?|steps?|items?|units?)\b)"
)

_WEEKDAYS = r"mon(?:day)?|tue(?:s|sday)?|wed(?:s|nesday)?|thu(?:rs?|rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"
_MONTHS = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?"
)
_ZONE_WORD = r"e[sd]?t|c[sd]?t|m[sd]t|p[sd]?t|mt|gmt|utc|bst|cest|eest|eet|eastern|central|mountain|pacific"
#: What may follow a bare hour, so that `at 3` is a time and `at 3 locations` is none.
FOLLOWER = (
    r"(?=[ ]?\n|[ ]?$|[ ]?[.!?](?:[\s\"')]|$)|[ ]?[,;:)\]\"](?!\d)|[ ]-[ ]|-ish\b|ish\b|[ ]?\x00|[ ]\(|"
    r"[ ](?:on|at|from|in(?![ ](?:\d|a[ ]row\b|one|two|three|four|five|six|seven|eight|nine|ten)\b)|"
    r"to(?![ ]?\d)|today|tomorrow|"
    r"tonight|this|next|coming|or|and|but|if|is|are|was|it|i|we|you|he|she|they|works?|would|will|be|for|with|then|"
    r"instead|as|so|because|since|when|while|local|your|our|sharp|okay|ok|suits?|sounds?|should|can|could|please|"
    r"thanks|exactly|onwards?|does|do|has|have|the|that|which|who|too|again|still|already|rather|here|there|by|"
    r"via|over|under|near|outside|inside|until|till|before|after|just|right|not|now|also|once|unless|depending|though|"
    r"although|either|how|what|where|why|thank|cheers|regards|let|let's|there's|there'll|his|her|their|my|any|anyway|"
    r"alone|along|mr|mrs|ms|dr|prof|latest|earliest|might|must|shall|won't|isn't|doesn't|great|good|fine|perfect|"
    r"looking|about|per[ ]your|see|these|those|he's|she's|they're|it's|that's|we're|you're|i'm|i'd|i'll|we'll|you'll|"
    rf"{_WEEKDAYS}|{_MONTHS}|{_ZONE_WORD})\b)"
)
_SMALL_WORD = r"(?:at|in|on|with|for|by|to|from|and|or|near|via|is|as|if|then|your|our|my|the|please|it|we|you|i)\b"
_NO_STREET = (
    rf"(?![, ]{{1,2}}(?:(?!{_SMALL_WORD})[a-z.'-]+[ ]){{1,3}}"
    r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|way|square|"
    r"court|place|plaza|row|floor|terrace)\b)"
)
_BARE_END = rf"(?!(?!ish\b)[\w%€$£])(?![.,:/-]\d){_NO_STREET}(?!{_UNIT}){FOLLOWER}"
_BARE_H = r"(?:2[0-3]|1\d|0?[1-9])"
_BARE_HW = rf"(?:{_BARE_H}|{'|'.join(_ONES)})"
_TO = r"[ \n]?(?:-|/|to|till?|until|through|thru)[ \n]?"

ISO_TIME = re.compile(
    r"(?<=\d{4}-\d\d-\d\d[t ])(?P<h>\d\d):(?P<m>\d\d)(?::\d\d(?:\.\d{1,9})?)?(?P<offset>z|[+-]\d\d:?\d\d)?(?!\w)"
)

_T1 = rf"(?P<h>{_H})(?:[:.h](?P<m>{_MM}))?"
_T1C = rf"(?P<h>{_H}):(?P<m>{_MM})"
_T2 = rf"(?P<h2>{_H})(?:[:.h](?P<m2>{_MM}))?"
_T2C = rf"(?P<h2>{_H}):(?P<m2>{_MM})"
_NO_LENGTH = r"(?![ -]?(?:minutes?|mins?|stars?|%|percent)\b)"
RANGES = (
    # 12-3pm, 9:30 am to 10, 9-9:30am, from noon is left to POINTS
    re.compile(rf"{_FREE_DASH}(?P<time>{_T1}[ ]?(?P<mer>{_MER})?{_TO}{_T2}[ ]?(?P<mer2>{_MER}))"),
    re.compile(rf"{_FREE_DASH}(?P<time>{_T1}[ ]?(?P<mer>{_MER}){_TO}{_T2}(?P<mer2>)){_END}(?!{_UNIT})"),
    re.compile(rf"{_FREE_DASH}(?P<time>{_T1C}[ ]?h?(?P<mer>){_TO}{_T2}[ ]?(?:h|uhr)?(?P<mer2>)){_END}{_NO_LENGTH}"),
    re.compile(rf"{_FREE_DASH}(?P<time>(?P<h>{_H})(?P<mer>){_TO}{_T2C}(?P<mer2>)){_END}{_NO_LENGTH}"),
    # between 2 and 4, from 2 to 4
    re.compile(rf"\bbetween[ \n](?P<time>{_T1}[ ]?(?P<mer>{_MER})?[ \n](?:and|&|-|to)[ \n]{_T2}[ ]?(?P<mer2>{_MER}))"),
    re.compile(
        rf"\bbetween[ \n](?P<time>(?P<h>{_HW})(?::(?P<m>{_MM}))?[ ]?(?P<mer>{_MER})?[ \n](?:and|&)[ \n]"
        rf"(?P<h2>{_HW})(?::(?P<m2>{_MM}))?(?P<mer2>)){_BARE_END}"
    ),
    re.compile(
        rf"\bfrom[ \n](?P<time>(?P<h>{_BARE_HW})(?::(?P<m>{_MM}))?(?P<mer>){_TO}"
        rf"(?P<h2>{_BARE_HW})(?::(?P<m2>{_MM}))?(?P<mer2>)){_BARE_END}"
    ),
    re.compile(
        rf"(?:\bat|@|\x00,?)[ ](?P<time>(?P<h>{_BARE_H})(?P<mer>)(?P<m>)[ ]?-[ ]?(?P<h2>{_BARE_H})(?P<m2>)(?P<mer2>))"
        rf"{_BARE_END}"
    ),
)

LISTS = (
    # 3 or 4 pm; 3:15 or 4:15 pm; at 2, 3 or 4 pm
    re.compile(
        rf"(?<!for ){_FREE}(?P<time>(?P<h>{_H})(?::(?P<m>{_MM}))?)(?=(?:,[ ]\d{{1,2}}(?::\d\d)?){{0,6}}"
        rf"(?:[ ]or[ ]|,[ ]or[ ]|/){_H}(?::{_MM})?[ ]?(?P<mer>{_MER}))"
    ),
    re.compile(
        rf"\b(?:at|from)[ ](?P<time>(?P<h>{_H})(?::(?P<m>{_MM}))?)(?=(?:,[ ]\d{{1,2}}(?::\d\d)?){{0,6}}"
        rf"(?:,?[ ]and[ ]|[ ]&[ ]|,[ ]){_H}(?::{_MM})?[ ]?(?P<mer>{_MER}))"
    ),
)

_FRACTION = (
    r"(?P<fraction>half|(?:a[ ])?quarter|twenty[ -]five|twenty|ten|five|(?:[1-5]?\d)(?=[ ](?:minutes?|mins?)))"
    r"(?:[ -](?:minutes?|mins?))?"
)
POINTS = (
    re.compile(
        rf"(?<![\w-]){_FRACTION}[ -](?P<past>past|after)[ -](?P<h>{_HW})(?![\w:])(?:[ ]?(?P<mer>{_MER}))?(?!{_UNIT})"
    ),
    re.compile(
        rf"(?<![\w-])(?P<fraction>(?:a[ ])?quarter)[ -](?P<past>to|till|before|"
        rf"of)[ -](?P<h>{_HW})(?![\w:])(?:[ ]?(?P<mer>{_MER}))?"
        rf"(?!{_UNIT})"
    ),
    re.compile(
        rf"(?<![\w-]){_FRACTION}[ -](?P<past>to|till|before|of)[ -](?P<h>{_HW})(?![\w:])(?:[ ]?(?P<mer>{_MER})|"
        rf"{_BARE_END}|(?:[ ]o'?[ ]?clock))"
    ),
    re.compile(
        rf"(?<![\w-])(?<!second )(?<!first )(?<!other )(?P<time>(?P<halfhour>half)[ -](?P<h>{_BARE_HW})){_BARE_END}"
    ),
    re.compile(rf"{_FREE}(?P<time>(?P<h>{_H})[:.](?P<m>{_MM})(?::[0-5]\d)?[ \n]?(?P<mer>{_MER}))(?!\w)", re.ASCII),
    re.compile(rf"{_FREE}(?P<time>(?P<h>1[0-2]|0?[1-9])[ ]?(?P<m>{_MM})[ ]?(?P<mer>[ap]\.?m(?!\w)\.?))"),
    re.compile(rf"(?<![\w:.,/$€£¥#\x00+%])(?P<time>(?P<h>{_H})[ \n-]?(?P<mer>{_MER}))(?!\w)"),
    re.compile(rf"(?<![\w:.,/$€£¥#\x00])(?P<time>(?P<h>{_H})(?::(?P<m>{_MM}))?(?P<mer>[ap]))(?![\w'.:/-]\w|\w|')"),
    re.compile(
        rf"{_FREE}(?P<time>(?P<h>{_H})[:.h](?P<m>{_MM})[ ]?(?P<clock24>uhr|(?:hrs|h)(?=\b)))(?![ -](?:long|session))"
    ),
    re.compile(
        rf"(?<![\w:/$€£¥#\x00+%])(?<!\d[.,])(?<!chapter )(?<!verse )(?<!version )(?<!ratio )(?<!score )(?<!sectio"
        rf"n )(?P<time>(?P<h>{_H}):(?P<m>{_MM})(?::[0-5]\d)?){_END}"
        r"(?![ -]?(?:hours?|minutes?|mins?|long)\b)"
    ),
    re.compile(
        rf"(?<!for [1-3])(?<!a ){_FREE}(?P<time>(?P<h>{_H})h(?P<m>{_MM}))(?!\w)(?![ -](?:long|session|call|meeting))"
    ),
    re.compile(rf"{_FREE}(?P<time>(?P<h>{_H})[ ](?P<clock24>uhr))\b"),
    re.compile(
        rf"(?:\bat|@|\bfrom|\bto|\buntil|\b(?:{_WEEKDAYS}),?|\x00,?)[ ](?P<time>(?P<h>{_H})(?P<clock24>h))(?!\w)"
    ),
    re.compile(rf"{_FREE}(?P<time>(?P<h>[01]\d|2[0-3])(?P<m>{_MM})[ ]?(?P<clock24>hours|hrs|h))\b"),
    re.compile(
        rf"(?:\bat|@|\buntil|\btill|\bby|\bbefore|\bafter|\bfrom|\baround|\x00,?)[ ](?P<time>(?P<h>(?!0\.){_H})\."
        rf"(?P<m>{_MM})){_END}(?!{_UNIT})(?![ ]?(?:%|e\b|eur|usd|chf|gbp|a[ ]head|per\b|each\b|/))"
    ),
    # 15.30 next to a date, or as a choice
    re.compile(
        rf"(?:\x00[ ]?[:,-]{{0,2}}|\bfor|\bwould|:)[ ](?P<time>(?P<h>[01]\d|2[0-3])\.(?P<m>{_MM})){_END}(?!{_UNIT})"
        r"(?![ ]?(?:%|e\b|eur|usd|chf|gbp|a[ ]head|per\b|each\b|/))"
    ),
    re.compile(
        rf"{_FREE}(?P<time>(?P<h>[01]\d|2[0-3])\.(?P<m>{_MM}))(?=[ ](?:on[ ])?\x00|[ ](?:it[ ]is|works|suits)\b)"
    ),
    re.compile(
        rf"(?<![\w-])(?P<time>(?P<h>{'|'.join(_ONES)})(?:[ -](?P<m>{_MW}))?[ ]?(?:(?P<mer>{_MER})|o'?[ ]?clock\b(?:[ ]?"
        rf"(?P<mer_>{_MER}))?))"
    ),
    re.compile(rf"{_FREE}(?P<time>(?P<h>{_H})[ ]?o'?[ ]?clock)\b"),
    re.compile(r"(?<![\w-])(?P<time>(?:12[ ]|twelve[ ])?(?P<noon>noon|midday|midnight))\b(?!-?ish\b)"),
    re.compile(
        rf"(?:\bat|@|\bby|\baround|\bfor|\bor|\babout|\bsay|\bmake[ ]it|\bwould|\bis|"
        rf"\bat[ ]about|\bdo|\bhave|\bgot|\bprefer|\btake|\boffer|\bthen)[ ]"
        rf"(?P<time>(?P<h>{'|'.join(_ONES)})[ -](?P<m>{_MW}))"
        rf"{_BARE_END}"
    ),
    re.compile(
        rf"(?<![\w-])(?P<time>(?P<h>{_BARE_HW})(?:[ -](?P<m>{_MW}))?)(?=[ ](?:in[ ]the[ ](?:morning|afternoon|evening)|"
        r"at[ ]night|tonight|(?:this|tomorrow|(?:mon|tues|wednes|thurs|fri|satur|sun)day)[ ](?:morning|afternoon|"
        r"evening|night))\b)"
    ),
    re.compile(rf"(?:\b(?:morning|afternoon|evening)(?:[ ]at)?)[ ](?P<time>(?P<h>{_BARE_HW})){_BARE_END}"),
    # bare hours, in words that make them times
    re.compile(
        rf"(?:(?<!rated )(?<!priced )(?<!starts )(?<!starting )\bat|@)(?:[ ](?:around|about|approximately))?[ ]?"
        rf"(?P<time>(?P<h>{_BARE_HW})){_BARE_END}"
    ),
    re.compile(
        rf"\b(?:how[ ]about|what[ ]about|make[ ]it|let's[ ](?:do|say)|shall[ ]we[ ]say|say|would|or[ ]at|does|"
        rf"move[ ](?:it|you|this)[ ]to|moved[ ](?:it|you|this)?[ ]?to|from[ ]\x00+[ ]to)[ ](?P<time>(?P<h>{_BARE_HW}))"
        rf"{_BARE_END}"
    ),
    re.compile(
        rf"(?<!option )(?<!number )(?<!slot )(?<!room )(?<!step )(?<!table )(?<!no\. )(?<!the )(?<!these )(?<!tho"
        rf"se )(?<!all )(?<!for )(?<!of )"
        rf"(?<![\w#:.,/$€£-])(?P<time>(?P<h>{_BARE_H}|{'|'.join(_ONES[1:])}))(?=[ ](?:instead|(?:would[ ]|"
        rf"will[ ]|does[ ]|should[ ])?(?:works?|suits?)\b(?![ ](?:on|as)\b)|"
        r"(?:is|'s|was)[ ](?:already[ ])?(?:free|available|open|taken|fine|good|booked|gone|full|perfect|no[ ]longer)))"
    ),
    re.compile(
        rf"\b(?:around|about|by|before|after|until|till|from)[ ](?P<time>(?P<h>{_BARE_HW}))"
        rf"(?=[ ]?[?]|[ ](?:on|today|tomorrow|tonight|this|next|if|works?|would|in[ ]the|at[ ]night|sharp|{_WEEKDAYS}|"
        rf"{_ZONE_WORD})\b)"
    ),
    re.compile(
        rf"(?:\d[ ]?[ap]\.?m\.?|:\d\d|\bat[ ]\d{{1,2}})(?:,[ ]|,?[ ]or[ ]|,?[ ]and[ ]|[ ]&[ ])(?:at[ ])?"
        rf"(?P<time>(?P<h>{_BARE_H})){_BARE_END}"
    ),
    re.compile(rf"(?P<time>(?P<h>{_BARE_H}))(?=[ ](?:{_ZONE_WORD})\b(?![ ](?:scan|scans|image)))"),
    re.compile(
        rf"(?:\b(?:{_WEEKDAYS})|\btoday|\btomorrow|"
        rf"\x00)[ ](?P<time>(?P<h>{_BARE_H})[ ]?(?P<sharp>sharp)?)(?=[ ]?(?:\n|$|[?]|sharp|\.(?:\s|$)))"
    ),
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
