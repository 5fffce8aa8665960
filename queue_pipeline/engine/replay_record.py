"""Read recorded leads for a replay, and keep what replays came to. Leads are read in transactions that cannot write."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from queue_pipeline.domain.errors import NotFound
from queue_pipeline.engine.dagster_run import database_time
from queue_pipeline.store import lead as leads
from queue_pipeline.store import replay as store
from queue_pipeline.store.replay import ReplayRun
from queue_pipeline.store.session import Database, Tx

_THREAD_TURNS = 50
_THREAD_LENGTH = 10_000
_WITH_CHANNEL = re.compile(r"(?P<id>.+):(?P<channel>[a-z][a-z0-9_]{0,39})")
_JOB_ID = re.compile(r"(?:job-)?(\d{1,18})")


class ReplayRecord:
    """The replays and the recorded leads of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def now(self) -> datetime:
        """The instant by the database's clock."""
        return database_time(self._database)

    def latest(self, workspace: str, *, limit: int) -> list[dict[str, Any]]:
        """The latest recorded leads of a workspace, oldest first, each with its thread. Raises DatabaseUnavailable."""
        with self._database.begin() as tx:
            store.read_only(tx)
            return [_with_thread(tx, row) for row in reversed(store.latest(tx, workspace=workspace, limit=limit))]

    def resolve(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Recorded leads by id: of a job, thread, provider's event or delivery, perhaps with `:channel` after it."""
        found = {}
        with self._database.begin() as tx:
            store.read_only(tx)
            for name in ids:
                row = _resolved(tx, name)
                if row is not None:
                    found[name] = _with_thread(tx, row)
        return found

    def save(self, artifact: Mapping[str, Any], *, who: str) -> str:
        """Keep the artifact of a finished replay; gives its SHA-256. Raises DatabaseUnavailable."""
        text = json.dumps(artifact, sort_keys=True, separators=(",", ":")).replace("\\u0000", "\\ufffd")
        digest = hashlib.sha256(text.encode()).hexdigest()
        with self._database.begin() as tx:
            store.save(
                tx,
                run_id=artifact["runId"],
                created_at=artifact["createdAt"],
                manifest_id=artifact["manifestId"],
                manifest_sha256=artifact["manifestSha256"],
                verdict=artifact["verdict"],
                exit_code=artifact["exitCode"],
                summary=json.dumps(artifact["summary"]),
                artifact=text,
                artifact_sha256=digest,
                who=who,
            )
        return digest

    def runs(self, *, manifest_id: str | None = None, limit: int = 20) -> list[ReplayRun]:
        """Finished replays, newest first."""
        with self._database.begin() as tx:
            return store.runs(tx, manifest_id=manifest_id, limit=limit)

    def load(self, run_id: str) -> Any:
        """The artifact of a replay. Raises NotFound."""
        with self._database.begin() as tx:
            found = store.artifact(tx, run_id=run_id)
        if found is None:
            raise NotFound("run_id", run_id, "No replay of this id was recorded here.")
        return found

    def last_pass(self, manifest_id: str) -> Any | None:
        """The artifact of the latest replay of a manifest that passed; None when there is none."""
        with self._database.begin() as tx:
            return store.last_pass(tx, manifest_id=manifest_id)


def _resolved(tx: Tx, name: str) -> dict[str, Any] | None:
    """An id as it stands, and if nobody has it, without the channel at its end."""
    row = store.by_id(tx, name=name, job_id=_job_id(name), channel=None)
    split = _WITH_CHANNEL.fullmatch(name)
    if row is not None or split is None:
        return row
    return store.by_id(tx, name=split["id"], job_id=_job_id(split["id"]), channel=split["channel"])


def _job_id(name: str) -> int | None:
    found = _JOB_ID.fullmatch(name)
    return None if found is None else int(found[1])


def _with_thread(tx: Tx, row: dict[str, Any]) -> dict[str, Any]:
    lead_id = row.pop("lead_id")
    turns = []
    if lead_id is not None:
        turns = leads.thread(tx, lead_id=lead_id, job_id=row["job_id"], limit=_THREAD_TURNS, length=_THREAD_LENGTH)
    return {**row, "thread": turns}
