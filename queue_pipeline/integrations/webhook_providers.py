"""The providers that may call the webhook endpoint: how each is recognised, and what reads its bodies."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from queue_pipeline.integrations.webhook_mapping import WebhookEvent
from queue_pipeline.integrations.webhooks import emailbison, generic, gohighlevel, inboxxia, unipile

#: Any provider whose webhooks can carry a header of our choosing.
HEADER_OF_CHOICE = "x-webhook-secret"
_MIB = 1024 * 1024


@dataclass(frozen=True)
class WebhookProvider:
    """One provider. `signed`: it signs each body; otherwise it sends the secret itself in one of `secret_headers`.

    `read` turns a body and the address's workspace into an event, or raises InvalidInput. A vendor's bodies may carry
    the raw mail beside the text, hence their larger bound.
    """

    name: str
    read: Callable[[dict[str, Any], str | None], WebhookEvent]
    signed: bool = False
    secret_headers: tuple[str, ...] = (HEADER_OF_CHOICE,)
    body_bytes_max: int = 4 * _MIB

    @property
    def setting(self) -> str:
        """The field of Settings that holds the secret."""
        return f"webhook_secret_{self.name}"


PROVIDERS: dict[str, WebhookProvider] = {
    provider.name: provider
    for provider in (
        WebhookProvider(generic.NAME, generic.read, signed=True, body_bytes_max=_MIB),
        WebhookProvider(gohighlevel.NAME, gohighlevel.read),
        WebhookProvider(emailbison.NAME, emailbison.read),
        WebhookProvider(inboxxia.NAME, inboxxia.read),
        # developer.unipile.com/docs/webhooks-2: no signature, but a header of one's own; its example is Unipile-Auth.
        WebhookProvider(unipile.NAME, unipile.read, secret_headers=(HEADER_OF_CHOICE, "unipile-auth")),
    )
}
