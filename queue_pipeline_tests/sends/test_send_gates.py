"""What holds a message back at the moment of its try: the switch, an opt-out, and what happened since its trigger."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.flag import SENDS_ENABLED, spelled
from queue_pipeline.engine import flags
from queue_pipeline.engine.evidence import Observation, observe
from queue_pipeline.engine.reconcile import waiting
from queue_pipeline_tests.races.staging import until_somebody_waits
from queue_pipeline_tests.sends.ledger import ADDRESS, KEY, LOOKUP, Ledger

OPT_OUT = "UPDATE lead SET opted_out_at = clock_timestamp() WHERE lead_id = :lead"


def switch(ledger: Ledger, *, on: bool) -> None:
    flags.flip(ledger.db, SENDS_ENABLED, spelled(on), who="Mina", why="a test")


def lead(ledger: Ledger, workspace: str = "acme") -> int:
    ((number,),) = ledger.run_sql(
        "INSERT INTO lead (workspace, address) VALUES (:workspace, :address) RETURNING lead_id",
        workspace=workspace,
        address=ADDRESS,
    )
    return int(number)


def writes(ledger: Ledger, job_id: int, workspace: str = "acme") -> None:
    """The lead writes; this is the job of what it wrote."""
    ledger.run_sql(
        "INSERT INTO inbound_event (workspace, provider, dedupe_key, payload_sha256, lead_address, job_id)"
        " VALUES (:workspace, 'test', :job_id, repeat('0', 64), :address, :job_id)",
        workspace=workspace,
        job_id=job_id,
        address=ADDRESS,
    )


def test_switched_off_a_message_stays_ready_and_the_job_goes_on(ledger: Ledger) -> None:
    switch(ledger, on=False)
    claim = ledger.claim()
    sent = ledger.sent(claim)
    assert (sent.state, sent.reason) == ("READY", "sends are switched off (flag sends.enabled)")
    assert ledger.run_sql("SELECT 1 FROM send_attempt") == []
    ledger.end_job(claim.job_id)
    ledger.reconcile()
    assert (waiting(ledger.db).due, ledger.provider.parcels) == (0, [])
    switch(ledger, on=True)
    assert waiting(ledger.db).due == 1
    ledger.reconcile()
    assert ledger.state(sent.outbound_message_id) == "SENT"
    assert len(ledger.provider.parcels) == 1


def test_switched_off_doubts_are_looked_up_and_never_ended_by_sending(ledger: Ledger) -> None:
    number = ledger.doubtful()
    ledger.able(KEY)
    switch(ledger, on=False)
    ledger.pass_time(100)
    assert ledger.reconcile().done == {"doubts wait for their time": 1}
    ledger.able(LOOKUP)
    ledger.pass_time(100)
    ledger.reconcile()
    assert ledger.provider.lookups == 1
    assert (ledger.state(number), len(ledger.provider.parcels)) == ("UNKNOWN", 1)


def test_a_flip_waits_for_the_transaction_that_relies_on_the_old_value(
    ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    with ledger.db.begin() as tx:
        assert flags.is_on(tx, SENDS_ENABLED, hold=True)
        flipping = pool.submit(switch, ledger, on=False)
        until_somebody_waits(ledger.db, flipping)
    flipping.result(10)
    assert ledger.sent().state == "READY"


def test_no_send_begins_after_the_flip_has_committed(ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    claim = ledger.claim()
    with ledger.db.begin() as tx:
        tx.execute(sa.text("UPDATE control_flag SET value = 'off' WHERE flag = 'sends.enabled'"))
        sending = pool.submit(ledger.sent, claim)
        until_somebody_waits(ledger.db, sending)
    assert sending.result(10).state == "READY"
    assert ledger.provider.parcels == []


def test_a_flip_is_effective_and_on_record_with_what_it_was_before(ledger: Ledger) -> None:
    switch(ledger, on=False)
    switch(ledger, on=True)
    events = ledger.run_sql("SELECT from_value, to_value, who, why FROM control_event ORDER BY control_event_id")
    assert events == [("on", "off", "Mina", "a test"), ("off", "on", "Mina", "a test")]
    shown = {state.flag: (state.value, state.source, state.who) for state in flags.states(ledger.db)}
    assert shown[SENDS_ENABLED] == ("on", "database", "Mina")
    assert shown["drafts.auto_send"] == ("off", "environment", None)


def test_of_two_flips_at_once_each_says_truly_what_was_before(ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    for flipped in [pool.submit(switch, ledger, on=bool(n % 2)) for n in range(8)]:
        flipped.result(10)
    events = ledger.run_sql("SELECT from_value, to_value FROM control_event ORDER BY control_event_id")
    assert [before for before, _ in events] == ["on", *(after for _, after in events[:-1])]


def test_a_flag_takes_its_default_from_the_environment_until_it_is_flipped(ledger: Ledger) -> None:
    flags.set_defaults({SENDS_ENABLED: "off"})
    try:
        assert ledger.sent().state == "READY"
        switch(ledger, on=True)
        assert ledger.sent().state == "SENT"
    finally:
        flags.set_defaults({SENDS_ENABLED: "on"})


@pytest.mark.parametrize(
    ("flag", "who", "why", "named"),
    [
        ("sends.enable", "Mina", "x", "Known flags: sends.enabled"),
        (SENDS_ENABLED, " ", "x", "who"),
        (SENDS_ENABLED, "M", "", "why"),
    ],
)
def test_a_flip_without_a_known_flag_a_name_and_a_reason_is_refused(
    ledger: Ledger, flag: str, who: str, why: str, named: str
) -> None:
    with pytest.raises(InvalidInput, match=named):
        flags.flip(ledger.db, flag, "off", who=who, why=why)
    assert ledger.run_sql("SELECT 1 FROM control_event") == []


def test_a_lead_that_opted_out_gets_nothing_whatever_the_purpose(ledger: Ledger) -> None:
    number = lead(ledger)
    ledger.run_sql(OPT_OUT, lead=number)
    for purpose in ("reply", "acknowledgement"):
        sent = ledger.sent(lead_id=number, purpose=purpose)
        assert (sent.state, sent.reason) == ("CANCELLED", "the lead asked not to be contacted")
    assert ledger.provider.parcels == []


def test_an_opt_out_that_is_being_written_is_waited_for(ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    number, claim = lead(ledger), ledger.claim()
    with ledger.db.begin() as tx:
        tx.execute(sa.text(OPT_OUT), {"lead": number})
        sending = pool.submit(ledger.sent, claim, lead_id=number)
        until_somebody_waits(ledger.db, sending)
    assert sending.result(10).state == "CANCELLED"
    assert ledger.provider.parcels == []


def observed(ledger: Ledger, **fields: Any) -> None:
    seen = {
        "provider": "mailbox",
        "account": "a",
        "provider_message_id": "p-1",
        "recipient": ADDRESS,
        "author": "person",
    }
    observe(ledger.db, Observation(**{**seen, **fields}), via="webhook")


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        ("the lead writes", "the lead wrote again after the message that it answers"),
        ("a person answers", "a person answered meanwhile"),
        ("a person answers, in capitals", "a person answered meanwhile"),
    ],
)
def test_a_reply_that_is_out_of_date_is_cancelled(ledger: Ledger, meanwhile: str, reason: str) -> None:
    claim = ledger.claim()
    writes(ledger, claim.job_id)
    if meanwhile == "the lead writes":
        writes(ledger, 999_999)
    else:
        observed(ledger, recipient=ADDRESS.upper() if "capitals" in meanwhile else ADDRESS)
    sent = ledger.sent(claim, trigger=f"lead:{claim.job_id}", lead_id=lead(ledger))
    assert (sent.state, sent.reason) == ("CANCELLED", reason)
    assert ledger.provider.parcels == []


@pytest.mark.parametrize(
    "meanwhile",
    ["nothing", "a campaign", "our own message", "another workspace's lead", "another workspace's person", "before it"],
)
def test_a_reply_that_is_up_to_date_leaves(ledger: Ledger, meanwhile: str) -> None:
    claim = ledger.claim()
    writes(ledger, claim.job_id)
    match meanwhile:
        case "a campaign":
            observed(ledger, author="campaign")
        case "our own message":
            observed(ledger, author="automation")
        case "another workspace's lead":
            writes(ledger, 999_999, "globex")
        case "another workspace's person":
            observed(ledger, workspace="globex")
        case "before it":
            observed(ledger)
            ledger.run_sql("UPDATE provider_message SET sent_at = now() - interval '1 hour'")
    assert ledger.sent(claim, trigger=f"lead:{claim.job_id}", lead_id=lead(ledger)).state == "SENT"


def test_an_acknowledgement_leaves_though_the_lead_wrote_again(ledger: Ledger) -> None:
    claim = ledger.claim()
    writes(ledger, claim.job_id)
    writes(ledger, 999_999)
    assert ledger.sent(claim, trigger=f"lead:{claim.job_id}", purpose="acknowledgement").state == "SENT"


def test_each_later_try_asks_again_whether_the_message_is_wanted(ledger: Ledger) -> None:
    number = lead(ledger)
    message = ledger.ready(lead_id=number)
    ledger.run_sql(OPT_OUT, lead=number)
    ledger.pass_time(3600)
    ledger.reconcile()
    assert ledger.state(message) == "CANCELLED"
    assert len(ledger.provider.parcels) == 1


def test_a_doubt_is_not_ended_by_sending_to_a_lead_that_opted_out(ledger: Ledger) -> None:
    number = lead(ledger)
    message = ledger.doubtful(lead_id=number)
    ledger.able(KEY)
    ledger.run_sql(OPT_OUT, lead=number)
    ledger.pass_time(100)
    ledger.reconcile()
    found = ledger.message(message)
    assert found.state == "NEEDS_HUMAN"
    assert found.reason == "it may have left, and is not tried again: the lead asked not to be contacted"
    assert len(ledger.provider.parcels) == 1
