"""A real queue with the shipped lead handlers, messages that arrive, and a look at what became of them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from queue_pipeline import wiring
from queue_pipeline.domain.drain import DrainReport
from queue_pipeline.engine import flags
from queue_pipeline.engine.drain import DrainOptions, drain
from queue_pipeline.engine.inbound import Acceptance, Delivery, accept
from queue_pipeline.leads import ports
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database

WORKSPACE = "acme"


class Desk:
    """Where messages arrive and people work."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.db = db
        self.settings = settings
        self.registry = wiring.load_registry(settings)

    def use(self, **services: Any) -> None:
        """Replace some of the services of the lead handlers."""
        ports.bind(replace(ports.services(), **services))

    def arrive(self, body: str = "What does it cost?", **fields: object) -> int:
        """A message of Ada's arrives; gives its job."""
        payload = {"provider": "test", "from_address": "ada@example.com", "from_name": "Ada Okafor", **fields}
        (answer,) = accept(self.db, [Delivery(WORKSPACE, "test", {**payload, "body": body})])
        assert answer.acceptance is Acceptance.ACCEPTED
        assert answer.job_id is not None
        return answer.job_id

    def drain(self) -> list[DrainReport]:
        """Everything that is due is worked off."""
        options = [DrainOptions(f"shard-{n:02d}", until_empty=True, hand_over=False) for n in range(4)]
        return [drain(self.db, self.registry, option) for option in options]

    def handle(self, body: str = "What does it cost?", **fields: object) -> int:
        """A message arrives and is worked off; gives its job."""
        job_id = self.arrive(body, **fields)
        self.drain()
        return job_id

    def make_due(self, job_id: int) -> None:
        """A job that waits for its next attempt is due now."""
        self.rows("UPDATE job SET run_at = now() WHERE job_id = :job_id RETURNING 1", job_id=job_id)

    def auto_send(self) -> None:
        """Drafts that passed every gate leave without a review."""
        flags.flip(self.db, "drafts.auto_send", "on", who="Mina", why="test")

    def rows(self, statement: str, **values: object) -> list[Any]:
        """The rows of a question."""
        with self.db.begin() as tx:
            return list(tx.execute(sa.text(statement), values))

    def outcome(self, job_id: int) -> Any:
        """How a message ended."""
        (found,) = self.rows("SELECT * FROM lead_outcome WHERE job_id = :job_id", job_id=job_id)
        return found

    def draft(self, job_id: int) -> Any:
        """The draft of a message."""
        (found,) = self.rows("SELECT * FROM draft WHERE job_id = :job_id", job_id=job_id)
        return found

    def notices(self, job_id: int) -> list[Any]:
        """What people were told about a job, oldest first."""
        return self.rows("SELECT * FROM notification WHERE job_id = :j ORDER BY notification_id", j=job_id)

    def replies(self) -> list[Any]:
        """What left as a reply to a lead, apart from acknowledgements."""
        return self.rows("SELECT m.* FROM outbound_message m WHERE purpose = 'reply' AND state = 'SENT'")

    def accepted(self) -> int:
        """How many messages the provider has."""
        return len(self.rows("SELECT 1 FROM provider_message WHERE direction = 'outbound'"))


@pytest.fixture
def desk(db: Database, settings: Settings) -> Iterator[Desk]:
    """The queue and its handlers on a fresh database."""
    yield Desk(db, settings)
    wiring.finish_delivering(seconds=0.1)
