"""The capacity that is in force: what the loop decided, an operator's word against it, and the drains that share it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

ENFORCE_SQL = """
UPDATE capacity_in_force
SET workers = :workers, in_flight_max = :in_flight_max, by_shard = CAST(:by_shard AS jsonb), changed_at = clock_timestamp()
WHERE (workers, in_flight_max, by_shard) IS DISTINCT FROM (:workers, :in_flight_max, CAST(:by_shard AS jsonb))
"""

IN_FORCE_SQL = "SELECT workers, in_flight_max, by_shard, changed_at FROM capacity_in_force"

_OVERRIDE = """
capacity_override_id, workers, in_flight_max, since, until, who, why, ended_at, ended_by, end_reason,
extract(epoch FROM until - clock_timestamp())::float8 AS seconds_left
"""
OVERRIDE_SQL = f"SELECT {_OVERRIDE} FROM capacity_override WHERE ended_at IS NULL AND until > clock_timestamp()"
BEGIN_OVERRIDE_SQL = f"""
INSERT INTO capacity_override (workers, in_flight_max, until, who, why)
VALUES (:workers, :in_flight_max, clock_timestamp() + make_interval(secs => CAST(:seconds AS float8)), :who, :why)
RETURNING {_OVERRIDE}
"""
END_OVERRIDE_SQL = f"""
UPDATE capacity_override SET ended_at = clock_timestamp(), ended_by = :who, end_reason = :why
WHERE ended_at IS NULL AND (NOT :only_overdue OR until <= clock_timestamp())
RETURNING {_OVERRIDE}
"""

#: The function runs that share a shard's workers, eldest first: those that hold their lease and were not told to stop.
LIVING_SQL = """
SELECT shard, function_run_id, workers FROM function_run
WHERE state = 'RUNNING' AND lease_until > clock_timestamp() AND stop_requested_at IS NULL ORDER BY function_run_id
"""


@dataclass(frozen=True)
class Override:
    """What an operator set, until when, and how it ended; `seconds_left` by the database's clock."""

    capacity_override_id: int
    workers: int | None
    in_flight_max: int | None
    since: datetime
    until: datetime
    who: str
    why: str
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str | None
    seconds_left: float


@dataclass(frozen=True)
class InForce:
    """The one row: what the loop decided, None while nothing is enforced; `by_shard` is each shard's need."""

    workers: int | None
    in_flight_max: int | None
    by_shard: Mapping[str, int]
    changed_at: datetime


@dataclass(frozen=True)
class LivingDrain:
    """A function run that shares its shard's workers, and how many it allows at once."""

    shard: str
    function_run_id: int
    workers: int


def enforce(tx: Tx, *, workers: int | None, in_flight_max: int | None, by_shard: Mapping[str, int]) -> bool:
    """Set what drains and dispatch obey, None for nothing; whether that is another than before."""
    values = {"workers": workers, "in_flight_max": in_flight_max, "by_shard": json.dumps(by_shard)}
    return tx.execute(sa.text(ENFORCE_SQL), values).rowcount == 1


def in_force(tx: Tx) -> InForce:
    """What the loop has put in force."""
    return InForce(**tx.execute(sa.text(IN_FORCE_SQL)).one()._mapping)


def override(tx: Tx) -> Override | None:
    """The operator's word that holds now."""
    row = tx.execute(sa.text(OVERRIDE_SQL)).one_or_none()
    return None if row is None else Override(**row._mapping)


def begin_override(
    tx: Tx, *, workers: int | None, in_flight_max: int | None, seconds: float, who: str, why: str
) -> Override:
    """Write down an override; the one before must have ended."""
    values = {"workers": workers, "in_flight_max": in_flight_max, "seconds": seconds, "who": who, "why": why}
    return Override(**tx.execute(sa.text(BEGIN_OVERRIDE_SQL), values).one()._mapping)


def end_override(tx: Tx, *, who: str, why: str, only_overdue: bool = False) -> Override | None:
    """End the open override, or only one whose time is over; None when there is none."""
    row = tx.execute(sa.text(END_OVERRIDE_SQL), {"who": who, "why": why, "only_overdue": only_overdue}).one_or_none()
    return None if row is None else Override(**row._mapping)


def living(tx: Tx) -> list[LivingDrain]:
    """The function runs that share their shards' workers, eldest first."""
    return [LivingDrain(**row._mapping) for row in tx.execute(sa.text(LIVING_SQL))]


def notify(tx: Tx) -> None:
    """Tell drains to look at what is in force."""
    tx.execute(sa.text("SELECT pg_notify('queue_pipeline', 'rule')"))
