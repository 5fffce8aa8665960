"""Capacity decisions as an asset, and what an operator does about them from the UI."""

import base64
import io
from collections.abc import Mapping, Sequence

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import ROLE_TAG, Cell, QueueResource, table, told_plainly
from queue_pipeline.defs.sources import sources
from queue_pipeline.domain.flag import CAPACITY_MODE, meaning_of
from queue_pipeline.engine import capacity
from queue_pipeline.engine.capacity import CapacityStatus, said_of
from queue_pipeline.store.capacity import Decision
from queue_pipeline.wiring import capacity_policy

SHOWN = 20
#: The last three hours, a decision each minute.
DRAWN_MAX = 180
_TAGS = {ROLE_TAG: "operator", "dagster/max_runtime": "600"}
_COLUMNS = [
    "at", "mode", "workers", "in flight", "reason", "arrivals/s", "ended/s", "due", "age p95 (s)", "guardrails", "why",
]  # fmt: skip


class ReleaseConfig(dg.Config):
    """Who decides, and why."""

    who: str = Field(min_length=2, max_length=200, description="Who decides: your name. It is kept as evidence.")
    why: str = Field(min_length=3, max_length=500, description="Why you do this; it is kept as evidence.")


class OverrideConfig(ReleaseConfig):
    """What is set by hand, and for how long."""

    workers: int = Field(default=0, ge=0, description="Handlers at once in all drains; 0 leaves them to the loop.")
    in_flight_max: int = Field(default=0, ge=0, description="Claimed jobs at once; 0 leaves them to the loop.")
    hours: float = Field(
        gt=0, le=capacity.OVERRIDE_HOURS_MAX, description="How long it holds, by the database's clock."
    )


@dg.asset(
    deps=sources,
    group_name="health",
    kinds={"postgres"},
    description=(
        "How many handlers may run at once and how many jobs may be claimed at once: each decision, why, and the"
        " measurements behind it. Flag `capacity.mode` says whether they act or only tell."
    ),
)
def capacity_decisions(queue: QueueResource) -> dg.MaterializeResult[None]:
    """Read and show."""
    with told_plainly():
        status = capacity.status(queue.db, capacity_policy(queue.settings), decisions=DRAWN_MAX, limits=queue.limits)
    return dg.MaterializeResult(
        metadata={
            "summary": dg.MetadataValue.md(summary_of(status)),
            "last_hours": dg.MetadataValue.md(chart_of(list(reversed(status.decisions)))),
            "decisions": table(_COLUMNS, [_row(each) for each in status.decisions[:SHOWN]]),
            "workers_desired": dg.MetadataValue.int(status.desired),
            "workers_running": dg.MetadataValue.int(status.running),
        }
    )


@dg.op(description="Set workers, or the cap on claimed jobs, or both, by hand.")
def override_one(context: dg.OpExecutionContext, config: OverrideConfig, queue: QueueResource) -> None:
    """Write it down; drains hear of it within seconds."""
    with told_plainly():
        begun = capacity.override(
            queue.db,
            capacity_policy(queue.settings),
            workers=config.workers or None,
            in_flight_max=config.in_flight_max or None,
            hours=config.hours,
            who=config.who,
            why=config.why,
        )
    context.log.info("Override %d holds until %s.", begun.capacity_override_id, begun.until)
    context.add_output_metadata({"capacity_override_id": begun.capacity_override_id})


@dg.op(description="Take the override back; the loop's own numbers hold again.")
def release_one(context: dg.OpExecutionContext, config: ReleaseConfig, queue: QueueResource) -> None:
    """End it."""
    with told_plainly():
        ended = capacity.release(queue.db, who=config.who, why=config.why)
    context.log.info("Override %d is over.", ended.capacity_override_id)
    context.add_output_metadata({"capacity_override_id": ended.capacity_override_id})


@dg.job(
    name="override_capacity",
    description="Set workers or the cap on claimed jobs by hand for some hours. Needs a name and a reason.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
def override_capacity_job() -> None:
    """Override."""
    override_one()


@dg.job(
    name="release_capacity",
    description="Take an override of capacity back before its time. Needs a name and a reason.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
def release_capacity_job() -> None:
    """Release."""
    release_one()


capacity_jobs = [override_capacity_job, release_capacity_job]


def summary_of(status: CapacityStatus) -> str:
    """What is in force and the latest decision, as a few sentences of Markdown."""
    workers = f"as configured ({status.policy.configured})" if status.workers is None else f"{status.workers}"
    lines = [
        f"**{CAPACITY_MODE} is {status.mode}.** {meaning_of(CAPACITY_MODE, status.mode)}",
        f"- Workers: {workers}; drains allow {status.running} handlers at once now.",
    ]
    if status.override is not None:
        lines.append(f"- An operator's override holds until {status.override.until:%Y-%m-%d %H:%M:%S %Z}.")
    if status.decisions:
        lines.append(f"- Latest decision: {said_of(status.decisions[0])}")
    return "\n".join(lines)


def chart_of(decisions: Sequence[Decision]) -> str:
    """Workers, arrivals and age, oldest first, as Markdown with an embedded PNG; a sentence when there are too few."""
    if len(decisions) < 2:
        return "The chart appears with the second decision."
    image = base64.b64encode(_png(decisions)).decode("ascii")
    return f"![workers, arrivals and age](data:image/png;base64,{image})"


def _png(decisions: Sequence[Decision]) -> bytes:
    # Imported here: only this asset's run draws, and loading these takes half a second.
    from matplotlib.dates import ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=80, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    times = [each.decided_at for each in decisions]
    upper.step(times, [each.to_workers for each in decisions], where="post", color="#1f5fa8", label="workers decided")
    upper.step(
        times, [each.workers_running or 0 for each in decisions], where="post", color="#9db8d9", label="in drains"
    )
    breached = [each for each in decisions if each.guardrails]
    upper.plot([each.decided_at for each in breached], [each.to_workers for each in breached], "v", color="#b03a2e")
    upper.set_ylabel("workers")
    upper.set_ylim(bottom=0)
    upper.legend(loc="upper left", fontsize=7)
    lower.plot(times, [each.arrivals_per_second or 0 for each in decisions], color="#4a8f5b")
    lower.set_ylabel("arrivals/s", color="#4a8f5b")
    lower.set_ylim(bottom=0)
    ages = lower.twinx()
    ages.plot(times, [each.age_p95_seconds or 0 for each in decisions], color="#b03a2e")
    ages.set_ylabel("age p95 (s)", color="#b03a2e")
    ages.set_ylim(bottom=0)
    lower.xaxis.set_major_formatter(ConciseDateFormatter(lower.xaxis.get_major_locator()))  # type: ignore[no-untyped-call]
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()


def _row(decision: Decision) -> Mapping[str, Cell]:
    return {
        "at": f"{decision.decided_at:%Y-%m-%d %H:%M:%S %Z}",
        "mode": decision.mode,
        "workers": f"{decision.from_workers} > {decision.to_workers}",
        "in flight": f"{decision.from_in_flight} > {decision.to_in_flight}",
        "reason": decision.reason_code,
        "arrivals/s": decision.arrivals_per_second,
        "ended/s": decision.finished_per_second,
        "due": decision.due,
        "age p95 (s)": decision.age_p95_seconds,
        "guardrails": ", ".join(str(each["name"]) for each in decision.guardrails),
        "why": decision.why,
    }
