"""Quotas: what is measured of a workspace, where it stands, and the decisions about it.

Whoever changes a quota locks the workspace's row of `workspace_quota` first, and its lane last and for a moment:
claims pass a locked lane, and wait for nothing here.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from queue_pipeline.domain.quota import Standing, Tier
from queue_pipeline.domain.quota_window import Signals, WorkspaceSample
from queue_pipeline.store.claim import RANK
from queue_pipeline.store.session import Tx

#: The oldest due jobs of the whole queue that are looked at, and the next jobs of each lane.
OLDEST_MAX = 20_000
LANE_MAX = 1_000

#: Nobody waits for a turn, nor long for a lock: alerts are told by the same processes.
TAKE_TURN_SQL = """
SELECT pg_try_advisory_xact_lock(hashtext('queue_pipeline.quota'), hashtext(current_database())) AS is_ours,
       set_config('idle_in_transaction_session_timeout', '5000', true), set_config('statement_timeout', '5000', true),
       set_config('lock_timeout', '1000', true)
"""

_NAMES = """
SELECT workspace FROM workspace_quota WHERE eligible OR tier = 'promoted'
UNION
SELECT workspace FROM quota_escalation WHERE ended_at IS NULL
"""

#: Who is looked at, and since when; once in each minute of the clock. Attempts of a gap of more than five minutes are not
#: counted, as its minutes have no sample anyway. Duplicates overlap by five minutes with what was looked at before, as a
#: provider's message may be committed late; those that were answered are left out.
_WATCHED = f"""
watched AS MATERIALIZED (
    SELECT w.workspace, greatest(coalesce(s.sampled_at, now() - interval '1 minute'), now() - interval '5 minutes') AS since,
           greatest(coalesce(s.sampled_at, now()) - interval '5 minutes', now() - interval '1 day', q.duplicates_since) AS duplicates_since
    FROM ({_NAMES}) w
    JOIN workspace_quota q USING (workspace)
    LEFT JOIN LATERAL (
        SELECT p.sampled_at FROM workspace_sample p WHERE p.workspace = w.workspace ORDER BY p.sampled_at DESC LIMIT 1) s ON true
    WHERE s.sampled_at IS NULL OR s.sampled_at < date_trunc('minute', now())
)
"""

#: The oldest due job of each: exact while it is among the oldest of the queue or the next of its lane.
_DUE = f"""
due AS (
    SELECT workspace, min(first_due_at) AS first_due_at FROM (
        SELECT workspace, first_due_at FROM job WHERE state = 'PENDING' ORDER BY first_due_at LIMIT {OLDEST_MAX}) o
    GROUP BY workspace
    UNION ALL
    SELECT w.workspace, (SELECT min(n.first_due_at) FROM (
        SELECT j.first_due_at FROM job j WHERE j.workspace = w.workspace AND j.state = 'PENDING'
        ORDER BY {RANK}, j.job_id LIMIT {LANE_MAX}) n)
    FROM watched w
    UNION ALL
    SELECT workspace, min(first_due_at) FROM (
        SELECT workspace, first_due_at FROM job WHERE state = 'SCHEDULED' AND NOT parked AND run_at <= now()
        ORDER BY run_at LIMIT {OLDEST_MAX}) u
    GROUP BY workspace
    UNION ALL
    SELECT j.workspace, j.first_due_at
    FROM function_run r JOIN job j ON j.function_run_id = r.function_run_id AND j.state = 'RUNNING'
    WHERE r.state = 'RUNNING' AND r.lease_until < now()
), age AS (
    SELECT w.workspace, greatest(0, extract(epoch FROM now() - min(d.first_due_at)))::float8 AS seconds
    FROM watched w JOIN due d USING (workspace) GROUP BY w.workspace
)
"""

_ENDED = """
ended AS (
    SELECT w.workspace,
           count(*) FILTER (WHERE a.outcome NOT IN ('SNOOZED', 'CANCELLED', 'RELEASED')) AS finished,
           count(*) FILTER (WHERE a.outcome IN ('FAILED', 'RETRY', 'TIMED_OUT', 'LOST')) AS failed
    FROM job_attempt a
    CROSS JOIN LATERAL (SELECT o.workspace FROM job o WHERE o.job_id = a.job_id OFFSET 0) j
    JOIN watched w ON w.workspace = j.workspace
    WHERE a.finished_at > (SELECT min(since) FROM watched) AND a.finished_at > w.since AND a.finished_at <= now()
    GROUP BY w.workspace
)
"""

#: OFFSET 0 keeps each look-up by its index: PostgreSQL cannot know how little is newer than the sample before.
#: Keys of which a message was heard of since then, and that have more than one message at a provider, whenever that was.
_TWICE = """
heard AS MATERIALIZED (
    SELECT outbound_message_id, idempotency_key, first_seen_at FROM provider_message
    WHERE direction = 'outbound' AND author NOT IN ('person', 'lead')
      AND first_seen_at > (SELECT min(duplicates_since) FROM watched)
), subject AS (
    SELECT o.workspace, o.idempotency_key, o.outbound_message_id
    FROM heard h
    CROSS JOIN LATERAL (SELECT m.* FROM outbound_message m WHERE m.outbound_message_id = h.outbound_message_id OFFSET 0) o
    JOIN watched w USING (workspace)
    WHERE h.first_seen_at > w.duplicates_since
    UNION
    SELECT o.workspace, o.idempotency_key, o.outbound_message_id
    FROM heard h
    CROSS JOIN LATERAL (SELECT m.* FROM outbound_message m WHERE m.idempotency_key = h.idempotency_key OFFSET 0) o
    JOIN watched w USING (workspace)
    WHERE h.first_seen_at > w.duplicates_since
), message AS (
    SELECT s.workspace, s.idempotency_key, m.provider, m.account, m.provider_message_id
    FROM subject s
    CROSS JOIN LATERAL (SELECT p.* FROM provider_message p WHERE p.outbound_message_id = s.outbound_message_id OFFSET 0) m
    WHERE m.direction = 'outbound' AND m.author NOT IN ('person', 'lead')
    UNION
    SELECT s.workspace, s.idempotency_key, m.provider, m.account, m.provider_message_id
    FROM subject s
    CROSS JOIN LATERAL (SELECT p.* FROM provider_message p WHERE p.idempotency_key = s.idempotency_key OFFSET 0) m
    WHERE m.direction = 'outbound' AND m.author NOT IN ('person', 'lead')
), twice AS (
    SELECT workspace, count(*) AS keys FROM (
        SELECT workspace, idempotency_key FROM message GROUP BY 1, 2 HAVING count(*) > 1) k
    GROUP BY workspace
)
"""

#: Every watched workspace at one instant, in one statement.
SAMPLE_SQL = f"""
WITH {_WATCHED}, {_DUE}, {_ENDED}, {_TWICE}
INSERT INTO workspace_sample (workspace, sampled_at, oldest_due_age_seconds, finished, failed, duplicates, sessions, lock_waiting,
    deadlocks)
SELECT w.workspace, now(), coalesce(a.seconds, 0), coalesce(e.finished, 0), coalesce(e.failed, 0), coalesce(t.keys, 0),
       :sessions, :lock_waiting, :deadlocks
FROM watched w
LEFT JOIN age a USING (workspace) LEFT JOIN ended e USING (workspace) LEFT JOIN twice t USING (workspace)
"""

IS_DUE_SQL = f"WITH {_WATCHED} SELECT EXISTS (SELECT FROM watched)"

#: Page by page in the order of names, so that those that cannot be answered now hide nobody.
UNJUDGED_SQL = f"""
SELECT q.workspace, now() AS at
FROM ({_NAMES}) w
JOIN workspace_quota q USING (workspace)
CROSS JOIN LATERAL (
    SELECT p.sampled_at FROM workspace_sample p WHERE p.workspace = q.workspace ORDER BY p.sampled_at DESC LIMIT 1) s
WHERE q.workspace > :after AND s.sampled_at > q.judged_at
ORDER BY q.workspace LIMIT :limit
"""
JUDGED_SQL = "UPDATE workspace_quota SET judged_at = now() WHERE workspace = ANY (:workspaces)"

SAMPLES_SQL = """
SELECT workspace, sampled_at, oldest_due_age_seconds, finished, failed, duplicates, sessions, lock_waiting, deadlocks
FROM workspace_sample
WHERE workspace = ANY (:workspaces) AND sampled_at > now() - make_interval(mins => :minutes)
ORDER BY workspace, sampled_at
"""

#: Who decides about a workspace holds its row.
LOCK_SQL = "SELECT FROM workspace_quota WHERE workspace = ANY (:workspaces) ORDER BY workspace FOR UPDATE"
#: A statement of its own: its snapshot is younger than the locks, so that it sees what was decided before them. The lane
#: is read without a lock, and changed only where it still says the same.
STANDINGS_SQL = """
SELECT q.workspace, q.eligible, q.tier, l.quota, q.own_quota, e.quota AS escalated_quota, q.rule_code, q.judged_since
FROM workspace_quota q
JOIN workspace_lane l USING (workspace)
LEFT JOIN quota_escalation e ON e.workspace = q.workspace AND e.ended_at IS NULL
WHERE q.workspace = ANY (:workspaces)
ORDER BY q.workspace
"""

EXPIRED_SQL = """
SELECT workspace FROM quota_escalation WHERE ended_at IS NULL AND expires_at <= clock_timestamp()
  AND (CAST(:only AS text) IS NULL OR workspace = :only)
ORDER BY expires_at LIMIT :limit
"""

#: Compare-and-set: a quota that somebody else has changed since it was read is left alone.
MOVE_SQL = """
UPDATE workspace_lane SET quota = :to_quota WHERE workspace = :workspace AND quota = :from_quota
"""
#: Drains that found the lane at its cap look again at once.
WAKE_SQL = "SELECT pg_notify('queue_pipeline', 'due')"

ANSWER_SQL = """
UPDATE workspace_quota SET
    tier = :tier, rule_code = :rule_code,
    judged_since = CASE WHEN tier = :tier THEN judged_since ELSE now() END,
    duplicates_since = CASE WHEN :duplicates THEN now() ELSE duplicates_since END
WHERE workspace = :workspace
"""
SET_OWN_QUOTA_SQL = "UPDATE workspace_quota SET own_quota = :quota WHERE workspace = :workspace"
SET_ELIGIBLE_SQL = """
UPDATE workspace_quota SET eligible = :eligible, judged_since = clock_timestamp() WHERE workspace = :workspace
"""

#: What the latest sample has counted is known to whoever escalates; anything newer ends the escalation.
ESCALATE_SQL = """
WITH known AS (
    UPDATE workspace_quota q SET duplicates_since = greatest(q.duplicates_since, coalesce(
        (SELECT max(s.sampled_at) FROM workspace_sample s
         WHERE s.workspace = q.workspace AND s.sampled_at > clock_timestamp() - interval '5 minutes'), clock_timestamp()))
    WHERE q.workspace = :workspace
)
INSERT INTO quota_escalation (workspace, quota, expires_at, who, approver, why)
VALUES (:workspace, :quota, clock_timestamp() + make_interval(secs => :seconds), :who, :approver, :why)
RETURNING expires_at
"""
END_ESCALATION_SQL = """
UPDATE quota_escalation SET ended_at = clock_timestamp(), ended_by = :who, end_reason = :why
WHERE workspace = :workspace AND ended_at IS NULL
"""

RECORD_SQL = """
INSERT INTO quota_decision (workspace, from_quota, to_quota, from_tier, to_tier, reason_code, said, healthy_windows, breach_windows,
    signals, who)
VALUES (:workspace, :from_quota, :to_quota, :from_tier, :to_tier, :reason_code, :said, :healthy_windows, :breach_windows,
    CAST(:signals AS jsonb), :who)
RETURNING quota_decision_id
"""


@dataclass(frozen=True)
class NewDecision:
    """A decision that is put on record."""

    workspace: str
    from_quota: int
    to_quota: int
    from_tier: str
    to_tier: str
    reason_code: str
    said: str
    who: str
    healthy_windows: int = 0
    breach_windows: int = 0


def take_turn(tx: Tx) -> bool:
    """Whether this transaction may judge quotas; another one is at it otherwise."""
    return bool(tx.execute(sa.text(TAKE_TURN_SQL)).one().is_ours)


def is_sample_due(tx: Tx) -> bool:
    """Whether a watched workspace has no sample of this minute."""
    return bool(tx.execute(sa.text(IS_DUE_SQL)).scalar_one())


def sample(tx: Tx, *, sessions: int, lock_waiting: int, deadlocks: int) -> int:
    """Measure every watched workspace that has no sample of this minute; returns how many."""
    values = {"sessions": sessions, "lock_waiting": lock_waiting, "deadlocks": deadlocks}
    return tx.execute(sa.text(SAMPLE_SQL), values).rowcount


def unjudged(tx: Tx, *, after: str, limit: int) -> tuple[list[str], datetime | None]:
    """Workspaces with a sample that has not been judged, the next ones by name, and this transaction's instant."""
    rows = tx.execute(sa.text(UNJUDGED_SQL), {"after": after, "limit": limit}).all()
    return [row.workspace for row in rows], rows[0].at if rows else None


def judged(tx: Tx, workspaces: Collection[str]) -> None:
    """Note that their samples have been answered."""
    tx.execute(sa.text(JUDGED_SQL), {"workspaces": list(workspaces)})


def samples(tx: Tx, workspaces: Collection[str], *, minutes: int) -> dict[str, list[WorkspaceSample]]:
    """The samples of the last so many minutes by workspace, oldest first."""
    found: dict[str, list[WorkspaceSample]] = {workspace: [] for workspace in workspaces}
    for row in tx.execute(sa.text(SAMPLES_SQL), {"workspaces": list(workspaces), "minutes": minutes}):
        found[row.workspace].append(WorkspaceSample(*row[1:]))
    return found


def standings(tx: Tx, workspaces: Collection[str]) -> list[Standing]:
    """Where workspaces stand, locked in the order of their names until the transaction ends."""
    values = {"workspaces": list(workspaces)}
    tx.execute(sa.text(LOCK_SQL), values)
    rows = tx.execute(sa.text(STANDINGS_SQL), values)
    return [Standing(**{**row._mapping, "tier": Tier(row.tier)}) for row in rows]


def expired(tx: Tx, *, limit: int, only: str | None = None) -> list[str]:
    """Workspaces whose escalation is over by the database's clock and has not been ended, at most `limit`."""
    return list(tx.execute(sa.text(EXPIRED_SQL), {"limit": limit, "only": only}).scalars())


def move(tx: Tx, workspace: str, *, from_quota: int, to_quota: int) -> bool:
    """Change the quota in force; False when it is not `from_quota` any more. Drains look again when it was raised."""
    values = {"workspace": workspace, "from_quota": from_quota, "to_quota": to_quota}
    moved = tx.execute(sa.text(MOVE_SQL), values).rowcount == 1
    if moved and to_quota > from_quota:
        tx.execute(sa.text(WAKE_SQL))
    return moved


def answer(tx: Tx, workspace: str, *, tier: str, rule_code: str, duplicates: bool) -> None:
    """Write down what the rules said; another tier is judged by new windows, and answered duplicates count no more."""
    values = {"workspace": workspace, "tier": tier, "rule_code": rule_code, "duplicates": duplicates}
    tx.execute(sa.text(ANSWER_SQL), values)


def set_own_quota(tx: Tx, workspace: str, quota: int | None) -> None:
    """What a person wants for this workspace; None for nothing in particular."""
    tx.execute(sa.text(SET_OWN_QUOTA_SQL), {"workspace": workspace, "quota": quota})


def set_eligible(tx: Tx, workspace: str, *, eligible: bool) -> None:
    """Whether the rules may promote it; windows are counted from now on."""
    tx.execute(sa.text(SET_ELIGIBLE_SQL), {"workspace": workspace, "eligible": eligible})


def escalate(tx: Tx, workspace: str, *, quota: int, seconds: float, who: str, approver: str, why: str) -> datetime:
    """Begin an escalation; returns when it expires."""
    values = {"workspace": workspace, "quota": quota, "seconds": seconds, "who": who, "approver": approver, "why": why}
    expires_at: datetime = tx.execute(sa.text(ESCALATE_SQL), values).scalar_one()
    return expires_at


def end_escalation(tx: Tx, workspace: str, *, who: str, why: str) -> None:
    """End the escalation of a workspace, if it has one."""
    tx.execute(sa.text(END_ESCALATION_SQL), {"workspace": workspace, "who": who, "why": why})


def record(tx: Tx, decision: NewDecision, signals: Signals | None = None) -> int:
    """Append a decision, and return its number; `signals` are what it was made on."""
    values = {**vars(decision), "signals": json.dumps(dict(signals or {}))}
    return int(tx.execute(sa.text(RECORD_SQL), values).scalar_one())
