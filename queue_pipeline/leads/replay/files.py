"""Where a replay leaves its artifact and report: written whole, or not at all."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from queue_pipeline.leads.replay.artifact import Artifact
from queue_pipeline.leads.replay.report import markdown


def default_path(home: Path, at: datetime) -> Path:
    """The artifact's path when nobody chose one."""
    return home / ".artifacts" / "replay" / f"run-{at:%Y%m%dT%H%M%S%fZ}.json"


def journal_path(artifact: Path) -> Path:
    """The journal beside an artifact."""
    return artifact.with_name(f"{artifact.name}.cases.jsonl")


def report_path(artifact: Path) -> Path:
    """The report beside an artifact."""
    return artifact.with_name(f"{artifact.name.removesuffix('.json')}.md")


def write(artifact: Artifact, path: Path) -> None:
    """Write the report and then the artifact. Raises OSError."""
    replace_with(report_path(path), markdown(artifact))
    replace_with(path, as_text(artifact.as_json()))


def as_text(content: Any) -> str:
    """JSON as it is written to files that people may read."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def replace_with(path: Path, text: str) -> None:
    """Put the text in place of the file at once: whoever reads sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(text.encode("utf-8", "surrogatepass"))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
