"""What a reader or his software undoes before a link can be followed, and no library does: hxxp, [.] and (dot), dots
and slashes in words, entities, percent signs in hosts, backslashes. Letters without width and of full width are gone
from the plain text already."""

import html
import re
import unicodedata
from collections.abc import Callable, Iterator

from queue_pipeline.leads.gates.plain_text import PlainText

_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});")
_ESCAPED = re.compile(r"\\(?=[._-])")
_BACKSLASH = re.compile(r"\\")
_HTTP = re.compile(
    r"(?<![a-z0-9+])h(?:tt|xx)p(?P<s>s?)(?::/{0,4}|\s?\[?(?::|colon)\]?\s?\[?(?://|slash slash)\]?\s?)(?=[\w\[%])"
)
_ENDING = r"(?:com|net|org|io|co|app|me|link|example|test)"
_DOT = re.compile(
    r"(?:\s?[\[({<]\s?(?:dot|\.)\s?[\])}>]\s?|"
    r"(?<!\bthe)(?<!\ba)(?<!\ban)(?<!\bthis)(?<!\bthat)(?<!\bof)(?<!\bor)(?<!\band)"
    rf"(?:\sdot\s|\s\.\s?(?={_ENDING}\b)|\.\s(?={_ENDING}\s?/))|%2e)"
)
_SPELLED_SLASH = re.compile(r"(?:\s?[\[({]\s?(?:slash|/)\s?[\])}]\s?|\s(?:forward )?slash\s)")
_SLASH = re.compile(rf"{_SPELLED_SLASH.pattern}|\s?/\s?(?=\w)")
_HOST_AND_PATH = re.compile(
    rf"(?<![\w.@-])(?P<host>[\w-]{{2,63}}(?:(?:{_DOT.pattern}|\.)[\w-]{{2,63}}){{1,6}})"
    rf"(?P<path>(?:(?:{_SLASH.pattern})[\w~%.-]{{1,80}}){{0,8}})"
)
_CJK_DOT = re.compile(r"(?<=\w)\u3002(?=\w)")
#: Marks that a library takes for a part of a link, though they end or begin one: emphasis, a table's or Slack's bar.
_MARKS = re.compile(r"\||(?<![\w/.=?&#-])[_~*]+(?=\w)")
#: `Site:acme.example`, `[ada@acme.example]`, `name@acme.example/page`; what has a scheme stays as it is.
_GLUED = re.compile(
    r"(?P<kept>(?<![a-z0-9+])(?:[a-z][a-z0-9+.-]{1,15}:/|(?:mailto|javascript|vbscript|data):)[^\s<>\"')\]]*)|"
    r"(?P<userinfo>(?<![\w.+%/:-])[\w.+%-]{1,64}(?::[^\s@/<>]{1,60})?@(?=(?:[\w-]{1,63}\.){1,8}[\w-]{2,63}[:/?#]\w))|"
    r"(?P<mail>(?<![a-z0-9_.+/=?&-])(?=[a-z0-9_.+-]{1,64}@\w))|"
    r"(?P<colon>(?<=[a-z]):(?=[\w-]{1,63}\.\w))"
)
_GLUE = {"userinfo": " //", "mail": " ", "colon": " "}

#: Start and end of what is replaced, and by what.
_Edit = tuple[int, int, str]


def undisguised(text: str) -> PlainText:
    """A plain text with every disguise of a link undone; the places of its letters are those in the plain text."""
    seen = PlainText(text, text, tuple(range(len(text))))
    for pattern, edits in _RULES:
        seen = _edited(seen, [edit for match in pattern.finditer(seen.plain) for edit in edits(match)])
    return seen


def _edited(text: PlainText, edits: list[_Edit]) -> PlainText:
    """The text with the edits made; the first letters of a replacement stand for the same letters, the last for all
    that are left."""
    if not edits:
        return text
    letters: list[str] = []
    origin: list[int] = []
    last = 0
    for start, end, new in edits:
        letters += text.plain[last:start], new
        origin += text.origin[last:start]
        under = text.origin[start : max(end, start + 1)]
        origin += [under[min(index, len(under) - 1)] for index in range(len(new) - 1)] + [under[-1]] * bool(new)
        last = end
    return PlainText(text.original, "".join(letters) + text.plain[last:], (*origin, *text.origin[last:]))


def _always(new: str) -> Callable[[re.Match[str]], Iterator[_Edit]]:
    def edits(match: re.Match[str]) -> Iterator[_Edit]:
        yield *match.span(), new

    return edits


def _entity(match: re.Match[str]) -> Iterator[_Edit]:
    seen = unicodedata.normalize("NFKC", html.unescape(match[0])).lower()
    yield *match.span(), "".join(one for one in seen if unicodedata.category(one) not in ("Cc", "Cf", "Mn", "Me"))


def _http(match: re.Match[str]) -> Iterator[_Edit]:
    new = f"http{match['s']}://"
    if new != match[0]:
        yield *match.span(), new


def _host_and_path(match: re.Match[str]) -> Iterator[_Edit]:
    """`evil dot com slash book`; ` / ` is a slash of the path only where the host is spelled out too."""
    dots = [(*dot.span(), ".") for dot in _DOT.finditer(match.string, *match.span("host"))]
    if dots or _SPELLED_SLASH.match(match["path"]):
        yield from dots
        yield from ((*slash.span(), "/") for slash in _SLASH.finditer(match.string, *match.span("path")))


def _glue(match: re.Match[str]) -> Iterator[_Edit]:
    if match.lastgroup in _GLUE:
        yield match.start(), match.start() if match.lastgroup == "userinfo" else match.end(), _GLUE[match.lastgroup]


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Iterator[_Edit]]], ...] = (
    (_ENTITY, _entity),
    (_ESCAPED, _always("")),
    (_BACKSLASH, _always("/")),
    (_HTTP, _http),
    (_CJK_DOT, _always(".")),
    (_HOST_AND_PATH, _host_and_path),
    (_MARKS, _always(" ")),
    (_GLUED, _glue),
)
