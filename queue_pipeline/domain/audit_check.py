"""The questions of the duplicate-send audit: what providers said, held against what the ledger says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One question, and how its rows and findings are called.

    `gates`: a finding is a breach of the contract. `may_be_empty`: having nothing to look at is no gap in the evidence,
    because other checks show whether there was any. `reviewable`: a person may accept a finding.
    """

    code: str
    name: str
    question: str
    rows: str
    one: str
    many: str
    gates: bool = True
    may_be_empty: bool = False
    reviewable: bool = False


CHECKS: Sequence[Check] = (
    Check(
        "D1",
        "d1_one_key_one_message",
        "Does any idempotency key have more than one message at a provider, by our links or by the key that it echoes?",
        "messages with a key at a provider",
        "idempotency key with more than one message at a provider",
        "idempotency keys with more than one message at a provider",
    ),
    Check(
        "D2",
        "d2_one_draft_part_one_message",
        "Does any part of a draft have more than one message at a provider?",
        "messages of drafts at a provider",
        "part of a draft with more than one message at a provider",
        "parts of drafts with more than one message at a provider",
        may_be_empty=True,
    ),
    Check(
        "D3",
        "d3_one_business_key_one_send",
        "Does any workspace, lead, channel, trigger, purpose and part have more than one SENT message in the ledger?",
        "messages SENT",
        "business key with more than one SENT message",
        "business keys with more than one SENT message",
    ),
    Check(
        "D4",
        "d4_no_unreviewed_lookalike",
        "Did anybody get the same text twice on one channel, and nobody has reviewed it?",
        "messages with a known text",
        "pair of messages that look alike",
        "pairs of messages that look alike",
        reviewable=True,
    ),
    Check(
        "D5",
        "d5_no_unledgered_send",
        "Does a provider have a message of our automation that the ledger does not know?",
        "messages of our automation at a provider",
        "message of our automation that the ledger does not know",
        "messages of our automation that the ledger does not know",
    ),
    Check(
        "D6",
        "d6_ledger_agrees_with_providers",
        "Is every SENT message known to a provider, and nothing at a provider that the ledger calls unsent?",
        "settled messages of the ledger and of providers",
        "message on which ledger and provider disagree",
        "messages on which ledger and provider disagree",
        gates=False,
    ),
    Check(
        "D7",
        "d7_one_inbound_key_one_body",
        "Did any inbound key come with two bodies, or was any delivery accepted twice?",
        "accepted deliveries",
        "inbound key with two bodies or two acceptances",
        "inbound keys with two bodies or two acceptances",
        gates=False,
    ),
    Check(
        "UNKNOWN",
        "no_send_unknown_for_30_minutes",
        "Is any message UNKNOWN for more than 30 minutes?",
        "messages of the ledger",
        "message UNKNOWN for more than 30 minutes",
        "messages UNKNOWN for more than 30 minutes",
    ),
)
CHECKS_BY_CODE: Mapping[str, Check] = {check.code: check for check in CHECKS}

#: The name of the check that carries the legacy keys; it reports and never judges.
LEGACY_CODE = "D8"
LEGACY_NAME = "d8_legacy_keys_are_structural"

#: The columns of the earlier system's audit, and what a repeated value would have meant there.
LEGACY_KEYS: Mapping[str, str] = {
    "ghlId": "one SMS recorded twice",
    "webhookDedupeKey": "one inbound webhook recorded twice",
    "emailBisonReplyId": "one e-mail reply recorded twice",
    "inboxxiaScheduledEmailId": "one campaign e-mail recorded twice",
    "unipileMessageId": "one LinkedIn message recorded twice",
}

_SENTENCES: Mapping[str, str] = {
    "D1": "{providers} has {messages} messages for one key, of {ledger}: {by_link} by our link, {by_echo} by its echo.",
    "D2": "{providers} has {messages} messages for draft {draft}, part {part}: {ledger}.",
    "D3": "The ledger sent one business key {messages} times: {ledger}.",
    "D4": "The same text went to the same addressee twice within {seconds} s: {ledger}; at {providers}.",
    "D5": "{providers} has a message of our automation that the ledger does not know.",
    "D6": "The ledger says that {ledger} is {state}; {providers} has it.",
    "D7": "One inbound key, {what}: inbound event {events}.",
    "UNKNOWN": "The ledger says that {ledger} has been UNKNOWN for {seconds} s.",
}


def sentence(
    code: str,
    facts: Mapping[str, Any],
    *,
    outbound_message_ids: Sequence[int],
    providers: Sequence[str],
    inbound_event_ids: Sequence[int],
) -> str:
    """What one finding says, in ids and numbers."""
    messages = ", ".join(map(str, outbound_message_ids))
    return _SENTENCES[code].format(
        **facts,
        ledger=f"message {messages}" if messages else "no message of the ledger",
        providers=", ".join(providers) or "no provider",
        events=", ".join(map(str, inbound_event_ids)),
    )
