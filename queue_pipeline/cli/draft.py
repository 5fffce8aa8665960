"""`draft check`: say of drafts what in them nothing justifies. It needs no database."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from queue_pipeline.cli.console import json_option, print_table, say
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.check import Finding, check_draft

_SHOWN_FIELDS = ("code", "severity", "start", "end", "text", "why")


@dataclass(frozen=True)
class Checked:
    """A line of the file with its findings, or with the reason why it could not be read."""

    line: int
    case_id: str | int | None
    findings: tuple[Finding, ...] = ()
    error: str = ""

    def as_json(self) -> str:
        """One line of JSON."""
        if self.error:
            return json.dumps({"case_id": self.case_id, "line": self.line, "error": self.error}, ensure_ascii=False)
        found = [{name: getattr(one, name) for name in _SHOWN_FIELDS} for one in self.findings]
        return json.dumps({"case_id": self.case_id, "findings": found}, ensure_ascii=False)


@click.group("draft")
def draft_group() -> None:
    """Look at drafts before they are sent."""


@draft_group.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check_command(*, file: Path, as_json: bool) -> None:
    """Check the drafts in FILE (JSON lines; `-` reads standard input) against what was offered and what the lead wrote.

    A line is `{case_id, draft, reference_now, timezone, inbound{body, sent_at}, thread[], offered_slots[{start, end,
    label}], allowed_links[], lead_links[]}`. With --json one line per case, in the order of FILE. Exit code 0: nothing
    found; 1: findings; 2: some lines could not be read, the others were checked; 3: FILE cannot be read.
    """
    counts = {"cases": 0, "with findings": 0, "unreadable": 0}
    shown: list[Checked] = []
    for checked in _checked(_lines(file)):
        counts["cases"] += 1
        counts["with findings"] += bool(checked.findings)
        counts["unreadable"] += bool(checked.error)
        if as_json:
            click.echo(checked.as_json())
        elif checked.findings or checked.error:
            shown.append(checked)
    if not as_json:
        _print(shown)
    say(f"{file}: {', '.join(f'{count} {name}' for name, count in counts.items())}.")
    if counts["unreadable"]:
        raise SystemExit(2)
    if counts["with findings"]:
        raise SystemExit(1)


def _lines(file: Path) -> Iterator[bytes]:
    try:
        if str(file) == "-":
            yield from sys.stdin.buffer
            return
        with file.open("rb") as opened:
            yield from opened
    except OSError as error:
        raise InvalidInput(
            "FILE", str(file), f"It cannot be read: {error.strerror}. Give a file of JSON lines, or -."
        ) from None


def _checked(lines: Iterator[bytes]) -> Iterator[Checked]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        case_id: str | int | None = None
        try:
            content = json.loads(line.decode("utf-8-sig"))
            case_id = _id_of(content)
            case = DraftCase.model_validate(content)
            yield Checked(number, case_id, tuple(check_draft(case)))
        except ValidationError as error:
            yield Checked(number, case_id, error=_sentence(error))
        except (ValueError, RecursionError) as error:
            yield Checked(number, case_id, error=f"the line is no JSON object in UTF-8: {error}")


def _id_of(content: Any) -> str | int | None:
    """The id as it was given, so that the lines can be matched."""
    found = content.get("case_id") if isinstance(content, dict) else None
    return found if isinstance(found, str | int) else None


def _sentence(error: ValidationError) -> str:
    """Every problem with its field and value."""
    problems = []
    for problem in error.errors(include_url=False, include_context=False):
        field = ".".join(str(part) for part in problem["loc"]) or "the line"
        given = "" if problem["type"] == "missing" else f" (given: {repr(problem['input'])[:80]})"
        problems.append(f"{field}: {problem['msg'].removeprefix('Value error, ')}{given}")
    return "; ".join(problems)


def _print(shown: list[Checked]) -> None:
    rows = [
        (
            f"line {checked.line}" if checked.case_id is None else checked.case_id,
            one.code,
            f"{one.start}-{one.end}",
            one.text[:60],
            one.why,
        )
        for checked in shown
        for one in checked.findings
    ]
    if rows:
        print_table(("Case", "Code", "Place", "Text", "Why"), rows, empty="")
    for checked in shown:
        if checked.error:
            say(f"line {checked.line}: {checked.error}")


commands: list[click.Command] = [draft_group]
