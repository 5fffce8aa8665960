"""Prove that alerts reach people: force a breach, let the real path tell it, and look for it where it should be."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from queue_pipeline.domain.alert_proof import KINDS, SCOPE, AlertProof, forced_condition
from queue_pipeline.domain.alert_text import Post
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.incident import Condition, IncidentKind, dedup_key, observed
from queue_pipeline.domain.posting import NotPosted
from queue_pipeline.engine import alert
from queue_pipeline.engine.alert import CALL_SECONDS, Alerting
from queue_pipeline.store import alert_proof as store
from queue_pipeline.store import incident as incidents
from queue_pipeline.store.alert_proof import ForcedRoot
from queue_pipeline.store.session import Database, Tx

#: How long one proof may take: an evaluation, a post that perhaps waits out a rate limit, and the look at it.
PROOF_SECONDS = 30.0
_BY = "alert proof"
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class ProofTried:
    """One try to prove a path; `failure` says why there is no proof."""

    kind: IncidentKind
    proof: AlertProof | None
    failure: str | None = None

    @property
    def said(self) -> str:
        """What an operator reads about it."""
        return self.proof.said if self.proof is not None else f"The {self.kind} alert was not proved: {self.failure}."


def prove_alert_path(
    db: Database, alerting: Alerting, *, who: str, kinds: Sequence[IncidentKind] = KINDS, seconds: float = PROOF_SECONDS
) -> list[ProofTried]:
    """Prove each path in turn; the forced incident is over afterwards. Nobody is called: mentions are left out.

    Raises InvalidInput without a name, DatabaseUnavailable.
    """
    if not who.strip():
        raise InvalidInput("who", who, "Say who forces the alert; it is kept.")
    quiet = replace(alerting, mention=None)
    return [_Proof(db, quiet, kind, who.strip(), seconds).run() for kind in kinds]


def latest_proofs(db: Database, *, limit: int) -> list[AlertProof]:
    """Proofs, newest first. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.latest(tx, limit=limit)


class _Proof:
    """One forced breach, from its first evaluation until its incident is over."""

    def __init__(self, db: Database, alerting: Alerting, kind: IncidentKind, who: str, seconds: float) -> None:
        self._db = db
        self._alerting = alerting
        self._kind = kind
        self._who = who
        self._key = dedup_key(alerting.environment, kind, SCOPE)
        self._ends = time.monotonic() + seconds

    def run(self) -> ProofTried:
        """Force, post, read back, keep, and end."""
        self._end()  # one that was left open by a proof that was cut off
        try:
            if not self._force(forced_condition(self._kind, by=self._who)):
                return ProofTried(self._kind, None, "another evaluation was at it all the time")
            root = self._posted()
            if root is None:
                return ProofTried(self._kind, None, "another proof of it ended the forced incident")
            if root.sink is None or root.ts is None or root.posted_at is None:
                return ProofTried(self._kind, None, root.last_error or "it was not posted in time")
            return ProofTried(self._kind, self._kept(root, root.sink, root.ts, root.posted_at))
        finally:
            self._end()
            alert.post(self._db, self._alerting, by=_BY)

    def _force(self, condition: Condition) -> bool:
        while True:
            if alert.evaluate(self._db, self._alerting, by=_BY, forced=[condition]).evaluated:
                return True
            if not self._pause():
                return False

    def _posted(self) -> ForcedRoot | None:
        """The incident with its root message. Whoever posts first, here or elsewhere, posts it."""
        while True:
            posts = alert.post(self._db, self._alerting, by=_BY)
            refused = any(post.dedup_key == self._key and post.outcome == "refused" for post in posts)
            with self._db.begin() as tx:
                root = store.root(tx, self._key)
            if root is None or root.ts is not None or refused or not self._pause():
                return root

    def _kept(self, root: ForcedRoot, sink: str, ts: str, reached_at: datetime) -> AlertProof:
        seen = self._seen(root, sink, ts)
        with self._db.begin() as tx:
            return store.record(
                tx,
                kind=self._kind,
                incident_id=root.incident_id,
                forced_at=root.fired_at,
                forced_by=self._who,
                reached_at=reached_at,
                sink=sink,
                ts=ts,
                seen_by_reading_back=seen,
            )

    def _seen(self, root: ForcedRoot, sink: str, ts: str) -> bool:
        """Whether the message that was posted is found in the sink by its identity."""
        if sink != self._alerting.sink.name:
            return False
        identity: Mapping[str, str | int] = {
            "dedup_key": self._key,
            "generation": root.generation,
            "seq": root.seq,
            "what": Post.ROOT.value,
        }
        try:
            place = self._alerting.sink.find(identity, root=None, since=root.fired_at, seconds=CALL_SECONDS)
        except NotPosted:
            return False
        return place is not None and place.ts == ts

    def _end(self) -> None:
        """Resolve the forced incident, and only it, without the five healthy minutes of a real one."""
        while True:
            with self._db.begin() as tx:
                if incidents.take_turn(tx):
                    self._resolve(tx)
                    return
            if not self._pause():
                return

    def _resolve(self, tx: Tx) -> None:
        at_once = replace(self._alerting.rules, resolve_after=0.0, pending_clears_after=0.0)
        now, _ = incidents.clock(tx)
        for present in incidents.open_incidents(tx):
            if present.dedup_key != self._key:
                continue
            over = observed(present.incident, None, now, at_once, interrupted=False)
            incidents.update(
                tx, present.incident_id, incident=over.incident, evidence=present.evidence, seen=False, tell=over.tell
            )

    def _pause(self) -> bool:
        """Wait for a moment; False when the time of the proof is over."""
        threading.Event().wait(_PAUSE_SECONDS)
        return time.monotonic() < self._ends
