"""Work that the ingress does by itself every few seconds, so that it happens with the Dagster daemon dead."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from queue_pipeline.domain.errors import Transient
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.reconcile import reconcile
from queue_pipeline.engine.teller import Teller
from queue_pipeline.store.session import Database

log = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
#: So that a provider that hangs does not keep messages of others from their turn for long.
_RECONCILE_SECONDS = 20.0

#: One step of a turn; it is given the event that says that the ingress closes.
Step = Callable[[threading.Event], object]


class Background:
    """A thread that takes a turn every ten seconds. A step that fails keeps neither the others nor the next turn."""

    def __init__(self, name: str, *steps: Step, every_seconds: float = EVERY_SECONDS) -> None:
        self._name = name
        self._steps = steps
        self._every = every_seconds
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"queue-pipeline-{name}", daemon=True)

    def start(self) -> None:
        """Begin with a turn now."""
        self._thread.start()

    def close(self, *, seconds: float = 2.0) -> None:
        """Stop; a turn in progress gets this long to end, and otherwise ends unheard."""
        self._closing.set()
        self._thread.join(timeout=seconds)

    def _run(self) -> None:
        while not self._closing.is_set():
            for step in self._steps:
                self._take(step)
            self._closing.wait(self._every)

    def _take(self, step: Step) -> None:
        if self._closing.is_set():
            return
        try:
            step(self._closing)
        except Transient as error:
            log.debug("%s: %s", self._name, error)
        except Exception:
            log.exception("%s", self._name)


def alerts(teller: Teller, *, every_seconds: float = EVERY_SECONDS) -> Background:
    """Sample the queue if nobody else does, evaluate, post, and deliver what nobody delivered."""

    def tell(_: threading.Event) -> None:
        turn = teller.turn(by="ingress")
        for sentence in (*turn.changes, *(post.sentence() for post in turn.posts)):
            log.info("alerts: %s", sentence)

    return Background(
        "alerts",
        lambda _: teller.sample_if_missing(),
        tell,
        lambda closing: teller.deliver(by="ingress", stop=closing),
        every_seconds=every_seconds,
    )


def sends(database: Database, limits: Limits, *, every_seconds: float = EVERY_SECONDS) -> Background:
    """Settle messages that are due or in doubt. A thread apart: a provider that hangs holds up no alert."""

    def settle(_: threading.Event) -> None:
        report = reconcile(database, by="ingress", limits=limits, budget_seconds=_RECONCILE_SECONDS)
        if report.done or report.errors:
            log.info("sends: %s", report.sentence())

    return Background("sends", settle, every_seconds=every_seconds)
