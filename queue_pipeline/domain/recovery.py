"""When is a function run past saving? Signals, and what each proves."""

from dataclasses import dataclass
from enum import StrEnum

from queue_pipeline.domain.limits import Limits


class Signal(StrEnum):
    """Why something is recovered."""

    DEAD = "dead"
    LEASE_EXPIRED = "lease_expired"
    STALE = "stale"
    ORPHANED = "orphaned"
    OVERDUE = "overdue"
    UNOWNED = "unowned"


@dataclass(frozen=True)
class Life:
    """What is known of a function run's life; all in seconds by the database's clock.

    `present`: a session holds its presence lock. `server_age`: since PostgreSQL started, which drops all locks.
    """

    present: bool
    age: float
    heartbeat_age: float
    lease_left: float
    progress_age: float
    server_age: float


def signal_of(life: Life, limits: Limits) -> Signal | None:
    """The reason to recover a function run now, or None to leave it alone.

    A missing presence lock is a reason to look, never proof of death: after a database restart every lock is gone
    for a moment and no lease could be renewed, so both wait out a grace. Acting too early is safe because of fences.
    """
    restarted = life.server_age < limits.database_restart_grace_seconds
    if life.progress_age >= limits.stale_cutoff_seconds:
        return Signal.STALE
    if restarted:
        return None
    if life.lease_left <= 0:
        return Signal.DEAD if not life.present else Signal.LEASE_EXPIRED
    if not life.present:
        return Signal.DEAD
    return None


def sentence(signal: Signal, life: Life) -> str:
    """What an operator reads about it."""
    match signal:
        case Signal.DEAD:
            return f"its process is gone (presence lock released), last heartbeat {life.heartbeat_age:.0f} s ago"
        case Signal.LEASE_EXPIRED:
            return f"its lease ended {-life.lease_left:.0f} s ago, last heartbeat {life.heartbeat_age:.0f} s ago"
        case Signal.STALE:
            return f"no progress for {life.progress_age:.0f} s although its heartbeat is {life.heartbeat_age:.0f} s old"
        case _:
            raise ValueError(f"{signal} is not a signal of a function run")


def consequence(signal: Signal) -> str:
    """What recovery does about it, said before it does."""
    match signal:
        case Signal.DEAD | Signal.LEASE_EXPIRED | Signal.STALE:
            return (
                "It would be fenced, its running jobs given back (dead letters after their last attempt),"
                " and a successor opened if its shard has due work."
            )
        case Signal.ORPHANED:
            return "It would be given up, and another window opened if its shard has due work."
        case Signal.OVERDUE | Signal.UNOWNED:
            return "Its claim would be revoked, and the job tried again, or a dead letter after its last attempt."
