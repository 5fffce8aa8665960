"""What a clause does with the times in it: promises, offers, asks, rejects, or speaks of something else."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

from queue_pipeline.leads.gates.plain_text import MASK, PlainText
from queue_pipeline.leads.gates.words import says

#: `a.m.`, `p.m.`, `e.g.`, `Dr.`, `Feb.`, `10.`: a dot that ends no sentence where something small follows.
_ABBREVIATED = re.compile(
    r"(?:\b(?:[ap]\.m|e\.g|i\.e|etc|vs|dr|mr|mrs|ms|st|ave|blvd|rd|no|nr|approx|min|hrs?|jan|feb|mar|apr|jun|jul|"
    r"aug|sept?|oct|nov|dec|mon|tues?|"
    r"wed|thu(?:rs?)?|fri|sat|sun|tel|ext|jr|sr|inc|ltd|co)|\b[a-z]|(?<!\d)\d{1,2}\.\d{1,2}|\A\d{1,2}|\n[ ]?\d{1,2})\Z"
)
_BREAK = re.compile(r"[.!?…]+[\"')\]]*(?=\s|$|\x00)|;|\n[ ]?\n|\s-\s-?(?=[a-z])|,?[ ]but[ ]|\n(?=[ ]?[-*•][ ])")
_LENGTH_MAX = 800
#: How far before a time or date the word stands that moves something away from it.
_MOVED_WITHIN = 160
_PIECE = re.compile(
    r",(?![ ]?\d{4}\b)|[()]|\band\b|\bor\b|\bhowever\b|\bso\b|\bthough\b|\bbecause\b|\bsince\b|\bwhile\b|[ ]-[ ]|"
    r":(?!\d)|\n"
)


@dataclass(frozen=True)
class Clause:
    """A stretch of plain text in which a time and a date may belong together."""

    start: int
    end: int
    text: str
    question: bool

    @cached_property
    def commits(self) -> bool:
        """Whether it says that something is arranged."""
        return says("commitment", self.text) and not says("no_commitment", self.text)

    @cached_property
    def offers(self) -> bool:
        """Whether it says or asks that something be arranged, or that a time is free."""
        return says("offer", self.text)

    def refuses(self, start: int, end: int) -> bool:
        """Whether it says of a place, given in the coordinates of the whole text, that this will not be."""
        before = self.text[max(0, start - self.start - _MOVED_WITHIN) : start - self.start]
        return says("rejection", self.piece(start, end)) or ("from" in before and says("moved_from", before))

    def piece(self, start: int, end: int) -> str:
        """The part between commas and conjunctions around a place, given in the coordinates of the whole text."""
        begins, ends, texts = self._pieces
        low, high = bisect_right(begins, start - self.start) - 1, bisect_left(ends, end - self.start, hi=len(ends) - 1)
        if (low, high) not in texts:
            texts[low, high] = self.text[begins[low] : ends[high]]
        return texts[low, high]

    @cached_property
    def _pieces(self) -> tuple[list[int], list[int], dict[tuple[int, int], str]]:
        """Where the pieces begin, where they end, and the texts from one to another that were asked for."""
        cuts = [cut.span() for cut in _PIECE.finditer(self.text)]
        return [0, *(after for _, after in cuts)], [*(before for before, _ in cuts), len(self.text)], {}


class Clauses(Sequence[Clause]):
    """The clauses of a text in order, found by a place in it."""

    def __init__(self, found: Sequence[Clause]) -> None:
        self._found = found
        self._starts = [clause.start for clause in found]

    @overload
    def __getitem__(self, index: int) -> Clause: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Clause]: ...

    def __getitem__(self, index: int | slice) -> Clause | Sequence[Clause]:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def at(self, place: int) -> Clause:
        """The clause that holds a place of the text."""
        return self._found[max(0, bisect_right(self._starts, place) - 1)]

    def before(self, clause: Clause, count: int) -> Sequence[Clause]:
        """Up to `count` clauses before this one, the nearest first."""
        here = bisect_left(self._starts, clause.start)
        return self._found[max(0, here - count) : here][::-1]

    def after(self, clause: Clause) -> Clause | None:
        """The clause that follows."""
        place = bisect_right(self._starts, clause.start)
        return self._found[place] if place < len(self._found) else None


def clauses(text: str, cased: PlainText | None = None, whole: Iterable[tuple[int, int]] = ()) -> Clauses:
    """The clauses that cover a plain text. `cased` tells capitals; spans in `whole` are not cut: `7. April`."""
    found: list[tuple[int, int]] = []
    start = 0
    kept = {place for low, high in whole for place in range(low, high - 1)}
    for cut in _BREAK.finditer(text):
        if cut.start() in kept:
            continue
        if cut.group()[0] == "." and _goes_on(text, cut, cased):
            continue
        found += _pieces(text, start, cut.end(), kept)
        start = cut.end()
    found += _pieces(text, start, len(text), kept)
    return Clauses([_clause(text, *piece) for piece in found])


def _pieces(text: str, start: int, end: int, kept: set[int]) -> Iterator[tuple[int, int]]:
    """A clause, in pieces where it is longer than anybody writes, so that work stays linear."""
    while end - start > _LENGTH_MAX:
        cut = next(
            (place for place in range(start + _LENGTH_MAX, start, -1) if text[place] == " " and place not in kept), 0
        )
        cut = cut or start + _LENGTH_MAX
        yield start, cut
        start = cut
    if end > start:
        yield start, end


def _clause(text: str, start: int, end: int) -> Clause:
    own = text[start:end]
    return Clause(start, end, own, own.rstrip().rstrip("\"')").endswith("?"))


def _goes_on(text: str, cut: re.Match[str], cased: PlainText | None) -> bool:
    before = text[max(0, cut.start() - 12) : cut.start()]
    if not _ABBREVIATED.search(before):
        return False
    ahead = text[cut.end() : cut.end() + 24].lstrip(" ")
    if not ahead or ahead[0] == "\n":
        return False
    if before.endswith(".m"):
        if cased and cased.original[cased.origin[text.index(ahead, cut.end())]].islower():
            return True
        return bool(
            re.match(
                rf"[,(\d{MASK}-]|(?:on|to|or|and|this|next|in|for|at|et|est|edt|ct|cst|pt|pst|cet|gmt|utc|mon|"
                rf"tue|wed|thu|fri|sat|sun)",
                ahead,
            )
        )
    return True
