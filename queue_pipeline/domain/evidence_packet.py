"""An evidence packet: what was known when somebody asked "is it safe?", named by the hash of its content."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from queue_pipeline.domain.measurement import Measurement
from queue_pipeline.domain.rollout_decision import ChecklistItem, RolloutDecision
from queue_pipeline.domain.slo import Rate
from queue_pipeline.domain.slo_report import SloReport

FORMAT = 1
#: So many digits of the hash name a packet among people.
SHORT = 12


@dataclass(frozen=True)
class EvidencePacket:
    """A packet: its content, the same for people, and its chart. `sha256` is the hash of the content."""

    sha256: str
    canary_id: int | None
    verdict: str
    document: Mapping[str, Any]
    markdown: str
    png: bytes

    @property
    def name(self) -> str:
        """What people call it."""
        return self.sha256[:SHORT]


def canonical(document: Mapping[str, Any]) -> bytes:
    """The one way to write a document: the same content gives the same bytes, wherever it was kept meanwhile.

    Raises ValueError for numbers that JSON does not have.
    """
    text = json.dumps(_plain(document), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")


def digest(document: Mapping[str, Any]) -> str:
    """The SHA-256 of a document's content."""
    return hashlib.sha256(canonical(document)).hexdigest()


def sha256_of(data: bytes) -> str:
    """The SHA-256 of bytes, as the packet names its chart."""
    return hashlib.sha256(data).hexdigest()


def document_of(
    *,
    measured_at: datetime,
    environment: str,
    decision: RolloutDecision,
    items: Sequence[ChecklistItem],
    canary: Mapping[str, Any] | None,
    slo: SloReport,
    others: Sequence[Measurement],
    audit: Mapping[str, Any],
    flags: Sequence[Mapping[str, Any]],
    versions: Mapping[str, str],
    chart_sha256: str,
) -> dict[str, Any]:
    """The content of a packet as JSON values."""
    window = slo.window
    return {
        "format": FORMAT,
        "measured_at": utc(measured_at),
        "environment": environment,
        "verdict": decision.verdict.value,
        "reasons": list(decision.reasons),
        "checklist": [{**asdict(item), "knobs": list(item.knobs)} for item in items],
        "canary": None if canary is None else dict(canary),
        "window": {
            "since": utc(window.since),
            "until": utc(window.until),
            "canary_id": window.canary_id,
            "said": window.said,
        },
        "failure_rates": {cohort: _rate(rate) for cohort, rate in slo.failure_rates.items()},
        "burn_rates": [asdict(rate) for rate in slo.burn_rates],
        "measurements": [each.as_json() for each in (*slo.measurements.values(), *others)],
        "audit": dict(audit),
        "flags": [dict(flag) for flag in flags],
        "versions": dict(versions),
        "chart_sha256": chart_sha256,
    }


def checklist_of(document: Mapping[str, Any]) -> list[ChecklistItem]:
    """The checklist of a packet."""
    return [ChecklistItem(**{**item, "knobs": tuple(item["knobs"])}) for item in document["checklist"]]


def problems_of(packet: EvidencePacket, markdown: str) -> list[str]:
    """What of a packet does not belong to its name; `markdown` is what its content reads as. Nothing is good."""
    problems = []
    if digest(packet.document) != packet.sha256:
        problems.append("its content has another hash")
    if sha256_of(packet.png) != packet.document.get("chart_sha256"):
        problems.append("its chart is not the one that it names")
    if markdown != packet.markdown:
        problems.append("its text does not say what its content says")
    return problems


def utc(moment: datetime) -> str:
    """An instant as the packet writes it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _rate(rate: Rate) -> dict[str, Any]:
    return {"failed": rate.events, "of": rate.of, "low": round(rate.low, 6), "high": round(rate.high, 6)}


def _plain(value: Any) -> Any:
    """The value with whole floats as integers: a database may write 1.0 as 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
