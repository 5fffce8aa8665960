"""Put invented people in the place of real ones: names, addresses, numbers and handles, the same each time.

Rules cannot know every name: whoever passes a manifest on reads it first. What is known of the lead (name, address,
number) is replaced wherever it stands; other people are found by how letters greet, sign and introduce.
"""

import re
from collections.abc import Callable, Mapping

_EMAIL = re.compile(r"[\w.+'-]{1,64}(?:@|%40)[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"')\]]+", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=//)[^/@\s]+@")
#: Paths under which sites keep people: what follows names one.
_PROFILE = re.compile(r"(/(?:in|u|user|users|profile|people|pub)/)[^/?#\s]+", re.IGNORECASE)
_PROFILE_HOST = re.compile(
    r"((?:twitter|x|github|instagram|facebook|t)\.(?:com|me)/)(?!in/|u/|user/|users/|profile/|people/|pub/)[^/?#\s]+",
    re.IGNORECASE,
)
_QUERY_NAME = re.compile(r"([?&](?:name|first_?name|last_?name|user|username|phone|tel)=)[^&#\s]+", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?:T[\d:.+Z-]+)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{1,2}-\d{1,2}-\d{4}")
_PHONE = re.compile(r"(?<![\w.,:])(?:\+|00)?\(?\d[\d\s().\-/]{5,20}\d(?![\w:])")
_HANDLE = re.compile(r"(?<![\w.@/])@\w[\w.]{1,38}\w")
_STREET = re.compile(
    r"\b\d{1,5}[a-z]?\s+(?:[A-ZÀ-Þ][\w'.-]*\s+){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct"
    r"|Way|Place|Pl|Square|Sq)\b\.?|\b[A-ZÄÖÜ][\wäöüß-]*(?:straße|strasse|str\.|weg|allee|platz|gasse)\s+\d{1,4}[a-z]?\b"
    r"|\b\d{1,4},?\s+(?:rue|avenue|boulevard|place)\s+[\w' -]{2,40}"
)
_POSTCODE = re.compile(r"\b[A-Z]{2}\s\d{5}(?:-\d{4})?\b|\b[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}\b")
_PARTICLES = r"(?:(?:van|von|de|da|del|der|di|bin|al|la|le)[ \t]+){0,2}"
_NAME = rf"[A-ZÀ-Þ][\w'\u2019-]*(?:[ \t]+{_PARTICLES}[A-ZÀ-Þ][\w'\u2019-]*){{0,3}}"
_TITLED = re.compile(rf"\b((?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Herrn?|Frau)\.?[ \t]+)({_NAME})")
_GREETED = re.compile(
    rf"(^[ \t>]*(?i:hi|hello|hey|dear|good morning|good afternoon|hallo|liebe[r]?|sehr geehrte[r]?"
    rf"|bonjour|hola|guten tag)[ \t]+)({_NAME})",
    re.MULTILINE,
)
_INTRODUCED = re.compile(
    rf"(\b(?i:my name is|i am|i'm|i\u2019m|this is|ask(?: for)?|contact|write to|talk to|speak (?:to|with)|colleague"
    rf"|called|name's|ich bin|mein name ist)[ \t]+)({_NAME})"
)
_SIGNED = re.compile(
    rf"((?:^|\n)[ \t]*(?i:(?:kind|best|warm|many)?[ \t]*(?:regards|wishes|thanks)|thank you|cheers|best|sincerely|yours"
    rf"|viele gr[üu](?:ß|ss)e|mit freundlichen gr[üu](?:ß|ss)en|cordialement|saludos)[ \t]*[,.!]?"
    rf"[ \t]*\n+[ \t]*)({_NAME})"
)
_IN_CONTEXT = (_TITLED, _GREETED, _INTRODUCED, _SIGNED)
_REPEATED = re.compile(r"\b((?:Lead|Person) \d+)(?:\s+\1)+\b")
#: Words that stand where a name may stand, and are none.
_NO_NAME = re.compile(
    r"there|team|all|everyone|everybody|sir|madam|sirs|folks|i|we|you|the|this|that|not|sorry|interested|happy|glad|mr|mrs|ms|miss|mx|dr|prof|herrn?|frau"
    r"|available|lead|person|kind|best|thanks|regards|support|sales|will|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|january|february|march|april|may|june|july|august|september|october|november|december",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{3,}")


class Masker:
    """Gives each person a placeholder, in the order in which people are met, and uses it for ever."""

    def __init__(self) -> None:
        self._leads: dict[str, int] = {}
        self._given: dict[tuple[str, str], str] = {}
        self._known: dict[str, str] = {}
        self._people: dict[str, str] = {}

    def lead(self, key: str, *, name: str | None, address: str | None) -> int:
        """Know a lead from now on; gives its number. `key` is the same for the same person."""
        number = self._leads.setdefault(key, len(self._leads) + 1)
        placeholder = f"Lead {number}"
        local = (address or "").partition("@")[0]
        for known in (name or "", *_WORD.findall(name or ""), *_WORD.findall(local if not local.isdigit() else "")):
            if len(known.strip()) >= 3 and not _NO_NAME.fullmatch(known.strip()):
                self._known.setdefault(known.strip().lower(), placeholder)
        if address:
            self._given.setdefault(("address", address.lower()), self._address(address, number))
        return number

    def meet(self, text: str) -> None:
        """Know the people whom a text greets, introduces or is signed by: they are replaced wherever they stand."""
        for pattern in _IN_CONTEXT:
            for found in pattern.finditer(text):
                name = found.group(2)
                if self._is_a_name(name):
                    placeholder = self._other("person", name)
                    for word in _WORD.findall(name):
                        if not _NO_NAME.fullmatch(word) and word[0].isupper():
                            self._people.setdefault(word, placeholder)

    def address(self, address: str) -> str:
        """The placeholder of an address: an e-mail address, a number, or a handle, whichever it was."""
        number = len(self._given) + 1
        return self._given.setdefault(("address", address.lower()), self._address(address, number))

    def text(self, text: str) -> str:
        """The text with placeholders."""
        masked = _URL.sub(lambda found: self._url(found.group()), text)
        masked = _EMAIL.sub(lambda found: self._email(found.group()), masked)
        masked = self._between_dates(masked, self._phones)
        masked = _HANDLE.sub(lambda found: f"@{self._other('handle', found.group())}", masked)
        masked = _STREET.sub("1 Example Street", masked)
        masked = _POSTCODE.sub("XX 00000", masked)
        masked = self._known_names(masked)
        for pattern in _IN_CONTEXT:
            masked = pattern.sub(self._named, masked)
        return masked

    def url(self, url: str) -> str:
        """The address of a page without the people in it."""
        return _EMAIL.sub(lambda found: self._email(found.group()), self._url(url))

    def _url(self, url: str) -> str:
        masked = _USERINFO.sub("", url)
        masked = _PROFILE.sub(lambda found: found.group(1) + self._other("handle", found.group()), masked)
        masked = _PROFILE_HOST.sub(lambda found: found.group(1) + self._other("handle", found.group()), masked)
        masked = _QUERY_NAME.sub(lambda found: found.group(1) + self._other("handle", found.group()), masked)
        return _each({name: who.lower().replace(" ", "-") for name, who in self._known.items()}, masked, re.IGNORECASE)

    def _email(self, address: str) -> str:
        return self.address(address.replace("%40", "@"))

    def _address(self, address: str, number: int) -> str:
        if "@" in address:
            known = self._known.get(next(iter(_WORD.findall(address.partition("@")[0])), "").lower())
            return f"{known.lower().replace(' ', '')}@example.com" if known else f"lead{number}@example.com"
        digits = sum(letter.isdigit() for letter in address)
        return f"+1555{100 + number:04d}" if digits >= 7 else f"lead-{number}"

    def _between_dates(self, text: str, change: Callable[[str], str]) -> str:
        """Change the text apart from its dates, which look like telephone numbers."""
        parts, at = [], 0
        for date in _DATE.finditer(text):
            parts += [change(text[at : date.start()]), date.group()]
            at = date.end()
        return "".join([*parts, change(text[at:])])

    def _phones(self, text: str) -> str:
        def placeholder(found: re.Match[str]) -> str:
            digits = re.sub(r"\D", "", found.group())
            if not 7 <= len(digits) <= 15:
                return found.group()
            number = self._given.setdefault(("phone", digits), str(len(self._given) + 1))
            return f"+1 555 {100 + int(number):04d}"

        return _PHONE.sub(placeholder, text)

    def _known_names(self, text: str) -> str:
        masked = _each(self._known, text, re.IGNORECASE)
        masked = _each({word: who for word, who in self._people.items() if word.lower() not in self._known}, masked)
        return _REPEATED.sub(r"\1", masked)

    def _named(self, found: re.Match[str]) -> str:
        before, name = found.group(1), found.group(2)
        return f"{before}{self._other('person', name)}" if self._is_a_name(name) else found.group()

    def _is_a_name(self, words: str) -> bool:
        return not _NO_NAME.fullmatch(words.split(maxsplit=1)[0].rstrip(".,"))

    def _other(self, kind: str, what: str) -> str:
        """The placeholder of somebody who is not the lead, or whose link to the lead nobody knows."""
        count = sum(known == kind for known, _ in self._given) + 1
        made = f"Person {count}" if kind == "person" else f"person-{count}"
        return self._given.setdefault((kind, what.lower()), made)


def _each(names: Mapping[str, str], text: str, flags: re.RegexFlag = re.NOFLAG) -> str:
    """The text with each of the names replaced, longer ones first."""
    if not names:
        return text
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    pattern = re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])", flags)
    return pattern.sub(lambda found: names.get(found.group()) or names[found.group().lower()], text)
