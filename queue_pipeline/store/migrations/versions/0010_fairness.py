"""Fairness: pauses, ageing of priorities, and when a lane was served last."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    driver = op.get_bind().connection.driver_connection  # the driver itself: `%` in a script is no placeholder
    assert driver is not None
    driver.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
