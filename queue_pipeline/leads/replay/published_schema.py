"""The JSON Schemas of manifests and artifacts, as they are published beside this module."""

from collections.abc import Callable, Mapping
from importlib import resources
from types import MappingProxyType
from typing import Any

from queue_pipeline.leads.replay.artifact import Artifact
from queue_pipeline.leads.replay.manifest import Manifest

#: Made from the models; a test asserts that the published files are these.
GENERATE: Mapping[str, Callable[[], dict[str, Any]]] = MappingProxyType(
    {
        "manifest": lambda: _titled(Manifest.model_json_schema(by_alias=True), "Replay manifest, version 2"),
        "artifact": lambda: _titled(Artifact.model_json_schema(by_alias=True), "Replay artifact"),
    }
)


def published(name: str) -> str:
    """The text of the published schema `manifest` or `artifact`."""
    return resources.files("queue_pipeline.leads.replay").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")


def _titled(schema: dict[str, Any], title: str) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
