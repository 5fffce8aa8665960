"""The console as a sink of notifications and alerts: one log line each."""

import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime

from queue_pipeline.domain.alert_text import AlertText
from queue_pipeline.engine.alert_sink import Place
from queue_pipeline.store.notification import Notice

_notices = logging.getLogger("queue_pipeline.notification")
_alerts = logging.getLogger("queue_pipeline.alert")
_HERE = Place(channel="console", ts="console")


class ConsoleSink:
    """Writes each message as a log line; where no logging is set up, as in a Dagster run, to stderr as it is."""

    name = "console"
    is_chat = False
    batch_max = 1000
    pause_seconds = 0.0

    def __init__(self) -> None:
        for logger in (_notices, _alerts):
            if not logger.hasHandlers() and not logger.handlers:
                logger.addHandler(logging.StreamHandler(sys.stderr))
                logger.setLevel(logging.INFO)

    def post_notices(self, notices: Sequence[Notice], *, seconds: float) -> None:
        """Log all of these."""
        for notice in notices:
            _notices.info("notification: %s", notice.text)

    def find_notices(self, *, since: datetime, seconds: float) -> set[int]:
        """None: a console cannot be read again."""
        return set()

    def post_root(self, text: AlertText, *, seconds: float) -> Place:
        """Log the alert."""
        self._write(text)
        return _HERE

    def update_root(self, text: AlertText, root: Place, *, seconds: float) -> None:
        """Log what is new."""
        self._write(text)

    def reply(self, text: AlertText, root: Place, *, seconds: float) -> Place | None:
        """Nothing: the update just said it."""
        return _HERE

    def find(
        self, identity: Mapping[str, str | int], *, root: Place | None, since: datetime, seconds: float
    ) -> Place | None:
        """None: a console cannot be read again."""
        return None

    def _write(self, text: AlertText) -> None:
        facts = "; ".join(f"{label}: {said}" for label, said in text.facts)
        _alerts.warning("alert: %s %s %s %s", text.headline, facts, text.happens_next, text.runbook)
