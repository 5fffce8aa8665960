"""Which cases a replay is about: a manifest of version 2, or ids of version 1 that recorded leads answer."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from queue_pipeline import InvalidInput
from queue_pipeline.leads.replay.manifest import CASES_MAX, Case, Manifest, Tiers
from queue_pipeline.leads.replay.problems import sentences

MANIFEST_BYTES_MAX = 50_000_000
_FIELD = "--thread-ids-file"
_PROBLEMS_SHOWN = 20
_ID_KEYS = {"threadIds": None, "caseIds": None, "criticalCore3": "critical_core", "criticalTop10": "critical_top10"}
_OTHER_KEYS = {
    "version", "phase", "frozenAt", "strategy", "source", "sourceArtifact", "sourceArtifacts", "clientId", "notes",
}  # fmt: skip

#: Cases for the ids that are known, by id.
Resolve = Callable[[Sequence[str]], Mapping[str, Case]]


@dataclass(frozen=True)
class Selection:
    """What is replayed. `missing` are ids that are named and that nobody has, with the reason."""

    manifest: Manifest
    sha256: str
    source: str
    missing: Mapping[str, str]
    warnings: Sequence[str] = ()

    @property
    def case_ids(self) -> list[str]:
        """The manifest set: every id that was named, found or not."""
        return [*(case.case_id for case in self.manifest.cases), *self.missing]


def canonical_sha256(content: Any) -> str:
    """SHA-256 of the canonical JSON of a document: sorted keys, no blanks, UTF-8."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def select(data: bytes, *, source: str, resolve: Resolve) -> Selection:
    """The selection that a manifest file describes. Raises InvalidInput that names every problem."""
    content = _parsed(data, source)
    if isinstance(content, dict) and ("cases" in content or str(content.get("version", "")).lstrip("v") == "2"):
        return _version_2(content, source)
    return _version_1(content, source, resolve)


def selection_of(manifest: Manifest, *, source: str) -> Selection:
    """The selection of a manifest that was made on the fly."""
    return _selection(manifest, canonical_sha256(as_json(manifest)), source, [])


def as_json(manifest: Manifest) -> dict[str, Any]:
    """A manifest as it is written to a file."""
    found: dict[str, Any] = manifest.model_dump(mode="json", exclude_defaults=False)
    return found


def _parsed(data: bytes, source: str) -> Any:
    if len(data) > MANIFEST_BYTES_MAX:
        raise InvalidInput(
            _FIELD, source, f"It has {len(data)} bytes; at most {MANIFEST_BYTES_MAX} are read. Split it."
        )
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(_FIELD, source, f"It is no JSON in UTF-8: {error}.") from None


def _version_2(content: dict[str, Any], source: str) -> Selection:
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        found = sentences(error, content)
        more = f"\n  - and {len(found) - _PROBLEMS_SHOWN} more" if len(found) > _PROBLEMS_SHOWN else ""
        listed = "\n  - ".join(found[:_PROBLEMS_SHOWN])
        raise InvalidInput(_FIELD, source, f"It is no manifest of version 2:\n  - {listed}{more}") from None
    warnings = []
    if isinstance(manifest.strategy, str) and manifest.strategy not in ("", "generate", "reference"):
        warnings.append(f"strategy {manifest.strategy!r} is taken as a description; drafts are generated")
    return _selection(manifest, canonical_sha256(content), source, warnings)


def _selection(manifest: Manifest, sha256: str, source: str, warnings: list[str]) -> Selection:
    missing = dict.fromkeys(manifest.missing(), "a tier names it, and the manifest holds no such case")
    return Selection(manifest, sha256, source, missing, warnings)


def _version_1(content: Any, source: str, resolve: Resolve) -> Selection:
    lists, warnings = _id_lists(content, source)
    ids = list(dict.fromkeys(name for names in lists.values() for name in names))
    for key, names in lists.items():
        if len(set(names)) < len(names):
            warnings.append(f"{key} names some ids more than once; each is replayed once")
    if len(ids) > CASES_MAX:
        raise InvalidInput(_FIELD, source, f"It names {len(ids)} cases; at most {CASES_MAX} are replayed. Split it.")
    found = resolve(ids) if ids else {}
    sha256 = canonical_sha256(content)
    tiers = {tier: lists.get(key, []) for key, tier in _ID_KEYS.items() if tier is not None}
    manifest = Manifest(
        version=2,
        manifest_id=f"ids-{sha256[:12]}",
        cases=[found[name] for name in ids if name in found],
        tiers=Tiers(**tiers),
        sources=[source],
    )
    missing = {name: "no recorded lead has this id" for name in ids if name not in found}
    return Selection(manifest, sha256, source, missing, warnings)


def _id_lists(content: Any, source: str) -> tuple[dict[str, list[str]], list[str]]:
    if isinstance(content, list):
        content = {"threadIds": content}
    if not isinstance(content, dict) or not set(_ID_KEYS) & set(content):
        raise InvalidInput(
            _FIELD,
            source,
            f"Give a list of ids, or an object with `cases` (version 2) or any of {', '.join(_ID_KEYS)}.",
        )
    warnings = [f"the key {key!r} is not known and means nothing" for key in content
                if key not in _ID_KEYS and key not in _OTHER_KEYS]  # fmt: skip
    lists = {}
    for key in _ID_KEYS:
        names = content.get(key) or []
        if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() and len(n) <= 300 for n in names):
            raise InvalidInput(_FIELD, source, f"{key} must be a list of ids, each a text of 1 to 300 characters.")
        lists[key] = [name.strip() for name in names]
    return lists, warnings
