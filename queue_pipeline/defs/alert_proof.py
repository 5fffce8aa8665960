"""The proof that alerts reach people: forced from the UI, and the latest proofs as an asset."""

from collections.abc import Mapping

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import ROLE_TAG, Cell, QueueResource, table, told_plainly
from queue_pipeline.defs.sources import alert_sources
from queue_pipeline.domain.alert_proof import KINDS, AlertProof
from queue_pipeline.engine.alert_proof import latest_proofs, prove_alert_path
from queue_pipeline.wiring import teller, where_alerts_go

SHOWN = 20


class ProveConfig(dg.Config):
    """Who asks for the proof."""

    who: str = Field(min_length=2, max_length=200, description="Who forces the alert: your name. It is kept.")


@dg.op(description="Force one breach of each path, read it back from where it went, and end it. Nobody is called.")
def prove_paths(context: dg.OpExecutionContext, config: ProveConfig, queue: QueueResource) -> None:
    """Prove each path, and fail when one did not reach its sink."""
    with told_plainly():
        alerting = teller(queue.settings, queue.db).alerting
        tried = prove_alert_path(queue.db, alerting, who=config.who)
    for each in tried:
        context.log.info(each.said)
    context.add_output_metadata({each.kind.value: each.said for each in tried})
    if any(each.proof is None for each in tried):
        raise dg.Failure(description=" ".join(each.said for each in tried))


@dg.job(
    name="prove_alert_path",
    description="Force an alert that says FORCED, let the real path post it, and read it back. Needs a name.",
    executor_def=dg.in_process_executor,
    tags={ROLE_TAG: "operator", "dagster/max_runtime": "300"},
)
def prove_alert_path_job() -> None:
    """Prove the path."""
    prove_paths()


@dg.asset(
    deps=alert_sources,
    group_name="rollout",
    kinds={"postgres", "slack"},
    description=(
        "Forced breaches that reached the sink, newest first, and whether they were found there again. Made by the"
        " Dagster job `prove_alert_path` or `queue-pipeline alerts prove`."
    ),
)
def alert_proof(queue: QueueResource) -> dg.MaterializeResult[None]:
    """Read and show."""
    with told_plainly():
        proofs = latest_proofs(queue.db, limit=SHOWN)
    newest = {kind: next((proof for proof in proofs if proof.kind == kind), None) for kind in KINDS}
    lines = [where_alerts_go(queue.settings)]
    lines += [f"- **{kind}**: {'never proved' if proof is None else proof.said}" for kind, proof in newest.items()]
    columns = ["kind", "forced", "by", "sink", "reached after", "read back"]
    return dg.MaterializeResult(
        metadata={
            "summary": dg.MetadataValue.md("\n".join(lines)),
            "proofs": table(columns, [_row(proof) for proof in proofs]),
            "proofs_read_back": dg.MetadataValue.int(sum(proof.seen_by_reading_back for proof in proofs)),
        }
    )


def _row(proof: AlertProof) -> Mapping[str, Cell]:
    return {
        "kind": proof.kind,
        "forced": f"{proof.forced_at:%Y-%m-%d %H:%M:%S %Z}",
        "by": proof.forced_by,
        "sink": proof.sink,
        "reached after": (proof.reached_at - proof.forced_at).total_seconds(),
        "read back": "yes" if proof.seen_by_reading_back else "no",
    }
