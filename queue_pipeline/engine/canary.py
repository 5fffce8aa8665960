"""Start, hold, promote and abort a canary. Whoever decides says who and why; both are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from queue_pipeline.domain.canary import (
    ENDED,
    MOVES,
    CanaryContract,
    CanaryPlan,
    CanaryState,
    CohortSample,
    checked,
)
from queue_pipeline.domain.canary_verdict import CanaryVerdict, CohortSummary, judged, summaries
from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.domain.flag import checked_value, spec_of
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import flags
from queue_pipeline.store import canary as store
from queue_pipeline.store import rollback as rollback_store
from queue_pipeline.store.canary import Canary, Contention, Move
from queue_pipeline.store.rollback import Rollback
from queue_pipeline.store.session import Database, Tx

_DEFAULT_LIMITS = Limits()
#: Who flips flags and moves canaries when a rule does.
ROLLBACK = "rollback"


@dataclass(frozen=True)
class CanaryStatus:
    """A canary with all that is known of it: moves, samples, cohorts side by side, what the rules said, its verdict."""

    canary: Canary
    contract: CanaryContract
    moves: Sequence[Move]
    samples: Sequence[CohortSample]
    contention: Sequence[Contention]
    rollbacks: Sequence[Rollback]
    cohorts: Sequence[CohortSummary]
    verdict: CanaryVerdict


def start(db: Database, plan: CanaryPlan, *, who: str, why: str) -> Canary:
    """Begin a canary; its candidate values hold for its workspaces within seconds.

    Raises InvalidInput for a plan, flag or value that cannot be, and while another canary is under way.
    """
    _named(who, why)
    plan = checked(plan)
    for flag, value in plan.candidate.items():
        checked_value(flag, value)
        if not spec_of(flag).per_workspace:
            remedy = "It holds for the whole installation and cannot differ by workspace; flip it instead."
            raise InvalidInput("set", flag, remedy)
    with db.begin() as tx:
        number = store.start(
            tx,
            candidate=plan.candidate,
            allow=plan.allow,
            who=who.strip(),
            why=why.strip(),
            share=plan.share,
            **vars(plan.contract),
        )
        if number is None:
            remedy = "Another canary is under way; promote or abort it first (`queue-pipeline canary status`)."
            raise InvalidInput("canary", "start", remedy)
        begun = store.get(tx, number)
        assert begun is not None
        return begun


def hold(db: Database, *, who: str, why: str) -> Canary:
    """Let the canary's time stand still; its candidate values stay, samples go on. Raises InvalidInput."""
    return _moved(db, CanaryState.HELD, who=who, why=why)


def resume(db: Database, *, who: str, why: str) -> Canary:
    """End a hold; the time that it lasted does not count. Raises InvalidInput."""
    with db.begin() as tx:
        canary = _active(tx)
        back = CanaryState.WARMING if canary.watching_since is None else CanaryState.WATCHING
    return _moved(db, back, who=who, why=why, only_from=CanaryState.HELD)


def abort(db: Database, *, who: str, why: str) -> Canary:
    """End the canary; its workspaces have the values of all others again. Raises InvalidInput."""
    return _moved(db, CanaryState.ABORTED, who=who, why=why)


def promote(db: Database, *, who: str, why: str, force: bool = False, limits: Limits = _DEFAULT_LIMITS) -> Canary:
    """Make the candidate values everybody's. Only a complete canary whose verdict is PASS, unless `force` says so.

    Raises InvalidInput.
    """
    _named(who, why)
    with db.begin() as tx:
        canary = _active(tx, to_move=True)
        verdict = _status(tx, canary, limits).verdict
        if canary.state != CanaryState.COMPLETE:
            remedy = f"It is {canary.state}; only a complete canary can be promoted. Wait for its window to end."
            raise InvalidInput("canary", canary.canary_id, remedy)
        if verdict.verdict != "PASS" and not force:
            remedy = (
                f"Its verdict is {verdict.verdict}: {verdict.said()} Promote it with --force if you must; that is kept."
            )
            raise InvalidInput("canary", canary.canary_id, remedy)
        why = why.strip() if verdict.verdict == "PASS" else f"forced in spite of {verdict.verdict}: {why.strip()}"
        for flag, value in canary.candidate.items():
            flags.override(tx, flag, value, who=who.strip(), why=f"canary {canary.canary_id} was promoted: {why}")
        return _move(tx, canary, CanaryState.PROMOTED, who=who.strip(), why=why)


def status(db: Database, *, canary_id: int | None = None, limits: Limits = _DEFAULT_LIMITS) -> CanaryStatus | None:
    """A canary, by default the one that was started last; None when there never was one. Raises NotFound."""
    with db.begin() as tx:
        canary = store.latest(tx) if canary_id is None else store.get(tx, canary_id)
        if canary is None and canary_id is not None:
            raise NotFound("canary", canary_id, "There is no such canary; see `queue-pipeline canary status`.")
        return None if canary is None else _status(tx, canary, limits)


def undo(db: Database, *, who: str, why: str) -> Rollback:
    """Take back what the latest rollback changed of the flags. The canary stays rolled back: start a new one.

    A flag that somebody has flipped since is left as it is. Raises InvalidInput when there is nothing to take back.
    """
    _named(who, why)
    with db.begin() as tx:
        rollback = _latest_rollback(tx)
        if not rollback_store.undo(tx, rollback.rollback_id, who=who.strip()):
            raise InvalidInput("rollback", rollback.rollback_id, f"{rollback.undone_by} has taken it back already.")
        changes = [change for change in rollback.changes if flags.flipped_last_by(tx, change["flag"]) == ROLLBACK]
        for change in changes:
            reason = f"rollback {rollback.rollback_id} was undone: {why.strip()}"
            flags.override(tx, change["flag"], change["from_value"], who=who.strip(), why=reason)
        return replace(rollback, changes=changes)


def acknowledge(db: Database, *, who: str, why: str) -> Rollback:
    """Take note of the latest rollback: nothing is changed, and its alert ends. Raises InvalidInput."""
    _named(who, why)
    with db.begin() as tx:
        rollback = _latest_rollback(tx)
        if not rollback_store.acknowledge(tx, rollback.rollback_id, who=f"{who.strip()}: {why.strip()}"):
            raise InvalidInput("rollback", rollback.rollback_id, f"Noted already by {rollback.acknowledged_by}")
        return rollback


def said_of(canary: Canary) -> str:
    """What is tried, and on whom."""
    values = ", ".join(f"{flag}={value}" for flag, value in canary.candidate.items())
    share = [f"{canary.share:g} % of workspaces"] if canary.share else []
    return f"{values} for {' and '.join([*share, *canary.allow])}"


def contract_of(canary: Canary) -> CanaryContract:
    """What this canary must show."""
    return CanaryContract(
        warm_up_seconds=canary.warm_up_seconds,
        window_seconds=canary.window_seconds,
        samples_min=canary.samples_min,
        started_min=canary.started_min,
    )


def _status(tx: Tx, canary: Canary, limits: Limits) -> CanaryStatus:
    contract = contract_of(canary)
    samples = store.samples(tx, canary.canary_id)
    contention = store.contention(tx, canary.canary_id)
    rollbacks = rollback_store.of_canary(tx, canary.canary_id)
    verdict = judged(
        CanaryState(canary.state),
        contract,
        samples,
        [(each.sessions, each.lock_waiting, each.deadlocks) for each in _of_window(contention, samples)],
        rolled_back=[each.why for each in rollbacks if each.mode == "enforce"],
        limits=limits,
    )
    return CanaryStatus(
        canary=canary,
        contract=contract,
        moves=store.moves(tx, canary.canary_id),
        samples=samples,
        contention=contention,
        rollbacks=rollbacks,
        cohorts=summaries(samples),
        verdict=verdict,
    )


def _of_window(contention: Sequence[Contention], samples: Sequence[CohortSample]) -> Sequence[Contention]:
    """From the last sample before the window to its last one."""
    instants = {sample.sampled_at for sample in samples if sample.phase == CanaryState.WATCHING}
    inside = [place for place, each in enumerate(contention) if each.sampled_at in instants]
    return contention[max(0, inside[0] - 1) : inside[-1] + 1] if inside else []


def _moved(db: Database, to: CanaryState, *, who: str, why: str, only_from: CanaryState | None = None) -> Canary:
    _named(who, why)
    with db.begin() as tx:
        canary = _active(tx, to_move=True)
        if only_from is not None and canary.state != only_from:
            raise InvalidInput("canary", canary.canary_id, f"It is {canary.state}, not {only_from}.")
        return _move(tx, canary, to, who=who.strip(), why=why.strip())


def _move(tx: Tx, canary: Canary, to: CanaryState, *, who: str, why: str) -> Canary:
    if to not in MOVES[CanaryState(canary.state)]:
        raise InvalidInput("canary", canary.canary_id, f"It is {canary.state} and cannot become {to}.")
    store.move(tx, canary, to_state=to, ends=to in ENDED, who=who, why=why)
    moved = store.get(tx, canary.canary_id)
    assert moved is not None
    return moved


def _active(tx: Tx, *, to_move: bool = False) -> Canary:
    canary = store.active(tx, to_move=to_move)
    if canary is None:
        raise InvalidInput("canary", "none", "No canary is under way; start one with `queue-pipeline canary start`.")
    return canary


def _latest_rollback(tx: Tx) -> Rollback:
    rollback = rollback_store.latest_to_change(tx)
    if rollback is None:
        raise InvalidInput("rollback", "none", "Nothing was ever rolled back.")
    return rollback


def _named(who: str, why: str) -> None:
    for field, text in (("who", who), ("why", why)):
        if not text.strip():
            raise InvalidInput(field, text, "Say who decides and why; both are kept.")
