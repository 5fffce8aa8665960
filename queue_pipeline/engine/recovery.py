"""Find function runs, windows and jobs that will not move again by themselves, and set them going.

Continuation first: where another function run of the shard lives, it simply goes on with the jobs given back.
Otherwise exactly one successor window is opened. Every act is one short compare-and-set transaction.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from queue_pipeline.domain import dispatch_window as window_rules
from queue_pipeline.domain.dispatch_window import WindowSource
from queue_pipeline.domain.errors import DatabaseUnavailable, InvalidInput
from queue_pipeline.domain.flag import ENFORCE, OBSERVE, RECOVERY_MODE
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.recovery import Life, Signal, consequence, sentence, signal_of
from queue_pipeline.domain.retention import DAY_SECONDS
from queue_pipeline.engine import flags
from queue_pipeline.store import dispatch_window, function_run
from queue_pipeline.store import recovery as store
from queue_pipeline.store.dispatch_window import OpenWindow
from queue_pipeline.store.function_run import LivingRun
from queue_pipeline.store.recovery import GivenBack, HeldJob, Observation
from queue_pipeline.store.session import Database, Tx

log = logging.getLogger(__name__)

_DEFAULT_LIMITS = Limits()
#: A transaction that holds a function run takes milliseconds; one this old belongs to a process that stands still.
_STUCK_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """Something that needs recovery. `key` is stable: `run:<id>:<fence>`, `window:<id>` or `job:<id>:<fence>`."""

    key: str
    signal: Signal
    shard: str
    sentence: str
    function_run_id: int | None = None
    fence: int | None = None
    window_id: int | None = None
    job_id: int | None = None
    dagster_run_id: str | None = None


@dataclass(frozen=True)
class RecoveryDecision:
    """What was done about a finding; `acted` is False when it had resolved itself, or in a dry run."""

    finding: Finding
    acted: bool
    detail: str
    jobs_given_back: int = 0
    jobs_dead: int = 0
    successor_key: str | None = None


@dataclass(frozen=True)
class SweepReport:
    """One sweep: every finding and what came of it."""

    decisions: list[RecoveryDecision]
    swept_by: str
    dry_run: bool


def findings(database: Database, *, limits: Limits = _DEFAULT_LIMITS) -> list[Finding]:
    """Everything that needs recovery now, without touching it. Raises DatabaseUnavailable."""
    with database.begin() as tx:
        runs = [found for run in function_run.living(tx) if (found := _finding_of_run(run, limits))]
        fenced = {found.function_run_id for found in runs}
        overdue = store.overdue(tx, grace_seconds=limits.deadline_grace_seconds, limit=limits.sweep_batch)
        unowned = store.unowned(tx, limit=limits.sweep_batch)
        orphaned = dispatch_window.orphaned(tx, limit=limits.sweep_batch)
    return [
        *runs,
        *(_finding_of_window(window) for window in orphaned),
        *(_finding_of_job(job, Signal.OVERDUE) for job in overdue if job.function_run_id not in fenced),
        *(_finding_of_job(job, Signal.UNOWNED) for job in unowned),
    ]


def recovery_mode(database: Database) -> str:
    """The value of flag `recovery.mode`: enforce, observe or off. Raises DatabaseUnavailable."""
    with database.begin() as tx:
        return flags.value(tx, RECOVERY_MODE)


def observed(database: Database, *, seconds: float = DAY_SECONDS, limit: int) -> list[Observation]:
    """What stood still in the last so many seconds and was left alone because flag `recovery.mode` said observe.

    Latest first, at most `limit`. Raises DatabaseUnavailable.
    """
    with database.begin() as tx:
        return store.observations(tx, seconds=seconds, limit=limit)


def sweep(
    database: Database,
    *,
    by: str,
    only: str | None = None,
    act_on: Callable[[Finding], bool] | None = None,
    dry_run: bool = False,
    limits: Limits = _DEFAULT_LIMITS,
) -> SweepReport:
    """Look for everything that stands still and recover it, each finding in a transaction of its own.

    With `only` just the finding of that key is looked at (and the dead man's switch is not reset); `act_on` may
    leave findings to somebody else, and flag `recovery.mode` decides whether anything is done at all. One that cannot
    be recovered does not keep the others waiting. Raises DatabaseUnavailable when the database is away, InvalidInput
    for a key that is none.
    """
    if only is not None and only.split(":")[0] not in ("run", "window", "job"):
        raise InvalidInput("only", only, "A finding's key looks like run:12:345, window:7 or job:9:345.")
    found = [f for f in findings(database, limits=limits) if only is None or f.key == only]
    if dry_run:
        return _not_acted(found, "dry run: nothing was changed.", by)
    chosen = [finding for finding in found if act_on is None or act_on(finding)]
    mode = recovery_mode(database)
    if mode != ENFORCE:
        return _held_back(database, chosen, mode, by=by, alone=only is not None)
    if any(finding.signal is Signal.DEAD for finding in chosen):
        # A connection can break without its process: a living drain has its lock back when it is looked at again.
        threading.Event().wait(limits.presence_grace_seconds)
    if any(finding.key.startswith("run:") for finding in chosen):
        _end_stuck_transactions(database)
    decisions = [_try_to_recover(database, finding, by, limits) for finding in chosen]
    if only is None:
        with database.begin() as tx:
            store.mark_sweep(tx, by)
    return SweepReport(decisions, by, False)


def _held_back(database: Database, found: list[Finding], mode: str, *, by: str, alone: bool) -> SweepReport:
    """With flag `recovery.mode` at observe, what would be done is kept; at off, nobody has even looked."""
    if mode == OBSERVE:
        with database.begin() as tx:
            for finding in found:
                would = f"{finding.sentence} {consequence(finding.signal)}"
                store.observe(tx, by=by, would=would, **{name: getattr(finding, name) for name in store.OBSERVED})
            if not alone:
                store.mark_sweep(tx, by)
    return _not_acted(found, f"nothing was done: flag {RECOVERY_MODE} is {mode}.", by)


def _not_acted(found: list[Finding], why: str, by: str) -> SweepReport:
    decisions = [RecoveryDecision(each, False, f"{why} {consequence(each.signal)}") for each in found]
    return SweepReport(decisions, by, True)


def _end_stuck_transactions(database: Database) -> None:
    """Else the row of a function run that stands still in an exchange would stay locked, and recovery with it."""
    with database.begin() as tx:
        ended = store.end_stuck_transactions(tx, seconds=_STUCK_SECONDS)
    if ended:
        log.warning("%d sessions were ended whose processes stand still in a transaction", ended)


def _finding_of_run(run: LivingRun, limits: Limits) -> Finding | None:
    life = _life_of(run)
    signal = signal_of(life, limits)
    if signal is None:
        return None
    who = f"Function run {run.function_run_id} of {run.shard} on {run.host} (pid {run.pid})"
    return Finding(
        key=f"run:{run.function_run_id}:{run.fence}",
        signal=signal,
        shard=run.shard,
        sentence=f"{who} is {signal}: {sentence(signal, life)}.",
        function_run_id=run.function_run_id,
        fence=run.fence,
        dagster_run_id=run.dagster_run_id,
    )


def _life_of(run: LivingRun) -> Life:
    return Life(
        present=run.present,
        age=run.age_seconds,
        heartbeat_age=run.heartbeat_age_seconds,
        lease_left=run.lease_left_seconds,
        progress_age=run.progress_age_seconds,
        server_age=run.server_age_seconds,
    )


def _finding_of_window(window: OpenWindow) -> Finding:
    return Finding(
        key=f"window:{window.window_id}",
        signal=Signal.ORPHANED,
        shard=window.shard,
        sentence=(
            f"Window {window.dispatch_key} was opened by {window.source} {window.age_seconds:.0f} s ago "
            "and nobody came."
        ),
        window_id=window.window_id,
    )


def _finding_of_job(job: HeldJob, signal: Signal) -> Finding:
    if signal is Signal.OVERDUE:
        why = f"is {job.overdue_seconds:.0f} s past its deadline and function run {job.function_run_id} did not end it"
    else:
        why = f"is RUNNING in function run {job.function_run_id}, which has ended"
    return Finding(
        key=f"job:{job.job_id}:{job.fence}",
        signal=signal,
        shard=job.shard or "",
        sentence=f"Job {job.job_id} ({job.kind}) {why}.",
        function_run_id=job.function_run_id,
        fence=job.fence,
        job_id=job.job_id,
        dagster_run_id=job.dagster_run_id,
    )


def _try_to_recover(database: Database, finding: Finding, by: str, limits: Limits) -> RecoveryDecision:
    try:
        return _recover(database, finding, by, limits)
    except DatabaseUnavailable:
        raise
    except Exception as error:
        log.exception("recovery of %s", finding.key)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return RecoveryDecision(finding, False, f"It could not be recovered: {reason}")


def _recover(database: Database, finding: Finding, by: str, limits: Limits) -> RecoveryDecision:
    with database.begin() as tx:
        dispatch_window.lock_opening(tx, finding.shard)
        if finding.window_id is not None:
            decision, window_id = _recover_window(tx, finding, limits)
        elif finding.job_id is not None:
            decision, window_id = _recover_job(tx, finding)
        else:
            decision, window_id = _recover_run(tx, finding, limits)
        if decision.acted:
            store.record_decision(
                tx,
                swept_by=by,
                signal=finding.signal,
                detail=f"{finding.sentence} {decision.detail}",
                shard=finding.shard,
                function_run_id=finding.function_run_id,
                window_id=finding.window_id,
                job_id=finding.job_id,
                jobs_given_back=decision.jobs_given_back,
                jobs_dead=decision.jobs_dead,
                successor_window_id=window_id,
            )
    log.info("%s", f"{finding.sentence} {decision.detail}")
    return decision


def _recover_run(tx: Tx, finding: Finding, limits: Limits) -> tuple[RecoveryDecision, int | None]:
    assert finding.function_run_id is not None
    assert finding.fence is not None
    run_id = finding.function_run_id
    if not store.lock_run(tx, run_id, finding.fence):
        return RecoveryDecision(finding, False, "It had ended in the meantime."), None
    still = next((run for run in function_run.living(tx) if run.function_run_id == run_id), None)
    if still is None or signal_of(_life_of(still), limits) is None:
        return RecoveryDecision(finding, False, "It came back to life in the meantime."), None
    back = store.give_back(tx, run_id, signal=finding.signal, reason=finding.sentence)
    store.mark_recovered(tx, run_id, finding.fence, signal=finding.signal, detail=finding.sentence, lost=back.held)
    dispatch_window.supersede(tx, run_id, finding.sentence)
    key, window_id, next_step = _successor(tx, finding.shard, limits, given_back=back, run_id=run_id)
    return _decided(finding, back, key, next_step), window_id


def _recover_window(tx: Tx, finding: Finding, limits: Limits) -> tuple[RecoveryDecision, int | None]:
    assert finding.window_id is not None
    if not dispatch_window.mark_missed(tx, finding.window_id, finding.sentence):
        return RecoveryDecision(finding, False, "It was taken in the meantime."), None
    nothing = GivenBack(0, 0, 0)
    key, window_id, next_step = _successor(tx, finding.shard, limits, given_back=nothing, missed_id=finding.window_id)
    return _decided(finding, nothing, key, next_step), window_id


def _recover_job(tx: Tx, finding: Finding) -> tuple[RecoveryDecision, int | None]:
    assert finding.function_run_id is not None
    back = store.give_back(
        tx,
        finding.function_run_id,
        signal=finding.signal,
        reason=finding.sentence,
        job_id=finding.job_id,
        job_fence=finding.fence,
    )
    if not back.held:
        return RecoveryDecision(finding, False, "It had ended in the meantime."), None
    return _decided(finding, back, None, "Its claim was revoked."), None


def _successor(
    tx: Tx,
    shard: str,
    limits: Limits,
    *,
    given_back: GivenBack,
    run_id: int | None = None,
    missed_id: int | None = None,
) -> tuple[str | None, int | None, str]:
    (facts,) = dispatch_window.shard_facts(tx, [shard])
    if facts.function_run_id is not None:
        return None, None, f"Function run {facts.function_run_id} goes on with {shard}."
    if facts.open_key is not None:
        return None, None, f"Window {facts.open_key} is open for {shard} already."
    if not facts.due and not given_back.given_back:
        return None, None, f"{shard} has nothing due, so no successor is needed."
    key = (
        window_rules.successor_key(shard, run_id)
        if run_id is not None
        else window_rules.replacement_key(missed_id or 0, shard)
    )
    window_id = dispatch_window.open_window(
        tx,
        dispatch_key=key,
        shard=shard,
        source=WindowSource.RECOVERY,
        launch_grace_seconds=limits.launch_grace_seconds,
        succeeds_run_id=run_id,
        replaces_window_id=missed_id,
    )
    if window_id is None:
        return None, None, f"Its successor {key} had been opened before."
    if run_id is not None:
        dispatch_window.link_successor(tx, run_id, window_id)
    return key, window_id, f"Successor window {key} was opened."


def _decided(finding: Finding, back: GivenBack, key: str | None, next_step: str) -> RecoveryDecision:
    jobs = f"{back.given_back} jobs given back, {back.dead} dead letters. " if back.held else ""
    return RecoveryDecision(finding, True, jobs + next_step, back.given_back, back.dead, key)
