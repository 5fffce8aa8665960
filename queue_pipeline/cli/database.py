"""`migrate`, `check` and `env`: bring the database up to date, find every problem, print the addresses."""

import shlex
from collections.abc import Callable

import click

from queue_pipeline import wiring
from queue_pipeline.cli.console import json_option, print_json, print_table, say
from queue_pipeline.domain.errors import QueuePipelineError
from queue_pipeline.domain.limits import Limits, check_relations
from queue_pipeline.http.caller import require_a_secret_beyond_loopback
from queue_pipeline.http.ui_guard import require_a_password_beyond_loopback
from queue_pipeline.http.webhooks import without_secret
from queue_pipeline.integrations.webhook_providers import PROVIDERS
from queue_pipeline.settings import Settings, SettingsError, load_settings, without_password
from queue_pipeline.store import migrate as schema


@click.command("migrate")
@json_option
def migrate_command(*, as_json: bool) -> None:
    """Bring the database's schema to this program's version, from empty if need be.

    Safe to run at any time and by several processes at once. An embedded database is created if there is none.
    """
    settings = load_settings()
    with wiring.database_at_work(settings, create=True) as db:
        applied = schema.upgrade(db.url)
    if as_json:
        print_json({"applied": applied})
    elif applied:
        say(f"Applied {', '.join(applied)}; the schema is up to date.")
    else:
        say("The schema was up to date already.")


@click.command("check")
@json_option
def check_command(*, as_json: bool) -> None:
    """Check settings, limits, handlers, database and schema version; report every problem at once.

    Exit code 0: all good; 2: only the database is away; 3: something must be set right.
    """
    results = _checks()
    note = _note() if not results["settings"] else ""
    if as_json:
        checks = [{"what": what, "problems": problems} for what, problems in results.items()]
        print_json({"checks": checks, "notes": [note] if note else []})
    else:
        rows = [(what, "problem" if problems else "good", " ".join(problems)) for what, problems in results.items()]
        print_table(("What", "Result", "Remedy"), rows, empty="")
        if note:
            say(note)
    wrong = [what for what, problems in results.items() if problems]
    if wrong:
        raise SystemExit(2 if wrong == ["database"] else 3)


def _checks() -> dict[str, list[str]]:
    """The problems of each thing that is checked."""
    results = {"settings": [], "limits": check_relations(Limits())}
    try:
        settings = load_settings()
    except SettingsError as error:
        return {**results, "settings": list(error.problems)}
    results["addresses"] = [
        *_problem(lambda: require_a_password_beyond_loopback(settings)),
        *_problem(lambda: require_a_secret_beyond_loopback(settings.http_host, settings.cron_secret)),
    ]
    results["model"] = wiring.model_problems(settings)
    results["handlers"] = _problem(lambda: wiring.load_registry(settings))
    results["database"] = _problem(lambda: _reach(settings))
    if not results["database"]:
        results["schema"] = _problem(lambda: _check_schema(settings))
    return results


def _note() -> str:
    """What is no problem, but may surprise: providers without a secret, once strangers are expected at all."""
    settings = load_settings()
    expected = settings.cron_secret or any(getattr(settings, provider.setting) for provider in PROVIDERS.values())
    return without_secret(settings) if expected else ""


def _problem(attempt: Callable[[], object]) -> list[str]:
    try:
        attempt()
    except QueuePipelineError as error:
        return [str(error)]
    return []


def _reach(settings: Settings) -> None:
    with wiring.database_at_work(settings) as db, db.begin():
        return


def _check_schema(settings: Settings) -> None:
    with wiring.database_at_work(settings) as db:
        schema.check(db)


@click.command("env")
@click.option("--show-passwords", is_flag=True, help="Print database passwords instead of ***.")
@json_option
def env_command(*, show_passwords: bool, as_json: bool) -> None:
    """Print addresses for the shell: `eval "$(queue-pipeline env)"`, then `psql "$PSQL_URL"`.

    DAGSTER_HOME is what `up` uses, so `dagster` commands see the same Dagster runs. For completion of commands and
    options put this into ~/.bashrc (or zsh_source into ~/.zshrc):

    \b
        eval "$(_QUEUE_PIPELINE_COMPLETE=bash_source queue-pipeline)"
    """
    settings = load_settings()
    url = wiring.database_url(settings)
    values = {
        "QUEUE_PIPELINE_HOME": str(settings.home),
        "DAGSTER_HOME": str(settings.home / "dagster"),
        "PSQL_URL": url if show_passwords else without_password(url),
        "DAGSTER_UI_URL": f"http://{settings.ui_host}:{settings.ui_port}",
        "INGRESS_URL": f"http://{settings.http_host}:{settings.http_port}",
    }
    if as_json:
        print_json(values)
        return
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")


commands: list[click.Command] = [migrate_command, check_command, env_command]
