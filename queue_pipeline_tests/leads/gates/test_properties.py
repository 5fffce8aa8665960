"""What must hold of any text and any slots."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as some

from queue_pipeline.leads.gates.check import check_draft
from queue_pipeline_tests.leads.gates.drafts import codes, draft_case, findings
from queue_pipeline_tests.leads.gates.test_times_and_dates_in_drafts import CLEAN, WRONG_DATE, WRONG_TIME

ZONE = ZoneInfo("America/New_York")
NOW = datetime(2026, 2, 12, 10, tzinfo=ZONE)
TEXTS = some.sampled_from([*CLEAN, *WRONG_TIME, *WRONG_DATE])
FRAMES = some.sampled_from(
    ["{}", "How about {}?", "I've booked you for {}.", "- {}\n- or later", "Great ({}) it is!", "See you: {}"]
)
LABELS = some.sampled_from(
    [
        "%a, %b %d, %I:%M %p", "%A %d %B %Y, %H:%M (UTC%:z)", "%A %d %B %Y, %H:%M GMT%:z", "%Y-%m-%d %H:%M", "%A, %B %d at %I:%M %p", "%a %d.%m.%Y %H:%M",
        "%d %b %Y %H.%M Uhr", "%m/%d/%Y, %I:%M %p",
    ]
)  # fmt: skip
ZONES = some.sampled_from([ZONE, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata"), ZoneInfo("America/Los_Angeles")])
STARTS = some.integers(8 * 4, 20 * 4).flatmap(
    lambda quarter: some.integers(1, 25).map(
        lambda days: datetime(2026, 2, 12, quarter // 4, quarter % 4 * 15, tzinfo=ZONE) + timedelta(days=days)
    )
)
ANY_TEXT = some.text(max_size=300) | some.lists(
    some.sampled_from(
        [
            "3",
            "pm",
            "at",
            "on",
            "Tuesday",
            "Feb",
            "17",
            "17.2.",
            "3/4",
            "https://a.example/b",
            "@",
            ">",
            "(",
            ")",
            "[",
            "]",
            "{",
            "-",
            ":",
            ".",
            ",",
            "\n",
            "a.m.",
            "to",
            "half",
            "past",
            "not",
            "booked",
            "?",
            "link",
            "here",
        ]
    ),
    max_size=40,
).map(" ".join)


def offered(start: datetime, label: str) -> dict[str, Any]:
    stated = label.replace("%:z", f"{start:%z}"[:3] + ":" + f"{start:%z}"[3:])
    return {"start": start.isoformat(), "label": start.strftime(stated)}


@given(ANY_TEXT, ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_any_text_is_checked_and_the_places_are_in_the_draft(draft: str, inbound: str) -> None:
    for found in findings(draft, inbound=inbound, thread=[inbound, {"author": "us", "body": draft}]):
        assert 0 <= found.start <= found.end <= len(draft)
        assert found.text == draft[found.start : found.end]
        assert found.why


@given(TEXTS, STARTS, LABELS)
@settings(max_examples=150, deadline=None)
def test_one_more_offered_slot_never_adds_a_finding(draft: str, start: datetime, label: str) -> None:
    case = draft_case(draft)
    more = case.model_copy(
        update={
            "offered_slots": [*case.offered_slots, *draft_case("", offered_slots=[offered(start, label)]).offered_slots]
        }
    )
    assert {(f.code, f.start) for f in check_draft(more)} <= {(f.code, f.start) for f in check_draft(case)}


@given(STARTS, LABELS, FRAMES)
@settings(max_examples=200, deadline=None)
def test_an_offered_label_may_be_said_word_for_word(start: datetime, label: str, frame: str) -> None:
    slot = offered(start, label)
    assert findings(frame.format(slot["label"]), offered_slots=[slot]) == []


@given(STARTS, LABELS, FRAMES, some.sampled_from([15, 30, 60, 90, -45, -75, 24 * 60, -48 * 60 + 30]))
@settings(max_examples=300, deadline=None)
def test_a_label_of_another_time_is_found(start: datetime, label: str, frame: str, minutes: int) -> None:
    other = offered(start + timedelta(minutes=minutes), label)
    assert codes(frame.format(other["label"]), offered_slots=[offered(start, label)]) & {
        "slot_mismatch",
        "date_mismatch",
    }


@given(STARTS, ZONES, some.sampled_from(["(UTC{})", "(GMT{})", "UTC{}", "[GMT {}]", "({})"]), some.booleans())
@settings(max_examples=200, deadline=None)
def test_an_offset_behind_a_time_is_its_zone_and_no_time(
    start: datetime, zone: ZoneInfo, form: str, true: bool
) -> None:
    offset = f"{start.astimezone(zone):%z}"
    shown = form.format(f"{offset[:3]}:{offset[3:]}".replace("-", "\u2212" if true else "-"))
    slot = {"start": start.isoformat(), "label": "a slot"}
    assert findings(f"How about {start.astimezone(zone):%A %d %B, %H:%M} {shown}?", offered_slots=[slot]) == []
    late = start.astimezone(zone) + timedelta(hours=1)
    assert codes(f"How about {late:%A %d %B, %H:%M} {shown}?", offered_slots=[slot])


@given(TEXTS, some.sampled_from([" ", "  ", "\u00a0", "\u202f", "\t"]))
@settings(max_examples=200, deadline=None)
def test_spaces_do_not_matter(draft: str, space: str) -> None:
    assert codes(draft.replace(" ", space)) == codes(draft)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_case_does_not_matter(draft: str) -> None:
    assert codes(draft.upper()) == codes(draft) == codes(draft.lower())


def test_the_order_of_the_findings_is_that_of_the_draft() -> None:
    found = findings("https://evil.example/x on Friday at 5, or Friday at 4 via https://evil.example/y")
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert len(found) >= 6


def test_a_draft_of_100_kb_is_read_in_reasonable_time() -> None:
    sizes = (25_000, 100_000)
    for piece in (
        "Tue, Feb 17 at 3:45 pm, ",
        "a.",
        "/",
        "https://a.example/b ",
        '"',
        "3 or ",
        "on ",
        "=a.b",
        "https://a.example/(",
    ):
        short, long = (_seconds(piece * (size // len(piece))) for size in sizes)
        assert long < 12 * max(short, 0.15), piece


def _seconds(draft: str) -> float:
    from time import perf_counter

    began = perf_counter()
    findings(draft)
    return perf_counter() - began
