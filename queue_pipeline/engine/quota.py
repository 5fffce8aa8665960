"""One look at the quotas: end what has expired, sample the workspaces that are watched, and let the rules decide.

Any number of processes may look at once: one has its turn, the others pass. A look is a few short transactions by the
database's clock. What a look cannot do, the next one does.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.quota import Decision, Evidence, Reason, Standing, decide, evidence_of, quota_of
from queue_pipeline.domain.quota_window import QuotaRules
from queue_pipeline.store import canary
from queue_pipeline.store import quota as store
from queue_pipeline.store.quota import NewDecision
from queue_pipeline.store.session import Database, Tx, first_line, is_outage

log = logging.getLogger(__name__)

_DEFAULT_LIMITS = Limits()
_RULES = QuotaRules()
_RULES_WHO = "rules"
_CLOCK = "clock"
#: Bounds what one transaction changes: a changed lane stays locked, and claims pass it, until the commit.
EXPIRED_MAX = 20
BATCH = 50
TICK_SECONDS = 5.0


@dataclass(frozen=True)
class QuotaTick:
    """What one look did, in sentences without names; none when another was at it or nothing changed."""

    said: Sequence[str] = ()


def tick(
    db: Database, *, limits: Limits = _DEFAULT_LIMITS, rules: QuotaRules = _RULES, seconds: float = TICK_SECONDS
) -> QuotaTick:
    """Look once, for about so many seconds at most; the next look goes on. Raises DatabaseUnavailable."""
    until = time.monotonic() + seconds
    said: list[str] = []
    with db.begin() as tx:
        if not store.take_turn(tx):
            return QuotaTick()
        _attempt(tx, said, partial(end_expired, tx, limits=limits))
        _attempt(tx, said, partial(_sample, tx))
    after: str | None = ""
    while after is not None and time.monotonic() < until:
        with db.begin() as tx:
            after = _judge(tx, said, after, limits, rules) if store.take_turn(tx) else None
    return QuotaTick(said)


def end_expired(tx: Tx, *, limits: Limits, only: str | None = None) -> list[str]:
    """Let workspaces whose escalation is over, or one of them, return to what holds without it."""
    said: list[str] = []
    for standing in store.standings(tx, store.expired(tx, limit=EXPIRED_MAX, only=only)):
        if standing.escalated_quota is not None:
            _attempt(tx, said, partial(_expire, tx, standing, limits))
    return said


def _expire(tx: Tx, standing: Standing, limits: Limits) -> list[str] | None:
    quota = quota_of(standing.tier, standing.own_quota, None, limits)
    if not store.move(tx, standing.workspace, from_quota=standing.quota, to_quota=quota):
        return None
    store.end_escalation(tx, standing.workspace, who=_CLOCK, why="it has expired")
    said = f"The escalation to {standing.escalated_quota} has expired; {quota} is in force again."
    decision = Decision(standing.tier, quota, True, Reason.ESCALATION_EXPIRED, said)
    return [_recorded(tx, standing, decision, Evidence(), _CLOCK)]


def _sample(tx: Tx) -> list[str]:
    if store.is_sample_due(tx):
        now = canary.measure_contention(tx)
        store.sample(tx, sessions=now.sessions, lock_waiting=now.lock_waiting, deadlocks=now.deadlocks)
    return []


def _judge(tx: Tx, said: list[str], after: str, limits: Limits, rules: QuotaRules) -> str | None:
    """Judge the next few; returns the last of them, None when there are no more."""
    some, now = store.unjudged(tx, after=after, limit=BATCH)
    if now is None:
        return None
    samples = store.samples(tx, some, minutes=rules.look_back_minutes)
    answered: list[str] = []
    for standing in store.standings(tx, some):
        evidence = evidence_of(samples[standing.workspace], now=now, judged_since=standing.judged_since, rules=rules)
        decision = decide(standing, evidence, limits, rules)
        is_quiet = not evidence.duplicates and not _is_news(standing, decision)
        if is_quiet or _attempt(tx, said, partial(_apply, tx, standing, decision, evidence)):
            answered.append(standing.workspace)
    store.judged(tx, answered)
    return some[-1]


def _is_news(standing: Standing, decision: Decision) -> bool:
    said_before = (standing.tier, standing.quota, standing.rule_code)
    return decision.ends_escalation or said_before != (decision.tier, decision.quota, decision.reason)


def _apply(tx: Tx, standing: Standing, decision: Decision, evidence: Evidence) -> list[str] | None:
    moved = decision.quota == standing.quota or store.move(
        tx, standing.workspace, from_quota=standing.quota, to_quota=decision.quota
    )
    if not moved:
        return None
    if decision.ends_escalation:
        store.end_escalation(tx, standing.workspace, who=_RULES_WHO, why=decision.said)
    store.answer(
        tx,
        standing.workspace,
        tier=decision.tier,
        rule_code=decision.reason,
        duplicates=bool(evidence.duplicates),
    )
    if not _is_news(standing, decision):
        return []
    return [_recorded(tx, standing, decision, evidence, _RULES_WHO)]


def _recorded(tx: Tx, standing: Standing, decision: Decision, evidence: Evidence, who: str) -> str:
    number = store.record(
        tx,
        NewDecision(
            workspace=standing.workspace,
            from_quota=standing.quota,
            to_quota=decision.quota,
            from_tier=standing.tier,
            to_tier=decision.tier,
            reason_code=decision.reason,
            said=decision.said,
            who=who,
            healthy_windows=evidence.healthy_windows,
            breach_windows=evidence.breach_windows,
        ),
        evidence.signals,
    )
    return f"Quota decision {number} ({decision.reason}): {standing.quota} to {decision.quota} jobs. {decision.said}"


def _attempt(tx: Tx, said: list[str], work: Callable[[], list[str] | None]) -> bool:
    """Whether a part was done; what it said is added. One that fails is undone and told, and the rest goes on."""
    try:
        with tx.begin_nested():
            told = work()
    except Exception as error:
        if is_outage(error):
            raise
        log.exception("looking at quotas")
        said.append(f"A part of the look at quotas failed and is tried again: {first_line(error)}")
        return False
    said += told or []
    return told is not None
