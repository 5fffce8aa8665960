"""GO, NO-GO or INCONCLUSIVE as an asset, downstream of everything, and what keeps it from GO as checks."""

from collections.abc import Mapping, Sequence

import dagster as dg

from queue_pipeline.defs.alert_proof import alert_proof
from queue_pipeline.defs.canary_samples import canary_samples, control_flags
from queue_pipeline.defs.evidence_packet import checklist_table, evidence_packet
from queue_pipeline.defs.resources import ROLE_TAG, Cell, QueueResource, table, told_plainly
from queue_pipeline.defs.slo_report import slo_report
from queue_pipeline.domain.rollout_decision import ChecklistItem, RolloutVerdict
from queue_pipeline.engine.evidence_packet import load
from queue_pipeline.engine.rollout_decision import PACKET, RolloutDecided, decide_rollout, decisions

SHOWN = 20
_FAILED, _UNMEASURED, _INTACT = "nothing_failed", "nothing_is_unmeasured", "packet_is_intact_and_fresh"
_CHECKS: Mapping[str, str] = {
    _FAILED: "Does no item of the checklist fail? One that does is NO-GO.",
    _UNMEASURED: "Was every item of the checklist measured? Without that it is never GO.",
    _INTACT: "Is the evidence packet unchanged, and no older than 15 minutes?",
}


@dg.asset(
    deps=[evidence_packet],
    group_name="rollout",
    kinds={"postgres"},
    check_specs=[
        dg.AssetCheckSpec(name=name, asset="rollout_decision", description=question)
        for name, question in _CHECKS.items()
    ],
    description=(
        "GO only when every item of the checklist passes, NO-GO when one fails, INCONCLUSIVE while one was not"
        " measured. Decided on the latest evidence packet and kept with its reasons; nothing is switched by it. The"
        " command line has the same: `queue-pipeline rollout decide`."
    ),
)
def rollout_decision(queue: QueueResource) -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster knows the bare class only, where an asset has checks
    """Decide, keep the decision, and answer the checks."""
    with told_plainly():
        kept = load(queue.db)
        decided = decide_rollout(queue.db, kept)
        earlier = decisions(queue.db, limit=SHOWN)
    return dg.MaterializeResult(
        metadata={
            "verdict": dg.MetadataValue.text(decided.decision.verdict),
            "summary": dg.MetadataValue.md(summary_of(decided)),
            "checklist": checklist_table(decided.items),
            "packet_sha256": dg.MetadataValue.text(decided.decision.packet_sha256),
            "decisions": table(
                ["decided at", "canary", "verdict", "packet", "reasons"],
                [
                    {
                        "decided at": f"{each.decided_at:%Y-%m-%d %H:%M:%S %Z}",
                        "canary": each.canary_id,
                        "verdict": each.verdict,
                        "packet": each.packet_sha256[:12],
                        "reasons": "; ".join(each.reasons),
                    }
                    for each in earlier
                ],
            ),
        },
        check_results=list(_results(decided)),
    )


rollout_job = dg.define_asset_job(
    name="decide_rollout",
    selection=dg.AssetSelection.assets(
        slo_report, alert_proof, control_flags, canary_samples, evidence_packet, rollout_decision
    ),
    description="Measure everything, make the evidence packet, and decide: GO, NO-GO or INCONCLUSIVE.",
    executor_def=dg.in_process_executor,
    tags={ROLE_TAG: "rollout", "dagster/max_runtime": "600"},
)


def summary_of(decided: RolloutDecided) -> str:
    """The decision and its reasons in Markdown."""
    lines = [f"**{decided.decision.verdict}** on evidence packet `{decided.decision.packet_sha256[:12]}`"]
    return "\n".join([*lines, *(f"- {reason}" for reason in decided.decision.reasons)])


def _results(decided: RolloutDecided) -> Sequence[dg.AssetCheckResult]:
    failed = [item for item in decided.items if item.status == "fail"]
    unmeasured = [item for item in decided.items if item.status == "unmeasured"]
    packet = [item for item in decided.items if item.name == PACKET and item.status != "pass"]
    go = decided.decision.verdict == RolloutVerdict.GO
    return [
        _result(_FAILED, failed, "Nothing failed."),
        _result(_UNMEASURED, unmeasured, "Everything was measured." if go else "Everything else was measured."),
        _result(_INTACT, packet, "It is as it was made."),
    ]


def _result(name: str, against: Sequence[ChecklistItem], good: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=not against,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(item.said for item in against) or good,
        metadata={"items": _names(against)},
    )


def _names(items: Sequence[ChecklistItem]) -> dg.MetadataValue:
    rows: list[Mapping[str, Cell]] = [{"item": item.name, "value": item.value} for item in items]
    return table(["item", "value"], rows)
