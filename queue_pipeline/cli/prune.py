"""`prune`: forget what is older than its retention class allows."""

from collections.abc import Sequence

import click
from rich.progress import Progress

from queue_pipeline.cli.console import json_option, print_json, print_table, say, words
from queue_pipeline.cli.session import Session, opened
from queue_pipeline.domain.retention import BY_NAME, CLASSES, DAY_SECONDS, DAYS_MAX, JOB_CLASSES, days_kept
from queue_pipeline.engine.pruning import count_classes, prune_classes

_AGES = ", ".join(f"{each.name} {'(kept)' if each.days is None else each.days}" for each in CLASSES)


@click.command(
    "prune",
    epilog=f"Classes and the days for which each is kept: {_AGES}. QUEUE_PIPELINE_KEEP_JOBS_DAYS is the age of `jobs`.",
)
@click.option(
    "--class",
    "names",
    type=click.Choice(list(BY_NAME)),
    multiple=True,
    metavar="NAME",
    help="Only this class; may be given several times.",
)
@click.option(
    "--older-than-days",
    "days",
    type=click.IntRange(0, DAYS_MAX),
    metavar="N",
    help="What ended more than N days ago. Without --class: finished jobs only, whatever brought them in.",
)
@click.option("--dead", is_flag=True, help="Dead letters too, with --older-than-days; they stay otherwise.")
@click.option("--dry-run", is_flag=True, help="Only say how many would go.")
@json_option
def prune_command(*, names: tuple[str, ...], days: int | None, dead: bool, dry_run: bool, as_json: bool) -> None:
    """Delete old rows in short transactions: every class at its own age, or what the options name.

    Without options it does what the daily Dagster job does. It waits for nobody, may be stopped anywhere and run again,
    and two at once share the work. Sends, drafts, outcomes, inbound events and decisions stay: they say what customers
    saw, and recognise a repeated delivery.
    """
    with opened() as session:
        ages = {name: each * DAY_SECONDS for name, each in _days(session, names, days, dead=dead).items()}
        prunable = count_classes(session.db, ages)
        pruned = dict.fromkeys(prunable, 0) if dry_run else _prune(session, ages, prunable)
    if as_json:
        by_class = {name: {"prunable": count, "pruned": pruned[name]} for name, count in prunable.items()}
        totals = {"prunable": sum(prunable.values()), "pruned": sum(pruned.values())}
        print_json(totals if days is not None and not names else {**totals, "by_class": by_class})
        return
    rows = [(name, f"{ages[name] / DAY_SECONDS:g}", prunable[name], pruned[name]) for name in prunable]
    if days is None or names:
        print_table(("Class", "Days", "Older", "Deleted"), rows, empty="No class.")
    noun = "rows" if days is None or names else "jobs"
    total = sum((prunable if dry_run else pruned).values())
    say(f"{total} {noun} would be deleted." if dry_run else f"{total} {noun} were deleted.")


def _days(session: Session, names: Sequence[str], days: int | None, *, dead: bool) -> dict[str, int]:
    """Days for each class that is to be pruned."""
    wanted = list(dict.fromkeys([*names, *(["dead_letters"] if dead else [])]))
    if days is not None:
        return dict.fromkeys(wanted if names else [*JOB_CLASSES, *wanted], days)
    kept = days_kept(session.settings.keep_jobs_days)
    if ageless := [name for name in wanted if name not in kept]:
        raise click.UsageError(f"{', '.join(ageless)} has no age of its own; give --older-than-days.")
    return {name: each for name, each in kept.items() if not names or name in names}


def _prune(session: Session, ages: dict[str, float], prunable: dict[str, int]) -> dict[str, int]:
    with Progress(console=words()) as bar:
        tasks = {name: bar.add_task(name, total=total) for name, total in prunable.items() if total}

        def tell(name: str, rows: int) -> None:
            if name in tasks:
                bar.update(tasks[name], completed=rows)

        return {each.name: each.rows for each in prune_classes(session.db, ages, on_batch=tell)}


commands: list[click.Command] = [prune_command]
