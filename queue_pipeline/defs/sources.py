"""The tables of the queue as external assets: where every number in the UI comes from."""

import dagster as dg

GROUP = "queue_tables"


def _table(name: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=["queue_pipeline", name], description=description, group_name=GROUP, kinds={"postgres", "table"}
    )


sources = [
    _table("job", "Every job and its state. Written by enqueue, claim, completion and recovery."),
    _table(
        "job_attempt", "One row for each ended attempt: when it was due, claimed, started, finished, and how it ended."
    ),
    _table("dispatch_window", "The permission to start one drain of one shard, given once."),
    _table(
        "function_run", "The ledger: one row for each drain. Every drain through Dagster leaves an observation here."
    ),
    _table("recovery_decision", "Why a function run, a window or a claim was recovered, and what came of it."),
]
lead_sources = [
    _table("inbound_event", "One row for each accepted delivery; the same delivery again finds it and does nothing."),
    _table("lead_outcome", "How each message of a lead ended, visibly: one row for each finished lead job."),
    _table("draft", "Replies that were drafted, what the gates found in them, and what a person decided."),
    _table("lead_task", "What people must do for leads: call, write again, find the right person."),
    _table("outbound_message", "The intent to send one message to one recipient, under its idempotency key."),
    _table("notification", "What people were told, or are still to be told."),
]
evidence_sources = [
    _table(
        "send_attempt", "One row for each try to hand a message to its provider, written before the provider is called."
    ),
    _table("provider_message", "What providers say that they have: by response, lookup, webhook or poll."),
    _table("inbound_conflict", "A delivery that came again with another body: kept, never run."),
]
#: What the duplicate-send audit reads.
audit_sources = [
    *(spec for spec in lead_sources if spec.key.path[-1] in ("inbound_event", "outbound_message")),
    *evidence_sources,
]
alert_sources = [
    _table("alert_incident", "One row for each thing that was wrong, from its first observation until it was over."),
    _table("alert_post", "Every message about an incident that reached a sink, or may have."),
]
rollout_sources = [
    _table("canary", "One row for each canary: candidate values of flags, for whom, since when, and how it ended."),
    _table("canary_sample", "Both cohorts at the same instants: the canary's workspaces, and all others."),
    _table("rollback", "Each time a rule said that a canary is to go back, whether that was done or only observed."),
    _table("control_event", "Every flip of a flag: who, why, from what, to what."),
]
quota_sources = [
    _table("workspace_sample", "Each minute: ages, attempts and duplicates of the workspaces that the rules watch."),
    _table("quota_decision", "Every decision about a workspace's quota or weight: by whom, why, on which numbers."),
    _table("quota_escalation", "Higher quotas for a while: who asked, who approved, until when, and how they ended."),
]
sources_by_name = {spec.key.path[-1]: spec for spec in sources}
FUNCTION_RUN = sources_by_name["function_run"].key
RECOVERY_DECISION = sources_by_name["recovery_decision"].key
