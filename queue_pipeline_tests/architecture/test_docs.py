"""The documents are complete, and what they name exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from queue_pipeline.cli.app import MODULES, app
from queue_pipeline.settings import Settings, environment_name
from queue_pipeline.store.session import Database
from queue_pipeline_tests.docs.markdown import DECISIONS, DOCS, REPOSITORY, blocks, commands, documents

README = REPOSITORY / "README.md"
each_document = pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(REPOSITORY)))


@each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in anchors(linked), f"{target}: there is no such heading"


@each_document
def test_every_file_that_is_named_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:queue_pipeline|queue_pipeline_tests|benchmarks|docs)/[\w./-]*(?:/|\.\w+))`", text):
        assert (REPOSITORY / name).exists(), f"{name} does not exist"


@each_document
def test_every_command_that_is_named_exists_with_its_options(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = re.findall(r"(?<!`)`queue-pipeline ([^`]+)`(?!`)", text)
    typed = [command.text for block in blocks(document) if block.language == "console" for command in commands(block)]
    for line in typed:
        named += re.findall(r"(?:^|[\s(])queue-pipeline ([^|)>]+)", line.replace("\\\n", " "))
    for line in named:
        words = shlex.split(line.partition("2>&1")[0], posix=True) if line.count("'") % 2 == 0 else line.split()
        assert words[0] in MODULES, f"queue-pipeline {line}: there is no such command"
        command = app.get_command(click.Context(app), words[0])
        assert command is not None
        if isinstance(command, click.Group) and len(words) > 1 and not words[1].startswith("-"):
            assert words[1] in command.commands, f"queue-pipeline {line}: there is no such command"
            command = command.commands[words[1]]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        unknown = [word for word in words if word.startswith("--") and word not in known | {"--help"}]
        assert not unknown, f"queue-pipeline {line}: there is no option {unknown}"


@each_document
def test_every_setting_that_is_named_exists(document: Path) -> None:
    known = {environment_name(field) for field in Settings.model_fields}
    printed_by_env = {"QUEUE_PIPELINE_COMPLETE"}
    named = set(re.findall(r"QUEUE_PIPELINE_[A-Z_]+[A-Z]", document.read_text(encoding="utf-8")))
    assert named <= known | printed_by_env


@each_document
def test_nothing_named_belongs_to_one_machine(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w.])/(?:home|root|tmp|opt|usr/local)/\S*", text)
    for address in re.findall(r"[\w.+-]+@([\w.-]+\w)", text):
        assert address in {"localhost", "example.com", "example.org", "example.net"}, address


def test_the_two_commands_of_the_readme_are_targets_and_ci_runs_the_test_command() -> None:
    (first, *_) = (block for block in blocks(README) if block.language == "console")
    promised = [command.text for command in commands(first)]
    assert promised == ["make up", "make test"]
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for command in promised:
        assert re.search(rf"^{command.removeprefix('make ')}:", makefile, re.MULTILINE)
    script = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").split("\n")
    assert "exec make test" in script


def test_every_table_is_described_and_every_described_table_exists(db: Database) -> None:
    with db.begin() as tx:
        rows = tx.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'queue_pipeline'::regnamespace"
        )
        tables = {row.relname for row in rows}
    section = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("\n## Tables\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == tables


def test_every_folder_of_the_package_is_on_the_map() -> None:
    text = README.read_text(encoding="utf-8")
    for folder in (REPOSITORY / "queue_pipeline").iterdir():
        if folder.is_dir() and any(folder.rglob("*.py")):
            assert f"`queue_pipeline/{folder.name}/`" in text


def test_decisions_are_numbered_without_gaps_and_have_the_same_parts() -> None:
    decisions = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} "), path.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Status", "Context", "Decision", "Consequences"]


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as they are made on the web."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
