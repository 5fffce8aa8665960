"""`drill`: stage the incident on purpose and watch the recovery, or a canary that fails and its rollback."""

import os
import signal
import subprocess
import sys
import threading

import click

from queue_pipeline import wiring
from queue_pipeline.cli.console import json_option, plain, print_json, say
from queue_pipeline.cli.session import opened
from queue_pipeline.cli.trace import show
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.trace import Trace
from queue_pipeline.engine.drain import DrainOptions, drain
from queue_pipeline.engine.drill import Drill, DrillFailed
from queue_pipeline.engine.drill_canary import CanaryDrill

_STOP_SECONDS = 30.0
_DRAIN_SECONDS = 300
#: Leads of others in the shard wait too while its only drain is frozen: for seconds, not for a whole lease.
_SHORT_LEASE = Limits(lease_seconds=12.0, heartbeat_seconds=1.0, fence_margin_seconds=3.0)


@click.group("drill", invoke_without_command=True)
@click.option(
    "--frozen-drain",
    "shard",
    default=None,
    metavar="S",
    hidden=True,
    help="Be the drain of this shard that the drill freezes; the drill calls itself so.",
)
@json_option
@click.pass_context
def drill_group(ctx: click.Context, *, shard: str | None, as_json: bool) -> None:
    """Stage the incident with real processes: a hang, a kill, a queue that ages, leads that wait behind a frozen drain.

    Tells the story with times as recovery happens, and ends with the trace of each lead that waited. It works with or
    without Dagster, in a workspace of its own; what it sends stays in the outbox. The other drains of one shard are
    asked to stop, and for some 15 s that shard stands still. It cleans up after itself; the staged leads and the
    recovery decisions stay on record. Takes about a minute. Exit code 0: every job ran to its end exactly once and the
    traces name the cause; 1: something did not recover, or was not explained.
    """
    if ctx.invoked_subcommand is not None:
        return
    if shard is not None:
        _drain_to_be_frozen(shard)
        return
    with opened() as session:
        wiring.load_registry(session.settings)
        teller = wiring.teller(session.settings, session.db)
        try:
            drill = Drill(
                session.db,
                shards=session.settings.shards,
                start_drain=_DrainProcess,
                tell=_tell,
                deliver=lambda: teller.deliver(by="drill"),
                show=_show_nothing if as_json else show,
            )
            report = drill.run()
        except DrillFailed as error:
            say(str(error))
            raise SystemExit(1) from None
    if as_json:
        print_json(report)
    if not report.passed:
        raise SystemExit(1)


@drill_group.command("canary")
@json_option
def canary_command(*, as_json: bool) -> None:
    """Stage a canary that fails, and watch the rules turn it back by themselves: one rollback, one alert.

    It gives one workspace of its own another value of drain.parallel, runs 40 jobs there of which half fail, and takes
    note of its alert. The canary, its samples and its rollback stay on record. Takes about a minute. Exit code 0: the
    failure rate turned it back and one alert says so; 1: it did not happen so; 3: another canary is under way.
    """
    with opened() as session:
        wiring.load_registry(session.settings)
        drill = CanaryDrill(
            session.db,
            shards=session.settings.shards,
            start_drain=_DrainProcess,
            tell=_tell,
            teller=wiring.teller(session.settings, session.db),
        )
        try:
            report = drill.run()
        except DrillFailed as error:
            say(str(error))
            raise SystemExit(1) from None
    if as_json:
        print_json(report)
    if not report.passed:
        raise SystemExit(1)


def _tell(elapsed: float, sentence: str) -> None:
    click.echo(f"[{elapsed:6.1f} s] {plain(sentence)}", err=True)


def _show_nothing(_story: Trace) -> None:
    """Standard output is for the report."""


def _drain_to_be_frozen(shard: str) -> None:
    """Drain one shard with a short lease until told to stop: the process that the drill freezes."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with opened() as session:
        registry = wiring.load_registry(session.settings)
        options = DrainOptions(
            shard=shard, linger_seconds=_DRAIN_SECONDS, hand_over=False, shards=session.settings.shards
        )
        drain(session.db, registry, options, limits=_SHORT_LEASE, stop=stop)


class _DrainProcess:
    """A drain of one shard, in a process and a session of its own."""

    def __init__(self, shard: str, *, short_lease: bool = False) -> None:
        usual = ["drain", "--shard", shard, "--seconds", str(_DRAIN_SECONDS)]
        arguments = ["drill", "--frozen-drain", shard] if short_lease else usual
        self._process = subprocess.Popen(
            [sys.executable, "-m", "queue_pipeline", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._frozen = False
        self.pid = self._process.pid

    def kill(self) -> None:
        """End it at once with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait()

    def freeze(self) -> None:
        """Stop it where it is with SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)
        self._frozen = True

    def stop(self) -> None:
        """Ask it to end with SIGTERM, and wait; kill it if it does not, or if it is frozen."""
        if self._process.poll() is not None:
            return
        if self._frozen:
            self.kill()
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


commands: list[click.Command] = [drill_group]
