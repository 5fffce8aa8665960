"""`simulate`: an hour of load on 100,000 workspaces, by the rules of production, without a database."""

import json
from collections.abc import Iterator
from dataclasses import replace
from math import isnan
from pathlib import Path

import click
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from queue_pipeline.cli.console import json_option, print_json, print_table, say, words
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.simulation import (
    SAID,
    GroupReport,
    MinuteSample,
    Order,
    OrderReport,
    Scenario,
    SimulationPlan,
    SimulationReport,
    as_document,
    checked,
)

_ALL = "all"
_COLUMNS = (
    "Order",
    "Group",
    "Active workspaces",
    "Jobs",
    "Started",
    "p50",
    "p95",
    "Max",
    "Jain",
    "Starvation",
    "Longest gap",
)
_TRACE_ROWS = 12


@click.command("simulate")
@click.option(
    "--scenario", type=click.Choice([*(each.value for each in Scenario), _ALL]), default=Scenario.BURST.value,
    show_default=True, help="What happens in the simulated time.",
)  # fmt: skip
@click.option("--workspaces", type=int, default=100_000, show_default=True, help="How many ordinary workspaces.")
@click.option(
    "--hours", type=click.FloatRange(0, 24), default=None, metavar="H", help="How long, in hours. [default: 1]"
)
@click.option("--minutes", type=int, default=None, metavar="M", help="How long, in minutes.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same run, bit by bit.")
@click.option(
    "--workers", type=int, default=128, show_default=True,
    help="Handlers at once at most; the ordinary load at its peak needs 70 % of them.",
)  # fmt: skip
@click.option("--shards", type=int, default=4, show_default=True, help="Shards of the queue.")
@click.option(
    "--capacity", type=click.Choice(["enforce", "observe"]), default="enforce", show_default=True,
    help="Whether the control loop of capacity acts, or only says what it would do.",
)  # fmt: skip
@click.option(
    "--jain-min", type=click.FloatRange(0, 1), default=None, metavar="J",
    help="Exit with 1 when Jain's index of a group of ordinary workspaces is below this.",
)  # fmt: skip
@click.option(
    "--starvation-max", type=click.FloatRange(0), default=None, metavar="F",
    help="Exit with 1 when an ordinary workspace's p95 of waits is more than this times that of all.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=None, metavar="DIR",
    help="Also write a chart (PNG) and the whole report (JSON) of each scenario there.",
)  # fmt: skip
@json_option
def simulate_command(
    *,
    scenario: str,
    workspaces: int,
    hours: float | None,
    minutes: int | None,
    seed: int,
    workers: int,
    shards: int,
    capacity: str,
    jain_min: float | None,
    starvation_max: float | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Simulate the queue under load, by production's own rules for fairness and capacity, without a database.

    The same load runs a second and a third time, with the same workers, first in first out and in the order of the
    system that this one replaces. Waits are seconds from due to started. Exit code 0: the bounds that were given hold
    and no job was lost or finished twice; 1: they do not; 3: wrong usage.
    """
    plan = checked(
        SimulationPlan(
            Scenario.STEADY if scenario == _ALL else Scenario(scenario),
            workspaces=workspaces,
            minutes=_minutes(hours, minutes),
            seed=seed,
            workers=workers,
            shards=shards,
            enforce=capacity == "enforce",
        )
    )
    plans = [replace(plan, scenario=each) for each in Scenario] if scenario == _ALL else [plan]
    if out is not None:
        _make(out)
    documents, broken = [], []
    for report in _reports(plans):
        broken += report.broken(jain_min=jain_min, starvation_max=starvation_max)
        documents.append(as_document(report))
        if out is not None:
            _write(out, report)
        if not as_json:
            _show(report)
    if as_json:
        print_json({"simulations": documents, "broken": broken})
    for sentence in broken:
        say(sentence)
    raise SystemExit(1 if broken else 0)


def _minutes(hours: float | None, minutes: int | None) -> int:
    if hours is not None and minutes is not None:
        raise click.UsageError("Give either --hours or --minutes.")
    if hours is not None:
        if isnan(hours):
            raise click.BadParameter("Give a number.", param_hint="--hours")
        return round(hours * 60)
    return 60 if minutes is None else minutes


def _reports(plans: list[SimulationPlan]) -> Iterator[SimulationReport]:
    from queue_pipeline.engine.simulation import simulate

    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    for plan in plans:
        with Progress(*columns, console=words(), disable=not words().is_terminal, transient=True) as bar:
            bar.add_task(f"simulating {plan.scenario}")
            report = simulate(plan)
        yield report


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput("--out", str(out), f"It cannot be made: {error.strerror}.") from None


def _write(out: Path, report: SimulationReport) -> None:
    from queue_pipeline.integrations.simulation_chart import drawn

    path = out / f"{report.plan.scenario}.json"
    try:
        path.write_text(json.dumps(as_document(report), indent=2) + "\n", encoding="utf-8")
        path.with_suffix(".png").write_bytes(drawn(report))
    except OSError as error:
        raise InvalidInput("--out", str(out), f"It cannot be written: {error.strerror}.") from None
    say(f"Written: {path} and {path.with_suffix('.png').name}")


def _show(report: SimulationReport) -> None:
    plan, fair = report.plan, report.of(Order.FAIR)
    click.echo(f"{plan.scenario}: {SAID[plan.scenario]}. {report.jobs:,} jobs in {plan.minutes} minutes.")
    print_table(_COLUMNS, [_row(run, group) for run in report.orders for group in run.groups], empty="")
    step = -(-len(fair.trace) // _TRACE_ROWS)
    columns = ("Minute", "Arrived", "Started", "Waiting", "Running", "Oldest", "Workers", "In flight max", "Then")
    print_table(columns, [_minute(sample) for sample in fair.trace[step - 1 :: step]], empty="")
    ledger = fair.ledger
    click.echo(
        f"Jain's index {fair.jain:.4f}, starvation factor {fair.starvation:.1f}. {ledger.finished:,} jobs finished,"
        f" {ledger.dead:,} dead, {ledger.lost(report.jobs)} lost, {ledger.finished_twice} finished twice;"
        f" {ledger.given_back:,} given back, {ledger.late_refused:,} late writes refused."
    )


def _row(run: OrderReport, group: GroupReport) -> tuple[object, ...]:
    return (
        run.order,
        group.group,
        f"{group.workspaces:,}",
        f"{group.jobs:,}",
        f"{group.started:,}",
        f"{group.wait_p50:.2f}",
        f"{group.wait_p95:.2f}",
        f"{group.wait_max:.2f}",
        "" if group.jain is None else f"{group.jain:.4f}",
        group.starvation,
        group.gap_max,
    )


def _minute(sample: MinuteSample) -> tuple[object, ...]:
    return (
        sample.minute,
        sample.arrived,
        sample.started,
        sample.waiting,
        sample.running,
        sample.oldest_seconds,
        sample.workers,
        sample.in_flight_max,
        sample.reason,
    )


commands: list[click.Command] = [simulate_command]
