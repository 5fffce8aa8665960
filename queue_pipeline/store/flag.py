"""The values of flags that the database overrides, and every flip of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

#: Shared locks: a flip waits for the few milliseconds of transactions that rely on the old value, then none does.
VALUE_HELD_SQL = "SELECT value FROM control_flag WHERE flag = :flag FOR SHARE"

#: Two flips of one flag wait for each other, so that the record of what it was before is true.
VALUE_TO_CHANGE_SQL = "SELECT value FROM control_flag WHERE flag = :flag FOR UPDATE"

VALUE_SQL = "SELECT value FROM control_flag WHERE flag = :flag"

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
    return tx.execute(sa.text(VALUE_HELD_SQL if hold else VALUE_SQL), {"flag": flag}).scalar_one_or_none()


def value_to_change(tx: Tx, flag: str) -> str | None:
    """The overriding value, or None, once every transaction that relies on it has ended."""
    return tx.execute(sa.text(VALUE_TO_CHANGE_SQL), {"flag": flag}).scalar_one_or_none()


def flip(tx: Tx, *, flag: str, from_value: str, to_value: str, who: str, why: str) -> None:
    """Override a flag, and record who did it and why."""
    tx.execute(sa.text(FLIP_SQL), {"flag": flag, "value": to_value})
    values = {"flag": flag, "from_value": from_value, "to_value": to_value, "who": who, "why": why}
    tx.execute(sa.text(RECORD_SQL), values)


def last_flips(tx: Tx) -> Sequence[LastFlip]:
    """The latest flip of every flag that was ever flipped."""
    return [LastFlip(**row._mapping) for row in tx.execute(sa.text(LAST_FLIPS_SQL))]
