"""Alerts: decide what is wrong, and make it visible. Two steps that know of each other only through the incident table.

Any number of processes may do either at any time; none of it goes through the queue that it watches.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from queue_pipeline.domain import alert_condition
from queue_pipeline.domain.alert_text import AlertText, Post, worded
from queue_pipeline.domain.incident import (
    AlertRules,
    Condition,
    IncidentStatus,
    Transition,
    dedup_key,
    observed,
    opened,
)
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.posting import LEASE_SECONDS, Ambiguous, NotPosted, Refused, retry_in
from queue_pipeline.engine import growth
from queue_pipeline.engine.alert_sink import AlertSink, Place
from queue_pipeline.store import alert_facts
from queue_pipeline.store import incident as store
from queue_pipeline.store.incident import DuePost, ListedIncident, OpenIncident
from queue_pipeline.store.session import Database, Tx

log = logging.getLogger(__name__)

#: One call of a sink, at most; three of them fit into a turn, and a turn into the lease.
CALL_SECONDS = 4.0
TURN_SECONDS = 8.0
_SECONDS_MIN = 1.0


@dataclass(frozen=True)
class Alerting:
    """How this installation alerts. `fallback` is told at once what `sink` could not be told."""

    environment: str
    sink: AlertSink
    fallback: AlertSink
    mention: str | None = None
    runbook_url: str = "docs/runbook.md"
    limits: Limits = field(default_factory=Limits)
    rules: AlertRules = field(default_factory=AlertRules)


@dataclass(frozen=True)
class Posted:
    """What became of one message: `outcome` is posted, adopted, refused, not_sent or ambiguous."""

    dedup_key: str
    generation: int
    what: Post
    outcome: str
    error: str | None = None

    def sentence(self) -> str:
        """What an operator reads about it."""
        said = f"{self.what} of {self.dedup_key} (generation {self.generation}): {self.outcome}"
        return f"{said}: {self.error}" if self.error else f"{said}."


@dataclass(frozen=True)
class AlertTurn:
    """One evaluation and what was posted: sentences about every change, and how many incidents are open."""

    evaluated: bool
    open: int = 0
    changes: tuple[str, ...] = ()
    posts: tuple[Posted, ...] = ()

    def sentences(self) -> list[str]:
        """Everything that happened; why nothing did otherwise."""
        said = [*self.changes, *(post.sentence() for post in self.posts)]
        if said:
            return said
        if not self.evaluated:
            return ["Another evaluator is at it."]
        if not self.open:
            return ["Nothing is wrong."]
        return [f"{self.open} {'incident is' if self.open == 1 else 'incidents are'} open; nothing changed."]


def turn(db: Database, alerting: Alerting, *, by: str, seconds: float = TURN_SECONDS) -> AlertTurn:
    """Evaluate, then post for at most so many seconds. Raises DatabaseUnavailable."""
    evaluation = evaluate(db, alerting, by=by)
    posts = post(db, alerting, by=by, seconds=seconds)
    return AlertTurn(evaluation.evaluated, evaluation.open, evaluation.changes, tuple(posts))


def evaluate(db: Database, alerting: Alerting, *, by: str, forced: Sequence[Condition] = ()) -> AlertTurn:
    """Look at the queue once, by the database's clock, and move every incident on. Raises DatabaseUnavailable.

    Evaluations take turns: facts that were read before another evaluation ended would undo what it decided. `forced`
    are conditions that are to be taken for true, to prove the path.
    """
    rules, limits = alerting.rules, alerting.limits
    with db.begin() as tx:
        if not store.take_turn(tx):
            return AlertTurn(evaluated=False)
        now, evaluated_at = store.clock(tx)
        pause = None if evaluated_at is None else (now - evaluated_at).total_seconds()
        interrupted = pause is None or not 0 <= pause <= rules.gap
        facts = alert_facts.read(
            tx,
            stale_cutoff=limits.stale_cutoff_seconds,
            restart_grace=limits.database_restart_grace_seconds,
            unknown_after=rules.unknown_after,
            queue_age_limit=limits.queue_age_limit_seconds,
        )
        facts = replace(facts, growth=growth.read(tx, limits))
        wrong = {
            dedup_key(alerting.environment, condition.kind, condition.scope): condition
            for condition in (*alert_condition.conditions(facts, limits, rules), *forced)
        }
        changes, still_open = [], 0
        for present in store.open_incidents(tx):
            condition = wrong.pop(present.dedup_key, None)
            changed = observed(present.incident, condition, now, rules, interrupted=interrupted)
            changes += _write(tx, present, condition, changed)
            still_open += changed.incident.status is not IncidentStatus.RESOLVED
        for key, condition in wrong.items():
            changes += _open(tx, key, condition, opened(condition, now, rules))
            still_open += 1
        store.mark(tx, by=by)
    return AlertTurn(evaluated=True, open=still_open, changes=tuple(changes))


def _write(tx: Tx, present: OpenIncident, condition: Condition | None, changed: Transition) -> list[str]:
    store.update(
        tx,
        present.incident_id,
        incident=changed.incident,
        evidence=present.evidence if condition is None else condition.evidence,
        seen=condition is not None,
        tell=changed.tell,
    )
    before, after = present.incident.status, changed.incident.status
    return [] if before is after else [f"{present.dedup_key} (generation {present.generation}): {before} to {after}."]


def _open(tx: Tx, key: str, condition: Condition, first: Transition) -> list[str]:
    generation = store.insert(
        tx,
        dedup_key=key,
        kind=condition.kind,
        severity=condition.severity,
        incident=first.incident,
        evidence=condition.evidence,
        tell=first.tell,
    )
    return [] if generation is None else [f"{key} (generation {generation}): {first.incident.status}."]


def post(db: Database, alerting: Alerting, *, by: str, seconds: float = TURN_SECONDS) -> list[Posted]:
    """Make visible what is wanted, one incident after the other, for at most so many seconds.

    Each is claimed by compare-and-set, posted outside any transaction, and recorded. A message that the sink refused
    leaves the others alone; a sink that cannot be reached ends the turn. Raises DatabaseUnavailable.
    """
    ends = time.monotonic() + seconds
    done: list[Posted] = []
    while ends - time.monotonic() > _SECONDS_MIN:
        with db.begin() as tx:
            due = store.claim_post(
                tx, sink=alerting.sink.name, takes_over=alerting.sink.is_chat, by=by, lease_seconds=LEASE_SECONDS
            )
        if due is None:
            break
        done.append(_post(db, alerting, due, ends))
        if done[-1].outcome in ("not_sent", "ambiguous"):
            break
    return done


def listed(db: Database, *, limit: int) -> Sequence[ListedIncident]:
    """Open incidents, then the latest that are over. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.latest(tx, limit=limit)


def test_message(alerting: Alerting) -> Place:
    """Post a message that proves the path; gives where it is. Raises NotPosted with the reason."""
    text = AlertText(
        headline=f"[{alerting.environment}] TEST: alerts arrive here. Nothing is wrong.",
        facts=(),
        happens_next="Nothing; somebody ran `queue-pipeline alerts test`.",
        mention="",
        runbook=alerting.runbook_url,
        context=f"environment {alerting.environment}",
        identity={"dedup_key": f"{alerting.environment}:test:default", "generation": 0, "seq": 0, "what": "test"},
    )
    return alerting.sink.post_root(text, seconds=CALL_SECONDS)


def _post(db: Database, alerting: Alerting, due: DuePost, ends: float) -> Posted:
    what = _what(due)
    text = _text(alerting, due, what)
    try:
        place, outcome = _Attempt(alerting.sink, due, what, text, ends).run()
    except NotPosted as error:
        return _failed(db, alerting, due, what, error)
    root = place if what is Post.ROOT else None
    with db.begin() as tx:
        store.posted(
            tx,
            due,
            what=what,
            seq=due.seq if root is None or root.seq is None else min(due.seq, root.seq),
            repeat_every=alerting.rules.repeat_every,
            channel=None if root is None else root.channel,
            root_ts=None if root is None else root.ts,
        )
        store.record_post(tx, due, what=what, sink=alerting.sink.name, outcome=outcome, ts=place.ts if place else None)
    return Posted(due.facts.dedup_key, due.facts.generation, what, outcome)


def _failed(db: Database, alerting: Alerting, due: DuePost, what: Post, error: NotPosted) -> Posted:
    in_doubt = isinstance(error, (Ambiguous, _Unresolved))
    with db.begin() as tx:
        store.post_failed(tx, due, error=str(error), delay=retry_in(due.failures, error), unresolved=in_doubt)
        is_new = store.record_post(tx, due, what=what, sink=alerting.sink.name, outcome=error.outcome, error=str(error))
    log.log(logging.WARNING if is_new else logging.DEBUG, "alert %s waits: %s", due.facts.dedup_key, error)
    if is_new and alerting.sink.is_chat:
        alerting.fallback.post_root(_text(alerting, due, what), seconds=CALL_SECONDS)
    return Posted(due.facts.dedup_key, due.facts.generation, what, error.outcome, str(error))


def _what(due: DuePost) -> Post:
    if due.root_ts is None:
        return Post.ROOT
    if due.facts.status is IncidentStatus.RESOLVED:
        return Post.RESOLVE
    return Post.REPEAT if due.repeat_is_due else Post.UPDATE


def _text(alerting: Alerting, due: DuePost, what: Post) -> AlertText:
    return worded(
        due.facts,
        what,
        seq=due.seq,
        environment=alerting.environment,
        mention=alerting.mention,
        runbook_url=alerting.runbook_url,
    )


class _Unresolved(NotPosted):
    """An earlier post is in doubt still: the sink could not be asked about it."""


class _Attempt:
    """One try to make one incident visible: look first where an earlier try is in doubt, then post."""

    def __init__(self, sink: AlertSink, due: DuePost, what: Post, text: AlertText, ends: float) -> None:
        self._sink = sink
        self._due = due
        self._what = what
        self._text = text
        self._ends = ends

    def run(self) -> tuple[Place | None, str]:
        """Where the message is, and whether it was posted now or adopted. Raises NotPosted."""
        if self._what is Post.ROOT:
            found = self._earlier_root() if self._due.unresolved else None
            if found is not None:
                return found, "adopted"
            return self._sink.post_root(self._text, seconds=self._seconds()), "posted"
        assert self._due.root_ts is not None
        root = Place(self._due.channel or "", self._due.root_ts)
        self._sink.update_root(self._text, root, seconds=self._seconds())
        if self._what is Post.UPDATE:
            return root, "posted"
        found = self._earlier_reply(root) if self._due.unresolved else None
        if found is not None:
            return found, "adopted"
        return self._sink.reply(self._text, root, seconds=self._seconds()), "posted"

    def _earlier_root(self) -> Place | None:
        """Never two roots: while the sink cannot be asked, nothing is posted. One that nobody may ask may get two."""
        try:
            return self._find(None)
        except Refused as error:
            log.warning("alert %s may be posted twice: %s", self._due.facts.dedup_key, error)
            return None
        except NotPosted as error:
            raise _Unresolved(str(error), retry_after=error.retry_after) from error

    def _earlier_reply(self, root: Place) -> Place | None:
        """In the thread a second copy is better than silence."""
        try:
            return self._find(root)
        except NotPosted:
            return None

    def _find(self, root: Place | None) -> Place | None:
        since = self._due.facts.fired_at or self._due.facts.opened_at
        return self._sink.find(self._text.identity, root=root, since=since, seconds=self._seconds())

    def _seconds(self) -> float:
        return min(CALL_SECONDS, max(_SECONDS_MIN / 2, self._ends - time.monotonic()))
