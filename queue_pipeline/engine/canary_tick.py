"""One look at the canary: take its samples when they are due, move its phase on, and turn it back when a rule says so.

Any number of processes may look at once: one has its turn, the others pass. Everything that one look finds and does
is one transaction by the database's clock.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from queue_pipeline.domain.canary import ENDED, CanaryContract, CanaryState, CohortSample, buckets_below, phase_after
from queue_pipeline.domain.flag import ROLLBACK_MODE, SENDS_ENABLED
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.rollback import (
    Breach,
    ContentionSample,
    RollbackFacts,
    RollbackRules,
    breaches,
    mode_of,
)
from queue_pipeline.engine import flags
from queue_pipeline.engine.canary import ROLLBACK, contract_of
from queue_pipeline.store import alert_facts, audit, recovery
from queue_pipeline.store import canary as store
from queue_pipeline.store import rollback as rollback_store
from queue_pipeline.store.canary import Canary
from queue_pipeline.store.session import Database, Tx, first_line, is_outage

log = logging.getLogger(__name__)

_DEFAULT_LIMITS = Limits()
_RULES = RollbackRules()
_CLOCK = "clock"


@dataclass(frozen=True)
class CanaryTick:
    """What one look did, in sentences; none when another was at it or no canary is under way."""

    said: Sequence[str] = ()


def tick(db: Database, *, limits: Limits = _DEFAULT_LIMITS, rules: RollbackRules = _RULES) -> CanaryTick:
    """Look once. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        if not store.take_turn(tx):
            return CanaryTick()
        canary = store.active(tx, to_move=True)
        if canary is None:
            return CanaryTick()
        contract = contract_of(canary)
        said = _sample(tx, canary, contract)
        canary, moved = _advance(tx, canary, contract)
        return CanaryTick([*said, *moved, *_judge(tx, canary, contract, limits, rules)])


def _sample(tx: Tx, canary: Canary, contract: CanaryContract) -> list[str]:
    last_at = store.last_sample_at(tx, canary.canary_id)
    last = None if last_at is None else (last_at - canary.started_at).total_seconds()
    if not contract.is_sample_due(canary.age_seconds, last):
        return []
    try:
        with tx.begin_nested():
            below = buckets_below(canary.share)
            samples = store.measure_cohorts(tx, canary, buckets_below=below, since=last_at or canary.started_at)
            store.record(tx, canary.canary_id, samples, store.measure_contention(tx))
    except Exception as error:
        if is_outage(error):
            raise
        log.exception("canary %d", canary.canary_id)  # the rules still look, and a missing sample is a bad one
        return [f"Canary {canary.canary_id} could not be sampled: {first_line(error)}"]
    return [_told(sample) for sample in samples if sample.cohort == "canary"]


def _told(sample: CohortSample) -> str:
    return (
        f"Sampled {sample.workspaces} canary workspaces: {sample.pending_due} jobs due, the oldest for "
        f"{sample.oldest_due_age_seconds:.0f} s; {sample.started_jobs} started, {sample.failed_jobs} of "
        f"{sample.finished_jobs} attempts failed."
    )


def _advance(tx: Tx, canary: Canary, contract: CanaryContract) -> tuple[Canary, list[str]]:
    now = CanaryState(canary.state)
    after = phase_after(now, canary.phase_seconds, contract)
    if after is now:
        return canary, []
    why = "its warm-up is over" if after is CanaryState.WATCHING else "its window is over"
    store.move(tx, canary, to_state=after, ends=after in ENDED, who=_CLOCK, why=why)
    moved = store.get(tx, canary.canary_id)
    assert moved is not None
    return moved, [f"Canary {canary.canary_id}: {why}; it is {after} now."]


def _judge(tx: Tx, canary: Canary, contract: CanaryContract, limits: Limits, rules: RollbackRules) -> list[str]:
    configured = flags.value(tx, ROLLBACK_MODE)
    warming = canary.watching_since is None
    said: list[str] = []
    for breach in breaches(_facts(tx, canary, contract, limits, rules), limits, rules):
        mode = mode_of(breach.rule, warming=warming, configured=configured)
        if mode == "enforce":
            return [*said, _roll_back(tx, canary, breach)]
        if mode == "observe" and _recorded(tx, canary, breach, "observe", []):
            said.append(f"Canary {canary.canary_id} would be rolled back: {breach.why}.")
    return said


def _facts(tx: Tx, canary: Canary, contract: CanaryContract, limits: Limits, rules: RollbackRules) -> RollbackFacts:
    """What happened in the window, or in the warm-up before it; duplicates count from the start."""
    since = canary.watching_since or canary.started_at
    finished, failed = store.attempts_since(tx, canary.canary_id, since=since)
    stale = alert_facts.stale_function_runs(
        tx, stale_cutoff=limits.stale_cutoff_seconds, restart_grace=limits.database_restart_grace_seconds
    )
    contention, deadlocks_before = _contention(tx, canary, since)
    latest = store.latest_samples(tx, canary.canary_id, since=since, limit=rules.queue_age_samples)
    return RollbackFacts(
        samples=[*_missing_now(canary, latest, since, contract), *_with_gaps(latest, contract)][
            : rules.queue_age_samples
        ],
        finished_jobs=finished,
        failed_jobs=failed,
        stale_function_runs=stale + recovery.stale_since(tx, since),
        duplicate_sends=audit.duplicate_keys(tx, seconds=canary.age_seconds),
        contention=contention,
        deadlocks_before=deadlocks_before,
    )


def _contention(tx: Tx, canary: Canary, since: datetime) -> tuple[list[ContentionSample], int | None]:
    """The database since then, newest first, and how many deadlocks it had counted just before."""
    every = store.contention(tx, canary.canary_id)
    later = [each for each in every if each.sampled_at > since]
    first = next(iter([*(each for each in reversed(every) if each.sampled_at <= since), *later]), None)
    found = [ContentionSample(each.sessions, each.lock_waiting, each.deadlocks) for each in reversed(later)]
    return found, None if first is None else first.deadlocks


def _missing_now(
    canary: Canary, latest: Sequence[CohortSample], since: datetime, contract: CanaryContract
) -> list[None]:
    """One for each sample that should have been taken by now, after the latest one."""
    last = latest[0].sampled_at if latest else since
    return [None] * contract.missing_between(canary.age_seconds - (last - canary.started_at).total_seconds())


def _with_gaps(samples: Sequence[CohortSample], contract: CanaryContract) -> list[CohortSample | None]:
    """The samples, newest first, with None for each that should be between two of them and is not."""
    found: list[CohortSample | None] = []
    for sample, earlier in zip_longest(samples, samples[1:]):
        found.append(sample)
        if earlier is not None:
            apart = (sample.sampled_at - earlier.sampled_at).total_seconds()
            found += [None] * contract.missing_between(apart)
    return found


def _roll_back(tx: Tx, canary: Canary, breach: Breach) -> str:
    """The overlay of the candidate ends with the canary; a duplicate stops every send besides."""
    changes = []
    if breach.rule == "duplicate":
        before = flags.value_to_change(tx, SENDS_ENABLED)
        if before != "off":
            why = f"canary {canary.canary_id}: {breach.why}"
            flags.override(tx, SENDS_ENABLED, "off", who=ROLLBACK, why=why)
            changes.append({"flag": SENDS_ENABLED, "from_value": before, "to_value": "off"})
    store.move(tx, canary, to_state=CanaryState.ROLLED_BACK, ends=True, who=ROLLBACK, why=breach.why)
    _recorded(tx, canary, breach, "enforce", changes)
    also = " Sends are switched off." if changes else ""
    return f"Canary {canary.canary_id} was rolled back: {breach.why}.{also}"


def _recorded(tx: Tx, canary: Canary, breach: Breach, mode: str, changes: Sequence[Mapping[str, str]]) -> bool:
    return rollback_store.record(
        tx,
        canary_id=canary.canary_id,
        mode=mode,
        rule=breach.rule,
        why=breach.why,
        numbers=breach.numbers,
        changes=changes,
    )
