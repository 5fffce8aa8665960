"""A pause stops one workspace, one kind, one shard or everything until somebody ends it, or until its time."""

from enum import StrEnum

from queue_pipeline.domain.errors import InvalidInput

#: A pause that ends by itself may last so many hours.
HOURS_MAX = 24 * 365
_NAME_MAX = 200


class PauseScope(StrEnum):
    """What a pause stops."""

    EVERYTHING = "everything"
    SHARD = "shard"
    WORKSPACE = "workspace"
    KIND = "kind"


def checked_scope(scope: str) -> PauseScope:
    """The scope itself. Raises InvalidInput for one that does not exist."""
    try:
        return PauseScope(scope)
    except ValueError:
        raise InvalidInput("scope", scope, f"Pause {', '.join(PauseScope)}.") from None


def checked_name(scope: PauseScope, name: str) -> str:
    """What is paused within its scope; empty for everything. Raises InvalidInput."""
    if scope is PauseScope.EVERYTHING:
        if name:
            raise InvalidInput("name", name, "Everything has no name; leave it out.")
        return ""
    if not name.strip() or len(name) > _NAME_MAX or "\0" in name:
        raise InvalidInput("name", name, f"Name the {scope}, with at most {_NAME_MAX} characters.")
    return name


def checked_hours(hours: float | None) -> float | None:
    """After how many hours a pause ends by itself; None for never. Raises InvalidInput."""
    if hours is not None and not 0 < hours <= HOURS_MAX:
        raise InvalidInput("hours", hours, f"Use more than 0 and at most {HOURS_MAX:,} hours, or leave it out.")
    return hours


def said_of(scope: str, name: str) -> str:
    """What is paused, in words."""
    return "everything" if scope == PauseScope.EVERYTHING else f"{scope} {name}"
