"""`queue-pipeline`: every command by name and the module that holds it, loaded when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType

import click

#: Each module has `commands: list[click.Command]`; a test asserts that this table says what they hold.
MODULES: Mapping[str, str] = MappingProxyType(
    {
        "alerts": "queue_pipeline.cli.alerts",
        "audit": "queue_pipeline.cli.audit",
        "canary": "queue_pipeline.cli.canary",
        "cancel": "queue_pipeline.cli.jobs",
        "capacity": "queue_pipeline.cli.capacity",
        "check": "queue_pipeline.cli.database",
        "dead": "queue_pipeline.cli.jobs",
        "down": "queue_pipeline.cli.up",
        "draft": "queue_pipeline.cli.draft",
        "drafts": "queue_pipeline.cli.leads",
        "drain": "queue_pipeline.cli.drain",
        "drill": "queue_pipeline.cli.drill",
        "enqueue": "queue_pipeline.cli.jobs",
        "env": "queue_pipeline.cli.database",
        "flags": "queue_pipeline.cli.flags",
        "health": "queue_pipeline.cli.health",
        "ingest": "queue_pipeline.cli.ingest",
        "jobs": "queue_pipeline.cli.jobs",
        "limits": "queue_pipeline.cli.limits",
        "migrate": "queue_pipeline.cli.database",
        "outbox": "queue_pipeline.cli.outbox",
        "pause": "queue_pipeline.cli.pause",
        "prune": "queue_pipeline.cli.prune",
        "recover": "queue_pipeline.cli.recovery",
        "replay": "queue_pipeline.cli.replay",
        "replay-dead": "queue_pipeline.cli.jobs",
        "resume": "queue_pipeline.cli.pause",
        "rollout": "queue_pipeline.cli.rollout",
        "running": "queue_pipeline.cli.health",
        "sends": "queue_pipeline.cli.sends",
        "serve-http": "queue_pipeline.cli.serve_http",
        "shards": "queue_pipeline.cli.shards",
        "simulate": "queue_pipeline.cli.simulation",
        "tasks": "queue_pipeline.cli.leads",
        "trace": "queue_pipeline.cli.trace",
        "up": "queue_pipeline.cli.up",
        "workspace": "queue_pipeline.cli.workspace",
    }
)


class CommandsByModule(click.Group):
    """A group that imports a command's module when the command is asked for, so that completion stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in alphabetical order."""
        return sorted(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None for an unknown name."""
        if cmd_name not in MODULES:
            return None
        commands: list[click.Command] = importlib.import_module(MODULES[cmd_name]).commands
        return next(command for command in commands if command.name == cmd_name)


@click.group(cls=CommandsByModule, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="queue-pipeline")
def app() -> None:
    """A PostgreSQL job queue that drains on Dagster, recovers by itself, and keeps the evidence.

    Data goes to stdout, words and progress to stderr. Exit codes: 0 good, 1 a measured breach, 2 could not measure or
    start, 3 wrong usage or settings.
    """


def main() -> None:
    """Run the command line. Expected errors end in one sentence and an exit code, never in a traceback."""
    try:
        code = app.main(standalone_mode=False, prog_name="queue-pipeline")
    except click.UsageError as error:
        error.show()
        code = 3
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        click.echo("Interrupted.", err=True)
        code = 130
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        click.echo(f"Error: {error}", err=True)
    raise SystemExit(code if isinstance(code, int) else 0)


def _exit_code(error: Exception) -> int | None:
    """3 where a person must change what was asked or set, 2 where something is away, None for our own mistakes."""
    from queue_pipeline.domain.errors import InvalidInput, Misconfigured, Transient
    from queue_pipeline.integrations.server_account import EmbeddedPostgresError
    from queue_pipeline.integrations.supervision import SupervisionError
    from queue_pipeline.settings import SettingsError

    if isinstance(error, InvalidInput | Misconfigured | SettingsError):
        return 3
    if isinstance(error, Transient | EmbeddedPostgresError | SupervisionError):
        return 2
    return None
