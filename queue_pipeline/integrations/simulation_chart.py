"""The chart of a simulation: how long ordinary workspaces wait under each order, and the workers beside the backlog."""

import io
from collections.abc import Mapping
from typing import Any

from queue_pipeline.domain.simulation import (
    ORDERS_SAID,
    SAID,
    Order,
    OrderReport,
    SimulationReport,
)

COLOURS = 64
#: Waits below this are drawn as this: no eye needs more on a logarithmic axis.
_SHORTEST_SECONDS = 0.1
_LINES: Mapping[Order, Mapping[str, Any]] = {
    Order.FAIR: {"color": "#1b7f5c", "linewidth": 2.5, "zorder": 4},
    Order.FIFO: {"color": "#b03a2e", "linewidth": 2, "zorder": 3},
    Order.INTERLEAVED: {"color": "#d97706", "linewidth": 1.2, "linestyle": "--", "zorder": 5},
}
_WORKERS, _RUNNING, _BACKLOG = "#33415c", "#5b7fb0", "#c9d7ea"


def drawn(report: SimulationReport) -> bytes:
    """One scenario as a PNG of three parts: waits over time, workers and backlog over time, p95 by group."""
    # Imported here: only a simulation with --out draws, and loading it takes half a second.
    from matplotlib.figure import Figure

    plan = report.plan
    figure = Figure(figsize=(11, 9), dpi=90, layout="constrained")
    waits, capacity, groups = figure.subplots(3, 1, height_ratios=[3, 3, 2.6])
    figure.suptitle(f"{plan.scenario}: {SAID[plan.scenario]}", fontsize="large", fontweight="bold", x=0.01, ha="left")
    _draw_waits(waits, report)
    _draw_capacity(capacity, report.of(Order.FAIR))
    _draw_groups(groups, report)
    return _packed(figure)


def _draw_waits(axes: Any, report: SimulationReport) -> None:
    for run in report.orders:
        seen = [sample for sample in run.trace if sample.ordinary_wait_p95 is not None]
        minutes = [sample.minute for sample in seen]
        values = [max(_SHORTEST_SECONDS, sample.ordinary_wait_p95 or 0.0) for sample in seen]
        axes.plot(minutes, values, label=f"{run.order}: {ORDERS_SAID[run.order]}", **_LINES[run.order])
    plan = report.plan
    axes.set_title(
        f"p95 of ordinary jobs' waits, minute by minute: {plan.workspaces:,} workspaces, {report.jobs:,} jobs",
        loc="left",
    )
    _seconds(axes.yaxis, axes.set_yscale)
    axes.set_ylim(bottom=_SHORTEST_SECONDS * 0.7, top=max(20.0, axes.get_ylim()[1]) * 20)
    axes.set_xlim(0, plan.minutes)
    axes.legend(loc="upper right", fontsize="small")
    axes.grid(axis="y", alpha=0.3)


def _draw_capacity(axes: Any, fair: OrderReport) -> None:
    minutes = [sample.minute for sample in fair.trace]
    backlog = axes.twinx()
    backlog.fill_between(minutes, [sample.waiting for sample in fair.trace], color=_BACKLOG, label="jobs waiting")
    backlog.set_ylabel("jobs waiting", color=_RUNNING)
    backlog.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    backlog.set_ylim(bottom=0, top=max(10, *(sample.waiting for sample in fair.trace)) * 1.15)
    workers = [sample.workers for sample in fair.trace]
    axes.step(minutes, workers, where="pre", color=_WORKERS, linewidth=2, label="handlers at once in force")
    running = [sample.running for sample in fair.trace]
    axes.plot(minutes, running, color=_RUNNING, linewidth=1.2, label="jobs running")
    axes.set_ylim(bottom=0, top=max(workers) * 1.35)
    axes.set_xlim(0, minutes[-1])
    axes.set_xlabel("minutes")
    axes.set_ylabel("handlers at once")
    axes.set_title("capacity and backlog under the fair order", loc="left")
    axes.set_zorder(backlog.get_zorder() + 1)
    axes.patch.set_visible(False)
    (lines, names), (areas, area_names) = axes.get_legend_handles_labels(), backlog.get_legend_handles_labels()
    axes.legend(lines + areas, names + area_names, loc="upper right", fontsize="small", ncols=3)


def _draw_groups(axes: Any, report: SimulationReport) -> None:
    """Bars of the p95 of waits: a group is three bars, one for each order."""
    groups = [each.group for each in report.of(Order.FAIR).groups]
    height = 0.8 / len(report.orders)
    for place, run in enumerate(report.orders):
        p95s = [max(_SHORTEST_SECONDS, run.of(group).wait_p95) for group in groups]
        rows = [row + (place - 1) * height for row in range(len(groups))]
        bars = axes.barh(rows, p95s, height=height, color=_LINES[run.order]["color"])
        axes.bar_label(bars, [f"{run.of(group).wait_p95:,.1f} s" for group in groups], padding=3, fontsize="small")
    axes.set_yticks(
        range(len(groups)), [f"{group} ({report.of(Order.FAIR).of(group).jobs:,} jobs)" for group in groups]
    )
    axes.invert_yaxis()
    axes.set_title("p95 of waits over the whole time, by group; the colours are those of the orders above", loc="left")
    _seconds(axes.xaxis, axes.set_xscale)
    axes.set_xlim(left=_SHORTEST_SECONDS * 0.7, right=axes.get_xlim()[1] * 2)


def _seconds(axis: Any, set_scale: Any) -> None:
    set_scale("log")
    axis.set_major_formatter(lambda value, _: f"{value:,g} s")


def _packed(figure: Any) -> bytes:
    from PIL import Image

    raw, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png")
    Image.open(raw).convert("RGB").quantize(COLOURS).save(packed, format="PNG", optimize=True)
    return packed.getvalue()
