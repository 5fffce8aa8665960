"""What people write, and the class that each text must get."""

import pytest

from queue_pipeline.leads.classification import MessageClass, classify
from queue_pipeline.leads.inbound_lead import InboundLead
from queue_pipeline.leads.own_words import own_words

SLOTS = [{"start": "2031-03-04T10:00:00+01:00"}, {"start": "2031-03-05T15:00:00+01:00"}]


def lead(body: str = "", subject: str = "", **fields: object) -> InboundLead:
    return InboundLead.model_validate({"provider": "test", "body": body, "subject": subject, **fields})


OPT_OUT = [
    "STOP",
    " Unsubscribe. ",
    "stop please",
    "Please remove me.",
    "Hi, please take me off your list.",
    "Do not contact me again.",
    "Please stop emailing me!",
    "Can you stop texting me?",
    "Remove me from this mailing list immediately",
    "I'd like to unsubscribe, thanks",
    "Not interested. Stop sending me these emails.",
    "No more emails please.",
    "I don\N{RIGHT SINGLE QUOTATION MARK}t want to receive any more messages from your company.",
    "We do not wish to be contacted.",
    "How do I unsubscribe from these emails?",
    "Please opt me out",
    "lose my number",
    "Leave us alone",
    "I'm reporting this as spam",
    "Please delete my contact details from your database.",
    "Never contact us again",
    "Don't call me again.",
    "Thanks but we went with somebody else. Please don't email me any more.",
    "Bitte kontaktieren Sie mich nicht mehr.",
    "Bitte löschen Sie meine Daten.",
    "Keine weiteren Mails bitte",
    "Abmelden",
    "Merci de ne pas insister, désabonnez-moi.",
    "Ne me contactez plus.",
    "Je ne souhaite plus recevoir vos messages",
    "No me escriban más, por favor.",
    "Quiero darme de baja",
]
OUT_OF_OFFICE = [
    "I'm currently out of the office until 3 May.",
    "Thank you for your email. I am on annual leave and will return on Monday. For urgent matters please contact my colleague.",
    "I am away from my desk and will reply when I return.",
    "Out of office until 12 June with no access to email.",
    "I will have limited access to email this week.",
    "Our office is closed until 2 January.",
    "Vielen Dank für Ihre Nachricht. Ich bin derzeit nicht im Büro und ab Montag wieder da.",
    "Ich bin vom 3. bis 14. August im Urlaub.",
    "Je suis actuellement en congés jusqu'au 20 août.",
    "Estoy fuera de la oficina hasta el lunes.",
]
WRONG_PERSON = [
    "I left the company last year. Please ask Farah Iyer, she took over from me.",
    "You have the wrong person.",
    "wrong number",
    "I'm not the right person for this, sorry.",
    "I no longer work at Birch & Co.",
    "Mr Iyer no longer works here.",
    "She has left the company in June.",
    "I don't handle purchasing any more.",
    "Please talk to our IT team instead.",
    "I'm retired now, so this is nothing for me.",
    "We are not responsible for that, sorry.",
    "Ich bin leider nicht der richtige Ansprechpartner.",
    "Je ne suis pas la bonne personne.",
    "No soy la persona indicada.",
]
CALL_WITH_NUMBER = [
    "Please call me on +1 555 010 0199.",
    "Can someone give me a call? My cell is (555) 010-0199",
    "Call my office at 555-010-0199 tomorrow",
    "You can reach me at 555 010 0199.",
    "My number is 0171 5550100",
    "+15550100199",
    "Sure: 555-010-0199",
    "Rufen Sie mich bitte unter 0171 5550100 an.",
]
CALL_WITHOUT_NUMBER = [
    "Can you call me?",
    "Please give us a ring when you have a minute.",
    "I'd prefer a phone call.",
    "Could somebody phone me about this?",
    "call me tomorrow after 3",
    "Call me Monday.",
    "If you could call me, that would be great.",
    "Bitte um Rückruf.",
    "Appelez-moi s'il vous plaît.",
    "Llámame mañana",
]
FOLLOW_UP = [
    "Reach out in March.",
    "Not now, maybe next quarter.",
    "Could you check back in a few weeks?",
    "We have no budget at the moment. Please contact me again in 2 months.",
    "Bad timing, ping me after the holidays",
    "This is interesting but we are too busy. Let's talk again in Q3.",
    "Circle back in the new year please",
    "Follow up with me at the end of May.",
    "Get back to me next month",
    "I'm on vacation next week, reach out after the holidays.",
    "Thanks! Can you touch base in the autumn?",
]
SCHEDULING = [
    "Can we talk on Tuesday?",
    "Hello, we run a small bakery and would like to hear what you offer. Do you have time next week?",
    "Are you free tomorrow at 3pm?",
    "Tuesday works for me.",
    "Could we move the meeting to 4 pm?",
    "I'd like to book a demo.",
    "What times do you have on Friday?",
    "Let's have a call on Thursday morning",
    "Yes, 10:30 is perfect. See you on Monday!",
    "How about Wednesday at noon?",
    "Send me your calendar link and I'll pick something",
    "When would suit your team for a visit?",
    "I need to reschedule our appointment",
]
REPLY_NEEDED = [
    "What does it cost?",
    "Are you out of office on Tuesday?",
    "I cannot unsubscribe my team from the trial, how do I do that?",
    "Please stop by at our booth.",
    "Sounds good!\n\nOn Monday you wrote:\n> Reply STOP to unsubscribe",
    "Yes.\n> please unsubscribe me",
    "Just call me Bob. How does the pricing work?",
    "Please don't call me, e-mail is fine.",
    "Don't text me, email me instead.",
    "Please do not contact me before Monday, I am travelling.",
    "Did you call me yesterday?",
    "Our clients call us a success story.",
    "I will get back to you next week.",
    "Am I the right person to talk to you about this?",
    "Sorry if I have the wrong person, but can you tell me your prices?",
    "We use a competitor until March. How are you different?",
    "Can I cancel any time?",
    "👍",
    "Who is this?",
    "Not interested, thanks.",
    "I may have time next year, but first: what would 20 seats cost?",
    "Can you remove me from the cc and answer Ada?",
    "Do you have an office in Berlin?",
    "I opened the account in March and nobody answered me.",
    "We never stop texting our customers. Does your tool help?",
    "How do I opt out of the annual contract?",
    "Are you free of charge for schools?",
    "The last call dropped. What were the three options again?",
    "Are you free on Tuesday? And what would 20 seats cost per year?",
]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        *((MessageClass.OPT_OUT, text) for text in OPT_OUT),
        *((MessageClass.OUT_OF_OFFICE, text) for text in OUT_OF_OFFICE),
        *((MessageClass.WRONG_PERSON, text) for text in WRONG_PERSON),
        *((MessageClass.CALL_REQUESTED, text) for text in CALL_WITH_NUMBER),
        *((MessageClass.CALL_REQUESTED_WITHOUT_PHONE, text) for text in CALL_WITHOUT_NUMBER),
        *((MessageClass.FOLLOW_UP, text) for text in FOLLOW_UP),
        *((MessageClass.SCHEDULING, text) for text in SCHEDULING),
        *((MessageClass.REPLY_NEEDED, text) for text in REPLY_NEEDED),
    ],
)
def test_the_words_of_a_message_give_its_class(expected: MessageClass, text: str) -> None:
    assert classify(lead(text)).message_class == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (lead("", "Price list, please"), MessageClass.REPLY_NEEDED),
        (lead("", "unsubscribe"), MessageClass.OPT_OUT),
        (lead("Back on Monday.", "Automatic reply: Hello"), MessageClass.OUT_OF_OFFICE),
        (lead("Ich bin nicht da.", "Abwesenheitsnotiz: Angebot"), MessageClass.OUT_OF_OFFICE),
        (lead("Tell me more.", "Re: Out of office"), MessageClass.REPLY_NEEDED),
        (lead("Which of your desks fit?", "Out of office furniture"), MessageClass.REPLY_NEEDED),
        (lead("I am on parental leave.", automatic=True), MessageClass.OUT_OF_OFFICE),
        (lead("I have left the company. Write to Farah.", automatic=True), MessageClass.WRONG_PERSON),
        (lead("The build has failed.", "Build 12", automatic=True), MessageClass.AUTOMATIC),
        (lead("Please unsubscribe me.", "[list] digest", automatic=True), MessageClass.OPT_OUT),
        (lead("Our news. Please unsubscribe me, some write.", "[list] digest", automatic=True), MessageClass.AUTOMATIC),
        (lead("550 no such user", "Undeliverable: Hello"), MessageClass.AUTOMATIC),
        (lead("No such user", from_address="mailer-daemon@example.com"), MessageClass.AUTOMATIC),
        (lead("This is an automated message. Your case number is 12."), MessageClass.AUTOMATIC),
        (lead(" \n "), MessageClass.EMPTY),
        (lead("> only what you wrote"), MessageClass.EMPTY),
        (lead("cancel", channel="sms"), MessageClass.OPT_OUT),
        (lead("cancel"), MessageClass.REPLY_NEEDED),
        (lead("call me", channel="sms", from_address="+15550100199"), MessageClass.CALL_REQUESTED),
        (lead("call me", from_address="ada@example.com", phone="+15550100199"), MessageClass.CALL_REQUESTED),
        (lead("The second one is good", offered_slots=SLOTS), MessageClass.SCHEDULING),
        (lead("The second one is good"), MessageClass.REPLY_NEEDED),
        (lead("Looking forward to it", "A call next week?"), MessageClass.SCHEDULING),
        (lead("What is included?", "Re: A call next week?"), MessageClass.REPLY_NEEDED),
    ],
)
def test_subject_channel_and_headers_count_too(message: InboundLead, expected: MessageClass) -> None:
    assert classify(message).message_class == expected


def test_a_number_from_an_earlier_message_is_enough_for_a_call() -> None:
    assert classify(lead("please call me"), phone_known=True).message_class == MessageClass.CALL_REQUESTED


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("Call +1 (555) 010-0199 please", "+15550100199"),
        ("ring 0171/5550100", "01715550100"),
        ("on 2031-03-04 at 10:00", None),
        ("on 04.03.2031 we met", None),
        ("it costs 1,200,000.50 or 12345", None),
        ("version 1.2.3.4.5.6.7", None),
    ],
)
def test_a_phone_number_is_told_from_other_numbers(text: str, phone: str | None) -> None:
    assert classify(lead(text)).phone == phone


@pytest.mark.parametrize(
    ("body", "own"),
    [
        ("Yes\n> no\nplease\n-- \nAda", "Yes\nplease"),
        ("Yes\n-----Original Message-----\nFrom: us", "Yes"),
        ("Ja\n\nAm 3. März schrieb Bruno:\n> x", "Ja"),
        ("Oui\n\nLe 3 mars, Bruno a écrit :\n> x", "Oui"),
        ("Yes\n\nOn Mon, 3 March 2031 at 10:00, Bruno Lindqvist\n<bruno@example.org> wrote:\nSTOP", "Yes"),
        ("Yes\n\nFrom: Bruno\nSent: Monday\nUnsubscribe", "Yes"),
        ("Yes\nSent from my phone", "Yes"),
        ("From: Berlin we take the train.\nGood?", "From: Berlin we take the train.\nGood?"),
    ],
)
def test_own_words_end_where_somebody_else_begins(body: str, own: str) -> None:
    assert own_words(body) == own


def test_a_reason_is_given_for_every_class_and_repeats_nothing_that_the_lead_wrote() -> None:
    for text in ("Zanzibar?", "STOP Zanzibar", "I am on annual leave in Zanzibar", "call me in Zanzibar"):
        assert classify(lead(text)).why
        assert "Zanzibar" not in classify(lead(text)).why
