"""How people write a date: the patterns over plain text, the most specific first."""

import re
from types import MappingProxyType

_MONTH_NAMES = (
    "jan(?:uary)?", "feb(?:ruary)?", "mar(?:ch)?", "apr(?:il)?", "may", "june?", "july?", "aug(?:ust)?",
    "sept?(?:ember)?", "oct(?:ober)?", "nov(?:ember)?", "dec(?:ember)?",
)  # fmt: skip
MONTH_NUMBERS = MappingProxyType({name[:3]: number for number, name in enumerate(_MONTH_NAMES, 1)})
WEEKDAY_NUMBERS = MappingProxyType(
    {name: number for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))}
)
_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
    "twenty-first",
    "twenty-second",
    "twenty-third",
    "twenty-fourth",
    "twenty-fifth",
    "twenty-sixth",
    "twenty-seventh",
    "twenty-eighth",
    "twenty-ninth",
    "thirtieth",
    "thirty-first",
]
ORDINAL_NUMBERS = MappingProxyType({word: number for number, word in enumerate(_ORDINALS, 1)})
COUNTS = MappingProxyType(
    {
        "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
        "nine": 9, "ten": 10,
    }
)  # fmt: skip

_MONTH = rf"(?P<month>{'|'.join(_MONTH_NAMES)})\b\.?"
_ORD_WORD = "|".join(sorted((word.replace("-", "[ -]") for word in _ORDINALS), key=len, reverse=True))
_DAY = r"(?P<day>(?:3[01]|[12]\d|0?[1-9])(?:[ ]?(?:st|nd|rd|th)\b)?|" + rf"(?:{_ORD_WORD})\b)"
_DAY_END = (
    r"(?![\w%])(?![.:,]\d{1,2}(?!\d))(?![ ]?(?:[ap]\.?m\b|o'?[ ]?clock|uhr\b|%|people|minutes?|hours?|days?|weeks?))"
)
_YEAR = r"(?:,?[ ](?P<year>(?:19|20)\d\d)(?![:.]\d|\d)|,?[ ]'(?P<year2>\d\d)\b)"
_NUM = r"(?<![\w:/.,$€£#+\x00-])"
_NUM_END = r"(?![\w/%-])(?![.,:]\d)"
_D2 = r"(?:3[01]|[12]\d|0?[1-9])"

WEEKDAY = r"(?:mon(?:day)?|tue(?:s|sday)?|wed(?:s|nesday)?|thu(?:r|rs|rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)"
_LONG_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"

ISO = re.compile(
    r"(?<![\w/.-])(?P<year>(?:19|20)\d\d)[-/](?P<m>0?[1-9]|1[0-2])[-/](?P<d>" + _D2 + r")(?=t\d|[^\w/-]|$)"
)
YMD_RANGE = re.compile(
    rf"\b{_MONTH}[ ](?P<day>{_D2}(?:[ ]?(?:st|nd|rd|th))?)[ ]?(?:-|to|through|thru|until)[ ]?(?:the[ ])?"
    rf"(?P<day2>{_D2}(?:[ ]?(?:st|nd|rd|th)\b)?){_DAY_END}{_YEAR}?"
)
DMY_RANGE = re.compile(
    rf"{_NUM}(?P<day>{_D2}(?:[ ]?(?:st|nd|rd|th)\b)?)[ ]?(?:-|to|through|thru|until)[ ]?(?:the[ ])?"
    rf"(?P<day2>{_D2}(?:[ ]?(?:st|nd|rd|th)\b)?)[ ](?:of[ ])?{_MONTH}{_YEAR}?"
)
#: `March 10 or 11`, `March 10th and 11th`: the second day; `10 or 11 March`: the first day.
SECOND_DAY = re.compile(
    rf"(?:[ ]?,[ ]|,?[ ](?:or|and|&)[ ])(?:the[ ])?(?P<day>{_D2}(?:st|nd|rd|th)|{_D2}(?=[ ]?(?:[.,;?!)]|$|\n|"
    rf"at\b|or\b|and\b)))"
    rf"{_DAY_END}(?![ ]{_MONTH.replace('?P<month>', '?:')})"
)
FIRST_DAY = re.compile(rf"{_NUM}(?P<day>{_D2}(?:st|nd|rd|th)?)[ ](?:or|and|&)[ ](?:the[ ])?\Z")
MONTH_DAY = re.compile(rf"(?<![\w'-]){_MONTH}[ \n]?(?:the[ ])?(?<![a-z]){_DAY}{_DAY_END}{_YEAR}?")
DAY_MONTH = re.compile(rf"{_NUM}(?:the[ ])?{_DAY}\.?[ \n-]?(?:day[ ])?(?:of[ ])?{_MONTH}(?!['\w]){_YEAR}?")
DAY_MONTH_YEAR_DASHED = re.compile(rf"{_NUM}(?P<day>{_D2})-{_MONTH}-(?P<year>(?:20)?\d\d)\b")
NUMERIC_FULL = re.compile(
    rf"{_NUM}(?P<a>{_D2})(?P<sep>[/.-])[ ]?(?P<b>{_D2})(?P=sep)[ ]?(?P<year>(?:19|20)\d\d|\d\d)(?![\w/%-])(?![.,:]\d)"
)
#: `14/8 Wattle St` and `unit 14/8` are addresses.
_NO_ADDRESS = (
    r"(?![ ](?!(?:works?|is|at|or|and|for|in|on|by|to|suits?|either|any|with|from|via|it|we|you|i|the|please)\b)"
    r"[a-z.'-]+[ ](?:[a-z'-]+[ ])?(?:street|st|str|avenue|ave?|road|rd|lane|ln|drive|dr|boulevard|blvd|crescent|cres|"
    r"cr|parade|pde|terrace|tce|highway|hwy|court|ct|place|pl|square|sq|close|cl|grove|gr|circuit|cct|parkway|pkwy|"
    r"esplanade|esp|quay|way|mews)\b(?!\.?[ ]\d))"
)
_NO_UNIT = r"(?<!unit )(?<!flat )(?<!apt )(?<!apt\. )(?<!apartment )(?<!suite )(?<!lot )(?<!shop )(?<!level )"
_TIME_WORD = r"(?:klo|kl\.?|um|om|alle(?:[ ]ore)?|às|as|à|a[ ]las|godz\.?|ora|ore)"
#: d.m. with its second dot, and m/d, only where the words around them make them dates.
DOTTED_SHORT = re.compile(
    rf"(?:(?:\b{WEEKDAY}\.?,?|\bon|\bon[ ]the|\bfor|\x00,?|\band|\bor)[ ]|^|"
    rf"\n[ ]?(?:[-*•][ ]?)?)(?P<date>(?P<a>{_D2})\.(?P<b>1[0-2]|0?[1-9])\.)"
    r"(?!\d)"
)
DOTTED_WITH_TIME = re.compile(
    rf"{_NUM}(?P<date>(?P<a>{_D2})\.[ ]?(?P<b>1[0-2]|0?[1-9])\.)(?=,?[ ](?:(?:at|from|@|ab|gegen|von|"
    rf"{_TIME_WORD})[ ]?\d|"
    r"\d{1,2}[:.]\d\d(?![.\d])|\d{1,2}[ ]?(?:uhr|h\b)))"
)
SLASHED_SHORT = re.compile(
    rf"(?:(?:\b{WEEKDAY}\.?,?|\bon|\bon[ ]the|\bfor|\bby|\buntil|\btill|\bfrom|\bto|\band|\bor|\bdated?|"
    rf"\bbetween|\bis|\bstarting|\bbeginning|\beffective|"
    rf"\btomorrow|\btoday|\x00,?)[ ]|\(){_NO_UNIT}(?P<date>(?P<a>{_D2})/(?P<b>{_D2})){_NUM_END}{_NO_ADDRESS}"
    r"(?![ ]?(?:stars?|out\b|people|hours?|of\b|rating|points?|support|service|inch|cups?|tsp|tbsp|split|basis|"
    r"[a-z]+'s\b))"
)
_HOUR_WORD = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
SLASHED_WITH_TIME = re.compile(
    rf"{_NUM}{_NO_UNIT}(?P<date>(?P<a>{_D2})/(?P<b>{_D2})){_NUM_END}(?=[,:]?[ ](?:-[ ])?(?:{_TIME_WORD}[ ]\d|"
    rf"(?:at[ ]|"
    rf"@[ ]?|from[ ])?(?:\d{{1,2}}(?::\d\d|[ ]?[ap]\.?m|[ ]?o'?[ ]?clock|[ ]in[ ]the|h\d\d|[ ]?(?:uhr|uur|hrs|"
    rf"[hu])\b|"
    rf"\d\d(?:-[012]\d[0-5]\d|[ ]?(?:hrs|hours|h)\b)|u\d\d|ish\b|-ish\b)|noon|midday|"
    rf"midnight|half[ ]|(?:a[ ])?quarter|{_HOUR_WORD}[ -](?:o'?[ ]?clock|[ap]\.?m\b|thirty|fifteen|forty|in[ ]the|oh|"
    rf"twenty|ten|fifty)|(?<=at[ ])(?:{_HOUR_WORD}|\d{{1,2}})(?=[ ]?(?:[.,;?!]|$|\n)|"
    rf"[ ](?:with|for|in|on|or|and|at)\b)))|[ ]?\({WEEKDAY}\b)"
)
_AFTER_ORDINAL = (
    r"(?=[ ]?(?:$|\n|[.,;:?!)\"](?!\d)|-[ ])|[ ](?:at|from|between|in[ ]the|or|and|is|are|was|works?|would|will|"
    r"suits?|"
    r"for|to|then|if|around|with|as|because|instead|before|after|by|we|you|i|through|until|this|next|does|has|"
    r"have|might|may|must|"
    r"looks|sounds|can|could|should|please|it|but|so|not|of[ ](?:this|next|the[ ]month)|we're|i'm|we'll|i'll|\(|"
    r"afternoon|morning|evening|@|\d{1,2}:\d\d|\d{1,2}[ ]?[ap]m|noon|okay|ok|good|fine|free|available|\x00))"
)
ORDINAL = re.compile(
    rf"(?P<lead>\bon[ ]the|\bfor[ ]the|\bby[ ]the|\buntil[ ]the|\bfrom[ ]the|\bto[ ]the|\bor[ ]the|\band[ ]the|"
    rf"\bthe|\bor|\band|\bon|{WEEKDAY},?|\x00)[ ]"
    rf"(?P<day>{_D2}(?:st|nd|rd|th)\b|(?:{_ORD_WORD})\b(?![ -](?:choice|option|floor|time|"
    rf"of[ ]these)))(?!['-]\w){_AFTER_ORDINAL}"
)
#: What makes a low ordinal a day: `3 pm the 2nd`, `the date is the 2nd`, `the 2nd at 3`.
DAY_SAID_BEFORE = re.compile(
    r"(?:\d[ ]?[ap]\.?m\.?|:[0-5]\d|\bnoon|o'?[ ]?clock|\b(?:morning|afternoon|evening)|"
    r"\b(?:dates?|days?)(?:[ ](?:is|was|will[ ]be|would[ ]be|being|of))?|\bdated|\b(?:today|tomorrow)(?:[ ]is)?)"
    r"[ ]?[,:]?[ ]?\Z"
)
DAY_SAID_AFTER = re.compile(r",?[ ](?:at[ ]|from[ ]|@|of[ ](?:this|next|the)[ ]month\b)")
WEEKDAY_BEFORE = re.compile(rf"\b{WEEKDAY},?[ ]\Z")
WEEKDAY_NUMBER = re.compile(
    rf"\b{WEEKDAY}\b\.?,?[ ](?P<day>{_D2})(?=[ ]?,?[ ](?:at|from|@|between)[ ]|[ ]?\)|[ ]?,[ ]\d{{1,2}}(?::\d\d|"
    rf"[ ]?[ap]m)|[ ]?:[ ])"
)
#: `Tuesday 17?`: too late in the day to be an hour.
WEEKDAY_LATE_NUMBER = re.compile(
    rf"\b{WEEKDAY}\b\.?,?[ ](?P<day>3[01]|2\d|1[3-9])(?=[ ]?(?:[,;?!)/]|\.(?!\d)|$|\n)|[ ](?:or|and|is|works?)\b)"
)
LAST_OF_MONTH = re.compile(
    rf"\b(?:the[ ])?last[ ](?P<what>day|{WEEKDAY})[ ](?:of|in)[ ](?:(?:the|this)[ ]month\b|{_MONTH}{_YEAR}?)"
)
_PART_OF_DAY = r"(?:day|morning|afternoon|evening|night)"
_CLOCK_NEXT = (
    r"(?=,?[ ]?-?[ ]?(?:at[ ]|around[ ]|about[ ])?(?:\d|half[ ]|(?:a[ ])?quarter|noon|(?:one|two|three|four|"
    r"five|six|seven|eight|"
    r"nine|ten|eleven|twelve)\b))"
)
DAY_BESIDE = re.compile(
    rf"\bthe[ ](?:(?P<prior>previous|preceding)[ ])?{_PART_OF_DAY}(?(prior)|[ ](?P<side>before|after)){_CLOCK_NEXT}"
)

_N = r"(?:a|an|one|two|three|four|five|six|seven|eight|nine|ten|\d{1,2})"
DAYS_AHEAD = re.compile(
    rf"\b(?:in[ ](?P<n>{_N})[ ](?P<unit>days?|weeks?|fortnights?)(?:'[ ]time)?"
    rf"|(?P<n2>{_N})[ ](?P<unit2>days?|weeks?)[ ](?:from[ ](?:now|today)|hence)|(?P<week>a[ ]week[ ](?:from[ ]|"
    rf"on[ ])?today|today[ ]week))(?!\w)(?![ ](?:or|to)[ ])"
)
TOMORROW_WEEK = re.compile(r"\b(?:a[ ]week[ ](?:from[ ]|on[ ])?tomorrow|tomorrow[ ]week)\b")
DAY_AFTER_TOMORROW = re.compile(r"\b(?:the[ ])?day[ ]after[ ]tomorrow\b|\bovermorrow\b")
#: Not the day of writing, which `today` alone may be.
LATER_TODAY = re.compile(r"\b(?:later|earlier)[ ](?:on[ ])?today\b|\btoday[ ]later\b")
NEXT_DAY = re.compile(
    r"\bthe[ ](?:(?:next|following)[ ]day|day[ ]after)(?=[ ]?(?:[.,;?!)]|$|\n)|[ ](?:at|from|or|and|is|works?|"
    r"would|if|"
    r"in[ ]the|around|between)\b)"
)
TODAY = re.compile(
    r"\btoday(?!'s[ ](?!appointment|meeting|call|visit|session))\b|\btonight\b|\bthis[ ](?:morning|afternoon|"
    r"evening)\b"
)
TOMORROW = re.compile(r"\btomorrow\b|\btmrw\b|\btmr\b")
YESTERDAY = re.compile(r"\byesterday\b|\blast[ ]night\b")
WEEK_FROM_WEEKDAY = re.compile(
    rf"\b(?P<n>a|one|two|1|2)[ ]weeks?[ ](?:from|on|after)[ ](?:(?P<how>this|next|coming)[ ])?(?P<dow>{WEEKDAY})\b"
)
_ABBREVIATED = r"(?:(?:mon|tues?|weds?|thu(?:rs?)?|fri|sat|sun)\b(?P<dot>\.?))"
NAMED_WEEKDAY = re.compile(
    rf"(?<![\w-])(?:(?P<how>this[ ]coming|this|next|coming|upcoming|following|last|past|"
    rf"week)[ ](?:on[ ])?)?(?P<weeklead>(?:next|this)[ ]week(?:'s)?(?:,)?[ ](?:on[ ])?)?"
    rf"(?P<dow>{_LONG_WEEKDAY}|{_ABBREVIATED})(?!['\w])(?!-\w)"
    r"(?P<tail>[ ]week(?!end|day|ly|s)(?![ ]of)|,?[ ](?:of[ ]|in[ ])?(?:the[ ])?(?:next|following|this|"
    r"coming)[ ]week(?!end|day)|[ ]after[ ]next|[ ](?:in[ ])?(?:the[ ])?week[ ]after(?:[ ]next)?|[ ]fortnight)?"
)
WEEKEND = re.compile(r"\b(?P<how>this|next|coming|the)[ ](?:coming[ ])?weekend\b")
BROAD_WEEK = re.compile(
    r"\b(?P<how>this|next|coming|following)[ ]week(?!end|day)\b|\b(?P<after>(?:the[ ])?week[ ]after[ ]next)\b"
)
WEEK_OF = re.compile(
    r"\b(?:week|w/c|wk)[ ](?:of|beginning|commencing|starting|from)[ ](?:on[ ])?(?:the[ ])?\Z|\bw/c[ ]\Z"
)

#: A short weekday is also a word (`sat`, `sun`, `wed`, `mon`), so that its neighbours must make it a day.
BEFORE_SHORT = re.compile(
    r"(?:^|\n|[(\[|,:;*•>-][ ]?|\b(?:on|this|next|coming|by|until|till|for|from|to|or|and|&|either|both|about|is|"
    r"suits?|how[ ]about|the|every|tomorrow|today|between|week|before|after|pm|am|\d|noon|at|days)[ ]|"
    r"\d[ ]?[ap]m[ ]|/|\x00[ ]?)\Z"
)
BEFORE_SURELY = re.compile(r"\b(?:on|next|coming|by|until|till)[ ]\Z")
BEFORE_PERHAPS = re.compile(r"\b(?:this|for)[ ]\Z|[ap]\.?m\.?[ ]\Z|:\d\d[ ]\Z")
AFTER_SHORT = re.compile(
    r"[ ]?[,)\]|:;/?!&.-]|[ ](?:the[ ])?\d|[ ](?:at|from|or|and|between|works?|is|to|morning|afternoon|evening|"
    rf"night|noon|the|of|in|would|suits?|next|for|instead|{'|'.join(_MONTH_NAMES)}|\()|[ ]?$|[ ]?\n|[ ]?\x00"
)
AFTER_RISKY = re.compile(
    rf"[ ]?[,)/&:|][ ]?(?:\d|{'|'.join(_MONTH_NAMES)}|{WEEKDAY}\b|at[ ]\d)|[ ](?:the[ ])?\d|[ ](?:at|"
    rf"from)[ ](?:\d|noon|half|quarter)|"
    rf"[ ](?:{'|'.join(_MONTH_NAMES)})\b|[ ](?:morning|afternoon|evening|night)\b|[ ](?:or|and|&)[ ]{WEEKDAY}\b|"
    rf"[ ]?[?)]"
)
#: `do Sat at 6 pm`, but `we sat at 6 pm`.
AT_A_TIME = re.compile(r"\.?,?[ ](?:at|@)[ ]?\d{1,2}(?::\d\d|[ ]?[ap]\.?m\b)")
WHO_SAT = re.compile(
    r"(?:\b(?:i|we|you|he|she|they|who|all|just|had|have|has|been|be|get|got|will|people|guests|us|and)|"
    r"(?<!doe)s)[ ]\Z"
)
NO_DAY_BEFORE = re.compile(
    r"\b(?:good|black|casual|easter|cyber|ash|palm|super[ ]bowl|ruby|sheffield|every|each|happy|taco|bloody|"
    r"the[ ]same|alternate|most|freaky|any|all|wednesdays?[ ]and)[ ]\Z"
)

#: Between two atoms of one date: `Tuesday, the 3rd`, `tomorrow (Friday)`, `March 3, Tuesday`.
JOINT = re.compile(r"[ ]?[ ,(][ ]?(?:the[ ]|on[ ]the[ ]|on[ ])?(?:\()?|[ ]?-[ ]|,[ ]?\n?|[ ]|\n|/", re.ASCII)
#: A date that bounds a span or lies behind is no appointment.
BOUNDED = re.compile(
    r"(?<!stop )(?<!drop )(?<!come )(?<!swing )(?<!pass )(?<!go )\b(?:by|before|until|till?|after|since|through|"
    r"no[ ]later[ ]than|later[ ]than|prior[ ]to|up[ ]to|as[ ]of|"
    r"last|past|(?:e-?mail|message|note|call|letter|reply|text|request|inquiry|enquiry)[ ](?:of|from)|"
    r"your[ ](?:e-?mail|message|note|letter|reply|text|request)[ ]on|dated|"
    r"(?:from|starting|as[ ]from|beginning)[ ](?=\w+[ ]on\b))(?:[ ](?:the|end[ ]of|close[ ]of|eod|cob|noon|midday|on|"
    r"early|late|\x00+))*[ ]\Z"
)
