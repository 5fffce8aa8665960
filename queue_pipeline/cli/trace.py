"""`trace`: the whole story of a job or a lead."""

from dataclasses import asdict
from typing import Any

import click

from queue_pipeline.cli.console import clock, json_option, plain, print_json, print_table
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.duration import duration
from queue_pipeline.domain.trace import Trace
from queue_pipeline.engine.trace import trace


@click.command("trace")
@click.argument("query")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    metavar="N",
    help="At most N jobs, the newest; told in the order in which they began.",
)
@json_option
def trace_command(*, query: str, limit: int, as_json: bool) -> None:
    """Tell what happened to a job: QUERY is a job id, an idempotency key, a Message-ID or a lead's address.

    Also a telephone number, or lead:12. Arrival, windows, attempts, recovery, drafts, decisions, sends and
    notifications in order, with the gap before each; the longest gap with its cause; and what the customer saw. A
    lead's address tells its whole story, message by message.
    """
    with opened() as session:
        stories = trace(session.db, query, limit=limit)
    if as_json:
        print_json([as_data(story) for story in stories])
        return
    for story in stories:
        show(story)


def show(story: Trace) -> None:
    """Print one story on standard output."""
    of = f", lead {story.lead_id}" if story.lead_id is not None else ""
    result = told(story.result, story.result_said)
    click.echo(f"Job {story.job_id} ({story.kind or 'pruned'}, {plain(story.workspace)}{of}): {plain(result)}")
    if story.customer:
        click.echo(f"Customer: {plain(story.customer)}.")
    rows = [
        (
            f"{clock(e.at)}.{e.at.microsecond // 1000:03d}",
            f"+{duration(e.gap_seconds)}",
            e.what,
            told(e.detail, e.said),
        )
        for e in story.events
    ]
    print_table(("When", "Gap", "What", "Detail"), rows, empty="Nothing is on record.")
    longest = story.longest_gap
    if longest is not None:
        because = told(longest.because, longest.because_said) or "nothing on record says why"
        click.echo(f"Longest gap: {duration(longest.seconds)} before “{longest.before}”: {plain(because)}.\n")


def told(sentence: str, said: str) -> str:
    """What is on record, and what people or programs wrote about it."""
    return ": ".join(part for part in (sentence, said) if part)


def as_data(story: Trace) -> dict[str, Any]:
    """One story as it is printed with --json."""
    longest = story.longest_gap
    return {**asdict(story), "longest_gap": None if longest is None else asdict(longest)}


commands: list[click.Command] = [trace_command]
