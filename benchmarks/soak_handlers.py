"""The handler of the soak: it works for a moment."""

import time
from typing import Any

from queue_pipeline import JobContext, handler


@handler("soak.work", deadline_seconds=60, max_attempts=5)
def work(_: JobContext, payload: dict[str, Any]) -> None:
    """Work for `seconds`."""
    time.sleep(payload["seconds"])
