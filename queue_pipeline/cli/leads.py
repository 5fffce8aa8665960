"""`drafts` and `tasks`: what waits for people, and what they decide about it."""

from pathlib import Path
from typing import Any

import click

from queue_pipeline import wiring
from queue_pipeline.cli.console import cell, json_option, print_json, print_table, say
from queue_pipeline.cli.flags import who_option
from queue_pipeline.cli.jobs import workspace_filter
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.engine import draft as drafts
from queue_pipeline.engine import lead_task
from queue_pipeline.engine.draft import BODY_MAX, STATES, WAITING, codes_of
from queue_pipeline.store.draft import Draft

_EVERY = "ALL"
limit_option = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N", help="At most N."
)
state_option = click.option(
    "--state",
    type=click.Choice([*STATES, _EVERY], case_sensitive=False),
    default=WAITING,
    show_default=True,
    help="Drafts in this state.",
)
with_done_option = click.option("--all", "with_done", is_flag=True, help="Tasks that are done, too.")


@click.group("drafts", invoke_without_command=True)
@state_option
@workspace_filter
@limit_option
@json_option
@click.pass_context
def drafts_group(ctx: click.Context, *, state: str, workspace: str | None, limit: int, as_json: bool) -> None:
    """List the drafts that wait for review, newest first; show, edit, approve or reject one."""
    if ctx.invoked_subcommand is None:
        _list_drafts(state, workspace, limit, as_json)


@drafts_group.command("list")
@state_option
@workspace_filter
@limit_option
@json_option
def list_drafts_command(*, state: str, workspace: str | None, limit: int, as_json: bool) -> None:
    """List the drafts that wait for review, newest first."""
    _list_drafts(state, workspace, limit, as_json)


def _list_drafts(state: str, workspace: str | None, limit: int, as_json: bool) -> None:
    with opened() as session:
        wanted = None if state == _EVERY else state
        found = drafts.drafts(session.db, workspace=workspace, state=wanted, limit=limit)
    if as_json:
        print_json(found)
        return
    columns = ("Draft", "Workspace", "Lead", "Channel", "State", "Written by", "Findings", "Code", "Drafted")
    rows = [
        (
            d.draft_id,
            d.workspace,
            d.lead_id,
            d.channel,
            d.state,
            d.drafter,
            ", ".join(codes_of(d)),
            d.code,
            d.created_at,
        )
        for d in found
    ]
    print_table(columns, rows, empty="No draft waits for review." if state == WAITING else "No such draft.")
    if rows and state == WAITING:
        say(
            f"Read one with `queue-pipeline drafts show {found[0].draft_id}`; then `drafts approve` or `drafts reject`."
        )


@drafts_group.command("show")
@click.argument("draft_id", type=int)
@json_option
def show_command(*, draft_id: int, as_json: bool) -> None:
    """Show one draft with the message that it answers, what the gates found, and what was decided."""
    with opened() as session:
        found = drafts.draft(session.db, draft_id)
        asked = drafts.message_of(session.db, found)
    if as_json:
        print_json({**vars(found), "message": asked})
        return
    say(_head(found))
    for finding in found.findings:
        say(f"Finding {finding['code']}: {finding['why']}{_quoted(finding)}")
    if asked is not None:
        _echo(f"--- the lead wrote: {asked.get('subject') or '(no subject)'}", str(asked.get("body") or "(no text)"))
    _echo(f"--- draft {found.draft_id} to {found.address or 'nobody: the message names no address'}", found.subject)
    _echo("", found.body)


@drafts_group.command("approve")
@click.argument("draft_id", type=int)
@click.option(
    "--accept-findings", is_flag=True, help="Send it although the gates found something: you have read what they found."
)
@who_option
@json_option
def approve_command(*, draft_id: int, accept_findings: bool, who: str, as_json: bool) -> None:
    """Send a draft: a job checks it once more, with the time as it is then, and sends it once."""
    with opened() as session:
        wiring.load_registry(session.settings)
        enqueued = drafts.approve(session.db, draft_id, who=who, accept_findings=accept_findings)
    if as_json:
        print_json({"draft_id": draft_id, "job_id": enqueued.job_id})
    else:
        say(
            f"Draft {draft_id} is approved; job {enqueued.job_id} sends it. "
            f"See `queue-pipeline trace {enqueued.job_id}`."
        )


@drafts_group.command("reject")
@click.argument("draft_id", type=int)
@click.option("--why", required=True, metavar="TEXT", help="Why; it is kept as evidence.")
@who_option
@json_option
def reject_command(*, draft_id: int, why: str, who: str, as_json: bool) -> None:
    """Put a draft aside for good; the lead gets no reply to this message."""
    with opened() as session:
        found = drafts.reject(session.db, draft_id, who=who, why=why)
    if as_json:
        print_json({"draft_id": draft_id, "state": found.state})
    else:
        say(f"Draft {draft_id} is rejected; the lead gets no reply to job {found.job_id}'s message.")


@drafts_group.command("edit")
@click.argument("draft_id", type=int)
@click.option("--subject", default=None, metavar="TEXT", help="The new subject. [default: as it is]")
@click.option(
    "--body",
    "body_file",
    type=click.Path(path_type=Path, allow_dash=True),
    default=None,
    metavar="FILE",
    help="The new text; - reads stdin. [default: opens $EDITOR]",
)
@who_option
@json_option
def edit_command(*, draft_id: int, subject: str | None, body_file: Path | None, who: str, as_json: bool) -> None:
    """Replace the text of a draft that waits for review. The gates look at the new text before it is sent."""
    with opened() as session:
        before = drafts.draft(session.db, draft_id)
        body = _edited(before) if body_file is None else _read(body_file)
        found = drafts.edit(session.db, draft_id, who=who, body=body, subject=subject)
    if as_json:
        print_json({"draft_id": draft_id, "state": found.state, "drafter": found.drafter})
    else:
        say(f"Draft {draft_id} is {found.drafter}. Send it with `queue-pipeline drafts approve {draft_id}`.")


@click.group("tasks", invoke_without_command=True)
@workspace_filter
@with_done_option
@limit_option
@json_option
@click.pass_context
def tasks_group(ctx: click.Context, *, workspace: str | None, with_done: bool, limit: int, as_json: bool) -> None:
    """List what people must do for leads (call, write again, find the right person), the most urgent first."""
    if ctx.invoked_subcommand is None:
        _list_tasks(workspace, with_done, limit, as_json)


@tasks_group.command("list")
@workspace_filter
@with_done_option
@limit_option
@json_option
def list_tasks_command(*, workspace: str | None, with_done: bool, limit: int, as_json: bool) -> None:
    """List what people must do for leads, the most urgent first."""
    _list_tasks(workspace, with_done, limit, as_json)


def _list_tasks(workspace: str | None, with_done: bool, limit: int, as_json: bool) -> None:
    with opened() as session:
        found = lead_task.tasks(session.db, workspace=workspace, with_done=with_done, limit=limit)
    if as_json:
        print_json(found)
        return
    columns = ("Task", "Workspace", "What", "Due", "Lead", "Address", "Phone", "Why", "Job", "State", "Done by")
    rows = [
        (
            t.lead_task_id,
            t.workspace,
            t.kind.replace("_", " "),
            t.due_at,
            t.lead_id,
            t.address,
            t.phone,
            t.why,
            t.job_id,
            t.state,
            t.done_by,
        )
        for t in found
    ]
    print_table(columns, rows, empty="There is no task." if with_done else "No task is open.")
    if any(t.state == "OPEN" for t in found):
        say("Note what is done with `queue-pipeline tasks done TASK`.")


@tasks_group.command("done")
@click.argument("task_id", type=int)
@who_option
@json_option
def done_command(*, task_id: int, who: str, as_json: bool) -> None:
    """Note that a task is done."""
    with opened() as session:
        lead_task.finish(session.db, task_id, who=who)
    if as_json:
        print_json({"lead_task_id": task_id, "state": "DONE"})
    else:
        say(f"Task {task_id} is done.")


def _head(found: Draft) -> str:
    """How the draft stands, in a few sentences."""
    parts = [f"Draft {found.draft_id} of {found.workspace} is {found.state}, written by: {found.drafter}."]
    if found.decided_by is not None:
        parts.append(f"Decided by {found.decided_by} at {cell(found.decided_at)}: {found.decision}.")
    if found.why_no_model is not None:
        parts.append(f"No model's draft, because {found.why_no_model}.")
    if found.opted_out_at is not None:
        parts.append(f"The lead opted out at {cell(found.opted_out_at)}; nothing may be sent.")
    if found.reason is not None:
        parts.append(f"Outcome of job {found.job_id}: {found.outcome} ({found.code}): {found.reason}.")
    return " ".join(parts)


def _quoted(finding: Any) -> str:
    text = str(finding.get("text") or "").strip()
    return f" ({text!r})" if text else ""


def _echo(title: str, text: str) -> None:
    if title:
        click.echo(cell(title))
    click.echo(cell(text))


def _edited(found: Draft) -> str:
    """What $EDITOR leaves behind. Raises InvalidInput when it left everything as it was."""
    text = click.edit(found.body, extension=".txt")
    if text is None or text.strip() == found.body.strip():
        raise InvalidInput("--body", "", "Nothing was changed; save another text, or give --body FILE.")
    return text.strip()


def _read(file: Path) -> str:
    try:
        with click.open_file(str(file), encoding="utf-8") as opened_file:
            return str(opened_file.read(4 * BODY_MAX)).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("--body", str(file), f"It cannot be read ({error}). Give a file of UTF-8 text.") from None


commands: list[click.Command] = [drafts_group, tasks_group]
