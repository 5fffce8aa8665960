"""An inbound lead is one message from a person, as the handler of `lead.inbound` gets it."""

import re
from datetime import datetime
from functools import cache
from typing import Annotated, Self
from zoneinfo import available_timezones

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

ADDRESS_MAX = 320
_ADDRESS = re.compile(r"[^\s<>,;\x00-\x1f\x7f]{1,320}")

Line = Annotated[str, Field(max_length=2000)]


class OfferedSlot(BaseModel):
    """A time that may be proposed to the lead."""

    model_config = ConfigDict(extra="forbid")

    start: AwareDatetime
    end: AwareDatetime | None = None
    label: Line = ""

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError("end must be later than start")
        return self

    def words(self) -> str:
        """The slot as a person writes it, in its own time zone."""
        if self.label:
            return self.label
        until = f" to {self.end:%H:%M}" if self.end else ""
        return f"{self.start:%A %d %B %Y, %H:%M}{until} (UTC{_offset(self.start)})"


def _offset(start: datetime) -> str:
    """The distance from UTC in hours, such as `-5`, in the form that nobody takes for a time: `+0530`."""
    offset = f"{start:%z}"[:5]
    if offset.endswith("00"):
        hours = int(offset[:3])
        return f"{hours:+d}" if hours else ""
    return offset


class InboundLead(BaseModel):
    """One inbound message. `automatic` says that it declares itself to be written by a program or for a list.

    `thread_id` is the provider's handle of the conversation, `campaign` what the person answers to, `timezone` where
    the person is (IANA name), `allowed_links` what a reply to this message may contain besides the team's own links.
    """

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str, Field(min_length=1, max_length=100)]
    provider_event_id: Line | None = None
    channel: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")] = "email"
    from_address: Annotated[str, Field(max_length=ADDRESS_MAX)] | None = None
    from_name: Line | None = None
    subject: Line = ""
    body: str = ""
    received_at: AwareDatetime | None = None
    offered_slots: Annotated[list[OfferedSlot], Field(max_length=50)] = []
    automatic: bool = False
    allowed_links: Annotated[list[Line], Field(max_length=50)] = []
    thread_id: Line | None = None
    phone: Annotated[str, Field(max_length=50)] | None = None
    timezone: Annotated[str, Field(max_length=100)] | None = None
    campaign: Line | None = None

    @field_validator("timezone")
    @classmethod
    def _is_a_time_zone(cls, name: str | None) -> str | None:
        if name and name not in _time_zones():
            raise ValueError("give a name of the IANA time zone database, such as Europe/Berlin")
        return name or None

    @field_validator("from_address")
    @classmethod
    def _is_one_address(cls, address: str | None) -> str | None:
        if address is None or not address.strip():
            return None
        if not _ADDRESS.fullmatch(address.strip()):
            raise ValueError("give one bare address without spaces, such as ada@example.com or +15550100")
        return address.strip().lower()

    @model_validator(mode="after")
    def _email_has_an_at(self) -> Self:
        if self.channel == "email" and self.from_address is not None and "@" not in self.from_address.strip("@"):
            raise ValueError("from_address is not an e-mail address; leave it out if there is none")
        return self


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
