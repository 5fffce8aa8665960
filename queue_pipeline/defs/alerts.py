"""Alerts in Dagster: a sensor that evaluates and posts every 5 s, and the incidents as an asset."""

from collections.abc import Mapping, Sequence

import dagster as dg

from queue_pipeline.defs.resources import Cell, QueueResource, table, told_plainly
from queue_pipeline.defs.sources import alert_sources
from queue_pipeline.domain.errors import QueuePipelineError
from queue_pipeline.engine.alert import listed
from queue_pipeline.store.incident import ListedIncident
from queue_pipeline.wiring import teller, where_alerts_go

SHOWN = 50
#: Together below the 60 s that Dagster gives a tick, and short enough for the next one to come soon.
ALERT_SECONDS = 5.0
DELIVER_SECONDS = 3.0


@dg.sensor(
    minimum_interval_seconds=2,  # see dispatch_sensor
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Every 5 s: judge the queue, open, fire and resolve incidents, post what is wanted, and deliver notifications"
        " that no handler delivered. It starts no Dagster run: alerts do not travel through what they watch."
    ),
)
def alert_sensor(context: dg.SensorEvaluationContext, queue: QueueResource) -> dg.SensorResult:
    """One turn."""
    telling = teller(queue.settings, queue.db)
    said, changed = [], False
    try:
        turn = telling.turn(by="alert sensor", seconds=ALERT_SECONDS)
        said, changed = turn.sentences(), bool(turn.changes or turn.posts)
        if delivered := telling.deliver(by="alert sensor", seconds=DELIVER_SECONDS):
            said.append(f"{delivered} notifications were delivered that no handler had delivered.")
    except QueuePipelineError as error:
        said.append(str(error))
    for sentence in said if changed else ():
        context.log.info(sentence)
    return dg.SensorResult(skip_reason=" ".join(said), cursor=None)


@dg.asset(
    deps=alert_sources,
    group_name="health",
    kinds={"postgres", "slack"},
    description=(
        "What is wrong and who was told: open incidents first, then the latest that are over. One incident per thing"
        " that is wrong, one root message per generation. The history is in the tables `alert_incident` and"
        " `alert_post`."
    ),
)
def alert_incidents(queue: QueueResource) -> dg.MaterializeResult[None]:
    """Read and show."""
    with told_plainly():
        incidents = listed(queue.db, limit=SHOWN)
    firing = [incident for incident in incidents if incident.status == "firing"]
    columns = [
        "key",
        "generation",
        "severity",
        "status",
        "since",
        "last seen",
        "told",
        "waiting",
        "error",
        "what",
    ]
    return dg.MaterializeResult(
        metadata={
            "summary": dg.MetadataValue.md(summary_of(incidents, where_alerts_go(queue.settings))),
            "incidents": table(columns, [_row(incident) for incident in incidents]),
            "firing": dg.MetadataValue.int(len(firing)),
            "not_told": dg.MetadataValue.int(sum(not incident.is_told for incident in incidents)),
        }
    )


def summary_of(incidents: Sequence[ListedIncident], where: str) -> str:
    """The incidents in a few sentences of Markdown."""
    firing = [incident for incident in incidents if incident.status == "firing"]
    lines = [f"{len(firing)} incidents are firing. {where}" if firing else f"Nothing is wrong. {where}"]
    lines += [f"- **{incident.dedup_key}**: {incident.evidence.get('headline', '')}" for incident in firing]
    lines += [
        f"- {incident.dedup_key} could not be posted: {incident.last_error}"
        for incident in incidents
        if incident.last_error and not incident.is_told
    ]
    return "\n".join(lines)


def _row(incident: ListedIncident) -> Mapping[str, Cell]:
    return {
        "key": incident.dedup_key,
        "generation": incident.generation,
        "severity": incident.severity,
        "status": incident.status,
        "since": f"{incident.opened_at:%Y-%m-%d %H:%M:%S %Z}",
        "last seen": f"{incident.last_seen_at:%Y-%m-%d %H:%M:%S %Z}",
        "told": incident.sink,
        "waiting": incident.wanted_seq - incident.posted_seq,
        "error": incident.last_error,
        "what": str(incident.evidence.get("headline", "")),
    }
