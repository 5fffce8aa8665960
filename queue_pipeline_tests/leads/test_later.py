"""Which day a lead means by "later"."""

from datetime import datetime

import pytest

from queue_pipeline.leads.later import later_in, mentions_later

#: A Tuesday.
NOW = datetime.fromisoformat("2031-03-04T15:00:00+01:00")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("in 2 weeks", "2031-03-18"),
        ("check back in a few weeks", "2031-03-25"),
        ("in a couple of months", "2031-05-05"),
        ("three months from now", "2031-06-04"),
        ("in a year", "2032-03-04"),
        ("next week", "2031-03-10"),
        ("next month", "2031-04-01"),
        ("next quarter", "2031-04-01"),
        ("next year", "2032-01-07"),
        ("in September", "2031-09-01"),
        ("in February", "2032-02-02"),
        ("in March", "2031-03-11"),
        ("mid-April", "2031-04-15"),
        ("at the end of May", "2031-05-26"),
        ("after June", "2031-07-01"),
        ("in June 2033", "2033-06-01"),
        ("in Q3", "2031-07-01"),
        ("Q1 2033", "2033-01-03"),
        ("on 5 May", "2031-05-05"),
        ("May 5th", "2031-05-05"),
        ("after the holidays", "2032-01-07"),
        ("in the new year", "2032-01-07"),
        ("after the summer", "2031-09-01"),
        ("in the autumn", "2031-09-01"),
        ("end of the quarter", "2031-03-20"),
        ("later this year", "2031-12-22"),
        ("on Tuesday", "2031-03-11"),
        ("next Friday", "2031-03-07"),
        ("tomorrow", "2031-03-05"),
    ],
)
def test_a_day_is_found_and_falls_on_a_working_morning(text: str, day: str) -> None:
    found = later_in(f"please write again {text}", NOW, "Europe/Berlin")
    assert found is not None
    assert found[1] is not None
    assert found[1].isoformat()[:16] == f"{day}T09:00"
    assert found[1].weekday() < 5
    assert found[1] > NOW


@pytest.mark.parametrize("text", ["some other time", "on 31 June"])
def test_later_without_a_day_has_none(text: str) -> None:
    assert mentions_later(text)
    found = later_in(text, NOW, "Europe/Berlin")
    assert found is not None
    assert found[1] is None


@pytest.mark.parametrize("text", ["now", "in recent months", "we march on", "May I ask", "two weeks ago", "a second"])
def test_other_words_name_no_later_day(text: str) -> None:
    assert not mentions_later(text)
    assert later_in(text, NOW, "UTC") is None


def test_any_day_of_the_year_gives_a_later_working_day() -> None:
    for month in range(1, 13):
        for day in (1, 15, 28, 30 if month != 2 else 28):
            now = NOW.replace(month=month, day=day)
            for text in (
                "in 1 month",
                "next quarter",
                "in february",
                "end of the month",
                "end of the year",
                "in winter",
            ):
                found = later_in(text, now, "America/New_York")
                assert found is not None
                assert found[1] is not None
                assert found[1] > now, (text, now)
