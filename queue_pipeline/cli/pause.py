"""`pause` and `resume`: stop a workspace, a kind, a shard or everything, and let it go on."""

import click
from rich.progress import Progress

from queue_pipeline.cli.console import json_option, print_json, print_table, say, words
from queue_pipeline.cli.flags import who_option, why_option
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.duration import duration
from queue_pipeline.domain.pause import HOURS_MAX, PauseScope, said_of
from queue_pipeline.engine import pause

_SCOPE = click.Choice([str(scope) for scope in PauseScope])


@click.group("pause", invoke_without_command=True)
@json_option
@click.pass_context
def pause_group(ctx: click.Context, *, as_json: bool) -> None:
    """Stop a workspace, a kind, a shard or everything; what runs goes on, what waits keeps its place.

    Without a command, list what is paused.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command, every=False, as_json=as_json)


@pause_group.command("list")
@click.option("--all", "every", is_flag=True, help="Those that have ended too, newest first.")
@json_option
def list_command(*, every: bool, as_json: bool) -> None:
    """List what is paused, by whom and why."""
    with opened() as session:
        found = pause.listed(session.db, open_only=not every)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            p.pause_id,
            said_of(p.scope, p.name),
            p.since,
            duration(p.lasted_seconds),
            p.until,
            p.who,
            p.why,
            p.ended_by,
            p.end_reason,
        )
        for p in found
    ]
    columns = ("Pause", "What", "Since", "For", "Until", "Who", "Why", "Ended by", "Because")
    print_table(columns, rows, empty="Nothing is paused.")


@pause_group.command("start")
@click.argument("scope", type=_SCOPE)
@click.argument("name", default="")
@click.option(
    "--hours",
    type=click.FloatRange(0, HOURS_MAX, min_open=True),
    metavar="H",
    help="End it by itself after so many hours; without, somebody must.",
)
@who_option
@why_option
@json_option
def start_command(*, scope: str, name: str, hours: float | None, who: str, why: str, as_json: bool) -> None:
    """Pause SCOPE NAME: `workspace acme`, `kind lead.inbound`, `shard shard-01`, or `everything`.

    Nothing of it is started any more, in any process. Jobs that run go on to their end.
    """
    with opened() as session, Progress(console=words(), transient=True) as bar:
        task = bar.add_task("parking", total=None)
        begun = pause.pause(
            session.db,
            scope,
            name,
            who=who,
            why=why,
            hours=hours,
            shards=session.settings.shards,
            on_batch=lambda done: bar.update(task, completed=done),
        )
    if as_json:
        print_json(begun)
    else:
        say(f"{pause.sentence(begun)} End it with `queue-pipeline resume {scope} {name}`.".replace(" `.", "`."))


@click.command("resume")
@click.argument("scope", type=_SCOPE)
@click.argument("name", default="")
@who_option
@why_option
@json_option
def resume_command(*, scope: str, name: str, who: str, why: str, as_json: bool) -> None:
    """End the pause of SCOPE NAME; what waited is due again in its old order."""
    with opened() as session, Progress(console=words(), transient=True) as bar:
        task = bar.add_task("letting go", total=None)
        ended = pause.resume(
            session.db,
            scope,
            name,
            who=who,
            why=why,
            shards=session.settings.shards,
            on_batch=lambda done: bar.update(task, completed=done),
        )
    if as_json:
        print_json(ended)
    else:
        say(f"{said_of(ended.scope, ended.name)} goes on after {duration(ended.lasted_seconds)}.")


commands: list[click.Command] = [pause_group, resume_command]
