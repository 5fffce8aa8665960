"""Casual and European ways to say a time, and what surrounds it: each class with a right draft and a wrong one."""

from typing import Any

import pytest

from queue_pipeline_tests.leads.gates.drafts import codes, draft_case, findings

CHICAGO = {"inbound": "We sit in Chicago. When could we have a call?"}
PHOENIX = {
    "timezone": "America/Phoenix",
    "reference_now": "2026-07-06T08:00:00-07:00",
    "offered_slots": [{"start": "2026-07-08T08:30:00-07:00", "label": "Wed, Jul 8"}],
}
SHIFT = {"inbound": "Can I come and see it? I get off at 2 most days."}


@pytest.mark.parametrize(
    ("right", "wrong", "fields"),
    [
        ("3ish on Tuesday?", "4ish on Tuesday?", {}),
        ("Tuesday afternoon, three-ish?", "Tuesday afternoon, four-ish?", {}),
        ("Tuesday around 3 or so.", "Tuesday around 4 or so.", {}),
        ("3 Tuesday? Or 10 Wednesday?", "4 Tuesday? Or 10 Wednesday?", {}),
        ("tue 3, wed 10", "tue 3, wed 11", {}),
        ("So 3 on Tuesday?", "So 4 on Tuesday?", {}),
        ("3 works on Tuesday.", "4 works on Tuesday.", {}),
        ("three o five is late; three on Tuesday?", "four thirty on Tuesday, then.", {}),
        ("Tue 17/2 1500-1530 hrs", "Tue 17/2 1530-1600 and Wed 18/2 1000-1030 hrs", {}),
        ("Tue 1500 or Wed 1000", "Tue 1600 or Wed 1000", {}),
        ("17/2 at 15h, noted.", "17/2 at 16h, noted.", {}),
        ("17.2.2026 klo 15.00", "17.2.2026 klo 16.00", {}),
        ("17.2. um 15 Uhr", "17.2. um 16 Uhr", {}),
        ("Tuesday om 15 uur", "Tuesday om 16 uur", {}),
        ("Tue 3-3:30p", "Tue 4-4:30p", {}),
        ("Tue 3p / Wed 10a", "Tue 3p / Wed 11a", {}),
        ("Day | Start | End\nTue Feb 17 | 15:00 | 15:30", "Day | Start | End\nTue Feb 17 | 15:00 | 16:30", {}),
        ("Tuesday at 3, or the day after, ten o'clock.", "Tuesday at 3, or the day after, eleven o'clock.", {}),
        (
            "Both Tuesday and Wednesday have space: 3 pm and 10 am.",
            "Both Tuesday and Wednesday have space: 4 pm and 10 am.",
            {},
        ),
        ("Tuesday 3 pm Eastern, noon on the West Coast.", "Tuesday 3 pm Eastern, 1 pm on the West Coast.", {}),
        ("Tuesday 8 p.m. in the UK?", "Tuesday 7 p.m. in the UK?", {}),
        ("Tuesday at 2 pm your time?", "Tuesday at 1 pm your time?", CHICAGO),
        ("Tuesday at 3? That is 2 in the afternoon for you.", "Tuesday at 1 in the afternoon for you?", CHICAGO),
        ("8:30 AM MST on Wednesday.", "9:30 AM MST on Wednesday.", PHOENIX),
        ("Since you're off at 2, Tuesday at 3 leaves you time.", "Great, see you Tuesday at 2!", SHIFT),
        ("Our hours: Mon-Fri 8-6, Sat 9-13. Tuesday at 3?", "Our hours: Mon-Fri 8-6. Sat at 9?", {}),
        ("Mon to Thu 8:00-18:00, Fri 8:00-17:00", "We can do Mon to Thu 8-9 am, Fri 8-9 am.", {}),
        ("His last visit was on May 3rd at 2 pm. Tuesday at 3?", "His last visit was fine. May 3rd at 2 pm?", {}),
        ("Carrer Verdi 48, 2º 1ª, Tuesday at 3.", "Carrer Verdi 48, Tuesday at 1a.", {}),
    ],
)
def test_a_style_is_read_and_its_wrong_time_is_found(right: str, wrong: str, fields: dict[str, Any]) -> None:
    assert findings(right, **fields) == []
    assert "slot_mismatch" in codes(wrong, **fields)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("Born on 4/12/2014, right? Tuesday at 3.", "Booked for 4/12/2026, right?"),
        ("You were here on January 7. Tuesday at 3?", "You were here before. I've put her in for March 7."),
        ("14/8 Wattle St on Tuesday at 3.", "Wattle St on 14/8 at 3 pm."),
        ("Tuesday week isn't available, Tuesday the 17th at 3 is.", "Tuesday week is available at 3."),
        ("Thursday, Friday and Monday are booked out. Tuesday at 3.", "Thursday and Friday are booked for you."),
        ("Tuesday 17 or Wednesday 18?", "I've booked Tuesday 24?"),
        ("Tuesday at 11 PM PT (Wednesday, 08:00 CET).", "Tuesday at 11 PM PT (Thursday, 08:00 CET)."),
        ("The last day of February is far. Tuesday at 3?", "The last day of February at 3 pm?"),
    ],
)
def test_a_day_that_is_none_of_the_appointment_is_left_alone_and_a_wrong_one_found(right: str, wrong: str) -> None:
    late = {"start": "2026-02-18T02:00:00-05:00", "label": "late"}
    offered = [*draft_case("").offered_slots, *draft_case("", offered_slots=[late]).offered_slots]
    assert findings(right, offered_slots=offered) == []
    assert "date_mismatch" in codes(wrong, offered_slots=offered)


@pytest.mark.parametrize(
    ("inbound", "right", "wrong"),
    [
        ("Book me for Saturday at 2:40 pm.", "February 14th at 2:40 pm is booked.", "February 21st at 2:40 pm is booked."),
        ("Next week, please: Friday at 2:40 pm.", "Booked: 2/20 at 2:40 pm.", "Booked: 2/27 at 2:40 pm."),
        ("Saturday week at 2:40 pm, please.", "Booked: 2/21 at 2:40 pm.", "Booked: 2/14 at 2:40 pm."),
    ],
)  # fmt: skip
def test_the_bare_weekday_of_the_lead_is_the_coming_one(inbound: str, right: str, wrong: str) -> None:
    assert findings(right, inbound=inbound, offered_slots=[]) == []
    assert "date_mismatch" in codes(wrong, inbound=inbound, offered_slots=[])


@pytest.mark.parametrize(
    "draft",
    [
        "We have 3 openings Tuesday and 2 Wednesday: Tuesday at 3?",
        "1 Tuesday at 3\n2 Wednesday at 10",
        "It costs 20ish dollars. Tuesday at 3?",
        "Apt 3a, 5 Elm Court, Tuesday at 3.",
        "Suite 1200, Tuesday at 3.",
        "Tuesday at 3?\n\nVon: Ada\nGesendet: Mittwoch, 11. Februar 2026 15:33\nAn: Team\n\nFreitag um 17:00?",
        "Tuesday at 3?\n\nAm 11.02.2026 um 15:33 schrieb Ada:\n> Freitag um 17 Uhr?",
        "Tuesday at 3?\n\nLe mer. 11 févr. 2026 à 15:33, Ada a écrit :\n> vendredi 17h ?",
    ],
)
def test_counted_things_doors_and_quoted_mail_are_no_times(draft: str) -> None:
    assert findings(draft) == []


def test_the_loose_name_of_a_zone_holds_only_where_it_is_lived_by() -> None:
    summer = {"reference_now": "2026-07-06T08:00:00-04:00", "offered_slots": ["2026-07-08T11:00:00-04:00"]}
    assert findings("Wednesday at 11 am EST?", **summer) == []
    assert "slot_mismatch" in codes("Wednesday at 9 am MST?", **summer)
