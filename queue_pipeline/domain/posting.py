"""How a message that was handed to a sink ended, when it did not simply arrive."""

from queue_pipeline.domain.errors import Transient

#: A lease on a message that is being posted; longer than any post may take, so that nobody posts it beside us.
LEASE_SECONDS = 30.0
#: The first wait after a failure, and the longest.
BACKOFF_SECONDS = 5.0
BACKOFF_MAX_SECONDS = 60.0
#: Before anyone looks whether an ambiguous message arrived after all: a slow server gets this long to show it.
SETTLE_SECONDS = 15.0


class NotPosted(Transient):
    """A sink did not confirm a message. Its text names the reason, never a secret.

    `retry_after` is the wait in seconds that the sink asked for, if it did.
    """

    outcome = "not_sent"

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(reason)


class NotSent(NotPosted):
    """The message certainly did not arrive: nobody was reached, or the sink asked to come back later."""


class Refused(NotPosted):
    """The sink read the message and declined it; the same message will be declined again until somebody acts."""

    outcome = "refused"


class Ambiguous(NotPosted):
    """The message may have arrived: the answer was lost, late or unreadable."""

    outcome = "ambiguous"


def retry_in(failures: int, error: NotPosted) -> float:
    """Seconds until the next try, after `failures` failures before this one."""
    wait = min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2.0 ** min(failures, 10))
    if isinstance(error, Ambiguous):
        wait = max(wait, SETTLE_SECONDS)
    return min(max(wait, error.retry_after or 0.0), 10 * BACKOFF_MAX_SECONDS)
