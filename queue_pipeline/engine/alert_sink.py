"""What alerting needs of a sink: a root message that can be edited, a thread below it, and a look at what arrived."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from queue_pipeline.domain.alert_text import AlertText


@dataclass(frozen=True)
class Place:
    """Where a message is: the channel as the sink names it, and the message's own stamp.

    `seq` is how far a message that was found again had told its incident.
    """

    channel: str
    ts: str
    seq: int | None = None


class AlertSink(Protocol):
    """A place where alerts become visible. Every method ends within `seconds` and raises NotPosted when it fails.

    `is_chat` says that people are called there, rather than only a log written.
    """

    name: str
    is_chat: bool

    def post_root(self, text: AlertText, *, seconds: float) -> Place:
        """Post the message that stands for the whole incident."""
        ...

    def update_root(self, text: AlertText, root: Place, *, seconds: float) -> None:
        """Edit that message; may be repeated. A message that cannot be edited any more is left as it is."""
        ...

    def reply(self, text: AlertText, root: Place, *, seconds: float) -> Place | None:
        """Post into its thread; None when the thread is gone."""
        ...

    def find(
        self, identity: Mapping[str, str | int], *, root: Place | None, since: datetime, seconds: float
    ) -> Place | None:
        """The root with this identity posted since then, or a reply below `root`. Refused: nobody may look."""
        ...
