"""`/api/cron/background-jobs`: the same recovery and dispatch as Dagster's sensors, for when its daemon is away."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from queue_pipeline.domain.errors import Transient
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.cron import CronMode, CronTurn, ShardTurn, cron_turn
from queue_pipeline.engine.recovery import RecoveryDecision
from queue_pipeline.engine.teller import Teller
from queue_pipeline.http.bounds import Threads, bounded_body
from queue_pipeline.http.caller import CallerCheck
from queue_pipeline.http.inline_drain import InlineDrain, InlineDrains
from queue_pipeline.http.metrics import Metrics
from queue_pipeline.settings import Settings
from queue_pipeline.store import migrate
from queue_pipeline.store.session import Database

PATH = "/api/cron/background-jobs"
METHODS = ("GET", "POST")
_BODY_BYTES_MAX = 65_536
_ALERT_SECONDS = 5.0
_FORCEABLE = (CronMode.DISPATCHED, CronMode.INLINE)


class Cron:
    """The endpoint. The request's body, if any, is ignored; `?mode=` forces one of two modes."""

    def __init__(
        self,
        settings: Settings,
        limits: Limits,
        database: Database,
        drains: InlineDrains,
        *,
        metrics: Metrics,
        telling: Teller,
    ) -> None:
        self._check_caller = CallerCheck(settings.cron_secret)
        self._database = database
        self._shards = shard_names(settings.shards)
        self._limits = limits
        self._drains = drains
        self._metrics = metrics
        self._telling = telling
        self._threads = Threads(2)
        self._schema_checked = False

    async def answer(self, request: Request) -> Response:
        """Check the caller, do one turn, and say per shard what happened and why."""
        if request.method not in METHODS:
            raise HTTPException(405, "Use GET or POST.", {"Allow": ", ".join(METHODS)})
        self._check_caller(request)
        forced = _forced_mode(request)
        await bounded_body(request, _BODY_BYTES_MAX)
        turn, drains = await self._threads.run(lambda: self._turn(forced))
        self._metrics.count_cron(turn.mode)
        alerts = await self._threads.run(self._alert)
        return JSONResponse({**_told(turn, drains), "alerts": alerts}, _status(turn, drains))

    def _alert(self) -> list[str]:
        """One turn of alerting; whatever is wrong with it, recovery and dispatch have been done."""
        try:
            return self._telling.turn(by="cron", seconds=_ALERT_SECONDS).sentences()
        except Transient as error:
            return [str(error)]

    def _turn(self, forced: CronMode | None) -> tuple[CronTurn, dict[str, InlineDrain]]:
        if not self._schema_checked:
            migrate.check(self._database)
            self._schema_checked = True
        turn = cron_turn(self._database, self._shards, forced=forced, limits=self._limits)
        return turn, {shard.shard: self._drains.start(shard.shard) for shard in turn.shards if shard.drain_inline}


def _forced_mode(request: Request) -> CronMode | None:
    mode = request.query_params.get("mode")
    if mode is None:
        return None
    if mode not in _FORCEABLE:
        raise HTTPException(
            400, f"mode: {mode[:80]!r} is not acceptable. Use {' or '.join(_FORCEABLE)}, or leave it out."
        )
    return CronMode(mode)


def _status(turn: CronTurn, drains: dict[str, InlineDrain]) -> int:
    if any(drain.pid is None for drain in drains.values()):
        return 503
    accepted = turn.mode is CronMode.DISPATCHED or (turn.mode is CronMode.INLINE and drains)
    return 202 if accepted else 200


def _told(turn: CronTurn, drains: dict[str, InlineDrain]) -> dict[str, Any]:
    return {
        "mode": turn.mode,
        "why": turn.why,
        "recovered": [_told_recovery(decision) for decision in turn.recovered],
        "shards": [_told_shard(shard, drains.get(shard.shard)) for shard in turn.shards],
    }


def _told_recovery(decision: RecoveryDecision) -> dict[str, Any]:
    return {
        "finding": decision.finding.key,
        "signal": decision.finding.signal,
        "shard": decision.finding.shard,
        "sentence": decision.finding.sentence,
        "acted": decision.acted,
        "detail": decision.detail,
        "jobs_given_back": decision.jobs_given_back,
        "jobs_dead": decision.jobs_dead,
        "successor_key": decision.successor_key,
    }


def _told_shard(shard: ShardTurn, drain: InlineDrain | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "shard": shard.shard,
        "outcome": shard.outcome,
        "dispatch_key": shard.dispatch_key,
        "why": shard.why,
        "inline_drain": None,
    }
    if drain is not None:
        told["inline_drain"] = {"pid": drain.pid, "started": drain.started, "why": drain.why}
    return told
