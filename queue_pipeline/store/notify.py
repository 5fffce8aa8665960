"""NOTIFY wakes drains; it is a hint and never the truth: everything it says can also be found by looking."""

from collections.abc import Iterator

from queue_pipeline.store.session import Direct, outages_translated

CHANNEL = "queue_pipeline"


def listen(connection: Direct) -> None:
    """Start to receive notifications on this connection."""
    with outages_translated():
        connection.execute(f"LISTEN {CHANNEL}")


def wait_for_notifications(connection: Direct, seconds: float) -> Iterator[str]:
    """Payloads ("due", "stop", "cancel", "rule") that arrive within `seconds`, each as soon as it arrives."""
    with outages_translated():
        for notification in connection.notifies(timeout=seconds):
            yield notification.payload
