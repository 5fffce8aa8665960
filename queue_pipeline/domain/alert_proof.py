"""The proof that an alert reaches people: a breach that is forced on purpose and says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.incident import Condition, IncidentKind

#: The scope of forced incidents; no real one has it.
SCOPE = "proof"
#: The paths that the failure contract asks for.
KINDS: Sequence[IncidentKind] = (IncidentKind.STALE_RUN, IncidentKind.QUEUE_AGE)
#: A proof that is older says nothing about tonight.
FRESH_SECONDS = 86_400.0


@dataclass(frozen=True)
class AlertProof:
    """One forced breach that reached a sink; `seen_by_reading_back` when it was found there again."""

    alert_proof_id: int
    kind: str
    incident_id: int
    forced_at: datetime
    forced_by: str
    reached_at: datetime
    sink: str
    ts: str
    seen_by_reading_back: bool

    @property
    def said(self) -> str:
        """The proof in a sentence."""
        took = (self.reached_at - self.forced_at).total_seconds()
        read = "and was found there again" if self.seen_by_reading_back else "and cannot be read back there"
        return f"The forced {self.kind} alert reached {self.sink} after {took:.1f} s {read}."


def forced_condition(kind: IncidentKind, *, by: str) -> Condition:
    """A breach that is none: due at once, and marked so that nobody takes it for one."""
    evidence = {
        "headline": "FORCED to prove the alert path; nothing is wrong",
        "facts": [["Forced by", by], ["Ends", "by itself, within seconds"]],
        "numbers": {},
    }
    return Condition(kind, SCOPE, due=True, material="forced", evidence=evidence)


def kind_of(name: str) -> IncidentKind:
    """The kind by its name. Raises InvalidInput for one that is not proved."""
    found = next((kind for kind in KINDS if kind.value == name), None)
    if found is None:
        raise InvalidInput("kind", name, f"Prove one of: {', '.join(KINDS)}.")
    return found
