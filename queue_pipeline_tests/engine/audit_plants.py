"""Duplicates of every kind, and what only looks like one, for a ledger and providers whose guards are taken away.

A plant gives the messages of the ledger and of providers that its check must find.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from queue_pipeline_tests.engine.planted import Planted

SHORT = "Yes, at ten."

# ------------------------------------------------------------------------------------- what is planted is found


def same_key_by_link(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message(tries=2)
    return {message}, {p.evidence(message, text="one"), p.evidence(message, text="two")}


def same_key_by_echo(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message(tries=2)
    key = p.key_of(message)
    echoes = {p.evidence(idempotency_key=key, text="one"), p.evidence(idempotency_key=key, text="two")}
    return {message}, echoes


def same_key_once_by_link_and_once_by_echo(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message(tries=2)
    return {message}, {p.evidence(message, text="one"), p.evidence(idempotency_key=p.key_of(message), text="two")}


def same_key_in_two_rows_of_the_ledger(p: Planted) -> tuple[set[int], set[str]]:
    first = p.message()
    second = p.message(idempotency_key=p.key_of(first))
    return {first, second}, {p.evidence(first, text="one"), p.evidence(second, text="two")}


def same_key_echoed_that_the_ledger_does_not_have(p: Planted) -> tuple[set[int], set[str]]:
    return set(), {
        p.evidence(idempotency_key="another house", text="one"),
        p.evidence(idempotency_key="another house", text="two"),
    }


def same_draft_part(p: Planted) -> tuple[set[int], set[str]]:
    draft = p.draft()
    first, second = p.message(draft_id=draft), p.message(draft_id=draft)
    return {first, second}, {p.evidence(first, text="one"), p.evidence(second, text="two")}


def same_draft_part_once_by_echo(p: Planted) -> tuple[set[int], set[str]]:
    draft = p.draft()
    first, second = p.message(draft_id=draft), p.message("UNKNOWN", draft_id=draft)
    return {first, second}, {
        p.evidence(first, text="one"),
        p.evidence(idempotency_key=p.key_of(second), text="two"),
    }


def same_business_key(p: Planted) -> tuple[set[int], set[str]]:
    lead = p.lead()
    return {p.message(trigger_key="lead:7", lead_id=lead), p.message(trigger_key="lead:7", lead_id=lead)}, set()


def same_business_key_without_a_lead(p: Planted) -> tuple[set[int], set[str]]:
    return {p.message(trigger_key="job:7"), p.message(trigger_key="job:7")}, set()


def alike_to_one_address(p: Planted) -> tuple[set[int], set[str]]:
    first, second = p.message(), p.message()
    later = p.at + timedelta(minutes=50)
    evidence = {
        p.evidence(first, recipient="Ada@example.com"),
        p.evidence(second, recipient="ada@example.com", at=later),
    }
    return {first, second}, evidence


def alike_to_one_lead_at_two_addresses(p: Planted) -> tuple[set[int], set[str]]:
    lead = p.lead()
    first, second = p.message(lead_id=lead), p.message(lead_id=lead)
    return {first, second}, {p.evidence(first), p.evidence(second)}


def alike_in_one_thread(p: Planted) -> tuple[set[int], set[str]]:
    evidence = {
        p.evidence(thread_id="thread-1", recipient=None),
        p.evidence(thread_id="thread-1", recipient=None),
    }
    return set(), evidence


def alike_where_the_provider_tells_neither_workspace_nor_channel(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message()
    untold: dict[str, Any] = {"workspace": None, "channel": None}
    return {message}, {p.evidence(message, recipient="ada@example.com"),
                       p.evidence(recipient="ada@example.com", **untold)}  # fmt: skip


def alike_by_campaign_and_automation(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message()
    evidence = {
        p.evidence(message, recipient="ada@example.com"),
        p.evidence(recipient="ada@example.com", author="campaign", kind="campaign_scheduled"),
    }
    return {message}, evidence


def alike_and_short_within_seconds(p: Planted) -> tuple[set[int], set[str]]:
    evidence = {
        p.evidence(recipient="ada@example.com", text=SHORT),
        p.evidence(recipient="ada@example.com", text=SHORT, at=p.at + timedelta(seconds=15)),
    }
    return set(), evidence


def alike_known_by_the_text_of_the_ledger(p: Planted) -> tuple[set[int], set[str]]:
    first, second = p.message(body="Same words for you both"), p.message(body="same  WORDS for you both")
    untold: dict[str, Any] = {"recipient": "ada@example.com", "body_norm_sha256": None, "body_length": None}
    return {first, second}, {p.evidence(first, **untold), p.evidence(second, **untold)}


def unledgered(p: Planted) -> tuple[set[int], set[str]]:
    return set(), {p.evidence()}


def unledgered_with_a_dangling_link(p: Planted) -> tuple[set[int], set[str]]:
    return set(), {p.evidence(99_999)}


def sent_and_unknown_to_any_provider(p: Planted) -> tuple[set[int], set[str]]:
    return {p.message()}, set()


def sent_according_to_the_lead_alone(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message()
    p.evidence(message, direction="inbound", author="lead")
    return {message}, set()


def told(state: str, by: str) -> Callable[[Planted], tuple[set[int], set[str]]]:
    def plant(p: Planted) -> tuple[set[int], set[str]]:
        message = p.message(state)
        link: dict[str, Any] = {"of": message} if by == "link" else {"idempotency_key": p.key_of(message)}
        return {message}, {p.evidence(**link)}

    plant.__name__ = f"{state.lower()}_in_the_ledger_but_sent_by_{by}"
    return plant


def unknown_for_31_minutes(p: Planted) -> tuple[set[int], set[str]]:
    return {p.message("UNKNOWN", unknown_since=p.at + timedelta(minutes=29))}, set()


PLANTED: list[tuple[str, Callable[[Planted], tuple[set[int], set[str]]]]] = [
    *(("D1", plant) for plant in (
        same_key_by_link, same_key_by_echo, same_key_once_by_link_and_once_by_echo, same_key_in_two_rows_of_the_ledger,
        same_key_echoed_that_the_ledger_does_not_have)),
    ("D2", same_draft_part), ("D2", same_draft_part_once_by_echo),
    ("D3", same_business_key), ("D3", same_business_key_without_a_lead),
    *(("D4", plant) for plant in (
        alike_to_one_address, alike_to_one_lead_at_two_addresses, alike_in_one_thread,
        alike_where_the_provider_tells_neither_workspace_nor_channel, alike_by_campaign_and_automation,
        alike_and_short_within_seconds, alike_known_by_the_text_of_the_ledger)),
    ("D5", unledgered), ("D5", unledgered_with_a_dangling_link),
    ("D6", sent_and_unknown_to_any_provider), ("D6", sent_according_to_the_lead_alone),
    *(("D6", told(state, by)) for state in ("REJECTED", "CANCELLED", "READY", "NEEDS_HUMAN") for by in ("link", "echo")),
    ("UNKNOWN", unknown_for_31_minutes),
]  # fmt: skip


# ------------------------------------------------------------------------------------------- near misses are not


def one_message_seen_by_response_and_echo(p: Planted) -> None:
    message = p.message()
    identity = p.evidence(message, observed_via="response")
    p.evidence(message, provider_message_id=identity, kind="reply", idempotency_key=p.key_of(message))


def two_parts_of_a_draft(p: Planted) -> None:
    draft = p.draft()
    for part in (0, 1):
        p.evidence(p.message(draft_id=draft, part_index=part), text=f"part {part}")


def a_person_repeats_our_words(p: Planted) -> None:
    p.evidence(p.message(), recipient="ada@example.com")
    p.evidence(recipient="ada@example.com", author="person")


def the_lead_quotes_our_words(p: Planted) -> None:
    p.evidence(p.message(), recipient="ada@example.com")
    p.evidence(recipient="ada@example.com", author="lead", direction="inbound")


def a_person_under_our_key(p: Planted) -> None:
    message = p.message()
    p.evidence(message, text="one")
    p.evidence(message, text="two", author="person")


def an_inbound_message_under_our_key(p: Planted) -> None:
    message = p.message()
    p.evidence(message, text="one")
    p.evidence(message, text="two", direction="inbound")


def alike_25_hours_apart(p: Planted) -> None:
    for at in (p.at, p.at - timedelta(hours=25)):
        p.evidence(p.message(at=at), at=at, recipient="ada@example.com")


def alike_and_short_16_seconds_apart(p: Planted) -> None:
    for at in (p.at, p.at - timedelta(seconds=16)):
        p.evidence(p.message(at=at), at=at, recipient="ada@example.com", text=SHORT)


def alike_to_two_people(p: Planted) -> None:
    for recipient in ("ada@example.com", "grace@example.com"):
        p.evidence(p.message(), recipient=recipient)


def alike_on_two_channels(p: Planted) -> None:
    lead = p.lead()
    for channel, recipient in (("email", "ada@example.com"), ("sms", "+1 555 0100")):
        p.evidence(p.message(lead_id=lead, channel=channel), channel=channel, recipient=recipient)


def alike_from_two_workspaces(p: Planted) -> None:
    for workspace in ("acme", "globex"):
        p.evidence(p.message(workspace=workspace), workspace=workspace, recipient="ada@example.com")


def other_words_to_one_person(p: Planted) -> None:
    for text in ("Shall we say Tuesday at ten?", "Shall we say Tuesday at nine?"):
        p.evidence(p.message(), recipient="ada@example.com", text=text)


def a_campaign_that_repeats_itself(p: Planted) -> None:
    for _ in range(2):
        p.evidence(recipient="ada@example.com", author="campaign", kind="campaign_scheduled")


def one_business_key_sent_once_and_cancelled_once(p: Planted) -> None:
    p.evidence(p.message(trigger_key="job:7"))
    p.message("CANCELLED", trigger_key="job:7")


def one_trigger_for_two_leads(p: Planted) -> None:
    for text in ("one", "two"):
        p.evidence(p.message(trigger_key="job:7", lead_id=p.lead()), text=text)


def one_trigger_on_two_channels_for_two_purposes_in_two_parts(p: Planted) -> None:
    others: list[dict[str, Any]] = [{}, {"channel": "sms"}, {"purpose": "followup"}, {"part_index": 1}]
    for number, changes in enumerate(others):
        p.evidence(p.message(trigger_key="job:7", **changes), text=f"text {number}")


def sent_by_a_person(p: Planted) -> None:
    p.evidence(author="person")


def sent_by_a_campaign_or_nobody_knows_whom(p: Planted) -> None:
    p.evidence(author="campaign", kind="campaign_scheduled", text="one")
    p.evidence(author="unknown", text="two")


def evidence_that_may_still_be_linked(p: Planted) -> None:
    p.evidence(at=p.at + timedelta(minutes=59))


def sent_a_minute_ago(p: Planted) -> None:
    p.message(at=p.at + timedelta(minutes=59))


def unknown_for_29_minutes(p: Planted) -> None:
    p.message("UNKNOWN", unknown_since=p.at + timedelta(minutes=31))


NEAR_MISSES = [
    one_message_seen_by_response_and_echo, two_parts_of_a_draft, a_person_repeats_our_words, the_lead_quotes_our_words,
    a_person_under_our_key, an_inbound_message_under_our_key, alike_25_hours_apart, alike_and_short_16_seconds_apart,
    alike_to_two_people, alike_on_two_channels, alike_from_two_workspaces, other_words_to_one_person,
    a_campaign_that_repeats_itself, one_business_key_sent_once_and_cancelled_once, one_trigger_for_two_leads,
    one_trigger_on_two_channels_for_two_purposes_in_two_parts, sent_by_a_person, sent_by_a_campaign_or_nobody_knows_whom,
    evidence_that_may_still_be_linked, sent_a_minute_ago, unknown_for_29_minutes,
]  # fmt: skip
