"""Deliver notifications: they are written with what they tell, and posted after the commit, outside any transaction."""

import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from queue_pipeline.domain.errors import QueuePipelineError
from queue_pipeline.domain.posting import LEASE_SECONDS, Ambiguous, NotPosted, Refused, retry_in
from queue_pipeline.store import notification as store
from queue_pipeline.store.notification import Notice
from queue_pipeline.store.session import Database

log = logging.getLogger(__name__)

#: One call of a sink, at most; and less than the least is no time for a post.
_CALL_SECONDS = 4.0
_SECONDS_MIN = 1.0


class NoticeSink(Protocol):
    """Where notifications go. `pause_seconds` is the least time between two posts, `batch_max` what one may hold."""

    name: str
    batch_max: int
    pause_seconds: float

    def post_notices(self, notices: Sequence[Notice], *, seconds: float) -> None:
        """Post all of these as one message within so many seconds. Raises NotPosted."""
        ...

    def find_notices(self, *, since: datetime, seconds: float) -> set[int]:
        """Which notifications have arrived since then, by id. Raises NotPosted; Refused when nobody may look."""
        ...


def deliver_notifications(
    db: Database, sink: NoticeSink, *, by: str, seconds: float, stop: threading.Event | None = None
) -> int:
    """Deliver what is due, for at most so many seconds; returns how many were delivered.

    Each batch is leased, posted outside any transaction and then marked, so a slow sink holds no lock and a killed
    process loses nothing. Before a batch whose last post is in doubt is posted again, the sink is asked what arrived.
    Trouble with the sink ends the turn and is put on record; DatabaseUnavailable is raised.
    """
    stop = stop or threading.Event()
    ends = time.monotonic() + seconds
    done = 0
    while ends - time.monotonic() > _SECONDS_MIN:
        with db.begin() as tx:
            notices = store.claim(tx, by=by, limit=sink.batch_max, lease_seconds=LEASE_SECONDS)
        if not notices:
            return done
        try:
            done += _deliver(db, sink, notices, ends)
        except NotPosted as error:
            log.warning("%d notifications wait: %s", len(notices), error)
            return done
        if stop.wait(min(sink.pause_seconds, max(0.0, ends - time.monotonic()))):
            return done
    return done


def _deliver(db: Database, sink: NoticeSink, notices: Sequence[Notice], ends: float) -> int:
    """Post one batch and mark it; a failure is put on record and raised."""
    token = notices[0].token
    arrived: set[int] = set()
    try:
        arrived = _arrived(sink, notices, ends)
    except NotPosted as error:
        _put_off(db, notices, error, unresolved=True)
        raise
    rest = [notice for notice in notices if notice.notification_id not in arrived]
    try:
        if rest:
            sink.post_notices(rest, seconds=_left(ends))
    except NotPosted as error:
        with db.begin() as tx:
            store.delivered(tx, sorted(arrived), token=token, sink=sink.name)
        _put_off(db, rest, error, unresolved=isinstance(error, Ambiguous))
        raise
    with db.begin() as tx:
        return store.delivered(tx, [notice.notification_id for notice in notices], token=token, sink=sink.name)


def _arrived(sink: NoticeSink, notices: Sequence[Notice], ends: float) -> set[int]:
    in_doubt = [notice for notice in notices if notice.unresolved]
    if not in_doubt:
        return set()
    try:
        found = sink.find_notices(since=min(notice.created_at for notice in in_doubt), seconds=_left(ends))
    except Refused:
        return set()  # nobody will ever tell; a notice that comes twice is better than one that never comes
    return {notice.notification_id for notice in in_doubt} & found


def _put_off(db: Database, notices: Sequence[Notice], error: NotPosted, *, unresolved: bool) -> None:
    with db.begin() as tx:
        store.failed(
            tx,
            [notice.notification_id for notice in notices],
            token=notices[0].token,
            error=str(error),
            delay=retry_in(min(notice.failures for notice in notices), error),
            unresolved=unresolved,
        )


def _left(ends: float) -> float:
    return min(_CALL_SECONDS, max(_SECONDS_MIN / 2, ends - time.monotonic()))


class NotificationPoster:
    """Delivers in a thread of its own, so that no handler waits for a chat. The thread starts with the first wake."""

    def __init__(self, database: Database, sink: NoticeSink, *, by: str, seconds_per_turn: float = 8.0) -> None:
        self._database = database
        self._sink = sink
        self._by = by
        self._seconds = seconds_per_turn
        self._woken = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def deliver(self) -> int:
        """Wake the poster and return at once; gives 0, as nobody waits for what it delivers."""
        self.wake()
        return 0

    def wake(self) -> None:
        """There is something to deliver."""
        with self._lock:
            self._idle.clear()
            self._woken.set()
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._work, name="queue-pipeline-notices", daemon=True)
                self._thread.start()

    def flush(self, *, seconds: float) -> bool:
        """Wait until everything that may be delivered now is delivered; False when that took too long."""
        return self._thread is None or self._idle.wait(seconds)

    def close(self, *, seconds: float) -> bool:
        """Give the poster a grace to finish, then end it. What is left is delivered by whoever looks next."""
        finished = self.flush(seconds=seconds)
        self._closing.set()
        self._woken.set()
        if self._thread is not None and finished:
            self._thread.join(timeout=1.0)
        return finished

    def _work(self) -> None:
        while True:
            self._woken.wait()
            if self._closing.is_set():
                return
            with self._lock:
                self._woken.clear()
            try:
                deliver_notifications(
                    self._database, self._sink, by=self._by, seconds=self._seconds, stop=self._closing
                )
            except QueuePipelineError as error:
                log.debug("notices wait: %s", error)
            except Exception:
                log.exception("the delivery of notices")
            with self._lock:
                if not self._woken.is_set():
                    self._idle.set()
