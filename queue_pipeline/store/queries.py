"""The operator's statements, `queue_pipeline/queries/*.sql`, as the program runs them: one source for both.

Plain psql runs a file as it stands. The program leaves out the lines that only psql reads, which begin with a
backslash and give parameters their defaults, and binds the parameters itself.
"""

from functools import lru_cache
from importlib import resources

import sqlalchemy as sa

_FOLDER = "queries"


def names() -> list[str]:
    """Every statement of the pack, by its file's name without `.sql`."""
    files = resources.files("queue_pipeline").joinpath(_FOLDER).iterdir()
    return sorted(file.name.removesuffix(".sql") for file in files if file.name.endswith(".sql"))


def text_of(name: str) -> str:
    """A file of the pack, as psql reads it."""
    return resources.files("queue_pipeline").joinpath(_FOLDER, f"{name}.sql").read_text(encoding="utf-8")


def sql_of(name: str) -> str:
    """A statement of the pack without what only psql reads, and without its semicolon."""
    lines = [line for line in text_of(name).splitlines() if not line.startswith(("\\", "--"))]
    return "\n".join(lines).strip().removesuffix(";")


@lru_cache
def statement(name: str) -> sa.TextClause:
    """A statement of the pack, with its parameters to be bound."""
    return sa.text(sql_of(name))
