"""The canary beside all others, and every flag, as assets: what is tried, on whom, and how it goes."""

import base64
from collections.abc import Mapping

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import Cell, QueueResource, table, told_plainly
from queue_pipeline.defs.sources import rollout_sources
from queue_pipeline.domain.canary import CohortSample
from queue_pipeline.engine import canary as engine
from queue_pipeline.engine import flags
from queue_pipeline.engine.canary import CanaryStatus
from queue_pipeline.engine.flags import FlagState
from queue_pipeline.integrations.packet_chart import drawn

SAMPLES_SHOWN = 20
#: So many samples are drawn: both cohorts, each minute, for four hours.
DRAWN_MAX = 480


class SamplesConfig(dg.Config):
    """Which canary is shown."""

    canary: int = Field(default=0, ge=0, description="Number of a canary; 0 means the one that was started last.")


@dg.asset(
    deps=[spec for spec in rollout_sources if spec.key.path[-1] in ("canary", "control_event")],
    group_name="rollout",
    kinds={"postgres"},
    description=(
        "Every flag: its value, what the canary's workspaces have instead, where it comes from, and who flipped"
        " it last and why. Flipped with the Dagster job `flip_flag` or `queue-pipeline flags set`."
    ),
)
def control_flags(queue: QueueResource) -> dg.MaterializeResult[None]:
    """Read and show."""
    with told_plainly():
        states = flags.states(queue.db)
    lines = [f"- **{state.flag}** is {state.value}. {state.meaning}" for state in states]
    columns = ["flag", "value", "canary", "source", "who", "why", "since"]
    return dg.MaterializeResult(
        metadata={
            "summary": dg.MetadataValue.md("\n".join(lines)),
            "flags": table(columns, [_flag_row(state) for state in states]),
            "overridden": dg.MetadataValue.int(sum(state.source == "database" for state in states)),
        }
    )


@dg.asset(
    deps=rollout_sources,
    group_name="rollout",
    kinds={"postgres"},
    description=(
        "A canary's workspaces beside all others: the demands of its verdict, both cohorts, samples, moves, and what"
        " the rules said. Started with the Dagster job `start_canary` or `queue-pipeline canary start`."
    ),
)
def canary_samples(queue: QueueResource, config: SamplesConfig) -> dg.MaterializeResult[None]:
    """Read and show."""
    with told_plainly():
        status = engine.status(queue.db, canary_id=config.canary or None, limits=queue.limits)
    if status is None:
        return dg.MaterializeResult(metadata={"summary": dg.MetadataValue.md("There never was a canary.")})
    return dg.MaterializeResult(metadata=metadata_of(status, queue.limits.queue_age_limit_seconds))


def metadata_of(status: CanaryStatus, age_limit_seconds: float) -> dict[str, dg.MetadataValue]:
    """What an operator reads; the UI keeps this order."""
    latest = sorted(status.samples, key=lambda sample: sample.sampled_at, reverse=True)
    image = base64.b64encode(drawn(list(reversed(latest[:DRAWN_MAX])), age_limit_seconds)).decode("ascii")
    chart = f"![queue age and failed attempts, canary and control](data:image/png;base64,{image})"
    return {
        "summary": dg.MetadataValue.md(summary_of(status)),
        "verdict": dg.MetadataValue.text(status.verdict.verdict),
        "chart": dg.MetadataValue.md(chart),
        "demands": table(["demand", "status", "measured", "bound"], _demands(status)),
        "cohorts": table(["measure", "canary", "control"], _cohorts(status)),
        "rollbacks": table(
            ["at", "done", "rule", "why", "flags flipped", "acknowledged by", "undone by"], _rollbacks(status)
        ),
        "moves": table(["at", "from", "to", "who", "why"], _moves(status)),
        "latest_samples": table(
            ["at", "cohort", "phase", "due", "oldest (s)", "wait p95 (s)", "started", "failed", "ended", "duplicates"],
            [_sample(sample) for sample in latest[:SAMPLES_SHOWN]],
        ),
        "samples": dg.MetadataValue.int(len(status.samples)),
    }


def summary_of(status: CanaryStatus) -> str:
    """The canary in a few lines of Markdown."""
    canary = status.canary
    begun = (
        f"**Canary {canary.canary_id} is {canary.state}, verdict {status.verdict.verdict}:**"
        f" {engine.said_of(canary)}. {canary.started_by} started it: {canary.why}."
    )
    lines = [begun]
    if canary.end_reason:
        lines.append(f"{canary.ended_by} ended it: {canary.end_reason}.")
    lines += [f"Shorter than the contract: {sentence}." for sentence in status.contract.shortened()]
    return "\n\n".join(lines)


def _flag_row(state: FlagState) -> Mapping[str, Cell]:
    return {
        "flag": state.flag,
        "value": state.value,
        "canary": state.canary_value,
        "source": state.source,
        "who": state.who,
        "why": state.why,
        "since": None if state.changed_at is None else f"{state.changed_at:%Y-%m-%d %H:%M:%S %Z}",
    }


def _demands(status: CanaryStatus) -> list[Mapping[str, Cell]]:
    return [
        {"demand": item.name, "status": item.status, "measured": item.value, "bound": item.bound}
        for item in status.verdict.items
    ]


def _cohorts(status: CanaryStatus) -> list[Mapping[str, Cell]]:
    """Side by side: one row for each measure."""
    sides = {summary.cohort: vars(summary) for summary in status.cohorts}
    measures = [name for name in next(iter(sides.values()), {}) if name != "cohort"]
    return [
        {"measure": name.replace("_", " "), **{cohort: numbers[name] for cohort, numbers in sides.items()}}
        for name in measures
    ]


def _rollbacks(status: CanaryStatus) -> list[Mapping[str, Cell]]:
    return [
        {
            "at": f"{each.decided_at:%Y-%m-%d %H:%M:%S %Z}",
            "done": "rolled back" if each.mode == "enforce" else "only observed",
            "rule": each.rule,
            "why": each.why,
            "flags flipped": ", ".join(
                f"{change['flag']}: {change['from_value']} to {change['to_value']}" for change in each.changes
            ),
            "acknowledged by": each.acknowledged_by,
            "undone by": each.undone_by,
        }
        for each in status.rollbacks
    ]


def _moves(status: CanaryStatus) -> list[Mapping[str, Cell]]:
    return [
        {
            "at": f"{move.at:%Y-%m-%d %H:%M:%S %Z}",
            "from": move.from_state,
            "to": move.to_state,
            "who": move.who,
            "why": move.why,
        }
        for move in status.moves
    ]


def _sample(sample: CohortSample) -> Mapping[str, Cell]:
    return {
        "at": f"{sample.sampled_at:%Y-%m-%d %H:%M:%S %Z}",
        "cohort": sample.cohort,
        "phase": sample.phase,
        "due": sample.pending_due,
        "oldest (s)": sample.oldest_due_age_seconds,
        "wait p95 (s)": sample.wait_p95_seconds,
        "started": sample.started_jobs,
        "failed": sample.failed_jobs,
        "ended": sample.finished_jobs,
        "duplicates": sample.duplicate_sends,
    }
