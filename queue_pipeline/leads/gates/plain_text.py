"""The plain text is a draft as a reader perceives it, lower-case and without invisible characters, that knows the
place of each of its letters in the draft."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

#: Stands for what must not be read: no word character, no space, no punctuation of the grammar.
MASK = "\x00"
_SINGLE = str.maketrans(
    dict.fromkeys("\u2018\u2019\u02bc\u2032", "'") | dict.fromkeys("\u201c\u201d\u201e\xab\xbb", '"')
)
_ASCII = {"\t": " ", "\v": " ", "\f": " ", "\n": "\n", "`": "'"}
_UNSEEN = {"Cf", "Cc", "Cs", "Mn", "Me"}
#: `2º 1ª` is a door in Spain; its letters are not those of `1 a.m.`.
_ORDINAL_SIGNS = {"ª", "º"}
_PLAIN_OF_KIND = {"Zs": " ", "Zl": "\n", "Zp": "\n", "Pd": "-"}
_QUOTED_LINE = re.compile(r"^[ ]?>[^\n]*", re.MULTILINE)
_WROTE = (
    r"(?:on|am|le|el|op|il|em|den|w dniu|dnia) [^\n]{4,200}\n?[^\n]{0,100}\b(?:wrote|a écrit|escribió|ha scritto|"
    r"escreveu|(?:schrieb|schreef|skrev|napisał)\w*[^\n]{0,100})[ ]?:"
)
_FROM = r"\*{0,2}(?:from|von|de|da|van|od|från|fra)[ ]?:\*{0,2} [^\n]{1,200}\n"
_SENT = (
    r"\*{0,2}(?:sent|date|to|gesendet|datum|an|envoyé(?: le)?|à|enviado(?: el)?|fecha|para|inviato|data|a|verzonden|"
    r"aan|skickat|sendt|til|till|wysłano|do)[ ]?:"
)
_FORWARDED = (
    r"-{2,}\s?(?:(?:original|forwarded) message|(?:ursprüngliche|weitergeleitete) nachricht|message d'origine|"
    r"mensaje original|messaggio originale|mensagem original|oorspronkelijk bericht)"
)
_QUOTED_TAIL = re.compile(
    rf"^[ ]?(?:{_WROTE}|{_FORWARDED}|_{{10,}}\s*\n(?:from|von|de|da|van):|{_FROM}{_SENT})", re.MULTILINE
)
_SIGNATURE = re.compile(r"^-- ?$", re.MULTILINE)


@dataclass(frozen=True)
class PlainText:
    """A text, its plain form, and for each plain letter the index of the letter that it comes from."""

    original: str
    plain: str
    origin: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where plain[start:end] stands in the original."""
        if not self.origin:
            return 0, 0
        last = min(max(end - 1, start), len(self.origin) - 1)
        return self.origin[min(start, len(self.origin) - 1)], self.origin[last] + 1

    def masked(self, spans: list[tuple[int, int]]) -> "PlainText":
        """The same text in which these plain spans cannot be read; line ends stay."""
        letters = list(self.plain)
        for start, end in spans:
            letters[start:end] = [letter if letter == "\n" else MASK for letter in letters[start:end]]
        return PlainText(self.original, "".join(letters), self.origin)


@lru_cache(maxsize=32)
def plain_text(original: str) -> PlainText:
    """Fold case, width, dashes, quotes and spaces; drop what has no width; keep line ends."""
    letters: list[str] = []
    origin: list[int] = []
    last = "\n"
    for index, letter in enumerate(original):
        for folded in _folded(letter):
            if folded == " " and last in " \n":
                continue
            letters.append(folded)
            origin.append(index)
            last = folded
    return PlainText(original, "".join(letters), tuple(origin))


def quoted(text: PlainText) -> list[tuple[int, int]]:
    """The plain spans that repeat somebody's earlier message."""
    spans = [match.span() for match in _QUOTED_LINE.finditer(text.plain)]
    tail = _QUOTED_TAIL.search(text.plain)
    return [*spans, (tail.start(), len(text.plain))] if tail else spans


def signature(text: PlainText) -> list[tuple[int, int]]:
    """The plain span after a signature mark, if there is one."""
    mark = _SIGNATURE.search(text.plain)
    return [(mark.start(), len(text.plain))] if mark else []


@lru_cache(maxsize=4096)
def _folded(letter: str) -> str:
    if letter.isascii():
        return _ASCII.get(letter, letter.lower() if letter >= " " else "")
    kind = unicodedata.category(letter)
    if kind in _UNSEEN:
        return ""
    if kind in _PLAIN_OF_KIND:
        return _PLAIN_OF_KIND[kind]
    if letter in _ORDINAL_SIGNS:
        return letter
    return "-" if letter == "\u2212" else unicodedata.normalize("NFKC", letter).translate(_SINGLE).lower()
