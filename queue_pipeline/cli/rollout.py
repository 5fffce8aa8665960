"""`rollout`: is it safe to go on? The checklist, the packet of evidence, and the decision."""

from collections.abc import Sequence

import click

from queue_pipeline import wiring
from queue_pipeline.cli.console import json_option, print_json, print_table, say
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.evidence_packet import checklist_of
from queue_pipeline.domain.rollout_decision import ChecklistItem, RolloutVerdict
from queue_pipeline.engine.evidence_packet import load, problems
from queue_pipeline.engine.rollout_decision import decide_rollout
from queue_pipeline.integrations.packet_files import folder_of

_EXIT_CODES = {RolloutVerdict.GO: 0, RolloutVerdict.NO_GO: 1, RolloutVerdict.INCONCLUSIVE: 2}

canary_option = click.option(
    "--canary", "canary_id", type=click.IntRange(1), default=None, metavar="N", help="Of this canary; the latest."
)


@click.group("rollout")
def rollout_command() -> None:
    """Is it safe to roll out? GO, NO-GO or INCONCLUSIVE, with the evidence."""


@rollout_command.command("decide")
@canary_option
@json_option
def decide_command(*, canary_id: int | None, as_json: bool) -> None:
    """Measure everything, keep it as an evidence packet, decide on it, and keep the decision.

    Exit code 0: GO; 1: NO-GO; 2: INCONCLUSIVE, because something was not measured. Nothing else is changed.
    """
    with opened() as session:
        packet = wiring.new_evidence_packet(session.settings, session.db, canary_id=canary_id)
        kept, folder = wiring.keep_evidence_packet(session.settings, session.db, packet)
        decided = decide_rollout(session.db, kept)
    if as_json:
        print_json({"decision": decided.decision, "checklist": decided.items, "packet": str(folder)})
    else:
        _show(decided.items)
        click.echo(decided.decision.verdict)
        say(f"Evidence packet {packet.name}: {folder / 'packet.md'}")
    raise SystemExit(_EXIT_CODES[RolloutVerdict(decided.decision.verdict)])


@rollout_command.command("checklist")
@canary_option
@json_option
def checklist_command(*, canary_id: int | None, as_json: bool) -> None:
    """Measure everything and show the checklist; nothing is kept.

    Exit code as that of `rollout decide`.
    """
    with opened() as session:
        packet = wiring.new_evidence_packet(session.settings, session.db, canary_id=canary_id)
    items = checklist_of(packet.document)
    if as_json:
        print_json({"verdict": packet.verdict, "checklist": items})
    else:
        _show(items)
        click.echo(packet.verdict)
    raise SystemExit(_EXIT_CODES[RolloutVerdict(packet.verdict)])


@rollout_command.command("packet")
@click.argument("sha", required=False)
@json_option
def packet_command(*, sha: str | None, as_json: bool) -> None:
    """Print the evidence packet whose hash begins with SHA, by default the latest, as Markdown.

    Exit code 1: it was changed since it was made, and says how.
    """
    with opened() as session:
        packet = load(session.db, sha).packet
        found = problems(packet)
        folder = folder_of(session.settings.home, packet)
    if as_json:
        print_json({"sha256": packet.sha256, "problems": found, "document": packet.document})
    else:
        click.echo(packet.markdown)
    if folder.is_dir():
        say(f"Its files, with the chart, are in {folder}")
    for problem in found:
        say(f"This packet is not what it was: {problem}.")
    raise SystemExit(1 if found else 0)


def _show(items: Sequence[ChecklistItem]) -> None:
    rows = [(item.name, item.status, item.value, item.bound, item.source) for item in items]
    print_table(("Item", "Status", "Value", "Bound", "Measured by"), rows, empty="")


commands: list[click.Command] = [rollout_command]
