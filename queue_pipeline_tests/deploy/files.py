"""The files of deploy/ as data."""

from __future__ import annotations

import re
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import yaml  # type: ignore[import-untyped]

from queue_pipeline.cli.app import MODULES, app
from queue_pipeline.settings import Settings, environment_name
from queue_pipeline_tests.docs.markdown import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
IMAGE = f"queue-pipeline:{metadata.version('queue-pipeline')}"
SETTINGS = {environment_name(field) for field in Settings.model_fields}

_INTERPOLATED = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?(?P<why>[^}]*))?\}")


def documents(path: Path) -> list[Any]:
    """Every document of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document is not None]


def document(path: Path) -> Any:
    """The only document of a YAML file."""
    (only,) = documents(path)
    return only


def manifests(kind: str | None = None) -> list[Any]:
    """Every resource below deploy/kubernetes; of one kind, if given."""
    found = [each for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")) for each in documents(path)]
    return [each for each in found if kind in {None, each["kind"]}]


def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile in order, each on one line."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], " ".join(line.partition(" ")[2].split())) for line in lines]


def image_environment() -> dict[str, str]:
    """What the image itself sets."""
    pairs = [pair for name, words in dockerfile() if name == "ENV" for pair in shlex.split(words)]
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def interpolated(value: str, given: dict[str, str]) -> str:
    """A value of the Compose file as Docker reads it; KeyError for a variable that is required and not given."""

    def chosen(found: re.Match[str]) -> str:
        name = found["name"]
        return given[name] if found["default"] is None else given.get(name) or found["default"]

    return _INTERPOLATED.sub(chosen, value)


def require_that_it_can_be_run(words: list[str]) -> None:
    """AssertionError when a command line of ours names a command or an option that does not exist."""
    if words[0] != "queue-pipeline":
        return
    assert words[1] in MODULES, words
    command = app.get_command(click.Context(app), words[1])
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known, words
