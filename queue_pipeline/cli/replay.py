"""`replay`: would the replies be good enough? Recorded leads are drafted again and judged; nothing can be sent."""

import getpass
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from queue_pipeline import wiring
from queue_pipeline.cli.console import json_option, print_json, print_table, say, words
from queue_pipeline.domain.errors import DatabaseUnavailable, InvalidInput, Misconfigured, QueuePipelineError
from queue_pipeline.engine.replay_record import ReplayRecord
from queue_pipeline.integrations.server_account import EmbeddedPostgresError
from queue_pipeline.leads.replay import files
from queue_pipeline.leads.replay.artifact import Artifact, CaseRecord
from queue_pipeline.leads.replay.baseline import read_baseline
from queue_pipeline.leads.replay.chosen import SAMPLE, from_file, from_workspace
from queue_pipeline.leads.replay.freezing import RecordedLead, freeze
from queue_pipeline.leads.replay.judge import PROFILES
from queue_pipeline.leads.replay.published_schema import GENERATE, published
from queue_pipeline.leads.replay.selection import Selection
from queue_pipeline.leads.replay.selection import as_json as manifest_json
from queue_pipeline.leads.replay.session import CONCURRENCY_MAX, Options, replay
from queue_pipeline.leads.replay.session import Progress as Told
from queue_pipeline.settings import Settings, load_settings
from queue_pipeline.store import migrate

_WHY_SHOWN = 160
client_option = click.option(
    "--client-id", default=None, metavar="ID", help="A workspace: take its latest recorded leads."
)
limit_option = click.option(
    "--limit", type=click.IntRange(1, 2000), default=20, show_default=True, help="How many of its latest leads."
)


@dataclass(frozen=True)
class _Asked:
    """What is to be replayed, and where the record goes."""

    manifest: Path | None
    client_id: str | None
    limit: int
    baseline: Path | None
    out: Path | None
    resume: bool
    options: Options


@click.group("replay", invoke_without_command=True)
@click.option(
    "--thread-ids-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="MANIFEST",
    help=f"The cases: a manifest of version 2, or ids (version 1). `{SAMPLE}` is the shipped one.",
)
@client_option
@limit_option
@click.option("--dry-run", is_flag=True, help="Ask no model and no judge: check the cases and their stored drafts.")
@click.option(
    "--concurrency", type=click.IntRange(1, CONCURRENCY_MAX), default=3, show_default=True, help="Cases side by side."
)
@click.option(
    "--baseline", type=click.Path(path_type=Path), default=None, metavar="ARTIFACT",
    help="An earlier artifact: a case that got worse since fails the replay.",
)  # fmt: skip
@click.option(
    "--judge-profile", type=click.Choice(list(PROFILES)), default="strict", show_default=True,
    help=f"The score that the weakest dimension must reach: {', '.join(f'{k} {v}' for k, v in PROFILES.items())}.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=None, metavar="PATH",
    help="Where the artifact goes. [default: .artifacts/replay/run-<time>.json in QUEUE_PIPELINE_HOME]",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the replay that wrote to --out and was killed.")
@click.option(
    "--timeout", type=click.FloatRange(0, 86_400, min_open=True), default=1800.0, show_default=True, metavar="S",
    help="Seconds for the whole; a case that has not ended by then is not measured.",
)  # fmt: skip
@json_option
@click.pass_context
def replay_group(
    ctx: click.Context,
    *,
    thread_ids_file: Path | None,
    client_id: str | None,
    limit: int,
    dry_run: bool,
    concurrency: int,
    baseline: Path | None,
    judge_profile: str,
    out: Path | None,
    resume: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Draft the replies to recorded leads again, and let invariants and a judge say whether they are good enough.

    Nothing is sent, and no lead, draft or job changes. Exit code 0: pass; 1: measured, and not good enough; 2: could
    not be measured, and then nothing counts as passed; 3: wrong usage. A dry run gives 0 when it found nothing wrong,
    and is never a pass.
    """
    if ctx.invoked_subcommand is not None:
        return
    _check_usage(thread_ids_file, client_id, out, resume=resume, dry_run=dry_run, baseline=baseline)
    settings = load_settings()
    options = Options(dry_run, concurrency, judge_profile, timeout, float(settings.draft_timeout_seconds))
    asked = _Asked(thread_ids_file, client_id, limit, baseline, out, resume, options)
    artifact, path = _replayed(settings, asked)
    _record(settings, artifact)
    if as_json:
        print_json(artifact.as_json())
    else:
        _show(artifact)
    say(f"{_said(artifact)} Artifact: {path}; report: {files.report_path(path)}")
    raise SystemExit(artifact.exit_code)


@replay_group.command("freeze")
@click.option("--client-id", required=True, metavar="ID", help="The workspace whose leads are frozen.")
@limit_option
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=None, metavar="F",
    help="Where the manifest goes. [default: standard output]",
)  # fmt: skip
@json_option
def freeze_command(*, client_id: str, limit: int, out: Path | None, as_json: bool) -> None:
    """Make a manifest of the latest recorded leads of a workspace, with invented people in the place of real ones.

    Rules do not know every name: read the manifest before you pass it on. With --json and --out the path and the
    count are printed as JSON.
    """
    settings = load_settings()
    with wiring.database_at_work(settings) as database:
        migrate.check(database)
        record = ReplayRecord(database)
        leads = [RecordedLead(**lead) for lead in record.latest(client_id, limit=limit)]
        at = record.now()
    name = f"{client_id}-{at:%Y%m%d}"
    manifest, warnings = freeze(leads, manifest_id=name, client_id=client_id, team=wiring.replay_team(settings), at=at)
    for warning in warnings:
        say(warning)
    text = files.as_text(manifest_json(manifest))
    if out is None:
        click.echo(text, nl=False)
    else:
        files.replace_with(out, text)
        if as_json:
            print_json({"path": out, "cases": len(manifest.cases), "manifest_id": name})
    say(f"{len(manifest.cases)} cases frozen{f' to {out}' if out else ''}. Read them before you pass them on.")


@replay_group.command("schema")
@click.argument("name", type=click.Choice(sorted(GENERATE)), default="manifest")
@json_option
def schema_command(*, name: str, as_json: bool) -> None:  # noqa: ARG001 - a schema is JSON anyway
    """Print the JSON Schema of manifests or of artifacts."""
    click.echo(published(name), nl=False)


def _check_usage(
    manifest: Path | None,
    client_id: str | None,
    out: Path | None,
    *,
    resume: bool,
    dry_run: bool,
    baseline: Path | None,
) -> None:
    if (manifest is None) == (client_id is None):
        raise click.UsageError("Give either --thread-ids-file MANIFEST or --client-id ID.")
    if resume and out is None:
        raise click.UsageError("--resume needs --out, the path of the replay that was killed.")
    if dry_run and baseline is not None:
        raise click.UsageError("--baseline needs a judge's scores, and --dry-run asks no judge.")


def _replayed(settings: Settings, asked: _Asked) -> tuple[Artifact, Path]:
    baseline = None if asked.baseline is None else _baseline(asked.baseline)
    bench = wiring.replay_benchmark(settings)
    selection = _selected(settings, asked)
    now = datetime.now(UTC)  # noqa: TID251 - a replay needs no database, and nothing is decided by this
    path = (asked.out or files.default_path(settings.home, now)).absolute()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=words(), disable=not words().is_terminal, transient=True) as bar:
            artifact = replay(
                selection,
                bench,
                asked.options,
                created_at=now,
                journal=files.journal_path(path),
                resume=asked.resume,
                baseline=baseline,
                progress=_shown(bar, bar.add_task("replaying", total=len(selection.manifest.cases))),
            )
        files.write(artifact, path)
    except OSError as error:
        raise InvalidInput("--out", str(path), f"It cannot be written: {error.strerror}.") from None
    return artifact, path


def _shown(bar: Progress, task: TaskID) -> Told:
    def ended(_: CaseRecord) -> None:
        bar.advance(task)

    return Told(stage=lambda text: bar.update(task, description=text), case=ended)


def _selected(settings: Settings, asked: _Asked) -> Selection:
    team = wiring.replay_team(settings)
    if asked.client_id is not None:
        with wiring.database_at_work(settings) as database:
            migrate.check(database)
            return from_workspace(asked.client_id, limit=asked.limit, leads=ReplayRecord(database), team=team)
    assert asked.manifest is not None
    return from_file(asked.manifest, recorded=_recorded(settings), team=team)


def _recorded(settings: Settings) -> Callable[[Sequence[str]], Mapping[str, Mapping[str, Any]]]:
    """Recorded leads by id; none, and a word about it, when there is no database to ask."""

    def resolve(ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        try:
            with wiring.database_at_work(settings) as database:
                migrate.check(database)
                return ReplayRecord(database).resolve(ids)
        except (DatabaseUnavailable, Misconfigured, EmbeddedPostgresError) as error:
            say(f"The ids could not be looked up: {error}")
            return {}

    return resolve


def _baseline(path: Path) -> Artifact:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput("--baseline", str(path), f"It cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise InvalidInput("--baseline", str(path), "It is no JSON in UTF-8; give the artifact of a replay.") from None
    return read_baseline(content, source=str(path))


def _record(settings: Settings, artifact: Artifact) -> None:
    """Keep the replay in the database where there is one. Its absence changes no verdict."""
    if artifact.config.dry_run:
        return
    try:
        with wiring.database_at_work(settings) as database:
            migrate.check(database)
            ReplayRecord(database).save(artifact.as_json(), who=getpass.getuser())
    except (QueuePipelineError, EmbeddedPostgresError) as error:
        say(f"The replay is not recorded in the database: {error}")
    except Exception as error:  # noqa: BLE001 - the verdict stands, whatever the database makes of its record
        say(f"The replay is not recorded in the database: it raised {type(error).__name__}")


def _show(artifact: Artifact) -> None:
    bad = [case for case in artifact.cases if case.verdict not in ("pass", "not_judged")]
    if bad:
        print_table(("Case", "Verdict", "Failure", "Score", "Findings", "Why"), [_row(case) for case in bad], empty="")


def _row(case: CaseRecord) -> tuple[object, ...]:
    codes = ", ".join(dict.fromkeys(finding.code for finding in case.findings))
    why = "; ".join(case.failure_reasons)[:_WHY_SHOWN]
    return case.case_id, case.verdict, case.failure_type, case.score, codes, why


def _said(artifact: Artifact) -> str:
    summary = artifact.summary
    name = "Dry run" if artifact.config.dry_run else artifact.verdict.capitalize()
    because = f": {'; '.join(artifact.reasons)}" if artifact.reasons else ""
    cases = "1 case" if summary.count == 1 else f"{summary.count} cases"
    judge = "" if artifact.config.judge_is_model else f" Judged by the {artifact.config.judge}."
    counts = f"{summary.passed} passed, {summary.failed} failed, {summary.unmeasured} not measured"
    return f"{name}{because}. {cases}, {counts}.{'' if artifact.config.dry_run else judge}"


commands: list[click.Command] = [replay_group]
