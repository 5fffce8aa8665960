"""Leads of invented people, so that the first screen is alive."""

from typing import Any

#: The workspaces that the samples belong to are invented too.
SAMPLES: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "acme",
        {
            "provider_event_id": "sample-1",
            "from_address": "ada.okafor@example.com",
            "from_name": "Ada Okafor",
            "subject": "A call next week?",
            "body": "Hello, we run a small bakery and would like to hear what you offer. Do you have time next week?",
            "offered_slots": [
                {"start": "2031-03-04T10:00:00+01:00", "end": "2031-03-04T10:30:00+01:00"},
                {"start": "2031-03-05T15:00:00+01:00", "end": "2031-03-05T15:30:00+01:00"},
            ],
        },
    ),
    (
        "acme",
        {
            "provider_event_id": "sample-2",
            "from_address": "bruno.lindqvist@example.org",
            "from_name": "Bruno Lindqvist",
            "subject": "Re: Your proposal",
            "body": "Thanks, that looks good. What do twelve seats cost?\n\nOn Monday you wrote:\n> See our list.",
        },
    ),
    (
        "acme",
        {
            "provider_event_id": "sample-3",
            "from_address": "chiara.moreau@example.net",
            "from_name": "Chiara Moreau",
            "subject": "Automatic reply: Your proposal",
            "body": "I am out of office until Monday and will read your message then.",
            "automatic": True,
        },
    ),
    (
        "birch-and-co",
        {
            "provider_event_id": "sample-4",
            "from_address": "+15550100",
            "from_name": "Dana",
            "channel": "sms",
            "body": "hi is tuesday 3pm still free? can you call me",
            "offered_slots": [{"start": "2031-03-11T15:00:00-05:00", "label": "Tuesday 11 March, 3 pm"}],
        },
    ),
    (
        "birch-and-co",
        {
            "provider_event_id": "sample-5",
            "from_address": "+15550101",
            "channel": "sms",
            "body": "STOP",
        },
    ),
    (
        "birch-and-co",
        {
            "provider_event_id": "sample-6",
            "from_address": "emeka.varga@example.com",
            "from_name": "Emeka Varga",
            "subject": "Wrong person",
            "body": "I left the company last year. Please ask Farah Iyer, she took over from me.",
        },
    ),
    (
        "cedar-labs",
        {
            "provider_event_id": "sample-7",
            "from_address": "grete.tanaka@example.com",
            "from_name": "Grete Tanaka",
            "channel": "linkedin",
            "body": "Saw your talk, impressive. Is there a trial that two of my engineers could use?",
        },
    ),
    (
        "cedar-labs",
        {
            "provider_event_id": "sample-9",
            "from_address": "henrik.adeyemi@example.com",
            "from_name": "Henrik Adeyemi",
            "subject": "Later",
            "body": "Interesting, but not now: our budget is closed. Please reach out again next quarter.",
        },
    ),
    (
        "cedar-labs",
        {
            "provider_event_id": "sample-10",
            "from_address": "ines.kowalski@example.org",
            "from_name": "Ines Kowalski",
            "subject": "Two questions",
            "body": "Could somebody call me? It is easier to explain on the phone.",
        },
    ),
    (
        "acme",
        {
            "provider_event_id": "sample-11",
            "from_address": "news@example.net",
            "subject": "Our spring catalogue",
            "body": "Everything for your bakery, now 20 % off.",
            "automatic": True,
        },
    ),
    ("cedar-labs", {"provider_event_id": "sample-8", "from_name": "Unknown", "subject": "", "body": "   "}),
)
