"""A draft case is one draft with everything that may justify what it says: the lead's words, the slots, the links."""

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

_LEAD_NAMES = {"lead", "user", "customer", "client", "inbound", "them", "prospect", "contact", "human", "guest"}
_OUR_NAMES = {"us", "we", "assistant", "agent", "host", "outbound", "bot", "system", "me", "staff", "rep", "ai", "team"}
_AUTHOR_KEYS = ("author", "role", "from", "sender", "direction", "speaker")
_BRITISH = {f"Europe/{place}" for place in ("London", "Dublin", "Belfast", "Guernsey", "Jersey", "Isle_of_Man")}
_BODY_KEYS = ("body", "text", "content", "message")


def _text(value: Any) -> Any:
    return "" if value is None else value


def _list(value: Any) -> Any:
    return [] if value is None else value


Text = Annotated[str, BeforeValidator(_text)]
Links = Annotated[list[str], BeforeValidator(_list)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


class Inbound(_Frozen):
    """The message that the draft answers. Without `sent_at` it counts as sent at the reference instant."""

    body: Text = ""
    sent_at: AwareDatetime | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_plain_text(cls, value: Any) -> Any:
        return _message(value)


class Turn(_Frozen):
    """An earlier message of the thread. An author that is not known to be ours counts as the lead."""

    author: Literal["lead", "us"] = "lead"
    body: Text = ""
    sent_at: AwareDatetime | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_other_names(cls, value: Any) -> Any:
        found = _message(value)
        if not isinstance(found, dict):
            return found
        named = next((str(found[key]) for key in _AUTHOR_KEYS if found.get(key)), "lead")
        return {**found, "author": "us" if named.strip().lower() in _OUR_NAMES - _LEAD_NAMES else "lead"}


class Slot(_Frozen):
    """A time that was offered; `label` is how it is shown to the lead."""

    start: AwareDatetime
    end: AwareDatetime | None = None
    label: Text = ""

    @model_validator(mode="before")
    @classmethod
    def _accept_plain_start(cls, value: Any) -> Any:
        return {"start": value} if isinstance(value, str | datetime) else value

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.end is not None and self.end < self.start:
            raise ValueError("end lies before start")
        return self


class DraftCase(_Frozen):
    """A draft and its circumstances. Without `timezone` the lead's zone is the offset of `reference_now`."""

    case_id: str
    draft: Text = ""
    reference_now: AwareDatetime
    timezone: Text = ""
    inbound: Annotated[Inbound, BeforeValidator(lambda value: value if value is not None else {})] = Field(
        default_factory=Inbound
    )
    thread: Annotated[list[Turn], BeforeValidator(_list)] = []
    offered_slots: Annotated[list[Slot], BeforeValidator(_list)] = []
    allowed_links: Links = []
    lead_links: Links = []
    channel: str | None = None
    host_timezone: Text = ""

    @field_validator("reference_now")
    @classmethod
    def _leaves_room_for_dates(cls, value: datetime) -> datetime:
        if not 1000 <= value.year <= 9000:
            raise ValueError("the year must lie between 1000 and 9000")
        return value

    @field_validator("timezone", "host_timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value.strip():
            _zone(value.strip())
        return value.strip()

    @property
    def lead_zone(self) -> tzinfo:
        """The zone in which the lead reads a time."""
        return _zone(self.timezone) if self.timezone else _offset_of(self.reference_now)

    @property
    def half_is_before_the_hour(self) -> bool:
        """Whether people where the lead or the host lives may say `half four` for 3:30, as in German or Dutch."""
        return any(name.startswith("Europe/") and name not in _BRITISH for name in (self.timezone, self.host_timezone))

    @property
    def host_zones(self) -> tuple[tzinfo, ...]:
        """The zones in which we may say a time without naming one: our own, and the offsets of the offered slots."""
        named = (_zone(self.host_timezone),) if self.host_timezone else ()
        return tuple(dict.fromkeys((*named, *(_offset_of(slot.start) for slot in self.offered_slots))))


def _message(value: Any) -> Any:
    if isinstance(value, str):
        return {"body": value}
    if not isinstance(value, dict):
        return value
    body = next((value[key] for key in _BODY_KEYS if value.get(key) is not None), None)
    return {**value, "body": body, "sent_at": value.get("sent_at") or None}


def _offset_of(instant: datetime) -> tzinfo:
    return timezone(instant.utcoffset() or timedelta())


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError(f"{name!r} is no IANA time zone; give one such as Europe/Berlin or America/New_York") from None
