"""Flags: the environment gives the default, the database overrides it, and a canary overrides both for its workspaces.

Every flip says who and why. A flip holds for whoever looks next, in every process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from queue_pipeline.domain.canary import bucket_of
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.flag import (
    CAPACITY_MODE,
    DRAFTS_AUTO_SEND,
    DRAIN_PARALLEL,
    ENFORCE,
    FLAGS,
    OBSERVE,
    OFF,
    ON,
    RECOVERY_MODE,
    ROLLBACK_MODE,
    SENDS_ENABLED,
    checked_value,
    meaning_of,
    spec_of,
)
from queue_pipeline.store import flag as store
from queue_pipeline.store.claim import NO_CAP, LaneRule
from queue_pipeline.store.session import Database, Tx

_defaults: dict[str, str] = {
    SENDS_ENABLED: ON,
    DRAFTS_AUTO_SEND: OFF,
    DRAIN_PARALLEL: ON,
    RECOVERY_MODE: ENFORCE,
    ROLLBACK_MODE: ENFORCE,
    CAPACITY_MODE: OBSERVE,
}


@dataclass(frozen=True)
class FlagState:
    """A flag's effective value, what it means, and where it comes from: environment or database.

    `who`, `why` and `changed_at` are those of its last flip. `canary_value` is what the workspaces of the canary have
    instead, None without one.
    """

    flag: str
    value: str
    source: str
    meaning: str
    who: str | None
    why: str | None
    changed_at: datetime | None
    canary_value: str | None = None


def set_defaults(defaults: Mapping[str, str]) -> None:
    """The values that the environment of this process gives to flags that the database does not override."""
    for flag, value in defaults.items():
        _defaults[flag] = checked_value(flag, value)


def value(tx: Tx, flag: str, *, workspace: str | None = None, hold: bool = False) -> str:
    """A flag's value, for a workspace if one is named. With `hold`, a flip waits until the transaction has ended."""
    spec = spec_of(flag)
    if workspace is not None and spec.per_workspace:
        candidate = store.candidate(tx, flag, workspace=workspace, bucket=bucket_of(workspace))
        if candidate is not None:
            return candidate
    return _effective(flag, store.value(tx, flag, hold=hold))


def is_on(tx: Tx, flag: str, *, workspace: str | None = None, hold: bool = False) -> bool:
    """Whether a flag that is only on or off is on."""
    return value(tx, flag, workspace=workspace, hold=hold) == ON


def value_to_change(tx: Tx, flag: str) -> str:
    """A flag's value; nobody else can flip it until the transaction has ended, and nobody relies on it any more."""
    return _effective(flag, store.value_to_change(tx, flag))


def flipped_last_by(tx: Tx, flag: str) -> str | None:
    """Who flipped a flag last; nobody can flip it until the transaction has ended. None if nobody ever did."""
    value_to_change(tx, flag)
    return next((flip.who for flip in store.last_flips(tx) if flip.flag == flag), None)


def lane_rule(tx: Tx) -> LaneRule:
    """What `drain.parallel` means for claims now, in the canary and elsewhere."""
    base = _at_once(value(tx, DRAIN_PARALLEL))
    candidate, below, allow = store.active_candidate(tx, DRAIN_PARALLEL)
    if candidate is None:
        return LaneRule(base, base)
    return LaneRule(base, _at_once(candidate), below, tuple(allow))


def states(db: Database) -> list[FlagState]:
    """Every flag as it stands. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        last = {flip.flag: flip for flip in store.last_flips(tx)}
        return [_state(tx, flag, last.get(flag)) for flag in FLAGS]


def flip(db: Database, flag: str, to_value: str, *, who: str, why: str) -> FlagState:
    """Override a flag for every process. Raises InvalidInput for what no flag can be, and without name and reason."""
    for field, text in (("who", who), ("why", why)):
        if not text.strip():
            raise InvalidInput(field, text, "Say who flips the flag and why; both are kept.")
    checked_value(flag, to_value)
    with db.begin() as tx:
        override(tx, flag, to_value, who=who.strip(), why=why.strip())
        last = {flip.flag: flip for flip in store.last_flips(tx)}
        return _state(tx, flag, last[flag])


def override(tx: Tx, flag: str, to_value: str, *, who: str, why: str) -> None:
    """Override a flag in a transaction that does more; `flip` is for people."""
    before = value_to_change(tx, flag)
    store.flip(tx, flag=flag, from_value=before, to_value=checked_value(flag, to_value), who=who, why=why)


def _at_once(parallel: str) -> int:
    return NO_CAP if parallel == ON else 1


def _effective(flag: str, overridden: str | None) -> str:
    return _defaults[flag] if overridden is None else overridden


def _state(tx: Tx, flag: str, last: store.LastFlip | None) -> FlagState:
    effective = value(tx, flag)
    candidate, _, _ = store.active_candidate(tx, flag)
    return FlagState(
        flag=flag,
        value=effective,
        source="environment" if last is None else "database",
        meaning=meaning_of(flag, effective),
        who=None if last is None else last.who,
        why=None if last is None else last.why,
        changed_at=None if last is None else last.changed_at,
        canary_value=candidate,
    )
