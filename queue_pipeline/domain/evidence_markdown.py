"""An evidence packet for people: the same content as Markdown, with the query behind every number."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_SIGNS: Mapping[str, str] = {"pass": "pass", "fail": "**FAIL**", "unmeasured": "*unmeasured*"}


def markdown_of(document: Mapping[str, Any], sha256: str, *, chart: str = "packet.png") -> str:
    """The packet as Markdown; `chart` is where its picture is."""
    parts = [
        _head(document, sha256),
        _checklist(document["checklist"]),
        _knobs(document["checklist"]),
        _canary(document["canary"]),
        f"## Chart\n\n![queue age and failures of canary and control]({chart})",
        _measurements(document),
        _audit(document["audit"]),
        _table("## Flags", ("flag", "value", "canary", "source", "who", "why", "since"), document["flags"]),
        _table("## Versions", ("program", "version"), _pairs(document["versions"])),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(document: Mapping[str, Any], sha256: str) -> str:
    reasons = "\n".join(f"- {_text(reason)}" for reason in document["reasons"])
    window = document["window"]
    return (
        f"# {document['verdict']}: evidence packet {sha256[:12]}\n\n{reasons}\n\n"
        f"Measured at {document['measured_at']} in {_text(document['environment'])}. {_text(window['said'])}"
        f" From {window['since']} to {window['until']}.\n\nSHA-256 of the content: `{sha256}`."
    )


def _checklist(items: Sequence[Mapping[str, Any]]) -> str:
    rows = [{**item, "status": _SIGNS[item["status"]], "measured by": f"`{item['source']}`"} for item in items]
    return _table("## Checklist", ("name", "status", "value", "bound", "measured by"), rows)


def _knobs(items: Sequence[Mapping[str, Any]]) -> str:
    """For each item that does not pass, what an operator can turn."""
    open_items = [item for item in items if item["status"] != "pass" and item["knobs"]]
    if not open_items:
        return ""
    lines = ["## What can be turned", "", "Nothing is changed by itself."]
    for item in open_items:
        lines += ["", f"**{_text(item['name'])}**: {_text(item['value'])}", ""]
        lines += [f"- {_text(knob, code=True)}" for knob in item["knobs"]]
    return "\n".join(lines)


def _canary(canary: Mapping[str, Any] | None) -> str:
    if canary is None:
        return "## Canary\n\nNo canary was ever started."
    candidate = ", ".join(f"{flag} = {value}" for flag, value in sorted(canary["candidate"].items()))
    who = f"for {canary['share']:g} % of the workspaces and {canary['workspaces_named']} that are named"
    why = f"{_text(canary['why'])} ({_text(canary['started_by'])})"
    lines = ["## Canary", "", f"Canary {canary['canary_id']}, {canary['state']}: {_text(candidate)}, {who}. {why}"]
    lines += ["", *(f"- Shortened: {_text(each)}." for each in canary["shortened"])]
    moves = _table("", ("at", "from", "to", "who", "why"), canary["moves"])
    rollbacks = _table("", ("at", "rule", "mode", "why"), canary["rollbacks"])
    return "\n\n".join(part for part in ("\n".join(lines).rstrip(), moves, rollbacks) if part)


def _measurements(document: Mapping[str, Any]) -> str:
    """Every answer under the command that asks for it again."""
    parts = ["## Measurements\n\nEach can be asked for again, from the top of the project, with the line above it."]
    for each in document["measurements"]:
        rows = each["rows"]
        answer = _table("", each["columns"], rows) if rows else "No row."
        parts.append(f"### {each['query']}\n\n```sh\n{each['command']}\n```\n\n{answer}")
    rates = [{"cohort": cohort, **rate} for cohort, rate in sorted(document["failure_rates"].items())]
    title = "### Failure rates, 95 % Wilson interval of `window_outcomes.sql`"
    parts.append(_table(title, ("cohort", "failed", "of", "low", "high"), rates))
    title = "### Burn rates of `queue_age_burn.sql`, objective 99 %"
    parts.append(_table(title, ("look_back", "bad", "minutes", "rate"), document["burn_rates"]))
    return "\n\n".join(parts)


def _audit(audit: Mapping[str, Any]) -> str:
    head = f"## Duplicate-send audit\n\n```sh\n{audit['command']}\n```\n\n{_text(audit['said'])}"
    return f"{head}\n\n{_table('', ('check', 'rows_examined', 'open', 'verdict'), audit['checks'])}"


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"program": name, "version": version} for name, version in sorted(values.items())]


def _table(title: str, columns: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(columns)
    if not rows:
        return f"{title}\n\nNone." if title else ""
    lines = [f"| {' | '.join(names)} |", f"|{'|'.join('---' for _ in names)}|"]
    lines += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
    table = "\n".join(lines)
    return f"{title}\n\n{table}" if title else table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return _text(str(value), code=True)


def _text(text: str, *, code: bool = False) -> str:
    """Somebody else's words on one line, unable to break out of their place; with `code` they may have code in them."""
    line = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")
    return line if code else line.replace("`", "'")
