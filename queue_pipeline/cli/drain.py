"""`drain`: the engine without Dagster, one drain per shard."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from types import FrameType

import click
from rich.console import Console
from rich.status import Status

from queue_pipeline import wiring
from queue_pipeline.cli.console import json_option, log_to_stderr, print_json, say, words
from queue_pipeline.cli.session import Session, opened
from queue_pipeline.domain.errors import DatabaseUnavailable, InvalidInput
from queue_pipeline.domain.function_run import EndReason
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import health
from queue_pipeline.engine.dispatch import promote_and_wake
from queue_pipeline.engine.drain import DrainOptions, DrainProgress, DrainReport, drain
from queue_pipeline.engine.handlers import Registry
from queue_pipeline.store.session import Database

_GOOD_ENDS = frozenset({EndReason.EMPTY, EndReason.BUDGET, EndReason.STOPPED})


@click.command("drain")
@click.option("--shard", default=None, metavar="S", help="Only this shard, e.g. shard-00; all of them if left out.")
@click.option("--until-empty", is_flag=True, help="End as soon as nothing is due.")
@click.option("--seconds", type=click.FloatRange(0.1, 86_400), default=None, metavar="N", help="End after N seconds.")
@click.option(
    "--batch-size",
    type=click.IntRange(1, 1000),
    default=None,
    metavar="N",
    help="Jobs claimed at once, at most. [default: QUEUE_PIPELINE_BATCH_SIZE, 20]",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=None,
    metavar="N",
    help="Handlers at the same time, per shard. [default: QUEUE_PIPELINE_CONCURRENCY, 4]",
)
@json_option
def drain_command(
    *,
    shard: str | None,
    until_empty: bool,
    seconds: float | None,
    batch_size: int | None,
    concurrency: int | None,
    as_json: bool,
) -> None:
    """Drain the queue in this process; Dagster is not needed.

    Without --until-empty and --seconds each shard is drained until it was idle for QUEUE_PIPELINE_LINGER_SECONDS, and
    at most for QUEUE_PIPELINE_DRAIN_BUDGET_SECONDS. Ctrl-C or SIGTERM ends gracefully: running handlers get a grace,
    unstarted jobs go back. Exit code 0; 1 when a drain was fenced or had to give up; 2 when the database was away.
    """
    if until_empty and seconds is not None:
        raise click.UsageError("--until-empty and --seconds exclude each other; give one of them.")
    console = words()
    log_to_stderr(console)
    with opened() as session:
        settings = session.settings
        shards = _shards(shard, settings.shards)
        registry = wiring.load_registry(settings)
        say(wiring.where_alerts_go(settings))
        options = [
            DrainOptions(
                shard=name,
                batch_size=batch_size or settings.batch_size,
                concurrency=concurrency or settings.concurrency,
                budget_seconds=seconds or (86_400 if until_empty else settings.drain_budget_seconds),
                linger_seconds=seconds if seconds is not None else settings.linger_seconds,
                until_empty=until_empty,
                hand_over=False,
                shards=settings.shards,
            )
            for name in shards
        ]
        reports = _rounds(session, registry, options, console)
        wiring.finish_delivering()
        wiring.teller(settings, session.db).deliver(by="drain", seconds=4.0)
    if as_json:
        print_json(reports)
    else:
        for report in reports:
            say(report.sentence())
    if any(report.end_reason not in _GOOD_ENDS for report in reports):
        raise SystemExit(1)


def _shards(shard: str | None, count: int) -> list[str]:
    known = shard_names(count)
    if shard is not None and shard not in known:
        raise InvalidInput("--shard", shard, f"Known shards: {', '.join(known)}.")
    return [shard] if shard else known


def _rounds(session: Session, registry: Registry, options: list[DrainOptions], console: Console) -> list[DrainReport]:
    """One round of drains; more of them as long as `until_empty` is wanted, work is left and work gets done.

    Drains serve each other's wake-ups, so one may have seen its shard empty a moment before work arrived there.
    """
    stop = threading.Event()
    reports: list[DrainReport] = []
    with _stopped_by_signals(stop):
        while True:
            promote_and_wake(session.db, session.settings.shards, Limits())
            latest = _drain_all(session, registry, options, stop, console)
            reports += latest if not reports else [report for report in latest if report.counts.get("claimed")]
            worked = any(report.counts.get("claimed") for report in latest)
            if not options[0].until_empty or stop.is_set() or not worked or not _is_due(session, options):
                return reports


def _is_due(session: Session, options: list[DrainOptions]) -> bool:
    snapshot = health.measure(session.db, limits=Limits(), shards=shard_names(session.settings.shards))
    return any(snapshot.by_shard[each.shard].pending_due for each in options)


def _drain_all(
    session: Session, registry: Registry, options: list[DrainOptions], stop: threading.Event, console: Console
) -> list[DrainReport]:
    """One drain per shard in threads, until all have ended; raises the first outage that kept one from starting."""
    progress: dict[str, DrainProgress] = {}
    database = Database(session.db.url, pool_size=4 + 2 * len(options), application="queue_pipeline drain")
    try:
        with ThreadPoolExecutor(len(options)) as pool:
            futures = [
                pool.submit(
                    drain, database, registry, each, stop=stop, on_turn=partial(progress.__setitem__, each.shard)
                )
                for each in options
            ]
            _watch(futures, progress, stop, console)
            failures = [error for future in futures if (error := future.exception()) is not None]
    finally:
        database.dispose()
    if failures:
        raise failures[0]
    return [future.result() for future in futures]


def _watch(
    futures: "list[Future[DrainReport]]", progress: dict[str, DrainProgress], stop: threading.Event, console: Console
) -> None:
    """Show a line of progress until every drain has ended."""
    with Status("draining", console=console) as line:
        waiting = set(futures)
        while waiting:
            ended, waiting = wait(waiting, timeout=0.2)
            if any(isinstance(future.exception(), DatabaseUnavailable) for future in ended):
                stop.set()
            line.update(("stopping: " if stop.is_set() else "draining: ") + _sentence(progress))


def _sentence(progress: dict[str, DrainProgress]) -> str:
    now = list(progress.values())
    total = {
        name: sum(each.counts.get(name, 0) for each in now) for name in ("claimed", "succeeded", "retried", "failed")
    }
    numbers = ", ".join(f"{count} {name}" for name, count in total.items() if count or name == "succeeded")
    return f"{sum(each.held for each in now)} in hand, {numbers}"


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Inside the block SIGINT and SIGTERM set `stop`; a second SIGINT interrupts as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.set()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


commands: list[click.Command] = [drain_command]
