"""`alerts`: what is wrong and who was told; evaluate by hand; prove that the path to the channel works."""

import click

from queue_pipeline import wiring
from queue_pipeline.cli.console import json_option, log_to_stderr, print_json, print_table, say, words
from queue_pipeline.cli.flags import who_option
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.alert_proof import KINDS, kind_of
from queue_pipeline.engine import alert
from queue_pipeline.engine.alert_proof import prove_alert_path
from queue_pipeline.store.incident import ListedIncident

_COLUMNS = ("Incident", "Key", "Generation", "Severity", "Status", "Since", "Last seen", "Told", "What")


@click.group("alerts", invoke_without_command=True)
@json_option
@click.pass_context
def alerts_command(ctx: click.Context, *, as_json: bool) -> None:
    """List incidents; `alerts evaluate` looks and posts now, `alerts test` and `alerts prove` try the path to Slack."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command, limit=20, as_json=as_json)


@alerts_command.command("list")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, metavar="N", help="At most N incidents."
)
@json_option
def list_command(*, limit: int, as_json: bool) -> None:
    """List open incidents, then the latest that are over.

    Exit code 1 while one is firing, else 0.
    """
    with opened() as session:
        incidents = alert.listed(session.db, limit=limit)
    if as_json:
        print_json(incidents)
    else:
        rows = [_row(incident) for incident in incidents]
        print_table(_COLUMNS, rows, empty="There was never an incident.")
        for incident in incidents:
            if incident.last_error:
                say(f"{incident.dedup_key} could not be posted: {incident.last_error}")
    if any(incident.status == "firing" for incident in incidents):
        raise SystemExit(1)


@alerts_command.command("evaluate")
@json_option
def evaluate_command(*, as_json: bool) -> None:
    """Look at the queue now, move every incident on, and post what is wanted.

    Sensors and the ingress do this all the time; any number may at once. Exit code 1: a message could not be posted.
    """
    log_to_stderr(words())
    with opened() as session:
        turn = wiring.teller(session.settings, session.db).turn(by="queue-pipeline alerts")
    if as_json:
        print_json(turn)
    else:
        for sentence in turn.sentences():
            click.echo(sentence)
    if any(post.error for post in turn.posts):
        raise SystemExit(1)


@alerts_command.command("test")
@json_option
def test_command(*, as_json: bool) -> None:
    """Post a test message on the path that alerts take, and say where it went.

    Exit code 2 with the reason when it could not be posted.
    """
    log_to_stderr(words())
    with opened() as session:
        say(wiring.where_alerts_go(session.settings))
        place = alert.test_message(wiring.teller(session.settings, session.db).alerting)
    if as_json:
        print_json(place)
    else:
        click.echo(f"Posted to {place.channel}, message {place.ts}.")


@alerts_command.command("prove")
@click.option(
    "--kind", "names", multiple=True, metavar="KIND", help="Only this path: stale_run or queue_age; both by default."
)
@who_option
@json_option
def prove_command(*, names: tuple[str, ...], who: str, as_json: bool) -> None:
    """Force a breach, let the real path tell it, read it back from where it went, and end it.

    The message says FORCED and calls nobody. Exit code 1: a path was not proved; 2: it was, but where nothing can be
    read back, as on a console.
    """
    log_to_stderr(words())
    kinds = [kind_of(name) for name in names] or KINDS
    with opened() as session:
        say(wiring.where_alerts_go(session.settings))
        tried = prove_alert_path(session.db, wiring.teller(session.settings, session.db).alerting, who=who, kinds=kinds)
    if as_json:
        print_json(tried)
    else:
        for each in tried:
            click.echo(each.said)
    if any(each.proof is None for each in tried):
        raise SystemExit(1)
    if not all(each.proof is not None and each.proof.seen_by_reading_back for each in tried):
        raise SystemExit(2)


def _row(incident: ListedIncident) -> tuple[object, ...]:
    told = "pending" if incident.status == "pending" else incident.sink if incident.is_told else "waiting"
    return (
        incident.incident_id,
        incident.dedup_key,
        incident.generation,
        incident.severity,
        incident.status,
        incident.opened_at,
        incident.last_seen_at,
        told,
        incident.evidence.get("headline", ""),
    )


commands: list[click.Command] = [alerts_command]
