"""What holds back vacuum, and how far it is behind. Reads PostgreSQL's own statistics, and no statement of anybody."""

from queue_pipeline.domain.growth import DeadRows, Growth, HorizonHolder
from queue_pipeline.store.queries import statement
from queue_pipeline.store.session import Tx


def read(
    tx: Tx, *, horizon_age_limit: float, horizon_transactions: int, dead_rows_limit: int, transaction_age_limit: int
) -> Growth:
    """The state of dead rows now; ages in seconds. This transaction's own snapshot does not count."""
    horizon = tx.execute(
        statement("vacuum_horizon"),
        {"horizon_age_limit": horizon_age_limit, "horizon_transactions": horizon_transactions},
    ).all()
    holders = [
        HorizonHolder(
            holder=row.holder,
            who=row.who,
            application_name=row.application_name,
            state=row.state,
            age_seconds=row.age_seconds,
            age_transactions=row.age_transactions,
            is_old=row.verdict == "fail",
        )
        for row in horizon
        if row.holder is not None
    ]
    rows = tx.execute(
        statement("dead_rows"), {"dead_rows_limit": dead_rows_limit, "transaction_age_limit": transaction_age_limit}
    ).all()
    tables = [
        DeadRows(row.subject, row.value, row.live_rows, row.vacuumed_seconds_ago, row.verdict == "fail")
        for row in rows
        if row.check_name == "dead_rows"
    ]
    return Growth(
        horizon=holders[0] if holders else None,
        worst=tables[0] if tables else None,
        transaction_age=next(row.value for row in rows if row.check_name == "transaction_age"),
    )
