"""HTML that anybody may have written, as text. Linear in its length, which `html.parser` is not: a reply with 60,000
unfinished comments kept it busy for half a minute.
"""

import html
import re
from collections.abc import Iterator

_BREAKS = frozenset(
    {"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "table", "blockquote", "pre", "hr"}
)
#: What is inside these is never shown; browsers read it up to the end tag of the same name, whatever else is there.
_SILENT = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in ("script", "style", "title", "template")}
_TAG_NAME = re.compile(r"/?([A-Za-z][^\s/>]{0,100})")
_TAG_PART = re.compile(r"[\"'>]")
#: Python refuses to read such numbers; no character has one.
_HUGE_REFERENCE = re.compile(r"&#(?:\d{8,}|[xX][0-9A-Fa-f]{8,});?")


def text_of_html(markup: str) -> str:
    """What a reader sees, roughly: a new line for each block, at most one empty line in a row, no scripts or styles."""
    plain = html.unescape(_HUGE_REFERENCE.sub("\ufffd", "".join(_pieces(markup))))
    return re.sub(r"[ \t]+", " ", re.sub(r"\n\s*\n+", "\n\n", plain)).strip()


def _pieces(markup: str) -> Iterator[str]:
    """Text and line breaks, in order. Every step looks only at what no earlier step consumed."""
    tags = _Tags(markup)
    at = 0
    while (start := markup.find("<", at)) >= 0:
        yield markup[at:start]
        name = _TAG_NAME.match(markup, start + 1)
        if markup.startswith("<!--", start):
            end = markup.find("-->", start + 2)
            at = len(markup) if end < 0 else end + 3
        elif name is not None:
            at = tags.end(start)
            tag = name[1].lower()
            if tag in _BREAKS and markup[start + 1] != "/":
                yield "\n"
            if tag in _SILENT and markup[start + 1] != "/":
                close = _SILENT[tag].search(markup, at)
                at = len(markup) if close is None else close.start()
        elif markup.startswith(("<!", "<?", "</"), start):
            end = markup.find(">", start)
            at = len(markup) if end < 0 else end + 1
        else:
            yield "<"
            at = start + 1
    yield markup[at:]


class _Tags:
    """Finds where tags end. A quote that is never closed is noticed once; from then on quotes count for nothing."""

    def __init__(self, markup: str) -> None:
        self._markup = markup
        self._quotes_pair_up = True

    def end(self, start: int) -> int:
        """The position after the tag that begins at `start`; the end of the text when it never ends."""
        if self._quotes_pair_up:
            found = self._end_outside_quotes(start)
            if found is not None:
                return found
            self._quotes_pair_up = False
        close = self._markup.find(">", start)
        return len(self._markup) if close < 0 else close + 1

    def _end_outside_quotes(self, start: int) -> int | None:
        at = start
        while (part := _TAG_PART.search(self._markup, at)) is not None:
            if part[0] == ">":
                return part.end()
            close = self._markup.find(part[0], part.end())
            if close < 0:
                return None
            at = close + 1
        return None
