"""Each delivery is accepted once, whoever delivers it how often, and never by half."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from queue_pipeline import wiring
from queue_pipeline.engine.inbound import Acceptance, Accepted, Delivery, accept
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database


@pytest.fixture(autouse=True)
def _handlers(settings: Settings) -> None:
    wiring.load_registry(settings)


def delivery(body: str = "Hello", key: str | None = "message-1", workspace: str = "acme") -> Delivery:
    payload = {"provider": "test", "from_address": "Ada@Example.com", "body": body}
    return Delivery(workspace, "test", payload, dedupe_key=key)


def one(db: Database, what: Delivery) -> Accepted:
    (answer,) = accept(db, [what])
    return answer


def count(db: Database, table: str) -> int:
    with db.begin() as tx:
        return int(tx.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_delivery_writes_its_event_and_its_job(db: Database) -> None:
    answer = one(db, delivery())
    assert answer.acceptance is Acceptance.ACCEPTED
    with db.begin() as tx:
        event = tx.execute(sa.text("SELECT * FROM inbound_event")).one()
    assert (event.job_id, event.lead_address) == (answer.job_id, "ada@example.com")


def test_the_same_delivery_again_does_nothing(db: Database) -> None:
    first = one(db, delivery())
    assert one(db, delivery()) == Accepted(Acceptance.DUPLICATE, first.job_id)
    assert (count(db, "job"), count(db, "inbound_event")) == (1, 1)


def test_a_delivery_is_recognised_after_its_job_was_pruned(db: Database) -> None:
    one(db, delivery())
    with db.begin() as tx:
        tx.execute(sa.text("DELETE FROM job"))
    assert one(db, delivery()).acceptance is Acceptance.DUPLICATE


def test_the_same_key_with_other_content_is_kept_and_not_run(db: Database) -> None:
    one(db, delivery("Hello"))
    for _ in range(2):
        assert one(db, delivery("Something else")).acceptance is Acceptance.CONFLICTING
    assert (count(db, "job"), count(db, "inbound_conflict")) == (1, 1)


def test_without_a_key_the_content_says_which_delivery_it_is(db: Database) -> None:
    assert one(db, delivery("Hello", key=None)).acceptance is Acceptance.ACCEPTED
    assert one(db, delivery("Hello", key=None)).acceptance is Acceptance.DUPLICATE
    assert one(db, delivery("Hello!", key=None)).acceptance is Acceptance.ACCEPTED


def test_another_workspace_has_deliveries_of_its_own(db: Database) -> None:
    assert one(db, delivery(workspace="acme")).acceptance is Acceptance.ACCEPTED
    assert one(db, delivery(workspace="birch")).acceptance is Acceptance.ACCEPTED


def test_a_key_of_any_length_is_a_key(db: Database) -> None:
    assert one(db, delivery(key="k" * 100_000)).acceptance is Acceptance.ACCEPTED
    assert one(db, delivery(key="k" * 100_000)).acceptance is Acceptance.DUPLICATE


@pytest.mark.parametrize(
    "bad",
    [
        Delivery("", "test", {"provider": "test"}),
        Delivery("acme", "te\x00st", {"provider": "test"}),
        Delivery("acme", "test", {"provider": "test"}, dedupe_key="\x00"),
        Delivery("acme", "test", {"provider": "test"}, dedupe_key="\ud800"),
        Delivery("acme", "test", {"provider": "test", "body": "a\x00b"}),
        Delivery("acme", "test", {"provider": "test", "body": "a\ud800b"}),
        Delivery("acme", "test", {"provider": "test", "body": "x" * 300_000}),
        Delivery("acme", "test", {"provider": "test", "surprise": 1}),
        Delivery("acme", "test", {}),
        Delivery("w" * 201, "test", {"provider": "test"}),
    ],
)
def test_a_refused_delivery_has_a_reason_and_does_not_hinder_its_neighbours(db: Database, bad: Delivery) -> None:
    before, refused, after = accept(db, [delivery(key="1"), bad, delivery(key="2")])
    assert before.acceptance is after.acceptance is Acceptance.ACCEPTED
    assert refused.acceptance is Acceptance.REFUSED
    assert refused.reason
    assert (count(db, "job"), count(db, "inbound_event")) == (2, 2)


def test_two_processes_that_accept_the_same_deliveries_make_one_job_each(db: Database) -> None:
    deliveries = [delivery(f"Hello {number}", key=str(number)) for number in range(30)]
    with ThreadPoolExecutor(4) as pool:
        answers = [answer for batch in pool.map(lambda _: accept(db, deliveries), range(4)) for answer in batch]
    assert sum(answer.acceptance is Acceptance.ACCEPTED for answer in answers) == 30
    assert sum(answer.acceptance is Acceptance.DUPLICATE for answer in answers) == 90
    assert (count(db, "job"), count(db, "inbound_event")) == (30, 30)


def test_nothing_is_half_written_when_the_transaction_breaks(db: Database) -> None:
    with pytest.raises(AttributeError):
        accept(db, [delivery(), None])  # type: ignore[list-item]
    assert (count(db, "job"), count(db, "inbound_event")) == (0, 0)


def with_id(event_id: str, key: str | None, body: str = "Hello") -> Delivery:
    payload = {"provider": "test", "provider_event_id": event_id, "from_address": "ada@example.com", "body": body}
    return Delivery("acme", "test", payload, dedupe_key=key)


def test_a_known_event_id_under_another_key_is_the_same_delivery(db: Database) -> None:
    first = one(db, with_id("event-1", "key-1"))
    assert one(db, with_id("event-1", "key-2")) == Accepted(Acceptance.DUPLICATE, first.job_id)
    again = one(db, with_id("event-1", "key-2", "Something else"))
    assert (again.acceptance, again.job_id) == (Acceptance.CONFLICTING, first.job_id)
    assert (count(db, "job"), count(db, "inbound_event"), count(db, "inbound_conflict")) == (1, 1, 1)


def test_an_event_id_that_many_deliver_at_once_under_different_keys_makes_one_job(db: Database) -> None:
    deliveries = [with_id("event-1", f"key-{number}") for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda delivery: one(db, delivery), deliveries))
    assert sorted(answer.acceptance for answer in answers) == [Acceptance.ACCEPTED] + [Acceptance.DUPLICATE] * 15
    assert len({answer.job_id for answer in answers}) == 1
    assert (count(db, "job"), count(db, "inbound_event")) == (1, 1)


def test_the_answer_names_the_event(db: Database) -> None:
    first, again = one(db, delivery()), one(db, delivery())
    with db.begin() as tx:
        event_id = tx.execute(sa.text("SELECT inbound_event_id FROM inbound_event")).scalar_one()
    assert first.inbound_event_id == again.inbound_event_id == event_id


def test_keys_that_no_index_could_hold_are_keys_even_so(db: Database) -> None:
    long = "".join(chr(0x4E00 + number) for number in range(1000))
    for keyed in (delivery(key=long), with_id(long, "key")):
        assert one(db, keyed).acceptance is Acceptance.ACCEPTED
        assert one(db, keyed).acceptance is Acceptance.DUPLICATE


def test_a_name_that_no_index_could_hold_is_refused(db: Database) -> None:
    long = "\u4e00" * 100
    for name, keyed in (
        ("provider", replace(delivery(), provider=long)),
        ("account", replace(delivery(), account=long)),
    ):
        answer = one(db, keyed)
        assert answer.acceptance is Acceptance.REFUSED
        assert name in answer.reason


def test_a_conflict_is_kept_whatever_characters_are_in_it(db: Database) -> None:
    one(db, delivery("Hello"))
    for body in ("a\x00b", "a\ud800b", "back\\u0000slash"):
        assert one(db, delivery(body)).acceptance is Acceptance.CONFLICTING
    assert count(db, "inbound_conflict") == 3


def test_the_channel_and_the_thread_are_recorded(db: Database) -> None:
    payload = {"provider": "test", "channel": "sms", "thread_id": "thread-1", "from_address": "+12025550134"}
    one(db, Delivery("acme", "test", payload))
    with db.begin() as tx:
        event = tx.execute(sa.text("SELECT channel, thread_id FROM inbound_event")).one()
    assert tuple(event) == ("sms", "thread-1")
