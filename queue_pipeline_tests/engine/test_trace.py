"""What a trace says about the records of one job: the longest gap by its cause, and what the customer saw."""

import pytest

from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.domain.retention import DAY_SECONDS, JOB_CLASSES
from queue_pipeline.domain.trace import Gap, Trace
from queue_pipeline.engine.pruning import prune_classes
from queue_pipeline.engine.trace import is_number, trace
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.records import ADDRESS, MESSAGE_ID, Records


@pytest.fixture
def records(db: Database) -> Records:
    rows = Records(db)
    rows.lane()
    return rows


def story_of(records: Records, job_id: int) -> Trace:
    (story,) = trace(records.db, str(job_id))
    return story


def longest(records: Records, job_id: int) -> Gap:
    gap = story_of(records, job_id).longest_gap
    assert gap is not None
    return gap


def test_a_lead_that_waited_behind_a_frozen_function_run_says_which_and_where_it_hung(records: Records) -> None:
    hung = records.run(-60, 31, "lease_expired", heartbeat=1)
    other = records.job("PENDING", kind="lead.inbound", workspace="birch", created=-30)
    stack = '  File "app/drafter.py", line 3, in ask\n    wait()\n'
    records.attempt(other, hung, -20, 31, "LOST", due=-30, step="draft", progress="asking for Ada", stack=stack)
    records.recovered(hung, 31, "lease_expired")
    after = records.run(33)
    records.window(f"drain:v1:shard-01:after:{hung}", "recovery", 31, 33, after)
    lead = records.job(ended=35)
    records.attempt(lead, after, 34, 35)
    gap = longest(records, lead)
    assert gap.cause == "hung_function_run"
    assert 29 < gap.seconds < 32
    for words in (
        f"waited behind function run {hung} of shard-01 (nowhere.example, pid 7), which hung",
        "its last heartbeat was 30.0 s",
        "before drain of shard-02 recovered it on signal lease_expired",
        f"it held job {other} (lead.inbound) in step 'draft', last seen at File \"app/drafter.py\", line 3, in ask",
    ):
        assert words in gap.because
    assert "asking for Ada" in gap.because_said
    told = [event.what for event in story_of(records, lead).events]
    assert told[:6] == ["enqueued", "fell silent", "window opened", "recovered", "window taken", "claimed"]


def test_a_job_that_was_in_the_hands_of_a_dead_function_run_says_so(records: Records) -> None:
    dead = records.run(-60, 40, "dead", heartbeat=5)
    records.recovered(dead, 40, "dead")
    job = records.job(ended=45, attempt=2)
    records.attempt(job, dead, 1, 40, "LOST", step="draft")
    after = records.run(41)
    records.attempt(job, after, 42, 45, attempt=2)
    gap = longest(records, job)
    assert (gap.cause, gap.before) == ("dead_function_run", "lost")
    assert f"was in the hands of function run {dead}" in gap.because
    assert "which died" in gap.because


def test_a_job_that_nobody_drained_says_since_when_and_who_opened_the_window(records: Records) -> None:
    before = records.run(-100, -20, "empty")
    job = records.job(ended=62)
    after = records.run(60)
    records.window("drain:v1:shard-01:60:0", "schedule", 58, 60, after)
    records.attempt(job, after, 61, 62)
    gap = longest(records, job)
    assert gap.cause == "not_drained"
    assert f"nobody drained shard-01 since function run {before} ended (empty) 1 min 18 s before" in gap.because
    assert "window drain:v1:shard-01:60:0 was opened then, by schedule" in gap.because


def test_a_job_whose_drain_was_slow_to_start_names_the_window(records: Records) -> None:
    job = records.job(ended=32)
    after = records.run(30)
    records.window("drain:v1:shard-01:60:0", "sensor", 1, 30, after)
    records.attempt(job, after, 31, 32)
    gap = longest(records, job)
    assert (gap.cause, gap.before) == ("not_launched", "window taken")
    assert "opened by sensor, waited 29.0 s" in gap.because


def test_a_job_that_waited_behind_others_counts_them(records: Records) -> None:
    run = records.run(-60)
    job = records.job(ended=32)
    for number in range(3):
        records.attempt(records.job(workspace="birch", ended=10), run, number, 10)
    records.attempt(records.job(ended=10), run, 1, 10)
    records.attempt(job, run, 30, 32)
    gap = longest(records, job)
    assert gap.cause == "other_work"
    assert "meanwhile 3 jobs of other workspaces and 1 job of its own ended" in gap.because


def test_a_job_that_waited_for_handlers_that_hung_in_every_slot_names_them(records: Records) -> None:
    run = records.run(-60)
    hanging = records.job("DEAD", kind="shop.charge", ended=30)
    records.attempt(hanging, run, -1, 30, "TIMED_OUT", step="charge the card")
    job = records.job(ended=32)
    records.attempt(job, run, 30, 32)
    gap = longest(records, job)
    assert gap.cause == "hung_handler"
    assert f"job {hanging} (shop.charge) in step 'charge the card'" in gap.because


def test_a_job_over_its_quota_says_so_while_it_waits(db: Database) -> None:
    records = Records(db)
    records.lane(quota=0)
    records.run(-60)
    gap = longest(records, records.job("PENDING"))
    assert (gap.cause, gap.before) == ("quota", "now")


def test_a_job_that_waits_behind_a_function_run_that_hangs_right_now_says_so(records: Records) -> None:
    run = records.run(-60, heartbeat=100, lease_until=records.at(130))
    gap = longest(records, records.job("PENDING"))
    assert (gap.cause, gap.before) == ("hung_function_run", "now")
    assert f"function run {run}" in gap.because
    assert "nobody has recovered it yet" in gap.because


@pytest.mark.parametrize(
    ("outcome", "cause", "words"),
    [
        ("RETRY", "backoff", "attempt 1 ended RETRY (ConnectionError)"),
        ("SNOOZED", "scheduled", "was snoozed by its handler for 58.0 s"),
        ("FAILED", "dead_letter", "until somebody replayed it"),
    ],
)
def test_a_job_that_paused_between_two_attempts_says_why(
    records: Records, outcome: str, cause: str, words: str
) -> None:
    run = records.run(-60)
    job = records.job(ended=62, attempt=2)
    said = "no answer from Ada" if outcome == "RETRY" else None
    records.attempt(job, run, 1, 2, outcome, error_class="ConnectionError" if said else None, error=said)
    records.attempt(job, run, 61, 62, due=60, attempt=2)
    gap = longest(records, job)
    assert (gap.cause, gap.before) == (cause, "due")
    assert words in gap.because
    assert gap.because_said == (said or "")


def test_a_job_for_later_waited_for_its_time(records: Records) -> None:
    run = records.run(-60)
    job = records.job(due=60, ended=62)
    records.attempt(job, run, 61, 62, due=60)
    gap = longest(records, job)
    assert (gap.cause, gap.before) == ("scheduled", "due")


def test_a_handler_that_took_its_time_names_its_step(records: Records) -> None:
    run = records.run(-60)
    job = records.job(ended=62)
    records.attempt(job, run, 1, 62)
    gap = longest(records, job)
    assert (gap.cause, gap.because) == ("handler", "its handler worked in attempt 1")


@pytest.fixture
def drafted(records: Records) -> tuple[int, int]:
    """A lead's job that ended 2 s after the lead wrote, and the lead."""
    run = records.run(-60)
    job = records.job(ended=2)
    records.attempt(job, run, 1, 2)
    return job, records.lead(job)


def test_a_reply_that_a_person_approved_late_waited_for_that_person(records: Records, drafted: tuple[int, int]) -> None:
    job, lead = drafted
    decided = {"decided_by": "mia", "decided_at": records.at(600), "decision": "approved"}
    findings = '[{"code": "slot_mismatch"}, {"code": "slot_mismatch"}, {"code": "empty_draft"}]'
    draft = records.draft(job, lead, 2, "SENT", findings=findings, **decided)
    records.notification(job, 2, 2.5)
    message = records.message(job, lead, "SENT", 601, 602, sent=602, draft_id=draft)
    records.send_attempt(message, 1, 601, 602, "accepted")
    records.outcome(job, lead, "sent", 602, code="send_sent")
    story = story_of(records, job)
    gap = longest(records, job)
    assert (gap.cause, gap.before) == ("person", "draft decided")
    assert f"draft {draft} waited for a person to review it" in gap.because
    assert story.customer == "the customer got one message (reply) 10 min 02 s after writing"
    (event,) = [event for event in story.events if event.what == "drafted"]
    assert "gates: empty_draft, slot_mismatch x2" in event.detail
    (event,) = [event for event in story.events if event.what == "draft decided"]
    assert event.said == "by mia: approved"


def test_a_draft_that_still_waits_is_what_the_customer_has_not_seen(records: Records, drafted: tuple[int, int]) -> None:
    job, lead = drafted
    draft = records.draft(job, lead, 2)
    records.notification(job, 2, 2.5)
    records.outcome(job, lead, "drafted_for_review", 2, code="reply_needed")
    story = story_of(records, job)
    assert story.customer.startswith(f"the customer has got nothing; draft {draft} has waited for a person for 59 min")
    gap = story.longest_gap
    assert gap is not None
    assert gap.seconds < 2, "a wait for a person that is not over hides no wait that is"


def test_a_message_that_was_held_back_by_the_switch_says_who_flipped_it(
    records: Records, drafted: tuple[int, int]
) -> None:
    job, lead = drafted
    records.flip("off", 1.5)
    records.flip("on", 300)
    message = records.message(job, lead, "SENT", 2, 302, sent=302)
    records.send_attempt(message, 1, 301, 302, "accepted")
    gap = longest(records, job)
    assert (gap.cause, gap.because) == ("sends_off", "sends were switched off")
    assert gap.because_said == "by mia, because wrong texts"
    assert [e.what for e in story_of(records, job).events].count("switched") == 2


def test_a_message_in_doubt_says_what_settled_it(records: Records, drafted: tuple[int, int]) -> None:
    job, lead = drafted
    message = records.message(job, lead, "SENT", 2, 140, sent=3)
    records.send_attempt(message, 1, 2, 17, "ambiguous", error_class="ReadTimeout")
    records.write(
        "provider_message", "provider", provider="http", account="test", provider_message_id="m-1", direction="outbound",
        outbound_message_id=message, recipient=ADDRESS, observed_via="lookup", first_seen_at=records.at(140),
    )  # fmt: skip
    gap = longest(records, job)
    assert gap.cause == "unknown_send"
    assert "until its lookup settled it" in gap.because
    told = {event.what: event.detail for event in story_of(records, job).events}
    assert told["provider said"] == f"provider http has message {message} (lookup)"
    assert "it had left 2 min 17 s before" in told["send ended"]
    assert [story.job_id for story in trace(records.db, "m-1")] == [job]


def test_a_slow_provider_is_named(records: Records, drafted: tuple[int, int]) -> None:
    job, lead = drafted
    message = records.message(job, lead, "SENT", 2, 17, sent=17)
    records.send_attempt(message, 1, 2, 17, "accepted")
    gap = longest(records, job)
    assert (gap.cause, gap.before) == ("slow_provider", "send answered")
    assert story_of(records, job).customer.startswith("the customer got one message (reply) 17.0 s after writing")


def test_an_intentional_skip_says_why_and_what_its_notice_waited_for(
    records: Records, drafted: tuple[int, int]
) -> None:
    job, lead = drafted
    records.outcome(job, lead, "skipped", 2, code="out_of_office", reason="the sender is away")
    records.notification(job, 2, 1800, kind="skip", failures=12, last_error="ratelimited")
    story = story_of(records, job)
    assert (story.result, story.result_said) == ("skipped", "the sender is away")
    assert story.customer == "the customer has got nothing; skipped on purpose (out_of_office)"
    gap = longest(records, job)
    assert (gap.cause, gap.before) == ("notification", "notified")
    assert "waited for its delivery after 12 failed posts" in gap.because
    assert gap.because_said == "ratelimited"


def test_a_notification_that_nobody_has_got_yet_is_waited_for_until_now(
    records: Records, drafted: tuple[int, int]
) -> None:
    job, _ = drafted
    records.notification(job, 2, None, failures=3, last_error="ratelimited")
    gap = longest(records, job)
    assert (gap.cause, gap.before) == ("notification", "now")


def test_what_happened_around_a_lead_is_told_and_is_no_gap(records: Records, drafted: tuple[int, int]) -> None:
    job, lead = drafted
    records.outcome(job, lead, "skipped", 2, code="send_cancelled")
    records.message(job, lead, "CANCELLED", 2, 3, reason="a person answered")
    records.write(
        "provider_message", "provider", provider="crm", account="test", provider_message_id="p-1", direction="outbound",
        author="person", workspace="acme", recipient=ADDRESS, observed_via="webhook", first_seen_at=records.at(100),
    )  # fmt: skip
    later = records.job("PENDING", created=900)
    records.lead(later, accepted=900, key="<2@example.com>")
    story = story_of(records, job)
    assert [event.what for event in story.events][-2:] == ["written by others", "wrote again"]
    assert story.longest_gap is not None
    assert story.longest_gap.seconds < 2
    assert "message 1 was not sent on purpose; people sent the customer 1 message themselves" in story.customer


@pytest.mark.parametrize("query", [ADDRESS, "ADA@example.com ", "lead:{lead}", "Lead {lead}"])
def test_a_leads_whole_story_is_told_in_order(records: Records, drafted: tuple[int, int], query: str) -> None:
    job, lead = drafted
    later = records.job("PENDING", created=900)
    assert records.lead(later, accepted=900, key="<2@example.com>") == lead
    stories = trace(records.db, query.format(lead=lead))
    assert [(story.job_id, story.lead_id) for story in stories] == [(job, lead), (later, lead)]
    assert [story.job_id for story in trace(records.db, ADDRESS, limit=1)] == [later]


@pytest.mark.parametrize("query", [MESSAGE_ID, "1@example.com", "{job}", "job:{job}"])
def test_a_story_is_found_by_its_event_and_its_number(records: Records, drafted: tuple[int, int], query: str) -> None:
    job, _ = drafted
    assert [story.job_id for story in trace(records.db, query.format(job=job))] == [job]


@pytest.mark.parametrize("query", ["+15550100", "15550100", "+1 (555) 01-00"])
def test_a_lead_is_found_by_a_telephone_number_however_it_is_written(records: Records, query: str) -> None:
    job = records.job("PENDING")
    records.write(
        "inbound_event", "job_id", workspace="acme", provider="test", dedupe_key="1", payload_sha256="0" * 64,
        lead_address="+15550100", job_id=job,
    )  # fmt: skip
    assert [story.job_id for story in trace(records.db, query)] == [job]


def test_what_the_customer_saw_is_told_after_the_job_was_pruned(records: Records, drafted: tuple[int, int]) -> None:
    job, lead = drafted
    records.outcome(job, lead, "drafted_for_review", 2, code="reply_needed")
    records.message(job, lead, "SENT", 1, 2, sent=2)
    with records.db.begin() as tx:
        tx.exec_driver_sql("UPDATE job SET finished_at = now() - interval '2 days'")
    pruned = prune_classes(records.db, dict.fromkeys(JOB_CLASSES, DAY_SECONDS))
    assert sum(each.rows for each in pruned) == 1
    (story,) = trace(records.db, ADDRESS)
    assert (story.state, story.workspace, story.result) == ("PRUNED", "acme", "drafted for review")
    assert story.customer.startswith("the customer got one message (reply) 2.0 s after writing")
    assert {"accepted", "send ended", "outcome"} <= {event.what for event in story.events}


def test_nothing_that_anybody_wrote_is_among_what_may_be_shown_anywhere(
    records: Records, drafted: tuple[int, int]
) -> None:
    """Names, addresses, texts and errors stand in fields of their own, which Dagster is never given."""
    job, lead = drafted
    records.draft(job, lead, 2, decided_by="mia", decided_at=records.at(3), decision="approved", why_no_model="Ada!")
    message = records.message(job, lead, "NEEDS_HUMAN", 2, 30, reason="for Ada")
    records.send_attempt(message, 1, 2, 17, "ambiguous", error="for Ada")
    records.outcome(job, lead, "failed", 30, code="send_needs_human", reason="for Ada")
    records.notification(job, 2, None, text="for Ada", failures=1, last_error="for Ada")
    records.flip("off", 5)
    story = story_of(records, job)
    shown = [story.result, story.customer, *(w for e in story.events for w in (e.what, e.detail, e.cause, e.because))]
    assert not [
        text for text in shown if any(word in text for word in ("Ada", "ada@", "mia", "wrong texts", "1@example"))
    ]
    assert any("Ada" in event.said for event in story.events)


def test_a_query_that_means_nothing_is_refused(db: Database) -> None:
    for unknown in ("9" * 30, "lead:12", "nobody@example.com"):
        with pytest.raises(NotFound):
            trace(db, unknown)
    for empty in (" ", "a\x00b"):
        with pytest.raises(InvalidInput):
            trace(db, empty)


@pytest.mark.parametrize(
    ("query", "names_nobody"),
    [
        ("12", True),
        ("job:12", True),
        ("lead 12", True),
        ("ada@example.com", False),
        ("+15550100", False),
        ("<1@x>", False),
    ],
)
def test_a_number_names_nobody(query: str, names_nobody: bool) -> None:
    assert is_number(query) is names_nobody
