"""`sends`: the outbound ledger for operators, and the decisions that only people can make."""

from dataclasses import asdict

import click

from queue_pipeline import wiring
from queue_pipeline.cli.console import json_option, print_json, print_table, say
from queue_pipeline.cli.flags import who_option, why_option
from queue_pipeline.cli.jobs import workspace_filter
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.outbound import OutboundState
from queue_pipeline.engine import listing
from queue_pipeline.engine import reconcile as engine

_VERDICTS = {"sent": OutboundState.SENT, "retry": OutboundState.READY, "cancelled": OutboundState.CANCELLED}
_OPEN = ("READY", "SENDING", "UNKNOWN", "NEEDS_HUMAN")


@click.group("sends", invoke_without_command=True)
@click.option(
    "--state",
    type=click.Choice([state.value for state in OutboundState], case_sensitive=False),
    multiple=True,
    help="Only messages in this state (may be repeated).",
)
@click.option("--open", "only_open", is_flag=True, help="Only messages that are not at their end.")
@workspace_filter
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N", help="At most N.")
@json_option
@click.pass_context
def sends_group(
    ctx: click.Context, *, state: tuple[str, ...], only_open: bool, workspace: str | None, limit: int, as_json: bool
) -> None:
    """List messages to customers, newest first, and how each stands."""
    if ctx.invoked_subcommand is not None:
        return
    wanted = [*state, *(_OPEN if only_open else ())] or None
    with opened() as session:
        messages = listing.messages(session.db, states=wanted, workspace=workspace, limit=limit)
    if as_json:
        print_json(messages)
        return
    columns = ("Message", "Workspace", "Job", "Channel", "Purpose", "Provider", "State", "Tries", "Since", "Why")
    rows = [
        (
            m.outbound_message_id,
            m.workspace,
            m.job_id,
            m.channel,
            m.purpose,
            m.provider,
            m.state,
            m.attempt,
            m.updated_at,
            m.reason,
        )
        for m in messages
    ]
    print_table(columns, rows, empty="No such message.")


@sends_group.command("show")
@click.argument("message_id", type=int)
@json_option
def show_command(*, message_id: int, as_json: bool) -> None:
    """Show one message and every attempt to send it."""
    with opened() as session:
        message, attempts = listing.message(session.db, message_id)
    if as_json:
        print_json({**asdict(message), "attempts": [asdict(attempt) for attempt in attempts]})
        return
    say(f"Message {message_id} is {message.state}{': ' + message.reason if message.reason else ''}.")
    rows = [
        (a.attempt, a.sender, a.function_run_id, a.started_at, a.finished_at, a.outcome, a.http_status, a.error_class)
        for a in attempts
    ]
    columns = ("Attempt", "Sender", "Function run", "Started", "Ended", "Outcome", "HTTP", "Error")
    print_table(columns, rows, empty="It was never tried.")


@sends_group.command("reconcile")
@click.option("--seconds", type=click.IntRange(1, 600), default=60, show_default=True, help="For about so long.")
@json_option
def reconcile_command(*, seconds: int, as_json: bool) -> None:
    """Settle what is open: attempts past their deadline, doubts, tries that are due."""
    with opened() as session:
        wiring.load_registry(session.settings)
        report = engine.reconcile(session.db, by="cli", budget_seconds=seconds)
    if as_json:
        print_json({"done": dict(report.done), "errors": report.errors})
    else:
        say(report.sentence())
    if report.errors:
        raise SystemExit(2)


@sends_group.command("decide")
@click.argument("message_id", type=int)
@click.argument("verdict", type=click.Choice(list(_VERDICTS)))
@who_option
@why_option
@json_option
def decide_command(*, message_id: int, verdict: str, who: str, why: str, as_json: bool) -> None:
    """End a doubt: the message was `sent` (it arrived), or did not arrive: `retry` it, or leave it `cancelled`."""
    with opened() as session:
        try:
            state = engine.decide(session.db, message_id, to=_VERDICTS[verdict], who=who, why=why)
        except InvalidInput as error:
            raise click.UsageError(str(error)) from None
    if as_json:
        print_json({"outbound_message_id": message_id, "state": state})
    else:
        say(f"Message {message_id} is {state} now.")


commands: list[click.Command] = [sends_group]
