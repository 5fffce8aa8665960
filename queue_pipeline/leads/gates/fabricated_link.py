"""`fabricated_link`: a link that leads where neither we nor the lead pointed, or one that is promised and missing."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.finding import Code, Finding, finding
from queue_pipeline.leads.gates.links import Address, Link, address_of, is_disguised, links_in
from queue_pipeline.leads.gates.plain_text import plain_text
from queue_pipeline.leads.gates.support import Judged
from queue_pipeline.leads.gates.words import pattern, says

_WEB = {"", "http", "https"}
_LINKISH = r"(?:links?|url|calendly|booking page|calendar page|scheduling page|website address)"
_PLACEHOLDER = re.compile(
    rf"\[(?:[^\]\n]{{0,60}}\b)?(?:{_LINKISH}|insert|placeholder)\b[^\]\n]{{0,80}}\](?![(\[:])|"
    rf"\{{\{{[^}}\n]{{0,80}}\}}\}}|"
    rf"\{{%[^%\n]{{0,80}}%\}}|\$\{{[^}}\n]{{1,80}}\}}|\{{[^{{}}\n]{{0,40}}(?:link|url|calendar|"
    rf"booking)[^{{}}\n]{{0,40}}\}}|"
    rf"<(?:insert|your|my|our|booking|calendar|scheduling|meeting|link|url|calendly)\b(?![^>\n]{{0,80}}(?:rel|"
    rf"href|src)=)[^>\n@]{{0,60}}>|"
    r"%[\w-]{0,30}(?:link|url)[\w-]{0,30}%|__[\w]{0,30}(?:link|url)[\w]{0,30}__|\binsert(?: \w+){0,3} (?:link|"
    r"url)(?: here)?\b|"
    rf"\((?:insert\b[^)\n]{{0,60}}|(?:(?:my|our|the|your|booking|calendar|scheduling|"
    rf"meeting) ){{0,2}}{_LINKISH}(?: here| goes here)?)\)|"
    r"https?://(?=\s|\.\.\.|…|\[|<|\{|_{2,}|\Z)"
)


@dataclass(frozen=True)
class Known:
    """Where a draft may lead: given links with everything under them, quoted ones exactly, hosts, mail addresses."""

    given: tuple[Address, ...]
    quoted: tuple[Address, ...]
    mail: frozenset[str]
    mail_hosts: frozenset[str]

    def given_on(self, host: str) -> tuple[Address, ...]:
        """The given links to a host."""
        return self._given_by_host.get(host, ())

    def quoted_on(self, host: str) -> tuple[Address, ...]:
        """The quoted links to a host."""
        return self._quoted_by_host.get(host, ())

    @cached_property
    def _given_by_host(self) -> dict[str, tuple[Address, ...]]:
        return _by_host(self.given)

    @cached_property
    def _quoted_by_host(self) -> dict[str, tuple[Address, ...]]:
        return _by_host(self.quoted)

    @cached_property
    def hosts(self) -> frozenset[str]:
        """The hosts that may be named."""
        return frozenset(one.host for one in (*self.given, *self.quoted)) | self.mail_hosts


def fabricated_links(judged: Judged) -> Iterator[Finding]:
    """Links that lead elsewhere, placeholders of links, and invitations to a link that is not there."""
    known = _known(judged.case, judged.reading.links)
    shown = tuple(judged.case.allowed_links)
    found = judged.reading.links
    placeholders = list(_PLACEHOLDER.finditer(judged.text.plain))
    for link in found:
        why = _why_not(judged, link, known)
        if why and not any(place.start() <= link.start < place.end() for place in placeholders):
            yield finding(Code.FABRICATED_LINK, judged.text, (link.start, link.end), why, allowed=shown)
    for place in placeholders:
        if not _is_given(place.group(), judged.case):
            yield finding(Code.FABRICATED_LINK, judged.text, place.span(), "a placeholder stands where a link belongs")
    if not judged.case.allowed_links and not placeholders and not any(link.kind in ("url", "host") for link in found):
        yield from _missing(judged)


def _why_not(judged: Judged, link: Link, known: Known) -> str:
    """Why the link may not stand there; empty where it may."""
    if link.kind == "mail":
        return ""
    if is_disguised(judged.text, link):
        return "invisible or control characters stand inside the link"
    if link.kind == "mailto":
        return "" if _mail_of(link.spelled) in known.mail else "nobody gave this mail address"
    address = link.address
    if address.userinfo:
        return f"a name stands before the host: the link leads to {address.host}"
    if address.bare and link.kind == "host" and not address.port:
        return _why_not_host(judged, link, known)
    return _why_not_page(judged, link, known)


def _why_not_host(judged: Judged, link: Link, known: Known) -> str:
    host = link.address.host
    if host in known.hosts or not _points_there(judged, link, known):
        return ""
    return f"{host} is not a host that we or the lead named"


def _why_not_page(judged: Judged, link: Link, known: Known) -> str:
    if "\\" in judged.text.plain[link.start : link.end]:
        return "a backslash makes the host of the link ambiguous"
    address = link.address
    given, quoted = known.given_on(address.host), known.quoted_on(address.host)
    if any(_lies_under(address, one) for one in given) or any(_same_page(address, one) for one in quoted):
        return _forwarding(address, known)
    if address.bare and _only_named(link, address) and address.host in known.hosts:
        return ""
    if address.host in known.hosts and address.scheme in _WEB:
        return f"no link that we or the lead gave has this path on {address.host}"
    return f"no link that we or the lead gave leads to {address.host or link.spelled}"


def _points_there(judged: Judged, link: Link, known: Known) -> bool:
    """Whether a bare host is somewhere to go, or passes for one of ours, rather than the name of a company."""
    names = {host.split(".")[-2] for host in known.hosts if host.count(".")} - {"com", "co"}
    if any(len(name) > 3 and name in link.spelled for name in names):
        return True
    clause = judged.reading.clauses.at(link.start)
    before = judged.text.plain[max(clause.start, link.start - 40) : link.start]
    after = judged.text.plain[link.end : link.end + 1]
    alone = not before.strip() and (not after.strip() or after in ".!,")
    return alone or says("pointing", before) or says("go_there", clause.text)


def _only_named(link: Link, address: Address) -> bool:
    """`www.example.com`: a way to name the host, not to lead to a page."""
    return not address.scheme and not address.port and link.spelled.startswith("www")


def _lies_under(address: Address, given: Address) -> bool:
    if address.host != given.host or address.port != given.port or not _same_scheme(address, given):
        return False
    if given.query:
        return address.path == given.path and given.query <= address.query
    return address.path[: len(given.path)] == given.path


def _same_page(address: Address, quoted: Address) -> bool:
    same = address.host == quoted.host and address.port == quoted.port and _same_scheme(address, quoted)
    return same and address.path == quoted.path and quoted.query <= address.query


def _same_scheme(address: Address, given: Address) -> bool:
    return address.scheme == given.scheme or (address.scheme in _WEB and given.scheme in _WEB)


def _forwarding(address: Address, known: Known) -> str:
    """A query that carries another link forwards the reader there."""
    given = {pair for one in (*known.given, *known.quoted) for pair in one.query}
    for name, value in address.query - given:
        if "://" in value or value.startswith("//"):
            target = address_of(value)
            if not any(_lies_under(target, one) for one in known.given_on(target.host)):
                return f"the link forwards to {target.host} through its parameter {name}"
    return ""


def _known(case: DraftCase, drafted: Iterable[Link]) -> Known:
    given, quoted, mail, mail_hosts = [], [], set(), set()
    for link in (*case.allowed_links, *case.lead_links):
        if "@" in link and "/" not in link:
            mail.add(_mail_of(link.lower()))
        elif link.strip():
            given.append(address_of(link))
    for body in (case.inbound.body, *(turn.body for turn in case.thread)):
        for found in links_in(plain_text(body[:50_000])):
            if found.kind in ("mail", "mailto"):
                mail.add(_mail_of(found.spelled))
            else:
                quoted.append(found.address)
    for found in drafted:
        if found.kind == "mail":
            mail_hosts.add(_mail_of(found.spelled).partition("@")[2])
    mail_hosts |= {address.partition("@")[2] for address in mail}
    return Known(tuple(dict.fromkeys(given)), tuple(dict.fromkeys(quoted)), frozenset(mail), frozenset(mail_hosts))


def _by_host(addresses: Iterable[Address]) -> dict[str, tuple[Address, ...]]:
    found: dict[str, list[Address]] = {}
    for address in addresses:
        found.setdefault(address.host, []).append(address)
    return {host: tuple(some) for host, some in found.items()}


def _mail_of(text: str) -> str:
    return text.strip().removeprefix("mailto:").partition("?")[0].lower()


def _is_given(placeholder: str, case: DraftCase) -> bool:
    """A placeholder that is a part of what the lead wrote is a quotation."""
    return placeholder in plain_text(case.inbound.body[:50_000]).plain


def _missing(judged: Judged) -> Iterator[Finding]:
    for clause in judged.reading.clauses:
        invites = pattern("link_invitation").search(clause.text)
        if invites and not says("link_of_theirs", clause.text):
            place = clause.start + invites.start(), clause.start + invites.end()
            yield finding(
                Code.FABRICATED_LINK, judged.text, place, "it points to a link that is not there, and none was given"
            )
            return
