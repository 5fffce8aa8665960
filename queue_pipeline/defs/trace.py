"""The story of one job or lead in Dagster, by numbers only: what is shown here is kept for ever."""

from collections.abc import Mapping

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import ROLE_TAG, Cell, QueueResource, table, told_plainly
from queue_pipeline.domain.duration import duration
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.trace import Trace
from queue_pipeline.engine import trace as engine

_COLUMNS = ["job", "when", "gap", "what", "detail", "cause of the gap"]


class TraceConfig(dg.Config):
    """Whose story is to be told."""

    query: str = Field(
        min_length=1,
        max_length=30,
        description=(
            "The number of a job (12 or job:12) or of a lead (lead:12). Not an address: run configuration is kept for"
            " ever, so addresses are looked up with `queue-pipeline trace`."
        ),
    )


@dg.op(description="Tell what happened to one job, or to every message of one lead.")
def tell(context: dg.OpExecutionContext, config: TraceConfig, queue: QueueResource) -> None:
    """Read the story and show it as a table and in a few sentences."""
    with told_plainly():
        if not engine.is_number(config.query):
            raise InvalidInput(
                "query",
                "(not shown)",
                "Give the number of a job (12) or of a lead (lead:12). Whatever names a person is refused, because run"
                " configuration and metadata are kept for ever; look an address up with `queue-pipeline trace`.",
            )
        stories = engine.trace(queue.db, config.query)
    for story in stories:
        context.log.info("%s", _sentences(story))
    context.add_output_metadata(
        {
            "story": dg.MetadataValue.md("\n\n".join(_markdown(story) for story in stories)),
            "events": table(_COLUMNS, [row for story in stories for row in _rows(story)]),
            "jobs": dg.MetadataValue.int(len(stories)),
            "longest_gap_seconds": dg.MetadataValue.float(
                max((story.longest_gap.seconds for story in stories if story.longest_gap is not None), default=0.0)
            ),
        }
    )


@dg.job(
    name="trace",
    description=(
        "Every event of one job or lead in order, with the gap before each, the longest gap with its cause, and what"
        " the customer saw. By numbers only; `queue-pipeline trace` shows names and texts too."
    ),
    executor_def=dg.in_process_executor,
    tags={ROLE_TAG: "operator", "dagster/max_runtime": "600"},
)
def trace_job() -> None:
    """Tell one story."""
    tell()


def _sentences(story: Trace) -> str:
    """Result, customer and longest gap, without a word that anybody else wrote."""
    parts = [f"Job {story.job_id} ({story.kind or 'pruned'}, {story.workspace}): {story.result}."]
    if story.customer:
        parts.append(f"Customer: {story.customer}.")
    longest = story.longest_gap
    if longest is not None:
        because = longest.because or "nothing on record says why"
        parts.append(f"Longest gap: {duration(longest.seconds)} before “{longest.before}”: {because}.")
    return " ".join(parts)


def _markdown(story: Trace) -> str:
    lead = f", lead {story.lead_id}" if story.lead_id is not None else ""
    rows = "\n".join(
        f"| {row['when']} | {row['gap']} | {row['what']} | {row['detail']} |".replace("\n", " ") for row in _rows(story)
    )
    head = "| When | Gap | What | Detail |\n|---|---|---|---|"
    return f"**Job {story.job_id}{lead}.** {_sentences(story)}\n\n{head}\n{rows}"


def _rows(story: Trace) -> list[Mapping[str, Cell]]:
    return [
        {
            "job": story.job_id,
            "when": event.at.isoformat(timespec="milliseconds"),
            "gap": f"+{duration(event.gap_seconds)}",
            "what": event.what,
            "detail": event.detail.replace("|", "/"),
            "cause of the gap": event.cause.replace("_", " "),
        }
        for event in story.events
    ]
