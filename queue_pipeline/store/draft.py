"""Drafts: kept, reviewed by people, and released to be sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

SAVE_SQL = """
INSERT INTO draft AS d (workspace, lead_id, job_id, channel, subject, body, drafter, is_template, findings, usage, why_no_model)
VALUES (:workspace, :lead_id, :job_id, :channel, :subject, :body, :drafter, :is_template, CAST(:findings AS jsonb),
        CAST(:usage AS jsonb), :why_no_model)
ON CONFLICT (job_id, channel) DO UPDATE SET updated_at = clock_timestamp()
RETURNING d.draft_id
"""

_COLUMNS = """
d.draft_id, d.workspace, d.lead_id, d.job_id, d.channel, d.subject, d.body, d.drafter, d.is_template, d.state, d.findings, d.usage,
d.why_no_model, d.created_at, d.updated_at, d.decided_by, d.decided_at, d.decision, l.address, l.opted_out_at,
o.outcome, o.code, o.reason
"""

GET_SQL = f"""
SELECT {_COLUMNS} FROM draft d LEFT JOIN lead l USING (lead_id) LEFT JOIN lead_outcome o ON o.draft_id = d.draft_id
WHERE d.draft_id = :draft_id
"""

LIST_SQL = f"""
SELECT {_COLUMNS} FROM draft d LEFT JOIN lead l USING (lead_id) LEFT JOIN lead_outcome o ON o.draft_id = d.draft_id
WHERE (CAST(:workspace AS text) IS NULL OR d.workspace = :workspace) AND (CAST(:state AS text) IS NULL OR d.state = :state)
ORDER BY d.draft_id DESC LIMIT :limit
"""

#: Compare and set: whoever comes second finds the draft decided.
DECIDE_SQL = """
UPDATE draft SET state = :to_state, decided_by = :who, decided_at = clock_timestamp(), decision = :decision, updated_at = clock_timestamp()
WHERE draft_id = :draft_id AND state = :from_state
RETURNING draft_id
"""

EDIT_SQL = """
UPDATE draft SET subject = coalesce(:subject, subject), body = :body, drafter = :drafter, is_template = false, findings = '[]',
       updated_at = clock_timestamp()
WHERE draft_id = :draft_id AND state = 'FOR_REVIEW'
RETURNING draft_id
"""

RETURN_SQL = """
UPDATE draft SET state = 'FOR_REVIEW', findings = CAST(:findings AS jsonb), decided_by = NULL, decided_at = NULL, decision = NULL,
       updated_at = clock_timestamp()
WHERE draft_id = :draft_id AND state = 'APPROVED'
  AND NOT EXISTS (SELECT FROM outbound_message m WHERE m.draft_id = :draft_id)
RETURNING job_id
"""


@dataclass(frozen=True)
class Draft:
    """A draft, whom it is for, and the outcome of the message that it answers. `address` is personal data."""

    draft_id: int
    workspace: str
    lead_id: int | None
    job_id: int
    channel: str
    subject: str
    body: str
    drafter: str
    is_template: bool
    state: str
    findings: Sequence[Mapping[str, Any]]
    usage: Mapping[str, Any] | None
    why_no_model: str | None
    created_at: datetime
    updated_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision: str | None
    address: str | None
    opted_out_at: datetime | None
    outcome: str | None
    code: str | None
    reason: str | None


def save(tx: Tx, *, findings: Sequence[Mapping[str, Any]], usage: Mapping[str, Any] | None, **draft: Any) -> int:
    """Keep a draft, once per job and channel; gives its id."""
    values = {**draft, "findings": json.dumps(findings), "usage": None if usage is None else json.dumps(usage)}
    return int(tx.execute(sa.text(SAVE_SQL), values).scalar_one())


def get(tx: Tx, draft_id: int) -> Draft | None:
    """One draft."""
    row = tx.execute(sa.text(GET_SQL), {"draft_id": draft_id}).first()
    return None if row is None else Draft(**row._mapping)


def drafts(tx: Tx, *, workspace: str | None, state: str | None, limit: int) -> list[Draft]:
    """Drafts, newest first."""
    values = {"workspace": workspace, "state": state, "limit": limit}
    return [Draft(**row._mapping) for row in tx.execute(sa.text(LIST_SQL), values)]


def decide(tx: Tx, draft_id: int, *, from_state: str, to_state: str, who: str, decision: str) -> bool:
    """Move a draft and keep who decided and how; False when it has moved meanwhile."""
    values = {"draft_id": draft_id, "from_state": from_state, "to_state": to_state, "who": who, "decision": decision}
    return tx.execute(sa.text(DECIDE_SQL), values).one_or_none() is not None


def edit(tx: Tx, draft_id: int, *, subject: str | None, body: str, drafter: str) -> bool:
    """Replace the text of a draft that waits for review; False when it does not wait any more."""
    values = {"draft_id": draft_id, "subject": subject, "body": body, "drafter": drafter}
    return tx.execute(sa.text(EDIT_SQL), values).one_or_none() is not None


def back_to_review(tx: Tx, draft_id: int, *, findings: Sequence[Mapping[str, Any]]) -> int | None:
    """Give an approved draft back to the reviewers unless its message exists; gives the job that drafted it."""
    values = {"draft_id": draft_id, "findings": json.dumps(findings)}
    found = tx.execute(sa.text(RETURN_SQL), values).scalar_one_or_none()
    return None if found is None else int(found)
