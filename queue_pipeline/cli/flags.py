"""`flags`: see and flip the switches that act at once in everything that runs."""

import getpass

import click

from queue_pipeline.cli.console import json_option, print_json, print_table, say
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.flag import FLAGS
from queue_pipeline.engine import flags

who_option = click.option(
    "--who", default=getpass.getuser, show_default="your account", metavar="NAME", help="Who decides; it is kept."
)
why_option = click.option("--why", required=True, metavar="TEXT", help="Why; it is kept as evidence.")


@click.group("flags", invoke_without_command=True)
@json_option
@click.pass_context
def flags_group(ctx: click.Context, *, as_json: bool) -> None:
    """Show every flag: its effective value, where that comes from, and who flipped it last.

    The environment gives the default, the database overrides it, and a canary overrides both for its workspaces. A flip
    takes effect in running drains within seconds.
    """
    if ctx.invoked_subcommand is not None:
        return
    with opened() as session:
        states = flags.states(session.db)
    if as_json:
        print_json(states)
        return
    rows = [(s.flag, s.value, s.canary_value, s.source, s.who, s.changed_at, s.why, s.meaning) for s in states]
    columns = ("Flag", "Value", "Canary", "Source", "Who", "When", "Why", "Meaning")
    print_table(columns, rows, empty="There are no flags.")


@flags_group.command("set")
@click.argument("flag", metavar="FLAG", type=click.Choice(list(FLAGS)))
@click.argument("value")
@who_option
@why_option
@json_option
def set_command(*, flag: str, value: str, who: str, why: str, as_json: bool) -> None:
    """Give FLAG the value VALUE (on, off, observe or enforce), for every process."""
    with opened() as session:
        state = flags.flip(session.db, flag, value, who=who, why=why)
    if as_json:
        print_json(state)
    else:
        say(f"{state.flag} is {state.value}. {state.meaning}")


commands: list[click.Command] = [flags_group]
