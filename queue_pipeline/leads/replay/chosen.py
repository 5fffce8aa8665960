"""From what somebody asks to replay, to the selection: a manifest file, or the latest recorded leads of a workspace."""

from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from queue_pipeline import InvalidInput
from queue_pipeline.leads.replay.freezing import RecordedLead, Team, freeze, frozen_case
from queue_pipeline.leads.replay.manifest import CASES_MAX, Case
from queue_pipeline.leads.replay.masking import Masker
from queue_pipeline.leads.replay.selection import Selection, select, selection_of

#: The name of the manifest that is shipped, in place of a path.
SAMPLE = "sample"


class RecordedLeads(Protocol):
    """Where recorded leads are read. Nothing can be written through it."""

    def latest(self, workspace: str, *, limit: int) -> list[dict[str, Any]]:
        """The latest recorded leads of a workspace, oldest first."""
        ...

    def resolve(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Recorded leads by id, as far as there are any."""
        ...


def from_file(
    path: Path, *, recorded: Callable[[Sequence[str]], Mapping[str, Mapping[str, Any]]], team: Team
) -> Selection:
    """The selection of a manifest file; `sample` is the shipped one. Raises InvalidInput."""

    def resolve(ids: Sequence[str]) -> dict[str, Case]:
        masker = Masker()
        found = {name: RecordedLead(**lead) for name, lead in recorded(ids).items()}
        cases = {name: frozen_case(lead, masker, team, case_id=name) for name, lead in found.items()}
        return {name: case for name, case in cases.items() if case is not None}

    if str(path) == SAMPLE and not path.exists():
        return select(sample().encode(), source=SAMPLE, resolve=resolve)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            "--thread-ids-file",
            str(path),
            f"It cannot be read: {error.strerror}. Give a manifest, or `{SAMPLE}` for the shipped one.",
        ) from None
    return select(data, source=path.name, resolve=resolve)


def from_workspace(client_id: str, *, limit: int, leads: RecordedLeads, team: Team) -> Selection:
    """The latest leads of a workspace, frozen now, with invented people. Raises InvalidInput."""
    if not 1 <= limit <= CASES_MAX:
        raise InvalidInput("--limit", limit, f"Give 1 to {CASES_MAX}.")
    found = [RecordedLead(**lead) for lead in leads.latest(client_id, limit=limit)]
    manifest, warnings = freeze(found, manifest_id=f"latest-{client_id}", client_id=client_id, team=team, at=None)
    made = selection_of(manifest, source=f"the latest {len(found)} recorded leads of {client_id}")
    lost = {f"job-{lead.job_id}": "its message is no longer kept or cannot be read" for lead in found
            if f"job-{lead.job_id}" not in made.case_ids}  # fmt: skip
    return Selection(made.manifest, made.sha256, made.source, {**made.missing, **lost}, warnings)


def sample() -> str:
    """The text of the shipped manifest."""
    return resources.files("queue_pipeline.leads.replay").joinpath("sample_manifest.json").read_text(encoding="utf-8")
