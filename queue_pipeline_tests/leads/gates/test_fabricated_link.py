"""Links in every disguise: those that we or the lead gave pass, others do not."""

import pytest

from queue_pipeline.leads.gates.check import check_draft
from queue_pipeline_tests.leads.gates.drafts import LINK, codes, draft_case, findings

ELSEWHERE = [
    "Book: https://calendly.com/acme-sales/intro2",
    "calendly.com/other",
    "https://calendly.com.evil.example/acme-sales/intro",
    "https://calendly.com@evil.example/x",
    "https://evil.example/?u=https://calendly.com/acme-sales/intro",
    "hxxps://evil[.]example/x",
    "evil dot com slash book",
    "[here](//evil.example/x)",
    "Book at [your link]",
    "https://calendly.com/acme-sales/../other",
    "https://c\u0430lendly.com/acme-sales/intro",
    "https://calendly.com:8443/acme-sales/intro",
    "bit.ly/3xYz",
    "mailto:who@evil.example",
    "Tuesday at 3: {{booking_link}}",
    "Book at https://calendly.com/acme-sales",
    "https://calendly.com\\@evil.example/x",
    "https://calendly.com/acme-sales/intro?next=https://evil.example",
    "https://cal\u200bendly.com/acme-sales/intro",
    "http://192.0.2.7/book",
    "https://xn--clendly-9nf.example/x",
    "javascript:alert(1)",
    "visit calendly-acme.example",
    "<a href='https://evil.example/a'>book</a>",
    "[https://calendly.com/acme-sales/intro](https://evil.example/a)",
    "ftp://calendly.com/acme-sales/intro",
    "www.evil.example/x",
    "evil .com/book",
    "_https://evil.example/x_",
    "\U0001f449evil.example/x",
    "Site:evil.example/x",
    "href=evil.example/x",
    "https:evil.example/x",
    "https:\\\\evil.example\\x",
    "https://calendly.com%2eevil.example/x",
    "https://calendly.com&#46;evil.example/x",
    "hxxps[://]evil[.]example/x",
    "calendly.com slash other",
    "calendly\\.com/other",
    "https://ev_il.example/x",
    "https://[::1]/x",
    "slack://channel?x=1",
    "data:text/html,hi",
    "user:pass@evil.example/x",
    "http://evil\uff0eexample/x",
    "https://evil\u3002example/x",
    "http://\u4f8b\u5b50.\u4e2d\u56fd/x",
    "t.co/abc",
    "evil.photography/x",
    "https://evil.example|Book",
]

GIVEN = [
    LINK,
    f"({LINK}).",
    f"[book]({LINK})",
    f"<a href='{LINK}?utm_source=mail&utm_medium=x'>book</a>",
    LINK.upper(),
    f"{LINK}/",
    "calendly.com/acme-sales/intro",
    "http://www.calendly.com:80/acme-sales/intro",
    f"{LINK}/tuesday?month=2026-02",
    f"**{LINK}**",
    "calendly dot com slash acme-sales slash intro",
    "hxxps://calendly[.]com/acme-sales/intro",
    f"<{LINK}>!",
    f"{LINK}#top",
    "https://calendly.com/%61cme-sales/./intro",
    "We use calendly.com for this.",
    "Write to jane@acme.example or see acme.example.",
    "I read your README.md and setup.py, e.g. the part on Node.js 2.10.Thanks!",
    "See you at 4.pm",
    "Monday.com and Salesforce.com integrate with us.",
    f"\U0001f449{LINK}",
    f"_{LINK}_",
    f"<{LINK}|Book>",
    "Site:calendly.com/acme-sales/intro",
    "href=calendly.com/acme-sales/intro",
    "hxxps[://]calendly[.]com/acme-sales/intro",
    "https://calendly.com&#47;acme-sales&#47;intro",
    "calendly (dot) com (slash) acme-sales (slash) intro",
    "Thanks.Here is the data:we have version 1.2.3.4 and 10.0.0.1, 24/7",
    "polka dot dress, connect the dot to the dot is fine",
    "Mail o'brien@acme.example, [bob@acme.example] or mail:ada@acme.example",
]


@pytest.mark.parametrize("text", ELSEWHERE)
def test_a_link_that_nobody_gave_is_found(text: str) -> None:
    assert "fabricated_link" in codes(f"Hello Ada, have a look: {text}")


@pytest.mark.parametrize("text", GIVEN)
def test_a_given_link_may_be_written_in_any_form(text: str) -> None:
    assert findings(f"Hello Ada, {text}", inbound="Hello") == []


def test_a_link_of_the_lead_may_be_repeated_but_not_extended() -> None:
    inbound = "My calendar is cal.example/ada."
    assert findings("Thanks, I picked a time on https://cal.example/ada", inbound=inbound) == []
    assert codes("Thanks, see https://cal.example/ada/secret", inbound=inbound) == {"fabricated_link"}
    assert findings("See https://cal.example/ada/30", lead_links=["https://cal.example/ada"]) == []


def test_an_allowed_link_with_a_query_is_that_query() -> None:
    links = ["https://meet.example/join?id=42"]
    assert findings("Join: https://meet.example/join?id=42&utm_campaign=a", allowed_links=links) == []
    assert codes("Join: https://meet.example/join?id=43", allowed_links=links) == {"fabricated_link"}


@pytest.mark.parametrize(
    "draft",
    [
        "Book here!",
        "You can pick a time via my calendar link.",
        "Just click here to reserve.",
        "Here is our booking page link",
    ],
)
def test_an_invitation_without_a_link_is_found_where_none_was_given(draft: str) -> None:
    assert codes(draft, allowed_links=[], inbound="Hello") == {"fabricated_link"}
    assert findings(draft, inbound="Hello") == []


@pytest.mark.parametrize(
    "draft",
    [
        "Could you send me your calendar link?",
        "I'll send you the link tomorrow.",
        "I don't have a booking link, sorry.",
    ],
)
def test_a_link_of_the_lead_or_a_later_one_is_no_invitation(draft: str) -> None:
    assert findings(draft, allowed_links=[], inbound="Hello") == []


@pytest.mark.parametrize(
    "text",
    ["[link]", "[insert link here]", "{{booking}}", "<insert link>", "https://", "${url}", "(booking link here)"],
)
def test_a_placeholder_is_found(text: str) -> None:
    assert codes(f"Please choose a slot: {text}") == {"fabricated_link"}


def test_a_mail_address_is_known_from_the_conversation() -> None:
    assert findings("mailto:ada@lead.example", inbound="Write to ada@lead.example") == []
    assert codes("mailto:eve@evil.example") == {"fabricated_link"}
    assert findings("Write to office@acme.example") == []


def test_the_place_of_a_link_is_that_of_the_draft() -> None:
    draft = "Hier \u2014 https://ev\u200bil.example/x."
    (found,) = check_draft(draft_case(draft))
    assert draft[found.start : found.end] == "https://ev\u200bil.example/x"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("at cal[.]com/acme/quick.", "cal[.]com/acme/quick"),
        ("at evil dot com slash book.", "evil dot com slash book"),
        ("see hxxps[://]evil[.]example/x, ok", "hxxps[://]evil[.]example/x"),
        ("see <a href='//evil.example/x'>it</a>", "//evil.example/x"),
        ("see zoommtg://evil.example/x)", "zoommtg://evil.example/x"),
    ],
)
def test_a_disguised_link_is_shown_as_the_draft_has_it(text: str, link: str) -> None:
    assert [found.text for found in findings(text)] == [link]


def test_a_sentence_that_begins_without_a_space_hides_no_time() -> None:
    assert codes("See you on Tuesday at 5pm.Best, Mia") == {"slot_mismatch"}


def test_a_long_text_without_a_space_hides_no_link() -> None:
    assert "fabricated_link" in codes("(" * 10_000 + "https://evil.example/x")
    assert "fabricated_link" in codes("a,b;" * 3_000 + "(evil.example/x)")
