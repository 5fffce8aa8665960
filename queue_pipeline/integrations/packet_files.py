"""The files of an evidence packet, under the home of the installation."""

import json
from pathlib import Path

from queue_pipeline.domain.errors import Misconfigured
from queue_pipeline.domain.evidence_packet import EvidencePacket

FOLDER = "evidence"


def folder_of(home: Path, packet: EvidencePacket) -> Path:
    """Where the files of a packet are."""
    return home / FOLDER / packet.name


def write(home: Path, packet: EvidencePacket) -> Path:
    """Write packet.md, packet.json and packet.png; gives their folder. Raises Misconfigured where it cannot."""
    folder = folder_of(home, packet)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / "packet.png", packet.png)
        _replace(folder / "packet.json", (json.dumps(packet.document, indent=2, sort_keys=True) + "\n").encode())
        _replace(folder / "packet.md", packet.markdown.encode())
    except OSError as error:
        raise Misconfigured(
            f"{folder} cannot be written ({error.strerror}). Make room, or set QUEUE_PIPELINE_HOME to another folder."
        ) from error
    return folder


def _replace(path: Path, content: bytes) -> None:
    """Never half a file under the name that people open."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)
