"""Ask the statements of the pack, each with its parameters, so that every answer can be asked for again."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from queue_pipeline.domain.measurement import Measurement, Parameter
from queue_pipeline.store.queries import statement
from queue_pipeline.store.session import Tx

#: Where the window of a canary ended; a canary under way has not.
WINDOW_END_SQL = """
SELECT min(at) FROM canary_event WHERE canary_id = :canary_id AND to_state IN ('COMPLETE', 'ABORTED', 'ROLLED_BACK')
"""


def instant(tx: Tx) -> datetime:
    """The instant that every statement of this transaction sees."""
    now: datetime = tx.execute(sa.text("SELECT now()")).scalar_one()
    return now


def window_end(tx: Tx, canary_id: int) -> datetime | None:
    """When a canary's window was over, or the canary was ended before; None while it is under way."""
    found: datetime | None = tx.execute(sa.text(WINDOW_END_SQL), {"canary_id": canary_id}).scalar_one()
    return found


def measured(tx: Tx, query: str, parameters: Mapping[str, Parameter]) -> Measurement:
    """The answer of one statement of the pack."""
    rows = tx.execute(statement(query), dict(parameters)).mappings()
    return Measurement(query, parameters, [{name: _plain(value) for name, value in row.items()} for row in rows])


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    return float(value) if isinstance(value, Decimal) else value
