"""The parts of which the patterns for a time of day are made: hours, minutes, and what may stand around them."""

from types import MappingProxyType

ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_MINUTES = MappingProxyType(
    {
        "five": 5, "oh five": 5, "o five": 5, "ten": 10, "fifteen": 15, "twenty": 20, "twenty five": 25, "thirty": 30,
        "thirty five": 35, "forty": 40, "forty five": 45, "fifty": 50, "fifty five": 55,
    }
)  # fmt: skip
NUMBERS = MappingProxyType({**{word: number for number, word in enumerate(ONES, 1)}, **_MINUTES})
FRACTIONS = MappingProxyType({"half": 30, "quarter": 15, "a quarter": 15})

H = r"(?:2[0-4]|1\d|0?\d)"
HW = rf"(?:{H}|{'|'.join(ONES)})"
MM = r"[0-5]\d"
MW = r"(?:(?:oh|o)[ -]five|(?:twenty|thirty|forty|fifty)(?:[ -]five)?|fifteen|ten)"
MER = r"(?:[ap]\.[ ]?m\.(?![\w'])|[ap]\.?[ ]?m(?![\w'])|noon\b|midday\b|midnight\b)"
#: Nothing before a number that would make it a part of something else.
FREE = r"(?<![\w:.,/$€£¥#\x00+%])(?<!\d-)(?<!\w')"
FREE_DASH = r"(?<![\w:./$€£¥#\x00+%])(?<!\d,)(?<!\w')"
END = r"(?![\w%€$£\x00])(?![.,:/]\d)(?![ ]?(?:%|€|\$|£|°))"
UNIT = (
    r"(?:[ -]?(?:hours?|hrs?|minutes?|mins?|seconds?|secs?|days?|weeks?|months?|years?|yrs?|people|persons?|guests?|"
    r"percent|per[ ]cent|pct|stars?|euros?|dollars?|pounds?|usd|eur|gbp|chf|bucks|miles?|km|kilometers?|kilometres?|"
    r"meters?|metres?|points?|options?|slots?|seats?|tickets?|rooms?|bed|bedrooms?|baths?|times|x\b|pages?|sq|"
    r"degrees?|"
    r"mm|cm|kg|lbs?|gb|mb|adults?|kids|children|of|out[ ]of|more|other|others|locations?|steps?|items?|units?)\b)"
)

WEEKDAYS = r"mon(?:day)?|tue(?:s|sday)?|wed(?:s|nesday)?|thu(?:rs?|rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"
MONTHS = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?"
)
ZONE_WORD = r"e[sd]?t|c[sd]?t|m[sd]t|p[sd]?t|mt|gmt|utc|bst|cest|eest|eet|eastern|central|mountain|pacific"
#: What may follow a bare hour, so that `at 3` is a time and `at 3 locations` is none.
FOLLOWER = (
    r"(?=[ ]?\n|[ ]?$|[ ]?[.!?](?:[\s\"')]|$)|[ ]?[,;:)\]\"](?!\d)|[ ]-[ ]|-ish\b|ish\b|[ ]?\x00|[ ]\(|"
    r"[ ](?:on|at|from|in(?![ ](?:\d|a[ ]row\b|one|two|three|four|five|six|seven|eight|nine|ten)\b)|"
    r"to(?![ ]?\d)|today|tomorrow|"
    r"tonight|this|next|coming|or|and|but|if|is|are|was|it|i|we|you|he|she|they|works?|would|will|be|for|with|then|"
    r"instead|as|so|because|since|when|while|local|your|our|sharp|okay|ok|suits?|sounds?|should|can|could|please|"
    r"thanks|exactly|onwards?|does|do|has|have|the|that|which|who|too|again|still|already|rather|here|there|by|"
    r"via|over|under|near|outside|inside|until|till|before|after|just|right|not|now|also|once|unless|depending|"
    r"though|"
    r"although|either|how|what|where|why|thank|cheers|regards|let|let's|there's|there'll|his|her|their|my|any|anyway|"
    r"alone|along|most|every|each|usually|max|tops|gives|leaves|mr|mrs|ms|dr|prof|latest|earliest|might|must|"
    r"shall|won't|isn't|doesn't|great|good|fine|perfect|"
    r"looking|about|per[ ]your|see|these|those|he's|she's|they're|it's|that's|we're|you're|i'm|i'd|i'll|we'll|you'll|"
    rf"{WEEKDAYS}|{MONTHS}|{ZONE_WORD})\b)"
)
_SMALL_WORD = r"(?:at|in|on|with|for|by|to|from|and|or|near|via|is|as|if|then|your|our|my|the|please|it|we|you|i)\b"
NO_STREET = (
    rf"(?![, ]{{1,2}}(?:(?!{_SMALL_WORD})[a-z.'-]+[ ]){{1,3}}"
    r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|way|square|crescent|cres|parade|pde|"
    r"highway|hwy|"
    r"parkway|pkwy|circuit|court|place|plaza|row|floor|terrace)\b)"
)
BARE_END = rf"(?!(?!ish\b)[\w%€$£])(?![.,:/-]\d){NO_STREET}(?!{UNIT}){FOLLOWER}"
BARE_H = r"(?:2[0-3]|1\d|0?[1-9])"
BARE_HW = rf"(?:{BARE_H}|{'|'.join(ONES)})"
TO = r"[ \n]?(?:->|→|-|/|to|till?|until|through|thru)[ \n]?"
