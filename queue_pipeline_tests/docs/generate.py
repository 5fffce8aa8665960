"""The parts of the documents that are derived from the code: `python -m queue_pipeline_tests.docs.generate`.

Each stands between `<!-- generated: NAME -->` and `<!-- end -->`; a test fails when one is stale.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from queue_pipeline.cli.app import app
from queue_pipeline.domain import canary, dispatch_window, function_run, incident, job, outbound
from queue_pipeline.domain.attempt import FREE_OUTCOMES, NEXT_STATES
from queue_pipeline.domain.audit_check import CHECKS
from queue_pipeline.domain.limits import Limits, check_relations, described
from queue_pipeline.settings import Settings, environment_name
from queue_pipeline_tests.docs.markdown import DECISIONS, REPOSITORY, documents

_PART = re.compile(r"(?P<head><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<tail><!-- end -->)", re.DOTALL)
_SETTING = re.compile(r"#(?P<name>[A-Z_]+)=.*")


def settings_table() -> str:
    """Every setting: its name and default from the code, its meaning from `.env.example`."""
    field_of = {environment_name(field): field for field in Settings.model_fields}
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for names, meaning in _meanings():
        shown = "<br>".join(f"`{name}`" for name in names)
        defaults = "<br>".join(_default(field_of[name]) for name in names)
        rows.append(f"| {shown} | {defaults} | {meaning} |")
    return "\n".join(rows)


def commands_table() -> str:
    """Every command with its first sentence."""
    context = click.Context(app)
    rows = ["| command | what it does |", "|---|---|"]
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        assert command is not None
        rows.append(f"| `queue-pipeline {name}` | {_cell(command.get_short_help_str(limit=400))} |")
    return "\n".join(rows)


def limits_table() -> str:
    """Every bound with its value, unit and reason."""
    rows = ["| bound | value | why |", "|---|---:|---|"]
    for name, limit in described(Limits()).items():
        rows.append(f"| `{name}` | {limit.value:,g} {limit.unit} | {_cell(limit.reason)} |")
    return "\n".join(rows)


def limit_relations() -> str:
    """What must hold between the bounds. Nothing compares with NaN, so every relation reports itself."""
    nothing_holds = Limits(**{field.name: math.nan for field in fields(Limits)})  # type: ignore[arg-type]
    return "\n".join(f"- {sentence}" for sentence in check_relations(nothing_holds))


def outcomes_table() -> str:
    """How an attempt may end, and where its job goes then."""
    rows = ["| the attempt ended | the job goes to | costs an attempt |", "|---|---|---|"]
    for outcome, states in NEXT_STATES.items():
        free = "no" if outcome in FREE_OUTCOMES else "yes"
        rows.append(f"| {outcome} | {' or '.join(states)} | {free} |")
    return "\n".join(rows)


def audit_checks_table() -> str:
    """Every question of the duplicate-send audit, and what a finding does to the verdict."""
    rows = ["| check | question | a finding |", "|---|---|---|"]
    for check in CHECKS:
        weight = "is a breach" if check.gates else "is told, and decides nothing"
        rows.append(f"| {check.code} | {check.question} | {weight}{', until reviewed' if check.reviewable else ''} |")
    return "\n".join(rows)


def decisions_list() -> str:
    """Every decision by its title."""
    rows = []
    for path in sorted(DECISIONS.glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        rows.append(f"- [{title}]({path.name})")
    return "\n".join(rows)


def diagram(moves: Mapping[Any, frozenset[Any]]) -> str:
    """A machine of states as a Mermaid diagram, in the order in which the states are declared."""
    states = list(moves)
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR"]
    lines += [f"    {state} --> {target}" for state in states for target in states if target in moves[state]]
    lines += [f"    {state} --> [*]" for state in states if not moves[state]]
    return "\n".join([*lines, "```"])


PARTS: Mapping[str, Callable[[], str]] = {
    "settings": settings_table,
    "commands": commands_table,
    "limits": limits_table,
    "limit-relations": limit_relations,
    "attempt-outcomes": outcomes_table,
    "audit-checks": audit_checks_table,
    "job-states": lambda: diagram(job.MOVES),
    "function-run-states": lambda: diagram(function_run.MOVES),
    "incident-states": lambda: diagram(incident.MOVES),
    "outbound-states": lambda: diagram(outbound.MOVES),
    "dispatch-window-states": lambda: diagram(dispatch_window.MOVES),
    "canary-states": lambda: diagram(canary.MOVES),
    "decisions": decisions_list,
}


def refreshed(text: str) -> str:
    """The text of a document with every generated part made anew."""
    return _PART.sub(lambda part: f"{part['head']}\n{PARTS[part['name']]()}\n\n{part['tail']}", text)


def parts_in(text: str) -> list[str]:
    """The names of the generated parts of a document."""
    return [part["name"] for part in _PART.finditer(text)]


def _meanings() -> list[tuple[list[str], str]]:
    """Groups of settings with the comment above them in `.env.example`."""
    groups: list[tuple[list[str], str]] = []
    comment: list[str] = []
    names: list[str] = []
    for line in [*(REPOSITORY / ".env.example").read_text(encoding="utf-8").splitlines(), ""]:
        setting = _SETTING.fullmatch(line)
        if setting is not None:
            names.append(setting["name"])
            continue
        if names:
            groups.append((names, _cell(" ".join(comment))))
            names, comment = [], []
        comment = [*comment, line.removeprefix("# ")] if line.startswith("# ") and "-----" not in line else []
    return groups


def _default(field: str) -> str:
    default = Settings.model_fields[field].default
    if default is None or default == ():
        return "unset"
    return f"`{default}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write every stale document anew."""
    for path in documents():
        before = path.read_text(encoding="utf-8")
        after = refreshed(before)
        if after != before:
            Path(path).write_text(after, encoding="utf-8")
            click.echo(f"refreshed {path.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
