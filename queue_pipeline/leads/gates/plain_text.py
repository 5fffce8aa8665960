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
_PLAIN_OF_KIND = {"Zs": " ", "Zl": "\n", "Zp": "\n", "Pd": "-"}
_QUOTED_LINE = re.compile(r"^[ ]?>[^\n]*", re.MULTILINE)
_QUOTED_TAIL = re.compile(
    r"^[ ]?(?:on [^\n]{4,200}\n?[^\n]{0,100}\bwrote:|-{2,}\s?(?:original|forwarded) message|_{10,}\s*\nfrom:|"
    r"from: [^\n]{1,200}\n(?:sent|date|to): )",
    re.MULTILINE,
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
    return "-" if letter == "\u2212" else unicodedata.normalize("NFKC", letter).translate(_SINGLE).lower()
