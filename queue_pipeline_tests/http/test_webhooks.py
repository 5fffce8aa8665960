"""The webhook endpoint: each event once, whatever is delivered how often by how many, and no body that breaks it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from queue_pipeline.http.app import create_app
from queue_pipeline.integrations.webhook_providers import PROVIDERS
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database
from queue_pipeline_tests.http.conftest import free_port, served
from queue_pipeline_tests.http.webhook_calls import count, deliver, fields_of, payload_of, rows, sample, url


@pytest.fixture
def ingress(settings: Settings, db: Database) -> Iterator[httpx.Client]:
    with served(create_app(settings, db)) as client:
        yield client


def post(client: httpx.Client, provider: str, body: dict[str, Any]) -> httpx.Response:
    return client.post(url(provider), json=body)


@pytest.mark.parametrize("name", ["generic/normal", "gohighlevel/workflow", "emailbison/lead_replied_without_id"])
def test_twenty_deliveries_at_once_make_one_job(ingress: httpx.Client, db: Database, name: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: deliver(ingress, name), range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert (count(db, "job"), count(db, "inbound_event"), count(db, "inbound_conflict")) == (1, 1, 0)


def test_twenty_deliveries_at_once_with_two_bodies_make_one_job_and_one_conflict(
    ingress: httpx.Client, db: Database
) -> None:
    bodies = [{**fields_of("generic/normal"), "body": f"text {number % 2}"} for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = [answer.json() for answer in pool.map(lambda body: post(ingress, "generic", body), bodies)]
    assert [sum(word in answer for answer in answers) for word in ("accepted", "duplicate", "conflicting")] == [
        1,
        9,
        10,
    ]
    assert (count(db, "job"), count(db, "inbound_conflict")) == (1, 1)


def test_a_burst_of_different_leads_is_taken_over_completely(ingress: httpx.Client, db: Database) -> None:
    bodies = [{**fields_of("generic/normal"), "event_id": f"evt-{number}"} for number in range(150)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda body: post(ingress, "generic", body), bodies))
    assert {answer.status_code for answer in answers} == {202}
    assert count(db, "job") == 150


def test_the_same_key_with_another_text_is_kept_and_flagged(ingress: httpx.Client, db: Database) -> None:
    first = deliver(ingress, "gohighlevel/inbound_sms").json()
    other = {**fields_of("gohighlevel/inbound_sms"), "body": "No, sorry."}
    for _ in range(2):
        answer = post(ingress, "gohighlevel", other)
        assert answer.status_code == 200
        assert answer.json()["conflicting"]
        assert answer.json()["job_id"] == first["job_id"]
    (kept,) = rows(db, "SELECT payload FROM inbound_conflict")
    assert kept.payload["body"] == "No, sorry."
    assert payload_of(db, first["job_id"])["body"] == "Yes, what times do you have on Friday?"


def test_what_a_vendor_counts_up_between_deliveries_is_no_conflict(ingress: httpx.Client, db: Database) -> None:
    deliver(ingress, "emailbison/lead_replied")
    again = fields_of("emailbison/lead_replied")
    again["data"]["lead"]["emails_sent"] = 3
    again["data"]["reply"]["updated_at"] = "2031-03-04T12:00:00.000000Z"
    assert post(ingress, "emailbison", again).json()["duplicate"]


def test_an_id_of_one_workspace_or_account_says_nothing_about_another(ingress: httpx.Client, db: Database) -> None:
    assert deliver(ingress, "emailbison/lead_replied").status_code == 202
    assert (
        ingress.post("/api/webhooks/emailbison?workspace=birch", content=sample("emailbison/lead_replied")).status_code
        == 202
    )
    other = fields_of("emailbison/lead_replied")
    other["event"]["workspace_id"] = 8
    assert post(ingress, "emailbison", other).status_code == 202
    assert count(db, "job") == 3


def test_equal_texts_without_an_id_are_told_apart_by_their_times(ingress: httpx.Client, db: Database) -> None:
    body = fields_of("gohighlevel/workflow")
    assert post(ingress, "gohighlevel", body).status_code == 202
    body["message"]["body"] = "  can someone  RING me after 3? "
    assert post(ingress, "gohighlevel", body).json()["conflicting"]
    body["customData"]["customTime"] = "15:00:00"
    assert post(ingress, "gohighlevel", body).status_code == 202
    (event, _) = rows(db, "SELECT dedupe_key, provider_event_id FROM inbound_event ORDER BY 1")
    assert event.dedupe_key.startswith("ghl_sms:")
    assert len(event.dedupe_key) == len("ghl_sms:") + 32
    assert event.provider_event_id is None


def test_a_vendors_optional_nonsense_costs_no_lead(ingress: httpx.Client, db: Database) -> None:
    body = fields_of("emailbison/lead_replied")
    body["data"]["reply"].update(
        from_email_address="not an address", email_subject="x" * 5000, from_name=["a", "list"],
        date_received="the day before yesterday", raw_message_id="<" + "m" * 5000 + ">", id="9" * 3000,
    )  # fmt: skip
    body["data"]["lead"]["email"] = {"nested": True}
    answer = post(ingress, "emailbison", body)
    assert answer.status_code == 202, answer.text
    payload = payload_of(db, answer.json()["job_id"])
    assert payload["from_address"] is None
    assert len(payload["subject"]) == 998
    assert payload["from_name"] == "Ada Okafor"
    assert payload["thread_id"].startswith("sha256:")


def test_half_an_emoji_and_nul_are_replaced(ingress: httpx.Client, db: Database) -> None:
    raw = b'{"workspace": "acme", "event_id": "a\\u0000b", "body": "cut \\ud83d off\\u0000", "subject": "a\\tb\nc"}'
    answer = ingress.post(url("generic"), content=raw)
    assert answer.status_code == 202, answer.text
    payload = payload_of(db, answer.json()["job_id"])
    assert payload["body"] == "cut \ufffd off\ufffd"
    assert payload["provider_event_id"] == "a\ufffdb"
    for vendor, name in (("unipile", "message"), ("gohighlevel", "body")):
        body = json.dumps(fields_of(f"{vendor}/{'message_received' if vendor == 'unipile' else 'inbound_sms'}"))
        changed = body.replace(f'"{name}": "', f'"{name}": "\\udc00\\u0000 ', 1).encode()
        assert ingress.post(url(vendor), content=changed).status_code == 202


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


UNUSABLE: list[tuple[bytes, int, str]] = [
    (b"", 400, "not JSON"),
    (b"{", 400, "not JSON"),
    (b"workspace=acme&body=hello", 400, "not JSON"),
    (b'{"body": "\xff"}', 400, "not UTF-8"),
    ('{"body": "hello"}'.encode("utf-16"), 400, "not UTF-8"),
    (b'{"body": "a", "body": "b"}', 400, "'body' stands twice"),
    (b'{"x": {"y": 1, "y": 1}}', 400, "'y' stands twice"),
    (b'{"body": NaN}', 400, "NaN"),
    (b'{"body": -Infinity}', 400, "-Infinity"),
    (b'{"body": 1e999}', 400, "too large"),
    (b'{"body": ' + b"9" * 5000 + b"}", 400, "5000 digits"),
    (b"[]", 422, "array"),
    (b'"text"', 422, "string"),
    (b"null", 422, "null"),
    (b"1", 422, "number"),
    (b"true", 422, "boolean"),
    (deep(65), 422, "deeper than 64"),
    (deep(20_000), 422, "deeper than 64"),
    (b"[" * 100_000 + b"]" * 100_000, 422, "deeper than 64"),
    (b'{"workspace": "acme", "body": "' + b"x" * 1_100_000 + b'"}', 413, "larger than"),
    (b'{"body": "x"}', 422, "workspace"),
    (b'{"workspace": 7, "body": "x"}', 422, "workspace"),
    (b'{"workspace": "", "body": "x"}', 422, "workspace"),
    (b'{"workspace": "' + b"w" * 201 + b'", "body": "x"}', 422, "workspace"),
    (b'{"workspace": "acme", "body": 5}', 422, "body"),
    (b'{"workspace": "acme", "body": "' + b"x" * 300_000 + b'"}', 422, "bytes"),
    (b'{"workspace": "acme", "surprise": 1}', 422, "surprise"),
    (b'{"workspace": "acme", "provider": "me"}', 422, "provider"),
    (b'{"workspace": "acme", "channel": "Carrier Pigeon"}', 422, "channel"),
    (b'{"workspace": "acme", "from_address": "two words"}', 422, "from_address"),
    (b'{"workspace": "acme", "received_at": "2031-03-04 10:00"}', 422, "received_at"),
    (b'{"workspace": "acme", "timezone": "Mars/Olympus"}', 422, "Europe/Berlin"),
    (b'{"workspace": "acme", "event": "typing"}', 422, "message_received"),
    (b'{"workspace": "acme", "event": "message_sent"}', 422, "message_id"),
    (b'{"workspace": "acme", "event": "message_sent", "message_id": "1", "idempotency_key": "x"}', 422, "idempotency_key"),
    (b'{"workspace": "acme", "event": "message_sent", "message_id": "1", "author": "lead"}', 422, "author"),
    (b'{"workspace": "acme", "event": "message_sent", "message_id": "1", "sent_at": "now"}', 422, "sent_at"),
    (b'{"workspace": "acme", "event": "message_sent", "message_id": "1", "text": "hello"}', 422, "text"),
]  # fmt: skip


def test_an_unusable_body_is_refused_with_what_is_wrong(ingress: httpx.Client, db: Database) -> None:
    for raw, status, why in UNUSABLE:
        answer = ingress.post("/api/webhooks/generic", content=raw)
        assert (answer.status_code, why in answer.json()["error"]) == (status, True), f"{raw[:60]!r}: {answer.text}"
    assert (count(db, "job"), count(db, "inbound_event"), count(db, "provider_message")) == (0, 0, 0)


UNUSABLE_OF_VENDORS: list[tuple[str, dict[str, Any], str]] = [
    ("gohighlevel", {"foo": 1}, "type"),
    ("gohighlevel", {"type": "InboundMessage"}, "neither an id, a sender nor a text"),
    ("emailbison", {"foo": 1}, "event.type"),
    ("emailbison", {"event": {"type": "LEAD_REPLIED"}}, "reply.text_body"),
    ("inboxxia", {"event": "LEAD_REPLIED", "data": []}, "reply.text_body"),
    ("unipile", {"message": "hello"}, "event"),
    ("unipile", {"event": "message_received"}, "message"),
    ("emailbison", {"event": "LEAD_REPLIED", "data": {"reply": {"html_body": "<p>" * 400_000}}}, "characters"),
    ("emailbison", {"event": "LEAD_REPLIED", "data": {"reply": {"text_body": "x" * 200_001}}}, "characters"),
]


def test_a_vendors_unusable_body_is_refused_with_what_is_wrong(ingress: httpx.Client, db: Database) -> None:
    for provider, body, why in UNUSABLE_OF_VENDORS:
        answer = post(ingress, provider, body)
        assert (answer.status_code, why in answer.json()["error"]) == (422, True), f"{provider}: {answer.text}"
    assert count(db, "job") == 0


def test_a_vendor_needs_a_workspace_in_its_address(ingress: httpx.Client) -> None:
    for query in ("", "?workspace=", "?workspace=%00", "?workspace=" + "w" * 201):
        answer = ingress.post(f"/api/webhooks/unipile{query}", content=sample("unipile/message_received"))
        assert answer.status_code == 422
        assert "workspace" in answer.json()["error"]


def test_a_body_and_its_address_must_agree_on_the_workspace(ingress: httpx.Client) -> None:
    body = sample("generic/normal")
    assert ingress.post("/api/webhooks/generic?workspace=birch", content=body).status_code == 422
    assert ingress.post("/api/webhooks/generic?workspace=acme", content=body).status_code == 202


def test_an_unknown_provider_is_told_the_known_ones(ingress: httpx.Client) -> None:
    answer = ingress.post("/api/webhooks/mailchimp", content=b"{}")
    assert answer.status_code == 404
    assert "emailbison, generic, gohighlevel, inboxxia, unipile" in answer.json()["error"]
    assert "/api/webhooks/{provider}" in ingress.post("/api/webhook").json()["error"]


def test_only_post_delivers(ingress: httpx.Client) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = ingress.request(method, url("unipile"))
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method


def test_a_compressed_body_is_refused(ingress: httpx.Client) -> None:
    assert ingress.post(url("generic"), content=b"x", headers={"content-encoding": "gzip"}).status_code == 415


def test_a_body_without_end_is_cut_off(ingress: httpx.Client) -> None:
    pieces = (b" " * 100_000 for _ in range(60))
    assert ingress.post(url("emailbison"), content=pieces).status_code == 413


def test_a_large_mail_beside_a_short_text_is_no_obstacle(ingress: httpx.Client) -> None:
    body = fields_of("emailbison/lead_replied")
    body["data"]["reply"]["raw_body"] = "x" * 3_000_000
    assert post(ingress, "emailbison", body).status_code == 202


def test_with_the_database_away_a_provider_is_asked_to_deliver_again(settings: Settings) -> None:
    away = Database(f"postgresql://postgres@127.0.0.1:{free_port()}/nobody")
    with served(create_app(settings, away)) as client:
        answer = deliver(client, "generic/normal")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_without_a_schema_a_provider_is_asked_to_deliver_again(settings: Settings, blank_database_url: str) -> None:
    with served(create_app(settings, Database(blank_database_url))) as client:
        answer = deliver(client, "generic/normal")
    assert answer.status_code == 503
    assert "queue-pipeline migrate" in answer.json()["error"]


def test_no_address_text_or_secret_is_logged(ingress: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        deliver(ingress, "emailbison/lead_replied")
        ingress.post(url("generic"), content=b'{"workspace": "acme", "from_address": "ada.okafor@example.com two"}')
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpcore"))
    assert "okafor" not in ours.lower()
    assert "Thursday" not in ours
    assert "A webhook of generic was refused with status 422." in ours


TEXTS = st.text(max_size=20) | st.sampled_from(
    ["a@example.com", "2031-03-04", "message_received", "\x00", "LEAD_REPLIED"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from places(each, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """The value with something else at one place."""
    if not path:
        return other
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], other)
    return copy


SAMPLES = ["generic/normal", "generic/sent", "gohighlevel/inbound_sms", "gohighlevel/workflow", "gohighlevel/outbound_person",
           "emailbison/lead_replied", "emailbison/manual_email_sent", "inboxxia/email_sent", "unipile/message_received",
           "unipile/own_message"]  # fmt: skip


@given(st.data())
@hypothesis_settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_no_json_whatever_is_our_mistake(ingress: httpx.Client, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        provider, body = data.draw(st.sampled_from(sorted(PROVIDERS))), data.draw(VALUES)
    else:
        name = data.draw(st.sampled_from(SAMPLES))
        provider, recorded = name.partition("/")[0], fields_of(name)
        body = replaced(recorded, data.draw(st.sampled_from(list(places(recorded)))), data.draw(VALUES))
    answer = ingress.post(url(provider), content=json.dumps(body).encode())
    assert answer.status_code in (200, 202, 400, 422), f"{answer.status_code} for {body!r}"
    assert isinstance(answer.json(), dict)


@given(st.binary(max_size=60), st.sampled_from(sorted(PROVIDERS)))
@hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_whatever_are_our_mistake(ingress: httpx.Client, raw: bytes, provider: str) -> None:
    assert ingress.post(url(provider), content=raw).status_code in (400, 422)


def test_what_was_accepted_survives_the_ingress(
    start_ingress: Callable[..., Any], db: Database, database_url: str
) -> None:
    ingress = start_ingress(database_url)
    told = deliver(ingress.client, "generic/normal").json()
    ingress.process.kill()
    assert payload_of(db, told["job_id"])["provider_event_id"] == "evt-1001"
    again = start_ingress(database_url)
    assert deliver(again.client, "generic/normal").json() == {
        "duplicate": True, "job_id": told["job_id"], "inbound_event_id": told["inbound_event_id"],
    }  # fmt: skip
