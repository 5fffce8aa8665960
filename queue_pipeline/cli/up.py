"""`up` and `down`: one command to a running system, one Ctrl-C to its orderly end."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click
import psutil

from queue_pipeline import wiring
from queue_pipeline.cli.bring_down import bring_down
from queue_pipeline.cli.bring_up import Running, bring_up, ingress_url, installation_of, ui_url
from queue_pipeline.integrations.log_stream import LogStream
from queue_pipeline.integrations.supervision import SupervisionError, Supervisor
from queue_pipeline.settings import Settings, load_settings

_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_black")


class Interrupted(Exception):
    """Somebody asked `up` to end while it was still starting."""


class StopRequests:
    """Ctrl-C, SIGTERM and SIGHUP, counted: the first asks for an orderly end, the second for a quick one.

    Installing handlers also gives our children default ones, should we have been started with SIGINT ignored.
    """

    def __init__(self) -> None:
        self.count = 0
        self.arrived = threading.Event()
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, self._count)

    def raise_if_any(self) -> None:
        """Interrupted after the first request."""
        if self.count:
            raise Interrupted

    def hurry(self) -> bool:
        """Whether somebody asked twice."""
        return self.count > 1

    def _count(self, _signal: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.arrived.set()


@click.command("up")
@click.option(
    "--detach", "--once-ready", "detach", is_flag=True, help="Return when everything answers and leave it running."
)
def up(detach: bool) -> None:
    """Start everything (PostgreSQL unless you have one, Dagster, the ingress) and show its logs until Ctrl-C."""
    settings = load_settings()
    requests = StopRequests()
    with _only_one(settings) as other:
        if other is not None:
            _say_already_running(settings, other)
            return
        supervisor = installation_of(settings).supervisor()
        if _was_detached(settings) and supervisor.pid() is not None:
            _say_already_running(settings, {"pid": supervisor.pid()})
            return
        _note(settings, {"pid": os.getpid(), "detached": detach})
        if not _start(settings, supervisor, requests):
            return
        if detach:
            click.echo("Left running. Stop it with `queue-pipeline down`.")
            return
        _follow(settings, supervisor, requests)
        bring_down(settings, supervisor, _say, requests.hurry)
        _say("Stopped.")


@click.command("down")
def down() -> None:
    """Stop what `up` started in this home: drains hand over first, PostgreSQL ends last."""
    settings = load_settings()
    requests = StopRequests()
    with _only_one(settings) as other:
        if other is None:
            supervisor = installation_of(settings).supervisor()
            if supervisor.pid() is None:
                _say(f"Nothing is running in {settings.home}.")
                return
            bring_down(settings, supervisor, _say, requests.hurry)
            _say("Stopped.")
            return
    _ask_to_end(other, requests)


commands: list[click.Command] = [up, down]


def _start(settings: Settings, supervisor: Supervisor, requests: StopRequests) -> bool:
    """Whether the system answers now; an interrupt or a failure on the way leaves nothing behind."""
    try:
        running = bring_up(settings, _say, requests.raise_if_any)
    except Interrupted:
        bring_down(settings, supervisor, _say, requests.hurry)
        _say("Stopped before everything had started.")
        return False
    except Exception:
        bring_down(settings, supervisor, _quiet, lambda: True)
        raise
    click.echo(_banner(settings, running))
    return True


def _follow(settings: Settings, supervisor: Supervisor, requests: StopRequests) -> None:
    """Show the programs' new log lines until somebody asks for the end; start a killed supervisor again."""
    names = sorted(supervisor.states())
    stream = LogStream({name: supervisor.log(name) for name in names}, colour=sys.stderr.isatty())
    prefixes = {name: click.style(f"[{name}]", fg=_COLOURS[at % len(_COLOURS)]) for at, name in enumerate(names)}
    look_at = time.monotonic() + 2
    while not requests.arrived.wait(0.25):
        for name, line in stream.lines():
            click.echo(f"{prefixes[name]} {line}", err=True)
        if time.monotonic() > look_at:
            if supervisor.pid() is None:
                _say("The process supervisor is gone; starting it and its programs again …")
                with contextlib.suppress(Interrupted):
                    bring_up(settings, _quiet, requests.raise_if_any)
            look_at = time.monotonic() + 2


def _banner(settings: Settings, running: Running) -> str:
    database = "PostgreSQL (embedded)" if settings.database_url is None else "your PostgreSQL"
    lines = [
        "",
        click.style(f"  queue-pipeline is up ({running.seconds:.1f} s).", bold=True, fg="green"),
        f"    Dagster UI   {click.style(ui_url(settings), bold=True)}",
        f"    Ingress      {ingress_url(settings)}   (/api/webhooks/…, /api/cron/…, /healthz, /metrics)",
        f"    Alerts       {wiring.where_alerts_go(settings)}",
        f"    Data         {settings.home}   ({database}, {settings.shards} shards)",
        f"    Logs         {running.supervisor.logs}",
        "    Stop         Ctrl-C here, or `queue-pipeline down`",
    ]
    if settings.ui_origin is not None:
        lines.insert(3, f"    For others   {settings.ui_origin}   (your proxy passes it on to the Dagster UI)")
    if settings.ui_password is not None:
        lines.insert(3, "    Login        any user name, the password of QUEUE_PIPELINE_UI_PASSWORD")
    if settings.database_url is not None:
        lines.append("    First leads  `queue-pipeline ingest FILE` (samples go into the embedded database only)")
    return "\n".join([*lines, ""])


# ------------------------------------------------------------------------------------------------- one at a time


@contextlib.contextmanager
def _only_one(settings: Settings) -> Iterator[dict[str, Any] | None]:
    """Inside the block this process alone starts and stops the home; gives the other's note instead if there is one."""
    place = settings.home / "supervisor"
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = (place / "up.lock").open("ab")
    except OSError as error:
        raise SupervisionError(
            f"QUEUE_PIPELINE_HOME={settings.home} cannot be written ({error.strerror}); set it to a directory you own."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield _noted(settings)
            return
        yield None


def _note_file(settings: Settings) -> Path:
    return settings.home / "supervisor" / "up-note"


def _note(settings: Settings, note: dict[str, Any]) -> None:
    _note_file(settings).write_text(json.dumps(note), encoding="utf-8")


def _noted(settings: Settings) -> dict[str, Any]:
    try:
        note = json.loads(_note_file(settings).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _was_detached(settings: Settings) -> bool:
    return bool(_noted(settings).get("detached"))


def _say_already_running(settings: Settings, other: dict[str, Any]) -> None:
    click.echo(
        f"Already running here: pid {other.get('pid', '(starting)')}, Dagster UI {ui_url(settings)}, data in "
        f"{settings.home}. Stop it with `queue-pipeline down`."
    )


def _ask_to_end(other: dict[str, Any], requests: StopRequests) -> None:
    """Pass our request on to the `up` that runs, and wait until it has ended."""
    try:
        process = psutil.Process(int(other["pid"]))
        process.send_signal(signal.SIGTERM)
        _say(f"Asked `up` (pid {process.pid}) to end; waiting …")
        passed_on = 0
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if requests.count > passed_on:
                passed_on = requests.count
                process.send_signal(signal.SIGTERM)
            requests.arrived.wait(0.1)
            requests.arrived.clear()
    except (KeyError, ValueError):
        raise SupervisionError("Another `up` or `down` is at work in this home; try again in a moment.") from None
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied as error:
        raise SupervisionError(f"`up` belongs to another account (pid {error.pid}); stop it from there.") from error
    _say("Stopped.")


def _say(words: str) -> None:
    click.echo(words, err=True)


def _quiet(_words: str) -> None:
    """For steps whose story nobody needs."""
