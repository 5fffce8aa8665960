"""What ops, assets and sensors share: the queue, and errors that an operator can read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from queue_pipeline.domain.errors import QueuePipelineError
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.handlers import Registry
from queue_pipeline.settings import Settings, load_settings
from queue_pipeline.store.session import Database
from queue_pipeline.wiring import bind_sending, load_registry, open_database

SHARD_TAG = "queue_pipeline/shard"
DISPATCH_KEY_TAG = "queue_pipeline/dispatch_key"
ROLE_TAG = "queue_pipeline/role"
#: Passes a value from op to op of one in-process run, and leaves no file behind.
IN_MEMORY = "in_memory"

Cell = str | float | bool | None


class QueueResource(dg.ConfigurableResource[Any]):
    """The queue that the settings name, open for as long as one run or one tick lasts.

    It has no configuration of its own, so that no URL or password is ever shown in the UI.
    """

    _settings: Settings = PrivateAttr()
    _database: Database = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["QueueResource"]:
        """Open the database, and close its connections afterwards."""
        self._settings = load_settings()
        bind_sending(self._settings)
        self._database = open_database(self._settings, application="queue_pipeline dagster")
        try:
            yield self
        finally:
            self._database.dispose()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    @property
    def db(self) -> Database:
        """The store's door to the queue."""
        return self._database

    @property
    def limits(self) -> Limits:
        """The bounds in force."""
        return Limits()

    @property
    def shards(self) -> list[str]:
        """All shards, in order."""
        return shard_names(self._settings.shards)

    def registry(self) -> Registry:
        """The handlers, the shipped ones and those of QUEUE_PIPELINE_HANDLERS."""
        return load_registry(self._settings)


@contextmanager
def told_plainly() -> Iterator[None]:
    """Inside the block, an error raised on purpose fails the run with its own sentence."""
    try:
        yield
    except QueuePipelineError as error:
        raise dg.Failure(description=str(error)) from error


def table(columns: list[str], rows: list[Mapping[str, Cell]]) -> dg.MetadataValue:
    """A metadata table; a missing value is shown as an empty cell."""
    schema = dg.TableSchema(columns=[dg.TableColumn(name=name, type="string") for name in columns])
    records = [dg.TableRecord({name: _cell(row.get(name)) for name in columns}) for row in rows]
    return dg.MetadataValue.table(records=records, schema=schema)


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if isinstance(value, float) else str(value)
