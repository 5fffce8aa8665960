"""A measurement that can be taken again: which statement was asked, with which parameters, and what it answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Parameter = str | int | float | datetime | None


@dataclass(frozen=True)
class Measurement:
    """The answer of one statement of the pack, `queue_pipeline/queries/{query}.sql`; values are fit for JSON."""

    query: str
    parameters: Mapping[str, Parameter]
    rows: Sequence[Mapping[str, Any]]

    @property
    def file(self) -> str:
        """The statement's file, from the top of the project."""
        return f"queue_pipeline/queries/{self.query}.sql"

    def one(self) -> Mapping[str, Any]:
        """The only row; empty when there is none."""
        return self.rows[0] if self.rows else {}

    def of(self, key: str, value: str) -> Mapping[str, Any]:
        """The row in which `key` has this value; empty when there is none."""
        return next((row for row in self.rows if row[key] == value), {})

    def arguments(self) -> list[str]:
        """What psql is given to ask the same again."""
        chosen = [word for name, value in self.parameters.items() for word in ("-v", f"{name}={literal(value)}")]
        return [*chosen, "-f", self.file]

    def command(self) -> str:
        """The same as a line for a shell; `queue-pipeline env` prints PSQL_URL."""
        words = [word if word.startswith("-") or word == self.file else f'"{word}"' for word in self.arguments()]
        return " ".join(['psql "$PSQL_URL"', *words])

    def as_json(self) -> dict[str, Any]:
        """The measurement as JSON values; `columns` keeps an order that a database would lose."""
        return {
            "query": self.file,
            "parameters": {name: literal(value) for name, value in self.parameters.items()},
            "command": self.command(),
            "columns": list(self.one()),
            "rows": [dict(row) for row in self.rows],
        }


def literal(value: Parameter) -> str:
    """A parameter as SQL writes it."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)
