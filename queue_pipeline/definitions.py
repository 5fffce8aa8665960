"""Dagster starts here."""

import dagster as dg

from queue_pipeline.defs.alert_proof import alert_proof, prove_alert_path_job
from queue_pipeline.defs.alerts import alert_incidents, alert_sensor
from queue_pipeline.defs.canary import canary_jobs
from queue_pipeline.defs.canary_samples import canary_samples, control_flags
from queue_pipeline.defs.capacity import capacity_decisions, capacity_jobs
from queue_pipeline.defs.dispatch import dispatch_sensor, open_dispatch_windows
from queue_pipeline.defs.drafts import approve_draft_job, reject_draft_job
from queue_pipeline.defs.drain import drain_job, relief_job
from queue_pipeline.defs.duplicate_send_audit import (
    audit_job,
    audit_today_each_hour,
    audit_yesterday_each_night,
    duplicate_send_audit,
    duplicate_send_checks,
)
from queue_pipeline.defs.evidence_packet import evidence_packet
from queue_pipeline.defs.flags import decide_send_job, flip_flag_job
from queue_pipeline.defs.health import health_job, health_schedule, queue_contract, queue_health_snapshot
from queue_pipeline.defs.lead_flow import lead_flow
from queue_pipeline.defs.operator import cancel_job_job, replay_dead_letters_job, stop_drains_job
from queue_pipeline.defs.pause import pause_job, resume_job
from queue_pipeline.defs.quota import quota_decisions, quota_jobs
from queue_pipeline.defs.reconcile import reconcile_job, reconcile_sensor
from queue_pipeline.defs.recovery import recover_job
from queue_pipeline.defs.replay_gate import replay_gate, replay_gate_job
from queue_pipeline.defs.resources import IN_MEMORY, QueueResource
from queue_pipeline.defs.retention import retention_job, retention_schedule
from queue_pipeline.defs.rollout_decision import rollout_decision, rollout_job
from queue_pipeline.defs.slo_report import slo_report
from queue_pipeline.defs.sources import (
    alert_sources,
    evidence_sources,
    lead_sources,
    quota_sources,
    rollout_sources,
    sources,
)
from queue_pipeline.defs.trace import trace_job
from queue_pipeline.defs.watch import watch_sensor

defs = dg.Definitions(
    assets=[
        *sources,
        *lead_sources,
        *evidence_sources,
        *alert_sources,
        *rollout_sources,
        *quota_sources,
        queue_health_snapshot,
        lead_flow,
        alert_incidents,
        duplicate_send_audit,
        replay_gate,
        slo_report,
        alert_proof,
        capacity_decisions,
        control_flags,
        canary_samples,
        evidence_packet,
        rollout_decision,
        quota_decisions,
    ],
    asset_checks=[queue_contract, duplicate_send_checks],
    jobs=[
        drain_job,
        relief_job,
        recover_job,
        health_job,
        audit_job,
        retention_job,
        replay_dead_letters_job,
        cancel_job_job,
        stop_drains_job,
        pause_job,
        resume_job,
        reconcile_job,
        flip_flag_job,
        decide_send_job,
        approve_draft_job,
        reject_draft_job,
        trace_job,
        replay_gate_job,
        prove_alert_path_job,
        rollout_job,
        *canary_jobs,
        *capacity_jobs,
        *quota_jobs,
    ],
    schedules=[
        open_dispatch_windows,
        health_schedule,
        audit_today_each_hour,
        audit_yesterday_each_night,
        retention_schedule,
    ],
    sensors=[dispatch_sensor, watch_sensor, alert_sensor, reconcile_sensor],
    resources={"queue": QueueResource(), IN_MEMORY: dg.mem_io_manager},
    executor=dg.in_process_executor,
)
