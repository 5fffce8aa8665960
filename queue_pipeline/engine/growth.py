"""How far dead rows have piled up, and who keeps them."""

from queue_pipeline.domain.growth import Growth
from queue_pipeline.domain.limits import Limits
from queue_pipeline.store import growth as store
from queue_pipeline.store.session import Tx


def read(tx: Tx, limits: Limits) -> Growth:
    """The state of dead rows, judged by these bounds."""
    return store.read(
        tx,
        horizon_age_limit=limits.horizon_age_limit_seconds,
        horizon_transactions=limits.horizon_transactions_limit,
        dead_rows_limit=limits.dead_rows_limit,
        transaction_age_limit=limits.transaction_age_limit,
    )
