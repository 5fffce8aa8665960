"""A handler whose effect stays on its own host: a line in a journal that no database keeps."""

import json
import os
import time
from pathlib import Path

from queue_pipeline import JobContext, handler

#: Names the journal of the host that this process runs on.
JOURNAL = "HOST_JOURNAL"


def _note(ctx: JobContext, what: str) -> None:
    line = json.dumps({"job_id": ctx.job_id, "attempt": ctx.attempt, "what": what, "at": time.monotonic()}) + "\n"
    with Path(os.environ[JOURNAL]).open("a", encoding="utf-8") as journal:
        journal.write(line)


@handler("host.work", deadline_seconds=120, max_attempts=5)
def work(ctx: JobContext, payload: dict[str, float]) -> None:
    """Work for `seconds`, and note start and end where no cut cable can keep it from being noted."""
    _note(ctx, "start")
    time.sleep(payload["seconds"])
    _note(ctx, "end")
