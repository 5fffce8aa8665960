"""Rows in any state, with the fields that the state demands filled in."""

from secrets import token_hex
from typing import Any

from psycopg import sql

from queue_pipeline.store.session import Direct

_RUNNING = {"fence": 1, "function_run_id": 1, "claimed_at": "now()", "deadline_at": "now()", "attempt": 1}
_NOW = {"now()"}


def insert(connection: Direct, table: str, values: dict[str, Any], returning: str) -> int:
    """Insert one row; a value of "now()" means the database's clock."""
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in values)
    literals = sql.SQL(", ").join(
        sql.SQL("now()") if value in _NOW else sql.Literal(value) for value in values.values()
    )
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
        sql.Identifier(table), columns, literals, sql.Identifier(returning)
    )
    with connection.transaction():
        row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


def job_fields(state: str) -> dict[str, Any]:
    """What a job in this state must and must not have."""
    fields: dict[str, Any] = dict.fromkeys(("fence", "function_run_id", "claimed_at", "deadline_at", "finished_at"))
    fields["state"] = state
    if state == "RUNNING":
        fields |= _RUNNING
    if state in ("SUCCEEDED", "DEAD", "CANCELLED"):
        fields["finished_at"] = "now()"
    return fields


def a_job(connection: Direct, state: str = "PENDING", **changes: Any) -> int:
    """A job in any state; returns its id."""
    values = {"kind": "demo", "workspace": "acme", "run_at": "now()", "first_due_at": "now()", "payload": "{}"}
    return insert(connection, "job", {**values, **job_fields(state), **changes}, "job_id")


def run_fields(state: str) -> dict[str, Any]:
    """What a function run in this state must and must not have."""
    if state == "RUNNING":
        return {"state": state, "ended_at": None, "end_reason": None}
    return {"state": state, "ended_at": "now()", "end_reason": "empty"}


def a_function_run(connection: Direct, state: str = "RUNNING", **changes: Any) -> int:
    """A function run in any state; returns its id."""
    values = {"shard": "shard-00", "host": "nowhere.example", "pid": 1, "lease_until": "now()"}
    return insert(connection, "function_run", {**values, **run_fields(state), **changes}, "function_run_id")


def window_fields(connection: Direct, state: str) -> dict[str, Any]:
    """What a dispatch window in this state must and must not have."""
    taken = state in ("DRAINING", "CLOSED")
    return {
        "state": state,
        "taken_at": "now()" if taken else None,
        "function_run_id": a_function_run(connection) if taken else None,
        "closed_at": None if state in ("OPEN", "DRAINING") else "now()",
    }


def a_window(connection: Direct, state: str = "OPEN", **changes: Any) -> int:
    """A dispatch window in any state; returns its id."""
    values = {"dispatch_key": token_hex(8), "shard": "shard-00", "source": "schedule", "launch_by": "now()"}
    return insert(connection, "dispatch_window", {**values, **window_fields(connection, state), **changes}, "window_id")


def canary_fields(state: str) -> dict[str, Any]:
    """What a canary in this state must and must not have."""
    ended = state in ("PROMOTED", "ABORTED", "ROLLED_BACK")
    end = {"ended_at": "now()", "ended_by": "olga", "end_reason": "enough"} if ended else {}
    nothing = dict.fromkeys(("ended_at", "ended_by", "end_reason"))
    return {**nothing, **end, "state": state, "held_since": "now()" if state == "HELD" else None}


def a_canary(connection: Direct, state: str) -> int:
    """A canary in any state, the only one there is; returns its id."""
    connection.execute("DELETE FROM canary")
    contract = {"warm_up_seconds": 600, "window_seconds": 3600, "samples_min": 55, "started_min": 200}
    values = {"candidate": '{"drafts.auto_send": "on"}', "share": 10, "started_by": "olga", "why": "try it", **contract}
    return insert(connection, "canary", {**values, **canary_fields(state)}, "canary_id")


def update(connection: Direct, table: str, key: str, row_id: int, values: dict[str, Any]) -> None:
    """Set these columns of one row."""
    pairs = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.SQL("now()") if value in _NOW else sql.Literal(value))
        for name, value in values.items()
    )
    statement = sql.SQL("UPDATE {} SET {} WHERE {} = {}").format(
        sql.Identifier(table), pairs, sql.Identifier(key), sql.Literal(row_id)
    )
    with connection.transaction():
        connection.execute(statement)
