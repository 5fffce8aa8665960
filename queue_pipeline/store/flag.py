"""The values of flags that the database overrides, and every flip of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

#: Shared locks: a flip waits for the few milliseconds of transactions that rely on the old value, then none does.
#: A process that is stopped in the middle of one loses its session, or a rollback could not switch sends off.
VALUE_HELD_SQL = """
SELECT value, set_config('idle_in_transaction_session_timeout', '5000', true) FROM control_flag WHERE flag = :flag FOR SHARE
"""

#: Two flips of one flag wait for each other, so that the record of what it was before is true.
VALUE_TO_CHANGE_SQL = "SELECT value FROM control_flag WHERE flag = :flag FOR UPDATE"

VALUE_SQL = "SELECT value FROM control_flag WHERE flag = :flag"

#: What the open canary gives to a workspace. `share` is in percent and a bucket a hundredth of one.
CANDIDATE_SQL = """
SELECT candidate ->> :flag FROM canary
WHERE ended_at IS NULL AND (:bucket < round(share * 100) OR :workspace = ANY (allow))
"""
ACTIVE_CANDIDATE_SQL = """
SELECT candidate ->> :flag AS value, round(share * 100)::int AS below, allow FROM canary WHERE ended_at IS NULL
"""

FLIP_SQL = """
INSERT INTO control_flag (flag, value) VALUES (:flag, :value)
ON CONFLICT (flag) DO UPDATE SET value = excluded.value, changed_at = clock_timestamp()
"""

RECORD_SQL = """
INSERT INTO control_event (flag, from_value, to_value, who, why) VALUES (:flag, :from_value, :to_value, :who, :why)
"""

LAST_FLIPS_SQL = """
SELECT DISTINCT ON (flag) flag, to_value, who, why, changed_at FROM control_event ORDER BY flag, control_event_id DESC
"""


@dataclass(frozen=True)
class LastFlip:
    """How a flag came to its value in the database."""

    flag: str
    to_value: str
    who: str
    why: str
    changed_at: datetime


def value(tx: Tx, flag: str, *, hold: bool) -> str | None:
    """The overriding value, or None; with `hold` it cannot change until the transaction ends."""
    row = tx.execute(sa.text(VALUE_HELD_SQL if hold else VALUE_SQL), {"flag": flag}).one_or_none()
    return None if row is None else row.value


def value_to_change(tx: Tx, flag: str) -> str | None:
    """The overriding value, or None, once every transaction that relies on it has ended."""
    return tx.execute(sa.text(VALUE_TO_CHANGE_SQL), {"flag": flag}).scalar_one_or_none()


def candidate(tx: Tx, flag: str, *, workspace: str, bucket: int) -> str | None:
    """What the open canary gives to this workspace; None when there is none, or when it is not in it."""
    values = {"flag": flag, "workspace": workspace, "bucket": bucket}
    found: str | None = tx.execute(sa.text(CANDIDATE_SQL), values).scalar_one_or_none()
    return found


def active_candidate(tx: Tx, flag: str) -> tuple[str | None, int, Sequence[str]]:
    """The open canary's value of a flag, the buckets below which workspaces have it, and those that it lists."""
    row = tx.execute(sa.text(ACTIVE_CANDIDATE_SQL), {"flag": flag}).one_or_none()
    return (None, 0, ()) if row is None else (row.value, row.below, row.allow)


def flip(tx: Tx, *, flag: str, from_value: str, to_value: str, who: str, why: str) -> None:
    """Override a flag, and record who did it and why."""
    tx.execute(sa.text(FLIP_SQL), {"flag": flag, "value": to_value})
    values = {"flag": flag, "from_value": from_value, "to_value": to_value, "who": who, "why": why}
    tx.execute(sa.text(RECORD_SQL), values)


def last_flips(tx: Tx) -> Sequence[LastFlip]:
    """The latest flip of every flag that was ever flipped."""
    return [LastFlip(**row._mapping) for row in tx.execute(sa.text(LAST_FLIPS_SQL))]
