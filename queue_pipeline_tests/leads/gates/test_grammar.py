"""What a time or a date may mean."""

from datetime import date, timedelta

import pytest

from queue_pipeline.leads.gates.clock_times import scan_times
from queue_pipeline.leads.gates.date_mention import Today
from queue_pipeline.leads.gates.dates import scan_dates
from queue_pipeline.leads.gates.plain_text import plain_text

TODAY = Today(frozenset({date(2026, 2, 12)}))


def times(text: str) -> list[str]:
    return ["|".join(mention.readings) for mention in scan_times(plain_text(text).plain)]


def days(text: str) -> list[str]:
    return ["|".join(day[5:] for day in mention.readings[:3]) for mention in scan_dates(plain_text(text).plain, TODAY)]


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("at 3", ["03:00|15:00"]), ("3 pm", ["15:00"]), ("3 p.m.", ["15:00"]), ("3\u202fPM", ["15:00"]), ("15:45", ["15:45"]),
        ("3:45", ["03:45|15:45"]), ("12-3pm", ["12:00-15:00"]), ("9\u20139:30am", ["09:00-09:30"]), ("between 2 and 4", ["02:00-04:00|14:00-16:00"]),
        ("noon", ["12:00"]), ("12 midday", ["12:00"]), ("midnight", ["00:00"]), ("12 am", ["00:00"]), ("half past 2", ["02:30|14:30"]), ("at half 3", ["03:30|15:30"]),
        ("quarter to 5 in the evening", ["16:45"]), ("ten past three pm", ["15:10"]), ("3 o'clock", ["03:00|15:00"]), ("four thirty pm", ["16:30"]),
        ("15 Uhr", ["15:00"]), ("15h30", ["15:30"]), ("at 15.30", ["15:30"]), ("1530 hrs", ["15:30"]), ("11:30 in the morning", ["11:30"]),
        ("morning 11:30", ["11:30"]), ("at 8 tonight", ["20:00"]), ("how about 6?", ["06:00|18:00"]), ("3 or 4 pm", ["03:00|15:00", "16:00"]),
        ("3 45 pm", ["15:45"]), ("330pm", ["15:30"]), ("4p", ["16:00"]),
    ],
)  # fmt: skip
def test_a_time_is_the_set_of_its_readings(text: str, readings: list[str]) -> None:
    assert times(text) == readings


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        ("3 pm (UTC-05:00)", [-5]), ("3 pm (GMT-05:00)", [-5]), ("3 pm UTC\u22125", [-5]), ("3 pm (GMT+1)", [1]), ("3 pm (+01:00)", [1]),
        ("15:00 gmt-0500", [-5]), ("3 pm UTC - 5", [-5]), ("3 pm (+1 guest)", [None]), ("3 pm UTC - 5 pm UTC", [0, 0]), ("15:00 UTC - 16:00 UTC", [0, 0]),
        ("(GMT-05:00) Eastern Time: 3 pm", [None]), ("all in UTC-05:00: 3 pm", [None]),
    ],
)  # fmt: skip
def test_an_offset_is_the_zone_of_the_time_before_it(text: str, offsets: list[int | None]) -> None:
    zones = [mention.zones for mention in scan_times(plain_text(text).plain)]
    hours = [zone[-1].utcoffset(None) if zone else None for zone in zones]
    assert hours == [None if offset is None else timedelta(hours=offset) for offset in offsets]


@pytest.mark.parametrize(
    "text",
    [
        "rated 4.3", "$3.30", "3.30 EUR", "20%", "#315", "18/8 Fine", "15 minutes", "1:30 hours", "at 3 locations", "24/7", "at 221 Main St",
        "at 12, High Street", "one of 3", "9-5 job", "a 2-3 week wait", "half a day", "version 2.10", "room 12", "ratio 16:9 and chapter 4:12",
        "555-0143", "at 20 percent", "at one point", "the second floor", "10 to 15 people", "noon-ish", "for 2 people", "at 5 stars",
    ],
)  # fmt: skip
def test_what_is_no_time_is_none(text: str) -> None:
    assert times(text) == []


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("March 8th", ["03-08"]), ("8 March 2026", ["03-08"]), ("the eighth of March", ["03-08"]), ("3/4 at 3 pm", ["03-04|04-03"]), ("2026-03-04", ["03-04"]),
        ("on 3/14", ["03-14"]), ("14.3.2026", ["03-14"]), ("Tue 17.2. at 3", ["02-17"]), ("on the 17th", ["02-17"]), ("March 10 or 11", ["03-10", "03-11"]),
        ("10 or 11 March", ["03-10", "03-11"]), ("Tuesday", ["02-17|02-24"]), ("next Thursday", ["02-19|02-26"]), ("this Saturday", ["02-14"]),
        ("Tuesday next week", ["02-17"]), ("Friday week", ["02-20"]), ("tomorrow", ["02-13"]), ("the day after tomorrow", ["02-14"]), ("in 3 days", ["02-15"]),
        ("a week from Friday", ["02-20"]), ("a week from today", ["02-19"]), ("Tue, Feb 17", ["02-17"]), ("tomorrow (Friday)", ["02-13"]), ("Tuesday the 17th", ["02-17"]),
        ("Sat, March 7 or Sun 8 March", ["03-07", "03-08"]), ("7. March", ["03-07"]),
    ],
)  # fmt: skip
def test_a_date_is_the_set_of_its_readings(text: str, readings: list[str]) -> None:
    assert days(text) == readings


@pytest.mark.parametrize(
    "text",
    [
        "you may 2 go", "we march on", "I sat in the sun", "18/8 Fine Men's Salons", "24/7", "4/5 stars", "the 2nd option", "the 3rd floor", "one second",
        "on Mondays", "Good Friday sale", "Ruby Tuesday", "version 2.10.3", "1/2 cup", "he got wed at noon", "we sat at 6 pm",
    ],
)  # fmt: skip
def test_what_is_no_date_is_none(text: str) -> None:
    assert days(text) == []
