"""Links as a reader's software would follow them: `linkify-it-py` finds them once their disguise is undone. Only for
hosts behind `://` we tell it more than it knows, since it stops at `_`, `%` and `[` where a browser goes on."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from linkify_it import LinkifyIt  # type: ignore[import-untyped]
from linkify_it.tlds import TLDS  # type: ignore[import-untyped]

from queue_pipeline.leads.gates.disguises import undisguised
from queue_pipeline.leads.gates.plain_text import PlainText, plain_text
from queue_pipeline.leads.gates.words import members

#: The library compares its patterns with up to this many letters at once: unclosed brackets cost it their square.
_WINDOW = 2_000
_LABELS_MAX = 10
_AUTHORITY = (
    r"(?:[^\s@/?#<>\"'()\[\]]{1,60}@)?"
    r"(?:\[[0-9a-f:.]{2,45}\]|(?:[\w%-]|[^\s\x00-\x7f])(?:(?:[\w.%-]|[^\s\x00-\x7f]){0,251}[\w%])?)(?::\d{1,5})?"
)
_SCHEME_BEFORE = re.compile(r"[a-z][a-z0-9+.-]{0,15}:\Z")
_HAS_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:/|(?:javascript|vbscript|data|mailto|tel):")
_IP = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
#: Top-level domains that are also English words or endings of files.
_WORD_ENDINGS = members("word_endings")
_FILE_ENDINGS = members("file_endings")
_POINTING = re.compile(
    r"(?:\b(?:visit|go to|head (?:over )?to|check out|browse|open|at|via|through|see|website|site|page|online|"
    r"link|url|here|is|on|to|using)\b|[:>(])[ ]?\Z|\A[ ]?\Z|\n[ ]?\Z"
)
_WHEN = re.compile(r"\d.*|.*day|tomorrow|noon|midnight|tonight|.*morning|.*afternoon|.*evening|.*week")
_TRACKING = re.compile(r"(?:utm_\w+|gclid|fbclid|mc_[ce]id|_hsenc|_hsmi|msclkid|igshid)\Z")
_USUAL_PORTS = {"http": ("80",), "https": ("443",), "": ("80", "443")}
_TRAILING = ".,;:!?…'\"*_~`>\u3002"


@dataclass(frozen=True)
class Address:
    """A link without what does not matter: who serves it, under which path, asked what."""

    scheme: str
    host: str
    port: str
    path: tuple[str, ...]
    query: frozenset[tuple[str, str]]
    userinfo: bool

    @property
    def bare(self) -> bool:
        """Whether it names a host and nothing on it."""
        return not self.path and not self.query


@dataclass(frozen=True)
class Link:
    """A link in a plain text; `spelled` is what it says once its disguise is undone."""

    start: int
    end: int
    kind: str
    spelled: str

    @property
    def address(self) -> Address:
        """Where it leads."""
        return _parsed(self.spelled)


def links_in(text: PlainText) -> list[Link]:
    """Every link, mail address and mention of a host, in order and without overlap."""
    seen = undisguised(text.plain)
    found = []
    for schema, start, end in _matches(seen.plain):
        link = _link(seen.plain, schema, start, end)
        if link:
            found.append(Link(*seen.span(link.start, link.end), link.kind, link.spelled))
    return found


def is_disguised(text: PlainText, link: Link) -> bool:
    """Whether letters without width, or control characters, stand inside the link."""
    start, end = text.span(link.start, link.end)
    return any(
        unicodedata.category(letter) in ("Cf", "Cc", "Mn", "Me") and letter not in "\n\r\t"
        for letter in text.original[start:end]
    )


def address_of(link: str) -> Address:
    """The parts of a link that decide where it leads, in one form."""
    return _parsed(undisguised(plain_text(link.strip()).plain).plain)


def _finder() -> LinkifyIt:
    finder = LinkifyIt(options={"fuzzy_link": True, "fuzzy_email": True, "fuzzy_ip": True})
    tlds = {tld.lower() for tld in TLDS} | members("more_endings")
    tlds |= {tld.encode().decode("idna") for tld in tlds if tld.startswith("xn--")}
    # By their first letter, since one list of 1,500 alternatives makes the search eight times slower.
    finder.tlds(
        [f"{first}(?:{'|'.join(tld[1:] for tld in some)})" for first, some in groupby(sorted(tlds), itemgetter(0))]
    )
    followed = _AUTHORITY + finder.re["src_path"]
    for schema, rule in (
        ("http:", f"^//{followed}"),
        ("//", f"^{followed}"),
        ("www.", rf"^(?:[\w-]{{1,63}}\.)+[\w-]{{2,63}}{finder.re['src_path']}"),
        ("mailto:", r"^[^\s<>\"'()\[\]|]+"),
        ("javascript:", r"^[^\s<>\"']+"),
        ("vbscript:", r"^[^\s<>\"']+"),
        ("data:", r"^(?:[\w.+-]+/[\w.+-]+)?[;,][^\s<>\"']*"),
    ):
        finder.add(schema, {"validate": rule})
    for fuzzy in ("link_fuzzy", "email_fuzzy"):  # without a limit, thousands of labels cost their square
        finder.re[fuzzy] = finder.re[fuzzy].replace(r")\.)+", rf")\.){{1,{_LABELS_MAX}}}")
    return finder


_FINDER = _finder()


def _matches(text: str) -> Iterator[tuple[str, int, int]]:
    """What the library finds: schema, start and end. A link has no space, so cutting at spaces splits none."""
    place = 0
    while place < len(text):
        window = text[place : place + _WINDOW]
        if place + _WINDOW < len(text):
            cut = max(window.rfind(" "), window.rfind("\n")) + 1 or max(map(window.rfind, "<>\"'()[],;")) + 1
            window = window[: cut or _WINDOW]
        for match in _FINDER.match(window) or ():
            yield match.schema, place + match.index, place + match.last_index
        place += len(window)


def _link(text: str, schema: str, start: int, end: int) -> Link | None:
    """The link up to where its sentence goes on, if it is one."""
    if schema == "//":
        scheme = _SCHEME_BEFORE.search(text, max(0, start - 17), start)
        if not scheme and "." not in text[start:end].lstrip("/").partition("/")[0]:
            return None
        start = scheme.start() if scheme else start
    spelled = text[start:end].rstrip(_TRAILING)
    if schema:
        mail = "mailto" if spelled.startswith("mailto:") else "mail"
        kind = mail if schema == "mailto:" else "url"
        return Link(start, start + len(spelled), kind, spelled)
    start, spelled = _without_symbols(start, spelled)
    kind = "host" if not re.search(r"[/?#:].", spelled) else "url"
    link = Link(start, start + len(spelled), kind, spelled)
    return link if _is_host(text, link) else None


def _without_symbols(start: int, spelled: str) -> tuple[int, str]:
    """`href=acme.example`, an arrow or an emoji before a host: to the library symbols are letters."""
    symbols = re.match(r"[^/?#]*[^\w./?#:@%-](?=[\w-]+\.)", spelled)
    cut = symbols.end() if symbols else 0
    return start + cut, spelled[cut:]


def _is_host(text: str, link: Link) -> bool:
    """Whether `name.tld` is a host rather than a file, an abbreviation or two sentences without a space."""
    host = re.split(r"[/?#:]", link.spelled)[0]
    if _IP.fullmatch(host):
        return link.kind == "url"
    name, _, tld = host.rpartition(".")
    if not re.search(r"[^\W\d_]", name) and tld not in ("com", "net", "org"):
        return False
    return link.kind == "url" or _is_bare_host(name, tld, text[max(0, link.start - 12) : link.start])


def _is_bare_host(name: str, tld: str, before: str) -> bool:
    if tld in _FILE_ENDINGS:
        return tld == "cc" and "." in name
    if tld in _WORD_ENDINGS:
        return bool(_POINTING.search(before)) and len(name) > 2 and not _WHEN.fullmatch(name)
    return len(tld) > 2 or any(len(part) > 1 for part in name.split("."))


def _parsed(link: str) -> Address:
    parts = _split(link if _HAS_SCHEME.match(link) else "//" + link.lstrip("/"))
    if parts is None:
        return Address("", link, "", (), frozenset(), userinfo=False)
    userinfo, _, authority = parts.netloc.rpartition("@")
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = authority.rstrip(":"), ""
    return Address(
        scheme=parts.scheme,
        host=_ascii_host(unquote(host)),
        port="" if port in _USUAL_PORTS.get(parts.scheme, ()) else port,
        path=tuple(_segments(parts.path)),
        query=frozenset(_pairs(parts.query)),
        userinfo=bool(userinfo),
    )


def _split(link: str) -> SplitResult | None:
    try:
        return urlsplit(link)
    except ValueError:  # a host that is no host, such as an unclosed bracket
        return None


def _ascii_host(host: str) -> str:
    host = unicodedata.normalize("NFKC", host).rstrip(".").removeprefix("www.")
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return f"{host}\N{REPLACEMENT CHARACTER}"


def _segments(path: str) -> list[str]:
    kept: list[str] = []
    for raw in path.split("/"):
        segment = unicodedata.normalize("NFKC", unquote(raw)).lower()
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    return kept


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for name, value in parse_qsl(query, keep_blank_values=True):
        if not _TRACKING.match(name):
            yield name, value
