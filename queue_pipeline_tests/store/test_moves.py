"""The database refuses every move that MOVES does not allow, and allows every other: each pair on a real row."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest

from queue_pipeline.domain import canary, dispatch_window, function_run, job, outbound
from queue_pipeline.store.session import Direct
from queue_pipeline_tests.store import messages, rows

Make = Callable[[Direct, str], int]
Fields = Callable[[Direct, str], Mapping[str, Any]]

MACHINES: list[tuple[str, str, Mapping[Any, frozenset[Any]], Make, Fields]] = [
    ("job", "job_id", job.MOVES, rows.a_job, lambda _, state: rows.job_fields(state)),
    ("function_run", "function_run_id", function_run.MOVES, rows.a_function_run, lambda _, state: rows.run_fields(state)),
    ("dispatch_window", "window_id", dispatch_window.MOVES, rows.a_window, rows.window_fields),
    ("outbound_message", "outbound_message_id", outbound.MOVES, messages.a_message, lambda _, state: messages.message_fields(state)),
    ("canary", "canary_id", canary.MOVES, rows.a_canary, lambda _, state: rows.canary_fields(state)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "key", "moves", "make", "fields"), MACHINES, ids=[machine[0] for machine in MACHINES]
)
def test_the_database_allows_exactly_the_moves_of_the_domain(
    connection: Direct, table: str, key: str, moves: Mapping[Any, frozenset[Any]], make: Make, fields: Fields
) -> None:
    allowed = {(str(a), str(b)) for a in moves for b in moves if accepts(connection, table, key, make, fields, a, b)}
    drawn = {(str(before), str(after)) for before, afters in moves.items() for after in afters}
    staying = {(str(state), str(state)) for state in moves}  # not a move: nothing changes
    assert allowed - staying == drawn
    assert len(list(itertools.product(moves, moves))) == len(moves) ** 2


def accepts(connection: Direct, table: str, key: str, make: Make, fields: Fields, before: Any, after: Any) -> bool:
    row_id = make(connection, str(before))
    values = dict(fields(connection, str(after)))
    if table == "dispatch_window" and str(after) == "SUPERSEDED" and str(before) == "DRAINING":
        values = {"state": "SUPERSEDED", "closed_at": "now()"}  # it was taken, and stays so
    try:
        rows.update(connection, table, key, row_id, values)
    except psycopg.errors.CheckViolation as error:
        if "may not go from" not in str(error):
            raise
        return False
    return True


@pytest.mark.parametrize("outcome", ["SUCCEEDED", "LOST"])
def test_an_attempt_is_never_rewritten(connection: Direct, outcome: str) -> None:
    connection.execute(
        "INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, finished_at, outcome) "
        "VALUES (1, 1, 1, 1, now(), now(), now(), %s)",
        (outcome,),
    )
    with pytest.raises(psycopg.errors.CheckViolation, match="job_attempt is append-only"):
        connection.execute("UPDATE job_attempt SET outcome = 'SUCCEEDED'")


def test_a_recovery_decision_is_never_rewritten(connection: Direct) -> None:
    connection.execute("INSERT INTO recovery_decision (swept_by, signal, detail) VALUES ('test', 'dead', 'gone')")
    with pytest.raises(psycopg.errors.CheckViolation, match="recovery_decision is append-only"):
        connection.execute("UPDATE recovery_decision SET detail = 'better'")


def test_two_ends_of_one_attempt_cannot_both_be_recorded(connection: Direct) -> None:
    statement = (
        "INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, finished_at, outcome) "
        "VALUES (1, 1, 7, 1, now(), now(), now(), %s)"
    )
    connection.execute(statement, ("SUCCEEDED",))
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(statement, ("LOST",))
