"""The page about webhooks: its signing example is delivered to a real ingress, and its tables tell the truth."""

from __future__ import annotations

import re
from collections.abc import Callable

from queue_pipeline.integrations.webhook_providers import PROVIDERS
from queue_pipeline.integrations.webhook_signature import WINDOW_SECONDS
from queue_pipeline.leads.inbound_lead import InboundLead
from queue_pipeline.settings import environment_name
from queue_pipeline_tests.docs.markdown import DOCS, blocks
from queue_pipeline_tests.docs.shell import Shell
from queue_pipeline_tests.docs.test_tutorial import follow
from queue_pipeline_tests.http.conftest import IngressProcess, start_ingress

__all__ = ["start_ingress"]
PAGE = DOCS / "webhooks.md"
TEXT = PAGE.read_text(encoding="utf-8")
SETTING = "QUEUE_PIPELINE_WEBHOOK_SECRET_GENERIC"


def test_the_signing_example_is_accepted(
    operator: Shell, database_url: str, start_ingress: Callable[..., IngressProcess]
) -> None:
    secret, delivery = blocks(PAGE)
    follow(operator, secret)
    chosen = operator.run(f"echo ${SETTING}").printed.strip()
    assert len(chosen) == 64
    ingress = start_ingress(database_url, **{SETTING: chosen})
    operator.run(f"export QUEUE_PIPELINE_HTTP_PORT={ingress.client.base_url.port}")
    follow(operator, delivery)
    assert '"duplicate":true' in operator.run(delivery.text.split("$ ")[-1].rpartition("{")[0]).printed
    wrong = operator.run(delivery.text.split("$ ")[-1].rpartition("{")[0].replace("v1=$MAC", "v1=0$MAC"))
    assert "No signature is right" in wrong.printed


def test_the_page_names_every_provider_with_its_setting() -> None:
    for provider in PROVIDERS.values():
        assert environment_name(provider.setting) in TEXT
        assert f"`{provider.name}`" in TEXT
    assert f"{WINDOW_SECONDS} s from the database's clock" in TEXT


def test_the_page_names_every_field_of_a_message() -> None:
    table = TEXT.partition("The body of `generic`")[2].partition("With `")[0]
    named = {name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    fields = set(InboundLead.model_fields) - {"provider", "provider_event_id"}
    assert named == fields | {"workspace", "event_id"}
