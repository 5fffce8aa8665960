"""Make one packet of the evidence of a rollout, keep it, and find it again. Nothing else is changed."""

from collections.abc import Callable, Sequence

from queue_pipeline.domain.canary import CohortSample
from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.domain.evidence_markdown import markdown_of
from queue_pipeline.domain.evidence_packet import EvidencePacket, digest, document_of, problems_of, sha256_of
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.rollout_checklist import REQUIRED, checklist
from queue_pipeline.domain.rollout_decision import complete, decide
from queue_pipeline.engine.evidence_facts import Installation, audit_as_json, canary_as_json, facts_of, read
from queue_pipeline.store import evidence_packet as store
from queue_pipeline.store.evidence_packet import KeptPacket
from queue_pipeline.store.session import Database

#: Draws the samples of both cohorts and the limit of the queue age, in seconds, as a PNG.
Draw = Callable[[Sequence[CohortSample], float], bytes]

_DEFAULT_LIMITS = Limits()
_NAME_MIN = 6


def gather(
    db: Database,
    installation: Installation,
    draw: Draw,
    *,
    canary_id: int | None = None,
    limits: Limits = _DEFAULT_LIMITS,
) -> EvidencePacket:
    """Measure everything and make a packet of it, about the canary that was started last unless another is named.

    It is not kept yet. Raises NotFound, DatabaseUnavailable.
    """
    evidence = read(db, canary_id=canary_id, limits=limits)
    status = evidence.status
    items = complete(checklist(facts_of(evidence, installation)), required=REQUIRED)
    decision = decide(items, required=REQUIRED)
    png = draw(() if status is None else status.samples, limits.queue_age_limit_seconds)
    server = str(evidence.others["schema_revision"].one().get("postgresql"))
    document = document_of(
        measured_at=evidence.measured_at,
        environment=installation.environment,
        decision=decision,
        items=items,
        canary=None if status is None else canary_as_json(status),
        slo=evidence.slo,
        others=list(evidence.others.values()),
        audit=audit_as_json(evidence),
        flags=evidence.flags,
        versions={**installation.versions, "postgresql": server},
        chart_sha256=sha256_of(png),
    )
    sha256 = digest(document)
    number = None if status is None else status.canary.canary_id
    return EvidencePacket(sha256, number, decision.verdict.value, document, markdown_of(document, sha256), png)


def keep(db: Database, packet: EvidencePacket) -> KeptPacket:
    """Keep a packet for good; the very same one again changes nothing. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        store.keep(tx, packet)
        (kept,) = store.by_name(tx, packet.sha256)
        return kept


def load(db: Database, name: str | None = None) -> KeptPacket:
    """The packet whose hash begins so, by default the one that was made last. Raises InvalidInput, NotFound."""
    remedy = "Make one with `queue-pipeline rollout decide`."
    with db.begin() as tx:
        if name is None:
            kept = store.latest(tx)
            if kept is None:
                raise NotFound("packet", "latest", f"None was ever made. {remedy}")
            return kept
        if len(name) < _NAME_MIN:
            raise InvalidInput("packet", name, f"Give at least {_NAME_MIN} digits of its hash.")
        found = store.by_name(tx, name.lower())
    if not found:
        raise NotFound("packet", name, f"No packet has this hash. {remedy}")
    if len(found) > 1:
        raise InvalidInput("packet", name, "Several packets begin so; give more digits.")
    return found[0]


def problems(packet: EvidencePacket) -> list[str]:
    """What of a packet was changed since it was named; nothing is good."""
    return problems_of(packet, markdown_of(packet.document, packet.sha256))
