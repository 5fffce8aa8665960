"""The evidence packet as an asset: everything that a rollout needs to know, named by the hash of its content."""

import base64
from collections.abc import Mapping, Sequence

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.alert_proof import alert_proof
from queue_pipeline.defs.canary_samples import canary_samples, control_flags
from queue_pipeline.defs.duplicate_send_audit import duplicate_send_audit
from queue_pipeline.defs.health import queue_health_snapshot
from queue_pipeline.defs.replay_gate import replay_gate
from queue_pipeline.defs.resources import Cell, QueueResource, table, told_plainly
from queue_pipeline.defs.slo_report import slo_report
from queue_pipeline.domain.evidence_markdown import markdown_of
from queue_pipeline.domain.evidence_packet import checklist_of
from queue_pipeline.domain.rollout_decision import ChecklistItem
from queue_pipeline.wiring import keep_evidence_packet, new_evidence_packet

CHECKLIST_COLUMNS = ["item", "status", "value", "bound", "measured by", "knobs"]


class PacketConfig(dg.Config):
    """What the packet is about."""

    canary: int = Field(default=0, ge=0, description="Number of a canary; 0 means the one that was started last.")


@dg.asset(
    deps=[
        queue_health_snapshot,
        slo_report,
        duplicate_send_audit,
        replay_gate,
        alert_proof,
        control_flags,
        canary_samples,
    ],
    group_name="rollout",
    kinds={"postgres"},
    description=(
        "Snapshot, service levels, audit, replay, alert proof, flags and versions, measured now and kept for good under"
        " the hash of their content, with the query behind every number. What does not pass names the knobs that"
        " address it; nothing is changed by itself."
    ),
)
def evidence_packet(queue: QueueResource, config: PacketConfig) -> dg.MaterializeResult[None]:
    """Measure, keep, write the files, and show."""
    with told_plainly():
        packet = new_evidence_packet(queue.settings, queue.db, canary_id=config.canary or None)
        kept, folder = keep_evidence_packet(queue.settings, queue.db, packet)
    items = checklist_of(packet.document)
    image = base64.b64encode(packet.png).decode("ascii")
    shown = markdown_of(packet.document, packet.sha256, chart=f"data:image/png;base64,{image}")
    return dg.MaterializeResult(
        metadata={
            "verdict": dg.MetadataValue.text(packet.verdict),
            "checklist": checklist_table(items),
            "packet": dg.MetadataValue.md(shown),
            "sha256": dg.MetadataValue.text(packet.sha256),
            "chart": dg.MetadataValue.path(str(folder / "packet.png")),
            "files": dg.MetadataValue.path(str(folder)),
            "created_at": dg.MetadataValue.timestamp(kept.created_at),
            "passed": dg.MetadataValue.int(sum(item.status == "pass" for item in items)),
            "failed": dg.MetadataValue.int(sum(item.status == "fail" for item in items)),
            "unmeasured": dg.MetadataValue.int(sum(item.status == "unmeasured" for item in items)),
        }
    )


def checklist_table(items: Sequence[ChecklistItem]) -> dg.MetadataValue:
    """The checklist as the UI shows it."""
    return table(CHECKLIST_COLUMNS, [_row(item) for item in items])


def _row(item: ChecklistItem) -> Mapping[str, Cell]:
    return {
        "item": item.name,
        "status": item.status,
        "value": item.value,
        "bound": item.bound,
        "measured by": item.source,
        "knobs": "" if item.status == "pass" else "; ".join(item.knobs),
    }
