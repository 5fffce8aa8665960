"""What almost every command needs: the settings and the database at this program's schema version."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from queue_pipeline import wiring
from queue_pipeline.settings import Settings, load_settings
from queue_pipeline.store import migrate
from queue_pipeline.store.session import Database


@dataclass(frozen=True)
class Session:
    """Settings and an open database."""

    settings: Settings
    db: Database


@contextmanager
def opened() -> Iterator[Session]:
    """The database, checked for its schema version, while the block runs.

    Raises SettingsError, DatabaseUnavailable, SchemaTooOld or SchemaTooNew.
    """
    settings = load_settings()
    wiring.bind_sending(settings)
    with wiring.database_at_work(settings) as db:
        migrate.check(db)
        yield Session(settings, db)
