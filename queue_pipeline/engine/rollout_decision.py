"""Decide about a rollout on the evidence of a packet, and keep the decision with its reasons."""

from dataclasses import dataclass

from queue_pipeline.domain.evidence_packet import checklist_of
from queue_pipeline.domain.rollout_checklist import REQUIRED
from queue_pipeline.domain.rollout_decision import ChecklistItem, complete, decide
from queue_pipeline.engine.evidence_packet import problems
from queue_pipeline.store import evidence_packet as store
from queue_pipeline.store.evidence_packet import KeptDecision, KeptPacket
from queue_pipeline.store.session import Database

#: An older packet does not say how it is now.
FRESH_SECONDS = 900.0
PACKET = "evidence packet"


@dataclass(frozen=True)
class RolloutDecided:
    """A decision on record, with the whole checklist that it was made on."""

    decision: KeptDecision
    items: list[ChecklistItem]


def decide_rollout(db: Database, kept: KeptPacket) -> RolloutDecided:
    """Decide on a packet: its checklist, and whether it is whole and fresh. Raises DatabaseUnavailable."""
    items = [*complete(checklist_of(kept.packet.document), required=REQUIRED), packet_item(kept)]
    decided = decide(items, required=(*REQUIRED, PACKET))
    with db.begin() as tx:
        decision = store.decide(
            tx,
            canary_id=kept.packet.canary_id,
            packet_sha256=kept.packet.sha256,
            verdict=decided.verdict,
            reasons=decided.reasons,
        )
    return RolloutDecided(decision, items)


def decisions(db: Database, *, limit: int) -> list[KeptDecision]:
    """Decisions, newest first. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.decisions(tx, limit=limit)


def packet_item(kept: KeptPacket) -> ChecklistItem:
    """Whether the packet itself can be believed: unchanged, and no older than a quarter of an hour."""
    found = problems(kept.packet)
    minutes = max(0.0, kept.age_seconds) / 60
    said = "; ".join(found) or f"intact, {minutes:.0f} min old"
    fresh = kept.age_seconds <= FRESH_SECONDS
    return ChecklistItem(
        PACKET,
        "fail" if found else "pass" if fresh else "unmeasured",
        said,
        f"intact and at most {FRESH_SECONDS / 60:.0f} min old",
        f"queue-pipeline rollout packet {kept.packet.name}",
        ("make a new one: `queue-pipeline rollout decide`",),
    )
