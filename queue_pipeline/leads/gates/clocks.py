"""Whose clock a zone in a draft means, given who writes to whom."""

from dataclasses import dataclass, replace
from datetime import tzinfo
from zoneinfo import ZoneInfo

from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.clock_times import TimeMention
from queue_pipeline.leads.gates.zones import keep_the_same_clock


@dataclass(frozen=True)
class Clocks:
    """The clocks of a case; `places` are the zones of places that the lead named."""

    case: DraftCase
    places: tuple[tzinfo, ...]

    def named_by(self, mention: TimeMention) -> TimeMention:
        """The mention with the zones that it may mean here: `EST` in summer is New York's time only if somebody in the
        conversation lives by that."""
        if not mention.loosely:
            return mention
        meant = tuple(zone for zone in mention.loosely if self._is_lived_by(zone))
        return replace(mention, zones=(*mention.zones, *meant), loosely=())

    def _is_lived_by(self, zone: tzinfo) -> bool:
        named = (self.case.lead_zone, *self.places, *(self.case.host_zones[:1] if self.case.host_timezone else ()))
        if any(keep_the_same_clock(zone, one) for one in named if isinstance(one, ZoneInfo)):
            return True
        return any(self._is_offered_in(zone, index) for index in range(len(self.case.offered_slots)))

    def _is_offered_in(self, zone: tzinfo, index: int) -> bool:
        """Whether a slot has the offset of this zone, and not that of the lead."""
        start = self.case.offered_slots[index].start
        theirs = start.astimezone(self.case.lead_zone).utcoffset()
        return start.utcoffset() == start.astimezone(zone).utcoffset() != theirs
