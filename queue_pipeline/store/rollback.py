"""Rollbacks: what the rules said, what was changed, and who took it back or took note of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

_COLUMNS = """
rollback_id, canary_id, decided_at, mode, rule, why, numbers, changes, acknowledged_at, acknowledged_by, undone_at, undone_by,
extract(epoch FROM clock_timestamp() - decided_at)::float8 AS age_seconds
"""

#: A rule speaks once for each canary, as an observer and in earnest; what is said again is no news.
RECORD_SQL = """
INSERT INTO rollback (canary_id, mode, rule, why, numbers, changes)
VALUES (:canary_id, :mode, :rule, :why, CAST(:numbers AS jsonb), CAST(:changes AS jsonb))
ON CONFLICT DO NOTHING RETURNING rollback_id
"""
OF_CANARY_SQL = f"SELECT {_COLUMNS} FROM rollback WHERE canary_id = :canary_id ORDER BY rollback_id"

LATEST_TO_CHANGE_SQL = (
    f"SELECT {_COLUMNS} FROM rollback WHERE mode = 'enforce' ORDER BY rollback_id DESC LIMIT 1 FOR UPDATE"
)
ACKNOWLEDGE_SQL = """
UPDATE rollback SET acknowledged_at = clock_timestamp(), acknowledged_by = :who
WHERE rollback_id = :rollback_id AND acknowledged_at IS NULL
"""
UNDO_SQL = """
UPDATE rollback SET undone_at = clock_timestamp(), undone_by = :who WHERE rollback_id = :rollback_id AND undone_at IS NULL
"""


@dataclass(frozen=True)
class Rollback:
    """One time that a rule said "back". `changes` are the flags that it flipped: flag, from_value, to_value."""

    rollback_id: int
    canary_id: int
    decided_at: datetime
    mode: str
    rule: str
    why: str
    numbers: Mapping[str, Any]
    changes: Sequence[Mapping[str, str]]
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    undone_at: datetime | None
    undone_by: str | None
    age_seconds: float


def record(
    tx: Tx,
    *,
    canary_id: int,
    mode: str,
    rule: str,
    why: str,
    numbers: Mapping[str, Any],
    changes: Sequence[Mapping[str, str]],
) -> bool:
    """Write down what a rule said; False when it had said so before."""
    values = {"canary_id": canary_id, "mode": mode, "rule": rule, "why": why}
    values |= {"numbers": json.dumps(dict(numbers)), "changes": json.dumps([dict(change) for change in changes])}
    return tx.execute(sa.text(RECORD_SQL), values).scalar_one_or_none() is not None


def of_canary(tx: Tx, canary_id: int) -> list[Rollback]:
    """Everything that the rules said about a canary, oldest first."""
    return [Rollback(**row._mapping) for row in tx.execute(sa.text(OF_CANARY_SQL), {"canary_id": canary_id})]


def latest_to_change(tx: Tx) -> Rollback | None:
    """The latest rollback that was carried out, locked."""
    return _one(tx, LATEST_TO_CHANGE_SQL)


def acknowledge(tx: Tx, rollback_id: int, *, who: str) -> bool:
    """Note that somebody has seen it; False when somebody had."""
    return tx.execute(sa.text(ACKNOWLEDGE_SQL), {"rollback_id": rollback_id, "who": who}).rowcount == 1


def undo(tx: Tx, rollback_id: int, *, who: str) -> bool:
    """Note that its changes were taken back; False when they had been."""
    return tx.execute(sa.text(UNDO_SQL), {"rollback_id": rollback_id, "who": who}).rowcount == 1


def _one(tx: Tx, sql: str) -> Rollback | None:
    row = tx.execute(sa.text(sql)).one_or_none()
    return None if row is None else Rollback(**row._mapping)
