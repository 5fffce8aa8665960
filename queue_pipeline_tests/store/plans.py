"""How PostgreSQL would run one of our statements: the same text, prepared, explained with and without its values."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from psycopg import sql

from queue_pipeline.store.session import Direct

_NAMED = re.compile(r"%\((\w+)\)s|(?<![:\w]):([a-z]\w*)\b")
_POSITIONAL = re.compile(r"%s")


def explain(connection: Direct, text: str, values: Mapping[str, Any], *, mode: str) -> Mapping[str, Any]:
    """The plan of a statement with `%(name)s`, `:name` or `%s` parameters; mode is "generic" or "custom"."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    if _POSITIONAL.search(text):
        names = list(values)
        for place in range(len(names)):
            text = _POSITIONAL.sub(f"${place + 1}", text, count=1)
    else:
        text = _NAMED.sub(number, text)
    connection.execute(f"SET plan_cache_mode = force_{mode}_plan")
    connection.execute(sql.SQL("PREPARE explained AS ") + sql.SQL(text.replace("%%", "%")))
    try:
        arguments = sql.SQL(", ").join(sql.Literal(values[name]) for name in names)
        call = sql.SQL("EXPLAIN (FORMAT JSON) EXECUTE explained") + (
            sql.SQL("({})").format(arguments) if names else sql.SQL("")
        )
        row = connection.execute(call).fetchone()
    finally:
        connection.execute("DEALLOCATE explained")
    assert row is not None
    plan: Mapping[str, Any] = row[0][0]["Plan"]
    return plan


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every node of a plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def indexes_of(plan: Mapping[str, Any]) -> set[str]:
    """The indexes that a plan reads."""
    return {node["Index Name"] for node in nodes(plan) if "Index Name" in node}


def scanned_whole(plan: Mapping[str, Any]) -> set[str]:
    """The tables that a plan reads from end to end."""
    return {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
