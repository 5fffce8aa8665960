"""Who may deliver: signatures over the very bytes, secrets in headers, and without either only this machine."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from queue_pipeline.http.app import create_app
from queue_pipeline.http.webhooks import without_secret
from queue_pipeline.integrations.webhook_signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, WINDOW_SECONDS
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database
from queue_pipeline_tests.http.conftest import served
from queue_pipeline_tests.http.webhook_calls import SECRET, count, deliver, sample, signed, url

VENDORS = ("gohighlevel", "emailbison", "inboxxia", "unipile")
SAMPLES = {
    "gohighlevel": "gohighlevel/inbound_sms",
    "emailbison": "emailbison/lead_replied",
    "inboxxia": "inboxxia/lead_replied",
    "unipile": "unipile/message_received",
}
BODY = sample("generic/normal")
GENERIC = url("generic")


def with_secrets(settings: Settings) -> Settings:
    return settings.model_copy(update={f"webhook_secret_{name}": SecretStr(SECRET) for name in ("generic", *VENDORS)})


@pytest.fixture
def guarded(settings: Settings, db: Database) -> Iterator[httpx.Client]:
    with served(create_app(with_secrets(settings), db)) as client:
        yield client


@pytest.fixture
def unguarded(settings: Settings, db: Database) -> Iterator[httpx.Client]:
    with served(create_app(settings, db)) as client:
        yield client


def now() -> int:
    return int(time.time())  # noqa: TID251 - the sender's clock


def test_a_signed_body_is_accepted(guarded: httpx.Client) -> None:
    assert guarded.post(GENERIC, content=BODY, headers=signed(BODY)).status_code == 202


def test_while_the_secret_changes_one_right_signature_suffices(guarded: httpx.Client) -> None:
    new, old = signed(BODY), signed(BODY, secret="the-secret-before")
    both = {**new, SIGNATURE_HEADER: f"{old[SIGNATURE_HEADER]}, {new[SIGNATURE_HEADER]}"}
    assert guarded.post(GENERIC, content=BODY, headers=both).status_code == 202
    two_headers = [
        (TIMESTAMP_HEADER, new[TIMESTAMP_HEADER]),
        *((SIGNATURE_HEADER, each[SIGNATURE_HEADER]) for each in (old, new)),
    ]
    assert guarded.post(GENERIC, content=BODY, headers=two_headers).json()["duplicate"]


@pytest.mark.parametrize("seconds", [-(WINDOW_SECONDS - 30), WINDOW_SECONDS - 30])
def test_a_clock_may_be_somewhat_wrong_either_way(guarded: httpx.Client, seconds: int) -> None:
    assert guarded.post(GENERIC, content=BODY, headers=signed(BODY, at=now() + seconds)).status_code == 202


#: Made when it is needed, because signatures grow old. The headers, and what the answer must say.
def unsigned() -> list[tuple[dict[str, str], str]]:
    right = signed(BODY)
    return [
        ({}, "missing"),
        ({TIMESTAMP_HEADER: "1"}, "missing"),
        ({SIGNATURE_HEADER: right[SIGNATURE_HEADER]}, "missing"),
        ({**right, SIGNATURE_HEADER: ""}, "missing"),
        ({**right, SIGNATURE_HEADER: ",,"}, "missing"),
        (signed(BODY, secret="another"), "No signature is right"),
        (signed(BODY + b" "), "No signature is right"),
        (signed(BODY[:-2] + b"!\n"), "No signature is right"),
        ({**right, TIMESTAMP_HEADER: str(now() - 1)}, "No signature is right"),
        ({**right, SIGNATURE_HEADER: right[SIGNATURE_HEADER].removeprefix("v1=")}, "No signature is right"),
        ({**right, SIGNATURE_HEADER: right[SIGNATURE_HEADER].replace("v1", "v2")}, "No signature is right"),
        ({**right, SIGNATURE_HEADER: ",".join(["v1=0"] * 11)}, "More than 10"),
        ({**right, SIGNATURE_HEADER: "v1=\xe9"}, "No signature is right"),
        ({**right, TIMESTAMP_HEADER: "soon"}, "not one number"),
        ({**right, TIMESTAMP_HEADER: "1e9"}, "not one number"),
        ({**right, TIMESTAMP_HEADER: "-5"}, "not one number"),
        ({**right, TIMESTAMP_HEADER: "9" * 400}, "not one number"),
        ({**right, TIMESTAMP_HEADER: "\u0663"}, "not one number"),
        (signed(BODY, at=now() - 3600), f"at most {WINDOW_SECONDS} s"),
        (signed(BODY, at=now() + 3600), f"at most {WINDOW_SECONDS} s"),
        (signed(BODY, at=0), f"at most {WINDOW_SECONDS} s"),
        (signed(BODY, at=10**12 - 1), "in the future"),
    ]  # fmt: skip


def test_a_body_that_is_not_signed_here_and_now_is_refused(guarded: httpx.Client, db: Database) -> None:
    for headers, why in unsigned():
        raw = [(name.encode(), value.encode("utf-8")) for name, value in headers.items()]
        answer = guarded.post(GENERIC, content=BODY, headers=raw)
        assert (answer.status_code, why in answer.json()["error"]) == (401, True), f"{headers}: {answer.text}"
        assert "www-authenticate" in answer.headers
        assert SECRET not in answer.text
    assert count(db, "job") == 0


def test_two_timestamps_are_none(guarded: httpx.Client) -> None:
    headers = signed(BODY)
    twice = [*headers.items(), (TIMESTAMP_HEADER, headers[TIMESTAMP_HEADER])]
    assert guarded.post(GENERIC, content=BODY, headers=twice).status_code == 401


def test_a_secret_sent_as_it_is_is_no_signature(guarded: httpx.Client) -> None:
    assert guarded.post(GENERIC, content=BODY, headers={"x-webhook-secret": SECRET}).status_code == 401


def test_a_vendor_shows_the_secret_in_a_header(guarded: httpx.Client) -> None:
    basic = base64.b64encode(f"anyone:{SECRET}".encode()).decode()
    ways = ({"X-Webhook-Secret": SECRET}, {"Authorization": f"Bearer {SECRET}"}, {"Authorization": f"Basic {basic}"})
    for provider, headers in itertools.product(VENDORS, ways):
        answer = guarded.post(url(provider), content=sample(SAMPLES[provider]), headers=headers)
        assert answer.status_code in (200, 202), answer.text


def test_unipile_may_use_the_header_of_its_own_example(guarded: httpx.Client) -> None:
    body = sample(SAMPLES["unipile"])
    assert guarded.post(url("unipile"), content=body, headers={"Unipile-Auth": SECRET}).status_code == 202
    other = sample(SAMPLES["emailbison"])
    assert guarded.post(url("emailbison"), content=other, headers={"Unipile-Auth": SECRET}).status_code == 401


def test_a_vendor_without_the_secret_is_refused(guarded: httpx.Client, db: Database) -> None:
    wrong = [
        {},
        {"X-Webhook-Secret": f"{SECRET}x"},
        {"X-Webhook-Secret": SECRET[:-1]},
        {"X-Webhook-Secret": ""},
        {"Authorization": SECRET},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(SECRET.encode()).decode()},
    ]
    for provider, headers in itertools.product(VENDORS, wrong):
        answer = guarded.post(url(provider), content=sample(SAMPLES[provider]), headers=headers)
        assert answer.status_code == 401, f"{provider} {headers}"
        assert f"QUEUE_PIPELINE_WEBHOOK_SECRET_{provider.upper()}" in answer.json()["error"]
        assert SECRET not in answer.text
    assert count(db, "job") == 0


def test_a_secret_in_the_address_counts_for_nothing(guarded: httpx.Client) -> None:
    address = f"{url('unipile')}&secret={SECRET}&x-webhook-secret={SECRET}"
    assert guarded.post(address, content=sample(SAMPLES["unipile"])).status_code == 401


def test_without_a_secret_neither_a_proxy_nor_a_web_page_may_deliver(unguarded: httpx.Client, db: Database) -> None:
    foreign = [
        {"x-forwarded-for": "203.0.113.9"},
        {"host": "queue.example.com"},
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
    ]
    for provider, headers in itertools.product(("generic", *VENDORS), foreign):
        body = BODY if provider == "generic" else sample(SAMPLES[provider])
        answer = unguarded.post(url(provider), content=body, headers=headers)
        assert answer.status_code == 403, f"{provider} {headers}"
        assert f"Set QUEUE_PIPELINE_WEBHOOK_SECRET_{provider.upper()}" in answer.json()["error"]
    assert count(db, "job") == 0


def test_the_providers_without_a_secret_can_be_named(settings: Settings) -> None:
    assert "generic, gohighlevel, emailbison, inboxxia, unipile" in without_secret(settings)
    assert without_secret(with_secrets(settings)) == ""
    some = settings.model_copy(update={"webhook_secret_generic": SecretStr(SECRET)})
    assert without_secret(some).startswith("Webhooks of gohighlevel, ")


def test_the_callers_are_told_apart_in_the_metrics_and_nobody_is_named(guarded: httpx.Client) -> None:
    guarded.post(url("unipile"), content=sample(SAMPLES["unipile"]))
    guarded.post(url("unipile"), content=sample(SAMPLES["unipile"]), headers={"X-Webhook-Secret": SECRET})
    text = guarded.get("/metrics").text
    assert 'queue_pipeline_webhooks_total{outcome="unauthorized",provider="unipile"} 1.0' in text
    assert 'queue_pipeline_webhooks_total{outcome="accepted",provider="unipile"} 1.0' in text
    assert "okafor" not in text.lower()


def test_delivering_without_headers_works_on_this_machine(unguarded: httpx.Client) -> None:
    assert deliver(unguarded, "generic/minimal").status_code == 202
