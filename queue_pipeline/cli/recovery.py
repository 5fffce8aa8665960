"""`recover`: look for what will not move again by itself, and set it going."""

import click

from queue_pipeline.cli.console import json_option, print_json, print_table, say
from queue_pipeline.cli.session import opened
from queue_pipeline.engine.recovery import observed, sweep

_LISTED_MAX = 1_000


@click.command("recover")
@click.option("--dry-run", is_flag=True, help="Only say what would be recovered.")
@click.option("--only", default=None, metavar="KEY", help="Only the finding with this key, e.g. run:12:345.")
@click.option(
    "--observed",
    "list_observed",
    is_flag=True,
    help="Recover nothing; list what stood still in the last day while flag recovery.mode said observe.",
)
@json_option
def recover_command(*, dry_run: bool, only: str | None, list_observed: bool, as_json: bool) -> None:
    """Recover dead and stale function runs, orphaned dispatch windows and overdue jobs, now.

    Drains and the watch sensor do the same every few seconds; this works without them. Exit code 0, also when
    something was found and recovered.
    """
    if list_observed:
        if dry_run or only is not None:
            raise click.UsageError("--observed lists what was seen before; --dry-run and --only look now.")
        _list_observed(as_json=as_json)
        return
    with opened() as session:
        report = sweep(session.db, by="cli", only=only, dry_run=dry_run)
    if as_json:
        print_json(report)
        return
    rows = [(d.finding.signal, d.finding.shard, d.finding.key, d.finding.sentence, d.detail) for d in report.decisions]
    print_table(("Signal", "Shard", "Finding", "What", "Decision"), rows, empty="Nothing needs recovery.")
    if report.decisions and not dry_run:
        say(f"{sum(d.acted for d in report.decisions)} of {len(report.decisions)} findings were recovered.")


def _list_observed(*, as_json: bool) -> None:
    with opened() as session:
        seen = observed(session.db, limit=_LISTED_MAX)
    if as_json:
        print_json(seen)
        return
    columns = ("Signal", "Shard", "Finding", "First seen", "Last seen", "Seen by", "What recovery would have done")
    rows = [
        (each.signal, each.shard, each.finding_key, each.observed_at, each.last_seen_at, each.observed_by, each.would)
        for each in seen
    ]
    print_table(columns, rows, empty="Recovery observed nothing in the last day.")
    if len(seen) == _LISTED_MAX:
        say(f"These are the latest {_LISTED_MAX}; there may be more.")


commands: list[click.Command] = [recover_command]
