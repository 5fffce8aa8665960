"""Flags: the environment gives the default, the database overrides it, and every flip says who and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.flag import DRAFTS_AUTO_SEND, FLAGS, SENDS_ENABLED, known, spelled
from queue_pipeline.store import flag as store
from queue_pipeline.store.session import Database, Tx

_defaults: dict[str, bool] = {SENDS_ENABLED: True, DRAFTS_AUTO_SEND: False}


@dataclass(frozen=True)
class FlagState:
    """A flag's effective value and where it comes from; `who`, `why` and `changed_at` are those of its last flip."""

    flag: str
    on: bool
    source: str
    meaning: str
    who: str | None
    why: str | None
    changed_at: datetime | None


def set_defaults(defaults: Mapping[str, bool]) -> None:
    """The values that the environment of this process gives to flags that the database does not override."""
    for flag, on in defaults.items():
        _defaults[known(flag)] = on


def is_on(tx: Tx, flag: str, *, hold: bool = False) -> bool:
    """Whether a flag is on. With `hold`, a flip waits until the transaction has ended."""
    return _effective(flag, store.value(tx, known(flag), hold=hold))


def states(db: Database) -> list[FlagState]:
    """Every flag as it stands. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        last = {flip.flag: flip for flip in store.last_flips(tx)}
        return [_state(tx, flag, last.get(flag)) for flag in FLAGS]


def flip(db: Database, flag: str, *, on: bool, who: str, why: str) -> FlagState:
    """Override a flag for every process at once. Raises InvalidInput without a known flag, a name and a reason."""
    for field, text in (("who", who), ("why", why)):
        if not text.strip():
            raise InvalidInput(field, text, "Say who flips the flag and why; both are kept.")
    with db.begin() as tx:
        before = _effective(flag, store.value_to_change(tx, known(flag)))
        store.flip(tx, flag=flag, from_value=spelled(before), to_value=spelled(on), who=who.strip(), why=why.strip())
        last = {flip.flag: flip for flip in store.last_flips(tx)}
        return _state(tx, flag, last[flag])


def _effective(flag: str, overridden: str | None) -> bool:
    return _defaults[flag] if overridden is None else overridden == spelled(True)


def _state(tx: Tx, flag: str, last: store.LastFlip | None) -> FlagState:
    return FlagState(
        flag=flag,
        on=is_on(tx, flag),
        source="environment" if last is None else "database",
        meaning=FLAGS[flag],
        who=None if last is None else last.who,
        why=None if last is None else last.why,
        changed_at=None if last is None else last.changed_at,
    )
